/* How workers end when limpet stops: each of the four states of shutdown.c, and who is told when. */
#include "slot_fixture.h"

/* A program in the first slot, and a worker of its in the one without a program. */
static struct lp_slot *open_with_worker(struct house *house, bool handles_sigterm)
{
	open_house(house, &lp_dialect_preload);
	struct lp_slot *worker = &house->all[PROGRAMS];
	lp_slot_start(&house->all[0]);
	house->sid = FIRST_PID;
	assert_int_equal(register_worker(worker, MEMBER_PID, 99), 0);
	say_ready(worker, true);
	worker->handles_sigterm = handles_sigterm;
	return worker;
}

static void stop(struct house *house)
{
	house->slots.stopping = true;
	for (unsigned i = 0; i < SLOTS; i++)
		lp_slot_finish(&house->all[i]);
	lp_shutdown_advance(&house->slots);
}

static void assert_hurrying(const struct lp_slot *slot)
{
	assert_int_equal(slot->finish, LP_FINISH_HURRYING);
	assert_true(slot_timer_runs(slot, LP_SLOT_TIMER_FINISH));
	assert_int_equal(find_timer(&slot->timers[LP_SLOT_TIMER_FINISH])->timeout_ms, 500);
}

static void one_that_handles_sigterm_is_told_at_once_behind_its_program(void **state)
{
	struct house house;
	struct lp_slot *worker = open_with_worker(&house, true);
	(void)state;
	worker->worker->connections = 5;
	stop(&house);
	assert_int_equal(worker->finish, LP_FINISH_TOLD);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_TOLD);
	assert_int_equal(house.last.count, 2);
	assert_int_equal(house.last.pid, MEMBER_PID);
	assert_int_equal(house.last.signal, SIGTERM);
	assert_int_equal(house.drains, 1);
	lp_shutdown_advance(&house.slots); /* Once is enough. */
	assert_int_equal(house.last.count, 2);

	end_process(&worker->member, 0, 0); /* The next would be untold. */
	assert_int_equal(worker->finish, LP_FINISH_UNTOLD);
	close_house(&house);
}

static void what_is_on_the_way_is_waited_for(void **state)
{
	struct house house;
	struct lp_slot *worker = open_with_worker(&house, true);
	(void)state;
	struct lp_connection *connection = send_connection(worker);
	stop(&house);
	assert_hurrying(worker);
	assert_int_equal(house.last.count, 0); /* Nor its program. */
	worker->channel.events->on_accepted(&worker->channel, connection);
	assert_int_equal(worker->finish, LP_FINISH_TOLD);
	assert_false(slot_timer_runs(worker, LP_SLOT_TIMER_FINISH));
	assert_int_equal(house.last.count, 2);
	lp_unread_worker_ended(&house.slots.unread, worker->worker->id);
	close_house(&house);
}

static void but_not_for_long(void **state)
{
	struct house house;
	struct lp_slot *worker = open_with_worker(&house, true);
	(void)state;
	send_connection(worker);
	stop(&house);
	lp_shutdown_advance_slot(worker); /* Does not begin it anew. */
	assert_hurrying(worker);
	fire(&worker->timers[LP_SLOT_TIMER_FINISH]);
	assert_int_equal(worker->finish, LP_FINISH_TOLD);
	assert_int_equal(house.last.count, 2);
	end_channel(worker, false);
	close_house(&house);
}

static void one_that_would_drop_its_clients_is_told_when_the_last_has_gone(void **state)
{
	struct house house;
	struct lp_slot *worker = open_with_worker(&house, false);
	(void)state;
	worker->worker->connections = 1;
	stop(&house);
	assert_int_equal(worker->finish, LP_FINISH_UNTOLD);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_READY);
	worker->worker->connections = 0;
	lp_slot_end_if_idle(worker);
	assert_int_equal(worker->finish, LP_FINISH_TOLD);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_TOLD);
	close_house(&house);
}

static void what_it_says_of_sigterm_may_come_late(void **state)
{
	struct house house;
	struct lp_slot *worker = open_with_worker(&house, false);
	(void)state;
	worker->worker->connections = 1;
	stop(&house);
	worker->channel.events->on_sigterm(&worker->channel, true);
	assert_int_equal(worker->finish, LP_FINISH_TOLD);
	close_house(&house);
}

/* Node's worker is told by its channel. When it has hung up it may end by itself, and gets a moment for that. */
static void a_node_worker_hangs_up_first(void **state)
{
	struct house house;
	struct lp_node_process node = {.pid = MEMBER_PID, .works = true, .open = true};
	struct lp_slot *worker = open_with_worker(&house, false);
	(void)state;
	worker->node = &node;
	stop(&house);
	assert_int_equal(house.node_drains, 2); /* Its program's slot, too. */
	assert_int_equal(worker->finish, LP_FINISH_UNTOLD);
	worker->node = NULL;
	lp_slot_hang_up(worker);
	lp_slot_end_if_idle(worker);
	assert_hurrying(worker);
	assert_int_equal(house.last.count, 0);
	fire(&worker->timers[LP_SLOT_TIMER_FINISH]);
	assert_int_equal(worker->finish, LP_FINISH_TOLD);
	close_house(&house);
}

static void a_program_without_workers_is_told_at_once(void **state)
{
	struct house house;
	(void)state;
	open_house(&house, &lp_dialect_preload);
	lp_slot_start(&house.all[0]);
	stop(&house);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_TOLD);
	assert_int_equal(house.last.pid, FIRST_PID);
	assert_false(house.last.group); /* It ends what it has started as it means to. */
	end_process(&house.all[0].process, 0, SIGTERM);
	assert_logged(&house, "server (pid 1000) ended, as told");
	close_handles(&house.all[0]);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_ENDED);
	uv_run(&house.loop, UV_RUN_NOWAIT);
	assert_int_equal(house.ended, SLOTS);
	close_house(&house);
}

static void a_program_that_is_the_worker_itself_is_told_once(void **state)
{
	struct house house;
	(void)state;
	open_house(&house, &lp_dialect_preload);
	struct lp_slot *slot = &house.all[0];
	lp_slot_start(slot);
	house.sid = FIRST_PID;
	assert_int_equal(register_worker(slot, FIRST_PID, 99), 0);
	say_ready(slot, true);
	slot->worker->connections = 1;
	stop(&house);
	assert_int_equal(house.last.count, 0);
	slot->worker->connections = 0;
	lp_slot_end_if_idle(slot);
	assert_int_equal(slot->finish, LP_FINISH_TOLD);
	assert_int_equal(house.last.count, 1);
	close_house(&house);
}

static void what_a_program_left_behind_ends_when_its_workers_can(void **state)
{
	struct house house;
	struct lp_slot *worker = open_with_worker(&house, false);
	(void)state;
	worker->worker->connections = 1;
	house.has_left = true;
	end_process(&house.all[0].process, 0, 0);
	close_handles(&house.all[0]);
	stop(&house);
	assert_int_equal(house.sessions_ended, 0);
	worker->worker->connections = 0;
	lp_slot_end_if_idle(worker);
	assert_int_equal(house.sessions_ended, 1);
	assert_int_equal(worker->finish, LP_FINISH_TOLD);
	end_session(&house.all[0]);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_ENDED);
	close_house(&house);
}

/* Also a worker whose program has ended gets the user's signal. */
static void the_users_signal_is_all_that_is_sent(void **state)
{
	struct house house;
	struct lp_slot *worker = open_with_worker(&house, true);
	(void)state;
	house.slots.config.stop_signal = SIGQUIT;
	stop(&house);
	assert_int_equal(house.last.pid, FIRST_PID);
	assert_int_equal(house.last.signal, SIGQUIT);
	assert_int_equal(house.last.count, 1);
	assert_int_equal(worker->finish, LP_FINISH_UNTOLD);
	lp_slot_end_if_idle(worker);
	assert_int_equal(house.last.count, 1);
	close_house(&house);

	open_with_worker(&house, true);
	house.slots.config.stop_signal = SIGQUIT;
	end_process(&house.all[0].process, 0, 0);
	stop(&house);
	assert_int_equal(house.last.pid, MEMBER_PID);
	assert_int_equal(house.last.signal, SIGQUIT);
	close_house(&house);
}

static void with_a_channel_from_us_it_is_told_by_that(void **state)
{
	struct house house;
	(void)state;
	open_house(&house, &lp_dialect_native);
	struct lp_slot *slot = &house.all[0];
	lp_slot_start(slot);
	lp_slot_start(&house.all[1]);
	say_ready(slot, true);
	stop(&house);
	assert_int_equal(house.drains, 2);
	assert_int_equal(house.last.pid, FIRST_PID + 1); /* The other was never ready, and has nothing to finish. */
	assert_int_equal(house.last.count, 1);
	assert_int_equal(slot->finish, LP_FINISH_UNTOLD);

	slot->worker->connections = 1;
	end_channel(slot, false);
	assert_int_equal(slot->finish, LP_FINISH_UNTOLD);
	slot->worker->connections = 0;
	lp_slot_end_if_idle(slot);
	assert_hurrying(slot);
	fire(&slot->timers[LP_SLOT_TIMER_FINISH]);
	assert_int_equal(slot->finish, LP_FINISH_TOLD);
	assert_int_equal(house.last.pid, FIRST_PID);
	assert_int_equal(house.last.signal, SIGTERM);
	lp_slot_end_if_idle(slot);
	assert_int_equal(house.last.count, 2);
	end_process(&slot->process, 0, 0);
	close_handles(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_ENDED);
	close_house(&house);
}

/* What pm2's programs know. They have all their time. */
static void one_that_is_told_by_message_has_all_its_time(void **state)
{
	struct house house;
	struct lp_dialect dialect = lp_dialect_native;
	(void)state;
	dialect.says_shutdown = true;
	open_house(&house, &dialect);
	struct lp_slot *slot = &house.all[0];
	lp_slot_start(slot);
	say_ready(slot, true);
	stop(&house);
	end_channel(slot, false);
	assert_int_equal(slot->finish, LP_FINISH_UNTOLD);
	assert_int_equal(house.last.count, 0);
	close_house(&house);
}

/* What was to end one of them when limpet began to stop is forgotten: now all end. */
static void other_timers_are_stopped(void **state)
{
	struct house house;
	(void)state;
	open_house(&house, &lp_dialect_native);
	struct lp_slot *slot = &house.all[0];
	lp_slot_start(slot);
	say_ready(slot, true);
	end_channel(slot, true);
	assert_true(slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE));
	lp_slot_start(&house.all[1]);
	end_process(&house.all[1].process, 1, 0);
	close_handles(&house.all[1]);
	assert_true(slot_timer_runs(&house.all[1], LP_SLOT_TIMER_START));
	stop(&house);
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE));
	assert_hurrying(slot); /* It has no channel, and no connection. */
	assert_int_equal(house.all[1].program_state, LP_PROGRAM_ENDED);
	assert_false(slot_timer_runs(&house.all[1], LP_SLOT_TIMER_START));
	lp_slot_cut_off(slot); /* Nobody is any more. */
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE));
	close_house(&house);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_handles_sigterm_is_told_at_once_behind_its_program),
		cmocka_unit_test(what_is_on_the_way_is_waited_for),
		cmocka_unit_test(but_not_for_long),
		cmocka_unit_test(one_that_would_drop_its_clients_is_told_when_the_last_has_gone),
		cmocka_unit_test(what_it_says_of_sigterm_may_come_late),
		cmocka_unit_test(a_node_worker_hangs_up_first),
		cmocka_unit_test(a_program_without_workers_is_told_at_once),
		cmocka_unit_test(a_program_that_is_the_worker_itself_is_told_once),
		cmocka_unit_test(what_a_program_left_behind_ends_when_its_workers_can),
		cmocka_unit_test(the_users_signal_is_all_that_is_sent),
		cmocka_unit_test(with_a_channel_from_us_it_is_told_by_that),
		cmocka_unit_test(one_that_is_told_by_message_has_all_its_time),
		cmocka_unit_test(other_timers_are_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
