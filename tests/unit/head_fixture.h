/**
 * A head to parse into, and every input right before a guard page.
 */
#ifndef LP_TESTS_HEAD_FIXTURE_H
#define LP_TESTS_HEAD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "assert_slice.h"
#include "base/error.h"
#include "guarded.h"
#include "route/head.h"

enum { MAX_HEAD_BYTES = 16384 };

struct fixture {
	struct lp_head *head;
	struct guarded guarded;
};

static inline int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	if (!fixture)
		return -1;
	fixture->head = lp_head_new(MAX_HEAD_BYTES);
	return fixture->head ? guarded_init(&fixture->guarded, 2 * MAX_HEAD_BYTES) : -1;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;

	lp_head_free(fixture->head);
	guarded_deinit(&fixture->guarded);
	free(fixture);
	return 0;
}

/* The head with its headers. */
static inline int parse_bytes(struct fixture *fixture, const char *bytes, size_t length)
{
	int status = lp_head_parse(fixture->head, guarded_put(&fixture->guarded, bytes, length), length);

	return status > 0 && lp_head_headers(fixture->head, NULL) < 0 ? LP_ENOTHTTP : status;
}

static inline int parse(struct fixture *fixture, const char *text)
{
	return parse_bytes(fixture, text, strlen(text));
}

/* Parse a GET of a target. */
static inline struct lp_head *get(struct fixture *fixture, const char *target)
{
	char text[512];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
	assert_int_equal(parse(fixture, text), strlen(text));
	return fixture->head;
}

/* Parse a GET with header lines, each with its line end. */
static inline struct lp_head *get_with(struct fixture *fixture, const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", lines);
	assert_int_equal(parse(fixture, text), strlen(text));
	return fixture->head;
}

static inline struct lp_slice slice(const char *text)
{
	return (struct lp_slice){text, strlen(text)};
}

#define assert_query(head, name, expected) assert_query_at(head, name, expected, __FILE__, __LINE__)
static inline void assert_query_at(const struct lp_head *head, const char *name, const char *expected, const char *file,
				   int line)
{
	char value[256];
	int length = lp_head_query(head, slice(name), value, sizeof(value));

	if (length < 0)
		_fail(file, line);
	assert_slice_at((struct lp_slice){value, (size_t)length}, expected, file, line);
}

#define assert_no_query(head, name) assert_int_equal(lp_head_query(head, slice(name), (char[64]){0}, 64), -1)

#define WITH_HEAD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
