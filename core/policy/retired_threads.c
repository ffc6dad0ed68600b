/*
 * A handful, oldest first: a reload retires two, and by the next one they have mostly ended.
 */
#include "policy/retired_threads.h"

#include <string.h>

static void take_out(struct lp_retired_threads *retired, unsigned index)
{
	retired->count--;
	memmove(&retired->threads[index], &retired->threads[index + 1],
		(retired->count - index) * sizeof(retired->threads[0]));
}

void lp_retired_threads_add(struct lp_retired_threads *retired, pthread_t thread)
{
	for (unsigned i = retired->count; i > 0; i--)
		if (pthread_tryjoin_np(retired->threads[i - 1], NULL) == 0)
			take_out(retired, i - 1);
	if (retired->count == LP_RETIRED_THREADS_MAX) {
		pthread_join(retired->threads[0], NULL);
		take_out(retired, 0);
	}
	retired->threads[retired->count++] = thread;
}

void lp_retired_threads_join(struct lp_retired_threads *retired)
{
	while (retired->count)
		pthread_join(retired->threads[--retired->count], NULL);
}
