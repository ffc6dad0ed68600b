/* What goes between a slot and its worker: connections, sessions, counts, and what is done about a worker that takes nothing. */
#include "slot_fixture.h"

#include <errno.h>

static struct lp_slot *open_ready(struct house *house, const struct lp_dialect *dialect)
{
	open_house(house, dialect);
	struct lp_slot *slot = &house->all[0];
	lp_slot_start(slot);
	if (dialect->registers)
		assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
	say_ready(slot, true);
	return slot;
}

static void accept_connection(struct lp_slot *slot, struct lp_connection *connection)
{
	slot->channel.events->on_accepted(&slot->channel, connection);
}

static void return_connection(struct lp_slot *slot, struct lp_connection *connection, enum lp_return_reason reason)
{
	slot->channel.events->on_returned(&slot->channel, connection, reason);
}

static void being_ready_is_logged_once_a_second(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	assert_logged(&house, "worker 1 is ready (pid 1000)");
	uint64_t begun_ns = slot->worker->started_ns;
	house.log.level = LP_LOG_INFO;
	house.now_ns += 999999999u;
	say_ready(slot, false);
	say_ready(slot, true);
	assert_string_equal(logged(&house), "");
	house.now_ns += 1;
	say_ready(slot, false);
	say_ready(slot, true);
	assert_logged(&house, "worker 1 is ready (pid 1000)");
	assert_int_equal(slot->worker->starts, 1);
	assert_int_equal(slot->worker->started_ns, begun_ns);
	close_house(&house);
}

static void a_full_queue_has_room_when_it_is_empty(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	lp_slot_flush(slot); /* There is nothing. */
	assert_int_equal(house.flushes + house.blocked + house.rooms, 0);
	queue_connection(&house.table, dup(STDERR_FILENO), 8080, 1);
	slot->is_full = true;
	lp_slot_update_usable(slot);
	assert_false(slot->worker->usable);
	assert_true(slot->worker->busy);
	lp_slot_flush(slot);
	assert_int_equal(house.flushes, 1);
	assert_int_equal(house.blocked, 1); /* The fake channel sends nothing. */
	assert_true(slot->is_full);
	return_connection(slot, lp_connections_first(&house.table.connections, 1, LP_QUEUED), LP_RETURN_LOST);
	lp_slot_flush(slot);
	assert_false(slot->is_full);
	assert_true(slot->worker->usable);
	assert_int_equal(house.rooms, 1);
	close_house(&house);
}

static void what_is_accepted_is_settled_and_counted(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	accept_connection(slot, send_connection(slot));
	assert_int_equal(house.settled, 1);
	assert_int_equal(slot->worker->connections, 1);
	assert_int_equal(slot->worker->waiting, 0);
	house.counted(&house.slots, 1, 1);
	assert_int_equal(slot->worker->connections, 0);
	house.counted(&house.slots, 1, 1); /* Nobody has fewer than none. */
	assert_int_equal(slot->worker->connections, 0);

	house.count_add_status = -EEXIST; /* It is counted already: it was given back, and came again. */
	accept_connection(slot, send_connection(slot));
	assert_false(slot->uncounted);
	house.count_add_status = -ENOMEM;
	accept_connection(slot, send_connection(slot));
	assert_true(slot->uncounted);
	close_house(&house);
}

static void where_nothing_can_be_counted_limpet_says_so_once(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	house.count_start_status = UV_ENOMEM; /* Which passes. */
	accept_connection(slot, send_connection(slot));
	assert_logged(&house, "open connections cannot be counted");
	house.count_start_status = UV_EPERM;
	accept_connection(slot, send_connection(slot));
	assert_logged(&house, "open connections cannot be counted");
	accept_connection(slot, send_connection(slot));
	assert_string_equal(logged(&house), "");
	assert_true(slot->uncounted);
	assert_int_equal(house.settled, 3);
	close_house(&house);
}

static void one_that_reports_its_connections_is_believed(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	accept_connection(slot, send_connection(slot));
	struct lp_connection *connection = send_connection(slot);
	slot->channel.events->on_open(&slot->channel, 7);
	assert_int_equal(house.forgotten, 1);
	assert_int_equal(slot->worker->connections, 8); /* One is on the way. */
	slot->channel.events->on_open(&slot->channel, 6);
	assert_int_equal(house.forgotten, 1);
	house.count_add_status = -ENOMEM;
	accept_connection(slot, connection);
	assert_false(slot->uncounted);
	close_house(&house);
}

static void what_is_accepted_unread_is_kept_until_it_is_read(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_preload);
	(void)state;
	house.bytes_waiting = 5;
	accept_connection(slot, send_connection(slot));
	assert_int_equal(house.settled, 0);
	for (unsigned i = 0; i < LP_UNREAD_TICKS_MAX * 3;
	     i++) { /* A worker that is stopped does not leave them on purpose. */
		house.is_stopped = true;
		fire(&house.slots.unread.timer);
	}
	assert_int_equal(house.settled, 0);
	house.is_stopped = false;
	for (unsigned i = 0; i < LP_UNREAD_TICKS_MAX; i++)
		fire(&house.slots.unread.timer);
	assert_int_equal(house.settled, 1);

	accept_connection(slot, send_connection(slot));
	house.bytes_waiting = 0;
	fire(&house.slots.unread.timer);
	assert_int_equal(house.settled, 2);
	assert_false(runs(&house.slots.unread.timer));
	close_house(&house);
}

static void a_dead_workers_unread_connections_go_to_others(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_preload);
	(void)state;
	house.bytes_waiting = 5;
	accept_connection(slot, send_connection(slot));
	send_connection(slot);
	end_process(&slot->member, 0, SIGKILL);
	assert_int_equal(house.settled, 0);
	assert_int_equal(house.returned, 2);
	assert_int_equal(house.reason, LP_RETURN_LOST);
	assert_int_equal(slot->worker->connections, 0);
	close_house(&house);
}

static void what_a_dead_worker_has_read_is_its_own(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_preload);
	(void)state;
	house.bytes_waiting = 5;
	accept_connection(slot, send_connection(slot));
	send_connection(slot); /* It has not come to say so. */
	house.tcp_use = LP_TCP_USED;
	end_process(&slot->member, 0, SIGKILL);
	assert_int_equal(house.settled, 2);
	assert_int_equal(house.returned, 0);
	close_house(&house);
}

static struct lp_connection *said_last;

static void acknowledge_last(struct lp_slot *slot)
{
	accept_connection(slot, said_last);
	slot->channel.events->on_session(&slot->channel, LP_SLICE("late"), true);
}

static void a_dead_workers_last_words_count(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	said_last = send_connection(slot);
	send_connection(slot);
	house.say_last = acknowledge_last;
	end_process(&slot->process, 0, SIGKILL);
	assert_int_equal(house.settled, 1);
	assert_int_equal(house.returned, 1);
	assert_int_equal(house.sessions_named, 1);
	assert_int_equal(lp_sessions_peek(house.slots.config.sessions, LP_SLICE("late")), 0); /* It died with it. */
	assert_int_equal(house.rests_killed, 1); /* Somebody still had the channel. */
	close_house(&house);
}

static void end_last(struct lp_slot *slot)
{
	end_channel(slot, false);
}

static void nobody_is_killed_when_the_channel_ends_with_its_worker(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	house.say_last = end_last;
	end_process(&slot->process, 0, SIGKILL);
	assert_int_equal(house.rests_killed, 0);
	assert_int_equal(house.channels_closed, 1);
	assert_int_equal(slot->worker_state, LP_WORKER_LEAVING);
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE));
	close_house(&house);
}

/* Sessions */

static void sessions_are_bound_moved_and_forgotten(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	struct lp_sessions *sessions = house.slots.config.sessions;
	(void)state;
	lp_slot_start(&house.all[1]);
	lp_slot_on_session(slot, LP_SLICE("abcdef"), true);
	assert_int_equal(lp_sessions_peek(sessions, LP_SLICE("abcdef")), 1);
	lp_slot_on_session(slot, LP_SLICE("abcdef"), true); /* Twice is no move. */
	assert_int_equal(house.slots.sessions_moved, 0);
	lp_slot_on_session(&house.all[1], LP_SLICE("abcdef"), true);
	assert_int_equal(house.slots.sessions_moved, 1);
	assert_logged(&house, "worker 2 (pid 1001) claims the session abcd… of worker 1 (pid 1000), which is alive");
	lp_slot_on_session(slot, LP_SLICE("abcdef"), false); /* It is another's by now. */
	assert_int_equal(lp_sessions_peek(sessions, LP_SLICE("abcdef")), 2);
	lp_slot_on_session(&house.all[1], LP_SLICE("abcdef"), false);
	assert_int_equal(lp_sessions_peek(sessions, LP_SLICE("abcdef")), 0);
	assert_int_equal(house.sessions_named, 3);
	close_house(&house);
}

static void a_session_that_cannot_be_kept_is_logged(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	char key[4096];
	(void)state;
	memset(key, 'k', sizeof(key));
	lp_slot_on_session(slot, (struct lp_slice){key, sizeof(key)}, true);
	assert_logged(&house, "worker 1: a session of 4096 bytes cannot be kept: ");
	assert_int_equal(house.sessions_named, 0);
	close_house(&house);
}

/* Workers that take nothing */

static void tick(struct house *house, unsigned ticks)
{
	while (ticks--)
		fire(&house->slots.stuck.timer);
}

static struct lp_slot *open_stuck(struct house *house)
{
	struct lp_slot *slot = open_ready(house, &lp_dialect_native);
	send_connection(slot);
	lp_stuck_begin(slot);
	tick(house, house->slots.stuck.eject_ticks - 1);
	assert_int_equal(slot->patience.state, LP_PATIENCE_FINE);
	logged(house);
	tick(house, 1);
	assert_int_equal(slot->patience.state, LP_PATIENCE_EJECTED);
	return slot;
}

static void one_that_takes_nothing_gets_nothing_until_it_takes_again(void **state)
{
	struct house house;
	struct lp_slot *slot = open_stuck(&house);
	(void)state;
	assert_logged(&house, "worker 1 (pid 1000) has not taken a connection for 1 s: no new ones go to it");
	assert_true(slot->worker->stuck);
	assert_true(slot->worker->busy);
	assert_false(slot->worker->usable);
	assert_int_equal(house.down[1], 0); /* It is ready still. */
	accept_connection(slot, lp_connections_first(&house.table.connections, 1, LP_SENT));
	assert_int_equal(slot->patience.state, LP_PATIENCE_FINE);
	assert_true(slot->worker->usable);
	assert_int_equal(house.rooms, 1);
	assert_logged(&house, "worker 1 (pid 1000) takes connections again");
	tick(&house, 1); /* There is nothing to take. */
	assert_false(runs(&house.slots.stuck.timer));
	assert_int_equal(house.slots.stuck.ejections, 1);
	close_house(&house);
}

static void giving_back_is_a_sign_of_life_and_the_end_of_its_channel_is_none(void **state)
{
	struct house house;
	struct lp_slot *slot = open_stuck(&house);
	(void)state;
	struct lp_connection *connection = lp_connections_first(&house.table.connections, 1, LP_SENT);
	send_connection(slot);
	return_connection(slot, connection, LP_RETURN_REFUSED);
	assert_int_equal(slot->patience.state, LP_PATIENCE_FINE);
	tick(&house, house.slots.stuck.eject_ticks);
	assert_int_equal(slot->patience.state, LP_PATIENCE_EJECTED);
	connection = lp_connections_first(&house.table.connections, 1, LP_SENT);
	send_connection(slot);
	return_connection(slot, connection, LP_RETURN_NO_SERVER);
	assert_int_equal(slot->patience.state, LP_PATIENCE_EJECTED);
	end_channel(slot, false);
	assert_int_equal(slot->patience.state, LP_PATIENCE_FINE);
	assert_false(slot->worker->stuck);
	assert_false(slot->worker->usable);
	close_house(&house);
}

/* It may be ready again; that is no sign that it takes anything. */
static void one_that_is_unready_meanwhile_is_ejected_still(void **state)
{
	struct house house;
	struct lp_slot *slot = open_stuck(&house);
	(void)state;
	say_ready(slot, false);
	assert_false(slot->worker->busy);
	say_ready(slot, true);
	assert_false(slot->worker->usable);
	assert_int_equal(slot->patience.state, LP_PATIENCE_EJECTED);
	assert_int_equal(house.slots.stuck.ejections, 1);
	close_house(&house);
}

static void one_that_goes_on_taking_nothing_is_killed(void **state)
{
	struct house house;
	struct lp_slot *slot = open_stuck(&house);
	(void)state;
	tick(&house, house.slots.stuck.kill_ticks - house.slots.stuck.eject_ticks);
	assert_logged(&house, "worker 1 (pid 1000) has not taken a connection for 5 s: it is killed");
	assert_int_equal(slot->patience.state, LP_PATIENCE_KILLED);
	assert_int_equal(house.last.signal, SIGKILL);
	tick(&house, 3);
	assert_int_equal(house.slots.stuck.kills, 1);
	accept_connection(slot, lp_connections_first(&house.table.connections, 1, LP_SENT)); /* Too late. */
	assert_int_equal(slot->patience.state, LP_PATIENCE_KILLED);
	assert_false(slot->worker->usable);
	end_process(&slot->process, 0, SIGKILL);
	assert_int_equal(slot->patience.state, LP_PATIENCE_FINE);
	close_house(&house);
}

static void take_one(struct lp_slot *slot)
{
	struct lp_connection *connection = lp_connections_first(&here->table.connections, 1, LP_SENT);
	if (connection)
		accept_connection(slot, connection);
}

/* When it was limpet that was slow, its word is here and unread. */
static void a_worker_is_heard_before_it_is_judged(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	send_connection(slot);
	send_connection(slot);
	lp_stuck_begin(slot);
	house.say = take_one;
	tick(&house, house.slots.stuck.eject_ticks);
	assert_int_equal(house.settled, 1);
	assert_int_equal(slot->patience.state, LP_PATIENCE_FINE);
	tick(&house, house.slots.stuck.eject_ticks);
	assert_int_equal(house.settled, 2);
	assert_int_equal(house.slots.stuck.ejections, 0);
	close_house(&house);
}

static void one_whose_program_has_ended_is_judged_as_well(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_preload);
	(void)state;
	end_process(&slot->process, 0, 0);
	close_handles(slot);
	send_connection(slot);
	lp_stuck_begin(slot);
	tick(&house, house.slots.stuck.eject_ticks);
	assert_int_equal(slot->patience.state, LP_PATIENCE_EJECTED);
	close_house(&house);
}

static void a_worker_is_silent_when_it_is_stopped_or_takes_nothing(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	assert_false(lp_slot_is_silent(&house.slots.unread, 1));
	assert_false(lp_slot_is_silent(&house.slots.unread, 3)); /* There is none. */
	house.is_stopped = true;
	assert_true(lp_slot_is_silent(&house.slots.unread, 1));
	house.is_stopped = false;
	send_connection(slot);
	lp_stuck_begin(slot);
	tick(&house, 2);
	assert_true(lp_slot_is_silent(&house.slots.unread, 1));
	close_house(&house);
}

/* What else it says */

static void news_go_to_whom_they_concern(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	const struct lp_channel_events *events = slot->channel.events;
	(void)state;
	events->on_message(&slot->channel, &(struct lp_message){0});
	events->on_frame(&slot->channel, &(struct lp_frame){0});
	events->on_share(&slot->channel, LP_SLICE("name"), LP_SLICE("value"));
	assert_int_equal(house.broker_words, 3);
	events->on_sending(&slot->channel, send_connection(slot));
	assert_int_equal(house.sending, 1);
	events->on_listen(&slot->channel, 0, true);
	assert_int_equal(house.rooms, 1);
	events->on_listen(&slot->channel, 0, false);
	assert_int_equal(house.rooms, 1);
	assert_int_equal(events->on_placeholder(&slot->channel, NULL, 0), UV_ENOTSUP);
	events->on_answered(&slot->channel);
	events->on_bounced(&slot->channel, 99);
	assert_int_equal(house.bounced, 1);
	assert_true(lp_slot_can_hear(slot));
	end_channel(slot, false);
	assert_int_equal(house.broker_leaves, 1);
	assert_false(lp_slot_can_hear(slot));
	assert_false(lp_slot_post(&house.slots, 1, LP_SLICE("lost")));
	close_house(&house);
}

static void a_connection_that_comes_back_between_requests_is_counted_no_more(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_native);
	(void)state;
	accept_connection(slot, send_connection(slot));
	house.removed_of = 1;
	slot->channel.events->on_bounced(&slot->channel, 99);
	assert_int_equal(slot->worker->connections, 0);
	house.removed_of = 0; /* Nobody's. */
	slot->channel.events->on_bounced(&slot->channel, 99);
	assert_int_equal(house.bounced, 2);
	close_house(&house);
}

static void that_node_has_another_parent_is_logged_once(void **state)
{
	struct house house;
	struct lp_slot *slot = open_ready(&house, &lp_dialect_node);
	(void)state;
	logged(&house);
	slot->channel.events->on_parents_channel(&slot->channel);
	assert_logged(&house, "has Node's channel from the program that started it");
	slot->channel.events->on_parents_channel(&slot->channel);
	assert_string_equal(logged(&house), "");
	assert_false(lp_slot_post(&house.slots, 1, LP_SLICE("lost"))); /* Nobody speaks for it. */
	end_channel(slot, false);
	assert_int_equal(house.broker_leaves, 0); /* Who speaks for it is still there. */
	close_house(&house);
}

static unsigned told_each;

static void note_each(struct lp_channel *channel, unsigned each)
{
	(void)channel;
	told_each = each;
}

static void a_ready_worker_is_told_what_to_give_back(void **state)
{
	struct house house;
	struct lp_dialect dialect = lp_dialect_native;
	(void)state;
	dialect.tell_each = note_each;
	told_each = 0;
	struct lp_slot *slot = open_ready(&house, &dialect);
	assert_int_equal(told_each, 0);
	house.slots.each = LP_EACH_REQUEST;
	say_ready(slot, true);
	assert_int_equal(told_each, LP_EACH_REQUEST);
	close_house(&house);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(being_ready_is_logged_once_a_second),
		cmocka_unit_test(a_full_queue_has_room_when_it_is_empty),
		cmocka_unit_test(what_is_accepted_is_settled_and_counted),
		cmocka_unit_test(where_nothing_can_be_counted_limpet_says_so_once),
		cmocka_unit_test(one_that_reports_its_connections_is_believed),
		cmocka_unit_test(what_is_accepted_unread_is_kept_until_it_is_read),
		cmocka_unit_test(a_dead_workers_unread_connections_go_to_others),
		cmocka_unit_test(what_a_dead_worker_has_read_is_its_own),
		cmocka_unit_test(a_dead_workers_last_words_count),
		cmocka_unit_test(nobody_is_killed_when_the_channel_ends_with_its_worker),
		cmocka_unit_test(sessions_are_bound_moved_and_forgotten),
		cmocka_unit_test(a_session_that_cannot_be_kept_is_logged),
		cmocka_unit_test(one_that_takes_nothing_gets_nothing_until_it_takes_again),
		cmocka_unit_test(giving_back_is_a_sign_of_life_and_the_end_of_its_channel_is_none),
		cmocka_unit_test(one_that_is_unready_meanwhile_is_ejected_still),
		cmocka_unit_test(one_that_goes_on_taking_nothing_is_killed),
		cmocka_unit_test(a_worker_is_heard_before_it_is_judged),
		cmocka_unit_test(one_whose_program_has_ended_is_judged_as_well),
		cmocka_unit_test(a_worker_is_silent_when_it_is_stopped_or_takes_nothing),
		cmocka_unit_test(news_go_to_whom_they_concern),
		cmocka_unit_test(a_connection_that_comes_back_between_requests_is_counted_no_more),
		cmocka_unit_test(that_node_has_another_parent_is_logged_once),
		cmocka_unit_test(a_ready_worker_is_told_what_to_give_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
