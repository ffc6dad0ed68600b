/*
 * The balancer does what it is asked within one answer; what takes longer (a worker that drains, workers that end) is
 * followed by asking for the status again and again. So nothing is lost when this command is interrupted, and the balancer
 * keeps nothing for it.
 */
#include "tools/operate.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/plain_text.h"
#include "tools/balancer_query.h"
#include "tools/chart.h"
#include "tools/status_table.h"

/* Between two looks at how far it is. */
#define LOOK_MS 200

/* A worker is drained once it has had no connection for so long: a client that polls has none for a moment. */
#define QUIET_MS 1000

static uint64_t now_ms(void)
{
	return lp_clock_ns() / 1000000;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* status */

static int print_status(const struct lp_command_line *line, const char *path, FILE *out, struct lp_error *error)
{
	char *text;
	json_t *status;
	int failed;

	if (line->tool.json || !isatty(fileno(out))) {
		failed = lp_control_ask(path, "status", LP_CONTROL_PATIENCE_MS, &text, NULL, error);
		if (!failed)
			fputs(text, out);
		free(text);
		return failed;
	}
	failed = lp_query_balancer(path, "status", LP_CONTROL_PATIENCE_MS, &status, error);
	if (!failed)
		lp_status_print(out, status, lp_status_shows_colours(out));
	json_decref(status);
	return failed;
}

/* reload */

/* The text of that name among others, or NULL. */
static const json_t *find_text(const json_t *texts, const json_t *text)
{
	for (size_t i = 0; i < json_array_size(texts); i++) {
		const json_t *other = json_array_get(texts, i);

		if (strcmp(lp_query_text(other, "name"), lp_query_text(text, "name")) == 0)
			return other;
	}
	return NULL;
}

static void print_change(FILE *out, const json_t *text, const char *what)
{
	fputs("  ", out);
	lp_plain_print(out, lp_query_text(text, "name"), 0);
	fprintf(out, ": %s\n", what);
}

static void print_changes(FILE *out, const json_t *before, const json_t *after)
{
	char what[64];

	for (size_t i = 0; i < json_array_size(after); i++) {
		const json_t *text = json_array_get(after, i);
		const json_t *old = find_text(before, text);
		const char *digest = lp_query_text(text, "sha256");

		if (!old)
			print_change(out, text, "new");
		else if (strcmp(lp_query_text(old, "sha256"), digest) == 0)
			print_change(out, text, "unchanged");
		else {
			snprintf(what, sizeof(what), "changed, %.12s -> %.12s", lp_query_text(old, "sha256"), digest);
			print_change(out, text, what);
		}
	}
	for (size_t i = 0; i < json_array_size(before); i++)
		if (!find_text(after, json_array_get(before, i)))
			print_change(out, json_array_get(before, i), "no longer required");
}

/* The reason is the policies' own words, which may begin with this already. */
static int refuse_reload(struct lp_error *error)
{
	static const char begin[] = "reload refused: ";
	struct lp_error reason = *error;
	bool has = strncmp(reason.text, begin, strlen(begin)) == 0;

	return lp_error_set(error, reason.code, "%s%s; the policies in use stay", has ? "" : begin, reason.text);
}

static int reload_policies(const char *path, FILE *out, struct lp_error *error)
{
	json_t *answer;
	char number[LP_CHART_NUMBER_SIZE];
	int status = lp_query_balancer(path, "reload", LP_CONTROL_LONG_PATIENCE_MS, &answer, error);

	if (status)
		return status == -EPERM ? refuse_reload(error) : status;
	fprintf(out, "reloaded the policies; %s sessions are kept\n",
		lp_chart_number((uint64_t)lp_query_number(answer, "sessions"), number));
	print_changes(out, json_object_get(answer, "before"), json_object_get(answer, "after"));
	if (*lp_query_text(answer, "needs_restart")) {
		fputs("  ", out);
		lp_plain_print(out, lp_query_text(answer, "needs_restart"), 0);
		fputs(": has changed since the start; its flags need a restart\n", out);
	}
	json_decref(answer);
	return 0;
}

/* drain and enable */

static json_t *find_worker(const json_t *status, long long id)
{
	const json_t *workers = json_object_get(status, "workers");

	for (size_t i = 0; i < json_array_size(workers); i++)
		if (lp_query_number(json_array_get(workers, i), "id") == id)
			return json_array_get(workers, i);
	return NULL;
}

/* How a drain stands, since it was begun. */
struct drain {
	const char *path;
	long long id;
	long long pid;
	long long connections; /* At the last look; -1 before. */
	long long sessions;
	uint64_t quiet_since_ms; /* 0: it has connections. */
};

enum drain_state { DRAIN_GOES_ON, DRAIN_IS_DONE, DRAIN_IS_OVER };

static enum drain_state look_at_drain(struct drain *drain, const json_t *status, FILE *out)
{
	const json_t *worker = find_worker(status, drain->id);
	long long connections = lp_query_number(worker, "connections");

	if (!worker || (drain->pid && lp_query_number(worker, "pid") != drain->pid)) {
		fprintf(out, "worker %lld (pid %lld) has ended; its successor does not drain\n", drain->id, drain->pid);
		return DRAIN_IS_OVER;
	}
	if (strcmp(lp_query_text(worker, "state"), "draining") != 0) {
		fprintf(out, "worker %lld was enabled again\n", drain->id);
		return DRAIN_IS_OVER;
	}
	drain->pid = lp_query_number(worker, "pid");
	drain->sessions = lp_query_number(worker, "sessions");
	if (connections != drain->connections)
		fprintf(out, "worker %lld drains: %lld connections, %lld sessions\n", drain->id, connections,
			drain->sessions);
	fflush(out);
	drain->connections = connections;
	if (connections)
		drain->quiet_since_ms = 0;
	else if (!drain->quiet_since_ms)
		drain->quiet_since_ms = now_ms();
	return !connections && now_ms() - drain->quiet_since_ms >= QUIET_MS ? DRAIN_IS_DONE : DRAIN_GOES_ON;
}

/* Look until it is drained, or time is over. */
static int follow_drain(struct drain *drain, uint32_t timeout_ms, FILE *out, struct lp_error *error)
{
	uint64_t begun_ms = now_ms();

	for (;;) {
		json_t *answer;
		enum drain_state state;
		int status = lp_query_balancer(drain->path, "status", LP_CONTROL_PATIENCE_MS, &answer, error);

		if (status)
			return status;
		state = look_at_drain(drain, answer, out);
		json_decref(answer);
		if (state == DRAIN_IS_OVER)
			return lp_error_set(error, -ECANCELED, "worker %lld is not drained", drain->id);
		if (state == DRAIN_IS_DONE)
			return 0;
		if (timeout_ms && now_ms() - begun_ms >= timeout_ms)
			return lp_error_set(error, -ETIMEDOUT,
					    "worker %lld still has %lld connections; it goes on draining, and limpet "
					    "enable %lld ends that",
					    drain->id, drain->connections, drain->id);
		pause_ms(LOOK_MS);
	}
}

static int drain_worker(const struct lp_command_line *line, const char *path, FILE *out, struct lp_error *error)
{
	struct drain drain = {.path = path, .id = (long long)line->tool.worker, .connections = -1};
	char request[32];
	json_t *answer;
	int status;

	snprintf(request, sizeof(request), "drain %lld", drain.id);
	status = lp_query_balancer(path, request, LP_CONTROL_PATIENCE_MS, &answer, error);
	json_decref(answer);
	if (!status)
		status = follow_drain(&drain, line->tool.timeout_ms, out, error);
	if (status)
		return status;
	fprintf(out, "worker %lld is drained: it has no connections", drain.id);
	if (drain.sessions)
		fprintf(out, "; clients of its %lld sessions would still come back to it", drain.sessions);
	fprintf(out, "\nlimpet enable %lld sends it new connections again\n", drain.id);
	return 0;
}

static int enable_worker(const struct lp_command_line *line, const char *path, FILE *out, struct lp_error *error)
{
	char request[32];
	json_t *answer;
	int status;

	snprintf(request, sizeof(request), "enable %u", line->tool.worker);
	status = lp_query_balancer(path, request, LP_CONTROL_PATIENCE_MS, &answer, error);
	json_decref(answer);
	if (!status)
		fprintf(out, "worker %u gets new connections\n", line->tool.worker);
	return status;
}

/* stop */

static int open_process(pid_t pid)
{
	return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

/* Whether a process ends within some time. */
static bool ends_within(int process, int ms)
{
	struct pollfd ended = {.fd = process, .events = POLLIN};

	return poll(&ended, 1, ms) > 0;
}

/* What is left to end, printed when it changes. */
static void print_what_is_left(const char *path, long long *shown, FILE *out)
{
	json_t *status;
	long long connections = 0;
	size_t busy = 0;

	if (lp_query_balancer(path, "status", LP_CONTROL_PATIENCE_MS, &status, NULL))
		return;
	const json_t *workers = json_object_get(status, "workers");
	for (size_t i = 0; i < json_array_size(workers); i++) {
		long long of_worker = lp_query_number(json_array_get(workers, i), "connections");

		connections += of_worker;
		busy += of_worker > 0;
	}
	if (connections && connections != *shown)
		fprintf(out, "%zu worker%s %s %lld connection%s; limpet stop --now ends them at once\n", busy,
			busy == 1 ? "" : "s", busy == 1 ? "has" : "have", connections, connections == 1 ? "" : "s");
	fflush(out);
	*shown = connections;
	json_decref(status);
}

static int stop_balancer(const struct lp_command_line *line, const char *path, FILE *out, struct lp_error *error)
{
	long long shown = 0;
	json_t *answer;
	int process = -1;
	int status = lp_query_balancer(path, "status", LP_CONTROL_PATIENCE_MS, &answer, error);

	if (!status)
		process = open_process((pid_t)lp_query_number(answer, "pid")); /* Before it can end. */
	json_decref(answer);
	if (!status) {
		status = lp_query_balancer(path, line->tool.now ? "stop now" : "stop", LP_CONTROL_PATIENCE_MS, &answer,
					   error);
		json_decref(answer);
	}
	if (!status && process < 0)
		status = lp_error_set(error, -ESRCH,
				      "the balancer stops, but cannot be watched from here: its "
				      "process is in another container");
	while (!status && !ends_within(process, LOOK_MS))
		print_what_is_left(path, &shown, out);
	if (process >= 0)
		close(process);
	if (!status)
		fputs("stopped\n", out);
	return status;
}

int lp_operate(const struct lp_command_line *line, FILE *out, struct lp_error *error)
{
	char path[LP_CONTROL_PATH_SIZE];
	int status = lp_query_find_balancer(&line->options, path, error);

	if (status)
		return status;
	switch (line->command) {
	case LP_COMMAND_RELOAD:
		return reload_policies(path, out, error);
	case LP_COMMAND_DRAIN:
		return drain_worker(line, path, out, error);
	case LP_COMMAND_ENABLE:
		return enable_worker(line, path, out, error);
	case LP_COMMAND_STOP:
		return stop_balancer(line, path, out, error);
	default:
		return print_status(line, path, out, error);
	}
}
