/* SPDX-License-Identifier: Apache-2.0 */
/*
 * icmp.c: ICMP and ICMPv6, except neighbour discovery. Queries open flows by their id; errors pass
 * only for an open flow, and only between its two ends (spec section 2).
 *
 * Settles with: no-flow, protocol-not-allowed, deny-all, the flow's reason.
 */
#include <netinet/in.h>
#include <rte_ip.h>

#include "packet/parse.h"
#include "judge/subnet.h"
#include "walk.h"
#include "flow/verdict.h"
#include "core/state.h"

enum kind {
	KIND_OTHER = 0,
	KIND_ERROR,
	KIND_QUERY,
	KIND_REPLY,
};

static enum kind kind_of(const struct sl_pkt *pkt)
{
	if (pkt->l3 == SL_L3_IPV4) {
		switch (pkt->icmp_type) {
		case 3:  /* destination unreachable */
		case 11: /* time exceeded */
		case 12: /* parameter problem */
			return KIND_ERROR;
		case 8:  /* echo */
		case 13: /* timestamp */
			return KIND_QUERY;
		case 0:
		case 14:
			return KIND_REPLY;
		default: /* redirect, router discovery, obsolete types */
			return KIND_OTHER;
		}
	}
	if (pkt->icmp_type >= 1 && pkt->icmp_type <= 4)
		return KIND_ERROR;
	if (pkt->icmp_type == 128)
		return KIND_QUERY;
	return pkt->icmp_type == 129 ? KIND_REPLY : KIND_OTHER;
}

/*
 * The key of the flow that the packet quoted in an error belongs to. The quoted packet went the
 * other way: from the sandbox if the error comes from the uplink. False if that cannot be
 * determined.
 */
static bool quoted_key(const struct sl_pkt *pkt, struct sl_key *key)
{
	bool quoted_from_sandbox = pkt->in_port == SL_PORT_UPLINK;
	uint32_t at = pkt->l4_off + 8, ip_bytes, have = pkt->end - at;
	uint8_t quote[40 + 8] = {0};
	const uint8_t *transport;
	uint16_t src, dst;

	sl_parse_copy(pkt, at, RTE_MIN(have, (uint32_t)sizeof(quote)), quote);
	memset(key, 0, sizeof(*key));
	key->vlan = pkt->vlan;
	if (pkt->l3 == SL_L3_IPV4) {
		ip_bytes = (quote[0] & 0x0f) * 4u;
		if (quote[0] >> 4 != 4 || ip_bytes != 20 || have < ip_bytes + 8)
			return false;
		if ((quote[6] & 0x1f) != 0 || quote[7] != 0) /* not a first fragment */
			return false;
		key->family = SL_FAMILY_4;
		key->proto = quote[9];
		memcpy(&key->inside4, quote + (quoted_from_sandbox ? 12 : 16), 4);
		memcpy(&key->remote4, quote + (quoted_from_sandbox ? 16 : 12), 4);
	} else {
		ip_bytes = 40;
		if (quote[0] >> 4 != 6 || have < ip_bytes + 8)
			return false;
		key->family = SL_FAMILY_6;
		key->proto = quote[6];
		memcpy(key->inside6, quote + (quoted_from_sandbox ? 8 : 24), 16);
		memcpy(key->remote6, quote + (quoted_from_sandbox ? 24 : 8), 16);
	}
	transport = quote + ip_bytes;
	if (key->proto == IPPROTO_TCP || key->proto == IPPROTO_UDP) {
		memcpy(&src, transport, 2);
		memcpy(&dst, transport + 2, 2);
		key->inside_port = quoted_from_sandbox ? src : dst;
		key->remote_port = quoted_from_sandbox ? dst : src;
	} else if (key->proto == IPPROTO_ICMP || key->proto == IPPROTO_ICMPV6) {
		memcpy(&key->inside_port, transport + 4, 2);
	}
	return true;
}

/* The live flow that an error is about; NULL if there is none (any more). */
static struct sl_flow *quoted_flow(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	struct sl_flow *flow;
	struct sl_key key;

	if (!quoted_key(pkt, &key))
		return NULL;
	flow = sl_flow_table_find(&worker->table, &key, sl_flow_table_hash(&worker->table, &key));
	if (flow == NULL || sl_due(worker, flow->expires_ms) || !sl_flow_rejudge(worker, flow) ||
	    flow->state == SL_FLOW_REFUSED)
		return NULL;
	return flow;
}

static void error_from_uplink(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = quoted_flow(worker, pkt);
	struct sl_addr to, inside;

	/* Delivered only to the sandbox's address of the flow. */
	if (flow != NULL) {
		sl_key_inside(&flow->key, &inside);
		sl_key_inside(&pkt->key, &to);
		if (sl_addr_equal(&inside, &to)) {
			sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
			return;
		}
	}
	sl_verdict_refuse_quietly(worker, pkt, SL_REASON_NO_FLOW);
}

static void error_from_sandbox(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_address address;
	struct sl_addr to, remote;
	struct sl_flow *flow;
	enum sl_reason reason;

	sl_key_remote(&pkt->key, &to);
	sl_subnet_look(worker, pkt->sandbox, &to, sl_subnet_class(worker, &to), &address);
	if (!sl_subnet_settles(pkt->sandbox, &address, &reason))
		reason = SL_REASON_PROTOCOL_NOT_ALLOWED;
	if (!sl_reason_allows(reason)) {
		sl_verdict_refuse_quietly(worker, pkt, reason);
		return;
	}
	flow = quoted_flow(worker, pkt);
	if (flow != NULL) {
		sl_key_remote(&flow->key, &remote);
		if (sl_addr_equal(&remote, &to)) {
			sl_pkt_forward(pkt, reason);
			return;
		}
	}
	sl_verdict_refuse_quietly(worker, pkt, SL_REASON_NO_FLOW);
}

/*
 * False for a reply that belongs to a query's flow, which decides it; all others are settled here.
 */
static bool settle_reply(struct sl_worker *worker, struct sl_pkt *pkt, enum kind kind)
{
	bool from_sandbox = pkt->in_port == SL_PORT_SANDBOX;

	if (from_sandbox && pkt->sandbox->mode == SL_MODE_DENY_ALL && pkt->flow == NULL)
		return false; /* first.c says deny-all */
	if (kind == KIND_QUERY && from_sandbox)
		return false;
	if (kind == KIND_REPLY && !from_sandbox && pkt->flow != NULL)
		return false;
	sl_verdict_refuse_quietly(
	        worker, pkt, from_sandbox ? SL_REASON_PROTOCOL_NOT_ALLOWED : SL_REASON_NO_FLOW);
	return true;
}

bool sl_icmp(struct sl_worker *worker, struct sl_pkt *pkt)
{
	enum kind kind;

	if (pkt->proto != (pkt->l3 == SL_L3_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return false;
	kind = kind_of(pkt);
	if (kind != KIND_ERROR)
		return settle_reply(worker, pkt, kind);
	pkt->flow = NULL; /* an error has no id: the lookup did not find its flow */
	if (pkt->in_port == SL_PORT_UPLINK)
		error_from_uplink(worker, pkt);
	else
		error_from_sandbox(worker, pkt);
	return true;
}
