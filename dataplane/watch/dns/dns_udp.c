/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_udp.c: DNS over UDP (spec section 4). A query leaves rebuilt, an answer is believed once. No
 * byte of the sandbox's own message may leave, and no answer may enter that was not asked for.
 *
 * The sandbox's datagram is not forwarded: what leaves is a new frame with the name, the type and
 * an OPT if the client sent one, with an id and a letter case that the gateway chose at random. The
 * answer is forwarded itself, with the sandbox's id and case put back.
 *
 * Settles with: dns-allowed, dns-name-not-allowed, malformed-dns, hold-limit, flow-limit,
 * policy-changed, no-flow (an answer that was not asked for), tx-full.
 */
#include "dns.h"

#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "flow/names.h"
#include "packet/parse.h"
#include "flow/flows.h"
#include "flow/reject.h"
#include "gate.h"
#include "packet/build.h"
#include "flow/verdict.h"

#define MISMATCHES_MAX 8

static uint32_t *pending_of(struct sl_worker *worker, const struct sl_flow *flow)
{
	return sl_watch_kept(worker, flow, SL_WATCH_DNS_UDP);
}

static void end(struct sl_worker *worker, struct sl_flow *flow, enum sl_reason reason)
{
	sl_dns_pending_free_all(worker, pending_of(worker, flow));
}

/* ---- frames ---- */

static bool send_message(struct sl_worker *worker, const struct sl_path *path,
                         const struct sl_key *key, const uint8_t *msg, size_t len,
                         struct sl_charge charge)
{
	bool out = path->out == SL_PORT_UPLINK;
	uint32_t bytes = (uint32_t)(sizeof(struct rte_udp_hdr) + len);
	struct rte_udp_hdr *udp;
	struct rte_mbuf *mbuf;
	uint8_t *transport;

	mbuf = sl_build_frame(worker, path, IPPROTO_UDP, bytes, &transport);
	if (mbuf == NULL)
		return false;
	udp = (struct rte_udp_hdr *)transport;
	udp->src_port = out ? key->inside_port : key->remote_port;
	udp->dst_port = out ? key->remote_port : key->inside_port;
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)bytes);
	memcpy(udp + 1, msg, len);
	sl_build_checksum(mbuf, path, IPPROTO_UDP, bytes,
	                  offsetof(struct rte_udp_hdr, dgram_cksum));
	sl_build_send(worker, path, mbuf, charge);
	return true;
}

/* The packet's content was sent in a frame of the gateway's, which counts in its place. */
static void settle_as_sent(struct sl_pkt *pkt)
{
	pkt->reason = SL_REASON_DNS_ALLOWED;
	pkt->fate = SL_FATE_HELD;
}

static bool send_reply(struct sl_worker *worker, const struct sl_pkt *pkt,
                       const struct sl_dns_query *query, enum sl_dns_rcode rcode,
                       enum sl_dns_ede ede, const char *text, struct sl_charge charge)
{
	uint8_t reply[SL_DNS_REPLY_MAX_BYTES];
	size_t len = sl_dns_reply_build(query, rcode, ede, text, reply, sizeof(reply));
	struct sl_path path;

	if (len == 0)
		return false;
	sl_build_path_back(pkt, &path);
	return send_message(worker, &path, &pkt->key, reply, len, charge);
}

/* EDE "Blocked", with the reason as text (RFC 8914 4.16). */
static bool send_refusal(struct sl_worker *worker, const struct sl_pkt *pkt,
                         const struct sl_dns_query *query)
{
	return send_reply(worker, pkt, query,
	                  worker->settings->refuse_nxdomain ? SL_DNS_NXDOMAIN : SL_DNS_REFUSED,
	                  SL_DNS_EDE_BLOCKED, sl_reason_name((enum sl_reason)pkt->reason),
	                  SL_CHARGE_NOTHING);
}

bool sl_dns_refusal(struct sl_worker *worker, const struct sl_pkt *pkt)
{
	struct sl_dns_query query;

	if (pkt->proto != IPPROTO_UDP || pkt->fragment || pkt->in_port != SL_PORT_SANDBOX ||
	    pkt->key.remote_port != RTE_BE16(SL_DNS_PORT) ||
	    sl_dns_query_parse(sl_dns_payload(worker, pkt), pkt->payload_len, &query) !=
	            SL_PARSE_DONE)
		return false;
	return send_refusal(worker, pkt, &query);
}

/* ---- from the sandbox ---- */

/* Sends the rebuilt query, with the id and case of a pending query. */
static bool send_query(struct sl_worker *worker, struct sl_pkt *pkt,
                       const struct sl_dns_query *asked, uint16_t id,
                       const struct sl_dns_case *letter_case, struct sl_dns_question *sent)
{
	uint8_t msg[SL_DNS_QUERY_MAX_BYTES];
	size_t len = sl_dns_query_build(asked, id, letter_case, msg, sizeof(msg), sent);
	struct sl_path path;

	if (len == 0)
		return false;
	sl_build_path_on(pkt, &path);
	return send_message(worker, &path, &pkt->key, msg, len,
	                    (struct sl_charge){SL_REASON_DNS_ALLOWED, 1});
}

/* Chooses id and case of a new query and sends it. False: it cannot leave, *why says why. */
static bool send_new(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_flow *flow,
                     const struct sl_dns_query *asked, enum sl_reason *why)
{
	struct sl_dns_case letter_case = asked->letter_case;
	uint16_t id = asked->question.id;
	uint32_t index =
	        sl_dns_pending_make(worker, pkt->sandbox, flow, pending_of(worker, flow), asked);

	*why = SL_REASON_RATE_LIMIT;
	if (index == 0)
		return false;
	*why = SL_REASON_HOLD_LIMIT;
	if (worker->settings->dns_rewrite &&
	    (!sl_dns_random(worker, &id, sizeof(id)) ||
	     (worker->settings->dns_mix_case &&
	      !sl_dns_random(worker, &letter_case, sizeof(letter_case))))) {
		sl_dns_pending_free(worker, pending_of(worker, flow), index);
		return false;
	}
	*why = SL_REASON_TX_FULL;
	if (!send_query(worker, pkt, asked, id, &letter_case,
	                &sl_dns_pending_at(worker, index)->sent)) {
		sl_dns_pending_free(worker, pending_of(worker, flow), index);
		return false;
	}
	sl_dns_pending_at(worker, index)->sent.any_case = !worker->settings->dns_mix_case;
	sl_dns_pending_sent(worker, index);
	settle_as_sent(pkt);
	return true;
}

/*
 * A repeated query is sent with the same id and case as the first, so that an answer to either
 * matches.
 */
static bool send_again(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t index,
                       const struct sl_dns_query *asked, enum sl_reason *why)
{
	struct sl_query *query = sl_dns_pending_at(worker, index);
	struct sl_dns_case letter_case = {0};

	for (unsigned i = 0; i < query->sent.name_bytes; i++)
		if (query->sent.name[i] >= 'A' && query->sent.name[i] <= 'Z')
			letter_case.bits[i / 64] |= 1ull << (i % 64);
	*why = SL_REASON_TX_FULL;
	if (!send_query(worker, pkt, asked, query->sent.id, &letter_case, NULL))
		return false;
	sl_dns_pending_renew(worker, pkt->sandbox, index);
	settle_as_sent(pkt);
	return true;
}

/* True if the query may leave; otherwise settles the packet. */
static bool may_leave(struct sl_worker *worker, struct sl_pkt *pkt, struct sl_dns_query *query)
{
	const uint8_t *msg;
	struct sl_proof proof;

	/*
	 * Checked before the message is parsed, and never answered: a client must not take the
	 * limit for a refusal of the name.
	 */
	if (!sl_dns_may_ask(worker, pkt->vlan)) {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_RATE_LIMIT);
		return false;
	}
	msg = sl_dns_payload(worker, pkt);
	switch (sl_dns_judge(worker, pkt->sandbox, msg, pkt->payload_len, query)) {
	case SL_QUERY_MALFORMED:
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_MALFORMED_DNS);
		return false;
	case SL_QUERY_REFUSED:
		proof = sl_dns_proof(query);
		sl_verdict_refuse(worker, pkt, SL_REASON_DNS_NAME_NOT_ALLOWED, &proof);
		pkt->quiet = true; /* it is not answered by ICMP */
		if (sl_reject_may_answer(worker, pkt->vlan))
			send_refusal(worker, pkt, query);
		return false;
	case SL_QUERY_STRIPPED:
		proof = sl_dns_proof(query);
		if (!send_reply(worker, pkt, query, SL_DNS_NOERROR, SL_DNS_EDE_NONE, NULL,
		                (struct sl_charge){SL_REASON_DNS_ALLOWED, 1})) {
			sl_pkt_drop_quietly(pkt, SL_REASON_TX_FULL);
			return false;
		}
		settle_as_sent(pkt);
		sl_verdict_report(worker, pkt, true, SL_REASON_DNS_ALLOWED, &proof);
		return false;
	case SL_QUERY_ALLOWED:
		break;
	}
	return true;
}

/* Drops an allowed query for which there is no room. No answer, since its name was not refused. */
static void drop_unsent(struct sl_worker *worker, struct sl_pkt *pkt, enum sl_reason reason,
                        const struct sl_proof *proof)
{
	sl_verdict_refuse(worker, pkt, reason, proof);
	pkt->quiet = true;
}

static void first(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_dns_query query;
	struct sl_proof proof;
	struct sl_flow *flow;
	enum sl_reason reason;

	if (!may_leave(worker, pkt, &query))
		return;
	flow = sl_flow_open(worker, pkt, &pkt->key);
	if (flow == NULL)
		return;
	flow->watch = SL_WATCH_DNS_UDP;
	sl_flow_touch(worker, flow);
	proof = sl_dns_proof(&query);
	if (!send_new(worker, pkt, flow, &query, &reason)) {
		sl_flow_close(worker, flow, reason);
		pkt->flow = NULL;
		drop_unsent(worker, pkt, reason, &proof);
		return;
	}
	/* The pending query holds the name: there is room for it. */
	sl_verdict_flow(worker, flow, SL_REASON_DNS_ALLOWED, &proof);
}

static void walk_query(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_dns_query query;
	struct sl_proof proof;
	enum sl_reason reason;
	uint32_t again;
	bool sent;

	if (!may_leave(worker, pkt, &query))
		return;
	proof = sl_dns_proof(&query);
	again = sl_dns_pending_find(worker, pkt->flow, &query);
	sent = again != 0 ? send_again(worker, pkt, again, &query, &reason)
	                  : send_new(worker, pkt, pkt->flow, &query, &reason);
	if (!sent) {
		drop_unsent(worker, pkt, reason, &proof);
		return;
	}
	sl_flow_touch(worker, pkt->flow);
	sl_verdict_report(worker, pkt, true, SL_REASON_DNS_ALLOWED, &proof);
}

/* ---- from the resolver ---- */

/*
 * True if this many answers failed, its own mismatches and those that may have been meant for any
 * query.
 */
static bool is_guessed_at(const struct sl_worker *worker, const struct sl_flow *flow,
                          const struct sl_query *query)
{
	return query->mismatches + (sl_flow_cold(&worker->table, flow)->mismatches -
	                            query->mismatches_before) >=
	       MISMATCHES_MAX;
}

/*
 * Counts an answer with a wrong id. After eight mismatches a query is forgotten, so that an
 * attacker cannot go on guessing. A wrong id may have been meant for any query of the flow, so
 * these are counted for the flow, and checked one time in eight, so that guesses cost the worker
 * little.
 */
static void count_wrong_id(struct sl_worker *worker, struct sl_flow *flow)
{
	uint32_t index = *pending_of(worker, flow), next;

	if (++sl_flow_cold(&worker->table, flow)->mismatches % MISMATCHES_MAX != 0)
		return;
	for (; index != 0; index = next) {
		next = sl_dns_pending_at(worker, index)->next;
		if (is_guessed_at(worker, flow, sl_dns_pending_at(worker, index)))
			sl_dns_pending_free(worker, pending_of(worker, flow), index);
	}
}

/*
 * Counts a wrong question or malformed message against the queries with its id. False: there are
 * none.
 */
static bool count_wrong_message(struct sl_worker *worker, struct sl_flow *flow, uint16_t id)
{
	uint32_t index = sl_dns_pending_with_id(worker, flow, id, 0), next;
	bool any = index != 0;

	for (; index != 0; index = next) {
		struct sl_query *query = sl_dns_pending_at(worker, index);

		next = sl_dns_pending_with_id(worker, flow, id, index);
		query->mismatches++;
		if (is_guessed_at(worker, flow, query))
			sl_dns_pending_free(worker, pending_of(worker, flow), index);
	}
	return any;
}

/* Writes bytes into the packet's payload, across the segments of the mbuf. */
static void write_payload(const struct sl_pkt *pkt, const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *mbuf = pkt->mbuf;
	uint32_t off = pkt->payload_off;

	while (off >= mbuf->data_len) {
		off -= mbuf->data_len;
		mbuf = mbuf->next;
	}
	while (len > 0) {
		size_t piece = RTE_MIN(len, (size_t)(mbuf->data_len - off));

		memcpy(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, off), bytes, piece);
		bytes += piece;
		len -= piece;
		off = 0;
		mbuf = mbuf->next;
	}
}

/* RFC 1624 3, equation 3; both texts begin at an even offset and are equally long. */
static void update_checksum(const struct sl_pkt *pkt, const uint8_t *before, const uint8_t *after,
                            size_t len)
{
	struct rte_udp_hdr *udp = sl_pkt_at(pkt, struct rte_udp_hdr, pkt->l4_off);
	uint32_t sum;

	if (udp->dgram_cksum == 0) /* none (RFC 768) */
		return;
	sum = (uint16_t)~udp->dgram_cksum;
	sum += (uint16_t)~rte_raw_cksum(before, len);
	sum += rte_raw_cksum(after, len);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	udp->dgram_cksum = (uint16_t)~sum == 0 ? 0xffff : (uint16_t)~sum;
}

/* Restores the sandbox's id and letter case in the packet. The message has been parsed. */
static void restore_question(const struct sl_pkt *pkt, const uint8_t *msg,
                             const struct sl_query *query)
{
	uint8_t question[SL_DNS_HEADER_BYTES + SL_DNS_NAME_WIRE_MAX + 4];
	size_t len = SL_DNS_HEADER_BYTES + query->sent.name_bytes + 4u;
	uint8_t before[sizeof(question)];

	memcpy(before, msg, len);
	memcpy(question, msg, len);
	sl_dns_question_restore(question, len, query->client_id, &query->client_case);
	if (memcmp(question, before, len) == 0)
		return;
	update_checksum(pkt, before, question, len);
	write_payload(pkt, question, len);
}

/* Accepts an answer: its addresses are pinned before it is forwarded, and the query is freed. */
static void settle_answer(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t index,
                          const uint8_t *msg, bool allowed)
{
	if (allowed) {
		restore_question(pkt, msg, sl_dns_pending_at(worker, index));
		sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
	} else {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_POLICY_CHANGED);
	}
	sl_dns_pending_free(worker, pending_of(worker, pkt->flow), index);
}

/* If a resolver answers in its own letter case, no name resolves: control logs which one it is. */
static void count_own_case(struct sl_worker *worker, const struct sl_flow *flow)
{
	struct sl_addr resolver;

	sl_key_remote(&flow->key, &resolver);
	for (unsigned i = 0; i < worker->settings->resolver_count; i++)
		if (sl_addr_equal(&worker->settings->resolvers[i], &resolver))
			worker->stats->own_case[i]++;
}

/* A resolver's FORMERR: it is forwarded to the client, and pins nothing. */
static void settle_formerr(struct sl_worker *worker, struct sl_pkt *pkt, uint32_t index)
{
	struct sl_query *query = sl_dns_pending_at(worker, index);
	uint8_t before[2] = {(uint8_t)(query->sent.id >> 8), (uint8_t)query->sent.id};
	uint8_t after[2] = {(uint8_t)(query->client_id >> 8), (uint8_t)query->client_id};

	if (sl_dns_pending_allowed(worker, pkt->sandbox, query)) {
		update_checksum(pkt, before, after, sizeof(before));
		write_payload(pkt, after, sizeof(after));
		sl_pkt_forward(pkt, SL_REASON_DNS_ALLOWED);
	} else {
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_POLICY_CHANGED);
	}
	sl_dns_pending_free(worker, pending_of(worker, pkt->flow), index);
}

static void walk_answer(struct sl_worker *worker, struct sl_pkt *pkt)
{
	const uint8_t *msg = sl_dns_payload(worker, pkt);
	enum sl_reason reason = SL_REASON_NO_FLOW;
	uint32_t index;
	uint16_t id;
	bool allowed;

	if (pkt->payload_len < SL_DNS_HEADER_BYTES) {
		count_wrong_id(worker, pkt->flow);
		sl_verdict_refuse_quietly(worker, pkt, SL_REASON_MALFORMED_DNS);
		return;
	}
	id = sl_dns_message_id(msg);
	for (index = sl_dns_pending_with_id(worker, pkt->flow, id, 0); index != 0;
	     index = sl_dns_pending_with_id(worker, pkt->flow, id, index)) {
		struct sl_query *query = sl_dns_pending_at(worker, index);

		if (sl_due(worker, query->deadline.due_ms) ||
		    is_guessed_at(worker, pkt->flow, query))
			continue;
		if (sl_dns_is_bare_formerr(msg, pkt->payload_len)) {
			settle_formerr(worker, pkt, index);
			return;
		}
		allowed = sl_dns_pending_allowed(worker, pkt->sandbox, query);
		switch (sl_dns_answer_pin(worker, pkt->sandbox, msg, pkt->payload_len, &query->sent,
		                          query->name, allowed)) {
		case SL_PARSE_DONE:
			settle_answer(worker, pkt, index, msg, allowed);
			return;
		case SL_PARSE_BAD:
		case SL_PARSE_MORE:
			reason = SL_REASON_MALFORMED_DNS;
			break;
		case SL_PARSE_NOT_MINE:
			if (sl_dns_answer_own_case(msg, pkt->payload_len, &query->sent))
				count_own_case(worker, pkt->flow);
			break;
		}
	}
	if (!count_wrong_message(worker, pkt->flow, id))
		count_wrong_id(worker, pkt->flow);
	sl_verdict_refuse_quietly(worker, pkt, reason);
}

/*
 * A later policy allows the resolver's address for any content. Answers to rebuilt queries still
 * get the client's id and case back; once none is pending, the flow becomes an ordinary one.
 */
static void walk_opened_up(struct sl_worker *worker, struct sl_pkt *pkt)
{
	struct sl_flow *flow = pkt->flow;
	const uint8_t *msg = sl_dns_payload(worker, pkt);
	uint32_t index = 0;

	if (*pending_of(worker, flow) == 0) {
		flow->watch = SL_WATCH_NONE;
		sl_verdict_set_fast(worker, flow);
	}
	if (pkt->in_port == SL_PORT_UPLINK && pkt->payload_len >= SL_DNS_HEADER_BYTES)
		index = sl_dns_pending_with_id(worker, flow, sl_dns_message_id(msg), 0);
	for (; index != 0;
	     index = sl_dns_pending_with_id(worker, flow, sl_dns_message_id(msg), index)) {
		struct sl_query *query = sl_dns_pending_at(worker, index);

		if (sl_dns_answer_pin(worker, pkt->sandbox, msg, pkt->payload_len, &query->sent,
		                      query->name, false) == SL_PARSE_DONE) {
			restore_question(pkt, msg, query);
			sl_dns_pending_free(worker, pending_of(worker, flow), index);
			break;
		}
	}
	sl_flow_touch(worker, flow);
	sl_pkt_forward(pkt, (enum sl_reason)flow->reason);
}

static void walk(struct sl_worker *worker, struct sl_pkt *pkt)
{
	if (sl_flow_is_by_address(pkt->flow))
		walk_opened_up(worker, pkt);
	else if (pkt->in_port == SL_PORT_SANDBOX)
		walk_query(worker, pkt);
	else
		walk_answer(worker, pkt);
}

static uint32_t idle_ms(const struct sl_settings *settings)
{
	return settings->dns_ms;
}

const struct sl_watcher sl_dns_udp_watcher = {
        .create = sl_dns_create,
        .destroy = sl_dns_destroy,
        .first = first,
        .walk = walk,
        .end = end,
        .allows = sl_dns_allows,
        .idle_ms = idle_ms,
        .timeouts = sl_dns_pending_timeouts,
};
