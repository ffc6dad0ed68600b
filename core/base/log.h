/**
 * The log: one line an event, on a descriptor, that can never hold routing up.
 *
 * A line is written with one write(2) of at most 4096 bytes, and only when the descriptor can take it now; otherwise
 * it is dropped and counted, and the next line that fits says how many were lost. A reader that stalls, a full disk or
 * a closed pipe costs log lines and nothing else. Events that strangers can cause at will are written by topic, each
 * with a budget a second.
 */
#ifndef LP_BASE_LOG_H
#define LP_BASE_LOG_H

#include <stdint.h>

enum lp_log_level { LP_LOG_ERROR, LP_LOG_WARNING, LP_LOG_INFO, LP_LOG_DEBUG };

enum lp_log_format { LP_LOG_TEXT, LP_LOG_JSON };

/** Kinds of event that can come in floods; each may write LP_LOG_BURST lines a second. */
enum lp_log_topic {
	LP_LOG_TOPIC_ACCEPT,   /**< accept4 failed: out of descriptors, aborted. */
	LP_LOG_TOPIC_POLICY,   /**< A policy hook raised an error or returned nonsense. */
	LP_LOG_TOPIC_SCRIPT,   /**< limpet.log.* called by a policy. */
	LP_LOG_TOPIC_HANDOVER, /**< A worker gave a connection back, or a channel is full. */
	LP_LOG_TOPIC_WORKER,   /**< A worker sent something that is not in its dialect. */
	LP_LOG_TOPIC_WAITING,  /**< A connection was refused or closed early. */
	LP_LOG_TOPIC_STUCK,    /**< A worker takes no connections, or takes them again. */
	LP_LOG_TOPIC_ADDRESS,  /**< An address has too many connections. */
	LP_LOG_TOPICS
};

/** Lines a second of one topic; the rest are counted, and the count is told when the second is over. */
#define LP_LOG_BURST 10

struct lp_log_budget {
	int64_t second;
	uint32_t written;
	uint32_t withheld;
};

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
 * @param format  LP_LOG_TEXT: "limpet: sentence". LP_LOG_JSON: {"time":…,"level":…,"message":…}.
 */
void lp_log_init(struct lp_log *log, int fd, enum lp_log_level level, enum lp_log_format format);

/**
 * Write one line, or drop it: never waits, never fails, keeps errno.
 *
 * @param log     Borrowed.
 * @param level   How important.
 * @param format  printf's, a sentence without prefix and newline.
 */
void lp_log_write(struct lp_log *log, enum lp_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * The same for an event that strangers can cause at will.
 *
 * @param log     Borrowed.
 * @param level   How important.
 * @param topic   Whose budget it takes from; past the budget the line is only counted.
 * @param format  printf's.
 */
void lp_log_limited(struct lp_log *log, enum lp_log_level level, enum lp_log_topic topic, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * A level or a format by name.
 *
 * @param name    "error", "warning", "info", "debug"; "text", "json".
 *
 * @return The value, or -1 when there is none of that name.
 */
int lp_log_level_find(const char *name);

/** The format of that name ("text", "json"), or -1. @param name NUL-terminated. */
int lp_log_format_find(const char *name);

#endif
