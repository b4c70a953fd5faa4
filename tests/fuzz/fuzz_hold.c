/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_hold.c: an attacker with root in a sandbox against the hold, with an honest server at the
 * other end.
 *
 * The input is a script of the attacker's moves: segments of hellos in any order, place and size,
 * altered, lost on the way to the server (small TTL) or without payload; the server's answers
 * delivered or lost; policies pushed, time passing, everything else that a sandbox can send. The
 * server is a model that shares no code with the gateway: it accepts segments as RFC 9293 says,
 * keeps the first of two bytes for the same place, answers a complete hello with a ServerHello, or
 * first by a HelloRetryRequest, and a whole header section of HTTP by a response. Whatever the
 * script:
 *
 * - before it has answered, the server never sees a byte of the denied name's hello or header
 * section, and it only answers a hello or a request for the allowed name; - bytes that reach it
 * twice before that are equal; - after a RST nothing of the connection reaches it; - no other frame
 * that leaves contains the denied name; - in = forwarded + dropped + held, and at the end no flow,
 * hold or mbuf is left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mempool.h>

#include "fuzz.h"
#include "hello.h"
#include "inproc.h"

#define CONNS  4
#define STREAM 8192
#define MARK   "evil" /* in the denied name, and in all that must not leave */

/* The frame that was checked last, for the message. */
static const struct inproc_frame *looked_at;

#define MUST(condition, what)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s\n", what);                                             \
			if (looked_at != NULL)                                                     \
				packet_dump(looked_at->bytes, looked_at->len);                     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static const char config[] =
        "dns: {resolvers: [203.0.113.53], pinning: off}\n"
        "inspect: {hello-timeout: 2, http: host}\n"
        "timeouts: {tcp-established: 3, tcp-opening: 3, udp: 3, tcp-closing: 1, icmp: 1, dns: 1}\n"
        "limits: {flows: 4096, flows-per-sandbox: 64, held-bytes-per-sandbox: 65536, pins: 100}\n";

/* None of them allows the denied name, or the server without a name. */
static const char *const policies[] = {
        "sandboxes: [{vlan: 101, policy: {allow: [good.example]}}]",
        "sandboxes: [{vlan: 101, policy: {allow: ['*.example.net', good.example]}}]",
        "sandboxes: [{vlan: 101, policy: {allow: [other.example]}}]",
        "sandboxes: [{vlan: 101, policy: deny-all}]",
        "sandboxes: []",
        "sandboxes: [{vlan: 101, policy: {allow: ['*.example'], subnets: {deny: [0.0.0.0/0]}}}]",
};

/* The server's end of one connection. */
struct peer {
	enum { CLOSED, SYN_RCVD, OPEN } state;
	bool retries; /* asks for a second hello */
	bool retried, answered;
	uint32_t iss, irs;
	uint32_t got;    /* stream bytes received in order */
	uint32_t sent;   /* stream bytes sent */
	uint32_t looked; /* stream bytes that were read as records */
	uint32_t head;   /* bytes of the header section, once it has left; 0: no HTTP */
	bool have[STREAM];
	uint8_t bytes[STREAM];
};

static struct {
	uint16_t port;
	uint32_t iss,
	        irs_seen; /* of the latest SYN, and the server's number as the client learned it */
	struct peer peer;
} conns[CONNS];

enum {
	GOOD,
	EVIL,
	CUT_GOOD,
	CUT_EVIL,
	POSTGRES_GOOD,
	POSTGRES_EVIL,
	EARLY,
	TWO,
	HTTP_GOOD,
	HTTP_EVIL,
	HTTP_BODY,
	STREAMS
};

static struct inproc *gw;
static unsigned policy; /* in force */
static uint16_t next_port = 1024;
static struct {
	size_t len;
	uint8_t bytes[STREAM];
} streams[STREAMS];

/* ---- what the attacker has to send ---- */

static size_t add_hello(int stream, size_t at, const char *name, size_t fragment)
{
	static uint8_t msg[HELLO_BYTES_MAX], records[RECORDS_BYTES_MAX];
	size_t len = hello_named(name, msg), n = hello_records(msg, len, fragment, records);

	memcpy(streams[stream].bytes + at, records, n);
	streams[stream].len = at + n;
	return at + n;
}

static void add_text(int stream, const char *text)
{
	streams[stream].len = strlen(text);
	memcpy(streams[stream].bytes, text, streams[stream].len);
}

static void prepare(void)
{
	static const uint8_t ssl_request[8] = {0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f};
	static const uint8_t early[8] = {23, 3, 3, 0, 3, 'e', 'v', 'x'};
	size_t n;

	add_hello(GOOD, 0, "good.example", 0);
	add_hello(EVIL, 0, "evil.example", 0);
	add_hello(CUT_GOOD, 0, "good.example", 40);
	add_hello(CUT_EVIL, 0, "evil.example", 40);
	for (int i = POSTGRES_GOOD; i <= POSTGRES_EVIL; i++) {
		memcpy(streams[i].bytes, ssl_request, 8);
		add_hello(i, 8, i == POSTGRES_GOOD ? "good.example" : "evil.example", 0);
	}
	n = add_hello(EARLY, 0, "good.example", 0);
	memcpy(streams[EARLY].bytes + n, early, sizeof(early));
	add_hello(EARLY, n + sizeof(early), "evil.example", 0);
	n = add_hello(TWO, 0, "good.example", 0);
	add_hello(TWO, n, "good.example", 0);
	add_text(HTTP_GOOD, "GET / HTTP/1.1\r\nHost: good.example\r\nAccept: */*\r\n\r\n");
	add_text(HTTP_EVIL, "GET / HTTP/1.1\r\nHost: evil.example\r\nAccept: */*\r\n\r\n");
	add_text(HTTP_BODY, "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 7\r\n\r\n"
	                    "a evil!GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
}

/* ---- the server ---- */

static struct packet server_segment(unsigned i, uint8_t flags, const void *bytes, size_t len)
{
	const struct peer *peer = &conns[i].peer;
	bool syn = flags & TCP_SYN;

	return TCP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = 101, .src = "198.51.100.7",
	           .dst = "10.0.0.2", .sport = 443, .dport = conns[i].port, .flags = flags,
	           .seq = peer->irs + (syn ? 0 : 1 + peer->sent), .ack = peer->iss + 1 + peer->got,
	           .payload = bytes, .payload_len = len);
}

/* A segment of the server reaches the gateway, unless it is lost. */
static void say(unsigned i, uint8_t flags, const void *bytes, size_t len, bool lost)
{
	struct packet packet = server_segment(i, flags, bytes, len);

	conns[i].peer.sent += (uint32_t)len;
	if (!lost)
		inproc_send(gw, SL_PORT_UPLINK, &packet);
}

static bool holds(const uint8_t *bytes, size_t len, const char *what)
{
	return memmem(bytes, len, what, strlen(what)) != NULL;
}

/*
 * Reads records from peer->looked on until a ClientHello is whole; its handshake bytes go to out.
 * Returns its length, or 0: not yet, or never.
 */
static size_t read_hello(struct peer *peer, uint8_t *out)
{
	uint32_t at = peer->looked;
	size_t n = 0;

	if (at == 0 && peer->got >= 8 && memcmp(peer->bytes, "\0\0\0\10\4\xd2\x16\x2f", 8) == 0)
		at = 8;
	while (peer->got - at >= 5) {
		uint32_t len = (uint32_t)(peer->bytes[at + 3] << 8 | peer->bytes[at + 4]);
		bool handshake = peer->bytes[at] == 22;

		if (peer->got - at - 5 < len)
			return 0;
		if (handshake) {
			memcpy(out + n, peer->bytes + at + 5, len);
			n += len;
		}
		at += 5 + len;
		if (n >= 4 && n >= 4 + (size_t)(out[1] << 16 | out[2] << 8 | out[3])) {
			peer->looked = at;
			return n;
		}
	}
	return 0;
}

/* Bytes of the header section that a stream begins with; 0: it is not whole, or no HTTP. */
static size_t head_of(const uint8_t *bytes, size_t len)
{
	const uint8_t *end = len > 0 && bytes[0] >= 'A' && bytes[0] <= 'Z'
	                             ? memmem(bytes, len, "\r\n\r\n", 4)
	                             : NULL;

	return end != NULL ? (size_t)(end - bytes) + 4 : 0;
}

static bool answer_http(unsigned i, bool lost)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n\r\n";
	struct peer *peer = &conns[i].peer;
	size_t head = head_of(peer->bytes, peer->got);

	if (head == 0)
		return false;
	MUST(!holds(peer->bytes, head, MARK), "the server saw the denied host");
	MUST(holds(peer->bytes, head, "good.example"), "the server answered another request");
	say(i, TCP_ACK | TCP_PSH, ok, strlen(ok), lost);
	peer->answered = true;
	return true;
}

static void answer(unsigned i, bool lost)
{
	static uint8_t msg[HELLO_BYTES_MAX], record[HELLO_BYTES_MAX], hello[STREAM];
	struct peer *peer = &conns[i].peer;
	bool again = peer->retries && !peer->retried;
	size_t n;

	if (answer_http(i, lost))
		return;
	MUST(!holds(peer->bytes, peer->got, MARK), "the server saw the denied name");
	if (peer->got >= 8 && peer->sent == 0 &&
	    memcmp(peer->bytes, "\0\0\0\10\4\xd2\x16\x2f", 8) == 0)
		say(i, TCP_ACK | TCP_PSH, "S", 1, lost);
	n = read_hello(peer, hello);
	if (n == 0)
		return;
	MUST(holds(hello, n, "good.example"), "the server answered another hello");
	n = hello_record(22, msg, hello_server(again, msg), record);
	say(i, TCP_ACK | TCP_PSH, record, n, lost);
	peer->retried |= again;
	peer->answered = !again;
}

static void take_payload(struct peer *peer, uint32_t at, const uint8_t *bytes, size_t len)
{
	for (size_t k = 0; k < len; k++, at++) {
		if (at >= STREAM || at < peer->got)
			continue;
		MUST(!peer->have[at] || peer->bytes[at] == bytes[k],
		     "two bytes for one place reached the server");
		peer->have[at] = true;
		peer->bytes[at] = bytes[k];
	}
	while (peer->got < STREAM && peer->have[peer->got])
		peer->got++;
}

static void take_syn(unsigned i, const struct packet_view *view, bool lost)
{
	struct peer *peer = &conns[i].peer;
	bool retries = peer->retries;

	if (peer->state != CLOSED && view->seq != peer->iss) {
		say(i, TCP_ACK, NULL, 0, lost); /* RFC 5961 4.2 */
		return;
	}
	if (peer->state == CLOSED) {
		uint32_t irs = peer->irs + 100000;

		memset(peer, 0, sizeof(*peer));
		peer->retries = retries;
		peer->iss = view->seq;
		peer->irs = irs;
		peer->state = SYN_RCVD;
	}
	if (peer->state == SYN_RCVD)
		say(i, TCP_SYN | TCP_ACK, NULL, 0, lost);
}

/* A frame that left by the uplink reaches the server. */
static void serve(unsigned i, const struct packet_view *view, bool lost)
{
	struct peer *peer = &conns[i].peer;
	uint32_t at = view->seq - (peer->iss + 1), acked = view->ack - (peer->irs + 1);

	if (view->flags & TCP_RST) {
		if (peer->state != CLOSED && at == peer->got)
			peer->state = CLOSED;
		return;
	}
	if (view->flags & TCP_SYN) {
		MUST(!(view->flags & TCP_ACK), "a SYN/ACK left");
		take_syn(i, view, lost);
		return;
	}
	if (peer->state == CLOSED || !(view->flags & TCP_ACK) || acked > peer->sent ||
	    (at != 0 && at > peer->got + 65535))
		return;
	peer->state = OPEN;
	if (peer->answered)
		return; /* from here on the stream belongs to the allowed server */
	take_payload(peer, at, view->payload, view->payload_len);
	if (view->payload_len > 0) {
		say(i, TCP_ACK, NULL, 0, lost);
		answer(i, lost);
	}
}

/* ---- frames that left ---- */

static int conn_of_port(uint16_t port)
{
	for (int i = 0; i < CONNS; i++)
		if (conns[i].port == port)
			return i;
	return -1;
}

/*
 * On an HTTP connection only the header section is judged: the number of payload bytes that must
 * not contain the mark.
 */
static size_t judged_bytes(struct peer *peer, const struct packet_view *view)
{
	uint32_t at = view->seq - (peer->iss + 1);

	if (at == 0 && peer->head == 0)
		peer->head = (uint32_t)head_of(view->payload, view->payload_len);
	if (peer->head == 0)
		return view->payload_len;
	if (at >= peer->head)
		return 0;
	return view->payload_len < peer->head - at ? view->payload_len : peer->head - at;
}

/* Checks every frame that has left, and delivers those of connections to the server. */
static void deliver(bool lost)
{
	const struct inproc_frame *frame;

	while ((frame = inproc_take(gw, SL_PORT_UPLINK)) != NULL) {
		const struct packet_view *view = &(looked_at = frame)->view;
		int i = view->ok && view->proto == 6 ? conn_of_port(view->sport) : -1;
		size_t judged = i >= 0 ? judged_bytes(&conns[i].peer, view) : 0;

		/*
		 * Before the verdict the mark must not be in the frame; before the answer not in
		 * the stream.
		 */
		if (i < 0 || (conns[i].peer.got <= 8 && conns[i].peer.head == 0))
			MUST(!holds(frame->bytes, frame->len, MARK), "the denied name left");
		if (i >= 0 && !conns[i].peer.answered) {
			MUST(view->l4_csum_ok, "a bad checksum left");
			MUST(!holds(view->payload, judged, MARK),
			     "the denied name left in the stream");
		}
		for (size_t k = 0; view->ok && k < view->trailer_len; k++)
			MUST(view->ip[view->ip_len + k] == 0, "a trailer left");
		if (i >= 0 && view->l4_csum_ok && view->ttl > 1) /* else it dies on the way */
			serve((unsigned)i, view, lost);
	}
	looked_at = NULL;
	inproc_clear(gw);
}

/* ---- the attacker's moves ---- */

static void client(unsigned i, uint8_t flags, uint32_t at, uint32_t ack, const void *bytes,
                   size_t len, uint8_t bend)
{
	static const uint8_t options[12] = {2, 4, 5, 0xb4, 34, 6, 'e', 'v', 'i', 'l', 1, 1};
	bool syn = flags & TCP_SYN;
	struct packet packet =
	        TCP(.vlan = 101, .src = "10.0.0.2", .dst = "198.51.100.7", .sport = conns[i].port,
	            .dport = 443, .flags = flags, .seq = conns[i].iss + (syn ? 0 : 1) + at,
	            .ack = flags & TCP_ACK ? conns[i].peer.irs + 1 + ack : 0, .payload = bytes,
	            .payload_len = len, .ttl = bend & 1 ? PKT_SET(1) : 0,
	            .l4_csum = (bend & 6) == 6 ? PKT_SET(0xbad) : 0,
	            .options = bend & 8 ? options : NULL, .options_len = bend & 8 ? 12 : 0,
	            .reserved = bend & 16 ? 5 : 0, .urgent = bend & 32 ? PKT_SET(3) : 0,
	            .trailer = bend & 64 ? "evil" : NULL, .trailer_len = bend & 64 ? 4 : 0);

	inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

static void move_segment(struct script *s, unsigned i)
{
	unsigned which = draw(s) % STREAMS, at = draw16(s), len = draw16(s), bend = draw(s);
	static uint8_t bytes[STREAM];
	uint8_t flags = TCP_ACK;

	/* mostly whole streams and halves of them, in place */
	at = at < 0x4000 ? 0 : at % (unsigned)streams[which].len;
	len = len < 0x4000 ? (unsigned)streams[which].len : len % 300;
	if (len > streams[which].len - at)
		len = (unsigned)streams[which].len - at;
	memcpy(bytes, streams[which].bytes + at, len);
	if (bend & 128) {
		uint8_t more = draw(s);

		if (more & 1)
			flags = draw(s);
		if (more & 2)
			at += (uint32_t)(int8_t)draw(s);
		if ((more & 4) && len > 0)
			bytes[draw16(s) % len] ^= draw(s);
		if (more & 8)
			at += (unsigned)streams[GOOD].len; /* as if after a first hello */
		client(i, flags, at, more & 16 ? draw(s) : conns[i].peer.sent, bytes, len,
		       (uint8_t)(bend & 127));
		return;
	}
	client(i, flags, at, conns[i].peer.sent, bytes, len, (uint8_t)bend);
}

static void move_open(struct script *s, unsigned i, bool lost)
{
	uint8_t bend = draw(s);

	if (bend & 128) /* another number: a new connection */
		conns[i].iss += 1 + draw16(s);
	client(i, TCP_SYN, 0, 0, streams[EVIL].bytes, bend & 4 ? streams[EVIL].len : 0, bend & 121);
	deliver(lost);
	client(i, TCP_ACK, 0, 0, NULL, 0, bend & 120);
}

/* A frame of the latest kind with any byte changed, checksums not corrected. */
static void move_bent(struct script *s, unsigned i)
{
	struct packet packet =
	        TCP(.vlan = 101, .src = "10.0.0.2", .dst = "198.51.100.7", .sport = conns[i].port,
	            .dport = 443, .flags = TCP_ACK, .seq = conns[i].iss + 1,
	            .ack = conns[i].peer.irs + 1, .payload = streams[EVIL].bytes,
	            .payload_len = streams[EVIL].len);

	for (unsigned n = 1 + draw(s) % 4; n > 0; n--)
		packet.bytes[draw(s) % 60] = draw(s);
	packet.len -= draw(s) % 8 == 0 ? draw(s) % packet.len : 0;
	inproc_send_bytes(gw, SL_PORT_SANDBOX, packet.bytes, packet.len);
}

static void move_other(struct script *s)
{
	uint8_t kind = draw(s), proto = draw(s), type = draw(s);
	struct packet packet;

	switch (kind % 7) {
	case 0:
		packet = UDP(.vlan = 101, .src = "10.0.0.2", .dst = "198.51.100.7", .sport = 9,
		             .dport = type & 1 ? 53 : 443, PKT_TEXT("evil evil evil"));
		break;
	case 1:
		packet = PACKET(.proto = proto, .vlan = 101, .src = "10.0.0.2",
		                .dst = "198.51.100.7", .icmp_type = type,
		                PKT_TEXT("evil evil evil"));
		break;
	case 2:
		packet = PACKET(.proto = proto, .vlan = 101, .src = "fd00::2", .dst = "2001:db8::7",
		                .icmp_type = type, PKT_TEXT("evil evil evil"));
		break;
	case 3:
		packet = PACKET(.proto = proto, .vlan = 101, .src = "10.0.0.2",
		                .dst = "198.51.100.7", .frag = PKT_SET(draw16(s)),
		                PKT_TEXT("evil evil evil"));
		break;
	case 4:
		packet = ARP(.vlan = 101, .op = 1 + (type & 1), .spa = "10.0.0.2",
		             .tpa = "10.0.0.1");
		memcpy(packet.bytes + packet.len, "evilevil", 8);
		packet.len += 8;
		break;
	case 5:
		packet = ND(.vlan = 101, .type = 133 + type % 5, .src = "fe80::2", .dst = "ff02::1",
		            .target = "fe80::2", .lladdr = PKT_MAC_INNER,
		            .options = "c8016576696c6576");
		break;
	default:
		packet = UDP(.vlan = 101, .src = "10.0.0.2", .dst = "203.0.113.53", .sport = 9,
		             .dport = 53,
		             PKT_TEXT("\1\2\1\0\0\1\0\0\0\0\0\0\4evil\7example\0\0\1\0\1"));
		break;
	}
	inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

static void set_policy(unsigned which)
{
	if (which == policy)
		return;
	MUST(inproc_push(gw, policies[which]) != 0, "a policy was refused");
	policy = which;
}

static void step(struct script *s)
{
	uint8_t move = draw(s);
	unsigned i = move >> 6;
	bool lost = move & 32;

	switch (move & 15) {
	case 0:
	case 1:
		move_open(s, i, lost);
		break;
	case 2:
		conns[i].peer.retries = true;
		break;
	case 3:
		client(i, draw(s), draw(s) % 4, draw(s) % 4, "evil", draw(s) % 5, draw(s));
		break;
	case 4:
		move_bent(s, i);
		break;
	case 5:
		move_other(s);
		break;
	case 6:
		set_policy(draw(s) % (sizeof(policies) / sizeof(policies[0])));
		break;
	case 7:
		inproc_advance_us(gw, draw16(s) * 100ull);
		break;
	case 8: /* the server repeats it */
		if (conns[i].peer.state != CLOSED)
			say(i, conns[i].peer.state == SYN_RCVD ? TCP_SYN | TCP_ACK : TCP_ACK, NULL,
			    0, false);
		break;
	default:
		move_segment(s, i);
		break;
	}
	deliver(lost);
}

/* ---- one input ---- */

static void start(void)
{
	if (gw == NULL) {
		gw = inproc_create_with(&(struct inproc_options){.policy = policies[0],
		                                                 .config = config,
		                                                 .checksums_full = true,
		                                                 .relaxed = true});
		prepare();
	}
	set_policy(0);
	for (int i = 0; i < CONNS; i++) {
		memset(&conns[i], 0, sizeof(conns[i]));
		conns[i].port = next_port++;
		conns[i].iss = 0xffffff00 + 300 * (uint32_t)i;
		conns[i].peer.irs = 0xfff00000;
	}
	if (next_port > 60000)
		next_port = 1024;
}

/* inproc_check() sums over thousands of sandboxes; here only one and none have frames. */
static void check_counters(void)
{
	static unsigned runs;
	uint64_t sum = 0;

	for (int reason = 0; reason < SL_REASON_COUNT; reason++)
		sum += inproc_vlan_reason(gw, 0, (enum sl_reason)reason) +
		       inproc_vlan_reason(gw, 101, (enum sl_reason)reason);
	MUST(sum + inproc_held(gw) == inproc_rx(gw), "packets are not counted");
	if (++runs % 256 == 0)
		inproc_check(gw);
}

static void finish(void)
{
	inproc_advance_s(gw, 3.2);
	deliver(false);
	inproc_advance_s(gw, 1.2); /* what was refused at the last moment */
	deliver(false);
	check_counters();
	MUST(inproc_held(gw) == 0, "packets are on hold for ever");
	MUST(inproc_stats(gw, 0)->flows == 0, "flows live for ever");
	MUST(inproc_stats(gw, 0)->hold_bytes == 0, "memory of holds is lost");
	MUST(rte_mempool_in_use_count(inproc_pool(gw)) == 0, "mbufs are lost");
}

/* As in fuzz_pipeline.c: the gateway lives on, in memory that LeakSanitizer does not search. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data, size};

	start();
	for (int steps = 0; script.left > 0 && steps < 200; steps++)
		step(&script);
	finish();
	return 0;
}
