/*
 * memory.c: how much of it a config needs.
 *
 * Decides generously: without hugepages it is address space until it is used, and with them what is
 * short ends a start, not a running gateway.
 */
#include "memory.h"

#include "config.h"
#include "ports.h"

#define MIB (1024ull * 1024)
#define TABLES_MIB                                                                                 \
	1024 /* address tables of both sides of a generation, their copies, qsbr, rings */
#define FLOW_BYTES  320  /* hot, cold, hash slot, name */
#define PIN_BYTES   192  /* pin, address, buckets */
#define MBUF_BYTES  256  /* beside the data room: the mbuf itself, the pool's header */
#define WORKER_MIB  64   /* counters, buffers, transient tables */
#define HELD_PACKET 1024 /* bytes of a held packet: most are larger */

uint32_t sl_memory_mbufs(const struct sl_config *config)
{
	uint64_t held = config->limits.held_bytes / HELD_PACKET;

	if (config->machine.mbufs != 0)
		return config->machine.mbufs;
	return (uint32_t)(sl_ports_mbufs(config, config->workers.count) + held);
}

uint32_t sl_memory_mib(const struct sl_config *config)
{
	uint64_t bytes = (uint64_t)sl_memory_mbufs(config) *
	                 (sl_ports_data_room(config) + (uint64_t)MBUF_BYTES);

	bytes += (uint64_t)config->limits.flows * FLOW_BYTES;
	bytes += (uint64_t)config->limits.pins * PIN_BYTES;
	bytes += config->limits.held_bytes;
	return (uint32_t)(bytes / MIB) + TABLES_MIB + WORKER_MIB * config->workers.count;
}
