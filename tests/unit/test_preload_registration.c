/*
 * A process as limpet's worker, before a door that this test keeps: registering, taking and giving back connections, learning
 * sessions before they leave, several listeners, forks, signals, and a limpet that dies and comes back.
 *
 * The state of the library is one for each process, so the tests follow one another; each leaves the process unregistered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/connection_traffic.h"
#include "preload/descriptors.h"
#include "preload/listening.h"
#include "preload/registration.h"
#include "preload_fixture.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define GET "GET / HTTP/1.1\r\n\r\n"
#define FOREIGN "GET /?EIO=4&sid=of-another HTTP/1.1\r\n\r\n"

/* The program's side */

static int listen_at(int which, int flags)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = ports[which]};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	assert_true(lp_listening_bind(fd, (struct sockaddr *)&address, sizeof(address)));
	assert_int_equal(lp_descriptor_kind(fd), LP_BOUND);
	lp_listening_listen(fd);
	assert_int_equal(lp_descriptor_kind(fd), LP_LISTENER);
	return fd;
}

static void close_it(int fd)
{
	lp_listening_closing(fd);
	close(fd);
}

static ssize_t program_reads(int fd, char *bytes, size_t room)
{
	size_t allowed;
	int verdict = lp_connection_traffic_reading(fd, room, 0, &allowed);
	if (verdict <= 0)
		return verdict;
	ssize_t got = read(fd, bytes, allowed);
	if (got > 0)
		lp_connection_traffic_has_read(fd, &(struct iovec){bytes, allowed}, 1, (size_t)got, allowed < room);
	return got;
}

static void program_writes(int fd, const char *text)
{
	struct iovec piece = {(void *)text, strlen(text)};
	struct lp_http_exchange_write followed;
	lp_connection_traffic_writing(fd, &piece, 1, &followed);
	lp_connection_traffic_has_written(fd, &piece, 1, &followed, write(fd, text, piece.iov_len));
}

static void client_sends(int client, const char *text)
{
	assert_int_equal(write(client, text, strlen(text)), strlen(text));
}

static void assert_reads(int fd, const char *text)
{
	char bytes[4096];
	wait_for(fd);
	assert_int_equal(program_reads(fd, bytes, sizeof(bytes)), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

/* Sessions that live in this process, whatever it is registered as. */
static unsigned sessions_here;

/* A registered process with one listener, and a first connection of it. */
struct running {
	int listener;
	int channel;
	int client;
	int connection;
};

static struct running run(enum lp_frame_each each)
{
	struct running running = {.listener = listen_at(0, SOCK_NONBLOCK)};
	assert_int_equal(lp_registration_interest(running.listener), 0);
	running.channel = admit(sessions_here);
	send_frame(running.channel, (struct lp_frame){.kind = LP_FRAME_EACH, .number = each}, -1);
	running.client = give(running.channel, 1, 0);
	wait_for(running.listener);
	running.connection = lp_listening_accept(running.listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(running.connection >= 0);
	expect(running.channel, LP_FRAME_ACK);
	assert_int_equal(lp_descriptor_kind(running.connection), LP_CONNECTION);
	return running;
}

static void end(struct running running)
{
	close_it(running.connection);
	close(running.client);
	close_it(running.listener);
	if (running.channel >= 0)
		expect_end(running.channel);
}

static void one_request(struct running running)
{
	client_sends(running.client, GET);
	assert_reads(running.connection, GET);
	program_writes(running.connection, OK);
}

/* Tests */

static void the_first_interest_registers_and_the_last_close_leaves(void **state)
{
	(void)state;
	int first = listen_at(0, SOCK_NONBLOCK);
	int second = listen_at(1, SOCK_NONBLOCK);
	assert_int_equal(lp_registration_interest(first), 0);
	int channel = admit(0);
	assert_false(lp_registration_shares());
	assert_int_equal(lp_registration_interest(second), 0);
	expect(channel, LP_FRAME_LISTEN);
	assert_true(lp_registration_shares());
	assert_int_equal(lp_listening_accept(first, NULL, NULL, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close_it(second);
	expect(channel, LP_FRAME_UNLISTEN);
	int copy = fcntl(first, F_DUPFD_CLOEXEC, 0);
	lp_listening_copied(copy, first);
	close_it(first);
	assert_int_equal(lp_registration_has(copy), 0);
	close_it(copy);
	expect_end(channel);
}

static void a_connection_is_accepted_with_its_address(void **state)
{
	(void)state;
	struct running running = run(LP_EACH_NONE);
	struct sockaddr_in local = {0};
	socklen_t length = sizeof(local);
	int client = give(running.channel, 2, 0);
	struct sockaddr_in peer;
	wait_for(running.listener);
	int connection = lp_listening_accept(running.listener, (struct sockaddr *)&peer, &length, 0);
	expect(running.channel, LP_FRAME_ACK);
	assert_int_equal(length, sizeof(peer));
	assert_int_equal(getsockname(client, (struct sockaddr *)&local, &length), 0);
	assert_int_equal(peer.sin_port, local.sin_port);
	close_it(connection);
	close(client);
	end(running);
}

static void wrong_arguments_of_accept_take_no_connection(void **state)
{
	(void)state;
	struct running running = run(LP_EACH_NONE);
	struct sockaddr_in peer;
	int client = give(running.channel, 2, 0);
	wait_for(running.listener);
	assert_int_equal(lp_listening_accept(running.listener, NULL, NULL, 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(lp_listening_accept(running.listener, (struct sockaddr *)&peer, NULL, 0), -1);
	assert_int_equal(errno, EFAULT);
	int connection = lp_listening_accept(running.listener, NULL, NULL, 0);
	assert_true(connection >= 0);
	expect(running.channel, LP_FRAME_ACK);
	close_it(connection);
	close(client);
	end(running);
}

static void a_request_of_another_worker_is_given_back_unread(void **state)
{
	char bytes[256];
	int given;
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	one_request(running);
	client_sends(running.client, FOREIGN);
	wait_for(running.connection);
	assert_int_equal(program_reads(running.connection, bytes, sizeof(bytes)), 0);
	assert_int_equal(receive(running.channel, &given).kind, LP_FRAME_BOUNCE);
	assert_int_equal(recv(given, bytes, sizeof(bytes), 0), strlen(FOREIGN));
	assert_memory_equal(bytes, FOREIGN, strlen(FOREIGN));
	assert_int_equal(program_reads(running.connection, bytes, sizeof(bytes)), 0);
	close(given);
	end(running);
}

static void a_session_is_told_before_its_bytes_leave_and_stays(void **state)
{
	static const char ask[] = "GET /?EIO=4 HTTP/1.1\r\n\r\n";
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n0{\"sid\":\"mine\"}";
	static const char again[] = "GET /?EIO=4&sid=mine HTTP/1.1\r\n\r\n";
	struct iovec piece = {(void *)answer, sizeof(answer) - 1};
	struct lp_http_exchange_write followed;
	int fd;
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	client_sends(running.client, ask);
	assert_reads(running.connection, ask);
	lp_connection_traffic_writing(running.connection, &piece, 1, &followed);
	struct lp_frame frame = receive(running.channel, &fd);
	assert_int_equal(frame.kind, LP_FRAME_SESSION);
	assert_int_equal(frame.key.length, 4);
	sessions_here++;
	lp_connection_traffic_has_written(running.connection, &piece, 1, &followed,
					  write(running.connection, answer, piece.iov_len));
	client_sends(running.client, again);
	assert_reads(running.connection, again);
	end(running);
}

static void a_head_in_pieces_is_waited_for(void **state)
{
	char bytes[256];
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	client_sends(running.client, "GET / HTTP/1.1\r\n");
	wait_for(running.connection);
	assert_int_equal(program_reads(running.connection, bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(lp_descriptors[running.connection].lowat);
	struct pollfd one = {.fd = running.connection, .events = POLLIN};
	assert_int_equal(poll(&one, 1, 0), 0);
	client_sends(running.client, "\r\n");
	assert_reads(running.connection, GET);
	assert_false(lp_descriptors[running.connection].lowat);
	end(running);
}

static void a_head_that_never_ends_is_the_programs(void **state)
{
	char bytes[256];
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	client_sends(running.client, "GET / HT");
	shutdown(running.client, SHUT_WR);
	wait_for(running.connection);
	assert_int_equal(program_reads(running.connection, bytes, sizeof(bytes)), 8);
	assert_int_equal(program_reads(running.connection, bytes, sizeof(bytes)), 0);
	end(running);
}

static void no_line_is_waited_for_where_nothing_is_given_back(void **state)
{
	char bytes[256];
	(void)state;
	struct running running = run(LP_EACH_NONE);
	client_sends(running.client, "PING");
	wait_for(running.connection);
	assert_int_equal(program_reads(running.connection, bytes, sizeof(bytes)), 4);
	end(running);
}

static void behind_an_unknown_end_a_foreign_request_ends_the_connection(void **state)
{
	static const char doubtful[] = "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n";
	char bytes[256];
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	client_sends(running.client, doubtful);
	assert_reads(running.connection, doubtful);
	program_writes(running.connection, OK);
	assert_int_equal(recv(running.client, bytes, sizeof(bytes), 0), strlen(OK));
	client_sends(running.client, GET);
	assert_reads(running.connection, GET);
	program_writes(running.connection, OK);
	assert_int_equal(recv(running.client, bytes, sizeof(bytes), 0), strlen(OK));
	client_sends(running.client, FOREIGN);
	wait_for(running.connection);
	assert_int_equal(program_reads(running.connection, bytes, sizeof(bytes)), 0);
	wait_for(running.client);
	assert_int_equal(recv(running.client, bytes, sizeof(bytes), 0), 0);
	end(running);
}

static void a_body_in_chunks_is_read_up_to_its_end(void **state)
{
	static const char request[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	char both[256];
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	strcat(strcpy(both, request), GET);
	client_sends(running.client, both);
	assert_reads(running.connection, request);
	assert_reads(running.connection, GET);
	end(running);
}

static void what_two_numbers_name_is_not_given_back(void **state)
{
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	one_request(running);
	int copy = fcntl(running.connection, F_DUPFD_CLOEXEC, 0);
	lp_listening_copied(copy, running.connection);
	client_sends(running.client, FOREIGN);
	assert_reads(running.connection, FOREIGN);
	close_it(copy);
	end(running);
}

static void a_connection_for_another_listener_is_queued_there(void **state)
{
	(void)state;
	struct running running = run(LP_EACH_NONE);
	int second = listen_at(1, SOCK_NONBLOCK);
	assert_int_equal(lp_registration_interest(second), 0);
	expect(running.channel, LP_FRAME_LISTEN);
	int client = give(running.channel, 2, 1);
	wait_for(running.listener);
	assert_false(lp_registration_has(running.listener));
	expect(running.channel, LP_FRAME_ACK);
	assert_true(lp_registration_has(second));
	wait_for(second);
	int connection = lp_listening_accept(second, NULL, NULL, 0);
	assert_true(connection >= 0);
	close_it(connection);
	close(client);

	client = give(running.channel, 3, 1);
	assert_int_equal(lp_listening_accept(running.listener, NULL, NULL, 0), -1);
	expect(running.channel, LP_FRAME_ACK);
	close_it(second); /* What is queued goes to other processes. */
	int given;
	assert_int_equal(receive(running.channel, &given).kind, LP_FRAME_BOUNCE);
	close(given);
	expect(running.channel, LP_FRAME_UNLISTEN);
	close(client);
	end(running);
}

static void a_limpet_that_comes_back_finds_the_process_and_its_sessions(void **state)
{
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	one_request(running);
	close(door);
	close(running.channel);
	wait_for(running.listener);
	assert_int_equal(lp_listening_accept(running.listener, NULL, NULL, 0), -1);
	assert_int_equal(errno, EAGAIN);
	client_sends(running.client, FOREIGN); /* There is nobody to give it to. */
	assert_reads(running.connection, FOREIGN);
	lp_registration_session((struct lp_slice){"found-meanwhile", 15});
	sessions_here++;
	open_door();
	running.channel = admit(sessions_here);
	int client = give(running.channel, 1, 0);
	wait_for(running.listener);
	int connection = lp_listening_accept(running.listener, NULL, NULL, 0);
	assert_true(connection >= 0);
	expect(running.channel, LP_FRAME_ACK);
	close_it(connection);
	close(client);
	end(running);
}

static void a_child_registers_by_itself(void **state)
{
	(void)state;
	struct running running = run(LP_EACH_NONE);
	pid_t child = fork();
	if (child == 0) {
		bool registered = lp_registration_is_here() && lp_registration_interest(running.listener) == 0;
		close_it(running.listener);
		_exit(registered ? 0 : 1);
	}
	int channel = admit(0);
	int status;
	expect_end(channel);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	int client = give(running.channel, 2, 0);
	wait_for(running.listener);
	int connection = lp_listening_accept(running.listener, NULL, NULL, 0);
	assert_true(connection >= 0);
	expect(running.channel, LP_FRAME_ACK);
	close_it(connection);
	close(client);
	end(running);
}

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t seen_by_handler;

/* That the library may be called from here is what is tried. */
/* NOLINTBEGIN(bugprone-signal-handler) */
static void on_alarm(int signal)
{
	int error = errno;
	(void)signal;
	seen_by_handler += lp_listening_accept(interrupted, NULL, NULL, 0) == -1 && errno == EAGAIN;
	lp_registration_has(interrupted);
	errno = error;
}
/* NOLINTEND(bugprone-signal-handler) */

static void a_signal_handler_finds_no_lock(void **state)
{
	static const struct itimerval often = {{0, 50}, {0, 50}};
	static const struct itimerval never = {{0, 0}, {0, 0}};
	(void)state;
	struct running running = run(LP_EACH_SESSION);
	interrupted = running.listener;
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	while (seen_by_handler < 200) {
		assert_false(lp_registration_knows((struct lp_slice){"nobody", 6}));
		assert_int_equal(lp_listening_accept(running.listener, NULL, NULL, 0), -1);
		lp_registration_has(running.listener);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	end(running);
}

static void close_listener(int signal)
{
	(void)signal;
	close_it(interrupted);
}

static void accept_ends_when_a_handler_closes_the_listener(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* ThreadSanitizer runs a handler when the next call of the C library begins, not in the one that it ends. */
#endif
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		struct sigaction action = {.sa_handler = close_listener, .sa_flags = flags};
		static const struct itimerval soon = {{0, 0}, {0, 20000}};
		interrupted = listen_at(0, 0);
		assert_int_equal(lp_registration_interest(interrupted), 0);
		int channel = admit(0);
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &soon, NULL);
		assert_int_equal(lp_listening_accept(interrupted, NULL, NULL, 0), -1);
		assert_int_equal(errno, flags ? EBADF : EINTR);
		signal(SIGALRM, SIG_DFL);
		expect_end(channel);
	}
}

static void what_is_no_listener_is_refused(void **state)
{
	(void)state;
	assert_int_equal(lp_registration_interest(0), -EBADF);
	assert_int_equal(lp_registration_take(0, 0), -EBADF);
	assert_false(lp_registration_has(0));
}

static void other_sockets_are_bound_by_the_kernel(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = ports[0]};
	struct sockaddr_in elsewhere = {.sin_family = AF_INET};
	(void)state;
	int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
	int six = socket(AF_INET6, SOCK_STREAM, 0);
	int four = socket(AF_INET, SOCK_STREAM, 0);
	assert_false(lp_listening_bind(datagrams, (struct sockaddr *)&address, sizeof(address)));
	assert_false(lp_listening_bind(six, (struct sockaddr *)&address, sizeof(address)));
	assert_false(lp_listening_bind(four, (struct sockaddr *)&elsewhere, sizeof(elsewhere)));
	assert_false(lp_listening_bind(four, NULL, 0));
	assert_false(lp_listening_bind(-1, (struct sockaddr *)&address, sizeof(address)));
	close(datagrams);
	close(six);
	close(four);
}

static int set_up(void **state)
{
	char addresses[32];
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(door_name.sun_path, sizeof(door_name.sun_path), "%s/door", folder);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t length = sizeof(address);
		outer[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(outer[i], (struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(listen(outer[i], 8), 0);
		assert_int_equal(getsockname(outer[i], (struct sockaddr *)&address, &length), 0);
		ports[i] = address.sin_port;
	}
	open_door();
	snprintf(addresses, sizeof(addresses), "%d,%d", ntohs(ports[0]), ntohs(ports[1]));
	lp_registration_begin(door_name.sun_path, NULL);
	lp_listening_begin(addresses, door_name.sun_path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(door_name.sun_path);
	rmdir(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_interest_registers_and_the_last_close_leaves),
		cmocka_unit_test(a_connection_is_accepted_with_its_address),
		cmocka_unit_test(wrong_arguments_of_accept_take_no_connection),
		cmocka_unit_test(a_request_of_another_worker_is_given_back_unread),
		cmocka_unit_test(a_head_in_pieces_is_waited_for),
		cmocka_unit_test(a_head_that_never_ends_is_the_programs),
		cmocka_unit_test(no_line_is_waited_for_where_nothing_is_given_back),
		cmocka_unit_test(behind_an_unknown_end_a_foreign_request_ends_the_connection),
		cmocka_unit_test(a_body_in_chunks_is_read_up_to_its_end),
		cmocka_unit_test(what_two_numbers_name_is_not_given_back),
		cmocka_unit_test(a_connection_for_another_listener_is_queued_there),
		cmocka_unit_test(a_child_registers_by_itself),
		cmocka_unit_test(a_signal_handler_finds_no_lock),
		cmocka_unit_test(accept_ends_when_a_handler_closes_the_listener),
		cmocka_unit_test(what_is_no_listener_is_refused),
		cmocka_unit_test(other_sockets_are_bound_by_the_kernel),
		cmocka_unit_test(a_session_is_told_before_its_bytes_leave_and_stays),
		cmocka_unit_test(a_limpet_that_comes_back_finds_the_process_and_its_sessions),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
