/*
 * Reading a policy's bytecode, which names every global and every field that the source does, run or not.
 *
 * What is in a register is followed only from one instruction to the next, through GGET, TGETS and MOV, which is how "limpet.shared:get" compiles;
 * parameters keep their type. A parameter's name is not in the bytecode but in the source, on the line of its function; a
 * line with two functions tells nothing.
 *
 * Limits: a conn that is seen through an upvalue or under another name is not followed. The dry run meets these.
 */
#include "policy/check.h"

#include <errno.h>
#include <lua.h>
#include <string.h>

#include "base/did_you_mean.h"
#include "policy/bytecode.h"
#include "policy/private.h"
#include "policy/scene.h"

#define REGISTERS 256

/* Parameters whose types are known. */
#define PARAMETERS_MAX 2

struct checking {
	struct lp_source *source;
	lp_found_cb found;
	void *owner;
	struct lp_error *error;
	int status;
	struct lp_bytecode bytecode;
	bool collecting; /* The first walk: globals that the file sets. */
};

/* Slots of the frame of look_through. */
enum { SLOT_CHECKING = 1, SLOT_UTIL, SLOT_GLOBALS, SLOT_LINES };

static const struct lp_api_type *const typed_parameters[] = {&lp_api_conn, &lp_api_workers};

static void report_mistake(lua_State *L, const struct checking *checking, int function, int pc, const char *message)
{
	checking->found(checking->source->name, lp_bytecode_number(L, &checking->bytecode, function, pc, "currentline"),
			message, checking->owner);
}

/* The field that is named of the global whose instruction is at a place, "" if none is; on the stack. */
static const char *push_field_after(lua_State *L, const struct checking *checking, int function, int pc)
{
	struct lp_instruction global = lp_bytecode_at(L, &checking->bytecode, function, pc);
	struct lp_instruction next = lp_bytecode_at(L, &checking->bytecode, function, pc + 1);

	if (next.op == LP_OP_TGETS && next.b == global.a)
		return lp_bytecode_push_text(L, &checking->bytecode, function, next.c);
	lua_pushliteral(L, "");
	return "";
}

/* Whether it is something of Lua's that policies have not. */
static bool check_missing(lua_State *L, const struct checking *checking, int function, int pc, const char *name)
{
	const char *field = push_field_after(L, checking, function, pc);
	const char *instead = *field ? lp_unavailable_instead(name, field) : NULL;
	const char *dot = instead ? "." : "";

	if (!instead) {
		instead = lp_unavailable_instead(NULL, name);
		field = "";
	}
	if (instead) {
		lua_pushfstring(L, "%s%s%s is not available in a policy; %s", name, dot, field, instead);
		report_mistake(L, checking, function, pc, lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return instead;
}

static void check_global(lua_State *L, const struct checking *checking, int function, int pc, const char *name)
{
	struct lp_did_you_mean nearest = {0};

	lua_pushstring(L, name);
	lua_rawget(L, SLOT_GLOBALS);
	if ((lua_isnil(L, -1) || lua_istable(L, -1)) && check_missing(L, checking, function, pc, name)) {
		lua_pop(L, 1);
		return;
	}
	if (lua_isnil(L, -1)) {
		for (lua_pushnil(L); lua_next(L, SLOT_GLOBALS); lua_pop(L, 1))
			lp_did_you_mean_consider(&nearest, name, lua_tostring(L, -2));
		if (nearest.name)
			lua_pushfstring(L, "there is no global '%s'; did you mean %s?", name, nearest.name);
		else
			lua_pushfstring(L, "there is no global '%s'", name);
		report_mistake(L, checking, function, pc, lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static const struct lp_api_member *find_member(const struct lp_api_type *type, const char *name)
{
	const struct lp_api_member *member = type->members;

	while (member->name && strcmp(member->name, name) != 0)
		member++;
	return member->name ? member : NULL;
}

/* The type of a field that is an object itself. */
static const struct lp_api_type *type_of_field(const struct lp_api_type *type, const char *name)
{
	if (type == &lp_api_limpet && strcmp(name, "log") == 0)
		return &lp_api_log;
	if (type == &lp_api_limpet && strcmp(name, "shared") == 0)
		return &lp_api_shared;
	return NULL;
}

/* Whether the method named at a place is called there: the object is copied before it, or after, as its argument. */
static bool is_called(lua_State *L, const struct checking *checking, int function, int pc, int object)
{
	struct lp_instruction before = lp_bytecode_at(L, &checking->bytecode, function, pc - 1);
	struct lp_instruction after = lp_bytecode_at(L, &checking->bytecode, function, pc + 1);

	return (before.op == LP_OP_MOV && before.d == object) || (after.op == LP_OP_MOV && after.d == object);
}

static void check_field(lua_State *L, const struct checking *checking, int function, int pc,
			const struct lp_api_type *type, const char *name)
{
	const struct lp_api_member *member = find_member(type, name);
	struct lp_instruction instruction = lp_bytecode_at(L, &checking->bytecode, function, pc);

	if (!member) {
		lp_api_push_unknown(L, type, name);
	} else if (member->function && strchr(member->use, ':') &&
		   !is_called(L, checking, function, pc, instruction.b)) {
		lua_pushfstring(L, "%s.%s is a function; did you mean %s?", type->name, name, member->use);
	} else {
		return;
	}
	report_mistake(L, checking, function, pc, lua_tostring(L, -1));
	lua_pop(L, 1);
}

/* The types of a function's parameters, by their names in the source. */
static void type_parameters(lua_State *L, const struct checking *checking, int function,
			    const struct lp_api_type **types)
{
	const char *line;
	const char *at;
	size_t parameters = (size_t)lp_bytecode_number(L, &checking->bytecode, function, 0, "params");

	lua_rawgeti(L, SLOT_LINES, lp_bytecode_number(L, &checking->bytecode, function, 0, "linedefined"));
	line = lua_tostring(L, -1);
	at = line ? strstr(line, "function") : NULL;
	if (at && !strstr(at + 1, "function") && (at = strchr(at, '(')))
		for (size_t i = 0; i < parameters; i++) {
			size_t length;

			at += 1 + strspn(at + 1, " \t");
			length = strcspn(at, " \t,)");
			for (size_t j = 0; j < sizeof(typed_parameters) / sizeof(typed_parameters[0]); j++)
				if (strlen(typed_parameters[j]->name) == length &&
				    memcmp(typed_parameters[j]->name, at, length) == 0)
					types[i] = typed_parameters[j];
			at += strcspn(at, ",)");
			if (*at != ',')
				break;
		}
	lua_pop(L, 1);
}

static void check_instruction(lua_State *L, const struct checking *checking, int function, int pc,
			      const struct lp_api_type **types, int parameters)
{
	struct lp_instruction instruction = lp_bytecode_at(L, &checking->bytecode, function, pc);
	const struct lp_api_type *type = NULL;
	const char *name;

	switch (instruction.op) {
	case LP_OP_GGET:
		name = lp_bytecode_push_text(L, &checking->bytecode, function, instruction.d);
		check_global(L, checking, function, pc, name);
		if (strcmp(name, "limpet") == 0)
			type = &lp_api_limpet;
		lua_pop(L, 1);
		break;
	case LP_OP_TGETS:
		if (!types[instruction.b])
			break;
		name = lp_bytecode_push_text(L, &checking->bytecode, function, instruction.c);
		check_field(L, checking, function, pc, types[instruction.b], name);
		type = type_of_field(types[instruction.b], name);
		lua_pop(L, 1);
		break;
	case LP_OP_MOV:
		if (instruction.a >= parameters)
			types[instruction.a] = NULL;
		return;
	default:
		memset(types + parameters, 0, (REGISTERS - (size_t)parameters) * sizeof(*types));
		return;
	}
	if (instruction.a >= parameters)
		types[instruction.a] = type;
}

static void check_function(lua_State *L, struct checking *checking, int function);

static void walk_children(lua_State *L, struct checking *checking, int function)
{
	bool is_text;
	int at = 0;

	if (!lp_bytecode_number(L, &checking->bytecode, function, 0, "children"))
		return;
	while (lp_bytecode_push_constant(L, &checking->bytecode, function, &at, &is_text)) {
		if (strcmp(luaL_typename(L, -1), "proto") == 0)
			check_function(L, checking, lua_gettop(L));
		lua_pop(L, 1);
	}
}

/* A function, or a prototype, at an index, and those in it. */
static void check_function(lua_State *L, struct checking *checking, int function)
{
	const struct lp_api_type *types[REGISTERS] = {0};
	int count = lp_bytecode_number(L, &checking->bytecode, function, 0, "bytecodes");
	int parameters = lp_bytecode_number(L, &checking->bytecode, function, 0, "params");

	luaL_checkstack(L, 16, "functions are nested too deep");
	type_parameters(L, checking, function, types);
	for (int pc = 1; pc < count; pc++) {
		if (!checking->collecting) {
			check_instruction(L, checking, function, pc, types, parameters);
		} else if (lp_bytecode_at(L, &checking->bytecode, function, pc).op == LP_OP_GSET) {
			lp_bytecode_push_text(L, &checking->bytecode, function,
					      lp_bytecode_at(L, &checking->bytecode, function, pc).d);
			lua_pushboolean(L, true);
			lua_rawset(L, SLOT_GLOBALS);
		}
	}
	walk_children(L, checking, function);
}

static void push_lines(lua_State *L, const char *at, const char *end)
{
	lua_newtable(L);
	for (int number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;

		lua_pushlstring(L, at, (size_t)(line_end - at));
		lua_rawseti(L, -2, number);
		at = line_end + 1;
	}
}

/* In protected mode. */
static int look_through(lua_State *L)
{
	struct checking *checking = lua_touserdata(L, SLOT_CHECKING);

	lp_bytecode_open(L, &checking->bytecode);
	lp_environment_push(L, checking->source);
	push_lines(L, checking->source->text, checking->source->text + checking->source->length);
	checking->status = lp_source_compile(L, checking->source, checking->error);
	if (checking->status < 0) {
		lp_source_name_policy(checking->status, checking->error);
		return 0;
	}
	checking->collecting = true;
	check_function(L, checking, lua_gettop(L));
	checking->collecting = false;
	check_function(L, checking, lua_gettop(L));
	return 0;
}

static int check_in(struct lp_scene *scene, struct checking *checking)
{
	struct lp_policy *state = NULL;
	int status = lp_policy_load(&state, &scene->host, NULL, 0, checking->error);

	if (status < 0)
		return status;
	lua_gc(state->lua, LUA_GCRESTART, 0);
	if (lua_cpcall(state->lua, look_through, checking) != 0)
		checking->status = lp_error_set(checking->error, LP_EPOLICY, "policy %s: %s", checking->source->name,
						lua_tostring(state->lua, -1));
	lp_policy_free(state);
	return checking->status;
}

static int check_source(struct lp_source *source, lp_found_cb found, void *owner, struct lp_error *error)
{
	struct checking checking = {.source = source, .found = found, .owner = owner, .error = error};
	struct lp_scene scene;
	int status = lp_scene_init(&scene);

	if (status < 0)
		lp_error_set(error, status, "policy %s: %s", source->name, lp_error_words(status));
	else
		status = check_in(&scene, &checking);
	lp_scene_deinit(&scene);
	return status;
}

int lp_policy_check(const char *name, lp_found_cb found, void *owner, struct lp_error *error)
{
	struct lp_source source;
	int status = lp_source_init(&source, name, error);

	if (status < 0)
		return lp_source_name_policy(status, error);
	status = check_source(&source, found, owner, error);
	lp_source_deinit(&source);
	return status;
}

int lp_policy_check_modules(const struct lp_policy *policy, lp_found_cb found, void *owner, struct lp_error *error)
{
	int status = 0;

	for (size_t i = 0; i < policy->source_count; i++)
		for (struct lp_source *module = policy->sources[i].modules; module && status == 0;
		     module = module->next)
			status = check_source(module, found, owner, error);
	return status;
}

/* What hooks cannot know */

struct hook_checking {
	const struct lp_policy *policy;
	size_t source;
	struct checking checking;
	int matches; /* Functions that begin on the line that is looked for. */
};

/* Whether a function is a hook of that kind, as far as lines tell. */
static bool is_hook(const struct lp_policy *policy, size_t source, int line, enum lp_hook_kind kind)
{
	for (uint32_t i = 0; i < policy->routing.count; i++) {
		const struct lp_hook *hook = &policy->routing.all[i];

		if (hook->kind == kind && hook->line == line && policy->units[hook->unit].source == source)
			return true;
	}
	return false;
}

/* Its first parameter is conn, whatever it is called. */
static void check_hook(lua_State *L, const struct hook_checking *hooks, int function, enum lp_hook_kind kind, int line)
{
	const struct checking *checking = &hooks->checking;
	int count = lp_bytecode_number(L, &checking->bytecode, function, 0, "bytecodes");

	for (int pc = 1; pc < count; pc++) {
		struct lp_instruction instruction = lp_bytecode_at(L, &checking->bytecode, function, pc);
		enum lp_hook_kind knows;
		const char *name;

		if (instruction.op != LP_OP_TGETS || instruction.b != 0)
			continue;
		name = lp_bytecode_push_text(L, &checking->bytecode, function, instruction.c);
		if (lp_conn_is_known_in_one(name, &knows) && knows != kind &&
		    !is_hook(hooks->policy, hooks->source, line, knows)) {
			lua_pushfstring(L, "%s is always nil in %s; it is known in %s",
					find_member(&lp_api_conn, name)->use, lp_api_policy.members[kind].name,
					lp_api_policy.members[knows].name);
			report_mistake(L, checking, function, pc, lua_tostring(L, -1));
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
	}
}

/* Functions, or prototypes, at an index and in it, that begin on a line: counted, or checked when there is one. */
static void find_hook(lua_State *L, struct hook_checking *hooks, int function, enum lp_hook_kind kind, int line,
		      bool check)
{
	bool is_text;
	int at = 0;

	luaL_checkstack(L, 16, "functions are nested too deep");
	if (lp_bytecode_number(L, &hooks->checking.bytecode, function, 0, "linedefined") == line) {
		hooks->matches++;
		if (check && lp_bytecode_number(L, &hooks->checking.bytecode, function, 0, "params") > 0)
			check_hook(L, hooks, function, kind, line);
	}
	while (lp_bytecode_push_constant(L, &hooks->checking.bytecode, function, &at, &is_text)) {
		if (!is_text && strcmp(luaL_typename(L, -1), "proto") == 0)
			find_hook(L, hooks, lua_gettop(L), kind, line, check);
		lua_pop(L, 1);
	}
}

/* In protected mode. */
static int look_through_hooks(lua_State *L)
{
	struct hook_checking *hooks = lua_touserdata(L, 1);
	const struct lp_policy *policy = hooks->policy;

	lp_bytecode_open(L, &hooks->checking.bytecode);
	for (uint32_t i = 0; i < policy->routing.count; i++) {
		const struct lp_hook *hook = &policy->routing.all[i];

		hooks->source = policy->units[hook->unit].source;
		hooks->checking.source = &policy->sources[hooks->source];
		hooks->matches = 0;
		if (lp_source_compile(L, hooks->checking.source, NULL) == 0) {
			find_hook(L, hooks, lua_gettop(L), hook->kind, hook->line, false);
			if (hooks->matches == 1)
				find_hook(L, hooks, lua_gettop(L), hook->kind, hook->line, true);
		}
		lua_settop(L, hooks->checking.bytecode.util);
	}
	return 0;
}

int lp_policy_check_hooks(const struct lp_policy *policy, lp_found_cb found, void *owner, struct lp_error *error)
{
	struct hook_checking hooks = {.policy = policy, .checking = {.found = found, .owner = owner, .error = error}};
	lua_State *L = luaL_newstate();
	int status = 0;

	if (!L)
		return lp_error_set(error, -ENOMEM, "policies cannot be looked through: %s", lp_error_words(-ENOMEM));
	if (lua_cpcall(L, look_through_hooks, &hooks) != 0)
		status = lp_error_set(error, LP_EPOLICY, "policies: %s", lua_tostring(L, -1));
	lua_close(L);
	return status;
}
