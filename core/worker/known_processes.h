/**
 * The processes that limpet has reason to believe in: the programs that it started, and what descends from them.
 *
 * A process that wants to be a worker proves that it descends from one of them. The proof is the kernel's: each process's
 * parent, up to a known one. Nothing counts that a process could say about itself: not its environment, not its name, not
 * its user.
 *
 *     gunicorn's fork -> gunicorn -> sh (a program of ours)                      a worker
 *     a daemon that its starter has left -> limpet, which adopts orphans         a worker
 *     a stranger -> its shell -> … -> init                                       none, whoever's it is
 */
#ifndef LP_WORKER_KNOWN_PROCESSES_H
#define LP_WORKER_KNOWN_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/process_facts.h"

/** How many are known at a time. */
#define LP_KNOWN_PROCESSES_MAX 1024

/** Generations between a worker and the program it descends from, at most. */
#define LP_KNOWN_GENERATIONS_MAX 32

struct lp_known_process {
	pid_t pid;
	unsigned slot;    /**< Of the program that it is or descends from; 0: that cannot be told any more. */
	uint64_t started; /**< As in struct lp_process_facts. */
	bool is_program;  /**< We started it in the slot. */
};

/** The owner's memory; all zero except the first four is an empty one. */
struct lp_known_processes {
	/** Asks for a process's facts, as lp_process_facts_read does. */
	int (*read)(pid_t pid, struct lp_process_facts *facts);
	pid_t self;   /**< Our own number. */
	pid_t keeper; /**< Whose children orphans become when a balancer has died; 0: there is none. */
	bool adopts;  /**< All children of ours are our programs', or orphans of them. */
	bool changed; /**< For who writes it down: set with every change. */
	size_t count;
	struct lp_known_process all[LP_KNOWN_PROCESSES_MAX];
};

/**
 * Know a process.
 *
 * @param known    Borrowed.
 * @param process  Copied; replaces what was known under the same number.
 *
 * @return 0, or -ENOBUFS: there are too many that live.
 */
int lp_known_processes_add(struct lp_known_processes *known, const struct lp_known_process *process);

/** A process has ended. @param known Borrowed. @param pid Its number; an unknown one is fine. */
void lp_known_processes_remove(struct lp_known_processes *known, pid_t pid);

/**
 * What is known of a process, if it is the same one still.
 *
 * @param known  Borrowed.
 * @param facts  As the kernel tells now.
 *
 * @return Valid until the next change; or NULL.
 */
const struct lp_known_process *lp_known_processes_find(const struct lp_known_processes *known,
						       const struct lp_process_facts *facts);

/**
 * Whether a process is a known one or descends from one. It is known from then on, and all between.
 *
 * The caller holds a pidfd of the process, and sees afterwards whether it still lives: if so, this was about that process.
 *
 * @param known  Borrowed.
 * @param pid    Its number.
 * @param slot   Set on success, to that of the program; 0: it is one of our own orphans.
 *
 * @return 0; -EPERM: it does not; or another negative errno: it has ended meanwhile, or the kernel does not tell.
 */
int lp_known_processes_prove(struct lp_known_processes *known, pid_t pid, unsigned *slot);

#endif
