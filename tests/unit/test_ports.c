#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limpets_own_are_known),
		cmocka_unit_test(a_port_is_claimed_as_long_as_anybody_does),
		cmocka_unit_test(it_is_told_once),
		cmocka_unit_test(there_is_an_end_to_what_is_kept_in_mind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
