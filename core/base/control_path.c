/*
 * A socket that refuses connections belongs to a dead balancer and is passed over. Asking costs the balancer one client
 * that leaves at once.
 */
#include "base/control_path.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/run_folder.h"
#include "base/unix_path.h"

#define SYSTEM_FOLDER "/run/limpet"

/* More balancers than anyone runs on one machine; the folder of a hostile user must not keep a tool busy. */
#define PLACES_MAX 256

struct search {
	struct lp_control_place *places;
	size_t count;
	const char *wanted; /* A name, to be tried also where the folder cannot be listed; or NULL. */
	struct lp_error *skipped;
	bool any_owner; /* Root looks at other users' folders. */
	int status;
};

bool lp_control_is_name(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > LP_CONTROL_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (const char *at = name; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
			return false;
	return true;
}

/* What cannot be in a name becomes '-'; what does not fit is left out. */
static void make_name(const char *text, size_t length, char *name)
{
	size_t at = 0;

	for (size_t i = 0; i < length && at < LP_CONTROL_NAME_MAX; i++) {
		bool fits = isalnum((unsigned char)text[i]) || strchr("._-", text[i]);

		if (at > 0 || isalnum((unsigned char)text[i]))
			name[at++] = (char)(fits ? text[i] : '-');
	}
	name[at] = '\0';
	if (at == 0)
		strcpy(name, "limpet");
}

void lp_control_name_listener(const struct lp_listen_address *address, bool whole, char *name)
{
	char text[LP_LISTEN_TEXT_SIZE];
	const char *begin;
	size_t length;

	lp_listen_address_format(address, text);
	if (address->socket.any.sa_family == AF_UNIX) {
		begin = whole ? text + strlen("unix:") : strrchr(text, '/');
		begin = !begin ? text + strlen("unix:") : begin + (*begin == '/');
		length = strlen(begin);
		if (length > 5 && strcmp(begin + length - 5, ".sock") == 0)
			length -= 5;
	} else {
		begin = whole ? text : strrchr(text, ':') + 1;
		length = strlen(begin);
	}
	make_name(begin, length, name);
}

int lp_control_path(char *path, const char *folder, const char *name)
{
	int length = snprintf(path, LP_CONTROL_PATH_SIZE, "%s/%s" LP_CONTROL_SUFFIX, folder, name);

	return length < (int)LP_CONTROL_PATH_SIZE ? 0 : -ENAMETOOLONG;
}

static void note_skipped(struct search *search, int status, const char *path)
{
	if (search->skipped && !search->skipped->code)
		lp_error_set(search->skipped, status, "%s: %s", path, lp_error_words(status));
}

/* 0 when somebody listens there. */
static int try_connecting(const char *path)
{
	struct sockaddr_un address;
	struct stat what;
	int status = lp_unix_path_address(&address, path);
	int fd;

	if (status)
		return status;
	if (lstat(path, &what) != 0)
		return -errno;
	if (!S_ISSOCK(what.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EAGAIN)
		status = -errno;
	close(fd);
	return status;
}

static void add_place(struct search *search, const char *name, size_t name_length, const char *path)
{
	struct lp_control_place *more;

	for (size_t i = 0; i < search->count; i++)
		if (strcmp(search->places[i].path, path) == 0)
			return; /* Of two names for one folder. */
	if (search->count == PLACES_MAX)
		return;
	more = realloc(search->places, (search->count + 1) * sizeof(*more));
	if (!more) {
		search->status = -ENOMEM;
		return;
	}
	search->places = more;
	more += search->count++;
	memcpy(more->name, name, name_length);
	more->name[name_length] = '\0';
	strcpy(more->path, path);
}

static void consider_entry(struct search *search, const char *folder, const char *entry)
{
	char path[LP_CONTROL_PATH_SIZE];
	size_t length = strlen(entry);
	size_t name_length = length - strlen(LP_CONTROL_SUFFIX);
	int status;

	if (length <= strlen(LP_CONTROL_SUFFIX) || name_length > LP_CONTROL_NAME_MAX ||
	    strcmp(entry + name_length, LP_CONTROL_SUFFIX) != 0)
		return;
	if (snprintf(path, sizeof(path), "%s/%s", folder, entry) >= (int)sizeof(path))
		return;
	status = try_connecting(path);
	if (status == 0)
		add_place(search, entry, name_length, path);
	else if (status != -ECONNREFUSED && status != -ENOENT)
		note_skipped(search, status, path);
}

static bool may_ask_in(const struct search *search, const char *folder)
{
	struct stat what;

	if (search->any_owner)
		return lstat(folder, &what) == 0 && S_ISDIR(what.st_mode) && !(what.st_mode & (S_IWGRP | S_IWOTH));
	return lp_run_folder_check(folder, NULL, NULL) == 0;
}

/* A folder that others only pass through cannot be listed, but a socket in it can have been given to us. */
static void consider_wanted(struct search *search, const char *folder)
{
	char entry[LP_CONTROL_NAME_MAX + sizeof(LP_CONTROL_SUFFIX)];
	size_t before = search->count;

	if (search->wanted)
		snprintf(entry, sizeof(entry), "%s" LP_CONTROL_SUFFIX, search->wanted);
	if (search->wanted && may_ask_in(search, folder))
		consider_entry(search, folder, entry);
	if (search->count == before)
		note_skipped(search, -EACCES, folder);
}

static void look_into(struct search *search, const char *folder)
{
	struct dirent *entry;
	DIR *stream = opendir(folder);

	if (!stream && errno == EACCES)
		consider_wanted(search, folder);
	else if (!stream && errno != ENOENT)
		note_skipped(search, -errno, folder);
	else if (stream && !may_ask_in(search, folder))
		note_skipped(search, -EPERM, folder);
	else
		while (stream && (entry = readdir(stream)))
			consider_entry(search, folder, entry->d_name);
	if (stream)
		closedir(stream);
}

static void look_into_all(struct search *search, const char *pattern)
{
	glob_t found;

	if (glob(pattern, GLOB_ONLYDIR | GLOB_NOSORT, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc && i < PLACES_MAX; i++)
		look_into(search, found.gl_pathv[i]);
	globfree(&found);
}

static int compare_places(const void *a, const void *b)
{
	const struct lp_control_place *one = a;
	const struct lp_control_place *other = b;
	int by_name = strcmp(one->name, other->name);

	return by_name ? by_name : strcmp(one->path, other->path);
}

/* Where balancers of other users are; of their folders root only looks at those that are nobody else's to write to. */
static void look_everywhere(struct search *search)
{
	search->any_owner = geteuid() == 0;
	look_into(search, SYSTEM_FOLDER);
	look_into_all(search, SYSTEM_FOLDER "/*");
	if (search->count > 0 || geteuid() != 0)
		return;
	look_into_all(search, "/run/user/*/limpet");
	look_into_all(search, "/tmp/limpet-[0-9]*");
}

long lp_control_list(const char *wanted, struct lp_control_place **places, struct lp_error *skipped)
{
	char folder[LP_RUN_FOLDER_SIZE];
	struct search search = {.wanted = wanted, .skipped = skipped};

	*places = NULL;
	lp_run_folder_find(folder);
	look_into(&search, folder);
	if (!getenv("RUNTIME_DIRECTORY"))
		look_everywhere(&search);
	if (search.status) {
		free(search.places);
		return search.status;
	}
	if (search.count > 1)
		qsort(search.places, search.count, sizeof(*search.places), compare_places);
	*places = search.places;
	return (long)search.count;
}

/* "3000, 4000 and 5000"; with their paths when two have the same name. */
static void list_names(const struct lp_control_place *places, size_t count, char *text, size_t size)
{
	size_t length = 0;

	text[0] = '\0';
	for (size_t i = 0; places && i < count && length < size; i++) {
		bool twice = (i > 0 && strcmp(places[i].name, places[i - 1].name) == 0) ||
			     (i + 1 < count && strcmp(places[i].name, places[i + 1].name) == 0);

		length += (size_t)snprintf(text + length, size - length, "%s%s%s%s%s",
					   i == 0           ? ""
					   : i + 1 == count ? " and "
							    : ", ",
					   places[i].name, twice ? " (--control " : "", twice ? places[i].path : "",
					   twice ? ")" : "");
	}
}

static int choose_balancer(const struct lp_control_place *places, size_t count, const char *name, char *path,
			   const struct lp_error *skipped, struct lp_error *error)
{
	const struct lp_control_place *chosen = NULL;
	size_t matches = 0;
	char names[512];

	for (size_t i = 0; places && i < count; i++)
		if (!name || strcmp(places[i].name, name) == 0) {
			chosen = &places[i];
			matches++;
		}
	list_names(places, count, names, sizeof(names));
	if (chosen && matches == 1) {
		strcpy(path, chosen->path);
		return 0;
	}
	if (count == 0 && skipped->code)
		return lp_error_set(error, skipped->code,
				    "no balancer was found, but not everywhere could be looked: %s; run this as the "
				    "balancer's user or as root, or use --control PATH",
				    skipped->text);
	if (count == 0)
		return lp_error_set(error, -ENOENT,
				    "no balancer runs here; start one with limpet run, or use --control PATH if it was "
				    "started with one");
	if (matches == 0)
		return lp_error_set(error, -ENOENT, "no balancer is called %s; running: %s", name, names);
	return lp_error_set(error, -ENOTUNIQ, "%zu balancers run%s%s: %s; choose one with %s", count,
			    name ? ", several of them as " : "", name ? name : "", names,
			    name ? "--control PATH" : "--name NAME");
}

int lp_control_find(const char *name, char *path, struct lp_error *error)
{
	struct lp_control_place *places;
	struct lp_error skipped = {0};
	long count = lp_control_list(name, &places, &skipped);
	int status;

	if (count < 0)
		return lp_error_set(error, (int)count, "no memory to look for balancers");
	status = choose_balancer(places, (size_t)count, name, path, &skipped, error);
	free(places);
	return status;
}
