/**
 * Command lines written as one would type them. Include after cmocka.h.
 */
#ifndef LP_TESTS_OPTIONS_FIXTURE_H
#define LP_TESTS_OPTIONS_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

/** A command line whose words live until the next one. */
struct fixture {
	char *argv[64];
	struct lp_command_line line;
	struct lp_error error;
};

static inline int set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return *state ? 0 : -1;
}

static inline void forget(struct fixture *fixture)
{
	lp_options_deinit(&fixture->line);
	for (size_t i = 0; fixture->argv[i]; i++)
		free(fixture->argv[i]);
	memset(fixture, 0, sizeof(*fixture));
}

static inline int tear_down(void **state)
{
	forget(*state);
	free(*state);
	return 0;
}

/** Parse a command line of words without blanks in them; '' is an empty word. */
static inline int parse(struct fixture *fixture, const char *format, ...)
{
	va_list arguments;
	char *words;
	char *rest;
	int argc = 0;

	forget(fixture);
	va_start(arguments, format);
	assert_true(vasprintf(&words, format, arguments) >= 0);
	va_end(arguments);
	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		fixture->argv[argc++] = strdup(strcmp(word, "''") == 0 ? "" : word);
	free(words);
	return lp_options_parse(argc, fixture->argv, &fixture->line, &fixture->error);
}

/** Assert that a command line is refused, and how. */
static inline void assert_refused(struct fixture *fixture, const char *text, const char *sentence)
{
	if (parse(fixture, "limpet %s", text) != LP_EUSAGE)
		fail_msg("\"limpet %s\" was taken", text);
	assert_int_equal(fixture->error.code, LP_EUSAGE);
	assert_string_equal(fixture->error.text, sentence);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
