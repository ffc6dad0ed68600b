/**
 * A table of sessions with its workers, and the calls on it in short.
 */
#ifndef SESSIONS_FIXTURE_H
#define SESSIONS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "route/sessions.h"

#define WORKERS 5

struct fixture {
	struct lp_workers workers;
	struct lp_sessions *sessions;
};

static inline void fixture_init(struct fixture *fixture, uint32_t max)
{
	assert_int_equal(lp_workers_init(&fixture->workers, WORKERS, 1), 0);
	fixture->sessions = lp_sessions_new(max, &fixture->workers, 0x5eed);
	assert_non_null(fixture->sessions);
}

static inline void fixture_deinit(struct fixture *fixture)
{
	lp_sessions_free(fixture->sessions);
	lp_workers_deinit(&fixture->workers);
}

static inline struct lp_slice slice(const char *text)
{
	return (struct lp_slice){text, strlen(text)};
}

static inline void bind_key(struct fixture *fixture, const char *key, unsigned worker)
{
	assert_int_equal(lp_sessions_bind(fixture->sessions, slice(key), worker), 0);
}

static inline unsigned find_key(struct fixture *fixture, const char *key)
{
	return lp_sessions_find(fixture->sessions, slice(key));
}

static inline uint32_t held_by(const struct fixture *fixture, unsigned worker)
{
	return fixture->workers.slots[worker - 1].sessions;
}

#endif
