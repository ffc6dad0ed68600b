/**
 * Policies without a balancer: four usable workers, sessions, limpet.shared, a log that is kept in memory, and made-up
 * connections. Include after cmocka.h. A failing helper fails the test at the line that called it.
 */
#ifndef LP_TESTS_POLICY_FIXTURE_H
#define LP_TESTS_POLICY_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/policy.h"

#define FIXTURE_WORKERS 4
#define FIXTURE_MAX_HEAD 16384

/* A request without anything to it. */
#define FIXTURE_REQUEST "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"

struct fixture {
	struct lp_workers workers;
	struct lp_log log;
	struct lp_network trusted;
	struct lp_policy_host host;
	struct lp_policy *policy;
	struct lp_head *head;
	struct lp_hello hello;
	struct lp_policy_conn conn; /* From 192.0.2.1, not looked at. */
	lp_policy_cursor cursor;
	char folder[32];
	char file[64]; /* The file that fixture_load writes. */
	char said[65536];
};

static inline int fixture_set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	*state = fixture;
	lp_workers_init(&fixture->workers, FIXTURE_WORKERS, 1);
	for (unsigned id = 1; id <= FIXTURE_WORKERS; id++) {
		lp_workers_set_usable(&fixture->workers, id, true);
		lp_workers_find(&fixture->workers, id)->pid = (pid_t)(1000 + id);
	}
	lp_log_init(&fixture->log, memfd_create("log", MFD_CLOEXEC), LP_LOG_DEBUG, LP_LOG_TEXT);
	lp_network_parse("10.0.0.0/8", &fixture->trusted, NULL);
	fixture->head = lp_head_new(FIXTURE_MAX_HEAD);
	fixture->host = (struct lp_policy_host){
		.workers = &fixture->workers,
		.sessions = lp_sessions_new(1000, &fixture->workers, 1),
		.shared = lp_shared_new(4, 200, 1),
		.log = &fixture->log,
		.trust = {&fixture->trusted, 1},
	};
	fixture->conn = (struct lp_policy_conn){.port = 4321, .listener = ":3000"};
	lp_ip_parse("192.0.2.1", strlen("192.0.2.1"), &fixture->conn.ip);
	strcpy(fixture->folder, "/tmp/limpet-policy-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->file, sizeof(fixture->file), "%s/p.lua", fixture->folder);
	return fixture->head && fixture->host.sessions && fixture->host.shared ? 0 : -1;
}

static inline int fixture_tear_down(void **state)
{
	struct fixture *fixture = *state;

	lp_policy_free(fixture->policy);
	lp_head_free(fixture->head);
	lp_shared_free(fixture->host.shared);
	lp_sessions_free(fixture->host.sessions);
	lp_workers_deinit(&fixture->workers);
	close(fixture->log.fd);
	unlink(fixture->file);
	rmdir(fixture->folder);
	free(fixture);
	return 0;
}

static inline void fixture_write(struct fixture *fixture, const char *source, size_t length)
{
	FILE *file = fopen(fixture->file, "w");

	fwrite(source, 1, length, file);
	fclose(file);
}

/** What has been logged since fixture_forget, all lines. */
static inline const char *fixture_said(struct fixture *fixture)
{
	ssize_t length = pread(fixture->log.fd, fixture->said, sizeof(fixture->said) - 1, 0);

	fixture->said[length > 0 ? length : 0] = '\0';
	return fixture->said;
}

/** Empty the log, and its budgets. */
static inline void fixture_forget(struct fixture *fixture)
{
	lseek(fixture->log.fd, 0, SEEK_SET);
	if (ftruncate(fixture->log.fd, 0) != 0)
		abort();
	memset(fixture->log.budgets, 0, sizeof(fixture->log.budgets));
}

static inline void assert_contains_at(const char *text, const char *part, const char *file, int line)
{
	if (!strstr(text, part)) {
		print_error("\"%s\" is not in:\n%s\n", part, text);
		_fail(file, line);
	}
}
#define assert_contains(text, part) assert_contains_at(text, part, __FILE__, __LINE__)
#define assert_said(fixture, part) assert_contains_at(fixture_said(fixture), part, __FILE__, __LINE__)

/** Load a name, or several, in place of the policy there is. */
static inline void fixture_load_names_at(struct fixture *fixture, const char *const *names, size_t count,
					 const char *file, int line)
{
	struct lp_error error = {0};

	lp_policy_free(fixture->policy);
	fixture->cursor = 0;
	if (lp_policy_load(&fixture->policy, &fixture->host, names, count, &error) != 0) {
		print_error("%s\n", error.text);
		_fail(file, line);
	}
}
#define load_named(fixture, name) fixture_load_names_at(fixture, (const char *const[]){name}, 1, __FILE__, __LINE__)

/** Load a source text, as the file fixture->file. */
static inline void fixture_load_at(struct fixture *fixture, const char *source, const char *file, int line)
{
	fixture_write(fixture, source, strlen(source));
	fixture_load_names_at(fixture, (const char *const[]){fixture->file}, 1, file, line);
}
#define load(fixture, source) fixture_load_at(fixture, source, __FILE__, __LINE__)

/** Assert that a source text does not load, and why; message is what follows "policy FILE". */
static inline void assert_refused_at(struct fixture *fixture, const char *source, const char *message, const char *file,
				     int line)
{
	struct lp_policy *policy = (struct lp_policy *)fixture;
	struct lp_error error = {0};
	const char *name = fixture->file;
	char expected[512];

	fixture_write(fixture, source, strlen(source));
	if (lp_policy_load(&policy, &fixture->host, &name, 1, &error) != LP_EPOLICY || policy) {
		print_error("it loads: %s\n", source);
		_fail(file, line);
	}
	snprintf(expected, sizeof(expected), "policy %s%s", fixture->file, message);
	assert_contains_at(error.text, expected, file, line);
}
#define assert_refused(fixture, source, message) assert_refused_at(fixture, source, message, __FILE__, __LINE__)

/** Ask the policy about fixture->conn, from the first hook on. */
static inline struct lp_verdict ask(struct fixture *fixture)
{
	fixture->cursor = 0;
	return lp_policy_decide(fixture->policy, &fixture->conn, &fixture->cursor);
}

/** Make fixture->conn one that has sent a request head. The text must stay. */
static inline void fixture_request_at(struct fixture *fixture, const char *text, const char *file, int line)
{
	if (lp_head_parse(fixture->head, text, strlen(text)) != (int)strlen(text)) {
		print_error("no head: %s\n", text);
		_fail(file, line);
	}
	fixture->conn.protocol = LP_PROTOCOL_HTTP;
	fixture->conn.head = fixture->head;
}
#define request(fixture, text) fixture_request_at(fixture, text, __FILE__, __LINE__)

/** Make fixture->conn one that has sent a ClientHello. */
static inline void hello(struct fixture *fixture, const char *sni)
{
	fixture->hello = (struct lp_hello){
		.sni = {sni, sni ? strlen(sni) : 0},
		.alpn = {LP_SLICE("h2"), LP_SLICE("http/1.1")},
		.alpn_count = 2,
	};
	fixture->conn.protocol = LP_PROTOCOL_TLS;
	fixture->conn.hello = &fixture->hello;
}

static inline void fixture_come_from(struct fixture *fixture, const char *ip)
{
	if (lp_ip_parse(ip, strlen(ip), &fixture->conn.ip) != 0)
		abort();
}

static inline void assert_worker_at(struct lp_verdict verdict, unsigned worker, const char *file, int line)
{
	_assert_int_equal(verdict.kind, LP_VERDICT_WORKER, file, line);
	_assert_int_equal(verdict.worker, worker, file, line);
}
#define assert_worker(verdict, worker) assert_worker_at(verdict, worker, __FILE__, __LINE__)
#define assert_no_opinion(verdict) assert_int_equal((verdict).kind, LP_VERDICT_NONE)

/** Run statements in a hook ("on_request"), on fixture->conn. */
static inline struct lp_verdict fixture_run_at(struct fixture *fixture, const char *hook, const char *statements,
					       const char *file, int line)
{
	char source[2048];

	snprintf(source, sizeof(source), "return { %s = function(conn, workers) %s end }", hook, statements);
	fixture_load_at(fixture, source, file, line);
	fixture_forget(fixture);
	return ask(fixture);
}
#define run(fixture, hook, statements) fixture_run_at(fixture, hook, statements, __FILE__, __LINE__)

/** Assert what tostring says of an expression in a hook. */
static inline void assert_gives_at(struct fixture *fixture, const char *hook, const char *expression,
				   const char *expected, const char *file, int line)
{
	char statements[1024];
	char logged[1024];

	snprintf(statements, sizeof(statements), "local r = %s limpet.log.info('<' .. tostring(r) .. '>')", expression);
	fixture_run_at(fixture, hook, statements, file, line);
	snprintf(logged, sizeof(logged), "policy %s: <%s>\n", fixture->file, expected);
	assert_contains_at(fixture_said(fixture), logged, file, line);
}
#define assert_gives(fixture, expression, expected)                                                                    \
	assert_gives_at(fixture, "on_request", expression, expected, __FILE__, __LINE__)
#define assert_gives_in(fixture, hook, expression, expected)                                                           \
	assert_gives_at(fixture, hook, expression, expected, __FILE__, __LINE__)

/** Assert that an expression in on_request raises, is logged with the line, is counted once, and is no opinion. */
static inline void assert_raises_at(struct fixture *fixture, const char *expression, const char *message,
				    const char *file, int line)
{
	char statements[1024];
	char logged[1024];

	snprintf(statements, sizeof(statements), "local r = %s", expression);
	_assert_int_equal(fixture_run_at(fixture, "on_request", statements, file, line).kind, LP_VERDICT_NONE, file,
			  line);
	_assert_int_equal(lp_policy_errors(fixture->policy), 1, file, line);
	snprintf(logged, sizeof(logged), "limpet: policy %s:1: ", fixture->file);
	assert_contains_at(fixture_said(fixture), logged, file, line);
	assert_contains_at(fixture->said, message, file, line);
}
#define assert_raises(fixture, expression, message) assert_raises_at(fixture, expression, message, __FILE__, __LINE__)

#define policy_test(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)

#endif
