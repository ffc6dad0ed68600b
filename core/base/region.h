/**
 * A region: memory that is given out from its beginning on, never back, and goes as a whole.
 *
 * What lies in it may point into it, and keeps its address for as long as the region lives. It grows block by block,
 * outside of the heap.
 */
#ifndef LP_BASE_REGION_H
#define LP_BASE_REGION_H

#include <stddef.h>

/** What lp_region_take rounds up to. */
#define LP_REGION_ALIGNMENT 64

/** Bytes that are mapped at a time; more for somebody who takes more at once. */
#define LP_REGION_BLOCK ((size_t)64 << 10)

struct lp_region_block;

/** The owner's memory; all zero is an empty region. */
struct lp_region {
	struct lp_region_block *blocks; /**< The latest first. */
	size_t used;                    /**< Bytes of the latest. */
};

/**
 * Take memory.
 *
 * @param region  Borrowed.
 * @param bytes   1 or more.
 *
 * @return Zeroed and aligned; valid until the region is closed. NULL when no more can be mapped.
 */
void *lp_region_take(struct lp_region *region, size_t bytes);

/** Unmap all blocks. @param region Empty afterwards, and usable again. */
void lp_region_close(struct lp_region *region);

#endif
