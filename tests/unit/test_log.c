/*
 * The log: what a line looks like, and that nothing about its reader holds the writer up.
 *
 * Most tests log into a pipe of one page, which a single long line can fill.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define LINE_BYTES 4096

struct fixture {
	int read_fd;
	int write_fd;
	struct lp_log log;
	char text[64 * 1024]; /* What read_log read last, NUL-terminated. */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int fds[2];

	if (!fixture || pipe2(fds, O_CLOEXEC) != 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ||
	    fcntl(fds[1], F_SETPIPE_SZ, LINE_BYTES) < 0) {
		free(fixture);
		return -1;
	}
	fixture->read_fd = fds[0];
	fixture->write_fd = fds[1];
	lp_log_init(&fixture->log, fixture->write_fd, LP_LOG_INFO, LP_LOG_TEXT);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->read_fd >= 0)
		close(fixture->read_fd);
	close(fixture->write_fd);
	free(fixture);
	return 0;
}

/* Everything that was logged since the last time. */
static const char *read_log(struct fixture *fixture)
{
	size_t length = 0;
	ssize_t got;

	while ((got = read(fixture->read_fd, fixture->text + length, sizeof(fixture->text) - 1 - length)) > 0)
		length += (size_t)got;
	fixture->text[length] = '\0';
	return fixture->text;
}

/* Leave no room for even the shortest line. */
static void fill(int fd)
{
	char bytes[LINE_BYTES] = {0};
	int flags = fcntl(fd, F_GETFL);

	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	for (size_t size = sizeof(bytes); size > 0; size /= 2)
		while (write(fd, bytes, size) > 0)
			;
	assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
}

static void a_line_is_a_sentence_behind_our_name(void **state)
{
	struct fixture *fixture = *state;

	lp_log_write(&fixture->log, LP_LOG_INFO, LP_LOG_ABOUT(.worker = 3u), "worker %u is ready (pid %d)", 3u, 4711);
	lp_log_write(&fixture->log, LP_LOG_ERROR, LP_LOG_ABOUT(.worker = 3u), "worker %u ended", 3u);
	assert_string_equal(read_log(fixture), "limpet: worker 3 is ready (pid 4711)\nlimpet: worker 3 ended\n");
}

static void less_important_lines_are_not_written(void **state)
{
	struct fixture *fixture = *state;

	lp_log_write(&fixture->log, LP_LOG_DEBUG, NULL, "detail");
	lp_log_limited(&fixture->log, LP_LOG_DEBUG, LP_LOG_TOPIC_WAITING, NULL, "detail");
	assert_string_equal(read_log(fixture), "");
	assert_int_equal(fixture->log.budgets[LP_LOG_TOPIC_WAITING].written, 0);
}

static void an_event_is_one_line_whatever_it_quotes(void **state)
{
	struct fixture *fixture = *state;

	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "%s",
		     "a\nlimpet: b\r\t\x1b[2J\x7f \xc2\x9b \x9b gr\xc3\xbc\xc3\x9f \\n");
	assert_string_equal(read_log(fixture),
			    "limpet: a\\x0alimpet: b\\x0d\\x09\\x1b[2J\\x7f \\x9b \\x9b gr\xc3\xbc\xc3\x9f \\n\n");
}

static void a_json_line_is_an_object_that_says_the_same(void **state)
{
	struct fixture *fixture = *state;
	char every_byte[256];
	json_t *line;

	for (int i = 1; i < 256; i++)
		every_byte[i - 1] = (char)i;
	every_byte[255] = '\0';
	fixture->log.format = LP_LOG_JSON;
	lp_log_write(&fixture->log, LP_LOG_WARNING, NULL, "\xc3\xbc \xe2\x82\xac \xf0\x9f\x90\x9a \"%s", every_byte);

	line = json_loads(read_log(fixture), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	assert_int_equal(json_object_size(line), 3);
	assert_string_equal(json_string_value(json_object_get(line, "level")), "warning");
	assert_memory_equal(json_string_value(json_object_get(line, "message")),
			    "\xc3\xbc \xe2\x82\xac \xf0\x9f\x90\x9a \"\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r", 26);
	assert_non_null(
		strstr(json_string_value(json_object_get(line, "message")), "\x7e\x7f\xef\xbf\xbd\xef\xbf\xbd"));
	json_decref(line);
}

static const char *text_of(json_t *line, const char *field)
{
	return json_string_value(json_object_get(line, field));
}

static void a_json_line_has_the_fields_that_apply(void **state)
{
	struct fixture *fixture = *state;
	json_t *line;

	fixture->log.format = LP_LOG_JSON;
	lp_log_write(&fixture->log, LP_LOG_INFO,
		     LP_LOG_ABOUT(.worker = 3, .pid = 4711, .policy = "a \"b\".lua", .client = "192.0.2.1",
				  .listener = "unix:/run/x\n"),
		     "worker 3 (pid 4711) is ready");
	line = json_loads(read_log(fixture), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	assert_int_equal(json_object_size(line), 8);
	assert_int_equal(json_integer_value(json_object_get(line, "worker")), 3);
	assert_int_equal(json_integer_value(json_object_get(line, "pid")), 4711);
	assert_string_equal(text_of(line, "policy"), "a \"b\".lua");
	assert_string_equal(text_of(line, "client"), "192.0.2.1");
	assert_string_equal(text_of(line, "listener"), "unix:/run/x\n");
	assert_string_equal(text_of(line, "message"), "worker 3 (pid 4711) is ready");
	json_decref(line);

	lp_log_limited(&fixture->log, LP_LOG_INFO, LP_LOG_TOPIC_WAITING, LP_LOG_ABOUT(.client = "", .listener = ":1"),
		       "refused");
	line = json_loads(read_log(fixture), JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_object_size(line), 4);
	assert_string_equal(text_of(line, "listener"), ":1");
	json_decref(line);
}

static void long_fields_are_cut_and_leave_room_for_the_message(void **state)
{
	struct fixture *fixture = *state;
	char message[2 * LINE_BYTES];
	json_t *line;

	memset(message, '\n', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	fixture->log.format = LP_LOG_JSON;
	lp_log_write(&fixture->log, LP_LOG_WARNING,
		     LP_LOG_ABOUT(.worker = UINT32_MAX, .pid = INT32_MAX, .policy = message, .client = message,
				  .listener = message),
		     "%s", message);
	line = json_loads(read_log(fixture), 0, NULL);
	assert_non_null(line);
	assert_in_range(strlen(text_of(line, "policy")), LP_LOG_FIELD_MAX / 2, LP_LOG_FIELD_MAX);
	assert_in_range(strlen(text_of(line, "message")), 1024, LINE_BYTES);
	json_decref(line);
}

static void a_timed_line_begins_with_the_time_and_the_level(void **state)
{
	struct fixture *fixture = *state;
	int year, month, day, hour, minute, second, ms, end = 0;

	fixture->log.format = LP_LOG_TIMED;
	lp_log_write(&fixture->log, LP_LOG_WARNING, LP_LOG_ABOUT(.worker = 3), "worker 3 ended");
	sscanf(read_log(fixture), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ warning limpet: worker 3 ended\n%n", &year, &month,
	       &day, &hour, &minute, &second, &ms, &end);
	assert_int_equal(end, strlen(fixture->text));
}

static void in_the_journal_a_line_begins_with_its_priority(void **state)
{
	struct fixture *fixture = *state;

	fixture->log.format = LP_LOG_JOURNAL;
	fixture->log.level = LP_LOG_DEBUG;
	for (int level = LP_LOG_ERROR; level <= LP_LOG_DEBUG; level++)
		lp_log_write(&fixture->log, (enum lp_log_level)level, NULL, "event");
	assert_string_equal(read_log(fixture),
			    "<3>limpet: event\n<4>limpet: event\n<6>limpet: event\n<7>limpet: event\n");
}

static void a_json_line_has_the_time_in_milliseconds(void **state)
{
	struct fixture *fixture = *state;
	int year, month, day, hour, minute, second, ms, end = 0;

	fixture->log.format = LP_LOG_JSON;
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "hello");
	sscanf(read_log(fixture),
	       "{\"time\":\"%4d-%2d-%2dT%2d:%2d:%2d.%3dZ\",\"level\":\"info\",\"message\":\"hello\"}\n%n", &year,
	       &month, &day, &hour, &minute, &second, &ms, &end);
	assert_int_equal(end, strlen(fixture->text));
}

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
	static const char *const invalid[] = {
		"\x80",             /* A continuation first. */
		"\xc3",             /* Cut short. */
		"\xc3(",            /* Not continued. */
		"\xc0\x80",         /* NUL in two bytes. */
		"\xe0\x9f\xbf",     /* Too long for what it says. */
		"\xed\xa0\x80",     /* A surrogate. */
		"\xf4\x90\x80\x80", /* Past U+10FFFF. */
		"\xf0\x9f\x90",     /* Cut short. */
		"\xf5\x80\x80\x80", /* Begins no character. */
		"\xff",
	};
	struct fixture *fixture = *state;

	fixture->log.format = LP_LOG_JSON;
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		json_t *line;

		lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "%s", invalid[i]);
		line = json_loads(read_log(fixture), 0, NULL);
		assert_non_null(line);
		assert_memory_equal(json_string_value(json_object_get(line, "message")), "\xef\xbf\xbd", 3);
		json_decref(line);
	}
}

static void a_long_line_is_cut_and_says_so(void **state)
{
	struct fixture *fixture = *state;
	char message[2 * LINE_BYTES];

	memset(message, '\n', sizeof(message) - 1); /* Each becomes several bytes. */
	message[sizeof(message) - 1] = '\0';
	for (int format = LP_LOG_TEXT; format <= LP_LOG_JSON; format++) {
		const char *end = format == LP_LOG_JSON ? "…\"}\n" : "…\n";
		size_t length;

		fixture->log.format = (enum lp_log_format)format;
		lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "%s", message);
		length = strlen(read_log(fixture));
		assert_in_range(length, LINE_BYTES - 16, LINE_BYTES);
		assert_string_equal(fixture->text + length - strlen(end), end);
	}
}

static void a_line_of_4096_bytes_fits(void **state)
{
	struct fixture *fixture = *state;
	size_t room = LINE_BYTES - strlen("limpet: ") - strlen("…\"}\n");

	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "%*s", (int)room, "x");
	assert_null(strstr(read_log(fixture), "…"));
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "%*s", (int)room + 1, "x");
	assert_non_null(strstr(read_log(fixture), "…"));
}

static void a_full_pipe_costs_lines_and_no_time(void **state)
{
	struct fixture *fixture = *state;

	fill(fixture->write_fd);
	for (int i = 0; i < 3; i++)
		lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "event %d", i);
	assert_int_equal(fixture->log.lost, 3);

	read_log(fixture);
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "event 3");
	assert_string_equal(read_log(fixture),
			    "limpet: 3 lines of this log were lost: they could not be written\nlimpet: event 3\n");
	assert_int_equal(fixture->log.lost, 0);
}

static void the_descriptor_keeps_its_flags(void **state)
{
	struct fixture *fixture = *state;

	fill(fixture->write_fd);
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(fcntl(fixture->write_fd, F_GETFL) & O_NONBLOCK, 0);
}

/* As when accept4 reports EMFILE: there is none left to open the pipe once more with. */
static void without_a_free_descriptor_lines_are_written(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit limit, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 1; /* Not 0: poll(2) would take no descriptor at all. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "event");
	fill(fixture->write_fd);
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(fixture->log.lost, 1);
	assert_memory_equal(read_log(fixture), "limpet: event\n", strlen("limpet: event\n"));
}

/* SIGPIPE would end the test. */
static void a_closed_pipe_costs_lines_and_no_signal(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->read_fd);
	fixture->read_fd = -1;
	assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_DFL);
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(fixture->log.lost, 1);
}

static void a_socket_that_is_full_or_closed_costs_lines(void **state)
{
	struct lp_log log;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	lp_log_init(&log, fds[1], LP_LOG_INFO, LP_LOG_TEXT);
	lp_log_write(&log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(log.lost, 0);
	fill(fds[1]);
	lp_log_write(&log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(log.lost, 1);
	close(fds[0]);
	lp_log_write(&log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(log.lost, 2);
	close(fds[1]);
}

/* A terminal whose reader stalls has room for a part of a line: a write that waits would hang the test. */
static void a_stalled_terminal_costs_lines_and_no_time(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct lp_log log;
	int terminal;

	(void)state;
	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		skip();
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	lp_log_init(&log, terminal, LP_LOG_INFO, LP_LOG_TEXT);
	for (int i = 0; i < 100; i++)
		lp_log_write(&log, LP_LOG_INFO, NULL, "%4000d", i);
	assert_in_range(log.lost, 1, 99);

	tcflow(terminal, TCOOFF);
	tcflush(terminal, TCOFLUSH);
	close(terminal);
	close(master);
}

static void a_full_disk_costs_lines(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct lp_log log;

	(void)state;
	assert_true(fd >= 0);
	lp_log_init(&log, fd, LP_LOG_INFO, LP_LOG_TEXT);
	lp_log_write(&log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(log.lost, 1);
	close(fd);
}

static void a_file_takes_every_line(void **state)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct lp_log log;
	char text[64] = {0};

	(void)state;
	lp_log_init(&log, fd, LP_LOG_INFO, LP_LOG_TEXT);
	lp_log_write(&log, LP_LOG_INFO, NULL, "one");
	lp_log_write(&log, LP_LOG_INFO, NULL, "two");
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "limpet: one\nlimpet: two\n");
	close(fd);
}

static void a_closed_descriptor_costs_lines(void **state)
{
	struct lp_log log;

	(void)state;
	lp_log_init(&log, -1, LP_LOG_INFO, LP_LOG_TEXT);
	lp_log_write(&log, LP_LOG_INFO, NULL, "event");
	assert_int_equal(log.lost, 1);
}

static void errno_is_kept_and_can_be_logged(void **state)
{
	struct fixture *fixture = *state;

	errno = EMFILE;
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "accept: %m");
	assert_int_equal(errno, EMFILE);
	assert_string_equal(read_log(fixture), "limpet: accept: Too many open files\n");

	lp_log_init(&fixture->log, -1, LP_LOG_INFO, LP_LOG_TEXT);
	errno = EMFILE;
	lp_log_limited(&fixture->log, LP_LOG_INFO, LP_LOG_TOPIC_ACCEPT, NULL, "accept: %m");
	assert_int_equal(errno, EMFILE);
}

/* Write lines of one topic, all in the same second. */
static void write_flood(struct fixture *fixture, int count)
{
	struct lp_log_budget *budget = &fixture->log.budgets[LP_LOG_TOPIC_WAITING];
	struct lp_log_budget before = *budget;
	int64_t begin;

	do {
		read_log(fixture);
		*budget = before;
		begin = (int64_t)(lp_clock_ns() / 1000000000u);
		for (int i = 0; i < count; i++)
			lp_log_limited(&fixture->log, LP_LOG_INFO, LP_LOG_TOPIC_WAITING, NULL, "refused");
	} while (begin != (int64_t)(lp_clock_ns() / 1000000000u));
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		count++;
	return count;
}

static void a_flood_writes_ten_lines_a_second(void **state)
{
	struct fixture *fixture = *state;

	write_flood(fixture, 25);
	assert_int_equal(count_of(read_log(fixture), "limpet: refused\n"), LP_LOG_BURST);
	assert_int_equal(fixture->log.budgets[LP_LOG_TOPIC_WAITING].withheld, 15);

	/* Another topic has a budget of its own, and lines without one are always written. */
	lp_log_limited(&fixture->log, LP_LOG_INFO, LP_LOG_TOPIC_ACCEPT, NULL, "accept");
	lp_log_write(&fixture->log, LP_LOG_INFO, NULL, "worker");
	assert_string_equal(read_log(fixture), "limpet: accept\nlimpet: worker\n");
}

static void what_was_withheld_is_told_in_the_next_second(void **state)
{
	struct fixture *fixture = *state;

	write_flood(fixture, 25);
	read_log(fixture);
	fixture->log.budgets[LP_LOG_TOPIC_WAITING].second--;
	lp_log_limited(&fixture->log, LP_LOG_INFO, LP_LOG_TOPIC_WAITING, NULL, "refused");
	assert_string_equal(read_log(fixture),
			    "limpet: 15 more lines about connections not handed over were withheld (past 10 a second)\n"
			    "limpet: refused\n");
	assert_int_equal(fixture->log.budgets[LP_LOG_TOPIC_WAITING].withheld, 0);
}

static void each_topic_has_words(void **state)
{
	struct fixture *fixture = *state;

	for (int topic = 0; topic < LP_LOG_TOPICS; topic++) {
		fixture->log.budgets[topic] = (struct lp_log_budget){.second = -1, .withheld = 1};
		lp_log_limited(&fixture->log, LP_LOG_INFO, (enum lp_log_topic)topic, NULL, "event");
		assert_non_null(strstr(read_log(fixture), "limpet: 1 more lines about "));
		assert_null(strstr(fixture->text, "(null)"));
	}
}

static void text_to_the_journal_is_recognised_by_its_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;
	char stream[64];

	unsetenv("JOURNAL_STREAM");
	assert_int_equal(lp_log_format_find("text", fixture->write_fd), LP_LOG_TIMED);
	assert_int_equal(fstat(fixture->write_fd, &status), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_int_equal(lp_log_format_find("text", fixture->write_fd), LP_LOG_JOURNAL);
	assert_int_equal(lp_log_format_find("json", fixture->write_fd), LP_LOG_JSON);
	assert_int_equal(lp_log_format_find("text", STDIN_FILENO), LP_LOG_TIMED);
	setenv("JOURNAL_STREAM", "8:", 1);
	assert_int_equal(lp_log_format_find("text", fixture->write_fd), LP_LOG_TIMED);
	unsetenv("JOURNAL_STREAM");
}

static void levels_and_formats_are_found_by_name(void **state)
{
	(void)state;
	assert_int_equal(lp_log_level_find("error"), LP_LOG_ERROR);
	assert_int_equal(lp_log_level_find("debug"), LP_LOG_DEBUG);
	assert_int_equal(lp_log_level_find("Debug"), -1);
	assert_int_equal(lp_log_format_find("json", -1), LP_LOG_JSON);
	assert_int_equal(lp_log_format_find("", -1), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_is_a_sentence_behind_our_name),
		TEST(less_important_lines_are_not_written),
		TEST(an_event_is_one_line_whatever_it_quotes),
		TEST(a_json_line_is_an_object_that_says_the_same),
		TEST(a_json_line_has_the_fields_that_apply),
		TEST(long_fields_are_cut_and_leave_room_for_the_message),
		TEST(a_timed_line_begins_with_the_time_and_the_level),
		TEST(in_the_journal_a_line_begins_with_its_priority),
		TEST(a_json_line_has_the_time_in_milliseconds),
		TEST(bytes_that_are_not_utf8_are_replaced),
		TEST(a_long_line_is_cut_and_says_so),
		TEST(a_line_of_4096_bytes_fits),
		TEST(a_full_pipe_costs_lines_and_no_time),
		TEST(the_descriptor_keeps_its_flags),
		TEST(without_a_free_descriptor_lines_are_written),
		TEST(a_closed_pipe_costs_lines_and_no_signal),
		cmocka_unit_test(a_socket_that_is_full_or_closed_costs_lines),
		cmocka_unit_test(a_stalled_terminal_costs_lines_and_no_time),
		cmocka_unit_test(a_full_disk_costs_lines),
		cmocka_unit_test(a_file_takes_every_line),
		cmocka_unit_test(a_closed_descriptor_costs_lines),
		TEST(errno_is_kept_and_can_be_logged),
		TEST(a_flood_writes_ten_lines_a_second),
		TEST(what_was_withheld_is_told_in_the_next_second),
		TEST(each_topic_has_words),
		TEST(text_to_the_journal_is_recognised_by_its_descriptor),
		cmocka_unit_test(levels_and_formats_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
