/*
 * Programs under measurement: started, awaited, read and ended. Processor time comes from the kernel's clock of the
 * other process (clock_getcpuclockid): nanoseconds, where /proc/PID/stat counts ticks of 10 ms.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* Until a program listens, or a state is reached. */
#define PATIENCE_S 30

void bench_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	_exit(1);
}

void bench_raise_limits(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

char *bench_beside(const char *name)
{
	char self[PATH_MAX] = "";
	char *path = NULL;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || asprintf(&path, "%s/%s", dirname(self), name) < 0)
		bench_fail("cannot tell where %s is", name);
	return path;
}

double bench_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned count_text(const char *text, const char *part)
{
	unsigned count = 0;
	for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
		count++;
	return count;
}

static void await_ready(struct bench_program *program, unsigned workers, const char *name)
{
	char text[65536] = "";
	size_t used = 0;
	double deadline = bench_now() + PATIENCE_S;
	for (;;) {
		const char *listening = strstr(text, "listening on 127.0.0.1:");
		if (listening && count_text(text, "is ready") >= workers) {
			program->port = atoi(strchr(listening, ':') + 1);
			return;
		}
		struct pollfd waiting = {.fd = program->log, .events = POLLIN};
		int left_ms = (int)((deadline - bench_now()) * 1000);
		ssize_t got = 0;
		if (left_ms > 0 && poll(&waiting, 1, left_ms) == 1)
			got = read(program->log, text + used, sizeof(text) - 1 - used);
		if (got <= 0)
			bench_fail("%s is not up with %u workers; it said:\n%s", name, workers, text);
		used += (size_t)got;
		text[used] = '\0';
	}
}

void bench_start(struct bench_program *program, unsigned workers, const char *const *command)
{
	int log[2];
	if (pipe(log))
		bench_fail("pipe: %s", strerror(errno));
	program->pid = fork();
	if (program->pid < 0)
		bench_fail("fork: %s", strerror(errno));
	if (program->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* A benchmark that fails leaves nothing running. */
		dup2(log[1], STDERR_FILENO);
		close(log[0]);
		close(log[1]);
		execv(command[0], (char *const *)command);
		fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	close(log[1]);
	program->log = log[0];
	await_ready(program, workers, command[0]);
}

void bench_start_limpet(struct bench_program *program, const char *limpet, unsigned workers, const char *policy)
{
	char count[16];
	char *worker = bench_beside("native_worker");
	snprintf(count, sizeof(count), "%u", workers);
	const char *command[] = {limpet, "run",       "--listen", "127.0.0.1:0", "--workers", count, "--policy",
				 policy, "--dialect", "native",   "--",          worker,      NULL};
	bench_start(program, workers, command);
	free(worker);
}

void bench_stop(struct bench_program *program)
{
	kill(program->pid, SIGTERM);
	waitpid(program->pid, NULL, 0);
	close(program->log);
}

double bench_cpu(pid_t pid)
{
	clockid_t clock;
	struct timespec used;
	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used))
		bench_fail("process %d has no clock: it ended", (int)pid);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

size_t bench_resident(pid_t pid)
{
	char path[64];
	char line[256];
	size_t kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status)) {
		if (sscanf(line, "VmRSS: %zu kB", &kib) == 1)
			break;
	}
	if (!status || !kib)
		bench_fail("%s: no VmRSS", path);
	fclose(status);
	return kib * 1024;
}

unsigned bench_files(pid_t pid)
{
	char path[64];
	unsigned count = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *folder = opendir(path);
	if (!folder)
		bench_fail("%s: %s", path, strerror(errno));
	for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

void bench_await_files(pid_t pid, unsigned count)
{
	double deadline = bench_now() + PATIENCE_S;
	while (bench_files(pid) != count) {
		if (bench_now() > deadline)
			bench_fail("process %d has %u files open, not %u", (int)pid, bench_files(pid), count);
		poll(NULL, 0, 10);
	}
}

static int compare(const void *left, const void *right)
{
	double difference = *(const double *)left - *(const double *)right;
	return (difference > 0) - (difference < 0);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

unsigned bench_number(const char *text, unsigned otherwise)
{
	int number = text ? atoi(text) : (int)otherwise;
	if (number < 1)
		bench_fail("%s is not a number above 0", text);
	return (unsigned)number;
}
