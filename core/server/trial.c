/*
 * A trial stands in an lp_scene, which makes connections and keeps the log, but not with the scene's workers, sessions
 * and clock: those are copied from, look into and show the balancer's, anew before every run.
 *
 * A hook is asked as the waiting room would ask it: first without any bytes, then, when it wants to look, with all of
 * them. All connections have waited for their session already, so none asks to be awaited.
 *
 * Limits: a connection that was never recorded, and is unlike the made-up ones, is met only after the reload; that is
 * what probation is for. What a policy reads from limpet.shared it finds missing here.
 */
#include "server/trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/scene.h"
#include "policy/survey.h"

#define SESSIONS 4096
#define SHARED_ENTRIES 4096
#define SHARED_BYTES (1u << 20)
#define SEED 1

/* Of a path, in messages. */
#define PATH_SHOWN 100

/* Sessions with a longer key are passed over. */
#define SID_SIZE 128

struct lp_trial {
	struct lp_scene scene;
	struct lp_workers workers;
	const struct lp_policy_host *live;
	const struct limpet_options *options;
	struct lp_policy *policy;
};

static const char *const odd_headers[] = {
	"X-Forwarded-For: unknown, 203.0.113.9, , [2001:db8::2]:443",
	"Forwarded: for=_hidden;proto=https",
	"Cookie: ; =; a=1; a=2",
	"Cookie: io",
	"Authorization: ",
	"X-Empty:",
};

static const char *const websocket_headers[] = {
	"Connection: Upgrade",         "Upgrade: websocket",         "Origin: https://a.example",
	"Cookie: io=1234; theme=dark", "Authorization: Bearer 1234", "X-Forwarded-For: 203.0.113.9",
};

static const char *const protocols[] = {"h2", "http/1.1"};

#define POLLING "/socket.io/?EIO=4&transport=polling"
#define LIST(array) (array), sizeof(array) / sizeof((array)[0])
#define HEADERS(array) .headers = (array), .header_count = sizeof(array) / sizeof((array)[0])

/* What is tried at every listener. */
static const struct made_up {
	const char *name;
	struct lp_scene_conn conn;
} made_up[] = {
	{"GET / over IPv4", {.ip = "192.0.2.1"}},
	{"GET / over IPv6", {.ip = "2001:db8::1"}},
	{"GET " POLLING, {.path = POLLING}},
	{"GET " POLLING "&sid=…", {.path = POLLING, .sid = "lv_VI97HAXpY6yYWAAAC"}},
	{"POST " POLLING "&sid=…", {.method = "POST", .path = POLLING, .sid = "lv_VI97HAXpY6yYWAAAC"}},
	{"a WebSocket with cookies", {.path = "/socket.io/?EIO=4&transport=websocket", HEADERS(websocket_headers)}},
	{"a request with an empty sid and odd headers", {.path = "/?sid=&sid=%zz&%00", HEADERS(odd_headers)}},
	{"OPTIONS * without any header", {.raw = {"OPTIONS * HTTP/1.0\r\n\r\n", 22}}},
	{"a TLS hello", {.sni = "a.example", .alpn = LIST(protocols)}},
	{"a TLS hello over IPv6 without a name", {.ip = "2001:db8::1", .alpn = LIST(protocols)}},
	{"bytes that are neither HTTP nor TLS", {.raw = {"\x05\x01\x00", 3}}},
};

/* Surroundings */

static void copy_workers(struct lp_trial *trial)
{
	const struct lp_workers *live = trial->live->workers;
	struct lp_worker *slots = trial->workers.slots;

	trial->workers = *live;
	trial->workers.slots = slots;
	memcpy(slots, live->slots, live->count * sizeof(*slots));
	for (unsigned i = 0; i < live->count; i++)
		slots[i].busy = false; /* Nothing waits here. */
	for (unsigned id = 1; !live->usable_count && id <= live->count; id++)
		lp_workers_set_usable(&trial->workers, id, true);
}

/* As they are outside, now. */
static int renew_copies(struct lp_trial *trial)
{
	struct lp_scene *scene = &trial->scene;
	struct lp_policy_host *host = &scene->host;

	copy_workers(trial);
	lp_sessions_free(host->sessions);
	lp_shared_free(host->shared);
	scene->now_ns = lp_clock_ns();
	*host = *trial->live;
	host->workers = &trial->workers;
	host->sessions = lp_sessions_new_view(trial->live->sessions, SESSIONS, &trial->workers);
	host->shared = lp_shared_new(SHARED_ENTRIES, SHARED_BYTES, SEED);
	host->log = &scene->log;
	host->now_ns = &scene->now_ns;
	host->random_seed = SEED;
	return host->sessions && host->shared ? 0 : -ENOMEM;
}

int lp_trial_new(struct lp_trial **out, const struct lp_policy_host *live, const struct limpet_options *options,
		 struct lp_error *error)
{
	struct lp_trial *trial = calloc(1, sizeof(*trial));
	int status = trial ? lp_scene_init(&trial->scene) : -ENOMEM;

	*out = NULL;
	if (!status)
		status = lp_workers_init(&trial->workers, live->workers->count, SEED);
	if (!status) {
		trial->live = live;
		trial->options = options;
		trial->scene.log.level = LP_LOG_ERROR;
		status = renew_copies(trial);
	}
	if (status)
		lp_error_set(error, status, "policies cannot be tried: %s", lp_error_words(status));
	else
		status = lp_policy_load(&trial->policy, &trial->scene.host, options->policies, options->policy_count,
					error);
	if (!status)
		status = lp_policy_check_settings(trial->policy, error);
	if (status)
		lp_trial_free(trial);
	else
		*out = trial;
	return status;
}

const struct lp_policy *lp_trial_policy(const struct lp_trial *trial)
{
	return trial->policy;
}

void lp_trial_free(struct lp_trial *trial)
{
	if (!trial)
		return;
	lp_policy_free(trial->policy);
	lp_scene_deinit(&trial->scene);
	lp_workers_deinit(&trial->workers);
	free(trial);
}

/* Asking */

static struct lp_verdict ask_policies(struct lp_trial *trial, const struct lp_policy_conn *conn)
{
	struct lp_policy_conn unseen = {
		.ip = conn->ip,
		.port = conn->port,
		.listener = conn->listener,
		.session_awaited = true,
	};
	lp_policy_cursor cursor = 0;
	struct lp_verdict verdict = lp_policy_decide(trial->policy, &unseen, &cursor);

	if (verdict.kind == LP_VERDICT_LOOK)
		verdict = lp_policy_decide(trial->policy, conn, &cursor);
	return verdict;
}

/* Ask, and refuse what fails. The last error of the log is what was raised. */
static int try_on(struct lp_trial *trial, const struct lp_policy_conn *conn, const char *name, struct lp_error *error)
{
	uint64_t errors = lp_policy_errors(trial->policy);
	char lines[2][LP_SCENE_LINE_SIZE] = {"", ""};
	unsigned line = 0;

	ask_policies(trial, conn);
	if (lp_policy_errors(trial->policy) == errors)
		return 0;
	while (lp_scene_next_line(&trial->scene, lines[line]))
		line = !line;
	return lp_error_set(error, LP_EPOLICY, "%s; tried on %s", lines[!line], name);
}

static int try_made_up(struct lp_trial *trial, const char *listener, struct lp_error *error)
{
	bool is_unix = strncmp(listener, "unix:", strlen("unix:")) == 0;
	char name[256];

	for (size_t i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++) {
		struct lp_scene_conn what = made_up[i].conn;
		struct lp_policy_conn conn;

		what.listener = listener;
		what.ip = is_unix ? "unix" : what.ip;
		snprintf(name, sizeof(name), "a made-up connection at %.100s: %s", listener, made_up[i].name);
		if (lp_scene_connect(&trial->scene, &what, &conn, error) < 0 || try_on(trial, &conn, name, error) < 0)
			return error->code;
	}
	return 0;
}

static int connect_recorded(struct lp_trial *trial, const struct lp_recorded *recorded, struct lp_policy_conn *conn,
			    struct lp_error *error)
{
	char ip[LP_IP_TEXT_SIZE];
	struct lp_scene_conn what = {
		.ip = lp_ip_format(&recorded->ip, ip) ? ip : "unix",
		.port = recorded->port,
		.listener = recorded->listener,
		.raw = {recorded->head, recorded->length},
	};

	return lp_scene_connect(&trial->scene, &what, conn, error);
}

/* "GET /chat from 192.0.2.7:4321", without the query, which has sids in it. */
static void name_recorded(const struct lp_policy_conn *conn, char *name, size_t size)
{
	struct lp_slice method = conn->hello ? LP_SLICE("a TLS hello") : LP_SLICE("unread");
	struct lp_slice path = LP_SLICE("");
	char ip[LP_IP_TEXT_SIZE];

	if (conn->head) {
		method = conn->head->method;
		path = conn->head->path;
	}
	if (path.length > PATH_SHOWN)
		path.length = PATH_SHOWN;
	if (!lp_ip_format(&conn->ip, ip))
		strcpy(ip, "unix");
	snprintf(name, size, "a recent connection at %.100s: %.*s%s%.*s from %s", conn->listener, LP_SLICE_ARG(method),
		 path.length ? " " : "", LP_SLICE_ARG(path), ip);
}

/* Of the processor's time: on a busy machine a trial would else end before it has found anything. */
static uint64_t budget_end_ns(void)
{
	return lp_clock_thread_ns() + LP_TRIAL_BUDGET_MS * UINT64_C(1000000);
}

int lp_trial_run(struct lp_trial *trial, const struct lp_recorder *recorder, struct lp_error *error)
{
	const struct limpet_options *options = trial->options;
	char listener[LP_LISTEN_TEXT_SIZE];
	char name[512];
	int status = 0;

	for (size_t i = 0; i < options->listen_count && !status; i++) {
		lp_listen_address_name(options->listen[i], listener);
		status = try_made_up(trial, listener, error);
	}
	uint64_t end_ns = budget_end_ns();
	for (size_t i = 0; i < lp_recorder_count(recorder) && !status && lp_clock_thread_ns() < end_ns; i++) {
		struct lp_policy_conn conn;

		status = connect_recorded(trial, lp_recorder_get(recorder, i), &conn, error);
		if (status)
			break;
		name_recorded(&conn, name, sizeof(name));
		status = try_on(trial, &conn, name, error);
	}
	return status;
}

/* Comparing */

#define REFUSED UINT16_MAX
#define MOVES_SHOWN 4

struct move {
	uint16_t from;
	uint16_t to; /* 0: to whoever is least busy. */
	unsigned count;
};

struct tally {
	unsigned asked;
	unsigned moved;
	unsigned move_count;
	struct move moves[LP_RECORDER_CONNECTIONS + LP_TRIAL_SESSIONS];
};

static void tally_move(struct tally *tally, unsigned from, unsigned to)
{
	struct move *move = tally->moves;

	tally->moved++;
	while (move < tally->moves + tally->move_count && (move->from != from || move->to != to))
		move++;
	if (move == tally->moves + tally->move_count)
		tally->moves[tally->move_count++] = (struct move){.from = (uint16_t)from, .to = (uint16_t)to};
	move->count++;
}

/* Count a connection, if the old policies send it to a worker; home: only if to this one; 0: to any. */
static void compare_on(struct lp_trial *trial, struct lp_trial *before, const struct lp_policy_conn *conn,
		       unsigned home, struct tally *tally)
{
	struct lp_verdict old = ask_policies(before, conn);
	struct lp_verdict new = ask_policies(trial, conn);

	if (old.kind != LP_VERDICT_WORKER || (home && old.worker != home))
		return;
	tally->asked++;
	if (new.kind != LP_VERDICT_WORKER)
		tally_move(tally, old.worker, new.kind == LP_VERDICT_REFUSE ? REFUSED : 0);
	else if (new.worker != old.worker)
		tally_move(tally, old.worker, new.worker);
}

static int compare_recorded(struct lp_trial *trial, struct lp_trial *before, const struct lp_recorder *recorder,
			    uint64_t end_ns, struct tally *tally, struct lp_error *error)
{
	for (size_t i = 0; i < lp_recorder_count(recorder) && lp_clock_thread_ns() < end_ns; i++) {
		struct lp_policy_conn conn;
		int status = connect_recorded(trial, lp_recorder_get(recorder, i), &conn, error);

		if (status)
			return status;
		compare_on(trial, before, &conn, 0, tally);
	}
	return 0;
}

/* A session that policies do not look up by conn.sid is not at home in the answer, and so is not counted. */
static int compare_sessions(struct lp_trial *trial, struct lp_trial *before, uint64_t end_ns, struct tally *tally,
			    struct lp_error *error)
{
	const struct lp_sessions *sessions = trial->live->sessions;
	uint32_t at = 0;
	char listener[LP_LISTEN_TEXT_SIZE];
	unsigned home;

	lp_listen_address_name(trial->options->listen[0], listener);

	for (unsigned i = 0; i < LP_TRIAL_SESSIONS && lp_clock_thread_ns() < end_ns; i++) {
		struct lp_slice key = lp_sessions_walk(sessions, &at, &home);
		struct lp_policy_conn conn;
		char sid[SID_SIZE];
		int status;

		if (!key.bytes)
			break;
		if (key.length >= sizeof(sid) || memchr(key.bytes, '\0', key.length))
			continue;
		memcpy(sid, key.bytes, key.length);
		sid[key.length] = '\0';
		struct lp_scene_conn what = {.listener = listener, .path = POLLING, .sid = sid};
		status = lp_scene_connect(&trial->scene, &what, &conn, error);
		if (status)
			return status;
		compare_on(trial, before, &conn, home, tally);
	}
	return 0;
}

static int by_count(const void *a, const void *b)
{
	const struct move *x = a;
	const struct move *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* "worker 1 to 3: 20, 2 to 3: 10, others: 7" */
static void format_moves(struct tally *tally, char *text, size_t size)
{
	unsigned left = tally->moved;
	size_t length = (size_t)snprintf(text, size, "worker");

	qsort(tally->moves, tally->move_count, sizeof(tally->moves[0]), by_count);
	for (unsigned i = 0; i < tally->move_count && i < MOVES_SHOWN; i++) {
		const struct move *move = &tally->moves[i];

		length += (size_t)snprintf(text + length, size - length, "%s %u to ", i ? "," : "", move->from);
		if (move->to == 0 || move->to == REFUSED)
			length += (size_t)snprintf(text + length, size - length, "%s",
						   move->to ? "a refusal" : "the least busy");
		else
			length += (size_t)snprintf(text + length, size - length, "%u", move->to);
		length += (size_t)snprintf(text + length, size - length, ": %u", move->count);
		left -= move->count;
	}
	if (left)
		snprintf(text + length, size - length, ", others: %u", left);
}

int lp_trial_compare(struct lp_trial *trial, struct lp_trial *before, const struct lp_recorder *recorder,
		     unsigned max_percent, struct lp_error *error)
{
	struct tally tally = {0};
	char moves[256];
	int status = renew_copies(trial);

	if (!status)
		status = renew_copies(before);
	if (status)
		return lp_error_set(error, status, "policies cannot be compared: %s", lp_error_words(status));
	uint64_t end_ns = budget_end_ns();
	status = compare_recorded(trial, before, recorder, end_ns, &tally, error);
	if (!status)
		status = compare_sessions(trial, before, end_ns, &tally, error);
	if (status || tally.moved * 100 <= max_percent * tally.asked)
		return status;
	format_moves(&tally, moves, sizeof(moves));
	return lp_error_set(error, LP_EPOLICY,
			    "%u of %u recent connections and sessions would go elsewhere (%s); "
			    "--max-moved %u allows %u",
			    tally.moved, tally.asked, moves, max_percent, max_percent * tally.asked / 100);
}

/* Probation */

enum lp_probation_state lp_probation_note(struct lp_probation *probation, uint64_t errors)
{
	probation->calls++;
	probation->failed += errors != probation->errors;
	probation->errors = errors;
	if (probation->failed >= LP_PROBATION_FAILURES)
		return LP_PROBATION_FAILED;
	return probation->calls >= LP_PROBATION_CALLS ? LP_PROBATION_PASSED : LP_PROBATION_ON;
}
