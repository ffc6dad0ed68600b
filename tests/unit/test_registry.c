/*
 * The workers' door: who has it, who may come in, what stays when limpet is killed. Processes are real: children of this
 * test, which is told apart from limpet by what it knows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/pidfd.h"
#include "worker/registry.h"

#define DEADLINE_S 50

struct world {
	char folder[64];
	char door[128];
	uv_loop_t loop;
	struct lp_log log;
	struct lp_listener_identity listeners[2];
	struct lp_registry_config config;
	struct lp_registry *registry;
	struct lp_error error;
	unsigned came;
	struct lp_registered last;
	unsigned heirs;
	struct lp_known_process heir;
	bool closed;
};

static void on_registered(void *owner, const struct lp_registered *who)
{
	struct world *world = owner;
	world->came++;
	world->last = *who;
	close(who->fd);
	close(who->pidfd);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	strcpy(world->folder, "/tmp/limpet-registry-XXXXXX");
	if (!mkdtemp(world->folder))
		return -1;
	setenv("LIMPET_PRELOAD_LIBRARY", "/proc/self/exe", 1);
	lp_log_init(&world->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	uv_loop_init(&world->loop);
	strcpy(world->listeners[0].name, "127.0.0.1:5000");
	strcpy(world->listeners[0].identity, "tcp-1-127.0.0.1:5000");
	strcpy(world->listeners[1].name, "unix:./s");
	strcpy(world->listeners[1].identity, "unix-1-2-3");
	snprintf(world->door, sizeof(world->door), "%s/%s", world->folder, world->listeners[0].identity);
	world->config = (struct lp_registry_config){.loop = &world->loop,
						    .log = &world->log,
						    .folder = world->folder,
						    .listeners = world->listeners,
						    .listener_count = 2,
						    .addresses = "5000,unix:./s",
						    .registered = on_registered,
						    .owner = world};
	*state = world;
	return 0;
}

static void on_closed(void *owner)
{
	struct world *world = owner;
	world->closed = true;
	world->registry = NULL;
}

static void close_registry(struct world *world)
{
	world->closed = false;
	lp_registry_close(world->registry, on_closed, world);
	while (!world->closed)
		uv_run(&world->loop, UV_RUN_ONCE);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	if (world->registry)
		close_registry(world);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	int status = uv_loop_close(&world->loop);
	char command[128];
	snprintf(command, sizeof(command), "rm -r '%s'", world->folder);
	status |= system(command);
	free(world);
	return status;
}

static void open_registry(struct world *world)
{
	int status = lp_registry_open(&world->registry, &world->config, &world->error);
	if (status)
		print_error("%s\n", world->error.text);
	assert_int_equal(status, 0);
}

static void connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char byte;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		_exit(1);
	if (recv(fd, &byte, 1, 0) < 0) /* Until it is let go. */
		_exit(2);
}

/* A child that waits for a byte, then connects, and ends when its channel does. */
static pid_t start_worker(const char *door, int *go)
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t child = fork();
	if (child == 0) {
		char byte;
		close(pipes[1]);
		if (read(pipes[0], &byte, 1) == 1)
			connect_to(door);
		_exit(0);
	}
	close(pipes[0]);
	*go = pipes[1];
	return child;
}

/* Let a child come to the door, and run the loop until it has been dealt with. */
static void let_come(struct world *world, pid_t child, int go)
{
	int status;
	assert_int_equal(write(go, "", 1), 1);
	close(go);
	while (waitpid(child, &status, WNOHANG) == 0)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	assert_int_equal(status, 0);
}

static void a_program_comes_in_with_its_slot(void **state)
{
	struct world *world = *state;
	int go;
	open_registry(world);
	pid_t child = start_worker(world->door, &go);
	lp_registry_program_started(world->registry, child, 7);
	let_come(world, child, go);
	assert_int_equal(world->came, 1);
	assert_int_equal(world->last.pid, child);
	assert_int_equal(world->last.slot, 7);
}

static void a_process_that_was_not_started_here_does_not_come_in(void **state)
{
	struct world *world = *state;
	int go;
	open_registry(world);
	pid_t child = start_worker(world->door, &go);
	let_come(world, child, go);
	assert_int_equal(world->came, 0);
}

static void one_that_has_ended_does_not_come_in_again_under_its_number(void **state)
{
	struct world *world = *state;
	int go;
	open_registry(world);
	pid_t child = start_worker(world->door, &go);
	lp_registry_program_started(world->registry, child, 7);
	lp_registry_process_ended(world->registry, child);
	let_come(world, child, go);
	assert_int_equal(world->came, 0);
}

/* It connects and is gone before anybody looks. */
static void a_dead_process_does_not_come_in(void **state)
{
	struct world *world = *state;
	open_registry(world);
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		strcpy(address.sun_path, world->door);
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		_exit(connect(fd, (struct sockaddr *)&address, sizeof(address)) ? 1 : 0);
	}
	lp_registry_program_started(world->registry, child, 7);
	siginfo_t ended;
	assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0); /* It stays a zombie. */
	for (int i = 0; i < 3; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	assert_int_equal(world->came, 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_second_one_is_told_who_has_the_door(void **state)
{
	struct world *world = *state;
	struct lp_registry *second;
	char pid[32];
	open_registry(world);
	snprintf(pid, sizeof(pid), "pid %d ", (int)getpid());
	assert_int_equal(lp_registry_open(&second, &world->config, &world->error), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(world->error.text, pid));
	assert_non_null(strstr(world->error.text, "127.0.0.1:5000"));

	/* One listener in common is enough. */
	struct lp_registry_config other = world->config;
	strcpy(world->listeners[0].identity, "tcp-1-127.0.0.1:6000");
	assert_int_equal(lp_registry_open(&second, &other, &world->error), -EBUSY);
	assert_non_null(strstr(world->error.text, "unix:./s"));
	assert_int_equal(access(world->door, F_OK), 0);
}

static void when_it_yields_another_may_have_the_door_and_keeps_it(void **state)
{
	struct world *world = *state;
	struct stat before;
	struct stat after;
	open_registry(world);
	struct lp_registry *first = world->registry;
	lp_registry_yield(first);
	lp_registry_yield(first);
	open_registry(world);
	struct lp_registry *second = world->registry;
	assert_int_equal(stat(world->door, &before), 0);
	world->registry = first;
	close_registry(world);
	world->registry = second;
	assert_int_equal(stat(world->door, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void its_end_leaves_nothing(void **state)
{
	struct world *world = *state;
	int go;
	open_registry(world);
	pid_t child = start_worker(world->door, &go);
	lp_registry_program_started(world->registry, child, 1);
	close(go);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close_registry(world);
	assert_int_equal(rmdir(world->folder), 0);
	assert_int_equal(mkdir(world->folder, 0700), 0);
}

static void on_heir(void *owner, const struct lp_known_process *process)
{
	struct world *world = owner;
	world->heirs++;
	world->heir = *process;
}

/* Another process is the limpet that is killed. Its program is a child of this one, which so outlives it. */
static void open_and_be_killed(struct world *world, pid_t program)
{
	pid_t limpet = fork();
	if (limpet == 0) {
		uv_loop_t loop;
		uv_loop_init(&loop);
		world->config.loop = &loop;
		if (lp_registry_open(&world->registry, &world->config, &world->error))
			_exit(1);
		lp_registry_program_started(world->registry, program, 3);
		raise(SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(limpet, &status, 0), limpet);
	assert_true(WIFSIGNALED(status));
}

static void what_a_killed_one_had_started_is_known_to_the_next(void **state)
{
	struct world *world = *state;
	int go;
	pid_t program = start_worker(world->door, &go);
	open_and_be_killed(world, program);
	open_registry(world);
	lp_registry_find_heirs(world->registry, on_heir, world);
	assert_int_equal(world->heirs, 1);
	assert_int_equal(world->heir.pid, program);
	assert_int_equal(world->heir.slot, 3);
	let_come(world, program, go);
	assert_int_equal(world->came, 1);
	assert_int_equal(world->last.slot, 3);
}

static void what_has_ended_meanwhile_is_not(void **state)
{
	struct world *world = *state;
	int go;
	pid_t program = start_worker(world->door, &go);
	open_and_be_killed(world, program);
	close(go);
	assert_int_equal(waitpid(program, NULL, 0), program);
	open_registry(world);
	lp_registry_find_heirs(world->registry, on_heir, world);
	assert_int_equal(world->heirs, 0);
}

static void a_start_that_fails_keeps_what_was_written_down(void **state)
{
	struct world *world = *state;
	int go;
	pid_t program = start_worker(world->door, &go);
	open_and_be_killed(world, program);
	assert_int_equal(unlink(world->door), 0);
	assert_int_equal(mkdir(world->door, 0700), 0); /* In the way. */
	assert_int_not_equal(lp_registry_open(&world->registry, &world->config, &world->error), 0);
	assert_non_null(strstr(world->error.text, "--preload-dir"));
	assert_int_equal(rmdir(world->door), 0);
	open_registry(world);
	lp_registry_find_heirs(world->registry, on_heir, world);
	assert_int_equal(world->heirs, 1);
	close(go);
	assert_int_equal(waitpid(program, NULL, 0), program);
}

static void a_folder_that_is_too_deep_is_told(void **state)
{
	struct world *world = *state;
	char folder[128];
	memset(folder, 'a', sizeof(folder));
	folder[0] = '/';
	folder[sizeof(folder) - 1] = '\0';
	world->config.folder = folder;
	assert_int_equal(lp_registry_open(&world->registry, &world->config, &world->error), -ENAMETOOLONG);
	assert_non_null(strstr(world->error.text, "--preload-dir"));
	world->config.folder = world->folder;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_program_comes_in_with_its_slot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_process_that_was_not_started_here_does_not_come_in, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(one_that_has_ended_does_not_come_in_again_under_its_number, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_dead_process_does_not_come_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_second_one_is_told_who_has_the_door, set_up, tear_down),
		cmocka_unit_test_setup_teardown(when_it_yields_another_may_have_the_door_and_keeps_it, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(its_end_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_killed_one_had_started_is_known_to_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_ended_meanwhile_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_start_that_fails_keeps_what_was_written_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folder_that_is_too_deep_is_told, set_up, tear_down),
	};
	alarm(DEADLINE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
