/*
 *     store ─┬─ collections by name ─┬─ entries by key ─── waiters, the first of which may hold the entry
 *            └─ workers ─── all waiters of each
 *
 *   an entry is   | waiters | value  | in `idle`
 *   stored        | none    | yes    | yes, by its last use
 *   busy          | some    | or not | no
 *   (freed)       | none    | none   |
 *
 * A waiter is a get, a set or an acquire. The first of a queue is served at once, except an acquire: that holds the entry
 * until its worker releases it. So only an acquire can be first for long.
 *
 * Expiry follows strong-store-cluster: a collection with keys is looked at twice in its time, and a key that was not used
 * since the third look before goes. Looks are counted; an entry remembers how many there had been when it was used.
 * `idle` is in that order, so a look takes time by what it takes out.
 */
#include "broker/store.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "broker/name_table.h"
#include "broker/store_options.h"

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see that lp_list_remove takes a list's first member out. */
/* Looks that an entry survives. */
#define LOOKS 2

/* The longest time between two looks: a month. */
#define LONGEST_MS (31 * 86400e3)

static const char no_room[] = "the shared store is full";
static const char not_held[] = "the key is not locked by this worker";
static const char unknown_option[] = "Unspported configuration option: only expireKeys is known, a number of seconds";

struct collection {
	struct lp_named named; /* First. Its name is after it. */
	struct lp_list link;   /* In `expiring`, when its keys expire. */
	struct lp_name_table entries;
	struct lp_list idle;
	uint64_t looks;
	uint64_t interval_ms; /* 0: keys stay. */
	uint64_t next_ms;     /* Of the next look; 0: none is due, for there is no entry. */
};

struct entry {
	struct lp_named named; /* First. Its name is after it. */
	struct collection *collection;
	char *json;
	size_t json_length;
	struct lp_list waiters;
	bool held; /* By the first of them. */
	struct lp_list idle;
	uint64_t used; /* Looks there had been. */
};

struct waiter {
	struct lp_list link;
	struct lp_list of_worker;
	struct entry *entry;
	enum lp_store_method method;
	unsigned worker; /* 0: it has ended, and its set remains. */
	size_t id_length;
	char id[LP_STORE_ID_MAX];
	char *json; /* Of a set; NULL: delete. */
	size_t json_length;
};

struct lp_store {
	struct lp_name_table collections;
	struct lp_list expiring;
	size_t keys;
	size_t bytes;
	size_t bytes_max;
	lp_store_reply_cb reply;
	void *owner;
	struct lp_list of_worker[]; /* By id. */
};

/* Memory, all of which is counted */

static void *allocate_counted(struct lp_store *store, size_t size)
{
	if (size > store->bytes_max - store->bytes)
		return NULL;
	void *memory = calloc(1, size ? size : 1);
	if (memory)
		store->bytes += size;
	return memory;
}

static void free_counted(struct lp_store *store, void *memory, size_t size)
{
	if (memory)
		store->bytes -= size;
	free(memory);
}

/* An absent value is no memory. */
static int take_copy(struct lp_store *store, struct lp_slice bytes, char **copy)
{
	*copy = NULL;
	if (!bytes.bytes)
		return 0;
	*copy = allocate_counted(store, bytes.length);
	if (!*copy)
		return -ENOMEM;
	memcpy(*copy, bytes.bytes, bytes.length);
	return 0;
}

/* A structure that begins with struct lp_named, with its name after it. */
static void *take_named(struct lp_store *store, size_t size, struct lp_slice name)
{
	struct lp_named *named = allocate_counted(store, size + name.length);
	if (!named)
		return NULL;
	char *own = (char *)named + size;
	if (name.length)
		memcpy(own, name.bytes, name.length);
	named->name = (struct lp_slice){own, name.length};
	return named;
}

/* Collections and entries */

static struct collection *get_collection(struct lp_store *store, struct lp_slice name)
{
	struct collection *collection = (struct collection *)lp_name_table_find(&store->collections, name);
	if (collection)
		return collection;
	collection = take_named(store, sizeof(*collection), name);
	if (!collection)
		return NULL;
	if (lp_name_table_add(&store->collections, &collection->named)) {
		free_counted(store, collection, sizeof(*collection) + collection->named.name.length);
		return NULL;
	}
	collection->entries.seed = store->collections.seed;
	lp_list_init(&collection->idle);
	lp_list_init(&collection->link);
	return collection;
}

/* One without entries. */
static void free_collection(struct lp_store *store, struct collection *collection)
{
	lp_name_table_clear(&collection->entries);
	lp_name_table_remove(&store->collections, &collection->named);
	lp_list_remove(&collection->link);
	free_counted(store, collection, sizeof(*collection) + collection->named.name.length);
}

static void free_if_unused(struct lp_store *store, struct collection *collection)
{
	if (!collection->entries.count && !collection->interval_ms)
		free_collection(store, collection);
}

static struct entry *find_entry(struct lp_store *store, const struct lp_store_request *request)
{
	struct lp_named *collection = lp_name_table_find(&store->collections, request->collection);
	return collection
		       ? (struct entry *)lp_name_table_find(&((struct collection *)collection)->entries, request->key)
		       : NULL;
}

static struct entry *get_entry(struct lp_store *store, const struct lp_store_request *request)
{
	struct collection *collection = get_collection(store, request->collection);
	struct entry *entry =
		collection ? (struct entry *)lp_name_table_find(&collection->entries, request->key) : NULL;
	if (entry || !collection)
		return entry;
	entry = take_named(store, sizeof(*entry), request->key);
	if (!entry)
		return NULL;
	if (lp_name_table_add(&collection->entries, &entry->named)) {
		free_counted(store, entry, sizeof(*entry) + entry->named.name.length);
		return NULL;
	}
	entry->collection = collection;
	lp_list_init(&entry->waiters);
	lp_list_init(&entry->idle);
	store->keys++;
	if (collection->entries.count == 1 && collection->interval_ms)
		collection->next_ms = request->now_ms + collection->interval_ms;
	return entry;
}

static void put_value(struct lp_store *store, struct entry *entry, char *json, size_t length)
{
	free_counted(store, entry->json, entry->json_length);
	entry->json = json;
	entry->json_length = json ? length : 0;
}

static struct lp_slice value_of(const struct entry *entry)
{
	return (struct lp_slice){entry->json, entry->json_length};
}

static void free_entry(struct lp_store *store, struct entry *entry)
{
	struct collection *collection = entry->collection;
	lp_name_table_remove(&collection->entries, &entry->named);
	if (collection->entries.count == 0)
		collection->next_ms = 0;
	lp_list_remove(&entry->idle);
	put_value(store, entry, NULL, 0);
	free_counted(store, entry, sizeof(*entry) + entry->named.name.length);
	store->keys--;
}

/* It was used just now: stored, busy or of no more use. */
static void settle_entry(struct lp_store *store, struct entry *entry)
{
	struct collection *collection = entry->collection;
	lp_list_remove(&entry->idle);
	if (!lp_list_empty(&entry->waiters))
		return;
	if (!entry->json) {
		free_entry(store, entry);
		free_if_unused(store, collection);
		return;
	}
	entry->used = collection->looks;
	lp_list_append(&collection->idle, &entry->idle);
}

/* Waiters */

/* Returns whether it arrives, if it is wanted. */
static bool send_reply(struct lp_store *store, unsigned worker, struct lp_slice id, struct lp_slice json,
		       const char *error)
{
	return !worker || !id.bytes || store->reply(store->owner, worker, id, json, error);
}

static int refuse_request(struct lp_store *store, const struct lp_store_request *request, int status, const char *error)
{
	send_reply(store, request->worker, request->id, (struct lp_slice){0}, error);
	return status;
}

static void free_waiter(struct lp_store *store, struct waiter *waiter)
{
	lp_list_remove(&waiter->link);
	lp_list_remove(&waiter->of_worker);
	free_counted(store, waiter->json, waiter->json_length);
	free_counted(store, waiter, sizeof(*waiter));
}

static int enqueue_request(struct lp_store *store, struct entry *entry, const struct lp_store_request *request)
{
	char *json;
	if (take_copy(store, request->method == LP_STORE_SET ? request->json : (struct lp_slice){0}, &json))
		return -ENOMEM;
	struct waiter *waiter = allocate_counted(store, sizeof(*waiter));
	if (!waiter) {
		free_counted(store, json, request->json.length);
		return -ENOMEM;
	}
	waiter->entry = entry;
	waiter->method = request->method;
	waiter->worker = request->worker;
	waiter->json = json;
	waiter->json_length = json ? request->json.length : 0;
	if (request->id.bytes) {
		waiter->id_length = request->id.length;
		memcpy(waiter->id, request->id.bytes, request->id.length);
	}
	lp_list_append(&entry->waiters, &waiter->link);
	lp_list_append(&store->of_worker[request->worker], &waiter->of_worker);
	return 0;
}

/* Serve the queue up to the next acquire, which gets the entry. The entry may be gone then. */
static void serve_queue(struct lp_store *store, struct entry *entry)
{
	while (!entry->held && !lp_list_empty(&entry->waiters)) {
		struct waiter *first = LP_LIST_OWNER(entry->waiters.next, struct waiter, link);
		struct lp_slice id = {first->id_length ? first->id : NULL, first->id_length};
		bool is_set = first->method == LP_STORE_SET;
		if (is_set) {
			put_value(store, entry, first->json, first->json_length);
			first->json = NULL;
		}
		const struct lp_slice nothing = {0};
		bool arrives = send_reply(store, first->worker, id, is_set ? nothing : value_of(entry), NULL);
		entry->held = first->method == LP_STORE_ACQUIRE && arrives;
		if (!entry->held)
			free_waiter(store, first);
	}
	settle_entry(store, entry);
}

/* Requests */

static int get_value(struct lp_store *store, const struct lp_store_request *request)
{
	struct entry *entry = find_entry(store, request);
	if (entry && !lp_list_empty(&entry->waiters))
		return enqueue_request(store, entry, request) ? refuse_request(store, request, -ENOMEM, no_room) : 0;
	if (entry)
		settle_entry(store, entry);
	send_reply(store, request->worker, request->id, entry ? value_of(entry) : (struct lp_slice){0}, NULL);
	return 0;
}

static int set_value(struct lp_store *store, const struct lp_store_request *request)
{
	struct entry *entry = request->json.bytes ? get_entry(store, request) : find_entry(store, request);
	char *json = NULL;
	int status = request->json.bytes && !entry ? -ENOMEM : 0;
	if (entry && !lp_list_empty(&entry->waiters)) {
		status = enqueue_request(store, entry, request);
		return status ? refuse_request(store, request, status, no_room) : 0;
	}
	if (entry && !status)
		status = take_copy(store, request->json, &json);
	if (entry && !status)
		put_value(store, entry, json, request->json.length);
	if (entry)
		settle_entry(store, entry);
	if (status)
		return refuse_request(store, request, status, no_room);
	send_reply(store, request->worker, request->id, (struct lp_slice){0}, NULL);
	return 0;
}

static int acquire_entry(struct lp_store *store, const struct lp_store_request *request)
{
	struct entry *entry = get_entry(store, request);
	int status = entry ? enqueue_request(store, entry, request) : -ENOMEM;
	if (entry)
		serve_queue(store, entry);
	return status ? refuse_request(store, request, status, no_room) : 0;
}

static int release_entry(struct lp_store *store, const struct lp_store_request *request)
{
	struct entry *entry = find_entry(store, request);
	struct waiter *first = entry && entry->held ? LP_LIST_OWNER(entry->waiters.next, struct waiter, link) : NULL;
	char *json = NULL;
	int status = 0;
	if (!first || first->worker != request->worker)
		return refuse_request(store, request, -EPERM, not_held);
	if (request->method == LP_STORE_SET_RELEASE) {
		status = take_copy(store, request->json, &json);
		if (!status)
			put_value(store, entry, json, request->json.length);
	}
	entry->held = false;
	free_waiter(store, first);
	if (status)
		refuse_request(store, request, status, no_room);
	else
		send_reply(store, request->worker, request->id, (struct lp_slice){0}, NULL);
	serve_queue(store, entry);
	return status;
}

static int configure_collection(struct lp_store *store, const struct lp_store_request *request)
{
	double seconds;
	int status = lp_store_options_read(request->config, &seconds);
	struct collection *collection = status == 1 ? get_collection(store, request->collection) : NULL;
	if (status < 0)
		return refuse_request(store, request, status, unknown_option);
	if (status == 1 && !collection)
		return refuse_request(store, request, -ENOMEM, no_room);
	if (collection) {
		double interval_ms = ceil(seconds * 1000 / 2);
		uint64_t wanted_ms = (uint64_t)(interval_ms < LONGEST_MS ? interval_ms : LONGEST_MS);
		if (wanted_ms != collection->interval_ms) {
			collection->interval_ms = wanted_ms;
			lp_list_remove(&collection->link);
			if (wanted_ms)
				lp_list_append(&store->expiring, &collection->link);
			collection->next_ms = wanted_ms && collection->entries.count ? request->now_ms + wanted_ms : 0;
		}
		free_if_unused(store, collection);
	}
	send_reply(store, request->worker, request->id, (struct lp_slice){0}, NULL);
	return 0;
}

int lp_store_request(struct lp_store *store, const struct lp_store_request *request)
{
	switch (request->method) {
	case LP_STORE_GET:
		return get_value(store, request);
	case LP_STORE_SET:
		return set_value(store, request);
	case LP_STORE_ACQUIRE:
		return acquire_entry(store, request);
	case LP_STORE_RELEASE:
	case LP_STORE_SET_RELEASE:
		return release_entry(store, request);
	default:
		return configure_collection(store, request);
	}
}

void lp_store_forget_worker(struct lp_store *store, unsigned worker)
{
	struct lp_list *waiters = &store->of_worker[worker];
	for (struct lp_list *link = waiters->next; link != waiters; link = link->next)
		LP_LIST_OWNER(link, struct waiter, of_worker)->worker = 0;
	while (!lp_list_empty(waiters)) {
		struct waiter *waiter = LP_LIST_OWNER(waiters->next, struct waiter, of_worker);
		struct entry *entry = waiter->entry;
		if (waiter->method == LP_STORE_SET) {
			lp_list_remove(&waiter->of_worker);
			continue;
		}
		if (entry->held && entry->waiters.next == &waiter->link)
			entry->held = false;
		free_waiter(store, waiter);
		serve_queue(store, entry);
	}
}

/* Expiry */

static void expire_entries(struct lp_store *store, struct collection *collection)
{
	collection->looks++;
	while (!lp_list_empty(&collection->idle)) {
		struct entry *oldest = LP_LIST_OWNER(collection->idle.next, struct entry, idle);
		if (collection->looks - oldest->used <= LOOKS)
			break;
		free_entry(store, oldest);
	}
}

uint64_t lp_store_sweep(struct lp_store *store, uint64_t now_ms)
{
	uint64_t next_ms = 0;
	for (struct lp_list *link = store->expiring.next; link != &store->expiring; link = link->next) {
		struct collection *collection = LP_LIST_OWNER(link, struct collection, link);
		if (collection->next_ms && collection->next_ms <= now_ms) {
			collection->next_ms = now_ms + collection->interval_ms;
			expire_entries(store, collection);
		}
		if (collection->next_ms && (!next_ms || collection->next_ms < next_ms))
			next_ms = collection->next_ms;
	}
	return next_ms;
}

/* The store */

struct lp_store *lp_store_new(unsigned workers, size_t bytes_max, uint64_t seed, lp_store_reply_cb reply_cb,
			      void *owner)
{
	struct lp_store *store = calloc(1, sizeof(*store) + (workers + 1) * sizeof(store->of_worker[0]));
	if (!store)
		return NULL;
	store->bytes_max = bytes_max;
	store->collections.seed = seed;
	store->reply = reply_cb;
	store->owner = owner;
	lp_list_init(&store->expiring);
	for (unsigned i = 0; i <= workers; i++)
		lp_list_init(&store->of_worker[i]);
	return store;
}

static void empty_collection(struct lp_store *store, struct collection *collection)
{
	struct entry *entry;
	while ((entry = (struct entry *)lp_name_table_any(&collection->entries))) {
		while (!lp_list_empty(&entry->waiters))
			free_waiter(store, LP_LIST_OWNER(entry->waiters.next, struct waiter, link));
		free_entry(store, entry);
	}
}

void lp_store_free(struct lp_store *store)
{
	if (!store)
		return;
	struct lp_named *collection;
	while ((collection = lp_name_table_any(&store->collections))) {
		empty_collection(store, (struct collection *)collection);
		free_collection(store, (struct collection *)collection);
	}
	lp_name_table_clear(&store->collections);
	free(store);
}

size_t lp_store_keys(const struct lp_store *store)
{
	return store->keys;
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */
