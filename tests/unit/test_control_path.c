#include "base/control_path.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/control_client.h"
#include "base/unix_path.h"

#define SOCKETS 4

/* A run-time folder of its own, as systemd would name it. */
struct fixture {
	char folder[64];
	int fds[SOCKETS];
	unsigned count;
	struct lp_error error;
	char path[LP_CONTROL_PATH_SIZE];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->folder, "/tmp/limpet-control-path-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	setenv("RUNTIME_DIRECTORY", fixture->folder, 1);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	while (fixture->count)
		close(fixture->fds[--fixture->count]);
	snprintf(command, sizeof(command), "rm -r %s", fixture->folder);
	int status = system(command);
	free(fixture);
	return status;
}

/* A balancer that answers nothing, but listens. */
static int listen_as(struct fixture *fixture, const char *name)
{
	struct lp_unix_path made;
	char path[LP_CONTROL_PATH_SIZE];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(lp_control_path(path, fixture->folder, name), 0);
	assert_int_equal(lp_unix_path_bind(fd, path, 0600, &made, NULL), 0);
	assert_int_equal(listen(fd, 8), 0);
	fixture->fds[fixture->count++] = fd;
	return fd;
}

static int find(struct fixture *fixture, const char *name)
{
	return lp_control_find(name, fixture->path, &fixture->error);
}

static void assert_says(const struct fixture *fixture, const char *words)
{
	if (!strstr(fixture->error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", fixture->error.text, words);
}

static void none_is_running(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(find(fixture, NULL), -ENOENT);
	assert_says(fixture, "no balancer runs here");
}

static void the_only_one_needs_no_name(void **state)
{
	struct fixture *fixture = *state;
	char path[LP_CONTROL_PATH_SIZE];
	listen_as(fixture, "3000");
	assert_int_equal(find(fixture, NULL), 0);
	assert_int_equal(lp_control_path(path, fixture->folder, "3000"), 0);
	assert_string_equal(fixture->path, path);
	assert_int_equal(find(fixture, "3000"), 0);
	assert_int_equal(find(fixture, "4000"), -ENOENT);
	assert_says(fixture, "no balancer is called 4000; running: 3000");
}

static void of_several_one_is_chosen_by_its_name(void **state)
{
	struct fixture *fixture = *state;
	listen_as(fixture, "web");
	listen_as(fixture, "api");
	listen_as(fixture, "chat");
	assert_int_equal(find(fixture, NULL), -ENOTUNIQ);
	assert_says(fixture, "3 balancers run: api, chat and web; choose one with --name NAME");
	assert_int_equal(find(fixture, "web"), 0);
	assert_non_null(strstr(fixture->path, "/web.control"));
}

static void the_socket_of_a_dead_one_is_passed_over(void **state)
{
	struct fixture *fixture = *state;
	listen_as(fixture, "web");
	listen_as(fixture, "dead");
	close(fixture->fds[--fixture->count]);
	assert_int_equal(find(fixture, NULL), 0);
	assert_non_null(strstr(fixture->path, "/web.control"));
	assert_int_equal(find(fixture, "dead"), -ENOENT);
}

static void what_is_no_socket_is_passed_over(void **state)
{
	struct fixture *fixture = *state;
	char path[LP_CONTROL_PATH_SIZE];
	char link[LP_CONTROL_PATH_SIZE];
	listen_as(fixture, "web");
	assert_int_equal(lp_control_path(path, fixture->folder, "file"), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(lp_control_path(path, fixture->folder, "web"), 0);
	assert_int_equal(lp_control_path(link, fixture->folder, "link"), 0);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(find(fixture, NULL), 0);
	assert_string_equal(fixture->path, path);
}

static void a_folder_that_others_can_write_to_is_not_trusted(void **state)
{
	struct fixture *fixture = *state;
	listen_as(fixture, "web");
	assert_int_equal(chmod(fixture->folder, 0777), 0);
	assert_int_equal(find(fixture, NULL), -EPERM);
	assert_says(fixture, fixture->folder);
	assert_int_equal(chmod(fixture->folder, 0700), 0);
}

static void a_name_is_made_of_the_first_listener(void **state)
{
	static const struct {
		const char *listen;
		const char *name;
		const char *whole;
	} cases[] = {
		{":3000", "3000", "3000"},      {"127.0.0.2:3000", "3000", "127.0.0.2-3000"},
		{"[::1]:80", "80", "1--80"},    {"unix:/run/app/chat.sock", "chat", "run-app-chat"},
		{"unix:./s", "s", "s"},         {"unix:chat", "chat", "chat"},
		{"unix:/", "limpet", "limpet"}, {"unix:/run/\xc3\xa4 b", "b", "run----b"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lp_listen_address address;
		char name[LP_CONTROL_NAME_MAX + 1];
		assert_int_equal(lp_listen_address_parse(cases[i].listen, &address, NULL), 0);
		lp_control_name_listener(&address, false, name);
		assert_string_equal(name, cases[i].name);
		assert_true(lp_control_is_name(name));
		lp_control_name_listener(&address, true, name);
		assert_string_equal(name, cases[i].whole);
		assert_true(lp_control_is_name(name));
	}
}

static void a_long_path_makes_a_name_that_fits(void **state)
{
	struct lp_listen_address address;
	char text[LP_LISTEN_TEXT_SIZE] = "unix:/";
	char name[LP_CONTROL_NAME_MAX + 1];
	(void)state;
	memset(text + 6, 'a', 100);
	assert_int_equal(lp_listen_address_parse(text, &address, NULL), 0);
	lp_control_name_listener(&address, true, name);
	assert_int_equal(strlen(name), LP_CONTROL_NAME_MAX);
	assert_true(lp_control_is_name(name));
}

static void names_are_plain(void **state)
{
	(void)state;
	assert_true(lp_control_is_name("web-1.example_com"));
	assert_false(lp_control_is_name(""));
	assert_false(lp_control_is_name("."));
	assert_false(lp_control_is_name(".."));
	assert_false(lp_control_is_name("-x"));
	assert_false(lp_control_is_name("a/b"));
	assert_false(lp_control_is_name("a b"));
}

static void a_balancer_that_says_nothing_is_not_waited_for_for_ever(void **state)
{
	struct fixture *fixture = *state;
	char *answer;
	listen_as(fixture, "web");
	assert_int_equal(find(fixture, NULL), 0);
	assert_int_equal(lp_control_ask(fixture->path, "status", 20, &answer, NULL, &fixture->error), -ETIMEDOUT);
	assert_null(answer);
	assert_says(fixture, "web.control");
}

static void a_balancer_that_closes_at_once_gives_no_answer(void **state)
{
	struct fixture *fixture = *state;
	char *answer;
	int fd = listen_as(fixture, "web");
	assert_int_equal(find(fixture, NULL), 0);
	shutdown(fd, SHUT_RDWR);
	assert_true(lp_control_ask(fixture->path, "status", 1000, &answer, NULL, &fixture->error) < 0);
	assert_null(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(none_is_running, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_only_one_needs_no_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_several_one_is_chosen_by_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_socket_of_a_dead_one_is_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_socket_is_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folder_that_others_can_write_to_is_not_trusted, set_up, tear_down),
		cmocka_unit_test(a_name_is_made_of_the_first_listener),
		cmocka_unit_test(a_long_path_makes_a_name_that_fits),
		cmocka_unit_test(names_are_plain),
		cmocka_unit_test_setup_teardown(a_balancer_that_says_nothing_is_not_waited_for_for_ever, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_balancer_that_closes_at_once_gives_no_answer, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
