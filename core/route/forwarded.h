/**
 * Who the client is when proxies stand between: the one header that they write, believed from the right and only as far as
 * trusted proxies wrote it. Any other header is the client's own word, and is not read.
 */
#ifndef LP_ROUTE_FORWARDED_H
#define LP_ROUTE_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "route/head.h"

/** The header that proxies write. */
enum lp_forwarded_header {
	LP_X_FORWARDED_FOR, /**< A list of addresses. */
	LP_FORWARDED,       /**< RFC 7239. */
	LP_X_REAL_IP,       /**< As X-Forwarded-For; most proxies put one address there. */
	LP_FORWARDED_HEADERS,
};

/** The proxies that are believed. */
struct lp_trust {
	const struct lp_network *networks;
	size_t count;
	enum lp_forwarded_header header;
};

/** A header by name. @param name In any case: "x-forwarded-for". @param header Filled if there is one. @return Whether there is. */
bool lp_forwarded_header_find(const char *name, enum lp_forwarded_header *header);

/**
 * The client's address.
 *
 * The peer itself, unless it is trusted. From a trusted peer, the header's addresses are walked from the last one back,
 * past trusted ones, to the first that is not (or the first of all). A repeated header is one list. `ip`, `ip:port`,
 * `[v6]`, `[v6]:port`, and in Forwarded the quoted forms of `for=`, are taken.
 *
 * @param head    Parsed.
 * @param peer    The connection's own address.
 * @param trust   Borrowed. May be empty: then it is always the peer.
 * @param client  Filled on success only.
 *
 * @return 0; or -EINVAL when what a trusted proxy wrote where the client should stand is no address ("unknown", "_hidden",
 *         garbage). A trusted peer without the header is the client itself. A trusted unix peer does not exist, so unix peers are believed if trust holds any network.
 */
int lp_forwarded_client(const struct lp_head *head, const struct lp_ip *peer, const struct lp_trust *trust,
			struct lp_ip *client);

#endif
