/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_packet_oracle.c: random policies, random connections, sent as packets through a whole
 * gateway; each must get the verdict that the reference model reads in the document. Seed:
 * environment SLUICE_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "document/diag.h"
#include "dns_build.h"
#include "hello.h"
#include "inproc.h"
#include "reference.h"

#define POLICIES  60
#define QUESTIONS 250 /* for each: 15,000 judgements in all */
#define VLANS     6

#define PINS 40 /* at most, for each policy of the test with pins */

#define CONFIG(pinning)                                                                            \
	"dns: {resolvers: [203.0.113.53, 10.9.9.9, '2001:db8:53::53'], pinning: " pinning "}\n"    \
	"protected: [198.18.0.0/15]\n"                                                             \
	"inspect: {http: host}\n"

static uint64_t seed, state;
static unsigned came_to[SL_REASON_COUNT];

static uint32_t draw(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 11) % n;
}

/* --- random documents --- */

struct text {
	char bytes[32768];
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text->len += (size_t)vsnprintf(text->bytes + text->len, sizeof(text->bytes) - text->len,
	                               fmt, args);
	va_end(args);
	assert_true(text->len < sizeof(text->bytes));
}

static const char *const names[] = {
        "a.example",       "b.example",         "www.a.example",         "x.www.a.example",
        "example",         "a.b.example.net",   "b.example.net",         "example.net",
        "www.example.org", "www.x.example.org", "xn--bcher-kva.example",
};

static const char *const patterns[] = {
        "a.example",
        "*.a.example",
        "*.example",
        "b.example.net",
        "*.example.net",
        "www.*.example.org",
        "*.*.example.net",
        "*",
        "xn--bcher-kva.example",
        "*.org",
        "www.*.org",
};

static void add_prefix(struct text *text)
{
	static const char *const bases[] = {
	        "198.51.100.0/24",  "198.51.100.128/25",
	        "198.51.100.7/32",  "198.51.0.0/16",
	        "10.0.0.0/8",       "10.9.9.0/24",
	        "203.0.113.0/24",   "198.18.5.0/24",
	        "0.0.0.0/0",        "192.168.1.0/24",
	        "2001:db8::/32",    "2001:db8:53::/48",
	        "2001:db8:20::/48", "2001:db8:20::7/128",
	        "fd00::/8",         "::/0",
	        "64:ff9b::/96",     "64:ff9b::c633:6400/120",
	        "100.64.0.0/10",
	};

	add(text, "\"%s\"", bases[draw(sizeof(bases) / sizeof(bases[0]))]);
}

static void add_prefixes(struct text *text, const char *key)
{
	unsigned n = draw(4);

	add(text, "%s: [", key);
	for (unsigned i = 0; i < n; i++) {
		add(text, i > 0 ? ", " : "");
		add_prefix(text);
	}
	add(text, "]");
}

static const uint16_t ports[] = {53, 443, 443, 22, 123, 8443};

static void add_by_address(struct text *text)
{
	unsigned n = draw(4);

	add(text, ", by-address: [");
	for (unsigned i = 0; i < n; i++) {
		const char *pattern = patterns[draw(sizeof(patterns) / sizeof(patterns[0]))];

		if (strcmp(pattern, "*") != 0)
			add(text, "'%s:%u/%s', ", pattern, ports[1 + draw(5)],
			    draw(2) ? "tcp" : "udp");
	}
	add(text, "]");
}

static void add_policy(struct text *text, bool pins)
{
	unsigned n = draw(4);

	switch (draw(8)) {
	case 0:
		return; /* allow-all by an absent key */
	case 1:
		add(text, ", policy: deny-all");
		return;
	case 2:
		add(text, ", policy: allow-all");
		return;
	default:
		break;
	}
	add(text, ", policy: {allow: [");
	for (unsigned i = 0; i < n; i++)
		add(text, "%s\"%s\"", i > 0 ? ", " : "",
		    patterns[draw(sizeof(patterns) / sizeof(patterns[0]))]);
	add(text, "], subnets: {");
	add_prefixes(text, "allow");
	add(text, ", ");
	add_prefixes(text, "deny");
	add(text, "}");
	if (pins)
		add_by_address(text);
	add(text, "}");
}

static void make_policy(struct text *text, bool pins)
{
	text->len = 0;
	add(text, "sandboxes:\n");
	for (unsigned vlan = 1; vlan <= VLANS; vlan++) {
		if (draw(8) == 0)
			continue;
		add(text, "  - {vlan: %u", vlan);
		if (draw(4) == 0)
			add(text, ", source: [10.0.0.2/32, \"fd00::2/128\"]");
		add_policy(text, pins);
		add(text, "}\n");
	}
	if (text->len < 20)
		add(text, "  - {vlan: 1}\n");
}

/* --- random questions --- */

static const char *const remotes[] = {
        "198.51.100.7",
        "198.51.100.127",
        "198.51.100.128",
        "198.51.101.1",
        "198.51.99.255",
        "203.0.113.53",
        "203.0.113.54",
        "10.9.9.9",
        "10.9.9.10",
        "10.1.2.3",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "198.18.5.5",
        "198.20.0.1",
        "8.8.8.8",
        "0.1.2.3",
        "240.0.0.1",
        "192.0.0.5",
        "2001:db8:20::7",
        "2001:db8:20::8",
        "2001:db8:53::53",
        "2001:db9::1",
        "fd00::99",
        "::1",
        "64:ff9b::c633:6407",
        "64:ff9b::a01:203",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a01:203",
        "2002:a01:203::1",
        "fe80::5",
        "::ffff:10.1.2.3",
};

struct asked {
	struct reference_question question;
	const char *client, *server;
	char name[64];
};

static struct asked ask(void)
{
	static const char *const sources4[] = {"10.0.0.2", "10.0.0.3", "192.168.7.7", "192.0.2.9"};
	static const char *const sources6[] = {"fd00::2", "fd00::3", "2001:db8::9"};
	static const int protos[] = {6, 6, 17, 17, 1, 47};
	struct asked asked = {.server = remotes[draw(sizeof(remotes) / sizeof(remotes[0]))]};
	struct reference_question *q = &asked.question;
	bool v6 = strchr(asked.server, ':') != NULL;

	asked.client = v6 ? sources6[draw(3)] : sources4[draw(4)];
	q->vlan = (uint16_t)(1 + draw(VLANS + 1));
	q->source = packet_addr(asked.client);
	q->remote = packet_addr(asked.server);
	q->proto = protos[draw(6)];
	if (q->proto == 1 && v6)
		q->proto = 58;
	q->port = ports[draw(sizeof(ports) / sizeof(ports[0]))];
	snprintf(asked.name, sizeof(asked.name), "%s",
	         names[draw(sizeof(names) / sizeof(names[0]))]);
	return asked;
}

/* --- one question as packets --- */

static enum sl_reason ask_tcp(struct inproc *gw, const struct asked *asked, uint16_t sport)
{
	struct inproc_tcp tcp = {.vlan = asked->question.vlan,
	                         .client = asked->client,
	                         .server = asked->server,
	                         .sport = sport,
	                         .dport = asked->question.port};
	static uint8_t message[HELLO_BYTES_MAX], records[RECORDS_BYTES_MAX];
	enum sl_reason opened = inproc_tcp_open(gw, &tcp);
	char request[200];
	size_t len;

	if (opened != SL_REASON_NONE)
		return opened;
	if (draw(3) == 0) { /* the name proved in the other way that TCP has */
		len = (size_t)snprintf(request, sizeof(request),
		                       "GET /%u HTTP/1.1\r\nHost: %s\r\n\r\n", draw(1000),
		                       asked->name);
		return inproc_tcp_client(gw, &tcp, request, len);
	}
	len = hello_named(asked->name, message);
	len = hello_records(message, len, 0, records);
	return inproc_tcp_client(gw, &tcp, records, len);
}

static enum sl_reason ask_udp(struct inproc *gw, const struct asked *asked, uint16_t sport)
{
	const struct reference_question *q = &asked->question;
	struct dns_message message;
	struct packet packet;

	dns_begin(&message, sport, DNS_RD);
	dns_question(&message, asked->name, DNS_A);
	packet = UDP(.vlan = q->vlan, .src = asked->client, .dst = asked->server, .sport = sport,
	             .dport = q->port, .payload = message.bytes, .payload_len = message.len);
	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

static enum sl_reason ask_other(struct inproc *gw, const struct asked *asked, uint16_t id)
{
	const struct reference_question *q = &asked->question;
	struct packet packet =
	        PACKET(.proto = (uint8_t)q->proto, .vlan = q->vlan, .src = asked->client,
	               .dst = asked->server, .icmp_type = q->proto == 1 ? 8 : 128,
	               .icmp_rest = (uint32_t)id << 16 | 1, PKT_TEXT("abcdefgh"));

	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

/*
 * The expected reason: as the reference model says, or that of a protocol that cannot prove a
 * name.
 */
static enum sl_reason expected(const struct asked *asked, enum sl_reason reference)
{
	const struct reference_question *q = &asked->question;

	if (q->proto == 17 && q->port != 53 &&
	    (reference == SL_REASON_DOMAIN_ALLOWED || reference == SL_REASON_DOMAIN_NOT_ALLOWED ||
	     reference == SL_REASON_NO_SERVER_NAME))
		return SL_REASON_NOT_QUIC; /* a DNS message is not QUIC */
	return reference;
}

/* --- pins --- */

/* The addresses that DNS has given to the sandboxes, by VLAN. */
static struct {
	char names[PINS][64];
	const char *address[PINS];
	struct reference_pin pin[PINS];
	size_t n;
} given[VLANS + 2];

/* A sandbox asks for a name and gets an address, if its policy allows the query. */
static void resolve(struct inproc *gw, uint16_t vlan, uint16_t id)
{
	const char *name = names[draw(sizeof(names) / sizeof(names[0]))];
	const char *address = remotes[draw(12)]; /* IPv4 */
	struct packet query, reply;
	struct dns_message message;
	const struct packet_view *left;

	dns_begin(&message, id, DNS_RD);
	dns_question(&message, name, DNS_A);
	query = UDP(.vlan = vlan, .src = "10.0.0.2", .dst = "203.0.113.53", .sport = id,
	            .dport = 53, .payload = message.bytes, .payload_len = message.len);
	if (inproc_send(gw, SL_PORT_SANDBOX, &query) != SL_REASON_DNS_ALLOWED)
		return;
	left = &inproc_last(gw, SL_PORT_UPLINK)->view;
	dns_begin(&message, (uint16_t)(left->payload[0] << 8 | left->payload[1]),
	          DNS_QR | DNS_RD | DNS_RA);
	dns_question(&message, name, DNS_A);
	dns_address(&message, DNS_ANSWER, "@12", address, 60);
	reply = UDP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = vlan,
	            .src = "203.0.113.53", .dst = "10.0.0.2", .sport = 53, .dport = id,
	            .payload = message.bytes, .payload_len = message.len);
	assert_int_equal(inproc_send(gw, SL_PORT_UPLINK, &reply), SL_REASON_DNS_ALLOWED);
	snprintf(given[vlan].names[given[vlan].n], 64, "%s", name);
	given[vlan].pin[given[vlan].n] = (struct reference_pin){
	        .name = given[vlan].names[given[vlan].n], .addr = packet_addr(address)};
	given[vlan].address[given[vlan].n] = address;
	given[vlan].n++;
	inproc_clear(gw);
}

static void resolve_all(struct inproc *gw)
{
	for (unsigned vlan = 1; vlan <= VLANS + 1; vlan++) {
		given[vlan].n = 0;
		for (unsigned i = 0; i < PINS / 2; i++)
			resolve(gw, (uint16_t)vlan, (uint16_t)(1000 + i));
	}
}

static void ask_and_compare(struct inproc *gw, const struct sl_policy_doc *doc,
                            const struct sl_config *config, const struct text *policy, uint16_t id)
{
	struct asked asked = ask();
	struct reference_question *q = &asked.question;
	bool pins = config->dns.pinning != SL_CONFIG_PINNING_OFF;
	enum sl_reason got, want;

	/* DNS over TCP has tests of its own: no name is judged at its first packet. */
	if (q->proto == 6 && q->port == 53)
		q->port = 8443;
	q->name = q->proto == 6 || q->proto == 17 ? asked.name : NULL;
	if (pins && q->proto == 17 && q->port != 53)
		q->name = NULL; /* the datagram has none */
	q->pins = given[q->vlan].pin;
	q->n_pins = pins ? given[q->vlan].n : 0;
	if (q->n_pins > 0 && draw(4) > 0) { /* mostly to where DNS sends it */
		asked.server = given[q->vlan].address[draw((uint32_t)q->n_pins)];
		asked.client = "10.0.0.2";
		q->source = packet_addr(asked.client);
		q->remote = packet_addr(asked.server);
		q->proto = q->proto == 58 ? 1 : q->proto;
	}
	want = expected(&asked, reference_judge(doc, config, q));
	got = q->proto == 6    ? ask_tcp(gw, &asked, id)
	      : q->proto == 17 ? ask_udp(gw, &asked, id)
	                       : ask_other(gw, &asked, id);
	came_to[want]++;
	if (got != want)
		fail_msg("seed %llu, judgement %u: vlan %u %s -> %s proto %d port %u name %s: %s, "
		         "the reference model says "
		         "%s\n%s",
		         (unsigned long long)seed, id, q->vlan, asked.client, asked.server,
		         q->proto, q->port, asked.name, sl_reason_name(got), sl_reason_name(want),
		         policy->bytes);
	inproc_clear(gw);
}

static void compare(const char *config_text, bool pins)
{
	struct sl_config config;
	struct sl_diag diag;
	unsigned judged = 0;

	sl_diag_init(&diag);
	assert_int_equal(sl_config_read_buffer("config", config_text, strlen(config_text),
	                                       SL_CONFIG_FOR_REPLAY, &diag, &config),
	                 0);
	for (unsigned n = 0; n < POLICIES; n++) {
		static struct text policy;
		struct sl_policy_doc *doc = NULL;
		struct inproc *gw;

		make_policy(&policy, pins);
		assert_int_equal(
		        sl_policy_doc_read_buffer("policy", policy.bytes, policy.len, &diag, &doc),
		        0);
		gw = inproc_create(policy.bytes, config_text);
		if (pins)
			resolve_all(gw);
		for (unsigned i = 0; i < QUESTIONS; i++) {
			/* Ports are not used twice, and the clock moves on: no quota interferes. */
			ask_and_compare(gw, doc, &config, &policy, (uint16_t)(2000 + i));
			judged++;
		}
		inproc_free(gw);
		sl_policy_doc_free(doc);
	}
	print_message("%u judgements, seed %llu\n", judged, (unsigned long long)seed);
	sl_config_fini(&config);
	sl_diag_free(&diag);
}

static void random_connections_come_to_what_the_reference_says(void **unused)
{
	(void)unused;
	compare(CONFIG("off"), false);
}

static void random_connections_by_pins_come_to_what_the_reference_says(void **unused)
{
	(void)unused;
	compare(CONFIG("enforce"), true);
	print_message("%u pin-allowed, %u domain-allowed, %u address-not-pinned\n",
	              came_to[SL_REASON_PIN_ALLOWED], came_to[SL_REASON_DOMAIN_ALLOWED],
	              came_to[SL_REASON_ADDRESS_NOT_PINNED]);
	assert_true(came_to[SL_REASON_PIN_ALLOWED] > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(random_connections_by_pins_come_to_what_the_reference_says),
	        cmocka_unit_test(random_connections_come_to_what_the_reference_says),
	};
	const char *given = getenv("SLUICE_SEED");

	seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u;
	state = seed | 1;
	print_message("seed %llu\n", (unsigned long long)seed);
	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
