#include "base/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char above[64];
	char folder[96];
	struct lp_error error;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->above, "/tmp/limpet-run-folder-XXXXXX");
	if (!mkdtemp(fixture->above))
		return -1;
	snprintf(fixture->folder, sizeof(fixture->folder), "%s/limpet", fixture->above);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	if (unlink(fixture->folder))
		rmdir(fixture->folder);
	int status = rmdir(fixture->above);
	free(fixture);
	return status;
}

static int make(struct fixture *fixture)
{
	return lp_run_folder_make(fixture->folder, "--control", &fixture->error);
}

static void it_is_made_once_and_others_only_pass_through(void **state)
{
	struct fixture *fixture = *state;
	struct stat what;
	mode_t before = umask(0);
	assert_int_equal(make(fixture), 0);
	umask(before);
	assert_int_equal(stat(fixture->folder, &what), 0);
	assert_int_equal(what.st_mode, S_IFDIR | 0711);
	assert_int_equal(make(fixture), 0);
}

static void one_that_others_can_write_to_is_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(make(fixture), 0);
	assert_int_equal(chmod(fixture->folder, 0733), 0);
	assert_int_equal(make(fixture), -EPERM);
	assert_non_null(strstr(fixture->error.text, fixture->folder));
	assert_non_null(strstr(fixture->error.text, "--control"));
	assert_int_equal(chmod(fixture->folder, 0721), 0);
	assert_int_equal(make(fixture), -EPERM);
}

static void one_of_another_user_is_refused(void **state)
{
	struct fixture *fixture = *state;
	if (geteuid() != 0)
		skip(); /* Only root can give a folder away. */
	assert_int_equal(make(fixture), 0);
	assert_int_equal(chown(fixture->folder, 4243, 4243), 0);
	assert_int_equal(make(fixture), -EPERM);
	assert_non_null(strstr(fixture->error.text, "4243"));
}

static void a_link_and_a_file_are_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(symlink("/tmp", fixture->folder), 0);
	assert_int_equal(make(fixture), -EPERM);
	unlink(fixture->folder);
	close(open(fixture->folder, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(make(fixture), -EPERM);
	assert_non_null(strstr(fixture->error.text, "not a folder"));
}

static void one_that_cannot_be_made_names_the_way_out(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(lp_run_folder_make("/nowhere/limpet", "--control", &fixture->error), -ENOENT);
	assert_non_null(strstr(fixture->error.text, "/nowhere/limpet"));
	assert_non_null(strstr(fixture->error.text, "--control"));
}

static void one_that_others_can_move_away_is_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(chmod(fixture->above, 0777), 0);
	assert_int_equal(make(fixture), -EPERM);
	assert_non_null(strstr(fixture->error.text, "moved away"));
	assert_int_equal(chmod(fixture->above, 01777), 0); /* As /tmp is. */
	assert_int_equal(make(fixture), 0);
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(fixture->above, 4243, 4243), 0);
	assert_int_equal(make(fixture), -EPERM);
	assert_int_equal(chown(fixture->above, 0, 0), 0);
}

static void a_link_with_a_slash_behind_it_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char path[128];
	char with_slash[128];
	assert_int_equal(symlink("/etc", fixture->folder), 0);
	snprintf(with_slash, sizeof(with_slash), "%s/", fixture->folder);
	assert_int_equal(lp_run_folder_make(with_slash, "--control", &fixture->error), -EPERM);
	assert_int_equal(lp_run_folder_make_for(path, with_slash, NULL, "--preload-dir", &fixture->error), -EPERM);
}

static const struct lp_user other = {.text = "4243", .uid = 4243, .gid = 4244};

static void assert_owner(const char *path, uid_t uid)
{
	struct stat what;
	assert_int_equal(lstat(path, &what), 0);
	assert_int_equal(what.st_uid, uid);
	assert_int_equal(what.st_mode, S_IFDIR | 0711);
}

static void root_makes_one_for_the_user_that_it_becomes(void **state)
{
	struct fixture *fixture = *state;
	char path[LP_RUN_FOLDER_SIZE];
	char expected[128];
	if (geteuid() != 0)
		skip();
	for (int i = 0; i < 2; i++) { /* The second time it is there. */
		assert_int_equal(
			lp_run_folder_make_for(path, fixture->folder, &other, "--preload-dir", &fixture->error), 0);
		assert_string_equal(path, fixture->folder);
		assert_owner(path, other.uid);
	}
	rmdir(fixture->folder);
	assert_int_equal(make(fixture), 0);
	assert_int_equal(lp_run_folder_make_for(path, fixture->folder, &other, "--preload-dir", &fixture->error), 0);
	snprintf(expected, sizeof(expected), "%s/user-4243", fixture->folder);
	assert_string_equal(path, expected);
	assert_owner(path, other.uid);
	assert_owner(fixture->folder, 0);
	rmdir(path);
}

static void what_a_stranger_made_first_is_refused_also_for_another_user(void **state)
{
	struct fixture *fixture = *state;
	char path[LP_RUN_FOLDER_SIZE];
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(fixture->folder, 0700), 0);
	assert_int_equal(chown(fixture->folder, 4300, 4300), 0);
	assert_int_equal(lp_run_folder_make_for(path, fixture->folder, &other, "--preload-dir", &fixture->error),
			 -EPERM);
	assert_non_null(strstr(fixture->error.text, "4300"));
	assert_non_null(strstr(fixture->error.text, "--preload-dir"));
}

static void a_relative_path_becomes_absolute(void **state)
{
	struct fixture *fixture = *state;
	char path[LP_RUN_FOLDER_SIZE];
	char here[LP_RUN_FOLDER_SIZE];
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(fixture->above), 0);
	assert_int_equal(lp_run_folder_make_for(path, "limpet", NULL, "--preload-dir", &fixture->error), 0);
	assert_string_equal(path, fixture->folder);
	assert_int_equal(chdir(here), 0);
}

/* What a process of another user finds and makes. */
static int make_as_other(const struct fixture *fixture, const char *home)
{
	char path[LP_RUN_FOLDER_SIZE];
	struct lp_error error;
	unsetenv("RUNTIME_DIRECTORY");
	setenv("XDG_RUNTIME_DIR", fixture->folder, 1);
	setenv("HOME", home, 1);
	if (setresgid(other.gid, other.gid, other.gid) || setresuid(other.uid, other.uid, other.uid))
		return 1;
	if (lp_run_folder_make_for(path, NULL, NULL, "--preload-dir", &error))
		return 2;
	return strncmp(path, home, strlen(home)) == 0 ? 0 : 3;
}

static void where_a_stranger_was_first_another_place_is_found(void **state)
{
	struct fixture *fixture = *state;
	char home[128];
	char inside[160];
	int status;
	if (geteuid() != 0)
		skip();
	snprintf(home, sizeof(home), "%s/home", fixture->above);
	snprintf(inside, sizeof(inside), "%s/.limpet", home);
	assert_int_equal(chmod(fixture->above, 0711), 0);
	assert_int_equal(mkdir(home, 0711), 0);
	assert_int_equal(chown(home, other.uid, other.gid), 0);
	mkdir("/tmp/limpet-4243", 0700); /* Root's: somebody else's. */
	pid_t child = fork();
	if (child == 0)
		_exit(make_as_other(fixture, home));
	assert_int_equal(waitpid(child, &status, 0), child);
	rmdir("/tmp/limpet-4243");
	rmdir(inside);
	rmdir(home);
	assert_int_equal(status, 0);
}

static void it_is_found_as_systemd_the_user_or_nobody_says(void **state)
{
	const struct fixture *fixture = *state;
	char path[LP_RUN_FOLDER_SIZE];
	setenv("RUNTIME_DIRECTORY", "/run/limpet/a:/run/b", 1);
	lp_run_folder_find(path);
	assert_string_equal(path, "/run/limpet/a");
	unsetenv("RUNTIME_DIRECTORY");
	setenv("XDG_RUNTIME_DIR", fixture->above, 1);
	lp_run_folder_find(path);
	assert_string_equal(path, geteuid() == 0 ? "/run/limpet" : fixture->folder);
	unsetenv("XDG_RUNTIME_DIR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_made_once_and_others_only_pass_through, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_others_can_write_to_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_of_another_user_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_and_a_file_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_cannot_be_made_names_the_way_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_others_can_move_away_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_with_a_slash_behind_it_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(root_makes_one_for_the_user_that_it_becomes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_stranger_made_first_is_refused_also_for_another_user, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_relative_path_becomes_absolute, set_up, tear_down),
		cmocka_unit_test_setup_teardown(where_a_stranger_was_first_another_place_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_is_found_as_systemd_the_user_or_nobody_says, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
