/*
 * Identity is given out here, in each process before its main, and not in the environment of the command, because who listens
 * is known only in the end: behind `npm start` there is npm, a shell, and the server. A variable in the command's environment
 * would go to npm, which is a Node program and takes it out; or, where a program passes its environment on whole, to two.
 *
 * A channel keeps its process alive, and a script in between (`node migrate.js && node server.js`) has to end. So a few lines
 * of JavaScript (limpet-node.cjs, beside this library) are loaded before the program, which hold the process only when it
 * listens.
 */
#include "preload/node.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "preload/libc.h"

/* node::Start(int, char **): in every Node, also where it is a shared library, or part of a single executable. */
#define NODE_START "_ZN4node5StartEiPPc"

#define SCRIPT "limpet-node.cjs"

/* How long limpet may take to answer. It is only ever this long when it hangs. */
#define PATIENCE_S 5

/* Longer than any answer: "NUMBER json|advanced". */
#define ANSWER_MAX 64

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (fd <= STDERR_FILENO) { /* A standard one was closed, and the program may mean to open it. */
		int higher = lp_libc()->fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		lp_libc()->close(fd);
		fd = higher;
	}
	lp_libc()->setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	lp_libc()->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && lp_libc()->connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		lp_libc()->close(fd);
	return -1;
}

/* Read one line, and not a byte of what is behind it: that is for Node. */
static bool read_line(int fd, char line[ANSWER_MAX])
{
	for (size_t length = 0; length < ANSWER_MAX; length++) {
		ssize_t got;
		do
			got = lp_libc()->read(fd, line + length, 1);
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			return false;
		if (line[length] == '\n') {
			line[length] = '\0';
			return true;
		}
	}
	return false;
}

/* Put the script's path in front of what the user wants of Node. It takes itself out again when it is loaded. */
static void require_script(void)
{
	Dl_info us;
	char script[PATH_MAX];
	char options[2 * PATH_MAX];
	const char *others = getenv("NODE_OPTIONS");
	if (!dladdr((void *)(uintptr_t)lp_node_begin, &us) || !us.dli_fname)
		return;
	const char *slash = strrchr(us.dli_fname, '/');
	int folder = slash ? (int)(slash - us.dli_fname) : 0;
	int length = snprintf(script, sizeof(script), "%.*s/" SCRIPT, folder, us.dli_fname);
	if (length >= (int)sizeof(script) || strpbrk(script, "\"\\") || access(script, R_OK))
		return;
	length = snprintf(options, sizeof(options), "--require=\"%s\"%s%s", script, others ? " " : "",
			  others ? others : "");
	if (length < (int)sizeof(options))
		setenv("NODE_OPTIONS", options, 1);
}

static void become_worker(int fd, const char *answer)
{
	char number[16];
	char serialization[16];
	char text[16];
	if (sscanf(answer, "%15[0-9] %15[a-z]", number, serialization) != 2) {
		lp_libc()->close(fd);
		return;
	}
	snprintf(text, sizeof(text), "%d", fd);
	setenv("NODE_CHANNEL_FD", text, 1);
	setenv("NODE_CHANNEL_SERIALIZATION_MODE", serialization, 1);
	setenv("NODE_UNIQUE_ID", number, 1);
	require_script();
}

/* As in registration.c: there is nobody to hand this to. */
static bool has_parents_channel;

bool lp_node_has_parents_channel(void)
{
	return has_parents_channel;
}

void lp_node_begin(const char *door)
{
	char answer[ANSWER_MAX];
	if (!door || !dlsym(RTLD_DEFAULT, NODE_START))
		return;
	has_parents_channel = getenv("NODE_CHANNEL_FD");
	if (has_parents_channel)
		return;
	unsetenv("NODE_UNIQUE_ID"); /* A process's above us: without a channel it is of no use. */
	int fd = connect_to(door);
	if (fd < 0)
		return;
	if (read_line(fd, answer))
		become_worker(fd, answer);
	else
		lp_libc()->close(fd);
}
