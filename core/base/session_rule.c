/*
 * The grammar of --session. Names are compared as their carriers compare them: headers without regard to case, cookies
 * and query parameters as they are written.
 *
 * Limits: a comma cannot be part of a name, because commas stand between the places that the worker's library is told.
 */
#include "base/session_rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/did_you_mean.h"

#define FORMS "sid, mcp, cookie:NAME, header:NAME, query:NAME, or LEARNT=CARRIED such as header:X-Token=query:token"

static const struct {
	const char *prefix;
	enum lp_session_place place;
	bool in_responses;
} places[] = {
	{"cookie:", LP_SESSION_COOKIE, true},
	{"header:", LP_SESSION_HEADER, true},
	{"query:", LP_SESSION_QUERY, false},
};

/* Names for what people use; a preset is any other WHAT. */
static const struct {
	const char *name;
	const char *what;
} presets[] = {
	{"sid", "query:sid"},
	{"mcp", "header:Mcp-Session-Id"},
};

const struct lp_session_rule lp_session_rule_sid = {.carried = {LP_SESSION_QUERY, {"sid", 3}}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_name(struct lp_slice name)
{
	static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110's tchar. */

	for (size_t i = 0; i < name.length; i++) {
		char c = name.bytes[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr(others, c)))
			return false;
	}
	return name.length > 0;
}

/* What was probably meant by a word without a place. */
static int refuse_word(struct lp_slice word, const char *text, struct lp_error *error)
{
	struct lp_did_you_mean nearest = {0};
	char copy[LP_SESSION_NAME_MAX + 1];

	snprintf(copy, sizeof(copy), "%.*s", LP_SLICE_ARG(word));
	for (size_t i = 0; i < COUNT(presets); i++)
		if (strcasecmp(copy, presets[i].name) == 0)
			nearest.name = presets[i].name;
		else
			lp_did_you_mean_consider(&nearest, copy, presets[i].name);
	for (size_t i = 0; i < COUNT(places); i++) {
		size_t length = strlen(places[i].prefix) - 1;

		if (word.length == length && strncasecmp(word.bytes, places[i].prefix, length) == 0)
			return lp_error_set(error, LP_EUSAGE, "\"%s\" names no %.*s; write %sNAME", text, (int)length,
					    places[i].prefix, places[i].prefix);
	}
	if (nearest.name)
		return lp_error_set(error, LP_EUSAGE, "\"%s\" is not known; did you mean %s?", text, nearest.name);
	if (is_name(word))
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\" does not say where it is; write cookie:%s, header:%s or query:%s", text,
				    copy, copy, copy);
	return lp_error_set(error, LP_EUSAGE, "\"%s\" is not known; the forms are " FORMS, text);
}

static int refuse_place(struct lp_slice place, const char *text, struct lp_error *error)
{
	struct lp_did_you_mean nearest = {0};
	char copy[LP_SESSION_NAME_MAX + 1];

	snprintf(copy, sizeof(copy), "%.*s", LP_SLICE_ARG(place));
	for (size_t i = 0; i < COUNT(places); i++)
		lp_did_you_mean_consider(&nearest, copy, places[i].prefix);
	if (nearest.name)
		return lp_error_set(error, LP_EUSAGE, "\"%s\": there is no %s; did you mean %s?", text, copy,
				    nearest.name);
	return lp_error_set(error, LP_EUSAGE, "\"%s\": limpet does not look for sessions in %.*s; the forms are " FORMS,
			    text, (int)place.length - 1, copy);
}

/* Read "cookie:NAME". */
static int parse_field(struct lp_slice part, const char *text, struct lp_session_field *field, struct lp_error *error)
{
	const char *colon = memchr(part.bytes, ':', part.length);
	struct lp_slice prefix = {part.bytes, colon ? (size_t)(colon + 1 - part.bytes) : 0};

	if (!colon)
		return refuse_word(part, text, error);
	for (size_t i = 0; i < COUNT(places); i++) {
		struct lp_slice name = {part.bytes + prefix.length, part.length - prefix.length};

		if (strlen(places[i].prefix) != prefix.length ||
		    memcmp(places[i].prefix, prefix.bytes, prefix.length) != 0)
			continue;
		if (name.length == 0)
			return lp_error_set(error, LP_EUSAGE, "\"%s\" names no %.*s; write %sNAME", text,
					    (int)prefix.length - 1, places[i].prefix, places[i].prefix);
		if (name.length > LP_SESSION_NAME_MAX)
			return lp_error_set(error, LP_EUSAGE, "\"%s\": the name has %zu bytes; %d are the most", text,
					    name.length, LP_SESSION_NAME_MAX);
		if (!is_name(name))
			return lp_error_set(
				error, LP_EUSAGE,
				"\"%s\": \"%.*s\" is not a name; it has letters, digits and !#$%%&'*+-.^_`|~", text,
				LP_SLICE_ARG(name));
		*field = (struct lp_session_field){places[i].place, name};
		return 0;
	}
	return refuse_place(prefix, text, error);
}

/* Where a session that a request carries in a field is named by responses, if nothing else is said. */
static void learn_as_carried(struct lp_session_rule *rule)
{
	struct lp_slice name = rule->carried.name;

	if (lp_session_rule_is_sid(rule))
		return;
	if (rule->carried.place != LP_SESSION_QUERY) {
		rule->learnt[rule->learnt_count++] = rule->carried;
		return;
	}
	rule->learnt[rule->learnt_count++] = (struct lp_session_field){LP_SESSION_HEADER, name};
	rule->learnt[rule->learnt_count++] = (struct lp_session_field){LP_SESSION_COOKIE, name};
}

int lp_session_rule_parse(const char *text, struct lp_session_rule *rule, struct lp_error *error)
{
	struct lp_session_rule parsed = {0};
	const char *equals = strchr(text, '=');
	const char *what = text;
	int status = 0;

	if (strchr(text, ','))
		return lp_error_set(error, LP_EUSAGE, "\"%s\": one thing for each --session; repeat the flag", text);
	for (size_t i = 0; i < COUNT(presets); i++)
		if (strcmp(text, presets[i].name) == 0)
			what = presets[i].what;
	if (equals) {
		status = parse_field((struct lp_slice){text, (size_t)(equals - text)}, text, &parsed.learnt[0], error);
		parsed.learnt_count = 1;
		if (!status && parsed.learnt[0].place == LP_SESSION_QUERY)
			return lp_error_set(error, LP_EUSAGE,
					    "\"%s\": a response has no query; before the = stands where a response "
					    "names the session, cookie:NAME or header:NAME",
					    text);
		what = equals + 1;
	}
	if (!status)
		status = parse_field((struct lp_slice){what, strlen(what)}, text, &parsed.carried, error);
	if (status)
		return status;
	if (!equals)
		learn_as_carried(&parsed);
	*rule = parsed;
	return 0;
}

int lp_session_rules_new(const char *const *texts, size_t count, struct lp_session_rule **rules, struct lp_error *error)
{
	struct lp_session_rule *made;
	int status = 0;

	*rules = NULL;
	if (count > LP_SESSION_RULES_MAX)
		return lp_error_set(error, LP_EUSAGE, "--session is given %zu times; %d are the most", count,
				    LP_SESSION_RULES_MAX);
	made = calloc(count + 1, sizeof(*made));
	if (!made)
		return lp_error_set(error, -ENOMEM, "no memory for what --session names");
	for (size_t i = 0; i < count && !status; i++) {
		struct lp_error reason;

		status = lp_session_rule_parse(texts[i], &made[i], &reason);
		if (status)
			lp_error_set(error, status, "--session: %s", reason.text);
	}
	if (status)
		free(made);
	else
		*rules = made;
	return status;
}

bool lp_session_rule_is_sid(const struct lp_session_rule *rule)
{
	const struct lp_session_field *carried = &rule->carried;

	return carried->place == LP_SESSION_QUERY && carried->name.length == 3 &&
	       memcmp(carried->name.bytes, "sid", 3) == 0 && rule->learnt_count == 0;
}

/* What the library is told, in the making. */
struct learnt {
	char *text;
	size_t length;
	unsigned count;
};

static bool has_field(const struct learnt *learnt, const char *field, size_t length)
{
	for (const char *at = learnt->text; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
		if (strcspn(at, ",") == length && strncmp(at, field, length) == 0)
			return true;
	return false;
}

static int add_field(struct learnt *learnt, const char *field, size_t length, struct lp_error *error)
{
	if (has_field(learnt, field, length))
		return 0;
	if (learnt->count == LP_SESSION_LEARNT_MAX)
		return lp_error_set(error, LP_EUSAGE,
				    "--session and --learn name more than %d cookies and headers of responses; leave "
				    "out some (query:NAME is two: header:NAME=query:NAME is one)",
				    LP_SESSION_LEARNT_MAX);
	learnt->length +=
		(size_t)sprintf(learnt->text + learnt->length, "%s%.*s", learnt->count ? "," : "", (int)length, field);
	learnt->count++;
	return 0;
}

int lp_session_rules_learnt(const struct lp_session_rule *rules, size_t count, const char *also, char *text,
			    struct lp_error *error)
{
	struct learnt learnt = {.text = text};
	int status = 0;

	text[0] = '\0';
	for (const char *at = also ? also : ""; *at && !status; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
		if (strcspn(at, ","))
			status = add_field(&learnt, at, strcspn(at, ","), error);
	for (size_t i = 0; i < count && !status; i++)
		for (unsigned j = 0; j < rules[i].learnt_count && !status; j++) {
			const struct lp_session_field *from = &rules[i].learnt[j];
			struct lp_slice carried = rules[i].carried.name;
			bool same = carried.length == from->name.length &&
				    memcmp(carried.bytes, from->name.bytes, carried.length) == 0;
			char field[LP_SESSION_FIELD_SIZE];
			int length = snprintf(field, sizeof(field), "%s%.*s%s%.*s", places[from->place].prefix,
					      LP_SLICE_ARG(from->name), same ? "" : "=", same ? 0 : (int)carried.length,
					      carried.bytes);

			status = add_field(&learnt, field, (size_t)length, error);
		}
	return status;
}
