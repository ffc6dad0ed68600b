#include "base/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
	strcpy(fixture->folder, "/tmp/limpet-unix-path-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/socket", fixture->folder);
	snprintf(fixture->other, sizeof(fixture->other), "%s/other", fixture->folder);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	unlink(fixture->path);
	unlink(fixture->other);
	rmdir(fixture->path);
	rmdir(fixture->folder);
	free(fixture);
	return 0;
}

static int make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* A listening socket at a path, made without the module under test. */
static int listen_at(const char *path, int backlog)
{
	struct sockaddr_un address;
	int fd = make_socket();
	assert_int_equal(lp_unix_path_address(&address, path), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int try_bind(struct fixture *fixture, struct lp_unix_path *made)
{
	int fd = make_socket();
	int status = lp_unix_path_bind(fd, fixture->path, 0600, made, &fixture->error);
	close(fd);
	return status;
}

static mode_t mode_of(const char *path)
{
	struct stat what;
	assert_int_equal(lstat(path, &what), 0);
	return what.st_mode;
}

static void a_free_path_is_bound_with_its_mode(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	assert_int_equal(try_bind(fixture, &made), 0);
	assert_int_equal(mode_of(fixture->path), S_IFSOCK | 0600);
	assert_true(lp_unix_path_is_ours(fixture->path, &made));
	lp_unix_path_remove(fixture->path, &made);
	assert_int_equal(access(fixture->path, F_OK), -1);
	assert_false(lp_unix_path_is_ours(fixture->path, &made));
}

static void a_path_whose_process_is_dead_is_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	close(listen_at(fixture->path, 1));
	assert_int_equal(try_bind(fixture, &made), 0);
}

static void a_path_where_somebody_listens_stays(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	int fd = listen_at(fixture->path, 1);
	assert_int_equal(try_bind(fixture, &made), -EADDRINUSE);
	assert_non_null(strstr(fixture->error.text, fixture->path));
	assert_int_equal(made.inode, 0);
	close(fd);
}

static void a_full_backlog_means_that_somebody_listens(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address;
	struct lp_unix_path made;
	int fd = listen_at(fixture->path, 0);
	int clients[8];
	assert_int_equal(lp_unix_path_address(&address, fixture->path), 0);
	for (int i = 0; i < 8; i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(clients[i], (struct sockaddr *)&address, sizeof(address));
	}
	assert_int_equal(try_bind(fixture, &made), -EADDRINUSE);
	for (int i = 0; i < 8; i++)
		close(clients[i]);
	close(fd);
}

static void a_regular_file_stays(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	close(open(fixture->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	assert_int_equal(try_bind(fixture, &made), -EEXIST);
	assert_non_null(strstr(fixture->error.text, "a regular file"));
	assert_int_equal(mode_of(fixture->path), S_IFREG | 0644);
}

static void a_folder_stays(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	assert_int_equal(mkdir(fixture->path, 0755), 0);
	assert_int_equal(try_bind(fixture, &made), -EEXIST);
	assert_non_null(strstr(fixture->error.text, "a folder"));
}

static void a_symbolic_link_stays_also_one_to_a_dead_socket(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	close(listen_at(fixture->other, 1));
	assert_int_equal(symlink(fixture->other, fixture->path), 0);
	assert_int_equal(try_bind(fixture, &made), -EEXIST);
	assert_non_null(strstr(fixture->error.text, "a symbolic link"));
	assert_true(S_ISLNK(mode_of(fixture->path)));
	assert_true(S_ISSOCK(mode_of(fixture->other)));
}

static void only_our_own_socket_is_removed(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	assert_int_equal(try_bind(fixture, &made), 0);
	assert_int_equal(rename(fixture->path, fixture->other), 0);
	close(open(fixture->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	lp_unix_path_remove(fixture->path, &made);
	assert_true(S_ISREG(mode_of(fixture->path)));
}

static void a_path_that_is_too_long_or_empty_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	struct lp_unix_path made;
	struct sockaddr_un address;
	char path[sizeof(address.sun_path) + 1];
	int fd = make_socket();
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(lp_unix_path_bind(fd, path, -1, &made, &fixture->error), -ENAMETOOLONG);
	path[sizeof(path) - 2] = '\0';
	assert_int_equal(lp_unix_path_address(&address, path), 0);
	assert_int_equal(lp_unix_path_bind(fd, "", -1, &made, &fixture->error), -EINVAL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_free_path_is_bound_with_its_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_path_whose_process_is_dead_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_path_where_somebody_listens_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_backlog_means_that_somebody_listens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_regular_file_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folder_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_symbolic_link_stays_also_one_to_a_dead_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_our_own_socket_is_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_path_that_is_too_long_or_empty_is_an_error, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
