/**
 * Unix sockets at paths: bound without harm to anything else that is there, and removed only while they are still ours.
 *
 * A path outlives its socket, so a program that was killed leaves one behind. Such a path is a socket that refuses
 * connections, and only such a path is ever removed: a regular file, a folder, a symbolic link or a socket that somebody
 * listens at stays.
 */
#ifndef LP_BASE_UNIX_PATH_H
#define LP_BASE_UNIX_PATH_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/error.h"

/** A socket file that we have made. All zero: none. */
struct lp_unix_path {
	dev_t device;
	ino_t inode; /**< 0: none. */
};

/**
 * Fill in the address of a path.
 *
 * @param address  Filled on success.
 * @param path     Borrowed for the call.
 *
 * @return 0; -EINVAL for "", -ENAMETOOLONG.
 */
int lp_unix_path_address(struct sockaddr_un *address, const char *path);

/**
 * Bind a socket to a path. A path that a dead process left behind is replaced.
 *
 * @param fd     A unix socket, not bound. The caller's.
 * @param path   Borrowed for the call.
 * @param mode   The permissions of the path, such as 0600; -1: as the umask has it.
 * @param made   Set on success, for lp_unix_path_remove.
 * @param error  Filled on failure: says what is there and what to do. Does not name the purpose of the socket.
 *
 * @return 0; -EADDRINUSE: somebody listens there; -EEXIST: something else than a socket is there, and stays; or another
 *         negative errno.
 */
int lp_unix_path_bind(int fd, const char *path, int mode, struct lp_unix_path *made, struct lp_error *error);

/** What is at a path that an earlier process of ours has bound. @param path Borrowed. @param made Set; zero if there is no socket. */
void lp_unix_path_find(const char *path, struct lp_unix_path *made);

/** Whether the path is still the socket that we made. @param path Borrowed. @param made By lp_unix_path_bind, or zero. */
bool lp_unix_path_is_ours(const char *path, const struct lp_unix_path *made);

/**
 * Remove a path if it is still the socket that we made.
 *
 * @param path  Borrowed.
 * @param made  By lp_unix_path_bind, or all zero: then nothing is removed. All zero afterwards.
 */
void lp_unix_path_remove(const char *path, struct lp_unix_path *made);

#endif
