/*
 * What can be seen without running comes first, then loading, then the dry run: each made-up connection meets 0, 1 and
 * many workers. The trace tells which headers, cookies and parameters a policy asks for, so that a second round has them.
 *
 * Of what running finds, only the first on a line is told, and nothing on a line where reading has found something: it
 * would be the same in other words.
 */
#include "tools/check.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "policy/check.h"
#include "policy/scene.h"
#include "tools/scene_options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Names that a policy may ask for and be given. */
#define ASKED_MAX 16
#define ASKED_SIZE 64

#define KNOWN_SID "aKnownSession0000000"

struct mistake {
	char *file; /* The policy's, or of a module of its. */
	int line;
	char *message;
};

struct asked {
	char names[ASKED_MAX][ASKED_SIZE];
	size_t count;
};

struct check {
	const struct lp_command_line *line;
	const char *name; /* The policy. */
	struct lp_scene scene;
	struct lp_policy *policy;
	struct mistake *mistakes;
	size_t count;
	struct asked headers;
	struct asked cookies;
	struct asked parameters;
	bool failed; /* For want of memory. */
};

/* A made-up connection, and how a mistake on it is explained. */
struct trial {
	const char *what;
	struct lp_scene_conn conn;
};

static const char *const no_alpn[] = {"h2", "http/1.1"};
static const char *const strange_headers[] = {
	"Cookie: =; ;;a=\"; session",
	"X-Forwarded-For: ,, unknown",
	"X-Empty:",
	"X-High: \xff\xfe\x80",
	"X-Twice: 1",
	"X-Twice: 2",
};

static const struct trial trials[] = {
	{"on a connection from IPv4", {.ip = "192.0.2.1"}},
	{"on a connection from IPv6", {.ip = "2001:db8::1"}},
	{"on a connection from a unix socket", {.ip = "unix"}},
	{"on a connection with a known session", {.path = "/socket.io/?EIO=4&transport=polling", .sid = KNOWN_SID}},
	{"on a connection with an unknown session",
	 {.path = "/socket.io/?EIO=4&transport=polling", .sid = "nobodyKnowsThis00000"}},
	{"on a connection with an empty session", {.path = "/?sid="}},
	{"on a connection with strange headers", {.headers = strange_headers, .header_count = COUNT(strange_headers)}},
	{"on a connection with a strange request", {.method = "OPTIONS", .path = "/%zz%00?&&=&a=%ff&a"}},
	{"on a connection with TLS", {.sni = "a.example", .alpn = no_alpn, .alpn_count = COUNT(no_alpn)}},
	{"on a connection with TLS and no host name", {.alpn = no_alpn, .alpn_count = 1}},
	{"on a connection that sends what nobody knows", {.raw = LP_SLICE("\0\1\2")}},
};

static const unsigned worker_counts[] = {4, 1, 0};

static void free_mistake(struct mistake *mistake)
{
	free(mistake->file);
	free(mistake->message);
}

static bool is_same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);

	return length >= strlen(end) && is_same(text + length - strlen(end), end);
}

static void on_found(const char *file, int line, const char *message, void *owner)
{
	struct check *check = owner;
	struct mistake *mistakes;
	struct mistake mistake = {strdup(file), line, strdup(message)};

	for (size_t i = 0; i < check->count; i++)
		if (check->mistakes[i].line == line && is_same(check->mistakes[i].file, file) &&
		    (check->policy || is_same(check->mistakes[i].message, message))) {
			free_mistake(&mistake);
			return;
		}
	mistakes = reallocarray(check->mistakes, check->count + 1, sizeof(*mistakes));
	if (mistakes)
		check->mistakes = mistakes;
	if (mistakes && mistake.file && mistake.message) {
		mistakes[check->count++] = mistake;
		return;
	}
	check->failed = true;
	free_mistake(&mistake);
}

/*
 * Take "policy x.lua:12: what" apart. Returns what, and 0 for a line that is not there. Of a long name Lua tells the end
 * only, which is the policy's as far as one can see.
 */
static const char *find_place(const struct check *check, const char *text, char file[PATH_MAX], int *line)
{
	const char *at = strncmp(text, "policy ", 7) == 0 ? text + 7 : text;

	for (const char *colon = strchr(at, ':'); colon; colon = strchr(colon + 1, ':')) {
		char *end;
		long number = isdigit((unsigned char)colon[1]) ? strtol(colon + 1, &end, 10) : 0;

		if (number > 0 && strncmp(end, ": ", 2) == 0) {
			*line = (int)number;
			snprintf(file, PATH_MAX, "%.*s", (int)(colon - at), at);
			if (strncmp(file, "...", 3) == 0 && ends_with(check->name, file + 3))
				snprintf(file, PATH_MAX, "%s", check->name);
			return end + 2;
		}
	}
	*line = 0;
	snprintf(file, PATH_MAX, "%s", check->name);
	return at;
}

/* What does not load is a mistake of its line, or of the file. */
static void note_load(struct check *check, const struct lp_error *error)
{
	size_t length = strlen(check->name);
	char file[PATH_MAX];
	int line;
	const char *text = find_place(check, error->text, file, &line);

	if (line == 0 && strncmp(text, check->name, length) == 0 && strncmp(text + length, ": ", 2) == 0)
		text += length + 2;
	on_found(file, line ? line : 1, text, check);
}

static void add_asked(struct asked *asked, const char *name, size_t length)
{
	if (length >= ASKED_SIZE || asked->count == ASKED_MAX)
		return;
	for (size_t i = 0; i < asked->count; i++)
		if (strlen(asked->names[i]) == length && memcmp(asked->names[i], name, length) == 0)
			return;
	memcpy(asked->names[asked->count], name, length);
	asked->names[asked->count++][length] = '\0';
}

static void note_asked(const char *what, const char *call, struct asked *asked)
{
	size_t length = strlen(call);

	if (strncmp(what, call, length) == 0)
		add_asked(asked, what + length, strcspn(what + length, "\"\\: "));
}

static void on_trace(const struct lp_trace_event *event, void *owner)
{
	struct check *check = owner;

	if (event->kind != LP_TRACE_READ)
		return;
	note_asked(event->what, "conn:header(\"", &check->headers);
	note_asked(event->what, "conn:cookie(\"", &check->cookies);
	note_asked(event->what, "conn:query(\"", &check->parameters);
}

/* Note what hooks have logged as their errors: lines with a place; limpet.log's have none. */
static void note_errors(struct check *check, const char *what, unsigned workers)
{
	char text[LP_SCENE_LINE_SIZE];
	char message[LP_SCENE_LINE_SIZE + 128];
	char file[PATH_MAX];

	while (lp_scene_next_line(&check->scene, text)) {
		int line;
		const char *found = find_place(check, text, file, &line);

		snprintf(message, sizeof(message), "%s (%s, with %u workers)", found, what, workers);
		if (line > 0)
			on_found(file, line, message, check);
	}
}

static int try_out(struct check *check, const struct trial *trial, struct lp_error *error)
{
	for (size_t i = 0; i < COUNT(worker_counts); i++) {
		uint64_t errors = lp_policy_errors(check->policy);
		struct lp_policy_conn conn;
		lp_policy_cursor cursor = 0;
		int status = lp_scene_options_apply(&check->scene, check->line, worker_counts[i], error);

		if (status == 0)
			status = lp_scene_connect(&check->scene, &trial->conn, &conn, error);
		if (status < 0)
			return status;
		lp_sessions_bind(check->scene.host.sessions, LP_SLICE(KNOWN_SID), 1);
		lp_policy_decide(check->policy, &conn, &cursor);
		if (lp_policy_errors(check->policy) > errors)
			note_errors(check, trial->what, worker_counts[i]);
	}
	return 0;
}

/* A connection that has all that the policy asked for so far. */
static int try_with_asked(struct check *check, const char *value, struct lp_error *error)
{
	char headers[ASKED_MAX][ASKED_SIZE + 32];
	const char *lines[ASKED_MAX + 1];
	char cookies[ASKED_MAX * (ASKED_SIZE + 16)] = "Cookie: ";
	char path[ASKED_MAX * (ASKED_SIZE + 16)] = "/?";
	struct trial trial = {"on a connection that has what the policy asks for", {.path = path, .headers = lines}};
	size_t end;

	for (size_t i = 0; i < check->headers.count; i++) {
		snprintf(headers[i], sizeof(headers[i]), "%s: %s", check->headers.names[i], value);
		lines[trial.conn.header_count++] = headers[i];
	}
	for (size_t i = 0; i < check->cookies.count; i++) {
		end = strlen(cookies);
		snprintf(cookies + end, sizeof(cookies) - end, "%s=%s; ", check->cookies.names[i], value);
	}
	if (check->cookies.count > 0)
		lines[trial.conn.header_count++] = cookies;
	for (size_t i = 0; i < check->parameters.count; i++) {
		end = strlen(path);
		snprintf(path + end, sizeof(path) - end, "%s=%s&", check->parameters.names[i], value);
	}
	return try_out(check, &trial, error);
}

static int dry_run(struct check *check, struct lp_error *error)
{
	uint64_t errors;
	int status = 0;

	for (size_t i = 0; i < COUNT(trials) && status == 0; i++)
		status = try_out(check, &trials[i], error);
	if (status == 0)
		status = try_with_asked(check, "acme", error);
	if (status == 0)
		status = try_with_asked(check, "", error);
	errors = lp_policy_errors(check->policy);
	lp_policy_worker_down(check->policy, 1);
	lp_policy_worker_up(check->policy, 1);
	if (status == 0 && lp_policy_errors(check->policy) > errors)
		note_errors(check, "when a worker goes and comes back", worker_counts[COUNT(worker_counts) - 1]);
	return status;
}

static int by_place(const void *a, const void *b)
{
	const struct mistake *left = a;
	const struct mistake *right = b;
	int files = strcmp(left->file, right->file);

	if (files)
		return files;
	return (left->line > right->line) - (left->line < right->line);
}

/* Print and forget. Returns how many mistakes there were. */
static int print_mistakes(struct check *check, FILE *out)
{
	int count = (int)check->count;

	if (count == 0)
		fprintf(out, "%s: ok\n", check->name);
	else
		qsort(check->mistakes, check->count, sizeof(*check->mistakes), by_place);
	for (size_t i = 0; i < check->count; i++) {
		fprintf(out, "%s:%d: %s\n", check->mistakes[i].file, check->mistakes[i].line,
			check->mistakes[i].message);
		free_mistake(&check->mistakes[i]);
	}
	free(check->mistakes);
	check->mistakes = NULL;
	check->count = 0;
	return count;
}

static int run_checks(struct check *check, struct lp_error *error)
{
	int status = lp_policy_check(check->name, on_found, check, error);

	if (status == 0)
		status = lp_policy_load(&check->policy, &check->scene.host, &check->name, 1, error);
	if (status == 0)
		status = lp_policy_check_modules(check->policy, on_found, check, error);
	if (status == 0)
		status = lp_policy_check_hooks(check->policy, on_found, check, error);
	if (status == LP_EPOLICY) {
		note_load(check, error);
		status = 0;
	} else if (status == 0) {
		status = dry_run(check, error);
	}
	if (status == 0 && check->failed)
		status = lp_error_set(error, -ENOMEM, "%s: %s", check->name, lp_error_words(-ENOMEM));
	return status;
}

/* Of what a pattern such as "policies/?*.lua" names, what is no policy. */
static bool is_other(const char *name)
{
	return ends_with(name, ".test.lua") || ends_with(name, ".meta.lua");
}

static int check_file(const struct lp_command_line *line, const char *name, FILE *out, struct lp_error *error)
{
	struct check check = {.line = line, .name = name};
	int status = lp_scene_init(&check.scene);
	int count;

	if (status < 0)
		lp_error_set(error, status, "%s: %s", name, lp_error_words(status));
	else
		status = lp_scene_options_apply(&check.scene, line, worker_counts[0], error);
	check.scene.log.level = LP_LOG_ERROR;
	check.scene.host.trace = on_trace;
	check.scene.host.trace_owner = &check;
	if (status == 0)
		status = run_checks(&check, error);
	lp_policy_free(check.policy);
	lp_scene_deinit(&check.scene);
	if (status < 0) {
		for (size_t i = 0; i < check.count; i++)
			free_mistake(&check.mistakes[i]);
		free(check.mistakes);
		return status;
	}
	count = print_mistakes(&check, out);
	return count;
}

/* One of the files reads each --set. */
static int check_settings(const struct lp_command_line *line, struct lp_error *error)
{
	const char **files = calloc(line->tool.file_count + 1, sizeof(*files));
	size_t count = 0;
	int status;

	if (!files)
		return lp_error_set(error, -ENOMEM, "no memory for %zu policies", line->tool.file_count);
	for (size_t i = 0; i < line->tool.file_count; i++)
		if (!is_other(line->tool.files[i]))
			files[count++] = line->tool.files[i];
	status = lp_scene_options_check_settings(files, count, line->options.settings, line->options.setting_count,
						 error);
	free(files);
	return status;
}

int lp_check(const struct lp_command_line *line, FILE *out, struct lp_error *error)
{
	int count = 0;
	int status;

	for (size_t i = 0; i < line->tool.file_count; i++) {
		const char *name = line->tool.files[i];
		int found = is_other(name) ? 0 : check_file(line, name, out, error);

		if (found < 0)
			return found;
		count += found;
	}
	status = check_settings(line, error);
	return status < 0 ? status : count;
}
