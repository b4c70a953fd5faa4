/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames.h: frames for benches: N flows over V VLANs to addresses that a policy allows, denies, or
 * does not know.
 */
#ifndef BENCH_FRAMES_H
#define BENCH_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_ROOM 1536

struct frames_spec {
	unsigned flows;
	unsigned vlans; /* VLANs 1 .. vlans */
	bool ipv6;
	bool imix; /* 7 of 64, 4 of 594, 1 of 1518 bytes, FCS included; else 64 */
	bool tcp;  /* TCP with ACK; else UDP */
	uint8_t tcp_flags;
	unsigned first_vlan;
	uint32_t remote4;    /* the first remote address, host order: 198.51.0.0 and on */
	unsigned first_flow; /* flows are numbered from here: other numbers are other flows */
};

struct frame {
	uint16_t len;
	uint8_t bytes[FRAME_ROOM];
};

/* Writes the frame of flow number i, from the sandbox (or from the uplink). Returns its length. */
uint16_t frames_write(const struct frames_spec *spec, unsigned i, bool from_uplink, uint8_t *out);

/*
 * Steps of this length visit each of count frames once in a round, and never two neighbours in a
 * row: in the order in which flows were opened their memory would be read sequentially, unlike in
 * real traffic.
 */
unsigned frames_stride(unsigned count);

/* Writes spec->flows frames in shuffled order to a capture file. Returns 0 or -errno. */
int frames_capture(const struct frames_spec *spec, const char *path);

/* A matching policy: `vlans` sandboxes of a mode, and `prefixes` unrelated prefixes. */
char *frames_policy(unsigned vlans, const char *mode, unsigned prefixes);

#endif
