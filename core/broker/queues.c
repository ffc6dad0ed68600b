/*
 * A queue exists while somebody pulls on it or something waits in it. Whose turn it is goes by strong-mq's own rule: the
 * place in the list of pulls, counted on, whoever comes and goes.
 */
#include "broker/queues.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "broker/name_table.h"
#include "route/workers.h"

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see that lp_list_remove takes a list's first member out. */

struct item {
	struct lp_list link;
	size_t length;
	char bytes[];
};

struct queue {
	struct lp_named named; /* First. Its name is after it. */
	struct lp_list link;
	struct lp_list items;
	unsigned *pulls; /* Workers' ids. */
	size_t pull_count;
	size_t turn;
};

struct lp_queues {
	struct lp_name_table table;
	struct lp_list all; /* The same. */
	size_t bytes;
	size_t bytes_max;
	lp_queues_send_cb send;
	void *owner;
	uint64_t full[LP_WORKERS_MAX / 64 + 1]; /* Bits of the workers that had no room since begin_round. */
};

static struct queue *find_queue(struct lp_queues *queues, struct lp_slice name)
{
	return (struct queue *)lp_name_table_find(&queues->table, name);
}

static size_t size_of(const struct queue *queue)
{
	return sizeof(*queue) + queue->named.name.length;
}

static struct queue *get_queue(struct lp_queues *queues, struct lp_slice name)
{
	struct queue *queue = find_queue(queues, name);
	size_t size = sizeof(*queue) + name.length;
	if (queue)
		return queue;
	queue = size <= queues->bytes_max - queues->bytes ? calloc(1, size) : NULL;
	if (!queue)
		return NULL;
	if (name.length)
		memcpy(queue + 1, name.bytes, name.length);
	queue->named.name = (struct lp_slice){(const char *)(queue + 1), name.length};
	if (lp_name_table_add(&queues->table, &queue->named)) {
		free(queue);
		return NULL;
	}
	lp_list_init(&queue->items);
	lp_list_append(&queues->all, &queue->link);
	queues->bytes += size;
	return queue;
}

static void free_item(struct lp_queues *queues, struct item *item)
{
	lp_list_remove(&item->link);
	queues->bytes -= sizeof(*item) + item->length;
	free(item);
}

static void free_queue(struct lp_queues *queues, struct queue *queue)
{
	while (!lp_list_empty(&queue->items))
		free_item(queues, LP_LIST_OWNER(queue->items.next, struct item, link));
	lp_name_table_remove(&queues->table, &queue->named);
	lp_list_remove(&queue->link);
	queues->bytes -= size_of(queue);
	free(queue->pulls);
	free(queue);
}

static void free_if_unused(struct lp_queues *queues, struct queue *queue)
{
	if (queue->pull_count == 0 && lp_list_empty(&queue->items))
		free_queue(queues, queue);
}

/* A message is written for each worker that is asked, so who has no room is asked once, however often it pulls. */
static void begin_round(struct lp_queues *queues)
{
	memset(queues->full, 0, sizeof(queues->full));
}

/* To the one whose turn it is, or the next that has room. */
static bool send_one(struct lp_queues *queues, struct queue *queue, struct lp_slice msg)
{
	for (size_t tries = 0; tries < queue->pull_count; tries++) {
		queue->turn %= queue->pull_count;
		unsigned worker = queue->pulls[queue->turn++];
		uint64_t *full = &queues->full[worker / 64], bit = 1ull << worker % 64;
		if (*full & bit)
			continue;
		if (queues->send(queues->owner, worker, queue->named.name, msg))
			return true;
		*full |= bit;
	}
	return false;
}

static void send_waiting(struct lp_queues *queues, struct queue *queue)
{
	while (!lp_list_empty(&queue->items)) {
		struct item *first = LP_LIST_OWNER(queue->items.next, struct item, link);
		if (!send_one(queues, queue, (struct lp_slice){first->bytes, first->length}))
			return;
		free_item(queues, first);
	}
}

int lp_queues_push(struct lp_queues *queues, struct lp_slice name, struct lp_slice msg)
{
	struct queue *queue = get_queue(queues, name);
	if (!queue)
		return -ENOMEM;
	begin_round(queues);
	send_waiting(queues, queue);
	if (lp_list_empty(&queue->items) && send_one(queues, queue, msg))
		return 0;
	size_t size = sizeof(struct item) + msg.length;
	struct item *item = size <= queues->bytes_max - queues->bytes ? malloc(size) : NULL;
	if (!item) {
		free_if_unused(queues, queue);
		return -ENOMEM;
	}
	queues->bytes += size;
	item->length = msg.length;
	if (msg.length)
		memcpy(item->bytes, msg.bytes, msg.length);
	lp_list_append(&queue->items, &item->link);
	return 1;
}

int lp_queues_pull(struct lp_queues *queues, struct lp_slice name, unsigned worker)
{
	struct queue *queue = get_queue(queues, name);
	unsigned *pulls = NULL;
	if (queue && queue->pull_count < LP_QUEUE_PULLS_MAX)
		pulls = realloc(queue->pulls, (queue->pull_count + 1) * sizeof(*pulls));
	if (!pulls) {
		if (queue)
			free_if_unused(queues, queue);
		return -ENOMEM;
	}
	queue->pulls = pulls;
	queue->pulls[queue->pull_count++] = worker;
	begin_round(queues);
	send_waiting(queues, queue);
	return 0;
}

void lp_queues_stop(struct lp_queues *queues, struct lp_slice name, unsigned worker)
{
	struct queue *queue = find_queue(queues, name);
	for (size_t i = 0; queue && i < queue->pull_count; i++) {
		if (queue->pulls[i] != worker)
			continue;
		queue->pull_count--;
		memmove(&queue->pulls[i], &queue->pulls[i + 1], (queue->pull_count - i) * sizeof(*queue->pulls));
		free_if_unused(queues, queue);
		return;
	}
}

static void remove_pulls(struct queue *queue, unsigned worker)
{
	size_t kept = 0;
	for (size_t i = 0; i < queue->pull_count; i++)
		if (queue->pulls[i] != worker)
			queue->pulls[kept++] = queue->pulls[i];
	queue->pull_count = kept;
}

void lp_queues_forget_worker(struct lp_queues *queues, unsigned worker)
{
	struct lp_list *next;
	for (struct lp_list *link = queues->all.next; link != &queues->all; link = next) {
		struct queue *queue = LP_LIST_OWNER(link, struct queue, link);
		next = link->next;
		remove_pulls(queue, worker);
		free_if_unused(queues, queue);
	}
}

bool lp_queues_retry(struct lp_queues *queues)
{
	bool waits = false;
	begin_round(queues);
	for (struct lp_list *link = queues->all.next; link != &queues->all; link = link->next) {
		struct queue *queue = LP_LIST_OWNER(link, struct queue, link);
		if (lp_list_empty(&queue->items) || queue->pull_count == 0)
			continue;
		send_waiting(queues, queue);
		waits = waits || !lp_list_empty(&queue->items);
	}
	return waits;
}

struct lp_queues *lp_queues_new(size_t bytes_max, uint64_t seed, lp_queues_send_cb send, void *owner)
{
	struct lp_queues *queues = calloc(1, sizeof(*queues));
	if (!queues)
		return NULL;
	queues->table.seed = seed;
	queues->bytes_max = bytes_max;
	queues->send = send;
	queues->owner = owner;
	lp_list_init(&queues->all);
	return queues;
}

void lp_queues_free(struct lp_queues *queues)
{
	if (!queues)
		return;
	while (!lp_list_empty(&queues->all))
		free_queue(queues, LP_LIST_OWNER(queues->all.next, struct queue, link));
	lp_name_table_clear(&queues->table);
	free(queues);
}

/* NOLINTEND(clang-analyzer-unix.Malloc) */
