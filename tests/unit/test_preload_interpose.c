/*
 * What stands before the C library, in a program that calls it as programs do: this one, which is linked with it. It starts
 * itself once more with the environment of a worker; limpet's side is here as well, and nobody's descriptors in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "preload/descriptors.h"
#include "preload/registration.h"
#include "preload_fixture.h"
#include "wire/placeholder.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET "GET / HTTP/1.1\r\n\r\n"
#define FOREIGN "GET /?EIO=4&sid=of-another HTTP/1.1\r\n\r\n"

/* Where the process of before has left what this one begins with. */
enum { OUTER = 40, PLACEHOLDER = 50 };

static char path[sizeof(folder) + 8]; /* limpet's third listener. */

ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);
ssize_t __recv_chk(int fd, void *bytes, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t size, size_t room, int flags, struct sockaddr *address,
		       socklen_t *length);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);

/* The program */

static int listen_at(int which)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = ports[which]};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(lp_descriptor_kind(fd), LP_LISTENER);
	return fd;
}

/* A registered process with one listener, and a connection of it. */
struct running {
	int listener;
	int channel;
	int client;
	int connection;
};

static int accept_one(int channel, int listener)
{
	wait_for(listener);
	int connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(connection >= 0);
	expect(channel, LP_FRAME_ACK);
	assert_int_equal(lp_descriptor_kind(connection), LP_CONNECTION);
	return connection;
}

static struct running run(enum lp_frame_each each)
{
	struct running running = {.listener = listen_at(0)};
	struct pollfd one = {.fd = running.listener, .events = POLLIN};
	assert_int_equal(poll(&one, 1, 0), 0); /* Who waits shows interest. */
	running.channel = admit(0);
	send_frame(running.channel, (struct lp_frame){.kind = LP_FRAME_EACH, .number = each}, -1);
	running.client = give(running.channel, 1, 0);
	running.connection = accept_one(running.channel, running.listener);
	return running;
}

static void end(struct running running)
{
	if (running.connection >= 0)
		close(running.connection);
	close(running.client);
	close(running.listener);
	expect_end(running.channel);
}

static void client_sends(int client, const char *text)
{
	assert_int_equal(send(client, text, strlen(text), 0), strlen(text));
}

static void client_gets(int client, const char *text)
{
	char bytes[256];
	size_t length = 0;
	while (length < strlen(text)) {
		wait_for(client);
		ssize_t got = recv(client, bytes + length, strlen(text) - length, 0);
		assert_true(got > 0);
		length += (size_t)got;
	}
	assert_memory_equal(bytes, text, length);
}

/* Ways to read */

static ssize_t by_read(int fd, char *bytes, size_t size)
{
	return read(fd, bytes, size);
}

static ssize_t by_read_chk(int fd, char *bytes, size_t size)
{
	return __read_chk(fd, bytes, size, size);
}

static ssize_t by_recv(int fd, char *bytes, size_t size)
{
	return recv(fd, bytes, size, 0);
}

static ssize_t by_recv_chk(int fd, char *bytes, size_t size)
{
	return __recv_chk(fd, bytes, size, size, 0);
}

static ssize_t by_recvfrom(int fd, char *bytes, size_t size)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	ssize_t got = recvfrom(fd, bytes, size, 0, (struct sockaddr *)&name, &length);
	assert_true(got < 0 || length == 0); /* A stream has no names with its bytes. */
	return got;
}

static ssize_t by_recvfrom_chk(int fd, char *bytes, size_t size)
{
	return __recvfrom_chk(fd, bytes, size, size, 0, NULL, NULL);
}

static ssize_t by_readv(int fd, char *bytes, size_t size)
{
	struct iovec pieces[] = {{bytes, 3}, {bytes + 3, size - 3}};
	return readv(fd, pieces, 2);
}

static ssize_t by_recvmsg(int fd, char *bytes, size_t size)
{
	struct sockaddr_storage name;
	struct iovec pieces[] = {{bytes, 3}, {bytes + 3, size - 3}};
	struct msghdr message = {
		.msg_iov = pieces, .msg_iovlen = 2, .msg_name = &name, .msg_namelen = sizeof(name), .msg_flags = -1};
	ssize_t got = recvmsg(fd, &message, 0);
	if (got >= 0)
		assert_int_equal(message.msg_namelen, 0);
	assert_ptr_equal(message.msg_iov, pieces);
	assert_int_equal(message.msg_iovlen, 2);
	return got;
}

static ssize_t by_recvmmsg(int fd, char *bytes, size_t size)
{
	struct iovec piece = {bytes, size};
	struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}}};
	int got = recvmmsg(fd, messages, 2, MSG_WAITFORONE, NULL);
	return got < 0 ? -1 : (ssize_t)messages[0].msg_len;
}

/* Ways to write; each writes it all. */

static ssize_t by_write(int fd, const char *text)
{
	return write(fd, text, strlen(text));
}

static ssize_t by_send(int fd, const char *text)
{
	return send(fd, text, strlen(text), 0);
}

static ssize_t by_sendto(int fd, const char *text)
{
	return sendto(fd, text, strlen(text), 0, NULL, 0);
}

static ssize_t by_writev(int fd, const char *text)
{
	struct iovec pieces[] = {{(char *)text, 5}, {(char *)text + 5, strlen(text) - 5}};
	return writev(fd, pieces, 2);
}

static ssize_t by_sendmsg(int fd, const char *text)
{
	struct iovec pieces[] = {{(char *)text, 5}, {(char *)text + 5, strlen(text) - 5}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
	return sendmsg(fd, &message, 0);
}

static ssize_t by_sendmmsg(int fd, const char *text)
{
	struct iovec pieces[] = {{(char *)text, 5}, {(char *)text + 5, strlen(text) - 5}};
	struct mmsghdr messages[] = {{.msg_hdr = {.msg_iov = &pieces[0], .msg_iovlen = 1}},
				     {.msg_hdr = {.msg_iov = &pieces[1], .msg_iovlen = 1}}};
	assert_int_equal(sendmmsg(fd, messages, 2, 0), 2);
	return (ssize_t)messages[0].msg_len + (ssize_t)messages[1].msg_len;
}

static const struct {
	ssize_t (*read)(int fd, char *bytes, size_t size);
	ssize_t (*write)(int fd, const char *text);
} ways[] = {{by_read, by_write},      {by_read_chk, by_send},    {by_recv, by_sendto},
	    {by_recv_chk, by_writev}, {by_recvfrom, by_sendmsg}, {by_recvfrom_chk, by_sendmmsg},
	    {by_readv, by_write},     {by_recvmsg, by_write},    {by_recvmmsg, by_write}};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* Tests */

static void a_worker_begins_with_what_it_has_from_limpet(void **state)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof(name);
	char pid[16];
	(void)state;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_string_equal(getenv("LISTEN_PID"), pid);
	assert_int_equal(lp_descriptor_kind(PLACEHOLDER), LP_LISTENER);
	assert_int_equal(getsockname(PLACEHOLDER, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(name.sin_family, AF_INET);
	assert_int_equal(name.sin_port, ports[1]);
	assert_int_equal(listen(PLACEHOLDER, 8), 0);
	assert_int_equal(close(PLACEHOLDER), 0);
	assert_int_equal(lp_descriptor_kind(PLACEHOLDER), LP_OTHER);
}

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static void a_listener_looks_like_one(void **state)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof(name);
	int on = 1;
	(void)state;
	int fd = listen_at(0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(name.sin_port, ports[0]);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, NULL), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&name, &length), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(option_of(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on)), 0);
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(close(fd), 0);
}

static void other_descriptors_are_the_kernels(void **state)
{
	struct sockaddr_storage name = {0};
	socklen_t length = sizeof(name);
	char bytes[8];
	struct iovec piece = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	struct mmsghdr messages = {.msg_hdr = message};
	struct timespec none = {0};
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(write(pair[0], "a", 1), 1);
	assert_int_equal(read(pair[1], bytes, 8), 1);
	assert_int_equal(send(pair[0], "a", 1, 0), 1);
	assert_int_equal(recv(pair[1], bytes, 8, 0), 1);
	assert_int_equal(sendto(pair[0], "a", 1, 0, NULL, 0), 1);
	assert_int_equal(recvfrom(pair[1], bytes, 8, 0, NULL, NULL), 1);
	piece.iov_len = 1;
	assert_int_equal(writev(pair[0], &piece, 1), 1);
	assert_int_equal(readv(pair[1], &piece, 1), 1);
	assert_int_equal(sendmsg(pair[0], &message, 0), 1);
	assert_int_equal(recvmsg(pair[1], &message, 0), 1);
	assert_int_equal(sendmmsg(pair[0], &messages, 1, 0), 1);
	assert_int_equal(recvmmsg(pair[1], &messages, 1, 0, &none), 1);
	assert_int_equal(getsockname(pair[0], (struct sockaddr *)&name, &length), 0);
	assert_int_equal(getpeername(pair[0], (struct sockaddr *)&name, &length), 0);
	assert_int_equal(option_of(pair[0], SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	assert_int_equal(shutdown(pair[0], SHUT_RDWR), 0);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
	assert_int_equal(read(pair[1], bytes, 8), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(socketpair(-1, 0, 0, pair), -1);
	assert_int_equal(socket(-1, 0, 0), -1);
}

static void each_way_of_reading_ends_with_a_request_and_sees_the_end_when_the_next_is_anothers(void **state)
{
	char bytes[4096];
	int given;
	(void)state;
	for (int i = 0; i < WAYS; i++) {
		struct running running = run(LP_EACH_SESSION);
		client_sends(running.client, GET GET);
		for (int request = 0; request < 2; request++) {
			wait_for(running.connection);
			assert_int_equal(ways[i].read(running.connection, bytes, sizeof(bytes)), strlen(GET));
			assert_memory_equal(bytes, GET, strlen(GET));
			assert_int_equal(ways[i].write(running.connection, OK), strlen(OK));
		}
		client_gets(running.client, OK OK);
		assert_int_equal(ways[i].read(running.connection, bytes, sizeof(bytes)), -1);
		assert_int_equal(errno, EAGAIN);
		client_sends(running.client, FOREIGN);
		wait_for(running.connection);
		assert_int_equal(ways[i].read(running.connection, bytes, sizeof(bytes)), 0);
		assert_int_equal(receive(running.channel, &given).kind, LP_FRAME_BOUNCE);
		client_gets(given, FOREIGN);
		close(given);
		end(running);
	}
}

static void assert_reads(int fd, const char *text)
{
	char bytes[4096];
	wait_for(fd);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

static void assert_given_back(const struct running *running, const char *request)
{
	char bytes[256];
	int given;
	wait_for(running->connection);
	assert_int_equal(read(running->connection, bytes, sizeof(bytes)), 0);
	assert_int_equal(receive(running->channel, &given).kind, LP_FRAME_BOUNCE);
	client_gets(given, request);
	close(given);
}

/* Which requests limpet wants: each but the first; or, besides those of other workers' sessions, those that begin one. */
static void requests_are_given_back_as_limpet_wants_it(void **state)
{
	static const char opening[] = "GET /?EIO=4&transport=polling HTTP/1.1\r\n\r\n";
	static const struct {
		const char *request;
		enum lp_frame_each each;
		bool stays;
	} cases[] = {{GET, LP_EACH_REQUEST, false},     {opening, LP_EACH_REQUEST, false},
		     {opening, LP_EACH_SESSION, false}, {GET, LP_EACH_SESSION, true},
		     {FOREIGN, LP_EACH_NONE, true},     {opening, LP_EACH_NONE, true}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct running running = run(cases[i].each);
		client_sends(running.client, GET);
		assert_reads(running.connection, GET);
		by_write(running.connection, OK);
		client_gets(running.client, OK);
		client_sends(running.client, cases[i].request);
		if (cases[i].stays)
			assert_reads(running.connection, cases[i].request);
		else
			assert_given_back(&running, cases[i].request);
		end(running);
	}
}

static void bodies_are_read_up_to_their_ends(void **state)
{
	static const char *const bodies[] = {
		"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
	char bytes[256];
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct running running = run(LP_EACH_SESSION);
		client_sends(running.client, bodies[i]);
		client_sends(running.client, GET);
		size_t got = 0;
		while (got < strlen(bodies[i])) { /* In small pieces. */
			wait_for(running.connection);
			ssize_t piece = read(running.connection, bytes + got, 7);
			assert_true(piece > 0);
			got += (size_t)piece;
		}
		assert_int_equal(got, strlen(bodies[i]));
		assert_memory_equal(bytes, bodies[i], got);
		by_write(running.connection, OK);
		assert_reads(running.connection, GET);
		by_write(running.connection, OK);
		client_gets(running.client, OK OK);
		client_sends(running.client, FOREIGN);
		assert_given_back(&running, FOREIGN);
		end(running);
	}
}

/* Where a request's end is not known, a foreign one ends the connection, and its watch hears of that. */
static void behind_an_unknown_end_a_foreign_request_ends_the_connection(void **state)
{
	static const char doubtful[] = "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n";
	char bytes[256];
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, running.connection, &event), 0);
	client_sends(running.client, doubtful);
	assert_reads(running.connection, doubtful);
	by_write(running.connection, OK);
	client_gets(running.client, OK);
	client_sends(running.client, FOREIGN);
	wait_for(running.connection);
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), 0);
	wait_for(running.client);
	assert_int_equal(recv(running.client, bytes, sizeof(bytes), 0), 0); /* And no reset: nothing is left unread. */
	assert_int_equal(epoll_wait(set, &event, 1, PATIENCE_MS), 1);
	assert_true(event.events & EPOLLHUP);
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), 0);
	close(set);
	end(running);
}

static void a_client_that_resets_is_an_error_and_one_that_ends_is_an_end(void **state)
{
	char bytes[256];
	struct linger linger = {.l_onoff = 1};
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	assert_int_equal(shutdown(running.client, SHUT_WR), 0);
	wait_for(running.connection);
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), 0);
	end(running);
	running = run(LP_EACH_SESSION);
	assert_int_equal(setsockopt(running.client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(running.client);
	running.client = -1;
	wait_for(running.connection);
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, ECONNRESET);
	end(running);
}

static void peeking_takes_nothing_and_what_cannot_be_followed_stays(void **state)
{
	char bytes[256];
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	client_sends(running.client, GET GET);
	wait_for(running.connection);
	for (int i = 0; i < 2; i++)
		assert_int_equal(recv(running.connection, bytes, sizeof(bytes), MSG_PEEK), strlen(GET));
	assert_int_equal(recv(running.connection, bytes, sizeof(bytes), MSG_OOB), -1);
	assert_int_equal(recv(running.connection, bytes, 4, MSG_TRUNC), 4); /* Nobody can look at these. */
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), strlen(GET GET) - 4);
	client_sends(running.client, FOREIGN);
	wait_for(running.connection);
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), strlen(FOREIGN));
	end(running);
}

static void a_file_is_an_answer_too(void **state)
{
	char bytes[256];
	int given;
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct running running = run(LP_EACH_SESSION);
		FILE *file = tmpfile();
		int pipes[2];
		assert_int_equal(pipe(pipes), 0);
		assert_int_equal(fputs("ok", file), 1);
		assert_int_equal(fflush(file), 0);
		client_sends(running.client, GET);
		wait_for(running.connection);
		assert_int_equal(read(running.connection, bytes, sizeof(bytes)), strlen(GET));
		assert_int_equal(by_write(running.connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), 38);
		off_t at = 0;
		off64_t at64 = 0;
		if (way == 0)
			assert_int_equal(sendfile(running.connection, fileno(file), &at, 2), 2);
		else if (way == 1)
			assert_int_equal(sendfile64(running.connection, fileno(file), &at64, 2), 2);
		else
			assert_int_equal(write(pipes[1], "ok", 2), 2),
				assert_int_equal(splice(pipes[0], NULL, running.connection, NULL, 2, 0), 2);
		client_gets(running.client, OK);
		client_sends(running.client, FOREIGN);
		wait_for(running.connection);
		assert_int_equal(read(running.connection, bytes, sizeof(bytes)), 0);
		assert_int_equal(receive(running.channel, &given).kind, LP_FRAME_BOUNCE);
		close(given);
		close(pipes[0]);
		close(pipes[1]);
		fclose(file);
		end(running);
	}
}

static void what_is_spliced_away_is_not_followed(void **state)
{
	char bytes[256];
	int pipes[2];
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	assert_int_equal(pipe(pipes), 0);
	client_sends(running.client, GET);
	wait_for(running.connection);
	assert_int_equal(splice(running.connection, NULL, pipes[1], NULL, 256, 0), strlen(GET));
	client_sends(running.client, FOREIGN);
	wait_for(running.connection);
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), strlen(FOREIGN));
	close(pipes[0]);
	close(pipes[1]);
	end(running);
}

static void a_connection_has_its_names_and_options(void **state)
{
	struct sockaddr_in name = {0};
	struct sockaddr_in client = {0};
	socklen_t length = sizeof(client);
	int on = 1;
	(void)state;
	struct running running = run(LP_EACH_NONE);
	assert_int_equal(getsockname(running.client, (struct sockaddr *)&client, &length), 0);
	length = sizeof(name);
	assert_int_equal(getpeername(running.connection, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(name.sin_port, client.sin_port);
	length = sizeof(name);
	assert_int_equal(getsockname(running.connection, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(name.sin_port, ports[0]);
	assert_int_equal(getsockname(running.connection, (struct sockaddr *)&name, NULL), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(option_of(running.connection, SOL_SOCKET, SO_DOMAIN), AF_INET);
	assert_int_equal(setsockopt(running.connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(running.connection, IPPROTO_IPV6, IPV6_TCLASS, &on, sizeof(on)), -1);
	assert_int_equal(shutdown(running.connection, SHUT_WR), 0);
	char byte;
	wait_for(running.client);
	assert_int_equal(recv(running.client, &byte, 1, 0), 0);
	length = sizeof(name);
	int connection = running.connection;
	struct linger linger = {.l_onoff = 1};
	assert_int_equal(setsockopt(running.client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(running.client);
	running.client = -1;
	wait_for(connection);
	assert_int_equal(getpeername(connection, (struct sockaddr *)&name, &length), -1);
	assert_int_equal(errno, ENOTCONN);
	end(running);
}

/* limpet's listener is IPv4, the program's is for both families. */
static void a_program_for_both_families_sees_ipv6(void **state)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = ports[0]};
	struct sockaddr_in6 name = {0};
	socklen_t length = sizeof(name);
	int on = 1;
	(void)state;
	int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	int channel = admit(0);
	int client = give(channel, 1, 0);
	wait_for(listener);
	int connection = accept(listener, (struct sockaddr *)&name, &length);
	assert_true(connection >= 0);
	expect(channel, LP_FRAME_ACK);
	assert_int_equal(length, sizeof(name));
	assert_true(IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
	length = sizeof(name);
	assert_int_equal(getsockname(connection, (struct sockaddr *)&name, &length), 0);
	assert_int_equal(name.sin6_family, AF_INET6);
	assert_int_equal(option_of(connection, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	assert_int_equal(option_of(connection, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	assert_int_equal(setsockopt(connection, IPPROTO_IPV6, IPV6_TCLASS, &on, sizeof(on)), 0);
	/* An unknown option of its own family is an error still. */
	assert_int_equal(setsockopt(connection, IPPROTO_TCP, 9999, &on, sizeof(on)), 0);
	close(connection);
	close(client);
	close(listener);
	expect_end(channel);
}

static void copies_are_known_and_forgotten_by_whatever_closes_them(void **state)
{
	(void)state;
	struct running running = run(LP_EACH_NONE);
	int low = dup(running.listener);
	int high = fcntl(running.listener, F_DUPFD_CLOEXEC, 105);
	int copies[] = {low,
			high,
			dup2(running.listener, 101),
			dup3(running.listener, 102, O_CLOEXEC),
			fcntl64(running.listener, F_DUPFD, 103),
			fcntl(running.listener, F_DUPFD, 104)};
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(lp_descriptor_kind(copies[i]), LP_LISTENER);
	assert_int_equal(dup2(high, high), high);
	assert_int_equal(lp_descriptor_kind(high), LP_LISTENER);
	assert_int_equal(dup3(high, high, 0), -1);
	assert_int_equal(dup2(running.client, high), high); /* Another one has the number now. */
	assert_int_equal(lp_descriptor_kind(high), LP_OTHER);
	assert_int_equal(close(low), 0);
	assert_int_equal(syscall(SYS_close, 101), 0);
	assert_int_equal(close_range(102, 102, CLOSE_RANGE_CLOEXEC), 0);
	assert_int_equal(lp_descriptor_kind(102), LP_LISTENER);
	assert_int_equal(syscall(SYS_close_range, 102, 103, 0), 0);
	FILE *stream = fdopen(104, "r");
	assert_int_equal(fclose(stream), 0);
	for (int fd = 101; fd <= 104; fd++) {
		assert_int_equal(lp_descriptor_kind(fd), LP_OTHER);
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	}
	assert_int_equal(close(high), 0);
	assert_int_equal(fcntl(running.listener, F_GETFD), FD_CLOEXEC);
	assert_int_equal(syscall(SYS_getpid), getpid());
	assert_int_equal(syscall(SYS_io_uring_setup, 1, NULL), -1);
	assert_int_equal(errno, ENOSYS);
	int number = running.connection;
	assert_int_equal(lp_descriptor_kind(number), LP_CONNECTION);
	pid_t child = fork();
	if (child == 0) {
		closefrom(3);
		_exit(fcntl(number, F_GETFD) == -1 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	end(running);
}

static void a_new_socket_is_nobodys_though_its_numbers_close_was_missed(void **state)
{
	(void)state;
#ifdef __x86_64__
	long status;
	struct running running = run(LP_EACH_NONE);
	int number = running.connection;
	/* By the kernel's call alone, as a program does that goes around the C library. */
	__asm__ volatile("syscall" : "=a"(status) : "a"(SYS_close), "D"((long)number) : "rcx", "r11", "memory");
	assert_int_equal(status, 0);
	assert_int_equal(lp_descriptor_kind(number), LP_CONNECTION);
	assert_int_equal(socket(AF_INET, SOCK_STREAM, 0), number);
	assert_int_equal(lp_descriptor_kind(number), LP_OTHER);
	end(running);
#else
	skip();
#endif
}

static void of_two_listeners_only_the_one_that_something_came_for_is_ready(void **state)
{
	struct timespec soon = {.tv_nsec = 1000000};
	struct timeval shortly = {.tv_usec = 1000};
	fd_set set;
	(void)state;
	struct running running = run(LP_EACH_NONE);
	int second = listen_at(1);
	struct pollfd both[] = {{.fd = running.listener, .events = POLLIN}, {.fd = second, .events = POLLIN}};
	assert_int_equal(poll(both, 2, 1), 0);
	expect(running.channel, LP_FRAME_LISTEN);
	struct pollfd first = both[0];
	int end_of_set = (second > running.listener ? second : running.listener) + 1;

	/* The channel wakes both; what has come is the second's. */
	int client = give(running.channel, 2, 1);
	assert_int_equal(ppoll(&first, 1, &soon, NULL), 0);
	expect(running.channel, LP_FRAME_ACK);
	assert_int_equal(first.revents, 0);
	assert_int_equal(poll(&first, 1, 1), 0);
	assert_int_equal(__poll_chk(&first, 1, 0, sizeof(first)), 0);
	assert_int_equal(__ppoll_chk(&first, 1, &soon, NULL, sizeof(first)), 0);
	FD_ZERO(&set);
	FD_SET(running.listener, &set);
	assert_int_equal(select(end_of_set, &set, NULL, NULL, &shortly), 0);
	assert_false(FD_ISSET(running.listener, &set));
	FD_SET(running.listener, &set);
	assert_int_equal(pselect(end_of_set, &set, NULL, NULL, &soon, NULL), 0);
	assert_int_equal(poll(both, 2, -1), 1);
	assert_int_equal(both[0].revents, 0);
	assert_int_equal(both[1].revents, POLLIN);
	FD_SET(running.listener, &set);
	FD_SET(second, &set);
	assert_int_equal(select(end_of_set, &set, NULL, NULL, NULL), 1);
	assert_true(FD_ISSET(second, &set));
	assert_int_equal(ppoll(both, 2, NULL, NULL), 1);
	int connection = accept4(second, NULL, NULL, 0);
	assert_true(connection >= 0);

	/* Others are waited for as ever. */
	struct pollfd other = {.fd = client, .events = POLLOUT};
	assert_int_equal(poll(&other, 1, -1), 1);
	assert_int_equal(ppoll(&other, 1, NULL, NULL), 1);
	FD_ZERO(&set);
	FD_SET(client, &set);
	assert_int_equal(select(client + 1, NULL, &set, NULL, NULL), 1);
	assert_int_equal(pselect(client + 1, NULL, &set, NULL, NULL, NULL), 1);
	close(connection);
	close(client);
	close(second);
	expect(running.channel, LP_FRAME_UNLISTEN);
	end(running);
}

static void a_watch_moves_with_the_connection_when_it_is_given_back(void **state)
{
	char bytes[256];
	int given;
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = running.connection};
	struct epoll_event exclusive = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = running.listener};
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, running.connection, &event), 0);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, running.listener, &exclusive), 0);
	assert_true(lp_descriptors[running.listener].watched);
	client_sends(running.client, GET GET);
	for (int i = 0; i < 2; i++) { /* An edge for each, though both have come at once. */
		assert_int_equal(epoll_wait(set, &event, 1, PATIENCE_MS), 1);
		assert_int_equal(event.data.fd, running.connection);
		assert_int_equal(read(running.connection, bytes, sizeof(bytes)), strlen(GET));
		assert_int_equal(by_write(running.connection, OK), strlen(OK));
	}
	client_sends(running.client, FOREIGN);
	assert_int_equal(epoll_wait(set, &event, 1, PATIENCE_MS), 1);
	assert_int_equal(read(running.connection, bytes, sizeof(bytes)), 0);
	assert_int_equal(receive(running.channel, &given).kind, LP_FRAME_BOUNCE);
	client_gets(given, FOREIGN);
	client_sends(running.client, GET); /* To another worker: this one's watch hears nothing of it. */
	client_gets(given, GET);
	assert_int_equal(epoll_wait(set, &event, 1, PATIENCE_MS), 1);
	assert_true(event.events & EPOLLHUP); /* The end, that is. */
	assert_int_equal(epoll_wait(set, &event, 1, 0), 0);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, running.connection, NULL), 0);
	assert_int_equal(epoll_ctl(set, EPOLL_CTL_DEL, running.listener, NULL), 0);
	assert_false(lp_descriptors[running.listener].watched);
	close(given);
	close(set);
	end(running);
}

static void limpets_path_stays_and_is_free_until_the_program_listens(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct sockaddr_un name = {0};
	socklen_t length = sizeof(name);
	char other[sizeof(folder) + 8];
	(void)state;
	strcpy(address.sun_path, path);
	int probe = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(probe, (struct sockaddr *)&address, sizeof(address)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlinkat(AT_FDCWD, path, 0), 0);
	assert_int_equal(remove(path), 0);
	assert_int_equal(access(path, F_OK), 0);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &length), 0);
	assert_string_equal(name.sun_path, path);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	int channel = admit(0);
	assert_int_equal(connect(probe, (struct sockaddr *)&address, sizeof(address)), 0);
	int accepted = accept4(OUTER + 2, NULL, NULL, SOCK_CLOEXEC);
	send_frame(channel, (struct lp_frame){.kind = LP_FRAME_CONNECTION, .number = 1}, accepted);
	close(accepted);
	wait_for(listener);
	length = sizeof(name);
	int connection = accept(listener, (struct sockaddr *)&name, &length);
	assert_true(connection >= 0);
	assert_int_equal(length, sizeof(sa_family_t)); /* A client without a name. */
	expect(channel, LP_FRAME_ACK);
	length = sizeof(name);
	assert_int_equal(getsockname(connection, (struct sockaddr *)&name, &length), 0);
	assert_string_equal(name.sun_path, path);
	close(connection);
	close(probe);
	close(listener);
	expect_end(channel);
	snprintf(other, sizeof(other), "%s/other", folder);
	for (int i = 0; i < 3; i++) { /* Any other path is the program's. */
		close(open(other, O_CREAT | O_WRONLY, 0600));
		assert_int_equal(i == 0 ? unlink(other) : i == 1 ? unlinkat(AT_FDCWD, other, 0) : remove(other), 0);
		assert_int_equal(access(other, F_OK), -1);
	}
}

static void a_placeholder_of_another_process_is_a_listener(void **state)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};
	int pair[2];
	int received;
	char byte;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	int placeholder = lp_placeholder_make(door_name.sun_path, (const struct sockaddr *)&any, 1);
	assert_true(placeholder >= 0);
	assert_int_equal(lp_scm_rights_send(pair[0], "x", 1, placeholder), 1);
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec piece = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	assert_int_equal(recvmsg(pair[1], &message, 0), 1);
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(received));
	assert_int_equal(lp_descriptor_kind(received), LP_LISTENER);
	close(received);
	close(placeholder);
	close(pair[0]);
	close(pair[1]);
}

/* A buffer that is smaller than what is asked for ends the program. */
static void checked_calls_check(void **state)
{
	char bytes[4];
	struct pollfd one = {.fd = -1};
	(void)state;
	for (int call = 0; call < 5; call++) {
		pid_t child = fork();
		if (child == 0) {
			close(STDERR_FILENO);
			signal(SIGABRT, SIG_DFL);
			switch (call) {
			case 0:
				__read_chk(0, bytes, 5, 4);
				break;
			case 1:
				__recv_chk(0, bytes, 5, 4, 0);
				break;
			case 2:
				__recvfrom_chk(0, bytes, 5, 4, 0, NULL, NULL);
				break;
			case 3:
				__poll_chk(&one, 2, 0, sizeof(one));
				break;
			default:
				__ppoll_chk(&one, 2, NULL, NULL, sizeof(one));
				break;
			}
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

/* Make limpet's listeners, and start once more as a worker. */
static int become_worker(char **argv)
{
	char text[128];
	if (!mkdtemp(folder))
		return 1;
	snprintf(door_name.sun_path, sizeof(door_name.sun_path), "%s/door", folder);
	for (int i = 0; i < 3; i++) {
		struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		struct sockaddr_un local = {.sun_family = AF_UNIX};
		socklen_t length = sizeof(inet);
		int fd = socket(i < 2 ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
		snprintf(local.sun_path, sizeof(local.sun_path), "%s/served", folder);
		if (bind(fd, i < 2 ? (struct sockaddr *)&inet : (struct sockaddr *)&local,
			 i < 2 ? sizeof(inet) : sizeof(local)) ||
		    listen(fd, 8) || (i < 2 && getsockname(fd, (struct sockaddr *)&inet, &length)) ||
		    dup2(fd, OUTER + i) < 0)
			return 1;
		if (i < 2)
			ports[i] = inet.sin_port;
		close(fd);
	}
	const struct sockaddr_in any = {.sin_family = AF_INET};
	int placeholder = lp_placeholder_make(door_name.sun_path, (const struct sockaddr *)&any, 1);
	if (dup2(placeholder, PLACEHOLDER) < 0)
		return 1;
	close(placeholder);
	snprintf(text, sizeof(text), "%d,%d,unix:%s/served", ntohs(ports[0]), ntohs(ports[1]), folder);
	setenv("LIMPET_PRELOAD", door_name.sun_path, 1);
	setenv("LIMPET_PRELOAD_LISTEN", text, 1);
	setenv("LISTEN_PID", "0", 1);
	execv("/proc/self/exe", argv);
	return 1;
}

static int set_up(void **state)
{
	(void)state;
	snprintf(door_name.sun_path, sizeof(door_name.sun_path), "%s", getenv("LIMPET_PRELOAD"));
	memcpy(folder, door_name.sun_path, sizeof(folder) - 1);
	snprintf(path, sizeof(path), "%s/served", folder);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in address = {0};
		socklen_t length = sizeof(address);
		outer[i] = OUTER + i;
		if (getsockname(outer[i], (struct sockaddr *)&address, &length))
			return -1;
		ports[i] = address.sin_port;
	}
	open_door();
	return 0;
}

static int tear_down(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	unsetenv("LIMPET_PRELOAD");
	return system(command);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_begins_with_what_it_has_from_limpet),
		cmocka_unit_test(a_listener_looks_like_one),
		cmocka_unit_test(other_descriptors_are_the_kernels),
		cmocka_unit_test(each_way_of_reading_ends_with_a_request_and_sees_the_end_when_the_next_is_anothers),
		cmocka_unit_test(requests_are_given_back_as_limpet_wants_it),
		cmocka_unit_test(bodies_are_read_up_to_their_ends),
		cmocka_unit_test(behind_an_unknown_end_a_foreign_request_ends_the_connection),
		cmocka_unit_test(a_client_that_resets_is_an_error_and_one_that_ends_is_an_end),
		cmocka_unit_test(peeking_takes_nothing_and_what_cannot_be_followed_stays),
		cmocka_unit_test(a_file_is_an_answer_too),
		cmocka_unit_test(what_is_spliced_away_is_not_followed),
		cmocka_unit_test(a_connection_has_its_names_and_options),
		cmocka_unit_test(a_program_for_both_families_sees_ipv6),
		cmocka_unit_test(copies_are_known_and_forgotten_by_whatever_closes_them),
		cmocka_unit_test(a_new_socket_is_nobodys_though_its_numbers_close_was_missed),
		cmocka_unit_test(of_two_listeners_only_the_one_that_something_came_for_is_ready),
		cmocka_unit_test(a_watch_moves_with_the_connection_when_it_is_given_back),
		cmocka_unit_test(limpets_path_stays_and_is_free_until_the_program_listens),
		cmocka_unit_test(a_placeholder_of_another_process_is_a_listener),
		cmocka_unit_test(checked_calls_check),
	};
	(void)argc;
	if (!getenv("LIMPET_PRELOAD"))
		return become_worker(argv);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
