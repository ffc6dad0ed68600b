/**
 * Where requests begin on a connection, as far as it takes to give the connection back between two of them. A pure
 * function over bytes.
 */
#ifndef LP_PRELOAD_REQUEST_H
#define LP_PRELOAD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** Bytes of a head that is followed, at most. */
#define LP_REQUEST_HEAD_MAX 16384

struct lp_request {
	uint64_t length; /**< Of head and body. */
	bool opaque;     /**< Its end cannot be told, or what follows is no request: chunked, an upgrade, not HTTP. */
	struct lp_slice sid; /**< Of the query; inside bytes. Absent when there is none. */
};

/**
 * Read a request's head.
 *
 * @param request  Filled when the head is complete, or when it never will be (then opaque).
 * @param bytes    What has come of it so far, from its first byte.
 * @param length   How many.
 *
 * @return Whether it is complete, or never will be; false: more bytes may tell.
 */
bool lp_request_read(struct lp_request *request, const char *bytes, size_t length);

#endif
