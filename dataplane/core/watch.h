/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h: the interface of watchers, which inspect a flow's traffic. A flow that is inspected has
 * a kind, which selects a const table of functions. The files that open, judge and end flows know
 * this interface and no protocol; a new protocol takes its own files, a kind here, and a line in
 * watch.c.
 *
 * All functions run on the worker that owns the sandbox, and none of them blocks.
 */
#ifndef DATAPLANE_WATCH_H
#define DATAPLANE_WATCH_H

#include "state.h"

struct sl_address;

enum sl_watch {
	SL_WATCH_NONE = 0, /* no watcher: address and flags decide */
	SL_WATCH_STREAM,   /* a TCP connection under rule 3: TLS, HTTP, PostgreSQL (hold.c) */
	SL_WATCH_DNS_UDP,
	SL_WATCH_DNS_TCP,
	SL_WATCH_QUIC,
	SL_WATCH_COUNT
};

/*
 * A function that may end a flow, or its watch, returns bool, and false if it did: the caller then
 * touches neither the flow nor what was kept of it. A function that settles a packet returns
 * nothing; pkt->flow is NULL after it if the flow is gone.
 */
struct sl_watcher {
	/* Setup only. destroy also after a create that failed, or was never called. NULL: nothing.
	 */
	bool (*create)(struct sl_worker *worker);
	void (*destroy)(struct sl_worker *worker);

	/* Settles the first packet of a flow: opens the flow, or refuses the packet. */
	void (*first)(struct sl_worker *worker, struct sl_pkt *pkt);

	/*
	 * Settles a packet of one of its flows. If that ends the flow, pkt->flow is NULL
	 * afterwards.
	 */
	void (*walk)(struct sl_worker *worker, struct sl_pkt *pkt);

	/*
	 * Settles a packet of one of its flows by its first bytes alone, before its checksum is
	 * verified. False: it was not settled. NULL: there are no such packets.
	 */
	bool (*fast)(struct sl_worker *worker, struct sl_pkt *pkt);

	/*
	 * Frees what it keeps of a flow, and stops inspecting it; packets on hold count under
	 * `reason`. The caller ends the flow itself.
	 */
	void (*end)(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);

	/*
	 * True if it allows a flow under the current generation, before address and name are
	 * judged; *reason says why. NULL: it never does.
	 */
	bool (*allows)(struct sl_worker *worker, const struct sl_sandbox *sandbox,
	               const struct sl_flow *flow, const struct sl_addr *remote,
	               const struct sl_address *address, enum sl_reason *reason);

	/*
	 * The address of a flow on hold needs no name any more: sends what is held, and gives the
	 * flow this verdict. NULL: only the verdict is set.
	 */
	void (*open_up)(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);
	bool opens_judged; /* open_up is called for judged flows too, while they are inspected */

	/*
	 * How long a flow of its kind lives without a packet. NULL: as long as others of its
	 * protocol.
	 */
	uint32_t (*idle_ms)(const struct sl_settings *settings);

	/* Does what is due by now; called in each turn of the worker. NULL: it has no timeouts. */
	void (*timeouts)(struct sl_worker *worker);
};

/* By enum sl_watch; NULL for SL_WATCH_NONE. Defined in watch.c. */
extern const struct sl_watcher *const sl_watchers[SL_WATCH_COUNT];

/* What the flow's watcher, of this kind, keeps of it: an index into that watcher's own pool. */
static inline uint32_t *sl_watch_kept(const struct sl_worker *worker, const struct sl_flow *flow,
                                      enum sl_watch kind)
{
	RTE_ASSERT(flow->watch == kind);
	return &sl_flow_cold(&worker->table, flow)->kept;
}

/* NULL: the flow is not inspected. */
static inline const struct sl_watcher *sl_watcher_of(const struct sl_flow *flow)
{
	return sl_watchers[flow->watch];
}

#endif
