/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reject.c: what a refused sandbox is sent at once (spec section 2): RST for TCP, ICMP
 * administratively prohibited for the rest, at most 100 a second for each sandbox. DNS refusals and
 * TLS alerts are built where DNS and TLS are judged.
 */
#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "packet/parse.h"
#include "reject.h"
#include "packet/build.h"
#include "core/state.h"

#define ANSWERS_PER_SECOND 100

#define ICMP_QUOTE_BYTES  64  /* RFC 792 asks for the header and 8 bytes, RFC 1812 for more */
#define ICMP6_QUOTE_BYTES 256 /* RFC 4443 2.4: as much as fits; enough to find the flow */

bool sl_reject_may_answer(struct sl_worker *worker, uint16_t vlan)
{
	if (sl_rate_take(&worker->vlans[vlan].answers, worker->now_us, ANSWERS_PER_SECOND))
		return true;
	worker->stats->answers_suppressed++;
	return false;
}

static void send_reset(struct sl_worker *worker, const struct sl_path *path,
                       const struct sl_tcp_spec *spec)
{
	struct rte_mbuf *mbuf = sl_build_tcp(worker, path, spec, NULL);

	if (mbuf != NULL)
		sl_build_tcp_send(worker, path, mbuf, spec, SL_CHARGE_NOTHING);
}

void sl_reject_reset(struct sl_worker *worker, const struct sl_flow *flow, enum sl_port_id out)
{
	bool to_sandbox = out == SL_PORT_SANDBOX;
	struct sl_path path;
	struct sl_tcp_spec spec = {
	        .sport_be = to_sandbox ? flow->key.remote_port : flow->key.inside_port,
	        .dport_be = to_sandbox ? flow->key.inside_port : flow->key.remote_port,
	        .seq = flow->ack[to_sandbox ? 0 : 1],
	        .ack = flow->ack[to_sandbox ? 1 : 0],
	        .flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG,
	};

	sl_build_path_flow(worker, flow, out, &path);
	send_reset(worker, &path, &spec);
}

void sl_reject_tcp(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	const struct rte_tcp_hdr *tcp = sl_pkt_at(pkt, const struct rte_tcp_hdr, pkt->l4_off);
	struct sl_path path;
	struct sl_tcp_spec spec = {.sport_be = tcp->dst_port, .dport_be = tcp->src_port};

	if (pkt->tcp_flags & RTE_TCP_RST_FLAG)
		return; /* never a RST for a RST */
	if (pkt->tcp_flags & RTE_TCP_ACK_FLAG) {
		spec.seq = rte_be_to_cpu_32(tcp->recv_ack);
		spec.flags = RTE_TCP_RST_FLAG;
	} else {
		spec.ack = rte_be_to_cpu_32(tcp->sent_seq) + pkt->payload_len +
		           !!(pkt->tcp_flags & RTE_TCP_SYN_FLAG) +
		           !!(pkt->tcp_flags & RTE_TCP_FIN_FLAG);
		spec.flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
	}
	sl_build_path_back(pkt, &path);
	send_reset(worker, &path, &spec);
}

/* ICMP 3/13 or ICMPv6 1/1 (RFC 792, RFC 1812 5.2.7.1, RFC 4443 3.1) that quotes `quote`. */
static void send_prohibited(struct sl_worker *worker, const struct sl_path *path,
                            uint32_t quote_bytes, uint8_t **quote, struct rte_mbuf **mbuf)
{
	bool v4 = path->family == SL_FAMILY_4;
	uint8_t *icmp;

	*mbuf = sl_build_frame(worker, path, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 8 + quote_bytes,
	                       &icmp);
	if (*mbuf == NULL)
		return;
	icmp[0] = v4 ? 3 : 1;
	icmp[1] = v4 ? 13 : 1;
	*quote = icmp + 8;
}

static void finish_prohibited(struct sl_worker *worker, const struct sl_path *path,
                              uint32_t quote_bytes, struct rte_mbuf *mbuf)
{
	sl_build_checksum(mbuf, path, path->family == SL_FAMILY_4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
	                  8 + quote_bytes, 2);
	sl_build_send(worker, path, mbuf, SL_CHARGE_NOTHING);
}

void sl_reject_icmp(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	uint32_t limit = pkt->l3 == SL_L3_IPV4 ? ICMP_QUOTE_BYTES : ICMP6_QUOTE_BYTES;
	uint32_t quote_bytes = RTE_MIN(limit, pkt->end - pkt->l3_off);
	struct rte_mbuf *mbuf;
	struct sl_path path;
	uint8_t *quote;

	sl_build_path_back(pkt, &path);
	send_prohibited(worker, &path, quote_bytes, &quote, &mbuf);
	if (mbuf == NULL)
		return;
	sl_parse_copy(pkt, pkt->l3_off, quote_bytes, quote);
	finish_prohibited(worker, &path, quote_bytes, mbuf);
}

void sl_reject_flow_icmp(struct sl_worker *worker, const struct sl_flow *flow)
{
	bool v4 = flow->key.family == SL_FAMILY_4;
	uint32_t ip_bytes = v4 ? 20 : 40, quote_bytes = ip_bytes + 8;
	struct rte_mbuf *mbuf;
	struct sl_path path;
	uint8_t *quote;

	sl_build_path_flow(worker, flow, SL_PORT_SANDBOX, &path);
	send_prohibited(worker, &path, quote_bytes, &quote, &mbuf);
	if (mbuf == NULL)
		return;
	/*
	 * Reconstructs enough of a packet of the flow for the sandbox's kernel to find the socket.
	 */
	if (v4) {
		struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
		                          .total_length = RTE_BE16(28),
		                          .time_to_live = 64,
		                          .next_proto_id = flow->key.proto,
		                          .src_addr = flow->key.inside4,
		                          .dst_addr = flow->key.remote4};

		ip.hdr_checksum = rte_ipv4_cksum(&ip);
		memcpy(quote, &ip, sizeof(ip));
	} else {
		struct rte_ipv6_hdr ip = {.vtc_flow = RTE_BE32(0x60000000),
		                          .payload_len = RTE_BE16(8),
		                          .proto = flow->key.proto,
		                          .hop_limits = 64};

		memcpy(ip.src_addr, flow->key.inside6, 16);
		memcpy(ip.dst_addr, flow->key.remote6, 16);
		memcpy(quote, &ip, sizeof(ip));
	}
	if (flow->key.proto == IPPROTO_UDP) {
		memcpy(quote + ip_bytes, &flow->key.inside_port, 2);
		memcpy(quote + ip_bytes + 2, &flow->key.remote_port, 2);
		quote[ip_bytes + 5] = 8;
	} else if (flow->key.proto == IPPROTO_ICMP || flow->key.proto == IPPROTO_ICMPV6) {
		quote[ip_bytes] = v4 ? 8 : 128;
		memcpy(quote + ip_bytes + 4, &flow->key.inside_port, 2);
	}
	finish_prohibited(worker, &path, quote_bytes, mbuf);
}
