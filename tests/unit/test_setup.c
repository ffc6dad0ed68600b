/*
 * What the balancer makes of its options: what is refused, and how; what is only warned of; each step without memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failing_calls.h"
#include "server/balancer_private.h"

FAILING_CALL(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
FAILING_CALL(void *, malloc, (size_t size), (size), NULL, ENOMEM)
FAILING_CALL(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags), -1, EAGAIN)

#define BY_COOKIE                                                                                                      \
	"return { on_request = function(conn, workers) return workers:session(conn:cookie('user') or '') end }\n"
#define BY_REQUEST "return { route_each = 'request', on_request = function() end }\n"

enum { LIST_MAX = 3 };

struct world {
	char folder[32];
	char policy[64];
	const char *policies[LIST_MAX];
	const char *sessions[LIST_MAX];
	const char *listen[LIST_MAX];
	const char *trusted[LIST_MAX];
	char *command[3];
	struct limpet_options options;
	struct lp_data data;
	struct lp_error error;
	int log;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	FILE *log = tmpfile();
	*state = world;
	strcpy(world->folder, "/tmp/limpet-setup-XXXXXX");
	if (!log || !mkdtemp(world->folder))
		return -1;
	world->log = dup(fileno(log));
	fclose(log);
	snprintf(world->policy, sizeof(world->policy), "%s/p.lua", world->folder);
	world->command[0] = (char *)"sleep";
	world->command[1] = (char *)"1";
	world->listen[0] = ":3000";
	limpet_options_init(&world->options);
	world->options.listen = world->listen;
	world->options.listen_count = 1;
	world->options.command = world->command;
	world->options.workers = 2;
	world->options.dialect = "native";
	world->options.log_fd = world->log;
	world->options.max_waiting = 100;
	world->options.max_sessions = 100;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	char command[64];
	lp_data_deinit(&world->data);
	close(world->log);
	snprintf(command, sizeof(command), "rm -r '%s'", world->folder);
	int status = system(command);
	free(world);
	return status;
}

static void use_policy(struct world *world, const char *name)
{
	world->policies[0] = name;
	world->options.policies = world->policies;
	world->options.policy_count = 1;
}

static void use_text(struct world *world, const char *text)
{
	FILE *file = fopen(world->policy, "we");
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	use_policy(world, world->policy);
}

static void use_session(struct world *world, const char *name)
{
	world->sessions[world->options.session_count++] = name;
	world->options.sessions = world->sessions;
}

/* Make the data anew. */
static int init(struct world *world)
{
	lp_data_deinit(&world->data);
	world->data = (struct lp_data){0};
	world->error = (struct lp_error){0};
	assert_int_equal(ftruncate(world->log, 0), 0);
	assert_int_equal(lseek(world->log, 0, SEEK_SET), 0);
	return lp_data_init(&world->data, &world->options, &world->error);
}

static void assert_refused(struct world *world, const char *reason)
{
	assert_true(init(world) < 0);
	if (!strstr(world->error.text, reason))
		fail_msg("\"%s\" is not in: %s", reason, world->error.text);
}

static const char *read_log(const struct world *world)
{
	static char log[1 << 14];
	ssize_t length = pread(world->log, log, sizeof(log) - 1, 0);
	log[length > 0 ? length : 0] = '\0';
	return log;
}

static bool is_logged(const struct world *world, const char *text)
{
	return strstr(read_log(world), text);
}

static void assert_warned(struct world *world, const char *text)
{
	if (init(world))
		fail_msg("%s", world->error.text);
	if (!is_logged(world, text))
		fail_msg("\"%s\" is not in: %s", text, read_log(world));
}

static void assert_quiet(struct world *world)
{
	if (init(world))
		fail_msg("%s", world->error.text);
	if (is_logged(world, "warning"))
		fail_msg("%s", read_log(world));
}

static void a_plain_setup_is_quiet(void **state)
{
	assert_quiet(*state);
}

static void words_that_there_are_not_are_refused(void **state)
{
	struct world *world = *state;
	const struct limpet_options good = world->options;
	world->options.log_level = "loud";
	assert_refused(world, "there is no log level loud");
	world->options = good;
	world->options.log_format = "xml";
	assert_refused(world, "no log format xml");
	world->options = good;
	world->options.dialect = "klingon";
	assert_refused(world, "there is no dialect klingon");
	world->options = good;
	world->options.node_serialization = "xml";
	assert_refused(world, "there is no serialization xml: json or advanced");
	world->options = good;
	world->options.stop_with = "SIGWHATEVER";
	assert_refused(world, "workers cannot be told to stop with SIGWHATEVER");
	world->options = good;
	world->options.forwarded_header = "via";
	assert_refused(world, "proxies write no header via");
	world->options = good;
	world->command[0] = NULL;
	assert_refused(world, "there is no command");
	world->options.command = NULL;
	assert_refused(world, "there is no command");
	world->command[0] = (char *)"sleep";
	world->options = good;
	world->options.trusted = world->trusted;
	world->options.trusted_count = 1;
	world->trusted[0] = "everybody";
	assert_refused(world, "everybody");
	world->trusted[0] = "10.0.0.0/8";
	assert_quiet(world);
}

static void what_only_node_workers_can_do_is_refused_of_others(void **state)
{
	struct world *world = *state;
	const struct limpet_options good = world->options;
	world->options.node_serialization = "advanced";
	assert_refused(world,
		       "--node-serialization advanced is for Node workers, but workers speak the dialect native");
	world->options.dialect = "cluster";
	assert_quiet(world);
	assert_ptr_equal(world->data.dialect, &world->data.adapted);
	world->options = good;
	world->options.wait_ready = 1;
	assert_refused(world, "--wait-ready is for Node workers");
	world->options = good;
	world->options.stop_with = "shutdown";
	assert_refused(world, "--stop-with shutdown is for Node workers");
	world->options.dialect = "node";
	assert_quiet(world);
	assert_true(world->data.dialect->says_shutdown);
	world->options = good;
	world->options.stop_with = "SIGQUIT";
	assert_quiet(world);
	assert_int_equal(world->data.stop_signal, SIGQUIT);
}

static void auto_looks_at_the_command_and_says_what_it_found(void **state)
{
	struct world *world = *state;
	world->options.dialect = "auto";
	assert_int_equal(init(world), 0);
	assert_true(is_logged(world, "dialect preload: "));
	assert_true(is_logged(world, "--dialect chooses another"));
	assert_string_equal(world->data.dialect->name, "preload");
}

/* A program that nothing can be loaded into: its file is of another machine. */
static void a_program_that_nothing_is_loaded_into_is_warned_of(void **state)
{
	struct world *world = *state;
	char file[64];
	unsigned char head[64] = {0x7f, 'E', 'L', 'F', 1, 1, 1};
	snprintf(file, sizeof(file), "%s/program", world->folder);
	FILE *out = fopen(file, "we");
	assert_int_equal(fwrite(head, sizeof(head), 1, out), 1);
	fclose(out);
	assert_int_equal(chmod(file, 0755), 0);
	world->command[0] = file;
	world->options.dialect = "preload";
	assert_warned(world, file);
	world->options.dialect = "auto";
	init(world);
	assert_true(is_logged(world, file));
}

static void as_many_workers_as_processors_and_no_more_than_there_can_be(void **state)
{
	struct world *world = *state;
	world->options.workers = 0;
	assert_quiet(world);
	assert_int_equal(world->data.processes, uv_available_parallelism());
	assert_int_equal(world->data.workers.count, world->data.processes);
	world->options.workers = LIMPET_WORKERS_MAX + 1;
	world->options.dialect = "preload"; /* Where others may register, too. */
	assert_quiet(world);
	assert_int_equal(world->data.processes, LIMPET_WORKERS_MAX);
	assert_int_equal(world->data.workers.count, LIMPET_WORKERS_MAX);
	world->options.workers = 1;
	assert_quiet(world);
	assert_true(world->data.workers.count > 1);
}

static void addresses_have_no_limits_where_there_are_none(void **state)
{
	struct world *world = *state;
	assert_quiet(world);
	assert_non_null(world->data.per_address);
	world->options.max_per_ip = 0;
	assert_quiet(world);
	assert_null(world->data.per_address);
	world->options.max_rate_per_ip = 1;
	assert_quiet(world);
	assert_non_null(world->data.per_address);
}

static void listeners_that_collide_are_refused(void **state)
{
	static const char *const pairs[][3] = {
		{":3000", ":3000", "--listen :3000 is given twice"},
		{":3000", "127.0.0.1:3000", "overlap"},
		{"unix:/run/a", "unix:/run//a", "are the same path"},
		{":3000", "nowhere", "nowhere"},
	};
	struct world *world = *state;
	world->options.listen_count = 2;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		world->listen[0] = pairs[i][0];
		world->listen[1] = pairs[i][1];
		assert_refused(world, pairs[i][2]);
	}
	world->listen[0] = "127.0.0.2:3000";
	world->listen[1] = "127.0.0.1:3000";
	assert_quiet(world);
	world->listen[1] = "unix:/run/c";
	world->options.control = "/run/c";
	assert_refused(world, "--listen unix:/run/c and --control /run/c are the same path");
	world->options.control = "/run/d";
	assert_quiet(world);
	world->options.control = "/run/c,mode=600"; /* Of --listen's words --control knows none. */
	assert_quiet(world);
	char longer[300];
	memset(longer, 'l', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	world->options.control = longer; /* Whoever opens it tells that. */
	assert_quiet(world);
	world->options.control = NULL;
	world->options.admin = "192.0.2.1:9090";
	assert_refused(world, "--admin-host");
}

static void sessions_that_nobody_reports_are_refused(void **state)
{
	struct world *world = *state;
	use_policy(world, "session");
	assert_refused(world, "policy session looks for what --session names, and there is none");
	use_session(world, "cookie:user");
	assert_int_equal(init(world), 0); /* Native workers name what they like. */
	world->options.dialect = "cluster";
	assert_refused(world,
		       "workers of dialect cluster do not report sessions; start the program with --dialect node");
	world->options.dialect = "socket.io-sticky";
	assert_refused(world, "do not report other sessions than Engine.IO's (sid)");
	world->sessions[0] = "sid";
	assert_quiet(world);
	world->sessions[0] = "nonsense";
	assert_refused(world, "nonsense");
	world->options.session_count = 0;
	use_policy(world, "sid");
	world->options.learn = "cookie:user";
	assert_refused(world,
		       "--learn cookie:user: limpet does not see what workers of dialect socket.io-sticky answer");
	world->options.dialect = "native";
	assert_refused(world, "its workers name their sessions themselves");
	world->options.dialect = "preload";
	assert_quiet(world);
	world->options.learn = "";
	assert_quiet(world);
}

static void without_a_policy_sessions_are_looked_up_by_the_included_one(void **state)
{
	struct world *world = *state;
	use_session(world, "sid");
	assert_quiet(world);
	assert_int_equal(world->data.options.policy_count, 1);
	assert_string_equal(world->data.options.policies[0], "session");
}

static void a_policy_whose_sessions_nobody_reports_is_warned_of(void **state)
{
	struct world *world = *state;
	use_policy(world, "sid");
	world->options.dialect = "cluster";
	assert_warned(world, "policy sid looks for sessions, but workers of dialect cluster report none");
	world->options.dialect = "native";
	assert_quiet(world);

	use_text(world, BY_COOKIE);
	assert_quiet(world);
	world->options.dialect = "preload";
	assert_warned(
		world,
		"looks sessions up by cookie:user, but limpet learns only Engine.IO's sid; add --session cookie:user");
	world->options.dialect = "socket.io-sticky";
	assert_warned(world, "its workers report only Engine.IO's sid; add --dialect node --session cookie:user");
	world->options.dialect = "preload";
	world->options.learn = "cookie:user";
	assert_quiet(world);
	world->options.learn = NULL;
	use_session(world, "cookie:user");
	assert_quiet(world);
	world->options.session_count = 0;

	use_text(world,
		 "return { on_request = function(conn, workers) return workers:session(conn.session or '') end }\n");
	assert_warned(world, "looks for what --session names, and there is none: conn.session is always nil");
	use_session(world, "header:X-User");
	assert_quiet(world);
}

static void sessions_that_no_policy_looks_up_are_warned_of(void **state)
{
	struct world *world = *state;
	world->options.dialect = "preload";
	use_policy(world, "random");
	use_session(world, "header:X-User");
	assert_warned(world, "--session header:X-User: no policy looks these sessions up; add --policy session");
	use_text(world,
		 "return { on_request = function(conn, workers) return workers:session(conn:header('x-user') or '') "
		 "end }\n");
	assert_quiet(world); /* A header's name is the same in any case. */
	world->sessions[0] = "cookie:User";
	use_text(world, BY_COOKIE);
	assert_warned(world, "--session cookie:User: no policy looks these sessions up"); /* A cookie's is not. */
	world->sessions[0] = "query:user";
	assert_warned(world, "--session query:user: no policy looks these sessions up");
	world->sessions[0] = "sid";
	use_policy(world, "sid");
	assert_quiet(world);
}

static void requests_that_cannot_be_given_back_are_warned_of(void **state)
{
	struct world *world = *state;
	use_text(world, BY_REQUEST);
	assert_warned(world, "route_each does nothing in dialect native");
	world->options.dialect = "cluster";
	assert_warned(world, "route_each does nothing in dialect cluster, whose workers cannot give a connection back");
	world->options.dialect = "preload";
	assert_quiet(world);
}

static void it_can_be_tried_whether_the_policies_load_again(void **state)
{
	struct world *world = *state;
	use_text(world, BY_COOKIE);
	assert_int_equal(init(world), 0);
	assert_int_equal(lp_data_can_reload(&world->data, &world->error), 0);
	assert_int_equal(unlink(world->policy), 0);
	assert_int_not_equal(lp_data_can_reload(&world->data, &world->error), 0);
	assert_non_null(strstr(world->error.text, world->policy));
}

static void each_step_without_memory_is_told(void **state)
{
	struct world *world = *state;
	const char *failed;
	unsigned which = 0;
	use_session(world, "sid");
	world->options.max_moved = 10;
	world->options.trusted = world->trusted;
	world->options.trusted_count = 1;
	world->trusted[0] = "10.0.0.0/8";
	do {
		lp_data_deinit(&world->data);
		world->data = (struct lp_data){0};
		world->error = (struct lp_error){0};
		fail_call(++which);
		int status = lp_data_init(&world->data, &world->options, &world->error);
		failed = failed_call();
		/* Without memory for a dry run, or for randomness, it goes on. */
		assert_true(status ? failed && *world->error.text : world->data.current.policy != NULL);
	} while (failed);
	assert_in_range(which, 30, 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_setup_is_quiet),
		TEST(words_that_there_are_not_are_refused),
		TEST(what_only_node_workers_can_do_is_refused_of_others),
		TEST(auto_looks_at_the_command_and_says_what_it_found),
		TEST(a_program_that_nothing_is_loaded_into_is_warned_of),
		TEST(as_many_workers_as_processors_and_no_more_than_there_can_be),
		TEST(addresses_have_no_limits_where_there_are_none),
		TEST(listeners_that_collide_are_refused),
		TEST(sessions_that_nobody_reports_are_refused),
		TEST(without_a_policy_sessions_are_looked_up_by_the_included_one),
		TEST(a_policy_whose_sessions_nobody_reports_is_warned_of),
		TEST(sessions_that_no_policy_looks_up_are_warned_of),
		TEST(requests_that_cannot_be_given_back_are_warned_of),
		TEST(it_can_be_tried_whether_the_policies_load_again),
		TEST(each_step_without_memory_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
