/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pipeline.c: whole conversations through a whole gateway. The input is a script: each step
 * sends a valid or altered segment, datagram or query, or fuzzed bytes in a frame. Whatever the
 * script:
 *
 *   - the denied name never reaches the server, neither in one frame nor reassembled by a server
 * that keeps the first, or the last, byte received for each place in the stream;
 *   - a QUIC datagram that carries it never leaves (its connection ID is marked);
 *   - in = reasons + held, no mbuf is lost (tests/lib/inproc.c ends the program otherwise).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "dns_build.h"
#include "hello.h"
#include "inproc.h"
#include "quic_build.h"

#define ALLOWED "www.good.example"
#define DENIED  "evil.example"
#define STREAM  40000

static const char policy[] = "sandboxes:\n"
                             "  - vlan: 101\n"
                             "    policy: {allow: [\"*.good.example\"]}\n";
static const char config[] = "dns: {resolvers: [203.0.113.53], pinning: off}\n";

static struct inproc *gw;
static uint16_t port = 1024;

/* A server that reassembles the segments that reach it. */
static struct server {
	uint8_t first[STREAM], last[STREAM];
	bool have[STREAM];
	uint32_t base;
} server;

static const uint8_t evil_cid[8] = {'E', 'V', 'I', 'L', 'C', 'I', 'D', '!'};
static const uint8_t good_cid[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static uint8_t records[2][RECORDS_BYTES_MAX];
static size_t record_bytes[2];
static uint8_t quic[2][2048];
static size_t quic_bytes[2];

static void prepare(void)
{
	static uint8_t message[HELLO_BYTES_MAX];
	const char *names[2] = {ALLOWED, DENIED};

	for (int i = 0; i < 2; i++) {
		struct quic_options options = {.dcid = i == 0 ? good_cid : evil_cid, .dcid_len = 8};
		size_t n = hello_build(&(struct hello_options){.name = names[i], .total_len = 300},
		                       message);

		record_bytes[i] = hello_records(message, n, i == 0 ? 0 : 100, records[i]);
		n = hello_build(&(struct hello_options){.name = names[i], .session_id_none = true},
		                message);
		quic_bytes[i] = quic_hello_dgram(&options, message, 0, n, quic[i]);
	}
}

static void __attribute__((noreturn)) left(const uint8_t *bytes, size_t len, const char *where)
{
	fprintf(stderr, "the denied name left: %s\n", where);
	packet_dump(bytes, len < 2048 ? len : 2048);
	abort();
}

static void contains_nothing_denied(const uint8_t *bytes, size_t len, const char *where)
{
	size_t n = strlen(DENIED);

	for (size_t i = 0; i + n <= len; i++) {
		size_t k = 0;

		while (k < n && tolower(bytes[i + k]) == DENIED[k])
			k++;
		if (k == n)
			left(bytes, len, where);
	}
}

/* Fails on an Initial with the marked connection ID; other packets cannot be judged. */
static void is_no_marked_initial(const struct inproc_frame *frame)
{
	const struct packet_view *view = &frame->view;

	if (view->ok && view->proto == 17 && view->payload_len > 14 &&
	    (view->payload[0] & 0xb0) == 0x80 &&
	    memcmp(view->payload + 6, evil_cid, sizeof(evil_cid)) == 0)
		left(frame->bytes, frame->len, "in a QUIC Initial");
}

static void server_takes(const struct packet_view *view)
{
	for (size_t i = 0; view->proto == 6 && i < view->payload_len; i++) {
		uint32_t at = view->seq - server.base + (uint32_t)i;

		if (at >= STREAM)
			continue;
		if (!server.have[at])
			server.first[at] = view->payload[i];
		server.last[at] = view->payload[i];
		server.have[at] = true;
	}
}

static void look_at_what_left(void)
{
	for (size_t i = 0; i < inproc_count(gw, SL_PORT_UPLINK); i++) {
		const struct inproc_frame *frame = inproc_frame(gw, SL_PORT_UPLINK, i);

		contains_nothing_denied(frame->bytes, frame->len, "in a frame");
		is_no_marked_initial(frame);
		if (frame->view.ok)
			server_takes(&frame->view);
	}
	contains_nothing_denied(server.first, STREAM, "in a stream, first bytes kept");
	contains_nothing_denied(server.last, STREAM, "in a stream, last bytes kept");
}

#define ISS 1000
#define IRS 5000
#define FROM_CLIENT                                                                                \
	.vlan = 101, .src = "10.0.0.2", .dst = "198.51.100.7", .sport = port, .dport = 443
#define FROM_SERVER                                                                                \
	.vlan = 101, .src = "198.51.100.7", .dst = "10.0.0.2", .sport = 443, .dport = port

static void send_frame(enum sl_port_id from, struct packet packet)
{
	inproc_send(gw, from, &packet);
}

static void send_segment(struct script *script)
{
	unsigned which = draw(script) & 1, flags = draw(script);
	unsigned at = draw16(script) % 700, n = draw16(script) % 700;
	size_t have = record_bytes[which];
	uint8_t payload[1400];

	/* Mostly bytes of a hello at their own place; sometimes elsewhere, or other bytes. */
	for (unsigned i = 0; i < n; i++)
		payload[i] = at + i < have ? records[which][at + i] : (uint8_t)i;
	if ((flags & 0x80) && n > 0)
		payload[draw(script) % n] = draw(script);
	send_frame(SL_PORT_SANDBOX,
	           TCP(FROM_CLIENT, .seq = ISS + 1 + at + (flags & 0x40 ? draw(script) : 0),
	               .ack = IRS + 1, .flags = (uint8_t)(TCP_ACK | (flags & 0x3f & ~TCP_SYN)),
	               .payload = payload, .payload_len = n));
}

static void send_control(struct script *script)
{
	uint8_t flags = draw(script), seq = draw(script), ack = draw(script);

	send_frame(SL_PORT_SANDBOX, TCP(FROM_CLIENT, .flags = flags, .seq = ISS + (seq % 4),
	                                .ack = IRS + (ack % 4)));
}

static void send_server(struct script *script)
{
	uint8_t flags = draw(script), n = draw(script) % 64;
	unsigned ack = draw16(script) % 1400, at = draw(script) % 8;
	uint8_t payload[64];

	for (unsigned i = 0; i < n; i++)
		payload[i] = draw(script);
	if (flags & TCP_SYN)
		ack = 1;
	send_frame(SL_PORT_UPLINK, TCP(FROM_SERVER, .flags = flags, .seq = IRS + at,
	                               .ack = ISS + ack, .payload = payload, .payload_len = n));
}

static void send_quic(struct script *script)
{
	unsigned which = draw(script) & 1, bend = draw(script);
	uint8_t bytes[2048];
	size_t n = quic_bytes[which];

	memcpy(bytes, quic[which], n);
	if (bend & 1)
		bytes[draw16(script) % n] = draw(script);
	if (bend & 2)
		n -= draw(script) % 64;
	/*
	 * An altered byte may remove the mark: then the packet does not decrypt, and must not
	 * leave.
	 */
	send_frame(SL_PORT_SANDBOX, UDP(FROM_CLIENT, .payload = bytes, .payload_len = n));
}

static void send_dns(struct script *script)
{
	static const char *const names[] = {ALLOWED, DENIED, "a.good.example", "EVIL.example"};
	struct dns_message message;
	uint8_t which = draw(script), bend = draw(script);

	dns_begin(&message, draw16(script) & 0xffff, DNS_RD);
	dns_question(&message, names[which & 3], which & 4 ? 28 : 1);
	if (bend & 1)
		message.bytes[draw(script) % message.len] = draw(script);
	send_frame(SL_PORT_SANDBOX,
	           UDP(.vlan = 101, .src = "10.0.0.2", .dst = "203.0.113.53", .sport = port,
	               .dport = 53, .payload = message.bytes, .payload_len = message.len));
}

static void send_raw(struct script *script)
{
	uint8_t bytes[256];
	size_t n = draw(script);

	for (size_t i = 0; i < n; i++)
		bytes[i] = draw(script);
	/* Enough of a header for some to get past the tag. */
	if (n > 18 && (bytes[0] & 1)) {
		bytes[6] &= 0xfe;
		memcpy(bytes + 12, "\x81\x00\x00\x65\x08\x00", 6);
	}
	inproc_send_bytes(gw, bytes[0] & 2 ? SL_PORT_UPLINK : SL_PORT_SANDBOX, bytes, n);
}

static void open_connection(void)
{
	send_frame(SL_PORT_SANDBOX, TCP(FROM_CLIENT, .flags = TCP_SYN, .seq = ISS));
	send_frame(SL_PORT_UPLINK,
	           TCP(FROM_SERVER, .flags = TCP_SYN | TCP_ACK, .seq = IRS, .ack = ISS + 1));
	send_frame(SL_PORT_SANDBOX,
	           TCP(FROM_CLIENT, .flags = TCP_ACK, .seq = ISS + 1, .ack = IRS + 1));
}

static void step(struct script *script)
{
	switch (draw(script) % 9) {
	case 0:
		open_connection();
		break;
	case 1:
	case 2:
	case 3:
		send_segment(script);
		break;
	case 4:
		send_control(script);
		break;
	case 5:
		send_server(script);
		break;
	case 6:
		send_quic(script);
		break;
	case 7:
		send_dns(script);
		break;
	default:
		if (draw(script) & 1)
			send_raw(script);
		else
			inproc_advance_us(gw, draw16(script) * 200ull);
		break;
	}
}

/*
 * The gateway lives as long as the process, in memory that LeakSanitizer does not search for
 * pointers. tests/pipeline checks that it frees everything.
 */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data, size};

	if (gw == NULL) {
		inproc_eal();
		prepare();
		gw = inproc_create_with(&(struct inproc_options){
		        .policy = policy, .config = config, .relaxed = true});
	}
	/* New ports, so that one input's flows are not another's. */
	if (++port == 0)
		port = 1024;
	memset(&server, 0, sizeof(server));
	server.base = ISS + 1;
	if (size > 0 && (data[0] & 1))
		open_connection();
	for (unsigned steps = 0; script.left > 0 && steps < 64; steps++)
		step(&script);
	look_at_what_left();
	inproc_clear(gw);
	/* Sometimes all that is on hold times out, and must end as denied. */
	if (port % 64 == 0) {
		inproc_advance_s(gw, 12);
		look_at_what_left();
		inproc_clear(gw);
	}
	inproc_check(gw);
	return 0;
}
