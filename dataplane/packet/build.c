/* SPDX-License-Identifier: Apache-2.0 */
/* build.c: builds frames. Must never decide whether one is to be sent. */
#include "build.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#include "tx.h"

#define FRAME_MIN_BYTES 60 /* IEEE 802.3 without the FCS */

static bool is_tagged(const struct sl_worker *worker, const struct sl_path *path)
{
	return worker->settings->native_vlan[path->out] != path->vlan;
}

static uint8_t priority_of(const struct sl_pkt *pkt)
{
	return pkt->tagged ? *sl_pkt_at(pkt, const uint8_t, RTE_ETHER_HDR_LEN) >> 4 : 0;
}

/* RFC 2474 3, RFC 8200 7; the two ECN bits belong to the transport (RFC 3168). */
static uint8_t dscp_of(const struct sl_pkt *pkt)
{
	const uint8_t *ip = sl_pkt_at(pkt, const uint8_t, pkt->l3_off);

	if (pkt->l3 == SL_L3_IPV4)
		return ip[1] & 0xfc;
	return (uint8_t)(ip[0] << 4 | ip[1] >> 4) & 0xfc;
}

void sl_build_remember(const struct sl_worker *worker, const struct sl_pkt *pkt,
                       const struct sl_flow *flow)
{
	struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);

	cold->priority = priority_of(pkt);
	cold->dscp = dscp_of(pkt);
}

void sl_build_path_on(const struct sl_pkt *pkt, struct sl_path *path)
{
	struct sl_path back;

	sl_build_path_back(pkt, &back);
	*path = back;
	path->out = SL_PORT_UPLINK;
	path->priority = priority_of(pkt);
	path->dscp = dscp_of(pkt);
	path->mac_from = back.mac_to;
	path->mac_to = back.mac_from;
	memcpy(path->from, back.to, sizeof(path->from));
	memcpy(path->to, back.from, sizeof(path->to));
}

void sl_build_path_back(const struct sl_pkt *pkt, struct sl_path *path)
{
	const struct rte_ether_hdr *eth = sl_pkt_at(pkt, const struct rte_ether_hdr, 0);

	memset(path, 0, sizeof(*path));
	path->out = (enum sl_port_id)pkt->in_port;
	path->vlan = pkt->vlan;
	path->family = pkt->key.family;
	path->mac_from = eth->dst_addr;
	path->mac_to = eth->src_addr;
	if (pkt->l3 == SL_L3_IPV4) {
		memcpy(path->to, sl_pkt_at(pkt, const void, pkt->l3_off + 12), 4);
		memcpy(path->from, sl_pkt_at(pkt, const void, pkt->l3_off + 16), 4);
	} else {
		memcpy(path->to, sl_pkt_at(pkt, const void, pkt->l3_off + 8), 16);
		memcpy(path->from, sl_pkt_at(pkt, const void, pkt->l3_off + 24), 16);
	}
}

void sl_build_path_flow(const struct sl_worker *worker, const struct sl_flow *flow,
                        enum sl_port_id out, struct sl_path *path)
{
	const struct sl_flow_cold *cold = sl_flow_cold(&worker->table, flow);
	struct sl_addr inside, remote;

	sl_key_inside(&flow->key, &inside);
	sl_key_remote(&flow->key, &remote);
	memset(path, 0, sizeof(*path));
	path->out = out;
	path->vlan = flow->key.vlan;
	path->family = flow->key.family;
	if (out == SL_PORT_SANDBOX) {
		path->mac_from = cold->mac_remote;
		path->mac_to = cold->mac_inside;
		memcpy(path->from, remote.bytes, 16);
		memcpy(path->to, inside.bytes, 16);
	} else {
		path->priority = cold->priority;
		path->dscp = cold->dscp;
		path->mac_from = cold->mac_inside;
		path->mac_to = cold->mac_remote;
		memcpy(path->from, inside.bytes, 16);
		memcpy(path->to, remote.bytes, 16);
	}
}

static uint8_t *write_ethernet(const struct sl_worker *worker, const struct sl_path *path,
                               uint8_t *at)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)at;
	rte_be16_t type = path->family == SL_FAMILY_4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
	                                              : RTE_BE16(RTE_ETHER_TYPE_IPV6);

	eth->dst_addr = path->mac_to;
	eth->src_addr = path->mac_from;
	if (is_tagged(worker, path)) {
		struct rte_vlan_hdr *vlan = (struct rte_vlan_hdr *)(eth + 1);

		eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
		vlan->vlan_tci = rte_cpu_to_be_16((uint16_t)(path->priority << 12 | path->vlan));
		vlan->eth_proto = type;
		return (uint8_t *)(vlan + 1);
	}
	eth->ether_type = type;
	return (uint8_t *)(eth + 1);
}

static uint8_t *write_ip(const struct sl_path *path, uint8_t proto, uint32_t transport_bytes,
                         uint8_t *at)
{
	if (path->family == SL_FAMILY_4) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;

		*ip = (struct rte_ipv4_hdr){
		        .version_ihl = 0x45,
		        .type_of_service = path->dscp,
		        .total_length = rte_cpu_to_be_16(sizeof(*ip) + transport_bytes),
		        .fragment_offset = RTE_BE16(0x4000),
		        .time_to_live = 64,
		        .next_proto_id = proto,
		};
		memcpy(&ip->src_addr, path->from, 4);
		memcpy(&ip->dst_addr, path->to, 4);
		ip->hdr_checksum = rte_ipv4_cksum(ip);
		return (uint8_t *)(ip + 1);
	}
	struct rte_ipv6_hdr *ip6 = (struct rte_ipv6_hdr *)at;

	*ip6 = (struct rte_ipv6_hdr){
	        .vtc_flow = rte_cpu_to_be_32(0x60000000 | (uint32_t)path->dscp << 20),
	        .payload_len = rte_cpu_to_be_16(transport_bytes),
	        .proto = proto,
	        .hop_limits = 64,
	};
	memcpy(ip6->src_addr, path->from, 16);
	memcpy(ip6->dst_addr, path->to, 16);
	return (uint8_t *)(ip6 + 1);
}

struct rte_mbuf *sl_build_frame(struct sl_worker *worker, const struct sl_path *path, uint8_t proto,
                                uint32_t transport_bytes, uint8_t **transport)
{
	uint32_t bytes = RTE_ETHER_HDR_LEN + (is_tagged(worker, path) ? RTE_VLAN_HLEN : 0) +
	                 (path->family == SL_FAMILY_4 ? 20 : 40) + transport_bytes;
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->params.pool);
	uint8_t *at;

	if (mbuf == NULL || (at = (uint8_t *)rte_pktmbuf_append(mbuf, bytes)) == NULL) {
		rte_pktmbuf_free(mbuf);
		worker->stats->made_dropped++;
		return NULL;
	}
	memset(at, 0, bytes);
	at = write_ethernet(worker, path, at);
	*transport = write_ip(path, proto, transport_bytes, at);
	return mbuf;
}

void sl_build_checksum(struct rte_mbuf *mbuf, const struct sl_path *path, uint8_t proto,
                       uint32_t transport_bytes, unsigned checksum_offset)
{
	unsigned address_bytes = path->family == SL_FAMILY_4 ? 4 : 16;
	uint8_t *transport = rte_pktmbuf_mtod_offset(mbuf, uint8_t *,
	                                             rte_pktmbuf_data_len(mbuf) - transport_bytes);
	uint8_t tail[8] = {transport_bytes >> 24,
	                   transport_bytes >> 16,
	                   transport_bytes >> 8,
	                   transport_bytes,
	                   0,
	                   0,
	                   0,
	                   proto};
	uint32_t sum = 0;
	uint16_t folded;

	memset(transport + checksum_offset, 0, 2);
	if (proto != IPPROTO_ICMP) {
		sum = rte_raw_cksum(path->from, address_bytes);
		sum += rte_raw_cksum(path->to, address_bytes);
		sum += rte_raw_cksum(tail, sizeof(tail));
	}
	sum += rte_raw_cksum(transport, transport_bytes);
	sum = (sum >> 16) + (sum & 0xffff);
	folded = (uint16_t) ~((sum >> 16) + (sum & 0xffff));
	if (folded == 0 && proto == IPPROTO_UDP)
		folded = 0xffff;
	memcpy(transport + checksum_offset, &folded, 2);
}

void sl_build_trim(struct rte_mbuf *mbuf, uint32_t end)
{
	uint32_t len = rte_pktmbuf_pkt_len(mbuf);

	if (len > end && rte_pktmbuf_trim(mbuf, 0) == 0) {
		/* Across segments: cut whole ones off from the tail. */
		while (rte_pktmbuf_pkt_len(mbuf) > end) {
			struct rte_mbuf *last = rte_pktmbuf_lastseg(mbuf);
			uint32_t surplus = rte_pktmbuf_pkt_len(mbuf) - end;

			if (last == mbuf || surplus < last->data_len) {
				rte_pktmbuf_trim(mbuf, RTE_MIN(surplus, (uint32_t)last->data_len));
			} else {
				struct rte_mbuf *before = mbuf;

				while (before->next != last)
					before = before->next;
				before->next = NULL;
				mbuf->nb_segs--;
				mbuf->pkt_len -= last->data_len;
				rte_pktmbuf_free_seg(last);
			}
		}
	}
	if (end < FRAME_MIN_BYTES) {
		char *pad = rte_pktmbuf_append(mbuf, (uint16_t)(FRAME_MIN_BYTES - end));

		if (pad != NULL)
			memset(pad, 0, FRAME_MIN_BYTES - end);
	}
}

void sl_build_send(struct sl_worker *worker, const struct sl_path *path, struct rte_mbuf *mbuf,
                   struct sl_charge charge)
{
	sl_build_trim(mbuf, rte_pktmbuf_pkt_len(mbuf));
	sl_tx_put(worker, path->out, mbuf, path->vlan, charge);
}

struct rte_mbuf *sl_build_tcp(struct sl_worker *worker, const struct sl_path *path,
                              const struct sl_tcp_spec *spec, uint8_t **payload)
{
	uint32_t header = sizeof(struct rte_tcp_hdr) + spec->option_bytes;
	uint8_t *transport;
	struct rte_mbuf *mbuf =
	        sl_build_frame(worker, path, IPPROTO_TCP, header + spec->payload_bytes, &transport);
	struct rte_tcp_hdr *tcp;

	if (mbuf == NULL)
		return NULL;
	tcp = (struct rte_tcp_hdr *)transport;
	tcp->src_port = spec->sport_be;
	tcp->dst_port = spec->dport_be;
	tcp->sent_seq = rte_cpu_to_be_32(spec->seq);
	tcp->recv_ack = rte_cpu_to_be_32(spec->ack);
	tcp->data_off = (uint8_t)(header / 4 << 4);
	tcp->tcp_flags = spec->flags;
	tcp->rx_win = rte_cpu_to_be_16(spec->window);
	if (spec->option_bytes > 0)
		memcpy(tcp + 1, spec->options, spec->option_bytes);
	if (payload != NULL)
		*payload = transport + header;
	return mbuf;
}

void sl_build_tcp_send(struct sl_worker *worker, const struct sl_path *path, struct rte_mbuf *mbuf,
                       const struct sl_tcp_spec *spec, struct sl_charge charge)
{
	uint32_t bytes = sizeof(struct rte_tcp_hdr) + spec->option_bytes + spec->payload_bytes;

	sl_build_checksum(mbuf, path, IPPROTO_TCP, bytes, 16);
	sl_build_send(worker, path, mbuf, charge);
}
