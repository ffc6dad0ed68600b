/**
 * The door through which processes become workers by themselves: a unix socket at a path that they know from their
 * environment (LIMPET_PRELOAD). Whoever connects to it is a worker, and the connection is its channel.
 *
 * The path belongs to the address that is listened on. It stays when limpet is killed, and the workers that go on
 * without it find the next limpet there.
 */
#ifndef LP_WORKER_REGISTRY_H
#define LP_WORKER_REGISTRY_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

struct lp_registry;

struct lp_registry_config {
	uv_loop_t *loop;
	struct lp_log *log;
	const char *folder; /**< For the socket; NULL: one that suits the user. */
	const char
		*address; /**< What limpet listens on first, "127.0.0.1:5000": makes the socket's name. For the call. */
	const char *addresses; /**< All ports and paths, "5000,unix:/run/x": those that workers mean when they bind. */
	const char *learn;     /**< As --learn says it, or NULL. */
	/** A process has come, of which the kernel says who it is. @param fd Its channel: the receiver's. */
	void (*registered)(void *owner, int fd, pid_t pid, uid_t user);
	void *owner;
};

/**
 * Open the door.
 *
 * @param registry  Set on success; end it with lp_registry_close.
 * @param config    Copied; what it points to is borrowed.
 * @param error     Filled on failure.
 *
 * @return 0; or negative errno: the library is not where it is looked for, the folder cannot be made or is another
 *         user's, the socket cannot be made.
 */
int lp_registry_open(struct lp_registry **registry, const struct lp_registry_config *config, struct lp_error *error);

/**
 * Find the programs that a limpet before us had started for the same address, and that still run.
 *
 * @param registry  Open.
 * @param found     Runs for each, in no order: its process, which leads a session, and the slot it was in.
 * @param owner     Passed to found.
 */
void lp_registry_find_heirs(const struct lp_registry *registry, void (*found)(void *owner, pid_t pid, unsigned slot),
			    void *owner);

/** What a worker's environment needs: "NAME=value"s, NULL-terminated; %u stands for the slot. @param registry Open. */
char *const *lp_registry_environment(const struct lp_registry *registry);

/** Whether a port is one of ours. @param registry Open. @param port 1 – 65535. */
bool lp_registry_is_port(const struct lp_registry *registry, unsigned port);

/**
 * What a worker has at LP_CHANNEL_FD: a socket that the library knows for a listener at the first address.
 *
 * @param registry  Open.
 *
 * @return The caller's to close; or negative errno.
 */
int lp_registry_placeholder(struct lp_registry *registry);

/**
 * Close the door and remove the socket.
 *
 * @param registry  Open.
 * @param closed    Runs once, later, on the loop; the registry is freed behind it.
 * @param owner     Passed to closed.
 */
void lp_registry_close(struct lp_registry *registry, void (*closed)(void *owner), void *owner);

#endif
