/**
 * A process's title, as ps and top show it.
 */
#ifndef LP_KEEPER_TITLE_H
#define LP_KEEPER_TITLE_H

#include <stddef.h>

/** The place of the arguments that a process was started with. */
struct lp_title {
	char *start;
	size_t size;
	char **copies; /**< Owned. */
};

/**
 * Copy the arguments, so that their place can have a title.
 *
 * @param title  The caller's memory; lp_title_deinit it.
 * @param argc   As main got it.
 * @param argv   As main got it.
 *
 * @return The copies, NULL-terminated, valid until lp_title_deinit; argv without memory: then there is no title.
 */
char **lp_title_init(struct lp_title *title, int argc, char **argv);

/**
 * Set the title.
 *
 * @param title  Initialised.
 * @param text   What ps shows; cut off where the arguments ended.
 * @param name   What top shows: up to 15 bytes.
 */
void lp_title_set(const struct lp_title *title, const char *text, const char *name);

/** Free the copies. @param title Initialised. */
void lp_title_deinit(struct lp_title *title);

#endif
