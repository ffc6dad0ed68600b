/*
 * A folder is fit when
 *
 *     it is a folder, and no symbolic link to one       lstat, so that a link in /tmp leads nowhere
 *     nobody but its owner can write to it              owner and mode
 *     nobody else can put another in its place          each folder above is root's or its owner's, and where others can
 *                                                       write, it is sticky, as /tmp is
 *
 * In /tmp anybody can be first. That is why it is tried late; and what another user has put there is passed over.
 */
#include "base/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Others pass through it to a socket that they know: workers may drop privileges. */
#define MODE 0711

/* Checking */

/* Whether nobody but root and an owner can put something else at a path: looks at all folders above it. */
static bool is_out_of_reach(const char *path, uid_t owner)
{
	char above[LP_RUN_FOLDER_SIZE];
	if (!realpath(path, above))
		return false;
	for (char *slash = strrchr(above, '/'); slash; slash = strrchr(above, '/')) {
		struct stat what;
		*slash = '\0';
		if (lstat(*above ? above : "/", &what) != 0)
			return false;
		bool is_known = what.st_uid == 0 || what.st_uid == owner || what.st_uid == geteuid();
		if (!is_known || (what.st_mode & S_IWOTH && !(what.st_mode & S_ISVTX)))
			return false;
	}
	return true;
}

/* As lstat(2), also of a path that ends in slashes, which would have it follow a link. */
static int look_at(const char *path, struct stat *what)
{
	char name[LP_RUN_FOLDER_SIZE];
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		length--;
	snprintf(name, sizeof(name), "%.*s", (int)length, path);
	return lstat(name, what);
}

static int check_folder(const char *path, uid_t user, uid_t *owner, struct lp_error *error)
{
	struct stat what;

	if (look_at(path, &what) != 0)
		return lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
	if (!S_ISDIR(what.st_mode))
		return lp_error_set(error, -EPERM, "%s is not a folder", path);
	if (what.st_uid != 0 && what.st_uid != user)
		return lp_error_set(error, -EPERM, "%s belongs to another user (uid %u)", path, (unsigned)what.st_uid);
	if (what.st_mode & (S_IWGRP | S_IWOTH))
		return lp_error_set(error, -EPERM, "%s can be written to by other users (mode %04o)", path,
				    (unsigned)(what.st_mode & 07777));
	if (!is_out_of_reach(path, what.st_uid))
		return lp_error_set(error, -EPERM,
				    "%s can be moved away by other users, who own a folder above it or can write to it",
				    path);
	if (owner)
		*owner = what.st_uid;
	return 0;
}

int lp_run_folder_check(const char *path, uid_t *owner, struct lp_error *error)
{
	return check_folder(path, geteuid(), owner, error);
}

/* Finding */

/* Places for a user that is not root, in the order in which they are tried. */
enum { XDG, RUN, TMP, HOME, PLACES };

/* Whether there is such a place. */
static bool name_place(int place, char *path)
{
	const char *variable = place == XDG ? getenv("XDG_RUNTIME_DIR") : place == HOME ? getenv("HOME") : NULL;
	char folder[64];
	struct stat what;

	snprintf(folder, sizeof(folder), "/run/user/%u", (unsigned)geteuid());
	switch (place) {
	case XDG:
	case HOME:
		snprintf(path, LP_RUN_FOLDER_SIZE, "%s/%slimpet", variable ? variable : "", place == XDG ? "" : ".");
		return variable && *variable == '/';
	case RUN:
		snprintf(path, LP_RUN_FOLDER_SIZE, "%s/limpet", folder);
		return lstat(folder, &what) == 0 && what.st_uid == geteuid();
	default:
		snprintf(path, LP_RUN_FOLDER_SIZE, "/tmp/limpet-%u", (unsigned)geteuid());
		return true;
	}
}

/* It is ours, or could be. */
static bool can_be_had(const char *path)
{
	char above[LP_RUN_FOLDER_SIZE];
	struct lp_error reason;
	uid_t owner = 0;
	int status = lp_run_folder_check(path, &owner, &reason);

	snprintf(above, sizeof(above), "%.*s", (int)(strrchr(path, '/') - path), path);
	return (status == 0 && owner == geteuid()) || (status == -ENOENT && access(above, W_OK | X_OK) == 0);
}

void lp_run_folder_find(char *path)
{
	const char *of_service = getenv("RUNTIME_DIRECTORY");

	if (of_service && *of_service == '/') {
		snprintf(path, LP_RUN_FOLDER_SIZE, "%.*s", (int)strcspn(of_service, ":"), of_service);
		return;
	}
	if (geteuid() == 0) {
		snprintf(path, LP_RUN_FOLDER_SIZE, "/run/limpet");
		return;
	}
	for (int place = 0; place < PLACES; place++)
		if (name_place(place, path) && can_be_had(path))
			return;
	name_place(TMP, path); /* The one that everybody has: what is wrong with it will be said. */
}

/* Making */

/* Through a descriptor, so that what is given away is what was made. The mode is set whatever the umask is. */
static int give_folder_to_user(const char *path, const struct lp_user *user)
{
	struct stat what;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int status = fd < 0 ? -errno : 0;

	if (!status && (fstat(fd, &what) != 0 || what.st_uid != geteuid()))
		status = -EPERM;
	if (!status && fchmod(fd, MODE) != 0)
		status = -errno;
	if (!status && user && fchown(fd, user->uid, user->gid) != 0)
		status = -errno;
	if (fd >= 0)
		close(fd);
	return status;
}

/* Make it unless it is there, and check that it is the user's, whoever that is. */
static int make_folder(const char *path, const struct lp_user *user, const char *flag, struct lp_error *error)
{
	struct lp_error reason = {0};
	uid_t wanted = user ? user->uid : geteuid();
	uid_t owner = 0;
	int status = mkdir(path, 0700) != 0 ? -errno : give_folder_to_user(path, user);

	if (status && status != -EEXIST)
		return lp_error_set(error, status, "the folder %s cannot be made: %s; choose another place with %s",
				    path, lp_error_words(status), flag);
	status = check_folder(path, wanted, &owner, &reason);
	if (status)
		return lp_error_set(error, status, "%s; mend that, or choose another place with %s", reason.text, flag);
	if (owner != wanted)
		return lp_error_set(error, -EPERM, "%s belongs to root; choose another place with %s", path, flag);
	return 0;
}

int lp_run_folder_make(const char *path, const char *flag, struct lp_error *error)
{
	return make_folder(path, NULL, flag, error);
}

/* The path without links, except in its last part: what is checked is what is used, wherever links lead later. */
static int resolve_parent(char *path, const char *wanted, const char *flag, struct lp_error *error)
{
	char above[LP_RUN_FOLDER_SIZE];
	size_t end = strlen(wanted);
	while (end > 1 && wanted[end - 1] == '/')
		end--;
	size_t name = end;
	while (name > 0 && wanted[name - 1] != '/')
		name--;
	snprintf(above, sizeof(above), "%.*s", (int)name, wanted);
	if (!realpath(name ? above : ".", path))
		return lp_error_set(error, -errno, "the folder %s cannot be made: %s; choose another place with %s",
				    wanted, lp_error_words(-errno), flag);
	size_t used = strlen(path);
	snprintf(path + used, LP_RUN_FOLDER_SIZE - used, "%s%.*s", used > 1 ? "/" : "", (int)(end - name),
		 wanted + name);
	return 0;
}

int lp_run_folder_make_for(char *path, const char *wanted, const struct lp_user *user, const char *flag,
			   struct lp_error *error)
{
	char place[LP_RUN_FOLDER_SIZE];
	struct stat what;

	if (wanted)
		snprintf(place, sizeof(place), "%s", wanted);
	else
		lp_run_folder_find(place);
	int status = resolve_parent(path, place, flag, error);
	if (status)
		return status;
	bool is_roots = user && (!wanted || (lstat(path, &what) == 0 && what.st_uid == geteuid()));
	status = make_folder(path, is_roots ? NULL : user, flag, error);
	if (status || !is_roots)
		return status;
	size_t used = strlen(path);
	snprintf(path + used, LP_RUN_FOLDER_SIZE - used, "/user-%u", (unsigned)user->uid);
	return make_folder(path, user, flag, error);
}
