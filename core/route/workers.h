/**
 * Workers as data: what routing knows of them, and the ways to choose one.
 *
 * The worker layer owns the table and keeps the numbers right; policies and the fallback only read them and choose. No
 * process, channel or descriptor is known here. A worker is named by its id, 1 to count, which is its slot: a process
 * that takes a dead one's place has the same id. Id 0 means none.
 */
#ifndef LP_ROUTE_WORKERS_H
#define LP_ROUTE_WORKERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

/** Workers that a table can have. */
#define LP_WORKERS_MAX 256

/** Addresses that a worker can say to listen at. */
#define LP_WORKERS_ADDRESSES 32

/** No address in particular. */
#define LP_WORKERS_ANYWHERE (-1)

struct lp_worker {
	unsigned id;
	bool takes;    /**< Takes connections now. Set with lp_workers_set_usable only. */
	bool usable;   /**< Can take this connection now: it takes some, and listens where this one came to. */
	bool draining; /**< It gets no connections except those of its sessions. Set with lp_workers_set_draining only. */
	bool keeps;    /**< It drains, and could take this connection now if that belongs to a session of its own. */
	bool busy;     /**< Not usable, and will be again or end: its queue is full, or it is stuck. */
	bool stuck;    /**< It has not taken a connection for too long. */
	bool down;     /**< Its program has ended, and is started again after a pause. */
	pid_t pid;     /**< 0 while no process is in the slot. */
	pid_t program; /**< Of the program that limpet runs in the slot; 0: none. It may have yet to register a worker. */
	uint32_t connections; /**< Open now, those on the way to it included. */
	uint32_t waiting;     /**< Of those, handed over and not yet acknowledged. */
	uint32_t sessions;    /**< Keys bound to it. */
	/** Connections that this slot's workers have taken for good, never sent to another before. */
	uint64_t acknowledged;
	uint64_t moved;      /**< The same of those that another had given back before. */
	uint32_t starts;     /**< Processes that became ready in this slot. */
	uint64_t returned;   /**< How often one of them gave a connection back. */
	uint64_t started_ns; /**< When the process became ready, on the monotonic clock. */
	uint32_t listens;    /**< A bit for each address whose connections it takes; the same for the next. */
	uint32_t claims;     /**< Those that its process has ever listened at. 0: it does not tell. */
};

/** All slots of one balancer. */
struct lp_workers {
	struct lp_worker *slots; /**< slots[id - 1]. */
	unsigned count;
	unsigned usable_count;
	uint32_t claimed;    /**< A bit for each address that some worker's process has listened at. */
	uint32_t mixed;      /**< Those of them at which some that take connections listen, and some do not. */
	int address;         /**< What usable is about: one of mixed, or LP_WORKERS_ANYWHERE. */
	uint32_t generation; /**< Changes whenever the set of usable workers does. */
	unsigned last;       /**< Id that lp_workers_next gave last. */
	unsigned last_least; /**< Id that lp_workers_least gave last. */
	uint64_t random;     /**< State of lp_workers_random. Never 0. */
};

/**
 * Prepare a table whose workers are all unusable.
 *
 * @param workers  The caller's memory; lp_workers_deinit it.
 * @param count    1 – LP_WORKERS_MAX.
 * @param seed     For lp_workers_random; equal seeds choose equally.
 *
 * @return 0, or -ENOMEM.
 */
int lp_workers_init(struct lp_workers *workers, unsigned count, uint64_t seed);

/** Free the slots. @param workers Initialised. */
void lp_workers_deinit(struct lp_workers *workers);

/** The worker of an id. @param workers Initialised. @param id 1 – count, or NULL is returned. */
struct lp_worker *lp_workers_find(const struct lp_workers *workers, unsigned id);

/** Say whether a worker can take connections. @param workers Initialised. @param id 1 – count. @param usable Which. */
void lp_workers_set_usable(struct lp_workers *workers, unsigned id, bool usable);

/**
 * Say whether a worker drains: it is not usable then, but keeps its sessions.
 *
 * @param workers   Initialised.
 * @param id        1 – count.
 * @param draining  Which.
 */
void lp_workers_set_draining(struct lp_workers *workers, unsigned id, bool draining);

/**
 * A worker begins to listen at an address, or to do so no longer. What comes to an address at which a process has listened
 * goes only to workers that listen there; what comes to others, to any. A worker that never tells takes all.
 *
 * @param workers  Initialised.
 * @param id       1 – count.
 * @param address  0 – LP_WORKERS_ADDRESSES - 1; others are passed over.
 * @param listens  Which.
 */
void lp_workers_set_listens(struct lp_workers *workers, unsigned id, uint64_t address, bool listens);

/**
 * A worker listens nowhere, for now.
 *
 * @param workers  Initialised.
 * @param id       1 – count.
 * @param gone     Its process is gone: what comes to an address that it alone had listened at is anybody's again.
 */
void lp_workers_forget_listens(struct lp_workers *workers, unsigned id, bool gone);

/**
 * Let `usable` mean: for a connection that has come to this address.
 *
 * @param workers  Initialised.
 * @param address  0 and up; or LP_WORKERS_ANYWHERE, as it is between two decisions.
 */
void lp_workers_set_address(struct lp_workers *workers, int address);

/**
 * The usable worker that a key belongs to (rendezvous hashing).
 *
 * @param workers  Initialised.
 * @param key      Any bytes.
 *
 * @return Its id; 0 when none is usable.
 */
unsigned lp_workers_hash(const struct lp_workers *workers, struct lp_slice key);

/**
 * The same, but passing over workers that are too full: the usable worker that a key belongs to among those with at
 * most load times (the mean of the usable workers' connections + 1).
 *
 * @param workers  Initialised.
 * @param key      Any bytes.
 * @param load     1 or more: then there is always one. 1.25 lets a worker have a quarter more than the mean.
 *
 * @return Its id; 0 when none is usable.
 */
unsigned lp_workers_bounded_hash(const struct lp_workers *workers, struct lp_slice key, double load);

enum lp_workers_measure { LP_LEAST_CONNECTIONS, LP_LEAST_SESSIONS, LP_LEAST_WAITING };

/**
 * The usable worker with the least of something. Of equals, the one with fewer sessions (for LP_LEAST_CONNECTIONS) or
 * fewer connections (for the others). Workers that are equal in both take turns: short requests leave nearly every worker
 * at 0 connections, and one worker would get them all.
 *
 * @param workers  Initialised. Remembers whose turn it was.
 * @param measure  Of what.
 *
 * @return Its id; 0 when none is usable.
 */
unsigned lp_workers_least(struct lp_workers *workers, enum lp_workers_measure measure);

/** The same among all but one. @param workers Initialised. @param measure Of what. @param but Its id. @return Id, or 0. */
unsigned lp_workers_least_except(struct lp_workers *workers, enum lp_workers_measure measure, unsigned but);

/** The usable worker after the one given last, round and round. @param workers Initialised. @return Id, or 0. */
unsigned lp_workers_next(struct lp_workers *workers);

/** Any usable worker, each equally likely. @param workers Initialised. @return Id, or 0. */
unsigned lp_workers_random(struct lp_workers *workers);

#endif
