/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_pending.c: queries that were sent and wait for their answers, bounded in time and memory.
 * Must never keep one longer than `timeouts.dns`: a later answer is not believed.
 */
#include "dns.h"

#include "flow/names.h"

#define TIMEOUTS_BUDGET 1024 /* queries forgotten in one turn */

/*
 * The bucket of the flow's queries with this id. The sandbox chooses the id, but cannot predict
 * the hash.
 */
static uint32_t *bucket(const struct sl_worker *worker, uint32_t *buckets, uint32_t flow,
                        uint16_t id)
{
	uint64_t key = ((uint64_t)flow << 16 | id) ^ worker->table.secret[0];

	return &buckets[(key * 0x9e3779b97f4a7c15ull >> 32) & worker->query_mask];
}

static void unchain(struct sl_worker *worker, uint32_t *link, uint32_t index, size_t next)
{
	while (*link != index)
		link = (uint32_t *)((uint8_t *)sl_dns_pending_at(worker, *link) + next);
	*link = *(uint32_t *)((uint8_t *)sl_dns_pending_at(worker, index) + next);
}

void sl_dns_pending_free(struct sl_worker *worker, uint32_t *first, uint32_t index)
{
	struct sl_query *query = sl_dns_pending_at(worker, index);

	unchain(worker, bucket(worker, worker->queries_asked, query->flow, query->client_id), index,
	        offsetof(struct sl_query, chain_asked));
	if (query->is_sent)
		unchain(worker, bucket(worker, worker->queries_sent, query->flow, query->sent.id),
		        index, offsetof(struct sl_query, chain_sent));
	if (query->prev != 0)
		sl_dns_pending_at(worker, query->prev)->next = query->next;
	else
		*first = query->next;
	if (query->next != 0)
		sl_dns_pending_at(worker, query->next)->prev = query->prev;
	worker->vlans[query->vlan].queries--;
	sl_deadline_remove(&worker->queries, &worker->queries_open, index);
	sl_names_drop(worker, query->name);
	sl_held_give(worker, query->vlan, sizeof(*query));
	sl_pool_put(&worker->queries, index);
}

void sl_dns_pending_sent(struct sl_worker *worker, uint32_t index)
{
	struct sl_query *query = sl_dns_pending_at(worker, index);
	uint32_t *link = bucket(worker, worker->queries_sent, query->flow, query->sent.id);

	query->chain_sent = *link;
	query->is_sent = true;
	*link = index;
}

uint32_t sl_dns_pending_with_id(const struct sl_worker *worker, const struct sl_flow *flow,
                                uint16_t id, uint32_t after)
{
	uint32_t own = sl_flow_index(&worker->table, flow), index;

	index = after != 0 ? sl_dns_pending_at(worker, after)->chain_sent
	                   : *bucket(worker, worker->queries_sent, own, id);
	while (index != 0 && (sl_dns_pending_at(worker, index)->flow != own ||
	                      sl_dns_pending_at(worker, index)->sent.id != id))
		index = sl_dns_pending_at(worker, index)->chain_sent;
	return index;
}

void sl_dns_pending_free_all(struct sl_worker *worker, uint32_t *first)
{
	while (*first != 0)
		sl_dns_pending_free(worker, first, *first);
}

void sl_dns_pending_timeouts(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index = sl_deadline_due(worker, &worker->queries, &worker->queries_open);
		struct sl_flow *flow;

		if (index == 0)
			return;
		flow = &worker->table.flows[sl_dns_pending_at(worker, index)->flow];
		sl_dns_pending_free(worker,
		                    flow->watch == SL_WATCH_DNS_TCP
		                            ? &sl_dns_stream_of(worker, flow)->pending
		                            : sl_watch_kept(worker, flow, SL_WATCH_DNS_UDP),
		                    index);
	}
}

uint32_t sl_dns_pending_make(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_flow *flow, uint32_t *first,
                             const struct sl_dns_query *asked)
{
	struct sl_vlan *vlan = &worker->vlans[sandbox->vlan];
	struct sl_query *query;
	uint32_t index, name, *link;

	if (vlan->queries >= worker->settings->dns_queries_per_sandbox ||
	    !sl_shared_room(worker, worker->queries.capacity, worker->queries.used, vlan->queries,
	                    1) ||
	    !sl_held_take(worker, sandbox->vlan, sizeof(*query)))
		return 0;
	name = sl_names_take(worker, asked->name, asked->name_len);
	index = name != 0 ? sl_pool_get(&worker->queries) : 0;
	if (index == 0) {
		sl_names_drop(worker, name);
		sl_held_give(worker, sandbox->vlan, sizeof(*query));
		return 0;
	}
	query = sl_dns_pending_at(worker, index);
	memset(query, 0, sizeof(*query));
	query->flow = sl_flow_index(&worker->table, flow);
	query->next = *first;
	query->name = name;
	query->epoch = sandbox->epoch;
	query->vlan = sandbox->vlan;
	query->client_id = asked->question.id;
	query->client_case = asked->letter_case;
	query->mismatches_before = sl_flow_cold(&worker->table, flow)->mismatches;
	if (*first != 0)
		sl_dns_pending_at(worker, *first)->prev = index;
	*first = index;
	link = bucket(worker, worker->queries_asked, query->flow, query->client_id);
	query->chain_asked = *link;
	*link = index;
	vlan->queries++;
	sl_deadline_append(&worker->queries, &worker->queries_open, index,
	                   worker->now_ms + worker->settings->dns_ms);
	return index;
}

uint32_t sl_dns_pending_find(const struct sl_worker *worker, const struct sl_flow *flow,
                             const struct sl_dns_query *asked)
{
	uint32_t own = sl_flow_index(&worker->table, flow);
	uint32_t index = *bucket(worker, worker->queries_asked, own, asked->question.id);

	while (index != 0) {
		const struct sl_query *query = sl_dns_pending_at(worker, index);
		const struct sl_name *name = sl_names_at(worker, query->name);

		if (query->flow == own && query->client_id == asked->question.id &&
		    query->sent.type == asked->question.type && name->len == asked->name_len &&
		    memcmp(name->text, asked->name, name->len) == 0 &&
		    memcmp(&query->client_case, &asked->letter_case, sizeof(query->client_case)) ==
		            0)
			break;
		index = query->chain_asked;
	}
	return index;
}

void sl_dns_pending_renew(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                          uint32_t index)
{
	sl_dns_pending_at(worker, index)->epoch = sandbox->epoch;
	sl_deadline_remove(&worker->queries, &worker->queries_open, index);
	sl_deadline_append(&worker->queries, &worker->queries_open, index,
	                   worker->now_ms + worker->settings->dns_ms);
}

bool sl_dns_pending_allowed(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                            struct sl_query *query)
{
	const struct sl_name *name = sl_names_at(worker, query->name);

	if (query->epoch == sandbox->epoch)
		return true;
	if (!sl_dns_name_allowed(worker, sandbox, name->text, name->len))
		return false;
	query->epoch = sandbox->epoch;
	return true;
}
