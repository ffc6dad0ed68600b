/**
 * The service manager that has started this process, such as systemd, and waits to hear how it is: sd_notify(3) without its
 * library.
 */
#ifndef LP_BASE_SERVICE_MANAGER_H
#define LP_BASE_SERVICE_MANAGER_H

#include <stdint.h>

/** All zero: nobody waits. */
struct lp_service_manager {
	char socket[108];     /**< NOTIFY_SOCKET: a path, or '@' and an abstract name. */
	uint32_t watchdog_ms; /**< It has to hear from us this often; 0: it need not. */
};

/**
 * Find out who has started this process, and remove that from the environment: what is not said to our children, they cannot
 * answer in our place.
 *
 * @param manager  Overwritten. All zero if nobody waits, or if the watchdog is another process's.
 */
void lp_service_manager_find(struct lp_service_manager *manager);

/**
 * Tell it something. It never waits; what cannot be sent is lost.
 *
 * @param manager  Found. Nothing happens if it is all zero.
 * @param state    "READY=1", "STOPPING=1" or "WATCHDOG=1".
 */
void lp_service_manager_tell(const struct lp_service_manager *manager, const char *state);

#endif
