/**
 * What a response tells of sessions: Engine.IO's sid, and whatever cookies and headers `--learn` names. Pure functions
 * over bytes.
 */
#ifndef LP_PRELOAD_LEARN_H
#define LP_PRELOAD_LEARN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/** Things that --learn can name, at most. */
#define LP_LEARN_MAX 8

/** Bytes of a name in --learn. */
#define LP_LEARN_NAME_MAX 64

struct lp_learn_rule {
	bool is_cookie; /**< Else a header. */
	char name[LP_LEARN_NAME_MAX + 1];
};

struct lp_learn {
	struct lp_learn_rule rules[LP_LEARN_MAX];
	unsigned count;
};

/**
 * Read the rules.
 *
 * @param learn  Filled.
 * @param text   "cookie:JSESSIONID,header:X-Session"; NULL or "" for none. What is no rule is passed over: limpet has
 *               checked the text already.
 */
void lp_learn_init(struct lp_learn *learn, const char *text);

/**
 * Find the session keys in a piece of a response. Rules are about its head: what a visitor wrote may be in its body.
 *
 * @param learn  The rules.
 * @param bytes  The piece. Borrowed.
 * @param head   Whether the piece begins in the head.
 * @param found  Runs for each key, which is inside bytes: 1 to 1024 bytes without blanks and control characters.
 * @param owner  Passed to found.
 *
 * @return Whether the next piece begins in the head, too.
 */
bool lp_learn_scan(const struct lp_learn *learn, struct lp_slice bytes, bool head,
		   void (*found)(void *owner, struct lp_slice key), void *owner);

#endif
