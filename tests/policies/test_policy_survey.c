/*
 * What is told of policies without running them: who looks sessions up, and which --set nobody reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/survey.h"
#include "policy_fixture.h"

static struct lp_policy_survey survey_of(struct fixture *fixture, const char *source)
{
	struct lp_policy_survey survey;
	struct lp_error error;

	load(fixture, source);
	if (lp_policy_survey(fixture->policy, NULL, NULL, 0, NULL, &survey, &error) != 0)
		fail_msg("%s", error.text);
	return survey;
}

static void a_look_up_is_seen_wherever_it_stands(void **state)
{
	static const char *const sources[] = {
		"return { on_request = function(conn, workers) return workers:session(conn.sid) end }",
		"return { on_request = function(c, w) if c.path == '/' then return w:session(c:cookie('a')) end end }",
		"local function find(all, key) return all:session(key) end\n"
		"return { on_request = function(conn, workers) return find(workers, conn.sid) end }",
	};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		assert_true(survey_of(*state, sources[i]).looks_up);
	assert_false(survey_of(*state, "return { on_request = function(conn, workers) return conn.session and "
				       "workers:hash(conn.session) end }")
			     .looks_up);
	assert_false(survey_of(*state, "return { on_connect = function() end }").looks_up);
}

static void it_is_told_what_a_session_is_looked_up_by(void **state)
{
	struct lp_policy_survey survey = survey_of(
		*state, "return { on_request = function(conn, workers)\n"
			"local key = conn:cookie('JSESSIONID') or conn:header \"X-Session\" or conn:query('sid')\n"
			"return key and workers:session(key) or workers:bind(conn:cookie('JSESSIONID'), workers[1]) "
			"end }");

	assert_true(survey.looks_up && survey.binds && survey.reads_sid);
	assert_false(survey.reads_session);
	assert_int_equal(survey.field_count, 3);
	assert_string_equal(survey.fields[0], "cookie:JSESSIONID");
	assert_string_equal(survey.fields[1], "header:X-Session");
	assert_string_equal(survey.fields[2], "query:sid");
	assert_true(survey_of(*state, "return { on_request = function(conn) return conn.session end }").reads_session);
	assert_true(survey_of(*state, "return { on_request = function(conn) return conn.sid end }").reads_sid);
}

/* Load a source with --set denny=evil and --set office=10.0.0.0/8, and judge them. */
static const char *judge(struct fixture *fixture, const char *source)
{
	static const char *const settings[] = {"office=10.0.0.0/8", "denny=evil"};
	static struct lp_error error;

	fixture->host.settings = settings;
	fixture->host.setting_count = 2;
	load(fixture, source);
	error = (struct lp_error){0};
	if (lp_policy_check_settings(fixture->policy, &error) == 0)
		return NULL;
	assert_int_equal(error.code, LP_EUSAGE);
	return error.text;
}

#define HOOK "on_connect = function() end"

static void a_setting_that_no_policy_reads_is_refused(void **state)
{
	assert_string_equal(judge(*state, "local deny return { " HOOK ", setup = function(options) deny = options.deny "
					  "local office = options.office end }"),
			    "--set denny=evil: no policy reads \"denny\"; did you mean deny?");
	assert_string_equal(judge(*state, "return { " HOOK ", setup = function(options) local a = options.office, "
					  "options.tenants, options['path'] end }"),
			    "--set denny=evil: no policy reads \"denny\"; they read tenants, path");
	assert_string_equal(
		judge(*state, "return { " HOOK " }"),
		"--set office=10.0.0.0/8: no policy reads \"office\" in setup(options); leave it out, or name "
		"the policy that does");
	assert_string_equal(
		judge(*state, "return { " HOOK ", setup = function() end }"),
		"--set office=10.0.0.0/8: no policy reads \"office\" in setup(options); leave it out, or name "
		"the policy that does");
}

static void one_table_of_several_that_reads_it_is_enough(void **state)
{
	assert_null(judge(*state, "return { { " HOOK ", setup = function(o) local a = o.office end }, "
				  "{ " HOOK ", setup = function(o) local a = o.denny end } }"));
}

static void options_that_are_iterated_are_all_read(void **state)
{
	static const char *const loops[] = {
		"for key, value in pairs(options) do seen[key] = value end",
		"for key, value in next, options do seen[key] = value end",
		"local key, value = next(options) while key do seen[key] = value key, value = next(options, key) end",
		"seen.office, seen.denny = rawget(options, 'office'), rawget(options, 'denny')",
		"setmetatable(options, { __index = error }) seen = options",
	};
	char source[512];

	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		snprintf(source, sizeof(source),
			 "return { " HOOK ", setup = function(options) local seen = {} %s\n"
			 "assert(seen.office == '10.0.0.0/8' and seen.denny == 'evil') end }",
			 loops[i]);
		assert_null(judge(*state, source));
	}
}

static void options_that_are_kept_may_be_read_later(void **state)
{
	assert_null(judge(*state, "local o return { setup = function(options) o = options end, "
				  "on_connect = function(conn, workers) return workers[tonumber(o[conn.ip])] end }"));
	assert_null(judge(*state,
			  "local o return { setup = function(options) o = options end, "
			  "on_connect = function(conn) if o.office then return end return o.denny and nil end }"));
	assert_non_null(judge(*state,
			      "local o return { setup = function(options) o = options end, "
			      "on_connect = function(conn) if o.office then return end return o.deny and nil end }"));
}

static void options_are_what_was_given_and_what_was_set(void **state)
{
	assert_null(judge(*state,
			  "return { " HOOK ", setup = function(options)\n"
			  "assert(type(options) == 'table' and getmetatable(options) == false)\n"
			  "options.denny = options.denny .. '!' assert(options.denny == 'evil!')\n"
			  "options.denny = nil assert(options.denny == nil)\n"
			  "options.mine = 1 assert(options.mine == 1 and options.office == '10.0.0.0/8')\n"
			  "local count = 0 for _ in pairs(options) do count = count + 1 end assert(count == 2)\n"
			  "options.more = 2 assert(options.more == 2)\n"
			  "assert(options[1] == nil and options[true] == nil) end }"));
}

static void a_policy_that_is_made_again_reads_its_settings_again(void **state)
{
	struct fixture *fixture = *state;
	struct lp_policy *copy;

	assert_null(judge(fixture,
			  "local deny return { setup = function(o) deny = o.office .. o.denny end, "
			  "on_connect = function(conn, workers) return deny == '10.0.0.0/8evil' and workers[3] end }"));
	assert_int_equal(lp_policy_copy(&copy, fixture->policy, &fixture->host, NULL), 0);
	assert_int_equal(lp_policy_check_settings(copy, NULL), 0);
	assert_worker(ask(fixture), 3);
	lp_policy_free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(a_look_up_is_seen_wherever_it_stands),
		policy_test(it_is_told_what_a_session_is_looked_up_by),
		policy_test(a_setting_that_no_policy_reads_is_refused),
		policy_test(one_table_of_several_that_reads_it_is_enough),
		policy_test(options_that_are_iterated_are_all_read),
		policy_test(options_that_are_kept_may_be_read_later),
		policy_test(options_are_what_was_given_and_what_was_set),
		policy_test(a_policy_that_is_made_again_reads_its_settings_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
