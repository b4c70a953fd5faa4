/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse_plain.h: parses the most common kind of frame with few and wide loads: one tag, IPv4
 * without options or IPv6 without extension headers, no fragment, unicast, TCP or UDP. Must never
 * settle a packet, nor accept one that parse.c would read differently: any other frame is left to
 * parse.c, which is this file's reference model (tests/unit/test_parse.c compares both).
 */
#ifndef DATAPLANE_PARSE_PLAIN_H
#define DATAPLANE_PARSE_PLAIN_H

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "core/state.h"

#define SL_PLAIN_L3 18 /* Ethernet and one 802.1Q tag */

/* RFC 791 3.1: the header's 16-bit words add up to 0xffff, carries around. */
static inline bool sl_parse_ipv4_sum_good(const struct rte_ipv4_hdr *ip)
{
	uint64_t first, second, sum;
	uint32_t third;

	/*
	 * By whole words in registers: by 16-bit words, or with vector instructions, it costs
	 * three times as much.
	 */
	memcpy(&first, ip, sizeof(first));
	memcpy(&second, (const uint8_t *)ip + 8, sizeof(second));
	memcpy(&third, (const uint8_t *)ip + 16, sizeof(third));
	sum = (first & UINT32_MAX) + (first >> 32) + (second & UINT32_MAX) + (second >> 32) + third;
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

/*
 * Bytes 10 to 17: the end of the source address, 0x8100, the tag, the type. Both addresses are
 * those of single hosts, and the VLAN may be tagged here.
 */
static inline bool sl_plain_ethernet(const struct sl_worker *worker, struct sl_pkt *pkt,
                                     const uint8_t *frame, uint16_t *type)
{
	const uint64_t mask = rte_cpu_to_be_64(0x0000ffff00000000u);
	const uint64_t tagged = rte_cpu_to_be_64(0x0000810000000000u);
	uint64_t word;

	memcpy(&word, frame + 10, sizeof(word));
	if ((word & mask) != tagged || ((frame[0] | frame[6]) & 0x01))
		return false;
	word = rte_be_to_cpu_64(word);
	*type = (uint16_t)word;
	pkt->vlan = (uint16_t)(word >> 16) & 0x0fff;
	return pkt->vlan - 1u < SL_VLAN_MAX &&
	       pkt->vlan != worker->settings->native_vlan[pkt->in_port];
}

/* The end of the packet; 0 if it is not plain IPv4. */
static inline uint32_t sl_plain_ipv4(struct sl_pkt *pkt, const uint8_t *frame, uint32_t len)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(frame + SL_PLAIN_L3);
	uint32_t total = rte_be_to_cpu_16(ip->total_length);
	uint64_t addresses;

	if (ip->version_ihl != 0x45 || (ip->fragment_offset & RTE_BE16(0xbfff)) != 0 ||
	    SL_PLAIN_L3 + total > len || ip->src_addr == ip->dst_addr ||
	    *(const uint8_t *)&ip->dst_addr >= 0xe0 || !sl_parse_ipv4_sum_good(ip))
		return 0;
	memcpy(&addresses, &ip->src_addr, sizeof(addresses));
	if (pkt->in_port != SL_PORT_SANDBOX)
		addresses = addresses << 32 | addresses >> 32;
	memcpy(&pkt->key.inside4, &addresses, sizeof(addresses));
	pkt->key.family = SL_FAMILY_4;
	pkt->l3 = SL_L3_IPV4;
	pkt->proto = ip->next_proto_id;
	pkt->l4_off = SL_PLAIN_L3 + sizeof(*ip);
	return SL_PLAIN_L3 + total;
}

static inline uint32_t sl_plain_ipv6(struct sl_pkt *pkt, const uint8_t *frame, uint32_t len)
{
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)(frame + SL_PLAIN_L3);
	uint32_t end = SL_PLAIN_L3 + sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len);
	bool from_sandbox = pkt->in_port == SL_PORT_SANDBOX;

	if ((ip->vtc_flow & RTE_BE32(0xf0000000)) != RTE_BE32(0x60000000) || end > len ||
	    ip->dst_addr[0] == 0xff || memcmp(ip->src_addr, ip->dst_addr, 16) == 0)
		return 0;
	memcpy(pkt->key.inside6, from_sandbox ? ip->src_addr : ip->dst_addr, 16);
	memcpy(pkt->key.remote6, from_sandbox ? ip->dst_addr : ip->src_addr, 16);
	pkt->key.family = SL_FAMILY_6;
	pkt->l3 = SL_L3_IPV6;
	pkt->proto = ip->proto;
	pkt->l4_off = SL_PLAIN_L3 + sizeof(*ip);
	return end;
}

/* False if the transport header is incomplete. */
static inline bool sl_plain_transport(struct sl_pkt *pkt, const uint8_t *l4, uint32_t end)
{
	uint32_t have = end - pkt->l4_off, header = sizeof(struct rte_udp_hdr), ports;

	if (end < pkt->l4_off + header)
		return false;
	if (pkt->proto == IPPROTO_TCP) {
		const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)l4;

		header = have < sizeof(*tcp) ? UINT32_MAX : (tcp->data_off >> 4) * 4u;
		if (header < sizeof(*tcp) || header > have)
			return false;
		pkt->tcp_flags = tcp->tcp_flags;
	} else if (pkt->proto != IPPROTO_UDP ||
	           rte_be_to_cpu_16(((const struct rte_udp_hdr *)l4)->dgram_len) != have) {
		return false;
	}
	memcpy(&ports, l4, sizeof(ports));
	if (pkt->in_port != SL_PORT_SANDBOX)
		ports = ports << 16 | ports >> 16;
	memcpy(&pkt->key.inside_port, &ports, sizeof(ports));
	pkt->key.proto = pkt->proto;
	pkt->payload_off = pkt->l4_off + header;
	pkt->payload_len = have - header;
	return true;
}

/*
 * Fills in the packet and returns true, or returns false for a frame that is not plain. The packet
 * is then partly filled in, and parse.c must start with a fresh one.
 */
static inline bool sl_parse_plain(const struct sl_worker *worker, struct sl_pkt *pkt)
{
	const struct rte_mbuf *mbuf = pkt->mbuf;
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint32_t len = mbuf->data_len, end;
	uint16_t type;

	if (mbuf->nb_segs != 1 || mbuf->pkt_len != len ||
	    len < RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN ||
	    (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) ||
	    !sl_plain_ethernet(worker, pkt, frame, &type))
		return false;
	if (type == RTE_ETHER_TYPE_IPV4)
		end = sl_plain_ipv4(pkt, frame, len);
	else if (type == RTE_ETHER_TYPE_IPV6)
		end = sl_plain_ipv6(pkt, frame, len);
	else
		return false;
	if (end == 0 || !sl_plain_transport(pkt, frame + pkt->l4_off, end))
		return false;
	pkt->tagged = true;
	pkt->l3_off = SL_PLAIN_L3;
	pkt->end = end;
	pkt->key.vlan = pkt->vlan;
	return true;
}

#endif
