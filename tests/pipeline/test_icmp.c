/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_icmp.c: ICMP and ICMPv6: echoes, and errors that quote a flow (spec section 2).
 */
#include "flow_scene.h"

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

	for (size_t i = 0; i < COUNT(types4); i++) {
		ROW_NUMBER(types4[i]);
		expect(OUT(gw, .proto = 1, .vlan = ALL, .src = INSIDE, .dst = PUBLIC,
		           .icmp_type = types4[i]),
		       SL_REASON_PROTOCOL_NOT_ALLOWED);
	}
	for (size_t i = 0; i < COUNT(types6); i++) {
		ROW_NUMBER(types6[i]);
		expect(OUT(gw, .proto = 58, .vlan = ALL, .src = INSIDE6, .dst = PUBLIC6,
		           .icmp_type = types6[i]),
		       SL_REASON_PROTOCOL_NOT_ALLOWED);
	}
	assert_int_equal(inproc_count(gw, UPLINK) + inproc_count(gw, SANDBOX), 0);
	inproc_free(gw);
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
	const struct {
		const char *what;
		const struct packet *quoted;
		const char *dst;
		uint16_t vlan;
		uint8_t type;
		enum sl_reason reason;
	} rows[] = {
	        {"unreachable", &sent, INSIDE, ALL, 3, SL_REASON_ALLOW_ALL},
	        {"time exceeded", &sent, INSIDE, ALL, 11, SL_REASON_ALLOW_ALL},
	        {"of another port", &other, INSIDE, ALL, 11, SL_REASON_NO_FLOW},
	        {"of the other direction", &reversed, INSIDE, ALL, 11, SL_REASON_NO_FLOW},
	        {"to another address", &sent, "10.0.0.3", ALL, 11, SL_REASON_NO_FLOW},
	        {"to another sandbox", &sent, INSIDE, BOTH, 11, SL_REASON_NO_FLOW},
	        {"redirect", &sent, INSIDE, ALL, 5, SL_REASON_NO_FLOW},
	};
	struct packet_spec error = icmp_error(ALL, 3, 1);

	expect(send_spec(gw, UPLINK, quoting(error, &sent)), SL_REASON_NO_FLOW);
	expect(inproc_send(gw, SANDBOX, &sent), SL_REASON_ALLOW_ALL);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct packet_spec spec = icmp_error(rows[i].vlan, rows[i].type, 1);

		row(rows[i].what);
		spec.dst = rows[i].dst;
		expect(send_spec(gw, UPLINK, quoting(spec, rows[i].quoted)), rows[i].reason);
		if (i == 0)
			assert_int_equal(from_end(gw, SANDBOX, 0)->icmp_type, 3);
	}
	/* a quote that is too short, or invalid */
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
	struct packet_spec error = icmp_error(ALL, 3, 4);

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
	struct packet_spec error = icmp_error_to(ALL, PUBLIC, 3, 3);

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

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(icmp_echo_passes_by_its_id),
	        TEST(icmp6_echo_passes_by_its_id),
	        TEST(icmp_reply_and_redirect_of_a_sandbox_are_refused),
	        TEST(icmp_error_from_the_uplink_belongs_to_a_flow),
	        TEST(icmp6_error_from_the_uplink_belongs_to_a_flow),
	        TEST(icmp_error_about_an_echo_or_a_hold_is_delivered),
	        TEST(icmp_error_from_a_sandbox_goes_to_its_flows_remote_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
