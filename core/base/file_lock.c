/*
 * flock(2) rather than fcntl(2): closing some other descriptor of the same file does not release it.
 *
 * The holder removes the file while it still holds the lock. Somebody who opened the file before that gets a lock on a file
 * without a name, which excludes nobody. So whoever has a lock looks whether the path still names what it has locked.
 */
#include "base/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often a file may vanish under us. */
#define TRIES 16

static pid_t read_holder(int fd)
{
	char text[32] = {0};
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	return got > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static bool is_named(int fd, const char *path)
{
	struct stat locked;
	struct stat named;
	return fstat(fd, &locked) == 0 && lstat(path, &named) == 0 && locked.st_dev == named.st_dev &&
	       locked.st_ino == named.st_ino;
}

/* Returns the locked descriptor, -EAGAIN when the file has vanished meanwhile, or another negative errno. */
static int open_locked(const char *path, pid_t *holder)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	int status = fd < 0 ? -errno : 0;
	if (fd < 0)
		return status;
	if (flock(fd, LOCK_EX | LOCK_NB))
		status = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (status == -EBUSY && holder)
		*holder = read_holder(fd);
	if (status == 0 && !is_named(fd, path))
		status = -EAGAIN;
	if (status == 0)
		return fd;
	close(fd);
	return status;
}

int lp_file_lock_take(struct lp_file_lock *lock, const char *path, pid_t *holder)
{
	int fd = -EAGAIN;
	*lock = (struct lp_file_lock){.fd = -1, .path = strdup(path)};
	if (holder)
		*holder = 0;
	if (!lock->path)
		return -ENOMEM;
	for (int i = 0; i < TRIES && fd == -EAGAIN; i++)
		fd = open_locked(path, holder);
	if (fd < 0) {
		free(lock->path);
		lock->path = NULL;
		return fd;
	}
	lock->fd = fd;
	/* For people, and for the message of those who come second. The lock holds without it. */
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
	return 0;
}

void lp_file_lock_release(struct lp_file_lock *lock)
{
	if (lock->fd >= 0) {
		unlink(lock->path);
		close(lock->fd);
	}
	free(lock->path);
	*lock = (struct lp_file_lock){.fd = -1};
}
