/*
 * A client connects, sends a request head and gets an answer; then it may send the next one, as scrapers do.
 *
 *     state     in list     means                         leaves on
 *     READING   clients     a request is on its way       its head is complete -> WRITING; timeout -> closed
 *     WRITING   clients     so is its answer              written -> IDLE, READING if more has come, or closed; timeout
 *     IDLE      idle        nothing is                    a byte -> READING; timeout, or another needs its place -> closed
 *     STREAM    clients     parts of a stream are sent    it leaves, or does not read -> closed
 *
 * The answer is made at once, whole, and handed to libuv, which writes as fast as the client reads; the client's one timer
 * ends it if that takes too long. An answer is kept for a moment, so that many scrapers, or one that asks in a loop, cost
 * the balancer no more than four answers a second.
 */
#include "admin/admin_http.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/list.h"
#include "base/unix_path.h"
#include "route/head.h"
#include "worker/acceptor.h"

#define BACKLOG 64

/* When a stream's first part is sent: its head is written by then. */
#define STREAM_BEGIN_MS 10

/* Pages that are kept. */
#define PAGES_MAX 16

/* What a browser may do with an answer: show it to who asked us, and nobody else. */
#define SAFETY                                                                                                         \
	"Cache-Control: no-store\r\n"                                                                                  \
	"X-Content-Type-Options: nosniff\r\n"                                                                          \
	"Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n"                                      \
	"Cross-Origin-Resource-Policy: same-origin\r\n"

/* A body that clients may still be reading. */
struct answer {
	unsigned users;
	int status;
	size_t length;
	char *body;
};

struct client {
	struct lp_list link;
	struct lp_admin *admin;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} socket;
	uv_timer_t timer;
	uv_write_t write;
	struct answer *answer;
	unsigned open_handles;
	bool closing;
	bool idle;
	bool keeps; /* The connection goes on after this answer. */
	bool writing;
	const struct lp_admin_page *stream; /* NULL: it has asked for none. */
	uint64_t position;                  /* In the stream. */
	uint64_t written_ms;                /* When it was last seen that all is written. */
	size_t length;
	size_t request; /* Bytes of it that are the request that is being answered. */
	char head[LP_ADMIN_HEAD_MAX];
	char reply[512]; /* The head of the answer, or all of one without a page. */
};

struct lp_admin {
	struct lp_admin_config config;
	struct lp_acceptor acceptor;
	struct lp_listen_address address;
	struct lp_unix_path path; /* Only that one is removed. */
	struct lp_head *head;
	struct lp_list clients;
	struct lp_list idle; /* The one that has been so for longest first. */
	unsigned client_count;
	unsigned stream_count;
	unsigned parts; /* The acceptor, and each client, that have not closed. */
	struct {
		struct answer *answer;
		uint64_t made_ms;
	} kept[PAGES_MAX];
	void (*closed)(void *owner);
	void *closed_owner;
};

/* Answers */

static void release_answer(struct answer *answer)
{
	if (!answer || --answer->users)
		return;
	free(answer->body);
	free(answer);
}

static struct answer *make_answer(const struct lp_admin *admin, const struct lp_admin_page *page)
{
	struct answer *answer = calloc(1, sizeof(*answer));
	if (!answer)
		return NULL;
	answer->users = 1;
	answer->status = 200;
	answer->body = page->make(admin->config.owner, &answer->status, &answer->length);
	if (answer->body)
		return answer;
	release_answer(answer);
	return NULL;
}

/* The page, as it was a moment ago at most. The caller becomes one of its users. */
static struct answer *get_answer(struct lp_admin *admin, const struct lp_admin_page *page)
{
	size_t index = (size_t)(page - admin->config.pages);
	uint64_t now = uv_now(admin->config.loop);
	struct answer *kept = admin->kept[index].answer;
	if (!kept || now - admin->kept[index].made_ms >= LP_ADMIN_CACHE_MS) {
		release_answer(kept);
		kept = make_answer(admin, page);
		admin->kept[index].answer = kept;
		admin->kept[index].made_ms = now;
	}
	if (kept)
		kept->users++;
	return kept;
}

/* Ends */

static void on_part_closed(struct lp_admin *admin)
{
	if (--admin->parts)
		return;
	admin->closed(admin->closed_owner);
	for (size_t i = 0; i < PAGES_MAX; i++)
		release_answer(admin->kept[i].answer);
	lp_head_free(admin->head);
	free(admin);
}

static void on_client_handle_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;
	if (--client->open_handles)
		return;
	struct lp_admin *admin = client->admin;
	release_answer(client->answer);
	free(client);
	on_part_closed(admin);
}

static void close_client(struct client *client)
{
	if (client->closing)
		return;
	client->closing = true;
	lp_list_remove(&client->link);
	client->admin->client_count--;
	client->admin->stream_count -= client->stream != NULL;
	uv_close(&client->socket.handle, on_client_handle_closed);
	uv_close((uv_handle_t *)&client->timer, on_client_handle_closed);
}

static void on_timeout(uv_timer_t *timer)
{
	close_client(timer->data);
}

static void set_idle(struct client *client, bool idle)
{
	struct lp_admin *admin = client->admin;
	if (client->idle == idle)
		return;
	client->idle = idle;
	lp_list_remove(&client->link);
	lp_list_append(idle ? &admin->idle : &admin->clients, &client->link);
	uv_timer_start(&client->timer, on_timeout, idle ? LP_ADMIN_IDLE_MS : LP_ADMIN_TIMEOUT_MS, 0);
}

/* Requests */

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Service Unavailable";
	}
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct client *client = handle->data;
	(void)suggested;
	*buffer = uv_buf_init(client->head + client->length, (unsigned)(sizeof(client->head) - client->length));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);
static void handle_bytes(struct client *client);

/* What came with the request stays for the next one. */
static void on_written(uv_write_t *write, int status)
{
	struct client *client = write->data;
	release_answer(client->answer);
	client->answer = NULL;
	client->length -= client->request;
	memmove(client->head, client->head + client->request, client->length);
	client->request = 0;
	if (status || !client->keeps || client->closing) {
		close_client(client);
		return;
	}
	uv_timer_start(&client->timer, on_timeout, LP_ADMIN_TIMEOUT_MS, 0);
	set_idle(client, client->length == 0);
	if (uv_read_start(&client->socket.stream, on_allocate, on_read))
		close_client(client);
	else if (client->length)
		handle_bytes(client);
}

static void send_reply(struct client *client, size_t length, const char *body, size_t body_length)
{
	uv_buf_t buffers[] = {uv_buf_init(client->reply, (unsigned)length),
			      uv_buf_init((char *)body, (unsigned)body_length)};
	client->write.data = client;
	uv_read_stop(&client->socket.stream);
	if (uv_write(&client->write, &client->socket.stream, buffers, body_length ? 2 : 1, on_written))
		close_client(client);
}

static size_t write_head(struct client *client, int status, const char *type, size_t length)
{
	return (size_t)snprintf(client->reply, sizeof(client->reply),
				"HTTP/1.1 %d %s\r\n"
				"Content-Type: %s\r\n"
				"Content-Length: %zu\r\n"
				"%s"
				"Connection: %s\r\n" SAFETY "\r\n",
				status, reason_of(status), type, length, status == 405 ? "Allow: GET, HEAD\r\n" : "",
				client->keeps ? "keep-alive" : "close");
}

/* An answer that is no page: a sentence, and the end. */
static void refuse_request(struct client *client, int status, const char *sentence)
{
	client->keeps = false;
	size_t length = write_head(client, status, "text/plain; charset=utf-8", strlen(sentence));
	send_reply(client, length, sentence, strlen(sentence));
}

/* Streams */

static void on_part_written(uv_write_t *write, int status)
{
	struct client *client = write->data;
	client->writing = false;
	release_answer(client->answer);
	client->answer = NULL;
	client->written_ms = uv_now(client->admin->config.loop);
	if (status)
		close_client(client);
}

static void write_part(struct client *client, const char *bytes, size_t length)
{
	uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)length);
	client->write.data = client;
	client->writing = true;
	if (uv_write(&client->write, &client->socket.stream, &buffer, 1, on_part_written))
		close_client(client);
}

static void on_stream_turn(uv_timer_t *timer)
{
	struct client *client = timer->data;
	struct lp_admin *admin = client->admin;
	if (client->writing) {
		if (uv_now(admin->config.loop) - client->written_ms >= LP_ADMIN_TIMEOUT_MS)
			close_client(client);
		return;
	}
	struct answer *part = calloc(1, sizeof(*part));
	if (!part)
		return;
	part->users = 1;
	part->body = client->stream->next(admin->config.owner, &client->position, &part->length);
	if (!part->body) {
		release_answer(part);
		return;
	}
	client->answer = part;
	write_part(client, part->body, part->length);
}

/* What the client says from now on is not listened to, but that it leaves is seen. */
static void begin_stream(struct client *client, const struct lp_admin_page *page)
{
	struct lp_admin *admin = client->admin;
	client->stream = page;
	admin->stream_count++;
	client->length = 0;
	client->written_ms = uv_now(admin->config.loop);
	uv_timer_start(&client->timer, on_stream_turn, STREAM_BEGIN_MS, LP_ADMIN_STREAM_MS);
	int length = snprintf(client->reply, sizeof(client->reply),
			      "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n" SAFETY "\r\n", page->type);
	write_part(client, client->reply, (size_t)length);
}

static bool is_same_word(struct lp_slice one, const char *other)
{
	return one.length == strlen(other) && memcmp(one.bytes, other, one.length) == 0;
}

static bool same_name(struct lp_slice one, const char *other)
{
	return one.length == strlen(other) && strncasecmp(one.bytes, other, one.length) == 0;
}

/* "127.0.0.1:9090" without what says the port. */
static struct lp_slice without_port(struct lp_slice host)
{
	const char *colon = memrchr(host.bytes, ':', host.length);
	const char *bracket = memrchr(host.bytes, ']', host.length);
	if (colon && (!bracket || colon > bracket))
		host.length = (size_t)(colon - host.bytes);
	return host;
}

static bool is_loopback(const struct lp_ip *ip)
{
	static const uint8_t v6[16] = {[15] = 1};
	return ip->family == LP_FAMILY_IPV4 ? ip->bytes[0] == 127
					    : ip->family == LP_FAMILY_IPV6 && memcmp(ip->bytes, v6, sizeof(v6)) == 0;
}

/* Whether a host can only mean this listener: a name that another server could have does not count. */
static bool is_own_host(const struct lp_admin *admin, struct lp_slice value)
{
	struct lp_slice host = without_port(value);
	struct lp_slice address = host;
	struct lp_ip ip;
	struct lp_ip own;
	uint16_t port;
	for (size_t i = 0; i < admin->config.host_count; i++)
		if (same_name(host, admin->config.hosts[i]))
			return true;
	if (same_name(host, "localhost"))
		return true;
	if (host.length > 2 && host.bytes[0] == '[' && host.bytes[host.length - 1] == ']')
		address = (struct lp_slice){host.bytes + 1, host.length - 2};
	if (lp_ip_parse(address.bytes, address.length, &ip) != 0)
		return false;
	lp_ip_from_socket(&admin->address.socket.any, &own, &port);
	return is_loopback(&ip) || lp_ip_equal(&ip, &own);
}

/* A program that sends no Host is no browser. */
static bool names_us(const struct lp_admin *admin)
{
	const struct lp_header *host = lp_head_header(admin->head, LP_SLICE("host"), NULL);
	if (admin->address.socket.any.sa_family == AF_UNIX || !host)
		return true;
	return !lp_head_header(admin->head, LP_SLICE("host"), host) && is_own_host(admin, host->value);
}

static const struct lp_admin_page *find_page(const struct lp_admin *admin)
{
	for (size_t i = 0; i < admin->config.page_count; i++)
		if (is_same_word(admin->head->path, admin->config.pages[i].path))
			return &admin->config.pages[i];
	return NULL;
}

static void answer_request(struct client *client)
{
	struct lp_admin *admin = client->admin;
	const struct lp_admin_page *page = find_page(admin);
	bool is_head = is_same_word(admin->head->method, "HEAD");
	if (lp_head_headers(admin->head, NULL) < 0)
		refuse_request(client, 400, "a header of this request is malformed\n");
	else if (!names_us(admin))
		refuse_request(
			client, 403,
			"this host name is not known here; use the address or localhost, or give it to limpet as "
			"--admin-host\n");
	else if (!is_head && !is_same_word(admin->head->method, "GET"))
		refuse_request(client, 405, "GET and HEAD only\n");
	else if (!page)
		refuse_request(client, 404, "there are /, /metrics, /healthz, /readyz and /status.json\n");
	else if (page->next && (is_head || admin->stream_count == LP_ADMIN_STREAMS_MAX))
		refuse_request(client, 503, "no further stream is possible; close another page of limpet's\n");
	else if (page->next)
		begin_stream(client, page);
	else if (!(client->answer = get_answer(admin, page)))
		refuse_request(client, 503, "no memory for the answer; ask again\n");
	else
		send_reply(client, write_head(client, client->answer->status, page->type, client->answer->length),
			   client->answer->body, is_head ? 0 : client->answer->length);
}

/* Whether the client may send another request: HTTP/1.1, nothing after the head, and no wish to the contrary. */
static bool may_go_on(const struct lp_head *head, const char *bytes, size_t length)
{
	const char *end = memchr(bytes, '\r', length);
	const struct lp_header *wish = lp_head_header(head, LP_SLICE("connection"), NULL);
	const struct lp_header *body = lp_head_header(head, LP_SLICE("content-length"), NULL);
	return end && end - bytes > 8 && memcmp(end - 8, "HTTP/1.1", 8) == 0 &&
	       (!wish || same_name(wish->value, "keep-alive")) && (!body || is_same_word(body->value, "0")) &&
	       !lp_head_header(head, LP_SLICE("transfer-encoding"), NULL);
}

static void handle_bytes(struct client *client)
{
	struct lp_admin *admin = client->admin;
	int parsed = lp_head_parse(admin->head, client->head, client->length);
	client->keeps = parsed > 0 && may_go_on(admin->head, client->head, (size_t)parsed);
	client->request = parsed > 0 ? (size_t)parsed : client->length;
	if (parsed > 0)
		answer_request(client);
	else if (parsed != LP_AGAIN)
		refuse_request(client, 400, "this is no HTTP/1 request\n");
	else if (client->length == sizeof(client->head))
		refuse_request(client, 431, "the request head is longer than 4096 bytes\n");
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct client *client = stream->data;
	(void)buffer;
	if (got < 0) {
		close_client(client);
		return;
	}
	if (client->stream)
		return;
	client->length += (size_t)got;
	if (!client->length)
		return;
	set_idle(client, false);
	handle_bytes(client);
}

static int open_stream(struct client *client, uv_loop_t *loop, int fd)
{
	if (client->admin->address.socket.any.sa_family == AF_UNIX) {
		uv_pipe_init(loop, &client->socket.pipe, 0);
		return uv_pipe_open(&client->socket.pipe, fd);
	}
	uv_tcp_init(loop, &client->socket.tcp);
	return uv_tcp_open(&client->socket.tcp, fd);
}

static void on_accepted(struct lp_acceptor *acceptor, int fd, const union lp_peer *peer)
{
	struct lp_admin *admin = acceptor->owner;
	if (admin->client_count == LP_ADMIN_CLIENTS_MAX && !lp_list_empty(&admin->idle))
		close_client(LP_LIST_OWNER(admin->idle.next, struct client, link));
	struct client *client = admin->client_count < LP_ADMIN_CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	(void)peer;
	if (!client) {
		close(fd);
		return;
	}
	client->admin = admin;
	client->open_handles = 2;
	admin->parts++;
	admin->client_count++;
	lp_list_append(&admin->clients, &client->link);
	int status = open_stream(client, admin->config.loop, fd);
	uv_timer_init(admin->config.loop, &client->timer);
	client->socket.handle.data = client;
	client->timer.data = client;
	uv_timer_start(&client->timer, on_timeout, LP_ADMIN_TIMEOUT_MS, 0);
	if (status)
		close(fd);
	if (status || uv_read_start(&client->socket.stream, on_allocate, on_read))
		close_client(client);
}

/* Listening */

int lp_admin_check(const char *address, size_t host_count, struct lp_error *error)
{
	struct lp_listen_address parsed;
	struct lp_ip ip;
	uint16_t port;
	int status = lp_listen_address_parse(address, &parsed, error);
	if (status || parsed.socket.any.sa_family == AF_UNIX || host_count)
		return status;
	lp_ip_from_socket(&parsed.socket.any, &ip, &port);
	if (is_loopback(&ip))
		return 0;
	return lp_error_set(
		error, LP_EUSAGE,
		"\"%s\" can be reached from other machines, and whoever reaches it can read all that it "
		"tells; use 127.0.0.1:%u or unix:/PATH, or say by --admin-host NAME under which name it may be "
		"asked",
		address, port);
}

static int bind_to(struct lp_admin *admin, int fd, struct lp_error *error)
{
	struct lp_listen_address *address = &admin->address;
	const char *path = address->socket.un.sun_path;
	int on = 1;
	int off = 0;
	if (address->socket.any.sa_family == AF_UNIX) {
		int mode = address->access.has_mode ? (int)address->access.mode : 0600;
		int status = lp_unix_path_bind(fd, path, mode, &admin->path, error);
		return status ? status : lp_socket_access_give(&address->access, path, error);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->socket.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->both_families ? &off : &on, sizeof(on));
	if (bind(fd, &address->socket.any, address->length) == 0)
		return 0;
	return lp_error_set(error, -errno, "%s", lp_error_words(-errno));
}

static int start_listening(struct lp_admin *admin, struct lp_error *error)
{
	socklen_t length = sizeof(admin->address.socket);
	int fd = socket(admin->address.socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int status = fd < 0 ? lp_error_set(error, -errno, "%s", lp_error_words(-errno)) : bind_to(admin, fd, error);
	if (!status && listen(fd, BACKLOG))
		status = lp_error_set(error, -errno, "%s", lp_error_words(-errno));
	if (!status && admin->address.socket.any.sa_family != AF_UNIX)
		getsockname(fd, &admin->address.socket.any, &length);
	if (!status) {
		status = lp_acceptor_start(&admin->acceptor, admin->config.loop, admin->config.log,
					   admin->config.address, fd, on_accepted, admin);
		if (status)
			lp_error_set(error, status, "%s", lp_error_words(status));
	}
	if (status && fd >= 0)
		close(fd);
	return status;
}

int lp_admin_open(struct lp_admin **out, const struct lp_admin_config *config, struct lp_error *error)
{
	struct lp_error reason = {0};
	char bound[LP_LISTEN_TEXT_SIZE];
	*out = NULL;
	int status = lp_admin_check(config->address, config->host_count, error);
	if (status)
		return status;
	struct lp_admin *admin = calloc(1, sizeof(*admin));
	if (admin)
		admin->head = lp_head_new(LP_ADMIN_HEAD_MAX);
	if (!admin || !admin->head) {
		free(admin);
		return lp_error_set(error, -ENOMEM, "no memory for the admin listener");
	}
	admin->config = *config;
	admin->parts = 1;
	lp_list_init(&admin->clients);
	lp_list_init(&admin->idle);
	lp_listen_address_parse(config->address, &admin->address, NULL);
	status = start_listening(admin, &reason);
	if (status) {
		lp_unix_path_remove(admin->address.socket.un.sun_path, &admin->path);
		lp_head_free(admin->head);
		free(admin);
		return lp_error_set(error, status, "cannot listen for --admin on %s: %s", config->address, reason.text);
	}
	lp_listen_address_format(&admin->address, bound);
	lp_log_write(config->log, LP_LOG_INFO, LP_LOG_ABOUT(.listener = bound),
		     "metrics and status are at %s%s/metrics",
		     admin->address.socket.any.sa_family == AF_UNIX ? "" : "http://", bound);
	*out = admin;
	return 0;
}

static void on_acceptor_closed(struct lp_acceptor *acceptor)
{
	on_part_closed(acceptor->owner);
}

void lp_admin_close(struct lp_admin *admin, void (*closed)(void *owner), void *owner)
{
	admin->closed = closed;
	admin->closed_owner = owner;
	lp_unix_path_remove(admin->address.socket.un.sun_path, &admin->path);
	lp_acceptor_close(&admin->acceptor, on_acceptor_closed);
	while (!lp_list_empty(&admin->clients))
		close_client(LP_LIST_OWNER(admin->clients.next, struct client, link));
	while (!lp_list_empty(&admin->idle))
		close_client(LP_LIST_OWNER(admin->idle.next, struct client, link));
}
