/*
 * A recording's file, as `limpet route --replay` reads it. What was read is written and read again as it was; written
 * without credentials it has the same length, and none are left.
 */
#include <stdbool.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "route/head.h"
#include "route/recording.h"

/* A file that has no name. */
struct file {
	int fd;
	char path[32];
};

/* Open bytes as a recording, by way of a file. */
static int open_bytes(struct lp_recording *recording, struct file *file, const void *bytes, size_t length)
{
	struct lp_error error = {0};

	if (!file->fd) {
		file->fd = memfd_create("recording", MFD_CLOEXEC);
		snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
	}
	FUZZ_CHECK(ftruncate(file->fd, 0) == 0 && pwrite(file->fd, bytes, length, 0) == (ssize_t)length);
	int status = lp_recording_open(recording, file->path, &error);

	FUZZ_CHECK(status == 0 || error.text[0]);
	return status;
}

/* The bytes of a recording of one connection, for free(). */
static char *write_one(const struct lp_recorded *recorded, bool raw, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);

	FUZZ_CHECK(out);
	lp_recording_begin(out);
	lp_recording_write(out, recorded, raw);
	fclose(out);
	return text;
}

static void check_same(const struct lp_recorded *a, const struct lp_recorded *b)
{
	FUZZ_CHECK(lp_ip_equal(&a->ip, &b->ip) && a->port == b->port && a->worker == b->worker);
	FUZZ_CHECK(a->length == b->length && strcmp(a->listener, b->listener) == 0);
}

static void check_no_credentials(const struct lp_recorded *recorded)
{
	struct lp_head *head = lp_head_new(LP_RECORDED_HEAD_BYTES);
	const struct lp_header *header = NULL;

	FUZZ_CHECK(head);
	if (lp_head_parse(head, recorded->head, recorded->length) > 0) {
		while ((header = lp_head_header(head, LP_SLICE("authorization"), header)))
			for (size_t i = 0; i < header->value.length; i++)
				FUZZ_CHECK(header->value.bytes[i] == 'x');
		header = NULL;
		while ((header = lp_head_header(head, LP_SLICE("cookie"), header))) {
			const char *equals =
				header->value.length ? memchr(header->value.bytes, '=', header->value.length) : NULL;
			const char *end = header->value.bytes + header->value.length;

			for (const char *at = equals ? equals + 1 : end; at < end && *at != ';'; at++)
				FUZZ_CHECK(*at == 'x');
		}
	}
	lp_head_free(head);
}

static void check_written(const struct lp_recorded *recorded, bool raw)
{
	static struct file file;
	struct lp_recording recording;
	struct lp_recorded again;
	size_t length;
	char *text = write_one(recorded, raw, &length);

	FUZZ_CHECK(open_bytes(&recording, &file, text, length) == 0);
	FUZZ_CHECK(lp_recording_read(&recording, &again, NULL) == 1);
	check_same(recorded, &again);
	if (raw)
		FUZZ_CHECK(memcmp(recorded->head, again.head, again.length) == 0);
	else
		check_no_credentials(&again);
	FUZZ_CHECK(lp_recording_read(&recording, &again, NULL) == 0);
	lp_recording_close(&recording);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct file file;
	struct lp_recording recording;
	struct lp_recorded recorded;
	struct lp_error error = {0};
	int status;

	if (open_bytes(&recording, &file, bytes, length) != 0)
		return 0;
	for (int connections = 0; connections < 4; connections++) {
		status = lp_recording_read(&recording, &recorded, &error);
		FUZZ_CHECK(status == 0 || status == 1 || error.text[0]);
		if (status != 1)
			break;
		check_written(&recorded, true);
		check_written(&recorded, false);
	}
	lp_recording_close(&recording);
	return 0;
}
