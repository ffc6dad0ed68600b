/**
 * A slot: one worker's place, in which its processes come and go. Private to the worker layer; the supervisor owns the
 * slots and what they share.
 */
#ifndef LP_WORKER_SLOT_H
#define LP_WORKER_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/histogram.h"
#include "broker/broker.h"
#include "worker/channel.h"
#include "worker/counts/open_count.h"
#include "worker/node_process.h"
#include "worker/ports.h"
#include "worker/process.h"
#include "worker/process_session.h"
#include "worker/registry.h"
#include "worker/session_query.h"
#include "worker/shutdown.h"
#include "worker/stuck.h"
#include "worker/supervisor.h"
#include "worker/survivors.h"
#include "worker/unread.h"

struct lp_slot;

/** From SIGTERM to SIGKILL. */
#define LP_SLOT_TERM_MS 2000

/** After this number of ends in a row before any worker was ready, the program is broken. */
#define LP_SLOT_FAILING 5

/** What all slots share. The supervisor's. */
struct lp_slots {
	struct lp_supervisor_config config;
	struct lp_slot *all;         /**< config.workers->count of them, by id. */
	uv_prepare_t before;         /**< The loop waits: what was handed over goes out. */
	uv_check_t after;            /**< The loop has waited: the same. */
	struct lp_unread unread;     /**< Its timer is the supervisor's to close. */
	struct lp_open_count *count; /**< NULL until a worker that does not report takes a connection. */
	bool count_tried;
	struct lp_session_query asking;
	struct lp_stuck stuck;       /**< Its timer is the supervisor's to close. */
	struct lp_histogram latency; /**< Microseconds from ready to acknowledged. */
	uint64_t turn;               /**< Another number in each turn of the loop. */
	uint64_t turn_ns;            /**< When this turn of the loop began its work; 0: nobody has asked yet. */
	struct lp_descriptors_for_programs descriptors;
	uint64_t starts;
	uint64_t exits;
	bool told_of_parents;             /**< Of workers with a channel of Node's that is not ours. */
	uint64_t sessions_moved;          /**< Claims of a session that another worker had, which lived. */
	bool stopping;                    /**< No process is started any more. */
	bool ever_ready;                  /**< A worker has been. */
	bool unready_told;                /**< That a program is not ready, and why; until a worker is. */
	bool failure_told;                /**< That workers end before they are ready; until one is. */
	bool overdue;                     /**< Stopping has taken too long: what now ends is made to end. */
	struct lp_broker *broker;         /**< Where the workers' own messages go. */
	struct lp_shared_sockets sockets; /**< The supervisor's to close. */
	struct lp_ports ports;            /**< Which workers' servers have asked for. */
	struct lp_registry *registry;     /**< NULL for dialects whose workers are given their channel. */
	struct lp_survivors survivors;
	struct lp_list node_processes;                         /**< Of node_process.h. */
	void (*node_processes_closed)(struct lp_slots *slots); /**< Set when the last one's end is waited for. */
	unsigned each; /**< enum lp_frame_each: which requests workers give back. */
	/** A process has ended before a worker of its was ready, as several did before it in its slot. */
	void (*on_failing)(struct lp_slots *slots);
	/** A slot will not be used again. Once for each, after stopping was set. */
	void (*on_ended)(struct lp_slots *slots);
};

/** The program that limpet starts in a slot. slot_program.c has the table. */
enum lp_program_state {
	LP_PROGRAM_NONE,       /**< None runs, and none is about to. */
	LP_PROGRAM_PAUSED,     /**< The next one starts after a pause. */
	LP_PROGRAM_STARTING,   /**< It runs; no worker of its has been ready. */
	LP_PROGRAM_READY,      /**< It runs; a worker of its has been ready. */
	LP_PROGRAM_RELAUNCHED, /**< It was told to end: the next one writes to our own output. */
	LP_PROGRAM_TOLD,       /**< limpet stops and has told it to end. */
	LP_PROGRAM_CLOSING,    /**< It has ended; its handles are being closed. */
	LP_PROGRAM_LEFT,       /**< It has ended; processes that it started have not. */
	LP_PROGRAM_ENDED,      /**< limpet stops; the slot is not used again. */
	LP_PROGRAM_STATES,
};

/** The process in a slot that takes connections: the program, or one that registered. slot.c has the table. */
enum lp_worker_state {
	LP_WORKER_NONE,    /**< There is none. */
	LP_WORKER_UNREADY, /**< It takes no connections: not yet, or not at the moment. */
	LP_WORKER_READY,   /**< It takes connections. */
	LP_WORKER_HUNG_UP, /**< It has ended its channel and finishes what it has. */
	LP_WORKER_CUT_OFF, /**< Its channel has failed. */
	LP_WORKER_TOLD,    /**< It has not ended in time without a channel, and was sent SIGTERM. */
	LP_WORKER_LEAVING, /**< It has ended; its handles are being closed. */
	LP_WORKER_STATES,
};

/** The socket between a slot and its worker. */
enum lp_slot_channel { LP_SLOT_CHANNEL_NONE, LP_SLOT_CHANNEL_OPEN, LP_SLOT_CHANNEL_CLOSING };

/** A slot's timers, each with one purpose. */
enum lp_slot_timer {
	LP_SLOT_TIMER_START,    /**< PAUSED: to the program's next start. */
	LP_SLOT_TIMER_LOOK,     /**< STARTING: to the next look at why no worker is ready. */
	LP_SLOT_TIMER_RELAUNCH, /**< RELAUNCHED: to the program's SIGKILL. */
	LP_SLOT_TIMER_LEAVE,    /**< HUNG_UP, CUT_OFF: to the worker's SIGTERM. */
	LP_SLOT_TIMER_KILL,     /**< TOLD: to the worker's SIGKILL. */
	LP_SLOT_TIMER_FINISH,   /**< HURRYING (shutdown.h): to the end of that. */
	LP_SLOT_TIMERS,
};

struct lp_slot {
	struct lp_slots *slots;
	struct lp_worker *worker; /**< Its worker as routing knows it. */
	uv_timer_t timers[LP_SLOT_TIMERS];
	unsigned open_timers;

	/* The program. */
	enum lp_program_state program_state;
	struct lp_process process;
	pid_t pid;                      /**< Its number, also when it has ended. */
	uint64_t ready_ns;              /**< When a worker of its was first ready; 0: not yet. */
	unsigned unready_ms;            /**< For how long that has not been so. */
	unsigned failures;              /**< Ends in a row, of programs that were not ready for long. */
	unsigned unready_exits;         /**< Ends in a row, of programs none of whose workers was ever ready. */
	struct lp_process_session left; /**< What it has started, once it has ended. */

	/* The worker. */
	enum lp_worker_state worker_state;
	struct lp_process *worker_process; /**< process, or member; NULL: there is none. */
	struct lp_process member;          /**< A process that has registered and is not the program. */
	pid_t session;                     /**< Of a worker that registered: its program's pid, mostly. */
	enum lp_slot_channel channel_state;
	struct lp_channel channel;
	struct lp_node_process *node; /**< Who speaks for the slot over Node's channel; NULL: nobody. */
	bool is_full;                 /**< Its queue has had no room, and has not been empty since. */
	bool reports;                 /**< The worker tells how many connections it has open. */
	bool uncounted;               /**< It may have some that nobody counts. */
	bool outlived;                /**< So may it, for it was an earlier balancer's. */
	bool handles_sigterm;         /**< So says the worker's library. */
	enum lp_finish finish;
	struct lp_patience patience;
	struct lp_asked asked;
	pid_t logged_pid; /**< The process that was last logged to be ready, and when. */
	uint64_t logged_ns;
};

/**
 * Prepare a slot: it is vacant.
 *
 * @param slot   The supervisor's memory, until slots->on_ended.
 * @param slots  Borrowed; outlives the slot.
 * @param index  0 and up; the worker's id less one.
 */
void lp_slot_prepare(struct lp_slot *slot, struct lp_slots *slots, unsigned index);

/** Start a slot's first process, if it is one that has processes and has none yet. @param slot Prepared. */
void lp_slot_start(struct lp_slot *slot);

/**
 * A program that a limpet before us has started in this slot still runs: it is the slot's, as if we had.
 *
 * @param slot     Prepared by lp_slot_prepare.
 * @param process  As that limpet has written it down.
 *
 * @return 0, or negative errno: it has ended.
 */
int lp_slot_inherit(struct lp_slot *slot, const struct lp_known_process *process);

/** Whether a process can register here. @param slot Started. @param pid Of the process; it may be here already. */
bool lp_slot_is_free(const struct lp_slot *slot, pid_t pid);

/**
 * A process has registered: it is the slot's worker now.
 *
 * @param slot  Free.
 * @param who   Its channel and its descriptor are the slot's on success. Its channel may be -1: it has none yet.
 *
 * @return 0, or negative errno: then both are the caller's still.
 */
int lp_slot_enter(struct lp_slot *slot, const struct lp_registered *who);

/** End the worker's process, at once. @param slot Its worker is there. @param signal SIGTERM, SIGKILL … */
void lp_slot_kill_worker(struct lp_slot *slot, int signal);

/** Send what is queued for the slot's worker, as far as there is room. @param slot Started. */
void lp_slot_flush(struct lp_slot *slot);

/** The worker has ended its channel: it takes nothing more, unless it registers again. @param slot Started. */
void lp_slot_hang_up(struct lp_slot *slot);

/**
 * The worker's channel has failed, or was ended by us: it gets nothing more. It may come again, if it registers; else its
 * process is ended when it has had its time, so that the slot has a worker again, whatever the process does.
 *
 * @param slot  Without that channel.
 */
void lp_slot_cut_off(struct lp_slot *slot);

/** limpet stops: tell the worker to finish; an empty slot ends. @param slot Started; slots->stopping is set. */
void lp_slot_finish(struct lp_slot *slot);

/* The program: slot_program.c. */

/** Whether limpet starts programs in it. @param slot Prepared. */
bool lp_slot_has_programs(const struct lp_slot *slot);

/** Whether the program runs. @param slot Prepared. */
bool lp_slot_program_runs(const struct lp_slot *slot);

/**
 * Change the state of the program. A move that the table does not have ends limpet, as it is a bug.
 *
 * @param slot  Prepared. The timer of the state that it leaves is stopped.
 * @param to    Which.
 */
void lp_slot_move_program(struct lp_slot *slot, enum lp_program_state to);

/** Start the next program after a pause, the longer the more often it has failed. @param slot Without program or worker. */
void lp_slot_pause_program(struct lp_slot *slot);

/** Ask the program to end. @param slot Its program runs, or has ended. @param signal SIGTERM, or what it understands. */
void lp_slot_terminate(struct lp_slot *slot, int signal);

/** limpet stops: ask the program to end. @param slot Its program runs. @param signal As lp_slot_terminate. */
void lp_slot_tell_program(struct lp_slot *slot, int signal);

/** The slot whose program has started the slot's worker. @param slot Prepared. @return NULL: it has ended. */
struct lp_slot *lp_slot_program_of(const struct lp_slot *slot);

/** A worker is up: its program is as it should be. @param slot The worker's. */
void lp_slot_note_ready(struct lp_slot *slot);

/** A worker in the slot would be up now, but its program's output is heard: start the program anew. @param slot The worker's.
 * @return Whether that is so. */
bool lp_slot_relaunch_heard(struct lp_slot *slot);

/* Between slot.c, slot_program.c and delivery.c */

/**
 * Change the state of the worker. A move that the table does not have ends limpet, as it is a bug. Events run when it
 * becomes READY, or is so no longer.
 *
 * @param slot  Prepared. The timers of the state that it leaves are stopped.
 * @param to    Which.
 */
void lp_slot_move_worker(struct lp_slot *slot, enum lp_worker_state to);

/** The worker takes connections: tell everybody. @param slot It is READY. */
void lp_slot_announce_up(struct lp_slot *slot);

/** It takes none any more. @param slot It is READY no longer. */
void lp_slot_announce_down(struct lp_slot *slot);

/** Whether the worker has no connection left, and no channel through which one could come. @param slot Started. */
bool lp_slot_is_idle(const struct lp_slot *slot);

/** For the broker: send a worker a message. @param slots Of struct lp_slots. @param worker Its id.
 * @param bytes The whole of it. @return Whether it will go. */
bool lp_slot_post(void *slots, unsigned worker, struct lp_slice bytes);

/** For slots->unread: a connection's worker has read from it. @param unread The slots'. @param connection UNREAD. */
void lp_slot_settle(struct lp_unread *unread, struct lp_connection *connection);

/** For slots->unread: a connection's worker has ended before it read. @param unread The slots'. @param connection UNREAD. */
void lp_slot_leave(struct lp_unread *unread, struct lp_connection *connection);

/** For slots->unread: whether a worker gives no sign that it runs. @param unread The slots'. @param worker Its id. */
bool lp_slot_is_silent(struct lp_unread *unread, unsigned worker);

/** Make the worker usable or not, as the slot's state is now. @param slot Started. */
void lp_slot_update_usable(struct lp_slot *slot);

/**
 * Open a channel.
 *
 * @param slot        Without one.
 * @param fd          Our end, taken on success; or -1: a pair is made.
 * @param worker_end  For a pair: set to the other end, the caller's.
 *
 * @return 0, or negative errno.
 */
int lp_slot_open_channel(struct lp_slot *slot, int fd, int *worker_end);

/** Whether the worker takes connections now, or no longer: what its channels say has changed. @param slot Started. */
void lp_slot_update_up(struct lp_slot *slot);

/** Whether there is a channel over which the worker takes connections. @param slot Started. */
bool lp_slot_can_hear(const struct lp_slot *slot);

/** Read what the worker has said by now about connections, without waiting. @param slot Started. */
void lp_slot_hear(struct lp_slot *slot);

/** A session began or ended, says one of its channels. @param slot Its worker's. @param key Its key. @param bound Which. */
void lp_slot_on_session(struct lp_slot *slot, struct lp_slice key, bool bound);

/** Close the channel, if it is open: what is in it goes to others. @param slot Started. */
void lp_slot_close_channel(struct lp_slot *slot);

/** The worker's process has ended just now: hear its last words, and forget it. @param slot With a worker. */
void lp_slot_lose_worker(struct lp_slot *slot);

/** Some handles are closed: the program's, the worker's, the channel's. What was the last of them may start the slot anew, or
 * end it. @param slot Whose. */
void lp_slot_on_part_closed(struct lp_slot *slot);

/** A worker has fewer connections than it had: while stopping, it may be done. @param slot Whose. */
void lp_slot_end_if_idle(struct lp_slot *slot);

/** Whether the user said how workers are told to finish: then nothing else is tried before the time is over.
 * @param slots Started. */
bool lp_slots_told_as_wished(const struct lp_slots *slots);

#endif
