/*
 * One descriptor a message is all that channels need. A worker that means harm may send more.
 */
#include "wire/scm_rights.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

ssize_t lp_scm_rights_send(int channel, const char *bytes, size_t length, int fd)
{
	struct iovec iov = {.iov_base = (char *)bytes, .iov_len = length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {0}; /* Its padding goes to the kernel too. */
	if (fd >= 0) {
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
	}
	ssize_t sent = sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): bytes are written, through iov. */
ssize_t lp_scm_rights_receive(int channel, char *bytes, size_t size, int flags, int *fd)
{
	union control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	/* Without the padding, into which a second descriptor would fit: what there is no room for the kernel closes. */
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
	*fd = -1;
	ssize_t got = recvmsg(channel, &message, MSG_DONTWAIT | flags);
	struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	return got < 0 ? -errno : got;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): bytes are written, through iov. */
ssize_t lp_scm_rights_receive_journal(int channel, char *bytes, size_t size, int fds[LP_SCM_RIGHTS_MAX], size_t *count,
				      struct mmsghdr *journal)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(LP_SCM_RIGHTS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	*count = 0;
	journal->msg_len = 0;
	journal->msg_hdr = (struct msghdr){
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int messages = recvmmsg(channel, journal, 1, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
	struct cmsghdr *header = messages > 0 ? CMSG_FIRSTHDR(&journal->msg_hdr) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		*count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(header), *count * sizeof(int));
	}
	return messages < 0 ? -errno : (ssize_t)journal->msg_len;
}

ssize_t lp_scm_rights_receive_all(int channel, char *bytes, size_t size, int fds[LP_SCM_RIGHTS_MAX], size_t *count)
{
	struct mmsghdr journal;
	return lp_scm_rights_receive_journal(channel, bytes, size, fds, count, &journal);
}
