/*
 * Rendezvous hashing with a bound on the load ("consistent hashing with bounded loads", Mirrokni and others): the highest
 * bid wins among the workers that are not too full. Those left out are only passed over, so a key comes home as soon as
 * its worker has room again.
 *
 * The mean is taken one higher than it is. Otherwise the first few connections of an idle balancer would be spread like
 * a flood, and one browser with its two or three connections would meet a worker with each.
 */
#include "route/hash.h"
#include "route/workers.h"

unsigned lp_workers_bounded_hash(const struct lp_workers *workers, struct lp_slice key, double load)
{
	uint64_t hash = lp_hash(key, 0);
	uint64_t highest = 0;
	uint64_t total = 0;
	unsigned winner = 0;
	double bound;

	if (workers->usable_count == 0)
		return 0;
	for (unsigned i = 0; i < workers->count; i++)
		if (workers->slots[i].usable)
			total += workers->slots[i].connections;
	bound = load * ((double)total / workers->usable_count + 1);

	for (unsigned id = 1; id <= workers->count; id++) {
		const struct lp_worker *worker = &workers->slots[id - 1];
		uint64_t weight;

		if (!worker->usable || worker->connections > bound)
			continue;
		weight = lp_hash_weight(hash, id);
		if (weight > highest || !winner) {
			highest = weight;
			winner = id;
		}
	}
	return winner;
}
