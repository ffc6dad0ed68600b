/**
 * Descriptors: how many this process may have, that programs which it starts inherit none of them, and with what limit
 * of their own those begin.
 */
#ifndef LP_BASE_DESCRIPTORS_H
#define LP_BASE_DESCRIPTORS_H

#include <stdint.h>

#include "base/log.h"

/** Let no program that is started from now on inherit anything but 0, 1 and 2, whatever we inherited ourselves. */
void lp_descriptors_keep_to_ourselves(void);

/** Raise our soft limit to the hard one. @return The soft limit before. */
uint32_t lp_descriptors_raise_limit(void);

/** Our soft limit. */
uint32_t lp_descriptors_limit(void);

/** How many we have open. */
uint32_t lp_descriptors_count(void);

/**
 * Tell the log how many descriptors there can be, and warn if that is less than may be needed.
 *
 * @param log      Borrowed.
 * @param waiting  Connections that may wait.
 * @param workers  How many there are.
 * @param theirs   The limit that the workers begin with; 0: ours.
 */
void lp_descriptors_report(struct lp_log *log, uint32_t waiting, uint32_t workers, uint32_t theirs);

/** Those kept free for the start of a program: libuv 1.44 takes seven. */
#define LP_DESCRIPTORS_KEPT 12

/** The limit that programs begin with. The owner's memory; all zero: ours. */
struct lp_descriptors_for_programs {
	uint32_t limit; /**< 0: ours. */
	int kept[LP_DESCRIPTORS_KEPT];
};

/**
 * Prepare for programs to be started with a limit of their own.
 *
 * @param files  Overwritten. Prepare it while there are few descriptors: it keeps low numbers free.
 * @param limit  The soft limit of those programs; 0 or ours: nothing is to be done for them.
 */
void lp_descriptors_for_programs_init(struct lp_descriptors_for_programs *files, uint32_t limit);

/** Close what was kept. @param files Prepared, or all zero. */
void lp_descriptors_for_programs_deinit(struct lp_descriptors_for_programs *files);

/**
 * Take on the programs' limit, just for the start of one.
 *
 * @param files  Prepared, or all zero.
 *
 * @return Our own limit, for lp_descriptors_end_start; 0 when nothing was to be done.
 */
uint32_t lp_descriptors_begin_start(struct lp_descriptors_for_programs *files);

/** Take on our own limit again. @param files As for lp_descriptors_begin_start. @param ours What that returned. */
void lp_descriptors_end_start(struct lp_descriptors_for_programs *files, uint32_t ours);

#endif
