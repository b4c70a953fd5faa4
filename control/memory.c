/*
 * memory.c: how much of it a config needs.
 *
 * Decides generously: without hugepages it is address space until it is used, and with them what is
 * short ends a start, not a running gateway. Flows, holds and pins are not in it: their tables are
 * the workers' own and no part of DPDK's memory.
 */
#include "memory.h"

#include "config.h"
#include "ports.h"

#define MIB (1024ull * 1024)

/* Both sides of rte_fib (68 MiB each), of rte_fib6 (80 MiB), and their prefixes. */
#define TABLES_MIB 512

#define WORKER_MIB 16   /* rings of events and frames */
#define MBUF_BYTES 256  /* beside the data room: the mbuf itself, the pool's header */
#define MADE_MBUFS 2048 /* frames that the gateway makes, and copies that it judges */

uint32_t sl_memory_mbufs(const struct sl_config *config)
{
	if (config->machine.mbufs != 0)
		return config->machine.mbufs;
	return sl_ports_mbufs(config, config->workers.count) + MADE_MBUFS;
}

uint32_t sl_memory_mib(const struct sl_config *config)
{
	uint64_t bytes = (uint64_t)sl_memory_mbufs(config) *
	                 (sl_ports_data_room(config) + (uint64_t)MBUF_BYTES);

	return (uint32_t)(bytes / MIB) + TABLES_MIB + WORKER_MIB * config->workers.count;
}
