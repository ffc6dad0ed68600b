/**
 * What outlives a balancer: memory and descriptors that the next one finds when this one has died.
 *
 * The memory is one shared mapping, made before the first balancer is started, so it has the same address in each of them.
 * Areas in it are found by their names. A balancer may be killed between any two instructions, so whoever writes there
 * writes what makes a record valid last.
 *
 * Descriptors are known by a kind and a number. The keeper has a copy of each that it was asked to hold; the next balancer is
 * its child, and so has it, too.
 *
 *     who                owns
 *     the keeper         the mapping, a copy of each descriptor that is held, the workers whose balancer has died
 *     a balancer         its own copies of the descriptors: those that it has taken, and those that it has opened
 *
 * Where nothing lasts (--keeper off), `lasting` is NULL, which every function here takes: nothing is held, nothing is found.
 */
#ifndef LP_KEEPER_LASTING_H
#define LP_KEEPER_LASTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Descriptors that are held at a time. */
#define LP_LASTING_HELD_MAX 2048

/** Named areas. */
#define LP_LASTING_AREAS_MAX 32

/** Room for a name. */
#define LP_LASTING_NAME_SIZE 24

/** What a held descriptor is; its number says which. */
enum lp_lasting_kind {
	LP_LASTING_LISTENER,     /**< By its place among --listen's. */
	LP_LASTING_DOOR,         /**< Where processes register: 0; Node's channel: 1. */
	LP_LASTING_CHANNEL,      /**< The balancer's end of a worker's channel, by the worker's id. */
	LP_LASTING_NODE_CHANNEL, /**< A Node process's channel of Node's, by its record. */
	LP_LASTING_OUTPUT, /**< The balancer's end of a worker's output: twice its id; and one more for standard error. */
	LP_LASTING_SHARED, /**< A socket that workers share, by its place among them. */
	LP_LASTING_KINDS,
};

/** What lies at the beginning of the mapping. */
struct lp_lasting_head {
	pid_t keeper;
	pid_t balancer;      /**< The present one. */
	pid_t last_balancer; /**< The one that died last. 0: none has. */
	int last_signal;     /**< What ended it; 0: it ended by itself. */
	int last_status;     /**< Its exit status then. */
	uint32_t deaths;     /**< Of balancers that had begun to serve, and of those that failed to begin. */
	bool begins_empty;   /**< All areas were emptied for the present one. */
	bool serves;         /**< The present balancer does. */
	size_t size;         /**< Of the mapping. */
	size_t used;         /**< Bytes of it. */
	uint32_t area_count;
	struct {
		char name[LP_LASTING_NAME_SIZE];
		size_t offset;
		size_t bytes;
	} areas[LP_LASTING_AREAS_MAX];
};

/** A process's own view. The keeper's; each balancer has a copy of it as it was when that one was started. */
struct lp_lasting {
	struct lp_lasting_head *head;
	int to_keeper;     /**< The balancer's end; the keeper keeps it for the next one. */
	int from_balancer; /**< The keeper's end; -1 in a balancer. */
	unsigned held_count;
	struct lp_held {
		uint16_t kind;
		uint32_t number;
		int fd;
	} held[LP_LASTING_HELD_MAX];
};

/**
 * Make the mapping and the way to the keeper.
 *
 * @param lasting  The caller's memory.
 * @param bytes    Of the mapping; what is not touched costs nothing.
 *
 * @return 0, or negative errno with nothing made.
 */
int lp_lasting_open(struct lp_lasting *lasting, size_t bytes);

/** Close all of it. @param lasting Open. */
void lp_lasting_close(struct lp_lasting *lasting);

/* For balancers. */

/**
 * An area of that name and size: the one that an earlier balancer had, with what it has written there, or a new one.
 *
 * @param lasting  Open, or NULL.
 * @param name     Less than LP_LASTING_NAME_SIZE bytes.
 * @param bytes    1 or more. An area of that name and another size is left alone: a new one is made.
 *
 * @return Aligned to 64 bytes, zeroed if it is new; NULL when nothing lasts, or there is no room.
 */
void *lp_lasting_area(struct lp_lasting *lasting, const char *name, size_t bytes);

/**
 * Let the keeper hold a copy, in place of what it held as that.
 *
 * @param lasting  Open, or NULL.
 * @param kind     What it is.
 * @param number   Which.
 * @param fd       Borrowed.
 *
 * @return 0, or negative errno: it will not outlive this process.
 */
int lp_lasting_hold(struct lp_lasting *lasting, enum lp_lasting_kind kind, uint32_t number, int fd);

/** Let the keeper close its copy. @param lasting Open, or NULL. @param kind What it is. @param number Which; one that it does
 * not hold is fine. */
void lp_lasting_drop(struct lp_lasting *lasting, enum lp_lasting_kind kind, uint32_t number);

/**
 * Take what an earlier balancer had. The keeper goes on holding its own copy.
 *
 * @param lasting  Open, or NULL.
 * @param kind     What it is.
 * @param number   Which.
 *
 * @return The caller's, close-on-exec; or -1: there is none, or it was taken already.
 */
int lp_lasting_take(struct lp_lasting *lasting, enum lp_lasting_kind kind, uint32_t number);

/** Close, here and in the keeper, what nobody has taken. @param lasting Open, or NULL. */
void lp_lasting_drop_untaken(struct lp_lasting *lasting);

/** Whether this balancer goes on from an earlier one. @param lasting Open, or NULL. */
bool lp_lasting_is_successor(const struct lp_lasting *lasting);

/** This balancer serves now: from here on its end is the keeper's, too, unless a signal has killed it. @param lasting Open, or NULL. */
void lp_lasting_serve(struct lp_lasting *lasting);

/** The keeper is to become this user, too. @param lasting Open, or NULL. @param uid Not 0. @param gid Its group.
 * @return 0, or negative errno. */
int lp_lasting_become(struct lp_lasting *lasting, uid_t uid, gid_t gid);

/* For the keeper. */

/** Take the next message of a balancer, if there is one. @param lasting Open. @return Whether there was. */
bool lp_lasting_hear(struct lp_lasting *lasting);

/** Empty all areas, for what is written there may be what balancers die of. @param lasting Open; no balancer runs. */
void lp_lasting_empty(struct lp_lasting *lasting);

#endif
