/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_flows.c: policies by address, flows and what becomes of them (spec sections 1 and 2): modes,
 * the order of the rules, sources, states, timeouts, ICMP, limits, answers, and what a later policy
 * does to flows that are open.
 */
#include <time.h>

#include "scene.h"

#define INSIDE  "10.0.0.2"
#define PUBLIC  "198.51.100.10"
#define INSIDE6 "fd00::2"
#define PUBLIC6 "2001:db8:7::1"

#define ALL  101 /* allow-all */
#define NONE 102 /* deny-all */
#define NETS 103 /* addresses alone */
#define BOTH 104 /* names and addresses */

#define POLICY                                                                                     \
	"sandboxes:\n"                                                                             \
	"  - {vlan: 101, name: all}\n"                                                             \
	"  - {vlan: 102, name: none, policy: deny-all}\n"                                          \
	"  - vlan: 103\n"                                                                          \
	"    policy:\n"                                                                            \
	"      subnets:\n"                                                                         \
	"        allow: [203.0.113.0/24, 10.1.0.0/16, 10.9.9.9, '2001:db8:20::/48', "              \
	"'fd00:1::/32',"                                                                           \
	"                '64:ff9b::/96']\n"                                                        \
	"        deny: [10.1.2.0/24, 203.0.113.128/25, '2001:db8:20:f::/64', 192.0.2.0/24]\n"      \
	"  - vlan: 104\n"                                                                          \
	"    policy:\n"                                                                            \
	"      allow: [good.example]\n"                                                            \
	"      subnets: {allow: [203.0.113.0/24], deny: [203.0.113.64/26, 198.51.100.128/25]}\n"

static enum sl_reason udp_to(struct inproc *gw, uint16_t vlan, const char *dst)
{
	return OUT(gw, .proto = 17, .vlan = vlan, .src = strchr(dst, ':') ? INSIDE6 : INSIDE,
	           .dst = dst, .sport = 5000, .dport = 6000, PKT_TEXT("x"));
}

static enum sl_reason syn_to(struct inproc *gw, uint16_t vlan, const char *dst, uint16_t dport)
{
	return OUT(gw, .proto = 6, .vlan = vlan, .src = strchr(dst, ':') ? INSIDE6 : INSIDE,
	           .dst = dst, .sport = 5000, .dport = dport, .flags = TCP_SYN, .seq = 77);
}

static struct conn conn_to(struct inproc *gw, uint16_t vlan, const char *dst)
{
	struct conn c = conn_of(gw);

	c.vlan = vlan;
	c.server = dst;
	return c;
}

/* ---- section 1: modes and rules ---- */

/* "allow-all ... reaches the public Internet with any protocol." */
static void allow_all_public_address_takes_any_protocol(void **state)
{
	static const uint8_t protocols[] = {2, 4, 41, 47, 50, 89, 132, 255};
	struct inproc *gw = gateway(POLICY);

	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, ALL, PUBLIC6), SL_REASON_ALLOW_ALL);
	expect(syn_to(gw, ALL, PUBLIC, 22), SL_REASON_ALLOW_ALL);
	expect(syn_to(gw, ALL, PUBLIC6, 80), SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8,
	           .icmp_rest = 0x00070001),
	       SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 58, .vlan = ALL, .src = INSIDE6, .dst = PUBLIC6, .icmp_type = 128,
	           .icmp_rest = 0x00070001),
	       SL_REASON_ALLOW_ALL);
	for (size_t i = 0; i < COUNT(protocols); i++) {
		expect(OUT(gw, .proto = protocols[i], .vlan = ALL, .src = INSIDE, .dst = PUBLIC,
		           PKT_TEXT("12345678")),
		       SL_REASON_ALLOW_ALL);
		expect(IN(gw, .proto = protocols[i], .vlan = ALL, .src = PUBLIC, .dst = INSIDE,
		          PKT_TEXT("12345678")),
		       SL_REASON_ALLOW_ALL);
		expect(IN(gw, .proto = protocols[i] ^ 1, .vlan = ALL, .src = PUBLIC, .dst = INSIDE,
		          PKT_TEXT("12345678")),
		       protocols[i] == 2 || protocols[i] == 255 ? SL_REASON_NO_FLOW
		                                                : SL_REASON_NO_FLOW);
	}
	inproc_free(gw);
}

/* "deny-all lets nothing out, DNS included", and "deny-all answers its sandbox too". */
static void deny_all_lets_nothing_out_and_says_so(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(syn_to(gw, NONE, PUBLIC, 443), SL_REASON_DENY_ALL);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, 0, 78);
	expect(udp_to(gw, NONE, PUBLIC), SL_REASON_DENY_ALL);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_type, 3);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	expect(OUT(gw, .proto = 17, .vlan = NONE, .src = INSIDE, .dst = "203.0.113.53",
	           .sport = 5353, .dport = 53, PKT_TEXT("x")),
	       SL_REASON_DENY_ALL);
	expect(OUT(gw, .proto = 1, .vlan = NONE, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8),
	       SL_REASON_DENY_ALL);
	expect(OUT(gw, .proto = 47, .vlan = NONE, .src = INSIDE, .dst = PUBLIC, PKT_TEXT("x")),
	       SL_REASON_DENY_ALL);
	expect(IN(gw, .proto = 17, .vlan = NONE, .src = PUBLIC, .dst = INSIDE, PKT_TEXT("x")),
	       SL_REASON_DENY_ALL);
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 5);
	inproc_free(gw);
}

/* "`{}`, empty lists, and a policy with only `subnets.deny` are deny-all, DNS included." */
static void empty_policies_are_deny_all(void **state)
{
	static const char *const policies[] = {
	        "{}",
	        "{allow: []}",
	        "{allow: {}}",
	        "{subnets: {}}",
	        "{subnets: {allow: []}}",
	        "{subnets: {deny: [192.0.2.0/24]}}",
	        "{allow: [], subnets: {allow: [], deny: [192.0.2.0/24]}}",
	        "deny-all"};

	for (size_t i = 0; i < COUNT(policies); i++) {
		char text[256];
		struct inproc *gw;

		snprintf(text, sizeof(text), "sandboxes: [{vlan: 101, policy: %s}]", policies[i]);
		gw = gateway(text);
		expect(syn_to(gw, 101, PUBLIC, 443), SL_REASON_DENY_ALL);
		expect(udp_to(gw, 101, "192.0.2.1"), SL_REASON_DENY_ALL);
		expect(OUT(gw, .proto = 17, .vlan = 101, .src = INSIDE, .dst = "203.0.113.53",
		           .sport = 5, .dport = 53, PKT_TEXT("x")),
		       SL_REASON_DENY_ALL);
		inproc_free(gw);
	}
}

/* "an address in `subnets.deny` is denied, whatever else allows it and whatever the prefix lengths
 * ... (`subnet-denied`, at the first packet)". */
static void subnet_deny_beats_everything(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct inproc *wide =
	        gateway("sandboxes: [{vlan: 101, policy: {allow: ['*'],"
	                " subnets: {allow: [10.1.0.0/16, 10.1.1.1], deny: [10.0.0.0/8]}}}]");

	expect(syn_to(gw, NETS, "10.1.1.1", 22), SL_REASON_SUBNET_ALLOWED);
	expect(syn_to(gw, NETS, "10.1.2.1", 22), SL_REASON_SUBNET_DENIED);
	expect(syn_to(gw, NETS, "203.0.113.127", 22), SL_REASON_SUBNET_ALLOWED);
	expect(syn_to(gw, NETS, "203.0.113.128", 22), SL_REASON_SUBNET_DENIED);
	expect(syn_to(gw, NETS, "2001:db8:20:e::1", 22), SL_REASON_SUBNET_ALLOWED);
	expect(syn_to(gw, NETS, "2001:db8:20:f::1", 22), SL_REASON_SUBNET_DENIED);
	expect(syn_to(gw, BOTH, "198.51.100.127", 443), SL_REASON_NONE);
	expect(syn_to(gw, BOTH, "198.51.100.128", 443), SL_REASON_SUBNET_DENIED);
	expect(syn_to(gw, BOTH, "203.0.113.64", 443), SL_REASON_SUBNET_DENIED);
	/* a shorter prefix denies as well */
	expect(syn_to(wide, 101, "10.1.1.1", 443), SL_REASON_SUBNET_DENIED);
	expect(udp_to(wide, 101, "10.1.1.1"), SL_REASON_SUBNET_DENIED);
	inproc_free(wide);
	inproc_free(gw);
}

/* "an address in `subnets.allow` is allowed, for any protocol, with no look at names". */
static void subnet_allow_takes_any_protocol_and_looks_at_no_name(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, BOTH, "203.0.113.5");
	static struct hello evil;

	c.dport = 22;
	handshake(&c);
	expect(server(&c, 0, 0, "SSH-2.0-x\r\n", 11), SL_REASON_SUBNET_ALLOWED);
	assert_true(packet_view_says(from_end(gw, SANDBOX, 0), "SSH-2.0-x\r\n"));
	c = conn_to(gw, BOTH, "203.0.113.5");
	handshake(&c);
	hello_for(&evil, DENIED);
	expect(client(&c, 0, evil.bytes, evil.len), SL_REASON_SUBNET_ALLOWED);
	expect_server_sees(&c, evil.bytes, evil.len);
	expect(udp_to(gw, BOTH, "203.0.113.5"), SL_REASON_SUBNET_ALLOWED);
	expect(OUT(gw, .proto = 17, .vlan = BOTH, .src = INSIDE, .dst = "203.0.113.5", .sport = 7,
	           .dport = 53, PKT_TEXT("no DNS at all")),
	       SL_REASON_SUBNET_ALLOWED);
	expect(OUT(gw, .proto = 1, .vlan = BOTH, .src = INSIDE, .dst = "203.0.113.5",
	           .icmp_type = 8),
	       SL_REASON_SUBNET_ALLOWED);
	expect(OUT(gw, .proto = 47, .vlan = BOTH, .src = INSIDE, .dst = "203.0.113.5",
	           PKT_TEXT("gre")),
	       SL_REASON_SUBNET_ALLOWED);
	inproc_free(gw);
}

/* "else it is denied at the first packet (`address-not-allowed`)". */
static void address_in_no_rule_is_denied_at_the_first_packet(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(syn_to(gw, NETS, PUBLIC, 443), SL_REASON_ADDRESS_NOT_ALLOWED);
	expect(udp_to(gw, NETS, PUBLIC), SL_REASON_ADDRESS_NOT_ALLOWED);
	expect(udp_to(gw, NETS, PUBLIC6), SL_REASON_ADDRESS_NOT_ALLOWED);
	/* "A policy with subnets and no patterns opens no DNS but rule 2's" */
	expect(OUT(gw, .proto = 17, .vlan = NETS, .src = INSIDE, .dst = "198.51.100.53", .sport = 7,
	           .dport = 53, PKT_TEXT("x")),
	       SL_REASON_ADDRESS_NOT_ALLOWED);
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	inproc_free(gw);
}

/* "Under rule 3 ICMP echo and every protocol but TCP and UDP is `protocol-not-allowed`." */
static void rule_three_takes_only_tcp_and_udp(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 1, .vlan = BOTH, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8),
	       SL_REASON_PROTOCOL_NOT_ALLOWED);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	for (int proto = 0; proto < 256; proto++) {
		if (proto == 1 || proto == 6 || proto == 17)
			continue;
		expect(OUT(gw, .proto = (uint8_t)proto, .vlan = BOTH, .src = INSIDE, .dst = PUBLIC,
		           PKT_TEXT("12345678")),
		       SL_REASON_PROTOCOL_NOT_ALLOWED);
	}
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	inproc_free(gw);
}

/* "A frame of a VLAN with no sandbox is dropped." */
static void vlan_without_sandbox_is_dropped_in_silence(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(udp_to(gw, 999, PUBLIC), SL_REASON_UNKNOWN_SANDBOX);
	expect(syn_to(gw, 4094, PUBLIC, 80), SL_REASON_UNKNOWN_SANDBOX);
	expect(OUT(gw, .proto = 17, .vlan = 0, .src = INSIDE, .dst = PUBLIC, PKT_TEXT("x")),
	       SL_REASON_UNKNOWN_SANDBOX);
	expect(IN(gw, .proto = 17, .vlan = 999, .src = PUBLIC, .dst = INSIDE, PKT_TEXT("x")),
	       SL_REASON_UNKNOWN_SANDBOX);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* "Nothing is forwarded before the first policy is loaded." */
static void nothing_is_forwarded_before_the_first_policy(void **state)
{
	struct inproc *gw = gateway(NULL);
	struct packet arp = ARP(.vlan = ALL, .spa = INSIDE, .tpa = "10.0.0.1");

	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_UNKNOWN_SANDBOX);
	expect(inproc_send(gw, SANDBOX, &arp), SL_REASON_UNKNOWN_SANDBOX);
	expect(IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, PKT_TEXT("x")),
	       SL_REASON_UNKNOWN_SANDBOX);
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	assert_int_equal(inproc_event(gw, 0)->generation, 0);
	assert_int_equal(inproc_push(gw, POLICY), 1);
	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* "`internal` ranges ...: neither rule 3 nor allow-all opens them, only an explicit
 * `subnets.allow`." */
static void internal_range_opens_by_subnet_alone(void **state)
{
	static const char *const internal[] = {"10.0.0.1",        "10.255.255.255", "172.16.0.1",
	                                       "172.31.255.254",  "192.168.0.1",    "100.64.0.1",
	                                       "100.127.255.255", "fc00::1",        "fdff::1"};
	static const char *const outside[] = {"9.255.255.255",  "11.0.0.0",        "172.15.255.255",
	                                      "172.32.0.0",     "192.167.255.255", "192.169.0.0",
	                                      "100.63.255.255", "100.128.0.0",     "fbff::1",
	                                      "fe00::1"};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(internal); i++) {
		expect(udp_to(gw, ALL, internal[i]), SL_REASON_INTERNAL_SUBNET);
		expect(syn_to(gw, BOTH, internal[i], 443), SL_REASON_INTERNAL_SUBNET);
	}
	for (size_t i = 0; i < COUNT(outside); i++) {
		expect(udp_to(gw, ALL, outside[i]), SL_REASON_ALLOW_ALL);
		expect(syn_to(gw, BOTH, outside[i], 443), SL_REASON_NONE);
	}
	expect(udp_to(gw, NETS, "10.1.0.1"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_to(gw, NETS, "10.9.9.9"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_to(gw, NETS, "10.9.9.8"), SL_REASON_ADDRESS_NOT_ALLOWED);
	expect(udp_to(gw, NETS, "fd00:1::1"), SL_REASON_SUBNET_ALLOWED);
	inproc_free(gw);
}

/* "`protected` ranges: nothing opens them", the built-in ones and the config's. */
static void protected_range_opens_by_nothing(void **state)
{
	static const char *const protected[] = {"0.0.0.1",         "0.255.255.255",
	                                        "127.0.0.1",       "127.255.255.254",
	                                        "169.254.169.254", "192.0.0.1",
	                                        "192.0.0.255",     "240.0.0.1",
	                                        "255.255.255.254", "::2",
	                                        "::10.0.0.1",      "::ffff:198.51.100.10",
	                                        "fe80::1",         "febf::1",
	                                        "2001::1",         "2001:0:ffff::1",
	                                        "2002::1",         "2002:c633:640a::1",
	                                        "198.18.0.1",      "198.19.255.255"};
	struct inproc *gw = gateway_with("sandboxes:\n"
	                                 "  - {vlan: 101}\n"
	                                 "  - {vlan: 103, policy: {allow: ['*'], subnets: {allow: "
	                                 "[0.0.0.0/0, '::/0', 169.254.169.254]}}}\n",
	                                 CONFIG "protected: [198.18.0.0/15]\n");

	expect(udp_to(gw, 103, "198.20.0.0"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_to(gw, 103, "1.0.0.0"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_to(gw, 103, "2001:1::1"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_to(gw, 103, "2003::1"), SL_REASON_SUBNET_ALLOWED);
	inproc_clear(gw);
	for (size_t i = 0; i < COUNT(protected); i++) {
		expect(udp_to(gw, 103, protected[i]), SL_REASON_PROTECTED_SUBNET);
		expect(udp_to(gw, 101, protected[i]), SL_REASON_PROTECTED_SUBNET);
		expect(syn_to(gw, 103, protected[i], 443), SL_REASON_PROTECTED_SUBNET);
	}
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	inproc_free(gw);
}

/* "An address in 64:ff9b::/96 or 64:ff9b:1::/48 is denied, internal or protected if either its IPv6
 * form or the IPv4 address in it is; it is allowed only by its IPv6 form." */
static void nat64_address_is_judged_in_both_forms(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(udp_to(gw, ALL, "64:ff9b::198.51.100.10"), SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, ALL, "64:ff9b::10.0.0.1"), SL_REASON_INTERNAL_SUBNET);
	expect(udp_to(gw, ALL, "64:ff9b::127.0.0.1"), SL_REASON_PROTECTED_SUBNET);
	expect(udp_to(gw, ALL, "64:ff9b::169.254.169.254"), SL_REASON_PROTECTED_SUBNET);
	expect(udp_to(gw, ALL, "64:ff9b::0.0.0.0"), SL_REASON_PROTECTED_SUBNET);
	/* the local-use prefix, as a /96 and as a /48 (RFC 6052: around byte 8) */
	expect(udp_to(gw, ALL, "64:ff9b:1::198.51.100.10"), SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, ALL, "64:ff9b:1::10.0.0.1"), SL_REASON_INTERNAL_SUBNET);
	expect(udp_to(gw, ALL, "64:ff9b:1:c633:64:a00::"), SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, ALL, "64:ff9b:1:0a00:0:0100::"), SL_REASON_INTERNAL_SUBNET);
	expect(udp_to(gw, ALL, "64:ff9b:1:a9fe:a9:fe00::"), SL_REASON_PROTECTED_SUBNET);
	/* denied by the IPv4 form, allowed by the IPv6 form, never by the IPv4 form */
	expect(udp_to(gw, NETS, "64:ff9b::198.51.100.10"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_to(gw, NETS, "64:ff9b::192.0.2.1"), SL_REASON_SUBNET_DENIED);
	expect(udp_to(gw, NETS, "64:ff9b::10.0.0.1"), SL_REASON_SUBNET_ALLOWED);
	expect(udp_to(gw, BOTH, "64:ff9b::203.0.113.65"), SL_REASON_SUBNET_DENIED);
	expect(syn_to(gw, BOTH, "64:ff9b::203.0.113.5", 443), SL_REASON_NONE);
	expect(syn_to(gw, BOTH, "64:ff9b::10.0.0.5", 443), SL_REASON_INTERNAL_SUBNET);
	inproc_free(gw);
}

/* ---- sources ---- */

static enum sl_reason udp_from(struct inproc *gw, uint16_t vlan, const char *src)
{
	return OUT(gw, .proto = 17, .vlan = vlan, .src = src,
	           .dst = strchr(src, ':') ? PUBLIC6 : PUBLIC, .sport = 5, .dport = 6,
	           PKT_TEXT("x"));
}

/* "Without, a source outside 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7 is
 * [source-spoofed]. Link-local and :: pass for neighbour discovery only." */
static void source_without_a_rule_is_private(void **state)
{
	static const char *const fine[] = {"10.0.0.1",   "172.16.0.1", "172.31.9.9", "192.168.3.3",
	                                   "100.64.0.9", "fc00::1",    "fd12::1"};
	static const char *const spoofed[] = {
	        "8.8.8.8",     "172.32.0.1", "192.169.0.1", "100.128.0.1", "127.0.0.1",
	        "169.254.1.1", "0.0.0.0",    "224.0.0.1",   "2001:db8::1", "fe80::1",
	        "::",          "::1",        "ff02::1"};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(fine); i++)
		expect(udp_from(gw, ALL, fine[i]), SL_REASON_ALLOW_ALL);
	inproc_clear(gw);
	for (size_t i = 0; i < COUNT(spoofed); i++) {
		expect(udp_from(gw, ALL, spoofed[i]), SL_REASON_SOURCE_SPOOFED);
		expect(udp_from(gw, NONE, spoofed[i]), SL_REASON_SOURCE_SPOOFED);
	}
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* "With `source`, other source addresses are `source-spoofed`; a family that is not listed has no
 * address." */
static void source_with_a_rule_is_as_listed(void **state)
{
	struct inproc *gw = gateway("sandboxes:\n"
	                            "  - {vlan: 101, source: [10.0.3.2/32, 198.51.100.64/26]}\n"
	                            "  - {vlan: 102, source: ['2001:db8:1::2']}\n"
	                            "  - {vlan: 103, source: []}\n");

	expect(udp_from(gw, 101, "10.0.3.2"), SL_REASON_ALLOW_ALL);
	expect(udp_from(gw, 101, "198.51.100.65"), SL_REASON_ALLOW_ALL);
	expect(udp_from(gw, 101, "10.0.3.3"), SL_REASON_SOURCE_SPOOFED);
	expect(udp_from(gw, 101, "198.51.100.63"), SL_REASON_SOURCE_SPOOFED);
	expect(udp_from(gw, 101, "fd00::1"), SL_REASON_SOURCE_SPOOFED);
	expect(udp_from(gw, 102, "2001:db8:1::2"), SL_REASON_ALLOW_ALL);
	expect(udp_from(gw, 102, "2001:db8:1::3"), SL_REASON_SOURCE_SPOOFED);
	expect(udp_from(gw, 102, "10.0.0.1"), SL_REASON_SOURCE_SPOOFED);
	expect(udp_from(gw, 103, "10.0.0.1"), SL_REASON_SOURCE_SPOOFED);
	inproc_free(gw);
}

/* ---- section 2: flows ---- */

/* "From the uplink only packets of known flows pass." */
static void uplink_packet_of_no_flow_is_dropped_in_silence(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("x")),
	       SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 6, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 1, .dport = 2,
	          .flags = TCP_SYN),
	       SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 6, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 1, .dport = 2,
	          .flags = TCP_ACK),
	       SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 1, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .icmp_type = 8),
	       SL_REASON_NO_FLOW);
	expect(IN(gw, .proto = 47, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, PKT_TEXT("x")),
	       SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* "key (VLAN, protocol, sandbox address and port, remote address and port)": all of it. */
static void uplink_packet_must_match_the_whole_key(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct packet_spec answer = {.proto = 17,
	                                   .vlan = ALL,
	                                   .src = PUBLIC,
	                                   .dst = INSIDE,
	                                   .sport = 6000,
	                                   .dport = 5000,
	                                   PKT_TEXT("x")};
	struct packet_spec other;

	udp_to(gw, ALL, PUBLIC);
	expect(send_spec(gw, UPLINK, answer), SL_REASON_ALLOW_ALL);
	assert_true(packet_view_says(from_end(gw, SANDBOX, 0), "x"));
	other = answer, other.vlan = BOTH;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = answer, other.src = "198.51.100.11";
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = answer, other.dst = "10.0.0.3";
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = answer, other.sport = 6001;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = answer, other.dport = 5001;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	other = answer, other.proto = 6, other.flags = TCP_ACK;
	expect(send_spec(gw, UPLINK, other), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* "The same inside address on two VLANs is two sandboxes." */
static void same_address_on_two_vlans_is_two_sandboxes(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, NETS, PUBLIC), SL_REASON_ADDRESS_NOT_ALLOWED);
	expect(udp_to(gw, NETS, "203.0.113.1"), SL_REASON_SUBNET_ALLOWED);
	expect(IN(gw, .proto = 17, .vlan = NETS, .src = "203.0.113.1", .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("x")),
	       SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(from_end(gw, SANDBOX, 0)->tci, NETS);
	expect(IN(gw, .proto = 17, .vlan = ALL, .src = "203.0.113.1", .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("x")),
	       SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* "A TCP packet that is no SYN and belongs to no flow is refused", with a RST. */
static void tcp_without_flow_is_reset(void **state)
{
	struct inproc *gw = gateway(POLICY);

	expect(OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 9,
	           .dport = 443, .flags = TCP_ACK | TCP_PSH, .seq = 100, .ack = 555,
	           PKT_TEXT("data")),
	       SL_REASON_NO_FLOW);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST, 555, 0);
	assert_string_equal(from_end(gw, SANDBOX, 0)->src_text, PUBLIC);
	assert_int_equal(from_end(gw, SANDBOX, 0)->sport, 443);
	expect(OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 9,
	           .dport = 443, .flags = TCP_SYN | TCP_ACK, .ack = 7),
	       SL_REASON_NO_FLOW);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST, 7, 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 2);
	/* never a RST for a RST */
	expect(OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 9,
	           .dport = 443, .flags = TCP_RST),
	       SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(gw, SANDBOX), 2);
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	inproc_free(gw);
}

/* States of a plain connection: from SYN to both FINs, and what does not fit is refused. */
static void tcp_states_follow_the_flags(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, "early", 5), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN | TCP_ACK), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT), SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	expect(server(&c, 0, 4, "data", 4), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, SERVER, .flags = TCP_SYN), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = 4, .ack = 4),
	       SL_REASON_ALLOW_ALL);
	expect(server(&c, 4, 5, "more", 4), SL_REASON_ALLOW_ALL);
	expect(SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = 8, .ack = 5),
	       SL_REASON_ALLOW_ALL);
	expect(SEND(&c, CLIENT, .at = 5, .ack = 9), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 9);
	expect(SEND(&c, CLIENT, .at = 5, .ack = 9), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 11);
	expect(SEND(&c, CLIENT, .at = 5, .ack = 9), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* "Timeouts (configurable): established TCP ... (at its end both sides are reset), opening 30 s,
 * closing 10 s, UDP ..., ICMP ..." */
static void flows_live_as_long_as_their_timeouts(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "timeouts: {tcp-established: 40, udp: 20, icmp: 10}\n");
	struct conn c = conn_to(gw, ALL, PUBLIC), half = conn_to(gw, ALL, PUBLIC),
	            reset = conn_to(gw, ALL, PUBLIC);
	const struct packet_spec pong = {.proto = 1,
	                                 .vlan = ALL,
	                                 .src = PUBLIC,
	                                 .dst = INSIDE,
	                                 .icmp_type = 0,
	                                 .icmp_rest = 0x00070001};
	const struct packet_spec answer = {.proto = 17,
	                                   .vlan = ALL,
	                                   .src = PUBLIC,
	                                   .dst = INSIDE,
	                                   .sport = 6000,
	                                   .dport = 5000,
	                                   PKT_TEXT("x")};

	handshake(&c);
	handshake(&reset);
	SEND(&half, CLIENT, .flags = TCP_SYN);
	SEND(&reset, CLIENT, .flags = TCP_RST | TCP_ACK);
	udp_to(gw, ALL, PUBLIC);
	OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8,
	    .icmp_rest = 0x00070001);
	assert_int_equal(inproc_stats(gw, 0)->flows, 5);
	inproc_advance_s(gw, 9.7);
	assert_int_equal(inproc_stats(gw, 0)->flows, 5);
	expect(send_spec(gw, UPLINK, pong), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 0.5); /* closing is over */
	assert_int_equal(inproc_stats(gw, 0)->flows, 4);
	expect(SEND(&reset, SERVER), SL_REASON_NO_FLOW);
	inproc_advance_s(gw, 9); /* 19.2: the echo's time began anew */
	expect(send_spec(gw, UPLINK, pong), SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, answer), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 10.6); /* 29.8 */
	expect(send_spec(gw, UPLINK, pong), SL_REASON_NO_FLOW);
	expect(SEND(&half, SERVER), SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, answer), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 20.3); /* 50.1 */
	expect(send_spec(gw, UPLINK, answer), SL_REASON_NO_FLOW);
	expect_segment(from_end(gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1, c.irs + 1);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, c.irs + 1, c.iss + 1);
	expect(client(&c, 0, "x", 1), SL_REASON_NO_FLOW);
	inproc_advance_s(gw, 15);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	inproc_free(gw);
}

/* A flow that is over is over at that moment, not when the next look at the table finds it. */
static void flow_that_expired_is_not_revived_by_the_uplink(void **state)
{
	struct inproc *gw = gateway(POLICY);

	udp_to(gw, ALL, PUBLIC);
	inproc_advance_us(gw, 119900000);
	expect(IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("x")),
	       SL_REASON_ALLOW_ALL);
	inproc_advance_us(gw, 120000000);
	expect(IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("x")),
	       SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* A new SYN on a live connection is a new flow, judged by the policy of now. */
static void new_syn_on_a_live_flow_is_judged_again(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	c.iss += 1000000;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_stats(gw, 0)->flows, 1);
	assert_int_equal(inproc_stats(gw, 0)->flows_opened, 2);
	expect(client(&c, 0, "data", 4), SL_REASON_NO_FLOW);
	expect(SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK), SL_REASON_ALLOW_ALL);
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* ---- ICMP ---- */

/* An echo's flow is its id: replies of another id, and requests, do not come in. */
static void icmp_echo_passes_by_its_id(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet_spec reply = {.proto = 1,
	                            .vlan = ALL,
	                            .src = PUBLIC,
	                            .dst = INSIDE,
	                            .icmp_type = 0,
	                            .icmp_rest = 0x00070001};

	expect(OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8,
	           .icmp_rest = 0x00070001, PKT_TEXT("ping")),
	       SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, reply), SL_REASON_ALLOW_ALL);
	reply.icmp_rest = 0x00070002;
	expect(send_spec(gw, UPLINK, reply), SL_REASON_ALLOW_ALL);
	reply.icmp_rest = 0x00080001;
	expect(send_spec(gw, UPLINK, reply), SL_REASON_NO_FLOW);
	reply.icmp_rest = 0x00070001;
	for (int type = 1; type < 256; type++) {
		reply.icmp_type = (uint8_t)type;
		if (type != 14)
			expect(send_spec(gw, UPLINK, reply), SL_REASON_NO_FLOW);
	}
	inproc_free(gw);
}

static void icmp6_echo_passes_by_its_id(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet_spec reply = {.proto = 58,
	                            .vlan = ALL,
	                            .src = PUBLIC6,
	                            .dst = INSIDE6,
	                            .icmp_type = 129,
	                            .icmp_rest = 0x00070001};

	expect(OUT(gw, .proto = 58, .vlan = ALL, .src = INSIDE6, .dst = PUBLIC6, .icmp_type = 128,
	           .icmp_rest = 0x00070001, PKT_TEXT("ping")),
	       SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, reply), SL_REASON_ALLOW_ALL);
	for (int type = 0; type < 256; type++) {
		reply.icmp_type = (uint8_t)type;
		if (type != 129 && type != 134 && type != 135 && type != 136)
			expect(send_spec(gw, UPLINK, reply), SL_REASON_NO_FLOW);
	}
	inproc_free(gw);
}

/* What a sandbox sends of its own accord but queries and errors is refused, in silence. */
static void icmp_reply_and_redirect_of_a_sandbox_are_refused(void **state)
{
	static const uint8_t types4[] = {0, 4, 5, 9, 10, 14, 15, 17, 30, 42};
	static const uint8_t types6[] = {0, 100, 129, 130, 131, 134, 137, 138, 143, 151, 200};
	struct inproc *gw = gateway(POLICY);

	for (size_t i = 0; i < COUNT(types4); i++)
		expect(OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC,
		           .icmp_type = types4[i]),
		       SL_REASON_PROTOCOL_NOT_ALLOWED);
	for (size_t i = 0; i < COUNT(types6); i++)
		expect(OUT(gw, .proto = 58, .vlan = ALL, .src = INSIDE6, .dst = PUBLIC6,
		           .icmp_type = types6[i]),
		       SL_REASON_PROTOCOL_NOT_ALLOWED);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* The IP packet of a frame, as an error quotes it. */
static struct packet_spec quoting(struct packet_spec spec, const struct packet *quoted)
{
	spec.payload = quoted->bytes + 18;
	spec.payload_len = quoted->len - 18;
	return spec;
}

/* "ICMP/ICMPv6 errors whose quoted packet belongs to one [pass], delivered only to that flow's
 * sandbox address; redirects never." */
static void icmp_error_from_the_uplink_belongs_to_a_flow(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet sent = UDP(.vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 5000,
	                         .dport = 6000, PKT_TEXT("x"));
	struct packet other = UDP(.vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = 5001,
	                          .dport = 6000, PKT_TEXT("x"));
	struct packet reversed = UDP(.vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	                             .dport = 5000, PKT_TEXT("x"));
	struct packet_spec error = {.proto = 1,
	                            .vlan = ALL,
	                            .src = "192.0.2.77",
	                            .dst = INSIDE,
	                            .icmp_type = 3,
	                            .icmp_code = 1};

	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_NO_FLOW);
	expect(inproc_send(gw, SANDBOX, &sent), SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_ALLOW_ALL);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_type, 3);
	error.icmp_type = 11;
	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_ALLOW_ALL);
	expect(send_spec(gw, UPLINK, quoting(error, &other)), SL_REASON_NO_FLOW);
	expect(send_spec(gw, UPLINK, quoting(error, &reversed)), SL_REASON_NO_FLOW);
	error.dst = "10.0.0.3";
	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_NO_FLOW);
	error.dst = INSIDE;
	error.vlan = BOTH;
	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_NO_FLOW);
	error.vlan = ALL;
	error.icmp_type = 5;
	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_NO_FLOW);
	/* a quote that is too short, or lies */
	error.icmp_type = 3;
	for (size_t n = 0; n < 28; n++) {
		struct packet_spec cut = quoting(error, &sent);

		cut.payload_len = n;
		expect(send_spec(gw, UPLINK, cut), SL_REASON_NO_FLOW);
	}
	inproc_free(gw);
}

static void icmp6_error_from_the_uplink_belongs_to_a_flow(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet sent = TCP(.vlan = ALL, .src = INSIDE6, .dst = PUBLIC6, .sport = 5000,
	                         .dport = 443, .flags = TCP_SYN, .seq = 1);
	struct packet_spec error = {
	        .proto = 58, .vlan = ALL, .src = "2001:db8:9::9", .dst = INSIDE6, .icmp_type = 2};

	expect(inproc_send(gw, SANDBOX, &sent), SL_REASON_ALLOW_ALL);
	for (uint8_t type = 1; type <= 4; type++) {
		error.icmp_type = type;
		expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_ALLOW_ALL);
	}
	error.icmp_type = 137;
	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_NO_FLOW);
	error.icmp_type = 1;
	error.dst = "fd00::3";
	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_NO_FLOW);
	inproc_free(gw);
}

/* An error about an echo and about one on hold reach their sandbox as well. */
static void icmp_error_about_an_echo_or_a_hold_is_delivered(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet ping = ICMP(.vlan = ALL, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8,
	                          .icmp_rest = 0x12340001, PKT_TEXT("ping"));
	struct packet syn = TCP(.vlan = BOTH, .src = INSIDE, .dst = PUBLIC, .sport = 5,
	                        .dport = 443, .flags = TCP_SYN);
	struct packet_spec error = {.proto = 1,
	                            .vlan = ALL,
	                            .src = "192.0.2.77",
	                            .dst = INSIDE,
	                            .icmp_type = 3,
	                            .icmp_code = 4};

	inproc_send(gw, SANDBOX, &ping);
	inproc_send(gw, SANDBOX, &syn);
	expect(send_spec(gw, UPLINK, quoting(error, &ping)), SL_REASON_ALLOW_ALL);
	error.vlan = BOTH;
	expect(send_spec(gw, UPLINK, quoting(error, &syn)), SL_REASON_NONE);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 4);
	inproc_free(gw);
}

/* "ICMP errors leave a sandbox only under allow-all or to a subnet-allowed address, and only to the
 * quoted flow's remote address." */
static void icmp_error_from_a_sandbox_goes_to_its_flows_remote_alone(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet got = UDP(.vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	                        .dport = 5000, PKT_TEXT("x"));
	struct packet got_net = UDP(.vlan = BOTH, .src = "203.0.113.5", .dst = INSIDE,
	                            .sport = 6000, .dport = 5000, PKT_TEXT("x"));
	struct packet got_tls = TCP(.vlan = BOTH, .src = PUBLIC, .dst = INSIDE, .sport = 443,
	                            .dport = 5, .flags = TCP_SYN | TCP_ACK);
	struct packet_spec error = {.proto = 1,
	                            .vlan = ALL,
	                            .src = INSIDE,
	                            .dst = PUBLIC,
	                            .icmp_type = 3,
	                            .icmp_code = 3};

	expect(send_spec(gw, SANDBOX, quoting(error, &got)), SL_REASON_NO_FLOW);
	udp_to(gw, ALL, PUBLIC);
	expect(send_spec(gw, SANDBOX, quoting(error, &got)), SL_REASON_ALLOW_ALL);
	error.dst = "198.51.100.11";
	expect(send_spec(gw, SANDBOX, quoting(error, &got)), SL_REASON_NO_FLOW);
	error.vlan = BOTH;
	error.dst = "203.0.113.5";
	udp_to(gw, BOTH, "203.0.113.5");
	expect(send_spec(gw, SANDBOX, quoting(error, &got_net)), SL_REASON_SUBNET_ALLOWED);
	/* rule 3: not even for a flow of its own */
	OUT(gw, .proto = 6, .vlan = BOTH, .src = INSIDE, .dst = PUBLIC, .sport = 5, .dport = 443,
	    .flags = TCP_SYN);
	error.dst = PUBLIC;
	inproc_clear(gw);
	expect(send_spec(gw, SANDBOX, quoting(error, &got_tls)), SL_REASON_PROTOCOL_NOT_ALLOWED);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
}

/* ---- what a refused sandbox gets ---- */

/* "UDP, ICMP echo, other protocols: ICMP 3/13 or ICMPv6 1/1, from the refused destination's
 * address". */
static void refused_packet_is_answered_from_its_destination(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct packet packet = UDP(.vlan = NETS, .src = INSIDE, .dst = PUBLIC, .sport = 5000,
	                           .dport = 6000, PKT_TEXT("payload"));
	const struct packet_view *answer;

	inproc_send(gw, SANDBOX, &packet);
	answer = from_end(gw, SANDBOX, 0);
	assert_string_equal(answer->src_text, PUBLIC);
	assert_string_equal(answer->dst_text, INSIDE);
	assert_int_equal(answer->proto, 1);
	assert_int_equal(answer->icmp_type, 3);
	assert_int_equal(answer->icmp_code, 13);
	assert_true(answer->ip_csum_ok && answer->l4_csum_ok);
	assert_int_equal(answer->tci, NETS);
	assert_memory_equal(answer->payload, packet.bytes + 18, answer->payload_len);
	assert_true(answer->payload_len >= 28);
	packet = UDP(.vlan = NETS, .src = INSIDE6, .dst = PUBLIC6, .sport = 5000, .dport = 6000,
	             PKT_TEXT("payload"));
	inproc_send(gw, SANDBOX, &packet);
	answer = from_end(gw, SANDBOX, 0);
	assert_string_equal(answer->src_text, PUBLIC6);
	assert_int_equal(answer->proto, 58);
	assert_int_equal(answer->icmp_type, 1);
	assert_int_equal(answer->icmp_code, 1);
	assert_true(answer->l4_csum_ok);
	assert_memory_equal(answer->payload, packet.bytes + 18, answer->payload_len);
	expect(OUT(gw, .proto = 132, .vlan = NETS, .src = INSIDE, .dst = PUBLIC,
	           PKT_TEXT("12345678")),
	       SL_REASON_ADDRESS_NOT_ALLOWED);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	expect(syn_to(gw, NETS, PUBLIC6, 80), SL_REASON_ADDRESS_NOT_ALLOWED);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, 0, 78);
	/* "of what the gateway makes, only the RST of a cut or judged flow goes to the uplink" */
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	inproc_free(gw);
}

/* "unknown-sandbox, source-spoofed, malformed, fragment, non-IP, ICMP errors, multicast, anything
 * from the uplink: silence", whatever the mode. */
static void silence_is_kept_in_every_mode(void **state)
{
	static const uint16_t vlans[] = {ALL, NONE, NETS, BOTH, 999};
	struct inproc *gw = gateway(POLICY);
	struct packet quoted = UDP(.vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	                           .dport = 5000, PKT_TEXT("x"));

	for (size_t i = 0; i < COUNT(vlans); i++) {
		uint16_t v = vlans[i];
		struct packet_spec error = {.proto = 1,
		                            .vlan = v,
		                            .src = INSIDE,
		                            .dst = PUBLIC,
		                            .icmp_type = 3,
		                            .icmp_code = 3};

		send_spec(gw, SANDBOX, quoting(error, &quoted));
		error.icmp_type = 11;
		send_spec(gw, SANDBOX, quoting(error, &quoted));
		OUT(gw, .proto = 58, .vlan = v, .src = INSIDE6, .dst = PUBLIC6, .icmp_type = 1,
		    PKT_TEXT("quote"));
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "239.1.2.3",
		    .dmac = "01:00:5e:01:02:03", .sport = 1, .dport = 2, PKT_TEXT("x"));
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "224.0.0.251",
		    .dmac = "01:00:5e:00:00:fb", .sport = 5353, .dport = 5353, PKT_TEXT("x"));
		OUT(gw, .proto = 58, .vlan = v, .src = INSIDE6, .dst = "ff02::16",
		    .dmac = "33:33:00:00:00:16", .icmp_type = 143, PKT_TEXT("mld"));
		OUT(gw, .proto = 6, .vlan = v, .src = INSIDE, .dst = "224.0.0.9",
		    .dmac = "01:00:5e:00:00:09", .sport = 1, .dport = 2, .flags = TCP_SYN);
		OUT(gw, .proto = 17, .vlan = v, .src = "8.8.8.8", .dst = PUBLIC, PKT_TEXT("x"));
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "192.0.2.9",
		    .udp_len = PKT_SET(99), PKT_TEXT("x"));
		if (v != NONE) /* there it is refused like another SYN, before it is looked at */
			OUT(gw, .proto = 6, .vlan = v, .src = INSIDE, .dst = "192.0.2.9",
			    .flags = TCP_SYN | TCP_FIN);
		OUT(gw, .proto = 17, .vlan = v, .src = INSIDE, .dst = "192.0.2.9",
		    .frag = PKT_SET(0x2000), PKT_TEXT("12345678"));
		OUT(gw, .vlan = v, .type = PKT_SET(0x88cc), .inner = "0207040011223344");
		IN(gw, .proto = 17, .vlan = v, .src = "192.0.2.9", .dst = INSIDE, .sport = 9,
		   .dport = 9, PKT_TEXT("x"));
		IN(gw, .proto = 6, .vlan = v, .src = "192.0.2.9", .dst = INSIDE, .sport = 9,
		   .dport = 9, .flags = TCP_ACK);
		assert_int_equal(inproc_count(gw, SANDBOX), 0);
	}
	inproc_free(gw);
}

/* "at once, 100/s per sandbox, the excess counted". */
static void answers_are_limited_per_sandbox(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (int i = 0; i < 250; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 100);
	assert_int_equal(inproc_stats(gw, 0)->answers_suppressed, 150);
	/* another sandbox has its own hundred */
	for (int i = 0; i < 100; i++)
		udp_to(gw, NONE, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 200);
	inproc_advance_s(gw, 0.5);
	inproc_clear(gw);
	for (int i = 0; i < 100; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 50);
	inproc_advance_s(gw, 60);
	inproc_clear(gw);
	for (int i = 0; i < 250; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_count(gw, SANDBOX), 100);
	inproc_free(gw);
}

/* ---- limits ---- */

/* "At a bound the new one is denied with its reason, old ones go on, other sandboxes feel
 * nothing": flows of one sandbox. */
static void flows_of_a_sandbox_are_bounded(void **state)
{
	struct inproc *gw =
	        gateway_with("sandboxes: [{vlan: 101}, {vlan: 102}]",
	                     CONFIG "limits: {flows: 1000, flows-per-sandbox: 50, pins: 100}\n");

	for (uint16_t port = 1; port <= 50; port++)
		expect(OUT(gw, .proto = 17, .vlan = 101, .src = INSIDE, .dst = PUBLIC,
		           .sport = port, .dport = 9, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 17, .vlan = 101, .src = INSIDE, .dst = PUBLIC, .sport = 51,
	           .dport = 9, PKT_TEXT("x")),
	       SL_REASON_FLOW_LIMIT);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	expect(syn_to(gw, 101, PUBLIC, 80), SL_REASON_FLOW_LIMIT);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST | TCP_ACK, 0, 78);
	last_event(gw, false, SL_REASON_FLOW_LIMIT);
	expect(OUT(gw, .proto = 17, .vlan = 101, .src = INSIDE, .dst = PUBLIC, .sport = 7,
	           .dport = 9, PKT_TEXT("x")),
	       SL_REASON_ALLOW_ALL);
	expect(udp_to(gw, 102, PUBLIC), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 122);
	expect(syn_to(gw, 101, PUBLIC, 80), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* "The last tenth of each is kept for sandboxes that hold less than an even share": who comes last
 * has its share of flows all the same. */
static void flows_of_all_are_kept_for_who_has_few(void **state)
{
	char policy[2048] = "sandboxes: [";
	struct inproc *gw;
	unsigned opened = 0;

	for (int i = 0; i < 17; i++)
		snprintf(policy + strlen(policy), sizeof(policy) - strlen(policy), "{vlan: %d}%s",
		         101 + i, i < 16 ? ", " : "]");
	gw = gateway_with(policy,
	                  CONFIG "limits: {flows: 1000, flows-per-sandbox: 100, pins: 100}\n");
	for (uint16_t port = 1; port <= 100; port++)
		for (uint16_t vlan = 101; vlan < 117; vlan++)
			opened += OUT(gw, .proto = 17, .vlan = vlan, .src = INSIDE, .dst = PUBLIC,
			              .sport = port, .dport = 9,
			              PKT_TEXT("x")) == SL_REASON_ALLOW_ALL;
	/* sixteen that take what they get fill all but a part of the last tenth */
	assert_in_range(opened, 900, 16 * (1000 / 17));
	/* the seventeenth has its even share */
	for (uint16_t port = 1; port <= 1000 / 17; port++)
		expect(OUT(gw, .proto = 17, .vlan = 117, .src = INSIDE, .dst = PUBLIC,
		           .sport = port, .dport = 9, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
	expect(OUT(gw, .proto = 17, .vlan = 117, .src = INSIDE, .dst = PUBLIC, .sport = 1000,
	           .dport = 9, PKT_TEXT("x")),
	       SL_REASON_FLOW_LIMIT);
	inproc_free(gw);
}

/* Flows in all. */
static void flows_of_all_are_bounded(void **state)
{
	struct inproc *gw = gateway_with("sandboxes: [{vlan: 101}, {vlan: 102}]", CONFIG
	                                 "limits: {flows: 64, flows-per-sandbox: 60, pins: 100}\n");
	unsigned opened = 0;

	for (uint16_t port = 1; port <= 100; port++)
		opened += OUT(gw, .proto = 17, .vlan = 101 + port % 2, .src = INSIDE, .dst = PUBLIC,
		              .sport = port, .dport = 9, PKT_TEXT("x")) == SL_REASON_ALLOW_ALL;
	assert_int_equal(opened, 64);
	assert_int_equal(count_of(gw, SL_REASON_FLOW_LIMIT), 36);
	assert_int_equal(inproc_stats(gw, 0)->flows, 64);
	inproc_free(gw);
}

/* ---- a later policy ---- */

static void push(struct inproc *gw, const char *policy)
{
	assert_int_not_equal(inproc_push(gw, policy), 0);
}

/* "What is now denied is cut: RST to both ends for TCP", with the numbers that either end takes,
 * and "idle flows are swept and judged again within 1 s without a packet". */
static void policy_that_denies_cuts_tcp_on_both_sides(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);
	const struct packet_view *reset;
	const struct sl_event *event;

	handshake(&c);
	client(&c, 0, "request", 7);
	server(&c, 0, 7, "response..", 10);
	SEND(&c, CLIENT, .at = 7, .ack = 10);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_count(gw, UPLINK), 1);
	assert_int_equal(inproc_count(gw, SANDBOX), 1);
	reset = from_end(gw, UPLINK, 0);
	expect_segment(reset, TCP_RST | TCP_ACK, c.iss + 8, c.irs + 11);
	assert_int_equal(reset->tci, ALL);
	assert_string_equal(reset->src_text, INSIDE);
	assert_memory_equal(reset->dmac, "\2\0\0\0\0\2", 6);
	reset = from_end(gw, SANDBOX, 0);
	expect_segment(reset, TCP_RST | TCP_ACK, c.irs + 11, c.iss + 8);
	assert_string_equal(reset->src_text, PUBLIC);
	assert_memory_equal(reset->dmac, "\2\0\0\0\0\1", 6);
	event = last_event(gw, false, SL_REASON_POLICY_CHANGED);
	assert_int_equal(event->generation, 2);
	assert_int_equal(event->sport, c.sport);
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 1);
	inproc_free(gw);
}

/* "A packet that meets an older epoch is judged again ... before it may pass", both directions. */
static void packet_that_meets_an_older_epoch_is_judged_first(void **state)
{
	for (int from_server = 0; from_server < 2; from_server++) {
		struct inproc *gw = gateway(POLICY);
		struct conn c = conn_to(gw, ALL, PUBLIC);

		handshake(&c);
		client(&c, 0, "request", 7);
		push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
		inproc_clear(gw);
		if (from_server)
			expect(server(&c, 0, 7, "late", 4), SL_REASON_POLICY_CHANGED);
		else
			expect(client(&c, 7, "late", 4), SL_REASON_POLICY_CHANGED);
		assert_int_equal(inproc_count(gw, UPLINK), 1);
		assert_int_equal(inproc_count(gw, SANDBOX), 1);
		assert_int_equal(from_end(gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
		assert_int_equal(from_end(gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
		inproc_free(gw);
	}
}

/* What still comes of a cut connection is refused and reset on either side, until it is forgotten.
 */
static void cut_connection_is_reset_until_it_is_forgotten(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	push(gw, "sandboxes: [{vlan: 101, policy: {allow: [good.example]}}]");
	inproc_advance_s(gw, 1);
	inproc_clear(gw);
	expect(client(&c, 0, "late", 4), SL_REASON_POLICY_CHANGED);
	expect_segment(from_end(gw, SANDBOX, 0), TCP_RST, c.irs + 1, 0);
	expect(server(&c, 0, 4, "late", 4), SL_REASON_POLICY_CHANGED);
	expect_segment(from_end(gw, UPLINK, 0), TCP_RST, c.iss + 5, 0);
	assert_int_equal(inproc_count(gw, UPLINK), 1);
	assert_int_equal(inproc_count(gw, SANDBOX), 1);
	/* no RST for a RST, on either side */
	SEND(&c, CLIENT, .flags = TCP_RST);
	SEND(&c, SERVER, .flags = TCP_RST);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 2);
	inproc_advance_s(gw, 11);
	expect(server(&c, 0, 4, "late", 4), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	/* a new SYN is judged by the policy of now */
	c.iss += 100000;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_NONE);
	inproc_free(gw);
}

/* "ICMP administratively-prohibited to the sandbox for the rest (`policy-changed`)". */
static void policy_that_denies_cuts_the_rest_with_icmp(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct packet_view *answer;

	udp_to(gw, ALL, PUBLIC);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_count(gw, UPLINK), 0);
	assert_int_equal(inproc_count(gw, SANDBOX), 1);
	answer = from_end(gw, SANDBOX, 0);
	assert_int_equal(answer->icmp_type, 3);
	assert_int_equal(answer->icmp_code, 13);
	assert_true(answer->l4_csum_ok);
	assert_string_equal(answer->src_text, PUBLIC);
	/* it quotes what the sandbox's kernel needs to find the socket */
	assert_int_equal(answer->payload[9], 17);
	assert_memory_equal(answer->payload + 12, answer->ip + 16, 4);
	assert_memory_equal(answer->payload + 20, "\x13\x88\x17\x70", 4);
	last_event(gw, false, SL_REASON_POLICY_CHANGED);
	expect(IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("x")),
	       SL_REASON_DENY_ALL);
	inproc_free(gw);
}

/* "Flows whose name is still allowed go on untouched", and say so by nothing at all. */
static void policy_that_still_allows_the_name_leaves_the_flow_alone(void **state)
{
	static struct hello good;
	uint8_t msg[128], record[128];
	size_t n;
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, BOTH, PUBLIC);

	hello_for(&good, ALLOWED);
	handshake(&c);
	expect(client(&c, 0, good.bytes, good.len), SL_REASON_DOMAIN_ALLOWED);
	n = hello_record(22, msg, hello_server(false, msg), record);
	expect(server(&c, 0, (int64_t)good.len, record, n), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 104, policy: {allow: [x.example, '*.example']}}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	assert_int_equal(inproc_event_count(gw), 0);
	expect(client(&c, (int64_t)good.len, "more", 4), SL_REASON_DOMAIN_ALLOWED);
	push(gw, "sandboxes: [{vlan: 104, policy: {allow: [x.example]}}]");
	inproc_clear(gw);
	inproc_advance_s(gw, 1);
	expect_segment(from_end(gw, UPLINK, 0), TCP_RST | TCP_ACK, c.iss + 1 + (uint32_t)good.len,
	               c.irs + 1);
	expect_event_name(last_event(gw, false, SL_REASON_POLICY_CHANGED), ALLOWED);
	inproc_free(gw);
}

/* "those of sandboxes whose effective policy did not change are not judged again". */
static void policy_of_another_sandbox_touches_nothing_here(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC), d = conn_to(gw, NETS, "203.0.113.5");

	handshake(&c);
	handshake(&d);
	inproc_clear(gw);
	push(gw,
	     "sandboxes:\n"
	     "  - {vlan: 101, name: all}\n"
	     "  - {vlan: 103, policy: {subnets: {allow: [10.1.0.0/16]}}}\n"
	     "  - {vlan: 109, policy: {subnets: {allow: [198.51.100.10], deny: [203.0.113.5]}}}\n");
	expect(client(&c, 0, "data", 4), SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 1);
	expect(client(&c, 4, "data", 4), SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_event_count(gw), 1);
	last_event(gw, false, SL_REASON_POLICY_CHANGED);
	expect(client(&d, 0, "data", 4), SL_REASON_POLICY_CHANGED);
	inproc_free(gw);
}

/* "Flows opened under allow-all or rule 2 carry no name: they live on only if the new policy allows
 * their address without one", and the reason becomes the new one. */
static void policy_that_wants_a_name_cuts_flows_without_one(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC), d = conn_to(gw, ALL, "203.0.113.5");

	handshake(&c);
	handshake(&d);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: {allow: ['*'], subnets: {allow: "
	         "[203.0.113.0/24]}}}]");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_event_count(gw), 2);
	expect(client(&c, 0, "x", 1), SL_REASON_POLICY_CHANGED);
	expect(client(&d, 0, "x", 1), SL_REASON_SUBNET_ALLOWED);
	expect(server(&d, 0, 1, "x", 1), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(inproc_event(gw, 0)->allow + inproc_event(gw, 1)->allow, 1);
	/* and back again */
	push(gw, "sandboxes: [{vlan: 101}]");
	expect(client(&d, 1, "x", 1), SL_REASON_ALLOW_ALL);
	last_event(gw, true, SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* A source that is no longer the sandbox's own ends its flows. */
static void policy_that_takes_the_source_away_cuts(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	push(gw, "sandboxes: [{vlan: 101, source: [10.0.0.3]}]");
	inproc_advance_s(gw, 1);
	last_event(gw, false, SL_REASON_POLICY_CHANGED);
	expect(server(&c, 0, 0, "x", 1), SL_REASON_POLICY_CHANGED);
	expect(client(&c, 0, "x", 1), SL_REASON_SOURCE_SPOOFED);
	inproc_free(gw);
}

/* Many idle flows are all swept within a second. */
static void sweep_reaches_every_idle_flow_within_a_second(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (uint16_t port = 1; port <= 3000; port++)
		OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = port,
		    .dport = 80, .flags = TCP_SYN);
	inproc_clear(gw);
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	assert_false(sl_worker_settled(inproc_worker(gw, 0)));
	inproc_advance_s(gw, 1);
	assert_true(sl_worker_settled(inproc_worker(gw, 0)));
	assert_int_equal(inproc_count(gw, UPLINK), 3000);
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 3000);
	inproc_free(gw);
}

/* A worker's turn judges some flows at a time, and a newer push in between loses none of them. */
static void sweep_in_turns_survives_a_push_in_between(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct sl_worker *worker = inproc_worker(gw, 0);

	for (uint16_t port = 1; port <= 1000; port++)
		OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = port,
		    .dport = 80, .flags = TCP_SYN);
	push(gw, "sandboxes: [{vlan: 101, policy: {subnets: {allow: [198.51.100.10]}}}]");
	sl_worker_turn(worker);
	assert_false(sl_worker_settled(worker));
	push(gw, "sandboxes: [{vlan: 101, policy: deny-all}]");
	for (int turn = 0; turn < 10; turn++)
		sl_worker_turn(worker);
	assert_true(sl_worker_settled(worker));
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 1000);
	inproc_free(gw);
}

/* A sandbox that is gone, and its VLAN given to another: "nothing inherited". */
static void vlan_given_to_another_sandbox_inherits_nothing(void **state)
{
	struct inproc *gw =
	        gateway_with("sandboxes: [{vlan: 101, name: old}]",
	                     CONFIG "limits: {flows: 1000, flows-per-sandbox: 20, pins: 100}\n");
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	for (uint16_t port = 1; port < 20; port++)
		OUT(gw, .proto = 6, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .sport = port,
		    .dport = 80, .flags = TCP_SYN);
	expect(syn_to(gw, ALL, PUBLIC, 81), SL_REASON_FLOW_LIMIT);
	assert_int_not_equal(inproc_vlan_reason(gw, ALL, SL_REASON_ALLOW_ALL), 0);
	push(gw, "sandboxes: []");
	push(gw, "sandboxes: [{vlan: 101, name: new}]");
	inproc_clear(gw);
	/* not a packet of the old one's flow, though the policy is the same */
	assert_false(sl_reason_allows(client(&c, 0, "x", 1)));
	assert_false(sl_reason_allows(server(&c, 0, 0, "x", 1)));
	inproc_advance_s(gw, 1);
	/* nor its counters */
	assert_int_equal(inproc_vlan_reason(gw, ALL, SL_REASON_ALLOW_ALL), 0);
	assert_int_equal(inproc_vlan_reason(gw, ALL, SL_REASON_FLOW_LIMIT), 0);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	/* nor its share of the limits */
	for (uint16_t port = 1001; port <= 1020; port++)
		expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = PUBLIC,
		           .sport = port, .dport = 80, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
	assert_string_equal(inproc_event_last(gw)->sandbox, "new");
	inproc_free(gw);
}

/* A packet of the new one that looks like one of the old one's flow is a first packet. */
static void vlan_given_to_another_sandbox_opens_its_own_flow(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, name: old}]");

	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	push(gw, "sandboxes: []");
	push(gw, "sandboxes: [{vlan: 101, name: new}]");
	expect(udp_to(gw, ALL, PUBLIC), SL_REASON_ALLOW_ALL);
	assert_string_equal(inproc_event_last(gw)->sandbox, "new");
	assert_int_equal(inproc_stats(gw, 0)->flows_cut, 1);
	last_event(gw, true, SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_count(gw, UPLINK), 2);
	inproc_free(gw);
}

/* The new one's own packets count as its own from the first on. */
static void vlan_given_to_another_sandbox_counts_from_its_first_packet(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, name: old}]");

	udp_to(gw, ALL, PUBLIC);
	inproc_advance_s(gw, 1);
	push(gw, "sandboxes: []");
	inproc_advance_s(gw, 1);
	push(gw, "sandboxes: [{vlan: 101, name: new}]");
	udp_to(gw, ALL, "192.0.2.9");
	inproc_advance_s(gw, 1);
	assert_int_equal(inproc_vlan_reason(gw, ALL, SL_REASON_ALLOW_ALL), 1);
	inproc_free(gw);
}

/* A generation that is refused changes nothing. */
static void policy_that_is_refused_changes_nothing(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct conn c = conn_to(gw, ALL, PUBLIC);

	handshake(&c);
	assert_int_equal(
	        inproc_push(gw, "sandboxes: [{vlan: 101, policy: deny-all}, {vlan: 5000}]"), 0);
	assert_true(strlen(inproc_errors(gw)) > 0);
	inproc_clear(gw);
	inproc_advance_s(gw, 2);
	assert_int_equal(inproc_event_count(gw), 0);
	expect(client(&c, 0, "x", 1), SL_REASON_ALLOW_ALL);
	inproc_free(gw);
}

/* ---- native VLAN ---- */

/* "On a port with `native-vlan: N` untagged frames are N's, N leaves untagged, and frames tagged N
 * are dropped." */
static void native_vlan_is_untagged_on_its_port(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "ports: {sandbox: {dev: net_null0, native-vlan: 101},"
	                                    " uplink: {dev: net_null1}}\n");

	expect(udp_to(gw, 0, PUBLIC), SL_REASON_ALLOW_ALL);
	assert_true(from_end(gw, UPLINK, 0)->tagged);
	assert_int_equal(from_end(gw, UPLINK, 0)->tci, 101);
	assert_true(from_end(gw, UPLINK, 0)->l4_csum_ok);
	expect(IN(gw, .proto = 17, .vlan = 101, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("back")),
	       SL_REASON_ALLOW_ALL);
	assert_false(from_end(gw, SANDBOX, 0)->tagged);
	assert_true(packet_view_says(from_end(gw, SANDBOX, 0), "back"));
	assert_memory_equal(from_end(gw, SANDBOX, 0)->dmac, "\2\0\0\0\0\1", 6);
	assert_true(inproc_last(gw, SANDBOX)->len >= 60);
	expect(udp_to(gw, 101, PUBLIC), SL_REASON_UNKNOWN_SANDBOX);
	expect(IN(gw, .proto = 17, .vlan = 0, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("x")),
	       SL_REASON_UNKNOWN_SANDBOX);
	/* what the gateway makes is untagged there as well */
	expect(udp_to(gw, 0, "10.0.0.9"), SL_REASON_INTERNAL_SUBNET);
	assert_false(from_end(gw, SANDBOX, 0)->tagged);
	assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_code, 13);
	/* others are tagged as ever */
	expect(udp_to(gw, BOTH, "203.0.113.5"), SL_REASON_SUBNET_ALLOWED);
	assert_int_equal(from_end(gw, UPLINK, 0)->tci, BOTH);
	inproc_free(gw);
}

static void native_vlan_on_both_ports_stays_untagged(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "ports: {sandbox: {dev: net_null0, native-vlan: 101},"
	                                    " uplink: {dev: net_null1, native-vlan: 101}}\n");

	expect(udp_to(gw, 0, PUBLIC), SL_REASON_ALLOW_ALL);
	assert_false(from_end(gw, UPLINK, 0)->tagged);
	expect(IN(gw, .proto = 17, .src = PUBLIC, .dst = INSIDE, .sport = 6000, .dport = 5000,
	          PKT_TEXT("back")),
	       SL_REASON_ALLOW_ALL);
	expect(IN(gw, .proto = 17, .vlan = 101, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("back")),
	       SL_REASON_UNKNOWN_SANDBOX);
	inproc_free(gw);
}

/* ---- events ---- */

/* "one per flow decision": not one for each packet of the flow. */
static void event_is_one_for_each_flow(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct sl_event *event;

	for (int i = 0; i < 5; i++)
		udp_to(gw, ALL, PUBLIC6);
	assert_int_equal(inproc_event_count(gw), 1);
	event = last_event(gw, true, SL_REASON_ALLOW_ALL);
	assert_int_equal(event->time_us, inproc_now_us(gw));
	assert_int_equal(event->vlan, ALL);
	assert_int_equal(event->proto, 17);
	assert_int_equal(event->sport, 5000);
	assert_int_equal(event->dport, 6000);
	assert_int_equal(event->has_ports, 2);
	assert_int_equal(event->via, SL_VIA_NONE);
	assert_int_equal(event->name_len, 0);
	assert_true(sl_addr_equal(&event->src, &(struct sl_addr){SL_FAMILY_6, {0xfd, [15] = 2}}));
	assert_string_equal(event->sandbox, "all");
	inproc_free(gw);
}

/* "src is the sandbox's side; ICMP's sport is its id"; what is not known is null. */
static void event_fields_are_of_the_sandboxs_side(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct sl_event *event;
	struct sl_addr inside = packet_addr(INSIDE), outside = packet_addr(PUBLIC);

	OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, .icmp_type = 8,
	    .icmp_rest = 0x12345678);
	event = inproc_event_last(gw);
	assert_int_equal(event->sport, 0x1234);
	assert_int_equal(event->has_ports, 1);
	IN(gw, .proto = 17, .vlan = ALL, .src = PUBLIC, .dst = INSIDE, .sport = 53, .dport = 999,
	   PKT_TEXT("x"));
	event = last_event(gw, false, SL_REASON_NO_FLOW);
	assert_true(sl_addr_equal(&event->src, &inside));
	assert_true(sl_addr_equal(&event->dst, &outside));
	assert_int_equal(event->sport, 999);
	assert_int_equal(event->dport, 53);
	OUT(gw, .proto = 47, .vlan = ALL, .src = INSIDE, .dst = PUBLIC, PKT_TEXT("x"));
	event = last_event(gw, true, SL_REASON_ALLOW_ALL);
	assert_int_equal(event->proto, 47);
	assert_int_equal(event->has_ports, 0);
	OUT(gw, .vlan = ALL, .type = PKT_SET(0x88cc), .inner = "0207040011223344");
	event = last_event(gw, false, SL_REASON_PROTOCOL_NOT_ALLOWED);
	assert_int_equal(event->proto, -1);
	assert_int_equal(event->src.family, SL_FAMILY_NONE);
	assert_int_equal(event->has_ports, 0);
	udp_to(gw, 999, PUBLIC);
	event = last_event(gw, false, SL_REASON_UNKNOWN_SANDBOX);
	assert_int_equal(event->vlan, 999);
	assert_string_equal(event->sandbox, "");
	inproc_free(gw);
}

/* "per refused packet that belongs to no flow (rate limited) ... The first denial of each (sandbox,
 * reason, name) is never lost to rate limiting; what is suppressed is counted." */
static void event_of_a_first_denial_is_never_lost(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint64_t suppressed;

	for (int i = 0; i < 500; i++)
		udp_to(gw, NETS, PUBLIC);
	assert_int_equal(inproc_event_count(gw), 101);
	suppressed = inproc_stats(gw, 0)->events_suppressed;
	assert_int_equal(suppressed, 399);
	inproc_clear(gw);
	udp_to(gw, NETS, "203.0.113.200");
	last_event(gw, false, SL_REASON_SUBNET_DENIED);
	OUT(gw, .proto = 1, .vlan = NETS, .src = "9.9.9.9", .dst = PUBLIC, .icmp_type = 8);
	last_event(gw, false, SL_REASON_SOURCE_SPOOFED);
	udp_to(gw, NETS, "203.0.113.201");
	assert_int_equal(inproc_event_count(gw), 2);
	udp_to(gw, NONE, PUBLIC);
	last_event(gw, false, SL_REASON_DENY_ALL);
	inproc_free(gw);
}

/* "1,000 of flow decisions a second": what is over it is counted, and told once a second. */
static void events_of_flows_are_bounded_and_told(void **state)
{
	struct inproc *gw = gateway(POLICY);
	const struct sl_event *event;

	for (uint16_t i = 0; i < 1500; i++)
		expect(OUT(gw, .proto = 17, .vlan = ALL, .src = INSIDE, .dst = PUBLIC,
		           .sport = (uint16_t)(1000 + i), .dport = 9, PKT_TEXT("x")),
		       SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_event_count(gw), 1000);
	/* what others do is not hidden, nor is the first denial here */
	udp_to(gw, NETS, PUBLIC);
	assert_int_equal(last_event(gw, false, SL_REASON_ADDRESS_NOT_ALLOWED)->vlan, NETS);
	OUT(gw, .proto = 1, .vlan = ALL, .src = "9.9.9.9", .dst = PUBLIC, .icmp_type = 8);
	assert_int_equal(last_event(gw, false, SL_REASON_SOURCE_SPOOFED)->vlan, ALL);
	inproc_clear(gw);
	inproc_advance_s(gw, 1.1);
	assert_int_equal(inproc_event_count(gw), 1);
	event = inproc_event_last(gw);
	assert_int_equal(event->kind, SL_EVENT_SUPPRESSED);
	assert_int_equal(event->count, 500);
	assert_int_equal(event->vlan, ALL);
	expect((enum sl_reason)event->reason, SL_REASON_ALLOW_ALL);
	inproc_advance_s(gw, 5);
	assert_int_equal(inproc_event_count(gw), 1);
	inproc_free(gw);
}

/* A sandbox that asks for endless names writes 1,000 new ones a minute, and the usual hundred. */
static void events_of_endless_names_are_bounded(void **state)
{
	struct inproc *gw = gateway("sandboxes: [{vlan: 101, policy: {allow: [good.example]}}]");
	const struct sl_event *event;
	struct hello hello;

	for (int i = 0; i < 2500; i++) {
		struct conn c = conn_to(gw, 101, PUBLIC);
		char name[32];

		snprintf(name, sizeof(name), "n%d.example", i);
		handshake(&c);
		hello_for(&hello, name);
		expect(client(&c, 0, hello.bytes, hello.len), SL_REASON_DOMAIN_NOT_ALLOWED);
	}
	assert_true(inproc_event_count(gw) >= 1000 && inproc_event_count(gw) <= 2001);
	inproc_clear(gw);
	inproc_advance_s(gw, 1.1);
	event = inproc_event_last(gw);
	assert_int_equal(event->kind, SL_EVENT_SUPPRESSED);
	expect((enum sl_reason)event->reason, SL_REASON_DOMAIN_NOT_ALLOWED);
	assert_true(event->count >= 499);
	inproc_free(gw);
}

/* ---- two workers ---- */

/* "whatever belongs to a sandbox has one writer": a frame goes to its owner, wherever it came in.
 */
static void frame_of_another_workers_sandbox_is_handed_over(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = POLICY, .config = CONFIG, .workers = 2, .checksums_full = true});

	expect(udp_to(gw, 101, PUBLIC), SL_REASON_ALLOW_ALL);
	expect(IN(gw, .proto = 17, .vlan = 101, .src = PUBLIC, .dst = INSIDE, .sport = 6000,
	          .dport = 5000, PKT_TEXT("back")),
	       SL_REASON_ALLOW_ALL);
	assert_int_equal(inproc_stats(gw, 1)->flows, 1);
	assert_int_equal(inproc_stats(gw, 0)->flows, 0);
	assert_int_equal(inproc_stats(gw, 0)->handed_over, 2);
	expect(udp_to(gw, 102, PUBLIC), SL_REASON_DENY_ALL);
	assert_int_equal(inproc_stats(gw, 0)->handed_over, 2);
	inproc_free(gw);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(allow_all_public_address_takes_any_protocol),
	        TEST(deny_all_lets_nothing_out_and_says_so),
	        TEST(empty_policies_are_deny_all),
	        TEST(subnet_deny_beats_everything),
	        TEST(subnet_allow_takes_any_protocol_and_looks_at_no_name),
	        TEST(address_in_no_rule_is_denied_at_the_first_packet),
	        TEST(rule_three_takes_only_tcp_and_udp),
	        TEST(vlan_without_sandbox_is_dropped_in_silence),
	        TEST(nothing_is_forwarded_before_the_first_policy),
	        TEST(internal_range_opens_by_subnet_alone),
	        TEST(protected_range_opens_by_nothing),
	        TEST(nat64_address_is_judged_in_both_forms),
	        TEST(source_without_a_rule_is_private),
	        TEST(source_with_a_rule_is_as_listed),
	        TEST(uplink_packet_of_no_flow_is_dropped_in_silence),
	        TEST(uplink_packet_must_match_the_whole_key),
	        TEST(same_address_on_two_vlans_is_two_sandboxes),
	        TEST(tcp_without_flow_is_reset),
	        TEST(tcp_states_follow_the_flags),
	        TEST(flows_live_as_long_as_their_timeouts),
	        TEST(flow_that_expired_is_not_revived_by_the_uplink),
	        TEST(new_syn_on_a_live_flow_is_judged_again),
	        TEST(icmp_echo_passes_by_its_id),
	        TEST(icmp6_echo_passes_by_its_id),
	        TEST(icmp_reply_and_redirect_of_a_sandbox_are_refused),
	        TEST(icmp_error_from_the_uplink_belongs_to_a_flow),
	        TEST(icmp6_error_from_the_uplink_belongs_to_a_flow),
	        TEST(icmp_error_about_an_echo_or_a_hold_is_delivered),
	        TEST(icmp_error_from_a_sandbox_goes_to_its_flows_remote_alone),
	        TEST(refused_packet_is_answered_from_its_destination),
	        TEST(silence_is_kept_in_every_mode),
	        TEST(answers_are_limited_per_sandbox),
	        TEST(flows_of_a_sandbox_are_bounded),
	        TEST(flows_of_all_are_bounded),
	        TEST(flows_of_all_are_kept_for_who_has_few),
	        TEST(policy_that_denies_cuts_tcp_on_both_sides),
	        TEST(packet_that_meets_an_older_epoch_is_judged_first),
	        TEST(cut_connection_is_reset_until_it_is_forgotten),
	        TEST(policy_that_denies_cuts_the_rest_with_icmp),
	        TEST(policy_that_still_allows_the_name_leaves_the_flow_alone),
	        TEST(policy_of_another_sandbox_touches_nothing_here),
	        TEST(policy_that_wants_a_name_cuts_flows_without_one),
	        TEST(policy_that_takes_the_source_away_cuts),
	        TEST(sweep_reaches_every_idle_flow_within_a_second),
	        TEST(sweep_in_turns_survives_a_push_in_between),
	        TEST(vlan_given_to_another_sandbox_inherits_nothing),
	        TEST(vlan_given_to_another_sandbox_opens_its_own_flow),
	        TEST(vlan_given_to_another_sandbox_counts_from_its_first_packet),
	        TEST(policy_that_is_refused_changes_nothing),
	        TEST(native_vlan_is_untagged_on_its_port),
	        TEST(native_vlan_on_both_ports_stays_untagged),
	        TEST(event_is_one_for_each_flow),
	        TEST(event_fields_are_of_the_sandboxs_side),
	        TEST(event_of_a_first_denial_is_never_lost),
	        TEST(events_of_flows_are_bounded_and_told),
	        TEST(events_of_endless_names_are_bounded),
	        TEST(frame_of_another_workers_sandbox_is_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
