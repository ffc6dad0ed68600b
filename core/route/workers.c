/*
 * The table of workers, and choosing from it.
 *
 * Every choice walks the slots: there are few, 32 bytes each, so that 64 workers are 2 KiB of cache, and a walk costs
 * less than keeping an order that every opened and closed connection would change. Slots are never sorted or moved: the
 * id is the place.
 *
 * For rendezvous hashing each slot bids for the key (lp_hash_weight) and the highest bid of a usable one wins. Nothing
 * is remembered between calls, so there is no ring to rebuild when a worker dies or returns.
 */
#include "route/workers.h"

#include <errno.h>
#include <stdlib.h>

#include "route/hash.h"

int lp_workers_init(struct lp_workers *workers, unsigned count, uint64_t seed)
{
	uint64_t random = lp_hash_weight(seed, 1);

	*workers = (struct lp_workers){.count = count, .address = LP_WORKERS_ANYWHERE, .random = random ? random : 1};
	workers->slots = calloc(count, sizeof(*workers->slots));
	if (!workers->slots)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		workers->slots[i].id = i + 1;
	return 0;
}

void lp_workers_deinit(struct lp_workers *workers)
{
	free(workers->slots);
	*workers = (struct lp_workers){0};
}

struct lp_worker *lp_workers_find(const struct lp_workers *workers, unsigned id)
{
	return id >= 1 && id <= workers->count ? &workers->slots[id - 1] : NULL;
}

static void update_usable(struct lp_workers *workers, struct lp_worker *worker)
{
	bool listens = workers->address < 0 || !worker->claims || worker->listens >> workers->address & 1;
	bool usable = worker->takes && listens && !worker->draining;

	worker->keeps = worker->takes && listens && worker->draining;
	if (worker->usable == usable)
		return;
	worker->usable = usable;
	workers->generation++;
	if (usable)
		workers->usable_count++;
	else
		workers->usable_count--;
}

/* Workers mostly listen at the same addresses; then nobody ever has to look at them one by one. */
static void update_mixed(struct lp_workers *workers)
{
	uint32_t everywhere = UINT32_MAX;

	workers->claimed = 0;
	for (unsigned i = 0; i < workers->count; i++) {
		const struct lp_worker *worker = &workers->slots[i];

		workers->claimed |= worker->claims;
		if (worker->takes && worker->claims)
			everywhere &= worker->listens;
	}
	workers->mixed = workers->claimed & ~everywhere;
}

void lp_workers_set_usable(struct lp_workers *workers, unsigned id, bool usable)
{
	struct lp_worker *worker = &workers->slots[id - 1];

	if (worker->takes == usable)
		return;
	worker->takes = usable;
	update_usable(workers, worker);
	if (workers->claimed)
		update_mixed(workers);
}

void lp_workers_set_draining(struct lp_workers *workers, unsigned id, bool draining)
{
	workers->slots[id - 1].draining = draining;
	update_usable(workers, &workers->slots[id - 1]);
}

void lp_workers_set_listens(struct lp_workers *workers, unsigned id, uint64_t address, bool listens)
{
	struct lp_worker *worker = &workers->slots[id - 1];

	if (address >= LP_WORKERS_ADDRESSES)
		return;
	if (listens)
		worker->listens |= UINT32_C(1) << address;
	else
		worker->listens &= ~(UINT32_C(1) << address);
	worker->claims |= UINT32_C(1) << address;
	update_usable(workers, worker);
	update_mixed(workers);
}

void lp_workers_forget_listens(struct lp_workers *workers, unsigned id, bool gone)
{
	workers->slots[id - 1].listens = 0;
	if (gone)
		workers->slots[id - 1].claims = 0;
	update_mixed(workers);
}

void lp_workers_set_address(struct lp_workers *workers, int address)
{
	bool is_mixed = address >= 0 && address < LP_WORKERS_ADDRESSES && workers->mixed >> address & 1;
	int now = is_mixed ? address : LP_WORKERS_ANYWHERE;

	if (now == workers->address)
		return;
	workers->address = now;
	for (unsigned i = 0; i < workers->count; i++)
		update_usable(workers, &workers->slots[i]);
}

unsigned lp_workers_hash(const struct lp_workers *workers, struct lp_slice key)
{
	uint64_t hash = lp_hash(key, 0);
	uint64_t highest = 0;
	unsigned winner = 0;

	for (unsigned id = 1; id <= workers->count; id++) {
		uint64_t weight = lp_hash_weight(hash, id);

		if (workers->slots[id - 1].usable && (weight > highest || !winner)) {
			highest = weight;
			winner = id;
		}
	}
	return winner;
}

static uint32_t load_of(const struct lp_worker *worker, enum lp_workers_measure measure)
{
	switch (measure) {
	case LP_LEAST_SESSIONS:
		return worker->sessions;
	case LP_LEAST_WAITING:
		return worker->waiting;
	case LP_LEAST_CONNECTIONS:
		break;
	}
	return worker->connections;
}

/* Whether a has less than b; ties go on to the other load, so that a new session goes where there are few. */
static bool is_less(const struct lp_worker *a, const struct lp_worker *b, enum lp_workers_measure measure)
{
	uint32_t of_a = load_of(a, measure);
	uint32_t of_b = load_of(b, measure);

	if (of_a != of_b)
		return of_a < of_b;
	if (measure == LP_LEAST_CONNECTIONS)
		return a->sessions < b->sessions;
	return a->connections < b->connections;
}

/* The walk begins after the worker chosen last and only a smaller load replaces a candidate, so equals take turns. */
unsigned lp_workers_least_except(struct lp_workers *workers, enum lp_workers_measure measure, unsigned but)
{
	const struct lp_worker *least = NULL;
	unsigned i = workers->last_least;

	for (unsigned step = 0; step < workers->count; step++) {
		const struct lp_worker *worker = &workers->slots[i < workers->count ? i : 0];

		i = worker->id;
		if (worker->usable && worker->id != but && (!least || is_less(worker, least, measure)))
			least = worker;
	}
	if (!least)
		return 0;
	return workers->last_least = least->id;
}

unsigned lp_workers_least(struct lp_workers *workers, enum lp_workers_measure measure)
{
	return lp_workers_least_except(workers, measure, 0);
}

unsigned lp_workers_next(struct lp_workers *workers)
{
	for (unsigned step = 0; step < workers->count; step++) {
		unsigned i = (workers->last + step) % workers->count;

		if (workers->slots[i].usable)
			return workers->last = i + 1;
	}
	return 0;
}

/* xorshift64*: 64 bits, from a state that runs through every number but 0. */
static uint64_t draw_random(struct lp_workers *workers)
{
	uint64_t x = workers->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	workers->random = x;
	return x * 0x2545f4914f6cdd1du;
}

/* A number below a bound, each equally likely: the draws that would favour some are thrown away (Lemire). */
static unsigned draw_below(struct lp_workers *workers, unsigned bound)
{
	uint64_t surplus = -(uint64_t)bound % bound;
	unsigned __int128 product;

	do
		product = (unsigned __int128)draw_random(workers) * bound;
	while ((uint64_t)product < surplus);
	return (unsigned)(product >> 64);
}

unsigned lp_workers_random(struct lp_workers *workers)
{
	if (workers->usable_count == 0)
		return 0;
	unsigned skip = draw_below(workers, workers->usable_count);
	const struct lp_worker *worker = workers->slots;

	while (!worker->usable || skip-- > 0)
		worker++;
	return worker->id;
}
