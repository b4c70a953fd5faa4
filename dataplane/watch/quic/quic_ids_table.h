/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_ids_table.h: the workers' interface to the table of used connection IDs
 * (include/sluice/quic_ids.h).
 *
 * An element belongs to the worker that took it, and only that worker accesses the owner's fields;
 * the table's fields are written under the lock of the bucket, and read by all. Any thread may call
 * any of the functions. A call waits at most for a few memory accesses of another worker. Calls are
 * rare: when a first hello was judged, when a server has answered, and when an ID expires.
 */
#ifndef DATAPLANE_QUIC_IDS_TABLE_H
#define DATAPLANE_QUIC_IDS_TABLE_H

#include "core/deadline.h"
#include "wire/quic_crypto.h"
#include "sluice/quic_ids.h"

struct sl_quic_id {
	/* the owner's fields */
	struct sl_deadline deadline;
	uint32_t flow; /* index of the flow that used it, and its key */
	struct sl_key key;
	/* the table's fields */
	uint32_t chain; /* the next one of the bucket; 0: none */
	bool listed;
	uint8_t len;
	uint8_t cid[SL_QUIC_CID_MAX];
};

/* The pool of the elements, for lists of deadlines. */
struct sl_pool *sl_quic_ids_pool(struct sl_quic_ids *ids);

static inline struct sl_quic_id *sl_quic_ids_at(struct sl_quic_ids *ids, uint32_t index)
{
	return sl_pool_at(sl_quic_ids_pool(ids), index);
}

/*
 * Takes an element that has no ID yet. 0 if there is none left; the last tenth is for those of
 * `few`, whose sandbox has less than an even share.
 */
uint32_t sl_quic_ids_take(struct sl_quic_ids *ids, bool few);

/*
 * Lists an element under an ID (len <= SL_QUIC_CID_MAX). False, without a change, if the ID is
 * listed.
 */
bool sl_quic_ids_list(struct sl_quic_ids *ids, uint32_t index, const uint8_t *cid, uint8_t len);

/*
 * True if an element is listed under this ID. Another worker may list one before the caller sees
 * the result.
 */
bool sl_quic_ids_has(struct sl_quic_ids *ids, const uint8_t *cid, uint8_t len);

/* Frees an element, and its ID if it has one. */
void sl_quic_ids_give(struct sl_quic_ids *ids, uint32_t index);

#endif
