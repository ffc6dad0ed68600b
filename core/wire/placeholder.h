/**
 * Placeholders: sockets that stand for a listener until its process is registered. Their name tells the preloaded
 * library, in whatever process they turn up, which address of which limpet they stand for. Both ends share this; nothing
 * but the C library is used here.
 */
#ifndef LP_WIRE_PLACEHOLDER_H
#define LP_WIRE_PLACEHOLDER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/**
 * Name a placeholder, each time differently: nobody can guess a name and take it beforehand.
 *
 * @param name     Filled: an abstract name.
 * @param door     Path of the registration socket.
 * @param address  Of the listener: AF_INET and AF_INET6 with its host, whose port goes without saying; of AF_UNIX and others
 *                 only the family counts.
 * @param which    Of limpet's addresses, from 0.
 *
 * @return Bytes of the name, for bind(2). Should that say EADDRINUSE, ask for another.
 */
socklen_t lp_placeholder_name(struct sockaddr_un *name, const char *door, const struct sockaddr *address,
			      unsigned which);

/**
 * Read a socket's name.
 *
 * @param name     As getsockname(2) gives it.
 * @param length   Its bytes.
 * @param door     Path of the registration socket.
 * @param address  Set on success: family and host, port 0.
 * @param which    Set on success: of limpet's addresses.
 *
 * @return Whether it is a placeholder of that limpet.
 */
bool lp_placeholder_read(const struct sockaddr_un *name, socklen_t length, const char *door,
			 struct sockaddr_storage *address, unsigned *which);

/**
 * Make a placeholder.
 *
 * @param door     As for lp_placeholder_name, as are the others.
 * @param address  See there.
 * @param which    See there.
 *
 * @return A descriptor (CLOEXEC), the caller's; or negative errno.
 */
int lp_placeholder_make(const char *door, const struct sockaddr *address, unsigned which);

#endif
