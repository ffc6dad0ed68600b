/*
 * Counting against the real kernel: every way a connection can end, by each of the two ways of hearing of it.
 *
 * A world has a listener and one lp_count. `take` connects, has "the worker" (this process, or a forked one) hold the
 * accepted socket, and has it remembered. A test then ends connections and runs the loop until the count says so; a
 * deadline that no healthy run comes near turns waiting for ever into a failure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/count.h"

/* Longer than the 30 s at the worst in which a socket is found whose client does not close (count.c). */
#define DEADLINE_MS 45000

struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct lp_log log;
	struct lp_count *count;
	bool ask_only;
	int listener;
	struct sockaddr_storage address;
	socklen_t address_length;
	uint16_t port;
	unsigned closed[257];
	unsigned closed_in_all;
	bool stop_when_closed; /* on_closed calls lp_count_stop. */
	bool stopped;
};

/* A connection: its client's end, and the worker's. */
struct pair {
	int client;
	int worker;
};

static void on_stopped(void *owner)
{
	struct world *world = owner;
	world->stopped = true;
}

static void on_closed(void *owner, unsigned worker, unsigned how_many)
{
	struct world *world = owner;
	assert_false(world->stopped);
	assert_in_range(worker, 1, 256);
	assert_int_not_equal(how_many, 0);
	world->closed[worker] += how_many;
	world->closed_in_all += how_many;
	uv_stop(&world->loop); /* Else UV_RUN_ONCE goes on to wait for the next event after a timer has brought this. */
	if (world->stop_when_closed) {
		lp_count_stop(world->count, on_stopped, world);
		world->count = NULL;
	}
}

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("not within %d ms", DEADLINE_MS);
}

static void listen_at(struct world *world, const void *address, socklen_t length)
{
	int family = ((const struct sockaddr *)address)->sa_family;
	world->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(world->listener >= 0);
	int no = 0;
	if (family == AF_INET6)
		setsockopt(world->listener, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	assert_int_equal(bind(world->listener, address, length), 0);
	assert_int_equal(listen(world->listener, 512), 0);
	world->address_length = sizeof(world->address);
	assert_int_equal(getsockname(world->listener, (struct sockaddr *)&world->address, &world->address_length), 0);
	if (family == AF_INET)
		world->port = ntohs(((struct sockaddr_in *)&world->address)->sin_port);
	else if (family == AF_INET6)
		world->port = ntohs(((struct sockaddr_in6 *)&world->address)->sin6_port);
}

static struct world *new_world(bool ask_only)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->ask_only = ask_only;
	assert_int_equal(uv_loop_init(&world->loop), 0);
	uv_timer_init(&world->loop, &world->deadline);
	uv_timer_start(&world->deadline, on_deadline, DEADLINE_MS, 0);
	lp_log_init(&world->log, STDERR_FILENO, LP_LOG_ERROR, LP_LOG_TEXT);
	assert_int_equal(lp_count_start(&world->count, &world->loop, &world->log, ask_only, on_closed, world), 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	listen_at(world, &address, sizeof(address));
	return world;
}

static int set_up_told(void **state)
{
	*state = new_world(false);
	return 0;
}

static int set_up_asked(void **state)
{
	*state = new_world(true);
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	if (!world->stopped) {
		lp_count_stop(world->count, on_stopped, world);
		while (!world->stopped)
			uv_run(&world->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&world->deadline, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world->loop), 0);
	close(world->listener);
	free(world);
	return 0;
}

static struct pair connect_to(struct world *world, const void *address, socklen_t length)
{
	struct pair pair = {
		.client = socket(((const struct sockaddr *)address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_true(pair.client >= 0);
	assert_int_equal(connect(pair.client, address, length), 0);
	pair.worker = accept(world->listener, NULL, NULL);
	assert_true(pair.worker >= 0);
	return pair;
}

static struct pair take(struct world *world, unsigned worker)
{
	struct pair pair = connect_to(world, &world->address, world->address_length);
	assert_int_equal(lp_count_add(world->count, pair.worker, worker, world->port), 0);
	return pair;
}

static void await_closed(struct world *world, unsigned how_many)
{
	while (world->closed_in_all < how_many)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(world->closed_in_all, how_many);
}

/* Ends a connection of worker 7 and waits for the news: whatever ended before it has been told of too, then. Asked, that
 * takes two lists, so a connection that is open has been listed, or missed, twice. */
static void await_a_sentinel(struct world *world)
{
	struct pair sentinel = take(world, 7);
	close(sentinel.worker);
	close(sentinel.client);
	while (world->closed[7] == 0)
		uv_run(&world->loop, UV_RUN_ONCE);
}

static void reset(int fd)
{
	struct linger at_once = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static void one_that_the_worker_closes_first_is_counted(void **state)
{
	struct world *world = *state;
	struct pair pair = take(world, 1);
	close(pair.worker);
	await_closed(world, 1); /* The client still has its end. */
	assert_int_equal(world->closed[1], 1);
	assert_int_equal(lp_count_size(world->count), 0);
	close(pair.client);
}

static void one_that_the_client_closes_first_stays_until_the_worker_closes(void **state)
{
	struct world *world = *state;
	struct pair pair = take(world, 2);
	close(pair.client);
	await_a_sentinel(world);
	assert_int_equal(world->closed[2], 0);
	assert_int_equal(lp_count_size(world->count), 1);
	close(pair.worker);
	await_closed(world, 2);
	assert_int_equal(world->closed[2], 1);
}

static void one_whose_worker_has_said_its_last_stays_while_it_reads(void **state)
{
	struct world *world = *state;
	struct pair pair = take(world, 2);
	assert_int_equal(shutdown(pair.worker, SHUT_WR), 0);
	await_a_sentinel(world);
	assert_int_equal(world->closed[2], 0);
	assert_int_equal(lp_count_size(world->count), 1);
	close(pair.worker);
	await_closed(world, 2);
	close(pair.client);
}

static void one_that_the_client_resets_is_counted(void **state)
{
	struct world *world = *state;
	struct pair pair = take(world, 3);
	reset(pair.client);
	close(pair.worker);
	await_closed(world, 1);
	assert_int_equal(world->closed[3], 1);
}

static void those_of_a_killed_worker_are_counted(void **state)
{
	struct world *world = *state;
	struct pair pairs[3];
	for (int i = 0; i < 3; i++)
		pairs[i] = take(world, 4);
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	for (int i = 0; i < 3; i++)
		close(pairs[i].worker);
	await_a_sentinel(world);
	assert_int_equal(world->closed[4], 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	await_closed(world, 4);
	assert_int_equal(world->closed[4], 3);
	for (int i = 0; i < 3; i++)
		close(pairs[i].client);
}

static void one_that_the_worker_closed_before_it_was_added_is_counted(void **state)
{
	struct world *world = *state;
	struct pair pair = connect_to(world, &world->address, world->address_length);
	pid_t pid = fork(); /* The worker: it has the socket, and closes it by ending. */
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	close(pair.client);
	assert_int_equal(lp_count_add(world->count, pair.worker, 5, world->port), 0);
	close(pair.worker);
	await_closed(world, 1);
	assert_int_equal(world->closed[5], 1);
}

static void ipv6_and_mapped_ipv4_are_counted(void **state)
{
	struct world *world = *state;
	close(world->listener);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	listen_at(world, &any, sizeof(any));
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(world->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = htons(world->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pair pairs[4];
	for (int i = 0; i < 4; i++) {
		pairs[i] = i % 2 ? connect_to(world, &v6, sizeof(v6)) : connect_to(world, &v4, sizeof(v4));
		assert_int_equal(lp_count_add(world->count, pairs[i].worker, 1 + (unsigned)i, world->port), 0);
	}
	close(pairs[0].worker);
	close(pairs[1].worker);
	await_closed(world, 2);
	assert_int_equal(world->closed[1] + world->closed[2], 2);
	assert_int_equal(lp_count_size(world->count), 2);
	for (int i = 0; i < 4; i++)
		close(pairs[i].client);
	close(pairs[2].worker);
	close(pairs[3].worker);
	await_closed(world, 4);
}

static void unix_sockets_are_counted(void **state)
{
	struct world *world = *state;
	close(world->listener);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "limpet-test-count-%d", getpid());
	world->port = 0;
	listen_at(world, &address, sizeof(address));
	struct pair ends = take(world, 1);
	struct pair stays = take(world, 2);
	close(ends.worker);
	await_closed(world, 1);
	assert_int_equal(world->closed[1], 1);
	assert_int_equal(lp_count_size(world->count), 1);
	close(ends.client);
	close(stays.client);
	close(stays.worker);
}

static void several_listeners_are_counted(void **state)
{
	struct world *world = *state;
	struct pair pairs[70];
	int listeners[70];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	for (int i = 0; i < 70; i++) { /* More than are told apart. */
		listeners[i] = world->listener;
		pairs[i] = take(world, 1 + (unsigned)i);
		if (i == 0 || i == 2 || i == 68) { /* With one, few and too many ports known. */
			close(pairs[i].worker);
			pairs[i].worker = -1;
			while (world->closed[1 + i] == 0)
				uv_run(&world->loop, UV_RUN_ONCE);
		}
		listen_at(world, &address, sizeof(address));
	}
	unsigned before = world->closed_in_all;
	assert_int_equal(lp_count_size(world->count) + before, 70);
	for (int i = 0; i < 70; i++) {
		close(pairs[i].client);
		if (pairs[i].worker >= 0)
			close(pairs[i].worker);
		close(listeners[i]);
	}
	await_closed(world, 70);
	for (int i = 0; i < 70; i++)
		assert_int_equal(world->closed[1 + i], 1);
}

static void connections_added_while_a_list_is_read_are_not_lost(void **state)
{
	struct world *world = *state;
	enum { MOST = 2000 };
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * MOST + 100)
		skip();
	struct pair *pairs = calloc(MOST, sizeof(*pairs));
	int taken = 0;
	while (taken < MOST / 2) /* So that a list comes in several parts, a turn of the loop each. */
		pairs[taken++] = take(world, 1);
	struct pair sentinel = take(world, 7);
	close(sentinel.worker);
	while (world->closed[7] == 0 && taken < MOST) {
		pairs[taken++] = take(world, 1);
		uv_run(&world->loop, UV_RUN_ONCE);
	}
	while (world->closed[7] == 0)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(world->closed_in_all, 1);
	assert_int_equal(lp_count_size(world->count), taken);
	for (int i = 0; i < taken; i++) {
		close(pairs[i].client);
		close(pairs[i].worker);
	}
	await_closed(world, 1 + (unsigned)taken);
	close(sentinel.client);
	free(pairs);
}

/* Makes the queue for the kernel's messages as short as it goes. There is one descriptor with that family and groups. */
static void shorten_the_queue(void)
{
	for (int fd = 0; fd < 64; fd++) {
		struct sockaddr_nl address = {0};
		socklen_t length = sizeof(address);
		if (getsockname(fd, (struct sockaddr *)&address, &length) || address.nl_family != AF_NETLINK ||
		    !address.nl_groups)
			continue;
		int bytes = 0;
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
		return;
	}
	fail_msg("no subscribed netlink socket");
}

static void an_overflow_is_made_good_by_lists(void **state)
{
	struct world *world = *state;
	struct pair pairs[200];
	shorten_the_queue();
	for (int i = 0; i < 200; i++)
		pairs[i] = take(world, 1 + (unsigned)i % 4);
	for (int i = 0; i < 190; i++) {
		close(pairs[i].client);
		close(pairs[i].worker);
	}
	uv_run(&world->loop, UV_RUN_ONCE);
	assert_in_range(world->closed_in_all, 0, 189); /* Some were lost, */
	await_closed(world, 190);                      /* and found. */
	assert_int_equal(lp_count_size(world->count), 10);
	struct pair later = take(world, 9); /* Being told goes on. */
	close(later.client);
	close(later.worker);
	uint64_t before = uv_hrtime();
	await_closed(world, 191);
	assert_true(uv_hrtime() - before < 200 * 1000000ull); /* No list can have been that quick. */
	for (int i = 190; i < 200; i++) {
		close(pairs[i].client);
		close(pairs[i].worker);
	}
}

static void those_of_a_forgotten_worker_are_not_told_of(void **state)
{
	struct world *world = *state;
	struct pair forgotten = take(world, 1);
	struct pair kept = take(world, 2);
	lp_count_forget_worker(world->count, 1);
	assert_int_equal(lp_count_size(world->count), 1);
	close(forgotten.worker);
	close(kept.worker);
	await_closed(world, 1);
	await_a_sentinel(world);
	assert_int_equal(world->closed[1], 0);
	assert_int_equal(world->closed[2], 1);
	close(forgotten.client);
	close(kept.client);
}

static void nonsense_is_refused(void **state)
{
	struct world *world = *state;
	struct pair pair = take(world, 1);
	assert_int_equal(lp_count_add(world->count, pair.worker, 2, world->port), UV_EEXIST);
	assert_int_equal(lp_count_add(world->count, pair.client, 0, world->port), UV_EINVAL);
	assert_int_equal(lp_count_add(world->count, pair.client, 257, world->port), UV_EINVAL);
	assert_int_equal(lp_count_add(world->count, -1, 1, world->port), UV_EBADF);
	int pipe_ends[2];
	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(lp_count_add(world->count, pipe_ends[0], 1, world->port), UV_ENOTSOCK);
	assert_int_equal(lp_count_size(world->count), 1);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	close(pair.worker);
	close(pair.client);
}

static void it_can_be_stopped_from_its_own_news(void **state)
{
	struct world *world = *state;
	struct pair first = take(world, 1);
	struct pair second = take(world, 2);
	world->stop_when_closed = true;
	close(first.worker);
	close(second.worker);
	while (!world->stopped)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(world->closed_in_all, 1);
	close(first.client);
	close(second.client);
}

static void stopping_nothing_stops_at_once(void **state)
{
	struct world world = {0};
	(void)state;
	lp_count_stop(NULL, on_stopped, &world);
	assert_true(world.stopped);
	lp_count_stop(NULL, NULL, NULL);
}

#define BOTH(name)                                                                                                     \
	{#name " (told)", name, set_up_told, tear_down, NULL},                                                         \
	{                                                                                                              \
#name " (asked)", name, set_up_asked, tear_down, NULL                                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(one_that_the_worker_closes_first_is_counted),
		BOTH(one_that_the_client_closes_first_stays_until_the_worker_closes),
		BOTH(one_whose_worker_has_said_its_last_stays_while_it_reads),
		BOTH(one_that_the_client_resets_is_counted),
		BOTH(those_of_a_killed_worker_are_counted),
		BOTH(ipv6_and_mapped_ipv4_are_counted),
		BOTH(unix_sockets_are_counted),
		BOTH(several_listeners_are_counted),
		BOTH(connections_added_while_a_list_is_read_are_not_lost),
		BOTH(it_can_be_stopped_from_its_own_news),
		cmocka_unit_test_setup_teardown(one_that_the_worker_closed_before_it_was_added_is_counted, set_up_told,
						tear_down),
		cmocka_unit_test_setup_teardown(those_of_a_forgotten_worker_are_not_told_of, set_up_told, tear_down),
		cmocka_unit_test_setup_teardown(nonsense_is_refused, set_up_told, tear_down),
		cmocka_unit_test_setup_teardown(an_overflow_is_made_good_by_lists, set_up_told, tear_down),
		cmocka_unit_test(stopping_nothing_stops_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
