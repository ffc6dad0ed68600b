/*
 * The look, every tick, only asks whether bytes wait: none do once the worker has read, which mostly has happened by the
 * first tick. A client that has sent nothing yet is let go of then, too. The proof (tcp_unread.c) is for dead workers.
 *
 * A worker that runs and leaves the bytes where they are does so on purpose, or has closed the connection, whose client
 * then waits for us. One that does not run (silent) may be killed before it comes to read: there we wait with it.
 */
#include "worker/unread.h"

static void look_at(struct lp_unread *unread, struct lp_connection *connection)
{
	bool late = ++connection->ticks >= LP_UNREAD_TICKS_MAX;
	if (lp_bytes_waiting(connection->fd) == 0 || (late && !unread->silent(unread, connection->group)))
		unread->settled(unread, connection);
	else if (late)
		connection->ticks = 0;
}

static void look_at_all_of(struct lp_unread *unread, unsigned worker)
{
	struct lp_connection *connection = lp_connections_first(unread->connections, worker, LP_UNREAD);
	while (connection) {
		struct lp_connection *next = lp_connections_next(unread->connections, connection);
		look_at(unread, connection);
		connection = next;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct lp_unread *unread = timer->data;
	for (unsigned worker = 1; worker <= unread->connections->workers->count; worker++)
		look_at_all_of(unread, worker);
	if (!unread->connections->counts[LP_UNREAD])
		uv_timer_stop(timer);
}

void lp_unread_init(struct lp_unread *unread, uv_loop_t *loop, struct lp_connections *connections, lp_unread_cb settled,
		    lp_unread_cb left, lp_unread_silent_cb silent, void *owner)
{
	*unread = (struct lp_unread){
		.connections = connections, .settled = settled, .left = left, .silent = silent, .owner = owner};
	uv_timer_init(loop, &unread->timer);
	unread->timer.data = unread;
}

void lp_unread_keep(struct lp_unread *unread, struct lp_connection *connection)
{
	connection->ticks = 0;
	lp_connection_move(unread->connections, connection, LP_UNREAD);
	if (!uv_is_active((uv_handle_t *)&unread->timer))
		uv_timer_start(&unread->timer, on_tick, LP_UNREAD_TICK_MS, LP_UNREAD_TICK_MS);
}

void lp_unread_worker_ended(struct lp_unread *unread, unsigned worker)
{
	struct lp_connection *connection;
	while ((connection = lp_connections_first(unread->connections, worker, LP_UNREAD)))
		if (lp_tcp_use_since(connection->fd, &connection->baseline) == LP_TCP_UNREAD)
			unread->left(unread, connection);
		else
			unread->settled(unread, connection);
}
