/*
 * stages.h: the stages of the packet's walk, in their order (pipeline.c), and the parts of the slow
 * walk that one packet takes alone.
 */
#ifndef DATAPLANE_STAGES_H
#define DATAPLANE_STAGES_H

#include "packet/build.h"
#include "flow/nexthop.h"
#include "core/state.h"
#include "flow/verdict.h"

/* sandbox.c: whose packet it is. Hands frames of other workers' sandboxes over. */
void sl_sandbox(struct sl_worker *worker);

/* True if the sandbox may send from this address. */
bool sl_sandbox_owns(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const struct sl_addr *addr);

/* neighbour.c: settles ARP and NDP. True if the packet was one of these. */
bool sl_neighbour(struct sl_worker *worker, struct sl_pkt *pkt);

/* subnet.c: addresses. */
struct sl_address {
	enum sl_subnet own; /* what the policy's subnets say */
	enum sl_space space;
};

/* Classes of the remote addresses of all open packets from the sandbox that have no flow. */
void sl_subnet_classify(struct sl_worker *worker);

/* What the sandbox's policy says of the remote address of a packet. */
void sl_subnet_look_pkt(const struct sl_worker *worker, struct sl_pkt *pkt, struct sl_addr *remote,
                        struct sl_address *out);

/* The class of one address. */
uint32_t sl_subnet_class(const struct sl_worker *worker, const struct sl_addr *addr);

void sl_subnet_look(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                    const struct sl_addr *addr, uint32_t class, struct sl_address *out);

/*
 * Judges an address by rules 1, 2 and 4 of the policy. Returns an allow reason, a deny reason, or
 * NONE: rule 3, the connection must prove an allowed name.
 */
enum sl_reason sl_subnet_judge(const struct sl_sandbox *sandbox, const struct sl_address *address);

/* flow.c: finds, opens and closes flows. */
void sl_flow_find(struct sl_worker *worker); /* stage */

/*
 * Opens a flow for a packet from the sandbox. NULL if a limit is reached (the packet is then
 * refused with flow-limit). The flow has no verdict yet.
 */
struct sl_flow *sl_flow_open(struct sl_worker *worker, struct sl_pkt *pkt,
                             const struct sl_key *key);

/* Ends a flow and gives back all that hangs on it; packets on hold count under `reason`. */
void sl_flow_close(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason);

/* Sets when a flow expires, by its protocol and state. */
void sl_flow_touch(struct sl_worker *worker, struct sl_flow *flow);

/* Ends a TCP flow by verdict: what still comes of it is refused with this reason and reset. */
void sl_flow_refuse(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason,
                    const struct sl_proof *proof);

/* Settles a packet of a plain TCP flow (one that nobody looks into). */
void sl_flow_tcp(struct sl_worker *worker, struct sl_pkt *pkt);

/* Settles a packet of a known flow, slowly. False: the flow is gone, the packet is a first one. */
bool sl_flow_walk(struct sl_worker *worker, struct sl_pkt *pkt);

/* True if the packet may pass with no further look; then it is settled. */
static inline bool sl_flow_fast(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	const uint8_t control = 0x01 | 0x02 | 0x04; /* FIN, SYN, RST */

	if (flow->fast_epoch != pkt->sandbox->epoch || sl_due(worker, flow->expires_ms))
		return false;
	if (pkt->proto == 6) {
		const uint8_t *tcp;
		uint32_t seq, ack;

		if ((pkt->tcp_flags & (control | 0x10)) != 0x10) /* ACK, and no other of these */
			return false;
		tcp = sl_pkt_at(pkt, const uint8_t, pkt->l4_off);
		memcpy(&ack, tcp + 8, sizeof(ack));
		flow->ack[sl_flow_side(pkt)] = rte_be_to_cpu_32(ack);
		if (pkt->in_port == SL_PORT_SANDBOX) {
			memcpy(&seq, tcp + 4, sizeof(seq));
			sl_flow_sent(flow, rte_be_to_cpu_32(seq) + pkt->payload_len);
		}
		flow->expires_ms = worker->now_ms + worker->settings->tcp_established_ms;
	} else {
		flow->expires_ms = worker->now_ms + worker->settings->udp_ms;
	}
	if (flow->reason == SL_REASON_DOMAIN_ALLOWED) {
		if (pkt->in_port == SL_PORT_SANDBOX) {
			sl_nexthop_raise(pkt);
			sl_nexthop_steer(worker, pkt);
		} else {
			sl_nexthop_heard(worker, pkt);
		}
	}
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
	return true;
}

/* first.c: a packet that belongs to no flow. Settles it. */
void sl_first_packet(struct sl_worker *worker, struct sl_pkt *pkt);

/* flow_rejudge.c: what a newer generation says of a flow. */

/*
 * Judges a flow by the present generation, with the name it proved. False: it is cut (resets are
 * sent, its packets are refused from now on).
 */
bool sl_flow_rejudge(struct sl_worker *worker, struct sl_flow *flow);

/*
 * Sets up the sweep for a generation that is new to the worker, before a packet meets it: what
 * belonged to sandboxes that are gone is not their successors'.
 */
void sl_flow_begin_sweep(struct sl_worker *worker);

/* Judges again the flows of sandboxes whose epoch changed, some at a time. */
void sl_flow_sweep(struct sl_worker *worker, unsigned budget);

/* flow_age.c: expires what is due, some at a time (all of the table if `all`). */
void sl_flow_age(struct sl_worker *worker, bool all);

/* fragment.c, icmp.c: settle one packet. */
void sl_fragment(struct sl_worker *worker, struct sl_pkt *pkt);
bool sl_icmp(struct sl_worker *worker, struct sl_pkt *pkt); /* false: not ICMP, or as any flow */

/*
 * dns.c: DNS under rule 3 and, to configured resolvers, under allow-all (spec section 4).
 */
enum sl_dns_gate {
	SL_DNS_REFUSED_HERE = 0, /* *reason says why */
	SL_DNS_GATED,            /* DNS to a resolver: every message is judged */
	SL_DNS_NOT_GATED,        /* the address is judged as any other */
};

/* What port 53 at this address is to this sandbox; UDP and TCP. */
enum sl_dns_gate sl_dns_gate(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_addr *remote, const struct sl_address *address,
                             enum sl_reason *reason);

/*
 * Answers a refused packet from the sandbox as a DNS server would (`dns.refuse`), if it is a UDP
 * query to port 53. False: it is not, nothing was sent. The caller minds the answers' limit.
 */
bool sl_dns_refusal(struct sl_worker *worker, const struct sl_pkt *pkt);

/* pins.c: which name's DNS answer gave which address to which sandbox. */
bool sl_pins_create(struct sl_worker *worker, uint32_t capacity);
void sl_pins_destroy(struct sl_worker *worker);

/* True if pinning is to be obeyed or logged for this sandbox (false for `*`, off, any resolver). */
bool sl_pins_apply(const struct sl_worker *worker, const struct sl_sandbox *sandbox);

/* True if a live pin ties the address to a name that the sandbox's policy allows now. */
bool sl_pins_open(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                  const struct sl_addr *addr);

/*
 * True if a live pin ties the address to this name, which a connection has shown: it opens a flow,
 * and lives as long again from now on (a program resolves once and connects for hours).
 */
bool sl_pins_tie(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                 const struct sl_addr *addr, const char *name, size_t len);

/* A DNS answer gave this address to this name. ttl in seconds, as the answer says. */
void sl_pins_add(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                 const struct sl_addr *addr, const char *name, size_t len, uint32_t ttl_s);

/*
 * Forgets the pins of a VLAN that was removed or given to another sandbox, but not those that the
 * sandbox that it is now has got already: nobody finds the old ones any more, so that there is
 * time. Takes one off the budget for each. False: the budget did not suffice.
 */
bool sl_pins_forget(struct sl_worker *worker, uint16_t vlan, unsigned *budget);

/* Gives expired pins back, some at a time. */
void sl_pins_sweep(struct sl_worker *worker);

/* strict_own.c: deliveries that are the gateway's, of connections under judgement. Setup; each
 * turn. */
bool sl_strict_create(struct sl_worker *worker);
void sl_strict_destroy(struct sl_worker *worker);
void sl_strict_timeouts(struct sl_worker *worker); /* sends again what the server lacks */

/*
 * Judges a name that a hello proved, for a flow to this address: pattern, then pin. Returns
 * SL_REASON_DOMAIN_ALLOWED or a deny reason.
 */
enum sl_reason sl_judge_name(struct sl_worker *worker, const struct sl_flow *flow,
                             const struct sl_proof *proof);

/* True if the sandbox's patterns match the name. */
bool sl_judge_allows(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const char *name, size_t len);

/*
 * The pin check of a SYN or first datagram under rule 3 (spec section 4). True if it may go on;
 * under `pinning: log` it always may, and what enforce would refuse is reported.
 */
bool sl_judge_pinned(struct sl_worker *worker, const struct sl_pkt *pkt);

/* reject.c: what a refused sandbox gets. */

/* ICMP administratively prohibited in answer to a packet from the sandbox. */
void sl_reject_icmp(struct sl_worker *worker, const struct sl_pkt *pkt);

/* True if one more answer to this sandbox may be made now; counts it if not. */
bool sl_reject_may_answer(struct sl_worker *worker, uint16_t vlan);

/* RST to one side of a flow, with the numbers that side accepts. */
void sl_reject_reset(struct sl_worker *worker, const struct sl_flow *flow, enum sl_port_id out);

/* ICMP administratively prohibited to the sandbox about a flow, without a packet at hand. */
void sl_reject_flow_icmp(struct sl_worker *worker, const struct sl_flow *flow);

/* RST in answer to a TCP packet (RFC 9293 3.10.7.1). */
void sl_reject_tcp(struct sl_worker *worker, const struct sl_pkt *pkt);

/* pipeline.c: the packet's walk, for the packets in worker->pkts. */
void sl_pipeline_run(struct sl_worker *worker);

#endif
