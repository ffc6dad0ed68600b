/*
 * Hellos of real clients, whole, cut anywhere, and split over records in every way; hellos whose lengths lie.
 *
 * Every input is parsed right before a guard page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "assert_slice.h"
#include "base/error.h"
#include "guarded.h"
#include "hello_bytes.h"
#include "route/hello.h"

enum { MAX_BYTES = 16384, RECORD_HEADER = 5, FIXED_BYTES = 43 /* Record and handshake headers, version, random. */ };

struct fixture {
	struct lp_hello hello;
	struct guarded guarded;
};

/* A hello being written by hand. */
struct wire {
	unsigned char bytes[1024];
	size_t length;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	return fixture ? guarded_init(&fixture->guarded, MAX_BYTES) : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	guarded_deinit(&fixture->guarded);
	free(fixture);
	return 0;
}

static int parse(struct fixture *fixture, const void *bytes, size_t length)
{
	const char *copy = guarded_put(&fixture->guarded, bytes, length);

	return lp_hello_parse(&fixture->hello, (const unsigned char *)copy, length);
}

static void assert_chat(const struct lp_hello *hello)
{
	assert_slice(hello->sni, "chat.example.org");
	assert_int_equal(hello->alpn_count, 2);
	assert_slice(hello->alpn[0], "h2");
	assert_slice(hello->alpn[1], "http/1.1");
}

/* Put a hello of one record into records of at most size bytes each. Returns the length of it all. */
static size_t split_records(const unsigned char *hello, size_t length, size_t size, unsigned char *out)
{
	unsigned char *at = out;

	for (size_t done = RECORD_HEADER; done < length;) {
		size_t here = length - done < size ? length - done : size;
		const unsigned char header[] = {22, 3, 1, (unsigned char)(here >> 8), (unsigned char)here};

		at = mempcpy(at, header, sizeof(header));
		at = mempcpy(at, hello + done, here);
		done += here;
	}
	return (size_t)(at - out);
}

static void put(struct wire *wire, const void *bytes, size_t length)
{
	assert_true(length <= sizeof(wire->bytes) - wire->length);
	memcpy(wire->bytes + wire->length, bytes, length);
	wire->length += length;
}

#define PUT(wire, literal) put(wire, literal, sizeof(literal) - 1)

static void set_length(struct wire *wire, size_t at, size_t length)
{
	wire->bytes[at] = (unsigned char)(length >> 8);
	wire->bytes[at + 1] = (unsigned char)length;
}

/* Begin a hello up to its extensions. */
static struct wire begin_hello(void)
{
	struct wire wire = {.bytes = {22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3}, .length = FIXED_BYTES};

	PUT(&wire, "\0\0\2\x13\x01\1\0");
	return wire;
}

/* Fill in the lengths of record and handshake. */
static void end_hello(struct wire *wire)
{
	set_length(wire, 3, wire->length - RECORD_HEADER);
	set_length(wire, 7, wire->length - RECORD_HEADER - 4);
}

/* A hello with just these extensions. */
static struct wire hello_with(const void *extensions, size_t length)
{
	struct wire wire = begin_hello();

	PUT(&wire, "\0\0");
	set_length(&wire, wire.length - 2, length);
	put(&wire, extensions, length);
	end_hello(&wire);
	return wire;
}

/* Parse a hello with just these extensions. */
static int parse_with(struct fixture *fixture, const void *extensions, size_t length)
{
	struct wire wire = hello_with(extensions, length);
	int taken = parse(fixture, wire.bytes, wire.length);

	if (taken > 0)
		assert_int_equal(taken, wire.length);
	return taken;
}

#define PARSE_WITH(fixture, literal) parse_with(fixture, literal, sizeof(literal) - 1)

static void the_names_of_a_hello_are_found(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, hello_openssl, sizeof(hello_openssl)), sizeof(hello_openssl));
	assert_chat(&fixture->hello);
	assert_int_equal(parse(fixture, hello_chromium, sizeof(hello_chromium)), sizeof(hello_chromium));
	assert_chat(&fixture->hello);
}

static void a_hello_without_names_has_none(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, hello_openssl, sizeof(hello_openssl)), sizeof(hello_openssl));
	assert_int_equal(parse(fixture, hello_nameless, sizeof(hello_nameless)), sizeof(hello_nameless));
	assert_null(fixture->hello.sni.bytes);
	assert_int_equal(fixture->hello.alpn_count, 0);
}

static void a_split_hello_asks_for_more(void **state)
{
	for (size_t seen = 1; seen < sizeof(hello_openssl); seen++)
		assert_int_equal(parse(*state, hello_openssl, seen), LP_AGAIN);
	for (size_t seen = 1; seen < sizeof(hello_chromium); seen++)
		assert_int_equal(parse(*state, hello_chromium, seen), LP_AGAIN);
	for (size_t seen = 1; seen < sizeof(hello_nameless); seen++)
		assert_int_equal(parse(*state, hello_nameless, seen), LP_AGAIN);
}

static void a_hello_over_several_records_is_read_as_one(void **state)
{
	struct fixture *fixture = *state;
	unsigned char records[sizeof(hello_openssl) * (RECORD_HEADER + 1)];

	for (size_t size = 1; size < sizeof(hello_openssl); size++) {
		size_t length = split_records(hello_openssl, sizeof(hello_openssl), size, records);

		assert_int_equal(parse(fixture, records, length), length);
		assert_chat(&fixture->hello);
	}
}

static void a_hello_over_several_records_asks_for_more(void **state)
{
	unsigned char records[sizeof(hello_openssl) * (RECORD_HEADER + 1)];
	size_t length = split_records(hello_openssl, sizeof(hello_openssl), 7, records);

	for (size_t seen = 1; seen < length; seen++)
		assert_int_equal(parse(*state, records, seen), LP_AGAIN);
}

static void what_follows_a_hello_is_not_looked_at(void **state)
{
	struct fixture *fixture = *state;
	unsigned char bytes[sizeof(hello_openssl) + 3];

	memcpy(bytes, hello_openssl, sizeof(hello_openssl));
	memcpy(bytes + sizeof(hello_openssl), "GET", 3);
	assert_int_equal(parse(fixture, bytes, sizeof(bytes)), sizeof(hello_openssl));
	assert_chat(&fixture->hello);
}

static void other_protocols_are_refused_at_their_first_byte(void **state)
{
	assert_int_equal(parse(*state, "G", 1), LP_ENOTTLS);
	assert_int_equal(parse(*state, "\x80\x2e\x01", 1), LP_ENOTTLS); /* SSL 2.0 */
	assert_int_equal(parse(*state, "\x15\x03\x01", 1), LP_ENOTTLS); /* An alert. */
	assert_int_equal(parse(*state, "\0", 1), LP_ENOTTLS);
	assert_int_equal(parse(*state, "\x16\x02", 2), LP_ENOTTLS);
	assert_int_equal(parse(*state, "\x16\x03\x01\x01\x00\x02", 6), LP_ENOTTLS); /* A ServerHello. */
}

static void a_record_of_an_impossible_length_is_refused(void **state)
{
	assert_int_equal(parse(*state, "\x16\x03\x01\x40\x01", 5), LP_ENOTTLS);
	assert_int_equal(parse(*state, "\x16\x03\x01\x00\x00", 5), LP_ENOTTLS);
	assert_int_equal(parse(*state, "\x16\x03\x01\x40\x00", 5), LP_AGAIN);
}

static void records_of_another_kind_within_a_hello_are_refused(void **state)
{
	unsigned char records[sizeof(hello_openssl) * 2];
	size_t length = split_records(hello_openssl, sizeof(hello_openssl), 100, records);

	records[RECORD_HEADER + 100] = 23;
	assert_int_equal(parse(*state, records, length), LP_ENOTTLS);
}

static void a_hello_may_end_before_its_extensions(void **state)
{
	struct fixture *fixture = *state;
	struct wire wire = begin_hello();

	end_hello(&wire);
	assert_int_equal(parse(fixture, wire.bytes, wire.length), wire.length);
	assert_null(fixture->hello.sni.bytes);
	assert_int_equal(PARSE_WITH(fixture, ""), wire.length + 2);
	assert_null(fixture->hello.sni.bytes);
}

static void unknown_extensions_are_passed_over(void **state)
{
	struct fixture *fixture = *state;

	/* GREASE before, Encrypted ClientHello behind: what is seen is the outer name. */
	assert_true(PARSE_WITH(fixture, "\x0a\x0a\0\1\0"
					"\0\0\0\x0a\0\x08\0\0\5outer"
					"\xfe\x0d\0\5inner"
					"\x5a\x5a\0\0") > 0);
	assert_slice(fixture->hello.sni, "outer");
}

static void a_name_no_host_can_have_counts_as_absent(void **state)
{
	struct fixture *fixture = *state;
	unsigned char extension[9 + LP_HELLO_SNI_BYTES + 1] = {0, 0, 1, 5, 1, 3, 0, 1, 0};

	assert_true(PARSE_WITH(fixture, "\0\0\0\x08\0\6\0\0\3a\0b") > 0);
	assert_null(fixture->hello.sni.bytes);
	assert_true(PARSE_WITH(fixture, "\0\0\0\5\0\3\0\0\0") > 0);
	assert_null(fixture->hello.sni.bytes);

	memset(extension + 9, 'a', LP_HELLO_SNI_BYTES + 1);
	assert_true(parse_with(fixture, extension, sizeof(extension)) > 0);
	assert_null(fixture->hello.sni.bytes);

	extension[3] = 4, extension[5] = 2, extension[7] = 0, extension[8] = 255;
	assert_true(parse_with(fixture, extension, sizeof(extension) - 1) > 0);
	assert_int_equal(fixture->hello.sni.length, LP_HELLO_SNI_BYTES);
}

static void names_of_unknown_kinds_are_passed_over(void **state)
{
	struct fixture *fixture = *state;

	assert_true(PARSE_WITH(fixture, "\0\0\0\x0d\0\x0b\1\0\2xx\0\0\3abc") > 0);
	assert_slice(fixture->hello.sni, "abc");
}

static void two_host_names_are_refused(void **state)
{
	assert_int_equal(PARSE_WITH(*state, "\0\0\0\x0e\0\x0c\0\0\3abc\0\0\3def"), LP_ENOTTLS);
	assert_int_equal(PARSE_WITH(*state, "\0\0\0\x0e\0\x0c\0\0\3a\0c\0\0\3def"), LP_ENOTTLS);
	assert_int_equal(PARSE_WITH(*state, "\0\0\0\x08\0\6\0\0\3abc\0\0\0\x08\0\6\0\0\3def"), LP_ENOTTLS);
	assert_int_equal(PARSE_WITH(*state, "\0\x10\0\5\0\3\2h2\0\x10\0\5\0\3\2h3"), LP_ENOTTLS);
}

static void lengths_that_do_not_fit_together_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} extensions[] = {
#define CASE(literal) {literal, sizeof(literal) - 1}
		CASE("\0"),                       /* Half a type. */
		CASE("\0\0\0"),                   /* Half a length. */
		CASE("\0\x2b\0\2\0"),             /* An extension past the extensions. */
		CASE("\0\0\0\0"),                 /* A name list without its length. */
		CASE("\0\0\0\2\0\0"),             /* A name list without a name. */
		CASE("\0\0\0\x08\0\7\0\0\3abc"),  /* A name list past its extension. */
		CASE("\0\0\0\x08\0\5\0\0\3abc"),  /* A name past its list. */
		CASE("\0\0\0\x09\0\6\0\0\3abcd"), /* Bytes behind the list. */
		CASE("\0\x10\0\0"),               /* A protocol list without its length. */
		CASE("\0\x10\0\2\0\0"),           /* Without a protocol. */
		CASE("\0\x10\0\3\0\1\0"),         /* With an empty one. */
		CASE("\0\x10\0\5\0\3\3h2"),       /* With one past the list. */
		CASE("\0\x10\0\5\0\4\2h2"),       /* Past its extension. */
		CASE("\0\x10\0\6\0\3\2h2\0"),     /* With bytes behind it. */
#undef CASE
	};

	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		assert_int_equal(parse_with(*state, extensions[i].bytes, extensions[i].length), LP_ENOTTLS);
}

static void fixed_fields_that_do_not_fit_are_refused(void **state)
{
	static const char *const rests[] = {
		"\x21"
		"0123456789abcdef0123456789abcdef0"
		"\0\2\x13\x01\1\0",       /* A session id too long. */
		"\0\0\0\1\0",             /* No cipher suite. */
		"\0\0\3\x13\x01\x13\1\0", /* One and a half. */
		"\0\0\2\x13\x01\0",       /* No compression method. */
		"\0\0\2\x13\x01\2\0",     /* One past the hello. */
		"\0\0\2\x13\x01\1\0\0",   /* Half the extensions' length. */
		"\0\0\2\x13\x01\1\0\0\1", /* Extensions past the hello. */
	};
	static const size_t lengths[] = {40, 5, 8, 6, 7, 8, 9};

	for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
		struct wire wire = begin_hello();

		wire.length = FIXED_BYTES;
		put(&wire, rests[i], lengths[i]);
		end_hello(&wire);
		assert_int_equal(parse(*state, wire.bytes, wire.length), LP_ENOTTLS);
	}
}

static void no_single_wrong_byte_is_read_past_the_end(void **state)
{
	unsigned char bytes[sizeof(hello_openssl)];

	for (size_t i = 0; i < sizeof(bytes); i++) {
		static const unsigned char wrong[] = {0, 1, 0x7f, 0xff};

		memcpy(bytes, hello_openssl, sizeof(bytes));
		for (size_t j = 0; j < sizeof(wrong); j++) {
			int taken;

			bytes[i] = wrong[j];
			taken = parse(*state, bytes, sizeof(bytes));
			assert_true(taken == LP_AGAIN || taken == LP_ENOTTLS || taken <= (int)sizeof(bytes));
		}
	}
}

static void protocols_past_the_room_are_passed_over(void **state)
{
	struct fixture *fixture = *state;
	unsigned char extension[6 + 200 + 101 + 3] = {0, 16};

	/* More than LP_HELLO_ALPN_MAX. */
	assert_true(PARSE_WITH(fixture, "\0\x10\0\x14\0\x12\1a\1b\1c\1d\1e\1f\1g\1h\1i") > 0);
	assert_int_equal(fixture->hello.alpn_count, LP_HELLO_ALPN_MAX);
	assert_slice(fixture->hello.alpn[7], "h");

	/* 199 and 100 bytes do not fit into LP_HELLO_ALPN_BYTES; the two behind them do. */
	extension[2] = (sizeof(extension) - 4) >> 8, extension[3] = (unsigned char)(sizeof(extension) - 4);
	extension[4] = (sizeof(extension) - 6) >> 8, extension[5] = (unsigned char)(sizeof(extension) - 6);
	memset(extension + 6, 'a', sizeof(extension) - 6);
	extension[6] = 199;
	extension[6 + 200] = 100;
	memcpy(extension + 6 + 200 + 101, "\2h2", 3);
	assert_true(parse_with(fixture, extension, sizeof(extension)) > 0);
	assert_int_equal(fixture->hello.alpn_count, 2);
	assert_int_equal(fixture->hello.alpn[0].length, 199);
	assert_slice(fixture->hello.alpn[1], "h2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_names_of_a_hello_are_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hello_without_names_has_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_split_hello_asks_for_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hello_over_several_records_is_read_as_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hello_over_several_records_asks_for_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_follows_a_hello_is_not_looked_at, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_protocols_are_refused_at_their_first_byte, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_record_of_an_impossible_length_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(records_of_another_kind_within_a_hello_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hello_may_end_before_its_extensions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unknown_extensions_are_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_name_no_host_can_have_counts_as_absent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(names_of_unknown_kinds_are_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(two_host_names_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lengths_that_do_not_fit_together_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fixed_fields_that_do_not_fit_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_single_wrong_byte_is_read_past_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(protocols_past_the_room_are_passed_over, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
