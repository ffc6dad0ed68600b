/*
 * Which dialect: by name, or by looking at the command. That is only whether our library can be put in front of it: then
 * what each process does decides the rest, where it listens, and for whose messages (node_process.c, preload/node.c).
 */
#include "worker/dialect.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/program.h"

static const struct lp_dialect *const dialects[] = {
	&lp_dialect_cluster,        &lp_dialect_socketio_sticky,         &lp_dialect_native,
	&lp_dialect_sticky_session, &lp_dialect_socketio_sticky_session, &lp_dialect_preload,
	&lp_dialect_node,
};

/* What all Node workers are told, and no others. */
#define SERIALIZATION "NODE_CHANNEL_SERIALIZATION_MODE="

struct package {
	const char *name;
	const struct lp_dialect *dialect;
};

static const struct package packages[] = {
	{"@socket.io/sticky", &lp_dialect_socketio_sticky},
	{"sticky-session", &lp_dialect_sticky_session},
	{"socketio-sticky-session", &lp_dialect_socketio_sticky_session},
	{"node-cluster-socket.io", &lp_dialect_socketio_sticky_session},
};

const struct lp_dialect *lp_dialect_find(const char *name)
{
	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
		if (strcmp(dialects[i]->name, name) == 0)
			return dialects[i];
	return NULL;
}

static int find_serialization(const struct lp_dialect *dialect)
{
	for (int i = 0; dialect->environment[i]; i++)
		if (strncmp(dialect->environment[i], SERIALIZATION, sizeof(SERIALIZATION) - 1) == 0)
			return i;
	return -1;
}

bool lp_dialect_advance(const struct lp_dialect *dialect, struct lp_dialect *advanced)
{
	int serialization = find_serialization(dialect);
	*advanced = *dialect;
	if (serialization < 0)
		return false;
	advanced->environment[serialization] = SERIALIZATION "advanced";
	advanced->language = LP_LANGUAGE_V8;
	return true;
}

bool lp_dialect_wait_ready(const struct lp_dialect *dialect, struct lp_dialect *waiting)
{
	*waiting = *dialect;
	waiting->wait_ready = find_serialization(dialect) >= 0;
	waiting->readiness = "says process.send('ready'), as --wait-ready has it";
	return waiting->wait_ready;
}

bool lp_dialect_say_shutdown(const struct lp_dialect *dialect, struct lp_dialect *saying)
{
	*saying = *dialect;
	saying->says_shutdown = find_serialization(dialect) >= 0;
	return saying->says_shutdown;
}

/* The folder where Node would begin to look for packages: that of the script, else the working one. */
static void find_folder(char *const *arguments, char *folder)
{
	for (; *arguments; arguments++) {
		char script[PATH_MAX];
		snprintf(script, sizeof(script), "%s.js", *arguments);
		if ((*arguments)[0] == '-')
			continue;
		if (!realpath(*arguments, folder) && !realpath(script, folder))
			continue;
		char *slash = strrchr(folder, '/');
		*(slash == folder ? slash + 1 : slash) = '\0';
		return;
	}
	if (!getcwd(folder, PATH_MAX))
		strcpy(folder, "/");
}

/* sticky-session before 1.0 spoke as socketio-sticky-session does. */
static const struct lp_dialect *dialect_of(const struct package *package, const char *path)
{
	char file[PATH_MAX + 128];
	snprintf(file, sizeof(file), "%s/package.json", path);
	if (package->dialect != &lp_dialect_sticky_session)
		return package->dialect;
	json_t *description = json_load_file(file, 0, NULL);
	const char *version = json_string_value(json_object_get(description, "version"));
	bool old = version && strncmp(version, "0.", 2) == 0;
	json_decref(description);
	return old ? &lp_dialect_socketio_sticky_session : package->dialect;
}

/* Look in one folder's node_modules. Returns how many packages are there, and the last one's dialect. */
static unsigned look_in(const char *folder, const struct lp_dialect **dialect, char *reason, size_t size)
{
	unsigned found = 0;
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		char path[PATH_MAX + 64];
		snprintf(path, sizeof(path), "%s/node_modules/%s", strcmp(folder, "/") == 0 ? "" : folder,
			 packages[i].name);
		if (access(path, F_OK) != 0)
			continue;
		found++;
		*dialect = dialect_of(&packages[i], path);
		snprintf(reason, size, "found %s", path);
	}
	return found;
}

/*
 * What a program speaks that nothing can be preloaded into: the messages of the sticky package that is installed where Node
 * would look for it, from the script's folder upwards; node:cluster's when there is none. Two are an error rather than a
 * guess: a worker that got its connections in another package's dialect would keep them and answer nothing.
 */
static const struct lp_dialect *detect_installed(char *const *command, char *reason, size_t size,
						 struct lp_error *error)
{
	char folder[PATH_MAX];
	find_folder(lp_program_is_node(command[0]) && command[1] ? command + 1 : command, folder);
	for (;;) {
		const struct lp_dialect *dialect = NULL;
		unsigned found = look_in(folder, &dialect, reason, size);
		if (found == 1)
			return dialect;
		if (found > 1) {
			lp_error_set(
				error, LP_EUSAGE,
				"several sticky packages are installed in %s/node_modules; say which one the workers "
				"use: --dialect socket.io-sticky, sticky-session or socketio-sticky-session, or "
				"cluster for none",
				folder);
			return NULL;
		}
		char *slash = strrchr(folder, '/');
		if (!slash || folder[1] == '\0')
			break;
		*(slash == folder ? slash + 1 : slash) = '\0';
	}
	snprintf(reason, size, "no sticky package is installed beside the script");
	return &lp_dialect_cluster;
}

const struct lp_dialect *lp_dialect_detect(char *const *command, bool as_root, char *reason, size_t size, char *lost,
					   size_t lost_size, struct lp_error *error)
{
	char path[PATH_MAX];
	char why[PATH_MAX * 2 + 256];
	enum lp_obstacle obstacle = lp_program_obstacle(command[0], as_root, path);
	lost[0] = '\0';
	if (obstacle == LP_OBSTACLE_NONE) {
		bool is_node = lp_program_is_node(command[0]);
		snprintf(reason, size,
			 is_node ? "%s is a Node program" : "%s is no Node program; what it starts may be", command[0]);
		return is_node ? &lp_dialect_node : &lp_dialect_any;
	}
	lp_program_explain(obstacle, path, why, sizeof(why));
	if (!lp_program_is_node(command[0])) {
		snprintf(lost, lost_size, "%s", why);
		snprintf(reason, size, "no library can be put in front of %s", path);
		return obstacle == LP_OBSTACLE_STATIC ? &lp_dialect_native : &lp_dialect_any;
	}
	snprintf(lost, lost_size,
		 "%s; without it sessions are known only if workers tell them (a sticky package), and a kept "
		 "connection stays with its first worker",
		 why);
	return detect_installed(command, reason, size, error);
}
