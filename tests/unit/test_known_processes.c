/* Who descends from what limpet has started: a made-up table of processes stands for the kernel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "worker/known_processes.h"

enum { INIT = 1, LIMPET = 100, PROGRAM = 200, MASTER = 210, FORK = 220, STRANGER = 300, SHELL = 310, MOST = 4096 };

/* The kernel's table, and what happens to it between two readings. */
static struct {
	struct lp_process_facts all[MOST];
	unsigned readings;
	unsigned change_at; /* Before this reading… */
	pid_t change;       /* …this process gets another parent and start. */
	struct lp_process_facts changed;
	int error;
} kernel;

static void run_process(pid_t pid, pid_t parent, uint64_t started)
{
	kernel.all[pid] = (struct lp_process_facts){.pid = pid, .parent = parent, .started = started, .state = 'S'};
}

static int read_facts(pid_t pid, struct lp_process_facts *facts)
{
	if (++kernel.readings == kernel.change_at)
		kernel.all[kernel.change] = kernel.changed;
	if (kernel.error)
		return kernel.error;
	if (pid <= 0 || pid >= MOST || !kernel.all[pid].pid)
		return -ESRCH;
	*facts = kernel.all[pid];
	return 0;
}

static int set_up(void **state)
{
	static struct lp_known_processes known;
	memset(&kernel, 0, sizeof(kernel));
	memset(&known, 0, sizeof(known));
	known.read = read_facts;
	known.self = LIMPET;
	known.adopts = true;
	run_process(INIT, 0, 1);
	run_process(LIMPET, INIT, 10);
	run_process(PROGRAM, LIMPET, 20);
	run_process(MASTER, PROGRAM, 30);
	run_process(FORK, MASTER, 40);
	run_process(SHELL, INIT, 5);
	run_process(STRANGER, SHELL, 50);
	lp_known_processes_add(
		&known, &(struct lp_known_process){.pid = PROGRAM, .slot = 3, .started = 20, .is_program = true});
	known.changed = false;
	*state = &known;
	return 0;
}

static void a_program_is_what_it_is(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot = 0;
	assert_int_equal(lp_known_processes_prove(known, PROGRAM, &slot), 0);
	assert_int_equal(slot, 3);
	assert_int_equal(known->count, 1);
	assert_false(known->changed);
}

static void a_descendant_is_its_programs_and_so_are_all_between(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot = 0;
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), 0);
	assert_int_equal(slot, 3);
	assert_int_equal(known->count, 3);
	assert_true(known->changed);
	assert_non_null(lp_known_processes_find(known, &kernel.all[MASTER]));
	assert_false(lp_known_processes_find(known, &kernel.all[FORK])->is_program);
}

static void a_stranger_is_none_whatever_is_above_it(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot;
	assert_int_equal(lp_known_processes_prove(known, STRANGER, &slot), -EPERM);
	assert_int_equal(lp_known_processes_prove(known, SHELL, &slot), -EPERM);
	assert_int_equal(lp_known_processes_prove(known, INIT, &slot), -EPERM);
	assert_int_equal(lp_known_processes_prove(known, LIMPET, &slot), -EPERM);
	assert_int_equal(lp_known_processes_prove(known, 0, &slot), -EPERM);
	assert_int_equal(known->count, 1);
}

static void one_that_has_ended_is_none(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot;
	assert_int_equal(lp_known_processes_prove(known, 999, &slot), -ESRCH);
	kernel.error = -EACCES;
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), -EACCES);
}

static void an_orphan_that_limpet_has_adopted_is_ours(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot = 9;
	run_process(MASTER, LIMPET, 30);
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), 0);
	assert_int_equal(slot, 0);
}

static void a_child_of_a_process_that_is_not_limpets_alone_is_not_ours_by_that(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot;
	known->adopts = false;
	run_process(MASTER, LIMPET, 30);
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), -EPERM);
	run_process(MASTER, PROGRAM, 30);
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), 0);
}

/* After kill -9 of a limpet: its program has ended, too, and the master is init's child. */
static void a_master_that_was_seen_once_is_known_without_its_program(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot = 0;
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), 0);
	run_process(MASTER, INIT, 30);
	kernel.all[PROGRAM].pid = 0;
	lp_known_processes_remove(known, PROGRAM);
	run_process(FORK + 1, MASTER, 90);
	assert_int_equal(lp_known_processes_prove(known, FORK + 1, &slot), 0);
	assert_int_equal(slot, 3);
}

static void a_number_that_is_anothers_now_proves_nothing(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot;
	run_process(PROGRAM, SHELL, 77);
	assert_null(lp_known_processes_find(known, &kernel.all[PROGRAM]));
	assert_int_equal(lp_known_processes_prove(known, PROGRAM, &slot), -EPERM);
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), -EPERM);
	lp_known_processes_add(known, &(struct lp_known_process){.pid = PROGRAM, .slot = 4, .started = 77});
	assert_int_equal(known->count, 1);
	assert_non_null(lp_known_processes_find(known, &kernel.all[PROGRAM]));
}

/*
 * Reading 1: the stranger, whose parent is the shell. Then the shell ends, and its number is that of a fork of ours. Reading 2:
 * that number, below a program of ours. Reading 3, the stranger again: it is init's child, as the kernel has it.
 */
static void a_parent_whose_number_is_used_again_while_it_is_read_proves_nothing(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot;
	run_process(SHELL, PROGRAM, 99);
	kernel.change_at = 3;
	kernel.change = STRANGER;
	kernel.changed = (struct lp_process_facts){.pid = STRANGER, .parent = INIT, .started = 50};
	assert_int_equal(lp_known_processes_prove(known, STRANGER, &slot), -EPERM);
	assert_int_equal(known->count, 1);
}

/* A master ends while its fork is proved: the fork is read once more, and is an adopted orphan. */
static void a_chain_that_changes_is_read_again(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot = 9;
	kernel.change_at = 4;
	kernel.change = FORK;
	kernel.changed = (struct lp_process_facts){.pid = FORK, .parent = LIMPET, .started = 40};
	assert_int_equal(lp_known_processes_prove(known, FORK, &slot), 0);
	assert_int_equal(slot, 0);
	assert_null(lp_known_processes_find(known, &kernel.all[MASTER]));
}

static void a_chain_without_end_is_given_up(void **state)
{
	struct lp_known_processes *known = *state;
	unsigned slot;
	for (pid_t pid = 1000; pid < 1100; pid++)
		run_process(pid, pid + 1, (uint64_t)pid);
	run_process(1100, PROGRAM, 1100);
	assert_int_equal(lp_known_processes_prove(known, 1000, &slot), -EPERM);
	assert_int_equal(lp_known_processes_prove(known, 1090, &slot), 0);
	run_process(1200, 1201, 1);
	run_process(1201, 1200, 1);
	assert_int_equal(lp_known_processes_prove(known, 1200, &slot), -EPERM);
}

static void when_there_is_no_room_the_dead_make_it(void **state)
{
	struct lp_known_processes *known = *state;
	for (pid_t pid = 1000; known->count < LP_KNOWN_PROCESSES_MAX; pid++) {
		run_process(pid, PROGRAM, (uint64_t)pid);
		assert_int_equal(
			lp_known_processes_add(known, &(struct lp_known_process){.pid = pid, .started = (uint64_t)pid}),
			0);
	}
	struct lp_known_process more = {.pid = 3000, .started = 3000};
	run_process(3000, PROGRAM, 3000);
	assert_int_equal(lp_known_processes_add(known, &more), -ENOBUFS);
	unsigned slot = 0;
	assert_int_equal(lp_known_processes_prove(known, 3000, &slot), 0);
	kernel.all[1500].pid = 0;
	run_process(1501, PROGRAM, 7777);
	assert_int_equal(lp_known_processes_add(known, &more), 0);
	assert_int_equal(known->count, LP_KNOWN_PROCESSES_MAX - 1);
}

static void what_has_ended_is_forgotten(void **state)
{
	struct lp_known_processes *known = *state;
	lp_known_processes_remove(known, 999);
	assert_false(known->changed);
	lp_known_processes_remove(known, PROGRAM);
	assert_true(known->changed);
	assert_int_equal(known->count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_program_is_what_it_is, set_up),
		cmocka_unit_test_setup(a_descendant_is_its_programs_and_so_are_all_between, set_up),
		cmocka_unit_test_setup(a_stranger_is_none_whatever_is_above_it, set_up),
		cmocka_unit_test_setup(one_that_has_ended_is_none, set_up),
		cmocka_unit_test_setup(an_orphan_that_limpet_has_adopted_is_ours, set_up),
		cmocka_unit_test_setup(a_child_of_a_process_that_is_not_limpets_alone_is_not_ours_by_that, set_up),
		cmocka_unit_test_setup(a_master_that_was_seen_once_is_known_without_its_program, set_up),
		cmocka_unit_test_setup(a_number_that_is_anothers_now_proves_nothing, set_up),
		cmocka_unit_test_setup(a_parent_whose_number_is_used_again_while_it_is_read_proves_nothing, set_up),
		cmocka_unit_test_setup(a_chain_that_changes_is_read_again, set_up),
		cmocka_unit_test_setup(a_chain_without_end_is_given_up, set_up),
		cmocka_unit_test_setup(when_there_is_no_room_the_dead_make_it, set_up),
		cmocka_unit_test_setup(what_has_ended_is_forgotten, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
