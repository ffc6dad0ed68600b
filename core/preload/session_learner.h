/**
 * Sessions, as a program's responses name them: Engine.IO's sid, and whatever cookies and headers `--learn` names. Pure
 * functions over bytes. A response is the program's word, but a client may have put words into it:
 *
 *   - A sid is learnt only where a body begins with an open packet, in answer to a request that asks for a session.
 *   - A cookie or header is learnt only if the request did not carry the same value, in a cookie, header or parameter of
 *     that name, or of the name that requests have for it: what is merely repeated is no session that was opened here.
 */
#ifndef LP_PRELOAD_SESSION_LEARNER_H
#define LP_PRELOAD_SESSION_LEARNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "preload/http_request.h"

/** Things that --learn can name, at most. */
#define LP_LEARN_MAX 8

/** Bytes of a name in --learn. */
#define LP_LEARN_NAME_MAX 64

/** Values of a request that are remembered; of one that carries more, no answer is learnt from. */
#define LP_CARRIED_MAX 7

struct lp_session_learner_rule {
	bool is_cookie;                      /**< Else a header. */
	char name[LP_LEARN_NAME_MAX + 1];    /**< In responses. */
	char carried[LP_LEARN_NAME_MAX + 1]; /**< In requests: a cookie, header or parameter. "": `name`. */
};

struct lp_session_learner {
	struct lp_session_learner_rule rules[LP_LEARN_MAX];
	unsigned count;
};

/** Hashes of the values that a request carried. All zero: none. */
struct lp_carried {
	uint64_t hashes[LP_CARRIED_MAX];
	uint32_t count; /**< LP_CARRIED_MAX + 1: more. */
};

/** Runs for a session's key: 1 to 1024 bytes without blanks and control characters. */
typedef void (*lp_session_learner_cb)(struct lp_slice key);

/**
 * Read the rules.
 *
 * @param learn  Filled.
 * @param text   "cookie:JSESSIONID,header:X-Session=token"; NULL or "" for none. What is no rule is passed over: limpet has
 *               checked the text already.
 */
void lp_session_learner_init(struct lp_session_learner *learn, const char *text);

/**
 * Note what a request carries.
 *
 * @param learn    The rules.
 * @param request  Its head.
 * @param carried  Filled.
 */
void lp_session_learner_carried(const struct lp_session_learner *learn, const struct lp_http_request *request,
				struct lp_carried *carried);

/**
 * Learn from a header of a response.
 *
 * @param learn    The rules.
 * @param line     The header's line, without its end.
 * @param carried  By the request.
 *
 * @return The key, inside line; or absent.
 */
struct lp_slice lp_session_learner_header(const struct lp_session_learner *learn, struct lp_slice line,
					  const struct lp_carried *carried);

/** What the beginning of a body tells. */
enum lp_session_learner_open {
	LP_OPEN_NONE, /**< It is no open packet. */
	LP_OPEN_MORE, /**< More bytes will tell. */
	LP_OPEN_KEY,  /**< It is one. */
};

/**
 * Learn from the beginning of a body that answers a request for a session: an open packet of Engine.IO, as it is, or as
 * JSONP, or with the length before it that version 3 writes.
 *
 * @param body  From its first byte.
 * @param key   Set on KEY; inside body.
 */
enum lp_session_learner_open lp_session_learner_open(struct lp_slice body, struct lp_slice *key);

#endif
