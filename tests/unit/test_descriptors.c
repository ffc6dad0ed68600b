/*
 * Limits of descriptors, ours and those of programs that we start; and that these inherit nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"

/* A program's limit, and how many descriptors we have open when it is started. */
enum { THEIRS = 40, OPEN = 100 };

/* The first line that a shell prints. */
static void ask_shell(const char *script, char *line, int size)
{
	FILE *shell = popen(script, "re");
	assert_non_null(shell);
	assert_non_null(fgets(line, size, shell));
	assert_int_equal(pclose(shell), 0);
}

static void a_program_begins_with_its_own_limit_and_we_keep_ours(void **state)
{
	struct lp_descriptors_for_programs programs;
	int more[OPEN];
	char line[64];
	uint32_t ours = lp_descriptors_limit();
	uint32_t before = lp_descriptors_count();
	(void)state;
	lp_descriptors_for_programs_init(&programs, THEIRS);
	for (int i = 0; i < OPEN; i++)
		assert_true((more[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
	assert_true(more[OPEN - 1] > THEIRS);
	for (int i = 0; i < 3; i++) {
		uint32_t saved = lp_descriptors_begin_start(&programs);
		assert_int_equal(lp_descriptors_limit(), THEIRS);
		ask_shell("ulimit -Sn", line, sizeof(line));
		lp_descriptors_end_start(&programs, saved);
		assert_string_equal(line, "40\n");
		assert_int_equal(lp_descriptors_limit(), ours);
		assert_int_equal(lp_descriptors_count(), before + OPEN + LP_DESCRIPTORS_KEPT);
	}
	for (int i = 0; i < OPEN; i++)
		close(more[i]);
	lp_descriptors_for_programs_deinit(&programs);
	assert_int_equal(lp_descriptors_count(), before);
}

static void without_a_lower_limit_nothing_is_done(void **state)
{
	struct lp_descriptors_for_programs programs;
	uint32_t before = lp_descriptors_count();
	const uint32_t limits[] = {0, lp_descriptors_limit()};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		lp_descriptors_for_programs_init(&programs, limits[i]);
		assert_int_equal(lp_descriptors_count(), before);
		lp_descriptors_end_start(&programs, lp_descriptors_begin_start(&programs));
		assert_int_equal(lp_descriptors_limit(), limits[1]);
		lp_descriptors_for_programs_deinit(&programs);
	}
}

/* As a test or an operator does with prlimit(1). */
static void a_limit_that_was_lowered_meanwhile_is_not_raised_again(void **state)
{
	struct lp_descriptors_for_programs programs;
	struct rlimit before, lower;
	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	lp_descriptors_for_programs_init(&programs, THEIRS + 20);
	lower = before;
	lower.rlim_cur = THEIRS;
	setrlimit(RLIMIT_NOFILE, &lower);
	uint32_t saved = lp_descriptors_begin_start(&programs);
	assert_int_equal(lp_descriptors_limit(), THEIRS);
	lp_descriptors_end_start(&programs, saved);
	assert_int_equal(lp_descriptors_limit(), THEIRS);
	setrlimit(RLIMIT_NOFILE, &before);
	lp_descriptors_for_programs_deinit(&programs);
}

static void raising_tells_what_it_was(void **state)
{
	struct rlimit before, lower, after;
	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	lower = before;
	lower.rlim_cur = THEIRS;
	setrlimit(RLIMIT_NOFILE, &lower);
	assert_int_equal(lp_descriptors_raise_limit(), THEIRS);
	getrlimit(RLIMIT_NOFILE, &after);
	assert_true(after.rlim_cur == before.rlim_max);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void what_was_inherited_is_not_passed_on(void **state)
{
	char line[64];
	int fd = open("/dev/null", O_RDONLY); /* Not close-on-exec. */
	char script[64];
	(void)state;
	snprintf(script, sizeof(script), "if [ -e /proc/self/fd/%d ]; then echo yes; else echo no; fi", fd);
	ask_shell(script, line, sizeof(line));
	assert_string_equal(line, "yes\n");
	lp_descriptors_keep_to_ourselves();
	ask_shell(script, line, sizeof(line));
	assert_string_equal(line, "no\n");
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
}

static void too_few_for_what_may_wait_is_told(void **state)
{
	struct lp_log log;
	char text[1024] = "";
	int ends[2];
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	lp_log_init(&log, ends[1], LP_LOG_DEBUG, LP_LOG_TEXT);
	lp_descriptors_report(&log, 1, 1, THEIRS);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "workers begin with a limit of 40\n"));
	assert_null(strstr(text, "--max-waiting"));
	lp_descriptors_report(&log, lp_descriptors_limit(), 4, 0);
	memset(text, 0, sizeof(text));
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower --max-waiting"));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_begins_with_its_own_limit_and_we_keep_ours),
		cmocka_unit_test(without_a_lower_limit_nothing_is_done),
		cmocka_unit_test(a_limit_that_was_lowered_meanwhile_is_not_raised_again),
		cmocka_unit_test(raising_tells_what_it_was),
		cmocka_unit_test(what_was_inherited_is_not_passed_on),
		cmocka_unit_test(too_few_for_what_may_wait_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
