/**
 * limpet's addresses, and what this process has bound to them: which of its listeners a connection is for.
 *
 *     bound --listen--> listening --the last descriptor is closed--> deaf --listen--> listening
 *
 * A binding is known for ever. What comes for a deaf one is another process's; only what comes to an address of limpet's
 * at which this process has never listened goes to whichever of its listeners takes it.
 *
 * Any thread may call any of these at any time.
 */
#ifndef LP_PRELOAD_BINDINGS_H
#define LP_PRELOAD_BINDINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/** Different addresses that a process can bind; one bit each in a mask. */
#define LP_BINDINGS_MAX 64

/** Addresses that limpet can have; one bit each in a mask. */
#define LP_ADDRESSES_MAX 16

/** An address that the program has bound. */
struct lp_binding {
	unsigned which; /**< Of limpet's addresses. */
	socklen_t length;
	struct sockaddr_storage address;
};

/** Say which addresses are limpet's. @param addresses "5000,unix:/run/app.sock": ports and paths. */
void lp_bindings_begin(const char *addresses);

/** Whether a path is that of a socket of limpet's. @param path As the program writes it. */
bool lp_bindings_is_path(const char *path);

/**
 * Whether an address is a path of limpet's at which this process does not listen.
 *
 * @param address  Where a client of the program's connects to.
 * @param length   Its bytes.
 */
bool lp_bindings_is_free(const struct sockaddr *address, socklen_t length);

/**
 * Bind.
 *
 * @param address  Where to.
 * @param length   Its bytes.
 *
 * @return The binding's number, the same for the same address; or -1: the address is not limpet's, or there are
 *         LP_BINDINGS_MAX others.
 */
int lp_bindings_add(const struct sockaddr *address, socklen_t length);

/**
 * Bind to what another process of this limpet's has bound, as far as a placeholder tells.
 *
 * @param host   Family and host; the port is limpet's.
 * @param which  Of limpet's addresses.
 *
 * @return As lp_bindings_add.
 */
int lp_bindings_inherit(const struct sockaddr_storage *host, unsigned which);

/** What a number stands for. @param binding Of one that was added. */
const struct lp_binding *lp_bindings_get(unsigned binding);

/**
 * What a stream socket that nobody has set anything on says of an option: a program may copy it to its connections.
 *
 * @param family  The socket's.
 * @param level   Of the option.
 * @param name    Of it.
 * @param value   Filled.
 * @param length  In and out.
 *
 * @return 0, or -1 with errno set.
 */
int lp_bindings_ask_option(sa_family_t family, int level, int name, void *value, socklen_t *length);

/**
 * A descriptor begins to listen at a binding.
 *
 * @param binding  Of one that was added.
 * @param asked    Whether the program has said so; not, if it merely began with the descriptor, or copied it.
 */
void lp_bindings_listen(unsigned binding, bool asked);

/** The program says that a descriptor listens which it was given as a listener. @param binding Of one that was added. */
void lp_bindings_ask(unsigned binding);

/**
 * A descriptor that listened ends.
 *
 * @param binding  Of one that was added.
 * @param last     Set to whether no descriptor of the process listens anywhere any more.
 *
 * @return Whether it was the last at this binding.
 */
bool lp_bindings_unlisten(unsigned binding, bool *last);

/**
 * Which binding a connection is for: of those that take connections the one that the kernel would choose, the address
 * before the wildcard, and its own family before another's.
 *
 * @param fd      The connection.
 * @param taker   The binding that it was taken for.
 * @param takers  The mask of the bindings that take connections in this process.
 *
 * @return A binding of the mask; or -1: of a listener that takes none here.
 */
int lp_bindings_choose(int fd, unsigned taker, uint64_t takers);

#endif
