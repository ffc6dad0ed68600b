/**
 * The supervisor: keeps one worker process in every slot, and is the way to them.
 *
 * It owns the processes, their channels and the kernel's count of their connections, and keeps the numbers in `struct
 * lp_workers` right. A process that ends is replaced in the same slot, at once if it had been ready for a second, else
 * after a growing pause. What it learns goes up through events.
 */
#ifndef LP_WORKER_SUPERVISOR_H
#define LP_WORKER_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/histogram.h"
#include "base/log.h"
#include "connection/connection.h"
#include "keeper/lasting.h"
#include "route/sessions.h"
#include "route/workers.h"
#include "worker/dialect.h"
#include "worker/listener_locks.h"

/** Connections that may be QUEUED for one worker. */
#define LP_SUPERVISOR_BACKLOG 1024

/** News from the workers. All run on the loop; any may queue connections, none may stop or free. */
struct lp_supervisor_events {
	/** A worker takes connections now. */
	void (*on_worker_up)(void *owner, unsigned worker);
	/** A worker that was up takes none any more: it ended, closed its server, or is draining. */
	void (*on_worker_down)(void *owner, unsigned worker);
	/** A worker that was busy, or did not listen at some address, can take connections again. */
	void (*on_room)(void *owner, unsigned worker);
	/** A worker has a connection for good. It is closed behind this. */
	void (*on_settled)(void *owner, struct lp_connection *connection);
	/** A connection came back unread from that worker. Moves it to DUE. */
	void (*on_returned)(void *owner, struct lp_connection *connection, unsigned worker,
			    enum lp_return_reason reason);
	/** There was no room to send all that is QUEUED for a worker. */
	void (*on_blocked)(void *owner, unsigned worker);
	/** A connection that is `watched` is about to be sent. */
	void (*on_sending)(void *owner, struct lp_connection *connection);
	/** All workers that were asked (lp_supervisor_ask) up to that round have answered. */
	void (*on_answered)(void *owner, uint32_t round);
	/** A session was learnt from a worker, and is in the table already. */
	void (*on_session)(void *owner, struct lp_slice key);
	/** A worker gave a connection back between two requests. @param fd The receiver's. */
	void (*on_bounced)(void *owner, int fd);
	/** No worker was ever ready in start_timeout_ms, and each slot has seen several of them end. Once. */
	void (*on_hopeless)(void *owner);
	/** Stopped: no process, no handle is left. */
	void (*on_stopped)(void *owner);
};

struct lp_supervisor_config {
	uv_loop_t *loop;
	struct lp_workers *workers;   /**< Its count is the number of slots. */
	struct lp_sessions *sessions; /**< Filled with what the workers say. */
	struct lp_connections *connections;
	struct lp_log *log;
	char *const *command;
	const struct lp_dialect *dialect;
	unsigned processes; /**< How many slots have a process of the command, 1 – workers->count. */
	const char *folder; /**< For workers that register, as in registry.h; the same for the next four. */
	const struct lp_listener_identity *listeners;
	size_t listener_count;
	bool adopts;
	const char *learn;
	const char *addresses;        /**< Where we listen: "5000,unix:/run/x". */
	const char *const *variables; /**< "NAME=value"s for the workers' environment, as process.h has them. */
	size_t variable_count;
	bool prefix;                /**< Mark each line of the workers' output with their id. */
	uint32_t ack_timeout_ms;    /**< A worker that takes nothing for so long gets no new connections; 0: off. */
	uint32_t kill_stuck_ms;     /**< One that takes nothing for so long is killed; 0: off. */
	uint32_t descriptors;       /**< The limit of descriptors that workers begin with; 0: ours. */
	uint32_t start_timeout_ms;  /**< For on_hopeless; 0: never. */
	int stop_signal;            /**< What tells workers to finish; 0: the dialect's own way. */
	struct lp_lasting *lasting; /**< What outlives the balancer; NULL: nothing does. */
	uint32_t useless_ms;        /**< How long one that has hung up may live without a connection. */
	const struct lp_supervisor_events *events;
	void *owner;
};

struct lp_supervisor;

/**
 * Make a supervisor and start a process in every slot.
 *
 * @param out     Set on success; end it with lp_supervisor_stop, then lp_supervisor_free.
 * @param config  Copied; what it points to is borrowed and must outlive the supervisor.
 * @param error   Filled on failure.
 *
 * @return 0; or negative errno: no memory, or the command does not exist (then nothing runs).
 */
int lp_supervisor_start(struct lp_supervisor **out, const struct lp_supervisor_config *config, struct lp_error *error);

/**
 * Queue a connection for a worker: it is sent with the next flush, in this turn of the loop.
 *
 * @param supervisor  Started.
 * @param worker      The id of a usable worker. When LP_SUPERVISOR_BACKLOG are queued for it, it is not usable any more.
 * @param connection  DECIDING. It comes back in on_returned, or ends.
 */
void lp_supervisor_queue(struct lp_supervisor *supervisor, unsigned worker, struct lp_connection *connection);

/**
 * The monotonic clock as it was early in this turn of the loop: whatever had come by then had come. One reading for all
 * that a turn does.
 *
 * @param supervisor  Started.
 *
 * @return Nanoseconds.
 */
uint64_t lp_supervisor_turn_ns(struct lp_supervisor *supervisor);

/** Say which requests workers are to give back. @param supervisor Started. @param each enum lp_frame_each. */
void lp_supervisor_set_each(struct lp_supervisor *supervisor, unsigned each);

/**
 * Ask the workers whether they have said all, once for all that ask in this turn of the loop.
 *
 * @param supervisor  Started.
 *
 * @return The round: on_answered tells when all have answered it, those that end meanwhile not counted. 0: there is nothing
 *         to ask, for the workers name a session before its client can know it; lp_supervisor_hear is enough.
 */
uint32_t lp_supervisor_ask(struct lp_supervisor *supervisor);

/** Read what all workers have said by now, without waiting; events run. @param supervisor Started. */
void lp_supervisor_hear(struct lp_supervisor *supervisor);

/** How often a process was started, and how often one ended. @param supervisor Started. */
uint64_t lp_supervisor_starts(const struct lp_supervisor *supervisor);

/** How often a process ended. @param supervisor Started. */
uint64_t lp_supervisor_exits(const struct lp_supervisor *supervisor);

/** How often a worker was found stuck and got no new connections. @param supervisor Started. */
uint64_t lp_supervisor_ejections(const struct lp_supervisor *supervisor);

/** How often a stuck worker was killed. @param supervisor Started. */
uint64_t lp_supervisor_kills(const struct lp_supervisor *supervisor);

/** How often a worker claimed a session that another had, which lived. @param supervisor Started. */
uint64_t lp_supervisor_sessions_moved(const struct lp_supervisor *supervisor);

/** How long connections took from ready_ns to each acknowledgement, in microseconds. @param supervisor Started. */
const struct lp_histogram *lp_supervisor_latency(const struct lp_supervisor *supervisor);

/** Another limpet may have workers for our listeners now, for we listen no more. @param supervisor Started. */
void lp_supervisor_yield(struct lp_supervisor *supervisor);

/**
 * End all workers: tell them to finish, by stop_signal or the dialect; after grace_ms send SIGTERM, two seconds later
 * SIGKILL. on_stopped runs when the last one is gone. No process is started any more. A second call can shorten the grace;
 * 0 kills at once.
 *
 * @param supervisor  Started.
 * @param grace_ms    How long they may take.
 */
void lp_supervisor_stop(struct lp_supervisor *supervisor, uint64_t grace_ms);

/** Free a supervisor. @param supervisor Stopped, its on_stopped run or running. NULL is allowed. */
void lp_supervisor_free(struct lp_supervisor *supervisor);

#endif
