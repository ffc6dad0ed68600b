/**
 * A world in which connections are counted: a loop, a listener, pairs of connected sockets, and what was told of them.
 */
#ifndef COUNT_FIXTURE_H
#define COUNT_FIXTURE_H

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

#include "worker/counts/open_count.h"

/* Longer than the 30 s at the worst in which a socket is found whose client does not close (open_count.c). */
#define DEADLINE_MS 45000

struct world {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct lp_log log;
	struct lp_open_count *count;
	bool ask_only;
	int listener;
	struct sockaddr_storage address;
	socklen_t address_length;
	uint16_t port;
	unsigned closed[257];
	unsigned closed_in_all;
	bool stop_when_closed; /* on_closed calls lp_open_count_stop. */
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
		lp_open_count_stop(world->count, on_stopped, world);
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
	assert_int_equal(lp_open_count_start(&world->count, &world->loop, &world->log, ask_only, on_closed, world), 0);
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
		lp_open_count_stop(world->count, on_stopped, world);
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
	assert_int_equal(lp_open_count_add(world->count, pair.worker, worker, world->port), 0);
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

#endif
