/*
 * The waiting room with a clock, workers and clients of the test's: every state in which a connection waits, and every
 * event in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/decisions_text.h"
#include "failing_calls.h"
#include "hello_bytes.h"
#include "server/waiting.h"
#include "table_fixture.h"

FAILING_CALL(void *, malloc, (size_t size), (size), NULL, ENOMEM)
FAILING_CALL(void *, realloc, (void *block, size_t size), (block, size), NULL, ENOMEM)
FAILING_CALL(int, epoll_create1, (int flags), (flags), -1, EMFILE)
FAILING_CALL(int, epoll_ctl, (int set, int verb, int fd, struct epoll_event *event), (set, verb, fd, event), -1, ENOSPC)
FAILING_CALL(int, uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), UV_EPERM, EPERM)
FAILING_CALL(void *, lp_region_take, (struct lp_region * region, size_t size), (region, size), NULL, ENOMEM)

enum { WORKERS = 3, MAX_WAITING = 8, MAX_PER_IP = 3, MAX_RATE = 400, HEAD_TIMEOUT_MS = 10000, SESSION_WAIT_MS = 250 };

#define REQUEST "GET / HTTP/1.1\r\nHost: here\r\n\r\n"
#define UNKNOWN "GET /?EIO=4&sid=unknown HTTP/1.1\r\nHost: here\r\n\r\n"
#define KNOWN "GET /?EIO=4&sid=known HTTP/1.1\r\nHost: here\r\n\r\n"

/* What a turn says that it began at. */
#define TURN_NS 77

/* A session returns to its worker; /refused is; /2 is the second worker's, as is what is seen as it is. */
static const char policy_text[] = "return {\n"
				  "  on_request = function(conn, workers)\n"
				  "    if conn.path == '/refused' then return limpet.refuse(403) end\n"
				  "    if conn.path == '/fails' then error('x') end\n"
				  "    if conn.path == '/2' then return workers[2] end\n"
				  "    if conn.path == '/seen' and conn.ip == '192.0.2.1' and conn.port == 5000 and\n"
				  "       conn.listener == ':80' then return workers[2] end\n"
				  "    return conn.sid and workers:session(conn.sid)\n"
				  "  end,\n"
				  "}\n";

/* Its first hook looks at nothing, so it is the one that decides; but only where it is asked. */
static const char two_hooks_text[] = "return {\n"
				     "  on_connect = function(conn, workers) return workers[3] end,\n"
				     "  on_request = function(conn, workers) return workers[1] end,\n"
				     "}\n";

static const char blind_text[] = "return { on_connect = function(conn, workers) return workers[3] end }\n";

struct room {
	uv_loop_t loop;
	uint64_t now_ms;
	struct table table;
	struct lp_log log;
	struct lp_sessions *sessions;
	struct lp_shared *shared;
	struct lp_policy_host host;
	struct lp_policy *policies[3]; /* Those above. */
	int log_fd;
	struct lp_per_address *per_address;
	struct lp_recorder *recorder;
	struct lp_decisions *decisions;
	struct lp_waiting waiting;
	unsigned asked;      /* How often policies were asked. */
	unsigned heard;      /* How often the workers were. */
	const char *hearsay; /* What worker 1 has to say when it is heard: a session. */
	uint32_t round;      /* That workers are asked in; 0: there is nothing to ask. */
	bool closed;
};

/* The room that the fakes belong to. */
static struct room *here;

uint64_t __wrap_uv_now(const uv_loop_t *loop);
void __wrap_lp_supervisor_queue(struct lp_supervisor *supervisor, unsigned worker, struct lp_connection *connection);
void __wrap_lp_supervisor_hear(struct lp_supervisor *supervisor);
uint32_t __wrap_lp_supervisor_ask(struct lp_supervisor *supervisor);
uint64_t __wrap_lp_supervisor_turn_ns(struct lp_supervisor *supervisor);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return here->now_ms;
}

void __wrap_lp_supervisor_queue(struct lp_supervisor *supervisor, unsigned worker, struct lp_connection *connection)
{
	(void)supervisor;
	assert_true(here->table.workers.slots[worker - 1].usable);
	assert_false(connection->watched);
	lp_connection_move_to(&here->table.connections, connection, LP_QUEUED, worker);
}

static void bind_session(struct room *room, const char *key, unsigned worker)
{
	struct lp_slice slice = {key, strlen(key)};
	assert_int_equal(lp_sessions_bind(room->sessions, slice, worker), 0);
	lp_waiting_session(&room->waiting, slice);
}

void __wrap_lp_supervisor_hear(struct lp_supervisor *supervisor)
{
	(void)supervisor;
	here->heard++;
	if (here->hearsay)
		bind_session(here, here->hearsay, 1);
	here->hearsay = NULL;
}

uint64_t __wrap_lp_supervisor_turn_ns(struct lp_supervisor *supervisor)
{
	(void)supervisor;
	return TURN_NS;
}

uint32_t __wrap_lp_supervisor_ask(struct lp_supervisor *supervisor)
{
	(void)supervisor;
	return here->round;
}

static void on_asked(void *owner)
{
	((struct room *)owner)->asked++;
}

static struct lp_policy *load(struct room *room, const char *text)
{
	char path[] = "/tmp/limpet-waiting-XXXXXX.lua";
	struct lp_policy *policy = NULL;
	struct lp_error error = {0};
	const char *const names[] = {path};
	int fd = mkstemps(path, 4);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	if (lp_policy_load(&policy, &room->host, names, 1, &error))
		fail_msg("%s", error.text);
	unlink(path);
	return policy;
}

static void open_room(struct room *room)
{
	*room = (struct room){.now_ms = 1000, .round = 1};
	here = room;
	uv_loop_init(&room->loop);
	open_table(&room->table, WORKERS);
	for (unsigned id = 1; id <= WORKERS; id++)
		lp_workers_set_usable(&room->table.workers, id, true);
	FILE *log = tmpfile();
	room->log_fd = dup(fileno(log));
	fclose(log);
	lp_log_init(&room->log, room->log_fd, LP_LOG_DEBUG, LP_LOG_TEXT);
	room->sessions = lp_sessions_new(100, &room->table.workers, 1);
	room->shared = lp_shared_new(4, 200, 1);
	room->recorder = lp_recorder_new();
	room->decisions = lp_decisions_new();
	room->host = (struct lp_policy_host){
		.workers = &room->table.workers, .sessions = room->sessions, .shared = room->shared, .log = &room->log};
	room->policies[0] = load(room, policy_text);
	room->policies[1] = load(room, blind_text);
	room->policies[2] = load(room, two_hooks_text);
	struct lp_per_address_config addresses = {
		.max_waiting = MAX_PER_IP, .share = MAX_PER_IP, .max_rate = MAX_RATE, .room = 400, .seed = 1};
	room->per_address = lp_per_address_new(&addresses);
	struct lp_waiting_config config = {.loop = &room->loop,
					   .log = &room->log,
					   .connections = &room->table.connections,
					   .workers = &room->table.workers,
					   .sessions = room->sessions,
					   .head_timeout_ms = HEAD_TIMEOUT_MS,
					   .session_wait_ms = SESSION_WAIT_MS,
					   .max_head_bytes = 4096,
					   .max_waiting = MAX_WAITING,
					   .per_address = room->per_address,
					   .recorder = room->recorder,
					   .decisions = room->decisions,
					   .on_asked = on_asked,
					   .owner = room};
	assert_int_equal(lp_waiting_open(&room->waiting, &config), 0);
	room->waiting.supervisor = (struct lp_supervisor *)room; /* The fakes do not look into it. */
	lp_waiting_set_policy(&room->waiting, room->policies[0]);
}

static void on_closed(struct lp_waiting *waiting)
{
	((struct room *)waiting->config.owner)->closed = true;
}

/* What is in flight is settled, and the room closes: everything has ended, and is counted once. */
static void close_room(struct room *room)
{
	struct limpet_counts counts = {0};
	struct lp_connection *connection;
	for (unsigned worker = 1; worker <= WORKERS; worker++)
		while ((connection = lp_connections_first(&room->table.connections, worker, LP_QUEUED))) {
			lp_connection_move(&room->table.connections, connection, LP_SENDING);
			lp_connection_move(&room->table.connections, connection, LP_SENT);
			lp_connection_close(&room->table.connections, connection);
		}
	lp_waiting_close(&room->waiting, on_closed);
	uv_run(&room->loop, UV_RUN_DEFAULT);
	assert_true(room->closed);
	assert_int_equal(uv_loop_close(&room->loop), 0);
	assert_int_equal(room->table.connections.live, 0);
	assert_int_equal(room->table.connections.counts[LP_GONE], room->table.connections.capacity);
	lp_waiting_count(&room->waiting, &counts);
	assert_int_equal(counts.accepted, counts.handed_over + counts.refused + counts.closed_early);
	lp_policy_free(room->policies[0]);
	lp_policy_free(room->policies[1]);
	lp_policy_free(room->policies[2]);
	close(room->log_fd);
	lp_recorder_free(room->recorder);
	lp_decisions_free(room->decisions);
	lp_per_address_free(room->per_address);
	lp_shared_free(room->shared);
	lp_sessions_free(room->sessions);
	close_table(&room->table);
}

/* Clients */

struct client {
	int fd; /* Its own end. */
	struct lp_connection *connection;
};

static struct lp_ip ip_of(const char *text)
{
	struct lp_ip ip;
	assert_int_equal(lp_ip_parse(text, strlen(text), &ip), 0);
	return ip;
}

static void connect_pair(int *client, int *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int on = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	assert_int_equal(connect(*client, (struct sockaddr *)&address, length), 0);
	*server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(setsockopt(*client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	close(listener);
}

static void await(int fd, short events)
{
	struct pollfd polled = {.fd = fd, .events = events};
	assert_int_equal(poll(&polled, 1, 10000), 1);
}

static const struct lp_origin origin = {.name = ":80", .port = 80};

/* The record of a client that has just come: the latest in its list. */
static struct lp_connection *latest(struct room *room)
{
	struct lp_connection *found = NULL;
	for (struct lp_chunk *chunk = room->table.connections.chunks; chunk; chunk = chunk->next)
		for (int i = 0; i < LP_CHUNK_RECORDS; i++)
			if (chunk->records[i].state != LP_GONE && (!found || chunk->records[i].fd > found->fd))
				found = &chunk->records[i];
	if (!found)
		abort(); /* Nobody came. */
	return found;
}

/* A client of an address comes, with bytes, and perhaps with the end of its side. */
static struct client come_from(struct room *room, const char *address, const char *bytes, bool ends)
{
	struct client client;
	struct lp_ip ip = ip_of(address);
	int server;
	connect_pair(&client.fd, &server);
	if (*bytes) {
		assert_int_equal(write(client.fd, bytes, strlen(bytes)), strlen(bytes));
		await(server, POLLIN);
	}
	if (ends) {
		assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
		await(server, POLLRDHUP);
	}
	int high = fcntl(server, F_DUPFD_CLOEXEC,
			 200 + (int)room->table.connections.live); /* So that `latest` finds it. */
	assert_true(high >= 0);
	close(server);
	lp_waiting_admit(&room->waiting, high, &ip, 5000, &origin);
	client.connection = latest(room);
	if (client.connection && client.connection->fd != high)
		client.connection = NULL; /* It is gone already. */
	return client;
}

static struct client come(struct room *room, const char *bytes)
{
	return come_from(room, "192.0.2.1", bytes, false);
}

static void say(struct client *client, const char *bytes)
{
	assert_int_equal(write(client->fd, bytes, strlen(bytes)), strlen(bytes));
	await(client->connection->fd, POLLIN);
}

static void leave(struct client *client)
{
	int fd = client->connection->fd;
	close(client->fd);
	client->fd = -1;
	await(fd, POLLRDHUP);
}

static void reset(struct client *client)
{
	struct linger linger = {.l_onoff = 1};
	int fd = client->connection->fd;
	assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(client->fd);
	client->fd = -1;
	await(fd, POLLRDHUP);
}

/* The loop turns, so often that everything that is due has been done. */
static void turn(struct room *room)
{
	for (int i = 0; i < 4; i++)
		uv_run(&room->loop, UV_RUN_NOWAIT);
}

static void pass(struct room *room, uint64_t ms)
{
	room->now_ms += ms;
	room->waiting.on_timer(&room->waiting.timer);
	turn(room);
}

static void assert_status(const struct client *client, const char *status)
{
	char answer[16] = "";
	await(client->fd, POLLIN);
	assert_true(read(client->fd, answer, sizeof(answer) - 1) > 12);
	answer[12] = '\0';
	assert_string_equal(answer + 9, status);
}

static void assert_end(const struct client *client)
{
	char byte;
	await(client->fd, POLLIN);
	assert_true(read(client->fd, &byte, 1) <= 0);
}

static struct limpet_counts count(const struct room *room)
{
	struct limpet_counts counts = {0};
	lp_waiting_count(&room->waiting, &counts);
	assert_int_equal(counts.accepted, counts.handed_over + counts.refused + counts.closed_early + counts.waiting);
	return counts;
}

#define assert_state(client, expected)                                                                                 \
	assert_string_equal(lp_connection_state_name((client).connection->state), lp_connection_state_name(expected))

static void set_usable(struct room *room, unsigned worker, bool usable)
{
	lp_workers_set_usable(&room->table.workers, worker, usable);
	if (usable)
		lp_waiting_worker_usable(&room->waiting, worker);
}

static void set_busy(struct room *room, unsigned worker, bool busy)
{
	room->table.workers.slots[worker - 1].busy = busy;
	set_usable(room, worker, !busy);
}

static void no_worker(struct room *room)
{
	for (unsigned worker = 1; worker <= WORKERS; worker++)
		set_usable(room, worker, false);
}

/* A client waits in a state. */
static struct client make_waiting(struct room *room, enum lp_connection_state state, const char *address, bool ends)
{
	struct client client;
	switch (state) {
	case LP_LOOKING:
		client = come_from(room, address, "GET / HT", ends);
		break;
	case LP_AWAITING:
		client = come_from(room, address, UNKNOWN, ends);
		break;
	default:
		bind_session(room, "known", 2);
		set_busy(room, 2, true);
		client = come_from(room, address, KNOWN, ends);
		break;
	}
	assert_state(client, state);
	return client;
}

static const enum lp_connection_state waits[] = {LP_LOOKING, LP_AWAITING, LP_HELD};
enum { WAITS = sizeof(waits) / sizeof(waits[0]) };

/* The tests */

static void a_whole_request_is_queued_at_once(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, REQUEST);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->group, 1);
	struct client other = come(&room, "GET /2 HTTP/1.1\r\n\r\n");
	assert_int_equal(other.connection->group, 2);
	assert_int_equal(count(&room).in_flight, 2);
	assert_int_equal(room.asked, 2);
	close(client.fd);
	close(other.fd);
	close_room(&room);
}

static void bytes_of_a_head_move_nothing_until_it_is_whole(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client first = come_from(&room, "192.0.2.1", "G", false);
	struct client second = come_from(&room, "192.0.2.2", "G", false);
	uint32_t place = first.connection->place;
	unsigned asked = room.asked;
	for (const char *rest = &REQUEST[1]; rest[1]; rest++) {
		char byte[] = {*rest, '\0'};
		say(&first, byte);
		turn(&room);
		assert_state(first, LP_LOOKING);
	}
	assert_int_equal(first.connection->place, place);
	assert_int_equal(room.asked, asked);
	assert_ptr_equal(lp_connections_first(&room.table.connections, 0, LP_LOOKING), first.connection);
	say(&first, "\n");
	turn(&room);
	assert_state(first, LP_QUEUED);
	assert_int_equal(room.asked, asked + 1);
	close(first.fd);
	close(second.fd);
	close_room(&room);
}

static void a_head_that_is_not_whole_in_time_is_answered_or_closed(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client silent = come(&room, "");
	struct client slow = come(&room, "GET / HT");
	pass(&room, HEAD_TIMEOUT_MS - 1);
	assert_state(slow, LP_LOOKING);
	pass(&room, 1);
	assert_status(&slow, "408");
	assert_end(&silent);
	assert_int_equal(count(&room).refused, 1);
	assert_int_equal(count(&room).closed_early, 1);
	close(silent.fd);
	close(slow.fd);
	close_room(&room);
}

static void what_came_in_time_counts_although_nobody_has_looked(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, "GET / HT");
	say(&client, "TP/1.1\r\n\r\n");
	room.now_ms += HEAD_TIMEOUT_MS;
	room.waiting.on_timer(&room.waiting.timer);
	assert_state(client, LP_QUEUED);
	close(client.fd);
	close_room(&room);
}

static void a_head_that_is_too_long_is_answered(void **state)
{
	static char head[5000];
	struct room room;
	(void)state;
	memset(head, 'x', sizeof(head) - 1);
	memcpy(head, "GET /", 5);
	open_room(&room);
	struct client client = come(&room, head);
	assert_status(&client, "431");
	close(client.fd);
	close_room(&room);
}

static void a_policy_refuses(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, "GET /refused HTTP/1.1\r\n\r\n");
	assert_status(&client, "403");
	assert_state(client, LP_LINGERING);
	assert_int_equal(count(&room).refused, 1);
	pass(&room, 2000);
	assert_int_equal(room.table.connections.counts[LP_LINGERING], 0);
	close(client.fd);
	close_room(&room);
}

static void a_refused_client_that_has_read_its_answer_is_gone_at_once(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, "GET /refused HTTP/1.1\r\n\r\n");
	leave(&client);
	turn(&room);
	assert_int_equal(room.table.connections.counts[LP_LINGERING], 0);
	close_room(&room);
}

static void an_unknown_session_waits_and_is_unknown_in_the_end(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, UNKNOWN);
	assert_state(client, LP_AWAITING);
	pass(&room, SESSION_WAIT_MS - 1);
	assert_state(client, LP_AWAITING);
	pass(&room, 1);
	assert_state(client, LP_QUEUED);
	close(client.fd);
	close_room(&room);
}

static void with_the_workers_answers_it_is_unknown_at_once(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client first = come(&room, UNKNOWN);
	room.round = 2;
	struct client second = come(&room, UNKNOWN);
	lp_waiting_answered(&room.waiting, 1);
	turn(&room);
	assert_state(first, LP_QUEUED);
	assert_state(second, LP_AWAITING);
	lp_waiting_answered(&room.waiting, 2);
	turn(&room);
	assert_state(second, LP_QUEUED);
	close(first.fd);
	close(second.fd);
	close_room(&room);
}

static void where_workers_tell_first_nobody_waits(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	room.round = 0;
	struct client client = come(&room, UNKNOWN);
	assert_state(client, LP_QUEUED);
	assert_int_equal(room.heard, 1);
	close(client.fd);
	close_room(&room);
}

static void a_sid_that_is_not_of_engine_io_is_not_waited_for(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client forum = come(&room, "GET /forum?sid=abcdef0123 HTTP/1.1\r\n\r\n");
	assert_state(forum, LP_QUEUED);
	struct client polling = come(&room, "GET /x?transport=polling&sid=abcdef0123 HTTP/1.1\r\n\r\n");
	assert_state(polling, LP_AWAITING);
	close(forum.fd);
	close(polling.fd);
	close_room(&room);
}

static void a_session_of_a_dead_worker_is_not_asked_for(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	bind_session(&room, "unknown", 2);
	lp_sessions_forget_worker(room.sessions, 2);
	struct client client = come(&room, UNKNOWN);
	assert_state(client, LP_QUEUED);
	bind_session(&room, "unknown", 3); /* Somebody has it after all. */
	struct client again = come(&room, UNKNOWN);
	assert_int_equal(again.connection->group, 3);
	close(client.fd);
	close(again.fd);
	close_room(&room);
}

static void a_claim_concerns_those_that_await_it_and_nobody_else(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, UNKNOWN);
	struct client other = come(&room, "GET /?EIO=4&sid=other HTTP/1.1\r\n\r\n");
	unsigned asked = room.asked;
	bind_session(&room, "unknown", 3);
	assert_state(client, LP_DUE);
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->group, 3);
	assert_state(other, LP_AWAITING);
	assert_int_equal(room.asked, asked + 1);
	close(client.fd);
	close(other.fd);
	close_room(&room);
}

static void a_claim_that_is_here_and_unread_is_heard_before_anybody_waits(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	room.hearsay = "unknown";
	struct client client = come(&room, UNKNOWN);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->group, 1);
	assert_int_equal(room.heard, 1);
	close(client.fd);
	close_room(&room);
}

static void and_before_it_is_given_up(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, UNKNOWN);
	room.hearsay = "unknown";
	pass(&room, SESSION_WAIT_MS);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->group, 1);
	close(client.fd);
	close_room(&room);
}

static void a_session_of_a_busy_worker_is_held_for_it_alone(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = make_waiting(&room, LP_HELD, "192.0.2.1", false);
	unsigned asked = room.asked;
	set_usable(&room, 1, false);
	lp_waiting_worker_lost(&room.waiting, 1);
	set_usable(&room, 1, true);
	turn(&room);
	assert_state(client, LP_HELD);
	assert_int_equal(room.asked, asked);
	set_busy(&room, 2, false);
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->group, 2);
	close(client.fd);
	close_room(&room);
}

static void and_goes_elsewhere_when_that_is_dead(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = make_waiting(&room, LP_HELD, "192.0.2.1", false);
	room.table.workers.slots[1].busy = false;
	lp_sessions_forget_worker(room.sessions, 2);
	lp_waiting_worker_lost(&room.waiting, 2);
	assert_state(client, LP_DUE);
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_int_not_equal(client.connection->group, 2);
	close(client.fd);
	close_room(&room);
}

static void without_workers_all_are_held_until_one_is_there(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	no_worker(&room);
	struct client clients[3];
	for (int i = 0; i < 3; i++) {
		clients[i] = come(&room, REQUEST);
		assert_state(clients[i], LP_HELD);
	}
	unsigned asked = room.asked;
	lp_waiting_worker_lost(&room.waiting, 3);
	turn(&room);
	assert_int_equal(room.asked, asked); /* A death is no reason to ask again. */
	set_usable(&room, 3, true);
	turn(&room);
	for (int i = 0; i < 3; i++) {
		assert_state(clients[i], LP_QUEUED);
		assert_int_equal(clients[i].connection->group, 3);
		close(clients[i].fd);
	}
	close_room(&room);
}

static void held_to_their_deadline_they_are_told_so(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	no_worker(&room);
	struct client client = come(&room, REQUEST);
	pass(&room, HEAD_TIMEOUT_MS - 1);
	assert_state(client, LP_HELD);
	pass(&room, 1);
	assert_status(&client, "503");
	close(client.fd);
	close_room(&room);
}

static struct lp_connection *send_of(struct room *room, struct client *client)
{
	lp_connection_move(&room->table.connections, client->connection, LP_SENDING);
	lp_connection_move(&room->table.connections, client->connection, LP_SENT);
	return client->connection;
}

static void what_a_dead_worker_leaves_goes_to_another_with_a_new_deadline(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, REQUEST);
	room.now_ms += 5000;
	set_usable(&room, 1, false);
	lp_waiting_returned(&room.waiting, send_of(&room, &client), 1, LP_RETURN_LOST);
	assert_state(client, LP_DUE);
	assert_int_equal(client.connection->deadline_ms, room.now_ms + HEAD_TIMEOUT_MS);
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_int_not_equal(client.connection->group, 1);
	assert_int_equal(count(&room).returned_lost, 1);
	close(client.fd);
	close_room(&room);
}

static void what_a_worker_gives_back_goes_to_another_and_pauses_when_there_is_none(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, REQUEST);
	uint64_t deadline = client.connection->deadline_ms;
	for (int i = 0; i < WORKERS; i++) {
		unsigned worker = client.connection->group;
		lp_waiting_returned(&room.waiting, send_of(&room, &client), worker, LP_RETURN_REFUSED);
		turn(&room);
		if (i + 1 < WORKERS) {
			assert_state(client, LP_QUEUED);
			assert_int_not_equal(client.connection->group, worker);
		}
	}
	assert_state(client, LP_PAUSED);
	assert_int_equal(client.connection->deadline_ms, deadline);
	pass(&room, 100);
	assert_state(client, LP_QUEUED);
	assert_int_equal(count(&room).returned_refused, WORKERS);
	close(client.fd);
	close_room(&room);
}

static void one_that_pauses_too_long_is_told_so(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	set_usable(&room, 2, false);
	set_usable(&room, 3, false);
	struct client client = come(&room, REQUEST);
	for (int i = 0; client.connection->state == LP_QUEUED && i < 1000; i++) {
		lp_waiting_returned(&room.waiting, send_of(&room, &client), 1, LP_RETURN_NO_ROOM);
		turn(&room);
		assert_state(client, LP_PAUSED);
		pass(&room, 100);
	}
	assert_status(&client, "503");
	close(client.fd);
	close_room(&room);
}

static void a_connection_that_is_given_back_is_decided_in_the_next_turn(void **state)
{
	struct room room;
	struct lp_ip ip = ip_of("192.0.2.1");
	int client;
	int server;
	(void)state;
	open_room(&room);
	connect_pair(&client, &server);
	assert_int_equal(write(client, REQUEST, strlen(REQUEST)), strlen(REQUEST));
	await(server, POLLIN);
	lp_waiting_readmit(&room.waiting, server, &ip, 5000, &origin);
	assert_int_equal(room.table.connections.counts[LP_DUE], 1);
	turn(&room);
	assert_int_equal(room.table.connections.counts[LP_QUEUED], 1);
	close(client);
	close_room(&room);
}

static void a_client_that_leaves_frees_its_place_whatever_it_waits_for(void **state)
{
	(void)state;
	for (int i = 0; i < WAITS; i++)
		for (int how = 0; how < 2; how++) {
			struct room room;
			open_room(&room);
			struct client client = make_waiting(&room, waits[i], "192.0.2.1", false);
			turn(&room); /* The watch has told that nothing has ended yet. */
			assert_state(client, waits[i]);
			(how ? reset : leave)(&client);
			turn(&room);
			assert_int_equal(room.table.connections.live, 0);
			assert_int_equal(count(&room).closed_early, 1);
			close_room(&room);
		}
}

static void so_does_one_that_has_reset_before_it_was_watched(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	no_worker(&room);
	struct client client = come(&room, REQUEST);
	assert_state(client, LP_HELD);
	reset(&client);
	turn(&room);
	assert_int_equal(count(&room).closed_early, 1);
	close_room(&room);
}

static void a_half_closed_client_does_not_wait_for_an_unknown_session(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come_from(&room, "192.0.2.1", UNKNOWN, true);
	assert_state(client, LP_AWAITING);
	turn(&room);
	assert_state(client, LP_QUEUED);
	close(client.fd);
	close_room(&room);
}

static void it_is_held_for_as_long_as_a_worker_takes_to_come_back(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	no_worker(&room);
	struct client client = come_from(&room, "192.0.2.1", REQUEST, true);
	struct client other = come_from(&room, "192.0.2.1", REQUEST, true);
	turn(&room);
	assert_state(client, LP_HELD);
	pass(&room, 900);
	assert_state(client, LP_HELD);
	set_usable(&room, 1, true);
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_state(other, LP_QUEUED);
	no_worker(&room);
	struct client late = come_from(&room, "192.0.2.1", REQUEST, true);
	turn(&room);
	pass(&room, 1100);
	assert_end(&late);
	assert_int_equal(count(&room).closed_early, 1);
	close(client.fd);
	close(other.fd);
	close(late.fd);
	close_room(&room);
}

static void one_that_a_dead_worker_has_left_is_held_as_long_as_any(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come_from(&room, "192.0.2.1", REQUEST, true);
	no_worker(&room);
	lp_waiting_returned(&room.waiting, send_of(&room, &client), 1, LP_RETURN_LOST);
	turn(&room);
	assert_state(client, LP_HELD);
	pass(&room, HEAD_TIMEOUT_MS - 1);
	assert_state(client, LP_HELD);
	close(client.fd);
	close_room(&room);
}

static void clients_that_have_left_make_room_first(void **state)
{
	struct room room;
	struct client dead[MAX_WAITING];
	(void)state;
	open_room(&room);
	no_worker(&room);
	for (int i = 0; i < MAX_WAITING; i++)
		dead[i] = come_from(&room, "192.0.2.1", REQUEST, true);
	turn(&room);
	assert_int_equal(count(&room).waiting, MAX_WAITING);
	struct client client = come_from(&room, "192.0.2.2", REQUEST, false);
	assert_state(client, LP_HELD);
	assert_int_equal(count(&room).closed_early, 1);
	assert_int_equal(count(&room).refused, 0);
	for (int i = 0; i < MAX_WAITING; i++)
		close(dead[i].fd);
	close(client.fd);
	close_room(&room);
}

/* In whatever state: the others' heads and sessions wait as if it were not there. */
static void one_address_does_not_keep_others_from_waiting(void **state)
{
	(void)state;
	for (int i = 1; i < WAITS; i++)
		for (int other = 0; other < WAITS; other++) {
			struct room room;
			struct client greedy[MAX_WAITING];
			open_room(&room);
			for (int k = 0; k < MAX_WAITING; k++)
				greedy[k] = make_waiting(&room, waits[i], "192.0.2.1", false);
			struct client clients[MAX_PER_IP];
			for (int k = 0; k < MAX_PER_IP; k++)
				clients[k] = make_waiting(&room, waits[other], "192.0.2.2", false);
			for (int k = 0; k < MAX_PER_IP; k++)
				assert_state(clients[k], waits[other]);
			assert_int_equal(count(&room).waiting, MAX_WAITING);
			assert_int_equal(count(&room).refused, MAX_PER_IP);
			for (int k = 0; k < MAX_WAITING; k++)
				close(greedy[k].fd);
			for (int k = 0; k < MAX_PER_IP; k++)
				close(clients[k].fd);
			close_room(&room);
		}
}

static void of_one_address_so_many_may_wait_for_their_heads(void **state)
{
	struct room room;
	struct client clients[MAX_PER_IP];
	(void)state;
	open_room(&room);
	for (int i = 0; i < MAX_PER_IP; i++)
		clients[i] = make_waiting(&room, LP_LOOKING, "192.0.2.1", false);
	struct client more = come(&room, "GET / HT");
	assert_end(&more);
	assert_int_equal(count(&room).over_limit, 1);
	struct client other = make_waiting(&room, LP_LOOKING, "192.0.2.2", false);
	for (int i = 0; i < MAX_PER_IP; i++)
		close(clients[i].fd);
	close(more.fd);
	close(other.fd);
	close_room(&room);
}

static void at_the_bound_the_oldest_head_makes_room(void **state)
{
	struct room room;
	struct client clients[MAX_WAITING];
	char address[32];
	(void)state;
	open_room(&room);
	for (int i = 0; i < MAX_WAITING; i++) {
		snprintf(address, sizeof(address), "192.0.2.%d", i + 1);
		clients[i] = make_waiting(&room, LP_LOOKING, address, false);
	}
	struct client more = make_waiting(&room, LP_LOOKING, "192.0.2.100", false);
	assert_status(&clients[0], "408");
	assert_state(clients[1], LP_LOOKING);
	assert_state(more, LP_LOOKING);
	for (int i = 0; i < MAX_WAITING; i++)
		close(clients[i].fd);
	close(more.fd);
	close_room(&room);
}

static void with_nobody_to_make_room_the_next_is_refused(void **state)
{
	struct room room;
	struct client clients[MAX_WAITING];
	char address[32];
	(void)state;
	open_room(&room);
	no_worker(&room);
	for (int i = 0; i < MAX_WAITING; i++) {
		snprintf(address, sizeof(address), "192.0.2.%d", i + 1);
		clients[i] = come_from(&room, address, REQUEST, false);
	}
	struct client more = come_from(&room, "192.0.2.100", REQUEST, false);
	assert_status(&more, "503");
	for (int i = 0; i < MAX_WAITING; i++) {
		assert_state(clients[i], LP_HELD);
		close(clients[i].fd);
	}
	close(more.fd);
	close_room(&room);
}

static void what_stays_queued_is_watched_and_counted_until_it_is_sent(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	set_usable(&room, 2, false);
	set_usable(&room, 3, false);
	struct client left = come(&room, REQUEST);
	struct client sent = come(&room, REQUEST);
	lp_waiting_blocked(&room.waiting, 1);
	lp_waiting_blocked(&room.waiting, 1);
	assert_true(left.connection->watched && sent.connection->watched);
	assert_true(left.connection->per_address);
	turn(&room);
	leave(&left);
	turn(&room);
	assert_int_equal(count(&room).closed_early, 1);
	assert_int_equal(count(&room).in_flight, 1);
	lp_connection_move(&room.table.connections, sent.connection, LP_SENDING);
	lp_waiting_sending(&room.waiting, sent.connection);
	assert_false(sent.connection->watched || sent.connection->per_address);
	lp_connection_move(&room.table.connections, sent.connection, LP_QUEUED);
	close(sent.fd);
	close_room(&room);
}

static void other_policies_that_look_at_nothing_take_those_that_wait_for_heads(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = make_waiting(&room, LP_LOOKING, "192.0.2.1", false);
	lp_waiting_set_policy(&room.waiting, room.policies[1]);
	assert_state(client, LP_DUE);
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->group, 3);
	close(client.fd);
	close_room(&room);
}

static void all_that_wait_can_be_refused(void **state)
{
	struct room room;
	struct client clients[WAITS];
	(void)state;
	open_room(&room);
	for (int i = 0; i < WAITS; i++)
		clients[i] = make_waiting(&room, waits[i], "192.0.2.1", false);
	lp_waiting_refuse_all(&room.waiting);
	for (int i = 0; i < WAITS; i++) {
		assert_status(&clients[i], "503");
		close(clients[i].fd);
	}
	assert_int_equal(count(&room).waiting, 0);
	assert_int_equal(count(&room).refused, WAITS);
	close_room(&room);
}

/* More than a turn decides about. */
static void many_that_are_due_are_decided_turn_by_turn(void **state)
{
	enum { MANY = 300 };
	struct room room;
	static struct client clients[MANY];
	(void)state;
	open_room(&room);
	room.waiting.config.max_waiting = MANY;
	no_worker(&room);
	for (int i = 0; i < MANY; i++)
		clients[i] = come(&room, REQUEST);
	unsigned asked = room.asked;
	set_usable(&room, 1, true);
	uv_run(&room.loop, UV_RUN_NOWAIT);
	assert_true(room.asked - asked > 0 && room.asked - asked < MANY);
	turn(&room);
	assert_int_equal(room.asked - asked, MANY);
	assert_int_equal(count(&room).in_flight, MANY);
	for (int i = 0; i < MANY; i++)
		close(clients[i].fd);
	close_room(&room);
}

static bool is_logged(const struct room *room, const char *text)
{
	char log[8192];
	ssize_t length = pread(room->log_fd, log, sizeof(log) - 1, 0);
	log[length > 0 ? length : 0] = '\0';
	return strstr(log, text);
}

/* The decision log has one line, of one connection, and it has that part. */
static void assert_decision(const struct room *room, const char *client, const char *part)
{
	struct lp_decisions_question question = {
		.decisions = room->decisions, .count = 100, .reveal = true, .wanted = client};
	char *text = lp_decisions_search(&question);
	if (!strstr(text, part))
		fail_msg("%s: \"%s\" is not in %s", client, part, text);
	free(text);
}

static void policies_see_who_comes_and_where(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, "GET /seen HTTP/1.1\r\n\r\n");
	assert_int_equal(client.connection->group, 2);
	struct client other = come_from(&room, "192.0.2.9", "GET /seen HTTP/1.1\r\n\r\n", false);
	assert_int_not_equal(other.connection->group, 2);
	close(client.fd);
	close(other.fd);
	close_room(&room);
}

static void what_became_of_each_is_in_the_decision_log(void **state)
{
	struct room room;
	struct client clients[6];
	(void)state;
	open_room(&room);
	clients[0] = come_from(&room, "192.0.2.10", "GET /2 HTTP/1.1\r\n\r\n", false);
	assert_decision(&room, "192.0.2.10", "\"decision\":\"worker\"");
	assert_decision(&room, "192.0.2.10", "\"policy_failed\":false,\"worker\":2,");
	assert_decision(&room, "192.0.2.10", "\"outcome\":\"sent\"");
	struct lp_connection *sent = send_of(&room, &clients[0]);
	lp_waiting_settled(&room.waiting, sent);
	lp_connection_close(&room.table.connections, sent);
	assert_decision(&room, "192.0.2.10", "\"outcome\":\"arrived\"");
	clients[1] = come_from(&room, "192.0.2.11", "GET /refused HTTP/1.1\r\n\r\n", false);
	assert_decision(&room, "192.0.2.11", "\"decision\":\"refuse\"");
	assert_decision(&room, "192.0.2.11", "\"outcome\":\"refused_by_policy\",\"status\":403");
	clients[2] = come_from(&room, "192.0.2.12", UNKNOWN, false);
	assert_decision(&room, "192.0.2.12", "\"decision\":\"wait_for_session\"");
	assert_decision(&room, "192.0.2.12", "\"outcome\":\"waiting\"");
	clients[3] = make_waiting(&room, LP_HELD, "192.0.2.13", false);
	assert_decision(&room, "192.0.2.13", "\"decision\":\"wait_for_worker\"");
	clients[4] = come_from(&room, "192.0.2.14", "GET /fails HTTP/1.1\r\n\r\n", false);
	assert_decision(&room, "192.0.2.14", "\"decision\":\"least_busy\"");
	assert_decision(&room, "192.0.2.14", "\"policy_failed\":true");
	lp_waiting_returned(&room.waiting, send_of(&room, &clients[4]), clients[4].connection->group, LP_RETURN_LOST);
	assert_decision(&room, "192.0.2.14", "\"returns\":1");
	clients[5] = come_from(&room, "192.0.2.15", "", false);
	pass(&room, HEAD_TIMEOUT_MS);
	assert_decision(&room, "192.0.2.15", "\"outcome\":\"silent\"");
	assert_decision(&room, "192.0.2.13", "\"outcome\":\"no_worker\",\"status\":503");
	for (int i = 0; i < 6; i++)
		close(clients[i].fd);
	close_room(&room);
}

static void those_that_are_decided_are_recorded_and_who_waits_is_not(void **state)
{
	struct room room;
	struct client clients[5];
	(void)state;
	open_room(&room);
	clients[0] = come_from(&room, "192.0.2.10", "GET /2 HTTP/1.1\r\n\r\n", false);
	assert_int_equal(lp_recorder_count(room.recorder), 1);
	assert_int_equal(lp_recorder_get(room.recorder, 0)->worker, 2);
	assert_int_equal(lp_recorder_get(room.recorder, 0)->length, 19);
	room.now_ms++; /* It records one a millisecond at most. */
	clients[1] = come_from(&room, "192.0.2.11", "GET /refused HTTP/1.1\r\n\r\n", false);
	assert_int_equal(lp_recorder_count(room.recorder), 2);
	assert_int_equal(lp_recorder_get(room.recorder, 0)->worker, 0);
	room.now_ms++;
	clients[2] = come_from(&room, "192.0.2.12", UNKNOWN, false);
	assert_int_equal(lp_recorder_count(room.recorder), 2);
	room.now_ms++;
	clients[3] = come_from(&room, "192.0.2.13", REQUEST, false);
	assert_int_equal(lp_recorder_count(room.recorder), 3);
	assert_int_equal(lp_recorder_get(room.recorder, 0)->worker, clients[3].connection->group);
	no_worker(&room);
	room.now_ms++;
	clients[4] = come_from(&room, "192.0.2.14", REQUEST, false);
	assert_state(clients[4], LP_HELD);
	assert_int_equal(lp_recorder_count(room.recorder), 3); /* It is when it goes somewhere. */
	for (int i = 0; i < 5; i++)
		close(clients[i].fd);
	close_room(&room);
}

static void how_long_limpet_takes_does_not_count_what_the_client_takes(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, "GET / HT");
	assert_int_equal(client.connection->ready_ns, 0);
	say(&client, "TP/1.1\r\n\r\n");
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->ready_ns, TURN_NS);
	no_worker(&room);
	struct client held = come(&room, REQUEST);
	assert_int_equal(held.connection->ready_ns, TURN_NS);
	held.connection->ready_ns = 5; /* As of an earlier turn: it is ready since then. */
	set_usable(&room, 1, true);
	turn(&room);
	assert_state(held, LP_QUEUED);
	assert_int_equal(held.connection->ready_ns, 5);
	close(client.fd);
	close(held.fd);
	close_room(&room);
}

static void other_policies_are_asked_from_their_first_hook_on(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client waiting = come(&room, "GET / HT");
	lp_waiting_set_policy(&room.waiting, room.policies[2]);
	assert_state(waiting, LP_LOOKING);
	say(&waiting, "TP/1.1\r\n\r\n");
	turn(&room);
	assert_state(waiting, LP_QUEUED);
	assert_int_equal(waiting.connection->group, 3);
	struct client next = come(&room, REQUEST);
	assert_int_equal(next.connection->group, 3);
	close(waiting.fd);
	close(next.fd);
	close_room(&room);
}

static void what_comes_to_an_address_is_for_those_who_listen_there(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	set_usable(&room, 3, false);
	lp_workers_set_listens(&room.table.workers, 1, 1, true);
	lp_workers_set_listens(&room.table.workers, 2, 0, true);
	lp_workers_set_listens(&room.table.workers, 1, 0, true);
	lp_workers_set_listens(&room.table.workers, 1, 0, false); /* It has, and does not any more. */
	for (int i = 0; i < 3; i++) {
		struct client client = come(&room, REQUEST);
		assert_int_equal(client.connection->group, 2);
		close(client.fd);
	}
	assert_int_equal(room.table.workers.address, LP_WORKERS_ANYWHERE);
	set_usable(&room, 2, false);
	struct client held = come(&room, REQUEST);
	assert_state(held, LP_HELD);
	unsigned asked = room.asked;
	lp_waiting_worker_usable(&room.waiting, 1);
	turn(&room);
	assert_int_equal(room.asked, asked); /* Worker 1 could not take it. */
	assert_int_equal(room.table.workers.address, LP_WORKERS_ANYWHERE);
	set_usable(&room, 2, true);
	turn(&room);
	assert_state(held, LP_QUEUED);
	assert_int_equal(held.connection->group, 2);
	close(held.fd);
	close_room(&room);
}

static void who_gave_it_back_is_not_the_next_though_a_policy_wants_it(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client client = come(&room, "GET /2 HTTP/1.1\r\n\r\n");
	assert_int_equal(client.connection->group, 2);
	lp_waiting_returned(&room.waiting, send_of(&room, &client), 2, LP_RETURN_REFUSED);
	turn(&room);
	assert_state(client, LP_QUEUED);
	assert_int_not_equal(client.connection->group, 2);
	close(client.fd);
	close_room(&room);
}

static void a_session_whose_worker_gave_it_back_pauses(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	bind_session(&room, "known", 2);
	struct client client = come(&room, KNOWN);
	assert_int_equal(client.connection->group, 2);
	lp_waiting_returned(&room.waiting, send_of(&room, &client), 2, LP_RETURN_REFUSED);
	turn(&room);
	assert_state(client, LP_PAUSED);
	pass(&room, 50);
	assert_state(client, LP_QUEUED);
	assert_int_equal(client.connection->group, 2);
	close(client.fd);
	close_room(&room);
}

static void a_client_that_resets_before_anybody_looks_has_left(void **state)
{
	struct room room;
	struct linger linger = {.l_onoff = 1};
	struct lp_ip ip = ip_of("192.0.2.1");
	int client;
	int server;
	(void)state;
	open_room(&room);
	connect_pair(&client, &server);
	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(client);
	await(server, POLLRDHUP);
	lp_waiting_admit(&room.waiting, server, &ip, 5000, &origin);
	assert_int_equal(count(&room).closed_early, 1);
	assert_int_equal(count(&room).waiting, 0);
	assert_decision(&room, "192.0.2.1", "\"outcome\":\"client_left\"");
	close_room(&room);
}

static void come_with_tls(struct room *room)
{
	struct lp_ip ip = ip_of("192.0.2.1");
	int client;
	int server;
	connect_pair(&client, &server);
	assert_int_equal(write(client, hello_openssl, sizeof(hello_openssl)), sizeof(hello_openssl));
	await(server, POLLIN);
	lp_waiting_admit(&room->waiting, server, &ip, 5000, &origin);
	close(client);
}

static void tls_that_nobody_decrypts_is_told_once(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	come_with_tls(&room);
	assert_true(is_logged(&room, "a connection at :80 is TLS, which limpet does not decrypt"));
	assert_int_equal(ftruncate(room.log_fd, 0), 0);
	come_with_tls(&room);
	assert_false(is_logged(&room, "is TLS"));
	assert_int_equal(count(&room).in_flight, 2);
	close_room(&room);
}

static void silence_is_told_where_nobody_ever_spoke(void **state)
{
	struct room room;
	(void)state;
	open_room(&room);
	struct client silent = come(&room, "");
	pass(&room, HEAD_TIMEOUT_MS);
	assert_true(is_logged(&room, "a client at :80 said nothing for 10 s and was closed"));
	close(silent.fd);
	close_room(&room);

	open_room(&room);
	struct client client = come(&room, REQUEST);
	silent = come(&room, "");
	pass(&room, HEAD_TIMEOUT_MS);
	assert_false(is_logged(&room, "said nothing"));
	close(client.fd);
	close(silent.fd);
	close_room(&room);
}

static void too_many_a_second_of_one_address_are_closed(void **state)
{
	struct room room;
	struct lp_ip ip = ip_of("192.0.2.1");
	(void)state;
	open_room(&room);
	for (int i = 0; i < MAX_RATE; i++)
		assert_true(lp_per_address_admit(room.per_address, &ip, room.now_ms));
	struct client client;
	int server;
	connect_pair(&client.fd, &server);
	lp_waiting_admit(&room.waiting, server, &ip, 5000, &origin);
	assert_end(&client);
	assert_int_equal(count(&room).refused, 1);
	assert_int_equal(count(&room).over_limit, 1);
	assert_decision(&room, "192.0.2.1", "\"outcome\":\"address_rate\"");
	assert_true(is_logged(&room, "--max-rate-per-ip"));
	struct client other = come_from(&room, "192.0.2.2", REQUEST, false);
	assert_state(other, LP_QUEUED);
	close(client.fd);
	close(other.fd);
	close_room(&room);
}

static void without_memory_or_a_watch_a_connection_is_closed_and_counted(void **state)
{
	struct room room;
	struct lp_ip ip = ip_of("192.0.2.1");
	static const struct {
		unsigned which;
		const char *name;
	} failing[] = {{1, "lp_region_take"}, {2, "realloc"}, {2, "epoll_ctl"}};
	(void)state;
	open_room(&room);
	for (size_t i = 0; i < 3; i++) {
		int client;
		int server;
		connect_pair(&client, &server);
		fail_call(failing[i].which);
		lp_waiting_admit(&room.waiting, server, &ip, 5000, &origin); /* It has to wait for its head. */
		assert_string_equal(failed_call(), failing[i].name);
		struct client gone = {.fd = client};
		assert_end(&gone);
		assert_int_equal(count(&room).closed_early, i + 1);
		assert_int_equal(count(&room).waiting, 0);
		close(client);
	}
	assert_decision(&room, "192.0.2.1", "\"outcome\":\"failed\"");
	assert_true(is_logged(&room, "no memory for a connection; it is closed"));
	assert_true(is_logged(&room, "a connection cannot be watched"));
	close_room(&room);
}

static void each_call_that_fails_at_the_start_leaves_nothing(void **state)
{
	struct room room;
	struct lp_waiting second;
	const char *failed;
	unsigned which = 0;
	(void)state;
	open_room(&room);
	unsigned open = count_descriptors();
	do {
		fail_call(++which);
		int status = lp_waiting_open(&second, &room.waiting.config);
		failed = failed_call();
		assert_true(failed ? status < 0 : status == 0);
		if (failed)
			assert_int_equal(count_descriptors(), open);
	} while (failed);
	assert_in_range(which, 4, 10);
	lp_waiting_close(&second, NULL);
	close_room(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_request_is_queued_at_once),
		cmocka_unit_test(bytes_of_a_head_move_nothing_until_it_is_whole),
		cmocka_unit_test(a_head_that_is_not_whole_in_time_is_answered_or_closed),
		cmocka_unit_test(what_came_in_time_counts_although_nobody_has_looked),
		cmocka_unit_test(a_head_that_is_too_long_is_answered),
		cmocka_unit_test(a_policy_refuses),
		cmocka_unit_test(a_refused_client_that_has_read_its_answer_is_gone_at_once),
		cmocka_unit_test(an_unknown_session_waits_and_is_unknown_in_the_end),
		cmocka_unit_test(with_the_workers_answers_it_is_unknown_at_once),
		cmocka_unit_test(where_workers_tell_first_nobody_waits),
		cmocka_unit_test(a_sid_that_is_not_of_engine_io_is_not_waited_for),
		cmocka_unit_test(a_session_of_a_dead_worker_is_not_asked_for),
		cmocka_unit_test(a_claim_concerns_those_that_await_it_and_nobody_else),
		cmocka_unit_test(a_claim_that_is_here_and_unread_is_heard_before_anybody_waits),
		cmocka_unit_test(and_before_it_is_given_up),
		cmocka_unit_test(a_session_of_a_busy_worker_is_held_for_it_alone),
		cmocka_unit_test(and_goes_elsewhere_when_that_is_dead),
		cmocka_unit_test(without_workers_all_are_held_until_one_is_there),
		cmocka_unit_test(held_to_their_deadline_they_are_told_so),
		cmocka_unit_test(what_a_dead_worker_leaves_goes_to_another_with_a_new_deadline),
		cmocka_unit_test(what_a_worker_gives_back_goes_to_another_and_pauses_when_there_is_none),
		cmocka_unit_test(one_that_pauses_too_long_is_told_so),
		cmocka_unit_test(a_connection_that_is_given_back_is_decided_in_the_next_turn),
		cmocka_unit_test(a_client_that_leaves_frees_its_place_whatever_it_waits_for),
		cmocka_unit_test(so_does_one_that_has_reset_before_it_was_watched),
		cmocka_unit_test(a_half_closed_client_does_not_wait_for_an_unknown_session),
		cmocka_unit_test(it_is_held_for_as_long_as_a_worker_takes_to_come_back),
		cmocka_unit_test(one_that_a_dead_worker_has_left_is_held_as_long_as_any),
		cmocka_unit_test(clients_that_have_left_make_room_first),
		cmocka_unit_test(one_address_does_not_keep_others_from_waiting),
		cmocka_unit_test(of_one_address_so_many_may_wait_for_their_heads),
		cmocka_unit_test(at_the_bound_the_oldest_head_makes_room),
		cmocka_unit_test(with_nobody_to_make_room_the_next_is_refused),
		cmocka_unit_test(what_stays_queued_is_watched_and_counted_until_it_is_sent),
		cmocka_unit_test(other_policies_that_look_at_nothing_take_those_that_wait_for_heads),
		cmocka_unit_test(all_that_wait_can_be_refused),
		cmocka_unit_test(many_that_are_due_are_decided_turn_by_turn),
		cmocka_unit_test(policies_see_who_comes_and_where),
		cmocka_unit_test(what_became_of_each_is_in_the_decision_log),
		cmocka_unit_test(those_that_are_decided_are_recorded_and_who_waits_is_not),
		cmocka_unit_test(how_long_limpet_takes_does_not_count_what_the_client_takes),
		cmocka_unit_test(other_policies_are_asked_from_their_first_hook_on),
		cmocka_unit_test(what_comes_to_an_address_is_for_those_who_listen_there),
		cmocka_unit_test(who_gave_it_back_is_not_the_next_though_a_policy_wants_it),
		cmocka_unit_test(a_session_whose_worker_gave_it_back_pauses),
		cmocka_unit_test(a_client_that_resets_before_anybody_looks_has_left),
		cmocka_unit_test(tls_that_nobody_decrypts_is_told_once),
		cmocka_unit_test(silence_is_told_where_nobody_ever_spoke),
		cmocka_unit_test(too_many_a_second_of_one_address_are_closed),
		cmocka_unit_test(without_memory_or_a_watch_a_connection_is_closed_and_counted),
		cmocka_unit_test(each_call_that_fails_at_the_start_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
