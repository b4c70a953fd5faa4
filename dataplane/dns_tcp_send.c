/*
 * dns_tcp_send.c: segments of DNS over TCP that the gateway makes: judged bytes from its copy, and
 * the last word on a refused connection. Must never send a client's byte that dns_tcp_judge.c did
 * not let out.
 */
#include "dns.h"

#include <rte_tcp.h>

#define MSS_DEFAULT      536  /* RFC 9293 3.7.1 */
#define SEGMENT_MAX      1440 /* fits an Ethernet frame with IPv6, timestamps taken off */
#define TIMESTAMPS_BYTES 12

static void write_timestamps(const struct sl_dns_stream *dns, uint8_t out[TIMESTAMPS_BYTES])
{
	uint32_t value = rte_cpu_to_be_32(dns->ts_value), echo = rte_cpu_to_be_32(dns->ts_echo);
	const uint8_t head[4] = {1, 1, 8, 10}; /* NOP, NOP, timestamps (RFC 7323) */

	memcpy(out, head, sizeof(head));
	memcpy(out + 4, &value, 4);
	memcpy(out + 8, &echo, 4);
}

static struct sl_tcp_spec spec_to_server(const struct sl_flow *flow,
                                         const struct sl_dns_stream *dns, uint32_t offset,
                                         const uint8_t timestamps[TIMESTAMPS_BYTES])
{
	return (struct sl_tcp_spec){
	        .sport_be = flow->key.inside_port,
	        .dport_be = flow->key.remote_port,
	        .seq = dns->base_seq + offset,
	        .ack = dns->ack,
	        .flags = RTE_TCP_ACK_FLAG,
	        .window = dns->window,
	        .options = timestamps,
	        .option_bytes = dns->has_timestamps ? TIMESTAMPS_BYTES : 0,
	};
}

static bool send_segment(struct sl_worker *worker, const struct sl_flow *flow,
                         const struct sl_path *path, uint32_t from, uint32_t n, unsigned weight)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint8_t timestamps[TIMESTAMPS_BYTES], *payload;
	struct sl_tcp_spec spec = spec_to_server(flow, dns, from, timestamps);
	struct rte_mbuf *mbuf;

	write_timestamps(dns, timestamps);
	spec.flags |= RTE_TCP_PSH_FLAG;
	spec.payload_bytes = n;
	mbuf = sl_build_tcp(worker, path, &spec, &payload);
	if (mbuf == NULL)
		return false;
	while (n > 0) {
		const uint8_t *bytes = NULL;
		uint32_t piece = sl_stream_piece(worker, &dns->stream, from, n, &bytes);

		if (piece == 0) { /* the caller asked for what is there */
			rte_pktmbuf_free(mbuf);
			return false;
		}
		memcpy(payload, bytes, piece);
		payload += piece;
		from += piece;
		n -= piece;
	}
	sl_build_tcp_send(worker, path, mbuf, &spec, SL_REASON_DNS_ALLOWED, weight);
	return true;
}

bool sl_dns_tcp_send(struct sl_worker *worker, const struct sl_flow *flow, uint32_t from,
                     uint32_t upto, unsigned weight)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint32_t most = dns->server_mss != 0 ? dns->server_mss : MSS_DEFAULT;
	struct sl_path path;

	most = RTE_MAX(most, 88u); /* an honest one is not smaller (RFC 9293 3.7.1) */
	most = RTE_MIN(most, (uint32_t)SEGMENT_MAX);
	most -= dns->has_timestamps ? TIMESTAMPS_BYTES : 0;
	sl_build_path_flow(worker, flow, SL_PORT_UPLINK, &path);
	while (from < upto) {
		uint32_t n = RTE_MIN(most, upto - from);

		/* The packets count once all of their bytes are on the way. */
		if (!send_segment(worker, flow, &path, from, n, from + n == upto ? weight : 0))
			return false;
		from += n;
	}
	return true;
}

void sl_dns_tcp_send_fin(struct sl_worker *worker, const struct sl_flow *flow)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	uint8_t timestamps[TIMESTAMPS_BYTES];
	struct sl_tcp_spec spec = spec_to_server(flow, dns, dns->released, timestamps);
	struct sl_path path;
	struct rte_mbuf *mbuf;

	write_timestamps(dns, timestamps);
	spec.flags |= RTE_TCP_FIN_FLAG;
	sl_build_path_flow(worker, flow, SL_PORT_UPLINK, &path);
	mbuf = sl_build_tcp(worker, &path, &spec, NULL);
	if (mbuf != NULL)
		sl_build_tcp_send(worker, &path, mbuf, &spec, SL_REASON_NONE, 0);
}

/*
 * The message goes with a FIN: the sandbox reads it and sees the end. What it sends then belongs to
 * no flow any more and is reset.
 */
static bool tell_sandbox(struct sl_worker *worker, const struct sl_flow *flow, const uint8_t *msg,
                         uint16_t len, uint32_t upto, enum sl_reason reason, unsigned weight)
{
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	struct sl_tcp_spec spec = {
	        .sport_be = flow->key.remote_port,
	        .dport_be = flow->key.inside_port,
	        .seq = dns->server_next,
	        .ack = dns->base_seq + upto,
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
	sl_build_tcp_send(worker, &path, mbuf, &spec, reason, weight);
	return true;
}

void sl_dns_tcp_close_both(struct sl_worker *worker, struct sl_flow *flow, const uint8_t *msg,
                           uint16_t len, uint32_t upto, enum sl_reason reason, unsigned weight)
{
	/* What stands for packets of the sandbox's is no refusal, and not limited as these are. */
	const struct sl_dns_stream *dns = sl_dns_stream_of(worker, flow);
	bool may = weight > 0 || sl_reject_may_answer(worker, flow->key.vlan);

	if (!may || !tell_sandbox(worker, flow, msg, len, upto, reason, weight))
		sl_count(worker, flow->key.vlan, SL_REASON_TX_FULL, weight);
	/* The server has, or will have, all that was let out. */
	flow->ack[1] = dns->base_seq + dns->released;
	sl_reject_reset(worker, flow, SL_PORT_UPLINK);
}
