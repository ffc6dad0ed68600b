/*
 * A client connects, sends one line, gets one answer and end-of-file. Clients are few, bounded in number, size and
 * time, and a slow or silent one costs its own place only. libuv does the reading and writing, but not the accepting (worker/acceptor.c).
 */
#include "admin/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/control_path.h"
#include "base/list.h"
#include "base/run_folder.h"
#include "base/unix_path.h"
#include "worker/acceptor.h"

struct client {
	struct lp_list link;
	struct lp_control *control;
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	char *answer;
	unsigned open_handles;
	bool closing;
	size_t length;
	char line[LP_CONTROL_LINE_MAX];
};

struct lp_control {
	struct lp_acceptor acceptor;
	char *path;
	struct lp_unix_path made; /* The path; only that one is removed. */
	lp_control_answer_cb answer;
	void *owner;
	struct lp_list clients;
	unsigned client_count;
	unsigned parts; /* The acceptor, and each client, that have not closed. */
	void (*closed)(void *owner);
	void *closed_owner;
};

static void on_part_closed(struct lp_control *control)
{
	if (--control->parts)
		return;
	control->closed(control->closed_owner);
	free(control->path);
	free(control);
}

static void on_client_handle_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;
	if (--client->open_handles)
		return;
	struct lp_control *control = client->control;
	free(client->answer);
	free(client);
	on_part_closed(control);
}

static void close_client(struct client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	lp_list_remove(&client->link);
	client->control->client_count--;
	uv_close((uv_handle_t *)&client->pipe, on_client_handle_closed);
	uv_close((uv_handle_t *)&client->timer, on_client_handle_closed);
}

static void on_written(uv_write_t *write, int status)
{
	(void)status;
	close_client(write->data);
}

static void on_timeout(uv_timer_t *timer)
{
	close_client(timer->data);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct client *client = handle->data;
	(void)suggested;
	*buffer = uv_buf_init(client->line + client->length, (unsigned)(sizeof(client->line) - client->length));
}

static void answer_line(struct client *client)
{
	static char unknown[] =
		"{\"error\": \"no such request; ask for status, record, reload, drain, enable, stop, why or tail\"}\n";
	static char no_memory[] = "{\"error\": \"no memory for the answer; ask again\"}\n";
	size_t length = 0;
	int status = client->control->answer(client->control->owner, client->line, &client->answer, &length);
	uv_buf_t buffer = uv_buf_init(client->answer, (unsigned)length);
	if (status == -ENOENT)
		buffer = uv_buf_init(unknown, sizeof(unknown) - 1);
	else if (status)
		buffer = uv_buf_init(no_memory, sizeof(no_memory) - 1);
	client->write.data = client;
	uv_read_stop((uv_stream_t *)&client->pipe);
	if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written))
		close_client(client);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct client *client = stream->data;
	(void)buffer;
	if (got < 0) {
		close_client(client);
		return;
	}
	client->length += (size_t)got;
	char *end = memchr(client->line, '\n', client->length);
	if (end) {
		*end = '\0';
		answer_line(client);
	} else if (client->length == sizeof(client->line)) {
		close_client(client);
	}
}

static void on_accepted(struct lp_acceptor *acceptor, int fd, const union lp_peer *peer)
{
	struct lp_control *control = acceptor->owner;
	struct client *client = control->client_count < LP_CONTROL_CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	(void)peer;
	if (!client) {
		close(fd);
		return;
	}
	client->control = control;
	client->open_handles = 2;
	control->parts++;
	control->client_count++;
	lp_list_append(&control->clients, &client->link);
	uv_pipe_init(acceptor->poll.loop, &client->pipe, 0);
	uv_timer_init(acceptor->poll.loop, &client->timer);
	client->pipe.data = client;
	client->timer.data = client;
	uv_timer_start(&client->timer, on_timeout, LP_CONTROL_TIMEOUT_MS, 0);
	if (uv_pipe_open(&client->pipe, fd)) {
		close(fd);
		close_client(client);
	} else if (uv_read_start((uv_stream_t *)&client->pipe, on_allocate, on_read)) {
		close_client(client);
	}
}

/* A listening socket that only its owner can reach, or negative errno. */
static int listen_at(const char *path, struct lp_unix_path *made, struct lp_error *error)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
	int status = lp_unix_path_bind(fd, path, 0600, made, error);
	if (!status && listen(fd, LP_CONTROL_CLIENTS_MAX)) {
		status = lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
		lp_unix_path_remove(path, made);
	}
	if (!status)
		return fd;
	close(fd);
	return status;
}

int lp_control_open(struct lp_control **out, uv_loop_t *loop, struct lp_log *log, const char *path,
		    lp_control_answer_cb answer_request, void *owner, struct lp_error *error)
{
	*out = NULL;
	struct lp_unix_path made;
	struct lp_error reason = {0};
	int fd = listen_at(path, &made, &reason);
	if (fd < 0)
		return lp_error_set(error, fd, "cannot open the control socket: %s", reason.text);
	struct lp_control *control = calloc(1, sizeof(*control));
	char *copy = strdup(path);
	int status = UV_ENOMEM;
	if (control && copy)
		status = lp_acceptor_start(&control->acceptor, loop, log, copy, fd, on_accepted, control);
	if (status) {
		free(control);
		free(copy);
		close(fd);
		lp_unix_path_remove(path, &made);
		return lp_error_set(error, status, "cannot open the control socket %s: %s", path,
				    lp_error_words(status));
	}
	control->path = copy;
	control->made = made;
	control->answer = answer_request;
	control->owner = owner;
	control->parts = 1;
	lp_list_init(&control->clients);
	*out = control;
	return 0;
}

static int open_in(const char *folder, const char *name, struct lp_control **out, uv_loop_t *loop, struct lp_log *log,
		   lp_control_answer_cb answer_request, void *owner, struct lp_error *error)
{
	char path[LP_CONTROL_PATH_SIZE];
	int status = lp_control_path(path, folder, name);
	if (status)
		return lp_error_set(error, status, "%s/%s" LP_CONTROL_SUFFIX " is too long for a socket", folder, name);
	return lp_control_open(out, loop, log, path, answer_request, owner, error);
}

int lp_control_open_named(struct lp_control **out, uv_loop_t *loop, struct lp_log *log, char *name,
			  const struct lp_listen_address *listener, lp_control_answer_cb answer_request, void *owner,
			  struct lp_error *error)
{
	char folder[LP_RUN_FOLDER_SIZE];
	lp_run_folder_find(folder);
	*out = NULL;
	int status = lp_run_folder_make(folder, "--control", error);
	if (status || *name)
		return status ? status : open_in(folder, name, out, loop, log, answer_request, owner, error);
	lp_control_name_listener(listener, false, name);
	status = open_in(folder, name, out, loop, log, answer_request, owner, error);
	if (status != -EADDRINUSE)
		return status;
	lp_control_name_listener(listener, true, name);
	return open_in(folder, name, out, loop, log, answer_request, owner, error);
}

const char *lp_control_where(const struct lp_control *control)
{
	return control->path;
}

static void on_acceptor_closed(struct lp_acceptor *acceptor)
{
	on_part_closed(acceptor->owner);
}

void lp_control_close(struct lp_control *control, void (*closed)(void *owner), void *owner)
{
	control->closed = closed;
	control->closed_owner = owner;
	lp_unix_path_remove(control->path, &control->made);
	lp_acceptor_close(&control->acceptor, on_acceptor_closed);
	while (!lp_list_empty(&control->clients))
		close_client(LP_LIST_OWNER(control->clients.next, struct client, link));
}
