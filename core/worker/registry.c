/*
 * Who comes says the kernel (SO_PEERCRED), so nothing has to be said at the door, and nobody can register another
 * process.
 *
 * Nothing is written down for a limpet that comes after us. What it has to know, which processes are ours and in which
 * slots, is in the environment that they were started with, and the kernel keeps that.
 */
#include "worker/registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/run_folder.h"
#include "worker/placeholder.h"

#define BACKLOG 256

/* Processes let in before the loop gets its turn. */
#define ARRIVALS_A_TURN 64

#define LIBRARY "liblimpet-preload.so"

/* A program's environment, as far as it is looked at. */
#define ENVIRONMENT_MAX ((size_t)128 * 1024)

#define VARIABLES 8

struct lp_registry {
	struct lp_registry_config config;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *environment[VARIABLES + 1];
	unsigned variables;
	int fd;
	bool succeeds; /* A limpet ended here without closing. */
	uv_poll_t poll;
	void (*closed)(void *owner);
	void *closed_owner;
};

/* The socket */

static int name_socket(struct lp_registry *registry, struct lp_error *error)
{
	char folder[LP_RUN_FOLDER_SIZE];
	char name[NAME_MAX];
	if (registry->config.folder)
		snprintf(folder, sizeof(folder), "%s", registry->config.folder);
	else
		lp_run_folder_find(folder);
	int status = lp_run_folder_make(folder, "--preload-dir", error);
	if (status)
		return status;
	snprintf(name, sizeof(name), "%s", registry->config.address);
	for (char *at = name; *at; at++)
		if (*at == '/' || *at == ':')
			*at = '-';
	int length = snprintf(registry->path, sizeof(registry->path), "%s/%s", folder, name);
	if (length >= (int)sizeof(registry->path))
		return lp_error_set(error, -ENAMETOOLONG,
				    "%s/%s is too long for a socket; name a shorter folder with --preload-dir", folder,
				    name);
	return 0;
}

static int bind_socket(struct lp_registry *registry, struct lp_error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, registry->path);
	registry->succeeds = access(registry->path, F_OK) == 0;
	if (registry->succeeds)
		unlink(registry->path); /* The address is ours alone, and the folder too: nobody is behind it. */
	registry->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (registry->fd < 0 || bind(registry->fd, (struct sockaddr *)&address, sizeof(address)) ||
	    chmod(registry->path, 0666) || listen(registry->fd, BACKLOG))
		return lp_error_set(error, -errno, "%s: cannot listen: %s; name another folder with --preload-dir",
				    registry->path, strerror(errno));
	return 0;
}

/* The environment */

static bool is_library(char *path, size_t size, const char *folder, const char *below)
{
	return snprintf(path, size, "%s%s/" LIBRARY, folder, below) < (int)size && access(path, R_OK) == 0;
}

/* Beside the program, as it is built, or where it is installed to. */
static int find_library(char *path, size_t size, struct lp_error *error)
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

static int __attribute__((format(printf, 2, 3))) add(struct lp_registry *registry, const char *format, ...)
{
	va_list arguments;
	char *text;
	va_start(arguments, format);
	int length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		return -ENOMEM;
	registry->environment[registry->variables++] = text;
	return 0;
}

static int make_environment(struct lp_registry *registry, struct lp_error *error)
{
	const struct lp_registry_config *config = &registry->config;
	const char *others = getenv("LD_PRELOAD");
	char library[PATH_MAX];
	int status = find_library(library, sizeof(library), error);
	if (status)
		return status;
	status = add(registry, "LD_PRELOAD=%s%s%s", library, others && *others ? ":" : "", others ? others : "");
	if (!status)
		status = add(registry, "LIMPET_PRELOAD=%s", registry->path);
	if (!status)
		status = add(registry, "LIMPET_PRELOAD_LISTEN=%s", config->addresses);
	if (!status)
		status = add(registry, "LIMPET_PRELOAD_LEARN=%s", config->learn ? config->learn : "");
	if (!status)
		status = add(registry, "LISTEN_FDS=1");
	if (!status)
		status = add(registry, "LISTEN_PID=0"); /* The library makes it the process's own. */
	if (!status)
		status = add(registry, "UV_USE_IO_URING=0"); /* io_uring goes around the C library. */
	return status ? lp_error_set(error, status, "no memory for the workers' environment") : 0;
}

char *const *lp_registry_environment(const struct lp_registry *registry)
{
	return registry->environment;
}

bool lp_registry_is_port(const struct lp_registry *registry, unsigned port)
{
	for (const char *at = registry->config.addresses; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
		if (strtoul(at, NULL, 10) == port)
			return true;
	return false;
}

int lp_registry_placeholder(struct lp_registry *registry)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};
	return lp_placeholder_make(registry->path, (const struct sockaddr *)&any, 0);
}

/* Heirs */

/* The value of a variable in the block that a process was started with, or NULL. */
static const char *find_variable(const char *block, size_t length, const char *name)
{
	size_t name_length = strlen(name);
	for (const char *at = block; at < block + length; at += strlen(at) + 1)
		if (strncmp(at, name, name_length) == 0)
			return at + name_length;
	return NULL;
}

static unsigned slot_of(const struct lp_registry *registry, pid_t pid)
{
	char path[64];
	char *block = malloc(ENVIRONMENT_MAX);
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	int fd = block ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t got = fd < 0 ? -1 : read(fd, block, ENVIRONMENT_MAX - 1);
	unsigned slot = 0;
	if (fd >= 0)
		close(fd);
	if (got > 0) {
		block[got] = '\0';
		const char *door = find_variable(block, (size_t)got, "LIMPET_PRELOAD=");
		const char *id = find_variable(block, (size_t)got, "LIMPET_WORKER_ID=");
		if (door && id && strcmp(door, registry->path) == 0)
			slot = (unsigned)strtoul(id, NULL, 10);
	}
	free(block);
	return slot;
}

void lp_registry_find_heirs(const struct lp_registry *registry, void (*found)(void *owner, pid_t pid, unsigned slot),
			    void *owner)
{
	DIR *folder = registry->succeeds ? opendir("/proc") : NULL;
	struct dirent *entry;
	while (folder && (entry = readdir(folder))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid <= 0 || getsid(pid) != pid)
			continue;
		unsigned slot = slot_of(registry, pid);
		if (slot)
			found(owner, pid, slot);
	}
	if (folder)
		closedir(folder);
}

/* The door */

static void on_arrival(uv_poll_t *poll, int status, int events)
{
	struct lp_registry *registry = poll->data;
	(void)status;
	(void)events;
	for (int i = 0; i < ARRIVALS_A_TURN; i++) {
		struct ucred who;
		socklen_t size = sizeof(who);
		int fd = accept4(registry->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) || who.pid <= 0)
			close(fd); /* Of another pid namespace. */
		else
			registry->config.registered(registry->config.owner, fd, who.pid, who.uid);
	}
}

static void free_registry(struct lp_registry *registry)
{
	for (unsigned i = 0; i < registry->variables; i++)
		free(registry->environment[i]);
	if (registry->fd >= 0)
		close(registry->fd);
	free(registry);
}

int lp_registry_open(struct lp_registry **registry, const struct lp_registry_config *config, struct lp_error *error)
{
	*registry = NULL;
	struct lp_registry *made = calloc(1, sizeof(*made));
	if (!made)
		return lp_error_set(error, -ENOMEM, "no memory for the workers' door");
	made->config = *config;
	made->fd = -1;
	int status = name_socket(made, error);
	if (!status)
		status = make_environment(made, error);
	if (!status)
		status = bind_socket(made, error);
	if (!status && uv_poll_init(config->loop, &made->poll, made->fd))
		status = lp_error_set(error, -EIO, "%s cannot be watched", made->path);
	if (status) {
		free_registry(made);
		return status;
	}
	made->poll.data = made;
	uv_poll_start(&made->poll, UV_READABLE, on_arrival);
	*registry = made;
	return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct lp_registry *registry = handle->data;
	void (*closed)(void *) = registry->closed;
	void *owner = registry->closed_owner;
	unlink(registry->path);
	free_registry(registry);
	closed(owner);
}

void lp_registry_close(struct lp_registry *registry, void (*closed)(void *owner), void *owner)
{
	registry->closed = closed;
	registry->closed_owner = owner;
	uv_close((uv_handle_t *)&registry->poll, on_poll_closed);
}
