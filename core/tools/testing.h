/**
 * `limpet test`: run the tests of policies.
 */
#ifndef LP_TOOLS_TESTING_H
#define LP_TOOLS_TESTING_H

#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

/**
 * Run test files, and print how each test ended and how many passed and failed.
 *
 * @param paths  Files, and folders, of which all *.test.lua are run, in the order of their names, also those of folders
 *               in them. Borrowed for the call.
 * @param count  How many.
 * @param out    Borrowed; whether it could be written is for the caller to ask (ferror).
 * @param error  Filled on failure.
 *
 * @return How many tests, and files, failed; or negative: no such file, no test in a folder, no memory.
 */
int lp_run_tests(const char *const *paths, size_t count, FILE *out, struct lp_error *error);

#endif
