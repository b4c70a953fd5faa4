/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.c: builds segments from the gateway's copy of a stream. Must never choose which bytes
 * leave: its callers have judged them.
 */
#include "segment.h"

#include "tcp_clean.h"
#include "packet/build.h"

void sl_segment_remember(struct sl_segment_client *client, const struct sl_pkt *pkt)
{
	struct sl_tcp_options options;

	client->ack = sl_segment_ack(pkt);
	client->window = rte_be_to_cpu_16(sl_segment_tcp(pkt)->rx_win);
	if (sl_tcp_options_read(pkt, &options) && options.has_timestamps) {
		client->has_timestamps = true;
		client->ts_value = options.ts_value;
		client->ts_echo = options.ts_echo;
	}
}

void sl_segment_skip(struct sl_pkt *pkt, uint32_t n)
{
	struct rte_tcp_hdr *tcp = sl_pkt_at(pkt, struct rte_tcp_hdr, pkt->l4_off);

	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + n);
	pkt->payload_off += n;
	pkt->payload_len -= n;
}

void sl_segment_timestamps(const struct sl_segment_client *client,
                           uint8_t out[SL_SEGMENT_TIMESTAMPS])
{
	uint32_t value = rte_cpu_to_be_32(client->ts_value),
	         echo = rte_cpu_to_be_32(client->ts_echo);
	const uint8_t head[4] = {1, 1, 8, 10}; /* NOP, NOP, timestamps (RFC 7323) */

	memcpy(out, head, sizeof(head));
	memcpy(out + 4, &value, 4);
	memcpy(out + 8, &echo, 4);
}

static bool copy_bytes(const struct sl_worker *worker, const struct sl_stream *stream,
                       uint32_t from, uint32_t n, uint8_t *to)
{
	while (n > 0) {
		const uint8_t *bytes = NULL;
		uint32_t piece = sl_stream_piece(worker, stream, from, n, &bytes);

		if (piece == 0) /* the caller asked for bytes that the copy lacks */
			return false;
		memcpy(to, bytes, piece);
		to += piece;
		from += piece;
		n -= piece;
	}
	return true;
}

bool sl_segment_send(struct sl_worker *worker, const struct sl_flow *flow,
                     const struct sl_segment_client *client, uint8_t flags, uint32_t seq,
                     const struct sl_stream *stream, uint32_t from, uint32_t n,
                     struct sl_charge charge)
{
	uint8_t timestamps[SL_SEGMENT_TIMESTAMPS], *payload = NULL;
	struct sl_tcp_spec spec = {
	        .sport_be = flow->key.inside_port,
	        .dport_be = flow->key.remote_port,
	        .seq = seq,
	        .ack = client->ack,
	        .flags = RTE_TCP_ACK_FLAG | flags,
	        .window = client->window,
	        .options = timestamps,
	        .option_bytes = client->has_timestamps ? SL_SEGMENT_TIMESTAMPS : 0,
	        .payload_bytes = n,
	};
	struct sl_path path;
	struct rte_mbuf *mbuf;

	sl_segment_timestamps(client, timestamps);
	sl_build_path_flow(worker, flow, SL_PORT_UPLINK, &path);
	mbuf = sl_build_tcp(worker, &path, &spec, &payload);
	if (mbuf == NULL)
		return false;
	if (!copy_bytes(worker, stream, from, n, payload)) {
		rte_pktmbuf_free(mbuf);
		return false;
	}
	sl_build_tcp_send(worker, &path, mbuf, &spec, charge);
	return true;
}
