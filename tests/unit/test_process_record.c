/* What is written down of processes is read back by the same user, on the same boot, and only as it was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/process_record.h"

struct fixture {
	char folder[64];
	char path[96];
	struct lp_known_processes written;
	struct lp_known_processes read;
};

/* All processes live, and started when their number says; but for those from 9000 on. */
static int read_facts(pid_t pid, struct lp_process_facts *facts)
{
	if (pid >= 9000)
		return -ESRCH;
	*facts = (struct lp_process_facts){.pid = pid, .started = (uint64_t)pid * 10, .state = pid == 8000 ? 'Z' : 'S'};
	return 0;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	strcpy(fixture->folder, "/tmp/limpet-record-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/record", fixture->folder);
	fixture->written.read = read_facts;
	fixture->read.read = read_facts;
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

static void know(struct lp_known_processes *known, pid_t pid, uint64_t started, unsigned slot, bool is_program)
{
	struct lp_known_process process = {.pid = pid, .slot = slot, .started = started, .is_program = is_program};
	assert_int_equal(lp_known_processes_add(known, &process), 0);
}

static void write_one(struct fixture *fixture)
{
	know(&fixture->written, 4711, 47110, 2, true);
	assert_int_equal(lp_process_record_write(fixture->path, &fixture->written), 0);
}

static void it_comes_back_as_it_was(void **state)
{
	struct fixture *fixture = *state;
	struct stat what;
	know(&fixture->written, 4712, 47120, 0, false);
	write_one(fixture);
	assert_int_equal(stat(fixture->path, &what), 0);
	assert_int_equal(what.st_mode & 0777, 0600);
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), 0);
	assert_int_equal(fixture->read.count, 2);
	assert_int_equal(fixture->read.all[0].pid, 4712);
	assert_false(fixture->read.all[0].is_program);
	assert_int_equal(fixture->read.all[1].pid, 4711);
	assert_int_equal(fixture->read.all[1].started, 47110);
	assert_int_equal(fixture->read.all[1].slot, 2);
	assert_true(fixture->read.all[1].is_program);
}

static void the_full_one_comes_back(void **state)
{
	struct fixture *fixture = *state;
	for (pid_t pid = 1; pid <= LP_KNOWN_PROCESSES_MAX; pid++)
		know(&fixture->written, pid, (uint64_t)pid * 10, LP_KNOWN_PROCESSES_MAX % 256, true);
	assert_int_equal(lp_process_record_write(fixture->path, &fixture->written), 0);
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), 0);
	assert_int_equal(fixture->read.count, LP_KNOWN_PROCESSES_MAX);
}

static void those_that_have_ended_or_are_others_now_are_left_out(void **state)
{
	struct fixture *fixture = *state;
	know(&fixture->written, 9001, 90010, 1, true); /* Ended. */
	know(&fixture->written, 4713, 1, 1, true);     /* Its number is another's. */
	know(&fixture->written, 8000, 80000, 1, true); /* A zombie. */
	write_one(fixture);
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), 0);
	assert_int_equal(fixture->read.count, 1);
	assert_int_equal(fixture->read.all[0].pid, 4711);
}

static void there_may_be_none(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -ENOENT);
}

/* Change the text of a record, in which there is `what`. */
static void change(const char *path, const char *what, const char *into)
{
	char text[1024] = "";
	FILE *file = fopen(path, "re");
	size_t length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	char *at = strstr(text, what);
	assert_non_null(at);
	assert_true(length < sizeof(text));
	file = fopen(path, "we");
	fprintf(file, "%.*s%s%s", (int)(at - text), text, into, at + strlen(what));
	fclose(file);
}

static void one_of_another_boot_or_namespace_says_nothing(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 2; i++) {
		write_one(fixture);
		change(fixture->path, i ? "boot " : "namespace ", i ? "boot f" : "namespace 1");
		assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), 0);
		assert_int_equal(fixture->read.count, 0);
	}
}

static void what_reads_otherwise_is_worthless(void **state)
{
	static const char *const lines[] = {"program 2 4711",         "program 2 4711 47110 1", "program -1 4711 47110",
					    "program 257 4711 47110", "program 2 0 47110",      "program 2 -4711 47110",
					    "stranger 2 4711 47110",  "program 2 4711 47110\nx"};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		write_one(fixture);
		change(fixture->path, "program 2 4711 47110", lines[i]);
		assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPROTO);
		assert_int_equal(fixture->read.count, 0);
	}
	write_one(fixture);
	change(fixture->path, "limpet processes 1", "limpet processes 2");
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPROTO);
	write_one(fixture);
	change(fixture->path, "47110\n", "47110");
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPROTO);
}

static void one_that_others_can_write_or_that_is_a_link_is_not_believed(void **state)
{
	struct fixture *fixture = *state;
	char other[128];
	write_one(fixture);
	chmod(fixture->path, 0620);
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPERM);
	chmod(fixture->path, 0602);
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPERM);
	chmod(fixture->path, 0600);
	snprintf(other, sizeof(other), "%s/other", fixture->folder);
	assert_int_equal(rename(fixture->path, other), 0);
	assert_int_equal(symlink(other, fixture->path), 0);
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPERM);
	assert_int_equal(unlink(fixture->path), 0);
	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPERM);
	unlink(other);
	if (geteuid() == 0) {
		unlink(fixture->path);
		write_one(fixture);
		assert_int_equal(chown(fixture->path, 4243, 4243), 0);
		assert_int_equal(lp_process_record_read(fixture->path, &fixture->read), -EPERM);
	}
}

static void what_a_killed_writer_left_is_in_nobodys_way(void **state)
{
	struct fixture *fixture = *state;
	char half[128];
	snprintf(half, sizeof(half), "%s.new", fixture->path);
	assert_int_equal(symlink("/tmp/limpet-no-such-file", half), 0);
	write_one(fixture);
	assert_int_equal(access(half, F_OK), -1);
	assert_int_equal(access("/tmp/limpet-no-such-file", F_OK), -1);
}

static void a_folder_that_is_gone_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(lp_process_record_write("/tmp/limpet-no-such-folder/record", &fixture->written), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_comes_back_as_it_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_full_one_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(those_that_have_ended_or_are_others_now_are_left_out, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(there_may_be_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_of_another_boot_or_namespace_says_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_reads_otherwise_is_worthless, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_others_can_write_or_that_is_a_link_is_not_believed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_a_killed_writer_left_is_in_nobodys_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folder_that_is_gone_is_an_error, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
