/*
 * Nothing has to be said at the door, and nothing that is said there is believed. Who comes says the kernel: SO_PEERCRED
 * has the number of the process that connected, SO_PEERPIDFD a descriptor of it, so that a number that is used again
 * cannot be taken for it. Whether it is ours says the kernel, too, by its ancestors.
 *
 * Kernels before Linux 6.5 give no descriptor. The process of that number is opened then, and must be of the user that has
 * connected: another user's cannot put one of ours in its place.
 *
 * The door is open for all users only where workers may have any: below root. Elsewhere it is the user's alone.
 */
#include "worker/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/unix_path.h"
#include "connection/closer.h"
#include "wire/placeholder.h"
#include "worker/acceptor.h"
#include "worker/pidfd.h"
#include "worker/ports.h"
#include "worker/preload_library.h"
#include "worker/process_record.h"

#define BACKLOG 256

/* Of the link to the library, behind the door's path. */
#define LINK_SUFFIX ".library"

#define VARIABLES 9

/* How long those who come may take of a turn of the loop. Some of them are strangers, with many ancestors to read about. */
#define DOOR_TURN_NS 1000000

/* A socket that processes come to. */
struct door {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct lp_unix_path made; /* The socket at path. */
	struct lp_acceptor acceptor;
	bool open;
};

struct lp_registry {
	struct lp_registry_config config;
	struct lp_listener_locks locks;
	struct door workers;
	struct door nodes; /* With config.node_process. */
	char *record;      /* A path, owned; NULL once the door is given up. */
	struct lp_known_processes known;
	char *environment[VARIABLES + 1];
	unsigned variables;
	unsigned open_doors;
	char link[sizeof(((struct door *)0)->path) + sizeof(LINK_SUFFIX)]; /* To the library's folder, if linked. */
	bool linked;
	void (*closed)(void *owner);
	void *closed_owner;
};

/* What is known */

static void save(struct lp_registry *registry)
{
	if (!registry->known.changed || !registry->record)
		return;
	registry->known.changed = false;
	int status = lp_process_record_write(registry->record, &registry->known);
	if (status)
		lp_log_limited(registry->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, NULL,
			       "%s cannot be written: %s; if limpet is killed, the next one will not find its workers",
			       registry->record, lp_error_words(status));
}

static void load(struct lp_registry *registry)
{
	int status = lp_process_record_read(registry->record, &registry->known);
	if (status && status != -ENOENT)
		lp_log_write(registry->config.log, LP_LOG_WARNING, NULL,
			     "%s is ignored: %s; workers of an earlier limpet are not taken over", registry->record,
			     lp_error_words(status));
}

void lp_registry_find_heirs(const struct lp_registry *registry,
			    void (*found)(void *owner, const struct lp_known_process *process), void *owner)
{
	for (size_t i = 0; i < registry->known.count; i++)
		if (registry->known.all[i].is_program)
			found(owner, &registry->known.all[i]);
}

void lp_registry_program_started(struct lp_registry *registry, pid_t pid, unsigned slot)
{
	struct lp_process_facts facts;
	if (registry->known.read(pid, &facts))
		return;
	lp_known_processes_add(
		&registry->known,
		&(struct lp_known_process){.pid = pid, .slot = slot, .started = facts.started, .is_program = true});
	save(registry);
}

void lp_registry_process_ended(struct lp_registry *registry, pid_t pid)
{
	lp_known_processes_remove(&registry->known, pid);
	save(registry);
}

/* The environment */

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

/* Many programs ask PORT where to listen. A PORT that is not one of limpet's was meant for limpet, or left over: nothing would
 * come to that port. --worker-env PORT=… goes before this. */
static int add_port(struct lp_registry *registry)
{
	const struct lp_ports ports = {.ours = registry->config.addresses};
	const char *port = getenv("PORT");
	bool is_ours = port && atoi(port) > 0 && lp_ports_is_ours(&ports, atoi(port));
	if (is_ours || !lp_ports_first(&ports))
		return 0;
	if (port && atoi(port) > 0)
		lp_log_write(registry->config.log, LP_LOG_INFO, NULL,
			     "workers find PORT=%d in their environment, where limpet listens, in place of PORT=%s; "
			     "--worker-env PORT=%s keeps it",
			     lp_ports_first(&ports), port, port);
	return add(registry, "PORT=%d", lp_ports_first(&ports));
}

/* Beside the door, whose name is an address and may have what LD_PRELOAD cannot name. */
static void name_link(struct lp_registry *registry)
{
	snprintf(registry->link, sizeof(registry->link), "%s" LINK_SUFFIX, registry->workers.path);
	for (char *at = strrchr(registry->link, '/'); *at; at++)
		if (strchr(LP_PRELOAD_LIBRARY_SEPARATORS, *at))
			*at = '-';
}

static int make_environment(struct lp_registry *registry, struct lp_error *error)
{
	const struct lp_registry_config *config = &registry->config;
	const char *others = getenv("LD_PRELOAD");
	char library[PATH_MAX];
	int status = lp_preload_library_find(library, sizeof(library), error);
	name_link(registry);
	if (!status)
		status = lp_preload_library_link(library, sizeof(library), registry->link, error);
	if (status < 0)
		return status;
	registry->linked = status > 0;
	status = add(registry, "LD_PRELOAD=%s%s%s", library, others && *others ? ":" : "", others ? others : "");
	if (!status)
		status = add(registry, "LIMPET_PRELOAD=%s", registry->workers.path);
	if (!status)
		status = add(registry, "LIMPET_PRELOAD_LISTEN=%s", config->addresses);
	if (!status)
		status = add(registry, "LIMPET_PRELOAD_LEARN=%s", config->learn ? config->learn : "");
	if (!status && config->node_process)
		status = add(registry, "LIMPET_PRELOAD_NODE=%s", registry->nodes.path);
	if (!status && config->gives_listener)
		status = add(registry, "LISTEN_FDS=1");
	if (!status && config->gives_listener)
		status = add(registry, "LISTEN_PID=0"); /* The library makes it the process's own. */
	if (!status)
		status = add(registry, "UV_USE_IO_URING=0"); /* io_uring goes around the C library. */
	if (!status)
		status = add_port(registry);
	return status ? lp_error_set(error, status, "no memory for the workers' environment") : 0;
}

char *const *lp_registry_environment(const struct lp_registry *registry)
{
	return registry->environment;
}

int lp_registry_make_placeholder(const struct lp_registry *registry, const struct sockaddr *address, unsigned which)
{
	return lp_placeholder_make(registry->workers.path, address, which);
}

int lp_registry_placeholder(struct lp_registry *registry)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};
	return lp_placeholder_make(registry->workers.path, (const struct sockaddr *)&any, 0);
}

/* The door */

/* Whether a process is a user's, as far as the kernel tells. */
static bool is_of_user(pid_t pid, uid_t user)
{
	char path[40];
	char line[256];
	unsigned effective;
	bool found = false;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *status = fopen(path, "re");
	while (status && !found && fgets(line, sizeof(line), status))
		found = sscanf(line, "Uid: %*u %u", &effective) == 1;
	if (status)
		fclose(status);
	return found && effective == user;
}

/* A descriptor of who has connected, or negative errno. */
static int identify(int fd, const struct ucred *who)
{
	int pidfd = lp_pidfd_of_peer(fd);
	if (pidfd != -ENOPROTOOPT)
		return pidfd;
	pidfd = lp_pidfd_open(who->pid);
	if (pidfd >= 0 && !is_of_user(who->pid, who->uid)) {
		close(pidfd);
		return -ESRCH;
	}
	return pidfd;
}

/* 0 with `who` filled except its channel, or negative errno. */
static int prove(struct lp_registry *registry, int fd, const struct ucred *peer, struct lp_registered *who)
{
	*who = (struct lp_registered){.fd = fd, .pid = peer->pid, .pidfd = identify(fd, peer)};
	if (who->pidfd < 0)
		return who->pidfd;
	int status = lp_known_processes_prove(&registry->known, peer->pid, &who->slot);
	if (!status && !lp_pidfd_is_alive(who->pidfd))
		status = -ESRCH;
	if (status)
		close(who->pidfd);
	return status;
}

static void tell_refused(struct lp_registry *registry, const struct ucred *peer, int status)
{
	if (status == -ESRCH)
		return; /* It has ended. */
	lp_log_limited(registry->config.log, LP_LOG_WARNING, LP_LOG_TOPIC_WORKER, LP_LOG_ABOUT(.pid = peer->pid),
		       "process %d of user %u is no worker: %s; its connection was closed", (int)peer->pid,
		       (unsigned)peer->uid,
		       status == -EPERM ? "limpet has started neither it nor any of its ancestors"
					: lp_error_words(status));
}

static void on_accepted(struct lp_acceptor *acceptor, int fd, const union lp_peer *peer)
{
	struct lp_registry *registry = acceptor->owner;
	struct lp_registered who;
	struct ucred process = {0};
	socklen_t size = sizeof(process);
	(void)peer;
	int status = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &process, &size) ? -errno : 0;
	if (!status && process.pid <= 0)
		status = -EPERM; /* Of another pid namespace. */
	if (!status && fcntl(fd, F_SETFL, O_NONBLOCK))
		status = -errno;
	if (!status)
		status = prove(registry, fd, &process, &who);
	if (status) {
		tell_refused(registry, &process, status);
		shutdown(fd,
			 SHUT_RDWR); /* So that nothing comes any more. What came may hold descriptors that linger. */
		lp_closer_close(registry->config.closer, fd);
		return;
	}
	save(registry);
	if (acceptor == &registry->nodes.acceptor)
		registry->config.node_process(registry->config.owner, &who);
	else
		registry->config.registered(registry->config.owner, &who);
}

static int name_door(struct lp_registry *registry, struct lp_error *error)
{
	const struct lp_registry_config *config = &registry->config;
	const char *name = config->listeners[0].identity;
	const size_t size = sizeof(registry->workers.path);
	bool fits = snprintf(registry->workers.path, size, "%s/%s", config->folder, name) < (int)size &&
		    snprintf(registry->nodes.path, size, "%s/%s.node", config->folder, name) < (int)size;
	if (!fits)
		return lp_error_set(error, -ENAMETOOLONG,
				    "%s/%s is too long for a socket; name a shorter folder with --preload-dir",
				    config->folder, name);
	if (asprintf(&registry->record, "%s.processes", registry->workers.path) >= 0)
		return 0;
	registry->record = NULL;
	return lp_error_set(error, -ENOMEM, "no memory for the name of a file");
}

/* *fd is the caller's, also after an error, if it is not negative. */
static int make_door(struct door *door, int type, int *fd, struct lp_error *reason)
{
	*fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return -errno;
	unlink(door->path); /* Of a limpet that was killed: we hold the lock. */
	int status = lp_unix_path_bind(*fd, door->path, geteuid() == 0 ? 0666 : 0600, &door->made, reason);
	if (!status && listen(*fd, BACKLOG))
		status = lp_error_set(reason, -errno, "%s: %s", door->path, lp_error_words(-errno));
	return status;
}

/* What becomes Node's channel has to be a stream; workers' frames want to stay apart. */
static int open_door(struct lp_registry *registry, struct door *door, int type, struct lp_error *error)
{
	struct lp_error reason = {0};
	struct lp_lasting *lasting = registry->config.lasting;
	uint32_t number = door == &registry->nodes;
	int fd = lp_lasting_take(lasting, LP_LASTING_DOOR, number);
	int status = fd < 0 ? make_door(door, type, &fd, &reason) : 0;
	if (fd < 0)
		return lp_error_set(error, status, "no socket for workers: %s", lp_error_words(status));
	lp_unix_path_find(door->path, &door->made);
	if (!status)
		status = lp_lasting_hold(lasting, LP_LASTING_DOOR, number, fd);
	if (!status) {
		status = lp_acceptor_start(&door->acceptor, registry->config.loop, registry->config.log, door->path, fd,
					   on_accepted, registry);
		lp_error_set(&reason, status, "%s cannot be watched: %s", door->path, lp_error_words(status));
	}
	door->acceptor.turn_ns = DOOR_TURN_NS;
	door->open = !status;
	if (!status)
		return 0;
	close(fd);
	return lp_error_set(error, status, "%s; name another folder with --preload-dir", reason.text);
}

static void free_registry(struct lp_registry *registry)
{
	lp_registry_yield(registry);
	for (unsigned i = 0; i < registry->variables; i++)
		free(registry->environment[i]);
	free(registry);
}

/* Nobody waits for it. */
static void on_failed(void *owner)
{
	(void)owner;
}

int lp_registry_open(struct lp_registry **registry, const struct lp_registry_config *config, struct lp_error *error)
{
	*registry = NULL;
	struct lp_registry *made = calloc(1, sizeof(*made));
	if (!made)
		return lp_error_set(error, -ENOMEM, "no memory for the workers' door");
	made->config = *config;
	made->known.read = lp_process_facts_read;
	made->known.self = getpid();
	made->known.keeper = config->lasting ? config->lasting->head->keeper : 0;
	made->known.adopts = config->adopts;
	int status = name_door(made, error);
	if (!status)
		status = lp_listener_locks_take(&made->locks, config->folder, config->listeners, config->listener_count,
						error);
	if (!status)
		status = make_environment(made, error);
	if (!status) {
		load(made);
		status = open_door(made, &made->workers, SOCK_SEQPACKET, error);
	}
	if (!status && config->node_process)
		status = open_door(made, &made->nodes, SOCK_STREAM, error);
	if (status) {
		free(made->record); /* What is written there stays for the next try. */
		made->record = NULL;
		lp_registry_close(made, on_failed, NULL);
		return status;
	}
	*registry = made;
	return 0;
}

/* The record goes first: who has the locks next must find none of ours. */
void lp_registry_yield(struct lp_registry *registry)
{
	if (registry->record && registry->locks.count)
		unlink(registry->record);
	free(registry->record);
	registry->record = NULL;
	lp_listener_locks_release(&registry->locks);
}

/* Behind the lock: without it, they may be those of who came after us. */
static void remove_doors(struct lp_registry *registry)
{
	struct lp_file_lock lock = {.fd = -1};
	char path[sizeof(registry->workers.path) + sizeof(LP_LISTENER_LOCK_SUFFIX)];
	bool has_lock = registry->locks.count > 0;
	snprintf(path, sizeof(path), "%s" LP_LISTENER_LOCK_SUFFIX, registry->workers.path);
	if (!has_lock && (!registry->workers.made.inode || lp_file_lock_take(&lock, path, NULL)))
		return;
	lp_unix_path_remove(registry->workers.path, &registry->workers.made);
	lp_unix_path_remove(registry->nodes.path, &registry->nodes.made);
	if (registry->linked)
		unlink(registry->link);
	lp_file_lock_release(&lock);
}

static void end(struct lp_registry *registry)
{
	void (*closed)(void *) = registry->closed;
	void *owner = registry->closed_owner;
	free_registry(registry);
	closed(owner);
}

static void on_acceptor_closed(struct lp_acceptor *acceptor)
{
	struct lp_registry *registry = acceptor->owner;
	if (--registry->open_doors == 0)
		end(registry);
}

void lp_registry_close(struct lp_registry *registry, void (*closed)(void *owner), void *owner)
{
	registry->closed = closed;
	registry->closed_owner = owner;
	registry->open_doors = (unsigned)registry->workers.open + registry->nodes.open;
	remove_doors(registry);
	lp_registry_yield(registry);
	if (registry->open_doors == 0) {
		end(registry);
		return;
	}
	lp_acceptor_close(&registry->workers.acceptor, on_acceptor_closed);
	if (registry->nodes.open)
		lp_acceptor_close(&registry->nodes.acceptor, on_acceptor_closed);
}
