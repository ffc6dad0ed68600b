/*
 * What is looked at is the folder itself (lstat), so that a link in /tmp leads nowhere.
 */
#include "base/run_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void lp_run_folder_find(char *path)
{
	const char *of_service = getenv("RUNTIME_DIRECTORY");
	const char *of_user = getenv("XDG_RUNTIME_DIR");

	if (of_service && *of_service == '/')
		snprintf(path, LP_RUN_FOLDER_SIZE, "%.*s", (int)strcspn(of_service, ":"), of_service);
	else if (geteuid() == 0)
		snprintf(path, LP_RUN_FOLDER_SIZE, "/run/limpet");
	else if (of_user && *of_user)
		snprintf(path, LP_RUN_FOLDER_SIZE, "%s/limpet", of_user);
	else
		snprintf(path, LP_RUN_FOLDER_SIZE, "/tmp/limpet-%u", (unsigned)geteuid());
}

int lp_run_folder_check(const char *path, uid_t *owner, struct lp_error *error)
{
	struct stat what;

	if (lstat(path, &what) != 0)
		return lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
	if (!S_ISDIR(what.st_mode))
		return lp_error_set(error, -EPERM, "%s is not a folder", path);
	if (what.st_uid != 0 && what.st_uid != geteuid())
		return lp_error_set(error, -EPERM, "%s belongs to another user (uid %u)", path, (unsigned)what.st_uid);
	if (what.st_mode & (S_IWGRP | S_IWOTH))
		return lp_error_set(error, -EPERM, "%s can be written to by other users (mode %04o)", path,
				    (unsigned)(what.st_mode & 07777));
	if (owner)
		*owner = what.st_uid;
	return 0;
}

int lp_run_folder_make(const char *path, const char *flag, struct lp_error *error)
{
	struct lp_error reason = {0};
	uid_t owner = 0;
	int status;

	if (mkdir(path, 0711) != 0 && errno != EEXIST)
		return lp_error_set(error, -errno, "the folder %s cannot be made: %s; choose another place with %s",
				    path, lp_error_words(-errno), flag);
	status = lp_run_folder_check(path, &owner, &reason);
	if (status)
		return lp_error_set(error, status, "%s; mend that, or choose another place with %s", reason.text, flag);
	if (owner != geteuid())
		return lp_error_set(error, -EPERM, "%s belongs to root; choose another place with %s", path, flag);
	return 0;
}
