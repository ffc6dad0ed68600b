/**
 * Commands and flags as data, for the two who read them: options.c, which parses, and options_help.c, which prints.
 */
#ifndef LP_BASE_OPTIONS_FLAGS_H
#define LP_BASE_OPTIONS_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/options.h"

/** What a flag takes, and so what its field is. */
enum lp_flag_kind {
	LP_FLAG_HEADING,  /**< Not a flag: a heading of the help, its name the text. */
	LP_FLAG_ON,       /**< No value; int, becomes 1. */
	LP_FLAG_OFF,      /**< No value; int, becomes 0. */
	LP_FLAG_NUMBER,   /**< uint32_t, or int. */
	LP_FLAG_BYTES,    /**< uint32_t: "16384", "16k", "1m". */
	LP_FLAG_DURATION, /**< uint32_t of milliseconds: "500ms", "10s", "2m", "1h"; "10" are seconds. */
	LP_FLAG_CHOICE,   /**< const char *: one of `choices`. */
	LP_FLAG_TEXT,     /**< const char *. */
	LP_FLAG_LIST,     /**< const char *const *, and its size_t at `count`: each use adds one. */
};

/** Where a list lies in the memory behind all of them. */
enum lp_flag_list {
	LP_FLAG_LISTEN,
	LP_FLAG_POLICIES,
	LP_FLAG_SESSIONS,
	LP_FLAG_SETTINGS,
	LP_FLAG_TRUSTED,
	LP_FLAG_WORKER_ENV,
	LP_FLAG_ADMIN_HOSTS,
	LP_FLAG_FILES,
	LP_FLAG_HEADERS,
	LP_FLAG_ALPN,
	LP_FLAG_KNOWN,
	LP_FLAG_LISTS
};

struct lp_flag {
	enum lp_flag_kind kind;
	const char *name;  /**< With its dashes. */
	const char *value; /**< What the help calls its value. NULL: it takes none. */
	size_t field;      /**< Offset in struct lp_command_line. */
	union {
		struct {
			uint32_t least;
			uint32_t most;
		};                          /**< LP_FLAG_NUMBER, _BYTES, _DURATION. */
		const char *const *choices; /**< LP_FLAG_CHOICE: ends in NULL. */
		struct {
			enum lp_flag_list list;
			size_t count; /**< Offset. */
		};                    /**< LP_FLAG_LIST. */
	};
	/** Whether a value can be used: 0, or LP_EUSAGE or -EINVAL with the error filled. NULL: any can. */
	int (*check)(const char *value, struct lp_error *error);
	const char *help; /**< A phrase; bounds and defaults are added to it. */
};

/** A command of `limpet COMMAND`. */
struct lp_command_entry {
	const char *name;
	const char *arguments; /**< After the name in "Usage:". */
	const char
		*files; /**< What the arguments other than flags are, at least one: "a policy". NULL: there are none. */
	const char *summary;
	const char *examples; /**< Whole lines, the first of them "Example:". NULL: none. */
	const char *notes;    /**< Whole lines after the flags: values explained. NULL: none. */
	const struct lp_flag *flags;
	size_t flag_count;
};

#define LP_COMMANDS (LP_COMMAND_VERSION + 1)

/** By enum lp_command. */
extern const struct lp_command_entry lp_command_entries[LP_COMMANDS];

/** Fill a command line with what holds for flags that are not given. @param line Overwritten whole. */
void lp_command_line_init(struct lp_command_line *line);

/** Room for lp_flag_format. */
#define LP_FLAG_TEXT_SIZE 16

/**
 * Write a number the way its flag takes it, in the largest unit that keeps it whole: "16k", "10s".
 *
 * @param kind   LP_FLAG_NUMBER, LP_FLAG_BYTES or LP_FLAG_DURATION.
 * @param value  As the field holds it.
 * @param text   At least LP_FLAG_TEXT_SIZE bytes; ends in NUL.
 */
void lp_flag_format(enum lp_flag_kind kind, uint32_t value, char *text);

/**
 * Read a number, with a suffix of its kind's units or none.
 *
 * @param flag    An LP_FLAG_NUMBER, LP_FLAG_BYTES or LP_FLAG_DURATION.
 * @param text    "16k", "500ms".
 * @param number  Filled on success, as the field holds it.
 *
 * @return Whether it is one, and within the flag's bounds.
 */
bool lp_flag_number(const struct lp_flag *flag, const char *text, uint32_t *number);

/**
 * What a flag takes, in words that follow "is not" and "needs": "a number from 1 to 256".
 *
 * @param flag  One that takes a value.
 * @param text  Ends in NUL.
 * @param size  Bytes of text; the words are cut to it.
 */
void lp_flag_describe(const struct lp_flag *flag, char *text, size_t size);

/** Room for lp_flag_explain. */
#define LP_FLAG_HELP_SIZE 1024

/**
 * All that the help and the manual say about a flag: its phrase, its choices and its default.
 *
 * @param flag      Not a heading.
 * @param defaults  As lp_command_line_init fills it.
 * @param text      Ends in NUL.
 * @param size      Bytes of text, such as LP_FLAG_HELP_SIZE; longer text is cut.
 */
void lp_flag_explain(const struct lp_flag *flag, const struct lp_command_line *defaults, char *text, size_t size);

/** What limpet is, in whole lines; opens the help and the manual. */
extern const char lp_options_introduction[];

/** Signals and exit status, in whole lines. */
extern const char lp_options_operation[];

#endif
