/**
 * The log: one line an event, on a descriptor, that can never hold routing up.
 *
 * A line is written with one write(2) of at most 4096 bytes, and only when the descriptor can take it now; otherwise
 * it is dropped and counted, and the next line that fits says how many were lost. A reader that stalls, a full disk or
 * a closed pipe costs log lines and nothing else. Events that strangers can cause at will are written by topic, each
 * with a budget a second.
 *
 * A message is a sentence for people: it names the thing, the value and the remedy. What the event is about (a worker, a
 * process, a policy, a client, a listener) is passed as fields too, so that a program need not parse the sentence:
 *
 *     lp_log_write(log, LP_LOG_WARNING, LP_LOG_ABOUT(.worker = 3, .pid = 4711), "worker 3 (pid 4711) ended");
 */
#ifndef LP_BASE_LOG_H
#define LP_BASE_LOG_H

#include <stdint.h>

enum lp_log_level { LP_LOG_ERROR, LP_LOG_WARNING, LP_LOG_INFO, LP_LOG_DEBUG };

/** How a line is written. */
enum lp_log_format {
	LP_LOG_TEXT,    /**< "limpet: sentence": for commands that a person has just typed. */
	LP_LOG_TIMED,   /**< "2026-11-29T05:14:12.345Z warning limpet: sentence". */
	LP_LOG_JOURNAL, /**< "<4>limpet: sentence": systemd's journal has the time, and takes the level from "<4>". */
	LP_LOG_JSON,    /**< {"time":…,"level":…,"worker":…,"message":…}, with the fields that apply. */
};

/**
 * Kinds of event that can come in floods, each with the words for "… more lines about"; each may write LP_LOG_BURST lines
 * a second.
 */
#define LP_LOG_EACH_TOPIC(TOPIC)                                                                                       \
	/* accept4 failed: out of descriptors, aborted. */                                                             \
	TOPIC(ACCEPT, "failed accepts")                                                                                \
	/* A policy hook raised an error or returned nonsense. */                                                      \
	TOPIC(POLICY, "failing policies")                                                                              \
	/* limpet.log.* called by a policy. */                                                                         \
	TOPIC(SCRIPT, "what policies log")                                                                             \
	/* A worker gave a connection back, or a channel is full. */                                                   \
	TOPIC(HANDOVER, "failed hand-overs")                                                                           \
	/* A worker sent something that is not in its dialect. */                                                      \
	TOPIC(WORKER, "workers' messages")                                                                             \
	/* A connection was refused or closed early. */                                                                \
	TOPIC(WAITING, "connections not handed over")                                                                  \
	/* A worker takes no connections, or takes them again. */                                                      \
	TOPIC(STUCK, "stuck workers")                                                                                  \
	/* An address has too many connections. */                                                                     \
	TOPIC(ADDRESS, "addresses with too many connections")                                                          \
	/* A worker claims a session that another has. */                                                              \
	TOPIC(SESSION, "sessions that move")

#define LP_LOG_TOPIC_ENUMERATOR(name, words) LP_LOG_TOPIC_##name,
enum lp_log_topic { LP_LOG_EACH_TOPIC(LP_LOG_TOPIC_ENUMERATOR) LP_LOG_TOPICS };

/** Lines a second of one topic; the rest are counted, and the count is told when the second is over. */
#define LP_LOG_BURST 10

struct lp_log_budget {
	int64_t second;
	uint32_t written;
	uint32_t withheld;
};

/** What a line is about. What does not apply is 0 or NULL, and left out. Strings are cut at LP_LOG_FIELD_MAX bytes. */
struct lp_log_about {
	unsigned worker;      /**< Its number. */
	int pid;              /**< Of the process, be it a worker or not. */
	const char *policy;   /**< Its name or file. */
	const char *client;   /**< Its address. */
	const char *listener; /**< As --listen names it. */
};

/** The fields of a line, by name; NULL for a line about limpet as a whole. */
#define LP_LOG_ABOUT(...) (&(const struct lp_log_about){__VA_ARGS__})

/** Bytes of a field's text at most, escapes included. */
#define LP_LOG_FIELD_MAX 512

/** One log. The caller's memory; the descriptor stays the caller's. */
struct lp_log {
	int fd;
	enum lp_log_level level; /**< Lines above it are not formatted at all. */
	enum lp_log_format format;
	uint64_t lost; /**< Lines that the descriptor could not take, and of which no line has told yet. */
	struct lp_log_budget budgets[LP_LOG_TOPICS];
};

/**
 * Prepare a log.
 *
 * @param log     The caller's memory.
 * @param fd      Borrowed until the last line.
 * @param level   The least important level that is written.
 * @param format  How lines are written.
 */
void lp_log_init(struct lp_log *log, int fd, enum lp_log_level level, enum lp_log_format format);

/**
 * Write one line, or drop it: never waits, never fails, keeps errno.
 *
 * @param log     Borrowed.
 * @param level   How important.
 * @param about   LP_LOG_ABOUT, or NULL. Borrowed for the call.
 * @param format  printf's, a sentence without prefix and newline.
 */
void lp_log_write(struct lp_log *log, enum lp_log_level level, const struct lp_log_about *about, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));

/**
 * The same for an event that strangers can cause at will.
 *
 * @param log     Borrowed.
 * @param level   How important.
 * @param topic   Whose budget it takes from; past the budget the line is only counted.
 * @param about   LP_LOG_ABOUT, or NULL. Borrowed for the call.
 * @param format  printf's.
 */
void lp_log_limited(struct lp_log *log, enum lp_log_level level, enum lp_log_topic topic,
		    const struct lp_log_about *about, const char *format, ...) __attribute__((format(printf, 5, 6)));

/** A level by name. @param name "error", "warning", "info", "debug". @return The value, or -1: there is none of that name. */
int lp_log_level_find(const char *name);

/**
 * A format by name.
 *
 * @param name  "json"; or "text": LP_LOG_JOURNAL if the descriptor leads to systemd's journal (JOURNAL_STREAM in the
 *              environment names it), else LP_LOG_TIMED.
 * @param fd    Where the log goes.
 *
 * @return The value, or -1 when there is none of that name.
 */
int lp_log_format_find(const char *name, int fd);

#endif
