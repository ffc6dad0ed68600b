/*
 * What a policy file can see and do; what it cannot is test_sandbox_escapes.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_fixture.h"

static void what_belongs_to_the_sandbox_works(void **state)
{
	static const char *const cases[][2] = {
		{"assert(1)", "1"},
		{"type(error)", "function"},
		{"rawequal(rawget(rawset({}, 'a', 1), 'a'), 1)", "true"},
		{"select('#', unpack({1, 2, 3}))", "3"},
		{"tonumber('ff', 16)", "255"},
		{"next({a = 1})", "a"},
		{"getmetatable(setmetatable({}, {__metatable = 'm'}))", "m"},
		{"('%d %s'):format(7, 'x'):upper()", "7 X"},
		{"string.byte('a') .. string.char(97) .. ('abc'):find('c') .. ('abc'):gmatch('.')()", "97a3a"},
		{"('abc'):gsub('b', 'x') .. ('abc'):len() .. ('ABC'):lower() .. ('abc'):match('b')", "axc3abcb"},
		{"('ab'):rep(2) .. ('abc'):reverse() .. ('abc'):sub(2)", "ababcbabc"},
		{"table.concat({1, 2}, ',') .. table.maxn({1, 2})", "1,22"},
		{"(function() local t = {3, 1} table.insert(t, 2) table.insert(t, 1, 9) table.sort(t) "
		 "return table.remove(t) .. table.concat(t) end)()",
		 "9123"},
		{"math.floor(math.pi) + math.max(1, 2) + math.fmod(7, 4)", "8"},
		{"bit.band(bit.bor(1, 4), bit.bnot(1))", "4"},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_gives_in(fixture, "on_connect", cases[i][0], cases[i][1]);
}

static void metatables_that_are_not_the_policys_are_out_of_reach(void **state)
{
	static const char *const objects[] = {"''",     "conn",       "workers",       "workers[1]",
					      "limpet", "limpet.log", "limpet.shared", "limpet.cidr('::/0')"};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		char expression[128];

		snprintf(expression, sizeof(expression), "getmetatable(%s)", objects[i]);
		assert_gives_in(fixture, "on_connect", expression, "false");
	}
	request(fixture, FIXTURE_REQUEST);
	assert_raises(fixture, "setmetatable(workers, {})", "cannot change a protected metatable");
	assert_raises(fixture, "setmetatable('', {})",
		      "bad argument #1 to 'setmetatable' (table expected, got string)");
}

static void mischief_stays_in_its_file(void **state)
{
	struct fixture *fixture = *state;
	const char source[] =
		"string.format = nil string.rep = nil mine = 'x' limpet.refuse = nil tostring = nil math.floor = 1 "
		"return { on_connect = function() return mine == 'x' and string.rep == nil and nil end }";
	char second[64];
	FILE *file;

	snprintf(second, sizeof(second), "%s/second.lua", fixture->folder);
	file = fopen(second, "w");
	fputs("return { on_connect = function(conn, workers) return mine == nil and tostring(math.floor(2.5)) == '2' "
	      "and "
	      "limpet.refuse and string.format('%s', ('x'):rep(2)) == 'xx' and workers[2] end }",
	      file);
	fclose(file);
	fixture_write(fixture, source, strlen(source));
	fixture_load_names_at(fixture, (const char *const[]){fixture->file, second}, 2, __FILE__, __LINE__);
	unlink(second);
	assert_worker(ask(fixture), 2);
	assert_int_equal(lp_policy_errors(fixture->policy), 0);
}

static void names_that_were_never_lua_s_are_nil(void **state)
{
	struct fixture *fixture = *state;

	assert_gives_in(fixture, "on_connect", "tenants", "nil");
	assert_gives_in(fixture, "on_connect", "string.trim", "nil");
	assert_gives_in(fixture, "on_connect", "('x').trim", "nil");
	assert_gives_in(fixture, "on_connect", "math[1]", "nil");
}

static void random_differs_from_load_to_load(void **state)
{
	struct fixture *fixture = *state;
	char first[1024];

	load(fixture, "return { on_connect = function() limpet.log.info(('%.17g'):format(math.random())) end }");
	ask(fixture);
	snprintf(first, sizeof(first), "%.1000s", fixture_said(fixture));
	fixture_forget(fixture);
	load(fixture, "return { on_connect = function() limpet.log.info(('%.17g'):format(math.random())) end }");
	ask(fixture);
	assert_string_not_equal(first, fixture_said(fixture));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(what_belongs_to_the_sandbox_works),
		policy_test(metatables_that_are_not_the_policys_are_out_of_reach),
		policy_test(mischief_stays_in_its_file),
		policy_test(names_that_were_never_lua_s_are_nil),
		policy_test(random_differs_from_load_to_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
