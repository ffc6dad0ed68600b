/*
 * A table by id, and a list for each worker. A speaker's id and namespace are behind it in its own memory.
 */
#include "worker/nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lp_nodes_init(struct lp_nodes *nodes, unsigned workers, uint64_t seed)
{
	*nodes = (struct lp_nodes){.table.seed = seed, .workers = workers};
	nodes->of_worker = calloc(workers + 1, sizeof(*nodes->of_worker));
	if (!nodes->of_worker)
		return -ENOMEM;
	for (unsigned i = 0; i <= workers; i++)
		lp_list_init(&nodes->of_worker[i]);
	return 0;
}

void lp_nodes_deinit(struct lp_nodes *nodes)
{
	struct lp_named *named;
	while ((named = lp_table_any(&nodes->table)))
		lp_nodes_forget(nodes, (struct lp_speaker *)named);
	lp_table_clear(&nodes->table);
	free(nodes->of_worker);
	nodes->of_worker = NULL;
}

struct lp_speaker *lp_nodes_find(const struct lp_nodes *nodes, struct lp_slice id)
{
	return id.bytes ? (struct lp_speaker *)lp_table_find(&nodes->table, id) : NULL;
}

int lp_nodes_learn(struct lp_nodes *nodes, struct lp_slice id, struct lp_slice nsp, unsigned worker)
{
	if (lp_nodes_find(nodes, id))
		return 0;
	if (id.length > LP_NODE_ID_MAX || nsp.length > LP_NODE_ID_MAX)
		return -EMSGSIZE;
	if (nodes->table.count == LP_NODES_MAX)
		return -ENOBUFS;
	struct lp_speaker *speaker = malloc(sizeof(*speaker) + id.length + nsp.length);
	if (!speaker)
		return -ENOMEM;
	char *behind = (char *)(speaker + 1);
	memcpy(behind, id.bytes, id.length);
	if (nsp.bytes)
		memcpy(behind + id.length, nsp.bytes, nsp.length);
	*speaker = (struct lp_speaker){.named.name = {behind, id.length},
				       .worker = worker,
				       .nsp = {nsp.bytes ? behind + id.length : NULL, nsp.length}};
	int status = lp_table_add(&nodes->table, &speaker->named);
	if (status)
		free(speaker);
	else
		lp_list_append(&nodes->of_worker[worker], &speaker->link);
	return status;
}

void lp_nodes_forget(struct lp_nodes *nodes, struct lp_speaker *speaker)
{
	lp_table_remove(&nodes->table, &speaker->named);
	lp_list_remove(&speaker->link);
	free(speaker);
}

struct lp_speaker *lp_nodes_of(const struct lp_nodes *nodes, unsigned worker)
{
	const struct lp_list *list = &nodes->of_worker[worker];
	return lp_list_empty(list) ? NULL : LP_LIST_OWNER(list->next, struct lp_speaker, link);
}
