/* What outlives a balancer: areas are found by name, descriptors by kind and number, and nothing else stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/lasting.h"

#define BYTES ((size_t)1 << 20)

/* Run a balancer to its end; the keeper then reads what it has said. */
static void run_balancer(struct lp_lasting *lasting, void (*balancer)(struct lp_lasting *lasting))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		balancer(lasting);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	while (lp_lasting_hear(lasting))
		;
}

static void expect(bool is_so)
{
	if (!is_so)
		abort();
}

static void write_area(struct lp_lasting *lasting)
{
	char *text = lp_lasting_area(lasting, "text", 100);
	expect(text && !text[0] && (uintptr_t)text % 64 == 0);
	strcpy(text, "left behind");
}

static void read_area(struct lp_lasting *lasting)
{
	expect(strcmp(lp_lasting_area(lasting, "text", 100), "left behind") == 0);
	expect(!((char *)lp_lasting_area(lasting, "text", 200))[0]); /* Another size is another area. */
	expect(!((char *)lp_lasting_area(lasting, "words", 100))[0]);
}

static void an_area_is_found_again_by_its_name_and_size(void **state)
{
	struct lp_lasting lasting;
	(void)state;
	assert_int_equal(lp_lasting_open(&lasting, BYTES), 0);
	run_balancer(&lasting, write_area);
	run_balancer(&lasting, read_area);
	lp_lasting_close(&lasting);
}

static void an_area_that_is_emptied_is_new_again(void **state)
{
	struct lp_lasting lasting;
	(void)state;
	assert_int_equal(lp_lasting_open(&lasting, BYTES), 0);
	run_balancer(&lasting, write_area);
	lp_lasting_empty(&lasting);
	assert_true(lasting.head->begins_empty);
	run_balancer(&lasting, write_area);
	lp_lasting_close(&lasting);
}

static void an_area_too_large_is_not_there(void **state)
{
	struct lp_lasting lasting;
	(void)state;
	assert_int_equal(lp_lasting_open(&lasting, BYTES), 0);
	assert_null(lp_lasting_area(&lasting, "large", BYTES));
	assert_null(lp_lasting_area(&lasting, "huge", SIZE_MAX));
	assert_non_null(lp_lasting_area(&lasting, "small", 1));
	lp_lasting_close(&lasting);
}

/* The pipe's own ends, by which two copies of a descriptor are known to be one file. */
static ino_t inode_of(int fd)
{
	struct stat stat;
	return fd >= 0 && fstat(fd, &stat) == 0 ? stat.st_ino : 0;
}

static ino_t *held_inode(struct lp_lasting *lasting)
{
	return lp_lasting_area(lasting, "inode", sizeof(ino_t));
}

static void hold_pipe(struct lp_lasting *lasting)
{
	int ends[2];
	expect(pipe(ends) == 0);
	*held_inode(lasting) = inode_of(ends[0]);
	expect(lp_lasting_hold(lasting, LP_LASTING_CHANNEL, 7, ends[0]) == 0);
}

static void take_pipe(struct lp_lasting *lasting)
{
	expect(lp_lasting_take(lasting, LP_LASTING_CHANNEL, 8) == -1);
	expect(lp_lasting_take(lasting, LP_LASTING_LISTENER, 7) == -1);
	expect(inode_of(lp_lasting_take(lasting, LP_LASTING_CHANNEL, 7)) == *held_inode(lasting));
	expect(lp_lasting_take(lasting, LP_LASTING_CHANNEL, 7) == -1); /* Once. */
	lp_lasting_drop_untaken(lasting);
}

static void a_descriptor_is_found_by_what_it_is_by_every_later_balancer(void **state)
{
	struct lp_lasting lasting;
	(void)state;
	assert_int_equal(lp_lasting_open(&lasting, BYTES), 0);
	run_balancer(&lasting, hold_pipe);
	assert_int_equal(lasting.held_count, 1);
	run_balancer(&lasting, take_pipe);
	run_balancer(&lasting, take_pipe);
	lp_lasting_close(&lasting);
}

static void one_that_is_held_in_its_place_replaces_it(void **state)
{
	struct lp_lasting lasting;
	(void)state;
	assert_int_equal(lp_lasting_open(&lasting, BYTES), 0);
	run_balancer(&lasting, hold_pipe);
	run_balancer(&lasting, hold_pipe);
	assert_int_equal(lasting.held_count, 1);
	run_balancer(&lasting, take_pipe);
	lp_lasting_close(&lasting);
}

static void drop_pipe(struct lp_lasting *lasting)
{
	lp_lasting_drop(lasting, LP_LASTING_CHANNEL, 9); /* Nobody's. */
	lp_lasting_drop(lasting, LP_LASTING_CHANNEL, 7);
}

static void one_that_is_dropped_is_closed(void **state)
{
	struct lp_lasting lasting;
	(void)state;
	assert_int_equal(lp_lasting_open(&lasting, BYTES), 0);
	run_balancer(&lasting, hold_pipe);
	int fd = lasting.held[0].fd;
	run_balancer(&lasting, drop_pipe);
	assert_int_equal(lasting.held_count, 0);
	assert_int_equal(inode_of(fd), 0);
	lp_lasting_close(&lasting);
}

static void what_nobody_takes_is_closed_everywhere(void **state)
{
	struct lp_lasting lasting;
	(void)state;
	assert_int_equal(lp_lasting_open(&lasting, BYTES), 0);
	run_balancer(&lasting, hold_pipe);
	run_balancer(&lasting, lp_lasting_drop_untaken);
	assert_int_equal(lasting.held_count, 0);
	lp_lasting_close(&lasting);
}

static void without_a_keeper_nothing_is_held_or_found(void **state)
{
	(void)state;
	assert_null(lp_lasting_area(NULL, "text", 100));
	assert_int_equal(lp_lasting_hold(NULL, LP_LASTING_CHANNEL, 1, STDIN_FILENO), 0);
	assert_int_equal(lp_lasting_take(NULL, LP_LASTING_CHANNEL, 1), -1);
	lp_lasting_drop(NULL, LP_LASTING_CHANNEL, 1);
	lp_lasting_drop_untaken(NULL);
	lp_lasting_serve(NULL);
	assert_false(lp_lasting_is_successor(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_area_is_found_again_by_its_name_and_size),
		cmocka_unit_test(an_area_that_is_emptied_is_new_again),
		cmocka_unit_test(an_area_too_large_is_not_there),
		cmocka_unit_test(a_descriptor_is_found_by_what_it_is_by_every_later_balancer),
		cmocka_unit_test(one_that_is_held_in_its_place_replaces_it),
		cmocka_unit_test(one_that_is_dropped_is_closed),
		cmocka_unit_test(what_nobody_takes_is_closed_everywhere),
		cmocka_unit_test(without_a_keeper_nothing_is_held_or_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
