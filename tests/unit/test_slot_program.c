/* The program that limpet starts in a slot: every event in every state. The first test's table is that of slot_program.c. */
#include "slot_fixture.h"

#include <errno.h>

enum event {
	START_IS_OVER,
	WORKER_IS_READY,
	LOOK_IS_DUE,
	RELAUNCH_IS_OVER,
	LIMPET_STOPS,
	IT_ENDS,
	HANDLES_CLOSE,
	REST_ENDS,
	EVENTS,
};

static const char *const event_names[EVENTS] = {
	"START is over", "a worker is ready", "LOOK is due",       "RELAUNCH is over",
	"limpet stops",  "the program ends",  "its handles close", "what it has started ends"};

#define NEVER (-1)
#define SAME (-2)

static const int table[EVENTS][LP_PROGRAM_STATES] = {
	[START_IS_OVER] = {NEVER, LP_PROGRAM_STARTING, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER},
	[WORKER_IS_READY] = {SAME, NEVER, LP_PROGRAM_READY, SAME, SAME, SAME, SAME, SAME, NEVER},
	[LOOK_IS_DUE] = {NEVER, NEVER, SAME, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER},
	[RELAUNCH_IS_OVER] = {NEVER, NEVER, NEVER, NEVER, SAME, NEVER, NEVER, NEVER, NEVER},
	[LIMPET_STOPS] = {LP_PROGRAM_ENDED, LP_PROGRAM_ENDED, LP_PROGRAM_TOLD, LP_PROGRAM_TOLD, LP_PROGRAM_TOLD, NEVER,
			  SAME, SAME, NEVER},
	[IT_ENDS] = {NEVER, NEVER, LP_PROGRAM_CLOSING, LP_PROGRAM_CLOSING, LP_PROGRAM_CLOSING, LP_PROGRAM_CLOSING,
		     NEVER, NEVER, NEVER},
	/* From CLOSING it is NONE for as long as it takes to go on. */
	[HANDLES_CLOSE] = {NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, LP_PROGRAM_PAUSED, NEVER, NEVER},
	[REST_ENDS] = {NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, LP_PROGRAM_PAUSED, NEVER},
};

static void stop(struct house *house)
{
	house->slots.stopping = true;
	for (unsigned i = 0; i < SLOTS; i++)
		lp_slot_finish(&house->all[i]);
	lp_shutdown_advance(&house->slots);
}

/* By a worker in the slot without a program, which belongs to slot's. */
static void get_a_worker_ready(struct lp_slot *slot)
{
	struct lp_slot *other = &here->all[PROGRAMS];
	here->sid = slot->process.pid ? slot->process.pid : 1;
	if (!other->worker_process)
		assert_int_equal(register_worker(other, MEMBER_PID, 99), 0);
	other->handles_sigterm = true;
	say_ready(other, true);
}

static struct lp_slot *reach(struct house *house, const struct lp_dialect *dialect, enum lp_program_state state)
{
	open_house(house, dialect);
	struct lp_slot *slot = &house->all[0];
	if (state == LP_PROGRAM_NONE)
		return slot;
	if (state == LP_PROGRAM_RELAUNCHED)
		slot->unready_exits = LP_SLOT_FAILING - 1;
	lp_slot_start(slot);
	if (state == LP_PROGRAM_READY || state == LP_PROGRAM_RELAUNCHED)
		get_a_worker_ready(slot);
	if (state == LP_PROGRAM_TOLD)
		stop(house);
	house->has_left = state == LP_PROGRAM_LEFT;
	if (state == LP_PROGRAM_PAUSED || state == LP_PROGRAM_ENDED || state == LP_PROGRAM_CLOSING ||
	    state == LP_PROGRAM_LEFT)
		end_process(&slot->process, 0, 0);
	if (state != LP_PROGRAM_CLOSING)
		close_handles(slot);
	if (state == LP_PROGRAM_ENDED)
		stop(house);
	assert_int_equal(slot->program_state, state);
	return slot;
}

static bool can_happen(const struct lp_slot *slot, enum event event)
{
	switch (event) {
	case START_IS_OVER:
		return slot_timer_runs(slot, LP_SLOT_TIMER_START);
	case LOOK_IS_DUE:
		return slot_timer_runs(slot, LP_SLOT_TIMER_LOOK);
	case RELAUNCH_IS_OVER:
		return slot_timer_runs(slot, LP_SLOT_TIMER_RELAUNCH);
	case WORKER_IS_READY: /* In between there is no worker of its. */
		return slot->program_state != LP_PROGRAM_PAUSED && slot->program_state != LP_PROGRAM_ENDED;
	case LIMPET_STOPS:
		return !slot->slots->stopping;
	case IT_ENDS:
		return slot->process.pid;
	case HANDLES_CLOSE:
		return slot->process.closed;
	default:
		return slot->left.count;
	}
}

static void happen(struct house *house, struct lp_slot *slot, enum event event)
{
	switch (event) {
	case START_IS_OVER:
		fire(&slot->timers[LP_SLOT_TIMER_START]);
		break;
	case LOOK_IS_DUE:
		fire(&slot->timers[LP_SLOT_TIMER_LOOK]);
		break;
	case RELAUNCH_IS_OVER:
		fire(&slot->timers[LP_SLOT_TIMER_RELAUNCH]);
		assert_int_equal(house->last.signal, SIGKILL);
		break;
	case WORKER_IS_READY:
		lp_slot_note_ready(slot);
		break;
	case LIMPET_STOPS:
		stop(house);
		break;
	case IT_ENDS:
		end_process(&slot->process, 0, 0);
		break;
	case HANDLES_CLOSE:
		close_handles(slot);
		break;
	default:
		end_session(slot);
		break;
	}
}

static void check_program(const struct lp_slot *slot)
{
	enum lp_program_state state = slot->program_state;
	bool stopping = slot->slots->stopping;
	assert_int_equal(slot_timer_runs(slot, LP_SLOT_TIMER_START), state == LP_PROGRAM_PAUSED);
	assert_int_equal(slot_timer_runs(slot, LP_SLOT_TIMER_LOOK), state == LP_PROGRAM_STARTING && !stopping);
	assert_true(!slot_timer_runs(slot, LP_SLOT_TIMER_RELAUNCH) || state == LP_PROGRAM_RELAUNCHED);
	assert_int_equal(lp_slot_program_runs(slot), slot->process.pid != 0);
	assert_int_equal(slot->worker->program, slot->process.pid);
	if (state == LP_PROGRAM_PAUSED)
		assert_true(slot->worker->down);
	if (lp_slot_program_runs(slot) || state == LP_PROGRAM_ENDED)
		assert_false(slot->worker->down);
}

static void a_program_meets_every_event(void **state)
{
	(void)state;
	for (int from = 0; from < LP_PROGRAM_STATES; from++)
		for (int event = 0; event < EVENTS; event++) {
			struct house house;
			int next = table[event][from];
			struct lp_slot *slot = reach(&house, &lp_dialect_preload, (enum lp_program_state)from);
			bool can = can_happen(slot, event);
			check_program(slot);
			if (can != (next != NEVER))
				fail_msg("state %d: %s: %s", from, event_names[event], can ? "it can" : "it cannot");
			if (can) {
				happen(&house, slot, (enum event)event);
				if ((int)slot->program_state != (next == SAME ? from : next))
					fail_msg("state %d: %s: %d", from, event_names[event], slot->program_state);
				check_program(slot);
			}
			close_house(&house);
		}
}

static uint64_t next_pause_ms(struct lp_slot *slot)
{
	return find_timer(&slot->timers[LP_SLOT_TIMER_START])->timeout_ms;
}

static void fail_once(struct lp_slot *slot)
{
	end_process(&slot->process, 1, 0);
	close_handles(slot);
}

static void pauses_grow_until_a_program_was_ready_for_a_second(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_native, LP_PROGRAM_STARTING);
	(void)state;
	uint64_t usual_ms = 100;
	for (int i = 0; i < 12; i++) {
		fail_once(slot);
		assert_in_range(next_pause_ms(slot), usual_ms - usual_ms / 5, usual_ms + usual_ms / 5);
		usual_ms = usual_ms * 2 < 30000 ? usual_ms * 2 : 30000;
		fire(&slot->timers[LP_SLOT_TIMER_START]);
	}
	say_ready(slot, true); /* Not for long enough. */
	house.now_ns += 999999999u;
	fail_once(slot);
	assert_true(next_pause_ms(slot) >= 24000);
	assert_int_equal(slot->unready_exits, 0);
	fire(&slot->timers[LP_SLOT_TIMER_START]);
	say_ready(slot, true);
	house.now_ns += 1000000000u;
	logged(&house);
	fail_once(slot);
	assert_logged(&house, "ended with status 1; starting another in its place\n");
	assert_int_equal(next_pause_ms(slot), 0);
	close_house(&house);
}

static void a_program_that_fails_and_fails_is_heard_and_told_once(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_PROGRAM_STARTING);
	(void)state;
	for (int i = 1; i < LP_SLOT_FAILING; i++) {
		assert_int_equal(house.output, LP_OUTPUT_INHERITED);
		fail_once(slot);
		fire(&slot->timers[LP_SLOT_TIMER_START]);
	}
	assert_int_equal(house.output, LP_OUTPUT_HEARD);
	house.last_words = "listen EADDRINUSE: address already in use";
	assert_int_equal(house.failing, 0);
	logged(&house);
	fail_once(slot);
	assert_logged(&house, "its program has been started 5 times, and the last time it ended with status 1, saying "
			      "\"listen EADDRINUSE: address already in use\"; another process has the port");
	assert_int_equal(house.failing, 1);
	fire(&slot->timers[LP_SLOT_TIMER_START]);
	assert_int_equal(house.output, LP_OUTPUT_INHERITED);
	end_process(&slot->process, 0, SIGSEGV);
	assert_null(strstr(logged(&house), "never ready")); /* Once is enough; but it is failing still. */
	assert_int_equal(house.failing, 2);
	close_house(&house);
}

static void a_program_that_is_heard_is_relaunched_when_its_worker_is_ready(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_PROGRAM_RELAUNCHED);
	(void)state;
	assert_int_equal(house.last.signal, SIGTERM);
	assert_true(house.last.group);
	assert_int_equal(house.up[PROGRAMS + 1], 0); /* Its worker is not let in. */
	say_ready(&house.all[PROGRAMS], true);
	assert_int_equal(house.last.count, 1);
	logged(&house);
	end_process(&slot->process, 0, SIGTERM);
	assert_logged(&house, "server (pid 1000) ended, as told");
	close_handles(slot);
	assert_int_equal(next_pause_ms(slot), 0);
	assert_int_equal(slot->unready_exits, 0);
	fire(&slot->timers[LP_SLOT_TIMER_START]);
	assert_int_equal(house.output, LP_OUTPUT_INHERITED);
	close_house(&house);
}

static void limpet_looks_at_a_program_that_is_not_ready(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_PROGRAM_STARTING);
	(void)state;
	for (int i = 1; i < 5; i++) {
		fire(&slot->timers[LP_SLOT_TIMER_LOOK]);
		assert_true(slot_timer_runs(slot, LP_SLOT_TIMER_LOOK));
	}
	assert_int_equal(house.looks, 4);
	assert_null(strstr(logged(&house), "is not ready"));
	fire(&slot->timers[LP_SLOT_TIMER_LOOK]);
	assert_logged(&house, "server (pid 1000) has run for 10 s and is not ready");
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_LOOK));

	lp_slot_start(&house.all[1]); /* Of whose program nothing more is to be said. */
	house.listens.count = 1;
	fire(&house.all[1].timers[LP_SLOT_TIMER_LOOK]);
	assert_string_equal(logged(&house), "");
	close_house(&house);
}

static void a_program_that_listens_elsewhere_is_told_at_the_first_look(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_PROGRAM_STARTING);
	(void)state;
	house.listens = (struct lp_listening_ports){.count = 1, .ports = {3000}, .pid = FIRST_PID};
	fire(&slot->timers[LP_SLOT_TIMER_LOOK]);
	assert_logged(&house, "server (pid 1000) listens on 3000, limpet on 8080");
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_LOOK));
	close_house(&house);
}

/* There the dialect is mostly wrong, and that takes its time to show. */
static void one_with_a_channel_from_us_is_looked_at_when_it_is_late(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_native, LP_PROGRAM_STARTING);
	(void)state;
	for (int i = 0; i < 4; i++)
		fire(&slot->timers[LP_SLOT_TIMER_LOOK]);
	assert_int_equal(house.looks, 0);
	fire(&slot->timers[LP_SLOT_TIMER_LOOK]);
	assert_logged(&house, "worker 1 (pid 1000) has run for 10 s and is not ready");
	close_house(&house);
}

static void what_cannot_be_started_is_tried_again(void **state)
{
	struct house house;
	(void)state;
	open_house(&house, &lp_dialect_native);
	struct lp_slot *slot = &house.all[0];
	house.channel_status = -EMFILE;
	lp_slot_start(slot);
	assert_logged(&house, "worker 1 cannot be started: no channel: ");
	assert_int_equal(slot->program_state, LP_PROGRAM_PAUSED);
	fire(&slot->timers[LP_SLOT_TIMER_START]);
	assert_int_equal(slot->program_state, LP_PROGRAM_PAUSED);
	assert_int_equal(slot->failures, 2);

	house.channel_status = 0;
	house.start_status = -EAGAIN;
	logged(&house);
	fire(&slot->timers[LP_SLOT_TIMER_START]);
	assert_logged(&house, "worker 1 cannot be started: /usr/bin/server: ");
	assert_int_equal(slot->program_state, LP_PROGRAM_CLOSING);
	assert_int_equal(slot->worker_state, LP_WORKER_LEAVING);
	assert_int_equal(house.channels_closed, 1);
	close_handles(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_PAUSED);
	assert_int_equal(slot->worker_state, LP_WORKER_NONE);
	house.start_status = 0;
	fire(&slot->timers[LP_SLOT_TIMER_START]);
	assert_int_equal(slot->program_state, LP_PROGRAM_STARTING);
	close_house(&house);

	open_house(&house, &lp_dialect_preload);
	house.placeholder_status = -EMFILE;
	lp_slot_start(&house.all[0]);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_PAUSED);
	close_house(&house);
}

static void a_program_of_an_earlier_limpet_goes_on(void **state)
{
	struct house house;
	struct lp_known_process known = {.pid = 4000, .slot = 1, .started = 7};
	(void)state;
	open_house(&house, &lp_dialect_preload);
	struct lp_slot *slot = &house.all[0];
	assert_int_equal(lp_slot_inherit(slot, &known), 0);
	assert_int_equal(slot->program_state, LP_PROGRAM_STARTING);
	lp_slot_start(slot); /* There is one. */
	assert_int_equal(house.slots.starts, 0);
	logged(&house);
	end_process(&slot->process, 0, 0);
	assert_logged(&house, "server (pid 4000) ended; starting another in its place after a pause");
	close_handles(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_PAUSED);
	close_house(&house);

	open_house(&house, &lp_dialect_preload);
	known.pid = MEMBER_PID; /* It has ended meanwhile. */
	assert_int_equal(lp_slot_inherit(&house.all[0], &known), -ESRCH);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_NONE);
	known = (struct lp_known_process){.pid = 4000, .slot = 1, .started = 8}; /* The number is another's. */
	assert_int_equal(lp_slot_inherit(&house.all[0], &known), -ESRCH);
	known.started = 7;
	house.watch_status = -ENOMEM;
	assert_int_equal(lp_slot_inherit(&house.all[0], &known), -ENOMEM);
	assert_int_equal(house.all[0].program_state, LP_PROGRAM_PAUSED);
	close_house(&house);
}

/* A program that goes into the background has not failed; one that fails takes what it has started along. */
static void what_a_program_leaves_behind_goes_on_unless_it_failed(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_PROGRAM_STARTING);
	(void)state;
	house.has_left = true;
	logged(&house);
	end_process(&slot->process, 0, 0);
	assert_logged(&house, "what it has started goes on: it is started again when that has ended");
	assert_int_equal(house.sessions_ended, 0);
	end_session(slot); /* Before its handles are closed. */
	assert_int_equal(slot->program_state, LP_PROGRAM_CLOSING);
	close_handles(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_PAUSED);

	fire(&slot->timers[LP_SLOT_TIMER_START]);
	end_process(&slot->process, 1, 0);
	assert_int_equal(house.sessions_ended, 1);
	close_handles(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_LEFT);
	end_session(slot);

	fire(&slot->timers[LP_SLOT_TIMER_START]); /* A worker of its lives. */
	get_a_worker_ready(slot);
	assert_true(slot->left.count == 0);
	end_process(&slot->process, 1, 0);
	assert_int_equal(house.sessions_ended, 1);
	assert_true(slot->left.spares(slot, MEMBER_PID));
	assert_false(slot->left.spares(slot, MEMBER_PID + 1));
	close_house(&house);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_meets_every_event),
		cmocka_unit_test(pauses_grow_until_a_program_was_ready_for_a_second),
		cmocka_unit_test(a_program_that_fails_and_fails_is_heard_and_told_once),
		cmocka_unit_test(a_program_that_is_heard_is_relaunched_when_its_worker_is_ready),
		cmocka_unit_test(limpet_looks_at_a_program_that_is_not_ready),
		cmocka_unit_test(a_program_that_listens_elsewhere_is_told_at_the_first_look),
		cmocka_unit_test(one_with_a_channel_from_us_is_looked_at_when_it_is_late),
		cmocka_unit_test(what_cannot_be_started_is_tried_again),
		cmocka_unit_test(a_program_of_an_earlier_limpet_goes_on),
		cmocka_unit_test(what_a_program_leaves_behind_goes_on_unless_it_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
