/* Real processes: what they inherit, what becomes of their output, what is told of their end. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/process.h"

/* No healthy run comes near; SIGALRM then ends the program. */
#define DEADLINE_S 50

static const struct lp_dialect dialect = {
	.name = "test",
	.environment = {"WHO=worker %u of many", "INSTANCE=%i", "OF=%n", "COUNT=%n", "OVERRIDDEN=by the dialect",
			"NODE_UNIQUE_ID=%u"},
};

struct world {
	uv_loop_t loop;
	struct lp_process process;
	struct lp_descriptors_for_programs limit;
	int channel; /* Our end. */
	int theirs;
	unsigned exits;
	int64_t status;
	int signal;
	bool closed;
};

static void on_closed(struct lp_process *process)
{
	struct world *world = process->owner;
	assert_false(world->closed);
	world->closed = true;
}

static void on_exited(struct lp_process *process, int64_t status, int signal)
{
	struct world *world = process->owner;
	world->exits++;
	world->status = status;
	world->signal = signal;
	lp_process_close(process, on_closed);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	int pair[2];
	assert_non_null(world);
	assert_int_equal(uv_loop_init(&world->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	world->channel = pair[0];
	world->theirs = pair[1];
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	assert_int_equal(uv_run(&world->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&world->loop), 0);
	close(world->channel);
	if (world->theirs >= 0)
		close(world->theirs);
	free(world);
	return 0;
}

static struct lp_process_config config_of(struct world *world, char *const *command, bool prefix)
{
	static const char *const variables[] = {"MINE=%ith of many", "COUNT=mine"};
	return (struct lp_process_config){.command = command,
					  .dialect = &dialect,
					  .variables = variables,
					  .variable_count = 2,
					  .id = 7,
					  .count = 9,
					  .channel_fd = world->theirs,
					  .output = prefix ? LP_OUTPUT_PREFIXED : LP_OUTPUT_INHERITED,
					  .limit = &world->limit};
}

static void start(struct world *world, const char *script, bool prefix)
{
	char *command[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	struct lp_process_config config = config_of(world, command, prefix);
	assert_int_equal(lp_process_start(&world->process, &world->loop, &config, on_exited, world), 0);
	close(world->theirs); /* So that the process's is the only one. */
	world->theirs = -1;
}

static void run_to_its_end(struct world *world)
{
	while (!world->closed)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(world->exits, 1);
}

/* All that comes until end of file, as a string for free(). */
static char *read_all(int fd)
{
	size_t length = 0, size = 1 << 20;
	char *all = malloc(size + 1);
	assert_non_null(all);
	ssize_t got;
	while ((got = read(fd, all + length, size - length)) > 0)
		length += (size_t)got;
	all[length] = '\0';
	return all;
}

/* Our own output, while a test looks at what is passed on to it. */
struct capture {
	int to;    /* 1 or 2. */
	int saved; /* What it was. */
	int from;  /* Where to read what is written. */
};

static struct capture capture(int to)
{
	struct capture captured = {.to = to};
	int ends[2];
	fflush(NULL);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	captured.saved = fcntl(to, F_DUPFD_CLOEXEC, 10);
	captured.from = ends[0];
	dup2(ends[1], to);
	close(ends[1]);
	return captured;
}

static void restore(struct capture *captured)
{
	dup2(captured->saved, captured->to);
	close(captured->saved);
}

/* What was written, as a string for free(). */
static char *release(struct capture *captured)
{
	restore(captured);
	char *all = read_all(captured->from);
	close(captured->from);
	return all;
}

static void an_exit_status_is_told(void **state)
{
	struct world *world = *state;
	start(world, "exit 7", false);
	assert_int_not_equal(world->process.pid, 0);
	run_to_its_end(world);
	assert_int_equal(world->status, 7);
	assert_int_equal(world->signal, 0);
	assert_int_equal(world->process.pid, 0);
	lp_process_kill(&world->process, SIGKILL); /* Goes to nobody. */
}

static void a_signal_is_sent_and_told(void **state)
{
	struct world *world = *state;
	start(world, "read never <&3", false);
	lp_process_kill(&world->process, SIGTERM);
	run_to_its_end(world);
	assert_int_equal(world->status, 0);
	assert_int_equal(world->signal, SIGTERM);
}

/* Between its end and our hearing of it, nobody takes it for one that leaves its bytes unread on purpose. */
static void one_that_is_stopped_or_has_just_ended_does_nothing(void **state)
{
	struct world *world = *state;
	siginfo_t ended;
	start(world, "read never <&3", false);
	id_t pid = (id_t)world->process.pid;
	assert_false(lp_process_is_stopped(&world->process));
	lp_process_kill(&world->process, SIGSTOP);
	assert_int_equal(waitid(P_PID, pid, &ended, WSTOPPED), 0);
	assert_true(lp_process_is_stopped(&world->process));
	lp_process_kill(&world->process, SIGKILL);
	assert_int_equal(waitid(P_PID, pid, &ended, WEXITED | WNOWAIT), 0);
	assert_true(lp_process_is_stopped(&world->process));
	run_to_its_end(world);
	assert_false(lp_process_is_stopped(&world->process));
}

static void a_missing_program_is_an_error_and_nothing_runs(void **state)
{
	struct world *world = *state;
	char *command[] = {(char *)"/no/such/program", NULL};
	for (int prefix = 0; prefix <= 1; prefix++) {
		world->closed = false;
		struct lp_process_config config = config_of(world, command, prefix);
		assert_int_equal(lp_process_start(&world->process, &world->loop, &config, on_exited, world), UV_ENOENT);
		assert_int_equal(world->process.pid, 0);
		lp_process_close(&world->process, on_closed);
		uv_run(&world->loop, UV_RUN_DEFAULT);
		assert_true(world->closed);
		assert_int_equal(world->exits, 0);
	}
}

static void one_that_was_never_started_closes_at_once(void **state)
{
	struct world *world = *state;
	world->process.owner = world;
	lp_process_close(&world->process, on_closed);
	assert_true(world->closed);
}

/* The highest descriptor of a process, and how many it has. */
static int count_descriptors(int pid, int *highest)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *fds = opendir(path);
	int count = 0;
	*highest = -1;
	for (const struct dirent *entry = fds ? readdir(fds) : NULL; entry; entry = readdir(fds)) {
		if (entry->d_name[0] == '.')
			continue;
		int fd = atoi(entry->d_name);
		*highest = fd > *highest ? fd : *highest;
		count++;
	}
	if (fds)
		closedir(fds);
	return count;
}

static void it_has_four_descriptors(void **state)
{
	struct world *world = *state;
	/* What we were started with ourselves may not be CLOEXEC. */
	for (int fd = 3; fd < 1024; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	int status, highest;
	start(world, "kill -STOP $$", true);
	waitpid(world->process.pid, &status, WUNTRACED);
	int count = count_descriptors(world->process.pid, &highest);
	char path[64], target[64] = "";
	snprintf(path, sizeof(path), "/proc/%d/fd/0", world->process.pid);
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	lp_process_kill(&world->process, SIGKILL);
	run_to_its_end(world);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(world->signal, SIGKILL);
	assert_int_equal(count, 4);
	assert_int_equal(highest, LP_CHANNEL_FD);
	assert_true(length > 0);
	assert_string_equal(target, "/dev/null");
}

static void its_channel_is_descriptor_3(void **state)
{
	struct world *world = *state;
	start(world, "read word <&3; echo got $word >&3", false);
	assert_int_equal(write(world->channel, "hello\n", 6), 6);
	char *all = read_all(world->channel);
	assert_string_equal(all, "got hello\n");
	free(all);
	run_to_its_end(world);
}

static void assert_has_line(const char *text, const char *line)
{
	char whole[256];
	snprintf(whole, sizeof(whole), "\n%s\n", line);
	if (!strstr(text, whole))
		fail_msg("no line \"%s\" in:%s", line, text);
}

static void its_environment_is_ours_but_for_what_user_and_dialect_say(void **state)
{
	struct world *world = *state;
	setenv("NODE_CHANNEL_FD", "99", 1);
	setenv("NODE_CHANNEL_SERIALIZATION_MODE", "advanced", 1);
	setenv("NODE_UNIQUE_ID", "99", 1);
	setenv("LIMPET_CHANNEL_FD", "99", 1);
	setenv("LIMPET_WORKER_ID", "99", 1);
	setenv("OVERRIDDEN", "by nobody", 1);
	setenv("OVERRIDDEN_NOT", "ours", 1);
	start(world, "(echo; env) >&3", false);
	char *all = read_all(world->channel);
	run_to_its_end(world);
	assert_has_line(all, "LIMPET_WORKER_ID=7");
	assert_has_line(all, "NODE_UNIQUE_ID=7");
	assert_has_line(all, "WHO=worker 7 of many");
	assert_has_line(all, "INSTANCE=6");
	assert_has_line(all, "OF=9");
	assert_has_line(all, "MINE=6th of many");
	assert_has_line(all, "COUNT=mine");
	assert_null(strstr(all, "COUNT=9"));
	assert_has_line(all, "OVERRIDDEN=by the dialect");
	assert_has_line(all, "OVERRIDDEN_NOT=ours");
	assert_null(strstr(all, "NODE_CHANNEL_FD="));
	assert_null(strstr(all, "NODE_CHANNEL_SERIALIZATION_MODE="));
	assert_null(strstr(all, "LIMPET_CHANNEL_FD="));
	assert_null(strstr(all, "=99"));
	assert_null(strstr(all, "by nobody"));
	free(all);
	unsetenv("NODE_CHANNEL_FD");
	unsetenv("NODE_CHANNEL_SERIALIZATION_MODE");
	unsetenv("NODE_UNIQUE_ID");
	unsetenv("LIMPET_CHANNEL_FD");
	unsetenv("LIMPET_WORKER_ID");
}

static void our_ignored_and_blocked_signals_are_its_own_again(void **state)
{
	struct world *world = *state;
	sigset_t blocked, before;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	signal(SIGPIPE, SIG_IGN);
	start(world, "(echo; grep -E '^Sig(Blk|Ign)' /proc/self/status) >&3", false);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	char *all = read_all(world->channel);
	run_to_its_end(world);
	assert_has_line(all, "SigBlk:\t0000000000000000");
	assert_has_line(all, "SigIgn:\t0000000000000000");
	free(all);
}

static void lines_are_passed_on_behind_its_id(void **state)
{
	struct world *world = *state;
	struct capture out = capture(1), err = capture(2);
	start(world, "echo one; echo; echo two >&2; printf 'no newline'", true);
	run_to_its_end(world);
	char *errors = release(&err);
	char *output = release(&out);
	assert_string_equal(output, "[7] one\n[7] \n[7] no newline\n");
	assert_string_equal(errors, "[7] two\n");
	free(output);
	free(errors);
}

static void a_line_waits_for_its_end(void **state)
{
	struct world *world = *state;
	struct capture out = capture(1);
	start(world, "printf begin; read go <&3; echo end", true);
	while (world->process.outputs[0].length < 5)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(write(world->channel, "go\n", 3), 3);
	run_to_its_end(world);
	char *output = release(&out);
	assert_string_equal(output, "[7] beginend\n");
	free(output);
}

static void without_a_prefix_output_is_our_own(void **state)
{
	struct world *world = *state;
	struct capture out = capture(1);
	start(world, "printf 'as it is'", false);
	run_to_its_end(world);
	char *output = release(&out);
	assert_string_equal(output, "as it is");
	free(output);
}

static void a_long_line_is_passed_on_in_pieces(void **state)
{
	struct world *world = *state;
	struct capture out = capture(1);
	start(world, "printf '%010000d\\n' 0", true);
	run_to_its_end(world);
	char *output = release(&out);
	size_t zeros = 0, pieces = 0;
	for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n"), pieces++) {
		assert_memory_equal(line, "[7] ", 4);
		assert_true(strlen(line) < LP_PROCESS_LINE_MAX);
		zeros += strlen(line) - 4;
		assert_int_equal(strspn(line + 4, "0"), strlen(line) - 4);
	}
	assert_int_equal(zeros, 10000);
	assert_int_equal(pieces, 3);
	free(output);
}

/* A reader of our output that takes a little every millisecond, on the same loop: a write that waits, waits for ever. */
struct slow_reader {
	uv_timer_t timer;
	struct capture out;
	char *text;
	size_t length;
};

static void on_read_a_little(uv_timer_t *timer)
{
	struct slow_reader *reader = timer->data;
	ssize_t got = read(reader->out.from, reader->text + reader->length, 4096);
	if (got > 0)
		reader->length += (size_t)got;
}

static void output_without_room_waits_and_is_whole(void **state)
{
	struct world *world = *state;
	struct slow_reader reader = {.out = capture(1), .text = calloc(1, 1 << 20)};
	assert_non_null(reader.text);
	fcntl(reader.out.from, F_SETFL, O_NONBLOCK);
	uv_timer_init(&world->loop, &reader.timer);
	reader.timer.data = &reader;
	uv_timer_start(&reader.timer, on_read_a_little, 1, 1);
	bool stalled = false;
	/* More than all pipes hold; the process stays until the last line has been passed on. */
	start(world, "seq 20000; echo end; read done <&3", true);
	while (!strstr(reader.text + (reader.length > 64 ? reader.length - 64 : 0), "[7] end\n")) {
		uv_run(&world->loop, UV_RUN_ONCE);
		stalled |= world->process.outputs[0].stalled;
	}
	shutdown(world->channel, SHUT_RDWR);
	run_to_its_end(world);
	uv_close((uv_handle_t *)&reader.timer, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	restore(&reader.out);
	close(reader.out.from);
	assert_true(stalled);
	const char *at = reader.text;
	for (int i = 1; i <= 20000; i++) {
		char line[32];
		int length = snprintf(line, sizeof(line), "[7] %d\n", i);
		assert_memory_equal(at, line, (size_t)length);
		at += length;
	}
	assert_string_equal(at, "[7] end\n");
	free(reader.text);
}

static void a_descendant_that_keeps_the_pipe_holds_nobody_up(void **state)
{
	struct world *world = *state;
	struct capture out = capture(1);
	start(world, "sleep 1000 3>&- & printf \"child $!\"", true);
	run_to_its_end(world);
	char *output = release(&out);
	int child = 0;
	assert_int_equal(sscanf(output, "[7] child %d\n", &child), 1);
	assert_int_equal(kill(child, SIGKILL), 0); /* It was still there. */
	free(output);
}

static void a_closed_output_of_ours_loses_lines_and_no_more(void **state)
{
	struct world *world = *state;
	struct capture out = capture(1);
	signal(SIGPIPE, SIG_IGN);
	close(out.from);
	start(world, "seq 20000", true);
	run_to_its_end(world);
	restore(&out);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(world->status, 0);
}

int main(void)
{
	alarm(DEADLINE_S);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_exit_status_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_signal_is_sent_and_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_is_stopped_or_has_just_ended_does_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_missing_program_is_an_error_and_nothing_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_was_never_started_closes_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_has_four_descriptors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(its_channel_is_descriptor_3, set_up, tear_down),
		cmocka_unit_test_setup_teardown(its_environment_is_ours_but_for_what_user_and_dialect_say, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(our_ignored_and_blocked_signals_are_its_own_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lines_are_passed_on_behind_its_id, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_line_waits_for_its_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_a_prefix_output_is_our_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_line_is_passed_on_in_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(output_without_room_waits_and_is_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_descendant_that_keeps_the_pipe_holds_nobody_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_output_of_ours_loses_lines_and_no_more, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
