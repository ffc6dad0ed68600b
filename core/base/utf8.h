/**
 * UTF-8, a character at a time. The C library's functions follow the locale, and limpet sets none.
 */
#ifndef LP_BASE_UTF8_H
#define LP_BASE_UTF8_H

#include <stddef.h>

/**
 * The length of the well-formed character at the beginning of some bytes.
 *
 * @param bytes   Borrowed.
 * @param length  Bytes there are, 1 or more.
 *
 * @return 1 – 4; 0 if the bytes are not UTF-8, or end within a character.
 */
size_t lp_utf8_length(const char *bytes, size_t length);

#endif
