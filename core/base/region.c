#include "base/region.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

struct lp_region_block {
	struct lp_region_block *next;
	size_t size;
};

_Static_assert(sizeof(struct lp_region_block) <= LP_REGION_ALIGNMENT, "a block's head takes the place of one unit");

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static bool add_block(struct lp_region *region, size_t bytes)
{
	size_t size = round_up(bytes + LP_REGION_ALIGNMENT, LP_REGION_BLOCK);
	struct lp_region_block *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		return false;
	*block = (struct lp_region_block){.next = region->blocks, .size = size};
	region->blocks = block;
	region->used = LP_REGION_ALIGNMENT;
	return true;
}

void *lp_region_take(struct lp_region *region, size_t bytes)
{
	if (bytes > SIZE_MAX / 2)
		return NULL;
	size_t rounded = round_up(bytes, LP_REGION_ALIGNMENT);
	if ((!region->blocks || rounded > region->blocks->size - region->used) && !add_block(region, rounded))
		return NULL;
	void *taken = (char *)region->blocks + region->used;
	region->used += rounded;
	return taken;
}

void lp_region_close(struct lp_region *region)
{
	while (region->blocks) {
		struct lp_region_block *block = region->blocks;
		region->blocks = block->next;
		munmap(block, block->size);
	}
	region->used = 0;
}
