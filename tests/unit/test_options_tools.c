/*
 * The command lines of what tries policies: check, route, test, simulate.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "options_fixture.h"

static void tools_take_files_among_their_flags(void **state)
{
	struct fixture *fixture = *state;
	const struct lp_tool_options *tool = &fixture->line.tool;

	assert_int_equal(parse(fixture, "limpet route a.lua --workers 8 sid --policy b --set k=v -- --c"), 0);
	assert_int_equal(fixture->line.command, LP_COMMAND_ROUTE);
	assert_int_equal(tool->file_count, 4);
	assert_string_equal(tool->files[0], "a.lua");
	assert_string_equal(tool->files[1], "sid");
	assert_string_equal(tool->files[2], "b");
	assert_string_equal(tool->files[3], "--c");
	assert_int_equal(tool->workers, 8);
	assert_string_equal(fixture->line.options.settings[0], "k=v");
	assert_refused(fixture, "check", "check needs a policy; limpet check --help has examples");
	assert_refused(fixture, "check ''", "\"\" is not a policy");
	assert_refused(fixture, "test --all x", "unknown flag --all; limpet test --help lists them all");
}

static void a_connection_is_described_flag_by_flag(void **state)
{
	struct fixture *fixture = *state;
	const struct lp_tool_options *tool = &fixture->line.tool;

	assert_int_equal(parse(fixture, "limpet route sid"), 0);
	assert_string_equal(tool->ip, "192.0.2.1");
	assert_int_equal(tool->port, 50000);
	assert_string_equal(tool->listener, ":3000");
	assert_int_equal(tool->workers, 4);
	assert_null(tool->sid);
	assert_int_equal(parse(fixture,
			       "limpet route sid --ip ::1 --port 7 --listener :1 --method PUT --path /a?b --sid s "
			       "--header A:1 --header B: --session s=4"),
			 0);
	assert_string_equal(tool->ip, "::1");
	assert_int_equal(tool->port, 7);
	assert_string_equal(tool->listener, ":1");
	assert_string_equal(tool->method, "PUT");
	assert_string_equal(tool->path, "/a?b");
	assert_string_equal(tool->sid, "s");
	assert_int_equal(tool->header_count, 2);
	assert_string_equal(tool->headers[1], "B:");
	assert_string_equal(tool->known[0], "s=4");
	assert_int_equal(parse(fixture, "limpet route sid --sni a.example --alpn h2 --alpn x"), 0);
	assert_string_equal(tool->sni, "a.example");
	assert_int_equal(tool->alpn_count, 2);
}

static void what_no_connection_has_is_refused(void **state)
{
	assert_refused(*state, "route sid --ip here", "--ip: \"here\" is no address, such as 192.0.2.1 or 2001:db8::1");
	assert_refused(*state, "route sid --header A", "--header: \"A\" is no header; write it as \"Name: value\"");
	assert_refused(*state, "route sid --path a", "--path: \"a\" is no path; it begins with / and has no blanks");
	assert_refused(*state, "route sid --session a=0",
		       "--session: \"a=0\" is not SID=ID, a session and its worker's number, such as abc=2");
	assert_refused(*state, "route sid --session SID", "--session: \"SID\" is not known; did you mean sid?");
	assert_refused(*state, "route sid --session a=5", "--session: there is no worker 5; --workers makes 4");
	assert_refused(*state, "simulate sid --kill 9 --workers 8", "--kill: there is no worker 9; --workers makes 8");
	assert_refused(*state, "route sid --raw f --sid a",
		       "--raw has all that the client sends; leave out --sid, or write it into f");
	assert_refused(*state, "route sid --alpn h2 --path /",
		       "--alpn makes the connection TLS, and --path would be encrypted in it; leave out one of them");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tools_take_files_among_their_flags),
		TEST(a_connection_is_described_flag_by_flag),
		TEST(what_no_connection_has_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
