/**
 * The control socket: a unix path at which a running balancer answers requests, one line in, one answer out:
 *
 *     status               a JSON document (status.h)
 *     record, record raw   a recording
 *     reload               what was loaded before and what is loaded now, or why not (answers.h); the same for the next ones
 *     drain N, enable N
 *     stop, stop now
 *     why COUNT REVEAL WANTED   which of the last connections match (decisions_text.h)
 *     tail AFTER REVEAL         what has ended since; AFTER is a number, or "now"
 */
#ifndef LP_ADMIN_CONTROL_H
#define LP_ADMIN_CONTROL_H

#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "base/log.h"

/** Clients at a time; a further one is closed at once. */
#define LP_CONTROL_CLIENTS_MAX 16

/** A request line, at most. */
#define LP_CONTROL_LINE_MAX 1024

/** How long a client may take in all. */
#define LP_CONTROL_TIMEOUT_MS 5000

struct lp_control;

/**
 * Answer a request.
 *
 * @param owner    As given to lp_control_open.
 * @param request  The line without its newline, NUL-terminated.
 * @param answer   Set to the answer, for free(); untouched on error.
 * @param length   Set to its bytes; untouched on error.
 *
 * @return 0; -ENOENT: there is no such request; -ENOMEM.
 */
typedef int (*lp_control_answer_cb)(void *owner, const char *request, char **answer, size_t *length);

/**
 * Listen at a path, readable and writable by the owner only. A path left behind by a dead process is taken over.
 *
 * @param out             Set on success; end it with lp_control_close.
 * @param loop            Borrowed.
 * @param log             Borrowed.
 * @param path            Borrowed.
 * @param answer_request  Runs for each request, on the loop.
 * @param owner           Passed to answer_request.
 * @param error           Filled on failure; names the path.
 *
 * @return 0; or negative errno.
 */
int lp_control_open(struct lp_control **out, uv_loop_t *loop, struct lp_log *log, const char *path,
		    lp_control_answer_cb answer_request, void *owner, struct lp_error *error);

/**
 * Listen where tools look for a balancer: at NAME.control in the run-time folder, which is made if need be.
 *
 * @param out             Set on success; end it with lp_control_close.
 * @param loop            Borrowed.
 * @param log             Borrowed.
 * @param name            LP_CONTROL_NAME_MAX + 1 bytes. "": set to a name made from the listener, with its address if a
 *                        balancer is called by its port already.
 * @param listener        The first, as bound. Borrowed for the call.
 * @param answer_request  Runs for each request, on the loop.
 * @param owner           Passed to answer_request.
 * @param error           Filled on failure; names the path and the reason.
 *
 * @return 0; or negative errno.
 */
int lp_control_open_named(struct lp_control **out, uv_loop_t *loop, struct lp_log *log, char *name,
			  const struct lp_listen_address *listener, lp_control_answer_cb answer_request, void *owner,
			  struct lp_error *error);

/** Where a control socket is. @param control Open. @return Valid until it is closed. */
const char *lp_control_where(const struct lp_control *control);

/**
 * Close clients and socket, remove the path and free the control socket, later, on the loop.
 *
 * @param control  Open.
 * @param closed   Runs once.
 * @param owner    Passed to closed.
 */
void lp_control_close(struct lp_control *control, void (*closed)(void *owner), void *owner);

#endif
