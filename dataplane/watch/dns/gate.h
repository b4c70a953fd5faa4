/* SPDX-License-Identifier: Apache-2.0 */
/* gate.h: decides which packets are DNS that is judged message by message (spec section 4). */
#ifndef DATAPLANE_WATCH_DNS_GATE_H
#define DATAPLANE_WATCH_DNS_GATE_H

#include "core/state.h"
#include "judge/subnet.h"

/*
 * dns.c: DNS under rule 3 and, to configured resolvers, under allow-all (spec section 4).
 */
enum sl_dns_gate {
	SL_DNS_REFUSED_HERE = 0, /* *reason says why */
	SL_DNS_GATED,            /* DNS to a resolver: every message is judged */
	SL_DNS_NOT_GATED,        /* the address is judged like any other */
};

/* How port 53 of this address is handled for this sandbox; UDP and TCP. */
enum sl_dns_gate sl_dns_gate(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_addr *remote, const struct sl_address *address,
                             enum sl_reason *reason);

/*
 * Answers a refused packet from the sandbox as a DNS server would (`dns.refuse`), if it is a UDP
 * query to port 53. False: it is not, nothing was sent. The caller checks the limit of answers.
 */
bool sl_dns_refusal(struct sl_worker *worker, const struct sl_pkt *pkt);

#endif
