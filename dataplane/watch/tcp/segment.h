/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h: TCP segments of connections of which the gateway keeps a copy: reads their numbers,
 * and builds new ones from the copy, in the client's name.
 */
#ifndef DATAPLANE_SEGMENT_H
#define DATAPLANE_SEGMENT_H

#include <rte_tcp.h>

#include "packet/build.h"
#include "stream.h"

#define SL_SEGMENT_MAX        1440 /* fits an Ethernet frame with IPv6; less if there are timestamps */
#define SL_SEGMENT_MIN        88u /* a valid MSS is not smaller (RFC 9293 3.7.1) */
#define SL_SEGMENT_TIMESTAMPS 12  /* bytes of the option, padded */

static inline const struct rte_tcp_hdr *sl_segment_tcp(const struct sl_pkt *pkt)
{
	return sl_pkt_at(pkt, const struct rte_tcp_hdr, pkt->l4_off);
}

static inline uint32_t sl_segment_seq(const struct sl_pkt *pkt)
{
	return rte_be_to_cpu_32(sl_segment_tcp(pkt)->sent_seq);
}

static inline uint32_t sl_segment_ack(const struct sl_pkt *pkt)
{
	return rte_be_to_cpu_32(sl_segment_tcp(pkt)->recv_ack);
}

static inline bool sl_segment_has(const struct sl_pkt *pkt, uint8_t flag)
{
	return (pkt->tcp_flags & flag) != 0;
}

/* Fields of the client's latest segment, which segments made in its name repeat. */
struct sl_segment_client {
	uint32_t ack;
	uint16_t window;
	bool has_timestamps;
	uint32_t ts_value;
	uint32_t ts_echo;
};

/* Removes the first n bytes of the payload; n is at most its length. */
void sl_segment_skip(struct sl_pkt *pkt, uint32_t n);

/* The option as it is written into a segment: two NOPs, then the two clocks (RFC 7323 3.2). */
void sl_segment_timestamps(const struct sl_segment_client *client,
                           uint8_t out[SL_SEGMENT_TIMESTAMPS]);

void sl_segment_remember(struct sl_segment_client *client, const struct sl_pkt *pkt);

/*
 * Sends the server one segment in the client's name, with this sequence number: the bytes [from,
 * from + n) of the stream, which the copy must have; n may be 0. ACK is set, other flags are as
 * given. False if there is no memory.
 */
bool sl_segment_send(struct sl_worker *worker, const struct sl_flow *flow,
                     const struct sl_segment_client *client, uint8_t flags, uint32_t seq,
                     const struct sl_stream *stream, uint32_t from, uint32_t n,
                     struct sl_charge charge);

#endif
