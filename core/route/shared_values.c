/*
 * A hash table of chained items, each one allocation that holds its key and, after it, its string. As many buckets as
 * the most entries, so that nothing ever grows or pauses; calloc'd, so that those nobody touched cost no memory.
 *
 * Items that expire are in a heap too, the first to expire on top. Reaching a bound, a change drops those that are due
 * from the top, and so is refused only when nothing held is expired, without looking at an item that stays. Each item
 * is dropped once, O(log n), which whoever added it has paid for. Between bounds, an expired item goes when a look-up
 * meets it.
 *
 *   an item      | in its bucket | in the heap
 *   for ever     | yes           | no            expires_ms is NEVER
 *   mortal       | yes           | yes           heap_at is its place
 *
 * Limits: what an item costs in addition to key and string (64 bytes and its malloc) does not count towards the bound on
 * bytes, but the item counts towards the bound on entries.
 */
#include "route/shared_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "route/hash.h"

#define NEVER UINT64_MAX

struct item {
	struct item *next; /* In its bucket. */
	uint64_t hash;
	uint64_t expires_ms; /* Gone from this moment on. */
	size_t heap_at;
	size_t key_length;
	size_t string_length; /* 0 for what is no string. */
	enum lp_shared_kind kind;
	union {
		double number;
		bool boolean;
	};
	char bytes[]; /* The key, then the string. */
};

struct lp_shared {
	uint64_t seed;
	size_t max_entries;
	size_t max_bytes;
	size_t count;
	size_t bytes;
	size_t bucket_mask;
	struct item **buckets;
	struct item **heap; /* The items that expire; heap[0] first, and none before the one at (place - 1) / 2. */
	size_t heap_count;
};

static size_t size_of(const struct item *item)
{
	return item->key_length + item->string_length;
}

/* The heap */

static void heap_put(struct lp_shared *shared, size_t at, struct item *item)
{
	shared->heap[at] = item;
	item->heap_at = at;
}

/* Put an item at a place that is free, or above it as far as it belongs. */
static void heap_rise(struct lp_shared *shared, size_t at, struct item *item)
{
	while (at > 0 && shared->heap[(at - 1) / 2]->expires_ms > item->expires_ms) {
		heap_put(shared, at, shared->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(shared, at, item);
}

/* Put an item at a place that is free, or below it as far as it belongs. */
static void heap_sink(struct lp_shared *shared, size_t at, struct item *item)
{
	for (size_t child = 2 * at + 1; child < shared->heap_count; child = 2 * at + 1) {
		if (child + 1 < shared->heap_count &&
		    shared->heap[child + 1]->expires_ms < shared->heap[child]->expires_ms)
			child++;
		if (shared->heap[child]->expires_ms >= item->expires_ms)
			break;
		heap_put(shared, at, shared->heap[child]);
		at = child;
	}
	heap_put(shared, at, item);
}

/* The last one fills the gap, from where it belongs above or below. */
static void heap_remove(struct lp_shared *shared, const struct item *item)
{
	size_t gap = item->heap_at;
	struct item *last = shared->heap[--shared->heap_count];

	if (last == item)
		return;
	if (last->expires_ms < item->expires_ms)
		heap_rise(shared, gap, last);
	else
		heap_sink(shared, gap, last);
}

/* Items */

static void item_add(struct lp_shared *shared, struct item *item)
{
	struct item **bucket = &shared->buckets[item->hash & shared->bucket_mask];

	item->next = *bucket;
	*bucket = item;
	if (item->expires_ms != NEVER)
		heap_rise(shared, shared->heap_count++, item);
	shared->count++;
	shared->bytes += size_of(item);
}

static void item_drop(struct lp_shared *shared, struct item *item)
{
	struct item **link = &shared->buckets[item->hash & shared->bucket_mask];

	while (*link != item)
		link = &(*link)->next;
	*link = item->next;
	if (item->expires_ms != NEVER)
		heap_remove(shared, item);
	shared->count--;
	shared->bytes -= size_of(item);
	free(item);
}

static struct item *item_find(const struct lp_shared *shared, struct lp_slice key, uint64_t hash)
{
	struct item *item = shared->buckets[hash & shared->bucket_mask];

	for (; item; item = item->next) {
		if (item->hash == hash && item->key_length == key.length &&
		    (key.length == 0 || memcmp(item->bytes, key.bytes, key.length) == 0))
			return item;
	}
	return NULL;
}

static struct item *item_find_living(struct lp_shared *shared, struct lp_slice key, uint64_t hash, uint64_t now_ms)
{
	struct item *item = item_find(shared, key, hash);

	if (!item || item->expires_ms > now_ms)
		return item;
	item_drop(shared, item);
	return NULL;
}

static struct lp_slice string_of(const struct lp_shared_value *value)
{
	return value->kind == LP_SHARED_STRING ? value->string : (struct lp_slice){NULL, 0};
}

static struct item *item_new(struct lp_slice key, uint64_t hash, const struct lp_shared_value *value)
{
	struct lp_slice string = string_of(value);
	struct item *item = malloc(sizeof(*item) + key.length + string.length);

	if (!item)
		return NULL;
	*item = (struct item){
		.hash = hash, .key_length = key.length, .string_length = string.length, .kind = value->kind};
	if (value->kind == LP_SHARED_NUMBER)
		item->number = value->number;
	if (value->kind == LP_SHARED_BOOLEAN)
		item->boolean = value->boolean;
	if (key.length > 0)
		memcpy(item->bytes, key.bytes, key.length);
	if (string.length > 0)
		memcpy(item->bytes + key.length, string.bytes, string.length);
	return item;
}

/* Whether one item of this size fits, in addition to all items or as the replacement of one. */
static bool fits_in_bytes(const struct lp_shared *shared, size_t size, const struct item *instead)
{
	if (!instead && shared->count >= shared->max_entries)
		return false;
	return size <= shared->max_bytes - shared->bytes + (instead ? size_of(instead) : 0);
}

/* Drop what is expired, if that is what it takes. Returns whether there is room now. */
static bool make_room(struct lp_shared *shared, size_t size, const struct item *instead, uint64_t now_ms)
{
	if (fits_in_bytes(shared, size, instead))
		return true;
	while (shared->heap_count > 0 && shared->heap[0]->expires_ms <= now_ms)
		item_drop(shared, shared->heap[0]);
	return fits_in_bytes(shared, size, instead);
}

/* The dictionary */

struct lp_shared *lp_shared_new(size_t max_entries, size_t max_bytes, uint64_t seed)
{
	struct lp_shared *shared = malloc(sizeof(*shared));
	size_t buckets = 1;

	if (!shared)
		return NULL;
	while (buckets < max_entries && buckets <= SIZE_MAX / 2 / sizeof(struct item *))
		buckets *= 2;
	*shared = (struct lp_shared){
		.seed = seed, .max_entries = max_entries, .max_bytes = max_bytes, .bucket_mask = buckets - 1};
	shared->buckets = calloc(buckets, sizeof(*shared->buckets));
	shared->heap = calloc(max_entries, sizeof(*shared->heap));
	if (shared->buckets && shared->heap)
		return shared;
	free(shared->buckets);
	free(shared->heap);
	free(shared);
	return NULL;
}

void lp_shared_free(struct lp_shared *shared)
{
	if (!shared)
		return;
	for (size_t i = 0; i <= shared->bucket_mask; i++) {
		for (struct item *item = shared->buckets[i], *next; item; item = next) {
			next = item->next;
			free(item);
		}
	}
	free(shared->buckets);
	free(shared->heap);
	free(shared);
}

bool lp_shared_find(struct lp_shared *shared, struct lp_slice key, uint64_t now_ms, struct lp_shared_value *value)
{
	const struct item *item = item_find_living(shared, key, lp_hash(key, shared->seed), now_ms);

	if (!item)
		return false;
	*value = (struct lp_shared_value){.kind = item->kind};
	if (item->kind == LP_SHARED_NUMBER)
		value->number = item->number;
	if (item->kind == LP_SHARED_BOOLEAN)
		value->boolean = item->boolean;
	if (item->kind == LP_SHARED_STRING)
		value->string = (struct lp_slice){item->bytes + item->key_length, item->string_length};
	return true;
}

int lp_shared_set(struct lp_shared *shared, struct lp_slice key, const struct lp_shared_value *value, uint64_t ttl_ms,
		  uint64_t now_ms)
{
	uint64_t hash = lp_hash(key, shared->seed);
	struct item *old = item_find_living(shared, key, hash, now_ms);
	struct item *item;

	if (!make_room(shared, key.length + string_of(value).length, old, now_ms))
		return -ENOSPC;
	item = item_new(key, hash, value);
	if (!item)
		return -ENOMEM;
	item->expires_ms = ttl_ms > 0 && ttl_ms < NEVER - now_ms ? now_ms + ttl_ms : NEVER;
	if (old)
		item_drop(shared, old); /* Not before: the value may be its string. */
	item_add(shared, item);
	return 0;
}

int lp_shared_add(struct lp_shared *shared, struct lp_slice key, double by, uint64_t ttl_ms, uint64_t now_ms,
		  double *result)
{
	struct item *item = item_find_living(shared, key, lp_hash(key, shared->seed), now_ms);
	struct lp_shared_value sum = {.kind = LP_SHARED_NUMBER, .number = by};
	int status = 0;

	if (item && item->kind != LP_SHARED_NUMBER)
		return -EINVAL;
	if (item)
		sum.number = item->number += by;
	else
		status = lp_shared_set(shared, key, &sum, ttl_ms, now_ms);
	if (status == 0)
		*result = sum.number;
	return status;
}

void lp_shared_delete(struct lp_shared *shared, struct lp_slice key)
{
	struct item *item = item_find(shared, key, lp_hash(key, shared->seed));

	if (item)
		item_drop(shared, item);
}

size_t lp_shared_count(const struct lp_shared *shared)
{
	return shared->count;
}
