/**
 * Giving up root, when everything is open that takes it.
 */
#ifndef LP_SERVER_ROOT_H
#define LP_SERVER_ROOT_H

#include <stddef.h>

#include "base/error.h"
#include "server/data.h"
#include "server/listener.h"

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
