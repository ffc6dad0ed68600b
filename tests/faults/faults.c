/*
 * Faults that a test cannot have for real without harm to the whole machine (a full table of open files, a jump of the
 * wall clock), or not on demand: preloaded into limpet, this stands between it and the C library.
 *
 * A test says what is to fail in a file that both map, so that faults begin and end while limpet runs. It is an array of
 * struct fault, one for each enum call, all zero at first; inject.js writes it. A call fails with `error` while `left` is
 * above zero, and counts in `done`. Readings of the wall clock are moved by `left` seconds, and count too.
 *
 *     FAULTS=./file LD_PRELOAD=faults.so limpet run …
 *
 * Workers do not inherit it: both variables are gone before main() begins.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* In the order of inject.js. */
enum call { ACCEPT4, SENDMSG, WALL_CLOCK, CALLS };

struct fault {
	int32_t error;
	_Atomic int32_t left;
	_Atomic int32_t done;
};

static struct fault nothing[CALLS];
static struct fault *faults = nothing;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULTS");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || ftruncate(fd, sizeof(nothing)))
		abort();
	faults = mmap(NULL, sizeof(nothing), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (faults == MAP_FAILED)
		abort();
	close(fd);
	unsetenv("FAULTS");
	unsetenv("LD_PRELOAD");
}

/* Whether this call is to fail; errno is set then. */
static int fails(enum call call)
{
	struct fault *fault = &faults[call];
	if (fault->left <= 0)
		return 0;
	fault->left--;
	fault->done++;
	errno = fault->error;
	return 1;
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
	static int (*real)(int, struct sockaddr *, socklen_t *, int);
	if (!real)
		real = dlsym(RTLD_NEXT, "accept4");
	return fails(ACCEPT4) ? -1 : real(fd, address, length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, const struct msghdr *, int);
	if (!real)
		real = dlsym(RTLD_NEXT, "sendmsg");
	return fails(SENDMSG) ? -1 : real(fd, message, flags);
}

static time_t jump(void)
{
	struct fault *fault = &faults[WALL_CLOCK];
	if (fault->left)
		fault->done++;
	return fault->left;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	int status = real(clock, now);
	if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += jump();
	return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	static int (*real)(struct timeval *, void *);
	if (!real)
		real = dlsym(RTLD_NEXT, "gettimeofday");
	int status = real(now, zone);
	now->tv_sec += jump();
	return status;
}

time_t time(time_t *out)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
