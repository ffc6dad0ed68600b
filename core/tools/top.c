/*
 * The terminal's second screen is used, so that what was on it before is there again afterwards. Keys come one by one (raw
 * mode), signals as bytes of a descriptor: one loop waits for both, and whichever way it ends, the terminal is put right.
 *
 * A key is one request to the control socket, as of `limpet drain`; the next status shows what it does. If the balancer does
 * not answer, the last status stays, with the reason below it, until it answers again.
 */
#include "tools/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "tools/balancer_query.h"
#include "tools/status_table.h"
#include "tools/top_screen.h"

/* Between two looks. */
#define LOOK_MS 1000

/* The second screen; no cursor; what is too long for a line is cut off, not wrapped. */
#define BEGIN "\x1b[?1049h\x1b[?25l\x1b[?7l"
#define END "\x1b[?7h\x1b[?25h\x1b[?1049l"
#define HOME "\x1b[H"
#define CLEAR_LINE "\x1b[K"
#define CLEAR_BELOW "\x1b[J"

#define CONTROL_C 3

struct top {
	char path[LP_CONTROL_PATH_SIZE];
	struct termios before;
	sigset_t mask_before;
	int signals; /* A descriptor. */
	json_t *status;
	struct lp_top_past past;
	uint64_t asked_ms; /* When the status was. */
	long long selected;
	char message[sizeof(((struct lp_error *)0)->text)];
	bool unanswered; /* The message is why the last look failed. */
	bool colours;
	bool over;
};

static uint64_t now_ms(void)
{
	return lp_clock_ns() / 1000000;
}

/* The terminal */

static int take_terminal(struct top *top)
{
	struct termios raw;
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGWINCH);
	sigprocmask(SIG_BLOCK, &wanted, &top->mask_before);
	top->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (top->signals < 0 || tcgetattr(STDIN_FILENO, &top->before))
		return -errno;
	raw = top->before;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;
	return tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) ? -errno : 0;
}

static void give_terminal_back(struct top *top)
{
	fputs(END, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &top->before);
	close(top->signals);
	sigprocmask(SIG_SETMASK, &top->mask_before, NULL);
}

static unsigned count_rows(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : 24;
}

/* All of a screen in one write, so that none is seen half-way. */
static void draw(const struct top *top)
{
	const struct lp_top_screen screen = {
		.status = top->status,
		.past = &top->past,
		.now_ms = top->asked_ms,
		.selected = top->selected,
		.message = top->message,
		.rows = count_rows(),
		.colours = top->colours,
	};
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return;
	lp_top_print(out, &screen);
	if (fclose(out) == 0) {
		fputs(HOME, stdout);
		for (const char *at = text; *at; at++)
			if (*at == '\n')
				fputs(CLEAR_LINE "\n", stdout);
			else
				fputc(*at, stdout);
		fputs(CLEAR_LINE CLEAR_BELOW, stdout);
		fflush(stdout);
	}
	free(text);
}

/* The balancer */

static int look(struct top *top, struct lp_error *error)
{
	json_t *status;
	uint64_t asked_ms = now_ms();
	int failed = lp_query_balancer(top->path, "status", LP_CONTROL_PATIENCE_MS, &status, error);

	if (failed)
		return failed;
	if (top->status)
		lp_top_remember(&top->past, top->status, top->asked_ms);
	json_decref(top->status);
	top->status = status;
	top->asked_ms = asked_ms;
	top->selected = lp_top_select(status, top->selected, 0);
	return 0;
}

static void look_again(struct top *top)
{
	struct lp_error error = {0};

	if (look(top, &error)) {
		memcpy(top->message, error.text, sizeof(top->message));
		top->unanswered = true;
	} else if (top->unanswered) {
		*top->message = '\0';
		top->unanswered = false;
	}
}

static void request(struct top *top, const char *words, int patience_ms, const char *done)
{
	struct lp_error error = {0};
	json_t *answer;
	int failed = lp_query_balancer(top->path, words, patience_ms, &answer, &error);

	snprintf(top->message, sizeof(top->message), "%s", done);
	if (failed)
		memcpy(top->message, error.text, sizeof(top->message));
	json_decref(answer);
}

static void request_of_worker(struct top *top, const char *verb, const char *done)
{
	char words[64];
	char sentence[128];

	if (!top->selected)
		return;
	snprintf(words, sizeof(words), "%s %lld", verb, top->selected);
	snprintf(sentence, sizeof(sentence), "worker %lld %s", top->selected, done);
	request(top, words, LP_CONTROL_PATIENCE_MS, sentence);
}

/* Keys */

/* An arrow is three bytes. Returns how many a key takes. */
static size_t handle_key(struct top *top, const char *keys)
{
	bool is_sequence = strncmp(keys, "\x1b[", 2) == 0 || strncmp(keys, "\x1bO", 2) == 0;
	const char key = keys[is_sequence ? 2 : 0];

	*top->message = '\0';
	if (key == 'q' || key == CONTROL_C)
		top->over = true;
	else if ((is_sequence && key == 'A') || (!is_sequence && key == 'k'))
		top->selected = lp_top_select(top->status, top->selected, -1);
	else if ((is_sequence && key == 'B') || (!is_sequence && key == 'j'))
		top->selected = lp_top_select(top->status, top->selected, 1);
	else if (key == 'd')
		request_of_worker(top, "drain", "gets no new connections; e sends it new ones again");
	else if (key == 'e')
		request_of_worker(top, "enable", "gets new connections");
	else if (key == 'r')
		request(top, "reload", LP_CONTROL_LONG_PATIENCE_MS, "reloaded the policies");
	return is_sequence && keys[2] ? 3 : 1;
}

static void handle_keys(struct top *top)
{
	char keys[64];
	ssize_t got = read(STDIN_FILENO, keys, sizeof(keys) - 1);

	if (got <= 0) { /* The terminal is gone. */
		top->over = true;
		return;
	}
	keys[got] = '\0';
	for (size_t at = 0; at < (size_t)got && !top->over;)
		at += handle_key(top, keys + at);
	look_again(top);
}

static void handle_signal(struct top *top)
{
	struct signalfd_siginfo info;

	while (read(top->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGWINCH)
			top->over = true;
}

static void wait_for_something(struct top *top)
{
	struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = top->signals, .events = POLLIN}};
	int ready = poll(waits, 2, LOOK_MS);

	if (ready == 0)
		look_again(top);
	if (ready > 0 && waits[1].revents)
		handle_signal(top);
	if (ready > 0 && waits[0].revents)
		handle_keys(top);
}

int lp_top(const struct lp_command_line *line, struct lp_error *error)
{
	struct top top = {.signals = -1, .colours = lp_status_shows_colours(stdout)};
	int status = lp_query_find_balancer(&line->options, top.path, error);

	if (status)
		return status;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return lp_error_set(
			error, LP_EUSAGE,
			"top needs a terminal; limpet status --json is for programs, and limpet tail for pipes");
	status = look(&top, error);
	if (status)
		return status;
	status = take_terminal(&top);
	if (status)
		lp_error_set(error, status, "this terminal cannot be used: %s", lp_error_words(status));
	fputs(BEGIN, stdout);
	while (!status && !top.over) {
		draw(&top);
		wait_for_something(&top);
	}
	give_terminal_back(&top);
	json_decref(top.status);
	return status;
}
