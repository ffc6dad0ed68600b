/**
 * A hash table of things with a name. The links are in the things, so nothing is allocated for one; the names, too, are
 * the things' own. It grows by doubling.
 */
#ifndef LP_BROKER_NAME_TABLE_H
#define LP_BROKER_NAME_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/** Makes a structure a member: its first field. */
struct lp_named {
	struct lp_named *next; /**< The table's. */
	uint64_t hash;         /**< The table's. */
	struct lp_slice name;  /**< Set by the owner, and not changed while it is in a table. */
};

/** The owner's memory; all zero except the seed is an empty table. */
struct lp_name_table {
	struct lp_named **rows;
	size_t row_count;  /**< 0, or a power of two. */
	size_t empty_rows; /**< As many are empty for certain, from the first on. */
	size_t count;      /**< Members. */
	uint64_t seed;     /**< Random, so that nobody can choose names that fall together. */
};

/** The member of a name, or NULL. @param table Borrowed. @param name Any. */
struct lp_named *lp_name_table_find(const struct lp_name_table *table, struct lp_slice name);

/**
 * Add a member.
 *
 * @param table  Borrowed.
 * @param named  With a name that no member has. Stays the caller's memory.
 *
 * @return 0, or -ENOMEM with nothing changed.
 */
int lp_name_table_add(struct lp_name_table *table, struct lp_named *named);

/** Take a member out. @param table Borrowed. @param named A member. */
void lp_name_table_remove(struct lp_name_table *table, struct lp_named *named);

/** Any member, or NULL when there is none: to empty a table, which takes time by its rows in all. @param table Borrowed. */
struct lp_named *lp_name_table_any(struct lp_name_table *table);

/** Free the rows. @param table Empty; usable again. */
void lp_name_table_clear(struct lp_name_table *table);

#endif
