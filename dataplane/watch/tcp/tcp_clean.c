/* SPDX-License-Identifier: Apache-2.0 */
/* tcp_clean.c: removes everything from a TCP header that could carry a covert message. */
#include "tcp_clean.h"

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#define OPTION_END        0 /* RFC 9293 3.2 */
#define OPTION_NOP        1
#define OPTION_MSS        2
#define OPTION_WSCALE     3 /* RFC 7323 */
#define OPTION_SACK_OK    4 /* RFC 2018 */
#define OPTION_SACK       5
#define OPTION_TIMESTAMPS 8

/* The length of the option at options[i], 0 if it is invalid. */
static unsigned option_bytes(const uint8_t *options, unsigned i, unsigned n)
{
	if (options[i] == OPTION_NOP)
		return 1;
	if (i + 1 >= n || options[i + 1] < 2 || i + options[i + 1] > n)
		return 0;
	return options[i + 1];
}

static bool may_leave(uint8_t kind, unsigned bytes)
{
	switch (kind) {
	case OPTION_MSS:
		return bytes == 4;
	case OPTION_WSCALE:
		return bytes == 3;
	case OPTION_SACK_OK:
		return bytes == 2;
	case OPTION_SACK:
		return bytes % 8 == 2 && bytes > 2;
	case OPTION_TIMESTAMPS:
		return bytes == 10;
	default:
		return kind == OPTION_NOP;
	}
}

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool sl_tcp_options_read(const struct sl_pkt *pkt, struct sl_tcp_options *out)
{
	const uint8_t *options =
	        sl_pkt_at(pkt, const uint8_t, pkt->l4_off + sizeof(struct rte_tcp_hdr));
	unsigned n = pkt->payload_off - pkt->l4_off - sizeof(struct rte_tcp_hdr), bytes;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < n && options[i] != OPTION_END; i += bytes) {
		bytes = option_bytes(options, i, n);
		if (bytes == 0)
			return false;
		if (options[i] == OPTION_NOP || !may_leave(options[i], bytes))
			continue;
		if (options[i] == OPTION_MSS)
			out->mss = (uint16_t)(options[i + 2] << 8 | options[i + 3]);
		if (options[i] == OPTION_WSCALE) {
			out->has_wscale = true;
			out->wscale = RTE_MIN(options[i + 2], 14); /* RFC 7323 2.3 */
		}
		if (options[i] == OPTION_TIMESTAMPS) {
			out->has_timestamps = true;
			out->ts_value = get_be32(options + i + 2);
			out->ts_echo = get_be32(options + i + 6);
		}
	}
	return true;
}

static bool clean_options(uint8_t *options, unsigned n)
{
	unsigned i = 0, bytes;

	for (; i < n && options[i] != OPTION_END; i += bytes) {
		bytes = option_bytes(options, i, n);
		if (bytes == 0)
			return false;
		if (!may_leave(options[i], bytes))
			memset(options + i, OPTION_NOP, bytes);
	}
	memset(options + i, OPTION_NOP, n - i); /* nothing after the end-of-options option */
	return true;
}

static void write_lengths(struct sl_pkt *pkt)
{
	if (pkt->l3 == SL_L3_IPV4) {
		struct rte_ipv4_hdr *ip = sl_pkt_at(pkt, struct rte_ipv4_hdr, pkt->l3_off);

		ip->total_length = rte_cpu_to_be_16((uint16_t)(pkt->end - pkt->l3_off));
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	} else {
		struct rte_ipv6_hdr *ip = sl_pkt_at(pkt, struct rte_ipv6_hdr, pkt->l3_off);

		ip->payload_len = rte_cpu_to_be_16((uint16_t)(pkt->end - pkt->l4_off));
	}
}

bool sl_tcp_clean(struct sl_pkt *pkt)
{
	struct rte_tcp_hdr *tcp = sl_pkt_at(pkt, struct rte_tcp_hdr, pkt->l4_off);

	if (!clean_options((uint8_t *)(tcp + 1), pkt->payload_off - pkt->l4_off - sizeof(*tcp)))
		return false;
	tcp->data_off &= 0xf0;
	if (!(tcp->tcp_flags & RTE_TCP_URG_FLAG))
		tcp->tcp_urp = 0;
	if (!(tcp->tcp_flags & RTE_TCP_ACK_FLAG))
		tcp->recv_ack = 0;
	pkt->end = pkt->payload_off;
	pkt->payload_len = 0;
	write_lengths(pkt);
	tcp->cksum = 0;
	if (pkt->l3 == SL_L3_IPV4)
		tcp->cksum = rte_ipv4_udptcp_cksum(
		        sl_pkt_at(pkt, const struct rte_ipv4_hdr, pkt->l3_off), tcp);
	else
		tcp->cksum = rte_ipv6_udptcp_cksum(
		        sl_pkt_at(pkt, const struct rte_ipv6_hdr, pkt->l3_off), tcp);
	return true;
}
