/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inproc.c: a whole gateway inside a test. Only the ports, the clock and the thread are not real.
 */
#include "inproc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include "document/config.h"
#include "document/diag.h"
#include "gateway/eal.h"
#include "document/policy.h"
#include "reload/reload.h"
#include "gateway/settings_from_config.h"

#define RING_EVENTS    4096
#define RING_HANDOVER  1024
#define BURST_MAX      64
#define CLOCK_START_US 1767323045678901u /* 2026-01-02T03:04:05.678901Z */

struct frames {
	struct inproc_frame *list;
	size_t n, taken, room;
};

struct port {
	struct inproc *gw;
	struct frames frames;
	long room; /* -1: no bound */
	uint64_t left;
};

struct inproc {
	struct inproc_options options;
	struct sl_config config;
	struct sl_settings settings;
	struct sl_publication publication;
	struct sl_reload *reload;
	struct sl_quic_ids *quic_ids;
	struct sl_worker *workers[SL_WORKERS_MAX];
	struct rte_ring *events[SL_WORKERS_MAX];
	struct rte_ring *handover[SL_WORKERS_MAX];
	unsigned count;
	struct rte_mempool *pool;
	unsigned pool_full;
	struct port ports[SL_PORT_COUNT];
	uint64_t now_us, sent;
	struct sl_event *event_list;
	size_t event_count, event_room;
	char *errors;
};

static void __attribute__((noreturn, format(printf, 1, 2))) violated(const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("in-process gateway: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

static void *must(void *memory)
{
	if (memory == NULL)
		violated("no memory");
	return memory;
}

void inproc_eal(void)
{
	static struct sl_eal_plan plan;
	char err[256];

	if (plan.argc > 0)
		return;
	sl_eal_plan_alone(4096, &plan);
	if (sl_eal_start(&plan, err, sizeof(err)) != 0)
		violated("%s", err);
}

/* ---- the clock and the ports ---- */

static uint64_t clock_read(void *ctx)
{
	return ((struct inproc *)ctx)->now_us;
}

static struct inproc_frame *frames_add(struct frames *frames)
{
	if (frames->n == frames->room) {
		frames->room = frames->room ? frames->room * 2 : 64;
		frames->list = must(realloc(frames->list, frames->room * sizeof(*frames->list)));
	}
	return &frames->list[frames->n++];
}

static void frames_clear(struct frames *frames)
{
	for (size_t i = 0; i < frames->n; i++)
		free(frames->list[i].bytes);
	frames->n = frames->taken = 0;
}

static uint16_t port_tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct port *port = ctx;
	uint16_t i;

	for (i = 0; i < n && port->room != 0; i++) {
		struct inproc_frame *frame = frames_add(&port->frames);
		struct rte_mbuf *m = pkts[i];
		const void *bytes;

		rte_mbuf_sanity_check(m, 1);
		frame->time_us = port->gw->now_us;
		frame->len = m->pkt_len;
		frame->bytes = must(malloc(frame->len + 1));
		bytes = rte_pktmbuf_read(m, 0, m->pkt_len, frame->bytes);
		if (bytes == NULL)
			violated("a frame's pkt_len %u is more than its segments hold", m->pkt_len);
		if (bytes != frame->bytes)
			memcpy(frame->bytes, bytes, frame->len);
		frame->view = packet_view(frame->bytes, frame->len);
		rte_pktmbuf_free(m);
		port->left++;
		if (port->room > 0)
			port->room--;
	}
	return i;
}

void inproc_tx_room(struct inproc *gw, enum sl_port_id port, long frames)
{
	gw->ports[port].room = frames;
}

/* ---- mbufs ---- */

static struct rte_mbuf *segment_alloc(struct inproc *gw)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(gw->pool);

	if (m == NULL)
		violated("no mbuf left: %u of %u in use", rte_mempool_in_use_count(gw->pool),
		         gw->pool_full);
	return m;
}

static struct rte_mbuf *mbuf_of(struct inproc *gw, const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *head = segment_alloc(gw), *tail = head;
	size_t done = 0;

	for (;;) {
		size_t piece = RTE_MIN(len - done, (size_t)rte_pktmbuf_tailroom(tail));

		if (gw->options.segment != 0)
			piece = RTE_MIN(piece, (size_t)gw->options.segment);
		memcpy(rte_pktmbuf_mtod(tail, void *), bytes + done, piece);
		tail->data_len = (uint16_t)piece;
		done += piece;
		if (done == len)
			break;
		tail->next = segment_alloc(gw);
		tail = tail->next;
		head->nb_segs++;
	}
	head->pkt_len = (uint32_t)len;
	return head;
}

/* ---- counters ---- */

const struct sl_stats *inproc_stats(const struct inproc *gw, unsigned worker)
{
	return sl_worker_stats(gw->workers[worker]);
}

uint64_t inproc_vlan_reason(const struct inproc *gw, uint16_t vlan, enum sl_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < gw->count; i++)
		sum += inproc_stats(gw, i)->sandbox[vlan].reason[reason];
	return sum;
}

uint64_t inproc_reason(const struct inproc *gw, enum sl_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < gw->count; i++)
		sum += sl_stats_reason(inproc_stats(gw, i), reason);
	return sum;
}

uint64_t inproc_held(const struct inproc *gw)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < gw->count; i++)
		sum += sl_worker_held(gw->workers[i]);
	return sum;
}

uint64_t inproc_rx(const struct inproc *gw)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < gw->count; i++)
		for (int port = 0; port < SL_PORT_COUNT; port++)
			sum += inproc_stats(gw, i)->rx[port];
	return sum;
}

static uint64_t lost_in_handover(const struct inproc *gw)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < gw->count; i++)
		sum += inproc_stats(gw, i)->handover_lost;
	return sum;
}

/* Sums every reason over some VLANs and all workers. */
static void add_rows(const struct inproc *gw, unsigned first, unsigned last,
                     uint64_t sum[SL_REASON_COUNT])
{
	for (unsigned i = 0; i < gw->count; i++)
		for (unsigned vlan = first; vlan <= last; vlan++)
			for (int r = 0; r < SL_REASON_COUNT; r++)
				sum[r] += inproc_stats(gw, i)->sandbox[vlan].reason[r];
}

static void totals(const struct inproc *gw, uint64_t sum[SL_REASON_COUNT])
{
	memset(sum, 0, SL_REASON_COUNT * sizeof(sum[0]));
	add_rows(gw, 0, SL_VLAN_COUNT - 1, sum);
}

static void check_totals(const struct inproc *gw, const uint64_t sum[SL_REASON_COUNT])
{
	uint64_t out = inproc_held(gw), left = 0, tx = 0;

	for (int r = 0; r < SL_REASON_COUNT; r++)
		out += sum[r];
	if (inproc_rx(gw) != out || inproc_rx(gw) + lost_in_handover(gw) < gw->sent) {
		for (int r = 0; r < SL_REASON_COUNT; r++)
			if (sum[r] != 0)
				fprintf(stderr, "%s %lu\n", sl_reason_name((enum sl_reason)r),
				        sum[r]);
		violated("sent %lu, judged %lu, but reasons and %lu held make %lu", gw->sent,
		         inproc_rx(gw), inproc_held(gw), out);
	}
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		left += gw->ports[port].left;
		for (unsigned i = 0; i < gw->count; i++)
			tx += inproc_stats(gw, i)->tx[port];
	}
	if (left != tx)
		violated("%lu frames left, but tx counts %lu", left, tx);
}

void inproc_check(const struct inproc *gw)
{
	uint64_t sum[SL_REASON_COUNT];

	totals(gw, sum);
	check_totals(gw, sum);
}

/* ---- sending ---- */

static void events_drain(struct inproc *gw)
{
	struct sl_event event;

	for (unsigned i = 0; i < gw->count; i++) {
		while (rte_ring_dequeue_elem(gw->events[i], &event, sizeof(event)) == 0) {
			if (gw->event_count == gw->event_room) {
				gw->event_room = gw->event_room ? gw->event_room * 2 : 64;
				gw->event_list = must(
				        realloc(gw->event_list, gw->event_room * sizeof(event)));
			}
			gw->event_list[gw->event_count++] = event;
		}
	}
}

/* Lets every worker take the frames that others handed over. */
static void others_turn(struct inproc *gw)
{
	if (gw->count == 1)
		return;
	for (unsigned i = 0; i < gw->count; i++)
		sl_worker_turn(gw->workers[i]);
}

static unsigned vlan_of(const struct inproc *gw, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	if (m->data_len >= 16 && frame[12] == 0x81 && frame[13] == 0)
		return (frame[14] << 8 | frame[15]) & 0xfff;
	return gw->settings.native_vlan[m->port];
}

/*
 * The sums over the VLANs that a frame can be counted for; over all VLANs, unless relaxed, which
 * is for many packets.
 */
static void rows_of(const struct inproc *gw, unsigned vlan, uint64_t sum[SL_REASON_COUNT])
{
	if (!gw->options.relaxed) {
		totals(gw, sum);
		return;
	}
	memset(sum, 0, SL_REASON_COUNT * sizeof(sum[0]));
	add_rows(gw, 0, 0, sum);
	if (vlan != 0)
		add_rows(gw, vlan, vlan, sum);
}

static enum sl_reason deliver(struct inproc *gw, unsigned worker, enum sl_port_id port,
                              struct rte_mbuf **pkts, unsigned n)
{
	uint64_t before[SL_REASON_COUNT], after[SL_REASON_COUNT];
	unsigned vlan;

	for (unsigned i = 0; i < n; i++)
		pkts[i]->port = (uint16_t)port;
	vlan = vlan_of(gw, pkts[0]);
	rows_of(gw, vlan, before);
	gw->sent += n;
	sl_worker_input(gw->workers[worker], port, pkts, (uint16_t)n);
	others_turn(gw);
	events_drain(gw);
	rows_of(gw, vlan, after);
	if (!gw->options.relaxed)
		check_totals(gw, after);
	/* denials come first in the list; NONE: on hold, or let out before the verdict */
	for (int r = SL_REASON_NONE + 1; r < SL_REASON_COUNT; r++)
		if (after[r] != before[r])
			return (enum sl_reason)r;
	return SL_REASON_NONE;
}

enum sl_reason inproc_send_to(struct inproc *gw, unsigned worker, enum sl_port_id port,
                              const void *bytes, size_t len)
{
	struct rte_mbuf *m = mbuf_of(gw, bytes, len);

	return deliver(gw, worker, port, &m, 1);
}

enum sl_reason inproc_send_bytes(struct inproc *gw, enum sl_port_id port, const void *bytes,
                                 size_t len)
{
	return inproc_send_to(gw, 0, port, bytes, len);
}

enum sl_reason inproc_send(struct inproc *gw, enum sl_port_id port, const struct packet *packet)
{
	return inproc_send_to(gw, 0, port, packet->bytes, packet->len);
}

enum sl_reason inproc_send_burst(struct inproc *gw, enum sl_port_id port,
                                 const struct packet *packets, unsigned n)
{
	struct rte_mbuf *pkts[BURST_MAX];

	if (n > BURST_MAX)
		violated("a burst has at most %d frames", BURST_MAX);
	for (unsigned i = 0; i < n; i++)
		pkts[i] = mbuf_of(gw, packets[i].bytes, packets[i].len);
	return deliver(gw, 0, port, pkts, n);
}

/* ---- frames that left ---- */

size_t inproc_count(const struct inproc *gw, enum sl_port_id port)
{
	return gw->ports[port].frames.n;
}

const struct inproc_frame *inproc_frame(const struct inproc *gw, enum sl_port_id port, size_t i)
{
	if (i >= gw->ports[port].frames.n)
		violated("only %zu frames left by port %d, no %zu", gw->ports[port].frames.n, port,
		         i);
	return &gw->ports[port].frames.list[i];
}

const struct inproc_frame *inproc_last(const struct inproc *gw, enum sl_port_id port)
{
	const struct frames *frames = &gw->ports[port].frames;

	return frames->n == 0 ? NULL : &frames->list[frames->n - 1];
}

const struct inproc_frame *inproc_take(struct inproc *gw, enum sl_port_id port)
{
	struct frames *frames = &gw->ports[port].frames;

	return frames->taken == frames->n ? NULL : &frames->list[frames->taken++];
}

bool inproc_left(const struct inproc *gw, enum sl_port_id port, const void *bytes, size_t len)
{
	const struct frames *frames = &gw->ports[port].frames;

	for (size_t i = 0; i < frames->n; i++)
		if (memmem(frames->list[i].bytes, frames->list[i].len, bytes, len) != NULL)
			return true;
	return false;
}

size_t inproc_event_count(const struct inproc *gw)
{
	return gw->event_count;
}

const struct sl_event *inproc_event(const struct inproc *gw, size_t i)
{
	if (i >= gw->event_count)
		violated("only %zu events, no %zu", gw->event_count, i);
	return &gw->event_list[i];
}

const struct sl_event *inproc_event_last(const struct inproc *gw)
{
	return gw->event_count == 0 ? NULL : &gw->event_list[gw->event_count - 1];
}

void inproc_clear(struct inproc *gw)
{
	for (int port = 0; port < SL_PORT_COUNT; port++)
		frames_clear(&gw->ports[port].frames);
	gw->event_count = 0;
}

/* ---- time ---- */

void inproc_advance_us(struct inproc *gw, uint64_t us)
{
	do {
		uint64_t step = RTE_MIN(us, (uint64_t)100000);

		gw->now_us += step;
		us -= step;
		for (unsigned i = 0; i < gw->count; i++)
			sl_worker_tick(gw->workers[i]);
		events_drain(gw);
	} while (us > 0);
	if (!gw->options.relaxed)
		inproc_check(gw);
}

void inproc_pass_us(struct inproc *gw, uint64_t us)
{
	gw->now_us += us;
}

void inproc_advance_s(struct inproc *gw, double seconds)
{
	inproc_advance_us(gw, (uint64_t)(seconds * 1e6));
}

uint64_t inproc_now_us(const struct inproc *gw)
{
	return gw->now_us;
}

/* ---- policies ---- */

static void append_error(void *opaque, const char *text)
{
	struct inproc *gw = opaque;
	size_t old = gw->errors ? strlen(gw->errors) : 0;

	gw->errors = must(realloc(gw->errors, old + strlen(text) + 2));
	sprintf(gw->errors + old, "%s\n", text);
}

static void keep_errors(struct inproc *gw, struct sl_diag *diag)
{
	free(gw->errors);
	gw->errors = NULL;
	sl_diag_each(diag, SL_DIAG_ERROR, append_error, gw);
}

uint64_t inproc_push(struct inproc *gw, const char *policy)
{
	struct sl_policy_doc *doc = NULL;
	struct sl_push push = {0};
	struct sl_diag diag;
	int ret;

	sl_diag_init(&diag);
	ret = sl_policy_doc_read_buffer("policy.yaml", policy, strlen(policy), &diag, &doc);
	if (ret == 0)
		ret = sl_reload_push(gw->reload, doc, &diag, &push);
	sl_policy_doc_free(doc);
	keep_errors(gw, &diag);
	sl_diag_free(&diag);
	return ret == 0 ? push.generation : 0;
}

const char *inproc_errors(const struct inproc *gw)
{
	return gw->errors ? gw->errors : "";
}

/* ---- making and ending one ---- */

static void make_config(struct inproc *gw)
{
	struct sl_diag diag;
	const char *text = gw->options.config;
	int ret;

	sl_diag_init(&diag);
	if (text == NULL)
		ret = sl_config_init_replay(&gw->config);
	else
		ret = sl_config_read_buffer("sluice.yaml", text, strlen(text), SL_CONFIG_FOR_REPLAY,
		                            &diag, &gw->config);
	if (ret == 0)
		ret = sl_settings_from_config(&gw->config, true, &diag, &gw->settings);
	if (ret != 0) {
		sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
		violated("the config was refused");
	}
	sl_diag_free(&diag);
	gw->settings.dns_rewrite = gw->options.dns_rewrite;
	gw->settings.checksums_partial = !gw->options.checksums_full;
	/* a test does not need the memory of a million flows */
	if (text == NULL || strstr(text, "limits") == NULL) {
		gw->settings.flows = 16384;
		gw->settings.pins = 16384;
		gw->settings.pins_per_sandbox = RTE_MIN(gw->settings.pins_per_sandbox, 4096u);
		gw->settings.flows_per_sandbox = RTE_MIN(gw->settings.flows_per_sandbox, 8192u);
	}
}

static struct rte_ring *make_ring(const char *kind, unsigned worker, unsigned element,
                                  unsigned count, unsigned flags)
{
	static unsigned serial;
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s-%u-%u", kind, worker, serial++);
	return must(rte_ring_create_elem(name, element, count, SOCKET_ID_ANY, flags));
}

static void make_worker(struct inproc *gw, unsigned id)
{
	struct sl_worker_params params = {
	        .id = id,
	        .count = gw->count,
	        .settings = &gw->settings,
	        .publication = &gw->publication,
	        .pool = gw->pool,
	        .handover = gw->count > 1 ? gw->handover : NULL,
	        .quic_ids = gw->quic_ids,
	        .events = gw->events[id],
	        .now_us = clock_read,
	        .clock_ctx = gw,
	};
	char err[256] = "";

	for (int port = 0; port < SL_PORT_COUNT; port++) {
		params.port[port].tx = port_tx;
		params.port[port].ctx = &gw->ports[port];
	}
	gw->workers[id] = sl_worker_create(&params, err, sizeof(err));
	if (gw->workers[id] == NULL)
		violated("no worker: %s", err);
}

static void make_workers(struct inproc *gw)
{
	for (unsigned i = 0; i < gw->count; i++) {
		gw->events[i] = make_ring("events", i, sizeof(struct sl_event), RING_EVENTS,
		                          RING_F_SP_ENQ | RING_F_SC_DEQ);
		gw->handover[i] =
		        make_ring("handover", i, sizeof(void *), RING_HANDOVER, RING_F_SC_DEQ);
	}
	gw->quic_ids = gw->options.quic_ids;
	if (gw->quic_ids == NULL)
		gw->quic_ids = must(sl_quic_ids_create(gw->settings.flows));
	for (unsigned i = 0; i < gw->count; i++)
		make_worker(gw, i);
}

struct inproc *inproc_create_with(const struct inproc_options *options)
{
	static unsigned serial;
	struct inproc *gw = must(calloc(1, sizeof(*gw)));
	char name[32];

	inproc_eal();
	gw->options = *options;
	gw->count = options->workers ? options->workers : 1;
	gw->now_us = CLOCK_START_US;
	for (int port = 0; port < SL_PORT_COUNT; port++)
		gw->ports[port] = (struct port){.gw = gw, .room = -1};
	make_config(gw);
	snprintf(name, sizeof(name), "inproc-%u", serial++);
	gw->pool_full = options->mbufs ? options->mbufs : 16383;
	gw->pool = must(rte_pktmbuf_pool_create(name, gw->pool_full, 0, 0,
	                                        RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY));
	gw->pool_full = rte_mempool_avail_count(gw->pool);

	struct sl_reload_params params = {
	        .config = &gw->config,
	        .publication = &gw->publication,
	        .workers = gw->count,
	};
	struct sl_diag diag;

	sl_diag_init(&diag);
	gw->reload = sl_reload_create(&params, &diag);
	if (gw->reload == NULL) {
		sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
		violated("no reload");
	}
	sl_diag_free(&diag);
	if (options->policy != NULL && inproc_push(gw, options->policy) == 0)
		violated("the policy was refused:\n%s", inproc_errors(gw));
	make_workers(gw);
	return gw;
}

struct inproc *inproc_create(const char *policy, const char *config)
{
	return inproc_create_with(&(struct inproc_options){.policy = policy, .config = config});
}

void inproc_free(struct inproc *gw)
{
	inproc_check(gw);
	for (unsigned i = 0; i < gw->count; i++) {
		sl_worker_free(gw->workers[i]);
		rte_ring_free(gw->events[i]);
		if (rte_ring_count(gw->handover[i]) != 0)
			violated("frames are left in a hand-over ring");
		rte_ring_free(gw->handover[i]);
	}
	if (gw->options.quic_ids == NULL)
		sl_quic_ids_free(gw->quic_ids);
	sl_reload_free(gw->reload);
	if (rte_mempool_avail_count(gw->pool) != gw->pool_full)
		violated("%u mbufs were not given back",
		         gw->pool_full - rte_mempool_avail_count(gw->pool));
	rte_mempool_free(gw->pool);
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		frames_clear(&gw->ports[port].frames);
		free(gw->ports[port].frames.list);
	}
	sl_config_fini(&gw->config);
	free(gw->event_list);
	free(gw->errors);
	free(gw);
}

struct sl_worker *inproc_worker(struct inproc *gw, unsigned worker)
{
	return gw->workers[worker];
}

struct rte_mempool *inproc_pool(struct inproc *gw)
{
	return gw->pool;
}

const struct sl_publication *inproc_publication(const struct inproc *gw)
{
	return &gw->publication;
}

struct sl_settings *inproc_settings(struct inproc *gw)
{
	return &gw->settings;
}

/* ---- a TCP connection ---- */

struct packet inproc_tcp_segment(const struct inproc_tcp *tcp, bool from_client, uint8_t flags)
{
	if (from_client)
		return TCP(.vlan = tcp->vlan, .src = tcp->client, .dst = tcp->server,
		           .sport = tcp->sport, .dport = tcp->dport, .flags = flags,
		           .seq = tcp->client_seq, .ack = flags & TCP_ACK ? tcp->server_seq : 0);
	return TCP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = tcp->vlan,
	           .src = tcp->server, .dst = tcp->client, .sport = tcp->dport, .dport = tcp->sport,
	           .flags = flags, .seq = tcp->server_seq,
	           .ack = flags & TCP_ACK ? tcp->client_seq : 0);
}

enum sl_reason inproc_tcp_open(struct inproc *gw, struct inproc_tcp *tcp)
{
	struct packet packet;
	enum sl_reason reason;

	if (tcp->client_seq == 0)
		tcp->client_seq = 1000;
	if (tcp->server_seq == 0)
		tcp->server_seq = 5000;
	packet = inproc_tcp_segment(tcp, true, TCP_SYN);
	reason = inproc_send(gw, SL_PORT_SANDBOX, &packet);
	if (reason != SL_REASON_NONE && !sl_reason_allows(reason))
		return reason;
	tcp->client_seq++;
	packet = inproc_tcp_segment(tcp, false, TCP_SYN | TCP_ACK);
	reason = inproc_send(gw, SL_PORT_UPLINK, &packet);
	if (reason != SL_REASON_NONE && !sl_reason_allows(reason))
		return reason;
	tcp->server_seq++;
	packet = inproc_tcp_segment(tcp, true, TCP_ACK);
	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

enum sl_reason inproc_tcp_client(struct inproc *gw, struct inproc_tcp *tcp, const void *bytes,
                                 size_t len)
{
	struct packet packet =
	        TCP(.vlan = tcp->vlan, .src = tcp->client, .dst = tcp->server, .sport = tcp->sport,
	            .dport = tcp->dport, .flags = TCP_ACK | TCP_PSH, .seq = tcp->client_seq,
	            .ack = tcp->server_seq, .payload = bytes, .payload_len = len);

	tcp->client_seq += (uint32_t)len;
	return inproc_send(gw, SL_PORT_SANDBOX, &packet);
}

enum sl_reason inproc_tcp_server(struct inproc *gw, struct inproc_tcp *tcp, const void *bytes,
                                 size_t len)
{
	struct packet packet =
	        TCP(.smac = PKT_MAC_OUTER, .dmac = PKT_MAC_INNER, .vlan = tcp->vlan,
	            .src = tcp->server, .dst = tcp->client, .sport = tcp->dport,
	            .dport = tcp->sport, .flags = TCP_ACK | TCP_PSH, .seq = tcp->server_seq,
	            .ack = tcp->client_seq, .payload = bytes, .payload_len = len);

	tcp->server_seq += (uint32_t)len;
	return inproc_send(gw, SL_PORT_UPLINK, &packet);
}
