/**
 * Sockets that Node workers share, as under a Node primary: one for each address, opened when the first worker asks for it,
 * and used by whichever worker is first. UDP sockets; and in the dialect `node` TCP ports and paths that are not limpet's, a
 * server for metrics, say.
 *
 * A socket stays when its last worker dies, so that its successor has it and nothing is lost meanwhile. A TCP socket or path
 * that the last worker has closed itself is closed: clients would wait there for nobody.
 */
#ifndef LP_WORKER_SHARED_SOCKETS_H
#define LP_WORKER_SHARED_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

/** Sockets at a time. */
#define LP_SHARED_SOCKETS_MAX 64

/** Room for a host or a path as text: as much as the kernel takes as a path. */
#define LP_SOCKET_HOST_SIZE 108

enum lp_socket_kind { LP_SOCKET_UDP, LP_SOCKET_TCP, LP_SOCKET_PATH };

/** What a worker asks for. */
struct lp_socket_address {
	enum lp_socket_kind kind;
	char host[LP_SOCKET_HOST_SIZE]; /**< Numeric, empty for any; or the path. */
	int port;                       /**< 0: the kernel chooses. */
	int index; /**< Of the worker's sockets of the same address and port: each is another socket. */
	bool six;  /**< IPv6. Where the host is empty: if there is IPv6, and IPv4 with it. */
	bool only_six;
	bool reuse; /**< UDP: others may bind the same. */
};

struct lp_shared_sockets {
	struct {
		struct lp_socket_address address;
		int fd;
		unsigned holders; /**< Workers that have it, of TCP sockets and paths. */
	} all[LP_SHARED_SOCKETS_MAX];
	size_t count;
};

/**
 * The socket of an address, bound, not listening.
 *
 * @param sockets  All zero at first.
 * @param address  Borrowed.
 *
 * @return A descriptor, which stays sockets', and is held until it is dropped; or negative errno: UV_EADDRINUSE, UV_EACCES …,
 *         UV_ENFILE for too many.
 */
int lp_shared_sockets_get(struct lp_shared_sockets *sockets, const struct lp_socket_address *address);

/**
 * A worker has a socket no longer.
 *
 * @param sockets  As it was got of.
 * @param fd       As it was got.
 * @param closed   Whether it has closed it by itself; not, if it has died.
 */
void lp_shared_sockets_drop(struct lp_shared_sockets *sockets, int fd, bool closed);

/** Close all. @param sockets Empty then. */
void lp_shared_sockets_close(struct lp_shared_sockets *sockets);

#endif
