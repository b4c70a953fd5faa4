/* SPDX-License-Identifier: Apache-2.0 */
/* capture.h: recorded traffic, packet by packet, of any link type. */
#ifndef SLUICE_CONTROL_CAPTURE_H
#define SLUICE_CONTROL_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_capture;

/*
 * One packet. A frame that was recorded without an Ethernet header has no destination MAC, and
 * often no source MAC: the caller chooses them. What follows the MACs (tags, EtherType, payload)
 * is in body, as in an Ethernet frame.
 */
struct sl_capture_packet {
	uint64_t time_us;           /* since the Unix epoch */
	const uint8_t *dmac, *smac; /* 6 bytes each, or NULL */
	const uint8_t *body;        /* until the next call */
	size_t body_len;
	bool cut;      /* the capture has only a part of its bytes */
	bool is_frame; /* body is an Ethernet frame that is too short for its MACs */
};

/*
 * Opens a pcap or pcapng file of Ethernet, raw IP, Linux cooked (v1, v2) or BSD loopback frames;
 * "-" is standard input. Returns NULL and a message, which names the file, in err.
 */
struct sl_capture *sl_capture_open(const char *path, char *err, size_t err_size);

/*
 * The next packet. Returns 1; 0 at the end; -1 and a message, which names the file, in err if the
 * file is damaged from here on.
 */
int sl_capture_next(struct sl_capture *capture, struct sl_capture_packet *packet, char *err,
                    size_t err_size);

void sl_capture_close(struct sl_capture *capture);

#endif
