#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/dialect.h"

/* Of the last detection: whether it said that nothing can be preloaded. */
static bool told_of_loss;

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
	char lost[3 * PATH_MAX];
	struct lp_error error = {0};
	const struct lp_dialect *dialect =
		lp_dialect_detect((char *const *)command, true, reason, sizeof(reason), lost, sizeof(lost), &error);
	if (dialect)
		assert_true(reason[0] != '\0');
	else
		assert_int_equal(error.code, LP_EUSAGE);
	told_of_loss = lost[0] != '\0';
	return dialect ? dialect->name : "?";
}

/* A program that is called so, and is linked statically. */
static void make_static(const char *path)
{
	const Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64},
				   .e_phentsize = sizeof(Elf64_Phdr)};
	FILE *file = fopen(path, "we");
	assert_int_equal(fwrite(&header, sizeof(header), 1, file), 1);
	fclose(file);
	assert_int_equal(chmod(path, 0700), 0);
}

static const char *const server[] = {"node", "--expose-gc", "app/server.js", NULL};
static const char *const static_server[] = {"./node", "--expose-gc", "app/server.js", NULL};

static void node_is_node_whatever_is_installed(void **state)
{
	(void)state;
	assert_string_equal(detect(server), "node");
	install("app", "@socket.io/sticky", "2.0.1");
	install("app", "sticky-session", "1.1.2");
	assert_string_equal(detect(server), "node");
	assert_false(told_of_loss);
}

static void what_is_not_node_is_preloaded(void **state)
{
	(void)state;
	const char *const python[] = {"python3", "server.py", NULL};
	const char *const shell[] = {"sh", "-c", "node server.js", NULL};
	assert_string_equal(detect(python), "preload");
	assert_string_equal(detect(shell), "preload");
	assert_false(told_of_loss);
}

static void a_script_that_names_node_in_its_first_line_is_node(void **state)
{
	(void)state;
	static const char *const lines[] = {"#!/usr/bin/env node\n", "#!/usr/bin/env -S node --no-warnings\n",
					    "#! /usr/bin/env NODE_ENV=production node\n"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		FILE *script = fopen("app/serve", "we");
		fputs(lines[i], script);
		fclose(script);
		assert_int_equal(chmod("app/serve", 0700), 0);
		const char *const command[] = {"app/serve", NULL};
		assert_string_equal(detect(command), "node");
	}
}

static void a_static_node_is_a_plain_cluster_and_that_is_told(void **state)
{
	(void)state;
	make_static("node");
	assert_string_equal(detect(static_server), "cluster");
	assert_true(told_of_loss);
}

static void there_the_package_beside_the_script_decides(void **state)
{
	(void)state;
	make_static("node");
	install("app", "@socket.io/sticky", "2.0.1");
	assert_string_equal(detect(static_server), "socket.io-sticky");
	const char *const without_suffix[] = {"./node", "app/server", NULL};
	assert_string_equal(detect(without_suffix), "socket.io-sticky");
}

static void a_package_further_up_counts_when_none_is_nearer(void **state)
{
	(void)state;
	make_static("node");
	install(".", "socketio-sticky-session", "0.4.3");
	assert_string_equal(detect(static_server), "socketio-sticky-session");
	install("app", "@socket.io/sticky", "1.0.4");
	assert_string_equal(detect(static_server), "socket.io-sticky");
}

static void an_old_sticky_session_speaks_the_old_way(void **state)
{
	(void)state;
	make_static("node");
	install("app", "sticky-session", "1.1.2");
	assert_string_equal(detect(static_server), "sticky-session");
	install("app", "sticky-session", "0.1.0");
	assert_string_equal(detect(static_server), "socketio-sticky-session");
}

static void two_packages_are_an_error_there(void **state)
{
	(void)state;
	make_static("node");
	install("app", "sticky-session", "1.1.2");
	install("app", "@socket.io/sticky", "2.0.1");
	assert_string_equal(detect(static_server), "?");
}

static void another_static_program_is_native(void **state)
{
	(void)state;
	make_static("server");
	const char *const command[] = {"./server", NULL};
	assert_string_equal(detect(command), "native");
	assert_true(told_of_loss);
}

static void every_dialect_is_found_by_its_name(void **state)
{
	static const char *const names[] = {
		"cluster", "socket.io-sticky", "sticky-session", "socketio-sticky-session", "native", "preload",
		"node"};
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_string_equal(lp_dialect_find(names[i])->name, names[i]);
	assert_null(lp_dialect_find("auto"));
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(node_is_node_whatever_is_installed),
		IN_A_FOLDER(what_is_not_node_is_preloaded),
		IN_A_FOLDER(a_script_that_names_node_in_its_first_line_is_node),
		IN_A_FOLDER(a_static_node_is_a_plain_cluster_and_that_is_told),
		IN_A_FOLDER(there_the_package_beside_the_script_decides),
		IN_A_FOLDER(a_package_further_up_counts_when_none_is_nearer),
		IN_A_FOLDER(an_old_sticky_session_speaks_the_old_way),
		IN_A_FOLDER(two_packages_are_an_error_there),
		IN_A_FOLDER(another_static_program_is_native),
		cmocka_unit_test(every_dialect_is_found_by_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
