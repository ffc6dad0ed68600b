/**
 * What the policy_testing*.c files share. Nobody else includes this: it knows Lua.
 *
 *     testing.c        running a file: test, expect, load_policy, policy:route
 *     testing_conn.c   conn{…}
 *     testing_scene.c  workers, stop, start, session, trust, advance
 */
#ifndef LP_POLICY_TESTING_PRIVATE_H
#define LP_POLICY_TESTING_PRIVATE_H

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>

#include "policy/private.h"
#include "policy/scene.h"
#include "policy/testing.h"

/** The most policies and options of one load_policy, and headers and protocols of one conn. */
#define LP_WORDS_MAX 64

/** A policy that the file, or the running test, has loaded. */
struct lp_loaded {
	struct lp_loaded *next;
	struct lp_policy *policy;
	/** Counted from 1. All that Lua has of it (struct lp_object): policy and userdata do not end together. */
	unsigned number;
};

struct lp_testing {
	const char *path;
	struct lp_scene scene;
	struct lp_source source;
	struct lp_policy *state;  /**< The test file's. */
	int tests;                /**< Reference to the list: name, function, name, function. */
	bool running;             /**< Tests are; else the file itself is. */
	struct lp_loaded *loaded; /**< The last first. */
	unsigned loads;           /**< So far. */
	lp_tested_cb tested;
	void *owner;
	struct lp_error *error;
	int status;
	bool expect_failed;
	char place[PATH_MAX + 16]; /**< Of the failed expect, as the next two. */
	char expected[512];
	char got[512];
};

/** Strings for C, which lie on Lua's stack. */
struct lp_words {
	size_t count;
	const char *all[LP_WORDS_MAX];
};

/** Upvalues of every function that tests have; the metatable is that of policies. */
enum { LP_UPVALUE_TESTING = 1, LP_UPVALUE_OBJECTS, LP_UPVALUE_METATABLE };

/** What a function belongs to. @param lua In a function with the upvalues above. */
static inline struct lp_testing *lp_testing_of(lua_State *lua)
{
	return lua_touserdata(lua, lua_upvalueindex(LP_UPVALUE_TESTING));
}

/**
 * Add the string on top of the stack to words, and leave it there.
 *
 * @param lua    Opened. Raises when there are too many.
 * @param words  Begins as {0}.
 * @param what   "headers": what the error calls them.
 */
void lp_testing_keep_word(lua_State *lua, struct lp_words *words, const char *what);

/** conn{…}: gives its table back, checked. @param lua Opened. Raises. @return 1. */
int lp_testing_conn(lua_State *lua);

/**
 * Read a connection's table. What the results point to stays on the stack.
 *
 * @param lua      Opened. Raises.
 * @param index    Of the table, from 1.
 * @param conn     Filled; points into the next two as well.
 * @param headers  {0}.
 * @param alpn     {0}.
 */
void lp_testing_read_conn(lua_State *lua, int index, struct lp_scene_conn *conn, struct lp_words *headers,
			  struct lp_words *alpn);

/**
 * Raise what a policy has logged as its error, if it has.
 *
 * @param lua      Opened. Raises.
 * @param testing  Whose log it is, which is read to its end.
 * @param policy   Borrowed.
 * @param before   lp_policy_errors before it was called.
 */
void lp_testing_raise_errors(lua_State *lua, struct lp_testing *testing, const struct lp_policy *policy,
			     uint64_t before);

#endif
