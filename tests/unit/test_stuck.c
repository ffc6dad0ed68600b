/* When a worker's patience ends; that it is then ejected, and comes back, is seen end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/stuck.h"

static struct lp_stuck limits(uint32_t eject_ms, uint32_t kill_ms)
{
	struct lp_stuck stuck = {.tick = UINT32_MAX - 3}; /* The count of ticks may overflow while one waits. */
	lp_stuck_set_limits(&stuck, eject_ms, kill_ms);
	return stuck;
}

/* Milliseconds of ticks until a worker that takes nothing is judged so; 0: not within an hour. */
static uint64_t judged_after_ms(uint32_t eject_ms, uint32_t kill_ms, enum lp_stuck_verdict verdict)
{
	struct lp_stuck stuck = limits(eject_ms, kill_ms);
	struct lp_patience patience = {.since = stuck.tick};
	for (uint64_t ms = 0; ms <= 3600000; ms += stuck.tick_ms, stuck.tick++)
		if (lp_stuck_judge(&stuck, &patience) == verdict)
			return ms;
	return 0;
}

/* The first tick may come right behind the connection, so one more than the limit has must go by; and no more. */
static void a_limit_is_never_met_early_and_soon_after(void **state)
{
	static const uint32_t limits_ms[] = {1, 7, 50, 500, 2000, 2001, 10000, 60000};
	(void)state;
	for (size_t i = 0; i < sizeof(limits_ms) / sizeof(limits_ms[0]); i++) {
		uint32_t limit_ms = limits_ms[i];
		uint32_t tick_ms = limits(limit_ms, 0).tick_ms;
		uint64_t ejected = judged_after_ms(limit_ms, 0, LP_STUCK_EJECT);
		uint64_t killed = judged_after_ms(0, limit_ms, LP_STUCK_KILL);
		assert_in_range(tick_ms, 5, 250);
		assert_in_range(ejected - tick_ms, limit_ms, limit_ms + tick_ms - 1);
		assert_int_equal(killed, ejected);
	}
}

static void ejection_comes_before_the_kill(void **state)
{
	(void)state;
	assert_in_range(judged_after_ms(2000, 10000, LP_STUCK_EJECT), 2000, 2500);
	assert_in_range(judged_after_ms(2000, 10000, LP_STUCK_KILL), 10000, 10500);
	assert_in_range(judged_after_ms(10000, 2000, LP_STUCK_KILL), 2000, 2500);
	assert_int_equal(judged_after_ms(10000, 2000, LP_STUCK_EJECT), 0);
}

static void without_limits_patience_has_no_end(void **state)
{
	(void)state;
	assert_int_equal(judged_after_ms(0, 0, LP_STUCK_EJECT), 0);
	assert_int_equal(judged_after_ms(0, 0, LP_STUCK_KILL), 0);
	assert_int_equal(judged_after_ms(2000, 0, LP_STUCK_KILL), 0);
	assert_int_equal(judged_after_ms(0, 2000, LP_STUCK_EJECT), 0);
}

static void a_sign_of_life_begins_it_anew(void **state)
{
	struct lp_stuck stuck = limits(1000, 0);
	struct lp_patience patience = {.since = stuck.tick};
	(void)state;
	for (int i = 0; i < 100; i++) {
		stuck.tick += stuck.eject_ticks - 1;
		assert_int_equal(lp_stuck_judge(&stuck, &patience), LP_STUCK_NOT);
		patience.since = stuck.tick;
	}
	stuck.tick += stuck.eject_ticks;
	assert_int_equal(lp_stuck_judge(&stuck, &patience), LP_STUCK_EJECT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_is_never_met_early_and_soon_after),
		cmocka_unit_test(ejection_comes_before_the_kill),
		cmocka_unit_test(without_limits_patience_has_no_end),
		cmocka_unit_test(a_sign_of_life_begins_it_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
