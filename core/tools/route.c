/*
 * The policies themselves tell, through the host's trace, what they do; this prints it as it comes. What a hook reads
 * twice is printed once.
 *
 * The time of a hook is that of a first call, and less the telling; `limpet bench` says what it takes when it is warm.
 */
#include "tools/route.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/scene.h"
#include "policy/survey.h"
#include "tools/scene_options.h"

/* A recorded beginning of a connection is no longer than limpet's largest --max-head. */
#define RAW_BYTES_MAX ((size_t)1 << 20)

/* Lines of one hook that are remembered, to print none of them twice. */
#define READS_MAX 64

struct telling {
	FILE *out;
	struct lp_scene *scene;
	char *reads[READS_MAX];
	size_t read_count;
	const char *script; /* Of the hook that answered last. */
	const char *hook;
	unsigned hooks;
};

static void forget_reads(struct telling *telling)
{
	while (telling->read_count > 0)
		free(telling->reads[--telling->read_count]);
}

/* Whether a line is new in this hook. */
static bool is_new_line(struct telling *telling, const char *line)
{
	for (size_t i = 0; i < telling->read_count; i++)
		if (strcmp(telling->reads[i], line) == 0)
			return false;
	if (telling->read_count < READS_MAX && (telling->reads[telling->read_count] = strdup(line)))
		telling->read_count++;
	return true;
}

/* What is a property of the connection is "=", what was asked of limpet "→". */
static void tell_read(struct telling *telling, const struct lp_trace_event *event)
{
	bool is_property = strncmp(event->what, "conn", 4) == 0 || !strchr(event->what, '(');
	char line[1200];

	if (event->value)
		snprintf(line, sizeof(line), "%s %s %s", event->what, is_property ? "=" : "→", event->value);
	else
		snprintf(line, sizeof(line), "%s", event->what);
	if (is_new_line(telling, line))
		fprintf(telling->out, "  %s\n", line);
}

static void tell_answer(struct telling *telling, const struct lp_trace_event *event)
{
	char line[LP_SCENE_LINE_SIZE];
	char answer[64] = "no opinion";

	while (lp_scene_next_line(telling->scene, line))
		fprintf(telling->out, "  log: %s\n", line);
	if (event->verdict.kind == LP_VERDICT_WORKER)
		snprintf(answer, sizeof(answer), "worker %u", event->verdict.worker);
	else if (event->verdict.kind == LP_VERDICT_REFUSE)
		snprintf(answer, sizeof(answer), "refuse with %d", event->verdict.status);
	fprintf(telling->out, "  answer: %s (%" PRIu64 ".%" PRIu64 " µs)\n\n", answer, event->took_ns / 1000,
		event->took_ns / 100 % 10);
}

static void on_trace(const struct lp_trace_event *event, void *owner)
{
	struct telling *telling = owner;

	switch (event->kind) {
	case LP_TRACE_ASKED:
		telling->hooks++;
		telling->script = event->script;
		telling->hook = event->what;
		forget_reads(telling);
		fprintf(telling->out, "%s: %s%s%s\n", event->script, event->what, event->name ? " of " : "",
			event->name ? event->name : "");
		break;
	case LP_TRACE_READ:
		tell_read(telling, event);
		break;
	case LP_TRACE_ANSWERED:
		tell_answer(telling, event);
		break;
	}
}

static void tell_verdict(struct telling *telling, const struct lp_policy_conn *conn, struct lp_verdict verdict)
{
	unsigned fallback = lp_workers_least(&telling->scene->workers, LP_LEAST_CONNECTIONS);

	if (telling->hooks == 0)
		fprintf(telling->out, "No hook is asked about a connection that is %s.\n\n",
			conn->protocol == LP_PROTOCOL_HTTP  ? "HTTP"
			: conn->protocol == LP_PROTOCOL_TLS ? "TLS"
							    : "neither HTTP nor TLS");
	if (verdict.kind == LP_VERDICT_WORKER)
		fprintf(telling->out, "worker %u, by %s of %s\n", verdict.worker, telling->hook, telling->script);
	else if (verdict.kind == LP_VERDICT_REFUSE)
		fprintf(telling->out, "refused with %d, by %s of %s\n", verdict.status, telling->hook, telling->script);
	else
		fprintf(telling->out, "worker %u, the least busy: no policy has an opinion\n", fallback);
}

/* On success the bytes are the caller's to free. */
static int read_raw(const char *path, struct lp_slice *raw, struct lp_error *error)
{
	char *bytes = malloc(RAW_BYTES_MAX + 1);
	FILE *file = bytes ? fopen(path, "rb") : NULL;
	size_t length = file ? fread(bytes, 1, RAW_BYTES_MAX + 1, file) : 0;
	int status = !file || ferror(file) ? -errno : length > RAW_BYTES_MAX ? -EFBIG : 0;

	if (file)
		fclose(file);
	if (status == 0) {
		*raw = (struct lp_slice){bytes, length};
		return 0;
	}
	free(bytes);
	return lp_error_set(error, status, "--raw: %s: %s", path, lp_error_words(status));
}

static int connect_as_told(struct lp_scene *scene, const struct lp_tool_options *tool, struct lp_policy_conn *conn,
			   struct lp_error *error)
{
	struct lp_scene_conn what = {
		.ip = tool->ip,
		.port = tool->port,
		.listener = tool->listener,
		.method = tool->method,
		.path = tool->path,
		.sid = tool->sid,
		.headers = tool->headers,
		.header_count = tool->header_count,
		.sni = tool->sni,
		.alpn = tool->alpn,
		.alpn_count = tool->alpn_count,
	};
	int status = tool->raw ? read_raw(tool->raw, &what.raw, error) : 0;

	if (status < 0)
		return status;
	status = lp_scene_connect(scene, &what, conn, error);
	free((void *)(uintptr_t)what.raw.bytes);
	return status;
}

static int route_connection(struct lp_scene *scene, const struct lp_command_line *line, struct telling *telling,
			    struct lp_error *error)
{
	struct lp_policy *policy = NULL;
	lp_policy_cursor cursor = 0;
	struct lp_policy_conn conn;
	struct lp_verdict verdict;
	int status = lp_scene_options_apply(scene, line, line->tool.workers, error);

	if (status == 0)
		status = connect_as_told(scene, &line->tool, &conn, error);
	scene->host.trace = on_trace;
	scene->host.trace_owner = telling;
	if (status == 0)
		status = lp_policy_load(&policy, &scene->host, line->tool.files, line->tool.file_count, error);
	if (status == 0)
		status = lp_policy_check_settings(policy, error);
	if (status == 0) {
		verdict = lp_policy_decide(policy, &conn, &cursor);
		tell_verdict(telling, &conn, verdict);
		status = (int)lp_policy_errors(policy);
	}
	lp_policy_free(policy);
	return status;
}

int lp_route(const struct lp_command_line *line, FILE *out, struct lp_error *error)
{
	struct lp_scene scene;
	struct telling telling = {.out = out, .scene = &scene};
	int status = lp_scene_init(&scene);

	if (status < 0)
		lp_error_set(error, status, "no memory for workers");
	else
		status = route_connection(&scene, line, &telling, error);
	forget_reads(&telling);
	lp_scene_deinit(&scene);
	return status;
}
