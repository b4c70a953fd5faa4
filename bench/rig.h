/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig.h: one worker with a policy, as benches need it: mock clock or TSC, any ports.
 */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include <stdbool.h>

#include "document/config.h"
#include "document/policy.h"
#include "reload/reload.h"
#include "sluice/settings.h"
#include "sluice/worker.h"

struct rte_mempool;

struct rig {
	struct sl_config config;
	struct sl_settings settings;
	struct sl_publication publication;
	struct sl_reload *reload;
	struct rte_ring *events;
	struct sl_worker *worker;
	uint64_t mock_us;               /* the clock, if mock */
	uint64_t start_tsc, us_per_tsc; /* scaled by 2^32 */
};

struct rig_options {
	const char *policy; /* YAML text */
	struct rte_mempool *pool;
	struct sl_port_io port[SL_PORT_COUNT];
	uint32_t flows;         /* room in the flow table, but for a million at least */
	uint32_t flows_exactly; /* not 0: for exactly this many */
	uint32_t idle_s; /* not 0: UDP flows and TCP connections that are opening expire after it */
	bool mock_clock, events;
};

/* Ends the program with a message if anything is refused. The EAL is up. */
void rig_create(struct rig *rig, const struct rig_options *options);

/* Throws away the events that the worker wrote; returns how many there were. */
unsigned rig_drain_events(struct rig *rig);

void __attribute__((noreturn)) rig_die(const char *what);

#endif
