/*
 * The command line: what each flag does to the options, and that every mistake is answered with a way out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/options_flags.h"
#include "options_fixture.h"
#include "policy/included.h"
#include "worker/dialect.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define COMMANDS                                                                                                       \
	"run, status, top, reload, drain, enable, stop, why, tail, record, check, route, test, simulate, bench, help " \
	"and "                                                                                                         \
	"version"

static const struct limpet_options *options_of(struct fixture *fixture, const char *flags)
{
	if (parse(fixture, "limpet run --listen :3000 %s -- node server.js", flags) != 0)
		fail_msg("%s", fixture->error.text);
	return &fixture->line.options;
}

static void without_flags_the_defaults_hold(void **state)
{
	const struct limpet_options *options = options_of(*state, "");
	struct limpet_options defaults;

	limpet_options_init(&defaults);
	assert_int_equal(options->workers, 0);
	assert_string_equal(options->dialect, "auto");
	assert_int_equal(options->worker_prefix, 0);
	assert_int_equal(options->wait_ready, 0);
	assert_string_equal(options->stop_with, "auto");
	assert_int_equal(options->head_timeout_ms, 10000);
	assert_int_equal(options->max_head_bytes, 16384);
	assert_int_equal(options->max_waiting, 10000);
	assert_int_equal(options->max_per_ip, 256);
	assert_int_equal(options->max_rate_per_ip, 0);
	assert_null(options->user);
	assert_int_equal(options->worker_descriptors, 0);
	assert_int_equal(options->max_sessions, 1000000);
	assert_int_equal(options->session_wait_ms, 250);
	assert_int_equal(options->ack_timeout_ms, 2000);
	assert_int_equal(options->kill_stuck_ms, 0);
	assert_int_equal(options->start_timeout_ms, 90000);
	assert_int_equal(options->drain_timeout_ms, 30000);
	assert_int_equal(options->backlog, 4096);
	assert_int_equal(options->defer_accept, 1);
	assert_null(options->control);
	assert_null(options->name);
	assert_int_equal(options->log_fd, 2);
	assert_string_equal(options->log_level, "info");
	assert_string_equal(options->log_format, "text");
	assert_int_equal(options->policy_count + options->setting_count + options->trusted_count, 0);
	assert_int_equal(defaults.listen_count, 0);
	assert_null(defaults.command);
}

static void every_flag_of_run_reaches_its_option(void **state)
{
	const struct limpet_options *options = options_of(
		*state, "--workers 4 --dialect cluster --worker-prefix --wait-ready --stop-with SIGINT "
			"--head-timeout 20s --max-head 32k "
			"--max-waiting 5 --max-sessions 6 --session-wait 7ms --drain-timeout 1m --backlog 8 "
			"--no-defer-accept --control /run/l.sock --name web --log-level debug --log-format json "
			"--ack-timeout 3s --kill-stuck 1h --max-per-ip 9 --max-rate-per-ip 10 --user 11:12 "
			"--learn cookie:JSESSIONID,header:X-Session --preload-dir /run/app");

	assert_int_equal(options->workers, 4);
	assert_string_equal(options->dialect, "cluster");
	assert_int_equal(options->worker_prefix, 1);
	assert_int_equal(options->wait_ready, 1);
	assert_string_equal(options->stop_with, "SIGINT");
	assert_int_equal(options->head_timeout_ms, 20000);
	assert_int_equal(options->max_head_bytes, 32768);
	assert_int_equal(options->max_waiting, 5);
	assert_int_equal(options->max_per_ip, 9);
	assert_int_equal(options->max_rate_per_ip, 10);
	assert_string_equal(options->user, "11:12");
	assert_int_equal(options->max_sessions, 6);
	assert_int_equal(options->session_wait_ms, 7);
	assert_int_equal(options->ack_timeout_ms, 3000);
	assert_int_equal(options->kill_stuck_ms, 3600000);
	assert_string_equal(options->learn, "cookie:JSESSIONID,header:X-Session");
	assert_string_equal(options->preload_dir, "/run/app");
	assert_int_equal(options->drain_timeout_ms, 60000);
	assert_int_equal(options->backlog, 8);
	assert_int_equal(options->defer_accept, 0);
	assert_string_equal(options->control, "/run/l.sock");
	assert_string_equal(options->name, "web");
	assert_string_equal(options->log_level, "debug");
	assert_string_equal(options->log_format, "json");
}

static void repeated_flags_make_lists_in_order(void **state)
{
	const struct limpet_options *options =
		options_of(*state, "--listen=unix:/a --policy sid --trust 10.0.0.0/8 --policy=./b.lua --set a=1 "
				   "--listen [::1]:80 --set b= --set c=d=e --trust ::1");

	assert_int_equal(options->listen_count, 3);
	assert_string_equal(options->listen[0], ":3000");
	assert_string_equal(options->listen[1], "unix:/a");
	assert_string_equal(options->listen[2], "[::1]:80");
	assert_int_equal(options->policy_count, 2);
	assert_string_equal(options->policies[0], "sid");
	assert_string_equal(options->policies[1], "./b.lua");
	assert_int_equal(options->setting_count, 3);
	assert_string_equal(options->settings[0], "a=1");
	assert_string_equal(options->settings[1], "b=");
	assert_string_equal(options->settings[2], "c=d=e");
	assert_int_equal(options->trusted_count, 2);
	assert_string_equal(options->trusted[0], "10.0.0.0/8");
	assert_string_equal(options->trusted[1], "::1");
}

static void sessions_are_named_as_often_as_one_likes(void **state)
{
	const struct limpet_options *options =
		options_of(*state, "--session sid --session=header:X-Token=query:token --session mcp");

	assert_int_equal(options->session_count, 3);
	assert_string_equal(options->sessions[0], "sid");
	assert_string_equal(options->sessions[1], "header:X-Token=query:token");
	assert_string_equal(options->sessions[2], "mcp");
	assert_refused(*state, "run --session coockie:a",
		       "--session: \"coockie:a\": there is no coockie:; did you mean cookie:?");
}

static void a_choice_is_found_in_any_case(void **state)
{
	assert_string_equal(options_of(*state, "")->forwarded_header, "x-forwarded-for");
	assert_string_equal(options_of(*state, "--forwarded-header Forwarded")->forwarded_header, "forwarded");
	assert_string_equal(options_of(*state, "--forwarded-header X-Real-IP")->forwarded_header, "x-real-ip");
	assert_refused(
		*state, "run --forwarded-header x-forward-for",
		"--forwarded-header: \"x-forward-for\" is not one of x-forwarded-for, forwarded, x-real-ip; did you "
		"mean x-forwarded-for?");
}

static void a_list_holds_a_whole_command_line(void **state)
{
	const struct limpet_options *options =
		options_of(*state, "--set a=1 --set=b=2 --set=c=3 --set=d=4 --set=e=5 --set=f=6 --set=g=7 --set=h=8 "
				   "--set=i=9 --set=j=10 --set=k=11 --set=l=12 --set=m=13 --set=n=14 --set=o=15");

	assert_int_equal(options->setting_count, 15);
	assert_string_equal(options->settings[14], "o=15");
	assert_int_equal(options->trusted_count, 0);
}

static void a_flag_given_twice_counts_the_last_time(void **state)
{
	assert_int_equal(options_of(*state, "--workers 4 --workers=5")->workers, 5);
}

static void what_follows_two_dashes_is_the_workers(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, "limpet run --listen :0 -- node --help --workers x -- -h"), 0);
	assert_int_equal(fixture->line.command, LP_COMMAND_RUN);
	assert_ptr_equal(fixture->line.options.command, &fixture->argv[5]);
	assert_string_equal(fixture->line.options.command[0], "node");
	assert_string_equal(fixture->line.options.command[5], "-h");
	assert_null(fixture->line.options.command[6]);
}

static void durations_have_units(void **state)
{
	assert_int_equal(options_of(*state, "--drain-timeout 10")->drain_timeout_ms, 10000);
	assert_int_equal(options_of(*state, "--drain-timeout 10s")->drain_timeout_ms, 10000);
	assert_int_equal(options_of(*state, "--drain-timeout 500ms")->drain_timeout_ms, 500);
	assert_int_equal(options_of(*state, "--drain-timeout 2m")->drain_timeout_ms, 120000);
	assert_int_equal(options_of(*state, "--drain-timeout 24h")->drain_timeout_ms, 86400000);
	assert_int_equal(options_of(*state, "--drain-timeout 0")->drain_timeout_ms, 0);
}

static void bytes_have_units(void **state)
{
	assert_int_equal(options_of(*state, "--max-head 16384")->max_head_bytes, 16384);
	assert_int_equal(options_of(*state, "--max-head 16k")->max_head_bytes, 16384);
	assert_int_equal(options_of(*state, "--max-head 1m")->max_head_bytes, 1048576);
}

static void a_number_out_of_range_is_refused(void **state)
{
	static const char *const numbers[] = {
		"--workers 0",
		"--workers 257",
		"--workers -1",
		"--workers ''",
		"--workers 4x",
		"--workers +4",
		"--workers 4294967297",
		"--workers 18446744073709551617",
		"--workers 4k",
		"--max-head 255",
		"--max-head 1025k",
		"--max-head 2m",
		"--max-head 1g",
		"--head-timeout 0",
		"--head-timeout 3601",
		"--head-timeout 61m",
		"--head-timeout 1.5",
		"--head-timeout 1d",
		"--head-timeout ms",
		"--session-wait 11s",
		"--drain-timeout 25h",
		"--drain-timeout 1194h",
		"--drain-timeout 4294967295h",
		"--backlog 0",
		"--session-wait ''",
		"--session-wait s",
		"--max-waiting 0",
		"--max-sessions 100000001",
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < COUNT(numbers); i++) {
		if (parse(fixture, "limpet run --listen :0 %s -- node", numbers[i]) != LP_EUSAGE ||
		    !strstr(fixture->error.text, " is not a "))
			fail_msg("%s: %s", numbers[i], fixture->error.text);
	}
}

static void a_wrong_value_is_named_with_what_belongs_there(void **state)
{
	assert_refused(*state, "run --workers x", "--workers: \"x\" is not a number from 1 to 256");
	assert_refused(*state, "run --head-timeout=1d",
		       "--head-timeout: \"1d\" is not a time from 1ms to 1h, such as 10s, 500ms or 2m");
	assert_refused(*state, "run --session-wait 11s",
		       "--session-wait: \"11s\" is not a time from 0ms to 10s, such as 10s, 500ms or 2m");
	assert_refused(*state, "run --max-head 1",
		       "--max-head: \"1\" is not a number of bytes from 256 to 1m, such as 16384 or 16k");
	assert_refused(*state, "run --log-level inf",
		       "--log-level: \"inf\" is not one of error, warning, info, debug; did you mean info?");
	assert_refused(*state, "run --log-format xml", "--log-format: \"xml\" is not one of text, json");
	assert_refused(*state, "run --listen 3000", "--listen: \"3000\" is not an address; did you mean :3000?");
	assert_refused(*state, "run --trust 10.0.0.0/33",
		       "--trust: \"10.0.0.0/33\": what follows the / is a number from 0 to 32");
	assert_refused(*state, "run --worker-env A", "--worker-env: \"A\" has no =; write it as NAME=value");
	assert_refused(*state, "run --worker-env =1",
		       "--worker-env: \"=1\" has no name before the =; write it as NAME=value");
	assert_refused(*state, "run --worker-env NODE_CHANNEL_FD=4",
		       "--worker-env: NODE_CHANNEL_FD is limpet's own to set; use another name");
	assert_refused(*state, "run --set tenants", "--set: \"tenants\" has no =; write it as key=value");
	assert_refused(*state, "run --set =1", "--set: \"=1\" has no key before the =; write it as key=value");
	assert_refused(*state, "run --policy ''",
		       "--policy: \"\" is neither a file nor an included policy, such as sid");
	assert_refused(*state, "run --control ''", "--control: \"\" is not the path of a unix socket, 1 to 107 bytes");
	assert_refused(*state, "run --stop-with SIGKILL",
		       "--stop-with: \"SIGKILL\" is not one of auto, SIGINT, SIGTERM, SIGQUIT, SIGUSR2, SIGWINCH, "
		       "shutdown");
	assert_refused(*state, "run --worker-prefix=yes", "--worker-prefix takes no value, but got \"yes\"");
}

static void a_value_that_is_missing_is_asked_for(void **state)
{
	assert_refused(*state, "run --workers", "--workers needs a value: a number from 1 to 256");
	assert_refused(*state, "run --policy -- node", "--policy needs a value: NAME|FILE");
	assert_refused(*state, "run --control --workers 4", "--control needs a value: PATH");
}

static void a_misspelt_flag_is_guessed(void **state)
{
	assert_refused(*state, "run --polcy sid", "unknown flag --polcy; did you mean --policy?");
	assert_refused(*state, "run --polciy=sid", "unknown flag --polciy; did you mean --policy?");
	assert_refused(*state, "run -listen :1", "unknown flag -listen; did you mean --listen?");
	assert_refused(*state, "run --drain 1s", "unknown flag --drain; did you mean --drain-timeout?");
	assert_refused(*state, "run --read-timeout 1s", "unknown flag --read-timeout; did you mean --head-timeout?");
	assert_refused(*state, "run --max-sticky 1", "unknown flag --max-sticky; limpet run --help lists them all");
	assert_refused(*state, "run --sticky", "unknown flag --sticky; limpet run --help lists them all");
	assert_refused(*state, "run -w", "unknown flag -w; limpet run --help lists them all");
	assert_refused(
		*state, "status --workers 3",
		"limpet status has no flag --workers, which is one of limpet run; limpet status --help lists those it "
		"has");
	assert_refused(
		*state, "run --sid abc",
		"limpet run has no flag --sid, which is one of limpet route; limpet run --help lists those it has");
}

static void an_overlong_flag_is_cut(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, "limpet run --%0500d", 0), LP_EUSAGE);
	assert_in_range(strlen(fixture->error.text), 64, 128);
}

static void what_run_needs_is_asked_for(void **state)
{
	assert_refused(*state, "run",
		       "run needs --listen ADDRESS, such as: limpet run --listen :3000 -- node server.js");
	assert_refused(*state, "run --listen :3000",
		       "run needs a program after --, such as: limpet run --listen :3000 -- node server.js");
	assert_refused(*state, "run --listen :3000 --",
		       "run needs a program after --, such as: limpet run --listen :3000 -- node server.js");
	assert_refused(*state, "run --listen :3000 node server.js",
		       "\"node\" is not a flag; put the program after --, such as: "
		       "limpet run --listen :3000 -- node server.js");
}

static void status_asks_the_balancer_that_flags_name_or_the_only_one(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(parse(fixture, "limpet status --control /run/l.sock"), 0);
	assert_int_equal(fixture->line.command, LP_COMMAND_STATUS);
	assert_string_equal(fixture->line.options.control, "/run/l.sock");
	assert_int_equal(parse(fixture, "limpet status --name web-3000"), 0);
	assert_string_equal(fixture->line.options.name, "web-3000");
	assert_int_equal(parse(fixture, "limpet status"), 0);
	assert_null(fixture->line.options.control);
	assert_null(fixture->line.options.name);
	assert_refused(fixture, "status --name ../etc",
		       "--name: \"../etc\" is no name; use 1 to 64 letters, digits, dots, underscores and dashes, the "
		       "first a letter or a digit");
	assert_refused(fixture, "status /run/l.sock",
		       "status does not take \"/run/l.sock\"; limpet status --help explains it");
}

static void an_unknown_command_is_guessed(void **state)
{
	assert_refused(*state, "statsu", "unknown command \"statsu\"; did you mean status?");
	assert_refused(*state, "serve",
		       "unknown command \"serve\"; there are " COMMANDS
		       ". To start a program: limpet run --listen :3000 -- serve");
	assert_refused(*state, "''",
		       "unknown command \"\"; there are " COMMANDS
		       ". To start a program: limpet run --listen :3000 -- PROGRAM");
	assert_refused(*state, "help serve",
		       "unknown command \"serve\"; there are " COMMANDS
		       ". To start a program: limpet run --listen :3000 -- serve");
	assert_refused(*state, "version please", "version does not take \"please\"; limpet version --help explains it");
	assert_refused(*state, "--listen :3000",
		       "\"--listen\" stands where a command belongs, such as: "
		       "limpet run --listen :3000 -- node server.js");
}

static void assert_means(struct fixture *fixture, const char *text, enum lp_command command, enum lp_command help_of)
{
	if (parse(fixture, "%s", text) != 0)
		fail_msg("%s: %s", text, fixture->error.text);
	assert_int_equal(fixture->line.command, command);
	assert_int_equal(fixture->line.help_of, help_of);
}

static void help_is_found_wherever_it_is_looked_for(void **state)
{
	assert_means(*state, "limpet", LP_COMMAND_HELP, LP_COMMAND_HELP);
	assert_means(*state, "limpet help", LP_COMMAND_HELP, LP_COMMAND_HELP);
	assert_means(*state, "limpet --help", LP_COMMAND_HELP, LP_COMMAND_HELP);
	assert_means(*state, "limpet -h", LP_COMMAND_HELP, LP_COMMAND_HELP);
	assert_means(*state, "limpet help help", LP_COMMAND_HELP, LP_COMMAND_HELP);
	assert_means(*state, "limpet help run", LP_COMMAND_HELP, LP_COMMAND_RUN);
	assert_means(*state, "limpet run --workers x -h", LP_COMMAND_HELP, LP_COMMAND_RUN);
	assert_means(*state, "limpet status --help", LP_COMMAND_HELP, LP_COMMAND_STATUS);
	assert_means(*state, "limpet version", LP_COMMAND_VERSION, LP_COMMAND_HELP);
	assert_means(*state, "limpet --version", LP_COMMAND_VERSION, LP_COMMAND_HELP);
	assert_means(*state, "limpet -v", LP_COMMAND_VERSION, LP_COMMAND_HELP);
	assert_means(*state, "limpet -V", LP_COMMAND_VERSION, LP_COMMAND_HELP);
}

static void an_empty_argv_asks_for_help(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(lp_options_parse(0, fixture->argv, &fixture->line, NULL), 0);
	assert_int_equal(fixture->line.command, LP_COMMAND_HELP);
	assert_true(fixture->line.unasked);
	assert_int_equal(parse(fixture, "limpet"), 0);
	assert_true(fixture->line.unasked);
	assert_int_equal(parse(fixture, "limpet help"), 0);
	assert_false(fixture->line.unasked);
}

static void help_fits_a_terminal(void **state)
{
	(void)state;
	for (unsigned command = 0; command < LP_COMMANDS; command++) {
		char *help = lp_options_help((enum lp_command)command);
		char *rest;

		assert_non_null(help);
		for (char *line = strtok_r(help, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
			if (strlen(line) > 80 || line[strlen(line) - 1] == ' ')
				fail_msg("\"%s\"", line);
		}
		free(help);
	}
}

static void help_of_run_has_every_flag_and_its_default(void **state)
{
	char *help = lp_options_help(LP_COMMAND_RUN);
	const struct lp_command_entry *run = &lp_command_entries[LP_COMMAND_RUN];

	(void)state;
	assert_non_null(help);
	for (size_t i = 0; i < run->flag_count; i++)
		assert_non_null(strstr(help, run->flags[i].name));
	assert_non_null(strstr(help, "(default 10s)"));
	assert_non_null(strstr(help, "(default 16k)"));
	assert_non_null(strstr(help, "(default 250ms)"));
	assert_non_null(strstr(help, "(default info)"));
	free(help);
}

static void help_names_every_included_policy(void **state)
{
	char *help = lp_options_help(LP_COMMAND_RUN);

	(void)state;
	assert_non_null(help);
	for (size_t i = 0; lp_included_policies[i].name; i++)
		if (!strstr(help, lp_included_policies[i].name))
			fail_msg("%s", lp_included_policies[i].name);
	free(help);
}

static const struct lp_flag *find_flag(const char *name)
{
	const struct lp_command_entry *run = &lp_command_entries[LP_COMMAND_RUN];

	for (size_t i = 0; i < run->flag_count; i++)
		if (strcmp(run->flags[i].name, name) == 0)
			return &run->flags[i];
	fail_msg("%s", name);
	return NULL;
}

static void every_choice_exists(void **state)
{
	const char *const *dialects = find_flag("--dialect")->choices;
	const char *const *levels = find_flag("--log-level")->choices;
	const char *const *formats = find_flag("--log-format")->choices;

	(void)state;
	assert_string_equal(dialects[0], "auto");
	for (size_t i = 1; dialects[i]; i++)
		assert_non_null(lp_dialect_find(dialects[i]));
	for (int i = 0; levels[i]; i++)
		assert_int_equal(lp_log_level_find(levels[i]), i);
	for (int i = 0; formats[i]; i++)
		assert_true(lp_log_format_find(formats[i], -1) >= 0);
}

static void every_default_is_within_its_bounds(void **state)
{
	const struct lp_command_entry *run = &lp_command_entries[LP_COMMAND_RUN];
	struct lp_command_line defaults;

	(void)state;
	lp_command_line_init(&defaults);
	for (size_t i = 0; i < run->flag_count; i++) {
		const struct lp_flag *flag = &run->flags[i];
		uint32_t value;
		uint32_t again;
		char text[LP_FLAG_TEXT_SIZE];

		if (flag->kind < LP_FLAG_NUMBER || flag->kind > LP_FLAG_DURATION)
			continue;
		value = *(const uint32_t *)((const char *)&defaults + flag->field);
		if (value == 0 && strcmp(flag->name, "--workers") == 0)
			continue;
		assert_in_range(value, flag->least, flag->most);
		lp_flag_format(flag->kind, value, text);
		assert_true(lp_flag_number(flag, text, &again));
		assert_int_equal(again, value);
	}
}

static void what_cannot_be_learnt_is_refused(void **state)
{
	assert_refused(*state, "run --learn JSESSIONID",
		       "--learn: \"JSESSIONID\" is neither cookie:NAME nor header:NAME, such as cookie:JSESSIONID");
	assert_refused(*state, "run --learn cookie:a,cookie:",
		       "--learn: \"cookie:\" is neither cookie:NAME nor header:NAME, such as cookie:JSESSIONID");
	assert_refused(*state,
		       "run --learn cookie:1,cookie:2,cookie:3,cookie:4,cookie:5,cookie:6,cookie:7,cookie:8,header:9",
		       "--learn: names more than 8 cookies and headers");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_flags_the_defaults_hold),
		TEST(every_flag_of_run_reaches_its_option),
		TEST(repeated_flags_make_lists_in_order),
		TEST(what_cannot_be_learnt_is_refused),
		TEST(sessions_are_named_as_often_as_one_likes),
		TEST(a_choice_is_found_in_any_case),
		TEST(a_list_holds_a_whole_command_line),
		TEST(a_flag_given_twice_counts_the_last_time),
		TEST(what_follows_two_dashes_is_the_workers),
		TEST(durations_have_units),
		TEST(bytes_have_units),
		TEST(a_number_out_of_range_is_refused),
		TEST(a_wrong_value_is_named_with_what_belongs_there),
		TEST(a_value_that_is_missing_is_asked_for),
		TEST(a_misspelt_flag_is_guessed),
		TEST(an_overlong_flag_is_cut),
		TEST(what_run_needs_is_asked_for),
		TEST(status_asks_the_balancer_that_flags_name_or_the_only_one),
		TEST(an_unknown_command_is_guessed),
		TEST(help_is_found_wherever_it_is_looked_for),
		TEST(an_empty_argv_asks_for_help),
		cmocka_unit_test(help_fits_a_terminal),
		cmocka_unit_test(help_of_run_has_every_flag_and_its_default),
		cmocka_unit_test(help_names_every_included_policy),
		cmocka_unit_test(every_choice_exists),
		cmocka_unit_test(every_default_is_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
