/*
 * Counting against the real kernel: every way a connection can end, by each of the two ways of hearing of it.
 *
 * A world has a listener and one lp_count. `take` connects, has "the worker" (this process, or a forked one) hold the
 * accepted socket, and has it remembered. A test then ends connections and runs the loop until the count says so; a
 * deadline that no healthy run comes near turns waiting for ever into a failure.
 */
#include "count_fixture.h"

static void one_that_the_worker_closes_first_is_counted(void **state)
{
	struct world *world = *state;
	struct pair pair = take(world, 1);
	close(pair.worker);
	await_closed(world, 1); /* The client still has its end. */
	assert_int_equal(world->closed[1], 1);
	assert_int_equal(lp_open_count_size(world->count), 0);
	close(pair.client);
}

static void one_that_the_client_closes_first_stays_until_the_worker_closes(void **state)
{
	struct world *world = *state;
	struct pair pair = take(world, 2);
	close(pair.client);
	await_a_sentinel(world);
	assert_int_equal(world->closed[2], 0);
	assert_int_equal(lp_open_count_size(world->count), 1);
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
	assert_int_equal(lp_open_count_size(world->count), 1);
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
	assert_int_equal(lp_open_count_add(world->count, pair.worker, 5, world->port), 0);
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
		assert_int_equal(lp_open_count_add(world->count, pairs[i].worker, 1 + (unsigned)i, world->port), 0);
	}
	close(pairs[0].worker);
	close(pairs[1].worker);
	await_closed(world, 2);
	assert_int_equal(world->closed[1] + world->closed[2], 2);
	assert_int_equal(lp_open_count_size(world->count), 2);
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
	assert_int_equal(lp_open_count_size(world->count), 1);
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
	assert_int_equal(lp_open_count_size(world->count) + before, 70);
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
	assert_int_equal(lp_open_count_size(world->count), taken);
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
	assert_int_equal(lp_open_count_size(world->count), 10);
	/* Being told goes on: the news comes quicker than any list, at least once on a busy machine. */
	uint64_t quickest_ns = UINT64_MAX;
	for (unsigned i = 1; i <= 10 && quickest_ns >= 200 * 1000000ull; i++) {
		uint64_t before_ns = uv_hrtime();
		struct pair later = take(world, 9);
		close(later.client);
		close(later.worker);
		await_closed(world, 190 + i);
		if (uv_hrtime() - before_ns < quickest_ns)
			quickest_ns = uv_hrtime() - before_ns;
	}
	assert_true(quickest_ns < 200 * 1000000ull);
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
	lp_open_count_forget_worker(world->count, 1);
	assert_int_equal(lp_open_count_size(world->count), 1);
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
	assert_int_equal(lp_open_count_add(world->count, pair.worker, 2, world->port), UV_EEXIST);
	assert_int_equal(lp_open_count_add(world->count, pair.client, 0, world->port), UV_EINVAL);
	assert_int_equal(lp_open_count_add(world->count, pair.client, 257, world->port), UV_EINVAL);
	assert_int_equal(lp_open_count_add(world->count, -1, 1, world->port), UV_EBADF);
	int pipe_ends[2];
	assert_int_equal(pipe(pipe_ends), 0);
	assert_int_equal(lp_open_count_add(world->count, pipe_ends[0], 1, world->port), UV_ENOTSOCK);
	assert_int_equal(lp_open_count_size(world->count), 1);
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
	lp_open_count_stop(NULL, on_stopped, &world);
	assert_true(world.stopped);
	lp_open_count_stop(NULL, NULL, NULL);
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
