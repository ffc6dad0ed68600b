/**
 * Saying no: limpet's own answer to a connection that no worker gets.
 */
#ifndef LP_SERVER_REFUSAL_H
#define LP_SERVER_REFUSAL_H

#include <stdbool.h>

/** How much of a refused client's request is read, so that it can read the answer. */
#define LP_REFUSAL_DISCARD_BYTES (64u << 10)

/**
 * Answer with a status and end our side of the connection; the client's is read out with lp_refusal_discard. A client
 * that speaks TLS gets no answer, only the end.
 *
 * @param fd      The connection. What it has sent so far is thrown away.
 * @param status  400 – 599.
 */
void lp_refusal_send(int fd, int status);

/**
 * Throw away what a refused client still sends. Closing with bytes unread would reset the connection, and a reset can
 * overtake the answer.
 *
 * @param fd    The connection.
 * @param left  Bytes that may still come; lowered.
 *
 * @return Whether to go on waiting: false once the client has closed, failed, or sent too much.
 */
bool lp_refusal_discard(int fd, unsigned *left);

#endif
