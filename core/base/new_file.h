/**
 * Files that limpet writes for its user: a new file beside the old one, which takes the old one's place once it is whole.
 *
 * So the owner and the permissions of an old file do not matter, nobody who has it open sees the new contents, and a
 * failure leaves it as it was.
 */
#ifndef LP_BASE_NEW_FILE_H
#define LP_BASE_NEW_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/** A file that only its owner can read, whatever the umask is. */
#define LP_NEW_FILE_PRIVATE 0600

/** A file that others can read as far as the umask lets them. */
#define LP_NEW_FILE_SHARED 0666

/**
 * Write a file.
 *
 * @param path    Borrowed. Nothing is there, or a regular file, which is replaced. Anything else stays, and is an error: a
 *                symbolic link is not followed.
 * @param mode    LP_NEW_FILE_PRIVATE or LP_NEW_FILE_SHARED.
 * @param bytes   What it will hold. Borrowed for the call.
 * @param length  Bytes of it.
 * @param error   Filled on failure; names the path.
 *
 * @return 0; or negative errno, with the path as it was.
 */
int lp_new_file_write(const char *path, mode_t mode, const char *bytes, size_t length, struct lp_error *error);

#endif
