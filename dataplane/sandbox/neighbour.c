/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neighbour.c: ARP (RFC 826) and neighbour discovery (RFC 4861) of sandboxes that are not
 * deny-all. From the sandbox only statements about its own addresses pass, rebuilt so that they
 * carry nothing else. The target that it asks for is a covert message to listeners on the segment:
 * targets that were not heard from lately may be asked for once a second.
 *
 * Settles with: neighbour, source-spoofed, malformed-packet, rate-limit, deny-all.
 */
#include <netinet/in.h>
#include <rte_arp.h>
#include <rte_ip.h>

#include "packet/parse.h"
#include "sandbox.h"
#include "flow/verdict.h"
#include "core/state.h"

#define NEIGHBOURS_PER_SECOND 50
#define STRANGERS_PER_SECOND  1
#define HEARD_MS              60000 /* how long an address counts as recently heard */

#define ND_ROUTER_SOLICIT   133
#define ND_ROUTER_ADVERT    134
#define ND_NEIGHBOR_SOLICIT 135
#define ND_NEIGHBOR_ADVERT  136

#define ND_OPT_SOURCE_LLA 1
#define ND_OPT_TARGET_LLA 2
#define ND_OPT_NONCE      14

static const uint8_t unspecified[16];

static bool mac_is_senders(const struct sl_pkt *pkt, const uint8_t *mac)
{
	return memcmp(sl_pkt_at(pkt, const uint8_t, 6), mac, RTE_ETHER_ADDR_LEN) == 0;
}

/* True for an address that the sandbox may call its own in ARP or ND. */
static bool is_own(const struct sl_worker *worker, const struct sl_pkt *pkt, uint8_t family,
                   const uint8_t *bytes)
{
	struct sl_addr addr = {.family = family};

	memcpy(addr.bytes, bytes, family == SL_FAMILY_4 ? 4 : 16);
	if (family == SL_FAMILY_6 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80)
		return true; /* link-local */
	return sl_sandbox_owns(worker, pkt->sandbox, &addr);
}

/* ---- addresses heard lately ---- */

/* The address's entry; if there is none, the entry of the address that was silent longest. */
static struct sl_heard *heard_find(const struct sl_worker *worker, uint16_t vlan,
                                   const struct sl_addr *addr, bool *found)
{
	struct sl_heard *heard = worker->vlans[vlan].heard, *oldest = heard;

	for (unsigned i = 0; i < SL_NEIGHBOURS_HEARD; i++) {
		if (heard[i].addr.family != 0 && sl_addr_equal(&heard[i].addr, addr)) {
			*found = true;
			return &heard[i];
		}
		if (heard[i].addr.family == 0)
			oldest = &heard[i];
		else if (oldest->addr.family != 0 &&
		         (int32_t)(heard[i].seen_ms - oldest->seen_ms) < 0)
			oldest = &heard[i];
	}
	*found = false;
	return oldest;
}

static void hear(struct sl_worker *worker, uint16_t vlan, uint8_t family, const uint8_t *bytes)
{
	struct sl_addr addr = {.family = family};
	bool found;

	memcpy(addr.bytes, bytes, family == SL_FAMILY_4 ? 4 : 16);
	*heard_find(worker, vlan, &addr, &found) =
	        (struct sl_heard){.addr = addr, .seen_ms = worker->now_ms};
}

/* True if the sandbox may ask for this address now. */
static bool may_name(struct sl_worker *worker, uint16_t vlan, uint8_t family, const uint8_t *bytes)
{
	struct sl_bucket_rate *rate = &worker->vlans[vlan].strangers[family == SL_FAMILY_6];
	struct sl_addr addr = {.family = family};
	const struct sl_heard *heard;
	bool found;

	memcpy(addr.bytes, bytes, family == SL_FAMILY_4 ? 4 : 16);
	heard = heard_find(worker, vlan, &addr, &found);
	if (found && worker->now_ms - heard->seen_ms < HEARD_MS)
		return true;
	return sl_rate_take(rate, worker->now_us, STRANGERS_PER_SECOND);
}

/* ---- ARP ---- */

static enum sl_reason judge_arp(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct rte_arp_hdr *arp;
	uint16_t opcode;
	bool probe;

	if (pkt->end < pkt->l3_off + sizeof(*arp))
		return SL_REASON_MALFORMED_PACKET;
	arp = sl_pkt_at(pkt, struct rte_arp_hdr, pkt->l3_off);
	opcode = rte_be_to_cpu_16(arp->arp_opcode);
	if (arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
	    arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) || arp->arp_hlen != 6 ||
	    arp->arp_plen != 4 || (opcode != RTE_ARP_OP_REQUEST && opcode != RTE_ARP_OP_REPLY))
		return SL_REASON_MALFORMED_PACKET;
	pkt->end = pkt->l3_off + sizeof(*arp);
	if (pkt->in_port != SL_PORT_SANDBOX) {
		hear(worker, pkt->vlan, SL_FAMILY_4, (const uint8_t *)&arp->arp_data.arp_sip);
		return SL_REASON_NEIGHBOUR;
	}
	if (!mac_is_senders(pkt, arp->arp_data.arp_sha.addr_bytes))
		return SL_REASON_SOURCE_SPOOFED;
	/* A probe (RFC 5227) has no sender address yet and asks for the one it wants. */
	probe = arp->arp_data.arp_sip == 0 && opcode == RTE_ARP_OP_REQUEST;
	if (!is_own(worker, pkt, SL_FAMILY_4,
	            probe ? (const uint8_t *)&arp->arp_data.arp_tip
	                  : (const uint8_t *)&arp->arp_data.arp_sip))
		return SL_REASON_SOURCE_SPOOFED;
	if (!may_name(worker, pkt->vlan, SL_FAMILY_4, (const uint8_t *)&arp->arp_data.arp_tip))
		return SL_REASON_RATE_LIMIT;
	if (opcode == RTE_ARP_OP_REQUEST)
		memset(&arp->arp_data.arp_tha, 0, sizeof(arp->arp_data.arp_tha));
	return SL_REASON_NEIGHBOUR;
}

/* ---- neighbour discovery ---- */

/*
 * Keeps the link-layer address and nonce options of an ND message, in out; false if the options
 * are invalid or contain another MAC than the sender's.
 */
static bool keep_options(const struct sl_pkt *pkt, uint32_t offset, uint8_t out[16],
                         unsigned *out_bytes)
{
	*out_bytes = 0;
	while (offset < pkt->end) {
		uint8_t option[8];

		if (pkt->end - offset < sizeof(option))
			return false;
		sl_parse_copy(pkt, offset, sizeof(option), option);
		if (option[1] == 0 || offset + option[1] * 8u > pkt->end)
			return false;
		if (option[0] == ND_OPT_SOURCE_LLA || option[0] == ND_OPT_TARGET_LLA) {
			if (option[1] != 1 || !mac_is_senders(pkt, option + 2))
				return false;
		}
		if ((option[0] == ND_OPT_SOURCE_LLA || option[0] == ND_OPT_TARGET_LLA ||
		     option[0] == ND_OPT_NONCE) &&
		    option[1] == 1 && *out_bytes < 16) {
			memcpy(out + *out_bytes, option, sizeof(option));
			*out_bytes += sizeof(option);
		}
		offset += option[1] * 8u;
	}
	return true;
}

/* Rebuilds the message with only the fields that ND needs. */
static bool rebuild_nd(struct sl_pkt *pkt, unsigned fixed, const uint8_t *options,
                       unsigned option_bytes)
{
	uint32_t icmp_bytes = fixed + option_bytes;
	struct rte_ipv6_hdr *ip;
	uint8_t *icmp;

	/* Options were counted within the packet, and the headers are contiguous. */
	if (pkt->l4_off + icmp_bytes > rte_pktmbuf_data_len(pkt->mbuf))
		return false;
	ip = sl_pkt_at(pkt, struct rte_ipv6_hdr, pkt->l3_off);
	icmp = sl_pkt_at(pkt, uint8_t, pkt->l4_off);
	if (icmp[0] == ND_NEIGHBOR_ADVERT)
		icmp[4] &= 0xe0; /* R, S, O */
	else
		icmp[4] = 0;
	memset(icmp + 5, 0, 3);
	memcpy(icmp + fixed, options, option_bytes);
	ip->vtc_flow = RTE_BE32(0x60000000);
	ip->payload_len = rte_cpu_to_be_16(icmp_bytes);
	pkt->end = pkt->l4_off + icmp_bytes;
	memset(icmp + 2, 0, 2);
	*(uint16_t *)(icmp + 2) = rte_ipv6_udptcp_cksum(ip, icmp);
	return true;
}

/*
 * True for a destination on the link. The check of hop limit 255 protects receivers from off-link
 * messages, but a router would forward one of the sandbox's anywhere, with its target in it.
 */
static bool is_on_link(const uint8_t *src, const uint8_t *dst)
{
	bool multicast = dst[0] == 0xff && dst[1] == 0x02; /* RFC 4291 2.7: link-local scope */
	bool link_local = dst[0] == 0xfe && (dst[1] & 0xc0) == 0x80;

	return multicast || link_local || memcmp(src, dst, 8) == 0;
}

static enum sl_reason judge_nd_from_sandbox(struct sl_worker *worker, struct sl_pkt *pkt,
                                            uint8_t type)
{
	unsigned fixed = type == ND_ROUTER_SOLICIT ? 8 : 24, option_bytes;
	const uint8_t *ip = sl_pkt_at(pkt, const uint8_t, pkt->l3_off);
	bool no_source = memcmp(ip + 8, unspecified, 16) == 0;
	uint8_t options[16], target[16];

	if (pkt->end - pkt->l4_off < fixed ||
	    !keep_options(pkt, pkt->l4_off + fixed, options, &option_bytes) ||
	    !is_on_link(ip + 8, ip + 24))
		return SL_REASON_MALFORMED_PACKET;
	if (fixed == 24)
		sl_parse_copy(pkt, pkt->l4_off + 8, 16, target);
	/* :: asks for the address it wants (duplicate address detection) or for routers. */
	if (no_source ? type == ND_NEIGHBOR_ADVERT || (type == ND_NEIGHBOR_SOLICIT &&
	                                               !is_own(worker, pkt, SL_FAMILY_6, target))
	              : !is_own(worker, pkt, SL_FAMILY_6, ip + 8))
		return SL_REASON_SOURCE_SPOOFED;
	if (type == ND_NEIGHBOR_ADVERT && !is_own(worker, pkt, SL_FAMILY_6, target))
		return SL_REASON_SOURCE_SPOOFED;
	if (fixed == 24 && !may_name(worker, pkt->vlan, SL_FAMILY_6, target))
		return SL_REASON_RATE_LIMIT;
	return rebuild_nd(pkt, fixed, options, option_bytes) ? SL_REASON_NEIGHBOUR
	                                                     : SL_REASON_MALFORMED_PACKET;
}

static bool is_nd(const struct sl_pkt *pkt)
{
	if (pkt->l3 != SL_L3_IPV6 || pkt->proto != IPPROTO_ICMPV6 || pkt->fragment)
		return false;
	if (pkt->icmp_type == ND_NEIGHBOR_SOLICIT || pkt->icmp_type == ND_NEIGHBOR_ADVERT)
		return true;
	return pkt->icmp_type ==
	       (pkt->in_port == SL_PORT_SANDBOX ? ND_ROUTER_SOLICIT : ND_ROUTER_ADVERT);
}

/* Learns the sender's address, and the target. */
static void hear_nd(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	uint8_t target[16];

	hear(worker, pkt->vlan, SL_FAMILY_6, sl_pkt_at(pkt, const uint8_t, pkt->l3_off) + 8);
	if (pkt->icmp_type == ND_ROUTER_ADVERT || pkt->end - pkt->l4_off < 24)
		return;
	sl_parse_copy(pkt, pkt->l4_off + 8, 16, target);
	hear(worker, pkt->vlan, SL_FAMILY_6, target);
}

static enum sl_reason judge_nd(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const uint8_t *ip = sl_pkt_at(pkt, const uint8_t, pkt->l3_off);
	const uint8_t *icmp = sl_pkt_at(pkt, const uint8_t, pkt->l4_off);

	if (ip[7] != 255 || icmp[1] != 0 || !sl_parse_l4_checksum(worker, pkt))
		return SL_REASON_MALFORMED_PACKET;
	if (pkt->in_port != SL_PORT_SANDBOX) {
		hear_nd(worker, pkt);
		return SL_REASON_NEIGHBOUR;
	}
	return judge_nd_from_sandbox(worker, pkt, icmp[0]);
}

bool sl_neighbour(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_bucket_rate *rate = &worker->vlans[pkt->vlan].neighbour[pkt->in_port];
	enum sl_reason reason;

	if (pkt->l3 != SL_L3_ARP && !is_nd(pkt))
		return false;
	if (pkt->sandbox->mode == SL_MODE_DENY_ALL)
		reason = SL_REASON_DENY_ALL;
	else
		reason = pkt->l3 == SL_L3_ARP ? judge_arp(worker, pkt) : judge_nd(worker, pkt);
	if (reason == SL_REASON_NEIGHBOUR &&
	    !sl_rate_take(rate, worker->now_us, NEIGHBOURS_PER_SECOND))
		reason = SL_REASON_RATE_LIMIT;
	if (reason == SL_REASON_NEIGHBOUR)
		sl_pkt_forward(pkt, reason);
	else
		sl_verdict_refuse_quietly(worker, pkt, reason);
	return true;
}
