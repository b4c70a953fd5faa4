/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline.c: what the packet's walk costs, in one process and on one core.
 *
 * Three forwarders take the same frames from the same source and give them to the same sink, in
 * alternating runs, so that the machine's noise falls on all alike:
 *
 *   io      receive and send, nothing else: the limit
 *   bare    parse, one rte_hash lookup by the flow's key, counters: what any stateful path costs
 *   sluice  the whole walk
 *
 * The source is DPDK's net_pcap in infinite_rx mode (or, for more flows than mbufs, a loop that
 * writes frames from memory), the sink net_null.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <rte_udp.h>

#include "frames.h"
#include "rig.h"

#define BURST 32

struct options {
	const char *scenario, *write;
	unsigned flows, vlans, runs, prefixes, fill;
	double seconds;
	bool ipv6, imix, memory, json, events;
};

struct source {
	struct options options;
	struct frames_spec spec;
	uint8_t *templates; /* memory source: one 128-byte slot a flow */
	uint16_t *lengths;
	unsigned next, count;
	struct rte_mempool *pool;
	uint16_t pcap_port, null_port;
	bool uplink_burst;
};

/* --- source and sink --- */

#define SLOT 2048

static uint16_t memory_rx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct source *source = ctx;

	if (rte_pktmbuf_alloc_bulk(source->pool, pkts, n) != 0)
		return 0;
	for (uint16_t i = 0; i < n; i++) {
		unsigned slot = source->next;
		size_t stride = source->options.imix ? SLOT : 128;

		if (++source->next == source->count)
			source->next = 0;
		rte_prefetch0(source->templates + (size_t)source->next * stride);
		pkts[i]->data_len = source->lengths[slot];
		pkts[i]->pkt_len = source->lengths[slot];
		rte_memcpy(rte_pktmbuf_mtod(pkts[i], void *), source->templates + slot * stride,
		           source->lengths[slot]);
	}
	return n;
}

static uint16_t pcap_rx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_rx_burst(((struct source *)ctx)->pcap_port, 0, pkts, n);
}

static uint16_t null_tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_tx_burst(((struct source *)ctx)->null_port, 0, pkts, n);
}

static void fill_templates(struct source *source)
{
	size_t stride = source->options.imix ? SLOT : 128;
	uint8_t frame[FRAME_ROOM];
	unsigned order;

	source->count = source->spec.flows;
	source->templates = malloc(source->count * stride);
	source->lengths = malloc(source->count * sizeof(uint16_t));
	if (source->templates == NULL || source->lengths == NULL)
		rig_die("no memory for frames");
	order = frames_stride(source->count);
	for (unsigned n = 0; n < source->count; n++) {
		unsigned i = (unsigned)((uint64_t)n * order % source->count);

		source->lengths[n] = frames_write(&source->spec, i, false, frame);
		memcpy(source->templates + n * stride, frame, source->lengths[n]);
	}
}

static void start_port(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};

	if (rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
	    rte_eth_rx_queue_setup(port, 0, 1024, 0, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(port, 0, 1024, 0, NULL) != 0 || rte_eth_dev_start(port) != 0)
		rig_die("cannot start a port");
}

/* --- the bare lookup: a cost that any stateful forwarder has --- */

struct bare {
	struct rte_hash *hash;
	uint64_t packets[4096];
	uint64_t *flows;
};

struct bare_key {
	uint32_t inside, remote;
	uint16_t sport, dport;
	uint16_t vlan;
	uint8_t proto, pad;
};

static bool bare_parse(const struct rte_mbuf *mbuf, struct bare_key *key)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(mbuf, const struct rte_ether_hdr *);
	const struct rte_vlan_hdr *vlan = (const struct rte_vlan_hdr *)(eth + 1);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(vlan + 1);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);

	if (mbuf->data_len < sizeof(*eth) + sizeof(*vlan) + sizeof(*ip) + sizeof(*udp) ||
	    eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_VLAN) || ip->version_ihl != 0x45)
		return false;
	*key = (struct bare_key){
	        .inside = ip->src_addr,
	        .remote = ip->dst_addr,
	        .sport = udp->src_port,
	        .dport = udp->dst_port,
	        .vlan = rte_be_to_cpu_16(vlan->vlan_tci) & 0xfff,
	        .proto = ip->next_proto_id,
	};
	return true;
}

static struct bare *bare_create(unsigned flows)
{
	struct bare *bare = calloc(1, sizeof(*bare));
	struct rte_hash_parameters params = {
	        .name = "bare",
	        .entries = RTE_MAX(flows * 2, 16u), /* rte_hash takes no fewer */
	        .key_len = sizeof(struct bare_key),
	        .hash_func = rte_hash_crc,
	        .socket_id = SOCKET_ID_ANY,
	};

	if (bare == NULL || (bare->hash = rte_hash_create(&params)) == NULL ||
	    (bare->flows = calloc(flows * 2 + 1, 64)) == NULL)
		rig_die("no memory for the bare table");
	return bare;
}

static unsigned bare_turn(struct bare *bare, struct source *source,
                          uint16_t (*rx)(void *, struct rte_mbuf **, uint16_t))
{
	struct rte_mbuf *pkts[BURST];
	struct bare_key keys[BURST];
	const void *key_ptrs[BURST];
	int32_t positions[BURST];
	uint16_t n = rx(source, pkts, BURST), sent;

	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (uint16_t i = 0; i < n; i++) {
		if (!bare_parse(pkts[i], &keys[i]))
			memset(&keys[i], 0, sizeof(keys[i]));
		key_ptrs[i] = &keys[i];
	}
	if (n > 0)
		rte_hash_lookup_bulk(bare->hash, key_ptrs, n, positions);
	for (uint16_t i = 0; i < n; i++) {
		if (positions[i] < 0)
			positions[i] = rte_hash_add_key(bare->hash, &keys[i]);
		bare->flows[(size_t)positions[i] * 8]++;
		bare->packets[keys[i].vlan]++;
	}
	sent = null_tx(source, pkts, n);
	if (sent < n)
		rte_pktmbuf_free_bulk(pkts + sent, n - sent);
	return n;
}

/* --- measuring --- */

enum forwarder {
	IO,
	BARE,
	SLUICE,
	FORWARDERS,
};

static const char *const forwarder_names[FORWARDERS] = {"io", "bare", "sluice"};

struct result {
	double mpps, cycles;
	double stage[SL_STAGE_COUNT]; /* cycles a packet; sluice only */
};

struct bench {
	struct source source;
	struct bare *bare;
	struct rig rig;
	uint16_t (*rx)(void *, struct rte_mbuf **, uint16_t);
};

static unsigned turn(struct bench *bench, enum forwarder forwarder)
{
	struct rte_mbuf *pkts[BURST];
	uint16_t n, sent;

	if (forwarder == SLUICE) {
		rig_drain_events(&bench->rig);
		return sl_worker_turn(bench->rig.worker);
	}
	if (forwarder == BARE)
		return bare_turn(bench->bare, &bench->source, bench->rx);
	n = bench->rx(&bench->source, pkts, BURST);
	sent = null_tx(&bench->source, pkts, n);
	if (sent < n)
		rte_pktmbuf_free_bulk(pkts + sent, n - sent);
	return n;
}

/*
 * Opens every flow of both, in another order than that of their packets: otherwise the memory of
 * one packet's flow would follow that of the previous packet's.
 */
static void open_flows(struct bench *bench)
{
	for (unsigned i = 0; i < bench->source.spec.flows; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(bench->source.pool);
		struct bare_key key;

		if (mbuf == NULL)
			rig_die("no mbuf");
		mbuf->data_len = frames_write(&bench->source.spec, i, false,
		                              rte_pktmbuf_mtod(mbuf, uint8_t *));
		mbuf->pkt_len = mbuf->data_len;
		if (bare_parse(mbuf, &key))
			rte_hash_add_key(bench->bare->hash, &key);
		sl_worker_input(bench->rig.worker, SL_PORT_SANDBOX, &mbuf, 1);
		rig_drain_events(&bench->rig);
	}
}

static struct result measure(struct bench *bench, enum forwarder forwarder, double seconds)
{
	const struct sl_stages *stages = &sl_worker_stats(bench->rig.worker)->stages;
	uint64_t hz = rte_get_tsc_hz(), packets = 0, start, end, last;
	struct sl_stages before;
	struct result result;

	/* Each frame once before the clock runs: caches are warm. */
	for (uint64_t warm = 0; warm < bench->source.spec.flows + 10000ull;)
		warm += turn(bench, forwarder);
	before = *stages;
	start = rte_rdtsc_precise();
	end = start + (uint64_t)(seconds * (double)hz);
	do {
		for (int i = 0; i < 256; i++)
			packets += turn(bench, forwarder);
		last = rte_rdtsc_precise();
	} while (last < end);
	result = (struct result){
	        .mpps = (double)packets / ((double)(last - start) / (double)hz) / 1e6,
	        .cycles = (double)(last - start) / (double)packets,
	};
	for (int s = 0; s < SL_STAGE_COUNT && stages->packets > before.packets; s++)
		result.stage[s] = (double)(stages->tsc[s] - before.tsc[s]) /
		                  (double)(stages->packets - before.packets);
	return result;
}

static int by_cycles(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return x->cycles < y->cycles ? -1 : x->cycles > y->cycles;
}

static struct result median(struct result *results, unsigned n)
{
	qsort(results, n, sizeof(*results), by_cycles);
	return results[n / 2];
}

static void report_stages(const struct result *result, bool json)
{
	printf(json ? ",\"stages\":{" : "  stages: ");
	for (int s = 0; s < SL_STAGE_COUNT; s++)
		printf(json ? "%s\"%s\":%.1f" : "%s%s %.1f",
		       s == 0 ? ""
		       : json ? ","
		              : ", ",
		       sl_stage_name((enum sl_stage)s), result->stage[s]);
	printf(json ? "}" : " cycles a packet\n");
}

static void report(const struct bench *bench, struct result results[FORWARDERS][64])
{
	const struct options *options = &bench->source.options;
	struct result middle[FORWARDERS];

	for (int f = 0; f < FORWARDERS; f++)
		middle[f] = median(results[f], options->runs);
	if (options->json)
		printf("{\"scenario\":\"%s\",\"flows\":%u,\"sandboxes\":%u,\"ipv6\":%s,"
		       "\"imix\":%s,\"runs\":%u",
		       options->scenario, options->flows, options->vlans,
		       options->ipv6 ? "true" : "false", options->imix ? "true" : "false",
		       options->runs);
	else
		printf("%s, %u flows, %u sandboxes, %s, %s; median of %u runs\n", options->scenario,
		       options->flows, options->vlans, options->ipv6 ? "IPv6" : "IPv4",
		       options->imix ? "IMIX" : "64 B", options->runs);
	for (int f = 0; f < FORWARDERS; f++) {
		if (options->json)
			printf(",\"%s\":{\"mpps\":%.2f,\"cycles\":%.1f,\"best\":%.1f}",
			       forwarder_names[f], middle[f].mpps, middle[f].cycles,
			       results[f][0].cycles);
		else
			printf("  %-7s %7.2f Mpps %7.1f cycles (best run %.1f)\n",
			       forwarder_names[f], middle[f].mpps, middle[f].cycles,
			       results[f][0].cycles);
	}
	report_stages(&middle[SLUICE], options->json);
	if (options->json)
		printf(",\"ratio\":%.2f}\n", middle[SLUICE].cycles / middle[BARE].cycles);
	else
		printf("  sluice / bare: %.2f (best runs %.2f)\n",
		       middle[SLUICE].cycles / middle[BARE].cycles,
		       results[SLUICE][0].cycles / results[BARE][0].cycles);
}

static void parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
	        {"scenario", required_argument, NULL, 's'},
	        {"flows", required_argument, NULL, 'f'},
	        {"sandboxes", required_argument, NULL, 'v'},
	        {"runs", required_argument, NULL, 'r'},
	        {"seconds", required_argument, NULL, 't'},
	        {"prefixes", required_argument, NULL, 'p'},
	        {"fill", required_argument, NULL, 'l'},
	        {"ipv6", no_argument, NULL, '6'},
	        {"imix", no_argument, NULL, 'i'},
	        {"memory", no_argument, NULL, 'm'},
	        {"json", no_argument, NULL, 'j'},
	        {"events", no_argument, NULL, 'e'},
	        {"write", required_argument, NULL, 'w'},
	        {NULL, 0, NULL, 0},
	};
	int c;

	*options = (struct options){.scenario = "established",
	                            .flows = 10000,
	                            .vlans = 100,
	                            .runs = 5,
	                            .prefixes = 1000,
	                            .seconds = 0.3};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			options->scenario = optarg;
			break;
		case 'f':
			options->flows = (unsigned)atoi(optarg);
			break;
		case 'v':
			options->vlans = (unsigned)atoi(optarg);
			break;
		case 'r':
			options->runs = (unsigned)atoi(optarg);
			break;
		case 't':
			options->seconds = atof(optarg);
			break;
		case 'p':
			options->prefixes = (unsigned)atoi(optarg);
			break;
		case 'l':
			options->fill = (unsigned)atoi(optarg);
			break;
		case '6':
			options->ipv6 = true;
			break;
		case 'i':
			options->imix = true;
			break;
		case 'm':
			options->memory = true;
			break;
		case 'j':
			options->json = true;
			break;
		case 'w':
			options->write = optarg;
			break;
		case 'e':
			options->events = true;
			break;
		default:
			rig_die("usage: bench_pipeline [--scenario "
			        "established|allow-all|deny-all|mix|"
			        "unknown|subnet-denied] [--fill PERCENT] [--flows N] [--sandboxes "
			        "N] [--runs N] [--seconds "
			        "S] "
			        "[--prefixes N] [--ipv6] [--imix] [--memory] [--events] [--json]");
		}
	}
	if (options->runs == 0 || options->runs > 64 || options->flows == 0 || options->fill > 100)
		rig_die("1 to 64 runs, at least one flow, at most 100 % full");
}

static void start_eal(const char *capture)
{
	char pcap[256];
	const char *args[13] = {"bench",
	                        "--no-pci",
	                        "--no-telemetry",
	                        "--iova-mode=va",
	                        "--lcores=0",
	                        "--force-max-simd-bitwidth=512",
	                        "--log-level=*:error",
	                        "--vdev=net_null0,no-rx=1",
	                        pcap};
	int n = 9;

	snprintf(pcap, sizeof(pcap), "--vdev=net_pcap0,rx_pcap=%s,infinite_rx=1", capture);
	if (access("/sys/kernel/mm/hugepages/hugepages-2048kB", R_OK) != 0 ||
	    getenv("BENCH_NO_HUGE") != NULL) {
		args[n++] = "--no-shconf"; /* --in-memory would imply it, but excludes --no-huge */
		args[n++] = "--no-huge";
		args[n++] = "-m4096";
	} else {
		args[n++] = "--in-memory";
	}
	if (rte_eal_init(n, (char **)(uintptr_t)args) < 0)
		rig_die("no EAL (are there hugepages? echo 512 > /proc/sys/vm/nr_hugepages, or set "
		        "BENCH_NO_HUGE=1)");
}

/*
 * The reason that the frames of a scenario must end with (NONE: a mix). Without this check a bench
 * may time something else.
 */
static enum sl_reason choose_frames(struct bench *bench, const char **mode)
{
	const struct options *options = &bench->source.options;
	struct frames_spec *spec = &bench->source.spec;

	*spec = (struct frames_spec){.flows = options->flows,
	                             .vlans = options->vlans,
	                             .ipv6 = options->ipv6,
	                             .imix = options->imix,
	                             .first_vlan = 1,
	                             .remote4 = 0xc6330000};
	*mode = "custom";
	if (strcmp(options->scenario, "deny-all") == 0) {
		*mode = "deny-all";
		return SL_REASON_DENY_ALL;
	}
	if (strcmp(options->scenario, "unknown") == 0) {
		spec->first_vlan = 2000;
		return SL_REASON_UNKNOWN_SANDBOX;
	}
	if (strcmp(options->scenario, "subnet-denied") == 0) {
		spec->remote4 =
		        0x14000000; /* the first of the prefixes that frames_policy denies */
		if (options->prefixes < 256)
			rig_die("subnet-denied needs at least 256 prefixes");
		return SL_REASON_SUBNET_DENIED;
	}
	if (strcmp(options->scenario, "mix") == 0) {
		*mode = "mix";
		return SL_REASON_NONE;
	}
	if (strcmp(options->scenario, "allow-all") == 0) {
		*mode = "allow-all";
		return SL_REASON_ALLOW_ALL;
	}
	if (strcmp(options->scenario, "established") != 0)
		rig_die("unknown scenario");
	return SL_REASON_SUBNET_ALLOWED;
}

static void check_reason(const struct bench *bench, enum sl_reason reason)
{
	const struct sl_stats *stats = sl_worker_stats(bench->rig.worker);
	uint64_t counted = sl_stats_reason(stats, reason);

	if (reason == SL_REASON_NONE) /* a mix of the three modes */
		counted = sl_stats_reason(stats, SL_REASON_ALLOW_ALL) +
		          sl_stats_reason(stats, SL_REASON_DENY_ALL) +
		          sl_stats_reason(stats, SL_REASON_SUBNET_ALLOWED);
	if (counted == 0 || counted != stats->rx[SL_PORT_SANDBOX])
		rig_die("the packets did not all end as the scenario says");
}

int main(int argc, char **argv)
{
	static struct bench bench;
	static struct result results[FORWARDERS][64];
	char capture[] = "/tmp/bench-frames-XXXXXX";
	struct options *options = &bench.source.options;
	struct frames_spec small;
	enum sl_reason reason;
	const char *mode;
	unsigned mbufs;
	char *policy;

	parse_options(argc, argv, options);
	options->memory |= options->flows > 100000 || options->imix;
	reason = choose_frames(&bench, &mode);
	if (options->write != NULL)
		return frames_capture(&bench.source.spec, options->write) != 0;
	small = bench.source.spec;
	if (options->memory)
		small.flows = 1;
	close(mkstemp(capture));
	if (frames_capture(&small, capture) != 0)
		rig_die("cannot write the capture");
	start_eal(capture);
	mbufs = options->memory ? 16383 : options->flows * 2 + 16383;
	bench.source.pool = rte_pktmbuf_pool_create("frames", mbufs, 256, 0,
	                                            options->imix ? 2176 : 128 + 512, 0);
	if (bench.source.pool == NULL)
		rig_die("no memory for mbufs (more hugepages?)");
	if (rte_eth_dev_get_port_by_name("net_null0", &bench.source.null_port) != 0 ||
	    rte_eth_dev_get_port_by_name("net_pcap0", &bench.source.pcap_port) != 0)
		rig_die("no ports");
	start_port(bench.source.null_port, bench.source.pool);
	if (options->memory)
		fill_templates(&bench.source);
	else
		start_port(bench.source.pcap_port, bench.source.pool);
	bench.rx = options->memory ? memory_rx : pcap_rx;
	bench.bare = bare_create(options->flows);
	policy = frames_policy(options->vlans, mode, options->prefixes);
	rig_create(&bench.rig,
	           &(struct rig_options){
	                   .policy = policy,
	                   .pool = bench.source.pool,
	                   .port = {{bench.rx, null_tx, &bench.source},
	                            {NULL, null_tx, &bench.source}},
	                   .flows = options->flows * 2,
	                   .flows_exactly =
	                           options->fill == 0 ? 0 : options->flows * 100u / options->fill,
	                   .events = options->events,
	           });
	open_flows(&bench);
	for (unsigned run = 0; run < options->runs; run++)
		for (int f = 0; f < FORWARDERS; f++)
			results[f][run] = measure(&bench, (enum forwarder)f, options->seconds);
	check_reason(&bench, reason);
	report(&bench, results);
	free(policy);
	unlink(capture);
	return 0;
}
