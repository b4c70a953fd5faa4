/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_rules.c: modes, the order of the rules, and whose source an address is (spec section 1).
 */
#include "flow_scene.h"

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
		ROW_NUMBER(protocols[i]);
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

		row(policies[i]);
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
		row(internal[i]);
		expect(udp_to(gw, ALL, internal[i]), SL_REASON_INTERNAL_SUBNET);
		expect(syn_to(gw, BOTH, internal[i], 443), SL_REASON_INTERNAL_SUBNET);
	}
	for (size_t i = 0; i < COUNT(outside); i++) {
		row(outside[i]);
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
		row(protected[i]);
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

	for (size_t i = 0; i < COUNT(fine); i++) {
		row(fine[i]);
		expect(udp_from(gw, ALL, fine[i]), SL_REASON_ALLOW_ALL);
	}
	inproc_clear(gw);
	for (size_t i = 0; i < COUNT(spoofed); i++) {
		row(spoofed[i]);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
