/**
 * "Did you mean …?": the name, of those that exist, that a person most likely meant.
 */
#ifndef LP_BASE_DID_YOU_MEAN_H
#define LP_BASE_DID_YOU_MEAN_H

#include <stddef.h>

/** The best answer yet. Starts as {0}. */
struct lp_did_you_mean {
	const char *name; /**< NULL while none is near. Borrowed, as it was considered. */
	size_t distance;
};

/**
 * Consider one more name.
 *
 * Near is a name of which at most a third of the letters are wrong, or one that text is the beginning of. Of equally
 * near names the one considered first stays.
 *
 * @param nearest  Borrowed.
 * @param text     What was written.
 * @param name     What exists; up to 31 bytes, a longer one is near only if text is its beginning. Borrowed as long as
 *                 nearest is used.
 */
void lp_did_you_mean_consider(struct lp_did_you_mean *nearest, const char *text, const char *name);

#endif
