/*
 * What a Node process does before its main: it asks limpet who it is, at a door that this test keeps. This program is taken
 * for Node by a function of Node's that it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/node.h"

/* node::Start */
int start(void) __asm__("_ZN4node5StartEiPPc") __attribute__((visibility("default"), used));

int start(void)
{
	return 0;
}

static char folder[] = "/tmp/limpet-node-XXXXXX";
static char path[64];

/* limpet, for one process that comes. */
struct door {
	int fd;
	const char *answer;
	pthread_t thread;
};

static void *serve(void *argument)
{
	struct door *door = argument;
	int fd = accept(door->fd, NULL, NULL);
	if (fd >= 0 && write(fd, door->answer, strlen(door->answer)) < 0)
		abort();
	close(fd);
	return NULL;
}

static void open_door(struct door *door, const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	*door = (struct door){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .answer = answer};
	strcpy(address.sun_path, path);
	assert_int_equal(bind(door->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(door->fd, 1), 0);
	assert_int_equal(pthread_create(&door->thread, NULL, serve, door), 0);
}

static void close_door(struct door *door)
{
	assert_int_equal(pthread_join(door->thread, NULL), 0);
	close(door->fd);
	assert_int_equal(unlink(path), 0);
}

static int forget(void **state)
{
	(void)state;
	unsetenv("NODE_CHANNEL_FD");
	unsetenv("NODE_CHANNEL_SERIALIZATION_MODE");
	unsetenv("NODE_UNIQUE_ID");
	unsetenv("NODE_OPTIONS");
	return 0;
}

static void begin_with(const char *answer)
{
	struct door door;
	open_door(&door, answer);
	lp_node_begin(path);
	close_door(&door);
}

static void it_is_who_limpet_says_and_what_follows_is_nodes(void **state)
{
	char rest[16] = "";
	(void)state;
	begin_with("7 advanced\n{\"for\":\"node\"}");
	assert_string_equal(getenv("NODE_UNIQUE_ID"), "7");
	assert_string_equal(getenv("NODE_CHANNEL_SERIALIZATION_MODE"), "advanced");
	int fd = atoi(getenv("NODE_CHANNEL_FD"));
	assert_true(fd > STDERR_FILENO);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(read(fd, rest, sizeof(rest) - 1), 14);
	assert_string_equal(rest, "{\"for\":\"node\"}");
	close(fd);
	assert_false(lp_node_has_parents_channel());
}

static void the_number_is_none_of_the_standard_ones(void **state)
{
	(void)state;
	int input = dup(STDIN_FILENO);
	close(STDIN_FILENO); /* The program may mean to open it. */
	begin_with("1 json\n");
	int fd = atoi(getenv("NODE_CHANNEL_FD"));
	assert_true(fd > STDERR_FILENO);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
	assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
	close(input);
	close(fd);
}

static void without_a_whole_answer_it_is_nobody(void **state)
{
	static const char *const answers[] = {
		"",
		"7 json",
		"\n",
		"json 7\n",
		"7\n",
		"nobody\n",
		"77777777777777777777777777777777777777777777777777777777777777777777 json\n"};
	(void)state;
	int next = dup(STDIN_FILENO);
	close(next);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		setenv("NODE_UNIQUE_ID", "3", 1); /* Of a process above. */
		begin_with(answers[i]);
		assert_null(getenv("NODE_UNIQUE_ID"));
		assert_null(getenv("NODE_CHANNEL_FD"));
		int fd = dup(STDIN_FILENO);
		assert_int_equal(fd, next); /* Nothing is left open. */
		close(fd);
	}
}

static void without_limpet_it_is_nobody(void **state)
{
	char longer[200];
	(void)state;
	memset(longer, 'l', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	lp_node_begin(NULL);
	lp_node_begin(path); /* There is no door. */
	lp_node_begin(longer);
	assert_null(getenv("NODE_CHANNEL_FD"));
	assert_null(getenv("NODE_UNIQUE_ID"));
}

static void the_script_goes_before_what_the_user_wants(void **state)
{
	char script[256];
	char wanted[600];
	char own[256];
	(void)state;
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	assert_true(length > 0);
	own[length] = '\0';
	*strrchr(own, '/') = '\0';
	snprintf(script, sizeof(script), "%.200s/limpet-node.cjs", own);
	bool is_there = access(script, R_OK) == 0; /* Beside the library, which is this program. */
	if (!is_there)
		fclose(fopen(script, "we"));
	begin_with("1 json\n");
	close(atoi(getenv("NODE_CHANNEL_FD")));
	snprintf(wanted, sizeof(wanted), "--require=\"%s\"", script);
	assert_string_equal(getenv("NODE_OPTIONS"), wanted);
	unsetenv("NODE_CHANNEL_FD");
	setenv("NODE_OPTIONS", "--inspect", 1);
	begin_with("1 json\n");
	close(atoi(getenv("NODE_CHANNEL_FD")));
	strcat(wanted, " --inspect");
	assert_string_equal(getenv("NODE_OPTIONS"), wanted);
	if (!is_there)
		assert_int_equal(unlink(script), 0);
}

static void a_channel_of_the_parents_stays(void **state)
{
	(void)state;
	setenv("NODE_CHANNEL_FD", "9", 1);
	setenv("NODE_UNIQUE_ID", "3", 1);
	lp_node_begin(path);
	assert_true(lp_node_has_parents_channel());
	assert_string_equal(getenv("NODE_CHANNEL_FD"), "9");
	assert_string_equal(getenv("NODE_UNIQUE_ID"), "3");
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/door", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, forget, forget)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_who_limpet_says_and_what_follows_is_nodes),
		TEST(the_number_is_none_of_the_standard_ones),
		TEST(without_a_whole_answer_it_is_nobody),
		TEST(without_limpet_it_is_nobody),
		TEST(the_script_goes_before_what_the_user_wants),
		TEST(a_channel_of_the_parents_stays),
	};
	char own[256] = "";
	(void)argc;
	/* The path that the dynamic linker knows a program by is the one it was started with: start once more with a whole one. */
	if (argv[0][0] != '/' && readlink("/proc/self/exe", own, sizeof(own) - 1) > 0) {
		argv[0] = own;
		execv(own, argv);
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
