/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_clean.h: which fields and options of a TCP header may leave before the connection is judged
 * (spec section 3).
 */
#ifndef DATAPLANE_TCP_CLEAN_H
#define DATAPLANE_TCP_CLEAN_H

#include "core/pkt.h"

/* A segment's options. */
struct sl_tcp_options {
	uint16_t mss;   /* 0: none */
	uint8_t wscale; /* 0 also if there is none */
	bool has_wscale;
	bool has_timestamps;
	uint32_t ts_value;
	uint32_t ts_echo;
};

/* Reads the options; false if their lengths are invalid. */
bool sl_tcp_options_read(const struct sl_pkt *pkt, struct sl_tcp_options *out);

/*
 * Rewrites a segment in place: the payload is cut off, options other than MSS, window scale, SACK
 * and timestamps become NOP, reserved bits, an unused urgent pointer and the acknowledgement number
 * of a segment without ACK become zero. Checksums are recomputed. False: the options are invalid.
 */
bool sl_tcp_clean(struct sl_pkt *pkt);

#endif
