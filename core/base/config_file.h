/**
 * Configuration files: the flags of `limpet run` without their dashes, one per line.
 *
 *     # The chat, on four processes.
 *     listen :3000
 *     workers 4
 *     policy /etc/limpet/tenants.lua
 *     set tenants=/etc/tenants
 *     worker-prefix
 *     -- node "/srv/my chat/server.js"
 *
 * A line is a flag's name, blanks or '=', and its value up to the end of the line; or a comment, which begins with '#'; or
 * "--" and the program with its arguments, where quotes keep blanks together. Blanks around it all do not count.
 */
#ifndef LP_BASE_CONFIG_FILE_H
#define LP_BASE_CONFIG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/** Bytes of a file, at most. */
#define LP_CONFIG_FILE_MAX (1u << 20)

/** A flag. */
struct lp_config_line {
	char *flag;  /**< "--listen". */
	char *value; /**< NULL: none is given. */
	unsigned line;
};

/** A file. Owns all that it points to but the path. */
struct lp_config_file {
	const char *path;
	struct lp_config_line *lines;
	size_t count;
	char **program; /**< Ends in NULL; NULL: the file names none. */
	unsigned program_line;
};

/**
 * Take a file's text apart.
 *
 * @param file    Filled; lp_config_file_deinit it, also after an error.
 * @param path    For errors. Borrowed like the file.
 * @param text    Need not end in NUL. Borrowed for the call.
 * @param length  Bytes of text.
 * @param error   Filled on failure: "PATH:LINE: …".
 *
 * @return 0, LP_EUSAGE or -ENOMEM.
 */
int lp_config_file_parse(struct lp_config_file *file, const char *path, const char *text, size_t length,
			 struct lp_error *error);

/** Read a file and take it apart; as lp_config_file_parse. @param file Filled; lp_config_file_deinit it, also after an error.
 * @param path Borrowed like the file. @param error Filled on failure. @return 0, LP_EUSAGE, -ENOMEM. */
int lp_config_file_read(struct lp_config_file *file, const char *path, struct lp_error *error);

/**
 * The digest of a file as it is now: to find out later whether it has changed.
 *
 * @param path    Borrowed.
 * @param digest  LP_SHA256_BYTES bytes; filled on success.
 *
 * @return 0, or negative errno.
 */
int lp_config_file_digest(const char *path, uint8_t *digest);

/** Free a file. @param file All zero is fine too. */
void lp_config_file_deinit(struct lp_config_file *file);

#endif
