/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.c: how many new connections a second one core opens and judges.
 *
 *   udp    a first datagram under `subnets.allow`, and the flow's expiry
 *   tcp    a SYN under `subnets.allow`, and the flow's expiry
 *   tls    SYN, SYN/ACK, ACK, a ClientHello of 517 bytes, the server's ACK and first record, and a
 *          RST that ends it: judged by a name among 10,000 patterns
 *   quic   one Initial of 1,200 bytes, each with a connection ID of its own: keys, header
 * protection, AEAD, ClientHello, the same names
 *
 * The clock is a mock: it moves so that no quota interferes and that every flow has expired before
 * its ports are used again, so each is opened, judged and expired as often as it is counted. UDP
 * flows and TCP connections that open live for a second: of a million tuples 485,000 are in
 * the table at any moment, and one pass over it in a second finds those that are due.
 *
 *   bench_judge [--json] [--full]
 *
 * --full: udp alone, with a flow table that is nine tenths full all the time (and overflows once,
 * before the clock runs, while expiry finds its rhythm).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#include "hello.h"
#include "packet.h"
#include "quic_build.h"
#include "rig.h"

#define BATCH    32
#define VLANS    256
#define IDLE_S   1
#define FULL     539000 /* flows that --full has room for: 485,000 live at any moment */
#define STEPS    7      /* frames of a TLS connection */
#define PATTERNS 10000

struct frame {
	uint16_t len;
	enum sl_port_id port;
	uint8_t bytes[1600];
};

struct script {
	const char *name;
	bool tcp;
	unsigned tuples;   /* connections that differ in VLAN or port */
	uint64_t round_us; /* in which each is made once */
	unsigned steps;
	struct frame frame[STEPS];
	struct frame *own; /* the only frame, of each tuple; or NULL */
	unsigned next;     /* tuple */
};

/* What the worker receives next. */
struct wire {
	struct rte_mbuf *burst[BATCH];
	uint16_t count;
};

static struct rte_mempool *pool;

static uint16_t sink(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	(void)ctx;
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

static uint16_t source(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct wire *wire = ctx;
	uint16_t count = wire->count;

	if (count > n)
		rig_die("a burst is smaller than a batch");
	memcpy(pkts, wire->burst, count * sizeof(*pkts));
	wire->count = 0;
	return count;
}

static void add(struct script *script, enum sl_port_id port, struct packet packet)
{
	struct frame *frame = &script->frame[script->steps++];

	if (packet.len > sizeof(frame->bytes))
		rig_die("a frame is too long");
	frame->len = (uint16_t)packet.len;
	frame->port = port;
	memcpy(frame->bytes, packet.bytes, packet.len);
}

#define CLIENT .vlan = 1, .src = "10.0.0.2", .dst = "198.51.100.7", .sport = 1, .dport = 443
#define SERVER .vlan = 1, .src = "198.51.100.7", .dst = "10.0.0.2", .sport = 443, .dport = 1

static void write_tls(struct script *script)
{
	static uint8_t message[HELLO_BYTES_MAX], records[RECORDS_BYTES_MAX],
	        answer[RECORDS_BYTES_MAX];
	static const uint8_t options[] = {2, 4, 5, 180, 1, 3, 3, 7};
	size_t n = hello_build(
	               &(struct hello_options){.name = "host5000.fleet.example", .total_len = 512},
	               message),
	       m;

	n = hello_records(message, n, 0, records);
	m = hello_server(false, message);
	m = hello_records(message, m, 0, answer);
	script->tcp = true;
	add(script, SL_PORT_SANDBOX,
	    TCP(CLIENT, .flags = TCP_SYN, .seq = 1000, .payload_len = 0, .options = options,
	        .options_len = sizeof(options)));
	add(script, SL_PORT_UPLINK,
	    TCP(SERVER, .flags = TCP_SYN | TCP_ACK, .seq = 5000, .ack = 1001, .options = options,
	        .options_len = sizeof(options)));
	add(script, SL_PORT_SANDBOX, TCP(CLIENT, .flags = TCP_ACK, .seq = 1001, .ack = 5001));
	add(script, SL_PORT_SANDBOX,
	    TCP(CLIENT, .flags = TCP_ACK | TCP_PSH, .seq = 1001, .ack = 5001, .payload = records,
	        .payload_len = n));
	add(script, SL_PORT_UPLINK,
	    TCP(SERVER, .flags = TCP_ACK, .seq = 5001, .ack = 1001 + (uint32_t)n));
	add(script, SL_PORT_UPLINK,
	    TCP(SERVER, .flags = TCP_ACK | TCP_PSH, .seq = 5001, .ack = 1001 + (uint32_t)n,
	        .payload = answer, .payload_len = m));
	add(script, SL_PORT_SANDBOX,
	    TCP(CLIENT, .flags = TCP_RST | TCP_ACK, .seq = 1001 + (uint32_t)n,
	        .ack = 5001 + (uint32_t)m));
}

/* A connection ID belongs to one connection for a minute: each tuple has its own, and its keys. */
static void write_quic(struct script *script)
{
	static uint8_t message[HELLO_BYTES_MAX], dgram[2000];
	size_t n = hello_build(
	        &(struct hello_options){.name = "host5000.fleet.example", .session_id_none = true},
	        message);

	script->own = calloc(script->tuples, sizeof(*script->own));
	if (script->own == NULL)
		rig_die("no memory");
	for (uint32_t tuple = 0; tuple < script->tuples; tuple++) {
		uint8_t dcid[8] = {1, 2, 3, 4};
		size_t len;

		memcpy(dcid + 4, &tuple, sizeof(tuple));
		len = quic_hello_dgram(
		        &(struct quic_options){.dcid = dcid, .dcid_len = sizeof(dcid)}, message, 0,
		        n, dgram);
		script->steps = 0;
		add(script, SL_PORT_SANDBOX, UDP(CLIENT, .payload = dgram, .payload_len = len));
		script->own[tuple] = script->frame[0];
	}
}

static void write_plain(struct script *script, bool tcp)
{
	script->tcp = tcp;
	if (tcp)
		add(script, SL_PORT_SANDBOX,
		    TCP(.vlan = 1, .src = "10.0.0.2", .dst = "203.0.113.9", .sport = 1, .dport = 80,
		        .flags = TCP_SYN, .seq = 1000));
	else
		add(script, SL_PORT_SANDBOX,
		    UDP(.vlan = 1, .src = "10.0.0.2", .dst = "203.0.113.9", .sport = 1, .dport = 9,
		        PKT_TEXT("x")));
}

/*
 * A frame of connection number `tuple`: VLAN and the sandbox's port are filled in. The checksum is
 * updated by the difference (RFC 1624), as a NIC's generator would do.
 */
static struct rte_mbuf *make(const struct script *script, const struct frame *frame, unsigned tuple)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
	unsigned port_at = 18 + 20 + (frame->port == SL_PORT_SANDBOX ? 0 : 2);
	unsigned sum_at = 18 + 20 + (script->tcp ? 16 : 6);
	uint16_t port = (uint16_t)(1024 + tuple / VLANS), vlan = (uint16_t)(1 + tuple % VLANS);
	uint8_t *bytes;
	uint32_t sum;

	if (mbuf == NULL)
		rig_die("no mbuf");
	bytes = (uint8_t *)rte_pktmbuf_append(mbuf, frame->len);
	rte_memcpy(bytes, frame->bytes, frame->len);
	bytes[14] = (uint8_t)(vlan >> 8);
	bytes[15] = (uint8_t)vlan;
	sum = (uint32_t)(bytes[sum_at] << 8 | bytes[sum_at + 1]);
	sum = (uint16_t)~sum + (uint16_t)~1u + port; /* the template's port is 1 */
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
	bytes[sum_at] = (uint8_t)(sum >> 8);
	bytes[sum_at + 1] = (uint8_t)sum;
	bytes[port_at] = (uint8_t)(port >> 8);
	bytes[port_at + 1] = (uint8_t)port;
	return mbuf;
}

static struct wire wires[SL_PORT_COUNT];

/* A turn for each step of the connections: receive, judge, send, expire. */
static void run_batch(struct rig *rig, const struct script *script)
{
	for (unsigned step = 0; step < script->steps; step++) {
		const struct frame *frame = &script->frame[step];
		struct wire *wire = &wires[frame->port];

		for (unsigned i = 0; i < BATCH; i++) {
			unsigned tuple = script->next + i;

			wire->burst[i] = make(
			        script, script->own != NULL ? &script->own[tuple] : frame, tuple);
		}
		wire->count = BATCH;
		sl_worker_turn(rig->worker);
	}
	rig_drain_events(rig);
}

static double measure(struct rig *rig, struct script *script, double seconds)
{
	uint64_t hz = rte_get_tsc_hz(), start = rte_rdtsc(),
	         end = start + (uint64_t)(seconds * (double)hz);
	uint64_t connections = 0, now;

	do {
		for (int i = 0; i < 16; i++) {
			run_batch(rig, script);
			script->next = (script->next + BATCH) % script->tuples;
			connections += BATCH;
			rig->mock_us += script->round_us * BATCH / script->tuples;
		}
		now = rte_rdtsc();
	} while (now < end);
	return (double)connections / ((double)(now - start) / (double)hz);
}

static uint64_t packets_of(const struct rig *rig, enum sl_reason reason)
{
	return sl_stats_reason(sl_worker_stats(rig->worker), reason);
}

static void die_of_refusals(const struct rig *rig)
{
	for (unsigned r = 0; r < SL_REASON_COUNT; r++)
		if (!sl_reason_allows((enum sl_reason)r) && packets_of(rig, (enum sl_reason)r) > 0)
			fprintf(stderr, "%s %" PRIu64 "\n", sl_reason_name((enum sl_reason)r),
			        packets_of(rig, (enum sl_reason)r));
	rig_die("connections were refused");
}

static char *make_policy(void)
{
	size_t room = 64 * (PATTERNS + VLANS) + 256, len = 0;
	char *text = malloc(room);

	if (text == NULL)
		rig_die("no memory");
	len += (size_t)sprintf(text, "policies:\n  p:\n    subnets: {allow: [203.0.113.0/24]}\n"
	                             "    allow:\n");
	for (unsigned i = 0; i < PATTERNS; i++)
		len += (size_t)sprintf(text + len, "      - host%u.fleet.example\n", i);
	len += (size_t)sprintf(text + len, "sandboxes:\n");
	for (unsigned vlan = 1; vlan <= VLANS; vlan++)
		len += (size_t)sprintf(text + len, "  - {vlan: %u, policy: p}\n", vlan);
	return text;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	/*
	 * A round takes longer than any timeout, records included, and than a sandbox's quotas
	 * take to refill. Names come first, while the table is small: with a clock that jumps, a
	 * pass over a large one would take as long as a round.
	 */
	static struct script scripts[4] = {
	        {.name = "tls", .tuples = 1 << 16, .round_us = 90000000},
	        {.name = "quic", .tuples = 1 << 14, .round_us = 90000000},
	        {.name = "udp", .tuples = 1 << 20, .round_us = 2200000},
	        {.name = "tcp", .tuples = 1 << 20, .round_us = 2200000}};
	static struct rig rig;
	const char *args[] = {"bench",
	                      "--no-pci",
	                      "--no-telemetry",
	                      "--iova-mode=va",
	                      "--lcores=0",
	                      "--force-max-simd-bitwidth=512",
	                      "--log-level=*:error",
	                      "--in-memory",
	                      NULL,
	                      NULL};
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0,
	     huge = getenv("BENCH_NO_HUGE") == NULL,
	     full = argc > 1 && strcmp(argv[argc - 1], "--full") == 0;
	int runs = 5;

	if (!huge) {
		args[7] = "--no-shconf"; /* --in-memory would imply it, but excludes --no-huge */
		args[8] = "--no-huge";
		args[9] = "-m2048";
	}
	if (rte_eal_init(huge ? 8 : 10, (char **)(uintptr_t)args) < 0)
		rig_die("no EAL (hugepages? or set BENCH_NO_HUGE=1)");
	pool = rte_pktmbuf_pool_create("frames", 16383, 256, 0, 2176, SOCKET_ID_ANY);
	if (pool == NULL)
		rig_die("no memory for mbufs");
	rig_create(&rig, &(struct rig_options){
	                         .policy = make_policy(),
	                         .pool = pool,
	                         .port = {{source, sink, &wires[0]}, {source, sink, &wires[1]}},
	                         .idle_s = IDLE_S,
	                         .flows_exactly = full ? FULL : 0,
	                         .mock_clock = true,
	                         .events = true});
	write_tls(&scripts[0]);
	write_quic(&scripts[1]);
	write_plain(&scripts[2], false);
	write_plain(&scripts[3], true);
	for (int s = full ? 2 : 0; s < (full ? 3 : 4); s++) {
		enum sl_reason reason = s < 2 ? SL_REASON_DOMAIN_ALLOWED : SL_REASON_SUBNET_ALLOWED;
		uint64_t before = packets_of(&rig, reason);
		double rates[9], middle;
		uint64_t dropped;

		for (unsigned n = 0; s >= 2 && n < 3 * scripts[s].tuples; n += 16 * BATCH)
			measure(&rig, &scripts[s], 0); /* the table is in its steady state */
		dropped = sl_stats_dropped(sl_worker_stats(rig.worker));
		for (int run = 0; run < runs; run++)
			rates[run] = measure(&rig, &scripts[s], 0.5);
		/*
		 * The counted packets must have been judged and forwarded, or the number means
		 * nothing.
		 */
		if (packets_of(&rig, reason) == before ||
		    sl_stats_dropped(sl_worker_stats(rig.worker)) != dropped ||
		    (!full && dropped != 0))
			die_of_refusals(&rig);
		qsort(rates, (size_t)runs, sizeof(rates[0]), ascending);
		middle = rates[runs / 2];
		if (json)
			printf("{\"script\":\"%s\",\"per_second\":%.0f,\"min\":%.0f,\"max\":%.0f,"
			       "\"flows\":%" PRIu64 ",\"room\":%u}\n",
			       scripts[s].name, middle, rates[0], rates[runs - 1],
			       sl_worker_stats(rig.worker)->flows, rig.settings.flows);
		else
			printf("%-5s %9.0f new connections a second (%u frames each, median of %d; "
			       "%.0f to %.0f), %" PRIu64 " of %u flows in use\n",
			       scripts[s].name, middle, scripts[s].steps, runs, rates[0],
			       rates[runs - 1], sl_worker_stats(rig.worker)->flows,
			       rig.settings.flows);
	}
	return 0;
}
