/**
 * The page at --admin: its files, which are part of the program.
 */
#ifndef LP_ADMIN_PAGE_H
#define LP_ADMIN_PAGE_H

#include <stddef.h>

/** One of them. */
struct lp_page_file {
	const char *name; /**< "page.html". */
	const char *bytes;
	size_t length;
};

/** All of them; the last one has no name. */
extern const struct lp_page_file lp_page_files[];

#endif
