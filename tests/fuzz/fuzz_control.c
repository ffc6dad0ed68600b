/*
 * The control socket: a client that says anything, in pieces. It is asked at most once, and exactly the first line if
 * that comes within bounds; then the client gets the answer and the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/control.h"
#include "fuzz.h"

enum { INPUT_MAX = 2 * LP_CONTROL_LINE_MAX };

static const char reply[] = "the answer\n";

struct asked {
	struct lp_log log;
	uv_loop_t loop;
	struct lp_control *control;
	struct sockaddr_un address;
	unsigned count;
	char request[LP_CONTROL_LINE_MAX];
};

static int on_request(void *owner, const char *request, char **answer, size_t *length)
{
	struct asked *asked = owner;

	FUZZ_CHECK(strlen(request) < sizeof(asked->request));
	asked->count++;
	strcpy(asked->request, request);
	if (strncmp(request, "status", 6) != 0)
		return -ENOENT;
	*answer = strdup(reply);
	*length = sizeof(reply) - 1;
	return *answer ? 0 : -ENOMEM;
}

/* A control socket for all inputs. Its path is removed at once, so that nothing is left however the target ends; a
 * descriptor of it serves in its place. */
static void start(struct asked *asked)
{
	char folder[] = "/tmp/fuzz_control_XXXXXX";
	char *path = asked->address.sun_path;
	struct lp_error error;
	int place;

	FUZZ_CHECK(mkdtemp(folder) && uv_loop_init(&asked->loop) == 0);
	lp_log_init(&asked->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	asked->address.sun_family = AF_UNIX;
	snprintf(path, sizeof(asked->address.sun_path), "%s/socket", folder);
	FUZZ_CHECK(lp_control_open(&asked->control, &asked->loop, &asked->log, path, on_request, asked, &error) == 0);
	place = open(path, O_PATH | O_CLOEXEC);
	FUZZ_CHECK(place >= 0 && unlink(path) == 0 && rmdir(folder) == 0);
	snprintf(path, sizeof(asked->address.sun_path), "/proc/self/fd/%d", place);
}

/* Say it in pieces, each heard by itself, until the other end is closed. */
static void say(struct asked *asked, int fd, const uint8_t *bytes, size_t length)
{
	struct fuzz_random random = fuzz_random_from(bytes, length);

	uv_run(&asked->loop, UV_RUN_NOWAIT);
	for (size_t said = 0; said < length;) {
		size_t piece = fuzz_piece(&random, length - said);

		if (send(fd, bytes + said, piece, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)piece)
			return;
		said += piece;
		uv_run(&asked->loop, UV_RUN_NOWAIT);
	}
}

static void check_answer(struct asked *asked, const uint8_t *bytes, size_t length, int fd)
{
	const uint8_t *end = memchr(bytes, '\n', length < LP_CONTROL_LINE_MAX ? length : LP_CONTROL_LINE_MAX);
	char got[256];
	ssize_t size;

	FUZZ_CHECK(asked->count == (end ? 1 : 0));
	if (!end)
		return;
	char *line = fuzz_text(bytes, (size_t)(end - bytes));

	FUZZ_CHECK(strcmp(asked->request, line) == 0);
	size = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	FUZZ_CHECK(size > 0 && got[size - 1] == '\n');
	if (strncmp(line, "status", 6) == 0)
		FUZZ_CHECK((size_t)size == sizeof(reply) - 1 && memcmp(got, reply, (size_t)size) == 0);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct asked asked;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!asked.control)
		start(&asked);
	if (length > INPUT_MAX)
		length = INPUT_MAX;
	asked.count = 0;
	FUZZ_CHECK(connect(fd, (struct sockaddr *)&asked.address, sizeof(asked.address)) == 0);
	say(&asked, fd, bytes, length);
	check_answer(&asked, bytes, length, fd);
	close(fd);
	/* The client's end is seen, then its two handles are closed: nothing of it is left for the next input. */
	for (int turns = 0; turns < 3; turns++)
		uv_run(&asked.loop, UV_RUN_NOWAIT);
	return 0;
}
