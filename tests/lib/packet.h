/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet.h: frames for tests. A frame is described by a struct with sane defaults (lengths and
 * checksums right, TTL 64), any field of which can be given another value, valid or not.
 *
 * 	struct packet syn = TCP(.vlan = 101, .src = "10.0.0.2", .dst = "192.0.2.1",
 * 	                        .sport = 40000, .dport = 443, .flags = TCP_SYN, .seq = 1000);
 *
 * A value that would be computed is overridden with PKT_SET(value), also with zero.
 */
#ifndef TESTS_PACKET_H
#define TESTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/addr.h"

#define PACKET_MAX    9216 /* bytes of a struct packet; packet_build writes larger ones */
#define PKT_SET(v)    (1ull << 63 | (v))
#define PKT_TEXT(s)   .payload = (s), .payload_len = sizeof(s) - 1
#define PKT_BYTES(a)  .payload = (a), .payload_len = sizeof(a)
#define TCP_FIN       0x01
#define TCP_SYN       0x02
#define TCP_RST       0x04
#define TCP_PSH       0x08
#define TCP_ACK       0x10
#define TCP_URG       0x20
#define PKT_MAC_INNER "02:00:00:00:00:01" /* the default source: the sandbox's host */
#define PKT_MAC_OUTER "02:00:00:00:00:02" /* the default destination: the uplink's router */

struct packet {
	size_t len;
	uint8_t bytes[PACKET_MAX];
};

struct packet_spec {
	/* Ethernet */
	const char *smac, *dmac;
	uint16_t vlan;     /* 0: untagged */
	uint64_t tci;      /* PKT_SET: the whole tag, also VID 0 and priorities */
	uint64_t tpid;     /* PKT_SET: instead of 0x8100 */
	uint64_t tag2;     /* PKT_SET: a second 802.1Q tag after the first */
	uint64_t type;     /* PKT_SET: EtherType, or the length field of an LLC frame */
	const char *inner; /* hexadecimal bytes after the EtherType instead of IP */

	/* IP; the family is src's */
	const char *src, *dst;
	uint8_t proto;
	uint8_t tos;
	uint64_t ttl, ip_id, ip_version, ihl, ip_len, ip_csum; /* PKT_SET each */
	uint64_t frag;      /* PKT_SET: IPv4: flags and offset word; IPv6: the same word of a
	                       fragment header, which is then put in */
	uint32_t frag_id;   /* IPv6 */
	uint64_t next;      /* PKT_SET: IPv6 next header, or IPv4 protocol, as written */
	uint32_t label;     /* IPv6 flow label */
	const void *ip_ext; /* IPv4 options (multiple of 4) or IPv6 extension headers, verbatim */
	size_t ip_ext_len;

	/* TCP and UDP */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint64_t window, urgent, data_offset; /* PKT_SET each */
	uint8_t reserved;                     /* the low 4 bits of TCP's byte 12 */
	const void *options;                  /* TCP; padded with zeros to a multiple of 4 */
	size_t options_len;
	uint64_t udp_len; /* PKT_SET */
	uint64_t l4_csum; /* PKT_SET; also of ICMP */

	/* ICMP */
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_rest; /* the second word, host order (echo: id << 16 | seq) */

	const void *payload;
	size_t payload_len;
	size_t cut; /* drop this many bytes off the end, lengths stay (a truncated frame) */
	const void *trailer; /* bytes after the IP packet */
	size_t trailer_len;
	size_t pad_to; /* zeros up to this frame length */
};

/* Writes the frame to out. Returns its length; ends the program if size is too small. */
size_t packet_build(uint8_t *out, size_t size, const struct packet_spec *spec);

struct packet packet_make(const struct packet_spec *spec);

#define PACKET(...) packet_make(&(struct packet_spec){__VA_ARGS__})
#define TCP(...)    PACKET(.proto = 6, __VA_ARGS__)
#define UDP(...)    PACKET(.proto = 17, __VA_ARGS__)
#define ICMP(...)   PACKET(.proto = 1, __VA_ARGS__)
#define ICMP6(...)  PACKET(.proto = 58, __VA_ARGS__)

/* ARP (RFC 826). Unset: Ethernet and IPv4, sender MAC = smac, to broadcast if a request. */
struct arp_spec {
	const char *smac, *dmac;
	uint16_t vlan;
	uint16_t op;                       /* 1: request (default), 2: reply */
	const char *sha, *tha;             /* MACs */
	const char *spa, *tpa;             /* IPv4 */
	uint64_t htype, ptype, hlen, plen; /* PKT_SET */
	size_t pad_to;
};

struct packet packet_arp(const struct arp_spec *spec);

#define ARP(...) packet_arp(&(struct arp_spec){__VA_ARGS__})

/* Neighbour discovery (RFC 4861): 133 RS, 134 RA, 135 NS, 136 NA, 137 redirect. */
struct nd_spec {
	const char *smac, *dmac;
	uint16_t vlan;
	uint8_t type;
	const char *src, *dst;
	const char *target;  /* NS, NA */
	uint32_t word;       /* flags of NA; hop limit, flags, lifetime of RA */
	const char *lladdr;  /* MAC; source option for RS, RA, NS, target option for NA */
	const char *nonce;   /* hexadecimal, 6 bytes (RFC 3971 5.3.2) */
	const char *options; /* hexadecimal; more options, verbatim */
	uint64_t ttl;        /* PKT_SET: instead of 255 */
	uint64_t l4_csum;    /* PKT_SET */
};

struct packet packet_nd(const struct nd_spec *spec);

#define ND(...) packet_nd(&(struct nd_spec){__VA_ARGS__})

/* A parsed frame. ok is false, and the rest undefined, if it is not a complete IP packet. */
struct packet_view {
	bool ok;
	bool tagged;
	uint16_t tci, type;
	uint8_t smac[6], dmac[6];
	struct sl_addr src, dst;
	char src_text[46], dst_text[46];
	uint8_t proto, ttl;
	size_t ip_len; /* header and all that it covers */
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window, urgent;
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_rest;
	const uint8_t *ip, *l4, *options, *payload; /* into the frame */
	size_t l4_len, options_len, payload_len;
	size_t trailer_len; /* bytes after the IP packet */
	bool ip_csum_ok, l4_csum_ok;
};

struct packet_view packet_view(const void *frame, size_t len);

/* The payload is exactly this text. */
bool packet_view_says(const struct packet_view *view, const char *text);

/* Prints a frame in hexadecimal to stderr, for a failed test. */
void packet_dump(const void *frame, size_t len);

struct sl_addr packet_addr(const char *text);
void packet_mac(const char *text, uint8_t out[6]);
/* Decodes hexadecimal (blanks are skipped); returns the number of bytes. */
size_t packet_hex(const char *text, uint8_t *out, size_t size);
/* RFC 1071, of bytes whose sum so far is sum; the complement is the checksum. */
uint32_t packet_sum(uint32_t sum, const void *bytes, size_t len);
uint16_t packet_fold(uint32_t sum);

#endif
