/*
 * Open addressing with linear probing in one array of 16-byte entries, at most two thirds full. An entry that goes is
 * filled from behind (no tombstones), so a long life of coming and going leaves nothing in the way of look-ups, most of
 * which miss: the kernel also reports sockets that are not ours.
 *
 * The kernel numbers cookies itself, so a multiplicative hash needs no secret.
 */
#include "worker/counts/cookie_table.h"

#include <errno.h>
#include <stdlib.h>

#define SMALLEST_BITS 6

_Static_assert(sizeof(struct lp_cookie_table_entry) == 16, "open_count.h promises how much a connection takes");

static size_t capacity_of(const struct lp_cookie_table *ledger)
{
	return ledger->bits ? (size_t)1 << ledger->bits : 0;
}

static size_t home_of(const struct lp_cookie_table *ledger, uint64_t cookie)
{
	return (size_t)(cookie * 0x9E3779B97F4A7C15u >> (64 - ledger->bits));
}

/* Where a cookie is, or the free entry where it belongs. The ledger has entries, and one of them is free. */
static size_t slot_of(const struct lp_cookie_table *ledger, uint64_t cookie)
{
	size_t last = capacity_of(ledger) - 1;
	size_t slot = home_of(ledger, cookie);
	while (ledger->entries[slot].cookie && ledger->entries[slot].cookie != cookie)
		slot = (slot + 1) & last;
	return slot;
}

static struct lp_cookie_table_entry *find_slot(const struct lp_cookie_table *ledger, uint64_t cookie)
{
	if (!ledger->size || !cookie)
		return NULL;
	struct lp_cookie_table_entry *entry = &ledger->entries[slot_of(ledger, cookie)];
	return entry->cookie ? entry : NULL;
}

static int resize_table(struct lp_cookie_table *ledger, unsigned bits)
{
	struct lp_cookie_table_entry *entries = calloc((size_t)1 << bits, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	struct lp_cookie_table before = *ledger;
	ledger->entries = entries;
	ledger->bits = bits;
	for (size_t i = 0; i < capacity_of(&before); i++)
		if (before.entries[i].cookie)
			entries[slot_of(ledger, before.entries[i].cookie)] = before.entries[i];
	free(before.entries);
	return 0;
}

/* Give memory back once an eighth is in use: far from two thirds, so that coming and going in turn moves nothing. */
static void shrink_table(struct lp_cookie_table *ledger)
{
	unsigned bits = ledger->bits;
	while (bits > SMALLEST_BITS && ledger->size < (size_t)1 << (bits - 3))
		bits--;
	if (bits != ledger->bits)
		(void)resize_table(ledger, bits); /* Without memory to move to, it stays where it is. */
}

/* Empty a slot: entries behind it that would no longer be found from their home move up. */
static void vacate_slot(struct lp_cookie_table *ledger, size_t slot)
{
	size_t last = capacity_of(ledger) - 1;
	ledger->size--;
	ledger->sizes[ledger->entries[slot].kind]--;
	for (size_t next = (slot + 1) & last; ledger->entries[next].cookie; next = (next + 1) & last) {
		size_t home = home_of(ledger, ledger->entries[next].cookie);
		if (((next - home) & last) >= ((next - slot) & last)) {
			ledger->entries[slot] = ledger->entries[next];
			slot = next;
		}
	}
	ledger->entries[slot].cookie = 0;
}

void lp_cookie_table_clear(struct lp_cookie_table *ledger)
{
	free(ledger->entries);
	*ledger = (struct lp_cookie_table){0};
}

int lp_cookie_table_add(struct lp_cookie_table *ledger, uint64_t cookie, unsigned worker, unsigned kind, uint32_t mark)
{
	if (find_slot(ledger, cookie))
		return -EEXIST;
	if ((ledger->size + 1) * 3 > capacity_of(ledger) * 2) {
		int status = resize_table(ledger, ledger->bits ? ledger->bits + 1 : SMALLEST_BITS);
		if (status)
			return status;
	}
	ledger->entries[slot_of(ledger, cookie)] = (struct lp_cookie_table_entry){
		.cookie = cookie, .mark = mark, .worker = (uint16_t)worker, .kind = (uint8_t)kind};
	ledger->size++;
	ledger->sizes[kind]++;
	return 0;
}

void lp_cookie_table_mark(struct lp_cookie_table *ledger, uint64_t cookie, uint32_t mark)
{
	struct lp_cookie_table_entry *entry = find_slot(ledger, cookie);
	if (entry)
		entry->mark = mark;
}

unsigned lp_cookie_table_remove(struct lp_cookie_table *ledger, uint64_t cookie)
{
	struct lp_cookie_table_entry *entry = find_slot(ledger, cookie);
	if (!entry)
		return 0;
	unsigned worker = entry->worker;
	vacate_slot(ledger, (size_t)(entry - ledger->entries));
	shrink_table(ledger);
	return worker;
}

/*
 * Both walks below stay on a slot that they emptied, for it may have been filled from behind. An entry that lies past
 * the end of the array (at its beginning) can so be met twice; it is judged the same both times.
 */

size_t lp_cookie_table_forget_worker(struct lp_cookie_table *ledger, unsigned worker)
{
	size_t before = ledger->size;
	for (size_t slot = 0; slot < capacity_of(ledger);) {
		const struct lp_cookie_table_entry *entry = &ledger->entries[slot];
		if (entry->cookie && entry->worker == worker)
			vacate_slot(ledger, slot);
		else
			slot++;
	}
	shrink_table(ledger);
	return before - ledger->size;
}

size_t lp_cookie_table_sweep(struct lp_cookie_table *ledger, unsigned kind, uint32_t oldest, unsigned *gone)
{
	size_t before = ledger->size;
	for (size_t slot = 0; slot < capacity_of(ledger);) {
		const struct lp_cookie_table_entry *entry = &ledger->entries[slot];
		if (entry->cookie && entry->kind == kind && entry->mark < oldest) {
			gone[entry->worker]++;
			vacate_slot(ledger, slot);
		} else {
			slot++;
		}
	}
	shrink_table(ledger);
	return before - ledger->size;
}
