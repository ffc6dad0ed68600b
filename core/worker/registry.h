/**
 * The door through which processes become workers by themselves: a unix socket at a path that they know from their
 * environment (LIMPET_PRELOAD). Whoever connects to it is a worker, if it descends from a program that limpet started
 * (known_processes.h), and the connection is its channel.
 *
 * The path belongs to the listener. It stays when limpet is killed, and the workers that go on without it find the next
 * limpet there, which knows them by what was written down (process_record.h). While limpet lives, no other has the door:
 * it holds a lock (listener_locks.h).
 */
#ifndef LP_WORKER_REGISTRY_H
#define LP_WORKER_REGISTRY_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "keeper/lasting.h"
#include "worker/known_processes.h"
#include "worker/listener_locks.h"

struct lp_registry;

/** Who has come, as the kernel says. */
struct lp_registered {
	int fd;        /**< Its channel: the receiver's. */
	pid_t pid;     /**< Its number. */
	int pidfd;     /**< The same process, for good: the receiver's. */
	unsigned slot; /**< Of the program that it is or descends from; 0: that cannot be told. */
};

struct lp_registry_config {
	uv_loop_t *loop;
	struct lp_log *log;
	const char *folder; /**< The run-time folder, made and checked. For the call. */
	/** All that limpet listens on; the first makes the door's name. For the call. */
	const struct lp_listener_identity *listeners;
	size_t listener_count;
	const char *addresses; /**< All ports and paths, "5000,unix:/run/x": those that workers mean when they bind. */
	const char *learn;     /**< As --learn says it, or NULL. */
	struct lp_closer *closer;   /**< Of what comes to the door and is sent away. */
	bool adopts;                /**< Orphans of programs are our children (orphans.h). */
	struct lp_lasting *lasting; /**< Has the doors of an earlier balancer, and holds ours; NULL: nothing does. */
	bool gives_listener;        /**< Programs are told that descriptor 3 is a listener. */
	/** A process has come that has proved who it is. */
	void (*registered)(void *owner, const struct lp_registered *who);
	/** Where a Node process gets the channel of Node's own (dialect `node`), which it has to prove like a worker. NULL: there
	 * is no door for it. */
	void (*node_process)(void *owner, const struct lp_registered *who);
	void *owner;
};

/**
 * Open the door.
 *
 * @param registry  Set on success; end it with lp_registry_close.
 * @param config    Copied; what it points to is borrowed.
 * @param error     Filled on failure.
 *
 * @return 0; or negative errno: the library is not where it is looked for, another limpet has the door, the socket cannot
 *         be made.
 */
int lp_registry_open(struct lp_registry **registry, const struct lp_registry_config *config, struct lp_error *error);

/**
 * Find the programs that a limpet before us had started for the same listener, and that still run.
 *
 * @param registry  Open, and nothing started yet.
 * @param found     Runs for each, in no order.
 * @param owner     Passed to found.
 */
void lp_registry_find_heirs(const struct lp_registry *registry,
			    void (*found)(void *owner, const struct lp_known_process *process), void *owner);

/** A program was started in a slot. @param registry Open. @param pid It has not been waited for. @param slot Which. */
void lp_registry_program_started(struct lp_registry *registry, pid_t pid, unsigned slot);

/** A program or a worker has ended. @param registry Open. @param pid Its number. */
void lp_registry_process_ended(struct lp_registry *registry, pid_t pid);

/** What a worker's environment needs: "NAME=value"s, NULL-terminated; %u stands for the slot. @param registry Open. */
char *const *lp_registry_environment(const struct lp_registry *registry);

/**
 * Make a placeholder of this limpet.
 *
 * @param registry  Open.
 * @param address   Of the listener that it stands for (placeholder.h).
 * @param which     Of limpet's addresses.
 *
 * @return The caller's to close; or negative errno.
 */
int lp_registry_make_placeholder(const struct lp_registry *registry, const struct sockaddr *address, unsigned which);

/**
 * What a worker has at LP_CHANNEL_FD: a socket that the library knows for a listener at the first address.
 *
 * @param registry  Open.
 *
 * @return The caller's to close; or negative errno.
 */
int lp_registry_placeholder(struct lp_registry *registry);

/**
 * Let another limpet have the listeners: the locks are released and nothing is left written down. Until there is another,
 * processes find this door still.
 *
 * @param registry  Open. Twice is once.
 */
void lp_registry_yield(struct lp_registry *registry);

/**
 * Yield, and close the door.
 *
 * @param registry  Open.
 * @param closed    Runs once, later, on the loop; the registry is freed behind it.
 * @param owner     Passed to closed.
 */
void lp_registry_close(struct lp_registry *registry, void (*closed)(void *owner), void *owner);

#endif
