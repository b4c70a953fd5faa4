/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames.c: what benches send.
 */
#include "frames.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FCS_BYTES 4

static uint16_t frame_bytes(const struct frames_spec *spec, unsigned i)
{
	unsigned slot = i % 12;

	if (!spec->imix)
		return spec->ipv6 ? 86 - FCS_BYTES : 64 - FCS_BYTES;
	return (uint16_t)((slot < 7 ? (spec->ipv6 ? 86 : 64) : slot < 11 ? 594 : 1518) - FCS_BYTES);
}

static uint8_t *write_ip4(const struct frames_spec *spec, unsigned flow, bool back, uint16_t bytes,
                          uint8_t *at)
{
	uint32_t inside = 0x0a000002 + (flow / spec->vlans % 200 << 8);
	uint32_t remote = spec->remote4 + flow * 7919u % 60000u;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;

	*ip = (struct rte_ipv4_hdr){
	        .version_ihl = 0x45,
	        .total_length = rte_cpu_to_be_16(bytes),
	        .time_to_live = 64,
	        .next_proto_id = spec->tcp ? IPPROTO_TCP : IPPROTO_UDP,
	        .src_addr = rte_cpu_to_be_32(back ? remote : inside),
	        .dst_addr = rte_cpu_to_be_32(back ? inside : remote),
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	return at + sizeof(*ip);
}

static uint8_t *write_ip6(const struct frames_spec *spec, unsigned flow, bool back, uint16_t bytes,
                          uint8_t *at)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)at;
	uint8_t inside[16] = {0xfd, 0}, remote[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x20};
	uint32_t number = rte_cpu_to_be_32(flow * 7919u);

	inside[15] = 2;
	inside[13] = (uint8_t)(flow / spec->vlans);
	memcpy(remote + 12, &number, 4);
	*ip = (struct rte_ipv6_hdr){
	        .vtc_flow = RTE_BE32(0x60000000),
	        .payload_len = rte_cpu_to_be_16(bytes - sizeof(*ip)),
	        .proto = spec->tcp ? IPPROTO_TCP : IPPROTO_UDP,
	        .hop_limits = 64,
	};
	memcpy(back ? ip->dst_addr : ip->src_addr, inside, 16);
	memcpy(back ? ip->src_addr : ip->dst_addr, remote, 16);
	return at + sizeof(*ip);
}

static void write_transport(const struct frames_spec *spec, unsigned flow, bool back,
                            const void *ip, uint16_t bytes, uint8_t *at)
{
	uint16_t inside = rte_cpu_to_be_16((uint16_t)(1024 + flow / spec->vlans % 60000));
	uint16_t remote = rte_cpu_to_be_16((uint16_t)(1000 + flow / 6000000));
	uint16_t sum;
	unsigned checksum_at;

	if (spec->tcp) {
		struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)at;

		*tcp = (struct rte_tcp_hdr){
		        .src_port = back ? remote : inside,
		        .dst_port = back ? inside : remote,
		        .sent_seq = RTE_BE32(1000),
		        .recv_ack = RTE_BE32(2000),
		        .data_off = 0x50,
		        .tcp_flags = spec->tcp_flags,
		        .rx_win = RTE_BE16(65535),
		};
		checksum_at = offsetof(struct rte_tcp_hdr, cksum);
	} else {
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)at;

		*udp = (struct rte_udp_hdr){
		        .src_port = back ? remote : inside,
		        .dst_port = back ? inside : remote,
		        .dgram_len = rte_cpu_to_be_16(bytes),
		};
		checksum_at = offsetof(struct rte_udp_hdr, dgram_cksum);
	}
	sum = spec->ipv6 ? rte_ipv6_udptcp_cksum(ip, at) : rte_ipv4_udptcp_cksum(ip, at);
	memcpy(at + checksum_at, &sum, sizeof(sum));
}

uint16_t frames_write(const struct frames_spec *spec, unsigned i, bool from_uplink, uint8_t *out)
{
	uint16_t len = frame_bytes(spec, i), l3 = sizeof(struct rte_ether_hdr) + 4;
	unsigned flow = spec->first_flow + i;
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)out;
	struct rte_vlan_hdr *vlan = (struct rte_vlan_hdr *)(eth + 1);
	uint8_t *transport;

	memset(out, 0, len);
	eth->dst_addr.addr_bytes[0] = 2;
	eth->dst_addr.addr_bytes[5] = from_uplink ? 1 : 2;
	eth->src_addr.addr_bytes[0] = 2;
	eth->src_addr.addr_bytes[5] = from_uplink ? 2 : 1;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
	vlan->vlan_tci = rte_cpu_to_be_16((uint16_t)(spec->first_vlan + flow % spec->vlans));
	vlan->eth_proto =
	        spec->ipv6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6) : RTE_BE16(RTE_ETHER_TYPE_IPV4);
	transport = (spec->ipv6 ? write_ip6 : write_ip4)(spec, flow, from_uplink,
	                                                 (uint16_t)(len - l3), out + l3);
	write_transport(spec, flow, from_uplink, out + l3, (uint16_t)(len - (transport - out)),
	                transport);
	return len;
}

static bool share_a_factor(unsigned a, unsigned b)
{
	while (b != 0) {
		unsigned rest = a % b;

		a = b;
		b = rest;
	}
	return a > 1;
}

unsigned frames_stride(unsigned count)
{
	unsigned stride = (unsigned)(count * 0.618) + 1;

	while (share_a_factor(count, stride))
		stride++;
	return stride;
}

int frames_capture(const struct frames_spec *spec, const char *path)
{
	pcap_t *handle = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *dumper = handle != NULL ? pcap_dump_open(handle, path) : NULL;
	unsigned stride = frames_stride(spec->flows);
	uint8_t bytes[FRAME_ROOM];

	if (dumper == NULL)
		return -EIO;
	for (unsigned n = 0; n < spec->flows; n++) {
		unsigned i = (unsigned)((uint64_t)n * stride % spec->flows);
		struct pcap_pkthdr header = {0};

		header.caplen = header.len = frames_write(spec, i, false, bytes);
		pcap_dump((u_char *)dumper, &header, bytes);
	}
	pcap_dump_close(dumper);
	pcap_close(handle);
	return 0;
}

static void append(char **text, size_t *len, const char *piece)
{
	size_t n = strlen(piece);

	*text = realloc(*text, *len + n + 1);
	if (*text == NULL)
		abort();
	memcpy(*text + *len, piece, n + 1);
	*len += n;
}

char *frames_policy(unsigned vlans, const char *mode, unsigned prefixes)
{
	char *text = NULL, line[256];
	size_t len = 0;

	append(&text, &len,
	       "policies:\n  bench: {allow: [example.com], subnets: {allow: "
	       "[198.51.0.0/16, \"2001:db8:20::/48\"], deny: [203.0.113.0/24");
	for (unsigned i = 0; i < prefixes; i++) {
		snprintf(line, sizeof(line), ", %u.%u.%u.0/24", 20 + i / 65536, i / 256 % 256,
		         i % 256);
		append(&text, &len, line);
	}
	append(&text, &len, "]}}\nsandboxes:\n");
	for (unsigned vlan = 1; vlan <= vlans; vlan++) {
		static const char *const mix[] = {"allow-all", "deny-all", "custom"};
		const char *is = strcmp(mode, "mix") == 0 ? mix[vlan % 3] : mode;

		snprintf(line, sizeof(line), "  - {vlan: %u%s%s}\n", vlan,
		         strcmp(is, "allow-all") == 0 ? "" : ", policy: ",
		         strcmp(is, "allow-all") == 0 ? ""
		         : strcmp(is, "custom") == 0  ? "bench"
		                                      : is);
		append(&text, &len, line);
	}
	return text;
}
