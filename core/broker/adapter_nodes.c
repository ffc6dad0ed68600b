/*
 * A table by id, and a list for each worker. A speaker's id and namespace are after it in its own memory.
 */
#include "broker/adapter_nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lp_adapter_nodes_init(struct lp_adapter_nodes *nodes, unsigned workers, uint64_t seed)
{
	*nodes = (struct lp_adapter_nodes){.table.seed = seed};
	nodes->of_worker = calloc(workers + 1, sizeof(*nodes->of_worker));
	if (!nodes->of_worker)
		return -ENOMEM;
	for (unsigned i = 0; i <= workers; i++)
		lp_list_init(&nodes->of_worker[i]);
	return 0;
}

void lp_adapter_nodes_deinit(struct lp_adapter_nodes *nodes)
{
	struct lp_named *named;
	while ((named = lp_name_table_any(&nodes->table)))
		lp_adapter_nodes_forget(nodes, (struct lp_speaker *)named);
	lp_name_table_clear(&nodes->table);
	free(nodes->of_worker);
	nodes->of_worker = NULL;
}

struct lp_speaker *lp_adapter_nodes_find(const struct lp_adapter_nodes *nodes, struct lp_slice id)
{
	return id.bytes ? (struct lp_speaker *)lp_name_table_find(&nodes->table, id) : NULL;
}

static struct lp_speaker *make_speaker(struct lp_slice id, struct lp_slice nsp, unsigned worker)
{
	struct lp_speaker *speaker = malloc(sizeof(*speaker) + id.length + nsp.length);
	if (!speaker)
		return NULL;
	char *behind = (char *)(speaker + 1);
	memcpy(behind, id.bytes, id.length);
	if (nsp.bytes)
		memcpy(behind + id.length, nsp.bytes, nsp.length);
	*speaker = (struct lp_speaker){.named.name = {behind, id.length},
				       .worker = worker,
				       .nsp = {nsp.bytes ? behind + id.length : NULL, nsp.length}};
	return speaker;
}

void lp_adapter_nodes_learn(struct lp_adapter_nodes *nodes, struct lp_slice id, struct lp_slice nsp, unsigned worker)
{
	if (!id.bytes || lp_adapter_nodes_find(nodes, id))
		return;
	bool fits = id.length <= LP_NODE_ID_MAX && nsp.length <= LP_NODE_ID_MAX &&
		    nodes->table.count < LP_ADAPTER_NODES_MAX;
	struct lp_speaker *speaker = fits ? make_speaker(id, nsp, worker) : NULL;
	if (speaker && lp_name_table_add(&nodes->table, &speaker->named) == 0) {
		lp_list_append(&nodes->of_worker[worker], &speaker->link);
		return;
	}
	free(speaker);
	nodes->incomplete = true;
}

void lp_adapter_nodes_forget(struct lp_adapter_nodes *nodes, struct lp_speaker *speaker)
{
	lp_name_table_remove(&nodes->table, &speaker->named);
	lp_list_remove(&speaker->link);
	free(speaker);
}

void lp_adapter_nodes_forget_id(struct lp_adapter_nodes *nodes, struct lp_slice id, unsigned worker)
{
	struct lp_speaker *speaker = lp_adapter_nodes_find(nodes, id);
	if (speaker && speaker->worker == worker)
		lp_adapter_nodes_forget(nodes, speaker);
}

struct lp_speaker *lp_adapter_nodes_of(const struct lp_adapter_nodes *nodes, unsigned worker)
{
	const struct lp_list *list = &nodes->of_worker[worker];
	return lp_list_empty(list) ? NULL : LP_LIST_OWNER(list->next, struct lp_speaker, link);
}
