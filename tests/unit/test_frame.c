/*
 * Frames: what is read, what is refused, and that neither reads a byte too far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "guarded.h"
#include "wire/frame.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct guarded guarded;

static int parse_guarded(struct lp_frame *frame, const char *bytes, size_t length)
{
	return lp_frame_parse(frame, guarded_put(&guarded, bytes, length), length);
}

static int parse_text(struct lp_frame *frame, const char *text)
{
	return parse_guarded(frame, text, strlen(text));
}

static void every_kind_of_frame_is_read(void **state)
{
	static const struct {
		const char *text;
		enum lp_frame_kind kind;
		uint64_t number;
		int64_t open;
		const char *key;
	} cases[] = {
		{"connection 1", LP_FRAME_CONNECTION, 1, -1, NULL},
		{"connection 18446744073709551615", LP_FRAME_CONNECTION, UINT64_MAX, -1, NULL},
		{"drain", LP_FRAME_DRAIN, 0, -1, NULL},
		{"ready", LP_FRAME_READY, 0, -1, NULL},
		{"ack 0", LP_FRAME_ACK, 0, -1, NULL},
		{"ack 0 0", LP_FRAME_ACK, 0, 0, NULL},
		{"ack 12 7", LP_FRAME_ACK, 12, 7, NULL},
		{"ack 18446744073709551615 9223372036854775807", LP_FRAME_ACK, UINT64_MAX, INT64_MAX, NULL},
		{"nack 3", LP_FRAME_NACK, 3, -1, NULL},
		{"each 0", LP_FRAME_EACH, LP_EACH_NONE, -1, NULL},
		{"each 2", LP_FRAME_EACH, LP_EACH_REQUEST, -1, NULL},
		{"bounce", LP_FRAME_BOUNCE, 0, -1, NULL},
		{"sigterm 0", LP_FRAME_SIGTERM, 0, -1, NULL},
		{"sigterm 1", LP_FRAME_SIGTERM, 1, -1, NULL},
		{"session x", LP_FRAME_SESSION, 0, -1, "x"},
		{"session lv_VI97HAXpY6yYWAAAC", LP_FRAME_SESSION, 0, -1, "lv_VI97HAXpY6yYWAAAC"},
		{"forget \xc3\xa9t\xc3\xa9", LP_FRAME_FORGET, 0, -1, "\xc3\xa9t\xc3\xa9"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct lp_frame frame;
		assert_int_equal(parse_text(&frame, cases[i].text), 0);
		assert_int_equal(frame.kind, cases[i].kind);
		assert_int_equal(frame.number, cases[i].number);
		assert_int_equal(frame.open, cases[i].open);
		assert_int_equal(frame.key.length, cases[i].key ? strlen(cases[i].key) : 0);
		if (cases[i].key)
			assert_memory_equal(frame.key.bytes, cases[i].key, frame.key.length);
	}
}

static void assert_slice(struct lp_slice slice, const char *text)
{
	assert_int_equal(!slice.bytes, !text);
	assert_int_equal(slice.length, text ? strlen(text) : 0);
	if (text)
		assert_memory_equal(slice.bytes, text, slice.length);
}

static void every_frame_of_the_broker_is_read(void **state)
{
	static const struct {
		const char *text;
		enum lp_frame_kind kind;
		uint32_t seconds;
		uint64_t number;
		const char *name, *key, *value;
	} cases[] = {
		{"get 1 visits total", LP_FRAME_GET, 0, 1, "visits", "total", NULL},
		{"set 0 visits total", LP_FRAME_SET, 0, 0, "visits", "total", NULL},
		{"set 7 visits total\n", LP_FRAME_SET, 0, 7, "visits", "total", ""},
		{"set 7 visits total\n8 \n\n", LP_FRAME_SET, 0, 7, "visits", "total", "8 \n\n"},
		{"acquire 18446744073709551615 c k", LP_FRAME_ACQUIRE, 0, UINT64_MAX, "c", "k", NULL},
		{"release 0 c k", LP_FRAME_RELEASE, 0, 0, "c", "k", NULL},
		{"set-release 3 c k", LP_FRAME_SET_RELEASE, 0, 3, "c", "k", NULL},
		{"set-release 3 c k\nv", LP_FRAME_SET_RELEASE, 0, 3, "c", "k", "v"},
		{"expire 0 c 4294967295", LP_FRAME_EXPIRE, UINT32_MAX, 0, "c", NULL, NULL},
		{"subscribe news", LP_FRAME_SUBSCRIBE, 0, 0, NULL, "news", NULL},
		{"unsubscribe news", LP_FRAME_UNSUBSCRIBE, 0, 0, NULL, "news", NULL},
		{"publish news\n", LP_FRAME_PUBLISH, 0, 0, NULL, "news", ""},
		{"publish news\nhello\nyou", LP_FRAME_PUBLISH, 0, 0, NULL, "news", "hello\nyou"},
		{"pull jobs", LP_FRAME_PULL, 0, 0, NULL, "jobs", NULL},
		{"stop jobs", LP_FRAME_STOP, 0, 0, NULL, "jobs", NULL},
		{"push jobs\n1", LP_FRAME_PUSH, 0, 0, NULL, "jobs", "1"},
		{"value 1", LP_FRAME_VALUE, 0, 1, NULL, NULL, NULL},
		{"value 1\nx", LP_FRAME_VALUE, 0, 1, NULL, NULL, "x"},
		{"refused 1\nit is full", LP_FRAME_REFUSED, 0, 1, NULL, NULL, "it is full"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct lp_frame frame;
		assert_int_equal(parse_text(&frame, cases[i].text), 0);
		assert_int_equal(frame.kind, cases[i].kind);
		assert_int_equal(frame.number, cases[i].number);
		assert_int_equal(frame.seconds, cases[i].seconds);
		assert_slice(frame.name, cases[i].name);
		assert_slice(frame.key, cases[i].key);
		assert_slice(frame.value, cases[i].value);
	}
}

static void a_value_has_61440_bytes_at_most(void **state)
{
	(void)state;
	static char text[LP_FRAME_MAX] = "push jobs\n";
	char head[LP_FRAME_HEAD_MAX];
	struct lp_frame frame;
	assert_int_equal(parse_guarded(&frame, text, 10 + LP_FRAME_VALUE_MAX + 1), -EINVAL);
	assert_int_equal(parse_guarded(&frame, text, 10 + LP_FRAME_VALUE_MAX), 0);
	assert_int_equal(frame.value.length, LP_FRAME_VALUE_MAX);
	assert_int_equal(lp_frame_write(&frame, head), 10);
	frame.value.length++;
	assert_int_equal(lp_frame_write(&frame, head), 0);
	frame.value = (struct lp_slice){0};
	assert_int_equal(lp_frame_write(&frame, head), 0);
}

static void the_longest_head_fits_its_bound(void **state)
{
	(void)state;
	static char key[LP_FRAME_KEY_MAX];
	char head[LP_FRAME_HEAD_MAX];
	memset(key, 'k', sizeof(key));
	struct lp_slice longest = {key, sizeof(key)};
	struct lp_frame frame = {
		.kind = LP_FRAME_SET_RELEASE, .number = UINT64_MAX, .name = longest, .key = longest, .value = {"", 0}};
	size_t length = lp_frame_write(&frame, head);
	assert_in_range(length, 2 * LP_FRAME_KEY_MAX, LP_FRAME_HEAD_MAX);
}

static const char *const nearly_frames[] = {
	"",
	" ",
	"ack",
	"ack ",
	"ack  1",
	" ack 1",
	"ack 1 ",
	"ack 1 2 ",
	"ack 1 2 3",
	"ack 01",
	"ack 00",
	"ack 1 01",
	"ack -1",
	"ack +1",
	"ack 1x",
	"ack 0x1",
	"ack 18446744073709551616",
	"ack 99999999999999999999",
	"ack 1 9223372036854775808",
	"ack1",
	"ACK 1",
	"nack",
	"nack 0",
	"nack 1 1",
	"connection",
	"connection 0",
	"connection 1 1",
	"ready ",
	"ready 1",
	"ready\n",
	"ready\r\n",
	"drain now",
	"each",
	"each 01",
	"each 1 1",
	"each session",
	"bounce ",
	"bounce 1",
	"session",
	"session ",
	"session  key",
	"session two keys",
	"session key ",
	"session tab\tbed",
	"session line\n",
	"session \x7f",
	"forget",
	"get c k",
	"get 0 c k",
	"get 1 c",
	"get 1 c k x",
	"get 1 c k\nvalue",
	"get 1  k",
	"set 1 c ",
	"set 1 c k ",
	"set 1 c\nk",
	"acquire 0 c k",
	"release c k",
	"expire 1 c",
	"expire 1 c k",
	"expire 1 c 4294967296",
	"expire 1 c 1\n",
	"publish news",
	"publish \nx",
	"publish two words\nx",
	"push jobs x",
	"pull jobs\n",
	"value 0",
	"value\nx",
	"refused 1",
	"{\"cmd\":\"NODE_HANDLE_ACK\"}\n",
};

/* As a later version of the other side may say them. */
static void a_word_that_is_not_known_is_told_from_what_is_no_frame(void **state)
{
	static const char *const words[] = {"ac 1",       "acknowledge 1", "re",
					    "readyx",     "pause",         "pause 5 key\nvalue",
					    "keep-alive", "telephone\n",   "x \xff\x01"};
	static const char *const none[] = {
		"", " ", "READY", "re4dy 1", "\xff", "{}", "re_dy", "a\tb", "abcdefghijklmnopqrstuvwxyzabcdefg"};
	struct lp_frame frame;
	(void)state;
	for (size_t i = 0; i < COUNT(words); i++)
		if (parse_text(&frame, words[i]) != -EOPNOTSUPP)
			fail_msg("\"%s\" is no word", words[i]);
	for (size_t i = 0; i < COUNT(none); i++)
		if (parse_text(&frame, none[i]) != -EINVAL)
			fail_msg("\"%s\" is a word", none[i]);
}

static void what_is_nearly_a_frame_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(nearly_frames); i++) {
		struct lp_frame frame = {.number = 77};
		if (parse_text(&frame, nearly_frames[i]) != -EINVAL)
			fail_msg("\"%s\" was taken for a frame", nearly_frames[i]);
		assert_int_equal(frame.number, 77);
	}
	struct lp_frame frame;
	assert_int_equal(parse_guarded(&frame, "ready\0", 6), -EINVAL);
	assert_int_equal(parse_guarded(&frame, "session a\0b", 11), -EINVAL);
	assert_int_equal(lp_frame_parse(&frame, NULL, 0), -EINVAL);
}

static void a_key_has_1024_bytes_at_most(void **state)
{
	(void)state;
	char text[LP_FRAME_HEAD_MAX] = "session ";
	char written[LP_FRAME_HEAD_MAX];
	struct lp_frame frame;
	memset(text + 8, 'k', LP_FRAME_KEY_MAX + 1);
	assert_int_equal(parse_guarded(&frame, text, 8 + LP_FRAME_KEY_MAX + 1), -EINVAL);
	assert_int_equal(parse_guarded(&frame, text, 8 + LP_FRAME_KEY_MAX), 0);
	assert_int_equal(frame.key.length, LP_FRAME_KEY_MAX);
	assert_int_equal(lp_frame_write(&frame, written), 8 + LP_FRAME_KEY_MAX);
	frame.key = (struct lp_slice){text + 8, LP_FRAME_KEY_MAX + 1};
	assert_int_equal(lp_frame_write(&frame, written), 0);
}

static void a_key_outside_its_range_is_not_written(void **state)
{
	static const struct lp_slice keys[] = {{NULL, 0}, {"", 0}, {"a b", 3}, {"a\n", 2}, {"\0", 1}, {"\x7f", 1}};
	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		char out[LP_FRAME_HEAD_MAX];
		assert_int_equal(lp_frame_write(&(struct lp_frame){.kind = LP_FRAME_SESSION, .key = keys[i]}, out), 0);
		assert_int_equal(lp_frame_write(&(struct lp_frame){.kind = LP_FRAME_FORGET, .key = keys[i]}, out), 0);
	}
}

static void the_longest_frame_without_a_key_fits_its_bound(void **state)
{
	(void)state;
	char out[LP_FRAME_HEAD_MAX];
	struct lp_frame ack = {.kind = LP_FRAME_ACK, .number = UINT64_MAX, .open = INT64_MAX};
	struct lp_frame connection = {.kind = LP_FRAME_CONNECTION, .number = UINT64_MAX};
	assert_true(lp_frame_write(&ack, out) <= LP_FRAME_SHORT_MAX);
	assert_true(lp_frame_write(&connection, out) <= LP_FRAME_SHORT_MAX);
}

/* Small changes to right frames, so that the reader's every branch is met: taken means written back byte for byte. */
static void what_is_read_is_written_back_unchanged(void **state)
{
	static const char *const seeds[] = {"connection 120", "drain",        "ready",        "ack 90 10", "nack 10",
					    "session ab",     "forget 9",     "each 1",       "bounce",    "get 1 c k",
					    "set 1 c k\nv",   "expire 1 c 9", "publish t\nv", "value 1\nv"};
	static const char alphabet[] = " 019abcehkndiorstux\n\0\xff";
	(void)state;
	uint32_t random = 2463534242u;
	unsigned taken = 0;
	for (int round = 0; round < 200000; round++) {
		char text[64];
		char written[LP_FRAME_HEAD_MAX];
		const char *seed = seeds[(unsigned)round % COUNT(seeds)];
		size_t length = strlen(seed);
		memcpy(text, seed, length);
		for (int change = 0; change < round % 3; change++) {
			random ^= random << 13;
			random ^= random >> 17;
			random ^= random << 5;
			size_t at = random % (length + 1);
			text[at] = alphabet[(random >> 8) % sizeof(alphabet)];
			length = at == length ? length + 1 : length - (random >> 31 && length > 1);
		}
		struct lp_frame frame;
		if (parse_guarded(&frame, text, length))
			continue;
		taken++;
		size_t head = lp_frame_write(&frame, written);
		assert_int_equal(head + frame.value.length, length);
		assert_memory_equal(written, text, head);
	}
	assert_in_range(taken, 70000, 180000);
}

static int set_up(void **state)
{
	(void)state;
	return guarded_init(&guarded, LP_FRAME_MAX);
}

static int tear_down(void **state)
{
	(void)state;
	guarded_deinit(&guarded);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_frame_is_read),
		cmocka_unit_test(every_frame_of_the_broker_is_read),
		cmocka_unit_test(a_value_has_61440_bytes_at_most),
		cmocka_unit_test(the_longest_head_fits_its_bound),
		cmocka_unit_test(a_word_that_is_not_known_is_told_from_what_is_no_frame),
		cmocka_unit_test(what_is_nearly_a_frame_is_refused),
		cmocka_unit_test(a_key_has_1024_bytes_at_most),
		cmocka_unit_test(a_key_outside_its_range_is_not_written),
		cmocka_unit_test(the_longest_frame_without_a_key_fits_its_bound),
		cmocka_unit_test(what_is_read_is_written_back_unchanged),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
