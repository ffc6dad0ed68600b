#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store.h"

#define WORKERS 4

struct fixture {
	struct lp_store *store;
	uint64_t now_ms;
	unsigned deaf;   /* A worker that no reply reaches. */
	char said[4096]; /* "WORKER:ID=JSON " or "WORKER:ID! " of each reply. */
};

static bool on_reply(void *owner, unsigned worker, struct lp_slice id, struct lp_slice json, const char *error)
{
	struct fixture *fixture = owner;
	size_t length = strlen(fixture->said);
	if (worker == fixture->deaf)
		return false;
	snprintf(fixture->said + length, sizeof(fixture->said) - length, "%u:%.*s%s%.*s ", worker, LP_SLICE_ARG(id),
		 error ? "!" : "=", json.bytes ? (int)json.length : 0, json.bytes ? json.bytes : "");
	return true;
}

static void open_store(struct fixture *fixture, size_t bytes_max)
{
	*fixture = (struct fixture){.now_ms = 1000};
	fixture->store = lp_store_new(WORKERS, bytes_max, 7, on_reply, fixture);
	assert_non_null(fixture->store);
}

static struct lp_slice slice_of(const char *text)
{
	return (struct lp_slice){text, text ? strlen(text) : 0};
}

/* Ask, and see what was said to whom. */
static int ask(struct fixture *fixture, unsigned worker, const char *id, enum lp_store_method method, const char *key,
	       const char *json, const char *said)
{
	struct lp_store_request request = {.method = method,
					   .worker = worker,
					   .id = slice_of(id),
					   .collection = LP_SLICE("c"),
					   .key = slice_of(key),
					   .json = slice_of(method == LP_STORE_CONFIGURE ? NULL : json),
					   .config = slice_of(method == LP_STORE_CONFIGURE ? json : NULL),
					   .now_ms = fixture->now_ms};
	fixture->said[0] = '\0';
	int status = lp_store_request(fixture->store, &request);
	if (said)
		assert_string_equal(fixture->said, said);
	return status;
}

static void what_is_set_can_be_got_by_all(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	ask(&fixture, 1, "1", LP_STORE_GET, "k", NULL, "1:1= ");
	assert_int_equal(lp_store_keys(fixture.store), 0);
	ask(&fixture, 1, "2", LP_STORE_SET, "k", "v", "1:2= ");
	ask(&fixture, 2, "1", LP_STORE_GET, "k", NULL, "2:1=v ");
	ask(&fixture, 2, NULL, LP_STORE_SET, "k", "w", "");
	ask(&fixture, 3, "1", LP_STORE_GET, "k", NULL, "3:1=w ");
	ask(&fixture, 3, "2", LP_STORE_SET, "k", NULL, "3:2= ");
	ask(&fixture, 3, "3", LP_STORE_GET, "k", NULL, "3:3= ");
	ask(&fixture, 3, "4", LP_STORE_SET, "k", NULL, "3:4= ");
	assert_int_equal(lp_store_keys(fixture.store), 0);
	lp_store_free(fixture.store);
}

static void a_lock_makes_everybody_wait_in_line(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	ask(&fixture, 1, "1", LP_STORE_ACQUIRE, "k", NULL, "1:1= ");
	ask(&fixture, 2, "1", LP_STORE_GET, "k", NULL, "");
	ask(&fixture, 2, "2", LP_STORE_SET, "k", "two", "");
	ask(&fixture, 3, "1", LP_STORE_ACQUIRE, "k", NULL, "");
	ask(&fixture, 4, "1", LP_STORE_GET, "k", NULL, "");
	ask(&fixture, 4, "2", LP_STORE_GET, "other", NULL, "4:2= ");
	ask(&fixture, 1, "2", LP_STORE_SET_RELEASE, "k", "one", "1:2= 2:1=one 2:2= 3:1=two ");
	ask(&fixture, 3, NULL, LP_STORE_RELEASE, "k", NULL, "4:1=two ");
	lp_store_free(fixture.store);
}

static void a_dead_workers_lock_goes_to_the_next(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	ask(&fixture, 1, "1", LP_STORE_ACQUIRE, "k", NULL, "1:1= ");
	ask(&fixture, 1, "2", LP_STORE_ACQUIRE, "k", NULL, "");
	ask(&fixture, 1, "3", LP_STORE_GET, "k", NULL, "");
	ask(&fixture, 1, "4", LP_STORE_SET, "k", "last will", "");
	ask(&fixture, 2, "1", LP_STORE_ACQUIRE, "k", NULL, "");
	ask(&fixture, 1, "5", LP_STORE_ACQUIRE, "lone", NULL, "1:5= ");
	fixture.said[0] = '\0';
	lp_store_forget_worker(fixture.store, 1);
	assert_string_equal(fixture.said, "2:1=last will ");
	assert_int_equal(lp_store_keys(fixture.store), 1);
	assert_int_equal(ask(&fixture, 1, "1", LP_STORE_RELEASE, "k", NULL, "1:1! "), -EPERM);
	ask(&fixture, 2, NULL, LP_STORE_RELEASE, "k", NULL, "");
	ask(&fixture, 1, "2", LP_STORE_ACQUIRE, "k", NULL, "1:2=last will ");
	lp_store_free(fixture.store);
}

static void a_lock_that_its_worker_does_not_hear_of_goes_on(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	ask(&fixture, 1, "1", LP_STORE_ACQUIRE, "k", NULL, "1:1= ");
	ask(&fixture, 2, "1", LP_STORE_ACQUIRE, "k", NULL, "");
	ask(&fixture, 3, "1", LP_STORE_ACQUIRE, "k", NULL, "");
	fixture.deaf = 2;
	ask(&fixture, 1, "2", LP_STORE_RELEASE, "k", NULL, "1:2= 3:1= ");
	lp_store_free(fixture.store);
}

static void deleting_a_locked_key_serves_those_behind(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	ask(&fixture, 1, NULL, LP_STORE_SET, "k", "v", "");
	ask(&fixture, 1, "1", LP_STORE_ACQUIRE, "k", NULL, "1:1=v ");
	ask(&fixture, 2, "1", LP_STORE_SET, "k", NULL, "");
	ask(&fixture, 3, "1", LP_STORE_ACQUIRE, "k", NULL, "");
	ask(&fixture, 1, NULL, LP_STORE_RELEASE, "k", NULL, "2:1= 3:1= ");
	ask(&fixture, 3, "2", LP_STORE_SET_RELEASE, "k", NULL, "3:2= ");
	assert_int_equal(lp_store_keys(fixture.store), 0);
	lp_store_free(fixture.store);
}

static void only_the_holder_releases(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	assert_int_equal(ask(&fixture, 1, "1", LP_STORE_RELEASE, "k", NULL, "1:1! "), -EPERM);
	ask(&fixture, 1, "2", LP_STORE_ACQUIRE, "k", NULL, "1:2= ");
	assert_int_equal(ask(&fixture, 2, "1", LP_STORE_SET_RELEASE, "k", "x", "2:1! "), -EPERM);
	assert_int_equal(ask(&fixture, 2, NULL, LP_STORE_RELEASE, "k", NULL, ""), -EPERM);
	ask(&fixture, 1, "3", LP_STORE_RELEASE, "k", NULL, "1:3= ");
	assert_int_equal(lp_store_keys(fixture.store), 0);
	lp_store_free(fixture.store);
}

static void a_key_not_used_goes_at_the_third_look(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	assert_int_equal(ask(&fixture, 1, "1", LP_STORE_CONFIGURE, NULL, "{\"expireKeys\":0.101}", "1:1= "), 0);
	assert_int_equal(lp_store_sweep(fixture.store, 5000), 0);
	ask(&fixture, 1, NULL, LP_STORE_SET, "k", "v", "");
	ask(&fixture, 1, NULL, LP_STORE_ACQUIRE, "locked", NULL, "");
	assert_int_equal(lp_store_sweep(fixture.store, 1050), 1051);
	assert_int_equal(lp_store_sweep(fixture.store, 1051), 1102);
	assert_int_equal(lp_store_sweep(fixture.store, 1102), 1153);
	ask(&fixture, 1, "2", LP_STORE_GET, "k", NULL, "1:2=v ");
	assert_int_equal(lp_store_sweep(fixture.store, 1153), 1204);
	assert_int_equal(lp_store_sweep(fixture.store, 1204), 1255);
	assert_int_equal(lp_store_keys(fixture.store), 2);
	assert_int_equal(lp_store_sweep(fixture.store, 1255), 1306);
	assert_int_equal(lp_store_keys(fixture.store), 1);
	for (uint64_t now_ms = 1306; now_ms < 3000; now_ms += 51)
		lp_store_sweep(fixture.store, now_ms);
	ask(&fixture, 1, "3", LP_STORE_SET_RELEASE, "locked", NULL, "1:3= ");
	assert_int_equal(lp_store_sweep(fixture.store, 4000), 0);
	lp_store_free(fixture.store);
}

static void configure_set_delete_set_is_nothing_special(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	ask(&fixture, 1, NULL, LP_STORE_CONFIGURE, NULL, "{\"expireKeys\":1}", "");
	for (int i = 0; i < 3; i++) {
		ask(&fixture, 1, NULL, LP_STORE_SET, "k", "v", "");
		ask(&fixture, 1, NULL, LP_STORE_SET, "k", NULL, "");
	}
	ask(&fixture, 1, NULL, LP_STORE_SET, "k", "v", "");
	assert_int_equal(lp_store_sweep(fixture.store, 1000), 1500);
	ask(&fixture, 1, "1", LP_STORE_CONFIGURE, NULL, "{\"expireKeys\":null}", "1:1= ");
	assert_int_equal(lp_store_sweep(fixture.store, 9000), 0);
	assert_int_equal(ask(&fixture, 1, "2", LP_STORE_CONFIGURE, NULL, "{\"other\":1}", "1:2! "), -EINVAL);
	assert_int_equal(ask(&fixture, 1, "3", LP_STORE_CONFIGURE, NULL, "{\"expireKeys\":\"1\"}", "1:3! "), -EINVAL);
	assert_int_equal(ask(&fixture, 1, "4", LP_STORE_CONFIGURE, NULL, "{}", "1:4= "), 0);
	lp_store_free(fixture.store);
}

static void at_the_bound_more_is_refused_and_nothing_lost(void **state)
{
	struct fixture fixture;
	char key[16];
	unsigned stored = 0;
	(void)state;
	open_store(&fixture, 20000);
	for (snprintf(key, sizeof(key), "%u", stored); ask(&fixture, 1, "1", LP_STORE_SET, key, "v", NULL) == 0;)
		snprintf(key, sizeof(key), "%u", ++stored);
	assert_string_equal(fixture.said, "1:1! ");
	assert_true(stored > 50);
	assert_int_equal(lp_store_keys(fixture.store), stored);
	ask(&fixture, 2, "1", LP_STORE_GET, "0", NULL, "2:1=v ");
	assert_int_equal(ask(&fixture, 2, "2", LP_STORE_ACQUIRE, "new", NULL, "2:2! "), -ENOMEM);
	ask(&fixture, 2, "3", LP_STORE_SET, "1", NULL, "2:3= ");
	ask(&fixture, 2, "4", LP_STORE_SET, "2", NULL, "2:4= ");
	assert_int_equal(ask(&fixture, 2, "5", LP_STORE_ACQUIRE, "0", NULL, "2:5=v "), 0);
	while (ask(&fixture, 3, "1", LP_STORE_GET, "0", NULL, NULL) == 0)
		;
	assert_string_equal(fixture.said, "3:1! ");
	lp_store_forget_worker(fixture.store, 3);
	ask(&fixture, 2, "6", LP_STORE_RELEASE, "0", NULL, "2:6= ");
	lp_store_free(fixture.store);
}

/* Whoever asks, and whoever dies: in the end every lock is free, and everybody who lives was answered. */
/* Nothing is left of what is gone, in as many collections as there are sessions, say. */
static void a_collection_without_keys_is_gone(void **state)
{
	struct fixture fixture;
	char name[16];
	(void)state;
	open_store(&fixture, 4096);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		struct lp_store_request request = {.method = LP_STORE_SET,
						   .worker = 1,
						   .id = LP_SLICE("1"),
						   .collection = slice_of(name),
						   .key = LP_SLICE("k"),
						   .json = LP_SLICE("1")};
		assert_int_equal(lp_store_request(fixture.store, &request), 0);
		request.json = (struct lp_slice){0};
		assert_int_equal(lp_store_request(fixture.store, &request), 0);
		request.method = LP_STORE_ACQUIRE;
		assert_int_equal(lp_store_request(fixture.store, &request), 0);
		request.method = LP_STORE_RELEASE;
		assert_int_equal(lp_store_request(fixture.store, &request), 0);
		request.method = LP_STORE_CONFIGURE;
		request.config = LP_SLICE("{\"expireKeys\":null}");
		assert_int_equal(lp_store_request(fixture.store, &request), 0);
		fixture.said[0] = '\0';
	}
	lp_store_free(fixture.store);
}

static void at_random_nobody_waits_for_ever(void **state)
{
	struct fixture fixture;
	(void)state;
	open_store(&fixture, LP_STORE_BYTES_MAX);
	srand(5);
	for (int round = 0; round < 20000; round++) {
		char key[2] = {(char)('a' + rand() % 5), '\0'};
		unsigned worker = 1 + (unsigned)rand() % WORKERS;
		fixture.now_ms += 10;
		if (rand() % 20 == 0)
			lp_store_forget_worker(fixture.store, worker);
		else if (rand() % 20 == 0)
			lp_store_sweep(fixture.store, fixture.now_ms);
		else
			ask(&fixture, worker, rand() % 2 ? "1" : NULL,
			    (enum lp_store_method)(rand() % LP_STORE_CONFIGURE), key, rand() % 3 ? "value" : NULL,
			    NULL);
	}
	for (unsigned worker = 1; worker <= WORKERS; worker++)
		lp_store_forget_worker(fixture.store, worker);
	for (char key[2] = "a"; key[0] < 'f'; key[0]++) {
		ask(&fixture, 1, "9", LP_STORE_ACQUIRE, key, NULL, NULL);
		assert_memory_equal(fixture.said, "1:9=", 4);
		ask(&fixture, 1, "9", LP_STORE_SET_RELEASE, key, NULL, "1:9= ");
	}
	assert_int_equal(lp_store_keys(fixture.store), 0);
	lp_store_free(fixture.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_set_can_be_got_by_all),
		cmocka_unit_test(a_lock_makes_everybody_wait_in_line),
		cmocka_unit_test(a_dead_workers_lock_goes_to_the_next),
		cmocka_unit_test(a_lock_that_its_worker_does_not_hear_of_goes_on),
		cmocka_unit_test(deleting_a_locked_key_serves_those_behind),
		cmocka_unit_test(only_the_holder_releases),
		cmocka_unit_test(a_key_not_used_goes_at_the_third_look),
		cmocka_unit_test(configure_set_delete_set_is_nothing_special),
		cmocka_unit_test(at_the_bound_more_is_refused_and_nothing_lost),
		cmocka_unit_test(a_collection_without_keys_is_gone),
		cmocka_unit_test(at_random_nobody_waits_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
