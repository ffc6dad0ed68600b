/*
 * A topic holds a byte for each worker, for there are few workers and each look goes through all of them anyway.
 */
#include "broker/topics.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct topic {
	struct lp_named named; /* First. Its name is after `wanted`. */
	struct lp_list link;
	unsigned count; /* Of those who want it: 1 or more. */
	bool wanted[];  /* By the worker's id, less one. */
};

static struct topic *find_topic(const struct lp_topics *topics, struct lp_slice name)
{
	return (struct topic *)lp_name_table_find(&topics->table, name);
}

static size_t size_of(const struct lp_topics *topics, struct lp_slice name)
{
	return sizeof(struct topic) + topics->workers * sizeof(bool) + name.length;
}

static struct topic *add_topic(struct lp_topics *topics, struct lp_slice name)
{
	size_t size = size_of(topics, name);
	struct topic *topic = size <= topics->bytes_max - topics->bytes ? calloc(1, size) : NULL;
	if (!topic)
		return NULL;
	char *own = (char *)&topic->wanted[topics->workers];
	memcpy(own, name.bytes, name.length);
	topic->named.name = (struct lp_slice){own, name.length};
	if (lp_name_table_add(&topics->table, &topic->named)) {
		free(topic);
		return NULL;
	}
	lp_list_append(&topics->all, &topic->link);
	topics->bytes += size;
	return topic;
}

static void free_topic(struct lp_topics *topics, struct topic *topic)
{
	lp_name_table_remove(&topics->table, &topic->named);
	lp_list_remove(&topic->link);
	topics->bytes -= size_of(topics, topic->named.name);
	free(topic);
}

int lp_topics_subscribe(struct lp_topics *topics, struct lp_slice name, unsigned worker)
{
	struct topic *topic = find_topic(topics, name);
	if (!topic)
		topic = add_topic(topics, name);
	if (!topic)
		return -ENOMEM;
	topic->count += !topic->wanted[worker - 1];
	topic->wanted[worker - 1] = true;
	return 0;
}

static void leave_topic(struct lp_topics *topics, struct topic *topic, unsigned worker)
{
	if (!topic->wanted[worker - 1])
		return;
	topic->wanted[worker - 1] = false;
	if (--topic->count == 0)
		free_topic(topics, topic);
}

void lp_topics_unsubscribe(struct lp_topics *topics, struct lp_slice name, unsigned worker)
{
	struct topic *topic = find_topic(topics, name);
	if (topic)
		leave_topic(topics, topic, worker);
}

void lp_topics_forget_worker(struct lp_topics *topics, unsigned worker)
{
	struct lp_list *next;
	for (struct lp_list *link = topics->all.next; link != &topics->all; link = next) {
		next = link->next;
		leave_topic(topics, LP_LIST_OWNER(link, struct topic, link), worker);
	}
}

unsigned lp_topics_next(const struct lp_topics *topics, struct lp_slice name, unsigned after)
{
	const struct topic *topic = find_topic(topics, name);
	for (unsigned worker = after + 1; topic && worker <= topics->workers; worker++)
		if (topic->wanted[worker - 1])
			return worker;
	return 0;
}

void lp_topics_init(struct lp_topics *topics, unsigned workers, size_t bytes_max, uint64_t seed)
{
	*topics = (struct lp_topics){.table = {.seed = seed}, .workers = workers, .bytes_max = bytes_max};
	lp_list_init(&topics->all);
}

void lp_topics_deinit(struct lp_topics *topics)
{
	while (topics->all.next && !lp_list_empty(&topics->all))
		free_topic(topics, LP_LIST_OWNER(topics->all.next, struct topic, link));
	lp_name_table_clear(&topics->table);
}
