/*
 * By system call: glibc has had functions for these only since 2.36. A member of a group is signalled through a
 * descriptor, too, and only if its group is still the leader's after the descriptor was opened.
 */
#include "worker/pidfd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/process_facts.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* PIDFD_SIGNAL_PROCESS_GROUP of newer headers. */
#define TO_GROUP (1u << 2)

int lp_pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

int lp_pidfd_of_peer(int socket)
{
	int fd = -1;
	socklen_t size = sizeof(fd);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0 && fd >= 0)
		return fd;
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOPROTOOPT:
		return -errno;
	default: /* EINVAL, ENODATA or ESRCH, as kernels have it. */
		return -ESRCH;
	}
}

bool lp_pidfd_is_alive(int pidfd)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};
	return poll(&end, 1, 0) == 0;
}

static int send_signal(int pidfd, int signal, unsigned flags)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, flags) ? -errno : 0;
}

int lp_pidfd_signal(int pidfd, int signal)
{
	return send_signal(pidfd, signal, 0);
}

static int signal_member(pid_t pid, pid_t group, int signal)
{
	struct lp_process_facts facts;
	int status = lp_process_facts_read(pid, &facts);
	if (status || facts.group != group)
		return -ESRCH;
	int pidfd = lp_pidfd_open(pid);
	if (pidfd < 0)
		return pidfd;
	status = lp_process_facts_read(pid, &facts);
	if (!status)
		status = facts.group == group ? lp_pidfd_signal(pidfd, signal) : -ESRCH;
	close(pidfd);
	return status;
}

int lp_pidfd_signal_members(int pidfd, pid_t pid, int signal)
{
	DIR *folder = lp_pidfd_is_alive(pidfd) ? opendir("/proc") : NULL;
	struct dirent *entry;
	int status = -ESRCH;
	while (folder && (entry = readdir(folder))) {
		pid_t member = (pid_t)strtol(entry->d_name, NULL, 10);
		if (member > 0 && member != pid && signal_member(member, pid, signal) == 0)
			status = 0;
	}
	if (folder)
		closedir(folder);
	return lp_pidfd_signal(pidfd, signal) == 0 ? 0 : status; /* Last: while it lives, the group's number is its. */
}

int lp_pidfd_signal_group(int pidfd, pid_t pid, int signal)
{
	int status = send_signal(pidfd, signal, TO_GROUP);
	return status == -EINVAL ? lp_pidfd_signal_members(pidfd, pid, signal) : status;
}
