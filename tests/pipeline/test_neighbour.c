/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_neighbour.c: neighbour discovery and other multicast (spec section 6).
 */
#include "packet_scene.h"

/* ---- multicast ---- */

/* "Other multicast (DHCP, MLD, mDNS): `protected-subnet`", also from the link-local addresses that
 * they are sent from. */
static void multicast_is_protected(void **state)
{
	struct inproc *gw = gateway(POLICY);
	static const uint16_t vlans[] = {ALL, BOTH};

	for (size_t i = 0; i < COUNT(vlans); i++) {
		uint16_t v = vlans[i];

		ROW_NUMBER(vlans[i]);
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
	const struct {
		const char *what;
		struct arp_spec spec;
	} rows[] = {
	        {"a public address", {.vlan = 101, .spa = "8.8.8.8", .tpa = "10.0.0.1"}},
	        {"a link-local address", {.vlan = 101, .spa = "169.254.1.1", .tpa = "10.0.0.1"}},
	        {"a reply of no address",
	         {.vlan = 101, .op = 2, .spa = "0.0.0.0", .tpa = "10.0.0.1"}},
	        {"no address, asking for a public one",
	         {.vlan = 101, .spa = "0.0.0.0", .tpa = "8.8.8.8"}},
	        {"another MAC in the message",
	         {.vlan = 101, .spa = INSIDE, .tpa = "10.0.0.1", .sha = "02:00:00:00:00:99"}},
	        {"the router's MAC in the message",
	         {.vlan = 101, .op = 2, .spa = INSIDE, .tpa = "10.0.0.1", .sha = PKT_MAC_OUTER}},
	        {"another's address", {.vlan = 103, .spa = "10.0.3.3", .tpa = "10.0.3.1"}},
	        {"another's address in a reply",
	         {.vlan = 103, .op = 2, .spa = "10.0.3.1", .tpa = "10.0.3.1"}},
	        {"no address, asking for another's",
	         {.vlan = 103, .spa = "0.0.0.0", .tpa = "10.0.3.3"}},
	        {"IPv4 where only IPv6 is its own",
	         {.vlan = 105, .spa = "10.0.0.2", .tpa = "10.0.3.3"}},
	};
	struct packet mine = ARP(.vlan = 103, .spa = "10.0.3.2", .tpa = "10.0.3.1");

	expect(out_bytes(gw, &mine), SL_REASON_NEIGHBOUR);
	inproc_clear(gw);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct packet packet = packet_arp(&rows[i].spec);

		row(rows[i].what);
		expect(out_bytes(gw, &packet), SL_REASON_SOURCE_SPOOFED);
	}
	expect_nothing_left(gw);
	inproc_free(gw);
}

static void arp_of_another_form_is_malformed(void **state)
{
	static const struct {
		const char *what;
		struct arp_spec spec;
	} rows[] = {
	        {"hardware that is not Ethernet",
	         {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .htype = PKT_SET(6)}},
	        {"a protocol that is not IPv4",
	         {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .ptype = PKT_SET(0x86dd)}},
	        {"hardware addresses of 8 bytes",
	         {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .hlen = PKT_SET(8)}},
	        {"protocol addresses of 16 bytes",
	         {.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1", .plen = PKT_SET(16)}},
	        {"reverse request", {.vlan = ALL, .op = 3, .spa = INSIDE, .tpa = "10.0.0.1"}},
	        {"inverse request", {.vlan = ALL, .op = 8, .spa = INSIDE, .tpa = "10.0.0.1"}},
	};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct packet packet = packet_arp(&rows[i].spec);

		row(rows[i].what);
		expect(out_bytes(gw, &packet), SL_REASON_MALFORMED_PACKET);
		expect(inproc_send(gw, UPLINK, &packet), SL_REASON_MALFORMED_PACKET);
	}
	expect_nothing_left(gw);
	inproc_free(gw);
}

/*
 * "rebuilt to fixed length": nothing may follow it, nor be in the field that a request leaves
 * unused.
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
	/* messages from the uplink do not count against the sandbox's limit */
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
 * on the segment)"; targets that have answered, or ask themselves, have the normal limit only.
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

#define NS(...) ND(.vlan = ALL, .type = 135, __VA_ARGS__)

#define NA(...) ND(.vlan = ALL, .type = 136, __VA_ARGS__)

#define SOLICITED .dst = "ff02::1:ff00:1", .dmac = "33:33:ff:00:00:01"

struct named_packet {
	const char *what;
	struct packet packet;
};

static void expect_each(struct inproc *gw, const struct named_packet *rows, size_t n,
                        enum sl_reason reason)
{
	for (size_t i = 0; i < n; i++) {
		row(rows[i].what);
		expect(out_bytes(gw, &rows[i].packet), reason);
	}
}

static void nd_of_ones_own_passes(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct named_packet rows[] = {
	        {"link-local asks for the router",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .lladdr = PKT_MAC_INNER)},
	        {"own address asks for the router",
	         NS(.src = INSIDE6, SOLICITED, .target = "fd00::1", .lladdr = PKT_MAC_INNER)},
	        {"link-local asks the router directly",
	         NS(.src = LINK6, .dst = "fe80::1", .target = "fe80::1", .lladdr = PKT_MAC_INNER)},
	        {"own address asks it directly, without a MAC",
	         NS(.src = INSIDE6, .dst = "fd00::1", .target = "fd00::1")},
	        /* duplicate address detection, with a nonce (RFC 7527) */
	        {"duplicate address detection with a nonce",
	         NS(.src = "::", SOLICITED, .target = LINK6, .nonce = "010203040506")},
	        {"duplicate address detection", NS(.src = "::", SOLICITED, .target = INSIDE6)},
	        {"link-local answers", NA(.src = LINK6, .dst = "fe80::1", .target = LINK6,
	                                  .word = 0x60000000, .lladdr = PKT_MAC_INNER)},
	        {"own address is announced to all",
	         NA(.src = INSIDE6, .dst = "ff02::1", .dmac = "33:33:00:00:00:01",
	            .target = INSIDE6, .word = 0x20000000, .lladdr = PKT_MAC_INNER)},
	        {"router solicitation", ND(.vlan = ALL, .type = 133, .src = LINK6, .dst = "ff02::2",
	                                   .dmac = "33:33:00:00:00:02", .lladdr = PKT_MAC_INNER)},
	        {"router solicitation of no address",
	         ND(.vlan = ALL, .type = 133, .src = "::", .dst = "ff02::2",
	            .dmac = "33:33:00:00:00:02")},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct inproc_frame *out;

		row(rows[i].what);
		inproc_advance_s(gw, 1);
		expect(out_bytes(gw, &rows[i].packet), SL_REASON_NEIGHBOUR);
		out = inproc_last(gw, UPLINK);
		assert_int_equal(out->len, rows[i].packet.len);
		assert_memory_equal(out->bytes, rows[i].packet.bytes, out->len);
		assert_true(out->view.l4_csum_ok);
	}
	inproc_free(gw);
}

static void nd_that_lies_is_spoofed(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, source: ['fd00::2']}]");
	struct named_packet rows[] = {
	        {"a public source", NS(.src = "2001:db8::9", SOLICITED, .target = "fe80::1")},
	        {"another's source", NS(.src = "fd00::3", SOLICITED, .target = "fd00::1")},
	        {"no source, for another's address",
	         NS(.src = "::", SOLICITED, .target = "fd00::3")},
	        {"an advertisement of another's address",
	         NA(.src = INSIDE6, .dst = "ff02::1", .dmac = "33:33:00:00:00:01",
	            .target = "fd00::1", .lladdr = PKT_MAC_INNER)},
	        {"link-local advertises another's address",
	         NA(.src = LINK6, .dst = "fe80::1", .target = "fd00::1")},
	        {"an advertisement of no source",
	         NA(.src = "::", .dst = "ff02::1", .dmac = "33:33:00:00:00:01", .target = INSIDE6)},
	        {"a router solicitation of a public source",
	         ND(.vlan = ALL, .type = 133, .src = "2001:db8::9", .dst = "ff02::2",
	            .dmac = "33:33:00:00:00:02")},
	};

	expect_each(gw, rows, COUNT(rows), SL_REASON_SOURCE_SPOOFED);
	expect_nothing_left(gw);
	inproc_free(gw);
}

static void nd_of_another_form_is_malformed(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct named_packet rows[] = {
	        {"hop limit 254",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .ttl = PKT_SET(254))},
	        {"hop limit 64",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .ttl = PKT_SET(64))},
	        {"wrong checksum",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .l4_csum = PKT_SET(1))},
	        {"another MAC in the option",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .lladdr = "02:00:00:00:00:99")},
	        {"the router's MAC in the option",
	         NA(.src = LINK6, .dst = "fe80::1", .target = LINK6, .lladdr = PKT_MAC_OUTER)},
	        {"an option of no length",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .options = "0000000000000000")},
	        {"an option that does not end",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .options = "0102020000000001")},
	        {"an option of one byte",
	         NS(.src = LINK6, SOLICITED, .target = "fe80::1", .options = "0e")},
	        {"no target", NS(.src = LINK6, SOLICITED)},
	        {"an advertisement with a code",
	         ICMP6(.vlan = ALL, .src = LINK6, .dst = "ff02::1", .dmac = "33:33:00:00:00:01",
	               .ttl = PKT_SET(255), .icmp_type = 136, .icmp_code = 1,
	               PKT_TEXT("0123456789abcdef"))},
	};

	expect_each(gw, rows, COUNT(rows), SL_REASON_MALFORMED_PACKET);
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
	/* a host that asks is answered, and may be asked for */
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
	struct named_packet rows[] = {
	        {"solicitation of a public target",
	         NS(.src = INSIDE6, .dst = PUBLIC6, .target = PUBLIC6, .nonce = "736563726574")},
	        {"solicitation to a public address",
	         NS(.src = LINK6, .dst = PUBLIC6, .target = "fe80::1")},
	        {"advertisement to a public address",
	         NA(.src = INSIDE6, .dst = PUBLIC6, .target = INSIDE6, .lladdr = PKT_MAC_INNER)},
	        {"advertisement to another network",
	         NA(.src = INSIDE6, .dst = "fd00:0:0:1::1", .target = INSIDE6)},
	        {"router solicitation to a public address",
	         ND(.vlan = ALL, .type = 133, .src = INSIDE6, .dst = PUBLIC6)},
	        {"advertisement to a site", NA(.src = INSIDE6, .dst = "ff05::1",
	                                       .dmac = "33:33:00:00:00:01", .target = INSIDE6)},
	        {"advertisement to the world", NA(.src = INSIDE6, .dst = "ff0e::1",
	                                          .dmac = "33:33:00:00:00:01", .target = INSIDE6)},
	        {"advertisement to a transient group",
	         NA(.src = INSIDE6, .dst = "ff12::1", .dmac = "33:33:00:00:00:01",
	            .target = INSIDE6)},
	};

	expect_each(gw, rows, COUNT(rows), SL_REASON_MALFORMED_PACKET);
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
