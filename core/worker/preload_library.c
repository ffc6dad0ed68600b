/*
 * The link is to the folder, for the library looks for its script beside itself. It takes the place of an older one in one
 * step: a worker that starts at that moment finds the one or the other.
 */
#include "worker/preload_library.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "liblimpet-preload.so"

static bool is_library(char *path, size_t size, const char *folder, const char *below)
{
	return snprintf(path, size, "%s%s/" LIBRARY, folder, below) < (int)size && access(path, R_OK) == 0;
}

int lp_preload_library_find(char *path, size_t size, struct lp_error *error)
{
	char folder[PATH_MAX];
	const char *named = getenv("LIMPET_PRELOAD_LIBRARY");
	if (named) {
		if (snprintf(path, size, "%s", named) < (int)size && access(path, R_OK) == 0)
			return 0;
		return lp_error_set(error, -ENOENT, "LIMPET_PRELOAD_LIBRARY: %s cannot be read", named);
	}
	ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	folder[length > 0 ? length : 0] = '\0';
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
	if (is_library(path, size, folder, "") || is_library(path, size, LIMPET_LIBRARY_FOLDER, "") ||
	    is_library(path, size, folder, "/../lib/limpet"))
		return 0;
	return lp_error_set(error, -ENOENT,
			    LIBRARY " is neither in %s nor in " LIMPET_LIBRARY_FOLDER
				    "; say where it is with LIMPET_PRELOAD_LIBRARY",
			    folder);
}

/* Returns 0 or negative errno. */
static int replace_link(const char *target, const char *link)
{
	char made[PATH_MAX];
	int status = 0;
	if (snprintf(made, sizeof(made), "%s.%d", link, (int)getpid()) >= (int)sizeof(made))
		return -ENAMETOOLONG;
	unlink(made); /* Of a process before us that had our number. */
	if (symlink(target, made) || rename(made, link)) {
		status = -errno;
		unlink(made);
	}
	return status;
}

int lp_preload_library_link(char *path, size_t size, const char *link, struct lp_error *error)
{
	char folder[PATH_MAX];
	char *slash;
	int status = 0;
	if (!strpbrk(path, LP_PRELOAD_LIBRARY_SEPARATORS))
		return 0;
	if (strpbrk(link, LP_PRELOAD_LIBRARY_SEPARATORS))
		return lp_error_set(
			error, -EINVAL,
			"%s cannot be preloaded, because its path has a blank or a colon; the run-time folder "
			"has one, too, or limpet would make a link there: choose another with --preload-dir",
			path);
	if (!realpath(path, folder))
		status = -errno;
	slash = status ? NULL : strrchr(folder, '/');
	if (!status && strcmp(slash, "/" LIBRARY) != 0)
		status = -EINVAL; /* LIMPET_PRELOAD_LIBRARY names another. */
	if (!status) {
		*slash = '\0';
		status = replace_link(folder, link);
	}
	if (!status && snprintf(path, size, "%s/" LIBRARY, link) >= (int)size)
		status = -ENAMETOOLONG;
	if (status)
		return lp_error_set(error, status,
				    "%s cannot be preloaded, because its path has a blank or a colon, and cannot be "
				    "linked to %s: %s",
				    path, link, lp_error_words(status));
	return 1;
}
