/*
 * One datagram for each change of state. A socket is opened for each: they are rare, and no descriptor is kept.
 */
#include "base/service_manager.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The variable's value in ms, or 0 if it is no time, or meant for another process. */
static uint32_t read_watchdog(void)
{
	const char *interval = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	unsigned long long us = interval ? strtoull(interval, NULL, 10) : 0;

	if (pid && strtoull(pid, NULL, 10) != (unsigned long long)getpid())
		return 0;
	return us / 1000 <= UINT32_MAX ? (uint32_t)(us / 1000) : 0;
}

void lp_service_manager_find(struct lp_service_manager *manager)
{
	const char *name = getenv("NOTIFY_SOCKET");

	*manager = (struct lp_service_manager){0};
	if (name && strlen(name) < sizeof(manager->socket) && (*name == '/' || *name == '@')) {
		snprintf(manager->socket, sizeof(manager->socket), "%s", name);
		manager->watchdog_ms = read_watchdog();
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void lp_service_manager_tell(const struct lp_service_manager *manager, const char *state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(manager->socket);
	int fd;

	if (length == 0)
		return;
	_Static_assert(sizeof(manager->socket) == sizeof(address.sun_path), "what is found can be an address");
	memcpy(address.sun_path, manager->socket, length);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}
