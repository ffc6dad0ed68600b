/**
 * A run of bytes that somebody else owns: a field of a request head in the peek buffer, a key of a policy. Never
 * NUL-terminated. A slice whose `bytes` is NULL is "absent", which differs from an empty one.
 */
#ifndef LP_BASE_SLICE_H
#define LP_BASE_SLICE_H

#include <stddef.h>

struct lp_slice {
	const char *bytes;
	size_t length;
};

/** A slice over a string literal. */
#define LP_SLICE(literal) ((struct lp_slice){.bytes = (literal), .length = sizeof(literal) - 1})

/** For printf's "%.*s". */
#define LP_SLICE_ARG(slice) (int)(slice).length, (slice).bytes

#endif
