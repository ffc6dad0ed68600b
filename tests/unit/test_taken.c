#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback_fixture.h"
#include "worker/taken.h"

struct world {
	uv_loop_t loop;
	struct lp_taken taken;
	unsigned settled;
	unsigned silences; /* How often the worker is silent when it is asked about. */
};

static void on_settled(struct lp_taken *taken, struct lp_parcel *parcel)
{
	(void)parcel;
	((struct world *)taken->owner)->settled++;
}

static bool is_silent(struct lp_taken *taken, unsigned worker)
{
	struct world *world = taken->owner;
	assert_int_equal(worker, 1);
	return world->silences > 0 && world->silences--;
}

static void open_world(struct world *world)
{
	*world = (struct world){0};
	uv_loop_init(&world->loop);
	lp_taken_init(&world->taken, &world->loop, on_settled, is_silent, world);
}

static void close_world(struct world *world)
{
	uv_close((uv_handle_t *)&world->taken.timer, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world->loop), 0);
}

static void a_connection_settles_when_it_is_read(void **state)
{
	struct connection connection = make_connection(1, "GET / HTTP/1.1\r\n");
	struct world world;
	char bytes[64];
	(void)state;
	open_world(&world);
	lp_taken_add(&world.taken, &connection.parcel);
	uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(world.settled, 0);
	assert_int_equal(read(connection.parcel.fd, bytes, sizeof(bytes)), 16);
	uv_run(&world.loop, UV_RUN_DEFAULT); /* Ends because the timer does. */
	assert_int_equal(world.settled, 1);
	assert_true(lp_list_empty(&world.taken.parcels));
	close_world(&world);
	close_connection(&connection);
}

static void a_connection_that_is_never_read_settles_in_the_end(void **state)
{
	struct connection connection = make_connection(1, "GET / HTTP/1.1\r\n");
	struct world world;
	(void)state;
	open_world(&world);
	lp_taken_add(&world.taken, &connection.parcel);
	uv_run(&world.loop, UV_RUN_DEFAULT);
	assert_int_equal(world.settled, 1);
	assert_int_equal(connection.parcel.ticks, LP_TAKEN_TICKS_MAX);
	close_world(&world);
	close_connection(&connection);
}

static void while_its_worker_is_silent_it_does_not(void **state)
{
	struct connection connection = make_connection(1, "GET / HTTP/1.1\r\n");
	struct world world;
	(void)state;
	open_world(&world);
	world.silences = 1;
	lp_taken_add(&world.taken, &connection.parcel);
	connection.parcel.ticks = LP_TAKEN_TICKS_MAX - 1;
	uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(world.silences, 0);
	assert_int_equal(world.settled, 0);
	connection.parcel.ticks = LP_TAKEN_TICKS_MAX - 1;
	uv_run(&world.loop, UV_RUN_ONCE);
	assert_int_equal(world.settled, 1);
	close_world(&world);
	close_connection(&connection);
}

static void a_dead_worker_leaves_what_it_never_read(void **state)
{
	struct connection unread = make_connection(2, "GET / HTTP/1.1\r\n");
	struct connection read_from = make_connection(2, "GET / HTTP/1.1\r\n");
	struct connection of_another = make_connection(3, "GET / HTTP/1.1\r\n");
	struct lp_list unread_ones;
	struct world world;
	char bytes[64];
	(void)state;
	open_world(&world);
	lp_list_init(&unread_ones);
	lp_taken_add(&world.taken, &unread.parcel);
	lp_taken_add(&world.taken, &read_from.parcel);
	lp_taken_add(&world.taken, &of_another.parcel);
	assert_int_equal(read(read_from.parcel.fd, bytes, 4), 4);
	lp_taken_leave(&world.taken, 2, &unread_ones);
	assert_int_equal(world.settled, 1);
	assert_ptr_equal(unread_ones.next, &unread.parcel.link);
	assert_ptr_equal(unread_ones.next->next, &unread_ones);
	assert_ptr_equal(world.taken.parcels.next, &of_another.parcel.link);
	lp_list_remove(&unread.parcel.link);
	lp_list_remove(&of_another.parcel.link);
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
		cmocka_unit_test(while_its_worker_is_silent_it_does_not),
		cmocka_unit_test(a_dead_worker_leaves_what_it_never_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
