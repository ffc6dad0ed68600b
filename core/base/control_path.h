/**
 * Where a balancer's control socket is: NAME.control in its run-time folder. The balancer makes it, tools look for it.
 *
 * Tools need no flag while one balancer runs. They ask only sockets in folders that nobody but root or the balancer's own
 * user can write to.
 */
#ifndef LP_BASE_CONTROL_PATH_H
#define LP_BASE_CONTROL_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/error.h"

/** Bytes of a balancer's name, at most. */
#define LP_CONTROL_NAME_MAX 64

/** Room for the path of a control socket. */
#define LP_CONTROL_PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

/** What the path of a control socket ends in. */
#define LP_CONTROL_SUFFIX ".control"

/** A control socket that a balancer answers at. */
struct lp_control_place {
	char name[LP_CONTROL_NAME_MAX + 1];
	char path[LP_CONTROL_PATH_SIZE];
};

/** Whether a text can name a balancer: 1 to 64 letters, digits, '.', '_' and '-', the first a letter or a digit. @param name Borrowed. */
bool lp_control_is_name(const char *name);

/**
 * The name of a balancer that was given none: its first listener's port, such as "3000"; of a unix path its last part
 * without ".sock"; "limpet" where that makes no name.
 *
 * @param address  As bound. Borrowed.
 * @param whole    Write an address, too, such as "127.0.0.2-3000": for when the short name is taken.
 * @param name     At least LP_CONTROL_NAME_MAX + 1 bytes; ends in NUL.
 */
void lp_control_name_listener(const struct lp_listen_address *address, bool whole, char *name);

/**
 * The path of a control socket.
 *
 * @param path    At least LP_CONTROL_PATH_SIZE bytes; ends in NUL.
 * @param folder  Borrowed.
 * @param name    Borrowed.
 *
 * @return 0, or -ENAMETOOLONG.
 */
int lp_control_path(char *path, const char *folder, const char *name);

/**
 * The control sockets that balancers answer at, by name: those in this user's run-time folder and in /run/limpet, with the
 * folders in it; for root, if there is none, those of other users. Where systemd has set $RUNTIME_DIRECTORY, only those in
 * that folder.
 *
 * @param wanted   A name that is tried also in folders that cannot be listed; or NULL. A name, as lp_control_is_name has it.
 * @param places   Set to the places, for free(); NULL when there is none.
 * @param skipped  Filled with the reason if a folder or a socket could not be looked at. NULL is allowed.
 *
 * @return How many, or -ENOMEM.
 */
long lp_control_list(const char *wanted, struct lp_control_place **places, struct lp_error *skipped);

/**
 * The one control socket to ask.
 *
 * @param name   Of the balancer; NULL: the only one that runs.
 * @param path   At least LP_CONTROL_PATH_SIZE bytes; filled on success.
 * @param error  Filled on failure: none runs, none has that name, or several run, with their names.
 *
 * @return 0, or negative.
 */
int lp_control_find(const char *name, char *path, struct lp_error *error);

#endif
