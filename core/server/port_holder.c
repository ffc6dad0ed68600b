/*
 * /proc/net says which sockets listen, by inode and user; /proc/PID/fd says which process has which inode, of our own
 * processes, or of all if we are root. Of several processes that share a socket the first one started is named.
 *
 * Limits: a listener in another network namespace is not in our /proc/net, and not in our way either.
 */
#include "server/port_holder.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a command line that are shown. */
#define COMMAND_SHOWN 80

#define STATE_LISTEN 0x0A

/* Of a unix socket: __SO_ACCEPTCON. */
#define FLAG_LISTENS 0x10000u

/* A socket that listens. inode 0: none was found. */
struct holder {
	unsigned long long inode;
	unsigned uid;
	bool has_uid;
};

static unsigned port_of(const struct lp_listen_address *address)
{
	return ntohs(address->socket.any.sa_family == AF_INET ? address->socket.in.sin_port
							      : address->socket.in6.sin6_port);
}

/* " 0: 00000000:0DAC 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 12345 …" */
static void find_tcp(const char *file, unsigned port, struct holder *holder)
{
	FILE *table = fopen(file, "re");
	char line[512];

	while (table && !holder->inode && fgets(line, sizeof(line), table)) {
		unsigned local_port;
		unsigned state;
		unsigned uid;
		unsigned long long inode;

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %u %*u %llu",
			   &local_port, &state, &uid, &inode) != 4)
			continue;
		if (state == STATE_LISTEN && local_port == port)
			*holder = (struct holder){.inode = inode, .uid = uid, .has_uid = true};
	}
	if (table)
		fclose(table);
}

/* "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/app.sock". Accepted connections have the path, too. */
static void find_unix(const char *path, struct holder *holder)
{
	FILE *table = fopen("/proc/net/unix", "re");
	char line[512];

	while (table && !holder->inode && fgets(line, sizeof(line), table)) {
		unsigned long long inode;
		unsigned flags;
		int end = 0;

		if (sscanf(line, "%*s %*x %*x %x %*x %*x %llu %n", &flags, &inode, &end) != 2 || !end ||
		    !(flags & FLAG_LISTENS))
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line + end, path) == 0)
			holder->inode = inode;
	}
	if (table)
		fclose(table);
}

static bool has_socket(const char *pid, const char *link)
{
	char folder[64];
	struct dirent *entry;
	bool found = false;
	DIR *descriptors;

	snprintf(folder, sizeof(folder), "/proc/%.20s/fd", pid);
	descriptors = opendir(folder);
	while (descriptors && !found && (entry = readdir(descriptors))) {
		char target[64];
		ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof(target) - 1);

		target[length > 0 ? length : 0] = '\0';
		found = strcmp(target, link) == 0;
	}
	if (descriptors)
		closedir(descriptors);
	return found;
}

/* The process with the smallest number that has the socket, or 0. */
static pid_t find_process(unsigned long long inode)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	char link[64];
	pid_t least = 0;

	snprintf(link, sizeof(link), "socket:[%llu]", inode);
	while (processes && (entry = readdir(processes))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && (!least || pid < least) && has_socket(entry->d_name, link))
			least = pid;
	}
	if (processes)
		closedir(processes);
	return least;
}

/* Its words, with blanks between; what is not plain text becomes '?'. */
static void read_command(pid_t pid, char *command, size_t size)
{
	char path[64];
	FILE *file;
	size_t length;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	file = fopen(path, "re");
	length = file ? fread(command, 1, size - 1, file) : 0;
	if (file)
		fclose(file);
	while (length > 0 && command[length - 1] == '\0')
		length--;
	for (size_t i = 0; i < length; i++)
		if (command[i] == '\0')
			command[i] = ' ';
		else if (!isprint((unsigned char)command[i]))
			command[i] = '?';
	command[length] = '\0';
	if (!length)
		snprintf(command, size, "a process");
}

void lp_port_holder_describe(const struct lp_listen_address *address, char *text)
{
	struct holder holder = {0};
	char command[COMMAND_SHOWN];
	pid_t pid;

	if (address->socket.any.sa_family == AF_UNIX) {
		find_unix(address->socket.un.sun_path, &holder);
	} else {
		find_tcp("/proc/net/tcp", port_of(address), &holder);
		if (!holder.inode)
			find_tcp("/proc/net/tcp6", port_of(address), &holder);
	}
	pid = holder.inode ? find_process(holder.inode) : 0;
	if (pid) {
		read_command(pid, command, sizeof(command));
		snprintf(text, LP_PORT_HOLDER_SIZE, "%s (pid %d)", command, (int)pid);
	} else if (holder.has_uid) {
		snprintf(text, LP_PORT_HOLDER_SIZE, "a process of user %u", holder.uid);
	} else {
		snprintf(text, LP_PORT_HOLDER_SIZE, "another process");
	}
}
