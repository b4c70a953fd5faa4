/*
 * quic.c: QUIC under rule 3. Until its Initials are read here, none is believed to be QUIC.
 *
 * Settles with: not-quic.
 */
#include "stages.h"

bool sl_quic_create(struct sl_worker *worker)
{
	return true;
}

void sl_quic_destroy(struct sl_worker *worker)
{
}

void sl_quic_first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	sl_verdict_refuse(worker, pkt, SL_REASON_NOT_QUIC, NULL);
}

void sl_quic_walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	sl_verdict_refuse(worker, pkt, SL_REASON_NOT_QUIC, NULL);
}

void sl_quic_end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
}

void sl_quic_timeouts(struct sl_worker *worker)
{
}

void sl_quic_open_up(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
}
