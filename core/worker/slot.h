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
#include "worker/channel.h"
#include "worker/count.h"
#include "worker/process.h"
#include "worker/stuck.h"
#include "worker/supervisor.h"
#include "worker/taken.h"

struct lp_slot;

/** What all slots share. The supervisor's. */
struct lp_slots {
	struct lp_supervisor_config config;
	struct lp_slot *all;    /**< config.workers->count of them, by id. */
	uv_prepare_t before;    /**< The loop waits: what was handed over goes out. */
	uv_check_t after;       /**< The loop has waited: the same. */
	struct lp_taken taken;  /**< Acknowledged, and not yet read from. Its timer is the supervisor's to close. */
	struct lp_count *count; /**< NULL until a worker that does not report takes a connection. */
	bool count_tried;
	struct lp_stuck stuck;       /**< Its timer is the supervisor's to close. */
	struct lp_histogram latency; /**< Microseconds from ready to acknowledged. */
	uint64_t turn_ns;            /**< When this turn of the loop began its work; 0: nobody has asked yet. */
	struct lp_descriptors_for_programs descriptors;
	uint64_t starts;
	uint64_t exits;
	bool stopping; /**< No process is started any more. */
	/** A slot will not be used again. Once for each, after stopping was set. */
	void (*on_ended)(struct lp_slots *slots);
};

enum lp_slot_state { LP_SLOT_PAUSED, LP_SLOT_RUNNING, LP_SLOT_CLOSING, LP_SLOT_ENDED };

struct lp_slot {
	struct lp_slots *slots;
	struct lp_worker *worker;
	enum lp_slot_state state;
	struct lp_process process;
	struct lp_channel channel;
	bool channel_open;
	unsigned closing; /**< Callbacks to come, of process and channel. */
	bool up;          /**< on_worker_up was called, and on_worker_down not since. */
	bool full;        /**< The channel's queue has no room. */
	bool reports;     /**< The worker tells how many connections it has open. */
	struct lp_patience patience;
	unsigned failures;
	uv_timer_t timer; /**< PAUSED: to the next start. RUNNING: to the remark that it is late. */
};

/**
 * Prepare a slot and start its first process.
 *
 * @param slot   The supervisor's memory, until slots->on_ended.
 * @param slots  Borrowed; outlives the slot.
 * @param index  0 and up; the worker's id less one.
 */
void lp_slot_start(struct lp_slot *slot, struct lp_slots *slots, unsigned index);

/** For slots->taken: a connection's worker has read from it. @param taken The slots'. @param parcel In no list. */
void lp_slot_settle(struct lp_taken *taken, struct lp_parcel *parcel);

/** For slots->taken: whether a worker gives no sign that it runs. @param taken The slots'. @param worker Its id. */
bool lp_slot_is_silent(struct lp_taken *taken, unsigned worker);

/** Make the worker usable or not, as the slot's state is now. @param slot Started. */
void lp_slot_update_usable(struct lp_slot *slot);

/**
 * Hand a connection to the slot's worker.
 *
 * @param slot    Started.
 * @param parcel  The slot's on success; the caller's on error.
 *
 * @return 0; or negative, with the worker not usable now.
 */
int lp_slot_hand_over(struct lp_slot *slot, struct lp_parcel *parcel);

/** Tell the worker to finish; an empty slot ends. @param slot Started; slots->stopping is set. */
void lp_slot_finish(struct lp_slot *slot);

#endif
