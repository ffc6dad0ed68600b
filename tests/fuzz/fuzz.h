/**
 * What the fuzz targets share.
 *
 * A target is a program around LLVMFuzzerTestOneInput. Its inputs are plain: a request head is a request head. Where an
 * input has to arrive in pieces, the cuts come from a hash of it, so that every input always runs the same way.
 */
#ifndef LP_TESTS_FUZZ_H
#define LP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/** Something that has to hold of every input. */
#define FUZZ_CHECK(holds)                                                                                              \
	do {                                                                                                           \
		if (!(holds)) {                                                                                        \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);                     \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#define FUZZ_HASH_EMPTY 0xcbf29ce484222325u

/** FNV-1a: go on from hash, FUZZ_HASH_EMPTY at first, with these bytes. */
static inline uint64_t fuzz_hash(uint64_t hash, const void *bytes, size_t length)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}

/** Random numbers that an input determines. */
struct fuzz_random {
	uint64_t state;
};

static inline struct fuzz_random fuzz_random_from(const void *bytes, size_t length)
{
	return (struct fuzz_random){fuzz_hash(FUZZ_HASH_EMPTY, bytes, length) | 1};
}

/** A number from 0 to below - 1. */
static inline size_t fuzz_random_below(struct fuzz_random *random, size_t below)
{
	random->state ^= random->state << 13;
	random->state ^= random->state >> 7;
	random->state ^= random->state << 17;
	return (size_t)(random->state >> 11) % below;
}

/** How long the next piece is, of so many bytes that are left, 1 or more: mostly short, now and then long. */
static inline size_t fuzz_piece(struct fuzz_random *random, size_t left)
{
	size_t most = fuzz_random_below(random, 4) ? 16 : left;

	return 1 + fuzz_random_below(random, most < left ? most : left);
}

/** A copy of bytes as a string, for free(). */
static inline char *fuzz_text(const void *bytes, size_t length)
{
	char *text = malloc(length + 1);

	FUZZ_CHECK(text);
	if (length > 0)
		memcpy(text, bytes, length);
	text[length] = '\0';
	return text;
}

/** Both absent, or the same bytes. */
static inline int fuzz_same(struct lp_slice a, struct lp_slice b)
{
	return !a.bytes == !b.bytes && a.length == b.length &&
	       (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

#endif
