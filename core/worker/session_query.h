/**
 * Asking workers whether they have said all: so a session that none of them has named by then is unknown. Private to the
 * worker layer.
 *
 * All who ask in one turn of the loop share a round: each worker is asked once, with what goes to it in that turn. A worker
 * that has not answered is not asked again before it has; then it is asked for the latest round.
 */
#ifndef LP_WORKER_SESSION_QUERY_H
#define LP_WORKER_SESSION_QUERY_H

#include <stdbool.h>
#include <stdint.h>

struct lp_slot;
struct lp_slots;

/** A slot's part. All zero at first. */
struct lp_asked {
	uint32_t sent;     /**< The latest round that its worker was asked in. */
	uint32_t answered; /**< The latest round that it has answered, or need not. */
};

/** What all slots share. All zero, except fd: -1. */
struct lp_session_query {
	uint32_t round; /**< The latest; counted from 1. */
	bool open;      /**< The round has yet to be sent. */
	bool told;      /**< The latest round was answered by all, and that was told. */
	int fd;         /**< What is sent with a question; -1: there is none as yet. */
};

/** Get the descriptor that questions are sent with; without one now, the next question tries again. @param asking Any. */
void lp_session_query_open(struct lp_session_query *asking);

/**
 * Ask, with the next flush.
 *
 * @param slots  The supervisor's.
 *
 * @return The round whose answer tells; 0: no worker has anything to say that it would not have said by now.
 */
uint32_t lp_session_query_begin(struct lp_slots *slots);

/** Send what is to be asked. To be called once a turn. @param slots The supervisor's. */
void lp_session_query_flush(struct lp_slots *slots);

/** A slot's worker has answered. @param slot Asked. */
void lp_session_query_answered(struct lp_slot *slot);

/** A slot's worker need not answer any more, or not yet: it is gone, or has just become ready. @param slot Any. */
void lp_session_query_forget(struct lp_slot *slot);

/** Let go of the descriptor. @param asking Any. */
void lp_session_query_close(struct lp_session_query *asking);

#endif
