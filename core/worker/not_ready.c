/*
 * Most often a program listens on another port. Else it is one that the library cannot be put in front of, or one that does
 * not listen at all. In dialects whose workers are given their channel, the dialect is mostly the wrong one.
 */
#include "worker/not_ready.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/ports.h"

#define LIBRARY "liblimpet-preload.so"

/* Looking */

static bool has_library(pid_t pid)
{
	char path[64];
	char line[PATH_MAX + 128];
	bool found = false;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, LIBRARY) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

void lp_not_ready_look(struct lp_not_ready *unready)
{
	char link[64];
	lp_listening_ports_find(unready->pid, &unready->listens);
	pid_t pid = unready->listens.count ? unready->listens.pid : unready->pid;
	unready->has_library = has_library(pid);
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	ssize_t length = readlink(link, unready->path, sizeof(unready->path) - 1);
	unready->path[length > 0 ? length : 0] = '\0';
	unready->obstacle = LP_OBSTACLE_NONE;
	if (length > 0 && !unready->has_library) {
		char program[PATH_MAX];
		unready->obstacle = lp_program_obstacle(unready->path, geteuid() == 0, program);
	}
}

/* Saying */

struct words {
	char *text;
	size_t length;
};

static void __attribute__((format(printf, 2, 3))) say(struct words *words, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(words->text + words->length, LP_NOT_READY_TEXT_MAX - words->length, format, arguments);
	va_end(arguments);
	if (length > 0)
		words->length += (size_t)length;
	if (words->length >= LP_NOT_READY_TEXT_MAX)
		words->length = LP_NOT_READY_TEXT_MAX - 1;
}

static void say_ports(struct words *words, const struct lp_listening_ports *listens)
{
	for (unsigned i = 0; i < listens->count; i++)
		say(words, "%s%u", i == 0 ? "" : i + 1 == listens->count ? " and " : ", ", listens->ports[i]);
}

/* "5000,unix:/run/x" as "5000, unix:/run/x". */
static void say_addresses(struct words *words, const char *addresses)
{
	for (const char *at = addresses; *at; at++)
		say(words, "%c%s", *at, *at == ',' ? " " : "");
}

static bool listens_where_we_do(const struct lp_not_ready *unready)
{
	struct lp_ports ports = {.ours = unready->addresses};
	for (unsigned i = 0; i < unready->listens.count; i++)
		if (lp_ports_is_ours(&ports, (int)unready->listens.ports[i]))
			return true;
	return false;
}

/* Why the library is not in the process. */
static void say_obstacle(struct words *words, const struct lp_not_ready *unready)
{
	char why[PATH_MAX * 2 + 256];
	if (unready->obstacle == LP_OBSTACLE_NONE) {
		say(words,
		    "%s runs without " LIBRARY
		    ": something before it has cleaned its environment (env -i, sudo); let it "
		    "keep LD_PRELOAD and what begins with LIMPET_",
		    *unready->path ? unready->path : unready->name);
		return;
	}
	lp_program_explain(unready->obstacle, unready->path, why, sizeof(why));
	say(words, "%s", why);
}

static void say_where_it_listens(struct words *words, const struct lp_not_ready *unready)
{
	say(words, "%s (pid %d) listens on ", unready->name, (int)unready->pid);
	say_ports(words, &unready->listens);
	if (!unready->dialect->registers) {
		say(words, " by itself, but in the dialect %s connections come over a channel: leave --dialect out",
		    unready->dialect->name);
	} else if (!unready->has_library) {
		say(words, " by itself: ");
		say_obstacle(words, unready);
	} else if (listens_where_we_do(unready)) {
		say(words,
		    " past the C library, by io_uring or system calls of its own, so limpet does not see it: switch "
		    "that off, or let it speak the native dialect (limpet/worker.h)");
	} else {
		say(words, ", limpet on ");
		say_addresses(words, unready->addresses);
		say(words, ": make them the same, or start limpet with --listen :%u", unready->listens.ports[0]);
	}
}

static void say_that_it_is_late(struct words *words, const struct lp_not_ready *unready)
{
	const struct lp_dialect *dialect = unready->dialect;
	say(words, "%s (pid %d) has run for %u s and is not ready: ", unready->name, (int)unready->pid,
	    unready->seconds);
	if (!dialect->registers) {
		say(words,
		    "in the dialect %s it is ready once it %s; leave --dialect out if it is a server that listens by "
		    "itself",
		    dialect->name, dialect->readiness);
		return;
	}
	say(words, "it listens on no port, and is ready once it listens on ");
	say_addresses(words, unready->addresses);
	if (dialect->gives_listener)
		say(words, " or on descriptor 3");
	if (!unready->has_library) {
		say(words, "; ");
		say_obstacle(words, unready);
	}
}

void lp_not_ready_describe(const struct lp_not_ready *unready, char *text)
{
	struct words words = {.text = text};
	text[0] = '\0';
	if (unready->listens.count)
		say_where_it_listens(&words, unready);
	else
		say_that_it_is_late(&words, unready);
}
