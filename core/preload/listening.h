/**
 * The program's listening sockets at limpet's addresses.
 *
 *     OTHER --bind to our address--> BOUND (a placeholder) --listen--> LISTENER --interest--> LISTENER (names the set)
 *     a descriptor that was inherited (3, or by a program that a worker has started), or came over a unix socket, and is a
 *     placeholder: LISTENER
 *
 * It is a placeholder from bind on, as some programs bind, and leave it to others that they start to listen.
 *
 * A placeholder is a unix socket with a name by which any process that has this library knows it again.
 */
#ifndef LP_PRELOAD_LISTENING_H
#define LP_PRELOAD_LISTENING_H

#include <stdbool.h>
#include <sys/socket.h>

/**
 * Say which addresses are limpet's, and find the placeholders among the descriptors that this program began with.
 *
 * @param addresses  "5000,unix:/run/app.sock": ports and paths.
 * @param door       Path of limpet's registration socket: part of a placeholder's name. Copied.
 */
void lp_listening_begin(const char *addresses, const char *door);

/**
 * The program binds a socket.
 *
 * @param fd       Any.
 * @param address  Where to.
 * @param length   Its bytes.
 *
 * @return Whether it is a stream socket and the address limpet's: then nothing is left to do.
 */
bool lp_listening_bind(int fd, const struct sockaddr *address, socklen_t length);

/** A descriptor has come over a unix socket (SCM_RIGHTS): maybe a placeholder. @param fd Any number. */
void lp_listening_received(int fd);

/** The program listens on a bound socket. @param fd BOUND or LISTENER. */
void lp_listening_listen(int fd);

/**
 * What the program bound a socket to.
 *
 * @param fd       BOUND or LISTENER.
 * @param address  Filled as far as there is room.
 * @param length   In: the room; out: the address's bytes.
 *
 * @return 0, or negative errno as lp_address_check.
 */
int lp_listening_name(int fd, struct sockaddr *address, socklen_t *length);

/**
 * accept4(2).
 *
 * @param fd       LISTENER.
 * @param address  Filled with the client's, unless NULL.
 * @param length   In and out.
 * @param flags    SOCK_CLOEXEC, SOCK_NONBLOCK.
 *
 * @return A descriptor, or -1 with errno set.
 */
int lp_listening_accept(int fd, struct sockaddr *address, socklen_t *length, int flags);

/** A descriptor is about to be closed, or to name something else. @param fd Any number. */
void lp_listening_closing(int fd);

/** A descriptor names now what another does. @param fd The new one, of kind OTHER. @param like The old one. */
void lp_listening_copied(int fd, int like);

/**
 * getsockopt(2).
 *
 * @param fd      BOUND or LISTENER.
 * @param level   SOL_SOCKET, IPPROTO_TCP …
 * @param name    Of the option.
 * @param value   Filled.
 * @param length  In and out.
 *
 * @return 0, or -1 with errno set.
 */
int lp_listening_option(int fd, int level, int name, void *value, socklen_t *length);

#endif
