/*
 * Each check names the option, what contradicts it, and the remedy. What is certain to fail is refused; what may be meant so is
 * a warning.
 */
#include "server/setup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "policy/survey.h"
#include "route/hash.h"

/* Bytes of a warning, at most. */
#define SAID_MAX 1024

/* The dialect for such workers whose library reads responses and gives connections back. */
static const char *able_dialect(const struct lp_dialect *dialect)
{
	return dialect->language != LP_LANGUAGE_FRAMES && lp_dialect_find("node") ? "node" : "preload";
}

/* What to do about a dialect that does not show limpet what the workers answer. */
static void describe_way_to_learn(const struct lp_dialect *dialect, char *text, size_t size)
{
	if (dialect->sessions == LP_SESSIONS_NAMED)
		snprintf(text, size,
			 "its workers name their sessions themselves (limpet_worker_session in "
			 "limpet/worker.h)");
	else
		snprintf(text, size, "start the program with --dialect %s, which learns them from responses",
			 able_dialect(dialect));
}

/* The first --session that the dialect's workers do not report, or NULL. */
static const char *find_untold(const struct lp_data *data)
{
	for (size_t i = 0; i < data->options.session_count; i++) {
		bool is_sid = lp_session_rule_is_sid(&data->rules[i]);

		if (data->dialect->sessions < (is_sid ? LP_SESSIONS_SIDS : LP_SESSIONS_NAMED))
			return data->options.sessions[i];
	}
	return NULL;
}

int lp_setup_check_sessions(const struct lp_data *data, struct lp_error *error)
{
	const struct lp_dialect *dialect = data->dialect;
	const char *untold = find_untold(data);
	bool chosen = strcmp(data->options.dialect, "auto") == 0;
	char way_out[160];

	for (size_t i = 0; i < data->options.policy_count && !data->options.session_count; i++)
		if (strcmp(data->options.policies[i], "session") == 0)
			return lp_error_set(error, LP_EUSAGE,
					    "policy session looks for what --session names, and there is none; add "
					    "--session sid, mcp, cookie:NAME, header:NAME or query:NAME");
	describe_way_to_learn(dialect, way_out, sizeof(way_out));
	if (data->options.learn && *data->options.learn && dialect->sessions != LP_SESSIONS_LEARNT)
		return lp_error_set(error, LP_EUSAGE,
				    "--learn %s: limpet does not see what workers of dialect %s%s answer; %s",
				    data->options.learn, dialect->name, chosen ? ", which limpet chose," : "", way_out);
	if (untold)
		return lp_error_set(error, LP_EUSAGE, "--session %s: workers of dialect %s%s do not report %s; %s",
				    untold, dialect->name, chosen ? ", which limpet chose," : "",
				    dialect->sessions == LP_SESSIONS_SIDS ? "other sessions than Engine.IO's (sid)"
									  : "sessions",
				    way_out);
	return 0;
}

/* Where it listens */

static int refuse_pair(const struct limpet_options *options, size_t a, size_t b, bool is_unix, struct lp_error *error)
{
	const char *const *listen = options->listen;

	if (strcmp(listen[a], listen[b]) == 0)
		return lp_error_set(error, LP_EUSAGE, "--listen %s is given twice; leave one out", listen[a]);
	return lp_error_set(error, LP_EUSAGE,
			    is_unix ? "--listen %s and --listen %s are the same path; leave one out"
				    : "--listen %s and --listen %s overlap: one of them takes what comes to the other; "
				      "leave one out, or give one another port",
			    listen[a], listen[b]);
}

/* The control socket is made where --control says, which is no listener's path. */
static int check_control(const struct limpet_options *options, const struct lp_listen_address *addresses,
			 struct lp_error *error)
{
	char text[LP_LISTEN_TEXT_SIZE];
	struct lp_listen_address control;

	if (!options->control || strchr(options->control, ','))
		return 0;
	snprintf(text, sizeof(text), "unix:%s", options->control);
	if (lp_listen_address_parse(text, &control, NULL))
		return 0;
	for (size_t i = 0; i < options->listen_count; i++)
		if (lp_listen_address_collides(&addresses[i], &control))
			return lp_error_set(error, LP_EUSAGE,
					    "--listen %s and --control %s are the same path; choose another for one of "
					    "them",
					    options->listen[i], options->control);
	return 0;
}

static int check_pairs(const struct limpet_options *options, struct lp_listen_address *addresses,
		       struct lp_error *error)
{
	for (size_t i = 0; i < options->listen_count; i++) {
		int status = lp_listen_address_parse(options->listen[i], &addresses[i], error);

		if (status)
			return status;
		for (size_t j = 0; j < i; j++)
			if (lp_listen_address_collides(&addresses[j], &addresses[i]))
				return refuse_pair(options, j, i, addresses[i].socket.any.sa_family == AF_UNIX, error);
	}
	return check_control(options, addresses, error);
}

int lp_setup_check_listeners(const struct limpet_options *options, struct lp_error *error)
{
	struct lp_listen_address *addresses = calloc(options->listen_count + 1, sizeof(*addresses));
	int status = addresses ? check_pairs(options, addresses, error)
			       : lp_error_set(error, -ENOMEM, "no memory for %zu listeners", options->listen_count);

	free(addresses);
	return status;
}

/* What policies look for */

/* Whether a rule's place in requests is what a policy calls "cookie:NAME". */
static bool is_carried(const struct lp_session_rule *rule, const char *field)
{
	static const char *const prefixes[] = {
		[LP_SESSION_COOKIE] = "cookie:", [LP_SESSION_HEADER] = "header:", [LP_SESSION_QUERY] = "query:"};
	const struct lp_session_field *carried = &rule->carried;
	size_t length = strlen(prefixes[carried->place]);
	const char *name = field + length;

	if (strncmp(field, prefixes[carried->place], length) != 0 || strlen(name) != carried->name.length)
		return false;
	return carried->place == LP_SESSION_HEADER ? strncasecmp(name, carried->name.bytes, carried->name.length) == 0
						   : memcmp(name, carried->name.bytes, carried->name.length) == 0;
}

/* Whether a policy looks up what a rule names. */
static bool is_looked_up(const struct lp_session_rule *rule, const struct lp_policy_survey *survey)
{
	if (!survey->looks_up)
		return false;
	if (survey->reads_session || (survey->reads_sid && lp_session_rule_is_sid(rule)))
		return true;
	for (size_t i = 0; i < survey->field_count; i++)
		if (is_carried(rule, survey->fields[i]))
			return true;
	return false;
}

/* Whether anything that a policy looks sessions up by is reported, or may be: a field whose name is not known. */
static bool may_find(const struct lp_data *data, const struct lp_policy_survey *survey)
{
	if (data->dialect->sessions == LP_SESSIONS_NAMED || survey->reads_sid || !survey->field_count)
		return true;
	if (survey->reads_session && data->options.session_count)
		return true;
	for (size_t i = 0; i < survey->field_count; i++) {
		if (data->options.learn && strcasestr(data->options.learn, survey->fields[i]))
			return true;
		for (size_t j = 0; j < data->options.session_count; j++)
			if (is_carried(&data->rules[j], survey->fields[i]))
				return true;
	}
	return false;
}

/* Say what the policies cannot do here; but not again at a reload that changes nothing about it. */
static void __attribute__((format(printf, 4, 5)))
say(struct lp_data *data, enum lp_log_level level, const struct lp_log_about *about, const char *format, ...)
{
	struct lp_setup_told *told = &data->told;
	char text[SAID_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	uint64_t hash = lp_hash((struct lp_slice){text, strlen(text)}, 0);
	bool known = false;
	for (size_t i = 0; i < told->count; i++)
		known |= told->hashes[i] == hash;
	if (told->next_count < LP_SETUP_TOLD_MAX)
		told->next[told->next_count++] = hash;
	if (!known)
		lp_log_write(&data->log, level, about, "%s", text);
}

static void warn_of_policy(struct lp_data *data, const char *name, const struct lp_policy_survey *survey)
{
	const struct lp_dialect *dialect = data->dialect;

	if (survey->reads_session && !data->options.session_count)
		say(data, LP_LOG_WARNING, LP_LOG_ABOUT(.policy = name),
		    "policy %s looks for what --session names, and there is none: conn.session is always nil; "
		    "add --session sid, or cookie:NAME, header:NAME, query:NAME",
		    name);
	else if (dialect->sessions == LP_SESSIONS_UNTOLD)
		say(data, LP_LOG_WARNING, LP_LOG_ABOUT(.policy = name),
		    "policy %s looks for sessions, but workers of dialect %s report none: their requests go to "
		    "any worker; start the program with --dialect %s, which learns them from responses",
		    name, dialect->name, able_dialect(dialect));
	else if (!may_find(data, survey))
		say(data, LP_LOG_WARNING, LP_LOG_ABOUT(.policy = name),
		    "policy %s looks sessions up by %s, but %s only Engine.IO's sid; add%s%s --session %s", name,
		    survey->fields[0], dialect->sessions == LP_SESSIONS_SIDS ? "its workers report" : "limpet learns",
		    dialect->sessions == LP_SESSIONS_SIDS ? " --dialect " : "",
		    dialect->sessions == LP_SESSIONS_SIDS ? able_dialect(dialect) : "", survey->fields[0]);
}

static void warn_of_requests(struct lp_data *data)
{
	const char *name;
	enum lp_route_each each = lp_policy_route_each_script(data->current.policy, &name);

	/* Those that register have the library in front of them, which gives connections back. */
	if (each == LP_ROUTE_FIRST || data->dialect->tell_each || data->dialect->registers)
		return;
	say(data, each == LP_ROUTE_REQUEST ? LP_LOG_WARNING : LP_LOG_INFO, LP_LOG_ABOUT(.policy = name),
	    "policy %s: route_each does nothing in dialect %s, whose workers cannot give a connection back: all "
	    "requests of a kept connection go where its first one went; with --dialect %s each goes where it "
	    "belongs",
	    name, data->dialect->name, able_dialect(data->dialect));
}

static void warn_of_rules(struct lp_data *data, const bool *looked_up)
{
	for (size_t i = 0; i < data->options.session_count; i++)
		if (!looked_up[i])
			say(data, LP_LOG_WARNING, NULL,
			    "--session %s: no policy looks these sessions up; add --policy session",
			    data->options.sessions[i]);
}

static void warn_of_setup(struct lp_data *data)
{
	const struct limpet_options *options = &data->options;
	bool looked_up[LP_SESSION_RULES_MAX] = {false};
	struct lp_policy_survey whole;
	struct lp_error error;

	/* A policy that binds sessions itself needs nobody to report them. */
	if (lp_policy_survey(data->current.policy, NULL, NULL, 0, NULL, &whole, &error)) {
		say(data, LP_LOG_WARNING, NULL, "%s", error.text);
		return;
	}
	for (size_t i = 0; i < options->policy_count; i++) {
		struct lp_policy_survey survey;

		if (lp_policy_survey(data->current.policy, options->policies[i], NULL, 0, NULL, &survey, &error))
			return;
		for (size_t j = 0; j < options->session_count; j++)
			looked_up[j] |= is_looked_up(&data->rules[j], &survey);
		if (survey.looks_up && !whole.binds)
			warn_of_policy(data, options->policies[i], &survey);
	}
	warn_of_rules(data, looked_up);
	warn_of_requests(data);
}

void lp_setup_report(struct lp_data *data)
{
	struct lp_setup_told *told = &data->told;

	told->next_count = 0;
	warn_of_setup(data);
	memcpy(told->hashes, told->next, sizeof(told->hashes));
	told->count = told->next_count;
}
