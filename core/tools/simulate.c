/*
 * Simulating clients and workers: the rounds that they go through.
 *
 *     visit everyone         the spread: connections by worker
 *     kill,   visit          who moved, against the first round
 *     return, visit          who is elsewhere than in the first round
 *     add,    visit          who moved, against the round before
 *
 * A client's new connections open before its old ones close. The other way round, least connections would seem to be
 * sticky: who leaves a worker makes it the least busy one.
 *
 * Limits: a client whose request meets a worker that does not know its sid gets a new session there at once; the error
 * that a real one would see in between is told only as clients that have more than one worker.
 */
#include "tools/simulate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/policy.h"
#include "policy/survey.h"
#include "route/hash.h"
#include "tools/clients.h"

/* Everything that the core draws at random begins here, so that two runs are the same. */
#define SEED 1

#define SHARED_ENTRIES 65536
#define SHARED_BYTES (16u << 20)

#define PID_OF_WORKER_0 1000

/* The clock of the simulation: where it begins, and how long after the one before a client comes. */
#define BEGINNING_NS 1000000000u
#define BETWEEN_CLIENTS_NS 1000000u

struct client {
	struct lp_ip ip;
	uint8_t session; /* Its how-manieth. */
	bool has_session;
	uint8_t open;
	uint16_t home;  /* The worker of its first connection, which has its session; 0: none. */
	uint16_t first; /* Its home in the first round. */
	uint16_t at[LP_CLIENT_CONNECTIONS_MAX]; /* Where its open connections are; 0: the worker died. */
};

struct simulation {
	const struct lp_simulation *what;
	struct lp_simulated *result;
	struct lp_workers workers;
	struct lp_log log;
	struct lp_policy_host host;
	struct lp_policy *policy;
	struct lp_head *head;
	struct client *clients;
	uint32_t *order; /* Whose turn it is, by place. */
	uint64_t random;
	uint64_t now_ns;
	char request[LP_CLIENT_REQUEST_SIZE];
};

static int check_simulation(const struct lp_simulation *what, struct lp_error *error)
{
	if (what->clients < 1)
		return lp_error_set(error, LP_EUSAGE, "simulate: --clients must be 1 or more");
	if (what->workers < 1 || what->workers > LP_SIMULATION_WORKERS_MAX ||
	    what->add > LP_SIMULATION_WORKERS_MAX - what->workers)
		return lp_error_set(error, LP_EUSAGE, "simulate: %u workers and %u added: 1 to %d are possible",
				    what->workers, what->add, LP_SIMULATION_WORKERS_MAX);
	if (what->kill > what->workers)
		return lp_error_set(error, LP_EUSAGE, "simulate: --kill %u: there are workers 1 to %u", what->kill,
				    what->workers);
	if (what->kill && what->workers == 1)
		return lp_error_set(error, LP_EUSAGE,
				    "simulate: --kill %u: no worker would be left; use two --workers or more",
				    what->kill);
	return 0;
}

static void start_worker(struct simulation *simulation, unsigned id)
{
	struct lp_worker *worker = lp_workers_find(&simulation->workers, id);

	worker->pid = (pid_t)(PID_OF_WORKER_0 + id);
	worker->started_ns = simulation->now_ns;
	lp_workers_set_usable(&simulation->workers, id, true);
	lp_policy_worker_up(simulation->policy, id);
}

static void kill_worker(struct simulation *simulation, unsigned id)
{
	struct lp_worker *worker = lp_workers_find(&simulation->workers, id);

	lp_workers_set_usable(&simulation->workers, id, false);
	lp_sessions_forget_worker(simulation->host.sessions, id);
	worker->pid = 0;
	worker->connections = 0;
	for (unsigned i = 0; i < simulation->what->clients; i++) {
		struct client *client = &simulation->clients[i];

		if (client->home == id)
			client->has_session = false;
		for (unsigned c = 0; c < client->open; c++)
			if (client->at[c] == id)
				client->at[c] = 0;
	}
	lp_policy_worker_down(simulation->policy, id);
}

static int set_up(struct simulation *simulation, struct lp_error *error)
{
	const struct lp_simulation *what = simulation->what;

	if (lp_workers_init(&simulation->workers, what->workers + what->add, SEED))
		return lp_error_set(error, -ENOMEM, "simulate: no memory for workers");
	lp_log_init(&simulation->log, STDERR_FILENO, LP_LOG_WARNING, LP_LOG_TEXT);
	simulation->host = (struct lp_policy_host){
		.workers = &simulation->workers,
		.sessions = lp_sessions_new(what->clients, &simulation->workers, SEED),
		.shared = lp_shared_new(SHARED_ENTRIES, SHARED_BYTES, SEED),
		.log = &simulation->log,
		.rules = &lp_session_rule_sid, /* Made-up clients have sids. */
		.rule_count = 1,
		.settings = what->settings,
		.setting_count = what->setting_count,
		.now_ns = &simulation->now_ns,
		.random_seed = SEED,
	};
	simulation->head = lp_head_new(sizeof(simulation->request));
	simulation->clients = calloc(what->clients, sizeof(*simulation->clients));
	simulation->order = calloc(what->clients, sizeof(*simulation->order));
	if (!simulation->host.sessions || !simulation->host.shared || !simulation->head || !simulation->clients ||
	    !simulation->order)
		return lp_error_set(error, -ENOMEM, "simulate: no memory for %u clients; use fewer --clients",
				    what->clients);
	for (unsigned i = 0; i < what->clients; i++) {
		simulation->order[i] = i;
		lp_client_ip(i, what->nat ? LP_CLIENTS_BEHIND_NAT : LP_CLIENTS_EVERYWHERE, &simulation->clients[i].ip);
	}
	int status = lp_policy_load(&simulation->policy, &simulation->host, what->policies, what->policy_count, error);

	return status ? status : lp_policy_check_settings(simulation->policy, error);
}

static void tear_down(struct simulation *simulation)
{
	lp_policy_free(simulation->policy);
	free(simulation->order);
	free(simulation->clients);
	lp_head_free(simulation->head);
	lp_shared_free(simulation->host.shared);
	lp_sessions_free(simulation->host.sessions);
	lp_workers_deinit(&simulation->workers);
}

/* What the client sends is written only if somebody wants to see it. */
static void make_conn(struct simulation *simulation, unsigned number, struct lp_policy_conn *conn)
{
	const struct client *client = &simulation->clients[number];
	char sid[LP_CLIENT_SID_SIZE];
	size_t length;

	lp_client_sid(number, client->session, sid);
	length = lp_client_request(number, &client->ip, client->has_session ? sid : NULL, simulation->request);
	conn->protocol = lp_head_parse(simulation->head, simulation->request, length) == (int)length
				 ? LP_PROTOCOL_HTTP
				 : LP_PROTOCOL_OTHER;
	conn->head = simulation->head;
}

/* The worker of one connection, or 0 when it is refused. */
static unsigned route_one(struct simulation *simulation, unsigned number, unsigned connection)
{
	struct lp_policy_conn conn = {
		.ip = simulation->clients[number].ip,
		.port = (uint16_t)(32768 + (number * LP_CLIENT_CONNECTIONS_MAX + connection) % 28232),
		.listener = ":3000",
	};
	lp_policy_cursor cursor = 0;

	for (;;) {
		struct lp_verdict verdict = lp_policy_decide(simulation->policy, &conn, &cursor);

		switch (verdict.kind) {
		case LP_VERDICT_LOOK:
			make_conn(simulation, number, &conn);
			break;
		case LP_VERDICT_HEAR: /* Nor is anybody unheard. */
		case LP_VERDICT_AWAIT:
		case LP_VERDICT_HOLD: /* Only while a worker is busy, which none is here. */
			conn.session_awaited = true;
			break;
		case LP_VERDICT_REFUSE:
			return 0;
		case LP_VERDICT_NONE:
			return lp_workers_least(&simulation->workers, LP_LEAST_CONNECTIONS);
		case LP_VERDICT_WORKER:
			return verdict.worker;
		}
	}
}

/* The worker of a client's first connection either knows its session or opens one. */
static void settle_session(struct simulation *simulation, unsigned number, unsigned worker)
{
	struct client *client = &simulation->clients[number];
	char sid[LP_CLIENT_SID_SIZE];

	if (client->has_session && client->home == worker)
		return;
	lp_client_sid(number, client->session, sid);
	if (client->has_session)
		lp_sessions_forget(simulation->host.sessions, (struct lp_slice){sid, strlen(sid)}, 0);
	client->home = (uint16_t)worker;
	client->has_session = true;
	lp_client_sid(number, ++client->session, sid);
	lp_sessions_bind(simulation->host.sessions, (struct lp_slice){sid, strlen(sid)}, worker);
}

static void visit_client(struct simulation *simulation, unsigned number)
{
	struct client *client = &simulation->clients[number];
	struct client before = *client;
	unsigned connections = lp_client_connections(number);

	client->open = 0;
	for (unsigned c = 0; c < connections; c++) {
		unsigned worker = route_one(simulation, number, c);

		if (!worker) {
			simulation->result->refused++;
			continue;
		}
		if (client->open == 0)
			settle_session(simulation, number, worker);
		client->at[client->open++] = (uint16_t)worker;
		lp_workers_find(&simulation->workers, worker)->connections++;
	}
	if (client->open == 0)
		client->home = 0;
	for (unsigned c = 0; c < before.open; c++)
		if (before.at[c])
			lp_workers_find(&simulation->workers, before.at[c])->connections--;
}

/*
 * Another order every time. In the same one, policies that count would meet the same pattern of connections again, and
 * whether they then move a client would be no chance but always or never.
 */
static void shuffle_clients(struct simulation *simulation)
{
	for (uint32_t i = simulation->what->clients; i > 1; i--) {
		uint64_t random = lp_hash((struct lp_slice){(const char *)&i, sizeof(i)}, simulation->random++);
		uint32_t other = (uint32_t)(random % i);
		uint32_t number = simulation->order[i - 1];

		simulation->order[i - 1] = simulation->order[other];
		simulation->order[other] = number;
	}
}

/* Returns the share of the clients whose home has changed, of those who had one before and have one now. */
static double visit_all(struct simulation *simulation)
{
	unsigned moved = 0;

	shuffle_clients(simulation);
	for (unsigned i = 0; i < simulation->what->clients; i++) {
		const struct client *client = &simulation->clients[simulation->order[i]];
		unsigned home = client->home;

		visit_client(simulation, simulation->order[i]);
		simulation->now_ns += BETWEEN_CLIENTS_NS;
		moved += home && client->home && client->home != home;
	}
	return (double)moved / simulation->what->clients;
}

static bool is_together(const struct client *client)
{
	for (unsigned c = 1; c < client->open; c++)
		if (client->at[c] != client->at[0])
			return false;
	return client->open > 0;
}

static void note_spread(struct simulation *simulation)
{
	struct lp_simulated *result = simulation->result;

	for (unsigned id = 1; id <= simulation->what->workers; id++) {
		result->connections[id - 1] = lp_workers_find(&simulation->workers, id)->connections;
		result->total += result->connections[id - 1];
	}
	for (unsigned i = 0; i < simulation->what->clients; i++) {
		simulation->clients[i].first = simulation->clients[i].home;
		result->together += is_together(&simulation->clients[i]);
	}
}

static double share_elsewhere(const struct simulation *simulation)
{
	unsigned elsewhere = 0;

	for (unsigned i = 0; i < simulation->what->clients; i++) {
		const struct client *client = &simulation->clients[i];

		elsewhere += client->first && client->home && client->first != client->home;
	}
	return (double)elsewhere / simulation->what->clients;
}

static void run_rounds(struct simulation *simulation)
{
	const struct lp_simulation *what = simulation->what;
	struct lp_simulated *result = simulation->result;

	for (unsigned id = 1; id <= what->workers; id++)
		start_worker(simulation, id);
	visit_all(simulation);
	note_spread(simulation);
	if (what->kill) {
		kill_worker(simulation, what->kill);
		result->died = (struct lp_simulated_move){visit_all(simulation), 1.0 / what->workers};
		start_worker(simulation, what->kill);
		visit_all(simulation);
		result->returned.share = share_elsewhere(simulation);
	}
	if (what->add) {
		for (unsigned id = what->workers + 1; id <= what->workers + what->add; id++)
			start_worker(simulation, id);
		result->added = (struct lp_simulated_move){visit_all(simulation),
							   (double)what->add / (what->workers + what->add)};
	}
	result->errors = lp_policy_errors(simulation->policy);
}

int lp_simulation_run(const struct lp_simulation *what, struct lp_simulated *result, struct lp_error *error)
{
	struct simulation simulation = {.what = what, .result = result, .random = SEED, .now_ns = BEGINNING_NS};
	int status = check_simulation(what, error);

	if (status < 0)
		return status;
	*result = (struct lp_simulated){0};
	status = set_up(&simulation, error);
	if (status == 0)
		run_rounds(&simulation);
	tear_down(&simulation);
	return status;
}
