#include "channel_fixture.h"

#include <stdio.h>

#include "broker/v8frame.h"

static const char online[] = "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n";

static const char query[] =
	"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":null,"
	"\"port\":3999,\"addressType\":4,\"backlog\":false,\"seq\":1}\n";

static void a_cluster_worker_is_ready_when_it_listens(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, online);
	assert_false(fixture->ready);
	say(fixture, query);
	assert_true(fixture->ready);
	receive(fixture, text, sizeof(text));
	assert_non_null(strstr(text, "\"ack\":1"));
	assert_non_null(strstr(text, "\"errno\":null"));
	assert_non_null(strstr(text, "\"port\":3999"));
	assert_int_equal(text[strlen(text) - 1], '\n');
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"limpet:3999:0\",\"seq\":2}\n");
	assert_false(fixture->ready);
	close_fixture(fixture);
}

static void with_wait_ready_a_worker_is_ready_when_it_says_so(void **state)
{
	struct lp_dialect waiting;
	(void)state;
	assert_false(lp_dialect_wait_ready(&lp_dialect_native, &waiting));
	assert_true(lp_dialect_wait_ready(&lp_dialect_cluster, &waiting));
	struct fixture *fixture = open_fixture(&waiting);
	say(fixture, query);
	assert_false(fixture->ready);
	say(fixture, "\"already\"\n{\"type\":\"ready\"}\n17\n");
	assert_false(fixture->ready);
	say(fixture, "\"ready\"\n");
	assert_true(fixture->ready);
	close_fixture(fixture);
	fixture = open_fixture(&waiting);
	say(fixture, "\"ready\"\n");
	assert_false(fixture->ready);
	say(fixture, query);
	assert_true(fixture->ready);
	close_fixture(fixture);
}

static void with_shutdown_a_worker_is_told_as_pm2_does(void **state)
{
	struct lp_dialect saying;
	char text[1024];
	(void)state;
	assert_false(lp_dialect_say_shutdown(&lp_dialect_preload, &saying));
	assert_true(lp_dialect_say_shutdown(&lp_dialect_cluster, &saying));
	struct fixture *fixture = open_fixture(&saying);
	lp_channel_drain(&fixture->channel);
	receive(fixture, text, sizeof(text));
	assert_string_equal(text, "\"shutdown\"\n");
	close_fixture(fixture);
}

static void a_cluster_worker_acknowledges_by_accepting(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	(void)state;
	say(fixture, query);
	hand_over(fixture, 0, 3999);
	hand_over(fixture, 1, 3999);
	say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	assert_int_equal(fixture->accepted, 0);
	say(fixture, "{\"ack\":2,\"accepted\":false,\"seq\":4,\"cmd\":\"NODE_CLUSTER\"}\n");
	assert_int_equal(fixture->returned, 1);
	assert_int_equal(fixture->reason, LP_RETURN_REFUSED);
	say(fixture, "{\"ack\":1,\"accepted\":true,\"seq\":5,\"cmd\":\"NODE_CLUSTER\"}\n");
	assert_int_equal(fixture->accepted, 1);
	close_fixture(fixture);
}

static void the_other_dialects_acknowledge_by_arrival(void **state)
{
	static const struct {
		const struct lp_dialect *dialect;
		const char *message;
	} cases[] = {
		{&lp_dialect_socketio_sticky, "\"msg\":{\"type\":\"sticky:connection\",\"data\":\"\"}"},
		{&lp_dialect_sticky_session, "\"msg\":\"sticky:balance\""},
		{&lp_dialect_socketio_sticky_session, "\"msg\":\"sticky-session:connection\""},
	};
	char text[1024];
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *fixture = open_fixture(cases[i].dialect);
		say(fixture, online);
		assert_true(fixture->ready);
		hand_over(fixture, 0, 80);
		hand_over(fixture, 1, 80);
		hand_over(fixture, 2, 80);
		assert_true(receive(fixture, text, sizeof(text)));
		assert_non_null(strstr(text, cases[i].message));
		say(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
		assert_int_equal(fixture->accepted, 1);
		say(fixture, "{\"cmd\":\"NODE_HANDLE_NACK\"}\n");
		assert_int_equal(fixture->returned, 1);
		assert_int_equal(fixture->reason, LP_RETURN_NO_ROOM);
		say(fixture, "{\"cmd\": \"NODE_HANDLE_ACK\"}\n"); /* Spelt otherwise. */
		assert_int_equal(fixture->accepted, 2);
		close_fixture(fixture);
	}
}

static void sessions_are_learnt_and_forgotten(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
	(void)state;
	say(fixture, "{\"type\":\"sticky:connection\",\"data\":\"abc_-123\"}\n");
	assert_string_equal(fixture->session, "+abc_-123");
	say(fixture, "{\"type\":\"sticky:disconnection\",\"data\":\"abc_-123\"}\n");
	assert_string_equal(fixture->session, "-abc_-123");
	close_fixture(fixture);
}

static void messages_split_anywhere_are_put_together(void **state)
{
	static const char message[] = "{\"type\":\"sticky:connection\",\"data\":\"abc\"}\n";
	(void)state;
	for (size_t split = 1; split < sizeof(message) - 1; split++) {
		struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
		char first[sizeof(message)] = {0};
		memcpy(first, message, split);
		say(fixture, first);
		assert_string_equal(fixture->session, "");
		say(fixture, message + split);
		assert_string_equal(fixture->session, "+abc");
		close_fixture(fixture);
	}
}

static void garbage_costs_only_its_line(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
	(void)state;
	say(fixture, "}{\n\n\"text\"\n17\nnull\n[]\n{\"cmd\":17,\"type\":{},\"data\":[]}\n"
		     "{\"cmd\":\"NODE_CLUSTER\"}\n{\"cmd\":\"NODE_CLUSTER\",\"ack\":99,\"accepted\":true}\n"
		     "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_NACK\"}\n"
		     "{\"type\":\"sticky:connection\",\"data\":\"abc\"}\n");
	assert_string_equal(fixture->session, "+abc");
	assert_int_equal(fixture->ends, 0);
	assert_int_equal(fixture->accepted, 0);
	close_fixture(fixture);
}

static void a_worker_that_closes_takes_no_more(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_sticky_session);
	(void)state;
	say(fixture, online);
	say(fixture, "{\"type\":\"close\"}\n");
	assert_false(fixture->ready);
	close_fixture(fixture);
	fixture = open_fixture(&lp_dialect_socketio_sticky);
	say(fixture, online);
	say(fixture, "{\"type\":\"close\"}\n"); /* The program's own word. */
	assert_true(fixture->ready);
	close_fixture(fixture);
}

static void a_worker_that_disconnects_is_answered(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, query);
	receive(fixture, text, sizeof(text));
	say(fixture, "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"exitedAfterDisconnect\",\"seq\":7}\n");
	receive(fixture, text, sizeof(text));
	assert_non_null(strstr(text, "\"ack\":7"));
	assert_false(fixture->ready);
	close_fixture(fixture);
}

static void a_handle_from_a_worker_is_acknowledged(void **state)
{
	struct fixture *fixture = open_fixture(&lp_dialect_cluster);
	char text[1024];
	(void)state;
	say(fixture, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{}}\n");
	receive(fixture, text, sizeof(text));
	assert_string_equal(text, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	close_fixture(fixture);
}

static void what_is_the_programs_own_goes_to_the_broker(void **state)
{
	static const char message[] = "{\"source\":\"_sio_adapter\",\"type\":3,\"data\":{\"a\" : 1}}\n";
	struct fixture *fixture = open_fixture(&lp_dialect_socketio_sticky);
	(void)state;
	say(fixture, message);
	assert_string_equal(fixture->message, message);
	say(fixture, online);
	assert_string_equal(fixture->message, message);

	/* Another worker would do what this says. */
	say(fixture, "{\"source\":\"_sio_adapter\",\"cmd\":\"\\u004eODE_CLUSTER\",\"act\":\"disconnect\"}\n");
	say(fixture, "{\"source\":\"_sio_adapter\",\"c\\u006dd\":\"NODE_CLUSTER\",\"act\":\"disconnect\"}\n");
	assert_string_equal(fixture->message, message);
	close_fixture(fixture);
}

/* A worker that speaks V8's serialization says a frame. */
static void say_frame(struct fixture *fixture, const char *json)
{
	struct lp_buffer out = {0};
	assert_int_equal(lp_v8_frame((struct lp_slice){json, strlen(json)}, &out), 0);
	assert_int_equal(send(fixture->worker_end, out.bytes, out.length, MSG_NOSIGNAL), (ssize_t)out.length);
	lp_channel_hear(&fixture->channel);
	lp_buffer_clear(&out);
}

/* What the worker got: one frame, as JSON. */
static void receive_frame(struct fixture *fixture, char *text, size_t size)
{
	char frame[1024];
	struct lp_buffer room = {0};
	ssize_t length = recv(fixture->worker_end, frame, sizeof(frame), MSG_DONTWAIT);
	assert_true(length > LP_V8_FRAME_HEAD);
	assert_int_equal(lp_v8_frame_length(frame), length);
	struct lp_slice json = lp_message_json((struct lp_slice){frame, (size_t)length}, &room);
	snprintf(text, size, "%.*s", LP_SLICE_ARG(json));
	lp_buffer_clear(&room);
}

static void an_advanced_worker_says_the_same_in_frames(void **state)
{
	struct lp_dialect advanced;
	char text[1024];
	(void)state;
	assert_false(lp_dialect_advance(&lp_dialect_native, &advanced));
	assert_true(lp_dialect_advance(&lp_dialect_cluster, &advanced));
	struct fixture *fixture = open_fixture(&advanced);
	say_frame(fixture, online);
	say_frame(fixture, query);
	assert_true(fixture->ready);
	receive_frame(fixture, text, sizeof(text));
	assert_non_null(strstr(text, "\"ack\":1"));
	assert_non_null(strstr(text, "\"port\":3999"));
	hand_over(fixture, 0, 3999);
	receive_frame(fixture, text, sizeof(text));
	assert_string_equal(text, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":"
				  "\"NODE_CLUSTER\",\"act\":\"newconn\",\"key\":\"limpet:3999:0\",\"seq\":1}}");
	say_frame(fixture, "{\"cmd\":\"NODE_HANDLE_ACK\"}");
	say_frame(fixture, "{\"ack\":1,\"accepted\":true,\"seq\":5,\"cmd\":\"NODE_CLUSTER\"}");
	assert_int_equal(fixture->accepted, 1);
	say_frame(fixture, "{\"cmd\":\"NODE_HANDLE\"}");
	receive_frame(fixture, text, sizeof(text));
	assert_string_equal(text, "{\"cmd\":\"NODE_HANDLE_ACK\"}");
	close_fixture(fixture);
	assert_true(lp_dialect_wait_ready(&advanced, &advanced));
	assert_true(lp_dialect_say_shutdown(&advanced, &advanced));
	fixture = open_fixture(&advanced);
	say_frame(fixture, query);
	receive_frame(fixture, text, sizeof(text));
	assert_false(fixture->ready);
	say_frame(fixture, "\"ready\"");
	assert_true(fixture->ready);
	lp_channel_drain(&fixture->channel);
	receive_frame(fixture, text, sizeof(text));
	assert_string_equal(text, "\"shutdown\"");
	close_fixture(fixture);
}

static void an_advanced_worker_may_stop_anywhere_in_a_frame(void **state)
{
	static const char session[] = "{\"type\":\"sticky:connection\",\"data\":\"one\"}";
	struct lp_dialect advanced;
	struct lp_buffer out = {0};
	(void)state;
	assert_true(lp_dialect_advance(&lp_dialect_socketio_sticky, &advanced));
	struct fixture *fixture = open_fixture(&advanced);
	assert_int_equal(lp_v8_frame(LP_SLICE(session), &out), 0);
	for (size_t i = 0; i < out.length; i++) {
		assert_string_equal(fixture->session, "");
		assert_int_equal(send(fixture->worker_end, out.bytes + i, 1, MSG_NOSIGNAL), 1);
		lp_channel_hear(&fixture->channel);
	}
	assert_string_equal(fixture->session, "+one");
	assert_int_equal(fixture->ends, 0);
	close_fixture(fixture);
	lp_buffer_clear(&out);
}

static void what_is_wrong_or_too_long_in_a_frame_is_passed_over(void **state)
{
	static const char wrong[] = "\0\0\0\1{\0\0\0\0\0\0\0\4\xff\x0fo{";
	static const char zeros[LP_CHANNEL_READ_SIZE];
	const size_t length = LP_CHANNEL_MESSAGE_MAX + 2 * sizeof(zeros);
	const char head[] = {(char)(length >> 24), (char)(length >> 16), (char)(length >> 8), (char)length};
	struct lp_dialect advanced;
	(void)state;
	assert_true(lp_dialect_advance(&lp_dialect_socketio_sticky, &advanced));
	struct fixture *fixture = open_fixture(&advanced);
	assert_true(send(fixture->worker_end, wrong, sizeof(wrong) - 1, MSG_NOSIGNAL) > 0);
	assert_int_equal(send(fixture->worker_end, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
	for (size_t sent = 0; sent < length; sent += sizeof(zeros)) {
		assert_int_equal(send(fixture->worker_end, zeros, sizeof(zeros), MSG_NOSIGNAL), sizeof(zeros));
		lp_channel_hear(&fixture->channel);
	}
	say_frame(fixture, "{\"type\":\"sticky:connection\",\"data\":\"two\"}");
	assert_string_equal(fixture->session, "+two");
	assert_int_equal(fixture->ends, 0);
	close_fixture(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cluster_worker_is_ready_when_it_listens),
		cmocka_unit_test(with_wait_ready_a_worker_is_ready_when_it_says_so),
		cmocka_unit_test(with_shutdown_a_worker_is_told_as_pm2_does),
		cmocka_unit_test(a_cluster_worker_acknowledges_by_accepting),
		cmocka_unit_test(the_other_dialects_acknowledge_by_arrival),
		cmocka_unit_test(sessions_are_learnt_and_forgotten),
		cmocka_unit_test(messages_split_anywhere_are_put_together),
		cmocka_unit_test(garbage_costs_only_its_line),
		cmocka_unit_test(a_worker_that_closes_takes_no_more),
		cmocka_unit_test(a_worker_that_disconnects_is_answered),
		cmocka_unit_test(a_handle_from_a_worker_is_acknowledged),
		cmocka_unit_test(what_is_the_programs_own_goes_to_the_broker),
		cmocka_unit_test(an_advanced_worker_says_the_same_in_frames),
		cmocka_unit_test(an_advanced_worker_may_stop_anywhere_in_a_frame),
		cmocka_unit_test(what_is_wrong_or_too_long_in_a_frame_is_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
