/**
 * A TLS ClientHello: which host a client wants (SNI) and which protocols it speaks (ALPN).
 */
#ifndef LP_ROUTE_HELLO_H
#define LP_ROUTE_HELLO_H

#include <stddef.h>

#include "base/slice.h"

/** The first byte of every TLS handshake (its record's type); no HTTP method begins with it. */
#define LP_HELLO_FIRST_BYTE 0x16

/** Protocols of one hello that are kept; later ones are passed over. */
#define LP_HELLO_ALPN_MAX 8

/** Room for the names of those protocols together; one that no longer fits is passed over. "h2, http/1.1" takes 10. */
#define LP_HELLO_ALPN_BYTES 256

/** The longest host name that is kept: DNS has no longer one. */
#define LP_HELLO_SNI_BYTES 255

/**
 * The names are copies, for TLS records may cut a name in the wire's bytes in two. The slices point into the struct
 * itself: they are good until the next parse, and a struct copied by assignment still points into the first one.
 */
struct lp_hello {
	/** As sent. Absent without the extension, and for a name that is too long, is empty, or has a NUL in it. */
	struct lp_slice sni;
	struct lp_slice alpn[LP_HELLO_ALPN_MAX]; /**< As sent, in the client's order, GREASE values among them. */
	size_t alpn_count;
	char sni_bytes[LP_HELLO_SNI_BYTES];
	char alpn_bytes[LP_HELLO_ALPN_BYTES];
};

/**
 * Parse the start of a connection as TLS. A hello may be split over several records. With Encrypted ClientHello, what
 * is seen is the outer name.
 *
 * @param hello   Overwritten; filled only when a length is returned.
 * @param bytes   What was peeked, from the first byte of the connection on. Not needed after the call.
 * @param length  Bytes peeked. At least 1.
 *
 * @return The bytes that the hello takes, record headers included; or
 *         LP_AGAIN    right so far, and not yet complete
 *         LP_ENOTTLS  not a ClientHello, or one whose lengths do not fit together
 */
int lp_hello_parse(struct lp_hello *hello, const unsigned char *bytes, size_t length);

#endif
