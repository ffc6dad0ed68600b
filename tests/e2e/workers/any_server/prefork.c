/*
 * Processes that accept by blocking calls, and end as Apache's prefork does: prefork PORT CHILDREN HOW
 *
 * On SIGTERM a child's signal handler closes the listener, wherever the child is, and the child ends when accept fails. On
 * SIGHUP all children are told so, and others take their place; then each has to end by itself.
 *
 *     accept   waits in accept(2)
 *     poll     waits in poll(2), and accepts then
 *     restart  as accept, with SA_RESTART
 *     threads  as accept, and a thread forks all the time meanwhile
 *
 * An answer is "ok". On standard error, a line for each child that has ended: "ended STATUS".
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 64

static volatile sig_atomic_t listener;
static volatile sig_atomic_t ending;
static volatile sig_atomic_t renewing;

static void close_listener(int signal)
{
	int error = errno;
	(void)signal;
	ending = 1;
	close(listener);
	errno = error;
}

static void renew(int signal)
{
	(void)signal;
	renewing = 1;
}

static void stop(int signal)
{
	(void)signal;
	ending = 1;
}

static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	sigaction(signal, &action, NULL);
}

static void answer(int connection)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
	char bytes[4096];
	if (read(connection, bytes, sizeof(bytes)) > 0 && write(connection, text, sizeof(text) - 1) < 0)
		perror("write");
	close(connection);
}

static void *fork_always(void *unused)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL); /* The other thread's accept is to be interrupted. */
	while (!ending) {
		pid_t pid = fork();
		if (pid == 0) {
			int fd = dup(listener);
			close(fd);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	return unused;
}

static void work(const char *how)
{
	pthread_t thread;
	handle(SIGHUP, SIG_IGN, 0);
	handle(SIGTERM, close_listener, strcmp(how, "restart") == 0 ? SA_RESTART : 0);
	if (strcmp(how, "threads") == 0)
		pthread_create(&thread, NULL, fork_always, NULL);
	while (!ending) {
		struct pollfd one = {.fd = listener, .events = POLLIN};
		if (strcmp(how, "poll") == 0 && poll(&one, 1, -1) <= 0)
			continue;
		int connection = accept(listener, NULL, NULL);
		if (connection >= 0)
			answer(connection);
	}
	if (strcmp(how, "threads") == 0)
		pthread_join(thread, NULL);
	exit(0);
}

static pid_t begin(const char *how)
{
	pid_t pid = fork();
	if (pid == 0)
		work(how);
	return pid;
}

static void end_all(pid_t *children, int count)
{
	for (int i = 0; i < count; i++)
		kill(children[i], SIGTERM);
	for (int i = 0; i < count; i++) {
		int status = 0;
		while (waitpid(children[i], &status, 0) < 0 && errno == EINTR)
			;
		fprintf(stderr, "ended %d\n", status);
	}
}

int main(int count, char **words)
{
	pid_t children[CHILDREN_MAX];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (count != 4 || atoi(words[2]) > CHILDREN_MAX)
		return 2;
	int number = atoi(words[2]);
	address.sin_port = htons((uint16_t)atoi(words[1]));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 64))
		return 1;
	handle(SIGTERM, stop, 0);
	handle(SIGINT, stop, 0);
	handle(SIGHUP, renew, 0);
	for (int i = 0; i < number; i++)
		children[i] = begin(words[3]);
	while (!ending) {
		pause();
		if (!renewing)
			continue;
		renewing = 0;
		end_all(children, number);
		for (int i = 0; i < number; i++)
			children[i] = begin(words[3]);
		fputs("renewed\n", stderr);
	}
	end_all(children, number);
	return 0;
}
