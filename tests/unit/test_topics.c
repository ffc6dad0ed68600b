#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/topics.h"

#define WORKERS 3

static void assert_subscribed(const struct lp_topics *topics, const char *name, const char *workers)
{
	char found[64] = "";
	for (unsigned worker = 0; (worker = lp_topics_next(topics, (struct lp_slice){name, strlen(name)}, worker));)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%u ", worker);
	assert_string_equal(found, workers);
}

static void a_topic_has_those_who_are_subscribed(void **state)
{
	struct lp_topics topics;
	(void)state;
	lp_topics_init(&topics, WORKERS, LP_TOPICS_BYTES_MAX, 7);
	assert_subscribed(&topics, "a", "");
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("a"), 3), 0);
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("a"), 1), 0);
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("b"), 1), 0);
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("a"), 1), 0);
	assert_subscribed(&topics, "a", "1 3 ");
	assert_subscribed(&topics, "b", "1 ");
	lp_topics_unsubscribe(&topics, LP_SLICE("a"), 1);
	lp_topics_unsubscribe(&topics, LP_SLICE("a"), 2);
	lp_topics_unsubscribe(&topics, LP_SLICE("none"), 2);
	assert_subscribed(&topics, "a", "3 ");
	lp_topics_deinit(&topics);
}

static void what_nobody_wants_takes_no_memory(void **state)
{
	struct lp_topics topics;
	(void)state;
	lp_topics_init(&topics, WORKERS, LP_TOPICS_BYTES_MAX, 7);
	lp_topics_subscribe(&topics, LP_SLICE("a"), 1);
	lp_topics_subscribe(&topics, LP_SLICE("a"), 2);
	lp_topics_subscribe(&topics, LP_SLICE("b"), 1);
	lp_topics_forget_worker(&topics, 1);
	assert_subscribed(&topics, "a", "2 ");
	assert_subscribed(&topics, "b", "");
	assert_int_equal(topics.table.count, 1);
	lp_topics_unsubscribe(&topics, LP_SLICE("a"), 2);
	assert_int_equal(topics.bytes, 0);
	lp_topics_deinit(&topics);
}

static void at_the_bound_no_topic_is_made(void **state)
{
	struct lp_topics topics;
	(void)state;
	lp_topics_init(&topics, WORKERS, 100, 7);
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("a"), 1), 0);
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("b"), 1), -ENOMEM);
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("a"), 2), 0);
	lp_topics_forget_worker(&topics, 1);
	lp_topics_forget_worker(&topics, 2);
	assert_int_equal(lp_topics_subscribe(&topics, LP_SLICE("b"), 1), 0);
	lp_topics_deinit(&topics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_topic_has_those_who_are_subscribed),
		cmocka_unit_test(what_nobody_wants_takes_no_memory),
		cmocka_unit_test(at_the_bound_no_topic_is_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
