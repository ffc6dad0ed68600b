/**
 * Where the library is that goes in front of the C library of workers.
 */
#ifndef LP_WORKER_PRELOAD_LIBRARY_H
#define LP_WORKER_PRELOAD_LIBRARY_H

#include <stddef.h>

#include "base/error.h"

/** What parts libraries in LD_PRELOAD; it cannot be escaped. */
#define LP_PRELOAD_LIBRARY_SEPARATORS " :"

/**
 * Find the library: LIMPET_PRELOAD_LIBRARY names it, or it is beside this program, or where it is installed to.
 *
 * @param path   Set on success; ends in NUL.
 * @param size   Bytes of path.
 * @param error  Filled on failure: says where it was looked for.
 *
 * @return 0, or -ENOENT.
 */
int lp_preload_library_find(char *path, size_t size, struct lp_error *error);

/**
 * Make a path one that LD_PRELOAD can name. There blanks and colons part one library from the next, so a folder with one of
 * them in its name gets a symbolic link.
 *
 * @param path   Of the library; changed to lead through the link if it needs one.
 * @param size   Bytes of path.
 * @param link   Where the link is made, in a folder that only this user can write to. One that is there is replaced.
 * @param error  Filled on failure: names path and link.
 *
 * @return 1: the link was made, and has to stay while workers run. 0: it needs none. Or negative errno.
 */
int lp_preload_library_link(char *path, size_t size, const char *link, struct lp_error *error);

#endif
