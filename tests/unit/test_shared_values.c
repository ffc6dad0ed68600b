/*
 * The shared dictionary: first the rules one by one, then random calls beside a model that is too simple to be wrong
 * (an array, with every key looked at each time), with bounds so tight that they are met all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "route/shared_values.h"

static struct lp_shared *with_room_for(size_t entries, size_t bytes)
{
	struct lp_shared *shared = lp_shared_new(entries, bytes, 0x5eed);

	assert_non_null(shared);
	return shared;
}

static struct lp_slice slice(const char *text)
{
	return (struct lp_slice){text, strlen(text)};
}

static int set_number(struct lp_shared *shared, const char *key, double number, uint64_t ttl_ms, uint64_t now_ms)
{
	struct lp_shared_value value = {.kind = LP_SHARED_NUMBER, .number = number};

	return lp_shared_set(shared, slice(key), &value, ttl_ms, now_ms);
}

static int set_string(struct lp_shared *shared, const char *key, const char *string)
{
	struct lp_shared_value value = {.kind = LP_SHARED_STRING, .string = slice(string)};

	return lp_shared_set(shared, slice(key), &value, 0, 0);
}

static bool has(struct lp_shared *shared, const char *key, uint64_t now_ms)
{
	struct lp_shared_value value;

	return lp_shared_find(shared, slice(key), now_ms, &value);
}

static void assert_number(struct lp_shared *shared, const char *key, uint64_t now_ms, double number)
{
	struct lp_shared_value value;

	assert_true(lp_shared_find(shared, slice(key), now_ms, &value));
	assert_int_equal(value.kind, LP_SHARED_NUMBER);
	assert_true(value.number == number);
}

static void assert_string(struct lp_shared *shared, const char *key, const char *string)
{
	struct lp_shared_value value;

	assert_true(lp_shared_find(shared, slice(key), 0, &value));
	assert_int_equal(value.kind, LP_SHARED_STRING);
	assert_int_equal(value.string.length, strlen(string));
	assert_memory_equal(value.string.bytes, string, strlen(string));
}

static void each_kind_of_value_comes_back_as_it_was(void **state)
{
	struct lp_shared *shared = with_room_for(10, 1000);
	struct lp_shared_value value = {.kind = LP_SHARED_BOOLEAN, .boolean = true};
	char text[] = "acme";

	(void)state;
	assert_int_equal(set_number(shared, "number", -0.5, 0, 0), 0);
	assert_int_equal(set_string(shared, "string", text), 0);
	assert_int_equal(set_string(shared, "nothing", ""), 0);
	assert_int_equal(lp_shared_set(shared, LP_SLICE("boolean"), &value, 0, 0), 0);
	memset(text, 'x', sizeof(text) - 1);
	assert_number(shared, "number", 0, -0.5);
	assert_string(shared, "string", "acme");
	assert_string(shared, "nothing", "");
	assert_true(lp_shared_find(shared, LP_SLICE("boolean"), 0, &value));
	assert_int_equal(value.kind, LP_SHARED_BOOLEAN);
	assert_true(value.boolean);
	assert_false(has(shared, "numbe", 0));
	assert_int_equal(lp_shared_count(shared), 4);
	lp_shared_free(shared);
}

static void keys_are_bytes_and_may_be_empty(void **state)
{
	struct lp_shared *shared = with_room_for(10, 1000);
	struct lp_slice keys[] = {LP_SLICE("a\0b"), LP_SLICE("a\0c"), LP_SLICE("a"), LP_SLICE("")};
	double sum;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(lp_shared_add(shared, keys[i], (double)i, 0, 0, &sum), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(lp_shared_add(shared, keys[i], 0, 0, 0, &sum), 0);
		assert_true(sum == (double)i);
	}
	assert_number(shared, "", 0, 3);
	lp_shared_free(shared);
}

static void setting_again_replaces_value_kind_and_time_to_live(void **state)
{
	struct lp_shared *shared = with_room_for(10, 1000);

	(void)state;
	assert_int_equal(set_number(shared, "a", 1, 100, 0), 0);
	assert_int_equal(set_string(shared, "a", "forever"), 0);
	assert_string(shared, "a", "forever");
	assert_true(has(shared, "a", 100));
	assert_int_equal(set_number(shared, "a", 2, 50, 100), 0);
	assert_number(shared, "a", 149, 2);
	assert_false(has(shared, "a", 150));
	assert_int_equal(lp_shared_count(shared), 0);
	lp_shared_free(shared);
}

static void a_value_found_can_be_set_again_under_its_own_key(void **state)
{
	struct lp_shared *shared = with_room_for(1, 5);
	struct lp_shared_value value;

	(void)state;
	assert_int_equal(set_string(shared, "a", "acme"), 0);
	assert_true(lp_shared_find(shared, LP_SLICE("a"), 0, &value));
	assert_int_equal(lp_shared_set(shared, LP_SLICE("a"), &value, 0, 0), 0);
	assert_string(shared, "a", "acme");
	lp_shared_free(shared);
}

static void a_key_is_gone_when_its_time_is_over(void **state)
{
	struct lp_shared *shared = with_room_for(10, 1000);

	(void)state;
	assert_int_equal(set_number(shared, "a", 1, 1000, 500), 0);
	assert_true(has(shared, "a", 1499));
	assert_false(has(shared, "a", 1500));
	assert_false(has(shared, "a", 1499)); /* For good. */
	lp_shared_free(shared);
}

static void a_time_to_live_past_the_end_of_time_is_for_ever(void **state)
{
	struct lp_shared *shared = with_room_for(10, 1000);

	(void)state;
	assert_int_equal(set_number(shared, "a", 1, UINT64_MAX, 5), 0);
	assert_int_equal(set_number(shared, "b", 1, UINT64_MAX - 5, 5), 0);
	assert_int_equal(set_number(shared, "c", 1, UINT64_MAX - 6, 5), 0);
	assert_true(has(shared, "a", UINT64_MAX - 1));
	assert_true(has(shared, "b", UINT64_MAX - 1));
	assert_true(has(shared, "c", UINT64_MAX - 2));
	assert_false(has(shared, "c", UINT64_MAX - 1));
	lp_shared_free(shared);
}

static void adding_starts_at_0_and_keeps_the_time_of_the_start(void **state)
{
	struct lp_shared *shared = with_room_for(10, 1000);
	double sum = 0;

	(void)state;
	assert_int_equal(lp_shared_add(shared, LP_SLICE("hits"), 2, 1000, 0, &sum), 0);
	assert_true(sum == 2);
	assert_int_equal(lp_shared_add(shared, LP_SLICE("hits"), 0.5, 1000, 900, &sum), 0);
	assert_true(sum == 2.5);
	assert_number(shared, "hits", 999, 2.5);
	assert_int_equal(lp_shared_add(shared, LP_SLICE("hits"), -1, 1000, 1000, &sum), 0);
	assert_true(sum == -1);
	assert_true(has(shared, "hits", 1999));
	assert_false(has(shared, "hits", 2000));
	lp_shared_free(shared);
}

static void adding_to_what_is_no_number_is_refused(void **state)
{
	struct lp_shared *shared = with_room_for(10, 1000);
	double sum = 7;

	(void)state;
	assert_int_equal(set_string(shared, "a", "acme"), 0);
	assert_int_equal(lp_shared_add(shared, LP_SLICE("a"), 1, 0, 0, &sum), -EINVAL);
	assert_true(sum == 7);
	assert_string(shared, "a", "acme");
	lp_shared_free(shared);
}

static void past_the_most_entries_new_keys_are_refused_and_old_ones_stay(void **state)
{
	struct lp_shared *shared = with_room_for(2, 1000);
	double sum = 7;

	(void)state;
	assert_int_equal(set_number(shared, "a", 1, 0, 0), 0);
	assert_int_equal(set_number(shared, "b", 1, 10, 0), 0);
	assert_int_equal(set_number(shared, "c", 1, 0, 0), -ENOSPC);
	assert_int_equal(lp_shared_add(shared, LP_SLICE("c"), 1, 0, 0, &sum), -ENOSPC);
	assert_true(sum == 7);
	assert_int_equal(set_number(shared, "a", 2, 0, 0), 0);
	assert_int_equal(lp_shared_add(shared, LP_SLICE("b"), 1, 0, 0, &sum), 0);
	assert_number(shared, "a", 0, 2);
	assert_number(shared, "b", 0, 2);
	lp_shared_delete(shared, LP_SLICE("a"));
	lp_shared_delete(shared, LP_SLICE("a"));
	assert_int_equal(set_number(shared, "c", 1, 0, 0), 0);
	lp_shared_free(shared);
}

static void past_the_most_bytes_values_are_refused_and_old_ones_stay(void **state)
{
	struct lp_shared *shared = with_room_for(100, 10);

	(void)state;
	assert_int_equal(set_string(shared, "a", "0123456789"), -ENOSPC);
	assert_int_equal(set_string(shared, "a", "12345678"), 0);
	assert_int_equal(set_string(shared, "a", "123456789"), 0);
	assert_int_equal(set_number(shared, "b", 1, 0, 0), -ENOSPC);
	assert_int_equal(set_string(shared, "a", "1234567890"), -ENOSPC);
	assert_string(shared, "a", "123456789");
	assert_int_equal(set_string(shared, "a", "1234"), 0);
	assert_int_equal(set_string(shared, "b", "1234"), 0);
	assert_int_equal(set_string(shared, "b", "12345"), -ENOSPC);
	assert_string(shared, "b", "1234");
	lp_shared_free(shared);
}

static void expired_keys_make_room(void **state)
{
	struct lp_shared *shared = with_room_for(100, 1000);
	char key[8];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		sprintf(key, "%u", i);
		assert_int_equal(set_number(shared, key, i, 1 + i * 37 % 100, 0), 0); /* Ends of 1 – 100. */
	}
	assert_int_equal(set_number(shared, "new", 1, 0, 0), -ENOSPC);
	assert_int_equal(lp_shared_count(shared), 100);
	assert_int_equal(set_number(shared, "new", 1, 0, 40), 0);
	assert_int_equal(lp_shared_count(shared), 61);
	for (unsigned i = 0; i < 100; i++) {
		sprintf(key, "%u", i);
		assert_int_equal(has(shared, key, 40), 1 + i * 37 % 100 > 40);
	}
	lp_shared_free(shared);
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	lp_shared_free(NULL);
}

/* The model */

#define UNIVERSE 60
#define STRING_MAX 40

struct model_item {
	bool held; /* Perhaps expired. */
	enum lp_shared_kind kind;
	double number; /* Or whether it is true. */
	size_t length;
	uint64_t expires_ms; /* 0: never. */
};

struct model {
	struct model_item items[UNIVERSE];
	size_t max_entries;
	size_t max_bytes;
};

/* One call, made to both. */
struct call {
	unsigned key;
	struct lp_shared_value value;
	uint64_t ttl_ms;
	uint64_t now_ms;
};

/* Every string is a piece of this one, from where its key says. */
static char letters[STRING_MAX + 10];

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static struct lp_slice key_of(unsigned i, char text[16])
{
	return (struct lp_slice){text, (size_t)snprintf(text, 16, "%.*s%u", (int)(i % 7), "------", i)};
}

static struct model_item *model_find(struct model *model, unsigned key, uint64_t now_ms)
{
	struct model_item *item = &model->items[key];

	return item->held && (item->expires_ms == 0 || item->expires_ms > now_ms) ? item : NULL;
}

/* Whether a key's value of so many bytes fits in when all that is expired is dropped. */
static bool model_fits(struct model *model, const struct call *call, size_t length)
{
	size_t entries = 1, bytes = length;
	char text[16];

	for (unsigned i = 0; i < UNIVERSE; i++) {
		const struct model_item *item = model_find(model, i, call->now_ms);

		if (i == call->key)
			bytes += key_of(i, text).length;
		else if (item)
			bytes += key_of(i, text).length + item->length;
		entries += i != call->key && item;
	}
	return bytes <= model->max_bytes &&
	       (entries <= model->max_entries || model_find(model, call->key, call->now_ms));
}

static int model_set(struct model *model, const struct call *call)
{
	const struct lp_shared_value *value = &call->value;
	size_t length = value->kind == LP_SHARED_STRING ? value->string.length : 0;

	if (!model_fits(model, call, length))
		return -ENOSPC;
	model->items[call->key] = (struct model_item){
		.held = true,
		.kind = value->kind,
		.number = value->kind == LP_SHARED_BOOLEAN ? value->boolean : value->number,
		.length = length,
		.expires_ms = call->ttl_ms ? call->now_ms + call->ttl_ms : 0,
	};
	return 0;
}

static int model_add(struct model *model, const struct call *call, double *sum)
{
	struct model_item *item = model_find(model, call->key, call->now_ms);
	int status = 0;

	if (item && item->kind != LP_SHARED_NUMBER)
		return -EINVAL;
	if (item)
		item->number += call->value.number;
	else
		status = model_set(model, call);
	if (status == 0)
		*sum = model->items[call->key].number;
	return status;
}

static void compare(struct lp_shared *shared, struct model *model, unsigned key, uint64_t now_ms)
{
	const struct model_item *item = model_find(model, key, now_ms);
	struct lp_shared_value value;
	char text[16];

	assert_int_equal(lp_shared_find(shared, key_of(key, text), now_ms, &value), item != NULL);
	if (!item)
		return;
	assert_int_equal(value.kind, item->kind);
	if (item->kind == LP_SHARED_NUMBER)
		assert_true(value.number == item->number);
	else if (item->kind == LP_SHARED_BOOLEAN)
		assert_int_equal(value.boolean, item->number != 0);
	else
		assert_int_equal(value.string.length, item->length);
	if (item->kind == LP_SHARED_STRING)
		assert_memory_equal(value.string.bytes, letters + key % 10, item->length);
}

static struct call random_call(uint64_t *random, uint64_t now_ms)
{
	struct call call = {.key = next_random(random) % UNIVERSE, .now_ms = now_ms};

	call.ttl_ms = next_random(random) % 2 ? next_random(random) % 200 : 0;
	call.value.kind = next_random(random) % 3;
	if (call.value.kind == LP_SHARED_NUMBER)
		call.value.number = (double)(next_random(random) % 100);
	if (call.value.kind == LP_SHARED_BOOLEAN)
		call.value.boolean = next_random(random) % 2;
	if (call.value.kind == LP_SHARED_STRING)
		call.value.string = (struct lp_slice){letters + call.key % 10, next_random(random) % STRING_MAX};
	return call;
}

static void do_both(struct lp_shared *shared, struct model *model, unsigned what, struct call call)
{
	double sum = 0, model_sum = 0;
	char text[16];
	struct lp_slice key = key_of(call.key, text);

	if (what < 5) {
		assert_int_equal(lp_shared_set(shared, key, &call.value, call.ttl_ms, call.now_ms),
				 model_set(model, &call));
	} else if (what < 8) {
		call.value = (struct lp_shared_value){.kind = LP_SHARED_NUMBER, .number = call.key};
		assert_int_equal(lp_shared_add(shared, key, call.key, call.ttl_ms, call.now_ms, &sum),
				 model_add(model, &call, &model_sum));
		assert_true(sum == model_sum);
	} else {
		lp_shared_delete(shared, key);
		model->items[call.key].held = false;
	}
}

static void a_dictionary_does_what_its_model_does(void **state)
{
	static const size_t bounds[][2] = {{1, 100}, {5, 60}, {20, 2000}, {50, 400}, {UNIVERSE, 10000}};
	uint64_t random = 2024;

	(void)state;
	for (size_t i = 0; i < sizeof(letters); i++)
		letters[i] = (char)('a' + i % 26);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
		struct model model = {.max_entries = bounds[i][0], .max_bytes = bounds[i][1]};
		struct lp_shared *shared = with_room_for(bounds[i][0], bounds[i][1]);
		uint64_t now_ms = 0;

		for (unsigned step = 0; step < 20000; step++) {
			now_ms += next_random(&random) % 5;
			do_both(shared, &model, next_random(&random) % 9, random_call(&random, now_ms));
			compare(shared, &model, next_random(&random) % UNIVERSE, now_ms);
			assert_true(lp_shared_count(shared) <= bounds[i][0]);
			for (unsigned key = 0; step % 1000 == 0 && key < UNIVERSE; key++)
				compare(shared, &model, key, now_ms);
		}
		lp_shared_free(shared);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_value_comes_back_as_it_was),
		cmocka_unit_test(keys_are_bytes_and_may_be_empty),
		cmocka_unit_test(setting_again_replaces_value_kind_and_time_to_live),
		cmocka_unit_test(a_value_found_can_be_set_again_under_its_own_key),
		cmocka_unit_test(a_key_is_gone_when_its_time_is_over),
		cmocka_unit_test(a_time_to_live_past_the_end_of_time_is_for_ever),
		cmocka_unit_test(adding_starts_at_0_and_keeps_the_time_of_the_start),
		cmocka_unit_test(adding_to_what_is_no_number_is_refused),
		cmocka_unit_test(past_the_most_entries_new_keys_are_refused_and_old_ones_stay),
		cmocka_unit_test(past_the_most_bytes_values_are_refused_and_old_ones_stay),
		cmocka_unit_test(expired_keys_make_room),
		cmocka_unit_test(freeing_nothing_is_allowed),
		cmocka_unit_test(a_dictionary_does_what_its_model_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
