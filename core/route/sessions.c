/*
 * Entries are numbered from 1 and live in pages that never move, taken one at a time as keys come: no copying, no
 * pause, however many there are. Everything that points to an entry is its 32-bit number:
 *
 *   index    an open-addressed hash table of {hash, number}, probed one place after another. It has two places for
 *            each key there may ever be, so it is never more than half full and never grows. calloc'd at once: a place
 *            nobody touched costs no memory. A place holds 32 bits of the hash, so a look-up reads entries only of
 *            keys that are almost surely the wanted one. Deleting moves the followers up: no tombstones, no slow
 *            decay.
 *   chains   through the entries: those that are bound, from the least to the most recently used; those of each worker;
 *            those that are dead, in the order of their deaths; and those that are free (by their `next` alone).
 *
 * Memory: 48 bytes an entry and 16 of index (8 a place, two of them), so 64, and one more for what the allocator rounds
 * a page up to, at most two: LP_SESSION_BYTES. A key longer than LP_SESSION_KEY_INLINE is also malloc'd. Pages are
 * kept until the table is freed. The index's share does not come key by key: keys are scattered over it, and each of
 * the first few thousand touches another of its memory pages, until all 16 bytes for each of `max` are there.
 *
 *   an entry is   | in the index | in `used` | in a worker's chain | in `dead` | in `spare`
 *   never taken   | no           | no        | no                  | no        | no          number > taken
 *   bound         | yes          | yes       | yes                 | no        | no
 *   dead          | yes          | no        | no                  | yes       | no          its worker is 0
 *   free          | no           | no        | no                  | no        | yes
 *
 * Limits: a worker's death walks its keys at once, some 0.2 µs each when there are many. 32 bits of hash spread over at
 * most 200,000,000 places leave only about 4 to tell neighbours apart there; that costs time, never a wrong answer.
 */
#include "route/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "route/hash.h"

enum { PAGE_ENTRIES = 4096 };

/* The chains an entry is in. Dead and free entries are chained by BY_USE. */
enum { BY_USE, BY_WORKER, CHAINS };

struct entry {
	union {
		char bytes[LP_SESSION_KEY_INLINE];
		char *longer; /* Owned; for length > LP_SESSION_KEY_INLINE. */
	} key;
	struct {
		uint32_t previous;
		uint32_t next;
	} links[CHAINS];
	uint32_t hash;
	uint16_t length;
	uint16_t worker;
};

struct place {
	uint32_t hash;
	uint32_t entry; /* 0: nothing here. */
};

struct chain {
	uint32_t first;
	uint32_t last;
};

struct lasting;

struct lp_sessions {
	struct lp_workers *workers;
	const struct lp_sessions *seen; /* A view's: whose keys it finds behind its own. Else NULL. */
	uint64_t seed;
	uint64_t evicted;
	uint32_t max;
	uint32_t count; /* Bound ones. */
	uint32_t dead_count;
	uint32_t taken; /* Entries 1 – taken are bound, dead or free. */
	uint32_t spare; /* The first free one. */
	uint32_t places;
	struct place *index;
	struct entry **pages;
	struct chain used;       /* From the least to the most recently. */
	struct chain dead;       /* The longest dead first. */
	struct chain *of_worker; /* By id - 1. */
	struct lasting *lasting; /* By number; NULL: nothing lasts. */
};

/* What lasts of a bound entry. Its worker is written last, and cleared first: 0: nothing is here. Number 0 is no entry: it has the
 * highest number there ever was. */
struct lasting {
	uint16_t worker;
	uint16_t length;
	union {
		uint32_t highest;
		char key[LP_SESSION_LASTING_BYTES - 2 * sizeof(uint16_t)];
	};
};

_Static_assert(sizeof(struct lasting) == LP_SESSION_LASTING_BYTES, "the header promises it");

_Static_assert(sizeof(struct entry) + 2 * sizeof(struct place) + 2 <= LP_SESSION_BYTES, "the header promises it");
_Static_assert(LP_SESSION_KEY_MAX <= UINT16_MAX, "a key's length fits its entry");

static struct entry *entry_of(const struct lp_sessions *sessions, uint32_t number)
{
	return &sessions->pages[(number - 1) / PAGE_ENTRIES][(number - 1) % PAGE_ENTRIES];
}

static const char *key_of(const struct entry *entry)
{
	return entry->length > LP_SESSION_KEY_INLINE ? entry->key.longer : entry->key.bytes;
}

/* Chains */

static inline void chain_append(struct lp_sessions *sessions, struct chain *chain, int kind, uint32_t number)
{
	struct entry *entry = entry_of(sessions, number);

	entry->links[kind].previous = chain->last;
	entry->links[kind].next = 0;
	if (chain->last)
		entry_of(sessions, chain->last)->links[kind].next = number;
	else
		chain->first = number;
	chain->last = number;
}

static inline void chain_remove(struct lp_sessions *sessions, struct chain *chain, int kind, uint32_t number)
{
	const struct entry *entry = entry_of(sessions, number);
	uint32_t previous = entry->links[kind].previous;
	uint32_t next = entry->links[kind].next;

	if (previous)
		entry_of(sessions, previous)->links[kind].next = next;
	else
		chain->first = next;
	if (next)
		entry_of(sessions, next)->links[kind].previous = previous;
	else
		chain->last = previous;
}

static void mark_used(struct lp_sessions *sessions, uint32_t number)
{
	if (sessions->used.last == number)
		return;
	chain_remove(sessions, &sessions->used, BY_USE, number);
	chain_append(sessions, &sessions->used, BY_USE, number);
}

/* A key that there is no room for does not last. */
static void store_worker(const struct lp_sessions *sessions, uint32_t number, uint16_t worker)
{
	const struct entry *entry = entry_of(sessions, number);
	struct lasting *kept = sessions->lasting ? &sessions->lasting[number] : NULL;
	if (!kept)
		return;
	if (number > sessions->lasting[0].highest)
		sessions->lasting[0].highest = number;
	kept->worker = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!worker || entry->length > sizeof(kept->key))
		return;
	kept->length = entry->length;
	memcpy(kept->key, key_of(entry), entry->length);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	kept->worker = worker;
}

static void join_worker(struct lp_sessions *sessions, uint32_t number, unsigned worker)
{
	entry_of(sessions, number)->worker = (uint16_t)worker;
	chain_append(sessions, &sessions->of_worker[worker - 1], BY_WORKER, number);
	sessions->workers->slots[worker - 1].sessions++;
	store_worker(sessions, number, (uint16_t)worker);
}

static void leave_worker(struct lp_sessions *sessions, uint32_t number)
{
	unsigned worker = entry_of(sessions, number)->worker;

	chain_remove(sessions, &sessions->of_worker[worker - 1], BY_WORKER, number);
	sessions->workers->slots[worker - 1].sessions--;
}

/* The index */

/* The hash's share of the range, not its rest: any number of places will do, and no division is needed. */
static uint32_t home_of(const struct lp_sessions *sessions, uint32_t hash)
{
	return (uint32_t)((uint64_t)hash * sessions->places >> 32);
}

static uint32_t place_after(const struct lp_sessions *sessions, uint32_t place)
{
	return place + 1 < sessions->places ? place + 1 : 0;
}

/* How many steps lead from one place to another. */
static uint32_t count_steps(const struct lp_sessions *sessions, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : sessions->places - from + to;
}

static uint32_t short_hash(const struct lp_sessions *sessions, struct lp_slice key)
{
	return (uint32_t)(lp_sessions_hash(sessions, key) >> 32);
}

static bool has_key(const struct entry *entry, struct lp_slice key)
{
	return entry->length == key.length && memcmp(key_of(entry), key.bytes, key.length) == 0;
}

/* The number of a key's entry, or 0. */
static uint32_t look_up(const struct lp_sessions *sessions, struct lp_slice key, uint32_t hash)
{
	uint32_t at = home_of(sessions, hash);

	for (; sessions->index[at].entry; at = place_after(sessions, at)) {
		struct place place = sessions->index[at];

		if (place.hash == hash && has_key(entry_of(sessions, place.entry), key))
			return place.entry;
	}
	return 0;
}

static void index_add(struct lp_sessions *sessions, uint32_t hash, uint32_t number)
{
	uint32_t at = home_of(sessions, hash);

	while (sessions->index[at].entry)
		at = place_after(sessions, at);
	sessions->index[at] = (struct place){.hash = hash, .entry = number};
}

/* Take an entry out, and move up whoever would no longer be found after the gap. */
static void index_remove(struct lp_sessions *sessions, uint32_t number)
{
	struct place *index = sessions->index;
	uint32_t gap = home_of(sessions, entry_of(sessions, number)->hash);

	while (index[gap].entry != number)
		gap = place_after(sessions, gap);
	for (uint32_t at = place_after(sessions, gap); index[at].entry; at = place_after(sessions, at)) {
		uint32_t home = home_of(sessions, index[at].hash);

		if (count_steps(sessions, home, at) < count_steps(sessions, gap, at))
			continue;
		index[gap] = index[at];
		gap = at;
	}
	index[gap].entry = 0;
}

/* Entries */

/* A bound entry's worker has ended. */
static void mark_dead(struct lp_sessions *sessions, uint32_t number)
{
	chain_remove(sessions, &sessions->used, BY_USE, number);
	leave_worker(sessions, number);
	store_worker(sessions, number, 0);
	entry_of(sessions, number)->worker = 0;
	chain_append(sessions, &sessions->dead, BY_USE, number);
	sessions->count--;
	sessions->dead_count++;
}

static void rebind_dead(struct lp_sessions *sessions, uint32_t number, unsigned worker)
{
	chain_remove(sessions, &sessions->dead, BY_USE, number);
	chain_append(sessions, &sessions->used, BY_USE, number);
	join_worker(sessions, number, worker);
	sessions->dead_count--;
	sessions->count++;
}

static void forget_entry(struct lp_sessions *sessions, uint32_t number)
{
	struct entry *entry = entry_of(sessions, number);

	if (entry->worker)
		mark_dead(sessions, number);
	index_remove(sessions, number);
	chain_remove(sessions, &sessions->dead, BY_USE, number);
	if (entry->length > LP_SESSION_KEY_INLINE)
		free(entry->key.longer);
	entry->links[BY_USE].next = sessions->spare;
	sessions->spare = number;
	sessions->dead_count--;
}

/* Have an entry to spare, be it the longest dead one's or the least recently used one's. Returns 0 or -ENOMEM. */
static int make_room(struct lp_sessions *sessions)
{
	uint32_t page = sessions->taken / PAGE_ENTRIES;
	uint32_t rest = sessions->max - page * PAGE_ENTRIES;

	if (sessions->spare)
		return 0;
	if (sessions->count + sessions->dead_count == sessions->max) {
		sessions->evicted += sessions->dead_count == 0;
		forget_entry(sessions, sessions->dead_count ? sessions->dead.first : sessions->used.first);
		return 0;
	}
	if (!sessions->pages[page]) {
		sessions->pages[page] = malloc((rest < PAGE_ENTRIES ? rest : PAGE_ENTRIES) * sizeof(struct entry));
		if (!sessions->pages[page])
			return -ENOMEM;
	}
	sessions->spare = ++sessions->taken;
	entry_of(sessions, sessions->spare)->links[BY_USE].next = 0;
	return 0;
}

static int add_entry(struct lp_sessions *sessions, struct lp_slice key, uint32_t hash, unsigned worker)
{
	char *longer = NULL;

	if (key.length > LP_SESSION_KEY_INLINE) {
		longer = malloc(key.length);
		if (!longer)
			return -ENOMEM;
	}
	if (make_room(sessions) != 0) {
		free(longer);
		return -ENOMEM;
	}

	uint32_t number = sessions->spare;
	struct entry *entry = entry_of(sessions, number);

	sessions->spare = entry->links[BY_USE].next;
	entry->hash = hash;
	entry->length = (uint16_t)key.length;
	if (longer)
		entry->key.longer = longer;
	memcpy(longer ? longer : entry->key.bytes, key.bytes, key.length);
	index_add(sessions, hash, number);
	chain_append(sessions, &sessions->used, BY_USE, number);
	join_worker(sessions, number, worker);
	sessions->count++;
	return 0;
}

/* The table */

struct lp_sessions *lp_sessions_new(uint32_t max, struct lp_workers *workers, uint64_t seed)
{
	struct lp_sessions *sessions = malloc(sizeof(*sessions));

	if (!sessions)
		return NULL;
	*sessions = (struct lp_sessions){.workers = workers, .seed = seed, .max = max, .places = 2 * max};
	sessions->index = calloc(sessions->places, sizeof(*sessions->index));
	sessions->pages = calloc((max - 1) / PAGE_ENTRIES + 1, sizeof(*sessions->pages));
	sessions->of_worker = calloc(workers->count, sizeof(*sessions->of_worker));
	if (sessions->index && sessions->pages && sessions->of_worker)
		return sessions;
	lp_sessions_free(sessions);
	return NULL;
}

struct lp_sessions *lp_sessions_new_view(const struct lp_sessions *of, uint32_t max, struct lp_workers *workers)
{
	struct lp_sessions *view = lp_sessions_new(max, workers, of->seed);

	if (view)
		view->seen = of;
	return view;
}

/* Numbers are given out anew from 1, so what is written is never ahead of what is read. */
size_t lp_sessions_outlive(struct lp_sessions *sessions, void *memory)
{
	struct lasting *all = memory;
	size_t found = 0;
	sessions->lasting = all;
	for (uint32_t i = 1; i <= all[0].highest && i <= sessions->max; i++) {
		struct lasting kept = all[i];
		if (!kept.worker)
			continue;
		struct lp_slice key = {kept.key, kept.length};
		bool bound = kept.length <= sizeof(kept.key) && lp_sessions_bind(sessions, key, kept.worker) == 0;
		found += bound;
		if (!bound || sessions->taken != i)
			all[i].worker = 0;
	}
	return found;
}

static void free_longer_keys(struct lp_sessions *sessions, struct chain chain)
{
	for (uint32_t at = chain.first; at; at = entry_of(sessions, at)->links[BY_USE].next) {
		if (entry_of(sessions, at)->length > LP_SESSION_KEY_INLINE)
			free(entry_of(sessions, at)->key.longer);
	}
}

void lp_sessions_free(struct lp_sessions *sessions)
{
	if (!sessions)
		return;
	free_longer_keys(sessions, sessions->used);
	free_longer_keys(sessions, sessions->dead);
	if (sessions->pages) {
		for (uint32_t page = 0; page <= (sessions->max - 1) / PAGE_ENTRIES; page++)
			free(sessions->pages[page]);
	}
	free(sessions->pages);
	free(sessions->of_worker);
	free(sessions->index);
	free(sessions);
}

unsigned lp_sessions_peek(const struct lp_sessions *sessions, struct lp_slice key)
{
	uint32_t number = look_up(sessions, key, short_hash(sessions, key));

	return number ? entry_of(sessions, number)->worker : 0;
}

int lp_sessions_bind(struct lp_sessions *sessions, struct lp_slice key, unsigned worker)
{
	if (key.length < 1 || key.length > LP_SESSION_KEY_MAX || !lp_workers_find(sessions->workers, worker))
		return -EINVAL;

	uint32_t hash = short_hash(sessions, key);
	uint32_t number = look_up(sessions, key, hash);

	if (!number)
		return add_entry(sessions, key, hash, worker);
	if (entry_of(sessions, number)->worker == 0) {
		rebind_dead(sessions, number, worker);
		return 0;
	}
	if (entry_of(sessions, number)->worker != worker) {
		leave_worker(sessions, number);
		join_worker(sessions, number, worker);
	}
	mark_used(sessions, number);
	return 0;
}

unsigned lp_sessions_find(struct lp_sessions *sessions, struct lp_slice key)
{
	uint32_t hash = short_hash(sessions, key);
	uint32_t number = look_up(sessions, key, hash);

	if (number && entry_of(sessions, number)->worker == 0)
		return 0;
	if (number) {
		mark_used(sessions, number);
		return entry_of(sessions, number)->worker;
	}
	if (sessions->seen)
		number = look_up(sessions->seen, key, hash);
	return number ? entry_of(sessions->seen, number)->worker : 0;
}

void lp_sessions_forget(struct lp_sessions *sessions, struct lp_slice key, unsigned worker)
{
	uint32_t number = look_up(sessions, key, short_hash(sessions, key));

	if (number && (worker == 0 || entry_of(sessions, number)->worker == worker))
		forget_entry(sessions, number);
}

size_t lp_sessions_forget_worker(struct lp_sessions *sessions, unsigned worker)
{
	size_t forgotten = 0;

	if (!lp_workers_find(sessions->workers, worker))
		return 0;
	for (struct chain *chain = &sessions->of_worker[worker - 1]; chain->first; forgotten++)
		mark_dead(sessions, chain->first);
	return forgotten;
}

bool lp_sessions_is_dead(const struct lp_sessions *sessions, struct lp_slice key)
{
	uint32_t number = look_up(sessions, key, short_hash(sessions, key));

	return number && entry_of(sessions, number)->worker == 0;
}

size_t lp_sessions_count(const struct lp_sessions *sessions)
{
	return sessions->count;
}

struct lp_slice lp_sessions_walk(const struct lp_sessions *sessions, uint32_t *at, unsigned *worker)
{
	const struct entry *entry;

	*at = *at ? entry_of(sessions, *at)->links[BY_USE].previous : sessions->used.last;
	if (!*at)
		return (struct lp_slice){0};
	entry = entry_of(sessions, *at);
	*worker = entry->worker;
	return (struct lp_slice){key_of(entry), entry->length};
}

uint64_t lp_sessions_evicted(const struct lp_sessions *sessions)
{
	return sessions->evicted;
}

uint64_t lp_sessions_hash(const struct lp_sessions *sessions, struct lp_slice key)
{
	return lp_hash(key, sessions->seed);
}
