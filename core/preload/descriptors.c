/*
 * The table is as large as it can become; the kernel gives memory to the pages that are touched. Exchanges are larger, and
 * so is what a process may have to promise for them: they come in blocks, of the kernel's memory, since a connection may
 * be accepted in a signal handler. A block is never given back.
 */
#include "preload/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "preload/libc.h"

struct lp_descriptor lp_descriptors[LP_DESCRIPTORS_MAX];

static _Atomic int end;

#define BLOCK 64

static _Atomic(struct lp_http_exchange *) blocks[LP_DESCRIPTORS_MAX / BLOCK];

/* Where there is no memory for a block. Nothing in it ever changes. */
static struct lp_http_exchange none;

struct lp_http_exchange *lp_descriptor_exchange(int fd)
{
	struct lp_http_exchange *block = blocks[fd / BLOCK];
	return block ? &block[fd % BLOCK] : &none;
}

struct lp_http_exchange *lp_descriptor_make_exchange(int fd)
{
	_Atomic(struct lp_http_exchange *) *block = &blocks[fd / BLOCK];
	struct lp_http_exchange *present = *block;
	if (!present) {
		size_t size = BLOCK * sizeof(*present);
		void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (made == MAP_FAILED)
			return NULL;
		if (atomic_compare_exchange_strong(block, &present, made))
			present = made;
		else
			munmap(made, size); /* Another thread has been quicker. */
	}
	return &present[fd % BLOCK];
}

void lp_descriptor_set(int fd, const struct lp_descriptor *descriptor)
{
	int before = end;
	while (fd >= before &&
	       !__atomic_compare_exchange_n((int *)&end, &before, fd + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	lp_descriptors[fd] = *descriptor;
}

int lp_descriptors_end(void)
{
	return end;
}

void lp_descriptor_wipe(int fd)
{
	memset(&lp_descriptors[fd], 0, sizeof(lp_descriptors[fd]));
}

void lp_descriptor_forget(int fd)
{
	if (lp_descriptor_kind(fd) != LP_OTHER)
		lp_descriptor_wipe(fd);
}

int lp_descriptor_lift(int fd)
{
	int high = lp_libc()->fcntl(fd, F_DUPFD_CLOEXEC, LP_DESCRIPTORS_OURS);
	if (high < 0)
		return fd; /* Few descriptors: any number must do. */
	lp_libc()->close(fd);
	return high;
}

int lp_descriptor_lower(int fd, int flags)
{
	const struct lp_libc *real = lp_libc();
	int low = real->fcntl(fd, flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	if (low >= 0)
		real->close(fd);
	else
		real->fcntl(low = fd, F_SETFD, flags & SOCK_CLOEXEC ? FD_CLOEXEC : 0);
	return lp_descriptor_mode(low, flags);
}

int lp_descriptor_mode(int fd, int flags)
{
	int on = (flags & SOCK_NONBLOCK) != 0;
	ioctl(fd, FIONBIO, &on); /* In one call what F_GETFL and F_SETFL do in two. */
	return fd;
}

int lp_descriptor_name(int fd, int what)
{
	const struct lp_libc *real = lp_libc();
	int flags = real->fcntl(fd, F_GETFD);
	int mode = real->fcntl(fd, F_GETFL);
	if (flags < 0 || mode < 0 || real->dup3(what, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		return -errno;
	if (mode & O_NONBLOCK)
		real->fcntl(fd, F_SETFL, real->fcntl(fd, F_GETFL) | O_NONBLOCK);
	return 0;
}
