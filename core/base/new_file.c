/*
 * The new file is made by mkostemp, which creates it or fails (O_EXCL) and gives it mode 0600; rename(2) then puts it in
 * place in one step. The bytes reach the disk before the name does, or a crash could leave an empty file.
 */
#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_target(const char *path, struct lp_error *error)
{
	struct stat what;

	if (lstat(path, &what) != 0)
		return errno == ENOENT ? 0 : lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
	if (S_ISREG(what.st_mode))
		return 0;
	if (S_ISDIR(what.st_mode))
		return lp_error_set(error, -EISDIR, "%s: %s; name a file in it", path, lp_error_words(-EISDIR));
	return lp_error_set(error, -EEXIST, "%s is not a regular file but %s, and stays; name another file", path,
			    S_ISLNK(what.st_mode) ? "a symbolic link" : "a device, a pipe or a socket");
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, bytes, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		length -= (size_t)written;
	}
	return 0;
}

static int set_mode(int fd, mode_t mode)
{
	mode_t mask;

	if (mode == LP_NEW_FILE_PRIVATE)
		return 0;
	mask = umask(0);
	umask(mask);
	return fchmod(fd, mode & ~mask) != 0 ? -errno : 0;
}

/* Fill the new file and put it in place. */
static int fill_and_rename(int fd, const char *temporary, const char *path, mode_t mode, const char *bytes,
			   size_t length)
{
	int status = write_all(fd, bytes, length);

	if (status == 0)
		status = set_mode(fd, mode);
	if (status == 0 && fsync(fd) != 0 && errno != EINVAL)
		status = -errno;
	if (close(fd) != 0 && status == 0)
		status = -errno;
	if (status == 0 && rename(temporary, path) != 0)
		status = -errno;
	if (status != 0)
		unlink(temporary);
	return status;
}

int lp_new_file_write(const char *path, mode_t mode, const char *bytes, size_t length, struct lp_error *error)
{
	char *temporary;
	int status = check_target(path, error);
	int fd;

	if (status != 0)
		return status;
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return lp_error_set(error, -ENOMEM, "%s: %s", path, lp_error_words(-ENOMEM));
	fd = mkostemp(temporary, O_CLOEXEC);
	status = fd < 0 ? -errno : fill_and_rename(fd, temporary, path, mode, bytes, length);
	free(temporary);
	return status ? lp_error_set(error, status, "%s: %s", path, lp_error_words(status)) : 0;
}
