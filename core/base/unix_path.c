/*
 * Whether somebody listens is asked by connecting. connect(2) answers ECONNREFUSED for a path whose socket is gone, but
 * also for a regular file, so what the path is has to be looked at first.
 */
#include "base/unix_path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int lp_unix_path_address(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (length == 0)
		return -EINVAL;
	if (length >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	memcpy(address->sun_path, path, length);
	return 0;
}

/* Without waiting: where the backlog is full, somebody listens. */
static bool is_stale(const struct sockaddr_un *address)
{
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused;

	if (probe < 0)
		return false;
	refused = connect(probe, (const struct sockaddr *)address, sizeof(*address)) != 0 && errno == ECONNREFUSED;
	close(probe);
	return refused;
}

static const char *kind_of(mode_t mode)
{
	return S_ISREG(mode)    ? "a regular file"
	       : S_ISDIR(mode)  ? "a folder"
	       : S_ISLNK(mode)  ? "a symbolic link"
	       : S_ISFIFO(mode) ? "a pipe"
				: "a device";
}

/* Remove what a dead process left at the path. Returns 0 when the path is free. */
static int make_way(const struct sockaddr_un *address, struct lp_error *error)
{
	const char *path = address->sun_path;
	struct stat what;

	if (lstat(path, &what) != 0)
		return errno == ENOENT ? 0 : lp_error_set(error, -errno, "%s: %s", path, lp_error_words(-errno));
	if (!S_ISSOCK(what.st_mode))
		return lp_error_set(error, -EEXIST, "%s is %s and stays; remove it, or choose another path", path,
				    kind_of(what.st_mode));
	if (!is_stale(address))
		return lp_error_set(error, -EADDRINUSE,
				    "%s: another process listens there; stop it, or choose another path", path);
	if (unlink(path) != 0 && errno != ENOENT)
		return lp_error_set(error, -errno, "%s: the socket of a dead process cannot be removed: %s", path,
				    lp_error_words(-errno));
	return 0;
}

static int bind_with_mode(int fd, const struct sockaddr_un *address, int mode)
{
	/* bind(2) makes the path with the socket's own permissions, less the umask: no moment with wider ones. */
	mode_t before = mode >= 0 ? umask(0777 & ~(mode_t)mode) : 0;
	int status = bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ? -errno : 0;

	if (mode >= 0)
		umask(before);
	return status;
}

int lp_unix_path_bind(int fd, const char *path, int mode, struct lp_unix_path *made, struct lp_error *error)
{
	struct sockaddr_un address;
	struct stat what;
	int status = lp_unix_path_address(&address, path);

	*made = (struct lp_unix_path){0};
	if (status)
		return lp_error_set(error, status, "%s: the path has %zu bytes, and a unix socket's has 1 to %zu", path,
				    strlen(path), sizeof(address.sun_path) - 1);
	status = make_way(&address, error);
	if (status)
		return status;
	status = bind_with_mode(fd, &address, mode);
	if (status)
		return lp_error_set(error, status, "%s: %s", path, lp_error_words(status));
	if (lstat(path, &what) == 0)
		*made = (struct lp_unix_path){.device = what.st_dev, .inode = what.st_ino};
	return 0;
}

void lp_unix_path_find(const char *path, struct lp_unix_path *made)
{
	struct stat what;

	*made = (struct lp_unix_path){0};
	if (lstat(path, &what) == 0 && S_ISSOCK(what.st_mode))
		*made = (struct lp_unix_path){.device = what.st_dev, .inode = what.st_ino};
}

bool lp_unix_path_is_ours(const char *path, const struct lp_unix_path *made)
{
	struct stat what;

	return made->inode && lstat(path, &what) == 0 && S_ISSOCK(what.st_mode) && what.st_ino == made->inode &&
	       what.st_dev == made->device;
}

void lp_unix_path_remove(const char *path, struct lp_unix_path *made)
{
	if (lp_unix_path_is_ours(path, made))
		unlink(path);
	*made = (struct lp_unix_path){0};
}
