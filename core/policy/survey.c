/*
 * Bytecode names every text and every field of a file, run or not. What an object is, is told by what is asked of it: a
 * call of `session` is workers', a field `session` is conn's.
 *
 * Limits: a function that is called by another name (`local look_up = workers.session`) is not seen.
 */
#include "policy/survey.h"

#include <errno.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "base/did_you_mean.h"
#include "policy/bytecode.h"
#include "policy/private.h"
#include "policy/scene.h"

/* The most instructions between a method and the one that loads its first argument. */
#define AHEAD 3

struct surveying {
	const struct lp_policy *policy;
	const char *script;
	const char *const *words;
	size_t count;
	bool *found;
	struct lp_policy_survey *survey;
	struct lp_error *error;
	int status;
	struct lp_bytecode bytecode;
};

static const char *const methods[] = {
	[LP_SESSION_COOKIE] = "cookie",
	[LP_SESSION_HEADER] = "header",
	[LP_SESSION_QUERY] = "query",
};

static void add_field(struct lp_policy_survey *survey, const char *method, const char *name)
{
	char field[sizeof(survey->fields[0])];
	int length = snprintf(field, sizeof(field), "%s:%s", method, name);

	if (strcmp(field, "query:sid") == 0)
		survey->reads_sid = true;
	if (length >= (int)sizeof(field) || survey->field_count == LP_SURVEY_FIELDS_MAX)
		return;
	for (size_t i = 0; i < survey->field_count; i++)
		if (strcmp(survey->fields[i], field) == 0)
			return;
	strcpy(survey->fields[survey->field_count++], field);
}

/* A method of that name is called at a place: note its argument, if it is a text. */
static void note_method(lua_State *L, const struct surveying *surveying, int function, int pc, int count,
			const char *method)
{
	for (int ahead = pc + 1; ahead <= pc + AHEAD && ahead < count; ahead++) {
		struct lp_instruction next = lp_bytecode_at(L, &surveying->bytecode, function, ahead);

		if (next.op != LP_OP_KSTR)
			continue;
		add_field(surveying->survey, method, lp_bytecode_push_text(L, &surveying->bytecode, function, next.d));
		lua_pop(L, 1);
		return;
	}
}

static bool is_called(lua_State *L, const struct surveying *surveying, int function, int pc, int object)
{
	struct lp_instruction before = lp_bytecode_at(L, &surveying->bytecode, function, pc - 1);
	struct lp_instruction after = lp_bytecode_at(L, &surveying->bytecode, function, pc + 1);

	return (before.op == LP_OP_MOV && before.d == object) || (after.op == LP_OP_MOV && after.d == object);
}

static void note_field(lua_State *L, const struct surveying *surveying, int function, int pc, int count)
{
	struct lp_policy_survey *survey = surveying->survey;
	struct lp_instruction field = lp_bytecode_at(L, &surveying->bytecode, function, pc);
	bool called = is_called(L, surveying, function, pc, field.b);
	const char *name = lp_bytecode_push_text(L, &surveying->bytecode, function, field.c);

	survey->looks_up |= called && strcmp(name, "session") == 0;
	survey->binds |= called && strcmp(name, "bind") == 0;
	survey->reads_session |= !called && strcmp(name, "session") == 0;
	survey->reads_sid |= !called && strcmp(name, "sid") == 0;
	for (size_t i = 0; called && i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(name, methods[i]) == 0)
			note_method(L, surveying, function, pc, count, methods[i]);
	lua_pop(L, 1);
}

static void note_text(const struct surveying *surveying, const char *text)
{
	for (size_t i = 0; i < surveying->count; i++)
		if (strcmp(surveying->words[i], text) == 0)
			surveying->found[i] = true;
}

/* A function, or a prototype, at an index, and those in it. */
static void survey_function(lua_State *L, const struct surveying *surveying, int function)
{
	int count = lp_bytecode_number(L, &surveying->bytecode, function, 0, "bytecodes");
	bool is_text;
	int at = 0;

	luaL_checkstack(L, 16, "functions are nested too deep");
	for (int pc = 1; pc < count; pc++) {
		enum lp_opcode op = lp_bytecode_at(L, &surveying->bytecode, function, pc).op;

		if (op == LP_OP_TGETS)
			note_field(L, surveying, function, pc, count);
		surveying->survey->indexes |= op == LP_OP_TGETV;
	}
	while (lp_bytecode_push_constant(L, &surveying->bytecode, function, &at, &is_text)) {
		if (is_text)
			note_text(surveying, lua_tostring(L, -1));
		else if (strcmp(luaL_typename(L, -1), "proto") == 0)
			survey_function(L, surveying, lua_gettop(L));
		lua_pop(L, 1);
	}
}

static int look_through_source(lua_State *L, struct surveying *surveying, const struct lp_source *source)
{
	int status = lp_source_compile(L, source, surveying->error);

	if (!status)
		survey_function(L, surveying, lua_gettop(L));
	lua_settop(L, surveying->bytecode.util);
	return status;
}

/* In protected mode. */
static int look_through(lua_State *L)
{
	struct surveying *surveying = lua_touserdata(L, 1);
	const struct lp_policy *policy = surveying->policy;

	lp_bytecode_open(L, &surveying->bytecode);
	for (size_t i = 0; i < policy->source_count && !surveying->status; i++) {
		const struct lp_source *source = &policy->sources[i];

		if (surveying->script && strcmp(surveying->script, source->name) != 0)
			continue;
		surveying->status = look_through_source(L, surveying, source);
		for (source = source->modules; source && !surveying->status; source = source->next)
			surveying->status = look_through_source(L, surveying, source);
	}
	return 0;
}

static int survey_in(struct lp_scene *scene, struct surveying *surveying)
{
	struct lp_policy *state = NULL;
	int status = lp_policy_load(&state, &scene->host, NULL, 0, surveying->error);

	if (status < 0)
		return status;
	lua_gc(state->lua, LUA_GCRESTART, 0);
	if (lua_cpcall(state->lua, look_through, surveying) != 0)
		surveying->status =
			lp_error_set(surveying->error, LP_EPOLICY, "policies: %s", lua_tostring(state->lua, -1));
	lp_policy_free(state);
	return surveying->status;
}

int lp_policy_survey(const struct lp_policy *policy, const char *script, const char *const *words, size_t count,
		     bool *found, /* Written by note_text. NOLINT(readability-non-const-parameter) */
		     struct lp_policy_survey *survey, struct lp_error *error)
{
	struct surveying surveying = {
		.policy = policy,
		.script = script,
		.words = words,
		.count = count,
		.found = found,
		.survey = survey,
		.error = error,
	};
	struct lp_scene scene;
	int status;

	*survey = (struct lp_policy_survey){0};
	status = lp_scene_init(&scene);
	if (status < 0)
		lp_error_set(error, status, "policies cannot be looked through: %s", lp_error_words(status));
	else
		status = survey_in(&scene, &surveying);
	lp_scene_deinit(&scene);
	return status;
}

/* Settings */

/* Whether a file that keeps its options may read this one yet. */
static int find_later(const struct lp_policy *policy, const char *setting, bool *later, struct lp_error *error)
{
	char key[256];
	const char *const words[] = {key};
	struct lp_policy_survey survey;
	int status;

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(setting, "="), setting);
	*later = false;
	status = lp_policy_survey(policy, NULL, words, 1, later, &survey, error);
	*later |= survey.indexes;
	return status;
}

/* 1, 0, or negative: no memory. */
static int is_read(const struct lp_policy *policy, size_t setting, struct lp_error *error)
{
	bool later = false;
	int status = 0;

	if (!policy->settings.read[setting] && policy->settings.kept)
		status = find_later(policy, policy->host->settings[setting], &later, error);
	return status ? status : policy->settings.read[setting] || later;
}

/* Say which setting was probably meant: keys that were looked up and are not given. */
static int refuse_setting(const struct lp_policy *const *policies, size_t count, const char *setting,
			  struct lp_error *error)
{
	struct lp_did_you_mean nearest = {0};
	char others[512] = "";
	size_t end = 0;
	char key[256];

	snprintf(key, sizeof(key), "%.*s", (int)strcspn(setting, "="), setting);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < policies[i]->settings.missed_count && end < sizeof(others); j++) {
			const char *missed = policies[i]->settings.missed[j];

			lp_did_you_mean_consider(&nearest, key, missed);
			end += (size_t)snprintf(others + end, sizeof(others) - end, "%s%s", end ? ", " : "", missed);
		}
	if (nearest.name)
		return lp_error_set(error, LP_EUSAGE, "--set %s: no policy reads \"%s\"; did you mean %s?", setting,
				    key, nearest.name);
	if (*others)
		return lp_error_set(error, LP_EUSAGE, "--set %s: no policy reads \"%s\"; they read %s", setting, key,
				    others);
	return lp_error_set(error, LP_EUSAGE,
			    "--set %s: no policy reads \"%s\" in setup(options); leave it out, or name the policy that "
			    "does",
			    setting, key);
}

int lp_policies_check_settings(const struct lp_policy *const *policies, size_t count, struct lp_error *error)
{
	const struct lp_policy_host *host = policies[0]->host;

	for (size_t i = 0; i < host->setting_count; i++) {
		int read = 0;

		for (size_t j = 0; j < count && read == 0; j++)
			read = is_read(policies[j], i, error);
		if (read < 0)
			return read;
		if (!read)
			return refuse_setting(policies, count, host->settings[i], error);
	}
	return 0;
}

int lp_policy_check_settings(const struct lp_policy *policy, struct lp_error *error)
{
	return lp_policies_check_settings(&policy, 1, error);
}
