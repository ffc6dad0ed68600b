/**
 * A made-up balancer: workers, sessions, limpet.shared, a log in memory, a clock that stands still, and connections that
 * nobody opened. What `limpet check`, `route` and `test` ask policies in.
 *
 * Everything in it is the same on every run. Workers are slots 1 to LP_SCENE_WORKERS_MAX, of which the first ones are
 * usable, so that their number can change without loading policies again.
 */
#ifndef LP_POLICY_SCENE_H
#define LP_POLICY_SCENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "policy/policy.h"

#define LP_SCENE_WORKERS_MAX 256

/** Room for lp_scene_next_line. */
#define LP_SCENE_LINE_SIZE 4096

/** The caller's memory; lp_scene_deinit it after all policies that were loaded in it. */
struct lp_scene {
	struct lp_policy_host
		host; /**< To load policies with; `settings` and `trace` are the caller's to set before. */
	struct lp_workers workers;
	struct lp_log log;
	size_t log_read; /**< Bytes of it that were given as lines. */
	struct lp_network *trusted;
	struct lp_session_rule rules[LP_SESSION_RULES_MAX];
	uint64_t now_ns; /**< The clock. The caller may move it on. */
	struct lp_head *head;
	struct lp_hello hello;
	char *bytes; /**< What the last connection sent. */
};

/** A made-up connection. A text that is NULL is as said here. All borrowed. */
struct lp_scene_conn {
	const char *ip;             /**< "192.0.2.1"; "unix" is a unix peer. */
	uint32_t port;              /**< 0: 50000. */
	const char *listener;       /**< ":3000". */
	const char *method;         /**< "GET". */
	const char *path;           /**< "/"; may have a query. */
	const char *sid;            /**< Is put into the query, encoded; NULL: is not. */
	const char *const *headers; /**< "Name: value" each. Host is added if it is not among them. */
	size_t header_count;
	struct lp_slice
		raw;     /**< Not absent: everything that it sends; it replaces method to headers, and sni and alpn. */
	const char *sni; /**< With this or alpn it is TLS and has no request. */
	const char *const *alpn;
	size_t alpn_count; /**< At most LP_HELLO_ALPN_MAX are kept. */
};

/**
 * Make a scene.
 *
 * @param scene  The caller's memory; lp_scene_deinit it, also after an error.
 *
 * @return 0, or negative errno: no memory, no descriptor.
 */
int lp_scene_init(struct lp_scene *scene);

/** Free all that a scene has. @param scene From lp_scene_init. */
void lp_scene_deinit(struct lp_scene *scene);

/**
 * Start again: this number of idle workers, no session, nothing in limpet.shared, nobody trusted, conn.session is conn.sid,
 * the clock at its beginning.
 * Policies that were loaded stay good.
 *
 * @param scene    Initialised.
 * @param workers  0 – LP_SCENE_WORKERS_MAX.
 *
 * @return 0, or -ENOMEM: then only lp_scene_deinit is allowed.
 */
int lp_scene_reset(struct lp_scene *scene, unsigned workers);

/**
 * Change how many workers there are: the new ones are idle.
 *
 * @param scene    Initialised.
 * @param workers  0 – LP_SCENE_WORKERS_MAX.
 */
void lp_scene_set_workers(struct lp_scene *scene, unsigned workers);

/**
 * Believe a proxy's forwarded headers.
 *
 * @param scene  Initialised.
 * @param cidr   "10.0.0.0/8".
 * @param error  Filled on failure.
 *
 * @return 0, -EINVAL or -ENOMEM.
 */
int lp_scene_trust(struct lp_scene *scene, const char *cidr, struct lp_error *error);

/**
 * Look for sessions in a place of requests: conn.session. The first one takes the place of sid; further ones are added.
 *
 * @param scene  Initialised.
 * @param what   As --session takes it. Borrowed until the scene is reset.
 * @param error  Filled on failure.
 *
 * @return 0, or LP_EUSAGE.
 */
int lp_scene_add_session_rule(struct lp_scene *scene, const char *what, struct lp_error *error);

/**
 * Make a connection that has sent everything, and has waited for its session.
 *
 * @param scene  Initialised. Holds what the connection sent until the next one.
 * @param what   Borrowed for the call, except sni and alpn, which must stay as long as conn is used.
 * @param conn   Filled on success, for lp_policy_decide.
 * @param error  Filled on failure: what is wrong with which part.
 *
 * @return 0; LP_EUSAGE, or -ENOMEM.
 */
int lp_scene_connect(struct lp_scene *scene, const struct lp_scene_conn *what, struct lp_policy_conn *conn,
		     struct lp_error *error);

/**
 * The next line that was logged, without prefix and newline; then lines are again not limited in number.
 *
 * @param scene  Initialised.
 * @param line   At least LP_SCENE_LINE_SIZE bytes; ends in NUL.
 *
 * @return Whether there was one.
 */
bool lp_scene_next_line(struct lp_scene *scene, char *line);

#endif
