/*
 * The admin listener: a client that says anything, in pieces. It gets one whole answer, or nothing while its request may
 * still become one; a page is only given to a GET of its path.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin_http.h"
#include "fuzz.h"

enum { INPUT_MAX = LP_ADMIN_HEAD_MAX + 64 };

static const char body[] = "limpet_up 1\n";

struct asked {
	struct lp_log log;
	uv_loop_t loop;
	struct lp_admin *admin;
	char listen[128];
	struct sockaddr_un address;
};

static char *make_page(void *owner, int *status, size_t *length)
{
	(void)owner;
	(void)status;
	*length = sizeof(body) - 1;
	return strdup(body);
}

static const struct lp_admin_page pages[] = {{"/metrics", "text/plain", make_page, NULL}};

/* One listener for all inputs; its path is removed at once, and a descriptor of it serves in its place. */
static void start(struct asked *asked)
{
	char folder[] = "/tmp/fuzz_admin_XXXXXX";
	struct lp_error error;
	struct lp_admin_config config = {
		.loop = &asked->loop, .log = &asked->log, .address = asked->listen, .pages = pages, .page_count = 1};
	int place;

	FUZZ_CHECK(mkdtemp(folder) && uv_loop_init(&asked->loop) == 0);
	lp_log_init(&asked->log, -1, LP_LOG_ERROR, LP_LOG_TEXT);
	snprintf(asked->listen, sizeof(asked->listen), "unix:%s/socket", folder);
	FUZZ_CHECK(lp_admin_open(&asked->admin, &config, &error) == 0);
	place = open(asked->listen + 5, O_PATH | O_CLOEXEC);
	FUZZ_CHECK(place >= 0 && unlink(asked->listen + 5) == 0 && rmdir(folder) == 0);
	asked->address.sun_family = AF_UNIX;
	snprintf(asked->address.sun_path, sizeof(asked->address.sun_path), "/proc/self/fd/%d", place);
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

static void check_answer(const uint8_t *bytes, size_t length, int fd)
{
	char got[2048] = "";
	ssize_t size = recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT);
	const char *end;

	if (size <= 0)
		return;
	end = strstr(got, "\r\n\r\n");
	FUZZ_CHECK(strncmp(got, "HTTP/1.1 ", 9) == 0 && end);
	FUZZ_CHECK(strstr(got, "\r\nConnection: ") && strstr(got, "\r\nContent-Length: "));
	if (strstr(end, body))
		FUZZ_CHECK(memmem(bytes, length, "GET ", 4) && strstr(got, "HTTP/1.1 200 "));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct asked asked;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!asked.admin)
		start(&asked);
	if (length > INPUT_MAX)
		length = INPUT_MAX;
	FUZZ_CHECK(connect(fd, (struct sockaddr *)&asked.address, sizeof(asked.address)) == 0);
	say(&asked, fd, bytes, length);
	check_answer(bytes, length, fd);
	close(fd);
	for (int turns = 0; turns < 3; turns++)
		uv_run(&asked.loop, UV_RUN_NOWAIT);
	return 0;
}
