/**
 * Where responses end, in what a program writes on a connection, in whatever pieces. Pure functions over bytes: what comes
 * out are events, pulled one at a time.
 *
 *     LINE --an empty line--> the body, or after a 1xx LINE of the next
 *     SIZED, CHUNKED --the last byte--> LINE of the next
 *     CLOSED --never--> the connection's end is the body's
 *     LOST   never: an upgrade, or something whose end cannot be known
 */
#ifndef LP_PRELOAD_HTTP_RESPONSE_H
#define LP_PRELOAD_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "preload/http_chunked.h"
#include "preload/http_framing.h"

/** Bytes that are kept of a line, or of a body's beginning, that comes in pieces. */
#define LP_HTTP_RESPONSE_KEPT 256

/** Of `kept`, in a body: its owner keeps no more of it. */
#define LP_HTTP_RESPONSE_DONE UINT16_MAX

enum lp_http_response_phase {
	LP_HTTP_RESPONSE_LINE,
	LP_HTTP_RESPONSE_SIZED,
	LP_HTTP_RESPONSE_CHUNKED,
	LP_HTTP_RESPONSE_CLOSED,
	LP_HTTP_RESPONSE_LOST,
};

/** All zero: at the first byte of a response. */
struct lp_http_response {
	uint8_t phase;
	bool has_status; /**< The status line was read. */
	bool begun;      /**< A byte of the present head or body was seen: the last response has not just ended. */
	bool cut;        /**< LINE: it is longer than what was kept of it. */
	uint16_t kept;   /**< LINE: bytes of it in text; in a body: what the owner keeps there. */
	uint16_t status; /**< 100 to 999. */
	uint64_t left;   /**< SIZED. */
	struct lp_framing framing;
	struct lp_http_chunked chunked;
	char text[LP_HTTP_RESPONSE_KEPT];
};

enum lp_http_response_event {
	LP_HTTP_RESPONSE_MORE, /**< All bytes are read. */
	LP_HTTP_RESPONSE_HEADER, /**< A header's line is in `slice`, without its end. One that came in pieces and is longer than
			     * LP_HTTP_RESPONSE_KEPT is left out. */
	LP_HTTP_RESPONSE_HEAD,   /**< A final response's head has ended: call lp_http_response_begin_body next. */
	LP_HTTP_RESPONSE_SWITCH, /**< So has that of a 101: it is LOST from here on. */
	LP_HTTP_RESPONSE_BODY,   /**< Bytes of the body are in `slice`: its first, or those that follow. */
	LP_HTTP_RESPONSE_END,    /**< A final response has ended. */
	LP_HTTP_RESPONSE_LOSE,   /**< Nothing is known from here on: it is LOST. */
};

/**
 * Read on, up to the next event.
 *
 * @param response  Where it is. Changed.
 * @param bytes     What the program writes. Advanced over what was read.
 * @param slice     Set with HEADER and BODY; inside bytes or response->text, until the next call.
 */
enum lp_http_response_event lp_http_response_next(struct lp_http_response *response, struct lp_slice *bytes,
						  struct lp_slice *slice);

/**
 * Behind HEAD: say what the response answers.
 *
 * @param response  Where it is. Changed.
 * @param to_head   The request's method is HEAD.
 *
 * @return END: there is no body, and it has ended; MORE: its body comes next.
 */
enum lp_http_response_event lp_http_response_begin_body(struct lp_http_response *response, bool to_head);

/**
 * Bytes have left that nobody could look at, such as a file's.
 *
 * @param response  Where it is. Changed.
 * @param count     How many, 1 or more.
 *
 * @return END, MORE or LOSE.
 */
enum lp_http_response_event lp_http_response_skip(struct lp_http_response *response, uint64_t count);

/** Whether the last response has ended, and nothing of a next one was seen. @param response Any. */
bool lp_http_response_rests(const struct lp_http_response *response);

#endif
