/**
 * What a program asks of a connection that it accepted: names and options. It is answered as if the connection had come
 * through the program's own socket; limpet's listener may be of another family (addresses.h).
 *
 * A local address that the program's family cannot express is the one that its listener is bound to.
 */
#ifndef LP_PRELOAD_ACCEPTED_H
#define LP_PRELOAD_ACCEPTED_H

#include <stdbool.h>
#include <sys/socket.h>

/**
 * Begin to follow a connection.
 *
 * @param fd       The connection, any number.
 * @param binding  Of the listener that it came for.
 */
void lp_accepted_begin(int fd, unsigned binding);

/**
 * The address that accept(2) tells. It is known also where the client has reset the connection already.
 *
 * @param fd       The connection, any number.
 * @param binding  Of the listener that it came for.
 * @param address  Filled. Checked by lp_address_check, as length.
 * @param length   In and out.
 */
void lp_accepted_peer(int fd, unsigned binding, struct sockaddr *address, socklen_t *length);

/**
 * getsockname(2) and getpeername(2).
 *
 * @param fd       CONNECTION.
 * @param peer     Whether it is getpeername.
 * @param address  Filled.
 * @param length   In and out.
 *
 * @return 0, or -1 with errno set.
 */
int lp_accepted_name(int fd, bool peer, struct sockaddr *address, socklen_t *length);

/** Whether the connection is of the family of the program's socket. @param fd CONNECTION. */
bool lp_accepted_is_own_family(int fd);

/** getsockopt(2). @param fd CONNECTION. @param level Of the option. @param name Of it. @param value Filled.
 *  @param length In and out. @return 0, or -1 with errno set. */
int lp_accepted_get_option(int fd, int level, int name, void *value, socklen_t *length);

/** setsockopt(2): an option that only the program's family has is accepted, and does nothing. @param fd CONNECTION.
 *  @param level Of the option. @param name Of it. @param value Borrowed. @param length Its bytes.
 *  @return 0, or -1 with errno set. */
int lp_accepted_set_option(int fd, int level, int name, const void *value, socklen_t length);

#endif
