/*
 * Messages are told apart by their "source" and "type". What is passed on goes as it came; what is answered is put together
 * from the members as they were written, so no value is ever taken apart.
 *
 * One timer does what comes without a message: keys that expire, and what waits in a queue whose workers had no room.
 */
#include "broker/broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "broker/queues.h"
#include "broker/store.h"
#include "broker/topics.h"

/* How soon workers without room are offered again what waits for them. */
#define RETRY_MS 100

/* Things shared by name, at most, and bytes of one with its name. */
#define SHARED_MAX 256
#define SHARED_BYTES_MAX (16u << 10)

struct shared {
	struct lp_named named; /* First. Its name is after it, and after that the value. */
	struct lp_slice value;
};

struct lp_broker {
	uv_timer_t timer;
	struct lp_log *log;
	struct lp_message_writer writer;
	struct lp_adapter adapter;
	struct lp_store *store;
	struct lp_queues *queues;
	struct lp_topics topics;     /* Of native workers: Node's hear all, and pick for themselves. */
	struct lp_name_table shared; /* struct shared, by name. */
	void (*closed)(void *owner);
	void *closed_owner;
};

/* The store */

static bool on_reply(void *owner, unsigned worker, struct lp_slice id, struct lp_slice json, const char *error)
{
	struct lp_broker *broker = owner;
	bool sent = lp_message_writer_send(&broker->writer, worker,
					   lp_message_writer_reply(&broker->writer, id, json, error));
	lp_message_writer_clear(&broker->writer);
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
static void do_what_is_due(struct lp_broker *broker)
{
	uint64_t now_ms = lp_clock_ns() / 1000000;
	uint64_t next_ms = lp_store_sweep(broker->store, now_ms);
	if (lp_queues_retry(broker->queues) && (!next_ms || next_ms > now_ms + RETRY_MS))
		next_ms = now_ms + RETRY_MS;
	if (next_ms)
		uv_timer_start(&broker->timer, on_timer, next_ms - now_ms, 0);
	else
		uv_timer_stop(&broker->timer);
}

static void on_timer(uv_timer_t *timer)
{
	do_what_is_due(timer->data);
}

static void ask_store(struct lp_broker *broker, struct lp_store_request *request)
{
	request->now_ms = lp_clock_ns() / 1000000;
	int status = lp_store_request(broker->store, request);
	if (status)
		lp_log_limited(broker->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER,
			       LP_LOG_ABOUT(.worker = request->worker),
			       "worker %u: the shared store refuses %.*s of \"%.*s\" in \"%.*s\": %s", request->worker,
			       LP_SLICE_ARG(methods[request->method]), LP_SLICE_ARG(request->key),
			       LP_SLICE_ARG(request->collection),
			       status == -ENOMEM  ? "it is full"
			       : status == -EPERM ? "the worker has no lock on it"
						  : "only expireKeys can be configured, a number of seconds");
	if (request->method == LP_STORE_CONFIGURE || !uv_is_active((uv_handle_t *)&broker->timer))
		do_what_is_due(broker);
}

static void take_request(struct lp_broker *broker, unsigned worker, const struct lp_slice *fields)
{
	int method = find_method(fields[LP_MESSAGE_METHOD]);
	struct lp_store_request request = {.method = (enum lp_store_method)method,
					   .worker = worker,
					   .id = id_of(fields[LP_MESSAGE_REQUEST]),
					   .collection = name_of(fields[LP_MESSAGE_COLLECTION]),
					   .key = name_of(fields[LP_MESSAGE_KEY]),
					   .json = fields[LP_MESSAGE_JSON],
					   .config = fields[LP_MESSAGE_CONFIG]};
	if (method < 0 || request.id.length > LP_STORE_ID_MAX)
		lp_log_limited(
			broker->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			"worker %u asked the shared store for %.*s, which it does not know; the request was ignored",
			worker, LP_SLICE_ARG(fields[LP_MESSAGE_METHOD]));
	else
		ask_store(broker, &request);
}

/* The bus */

static void publish_message(struct lp_broker *broker, const struct lp_slice *fields)
{
	struct lp_slice message = lp_message_writer_publication(
		&broker->writer, fields[LP_MESSAGE_NAME], name_of(fields[LP_MESSAGE_TOPIC]), fields[LP_MESSAGE_MSG]);
	for (unsigned worker = 1; worker <= broker->writer.workers; worker++)
		lp_message_writer_send(&broker->writer, worker, message);
	lp_message_writer_clear(&broker->writer);
}

static bool on_push(void *owner, unsigned worker, struct lp_slice name, struct lp_slice msg)
{
	struct lp_broker *broker = owner;
	bool sent = lp_message_writer_send(&broker->writer, worker, lp_message_writer_push(&broker->writer, name, msg));
	lp_message_writer_clear(&broker->writer);
	return sent;
}

static void push_to_queue(struct lp_broker *broker, unsigned worker, struct lp_slice name, struct lp_slice msg)
{
	int status = lp_queues_push(broker->queues, name, msg);
	if (status < 0)
		lp_log_limited(
			broker->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			"worker %u pushed to the queue %.*s, which holds %u bytes already; the message was dropped",
			worker, LP_SLICE_ARG(name), LP_QUEUES_BYTES_MAX);
	else if (status > 0)
		do_what_is_due(broker);
}

static void pull_from_queue(struct lp_broker *broker, unsigned worker, struct lp_slice name)
{
	if (lp_queues_pull(broker->queues, name, worker))
		lp_log_limited(broker->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			       "worker %u cannot pull from the queue %.*s: too many workers pull already, or no memory",
			       worker, LP_SLICE_ARG(name));
	do_what_is_due(broker);
}

/* Messages */

/* What limpet goes by is JSON, and what it keeps stands by itself: of that nothing may be missing. */
static bool is_whole(struct lp_broker *broker, unsigned worker, const struct lp_message *message)
{
	const uint32_t names = 1u << LP_MESSAGE_NAME | 1u << LP_MESSAGE_TOPIC | 1u << LP_MESSAGE_COLLECTION |
			       1u << LP_MESSAGE_KEY | 1u << LP_MESSAGE_CONFIG | 1u << LP_MESSAGE_REQUEST;
	const uint32_t values = 1u << LP_MESSAGE_MSG | 1u << LP_MESSAGE_JSON;
	if (!(message->lossy & (names | values)))
		return true;
	lp_log_limited(broker->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
		       "worker %u sent a message of type %.*s %s; it was dropped", worker,
		       LP_SLICE_ARG(message->fields[LP_MESSAGE_TYPE]),
		       message->lossy & names ? "with a name, key or option that JSON cannot express, such as a Buffer"
					      : "whose value refers to another part of the message");
	return false;
}

void lp_broker_handle_message(struct lp_broker *broker, unsigned worker, const struct lp_message *message)
{
	const struct lp_slice *fields = message->fields;
	struct lp_slice type = fields[LP_MESSAGE_TYPE];
	if (lp_adapter_handle(&broker->adapter, worker, message))
		return;
	if (lp_json_is(type, LP_SLICE("DSM_REQUEST")) && is_whole(broker, worker, message))
		take_request(broker, worker, fields);
	else if (!fields[LP_MESSAGE_NAME].bytes)
		return;
	else if (lp_json_is(type, LP_SLICE("publishreq")) && is_whole(broker, worker, message))
		publish_message(broker, fields);
	else if (lp_json_is(type, LP_SLICE("pushreq")) && is_whole(broker, worker, message))
		push_to_queue(broker, worker, fields[LP_MESSAGE_NAME], fields[LP_MESSAGE_MSG]);
	else if (lp_json_is(type, LP_SLICE("startpull")))
		pull_from_queue(broker, worker, fields[LP_MESSAGE_NAME]);
	else if (lp_json_is(type, LP_SLICE("stoppull")))
		lp_queues_stop(broker->queues, fields[LP_MESSAGE_NAME], worker);
}

/* Frames */

static void take_request_frame(struct lp_broker *broker, unsigned worker, const struct lp_frame *frame)
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
	ask_store(broker, &request);
}

static void publish_frame(struct lp_broker *broker, const struct lp_frame *frame)
{
	struct lp_slice message =
		lp_message_writer_publication(&broker->writer, (struct lp_slice){0}, frame->key, frame->value);
	for (unsigned worker = 0; (worker = lp_topics_next(&broker->topics, frame->key, worker));)
		lp_message_writer_send(&broker->writer, worker, message);
	lp_message_writer_clear(&broker->writer);
}

static void subscribe_worker(struct lp_broker *broker, unsigned worker, struct lp_slice topic)
{
	if (lp_topics_subscribe(&broker->topics, topic, worker))
		lp_log_limited(broker->log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.worker = worker),
			       "worker %u cannot subscribe to %.*s: topics use %u bytes already, or no memory", worker,
			       LP_SLICE_ARG(topic), LP_TOPICS_BYTES_MAX);
}

void lp_broker_handle_frame(struct lp_broker *broker, unsigned worker, const struct lp_frame *frame)
{
	switch (frame->kind) {
	case LP_FRAME_GET:
	case LP_FRAME_SET:
	case LP_FRAME_ACQUIRE:
	case LP_FRAME_RELEASE:
	case LP_FRAME_SET_RELEASE:
	case LP_FRAME_EXPIRE:
		take_request_frame(broker, worker, frame);
		break;
	case LP_FRAME_SUBSCRIBE:
		subscribe_worker(broker, worker, frame->key);
		break;
	case LP_FRAME_UNSUBSCRIBE:
		lp_topics_unsubscribe(&broker->topics, frame->key, worker);
		break;
	case LP_FRAME_PUBLISH:
		publish_frame(broker, frame);
		break;
	case LP_FRAME_PULL:
		pull_from_queue(broker, worker, frame->key);
		break;
	case LP_FRAME_STOP:
		lp_queues_stop(broker->queues, frame->key, worker);
		break;
	case LP_FRAME_PUSH:
		push_to_queue(broker, worker, frame->key, frame->value);
		break;
	default:
		break;
	}
}

struct lp_slice lp_broker_share(struct lp_broker *broker, struct lp_slice name, struct lp_slice value)
{
	struct shared *shared = (struct shared *)lp_name_table_find(&broker->shared, name);
	if (shared)
		return shared->value;
	size_t length = name.length + value.length;
	if (broker->shared.count < SHARED_MAX && length <= SHARED_BYTES_MAX)
		shared = malloc(sizeof(*shared) + length);
	if (!shared)
		return value;
	char *behind = (char *)(shared + 1);
	memcpy(behind, name.bytes, name.length);
	memcpy(behind + name.length, value.bytes, value.length);
	shared->named.name = (struct lp_slice){behind, name.length};
	shared->value = (struct lp_slice){behind + name.length, value.length};
	if (lp_name_table_add(&broker->shared, &shared->named) == 0)
		return shared->value;
	free(shared);
	return value;
}

static void forget_shared(struct lp_name_table *all)
{
	struct lp_named *named;
	while ((named = lp_name_table_any(all))) {
		lp_name_table_remove(all, named);
		free(named);
	}
	lp_name_table_clear(all);
}

void lp_broker_leave(struct lp_broker *broker, unsigned worker)
{
	lp_adapter_leave(&broker->adapter, worker);
	lp_store_forget_worker(broker->store, worker);
	lp_queues_forget_worker(broker->queues, worker);
	lp_topics_forget_worker(&broker->topics, worker);
}

/* Its life */

void lp_broker_free(struct lp_broker *broker)
{
	if (!broker)
		return;
	lp_adapter_deinit(&broker->adapter);
	forget_shared(&broker->shared);
	lp_store_free(broker->store);
	lp_queues_free(broker->queues);
	lp_topics_deinit(&broker->topics);
	lp_message_writer_deinit(&broker->writer);
	free(broker);
}

struct lp_broker *lp_broker_new(const struct lp_message_writer *writer)
{
	uint64_t seed = 0;
	struct lp_broker *broker = calloc(1, sizeof(*broker));
	if (!broker)
		return NULL;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = lp_clock_ns();
	broker->log = writer->log;
	broker->shared.seed = seed;
	broker->writer = *writer;
	lp_topics_init(&broker->topics, writer->workers, LP_TOPICS_BYTES_MAX, seed);
	broker->store = lp_store_new(writer->workers, LP_STORE_BYTES_MAX, seed, on_reply, broker);
	broker->queues = lp_queues_new(LP_QUEUES_BYTES_MAX, seed, on_push, broker);
	if (lp_adapter_init(&broker->adapter, &broker->writer, seed) == 0 && broker->store && broker->queues)
		return broker;
	lp_broker_free(broker);
	return NULL;
}

void lp_broker_start(struct lp_broker *broker, uv_loop_t *loop)
{
	uv_timer_init(loop, &broker->timer);
	broker->timer.data = broker;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct lp_broker *broker = handle->data;
	void (*closed)(void *owner) = broker->closed;
	void *owner = broker->closed_owner;
	lp_broker_free(broker);
	closed(owner);
}

void lp_broker_close(struct lp_broker *broker, void (*closed)(void *owner), void *owner)
{
	broker->closed = closed;
	broker->closed_owner = owner;
	uv_close((uv_handle_t *)&broker->timer, on_timer_closed);
}
