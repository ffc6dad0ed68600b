#include "worker/preload_library.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LIBRARY "liblimpet-preload.so"

/* A library in a folder with a blank in its name. */
struct fixture {
	char above[64];
	char folder[96];
	char file[128];
	char link[96];
	char path[PATH_MAX];
	struct lp_error error;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->above, "/tmp/limpet-library-XXXXXX");
	if (!mkdtemp(fixture->above))
		return -1;
	snprintf(fixture->folder, sizeof(fixture->folder), "%s/a b", fixture->above);
	snprintf(fixture->file, sizeof(fixture->file), "%s/" LIBRARY, fixture->folder);
	snprintf(fixture->link, sizeof(fixture->link), "%s/link", fixture->above);
	strcpy(fixture->path, fixture->file);
	FILE *file = mkdir(fixture->folder, 0700) ? NULL : fopen(fixture->file, "w");
	*state = fixture;
	return file ? fclose(file) : -1;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	unlink(fixture->link);
	unlink(fixture->file);
	rmdir(fixture->folder);
	int status = rmdir(fixture->above); /* Nothing else was left there. */
	free(fixture);
	return status;
}

static int make_link(struct fixture *fixture)
{
	return lp_preload_library_link(fixture->path, sizeof(fixture->path), fixture->link, &fixture->error);
}

static void a_path_that_can_be_named_stays(void **state)
{
	struct fixture *fixture = *state;
	strcpy(fixture->path, "/usr/lib/limpet/" LIBRARY);
	assert_int_equal(make_link(fixture), 0);
	assert_string_equal(fixture->path, "/usr/lib/limpet/" LIBRARY);
	assert_int_equal(access(fixture->link, F_OK), -1);
}

static void a_blank_is_led_around_by_a_link(void **state)
{
	struct fixture *fixture = *state;
	char through[128];
	snprintf(through, sizeof(through), "%s/" LIBRARY, fixture->link);
	assert_int_equal(make_link(fixture), 1);
	assert_string_equal(fixture->path, through);
	assert_int_equal(access(through, R_OK), 0);
}

static void a_link_of_before_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(symlink("/nowhere", fixture->link), 0);
	assert_int_equal(make_link(fixture), 1);
	assert_int_equal(access(fixture->path, R_OK), 0);
}

static void a_link_that_cannot_be_named_is_refused(void **state)
{
	struct fixture *fixture = *state;
	snprintf(fixture->link, sizeof(fixture->link), "%s/a:b", fixture->above);
	assert_int_equal(make_link(fixture), -EINVAL);
	assert_non_null(strstr(fixture->error.text, "--preload-dir"));
	assert_int_equal(access(fixture->link, F_OK), -1);
}

static void a_library_of_another_name_is_refused(void **state)
{
	struct fixture *fixture = *state;
	snprintf(fixture->path, sizeof(fixture->path), "%s", fixture->folder);
	assert_int_equal(make_link(fixture), -EINVAL);
	assert_non_null(strstr(fixture->error.text, fixture->link));
}

static void what_is_named_in_the_environment_is_found_or_missed(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_MAX];
	setenv("LIMPET_PRELOAD_LIBRARY", fixture->file, 1);
	assert_int_equal(lp_preload_library_find(path, sizeof(path), &fixture->error), 0);
	assert_string_equal(path, fixture->file);
	setenv("LIMPET_PRELOAD_LIBRARY", "/nowhere/x.so", 1);
	assert_int_equal(lp_preload_library_find(path, sizeof(path), &fixture->error), -ENOENT);
	assert_non_null(strstr(fixture->error.text, "/nowhere/x.so"));
	unsetenv("LIMPET_PRELOAD_LIBRARY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_path_that_can_be_named_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_blank_is_led_around_by_a_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_of_before_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_that_cannot_be_named_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_library_of_another_name_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_named_in_the_environment_is_found_or_missed, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
