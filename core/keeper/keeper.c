/*
 * Deaths by an error of its own are those by SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and SIGSYS, and those before it served.
 * SIGKILL is somebody's decision (the OOM killer's, an operator's) and says nothing against what was written down.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* After the second failure to begin; doubled with each further one. */
#define FIRST_PAUSE_MS 100
#define LONGEST_PAUSE_MS 5000

struct keeper {
	struct lp_lasting lasting;
	int (*balancer)(void *owner, struct lp_lasting *lasting);
	void *owner;
	sigset_t signals; /* That are passed on, and SIGCHLD. */
	sigset_t before;
	int signal_fd;
	pid_t pid;                            /* The balancer's; 0: none runs. */
	int status;                           /* As waitpid has it, of the one that has ended. */
	int last_stop;                        /* SIGTERM, SIGINT or SIGQUIT, once one was passed on. */
	unsigned failures;                    /* In a row, to begin. */
	uint64_t start_at_ms;                 /* The next one is started. */
	uint64_t errors_ms[LP_KEEPER_DEATHS]; /* When the last ones died by their own errors. */
	unsigned errors;
};

static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

#define PASSED_ON (sizeof(passed_on) / sizeof(passed_on[0]))

static uint64_t now_ms(void)
{
	return lp_clock_ns() / 1000000;
}

static void fill_signals(sigset_t *signals)
{
	sigemptyset(signals);
	for (size_t i = 0; i < PASSED_ON; i++)
		sigaddset(signals, passed_on[i]);
}

void lp_keeper_unblock_signals(void)
{
	sigset_t signals;
	fill_signals(&signals);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

void lp_keeper_die_with(const struct lp_lasting *lasting)
{
	if (!lasting)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != lasting->head->keeper)
		raise(SIGKILL); /* It has died before this. */
}

/* The balancer's process. */
static _Noreturn void be_balancer(struct keeper *keeper)
{
	struct lp_lasting *lasting = &keeper->lasting;
	sigset_t signals = keeper->before;
	for (size_t i = 0; i < PASSED_ON; i++)
		sigaddset(&signals, passed_on[i]);
	sigprocmask(SIG_SETMASK, &signals, NULL); /* At once: one may wait already. */
	setpgid(0, 0);
	lp_keeper_die_with(lasting);
	close(keeper->signal_fd);
	close(lasting->from_balancer);
	lasting->from_balancer = -1;
	lasting->head->balancer = getpid();
	exit(keeper->balancer(keeper->owner, lasting));
}

static void start_balancer(struct keeper *keeper)
{
	keeper->lasting.head->serves = false;
	fflush(NULL); /* Else both would write it. */
	pid_t pid = fork();
	if (pid == 0)
		be_balancer(keeper);
	if (pid < 0) {
		keeper->start_at_ms = now_ms() + FIRST_PAUSE_MS;
		return;
	}
	keeper->pid = pid;
	if (keeper->last_stop)
		kill(pid, keeper->last_stop); /* It goes on with the stop that the last one had begun. */
}

static bool is_own_error(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGABRT ||
	       signal == SIGSYS;
}

/* Whether the last deaths came too fast. They are not counted a second time then. */
static bool is_one_too_many(struct keeper *keeper)
{
	uint64_t now = now_ms();
	uint64_t *oldest = &keeper->errors_ms[keeper->errors % LP_KEEPER_DEATHS];
	*oldest = now;
	keeper->errors++;
	if (keeper->errors < LP_KEEPER_DEATHS ||
	    now - keeper->errors_ms[keeper->errors % LP_KEEPER_DEATHS] > LP_KEEPER_WINDOW_MS)
		return false;
	keeper->errors = 0;
	return true;
}

static uint64_t pause_ms(unsigned failures)
{
	uint64_t pause = failures > 1 ? FIRST_PAUSE_MS : 0;
	for (unsigned i = 2; i < failures && pause < LONGEST_PAUSE_MS; i++)
		pause *= 2;
	return pause < LONGEST_PAUSE_MS ? pause : LONGEST_PAUSE_MS;
}

/* The balancer has ended. Returns whether there is to be another. */
static bool succeed(struct keeper *keeper)
{
	struct lp_lasting_head *head = keeper->lasting.head;
	int signal = WIFSIGNALED(keeper->status) ? WTERMSIG(keeper->status) : 0;
	if (!signal && (head->serves || !head->deaths))
		return false;
	while (lp_lasting_hear(&keeper->lasting))
		;
	keeper->failures = head->serves ? 0 : keeper->failures + 1;
	if ((!head->serves || is_own_error(signal)) && is_one_too_many(keeper))
		lp_lasting_empty(&keeper->lasting);
	head->last_balancer = keeper->pid;
	head->last_signal = signal;
	head->last_status = signal ? 0 : WEXITSTATUS(keeper->status);
	head->deaths++;
	keeper->pid = 0;
	keeper->start_at_ms = now_ms() + pause_ms(keeper->failures);
	return true;
}

/* All that have ended. What is no balancer was started by one that has died, or by a worker. Returns whether the balancer is
 * among them. */
static bool reap(struct keeper *keeper)
{
	bool ended = false;
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == keeper->pid) {
			keeper->status = status;
			ended = true;
		}
	return ended;
}

static void pass_on(struct keeper *keeper, int signal)
{
	if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT)
		keeper->last_stop = signal;
	if (keeper->pid)
		kill(keeper->pid, signal);
}

/* Whether a child has ended. */
static bool take_signals(struct keeper *keeper)
{
	struct signalfd_siginfo info;
	bool child = false;
	while (read(keeper->signal_fd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGCHLD)
			child = true;
		else
			pass_on(keeper, (int)info.ssi_signo);
	return child;
}

static int time_to_start(const struct keeper *keeper)
{
	uint64_t now = now_ms();
	if (keeper->pid)
		return -1;
	return keeper->start_at_ms > now ? (int)(keeper->start_at_ms - now) : 0;
}

/* Until a balancer ends by itself. */
static void keep(struct keeper *keeper)
{
	struct pollfd news[] = {{.fd = keeper->signal_fd, .events = POLLIN},
				{.fd = keeper->lasting.from_balancer, .events = POLLIN}};
	for (;;) {
		int timeout = time_to_start(keeper);
		if (timeout == 0) {
			start_balancer(keeper);
			continue;
		}
		poll(news, 2, timeout);
		while (lp_lasting_hear(&keeper->lasting))
			;
		if (take_signals(keeper) && reap(keeper) && !succeed(keeper))
			return;
	}
}

/* As the balancer ended. */
static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int lp_keeper_run(size_t bytes, int (*balancer)(void *owner, struct lp_lasting *lasting), void *owner)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int status = keeper ? lp_lasting_open(&keeper->lasting, bytes) : -ENOMEM;
	if (status) {
		free(keeper);
		return status;
	}
	keeper->balancer = balancer;
	keeper->owner = owner;
	keeper->lasting.head->keeper = getpid();
	fill_signals(&keeper->signals);
	sigaddset(&keeper->signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &keeper->signals, &keeper->before);
	keeper->signal_fd = signalfd(-1, &keeper->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	status = keeper->signal_fd < 0 ? -errno : 0;
	if (!status) {
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		keep(keeper);
		status = exit_status(keeper->status);
		close(keeper->signal_fd);
	}
	sigprocmask(SIG_SETMASK, &keeper->before, NULL);
	lp_lasting_close(&keeper->lasting);
	free(keeper);
	return status;
}
