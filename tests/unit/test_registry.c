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
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connection/closer.h"
#include "failing_calls.h"
#include "wire/placeholder.h"
#include "worker/pidfd.h"
#include "worker/registry.h"

#define DEADLINE_S 50

FAILING_CALL(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
FAILING_CALL(int, vasprintf, (char **text, const char *format, va_list arguments), (text, format, arguments), -1,
	     ENOMEM)
FAILING_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAILING_CALL(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), -1, EACCES)
FAILING_CALL(int, listen, (int fd, int backlog), (fd, backlog), -1, ENOBUFS)
FAILING_CALL(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), UV_EPERM, EPERM)

/* A kernel before Linux 6.5, which gives no descriptor of who has connected. */
static bool kernel_is_old;

/* What SO_PEERCRED says, where it is not the truth. */
static struct ucred credentials;

int __real_lp_pidfd_of_peer(int fd);
int __wrap_lp_pidfd_of_peer(int fd);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length);

int __wrap_lp_pidfd_of_peer(int fd)
{
	return kernel_is_old ? -ENOPROTOOPT : __real_lp_pidfd_of_peer(fd);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	if (level != SOL_SOCKET || name != SO_PEERCRED || !credentials.gid)
		return __real_getsockopt(fd, level, name, value, length);
	memcpy(value, &credentials, sizeof(credentials));
	return 0;
}

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
	unsigned nodes;
	int log_fd;
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
	FILE *log = tmpfile();
	if (!log)
		return -1;
	world->log_fd = dup(fileno(log));
	fclose(log);
	lp_log_init(&world->log, world->log_fd, LP_LOG_DEBUG, LP_LOG_TEXT);
	uv_loop_init(&world->loop);
	kernel_is_old = false;
	credentials = (struct ucred){0};
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
						    .closer = lp_closer_new(),
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
	lp_closer_free(world->config.closer);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	int status = uv_loop_close(&world->loop);
	char command[128];
	snprintf(command, sizeof(command), "rm -r '%s'", world->folder);
	status |= system(command);
	close(world->log_fd);
	free(world);
	return status;
}

static bool is_logged(const struct world *world, const char *text)
{
	char log[4096];
	ssize_t length = pread(world->log_fd, log, sizeof(log) - 1, 0);
	log[length > 0 ? length : 0] = '\0';
	return strstr(log, text);
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
	int fd = socket(AF_UNIX, strstr(path, ".node") ? SOCK_STREAM : SOCK_SEQPACKET, 0);
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

/* All that was opened since has closed, or does: a thread closes what may take its time. */
static void await_descriptors(unsigned count)
{
	while (count_descriptors() != count)
		uv_sleep(1);
}

/* What the environment has for a name, or NULL. */
static const char *variable(const struct world *world, const char *name)
{
	char *const *environment = lp_registry_environment(world->registry);
	size_t length = strlen(name);
	for (size_t i = 0; environment[i]; i++)
		if (strncmp(environment[i], name, length) == 0 && environment[i][length] == '=')
			return environment[i] + length + 1;
	return NULL;
}

static void on_node_process(void *owner, const struct lp_registered *who)
{
	struct world *world = owner;
	world->nodes++;
	world->last = *who;
	close(who->fd);
	close(who->pidfd);
}

static void workers_are_told_what_they_need_in_their_environment(void **state)
{
	struct world *world = *state;
	unsetenv("LD_PRELOAD");
	unsetenv("PORT");
	open_registry(world);
	assert_string_equal(variable(world, "LD_PRELOAD"), "/proc/self/exe");
	assert_string_equal(variable(world, "LIMPET_PRELOAD"), world->door);
	assert_string_equal(variable(world, "LIMPET_PRELOAD_LISTEN"), "5000,unix:./s");
	assert_string_equal(variable(world, "LIMPET_PRELOAD_LEARN"), "");
	assert_string_equal(variable(world, "UV_USE_IO_URING"), "0");
	assert_string_equal(variable(world, "PORT"), "5000");
	assert_null(variable(world, "LIMPET_PRELOAD_NODE"));
	assert_null(variable(world, "LISTEN_FDS"));
	close_registry(world);

	char node[160];
	snprintf(node, sizeof(node), "%s.node", world->door);
	setenv("LD_PRELOAD", "/of/others.so", 1);
	world->config.learn = "cookie:user";
	world->config.node_process = on_node_process;
	world->config.gives_listener = true;
	open_registry(world);
	assert_string_equal(variable(world, "LD_PRELOAD"), "/proc/self/exe:/of/others.so");
	assert_string_equal(variable(world, "LIMPET_PRELOAD_LEARN"), "cookie:user");
	assert_string_equal(variable(world, "LIMPET_PRELOAD_NODE"), node);
	assert_string_equal(variable(world, "LISTEN_FDS"), "1");
	assert_string_equal(variable(world, "LISTEN_PID"), "0");
	setenv("LD_PRELOAD", "", 1);
	close_registry(world);
	open_registry(world);
	assert_string_equal(variable(world, "LD_PRELOAD"), "/proc/self/exe");
	unsetenv("LD_PRELOAD");
}

static void a_port_of_the_users_stays_if_it_is_ours(void **state)
{
	static const char *const ports[][3] = {/* PORT, ours, what workers are told */
					       {"5000", "5000", NULL},
					       {"5001", "5000,5001", NULL},
					       {"3000", "5000", "5000"},
					       {"x", "5000", "5000"},
					       {"3000", "unix:/s", NULL}};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		setenv("PORT", ports[i][0], 1);
		world->config.addresses = ports[i][1];
		open_registry(world);
		const char *told = variable(world, "PORT");
		if (ports[i][2])
			assert_string_equal(told, ports[i][2]);
		else
			assert_null(told);
		close_registry(world);
	}
	unsetenv("PORT");
}

static void a_library_that_is_not_there_is_told(void **state)
{
	struct world *world = *state;
	setenv("LIMPET_PRELOAD_LIBRARY", "/nowhere/to/be/found.so", 1);
	assert_int_equal(lp_registry_open(&world->registry, &world->config, &world->error), -ENOENT);
	assert_string_equal(world->error.text, "LIMPET_PRELOAD_LIBRARY: /nowhere/to/be/found.so cannot be read");
	unsetenv("LIMPET_PRELOAD_LIBRARY"); /* Then it is looked for beside the program, which is this test. */
	assert_int_equal(lp_registry_open(&world->registry, &world->config, &world->error), -ENOENT);
	assert_non_null(strstr(world->error.text, "liblimpet-preload.so is neither in "));
	assert_non_null(strstr(world->error.text, "say where it is with LIMPET_PRELOAD_LIBRARY"));
}

static void a_node_process_has_a_door_of_its_own(void **state)
{
	struct world *world = *state;
	char door[160];
	int go;
	world->config.node_process = on_node_process;
	open_registry(world);
	snprintf(door, sizeof(door), "%s.node", world->door);
	pid_t child = start_worker(door, &go);
	lp_registry_program_started(world->registry, child, 4);
	let_come(world, child, go);
	assert_int_equal(world->nodes, 1);
	assert_int_equal(world->came, 0);
	assert_int_equal(world->last.slot, 4);
	close_registry(world);
	assert_int_equal(access(door, F_OK), -1);
	assert_int_equal(access(world->door, F_OK), -1);
}

static void on_an_old_kernel_the_process_of_that_number_is_it_if_the_user_is_right(void **state)
{
	struct world *world = *state;
	int go;
	kernel_is_old = true;
	open_registry(world);
	unsigned open = count_descriptors();
	pid_t child = start_worker(world->door, &go);
	lp_registry_program_started(world->registry, child, 7);
	let_come(world, child, go);
	assert_int_equal(world->came, 1);
	assert_int_equal(world->last.pid, child);

	child = start_worker(world->door, &go);
	lp_registry_program_started(world->registry, child, 8);
	credentials = (struct ucred){.pid = child, .uid = geteuid() + 1, .gid = 1};
	let_come(world, child, go);
	assert_int_equal(world->came, 1);
	credentials = (struct ucred){.pid = child, .uid = geteuid(), .gid = 1}; /* It has ended. */
	child = start_worker(world->door, &go);
	let_come(world, child, go);
	assert_int_equal(world->came, 1);
	await_descriptors(open);
}

static void who_is_refused_is_told_of_in_the_log(void **state)
{
	struct world *world = *state;
	char line[96];
	int go;
	open_registry(world);
	unsigned open = count_descriptors();
	pid_t child = start_worker(world->door, &go);
	let_come(world, child, go);
	snprintf(line, sizeof(line), "process %d of user %u is no worker: limpet has started neither it", (int)child,
		 (unsigned)geteuid());
	assert_true(is_logged(world, line));
	await_descriptors(open);
	/* Its number means nothing here: it is of another pid namespace. */
	credentials = (struct ucred){.pid = 0, .uid = 4242, .gid = 1};
	child = start_worker(world->door, &go);
	lp_registry_program_started(world->registry, child, 1);
	let_come(world, child, go);
	assert_int_equal(world->came, 0);
	assert_true(is_logged(world, "limpet has started neither it nor any of its ancestors"));
	await_descriptors(open);
}

/* Its number may be another process's by then. */
static void what_has_left_limpet_is_not_known_to_the_next(void **state)
{
	struct world *world = *state;
	int go;
	int status;
	pid_t program = start_worker(world->door, &go);
	pid_t limpet = fork();
	if (limpet == 0) {
		uv_loop_t loop;
		uv_loop_init(&loop);
		world->config.loop = &loop;
		if (lp_registry_open(&world->registry, &world->config, &world->error))
			_exit(1);
		lp_registry_program_started(world->registry, program, 3);
		lp_registry_process_ended(world->registry, program);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(limpet, &status, 0), limpet);
	assert_true(WIFSIGNALED(status));
	open_registry(world);
	lp_registry_find_heirs(world->registry, on_heir, world);
	assert_int_equal(world->heirs, 0);
	let_come(world, program, go);
	assert_int_equal(world->came, 0);
}

static void each_call_that_fails_is_told_and_leaves_nothing(void **state)
{
	struct world *world = *state;
	const char *failed;
	unsigned which = 0;
	char door[160];
	world->config.node_process = on_node_process;
	world->config.gives_listener = true;
	snprintf(door, sizeof(door), "%s.node", world->door);
	unsigned open = count_descriptors();
	do {
		fail_call(++which);
		int status = lp_registry_open(&world->registry, &world->config, &world->error);
		failed = failed_call();
		assert_true(failed ? status < 0 && !world->registry && *world->error.text : status == 0);
		if (!failed)
			break;
		uv_run(&world->loop, UV_RUN_DEFAULT);
		assert_int_equal(count_descriptors(), open);
		assert_int_equal(access(world->door, F_OK), -1);
		assert_int_equal(access(door, F_OK), -1);
	} while (failed);
	assert_in_range(which, 15, 40);
}

static void a_record_that_cannot_be_written_or_read_is_told(void **state)
{
	struct world *world = *state;
	char record[160];
	int go;
	snprintf(record, sizeof(record), "%s.processes", world->door);
	assert_int_equal(mkdir(record, 0700), 0);
	open_registry(world);
	assert_true(is_logged(world, "workers of an earlier limpet are not taken over"));
	pid_t child = start_worker(world->door, &go);
	lp_registry_program_started(world->registry, child, 7);
	assert_true(is_logged(world, "if limpet is killed, the next one will not find its workers"));
	let_come(world, child, go);
	assert_int_equal(world->came, 1); /* It comes in all the same. */
	close_registry(world);
	assert_int_equal(rmdir(record), 0);
}

static void a_process_that_has_ended_already_is_not_known(void **state)
{
	struct world *world = *state;
	open_registry(world);
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	lp_registry_program_started(world->registry, child, 7);
	lp_registry_find_heirs(world->registry, on_heir, world);
	assert_int_equal(world->heirs, 0);
}

static void placeholders_are_of_this_door(void **state)
{
	struct world *world = *state;
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(5000), .sin_addr = {0x0100007f}};
	struct sockaddr_un name = {0};
	struct sockaddr_storage read = {0};
	socklen_t length = sizeof(name);
	unsigned which = 9;
	open_registry(world);
	int fd = lp_registry_make_placeholder(world->registry, (const struct sockaddr *)&address, 3);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	assert_true(lp_placeholder_read(&name, length, world->door, &read, &which));
	assert_int_equal(which, 3);
	assert_int_equal(((struct sockaddr_in *)&read)->sin_addr.s_addr, address.sin_addr.s_addr);
	assert_false(lp_placeholder_read(&name, length, "/another/door", &read, &which));
	close(fd);
	fd = lp_registry_placeholder(world->registry);
	length = sizeof(name);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	assert_true(lp_placeholder_read(&name, length, world->door, &read, &which));
	assert_int_equal(which, 0);
	assert_int_equal(((struct sockaddr_in *)&read)->sin_addr.s_addr, INADDR_ANY);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_program_comes_in_with_its_slot),
		TEST(a_process_that_was_not_started_here_does_not_come_in),
		TEST(one_that_has_ended_does_not_come_in_again_under_its_number),
		TEST(a_dead_process_does_not_come_in),
		TEST(a_second_one_is_told_who_has_the_door),
		TEST(when_it_yields_another_may_have_the_door_and_keeps_it),
		TEST(its_end_leaves_nothing),
		TEST(what_a_killed_one_had_started_is_known_to_the_next),
		TEST(what_has_ended_meanwhile_is_not),
		TEST(a_start_that_fails_keeps_what_was_written_down),
		TEST(a_folder_that_is_too_deep_is_told),
		TEST(workers_are_told_what_they_need_in_their_environment),
		TEST(a_port_of_the_users_stays_if_it_is_ours),
		TEST(a_library_that_is_not_there_is_told),
		TEST(a_node_process_has_a_door_of_its_own),
		TEST(on_an_old_kernel_the_process_of_that_number_is_it_if_the_user_is_right),
		TEST(who_is_refused_is_told_of_in_the_log),
		TEST(what_has_left_limpet_is_not_known_to_the_next),
		TEST(each_call_that_fails_is_told_and_leaves_nothing),
		TEST(a_record_that_cannot_be_written_or_read_is_told),
		TEST(a_process_that_has_ended_already_is_not_known),
		TEST(placeholders_are_of_this_door),
	};
	alarm(DEADLINE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
