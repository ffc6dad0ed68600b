/**
 * Giving up root, when everything is open that takes it.
 */
#ifndef LP_SERVER_GIVE_UP_ROOT_H
#define LP_SERVER_GIVE_UP_ROOT_H

#include <stddef.h>

#include "base/error.h"
#include "server/balancer_private.h"
#include "server/listener.h"

/**
 * Make the run-time folder that registering workers need, while limpet is root: then nobody can be first where it is to be.
 * It belongs to the user of --user.
 *
 * @param data    Its options say whose, and where.
 * @param folder  Set to its path, or to "" where workers do not register; at least LP_RUN_FOLDER_SIZE bytes.
 * @param error   Filled on failure.
 *
 * @return 0, or negative.
 */
int lp_make_run_folder(const struct lp_data *data, char *folder, struct lp_error *error);

/**
 * Become the user of --user, who also gets the sockets in the file system. Without --user nothing is done.
 *
 * @param data       Its options say whom; its policies must load for that user too.
 * @param listeners  Open. Borrowed.
 * @param count      How many.
 * @param control    The path of the control socket, or NULL.
 * @param error      Filled on failure.
 *
 * @return 0; or negative: the process is not to go on.
 */
int lp_give_up_root(struct lp_data *data, const struct lp_listener *listeners, size_t count, const char *control,
		    struct lp_error *error);

#endif
