/**
 * Bytes of HTTP heads, as RFC 9110 names them; and what both requests and responses say about their bodies.
 */
#ifndef LP_PRELOAD_HTTP_FRAMING_H
#define LP_PRELOAD_HTTP_FRAMING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"

/** Of lp_http_bytes: a byte can be in a header's name, or in a value. */
#define LP_HTTP_TOKEN 1
#define LP_HTTP_TEXT 2

/** What each byte can be in. */
extern const uint8_t lp_http_bytes[256];

/** Whether a byte can be in a header's name. @param byte Any. */
static inline bool lp_http_is_token(char byte)
{
	return lp_http_bytes[(unsigned char)byte] & LP_HTTP_TOKEN;
}

/** Whether a byte can be in a header's value: no control character but a tab. @param byte Any. */
static inline bool lp_http_is_text(char byte)
{
	return lp_http_bytes[(unsigned char)byte] & LP_HTTP_TEXT;
}

/** What a head says of its body, header by header. All zero: nothing yet. */
struct lp_framing {
	uint64_t length; /**< Of the body, if sized. */
	bool sized;      /**< There is a Content-Length. */
	bool chunked;    /**< There is "Transfer-Encoding: chunked". */
	bool doubtful;   /**< Two parsers could read it in two ways. */
};

/**
 * Take a header into account.
 *
 * @param framing  Changed.
 * @param line     The header's line, without its end.
 * @param value    Set to its value, without blanks around it; absent when the line is no sound header. Then the framing
 *                 is doubtful.
 *
 * @return Its name, inside line, or absent as value.
 */
struct lp_slice lp_framing_take(struct lp_framing *framing, struct lp_slice line, struct lp_slice *value);

/** Whether a name is this one, in any case. @param name Any. @param text NUL-terminated. */
static inline bool lp_http_is_name(struct lp_slice name, const char *text)
{
	return name.length == strlen(text) && strncasecmp(name.bytes, text, name.length) == 0;
}

#endif
