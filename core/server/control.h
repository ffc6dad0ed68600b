/**
 * The control socket: a unix path at which a running balancer answers questions, one line in, one answer out:
 * "status" gets a JSON document, "record" and "record raw" a recording.
 */
#ifndef LP_SERVER_CONTROL_H
#define LP_SERVER_CONTROL_H

#include <stdio.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

/** Clients at a time; a further one is closed at once. */
#define LP_CONTROL_CLIENTS_MAX 16

/** A request line, at most. */
#define LP_CONTROL_LINE_MAX 256

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
 * Close clients and socket, remove the path and free the control socket, later, on the loop.
 *
 * @param control  Open. NULL is allowed: then closed runs at once.
 * @param closed   Runs once.
 * @param owner    Passed to closed.
 */
void lp_control_close(struct lp_control *control, void (*closed)(void *owner), void *owner);

/**
 * Ask a running balancer: for the command line, blocking for at most LP_CONTROL_TIMEOUT_MS.
 *
 * @param path     Of its control socket.
 * @param request  A line without a newline.
 * @param out      Where the answer goes.
 * @param error    Filled on failure; names the path.
 *
 * @return 0; or negative errno.
 */
int lp_control_ask(const char *path, const char *request, FILE *out, struct lp_error *error);

#endif
