/**
 * Arenas: memory for one Lua state, with a cap, that can be thrown away whole.
 *
 * An arena is one address reservation. The kernel gives pages when they are first touched, and freeing the arena is one
 * munmap, whatever state the memory is in: nothing of it is looked at. So a Lua state that was stopped in the middle of
 * anything, its allocator included, is freed by freeing its arena.
 *
 * Not for several threads. What is allocated takes part in nothing outside: no malloc, no lock, no system call.
 */
#ifndef LP_POLICY_ARENA_H
#define LP_POLICY_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct lp_arena;

/** The least cap that an arena can have: enough for itself and little else. */
#define LP_ARENA_BYTES_MIN ((size_t)64 << 10)

/** The largest: 32 GiB. */
#define LP_ARENA_BYTES_MAX ((size_t)32 << 30)

/**
 * Reserve an arena.
 *
 * @param bytes  The cap on all that is allocated, its own book-keeping included. LP_ARENA_BYTES_MIN –
 *               LP_ARENA_BYTES_MAX; made whole pages.
 *
 * @return For lp_arena_free, or NULL if there is not enough address space.
 */
struct lp_arena *lp_arena_new(size_t bytes);

/** Free an arena and all that was allocated from it, at any moment. @param arena NULL is allowed. */
void lp_arena_free(struct lp_arena *arena);

/**
 * Allocate, grow, shrink or free; as lua_Alloc says.
 *
 * @param arena     Borrowed.
 * @param block     From this function, or NULL.
 * @param old_size  Exactly the size that was asked for when block was made; not read with a NULL block.
 * @param size      Bytes wanted; 0 frees block.
 *
 * @return Aligned to 16 bytes; NULL when size is 0, or at the cap with block unchanged.
 */
void *lp_arena_allocate(struct lp_arena *arena, void *block, size_t old_size, size_t size);

/** Bytes in use, as they count against the cap: what is kept for small blocks counts until the end. @param arena Borrowed. */
size_t lp_arena_used(const struct lp_arena *arena);

/** The cap, in whole pages. @param arena Borrowed. */
size_t lp_arena_size(const struct lp_arena *arena);

/** How often an allocation was refused at the cap. @param arena Borrowed. */
uint64_t lp_arena_refusals(const struct lp_arena *arena);

#endif
