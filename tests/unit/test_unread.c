#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback_fixture.h"
#include "table_fixture.h"
#include "worker/unread.h"

#define REQUEST "GET / HTTP/1.1\r\n"

enum { WORKERS = 3 };

struct world {
	uv_loop_t loop;
	struct table table;
	struct lp_unread unread;
	unsigned settled;
	unsigned left;
	unsigned silences; /* How often the worker is silent when it is asked about. */
};

static void on_settled(struct lp_unread *unread, struct lp_connection *connection)
{
	((struct world *)unread->owner)->settled++;
	lp_connection_close(unread->connections, connection);
}

static void on_left(struct lp_unread *unread, struct lp_connection *connection)
{
	((struct world *)unread->owner)->left++;
	lp_connection_move(unread->connections, connection, LP_DUE);
}

static bool is_silent(struct lp_unread *unread, unsigned worker)
{
	struct world *world = unread->owner;
	assert_int_equal(worker, 1);
	return world->silences > 0 && world->silences--;
}

static void open_world(struct world *world)
{
	*world = (struct world){0};
	uv_loop_init(&world->loop);
	open_table(&world->table, WORKERS);
	lp_unread_init(&world->unread, &world->loop, &world->table.connections, on_settled, on_left, is_silent, world);
}

static void close_world(struct world *world)
{
	uv_close((uv_handle_t *)&world->unread.timer, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world->loop), 0);
	close_table(&world->table);
}

/* A worker has accepted it; the descriptor is the record's, the copy in `connection` is the worker's. */
static struct lp_connection *keep(struct world *world, struct connection *connection, unsigned worker)
{
	struct lp_connection *kept = queue_connection(&world->table, dup(connection->fd), 80, worker);
	lp_connection_move(&world->table.connections, kept, LP_SENDING);
	lp_connection_move(&world->table.connections, kept, LP_SENT);
	lp_unread_keep(&world->unread, kept);
	return kept;
}

static void a_connection_settles_when_it_is_read(void **state)
{
	struct connection connection = make_connection(REQUEST);
	struct world world;
	char bytes[64];
	(void)state;
	open_world(&world);
	keep(&world, &connection, 1);
	uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(world.settled, 0);
	assert_int_equal(read(connection.fd, bytes, sizeof(bytes)), strlen(REQUEST));
	uv_run(&world.loop, UV_RUN_DEFAULT); /* Ends because the timer does. */
	assert_int_equal(world.settled, 1);
	assert_int_equal(world.table.connections.live, 0);
	close_world(&world);
	close_connection(&connection);
}

static void a_connection_that_is_never_read_settles_in_the_end(void **state)
{
	struct connection connection = make_connection(REQUEST);
	struct world world;
	(void)state;
	open_world(&world);
	keep(&world, &connection, 1);
	uv_run(&world.loop, UV_RUN_DEFAULT);
	assert_int_equal(world.settled, 1);
	close_world(&world);
	close_connection(&connection);
}

/* Each worker's are looked at, a byte that waits is enough to stay, and how long one has waited begins anew each time. */
static void the_last_workers_and_one_byte_are_looked_at_too(void **state)
{
	struct connection read_from = make_connection(REQUEST);
	struct connection unread = make_connection("G");
	struct world world;
	char bytes[64];
	(void)state;
	open_world(&world);
	keep(&world, &read_from, WORKERS);
	struct lp_connection *kept = queue_connection(&world.table, dup(unread.fd), 80, 1);
	kept->ticks = LP_UNREAD_TICKS_MAX - 1; /* Of an earlier time with a worker. */
	lp_connection_move(&world.table.connections, kept, LP_SENDING);
	lp_connection_move(&world.table.connections, kept, LP_SENT);
	lp_unread_keep(&world.unread, kept);
	assert_int_equal(read(read_from.fd, bytes, sizeof(bytes)), strlen(REQUEST));
	uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(world.settled, 1);
	assert_int_equal(kept->state, LP_UNREAD);
	assert_int_equal(kept->ticks, 1);
	assert_int_equal(read(unread.fd, bytes, sizeof(bytes)), 1);
	uv_run(&world.loop, UV_RUN_DEFAULT);
	assert_int_equal(world.settled, 2);
	close_world(&world);
	close_connection(&read_from);
	close_connection(&unread);
}

static void while_its_worker_is_silent_it_does_not(void **state)
{
	struct connection connection = make_connection(REQUEST);
	struct world world;
	(void)state;
	open_world(&world);
	world.silences = 1;
	struct lp_connection *kept = keep(&world, &connection, 1);
	kept->ticks = LP_UNREAD_TICKS_MAX - 1;
	uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(world.silences, 0);
	assert_int_equal(world.settled, 0);
	assert_int_equal(kept->ticks, 0);
	kept->ticks = LP_UNREAD_TICKS_MAX - 1;
	uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(world.settled, 1);
	close_world(&world);
	close_connection(&connection);
}

static void a_dead_worker_leaves_what_it_never_read(void **state)
{
	struct connection unread = make_connection(REQUEST);
	struct connection read_from = make_connection(REQUEST);
	struct connection of_another = make_connection(REQUEST);
	struct world world;
	char bytes[64];
	(void)state;
	open_world(&world);
	struct lp_connection *left = keep(&world, &unread, 2);
	keep(&world, &read_from, 2);
	struct lp_connection *other = keep(&world, &of_another, 3);
	assert_int_equal(read(read_from.fd, bytes, 4), 4);
	lp_unread_worker_ended(&world.unread, 2);
	assert_int_equal(world.settled, 1);
	assert_int_equal(world.left, 1);
	assert_int_equal(left->state, LP_DUE);
	assert_int_equal(other->state, LP_UNREAD);
	lp_connection_close(&world.table.connections, left);
	lp_connection_close(&world.table.connections, other);
	close_world(&world);
	close_connection(&unread);
	close_connection(&read_from);
	close_connection(&of_another);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_settles_when_it_is_read),
		cmocka_unit_test(a_connection_that_is_never_read_settles_in_the_end),
		cmocka_unit_test(the_last_workers_and_one_byte_are_looked_at_too),
		cmocka_unit_test(while_its_worker_is_silent_it_does_not),
		cmocka_unit_test(a_dead_worker_leaves_what_it_never_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
