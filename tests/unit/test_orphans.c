/* Orphans become ours, and are reaped, while others' children are left to who waits for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/orphans.h"

#define DEADLINE_S 50

struct world {
	uv_loop_t loop;
	struct lp_orphans orphans;
	int waited_for;
	unsigned closed;
};

static bool is_waited_for(void *owner, int pid)
{
	return ((struct world *)owner)->waited_for == pid;
}

static void on_closed(void *owner)
{
	((struct world *)owner)->closed++;
}

static void start(struct world *world)
{
	*world = (struct world){.waited_for = -1};
	uv_loop_init(&world->loop);
	assert_int_equal(lp_orphans_adopt(&world->orphans, &world->loop, is_waited_for, world), 0);
}

static void finish(struct world *world)
{
	lp_orphans_close(&world->orphans, on_closed, world);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_int_equal(world->closed, 1);
	assert_int_equal(uv_loop_close(&world->loop), 0);
}

/* A process whose parent has left it: its number. It lives until the pipe ends. */
static pid_t make_orphan(int *end)
{
	int numbers[2];
	int life[2];
	pid_t orphan;
	assert_int_equal(pipe(numbers), 0);
	assert_int_equal(pipe(life), 0);
	pid_t parent = fork();
	if (parent == 0) {
		pid_t child = fork();
		char byte;
		close(life[1]);
		if (child)
			_exit(write(numbers[1], &child, sizeof(child)) == sizeof(child) ? 0 : 1);
		(void)!read(life[0], &byte, 1);
		_exit(0);
	}
	assert_int_equal(read(numbers[0], &orphan, sizeof(orphan)), sizeof(orphan));
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	close(numbers[0]);
	close(numbers[1]);
	close(life[0]);
	*end = life[1];
	return orphan;
}

static void on_alive(uv_timer_t *alive)
{
	(void)alive;
}

/* The watcher of signals does not keep the loop; this does. */
static void run_until_gone(struct world *world, pid_t pid)
{
	uv_timer_t alive;
	uv_timer_init(&world->loop, &alive);
	while (kill(pid, 0) == 0) {
		uv_timer_start(&alive, on_alive, 5, 0);
		uv_run(&world->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&alive, NULL);
	uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void an_orphan_is_reaped_when_it_ends(void **state)
{
	struct world world;
	int end;
	(void)state;
	start(&world);
	pid_t orphan = make_orphan(&end);
	close(end);
	run_until_gone(&world, orphan);
	finish(&world);
}

static void a_child_that_somebody_waits_for_is_his(void **state)
{
	struct world world;
	int end;
	(void)state;
	start(&world);
	world.waited_for = fork();
	if (world.waited_for == 0)
		_exit(7);
	siginfo_t ended;
	assert_int_equal(waitid(P_PID, (id_t)world.waited_for, &ended, WEXITED | WNOWAIT), 0);
	pid_t orphan = make_orphan(&end);
	for (int i = 0; i < 5; i++)
		uv_run(&world.loop, UV_RUN_NOWAIT);
	int status;
	assert_int_equal(waitpid(world.waited_for, &status, 0), world.waited_for);
	assert_int_equal(WEXITSTATUS(status), 7);
	close(end);
	run_until_gone(&world, orphan);
	finish(&world);
}

static void one_that_was_never_started_is_closed_at_once(void **state)
{
	struct world world = {0};
	(void)state;
	lp_orphans_close(&world.orphans, on_closed, &world);
	assert_int_equal(world.closed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_orphan_is_reaped_when_it_ends),
		cmocka_unit_test(a_child_that_somebody_waits_for_is_his),
		cmocka_unit_test(one_that_was_never_started_is_closed_at_once),
	};
	alarm(DEADLINE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
