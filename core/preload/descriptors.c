/*
 * The table is as large as it can become; the kernel gives memory to the pages that are touched.
 */
#include "preload/descriptors.h"

#include <string.h>

struct lp_descriptor lp_descriptors[LP_DESCRIPTORS_MAX];

static _Atomic int end;

void lp_descriptor_set(int fd, const struct lp_descriptor *descriptor)
{
	int before = end;
	while (fd >= before &&
	       !__atomic_compare_exchange_n((int *)&end, &before, fd + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	lp_descriptors[fd] = *descriptor;
}

int lp_descriptors_end(void)
{
	return end;
}

void lp_descriptor_forget(int fd)
{
	if (lp_descriptor_kind(fd) != LP_OTHER)
		memset(&lp_descriptors[fd], 0, sizeof(lp_descriptors[fd]));
}
