/*
 * A table like a processor's cache: an address has its place in one bucket of a few entries, and every operation looks
 * at one bucket only. Nothing is ever removed: an entry with nobody waiting and a rate that has recovered says nothing
 * any more, and is free to be another's. So there are no lists, no timers, no growth, and the work is the same for the
 * millionth address.
 *
 * When a bucket is full of entries in use, a further address is not counted: an attacker with that many addresses is not
 * stopped by limits on one, and honest ones are not to suffer. With as much room as connections may wait (and a random
 * seed), that is rare.
 *
 * The rate is kept as a single time (the "generic cell rate algorithm", a token bucket without tokens): each connection
 * puts `recovered_ns` off by a second / max_rate, and it may not be more than a second ahead.
 */
#include "server/per_address.h"

#include <stdlib.h>
#include <string.h>

#include "route/hash.h"

#define BUCKET 8

#define NS_A_MS 1000000u
#define NS_A_SECOND 1000000000u

struct entry {
	uint64_t prefix;       /* IPv4: the address. IPv6: its first 64 bits. */
	uint64_t recovered_ns; /* When no connection counts for the rate any more. */
	uint32_t waiting;      /* Connections that wait for anything. */
	uint32_t heads : 24;   /* Of those, for their heads. */
	uint32_t family : 8;   /* LP_FAMILY_UNIX: never used. */
};

struct lp_per_address {
	struct lp_per_address_config config;
	uint64_t mask; /* Of buckets. */
	struct entry entries[];
};

_Static_assert(sizeof(struct entry) == 24, "as the header, the help and the README say");

struct lp_per_address *lp_per_address_new(const struct lp_per_address_config *config)
{
	size_t count = BUCKET;
	while (count < config->room)
		count *= 2;
	struct lp_per_address *table = calloc(1, sizeof(*table) + count * sizeof(struct entry));
	if (!table)
		return NULL;
	table->config = *config;
	table->mask = count / BUCKET - 1;
	return table;
}

void lp_per_address_free(struct lp_per_address *table)
{
	free(table);
}

static bool is_exempt(const struct lp_per_address *table, const struct lp_ip *ip)
{
	for (size_t i = 0; i < table->config.trust.count; i++)
		if (lp_network_contains(&table->config.trust.networks[i], ip))
			return true;
	return ip->family == LP_FAMILY_UNIX;
}

/* The entry of an address; if it has none and now_ns is not NULL, one that is free by then; else NULL. */
static struct entry *find_address(struct lp_per_address *table, const struct lp_ip *ip, const uint64_t *now_ns)
{
	struct lp_slice key = {.bytes = (const char *)ip->bytes, .length = sizeof(uint64_t)};
	uint64_t bucket = lp_hash(key, table->config.seed ^ ip->family) & table->mask;
	struct entry *unused = NULL;
	uint64_t prefix;
	memcpy(&prefix, ip->bytes, sizeof(prefix));
	for (struct entry *at = &table->entries[bucket * BUCKET], *end = at + BUCKET; at < end; at++) {
		if (at->prefix == prefix && at->family == ip->family)
			return at;
		if (now_ns && !unused && at->waiting == 0 && at->heads == 0 && at->recovered_ns <= *now_ns)
			unused = at;
	}
	if (unused)
		*unused = (struct entry){.prefix = prefix, .family = ip->family};
	return unused;
}

bool lp_per_address_admit(struct lp_per_address *table, const struct lp_ip *ip, uint64_t now_ms)
{
	uint64_t now_ns = now_ms * NS_A_MS;
	if (!table || !table->config.max_rate || is_exempt(table, ip))
		return true;
	struct entry *entry = find_address(table, ip, &now_ns);
	if (!entry)
		return true;
	uint64_t from_ns = entry->recovered_ns > now_ns ? entry->recovered_ns : now_ns;
	uint64_t next_ns = from_ns + NS_A_SECOND / table->config.max_rate;
	if (next_ns > now_ns + NS_A_SECOND)
		return false;
	entry->recovered_ns = next_ns;
	return true;
}

enum lp_per_address_answer lp_per_address_enter(struct lp_per_address *table, const struct lp_ip *ip, uint64_t now_ms)
{
	uint64_t now_ns = now_ms * NS_A_MS;
	if (!table || !table->config.max_waiting || is_exempt(table, ip))
		return LP_PER_ADDRESS_EXEMPT;
	struct entry *entry = find_address(table, ip, &now_ns);
	if (!entry)
		return LP_PER_ADDRESS_EXEMPT;
	if (entry->heads >= table->config.max_waiting)
		return LP_PER_ADDRESS_OVER;
	entry->heads++;
	return LP_PER_ADDRESS_COUNTED;
}

void lp_per_address_leave(struct lp_per_address *table, const struct lp_ip *ip)
{
	struct entry *entry = find_address(table, ip, NULL);
	if (entry && entry->heads)
		entry->heads--;
}

bool lp_per_address_begin_wait(struct lp_per_address *table, const struct lp_ip *ip, uint64_t now_ms)
{
	uint64_t now_ns = now_ms * NS_A_MS;
	if (!table || !table->config.max_waiting || is_exempt(table, ip))
		return false;
	struct entry *entry = find_address(table, ip, &now_ns);
	if (entry)
		entry->waiting++;
	return entry;
}

bool lp_per_address_is_over(struct lp_per_address *table, const struct lp_ip *ip)
{
	const struct entry *entry = find_address(table, ip, NULL);
	return entry && entry->waiting > table->config.share;
}

void lp_per_address_end_wait(struct lp_per_address *table, const struct lp_ip *ip)
{
	struct entry *entry = find_address(table, ip, NULL);
	if (entry && entry->waiting)
		entry->waiting--;
}
