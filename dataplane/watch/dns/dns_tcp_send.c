/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_tcp_send.c: segments of DNS over TCP that the gateway makes: judged bytes from its copy, and
 * the last message of a refused connection. Must never send a client's byte that dns_tcp_judge.c
 * did not release.
 */
#include "dns.h"
#include "flow/reject.h"
#include "watch/tcp/strict.h"
#include "packet/build.h"

bool sl_dns_tcp_send(struct sl_worker *worker, const struct sl_flow *flow, uint32_t from,
                     uint32_t upto, unsigned weight)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint32_t most = sl_strict_segment_bytes(flow, &dns->tcp);

	while (from < upto) {
		uint32_t n = RTE_MIN(most, upto - from);

		/* The packets count once all of their bytes are sent. */
		if (!sl_segment_send(worker, flow, &dns->tcp.client, RTE_TCP_PSH_FLAG,
		                     dns->tcp.base + from, &dns->out, from, n,
		                     (struct sl_charge){SL_REASON_DNS_ALLOWED,
		                                        from + n == upto ? weight : 0}))
			return false;
		from += n;
	}
	return true;
}

void sl_dns_tcp_send_fin(struct sl_worker *worker, const struct sl_flow *flow)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);

	sl_segment_send(worker, flow, &dns->tcp.client, RTE_TCP_FIN_FLAG,
	                dns->tcp.base + dns->tcp.released, &dns->out, 0, 0, SL_CHARGE_NOTHING);
}

/*
 * The message is sent with a FIN: the sandbox reads it and sees the end. Later packets of it
 * belong to no flow any more and are reset.
 */
static bool tell_sandbox(struct sl_worker *worker, const struct sl_flow *flow, const uint8_t *msg,
                         uint16_t len, uint32_t upto, struct sl_charge charge)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	struct sl_tcp_spec spec = {
	        .sport_be = flow->key.remote_port,
	        .dport_be = flow->key.inside_port,
	        .seq = dns->server_next,
	        .ack = dns->tcp.base + upto,
	        .flags = RTE_TCP_ACK_FLAG | RTE_TCP_RST_FLAG,
	};
	uint8_t *payload = NULL;
	struct sl_path path;
	struct rte_mbuf *mbuf;

	if (msg != NULL) {
		spec.flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG;
		spec.window = 65535;
		spec.payload_bytes = 2u + len;
	}
	sl_build_path_flow(worker, flow, SL_PORT_SANDBOX, &path);
	mbuf = sl_build_tcp(worker, &path, &spec, &payload);
	if (mbuf == NULL)
		return false;
	if (msg != NULL) {
		payload[0] = (uint8_t)(len >> 8);
		payload[1] = (uint8_t)len;
		memcpy(payload + 2, msg, len);
	}
	sl_build_tcp_send(worker, &path, mbuf, &spec, charge);
	return true;
}

void sl_dns_tcp_close_both(struct sl_worker *worker, struct sl_flow *flow, const uint8_t *msg,
                           uint16_t len, uint32_t upto, struct sl_charge charge)
{
	/*
	 * A frame that counts as packets of the sandbox is not a refusal, so the limit of refusals
	 * does not apply.
	 */
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	bool may = charge.weight > 0 || sl_reject_may_answer(worker, flow->key.vlan);

	if (!may || !tell_sandbox(worker, flow, msg, len, upto, charge))
		sl_count(worker, flow->key.vlan, SL_REASON_TX_FULL, charge.weight);
	/* The server has, or will have, all that was released. */
	flow->ack[1] = dns->tcp.base + dns->tcp.released;
	sl_reject_reset(worker, flow, SL_PORT_UPLINK);
}
