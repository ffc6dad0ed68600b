/*
 * The states of a connection, and the one function that changes them.
 *
 *     state      in the list of   leaves on
 *     GONE       –                a connection is accepted, or given back by a worker -> DECIDING
 *     DECIDING   –                the verdict -> LOOKING, AWAITING, PAUSED, HELD, QUEUED; a refusal -> LINGERING; its address
 *                                 has too many, or the client has left -> CLOSING; it was given back -> DUE
 *     LOOKING    –                the head is complete -> DECIDING; other policies -> DUE; its deadline -> LINGERING, or
 *                                 CLOSING if the client said nothing; the client left -> CLOSING
 *     AWAITING   –                the session is named, or nobody has it -> DUE; session_wait is over -> DECIDING; its
 *                                 deadline -> LINGERING; the client left -> CLOSING
 *     PAUSED     –                the pause is over -> DECIDING; its deadline -> LINGERING; the client left -> CLOSING
 *     HELD       worker, address  that worker, or one that listens there, can take it, or ended -> DUE or DECIDING; its
 *                                 deadline -> LINGERING; the client left -> CLOSING
 *     DUE        –                the loop's next turn -> DECIDING; the client left -> CLOSING
 *     QUEUED     worker           there is room in the channel -> SENDING; the worker is lost -> DUE; the client left -> CLOSING
 *     SENDING    worker           it is in the channel -> SENT; there was no room -> QUEUED; the worker has no server for
 *                                 it -> DUE
 *     SENT       worker           the worker has the descriptor -> ARRIVED; it takes the connection -> UNREAD, or CLOSING
 *                                 if it reads before it says so; it gives it back, or is lost -> DUE
 *     ARRIVED    worker           the same
 *     UNREAD     worker           its bytes are read -> CLOSING; the worker is lost, and they were not -> DUE
 *     LINGERING  –                the client has closed, or had its time -> CLOSING
 *     CLOSING    –                the descriptor is closed -> GONE
 *
 *     waiting   = DECIDING … DUE          in flight = QUEUED … UNREAD
 *     handed over = in flight + settled + moved
 *     accepted    = handed over + refused + closed early + waiting
 *
 * Records are taken from a region some at a time and never given back; those that are not in use are in a list. A record's
 * list is found by its group and state, and its place in there says for how long it has been so.
 */
#include "connection/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BIT(state) (1u << (state))

#define ALL_WAITING                                                                                                    \
	(BIT(LP_DECIDING) | BIT(LP_LOOKING) | BIT(LP_AWAITING) | BIT(LP_PAUSED) | BIT(LP_HELD) | BIT(LP_DUE))

/* With a worker that has not taken it yet; and all that are with a worker. */
#define ALL_UNTAKEN (BIT(LP_QUEUED) | BIT(LP_SENDING) | BIT(LP_SENT) | BIT(LP_ARRIVED))
#define ALL_IN_FLIGHT (ALL_UNTAKEN | BIT(LP_UNREAD))

#define ALL_LIVE (ALL_WAITING | ALL_IN_FLIGHT)

/* Those whose list is a worker's or an address's. */
#define ALL_GROUPED (ALL_IN_FLIGHT | BIT(LP_HELD))

_Static_assert(LP_CONNECTION_STATES <= 16, "a set of states fits struct state");

struct state {
	const char *name;
	uint16_t next; /* Those that it may become. */
};

static const struct state states[LP_CONNECTION_STATES] = {
	[LP_GONE] = {"GONE", BIT(LP_DECIDING)},
	[LP_DECIDING] = {"DECIDING", BIT(LP_LOOKING) | BIT(LP_AWAITING) | BIT(LP_PAUSED) | BIT(LP_HELD) | BIT(LP_DUE) |
					     BIT(LP_QUEUED) | BIT(LP_LINGERING) | BIT(LP_CLOSING)},
	[LP_LOOKING] = {"LOOKING", BIT(LP_DECIDING) | BIT(LP_DUE) | BIT(LP_LINGERING) | BIT(LP_CLOSING)},
	[LP_AWAITING] = {"AWAITING", BIT(LP_DECIDING) | BIT(LP_DUE) | BIT(LP_LINGERING) | BIT(LP_CLOSING)},
	[LP_PAUSED] = {"PAUSED", BIT(LP_DECIDING) | BIT(LP_LINGERING) | BIT(LP_CLOSING)},
	[LP_HELD] = {"HELD", BIT(LP_DECIDING) | BIT(LP_DUE) | BIT(LP_LINGERING) | BIT(LP_CLOSING)},
	[LP_DUE] = {"DUE", BIT(LP_DECIDING) | BIT(LP_LINGERING) | BIT(LP_CLOSING)},
	[LP_QUEUED] = {"QUEUED", BIT(LP_SENDING) | BIT(LP_DUE) | BIT(LP_CLOSING)},
	[LP_SENDING] = {"SENDING", BIT(LP_QUEUED) | BIT(LP_SENT) | BIT(LP_DUE)},
	[LP_SENT] = {"SENT", BIT(LP_ARRIVED) | BIT(LP_UNREAD) | BIT(LP_CLOSING) | BIT(LP_DUE)},
	[LP_ARRIVED] = {"ARRIVED", BIT(LP_UNREAD) | BIT(LP_CLOSING) | BIT(LP_DUE)},
	[LP_UNREAD] = {"UNREAD", BIT(LP_CLOSING) | BIT(LP_DUE)},
	[LP_LINGERING] = {"LINGERING", BIT(LP_CLOSING)},
	[LP_CLOSING] = {"CLOSING", BIT(LP_GONE)},
};

static bool is_in(unsigned set, enum lp_connection_state state)
{
	return set & BIT(state);
}

/* No group, the workers, the addresses, and all addresses that workers cannot tell apart. */
static unsigned count_groups(unsigned workers)
{
	return 1 + workers + LP_WORKERS_ADDRESSES + 1;
}

static struct lp_list *list_of(const struct lp_connections *connections, unsigned group, enum lp_connection_state state)
{
	return &connections->lists[group * LP_CONNECTION_STATES + state];
}

static struct lp_connection *connection_of(struct lp_list *link)
{
	return LP_LIST_OWNER(link, struct lp_connection, link);
}

int lp_connections_open(struct lp_connections *connections, struct lp_region *region, struct lp_workers *workers)
{
	unsigned groups = count_groups(workers->count);
	*connections = (struct lp_connections){.workers = workers, .region = region, .groups = groups};
	connections->lists = calloc((size_t)groups * LP_CONNECTION_STATES, sizeof(*connections->lists));
	connections->by_state = calloc((size_t)workers->count + 1, sizeof(*connections->by_state));
	connections->closer = lp_closer_new();
	if (!connections->lists || !connections->by_state || !connections->closer) {
		lp_connections_close(connections);
		return -ENOMEM;
	}
	lp_list_init(&connections->free);
	for (unsigned i = 0; i < groups * LP_CONNECTION_STATES; i++)
		lp_list_init(&connections->lists[i]);
	return 0;
}

void lp_connections_close(struct lp_connections *connections)
{
	free(connections->lists);
	free(connections->by_state);
	lp_closer_free(connections->closer);
	*connections = (struct lp_connections){0};
}

static bool add_chunk(struct lp_connections *connections)
{
	struct lp_chunk *chunk = lp_region_take(connections->region, sizeof(*chunk));
	if (!chunk)
		return false;
	chunk->next = connections->chunks;
	connections->chunks = chunk;
	connections->capacity += LP_CHUNK_RECORDS;
	connections->counts[LP_GONE] += LP_CHUNK_RECORDS;
	for (int i = 0; i < LP_CHUNK_RECORDS; i++)
		lp_list_append(&connections->free, &chunk->records[i].link);
	return true;
}

struct lp_connection *lp_connections_add(struct lp_connections *connections, int fd, const struct lp_origin *origin)
{
	if (lp_list_empty(&connections->free) && !add_chunk(connections)) {
		connections->ended[LP_END_CLOSED_EARLY]++;
		return NULL;
	}
	struct lp_connection *connection = connection_of(connections->free.next);
	lp_list_remove(&connection->link);
	*connection = (struct lp_connection){.fd = fd, .origin = origin, .end = LP_END_CLOSED_EARLY};
	lp_list_init(&connection->link);
	lp_list_init(&connection->side_link);
	lp_list_init(&connection->excess_link);
	lp_connection_move(connections, connection, LP_DECIDING);
	return connection;
}

/* How a connection ends that leaves a state. */
static enum lp_connection_end end_of(const struct lp_connection *connection, enum lp_connection_state from)
{
	if (from == LP_SENT || from == LP_ARRIVED || from == LP_UNREAD)
		return connection->came_back ? LP_END_MOVED : LP_END_SETTLED;
	return (enum lp_connection_end)connection->end;
}

static struct lp_worker *worker_of(const struct lp_connections *connections, unsigned worker)
{
	return &connections->workers->slots[worker - 1];
}

static void count_out(struct lp_connections *connections, unsigned group, enum lp_connection_state from)
{
	connections->counts[from]--;
	if (!is_in(ALL_IN_FLIGHT, from))
		return;
	struct lp_worker *worker = worker_of(connections, group);
	connections->by_state[group][from]--;
	worker->connections--;
	worker->waiting -= is_in(ALL_UNTAKEN, from);
}

static void count_in(struct lp_connections *connections, unsigned group, enum lp_connection_state to)
{
	connections->counts[to]++;
	if (!is_in(ALL_IN_FLIGHT, to))
		return;
	struct lp_worker *worker = worker_of(connections, group);
	connections->by_state[group][to]++;
	worker->connections++;
	worker->waiting += is_in(ALL_UNTAKEN, to);
}

static void count_end(struct lp_connections *connections, unsigned worker, enum lp_connection_end end)
{
	connections->ended[end]++;
	if (end == LP_END_SETTLED)
		worker_of(connections, worker)->acknowledged++;
	else if (end == LP_END_MOVED)
		worker_of(connections, worker)->moved++;
}

static void join_list(struct lp_connections *connections, struct lp_connection *connection,
		      enum lp_connection_state from)
{
	if (connection->state == LP_GONE)
		lp_list_prepend(&connections->free, &connection->link); /* The one last used is the one in the cache. */
	else if (from == LP_SENDING && connection->state == LP_QUEUED)
		lp_list_prepend(list_of(connections, connection->group, LP_QUEUED), &connection->link);
	else
		lp_list_append(list_of(connections, connection->group, connection->state), &connection->link);
}

static bool is_group_for(const struct lp_connections *connections, enum lp_connection_state state, unsigned group)
{
	if (is_in(ALL_IN_FLIGHT, state))
		return group > 0 && group <= connections->workers->count;
	return is_in(ALL_GROUPED, state) ? group > 0 && group < connections->groups : group == 0;
}

static void reject_move(enum lp_connection_state from, enum lp_connection_state to, unsigned group)
{
	fprintf(stderr, "limpet: a connection that is %s cannot become %s (group %u); this is a bug of limpet's\n",
		states[from].name, states[to].name, group);
	abort();
}

void lp_connection_move_to(struct lp_connections *connections, struct lp_connection *connection,
			   enum lp_connection_state to, unsigned group)
{
	enum lp_connection_state from = connection->state;
	unsigned worker = connection->group;
	if (!is_in(states[from].next, to) || !is_group_for(connections, to, group))
		reject_move(from, to, group);
	lp_list_remove(&connection->link);
	count_out(connections, connection->group, from);
	connection->state = (uint8_t)to;
	connection->group = (uint16_t)group;
	count_in(connections, group, to);
	join_list(connections, connection, from);
	connections->live += is_in(ALL_LIVE, to) && !is_in(ALL_LIVE, from);
	if (!is_in(ALL_LIVE, from) || is_in(ALL_LIVE, to))
		return;
	count_end(connections, worker, end_of(connection, from));
	connections->live--;
	if (connections->live == 0 && connections->on_empty)
		connections->on_empty(connections->owner);
}

void lp_connection_move(struct lp_connections *connections, struct lp_connection *connection,
			enum lp_connection_state to)
{
	lp_connection_move_to(connections, connection, to, is_in(ALL_GROUPED, to) ? connection->group : 0);
}

void lp_connection_close(struct lp_connections *connections, struct lp_connection *connection)
{
	lp_connection_move(connections, connection, LP_CLOSING);
	lp_closer_close(connections->closer, connection->fd);
	connection->fd = -1;
	lp_connection_move(connections, connection, LP_GONE);
}

unsigned lp_connections_anywhere(const struct lp_connections *connections, int address)
{
	unsigned known = address >= 0 && address < LP_WORKERS_ADDRESSES ? (unsigned)address : LP_WORKERS_ADDRESSES;
	return 1 + connections->workers->count + known;
}

struct lp_connection *lp_connections_first(const struct lp_connections *connections, unsigned group,
					   enum lp_connection_state state)
{
	struct lp_list *list = list_of(connections, group, state);
	return lp_list_empty(list) ? NULL : connection_of(list->next);
}

struct lp_connection *lp_connections_next(const struct lp_connections *connections,
					  const struct lp_connection *connection)
{
	struct lp_list *next = connection->link.next;
	bool is_last = next == list_of(connections, connection->group, connection->state);
	return is_last ? NULL : connection_of(next);
}

struct lp_connection *lp_connections_last(const struct lp_connections *connections, unsigned group,
					  enum lp_connection_state state)
{
	struct lp_list *list = list_of(connections, group, state);
	return lp_list_empty(list) ? NULL : connection_of(list->previous);
}

struct lp_connection *lp_connections_previous(const struct lp_connections *connections,
					      const struct lp_connection *connection)
{
	struct lp_list *previous = connection->link.previous;
	bool is_first = previous == list_of(connections, connection->group, connection->state);
	return is_first ? NULL : connection_of(previous);
}

static uint64_t sum_of(const struct lp_connections *connections, unsigned set)
{
	uint64_t sum = 0;
	for (int state = 0; state < LP_CONNECTION_STATES; state++)
		sum += is_in(set, state) ? connections->counts[state] : 0;
	return sum;
}

uint64_t lp_connections_waiting(const struct lp_connections *connections)
{
	return sum_of(connections, ALL_WAITING);
}

uint64_t lp_connections_in_flight_at(const struct lp_connections *connections, unsigned worker)
{
	uint64_t sum = 0;
	for (unsigned state = 0; state < LP_CONNECTION_STATES; state++)
		if (is_in(ALL_IN_FLIGHT, state))
			sum += connections->by_state[worker][state];
	return sum;
}

uint64_t lp_connections_in_flight(const struct lp_connections *connections)
{
	return sum_of(connections, ALL_IN_FLIGHT);
}

const char *lp_connection_state_name(enum lp_connection_state state)
{
	return states[state].name;
}
