/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h: everything that one worker owns. Only the worker's own thread touches it, except for
 * what is marked as shared by all workers.
 */
#ifndef DATAPLANE_STATE_H
#define DATAPLANE_STATE_H

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "flow_table.h"
#include "pool.h"
#include "sluice/worker.h"
#include "stopwatch.h"

#define SL_TX_BUFFER     128
#define SL_STREAM_CHUNK  1024 /* stream bytes in one chunk of a hold */
#define SL_SCRATCH_BYTES (72 * 1024)
#define SL_NEXTHOPS      4
#define SL_NEXTHOP_MS    30000 /* a next hop that was silent for longer may be gone */
#define SL_DENIALS_SEEN  65536 /* remembered (sandbox, reason, name) triples */

/* Tokens that refill with time: `rate` a second, at most a second's worth. */
struct sl_bucket_rate {
	uint64_t filled_us; /* tokens are used up to this time; each stands for 1 s / rate */
};

/* A neighbour of the uplink that has answered the sandbox (nexthop.h). */
struct sl_nexthop {
	struct rte_ether_addr mac;
	bool known;
	uint32_t seen_ms;
};

#define SL_NEIGHBOURS_HEARD 16 /* of one sandbox */

/* An address that was seen in neighbour discovery from the uplink (neighbour.c). */
struct sl_heard {
	struct sl_addr addr; /* family 0: none */
	uint32_t seen_ms;
};

/* What a worker keeps of one sandbox it owns. */
struct sl_vlan {
	uint32_t incarnation;
	uint32_t epoch; /* flows with an older one are judged again */
	uint32_t sweep; /* the next flow of the sandbox to judge again; 0: the sweep is complete */
	bool queued;    /* in worker->to_sweep */
	uint32_t flow_head; /* the sandbox's flows */
	uint32_t flows;
	uint32_t records;                    /* of flows that are open, or have ended (record.h) */
	struct sl_nexthop hops[SL_NEXTHOPS]; /* the latest first */
	uint32_t pin_oldest;                 /* the sandbox's pins by last use */
	uint32_t pin_newest;
	uint32_t pins;
	uint32_t quic_ids;                    /* on record, open flows included */
	uint32_t queries;                     /* DNS queries that wait for their answers */
	struct sl_bucket_rate asks;           /* DNS queries */
	uint64_t held_bytes;                  /* memory of its holds */
	struct sl_bucket_rate answers;        /* refusals */
	struct sl_bucket_rate events;         /* of refused packets */
	struct sl_bucket_rate flow_events;    /* of flow decisions */
	uint64_t reasons_told;                /* denials that were reported once */
	uint32_t names_minute, names_count;   /* new names reported beyond the limit, this minute */
	uint32_t suppressed[SL_REASON_COUNT]; /* not reported, and not counted in a `suppressed`
	                                         event yet */
	uint64_t tell_us;                     /* when that event is due; 0: none */
	struct sl_bucket_rate neighbour[SL_PORT_COUNT];
	struct sl_bucket_rate strangers[2]; /* for targets not heard from lately; IPv4, IPv6 */
	struct sl_heard heard[SL_NEIGHBOURS_HEARD];
	struct sl_bucket_rate
	        decrypts[SL_PORT_COUNT]; /* keys tried on QUIC packets of either side */
	/*
	 * The last inbound fragment that was found to belong to a flow; remembered for a second.
	 */
	struct sl_addr fragment_remote;
	uint8_t fragment_proto;
	uint8_t fragment_reason;
	uint32_t fragment_epoch;
	uint32_t fragment_until_ms;
	struct sl_bucket_rate fragment_walks;
};

/* Whom a queued frame counts for. */
struct sl_tx_account {
	uint16_t vlan;   /* counters' slot */
	uint16_t weight; /* packets that came in and leave with this frame (0: made here) */
	uint8_t reason;  /* enum sl_reason they count under */
};

struct sl_tx {
	unsigned count;
	struct rte_mbuf *mbuf[SL_TX_BUFFER];
	struct sl_tx_account account[SL_TX_BUFFER];
};

/* Holds with the same kind of deadline, oldest first. */
struct sl_deadlines {
	uint32_t head;
	uint32_t tail;
};

struct sl_worker {
	struct sl_worker_params params;
	const struct sl_settings *settings;

	/* this burst's */
	const struct sl_generation *generation;
	uint64_t now_us;
	uint32_t now_ms;
	unsigned pkt_count;
	bool opened_in_burst; /* a flow was opened since the burst's lookup */
	struct sl_stopwatch watch;
	struct sl_pkt pkts[SL_BURST_MAX];

	struct sl_flow_table table;
	struct sl_vlan *vlans; /* SL_VLAN_COUNT */
	uint32_t age_cursor;
	uint64_t aged_us;

	struct sl_pool names; /* of struct sl_name */
	uint32_t *name_buckets;
	uint32_t name_mask;

	uint64_t held_limit;    /* this worker's share of `held-bytes` */
	struct sl_pool chunks;  /* of struct sl_stream_chunk */
	struct sl_pool holds;   /* of struct sl_hold */
	struct sl_pool resends; /* of connections that the gateway delivers itself (strict_own.c) */
	struct sl_deadlines resends_due;
	struct sl_deadlines holds_hello; /* until the hello is complete and acknowledged */

	struct sl_pool records; /* of struct sl_record */
	uint32_t *record_buckets;
	uint32_t record_mask;
	struct sl_deadlines records_ended;

	struct sl_dns_random *dns_random; /* ids and letter case of queries */
	struct sl_pool queries;           /* of struct sl_query */
	struct sl_deadlines queries_open;
	uint32_t *queries_asked; /* buckets, by flow and the client's id */
	uint32_t *queries_sent;  /* buckets, by flow and the id that left */
	uint32_t query_mask;     /* of both */

	struct sl_pool quics; /* of struct sl_quic_hold */
	struct sl_deadlines quics_open;
	struct sl_quic_crypto *quic_crypto;
	struct sl_quic_ids *quic_ids; /* connection IDs that were used; shared by all workers */
	struct sl_deadlines quic_ids_ended; /* of this worker's flows */

	struct sl_pool dns_streams;            /* of struct sl_dns_stream */
	struct sl_deadlines dns_streams_timed; /* until the message is complete */

	struct sl_pool pins;          /* of struct sl_pin */
	struct sl_pool pin_addresses; /* of struct sl_pin_address */
	uint32_t *pin_buckets;
	uint32_t *pin_address_buckets;
	uint32_t pin_mask; /* of both */
	uint32_t pin_cursor;
	uint64_t pin_swept_us;

	struct sl_ask *asked; /* the question that is being answered; NULL: none */
	uint64_t swept; /* number of the generation whose sweep was set up last; not its address,
	                   which may be reused */
	_Atomic uint64_t settled; /* the same, once the sweep is complete */
	uint16_t *to_sweep; /* VLANs whose flows are to be judged again, or whose former sandbox's
	                       pins are to be freed: a ring */
	unsigned to_sweep_head, to_sweep_count;

	uint16_t *to_tell; /* VLANs with suppressed events, in the order of tell_us: a ring */
	unsigned to_tell_head, to_tell_count;

	uint64_t *denials_seen; /* SL_DENIALS_SEEN hashes */
	uint8_t *scratch;       /* SL_SCRATCH_BYTES, valid inside one call */
	uint8_t *scratch2;

	struct sl_tx tx[SL_PORT_COUNT];
	struct sl_stats *stats;
};

/*
 * Takes one token of a bucket that holds `rate` and refills at `rate` a second. False if it is
 * empty.
 */
static inline bool sl_rate_take(struct sl_bucket_rate *bucket, uint64_t now_us, uint32_t rate)
{
	uint64_t floor = now_us > 1000000 ? now_us - 1000000 : 0;
	uint64_t start = bucket->filled_us > floor ? bucket->filled_us : floor;

	if (start + 1000000 / rate > now_us)
		return false;
	bucket->filled_us = start + 1000000 / rate;
	return true;
}

/*
 * An even share, for one sandbox, of a limit that holds for all sandboxes of all workers together.
 */
static inline uint64_t sl_even_share(const struct sl_worker *worker, uint64_t limit)
{
	uint64_t sandboxes = worker->generation != NULL ? worker->generation->sandbox_count : 0;

	return limit / (sandboxes > 0 ? sandboxes : 1);
}

/*
 * The last tenth of a limit for all sandboxes together is kept for sandboxes that hold less than
 * an even share of it (spec section 2). limit and used are this worker's, own is what the sandbox
 * holds; true if it may have `more`.
 */
static inline bool sl_shared_room(const struct sl_worker *worker, uint64_t limit, uint64_t used,
                                  uint64_t own, uint64_t more)
{
	if (used + more > limit)
		return false;
	return used + more <= limit - limit / 10 ||
	       own + more <= sl_even_share(worker, limit * worker->params.count);
}

/* Counts memory of a hold against the sandbox and the gateway; false (and nothing) at a limit. */
static inline bool sl_held_take(struct sl_worker *worker, uint16_t vlan, size_t bytes)
{
	struct sl_vlan *state = &worker->vlans[vlan];

	if (!sl_shared_room(worker, worker->held_limit, worker->stats->hold_bytes,
	                    state->held_bytes, bytes) ||
	    state->held_bytes + bytes > worker->settings->held_bytes_per_sandbox)
		return false;
	worker->stats->hold_bytes += bytes;
	state->held_bytes += bytes;
	return true;
}

static inline void sl_held_give(struct sl_worker *worker, uint16_t vlan, size_t bytes)
{
	worker->stats->hold_bytes -= bytes;
	worker->vlans[vlan].held_bytes -= bytes;
}

static inline void sl_count(struct sl_worker *worker, uint16_t vlan, enum sl_reason reason,
                            uint64_t packets)
{
	worker->stats->sandbox[vlan].reason[reason] += packets;
}

/* Milliseconds on the worker's wrapping clock: true if a moment has come. */
static inline bool sl_due(const struct sl_worker *worker, uint32_t moment_ms)
{
	return (int32_t)(worker->now_ms - moment_ms) >= 0;
}

/* The sandbox that has this VLAN now; NULL: none, or no policy was published yet. */
static inline const struct sl_sandbox *sl_worker_sandbox(const struct sl_worker *worker,
                                                         uint16_t vlan)
{
	return worker->generation != NULL ? worker->generation->sandboxes[vlan] : NULL;
}

#endif
