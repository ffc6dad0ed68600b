/**
 * The command line, as data.
 *
 * One table, in options_flags.c, names every flag, what it takes and what the help says; parsing and `--help` both read
 * it, so they cannot drift apart.
 */
#ifndef LP_BASE_OPTIONS_H
#define LP_BASE_OPTIONS_H

#include <stdbool.h>

#include "base/config_file.h"
#include "base/error.h"
#include "limpet/balancer.h"

enum lp_command {
	LP_COMMAND_RUN,
	LP_COMMAND_STATUS, /**< `limpet status`: print how a running balancer is. The next ones change it. */
	LP_COMMAND_TOP,    /**< `limpet top`: show it live. */
	LP_COMMAND_RELOAD,
	LP_COMMAND_DRAIN,
	LP_COMMAND_ENABLE,
	LP_COMMAND_STOP,
	LP_COMMAND_WHY,    /**< `limpet why`: explain its recent decisions. */
	LP_COMMAND_TAIL,   /**< `limpet tail`: print them as they come. */
	LP_COMMAND_RECORD, /**< `limpet record`: write its recent connections. */
	LP_COMMAND_CHECK,
	LP_COMMAND_ROUTE,
	LP_COMMAND_TEST,
	LP_COMMAND_SIMULATE,
	LP_COMMAND_BENCH,
	LP_COMMAND_HELP,    /**< `limpet`, `limpet help`, `limpet run --help` … */
	LP_COMMAND_VERSION, /**< `limpet version`, `limpet --version`. */
};

/**
 * What the commands that ask a balancer or try policies are given, in addition to the `settings` and `trusted` of struct limpet_options. A text
 * that is not given is NULL.
 */
struct lp_tool_options {
	const char *const
		*files; /**< Policies in order: paths, or names of included ones. For `test`: files and folders. */
	size_t file_count;
	uint32_t workers; /**< How many are made up, 1 – LIMPET_WORKERS_MAX; 4 unless said. */

	/* A made-up connection. */
	const char *ip; /**< An address. */
	uint32_t port;  /**< 1 – 65535. */
	const char *listener;
	const char *method;
	const char *path; /**< Begins with '/'; may have a query. */
	const char *sid;
	const char *const *headers; /**< "Name: value" each. */
	size_t header_count;
	const char
		*raw; /**< A file with its first bytes; then method, path, sid, headers, sni and alpn are not given. */
	const char *sni; /**< With this or alpn the connection is TLS; then raw and all of HTTP are not given. */
	const char *const *alpn;
	size_t alpn_count;
	const char *const *known; /**< Sessions, "SID=ID" each, with an ID of 1 – workers. */
	size_t known_count;

	/* A recording. */
	const char *replay; /**< One to ask two files about; then no connection is made up. */
	const char *out;    /**< The file to write; NULL: standard output. */
	int unredacted;     /**< Whether credentials stay in it; of decisions, whether session ids are shown. */
	int json;           /**< Whether the answer is for a program. */

	const char *keeper; /**< "on": a keeper starts the balancer, and the next one when it has died; "off". */

	/* A running balancer. */
	uint32_t last;       /**< How many connections; 0: the usual number. */
	uint32_t worker;     /**< Which worker is meant, 1 – LIMPET_WORKERS_MAX. */
	uint32_t timeout_ms; /**< How long to wait for the outcome; 0: however long. */
	int now;             /**< Whether workers are ended at once. */

	/* A made-up crowd. */
	uint32_t clients; /**< How many, 1 up; 100,000 unless said. */
	uint32_t kill;    /**< Id of the worker to die and return, 1 – workers; 0: none. */
	uint32_t add;     /**< How many workers to add; 0: none. */
	int nat;          /**< Whether many clients share few addresses. */
	const char *svg;  /**< A file to write. */
};

/** A parsed command line. Owns its arrays; borrows argv's strings. */
struct lp_command_line {
	enum lp_command command;
	enum lp_command help_of; /**< For LP_COMMAND_HELP: which one's; LP_COMMAND_HELP itself for the overview. */
	bool unasked; /**< Nothing was said at all: the help is for standard error, and the status that of wrong usage. */
	struct limpet_options options;
	struct lp_tool_options tool;
	const char **lists;             /**< The memory behind the options' lists. */
	struct lp_config_file *configs; /**< Those that --config names, in order. Values of options point into them. */
	size_t config_count;
};

/**
 * Take a command line apart: `limpet COMMAND [--flag value | --flag=value]… [-- program argument…]`.
 *
 * @param argc   As main got it.
 * @param argv   As main got it, NULL-terminated; borrowed until lp_options_deinit.
 * @param line   Filled always; lp_options_deinit it.
 * @param error  Filled on failure: names the flag, the value, what it takes, and the nearest flag if one is unknown.
 *
 * @return 0, LP_EUSAGE, or -ENOMEM.
 */
int lp_options_parse(int argc, char **argv, struct lp_command_line *line, struct lp_error *error);

/**
 * Say where a mistake stands in the configuration files, if a value or a flag that it names is written there: an error
 * becomes "FILE:LINE: …". For mistakes that are found when the options are used.
 *
 * @param line   Parsed.
 * @param error  Changed, or left as it is.
 */
void lp_options_blame(const struct lp_command_line *line, struct lp_error *error);

/** Free what lp_options_parse allocated. @param line Parsed, also when that failed. */
void lp_options_deinit(struct lp_command_line *line);

/**
 * The help text of a command.
 *
 * @param command  Which; LP_COMMAND_HELP for the overview.
 *
 * @return Text of several lines for free(), or NULL when out of memory.
 */
char *lp_options_help(enum lp_command command);

#endif
