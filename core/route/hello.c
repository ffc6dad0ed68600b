/*
 * One pass over the wire's bytes, with a reader that steps over record headers wherever they fall: a hello cut anywhere
 * is read by the same code as one in a single record, and nothing is put together first.
 *
 * The reader keeps how many bytes the innermost open field still has, and its first error: after one, reads give zeros
 * and change nothing. Running out of peeked bytes is such an error too (LP_AGAIN), so what was right so far and what
 * can never become right come out of the same pass. Lengths are checked as strictly as the handshake's grammar has them
 * (RFC 8446, 4.1.2; RFC 6066, 3; RFC 7301, 3.1), so that a worker reads the same names in the bytes.
 */
#include "route/hello.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

enum {
	RECORD_HEADER = 5,
	RECORD_MAX = 1 << 14,
	RECORD_HANDSHAKE = 22,
	VERSION_MAJOR = 3, /* Of SSL 3.0 and every TLS. */
	HANDSHAKE_CLIENT_HELLO = 1,
	RANDOM_BYTES = 32,
	SESSION_ID_MAX = 32,
	EXTENSION_SNI = 0,
	EXTENSION_ALPN = 16,
	SNI_HOST_NAME = 0,
};

struct reader {
	const unsigned char *at; /* The next byte on the wire. */
	const unsigned char *end;
	size_t record_left; /* Of the record being read. */
	size_t left;        /* Of the innermost open field. */
	int error;
};

static void fail_reading(struct reader *reader, int error)
{
	if (!reader->error)
		reader->error = error;
}

/* Say what has to hold of what was just read. */
static void expect_that(struct reader *reader, bool holds)
{
	if (!holds)
		fail_reading(reader, LP_ENOTTLS);
}

/* Judge a record header by as much of it as is there: a client that speaks first in another protocol is told at once. */
static void enter_record(struct reader *reader)
{
	const unsigned char *header = reader->at;
	size_t seen = (size_t)(reader->end - header);
	size_t length;

	if (seen >= 1)
		expect_that(reader, header[0] == RECORD_HANDSHAKE);
	if (seen >= 2)
		expect_that(reader, header[1] == VERSION_MAJOR);
	if (seen < RECORD_HEADER) {
		fail_reading(reader, LP_AGAIN);
		return;
	}
	length = (size_t)header[3] << 8 | header[4];
	expect_that(reader, length > 0 && length <= RECORD_MAX);
	reader->at += RECORD_HEADER;
	reader->record_left = length;
}

/* Take bytes off the open field. out may be NULL: they are passed over. */
static void take_bytes(struct reader *reader, void *out, size_t length)
{
	char *to = out;

	expect_that(reader, length <= reader->left);
	while (length > 0 && !reader->error) {
		size_t here = (size_t)(reader->end - reader->at);

		if (reader->record_left == 0) {
			enter_record(reader);
			continue;
		}
		if (here == 0)
			fail_reading(reader, LP_AGAIN);
		if (here > reader->record_left)
			here = reader->record_left;
		if (here > length)
			here = length;
		if (to)
			to = mempcpy(to, reader->at, here);
		reader->at += here;
		reader->record_left -= here;
		reader->left -= here;
		length -= here;
	}
}

static void skip_bytes(struct reader *reader, size_t length)
{
	take_bytes(reader, NULL, length);
}

/* Take a number of 1 to 3 bytes; 0 after an error. */
static size_t take_number(struct reader *reader, size_t width)
{
	unsigned char bytes[3] = {0};
	size_t number = 0;

	take_bytes(reader, bytes, width);
	if (reader->error)
		return 0;
	for (size_t i = 0; i < width; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* Open a field that begins with its own length, a number of that width. Returns what close_field needs. */
static size_t open_field(struct reader *reader, size_t width)
{
	size_t length = take_number(reader, width);
	size_t outer;

	expect_that(reader, length <= reader->left);
	if (reader->error)
		return 0;
	outer = reader->left - length;
	reader->left = length;
	return outer;
}

/* Close a field, of which nothing may be left. */
static void close_field(struct reader *reader, size_t outer)
{
	expect_that(reader, reader->left == 0);
	reader->left = outer;
}

static void read_host_name(struct reader *reader, struct lp_hello *hello)
{
	size_t length = reader->left;

	if (length == 0 || length > sizeof(hello->sni_bytes)) {
		skip_bytes(reader, length);
		return;
	}
	take_bytes(reader, hello->sni_bytes, length);
	if (!reader->error && !memchr(hello->sni_bytes, '\0', length))
		hello->sni = (struct lp_slice){hello->sni_bytes, length};
}

static void read_sni(struct reader *reader, struct lp_hello *hello)
{
	size_t list = open_field(reader, 2);
	bool seen = false;

	expect_that(reader, reader->left > 0);
	while (reader->left > 0 && !reader->error) {
		size_t type = take_number(reader, 1);
		size_t name = open_field(reader, 2);

		if (type == SNI_HOST_NAME) {
			/* Of two names, nobody can say which a worker would take. */
			expect_that(reader, !seen);
			seen = true;
			read_host_name(reader, hello);
		} else {
			skip_bytes(reader, reader->left);
		}
		close_field(reader, name);
	}
	close_field(reader, list);
}

static void read_alpn(struct reader *reader, struct lp_hello *hello)
{
	size_t list = open_field(reader, 2);
	size_t used = 0;

	expect_that(reader, reader->left > 0);
	while (reader->left > 0 && !reader->error) {
		size_t protocol = open_field(reader, 1);
		size_t length = reader->left;

		expect_that(reader, length > 0);
		if (hello->alpn_count < LP_HELLO_ALPN_MAX && length <= sizeof(hello->alpn_bytes) - used) {
			take_bytes(reader, hello->alpn_bytes + used, length);
			hello->alpn[hello->alpn_count++] = (struct lp_slice){hello->alpn_bytes + used, length};
			used += length;
		}
		skip_bytes(reader, reader->left);
		close_field(reader, protocol);
	}
	close_field(reader, list);
}

static void read_extensions(struct reader *reader, struct lp_hello *hello)
{
	size_t extensions = open_field(reader, 2);
	bool seen_sni = false;
	bool seen_alpn = false;

	while (reader->left > 0 && !reader->error) {
		size_t type = take_number(reader, 2);
		size_t extension = open_field(reader, 2);

		if (reader->error)
			return;
		if (type == EXTENSION_SNI) {
			expect_that(reader, !seen_sni);
			seen_sni = true;
			read_sni(reader, hello);
		} else if (type == EXTENSION_ALPN) {
			expect_that(reader, !seen_alpn);
			seen_alpn = true;
			read_alpn(reader, hello);
		} else {
			skip_bytes(reader, reader->left);
		}
		close_field(reader, extension);
	}
	close_field(reader, extensions);
}

static void read_hello(struct reader *reader, struct lp_hello *hello)
{
	size_t field;
	size_t body;

	expect_that(reader, take_number(reader, 1) == HANDSHAKE_CLIENT_HELLO);
	body = open_field(reader, 3);
	expect_that(reader, take_number(reader, 1) == VERSION_MAJOR);
	skip_bytes(reader, 1 + RANDOM_BYTES);

	field = open_field(reader, 1);
	expect_that(reader, reader->left <= SESSION_ID_MAX);
	skip_bytes(reader, reader->left);
	close_field(reader, field);

	field = open_field(reader, 2); /* Cipher suites, two bytes each. */
	expect_that(reader, reader->left >= 2 && reader->left % 2 == 0);
	skip_bytes(reader, reader->left);
	close_field(reader, field);

	field = open_field(reader, 1); /* Compression methods. */
	expect_that(reader, reader->left > 0);
	skip_bytes(reader, reader->left);
	close_field(reader, field);

	if (reader->left > 0) /* Before TLS 1.3 a hello may end here. */
		read_extensions(reader, hello);
	close_field(reader, body);
}

int lp_hello_parse(struct lp_hello *hello, const unsigned char *bytes, size_t length)
{
	struct reader reader = {.at = bytes, .end = bytes + length, .left = SIZE_MAX};

	hello->sni = (struct lp_slice){0};
	hello->alpn_count = 0;
	read_hello(&reader, hello);
	return reader.error ? reader.error : (int)(reader.at - bytes);
}
