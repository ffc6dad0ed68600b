/*
 * The look, every tick, only asks whether bytes wait: none do once the worker has read, which mostly has happened by the
 * first tick. A client that has sent nothing yet is let go of then, too. The proof (tcp_unread.c) is for dead workers.
 *
 * A worker that runs and leaves the bytes where they are does so on purpose, or has closed the connection, whose client
 * then waits for us. One that does not run (silent) may be killed before it comes to read: there we wait with it.
 */
#include "worker/taken.h"

#include "worker/tcp_unread.h"

static void settle(struct lp_taken *taken, struct lp_parcel *parcel)
{
	lp_list_remove(&parcel->link);
	taken->settled(taken, parcel);
}

static void on_tick(uv_timer_t *timer)
{
	struct lp_taken *taken = timer->data;
	struct lp_list *next;
	for (struct lp_list *link = taken->parcels.next; link != &taken->parcels; link = next) {
		struct lp_parcel *parcel = LP_LIST_OWNER(link, struct lp_parcel, link);
		next = link->next;
		bool late = ++parcel->ticks >= LP_TAKEN_TICKS_MAX;
		if (lp_bytes_waiting(parcel->fd) == 0 || (late && !taken->silent(taken, parcel->worker)))
			settle(taken, parcel);
		else if (late)
			parcel->ticks = 0;
	}
	if (lp_list_empty(&taken->parcels))
		uv_timer_stop(timer);
}

void lp_taken_init(struct lp_taken *taken, uv_loop_t *loop, lp_taken_settled_cb settled, lp_taken_silent_cb silent,
		   void *owner)
{
	*taken = (struct lp_taken){.settled = settled, .silent = silent, .owner = owner};
	lp_list_init(&taken->parcels);
	uv_timer_init(loop, &taken->timer);
	taken->timer.data = taken;
}

void lp_taken_add(struct lp_taken *taken, struct lp_parcel *parcel)
{
	parcel->ticks = 0;
	lp_list_append(&taken->parcels, &parcel->link);
	if (!uv_is_active((uv_handle_t *)&taken->timer))
		uv_timer_start(&taken->timer, on_tick, LP_TAKEN_TICK_MS, LP_TAKEN_TICK_MS);
}

void lp_taken_leave(struct lp_taken *taken, unsigned worker, struct lp_list *unread)
{
	struct lp_list *next;
	for (struct lp_list *link = taken->parcels.next; link != &taken->parcels; link = next) {
		struct lp_parcel *parcel = LP_LIST_OWNER(link, struct lp_parcel, link);
		next = link->next;
		if (parcel->worker != worker)
			continue;
		if (lp_tcp_use_since(parcel->fd, &parcel->baseline) == LP_TCP_UNREAD) {
			lp_list_remove(&parcel->link);
			lp_list_append(unread, &parcel->link);
		} else {
			settle(taken, parcel);
		}
	}
}
