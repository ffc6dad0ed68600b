/*
 * Bytes of connections that limpet handed over. For every other descriptor each of these is one look at a table.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "limpet/export.h"
#include "preload/accepted.h"
#include "preload/connection_traffic.h"
#include "preload/descriptors.h"
#include "preload/libc.h"
#include "preload/listening.h"
#include "preload/registration.h"

/* Pieces that a read into several is cut down to. */
#define PIECES_MAX 64

static bool is_connection(int fd)
{
	return lp_descriptor_kind(fd) == LP_CONNECTION;
}

/* Whether a read is one of the bytes that come in order, which is all that is followed. */
static bool is_plain(int fd, int flags)
{
	if (!is_connection(fd) || flags & (MSG_OOB | MSG_ERRQUEUE))
		return false;
	if (flags & MSG_TRUNC) /* They are dropped, and nobody can look at them. */
		lp_connection_traffic_stop(fd);
	return true;
}

/* Reads */

static ssize_t after_read(int fd, const struct iovec *pieces, size_t count, ssize_t got, int flags, bool cut)
{
	if (got > 0 && !(flags & MSG_PEEK))
		lp_connection_traffic_has_read(fd, pieces, count, (size_t)got, cut);
	return got;
}

static size_t room_of(const struct iovec *pieces, size_t count)
{
	size_t room = 0;
	for (size_t i = 0; i < count; i++)
		room += pieces[i].iov_len;
	return room;
}

/* Take the first `room` bytes of pieces. Returns how many pieces that is. */
static size_t cut_pieces(struct iovec *into, const struct iovec *pieces, size_t count, size_t room)
{
	size_t used = 0;
	for (; used < count && used < PIECES_MAX && room; used++) {
		into[used] = pieces[used];
		if (into[used].iov_len > room)
			into[used].iov_len = room;
		room -= into[used].iov_len;
	}
	return used;
}

LIMPET_EXPORT ssize_t read(int fd, void *bytes, size_t size)
{
	size_t allowed;
	if (!is_connection(fd))
		return lp_libc()->read(fd, bytes, size);
	int verdict = lp_connection_traffic_reading(fd, size, 0, &allowed);
	if (verdict <= 0)
		return verdict;
	ssize_t got = lp_libc()->read(fd, bytes, allowed);
	struct iovec piece = {bytes, allowed};
	return after_read(fd, &piece, 1, got, 0, got == (ssize_t)allowed && allowed < size);
}

/* As of a TCP socket, which has no names with its bytes: a client's unix name is none of a program's that listens on TCP. */
static ssize_t receive_bytes(int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
	bool named = address && length && lp_accepted_is_own_family(fd);
	ssize_t got = lp_libc()->recvfrom(fd, bytes, size, flags, named ? address : NULL, named ? length : NULL);
	if (got >= 0 && address && length && !named)
		*length = 0;
	return got;
}

static ssize_t receive_followed(int fd, void *bytes, size_t size, int flags, struct sockaddr *address,
				socklen_t *length)
{
	size_t allowed;
	int verdict = lp_connection_traffic_reading(fd, size, flags, &allowed);
	if (verdict <= 0) {
		if (verdict == 0 && address && length)
			*length = 0;
		return verdict;
	}
	ssize_t got = receive_bytes(fd, bytes, allowed, flags, address, length);
	struct iovec piece = {bytes, allowed};
	return after_read(fd, &piece, 1, got, flags, got == (ssize_t)allowed && allowed < size);
}

LIMPET_EXPORT ssize_t recvfrom(int fd, void *restrict bytes, size_t size, int flags, __SOCKADDR_ARG address,
			       socklen_t *restrict length)
{
	if (!is_plain(fd, flags))
		return lp_libc()->recvfrom(fd, bytes, size, flags, address.__sockaddr__, length);
	return receive_followed(fd, bytes, size, flags, address.__sockaddr__, length);
}

LIMPET_EXPORT ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
	if (!is_plain(fd, flags))
		return lp_libc()->recv(fd, bytes, size, flags);
	return receive_followed(fd, bytes, size, flags, NULL, NULL);
}

LIMPET_EXPORT ssize_t readv(int fd, const struct iovec *pieces, int count)
{
	struct iovec fewer[PIECES_MAX];
	size_t allowed;
	if (!is_connection(fd) || count <= 0)
		return lp_libc()->readv(fd, pieces, count);
	size_t room = room_of(pieces, (size_t)count);
	int verdict = lp_connection_traffic_reading(fd, room, 0, &allowed);
	if (verdict <= 0)
		return verdict;
	size_t used = cut_pieces(fewer, pieces, (size_t)count, allowed);
	ssize_t got = lp_libc()->readv(fd, fewer, (int)used);
	return after_read(fd, fewer, used, got, 0, got == (ssize_t)allowed && allowed < room);
}

/* Descriptors from another process: each number means something new, and some are placeholders. */
static void look_at_descriptors(struct msghdr *message)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= header->cmsg_len; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
			lp_listening_received(fd);
		}
	}
}

/* Receive into other pieces than the program's; it finds its own in the message again. */
static ssize_t receive_message(int fd, struct msghdr *message, struct iovec *pieces, size_t count, int flags)
{
	struct msghdr asked = *message;
	bool named = asked.msg_name && lp_accepted_is_own_family(fd);
	message->msg_iov = pieces;
	message->msg_iovlen = count;
	if (!named)
		message->msg_name = NULL;
	ssize_t got = lp_libc()->recvmsg(fd, message, flags);
	message->msg_iov = asked.msg_iov;
	message->msg_iovlen = asked.msg_iovlen;
	message->msg_name = asked.msg_name;
	if (got >= 0 && asked.msg_name && !named)
		message->msg_namelen = 0;
	return got;
}

static ssize_t receive_message_followed(int fd, struct msghdr *message, int flags)
{
	struct iovec fewer[PIECES_MAX];
	size_t allowed;
	size_t room = room_of(message->msg_iov, message->msg_iovlen);
	int verdict = lp_connection_traffic_reading(fd, room, flags, &allowed);
	if (verdict == 0) {
		message->msg_namelen = 0;
		message->msg_controllen = 0;
		message->msg_flags = 0;
	}
	if (verdict <= 0)
		return verdict;
	size_t used = cut_pieces(fewer, message->msg_iov, message->msg_iovlen, allowed);
	ssize_t got = receive_message(fd, message, fewer, used, flags);
	return after_read(fd, fewer, used, got, flags, got == (ssize_t)allowed && allowed < room);
}

LIMPET_EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	if (message && message->msg_iovlen && is_plain(fd, flags))
		return receive_message_followed(fd, message, flags);
	ssize_t got = lp_libc()->recvmsg(fd, message, flags);
	/* Our own channel brings connections, which are asked nothing. */
	if (got >= 0 && message && message->msg_control && message->msg_controllen && !lp_registration_is_channel(fd))
		look_at_descriptors(message);
	return got;
}

/* Of a connection, one message at a time. */
LIMPET_EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	if (!is_connection(fd) || !count)
		return lp_libc()->recvmmsg(fd, messages, count, flags, timeout);
	ssize_t got = recvmsg(fd, &messages->msg_hdr, flags & ~MSG_WAITFORONE);
	if (got >= 0)
		messages->msg_len = (unsigned)got;
	return got < 0 ? -1 : 1;
}

/* Writes */

static ssize_t after_write(int fd, const struct iovec *pieces, size_t count, struct lp_http_exchange_write *followed,
			   ssize_t result)
{
	int error = errno;
	lp_connection_traffic_has_written(fd, pieces, count, followed, result);
	errno = error;
	return result;
}

LIMPET_EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
	if (!is_connection(fd))
		return lp_libc()->write(fd, bytes, size);
	struct iovec piece = {(void *)bytes, size};
	struct lp_http_exchange_write followed;
	lp_connection_traffic_writing(fd, &piece, 1, &followed);
	return after_write(fd, &piece, 1, &followed, lp_libc()->write(fd, bytes, size));
}

LIMPET_EXPORT ssize_t sendto(int fd, const void *bytes, size_t size, int flags, __CONST_SOCKADDR_ARG address,
			     socklen_t length)
{
	if (!is_connection(fd) || flags & MSG_OOB)
		return lp_libc()->sendto(fd, bytes, size, flags, address.__sockaddr__, length);
	struct iovec piece = {(void *)bytes, size};
	struct lp_http_exchange_write followed;
	lp_connection_traffic_writing(fd, &piece, 1, &followed);
	ssize_t result = lp_libc()->sendto(fd, bytes, size, flags, address.__sockaddr__, length);
	return after_write(fd, &piece, 1, &followed, result);
}

LIMPET_EXPORT ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
	if (!is_connection(fd))
		return lp_libc()->send(fd, bytes, size, flags);
	return sendto(fd, bytes, size, flags, NULL, 0);
}

LIMPET_EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count)
{
	if (!is_connection(fd) || count <= 0)
		return lp_libc()->writev(fd, pieces, count);
	struct lp_http_exchange_write followed;
	lp_connection_traffic_writing(fd, pieces, (size_t)count, &followed);
	return after_write(fd, pieces, (size_t)count, &followed, lp_libc()->writev(fd, pieces, count));
}

LIMPET_EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (!is_connection(fd) || !message || flags & MSG_OOB)
		return lp_libc()->sendmsg(fd, message, flags);
	struct lp_http_exchange_write followed;
	lp_connection_traffic_writing(fd, message->msg_iov, message->msg_iovlen, &followed);
	return after_write(fd, message->msg_iov, message->msg_iovlen, &followed,
			   lp_libc()->sendmsg(fd, message, flags));
}

/* To a connection, one message after the other. */
LIMPET_EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (!is_connection(fd))
		return lp_libc()->sendmmsg(fd, messages, count, flags);
	int sent = 0;
	for (; sent < (int)count; sent++) {
		ssize_t result = sendmsg(fd, &messages[sent].msg_hdr, flags);
		if (result < 0)
			return sent ? sent : -1;
		messages[sent].msg_len = (unsigned)result;
	}
	return sent;
}

/* From one descriptor to another */

static ssize_t after_send(int fd, ssize_t result)
{
	if (result > 0 && is_connection(fd))
		lp_connection_traffic_has_sent(fd, (size_t)result);
	return result;
}

LIMPET_EXPORT ssize_t sendfile(int to, int from, off_t *offset, size_t count)
{
	return after_send(to, lp_libc()->sendfile(to, from, offset, count));
}

LIMPET_EXPORT ssize_t sendfile64(int to, int from, off64_t *offset, size_t count)
{
	return after_send(to, lp_libc()->sendfile64(to, from, offset, count));
}

LIMPET_EXPORT ssize_t splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length, unsigned flags)
{
	if (is_connection(from))
		lp_connection_traffic_stop(from);
	return after_send(to, lp_libc()->splice(from, from_offset, to, to_offset, length, flags));
}
