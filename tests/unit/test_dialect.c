#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/dialect.h"

/* A folder of the test's own, with app/server.js in it. */
static int make_folder(void **state)
{
	char *folder = strdup("/tmp/limpet-dialect-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(mkdir("app", 0700), 0);
	fclose(fopen("app/server.js", "we"));
	*state = folder;
	return 0;
}

static int remove_folder(void **state)
{
	char command[PATH_MAX + 16];
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -r '%s'", (char *)*state);
	assert_int_equal(system(command), 0);
	free(*state);
	return 0;
}

static void install(const char *folder, const char *package, const char *version)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "mkdir -p %s/node_modules/%s", folder, package);
	assert_int_equal(system(path), 0);
	snprintf(path, sizeof(path), "%s/node_modules/%s/package.json", folder, package);
	FILE *file = fopen(path, "we");
	fprintf(file, "{\"version\": \"%s\"}", version);
	fclose(file);
}

static const char *detect(const char *const *command)
{
	char reason[PATH_MAX + 64];
	struct lp_error error = {0};
	const struct lp_dialect *dialect = lp_dialect_detect((char *const *)command, reason, sizeof(reason), &error);
	if (dialect)
		assert_true(reason[0] != '\0');
	else
		assert_int_equal(error.code, LP_EUSAGE);
	return dialect ? dialect->name : "?";
}

static const char *const server[] = {"node", "--expose-gc", "app/server.js", NULL};

static void without_a_sticky_package_node_is_a_plain_cluster(void **state)
{
	(void)state;
	assert_string_equal(detect(server), "cluster");
}

static void the_package_beside_the_script_decides(void **state)
{
	(void)state;
	install("app", "@socket.io/sticky", "2.0.1");
	assert_string_equal(detect(server), "socket.io-sticky");
	const char *const without_suffix[] = {"/usr/bin/node", "app/server", NULL};
	assert_string_equal(detect(without_suffix), "socket.io-sticky");
}

static void a_package_further_up_counts_when_none_is_nearer(void **state)
{
	(void)state;
	install(".", "socketio-sticky-session", "0.4.3");
	assert_string_equal(detect(server), "socketio-sticky-session");
	install("app", "@socket.io/sticky", "1.0.4");
	assert_string_equal(detect(server), "socket.io-sticky");
}

static void an_old_sticky_session_speaks_the_old_way(void **state)
{
	(void)state;
	install("app", "sticky-session", "1.1.2");
	assert_string_equal(detect(server), "sticky-session");
	install("app", "sticky-session", "0.1.0");
	assert_string_equal(detect(server), "socketio-sticky-session");
}

static void two_packages_are_an_error(void **state)
{
	(void)state;
	install("app", "sticky-session", "1.1.2");
	install("app", "@socket.io/sticky", "2.0.1");
	assert_string_equal(detect(server), "?");
}

static void what_is_not_node_is_native(void **state)
{
	(void)state;
	install(".", "sticky-session", "1.1.2");
	const char *const python[] = {"python3", "server.py", NULL};
	assert_string_equal(detect(python), "native");
}

static void a_script_that_names_node_in_its_first_line_is_node(void **state)
{
	(void)state;
	FILE *script = fopen("app/serve", "we");
	fputs("#!/usr/bin/env node\n", script);
	fclose(script);
	install("app", "sticky-session", "1.1.2");
	const char *const command[] = {"app/serve", NULL};
	assert_string_equal(detect(command), "sticky-session");
}

static void every_dialect_is_found_by_its_name(void **state)
{
	static const char *const names[] = {"cluster", "socket.io-sticky", "sticky-session", "socketio-sticky-session",
					    "native"};
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(lp_dialect_find(names[i])->name, names[i]);
	assert_null(lp_dialect_find("auto"));
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(without_a_sticky_package_node_is_a_plain_cluster),
		IN_A_FOLDER(the_package_beside_the_script_decides),
		IN_A_FOLDER(a_package_further_up_counts_when_none_is_nearer),
		IN_A_FOLDER(an_old_sticky_session_speaks_the_old_way),
		IN_A_FOLDER(two_packages_are_an_error),
		IN_A_FOLDER(what_is_not_node_is_native),
		IN_A_FOLDER(a_script_that_names_node_in_its_first_line_is_node),
		cmocka_unit_test(every_dialect_is_found_by_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
