/**
 * What the kernel reports about sockets through NETLINK_SOCK_DIAG: which are open (asked), and each TCP socket that is
 * destroyed (told). A socket is named by its cookie, a number that the kernel never gives twice.
 *
 * Only system calls: no loop, and no state but a descriptor. For open_count.c.
 */
#ifndef LP_WORKER_COUNTS_SOCKET_DIAG_H
#define LP_WORKER_COUNTS_SOCKET_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What the kernel lists apart. */
enum lp_socket_kind {
	LP_SOCKET_TCP, /**< IPv4 and IPv6. */
	LP_SOCKET_UNIX,
};

#define LP_SOCKET_KINDS 2

/** With more different ports than this, the kernel reports sockets of all ports. */
#define LP_SOCKET_DIAG_PORTS 64

/** Local ports that are of interest. All zero is none. */
struct lp_socket_diag_ports {
	unsigned count; /**< LP_SOCKET_DIAG_PORTS + 1: all. */
	uint16_t ports[LP_SOCKET_DIAG_PORTS];
};

/** Add a port. @param ports Borrowed. @param port Of a listener. @return Whether anything changed. */
bool lp_socket_diag_add_port(struct lp_socket_diag_ports *ports, uint16_t port);

/** Name a socket. @param fd Borrowed. @param cookie Set on success. @return 0 or negative errno. */
int lp_socket_diag_cookie(int fd, uint64_t *cookie);

struct lp_socket_diag_listed {
	uint64_t cookie;
	bool held; /**< A process has it. Otherwise it was closed, and the kernel still sends what had been written. */
};

/** A list of open sockets. All zero is an empty one; free its sockets. */
struct lp_socket_diag_list {
	struct lp_socket_diag_listed *sockets;
	size_t length;
	size_t capacity;
};

/**
 * List the open sockets of a kind in this network namespace. Takes a while: 6 – 14 ms where the kernel's table is
 * large, however few sockets are in it, and 0.6 us for each listed; so not a thing to do on a loop.
 *
 * @param kind   Which.
 * @param ports  TCP sockets of these only, if there are any.
 * @param list   What was found is appended, also before an error.
 *
 * @return 0; or negative errno: the list is incomplete.
 */
int lp_socket_diag_list(enum lp_socket_kind kind, const struct lp_socket_diag_ports *ports,
			struct lp_socket_diag_list *list);

/** Whether the kernel can list a kind; quick. @param kind Which. @return 0 or negative errno: ENOENT when it cannot. */
int lp_socket_diag_probe(enum lp_socket_kind kind);

/**
 * A socket that hears of every TCP socket destroyed from now on in this network namespace.
 *
 * @return CLOEXEC and the caller's to close; or negative errno: EPERM where the kernel tells only the privileged.
 */
int lp_socket_diag_open_destroyed(void);

/** Receive reports about sockets of these ports only. @param fd Of lp_socket_diag_open_destroyed. @param ports Borrowed. */
void lp_socket_diag_narrow_destroyed(int fd, const struct lp_socket_diag_ports *ports);

/** Most sockets that one lp_socket_diag_read_destroyed reports. */
#define LP_SOCKET_DIAG_BATCH 64

/**
 * Read which sockets were destroyed, without waiting.
 *
 * @param fd       Of lp_socket_diag_open_destroyed.
 * @param cookies  Room for LP_SOCKET_DIAG_BATCH.
 *
 * @return How many; 0 when there are no more now; or negative errno. ENOBUFS: some were lost; read on.
 */
int lp_socket_diag_read_destroyed(int fd, uint64_t *cookies);

#endif
