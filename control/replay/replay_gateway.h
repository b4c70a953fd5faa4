/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_gateway.h: the gateway without ports: one worker, fed packet by packet, and a clock that
 * is the capture's.
 */
#ifndef SLUICE_CONTROL_REPLAY_GATEWAY_H
#define SLUICE_CONTROL_REPLAY_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/stats.h"

struct sl_config;
struct sl_diag;
struct sl_events;
struct sl_frame_file;
struct sl_replay_gateway;
struct sl_totals;

struct sl_replay_params {
	const struct sl_config *config; /* outlives the gateway */
	const char *policy;             /* path */
	bool checksums_ignore;
	struct sl_events *events;                  /* or NULL */
	struct sl_frame_file *left[SL_PORT_COUNT]; /* or NULL */
};

/*
 * Starts the EAL (once in a process) and loads the policy. Returns NULL with errors in diag, or
 * with a message in err if the cause is not in a document.
 */
struct sl_replay_gateway *sl_replay_gateway_create(const struct sl_replay_params *params,
                                                   struct sl_diag *diag, char *err,
                                                   size_t err_size);

/*
 * A frame arrives at that time, after everything that was due before it. Time never goes back: an
 * earlier time counts as the latest one. Returns 0 or -ENOMEM.
 */
int sl_replay_gateway_feed(struct sl_replay_gateway *gateway, enum sl_port_id port,
                           uint64_t time_us, const uint8_t *frame, size_t len);

/* Lets the clock run on until nothing is held. False if packets are still held after that. */
bool sl_replay_gateway_finish(struct sl_replay_gateway *gateway);

void sl_replay_gateway_totals(const struct sl_replay_gateway *gateway, struct sl_totals *totals);

/* Gives everything back; the events and files stay the caller's. NULL is fine. */
void sl_replay_gateway_free(struct sl_replay_gateway *gateway);

/* The port's `native-vlan` in the config, which is untagged there; 0: none. */
uint16_t sl_replay_gateway_native_vlan(const struct sl_replay_gateway *gateway,
                                       enum sl_port_id port);

#endif
