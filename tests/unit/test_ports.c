#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "worker/ports.h"

static void limpets_own_are_known(void **state)
{
	const struct lp_ports ports = {.ours = "unix:/run/80,8080,unix:./x,443"};
	(void)state;
	assert_true(lp_ports_is_ours(&ports, 8080));
	assert_true(lp_ports_is_ours(&ports, 443));
	assert_true(lp_ports_is_ours(&ports, LP_PORT_UNIX));
	assert_false(lp_ports_is_ours(&ports, 80));
	assert_int_equal(lp_ports_first(&ports), 8080);
	const struct lp_ports paths = {.ours = "unix:/run/x"};
	assert_int_equal(lp_ports_first(&paths), 0);
	assert_false(lp_ports_is_ours(&(struct lp_ports){.ours = "80"}, LP_PORT_UNIX));
}

static void a_port_is_claimed_as_long_as_anybody_does(void **state)
{
	struct lp_ports ports = {.ours = "8080,unix:/x"};
	(void)state;
	assert_true(lp_ports_has_free(&ports));
	lp_ports_claim(&ports, 8080);
	lp_ports_claim(&ports, 8080);
	assert_true(lp_ports_has_free(&ports));
	lp_ports_claim(&ports, -17); /* Any path. */
	assert_true(lp_ports_claimed(&ports, LP_PORT_UNIX));
	assert_false(lp_ports_has_free(&ports));
	lp_ports_release(&ports, 8080);
	assert_true(lp_ports_claimed(&ports, 8080));
	lp_ports_release(&ports, 8080);
	assert_false(lp_ports_claimed(&ports, 8080));
	lp_ports_release(&ports, 8080);
	lp_ports_release(&ports, 9);
	assert_false(lp_ports_claimed(&ports, 8080));
	assert_true(lp_ports_has_free(&ports));
}

static void it_is_told_once(void **state)
{
	struct lp_ports ports = {.ours = "8080"};
	(void)state;
	assert_false(lp_ports_tell(&ports, 9));
	lp_ports_claim(&ports, 9);
	assert_true(lp_ports_tell(&ports, 9));
	assert_false(lp_ports_tell(&ports, 9));
	lp_ports_release(&ports, 9);
	lp_ports_claim(&ports, 9); /* By the next process. */
	assert_false(lp_ports_tell(&ports, 9));
}

static void there_is_an_end_to_what_is_kept_in_mind(void **state)
{
	struct lp_ports ports = {.ours = "8080"};
	(void)state;
	lp_ports_claim(&ports, 0); /* No port: the kernel would choose. */
	assert_int_equal(ports.count, 0);
	for (int number = 1; number <= LP_PORTS_MAX + 10; number++)
		lp_ports_claim(&ports, number);
	assert_int_equal(ports.count, LP_PORTS_MAX);
	assert_true(lp_ports_claimed(&ports, LP_PORTS_MAX));
	assert_false(lp_ports_claimed(&ports, LP_PORTS_MAX + 1));
	assert_false(lp_ports_tell(&ports, LP_PORTS_MAX + 1));
}

static void each_address_has_a_number_and_paths_may_be_relative(void **state)
{
	char path[PATH_MAX];
	char folder[PATH_MAX];
	const struct lp_ports ports = {.ours = "5000,unix:/run/x,80,unix:./here,unix:also"};
	(void)state;
	assert_non_null(getcwd(folder, sizeof(folder)));
	assert_int_equal(lp_ports_number(&ports, NULL, 5000), 0);
	assert_int_equal(lp_ports_number(&ports, NULL, 80), 2);
	assert_int_equal(lp_ports_number(&ports, NULL, 8), -1);
	assert_int_equal(lp_ports_number(&ports, NULL, 0), -1);
	assert_int_equal(lp_ports_number(&ports, "/run/x", 0), 1);
	assert_int_equal(lp_ports_number(&ports, "/run/", 0), -1);
	snprintf(path, sizeof(path), "%.4000s/here", folder);
	assert_int_equal(lp_ports_number(&ports, path, 0), 3);
	snprintf(path, sizeof(path), "%.4000s/also", folder);
	assert_int_equal(lp_ports_number(&ports, path, 0), 4);
	assert_int_equal(lp_ports_number(&ports, "/also", 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limpets_own_are_known),
		cmocka_unit_test(a_port_is_claimed_as_long_as_anybody_does),
		cmocka_unit_test(it_is_told_once),
		cmocka_unit_test(each_address_has_a_number_and_paths_may_be_relative),
		cmocka_unit_test(there_is_an_end_to_what_is_kept_in_mind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
