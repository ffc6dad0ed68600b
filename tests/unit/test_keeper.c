/* The keeper starts a balancer, another one when it has died, and ends as one ends by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/keeper.h"

#define BYTES ((size_t)1 << 20)

/* What balancers of a test have in common. */
struct diary {
	unsigned lives;
	pid_t worker;
};

static struct diary *diary_of(struct lp_lasting *lasting)
{
	return lp_lasting_area(lasting, "diary", sizeof(struct diary));
}

static int end_at_once(void *owner, struct lp_lasting *lasting)
{
	(void)lasting;
	return *(const int *)owner;
}

static void a_balancer_that_ends_by_itself_is_the_end(void **state)
{
	int status = 3;
	(void)state;
	assert_int_equal(lp_keeper_run(BYTES, end_at_once, &status), 3);
	status = 0;
	assert_int_equal(lp_keeper_run(BYTES, end_at_once, &status), 0);
}

/* Dies by a signal so often, and then ends with how often it was started. */
struct script {
	unsigned deaths;
	int signal;
	bool serves;
};

static int follow_script(void *owner, struct lp_lasting *lasting)
{
	const struct script *script = owner;
	if (lasting->head->deaths == script->deaths) {
		lp_lasting_serve(lasting);
		return (int)diary_of(lasting)->lives;
	}
	diary_of(lasting)->lives++;
	if (script->serves)
		lp_lasting_serve(lasting);
	signal(script->signal, SIG_DFL);
	raise(script->signal);
	return -1;
}

static void one_that_is_killed_has_a_successor_that_finds_what_it_left(void **state)
{
	struct script script = {.deaths = 20, .signal = SIGKILL, .serves = true};
	(void)state;
	assert_int_equal(lp_keeper_run(BYTES, follow_script, &script), 20);
}

static void five_errors_in_a_row_and_the_next_begins_with_nothing(void **state)
{
	struct script script = {.deaths = LP_KEEPER_DEATHS, .signal = SIGABRT, .serves = true};
	(void)state;
	assert_int_equal(lp_keeper_run(BYTES, follow_script, &script), 0);
	script.deaths = LP_KEEPER_DEATHS - 1;
	assert_int_equal(lp_keeper_run(BYTES, follow_script, &script), LP_KEEPER_DEATHS - 1);
}

static int fail_to_begin_twice(void *owner, struct lp_lasting *lasting)
{
	(void)owner;
	switch (lasting->head->deaths) {
	case 0:
		lp_lasting_serve(lasting);
		raise(SIGKILL);
		return -1;
	case 1:
	case 2:
		return 1; /* A policy that does not load, say. */
	default:
		lp_lasting_serve(lasting);
		return lasting->head->last_status + 40;
	}
}

static void a_successor_that_fails_to_begin_is_started_again(void **state)
{
	(void)state;
	assert_int_equal(lp_keeper_run(BYTES, fail_to_begin_twice, NULL), 41);
}

/* Tells the parent of the keeper that it can take signals, and ends by the first. */
static int wait_for_signal(void *owner, struct lp_lasting *lasting)
{
	const int *ready = owner;
	sigset_t both;
	int signal;
	sigemptyset(&both);
	sigaddset(&both, SIGTERM);
	sigaddset(&both, SIGHUP);
	lp_lasting_serve(lasting);
	if (write(ready[1], "r", 1) != 1)
		abort();
	sigwait(&both, &signal); /* Both are blocked. */
	return signal == SIGTERM ? 11 : signal == SIGHUP ? 12 : 13;
}

static int signal_a_keeper(int signal)
{
	int ready[2];
	char byte;
	int status;
	assert_int_equal(pipe(ready), 0);
	pid_t keeper = fork();
	if (keeper == 0)
		_exit(lp_keeper_run(BYTES, wait_for_signal, ready));
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(keeper, signal);
	assert_int_equal(waitpid(keeper, &status, 0), keeper);
	close(ready[0]);
	close(ready[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void signals_are_passed_on(void **state)
{
	(void)state;
	assert_int_equal(signal_a_keeper(SIGTERM), 11);
	assert_int_equal(signal_a_keeper(SIGHUP), 12);
}

static int leave_a_worker(void *owner, struct lp_lasting *lasting)
{
	int *life = owner;
	struct diary *diary = diary_of(lasting);
	lp_lasting_serve(lasting);
	if (lasting->head->deaths == 0) {
		pid_t worker = fork(); /* Not into the diary, which both would write. */
		if (worker == 0) {
			char byte;
			close(life[1]);
			_exit(read(life[0], &byte, 1) == 0 ? 0 : 1);
		}
		diary->worker = worker;
		raise(SIGKILL);
	}
	char path[64];
	char text[256] = "";
	int parent = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)diary->worker);
	FILE *stat = fopen(path, "re");
	if (stat && fgets(text, sizeof(text), stat))
		sscanf(strrchr(text, ')'), ") %*c %d", &parent);
	if (stat)
		fclose(stat);
	return parent == lasting->head->keeper ? 0 : 1;
}

static void a_dead_balancers_worker_is_the_keepers_child(void **state)
{
	int life[2];
	(void)state;
	assert_int_equal(pipe(life), 0);
	assert_int_equal(lp_keeper_run(BYTES, leave_a_worker, life), 0);
	close(life[0]);
	close(life[1]);
}

static int end_when_the_keeper_does(void *owner, struct lp_lasting *lasting)
{
	const int *life = owner;
	lp_lasting_serve(lasting);
	close(life[0]);
	kill(lasting->head->keeper, SIGKILL);
	for (;;)
		pause();
	return 0;
}

static void a_balancer_does_not_outlive_its_keeper(void **state)
{
	int life[2];
	char byte;
	(void)state;
	assert_int_equal(pipe(life), 0);
	pid_t keeper = fork();
	if (keeper == 0)
		_exit(lp_keeper_run(BYTES, end_when_the_keeper_does, life));
	close(life[1]);
	assert_int_equal(read(life[0], &byte, 1), 0); /* Nobody has the other end any more. */
	assert_int_equal(waitpid(keeper, NULL, 0), keeper);
	close(life[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_balancer_that_ends_by_itself_is_the_end),
		cmocka_unit_test(one_that_is_killed_has_a_successor_that_finds_what_it_left),
		cmocka_unit_test(five_errors_in_a_row_and_the_next_begins_with_nothing),
		cmocka_unit_test(a_successor_that_fails_to_begin_is_started_again),
		cmocka_unit_test(signals_are_passed_on),
		cmocka_unit_test(a_dead_balancers_worker_is_the_keepers_child),
		cmocka_unit_test(a_balancer_does_not_outlive_its_keeper),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
