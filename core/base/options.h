/**
 * The command line, as data.
 *
 * One table, in options_flags.c, names every flag, what it takes and what the help says; parsing and `--help` both read
 * it, so they cannot drift apart.
 */
#ifndef LP_BASE_OPTIONS_H
#define LP_BASE_OPTIONS_H

#include "base/error.h"
#include "limpet/balancer.h"

enum lp_command {
	LP_COMMAND_RUN,
	LP_COMMAND_STATUS,  /**< `limpet status --control PATH`: print what a running balancer answers. */
	LP_COMMAND_HELP,    /**< `limpet`, `limpet help`, `limpet run --help` … */
	LP_COMMAND_VERSION, /**< `limpet version`, `limpet --version`. */
};

/** A parsed command line. Owns its arrays; borrows argv's strings. */
struct lp_command_line {
	enum lp_command command;
	enum lp_command help_of; /**< For LP_COMMAND_HELP: which one's; LP_COMMAND_HELP itself for the overview. */
	struct limpet_options options;
	const char **lists; /**< The memory behind the options' lists. */
};

/**
 * Take a command line apart: `limpet COMMAND [--flag value | --flag=value]… [-- program argument…]`.
 *
 * @param argc   As main got it.
 * @param argv   As main got it, NULL-terminated; borrowed until lp_options_deinit.
 * @param line   Filled always; lp_options_deinit it.
 * @param error  Filled on failure: names the flag, the value, what it takes, and the nearest flag if one was misspelt.
 *
 * @return 0, LP_EUSAGE, or -ENOMEM.
 */
int lp_options_parse(int argc, char **argv, struct lp_command_line *line, struct lp_error *error);

/** Free what lp_options_parse allocated. @param line Parsed, also when that failed. */
void lp_options_deinit(struct lp_command_line *line);

/**
 * The help text of a command.
 *
 * @param command  Which; LP_COMMAND_HELP for the overview.
 *
 * @return Text of several lines for free(), or NULL without memory.
 */
char *lp_options_help(enum lp_command command);

#endif
