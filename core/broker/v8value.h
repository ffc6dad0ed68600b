/**
 * Values as V8's serializer writes them, which Node workers with `serialization: 'advanced'` send instead of JSON:
 * looked at piece by piece, without being taken apart. Nothing is allocated and nothing copied.
 *
 * What is accepted is well formed to the last byte, as Node reads it: a worker that is sent anything else ends. Two things
 * that V8 never writes are not looked for: an invalid RegExp, and a key that an object has twice.
 */
#ifndef LP_BROKER_V8VALUE_H
#define LP_BROKER_V8VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** Objects and arrays inside each other, at most. */
#define LP_V8_DEPTH_MAX 1024

enum lp_v8_kind {
	LP_V8_OPEN,      /**< An object, array, map, set or error begins; `tag` tells which. */
	LP_V8_CLOSE,     /**< It ends. */
	LP_V8_UNDEFINED, /**< undefined. */
	LP_V8_NULL,      /**< null, or nothing at all in an array. */
	LP_V8_TRUE,
	LP_V8_FALSE,
	LP_V8_NUMBER, /**< `number`. */
	LP_V8_LATIN1, /**< `text`, one byte a character. */
	LP_V8_UTF16,  /**< `text`, two bytes a unit, the low one first; an even length. */
	LP_V8_UTF8,   /**< `text`. */
	LP_V8_OTHER,  /**< What JSON has no word for: a Buffer, a Date, a BigInt, an object that came before, … */
};

/** A piece of a value. */
struct lp_v8_token {
	enum lp_v8_kind kind;
	char tag; /**< V8's: 'o' object, 'A' array, 'a' array with few elements, ';' map, '\'' set, 'r' error, … */
	double number;
	struct lp_slice text; /**< Points into the value. */
};

/** What is open around a place. */
struct lp_v8_level {
	char tag;
	bool wrapped;      /**< In an object of Node's, whose number is one less. */
	uint32_t declared; /**< An array's length. */
	uint32_t values;   /**< That have begun in it, keys included. */
	uint32_t object;   /**< Its number. */
};

/** A place in a value. The caller's memory. */
struct lp_v8 {
	const char *at;
	const char *end;
	unsigned depth;
	bool done;        /**< The outermost value has ended. */
	uint32_t objects; /**< That have begun: V8 numbers them from 0, to name one that came before. */
	uint32_t lowest;  /**< The lowest number that was named. */
	struct lp_v8_level levels[LP_V8_DEPTH_MAX];
};

/**
 * Begin with a message: V8's version, and a value.
 *
 * @param v8     Filled, except the levels.
 * @param bytes  The message. Outlives v8.
 *
 * @return 0, or -EINVAL: there is no version at its beginning.
 */
int lp_v8_open(struct lp_v8 *v8, struct lp_slice bytes);

/**
 * Begin with a value of a message that was found to be right.
 *
 * @param v8     Filled, except the levels.
 * @param value  As lp_v8_skip gave it. What it names of the rest of the message is taken to be there.
 */
void lp_v8_open_value(struct lp_v8 *v8, struct lp_slice value);

/**
 * Go on to the next piece.
 *
 * @param v8     Open.
 * @param token  Filled.
 *
 * @return 1; 0 when the value has ended, with the bytes; -EINVAL: it is not one, or too deep; -ENOTSUP: it has a part that
 *         is unknown here.
 */
int lp_v8_next(struct lp_v8 *v8, struct lp_v8_token *token);

/**
 * Pass over the next value, whatever is in it.
 *
 * @param v8     Open, before a value.
 * @param value  Set to its bytes.
 *
 * @return 1, or negative as of lp_v8_next.
 */
int lp_v8_skip(struct lp_v8 *v8, struct lp_slice *value);

#endif
