/**
 * Recordings: connections as a balancer decided about them, in memory and as a file.
 *
 * The file begins with the line "limpet recording 1". Each connection is a line, "IP PORT WORKER BYTES LISTENER", the so
 * many bytes of its head, and a newline:
 *
 *     limpet recording 1
 *     192.0.2.7 50123 2 35 :3000
 *     GET /chat HTTP/1.1
 *     Host: a.example
 *
 *
 *     unix 0 0 0 unix:/run/limpet
 *
 */
#ifndef LP_ROUTE_RECORDING_H
#define LP_ROUTE_RECORDING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "base/error.h"

/** A longer head is not recorded. */
#define LP_RECORDED_HEAD_BYTES 4096

/** A connection as it was decided about. */
struct lp_recorded {
	struct lp_ip ip;
	uint16_t port;
	uint16_t worker;      /**< Where it was sent; 0: it was refused. */
	uint16_t length;      /**< Of its head. 0: nobody looked, or it is neither HTTP nor TLS. */
	const char *listener; /**< Borrowed. */
	const char *head;     /**< A request head or a ClientHello, complete. Borrowed. */
};

/** Begin a recording. @param out Borrowed; whether it could be written is for the caller to ask (ferror). */
void lp_recording_begin(FILE *out);

/**
 * Write a connection.
 *
 * @param out       Begun.
 * @param recorded  Borrowed.
 * @param raw       Whether all is written as it was. If not, every byte of the values of Authorization,
 *                  Proxy-Authorization and of cookies becomes an x; the names of cookies stay.
 */
void lp_recording_write(FILE *out, const struct lp_recorded *recorded, bool raw);

/** A recording that is read. */
struct lp_recording {
	const char *path;
	FILE *in;
	unsigned read; /**< Connections so far. */
	char line[512];
	char head[LP_RECORDED_HEAD_BYTES];
};

/**
 * Open a recording.
 *
 * @param recording  The caller's memory; on success for lp_recording_close.
 * @param path       Borrowed until then.
 * @param error      Filled on failure.
 *
 * @return 0; -EINVAL when it does not begin as one; negative errno.
 */
int lp_recording_open(struct lp_recording *recording, const char *path, struct lp_error *error);

/** Close a recording. @param recording Open. */
void lp_recording_close(struct lp_recording *recording);

/**
 * Read the next connection.
 *
 * @param recording  Open.
 * @param recorded   Filled when there is one; points into the recording until the next call.
 * @param error      Filled on failure: which connection is not one.
 *
 * @return 1; 0 at the end; -EINVAL.
 */
int lp_recording_read(struct lp_recording *recording, struct lp_recorded *recorded, struct lp_error *error);

#endif
