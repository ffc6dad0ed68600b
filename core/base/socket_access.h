/**
 * Who may connect to a unix socket: "mode=660,user=app,group=www-data" after the path of a --listen.
 *
 * To connect, a client needs write permission on the socket, and passage through the folders above it.
 */
#ifndef LP_BASE_SOCKET_ACCESS_H
#define LP_BASE_SOCKET_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct lp_socket_access {
	bool has_mode;
	bool has_user;
	bool has_group;
	mode_t mode; /**< With has_mode, and 0660 with a group alone. */
	uid_t user;
	gid_t group;
};

/**
 * Read what stands after a path.
 *
 * @param text    "mode=660,user=app,group=www-data" in any order, each at most once; users and groups by name or number.
 * @param whole   What the text is part of, for messages.
 * @param access  Filled on success only.
 * @param error   Filled on failure: names the part, and what it can be.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_socket_access_parse(const char *text, const char *whole, struct lp_socket_access *access,
			   struct lp_error *error);

/**
 * Give a socket that was just bound to its user and group.
 *
 * @param access  Parsed; all zero changes nothing.
 * @param path    Of the socket.
 * @param error   Filled on failure; names the path and what is needed.
 *
 * @return 0, or negative errno.
 */
int lp_socket_access_give(const struct lp_socket_access *access, const char *path, struct lp_error *error);

#endif
