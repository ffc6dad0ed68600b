/*
 * A program with a balancer inside: it has its own loop and its own business (here, to tell every five seconds how its
 * connections fare), and limpet runs beside it.
 *
 *     embed ADDRESS program argument…
 */
#include <signal.h>
#include <stdio.h>

#include "limpet/balancer.h"

struct program {
	struct limpet_balancer *balancer;
	uv_timer_t report;
	uv_signal_t interrupt;
};

static void on_report(uv_timer_t *timer)
{
	struct program *program = timer->data;
	struct limpet_counts counts;
	limpet_balancer_counts(program->balancer, &counts);
	printf("%llu connections accepted, %llu at a worker\n", (unsigned long long)counts.accepted,
	       (unsigned long long)counts.handed_over);
	fflush(stdout);
}

static void on_stopped(struct limpet_balancer *balancer, void *owner)
{
	struct program *program = owner;
	(void)balancer;
	uv_close((uv_handle_t *)&program->report, NULL);
	uv_close((uv_handle_t *)&program->interrupt, NULL);
}

static void on_interrupt(uv_signal_t *handle, int signum)
{
	struct program *program = handle->data;
	(void)signum;
	limpet_balancer_stop(program->balancer, 0, on_stopped, program);
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	struct program program = {0};
	struct limpet_options options;
	char error[512];
	if (argc < 3) {
		fprintf(stderr, "usage: embed ADDRESS program argument...\n");
		return 2;
	}
	limpet_options_init(&options);
	options.listen = (const char *const[]){argv[1]};
	options.listen_count = 1;
	options.policies = (const char *const[]){"ip_hash"};
	options.policy_count = 1;
	options.workers = 2;
	options.command = argv + 2;
	if (limpet_balancer_new(&program.balancer, loop, &options, error, sizeof(error))) {
		fprintf(stderr, "embed: %s\n", error);
		return 1;
	}
	uv_timer_init(loop, &program.report);
	uv_signal_init(loop, &program.interrupt);
	program.report.data = &program;
	program.interrupt.data = &program;
	int failed = limpet_balancer_start(program.balancer, error, sizeof(error));
	if (failed) {
		fprintf(stderr, "embed: %s\n", error);
		limpet_balancer_stop(program.balancer, 1, on_stopped, &program);
	} else {
		printf("serving at port %d\n", limpet_balancer_port(program.balancer, 0));
		fflush(stdout);
		uv_timer_start(&program.report, on_report, 5000, 5000);
		uv_signal_start(&program.interrupt, on_interrupt, SIGINT);
	}
	uv_run(loop, UV_RUN_DEFAULT);
	limpet_balancer_free(program.balancer);
	uv_loop_close(loop);
	return failed ? 1 : 0;
}
