/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_packets.c: frames and IP packets that are malformed, or of a form that is never forwarded.
 */
#include "packet_scene.h"

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
			ROW_NUMBER(types[i]);
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
		ROW_NUMBER(types[i]);
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

/*
 * Every valid frame, truncated at every length, is never forwarded and never read beyond its end.
 */
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

/*
 * If the port strips the tag from the frame, it is inserted again, and the lengths are still
 * right.
 */
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

/* Wrong lengths, versions and checksums; "IPv4 options, ... source = destination, broadcast". */
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
	for (size_t i = 0; i < COUNT(kinds); i++) {
		ROW_NUMBER(kinds[i]);
		expect(OUT(gw, .proto = 17, .vlan = ALL, V6, .next = PKT_SET(kinds[i]),
		           .ip_ext = extension, .ip_ext_len = 8, PKT_TEXT("x")),
		       SL_REASON_MALFORMED_PACKET);
	}
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

		ROW_NUMBER(segments[i]);
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
		/* a frame that is too short is padded to the minimum */
		expect(OUT(gw, .proto = 17, .vlan = ALL, V4, .sport = 1, .dport = 2, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
		assert_int_equal(inproc_last(gw, UPLINK)->len, 60);
		expect_zero_trailer(from_end(gw, UPLINK, 0));
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
