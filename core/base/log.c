/*
 * Making a line, and writing it without waiting.
 *
 * Never waiting takes care, because the descriptor's O_NONBLOCK flag belongs to everyone who shares it (the workers,
 * the shell) and may not be touched. A socket has MSG_DONTWAIT. A pipe or a terminal is opened once more through /proc,
 * which gives a description with an O_NONBLOCK of our own, for that one line: lines are rare, and a log that holds no
 * descriptor needs no closing. Where that fails (no /proc, no descriptor left, another user's terminal), poll(2) is
 * asked, and somebody else may then fill the pipe before we do.
 *
 * Up to PIPE_BUF bytes enter a pipe whole or not at all, hence the size of a line. A terminal may keep the beginning of
 * a line that is then counted as lost. A pipe whose last reader goes in the very moment raises SIGPIPE, which a server
 * ignores anyway.
 *
 * Messages quote strangers. Whatever could end the line, or steer the terminal it is read on, is escaped: control
 * characters, C1 ones included, and bytes that are not UTF-8.
 *
 * A budget is for a second of the monotonic clock; what was withheld is told before the topic's next line.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_BYTES 4096
_Static_assert(LINE_BYTES <= PIPE_BUF, "a line must enter a pipe whole");

#define CUT_MARK "…"
#define JSON_END "\"}"

/* What must still fit after the last character of a message. */
#define END_BYTES (sizeof(CUT_MARK JSON_END "\n") - 1)

/* What a line has before its message, at most: three texts, and a little for each of their names and for the rest. */
#define BEGIN_BYTES (3 * (LP_LOG_FIELD_MAX + 32) + 256)
_Static_assert(BEGIN_BYTES + 1024 <= LINE_BYTES, "fields leave room for a message");

struct line {
	char bytes[LINE_BYTES];
	size_t length;
};

static const char *const level_names[] = {
	[LP_LOG_ERROR] = "error",
	[LP_LOG_WARNING] = "warning",
	[LP_LOG_INFO] = "info",
	[LP_LOG_DEBUG] = "debug",
};

#define TOPIC_WORDS(name, words) words,
static const char *const topic_words[] = {LP_LOG_EACH_TOPIC(TOPIC_WORDS)};

void lp_log_init(struct lp_log *log, int fd, enum lp_log_level level, enum lp_log_format format)
{
	*log = (struct lp_log){.fd = fd, .level = level, .format = format};
}

static void append_bytes(struct line *line, const char *bytes, size_t length)
{
	memcpy(line->bytes + line->length, bytes, length);
	line->length += length;
}

/* The length of the UTF-8 character that text, which ends in NUL, begins with; 0 if it begins with none. */
static size_t character_length(const unsigned char *text)
{
	size_t length = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

	if (text[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;

	/* Encoded longer than needed; a surrogate; past U+10FFFF. */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

/* Whether the format is one whose strings are JSON's. */
static bool is_json(enum lp_log_format format)
{
	return format == LP_LOG_JSON;
}

/*
 * Write the first character of a message as it may stand in a line.
 *
 * Returns the bytes taken from text. out has room for the longest escape, "\u009b", and a NUL.
 */
static size_t escape_character(enum lp_log_format format, const char *text, char out[8])
{
	static const char *const json[] = {
		['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n",  ['\f'] = "\\f",
		['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\",
	};
	size_t length = character_length((const unsigned char *)text);
	unsigned char first = (unsigned char)text[0];
	bool is_c1 = length == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0;
	unsigned char control = is_c1 ? (unsigned char)text[1] : first;

	if (is_json(format) && first < sizeof(json) / sizeof(json[0]) && json[first])
		strcpy(out, json[first]);
	else if (is_json(format) && length == 0)
		strcpy(out, "\xef\xbf\xbd"); /* U+FFFD */
	else if (first < 0x20 || first == 0x7f || length == 0 || is_c1)
		snprintf(out, 8, is_json(format) ? "\\u%04x" : "\\x%02x", control);
	else
		snprintf(out, 8, "%.*s", (int)length, text);
	return length ? length : 1;
}

/* Write text, escaped, as far as the line is shorter than `most`; the rest is cut. */
static void put_escaped(struct line *line, enum lp_log_format format, const char *text, size_t most)
{
	while (*text) {
		char escaped[8];
		size_t taken = escape_character(format, text, escaped);
		size_t length = strlen(escaped);

		if (line->length + length > most) {
			append_bytes(line, CUT_MARK, sizeof(CUT_MARK) - 1);
			return;
		}
		append_bytes(line, escaped, length);
		text += taken;
	}
}

static void __attribute__((format(printf, 2, 3))) put_format(struct line *line, const char *format, ...)
{
	size_t room = sizeof(line->bytes) - line->length;
	va_list arguments;

	va_start(arguments, format);
	line->length += (size_t)vsnprintf(line->bytes + line->length, room, format, arguments);
	va_end(arguments);
}

/* ISO 8601 with milliseconds, in UTC: lines of several machines sort. */
static void put_time(struct line *line)
{
	struct timespec now;
	struct tm date;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &date);
	line->length += strftime(line->bytes + line->length, 64, "%Y-%m-%dT%H:%M:%S", &date);
	put_format(line, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static void put_json_text(struct line *line, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	put_format(line, "\"%s\":\"", name);
	put_escaped(line, LP_LOG_JSON, text, line->length + LP_LOG_FIELD_MAX);
	append_bytes(line, "\",", 2);
}

static void put_json_begin(struct line *line, enum lp_log_level level, const struct lp_log_about *about)
{
	put_format(line, "{\"time\":\"");
	put_time(line);
	put_format(line, "\",\"level\":\"%s\",", level_names[level]);
	if (about && about->worker)
		put_format(line, "\"worker\":%u,", about->worker);
	if (about && about->pid)
		put_format(line, "\"pid\":%d,", about->pid);
	if (about) {
		put_json_text(line, "policy", about->policy);
		put_json_text(line, "client", about->client);
		put_json_text(line, "listener", about->listener);
	}
	put_format(line, "\"message\":\"");
}

static void put_begin(struct line *line, enum lp_log_format format, enum lp_log_level level,
		      const struct lp_log_about *about)
{
	static const int priorities[] = {
		[LP_LOG_ERROR] = 3, [LP_LOG_WARNING] = 4, [LP_LOG_INFO] = 6, [LP_LOG_DEBUG] = 7};

	switch (format) {
	case LP_LOG_JSON:
		put_json_begin(line, level, about);
		return;
	case LP_LOG_TIMED:
		put_time(line);
		put_format(line, " %s ", level_names[level]);
		break;
	case LP_LOG_JOURNAL:
		put_format(line, "<%d>", priorities[level]);
		break;
	case LP_LOG_TEXT:
		break;
	}
	put_format(line, "limpet: ");
}

static void make_line(struct line *line, enum lp_log_format format, enum lp_log_level level,
		      const struct lp_log_about *about, const char *message)
{
	line->length = 0;
	put_begin(line, format, level, about);
	put_escaped(line, format, message, sizeof(line->bytes) - END_BYTES);
	if (is_json(format))
		append_bytes(line, JSON_END, strlen(JSON_END));
	append_bytes(line, "\n", 1);
}

/* Whether a descriptor shows these events and nothing worse: POLLERR is a pipe without a reader, and means SIGPIPE. */
static bool is_at(int fd, short events)
{
	struct pollfd pollfd = {.fd = fd, .events = events};

	return poll(&pollfd, 1, 0) >= 0 && pollfd.revents == events;
}

static ssize_t write_to_stream(int fd, const struct line *line)
{
	char path[32];
	ssize_t written;
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return is_at(fd, POLLOUT) ? write(fd, line->bytes, line->length) : -1;

	/* Not POLLOUT: it asks for an empty page, and a line may fit after the last one. */
	written = is_at(own, 0) ? write(own, line->bytes, line->length) : -1;
	close(own);
	return written;
}

static bool write_now(int fd, const struct line *line)
{
	struct stat status;
	ssize_t written;

	if (fstat(fd, &status) != 0)
		return false;
	if (S_ISSOCK(status.st_mode))
		written = send(fd, line->bytes, line->length, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (S_ISREG(status.st_mode))
		written = write(fd, line->bytes, line->length);
	else
		written = write_to_stream(fd, line);
	return written == (ssize_t)line->length;
}

/* The notice comes before the line, so that a reader sees where the gap is. */
static void write_line(struct lp_log *log, enum lp_log_level level, const struct lp_log_about *about,
		       const char *message)
{
	struct line line;

	if (log->lost) {
		char notice[96];

		snprintf(notice, sizeof(notice), "%llu lines of this log were lost: they could not be written",
			 (unsigned long long)log->lost);
		make_line(&line, log->format, LP_LOG_WARNING, NULL, notice);
		if (write_now(log->fd, &line))
			log->lost = 0;
	}
	make_line(&line, log->format, level, about, message);
	if (log->lost || !write_now(log->fd, &line))
		log->lost++;
}

/* For "%m", errno is kept until the message stands. */
static void write_message(struct lp_log *log, enum lp_log_level level, const struct lp_log_about *about,
			  const char *format, va_list arguments)
{
	char message[LINE_BYTES];
	int saved = errno;

	if (vsnprintf(message, sizeof(message), format, arguments) >= 0)
		write_line(log, level, about, message);
	errno = saved;
}

void lp_log_write(struct lp_log *log, enum lp_log_level level, const struct lp_log_about *about, const char *format,
		  ...)
{
	va_list arguments;

	if (level > log->level)
		return;
	va_start(arguments, format);
	write_message(log, level, about, format, arguments);
	va_end(arguments);
}

void lp_log_limited(struct lp_log *log, enum lp_log_level level, enum lp_log_topic topic,
		    const struct lp_log_about *about, const char *format, ...)
{
	struct lp_log_budget *budget = &log->budgets[topic];
	va_list arguments;
	int64_t second;

	if (level > log->level)
		return;
	second = (int64_t)(lp_clock_ns() / 1000000000u);
	if (second != budget->second) {
		uint32_t withheld = budget->withheld;

		*budget = (struct lp_log_budget){.second = second};
		if (withheld)
			lp_log_write(log, level, NULL, "%u more lines about %s were withheld (past %d a second)",
				     withheld, topic_words[topic], LP_LOG_BURST);
	}
	if (budget->written == LP_LOG_BURST) {
		budget->withheld++;
		return;
	}
	budget->written++;
	va_start(arguments, format);
	write_message(log, level, about, format, arguments);
	va_end(arguments);
}

int lp_log_level_find(const char *name)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (strcmp(level_names[i], name) == 0)
			return (int)i;
	return -1;
}

/* systemd names the socket that it gave its service for standard output and error. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &status) == 0 &&
	       status.st_dev == device && status.st_ino == inode;
}

int lp_log_format_find(const char *name, int fd)
{
	if (strcmp(name, "json") == 0)
		return LP_LOG_JSON;
	if (strcmp(name, "text") == 0)
		return is_journal(fd) ? LP_LOG_JOURNAL : LP_LOG_TIMED;
	return -1;
}
