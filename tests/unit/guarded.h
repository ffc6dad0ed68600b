/**
 * Memory that ends at a page nobody may touch, so that a parser's read past its input faults.
 */
#ifndef LP_TESTS_GUARDED_H
#define LP_TESTS_GUARDED_H

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guarded {
	char *map;
	size_t size; /* Readable and writable; the guard page lies behind. */
};

/** Map memory for inputs of up to max_length bytes. For guarded_deinit. */
static inline int guarded_init(struct guarded *guarded, size_t max_length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	guarded->size = (max_length + page) / page * page;
	guarded->map = mmap(NULL, guarded->size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guarded->map == MAP_FAILED)
		return -1;
	return mprotect(guarded->map + guarded->size, page, PROT_NONE);
}

static inline void guarded_deinit(struct guarded *guarded)
{
	munmap(guarded->map, guarded->size + (size_t)sysconf(_SC_PAGESIZE));
}

/** Put a copy of bytes right before the guard page. Good until the next put. */
static inline char *guarded_put(struct guarded *guarded, const void *bytes, size_t length)
{
	return memcpy(guarded->map + guarded->size - length, bytes, length);
}

#endif
