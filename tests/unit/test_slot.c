/* A slot's worker, and its program: every event in every state. What the table of slot.c says is the first test's table. */
#include "slot_fixture.h"

#include <errno.h>
#include <sys/wait.h>

/* The worker */

enum event {
	SAYS_READY,
	SAYS_UNREADY,
	CHANNEL_ENDS,
	CHANNEL_FAILS,
	NODE_CHANNEL_ENDS,
	REGISTERS,
	LOSES_CONNECTION, /* The last that it had. */
	LEAVE_IS_OVER,
	KILL_IS_OVER,
	PROCESS_ENDS,
	HANDLES_CLOSE,
	EVENTS,
};

static const char *const event_names[EVENTS] = {
	"says ready",     "says unready",  "its channel ends", "its channel fails", "Node's channel ends", "registers",
	"loses its last", "LEAVE is over", "KILL is over",     "its process ends",  "its handles close"};

/* What cannot happen; and what happens, but changes nothing. */
#define NEVER (-1)
#define SAME (-2)

/* Workers that are given their channel. From NONE they come by the program's start. */
static const int given[EVENTS][LP_WORKER_STATES] = {
	/*                    NONE   UNREADY            READY              HUNG_UP           CUT_OFF           TOLD       LEAVING */
	[SAYS_READY] = {NEVER, LP_WORKER_READY, SAME, NEVER, NEVER, NEVER, NEVER},
	[SAYS_UNREADY] = {NEVER, SAME, LP_WORKER_UNREADY, NEVER, NEVER, NEVER, NEVER},
	[CHANNEL_ENDS] = {NEVER, LP_WORKER_HUNG_UP, LP_WORKER_HUNG_UP, NEVER, NEVER, NEVER, NEVER},
	[CHANNEL_FAILS] = {NEVER, LP_WORKER_CUT_OFF, LP_WORKER_CUT_OFF, NEVER, NEVER, NEVER, NEVER},
	[NODE_CHANNEL_ENDS] = {NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER},
	[REGISTERS] = {NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER},
	[LOSES_CONNECTION] = {SAME, SAME, SAME, SAME, SAME, SAME, SAME},
	[LEAVE_IS_OVER] = {NEVER, NEVER, NEVER, LP_WORKER_TOLD, LP_WORKER_TOLD, NEVER, NEVER},
	[KILL_IS_OVER] = {NEVER, NEVER, NEVER, NEVER, NEVER, SAME, NEVER},
	[PROCESS_ENDS] = {NEVER, LP_WORKER_LEAVING, LP_WORKER_LEAVING, LP_WORKER_LEAVING, LP_WORKER_LEAVING,
			  LP_WORKER_LEAVING, NEVER},
	[HANDLES_CLOSE] = {NEVER, SAME, SAME, SAME, SAME, SAME, LP_WORKER_NONE},
};

/* Those that register. A worker whose library's channel has ended is UNREADY, and may come again. */
static const int registering[EVENTS][LP_WORKER_STATES] = {
	[SAYS_READY] = {NEVER, LP_WORKER_READY, SAME, SAME, SAME, SAME, NEVER},
	[SAYS_UNREADY] = {NEVER, SAME, LP_WORKER_UNREADY, SAME, SAME, SAME, NEVER},
	[CHANNEL_ENDS] = {NEVER, SAME, LP_WORKER_UNREADY, SAME, SAME, SAME, NEVER},
	[CHANNEL_FAILS] = {NEVER, LP_WORKER_CUT_OFF, LP_WORKER_CUT_OFF, LP_WORKER_CUT_OFF, SAME, SAME, NEVER},
	[NODE_CHANNEL_ENDS] = {SAME, LP_WORKER_HUNG_UP, LP_WORKER_HUNG_UP, SAME, SAME, SAME, SAME},
	[REGISTERS] = {LP_WORKER_UNREADY, SAME, NEVER, LP_WORKER_UNREADY, LP_WORKER_UNREADY, LP_WORKER_UNREADY, NEVER},
	[LOSES_CONNECTION] = {SAME, SAME, SAME, SAME, SAME, SAME, SAME},
	[LEAVE_IS_OVER] = {NEVER, NEVER, NEVER, LP_WORKER_TOLD, LP_WORKER_TOLD, NEVER, NEVER},
	[KILL_IS_OVER] = {NEVER, NEVER, NEVER, NEVER, NEVER, SAME, NEVER},
	[PROCESS_ENDS] = {NEVER, LP_WORKER_LEAVING, LP_WORKER_LEAVING, LP_WORKER_LEAVING, LP_WORKER_LEAVING,
			  LP_WORKER_LEAVING, NEVER},
	[HANDLES_CLOSE] = {NEVER, SAME, SAME, SAME, SAME, SAME, LP_WORKER_NONE},
};

static bool is_open(const struct lp_slot *slot)
{
	return slot->channel_state == LP_SLOT_CHANNEL_OPEN;
}

/* Whether an event can happen as things are: nobody calls a slot about what it has not. */
static bool can_happen(const struct lp_slot *slot, enum event event)
{
	switch (event) {
	case SAYS_READY:
	case SAYS_UNREADY:
	case CHANNEL_ENDS:
	case CHANNEL_FAILS:
		return is_open(slot);
	case NODE_CHANNEL_ENDS:
		return slot->slots->registry;
	case REGISTERS:
		return slot->slots->registry && lp_slot_is_free(slot, MEMBER_PID);
	case LOSES_CONNECTION:
		return true;
	case LEAVE_IS_OVER:
		return slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE);
	case KILL_IS_OVER:
		return slot_timer_runs(slot, LP_SLOT_TIMER_KILL);
	case PROCESS_ENDS:
		return slot->worker_process && slot->worker_process->pid;
	default:
		return slot->worker_state != LP_WORKER_NONE;
	}
}

static void happen(struct lp_slot *slot, enum event event)
{
	switch (event) {
	case SAYS_READY:
	case SAYS_UNREADY:
		say_ready(slot, event == SAYS_READY);
		break;
	case CHANNEL_ENDS:
	case CHANNEL_FAILS:
		end_channel(slot, event == CHANNEL_FAILS);
		break;
	case NODE_CHANNEL_ENDS:
		lp_slot_hang_up(slot);
		lp_slot_end_if_idle(slot);
		break;
	case REGISTERS:
		assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
		break;
	case LOSES_CONNECTION:
		lp_slot_end_if_idle(slot);
		break;
	case LEAVE_IS_OVER:
		fire(&slot->timers[LP_SLOT_TIMER_LEAVE]);
		break;
	case KILL_IS_OVER:
		fire(&slot->timers[LP_SLOT_TIMER_KILL]);
		break;
	case PROCESS_ENDS:
		end_process(slot->worker_process, 0, 0);
		break;
	default:
		close_handles(slot);
		break;
	}
}

/* What is true in every state. */
static void check_worker(const struct lp_slot *slot)
{
	enum lp_worker_state state = slot->worker_state;
	unsigned id = slot->worker->id;
	bool leaves = slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE);
	assert_int_equal(here->up[id] - here->down[id], state == LP_WORKER_READY);
	assert_int_equal(slot->worker->usable, state == LP_WORKER_READY);
	assert_int_equal(slot_timer_runs(slot, LP_SLOT_TIMER_KILL),
			 state == LP_WORKER_TOLD && here->last.signal != SIGKILL);
	assert_true(!leaves || state == LP_WORKER_HUNG_UP || state == LP_WORKER_CUT_OFF);
	assert_true(leaves || state != LP_WORKER_CUT_OFF);
	if (state == LP_WORKER_NONE)
		assert_null(slot->worker_process);
	if (state == LP_WORKER_NONE || state == LP_WORKER_LEAVING)
		assert_int_equal(slot->worker->pid, 0);
	else
		assert_int_equal(slot->worker->pid, slot->worker_process->pid);
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_FINISH));
}

/* The shortest way to a state. With `alone`, without the library's channel, as far as that can be. */
static struct lp_slot *reach(struct house *house, const struct lp_dialect *dialect, enum lp_worker_state state,
			     bool alone)
{
	open_house(house, dialect);
	struct lp_slot *slot = &house->all[0];
	if (state == LP_WORKER_NONE && !dialect->registers)
		return slot;
	lp_slot_start(slot);
	if (state == LP_WORKER_NONE)
		return slot;
	if (dialect->registers)
		happen(slot, REGISTERS);
	if (state == LP_WORKER_READY)
		happen(slot, SAYS_READY);
	if (state == LP_WORKER_LEAVING)
		happen(slot, PROCESS_ENDS);
	if (state == LP_WORKER_UNREADY || state == LP_WORKER_READY || state == LP_WORKER_LEAVING) {
		if (alone && state == LP_WORKER_UNREADY && dialect->registers)
			happen(slot, CHANNEL_ENDS);
	} else if (dialect->registers && !alone) { /* It was Node's channel that ended. */
		happen(slot, NODE_CHANNEL_ENDS);
		if (state != LP_WORKER_HUNG_UP)
			lp_slot_cut_off(slot);
	} else {
		happen(slot, state == LP_WORKER_HUNG_UP ? CHANNEL_ENDS : CHANNEL_FAILS);
		if (state == LP_WORKER_HUNG_UP && dialect->registers)
			happen(slot, NODE_CHANNEL_ENDS);
	}
	if (state == LP_WORKER_TOLD)
		happen(slot, LEAVE_IS_OVER);
	if (alone)
		close_handles(slot);
	if (state != LP_WORKER_LEAVING || !alone)
		assert_int_equal(slot->worker_state, state);
	return slot;
}

/* Returns whether the event could happen there. */
static bool try_event(const struct lp_dialect *dialect, enum lp_worker_state state, enum event event, bool alone,
		      int next)
{
	struct house house;
	struct lp_slot *slot = reach(&house, dialect, state, alone);
	bool can = can_happen(slot, event);
	check_worker(slot);
	if (can) {
		if (next == NEVER)
			fail_msg("in state %d a worker %s", state, event_names[event]);
		happen(slot, event);
		enum lp_worker_state expected = next == SAME ? state : (enum lp_worker_state)next;
		if (slot->worker_state != expected)
			fail_msg("in state %d a worker %s: %d, not %d", state, event_names[event], slot->worker_state,
				 expected);
		check_worker(slot);
	}
	close_house(&house);
	return can;
}

static void try_all(const struct lp_dialect *dialect, const int table[EVENTS][LP_WORKER_STATES])
{
	for (int state = 0; state < LP_WORKER_STATES; state++)
		for (int event = 0; event < EVENTS; event++) {
			int next = table[event][state];
			bool could = try_event(dialect, state, event, false, next);
			if (state != LP_WORKER_LEAVING && state != LP_WORKER_NONE && state != LP_WORKER_READY)
				could |= try_event(dialect, state, event, true, next);
			if (!could && next != NEVER)
				fail_msg("in state %d a worker never %s", state, event_names[event]);
		}
}

static void a_worker_with_a_channel_from_us_meets_every_event(void **state)
{
	(void)state;
	try_all(&lp_dialect_native, given);
}

static void a_worker_that_registers_meets_every_event(void **state)
{
	(void)state;
	try_all(&lp_dialect_preload, registering);
}

static void a_worker_that_has_hung_up_is_ended_when_its_last_connection_has_gone(void **state)
{
	struct house house;
	struct lp_slot *slot;
	(void)state;
	slot = reach(&house, &lp_dialect_native, LP_WORKER_READY, false);
	slot->worker->connections = 2;
	end_channel(slot, false);
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE));
	slot->worker->connections = 0;
	lp_slot_end_if_idle(slot);
	assert_int_equal(find_timer(&slot->timers[LP_SLOT_TIMER_LEAVE])->timeout_ms, USELESS_MS);

	slot->worker->connections = 1; /* One that was on its way has been taken. */
	fire(&slot->timers[LP_SLOT_TIMER_LEAVE]);
	assert_int_equal(slot->worker_state, LP_WORKER_HUNG_UP);
	assert_int_equal(house.last.count, 0);
	slot->worker->connections = 0;
	lp_slot_end_if_idle(slot);
	logged(&house);
	fire(&slot->timers[LP_SLOT_TIMER_LEAVE]);
	assert_logged(&house,
		      "worker 1 (pid 1000) has disconnected, has no connection left, and has not ended in 10 s");
	assert_int_equal(house.last.signal, SIGTERM);
	fire(&slot->timers[LP_SLOT_TIMER_KILL]);
	assert_int_equal(house.last.signal, SIGKILL);
	assert_int_equal(house.last.pid, FIRST_PID);
	close_house(&house);
}

/* Nobody knows whether it has connections. */
static void a_worker_whose_connections_are_not_counted_is_left_alone(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_native, LP_WORKER_READY, false);
	(void)state;
	slot->uncounted = true;
	end_channel(slot, false);
	assert_int_equal(slot->worker_state, LP_WORKER_HUNG_UP);
	assert_false(slot_timer_runs(slot, LP_SLOT_TIMER_LEAVE));
	close_house(&house);
}

static void a_worker_that_is_cut_off_has_its_time_whatever_it_serves(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_native, LP_WORKER_READY, false);
	(void)state;
	slot->worker->connections = 3;
	end_channel(slot, true);
	logged(&house);
	fire(&slot->timers[LP_SLOT_TIMER_LEAVE]);
	assert_logged(&house, "worker 1 (pid 1000) has closed its channel 10 s ago (--drain-timeout)");
	assert_int_equal(house.last.signal, SIGTERM);
	close_house(&house);
}

static void a_node_worker_is_ready_when_both_channels_say_so(void **state)
{
	struct house house;
	struct lp_node_process node = {.pid = MEMBER_PID, .works = true, .open = true};
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_WORKER_UNREADY, false);
	(void)state;
	slot->node = &node;
	say_ready(slot, true);
	assert_int_equal(slot->worker_state, LP_WORKER_UNREADY);
	node.channel.ready = true;
	lp_slot_update_up(slot);
	assert_int_equal(slot->worker_state, LP_WORKER_READY);
	node.works = false; /* One that only speaks for the slot. */
	node.channel.ready = false;
	lp_slot_update_up(slot);
	assert_int_equal(slot->worker_state, LP_WORKER_READY);
	node.works = true;
	lp_slot_update_up(slot);
	assert_int_equal(slot->worker_state, LP_WORKER_UNREADY);
	check_worker(slot);
	end_channel(slot, false);
	close_handles(slot);
	assert_true(lp_slot_is_free(slot, MEMBER_PID));
	node.pid = MEMBER_PID + 1; /* Another process speaks for the slot, as its worker. */
	assert_false(lp_slot_is_free(slot, MEMBER_PID));
	close_house(&house);
}

/* Who may come */

static void a_place_is_for_one_process(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_WORKER_NONE, false);
	(void)state;
	assert_true(lp_slot_is_free(slot, MEMBER_PID));
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
	assert_false(lp_slot_is_free(slot, MEMBER_PID)); /* It has a channel. */
	end_channel(slot, false);
	assert_false(lp_slot_is_free(slot, MEMBER_PID)); /* That is being closed. */
	close_handles(slot);
	assert_true(lp_slot_is_free(slot, MEMBER_PID));
	assert_false(lp_slot_is_free(slot, MEMBER_PID + 1));
	house.slots.stopping = true;
	assert_false(lp_slot_is_free(slot, MEMBER_PID));
	close_house(&house);
}

/* A server that has listened by itself, and leaves that to processes that it starts. */
static void a_programs_worker_may_come_where_the_program_was_it(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_WORKER_NONE, false);
	(void)state;
	assert_int_equal(register_worker(slot, FIRST_PID, 99), 0);
	assert_ptr_equal(slot->worker_process, &slot->process);
	end_channel(slot, false);
	close_handles(slot);
	assert_true(lp_slot_is_free(slot, MEMBER_PID));
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
	assert_ptr_equal(slot->worker_process, &slot->member);
	assert_int_equal(slot->worker->pid, MEMBER_PID);
	check_worker(slot);
	close_house(&house);
}

static void a_process_that_cannot_be_watched_is_no_worker(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_WORKER_NONE, false);
	(void)state;
	house.watch_status = -ESRCH;
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), -ESRCH);
	assert_int_equal(slot->worker_state, LP_WORKER_NONE);
	assert_true(lp_slot_is_free(slot, MEMBER_PID));
	struct lp_registered nobody = {.fd = 99, .pid = MEMBER_PID, .pidfd = -1};
	assert_int_equal(lp_slot_enter(slot, &nobody), -EBADF);
	close_house(&house);
}

/* It lives, and may come again when there is memory. */
static void a_process_whose_channel_cannot_be_opened_keeps_its_place(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_WORKER_NONE, false);
	(void)state;
	house.channel_status = -ENOMEM;
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), -ENOMEM);
	assert_int_equal(slot->worker_state, LP_WORKER_UNREADY);
	assert_false(lp_slot_is_free(slot, MEMBER_PID + 1));
	house.channel_status = 0;
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
	close_house(&house);
}

/* All its clients are with the member, so nothing is started beside it. */
static void a_program_waits_for_its_slots_member(void **state)
{
	struct house house;
	struct lp_slot *slot = reach(&house, &lp_dialect_preload, LP_WORKER_NONE, false);
	(void)state;
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
	say_ready(slot, true);
	end_process(&slot->process, 0, 0);
	close_handles(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_NONE);
	assert_int_equal(slot->worker_state, LP_WORKER_READY);
	assert_false(slot->worker->down);

	end_channel(slot, false); /* Its place stays its own. */
	close_handles(slot);
	assert_true(lp_slot_is_free(slot, MEMBER_PID));
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
	end_channel(slot, true);
	assert_int_equal(slot->worker_state, LP_WORKER_CUT_OFF);

	end_process(&slot->member, 0, 0);
	assert_int_equal(slot->worker_state, LP_WORKER_LEAVING);
	close_handles(slot);
	assert_int_equal(slot->worker_state, LP_WORKER_NONE);
	assert_int_equal(slot->program_state, LP_PROGRAM_PAUSED);
	assert_true(slot->worker->down);
	close_house(&house);
}

static void a_slot_without_a_program_is_free_again(void **state)
{
	struct house house;
	(void)state;
	open_house(&house, &lp_dialect_preload);
	struct lp_slot *slot = &house.all[PROGRAMS];
	lp_slot_start(slot); /* Nothing is started here. */
	assert_int_equal(slot->program_state, LP_PROGRAM_NONE);
	assert_int_equal(register_worker(slot, MEMBER_PID, 99), 0);
	end_process(&slot->member, 0, 0);
	close_handles(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_NONE);
	assert_true(lp_slot_is_free(slot, MEMBER_PID + 1));
	house.slots.stopping = true;
	lp_slot_finish(slot);
	assert_int_equal(slot->program_state, LP_PROGRAM_ENDED);
	uv_run(&house.loop, UV_RUN_NOWAIT);
	assert_int_equal(house.ended, 1);
	close_house(&house);
}

/* The tables let nothing else through. */

static void assert_ends(void (*run)(void))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		run();
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void make_a_worker_of_nothing(void)
{
	lp_slot_move_worker(&here->all[0], LP_WORKER_READY);
}

static void make_a_program_of_nothing(void)
{
	lp_slot_move_program(&here->all[0], LP_PROGRAM_READY);
}

static void a_move_that_no_table_has_ends_limpet(void **state)
{
	struct house house;
	(void)state;
	open_house(&house, &lp_dialect_native);
	assert_ends(make_a_worker_of_nothing);
	assert_ends(make_a_program_of_nothing);
	close_house(&house);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_with_a_channel_from_us_meets_every_event),
		cmocka_unit_test(a_worker_that_registers_meets_every_event),
		cmocka_unit_test(a_worker_that_has_hung_up_is_ended_when_its_last_connection_has_gone),
		cmocka_unit_test(a_worker_whose_connections_are_not_counted_is_left_alone),
		cmocka_unit_test(a_worker_that_is_cut_off_has_its_time_whatever_it_serves),
		cmocka_unit_test(a_node_worker_is_ready_when_both_channels_say_so),
		cmocka_unit_test(a_place_is_for_one_process),
		cmocka_unit_test(a_programs_worker_may_come_where_the_program_was_it),
		cmocka_unit_test(a_process_that_cannot_be_watched_is_no_worker),
		cmocka_unit_test(a_process_whose_channel_cannot_be_opened_keeps_its_place),
		cmocka_unit_test(a_program_waits_for_its_slots_member),
		cmocka_unit_test(a_slot_without_a_program_is_free_again),
		cmocka_unit_test(a_move_that_no_table_has_ends_limpet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
