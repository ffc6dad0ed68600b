#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static struct lp_slice text_of(const char *text)
{
	return (struct lp_slice){text, strlen(text)};
}

static void assert_member(const char *object, const char *name, const char *expected)
{
	struct lp_slice value = lp_json_member(text_of(object), name);
	if (!expected) {
		assert_null(value.bytes);
		return;
	}
	assert_non_null(value.bytes);
	assert_int_equal(value.length, strlen(expected));
	assert_memory_equal(value.bytes, expected, value.length);
}

/* 0 when it is an object and nothing else. */
static int read_to_the_end(struct lp_slice bytes)
{
	struct lp_json json;
	struct lp_slice name, value;
	int status = lp_json_open(&json, bytes);
	if (status)
		return status;
	do
		status = lp_json_next(&json, &name, &value);
	while (status == 1);
	return status;
}

static void members_are_found_at_the_top_only(void **state)
{
	(void)state;
	assert_member("{\"a\":{\"b\":1},\"b\":2}", "b", "2");
	assert_member("{\"a\":[{\"b\":1}]}", "b", NULL);
	assert_member("{\"a\":\"b\",\"c\":\"\\\"b\\\":1\"}", "b", NULL);
	assert_member(" { \"a\" : [ 1 , { } , [ ] ] , \"b\" : -1.5e+3 } \n", "b", "-1.5e+3");
	assert_member(" { \"a\" : [ 1 , { } , [ ] ] , \"b\" : -1.5e+3 } \n", "a", "[ 1 , { } , [ ] ]");
	assert_member("{}", "a", NULL);
	assert_member("{\"\":true}", "", "true");
}

static void of_two_members_alike_the_last_counts(void **state)
{
	(void)state;
	assert_member("{\"a\":1,\"a\":2}", "a", "2");
}

static void a_string_ends_at_its_own_quote(void **state)
{
	(void)state;
	assert_member("{\"a\":\"\\\\\",\"b\":1}", "b", "1");
	assert_member("{\"a\":\"\\\\\\\"\",\"b\":1}", "b", "1");
	assert_member("{\"a\":\"1234567\\\"89\",\"b\":1}", "b", "1");
	assert_member("{\"a\":\"}]{[:,\",\"b\":1}", "b", "1");
	for (int length = 0; length < 40; length++) {
		char object[128];
		snprintf(object, sizeof(object), "{\"a\":\"%.*s\\\\\",\"b\":\"%.*s\"}", length,
			 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop", length,
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOP");
		assert_int_equal(lp_json_member(text_of(object), "b").length, length + 2);
	}
}

static void a_name_with_escapes_is_the_same_name(void **state)
{
	(void)state;
	assert_member("{\"\\u0073ource\":1}", "source", "1");
	assert_member("{\"so\\/urce\":1}", "so/urce", "1");
}

static void what_is_not_json_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"{",
		"}",
		"[]",
		"1",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{,\"a\":1}",
		"{\"a\":1}}",
		"{\"a\":1}x",
		"{\"a\":01}",
		"{\"a\":-}",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":1e}",
		"{\"a\":+1}",
		"{\"a\":tru}",
		"{\"a\":nul",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12\"}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"",
		"{\"a\":\"\\",
		"{\"a\":[1,]}",
		"{\"a\":[1}",
		"{\"a\":[}",
		"{\"a\":{]}",
		"{\"a\":{\"b\"}}",
		"{a:1}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":[1 2]}",
		"{\"a\":{,}}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (read_to_the_end(text_of(wrong[i])) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
}

static void it_can_be_deep_but_not_endless(void **state)
{
	static char object[2 * LP_JSON_DEPTH_MAX + 64];
	(void)state;
	for (unsigned depth = LP_JSON_DEPTH_MAX - 1; depth <= LP_JSON_DEPTH_MAX + 1; depth++) {
		strcpy(object, "{\"a\":");
		memset(object + 5, '[', depth);
		memset(object + 5 + depth, ']', depth);
		strcpy(object + 5 + 2 * depth, "}");
		assert_int_equal(read_to_the_end(text_of(object)), depth <= LP_JSON_DEPTH_MAX ? 0 : -EINVAL);
	}
}

static void strings_are_decoded(void **state)
{
	static const char expected[] = "a\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbdz";
	char out[64];
	struct lp_slice value = text_of("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00\\ud83dz\"");
	(void)state;
	assert_int_equal(lp_json_text(value, out, sizeof(out)), sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
	assert_int_equal(lp_json_text(value, out, 5), -ENOBUFS);
	assert_int_equal(lp_json_text(text_of("17"), out, sizeof(out)), -EINVAL);
	assert_int_equal(lp_json_text((struct lp_slice){0}, out, sizeof(out)), -EINVAL);
	assert_true(lp_json_is(text_of("\"abc\""), text_of("abc")));
	assert_false(lp_json_is(text_of("\"abcd\""), text_of("abc")));
	assert_false(lp_json_is((struct lp_slice){0}, text_of("abc")));
	assert_int_equal(lp_json_number(text_of("123")), 123);
	assert_int_equal(lp_json_number(text_of("1e3")), -1);
	assert_int_equal(lp_json_number(text_of("\"1\"")), -1);
}

/* Random documents, beside another parser */

static uint64_t chance = 88172645463325252u;

static unsigned roll(unsigned sides)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (unsigned)(chance >> 33) % sides;
}

struct page {
	char text[8192];
	size_t length;
};

static void put(struct page *page, const char *text)
{
	size_t length = strlen(text);
	if (page->length + length < sizeof(page->text) - 1) {
		memcpy(page->text + page->length, text, length);
		page->length += length;
	}
}

static const char *any(const char *const *texts, unsigned count)
{
	return texts[roll(count)];
}

#define ANY(...)                                                                                                       \
	any((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void put_blank(struct page *page)
{
	put(page, ANY("", "", "", " ", "\t", "\n  "));
}

static void put_string(struct page *page)
{
	put(page, "\"");
	for (unsigned parts = roll(6); parts; parts--)
		put(page, ANY("a", "source", "{", "}", "[", "]", ":", ",", "\\\"", "\\\\", "\\/", "\\n", "\\u0041",
			      "\\u00e9", "\\ud83d\\ude00", "\xc3\xa9", "12345678", "a longer text, to be gone over"));
	put(page, "\"");
}

static void put_value(struct page *page, unsigned depth)
{
	unsigned kind = roll(depth ? 8 : 5);
	put_blank(page);
	if (kind < 3) {
		put_string(page);
	} else if (kind == 3) {
		put(page, ANY("0", "-1", "17", "1.5", "2e3", "-0.25E-2", "1234567890"));
	} else if (kind == 4) {
		put(page, ANY("true", "false", "null"));
	} else {
		bool object = kind > 5;
		put(page, object ? "{" : "[");
		for (unsigned members = roll(4), i = 0; i < members; i++) {
			put(page, i ? "," : "");
			put_blank(page);
			if (object) {
				put_string(page);
				put_blank(page);
				put(page, ":");
			}
			put_value(page, depth - 1);
		}
		put_blank(page);
		put(page, object ? "}" : "]");
	}
	put_blank(page);
}

static void make_document(struct page *page)
{
	static const char *const names[] = {"\"a\"", "\"b\"", "\"\\u0061\"", "\"source\"", "\"\\\"\""};
	page->length = 0;
	put(page, "{");
	for (unsigned members = roll(5), i = 0; i < members; i++) {
		put(page, i ? "," : "");
		put_blank(page);
		put(page, any(names, 5));
		put_blank(page);
		put(page, ":");
		put_value(page, 4);
	}
	put(page, "}");
}

static void spoil(struct page *page)
{
	for (unsigned times = 1 + roll(3); times && page->length; times--) {
		size_t at = roll((unsigned)page->length);
		switch (roll(3)) {
		case 0:
			page->text[at] = "{}[]:,\"\\ \n0e-.tu1"[roll(17)];
			break;
		case 1:
			page->length = at;
			break;
		default:
			memmove(page->text + at, page->text + at + 1, page->length - at - 1);
			page->length--;
		}
	}
}

/* What the other parser minds and Node does not. */
static bool is_its_own_rule(const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);
	return code == json_error_invalid_utf8 || code == json_error_null_character ||
	       code == json_error_null_byte_in_key || code == json_error_numeric_overflow ||
	       strstr(error->text, "invalid Unicode") || strstr(error->text, "\\u0000");
}

static void compare(const struct page *page)
{
	json_error_t error;
	struct lp_slice bytes = {page->text, page->length};
	char *exact = malloc(page->length + 1); /* So that reading on is seen by a checker of memory. */
	assert_non_null(exact);
	memcpy(exact, page->text, page->length);
	bytes.bytes = exact;
	json_t *document = json_loadb(page->text, page->length, 0, &error);
	int status = read_to_the_end(bytes);
	if (json_is_object(document)) {
		const char *name;
		json_t *member;
		assert_int_equal(status, 0);
		json_object_foreach(document, name, member)
		{
			struct lp_slice value = lp_json_member(bytes, name);
			json_t *other = json_loadb(value.bytes, value.length, JSON_DECODE_ANY, NULL);
			if (!json_equal(member, other))
				fail_msg("%s differs in %.*s", name, (int)page->length, page->text);
			if (json_is_string(member)) {
				char text[4096];
				long length = lp_json_text(value, text, sizeof(text));
				assert_int_equal(length, json_string_length(member));
				assert_memory_equal(text, json_string_value(member), length);
			}
			json_decref(other);
		}
	} else if (status == 0 && !is_its_own_rule(&error)) {
		fail_msg("taken, though %s: %.*s", error.text, (int)page->length, page->text);
	}
	json_decref(document);
	free(exact);
}

static void another_parser_reads_the_same(void **state)
{
	static struct page page;
	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		make_document(&page);
		compare(&page);
		spoil(&page);
		compare(&page);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found_at_the_top_only),
		cmocka_unit_test(of_two_members_alike_the_last_counts),
		cmocka_unit_test(a_string_ends_at_its_own_quote),
		cmocka_unit_test(a_name_with_escapes_is_the_same_name),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(it_can_be_deep_but_not_endless),
		cmocka_unit_test(strings_are_decoded),
		cmocka_unit_test(another_parser_reads_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
