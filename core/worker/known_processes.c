/*
 * Why the chain of parents can be believed.
 *
 * A process cannot choose its parent: that is who started it, and when that one ends, the nearest ancestor that adopts
 * orphans (PR_SET_CHILD_SUBREAPER; limpet does), or init. So a process below one of ours was started by ours, and a
 * process of somebody else never gets below. Users are not looked at: nginx's workers are not root any more, and still its.
 *
 * Numbers are read one after the other, and one may be used again in between. So the chain is read twice. If a process has
 * the same parent number in both readings, then that parent has lived all the time in between (else its child would have
 * got another), and what was read about the number meanwhile was about that parent.
 *
 * Those between a worker and its program are remembered, too: when the program has ended, and limpet has been killed and
 * has come back, a master process that forks new workers is one of them.
 */
#include "worker/known_processes.h"

#include <errno.h>
#include <string.h>

/* How often a chain is read that changes meanwhile. */
#define TRIES 3

static struct lp_known_process *find_number(struct lp_known_processes *known, pid_t pid)
{
	for (size_t i = 0; i < known->count; i++)
		if (known->all[i].pid == pid)
			return &known->all[i];
	return NULL;
}

const struct lp_known_process *lp_known_processes_find(const struct lp_known_processes *known,
						       const struct lp_process_facts *facts)
{
	const struct lp_known_process *process = find_number((struct lp_known_processes *)known, facts->pid);
	return process && process->started == facts->started ? process : NULL;
}

/* Of those that ended nobody has told, for they are not workers. */
static void forget_dead(struct lp_known_processes *known)
{
	size_t kept = 0;
	for (size_t i = 0; i < known->count; i++) {
		struct lp_process_facts facts;
		if (known->read(known->all[i].pid, &facts) == 0 && facts.started == known->all[i].started)
			known->all[kept++] = known->all[i];
	}
	known->count = kept;
}

int lp_known_processes_add(struct lp_known_processes *known, const struct lp_known_process *process)
{
	struct lp_known_process *place = find_number(known, process->pid);
	if (!place && known->count == LP_KNOWN_PROCESSES_MAX)
		forget_dead(known);
	if (!place && known->count == LP_KNOWN_PROCESSES_MAX)
		return -ENOBUFS;
	if (!place)
		place = &known->all[known->count++];
	*place = *process;
	known->changed = true;
	return 0;
}

void lp_known_processes_remove(struct lp_known_processes *known, pid_t pid)
{
	struct lp_known_process *process = find_number(known, pid);
	if (!process)
		return;
	*process = known->all[--known->count];
	known->changed = true;
}

/* Whether a chain ends here: at a known process, or at a child of ours. */
static bool ends_at(const struct lp_known_processes *known, const struct lp_process_facts *facts, unsigned *slot)
{
	const struct lp_known_process *process = lp_known_processes_find(known, facts);
	*slot = process ? process->slot : 0;
	bool is_orphan = facts->parent == known->self || (known->keeper && facts->parent == known->keeper);
	return process || (known->adopts && is_orphan && facts->pid != known->self);
}

/* Read from a process up to where its chain ends. Returns how many that are, or negative errno. */
static int read_chain(const struct lp_known_processes *known, pid_t pid, struct lp_process_facts *chain, unsigned *slot)
{
	for (int length = 0; length < LP_KNOWN_GENERATIONS_MAX; length++) {
		int status = pid > 0 ? known->read(pid, &chain[length]) : -EPERM;
		if (status)
			return status;
		if (ends_at(known, &chain[length], slot))
			return length + 1;
		pid = chain[length].parent;
	}
	return -EPERM;
}

/* The parents of all but the last, with which the chain ends wherever that one is from. */
static bool is_unchanged(const struct lp_known_processes *known, const struct lp_process_facts *chain, int length)
{
	for (int i = 0; i < length; i++) {
		struct lp_process_facts again;
		if (known->read(chain[i].pid, &again) || again.started != chain[i].started)
			return false;
		if (i < length - 1 && again.parent != chain[i].parent)
			return false;
	}
	return true;
}

static void remember_chain(struct lp_known_processes *known, const struct lp_process_facts *chain, int length,
			   unsigned slot)
{
	for (int i = 0; i < length; i++)
		if (!lp_known_processes_find(known, &chain[i]))
			lp_known_processes_add(known, &(struct lp_known_process){.pid = chain[i].pid,
										 .slot = slot,
										 .started = chain[i].started});
}

int lp_known_processes_prove(struct lp_known_processes *known, pid_t pid, unsigned *slot)
{
	struct lp_process_facts chain[LP_KNOWN_GENERATIONS_MAX];
	for (int i = 0; i < TRIES; i++) {
		int length = read_chain(known, pid, chain, slot);
		if (length < 0)
			return length;
		if (!is_unchanged(known, chain, length))
			continue; /* One has just ended, and its children have got another parent. */
		remember_chain(known, chain, length, *slot);
		return 0;
	}
	return -EAGAIN;
}
