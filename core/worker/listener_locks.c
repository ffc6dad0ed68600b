/*
 * A bound address is the kernel's lock already, most of the time. It is none between two network namespaces, which may
 * have a folder in common; nor for a unix path, whose file somebody may have removed; nor while a limpet that listens no
 * more lets its workers finish.
 */
#include "worker/listener_locks.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static int refuse(const char *name, const char *path, pid_t holder, struct lp_error *error)
{
	char who[32] = "another limpet";
	if (holder > 0)
		snprintf(who, sizeof(who), "limpet with pid %d", (int)holder);
	return lp_error_set(error, -EBUSY,
			    "%s: %s has workers for it already and holds %s; stop that one, or listen elsewhere", name,
			    who, path);
}

static int take(struct lp_file_lock *lock, const char *folder, const struct lp_listener_identity *listener,
		struct lp_error *error)
{
	char path[PATH_MAX];
	pid_t holder;
	if (snprintf(path, sizeof(path), "%s/%s" LP_LISTENER_LOCK_SUFFIX, folder, listener->identity) >=
	    (int)sizeof(path))
		return lp_error_set(error, -ENAMETOOLONG, "%s is too long; name a shorter folder with --preload-dir",
				    folder);
	int status = lp_file_lock_take(lock, path, &holder);
	if (status == -EBUSY)
		return refuse(listener->name, path, holder, error);
	return status ? lp_error_set(error, status,
				     "%s cannot be locked: %s; remove it, or name another folder with --preload-dir",
				     path, lp_error_words(status))
		      : 0;
}

int lp_listener_locks_take(struct lp_listener_locks *locks, const char *folder,
			   const struct lp_listener_identity *listeners, size_t count, struct lp_error *error)
{
	*locks = (struct lp_listener_locks){.all = calloc(count, sizeof(*locks->all))};
	if (!locks->all)
		return lp_error_set(error, -ENOMEM, "no memory for the locks of %zu listeners", count);
	int status = 0;
	for (size_t i = 0; i < count && !status; i++) {
		status = take(&locks->all[i], folder, &listeners[i], error);
		locks->count += !status;
	}
	if (status)
		lp_listener_locks_release(locks);
	return status;
}

void lp_listener_locks_release(struct lp_listener_locks *locks)
{
	while (locks->count)
		lp_file_lock_release(&locks->all[--locks->count]);
	free(locks->all);
	*locks = (struct lp_listener_locks){0};
}
