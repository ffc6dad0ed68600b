/*
 * The program: a command line becomes options, options become a balancer, signals become calls, the end becomes an exit
 * status.
 *
 *     HUP         reload the policies; a storm of them is one reload
 *     TERM, INT   drain and stop; a second one stops at once
 *     QUIT        stop at once
 *
 * Exit status: 0, 1 (failed while running), 2 (wrong usage: a flag, or a policy that does not load).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/options.h"
#include "limpet/balancer.h"
#include "limpet/version.h"
#include "server/control.h"

#define EXIT_FAILED 1
#define EXIT_USAGE 2

/* Reloads are at least this far apart; signals in between become one. */
#define RELOAD_PAUSE_MS 10

struct program {
	uv_loop_t loop;
	struct limpet_balancer *balancer;
	uv_signal_t hup, term, interrupt, quit;
	uv_timer_t reload;
	uint64_t reloaded_ms;
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
	uv_close((uv_handle_t *)&program->hup, NULL);
	uv_close((uv_handle_t *)&program->term, NULL);
	uv_close((uv_handle_t *)&program->interrupt, NULL);
	uv_close((uv_handle_t *)&program->quit, NULL);
	uv_close((uv_handle_t *)&program->reload, NULL);
}

static void on_stop_signal(uv_signal_t *handle, int signum)
{
	struct program *program = handle->data;
	limpet_balancer_stop(program->balancer, signum == SIGQUIT, on_stopped, program);
}

static void watch_signals(struct program *program)
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
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		uv_signal_init(&program->loop, watched[i].handle);
		watched[i].handle->data = program;
		uv_signal_start(watched[i].handle, watched[i].callback, watched[i].signum);
	}
	uv_timer_init(&program->loop, &program->reload);
	program->reload.data = program;
	signal(SIGPIPE, SIG_IGN);
}

/* Every waiting connection is a descriptor. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int run(const struct limpet_options *options)
{
	struct program program = {0};
	char error[1024];
	int status = EXIT_SUCCESS;
	raise_descriptor_limit();
	uv_loop_init(&program.loop);
	if (limpet_balancer_new(&program.balancer, &program.loop, options, error, sizeof(error))) {
		fprintf(stderr, "limpet: %s\n", error);
		uv_loop_close(&program.loop);
		return EXIT_USAGE;
	}
	watch_signals(&program);
	if (limpet_balancer_start(program.balancer, error, sizeof(error))) {
		fprintf(stderr, "limpet: %s\n", error);
		status = EXIT_FAILED;
		limpet_balancer_stop(program.balancer, 1, on_stopped, &program);
	}
	uv_run(&program.loop, UV_RUN_DEFAULT);
	limpet_balancer_free(program.balancer);
	uv_loop_close(&program.loop);
	return status;
}

static int print_help(enum lp_command command)
{
	char *help = lp_options_help(command);
	if (help)
		fputs(help, stdout);
	free(help);
	return help ? EXIT_SUCCESS : EXIT_FAILED;
}

static int ask_status(const char *control)
{
	struct lp_error error = {0};
	if (lp_control_ask(control, "status", stdout, &error) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "limpet: %s\n", error.text);
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct lp_command_line line;
	struct lp_error error = {0};
	int status = EXIT_USAGE;
	if (lp_options_parse(argc, argv, &line, &error)) {
		fprintf(stderr, "limpet: %s\n", error.text);
		lp_options_deinit(&line);
		return status;
	}
	switch (line.command) {
	case LP_COMMAND_RUN:
		status = run(&line.options);
		break;
	case LP_COMMAND_STATUS:
		status = ask_status(line.options.control);
		break;
	case LP_COMMAND_HELP:
		status = print_help(line.help_of);
		break;
	case LP_COMMAND_VERSION:
		puts("limpet " LIMPET_VERSION);
		status = EXIT_SUCCESS;
		break;
	}
	lp_options_deinit(&line);
	return status;
}
