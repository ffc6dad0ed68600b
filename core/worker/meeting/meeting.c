/*
 * Letters are told apart by their "source" and "type". What is passed on goes as it came; what is answered is put together
 * from the members as they were written, so no value is ever taken apart.
 *
 * One timer does what comes without a letter: keys that expire, and what waits in a queue whose workers had no room.
 */
#include "worker/meeting/meeting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "worker/meeting/queues.h"
#include "worker/meeting/store.h"
#include "worker/meeting/topics.h"

/* How soon workers without room are offered again what waits for them. */
#define RETRY_MS 100

/* Things shared by name, at most, and bytes of one with its name. */
#define SHARED_MAX 256
#define SHARED_BYTES_MAX (16u << 10)

struct shared {
	struct lp_named named; /* First. Its name is behind it, and behind that the value. */
	struct lp_slice value;
};

struct lp_meeting {
	uv_timer_t timer;
	struct lp_log *log;
	struct lp_post post;
	struct lp_adapter adapter;
	struct lp_store *store;
	struct lp_queues *queues;
	struct lp_topics topics; /* Of native workers: Node's hear all, and pick for themselves. */
	struct lp_table shared;  /* struct shared, by name. */
	void (*closed)(void *owner);
	void *closed_owner;
};

/* The store */

static bool on_reply(void *owner, unsigned worker, struct lp_slice id, struct lp_slice json, const char *error)
{
	struct lp_meeting *meeting = owner;
	bool sent = lp_post_send(&meeting->post, worker, lp_post_reply(&meeting->post, id, json, error));
	lp_post_clear(&meeting->post);
	return sent;
}

/* A name as JavaScript makes one of a value: a number is as good as its digits in quotes. */
static struct lp_slice name_of(struct lp_slice value)
{
	if (!value.bytes)
		return LP_SLICE("undefined");
	if (value.bytes[0] == '"')
		return (struct lp_slice){value.bytes + 1, value.length - 2};
	return value;
}

static const struct lp_slice methods[LP_STORE_METHODS] = {
	[LP_STORE_GET] = {"get", 3},
	[LP_STORE_SET] = {"set", 3},
	[LP_STORE_ACQUIRE] = {"acquire", 7},
	[LP_STORE_RELEASE] = {"release", 7},
	[LP_STORE_SET_RELEASE] = {"setRelease", 10},
	[LP_STORE_CONFIGURE] = {"configure", 9},
};

static int find_method(struct lp_slice value)
{
	for (int i = 0; i < LP_STORE_METHODS; i++)
		if (lp_json_is(value, methods[i]))
			return i;
	return -ENOENT;
}

/* An id that means "no reply": JavaScript's idea of nothing. */
static struct lp_slice id_of(struct lp_slice value)
{
	static const struct lp_slice nothing[] = {{"0", 1}, {"\"\"", 2}, {"null", 4}, {"false", 5}};
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		if (lp_json_same(value, nothing[i]))
			return (struct lp_slice){0};
	return value;
}

static void on_timer(uv_timer_t *timer);

/* Do what is due, and wait for what will be. */
static void do_what_is_due(struct lp_meeting *meeting)
{
	uint64_t now_ms = lp_clock_ns() / 1000000;
	uint64_t next_ms = lp_store_sweep(meeting->store, now_ms);
	if (lp_queues_retry(meeting->queues) && (!next_ms || next_ms > now_ms + RETRY_MS))
		next_ms = now_ms + RETRY_MS;
	if (next_ms)
		uv_timer_start(&meeting->timer, on_timer, next_ms - now_ms, 0);
	else
		uv_timer_stop(&meeting->timer);
}

static void on_timer(uv_timer_t *timer)
{
	do_what_is_due(timer->data);
}

static void ask_store(struct lp_meeting *meeting, struct lp_store_request *request)
{
	request->now_ms = lp_clock_ns() / 1000000;
	int status = lp_store_ask(meeting->store, request);
	if (status)
		lp_log_limited(meeting->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = request->worker),
			       "worker %u: the shared store refuses %.*s of \"%.*s\" in \"%.*s\": %s", request->worker,
			       LP_SLICE_ARG(methods[request->method]), LP_SLICE_ARG(request->key),
			       LP_SLICE_ARG(request->collection),
			       status == -ENOMEM  ? "it is full"
			       : status == -EPERM ? "the worker has no lock on it"
						  : "only expireKeys can be configured, a number of seconds");
	if (request->method == LP_STORE_CONFIGURE || !uv_is_active((uv_handle_t *)&meeting->timer))
		do_what_is_due(meeting);
}

static void take_request(struct lp_meeting *meeting, unsigned worker, const struct lp_slice *fields)
{
	int method = find_method(fields[LP_LETTER_METHOD]);
	struct lp_store_request request = {.method = (enum lp_store_method)method,
					   .worker = worker,
					   .id = id_of(fields[LP_LETTER_REQUEST]),
					   .collection = name_of(fields[LP_LETTER_COLLECTION]),
					   .key = name_of(fields[LP_LETTER_KEY]),
					   .json = fields[LP_LETTER_JSON],
					   .config = fields[LP_LETTER_CONFIG]};
	if (method < 0 || request.id.length > LP_STORE_ID_MAX)
		lp_log_limited(
			meeting->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			"worker %u asked the shared store for %.*s, which it does not know; the request was ignored",
			worker, LP_SLICE_ARG(fields[LP_LETTER_METHOD]));
	else
		ask_store(meeting, &request);
}

/* The bus */

static void publish(struct lp_meeting *meeting, const struct lp_slice *fields)
{
	struct lp_slice letter = lp_post_publication(&meeting->post, fields[LP_LETTER_NAME],
						     name_of(fields[LP_LETTER_TOPIC]), fields[LP_LETTER_MSG]);
	for (unsigned worker = 1; worker <= meeting->post.workers; worker++)
		lp_post_send(&meeting->post, worker, letter);
	lp_post_clear(&meeting->post);
}

static bool on_push(void *owner, unsigned worker, struct lp_slice name, struct lp_slice msg)
{
	struct lp_meeting *meeting = owner;
	bool sent = lp_post_send(&meeting->post, worker, lp_post_push(&meeting->post, name, msg));
	lp_post_clear(&meeting->post);
	return sent;
}

static void push(struct lp_meeting *meeting, unsigned worker, struct lp_slice name, struct lp_slice msg)
{
	int status = lp_queues_push(meeting->queues, name, msg);
	if (status < 0)
		lp_log_limited(
			meeting->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			"worker %u pushed to the queue %.*s, which holds %u bytes already; the message was dropped",
			worker, LP_SLICE_ARG(name), LP_QUEUES_BYTES_MAX);
	else if (status > 0)
		do_what_is_due(meeting);
}

static void pull(struct lp_meeting *meeting, unsigned worker, struct lp_slice name)
{
	if (lp_queues_pull(meeting->queues, name, worker))
		lp_log_limited(meeting->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			       "worker %u cannot pull from the queue %.*s: too many workers pull already, or no memory",
			       worker, LP_SLICE_ARG(name));
	do_what_is_due(meeting);
}

/* Letters */

/* What limpet goes by is JSON, and what it keeps stands by itself: of that nothing may be missing. */
static bool is_whole(struct lp_meeting *meeting, unsigned worker, const struct lp_letter *letter)
{
	const uint32_t names = 1u << LP_LETTER_NAME | 1u << LP_LETTER_TOPIC | 1u << LP_LETTER_COLLECTION |
			       1u << LP_LETTER_KEY | 1u << LP_LETTER_CONFIG | 1u << LP_LETTER_REQUEST;
	const uint32_t values = 1u << LP_LETTER_MSG | 1u << LP_LETTER_JSON;
	if (!(letter->lossy & (names | values)))
		return true;
	lp_log_limited(meeting->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
		       "worker %u sent a message of type %.*s %s; it was dropped", worker,
		       LP_SLICE_ARG(letter->fields[LP_LETTER_TYPE]),
		       letter->lossy & names ? "with a name, key or option that JSON cannot express, such as a Buffer"
					     : "whose value refers to another part of the message");
	return false;
}

void lp_meeting_take(struct lp_meeting *meeting, unsigned worker, const struct lp_letter *letter)
{
	const struct lp_slice *fields = letter->fields;
	struct lp_slice type = fields[LP_LETTER_TYPE];
	if (lp_adapter_take(&meeting->adapter, worker, letter))
		return;
	if (lp_json_is(type, LP_SLICE("DSM_REQUEST")) && is_whole(meeting, worker, letter))
		take_request(meeting, worker, fields);
	else if (!fields[LP_LETTER_NAME].bytes)
		return;
	else if (lp_json_is(type, LP_SLICE("publishreq")) && is_whole(meeting, worker, letter))
		publish(meeting, fields);
	else if (lp_json_is(type, LP_SLICE("pushreq")) && is_whole(meeting, worker, letter))
		push(meeting, worker, fields[LP_LETTER_NAME], fields[LP_LETTER_MSG]);
	else if (lp_json_is(type, LP_SLICE("startpull")))
		pull(meeting, worker, fields[LP_LETTER_NAME]);
	else if (lp_json_is(type, LP_SLICE("stoppull")))
		lp_queues_stop(meeting->queues, fields[LP_LETTER_NAME], worker);
}

/* Frames */

static void take_request_frame(struct lp_meeting *meeting, unsigned worker, const struct lp_frame *frame)
{
	static const enum lp_store_method method_of[] = {
		[LP_FRAME_GET] = LP_STORE_GET,
		[LP_FRAME_SET] = LP_STORE_SET,
		[LP_FRAME_ACQUIRE] = LP_STORE_ACQUIRE,
		[LP_FRAME_RELEASE] = LP_STORE_RELEASE,
		[LP_FRAME_SET_RELEASE] = LP_STORE_SET_RELEASE,
		[LP_FRAME_EXPIRE] = LP_STORE_CONFIGURE,
	};
	char id[LP_STORE_ID_MAX];
	char config[48];
	struct lp_store_request request = {.method = method_of[frame->kind],
					   .worker = worker,
					   .collection = frame->name,
					   .key = frame->key,
					   .json = frame->value};
	int length = snprintf(id, sizeof(id), "%llu", (unsigned long long)frame->number);
	if (frame->number)
		request.id = (struct lp_slice){id, (size_t)length};
	if (frame->kind == LP_FRAME_EXPIRE) {
		length = snprintf(config, sizeof(config), "{\"expireKeys\":%u}", frame->seconds);
		request.config = (struct lp_slice){config, (size_t)length};
	}
	ask_store(meeting, &request);
}

static void publish_frame(struct lp_meeting *meeting, const struct lp_frame *frame)
{
	struct lp_slice letter = lp_post_publication(&meeting->post, (struct lp_slice){0}, frame->key, frame->value);
	for (unsigned worker = 0; (worker = lp_topics_next(&meeting->topics, frame->key, worker));)
		lp_post_send(&meeting->post, worker, letter);
	lp_post_clear(&meeting->post);
}

static void subscribe(struct lp_meeting *meeting, unsigned worker, struct lp_slice topic)
{
	if (lp_topics_subscribe(&meeting->topics, topic, worker))
		lp_log_limited(meeting->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			       "worker %u cannot subscribe to %.*s: topics use %u bytes already, or no memory", worker,
			       LP_SLICE_ARG(topic), LP_TOPICS_BYTES_MAX);
}

void lp_meeting_hear(struct lp_meeting *meeting, unsigned worker, const struct lp_frame *frame)
{
	switch (frame->kind) {
	case LP_FRAME_GET:
	case LP_FRAME_SET:
	case LP_FRAME_ACQUIRE:
	case LP_FRAME_RELEASE:
	case LP_FRAME_SET_RELEASE:
	case LP_FRAME_EXPIRE:
		take_request_frame(meeting, worker, frame);
		break;
	case LP_FRAME_SUBSCRIBE:
		subscribe(meeting, worker, frame->key);
		break;
	case LP_FRAME_UNSUBSCRIBE:
		lp_topics_unsubscribe(&meeting->topics, frame->key, worker);
		break;
	case LP_FRAME_PUBLISH:
		publish_frame(meeting, frame);
		break;
	case LP_FRAME_PULL:
		pull(meeting, worker, frame->key);
		break;
	case LP_FRAME_STOP:
		lp_queues_stop(meeting->queues, frame->key, worker);
		break;
	case LP_FRAME_PUSH:
		push(meeting, worker, frame->key, frame->value);
		break;
	default:
		break;
	}
}

struct lp_slice lp_meeting_share(struct lp_meeting *meeting, struct lp_slice name, struct lp_slice value)
{
	struct shared *shared = (struct shared *)lp_table_find(&meeting->shared, name);
	if (shared)
		return shared->value;
	size_t length = name.length + value.length;
	if (meeting->shared.count < SHARED_MAX && length <= SHARED_BYTES_MAX)
		shared = malloc(sizeof(*shared) + length);
	if (!shared)
		return value;
	char *behind = (char *)(shared + 1);
	memcpy(behind, name.bytes, name.length);
	memcpy(behind + name.length, value.bytes, value.length);
	shared->named.name = (struct lp_slice){behind, name.length};
	shared->value = (struct lp_slice){behind + name.length, value.length};
	if (lp_table_add(&meeting->shared, &shared->named) == 0)
		return shared->value;
	free(shared);
	return value;
}

static void forget_shared(struct lp_table *all)
{
	struct lp_named *named;
	while ((named = lp_table_any(all))) {
		lp_table_remove(all, named);
		free(named);
	}
	lp_table_clear(all);
}

void lp_meeting_leave(struct lp_meeting *meeting, unsigned worker)
{
	lp_adapter_leave(&meeting->adapter, worker);
	lp_store_forget_worker(meeting->store, worker);
	lp_queues_forget_worker(meeting->queues, worker);
	lp_topics_forget_worker(&meeting->topics, worker);
}

/* Its life */

void lp_meeting_free(struct lp_meeting *meeting)
{
	if (!meeting)
		return;
	lp_adapter_deinit(&meeting->adapter);
	forget_shared(&meeting->shared);
	lp_store_free(meeting->store);
	lp_queues_free(meeting->queues);
	lp_topics_deinit(&meeting->topics);
	lp_post_deinit(&meeting->post);
	free(meeting);
}

struct lp_meeting *lp_meeting_new(const struct lp_post *post)
{
	uint64_t seed = 0;
	struct lp_meeting *meeting = calloc(1, sizeof(*meeting));
	if (!meeting)
		return NULL;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = lp_clock_ns();
	meeting->log = post->log;
	meeting->shared.seed = seed;
	meeting->post = *post;
	lp_topics_init(&meeting->topics, post->workers, LP_TOPICS_BYTES_MAX, seed);
	meeting->store = lp_store_new(post->workers, LP_STORE_BYTES_MAX, seed, on_reply, meeting);
	meeting->queues = lp_queues_new(LP_QUEUES_BYTES_MAX, seed, on_push, meeting);
	if (lp_adapter_init(&meeting->adapter, &meeting->post, seed) == 0 && meeting->store && meeting->queues)
		return meeting;
	lp_meeting_free(meeting);
	return NULL;
}

void lp_meeting_start(struct lp_meeting *meeting, uv_loop_t *loop)
{
	uv_timer_init(loop, &meeting->timer);
	meeting->timer.data = meeting;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct lp_meeting *meeting = handle->data;
	void (*closed)(void *owner) = meeting->closed;
	void *owner = meeting->closed_owner;
	lp_meeting_free(meeting);
	closed(owner);
}

void lp_meeting_close(struct lp_meeting *meeting, void (*closed)(void *owner), void *owner)
{
	meeting->closed = closed;
	meeting->closed_owner = owner;
	uv_close((uv_handle_t *)&meeting->timer, on_timer_closed);
}
