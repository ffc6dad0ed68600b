/*
 * The balancer answers what it knows; the sentences are made here. Following is asking again and again after the last one
 * reported: a slow reader misses some, is told how many, and holds nothing up.
 */
#include "tools/why.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "base/plain_text.h"
#include "route/outcome.h"
#include "tools/balancer_query.h"

/* Between two looks at what is new. */
#define LOOK_MS 200

/* How many are explained when nobody says. */
#define USUAL 20

/* Of a request's target, in one line. */
#define TARGET_COLUMNS 60

static const char *sentence_of(const char *word)
{
	static const struct {
		const char *word;
		const char *sentence;
	} outcomes[] = {LP_OUTCOME_EACH(LP_OUTCOME_SENTENCE)};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (strcmp(outcomes[i].word, word) == 0)
			return outcomes[i].sentence;
	return word;
}

static bool has_word(const json_t *decision, const char *key, const char *word)
{
	return strcmp(lp_query_text(decision, key), word) == 0;
}

static void print_client(FILE *out, const json_t *decision)
{
	const char *client = lp_query_text(decision, "client");
	bool is_v6 = strchr(client, ':') != NULL;

	if (!*client)
		fputs("a unix socket", out);
	else
		fprintf(out, "%s%s%s:%lld", is_v6 ? "[" : "", client, is_v6 ? "]" : "",
			lp_query_number(decision, "port"));
}

static void print_request(FILE *out, const json_t *decision, int columns)
{
	bool cut = json_is_true(json_object_get(decision, "target_cut"));

	if (has_word(decision, "protocol", "http")) {
		lp_plain_print(out, lp_query_text(decision, "method"), 0);
		fputc(' ', out);
		if (strlen(lp_query_text(decision, "target")) <= (size_t)columns || !columns)
			lp_plain_print(out, lp_query_text(decision, "target"), 0);
		else
			lp_plain_print(out, lp_query_text(decision, "target"), columns);
		fputs(cut ? "..." : "", out);
	} else if (has_word(decision, "protocol", "tls")) {
		fputs("TLS ", out);
		lp_plain_print(out, *lp_query_text(decision, "sni") ? lp_query_text(decision, "sni") : "without a name",
			       columns);
	} else {
		fputs(has_word(decision, "protocol", "other") ? "neither HTTP nor TLS" : "not looked at", out);
	}
}

static void print_session(FILE *out, const json_t *decision)
{
	long long worker = lp_query_number(decision, "session_worker");
	const char *id = lp_query_text(decision, "session_id");

	if (!*lp_query_text(decision, "session"))
		return;
	fputs("  session  ", out);
	lp_plain_print(out, *id ? id : lp_query_text(decision, "session"), 0);
	if (worker)
		fprintf(out, ", of worker %lld\n", worker);
	else
		fputs(", which no worker was known to have\n", out);
}

static void print_decision(FILE *out, const json_t *decision)
{
	const char *by = lp_query_text(decision, "decided_by");
	long long worker = lp_query_number(decision, "worker");

	fputs("  decided  ", out);
	lp_plain_print(out, *by ? by : "limpet", 0);
	if (has_word(decision, "decision", "worker"))
		fprintf(out, " chose worker %lld", worker);
	else if (has_word(decision, "decision", "refuse"))
		fputs(" refused it", out);
	else if (has_word(decision, "decision", "wait_for_session"))
		fputs(" asked for a session that no worker has claimed", out);
	else if (has_word(decision, "decision", "wait_for_worker"))
		fputs(" asked for a session whose worker cannot take it now", out);
	else if (has_word(decision, "decision", "undecided"))
		fputs(": not at all", out);
	else if (worker)
		fprintf(out, ": worker %lld, the least busy, as no policy had an opinion", worker);
	else
		fputs(": no worker could take it, and no policy had an opinion", out);
	if (!has_word(decision, "decision", "undecided"))
		fprintf(out, ", after %lld ms", lp_query_number(decision, "decided_after_ms"));
	fputs(json_is_true(json_object_get(decision, "policy_failed")) ? "; a hook failed, and the log says how\n"
								       : "\n",
	      out);
}

static const char *reason_of(const json_t *decision)
{
	return has_word(decision, "return_reason", "lost")        ? "it ended, or its channel did"
	       : has_word(decision, "return_reason", "refused")   ? "it does not take it"
	       : has_word(decision, "return_reason", "no_room")   ? "it is at its limit of open files"
	       : has_word(decision, "return_reason", "no_server") ? "it does not listen where the connection came in"
								  : lp_query_text(decision, "return_reason");
}

static void print_outcome(FILE *out, const json_t *decision)
{
	long long returns = lp_query_number(decision, "returns");
	long long status = lp_query_number(decision, "status");
	const char *outcome = lp_query_text(decision, "outcome");

	if (returns) {
		fprintf(out, "  returned by worker %lld: ", lp_query_number(decision, "returned_by"));
		lp_plain_print(out, reason_of(decision), 0);
		if (returns > 1)
			fprintf(out, " (workers gave it back %lld times)", returns);
		fputc('\n', out);
	}
	fputs("  outcome  ", out);
	if (strcmp(outcome, "arrived") == 0)
		fprintf(out, "worker %lld took it", lp_query_number(decision, "worker"));
	else
		lp_plain_print(out, sentence_of(outcome), 0);
	if (status)
		fprintf(out, "; answered %lld", status);
	if (strcmp(outcome, "waiting") != 0 && strcmp(outcome, "sent") != 0)
		fprintf(out, ", after %lld ms", lp_query_number(decision, "ended_after_ms"));
	fputc('\n', out);
}

void lp_why_explain(FILE *out, const json_t *decision)
{
	const char *time = lp_query_text(decision, "time");

	fprintf(out, "#%lld  %.10s %.12s UTC  ", lp_query_number(decision, "number"), time,
		strlen(time) == 24 ? time + 11 : "");
	print_client(out, decision);
	fputs(" at ", out);
	lp_plain_print(out, lp_query_text(decision, "listener"), 0);
	fputs("\n  asked    ", out);
	print_request(out, decision, 0);
	fputc('\n', out);
	print_session(out, decision);
	print_decision(out, decision);
	print_outcome(out, decision);
}

void lp_why_print_line(FILE *out, const json_t *decision)
{
	const char *time = lp_query_text(decision, "time");
	const char *by = lp_query_text(decision, "decided_by");
	const char *session = lp_query_text(decision, "session_id");

	fprintf(out, "%.12s  ", strlen(time) == 24 ? time + 11 : "");
	print_client(out, decision);
	fputs("  ", out);
	print_request(out, decision, TARGET_COLUMNS);
	if (!*session)
		session = lp_query_text(decision, "session");
	if (*session) {
		fputs("  session ", out);
		lp_plain_print(out, session, 0);
	}
	if (lp_query_number(decision, "worker"))
		fprintf(out, "  -> worker %lld (", lp_query_number(decision, "worker"));
	else
		fputs("  -> no worker (", out);
	lp_plain_print(out, *by ? by : "least busy", 0);
	fputs(")  ", out);
	lp_plain_print(out, lp_query_text(decision, "outcome"), 0);
	if (lp_query_number(decision, "status"))
		fprintf(out, " %lld", lp_query_number(decision, "status"));
	if (lp_query_number(decision, "returns"))
		fprintf(out, ", returned %lld times", lp_query_number(decision, "returns"));
	fprintf(out, "  %lld ms\n", lp_query_number(decision, "ended_after_ms"));
}

static void print_json_line(FILE *out, const json_t *decision)
{
	json_dumpf(decision, out, JSON_COMPACT);
	fputc('\n', out);
}

int lp_why(const struct lp_command_line *line, FILE *out, struct lp_error *error)
{
	const struct lp_tool_options *tool = &line->tool;
	const char *wanted = tool->file_count ? tool->files[0] : "";
	char path[LP_CONTROL_PATH_SIZE];
	char request[1024];
	const json_t *found;
	json_t *answer;
	int count;
	int status = lp_query_find_balancer(&line->options, path, error);

	if (status)
		return status;
	if (snprintf(request, sizeof(request), "why %u %d %s", tool->last ? tool->last : USUAL, tool->unredacted != 0,
		     wanted) >= (int)sizeof(request))
		return lp_error_set(error, -E2BIG, "what to look for is too long");
	status = lp_query_balancer(path, request, LP_CONTROL_PATIENCE_MS, &answer, error);
	if (status)
		return status;
	found = json_object_get(answer, "decisions");
	count = (int)json_array_size(found);
	for (int i = 0; i < count; i++)
		(tool->json ? print_json_line : lp_why_explain)(out, json_array_get(found, (size_t)i));
	if (count == 0)
		status = lp_error_set(error, -ENOENT, "%s%s%s of the last %lld connections%s", *wanted ? "\"" : "",
				      *wanted ? wanted : "there is none", *wanted ? "\" is none" : "",
				      lp_query_number(answer, "made"),
				      *wanted ? ": neither a client's address nor a session that a policy asked for"
					      : "");
	json_decref(answer);
	return status ? status : count;
}

/* Print what is new, and return the end to ask after. */
static long long print_new(const struct lp_command_line *line, const json_t *answer, FILE *out)
{
	const json_t *found = json_object_get(answer, "decisions");
	long long missed = lp_query_number(answer, "missed");

	if (missed)
		fprintf(stderr, "limpet: missed %lld connections: they came faster than they could be printed\n",
			missed);
	for (size_t i = 0; i < json_array_size(found); i++)
		(line->tool.json ? print_json_line : lp_why_print_line)(out, json_array_get(found, i));
	return lp_query_number(answer, "next");
}

int lp_tail(const struct lp_command_line *line, FILE *out, struct lp_error *error)
{
	char path[LP_CONTROL_PATH_SIZE];
	char request[64] = "";
	long long next = -1;
	int status = lp_query_find_balancer(&line->options, path, error);

	while (!status) {
		json_t *answer;

		if (next < 0)
			snprintf(request, sizeof(request), "tail now %d", line->tool.unredacted != 0);
		else
			snprintf(request, sizeof(request), "tail %lld %d", next, line->tool.unredacted != 0);
		status = lp_query_balancer(path, request, LP_CONTROL_PATIENCE_MS, &answer, error);
		if (status)
			return status;
		next = print_new(line, answer, out);
		if (fflush(out) != 0 || ferror(out))
			status = lp_error_set(error, -EPIPE, "nobody reads the output");
		if (json_array_size(json_object_get(answer, "decisions")) == 0 && !status)
			poll(NULL, 0, LOOK_MS);
		json_decref(answer);
	}
	return status;
}
