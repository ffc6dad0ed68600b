/*
 * /proc/PID/fd names sockets by inode, /proc/PID/net/tcp has inodes beside addresses and states.
 */
#include "worker/listening_ports.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/process_session.h"

/* As /proc/net/tcp writes TCP_LISTEN. */
#define LISTEN_STATE 0x0a

/* Sockets of a process that are looked at. */
#define SOCKETS_MAX 1024

struct sockets {
	unsigned long inodes[SOCKETS_MAX];
	size_t count;
	pid_t pid;
	struct lp_listening_ports *listens;
};

static void read_sockets(struct sockets *sockets)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)sockets->pid);
	DIR *folder = opendir(path);
	struct dirent *entry;
	sockets->count = 0;
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

static void add_port(struct lp_listening_ports *listens, unsigned port, pid_t pid)
{
	for (unsigned i = 0; i < listens->count; i++)
		if (listens->ports[i] == port)
			return;
	if (listens->count == LP_LISTENING_PORTS_MAX)
		return;
	if (listens->count == 0)
		listens->pid = pid;
	listens->ports[listens->count++] = port;
}

static void find_listeners(const struct sockets *sockets, const char *name)
{
	char path[64];
	char line[512];
	snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)sockets->pid, name);
	FILE *stream = fopen(path, "re");
	while (stream && fgets(line, sizeof(line), stream)) {
		unsigned port;
		unsigned state;
		unsigned long inode;
		/* "  sl  local_address remote_address st tx:rx tr:tm retrnsmt uid timeout inode" */
		if (sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F:] %x %*s %*s %*s %*u %*u %lu", &port, &state, &inode) ==
			    3 &&
		    state == LISTEN_STATE && has_inode(sockets, inode))
			add_port(sockets->listens, port, sockets->pid);
	}
	if (stream)
		fclose(stream);
}

static void look_at(void *owner, pid_t pid)
{
	struct sockets *sockets = owner;
	sockets->pid = pid;
	read_sockets(sockets);
	if (sockets->count == 0)
		return;
	find_listeners(sockets, "tcp");
	find_listeners(sockets, "tcp6");
}

void lp_listening_ports_find(pid_t pid, struct lp_listening_ports *listens)
{
	struct sockets *sockets = malloc(sizeof(*sockets));
	*listens = (struct lp_listening_ports){0};
	if (!sockets)
		return;
	sockets->listens = listens;
	lp_process_session_each(pid, look_at, sockets);
	free(sockets);
}
