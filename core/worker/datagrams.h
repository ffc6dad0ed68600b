/**
 * UDP sockets that workers share: one for each address, opened when the first worker asks for it, and read by whichever
 * worker is first. They stay until the end, so that nothing is lost while a worker is replaced.
 */
#ifndef LP_WORKER_DATAGRAMS_H
#define LP_WORKER_DATAGRAMS_H

#include <stdbool.h>
#include <stddef.h>

/** Sockets at a time. */
#define LP_DATAGRAMS_MAX 32

/** Room for an address as text. */
#define LP_DATAGRAM_ADDRESS_SIZE 64

/** What a worker asks for. */
struct lp_datagram_address {
	char host[LP_DATAGRAM_ADDRESS_SIZE]; /**< Numeric; empty: any. */
	int port;                            /**< 0: the kernel chooses. */
	int index; /**< Of the worker's sockets of the same address and port: each is another socket. */
	bool six;  /**< IPv6. */
	bool only_six;
	bool reuse;
};

struct lp_datagrams {
	struct {
		struct lp_datagram_address address;
		int fd;
	} all[LP_DATAGRAMS_MAX];
	size_t count;
};

/**
 * The socket of an address.
 *
 * @param datagrams  All zero at first.
 * @param address    Borrowed.
 *
 * @return A descriptor, which stays datagrams'; or negative errno: UV_EADDRINUSE, UV_EACCES …, UV_ENFILE for too many.
 */
int lp_datagrams_get(struct lp_datagrams *datagrams, const struct lp_datagram_address *address);

/** Close all. @param datagrams Empty then. */
void lp_datagrams_close(struct lp_datagrams *datagrams);

#endif
