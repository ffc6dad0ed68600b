/* The supervisor: how all workers end in steps, when it gives up on the start, and what it knows of a turn of the loop. */
#include "slot_fixture.h"

enum { GRACE_MS = 5000, START_TIMEOUT_MS = 3000 };

static char true_command[] = "/bin/true"; /* It exists; nothing is started. */
static char *const command[] = {true_command, NULL};

static unsigned told_each;

static void note_each(struct lp_channel *channel, unsigned each)
{
	(void)channel;
	told_each = each;
}

static struct lp_supervisor *open_supervisor(struct house *house)
{
	static struct lp_dialect dialect;
	struct lp_supervisor *supervisor;
	struct lp_error error;
	dialect = lp_dialect_native;
	dialect.tell_each = note_each;
	open_house(house, &dialect);
	struct lp_supervisor_config config = house->slots.config;
	config.command = command;
	config.start_timeout_ms = START_TIMEOUT_MS;
	assert_int_equal(lp_supervisor_start(&supervisor, &config, &error), 0);
	assert_int_equal(lp_supervisor_starts(supervisor), PROGRAMS);
	logged(house);
	return supervisor;
}

/* Its slots are its first member. */
static struct lp_slot *slot_of(struct lp_supervisor *supervisor, unsigned id)
{
	return &((struct lp_slots *)supervisor)->all[id - 1];
}

static struct fake_timer *find_running(uint64_t timeout_ms)
{
	for (struct fake_timer *fake = here->timers; fake->timer; fake++)
		if (fake->active && fake->timeout_ms == timeout_ms)
			return fake;
	return NULL;
}

static void fire_running(uint64_t timeout_ms)
{
	struct fake_timer *fake = find_running(timeout_ms);
	assert_non_null(fake);
	fire((uv_timer_t *)fake->timer);
}

static void end_all(struct lp_supervisor *supervisor)
{
	for (unsigned id = 1; id <= PROGRAMS; id++) {
		struct lp_slot *slot = slot_of(supervisor, id);
		if (slot->process.pid)
			end_process(&slot->process, 0, 0);
		close_handles(slot);
	}
}

static void close_supervisor(struct house *house, struct lp_supervisor *supervisor)
{
	assert_int_equal(house->stopped, 0);
	end_all(supervisor);
	while (!house->stopped)
		uv_run(&house->loop, UV_RUN_NOWAIT);
	assert_int_equal(lp_supervisor_exits(supervisor), lp_supervisor_starts(supervisor));
	lp_supervisor_free(supervisor);
	close_house(house);
}

static void all_workers_end_in_steps(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	say_ready(slot_of(supervisor, 1), true);
	say_ready(slot_of(supervisor, 2), true);
	lp_supervisor_stop(supervisor, GRACE_MS);
	assert_int_equal(house.drains, 2);
	assert_int_equal(house.last.count, 0);
	logged(&house);
	fire_running(GRACE_MS);
	assert_logged(&house,
		      "2 processes (with 0 clients) have not finished in time (--drain-timeout 5 s): SIGTERM now, "
		      "SIGKILL in 2 s");
	assert_int_equal(house.last.count, 2);
	assert_int_equal(house.last.signal, SIGTERM);
	fire_running(LP_SLOT_TERM_MS);
	assert_int_equal(house.last.count, 4);
	assert_int_equal(house.last.signal, SIGKILL);
	close_supervisor(&house, supervisor);
}

static void a_second_call_shortens_the_grace(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	say_ready(slot_of(supervisor, 1), true);
	say_ready(slot_of(supervisor, 2), true);
	lp_supervisor_stop(supervisor, GRACE_MS);
	lp_supervisor_stop(supervisor, GRACE_MS - 1);
	assert_null(find_running(GRACE_MS));
	assert_non_null(find_running(GRACE_MS - 1));
	lp_supervisor_stop(supervisor, 0);
	assert_int_equal(house.last.count, 2);
	assert_int_equal(house.last.signal, SIGKILL);
	lp_supervisor_stop(supervisor, GRACE_MS); /* It is no longer a question of grace. */
	assert_null(find_running(GRACE_MS));
	assert_int_equal(house.drains, 2); /* All are told once. */
	close_supervisor(&house, supervisor);
}

static void the_log_says_whom_it_waits_for_when_that_has_changed(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	say_ready(slot_of(supervisor, 1), true);
	say_ready(slot_of(supervisor, 2), true);
	slot_of(supervisor, 1)->worker->connections = 2;
	lp_supervisor_stop(supervisor, GRACE_MS);
	logged(&house);
	fire_running(200);
	assert_logged(&house, "1 worker has 2 clients; press again");
	fire_running(2000);
	assert_string_equal(logged(&house), "");
	slot_of(supervisor, 1)->worker->connections = 0;
	fire_running(2000);
	assert_logged(&house, "no clients are left, but 2 processes have not ended yet");
	for (uint64_t next_ms = 4000; next_ms < 8000; next_ms *= 2)
		fire_running(next_ms);
	end_process(&slot_of(supervisor, 1)->process, 0, 0);
	logged(&house);
	fire_running(4000);
	assert_logged(&house, "no clients are left, but 1 process has not ended yet");
	fire_running(8000); /* And that is the longest. */
	close_supervisor(&house, supervisor);
}

static void fail_until_failing(struct lp_supervisor *supervisor)
{
	for (unsigned i = 0; i < LP_SLOT_FAILING; i++) {
		if (i)
			for (unsigned id = 1; id <= PROGRAMS; id++)
				fire(&slot_of(supervisor, id)->timers[LP_SLOT_TIMER_START]);
		end_all(supervisor);
	}
}

static void a_start_without_hope_is_given_up_when_its_time_is_over(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	fail_until_failing(supervisor);
	assert_int_equal(house.hopeless, 0);
	logged(&house);
	fire_running(START_TIMEOUT_MS);
	assert_int_equal(house.hopeless, 1);
	assert_logged(&house, "no worker was ever ready in 3 s (--start-timeout), and each was started 5 times");
	lp_supervisor_stop(supervisor, GRACE_MS);
	close_supervisor(&house, supervisor);
}

static void or_later_when_each_has_failed_often_enough(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	fire_running(START_TIMEOUT_MS);
	assert_int_equal(house.hopeless, 0);
	fail_until_failing(supervisor);
	assert_int_equal(house.hopeless, 0); /* Not from inside. */
	fire_running(0);
	assert_int_equal(house.hopeless, 1);
	lp_supervisor_stop(supervisor, GRACE_MS);
	close_supervisor(&house, supervisor);
}

static void one_worker_that_was_ready_is_hope(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	say_ready(slot_of(supervisor, 2), true);
	fail_until_failing(supervisor);
	fire_running(START_TIMEOUT_MS);
	assert_int_equal(house.hopeless, 0);
	lp_supervisor_stop(supervisor, GRACE_MS);
	close_supervisor(&house, supervisor);
}

static void a_queue_has_its_bound(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	struct lp_slot *slot = slot_of(supervisor, 1);
	uint32_t *queued = &house.table.connections.by_state[1][LP_QUEUED];
	(void)state;
	say_ready(slot, true);
	lp_supervisor_queue(supervisor, 1, add_connection(&house.table, dup(STDERR_FILENO), 8080));
	assert_true(slot->worker->usable);
	assert_non_null(find_running(((struct lp_slots *)supervisor)->stuck.tick_ms)); /* Its patience begins. */
	*queued += LP_SUPERVISOR_BACKLOG - 2;                                          /* As if. */
	lp_supervisor_queue(supervisor, 1, add_connection(&house.table, dup(STDERR_FILENO), 8080));
	*queued -= LP_SUPERVISOR_BACKLOG - 2;
	assert_false(slot->worker->usable);
	assert_true(slot->worker->busy);
	lp_supervisor_stop(supervisor, GRACE_MS);
	close_supervisor(&house, supervisor);
	assert_int_equal(house.returned, 2);
}

static void a_turn_has_one_time(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	uint64_t then_ns = lp_supervisor_turn_ns(supervisor);
	house.now_ns += 1000;
	assert_int_equal(lp_supervisor_turn_ns(supervisor), then_ns);
	uv_run(&house.loop, UV_RUN_NOWAIT);
	assert_int_equal(lp_supervisor_turn_ns(supervisor), then_ns + 1000);
	lp_supervisor_stop(supervisor, GRACE_MS);
	close_supervisor(&house, supervisor);
}

static void workers_are_told_what_to_give_back_when_that_changes(void **state)
{
	struct house house;
	struct lp_supervisor *supervisor = open_supervisor(&house);
	(void)state;
	told_each = LP_EACH_REQUEST + 1;
	lp_supervisor_set_each(supervisor, ((struct lp_slots *)supervisor)->each);
	assert_int_equal(told_each, LP_EACH_REQUEST + 1);
	lp_supervisor_set_each(supervisor, LP_EACH_REQUEST);
	assert_int_equal(told_each, LP_EACH_REQUEST);
	lp_supervisor_stop(supervisor, GRACE_MS);
	close_supervisor(&house, supervisor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_workers_end_in_steps),
		cmocka_unit_test(a_second_call_shortens_the_grace),
		cmocka_unit_test(the_log_says_whom_it_waits_for_when_that_has_changed),
		cmocka_unit_test(a_start_without_hope_is_given_up_when_its_time_is_over),
		cmocka_unit_test(or_later_when_each_has_failed_often_enough),
		cmocka_unit_test(one_worker_that_was_ready_is_hope),
		cmocka_unit_test(a_queue_has_its_bound),
		cmocka_unit_test(a_turn_has_one_time),
		cmocka_unit_test(workers_are_told_what_to_give_back_when_that_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
