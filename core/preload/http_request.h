/**
 * A request's head: where the request ends, and what the library needs to know of it. A pure function over bytes.
 */
#ifndef LP_PRELOAD_HTTP_REQUEST_H
#define LP_PRELOAD_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** Bytes of a head that is followed, at most. */
#define LP_HTTP_REQUEST_HEAD_MAX 16384

/** How much of a head has come. */
enum lp_http_request_progress {
	LP_HTTP_REQUEST_IN_LINE, /**< Not all of its first line, which may become one of HTTP/1. */
	LP_HTTP_REQUEST_IN_HEAD, /**< Its first line, which is one of HTTP/1, and not all headers. */
	LP_HTTP_REQUEST_WHOLE,   /**< All, or it never will be: see `end`. */
};

/** How a request ends. */
enum lp_http_request_end {
	LP_END_SIZED,   /**< Behind `body` bytes that follow the head. */
	LP_END_CHUNKED, /**< With the last chunk of what follows the head. */
	LP_END_UNKNOWN, /**< It is a request, but two parsers could see its end in two places, or its head is too long. */
	LP_END_NEVER,   /**< This is not HTTP/1, or a CONNECT: what follows are no requests. */
};

struct lp_http_request {
	enum lp_http_request_end end;
	size_t head;             /**< Bytes of the head. */
	uint64_t body;           /**< SIZED. */
	bool is_head;            /**< The method is HEAD: the response has no body. */
	bool opens_session;      /**< It asks Engine.IO for a new session: EIO= without a sid. */
	struct lp_slice sid;     /**< Of an Engine.IO request; inside bytes. Absent when there is none. */
	struct lp_slice query;   /**< Behind the question mark; inside bytes. Absent when there is none. */
	struct lp_slice headers; /**< Their lines, each with its end; inside bytes. */
};

/**
 * Read a request's head.
 *
 * @param request  Filled when WHOLE.
 * @param bytes    What has come of it so far, from its first byte.
 * @param length   How many, 1 or more.
 *
 * @return How much has come. IN_LINE and IN_HEAD: more bytes may tell.
 */
enum lp_http_request_progress lp_http_request_read(struct lp_http_request *request, const char *bytes, size_t length);

/**
 * A parameter of a query, undecoded.
 *
 * @param query  May be absent.
 * @param name   NUL-terminated.
 *
 * @return The first one's value, which may be empty; or absent.
 */
struct lp_slice lp_http_request_parameter(struct lp_slice query, const char *name);

#endif
