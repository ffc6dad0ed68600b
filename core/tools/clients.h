/**
 * Made-up clients, for trying policies without a network.
 *
 * A client is a number: the same number is the same client on every run and machine, and nothing of it is stored. It
 * has an address, opens a few connections, and sends what a browser sends to a Socket.IO server.
 */
#ifndef LP_TOOLS_CLIENTS_H
#define LP_TOOLS_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/** The most connections that a client opens. */
#define LP_CLIENT_CONNECTIONS_MAX 4

/** A sid with its NUL: as long as Engine.IO's. */
#define LP_CLIENT_SID_SIZE 21

/** Room for any client's request. */
#define LP_CLIENT_REQUEST_SIZE 1536

/** The headers of a client's request. */
#define LP_CLIENT_REQUEST_HEADERS 12

/** Addresses that clients of LP_CLIENTS_BEHIND_NAT share. */
#define LP_CLIENT_OFFICES 10

enum lp_clients {
	LP_CLIENTS_EVERYWHERE, /**< Hardly two share an address; three in ten have IPv6. */
	LP_CLIENTS_BEHIND_NAT, /**< Two in five are in one of the offices; the largest holds a third of these. */
};

/** A client's address. @param number Whose. @param where Of what crowd it is one. @param ip Filled. */
void lp_client_ip(uint64_t number, enum lp_clients where, struct lp_ip *ip);

/** How many connections a client opens, 1 – LP_CLIENT_CONNECTIONS_MAX. @param number Whose. */
unsigned lp_client_connections(uint64_t number);

/**
 * The sid of a client.
 *
 * @param number   Whose.
 * @param session  Its how-manieth session.
 * @param sid      At least LP_CLIENT_SID_SIZE bytes; 20 letters and digits and a NUL.
 */
void lp_client_sid(uint64_t number, unsigned session, char *sid);

/**
 * The head of a client's request: Socket.IO's polling, with Cookie ("session" among them), X-Tenant (one of a hundred)
 * and X-Forwarded-For (the client, then 10.0.0.1) among its headers.
 *
 * @param number  Whose.
 * @param ip      Its address.
 * @param sid     NULL for the first request of a session.
 * @param text    At least LP_CLIENT_REQUEST_SIZE bytes. No NUL is added.
 *
 * @return The head's length.
 */
size_t lp_client_request(uint64_t number, const struct lp_ip *ip, const char *sid, char *text);

#endif
