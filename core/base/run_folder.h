/**
 * The run-time folder: where a running balancer keeps the sockets that tools and workers find it by.
 *
 * A folder that somebody else can write to is no place for them: who can replace a socket there is who gets asked.
 */
#ifndef LP_BASE_RUN_FOLDER_H
#define LP_BASE_RUN_FOLDER_H

#include <limits.h>
#include <sys/types.h>

#include "base/error.h"

/** Room for the path of a run-time folder. */
#define LP_RUN_FOLDER_SIZE PATH_MAX

/**
 * The run-time folder of this process: the first of $RUNTIME_DIRECTORY, which systemd sets for a service with
 * RuntimeDirectory=; for root /run/limpet; $XDG_RUNTIME_DIR/limpet; /tmp/limpet-UID.
 *
 * @param path  At least LP_RUN_FOLDER_SIZE bytes; ends in NUL. The folder need not exist.
 */
void lp_run_folder_find(char *path);

/**
 * Whether a folder is one that nobody but its owner can write to, and its owner is root or this user. Symbolic links are
 * not followed.
 *
 * @param path   Borrowed.
 * @param owner  Set to the owner on success. NULL is allowed.
 * @param error  Filled on failure: names the folder and says what is wrong with it.
 *
 * @return 0; -EPERM; or another negative errno: it cannot be looked at.
 */
int lp_run_folder_check(const char *path, uid_t *owner, struct lp_error *error);

/**
 * Make a run-time folder if it is not there, with mode 0711: others pass through it to a socket that they know. Then check
 * that it is this user's, as lp_run_folder_check does.
 *
 * @param path   Borrowed. Its parent exists.
 * @param flag   Of the command line, that names another place: "--preload-dir". For the error.
 * @param error  Filled on failure: names the folder, the reason and the flag.
 *
 * @return 0, or negative errno.
 */
int lp_run_folder_make(const char *path, const char *flag, struct lp_error *error);

#endif
