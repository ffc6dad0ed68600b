/*
 * Bodies that do not end by themselves, against the clock. A stop comes later where other things run, so it is the time
 * that the thread had a processor, of the quickest of several, which is held against the upper bound; that is five times
 * as wide under sanitizers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "policy/guard.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLACK 5
#else
#define SLACK 1
#endif

#define LIMIT_MS 50
#define LATE_MS 20
#define TRIES 5

struct test {
	struct lp_guard *guard;
	atomic_uint asked;
	atomic_uint count;
	bool obeys;
};

static void on_ask(void *owner)
{
	struct test *test = owner;

	atomic_fetch_add(&test->asked, 1);
}

/* In the test itself: cmocka has handlers of its own for faults, which come after a set-up and go before a tear-down. */
static struct test *begin(void)
{
	struct test *test = calloc(1, sizeof(*test));

	assert_int_equal(lp_guard_new(&test->guard, on_ask, test), 0);
	return test;
}

static void end(struct test *test)
{
	lp_guard_free(test->guard, NULL);
	free(test);
}

static uint64_t ran_ns(void)
{
	struct timespec ran;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ran);
	return (uint64_t)ran.tv_sec * 1000000000 + (uint64_t)ran.tv_nsec;
}

static void end_at_once(void *subject)
{
	struct test *test = subject;

	lp_guard_arm(test->guard, LIMIT_MS);
	test->count++;
}

/* ThreadSanitizer delivers signals where a function of the C library is called, and nowhere else. */
static void spin(void)
{
#ifdef __SANITIZE_THREAD__
	ran_ns();
#endif
}

static void loop(void *subject)
{
	struct test *test = subject;

	lp_guard_arm(test->guard, LIMIT_MS);
	while (!test->obeys || !atomic_load(&test->asked))
		spin();
}

static void a_body_that_ends_is_left_alone(void **state)
{
	struct test *test = begin();

	(void)state;
	for (int i = 0; i < 100000; i++)
		assert_int_equal(lp_guard_run(test->guard, end_at_once, test), LP_GUARD_RETURNED);
	assert_int_equal(test->count, 100000);
	assert_int_equal(test->asked, 0);
	end(test);
}

static void assert_stops_in_time(struct test *test, enum lp_guard_end expected)
{
	uint64_t least_ns = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t began_ns = lp_clock_ns();
		uint64_t ran_before_ns = ran_ns();

		test->asked = 0;
		assert_int_equal(lp_guard_run(test->guard, loop, test), expected);
		assert_true(lp_clock_ns() - began_ns >= LIMIT_MS * UINT64_C(1000000));
		if (ran_ns() - ran_before_ns < least_ns)
			least_ns = ran_ns() - ran_before_ns;
		assert_true(test->asked >= 1);
		assert_int_equal(lp_guard_run(test->guard, end_at_once, test), LP_GUARD_RETURNED);
	}
	assert_in_range(least_ns / 1000000, 0, (LIMIT_MS + LATE_MS) * SLACK);
}

static void an_endless_body_is_asked_to_end(void **state)
{
	struct test *test = begin();

	(void)state;
	test->obeys = true;
	assert_stops_in_time(test, LP_GUARD_RETURNED);
	end(test);
}

static void one_that_does_not_listen_is_left(void **state)
{
	struct test *test = begin();

	(void)state;
	assert_stops_in_time(test, LP_GUARD_TIME);
	end(test);
}

static void loop_without_time(void *subject)
{
	struct test *test = subject;
	uint64_t began_ns = lp_clock_ns();

	lp_guard_arm(test->guard, 1);
	lp_guard_disarm(test->guard);
	while (lp_clock_ns() - began_ns < 30000000)
		;
	test->count++;
}

static void a_body_that_is_not_armed_has_all_the_time(void **state)
{
	struct test *test = begin();

	(void)state;
	assert_int_equal(lp_guard_run(test->guard, loop_without_time, test), LP_GUARD_RETURNED);
	assert_int_equal(test->count, 1);
	end(test);
}

static void hold_too_long(void *subject)
{
	struct test *test = subject;
	uint64_t asked_ns;

	lp_guard_arm(test->guard, LIMIT_MS);
	lp_guard_hold(test->guard);
	lp_guard_hold(test->guard);
	while (!atomic_load(&test->asked))
		spin();
	asked_ns = ran_ns();
	while (ran_ns() - asked_ns < 4 * LIMIT_MS * UINT64_C(1000000))
		;
	lp_guard_release(test->guard);
	test->count = 1;
	lp_guard_release(test->guard);
	test->count = 2;
}

static void what_is_held_is_finished_first(void **state)
{
	struct test *test = begin();

	(void)state;
	assert_int_equal(lp_guard_run(test->guard, hold_too_long, test), LP_GUARD_TIME);
	assert_int_equal(test->count, 1);
	end(test);
}

static void give_up(void *subject)
{
	struct test *test = subject;

	lp_guard_arm(test->guard, LIMIT_MS);
	lp_guard_give_up(test->guard);
}

static void a_body_can_give_up(void **state)
{
	struct test *test = begin();

	(void)state;
	assert_int_equal(lp_guard_run(test->guard, give_up, test), LP_GUARD_GIVEN_UP);
	end(test);
}

/* Not a tail call, and not a frame that the compiler can share. */
static __attribute__((noinline)) unsigned recurse(struct test *test, volatile char *above)
{
	volatile char frame[512];

	frame[0] = (char)(*above + 1);
	if (test->obeys)
		return 0;
	return recurse(test, frame) + (unsigned char)frame[0];
}

static void fill_the_stack(void *subject)
{
	struct test *test = subject;
	volatile char first = 0;

	lp_guard_arm(test->guard, 10000);
	test->count = recurse(test, &first);
}

static void a_full_stack_is_left(void **state)
{
	struct test *test = begin();

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(lp_guard_run(test->guard, fill_the_stack, test), LP_GUARD_STACK);
		assert_int_equal(lp_guard_run(test->guard, end_at_once, test), LP_GUARD_RETURNED);
	}
	end(test);
}

static void *fill_the_stack_of_a_thread(void *state)
{
	a_full_stack_is_left(NULL);
	return state;
}

static void so_is_that_of_another_thread(void **state)
{
	pthread_t thread;
	void *done;

	assert_int_equal(pthread_create(&thread, NULL, fill_the_stack_of_a_thread, state), 0);
	assert_int_equal(pthread_join(thread, &done), 0);
	assert_ptr_equal(done, state);
}

static __attribute__((noinline)) unsigned recurse_with_care(struct test *test, volatile char *above)
{
	volatile char frame[512];

	frame[0] = *above;
	return lp_guard_is_deep(test->guard) ? 0 : 1 + recurse_with_care(test, frame);
}

static void recurse_until_deep(void *subject)
{
	struct test *test = subject;
	volatile char first = 0;

	test->count = recurse_with_care(test, &first);
}

static __attribute__((noinline)) unsigned recurse_holding(struct test *test, volatile char *above)
{
	volatile char frame[512];

	frame[0] = *above;
	lp_guard_hold(test->guard);
	lp_guard_release(test->guard);
	if (test->obeys)
		return 0;
	return 1 + recurse_holding(test, frame) + (unsigned char)frame[0];
}

static void recurse_into_what_is_held(void *subject)
{
	struct test *test = subject;
	volatile char first = 0;

	lp_guard_arm(test->guard, 10000);
	test->count = recurse_holding(test, &first);
}

static void deep_recursion_is_seen_early(void **state)
{
	struct test *test = begin();

	(void)state;
	assert_int_equal(lp_guard_run(test->guard, recurse_until_deep, test), LP_GUARD_RETURNED);
	assert_in_range(test->count, 20, 400);
	assert_int_equal(lp_guard_run(test->guard, recurse_into_what_is_held, test), LP_GUARD_STACK);
	end(test);
}

static void run_for_about_its_time(void *subject)
{
	struct test *test = subject;
	uint64_t until_ns = lp_clock_ns() + 1000000 + test->count % 8 * 1000000;

	lp_guard_arm(test->guard, 2);
	while (lp_clock_ns() < until_ns)
		;
}

static void a_stop_hits_no_other_call(void **state)
{
	struct test *test = begin();

	(void)state;
	for (test->count = 0; test->count < 200; test->count++) {
		enum lp_guard_end end = lp_guard_run(test->guard, run_for_about_its_time, test);

		assert_true(end == LP_GUARD_RETURNED || end == LP_GUARD_TIME);
		for (int i = 0; i < 100; i++) {
			struct test *quick = &(struct test){.guard = test->guard};

			assert_int_equal(lp_guard_run(test->guard, end_at_once, quick), LP_GUARD_RETURNED);
		}
	}
	end(test);
}

static void a_second_guard_keeps_its_stack_when_the_first_goes(void **state)
{
	struct test *test = begin();
	struct test second = {0};

	(void)state;
	assert_int_equal(lp_guard_run(test->guard, end_at_once, test), LP_GUARD_RETURNED);
	assert_int_equal(lp_guard_new(&second.guard, on_ask, &second), 0);
	assert_int_equal(lp_guard_run(second.guard, fill_the_stack, &second), LP_GUARD_STACK);
	lp_guard_free(test->guard, NULL);
	test->guard = NULL;
	assert_int_equal(lp_guard_run(second.guard, fill_the_stack, &second), LP_GUARD_STACK);
	lp_guard_free(second.guard, NULL);
	end(test);
}

static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(tasks);
	for (struct dirent *task; (task = readdir(tasks));)
		count += task->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static void *do_nothing(void *argument)
{
	return argument;
}

static void guards_that_are_gone_leave_no_thread(void **state)
{
	unsigned before;
	pthread_t first;

	/* ThreadSanitizer starts one of its own with the first. */
	assert_int_equal(pthread_create(&first, NULL, do_nothing, state), 0);
	pthread_join(first, NULL);
	before = count_threads();
	for (int i = 0; i < 100; i++) {
		struct test *test = begin();

		assert_int_equal(lp_guard_run(test->guard, end_at_once, test), LP_GUARD_RETURNED);
		end(test);
	}
	while (count_threads() > before)
		sched_yield();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guards_that_are_gone_leave_no_thread),
		cmocka_unit_test(a_body_that_ends_is_left_alone),
		cmocka_unit_test(a_body_can_give_up),
		cmocka_unit_test(a_body_that_is_not_armed_has_all_the_time),
		cmocka_unit_test(deep_recursion_is_seen_early),
		cmocka_unit_test(an_endless_body_is_asked_to_end),
		cmocka_unit_test(one_that_does_not_listen_is_left),
		cmocka_unit_test(what_is_held_is_finished_first),
		cmocka_unit_test(a_full_stack_is_left),
		cmocka_unit_test(so_is_that_of_another_thread),
		cmocka_unit_test(a_stop_hits_no_other_call),
		cmocka_unit_test(a_second_guard_keeps_its_stack_when_the_first_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
