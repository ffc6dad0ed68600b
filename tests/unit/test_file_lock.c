/* Locks that are held for life: one holder, whoever dies, whatever happens to the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file_lock.h"

struct fixture {
	char folder[64];
	char path[96];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->folder, "/tmp/limpet-lock-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/lock", fixture->folder);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	unlink(fixture->path);
	int status = rmdir(fixture->folder);
	free(fixture);
	return status;
}

/* A process that has the lock: it runs until it is killed. */
static pid_t start_holder(const char *path)
{
	int ready[2];
	char byte = 0;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct lp_file_lock lock;
		byte = (char)(lp_file_lock_take(&lock, path, NULL) == 0);
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(byte, 1);
	return child;
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void it_is_taken_and_let_go_without_a_trace(void **state)
{
	struct fixture *fixture = *state;
	struct lp_file_lock lock;
	struct stat what;
	assert_int_equal(lp_file_lock_take(&lock, fixture->path, NULL), 0);
	assert_int_equal(stat(fixture->path, &what), 0);
	assert_int_equal(what.st_mode & 0777, 0600);
	lp_file_lock_release(&lock);
	assert_int_equal(stat(fixture->path, &what), -1);
	lp_file_lock_release(&lock);
}

static void another_process_has_it_and_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct lp_file_lock lock;
	pid_t holder;
	pid_t child = start_holder(fixture->path);
	assert_int_equal(lp_file_lock_take(&lock, fixture->path, &holder), -EBUSY);
	assert_int_equal(holder, child);
	end(child);
}

static void one_whose_holder_was_killed_is_free(void **state)
{
	struct fixture *fixture = *state;
	struct lp_file_lock lock;
	pid_t holder;
	end(start_holder(fixture->path));
	assert_int_equal(access(fixture->path, F_OK), 0);
	assert_int_equal(lp_file_lock_take(&lock, fixture->path, &holder), 0);
	assert_int_equal(holder, 0);
	lp_file_lock_release(&lock);
}

static void twice_in_one_process_is_once(void **state)
{
	struct fixture *fixture = *state;
	struct lp_file_lock lock;
	struct lp_file_lock other;
	pid_t holder;
	assert_int_equal(lp_file_lock_take(&lock, fixture->path, NULL), 0);
	assert_int_equal(lp_file_lock_take(&other, fixture->path, &holder), -EBUSY);
	assert_int_equal(holder, getpid());
	lp_file_lock_release(&lock);
	assert_int_equal(lp_file_lock_take(&other, fixture->path, &holder), 0);
	lp_file_lock_release(&other);
}

static void what_is_no_file_of_ours_is_not_opened(void **state)
{
	struct fixture *fixture = *state;
	struct lp_file_lock lock;
	assert_int_equal(symlink("/tmp/limpet-no-such-file", fixture->path), 0);
	assert_int_equal(lp_file_lock_take(&lock, fixture->path, NULL), -ELOOP);
	assert_int_equal(access("/tmp/limpet-no-such-file", F_OK), -1);
	unlink(fixture->path);
	assert_int_equal(lp_file_lock_take(&lock, "/tmp/limpet-no-such-folder/lock", NULL), -ENOENT);
}

/* Takers and releasers race; a lock that is held by two would be seen by the file between them. */
static void many_that_take_it_in_turn_never_have_it_at_once(void **state)
{
	enum { PROCESSES = 4, TURNS = 300 };
	struct fixture *fixture = *state;
	char held[128];
	pid_t children[PROCESSES];
	int status;
	snprintf(held, sizeof(held), "%s/held", fixture->folder);
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (children[i])
			continue;
		for (int turn = 0; turn < TURNS;) {
			struct lp_file_lock lock;
			if (lp_file_lock_take(&lock, fixture->path, NULL))
				continue;
			if (mkdir(held, 0700) || rmdir(held))
				_exit(1);
			lp_file_lock_release(&lock);
			turn++;
		}
		_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_taken_and_let_go_without_a_trace, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_process_has_it_and_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_whose_holder_was_killed_is_free, set_up, tear_down),
		cmocka_unit_test_setup_teardown(twice_in_one_process_is_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_file_of_ours_is_not_opened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_that_take_it_in_turn_never_have_it_at_once, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
