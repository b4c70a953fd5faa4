/*
 * dns.h: what the files of DNS judgement share: dns.c (gate, judgement, timeouts), dns_udp.c,
 * dns_tcp.c. Others know only what stages.h declares.
 */
#ifndef DATAPLANE_DNS_H
#define DATAPLANE_DNS_H

#include "deadline.h"
#include "inspect/dns.h"
#include "stages.h"

#define SL_QUERIES_PER_FLOW 16
#define SL_MISMATCHES_MAX   8

/* A query that left and was not answered yet. Counted against the sandbox's `held-bytes`. */
struct sl_query {
	struct sl_deadline deadline; /* in worker->queries_open */
	uint32_t flow;               /* index */
	uint32_t flow_next;          /* the flow's next query, or 0; the first is in its `hold` */
	uint32_t name;               /* in the names table; holds a reference */
	uint32_t epoch;              /* of the sandbox, when the name was last found allowed */
	uint16_t client_id;
	uint8_t mismatches;
	struct sl_dns_case client_case;
	struct sl_dns_question sent; /* what an answer has to repeat */
};

enum sl_query_verdict {
	SL_QUERY_MALFORMED = 0, /* not one plain query: dropped in silence */
	SL_QUERY_REFUSED,       /* the policy has no pattern for the name */
	SL_QUERY_STRIPPED,      /* answered by the gateway: `strip-ech` */
	SL_QUERY_ALLOWED,
};

/* dns.c */

/* Judges a message from the sandbox; out is filled in unless it is malformed. */
enum sl_query_verdict sl_dns_judge(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                   const uint8_t *msg, size_t len, struct sl_dns_query *out);

/* True if the policy lets the sandbox ask for the name (canonical; empty: the root). */
bool sl_dns_name_allowed(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                         const char *name, size_t len);

struct sl_proof sl_dns_proof(const struct sl_dns_query *query);

/* Unpredictable bytes. False: there are none, and nothing may be sent that needs them. */
bool sl_dns_random(struct sl_worker *worker, void *out, size_t bytes);

/* The payload of a packet in one piece: in the mbuf, or copied to the worker's scratch. */
const uint8_t *sl_dns_payload(const struct sl_worker *worker, const struct sl_pkt *pkt);

/*
 * Reads an answer to `sent`, asked for `name`. DONE: the addresses it gives are pinned to the
 * name, if `pin`.
 */
enum sl_parse sl_dns_answer_pin(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                const uint8_t *msg, size_t len, const struct sl_dns_question *sent,
                                uint32_t name, bool pin);

/* dns_udp.c */
void sl_dns_udp_first(struct sl_worker *worker, struct sl_pkt *pkt);
void sl_dns_udp_walk(struct sl_worker *worker, struct sl_pkt *pkt);
void sl_dns_udp_end(struct sl_worker *worker, struct sl_flow *flow);
void sl_dns_udp_timeouts(struct sl_worker *worker);

/* dns_tcp.c */
void sl_dns_tcp_first(struct sl_worker *worker, struct sl_pkt *pkt);
void sl_dns_tcp_walk(struct sl_worker *worker, struct sl_pkt *pkt);
void sl_dns_tcp_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);
void sl_dns_tcp_timeouts(struct sl_worker *worker);

#endif
