/*
 * hold_own.c: a client that only repeats itself waits for an acknowledgement before it goes on: its
 * congestion window is one segment after lost SYNs (RFC 5681 3.1), Nagle's algorithm keeps a small
 * write back (RFC 9293 3.7.4), or the server's window is smaller than the hello. The gateway then
 * acknowledges what it holds, in the server's place, and owns its delivery: it is sent again until
 * the server has acknowledged it. Must never acknowledge what it does not hold.
 */
#include "hold.h"

#define RESEND_MS       300
#define TIMEOUTS_BUDGET 256 /* connections in one turn */

struct resend {
	struct sl_deadline deadline; /* in worker->resends_due */
	uint32_t hold;
};

bool sl_hold_own_create(struct sl_worker *worker, uint32_t capacity)
{
	return sl_pool_create(&worker->resends, sizeof(struct resend), capacity);
}

void sl_hold_own_destroy(struct sl_worker *worker)
{
	if (worker->resends.base != NULL)
		sl_pool_destroy(&worker->resends);
}

static void schedule(struct sl_worker *worker, uint32_t index)
{
	sl_deadline_append(&worker->resends, &worker->resends_due, index,
	                   worker->now_ms + RESEND_MS);
}

void sl_hold_own_end(struct sl_worker *worker, struct sl_hold *hold)
{
	if (hold->resend == 0)
		return;
	sl_deadline_remove(&worker->resends, &worker->resends_due, hold->resend);
	sl_pool_put(&worker->resends, hold->resend);
	hold->resend = 0;
}

/* What the client may send on, in the unit of its window field. */
static uint16_t window_of(const struct sl_worker *worker, const struct sl_hold *hold)
{
	uint32_t most = RTE_MIN(worker->settings->held_bytes_per_flow, (uint32_t)SL_STREAM_MAX);
	uint32_t room = most > hold->stream.contiguous ? most - hold->stream.contiguous : 0;

	return (uint16_t)RTE_MIN(room >> (hold->scaled ? hold->server_wscale : 0),
	                         (uint32_t)UINT16_MAX);
}

uint32_t sl_hold_own_window_end(const struct sl_worker *worker, const struct sl_hold *hold)
{
	uint32_t end = hold->stream.contiguous;

	if (hold->resend == 0)
		return hold->window_end;
	end += (uint32_t)window_of(worker, hold) << (hold->scaled ? hold->server_wscale : 0);
	return RTE_MAX(hold->window_end, end);
}

static void acknowledge(struct sl_worker *worker, const struct sl_flow *flow, struct sl_hold *hold)
{
	struct sl_tcp_spec spec = {
	        .sport_be = flow->key.remote_port,
	        .dport_be = flow->key.inside_port,
	        .seq = flow->ack[0],
	        .ack = hold->iss + 1 + hold->stream.contiguous,
	        .flags = RTE_TCP_ACK_FLAG,
	        .window = window_of(worker, hold),
	};
	uint8_t timestamps[SL_SEGMENT_TIMESTAMPS];
	struct rte_mbuf *mbuf;
	struct sl_path path;

	/* Both clocks are repeated as the client showed them: no newer echo may be made up. */
	if (hold->client.has_timestamps) {
		struct sl_segment_client echo = hold->client;

		echo.ts_value = hold->client.ts_echo;
		echo.ts_echo = hold->client.ts_value;
		sl_segment_timestamps(&echo, timestamps);
		spec.options = timestamps;
		spec.option_bytes = sizeof(timestamps);
	}
	sl_build_path_flow(worker, flow, SL_PORT_SANDBOX, &path);
	mbuf = sl_build_tcp(worker, &path, &spec, NULL);
	if (mbuf == NULL)
		return;
	sl_build_tcp_send(worker, &path, mbuf, &spec, SL_REASON_NONE, 0);
	hold->owned = RTE_MAX(hold->owned, hold->stream.contiguous);
}

void sl_hold_own(struct sl_worker *worker, struct sl_flow *flow, bool begin)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	bool collects = hold->phase == SL_HOLD_HELLO || hold->phase == SL_HOLD_SECOND;

	if (!collects || hold->stream.contiguous <= hold->released)
		return;
	if (hold->resend == 0) {
		struct resend *resend;

		if (!begin || (hold->resend = sl_pool_get(&worker->resends)) == 0)
			return;
		resend = sl_pool_at(&worker->resends, hold->resend);
		resend->hold = sl_flow_cold(&worker->table, flow)->hold;
		schedule(worker, hold->resend);
	}
	acknowledge(worker, flow, hold);
}

void sl_hold_own_timeouts(struct sl_worker *worker)
{
	for (unsigned i = 0; i < TIMEOUTS_BUDGET; i++) {
		uint32_t index = sl_deadline_due(worker, &worker->resends, &worker->resends_due);
		struct sl_flow *flow;
		struct sl_hold *hold;
		uint32_t acked;

		if (index == 0)
			return;
		hold = sl_pool_at(&worker->holds,
		                  ((struct resend *)sl_pool_at(&worker->resends, index))->hold);
		flow = &worker->table.flows[hold->flow];
		acked = flow->ack[1] - (hold->iss + 1);
		if (acked < hold->released)
			sl_hold_resend(worker, flow, acked, hold->released - acked);
		sl_deadline_remove(&worker->resends, &worker->resends_due, index);
		schedule(worker, index);
	}
}
