/*
 * What --session takes: where a session is learnt and where it is carried, and that every mistake is answered with a way out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/session_rule.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_means(const char *text, enum lp_session_place place, const char *name, const char *learnt)
{
	char text_learnt[LP_SESSION_LEARNT_SIZE];
	struct lp_session_rule rule;
	struct lp_error error;

	if (lp_session_rule_parse(text, &rule, &error) != 0)
		fail_msg("%s: %s", text, error.text);
	assert_int_equal(rule.carried.place, place);
	assert_int_equal(rule.carried.name.length, strlen(name));
	assert_memory_equal(rule.carried.name.bytes, name, strlen(name));
	assert_int_equal(lp_session_rules_learnt(&rule, 1, NULL, text_learnt, &error), 0);
	assert_string_equal(text_learnt, learnt);
}

static void every_form_says_where_a_session_is_carried_and_learnt(void **state)
{
	(void)state;
	assert_means("sid", LP_SESSION_QUERY, "sid", "");
	assert_means("query:sid", LP_SESSION_QUERY, "sid", "");
	assert_means("mcp", LP_SESSION_HEADER, "Mcp-Session-Id", "header:Mcp-Session-Id");
	assert_means("cookie:connect.sid", LP_SESSION_COOKIE, "connect.sid", "cookie:connect.sid");
	assert_means("cookie:sid", LP_SESSION_COOKIE, "sid", "cookie:sid");
	assert_means("header:X-Session", LP_SESSION_HEADER, "X-Session", "header:X-Session");
	assert_means("query:token", LP_SESSION_QUERY, "token", "header:token,cookie:token");
	assert_means("header:X-Token=query:t", LP_SESSION_QUERY, "t", "header:X-Token=t");
	assert_means("cookie:a=header:X-A", LP_SESSION_HEADER, "X-A", "cookie:a=X-A");
	assert_means("header:X-Sid=query:sid", LP_SESSION_QUERY, "sid", "header:X-Sid=sid");
}

static void only_engine_ios_own_is_the_sid(void **state)
{
	static const char *const others[] = {"cookie:sid", "header:sid", "header:X-Sid=query:sid", "query:SID"};
	struct lp_session_rule rule;

	(void)state;
	assert_int_equal(lp_session_rule_parse("sid", &rule, NULL), 0);
	assert_true(lp_session_rule_is_sid(&rule));
	assert_true(lp_session_rule_is_sid(&lp_session_rule_sid));
	for (size_t i = 0; i < COUNT(others); i++) {
		assert_int_equal(lp_session_rule_parse(others[i], &rule, NULL), 0);
		assert_false(lp_session_rule_is_sid(&rule));
	}
}

static void a_mistake_is_answered_with_what_was_meant(void **state)
{
	static const char *const mistakes[][2] = {
		{"SID", "\"SID\" is not known; did you mean sid?"},
		{"MCP", "\"MCP\" is not known; did you mean mcp?"},
		{"cookie", "\"cookie\" names no cookie; write cookie:NAME"},
		{"cookie:", "\"cookie:\" names no cookie; write cookie:NAME"},
		{"query:=cookie:a", "\"query:=cookie:a\" names no query; write query:NAME"},
		{"coockie:a", "\"coockie:a\": there is no coockie:; did you mean cookie:?"},
		{"Header:a", "\"Header:a\": there is no Header:; did you mean header:?"},
		{"JSESSIONID", "\"JSESSIONID\" does not say where it is; write cookie:JSESSIONID, header:JSESSIONID or "
			       "query:JSESSIONID"},
		{"sid,mcp", "\"sid,mcp\": one thing for each --session; repeat the flag"},
		{"query:a=query:b",
		 "\"query:a=query:b\": a response has no query; before the = stands where a response "
		 "names the session, cookie:NAME or header:NAME"},
		{"header:a b", "\"header:a b\": \"a b\" is not a name; it has letters, digits and !#$%&'*+-.^_`|~"},
		{"header:X=",
		 "\"header:X=\" is not known; the forms are sid, mcp, cookie:NAME, header:NAME, query:NAME, "
		 "or LEARNT=CARRIED such as header:X-Token=query:token"},
		{"body:a",
		 "\"body:a\": limpet does not look for sessions in body; the forms are sid, mcp, cookie:NAME, "
		 "header:NAME, query:NAME, or LEARNT=CARRIED such as header:X-Token=query:token"},
	};
	struct lp_session_rule rule;
	struct lp_error error;

	(void)state;
	for (size_t i = 0; i < COUNT(mistakes); i++) {
		assert_int_equal(lp_session_rule_parse(mistakes[i][0], &rule, &error), LP_EUSAGE);
		assert_string_equal(error.text, mistakes[i][1]);
	}
	assert_int_equal(lp_session_rule_parse("", &rule, &error), LP_EUSAGE);
}

static void a_name_is_bounded(void **state)
{
	char text[LP_SESSION_NAME_MAX + 16] = "header:";
	struct lp_session_rule rule;
	struct lp_error error;

	(void)state;
	memset(text + strlen("header:"), 'a', LP_SESSION_NAME_MAX);
	assert_int_equal(lp_session_rule_parse(text, &rule, &error), 0);
	strcat(text, "a");
	assert_int_equal(lp_session_rule_parse(text, &rule, &error), LP_EUSAGE);
	assert_non_null(strstr(error.text, "the name has 65 bytes; 64 are the most"));
}

static void what_is_learnt_is_one_list_without_doubles(void **state)
{
	static const char *const texts[] = {"sid", "cookie:a", "mcp", "header:X-A=query:a", "cookie:a=query:b"};
	char learnt[LP_SESSION_LEARNT_SIZE];
	struct lp_session_rule *rules;
	struct lp_error error;

	(void)state;
	assert_int_equal(lp_session_rules_new(texts, COUNT(texts), &rules, &error), 0);
	assert_int_equal(lp_session_rules_learnt(rules, COUNT(texts), "header:X-B,cookie:a", learnt, &error), 0);
	assert_string_equal(learnt, "header:X-B,cookie:a,header:Mcp-Session-Id,header:X-A=a,cookie:a=b");
	free(rules);
}

static void more_places_than_the_library_looks_at_are_refused(void **state)
{
	static const char *const texts[] = {"query:a", "query:b", "query:c", "query:d", "header:e"};
	char learnt[LP_SESSION_LEARNT_SIZE];
	struct lp_session_rule *rules;
	struct lp_error error;

	(void)state;
	assert_int_equal(lp_session_rules_new(texts, COUNT(texts), &rules, &error), 0);
	assert_int_equal(lp_session_rules_learnt(rules, 4, NULL, learnt, &error), 0);
	assert_int_equal(lp_session_rules_learnt(rules, 5, NULL, learnt, &error), LP_EUSAGE);
	assert_non_null(strstr(error.text, "more than 8 cookies and headers"));
	free(rules);
}

static void too_many_rules_are_refused(void **state)
{
	const char *texts[LP_SESSION_RULES_MAX + 1];
	struct lp_session_rule *rules;
	struct lp_error error;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		texts[i] = "sid";
	assert_int_equal(lp_session_rules_new(texts, COUNT(texts), &rules, &error), LP_EUSAGE);
	assert_null(rules);
	assert_string_equal(error.text, "--session is given 17 times; 16 are the most");
	assert_int_equal(lp_session_rules_new((const char *const[]){"x y"}, 1, &rules, &error), LP_EUSAGE);
	assert_non_null(strstr(error.text, "--session: \"x y\" is not known"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_says_where_a_session_is_carried_and_learnt),
		cmocka_unit_test(only_engine_ios_own_is_the_sid),
		cmocka_unit_test(a_mistake_is_answered_with_what_was_meant),
		cmocka_unit_test(a_name_is_bounded),
		cmocka_unit_test(what_is_learnt_is_one_list_without_doubles),
		cmocka_unit_test(more_places_than_the_library_looks_at_are_refused),
		cmocka_unit_test(too_many_rules_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
