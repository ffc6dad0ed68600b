/*
 * A made-up balancer is the same on every run, and its connections are what was asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "assert_slice.h"
#include "policy/scene.h"

static int set_up(void **state)
{
	struct lp_scene *scene = malloc(sizeof(*scene));

	*state = scene;
	return lp_scene_init(scene) == 0 ? lp_scene_reset(scene, 4) : -1;
}

static int tear_down(void **state)
{
	lp_scene_deinit(*state);
	free(*state);
	return 0;
}

static struct lp_policy_conn connect_as(struct lp_scene *scene, struct lp_scene_conn what)
{
	struct lp_policy_conn conn;

	assert_int_equal(lp_scene_connect(scene, &what, &conn, NULL), 0);
	return conn;
}

static void nothing_said_is_a_plain_request(void **state)
{
	struct lp_policy_conn conn = connect_as(*state, (struct lp_scene_conn){0});

	assert_int_equal(conn.protocol, LP_PROTOCOL_HTTP);
	assert_int_equal(conn.ip.family, LP_FAMILY_IPV4);
	assert_int_equal(conn.port, 50000);
	assert_string_equal(conn.listener, ":3000");
	assert_slice(conn.head->method, "GET");
	assert_slice(conn.head->path, "/");
	assert_true(conn.session_awaited);
}

static void a_sid_goes_encoded_into_the_query(void **state)
{
	struct lp_policy_conn conn = connect_as(*state, (struct lp_scene_conn){.path = "/a?b=c", .sid = "x &/\xff"});
	char sid[16];

	assert_slice(conn.head->query, "b=c&sid=x%20%26%2F%FF");
	assert_int_equal(lp_head_query(conn.head, LP_SLICE("sid"), sid, sizeof(sid)), 5);
	assert_memory_equal(sid, "x &/\xff", 5);
}

static void headers_are_sent_and_host_is_not_doubled(void **state)
{
	static const char *const headers[] = {"A: 1", "hOsT: b.example"};
	struct lp_policy_conn conn = connect_as(*state, (struct lp_scene_conn){.headers = headers, .header_count = 2});

	const struct lp_header *read;
	assert_int_equal(lp_head_headers(conn.head, &read), 2);
	assert_slice(read[1].value, "b.example");
}

static void tls_has_a_hello_and_no_request(void **state)
{
	static const char *const alpn[] = {"h2", "h2", "h2", "h2", "h2", "h2", "h2", "h2", "h2"};
	struct lp_policy_conn conn =
		connect_as(*state, (struct lp_scene_conn){.sni = "a", .alpn = alpn, .alpn_count = 9});

	assert_int_equal(conn.protocol, LP_PROTOCOL_TLS);
	assert_slice(conn.hello->sni, "a");
	assert_int_equal(conn.hello->alpn_count, LP_HELLO_ALPN_MAX);
	assert_null(conn.head);
}

static void raw_bytes_are_whatever_they_are(void **state)
{
	struct lp_policy_conn conn;
	struct lp_scene_conn half = {.raw = LP_SLICE("GET / HTTP/1.1\r\n")};
	struct lp_scene_conn hello = {.raw = LP_SLICE("\x16\x03\x01")};
	struct lp_error error;

	assert_int_equal(connect_as(*state, (struct lp_scene_conn){.raw = LP_SLICE("\0\1")}).protocol,
			 LP_PROTOCOL_OTHER);
	assert_int_equal(connect_as(*state, (struct lp_scene_conn){.raw = LP_SLICE("")}).protocol, LP_PROTOCOL_OTHER);
	assert_int_equal(
		connect_as(*state, (struct lp_scene_conn){.raw = LP_SLICE("GET /x HTTP/1.1\r\n\r\n")}).protocol,
		LP_PROTOCOL_HTTP);
	assert_int_equal(lp_scene_connect(*state, &half, &conn, &error), LP_EUSAGE);
	assert_int_equal(lp_scene_connect(*state, &hello, &conn, &error), LP_EUSAGE);
}

static void what_cannot_be_sent_is_refused(void **state)
{
	struct lp_scene_conn method = {.method = "G E T"};
	struct lp_scene_conn ip = {.ip = "here"};
	struct lp_policy_conn conn;
	struct lp_error error;

	assert_int_equal(lp_scene_connect(*state, &method, &conn, &error), LP_EUSAGE);
	assert_int_equal(lp_scene_connect(*state, &ip, &conn, &error), LP_EUSAGE);
	assert_string_equal(error.text, "\"here\" is no address, such as 192.0.2.1 or 2001:db8::1");
}

static void a_reset_forgets_everything(void **state)
{
	struct lp_scene *scene = *state;
	uint64_t began = scene->now_ns;

	lp_sessions_bind(scene->host.sessions, LP_SLICE("a"), 2);
	assert_int_equal(lp_scene_trust(scene, "10.0.0.0/8", NULL), 0);
	assert_int_equal(lp_scene_trust(scene, "here", NULL), -EINVAL);
	assert_int_equal(scene->host.trust.count, 1);
	scene->now_ns += 5;
	scene->workers.slots[0].connections = 7;
	assert_int_equal(lp_scene_reset(scene, 2), 0);
	assert_int_equal(lp_sessions_count(scene->host.sessions), 0);
	assert_int_equal(scene->workers.slots[1].sessions, 0);
	assert_int_equal(scene->workers.slots[0].connections, 0);
	assert_int_equal(scene->workers.usable_count, 2);
	assert_int_equal(scene->host.trust.count, 0);
	assert_true(scene->now_ns == began);
}

static void changing_workers_keeps_sessions_counted(void **state)
{
	struct lp_scene *scene = *state;

	lp_sessions_bind(scene->host.sessions, LP_SLICE("a"), 2);
	lp_scene_set_workers(scene, 8);
	assert_int_equal(scene->workers.slots[1].sessions, 1);
	assert_int_equal(lp_sessions_forget_worker(scene->host.sessions, 2), 1);
	assert_int_equal(scene->workers.slots[1].sessions, 0);
}

static void lines_come_one_by_one_and_are_not_limited(void **state)
{
	struct lp_scene *scene = *state;
	char line[LP_SCENE_LINE_SIZE];

	assert_false(lp_scene_next_line(scene, line));
	for (int i = 0; i < 100; i++) {
		lp_log_limited(&scene->log, LP_LOG_ERROR, LP_LOG_TOPIC_POLICY, NULL, "line %d", i);
		assert_true(lp_scene_next_line(scene, line));
		assert_memory_equal(line, "line ", 5);
		assert_int_equal(atoi(line + 5), i);
	}
	assert_false(lp_scene_next_line(scene, line));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_said_is_a_plain_request),
		TEST(a_sid_goes_encoded_into_the_query),
		TEST(headers_are_sent_and_host_is_not_doubled),
		TEST(tls_has_a_hello_and_no_request),
		TEST(raw_bytes_are_whatever_they_are),
		TEST(what_cannot_be_sent_is_refused),
		TEST(a_reset_forgets_everything),
		TEST(changing_workers_keeps_sessions_counted),
		TEST(lines_come_one_by_one_and_are_not_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
