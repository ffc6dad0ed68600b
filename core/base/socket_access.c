/*
 * The mode is the caller's to set when it binds; this reads it and gives the socket away.
 */
#include "base/socket_access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/did_you_mean.h"
#include "base/privileges.h"

#define FORMS "mode=660, user=NAME and group=NAME"

/* Of those who may have it, somebody has to be able to write, which is what connecting takes. */
#define WRITERS 0222

#define GROUP_MODE 0660

static int read_mode(const char *value, const char *whole, struct lp_socket_access *access, struct lp_error *error)
{
	size_t digits = strspn(value, "01234567");

	if (digits < 3 || digits > 4 || value[digits] || (digits == 4 && value[0] != '0'))
		return lp_error_set(error, LP_EUSAGE, "\"%s\": mode=%s is not three octal digits, such as mode=660",
				    whole, value);
	access->mode = (mode_t)strtoul(value, NULL, 8);
	if (!(access->mode & WRITERS))
		return lp_error_set(error, LP_EUSAGE,
				    "\"%s\": with mode=%s nobody can connect, which takes write permission; such as "
				    "mode=660",
				    whole, value);
	return 0;
}

static int read_user(const char *value, const char *whole, struct lp_socket_access *access, struct lp_error *error)
{
	if (lp_user_find_id(value, &access->user))
		return 0;
	return lp_error_set(error, LP_EUSAGE, "\"%s\": there is no user \"%s\"; add it, or name another", whole, value);
}

static int read_group(const char *value, const char *whole, struct lp_socket_access *access, struct lp_error *error)
{
	if (lp_group_find_id(value, &access->group))
		return 0;
	return lp_error_set(error, LP_EUSAGE, "\"%s\": there is no group \"%s\"; add it, or name another", whole,
			    value);
}

static const struct {
	const char *name;
	int (*read)(const char *value, const char *whole, struct lp_socket_access *access, struct lp_error *error);
	size_t given; /* Offset of whether it was. */
} parts[] = {
	{"mode", read_mode, offsetof(struct lp_socket_access, has_mode)},
	{"user", read_user, offsetof(struct lp_socket_access, has_user)},
	{"group", read_group, offsetof(struct lp_socket_access, has_group)},
};

static int refuse_part(const char *part, const char *whole, struct lp_error *error)
{
	struct lp_did_you_mean nearest = {0};
	char name[32];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(part, "="), part);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		lp_did_you_mean_consider(&nearest, name, parts[i].name);
	if (nearest.name)
		return lp_error_set(error, LP_EUSAGE, "\"%s\": \"%s\" is not known; did you mean %s=?", whole, part,
				    nearest.name);
	return lp_error_set(error, LP_EUSAGE,
			    "\"%s\": \"%s\" is not known; the options are " FORMS ", and the path itself has no comma",
			    whole, part);
}

static int read_part(char *part, const char *whole, struct lp_socket_access *access, struct lp_error *error)
{
	char *equals = strchr(part, '=');

	for (size_t i = 0; equals && i < sizeof(parts) / sizeof(parts[0]); i++) {
		bool *given = (bool *)((char *)access + parts[i].given);

		if (strlen(parts[i].name) != (size_t)(equals - part) ||
		    strncmp(part, parts[i].name, (size_t)(equals - part)) != 0)
			continue;
		if (*given)
			return lp_error_set(error, LP_EUSAGE, "\"%s\": %s= is given twice", whole, parts[i].name);
		*given = true;
		return parts[i].read(equals + 1, whole, access, error);
	}
	return refuse_part(part, whole, error);
}

int lp_socket_access_parse(const char *text, const char *whole, struct lp_socket_access *access, struct lp_error *error)
{
	struct lp_socket_access parsed = {0};
	char *copy = strdup(text);
	char *rest = copy;
	int status = copy ? 0 : lp_error_set(error, LP_EUSAGE, "\"%s\": no memory", whole);

	while (!status && rest)
		status = read_part(strsep(&rest, ","), whole, &parsed, error);
	free(copy);
	if (!status && parsed.has_group && !parsed.has_mode) {
		parsed.has_mode = true;
		parsed.mode = GROUP_MODE;
	}
	if (!status)
		*access = parsed;
	return status;
}

int lp_socket_access_give(const struct lp_socket_access *access, const char *path, struct lp_error *error)
{
	uid_t user = access->has_user ? access->user : (uid_t)-1;
	gid_t group = access->has_group ? access->group : (gid_t)-1;

	if ((!access->has_user && !access->has_group) || lchown(path, user, group) == 0)
		return 0;
	return lp_error_set(error, -errno, "%s cannot be given to %s: %s%s", path,
			    access->has_user ? "another user" : "that group", lp_error_words(-errno),
			    errno == EPERM
				    ? "; only root can give a socket away, and who is in a group can give it to that "
				      "group"
				    : "");
}
