/*
 *     limpet processes 1
 *     boot 0f5c5b6e-…
 *     namespace 4026531836
 *     program 1 4711 123456
 *     process 1 4712 123460
 *
 * A program's or process's line has its slot, its number and its start. Start times are counted from boot, and numbers are
 * a namespace's (a container's), so both are named. A line that reads otherwise makes the whole record worthless.
 */
#include "worker/process_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "route/workers.h"

#define TITLE "limpet processes 1\n"

/* "boot ID\nnamespace NUMBER\n": where and since when numbers and starts are counted. */
#define ORIGIN_MAX 128

/* A record of LP_KNOWN_PROCESSES_MAX lines is shorter. */
#define RECORD_MAX ((size_t)128 * 1024)

static int read_small(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, text, size - 1);
	int status = got < 0 ? -errno : 0;
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return status;
}

static int read_origin(char origin[ORIGIN_MAX])
{
	char boot[64];
	struct stat processes;
	int status = read_small("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	if (!status && stat("/proc/self/ns/pid", &processes))
		status = -errno;
	if (status)
		return status;
	boot[strcspn(boot, "\n")] = '\0';
	snprintf(origin, ORIGIN_MAX, "boot %s\nnamespace %ju\n", boot, (uintmax_t)processes.st_ino);
	return 0;
}

/* Writing */

static void write_lines(FILE *out, const char *origin, const struct lp_known_processes *known)
{
	fputs(TITLE, out);
	fputs(origin, out);
	for (size_t i = 0; i < known->count; i++) {
		const struct lp_known_process *process = &known->all[i];
		fprintf(out, "%s %u %d %" PRIu64 "\n", process->is_program ? "program" : "process", process->slot,
			(int)process->pid, process->started);
	}
}

static int write_new(const char *path, const char *origin, const struct lp_known_processes *known)
{
	unlink(path); /* Left by a limpet that was killed while it wrote. */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out) {
		int status = -errno;
		if (fd >= 0)
			close(fd);
		return status;
	}
	write_lines(out, origin, known);
	int failed = ferror(out);
	return fclose(out) || failed ? -EIO : 0;
}

int lp_process_record_write(const char *path, const struct lp_known_processes *known)
{
	char origin[ORIGIN_MAX];
	char new[PATH_MAX];
	int status = read_origin(origin);
	if (!status && snprintf(new, sizeof(new), "%s.new", path) >= (int)sizeof(new))
		status = -ENAMETOOLONG;
	if (!status)
		status = write_new(new, origin, known);
	if (!status && rename(new, path))
		status = -errno;
	return status;
}

/* Reading */

static bool take_line(const char *line, struct lp_known_process *process)
{
	char kind[8];
	int pid;
	char end;
	if (sscanf(line, "%7s %u %d %" SCNu64 "%c", kind, &process->slot, &pid, &process->started, &end) != 5 ||
	    end != '\n' || pid <= 0 || process->slot > LP_WORKERS_MAX)
		return false;
	process->pid = pid;
	process->is_program = strcmp(kind, "program") == 0;
	return process->is_program || strcmp(kind, "process") == 0;
}

static bool is_alive(const struct lp_known_processes *known, const struct lp_known_process *process)
{
	struct lp_process_facts facts;
	return known->read(process->pid, &facts) == 0 && facts.started == process->started && facts.state != 'Z';
}

static int take_lines(const char *line, struct lp_known_processes *known)
{
	size_t before = known->count;
	while (*line) {
		struct lp_known_process process = {0};
		const char *end = strchr(line, '\n');
		if (!end || !take_line(line, &process)) {
			known->count = before;
			return -EPROTO;
		}
		if (is_alive(known, &process))
			lp_known_processes_add(known, &process);
		line = end + 1;
	}
	return 0;
}

static int take_record(const char *text, struct lp_known_processes *known)
{
	char origin[ORIGIN_MAX];
	size_t title = strlen(TITLE);
	int status = read_origin(origin);
	if (status)
		return status;
	if (strncmp(text, TITLE, title) != 0)
		return -EPROTO;
	if (strncmp(text + title, origin, strlen(origin)) != 0)
		return 0; /* Of processes that are no more, or none of ours. */
	return take_lines(text + title + strlen(origin), known);
}

/* The whole of a file that is its user's alone: for free(), or NULL with errno set. */
static char *read_own(int fd)
{
	struct stat stat;
	if (fstat(fd, &stat))
		return NULL;
	if (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid() || stat.st_mode & (S_IWGRP | S_IWOTH)) {
		errno = EPERM;
		return NULL;
	}
	char *text = malloc(RECORD_MAX);
	ssize_t got = text ? read(fd, text, RECORD_MAX) : -1;
	if (got >= 0 && got < (ssize_t)RECORD_MAX) {
		text[got] = '\0';
		return text;
	}
	if (got >= 0)
		errno = EPROTO;
	free(text);
	return NULL;
}

int lp_process_record_read(const char *path, struct lp_known_processes *known)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	char *text = read_own(fd);
	int status = text ? 0 : -errno;
	close(fd);
	if (!status)
		status = take_record(text, known);
	free(text);
	return status;
}
