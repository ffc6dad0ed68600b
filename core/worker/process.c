/*
 * libuv starts the process and reports its end. This file prepares the environment and the output.
 *
 * Without a prefix a process simply has our own output. With one it writes to pipes (real ones, not libuv's sockets: a
 * server that opens /dev/stdout cannot open a socket), and each line goes on with a single write, so that the lines of
 * several workers and of the log do not mix. Nothing is dropped while it runs and nothing waits: when our output has no
 * room, its pipe is left unread until a timer finds room, and the process feels it as it would without us:
 *
 *     READING --no room--> STALLED --timer: room again--> READING --end of file--> (closed)
 *
 * A timer, since our output cannot be watched: that takes making it non-blocking, for everyone who shares it. It is
 * written to only when poll(2) says so, and never more than PIPE_BUF bytes, which a pipe that is ready takes whole.
 *
 * The same pipes without a prefix are for a process that fails again and again, so that its last words can be quoted
 * (last_output.c). One that works never has them: it keeps limpet's own output, a terminal, a file or the journal, and can go
 * on writing there when limpet is gone.
 *
 * A process that has ended may have left descendants that hold its pipes open for ever. So nobody waits for their end
 * of file: what the pipes hold when the process is closed is passed on, if there is room, and that is all.
 */
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/pidfd.h"

#define OUTPUTS 2

/* How soon a stalled output is looked at again. */
#define RETRY_MS 10

/* Reads before the loop gets its turn. */
#define READS_A_TURN 16

/* What is read at most of what a process left behind: the largest pipe, unless root has raised the limit. */
#define LEFT_BYTES_MAX (1 << 20)

_Static_assert(LP_PROCESS_LINE_MAX <= PIPE_BUF, "a ready pipe takes a line whole");

/* Variables by which a parent speaks to its child: ours are not meant for the workers, theirs come from the dialect. */
static const char *const parents_variables[] = {
	"LIMPET_CHANNEL_FD=",   "LIMPET_WORKER_ID=", "LIMPET_PRELOAD=",
	"LIMPET_PRELOAD_NODE=", "NODE_CHANNEL_FD=",  "NODE_CHANNEL_SERIALIZATION_MODE=",
	"NODE_UNIQUE_ID="};

#define PARENTS_VARIABLES (sizeof(parents_variables) / sizeof(*parents_variables))

/* A worker's environment: `added` are its own strings, the other entries are ours. */
struct environment {
	char **entries;
	char **added;
	size_t added_count;
};

static bool has_name_of(const char *entry, const char *other)
{
	size_t length = strcspn(other, "=") + 1;
	return strncmp(entry, other, length) == 0;
}

static bool is_added(const struct environment *environment, const char *entry)
{
	for (size_t i = 0; i < environment->added_count; i++)
		if (has_name_of(entry, environment->added[i]))
			return true;
	return false;
}

static bool is_passed_on(const struct environment *environment, const char *entry)
{
	for (size_t i = 0; i < PARENTS_VARIABLES; i++)
		if (has_name_of(entry, parents_variables[i]))
			return false;
	return !is_added(environment, entry);
}

/* The first %u, %i or %n. */
static const char *find_mark(const char *entry)
{
	const char *mark = strchr(entry, '%');
	while (mark && (!mark[1] || !strchr("uin", mark[1])))
		mark = strchr(mark + 1, '%');
	return mark;
}

/* What a mark in a variable stands for. */
static unsigned number_of(char mark, const struct lp_process_config *config)
{
	return mark == 'n' ? config->count : mark == 'i' ? config->id - 1 : config->id;
}

/* One that is there already stays as it is. */
static int add_variable(struct environment *environment, const char *entry, const struct lp_process_config *config)
{
	if (is_added(environment, entry))
		return 0;
	const char *mark = find_mark(entry);
	int before = mark ? (int)(mark - entry) : (int)strlen(entry);
	char number[16] = "";
	char *text;
	if (mark)
		snprintf(number, sizeof(number), "%u", number_of(mark[1], config));
	if (asprintf(&text, "%.*s%s%s", before, entry, number, mark ? mark + 2 : "") < 0)
		return UV_ENOMEM;
	environment->added[environment->added_count++] = text;
	return 0;
}

static void free_environment(struct environment *environment)
{
	for (size_t i = 0; i < environment->added_count; i++)
		free(environment->added[i]);
	free(environment->added);
	free(environment->entries);
}

static int add_variables(struct environment *environment, const struct lp_process_config *config)
{
	const char *const *theirs = config->dialect->environment;
	size_t more = 0;
	while (config->more && config->more[more])
		more++;
	environment->added = calloc(1 + config->variable_count + LP_DIALECT_VARIABLES + more, sizeof(char *));
	if (!environment->added)
		return UV_ENOMEM;
	int status = add_variable(environment, "LIMPET_WORKER_ID=%u", config);
	for (size_t i = 0; status == 0 && i < config->variable_count; i++)
		status = add_variable(environment, config->variables[i], config);
	for (size_t i = 0; status == 0 && i < LP_DIALECT_VARIABLES && theirs[i]; i++)
		status = add_variable(environment, theirs[i], config);
	for (size_t i = 0; status == 0 && i < more; i++)
		status = add_variable(environment, config->more[i], config);
	return status;
}

/* Returns 0 or UV_ENOMEM; free_environment in both cases. */
static int make_environment(struct environment *environment, const struct lp_process_config *config)
{
	*environment = (struct environment){0};
	int status = add_variables(environment, config);
	if (status)
		return status;
	size_t ours = 0, count = 0;
	while (environ && environ[ours])
		ours++;
	environment->entries = calloc(ours + environment->added_count + 1, sizeof(*environment->entries));
	if (!environment->entries)
		return UV_ENOMEM;
	for (size_t i = 0; i < ours; i++)
		if (is_passed_on(environment, environ[i]))
			environment->entries[count++] = environ[i];
	for (size_t i = 0; i < environment->added_count; i++)
		environment->entries[count++] = environment->added[i];
	return 0;
}

/* How much of the text is to be written as one line: 0 when its end has yet to come. */
static size_t first_line(const struct lp_process_output *output)
{
	const char *newline = memchr(output->text, '\n', output->length);
	if (newline)
		return (size_t)(newline - output->text) + 1;
	return output->ended || output->length == sizeof(output->text) ? output->length : 0;
}

/* Write a line, or the rest of one; returns false when there is no room. What cannot be written at all is dropped. */
static bool write_line(struct lp_process_output *output, size_t length)
{
	char line[LP_PROCESS_LINE_MAX];
	size_t size = 0;
	if (output->process->output == LP_OUTPUT_PREFIXED)
		size = (size_t)snprintf(line, sizeof(line), "[%u] ", output->process->id);
	memcpy(line + size, output->text, length);
	size += length;
	if (output->text[length - 1] != '\n')
		line[size++] = '\n';
	while (output->sent < size) {
		struct pollfd room = {.fd = output->to, .events = POLLOUT};
		if (poll(&room, 1, 0) == 0)
			return false;
		ssize_t sent = write(output->to, line + output->sent, size - output->sent);
		if (sent < 0 && errno == EAGAIN)
			return false;
		if (sent < 0 && errno != EINTR)
			break;
		if (sent > 0)
			output->sent += (size_t)sent;
	}
	output->sent = 0;
	return true;
}

/* Write all lines that are complete; returns false when there is no room for one. */
static bool write_lines(struct lp_process_output *output)
{
	size_t length;
	while ((length = first_line(output)) > 0) {
		if (!write_line(output, length))
			return false;
		output->length -= length;
		memmove(output->text, output->text + length, output->length);
	}
	return true;
}

/* Read once, and write what that completes; returns false when there is no more, or no room for it. */
static bool pass_on(struct lp_process_output *output)
{
	ssize_t got = read(output->from, output->text + output->length, sizeof(output->text) - output->length);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got > 0) {
		lp_last_output_add(output->process->last_words, output->text + output->length, (size_t)got);
		output->length += (size_t)got;
	} else {
		output->ended = true;
	}
	output->stalled = !write_lines(output);
	return !output->ended && !output->stalled;
}

static void close_pipe(struct lp_process_output *output)
{
	uv_poll_stop(&output->poll);
	close(output->from);
	output->from = -1;
}

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_retry(uv_timer_t *retry);

/* Wait for what comes next. */
static void go_on(struct lp_process_output *output)
{
	if (output->stalled) {
		uv_poll_stop(&output->poll);
		uv_timer_start(&output->process->retry, on_retry, RETRY_MS, 0);
	} else if (output->ended) {
		close_pipe(output);
	} else {
		uv_poll_start(&output->poll, UV_READABLE, on_readable);
	}
}

static void on_retry(uv_timer_t *retry)
{
	struct lp_process *process = retry->data;
	for (int i = 0; i < OUTPUTS; i++) {
		struct lp_process_output *output = &process->outputs[i];
		if (!output->stalled)
			continue;
		output->stalled = !write_lines(output);
		go_on(output);
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct lp_process_output *output = poll->data;
	(void)status; /* Whatever it is, reading says so too. */
	(void)events;
	for (int reads = 0; reads < READS_A_TURN && pass_on(output); reads++)
		;
	go_on(output);
}

/* Make the pipes; the process's ends are returned in theirs, the caller's to close. */
static int open_outputs(struct lp_process *process, uv_loop_t *loop, int *theirs)
{
	process->outputs = calloc(OUTPUTS, sizeof(*process->outputs));
	process->last_words = calloc(1, sizeof(*process->last_words));
	if (!process->outputs || !process->last_words)
		return UV_ENOMEM;
	uv_timer_init(loop, &process->retry);
	process->retry.data = process;
	process->open_handles++;
	for (int i = 0; i < OUTPUTS; i++) {
		struct lp_process_output *output = &process->outputs[i];
		int ends[2];
		if (pipe2(ends, O_CLOEXEC))
			return -errno;
		theirs[i] = ends[1];
		int status = uv_poll_init(loop, &output->poll, ends[0]); /* Makes our end non-blocking, too. */
		if (status) {
			close(ends[0]);
			return status;
		}
		output->poll.data = output;
		process->open_handles++;
		output->process = process;
		output->from = ends[0];
		output->to = STDOUT_FILENO + i;
		go_on(output);
	}
	return 0;
}

static void on_exit_of(uv_process_t *handle, int64_t status, int signal)
{
	struct lp_process *process = handle->data;
	process->pid = 0;
	process->exited(process, status, signal);
}

static int spawn(struct lp_process *process, uv_loop_t *loop, const struct lp_process_config *config,
		 char **environment, const int *outputs)
{
	uv_stdio_container_t stdio[LP_CHANNEL_FD + 1] = {
		[STDIN_FILENO] = {.flags = UV_IGNORE},
		[STDOUT_FILENO] = {.flags = UV_INHERIT_FD, .data.fd = outputs[0]},
		[STDERR_FILENO] = {.flags = UV_INHERIT_FD, .data.fd = outputs[1]},
		[LP_CHANNEL_FD] = {.flags = UV_INHERIT_FD, .data.fd = config->channel_fd},
	};
	uv_process_options_t options = {
		.exit_cb = on_exit_of,
		.flags = UV_PROCESS_DETACHED, /* A group of its own: ^C is for limpet, which then drains. */
		.file = config->command[0],
		.args = (char **)config->command,
		.env = environment,
		.stdio = stdio,
		.stdio_count = config->channel_fd < 0 ? LP_CHANNEL_FD : LP_CHANNEL_FD + 1,
	};
	process->open_handles++; /* Also when it fails. */
	uint32_t our_limit = lp_descriptors_begin_start(config->limit);
	int status = uv_spawn(loop, &process->handle, &options);
	lp_descriptors_end_start(config->limit, our_limit);
	process->handle.data = process;
	if (status == 0)
		process->pid = process->handle.pid;
	return status;
}

int lp_process_start(struct lp_process *process, uv_loop_t *loop, const struct lp_process_config *config,
		     void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner)
{
	*process = (struct lp_process){
		.id = config->id, .is_leader = true, .output = config->output, .exited = exited, .owner = owner};
	int outputs[OUTPUTS] = {STDOUT_FILENO, STDERR_FILENO};
	struct environment environment;
	int status = make_environment(&environment, config);
	if (status == 0 && config->output != LP_OUTPUT_INHERITED)
		status = open_outputs(process, loop, outputs);
	if (status == 0)
		status = spawn(process, loop, config, environment.entries, outputs);
	for (int i = 0; i < OUTPUTS; i++)
		if (outputs[i] != STDOUT_FILENO + i)
			close(outputs[i]);
	free_environment(&environment);
	return status;
}

static void on_watched_ended(uv_poll_t *watch, int status, int events)
{
	struct lp_process *process = watch->data;
	(void)status;
	(void)events;
	uv_poll_stop(watch);
	process->pid = 0;
	process->exited(process, 0, 0);
}

int lp_process_watch(struct lp_process *process, uv_loop_t *loop, int pid, int pidfd, bool leader,
		     void (*exited)(struct lp_process *process, int64_t status, int signal), void *owner)
{
	*process = (struct lp_process){
		.is_leader = leader, .exited = exited, .owner = owner, .is_watched = true, .watched_fd = pidfd};
	int status = uv_poll_init(loop, &process->watch, process->watched_fd);
	if (status)
		return status;
	process->open_handles++;
	process->watch.data = process;
	process->pid = pid;
	uv_poll_start(&process->watch, UV_READABLE, on_watched_ended);
	return 0;
}

/* The number of a child is its own until libuv has waited for it, and then pid is 0. */
void lp_process_signal(struct lp_process *process, int signal)
{
	if (process->pid && process->is_watched)
		lp_pidfd_signal(process->watched_fd, signal);
	else if (process->pid)
		kill(process->pid, signal);
}

void lp_process_kill(struct lp_process *process, int signal)
{
	if (!process->is_leader)
		lp_process_signal(process, signal);
	else if (process->pid && process->is_watched)
		lp_pidfd_signal_group(process->watched_fd, process->pid, signal);
	else if (process->pid)
		kill(-process->pid, signal);
}

/* A group keeps its leader's number from being used again. If somebody has that number, the group is empty. */
void lp_process_kill_rest(struct lp_process *process)
{
	if (process->is_leader && !process->is_watched && kill(process->handle.pid, 0) && errno == ESRCH)
		kill(-process->handle.pid, SIGKILL);
}

bool lp_process_is_stopped(const struct lp_process *process)
{
	char path[32];
	char stat[128] = {0};
	snprintf(path, sizeof(path), "/proc/%d/stat", process->pid);
	if (!process->pid)
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT; /* One that we did not start is gone at once. */
	ssize_t length = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	const char *name_end = length > 0 ? strrchr(stat, ')') : NULL; /* "12 (any name) T 1 …" */
	return length < 0 || (name_end && strspn(name_end + strlen(") "), "TZX"));
}

/* Pass on what is left in a pipe, as far as there is room. */
static void pass_on_the_rest(struct lp_process_output *output)
{
	output->stalled = !write_lines(output);
	for (int bytes = 0; !output->stalled && bytes < LEFT_BYTES_MAX; bytes += LP_PROCESS_TEXT_MAX)
		if (!pass_on(output))
			break;
	output->ended = true; /* The last line may have no newline. */
	if (!output->stalled)
		write_lines(output);
}

static void finish_when_closed(struct lp_process *process)
{
	if (process->open_handles)
		return;
	free(process->outputs);
	free(process->last_words);
	process->outputs = NULL;
	process->last_words = NULL;
	process->closed(process);
}

/* Every handle's data is the process by then. */
static void on_handle_closed(uv_handle_t *handle)
{
	struct lp_process *process = handle->data;
	process->open_handles--;
	finish_when_closed(process);
}

static void close_handle(struct lp_process *process, uv_handle_t *handle)
{
	if (handle->loop) { /* Else it was never opened. */
		handle->data = process;
		uv_close(handle, on_handle_closed);
	}
}

bool lp_process_last_words(struct lp_process *process, char *text, size_t size)
{
	for (int i = 0; process->outputs && i < OUTPUTS; i++)
		if (process->outputs[i].process && process->outputs[i].from >= 0)
			pass_on_the_rest(&process->outputs[i]);
	return process->last_words && lp_last_output_choose(process->last_words, text, size);
}

void lp_process_close(struct lp_process *process, void (*closed)(struct lp_process *process))
{
	process->closed = closed;
	for (int i = 0; process->outputs && i < OUTPUTS; i++) {
		struct lp_process_output *output = &process->outputs[i];
		if (output->process && output->from >= 0) {
			pass_on_the_rest(output);
			close_pipe(output);
		}
		close_handle(process, (uv_handle_t *)&output->poll);
	}
	close_handle(process, (uv_handle_t *)&process->retry);
	close_handle(process, (uv_handle_t *)&process->handle);
	if (process->is_watched) {
		if (process->watch.loop)
			uv_poll_stop(&process->watch);
		close(process->watched_fd);
		process->is_watched = false;
	}
	close_handle(process, (uv_handle_t *)&process->watch);
	finish_when_closed(process);
}
