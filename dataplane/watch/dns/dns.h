/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.h: shared by the files that judge DNS: dns.c (gate, judgement), dns_pending.c, dns_udp.c,
 * dns_tcp.c and its two helpers. Other files see only the watcher (core/watch.h) and gate.h.
 */
#ifndef DATAPLANE_DNS_H
#define DATAPLANE_DNS_H

#include "core/deadline.h"
#include "wire/dns_message.h"
#include "judge/subnet.h"
#include "flow/verdict.h"
#include "core/state.h"
#include "watch/tcp/strict.h"
#include "core/watch.h"

/* A query that was sent and not answered yet. Counted against the sandbox's `held-bytes`. */
struct sl_query {
	struct sl_deadline deadline; /* in worker->queries_open */
	uint32_t flow;               /* index */
	uint32_t next;               /* of the same flow; 0: none */
	uint32_t prev;
	uint32_t chain_asked; /* next in the bucket of the client's id */
	uint32_t chain_sent;  /* next in the bucket of the id that left */
	bool is_sent;
	uint32_t name;  /* in the names table; holds a reference */
	uint32_t epoch; /* of the sandbox, when the name was last found allowed */
	uint16_t vlan;
	uint16_t client_id;
	uint8_t mismatches;
	uint32_t mismatches_before; /* the flow's count when the query left */
	struct sl_dns_case client_case;
	struct sl_dns_question sent; /* what an answer must repeat */
};

enum sl_query_verdict {
	SL_QUERY_MALFORMED = 0, /* not one plain query: dropped silently */
	SL_QUERY_REFUSED,       /* the policy has no pattern for the name */
	SL_QUERY_STRIPPED,      /* answered by the gateway: `strip-ech` */
	SL_QUERY_ALLOWED,
};

/* dns.c */

/* Judges a message from the sandbox; out is filled in unless it is malformed. */
enum sl_query_verdict sl_dns_judge(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                   const uint8_t *msg, size_t len, struct sl_dns_query *out);

/* True if the policy allows a query for the name (canonical; empty: the root). */
bool sl_dns_name_allowed(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                         const char *name, size_t len);

struct sl_proof sl_dns_proof(const struct sl_dns_query *query);

/* Writes unpredictable bytes. False: it failed, and nothing that needs them may be sent. */
bool sl_dns_random(struct sl_worker *worker, void *out, size_t bytes);

/* The payload of a packet in one piece: in the mbuf, or copied to the worker's scratch. */
const uint8_t *sl_dns_payload(const struct sl_worker *worker, const struct sl_pkt *pkt);

/*
 * Reads an answer to `sent`, asked for `name`. DONE: the addresses it gives are pinned to the
 * name, if `pin`.
 */
enum sl_parse_result sl_dns_answer_pin(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                       const uint8_t *msg, size_t len,
                                       const struct sl_dns_question *sent, uint32_t name, bool pin);

/*
 * dns_pending.c: queries that wait for their answers. `first` points to the flow's index of its
 * first one.
 */
static inline struct sl_query *sl_dns_pending_at(const struct sl_worker *worker, uint32_t index)
{
	return sl_pool_at(&worker->queries, index);
}

/*
 * Adds a query that the policy allows; the caller fills in `sent`, then calls sl_dns_pending_sent.
 * 0: as many of the sandbox's queries wait as it may ask in a second, or a memory limit is reached.
 */
uint32_t sl_dns_pending_make(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_flow *flow, uint32_t *first,
                             const struct sl_dns_query *asked);
void sl_dns_pending_sent(struct sl_worker *worker, uint32_t index);

/* Finds the same query of the same client, if it is still pending. 0: none. */
uint32_t sl_dns_pending_find(const struct sl_worker *worker, const struct sl_flow *flow,
                             const struct sl_dns_query *asked);

/* The flow's next query that left under this id, after `after` (0: from the first). 0: none. */
uint32_t sl_dns_pending_with_id(const struct sl_worker *worker, const struct sl_flow *flow,
                                uint16_t id, uint32_t after);

/* Call when the query was found allowed and sent again. */
void sl_dns_pending_renew(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                          uint32_t index);

/* True if the policy, which may have changed since, still allows the name. */
bool sl_dns_pending_allowed(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                            struct sl_query *query);

void sl_dns_pending_free(struct sl_worker *worker, uint32_t *first, uint32_t index);
void sl_dns_pending_free_all(struct sl_worker *worker, uint32_t *first);
void sl_dns_pending_timeouts(struct sl_worker *worker);

/*
 * Counts one DNS message of the sandbox, of any kind: false if it is over the limit
 * (`limits.dns-queries-per-sandbox`).
 */
static inline bool sl_dns_may_ask(struct sl_worker *worker, uint16_t vlan)
{
	return sl_rate_take(&worker->vlans[vlan].asks, worker->now_us,
	                    worker->settings->dns_queries_per_sandbox);
}

/* True if sl_dns_may_ask would return true now. */
static inline bool sl_dns_could_ask(const struct sl_worker *worker, uint16_t vlan)
{
	struct sl_bucket_rate look = worker->vlans[vlan].asks;

	return sl_rate_take(&look, worker->now_us, worker->settings->dns_queries_per_sandbox);
}

/*
 * True if the address is still a resolver for this sandbox: each message is judged, the flow has
 * no name.
 */
bool sl_dns_allows(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                   const struct sl_flow *flow, const struct sl_addr *remote,
                   const struct sl_address *address, enum sl_reason *reason);

extern const struct sl_watcher sl_dns_udp_watcher, sl_dns_tcp_watcher;

bool sl_dns_create(struct sl_worker *worker);
void sl_dns_destroy(struct sl_worker *worker);

/*
 * dns_tcp.c: the connection. Its offsets count from tcp.base, which moves on as the server
 * acknowledges: acked <= tcp.released <= tcp.stream.contiguous <= tcp.stream.end.
 */
struct sl_dns_stream {
	struct sl_deadline deadline; /* in worker->dns_streams_timed, if timed */
	struct sl_strict tcp;
	struct sl_stream out; /* what is sent instead of tcp.stream, up to tcp.released */
	uint32_t pending;     /* queries that wait for answers */
	bool timed;           /* bytes are on hold */
	bool open;    /* its address needs no name any more: only `out` remains to be delivered */
	bool limited; /* the sandbox is over its limit: the next message waits */
	bool counted; /* a message was counted, */
	uint32_t counted_at; /* whose first byte has this number */
	uint32_t acked;
	/* the other direction */
	uint32_t server_next; /* the number of the server's next byte for the sandbox */
	uint16_t answer_bytes;
	uint16_t answer_have;
	uint8_t prefix_have;
	bool answer_skipped; /* no memory for this answer: it pins nothing */
	bool answers_lost;   /* a length prefix was invalid: no more answers are read */
	struct sl_stream answer;
};

static inline struct sl_dns_stream *sl_dns_stream_of(const struct sl_worker *worker,
                                                     const struct sl_flow *flow)
{
	return sl_pool_at(&worker->dns_streams, *sl_watch_kept(worker, flow, SL_WATCH_DNS_TCP));
}

/* dns_tcp_judge.c: judges messages. */

/*
 * Judges the messages that are complete now and sends them, or ends the flow. False: the flow is
 * refused or has ended.
 */
bool sl_dns_tcp_judge(struct sl_worker *worker, struct sl_flow *flow);

/* Reads the server's bytes, in order, for pins. */
void sl_dns_tcp_answers(struct sl_worker *worker, struct sl_flow *flow, const uint8_t *bytes,
                        uint32_t len);

/* dns_tcp_send.c: segments made from the copy. */

/*
 * Sends [from, upto) of `out` to the server; the last of its frames counts as `weight` packets on
 * hold. False: not all of it was sent.
 */
bool sl_dns_tcp_send(struct sl_worker *worker, const struct sl_flow *flow, uint32_t from,
                     uint32_t upto, unsigned weight);

/* Sends a FIN after everything that was released. */
void sl_dns_tcp_send_fin(struct sl_worker *worker, const struct sl_flow *flow);

/*
 * Sends the sandbox a last DNS message (NULL: a reset instead) in answer to the bytes before the
 * stream offset `upto`, and closes the connection to it; resets the server.
 */
void sl_dns_tcp_close_both(struct sl_worker *worker, struct sl_flow *flow, const uint8_t *msg,
                           uint16_t len, uint32_t upto, struct sl_charge charge);

#endif
