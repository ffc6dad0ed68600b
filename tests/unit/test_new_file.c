#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char folder[64];
	char path[96];
	char other[96];
	struct lp_error error;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->folder, "/tmp/limpet-new-file-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/file", fixture->folder);
	snprintf(fixture->other, sizeof(fixture->other), "%s/other", fixture->folder);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	unlink(fixture->path);
	unlink(fixture->other);
	int status = rmdir(fixture->folder); /* Fails if a temporary file was left. */
	free(fixture);
	return status;
}

static void assert_holds(const char *path, mode_t mode, const char *text)
{
	char bytes[64] = "";
	struct stat what;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, bytes, sizeof(bytes) - 1) >= 0);
	close(fd);
	assert_string_equal(bytes, text);
	assert_int_equal(lstat(path, &what), 0);
	assert_int_equal(what.st_mode, S_IFREG | mode);
}

static void a_private_file_is_the_owners_whatever_the_umask(void **state)
{
	struct fixture *fixture = *state;
	mode_t before = umask(0);
	assert_int_equal(lp_new_file_write(fixture->path, LP_NEW_FILE_PRIVATE, "new", 3, &fixture->error), 0);
	umask(before);
	assert_holds(fixture->path, 0600, "new");
}

static void a_shared_file_follows_the_umask(void **state)
{
	struct fixture *fixture = *state;
	mode_t before = umask(027);
	assert_int_equal(lp_new_file_write(fixture->path, LP_NEW_FILE_SHARED, "new", 3, &fixture->error), 0);
	umask(before);
	assert_holds(fixture->path, 0640, "new");
}

static void an_old_files_readers_keep_the_old_contents(void **state)
{
	struct fixture *fixture = *state;
	char bytes[8] = "";
	int fd = open(fixture->path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_int_equal(write(fd, "old", 3), 3);
	assert_int_equal(lp_new_file_write(fixture->path, LP_NEW_FILE_PRIVATE, "secret", 6, &fixture->error), 0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), 3);
	assert_string_equal(bytes, "old");
	close(fd);
	assert_holds(fixture->path, 0600, "secret");
}

static void a_symbolic_link_is_neither_followed_nor_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct stat what;
	assert_int_equal(lp_new_file_write(fixture->other, LP_NEW_FILE_PRIVATE, "old", 3, &fixture->error), 0);
	assert_int_equal(symlink(fixture->other, fixture->path), 0);
	assert_int_equal(lp_new_file_write(fixture->path, LP_NEW_FILE_PRIVATE, "new", 3, &fixture->error), -EEXIST);
	assert_non_null(strstr(fixture->error.text, "a symbolic link"));
	assert_holds(fixture->other, 0600, "old");
	assert_int_equal(lstat(fixture->path, &what), 0);
	assert_true(S_ISLNK(what.st_mode));
}

static void a_device_and_a_folder_stay(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(lp_new_file_write("/dev/null", LP_NEW_FILE_PRIVATE, "new", 3, &fixture->error), -EEXIST);
	assert_int_equal(lp_new_file_write(fixture->folder, LP_NEW_FILE_PRIVATE, "new", 3, &fixture->error), -EISDIR);
	assert_non_null(strstr(fixture->error.text, fixture->folder));
}

static void a_failure_leaves_the_old_file_and_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(lp_new_file_write("/nowhere/file", LP_NEW_FILE_PRIVATE, "new", 3, &fixture->error), -ENOENT);
	assert_non_null(strstr(fixture->error.text, "/nowhere/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_private_file_is_the_owners_whatever_the_umask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_shared_file_follows_the_umask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_old_files_readers_keep_the_old_contents, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_symbolic_link_is_neither_followed_nor_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_device_and_a_folder_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failure_leaves_the_old_file_and_nothing_else, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
