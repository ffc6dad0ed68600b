/*
 * What the control socket and the admin listener are asked: a table of requests and one of pages, each with a function that
 * answers.
 *
 * They run on the loop, between two decisions. Those that change something answer {"ok": …}, as answers.h has it.
 */
#include "server/balancer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/answers.h"
#include "admin/decisions_text.h"
#include "admin/metrics.h"
#include "admin/page.h"
#include "base/config_file.h"

/* Decisions in one event: the page shows few, and a busy balancer makes thousands a second. */
#define EVENT_DECISIONS 50

static struct lp_status_listener listener_at(const void *listeners, size_t index)
{
	const struct lp_listener *listener = &((const struct lp_listener *)listeners)[index];
	return (struct lp_status_listener){listener->origin.name, &listener->address, listener->accepted};
}

/* What the status and the metrics are made of. Counts are the caller's memory. */
static struct lp_status status_of(const struct limpet_balancer *balancer, struct limpet_counts *counts)
{
	static const struct lp_histogram none;
	limpet_balancer_counts(balancer, counts);
	return (struct lp_status){.name = balancer->name,
				  .state = balancer->state < LP_BALANCER_DRAINING    ? "running"
					   : balancer->state == LP_BALANCER_DRAINING ? "draining"
										     : "stopping",
				  .started = balancer->started,
				  .counts = counts,
				  .workers = &balancer->data.workers,
				  .connections = &balancer->connections,
				  .wanted = balancer->data.processes,
				  .latency = balancer->supervisor ? lp_supervisor_latency(balancer->supervisor) : &none,
				  .options = &balancer->data.options,
				  .listeners = balancer->listeners,
				  .listener_at = listener_at,
				  .listener_count = balancer->listener_count,
				  .policy = balancer->data.current.policy,
				  .loaded = balancer->data.current.at,
				  .refused = &balancer->refused,
				  .dialect = balancer->data.dialect->name,
				  .processes = balancer->lasting ? balancer->lasting->head : NULL};
}

static char *status_text(const struct limpet_balancer *balancer)
{
	struct limpet_counts counts;
	struct lp_status status = status_of(balancer, &counts);
	return lp_status_text(&status);
}

/* One signature for all, as the tables below need it: not every one of them has a length, or a code, to set. */
/* NOLINTBEGIN(readability-non-const-parameter) */

static char *answer_status(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	(void)argument;
	(void)length;
	return status_text(balancer);
}

static char *answer_record(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	return lp_recorder_text(balancer->data.recorder, strcmp(argument, "raw") == 0, length);
}

static char *refuse_request(int status, const char *reason)
{
	struct lp_error error;
	lp_error_set(&error, status, "%s", reason);
	return lp_answer_refused(&error);
}

/* The configuration file, if it is another than we were started with: only a start reads it. */
static json_t *changed_config(const struct limpet_balancer *balancer)
{
	const char *path = balancer->data.options.config;
	uint8_t digest[LP_SHA256_BYTES];
	if (!path ||
	    (lp_config_file_digest(path, digest) == 0 && memcmp(digest, balancer->config, sizeof(digest)) == 0))
		return json_null();
	return lp_status_string(path);
}

/* What was loaded before and what is now: whoever asked wants to know what has changed. */
static char *answer_reload(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	char reason[sizeof(((struct lp_error *)0)->text)];
	json_t *before = lp_status_files(balancer->data.current.policy);
	(void)argument;
	(void)length;
	int status = limpet_balancer_reload(balancer, reason, sizeof(reason));
	if (status) {
		json_decref(before);
		return refuse_request(status, reason);
	}
	return lp_answer_done(json_pack(
		"{s:o, s:o, s:s, s:I, s:o}", "before", before, "after", lp_status_files(balancer->data.current.policy),
		"loaded", balancer->data.current.at, "sessions", (json_int_t)lp_sessions_count(balancer->data.sessions),
		"needs_restart", changed_config(balancer)));
}

/* The number of a worker, or 0. */
static unsigned number_of(const char *argument)
{
	char *end;
	unsigned long number = strtoul(argument, &end, 10);
	return *argument >= '0' && *argument <= '9' && !*end && number <= LP_WORKERS_MAX ? (unsigned)number : 0;
}

static char *answer_drain(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	char reason[256];
	(void)length;
	int status = limpet_balancer_drain(balancer, number_of(argument), reason, sizeof(reason));
	return status ? refuse_request(status, reason) : lp_answer_done(NULL);
}

static char *answer_enable(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	char reason[256];
	(void)length;
	int status = limpet_balancer_enable(balancer, number_of(argument), reason, sizeof(reason));
	return status ? refuse_request(status, reason) : lp_answer_done(NULL);
}

static char *answer_stop(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	(void)length;
	if (!balancer->may_stop)
		return refuse_request(-EPERM, "the program that this balancer is part of stops it, and nobody else");
	char *answer = lp_answer_done(json_pack("{s:i}", "pid", (int)getpid()));
	if (answer)
		limpet_balancer_stop(balancer, strcmp(argument, "now") == 0, balancer->may_stop,
				     balancer->may_stop_owner);
	return answer;
}

/* The next number of an argument, and move on behind it. */
static uint64_t take_number(const char **argument)
{
	char *end;
	uint64_t number = strtoull(*argument, &end, 10);
	*argument = end + (*end == ' ');
	return number;
}

static struct lp_decisions_question question_of(const struct limpet_balancer *balancer, uint64_t count, bool reveal)
{
	return (struct lp_decisions_question){
		.decisions = balancer->data.decisions,
		.count = count < 1 || count > LP_DECISIONS_ANSWERED ? LP_DECISIONS_ANSWERED : (unsigned)count,
		.reveal = reveal};
}

/* "COUNT REVEAL WANTED" */
static char *answer_why(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	uint64_t count = take_number(&argument);
	bool reveal = take_number(&argument) != 0;
	struct lp_decisions_question question = question_of(balancer, count, reveal);
	(void)length;
	question.wanted = argument;
	return lp_decisions_search(&question);
}

/* "AFTER REVEAL", or "now REVEAL" */
static char *answer_tail(struct limpet_balancer *balancer, const char *argument, size_t *length)
{
	bool begins = strncmp(argument, "now", 3) == 0;
	const char *rest = begins ? argument + 3 + (argument[3] == ' ') : argument;
	uint64_t after = begins ? UINT64_MAX : take_number(&rest);
	struct lp_decisions_question question = question_of(balancer, LP_DECISIONS_ANSWERED, take_number(&rest) != 0);
	(void)length;
	question.after = after;
	return lp_decisions_follow(&question);
}

int lp_balancer_answer(void *owner, const char *request, char **answer, size_t *length)
{
	static const struct {
		const char *name;
		char *(*answer)(struct limpet_balancer *balancer, const char *argument, size_t *length);
	} requests[] = {{"status", answer_status}, {"record", answer_record}, {"reload", answer_reload},
			{"drain", answer_drain},   {"enable", answer_enable}, {"stop", answer_stop},
			{"why", answer_why},       {"tail", answer_tail}};
	size_t word = strcspn(request, " ");
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (strlen(requests[i].name) != word || memcmp(requests[i].name, request, word) != 0)
			continue;
		*length = 0;
		*answer = requests[i].answer(owner, request + word + (request[word] == ' '), length);
		if (*answer && !*length)
			*length = strlen(*answer);
		return *answer ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

/* Pages of the admin listener */

static char *make_status(void *owner, int *code, size_t *length)
{
	char *text = status_text(owner);
	(void)code;
	*length = text ? strlen(text) : 0;
	return text;
}

static char *make_metrics(void *owner, int *code, size_t *length)
{
	const struct limpet_balancer *balancer = owner;
	struct limpet_counts counts;
	struct lp_status status = status_of(balancer, &counts);
	struct lp_metrics metrics = {.status = &status,
				     .decisions = balancer->data.decisions,
				     .loaded = balancer->data.current.when,
				     .last_reload_successful = !balancer->reload_refused};
	(void)code;
	return lp_metrics_text(&metrics, length);
}

static char *make_sentence(const char *sentence, size_t *length)
{
	*length = strlen(sentence);
	return strdup(sentence);
}

/* That it answers is the answer. */
static char *make_health(void *owner, int *code, size_t *length)
{
	(void)owner;
	(void)code;
	return make_sentence("ok\n", length);
}

/* Whether new clients are welcome. */
static char *make_readiness(void *owner, int *code, size_t *length)
{
	const struct limpet_balancer *balancer = owner;
	bool stops = balancer->state != LP_BALANCER_RUNNING;
	bool is_ready = !stops && balancer->data.workers.usable_count > 0;
	*code = is_ready ? 200 : 503;
	return make_sentence(is_ready ? "ok\n" : stops ? "stopping\n" : "no worker takes connections\n", length);
}

static char *make_file(const char *name, size_t *length)
{
	const struct lp_page_file *file = lp_page_files;
	while (strcmp(file->name, name) != 0)
		file++;
	char *copy = malloc(file->length);
	*length = file->length;
	return copy ? memcpy(copy, file->bytes, file->length) : NULL;
}

static char *make_page(void *owner, int *code, size_t *length)
{
	(void)owner;
	(void)code;
	return make_file("page.html", length);
}

static char *make_style(void *owner, int *code, size_t *length)
{
	(void)owner;
	(void)code;
	return make_file("page.css", length);
}

static char *make_script(void *owner, int *code, size_t *length)
{
	(void)owner;
	(void)code;
	return make_file("page.js", length);
}

static char *make_icon(void *owner, int *code, size_t *length)
{
	(void)owner;
	(void)code;
	return make_file("page.svg", length);
}

/* NOLINTEND(readability-non-const-parameter) */

/* What is new for the page: {"status": …, "decisions": {…}}, as a server-sent event, in which every line is a field. */
static char *next_event(void *owner, uint64_t *position, size_t *length)
{
	const struct limpet_balancer *balancer = owner;
	uint64_t ends = lp_decisions_ends(balancer->data.decisions);
	struct lp_decisions_question question = question_of(balancer, EVENT_DECISIONS, false);
	question.after = ends > EVENT_DECISIONS ? ends - EVENT_DECISIONS : 0;
	if (*position > question.after)
		question.after = *position;
	uint64_t missed = *position && question.after > *position ? question.after - *position : 0;
	char *status = status_text(balancer);
	char *news = lp_decisions_follow(&question);
	char *text = NULL;
	if (status && news &&
	    asprintf(&text, "{\"status\":%s,\"missed\":%" PRIu64 ",\"news\":%s}", status, missed, news) < 0)
		text = NULL;
	free(status);
	free(news);
	for (char *at = text ? strchr(text, '\n') : NULL; at; at = strchr(at, '\n'))
		*at = ' ';
	char *event = NULL;
	int written = text ? asprintf(&event, "data: %s\n\n", text) : -1;
	free(text);
	if (written < 0)
		return NULL;
	*length = (size_t)written;
	*position = ends;
	return event;
}

const struct lp_admin_page lp_balancer_pages[LP_BALANCER_PAGES] = {
	{"/", "text/html; charset=utf-8", make_page, NULL},
	{"/page.css", "text/css; charset=utf-8", make_style, NULL},
	{"/page.js", "text/javascript; charset=utf-8", make_script, NULL},
	{"/page.svg", "image/svg+xml", make_icon, NULL},
	{"/events", "text/event-stream; charset=utf-8", NULL, next_event},
	{"/metrics", "text/plain; version=0.0.4; charset=utf-8", make_metrics, NULL},
	{"/healthz", "text/plain; charset=utf-8", make_health, NULL},
	{"/readyz", "text/plain; charset=utf-8", make_readiness, NULL},
	{"/status.json", "application/json", make_status, NULL},
};
