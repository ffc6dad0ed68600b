/**
 * Addresses: of a client (`lp_ip`), of a range of clients (`lp_network`), of a place to listen (`lp_listen_address`).
 *
 * An IPv4 address inside IPv6 (::ffff:a.b.c.d) becomes plain IPv4 wherever an address enters, so that a client is the
 * same client whichever socket it came through.
 */
#ifndef LP_BASE_ADDRESS_H
#define LP_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/socket_access.h"

/** Room for any address as text, its NUL included. */
#define LP_IP_TEXT_SIZE INET6_ADDRSTRLEN

/** Room for any listen address as text: "unix:" and a path are the longest. */
#define LP_LISTEN_TEXT_SIZE (sizeof("unix:") + sizeof(((struct sockaddr_un *)0)->sun_path))

enum lp_family { LP_FAMILY_UNIX = 0, LP_FAMILY_IPV4 = 4, LP_FAMILY_IPV6 = 6 };

/** Whom a connection is from. A unix peer has no bytes and no port. */
struct lp_ip {
	uint8_t family;    /**< enum lp_family. */
	uint8_t bytes[16]; /**< In network order; the first four for IPv4, the rest 0. */
};

struct lp_network {
	struct lp_ip ip; /**< Bits past the prefix are 0. */
	uint8_t prefix;  /**< 0–32 or 0–128. */
};

/** A place to listen on, as --listen names it. */
struct lp_listen_address {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} socket;
	socklen_t length;
	struct lp_socket_access access; /**< Of a unix path. */
	bool both_families; /**< ":port": the IPv6 socket takes IPv4 too; without IPv6 in the kernel, listen on 0.0.0.0. */
};

/**
 * Take an address apart.
 *
 * @param text    "203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9"; no port, no brackets, no zone. Need not end in NUL.
 * @param length  Bytes of text.
 * @param ip      Filled on success only.
 *
 * @return 0, or -EINVAL.
 */
int lp_ip_parse(const char *text, size_t length, struct lp_ip *ip);

/**
 * Write an address as text: dotted IPv4, or IPv6 in the form of RFC 5952. A unix peer becomes "".
 *
 * @param ip    Borrowed.
 * @param text  At least LP_IP_TEXT_SIZE bytes; ends in NUL.
 *
 * @return The length without the NUL.
 */
size_t lp_ip_format(const struct lp_ip *ip, char *text);

/**
 * The address and the port of a socket address.
 *
 * @param address  As accept4 fills it: AF_INET, AF_INET6, or anything else, which becomes a unix peer.
 * @param ip       Filled always.
 * @param port     Filled always, in host order; 0 for a unix peer.
 */
void lp_ip_from_socket(const struct sockaddr *address, struct lp_ip *ip, uint16_t *port);

/** Whether two addresses are the same. @param a Borrowed. @param b Borrowed. */
bool lp_ip_equal(const struct lp_ip *a, const struct lp_ip *b);

/**
 * Take a range apart.
 *
 * @param text     "10.0.0.0/8", "fd00::/8", or a single address. Bits past the prefix are cleared.
 * @param network  Filled on success only.
 * @param error    Says what is wrong with which text. NULL is allowed.
 *
 * @return 0, or -EINVAL.
 */
int lp_network_parse(const char *text, struct lp_network *network, struct lp_error *error);

/** Whether an address lies in a range; families never mix. @param network Borrowed. @param ip Borrowed. */
bool lp_network_contains(const struct lp_network *network, const struct lp_ip *ip);

/**
 * Take a --listen apart.
 *
 * @param text     "host:port", "[v6]:port", ":port" (both families), "unix:/path", "unix:/path,mode=660,group=www-data". A
 *                 host that is no address is looked up, and its first address taken. Port 0 asks the kernel for one.
 * @param address  Filled on success only.
 * @param error    Says what is wrong and lists the forms. NULL is allowed.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_listen_address_parse(const char *text, struct lp_listen_address *address, struct lp_error *error);

/**
 * The name of a listener: what --listen says, without what stands after a path.
 *
 * @param text  As --listen takes it.
 * @param name  At least LP_LISTEN_TEXT_SIZE bytes; ends in NUL; cut at the size.
 */
void lp_listen_address_name(const char *text, char *name);

/**
 * Whether two addresses cannot be listened at together: the same port at the same address, or at all addresses; the same
 * path, however it is written.
 *
 * @param a  Parsed.
 * @param b  Parsed.
 */
bool lp_listen_address_collides(const struct lp_listen_address *a, const struct lp_listen_address *b);

/**
 * Write a listen address in the form that --listen takes.
 *
 * @param address  Borrowed.
 * @param text     At least LP_LISTEN_TEXT_SIZE bytes; ends in NUL.
 */
void lp_listen_address_format(const struct lp_listen_address *address, char *text);

#endif
