/*
 * Bytes of connections that limpet handed over. For every other descriptor each of these is one look at a table.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "limpet/export.h"
#include "preload/accepted.h"
#include "preload/descriptors.h"
#include "preload/listening.h"
#include "preload/real.h"
#include "preload/self.h"
#include "preload/traffic.h"

/* Pieces that a read into several is cut down to. */
#define PIECES_MAX 64

static bool is_connection(int fd)
{
	return lp_descriptor_kind(fd) == LP_CONNECTION;
}

static bool is_followed(int fd)
{
	return lp_descriptors[fd].phase != LP_OPAQUE;
}

/* Before a read: 1 to go on, with the room cut down; else what the read returns. */
static ssize_t before_read(int fd, size_t *room, int flags)
{
	if (!is_followed(fd))
		return 1;
	bool waits = !(flags & MSG_DONTWAIT) && !(lp_real()->fcntl(fd, F_GETFL) & O_NONBLOCK);
	return lp_traffic_reading(fd, *room, waits, room);
}

static ssize_t after_read(int fd, ssize_t got, int flags)
{
	if (got > 0 && !(flags & MSG_PEEK))
		lp_traffic_has_read(fd, (size_t)got);
	return got;
}

static size_t room_of(const struct iovec *pieces, size_t count)
{
	size_t room = 0;
	for (size_t i = 0; i < count; i++)
		room += pieces[i].iov_len;
	return room;
}

/* The first so many bytes of pieces. Returns how many pieces that is. */
static size_t cut(struct iovec *into, const struct iovec *pieces, size_t count, size_t room)
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
	if (!is_connection(fd))
		return lp_real()->read(fd, bytes, size);
	ssize_t verdict = before_read(fd, &size, 0);
	return verdict <= 0 ? verdict : after_read(fd, lp_real()->read(fd, bytes, size), 0);
}

LIMPET_EXPORT ssize_t recvfrom(int fd, void *restrict bytes, size_t size, int flags, __SOCKADDR_ARG address,
			       socklen_t *restrict length)
{
	if (!is_connection(fd))
		return lp_real()->recvfrom(fd, bytes, size, flags, address.__sockaddr__, length);
	ssize_t verdict = before_read(fd, &size, flags);
	if (verdict <= 0)
		return verdict;
	bool named = address.__sockaddr__ && length && lp_accepted_is_own_family(fd);
	struct sockaddr *name = named ? address.__sockaddr__ : NULL;
	ssize_t got = lp_real()->recvfrom(fd, bytes, size, flags, name, named ? length : NULL);
	if (got >= 0 && address.__sockaddr__ && length && !named)
		*length = 0; /* As of a TCP socket: a client's unix name is none of a program's that listens on TCP. */
	return after_read(fd, got, flags);
}

LIMPET_EXPORT ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
	if (!is_connection(fd))
		return lp_real()->recv(fd, bytes, size, flags);
	ssize_t verdict = before_read(fd, &size, flags);
	return verdict <= 0 ? verdict : after_read(fd, lp_real()->recv(fd, bytes, size, flags), flags);
}

LIMPET_EXPORT ssize_t readv(int fd, const struct iovec *pieces, int count)
{
	struct iovec fewer[PIECES_MAX];
	if (!is_connection(fd) || count <= 0)
		return lp_real()->readv(fd, pieces, count);
	size_t room = room_of(pieces, (size_t)count);
	ssize_t verdict = before_read(fd, &room, 0);
	if (verdict <= 0)
		return verdict;
	int used = (int)cut(fewer, pieces, (size_t)count, room);
	return after_read(fd, lp_real()->readv(fd, fewer, used), 0);
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

LIMPET_EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct iovec fewer[PIECES_MAX];
	if (!is_connection(fd) || !message || !message->msg_iovlen) {
		ssize_t got = lp_real()->recvmsg(fd, message, flags);
		/* Our own channel brings connections, which are asked nothing. */
		if (got >= 0 && message && message->msg_control && message->msg_controllen && !lp_self_is_channel(fd))
			look_at_descriptors(message);
		return got;
	}
	size_t room = room_of(message->msg_iov, message->msg_iovlen);
	ssize_t verdict = before_read(fd, &room, flags);
	if (verdict <= 0)
		return verdict;
	struct msghdr asked = *message;
	message->msg_iov = fewer;
	message->msg_iovlen = cut(fewer, asked.msg_iov, asked.msg_iovlen, room);
	bool named = asked.msg_name && lp_accepted_is_own_family(fd);
	if (!named)
		message->msg_name = NULL;
	ssize_t got = lp_real()->recvmsg(fd, message, flags);
	message->msg_iov = asked.msg_iov;
	message->msg_iovlen = asked.msg_iovlen;
	message->msg_name = asked.msg_name;
	if (got >= 0 && asked.msg_name && !named)
		message->msg_namelen = 0;
	return after_read(fd, got, flags);
}

static void before_write(int fd, const void *bytes, size_t size)
{
	if (is_connection(fd))
		lp_traffic_writing(fd, &(struct iovec){.iov_base = (void *)bytes, .iov_len = size}, 1);
}

LIMPET_EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
	before_write(fd, bytes, size);
	return lp_real()->write(fd, bytes, size);
}

LIMPET_EXPORT ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
	before_write(fd, bytes, size);
	return lp_real()->send(fd, bytes, size, flags);
}

LIMPET_EXPORT ssize_t sendto(int fd, const void *bytes, size_t size, int flags, __CONST_SOCKADDR_ARG address,
			     socklen_t length)
{
	before_write(fd, bytes, size);
	return lp_real()->sendto(fd, bytes, size, flags, address.__sockaddr__, length);
}

LIMPET_EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count)
{
	if (is_connection(fd) && count > 0)
		lp_traffic_writing(fd, pieces, (size_t)count);
	return lp_real()->writev(fd, pieces, count);
}

LIMPET_EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (is_connection(fd) && message)
		lp_traffic_writing(fd, message->msg_iov, message->msg_iovlen);
	return lp_real()->sendmsg(fd, message, flags);
}
