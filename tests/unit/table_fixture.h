/**
 * A table of connections, with workers and nobody else.
 */
#ifndef TABLE_FIXTURE_H
#define TABLE_FIXTURE_H

#include "connection/connection.h"

enum { TABLE_ORIGINS = 8 };

struct table {
	struct lp_region region;
	struct lp_workers workers;
	struct lp_connections connections;
	struct lp_origin origins[TABLE_ORIGINS]; /* By port, as they are asked for. */
};

static inline void open_table(struct table *table, unsigned workers)
{
	*table = (struct table){0};
	assert_int_equal(lp_workers_init(&table->workers, workers, 1), 0);
	assert_int_equal(lp_connections_open(&table->connections, &table->region, &table->workers), 0);
}

static inline void close_table(struct table *table)
{
	lp_connections_close(&table->connections);
	lp_workers_deinit(&table->workers);
	lp_region_close(&table->region);
}

/* A connection that came in through a port: it is DECIDING. */
static inline struct lp_connection *add_connection(struct table *table, int fd, uint16_t port)
{
	struct lp_origin *origin = table->origins;
	while (origin->name && origin->port != port)
		origin++;
	assert_true(origin < table->origins + TABLE_ORIGINS);
	*origin = (struct lp_origin){.name = "here", .port = port};
	return lp_connections_add(&table->connections, fd, origin);
}

static inline struct lp_connection *queue_connection(struct table *table, int fd, uint16_t port, unsigned worker)
{
	struct lp_connection *connection = add_connection(table, fd, port);
	assert_non_null(connection);
	lp_connection_move_to(&table->connections, connection, LP_QUEUED, worker);
	return connection;
}

#endif
