/**
 * A TLS ClientHello, read where it lies: which host a client wants (SNI) and which protocols it speaks (ALPN).
 */
#ifndef LP_ROUTE_HELLO_H
#define LP_ROUTE_HELLO_H

#include <stddef.h>

#include "base/slice.h"

/** Protocols of one hello that are kept; later ones are passed over. */
#define LP_HELLO_ALPN_MAX 8

/** Slices point into the parsed bytes. */
struct lp_hello {
	struct lp_slice sni; /**< Absent without the extension. As sent; a name with a NUL in it counts as absent. */
	struct lp_slice alpn[LP_HELLO_ALPN_MAX];
	size_t alpn_count;
};

/**
 * Parse the start of a connection as TLS. A hello may be split over several records.
 *
 * @param hello   Overwritten.
 * @param bytes   What was peeked, from the first byte of the connection on. Borrowed for as long as hello is used.
 * @param length  Bytes peeked. At least 1.
 *
 * @return The bytes that the hello takes; or
 *         LP_AGAIN    right so far, and not yet complete
 *         LP_ENOTTLS  not a ClientHello, or one whose lengths do not fit together
 */
int lp_hello_parse(struct lp_hello *hello, const unsigned char *bytes, size_t length);

#endif
