/*
 * The name in the line is the process's own word: it may hold blanks, brackets and newlines. What follows the last bracket
 * is the kernel's, for the fields behind it are numbers.
 */
#include "worker/process_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int lp_process_facts_parse(const char *line, struct lp_process_facts *facts)
{
	int pid;
	int parent;
	int group;
	int session;
	char state;
	unsigned long long started;
	const char *name_end = strrchr(line, ')');
	if (!name_end || sscanf(line, "%d (", &pid) != 1)
		return -EPROTO;
	int found = sscanf(name_end, ") %c %d %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			   &state, &parent, &group, &session, &started);
	if (found != 5)
		return -EPROTO;
	*facts = (struct lp_process_facts){
		.pid = pid, .parent = parent, .group = group, .session = session, .started = started, .state = state};
	return 0;
}

int lp_process_facts_read(pid_t pid, struct lp_process_facts *facts)
{
	char path[32];
	char line[1024];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	ssize_t got = read(fd, line, sizeof(line) - 1);
	int status = got < 0 ? -errno : 0;
	close(fd);
	if (status)
		return status;
	line[got] = '\0';
	return lp_process_facts_parse(line, facts);
}
