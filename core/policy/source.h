/**
 * The texts of policies: read once, and kept for as long as the policy, which is made from them more than once.
 *
 * A script is what --policy names; it owns its modules, which it requires while it is loaded for the first time. For the
 * policy*.c files: it knows Lua.
 */
#ifndef LP_POLICY_SOURCE_H
#define LP_POLICY_SOURCE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/sha256.h"

/** A script, or a module of one, as it was loaded, so that it can be loaded again whatever became of the file. */
struct lp_source {
	char *name;   /**< As --policy names it; of a module, its file. */
	char *module; /**< As require names it; NULL for a script. */
	char *text;
	size_t length;
	uint8_t sha256[LP_SHA256_BYTES]; /**< Of the text. */
	struct lp_source *main;          /**< Of a module: the script that it belongs to. Borrowed. */
	struct lp_source *modules;       /**< Of a script: all that were read for it. Owned. */
	struct lp_source *next;          /**< In `modules`. */
	bool closed;                     /**< Of a script: no more modules are read. */
};

/** Whether --policy takes a name for a file's. @param name Ends in NUL. */
bool lp_source_is_file(const char *name);

/**
 * Read a file, or find an included policy.
 *
 * @param source  Filled on success; for lp_source_deinit. Must stay in its place: its modules, and a state's require,
 *                point to it.
 * @param name    As --policy names it. Copied.
 * @param error   Filled on failure; begins with the name.
 *
 * @return 0, LP_EPOLICY or negative errno.
 */
int lp_source_init(struct lp_source *source, const char *name, struct lp_error *error);

/**
 * Copy a script and its modules. The copy is closed.
 *
 * @param copy    Filled on success; as by lp_source_init.
 * @param source  A script. Borrowed for the call.
 *
 * @return 0, or -ENOMEM.
 */
int lp_source_init_copy(struct lp_source *copy, const struct lp_source *source);

/** Free a source and its modules. @param source All zero is fine too. */
void lp_source_deinit(struct lp_source *source);

/**
 * Find a module of a script, or read it, if the script is not closed.
 *
 * @param found  Set on success; lives as long as main.
 * @param main   The script.
 * @param name   "tenants.names": words with dots between them.
 * @param error  Filled on failure.
 *
 * @return 0, LP_EPOLICY or negative errno.
 */
int lp_source_find_module(struct lp_source **found, struct lp_source *main, const char *name, struct lp_error *error);

/**
 * Compile a source and push the function.
 *
 * @param lua     Opened.
 * @param source  Borrowed for the call.
 * @param error   Filled on failure, with file and line.
 *
 * @return 0, or LP_EPOLICY with a message on the stack or nothing.
 */
int lp_source_compile(lua_State *lua, const struct lp_source *source, struct lp_error *error);

/**
 * Say that an error is one of a policy: put "policy " before it.
 *
 * @param status  What is returned.
 * @param error   Filled. NULL is allowed.
 *
 * @return status.
 */
int lp_source_name_policy(int status, struct lp_error *error);

#endif
