/*
 * The order is the kernel's: groups while we may still set them, then the group, then the user, which clears the
 * capabilities. glibc does the first three for all threads; "no new privileges" is for the calling thread and for what it
 * starts, and it is the thread that starts the workers. Nothing is believed: whether root can be had back is tried.
 */
#include "base/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Room for an entry of the user or group database. */
#define ENTRY_BYTES 65536

/* Ids are below (uid_t)-1, which means "no change" to the kernel. */
static bool parse_id(const char *text, id_t *id)
{
	uint64_t value = 0;
	if (!*text || strlen(text) > 10 || text[strspn(text, "0123456789")])
		return false;
	value = strtoull(text, NULL, 10);
	*id = (id_t)value;
	return value < (id_t)-1;
}

/* Returns whether the name or number is known; a number that has no entry is a user without a group. */
static bool find_user(const char *name, char *memory, struct lp_user *user, bool *has_group)
{
	struct passwd entry, *found = NULL;
	bool is_number = parse_id(name, &user->uid);
	if (is_number)
		getpwuid_r(user->uid, &entry, memory, ENTRY_BYTES, &found);
	else
		getpwnam_r(name, &entry, memory, ENTRY_BYTES, &found);
	*has_group = found != NULL;
	if (found) {
		user->uid = entry.pw_uid;
		user->gid = entry.pw_gid;
	}
	return found || is_number;
}

static bool find_group(const char *name, char *memory, gid_t *gid)
{
	struct group entry, *found = NULL;
	if (parse_id(name, gid))
		return true;
	getgrnam_r(name, &entry, memory, ENTRY_BYTES, &found);
	if (found)
		*gid = entry.gr_gid;
	return found != NULL;
}

static int find_user_and_group(const char *text, char *name, char *memory, struct lp_user *user, struct lp_error *error)
{
	char *colon = strchr(name, ':');
	bool has_group;
	if (colon)
		*colon = '\0';
	if (!find_user(name, memory, user, &has_group))
		return lp_error_set(error, LP_EUSAGE,
				    "there is no user \"%s\"; add it, or name another, as NAME or NAME:GROUP", name);
	if (user->uid == 0)
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\" is root, who can do everything; name a user who cannot, or leave it out",
				    name);
	if (colon && !find_group(colon + 1, memory, &user->gid))
		return lp_error_set(error, LP_EUSAGE, "there is no group \"%s\"; add it, or name another", colon + 1);
	if (!colon && !has_group)
		return lp_error_set(error, LP_EUSAGE, "user %s has no group of its own; name one: %s:GROUP", name,
				    text);
	return 0;
}

int lp_user_find(const char *text, struct lp_user *user, struct lp_error *error)
{
	struct lp_user found = {.text = text};
	char *name = strdup(text);
	char *memory = malloc(ENTRY_BYTES);
	int status = name && memory ? find_user_and_group(text, name, memory, &found, error)
				    : lp_error_set(error, -ENOMEM, "no memory to look up user %s", text);
	free(memory);
	free(name);
	if (status == 0)
		*user = found;
	return status;
}

bool lp_user_find_id(const char *name, uid_t *uid)
{
	char *memory = malloc(ENTRY_BYTES);
	struct lp_user user = {0};
	bool has_group;
	bool found = memory && find_user(name, memory, &user, &has_group);
	free(memory);
	if (found)
		*uid = user.uid;
	return found;
}

bool lp_group_find_id(const char *name, gid_t *gid)
{
	char *memory = malloc(ENTRY_BYTES);
	bool found = memory && find_group(name, memory, gid);
	free(memory);
	return found;
}

/* By a descriptor, so that what is looked at and what is given away are the same. */
int lp_user_own_socket(const struct lp_user *user, const char *path, struct lp_error *error)
{
	struct stat what;
	int status = 0;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	bool is_there = fd >= 0 && fstat(fd, &what) == 0;
	bool is_socket = is_there && S_ISSOCK(what.st_mode) && what.st_uid == geteuid();
	if (is_there && !is_socket)
		status = -ENOTSOCK; /* Somebody has put something else there. */
	else if (!is_there || fchownat(fd, "", user->uid, user->gid, AT_EMPTY_PATH))
		status = -errno;
	if (fd >= 0)
		close(fd);
	return status ? lp_error_set(error, status, "cannot give the socket %s to user %s: %s", path, user->text,
				     lp_error_words(status))
		      : 0;
}

/* By system call: the library for it is large, and this is all that is needed of it. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	return (int)syscall(SYS_capset, &header, none);
}

static bool can_come_back(const struct lp_user *user)
{
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setuid(0) == 0)
		return true;
	return user->gid != 0 && (setresgid((gid_t)-1, 0, (gid_t)-1) == 0 || setgid(0) == 0);
}

int lp_user_become(const struct lp_user *user, struct lp_error *error)
{
	if (setgroups(0, NULL) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid)) {
		int status = -errno;
		return lp_error_set(error, status, "cannot become user %s: %s%s", user->text, lp_error_words(status),
				    status == -EPERM ? "; start limpet as root, or leave --user out" : "");
	}
	if (drop_capabilities() || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return lp_error_set(error, -errno, "cannot give up privileges: %s", lp_error_words(-errno));
	if (can_come_back(user))
		return lp_error_set(error, -EPERM,
				    "user %s can become root again, so nothing would be gained; check the securebits "
				    "that limpet was started with",
				    user->text);
	return 0;
}

void lp_privileges_keep_to_ourselves(void)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}
