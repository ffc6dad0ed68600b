/**
 * Workers that live and take no connections: stopped, hung, or busy with something else. Private to the worker layer.
 *
 * A worker that has left every hand-over unacknowledged for a while gets no new ones (it is ejected) until it takes one
 * again; for longer, if so wished, it is killed. What it has unacknowledged stays with it in between, for it may take it
 * at any moment; only its death makes another owner safe.
 */
#ifndef LP_WORKER_STUCK_H
#define LP_WORKER_STUCK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct lp_slot;
struct lp_slots;

/** What is done about a worker that takes no connections. stuck.c has the table. */
enum lp_patience_state {
	LP_PATIENCE_FINE,    /**< Nothing. */
	LP_PATIENCE_EJECTED, /**< It gets no new ones. */
	LP_PATIENCE_KILLED,  /**< SIGKILL was sent to it. */
};

/** A slot's part. All zero is right for a new process. */
struct lp_patience {
	enum lp_patience_state state;
	uint32_t since; /**< The tick at which the worker last took a connection, or had none to take. */
};

/** What all slots share. */
struct lp_stuck {
	uv_timer_t timer; /**< Runs while any worker has something to take. The supervisor's to close. */
	uint32_t tick_ms;
	uint32_t tick;        /**< Counts on while the timer runs. */
	uint32_t eject_ticks; /**< 0: never. */
	uint32_t kill_ticks;  /**< 0: never. */
	uint64_t ejections;
	uint64_t kills;
};

enum lp_stuck_verdict { LP_STUCK_NOT, LP_STUCK_EJECT, LP_STUCK_KILL };

/**
 * Set the limits, in ticks of a length that suits them.
 *
 * @param stuck     All zero.
 * @param eject_ms  From the last sign that a worker takes connections to its ejection; 0: never.
 * @param kill_ms   To its death; 0: never.
 */
void lp_stuck_set_limits(struct lp_stuck *stuck, uint32_t eject_ms, uint32_t kill_ms);

/**
 * Judge a worker that has connections to take.
 *
 * @param stuck     Its limits set.
 * @param patience  The worker's.
 *
 * @return LP_STUCK_EJECT or LP_STUCK_KILL at the limit and from then on; the graver of both.
 */
enum lp_stuck_verdict lp_stuck_judge(const struct lp_stuck *stuck, const struct lp_patience *patience);

/** Prepare, by the slots' config. @param slots Without processes. */
void lp_stuck_open(struct lp_slots *slots);

/** A worker that had nothing to take gets a connection. @param slot With a channel. */
void lp_stuck_begin(struct lp_slot *slot);

/** A worker has taken a connection, or given one back: it is usable again. @param slot With a channel. */
void lp_stuck_end(struct lp_slot *slot);

/** Whether a worker has had something to take for at least a tick, and took nothing. @param slot Any. */
bool lp_stuck_suspected(const struct lp_slot *slot);

/** A worker's channel closes: whatever it was, it is not stuck. @param slot Whose. */
void lp_stuck_forget(struct lp_slot *slot);

#endif
