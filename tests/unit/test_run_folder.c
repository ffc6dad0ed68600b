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
	unlink(fixture->folder);
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

static void it_is_found_as_systemd_the_user_or_nobody_says(void **state)
{
	char path[LP_RUN_FOLDER_SIZE];
	(void)state;
	setenv("RUNTIME_DIRECTORY", "/run/limpet/a:/run/b", 1);
	lp_run_folder_find(path);
	assert_string_equal(path, "/run/limpet/a");
	unsetenv("RUNTIME_DIRECTORY");
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	lp_run_folder_find(path);
	assert_string_equal(path, geteuid() == 0 ? "/run/limpet" : "/run/user/7/limpet");
	unsetenv("XDG_RUNTIME_DIR");
	lp_run_folder_find(path);
	if (geteuid() != 0)
		assert_int_equal(strncmp(path, "/tmp/limpet-", 12), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_made_once_and_others_only_pass_through, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_others_can_write_to_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_of_another_user_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_and_a_file_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_cannot_be_made_names_the_way_out, set_up, tear_down),
		cmocka_unit_test(it_is_found_as_systemd_the_user_or_nobody_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
