/**
 * Errors: a negative number that code can test, beside a sentence that a person can act on.
 *
 * Functions answer 0 (or a count) or a negative errno, as libuv does, or one of the LP_E* below, which libuv does not
 * use. Those that can tell a user what went wrong also fill a `struct lp_error`: the thing, the value and the remedy.
 */
#ifndef LP_BASE_ERROR_H
#define LP_BASE_ERROR_H

enum lp_error_code {
	LP_AGAIN = -5001,    /**< The input is right so far, and not yet complete. */
	LP_ENOTHTTP = -5002, /**< The bytes are not an HTTP/1 request head. */
	LP_ENOTTLS = -5003,  /**< The bytes are not a TLS ClientHello. */
	LP_EUSAGE = -5004,   /**< A command line or an option that cannot be used: exit status 2. */
	LP_EPOLICY = -5005,  /**< A policy that could not be loaded. */
};

/** What went wrong, for a person. The caller's memory; nothing to free. */
struct lp_error {
	int code;        /**< 0 while nothing went wrong. */
	char text[1024]; /**< One line without a newline or the "limpet: " prefix; cut at the size. */
};

/**
 * Fill an error.
 *
 * @param error   Where to. NULL is allowed: only the code is returned then.
 * @param code    Negative errno or LP_E*.
 * @param format  printf's. The sentence names the thing, the value and the remedy.
 *
 * @return code, so that a caller can write `return lp_error_set(…)`.
 */
int lp_error_set(struct lp_error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/**
 * The words for a code.
 *
 * @param code  Negative errno or LP_E*.
 *
 * @return Static or thread-local text, never NULL; valid until the next call in this thread.
 */
const char *lp_error_words(int code);

#endif
