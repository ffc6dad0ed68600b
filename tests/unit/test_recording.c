/*
 * Recordings: the file's form, byte by byte, and what is taken out of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "route/recording.h"

static void assert_written_at(const struct lp_recorded *recorded, bool raw, const char *expected, size_t length,
			      int line)
{
	char *text = NULL;
	size_t written = 0;
	FILE *out = open_memstream(&text, &written);

	lp_recording_write(out, recorded, raw);
	fclose(out);
	if (written != length || memcmp(text, expected, length) != 0) {
		print_error("written:\n%s\nexpected:\n%s\n", text, expected);
		_fail(__FILE__, line);
	}
	free(text);
}
#define assert_written(recorded, raw, expected)                                                                        \
	assert_written_at(recorded, raw, expected, sizeof(expected) - 1, __LINE__)

static struct lp_recorded recorded_from(const char *ip, const char *head, size_t length)
{
	struct lp_recorded recorded = {
		.port = 50123,
		.worker = 2,
		.length = (uint16_t)length,
		.listener = ":3000",
		.head = head,
	};

	assert_int_equal(lp_ip_parse(ip, strlen(ip), &recorded.ip), 0);
	return recorded;
}

static struct lp_recorded request(const char *head)
{
	return recorded_from("192.0.2.7", head, strlen(head));
}

static void a_connection_is_a_line_and_its_head(void **state)
{
	struct lp_recorded recorded = request("GET /chat HTTP/1.1\r\nHost: a\r\n\r\n");

	(void)state;
	assert_written(&recorded, false, "192.0.2.7 50123 2 31 :3000\nGET /chat HTTP/1.1\r\nHost: a\r\n\r\n\n");
	recorded = recorded_from("2001:db8::1", "\x16\x03\0\x01", 4);
	assert_written(&recorded, false, "2001:db8::1 50123 2 4 :3000\n\x16\x03\0\x01\n");
}

static void one_without_a_head_has_an_empty_line(void **state)
{
	struct lp_recorded recorded = {.listener = "unix:/run/a b", .head = ""};

	(void)state;
	assert_written(&recorded, false, "unix 0 0 0 unix:/run/a b\n\n");
}

static void authorization_is_taken_out_whole(void **state)
{
	struct lp_recorded recorded = request("GET / HTTP/1.1\r\nHost: a\r\nauthorization: Basic YTpi\r\n"
					      "Proxy-Authorization:  b \r\nX: Basic\r\n\r\n");

	(void)state;
	assert_written(&recorded, false,
		       "192.0.2.7 50123 2 90 :3000\nGET / HTTP/1.1\r\nHost: a\r\nauthorization: xxxxxxxxxx\r\n"
		       "Proxy-Authorization:  x \r\nX: Basic\r\n\r\n\n");
	assert_written(&recorded, true,
		       "192.0.2.7 50123 2 90 :3000\nGET / HTTP/1.1\r\nHost: a\r\nauthorization: Basic YTpi\r\n"
		       "Proxy-Authorization:  b \r\nX: Basic\r\n\r\n\n");
}

static void of_headers_that_nobody_understands_nothing_is_shown(void **state)
{
	struct lp_recorded recorded = request("GET / HTTP/1.1\r\nAuthorization : b\r\n\r\n");

	(void)state;
	assert_written(&recorded, false, "192.0.2.7 50123 2 37 :3000\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
}

static void cookies_keep_their_names(void **state)
{
	struct lp_recorded recorded = request("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=12; b=3=4;c= ;; bare; d=\"q\"\r\n"
					      "COOKIE: =5\r\nSet-Cookie2: a=1\r\n\r\n");

	(void)state;
	assert_written(&recorded, false,
		       "192.0.2.7 50123 2 96 :3000\nGET / HTTP/1.1\r\nHost: a\r\n"
		       "Cookie: a=xx; b=xxx;c=x;; xxxx; d=xxx\r\nCOOKIE: =x\r\nSet-Cookie2: a=1\r\n\r\n\n");
}

static void the_longest_head_is_written(void **state)
{
	static char head[LP_RECORDED_HEAD_BYTES];
	static char expected[64 + LP_RECORDED_HEAD_BYTES];
	struct lp_recorded recorded;
	int length;

	(void)state;
	memset(head, 'a', sizeof(head));
	recorded = recorded_from("192.0.2.7", head, sizeof(head));
	length = snprintf(expected, sizeof(expected), "192.0.2.7 50123 2 %d :3000\n%.*s\n", LP_RECORDED_HEAD_BYTES,
			  LP_RECORDED_HEAD_BYTES, head);
	assert_written_at(&recorded, false, expected, (size_t)length, __LINE__);
}

static int read_text(const char *text, size_t length, struct lp_recording *recording, struct lp_error *error)
{
	static char path[64]; /* The recording borrows it. */
	int status;
	int fd;

	strcpy(path, "/tmp/limpet-recording-XXXXXX");
	fd = mkstemp(path);

	assert_int_equal(write(fd, text, length), length);
	close(fd);
	status = lp_recording_open(recording, path, error);
	unlink(path);
	return status;
}
#define READ(text, recording, error) read_text(text, sizeof(text) - 1, recording, error)

static void what_was_written_is_read_again(void **state)
{
	struct lp_recording recording;
	struct lp_recorded recorded;

	(void)state;
	assert_int_equal(READ("limpet recording 1\n192.0.2.7 50123 2 5 :3000\n\x16\0\n\n1\n"
			      "unix 0 256 0 unix:/run/a b\n\n",
			      &recording, NULL),
			 0);
	assert_int_equal(lp_recording_read(&recording, &recorded, NULL), 1);
	assert_int_equal(recorded.ip.family, LP_FAMILY_IPV4);
	assert_int_equal(recorded.port, 50123);
	assert_int_equal(recorded.worker, 2);
	assert_int_equal(recorded.length, 5);
	assert_memory_equal(recorded.head, "\x16\0\n\n1", 5);
	assert_string_equal(recorded.listener, ":3000");
	assert_int_equal(lp_recording_read(&recording, &recorded, NULL), 1);
	assert_int_equal(recorded.ip.family, LP_FAMILY_UNIX);
	assert_int_equal(recorded.worker, 256);
	assert_string_equal(recorded.listener, "unix:/run/a b");
	assert_int_equal(lp_recording_read(&recording, &recorded, NULL), 0);
	lp_recording_close(&recording);
}

static void what_is_no_recording_or_is_damaged_is_refused(void **state)
{
	static const char *const damaged[] = {
		"192.0.2.7 1 -1 0 :3000\n\n",
		"192.0.2.7 +1 1 0 :3000\n\n",
		"192.0.2.7 123451 1 0 :3000\n\n",
		"192.0.2.7 01 1 0 :3000\n\n",
		"192.0.2.7 1  1 0 :3000\n\n",
		"192.0.2.7 1 1 4097 :3000\n\n",
		"192.0.2.7 1 1 0\n\n",
		"192.0.2.7 50123 2 5 :3000\n1234",
		"192.0.2.7 50123 2 5 :3000\n123456\n",
		"192.0.2.7 50123 2 4097 :3000\n",
		"192.0.2.7 65536 2 0 :3000\n\n",
		"192.0.2.700 1 2 0 :3000\n\n",
		"192.0.2.7 1 2\n\n",
		"192.0.2.7 1 2 0 :3000",
		"1234567890123456789012345678901234567890123456789 1 2 0 :3000\n\n",
	};
	struct lp_recording recording;
	struct lp_recorded recorded;
	struct lp_error error;
	char text[256];

	(void)state;
	assert_int_equal(READ("GET / HTTP/1.1\r\n", &recording, &error), -EINVAL);
	assert_int_equal(READ("", &recording, &error), -EINVAL);
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		int length = snprintf(text, sizeof(text), "limpet recording 1\n%s", damaged[i]);

		assert_int_equal(read_text(text, (size_t)length, &recording, &error), 0);
		assert_int_equal(lp_recording_read(&recording, &recorded, &error), -EINVAL);
		assert_non_null(strstr(error.text, "its connection 1 is damaged"));
		lp_recording_close(&recording);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_a_line_and_its_head),
		cmocka_unit_test(one_without_a_head_has_an_empty_line),
		cmocka_unit_test(authorization_is_taken_out_whole),
		cmocka_unit_test(of_headers_that_nobody_understands_nothing_is_shown),
		cmocka_unit_test(cookies_keep_their_names),
		cmocka_unit_test(the_longest_head_is_written),
		cmocka_unit_test(what_was_written_is_read_again),
		cmocka_unit_test(what_is_no_recording_or_is_damaged_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
