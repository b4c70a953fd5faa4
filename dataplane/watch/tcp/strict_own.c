/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strict_own.c: acknowledges held bytes in the server's place. A client that only retransmits
 * waits for an acknowledgement before it sends more: its congestion window is one segment after
 * lost SYNs (RFC 5681 3.1), Nagle's algorithm holds back a small write (RFC 9293 3.7.4), or the
 * server's window is smaller than the hello. The gateway then acknowledges what it holds, and
 * delivers it itself: it retransmits until the server has acknowledged. Must never acknowledge
 * bytes that it does not hold.
 */
#include "strict.h"
#include "packet/build.h"

#define RESEND_MS       300
#define TIMEOUTS_BUDGET 256 /* connections in one turn */

struct resend {
	struct sl_deadline deadline; /* in worker->resends_due */
	struct sl_strict *tcp;
};

bool sl_strict_create(struct sl_worker *worker)
{
	/*
	 * Every connection under judgement has state that counts as held bytes, which bounds their
	 * number.
	 */
	return sl_pool_create(&worker->resends, sizeof(struct resend),
	                      (uint32_t)(worker->held_limit / sizeof(struct sl_strict) + 1));
}

void sl_strict_destroy(struct sl_worker *worker)
{
	if (worker->resends.base != NULL)
		sl_pool_destroy(&worker->resends);
}

static void schedule(struct sl_worker *worker, uint32_t index)
{
	sl_deadline_append(&worker->resends, &worker->resends_due, index,
	                   worker->now_ms + RESEND_MS);
}

void sl_strict_own_end(struct sl_worker *worker, struct sl_strict *tcp)
{
	if (tcp->resend == 0)
		return;
	sl_deadline_remove(&worker->resends, &worker->resends_due, tcp->resend);
	sl_pool_put(&worker->resends, tcp->resend);
	tcp->resend = 0;
}

/* How much more the client may send, as the value of the window field. */
static uint16_t window_of(const struct sl_strict *tcp)
{
	uint32_t room = tcp->room > tcp->stream.contiguous ? tcp->room - tcp->stream.contiguous : 0;

	return (uint16_t)RTE_MIN(room >> (tcp->scaled ? tcp->server_wscale : 0),
	                         (uint32_t)UINT16_MAX);
}

uint32_t sl_strict_window_end(const struct sl_strict *tcp)
{
	uint32_t end = tcp->stream.contiguous;

	if (tcp->resend == 0)
		return tcp->window_end;
	end += (uint32_t)window_of(tcp) << (tcp->scaled ? tcp->server_wscale : 0);
	return RTE_MAX(tcp->window_end, end);
}

static void acknowledge(struct sl_worker *worker, const struct sl_flow *flow, struct sl_strict *tcp)
{
	struct sl_tcp_spec spec = {
	        .sport_be = flow->key.remote_port,
	        .dport_be = flow->key.inside_port,
	        .seq = flow->ack[0],
	        .ack = tcp->base + tcp->stream.contiguous,
	        .flags = RTE_TCP_ACK_FLAG,
	        .window = window_of(tcp),
	};
	uint8_t timestamps[SL_SEGMENT_TIMESTAMPS];
	struct rte_mbuf *mbuf;
	struct sl_path path;

	/*
	 * Both timestamps are repeated as the client sent them: the gateway must not invent a
	 * newer echo.
	 */
	if (tcp->client.has_timestamps) {
		struct sl_segment_client echo = tcp->client;

		echo.ts_value = tcp->client.ts_echo;
		echo.ts_echo = tcp->client.ts_value;
		sl_segment_timestamps(&echo, timestamps);
		spec.options = timestamps;
		spec.option_bytes = sizeof(timestamps);
	}
	sl_build_path_flow(worker, flow, SL_PORT_SANDBOX, &path);
	mbuf = sl_build_tcp(worker, &path, &spec, NULL);
	if (mbuf == NULL)
		return;
	sl_build_tcp_send(worker, &path, mbuf, &spec, SL_CHARGE_NOTHING);
	tcp->owned = RTE_MAX(tcp->owned, tcp->stream.contiguous);
}

void sl_strict_own(struct sl_worker *worker, struct sl_flow *flow, struct sl_strict *tcp,
                   bool begin)
{
	if (tcp->opening || tcp->stream.contiguous <= tcp->released)
		return;
	if (tcp->resend == 0) {
		struct resend *resend;

		if (!begin || (tcp->resend = sl_pool_get(&worker->resends)) == 0)
			return;
		resend = sl_pool_at(&worker->resends, tcp->resend);
		resend->tcp = tcp;
		schedule(worker, tcp->resend);
	}
	acknowledge(worker, flow, tcp);
}

/*
 * True if the server has all that was acknowledged in its place: from here on the client
 * retransmits.
 */
static bool is_delivered(const struct sl_strict *tcp, uint32_t acked)
{
	return acked >= tcp->released && acked >= tcp->owned &&
	       tcp->stream.contiguous <= tcp->released;
}

static void resend_one(struct sl_worker *worker, struct sl_strict *tcp)
{
	struct sl_flow *flow = &worker->table.flows[tcp->flow];
	uint32_t acked = sl_strict_acked(tcp, flow);

	sl_deadline_remove(&worker->resends, &worker->resends_due, tcp->resend);
	schedule(worker, tcp->resend);
	if (is_delivered(tcp, acked)) {
		sl_strict_own_end(worker, tcp);
		return;
	}
	if (acked < tcp->released)
		tcp->user->again(worker, flow, acked, tcp->released - acked);
	if (tcp->user->look != NULL && tcp->stream.contiguous > tcp->released)
		tcp->user->look(worker, flow); /* may end the flow, and with it tcp */
}

void sl_strict_timeouts(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index = sl_deadline_due(worker, &worker->resends, &worker->resends_due);
		const struct resend *resend = sl_pool_at(&worker->resends, index);

		if (index == 0)
			return;
		resend_one(worker, resend->tcp);
	}
}
