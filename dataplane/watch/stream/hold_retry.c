/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_retry.c: decides whether the server's answer to a judged hello asks for another one (RFC
 * 8446 4.1.4). Only reads; bytes that the client sent after its hello wait until it is decided.
 */
#include "hold.h"

/* Keeps bytes of the server that were not enough for a decision. False: there is no room. */
static bool keep(struct sl_worker *worker, uint16_t vlan, struct sl_hold *hold,
                 const uint8_t *bytes, uint32_t n)
{
	struct sl_stream_chunk *chunk;

	if (hold->answer == 0) {
		if (!sl_held_take(worker, vlan, sizeof(*chunk)))
			return false;
		hold->answer = sl_pool_get(&worker->chunks);
		if (hold->answer == 0) {
			sl_held_give(worker, vlan, sizeof(*chunk));
			return false;
		}
	}
	chunk = sl_pool_at(&worker->chunks, hold->answer);
	memcpy(chunk->bytes + hold->answer_bytes, bytes, n);
	hold->answer_bytes += n;
	return true;
}

void sl_hold_forget_answer(struct sl_worker *worker, uint16_t vlan, struct sl_hold *hold)
{
	if (hold->answer == 0)
		return;
	sl_pool_put(&worker->chunks, hold->answer);
	sl_held_give(worker, vlan, sizeof(struct sl_stream_chunk));
	hold->answer = 0;
	hold->answer_bytes = 0;
}

enum sl_parse_result sl_hold_is_retry(struct sl_worker *worker, const struct sl_pkt *pkt,
                                      struct sl_hold *hold, uint32_t offset, bool *tls)
{
	uint32_t skip, n;
	const uint8_t *bytes;
	enum sl_parse_result answer;

	*tls = true;
	/* Segments out of order have gone to the client; the first bytes will decide. */
	if (offset > hold->answer_bytes || pkt->payload_len <= hold->answer_bytes - offset)
		return SL_PARSE_MORE;
	skip = hold->answer_bytes - offset;
	n = RTE_MIN(pkt->payload_len - skip, SL_TLS_RETRY_PEEK_BYTES - hold->answer_bytes);
	bytes = rte_pktmbuf_read(pkt->mbuf, pkt->payload_off + skip, n, worker->scratch);
	if (hold->answer == 0) {
		*tls = sl_tls_is_server_record(bytes, n);
		answer = sl_tls_is_hello_retry(bytes, n);
		if (answer != SL_PARSE_MORE)
			return answer;
	}
	if (!keep(worker, pkt->vlan, hold, bytes, n))
		return SL_PARSE_BAD;
	bytes = ((struct sl_stream_chunk *)sl_pool_at(&worker->chunks, hold->answer))->bytes;
	*tls = sl_tls_is_server_record(bytes, hold->answer_bytes);
	answer = sl_tls_is_hello_retry(bytes, hold->answer_bytes);
	/* Bytes that are needed have been delivered already, and will not be sent again. */
	if (answer == SL_PARSE_MORE && hold->server_end > hold->server_early + hold->answer_bytes)
		return SL_PARSE_BAD;
	return answer;
}
