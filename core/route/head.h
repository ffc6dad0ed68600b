/**
 * An HTTP/1 request head, taken apart where it lies.
 *
 * llhttp, the parser Node itself uses, does the reading, lenient about nothing: of the request line at once, of the
 * headers when one is first asked for, since most decisions need none and they are most of the work. The slices point
 * into the bytes that were parsed: a head is good as long as they are, usually until the next peek. One head is made for a
 * balancer and reused for every connection, so a look at a request allocates nothing.
 */
#ifndef LP_ROUTE_HEAD_H
#define LP_ROUTE_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct lp_header {
	struct lp_slice name;  /**< As sent; compare without regard to case. */
	struct lp_slice value; /**< Without the blanks around it. */
};

/** What is known of the headers; head.c's own. */
struct lp_header_lines;

struct lp_head {
	struct lp_slice method;
	struct lp_slice target; /**< The request target, whole. */
	/** The target's part before '?' and '#', as sent; without "http://host" where that was sent; "/" if none is left. */
	struct lp_slice path;
	struct lp_slice query; /**< After '?' and before '#', as sent; absent without '?'. */
	struct lp_header_lines *lines;
};

/**
 * Make a head that can hold any head of a size.
 *
 * @param max_head_bytes  The longest head that will be parsed.
 *
 * @return A head for lp_head_free, or NULL when out of memory.
 */
struct lp_head *lp_head_new(size_t max_head_bytes);

/** Free a head. @param head NULL is allowed. */
void lp_head_free(struct lp_head *head);

/**
 * Parse the start of a connection.
 *
 * @param head    From lp_head_new. Overwritten.
 * @param bytes   What was peeked, from the first byte of the connection on. Borrowed for as long as head is used.
 * @param length  Bytes peeked.
 *
 * @return The head's length in bytes, its final empty line included; or
 *         LP_AGAIN     right so far, and not yet complete; nothing in head may be used
 *         LP_ENOTHTTP  not HTTP/1, or Node would refuse its request line, its line ends or a NUL; nothing in head may
 *                      be used
 */
int lp_head_parse(struct lp_head *head, const char *bytes, size_t length);

/**
 * All headers, in order.
 *
 * @param head     Parsed.
 * @param headers  Set to the first, inside head, unless NULL.
 *
 * @return How many; or LP_ENOTHTTP: Node would refuse one of them, or the body's length is in doubt. The look-ups below
 *         then find none.
 */
int lp_head_headers(const struct lp_head *head, const struct lp_header **headers);

/**
 * Find a header.
 *
 * @param head   Parsed.
 * @param name   Without regard to case.
 * @param after  NULL for the first; else the one found before, for the next of that name.
 *
 * @return Inside head, or NULL when there is none (left).
 */
const struct lp_header *lp_head_header(const struct lp_head *head, struct lp_slice name, const struct lp_header *after);

/**
 * The last header of a name, or the last before one; for lists that are believed from the right.
 *
 * @param head    Parsed.
 * @param name    Without regard to case.
 * @param before  NULL for the last; else the one found before.
 *
 * @return Inside head, or NULL when there is none (left).
 */
const struct lp_header *lp_head_header_last(const struct lp_head *head, struct lp_slice name,
					    const struct lp_header *before);

/**
 * A query parameter, percent-decoded, '+' read as a blank; the first of duplicates. Names are decoded too.
 *
 * @param head  Parsed.
 * @param name  Exact, with regard to case.
 * @param out   Room for the value. No NUL is added.
 * @param size  Bytes of out; head->query.length always suffices.
 *
 * @return The value's length; -1 when there is no such parameter, or it does not fit. A malformed "%zz" stays as it is.
 */
int lp_head_query(const struct lp_head *head, struct lp_slice name, char *out, size_t size);

/**
 * A cookie by name, as sent, without the quotes around it; the first of duplicates.
 *
 * @param head  Parsed.
 * @param name  Exact, with regard to case.
 *
 * @return Inside the parsed bytes; absent when there is none.
 */
struct lp_slice lp_head_cookie(const struct lp_head *head, struct lp_slice name);

/** A slice without the blanks and tabs around it, as the elements of headers' lists are read. @param slice Not absent. */
struct lp_slice lp_head_trim(struct lp_slice slice);

#endif
