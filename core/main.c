/*
 * The program: a command line becomes options, options become a balancer, signals become calls, the end becomes an exit
 * status. With --keeper on the balancer is a process of its own, and so is the next one when it has died.
 *
 *     HUP         reload the policies; a storm of them is one reload
 *     TERM, INT   drain and stop; a second one stops at once
 *     QUIT        stop at once
 *
 * Exit status: 0, 1 (failed while running, or no worker was ever ready), 2 (wrong usage: a flag, or a policy that does not load).
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/descriptors.h"
#include "base/new_file.h"
#include "base/options.h"
#include "base/privileges.h"
#include "base/service_manager.h"
#include "keeper/keeper.h"
#include "keeper/title.h"
#include "limpet/balancer.h"
#include "limpet/version.h"
#include "server/balancer.h"
#include "server/memory_reserve.h"
#include "tools/balancer_query.h"
#include "tools/bench.h"
#include "tools/check.h"
#include "tools/operate.h"
#include "tools/replay.h"
#include "tools/route.h"
#include "tools/simulate.h"
#include "tools/testing.h"
#include "tools/top.h"
#include "tools/why.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* Reloads are at least this far apart; signals in between become one. */
#define RELOAD_PAUSE_MS 10

struct program {
	uv_loop_t loop;
	struct limpet_balancer *balancer;
	uv_signal_t hup, term, interrupt, quit;
	uv_timer_t reload, watchdog;
	uint64_t reloaded_ms;
	struct lp_service_manager manager;
	int status; /* To exit with. */
};

static void on_reload(uv_timer_t *timer)
{
	struct program *program = timer->data;
	limpet_balancer_reload(program->balancer, NULL, 0); /* It logs what comes of it. */
	program->reloaded_ms = uv_now(&program->loop);
}

static void on_hup(uv_signal_t *handle, int signum)
{
	struct program *program = handle->data;
	uint64_t now = uv_now(&program->loop);
	uint64_t next = program->reloaded_ms ? program->reloaded_ms + RELOAD_PAUSE_MS : now;
	(void)signum;
	if (!uv_is_active((uv_handle_t *)&program->reload))
		uv_timer_start(&program->reload, on_reload, next > now ? next - now : 0, 0);
}

static void on_stopped(struct limpet_balancer *balancer, void *owner)
{
	struct program *program = owner;
	(void)balancer;
	uv_signal_t *const watched[] = {&program->hup, &program->term, &program->interrupt, &program->quit};
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		if (watched[i]->loop) /* Else it was never opened. */
			uv_close((uv_handle_t *)watched[i], NULL);
	uv_close((uv_handle_t *)&program->reload, NULL);
	uv_close((uv_handle_t *)&program->watchdog, NULL);
}

static void on_stop_signal(uv_signal_t *handle, int signum)
{
	struct program *program = handle->data;
	lp_service_manager_tell(&program->manager, "STOPPING=1");
	limpet_balancer_stop(program->balancer, signum == SIGQUIT, on_stopped, program);
}

static void on_ready(struct limpet_balancer *balancer, void *owner)
{
	struct program *program = owner;
	(void)balancer;
	lp_service_manager_tell(&program->manager, "READY=1");
}

static void on_watchdog(uv_timer_t *timer)
{
	struct program *program = timer->data;
	lp_service_manager_tell(&program->manager, "WATCHDOG=1");
}

/* Twice as often as it has to be, so that one that is late does no harm. */
static void watch_over(struct program *program)
{
	uint32_t pause_ms = program->manager.watchdog_ms / 2;
	uv_timer_init(&program->loop, &program->watchdog);
	program->watchdog.data = program;
	if (pause_ms)
		uv_timer_start(&program->watchdog, on_watchdog, 0, pause_ms);
}

/* As the program that cannot start does by itself: so a supervisor above us sees it, and can try again as it is set up. */
static void on_hopeless(struct limpet_balancer *balancer, void *owner)
{
	struct program *program = owner;
	program->status = EXIT_FAILED;
	limpet_balancer_stop(balancer, 0, on_stopped, program);
}

static int watch_signals(struct program *program)
{
	const struct {
		uv_signal_t *handle;
		uv_signal_cb callback;
		int signum;
	} watched[] = {
		{&program->hup, on_hup, SIGHUP},
		{&program->term, on_stop_signal, SIGTERM},
		{&program->interrupt, on_stop_signal, SIGINT},
		{&program->quit, on_stop_signal, SIGQUIT},
	};
	int status = 0;
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]) && !status; i++) {
		status = uv_signal_init(&program->loop, watched[i].handle);
		watched[i].handle->data = program;
		if (!status)
			status = uv_signal_start(watched[i].handle, watched[i].callback, watched[i].signum);
	}
	uv_timer_init(&program->loop, &program->reload);
	program->reload.data = program;
	watch_over(program);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* A log at its limit of size is a log that takes nothing. */
	lp_keeper_unblock_signals();
	return status;
}

/* A standard descriptor that is closed would be the next socket that is opened, and then take log lines. */
static void fill_standard_descriptors(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Before anything is allocated in them. */
static int give_libraries_a_reserve(void)
{
	if (lp_memory_reserve_open())
		return UV_ENOMEM;
	json_set_alloc_funcs(lp_memory_reserve_malloc, lp_memory_reserve_free);
	return uv_replace_allocator(lp_memory_reserve_malloc, lp_memory_reserve_realloc, lp_memory_reserve_calloc,
				    lp_memory_reserve_free);
}

static int start(struct program *program, char *error, size_t size)
{
	int status = watch_signals(program);
	if (!status)
		return limpet_balancer_start(program->balancer, error, size);
	snprintf(error, size, "signals cannot be watched: %s", lp_error_words(status));
	return status;
}

/* Why nothing was started, or was not for long; with file and line where a configuration file says it. */
static void print_mistake(const struct lp_command_line *line, const char *text)
{
	struct lp_error error;
	lp_error_set(&error, LP_EUSAGE, "%s", text);
	lp_options_blame(line, &error);
	fprintf(stderr, "limpet: %s\n", error.text);
}

/* What is run, by whom, and what outlives it; NULL: nothing does. */
static int run_balancer(struct lp_command_line *line, const struct lp_service_manager *manager,
			struct lp_lasting *lasting)
{
	struct limpet_options *options = &line->options;
	struct program program = {.manager = *manager};
	char error[1024];
	int status = give_libraries_a_reserve();
	if (!status)
		status = uv_loop_init(&program.loop);
	if (status) {
		fprintf(stderr, "limpet: cannot begin: %s\n", lp_error_words(status));
		return EXIT_FAILED;
	}
	if (limpet_balancer_new(&program.balancer, &program.loop, options, error, sizeof(error))) {
		print_mistake(line, error);
		uv_loop_close(&program.loop);
		return EXIT_USAGE;
	}
	lp_balancer_inherit(program.balancer, lasting);
	limpet_balancer_allow_stop(program.balancer, on_stopped, &program);
	limpet_balancer_on_hopeless(program.balancer, on_hopeless, &program);
	limpet_balancer_on_ready(program.balancer, on_ready, &program);
	program.status = EXIT_SUCCESS;
	if (start(&program, error, sizeof(error))) {
		print_mistake(line, error);
		program.status = EXIT_FAILED;
		limpet_balancer_stop(program.balancer, 1, on_stopped, &program);
	}
	uv_run(&program.loop, UV_RUN_DEFAULT);
	limpet_balancer_free(program.balancer);
	uv_loop_close(&program.loop);
	return program.status;
}

/* What the keeper runs. */
struct kept {
	struct lp_command_line *line;
	const struct lp_title *title;
	struct lp_service_manager manager;
};

static int run_kept(void *owner, struct lp_lasting *lasting)
{
	const struct kept *kept = owner;
	lp_title_set(kept->title, "limpet: balancer", "limpet-balancer");
	return run_balancer(kept->line, &kept->manager, lasting);
}

static int run(struct lp_command_line *line, const struct lp_title *title)
{
	struct limpet_options *options = &line->options;
	struct kept kept = {.line = line, .title = title};
	if (!options->name)
		options->name = ""; /* Every balancer of the command line can be found. */
	lp_descriptors_keep_to_ourselves();
	lp_privileges_keep_to_ourselves();
	lp_service_manager_find(&kept.manager);
	options->worker_descriptors = lp_descriptors_raise_limit();
	options->adopt_orphans = 1;
	if (strcmp(line->tool.keeper, "off") == 0)
		return run_balancer(line, &kept.manager, NULL);
	int status = lp_keeper_run(lp_balancer_lasting_bytes(options), run_kept, &kept);
	if (status >= 0)
		return status;
	fprintf(stderr, "limpet: there is no keeper: %s; if the balancer dies, so do its workers\n",
		lp_error_words(status));
	return run_balancer(line, &kept.manager, NULL);
}

/* Who says nothing has to be told how, and a script that forgot what to say must not take that for success. */
static int print_help(const struct lp_command_line *line)
{
	char *help = lp_options_help(line->help_of);
	if (help)
		fputs(help, line->unasked ? stderr : stdout);
	free(help);
	return !help ? EXIT_FAILED : line->unasked ? EXIT_USAGE : EXIT_SUCCESS;
}

/* What was printed so far stands before the reason. */
static int fail(const struct lp_error *error)
{
	fflush(stdout);
	fprintf(stderr, "limpet: %s\n", error->text);
	return EXIT_FAILED;
}

static int operate(const struct lp_command_line *line)
{
	struct lp_error error = {0};
	if (lp_operate(line, stdout, &error))
		return fail(&error);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILED;
}

static int write_recording(const char *path, const char *bytes, size_t length)
{
	struct lp_error error = {0};
	int status;
	/* A recording is as private as what it recorded. */
	if (path)
		status = lp_new_file_write(path, LP_NEW_FILE_PRIVATE, bytes, length, &error);
	else if (fwrite(bytes, 1, length, stdout) == length && fflush(stdout) == 0)
		status = 0;
	else
		status = lp_error_set(&error, -EIO, "standard output: %s", lp_error_words(-errno));
	if (status)
		fprintf(stderr, "limpet: cannot write the recording: %s\n", error.text);
	return status ? EXIT_FAILED : EXIT_SUCCESS;
}

/* Nothing is written before all of it is here, so that a recording of before stays when nobody answers. */
static int record(const struct limpet_options *options, const char *path, bool raw)
{
	struct lp_error error = {0};
	char *bytes = NULL;
	size_t length = 0;
	char where[LP_CONTROL_PATH_SIZE];
	int status = lp_query_find_balancer(options, where, &error);
	if (!status)
		status = lp_control_ask(where, raw ? "record raw" : "record", LP_CONTROL_PATIENCE_MS, &bytes, &length,
					&error);
	if (status)
		fprintf(stderr, "limpet: %s\n", error.text);
	status = status ? EXIT_FAILED : write_recording(path, bytes, length);
	free(bytes);
	return status;
}

/* The exit status of a command that tries policies: its usage, or a policy, was wrong, or it failed by itself. */
static int status_of(const struct lp_error *error)
{
	fprintf(stderr, "limpet: %s\n", error->text);
	return error->code == LP_EUSAGE || error->code == LP_EPOLICY || error->code == -ENOENT ? EXIT_USAGE
											       : EXIT_FAILED;
}

/* Of those that answer how many mistakes they found. */
static int status_of_findings(int found, const struct lp_error *error)
{
	if (found < 0)
		return status_of(error);
	return found > 0 ? EXIT_FAILED : EXIT_SUCCESS;
}

static int simulate(const struct lp_command_line *line)
{
	const struct lp_tool_options *tool = &line->tool;
	struct lp_chart_style style = lp_chart_style_of_environment();
	struct lp_error error = {0};
	struct lp_simulation what = {
		.policies = tool->files,
		.policy_count = tool->file_count,
		.settings = line->options.settings,
		.setting_count = line->options.setting_count,
		.clients = tool->clients,
		.workers = tool->workers,
		.kill = tool->kill,
		.add = tool->add,
		.nat = tool->nat,
	};
	return lp_simulate(&what, &style, tool->svg, stdout, &error) == 0 ? EXIT_SUCCESS : status_of(&error);
}

static int bench(const struct lp_command_line *line)
{
	struct lp_error error = {0};
	struct lp_bench what = {
		.policies = line->tool.files,
		.policy_count = line->tool.file_count,
		.settings = line->options.settings,
		.setting_count = line->options.setting_count,
		.workers = line->tool.workers,
		.rounds = LP_BENCH_ROUNDS,
	};
	return lp_bench(&what, stdout, &error) == 0 ? EXIT_SUCCESS : status_of(&error);
}

/* Whether a balancer could be made of what the files say: everything is checked that takes no start. */
static bool is_usable(struct lp_command_line *line)
{
	static char program[] = "true";
	char *nothing[] = {program, NULL};
	struct limpet_options options = line->options;
	struct limpet_balancer *balancer;
	uv_loop_t loop;
	char error[1024];
	options.log_level = "error";
	if (!options.command)
		options.command = nothing; /* It may stand on the command line. */
	if (uv_loop_init(&loop))
		return false;
	int status = limpet_balancer_new(&balancer, &loop, &options, error, sizeof(error));
	if (status)
		print_mistake(line, error);
	limpet_balancer_free(balancer);
	uv_loop_close(&loop);
	return !status;
}

static int check(struct lp_command_line *line)
{
	struct lp_error error = {0};
	int found = lp_check(line, stdout, &error);
	if (found < 0)
		lp_options_blame(line, &error);
	int status = status_of_findings(found, &error);
	fflush(stdout);
	if (line->config_count && status == EXIT_SUCCESS && !is_usable(line))
		status = EXIT_FAILED;
	for (size_t i = 0; i < line->config_count && status == EXIT_SUCCESS; i++)
		printf("%s: ok\n", line->configs[i].path);
	return status;
}

int main(int argc, char **argv)
{
	struct lp_command_line line;
	struct lp_error error = {0};
	struct lp_title title;
	int status = EXIT_USAGE;
	fill_standard_descriptors();
	if (lp_options_parse(argc, lp_title_init(&title, argc, argv), &line, &error)) {
		fprintf(stderr, "limpet: %s\n", error.text);
		lp_options_deinit(&line);
		lp_title_deinit(&title);
		return status;
	}
	switch (line.command) {
	case LP_COMMAND_RUN:
		status = run(&line, &title);
		break;
	case LP_COMMAND_STATUS:
	case LP_COMMAND_RELOAD:
	case LP_COMMAND_DRAIN:
	case LP_COMMAND_ENABLE:
	case LP_COMMAND_STOP:
		status = operate(&line);
		break;
	case LP_COMMAND_WHY:
		status = lp_why(&line, stdout, &error);
		status = status < 0 ? fail(&error) : EXIT_SUCCESS;
		break;
	case LP_COMMAND_TAIL:
		status = lp_tail(&line, stdout, &error) < 0 ? fail(&error) : EXIT_SUCCESS;
		break;
	case LP_COMMAND_TOP:
		status = lp_top(&line, &error) ? status_of(&error) : EXIT_SUCCESS;
		break;
	case LP_COMMAND_RECORD:
		status = record(&line.options, line.tool.out, line.tool.unredacted);
		break;
	case LP_COMMAND_CHECK:
		status = check(&line);
		break;
	case LP_COMMAND_ROUTE:
		status = status_of_findings(
			line.tool.replay ? lp_replay(&line, stdout, &error) : lp_route(&line, stdout, &error), &error);
		break;
	case LP_COMMAND_TEST:
		status =
			status_of_findings(lp_run_tests(line.tool.files, line.tool.file_count, stdout, &error), &error);
		break;
	case LP_COMMAND_SIMULATE:
		status = simulate(&line);
		break;
	case LP_COMMAND_BENCH:
		status = bench(&line);
		break;
	case LP_COMMAND_HELP:
		status = print_help(&line);
		break;
	case LP_COMMAND_VERSION:
		puts("limpet " LIMPET_VERSION);
		status = EXIT_SUCCESS;
		break;
	}
	lp_options_deinit(&line);
	lp_title_deinit(&title);
	return status;
}
