/*
 * Every waiting connection is a descriptor, so our limit is raised. But a program that calls select(2) breaks when it has
 * more than 1024 of them, and a soft limit is how it is kept from that, so workers begin with the one that we were given.
 * It is inherited, and libuv has no hook between fork and exec; set from outside once the program runs, it would come too
 * late for one that has raised its own already (Node does, first thing), and lower that. So we take on their limit for
 * the moment of the fork. Descriptors above it stay open, only new ones have to be below: what the start of a program
 * takes, and gives back, is found among the low numbers kept for it. Nothing else opens any meanwhile, as all that does
 * runs on the loop.
 */
#include "base/descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Listeners, epolls, pipes and a margin. */
#define BESIDE 64

/* A channel, and with --worker-prefix two pipes. */
#define A_WORKER 3

/* Run for each descriptor but the standard ones. Returns how many there are, those included. */
static uint32_t for_each_descriptor(void (*run)(int fd))
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	uint32_t count = 0;
	if (!folder)
		return 0;
	while ((entry = readdir(folder))) {
		int fd = atoi(entry->d_name);
		if (entry->d_name[0] == '.' || fd == dirfd(folder))
			continue;
		count++;
		if (run && fd > STDERR_FILENO)
			run(fd);
	}
	closedir(folder);
	return count;
}

static void close_on_exec(int fd)
{
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void lp_descriptors_keep_to_ourselves(void)
{
	if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC))
		for_each_descriptor(close_on_exec); /* Linux before 5.11. */
}

static uint32_t clamp_limit(rlim_t limit)
{
	return limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

static void set_limit(uint32_t soft)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = soft;
	setrlimit(RLIMIT_NOFILE, &limit); /* Never past the hard one, so it is always granted. */
}

uint32_t lp_descriptors_raise_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	uint32_t before = clamp_limit(limit.rlim_cur);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return before;
}

uint32_t lp_descriptors_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	return clamp_limit(limit.rlim_cur);
}

/* Linux since 6.2 tells the number as the folder's size. */
uint32_t lp_descriptors_count(void)
{
	struct stat folder;
	if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
		return (uint32_t)folder.st_size;
	return for_each_descriptor(NULL);
}

void lp_descriptors_report(struct lp_log *log, uint32_t waiting, uint32_t workers, uint32_t theirs)
{
	uint32_t limit = lp_descriptors_limit();
	uint32_t needed = waiting + workers * A_WORKER + BESIDE;
	lp_log_write(log, LP_LOG_DEBUG, NULL, "limpet may open %u descriptors; workers begin with a limit of %u", limit,
		     theirs ? theirs : limit);
	if (needed > limit)
		lp_log_write(log, LP_LOG_WARNING, NULL,
			     "%u waiting connections (--max-waiting) and %u workers need up to %u descriptors, but the "
			     "limit is %u; beyond it clients wait in the backlog: raise the hard limit (ulimit -Hn, "
			     "LimitNOFILE=), or lower --max-waiting",
			     waiting, workers, needed, limit);
}

/* For programs */

static void keep_low_numbers(struct lp_descriptors_for_programs *files)
{
	for (int i = 0; i < LP_DESCRIPTORS_KEPT; i++)
		files->kept[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void give_up(struct lp_descriptors_for_programs *files)
{
	for (int i = 0; i < LP_DESCRIPTORS_KEPT; i++)
		if (files->kept[i] >= 0)
			close(files->kept[i]);
}

void lp_descriptors_for_programs_init(struct lp_descriptors_for_programs *files, uint32_t limit)
{
	*files = (struct lp_descriptors_for_programs){.limit = limit < lp_descriptors_limit() ? limit : 0};
	if (files->limit)
		keep_low_numbers(files);
}

void lp_descriptors_for_programs_deinit(struct lp_descriptors_for_programs *files)
{
	if (files->limit)
		give_up(files);
	files->limit = 0;
}

/* Somebody else may have lowered our limit in the meantime. */
uint32_t lp_descriptors_begin_start(struct lp_descriptors_for_programs *files)
{
	uint32_t ours = lp_descriptors_limit();
	if (!files->limit)
		return 0;
	give_up(files);
	if (files->limit < ours)
		set_limit(files->limit);
	return ours;
}

void lp_descriptors_end_start(struct lp_descriptors_for_programs *files, uint32_t ours)
{
	if (!files->limit)
		return;
	set_limit(ours);
	keep_low_numbers(files);
}
