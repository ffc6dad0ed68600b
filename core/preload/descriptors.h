/**
 * What each descriptor of this process is to us. Looking one up is a load from memory, and that is all that the
 * program's other descriptors ever cost.
 *
 *     OTHER       not ours: every call goes to the C library
 *     BOUND       bound to limpet's address, as the program believes
 *     LISTENER    it listens: the program believes so, and gets connections from the channel
 *     CONNECTION  a connection that limpet handed over
 */
#ifndef LP_PRELOAD_DESCRIPTORS_H
#define LP_PRELOAD_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "preload/http_exchange.h"

/** Descriptors from here on are not followed: a connection there is served, but no session is learnt from it. */
#define LP_DESCRIPTORS_MAX (1 << 18)

/** Our own descriptors keep away from those that programs count on, or close in a row: they begin here. */
#define LP_DESCRIPTORS_OURS 200

enum lp_descriptor_kind { LP_OTHER, LP_BOUND, LP_LISTENER, LP_CONNECTION };

/** No bit-fields: one thread may change a member while another changes its neighbour. */
struct lp_descriptor {
	uint8_t kind;     /**< enum lp_descriptor_kind. */
	bool watched;     /**< LISTENER: by epoll. */
	bool lowat;       /**< CONNECTION: SO_RCVLOWAT is raised. */
	uint8_t set;      /**< LISTENER: its place's set, of which registration (registration.h), it names; 0: none. */
	uint16_t binding; /**< BOUND, LISTENER, and the listener's of a CONNECTION: bindings.h. */
	int epoll;        /**< CONNECTION: the epoll instance that watches it, or -1. */
	struct epoll_event watch;
};

/** By number. A process has one table of descriptors, so it has one of these; all zero is OTHER. */
extern struct lp_descriptor lp_descriptors[LP_DESCRIPTORS_MAX];

/**
 * What goes back and forth on a connection (http_exchange.h).
 *
 * @param fd  CONNECTION.
 *
 * @return Never NULL. Where there was no memory for it when the connection came, it is OPAQUE for good.
 */
struct lp_http_exchange *lp_descriptor_exchange(int fd);

/** Have memory for that. @param fd 0 – LP_DESCRIPTORS_MAX - 1. @return It, or NULL. */
struct lp_http_exchange *lp_descriptor_make_exchange(int fd);

/** Say what a descriptor is. @param fd 0 – LP_DESCRIPTORS_MAX - 1. @param descriptor Copied. */
void lp_descriptor_set(int fd, const struct lp_descriptor *descriptor);

/** All that are not OTHER are below this. */
int lp_descriptors_end(void);

/** What a descriptor is. @param fd Any number. */
static inline enum lp_descriptor_kind lp_descriptor_kind(int fd)
{
	return (unsigned)fd < LP_DESCRIPTORS_MAX ? (enum lp_descriptor_kind)lp_descriptors[fd].kind : LP_OTHER;
}

/** A descriptor is nobody's any more. @param fd Any number. */
void lp_descriptor_forget(int fd);

/** Make all of a descriptor's members zero. @param fd 0 – LP_DESCRIPTORS_MAX - 1. */
void lp_descriptor_wipe(int fd);

/** Move a descriptor of our own out of the program's way. @param fd Taken. @return Its number from now on. */
int lp_descriptor_lift(int fd);

/**
 * Make one of our own descriptors the program's: at the lowest free number, if there is one.
 *
 * @param fd     Taken.
 * @param flags  SOCK_CLOEXEC and SOCK_NONBLOCK, as accept4(2) takes them.
 *
 * @return Its number from now on.
 */
int lp_descriptor_lower(int fd, int flags);

/** Set or clear O_NONBLOCK. @param fd Any. @param flags With SOCK_NONBLOCK or without. @return fd. */
int lp_descriptor_mode(int fd, int flags);

/**
 * Let one of the program's numbers name something else; it keeps its close-on-exec flag, and O_NONBLOCK.
 *
 * @param fd    The number.
 * @param what  A descriptor of what it is to name. Borrowed.
 *
 * @return 0, or negative errno with nothing changed.
 */
int lp_descriptor_name(int fd, int what);

#endif
