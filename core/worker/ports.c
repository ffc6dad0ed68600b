/*
 * limpet's own ports stay text, as other workers are told them: they are few, and looked at when a worker's server begins
 * to listen. A path with a comma and digits behind it would be taken for a port; that costs a warning at most.
 */
#include "worker/ports.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number that *at begins with, or 0 at the end; *at moves behind it. */
static int next_ours(const char **at)
{
	if (!**at)
		return 0;
	int number = (int)strtol(*at, NULL, 10);
	*at += strcspn(*at, ",");
	*at += **at == ',';
	return number > 0 ? number : LP_PORT_UNIX;
}

static int any_path(int number)
{
	return number < 0 ? LP_PORT_UNIX : number;
}

static const struct lp_port *find(const struct lp_ports *ports, int number)
{
	for (size_t i = 0; i < ports->count; i++)
		if (ports->all[i].number == any_path(number))
			return &ports->all[i];
	return NULL;
}

/* A place for one more, be it that of one that nobody asks for any more. NULL: there is none. */
static struct lp_port *make_room(struct lp_ports *ports)
{
	if (ports->count < LP_PORTS_MAX)
		return &ports->all[ports->count++];
	for (size_t i = 0; i < ports->count; i++)
		if (!ports->all[i].claims)
			return &ports->all[i];
	return NULL;
}

void lp_ports_claim(struct lp_ports *ports, int number)
{
	struct lp_port *port = (struct lp_port *)find(ports, number);
	bool is_new = !port;
	if (number != 0 && is_new)
		port = make_room(ports);
	if (number == 0 || !port)
		return;
	if (is_new)
		*port = (struct lp_port){.number = any_path(number)};
	port->claims++;
}

void lp_ports_release(struct lp_ports *ports, int number)
{
	struct lp_port *port = (struct lp_port *)find(ports, number);
	if (port && port->claims)
		port->claims--;
}

bool lp_ports_claimed(const struct lp_ports *ports, int number)
{
	const struct lp_port *port = find(ports, number);
	return port && port->claims;
}

bool lp_ports_is_ours(const struct lp_ports *ports, int number)
{
	int ours;
	for (const char *at = ports->ours; (ours = next_ours(&at));)
		if (ours == any_path(number))
			return true;
	return false;
}

/* Whether a path of ours is that which a worker asks for. Node asks for an absolute one, whatever the program has said; ours
 * is relative to the folder that we, and so our workers, have begun in. */
static bool is_path(const char *ours, size_t length, const char *path)
{
	char folder[PATH_MAX];
	if (strlen(path) == length && strncmp(ours, path, length) == 0)
		return true;
	if (ours[0] == '/' || path[0] != '/' || !getcwd(folder, sizeof(folder)))
		return false;
	size_t above = strlen(folder);
	while (length > 2 && strncmp(ours, "./", 2) == 0) {
		ours += 2;
		length -= 2;
	}
	return strncmp(path, folder, above) == 0 && path[above] == '/' && strlen(path + above + 1) == length &&
	       strncmp(path + above + 1, ours, length) == 0;
}

int lp_ports_number(const struct lp_ports *ports, const char *path, int number)
{
	const char *at = ports->ours;
	for (int place = 0; *at; place++) {
		size_t length = strcspn(at, ",");
		bool is_unix = length > 5 && strncmp(at, "unix:", 5) == 0;
		if (path ? is_unix && is_path(at + 5, length - 5, path) : !is_unix && strtol(at, NULL, 10) == number)
			return place;
		at += length + (at[length] == ',');
	}
	return -1;
}

bool lp_ports_has_free(const struct lp_ports *ports)
{
	int ours;
	for (const char *at = ports->ours; (ours = next_ours(&at));)
		if (!lp_ports_claimed(ports, ours))
			return true;
	return false;
}

int lp_ports_first(const struct lp_ports *ports)
{
	int ours;
	for (const char *at = ports->ours; (ours = next_ours(&at));)
		if (ours > 0)
			return ours;
	return 0;
}

bool lp_ports_tell(struct lp_ports *ports, int number)
{
	struct lp_port *port = (struct lp_port *)find(ports, number);
	if (!port || port->told)
		return false;
	port->told = true;
	return true;
}
