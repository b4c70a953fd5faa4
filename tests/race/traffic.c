/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic.c: the conversations of the race suite and the rules by which each packet of them must
 * pass or be dropped, read from the documents and never from the gateway.
 */
#include "traffic.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hello.h"
#include "packet.h"
#include "sluice/reason.h"

#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define DATA_STEPS   24 /* packets of a connection after its handshake, half from either end */
#define REPLIES_MAX  5  /* of a UDP or echo conversation before it asks again */
#define PAYLOAD_SIZE 16

/* Steps of a connection. */
enum { SYN = 0, SYN_ACK, ACK, HELLO, SERVER_HELLO, DATA };

static const char *const names[] = {"a.example", "www.a.example", "b.x.example.net",
                                    "www.q.example", "other.example"};

static const char *const servers[] = {
        "198.51.100.7", "198.51.100.200",  "203.0.113.9",  "192.0.2.5",
        "8.8.8.8",      "2001:db8:20::77", "2001:db9::77", "198.51.100.9",
};

/* Hellos for every name, and the answer, made once. */
static struct {
	uint8_t bytes[2048];
	size_t len;
} hellos[COUNT(names)], server_hello;

static void make_hellos(void)
{
	static uint8_t message[HELLO_BYTES_MAX], records[RECORDS_BYTES_MAX];

	for (size_t i = 0; i <= COUNT(names); i++) {
		size_t len = i < COUNT(names) ? hello_named(names[i], message)
		                              : hello_server(false, message);

		len = hello_records(message, len, 0, records);
		if (len > sizeof(hellos[0].bytes))
			abort();
		memcpy(i < COUNT(names) ? hellos[i].bytes : server_hello.bytes, records, len);
		*(i < COUNT(names) ? &hellos[i].len : &server_hello.len) = len;
	}
}

void race_talk_init(struct race_talk *talk, uint64_t *state, uint16_t vlan, uint16_t serial)
{
	bool v6;

	if (server_hello.len == 0)
		make_hellos();
	*talk = (struct race_talk){
	        .vlan = vlan,
	        .port = serial,
	        .kind = race_draw(state, 5) > 1 ? RACE_TCP
	                                        : (enum race_kind)race_draw(state, RACE_KINDS - 1),
	        .server = servers[race_draw(state, COUNT(servers))],
	        .name = race_draw(state, COUNT(names)),
	};
	v6 = strchr(talk->server, ':') != NULL;
	talk->client = v6 ? "fd00::2" : race_draw(state, 4) == 0 ? "10.0.0.3" : "10.0.0.2";
	talk->question = (struct reference_question){
	        .vlan = vlan,
	        .source = packet_addr(talk->client),
	        .remote = packet_addr(talk->server),
	        .proto = talk->kind == RACE_TCP   ? IPPROTO_TCP
	                 : talk->kind == RACE_UDP ? IPPROTO_UDP
	                 : v6                     ? IPPROTO_ICMPV6
	                                          : IPPROTO_ICMP,
	        .port = 443,
	};
}

static bool is_from_client(const struct race_talk *talk)
{
	switch (talk->step) {
	case SYN:
		return true;
	case SYN_ACK:
		return talk->kind != RACE_TCP && talk->port % 2 == 0;
	case ACK:
	case HELLO:
		return talk->kind == RACE_TCP;
	case SERVER_HELLO:
		return false;
	default:
		return talk->step % 2 == 1;
	}
}

enum sl_port_id race_talk_port(const struct race_talk *talk)
{
	return is_from_client(talk) ? SL_PORT_SANDBOX : SL_PORT_UPLINK;
}

static struct packet_spec frame_of(const struct race_talk *talk, bool from_client)
{
	return (struct packet_spec){
	        .smac = from_client ? PKT_MAC_INNER : PKT_MAC_OUTER,
	        .dmac = from_client ? PKT_MAC_OUTER : PKT_MAC_INNER,
	        .vlan = talk->vlan,
	        .src = from_client ? talk->client : talk->server,
	        .dst = from_client ? talk->server : talk->client,
	        .sport = from_client ? talk->port : 443,
	        .dport = from_client ? 443 : talk->port,
	        .proto = (uint8_t)talk->question.proto,
	};
}

static void add_segment(struct race_talk *talk, uint64_t *state, struct packet_spec *spec)
{
	static const uint8_t data[PAYLOAD_SIZE] = "sixteen letters";
	bool from_client = is_from_client(talk);

	if (talk->step == SYN) {
		talk->iss = talk->next_iss;
		talk->irs = race_draw(state, UINT32_MAX);
		talk->client_at = talk->iss;
		talk->server_at = talk->irs;
	}
	spec->flags = talk->step == SYN       ? TCP_SYN
	              : talk->step == SYN_ACK ? TCP_SYN | TCP_ACK
	              : talk->step == ACK     ? TCP_ACK
	                                      : TCP_ACK | TCP_PSH;
	spec->seq = from_client ? talk->client_at : talk->server_at;
	if (talk->step != SYN)
		spec->ack = from_client ? talk->server_at : talk->client_at;
	if (talk->step == HELLO) {
		spec->payload = hellos[talk->name].bytes;
		spec->payload_len = hellos[talk->name].len;
	} else if (talk->step == SERVER_HELLO) {
		spec->payload = server_hello.bytes;
		spec->payload_len = server_hello.len;
	} else if (talk->step >= DATA) {
		spec->payload = data;
		spec->payload_len = sizeof(data);
	}
	*(from_client ? &talk->client_at : &talk->server_at) +=
	        (uint32_t)spec->payload_len + (talk->step < ACK);
}

size_t race_talk_packet(struct race_talk *talk, uint64_t *state, uint8_t *out, size_t size)
{
	bool from_client = is_from_client(talk), v6 = talk->question.source.family == SL_FAMILY_6;
	struct packet_spec spec = frame_of(talk, from_client);

	switch (talk->kind) {
	case RACE_UDP:
		spec.payload = "no QUIC";
		spec.payload_len = 7;
		break;
	case RACE_PING:
		spec.icmp_type = (uint8_t)(v6 ? (from_client ? 128 : 129) : (from_client ? 8 : 0));
		spec.icmp_rest = (uint32_t)talk->port << 16 | 1;
		break;
	case RACE_TCP:
	case RACE_KINDS:
		add_segment(talk, state, &spec);
		break;
	}
	return packet_build(out, size, &spec);
}

void race_talk_next(struct race_talk *talk, uint64_t *state, bool passed)
{
	unsigned last = talk->kind == RACE_TCP ? DATA + DATA_STEPS : REPLIES_MAX;

	/*
	 * As a host would: the new number is far from those that a record of an earlier connection
	 * refuses.
	 */
	if (passed && talk->step == SYN)
		talk->next_iss += 1u << 18;
	talk->step++;
	if (!passed || talk->step > last || race_draw(state, 40) == 0) {
		talk->step = SYN;
		talk->name = race_draw(state, COUNT(names));
	}
}

uint16_t race_talk_of(const uint8_t *frame, size_t len, enum sl_port_id out, uint16_t *vlan)
{
	struct packet_view view = packet_view(frame, len);
	bool up = out == SL_PORT_UPLINK;

	*vlan = view.tci & 0xfff;
	if (!view.ok)
		abort();
	switch (view.proto) {
	case IPPROTO_UDP:
		return up ? view.sport : view.dport;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (view.proto == IPPROTO_ICMP ? view.icmp_type == 8 || view.icmp_type == 0
		                               : view.icmp_type == 128 || view.icmp_type == 129)
			return (uint16_t)(view.icmp_rest >> 16);
		return 0;
	default:
		return view.flags & TCP_RST ? 0 : up ? view.sport : view.dport;
	}
}

/* ---- the expected verdict of a packet ---- */

static enum sl_reason judge(struct race_talk *talk, const struct sl_config *config,
                            uint64_t generation, bool named)
{
	talk->question.name = named ? names[talk->name] : NULL;
	return race_judge(generation, config, &talk->question);
}

/* A connection under rule 3, of which no name is known yet, may begin. */
static bool may_begin(const struct race_talk *talk, enum sl_reason reason)
{
	return talk->kind == RACE_TCP && reason == SL_REASON_NO_SERVER_NAME;
}

/* Judges an existing flow by a generation. */
static void meet(struct race_talk *talk, const struct sl_config *config, uint64_t generation)
{
	enum sl_reason reason;

	/*
	 * If a policy opens the address before the server has answered, the name no longer covers
	 * the flow: other bytes than the hello may have passed since.
	 */
	if (talk->ground == RACE_BY_NAME && talk->step <= SERVER_HELLO &&
	    sl_reason_allows(judge(talk, config, generation, false)))
		talk->ground = RACE_BY_ADDRESS;
	reason = judge(talk, config, generation, talk->ground == RACE_BY_NAME);
	if (talk->ground == RACE_ON_HOLD && sl_reason_allows(reason))
		talk->ground = RACE_BY_ADDRESS;
	else if (!sl_reason_allows(reason) &&
	         !(talk->ground == RACE_ON_HOLD && may_begin(talk, reason)))
		talk->ground = RACE_CLOSED;
}

/*
 * A generation that the worker never saw had no effect; but a sandbox that got the VLAN in between
 * is another one.
 */
static void meet_all(struct race_talk *talk, const struct sl_config *config,
                     const struct race_taken *taken)
{
	unsigned first = taken->count;

	while (first > 0 && taken->number[first - 1] > talk->since)
		first--;
	for (unsigned i = first; i < taken->count && talk->ground != RACE_CLOSED; i++)
		meet(talk, config, taken->number[i]);
	if (race_changed_hands(talk->vlan, talk->since, taken->number[taken->count - 1]))
		talk->ground = RACE_CLOSED;
}

static bool opens(const struct race_talk *talk)
{
	return talk->kind == RACE_TCP ? talk->step == SYN : is_from_client(talk);
}

static bool open_up(struct race_talk *talk, const struct sl_config *config, uint64_t generation)
{
	enum sl_reason reason = judge(talk, config, generation, false);

	talk->ground = sl_reason_allows(reason)  ? RACE_BY_ADDRESS
	               : may_begin(talk, reason) ? RACE_ON_HOLD
	                                         : RACE_CLOSED;
	return talk->ground != RACE_CLOSED;
}

bool race_talk_must_pass(struct race_talk *talk, const struct sl_config *config,
                         const struct race_taken *taken)
{
	uint64_t now = taken->number[taken->count - 1];

	if (opens(talk)) {
		talk->since = now;
		return open_up(talk, config, now);
	}
	if (talk->ground != RACE_CLOSED)
		meet_all(talk, config, taken);
	if (talk->ground == RACE_ON_HOLD && talk->step == HELLO)
		talk->ground = sl_reason_allows(judge(talk, config, now, true)) ? RACE_BY_NAME
		                                                                : RACE_CLOSED;
	talk->since = now;
	return talk->ground != RACE_CLOSED;
}

void race_talk_print(const struct race_talk *talk)
{
	static const char *const kinds[] = {"UDP", "echo", "TCP"};
	static const char *const grounds[] = {"no flow", "a hold", "its address", "its name"};

	fprintf(stderr,
	        "VLAN %u, %s %s -> %s, port %u, step %u, name %s, rests on %s since generation "
	        "%llu\n",
	        talk->vlan, kinds[talk->kind], talk->client, talk->server, talk->port, talk->step,
	        names[talk->name], grounds[talk->ground], (unsigned long long)talk->since);
}
