#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"

#define WORKERS 3

struct fixture {
	uv_loop_t loop;
	struct lp_log log;
	struct lp_broker *broker;
	char sent[2048]; /* "WORKER<-LETTER" of each. */
	bool full[WORKERS + 1];
};

static bool on_send(void *owner, unsigned worker, struct lp_slice bytes)
{
	struct fixture *fixture = owner;
	size_t length = strlen(fixture->sent);
	assert_true(worker >= 1 && worker <= WORKERS);
	if (fixture->full[worker])
		return false;
	snprintf(fixture->sent + length, sizeof(fixture->sent) - length, "%u<-%.*s", worker, LP_SLICE_ARG(bytes));
	return true;
}

static void open_broker_by(struct fixture *fixture, struct lp_message_writer *writer)
{
	writer->workers = WORKERS;
	writer->log = &fixture->log;
	writer->owner = fixture;
	*fixture = (struct fixture){0};
	uv_loop_init(&fixture->loop);
	lp_log_init(&fixture->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	fixture->broker = lp_broker_new(writer);
	assert_non_null(fixture->broker);
	lp_broker_start(fixture->broker, &fixture->loop);
}

static void open_broker(struct fixture *fixture)
{
	struct lp_message_writer writer = {.send = on_send};
	open_broker_by(fixture, &writer);
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->broker = NULL;
}

static void close_broker(struct fixture *fixture)
{
	lp_broker_close(fixture->broker, on_closed, fixture);
	uv_run(&fixture->loop, UV_RUN_DEFAULT);
	assert_null(fixture->broker);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
}

static void assert_sent(struct fixture *fixture, const char *sent)
{
	assert_string_equal(fixture->sent, sent);
	fixture->sent[0] = '\0';
}

/* A worker says text, and then this was sent. */
static void say(struct fixture *fixture, unsigned worker, const char *text, const char *sent)
{
	struct lp_message message;
	assert_int_equal(lp_message_read(&message, (struct lp_slice){text, strlen(text)}), 0);
	lp_broker_handle_message(fixture->broker, worker, &message);
	assert_sent(fixture, sent);
}

static void leave(struct fixture *fixture, unsigned worker, const char *sent)
{
	lp_broker_leave(fixture->broker, worker);
	assert_sent(fixture, sent);
}

static void adapters_hear_each_other(void **state)
{
	struct fixture fixture;
	(void)state;
	open_broker(&fixture);
	say(&fixture, 1, "{\"source\":\"_sio_adapter\",\"type\":1,\"uid\":\"a\",\"nsp\":\"/\"}\n", "");
	say(&fixture, 2, "{\"source\":\"_sio_adapter\",\"type\":1,\"uid\":\"b\",\"nsp\":\"/\"}\n",
	    "1<-{\"source\":\"_sio_adapter\",\"type\":1,\"uid\":\"b\",\"nsp\":\"/\"}\n");
	leave(&fixture, 1, "2<-{\"source\":\"_sio_adapter\",\"type\":13,\"uid\":\"a\",\"nsp\":\"/\"}\n");
	close_broker(&fixture);
}

#define ASK "{\"type\":\"DSM_REQUEST\",\"collection\":\"c\","
#define REPLY "{\"type\":\"DSM_REPLY\",\"requestId\":"

static void the_store_is_asked_as_strong_store_cluster_does(void **state)
{
	struct fixture fixture;
	(void)state;
	open_broker(&fixture);
	say(&fixture, 1, ASK "\"method\":\"set\",\"key\":\"k\",\"json\":\"{\\\"a\\\":1}\",\"requestId\":1}\n",
	    "1<-" REPLY "1}\n");
	say(&fixture, 2, ASK "\"method\":\"get\",\"key\":\"k\",\"requestId\":17}\n",
	    "2<-" REPLY "17,\"json\":\"{\\\"a\\\":1}\"}\n");
	say(&fixture, 2, ASK "\"method\":\"set\",\"key\":7,\"json\":\"1\",\"requestId\":0}\n", "");
	say(&fixture, 2, ASK "\"method\":\"get\",\"key\":\"7\",\"requestId\":2}\n", "2<-" REPLY "2,\"json\":\"1\"}\n");
	say(&fixture, 1, ASK "\"method\":\"acquire\",\"key\":\"k\",\"requestId\":2}\n",
	    "1<-" REPLY "2,\"json\":\"{\\\"a\\\":1}\"}\n");
	say(&fixture, 2, ASK "\"method\":\"acquire\",\"key\":\"k\",\"requestId\":18}\n", "");
	say(&fixture, 3, ASK "\"method\":\"release\",\"key\":\"k\",\"requestId\":1}\n",
	    "3<-" REPLY "1,\"err\":\"the key is not locked by this worker\"}\n");
	leave(&fixture, 1, "2<-" REPLY "18,\"json\":\"{\\\"a\\\":1}\"}\n");
	say(&fixture, 2, ASK "\"method\":\"setRelease\",\"key\":\"k\",\"json\":\"2\"}\n", "");
	say(&fixture, 2,
	    ASK "\"method\":\"configure\",\"key\":null,\"config\":{\"expireKeys\":0.01},\"requestId\":3}\n",
	    "2<-" REPLY "3}\n");
	say(&fixture, 2, ASK "\"method\":\"nonsense\",\"requestId\":4}\n", "");
	uv_run(&fixture.loop, UV_RUN_DEFAULT); /* Up to the last key's end. */
	say(&fixture, 2, ASK "\"method\":\"get\",\"key\":\"k\",\"requestId\":5}\n", "2<-" REPLY "5}\n");
	close_broker(&fixture);
}

static void what_is_published_goes_to_every_worker(void **state)
{
	struct fixture fixture;
	(void)state;
	open_broker(&fixture);
	say(&fixture, 1, "{\"name\":\"n\",\"type\":\"publishreq\",\"topic\":\"a.b\",\"msg\":{\"x\":[1]}}\n",
	    "1<-{\"type\":\"publish\",\"name\":\"n\",\"topic\":\"a.b\",\"msg\":{\"x\":[1]}}\n"
	    "2<-{\"type\":\"publish\",\"name\":\"n\",\"topic\":\"a.b\",\"msg\":{\"x\":[1]}}\n"
	    "3<-{\"type\":\"publish\",\"name\":\"n\",\"topic\":\"a.b\",\"msg\":{\"x\":[1]}}\n");
	close_broker(&fixture);
}

static void what_is_pushed_goes_to_one_who_pulls(void **state)
{
	struct fixture fixture;
	(void)state;
	open_broker(&fixture);
	say(&fixture, 1, "{\"name\":\"n\",\"type\":\"pushreq\",\"msg\":1}\n", "");
	say(&fixture, 2, "{\"type\":\"startpull\",\"name\":\"n\"}\n",
	    "2<-{\"type\":\"push\",\"name\":\"n\",\"msg\":1}\n");
	say(&fixture, 3, "{\"type\":\"startpull\",\"name\":\"n\"}\n", "");
	say(&fixture, 1, "{\"name\":\"n\",\"type\":\"pushreq\",\"msg\":2}\n",
	    "3<-{\"type\":\"push\",\"name\":\"n\",\"msg\":2}\n");
	leave(&fixture, 3, "");
	fixture.full[2] = true;
	say(&fixture, 1, "{\"name\":\"n\",\"type\":\"pushreq\",\"msg\":3}\n", "");
	fixture.full[2] = false;
	uv_run(&fixture.loop, UV_RUN_DEFAULT); /* The timer offers it again, and then has nothing to do. */
	assert_sent(&fixture, "2<-{\"type\":\"push\",\"name\":\"n\",\"msg\":3}\n");
	say(&fixture, 2, "{\"type\":\"stoppull\",\"name\":\"n\"}\n", "");
	say(&fixture, 1, "{\"name\":\"n\",\"type\":\"pushreq\",\"msg\":4}\n", "");
	close_broker(&fixture);
}

static void everything_else_is_nobodys_business(void **state)
{
	static const char *const others[] = {
		"17\n",
		"\"text\"\n",
		"null\n",
		"[]\n",
		"{}\n",
		"{\"type\":\"pushreq\"}\n",
		"{\"type\":{},\"name\":[]}\n",
		"{\"data\":{\"source\":\"_sio_adapter\"}}\n",
		"{\"source\":\"_sio_adapter2\",\"type\":\"publish\",\"name\":\"n\"}\n",
	};
	struct fixture fixture;
	(void)state;
	open_broker(&fixture);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		say(&fixture, 1, others[i], "");
	close_broker(&fixture);
}

/* Sent to workers that read V8's values: each message is one, with text in it. */
static bool on_send_advanced(void *owner, unsigned worker, struct lp_slice bytes)
{
	struct fixture *fixture = owner;
	struct lp_buffer room = {0};
	struct lp_slice json = lp_message_json(bytes, &room);
	bool sent = on_send(fixture, worker, json);
	lp_buffer_clear(&room);
	return sent;
}

static void say_value(struct fixture *fixture, unsigned worker, struct lp_slice frame)
{
	struct lp_message message;
	struct lp_buffer room = {0};
	assert_int_equal(lp_message_read_v8(&message, frame, &room), 0);
	lp_broker_handle_message(fixture->broker, worker, &message);
	lp_buffer_clear(&room);
}

static void say_advanced(struct fixture *fixture, unsigned worker, struct lp_slice frame, const char *sent)
{
	say_value(fixture, worker, frame);
	assert_sent(fixture, sent);
}

#define WRITTEN(literal) ((struct lp_slice){"\0\0\0\0\xff\x0d" literal, sizeof("\0\0\0\0\xff\x0d" literal) - 1})
#define FRAME(literal) ((struct lp_slice){"\0\0\0\0\xff\x0f" literal, sizeof("\0\0\0\0\xff\x0f" literal) - 1})

#define V8_ASK "o\"\4type\"\13DSM_REQUEST\"\12collection\"\1c\"\3key\"\1k\"\6method"
#define V8_REPLY_WITH(json) "{\"json\":" json ",\"type\":\"DSM_REPLY\",\"requestId\":"
#define V8_REPLY "{\"type\":\"DSM_REPLY\",\"requestId\":"

static void advanced_workers_hear_what_limpet_says_as_values(void **state)
{
	struct fixture fixture;
	struct lp_message_writer writer = {.language = LP_LANGUAGE_V8, .send = on_send_advanced};
	(void)state;
	open_broker_by(&fixture, &writer);
	say_advanced(&fixture, 1, FRAME("o\"\4name\"\1q\"\4type\"\12publishreq\"\3msgI\2{\3"),
		     "1<-{\"msg\":1,\"type\":\"publish\",\"name\":\"q\",\"topic\":\"undefined\"}"
		     "2<-{\"msg\":1,\"type\":\"publish\",\"name\":\"q\",\"topic\":\"undefined\"}"
		     "3<-{\"msg\":1,\"type\":\"publish\",\"name\":\"q\",\"topic\":\"undefined\"}");
	say_advanced(&fixture, 2, FRAME("o\"\6source\"\14_sio_adapter\"\4typeI\2\"\3uid\"\1u\"\3nsp\"\1/{\4"), "");
	say_advanced(&fixture, 1, FRAME("o\"\6source\"\14_sio_adapter\"\4typeI\2\"\3uid\"\1v\"\3nsp\"\1/{\4"),
		     "2<-{\"source\":\"_sio_adapter\",\"type\":1,\"uid\":\"v\",\"nsp\":\"/\"}");
	leave(&fixture, 2, "1<-{\"source\":\"_sio_adapter\",\"type\":13,\"uid\":\"u\",\"nsp\":\"/\"}");

	/* JSON has no undefined; a value that is that is none here, too: to set a key to it is to delete it. */
	say_advanced(&fixture, 1, FRAME(V8_ASK "\"\3set\"\4json\"\0011\"\11requestIdI\2{\6"), "1<-" V8_REPLY "1}");
	say_advanced(&fixture, 1, FRAME(V8_ASK "\"\3get\"\11requestIdI\4{\5"), "1<-" V8_REPLY_WITH("\"1\"") "2}");
	say_advanced(&fixture, 1, FRAME(V8_ASK "\"\3set\"\4json_\"\11requestIdI\6{\6"), "1<-" V8_REPLY "3}");
	say_advanced(&fixture, 1, FRAME(V8_ASK "\"\3get\"\11requestIdI\10{\5"), "1<-" V8_REPLY "4}");
	close_broker(&fixture);
}

/* Native workers: what is sent to them is a frame, and shown with a ";" behind it. */
static bool on_send_frame(void *owner, unsigned worker, struct lp_slice bytes)
{
	struct fixture *fixture = owner;
	struct lp_frame frame;
	assert_int_equal(lp_frame_parse(&frame, bytes.bytes, bytes.length), 0);
	return on_send(fixture, worker, bytes) && on_send(fixture, worker, LP_SLICE(";"));
}

static void say_frame(struct fixture *fixture, unsigned worker, const char *text, const char *sent)
{
	struct lp_frame frame;
	assert_int_equal(lp_frame_parse(&frame, text, strlen(text)), 0);
	lp_broker_handle_frame(fixture->broker, worker, &frame);
	assert_sent(fixture, sent);
}

static void open_native_broker(struct fixture *fixture)
{
	struct lp_message_writer writer = {.language = LP_LANGUAGE_FRAMES, .send = on_send_frame};
	open_broker_by(fixture, &writer);
}

static void native_workers_have_the_same_store(void **state)
{
	struct fixture fixture;
	(void)state;
	open_native_broker(&fixture);
	say_frame(&fixture, 1, "get 1 c k", "1<-value 11<-;");
	say_frame(&fixture, 1, "set 2 c k\na b\nc", "1<-value 21<-;");
	say_frame(&fixture, 2, "get 18446744073709551615 c k", "2<-value 18446744073709551615\na b\nc2<-;");
	say_frame(&fixture, 1, "set 0 c k", "");
	say_frame(&fixture, 1, "set 0 c k\n", "");
	say_frame(&fixture, 1, "acquire 3 c k", "1<-value 3\n1<-;");
	say_frame(&fixture, 2, "acquire 4 c k", "");
	say_frame(&fixture, 3, "get 5 c k", "");
	say_frame(&fixture, 2, "release 6 c k", "2<-refused 6\nthe key is not locked by this worker2<-;");
	say_frame(&fixture, 1, "set-release 7 c k\n8", "1<-value 71<-;2<-value 4\n82<-;");
	leave(&fixture, 2, "3<-value 5\n83<-;");
	say_frame(&fixture, 1, "expire 8 c 60", "1<-value 81<-;");
	close_broker(&fixture);
}

static void native_workers_hear_the_topics_that_they_are_subscribed_to(void **state)
{
	struct fixture fixture;
	(void)state;
	open_native_broker(&fixture);
	say_frame(&fixture, 1, "publish news\nx", "");
	say_frame(&fixture, 1, "subscribe news", "");
	say_frame(&fixture, 3, "subscribe news", "");
	say_frame(&fixture, 3, "subscribe news", "");
	say_frame(&fixture, 1, "publish news\nx", "1<-publish news\nx1<-;3<-publish news\nx3<-;");
	say_frame(&fixture, 1, "publish other\nx", "");
	say_frame(&fixture, 3, "unsubscribe news", "");
	say_frame(&fixture, 2, "publish news\n", "1<-publish news\n1<-;");
	leave(&fixture, 1, "");
	say_frame(&fixture, 2, "publish news\nx", "");
	close_broker(&fixture);
}

static void native_workers_have_the_same_queues(void **state)
{
	struct fixture fixture;
	(void)state;
	open_native_broker(&fixture);
	say_frame(&fixture, 1, "push jobs\n1", "");
	say_frame(&fixture, 2, "pull jobs", "2<-push jobs\n12<-;");
	say_frame(&fixture, 3, "pull jobs", "");
	say_frame(&fixture, 1, "push jobs\n2", "3<-push jobs\n23<-;");
	say_frame(&fixture, 1, "push jobs\n3", "2<-push jobs\n32<-;");
	say_frame(&fixture, 3, "stop jobs", "");
	leave(&fixture, 2, "");
	say_frame(&fixture, 1, "push jobs\n4", "");
	close_broker(&fixture);
}

/* The last frame that was sent, and the one that is expected. */
static char sent_value[256];

static bool on_send_value(void *owner, unsigned worker, struct lp_slice bytes)
{
	struct fixture *fixture = owner;
	assert_int_equal(worker, 2);
	assert_true(bytes.length <= sizeof(sent_value));
	memcpy(sent_value, bytes.bytes, bytes.length);
	fixture->sent[0] = (char)bytes.length;
	return true;
}

static void assert_value(struct fixture *fixture, struct lp_slice message)
{
	assert_int_equal(fixture->sent[0], message.length);
	assert_memory_equal(sent_value + 4, message.bytes + 4, message.length - 4);
	fixture->sent[0] = '\0';
}

/* Node puts them where they come from, too: what is a Buffer, a Map or the same object twice stays that. */
static void advanced_workers_values_are_kept_as_they_are(void **state)
{
	struct fixture fixture;
	struct lp_message_writer writer = {.language = LP_LANGUAGE_V8, .send = on_send_value};
	(void)state;
	open_broker_by(&fixture, &writer);
	say_advanced(&fixture, 2, FRAME("o\"\4name\"\1q\"\4type\"\11startpull{\2"), "");

	/* A Buffer. */
	say_value(&fixture, 1, FRAME("o\"\4name\"\1q\"\4type\"\7pushreq\"\3msg\\\0\n\1x{\3"));
	assert_value(&fixture, WRITTEN("o\"\3msg\\\0\n\1x\"\4type\"\4push\"\4name\"\1q{\3"));

	/* [map, map], and UTF-16, which stays at an even place. */
	say_value(&fixture, 1, FRAME("o\"\4name\"\1q\"\4type\"\7pushreq\"\3msgA\2;:\0^\2$\0\2{\3"));
	assert_value(&fixture, WRITTEN("o\"\3msgA\2;:\0^\2$\0\2\"\4type\"\4push\"\4name\"\1q{\3"));
	say_value(&fixture, 1, FRAME("o\"\3msg\0c\2\xac\x20\"\4name\"\1q\"\4type\"\7pushreq{\3"));
	assert_value(&fixture, WRITTEN("o\"\3msg\0c\2\xac\x20\"\4type\"\4push\"\4name\"\1q{\3"));

	/* The whole message inside of itself, and an object that was said before: nobody else has those. */
	say_value(&fixture, 1, FRAME("o\"\4name\"\1q\"\4type\"\7pushreq\"\3msg^\0{\3"));
	say_value(&fixture, 1, FRAME("o\"\1xo{\0\"\4name\"\1q\"\4type\"\7pushreq\"\3msg^\1{\4"));
	say_value(&fixture, 1, FRAME("o\"\1xo{\0\"\4name\"\1q\"\4type\"\7pushreq\"\3msgA\1^\2$\0\1{\4"));
	assert_int_equal(fixture.sent[0], 0);
	close_broker(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adapters_hear_each_other),
		cmocka_unit_test(the_store_is_asked_as_strong_store_cluster_does),
		cmocka_unit_test(what_is_published_goes_to_every_worker),
		cmocka_unit_test(what_is_pushed_goes_to_one_who_pulls),
		cmocka_unit_test(everything_else_is_nobodys_business),
		cmocka_unit_test(native_workers_have_the_same_store),
		cmocka_unit_test(native_workers_hear_the_topics_that_they_are_subscribed_to),
		cmocka_unit_test(native_workers_have_the_same_queues),
		cmocka_unit_test(advanced_workers_hear_what_limpet_says_as_values),
		cmocka_unit_test(advanced_workers_values_are_kept_as_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
