/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_packets.c: frames as a wire between two ports may carry them, and as an attacker makes them
 * (spec section 6): what is malformed, fragments, neighbour discovery, multicast, and that nothing
 * leaves behind a packet's end.
 */
#include <rte_mbuf.h>

#include "scene.h"

#define INSIDE  "10.0.0.2"
#define PUBLIC  "198.51.100.10"
#define INSIDE6 "fd00::2"
#define PUBLIC6 "2001:db8:7::1"
#define NET     "203.0.113.5"
#define NET6    "2001:db8:20::5"
#define LINK6   "fe80::2"

#define ALL  101 /* allow-all */
#define NONE 102 /* deny-all */
#define BOTH 104 /* names, and addresses */

#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101}\n"                                                                        \
	"  - {vlan: 102, policy: deny-all}\n"                                                      \
	"  - vlan: 104\n"                                                                          \
	"    policy: {allow: [good.example], subnets: {allow: [203.0.113.0/24, "                   \
	"'2001:db8:20::/48']}}\n"

static enum sl_reason out_bytes(struct inproc *gw, const struct packet *packet)
{
	return inproc_send(gw, SANDBOX, packet);
}

static void expect_nothing_left(struct inproc *gw)
{
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 0);
}

/* ---- Ethernet ---- */

/* "Frames keep tag and MACs", priorities too. */
static void frame_keeps_its_tag_and_macs(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet packet =
	        UDP(.tci = PKT_SET(0xa000 | ALL), .smac = "02:aa:bb:cc:dd:01",
	            .dmac = "02:aa:bb:cc:dd:02", .src = INSIDE, .dst = PUBLIC, .sport = 1,
	            .dport = 2, PKT_TEXT("sixty bytes are enough for anybody"));
	const struct inproc_frame *out;

	expect(out_bytes(gw, &packet), SL_REASON_ALLOW_ALL);
	out = inproc_last(gw, UPLINK);
	assert_int_equal(out->len, packet.len);
	assert_memory_equal(out->bytes, packet.bytes, packet.len);
	inproc_free(gw);
}

/* "Elsewhere untagged: `unknown-sandbox`." */
static void frame_without_tag_is_nobodys(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 17, .src = INSIDE, .dst = PUBLIC, PKT_TEXT("x")),
	       SL_REASON_UNKNOWN_SANDBOX);
	expect(IN(gw, .proto = 17, .src = PUBLIC, .dst = INSIDE, PKT_TEXT("x")),
	       SL_REASON_UNKNOWN_SANDBOX);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* "QinQ, 0x88a8, VID 0, LLC/SNAP: `malformed-packet`." */
static void frame_with_odd_tags_or_llc_is_malformed(void **state)
{
	static const uint16_t types[] = {0x0000, 0x0003, 0x0100, 0x05dc, 0x05ff,
	                                 0x8100, 0x88a8, 0x9100, 0x9200, 0x9300};
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, PKT_TEXT("x")),
	       SL_REASON_ALLOW_ALL);
	inproc_clear(gw);
	for (int both = 0; both < 2; both++) {
		enum sl_port_id port = both ? UPLINK : SANDBOX;
		struct packet_spec spec = {.proto = 17,
		                           .vlan = ALL,
		                           .src = both ? PUBLIC : INSIDE,
		                           .dst = both ? INSIDE : PUBLIC,
		                           PKT_TEXT("x")};
		struct packet_spec odd = spec;

		odd.tag2 = PKT_SET(ALL);
		expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
		odd = spec, odd.tci = PKT_SET(0);
		expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
		odd = spec, odd.tci = PKT_SET(0x2000);
		expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
		odd = spec, odd.tci = PKT_SET(4095);
		expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
		odd = spec, odd.tpid = PKT_SET(0x88a8);
		expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
		odd = spec, odd.tpid = PKT_SET(0x9100);
		expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
		for (size_t i = 0; i < COUNT(types); i++) {
			odd = spec, odd.type = PKT_SET(types[i]);
			odd.inner = "aaaa03000000080045000014000040004011000000000000000000000000";
			expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
			odd.vlan = 0;
			if (types[i] != 0x8100)
				expect(send_spec(gw, port, odd), SL_REASON_MALFORMED_PACKET);
		}
	}
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* "Other non-IP: `protocol-not-allowed`." */
static void frame_that_is_no_ip_is_refused(void **state)
{
	static const uint16_t types[] = {0x0600, 0x0805, 0x8035, 0x809b, 0x86dc, 0x8808, 0x8847,
	                                 0x8863, 0x888e, 0x88cc, 0x88e5, 0x8902, 0xffff};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(types); i++) {
		expect(OUT(gw, .vlan = ALL, .type = PKT_SET(types[i]),
		           .inner = "00112233445566778899"),
		       SL_REASON_PROTOCOL_NOT_ALLOWED);
		expect(OUT(gw, .vlan = NONE, .type = PKT_SET(types[i]),
		           .inner = "00112233445566778899"),
		       SL_REASON_DENY_ALL);
		expect(IN(gw, .vlan = BOTH, .type = PKT_SET(types[i]),
		          .inner = "00112233445566778899"),
		       SL_REASON_PROTOCOL_NOT_ALLOWED);
	}
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* A frame from a group, and one for all that carries a packet for one host. */
static void frame_whose_casts_disagree_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .smac = "03:00:00:00:00:01", .proto = 17, .vlan = ALL, .src = INSIDE,
	           .dst = PUBLIC, PKT_TEXT("x")),
	       SL_REASON_MALFORMED_PACKET);
	expect(OUT(gw, .dmac = "ff:ff:ff:ff:ff:ff", .proto = 17, .vlan = ALL, .src = INSIDE,
	           .dst = PUBLIC, PKT_TEXT("x")),
	       SL_REASON_MALFORMED_PACKET);
	expect(OUT(gw, .dmac = "33:33:00:00:00:01", .proto = 17, .vlan = ALL, .src = INSIDE6,
	           .dst = PUBLIC6, PKT_TEXT("x")),
	       SL_REASON_MALFORMED_PACKET);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* Every honest frame, cut at every length, is never forwarded and never read beyond its end. */
static void frame_cut_at_every_length_never_leaves(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet whole[] = {
	        UDP(.vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 1, .dport = 2,
	            PKT_TEXT("payload")),
	        UDP(.vlan = ALL, .src = INSIDE6, .dst = PUBLIC6, .sport = 1, .dport = 2,
	            PKT_TEXT("payload")),
	        TCP(.vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 1, .dport = 2,
	            .flags = TCP_SYN, .options = "\2\4\5\xb4", .options_len = 4),
	        ICMP6(.vlan = ALL, .src = INSIDE6, .dst = PUBLIC6, .icmp_type = 128),
	        UDP(.vlan = ALL, .src = INSIDE6, .dst = PUBLIC6, .frag = PKT_SET(1),
	            PKT_TEXT("12345678")),
	        ARP(.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1"),
	        ND(.vlan = ALL, .type = 135, .src = LINK6, .dst = "ff02::1:ff00:1",
	           .dmac = "33:33:ff:00:00:01", .target = "fe80::1", .lladdr = PKT_MAC_INNER),
	};

	for (size_t i = 0; i < COUNT(whole); i++) {
		enum sl_reason reason = out_bytes(gw, &whole[i]);

		assert_true(sl_reason_allows(reason));
		inproc_clear(gw);
		inproc_advance_s(gw, 1);
		for (size_t len = 0; len < whole[i].len; len++) {
			reason = inproc_send_bytes(gw, SANDBOX, whole[i].bytes, len);
			if (sl_reason_allows(reason))
				fprintf(stderr, "frame %zu, %zu bytes\n", i, len);
			assert_false(sl_reason_allows(reason));
		}
		expect_nothing_left(gw);
	}
	inproc_free(gw);
}

/* A port that takes the tag out of the frame gives it back, and the lengths are still right. */
static void frame_with_a_stripped_tag_is_as_with_it(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet packet =
	        UDP(.src = INSIDE, .dst = PUBLIC, .sport = 1, .dport = 2, PKT_TEXT("payload"));
	struct rte_mbuf *m = rte_pktmbuf_alloc(inproc_pool(gw));

	memcpy(rte_pktmbuf_append(m, (uint16_t)packet.len), packet.bytes, packet.len);
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = ALL;
	sl_worker_input(inproc_worker(gw, 0), SANDBOX, &m, 1);
	assert_int_equal(inproc_count(gw, UPLINK), 1);
	assert_int_equal(from_end(gw, UPLINK, 0)->tci, ALL);
	assert_true(packet_view_says(from_end(gw, UPLINK, 0), "payload"));
	inproc_free(gw);
}

/* ---- IP ---- */

struct lie {
	const char *what;
	struct packet_spec spec;
};

static void expect_malformed(struct inproc *gw, const struct lie *lies, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (int way = 0; way < 2; way++) {
			struct packet_spec spec = lies[i].spec;
			enum sl_reason reason;

			if (way == 1) {
				const char *src = spec.src;

				spec.src = spec.dst;
				spec.dst = src;
			}
			spec.vlan = ALL;
			if (spec.payload == NULL)
				spec.payload = "payload.", spec.payload_len = 8;
			reason = send_spec(gw, way ? UPLINK : SANDBOX, spec);
			if (reason != SL_REASON_MALFORMED_PACKET)
				fprintf(stderr, "%s\n", lies[i].what);
			expect(reason, SL_REASON_MALFORMED_PACKET);
		}
	}
	expect_nothing_left(gw);
}

#define V4 .src = INSIDE, .dst = PUBLIC
#define V6 .src = INSIDE6, .dst = PUBLIC6

/* Lengths, versions and checksums that lie; "IPv4 options, ... source = destination, broadcast". */
static void ipv4_that_lies_is_malformed(void **state)
{
	static const struct lie lies[] = {
	        {"version", {.proto = 17, V4, .ip_version = PKT_SET(6)}},
	        {"version 5", {.proto = 17, V4, .ip_version = PKT_SET(5)}},
	        {"ihl 4", {.proto = 17, V4, .ihl = PKT_SET(4)}},
	        {"ihl 0", {.proto = 17, V4, .ihl = PKT_SET(0)}},
	        {"ihl 15", {.proto = 17, V4, .ihl = PKT_SET(15)}},
	        {"options", {.proto = 17, V4, .ip_ext = "\1\1\1\0", .ip_ext_len = 4}},
	        {"router alert", {.proto = 17, V4, .ip_ext = "\x94\4\0\0", .ip_ext_len = 4}},
	        {"source route",
	         {.proto = 17, V4, .ip_ext = "\x83\7\4\xc6\x33\x64\1\0", .ip_ext_len = 8}},
	        {"length 0", {.proto = 17, V4, .ip_len = PKT_SET(0)}},
	        {"length 19", {.proto = 17, V4, .ip_len = PKT_SET(19)}},
	        {"length beyond", {.proto = 17, V4, .ip_len = PKT_SET(200)}},
	        {"length beyond by one", {.proto = 17, V4, .ip_len = PKT_SET(37)}},
	        {"length 65535", {.proto = 17, V4, .ip_len = PKT_SET(65535)}},
	        {"checksum", {.proto = 17, V4, .ip_csum = PKT_SET(0x1234)}},
	        {"checksum 0", {.proto = 17, V4, .ip_csum = PKT_SET(0)}},
	        {"reserved flag", {.proto = 17, V4, .frag = PKT_SET(0x8000)}},
	        {"reserved flag and DF", {.proto = 17, V4, .frag = PKT_SET(0xc000)}},
	        {"land", {.proto = 17, .src = INSIDE, .dst = INSIDE}},
	        {"udp checksum", {.proto = 17, V4, .l4_csum = PKT_SET(0x1234)}},
	        {"udp length 0", {.proto = 17, V4, .udp_len = PKT_SET(0)}},
	        {"udp length 7", {.proto = 17, V4, .udp_len = PKT_SET(7)}},
	        {"udp shorter", {.proto = 17, V4, .udp_len = PKT_SET(15)}},
	        {"udp longer", {.proto = 17, V4, .udp_len = PKT_SET(17)}},
	        {"tcp offset 4", {.proto = 6, V4, .flags = TCP_SYN, .data_offset = PKT_SET(4)}},
	        {"tcp offset 0", {.proto = 6, V4, .flags = TCP_SYN, .data_offset = PKT_SET(0)}},
	        {"tcp offset 15", {.proto = 6, V4, .flags = TCP_SYN, .data_offset = PKT_SET(15)}},
	        {"tcp checksum", {.proto = 6, V4, .flags = TCP_SYN, .l4_csum = PKT_SET(0)}},
	        {"icmp checksum", {.proto = 1, V4, .icmp_type = 8, .l4_csum = PKT_SET(0x1234)}},
	};
	struct inproc *gw = gateway(POLICY);

	expect_malformed(gw, lies, COUNT(lies));
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = "255.255.255.255",
	           .dmac = "ff:ff:ff:ff:ff:ff", PKT_TEXT("x")),
	       SL_REASON_MALFORMED_PACKET);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = "255.255.255.255",
	           PKT_TEXT("x")),
	       SL_REASON_MALFORMED_PACKET);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = "224.0.0.0", PKT_TEXT("x")),
	       SL_REASON_PROTECTED_SUBNET);
	expect_nothing_left(gw);
	/* RFC 768: no checksum is a good one */
	expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .l4_csum = PKT_SET(0), PKT_TEXT("x")),
	       SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* "IPv6 extension headers other than fragment", lengths, versions, and checksums. */
static void ipv6_that_lies_is_malformed(void **state)
{
	static const uint8_t extension[8] = {17, 0, 1, 4};
	static const uint8_t kinds[] = {0, 43, 51, 60, 135, 139, 140, 253, 254};
	static const struct lie lies[] = {
	        {"version", {.proto = 17, V6, .ip_version = PKT_SET(4)}},
	        {"payload 0", {.proto = 17, V6, .ip_len = PKT_SET(0)}},
	        {"payload short", {.proto = 17, V6, .ip_len = PKT_SET(7)}},
	        {"payload beyond", {.proto = 17, V6, .ip_len = PKT_SET(17)}},
	        {"payload 65535", {.proto = 17, V6, .ip_len = PKT_SET(65535)}},
	        {"land", {.proto = 17, .src = INSIDE6, .dst = INSIDE6}},
	        {"udp checksum", {.proto = 17, V6, .l4_csum = PKT_SET(0x1234)}},
	        {"udp without checksum", {.proto = 17, V6, .l4_csum = PKT_SET(0)}},
	        {"udp length", {.proto = 17, V6, .udp_len = PKT_SET(9)}},
	        {"icmp checksum", {.proto = 58, V6, .icmp_type = 128, .l4_csum = PKT_SET(7)}},
	        {"two fragment headers",
	         {.proto = 17,
	          V6,
	          .frag = PKT_SET(0),
	          .next = PKT_SET(44),
	          .payload = extension,
	          .payload_len = 8}},
	        {"extension behind a fragment header",
	         {.proto = 17,
	          V6,
	          .frag = PKT_SET(1),
	          .next = PKT_SET(60),
	          .payload = extension,
	          .payload_len = 8}},
	};
	struct inproc *gw = gateway(POLICY);

	expect_malformed(gw, lies, COUNT(lies));
	for (size_t i = 0; i < COUNT(kinds); i++)
		expect(OUT(gw, .proto = 17, .vlan = ALL, V6, .next = PKT_SET(kinds[i]),
		           .ip_ext = extension, .ip_ext_len = 8, PKT_TEXT("x")),
		       SL_REASON_MALFORMED_PACKET);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* An IPv4 packet under IPv6's EtherType, and the reverse. */
static void ip_under_the_other_ethertype_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .type = PKT_SET(0x86dd),
	           PKT_TEXT("enough bytes for a header of forty")),
	       SL_REASON_MALFORMED_PACKET);
	expect(OUT(gw, .proto = 17, .vlan = ALL, V6, .type = PKT_SET(0x0800), PKT_TEXT("x")),
	       SL_REASON_MALFORMED_PACKET);
	inproc_free(gw);
}

/* "Every frame that leaves is cut to its IP length and padded with zeros", both ways, chains too.
 */
static void trailer_is_cut_and_padding_is_zero(void **state)
{
	static const uint32_t segments[] = {0, 7, 20, 54, 64};

	for (size_t i = 0; i < COUNT(segments); i++) {
		struct inproc *gw =
		        inproc_create_with(&(struct inproc_options){.policy = POLICY,
		                                                    .config = CONFIG,
		                                                    .checksums_full = true,
		                                                    .segment = segments[i]});
		char trailer[100];

		memset(trailer, 'T', sizeof(trailer));
		expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .sport = 1, .dport = 2, PKT_TEXT("x"),
		           .trailer = trailer, .trailer_len = 100),
		       SL_REASON_ALLOW_ALL);
		assert_int_equal(inproc_last(gw, UPLINK)->len, 60);
		assert_true(packet_view_says(from_end(gw, UPLINK, 0), "x"));
		expect_zero_trailer(from_end(gw, UPLINK, 0));
		expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .sport = 1, .dport = 2,
		           PKT_TEXT("a payload that is longer than the shortest frame"),
		           .trailer = trailer, .trailer_len = 3),
		       SL_REASON_ALLOW_ALL);
		assert_int_equal(from_end(gw, UPLINK, 0)->trailer_len, 0);
		expect(IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 2,
		          .dport = 1, PKT_TEXT("y"), .trailer = trailer, .trailer_len = 50),
		       SL_REASON_ALLOW_ALL);
		assert_int_equal(inproc_last(gw, SANDBOX)->len, 60);
		expect_zero_trailer(from_end(gw, SANDBOX, 0));
		assert_false(inproc_left(gw, UPLINK, "TT", 2));
		assert_false(inproc_left(gw, SANDBOX, "TT", 2));
		/* one that came too short is made as long as a frame has to be */
		expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .sport = 1, .dport = 2, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
		assert_int_equal(inproc_last(gw, UPLINK)->len, 60);
		expect_zero_trailer(from_end(gw, UPLINK, 0));
		inproc_free(gw);
	}
}

/* ---- fragments ---- */

/* "Fragments under rule 3: `fragment`", first, later, and atomic ones, in silence. */
static void fragment_under_rule_three_is_refused(void **state)
{
	static const uint16_t words4[] = {0x2000, 0x2001, 0x0001, 0x1fff, 0x6000};
	static const uint16_t words6[] = {0x0000, 0x0001, 0x0008, 0xfff8, 0xfff9};
	static const uint8_t protos[] = {1, 6, 17, 47};
	struct inproc *gw = gateway(POLICY);

	for (size_t p = 0; p < COUNT(protos); p++) {
		for (size_t i = 0; i < COUNT(words4); i++)
			expect(OUT(gw, .proto = protos[p], .vlan = BOTH, V4,
			           .frag = PKT_SET(words4[i]), .flags = TCP_SYN,
			           PKT_TEXT("12345678")),
			       SL_REASON_FRAGMENT);
		for (size_t i = 0; i < COUNT(words6); i++)
			expect(OUT(gw, .proto = protos[p], .vlan = BOTH, V6,
			           .frag = PKT_SET(words6[i]), .flags = TCP_SYN,
			           PKT_TEXT("12345678")),
			       SL_REASON_FRAGMENT);
	}
	expect(OUT(gw, .proto = 17, .vlan = NONE, V4, .frag = PKT_SET(0x2000),
	           PKT_TEXT("12345678")),
	       SL_REASON_DENY_ALL);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* "Under rule 2 and allow-all each outbound fragment is judged by its address". */
static void fragment_to_an_open_address_leaves(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .frag = PKT_SET(0x0002), PKT_TEXT("12345678")),
	       SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 6, .vlan = BOTH, .src = INSIDE, .dst = NET, .frag = PKT_SET(0x2000),
	           .flags = TCP_SYN, PKT_TEXT("12345678")),
	       SL_REASON_SUBNET_ALLOWED);
	expect(OUT(gw, .proto = 17, .vlan = BOTH, .src = INSIDE6, .dst = NET6, .frag = PKT_SET(1),
	           PKT_TEXT("12345678")),
	       SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_count(gw, UPLINK), 4);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = "10.0.0.9",
	           .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_INTERNAL_SUBNET);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = "127.0.0.1",
	           .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_PROTECTED_SUBNET);
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = "8.8.8.8", .dst = PUBLIC,
	           .frag = PKT_SET(0x2000), PKT_TEXT("12345678")),
	       SL_REASON_SOURCE_SPOOFED);
	assert_int_equal(inproc_count(gw, UPLINK), 4);
	assert_int_equal(inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* "an inbound one passes if a live flow of that sandbox under rule 2 or allow-all has that remote
 * address and protocol". */
static void fragment_from_the_uplink_needs_a_live_flow(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet_spec piece = {.proto = 17,
	                            .vlan = BOTH,
	                            .src = NET,
	                            .dst = INSIDE,
	                            .frag = PKT_SET(0x2000),
	                            PKT_TEXT("12345678")};
	struct packet_spec other;

	expect(send_spec(gw, UPLINK, piece), SL_REASON_NO_FLOW);
	OUT(gw, .proto = 17, .vlan = BOTH, .src = INSIDE, .dst = NET, .sport = 1, .dport = 2,
	    PKT_TEXT("x"));
	expect(send_spec(gw, UPLINK, piece), SL_REASON_SUBNET_ALLOWED);
	other = piece, other.frag = PKT_SET(0x0002);
	expect(send_spec(gw, UPLINK, other), SL_REASON_SUBNET_ALLOWED);
	other = piece, other.proto = 6;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = piece, other.src = "203.0.113.6";
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = piece, other.vlan = ALL;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	/* a flow that is judged by name is none of these */
	OUT(gw, .proto = 6, .vlan = BOTH, V4, .sport = 1, .dport = 443, .flags = TCP_SYN);
	other = piece, other.src = PUBLIC, other.proto = 6;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	/* nor is one that is over, or no longer allowed */
	inproc_advance_s(gw, 122);
	expect(send_spec(gw, UPLINK, piece), SL_REASON_NO_FLOW);
	OUT(gw, .proto = 17, .vlan = BOTH, .src = INSIDE, .dst = NET, .sport = 1, .dport = 2,
	    PKT_TEXT("x"));
	expect(send_spec(gw, UPLINK, piece), SL_REASON_SUBNET_ALLOWED);
	inproc_push(gw, "sandboxes: [{vlan: 104, policy: {allow: [good.example]}}]");
	expect(send_spec(gw, UPLINK, piece), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* Whoever sends fragments pays by the flows that are looked at for them: a worker has better to do.
 */
static void fragments_cost_no_more_where_there_are_more_flows(void **state)
{
	const unsigned flows = 5000, fragments = 1000;
	struct inproc *gw = inproc_create_with(
	        &(struct inproc_options){.policy = POLICY, .config = CONFIG, .relaxed = true});
	uint64_t walks;

	for (unsigned i = 0; i < flows; i++) {
		OUT(gw, .proto = 17, .vlan = ALL, V4, .sport = (uint16_t)(1000 + i), .dport = 2,
		    PKT_TEXT("x"));
		inproc_clear(gw);
	}
	for (unsigned i = 0; i < fragments; i++) {
		inproc_pass_us(gw, 1000000 / fragments);
		IN(gw, .proto = 17, .vlan = ALL, .src = NET, .dst = INSIDE, .frag = PKT_SET(0x2000),
		   PKT_TEXT("12345678"));
	}
	walks = count_of(gw, SL_REASON_NO_FLOW);
	assert_int_equal(walks + count_of(gw, SL_REASON_RATE_LIMIT), fragments);
	assert_in_range(walks * flows, 100000, 1100000);
	inproc_free(gw);
}

/* A later policy ends what fragments opened as well. */
static void fragment_flow_is_cut_by_a_later_policy(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet_spec piece = {
	        .proto = 17, .vlan = ALL, V4, .frag = PKT_SET(0x2000), PKT_TEXT("12345678")};

	expect(send_spec(gw, SANDBOX, piece), SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	inproc_push(gw, "sandboxes: [{vlan: 101, policy: {allow: ['*']}}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	expect(send_spec(gw, SANDBOX, piece), SL_REASON_FRAGMENT);
	inproc_free(gw);
}

/* ---- multicast ---- */

/* "Other multicast (DHCP, MLD, mDNS): `protected-subnet`", also from the link-local addresses that
 * they are sent from. */
static void multicast_is_protected(void **state)
{
	struct inproc *gw = gateway(POLICY);
	static const uint16_t vlans[] = {ALL, BOTH};

	for (size_t i = 0; i < COUNT(vlans); i++) {
		uint16_t v = vlans[i];

		expect(OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "224.0.0.251",
		           .dmac = "01:00:5e:00:00:fb", .sport = 5353, .dport = 5353,
		           PKT_TEXT("x")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(OUT(gw, .proto = 2, .vlan = v, .src = INSIDE, .dst = "224.0.0.22",
		           .dmac = "01:00:5e:00:00:16", PKT_TEXT("igmp....")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "239.255.255.250",
		           .dmac = "01:00:5e:7f:ff:fa", .dport = 1900, PKT_TEXT("x")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(OUT(gw, .proto = 17, .vlan = v, .src = LINK6, .dst = "ff02::1:2",
		           .dmac = "33:33:00:01:00:02", .sport = 546, .dport = 547, PKT_TEXT("x")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(OUT(gw, .proto = 58, .vlan = v, .src = LINK6, .dst = "ff02::16",
		           .dmac = "33:33:00:00:00:16", .icmp_type = 143, PKT_TEXT("x")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(OUT(gw, .proto = 58, .vlan = v, .src = "::", .dst = "ff02::16",
		           .dmac = "33:33:00:00:00:16", .icmp_type = 143, PKT_TEXT("x")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(OUT(gw, .proto = 17, .vlan = v, .src = INSIDE6, .dst = "ff0e::1",
		           .dmac = "33:33:00:00:00:01", PKT_TEXT("x")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "224.0.0.1",
		           .dmac = "01:00:5e:00:00:01", .frag = PKT_SET(0x2000),
		           PKT_TEXT("12345678")),
		       SL_REASON_PROTECTED_SUBNET);
		expect(IN(gw, .proto = 17, .vlan = v, .src = PUBLIC, .dst = "224.0.0.1",
		          .dmac = "01:00:5e:00:00:01", PKT_TEXT("x")),
		       SL_REASON_PROTECTED_SUBNET);
	}
	/* DHCP over IPv4 is a broadcast */
	expect(OUT(gw, .proto = 17, .vlan = ALL, .src = "0.0.0.0", .dst = "255.255.255.255",
	           .dmac = "ff:ff:ff:ff:ff:ff", .sport = 68, .dport = 67, PKT_TEXT("x")),
	       SL_REASON_MALFORMED_PACKET);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* ---- ARP ---- */

/* "from the sandbox ARP ... whose sender or owner address fits the source rule and whose sender MAC
 * is the frame's". */
static void arp_of_ones_own_passes(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet request = ARP(.vlan = BOTH, .spa = INSIDE, .tpa = "10.0.0.1", .pad_to = 60);
	struct packet reply = ARP(.vlan = ALL, .op = 2, .spa = INSIDE, .tpa = "10.0.0.1",
	                          .tha = PKT_MAC_OUTER, .pad_to = 60);
	struct packet probe = ARP(.vlan = ALL, .spa = "0.0.0.0", .tpa = INSIDE, .pad_to = 60);
	struct packet announce = ARP(.vlan = ALL, .spa = INSIDE, .tpa = INSIDE, .pad_to = 60);

	expect(out_bytes(gw, &request), SL_REASON_NEIGHBOUR);
	assert_memory_equal(inproc_last(gw, UPLINK)->bytes, request.bytes, request.len);
	assert_int_equal(inproc_last(gw, UPLINK)->len, request.len);
	expect(out_bytes(gw, &reply), SL_REASON_NEIGHBOUR);
	assert_memory_equal(inproc_last(gw, UPLINK)->bytes, reply.bytes, reply.len);
	inproc_advance_s(gw, 1);
	expect(out_bytes(gw, &probe), SL_REASON_NEIGHBOUR);
	inproc_advance_s(gw, 1);
	expect(out_bytes(gw, &announce), SL_REASON_NEIGHBOUR);
	expect(inproc_send(gw, UPLINK, &reply), SL_REASON_NEIGHBOUR);
	assert_memory_equal(inproc_last(gw, SANDBOX)->bytes, reply.bytes, reply.len);
	inproc_free(gw);
}

static void arp_that_lies_is_spoofed(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101}, {vlan: 103, source: [10.0.3.2]},"
	                            " {vlan: 105, source: ['fd00::/8']}]");
	const struct arp_spec lies[] = {
	        {.vlan = 101, .spa = "8.8.8.8", .tpa = "10.0.0.1"},
	        {.vlan = 101, .spa = "169.254.1.1", .tpa = "10.0.0.1"},
	        {.vlan = 101, .op = 2, .spa = "0.0.0.0", .tpa = "10.0.0.1"},
	        {.vlan = 101, .spa = "0.0.0.0", .tpa = "8.8.8.8"},
	        {.vlan = 101, .spa = INSIDE, .tpa = "10.0.0.1", .sha = "02:00:00:00:00:99"},
	        {.vlan = 101, .op = 2, .spa = INSIDE, .tpa = "10.0.0.1", .sha = PKT_MAC_OUTER},
	        {.vlan = 103, .spa = "10.0.3.3", .tpa = "10.0.3.1"},
	        {.vlan = 103, .op = 2, .spa = "10.0.3.1", .tpa = "10.0.3.1"},
	        {.vlan = 103, .spa = "0.0.0.0", .tpa = "10.0.3.3"},
	        {.vlan = 105, .spa = "10.0.0.2", .tpa = "10.0.3.3"},
	};
	struct packet mine = ARP(.vlan = 103, .spa = "10.0.3.2", .tpa = "10.0.3.1");

	expect(out_bytes(gw, &mine), SL_REASON_NEIGHBOUR);
	inproc_clear(gw);
	for (size_t i = 0; i < COUNT(lies); i++) {
		struct packet packet = packet_arp(&lies[i]);

		expect(out_bytes(gw, &packet), SL_REASON_SOURCE_SPOOFED);
	}
	expect_nothing_left(gw);
	inproc_free(gw);
}

static void arp_of_another_form_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct arp_spec odd[] = {
	        {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .htype = PKT_SET(6)},
	        {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .ptype = PKT_SET(0x86dd)},
	        {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .hlen = PKT_SET(8)},
	        {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .plen = PKT_SET(16)},
	        {.vlan = ALL, .op = 3, .spa = INSIDE, .tpa = "10.0.0.1"},
	        {.vlan = ALL, .op = 8, .spa = INSIDE, .tpa = "10.0.0.1"},
	};

	for (size_t i = 0; i < COUNT(odd); i++) {
		struct packet packet = packet_arp(&odd[i]);

		expect(out_bytes(gw, &packet), SL_REASON_MALFORMED_PACKET);
		expect(inproc_send(gw, UPLINK, &packet), SL_REASON_MALFORMED_PACKET);
	}
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* "rebuilt to fixed length": nothing rides behind it, nor in the field that a request leaves open.
 */
static void arp_leaves_with_nothing_else_in_it(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet packet = ARP(.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1",
	                           .tha = "de:ad:be:ef:ca:fe", .pad_to = 60);

	memcpy(packet.bytes + packet.len, "smuggled behind", 15);
	memcpy(packet.bytes + 18 + 28, "in the padding", 14);
	packet.len += 15;
	expect(out_bytes(gw, &packet), SL_REASON_NEIGHBOUR);
	assert_int_equal(inproc_last(gw, UPLINK)->len, 60);
	assert_false(inproc_left(gw, UPLINK, "smuggled", 8));
	assert_false(inproc_left(gw, UPLINK, "padding", 7));
	assert_false(inproc_left(gw, UPLINK, "\xde\xad\xbe\xef", 4));
	inproc_free(gw);
}

/* "Neighbour discovery for allow-all and custom sandboxes (not deny-all), 50/s each". */
static void neighbour_discovery_is_limited_and_not_for_deny_all(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet arp = ARP(.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1");
	struct packet other = ARP(.vlan = BOTH, .spa = INSIDE, .tpa = "10.0.0.1");
	struct packet none = ARP(.vlan = NONE, .spa = INSIDE, .tpa = "10.0.0.1");
	struct packet router = ARP(.vlan = ALL, .op = 2, .spa = "10.0.0.1", .tpa = INSIDE);

	expect(inproc_send(gw, UPLINK, &router), SL_REASON_NEIGHBOUR);
	for (int i = 0; i < 50; i++)
		expect(out_bytes(gw, &arp), SL_REASON_NEIGHBOUR);
	expect(out_bytes(gw, &arp), SL_REASON_RATE_LIMIT);
	expect(out_bytes(gw, &other), SL_REASON_NEIGHBOUR);
	/* what comes from the uplink is not counted against the sandbox's own */
	expect(inproc_send(gw, UPLINK, &arp), SL_REASON_NEIGHBOUR);
	inproc_advance_s(gw, 0.1);
	for (int i = 0; i < 5; i++)
		expect(out_bytes(gw, &arp), SL_REASON_NEIGHBOUR);
	expect(out_bytes(gw, &arp), SL_REASON_RATE_LIMIT);
	inproc_clear(gw);
	expect(out_bytes(gw, &none), SL_REASON_DENY_ALL);
	expect(inproc_send(gw, UPLINK, &none), SL_REASON_DENY_ALL);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/*
 * "1/s for targets that have not answered lately (a target address is a message to whoever listens
 * on the segment)"; who has answered, or asks itself, is talked to as often as all others.
 */
static void targets_that_never_answered_are_asked_for_once_a_second(void **state)
{
	struct inproc *gw = gateway(POLICY);
	unsigned left = 0;

	for (int i = 0; i < 300; i++) {
		char text[16];

		snprintf(text, sizeof(text), "10.0.1.%d", i % 250);
		struct packet arp = ARP(.vlan = ALL, .spa = INSIDE, .tpa = text);

		left += out_bytes(gw, &arp) == SL_REASON_NEIGHBOUR;
		inproc_advance_us(gw, 10000);
	}
	assert_in_range(left, 3, 4);
	/* the honest twin: one that answered is asked again at once, for a minute */
	struct packet ask = ARP(.vlan = ALL, .spa = INSIDE, .tpa = "10.0.1.9");
	struct packet answer = ARP(.vlan = ALL, .op = 2, .spa = "10.0.1.9", .tpa = INSIDE);

	expect(inproc_send(gw, UPLINK, &answer), SL_REASON_NEIGHBOUR);
	for (int i = 0; i < 20; i++)
		expect(out_bytes(gw, &ask), SL_REASON_NEIGHBOUR);
	inproc_advance_s(gw, 61);
	expect(out_bytes(gw, &ask), SL_REASON_NEIGHBOUR);
	expect(out_bytes(gw, &ask), SL_REASON_RATE_LIMIT);
	inproc_free(gw);
}

/* ---- neighbour discovery of IPv6 ---- */

#define NS(...)   ND(.vlan = ALL, .type = 135, __VA_ARGS__)
#define NA(...)   ND(.vlan = ALL, .type = 136, __VA_ARGS__)
#define SOLICITED .dst = "ff02::1:ff00:1", .dmac = "33:33:ff:00:00:01"

static void nd_of_ones_own_passes(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet fine[] = {
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .lladdr = PKT_MAC_INNER),
	        NS(.src = INSIDE6, SOLICITED, .target = "fd00::1", .lladdr = PKT_MAC_INNER),
	        NS(.src = LINK6, .dst = "fe80::1", .target = "fe80::1", .lladdr = PKT_MAC_INNER),
	        NS(.src = INSIDE6, .dst = "fd00::1", .target = "fd00::1"),
	        /* duplicate address detection, with a nonce (RFC 7527) */
	        NS(.src = "::", SOLICITED, .target = LINK6, .nonce = "010203040506"),
	        NS(.src = "::", SOLICITED, .target = INSIDE6),
	        NA(.src = LINK6, .dst = "fe80::1", .target = LINK6, .word = 0x60000000,
	           .lladdr = PKT_MAC_INNER),
	        NA(.src = INSIDE6, .dst = "ff02::1", .dmac = "33:33:00:00:00:01", .target = INSIDE6,
	           .word = 0x20000000, .lladdr = PKT_MAC_INNER),
	        ND(.vlan = ALL, .type = 133, .src = LINK6, .dst = "ff02::2",
	           .dmac = "33:33:00:00:00:02", .lladdr = PKT_MAC_INNER),
	        ND(.vlan = ALL, .type = 133, .src = "::", .dst = "ff02::2",
	           .dmac = "33:33:00:00:00:02"),
	};

	for (size_t i = 0; i < COUNT(fine); i++) {
		const struct inproc_frame *out;

		inproc_advance_s(gw, 1);
		expect(out_bytes(gw, &fine[i]), SL_REASON_NEIGHBOUR);
		out = inproc_last(gw, UPLINK);
		assert_int_equal(out->len, fine[i].len);
		assert_memory_equal(out->bytes, fine[i].bytes, out->len);
		assert_true(out->view.l4_csum_ok);
	}
	inproc_free(gw);
}

static void nd_that_lies_is_spoofed(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, source: ['fd00::2']}]");
	struct packet lies[] = {
	        NS(.src = "2001:db8::9", SOLICITED, .target = "fe80::1"),
	        NS(.src = "fd00::3", SOLICITED, .target = "fd00::1"),
	        NS(.src = "::", SOLICITED, .target = "fd00::3"),
	        NA(.src = INSIDE6, .dst = "ff02::1", .dmac = "33:33:00:00:00:01",
	           .target = "fd00::1", .lladdr = PKT_MAC_INNER),
	        NA(.src = LINK6, .dst = "fe80::1", .target = "fd00::1"),
	        NA(.src = "::", .dst = "ff02::1", .dmac = "33:33:00:00:00:01", .target = INSIDE6),
	        ND(.vlan = ALL, .type = 133, .src = "2001:db8::9", .dst = "ff02::2",
	           .dmac = "33:33:00:00:00:02"),
	};

	for (size_t i = 0; i < COUNT(lies); i++)
		expect(out_bytes(gw, &lies[i]), SL_REASON_SOURCE_SPOOFED);
	expect_nothing_left(gw);
	inproc_free(gw);
}

static void nd_of_another_form_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet odd[] = {
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .ttl = PKT_SET(254)),
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .ttl = PKT_SET(64)),
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .l4_csum = PKT_SET(1)),
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .lladdr = "02:00:00:00:00:99"),
	        NA(.src = LINK6, .dst = "fe80::1", .target = LINK6, .lladdr = PKT_MAC_OUTER),
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .options = "0000000000000000"),
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .options = "0102020000000001"),
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .options = "0e"),
	        NS(.src = LINK6, SOLICITED),
	        ICMP6(.vlan = ALL, .src = LINK6, .dst = "ff02::1", .dmac = "33:33:00:00:00:01",
	              .ttl = PKT_SET(255), .icmp_type = 136, .icmp_code = 1,
	              PKT_TEXT("0123456789abcdef")),
	};

	for (size_t i = 0; i < COUNT(odd); i++)
		expect(out_bytes(gw, &odd[i]), SL_REASON_MALFORMED_PACKET);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* "rebuilt to fixed length (link-layer address and nonce options kept)". */
static void nd_leaves_with_nothing_else_in_it(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet packet =
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1", .lladdr = PKT_MAC_INNER,
	           .word = 0xdeadbeef, .nonce = "010203040506",
	           .options = "c8024142434445464748494a4b4c4d4e");
	struct packet many =
	        NS(.src = LINK6, SOLICITED, .target = "fe80::1",
	           .options = "0e01aaaaaaaaaaaa0e01bbbbbbbbbbbb0e01cccccccccccc0e01dddddddddddd");
	struct packet clean = NS(.src = LINK6, SOLICITED, .target = "fe80::1",
	                         .lladdr = PKT_MAC_INNER, .nonce = "010203040506");

	packet.bytes[18] = 0x6f; /* traffic class and flow label */
	packet.bytes[19] = 0xff;
	packet.bytes[20] = 0x41;
	memcpy(packet.bytes + packet.len, "smuggled", 8);
	packet.len += 8;
	expect(out_bytes(gw, &packet), SL_REASON_NEIGHBOUR);
	assert_int_equal(inproc_last(gw, UPLINK)->len, clean.len);
	assert_memory_equal(inproc_last(gw, UPLINK)->bytes, clean.bytes, clean.len);
	/* one nonce is all that a message needs */
	inproc_advance_s(gw, 1);
	expect(out_bytes(gw, &many), SL_REASON_NEIGHBOUR);
	assert_true(from_end(gw, UPLINK, 0)->l4_len <= 24 + 16);
	assert_true(from_end(gw, UPLINK, 0)->l4_csum_ok);
	inproc_free(gw);
}

static void nd_targets_that_never_answered_are_asked_for_once_a_second(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet asked =
	        ND(.vlan = ALL, .type = 135, .src = "fe80::1", .dst = "ff02::1:ff00:2",
	           .smac = PKT_MAC_OUTER, .dmac = "33:33:ff:00:00:02", .target = INSIDE6,
	           .lladdr = PKT_MAC_OUTER);
	unsigned left = 0;

	for (int i = 0; i < 300; i++) {
		char text[32];

		snprintf(text, sizeof(text), "fd00::%x", 0x1000 + i);
		struct packet ns = NS(.src = LINK6, SOLICITED, .target = text);

		left += out_bytes(gw, &ns) == SL_REASON_NEIGHBOUR;
		inproc_advance_us(gw, 10000);
	}
	assert_in_range(left, 3, 4);
	/* who asks is answered, and may be asked for */
	expect(inproc_send(gw, UPLINK, &asked), SL_REASON_NEIGHBOUR);
	for (int i = 0; i < 10; i++) {
		struct packet ns = NS(.src = LINK6, SOLICITED, .target = "fe80::1");
		struct packet na = NA(.src = INSIDE6, .dst = "fe80::1", .target = INSIDE6,
		                      .lladdr = PKT_MAC_INNER);

		expect(out_bytes(gw, &ns), SL_REASON_NEIGHBOUR);
		expect(out_bytes(gw, &na), SL_REASON_NEIGHBOUR);
	}
	inproc_free(gw);
}

/* A message of neighbour discovery is for the link: routers elsewhere would carry it further. */
static void nd_to_an_address_beyond_the_link_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet far[] = {
	        NS(.src = INSIDE6, .dst = PUBLIC6, .target = PUBLIC6, .nonce = "736563726574"),
	        NS(.src = LINK6, .dst = PUBLIC6, .target = "fe80::1"),
	        NA(.src = INSIDE6, .dst = PUBLIC6, .target = INSIDE6, .lladdr = PKT_MAC_INNER),
	        NA(.src = INSIDE6, .dst = "fd00:0:0:1::1", .target = INSIDE6),
	        ND(.vlan = ALL, .type = 133, .src = INSIDE6, .dst = PUBLIC6),
	        NA(.src = INSIDE6, .dst = "ff05::1", .dmac = "33:33:00:00:00:01",
	           .target = INSIDE6),
	        NA(.src = INSIDE6, .dst = "ff0e::1", .dmac = "33:33:00:00:00:01",
	           .target = INSIDE6),
	        NA(.src = INSIDE6, .dst = "ff12::1", .dmac = "33:33:00:00:00:01",
	           .target = INSIDE6),
	};

	for (size_t i = 0; i < COUNT(far); i++)
		expect(out_bytes(gw, &far[i]), SL_REASON_MALFORMED_PACKET);
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* "from the uplink ARP, NS, NA, RA"; from the sandbox no RA, no redirect. */
static void nd_passes_by_direction(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet ra =
	        ND(.vlan = ALL, .type = 134, .smac = PKT_MAC_OUTER, .src = "fe80::1",
	           .dst = "ff02::1", .dmac = "33:33:00:00:00:01", .lladdr = PKT_MAC_OUTER,
	           .options = "030440c000000e1000000e100000000020010db8000000000000000000000000");
	struct packet ns = ND(.vlan = ALL, .type = 135, .smac = PKT_MAC_OUTER,
	                      .dmac = "33:33:ff:00:00:02", .src = "fe80::1",
	                      .dst = "ff02::1:ff00:2", .target = INSIDE6, .lladdr = PKT_MAC_OUTER);
	struct packet redirect =
	        ND(.vlan = ALL, .type = 137, .smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER,
	           .src = "fe80::1", .dst = INSIDE6, .target = "fe80::9");
	struct packet rs = ND(.vlan = ALL, .type = 133, .smac = PKT_MAC_OUTER,
	                      .dmac = "33:33:00:00:00:02", .src = "fe80::1", .dst = "ff02::2");
	struct packet ra_out = ND(.vlan = ALL, .type = 134, .src = LINK6, .dst = "ff02::1",
	                          .dmac = "33:33:00:00:00:01", .lladdr = PKT_MAC_INNER);
	struct packet redirect_out =
	        ND(.vlan = ALL, .type = 137, .src = INSIDE6, .dst = "fd00::1", .target = "fe80::9");

	expect(inproc_send(gw, UPLINK, &ra), SL_REASON_NEIGHBOUR);
	assert_memory_equal(inproc_last(gw, SANDBOX)->bytes, ra.bytes, ra.len);
	expect(inproc_send(gw, UPLINK, &ns), SL_REASON_NEIGHBOUR);
	inproc_clear(gw);
	assert_false(sl_reason_allows(inproc_send(gw, UPLINK, &redirect)));
	assert_false(sl_reason_allows(inproc_send(gw, UPLINK, &rs)));
	assert_false(sl_reason_allows(out_bytes(gw, &ra_out)));
	assert_false(sl_reason_allows(out_bytes(gw, &redirect_out)));
	expect_nothing_left(gw);
	inproc_free(gw);
}

/* In chained mbufs all of this is the same. */
static void nd_in_chained_mbufs_passes(void **state)
{
	struct packet ns = NS(.src = LINK6, SOLICITED, .target = "fe80::1", .lladdr = PKT_MAC_INNER,
	                      .nonce = "010203040506");
	struct packet arp = ARP(.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .pad_to = 60);

	for (uint32_t segment = 1; segment < 90; segment += 3) {
		struct inproc *gw =
		        inproc_create_with(&(struct inproc_options){.policy = POLICY,
		                                                    .config = CONFIG,
		                                                    .checksums_full = true,
		                                                    .segment = segment});

		expect(out_bytes(gw, &ns), SL_REASON_NEIGHBOUR);
		assert_int_equal(inproc_last(gw, UPLINK)->len, ns.len);
		assert_memory_equal(inproc_last(gw, UPLINK)->bytes, ns.bytes, ns.len);
		expect(out_bytes(gw, &arp), SL_REASON_NEIGHBOUR);
		assert_memory_equal(inproc_last(gw, UPLINK)->bytes, arp.bytes, arp.len);
		inproc_free(gw);
	}
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(frame_keeps_its_tag_and_macs),
	        TEST(frame_without_tag_is_nobodys),
	        TEST(frame_with_odd_tags_or_llc_is_malformed),
	        TEST(frame_that_is_no_ip_is_refused),
	        TEST(frame_whose_casts_disagree_is_malformed),
	        TEST(frame_cut_at_every_length_never_leaves),
	        TEST(frame_with_a_stripped_tag_is_as_with_it),
	        TEST(ipv4_that_lies_is_malformed),
	        TEST(ipv6_that_lies_is_malformed),
	        TEST(ip_under_the_other_ethertype_is_malformed),
	        TEST(trailer_is_cut_and_padding_is_zero),
	        TEST(fragment_under_rule_three_is_refused),
	        TEST(fragment_to_an_open_address_leaves),
	        TEST(fragment_from_the_uplink_needs_a_live_flow),
	        TEST(fragments_cost_no_more_where_there_are_more_flows),
	        TEST(fragment_flow_is_cut_by_a_later_policy),
	        TEST(multicast_is_protected),
	        TEST(arp_of_ones_own_passes),
	        TEST(arp_that_lies_is_spoofed),
	        TEST(arp_of_another_form_is_malformed),
	        TEST(arp_leaves_with_nothing_else_in_it),
	        TEST(neighbour_discovery_is_limited_and_not_for_deny_all),
	        TEST(targets_that_never_answered_are_asked_for_once_a_second),
	        TEST(nd_targets_that_never_answered_are_asked_for_once_a_second),
	        TEST(nd_of_ones_own_passes),
	        TEST(nd_that_lies_is_spoofed),
	        TEST(nd_of_another_form_is_malformed),
	        TEST(nd_leaves_with_nothing_else_in_it),
	        TEST(nd_to_an_address_beyond_the_link_is_malformed),
	        TEST(nd_passes_by_direction),
	        TEST(nd_in_chained_mbufs_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
