/**
 * Where a body with `Transfer-Encoding: chunked` ends: chunks, the last one, and trailers. It is as strict as RFC 9112 says:
 * whatever two parsers could read in two ways is LP_HTTP_CHUNKED_BROKEN.
 *
 *     SIZE --hex digits--> DATA --its last byte--> SIZE … --a size of 0--> TRAILERS --an empty line--> DONE
 */
#ifndef LP_PRELOAD_HTTP_CHUNKED_H
#define LP_PRELOAD_HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

enum lp_http_chunked_status {
	LP_HTTP_CHUNKED_MORE,   /**< All bytes belong to the body, and it goes on. */
	LP_HTTP_CHUNKED_DONE,   /**< The body has ended. */
	LP_HTTP_CHUNKED_BROKEN, /**< Its end cannot be known. */
};

/** All zero: at the body's first byte. */
struct lp_http_chunked {
	uint64_t
		left; /**< Bytes of the present chunk's data that are still to come; its size, while that is being read. */
	uint8_t state;
	uint8_t digits;
};

/**
 * Follow bytes of a body.
 *
 * @param chunked  Where the body is. Changed.
 * @param bytes    What comes next.
 * @param length   How many.
 * @param used     Set to how many of them belong to the body.
 *
 * @return The status behind those. After DONE and BROKEN, do not call it again.
 */
enum lp_http_chunked_status lp_http_chunked_follow(struct lp_http_chunked *chunked, const char *bytes, size_t length,
						   size_t *used);

/**
 * The next bytes that are data of the body.
 *
 * @param chunked  Where the body is. Changed, as by lp_http_chunked_follow.
 * @param bytes    What comes next.
 * @param length   How many, 1 or more.
 * @param used     Set to how many bytes were followed, 1 or more.
 * @param data     Set to how many bytes of data begin at bytes; 0: what was followed is framing.
 *
 * @return As lp_http_chunked_follow.
 */
enum lp_http_chunked_status lp_http_chunked_step(struct lp_http_chunked *chunked, const char *bytes, size_t length,
						 size_t *used, size_t *data);

/** Data has gone by unseen. @param chunked Changed. @param count Up to lp_http_chunked_data_left. */
void lp_http_chunked_skip(struct lp_http_chunked *chunked, uint64_t count);

/** How many bytes of data are sure to come next. @param chunked Where the body is. */
uint64_t lp_http_chunked_data_left(const struct lp_http_chunked *chunked);

#endif
