/*
 * The recorder: what is kept of a connection, what is not, and how the ring goes round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "guarded.h"
#include "server/recorder.h"

#define REQUEST "GET /chat HTTP/1.1\r\nHost: a.example\r\n\r\n"

static const struct lp_head any_head;
static const struct lp_hello any_hello;

static struct lp_policy_conn conn_from(const char *ip)
{
	struct lp_policy_conn conn = {.port = 4321, .listener = ":3000", .protocol = LP_PROTOCOL_OTHER};

	assert_int_equal(lp_ip_parse(ip, strlen(ip), &conn.ip), 0);
	return conn;
}

static struct lp_policy_conn request_from(const char *ip)
{
	struct lp_policy_conn conn = conn_from(ip);

	conn.protocol = LP_PROTOCOL_HTTP;
	conn.head = &any_head;
	return conn;
}

static int set_up(void **state)
{
	*state = lp_recorder_new();
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	lp_recorder_free(*state);
	return 0;
}

static void a_connection_is_kept_with_its_head_and_where_it_went(void **state)
{
	struct lp_policy_conn conn = request_from("192.0.2.7");
	const struct lp_recorded *recorded;

	lp_recorder_note(*state, 1, &conn, REQUEST "a body", strlen(REQUEST), 3);
	assert_int_equal(lp_recorder_count(*state), 1);
	recorded = lp_recorder_get(*state, 0);
	assert_true(lp_ip_equal(&recorded->ip, &conn.ip));
	assert_int_equal(recorded->port, 4321);
	assert_string_equal(recorded->listener, ":3000");
	assert_int_equal(recorded->worker, 3);
	assert_int_equal(recorded->length, strlen(REQUEST));
	assert_memory_equal(recorded->head, REQUEST "\0", strlen(REQUEST) + 1);
}

static void a_hello_is_kept_too(void **state)
{
	struct lp_policy_conn conn = conn_from("2001:db8::1");

	conn.protocol = LP_PROTOCOL_TLS;
	conn.hello = &any_hello;
	lp_recorder_note(*state, 1, &conn, "\x16\x03\0\x01", 4, 1);
	assert_int_equal(lp_recorder_get(*state, 0)->length, 4);
	assert_memory_equal(lp_recorder_get(*state, 0)->head, "\x16\x03\0\x01", 4);
}

static void of_what_nobody_understood_no_byte_is_read(void **state)
{
	struct lp_policy_conn conn = conn_from("192.0.2.7");

	lp_recorder_note(*state, 1, &conn, NULL, 100, 2);
	assert_int_equal(lp_recorder_count(*state), 1);
	assert_int_equal(lp_recorder_get(*state, 0)->length, 0);
}

static void a_second_one_in_the_same_millisecond_is_passed_over(void **state)
{
	struct lp_policy_conn conn = conn_from("192.0.2.7");

	lp_recorder_note(*state, 0, &conn, NULL, 0, 1);
	lp_recorder_note(*state, 0, &conn, NULL, 0, 2);
	assert_int_equal(lp_recorder_count(*state), 1);
	assert_int_equal(lp_recorder_get(*state, 0)->worker, 1);
	lp_recorder_note(*state, 1, &conn, NULL, 0, 3);
	assert_int_equal(lp_recorder_count(*state), 2);
	assert_int_equal(lp_recorder_get(*state, 0)->worker, 3);
	assert_int_equal(lp_recorder_get(*state, 1)->worker, 1);
}

static void the_longest_head_is_kept_whole_and_a_longer_one_not_at_all(void **state)
{
	struct lp_policy_conn conn = request_from("192.0.2.7");
	static char head[LP_RECORDED_HEAD_BYTES + 1];
	struct guarded guarded;

	memset(head, 'a', sizeof(head));
	lp_recorder_note(*state, 1, &conn, head, sizeof(head), 1);
	assert_int_equal(lp_recorder_count(*state), 0);

	assert_int_equal(guarded_init(&guarded, LP_RECORDED_HEAD_BYTES), 0);
	lp_recorder_note(*state, 1, &conn, guarded_put(&guarded, head, LP_RECORDED_HEAD_BYTES), LP_RECORDED_HEAD_BYTES,
			 1);
	guarded_deinit(&guarded);
	assert_int_equal(lp_recorder_count(*state), 1);
	assert_memory_equal(lp_recorder_get(*state, 0)->head, head, LP_RECORDED_HEAD_BYTES);
}

static void the_ring_keeps_the_last_ones_each_with_its_own_head(void **state)
{
	struct lp_policy_conn conn = request_from("192.0.2.7");
	char head[8] = "head ??";

	for (unsigned i = 0; i < 3 * LP_RECORDER_CONNECTIONS + 5; i++) {
		head[5] = (char)(i >> 8);
		head[6] = (char)i;
		lp_recorder_note(*state, i, &conn, head, 7, 1 + i % 200);
	}
	assert_int_equal(lp_recorder_count(*state), LP_RECORDER_CONNECTIONS);
	for (unsigned back = 0; back < LP_RECORDER_CONNECTIONS; back++) {
		unsigned i = 3 * LP_RECORDER_CONNECTIONS + 4 - back;
		const struct lp_recorded *recorded = lp_recorder_get(*state, back);

		head[5] = (char)(i >> 8);
		head[6] = (char)i;
		assert_int_equal(recorded->worker, 1 + i % 200);
		assert_memory_equal(recorded->head, head, 7);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_is_kept_with_its_head_and_where_it_went),
		TEST(a_hello_is_kept_too),
		TEST(of_what_nobody_understood_no_byte_is_read),
		TEST(a_second_one_in_the_same_millisecond_is_passed_over),
		TEST(the_longest_head_is_kept_whole_and_a_longer_one_not_at_all),
		TEST(the_ring_keeps_the_last_ones_each_with_its_own_head),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
