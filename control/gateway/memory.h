/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h: how much memory a config needs. */
#ifndef SLUICE_CONTROL_MEMORY_H
#define SLUICE_CONTROL_MEMORY_H

#include <stdint.h>

struct sl_config;

#define SL_MEMORY_CACHE_MBUFS 256 /* of each lcore */

/* Packet buffers: `mbufs`, or what queues, rings and held packets take. */
uint32_t sl_memory_mbufs(const struct sl_config *config);

/* MiB of DPDK's memory: what limits, tables and packet buffers take at most. */
uint32_t sl_memory_mib(const struct sl_config *config);

#endif
