/**
 * SHA-256 (FIPS 180-4): so that an operator can compare what limpet has loaded with `sha256sum FILE`.
 */
#ifndef LP_BASE_SHA256_H
#define LP_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define LP_SHA256_BYTES 32

/** Room for a digest as text, its NUL included. */
#define LP_SHA256_TEXT_SIZE (2 * LP_SHA256_BYTES + 1)

/**
 * The digest of some bytes.
 *
 * @param bytes   Borrowed.
 * @param length  Bytes of it.
 * @param digest  LP_SHA256_BYTES bytes.
 */
void lp_sha256(const void *bytes, size_t length, uint8_t *digest);

/**
 * Write a digest in hexadecimal, as sha256sum does.
 *
 * @param digest  LP_SHA256_BYTES bytes.
 * @param text    LP_SHA256_TEXT_SIZE bytes; ends in NUL.
 */
void lp_sha256_format(const uint8_t *digest, char *text);

#endif
