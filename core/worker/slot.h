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
#include "worker/stuck.h"
#include "worker/supervisor.h"
#include "worker/unread.h"

struct lp_slot;

/** From SIGTERM to SIGKILL. */
#define LP_SLOT_TERM_MS 2000

/** After so many ends in a row before any worker was ready, it is no accident. */
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
	struct lp_list node_processes;    /**< Of node_process.h. */
	void (*node_processes_closed)(struct lp_slots *slots); /**< Set when the last one's end is waited for. */
	unsigned each; /**< enum lp_frame_each: which requests workers give back. */
	/** A process has ended before a worker of its was ready, as several did before it in its slot. */
	void (*on_failing)(struct lp_slots *slots);
	/** A slot will not be used again. Once for each, after stopping was set. */
	void (*on_ended)(struct lp_slots *slots);
};

enum lp_slot_state { LP_SLOT_VACANT, LP_SLOT_PAUSED, LP_SLOT_RUNNING, LP_SLOT_CLOSING, LP_SLOT_ENDED };

struct lp_slot {
	struct lp_slots *slots;
	struct lp_worker *worker;
	enum lp_slot_state state;
	struct lp_process process; /**< What we have started in the slot. */
	pid_t pid;                 /**< Its number, also when it has ended. */
	struct lp_process member;  /**< The process that has registered, when that is another. */
	struct lp_channel channel;
	struct lp_node_process *node; /**< Who speaks for the slot over Node's channel; NULL: nobody. */
	bool has_hung_up;             /**< Its worker's channel of Node's has ended before the process. */
	bool has_process;             /**< Its handles live; so for the other two. */
	bool has_member;
	bool has_channel;
	bool channel_open;
	bool up;              /**< on_worker_up was called, and on_worker_down not since. */
	bool full;            /**< The channel's queue has no room. */
	bool reports;         /**< The worker tells how many connections it has open. */
	bool uncounted;       /**< It may have some that nobody counts. */
	bool handles_sigterm; /**< So says the worker's library. */
	bool hurried;         /**< What is on the way to it has had its time (shutdown.c). */
	bool told;            /**< The worker was sent what is to end it. */
	bool program_told;    /**< So was the program that we started. */
	bool has_left;        /**< The program has ended, and processes of its session have not. */
	bool goes_on;         /**< They are what the program is about, as far as we know. */
	pid_t session;        /**< Of a worker that registered; its program's pid, mostly. */
	struct lp_process_session left;
	bool is_cut_off; /**< Its channel has failed: the timer runs to its end. */
	struct lp_asked asked;
	struct lp_patience patience;
	uint64_t ready_ns; /**< When a worker of the present process was first up; 0: not yet. */
	pid_t told_pid;    /**< Of whom it was told that it is ready, and when. */
	uint64_t told_ns;
	unsigned failures;
	unsigned unready_exits; /**< In a row, of processes none of whose workers was ever up. */
	unsigned unready_ms;    /**< For how long the process has not been. */
	bool relaunched;        /**< The process is ended so that the next has our own output. */
	uv_timer_t timer;       /**< PAUSED: to the next start. RUNNING: to the remark that it is late. */
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
 * @param who   Its channel and its descriptor are the slot's on success.
 *
 * @return 0, or negative errno: then both are the caller's still.
 */
int lp_slot_enter(struct lp_slot *slot, const struct lp_registered *who);

/** Ask what was started in the slot to end. @param slot Started. @param signal SIGTERM, or what it understands. */
void lp_slot_terminate(struct lp_slot *slot, int signal);

/** End the worker's process, at once. @param slot Started. @param signal SIGTERM, SIGKILL … */
void lp_slot_kill_worker(struct lp_slot *slot, int signal);

/** Send what is queued for the slot's worker, as far as there is room. @param slot Started. */
void lp_slot_flush(struct lp_slot *slot);

/**
 * The worker's channel has failed, or was ended by us: it gets nothing more. It may come again, if it registers; else its
 * process is ended when it has had its time, so that the slot has a worker again, whatever the process does.
 *
 * @param slot  Without a channel.
 */
void lp_slot_cut_off(struct lp_slot *slot);

/** Tell the worker to finish; an empty slot ends. @param slot Started; slots->stopping is set. */
void lp_slot_finish(struct lp_slot *slot);

/* Between slot.c and delivery.c */

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

/* What a slot's channel says, whichever it is (node_process.c). */

/** A connection that is `watched` is about to be sent. @param slot Its worker's. @param connection SENDING. */
void lp_slot_on_sending(struct lp_slot *slot, struct lp_connection *connection);

/** The worker takes a connection. @param slot Its worker's. @param connection SENT or ARRIVED. @param heard_ns When. */
void lp_slot_on_accepted(struct lp_slot *slot, struct lp_connection *connection, uint64_t heard_ns);

/** A connection comes back. @param slot Its worker's. @param connection QUEUED to ARRIVED, unread. @param reason Why. */
void lp_slot_on_returned(struct lp_slot *slot, struct lp_connection *connection, enum lp_return_reason reason);

/** A session began or ended. @param slot Its worker's. @param key Its key. @param bound Which. */
void lp_slot_on_session(struct lp_slot *slot, struct lp_slice key, bool bound);

/** Close the channel, if it is open: what is in it goes to others. @param slot Started. */
void lp_slot_close_channel(struct lp_slot *slot);

/**
 * The worker's process has ended: hear its last words, and forget it.
 *
 * @param slot     Started.
 * @param process  What has ended just now.
 */
void lp_slot_lose_worker(struct lp_slot *slot, struct lp_process *process);

/** The channel's handles are closed. @param slot Whose. */
void lp_slot_on_part_closed(struct lp_slot *slot);

/** A worker has fewer connections than it had: while stopping, it may be done. @param slot Whose. */
void lp_slot_end_if_idle(struct lp_slot *slot);

/** A worker is up: its program is as it should be. @param slot The worker's. */
void lp_slot_note_ready(struct lp_slot *slot);

/** A worker in the slot would be up now, but its program's output is heard: start the program anew. @param slot The worker's.
 * @return Whether that is so. */
bool lp_slot_relaunch_heard(struct lp_slot *slot);

/** Whether the user said how workers are told to finish: then nothing else is tried before the time is over.
 * @param slots Started. */
bool lp_slots_told_as_wished(const struct lp_slots *slots);

#endif
