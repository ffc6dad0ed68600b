/*
 * Rows of singly linked members, as many rows as members or more, so a row has one of them or none most of the time. Rows
 * are not given back before the table is cleared: a pointer for each member there has been at most.
 */
#include "broker/name_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "route/hash.h"

#define FEWEST_ROWS 16

static struct lp_named **row_of(const struct lp_name_table *table, uint64_t hash)
{
	return &table->rows[hash & (table->row_count - 1)];
}

struct lp_named *lp_name_table_find(const struct lp_name_table *table, struct lp_slice name)
{
	if (table->count == 0)
		return NULL;
	uint64_t hash = lp_hash(name, table->seed);
	struct lp_named *named = *row_of(table, hash);
	while (named && (named->hash != hash || named->name.length != name.length ||
			 memcmp(named->name.bytes, name.bytes, name.length) != 0))
		named = named->next;
	return named;
}

static int grow_table(struct lp_name_table *table)
{
	struct lp_name_table grown = *table;
	grown.row_count = table->row_count ? table->row_count * 2 : FEWEST_ROWS;
	grown.empty_rows = 0;
	grown.rows = calloc(grown.row_count, sizeof(*grown.rows));
	if (!grown.rows)
		return -ENOMEM;
	for (size_t i = 0; i < table->row_count; i++) {
		while (table->rows[i]) {
			struct lp_named *named = table->rows[i];
			table->rows[i] = named->next;
			struct lp_named **row = row_of(&grown, named->hash);
			named->next = *row;
			*row = named;
		}
	}
	free(table->rows);
	*table = grown;
	return 0;
}

int lp_name_table_add(struct lp_name_table *table, struct lp_named *named)
{
	if (table->count == table->row_count) {
		int status = grow_table(table);
		if (status)
			return status;
	}
	named->hash = lp_hash(named->name, table->seed);
	struct lp_named **row = row_of(table, named->hash);
	named->next = *row;
	*row = named;
	if ((size_t)(row - table->rows) < table->empty_rows)
		table->empty_rows = (size_t)(row - table->rows);
	table->count++;
	return 0;
}

void lp_name_table_remove(struct lp_name_table *table, struct lp_named *named)
{
	struct lp_named **link = row_of(table, named->hash);
	while (*link != named)
		link = &(*link)->next;
	*link = named->next;
	table->count--;
}

struct lp_named *lp_name_table_any(struct lp_name_table *table)
{
	if (table->count == 0)
		return NULL;
	while (!table->rows[table->empty_rows])
		table->empty_rows++;
	return table->rows[table->empty_rows];
}

void lp_name_table_clear(struct lp_name_table *table)
{
	free(table->rows);
	table->rows = NULL;
	table->row_count = 0;
	table->empty_rows = 0;
}
