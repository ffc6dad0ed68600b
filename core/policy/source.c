/*
 * Sources: the text of a policy and of the modules that it requires, read once and kept.
 *
 * A policy's state is made several times, after a stop and for a copy, and always from the texts that were read when the
 * policy was loaded: so it stays the same policy, whatever has become of its files. Modules are only known when the policy
 * asks for them; so a source is open while it is loaded for the first time, when modules are read from its folder and
 * added to it, and closed ever after.
 *
 * A module lies beneath the folder of the policy's file, also when links have been followed. That keeps a policy from
 * reading by mistake what is not its own; it is no defence against somebody who changes the folder meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/did_you_mean.h"
#include "policy/included.h"
#include "policy/private.h"

#define SOURCE_BYTES_MAX ((size_t)1 << 20)

/* Of one policy. */
#define MODULES_MAX 64

/* The first byte of LuaJIT's bytecode. */
#define BYTECODE_MARK '\x1b'

bool lp_source_is_file(const char *name)
{
	size_t length = strlen(name);

	return strchr(name, '/') || (length > 4 && strcmp(name + length - 4, ".lua") == 0);
}

int lp_source_name_policy(int status, struct lp_error *error)
{
	struct lp_error plain;

	if (!error)
		return status;
	plain = *error;
	return lp_error_set(error, status, "policy %s", plain.text);
}

static int refuse_included(const char *name, struct lp_error *error)
{
	struct lp_did_you_mean nearest = {0};
	char names[512] = "";
	size_t length = 0;

	for (const struct lp_included_policy *included = lp_included_policies; included->name; included++) {
		lp_did_you_mean_consider(&nearest, name, included->name);
		if (length < sizeof(names))
			length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", length ? ", " : "",
						   included->name);
	}
	if (nearest.name)
		return lp_error_set(error, LP_EPOLICY,
				    "%s: no included policy has this name; did you mean %s? "
				    "(a file is named with a slash or .lua: ./%s.lua)",
				    name, nearest.name, name);
	return lp_error_set(error, LP_EPOLICY,
			    "%s: no included policy has this name; there are %s (a file is named with a slash or "
			    ".lua: ./%s.lua)",
			    name, names, name);
}

static int copy_included(struct lp_source *source, struct lp_error *error)
{
	const struct lp_included_policy *included = lp_included_policies;

	while (included->name && strcmp(source->name, included->name) != 0)
		included++;
	if (!included->name)
		return refuse_included(source->name, error);
	source->text = malloc(included->length);
	if (!source->text)
		return lp_error_set(error, -ENOMEM, "%s: %s", source->name, lp_error_words(-ENOMEM));
	memcpy(source->text, included->source, included->length);
	source->length = included->length;
	lp_sha256(source->text, source->length, source->sha256);
	return 0;
}

/* Read until the end or the size; both come again as 0 bytes read or a full buffer. Returns the length, or -errno. */
static ssize_t read_whole(int fd, char *bytes, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = read(fd, bytes + length, size - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	return (ssize_t)length;
}

/* O_NONBLOCK, so that a pipe without a writer is an error and no wait. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		error = -errno;
	else if (!S_ISREG(status.st_mode))
		error = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static int read_file(struct lp_source *source, const char *path, struct lp_error *error)
{
	char *bytes = malloc(SOURCE_BYTES_MAX + 1);
	int fd = bytes ? open_regular(path) : -ENOMEM;
	ssize_t got = fd;

	if (fd >= 0) {
		got = read_whole(fd, bytes, SOURCE_BYTES_MAX + 1);
		close(fd);
	}
	if (got >= 0 && (size_t)got <= SOURCE_BYTES_MAX) {
		char *fitting = realloc(bytes, (size_t)got + 1);

		source->text = fitting ? fitting : bytes;
		source->length = (size_t)got;
		lp_sha256(source->text, source->length, source->sha256);
		return 0;
	}
	free(bytes);
	if (got >= 0)
		return lp_error_set(error, LP_EPOLICY, "%s: the file is larger than 1 MiB", source->name);
	return lp_error_set(error, (int)got, "%s: %s", source->name, lp_error_words((int)got));
}

int lp_source_init(struct lp_source *source, const char *name, struct lp_error *error)
{
	int status;

	*source = (struct lp_source){.name = strdup(name)};
	if (!source->name)
		return lp_error_set(error, -ENOMEM, "%s: %s", name, lp_error_words(-ENOMEM));
	status = lp_source_is_file(name) ? read_file(source, name, error) : copy_included(source, error);
	if (status < 0)
		lp_source_deinit(source);
	return status;
}

void lp_source_deinit(struct lp_source *source)
{
	while (source->modules) {
		struct lp_source *module = source->modules;

		source->modules = module->next;
		lp_source_deinit(module);
		free(module);
	}
	free(source->name);
	free(source->module);
	free(source->text);
	*source = (struct lp_source){0};
}

/* All but the modules. */
static int copy_one(struct lp_source *copy, const struct lp_source *source)
{
	*copy = (struct lp_source){
		.name = strdup(source->name),
		.module = source->module ? strdup(source->module) : NULL,
		.text = malloc(source->length + 1),
		.length = source->length,
		.closed = true,
	};
	if (!copy->name || !copy->module != !source->module || !copy->text)
		return -ENOMEM;
	memcpy(copy->text, source->text, source->length);
	memcpy(copy->sha256, source->sha256, sizeof(copy->sha256));
	return 0;
}

int lp_source_init_copy(struct lp_source *copy, const struct lp_source *source)
{
	int status = copy_one(copy, source);

	for (const struct lp_source *module = source->modules; module && status == 0; module = module->next) {
		struct lp_source *added = calloc(1, sizeof(*added));

		if (!added) {
			status = -ENOMEM;
			break;
		}
		status = copy_one(added, module);
		added->main = copy;
		added->next = copy->modules;
		copy->modules = added;
	}
	if (status < 0)
		lp_source_deinit(copy);
	return status;
}

/* "rules/tenants.lua" and "tenants.names" make "rules/tenants/names.lua". */
static char *path_of_module(const struct lp_source *main, const char *name)
{
	const char *slash = strrchr(main->name, '/');
	int folder = slash ? (int)(slash - main->name) + 1 : 0;
	char *path;

	if (asprintf(&path, "%.*s%s.lua", folder, main->name, name) < 0)
		return NULL;
	for (size_t i = 0; i < strlen(name); i++)
		if (path[folder + (int)i] == '.')
			path[folder + (int)i] = '/';
	return path;
}

/* Follow all links; what is found must lie beneath the folder of the policy's file. */
static int resolve_module_path(const struct lp_source *main, const struct lp_source *module, char *path,
			       struct lp_error *error)
{
	const char *slash = strrchr(main->name, '/');
	char folder[PATH_MAX];
	size_t length;

	snprintf(path, PATH_MAX, "%.*s", slash ? (int)(slash - main->name) + 1 : 1, slash ? main->name : ".");
	if (!realpath(path, folder) || !realpath(module->name, path))
		return lp_error_set(error, -errno, "%s: %s", module->name, lp_error_words(-errno));
	length = strlen(folder);
	if (length > 1 && (strncmp(path, folder, length) != 0 || path[length] != '/'))
		return lp_error_set(error, LP_EPOLICY,
				    "%s leads out of the policy's folder; modules must lie beneath it", module->name);
	return 0;
}

static int read_module(struct lp_source *main, struct lp_source *module, const char *name, struct lp_error *error)
{
	char path[PATH_MAX];
	int status;

	module->main = main;
	module->module = strdup(name);
	module->name = path_of_module(main, name);
	if (!module->name || !module->module)
		return lp_error_set(error, -ENOMEM, "%s", lp_error_words(-ENOMEM));
	status = resolve_module_path(main, module, path, error);
	return status < 0 ? status : read_file(module, path, error);
}

static int add_module(struct lp_source **added, struct lp_source *main, const char *name, struct lp_error *error)
{
	struct lp_source *module = calloc(1, sizeof(*module));
	int status;

	if (!module)
		return lp_error_set(error, -ENOMEM, "%s", lp_error_words(-ENOMEM));
	status = read_module(main, module, name, error);
	if (status < 0) {
		lp_source_deinit(module);
		free(module);
		return status;
	}
	module->next = main->modules;
	main->modules = module;
	*added = module;
	return 0;
}

int lp_source_find_module(struct lp_source **found, struct lp_source *main, const char *name, struct lp_error *error)
{
	size_t count = 0;

	for (struct lp_source *module = main->modules; module; module = module->next, count++)
		if (strcmp(module->module, name) == 0) {
			*found = module;
			return 0;
		}
	if (!lp_source_is_file(main->name))
		return lp_error_set(error, LP_EPOLICY, "the included policy %s has no folder to find modules in",
				    main->name);
	if (main->closed)
		return lp_error_set(error, LP_EPOLICY,
				    "it was not read when the policies were loaded; what a policy requires must not "
				    "change from one run of its file to the next");
	if (count == MODULES_MAX)
		return lp_error_set(error, LP_EPOLICY, "a policy has at most %d modules", MODULES_MAX);
	return add_module(found, main, name, error);
}

int lp_source_compile(lua_State *L, const struct lp_source *source, struct lp_error *error)
{
	const char *name = source->name;
	const char *message;
	char chunk[256];

	if (source->length > 0 && source->text[0] == BYTECODE_MARK)
		return lp_error_set(error, LP_EPOLICY, "%s: this is bytecode; name the source file", name);

	/* '@' and not '=': of a name that is too long for a message, the end is shown. */
	snprintf(chunk, sizeof(chunk), "@%s", strlen(name) < sizeof(chunk) - 1 ? name : name + strlen(name) - 200);
	if (luaL_loadbufferx(L, source->text, source->length, chunk, "t") == 0)
		return 0;
	message = lua_tostring(L, -1);
	if (strchr(message, ':'))
		return lp_error_set(error, LP_EPOLICY, "%s", message);
	return lp_error_set(error, LP_EPOLICY, "%s: %s", name, message);
}
