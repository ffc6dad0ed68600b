/*
 * The table of connections alone: no loop, no sockets, no workers but their numbers. Every state, and every move from
 * every state; after each move all counts are held against the records themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table_fixture.h"

enum { WORKERS = 3 };

/* What may follow what, said once more and in another way than connection.c does. */
static const char *const moves[LP_CONNECTION_STATES] = {
	[LP_GONE] = "DECIDING",
	[LP_DECIDING] = "LOOKING AWAITING PAUSED HELD DUE QUEUED LINGERING CLOSING",
	[LP_LOOKING] = "DECIDING DUE LINGERING CLOSING",
	[LP_AWAITING] = "DECIDING DUE LINGERING CLOSING",
	[LP_PAUSED] = "DECIDING LINGERING CLOSING",
	[LP_HELD] = "DECIDING DUE LINGERING CLOSING",
	[LP_DUE] = "DECIDING LINGERING CLOSING",
	[LP_QUEUED] = "SENDING DUE CLOSING",
	[LP_SENDING] = "QUEUED SENT DUE",
	[LP_SENT] = "ARRIVED UNREAD CLOSING DUE",
	[LP_ARRIVED] = "UNREAD CLOSING DUE",
	[LP_UNREAD] = "CLOSING DUE",
	[LP_LINGERING] = "CLOSING",
	[LP_CLOSING] = "GONE",
};

/* The way from DECIDING to each state, as short as there is. */
static const enum lp_connection_state ways[LP_CONNECTION_STATES][6] = {
	[LP_LOOKING] = {LP_LOOKING},
	[LP_AWAITING] = {LP_AWAITING},
	[LP_PAUSED] = {LP_PAUSED},
	[LP_HELD] = {LP_HELD},
	[LP_DUE] = {LP_DUE},
	[LP_QUEUED] = {LP_QUEUED},
	[LP_SENDING] = {LP_QUEUED, LP_SENDING},
	[LP_SENT] = {LP_QUEUED, LP_SENDING, LP_SENT},
	[LP_ARRIVED] = {LP_QUEUED, LP_SENDING, LP_SENT, LP_ARRIVED},
	[LP_UNREAD] = {LP_QUEUED, LP_SENDING, LP_SENT, LP_UNREAD},
	[LP_LINGERING] = {LP_LINGERING},
	[LP_CLOSING] = {LP_CLOSING},
};

static bool is_with_worker(enum lp_connection_state state)
{
	return state >= LP_QUEUED && state <= LP_UNREAD;
}

static bool may_follow(enum lp_connection_state from, enum lp_connection_state to)
{
	char words[128];
	char word[32];
	snprintf(words, sizeof(words), " %s ", moves[from]);
	snprintf(word, sizeof(word), " %s ", lp_connection_state_name(to));
	return strstr(words, word);
}

static unsigned group_for(const struct table *table, enum lp_connection_state state, unsigned worker)
{
	if (state == LP_HELD)
		return lp_connections_anywhere(&table->connections, 2);
	return is_with_worker(state) ? worker : 0;
}

static void move(struct table *table, struct lp_connection *connection, enum lp_connection_state to)
{
	unsigned worker = is_with_worker(connection->state) ? connection->group : 2;
	lp_connection_move_to(&table->connections, connection, to, group_for(table, to, worker));
}

/* NULL when the state is GONE. */
static struct lp_connection *make_one(struct table *table, enum lp_connection_state state)
{
	struct lp_connection *connection = add_connection(table, -1, 80);
	for (int i = 0; i < 6 && ways[state][i]; i++)
		move(table, connection, ways[state][i]);
	assert_int_equal(connection->state, state);
	return connection;
}

/* All counts are what the records say. */
static void assert_counted(const struct table *table)
{
	const struct lp_connections *connections = &table->connections;
	uint32_t counts[LP_CONNECTION_STATES] = {0};
	uint32_t waiting[2 * WORKERS + 1] = {0};
	uint32_t with[2 * WORKERS + 1] = {0};
	uint32_t live = 0;
	assert_ptr_equal(connections->chunks->next, NULL);
	for (uint32_t i = 0; i < connections->capacity; i++) {
		const struct lp_connection *connection = &connections->chunks->records[i];
		counts[connection->state]++;
		live += connection->state != LP_GONE && connection->state < LP_LINGERING;
		if (is_with_worker(connection->state)) {
			with[connection->group]++;
			waiting[connection->group] += connection->state != LP_UNREAD;
		}
	}
	for (int state = 0; state < LP_CONNECTION_STATES; state++)
		assert_int_equal(connections->counts[state], counts[state]);
	for (unsigned worker = 1; worker <= WORKERS; worker++) {
		waiting[worker] += waiting[WORKERS + worker];
		with[worker] += with[WORKERS + worker];
		assert_int_equal(table->workers.slots[worker - 1].waiting, waiting[worker]);
		assert_int_equal(table->workers.slots[worker - 1].connections, with[worker]);
	}
	assert_int_equal(connections->live, live);
	assert_int_equal(lp_connections_waiting(connections) + lp_connections_in_flight(connections), live);
}

/* Whether a move ends the process. Tried in a child, which must not leave a core. */
static bool is_rejected(struct table *table, struct lp_connection *connection, enum lp_connection_state to,
			unsigned group)
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		lp_connection_move_to(&table->connections, connection, to, group);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static void every_move_from_every_state_is_made_or_rejected(void **state)
{
	(void)state;
	for (int from = LP_DECIDING; from < LP_CONNECTION_STATES; from++)
		for (int to = 0; to < LP_CONNECTION_STATES; to++) {
			struct table table;
			open_table(&table, WORKERS);
			struct lp_connection *connection = make_one(&table, from);
			assert_counted(&table);
			if (may_follow(from, to)) {
				move(&table, connection, to);
				assert_int_equal(connection->state, to);
				assert_counted(&table);
			} else if (!is_rejected(&table, connection, to, group_for(&table, to, 2))) {
				fail_msg("%s becomes %s", lp_connection_state_name(from), lp_connection_state_name(to));
			}
			close_table(&table);
		}
}

static void a_state_without_its_group_is_rejected(void **state)
{
	struct table table;
	(void)state;
	open_table(&table, WORKERS);
	struct lp_connection *connection = make_one(&table, LP_DECIDING);
	unsigned anywhere = lp_connections_anywhere(&table.connections, 0);
	assert_true(is_rejected(&table, connection, LP_QUEUED, 0));
	assert_true(is_rejected(&table, connection, LP_QUEUED, 2 * WORKERS + 1));
	assert_true(is_rejected(&table, connection, LP_QUEUED, anywhere));
	assert_true(is_rejected(&table, connection, LP_HELD, 0));
	assert_true(is_rejected(&table, connection, LP_HELD, table.connections.groups));
	assert_true(is_rejected(&table, connection, LP_LOOKING, 1));
	lp_connection_move_to(&table.connections, connection, LP_HELD, WORKERS);
	close_table(&table);
}

static void a_connection_ends_once_and_as_what_it_was(void **state)
{
	static const struct {
		enum lp_connection_state from;
		bool came_back;
		enum lp_connection_end end;
		enum lp_connection_end expected;
	} ends[] = {
		{LP_DECIDING, false, LP_END_CLOSED_EARLY, LP_END_CLOSED_EARLY},
		{LP_LOOKING, false, LP_END_CLOSED_EARLY, LP_END_CLOSED_EARLY},
		{LP_LOOKING, false, LP_END_REFUSED, LP_END_REFUSED},
		{LP_AWAITING, false, LP_END_CLOSED_EARLY, LP_END_CLOSED_EARLY},
		{LP_PAUSED, true, LP_END_REFUSED, LP_END_REFUSED},
		{LP_HELD, true, LP_END_CLOSED_EARLY, LP_END_CLOSED_EARLY},
		{LP_DUE, true, LP_END_REFUSED, LP_END_REFUSED},
		{LP_QUEUED, true, LP_END_CLOSED_EARLY, LP_END_CLOSED_EARLY},
		{LP_SENT, false, LP_END_CLOSED_EARLY, LP_END_SETTLED},
		{LP_SENT, true, LP_END_CLOSED_EARLY, LP_END_MOVED},
		{LP_ARRIVED, false, LP_END_REFUSED, LP_END_SETTLED},
		{LP_ARRIVED, true, LP_END_REFUSED, LP_END_MOVED},
		{LP_UNREAD, false, LP_END_CLOSED_EARLY, LP_END_SETTLED},
		{LP_UNREAD, true, LP_END_CLOSED_EARLY, LP_END_MOVED},
	};
	struct table table;
	uint64_t expected[LP_CONNECTION_ENDS] = {0};
	(void)state;
	open_table(&table, WORKERS);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct lp_connection *connection = make_one(&table, ends[i].from);
		connection->came_back = ends[i].came_back;
		connection->end = (uint8_t)ends[i].end;
		expected[ends[i].expected]++;
		lp_connection_close(&table.connections, connection);
		assert_memory_equal(table.connections.ended, expected, sizeof(expected));
		assert_counted(&table);
	}
	assert_int_equal(table.workers.slots[1].acknowledged, expected[LP_END_SETTLED]);
	assert_int_equal(table.workers.slots[1].moved, expected[LP_END_MOVED]);
	close_table(&table);
}

static void one_that_lingers_has_ended_already(void **state)
{
	struct table table;
	(void)state;
	open_table(&table, WORKERS);
	struct lp_connection *connection = make_one(&table, LP_DECIDING);
	connection->end = LP_END_REFUSED;
	move(&table, connection, LP_LINGERING);
	assert_int_equal(table.connections.live, 0);
	assert_int_equal(table.connections.ended[LP_END_REFUSED], 1);
	lp_connection_close(&table.connections, connection);
	assert_int_equal(table.connections.ended[LP_END_REFUSED], 1);
	assert_counted(&table);
	close_table(&table);
}

static void lists_are_in_the_order_of_arrival(void **state)
{
	struct table table;
	struct lp_connection *all[4];
	(void)state;
	open_table(&table, WORKERS);
	for (int i = 0; i < 4; i++)
		all[i] = make_one(&table, LP_QUEUED);
	assert_null(lp_connections_first(&table.connections, 1, LP_QUEUED));
	assert_ptr_equal(lp_connections_first(&table.connections, 2, LP_QUEUED), all[0]);
	assert_ptr_equal(lp_connections_last(&table.connections, 2, LP_QUEUED), all[3]);
	for (int i = 0; i < 4; i++) {
		assert_ptr_equal(lp_connections_next(&table.connections, all[i]), i < 3 ? all[i + 1] : NULL);
		assert_ptr_equal(lp_connections_previous(&table.connections, all[i]), i > 0 ? all[i - 1] : NULL);
	}
	move(&table, all[1], LP_DUE);
	assert_ptr_equal(lp_connections_next(&table.connections, all[0]), all[2]);
	close_table(&table);
}

static void what_could_not_be_sent_is_the_next_again(void **state)
{
	struct table table;
	(void)state;
	open_table(&table, WORKERS);
	struct lp_connection *first = make_one(&table, LP_QUEUED);
	make_one(&table, LP_QUEUED);
	move(&table, first, LP_SENDING);
	move(&table, first, LP_QUEUED);
	assert_ptr_equal(lp_connections_first(&table.connections, 2, LP_QUEUED), first);
	close_table(&table);
}

static void each_address_and_each_worker_has_a_list_of_those_held_for_it(void **state)
{
	struct table table;
	(void)state;
	open_table(&table, WORKERS);
	const int addresses[] = {0, 1, LP_WORKERS_ADDRESSES - 1, LP_WORKERS_ADDRESSES};
	unsigned groups[4 + 1];
	for (int i = 0; i < 4; i++)
		groups[i] = lp_connections_anywhere(&table.connections, addresses[i]);
	groups[4] = WORKERS;
	for (int i = 0; i < 5; i++) {
		struct lp_connection *connection = make_one(&table, LP_DECIDING);
		lp_connection_move_to(&table.connections, connection, LP_HELD, groups[i]);
		assert_ptr_equal(lp_connections_first(&table.connections, groups[i], LP_HELD), connection);
		assert_null(lp_connections_next(&table.connections, connection));
	}
	assert_int_equal(lp_connections_anywhere(&table.connections, -1),
			 lp_connections_anywhere(&table.connections, LP_WORKERS_ADDRESSES + 7));
	assert_counted(&table);
	close_table(&table);
}

static void records_are_used_again_and_more_are_taken_when_all_are_in_use(void **state)
{
	struct table table;
	struct lp_connection *all[LP_CHUNK_RECORDS + 1];
	(void)state;
	open_table(&table, WORKERS);
	for (int i = 0; i < LP_CHUNK_RECORDS; i++)
		all[i] = make_one(&table, LP_LOOKING);
	assert_int_equal(table.connections.capacity, LP_CHUNK_RECORDS);
	all[3]->came_back = true;
	lp_connection_close(&table.connections, all[3]);
	struct lp_connection *again = add_connection(&table, -1, 80);
	assert_ptr_equal(again, all[3]); /* The one last used. */
	assert_false(again->came_back);
	all[LP_CHUNK_RECORDS] = make_one(&table, LP_LOOKING);
	assert_int_equal(table.connections.capacity, 2 * LP_CHUNK_RECORDS);
	assert_int_equal(table.connections.counts[LP_GONE], LP_CHUNK_RECORDS - 1);
	close_table(&table);
}

static void without_memory_a_connection_is_counted_as_closed_early(void **state)
{
	struct table table;
	(void)state;
	open_table(&table, WORKERS);
	struct rlimit before;
	getrlimit(RLIMIT_AS, &before);
	const struct rlimit none = {1, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	struct lp_connection *connection = add_connection(&table, -1, 80);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_null(connection);
	assert_int_equal(table.connections.ended[LP_END_CLOSED_EARLY], 1);
	assert_non_null(add_connection(&table, -1, 80));
	close_table(&table);
}

static void on_empty(void *owner)
{
	(*(unsigned *)owner)++;
}

static void the_last_one_to_end_is_told(void **state)
{
	struct table table;
	unsigned told = 0;
	(void)state;
	open_table(&table, WORKERS);
	table.connections.on_empty = on_empty;
	table.connections.owner = &told;
	struct lp_connection *one = make_one(&table, LP_UNREAD);
	struct lp_connection *two = make_one(&table, LP_DECIDING);
	lp_connection_close(&table.connections, one);
	assert_int_equal(told, 0);
	two->end = LP_END_REFUSED;
	move(&table, two, LP_LINGERING);
	assert_int_equal(told, 1);
	lp_connection_close(&table.connections, two);
	assert_int_equal(told, 1);
	close_table(&table);
}

/* Any walk through the table: the equations hold after each step, and nothing is lost. */
static void random_walks_keep_all_counts(void **state)
{
	struct table table;
	uint64_t accepted = 1;
	uint32_t random = 12345;
	(void)state;
	open_table(&table, WORKERS);
	add_connection(&table, -1, 80);
	for (int step = 0; step < 200000; step++) {
		random = random * 1103515245 + 12345;
		if (random >> 30 == 0 && table.connections.counts[LP_GONE] > 1) {
			add_connection(&table, -1, 80);
			accepted++;
		}
		struct lp_connection *connection =
			&table.connections.chunks->records[(random >> 16) % LP_CHUNK_RECORDS];
		enum lp_connection_state to = (random >> 8) % LP_CONNECTION_STATES;
		if (connection->state == LP_GONE) {
			continue;
		} else if (may_follow(connection->state, to)) {
			connection->came_back |= to == LP_DUE && is_with_worker(connection->state);
			move(&table, connection, to);
		}
		if (step % 64 == 0)
			assert_counted(&table);
		uint64_t ended = 0;
		for (int end = 0; end < LP_CONNECTION_ENDS; end++)
			ended += table.connections.ended[end];
		assert_int_equal(accepted, ended + table.connections.live);
	}
	assert_true(accepted > 1000);
	close_table(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_move_from_every_state_is_made_or_rejected),
		cmocka_unit_test(a_state_without_its_group_is_rejected),
		cmocka_unit_test(a_connection_ends_once_and_as_what_it_was),
		cmocka_unit_test(one_that_lingers_has_ended_already),
		cmocka_unit_test(lists_are_in_the_order_of_arrival),
		cmocka_unit_test(what_could_not_be_sent_is_the_next_again),
		cmocka_unit_test(each_address_and_each_worker_has_a_list_of_those_held_for_it),
		cmocka_unit_test(records_are_used_again_and_more_are_taken_when_all_are_in_use),
		cmocka_unit_test(without_memory_a_connection_is_counted_as_closed_early),
		cmocka_unit_test(the_last_one_to_end_is_told),
		cmocka_unit_test(random_walks_keep_all_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
