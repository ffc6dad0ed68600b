/**
 * Messages with a descriptor, over a unix socket: for both ends of channels. Nothing but the C library is used here.
 */
#ifndef LP_WIRE_SCM_RIGHTS_H
#define LP_WIRE_SCM_RIGHTS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/** The most descriptors that the kernel lets a message have (SCM_MAX_FD). */
#define LP_SCM_RIGHTS_MAX 253

/**
 * Send a message without waiting.
 *
 * @param channel  The socket. Borrowed.
 * @param bytes    The message.
 * @param length   1 or more.
 * @param fd       Rides with it, borrowed; or -1.
 *
 * @return Bytes sent, or negative errno.
 */
ssize_t lp_scm_rights_send(int channel, const char *bytes, size_t length, int fd);

/**
 * Receive a message without waiting.
 *
 * @param channel  The socket. Borrowed.
 * @param bytes    Room for the message.
 * @param size     Bytes of it.
 * @param flags    0, or MSG_CMSG_CLOEXEC for a descriptor that is close-on-exec.
 * @param fd       Set to the descriptor that came with it, the caller's; or to -1. More than one are closed.
 *
 * @return Bytes received, 0 at the end, or negative errno.
 */
ssize_t lp_scm_rights_receive(int channel, char *bytes, size_t size, int flags, int *fd);

/**
 * Receive a message from somebody who may send whatever he likes. What there is no room for the kernel would close, and wait
 * for its end if it lingers: so there is room for all.
 *
 * @param channel  The socket. Borrowed.
 * @param bytes    Room for the message.
 * @param size     Bytes of it.
 * @param fds      Room for LP_SCM_RIGHTS_MAX descriptors: those that came, close-on-exec, are the caller's.
 * @param count    Set to how many.
 *
 * @return Bytes received, 0 at the end or for a message without bytes, or negative errno.
 */
ssize_t lp_scm_rights_receive_all(int channel, char *bytes, size_t size, int fds[LP_SCM_RIGHTS_MAX], size_t *count);

/**
 * The same, except that the kernel writes how many bytes came while it takes them: so that is known also if this process is
 * killed before the call returns.
 *
 * @param channel  The socket. Borrowed.
 * @param bytes    Room for the message.
 * @param size     Bytes of it.
 * @param fds      As above.
 * @param count    As above.
 * @param journal  Its msg_len is set to the bytes received, or to 0.
 *
 * @return As above.
 */
ssize_t lp_scm_rights_receive_journal(int channel, char *bytes, size_t size, int fds[LP_SCM_RIGHTS_MAX], size_t *count,
				      struct mmsghdr *journal);

#endif
