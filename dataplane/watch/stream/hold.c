/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.c: the life of a TCP connection under rule 3 that is not judged yet, or whose judged bytes
 * the server has not acknowledged: its opening, its phases and its end (spec section 3).
 * hold_client.c and hold_server.c decide which segments are believed.
 *
 * Settles with: hold-limit, hello-timeout.
 */
#include "hold.h"

#include "flow/record.h"
#include "flow/flows.h"
#include "watch/tcp/strict.h"
#include "flow/verdict.h"

/* clang-format off */
const struct sl_hold_rule sl_hold_rules[SL_HOLD_PHASE_COUNT] = {
	[SL_HOLD_HELLO] = {
		.collects = true,
		.next = {
			[SL_HOLD_IS_HTTP] = SL_HOLD_REQUEST,
			[SL_HOLD_ASKED] = SL_HOLD_POSTGRES,
			[SL_HOLD_ALLOWED] = SL_HOLD_SENT,
		},
	},
	[SL_HOLD_REQUEST] = {
		.collects = true, .http = true,
		.next = {
			[SL_HOLD_ALLOWED] = SL_HOLD_HTTP_SENT,
		},
	},
	[SL_HOLD_POSTGRES] = {
		.next = {
			[SL_HOLD_TOLD] = SL_HOLD_HELLO,
		},
	},
	[SL_HOLD_SENT] = {
		.server = true, .tls = true,
		.next = {
			[SL_HOLD_EARLY] = SL_HOLD_SENT,
			[SL_HOLD_ACKED] = SL_HOLD_ANSWER,
			[SL_HOLD_ANSWERED] = SL_HOLD_PASSING,
			[SL_HOLD_RETRIED] = SL_HOLD_SECOND,
		},
	},
	[SL_HOLD_ANSWER] = {
		.server = true, .acked = true, .tls = true,
		.next = {
			[SL_HOLD_EARLY] = SL_HOLD_SENT,
			[SL_HOLD_ACKED] = SL_HOLD_ANSWER,
			[SL_HOLD_ANSWERED] = SL_HOLD_DONE,
			[SL_HOLD_RETRIED] = SL_HOLD_SECOND,
			[SL_HOLD_OWNED] = SL_HOLD_PASSING,
		},
	},
	[SL_HOLD_SECOND] = {
		.collects = true, .server = true,
		.next = {
			[SL_HOLD_ALLOWED] = SL_HOLD_PASSING,
			[SL_HOLD_ACKED] = SL_HOLD_SECOND,
		},
	},
	[SL_HOLD_HTTP_SENT] = {
		.server = true, .passes = true, .http = true,
		.next = {
			[SL_HOLD_ACKED] = SL_HOLD_HTTP_ANSWER,
			[SL_HOLD_ANSWERED] = SL_HOLD_PASSING,
		},
	},
	[SL_HOLD_HTTP_ANSWER] = {
		.server = true, .passes = true, .acked = true, .http = true,
		.next = {
			[SL_HOLD_ACKED] = SL_HOLD_HTTP_ANSWER,
			[SL_HOLD_ANSWERED] = SL_HOLD_DONE,
		},
	},
	[SL_HOLD_PASSING] = {
		.server = true, .passes = true,
		.next = {
			[SL_HOLD_ACKED] = SL_HOLD_DONE,
		},
	},
};
/* clang-format on */

static bool create(struct sl_worker *worker)
{
	uint32_t holds = (uint32_t)(worker->held_limit / sizeof(struct sl_hold) + 1);

	return sl_pool_create(&worker->holds, sizeof(struct sl_hold), holds);
}

static void destroy(struct sl_worker *worker)
{
	if (worker->holds.base != NULL)
		sl_pool_destroy(&worker->holds);
}

static void set_deadline(struct sl_worker *worker, struct sl_hold *hold, uint32_t index)
{
	if (hold->timed)
		sl_deadline_remove(&worker->holds, &worker->holds_hello, index);
	sl_deadline_append(&worker->holds, &worker->holds_hello, index,
	                   worker->now_ms + worker->settings->hello_timeout_ms);
	hold->timed = true;
}

static void clear_deadline(struct sl_worker *worker, struct sl_hold *hold, uint32_t index)
{
	if (hold->timed)
		sl_deadline_remove(&worker->holds, &worker->holds_hello, index);
	hold->timed = false;
}

void sl_hold_touch(struct sl_worker *worker, struct sl_flow *flow)
{
	const struct sl_settings *settings = worker->settings;

	if (sl_hold_rule(sl_hold_of(worker, flow))->acked)
		flow->expires_ms = worker->now_ms + settings->tcp_established_ms;
	else
		flow->expires_ms = worker->now_ms + RTE_MAX(settings->tcp_opening_ms,
		                                            settings->hello_timeout_ms + 1000);
}

static void send_again(struct sl_worker *worker, struct sl_flow *flow, uint32_t from, uint32_t n)
{
	sl_hold_resend(worker, flow, from, n);
}

static const struct sl_strict_user user = {.again = send_again};

static void first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const struct sl_settings *settings = worker->settings;
	struct sl_strict tcp;
	struct sl_flow *flow;
	struct sl_hold *hold;
	uint32_t index;

	if (!sl_strict_begin(worker, pkt, &user, &tcp))
		return;
	if (!sl_held_take(worker, pkt->vlan, sizeof(*hold))) {
		sl_verdict_refuse(worker, pkt, SL_REASON_HOLD_LIMIT, NULL);
		return;
	}
	index = sl_pool_get(&worker->holds);
	flow = index != 0 ? sl_flow_open(worker, pkt, &pkt->key) : NULL;
	if (flow == NULL) {
		sl_held_give(worker, pkt->vlan, sizeof(*hold));
		if (index != 0)
			sl_pool_put(&worker->holds, index);
		else
			sl_verdict_refuse(worker, pkt, SL_REASON_HOLD_LIMIT, NULL);
		return;
	}
	hold = sl_pool_at(&worker->holds, index);
	memset(hold, 0, sizeof(*hold));
	hold->tcp = tcp;
	hold->tcp.flow = sl_flow_index(&worker->table, flow);
	hold->tcp.room = RTE_MIN((uint32_t)settings->held_bytes_per_flow, (uint32_t)SL_STREAM_MAX);
	hold->phase = SL_HOLD_HELLO;
	sl_tls_records_init(&hold->records, settings->hello_max_bytes);
	hold->begun = hold->records;
	flow->watch = SL_WATCH_STREAM;
	*sl_watch_kept(worker, flow, SL_WATCH_STREAM) = index;
	sl_hold_touch(worker, flow);
	sl_pkt_forward(pkt, SL_REASON_NONE);
}

static void end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	uint32_t *kept = sl_watch_kept(worker, flow, SL_WATCH_STREAM);
	struct sl_hold *hold = sl_hold_of(worker, flow);

	sl_strict_end(worker, flow, &hold->tcp, reason);
	sl_hold_forget_answer(worker, flow->key.vlan, hold);
	clear_deadline(worker, hold, *kept);
	sl_pool_put(&worker->holds, *kept);
	sl_held_give(worker, flow->key.vlan, sizeof(*hold));
	*kept = 0;
	flow->watch = SL_WATCH_NONE;
}

/* Ends the hold: the flow goes on as a plain one. */
static void finish(struct sl_worker *worker, struct sl_flow *flow)
{
	const uint8_t both = SL_FLOW_FIN_INSIDE | SL_FLOW_FIN_REMOTE;
	struct sl_hold *hold = sl_hold_of(worker, flow);

	if (hold->client_fin)
		flow->flags |= SL_FLOW_FIN_INSIDE;
	if (hold->server_fin)
		flow->flags |= SL_FLOW_FIN_REMOTE;
	end(worker, flow, (enum sl_reason)flow->reason);
	if ((flow->flags & both) == both)
		flow->state = SL_FLOW_CLOSING;
	else
		flow->state = flow->flags & both ? SL_FLOW_HALF_CLOSED : SL_FLOW_ESTABLISHED;
	sl_verdict_set_fast(worker, flow);
	sl_flow_touch(worker, flow);
}

/*
 * Enters a phase. Once the judged bytes have left, the server has as long to acknowledge them as
 * the client had for the hello.
 */
static void enter(struct sl_worker *worker, struct sl_flow *flow, struct sl_hold *hold)
{
	const struct sl_hold_rule *rule = sl_hold_rule(hold);
	uint32_t index = *sl_watch_kept(worker, flow, SL_WATCH_STREAM);

	if (rule->acked) {
		clear_deadline(worker, hold, index);
		hold->forgotten = hold->judged;
		sl_stream_forget(worker, flow->key.vlan, &hold->tcp.stream, hold->judged);
		sl_hold_touch(worker, flow);
	} else if (rule->server) {
		set_deadline(worker, hold, index);
	}
}

bool sl_hold_step(struct sl_worker *worker, struct sl_flow *flow, enum sl_hold_event event)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	uint8_t next = sl_hold_rule(hold)->next[event];

	if (next == SL_HOLD_NONE)
		return sl_hold_refuse(worker, flow, SL_REASON_STREAM_CONFLICT, NULL);
	if (next == SL_HOLD_DONE) {
		finish(worker, flow);
		return false;
	}
	if (next != hold->phase) {
		hold->phase = next;
		enter(worker, flow, hold);
	}
	return true;
}

void sl_hold_opened(struct sl_worker *worker, struct sl_flow *flow)
{
	set_deadline(worker, sl_hold_of(worker, flow),
	             *sl_watch_kept(worker, flow, SL_WATCH_STREAM));
	sl_hold_touch(worker, flow);
}

static void open_up(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	struct sl_hold *hold = sl_hold_of(worker, flow);
	bool opening = hold->tcp.opening;

	/* Bytes that pass from now on are not judged by name: no name covers them later. */
	sl_verdict_forget_name(worker, flow);
	sl_verdict_flow(worker, flow, reason, NULL);
	sl_hold_release(worker, flow, hold->tcp.stream.end, reason);
	finish(worker, flow);
	if (opening)
		flow->state = SL_FLOW_SYN_SENT;
	sl_verdict_set_fast(worker, flow);
}

/* Both ends closed without a hello, as a port scan does: no one is left to refuse. */
static bool is_over(const struct sl_hold *hold)
{
	return hold->phase == SL_HOLD_HELLO && hold->client_fin && hold->server_fin &&
	       hold->tcp.held_packets == 0;
}

static void timeouts(struct sl_worker *worker)
{
	uint32_t index;

	while ((index = sl_deadline_due(worker, &worker->holds, &worker->holds_hello)) != 0) {
		struct sl_hold *hold = sl_pool_at(&worker->holds, index);
		struct sl_flow *flow = &worker->table.flows[hold->tcp.flow];

		if (is_over(hold))
			sl_flow_close(worker, flow, SL_REASON_NO_FLOW);
		else
			sl_hold_refuse(worker, flow, SL_REASON_HELLO_TIMEOUT, NULL);
	}
}

/* Passes a believed reset and ends the connection, judged or not: nothing more of it passes. */
void sl_hold_pass_reset(struct sl_worker *worker, struct sl_pkt *pkt)
{
	enum sl_reason reason = (enum sl_reason)pkt->flow->reason;

	sl_strict_pass_reset(worker, pkt, reason,
	                     reason != SL_REASON_NONE ? reason : SL_REASON_NO_FLOW);
}

static void walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_hold *hold = sl_hold_of(worker, pkt->flow);

	if (pkt->in_port == SL_PORT_SANDBOX)
		sl_hold_from_client(worker, pkt, hold);
	else
		sl_hold_from_server(worker, pkt, hold);
}

const struct sl_watcher sl_hold_watcher = {
        .create = create,
        .destroy = destroy,
        .first = first,
        .walk = walk,
        .end = end,
        .open_up = open_up,
        .opens_judged = true,
        .timeouts = timeouts,
};
