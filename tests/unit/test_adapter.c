#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "broker/adapter.h"

#define WORKERS 4

struct fixture {
	struct lp_adapter adapter;
	struct lp_message_writer writer;
	char sent[2048]; /* The workers that a message of another went to, or "WORKER<-LETTER" of limpet's own. */
	struct lp_slice passing;
	unsigned count;
};

static bool on_send(void *owner, unsigned worker, struct lp_slice bytes)
{
	struct fixture *fixture = owner;
	size_t length = strlen(fixture->sent);
	assert_true(worker >= 1 && worker <= WORKERS);
	fixture->count++;
	if (bytes.bytes == fixture->passing.bytes && bytes.length == fixture->passing.length)
		snprintf(fixture->sent + length, sizeof(fixture->sent) - length, "%u", worker);
	else
		snprintf(fixture->sent + length, sizeof(fixture->sent) - length, "%u<-%.*s", worker,
			 LP_SLICE_ARG(bytes));
	return true;
}

static void open_adapter(struct fixture *fixture)
{
	*fixture = (struct fixture){.writer = {.workers = WORKERS, .send = on_send, .owner = fixture}};
	assert_int_equal(lp_adapter_init(&fixture->adapter, &fixture->writer, 1), 0);
}

static bool take(struct fixture *fixture, unsigned worker, const char *text)
{
	struct lp_message message;
	fixture->sent[0] = '\0';
	fixture->passing = (struct lp_slice){text, strlen(text)};
	assert_int_equal(lp_message_read(&message, fixture->passing), 0);
	return lp_adapter_handle(&fixture->adapter, worker, &message);
}

/* A worker says something, and it goes to these, unchanged. */
static void say(struct fixture *fixture, unsigned worker, const char *text, const char *workers)
{
	assert_true(take(fixture, worker, text));
	assert_string_equal(fixture->sent, workers);
}

static void leave(struct fixture *fixture, unsigned worker, const char *sent)
{
	fixture->sent[0] = '\0';
	fixture->passing = (struct lp_slice){0};
	lp_adapter_leave(&fixture->adapter, worker);
	assert_string_equal(fixture->sent, sent);
}

#define S "{\"source\":\"_sio_adapter\","
#define HELLO(uid) S "\"type\":1,\"uid\":\"" uid "\",\"nsp\":\"/\"}\n"
#define GOODBYE(uid) S "\"type\":13,\"uid\":\"" uid "\",\"nsp\":\"/\"}\n"
#define OLD_HELLO(id) S "\"type\":1,\"data\":" id ",\"nsp\":\"/\"}\n"

static void adapters_of_before_0_3_are_answered_by_worker(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, OLD_HELLO("1"), "");
	say(&fixture, 2, OLD_HELLO("2"), "1");
	say(&fixture, 3, OLD_HELLO("3"), "12");
	say(&fixture, 2, S "\"type\":9,\"data\":{\"requestId\":\"x\",\"workerId\":3,\"sockets\":[]}}\n", "3");
	say(&fixture, 2, S "\"type\":11,\"data\":{\"workerId\":1 }}\n", "1");
	say(&fixture, 2, S "\"type\":8,\"data\":{\"workerId\":2}}\n", "134");
	say(&fixture, 2, S "\"type\":9,\"data\":{\"workerId\":99}}\n", "");
	say(&fixture, 2, S "\"type\":9,\"data\":{\"workerId\":-1}}\n", "");
	say(&fixture, 2, S "\"type\":9}\n", "");
	leave(&fixture, 2, "1<-" S "\"type\":3,\"data\":2}\n3<-" S "\"type\":3,\"data\":2}\n");
	leave(&fixture, 2, "");
	say(&fixture, 1, S "\"type\":4,\"data\":{}}\n", "234");
	lp_adapter_deinit(&fixture.adapter);
}

static void adapters_of_0_3_are_answered_by_uid(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, HELLO("a"), "");
	say(&fixture, 2, HELLO("b"), "1");
	say(&fixture, 3, HELLO("c"), "12");
	say(&fixture, 2, S "\"type\":8,\"uid\":\"b\",\"nsp\":\"/\",\"requesterUid\":\"a\"}\n", "1");
	say(&fixture, 2, S "\"type\":12,\"uid\":\"b\",\"nsp\":\"/\",\"requesterUid\":\"c\"}\n", "3");
	say(&fixture, 2, S "\"type\":10,\"uid\":\"b\",\"requesterUid\":\"nobody\"}\n", "");
	say(&fixture, 2, S "\"type\":9,\"uid\":\"b\"}\n", "134");
	lp_adapter_deinit(&fixture.adapter);
}

static void for_a_dead_worker_each_of_its_adapters_says_goodbye(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, HELLO("a"), "");
	say(&fixture, 1, S "\"type\":1,\"uid\":\"b\",\"nsp\":\"/x\\\"\"}\n", "");
	say(&fixture, 3, HELLO("c"), "1");
	leave(&fixture, 1, "3<-" GOODBYE("a") "3<-" S "\"type\":13,\"uid\":\"b\",\"nsp\":\"/x\\\"\"}\n");
	say(&fixture, 3, S "\"type\":8,\"uid\":\"c\",\"requesterUid\":\"a\"}\n", "");

	/* Its successor is somebody else. */
	say(&fixture, 1, HELLO("d"), "3");
	say(&fixture, 3, S "\"type\":8,\"uid\":\"c\",\"requesterUid\":\"d\"}\n", "1");
	say(&fixture, 3, GOODBYE("c"), "124");
	leave(&fixture, 3, "");
	lp_adapter_deinit(&fixture.adapter);
}

static void nobody_says_goodbye_for_another(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, HELLO("a"), "");
	say(&fixture, 2, HELLO("b"), "1");
	say(&fixture, 3, HELLO("a"), "12");
	say(&fixture, 3, GOODBYE("a"), "124");
	say(&fixture, 2, S "\"type\":8,\"uid\":\"b\",\"requesterUid\":\"a\"}\n", "1");
	leave(&fixture, 3, "");
	lp_adapter_deinit(&fixture.adapter);
}

/* One that starts reads later what it is sent now, as under a Node primary; it is told who is there when it says hello. */
static void who_has_not_spoken_misses_nothing_but_hellos(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, HELLO("a"), "");
	say(&fixture, 1, S "\"type\":9,\"uid\":\"a\",\"data\":{}}\n", "234");
	say(&fixture, 2, HELLO("b"), "1");
	say(&fixture, 1, S "\"type\":3,\"uid\":\"a\",\"data\":{}}\n", "234");
	leave(&fixture, 1, "2<-" GOODBYE("a"));
	leave(&fixture, 2, "");
	say(&fixture, 3, OLD_HELLO("3"), "");
	say(&fixture, 3, S "\"type\":10,\"data\":{}}\n", "124");
	say(&fixture, 3, S "\"type\":9,\"data\":{\"workerId\":4}}\n", "");
	lp_adapter_deinit(&fixture.adapter);
}

/* Of the two versions each ends the other's processes: type 13 without data does, to one before 0.3. */
static void each_version_hears_only_its_own(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, OLD_HELLO("1"), "");
	say(&fixture, 2, HELLO("b"), "");
	say(&fixture, 3, OLD_HELLO("3"), "1");
	say(&fixture, 4, HELLO("d"), "2");
	say(&fixture, 1, S "\"type\":6,\"data\":{\"rooms\":[\"r\"]}}\n", "3");
	say(&fixture, 2, S "\"type\":3,\"uid\":\"b\",\"data\":{}}\n", "4");
	leave(&fixture, 1, "3<-" S "\"type\":3,\"data\":1}\n");
	leave(&fixture, 2, "4<-" GOODBYE("b"));

	/* The same slot, replaced by the newer version. */
	say(&fixture, 1, HELLO("a"), "4");
	say(&fixture, 3, S "\"type\":4,\"data\":{}}\n", "");
	lp_adapter_deinit(&fixture.adapter);
}

static void too_many_to_know_are_answered_all_the_same(void **state)
{
	struct fixture fixture;
	char text[256];
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, HELLO("first"), "");
	for (int i = 1; i < LP_ADAPTER_NODES_MAX; i++) {
		snprintf(text, sizeof(text), HELLO("%d"), i);
		take(&fixture, 2, text);
	}
	say(&fixture, 1, S "\"type\":8,\"uid\":\"first\",\"requesterUid\":\"gone\"}\n", "");
	say(&fixture, 3, HELLO("late"), "12");
	say(&fixture, 1, S "\"type\":8,\"uid\":\"first\",\"requesterUid\":\"late\"}\n", "234");
	say(&fixture, 3, S "\"type\":8,\"uid\":\"late\",\"requesterUid\":\"first\"}\n", "1");

	/* One message to each other worker for each of them, and no more. */
	fixture.count = 0;
	fixture.passing = (struct lp_slice){0};
	lp_adapter_leave(&fixture.adapter, 2);
	assert_int_equal(fixture.count, 2 * (LP_ADAPTER_NODES_MAX - 1));
	lp_adapter_deinit(&fixture.adapter);
}

/*
 * @socket.io/cluster-engine 0.1.0, as four workers of it were seen to speak: a session of worker 1, a poll and a writer of it
 * at worker 2, an upgrade at worker 3.
 */
#define E(sender, rest) "{\"senderId\":\"" sender "\"," rest ",\"_source\":\"_eio\"}\n"
#define ASK_LOCK(sender, id, transport, type)                                                                          \
	"{\"requestId\":" id ",\"senderId\":\"" sender                                                                 \
	"\",\"type\":0,\"data\":{\"sid\":\"AAAA\",\"transportName\":\"" transport "\",\"type\":\"" type                \
	"\"},\"_source\":\"_eio\"}\n"
#define ANSWER(sender, recipient, id, type, data)                                                                      \
	"{\"requestId\":" id ",\"senderId\":\"" sender "\",\"recipientId\":\"" recipient "\",\"type\":" type           \
	",\"data\":{" data "},\"_source\":\"_eio\"}\n"

static void engines_find_the_one_that_has_the_session(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 2, ASK_LOCK("1f2e3d", "1", "polling", "read"), "134");
	say(&fixture, 1, ANSWER("aa0011", "1f2e3d", "1", "1", "\"success\":true"), "2");
	say(&fixture, 1,
	    E("aa0011", "\"recipientId\":\"1f2e3d\",\"type\":2,\"data\":{\"sid\":\"AAAA\",\"packets\":"
			"[{\"type\":\"message\",\"options\":{\"compress\":true},\"data\":\"0{}\"}]}"),
	    "2");
	say(&fixture, 2, ASK_LOCK("1f2e3d", "2", "polling", "write"), "134");
	say(&fixture, 1, ANSWER("aa0011", "1f2e3d", "2", "1", "\"success\":true"), "2");
	say(&fixture, 2,
	    E("1f2e3d", "\"recipientId\":\"aa0011\",\"type\":3,\"data\":{\"sid\":\"AAAA\",\"packet\":"
			"{\"type\":\"message\",\"data\":\"0\"}}"),
	    "1");
	say(&fixture, 3, ASK_LOCK("c0ffee", "1", "websocket", "read"), "124");
	say(&fixture, 1, ANSWER("aa0011", "c0ffee", "1", "1", "\"success\":true"), "3");
	say(&fixture, 3, ANSWER("c0ffee", "aa0011", "2", "4", "\"sid\":\"AAAA\",\"success\":true"), "1");
	say(&fixture, 1, ANSWER("aa0011", "c0ffee", "2", "5", "\"takeOver\":false,\"packets\":[]"), "3");
	say(&fixture, 3,
	    E("c0ffee",
	      "\"recipientId\":\"aa0011\",\"type\":6,\"data\":{\"sid\":\"AAAA\",\"reason\":\"transport close\"}"),
	    "1");
	leave(&fixture, 1, "");
	lp_adapter_deinit(&fixture.adapter);
}

/* Engines take what they hear for their own, and count their requests from 1: an answer to another must not reach them. */
static void what_is_for_a_dead_engine_reaches_no_other(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, ASK_LOCK("aa0011", "1", "polling", "read"), "234");
	say(&fixture, 2, ASK_LOCK("1f2e3d", "1", "polling", "read"), "134");
	leave(&fixture, 1, "");
	say(&fixture, 3, ANSWER("c0ffee", "aa0011", "1", "1", "\"success\":true"), "");
	say(&fixture, 3, ANSWER("c0ffee", "1f2e3d", "1", "1", "\"success\":true"), "2");
	lp_adapter_deinit(&fixture.adapter);
}

static void several_engines_of_a_worker_are_known(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	say(&fixture, 1, ASK_LOCK("aa0011", "1", "polling", "read"), "234");
	say(&fixture, 1, ASK_LOCK("bb0022", "1", "polling", "read"), "234");
	say(&fixture, 3, ANSWER("c0ffee", "bb0022", "1", "1", "\"success\":false"), "1");
	lp_adapter_deinit(&fixture.adapter);
}

static void what_is_no_adapters_is_left_to_others(void **state)
{
	struct fixture fixture;
	(void)state;
	open_adapter(&fixture);
	assert_false(take(&fixture, 1, "{\"type\":\"DSM_REQUEST\"}\n"));
	assert_false(take(&fixture, 1, "{\"source\":\"_eio\",\"senderId\":\"a\"}\n"));
	assert_false(take(&fixture, 1, "{\"source\":[\"_sio_adapter\"]}\n"));
	assert_string_equal(fixture.sent, "");
	lp_adapter_deinit(&fixture.adapter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adapters_of_before_0_3_are_answered_by_worker),
		cmocka_unit_test(adapters_of_0_3_are_answered_by_uid),
		cmocka_unit_test(for_a_dead_worker_each_of_its_adapters_says_goodbye),
		cmocka_unit_test(nobody_says_goodbye_for_another),
		cmocka_unit_test(who_has_not_spoken_misses_nothing_but_hellos),
		cmocka_unit_test(each_version_hears_only_its_own),
		cmocka_unit_test(too_many_to_know_are_answered_all_the_same),
		cmocka_unit_test(engines_find_the_one_that_has_the_session),
		cmocka_unit_test(what_is_for_a_dead_engine_reaches_no_other),
		cmocka_unit_test(several_engines_of_a_worker_are_known),
		cmocka_unit_test(what_is_no_adapters_is_left_to_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
