/**
 * Decisions as JSON, for the control socket: a search, and what has ended since.
 */
#ifndef LP_ADMIN_DECISIONS_TEXT_H
#define LP_ADMIN_DECISIONS_TEXT_H

#include "admin/decisions.h"

/** Records in one answer, at most. Writing them takes about a millisecond. */
#define LP_DECISIONS_ANSWERED 500

/** What an answer is made of. */
struct lp_decisions_question {
	const struct lp_decisions *decisions;
	unsigned count;     /**< Records at most; 1 – LP_DECISIONS_ANSWERED. */
	bool reveal;        /**< Whether session ids and queries are shown as they are. */
	const char *wanted; /**< A search: an address, with or without a port, a session or its hash, "#" and a record's
				   number; "": the last ones. */
	uint64_t after;     /**< Following: the last end that was reported, 0 at first. UINT64_MAX: only what comes. */
};

/** Which of the last connections match, the oldest first. @param question Borrowed. @return JSON for free(), or NULL when out of memory. */
char *lp_decisions_search(const struct lp_decisions_question *question);

/**
 * What has ended after an end, in that order.
 *
 * @param question  Borrowed.
 *
 * @return JSON for free(), or NULL when out of memory: "decisions"; "next", the end to ask after; "missed", how many ended in
 *         between and are overwritten.
 */
char *lp_decisions_follow(const struct lp_decisions_question *question);

#endif
