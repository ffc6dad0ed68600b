/**
 * JSON, looked at without being taken apart: the members of an object, one after another, each value as the bytes it is
 * written in. Nothing is allocated and nothing copied, so a message can be routed by two of its members and go on as it
 * came. What is accepted is JSON to the last byte, so that what goes on cannot upset who parses it in earnest.
 *
 * Values compare as they are written. JSON.stringify writes a string in one way only.
 */
#ifndef LP_BASE_JSON_H
#define LP_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/** Objects and arrays inside each other, at most. */
#define LP_JSON_DEPTH_MAX 1024

/** Bytes of a member's name that is written with escapes; a longer one is given as it is written. */
#define LP_JSON_NAME_MAX 64

/** A place in an object. The caller's memory. */
struct lp_json {
	const char *at;
	const char *end;
	bool begun;
	char name[LP_JSON_NAME_MAX]; /**< Of a name that was written with escapes. */
};

/**
 * Begin with an object.
 *
 * @param json   Filled.
 * @param bytes  The object, with blanks around it or none. Outlives json.
 *
 * @return 0, or -EINVAL: it does not begin as an object.
 */
int lp_json_open(struct lp_json *json, struct lp_slice bytes);

/**
 * Go on to the next member.
 *
 * @param json   Open.
 * @param name   Set to the member's name, without quotes; valid until the next call.
 * @param value  Set to its value as it is written, quotes included.
 *
 * @return 1; 0 when there are no more, and the object was the whole of the bytes; or -EINVAL: it is not JSON, or too deep.
 */
int lp_json_next(struct lp_json *json, struct lp_slice *name, struct lp_slice *value);

/** Whether bytes are one JSON value, whatever it is. @param bytes With blanks around it or none. @return 0, or -EINVAL. */
int lp_json_check(struct lp_slice bytes);

/**
 * A member by its name; of several, the last.
 *
 * @param object  As it is written; absent is fine.
 * @param wanted  Its name: NUL-terminated, shorter than LP_JSON_NAME_MAX.
 *
 * @return The value as it is written; absent if there is none, or if object is not an object.
 */
struct lp_slice lp_json_member(struct lp_slice object, const char *wanted);

/**
 * Read a string.
 *
 * @param value  As lp_json_next or lp_json_member gave it; absent is fine.
 * @param out    Room for the text as UTF-8; no NUL is added. A half of a surrogate pair becomes U+FFFD.
 * @param size   Bytes of out; as many as value has are always enough.
 *
 * @return Its length; -EINVAL when the value is no string, -ENOBUFS when it does not fit.
 */
long lp_json_text(struct lp_slice value, char *out, size_t size);

/** Whether a value is this string. @param value As it is written; absent is fine. @param text Without escapes. */
bool lp_json_is(struct lp_slice value, struct lp_slice text);

/** Two values written alike; an absent one is like none. @param one Any. @param other Any. */
bool lp_json_same(struct lp_slice one, struct lp_slice other);

/** A whole number of at most nine digits, or -1 for anything else. @param value As it is written; absent is fine. */
long lp_json_number(struct lp_slice value);

#endif
