/**
 * Who has the address that we want.
 */
#ifndef LP_SERVER_PORT_HOLDER_H
#define LP_SERVER_PORT_HOLDER_H

#include <stddef.h>

#include "base/address.h"

/** Room for any description. */
#define LP_PORT_HOLDER_SIZE 160

/**
 * Describe the process that listens at an address, as far as the kernel tells us: "node server.js (pid 1234)", "a process of
 * user 1001".
 *
 * @param address  That could not be bound.
 * @param text     At least LP_PORT_HOLDER_SIZE bytes; ends in NUL. "another process" when nothing is told.
 */
void lp_port_holder_describe(const struct lp_listen_address *address, char *text);

#endif
