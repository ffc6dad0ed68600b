/**
 * Tests of policies, written in Lua: what `limpet test` runs.
 *
 * A test file runs in the policies' own sandbox, in a made-up balancer (policy/scene.h), and also has:
 *
 *     test(name, run)                  a test; all of a file run in order after the file itself, each with 4 idle
 *                                      workers, no session, an empty limpet.shared and nobody trusted
 *     load_policy(name…, {options})    policies, as --policy and --set name them; a file is looked for beside the test
 *     policy:route{…}                  the worker, "refused 403", or nil for no opinion; an error of the policy fails
 *                                      the test. What the connection is: ip, port, listener, method, path, sid, sni,
 *                                      raw (strings, port a number), headers ({["X-Tenant"] = "acme"}, a value may be
 *                                      a list), alpn (a list)
 *     conn{…}                          the same table, checked: to be used several times
 *     workers(4)                       replaces the workers by this number of idle ones; returns them by id
 *     workers{{connections = 9}, {}}   or with numbers: connections, waiting
 *     stop(worker), start(worker)      a worker is gone, is back; the policies are told
 *     session(sid, worker)             a session is that worker's
 *     trust(cidr)                      a proxy is believed
 *     advance(seconds)                 the clock, which stands still otherwise
 *     expect(actual, expected)         fails the test when they are not the same
 *     require "name"                   a module, of the test's folder
 */
#ifndef LP_POLICY_TESTING_H
#define LP_POLICY_TESTING_H

#include "base/error.h"

/** How a test ended. Texts are valid during the call. */
struct lp_test_result {
	const char *name;
	const char
		*failure; /**< NULL: it passed. Else file, line and what happened; of an expect only file and line. */
	const char *expected; /**< What a failed expect was given, or NULL. */
	const char *got;      /**< As expected. */
};

/** Told of each test when it has ended. @param result For the call. @param owner As given to lp_policy_test. */
typedef void (*lp_tested_cb)(const struct lp_test_result *result, void *owner);

/**
 * Run a test file.
 *
 * @param path    Of the file.
 * @param tested  Runs for each test, in order.
 * @param owner   Passed to tested.
 * @param error   Filled on failure, with file and line.
 *
 * @return 0 when the tests ran, passed or not; LP_EPOLICY for a file with an error outside of its tests or without any
 *         test, or negative errno.
 */
int lp_policy_test(const char *path, lp_tested_cb tested, void *owner, struct lp_error *error);

#endif
