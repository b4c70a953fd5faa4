/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c: Ethernet, 802.1Q, IPv4, IPv6, TCP, UDP, ICMP. Decides whether a frame is well-formed;
 * every length is checked here, once. Must never look at policies or flows.
 *
 *   Ethernet II   dst(6) src(6) type(2)             IEEE 802.3
 *   802.1Q        0x8100 pcp/dei/vid(2) type(2)     one tag, VID 1..4094
 *   IPv4          RFC 791: no options, no reserved flag
 *   IPv6          RFC 8200: no extension header except the fragment header
 *
 * Settles with: malformed-packet.
 */
#include "parse.h"

#include <rte_icmp.h>

#include "parse_plain.h"
#include "sum.h"

#define HEADERS_BYTES 128 /* the largest headers together: 18 + 48 + 60 */

static const uint8_t mac_zero_group = 0x01; /* the group bit of a MAC's first byte */

/*
 * Makes the first n bytes of a chained mbuf contiguous: they move into a new head segment. Returns
 * false if the pool has none.
 */
static bool pull_headers(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t n)
{
	struct rte_mbuf *old = pkt->mbuf, *head, *next;
	uint8_t *to;

	head = rte_pktmbuf_alloc(worker->params.pool);
	if (head == NULL)
		return false;
	to = (uint8_t *)rte_pktmbuf_append(head, (uint16_t)n);
	if (to == NULL) {
		rte_pktmbuf_free(head);
		return false;
	}
	head->port = old->port;
	head->ol_flags = old->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
	head->pkt_len = old->pkt_len;
	head->vlan_tci = old->vlan_tci;
	while (n > 0) {
		uint32_t piece = RTE_MIN(n, (uint32_t)old->data_len);

		memcpy(to, rte_pktmbuf_mtod(old, void *), piece);
		to += piece;
		n -= piece;
		old->data_off += piece;
		old->data_len -= piece;
		next = old->next;
		if (old->data_len == 0 && next != NULL) {
			uint16_t segs = old->nb_segs;

			old->next = NULL;
			old->nb_segs = 1;
			rte_pktmbuf_free_seg(old);
			next->nb_segs = segs - 1;
			old = next;
		} else if (n > 0 && next == NULL) {
			break; /* pkt_len is wrong; the caller limits n by it */
		}
	}
	head->next = old;
	head->nb_segs = old->nb_segs + 1;
	pkt->mbuf = head;
	return true;
}

static bool parse_ethernet(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t len,
                           uint16_t *type)
{
	const struct rte_ether_hdr *eth;
	uint16_t native = worker->settings->native_vlan[pkt->in_port];

	if (len < sizeof(*eth))
		return false;
	eth = sl_pkt_at(pkt, const struct rte_ether_hdr, 0);
	*type = rte_be_to_cpu_16(eth->ether_type);
	pkt->l3_off = sizeof(*eth);
	if (eth->src_addr.addr_bytes[0] & mac_zero_group)
		return false;
	if (*type == RTE_ETHER_TYPE_VLAN) {
		const struct rte_vlan_hdr *vlan = sl_pkt_at(pkt, const struct rte_vlan_hdr, 14);

		if (len < sizeof(*eth) + sizeof(*vlan))
			return false;
		pkt->tagged = true;
		pkt->vlan = rte_be_to_cpu_16(vlan->vlan_tci) & 0x0fff;
		*type = rte_be_to_cpu_16(vlan->eth_proto);
		pkt->l3_off += sizeof(*vlan);
		if (pkt->vlan == 0 || pkt->vlan > SL_VLAN_MAX)
			return false;
		/* On a port with a native VLAN, that VLAN must be untagged. */
		if (pkt->vlan == native) {
			pkt->vlan = 0;
			sl_pkt_drop_quietly(pkt, SL_REASON_UNKNOWN_SANDBOX);
			return true;
		}
	} else {
		pkt->vlan = native;
	}
	/* LLC/SNAP, stacked tags (QinQ, 802.1ad). */
	return *type >= 0x0600 && *type != RTE_ETHER_TYPE_VLAN && *type != RTE_ETHER_TYPE_QINQ &&
	       *type != RTE_ETHER_TYPE_QINQ1 && *type != RTE_ETHER_TYPE_QINQ2 &&
	       *type != RTE_ETHER_TYPE_QINQ3;
}

/*
 * Options are accepted only in multicast (IGMP has them), which is never forwarded. The header's
 * fields are recorded once its own checksum is good, even if it is refused after that: for the
 * packet's event.
 */
static bool parse_ipv4(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t len)
{
	const struct rte_ipv4_hdr *ip = sl_pkt_at(pkt, const struct rte_ipv4_hdr, pkt->l3_off);
	bool from_sandbox = pkt->in_port == SL_PORT_SANDBOX, good;
	unsigned header;
	uint16_t total, frag;

	if (len < pkt->l3_off + sizeof(*ip))
		return false;
	header = (ip->version_ihl & 0x0f) * 4u;
	if (ip->version_ihl >> 4 != 4 || header < sizeof(*ip) || pkt->l3_off + header > len)
		return false;
	good = likely(header == sizeof(*ip)) ? sl_parse_ipv4_sum_good(ip)
	                                     : rte_raw_cksum(ip, header) == 0xffff;
	if (unlikely(!good) && !worker->settings->checksums_ignore &&
	    !(worker->settings->checksums_partial && ip->hdr_checksum == 0))
		return false;
	total = rte_be_to_cpu_16(ip->total_length);
	frag = rte_be_to_cpu_16(ip->fragment_offset);
	pkt->multicast = *((const uint8_t *)&ip->dst_addr) >> 4 == 0xe;
	pkt->l3 = SL_L3_IPV4;
	pkt->proto = ip->next_proto_id;
	pkt->fragment = (frag & 0x3fff) != 0;
	pkt->l4_off = (uint16_t)(pkt->l3_off + header);
	pkt->end = pkt->l3_off + total;
	pkt->key.family = SL_FAMILY_4;
	pkt->key.inside4 = from_sandbox ? ip->src_addr : ip->dst_addr;
	pkt->key.remote4 = from_sandbox ? ip->dst_addr : ip->src_addr;
	if (header != sizeof(*ip) && !pkt->multicast)
		return false;
	if (total < header || pkt->l3_off + total > len)
		return false;
	if (frag & 0x8000) /* reserved (RFC 791), a covert bit */
		return false;
	return ip->src_addr != ip->dst_addr && ip->dst_addr != UINT32_MAX;
}

/*
 * Extension headers except the fragment header (RFC 8200 4, IANA list; ESP counts as a protocol
 * here).
 */
static bool is_extension_header(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_AH ||
	       next == IPPROTO_DSTOPTS || next == 135 || next == 139 || next == 140 ||
	       next == 253 || next == 254;
}

static bool parse_ipv6(struct sl_pkt *pkt, uint32_t len)
{
	const struct rte_ipv6_hdr *ip = sl_pkt_at(pkt, const struct rte_ipv6_hdr, pkt->l3_off);
	bool from_sandbox = pkt->in_port == SL_PORT_SANDBOX;

	if (len < pkt->l3_off + sizeof(*ip) || rte_be_to_cpu_32(ip->vtc_flow) >> 28 != 6)
		return false;
	pkt->l3 = SL_L3_IPV6;
	pkt->proto = ip->proto;
	pkt->l4_off = pkt->l3_off + sizeof(*ip);
	pkt->end = pkt->l4_off + rte_be_to_cpu_16(ip->payload_len);
	pkt->multicast = ip->dst_addr[0] == 0xff;
	pkt->key.family = SL_FAMILY_6;
	memcpy(pkt->key.inside6, from_sandbox ? ip->src_addr : ip->dst_addr, 16);
	memcpy(pkt->key.remote6, from_sandbox ? ip->dst_addr : ip->src_addr, 16);
	if (pkt->proto == IPPROTO_FRAGMENT) {
		if (len < pkt->l4_off + 8u || pkt->end < pkt->l4_off + 8u)
			return false;
		pkt->fragment = true;
		pkt->proto = *sl_pkt_at(pkt, const uint8_t, pkt->l4_off);
		pkt->l4_off += 8;
		if (pkt->proto == IPPROTO_FRAGMENT)
			return false;
	}
	if (pkt->end > len || ip->payload_len == 0)
		return false;
	if (memcmp(ip->src_addr, ip->dst_addr, sizeof(ip->src_addr)) == 0)
		return false;
	/* MLD has a hop-by-hop header, and is never forwarded. */
	return !is_extension_header(pkt->proto) || pkt->multicast;
}

static void set_ports(struct sl_pkt *pkt, uint16_t src, uint16_t dst)
{
	bool from_sandbox = pkt->in_port == SL_PORT_SANDBOX;

	pkt->key.inside_port = from_sandbox ? src : dst;
	pkt->key.remote_port = from_sandbox ? dst : src;
}

static bool parse_tcp(struct sl_pkt *pkt, uint32_t have)
{
	const struct rte_tcp_hdr *tcp = sl_pkt_at(pkt, const struct rte_tcp_hdr, pkt->l4_off);
	uint32_t header;

	if (have < sizeof(*tcp))
		return false;
	header = (tcp->data_off >> 4) * 4u;
	if (header < sizeof(*tcp) || header > have)
		return false;
	pkt->tcp_flags = tcp->tcp_flags;
	pkt->payload_off = pkt->l4_off + header;
	pkt->payload_len = have - header;
	set_ports(pkt, tcp->src_port, tcp->dst_port);
	return true;
}

static bool parse_udp(struct sl_pkt *pkt, uint32_t have)
{
	const struct rte_udp_hdr *udp = sl_pkt_at(pkt, const struct rte_udp_hdr, pkt->l4_off);

	/*
	 * No bytes between the end of the datagram and that of the packet: they would never be
	 * judged.
	 */
	if (have < sizeof(*udp) || rte_be_to_cpu_16(udp->dgram_len) != have)
		return false;
	pkt->payload_off = pkt->l4_off + sizeof(*udp);
	pkt->payload_len = have - sizeof(*udp);
	set_ports(pkt, udp->src_port, udp->dst_port);
	return true;
}

static bool parse_icmp(struct sl_pkt *pkt, uint32_t have)
{
	const struct rte_icmp_hdr *icmp = sl_pkt_at(pkt, const struct rte_icmp_hdr, pkt->l4_off);

	if (have < sizeof(*icmp))
		return false;
	pkt->icmp_type = icmp->icmp_type;
	pkt->payload_off = pkt->l4_off + sizeof(*icmp);
	pkt->payload_len = have - sizeof(*icmp);
	/*
	 * The id identifies the flow. It is kept on the sandbox's side, so that both directions
	 * have the same key.
	 */
	pkt->key.inside_port = icmp->icmp_ident;
	return true;
}

static bool parse_transport(struct sl_pkt *pkt)
{
	uint32_t have = pkt->end - pkt->l4_off;

	pkt->key.proto = pkt->proto;
	pkt->payload_off = pkt->l4_off;
	pkt->payload_len = have;
	if (pkt->fragment)
		return true;
	if (pkt->proto == IPPROTO_TCP)
		return parse_tcp(pkt, have);
	if (pkt->proto == IPPROTO_UDP)
		return parse_udp(pkt, have);
	if ((pkt->proto == IPPROTO_ICMP && pkt->l3 == SL_L3_IPV4) ||
	    (pkt->proto == IPPROTO_ICMPV6 && pkt->l3 == SL_L3_IPV6))
		return parse_icmp(pkt, have);
	return true;
}

/*
 * The packet is dropped for something after its IP header, possibly only for being truncated.
 * Records its ports, if they are there, for its event. Nothing is decided by them.
 */
static void note_ports(struct sl_pkt *pkt, uint32_t len)
{
	const uint16_t *ports = sl_pkt_at(pkt, const uint16_t, pkt->l4_off);

	pkt->key.proto = pkt->proto;
	if ((pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP) && !pkt->fragment &&
	    pkt->l4_off + 2 * sizeof(*ports) <= len)
		set_ports(pkt, ports[0], ports[1]);
}

/* A packet with a unicast IP address in a multicast frame is an attack. */
static bool casts_agree(const struct sl_pkt *pkt)
{
	const struct rte_ether_hdr *eth = sl_pkt_at(pkt, const struct rte_ether_hdr, 0);

	return pkt->multicast || !(eth->dst_addr.addr_bytes[0] & mac_zero_group);
}

bool sl_parse_whole(struct sl_worker *worker, struct sl_pkt *pkt)
{
	uint32_t len;
	uint16_t type;
	bool good;

	if (unlikely(pkt->mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) &&
	    rte_vlan_insert(&pkt->mbuf) != 0)
		return false;
	len = rte_pktmbuf_pkt_len(pkt->mbuf);
	if (unlikely(pkt->mbuf->nb_segs > 1) && pkt->mbuf->data_len < RTE_MIN(len, 128u) &&
	    !pull_headers(worker, pkt, RTE_MIN(len, (uint32_t)HEADERS_BYTES)))
		return false;
	if (!parse_ethernet(worker, pkt, len, &type))
		return false;
	if (pkt->reason != SL_REASON_NONE)
		return true;
	pkt->end = len;
	pkt->key.vlan = pkt->vlan;
	if (type == RTE_ETHER_TYPE_ARP) {
		pkt->l3 = SL_L3_ARP;
		return true;
	}
	if (type == RTE_ETHER_TYPE_IPV4)
		good = parse_ipv4(worker, pkt, len);
	else if (type == RTE_ETHER_TYPE_IPV6)
		good = parse_ipv6(pkt, len);
	else
		return true; /* SL_L3_OTHER */
	if (good && casts_agree(pkt) && parse_transport(pkt))
		return true;
	if (pkt->key.family != SL_FAMILY_NONE)
		note_ports(pkt, len);
	return false;
}

void sl_parse(struct sl_worker *worker)
{
	for (unsigned i = 0; i < worker->pkt_count; i++) {
		struct sl_pkt *pkt = &worker->pkts[i];

		if (likely(sl_parse_plain(worker, pkt)))
			continue;
		sl_pkt_begin(pkt, pkt->mbuf, pkt->in_port);
		if (!sl_parse_whole(worker, pkt))
			sl_pkt_drop_quietly(pkt, SL_REASON_MALFORMED_PACKET);
	}
}

/* The pseudo-header sum, not folded (RFC 9293 3.1, RFC 8200 8.1). */
static uint64_t pseudo_sum(const struct sl_pkt *pkt)
{
	bool v4 = pkt->l3 == SL_L3_IPV4;
	uint32_t tail[2] = {rte_cpu_to_be_32(pkt->end - pkt->l4_off), rte_cpu_to_be_32(pkt->proto)};
	uint64_t sum = (uint64_t)tail[0] + tail[1];

	return sl_sum_add(sum, sl_pkt_at(pkt, const uint8_t, pkt->l3_off + (v4 ? 12 : 8)),
	                  v4 ? 8 : 32);
}

/*
 * The sum of len bytes across segments. rte_raw_cksum_mbuf of DPDK 22.11 loses carries where a
 * segment begins at an odd byte. False if the segments are too short.
 */
static bool sum_segments(const struct rte_mbuf *mbuf, uint32_t offset, uint32_t len, uint64_t *sum)
{
	uint32_t done = 0;

	if (likely(mbuf->nb_segs == 1 && offset + len <= mbuf->data_len)) {
		*sum = sl_sum_add(*sum, rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, offset),
		                  len);
		return true;
	}
	for (; mbuf != NULL && done < len; mbuf = mbuf->next) {
		uint32_t n;
		uint64_t piece;

		if (offset >= mbuf->data_len) {
			offset -= mbuf->data_len;
			continue;
		}
		n = RTE_MIN(mbuf->data_len - offset, len - done);
		piece = sl_sum_add(0, rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, offset), n);
		*sum += done & 1 ? rte_bswap16(sl_sum_fold(piece)) : piece;
		done += n;
		offset = 0;
	}
	return done == len;
}

static uint16_t stored_checksum(const struct sl_pkt *pkt)
{
	unsigned offset = pkt->proto == IPPROTO_TCP ? 16 : pkt->proto == IPPROTO_UDP ? 6 : 2;
	uint16_t sum;

	memcpy(&sum, sl_pkt_at(pkt, const void, pkt->l4_off + offset), sizeof(sum));
	return sum;
}

bool sl_parse_l4_checksum(struct sl_worker *worker, struct sl_pkt *pkt)
{
	uint64_t port_says = pkt->mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	bool icmp4 = pkt->proto == IPPROTO_ICMP && pkt->l3 == SL_L3_IPV4;
	bool known = pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP || icmp4 ||
	             (pkt->proto == IPPROTO_ICMPV6 && pkt->l3 == SL_L3_IPV6);
	uint64_t pseudo, sum;

	if (pkt->l4_verified || pkt->fragment || !known || worker->settings->checksums_ignore)
		return true;
	pkt->l4_verified = true; /* only read again if it was good */
	if (port_says == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	if (pkt->proto == IPPROTO_UDP && stored_checksum(pkt) == 0)
		return pkt->l4_verified = pkt->l3 == SL_L3_IPV4; /* RFC 768; RFC 8200 8.1 */
	sum = pseudo = icmp4 ? 0 : pseudo_sum(pkt);
	if (!sum_segments(pkt->mbuf, pkt->l4_off, pkt->end - pkt->l4_off, &sum))
		return pkt->l4_verified = false;
	if (sl_sum_fold(sum) == 0xffff)
		return true;
	/* Captured before the sender's NIC filled it in. */
	if (worker->settings->checksums_partial && stored_checksum(pkt) == sl_sum_fold(pseudo))
		return true;
	return pkt->l4_verified = false;
}

void sl_parse_copy(const struct sl_pkt *pkt, uint32_t offset, uint32_t n, uint8_t *to)
{
	const uint8_t *from = rte_pktmbuf_read(pkt->mbuf, offset, n, to);

	if (from != NULL && from != to)
		memcpy(to, from, n);
}
