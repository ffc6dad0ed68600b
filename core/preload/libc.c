/*
 * What RTLD_NEXT finds behind us. Filled once; two threads that come at the same time write the same values.
 */
#include "preload/libc.h"

#include <dlfcn.h>

static struct lp_libc real;

/* POSIX lets a pointer to an object become one to a function; C does not, so it is copied. */
#define FIND(name) (*(void **)&real.name = dlsym(RTLD_NEXT, #name))

static void find_all(void)
{
	FIND(accept4);
	FIND(bind);
	FIND(listen);
	FIND(connect);
	FIND(getsockname);
	FIND(getpeername);
	FIND(getsockopt);
	FIND(setsockopt);
	FIND(shutdown);
	FIND(socket);
	FIND(socketpair);
	FIND(close);
	FIND(fclose);
	FIND(syscall);
	FIND(close_range);
	FIND(closefrom);
	FIND(unlink);
	FIND(unlinkat);
	FIND(remove);
	FIND(dup);
	FIND(dup2);
	FIND(dup3);
	FIND(fcntl);
	FIND(epoll_ctl);
	FIND(poll);
	FIND(ppoll);
	FIND(select);
	FIND(pselect);
	FIND(read);
	FIND(readv);
	FIND(recv);
	FIND(recvfrom);
	FIND(recvmsg);
	FIND(write);
	FIND(writev);
	FIND(send);
	FIND(sendto);
	FIND(sendmsg);
	FIND(recvmmsg);
	FIND(sendmmsg);
	FIND(sendfile);
	FIND(sendfile64);
	FIND(splice);
	real.found = true;
}

const struct lp_libc *lp_libc(void)
{
	if (__builtin_expect(!real.found, 0))
		find_all();
	return &real;
}
