/*
 * dns_tcp.c: DNS over TCP. Nothing is let out over it here: a SYN to port 53 of a resolver is
 * refused.
 *
 * Settles with: protocol-not-allowed.
 */
#include "dns.h"

void sl_dns_tcp_first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	sl_verdict_refuse(worker, pkt, SL_REASON_PROTOCOL_NOT_ALLOWED, NULL);
}

void sl_dns_tcp_walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	sl_pkt_drop(pkt, SL_REASON_PROTOCOL_NOT_ALLOWED);
}

void sl_dns_tcp_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
}

void sl_dns_tcp_timeouts(struct sl_worker *worker)
{
}
