/*
 * /proc/PID/fd names sockets by inode, /proc/PID/net/tcp has inodes beside addresses and states.
 */
#include "worker/listens.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/session.h"

/* As /proc/net/tcp writes TCP_LISTEN. */
#define LISTEN_STATE 0x0a

/* Sockets of a process that are looked at. */
#define SOCKETS_MAX 1024

struct sockets {
	unsigned long inodes[SOCKETS_MAX];
	size_t count;
};

static void read_sockets(void *owner, pid_t pid)
{
	struct sockets *sockets = owner;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *folder = opendir(path);
	struct dirent *entry;
	while (folder && (entry = readdir(folder)) && sockets->count < SOCKETS_MAX) {
		char link[64] = "";
		if (readlinkat(dirfd(folder), entry->d_name, link, sizeof(link) - 1) > 0 &&
		    sscanf(link, "socket:[%lu]", &sockets->inodes[sockets->count]) == 1)
			sockets->count++;
	}
	if (folder)
		closedir(folder);
}

static bool has_inode(const struct sockets *sockets, unsigned long inode)
{
	for (size_t i = 0; i < sockets->count; i++)
		if (sockets->inodes[i] == inode)
			return true;
	return false;
}

static bool find_listener(const struct sockets *sockets, const char *table, unsigned *port)
{
	char line[512];
	bool found = false;
	FILE *stream = fopen(table, "re");
	while (stream && !found && fgets(line, sizeof(line), stream)) {
		unsigned state;
		unsigned long inode;
		/* "  sl  local_address remote_address st tx:rx tr:tm retrnsmt uid timeout inode" */
		found = sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F:] %x %*s %*s %*s %*u %*u %lu", port, &state,
			       &inode) == 3 &&
			state == LISTEN_STATE && has_inode(sockets, inode);
	}
	if (stream)
		fclose(stream);
	return found;
}

bool lp_listens_itself(pid_t pid, unsigned *port)
{
	struct sockets *sockets = calloc(1, sizeof(*sockets));
	char table[64];
	if (sockets)
		lp_session_each(pid, read_sockets, sockets);
	snprintf(table, sizeof(table), "/proc/%d/net/tcp", (int)pid);
	bool found = sockets && find_listener(sockets, table, port);
	snprintf(table, sizeof(table), "/proc/%d/net/tcp6", (int)pid);
	found = found || (sockets && find_listener(sockets, table, port));
	free(sockets);
	return found;
}
