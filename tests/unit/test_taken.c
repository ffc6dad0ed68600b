#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/taken.h"
#include "worker/untouched.h"

/* A connection over loopback: the client's end, and ours in a parcel. */
struct connection {
	int client;
	struct lp_parcel parcel;
};

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

static void await_bytes(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&polled, 1, 10000), 1);
}

static struct connection make_connection(unsigned worker, const char *request)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct connection connection = {.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(connect(connection.client, (struct sockaddr *)&address, length), 0);
	connection.parcel.fd = accept(listener, NULL, NULL);
	connection.parcel.worker = (uint16_t)worker;
	lp_list_init(&connection.parcel.link);
	close(listener);
	if (*request) {
		assert_int_equal(write(connection.client, request, strlen(request)), strlen(request));
		await_bytes(connection.parcel.fd);
	}
	return connection;
}

static void close_connection(struct connection *connection)
{
	close(connection->client);
	close(connection->parcel.fd);
}

static void an_unread_connection_is_untouched(void **state)
{
	struct connection silent = make_connection(1, "");
	struct connection speaking = make_connection(1, "GET / HTTP/1.1\r\n");
	(void)state;
	assert_true(lp_is_untouched(silent.parcel.fd));
	assert_true(lp_is_untouched(speaking.parcel.fd));
	assert_int_equal(lp_bytes_waiting(speaking.parcel.fd), 16);
	close_connection(&silent);
	close_connection(&speaking);
}

static void a_connection_of_which_one_byte_was_read_is_touched(void **state)
{
	struct connection connection = make_connection(1, "GET / HTTP/1.1\r\n");
	char byte;
	(void)state;
	assert_int_equal(read(connection.parcel.fd, &byte, 1), 1);
	assert_false(lp_is_untouched(connection.parcel.fd));
	assert_int_equal(write(connection.client, "!", 1), 1);
	assert_false(lp_is_untouched(connection.parcel.fd));
	close_connection(&connection);
}

static void a_connection_that_was_written_to_is_touched(void **state)
{
	struct connection connection = make_connection(1, "GET / HTTP/1.1\r\n");
	(void)state;
	assert_int_equal(write(connection.parcel.fd, "1", 1), 1);
	assert_false(lp_is_untouched(connection.parcel.fd));
	close_connection(&connection);
}

static void of_what_cannot_be_proven_the_answer_is_no(void **state)
{
	struct connection ended = make_connection(1, "GET / HTTP/1.1\r\n");
	char bytes[16];
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_false(lp_is_untouched(pair[0]));
	assert_int_equal(shutdown(ended.client, SHUT_WR), 0);
	struct pollfd polled = {.fd = ended.parcel.fd, .events = POLLRDHUP};
	assert_int_equal(poll(&polled, 1, 10000), 1);
	assert_false(lp_is_untouched(ended.parcel.fd));
	assert_int_equal(read(ended.parcel.fd, bytes, 15), 15); /* All but one: the end must not make up for it. */
	assert_false(lp_is_untouched(ended.parcel.fd));
	close(pair[0]);
	close(pair[1]);
	close_connection(&ended);
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
	struct lp_list untouched;
	struct world world;
	char bytes[64];
	(void)state;
	open_world(&world);
	lp_list_init(&untouched);
	lp_taken_add(&world.taken, &unread.parcel);
	lp_taken_add(&world.taken, &read_from.parcel);
	lp_taken_add(&world.taken, &of_another.parcel);
	assert_int_equal(read(read_from.parcel.fd, bytes, 4), 4);
	lp_taken_leave(&world.taken, 2, &untouched);
	assert_int_equal(world.settled, 1);
	assert_ptr_equal(untouched.next, &unread.parcel.link);
	assert_ptr_equal(untouched.next->next, &untouched);
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
		cmocka_unit_test(an_unread_connection_is_untouched),
		cmocka_unit_test(a_connection_of_which_one_byte_was_read_is_touched),
		cmocka_unit_test(a_connection_that_was_written_to_is_touched),
		cmocka_unit_test(of_what_cannot_be_proven_the_answer_is_no),
		cmocka_unit_test(a_connection_settles_when_it_is_read),
		cmocka_unit_test(a_connection_that_is_never_read_settles_in_the_end),
		cmocka_unit_test(while_its_worker_is_silent_it_does_not),
		cmocka_unit_test(a_dead_worker_leaves_what_it_never_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
