/**
 * The ledger: which worker has which socket, by the socket's cookie. Pure data, for open_count.c.
 *
 * Every entry has a kind, counted and swept apart from the others, and a mark that says when the socket was last known
 * to be open: whoever reads the kernel's list of open sockets marks what it meets, then sweeps out what it never met.
 */
#ifndef LP_WORKER_COUNTS_COOKIE_TABLE_H
#define LP_WORKER_COUNTS_COOKIE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Kinds are numbered 0 to one less than this. */
#define LP_COOKIE_TABLE_KINDS 2

struct lp_cookie_table_entry {
	uint64_t cookie; /**< 0: the entry is free. */
	uint32_t mark;
	uint16_t worker;
	uint8_t kind;
};

/** The owner's memory; all zero is an empty ledger. */
struct lp_cookie_table {
	struct lp_cookie_table_entry *entries;
	unsigned bits;                       /**< There are 2^bits entries; 0 before the first. */
	size_t size;                         /**< Entries in use. */
	size_t sizes[LP_COOKIE_TABLE_KINDS]; /**< Of those, by kind. */
};

/** Forget everything and free the memory. @param ledger Usable again, empty. */
void lp_cookie_table_clear(struct lp_cookie_table *ledger);

/**
 * Add a socket.
 *
 * @param ledger  Borrowed.
 * @param cookie  Not 0.
 * @param worker  1 – 65535.
 * @param kind    Below LP_COOKIE_TABLE_KINDS.
 * @param mark    When it was last known to be open.
 *
 * @return 0; -EEXIST or -ENOMEM with nothing changed.
 */
int lp_cookie_table_add(struct lp_cookie_table *ledger, uint64_t cookie, unsigned worker, unsigned kind, uint32_t mark);

/** Mark a socket, if it is known. @param ledger Borrowed. @param cookie Any. @param mark The new one. */
void lp_cookie_table_mark(struct lp_cookie_table *ledger, uint64_t cookie, uint32_t mark);

/** Remove a socket. @param ledger Borrowed. @param cookie Any. @return Its worker, or 0 when it was not known. */
unsigned lp_cookie_table_remove(struct lp_cookie_table *ledger, uint64_t cookie);

/** Remove all sockets of a worker. @param ledger Borrowed. @param worker Its id. @return How many. */
size_t lp_cookie_table_forget_worker(struct lp_cookie_table *ledger, unsigned worker);

/**
 * Remove the sockets of one kind that have not been marked for long.
 *
 * @param ledger  Borrowed.
 * @param kind    Below LP_COOKIE_TABLE_KINDS.
 * @param oldest  Entries with a smaller mark go.
 * @param gone    gone[worker] is increased by one for each; must have room for every worker's id.
 *
 * @return How many went.
 */
size_t lp_cookie_table_sweep(struct lp_cookie_table *ledger, unsigned kind, uint32_t oldest, unsigned *gone);

#endif
