/**
 * Descriptors of processes (pidfd). One names the same process for as long as it is open, also when the process has ended
 * and its number is another's. So signals to processes that are not our children go through them, never by number.
 */
#ifndef LP_WORKER_PIDFD_H
#define LP_WORKER_PIDFD_H

#include <stdbool.h>
#include <sys/types.h>

/** A descriptor of the process that has a number now. @param pid Its number. @return The caller's (close-on-exec), or
 * negative errno: -ESRCH, -EMFILE … */
int lp_pidfd_open(pid_t pid);

/**
 * A descriptor of the process that connected a unix socket.
 *
 * @param socket  Accepted, or of a pair. Borrowed.
 *
 * @return The caller's (close-on-exec); or negative errno: -ENOPROTOOPT the kernel is older than Linux 6.5, -ESRCH the
 *         process has ended.
 */
int lp_pidfd_of_peer(int socket);

/** Whether a process runs, or may be stopped; a zombie does not. @param pidfd Of it. Borrowed. */
bool lp_pidfd_is_alive(int pidfd);

/** Send a signal to a process. @param pidfd Of it. Borrowed. @param signal SIGTERM … @return 0, or negative errno. */
int lp_pidfd_signal(int pidfd, int signal);

/**
 * Send a signal to the whole group that a process leads.
 *
 * @param pidfd   Of the leader. Borrowed.
 * @param pid     Its number.
 * @param signal  SIGTERM …
 *
 * @return 0, or negative errno: -ESRCH nobody is left.
 */
int lp_pidfd_signal_group(int pidfd, pid_t pid, int signal);

/**
 * The same, one by one: for kernels before Linux 6.9, which signal no group through a descriptor.
 *
 * @param pidfd   Of the leader, which must still run. Borrowed.
 * @param pid     Its number.
 * @param signal  SIGTERM …
 *
 * @return As lp_pidfd_signal_group.
 */
int lp_pidfd_signal_members(int pidfd, pid_t pid, int signal);

#endif
