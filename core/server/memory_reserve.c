/*
 * An arena, whose blocks know their sizes by a header. A block's address tells whether it is of the arena, and it stays
 * there until it is freed or grows.
 *
 * Allocators are functions without an owner, and so this is global: one arena, under a lock, since libraries may free in
 * another thread than they allocate in.
 */
#include "server/memory_reserve.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/arena.h"

struct block {
	alignas(max_align_t) size_t size; /* Of the whole. */
	alignas(max_align_t) char bytes[];
};

static struct {
	pthread_mutex_t lock;
	struct lp_arena *arena;
	size_t used;
} reserve = {.lock = PTHREAD_MUTEX_INITIALIZER};

int lp_memory_reserve_open(void)
{
	if (!reserve.arena)
		reserve.arena = lp_arena_new(LP_MEMORY_RESERVE_BYTES);
	return reserve.arena ? 0 : -ENOMEM;
}

static bool is_ours(const void *bytes)
{
	const char *begin = (const char *)reserve.arena;
	return begin && (const char *)bytes >= begin && (const char *)bytes < begin + lp_arena_size(reserve.arena);
}

static struct block *block_of(void *bytes)
{
	return (struct block *)((char *)bytes - offsetof(struct block, bytes));
}

static void *take_from_reserve(size_t size)
{
	size_t whole = sizeof(struct block) + size;
	if (!reserve.arena || whole < size)
		return NULL;
	pthread_mutex_lock(&reserve.lock);
	struct block *block = lp_arena_allocate(reserve.arena, NULL, 0, whole);
	if (block) {
		block->size = whole;
		reserve.used += whole;
	}
	pthread_mutex_unlock(&reserve.lock);
	return block ? block->bytes : NULL;
}

static void give_to_reserve(void *bytes)
{
	struct block *block = block_of(bytes);
	pthread_mutex_lock(&reserve.lock);
	reserve.used -= block->size;
	lp_arena_allocate(reserve.arena, block, block->size, 0);
	pthread_mutex_unlock(&reserve.lock);
}

void *lp_memory_reserve_malloc(size_t size)
{
	void *bytes = malloc(size);
	return bytes ? bytes : take_from_reserve(size);
}

void *lp_memory_reserve_calloc(size_t count, size_t size)
{
	void *bytes = calloc(count, size);
	if (bytes || (size && count > (size_t)-1 / size))
		return bytes;
	bytes = take_from_reserve(count * size);
	return bytes ? memset(bytes, 0, count * size) : NULL;
}

static size_t usable_size(void *bytes)
{
	return is_ours(bytes) ? block_of(bytes)->size - sizeof(struct block) : malloc_usable_size(bytes);
}

void *lp_memory_reserve_realloc(void *bytes, size_t size)
{
	if (!bytes)
		return lp_memory_reserve_malloc(size);
	if (!size) {
		lp_memory_reserve_free(bytes);
		return NULL;
	}
	void *moved = is_ours(bytes) ? malloc(size) : realloc(bytes, size);
	if (moved && !is_ours(bytes)) /* NOLINT(clang-analyzer-unix.Malloc): its place is asked, not what is there. */
		return moved;
	if (!moved)
		moved = take_from_reserve(size);
	if (!moved)
		return NULL;
	size_t had = usable_size(bytes);
	memcpy(moved, bytes, had < size ? had : size);
	lp_memory_reserve_free(bytes);
	return moved;
}

void lp_memory_reserve_free(void *bytes)
{
	if (is_ours(bytes))
		give_to_reserve(bytes);
	else
		free(bytes);
}

size_t lp_memory_reserve_used(void)
{
	return reserve.used;
}
