/*
 * policies/limpet.meta.lua says what the API is; lp_api_types is what it is. Neither may have what the other has not.
 *
 * Read of the file are "---@field NAME" lines, which belong to the table that the next "local NAME = {}" or "NAME = {}"
 * makes, and "function NAME:method(arguments) end" or "function NAME(arguments) end" lines, all indented or not. In this form a field and a method are written as a policy
 * uses them, which is what struct lp_api_member calls `use`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/private.h"

#define META LIMPET_SOURCE_DIR "/policies/limpet.meta.lua"
#define MEMBERS_MAX 256
#define FIELDS_MAX 32

/* Everything that the file declares, as it is used. */
struct declared {
	char uses[MEMBERS_MAX][192];
	size_t count;
	char fields[FIELDS_MAX][32]; /* Of the class whose table has not yet come. */
	size_t field_count;
};

static void add(struct declared *declared, const char *table, const char *rest)
{
	assert_true(declared->count < MEMBERS_MAX);
	snprintf(declared->uses[declared->count++], sizeof(declared->uses[0]), "%s%s", table, rest);
}

static void read_line(struct declared *declared, const char *line)
{
	char name[64];
	char end[8];

	if (sscanf(line, " ---@field %31[a-z_]", name) == 1) {
		assert_true(declared->field_count < FIELDS_MAX);
		strcpy(declared->fields[declared->field_count++], name);
	} else if (sscanf(line, " function %63[^)])%7s", name, end) == 2 && strcmp(end, "end") == 0) {
		add(declared, name, ")");
	} else if (sscanf(line, " local %63[a-z_.] = {%1[}]", name, end) == 2 ||
		   sscanf(line, "%63[a-z_.] = {%1[}]", name, end) == 2) {
		for (size_t i = 0; i < declared->field_count; i++) {
			char field[40];

			snprintf(field, sizeof(field), ".%s", declared->fields[i]);
			add(declared, name, field);
		}
		declared->field_count = 0;
	}
}

static int set_up(void **state)
{
	struct declared *declared = calloc(1, sizeof(*declared));
	FILE *file = fopen(META, "r");
	char line[512];

	*state = declared;
	if (!declared || !file)
		return -1;
	while (fgets(line, sizeof(line), file))
		read_line(declared, line);
	return fclose(file);
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static bool is_declared(const struct declared *declared, const char *use)
{
	for (size_t i = 0; i < declared->count; i++)
		if (strcmp(declared->uses[i], use) == 0)
			return true;
	return false;
}

static bool is_real(const char *use)
{
	for (const struct lp_api_type *const *type = lp_api_types; *type; type++)
		for (const struct lp_api_member *member = (*type)->members; member->name; member++)
			if (strcmp(member->use, use) == 0)
				return true;
	return false;
}

static void all_that_there_is_is_declared(void **state)
{
	size_t missing = 0;

	for (const struct lp_api_type *const *type = lp_api_types; *type; type++)
		for (const struct lp_api_member *member = (*type)->members; member->name; member++)
			if (!is_declared(*state, member->use)) {
				print_error("limpet.meta.lua does not declare %s\n", member->use);
				missing++;
			}
	assert_int_equal(missing, 0);
}

static void all_that_is_declared_is_there(void **state)
{
	const struct declared *declared = *state;
	size_t surplus = 0;

	assert_true(declared->count > 50);
	for (size_t i = 0; i < declared->count; i++)
		if (!is_real(declared->uses[i])) {
			print_error("limpet has no %s, which limpet.meta.lua declares\n", declared->uses[i]);
			surplus++;
		}
	assert_int_equal(surplus, 0);
}

static void names_and_uses_agree(void **state)
{
	(void)state;
	for (const struct lp_api_type *const *type = lp_api_types; *type; type++)
		for (const struct lp_api_member *member = (*type)->members; member->name; member++) {
			const char *separator = member->use + strlen((*type)->name);

			assert_memory_equal(member->use, (*type)->name, strlen((*type)->name));
			assert_true(!*(*type)->name || *separator == '.' || *separator == ':');
			separator += *(*type)->name != '\0';
			assert_memory_equal(separator, member->name, strlen(member->name));
			assert_int_equal(member->function != NULL, strchr(member->use, '(') != NULL);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_that_there_is_is_declared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_that_is_declared_is_there, set_up, tear_down),
		cmocka_unit_test(names_and_uses_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
