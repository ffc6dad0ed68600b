/**
 * Addresses in the family of the program's own socket. limpet's listener may be of another family than the socket that
 * the program believes it listens on: a dual-stack or a unix listener in front of a program with an AF_INET socket, for
 * example. A program must never be shown an address that its own socket could not have.
 *
 *     program's socket    IPv4 client          IPv6 client           client of a unix listener
 *     AF_INET             as it is             0.0.0.0, its port     0.0.0.0, port 0
 *     AF_INET6            ::ffff:a.b.c.d       as it is              ::, port 0
 *     AF_UNIX             no name              no name               as it is
 *
 * An IPv6 address has no AF_INET form. 0.0.0.0 is what such a program gets, because no client can have that address and
 * no program trusts it, as it may trust 127.0.0.1.
 */
#ifndef LP_PRELOAD_ADDRESSES_H
#define LP_PRELOAD_ADDRESSES_H

#include <stdbool.h>
#include <sys/socket.h>

/**
 * Express an address in a family, by the table above.
 *
 * @param address  Of AF_INET, AF_INET6 or AF_UNIX. Overwritten.
 * @param length   Its bytes.
 * @param family   AF_INET, AF_INET6 or AF_UNIX.
 *
 * @return Bytes of the result, as the kernel counts them.
 */
socklen_t lp_address_express(struct sockaddr_storage *address, socklen_t length, sa_family_t family);

/**
 * Whether an address can be expressed in a family without loss.
 *
 * @param address  Of AF_INET, AF_INET6 or AF_UNIX.
 * @param family   AF_INET, AF_INET6 or AF_UNIX.
 */
bool lp_address_fits(const struct sockaddr_storage *address, sa_family_t family);

/**
 * Check what a program passes for an address to be written to.
 *
 * @param address  The program's memory, or NULL.
 * @param length   The program's, or NULL.
 *
 * @return 0, or what the kernel answers: -EFAULT where a pointer is missing, -EINVAL where *length is negative.
 */
int lp_address_check(const struct sockaddr *address, const socklen_t *length);

/**
 * Write an address to a program's memory as the kernel does: cut to the room there is, with the true length in *length.
 *
 * @param to           The program's memory, of *length bytes.
 * @param length       In: the room; out: the address's bytes. Checked by lp_address_check.
 * @param address      What to write.
 * @param true_length  Its bytes.
 */
void lp_address_give(struct sockaddr *to, socklen_t *length, const struct sockaddr_storage *address,
		     socklen_t true_length);

#endif
