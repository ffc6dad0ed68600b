#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "broker/message.h"
#include "broker/v8frame.h"
#include "broker/v8json.h"
#include "broker/v8value.h"
#include "guarded.h"

#define BYTES(literal) ((struct lp_slice){(literal), sizeof(literal) - 1})

/* What Node 20 has sent for values of every kind, as process.send({a: …, …}) with serialization 'advanced'. */
static const char everything[] =
	"\xff\x0fo\"\1aI\2\"\1s\"\1x\"\1w\0c\4\xe9\x00\xac \"\1b\\\0\n\5hello\"\2u8\\\0\1\3\1\2\3\"\1f\\\0\7\4\0\0\xc0?"
	"\"\2abB\4\0\0\0\0\"\1nI\t\"\1dN\0\0\0\0\0\0\xf4?\"\1tT\"\2nu0\"\2un_\"\3arra\4I\0I\2I\2\"\1bI\6I\6@"
	"\3\4\"\4dateD"
	"\0\0\0\0\0\0\0\0\"\1m;I\2I\4:\2\"\2st'I\2,\1\"\3bigZ\x10\n\0\0\0\0\0\0\0\"\2reR\"\1x\1\"\3errrm\"\1es\"\3at ."
	"\"\2dv\\\0\t\2\0\0\"\3i31I\x80\x80\x80\x80\x08\"\3i32N\0\0\0\0\0\0\xe0"
	"A\"\4neg0N\0\0\0\0\0\0\0\x80\"\2boy\"\2sos\"\1q\"\3objo\"\1xo{\0{\1\"\4same^\1I\x12I\4{\x1c";

static const char everything_as_json[] =
	"{\"a\":1,\"s\":\"x\",\"w\":\"\xc3\xa9\xe2\x82\xac\",\"b\":null,\"u8\":null,\"f\":null,\"ab\":null,\"n\":-5,"
	"\"d\":1.25,\"t\":true,\"nu\":null,\"arr\":[1,\"b\",null,3],\"date\":null,\"m\":null,\"st\":null,\"big\":null,"
	"\"re\":null,\"err\":null,\"dv\":null,\"i31\":1073741824,\"i32\":2147483648,\"neg0\":0,\"bo\":null,\"so\":null,"
	"\"obj\":{\"x\":{}},\"same\":null,\"9\":2}";

static bool is_message(struct lp_slice message)
{
	struct lp_v8 v8;
	struct lp_v8_token token;
	int status = lp_v8_open(&v8, message) ? -1 : 1;
	while (status == 1)
		status = lp_v8_next(&v8, &token);
	return status == 0;
}

/* The message as JSON; NULL when it is no value. In memory of cmocka's. */
static char *json_of(struct lp_slice message, bool *lossy)
{
	struct lp_buffer out = {0};
	struct lp_v8 v8;
	char *text = NULL;
	*lossy = false;
	if (is_message(message) && lp_v8_open(&v8, message) == 0 &&
	    lp_v8_to_json((struct lp_slice){v8.at, (size_t)(v8.end - v8.at)}, &out, lossy) == 0) {
		text = test_calloc(1, out.length + 1);
		memcpy(text, out.bytes, out.length);
	}
	lp_buffer_clear(&out);
	return text;
}

static void assert_json(struct lp_slice message, const char *expected, bool expected_lossy)
{
	bool lossy;
	char *text = json_of(message, &lossy);
	assert_non_null(text);
	assert_string_equal(text, expected);
	assert_int_equal(lossy, expected_lossy);
	test_free(text);
}

static void assert_no_value(struct lp_slice message)
{
	bool lossy;
	char *text = json_of(message, &lossy);
	if (text)
		print_error("%s\n", text);
	assert_null(text);
}

static void all_that_node_sends_is_read(void **state)
{
	(void)state;
	assert_json(BYTES(everything), everything_as_json, true);
	assert_json(BYTES("\xff\x0d\"\4text"), "\"text\"", false);
	assert_json(BYTES("\xff\x0f_"), "null", false);
	assert_json(BYTES("\xff\x0fo\"\1aI\2\"\1u_\"\1bI\4{\3"), "{\"a\":1,\"b\":2}", false);
	assert_json(BYTES("\xff\x0f\\\1o\"\1aI\2{\1"), "{\"a\":1}", false);
	assert_json(BYTES("\xff\x0fS\2\xc3\xa9"), "\"\xc3\xa9\"", false);
	assert_json(BYTES("\xff\x0f\"\4\xe9\"\\\n"), "\"\xc3\xa9\\\"\\\\\\u000a\"", false);
	assert_json(BYTES("\xff\x0f"
			  "c\6\x3e\xd8\x80\xdd\x00\xd8"),
		    "\"\xf0\x9f\xa6\x80\\ud800\"", false);
	assert_json(BYTES("\xff\x0fN\0\0\0\0\0\0\xf8\x7f"), "null", false);
	assert_json(BYTES("\xff\x0f"
			  "A\2I\2-\"\1kI\2$\1\2"),
		    "[1,null]", false);
	assert_json(BYTES("\xff\x0f"
			  "a\5I\2T\"\1kI\2I\6F@\3\5"),
		    "[null,true,null,false,null]", false);
	assert_json(BYTES("\xff\x0f"
			  "a\xff\xff\xff\xff\x0fI\2T@\1\xff\xff\xff\xff\x0f"),
		    "null", true);
	/* Objects that came before, also one that is not complete yet. */
	assert_json(BYTES("\xff\x0fo\"\1a^\0\"\1bo{\0\"\1c^\1{\3"), "{\"a\":null,\"b\":{},\"c\":null}", true);
	assert_json(BYTES("\xff\x0f"
			  "A\3\\\1o{\0rm\"\1e.^\3$\0\3"),
		    "[{},null,null]", true);
	assert_json(BYTES("\xff\x0f~\1\2x"), "null", true);
}

static void what_is_wrong_is_no_value(void **state)
{
	static const struct lp_slice wrong[] = {
		{"", 0},
		{"\xff", 1},
		{"\xff\x0f", 2},
		{"\xff\x0cT", 3},
		{"{}\n", 3},
		{"\xff\x0fTT", 4},
		{"\xff\x0fo\"\1aI\2{\2", 10},
		{"\xff\x0fo{\1", 5},
		{"\xff\x0foT{\1", 6},
		{"\xff\x0foTI\2{\1", 8},
		{"\xff\x0fo\"\1aI\2$\1", 10},
		{"\xff\x0f"
		 "A\1$\0\1",
		 7},
		{"\xff\x0f"
		 "A\1I\2$\0\2",
		 9},
		{"\xff\x0f-", 3},
		{"\xff\x0f{\0", 4},
		{"\xff\x0f.", 3},
		{"\xff\x0fr", 3},
		{"\xff\x0f"
		 "c\3abc",
		 7},
		{"\xff\x0f\"\xff\xff\xff\xff\x0f", 8},
		{"\xff\x0fI\xff\xff\xff\xff\xff\1", 9},
		{"\xff\x0f\\\1\\\1T", 7},
		{"\xff\x0f\\\2T", 5},
		{"\xff\x0fu\1", 4},
		{"\xff\x0f;I\2:\2", 7},
		/* What V8 does not read: a worker that is sent it ends. */
		{"\xff\x0f;I\2:\1", 7},
		{"\xff\x0f^\0", 4},
		{"\xff\x0fo\"\1a^\1{\1", 9},
		{"\xff\x0frmT.", 6},
		{"\xff\x0fr\0.", 5},
		{"\xff\x0frc^\0.", 7},
		{"\xff\x0f\\\1o\"\1a^\0{\1", 11},
		{"\xff\x0f\\\1T", 5},
		{"\xff\x0f\\\0\x0e\0", 6},
		{"\xff\x0fZ\1", 4},
		{"\xff\x0f~\2\1xy", 7},
		{"\xff\x0f"
		 "A\1I\2TI\2$\1\1",
		 11},
		{"\xff\x0f"
		 "a\1TI\2@\1\1",
		 9},
		{"\xff\x0f"
		 "B\4abcdV?\0\4\0",
		 13},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_no_value(wrong[i]);
}

static void a_cut_value_is_none_and_is_not_read_past(void **state)
{
	struct guarded guarded;
	(void)state;
	assert_int_equal(guarded_init(&guarded, sizeof(everything)), 0);
	for (size_t length = 0; length < sizeof(everything) - 1; length++)
		assert_no_value((struct lp_slice){guarded_put(&guarded, everything, length), length});
	assert_json(
		(struct lp_slice){guarded_put(&guarded, everything, sizeof(everything) - 1), sizeof(everything) - 1},
		everything_as_json, true);
	guarded_deinit(&guarded);
}

/* Whatever the bytes, what is made of them is JSON. */
static void changed_bytes_make_json_or_nothing(void **state)
{
	struct guarded guarded;
	char changed[sizeof(everything) - 1];
	unsigned made = 0;
	(void)state;
	srandom(1);
	assert_int_equal(guarded_init(&guarded, sizeof(changed)), 0);
	for (int round = 0; round < 100000; round++) {
		bool lossy;
		memcpy(changed, everything, sizeof(changed));
		for (long changes = random() % 3; changes >= 0; changes--)
			changed[2 + (size_t)random() % (sizeof(changed) - 2)] = (char)random();
		size_t length = random() % 2 ? sizeof(changed) : (size_t)random() % sizeof(changed);
		char *text = json_of((struct lp_slice){guarded_put(&guarded, changed, length), length}, &lossy);
		if (!text)
			continue;
		assert_int_equal(lp_json_check((struct lp_slice){text, strlen(text)}), 0);
		test_free(text);
		made++;
	}
	assert_true(made > 1000);
	guarded_deinit(&guarded);
}

static void depth_has_a_bound(void **state)
{
	enum { DEEP = LP_V8_DEPTH_MAX, EACH_OPENS = 2, EACH_CLOSES = 3 };
	size_t length = 2 + (DEEP + 1) * (EACH_OPENS + EACH_CLOSES);
	char *bytes = test_malloc(length);
	bool lossy;
	(void)state;
	for (int depth = DEEP; depth <= DEEP + 1; depth++) {
		char *at = bytes;
		memcpy(at, "\xff\x0f", 2);
		at += 2;
		for (int i = 1; i <= depth; i++, at += EACH_OPENS)
			memcpy(at, i < depth ? "A\1" : "A\0", EACH_OPENS);
		for (int i = depth; i >= 1; i--, at += EACH_CLOSES)
			memcpy(at, i < depth ? "$\0\1" : "$\0\0", EACH_CLOSES);
		char *text = json_of((struct lp_slice){bytes, (size_t)(at - bytes)}, &lossy);
		assert_true((text != NULL) == (depth == DEEP));
		if (text)
			test_free(text);
	}
	test_free(bytes);
}

/* A frame of JSON, and JSON of its message again. */
static void assert_comes_back(const char *json, const char *expected)
{
	struct lp_buffer out = {0};
	struct guarded guarded;
	size_t length = strlen(json);
	assert_int_equal(guarded_init(&guarded, length), 0);
	assert_int_equal(lp_v8_frame((struct lp_slice){guarded_put(&guarded, json, length), length}, &out), 0);
	assert_int_equal(lp_v8_frame_length(out.bytes), out.length);
	assert_json((struct lp_slice){out.bytes + LP_V8_FRAME_HEAD, out.length - LP_V8_FRAME_HEAD}, expected, false);
	lp_buffer_clear(&out);
	guarded_deinit(&guarded);
}

static void json_comes_back_as_it_was(void **state)
{
	static const char *const same[] = {
		"{}",
		"[]",
		"\"\"",
		"0",
		"-1",
		"2147483647",
		"-2147483648",
		"4294967296",
		"-1.5",
		"0.1",
		"1e+300",
		"null",
		"[true,false,null]",
		"[[],[[]],{},[{}]]",
		"{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"\":\"\"}",
		"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\xa6\x80\"",
		"\"\\\"\\\\\\u0001\"",
		"{\"\xc3\xa9\":\"\\ud800\"}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		assert_comes_back(same[i], same[i]);
	assert_comes_back(" { \"a\" : [ 1 , 2 ] , \"b\" : \"\\u00e9\\/\\n\" } \n",
			  "{\"a\":[1,2],\"b\":\"\xc3\xa9/\\u000a\"}");
	assert_comes_back("\"\\ud83e\\udd80\"", "\"\xf0\x9f\xa6\x80\"");
	assert_comes_back("\"\xff\xc0\x80\xed\xa0\x80\xc3\"",
			  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void what_is_not_json_is_not_framed(void **state)
{
	static const char *const wrong[] = {"", "{", "{\"a\"}", "tru", "1 2", "1e"};
	struct lp_buffer out = {0};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(lp_v8_frame((struct lp_slice){wrong[i], strlen(wrong[i])}, &out), -EINVAL);
	lp_buffer_clear(&out);
}

static void utf16_is_aligned(void **state)
{
	static const char *const texts[] = {"\"\xc3\xa9\"", "[\"\xc3\xa9\"]", "{\"a\":\"\xc3\xa9\"}",
					    "{\"ab\":\"\xc3\xa9\"}"};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct lp_buffer out = {0};
		assert_int_equal(lp_v8_frame((struct lp_slice){texts[i], strlen(texts[i])}, &out), 0);
		const char *unit = memmem(out.bytes, out.length, "c\2\xe9", 4);
		assert_non_null(unit);
		assert_int_equal((unit + 2 - out.bytes) % 2, 0);
		lp_buffer_clear(&out);
	}
}

static void read_message(struct lp_message *message, struct lp_buffer *room, struct lp_slice value)
{
	char frame[1024] = {0, 0, (char)(value.length >> 8), (char)value.length};
	static char kept[1024];
	memcpy(kept, frame, LP_V8_FRAME_HEAD);
	memcpy(kept + LP_V8_FRAME_HEAD, value.bytes, value.length);
	assert_int_equal(lp_message_read_v8(message, (struct lp_slice){kept, value.length + LP_V8_FRAME_HEAD}, room),
			 0);
}

static void assert_field(const struct lp_message *message, enum lp_message_field field, const char *expected)
{
	struct lp_slice value = message->fields[field];
	assert_int_equal(value.length, strlen(expected));
	assert_memory_equal(value.bytes, expected, value.length);
}

static void a_message_has_its_fields_as_json(void **state)
{
	struct lp_message message;
	struct lp_buffer room = {0};
	(void)state;
	read_message(
		&message, &room,
		BYTES("\xff\x0fo\"\6source\"\14_sio_adapter\"\4typeI\6\"\4datao\"\1b\\\0\n\1x\"\3uid\"\1q{\2\"\3nsp"
		      "\"\1/{\4"));
	assert_field(&message, LP_MESSAGE_SOURCE, "\"_sio_adapter\"");
	assert_field(&message, LP_MESSAGE_TYPE, "3");
	assert_field(&message, LP_MESSAGE_NSP, "\"/\"");
	assert_null(message.fields[LP_MESSAGE_UID].bytes);

	/* Of an adapter nobody goes by the data, but for answers before 0.3. */
	assert_null(message.fields[LP_MESSAGE_DATA].bytes);
	assert_int_equal(message.lossy, 0);
	read_message(
		&message, &room,
		BYTES("\xff\x0fo\"\6source\"\14_sio_adapter\"\4typeI\x12\"\4datao\"\1b\\\0\n\1x\"\3uid\"\1q{\2\"\3nsp"
		      "\"\1/{\4"));
	assert_field(&message, LP_MESSAGE_DATA, "{\"b\":null,\"uid\":\"q\"}");
	assert_int_equal(message.lossy, 1u << LP_MESSAGE_DATA);
	read_message(&message, &room,
		     BYTES("\xff\x0fo\"\6source\"\14_sio_adapter\"\4typeI\6\"\4datao\"\1b\\\0\n\1x{\1\"\3uid\"\1q{\4"));
	assert_field(&message, LP_MESSAGE_UID, "\"q\"");
	assert_null(message.fields[LP_MESSAGE_DATA].bytes);
	assert_int_equal(message.lossy, 0);
	read_message(&message, &room, BYTES("\xff\x0fo\"\7_source\"\4_eio\"\4typeI\4\"\4datao{\0\"\13recipientId_{\4"));
	assert_field(&message, LP_MESSAGE_ENGINE_SOURCE, "\"_eio\"");
	assert_null(message.fields[LP_MESSAGE_DATA].bytes);
	assert_null(message.fields[LP_MESSAGE_RECIPIENT].bytes);

	/* In whatever way a name is written, Node reads the same. */
	read_message(&message, &room, BYTES("\xff\x0fo\0c\6c\0m\0d\0\"\1xS\4type\"\1y{\2"));
	assert_field(&message, LP_MESSAGE_CMD, "\"x\"");
	assert_field(&message, LP_MESSAGE_TYPE, "\"y\"");
	read_message(&message, &room, BYTES("\xff\x0fo\0c\6c\1m\0d\0\"\1xI\2\"\1y{\2"));
	assert_null(message.fields[LP_MESSAGE_CMD].bytes);

	read_message(&message, &room, BYTES("\xff\x0f\"\4type"));
	for (size_t i = 0; i < LP_MESSAGE_FIELDS; i++)
		assert_null(message.fields[i].bytes);
	lp_buffer_clear(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_node_sends_is_read),
		cmocka_unit_test(what_is_wrong_is_no_value),
		cmocka_unit_test(a_cut_value_is_none_and_is_not_read_past),
		cmocka_unit_test(changed_bytes_make_json_or_nothing),
		cmocka_unit_test(depth_has_a_bound),
		cmocka_unit_test(json_comes_back_as_it_was),
		cmocka_unit_test(what_is_not_json_is_not_framed),
		cmocka_unit_test(utf16_is_aligned),
		cmocka_unit_test(a_message_has_its_fields_as_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
