/**
 * A lock that a process holds for as long as it lives: a file that it has locked with flock(2). The kernel releases it
 * when the process ends, however it ends, so a lock that is held proves that its holder lives.
 */
#ifndef LP_BASE_FILE_LOCK_H
#define LP_BASE_FILE_LOCK_H

#include <sys/types.h>

/** A lock. All zero and fd -1: not held. */
struct lp_file_lock {
	int fd;     /**< -1 while it is not held. */
	char *path; /**< Owned. */
};

/**
 * Take a lock, without waiting.
 *
 * @param lock    The caller's memory. Held on success; release it with lp_file_lock_release.
 * @param path    Of the file, in a folder that only this user can write to. Copied.
 * @param holder  Set to the process that holds it when that is another, 0 if it cannot be told. NULL is allowed.
 *
 * @return 0; or negative errno with nothing held: -EBUSY another process holds it, -EACCES, -ELOOP the file is a link …
 */
int lp_file_lock_take(struct lp_file_lock *lock, const char *path, pid_t *holder);

/** Let go of a lock, and remove its file. @param lock Held or not; not held afterwards. */
void lp_file_lock_release(struct lp_file_lock *lock);

#endif
