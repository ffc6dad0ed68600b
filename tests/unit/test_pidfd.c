/* Signals reach the process that was meant, also when its number is another's by now, and its group as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/pidfd.h"
#include "worker/process.h"

#define DEADLINE_S 50

static pid_t start_waiting(void)
{
	pid_t child = fork();
	if (child)
		return child;
	for (;;)
		pause();
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void wait_for_end(int pidfd)
{
	struct pollfd one = {.fd = pidfd, .events = POLLIN};
	assert_int_equal(poll(&one, 1, DEADLINE_S * 1000), 1);
}

static void a_process_is_alive_until_it_is_a_zombie(void **state)
{
	(void)state;
	pid_t child = start_waiting();
	int pidfd = lp_pidfd_open(child);
	assert_true(pidfd >= 0);
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	assert_true(lp_pidfd_is_alive(pidfd));
	assert_int_equal(lp_pidfd_signal(pidfd, SIGKILL), 0);
	wait_for_end(pidfd);
	assert_false(lp_pidfd_is_alive(pidfd));
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(lp_pidfd_signal(pidfd, SIGKILL), -ESRCH);
	close(pidfd);
	assert_int_equal(lp_pidfd_open(child), -ESRCH);
}

static void who_has_connected_is_known_by_the_socket(void **state)
{
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	int pidfd = lp_pidfd_of_peer(pair[0]);
	if (pidfd == -ENOPROTOOPT)
		skip(); /* A kernel before 6.5. */
	assert_true(pidfd >= 0);
	assert_int_equal(fcntl(pidfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(lp_pidfd_signal(pidfd, 0), 0);
	close(pidfd);
	close(pair[0]);
	close(pair[1]);
}

/* Give the next process a number, as root can. Returns that process, or 0 when it was not to be had. */
static pid_t start_with_number(pid_t pid)
{
	for (int i = 0; i < 200; i++) {
		int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return 0;
		int written = dprintf(fd, "%d", (int)pid - 1);
		close(fd);
		pid_t child = written > 0 ? start_waiting() : 0;
		if (child == pid || child == 0)
			return child;
		end(child);
	}
	return 0;
}

static void on_closed(struct lp_process *process)
{
	process->owner = NULL;
}

static void on_exited(struct lp_process *process, int64_t status, int signal)
{
	(void)process;
	(void)status;
	(void)signal;
}

/* The loop has not run yet, so nobody has been told of the end. */
static void a_number_that_is_another_process_now_gets_no_signal(void **state)
{
	uv_loop_t loop;
	struct lp_process process;
	(void)state;
	uv_loop_init(&loop);
	pid_t worker = start_waiting();
	assert_int_equal(lp_process_watch(&process, &loop, worker, lp_pidfd_open(worker), false, on_exited, &loop), 0);
	end(worker);
	pid_t other = start_with_number(worker);
	if (other) {
		lp_process_kill(&process, SIGKILL);
		lp_process_signal(&process, SIGKILL);
		process.is_leader = true;
		lp_process_kill(&process, SIGKILL);
		assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
		end(other);
	}
	lp_process_close(&process, on_closed);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	if (!other)
		skip();
}

/* A leader and two members, one of whom is in the group no more. */
struct group {
	pid_t leader;
	pid_t member;
	pid_t gone;
	int pidfd;
};

static void start_group(struct group *group)
{
	group->leader = start_waiting();
	setpgid(group->leader, group->leader);
	group->member = start_waiting();
	setpgid(group->member, group->leader);
	group->gone = start_waiting();
	setpgid(group->gone, group->gone);
	group->pidfd = lp_pidfd_open(group->leader);
	assert_true(group->pidfd >= 0);
}

static void assert_killed(pid_t child)
{
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void assert_group_gets(int (*send)(int pidfd, pid_t pid, int signal))
{
	struct group group;
	start_group(&group);
	assert_int_equal(send(group.pidfd, group.leader, SIGTERM), 0);
	assert_killed(group.leader);
	assert_killed(group.member);
	assert_int_equal(waitpid(group.gone, NULL, WNOHANG), 0);
	end(group.gone);
	assert_int_equal(send(group.pidfd, group.leader, SIGTERM), -ESRCH);
	close(group.pidfd);
}

static void a_group_gets_a_signal_as_a_whole(void **state)
{
	(void)state;
	assert_group_gets(lp_pidfd_signal_group);
}

static void on_an_older_kernel_one_by_one(void **state)
{
	(void)state;
	assert_group_gets(lp_pidfd_signal_members);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_is_alive_until_it_is_a_zombie),
		cmocka_unit_test(who_has_connected_is_known_by_the_socket),
		cmocka_unit_test(a_number_that_is_another_process_now_gets_no_signal),
		cmocka_unit_test(a_group_gets_a_signal_as_a_whole),
		cmocka_unit_test(on_an_older_kernel_one_by_one),
	};
	alarm(DEADLINE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
