/* Lines of /proc/PID/stat, also of processes that have chosen their names to be misread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "worker/process_facts.h"

#define TAIL " S 12 34 56 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 111 222\n"

static void a_line_is_read(void **state)
{
	struct lp_process_facts facts;
	(void)state;
	assert_int_equal(lp_process_facts_parse("78 (node)" TAIL, &facts), 0);
	assert_int_equal(facts.pid, 78);
	assert_int_equal(facts.state, 'S');
	assert_int_equal(facts.parent, 12);
	assert_int_equal(facts.group, 34);
	assert_int_equal(facts.session, 56);
	assert_int_equal(facts.started, 987654);
}

static void a_name_cannot_pass_for_fields(void **state)
{
	static const char *const lines[] = {"78 (a) R 1 1 1 0)" TAIL, "78 (()" TAIL, "78 ())" TAIL, "78 (\n) (x)" TAIL};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct lp_process_facts facts;
		assert_int_equal(lp_process_facts_parse(lines[i], &facts), 0);
		assert_int_equal(facts.parent, 12);
		assert_int_equal(facts.started, 987654);
	}
}

static void what_is_none_is_refused(void **state)
{
	static const char *const lines[] = {
		"", "78", "78 (node", "(node)" TAIL, "78 (node) S 1 2", "78 (node) S a b c d"};
	struct lp_process_facts facts = {.pid = 5};
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(lp_process_facts_parse(lines[i], &facts), -EPROTO);
	assert_int_equal(facts.pid, 5);
}

static void the_kernel_tells_of_this_process(void **state)
{
	struct lp_process_facts facts;
	struct lp_process_facts again;
	(void)state;
	assert_int_equal(prctl(PR_SET_NAME, "a) R 1 1 1 (", 0, 0, 0), 0);
	assert_int_equal(lp_process_facts_read(getpid(), &facts), 0);
	assert_int_equal(facts.pid, getpid());
	assert_int_equal(facts.parent, getppid());
	assert_int_equal(facts.session, getsid(0));
	assert_int_equal(facts.group, getpgrp());
	assert_int_equal(lp_process_facts_read(getpid(), &again), 0);
	assert_int_equal(facts.started, again.started);
	assert_int_equal(lp_process_facts_read(0x3fffffff, &facts), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_read),
		cmocka_unit_test(a_name_cannot_pass_for_fields),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(the_kernel_tells_of_this_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
