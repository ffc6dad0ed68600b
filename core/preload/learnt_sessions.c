/*
 * A hash table with linear probing whose keys are also in a list by age. Deleting moves later members of a probe back,
 * so there are no marks of the dead.
 */
#include "preload/learnt_sessions.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

static uint32_t hash_of(struct lp_slice key)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < key.length; i++)
		hash = (hash ^ (unsigned char)key.bytes[i]) * 16777619u;
	return hash;
}

static bool is_key(const struct lp_learnt_sessions_key *at, uint32_t hash, struct lp_slice key)
{
	return at->hash == hash && at->length == key.length && memcmp(at->bytes, key.bytes, key.length) == 0;
}

/* Where a key is, or where it would go. */
static uint32_t find_slot(const struct lp_learnt_sessions *known, uint32_t hash, struct lp_slice key)
{
	uint32_t slot = hash & (known->capacity - 1);
	while (known->slots[slot] && !is_key(known->slots[slot], hash, key))
		slot = (slot + 1) & (known->capacity - 1);
	return slot;
}

static bool grow_table(struct lp_learnt_sessions *known)
{
	uint32_t capacity = known->capacity ? known->capacity * 2 : FIRST_CAPACITY;
	struct lp_learnt_sessions_key **slots = calloc(capacity, sizeof(*slots));
	if (!slots)
		return false;
	free(known->slots);
	known->slots = slots;
	known->capacity = capacity;
	for (struct lp_learnt_sessions_key *key = known->oldest; key; key = key->next)
		slots[find_slot(known, key->hash, (struct lp_slice){key->bytes, key->length})] = key;
	return true;
}

/* Whether a key that belongs at `home` may not stay behind the gap: the gap is between its home and it. */
static bool must_move(uint32_t home, uint32_t gap, uint32_t at)
{
	return gap <= at ? home <= gap || home > at : home <= gap && home > at;
}

static void forget_oldest(struct lp_learnt_sessions *known)
{
	struct lp_learnt_sessions_key *key = known->oldest;
	uint32_t mask = known->capacity - 1;
	uint32_t gap = find_slot(known, key->hash, (struct lp_slice){key->bytes, key->length});
	known->oldest = key->next;
	if (!known->oldest)
		known->newest = NULL;
	known->slots[gap] = NULL;
	known->count--;
	free(key);
	for (uint32_t at = (gap + 1) & mask; known->slots[at]; at = (at + 1) & mask) {
		if (!must_move(known->slots[at]->hash & mask, gap, at))
			continue;
		known->slots[gap] = known->slots[at];
		known->slots[at] = NULL;
		gap = at;
	}
}

bool lp_learnt_sessions_add(struct lp_learnt_sessions *known, struct lp_slice key)
{
	uint32_t hash = hash_of(key);
	if (known->count && known->slots[find_slot(known, hash, key)])
		return false;
	if (known->count == LP_LEARNT_SESSIONS_MAX)
		forget_oldest(known);
	if (known->count * 2 >= known->capacity && !grow_table(known))
		return true;
	struct lp_learnt_sessions_key *made = malloc(sizeof(*made) + key.length);
	if (!made)
		return true;
	made->next = NULL;
	made->hash = hash;
	made->length = (uint16_t)key.length;
	memcpy(made->bytes, key.bytes, key.length);
	known->slots[find_slot(known, hash, key)] = made;
	known->count++;
	*(known->newest ? &known->newest->next : &known->oldest) = made;
	known->newest = made;
	return true;
}

bool lp_learnt_sessions_has(const struct lp_learnt_sessions *known, struct lp_slice key)
{
	return known->count && known->slots[find_slot(known, hash_of(key), key)];
}

void lp_learnt_sessions_clear(struct lp_learnt_sessions *known)
{
	for (struct lp_learnt_sessions_key *key = known->oldest; key;) {
		struct lp_learnt_sessions_key *next = key->next;
		free(key);
		key = next;
	}
	free(known->slots);
	memset(known, 0, sizeof(*known));
}
