/*
 * The admin listener with pages and clients of the test's: every state of a client and every event in it, what is refused,
 * and whose host names are believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin_http.h"
#include "base/address.h"
#include "failing_calls.h"

#define GET "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* More than the kernel keeps for a client that does not read. */
#define BIG_BYTES ((size_t)32 << 20)

FAILING_CALL(void *, calloc, (size_t count, size_t size), (count, size), NULL, ENOMEM)
FAILING_CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
FAILING_CALL(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length), -1, EACCES)
FAILING_CALL(int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
FAILING_CALL(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), UV_EPERM, EPERM)
FAILING_CALL(int, uv_tcp_open, (uv_tcp_t * tcp, uv_os_sock_t fd), (tcp, fd), UV_EINVAL, EINVAL)
FAILING_CALL(int, uv_read_start, (uv_stream_t * stream, uv_alloc_cb allocate, uv_read_cb read),
	     (stream, allocate, read), UV_ENOTCONN, ENOTCONN)
FAILING_CALL(int, uv_write,
	     (uv_write_t * write, uv_stream_t *stream, const uv_buf_t *buffers, unsigned count, uv_write_cb done),
	     (write, stream, buffers, count, done), UV_EPIPE, EPIPE)

struct world {
	uv_loop_t loop;
	struct lp_log log;
	struct lp_admin_config config;
	struct lp_admin *admin;
	char folder[32];
	char path[64];
	uint64_t later_ms;  /* What the loop's clock is ahead. */
	bool hurries;       /* Every timer ends after a millisecond. */
	bool streams_hurry; /* Those of streams do; that of a request is not to end before a slow machine has sent it. */
	unsigned made;      /* How often the page was made. */
	int page_status;
	bool no_memory;
	bool big_parts; /* Of the stream: more than the kernel keeps. */
	bool closed;
	struct lp_error error;
	char answer[2048];
};

static struct world *here;

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb done, uint64_t timeout_ms, uint64_t repeat_ms);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb done, uint64_t timeout_ms, uint64_t repeat_ms);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	return __real_uv_now(loop) + here->later_ms;
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb done, uint64_t timeout_ms, uint64_t repeat_ms)
{
	bool soon = here->hurries || (here->streams_hurry && repeat_ms);
	return __real_uv_timer_start(timer, done, soon ? 1 : timeout_ms, soon && repeat_ms ? 1 : repeat_ms);
}

static char *make_page(void *owner, int *status, size_t *length)
{
	struct world *world = owner;
	char *text = world->no_memory ? NULL : malloc(32);
	if (!text)
		return NULL;
	*status = world->page_status;
	*length = (size_t)snprintf(text, 32, "page %u\n", ++world->made);
	return text;
}

static char *make_big(void *owner, int *status, size_t *length)
{
	(void)owner;
	(void)status;
	*length = BIG_BYTES;
	return calloc(1, BIG_BYTES);
}

static char *next_part(void *owner, uint64_t *position, size_t *length)
{
	struct world *world = owner;
	char *text = world->no_memory ? NULL : malloc(BIG_BYTES);
	if (!text)
		return NULL;
	memset(text, '.', BIG_BYTES);
	*length = world->big_parts ? BIG_BYTES : (size_t)snprintf(text, 32, "part %u\n", (unsigned)++*position);
	world->made++;
	return text;
}

static const struct lp_admin_page pages[] = {{"/page", "text/plain", make_page, NULL},
					     {"/big", "text/plain", make_big, NULL},
					     {"/stream", "text/event-stream", NULL, next_part}};
static const char *const hosts[] = {"metrics.example"};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	here = world;
	strcpy(world->folder, "/tmp/limpet-admin-XXXXXX");
	if (!mkdtemp(world->folder) || uv_loop_init(&world->loop))
		return -1;
	lp_log_init(&world->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	snprintf(world->path, sizeof(world->path), "unix:%s/admin", world->folder);
	world->page_status = 200;
	world->config = (struct lp_admin_config){.loop = &world->loop,
						 .log = &world->log,
						 .address = "127.0.0.1:0",
						 .pages = pages,
						 .page_count = 3,
						 .owner = world};
	*state = world;
	return 0;
}

static void on_closed(void *owner)
{
	((struct world *)owner)->closed = true;
}

static void close_admin(struct world *world)
{
	lp_admin_close(world->admin, on_closed, world);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	assert_true(world->closed);
	world->closed = false;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	int status = uv_loop_close(&world->loop) | rmdir(world->folder);
	free(world);
	return status;
}

static void open_admin(struct world *world)
{
	if (lp_admin_open(&world->admin, &world->config, &world->error))
		fail_msg("%s", world->error.text);
}

/* The listening socket is the last one that was opened. */
static struct sockaddr_in find_address(void)
{
	struct sockaddr_in address = {0};
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_in one = {0};
		socklen_t length = sizeof(one);
		int listens = 0;
		socklen_t size = sizeof(listens);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens &&
		    getsockname(fd, (struct sockaddr *)&one, &length) == 0)
			address = one;
	}
	assert_int_equal(address.sin_family, AF_INET);
	return address;
}

static int come(void)
{
	struct sockaddr_in address = find_address();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void turn(struct world *world)
{
	for (int i = 0; i < 6; i++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
}

/* A client says something, and it has been heard. */
static void say(struct world *world, int fd, const char *text)
{
	int unheard;
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	do
		turn(world);
	while (ioctl(fd, SIOCOUTQ, &unheard) == 0 && unheard);
	turn(world);
}

/* Bytes of a whole answer, or 0 when there is more to come. */
static size_t is_whole(const char *answer, bool has_body)
{
	const char *end = strstr(answer, "\r\n\r\n");
	const char *length = strstr(answer, "Content-Length: ");
	if (!end || !length)
		return 0;
	size_t whole = (size_t)(end + 4 - answer) + (has_body ? strtoul(length + 16, NULL, 10) : 0);
	return strlen(answer) >= whole ? whole : 0;
}

/* The next answer; what comes behind it stays. */
static const char *read_answer(struct world *world, int fd, bool has_body)
{
	size_t whole;
	for (;;) {
		ssize_t got = recv(fd, world->answer, sizeof(world->answer) - 1, MSG_DONTWAIT | MSG_PEEK);
		if (got == 0)
			fail_msg("the connection ended without an answer");
		world->answer[got > 0 ? got : 0] = '\0';
		whole = is_whole(world->answer, has_body);
		if (whole)
			break;
		uv_run(&world->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(recv(fd, world->answer, whole, 0), whole);
	world->answer[whole] = '\0';
	return world->answer;
}

static void assert_answer(struct world *world, int fd, const char *head, const char *part)
{
	const char *answer = read_answer(world, fd, true);
	if (strncmp(answer, head, strlen(head)) != 0 || !strstr(answer, part))
		fail_msg("not %s … %s: %s", head, part, answer);
}

static void assert_end(struct world *world, int fd)
{
	char bytes[1024];
	ssize_t got;
	while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) != 0 && !(got < 0 && errno == ECONNRESET))
		uv_run(&world->loop, UV_RUN_NOWAIT);
	close(fd);
}

static void a_page_is_answered_and_the_next_request_too(void **state)
{
	struct world *world = *state;
	open_admin(world);
	int client = come();
	say(world, client, GET);
	assert_answer(world, client, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n",
		      "\r\n\r\npage 1\n");
	assert_non_null(strstr(world->answer, "Connection: keep-alive\r\n"));
	say(world, client, GET);
	assert_answer(world, client, "HTTP/1.1 200 OK", "page 1\n"); /* It is kept for a moment. */
	world->later_ms += LP_ADMIN_CACHE_MS;
	world->page_status = 503;
	say(world, client, GET);
	assert_answer(world, client, "HTTP/1.1 503 Service Unavailable", "page 2\n");
	close(client);
	turn(world);
	close_admin(world);
}

static void a_head_comes_without_its_body(void **state)
{
	struct world *world = *state;
	open_admin(world);
	int client = come();
	say(world, client, "HEAD /page HTTP/1.1\r\n\r\n");
	const char *answer = read_answer(world, client, false);
	assert_non_null(strstr(answer, "Content-Length: 7\r\n"));
	say(world, client, GET);
	assert_answer(world, client, "HTTP/1.1 200 OK", "page 1\n");
	close(client);
	close_admin(world);
}

static void a_request_in_pieces_and_two_at_once_are_answered(void **state)
{
	struct world *world = *state;
	open_admin(world);
	int client = come();
	for (const char *byte = GET; *byte; byte++) {
		char text[] = {*byte, '\0'};
		say(world, client, text);
	}
	assert_answer(world, client, "HTTP/1.1 200 OK", "page 1\n");
	say(world, client, GET "GET /nowhere HTTP/1.1\r\n\r\n");
	assert_answer(world, client, "HTTP/1.1 200 OK", "page 1\n");
	assert_answer(world, client, "HTTP/1.1 404 Not Found", "there are /, /metrics");
	assert_end(world, client);
	close_admin(world);
}

/* What has come of a stream, once it has a text. */
static void assert_streamed(struct world *world, int fd, const char *wanted)
{
	size_t length = 0;
	*world->answer = '\0';
	while (!strstr(world->answer, wanted)) {
		ssize_t got = recv(fd, world->answer + length, sizeof(world->answer) - 1 - length, MSG_DONTWAIT);
		assert_int_not_equal(got, 0);
		length += got > 0 ? (size_t)got : 0;
		world->answer[length] = '\0';
		uv_run(&world->loop, UV_RUN_NOWAIT);
	}
}

static void a_stream_goes_on_until_its_client_leaves(void **state)
{
	struct world *world = *state;
	open_admin(world);
	world->streams_hurry = true;
	int client = come();
	say(world, client, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_streamed(world, client, "part 1\n");
	assert_non_null(strstr(world->answer, "Content-Type: text/event-stream\r\n"));
	assert_null(strstr(world->answer, "Content-Length"));
	say(world, client, "what is said now is not heard");
	world->no_memory = true;
	turn(world);
	while (recv(client, world->answer, sizeof(world->answer), MSG_DONTWAIT) > 0)
		;
	world->no_memory = false;
	assert_streamed(world, client, "part ");
	close(client);
	turn(world);
	unsigned made = world->made;
	usleep(5000);
	turn(world);
	assert_int_equal(world->made, made);
	close_admin(world);
}

static void further_streams_are_refused_and_pages_are_not(void **state)
{
	struct world *world = *state;
	int clients[LP_ADMIN_STREAMS_MAX];
	open_admin(world);
	for (size_t i = 0; i < LP_ADMIN_STREAMS_MAX; i++) {
		clients[i] = come();
		say(world, clients[i], "GET /stream HTTP/1.1\r\n\r\n");
	}
	int client = come();
	say(world, client, "GET /stream HTTP/1.1\r\n\r\n");
	assert_answer(world, client, "HTTP/1.1 503 ", "no further stream");
	assert_end(world, client);
	client = come();
	say(world, client, GET);
	assert_answer(world, client, "HTTP/1.1 200 OK", "page");
	close(client);
	close(clients[0]);
	turn(world);
	client = come();
	say(world, client, "GET /stream HTTP/1.1\r\n\r\n");
	assert_streamed(world, client, "part 1\n");
	close_admin(world);
	close(client);
	for (size_t i = 1; i < LP_ADMIN_STREAMS_MAX; i++)
		close(clients[i]);
}

static void who_does_not_read_a_stream_gets_no_more_and_is_closed(void **state)
{
	struct world *world = *state;
	open_admin(world);
	world->streams_hurry = true;
	world->big_parts = true;
	int client = come();
	say(world, client, "GET /stream HTTP/1.1\r\n\r\n");
	while (!world->made)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	for (int i = 0; i < 20; i++)
		uv_run(&world->loop, UV_RUN_ONCE);
	assert_int_equal(world->made, 1); /* It has read nothing of the first part. */
	world->later_ms += LP_ADMIN_TIMEOUT_MS;
	usleep(5000);
	turn(world);
	size_t read_bytes = 0;
	char bytes[65536];
	ssize_t got;
	while ((got = recv(client, bytes, sizeof(bytes), 0)) > 0)
		read_bytes += (size_t)got;
	assert_true(read_bytes < BIG_BYTES);
	close(client);
	close_admin(world);
}

static void the_connection_ends_behind_what_wants_it_so(void **state)
{
	static const char *const last[] = {
		"GET /page HTTP/1.0\r\n\r\n",
		"GET /page HTTP/1.1\r\nConnection: close\r\n\r\n",
		"GET /page HTTP/1.1\r\nContent-Length: 5\r\n\r\nHello",
		"GET /page HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
	};
	static const char *const others[] = {
		"GET /page HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n",
		"GET /page HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	};
	struct world *world = *state;
	open_admin(world);
	for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
		int client = come();
		say(world, client, last[i]);
		assert_answer(world, client, "HTTP/1.1 200 OK", "Connection: close\r\n");
		assert_end(world, client);
	}
	int client = come();
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		say(world, client, others[i]);
		assert_answer(world, client, "HTTP/1.1 200 OK", "Connection: keep-alive\r\n");
	}
	close(client);
	close_admin(world);
}

static void what_is_no_request_for_a_page_is_refused_and_ended(void **state)
{
	static const char *const refused[][2] = {
		{"\x16\x03\x01\x02", "HTTP/1.1 400 Bad Request"},
		{"GET /page HTTP/1.1\r\nNo colon\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		{"GET /page HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 403 Forbidden"},
		{"GET /page HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "HTTP/1.1 403 Forbidden"},
		{"GET /pages HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found"},
		{"POST /page HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
	};
	struct world *world = *state;
	open_admin(world);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int client = come();
		say(world, client, refused[i][0]);
		assert_answer(world, client, refused[i][1], "Connection: close\r\n");
		assert_int_equal(strstr(world->answer, "Allow: GET, HEAD\r\n") != NULL,
				 strstr(refused[i][1], "405") != NULL);
		assert_end(world, client);
	}
	char head[LP_ADMIN_HEAD_MAX + 1];
	snprintf(head, sizeof(head), "GET /page HTTP/1.1\r\nA: %*d", LP_ADMIN_HEAD_MAX - 23, 1);
	assert_int_equal(strlen(head), LP_ADMIN_HEAD_MAX);
	int client = come();
	say(world, client, head);
	assert_answer(world, client, "HTTP/1.1 431 Request Header Fields Too Large", "longer than 4096");
	assert_end(world, client);
	world->no_memory = true;
	client = come();
	say(world, client, GET);
	assert_answer(world, client, "HTTP/1.1 503 Service Unavailable", "no memory for the answer");
	assert_end(world, client);
	assert_int_equal(world->made, 0);
	close_admin(world);
}

static void assert_host(struct world *world, const char *host, const char *head)
{
	char request[256];
	int client = come();
	snprintf(request, sizeof(request), "GET /page HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
	say(world, client, request);
	assert_answer(world, client, head, "");
	assert_end(world, client);
}

static void only_hosts_that_mean_this_listener_are_answered(void **state)
{
	static const char *const own[] = {"localhost",      "LOCALHOST:90",    "127.0.0.1",
					  "127.0.0.1:9090", "127.1.2.3",       "[::1]:9090",
					  "[::1]",          "METRICS.example", "metrics.example:1"};
	static const char *const others[] = {
		"evil.example",          "192.0.2.2", "[::2]", "[::1", "[]", "::", "metrics.example.com",
		"localhost.evil.example"};
	struct world *world = *state;
	world->config.hosts = hosts;
	world->config.host_count = 1;
	open_admin(world);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		assert_host(world, own[i], "HTTP/1.1 200");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_host(world, others[i], "HTTP/1.1 403");
	close_admin(world);
}

static void who_says_nothing_more_is_closed(void **state)
{
	struct world *world = *state;
	open_admin(world);
	int idle = come();
	say(world, idle, GET);
	assert_answer(world, idle, "HTTP/1.1 200 OK", "page 1\n");
	turn(world);
	world->hurries = true; /* Timers that begin from now on. */
	say(world, idle, GET);
	assert_answer(world, idle, "HTTP/1.1 200 OK", "page 1\n");
	assert_end(world, idle);
	int silent = come();
	assert_end(world, silent);
	close_admin(world);
}

static void one_that_does_not_read_its_answer_is_closed(void **state)
{
	struct world *world = *state;
	world->hurries = true;
	open_admin(world);
	int reader = come();
	assert_int_equal(write(reader, "GET /big HTTP/1.1\r\n\r\n", 21), 21);
	while (send(reader, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	close(reader);
	close_admin(world);
}

static void an_idle_one_makes_room_and_without_one_the_next_is_closed(void **state)
{
	struct world *world = *state;
	int clients[LP_ADMIN_CLIENTS_MAX];
	open_admin(world);
	for (int i = 0; i < LP_ADMIN_CLIENTS_MAX; i++) {
		clients[i] = come();
		say(world, clients[i], i < 2 ? GET : "GET /page");
	}
	assert_answer(world, clients[0], "HTTP/1.1 200 OK", "page 1\n");
	assert_answer(world, clients[1], "HTTP/1.1 200 OK", "page 1\n");
	turn(world);
	int next = come();
	say(world, next, GET);
	assert_answer(world, next, "HTTP/1.1 200 OK", "page 1\n");
	assert_end(world, clients[0]); /* The one that has been so for longest. */
	turn(world);
	say(world, clients[1], "GET");
	say(world, next, "GET");
	int none = come();
	assert_end(world, none);
	for (int i = 1; i < LP_ADMIN_CLIENTS_MAX; i++)
		close(clients[i]);
	close(next);
	close_admin(world);
}

static void a_client_that_resets_is_forgotten(void **state)
{
	struct world *world = *state;
	struct linger linger = {.l_onoff = 1};
	open_admin(world);
	int client = come();
	say(world, client, "GET /big HTTP/1.1\r\n\r\n");
	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(client);
	turn(world);
	client = come();
	say(world, client, GET);
	assert_answer(world, client, "HTTP/1.1 200 OK", "page 1\n");
	close(client);
	close_admin(world);
}

static void a_path_is_its_owners_unless_it_is_said_and_any_host_is_right_there(void **state)
{
	struct world *world = *state;
	struct stat what;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[96];
	strcpy(address.sun_path, world->path + 5);
	world->config.address = world->path;
	open_admin(world);
	assert_int_equal(stat(address.sun_path, &what), 0);
	assert_int_equal(what.st_mode & 0777, 0600);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	say(world, client, "GET /page HTTP/1.1\r\nHost: whatever\r\n\r\n");
	assert_answer(world, client, "HTTP/1.1 200 OK", "page 1\n");
	close(client);
	close_admin(world);
	assert_int_equal(stat(address.sun_path, &what), -1);

	snprintf(text, sizeof(text), "%s,mode=660", world->path);
	world->config.address = text;
	open_admin(world);
	assert_int_equal(stat(address.sun_path, &what), 0);
	assert_int_equal(what.st_mode & 0777, 0660);
	close_admin(world);
}

static void what_others_could_read_needs_a_name(void **state)
{
	struct world *world = *state;
	assert_int_equal(lp_admin_check("127.0.0.1:9090", 0, &world->error), 0);
	assert_int_equal(lp_admin_check("[::1]:9090", 0, &world->error), 0);
	assert_int_equal(lp_admin_check("unix:/run/x", 0, &world->error), 0);
	assert_int_equal(lp_admin_check("192.0.2.1:9090", 1, &world->error), 0);
	assert_int_equal(lp_admin_check("192.0.2.1:9090", 0, &world->error), LP_EUSAGE);
	assert_non_null(strstr(world->error.text, "--admin-host"));
	assert_int_equal(lp_admin_check(":9090", 0, &world->error), LP_EUSAGE);
	assert_int_equal(lp_admin_check("nonsense", 1, &world->error), LP_EUSAGE);
	world->config.address = ":9090";
	assert_int_equal(lp_admin_open(&world->admin, &world->config, &world->error), LP_EUSAGE);
	assert_null(world->admin);
}

static void each_call_that_fails_is_told_and_leaves_nothing(void **state)
{
	struct world *world = *state;
	const char *const addresses[] = {"127.0.0.1:0", "[::1]:0", world->path};
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const char *failed;
		unsigned which = 0;
		unsigned open = count_descriptors();
		world->config.address = addresses[i];
		do {
			fail_call(++which);
			int status = lp_admin_open(&world->admin, &world->config, &world->error);
			failed = failed_call();
			assert_true(failed ? status < 0 && !world->admin : status == 0);
			if (failed)
				assert_int_equal(count_descriptors(), open);
		} while (failed);
		assert_in_range(which, 5, 12);
		close_admin(world);
	}
}

static void a_client_that_cannot_be_served_is_closed_and_the_next_one_is(void **state)
{
	struct world *world = *state;
	const char *failed;
	unsigned which = 0;
	open_admin(world);
	do {
		int client = come();
		world->later_ms += LP_ADMIN_CACHE_MS;
		assert_int_equal(write(client, GET, strlen(GET)), strlen(GET));
		fail_call(++which);
		for (int i = 0; i < 100 && !failing_calls.failed; i++)
			uv_run(&world->loop, UV_RUN_NOWAIT);
		failed = failed_call();
		if (failed)
			assert_end(world, client);
		else
			assert_answer(world, client, "HTTP/1.1 200 OK", "page"), close(client);
	} while (failed);
	assert_in_range(which, 5, 20);
	close_admin(world);
}

static void its_end_closes_clients_in_every_state(void **state)
{
	struct world *world = *state;
	open_admin(world);
	int reading = come();
	int writing = come();
	int idle = come();
	say(world, reading, "GET");
	say(world, writing, "GET /big HTTP/1.1\r\n\r\n");
	say(world, idle, GET);
	assert_answer(world, idle, "HTTP/1.1 200 OK", "page 1\n");
	turn(world);
	close_admin(world);
	assert_end(world, reading);
	assert_end(world, writing);
	assert_end(world, idle);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_is_answered_and_the_next_request_too),
		TEST(a_head_comes_without_its_body),
		TEST(a_request_in_pieces_and_two_at_once_are_answered),
		TEST(a_stream_goes_on_until_its_client_leaves),
		TEST(further_streams_are_refused_and_pages_are_not),
		TEST(who_does_not_read_a_stream_gets_no_more_and_is_closed),
		TEST(the_connection_ends_behind_what_wants_it_so),
		TEST(what_is_no_request_for_a_page_is_refused_and_ended),
		TEST(only_hosts_that_mean_this_listener_are_answered),
		TEST(who_says_nothing_more_is_closed),
		TEST(one_that_does_not_read_its_answer_is_closed),
		TEST(an_idle_one_makes_room_and_without_one_the_next_is_closed),
		TEST(a_client_that_resets_is_forgotten),
		TEST(a_path_is_its_owners_unless_it_is_said_and_any_host_is_right_there),
		TEST(what_others_could_read_needs_a_name),
		TEST(each_call_that_fails_is_told_and_leaves_nothing),
		TEST(a_client_that_cannot_be_served_is_closed_and_the_next_one_is),
		TEST(its_end_closes_clients_in_every_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
