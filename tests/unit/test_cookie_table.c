/* The ledger, against a plain array that says what it must hold. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/counts/cookie_table.h"

#define WORKERS 4
#define MANY 20000

static void an_added_socket_is_found_once(void **state)
{
	(void)state;
	struct lp_cookie_table ledger = {0};
	assert_int_equal(lp_cookie_table_add(&ledger, 77, 3, 0, 0), 0);
	assert_int_equal(lp_cookie_table_add(&ledger, 77, 2, 1, 0), -EEXIST);
	assert_int_equal(ledger.size, 1);
	assert_int_equal(lp_cookie_table_remove(&ledger, 77), 3);
	assert_int_equal(lp_cookie_table_remove(&ledger, 77), 0);
	assert_int_equal(ledger.size, 0);
	lp_cookie_table_clear(&ledger);
}

static void an_empty_ledger_knows_nothing(void **state)
{
	(void)state;
	struct lp_cookie_table ledger = {0};
	unsigned gone[WORKERS + 1] = {0};
	lp_cookie_table_mark(&ledger, 1, 1);
	assert_int_equal(lp_cookie_table_remove(&ledger, 1), 0);
	assert_int_equal(lp_cookie_table_remove(&ledger, 0), 0);
	assert_int_equal(lp_cookie_table_forget_worker(&ledger, 1), 0);
	assert_int_equal(lp_cookie_table_sweep(&ledger, 0, UINT32_MAX, gone), 0);
	lp_cookie_table_clear(&ledger);
}

static void a_sweep_takes_only_old_marks_of_its_kind(void **state)
{
	(void)state;
	struct lp_cookie_table ledger = {0};
	unsigned gone[WORKERS + 1] = {0};
	assert_int_equal(lp_cookie_table_add(&ledger, 10, 1, 0, 4), 0); /* Old. */
	assert_int_equal(lp_cookie_table_add(&ledger, 11, 2, 0, 4), 0); /* Old, but marked again below. */
	assert_int_equal(lp_cookie_table_add(&ledger, 12, 3, 0, 5), 0); /* Just young enough. */
	assert_int_equal(lp_cookie_table_add(&ledger, 13, 4, 1, 4), 0); /* Old, of another kind. */
	lp_cookie_table_mark(&ledger, 11, 6);
	assert_int_equal(lp_cookie_table_sweep(&ledger, 0, 5, gone), 1);
	assert_int_equal(gone[1], 1);
	assert_int_equal(gone[2] + gone[3] + gone[4], 0);
	assert_int_equal(ledger.sizes[0], 2);
	assert_int_equal(ledger.sizes[1], 1);
	assert_int_equal(lp_cookie_table_remove(&ledger, 10), 0);
	assert_int_equal(lp_cookie_table_remove(&ledger, 11), 2);
	assert_int_equal(lp_cookie_table_remove(&ledger, 12), 3);
	assert_int_equal(lp_cookie_table_remove(&ledger, 13), 4);
	lp_cookie_table_clear(&ledger);
}

static void a_forgotten_worker_takes_only_its_own(void **state)
{
	(void)state;
	struct lp_cookie_table ledger = {0};
	for (uint64_t cookie = 1; cookie <= MANY; cookie++)
		assert_int_equal(lp_cookie_table_add(&ledger, cookie, 1 + cookie % WORKERS, 0, 0), 0);
	assert_int_equal(lp_cookie_table_forget_worker(&ledger, 2), MANY / WORKERS);
	for (uint64_t cookie = 1; cookie <= MANY; cookie++) {
		unsigned worker = 1 + cookie % WORKERS;
		assert_int_equal(lp_cookie_table_remove(&ledger, cookie), worker == 2 ? 0 : worker);
	}
	lp_cookie_table_clear(&ledger);
}

static void memory_stays_between_24_and_48_bytes_while_it_grows(void **state)
{
	(void)state;
	struct lp_cookie_table ledger = {0};
	for (uint64_t cookie = 1; cookie <= MANY; cookie++) {
		assert_int_equal(lp_cookie_table_add(&ledger, cookie, 1, 0, 0), 0);
		size_t bytes = sizeof(*ledger.entries) << ledger.bits;
		assert_true(bytes >= 24 * ledger.size);
		assert_true(ledger.size < 64 || bytes <= 48 * ledger.size + 48);
	}
	lp_cookie_table_clear(&ledger);
}

static void memory_is_given_back(void **state)
{
	(void)state;
	struct lp_cookie_table ledger = {0};
	for (uint64_t cookie = 1; cookie <= MANY; cookie++)
		assert_int_equal(lp_cookie_table_add(&ledger, cookie, 1, 0, 0), 0);
	for (uint64_t cookie = 1; cookie <= MANY - 10; cookie++)
		assert_int_equal(lp_cookie_table_remove(&ledger, cookie), 1);
	assert_true(ledger.bits <= 7);
	for (uint64_t cookie = MANY - 9; cookie <= MANY; cookie++)
		assert_int_equal(lp_cookie_table_remove(&ledger, cookie), 1);
	lp_cookie_table_clear(&ledger);
}

/* Cookies 1 – MANY: a model of one small record each, for a long random life. */
struct model {
	uint16_t worker; /* 0: not in the ledger. */
	uint8_t kind;
	uint32_t mark;
};

static size_t sweep_model(struct model *models, unsigned kind, uint32_t oldest)
{
	size_t swept = 0;
	for (size_t i = 1; i <= MANY; i++) {
		if (models[i].worker && models[i].kind == kind && models[i].mark < oldest) {
			models[i].worker = 0;
			swept++;
		}
	}
	return swept;
}

static size_t forget_model(struct model *models, unsigned worker)
{
	size_t forgotten = 0;
	for (size_t i = 1; i <= MANY; i++) {
		if (models[i].worker == worker) {
			models[i].worker = 0;
			forgotten++;
		}
	}
	return forgotten;
}

static void a_long_random_life_keeps_every_entry_right(void **state)
{
	(void)state;
	struct lp_cookie_table ledger = {0};
	struct model *models = calloc(MANY + 1, sizeof(*models));
	unsigned gone[WORKERS + 1] = {0};
	unsigned seed = 12345;
	for (uint32_t step = 0; step < 400000; step++) {
		uint64_t cookie = 1 + (unsigned)rand_r(&seed) % MANY;
		struct model *model = &models[cookie];
		unsigned what = (unsigned)rand_r(&seed) % 1000;
		unsigned kind = (unsigned)rand_r(&seed) % LP_COOKIE_TABLE_KINDS;
		unsigned worker = 1 + (unsigned)rand_r(&seed) % WORKERS;
		if (what < 500) {
			int status = lp_cookie_table_add(&ledger, cookie, worker, kind, step);
			assert_int_equal(status, model->worker ? -EEXIST : 0);
			if (status == 0)
				*model =
					(struct model){.worker = (uint16_t)worker, .kind = (uint8_t)kind, .mark = step};
		} else if (what < 800) {
			assert_int_equal(lp_cookie_table_remove(&ledger, cookie), model->worker);
			model->worker = 0;
		} else if (what < 998) {
			lp_cookie_table_mark(&ledger, cookie, step);
			model->mark = step;
		} else if (step % 40 == 0) {
			assert_int_equal(lp_cookie_table_forget_worker(&ledger, worker), forget_model(models, worker));
		} else {
			uint32_t oldest = step > 20000 ? step - 20000 : 0;
			assert_int_equal(lp_cookie_table_sweep(&ledger, kind, oldest, gone),
					 sweep_model(models, kind, oldest));
		}
	}
	size_t size = ledger.size;
	for (uint64_t cookie = 1; cookie <= MANY; cookie++) {
		assert_int_equal(lp_cookie_table_remove(&ledger, cookie), models[cookie].worker);
		size -= models[cookie].worker != 0;
	}
	assert_int_equal(size, 0);
	assert_int_equal(ledger.size + ledger.sizes[0] + ledger.sizes[1], 0);
	free(models);
	lp_cookie_table_clear(&ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_added_socket_is_found_once),
		cmocka_unit_test(an_empty_ledger_knows_nothing),
		cmocka_unit_test(a_sweep_takes_only_old_marks_of_its_kind),
		cmocka_unit_test(a_forgotten_worker_takes_only_its_own),
		cmocka_unit_test(memory_stays_between_24_and_48_bytes_while_it_grows),
		cmocka_unit_test(memory_is_given_back),
		cmocka_unit_test(a_long_random_life_keeps_every_entry_right),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
