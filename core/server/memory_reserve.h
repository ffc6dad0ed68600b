/**
 * Memory set aside for the libraries that cannot take no for an answer: libuv ends the process when its table of
 * descriptors cannot grow, and jansson reads and writes other JSON than there is. While there is memory they have the C
 * library's, else this.
 *
 * The allocator of a process, so for programs alone: who embeds a balancer decides for himself.
 */
#ifndef LP_SERVER_MEMORY_RESERVE_H
#define LP_SERVER_MEMORY_RESERVE_H

#include <stddef.h>

/** For what is small and soon given back, and the table for 50,000 descriptors. Costs address space until it is used. */
#define LP_MEMORY_RESERVE_BYTES ((size_t)2 << 20)

/** Set it aside, before any of the others is called. @return 0; or -ENOMEM, and the others do without. */
int lp_memory_reserve_open(void);

/** As malloc. @param size Bytes. @return For lp_memory_reserve_free, or NULL when the reserve is used up too. */
void *lp_memory_reserve_malloc(size_t size);

/** As calloc. @param count How many. @param size Bytes each. @return As lp_memory_reserve_malloc. */
void *lp_memory_reserve_calloc(size_t count, size_t size);

/** As realloc. @param bytes From here, or NULL. @param size Bytes; 0 frees. @return As lp_memory_reserve_malloc. */
void *lp_memory_reserve_realloc(void *bytes, size_t size);

/** As free. @param bytes From here, or NULL. */
void lp_memory_reserve_free(void *bytes);

/** Bytes of it that are in use. */
size_t lp_memory_reserve_used(void);

#endif
