/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subnet.c: judges addresses by a policy (spec section 1, rules 1, 2 and 4, `internal`,
 * `protected`). Must never look at names.
 *
 * Settles with: subnet-denied, protected-subnet, internal-subnet, address-not-allowed,
 * subnet-allowed, allow-all (through first.c).
 */
#include <rte_fib.h>
#include <rte_fib6.h>

#include "subnet.h"
#include "core/state.h"

uint32_t sl_subnet_class(const struct sl_worker *worker, const struct sl_addr *addr)
{
	const struct sl_generation *generation = worker->generation;
	uint64_t class = SL_CLASS_NONE;

	if (addr->family == SL_FAMILY_4) {
		uint32_t host;

		memcpy(&host, addr->bytes, sizeof(host));
		host = rte_be_to_cpu_32(host);
		rte_fib_lookup_bulk(generation->fib4, &host, &class, 1);
	} else {
		uint8_t host[1][RTE_FIB6_IPV6_ADDR_SIZE];

		memcpy(host[0], addr->bytes, sizeof(host[0]));
		rte_fib6_lookup_bulk(generation->fib6, host, &class, 1);
	}
	return (uint32_t) class;
}

static void set_class(struct sl_pkt *pkt, uint64_t class)
{
	pkt->class = (uint32_t) class;
	pkt->classified = true;
}

static void classify4(struct sl_worker *worker, const uint16_t *idx, unsigned n)
{
	uint32_t addr[SL_BURST_MAX];
	uint64_t class[SL_BURST_MAX];

	for (unsigned i = 0; i < n; i++)
		addr[i] = rte_be_to_cpu_32(worker->pkts[idx[i]].key.remote4);
	rte_fib_lookup_bulk(worker->generation->fib4, addr, class, (int)n);
	for (unsigned i = 0; i < n; i++)
		set_class(&worker->pkts[idx[i]], class[i]);
}

static void classify6(struct sl_worker *worker, const uint16_t *idx, unsigned n)
{
	uint8_t addr[SL_BURST_MAX][RTE_FIB6_IPV6_ADDR_SIZE];
	uint64_t class[SL_BURST_MAX];

	for (unsigned i = 0; i < n; i++)
		memcpy(addr[i], worker->pkts[idx[i]].key.remote6, sizeof(addr[i]));
	rte_fib6_lookup_bulk(worker->generation->fib6, addr, class, (int)n);
	for (unsigned i = 0; i < n; i++)
		set_class(&worker->pkts[idx[i]], class[i]);
}

void sl_subnet_classify(struct sl_worker *worker)
{
	uint16_t idx4[SL_BURST_MAX], idx6[SL_BURST_MAX];
	unsigned n4 = 0, n6 = 0;

	for (unsigned i = 0; i < worker->pkt_count; i++) {
		const struct sl_pkt *pkt = &worker->pkts[i];

		if (!sl_pkt_open(pkt) || pkt->flow != NULL || pkt->in_port != SL_PORT_SANDBOX)
			continue;
		if (pkt->l3 == SL_L3_IPV4)
			idx4[n4++] = (uint16_t)i;
		else
			idx6[n6++] = (uint16_t)i;
	}
	if (n4 > 0)
		classify4(worker, idx4, n4);
	if (n6 > 0)
		classify6(worker, idx6, n6);
}

static void look_one(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     uint32_t class, struct sl_address *out)
{
	const struct sl_class *classes = worker->generation->classes;

	out->own = SL_SUBNET_NONE;
	out->space = SL_SPACE_PUBLIC;
	if (class == SL_CLASS_NONE)
		return;
	out->space = (enum sl_space)classes[class].space;
	if (sandbox->subnets != NULL)
		out->own = sl_subnets_judge(sandbox->subnets, classes, class);
}

/*
 * The IPv4 addresses that a NAT64 might translate this one to (RFC 6052 2.2): in 64:ff9b::/96 the
 * last four bytes; in 64:ff9b:1::/48 (RFC 8215) either those, if the translator uses a /96 of it,
 * or the four around the reserved byte 8 if it uses the /48. 0.0.0.0 does not count. Returns how
 * many there are.
 */
static unsigned embedded_ipv4(const struct sl_addr *addr, struct sl_addr out[2])
{
	static const uint8_t well_known[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t local_use[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
	static const uint8_t zero[4];
	const uint8_t *b = addr->bytes;
	unsigned n = 0;

	if (addr->family != SL_FAMILY_6)
		return 0;
	memset(out, 0, 2 * sizeof(*out));
	if (memcmp(b, well_known, sizeof(well_known)) == 0) {
		memcpy(out[n++].bytes, b + 12, 4);
	} else if (memcmp(b, local_use, sizeof(local_use)) == 0) {
		const uint8_t around[4] = {b[6], b[7], b[9], b[10]};

		if (memcmp(b + 12, zero, 4) != 0)
			memcpy(out[n++].bytes, b + 12, 4);
		if (memcmp(around, zero, 4) != 0)
			memcpy(out[n++].bytes, around, 4);
	}
	for (unsigned i = 0; i < n; i++)
		out[i].family = SL_FAMILY_4;
	return n;
}

void sl_subnet_look(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                    const struct sl_addr *addr, uint32_t class, struct sl_address *out)
{
	struct sl_addr inner[2];
	unsigned n;

	look_one(worker, sandbox, class, out);
	n = embedded_ipv4(addr, inner);
	for (unsigned i = 0; i < n; i++) {
		struct sl_address inside;

		/* Denied if either form is; allowed by the IPv6 form only. */
		look_one(worker, sandbox, sl_subnet_class(worker, &inner[i]), &inside);
		if (inside.own == SL_SUBNET_DENY)
			out->own = SL_SUBNET_DENY;
		out->space = RTE_MAX(out->space, inside.space);
	}
}

void sl_subnet_look_pkt(const struct sl_worker *worker, struct sl_pkt *pkt, struct sl_addr *remote,
                        struct sl_address *out)
{
	sl_key_remote(&pkt->key, remote);
	/* A packet that had a flow when the burst was classified, and no longer has one. */
	if (!pkt->classified)
		set_class(pkt, sl_subnet_class(worker, remote));
	sl_subnet_look(worker, pkt->sandbox, remote, pkt->class, out);
}

bool sl_subnet_settles(const struct sl_sandbox *sandbox, const struct sl_address *address,
                       enum sl_reason *reason)
{
	bool custom = sandbox->mode == SL_MODE_CUSTOM;

	if (sandbox->mode == SL_MODE_DENY_ALL)
		*reason = SL_REASON_DENY_ALL;
	else if (custom && address->own == SL_SUBNET_DENY)
		*reason = SL_REASON_SUBNET_DENIED;
	else if (address->space == SL_SPACE_PROTECTED)
		*reason = SL_REASON_PROTECTED_SUBNET;
	else if (custom && address->own == SL_SUBNET_ALLOW)
		*reason = SL_REASON_SUBNET_ALLOWED;
	else if (custom && sandbox->queries == NULL)
		*reason = SL_REASON_ADDRESS_NOT_ALLOWED;
	else if (address->space == SL_SPACE_INTERNAL)
		*reason = SL_REASON_INTERNAL_SUBNET;
	else if (!custom)
		*reason = SL_REASON_ALLOW_ALL;
	else
		return false;
	return true;
}
