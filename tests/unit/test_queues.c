#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/queues.h"

#define WORKERS 4

struct fixture {
	struct lp_queues *queues;
	char sent[1024];        /* "WORKER:MSG " of each. */
	bool full[WORKERS + 1]; /* Who has no room. */
	unsigned asked;         /* How often one was asked that has none. */
};

static bool on_send(void *owner, unsigned worker, struct lp_slice name, struct lp_slice msg)
{
	struct fixture *fixture = owner;
	size_t length = strlen(fixture->sent);
	assert_int_equal(name.length, 1);
	if (fixture->full[worker]) {
		fixture->asked++;
		return false;
	}
	snprintf(fixture->sent + length, sizeof(fixture->sent) - length, "%u:%.*s ", worker, LP_SLICE_ARG(msg));
	return true;
}

static void open_queues(struct fixture *fixture, size_t bytes_max)
{
	*fixture = (struct fixture){0};
	fixture->queues = lp_queues_new(bytes_max, 7, on_send, fixture);
	assert_non_null(fixture->queues);
}

static int push(struct fixture *fixture, const char *msg)
{
	return lp_queues_push(fixture->queues, LP_SLICE("q"), (struct lp_slice){msg, strlen(msg)});
}

static void assert_sent(struct fixture *fixture, const char *sent)
{
	assert_string_equal(fixture->sent, sent);
	fixture->sent[0] = '\0';
}

static void what_is_pushed_goes_to_each_in_turn(void **state)
{
	struct fixture fixture;
	(void)state;
	open_queues(&fixture, LP_QUEUES_BYTES_MAX);
	for (unsigned worker = 1; worker <= 3; worker++)
		assert_int_equal(lp_queues_pull(fixture.queues, LP_SLICE("q"), worker), 0);
	assert_int_equal(lp_queues_pull(fixture.queues, LP_SLICE("r"), 4), 0);
	for (int i = 0; i < 4; i++)
		push(&fixture, "m");
	assert_sent(&fixture, "1:m 2:m 3:m 1:m ");
	lp_queues_stop(fixture.queues, LP_SLICE("q"), 2);
	for (int i = 0; i < 3; i++)
		push(&fixture, "m");
	assert_sent(&fixture, "3:m 1:m 3:m ");
	lp_queues_free(fixture.queues);
}

static void while_nobody_pulls_it_waits(void **state)
{
	struct fixture fixture;
	(void)state;
	open_queues(&fixture, LP_QUEUES_BYTES_MAX);
	push(&fixture, "a");
	push(&fixture, "b");
	assert_false(lp_queues_retry(fixture.queues));
	assert_sent(&fixture, "");
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 2);
	assert_sent(&fixture, "2:a 2:b ");
	lp_queues_stop(fixture.queues, LP_SLICE("q"), 2);
	push(&fixture, "c");
	assert_sent(&fixture, "");
	lp_queues_free(fixture.queues);
}

static void a_dead_worker_pulls_no_more(void **state)
{
	struct fixture fixture;
	(void)state;
	open_queues(&fixture, LP_QUEUES_BYTES_MAX);
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 1);
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 2);
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 1);
	lp_queues_forget_worker(fixture.queues, 1);
	push(&fixture, "a");
	push(&fixture, "b");
	assert_sent(&fixture, "2:a 2:b ");
	lp_queues_forget_worker(fixture.queues, 2);
	push(&fixture, "c");
	assert_sent(&fixture, "");
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 3);
	assert_sent(&fixture, "3:c ");
	lp_queues_free(fixture.queues);
}

static void who_has_no_room_is_passed_over(void **state)
{
	struct fixture fixture;
	(void)state;
	open_queues(&fixture, LP_QUEUES_BYTES_MAX);
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 1);
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 2);
	fixture.full[1] = true;
	push(&fixture, "a");
	push(&fixture, "b");
	assert_sent(&fixture, "2:a 2:b ");
	fixture.full[2] = true;
	push(&fixture, "c");
	push(&fixture, "d");
	assert_true(lp_queues_retry(fixture.queues));
	assert_sent(&fixture, "");
	fixture.full[1] = false;
	assert_false(lp_queues_retry(fixture.queues));
	assert_sent(&fixture, "1:c 1:d ");
	lp_queues_free(fixture.queues);
}

static void at_the_bound_the_newest_is_dropped(void **state)
{
	struct fixture fixture;
	unsigned kept = 0;
	(void)state;
	open_queues(&fixture, 1000);
	while (push(&fixture, "m") == 1)
		kept++;
	assert_true(kept > 5);
	assert_int_equal(push(&fixture, "m"), -ENOMEM);
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 1);
	assert_int_equal(strlen(fixture.sent), kept * strlen("1:m "));
	assert_int_equal(push(&fixture, "m"), 0);
	lp_queues_free(fixture.queues);
}

static void who_has_no_room_is_asked_once_however_often_it_pulls(void **state)
{
	struct fixture fixture;
	(void)state;
	open_queues(&fixture, LP_QUEUES_BYTES_MAX);
	for (int i = 0; i < 1000; i++) {
		lp_queues_pull(fixture.queues, LP_SLICE("q"), 1);
		lp_queues_pull(fixture.queues, LP_SLICE("r"), 1);
	}
	lp_queues_pull(fixture.queues, LP_SLICE("q"), 2);
	fixture.full[1] = fixture.full[2] = true;
	assert_int_equal(push(&fixture, "a"), 1);
	assert_int_equal(fixture.asked, 2);
	assert_int_equal(lp_queues_push(fixture.queues, LP_SLICE("r"), LP_SLICE("b")), 1);
	assert_int_equal(fixture.asked, 3);
	assert_true(lp_queues_retry(fixture.queues));
	assert_int_equal(fixture.asked, 5);
	fixture.full[1] = false;
	assert_false(lp_queues_retry(fixture.queues));
	assert_sent(&fixture, "1:a 1:b ");

	lp_queues_forget_worker(fixture.queues, 1);
	fixture.full[2] = false;
	push(&fixture, "c");
	push(&fixture, "d");
	assert_sent(&fixture, "2:c 2:d ");
	lp_queues_free(fixture.queues);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_pushed_goes_to_each_in_turn),
		cmocka_unit_test(while_nobody_pulls_it_waits),
		cmocka_unit_test(a_dead_worker_pulls_no_more),
		cmocka_unit_test(who_has_no_room_is_passed_over),
		cmocka_unit_test(at_the_bound_the_newest_is_dropped),
		cmocka_unit_test(who_has_no_room_is_asked_once_however_often_it_pulls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
