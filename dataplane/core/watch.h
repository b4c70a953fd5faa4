/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h: the one contract for what looks into traffic. A flow that is looked into has a kind; the
 * kind finds a const table of functions. Who opens, judges and ends flows knows this contract and
 * no protocol; a new protocol is its files, a kind here, and a line in watch.c.
 *
 * All functions run on the worker that owns the sandbox, and none of them blocks.
 */
#ifndef DATAPLANE_WATCH_H
#define DATAPLANE_WATCH_H

#include "state.h"

struct sl_address;

enum sl_watch {
	SL_WATCH_NONE = 0, /* nobody: address and flags decide */
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

	/* Settles the first packet of a flow, which it opens, or refuses it. */
	void (*first)(struct sl_worker *worker, struct sl_pkt *pkt);

	/* Settles a packet of one of its flows. The flow may end by it; pkt->flow is NULL then. */
	void (*walk)(struct sl_worker *worker, struct sl_pkt *pkt);

	/*
	 * Settles a packet of one of its flows that needs no more than a look at its first bytes,
	 * before its checksum is looked at. False: it was not settled. NULL: there are none.
	 */
	bool (*fast)(struct sl_worker *worker, struct sl_pkt *pkt);

	/*
	 * Gives back what it keeps of a flow, and looks into it no more; packets on hold count
	 * under `reason`. The flow itself is the caller's to end.
	 */
	void (*end)(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);

	/*
	 * True if it allows a flow by the present generation, before address and name are asked;
	 * *reason says why. NULL: it never does.
	 */
	bool (*allows)(struct sl_worker *worker, const struct sl_sandbox *sandbox,
	               const struct sl_flow *flow, const struct sl_addr *remote,
	               const struct sl_address *address, enum sl_reason *reason);

	/*
	 * The address of a flow on hold needs no name any more: what is held leaves, and the flow
	 * gets this verdict. NULL: the verdict is all.
	 */
	void (*open_up)(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);
	bool opens_judged; /* it is asked for judged flows too, while it looks into them */

	/* How long a flow of its kind lives without a packet. NULL: as others of its protocol. */
	uint32_t (*idle_ms)(const struct sl_settings *settings);

	/* What is due by now; each turn of the worker. NULL: nothing ever is. */
	void (*timeouts)(struct sl_worker *worker);
};

/* By enum sl_watch; that of NONE is NULL. watch.c has the one list. */
extern const struct sl_watcher *const sl_watchers[SL_WATCH_COUNT];

/* What the flow's watcher, of this kind, keeps of it: an index into that watcher's own pool. */
static inline uint32_t *sl_watch_kept(const struct sl_worker *worker, const struct sl_flow *flow,
                                      enum sl_watch kind)
{
	RTE_ASSERT(flow->watch == kind);
	return &sl_flow_cold(&worker->table, flow)->kept;
}

/* NULL: nobody looks into the flow. */
static inline const struct sl_watcher *sl_watcher_of(const struct sl_flow *flow)
{
	return sl_watchers[flow->watch];
}

#endif
