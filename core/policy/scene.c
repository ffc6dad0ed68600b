/*
 * The log is a file in memory, because that is what lp_log writes to. Its budgets are emptied whenever somebody reads, so
 * that a tool which reads after every call misses nothing.
 */
#include "policy/scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEED 1
#define SESSIONS_MAX 100000
#define SHARED_ENTRIES_MAX 65536
#define SHARED_BYTES_MAX ((size_t)16 << 20)

/* The clock's beginning: long after 0, so that a policy that takes differences from 0 is not right by chance. */
#define BEGINNING_NS 1000000000000u

#define TLS_HANDSHAKE 0x16
#define PREFIX "limpet: "

int lp_scene_init(struct lp_scene *scene)
{
	int fd = memfd_create("limpet-log", MFD_CLOEXEC);

	*scene = (struct lp_scene){.now_ns = BEGINNING_NS};
	lp_log_init(&scene->log, fd, LP_LOG_DEBUG, LP_LOG_TEXT);
	if (fd < 0)
		return -errno;
	if (lp_workers_init(&scene->workers, LP_SCENE_WORKERS_MAX, SEED) < 0)
		return -ENOMEM;
	scene->host = (struct lp_policy_host){
		.workers = &scene->workers,
		.log = &scene->log,
		.now_ns = &scene->now_ns,
		.random_seed = SEED,
	};
	return lp_scene_reset(scene, 0);
}

void lp_scene_deinit(struct lp_scene *scene)
{
	lp_sessions_free(scene->host.sessions);
	lp_shared_free(scene->host.shared);
	lp_workers_deinit(&scene->workers);
	lp_head_free(scene->head);
	free(scene->trusted);
	free(scene->bytes);
	if (scene->log.fd >= 0)
		close(scene->log.fd);
}

void lp_scene_set_workers(struct lp_scene *scene, unsigned workers)
{
	for (unsigned id = 1; id <= LP_SCENE_WORKERS_MAX; id++) {
		struct lp_worker *worker = lp_workers_find(&scene->workers, id);

		lp_workers_set_usable(&scene->workers, id, id <= workers);
		worker->pid = id <= workers ? (pid_t)(1000 + id) : 0;
		worker->connections = worker->waiting = 0;
		worker->started_ns = scene->now_ns;
	}
}

int lp_scene_reset(struct lp_scene *scene, unsigned workers)
{
	scene->now_ns = BEGINNING_NS;
	for (unsigned id = 1; id <= LP_SCENE_WORKERS_MAX; id++)
		lp_workers_find(&scene->workers, id)->sessions = 0;
	lp_sessions_free(scene->host.sessions);
	lp_shared_free(scene->host.shared);
	lp_scene_set_workers(scene, workers);
	scene->workers.last = 0;
	scene->workers.random = SEED;
	scene->host.trust = (struct lp_trust){0};
	scene->host.rules = &lp_session_rule_sid;
	scene->host.rule_count = 1;
	scene->host.sessions = lp_sessions_new(SESSIONS_MAX, &scene->workers, SEED);
	scene->host.shared = lp_shared_new(SHARED_ENTRIES_MAX, SHARED_BYTES_MAX, SEED);
	return scene->host.sessions && scene->host.shared ? 0 : -ENOMEM;
}

int lp_scene_trust(struct lp_scene *scene, const char *cidr, struct lp_error *error)
{
	size_t count = scene->host.trust.count;
	struct lp_network *networks = reallocarray(scene->trusted, count + 1, sizeof(*networks));
	int status;

	if (!networks)
		return lp_error_set(error, -ENOMEM, "no memory for another network");
	scene->trusted = networks;
	status = lp_network_parse(cidr, &networks[count], error);
	scene->host.trust.networks = networks;
	scene->host.trust.count = count + (status == 0);
	return status;
}

int lp_scene_add_session_rule(struct lp_scene *scene, const char *what, struct lp_error *error)
{
	size_t count = scene->host.rules == scene->rules ? scene->host.rule_count : 0;
	int status;

	if (count == LP_SESSION_RULES_MAX)
		return lp_error_set(error, LP_EUSAGE, "sessions are looked for in %d places at most",
				    LP_SESSION_RULES_MAX);
	status = lp_session_rule_parse(what, &scene->rules[count], error);
	if (status == 0) {
		scene->host.rules = scene->rules;
		scene->host.rule_count = count + 1;
	}
	return status;
}

/* A query's value: what is not plain is written as %XX. */
static void write_encoded(FILE *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text; text++)
		if (strchr(plain, *text))
			fputc(*text, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*text);
}

static void write_request(FILE *out, const struct lp_scene_conn *what)
{
	const char *path = what->path ? what->path : "/";
	bool has_host = false;

	fprintf(out, "%s %s", what->method ? what->method : "GET", path);
	if (what->sid) {
		fprintf(out, "%csid=", strchr(path, '?') ? '&' : '?');
		write_encoded(out, what->sid);
	}
	fprintf(out, " HTTP/1.1\r\n");
	for (size_t i = 0; i < what->header_count; i++)
		has_host = has_host || strncasecmp(what->headers[i], "host:", strlen("host:")) == 0;
	if (!has_host)
		fprintf(out, "Host: localhost\r\n");
	for (size_t i = 0; i < what->header_count; i++)
		fprintf(out, "%s\r\n", what->headers[i]);
	fprintf(out, "\r\n");
}

/* Keep the first bytes of a connection. Returns their number, or -ENOMEM. */
static ssize_t keep_bytes(struct lp_scene *scene, const struct lp_scene_conn *what)
{
	size_t length = 0;
	FILE *out;
	bool failed;

	free(scene->bytes);
	scene->bytes = NULL;
	out = open_memstream(&scene->bytes, &length);
	if (!out)
		return -ENOMEM;
	if (what->raw.bytes)
		fwrite(what->raw.bytes, 1, what->raw.length, out);
	else
		write_request(out, what);
	failed = ferror(out);
	return fclose(out) == 0 && !failed && scene->bytes ? (ssize_t)length : -ENOMEM; /* It closes without, too. */
}

static int parse_first_bytes(struct lp_scene *scene, const struct lp_scene_conn *what, size_t length,
			     struct lp_policy_conn *conn, struct lp_error *error)
{
	bool is_tls = scene->bytes[0] == TLS_HANDSHAKE;
	int status;

	lp_head_free(scene->head);
	scene->head = lp_head_new(length);
	if (!scene->head)
		return lp_error_set(error, -ENOMEM, "no memory for a request head");
	status = is_tls ? lp_hello_parse(&scene->hello, (const unsigned char *)scene->bytes, length)
			: lp_head_parse(scene->head, scene->bytes, length);
	if (!is_tls && status > 0 && lp_head_headers(scene->head, NULL) < 0)
		status = LP_ENOTHTTP;
	if (status == LP_AGAIN)
		return lp_error_set(error, LP_EUSAGE,
				    is_tls ? "the TLS hello is not complete"
					   : "the request head is not complete: no empty line ends it");
	if (status < 0 && !what->raw.bytes)
		return lp_error_set(error, LP_EUSAGE, "these make no request that limpet would take: \"%.*s\"",
				    (int)strcspn(scene->bytes, "\r\n"), scene->bytes);
	conn->protocol = status < 0 ? LP_PROTOCOL_OTHER : is_tls ? LP_PROTOCOL_TLS : LP_PROTOCOL_HTTP;
	conn->head = conn->protocol == LP_PROTOCOL_HTTP ? scene->head : NULL;
	conn->hello = conn->protocol == LP_PROTOCOL_TLS ? &scene->hello : NULL;
	return 0;
}

static void say_hello(struct lp_scene *scene, const struct lp_scene_conn *what, struct lp_policy_conn *conn)
{
	struct lp_hello *hello = &scene->hello;

	*hello = (struct lp_hello){0};
	if (what->sni)
		hello->sni = (struct lp_slice){what->sni, strlen(what->sni)};
	while (hello->alpn_count < what->alpn_count && hello->alpn_count < LP_HELLO_ALPN_MAX) {
		const char *protocol = what->alpn[hello->alpn_count];

		hello->alpn[hello->alpn_count++] = (struct lp_slice){protocol, strlen(protocol)};
	}
	conn->protocol = LP_PROTOCOL_TLS;
	conn->hello = hello;
}

int lp_scene_connect(struct lp_scene *scene, const struct lp_scene_conn *what, struct lp_policy_conn *conn,
		     struct lp_error *error)
{
	const char *ip = what->ip ? what->ip : "192.0.2.1";
	bool is_unix = strcmp(ip, "unix") == 0;
	ssize_t length;

	*conn = (struct lp_policy_conn){
		.port = is_unix ? 0 : (uint16_t)(what->port ? what->port : 50000),
		.listener = what->listener ? what->listener : ":3000",
		.session_awaited = true,
	};
	if (!is_unix && lp_ip_parse(ip, strlen(ip), &conn->ip) != 0)
		return lp_error_set(error, LP_EUSAGE, "\"%s\" is no address, such as 192.0.2.1 or 2001:db8::1", ip);
	if (what->sni || what->alpn_count > 0) {
		say_hello(scene, what, conn);
		return 0;
	}
	length = keep_bytes(scene, what);
	if (length < 0)
		return lp_error_set(error, -ENOMEM, "no memory for a request head");
	if (length > 0)
		return parse_first_bytes(scene, what, (size_t)length, conn, error);
	conn->protocol = LP_PROTOCOL_OTHER;
	return 0;
}

bool lp_scene_next_line(struct lp_scene *scene, char *line)
{
	ssize_t got = pread(scene->log.fd, line, LP_SCENE_LINE_SIZE, (off_t)scene->log_read);
	char *end = got > 0 ? memchr(line, '\n', (size_t)got) : NULL;

	memset(scene->log.budgets, 0, sizeof(scene->log.budgets));
	if (!end)
		return false;
	*end = '\0';
	scene->log_read += (size_t)(end - line) + 1;
	if (strncmp(line, PREFIX, strlen(PREFIX)) == 0)
		memmove(line, line + strlen(PREFIX), strlen(line + strlen(PREFIX)) + 1);
	return true;
}
