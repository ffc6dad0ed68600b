/*
 * Which listener a connection came through; and listening, with a waiting room of the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "failing_calls.h"
#include "server/listener.h"

FAILING_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAILING_CALL(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), -1, EACCES)
FAILING_CALL(int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
FAILING_CALL(int, getsockname, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length), -1,
	     ENOBUFS)
FAILING_CALL(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
	     (fd, level, name, value, length), -1, ENOPROTOOPT)
FAILING_CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
	     (fd, level, name, value, length), -1, ENOPROTOOPT)
FAILING_CALL(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), UV_EPERM, EPERM)
FAILING_CALL(FILE *, open_memstream, (char **text, size_t *size), (text, size), NULL, ENOMEM)

#define LISTENERS 7

static const char *const texts[LISTENERS] = {
	"127.0.0.1:5000", "127.0.0.2:5000", "0.0.0.0:5000", ":5001", "[::1]:5000", "unix:/run/a", "unix:/run/b",
};

static void listen_everywhere(struct lp_listener *listeners)
{
	for (size_t i = 0; i < LISTENERS; i++) {
		listeners[i] = (struct lp_listener){.origin.name = texts[i]};
		assert_int_equal(lp_listen_address_parse(texts[i], &listeners[i].address, NULL), 0);
	}
}

static const char *find_in(const struct lp_listener *listeners, size_t count, const union lp_peer *local,
			   socklen_t length)
{
	const struct lp_listener *found = lp_listener_find(listeners, count, local, length);
	return found ? found->origin.name : NULL;
}

static const char *find(const union lp_peer *local, socklen_t length)
{
	struct lp_listener listeners[LISTENERS];
	struct lp_listener reversed[LISTENERS];
	listen_everywhere(listeners);
	for (size_t i = 0; i < LISTENERS; i++)
		reversed[LISTENERS - 1 - i] = listeners[i];
	const char *found = find_in(listeners, LISTENERS, local, length);
	assert_ptr_equal(find_in(reversed, LISTENERS, local, length), found); /* The order says nothing. */
	return found;
}

static const char *find4(const char *address, uint16_t port)
{
	union lp_peer local = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
	assert_int_equal(inet_pton(AF_INET, address, &local.in.sin_addr), 1);
	return find(&local, sizeof(local.in));
}

static const char *find6(const char *address, uint16_t port)
{
	union lp_peer local = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
	assert_int_equal(inet_pton(AF_INET6, address, &local.in6.sin6_addr), 1);
	return find(&local, sizeof(local.in6));
}

static const char *find_path(const char *path)
{
	union lp_peer local = {.un = {.sun_family = AF_UNIX}};
	strcpy(local.un.sun_path, path);
	return find(&local, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1));
}

static void the_listener_at_the_address_goes_before_the_wildcard(void **state)
{
	(void)state;
	assert_string_equal(find4("127.0.0.1", 5000), "127.0.0.1:5000");
	assert_string_equal(find4("127.0.0.2", 5000), "127.0.0.2:5000");
	assert_string_equal(find4("127.0.0.3", 5000), "0.0.0.0:5000");
}

static void families_do_not_mix(void **state)
{
	(void)state;
	assert_string_equal(find6("::1", 5000), "[::1]:5000");
	assert_null(find6("::ffff:127.0.0.1", 5000));
	assert_string_equal(find6("::ffff:127.0.0.1", 5001), ":5001"); /* As a dual-stack listener accepts it. */
	assert_string_equal(find6("::1", 5001), ":5001");
	assert_null(find4("127.0.0.1", 5001));
}

static void paths_are_told_apart(void **state)
{
	(void)state;
	assert_string_equal(find_path("/run/a"), "unix:/run/a");
	assert_string_equal(find_path("/run/b"), "unix:/run/b");
	assert_null(find_path("/run/c"));
	assert_null(find_path("/run/"));
}

static void nobody_listens_at_another_port(void **state)
{
	(void)state;
	assert_null(find4("127.0.0.1", 5002));
	assert_null(find6("::1", 5002));
}

/* Listening */

struct hall {
	uv_loop_t loop;
	struct lp_log log;
	char folder[32];
	struct lp_listener_config config;
	struct lp_listener listeners[3];
	unsigned closed;
	unsigned admitted;
	unsigned readmitted;
	struct lp_ip ip;
	uint16_t port;
	const struct lp_origin *origin;
	struct lp_error error;
};

/* What the waiting room was asked last. */
static struct hall *here;

void __wrap_lp_waiting_admit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
			     const struct lp_origin *origin);
void __wrap_lp_waiting_readmit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
			       const struct lp_origin *origin);

static void take(int fd, const struct lp_ip *ip, uint16_t port, const struct lp_origin *origin)
{
	close(fd);
	here->ip = *ip;
	here->port = port;
	here->origin = origin;
}

void __wrap_lp_waiting_admit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
			     const struct lp_origin *origin)
{
	assert_ptr_equal(waiting, here);
	here->admitted++;
	take(fd, ip, port, origin);
}

void __wrap_lp_waiting_readmit(struct lp_waiting *waiting, int fd, const struct lp_ip *ip, uint16_t port,
			       const struct lp_origin *origin)
{
	assert_ptr_equal(waiting, here);
	here->readmitted++;
	take(fd, ip, port, origin);
}

static int set_up(void **state)
{
	struct hall *hall = calloc(1, sizeof(*hall));
	strcpy(hall->folder, "/tmp/limpet-listener-XXXXXX");
	if (!mkdtemp(hall->folder) || uv_loop_init(&hall->loop))
		return -1;
	lp_log_init(&hall->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	hall->config = (struct lp_listener_config){
		.loop = &hall->loop, .log = &hall->log, .waiting = (struct lp_waiting *)hall, .backlog = 8};
	here = hall;
	*state = hall;
	return 0;
}

static void on_listener_closed(struct lp_listener *listener)
{
	((struct hall *)listener->owner)->closed++;
}

static void close_listener(struct hall *hall, unsigned which)
{
	hall->listeners[which].owner = hall;
	lp_listener_close(&hall->listeners[which], on_listener_closed);
	unsigned before = hall->closed;
	uv_run(&hall->loop, UV_RUN_DEFAULT);
	assert_int_equal(hall->closed, before + 1);
}

/* All listeners are closed, and the loop and the folder have nothing left. */
static int tear_down(void **state)
{
	struct hall *hall = *state;
	int status = uv_loop_close(&hall->loop) | rmdir(hall->folder);
	free(hall);
	return status;
}

static void open_listener(struct hall *hall, unsigned which, const char *text)
{
	if (lp_listener_open(&hall->listeners[which], &hall->config, text, &hall->error))
		fail_msg("%s", hall->error.text);
}

static int connect_to(const struct sockaddr *address, socklen_t length)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, address, length), 0);
	return fd;
}

static int connect4(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return connect_to((struct sockaddr *)&address, sizeof(address));
}

static int connect6(uint16_t port)
{
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	return connect_to((struct sockaddr *)&address, sizeof(address));
}

static int connect_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, path);
	return connect_to((struct sockaddr *)&address, sizeof(address));
}

static void assert_ip(const struct hall *hall, const char *text)
{
	char ip[LP_IP_TEXT_SIZE];
	lp_ip_format(&hall->ip, ip);
	assert_string_equal(ip, text);
}

static void run_until_admitted(struct hall *hall, unsigned count)
{
	while (hall->admitted < count)
		uv_run(&hall->loop, UV_RUN_ONCE);
}

static void a_client_is_admitted_with_its_address(void **state)
{
	struct hall *hall = *state;
	struct sockaddr_in local;
	socklen_t length = sizeof(local);
	open_listener(hall, 0, "127.0.0.1:0");
	const struct lp_listener *listener = &hall->listeners[0];
	assert_string_equal(listener->origin.name, "127.0.0.1:0");
	assert_int_not_equal(listener->origin.port, 0);
	int client = connect4(listener->origin.port);
	run_until_admitted(hall, 1);
	assert_int_equal(getsockname(client, (struct sockaddr *)&local, &length), 0);
	assert_int_equal(hall->port, ntohs(local.sin_port));
	assert_ip(hall, "127.0.0.1");
	assert_ptr_equal(hall->origin, &listener->origin);
	assert_int_equal(listener->accepted, 1);
	close(client);
	close_listener(hall, 0);
}

static void with_defer_accept_a_client_is_admitted_with_its_first_bytes(void **state)
{
	struct hall *hall = *state;
	hall->config.defer_accept = true;
	open_listener(hall, 0, "127.0.0.1:0");
	int client = connect4(hall->listeners[0].origin.port);
	uv_run(&hall->loop, UV_RUN_NOWAIT);
	assert_int_equal(hall->admitted, 0);
	assert_int_equal(write(client, "x", 1), 1);
	run_until_admitted(hall, 1);
	close(client);
	close_listener(hall, 0);
}

static void a_port_alone_is_for_both_families_and_an_address_for_its_own(void **state)
{
	struct hall *hall = *state;
	open_listener(hall, 0, ":0");
	int six = connect6(hall->listeners[0].origin.port);
	run_until_admitted(hall, 1);
	assert_ip(hall, "::1");
	int four = connect4(hall->listeners[0].origin.port);
	run_until_admitted(hall, 2);
	assert_ip(hall, "127.0.0.1");
	open_listener(hall, 1, "[::1]:0");
	int off = 0;
	socklen_t size = sizeof(off);
	assert_int_equal(getsockopt(hall->listeners[1].acceptor.fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, &size), 0);
	assert_int_equal(off, 1);
	close(four);
	close(six);
	lp_listener_stop(&hall->listeners[1]);
	close_listener(hall, 0);
	close_listener(hall, 1);
}

static void without_ipv6_a_port_alone_is_for_ipv4(void **state)
{
	struct hall *hall = *state;
	fail_call_with(1, EAFNOSUPPORT);
	open_listener(hall, 0, ":0");
	assert_string_equal(failed_call(), "socket");
	assert_int_equal(hall->listeners[0].address.socket.any.sa_family, AF_INET);
	int client = connect4(hall->listeners[0].origin.port);
	run_until_admitted(hall, 1);
	close(client);
	close_listener(hall, 0);

	fail_call_with(1, EAFNOSUPPORT);
	assert_int_equal(lp_listener_open(&hall->listeners[0], &hall->config, "[::1]:0", &hall->error), -EAFNOSUPPORT);
	assert_string_equal(failed_call(), "socket");
}

static void a_path_is_as_open_as_it_is_said_and_goes_with_its_listener(void **state)
{
	struct hall *hall = *state;
	char text[64];
	struct stat what;
	snprintf(text, sizeof(text), "unix:%s/s,mode=660", hall->folder);
	open_listener(hall, 0, text);
	const char *path = hall->listeners[0].address.socket.un.sun_path;
	assert_int_equal(hall->listeners[0].origin.port, 0);
	assert_int_equal(stat(path, &what), 0);
	assert_int_equal(what.st_mode & 0777, 0660);
	int client = connect_path(path);
	run_until_admitted(hall, 1);
	assert_int_equal(hall->ip.family, LP_FAMILY_UNIX);
	assert_int_equal(hall->port, 0);
	lp_listener_stop(&hall->listeners[0]);
	assert_int_equal(access(path, F_OK), -1);
	lp_listener_stop(&hall->listeners[0]);
	close(client);
	close_listener(hall, 0);
}

static void who_has_the_port_or_the_path_is_told(void **state)
{
	struct hall *hall = *state;
	char text[64];
	char pid[32];
	snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
	open_listener(hall, 0, ":0");
	snprintf(text, sizeof(text), "127.0.0.1:%u", hall->listeners[0].origin.port);
	assert_int_equal(lp_listener_open(&hall->listeners[1], &hall->config, text, &hall->error), UV_EADDRINUSE);
	assert_non_null(strstr(hall->error.text, pid));
	assert_non_null(strstr(hall->error.text, text));
	close_listener(hall, 0);

	open_listener(hall, 0, "127.0.0.1:0");
	snprintf(text, sizeof(text), ":%u", hall->listeners[0].origin.port);
	assert_int_equal(lp_listener_open(&hall->listeners[1], &hall->config, text, &hall->error), UV_EADDRINUSE);
	assert_non_null(strstr(hall->error.text, pid));
	close_listener(hall, 0);

	snprintf(text, sizeof(text), "unix:%s/s", hall->folder);
	open_listener(hall, 0, text);
	assert_int_equal(lp_listener_open(&hall->listeners[1], &hall->config, text, &hall->error), UV_EADDRINUSE);
	assert_non_null(strstr(hall->error.text, pid));
	close_listener(hall, 0);
}

static void what_cannot_be_listened_at_is_told_with_a_way_out(void **state)
{
	struct hall *hall = *state;
	static const struct {
		int error;
		const char *way_out;
	} errors[] = {{EACCES, "CAP_NET_BIND_SERVICE"}, {EADDRNOTAVAIL, "no address of this machine"}, {EINVAL, ""}};
	assert_int_equal(lp_listener_open(&hall->listeners[0], &hall->config, "nowhere", &hall->error), LP_EUSAGE);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		fail_call_with(3, errors[i].error); /* socket, SO_REUSEADDR, bind */
		assert_int_equal(lp_listener_open(&hall->listeners[0], &hall->config, "127.0.0.1:0", &hall->error),
				 -errors[i].error);
		assert_string_equal(failed_call(), "bind");
		assert_non_null(strstr(hall->error.text, "127.0.0.1:0"));
		assert_non_null(strstr(hall->error.text, errors[i].way_out));
	}
}

static void each_call_that_fails_is_told_and_leaves_nothing(void **state)
{
	struct hall *hall = *state;
	char path[64];
	snprintf(path, sizeof(path), "unix:%s/s,mode=600", hall->folder);
	const char *const places[] = {":0", "127.0.0.1:0", path};
	hall->config.defer_accept = true;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const char *failed;
		unsigned which = 0;
		unsigned open = count_descriptors();
		do {
			fail_call(++which);
			int status = lp_listener_open(&hall->listeners[0], &hall->config, places[i], &hall->error);
			failed = failed_call();
			assert_true(failed ? status < 0 : status == 0);
			if (failed && !strstr(hall->error.text, hall->folder))
				assert_non_null(strstr(hall->error.text, places[i]));
			if (failed)
				assert_int_equal(count_descriptors(), open);
			if (failed && i == 2)
				assert_int_equal(access(path + 5, F_OK), -1);
		} while (failed);
		assert_in_range(which, 5, 20);
		close_listener(hall, 0);
	}
}

static void an_identity_is_of_what_is_bound_and_not_of_its_name(void **state)
{
	struct hall *hall = *state;
	struct lp_listener_identity first;
	struct lp_listener_identity second;
	char text[64];
	char before[1024];
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(hall->folder), 0);
	snprintf(text, sizeof(text), "unix:%s/s", hall->folder);
	open_listener(hall, 0, text);
	lp_listener_identify(&hall->listeners[0], &first);
	assert_string_equal(first.name, text);
	close_listener(hall, 0);
	open_listener(hall, 0, "unix:./s");
	lp_listener_identify(&hall->listeners[0], &second);
	assert_string_equal(first.identity, second.identity);
	close_listener(hall, 0);
	open_listener(hall, 0, "unix:s");
	lp_listener_identify(&hall->listeners[0], &second);
	assert_string_equal(first.identity, second.identity);
	close_listener(hall, 0);
	open_listener(hall, 0, "unix:./t");
	lp_listener_identify(&hall->listeners[0], &second);
	assert_string_not_equal(first.identity, second.identity);
	close_listener(hall, 0);
	assert_int_equal(chdir(before), 0);

	open_listener(hall, 0, "127.0.0.1:0");
	lp_listener_identify(&hall->listeners[0], &first);
	snprintf(text, sizeof(text), "127.0.0.1:%u", hall->listeners[0].origin.port);
	assert_string_equal(first.name, text);
	assert_memory_equal(first.identity, "tcp-", 4);
	assert_non_null(strstr(first.identity, text));
	fail_call(1); /* A kernel that does not tell the namespace's cookie. */
	lp_listener_identify(&hall->listeners[0], &second);
	assert_string_equal(failed_call(), "getsockopt");
	struct stat space;
	assert_int_equal(stat("/proc/self/ns/net", &space), 0);
	snprintf(text, sizeof(text), "tcp-%llu-127", (unsigned long long)space.st_ino);
	assert_memory_equal(second.identity, text, strlen(text));
	close_listener(hall, 0);
}

static void workers_hear_ports_and_paths_and_a_port_twice_is_one(void **state)
{
	struct lp_listener listeners[] = {{.origin = {.name = "127.0.0.1:5000", .port = 5000}},
					  {.origin = {.name = "unix:/a"}},
					  {.origin = {.name = "127.0.0.2:5000", .port = 5000}},
					  {.origin = {.name = "unix:/b"}}};
	(void)state;
	char *text = lp_listener_addresses(listeners, 4);
	assert_string_equal(text, "5000,unix:/a,5000,unix:/b");
	free(text);
	for (int i = 0; i < 4; i++)
		assert_int_equal(listeners[i].origin.address, i == 2 ? 0 : i);
	fail_call(1);
	assert_null(lp_listener_addresses(listeners, 4));
	assert_string_equal(failed_call(), "open_memstream");
}

static void what_is_given_back_is_of_the_listener_that_it_came_through(void **state)
{
	struct hall *hall = *state;
	open_listener(hall, 0, "127.0.0.1:0");
	open_listener(hall, 1, "127.0.0.2:0");
	int client = connect4(hall->listeners[0].origin.port);
	int served = accept(hall->listeners[0].acceptor.fd, NULL, NULL);
	assert_true(served >= 0);
	assert_true(lp_listener_readmit(hall->listeners, 2, served));
	assert_int_equal(hall->readmitted, 1);
	assert_int_equal(hall->admitted, 0);
	assert_ptr_equal(hall->origin, &hall->listeners[0].origin);
	assert_ip(hall, "127.0.0.1");
	assert_int_equal(hall->listeners[0].accepted, 1);
	assert_int_equal(hall->listeners[1].accepted, 0);
	close(client);
	lp_listener_stop(&hall->listeners[1]);
	close_listener(hall, 0);
	close_listener(hall, 1);
}

/* Its closing is not the listener's: it may linger. */
static void assert_not_ours(struct hall *hall, int fd)
{
	assert_false(lp_listener_readmit(hall->listeners, 1, fd));
	assert_int_equal(close(fd), 0);
}

static void what_is_none_of_our_connections_stays_the_callers(void **state)
{
	struct hall *hall = *state;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int pair[2];
	open_listener(hall, 0, "127.0.0.1:0");
	unsigned open = count_descriptors();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_not_ours(hall, pair[0]);
	close(pair[1]);
	assert_int_equal(pipe(pair), 0);
	assert_not_ours(hall, pair[0]);
	close(pair[1]);
	assert_not_ours(hall, dup(hall->listeners[0].acceptor.fd));
	int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
	address.sin_port = htons(hall->listeners[0].origin.port);
	assert_int_equal(bind(datagrams, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_not_ours(hall, datagrams);
	assert_int_equal(count_descriptors(), open);
	assert_int_equal(hall->readmitted, 0);
	close_listener(hall, 0);
}

#define LISTENING(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_listener_at_the_address_goes_before_the_wildcard),
		cmocka_unit_test(families_do_not_mix),
		cmocka_unit_test(paths_are_told_apart),
		cmocka_unit_test(nobody_listens_at_another_port),
		LISTENING(a_client_is_admitted_with_its_address),
		LISTENING(with_defer_accept_a_client_is_admitted_with_its_first_bytes),
		LISTENING(a_port_alone_is_for_both_families_and_an_address_for_its_own),
		LISTENING(without_ipv6_a_port_alone_is_for_ipv4),
		LISTENING(a_path_is_as_open_as_it_is_said_and_goes_with_its_listener),
		LISTENING(who_has_the_port_or_the_path_is_told),
		LISTENING(what_cannot_be_listened_at_is_told_with_a_way_out),
		LISTENING(each_call_that_fails_is_told_and_leaves_nothing),
		LISTENING(an_identity_is_of_what_is_bound_and_not_of_its_name),
		LISTENING(workers_hear_ports_and_paths_and_a_port_twice_is_one),
		LISTENING(what_is_given_back_is_of_the_listener_that_it_came_through),
		LISTENING(what_is_none_of_our_connections_stays_the_callers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
