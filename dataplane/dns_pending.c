/*
 * dns_pending.c: queries that left and wait for their answers, each bounded in time, all of them in
 * memory. Must never keep one longer than `timeouts.dns`: what comes then answers nobody.
 */
#include "dns.h"

#include "names.h"

#define TIMEOUTS_BUDGET 1024 /* queries forgotten in one turn */

void sl_dns_pending_free(struct sl_worker *worker, uint32_t *first, uint32_t index)
{
	struct sl_query *query = sl_dns_pending_at(worker, index);
	uint32_t *link = first;

	while (*link != index)
		link = &sl_dns_pending_at(worker, *link)->next;
	*link = query->next;
	sl_deadline_remove(&worker->queries, &worker->queries_open, index);
	sl_names_drop(worker, query->name);
	sl_held_give(worker, query->vlan, sizeof(*query));
	sl_pool_put(&worker->queries, index);
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
		                    flow->flags & SL_FLOW_DNS_TCP
		                            ? &sl_dns_stream_of(worker, flow)->pending
		                            : &sl_flow_cold(&worker->table, flow)->hold,
		                    index);
	}
}

static unsigned count(const struct sl_worker *worker, uint32_t index)
{
	unsigned n = 0;

	for (; index != 0; index = sl_dns_pending_at(worker, index)->next)
		n++;
	return n;
}

uint32_t sl_dns_pending_make(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_flow *flow, uint32_t *first, unsigned most,
                             const struct sl_dns_query *asked)
{
	struct sl_query *query;
	uint32_t index, name;

	if (count(worker, *first) >= most || !sl_held_take(worker, sandbox->vlan, sizeof(*query)))
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
	*first = index;
	sl_deadline_append(&worker->queries, &worker->queries_open, index,
	                   worker->now_ms + worker->settings->dns_ms);
	return index;
}

uint32_t sl_dns_pending_find(const struct sl_worker *worker, uint32_t first,
                             const struct sl_dns_query *asked)
{
	uint32_t index = first;

	while (index != 0) {
		const struct sl_query *query = sl_dns_pending_at(worker, index);
		const struct sl_name *name = sl_names_at(worker, query->name);

		if (query->client_id == asked->question.id &&
		    query->sent.type == asked->question.type && name->len == asked->name_len &&
		    memcmp(name->text, asked->name, name->len) == 0 &&
		    memcmp(&query->client_case, &asked->letter_case, sizeof(query->client_case)) ==
		            0)
			break;
		index = query->next;
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
