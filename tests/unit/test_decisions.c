#include "admin/decisions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "admin/decisions_text.h"

struct fixture {
	struct lp_decisions *decisions;
	struct lp_ip ip;
	struct lp_decision_client client;
	struct lp_head *head;
	struct lp_policy_asked asked;
	struct lp_policy_conn view;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->decisions = lp_decisions_new();
	lp_ip_parse("192.0.2.7", 9, &fixture->ip);
	fixture->client = (struct lp_decision_client){
		.ip = &fixture->ip, .port = 5000, .listener = ":3000", .begun_ms = 100, .now_ms = 107};
	fixture->head = lp_head_new(4096);
	fixture->view = (struct lp_policy_conn){.protocol = LP_PROTOCOL_UNSEEN, .asked = &fixture->asked};
	*state = fixture;
	return fixture->decisions && fixture->head ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	lp_decisions_free(fixture->decisions);
	lp_head_free(fixture->head);
	free(fixture);
	return 0;
}

static void see_request(struct fixture *fixture, const char *request)
{
	assert_true(lp_head_parse(fixture->head, request, strlen(request)) > 0);
	fixture->view.protocol = LP_PROTOCOL_HTTP;
	fixture->view.head = fixture->head;
}

static void ask_for(struct fixture *fixture, const char *key, unsigned worker)
{
	fixture->asked.length = (uint16_t)strlen(key);
	fixture->asked.worker = (uint16_t)worker;
	memset(fixture->asked.key, 0, sizeof(fixture->asked.key));
	memcpy(fixture->asked.key, key, strnlen(key, sizeof(fixture->asked.key)));
}

static uint64_t decide(struct fixture *fixture, uint64_t number, enum lp_verdict_kind kind, unsigned worker)
{
	struct lp_verdict verdict = {.kind = kind, .worker = worker};
	lp_decisions_decided(fixture->decisions, &number, &fixture->client, &fixture->view, &verdict, 1, false);
	return number;
}

static void end(struct fixture *fixture, uint64_t number, enum lp_outcome outcome, int status)
{
	lp_decisions_ended(fixture->decisions, number, &fixture->client, outcome, status);
}

static void a_decision_is_kept_with_its_outcome(void **state)
{
	struct fixture *fixture = *state;
	see_request(fixture, "GET /a?sid=b HTTP/1.1\r\nHost: x\r\n\r\n");
	uint64_t number = decide(fixture, 0, LP_VERDICT_WORKER, 3);
	lp_decisions_sent(fixture->decisions, number, 3);
	const struct lp_decision *record = lp_decisions_get(fixture->decisions, number);
	assert_int_equal(record->outcome, LP_OUTCOME_SENT);
	end(fixture, number, LP_OUTCOME_ARRIVED, 0);
	assert_int_equal(record->outcome, LP_OUTCOME_ARRIVED);
	assert_int_equal(record->worker, 3);
	assert_int_equal(record->decided_ms, 7);
	assert_int_equal(record->method_length, 3);
	assert_memory_equal(record->target, "/a?sid=b", 8);
	assert_int_equal(lp_decisions_count(fixture->decisions, LP_OUTCOME_ARRIVED), 1);
	assert_ptr_equal(lp_decisions_ended_as(fixture->decisions, 1), record);
}

static void a_connection_that_comes_back_keeps_its_record(void **state)
{
	struct fixture *fixture = *state;
	uint64_t number = decide(fixture, 0, LP_VERDICT_WORKER, 1);
	lp_decisions_sent(fixture->decisions, number, 1);
	lp_decisions_returned(fixture->decisions, number, 1, LP_RETURN_NO_ROOM);
	assert_int_equal(decide(fixture, number, LP_VERDICT_WORKER, 2), number);
	lp_decisions_sent(fixture->decisions, number, 2);
	end(fixture, number, LP_OUTCOME_ARRIVED, 0);
	const struct lp_decision *record = lp_decisions_get(fixture->decisions, number);
	assert_int_equal(record->returns, 1);
	assert_int_equal(record->returned_by, 1);
	assert_int_equal(record->return_reason, LP_RETURN_NO_ROOM);
	assert_int_equal(record->worker, 2);
	assert_int_equal(lp_decisions_made(fixture->decisions), 1);
}

static void one_that_ends_undecided_gets_a_record(void **state)
{
	struct fixture *fixture = *state;
	end(fixture, 0, LP_OUTCOME_HEAD_TIMEOUT, 408);
	const struct lp_decision *record = lp_decisions_get(fixture->decisions, 1);
	assert_int_equal(record->verdict, LP_VERDICT_LOOK);
	assert_int_equal(record->status, 408);
	assert_null(lp_decisions_decider(fixture->decisions, record));
}

static void an_overwritten_record_is_left_alone(void **state)
{
	struct fixture *fixture = *state;
	uint64_t first = decide(fixture, 0, LP_VERDICT_WORKER, 1);
	for (unsigned i = 0; i < LP_DECISIONS; i++)
		decide(fixture, 0, LP_VERDICT_WORKER, 2);
	assert_null(lp_decisions_get(fixture->decisions, first));
	lp_decisions_sent(fixture->decisions, first, 9);
	lp_decisions_returned(fixture->decisions, first, 9, LP_RETURN_LOST);
	end(fixture, first, LP_OUTCOME_CLIENT_LEFT, 0);
	const struct lp_decision *other = lp_decisions_get(fixture->decisions, first + LP_DECISIONS);
	assert_int_equal(other->worker, 2);
	assert_int_equal(other->outcome, LP_OUTCOME_WAITS);
	assert_int_equal(other->returns, 0);
	assert_int_equal(lp_decisions_count(fixture->decisions, LP_OUTCOME_CLIENT_LEFT), 1);
	assert_int_equal(decide(fixture, first, LP_VERDICT_WORKER, 3), first + LP_DECISIONS + 1);
}

static void long_texts_are_cut(void **state)
{
	struct fixture *fixture = *state;
	char request[2048];
	char key[200];
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	snprintf(request, sizeof(request), "PROPPATCH /%0500d HTTP/1.1\r\nHost: x\r\n\r\n", 1);
	see_request(fixture, request);
	ask_for(fixture, key, 0);
	const struct lp_decision *record = lp_decisions_get(fixture->decisions, decide(fixture, 0, LP_VERDICT_NONE, 1));
	assert_int_equal(record->method_length, LP_DECISION_METHOD_BYTES);
	assert_int_equal(record->target_length, LP_DECISION_TARGET_BYTES);
	assert_true(record->target_cut);
	assert_int_equal(record->session_length, 199);
}

static json_t *search(struct fixture *fixture, const char *wanted, bool reveal)
{
	struct lp_decisions_question question = {
		.decisions = fixture->decisions, .count = 20, .reveal = reveal, .wanted = wanted};
	char *text = lp_decisions_search(&question);
	json_t *answer = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(answer);
	return answer;
}

static size_t matches(struct fixture *fixture, const char *wanted)
{
	json_t *answer = search(fixture, wanted, false);
	size_t count = json_array_size(json_object_get(answer, "decisions"));
	json_decref(answer);
	return count;
}

static const char *text_of(const json_t *answer, const char *key)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(answer, "decisions"), 0), key));
}

static void connections_are_found_by_client_session_hash_and_number(void **state)
{
	struct fixture *fixture = *state;
	char hash[64];
	see_request(fixture, "GET /socket.io/?EIO=4&sid=query-sid HTTP/1.1\r\nHost: x\r\n\r\n");
	ask_for(fixture, "asked-sid", 2);
	decide(fixture, 0, LP_VERDICT_WORKER, 2);
	lp_ip_parse("2001:db8::1", 11, &fixture->ip);
	fixture->asked.length = 0;
	decide(fixture, 0, LP_VERDICT_NONE, 1);

	assert_int_equal(matches(fixture, ""), 2);
	assert_int_equal(matches(fixture, "192.0.2.7"), 1);
	assert_int_equal(matches(fixture, "192.0.2.7:5000"), 1);
	assert_int_equal(matches(fixture, "192.0.2.7:5001"), 0);
	assert_int_equal(matches(fixture, "2001:db8::1"), 1);
	assert_int_equal(matches(fixture, "[2001:db8::1]:5000"), 1);
	assert_int_equal(matches(fixture, "asked-sid"), 1);
	assert_int_equal(matches(fixture, "asked-si"), 0);
	assert_int_equal(matches(fixture, "query-sid"), 2);
	assert_int_equal(matches(fixture, "query-si"), 0);
	assert_int_equal(matches(fixture, "#2"), 1);
	json_t *answer = search(fixture, "asked-sid", false);
	snprintf(hash, sizeof(hash), "%s", text_of(answer, "session"));
	json_decref(answer);
	assert_int_equal(strlen(hash), 12);
	assert_int_equal(matches(fixture, hash), 1);
}

static void ids_and_queries_are_shown_only_if_revealed(void **state)
{
	struct fixture *fixture = *state;
	see_request(fixture, "GET /a?sid=secret HTTP/1.1\r\nHost: x\r\n\r\n");
	ask_for(fixture, "secret", 1);
	decide(fixture, 0, LP_VERDICT_WORKER, 1);
	json_t *hidden = search(fixture, "", false);
	assert_string_equal(text_of(hidden, "target"), "/a");
	assert_null(text_of(hidden, "session_id"));
	char *text = json_dumps(hidden, 0);
	assert_null(strstr(text, "secret"));
	free(text);
	json_decref(hidden);
	json_t *shown = search(fixture, "", true);
	assert_string_equal(text_of(shown, "target"), "/a?sid=secret");
	assert_string_equal(text_of(shown, "session_id"), "secret");
	json_decref(shown);
}

static void what_strangers_send_is_json_all_the_same(void **state)
{
	struct fixture *fixture = *state;
	struct lp_hello hello = {.sni = LP_SLICE("/\"\\\xff\x80?\xc3\xa9")};
	fixture->view.protocol = LP_PROTOCOL_TLS;
	fixture->view.hello = &hello;
	ask_for(fixture, "\x01\"\xfe", 0);
	decide(fixture, 0, LP_VERDICT_WORKER, 1);
	json_t *answer = search(fixture, "", true);
	assert_string_equal(text_of(answer, "sni"), "/\"\\\xef\xbf\xbd\xef\xbf\xbd?\xc3\xa9");
	assert_string_equal(text_of(answer, "session_id"), "\x01\"\xef\xbf\xbd");
	json_decref(answer);
}

/* Ask for what has ended after an end, and check how many there are, how many were missed and where to go on. */
static uint64_t follow(struct fixture *fixture, uint64_t after, size_t count, uint64_t missed)
{
	struct lp_decisions_question question = {
		.decisions = fixture->decisions, .count = LP_DECISIONS_ANSWERED, .after = after};
	char *text = lp_decisions_follow(&question);
	json_t *answer = json_loads(text, 0, NULL);
	free(text);
	assert_int_equal(json_array_size(json_object_get(answer, "decisions")), count);
	assert_int_equal(json_integer_value(json_object_get(answer, "missed")), missed);
	uint64_t next = (uint64_t)json_integer_value(json_object_get(answer, "next"));
	json_decref(answer);
	return next;
}

static void following_tells_each_end_once_in_order(void **state)
{
	struct fixture *fixture = *state;
	uint64_t first = decide(fixture, 0, LP_VERDICT_WORKER, 1);
	uint64_t second = decide(fixture, 0, LP_VERDICT_WORKER, 2);
	uint64_t next = follow(fixture, UINT64_MAX, 0, 0);
	end(fixture, second, LP_OUTCOME_ARRIVED, 0);
	next = follow(fixture, next, 1, 0);
	next = follow(fixture, next, 0, 0);
	end(fixture, first, LP_OUTCOME_ARRIVED, 0);
	next = follow(fixture, next, 1, 0);
	assert_int_equal(next, 2);
	assert_int_equal(lp_decisions_ended_as(fixture->decisions, 1)->number, second);
}

static void a_slow_reader_is_told_what_it_missed(void **state)
{
	struct fixture *fixture = *state;
	for (unsigned i = 0; i < LP_DECISIONS + 50; i++)
		end(fixture, 0, LP_OUTCOME_CLIENT_LEFT, 0);
	uint64_t next = follow(fixture, 0, LP_DECISIONS_ANSWERED, 50);
	assert_int_equal(next, 50 + LP_DECISIONS_ANSWERED);
	while (next < LP_DECISIONS + 50)
		next = follow(fixture, next, LP_DECISIONS_ANSWERED, 0);
	follow(fixture, next, 0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_decision_is_kept_with_its_outcome),
		TEST(a_connection_that_comes_back_keeps_its_record),
		TEST(one_that_ends_undecided_gets_a_record),
		TEST(an_overwritten_record_is_left_alone),
		TEST(long_texts_are_cut),
		TEST(connections_are_found_by_client_session_hash_and_number),
		TEST(ids_and_queries_are_shown_only_if_revealed),
		TEST(what_strangers_send_is_json_all_the_same),
		TEST(following_tells_each_end_once_in_order),
		TEST(a_slow_reader_is_told_what_it_missed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
