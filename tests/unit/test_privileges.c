/*
 * Users by name and number, and that becoming one is for good: that in a child, as nobody comes back from it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/privileges.h"

static void a_name_a_number_and_a_group_are_found(void **state)
{
	struct passwd *nobody = getpwnam("nobody");
	struct lp_user user;
	struct lp_error error;
	char text[64];
	(void)state;
	if (!nobody) {
		skip(); /* Then there is no name that is known to be here. */
		return;
	}
	uid_t uid = nobody->pw_uid;
	gid_t gid = nobody->pw_gid;

	assert_int_equal(lp_user_find("nobody", &user, &error), 0);
	assert_int_equal(user.uid, uid);
	assert_int_equal(user.gid, gid);
	snprintf(text, sizeof(text), "%u", (unsigned)uid);
	assert_int_equal(lp_user_find(text, &user, &error), 0);
	assert_int_equal(user.uid, uid);
	assert_int_equal(user.gid, gid);
	assert_int_equal(lp_user_find("nobody:4242", &user, &error), 0);
	assert_int_equal(user.uid, uid);
	assert_int_equal(user.gid, 4242);
	assert_int_equal(lp_user_find("4243:4244", &user, &error), 0);
	assert_int_equal(user.uid, 4243);
	assert_int_equal(user.gid, 4244);
	struct group *group = getgrgid(gid);
	if (group) {
		snprintf(text, sizeof(text), "4243:%s", group->gr_name);
		assert_int_equal(lp_user_find(text, &user, &error), 0);
		assert_int_equal(user.gid, gid);
	}
}

static void what_is_wrong_is_said_with_a_way_out(void **state)
{
	const char *const wrong[][2] = {
		{"no-such-user", "there is no user \"no-such-user\"; add it"},
		{"", "there is no user \"\""},
		{":4242", "there is no user \"\""},
		{"4243:no-such-group", "there is no group \"no-such-group\"; add it"},
		{"4243:", "there is no group \"\""},
		{"4243123", "user 4243123 has no group of its own; name one: 4243123:GROUP"},
		{"root", "\"root\" is root"},
		{"0:4242", "\"0\" is root"},
		{"4294967295:1", "there is no user \"4294967295\""},
		{"99999999999:1", "there is no user \"99999999999\""},
		{"-1:1", "there is no user \"-1\""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct lp_user user = {.uid = 7};
		struct lp_error error = {0};
		assert_int_equal(lp_user_find(wrong[i][0], &user, &error), LP_EUSAGE);
		if (!strstr(error.text, wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], error.text);
		assert_int_equal(user.uid, 7);
	}
}

/* Run a check in a child, whose status is the answer. */
static int in_a_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(check());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool has_no_capabilities(void)
{
	char text[4096] = "";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	return got > 0 && strstr(text, "CapEff:\t0000000000000000") && strstr(text, "CapPrm:\t0000000000000000") &&
	       strstr(text, "CapInh:\t0000000000000000");
}

static int become_and_look_around(void)
{
	struct lp_user user = {.text = "4243:4244", .uid = 4243, .gid = 4244};
	struct lp_error error;
	uid_t uids[3];
	gid_t gids[3];
	if (lp_user_become(&user, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	getresuid(&uids[0], &uids[1], &uids[2]);
	getresgid(&gids[0], &gids[1], &gids[2]);
	for (int i = 0; i < 3; i++)
		if (uids[i] != 4243 || gids[i] != 4244)
			return 2;
	if (getgroups(0, NULL) != 0)
		return 3;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	if (!has_no_capabilities())
		return 5;
	if (setuid(0) == 0 || setgid(0) == 0)
		return 6;
	return prctl(PR_GET_DUMPABLE) == 1 ? 7 : 0;
}

static int become_twice(void)
{
	struct lp_user first = {.text = "4243:4244", .uid = 4243, .gid = 4244};
	struct lp_user second = {.text = "5:5", .uid = 5, .gid = 5};
	struct lp_error error = {0};
	if (lp_user_become(&first, &error))
		return 1;
	if (lp_user_become(&second, &error) != -1 /* EPERM */)
		return 2;
	return strstr(error.text, "cannot become user 5:5") && strstr(error.text, "start limpet as root") ? 0 : 3;
}

static void becoming_a_user_leaves_nothing_and_no_way_back(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* Only root can. */
	assert_int_equal(in_a_child(become_and_look_around), 0);
}

static void who_is_not_root_is_told_so(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* It takes root to become somebody who is certainly not. */
	assert_int_equal(in_a_child(become_twice), 0);
}

static void a_socket_is_given_away_and_nothing_else(void **state)
{
	struct lp_user user = {.text = "4243:4244", .uid = 4243, .gid = 4244};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char folder[] = "/tmp/limpet-privileges-XXXXXX";
	char file[64];
	struct lp_error error;
	struct stat what;
	(void)state;
	if (geteuid() != 0)
		skip(); /* Only root can give away. */
	assert_non_null(mkdtemp(folder));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
	snprintf(file, sizeof(file), "%s/file", folder);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(lp_user_own_socket(&user, address.sun_path, &error), 0);
	assert_int_equal(stat(address.sun_path, &what), 0);
	assert_int_equal(what.st_uid, 4243);
	assert_int_equal(what.st_gid, 4244);

	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(lp_user_own_socket(&user, file, &error) < 0);
	assert_non_null(strstr(error.text, file));
	unlink(file);
	assert_int_equal(symlink(address.sun_path, file), 0);
	assert_true(lp_user_own_socket(&user, file, &error) < 0);
	unlink(file);
	assert_true(lp_user_own_socket(&user, file, &error) < 0);
	unlink(address.sun_path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_a_number_and_a_group_are_found),
		cmocka_unit_test(what_is_wrong_is_said_with_a_way_out),
		cmocka_unit_test(becoming_a_user_leaves_nothing_and_no_way_back),
		cmocka_unit_test(who_is_not_root_is_told_so),
		cmocka_unit_test(a_socket_is_given_away_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
