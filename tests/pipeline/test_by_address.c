/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_by_address.c: rule 3a (spec section 1): a port of the addresses that DNS gave a sandbox for
 * a name, for protocols that carry no name.
 */
#include <stdio.h>

#include "dns_lab.h"
#include "hello.h"

#define A1      "198.51.100.1"
#define A2      "198.51.100.2"
#define A6      "2001:db8:20::1"
#define GIT     "github.com"
#define NTP     "2.pool.ntp.org"
#define BY(...) "sandboxes: [{vlan: 101, name: box, policy: {" __VA_ARGS__ "}}]"
#define ENTRIES "by-address: ['github.com:22/tcp', '*.pool.ntp.org:123/udp']"
#define SSH     "SSH-2.0-OpenSSH_9.2\r\n"

static struct inproc *gateway(const char *policy)
{
	return lab_create(policy, LAB_CONFIG);
}

static struct inproc_tcp tcp_to(const char *address, uint16_t port)
{
	static uint16_t sport = 30000;

	return (struct inproc_tcp){.vlan = LAB_VLAN,
	                           .client = strchr(address, ':') ? LAB_CLIENT6 : LAB_CLIENT,
	                           .server = address,
	                           .sport = sport++,
	                           .dport = port};
}

static enum sl_reason connect_to(struct inproc *gw, const char *address, uint16_t port)
{
	struct inproc_tcp tcp = tcp_to(address, port);

	return inproc_tcp_open(gw, &tcp);
}

static enum sl_reason datagram_to(struct inproc *gw, const char *address, uint16_t port)
{
	static uint16_t sport = 40000;
	struct packet packet = UDP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = address,
	                           .sport = sport++, .dport = port, PKT_TEXT("time?"));

	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

static void expect_event(const struct inproc *gw, enum sl_reason reason, const char *name)
{
	const struct sl_event *event = lab_event(gw);

	assert_int_equal(event->reason, reason);
	assert_int_equal(event->allow, sl_reason_allows(reason));
	if (name == NULL) {
		assert_int_equal(event->name_len, 0);
		return;
	}
	assert_true(lab_event_names(event, name));
	assert_int_equal(event->via, SL_VIA_PIN);
}

/* ---- what it opens ---- */

static void pinned_address_is_open_at_that_port(void **state)
{
	struct inproc *gw = gateway(BY(ENTRIES));
	struct inproc_tcp tcp = tcp_to(A1, 22);

	assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_ADDRESS_NOT_PINNED);
	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_PIN_ALLOWED);
	expect_event(gw, SL_REASON_PIN_ALLOWED, GIT);
	/* the server speaks first, and no byte is inspected */
	assert_int_equal(inproc_tcp_server(gw, &tcp, SSH, strlen(SSH)), SL_REASON_PIN_ALLOWED);
	assert_int_equal(inproc_tcp_client(gw, &tcp, SSH, strlen(SSH)), SL_REASON_PIN_ALLOWED);
	assert_true(inproc_left(gw, SL_PORT_SANDBOX, SSH, strlen(SSH)));
	assert_true(inproc_left(gw, SL_PORT_UPLINK, SSH, strlen(SSH)));
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

static void pinned_address_is_open_to_datagrams_and_over_ipv6(void **state)
{
	struct inproc *gw = gateway(BY(ENTRIES));

	lab_resolve(gw, NTP, A2, 60);
	assert_int_equal(datagram_to(gw, A2, 123), SL_REASON_PIN_ALLOWED);
	expect_event(gw, SL_REASON_PIN_ALLOWED, NTP);
	lab_resolve(gw, GIT, A6, 60);
	assert_int_equal(connect_to(gw, A6, 22), SL_REASON_PIN_ALLOWED);
	inproc_free(gw);
}

/* Entries open DNS for their names, and for no others. */
static void names_of_entries_may_be_asked_for(void **state)
{
	struct inproc *gw = gateway(BY("allow: [www.example.com], " ENTRIES));

	assert_int_equal(lab_ask(gw, GIT, DNS_A), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_ask(gw, NTP, DNS_A), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_ask(gw, "www.example.com", DNS_A), SL_REASON_DNS_ALLOWED);
	assert_int_equal(lab_ask(gw, "pool.ntp.org", DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	assert_int_equal(lab_ask(gw, "www." GIT, DNS_A), SL_REASON_DNS_NAME_NOT_ALLOWED);
	inproc_free(gw);
}

/* ---- what it does not open ---- */

static void everything_beside_the_entry_stays_closed(void **state)
{
	static const struct {
		const char *what;
		const char *address;
		uint16_t port;
		bool udp;
		enum sl_reason reason;
	} rows[] = {
	        {"another port", A1, 2222, false, SL_REASON_ADDRESS_NOT_ALLOWED},
	        {"the other protocol", A1, 22, true, SL_REASON_ADDRESS_NOT_ALLOWED},
	        {"another entry's port", A1, 123, true, SL_REASON_ADDRESS_NOT_PINNED},
	        {"an address that nobody gave", "198.51.100.9", 22, false,
	         SL_REASON_ADDRESS_NOT_PINNED},
	        {"another entry's address", A2, 22, false, SL_REASON_ADDRESS_NOT_PINNED},
	        {"a denied address", "198.51.100.77", 22, false, SL_REASON_SUBNET_DENIED},
	        {"an internal address", "10.1.2.3", 22, false, SL_REASON_INTERNAL_SUBNET},
	        {"a protected address", "169.254.169.254", 22, false, SL_REASON_PROTECTED_SUBNET},
	};
	struct inproc *gw = gateway(BY(ENTRIES ", subnets: {deny: [198.51.100.77]}"));
	struct packet echo = PACKET(.proto = 1, .vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = A1,
	                            .icmp_type = 8, .icmp_rest = 1 << 16, PKT_TEXT("ping"));

	lab_resolve(gw, GIT, A1, 60);
	lab_resolve(gw, GIT, "198.51.100.77", 60);
	lab_resolve(gw, GIT, "10.1.2.3", 60);
	lab_resolve(gw, GIT, "169.254.169.254", 60);
	lab_resolve(gw, NTP, A2, 60);
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_PIN_ALLOWED);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum sl_reason got = rows[i].udp ? datagram_to(gw, rows[i].address, rows[i].port)
		                                 : connect_to(gw, rows[i].address, rows[i].port);

		if (got != rows[i].reason)
			fail_msg("%s: %s", rows[i].what, sl_reason_name(got));
	}
	assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &echo), SL_REASON_ADDRESS_NOT_ALLOWED);
	inproc_free(gw);
}

/* A name of `allow` opens no port by its address, and one of `by-address` proves no hello. */
static void entries_and_patterns_stay_apart(void **state)
{
	struct inproc *gw = gateway(BY("allow: [www.example.com], " ENTRIES));
	struct inproc_tcp tcp = tcp_to(A1, 22);
	static uint8_t hello[HELLO_BYTES_MAX], records[RECORDS_BYTES_MAX];
	size_t len = hello_records(hello, hello_named(GIT, hello), 0, records);

	/* under rule 3 like any other port: the hello would have to come */
	lab_resolve(gw, "www.example.com", A1, 60);
	assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_NONE);
	assert_int_equal(inproc_tcp_server(gw, &tcp, SSH, strlen(SSH)), SL_REASON_NOT_TLS);
	/* pinned to both names now: 443 asks for a hello of the one alone */
	lab_resolve(gw, GIT, A1, 60);
	tcp = tcp_to(A1, 443);
	assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_NONE);
	assert_int_equal(inproc_tcp_client(gw, &tcp, records, len), SL_REASON_DOMAIN_NOT_ALLOWED);
	/* an address of by-address alone opens no hello at all */
	lab_resolve(gw, GIT, A2, 60);
	assert_int_equal(connect_to(gw, A2, 443), SL_REASON_ADDRESS_NOT_PINNED);
	inproc_free(gw);
}

static void pin_of_another_sandbox_opens_nothing(void **state)
{
	static const struct lab_from other = {102, LAB_CLIENT, LAB_RESOLVER, LAB_SPORT};
	struct inproc *gw = gateway("sandboxes:\n"
	                            "  - {vlan: 101, policy: {" ENTRIES "}}\n"
	                            "  - {vlan: 102, policy: {" ENTRIES "}}\n");

	lab_resolve_from(gw, &other, GIT, A1, 60);
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_ADDRESS_NOT_PINNED);
	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_PIN_ALLOWED);
	inproc_free(gw);
}

/* A name that is resolved later opens an address that was closed before. */
static void many_names_of_one_address_are_told_apart(void **state)
{
	struct inproc *gw = gateway(BY("allow: ['*.example.org'], " ENTRIES));
	char name[64];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%u.example.org", i);
		lab_resolve(gw, name, A1, 60);
		inproc_clear(gw);
	}
	/* none of them is the entry's: rule 3 has it */
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_NONE);
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_NONE);
	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_PIN_ALLOWED);
	inproc_free(gw);
}

/* ---- pins end, flows go on ---- */

static void pin_ends_and_use_renews_it(void **state)
{
	struct inproc *gw = lab_create(BY(ENTRIES), "dns: {resolvers: [203.0.113.53], "
	                                            "pin-grace: 100}\n");
	struct inproc_tcp tcp = tcp_to(A1, 22);

	lab_resolve(gw, GIT, A1, 60);
	inproc_advance_s(gw, 80);
	assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_PIN_ALLOWED);
	inproc_advance_s(gw, 80); /* 160 s after the answer, 80 s after its last use */
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_PIN_ALLOWED);
	inproc_advance_s(gw, 120);
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_ADDRESS_NOT_PINNED);
	/* the open flow outlives it */
	assert_int_equal(inproc_tcp_client(gw, &tcp, SSH, strlen(SSH)), SL_REASON_PIN_ALLOWED);
	inproc_free(gw);
}

/* ---- live updates ---- */

static void open_flow_is_judged_by_name_port_and_protocol(void **state)
{
	static const struct {
		const char *policy;
		enum sl_reason reason;
	} rows[] = {
	        {BY(ENTRIES), SL_REASON_PIN_ALLOWED},
	        {BY("by-address: ['*.com:22/tcp']"), SL_REASON_PIN_ALLOWED},
	        {BY("allow: [github.com], by-address: ['github.com:22/tcp']"),
	         SL_REASON_PIN_ALLOWED},
	        {BY("subnets: {allow: [" A1 "]}"), SL_REASON_SUBNET_ALLOWED},
	        {"sandboxes: [{vlan: 101, name: box}]", SL_REASON_ALLOW_ALL},
	        {BY("by-address: ['github.com:23/tcp']"), SL_REASON_POLICY_CHANGED},
	        {BY("by-address: ['github.com:22/udp']"), SL_REASON_POLICY_CHANGED},
	        {BY("by-address: ['gitlab.com:22/tcp']"), SL_REASON_POLICY_CHANGED},
	        /* its bytes have proved no name */
	        {BY("allow: [github.com]"), SL_REASON_POLICY_CHANGED},
	        {BY("allow: ['*']"), SL_REASON_POLICY_CHANGED},
	        {BY("subnets: {deny: [" A1 "]}, " ENTRIES), SL_REASON_POLICY_CHANGED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct inproc *gw = gateway(BY(ENTRIES));
		struct inproc_tcp tcp = tcp_to(A1, 22);
		enum sl_reason got;

		lab_resolve(gw, GIT, A1, 60);
		assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_PIN_ALLOWED);
		assert_int_equal(inproc_tcp_client(gw, &tcp, "a", 1), SL_REASON_PIN_ALLOWED);
		inproc_push(gw, rows[i].policy);
		got = inproc_tcp_client(gw, &tcp, "b", 1);
		if (got != rows[i].reason)
			fail_msg("%s: %s", rows[i].policy, sl_reason_name(got));
		inproc_free(gw);
	}
}

/* By way of allow-all a name that a pin gave does not become one that was proved. */
static void name_of_a_pin_never_becomes_a_proved_one(void **state)
{
	struct inproc *gw = gateway(BY(ENTRIES));
	struct inproc_tcp tcp = tcp_to(A1, 22);

	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_PIN_ALLOWED);
	inproc_push(gw, "sandboxes: [{vlan: 101, name: box}]");
	assert_int_equal(inproc_tcp_client(gw, &tcp, "a", 1), SL_REASON_ALLOW_ALL);
	inproc_push(gw, BY("allow: [github.com]"));
	assert_int_equal(inproc_tcp_client(gw, &tcp, "b", 1), SL_REASON_POLICY_CHANGED);
	inproc_free(gw);
}

/* What was opened under allow-all finds its pin when the policy is locked down. */
static void flow_of_allow_all_goes_on_by_its_pin(void **state)
{
	for (int asked = 0; asked < 2; asked++) {
		struct inproc *gw = gateway("sandboxes: [{vlan: 101, name: box}]");
		struct inproc_tcp tcp = tcp_to(A1, 22);

		if (asked)
			lab_resolve(gw, GIT, A1, 60);
		assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_ALLOW_ALL);
		inproc_push(gw, BY(ENTRIES));
		assert_int_equal(inproc_tcp_client(gw, &tcp, "b", 1),
		                 asked ? SL_REASON_PIN_ALLOWED : SL_REASON_POLICY_CHANGED);
		if (asked)
			expect_event(gw, SL_REASON_PIN_ALLOWED, GIT);
		inproc_free(gw);
	}
}

/* A connection that proved its name goes on where the new policy only has its port. */
static void proved_name_goes_on_by_an_entry(void **state)
{
	struct inproc *gw = gateway(BY("allow: [github.com]"));
	struct inproc_tcp tcp = tcp_to(A1, 443);
	static uint8_t hello[HELLO_BYTES_MAX], records[RECORDS_BYTES_MAX];
	size_t len = hello_records(hello, hello_named(GIT, hello), 0, records);

	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(inproc_tcp_open(gw, &tcp), SL_REASON_NONE);
	assert_int_equal(inproc_tcp_client(gw, &tcp, records, len), SL_REASON_DOMAIN_ALLOWED);
	inproc_push(gw, BY("by-address: ['github.com:443/tcp']"));
	assert_int_equal(inproc_tcp_server(gw, &tcp, NULL, 0), SL_REASON_PIN_ALLOWED);
	inproc_push(gw, BY("by-address: ['github.com:22/tcp']"));
	assert_int_equal(inproc_tcp_server(gw, &tcp, NULL, 0), SL_REASON_POLICY_CHANGED);
	inproc_free(gw);
}

/* Where no pin says that the name's address is the flow's, what the hello said is not enough. */
static void proved_name_without_a_pin_is_cut(void **state)
{
	static const struct {
		const char *policy, *config;
	} rows[] = {
	        {BY("allow: [github.com]"), "dns: {resolvers: [203.0.113.53], pinning: log}\n"},
	        {BY("allow: ['*']"), LAB_CONFIG},
	};
	static uint8_t hello[HELLO_BYTES_MAX], records[RECORDS_BYTES_MAX];
	size_t len = hello_records(hello, hello_named(GIT, hello), 0, records);

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct inproc *gw = lab_create(rows[i].policy, rows[i].config);
		struct inproc_tcp pinned = tcp_to(A1, 443), forged = tcp_to(A2, 443);

		row(rows[i].config);
		lab_resolve(gw, GIT, A1, 60);
		assert_int_equal(inproc_tcp_open(gw, &pinned), SL_REASON_NONE);
		assert_int_equal(inproc_tcp_client(gw, &pinned, records, len),
		                 SL_REASON_DOMAIN_ALLOWED);
		assert_int_equal(inproc_tcp_open(gw, &forged), SL_REASON_NONE);
		assert_int_equal(inproc_tcp_client(gw, &forged, records, len),
		                 SL_REASON_DOMAIN_ALLOWED);
		inproc_push(gw, BY("by-address: ['github.com:443/tcp']"));
		assert_int_equal(inproc_tcp_server(gw, &pinned, NULL, 0), SL_REASON_PIN_ALLOWED);
		assert_int_equal(inproc_tcp_server(gw, &forged, NULL, 0), SL_REASON_POLICY_CHANGED);
		inproc_free(gw);
	}
}

/* ---- how its frames leave ---- */

#define OTHER "02:00:00:00:00:66"

static enum sl_reason send_syn(struct inproc *gw, uint16_t sport, const char *mac, const char *text)
{
	struct packet packet = TCP(.vlan = LAB_VLAN, .dmac = mac, .src = LAB_CLIENT, .dst = A1,
	                           .sport = sport, .dport = 22, .flags = TCP_SYN, .seq = 1000,
	                           .ttl = PKT_SET(1), .payload = text, .payload_len = strlen(text));

	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

static bool left_for(const struct inproc *gw, const char *mac)
{
	const struct inproc_frame *frame = inproc_last(gw, SL_PORT_UPLINK);
	unsigned byte[6];

	assert_non_null(frame);
	assert_int_equal(sscanf(mac, "%x:%x:%x:%x:%x:%x", &byte[0], &byte[1], &byte[2], &byte[3],
	                        &byte[4], &byte[5]),
	                 6);
	for (unsigned i = 0; i < 6; i++)
		if (frame->bytes[i] != byte[i])
			return false;
	return true;
}

/* A SYN goes as under rule 2, but what it carries only to who has answered; also when repeated. */
static void syn_with_data_goes_to_who_has_answered(void **state)
{
	struct inproc *gw = gateway(BY(ENTRIES));

	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(send_syn(gw, 1, PKT_MAC_OUTER, SSH), SL_REASON_PIN_ALLOWED);
	assert_true(left_for(gw, PKT_MAC_OUTER) && inproc_left(gw, SL_PORT_UPLINK, SSH, 20));
	assert_int_equal(send_syn(gw, 2, OTHER, SSH), SL_REASON_PIN_ALLOWED);
	assert_true(left_for(gw, PKT_MAC_OUTER));
	assert_int_equal(send_syn(gw, 3, OTHER, ""), SL_REASON_PIN_ALLOWED);
	assert_true(left_for(gw, OTHER));
	assert_int_equal(send_syn(gw, 3, OTHER, SSH), SL_REASON_PIN_ALLOWED);
	assert_true(left_for(gw, PKT_MAC_OUTER));
	inproc_free(gw);
}

static void hop_limit_is_raised(void **state)
{
	struct inproc *gw = gateway(BY(ENTRIES));
	struct packet packet = UDP(.vlan = LAB_VLAN, .src = LAB_CLIENT, .dst = A2, .sport = 5,
	                           .dport = 123, .ttl = PKT_SET(2), PKT_TEXT("time?"));

	lab_resolve(gw, NTP, A2, 60);
	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(send_syn(gw, 1, PKT_MAC_OUTER, ""), SL_REASON_PIN_ALLOWED);
	assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->ttl, 64);
	for (int i = 0; i < 2; i++) { /* the first one, and one of the open flow */
		assert_int_equal(inproc_send(gw, SL_PORT_SANDBOX, &packet), SL_REASON_PIN_ALLOWED);
		assert_int_equal(lab_last(gw, SL_PORT_UPLINK)->ttl, 64);
	}
	inproc_free(gw);
}

/* A port of QUIC is one like any other: nothing is asked of the datagrams. */
static void port_443_over_udp_is_open_to_anything(void **state)
{
	struct inproc *gw = gateway(BY("allow: [github.com], by-address: ['github.com:443/udp']"));

	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(datagram_to(gw, A1, 443), SL_REASON_PIN_ALLOWED);
	assert_int_equal(datagram_to(gw, A1, 444), SL_REASON_NOT_QUIC);
	assert_int_equal(datagram_to(gw, A2, 443), SL_REASON_ADDRESS_NOT_PINNED);
	inproc_free(gw);
}

/* What goes under `pinning: log` goes by rule 3: an entry opens nothing without a pin. */
static void pinning_log_makes_up_no_pin(void **state)
{
	struct inproc *gw =
	        lab_create(BY(ENTRIES), "dns: {resolvers: [203.0.113.53], pinning: log}\n");

	lab_resolve(gw, GIT, A1, 60);
	assert_int_equal(connect_to(gw, A1, 22), SL_REASON_PIN_ALLOWED);
	assert_int_equal(connect_to(gw, A2, 22), SL_REASON_ADDRESS_NOT_PINNED);
	inproc_free(gw);
}

/* ---- documents ---- */

static void policy_without_pins_is_refused(void **state)
{
	static const char *const configs[] = {
	        "dns: {resolvers: [203.0.113.53], pinning: 'off'}\n",
	        "dns: {resolvers: any}\n",
	};

	for (size_t i = 0; i < COUNT(configs); i++) {
		struct inproc *gw = lab_create("sandboxes: [{vlan: 101}]", configs[i]);

		row(configs[i]);
		assert_int_equal(inproc_push(gw, BY(ENTRIES)), 0);
		assert_non_null(
		        strstr(inproc_errors(gw), "1:44: by-address opens what DNS answers"));
		assert_int_equal(connect_to(gw, A1, 22), SL_REASON_ALLOW_ALL);
		inproc_free(gw);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pinned_address_is_open_at_that_port),
	        cmocka_unit_test(pinned_address_is_open_to_datagrams_and_over_ipv6),
	        cmocka_unit_test(names_of_entries_may_be_asked_for),
	        cmocka_unit_test(everything_beside_the_entry_stays_closed),
	        cmocka_unit_test(entries_and_patterns_stay_apart),
	        cmocka_unit_test(pin_of_another_sandbox_opens_nothing),
	        cmocka_unit_test(many_names_of_one_address_are_told_apart),
	        cmocka_unit_test(pin_ends_and_use_renews_it),
	        cmocka_unit_test(open_flow_is_judged_by_name_port_and_protocol),
	        cmocka_unit_test(name_of_a_pin_never_becomes_a_proved_one),
	        cmocka_unit_test(flow_of_allow_all_goes_on_by_its_pin),
	        cmocka_unit_test(proved_name_goes_on_by_an_entry),
	        cmocka_unit_test(proved_name_without_a_pin_is_cut),
	        cmocka_unit_test(syn_with_data_goes_to_who_has_answered),
	        cmocka_unit_test(hop_limit_is_raised),
	        cmocka_unit_test(port_443_over_udp_is_open_to_anything),
	        cmocka_unit_test(pinning_log_makes_up_no_pin),
	        cmocka_unit_test(policy_without_pins_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
