/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_hold.c: the memory of QUIC connections, and their datagrams on hold: copies, so that a
 * sandbox cannot tie up the ports' buffers. Must never send a datagram that quic_judge.c did not
 * allow.
 */
#include "packet/send.h"
#include "packet/parse.h"
#include "quic.h"

bool sl_quic_create(struct sl_worker *worker)
{
	worker->quic_crypto = sl_quic_crypto_create();
	return worker->quic_crypto != NULL && sl_quic_cid_create(worker) &&
	       sl_pool_create(&worker->quics, sizeof(struct sl_quic_hold),
	                      (uint32_t)(worker->held_limit / sizeof(struct sl_quic_hold) + 1));
}

void sl_quic_destroy(struct sl_worker *worker)
{
	sl_quic_cid_destroy(worker);
	if (worker->quics.base != NULL)
		sl_pool_destroy(&worker->quics);
	sl_quic_crypto_free(worker->quic_crypto);
	worker->quic_crypto = NULL;
}

static uint32_t index_of(const struct sl_worker *worker, const struct sl_quic_hold *hold)
{
	return (uint32_t)(((const uint8_t *)hold - worker->quics.base) / sizeof(*hold));
}

void sl_quic_hold_untime(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	if (hold->timed)
		sl_deadline_remove(&worker->quics, &worker->quics_open, index_of(worker, hold));
	hold->timed = false;
}

void sl_quic_hold_time(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	sl_quic_hold_untime(worker, hold);
	sl_deadline_append(&worker->quics, &worker->quics_open, index_of(worker, hold),
	                   worker->now_ms + worker->settings->hello_timeout_ms);
	hold->timed = true;
}

struct sl_quic_hold *sl_quic_hold_make(struct sl_worker *worker, struct sl_flow *flow,
                                       const struct sl_quic_header *header)
{
	const size_t zeroed = offsetof(struct sl_quic_hold, flow);
	uint32_t *link = sl_watch_kept(worker, flow, SL_WATCH_QUIC), index;
	struct sl_quic_hold *hold;

	if (!sl_held_take(worker, flow->key.vlan, sizeof(*hold)))
		return NULL;
	index = sl_pool_get(&worker->quics);
	if (index == 0) {
		sl_held_give(worker, flow->key.vlan, sizeof(*hold));
		return NULL;
	}
	hold = sl_quic_hold_at(worker, index);
	memset((uint8_t *)hold + zeroed, 0, sizeof(*hold) - zeroed);
	hold->flow = sl_flow_index(&worker->table, flow);
	hold->scid_len = header->scid_len;
	memcpy(hold->scid, header->scid, sizeof(hold->scid));
	/*
	 * Both versions are known, so this can only fail inside libcrypto: then no packet opens.
	 */
	(void)sl_quic_conn_init(worker->quic_crypto, &hold->conn, header->version, header->dcid,
	                        header->dcid_len);
	while (*link != 0)
		link = &sl_quic_hold_at(worker, *link)->next;
	*link = index;
	sl_quic_hold_time(worker, hold);
	return hold;
}

static void frame_free(struct sl_worker *worker, uint16_t vlan, struct sl_quic_frame *frame)
{
	while (frame->piece != 0) {
		uint32_t index = frame->piece;

		frame->piece = ((struct sl_quic_piece *)sl_pool_at(&worker->chunks, index))->next;
		sl_pool_put(&worker->chunks, index);
		sl_held_give(worker, vlan, sizeof(struct sl_stream_chunk));
	}
}

void sl_quic_hold_drop(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason)
{
	uint16_t vlan = sl_quic_hold_flow(worker, hold)->key.vlan;

	sl_count(worker, vlan, reason, hold->frame_count);
	worker->stats->held -= hold->frame_count;
	for (unsigned i = 0; i < hold->frame_count; i++)
		frame_free(worker, vlan, &hold->frames[i]);
	hold->frame_count = 0;
	hold->dgrams = 0;
}

struct sl_quic_mark *sl_quic_hold_marks(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	uint16_t vlan = sl_quic_hold_flow(worker, hold)->key.vlan;

	if (hold->marks == 0) {
		if (!sl_held_take(worker, vlan, sizeof(struct sl_stream_chunk)))
			return NULL;
		hold->marks = sl_pool_get(&worker->chunks);
		if (hold->marks == 0) {
			sl_held_give(worker, vlan, sizeof(struct sl_stream_chunk));
			return NULL;
		}
	}
	return sl_pool_at(&worker->chunks, hold->marks);
}

static void marks_free(struct sl_worker *worker, struct sl_quic_hold *hold)
{
	if (hold->marks == 0)
		return;
	sl_pool_put(&worker->chunks, hold->marks);
	sl_held_give(worker, sl_quic_hold_flow(worker, hold)->key.vlan,
	             sizeof(struct sl_stream_chunk));
	hold->marks = 0;
	hold->mark_count = 0;
}

void sl_quic_hold_seal(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason)
{
	sl_quic_hold_drop(worker, hold, reason);
	sl_quic_hold_untime(worker, hold);
	sl_stream_free(worker, sl_quic_hold_flow(worker, hold)->key.vlan, &hold->hello);
	marks_free(worker, hold);
	hold->sealed = true;
}

void sl_quic_hold_free(struct sl_worker *worker, struct sl_quic_hold *hold, enum sl_reason reason)
{
	struct sl_flow *flow = sl_quic_hold_flow(worker, hold);
	uint32_t *link = sl_watch_kept(worker, flow, SL_WATCH_QUIC), index = index_of(worker, hold);

	sl_quic_hold_drop(worker, hold, reason);
	sl_stream_free(worker, flow->key.vlan, &hold->hello);
	marks_free(worker, hold);
	sl_quic_cid_release(worker, hold);
	sl_quic_hold_untime(worker, hold);
	while (*link != index)
		link = &sl_quic_hold_at(worker, *link)->next;
	*link = hold->next;
	sl_pool_put(&worker->quics, index);
	sl_held_give(worker, flow->key.vlan, sizeof(*hold));
}

static unsigned stream_chunks(const struct sl_stream *stream)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SL_STREAM_CHUNKS; i++)
		n += stream->chunk[i] != 0;
	return n;
}

/* The memory of all connections of a flow, in bytes. */
static uint64_t flow_bytes(const struct sl_worker *worker, const struct sl_flow *flow)
{
	const struct sl_quic_hold *hold = sl_quic_hold_of(worker, flow);
	uint64_t bytes = 0;

	for (; hold != NULL; hold = sl_quic_hold_at(worker, hold->next)) {
		bytes += sizeof(*hold) + (stream_chunks(&hold->hello) + (hold->marks != 0)) *
		                                 sizeof(struct sl_stream_chunk);
		for (unsigned i = 0; i < hold->frame_count; i++)
			bytes += hold->frames[i].len;
	}
	return bytes;
}

static struct sl_quic_piece *piece_add(struct sl_worker *worker, uint16_t vlan, uint32_t *link)
{
	struct sl_quic_piece *piece;

	if (!sl_held_take(worker, vlan, sizeof(struct sl_stream_chunk)))
		return NULL;
	*link = sl_pool_get(&worker->chunks);
	if (*link == 0) {
		sl_held_give(worker, vlan, sizeof(struct sl_stream_chunk));
		return NULL;
	}
	piece = sl_pool_at(&worker->chunks, *link);
	piece->next = 0;
	return piece;
}

bool sl_quic_hold_keep(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_quic_hold *hold)
{
	struct sl_quic_frame *frame = &hold->frames[hold->frame_count];
	uint32_t *link = &frame->piece, done = 0;

	if (hold->frame_count == SL_QUIC_FRAMES_MAX ||
	    flow_bytes(worker, pkt->flow) + pkt->end > worker->settings->held_bytes_per_flow)
		return false;
	*frame = (struct sl_quic_frame){.len = pkt->end, .tagged = pkt->tagged};
	while (done < pkt->end) {
		struct sl_quic_piece *piece = piece_add(worker, pkt->vlan, link);

		if (piece == NULL) {
			frame_free(worker, pkt->vlan, frame);
			return false;
		}
		piece->len = RTE_MIN(pkt->end - done, (uint32_t)sizeof(piece->bytes));
		sl_parse_copy(pkt, done, piece->len, piece->bytes);
		done += piece->len;
		link = &piece->next;
	}
	hold->frame_count++;
	worker->stats->held++;
	pkt->fate = SL_FATE_HELD;
	return true;
}

/* Appends bytes to a chain of mbufs, growing it. False if there are no more. */
static bool chain_append(struct sl_worker *worker, struct rte_mbuf *head, const uint8_t *bytes,
                         uint32_t len)
{
	while (len > 0) {
		struct rte_mbuf *last = rte_pktmbuf_lastseg(head), *more;
		uint32_t n = RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(last));

		if (n == 0) {
			more = rte_pktmbuf_alloc(worker->params.pool);
			if (more == NULL)
				return false;
			if (rte_pktmbuf_chain(head, more) != 0) {
				rte_pktmbuf_free(more);
				return false;
			}
			continue;
		}
		memcpy(rte_pktmbuf_append(head, (uint16_t)n), bytes, n);
		bytes += n;
		len -= n;
	}
	return true;
}

static struct rte_mbuf *frame_mbuf(struct sl_worker *worker, const struct sl_quic_frame *frame)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->params.pool);
	const struct sl_quic_piece *piece;

	for (uint32_t i = frame->piece; mbuf != NULL && i != 0; i = piece->next) {
		piece = sl_pool_at(&worker->chunks, i);
		if (!chain_append(worker, mbuf, piece->bytes, piece->len)) {
			rte_pktmbuf_free(mbuf);
			return NULL;
		}
	}
	return mbuf;
}

void sl_quic_hold_release(struct sl_worker *worker, struct sl_quic_hold *hold,
                          enum sl_reason reason)
{
	uint16_t vlan = sl_quic_hold_flow(worker, hold)->key.vlan;

	for (unsigned i = 0; i < hold->frame_count; i++) {
		struct sl_quic_frame *frame = &hold->frames[i];
		struct sl_pkt out = {
		        .mbuf = frame_mbuf(worker, frame),
		        .in_port = SL_PORT_SANDBOX,
		        .vlan = vlan,
		        .tagged = frame->tagged,
		        .end = frame->len,
		};

		sl_pkt_forward(&out, reason);
		worker->stats->held--;
		if (out.mbuf != NULL)
			sl_send_on(worker, &out);
		else /* it was not sent; the client sends it again, and equal bytes pass */
			sl_count(worker, vlan, SL_REASON_TX_FULL, 1);
		frame_free(worker, vlan, frame);
	}
	hold->frame_count = 0;
	hold->dgrams = 0;
}
