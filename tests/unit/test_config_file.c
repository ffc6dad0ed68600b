#include "base/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct lp_config_file file;
	struct lp_error error;
};

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	lp_config_file_deinit(&fixture->file);
	free(fixture);
	return 0;
}

static int parse(struct fixture *fixture, const char *text)
{
	lp_config_file_deinit(&fixture->file);
	return lp_config_file_parse(&fixture->file, "x.conf", text, strlen(text), &fixture->error);
}

static void assert_line(const struct fixture *fixture, size_t index, const char *flag, const char *value, unsigned line)
{
	assert_true(index < fixture->file.count);
	assert_string_equal(fixture->file.lines[index].flag, flag);
	if (value)
		assert_string_equal(fixture->file.lines[index].value, value);
	else
		assert_null(fixture->file.lines[index].value);
	assert_int_equal(fixture->file.lines[index].line, line);
}

static void flags_are_names_with_values_or_without(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(parse(fixture, "# a comment\n"
					"listen :3000\n"
					"\n"
					"  workers = 4  \r\n"
					"set\tkey = a b # c\n"
					"worker-prefix\n"
					"--policy=./x.lua\n"
					"set a==b"),
			 0);
	assert_int_equal(fixture->file.count, 6);
	assert_line(fixture, 0, "--listen", ":3000", 2);
	assert_line(fixture, 1, "--workers", "4", 4);
	assert_line(fixture, 2, "--set", "key = a b # c", 5);
	assert_line(fixture, 3, "--worker-prefix", NULL, 6);
	assert_line(fixture, 4, "--policy", "./x.lua", 7);
	assert_line(fixture, 5, "--set", "a==b", 8);
	assert_null(fixture->file.program);
}

static void a_value_can_be_empty(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(parse(fixture, "control =\n"), 0);
	assert_line(fixture, 0, "--control", "", 1);
}

static void a_byte_order_mark_is_passed_over(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(parse(fixture, "\xef\xbb\xbflisten :1"), 0);
	assert_line(fixture, 0, "--listen", ":1", 1);
}

static void a_program_is_words_which_quotes_keep_together(void **state)
{
	struct fixture *fixture = *state;
	static const char *const words[] = {"node", "/srv/my chat/server.js", "a\"b", "c\\d", "", "e f", "g'h"};
	assert_int_equal(
		parse(fixture, "workers 1\n--  node \"/srv/my chat/server.js\" 'a\"b' 'c\\d' \"\" e\\ f g\"'\"h  "), 0);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_string_equal(fixture->file.program[i], words[i]);
	assert_null(fixture->file.program[7]);
	assert_int_equal(fixture->file.program_line, 2);
}

static void assert_refused(struct fixture *fixture, const char *text, const char *words)
{
	assert_int_equal(parse(fixture, text), LP_EUSAGE);
	if (!strstr(fixture->error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", fixture->error.text, words);
}

static void mistakes_name_file_and_line(void **state)
{
	struct fixture *fixture = *state;
	assert_refused(fixture, "listen :1\n= 3\n", "x.conf:2: there is no name before the =");
	assert_refused(fixture, "\n\n-- node 'x\n", "x.conf:3: a ' is not closed");
	assert_refused(fixture, "--\n", "x.conf:1: there is no program after --");
	assert_refused(fixture, "-- a\n-- b\n", "x.conf:2: line 1 names a program already");
	lp_config_file_deinit(&fixture->file);
	assert_int_equal(lp_config_file_parse(&fixture->file, "x.conf", "a\nb\0c", 5, &fixture->error), LP_EUSAGE);
	assert_non_null(strstr(fixture->error.text, "x.conf:2: there is a NUL"));
}

static void what_is_no_file_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(lp_config_file_read(&fixture->file, "/nowhere/x.conf", &fixture->error), LP_EUSAGE);
	assert_non_null(strstr(fixture->error.text, "/nowhere/x.conf"));
	assert_int_equal(lp_config_file_read(&fixture->file, "/tmp", &fixture->error), LP_EUSAGE);
	assert_int_equal(lp_config_file_read(&fixture->file, "/dev/zero", &fixture->error), LP_EUSAGE);
}

static void a_file_that_is_too_large_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	char path[] = "/tmp/limpet-config-XXXXXX";
	int fd = mkstemp(path);
	assert_int_equal(ftruncate(fd, LP_CONFIG_FILE_MAX + 1), 0);
	assert_int_equal(lp_config_file_read(&fixture->file, path, &fixture->error), LP_EUSAGE);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(write(fd, "listen :1\n", 10), 10);
	assert_int_equal(lp_config_file_read(&fixture->file, path, &fixture->error), 0);
	assert_line(fixture, 0, "--listen", ":1", 1);
	close(fd);
	unlink(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(flags_are_names_with_values_or_without),
		TEST(a_value_can_be_empty),
		TEST(a_byte_order_mark_is_passed_over),
		TEST(a_program_is_words_which_quotes_keep_together),
		TEST(mistakes_name_file_and_line),
		TEST(what_is_no_file_is_an_error),
		TEST(a_file_that_is_too_large_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
