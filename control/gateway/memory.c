/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c: how much memory a config needs.
 *
 * The estimate is generous: without hugepages memory is only address space until it is used, and
 * with hugepages a shortage must stop the start, not a running gateway. Flows, holds and pins are
 * not counted: their tables are the workers' own and not part of DPDK's memory.
 */
#include "memory.h"

#include "document/config.h"
#include "ports.h"

#define MIB (1024ull * 1024)

/*
 * Cost of one copy of the address tables: 64 MiB for each family, and for each prefix and
 * second-level table.
 */
#define COPY_MIB     132
#define PREFIX_BYTES 896
#define TBL8_BYTES   1024
#define TABLES_SPARE 192 /* DPDK takes memory in large pieces */

#define WORKER_MIB 16   /* rings of events and frames */
#define MBUF_BYTES 256  /* besides the data room: the mbuf itself, the pool's header */
#define MADE_MBUFS 2048 /* frames that the gateway makes, and copies that it judges */

uint32_t sl_memory_mbufs(const struct sl_config *config)
{
	if (config->machine.mbufs != 0)
		return config->machine.mbufs;
	return sl_ports_mbufs(config, config->workers.count) + MADE_MBUFS;
}

/* There are two copies: one is changed while workers read the other. */
static uint32_t tables_mib(const struct sl_config *config)
{
	uint64_t bytes = (uint64_t)config->tables.prefixes * PREFIX_BYTES +
	                 ((uint64_t)config->tables.tbl8_4 + config->tables.tbl8_6) * TBL8_BYTES;

	return 2 * (COPY_MIB + (uint32_t)(bytes / MIB)) + TABLES_SPARE;
}

uint32_t sl_memory_mib(const struct sl_config *config)
{
	uint64_t bytes = (uint64_t)sl_memory_mbufs(config) *
	                 (sl_ports_data_room(config) + (uint64_t)MBUF_BYTES);

	return (uint32_t)(bytes / MIB) + tables_mib(config) + WORKER_MIB * config->workers.count;
}
