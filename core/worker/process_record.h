/**
 * The known processes, written down for the limpet that comes after this one has been killed: a file in the run-time
 * folder, which nobody but limpet's own user can write. It is the only word that a limpet believes about processes which
 * it did not start itself.
 */
#ifndef LP_WORKER_PROCESS_RECORD_H
#define LP_WORKER_PROCESS_RECORD_H

#include "worker/known_processes.h"

/**
 * Write the record, all of it at once: whoever reads has the one before or this one.
 *
 * @param path   Of the file.
 * @param known  Borrowed.
 *
 * @return 0; or negative errno, with the record of before still there.
 */
int lp_process_record_write(const char *path, const struct lp_known_processes *known);

/**
 * Read the record of a limpet before us. Processes that have ended meanwhile are left out, and so is all of it that was
 * written before the machine was started, or in another process namespace.
 *
 * @param path   Of the file.
 * @param known  What it says is added; its `read` is set.
 *
 * @return 0; -ENOENT: there is none; -EPERM: it is not ours alone to write; -EPROTO: it reads like none. Nothing was added
 *         then.
 */
int lp_process_record_read(const char *path, struct lp_known_processes *known);

#endif
