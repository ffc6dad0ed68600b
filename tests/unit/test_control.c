/*
 * The control socket with clients and answers of the test's: one line, one answer, the end; what is too long, too many, too
 * slow; where the socket is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/control.h"
#include "base/control_path.h"
#include "failing_calls.h"

/* More than the kernel keeps for a client that does not read. */
#define BIG_BYTES ((size_t)32 << 20)

FAILING_CALL(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
FAILING_CALL(char *, strdup, (const char *text), (text), NULL, ENOMEM)
FAILING_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAILING_CALL(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), -1, EACCES)
FAILING_CALL(int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
FAILING_CALL(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), UV_EPERM, EPERM)
FAILING_CALL(int, uv_pipe_open, (uv_pipe_t * pipe, uv_file fd), (pipe, fd), UV_EINVAL, EINVAL)
FAILING_CALL(int, uv_read_start, (uv_stream_t * stream, uv_alloc_cb allocate, uv_read_cb read),
	     (stream, allocate, read), UV_ENOTCONN, ENOTCONN)
FAILING_CALL(int, uv_write,
	     (uv_write_t * write, uv_stream_t *stream, const uv_buf_t *buffers, unsigned count, uv_write_cb done),
	     (write, stream, buffers, count, done), UV_EPIPE, EPIPE)

struct world {
	uv_loop_t loop;
	struct lp_log log;
	struct lp_control *control;
	char folder[128];
	char path[LP_CONTROL_PATH_SIZE];
	bool hurries; /* Every timer ends after a millisecond. */
	unsigned asked;
	bool closed;
	struct lp_error error;
};

static struct world *here;

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb done, uint64_t timeout_ms, uint64_t repeat_ms);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb done, uint64_t timeout_ms, uint64_t repeat_ms);
uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop);
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb done, uint64_t timeout_ms, uint64_t repeat_ms)
{
	return __real_uv_timer_start(timer, done, here->hurries ? 1 : timeout_ms, repeat_ms);
}

/* "echo …", "big", or one that fails. */
static int on_request(void *owner, const char *request, char **answer, size_t *length)
{
	struct world *world = owner;
	world->asked++;
	if (strcmp(request, "big") == 0) {
		*answer = calloc(1, BIG_BYTES);
		*length = BIG_BYTES;
		return 0;
	}
	if (strncmp(request, "echo ", 5) != 0)
		return strcmp(request, "no memory") == 0 ? -ENOMEM : -ENOENT;
	*answer = malloc(strlen(request));
	*length = strlen(request) - 5;
	memcpy(*answer, request + 5, *length);
	return 0;
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	here = world;
	strcpy(world->folder, "/tmp/limpet-control-XXXXXX");
	if (!mkdtemp(world->folder) || uv_loop_init(&world->loop))
		return -1;
	lp_log_init(&world->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	lp_control_path(world->path, world->folder, "control");
	setenv("RUNTIME_DIRECTORY", world->folder, 1);
	*state = world;
	return 0;
}

static void on_closed(void *owner)
{
	((struct world *)owner)->closed = true;
}

static void close_control(struct world *world, struct lp_control *control)
{
	world->closed = false;
	lp_control_close(control, on_closed, world);
	while (!world->closed)
		uv_run(&world->loop, UV_RUN_ONCE);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	uv_run(&world->loop, UV_RUN_DEFAULT);
	int status = uv_loop_close(&world->loop) | rmdir(world->folder);
	unsetenv("RUNTIME_DIRECTORY");
	free(world);
	return status;
}

static void open_control(struct world *world)
{
	if (lp_control_open(&world->control, &world->loop, &world->log, world->path, on_request, world, &world->error))
		fail_msg("%s", world->error.text);
	assert_string_equal(lp_control_where(world->control), world->path);
}

static int come(const struct world *world)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, world->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(struct world *world, int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	for (int i = 0; i < 4; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}

/* All that comes until the end. */
static void assert_rest(struct world *world, int fd, const char *text)
{
	char answer[256];
	size_t length = 0;
	ssize_t got;
	while ((got = recv(fd, answer + length, sizeof(answer) - length, MSG_DONTWAIT)) != 0) {
		if (got < 0 && errno == ECONNRESET)
			break;
		assert_true(got > 0 || errno == EAGAIN);
		length += got > 0 ? (size_t)got : 0;
		uv_run(&world->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(length, strlen(text));
	assert_memory_equal(answer, text, length);
	close(fd);
}

static void a_line_has_one_answer_and_then_the_end(void **state)
{
	struct world *world = *state;
	struct stat what;
	open_control(world);
	assert_int_equal(stat(world->path, &what), 0);
	assert_int_equal(what.st_mode & 0777, 0600);
	int client = come(world);
	say(world, client, "ec");
	say(world, client, "ho hello");
	assert_int_equal(world->asked, 0);
	say(world, client, "\necho more\n");
	assert_rest(world, client, "hello");
	assert_int_equal(world->asked, 1);
	client = come(world);
	say(world, client, "sing\n");
	assert_rest(
		world, client,
		"{\"error\": \"no such request; ask for status, record, reload, drain, enable, stop, why or tail\"}\n");
	client = come(world);
	say(world, client, "no memory\n");
	assert_rest(world, client, "{\"error\": \"no memory for the answer; ask again\"}\n");
	close_control(world, world->control);
	assert_int_equal(stat(world->path, &what), -1);
}

static void a_line_without_an_end_is_not_answered(void **state)
{
	struct world *world = *state;
	char line[LP_CONTROL_LINE_MAX + 1];
	open_control(world);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	int client = come(world);
	say(world, client, line); /* The longest that there is. */
	assert_int_equal(world->asked, 1);
	close(client);
	line[sizeof(line) - 2] = 'x';
	client = come(world);
	say(world, client, line);
	assert_rest(world, client, "");
	client = come(world);
	say(world, client, "echo");
	shutdown(client, SHUT_WR);
	assert_rest(world, client, "");
	assert_int_equal(world->asked, 1);
	close_control(world, world->control);
}

static void so_many_at_a_time_and_the_next_when_one_has_gone(void **state)
{
	struct world *world = *state;
	int clients[LP_CONTROL_CLIENTS_MAX];
	open_control(world);
	for (int i = 0; i < LP_CONTROL_CLIENTS_MAX; i++) {
		clients[i] = come(world);
		say(world, clients[i], "echo");
	}
	assert_rest(world, come(world), "");
	say(world, clients[0], " 1\n");
	assert_rest(world, clients[0], "1");
	int client = come(world);
	say(world, client, "echo 2\n");
	assert_rest(world, client, "2");
	close_control(world, world->control);
	for (int i = 1; i < LP_CONTROL_CLIENTS_MAX; i++)
		assert_rest(world, clients[i], "");
}

static void who_takes_too_long_is_closed(void **state)
{
	struct world *world = *state;
	world->hurries = true;
	open_control(world);
	int silent = come(world);
	assert_rest(world, silent, "");
	int reader = come(world);
	assert_int_equal(write(reader, "big\n", 4), 4);
	while (send(reader, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	close(reader);
	close_control(world, world->control);
}

static void its_end_closes_who_is_being_answered(void **state)
{
	struct world *world = *state;
	char byte;
	open_control(world);
	int reader = come(world);
	say(world, reader, "big\n");
	close_control(world, world->control);
	ssize_t got;
	char bytes[1 << 16];
	while ((got = recv(reader, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		;
	assert_true(got == 0 || errno == ECONNRESET);
	assert_true(recv(reader, &byte, 1, MSG_DONTWAIT) <= 0);
	close(reader);
}

static void each_call_that_fails_is_told_and_leaves_nothing(void **state)
{
	struct world *world = *state;
	const char *failed;
	unsigned which = 0;
	unsigned open = count_descriptors();
	do {
		fail_call(++which);
		int status = lp_control_open(&world->control, &world->loop, &world->log, world->path, on_request, world,
					     &world->error);
		failed = failed_call();
		assert_true(failed ? status < 0 && !world->control : status == 0);
		if (!failed)
			break;
		assert_non_null(strstr(world->error.text, world->path));
		assert_int_equal(count_descriptors(), open);
		assert_int_equal(access(world->path, F_OK), -1);
	} while (failed);
	assert_in_range(which, 5, 12);
	close_control(world, world->control);
}

static void a_client_that_cannot_be_served_is_closed_and_the_next_one_is(void **state)
{
	struct world *world = *state;
	const char *failed;
	unsigned which = 0;
	open_control(world);
	do {
		int client = come(world);
		assert_int_equal(write(client, "echo 1\n", 7), 7);
		fail_call(++which);
		for (int i = 0; i < 100 && !failing_calls.failed; i++)
			uv_run(&world->loop, UV_RUN_NOWAIT);
		failed = failed_call();
		assert_rest(world, client, failed ? "" : "1");
	} while (failed);
	assert_in_range(which, 4, 12);
	close_control(world, world->control);
}

static int open_named(struct world *world, struct lp_control **control, char *name)
{
	struct lp_listen_address listener;
	assert_int_equal(lp_listen_address_parse("127.0.0.2:3000", &listener, NULL), 0);
	return lp_control_open_named(control, &world->loop, &world->log, name, &listener, on_request, world,
				     &world->error);
}

static void it_is_called_as_it_is_said_or_after_the_listener_or_after_all_of_it(void **state)
{
	struct world *world = *state;
	struct lp_control *controls[4];
	char names[4][LP_CONTROL_NAME_MAX + 1] = {"web", "", "", ""};
	static const char *const expected[] = {"web", "3000", "127.0.0.2-3000"};
	for (int i = 0; i < 3; i++) {
		char path[LP_CONTROL_PATH_SIZE];
		assert_int_equal(open_named(world, &controls[i], names[i]), 0);
		assert_string_equal(names[i], expected[i]);
		assert_int_equal(lp_control_path(path, world->folder, expected[i]), 0);
		assert_string_equal(lp_control_where(controls[i]), path);
	}
	assert_int_equal(open_named(world, &controls[3], names[3]), -EADDRINUSE);
	assert_null(controls[3]);
	strcpy(names[3], "web");
	assert_int_equal(open_named(world, &controls[3], names[3]), -EADDRINUSE);
	for (int i = 0; i < 3; i++)
		close_control(world, controls[i]);
}

static void a_folder_that_is_unfit_or_too_deep_is_told(void **state)
{
	struct world *world = *state;
	char name[LP_CONTROL_NAME_MAX + 1] = "web";
	char folder[128];
	assert_int_equal(chmod(world->folder, 0777), 0);
	assert_int_equal(open_named(world, &world->control, name), -EPERM);
	assert_non_null(strstr(world->error.text, world->folder));
	assert_null(world->control);
	assert_int_equal(chmod(world->folder, 0700), 0);
	snprintf(folder, sizeof(folder), "%.40s/%070d", world->folder, 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	setenv("RUNTIME_DIRECTORY", folder, 1);
	memset(name, 'n', LP_CONTROL_NAME_MAX);
	name[LP_CONTROL_NAME_MAX] = '\0';
	assert_int_equal(open_named(world, &world->control, name), -ENAMETOOLONG);
	assert_null(world->control);
	assert_int_equal(rmdir(folder), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_has_one_answer_and_then_the_end),
		TEST(a_line_without_an_end_is_not_answered),
		TEST(so_many_at_a_time_and_the_next_when_one_has_gone),
		TEST(who_takes_too_long_is_closed),
		TEST(its_end_closes_who_is_being_answered),
		TEST(each_call_that_fails_is_told_and_leaves_nothing),
		TEST(a_client_that_cannot_be_served_is_closed_and_the_next_one_is),
		TEST(it_is_called_as_it_is_said_or_after_the_listener_or_after_all_of_it),
		TEST(a_folder_that_is_unfit_or_too_deep_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
