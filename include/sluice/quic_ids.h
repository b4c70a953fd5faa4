/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * quic_ids.h: the table of QUIC connection IDs that were used, one for all workers: a server finds
 * a connection by its ID alone, whichever sandbox and so whichever worker a datagram comes from.
 *
 * Threads: create and free belong to control. Workers share the table by struct sl_worker_params.
 */
#ifndef SLUICE_QUIC_IDS_H
#define SLUICE_QUIC_IDS_H

#include <stdint.h>

struct sl_quic_ids;

/**
 * Reserves memory for this many connections, two IDs each; pages are touched only when used. NULL
 * if memory is short. Free it after the last worker that uses it; free(NULL) is fine.
 */
struct sl_quic_ids *sl_quic_ids_create(uint32_t connections);
void sl_quic_ids_free(struct sl_quic_ids *ids);

#endif
