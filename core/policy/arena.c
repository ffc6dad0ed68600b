/*
 * Two allocators, one on the other.
 *
 * Large blocks (two-level segregated fit): the arena is a row of blocks without gaps. Each begins with a header that
 * knows its length and that of the block before, so that a freed one is joined with free neighbours at once. Free blocks
 * hang in lists by length, eight lists for each power of two, and a bitmap says which lists have any: finding, splitting
 * and joining take constant time. A buffer that doubles grows in place when the block after it is free.
 *
 * Small blocks, up to SMALL_MAX bytes, are most of what Lua asks for. They have no header: Lua tells the size when it
 * frees. Each size, in steps of 16, has a list of free ones, filled by cutting up a large block. Those are not given back
 * to the large ones; a state that once had many small things keeps room for as many.
 *
 * The book-keeping lies at the start of the arena itself, so that nothing is left when the arena is unmapped. Lengths are
 * counted in units of 16 bytes and fit 31 bits.
 */
#include "policy/arena.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNIT ((size_t)16)
#define SMALL_MAX 512u
#define SMALL_CLASSES (SMALL_MAX / UNIT)

/* Cut up at a time: a page, less the header of the large block that it is. */
#define SLAB_BYTES (4096u - UNIT)

/* Lengths below LINEAR units have a list each; above, each power of two has SPLITS. */
#define LINEAR 16u
#define SPLIT_BITS 3u
#define SPLITS (1u << SPLIT_BITS)
#define BINS (LINEAR + (31u - 4u) * SPLITS)
#define WORDS ((BINS + 63) / 64)

/* A large block's header; the links are there while it is free, in what is the caller's otherwise. */
struct block {
	uint32_t units;        /* Its length, header included. 0: the end of the arena. */
	uint32_t units_before; /* The length of the block before; 0: the first. */
	bool is_free;
	_Alignas(UNIT) struct block *next;
	struct block *previous;
};

#define HEADER_BYTES offsetof(struct block, next)

/* A small one, while it is free. */
struct small {
	struct small *next;
};

struct lp_arena {
	size_t bytes;
	size_t used;
	uint64_t refusals;
	uint64_t filled[WORDS]; /* Which bins have blocks. */
	struct block *bins[BINS];
	struct small *small[SMALL_CLASSES];
};

_Static_assert(HEADER_BYTES == UNIT, "a header is one unit, so that what follows is aligned");
_Static_assert(sizeof(struct block) == 2 * UNIT, "the shortest free block is two units");
_Static_assert(LP_ARENA_BYTES_MAX / UNIT <= (size_t)1 << 31, "lengths fit their type");

static unsigned log2_of(uint32_t units)
{
	return 31u - (unsigned)__builtin_clz(units);
}

/* The list on which a block of that length hangs. */
static unsigned bin_of(uint32_t units)
{
	unsigned power;

	if (units < LINEAR)
		return units;
	power = log2_of(units);
	return LINEAR + (power - 4) * SPLITS + ((units >> (power - SPLIT_BITS)) & (SPLITS - 1));
}

/* The first list all of whose blocks are at least that long. */
static unsigned bin_for(uint32_t units)
{
	if (units < LINEAR)
		return units;
	return bin_of(units + (1u << (log2_of(units) - SPLIT_BITS)) - 1);
}

static struct block *block_after(struct block *block)
{
	return (struct block *)((char *)block + (size_t)block->units * UNIT);
}

static struct block *block_before(struct block *block)
{
	return (struct block *)((char *)block - (size_t)block->units_before * UNIT);
}

static struct block *block_of(void *memory)
{
	return (struct block *)((char *)memory - HEADER_BYTES);
}

static void *memory_of(struct block *block)
{
	return (char *)block + HEADER_BYTES;
}

static void link_free_block(struct lp_arena *arena, struct block *block)
{
	unsigned bin = bin_of(block->units);

	block->is_free = true;
	block->previous = NULL;
	block->next = arena->bins[bin];
	if (block->next)
		block->next->previous = block;
	arena->bins[bin] = block;
	arena->filled[bin / 64] |= (uint64_t)1 << bin % 64;
}

static void unlink_free_block(struct lp_arena *arena, struct block *block)
{
	unsigned bin = bin_of(block->units);

	block->is_free = false;
	if (block->next)
		block->next->previous = block->previous;
	if (block->previous) {
		block->previous->next = block->next;
		return;
	}
	arena->bins[bin] = block->next;
	if (!block->next)
		arena->filled[bin / 64] &= ~((uint64_t)1 << bin % 64);
}

static struct block *find_free(const struct lp_arena *arena, uint32_t units)
{
	unsigned bin = bin_for(units);
	uint64_t filled = arena->filled[bin / 64] & ~(uint64_t)0 << bin % 64;

	for (unsigned word = bin / 64;;) {
		if (filled)
			return arena->bins[word * 64 + (unsigned)__builtin_ctzll(filled)];
		if (++word == WORDS)
			break;
		filled = arena->filled[word];
	}
	/* Near the cap: one that fits may hang among others that do not. */
	for (struct block *block = arena->bins[bin_of(units)]; block; block = block->next)
		if (block->units >= units)
			return block;
	return NULL;
}

/* Free what a block in use has after its first `units`. */
static void free_rest_of_block(struct lp_arena *arena, struct block *block, uint32_t units)
{
	struct block *rest;

	if (block->units - units < sizeof(struct block) / UNIT)
		return;
	rest = (struct block *)((char *)block + (size_t)units * UNIT);
	rest->units = block->units - units;
	rest->units_before = units;
	block->units = units;
	if (block_after(rest)->is_free) {
		unlink_free_block(arena, block_after(rest));
		rest->units += block_after(rest)->units;
	}
	block_after(rest)->units_before = rest->units;
	link_free_block(arena, rest);
}

/* 0 for a size that no arena has. */
static uint32_t units_for(size_t size)
{
	return size > LP_ARENA_BYTES_MAX - 2 * UNIT ? 0 : (uint32_t)((size + HEADER_BYTES + UNIT - 1) / UNIT);
}

static void *take_large(struct lp_arena *arena, size_t size)
{
	uint32_t units = units_for(size);
	struct block *block = units ? find_free(arena, units) : NULL;

	if (!block)
		return NULL;
	unlink_free_block(arena, block);
	free_rest_of_block(arena, block, units);
	arena->used += (size_t)block->units * UNIT;
	return memory_of(block);
}

static void give_large(struct lp_arena *arena, void *memory)
{
	struct block *block = block_of(memory);

	arena->used -= (size_t)block->units * UNIT;
	if (block_after(block)->is_free) {
		unlink_free_block(arena, block_after(block));
		block->units += block_after(block)->units;
	}
	if (block->units_before && block_before(block)->is_free) {
		unlink_free_block(arena, block_before(block));
		block_before(block)->units += block->units;
		block = block_before(block);
	}
	block_after(block)->units_before = block->units;
	link_free_block(arena, block);
}

/* Grow or shrink where it is; false when there is no room. */
static bool resize_large(struct lp_arena *arena, void *memory, size_t size)
{
	struct block *block = block_of(memory);
	uint32_t units = units_for(size);
	uint32_t had = block->units;

	if (units == 0)
		return false;
	if (units > had) {
		struct block *next = block_after(block);

		if (!next->is_free || had + next->units < units)
			return false;
		unlink_free_block(arena, next);
		block->units += next->units;
		block_after(block)->units_before = block->units;
	}
	free_rest_of_block(arena, block, units);
	arena->used = arena->used - (size_t)had * UNIT + (size_t)block->units * UNIT;
	return true;
}

static unsigned class_of(size_t size)
{
	return (unsigned)((size - 1) / UNIT);
}

/* Cut a large block up into small ones of a class. */
static bool fill_class(struct lp_arena *arena, unsigned class)
{
	size_t size = (size_t)(class + 1) * UNIT;
	char *slab = take_large(arena, SLAB_BYTES);

	if (!slab)
		return false;
	for (size_t at = SLAB_BYTES / size * size; at > 0; at -= size) {
		struct small *small = (struct small *)(slab + at - size);

		small->next = arena->small[class];
		arena->small[class] = small;
	}
	return true;
}

static void *allocate_memory(struct lp_arena *arena, size_t size)
{
	unsigned class = class_of(size);
	struct small *small;

	if (size > SMALL_MAX)
		return take_large(arena, size);
	if (!arena->small[class] && !fill_class(arena, class))
		return NULL;
	small = arena->small[class];
	arena->small[class] = small->next;
	return small;
}

static void free_memory(struct lp_arena *arena, void *memory, size_t size)
{
	struct small *small = memory;

	if (size > SMALL_MAX) {
		give_large(arena, memory);
		return;
	}
	small->next = arena->small[class_of(size)];
	arena->small[class_of(size)] = small;
}

void *lp_arena_allocate(struct lp_arena *arena, void *block, size_t old_size, size_t size)
{
	void *moved;

	if (!block || old_size == 0)
		old_size = 0;
	else if (size == 0)
		free_memory(arena, block, old_size);
	else if (old_size <= SMALL_MAX && size <= SMALL_MAX && class_of(old_size) == class_of(size))
		return block; /* NOLINT(bugprone-branch-clone): two ways to stay in place. */
	else if (old_size > SMALL_MAX && size > SMALL_MAX && resize_large(arena, block, size))
		return block;
	if (size == 0)
		return NULL;

	moved = allocate_memory(arena, size);
	if (!moved)
		arena->refusals++;
	if (moved && old_size) {
		memcpy(moved, block, old_size < size ? old_size : size);
		free_memory(arena, block, old_size);
	}
	return moved;
}

struct lp_arena *lp_arena_new(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t begin = (sizeof(struct lp_arena) + UNIT - 1) / UNIT * UNIT;
	struct lp_arena *arena;
	struct block *all;

	bytes = (bytes + page - 1) / page * page;
	if (bytes < LP_ARENA_BYTES_MIN || bytes > LP_ARENA_BYTES_MAX)
		return NULL;
	arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		return NULL;

	/* One free block, and the header of one without length that stands for the end. */
	arena->bytes = bytes;
	arena->used = begin + HEADER_BYTES;
	all = (struct block *)((char *)arena + begin);
	all->units = (uint32_t)((bytes - arena->used) / UNIT);
	block_after(all)->units_before = all->units;
	link_free_block(arena, all);
	return arena;
}

void lp_arena_free(struct lp_arena *arena)
{
	if (arena)
		munmap(arena, arena->bytes);
}

size_t lp_arena_used(const struct lp_arena *arena)
{
	return arena->used;
}

size_t lp_arena_size(const struct lp_arena *arena)
{
	return arena->bytes;
}

uint64_t lp_arena_refusals(const struct lp_arena *arena)
{
	return arena->refusals;
}
