/* SPDX-License-Identifier: Apache-2.0 */
/* parse.h: parses a frame's bytes into a packet. Every length is checked here and nowhere else. */
#ifndef DATAPLANE_PARSE_H
#define DATAPLANE_PARSE_H

#include "core/state.h"

/* Fills in the packets of the burst from their frames; settles those that are malformed. */
void sl_parse(struct sl_worker *worker);

/*
 * Fills in one packet from any frame. False: it is malformed. Settles a packet that is tagged with
 * the native VLAN.
 */
bool sl_parse_whole(struct sl_worker *worker, struct sl_pkt *pkt);

/*
 * True if the transport checksum of the packet is good, or the port has verified it. Fragments
 * have none. Slow path only: it reads the whole packet.
 */
bool sl_parse_l4_checksum(struct sl_worker *worker, struct sl_pkt *pkt);

/*
 * Copies n payload bytes from `offset` (of the frame) into `to`, across the segments of the mbuf.
 */
void sl_parse_copy(const struct sl_pkt *pkt, uint32_t offset, uint32_t n, uint8_t *to);

#endif
