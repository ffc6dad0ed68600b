/**
 * Who the client is when proxies stand between: X-Forwarded-For and Forwarded (RFC 7239), believed from the right and
 * only as far as trusted proxies wrote them.
 */
#ifndef LP_ROUTE_FORWARDED_H
#define LP_ROUTE_FORWARDED_H

#include <stddef.h>

#include "base/address.h"
#include "route/head.h"

/** The proxies that are believed. */
struct lp_trust {
	const struct lp_network *networks;
	size_t count;
};

/**
 * The client's address.
 *
 * The peer itself, unless it is trusted. From a trusted peer, the headers' addresses are walked from the last one back,
 * past trusted ones, to the first that is not (or the first of all). Repeated headers are one list. `ip`, `ip:port`,
 * `[v6]`, `[v6]:port`, and in Forwarded the quoted forms of `for=`, are taken.
 *
 * @param head    Parsed.
 * @param peer    The connection's own address.
 * @param trust   Borrowed. May be empty: then it is always the peer.
 * @param client  Filled on success only.
 *
 * @return 0; or -EINVAL when what a trusted proxy wrote where the client should stand is no address ("unknown", "_hidden",
 *         garbage), or when both headers are there and name different clients. A trusted peer without either header is
 *         the client itself. A trusted unix peer does not exist, so unix peers are believed if trust holds any network.
 */
int lp_forwarded_client(const struct lp_head *head, const struct lp_ip *peer, const struct lp_trust *trust,
			struct lp_ip *client);

#endif
