/**
 * The recorder: a bounded ring of the connections that were decided last, with the heads that policies saw of them.
 *
 * What a new policy is tried on before it is used, and what `limpet record` writes. Memory: LP_RECORDER_CONNECTIONS times
 * LP_RECORDED_HEAD_BYTES and some 64 bytes each, 1.1 MiB, of which only what was ever written to is resident.
 */
#ifndef LP_SERVER_RECORDER_H
#define LP_SERVER_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "route/recording.h"

#define LP_RECORDER_CONNECTIONS 256

struct lp_recorder;

/** Make an empty recorder. @return For lp_recorder_free, or NULL when out of memory. */
struct lp_recorder *lp_recorder_new(void);

/** Free a recorder. @param recorder NULL is allowed. */
void lp_recorder_free(struct lp_recorder *recorder);

/**
 * Note a connection with its head, unless the head is too long, or one was noted in the same millisecond: so a burst
 * costs a comparison a connection.
 *
 * @param recorder  Borrowed.
 * @param now_ms    On the loop's clock.
 * @param conn      Borrowed for the call, except its listener, which must outlive the recorder.
 * @param bytes     What was seen of it, from its first byte on; only read when conn has a head or a hello.
 * @param length    How much of bytes is that head or hello. A body behind it is never kept.
 * @param worker    Where it goes; 0: it is refused.
 */
void lp_recorder_note(struct lp_recorder *recorder, uint64_t now_ms, const struct lp_policy_conn *conn,
		      const char *bytes, size_t length, unsigned worker);

/** How many there are, up to LP_RECORDER_CONNECTIONS. @param recorder Borrowed. */
size_t lp_recorder_count(const struct lp_recorder *recorder);

/**
 * One of the recorded connections.
 *
 * @param recorder  Borrowed.
 * @param back      0 for the most recent, up to the count - 1.
 *
 * @return Inside the recorder, good until the next is noted.
 */
const struct lp_recorded *lp_recorder_get(const struct lp_recorder *recorder, size_t back);

/**
 * All connections as a recording (route/recording.h), the oldest first.
 *
 * @param recorder  Borrowed.
 * @param raw       With the values of cookies and authorization headers.
 * @param length    Set to its bytes.
 *
 * @return The caller's to free, or NULL when out of memory.
 */
char *lp_recorder_text(const struct lp_recorder *recorder, bool raw, size_t *length);

#endif
