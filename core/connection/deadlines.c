#include "connection/deadlines.h"

#include <errno.h>
#include <stdlib.h>

int lp_deadlines_reserve(struct lp_deadlines *deadlines, uint32_t capacity)
{
	if (capacity <= deadlines->capacity)
		return 0;
	struct lp_connection **all = realloc(deadlines->all, ((size_t)capacity + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	deadlines->all = all;
	deadlines->capacity = capacity;
	return 0;
}

void lp_deadlines_free(struct lp_deadlines *deadlines)
{
	free(deadlines->all);
	*deadlines = (struct lp_deadlines){0};
}

static void put_at(struct lp_deadlines *deadlines, uint32_t place, struct lp_connection *connection)
{
	deadlines->all[place] = connection;
	connection->place = place;
}

/* Find the place, from here towards the first, of a connection that may be due earlier than those before it. */
static void move_up(struct lp_deadlines *deadlines, uint32_t place, struct lp_connection *connection)
{
	while (place > 1 && deadlines->all[place / 2]->until_ms > connection->until_ms) {
		put_at(deadlines, place, deadlines->all[place / 2]);
		place /= 2;
	}
	put_at(deadlines, place, connection);
}

/* The same away from the first. */
static void move_down(struct lp_deadlines *deadlines, uint32_t place, struct lp_connection *connection)
{
	for (;;) {
		uint32_t next = place * 2;
		if (next > deadlines->count)
			break;
		if (next < deadlines->count && deadlines->all[next + 1]->until_ms < deadlines->all[next]->until_ms)
			next++;
		if (deadlines->all[next]->until_ms >= connection->until_ms)
			break;
		put_at(deadlines, place, deadlines->all[next]);
		place = next;
	}
	put_at(deadlines, place, connection);
}

static void sift_to_place(struct lp_deadlines *deadlines, uint32_t place, struct lp_connection *connection)
{
	move_up(deadlines, place, connection);
	move_down(deadlines, connection->place, connection);
}

void lp_deadlines_set(struct lp_deadlines *deadlines, struct lp_connection *connection, uint64_t until_ms)
{
	if (connection->place && connection->until_ms == until_ms)
		return;
	connection->until_ms = until_ms;
	if (connection->place)
		sift_to_place(deadlines, connection->place, connection);
	else
		move_up(deadlines, ++deadlines->count, connection);
}

void lp_deadlines_remove(struct lp_deadlines *deadlines, struct lp_connection *connection)
{
	uint32_t place = connection->place;
	if (!place)
		return;
	struct lp_connection *last = deadlines->all[deadlines->count--];
	connection->place = 0;
	if (last != connection)
		sift_to_place(deadlines, place, last);
}

struct lp_connection *lp_deadlines_first(const struct lp_deadlines *deadlines)
{
	return deadlines->count ? deadlines->all[1] : NULL;
}
