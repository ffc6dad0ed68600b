/*
 * The store and the bus. Nothing is kept here: requests go out as frames, and what comes back is worker.c's.
 */
#include "client/outgoing.h"

#include <errno.h>
#include <string.h>

static struct lp_slice slice_of(const char *text)
{
	return (struct lp_slice){text, text ? strlen(text) : 0};
}

/* A value of no bytes is one, too. */
static struct lp_slice value_of(const void *bytes, size_t length)
{
	return (struct lp_slice){length ? bytes : "", length};
}

static int send_frame(struct limpet_worker *worker, const struct lp_frame *frame)
{
	return frame->value.length > LP_FRAME_VALUE_MAX ? -EMSGSIZE : lp_client_send_frame(worker, frame);
}

static int send_request(struct limpet_worker *worker, enum lp_frame_kind kind, uint64_t request, const char *collection,
			const char *key)
{
	return send_frame(worker,
			  &(struct lp_frame){
				  .kind = kind, .number = request, .name = slice_of(collection), .key = slice_of(key)});
}

static int send_value(struct limpet_worker *worker, enum lp_frame_kind kind, uint64_t request, const char *collection,
		      const char *key, const void *value, size_t length)
{
	if (!value)
		return send_request(worker, kind, request, collection, key);
	return send_frame(worker, &(struct lp_frame){.kind = kind,
						     .number = request,
						     .name = slice_of(collection),
						     .key = slice_of(key),
						     .value = value_of(value, length)});
}

int limpet_worker_get(struct limpet_worker *worker, uint64_t request, const char *collection, const char *key)
{
	return request ? send_request(worker, LP_FRAME_GET, request, collection, key) : -EINVAL;
}

int limpet_worker_set(struct limpet_worker *worker, uint64_t request, const char *collection, const char *key,
		      const void *value, size_t length)
{
	return send_value(worker, LP_FRAME_SET, request, collection, key, value, length);
}

int limpet_worker_acquire(struct limpet_worker *worker, uint64_t request, const char *collection, const char *key)
{
	return request ? send_request(worker, LP_FRAME_ACQUIRE, request, collection, key) : -EINVAL;
}

int limpet_worker_release(struct limpet_worker *worker, uint64_t request, const char *collection, const char *key)
{
	return send_request(worker, LP_FRAME_RELEASE, request, collection, key);
}

int limpet_worker_set_release(struct limpet_worker *worker, uint64_t request, const char *collection, const char *key,
			      const void *value, size_t length)
{
	return send_value(worker, LP_FRAME_SET_RELEASE, request, collection, key, value, length);
}

int limpet_worker_expire(struct limpet_worker *worker, uint64_t request, const char *collection, uint32_t seconds)
{
	return send_frame(worker, &(struct lp_frame){.kind = LP_FRAME_EXPIRE,
						     .number = request,
						     .name = slice_of(collection),
						     .seconds = seconds});
}

static int send_name(struct limpet_worker *worker, enum lp_frame_kind kind, const char *key)
{
	return send_frame(worker, &(struct lp_frame){.kind = kind, .key = slice_of(key)});
}

static int send_to(struct limpet_worker *worker, enum lp_frame_kind kind, const char *key, const void *bytes,
		   size_t length)
{
	return send_frame(worker,
			  &(struct lp_frame){.kind = kind, .key = slice_of(key), .value = value_of(bytes, length)});
}

int limpet_worker_subscribe(struct limpet_worker *worker, const char *topic)
{
	return send_name(worker, LP_FRAME_SUBSCRIBE, topic);
}

int limpet_worker_unsubscribe(struct limpet_worker *worker, const char *topic)
{
	return send_name(worker, LP_FRAME_UNSUBSCRIBE, topic);
}

int limpet_worker_publish(struct limpet_worker *worker, const char *topic, const void *bytes, size_t length)
{
	return send_to(worker, LP_FRAME_PUBLISH, topic, bytes, length);
}

int limpet_worker_pull(struct limpet_worker *worker, const char *queue)
{
	return send_name(worker, LP_FRAME_PULL, queue);
}

int limpet_worker_stop(struct limpet_worker *worker, const char *queue)
{
	return send_name(worker, LP_FRAME_STOP, queue);
}

int limpet_worker_push(struct limpet_worker *worker, const char *queue, const void *bytes, size_t length)
{
	return send_to(worker, LP_FRAME_PUSH, queue, bytes, length);
}
