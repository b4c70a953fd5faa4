/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mixing.c: two judged messages, combined into one that was not judged. h1 and h2 name
 * allowed servers and are of equal length; h1[:k] + h2[k:] names another one. h1 is judged and
 * lost, its first bytes are sent again, the gateway is made to forget it while the server's
 * connection lives on, and h2 is judged as a new connection, whose rest the server takes for the
 * old one's.
 *
 * All that leaves is reassembled here by the most permissive rule: from every frame, in any order,
 * with any of them lost (spec section 2, "a record outlives the entry").
 */
#include <stdlib.h>

#include "dns_build.h"
#include "scene.h"

#define FIRST  "ab.example"
#define SECOND "cd.example"
#define MIXED  "ad.example" /* FIRST up to its second letter, then SECOND */
#define POLICY "sandboxes: [{vlan: 101, policy: {allow: [" FIRST ", " SECOND "]}}]"
#define HTTP   CONFIG "inspect: {http: host}\n"
#define OTHER  "02:00:00:00:00:66" /* another host of the uplink's segment */
#define MINUTE 61

static const uint8_t early_data[64] = {23, 3, 3, 0, 20};
static struct hello first, second, mixed;
static uint8_t answer[128];
static size_t answer_len;
static size_t cut; /* from here on the mixed hello is the second one */

static int build_hellos(void **state)
{
	uint8_t msg[128];

	hello_for(&first, FIRST);
	hello_for(&second, SECOND);
	hello_for(&mixed, MIXED);
	answer_len = hello_record(22, msg, hello_server(false, msg), answer);
	assert_int_equal(first.len, second.len);
	assert_int_equal(first.len, mixed.len);
	while (first.bytes[cut] == mixed.bytes[cut])
		cut++;
	assert_memory_equal(mixed.bytes, first.bytes, cut);
	assert_memory_equal(mixed.bytes + cut, second.bytes + cut, mixed.len - cut);
	assert_int_not_equal(memcmp(mixed.bytes, second.bytes, cut), 0);
	return 0;
}

static struct conn opened(void)
{
	struct conn c = conn_of(gateway(POLICY));

	handshake(&c);
	return c;
}

/* A segment of the connection to this neighbour of the uplink. */
static enum sl_reason send_via(const struct conn *c, const char *mac, const struct seg *s)
{
	struct packet packet = segment(c, s);

	packet_mac(mac, packet.bytes);
	return inproc_send(c->gw, SANDBOX, &packet);
}

static void expect_next_hop(const struct packet_view *view, const char *mac)
{
	uint8_t want[6];

	packet_mac(mac, want);
	assert_memory_equal(view->dmac, want, 6);
}

/* ---- numbers stay on record ---- */

/* A reset ends a connection only at the number that the server expects next (RFC 5961 3.2). */
static void reset_that_the_server_ignores_ends_nothing(void **state)
{
	struct conn c = opened();
	const int64_t len = (int64_t)first.len;

	expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = 0), SL_REASON_NO_FLOW);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = len - 1), SL_REASON_NO_FLOW);
	/* all of it may be in flight: it is not known yet what the server expects */
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = len), SL_REASON_NO_FLOW);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_int_equal(inproc_stats(c.gw, 0)->flows, 1);
	expect(client(&c, 0, second.bytes, second.len), SL_REASON_STREAM_CONFLICT);
	inproc_free(c.gw);

	/* the honest twin: the reset passes once the server has acknowledged */
	c = opened();
	expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .ack = len);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = len), SL_REASON_DOMAIN_ALLOWED);
	expect_segment(from_end(c.gw, UPLINK, 0), TCP_RST, c.iss + 1 + (uint32_t)len, 0);
	inproc_free(c.gw);
}

/* The same number again while a server may still have state: refused, with an answer. */
static void numbers_of_an_ended_connection_are_refused(void **state)
{
	struct conn c = opened();

	expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .ack = (int64_t)first.len);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = (int64_t)first.len),
	       SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_STREAM_CONFLICT);
	expect(last_event(c.gw, false, SL_REASON_STREAM_CONFLICT)->reason,
	       SL_REASON_STREAM_CONFLICT);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
	/* nor a little before, so that the judged bytes would overlap */
	c.iss -= 50;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_STREAM_CONFLICT);
	c.iss += 50 + (uint32_t)first.len;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_STREAM_CONFLICT);
	/* an attempt in between changes nothing */
	c.iss += 1 << 20;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_NONE);
	c.iss -= 1 << 20;
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_STREAM_CONFLICT);
	/* numbers that were not used are free, and all are after a minute */
	c.iss += 1 << 20;
	handshake(&c);
	expect(client(&c, 0, second.bytes, second.len), SL_REASON_DOMAIN_ALLOWED);
	c.iss -= 1 << 20;
	inproc_advance_s(c.gw, MINUTE);
	handshake(&c);
	inproc_free(c.gw);
}

/* A connection that the gateway itself ended, or lost by its own timer, is on record alike. */
static void numbers_of_a_refused_connection_are_refused(void **state)
{
	for (int by_timer = 0; by_timer < 2; by_timer++) {
		struct conn c = opened();

		expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
		if (by_timer) /* nothing was acknowledged */
			inproc_advance_s(c.gw, 11);
		else
			expect(client(&c, 0, second.bytes, second.len), SL_REASON_STREAM_CONFLICT);
		inproc_clear(c.gw);
		expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_STREAM_CONFLICT);
		assert_int_equal(inproc_count(c.gw, UPLINK), 0);
		inproc_free(c.gw);
	}
}

/* After a proper close the ports may be used again at once, with any number. */
static void numbers_of_a_closed_connection_are_free(void **state)
{
	struct conn c = opened();
	const int64_t len = (int64_t)first.len, said = (int64_t)answer_len;

	expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .ack = len);
	expect(server(&c, 0, len, answer, answer_len), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = len, .ack = said);
	SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = said, .ack = len + 1);
	SEND(&c, CLIENT, .at = len + 1, .ack = said + 1);
	handshake(&c);
	expect(client(&c, 0, second.bytes, second.len), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* The server has a byte with the FIN's number, not the FIN, when it acknowledges the number. */
static void numbers_behind_a_fin_that_was_none_are_refused(void **state)
{
	for (int after = 0; after < 2; after++) {
		struct conn c = opened();
		const int64_t len = (int64_t)first.len, said = (int64_t)answer_len;

		expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
		SEND(&c, SERVER, .ack = len);
		expect(server(&c, 0, len, answer, answer_len), SL_REASON_DOMAIN_ALLOWED);
		if (!after)
			SEND(&c, CLIENT, .at = len, .ack = said, .bytes = "x", .len = 1);
		SEND(&c, CLIENT, .flags = TCP_FIN | TCP_ACK, .at = len, .ack = said);
		if (after)
			SEND(&c, CLIENT, .at = len, .ack = said, .bytes = "x", .len = 1);
		SEND(&c, SERVER, .flags = TCP_FIN | TCP_ACK, .at = said, .ack = len + 1);
		expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_STREAM_CONFLICT);
		inproc_free(c.gw);
	}
}

/*
 * After the verdict as before it: a reset that the server ignores does not end a live connection.
 */
static void reset_of_a_judged_flow_fits_exactly(void **state)
{
	static const int64_t off[] = {-1, 1, 1000, -1000, 1 << 20};
	struct conn c = opened();
	const int64_t len = (int64_t)first.len, said = (int64_t)answer_len;

	expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .ack = len);
	expect(server(&c, 0, len, answer, answer_len), SL_REASON_DOMAIN_ALLOWED);
	inproc_clear(c.gw);
	for (size_t i = 0; i < COUNT(off); i++) {
		ROW_NUMBER(off[i]);
		expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = len + off[i]), SL_REASON_NO_FLOW);
	}
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	expect(SEND(&c, CLIENT, .at = len, .ack = said, .bytes = "x", .len = 1),
	       SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .at = said, .ack = len + 1);
	expect(SEND(&c, CLIENT, .flags = TCP_RST, .at = len + 1), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A flow that was cut by a deny-all policy: its server may have missed the reset. */
static void numbers_of_a_cut_connection_are_refused(void **state)
{
	struct conn c = conn_of(gateway("sandboxes: [{vlan: 101}]"));

	handshake(&c);
	expect(client(&c, 0, first.bytes, cut), SL_REASON_ALLOW_ALL);
	assert_int_not_equal(inproc_push(c.gw, POLICY), 0);
	inproc_advance_s(c.gw, 1);
	inproc_clear(c.gw);
	expect(SEND(&c, CLIENT, .flags = TCP_SYN), SL_REASON_STREAM_CONFLICT);
	assert_int_equal(inproc_count(c.gw, UPLINK), 0);
	inproc_free(c.gw);
}

/* ---- frames keep to their next hop ---- */

/*
 * The SYN went to an unused MAC address; the router answered another SYN. Released bytes go to the
 * router.
 */
static void release_goes_where_the_answer_came_from(void **state)
{
	struct conn c = conn_of(gateway(POLICY));

	send_via(&c, OTHER, &(struct seg){CLIENT, .flags = TCP_SYN});
	SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK);
	send_via(&c, OTHER, &(struct seg){CLIENT});
	expect_next_hop(from_end(c.gw, UPLINK, 0), PKT_MAC_OUTER);
	expect(send_via(&c, OTHER, &(struct seg){CLIENT, .bytes = first.bytes, .len = first.len}),
	       SL_REASON_DOMAIN_ALLOWED);
	expect_next_hop(from_end(c.gw, UPLINK, 0), PKT_MAC_OUTER);
	inproc_free(c.gw);
}

/* After the verdict as before it, on the fast path as on the slow one. */
static void judged_flow_reaches_its_next_hop_alone(void **state)
{
	struct conn c = opened();
	const int64_t len = (int64_t)first.len;

	expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
	for (int fast = 0; fast < 2; fast++) {
		if (fast) {
			SEND(&c, SERVER, .ack = len);
			server(&c, 0, len, answer, answer_len);
		}
		expect(send_via(&c, OTHER,
		                &(struct seg){CLIENT, .bytes = first.bytes, .len = first.len}),
		       SL_REASON_DOMAIN_ALLOWED);
		expect_next_hop(from_end(c.gw, UPLINK, 0), PKT_MAC_OUTER);
		/* the honest twin: to the router it leaves as it came */
		expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
		expect_next_hop(from_end(c.gw, UPLINK, 0), PKT_MAC_OUTER);
	}
	inproc_free(c.gw);
}

/* "leave with a hop limit of at least 64 (lower ones are raised)"; higher ones stay. */
static void hop_limit_is_raised_for_names_alone(void **state)
{
	static const struct {
		uint8_t sent, left;
	} cases[] = {{1, 64}, {63, 64}, {64, 64}, {128, 128}, {255, 255}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conn c = conn_of(gateway(POLICY));
		const uint64_t ttl = PKT_SET(cases[i].sent);

		ROWF("hop limit %u", cases[i].sent);
		SEND(&c, CLIENT, .flags = TCP_SYN, .ttl = ttl);
		assert_int_equal(from_end(c.gw, UPLINK, 0)->ttl, cases[i].left);
		SEND(&c, SERVER, .flags = TCP_SYN | TCP_ACK);
		SEND(&c, CLIENT, .ttl = ttl);
		assert_int_equal(from_end(c.gw, UPLINK, 0)->ttl, cases[i].left);
		client(&c, 0, first.bytes, first.len);
		SEND(&c, SERVER, .ack = (int64_t)first.len);
		server(&c, 0, (int64_t)first.len, answer, answer_len);
		expect(SEND(&c, CLIENT, .at = (int64_t)first.len, .bytes = "x", .len = 1,
		            .ttl = ttl),
		       SL_REASON_DOMAIN_ALLOWED);
		assert_int_equal(from_end(c.gw, UPLINK, 0)->ttl, cases[i].left);
		assert_true(from_end(c.gw, UPLINK, 0)->ip_csum_ok);
		inproc_free(c.gw);
	}
	/* flows that need no name keep their hop limit: traceroute works */
	struct conn c = conn_of(gateway("sandboxes: [{vlan: 101}]"));

	expect(SEND(&c, CLIENT, .flags = TCP_SYN, .ttl = PKT_SET(1)), SL_REASON_ALLOW_ALL);
	assert_int_equal(from_end(c.gw, UPLINK, 0)->ttl, 1);
	inproc_free(c.gw);
}

/* ---- a name covers what was judged, and nothing else ---- */

/* The hello is judged and not acknowledged, the address opens, other bytes pass, it closes again.
 */
static void name_is_lost_once_the_address_was_open(void **state)
{
	for (int acknowledged = 0; acknowledged < 2; acknowledged++) {
		struct conn c = opened();
		const int64_t len = (int64_t)first.len;

		expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
		if (acknowledged) /* the server's answer is awaited */
			SEND(&c, SERVER, .ack = len);
		assert_int_not_equal(inproc_push(c.gw, "sandboxes: [{vlan: 101}]"), 0);
		expect(client(&c, 0, second.bytes, second.len), SL_REASON_ALLOW_ALL);
		assert_int_not_equal(inproc_push(c.gw, POLICY), 0);
		inproc_clear(c.gw);
		expect(client(&c, len, "more", 4), SL_REASON_POLICY_CHANGED);
		assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
		inproc_free(c.gw);
	}
}

/* The honest twin: the server has the hello, and the flow lives through both pushes. */
static void name_stays_with_an_answered_flow(void **state)
{
	struct conn c = opened();
	const int64_t len = (int64_t)first.len;

	expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
	SEND(&c, SERVER, .ack = len);
	expect(server(&c, 0, len, answer, answer_len), SL_REASON_DOMAIN_ALLOWED);
	assert_int_not_equal(inproc_push(c.gw, "sandboxes: [{vlan: 101}]"), 0);
	expect(client(&c, len, "more", 4), SL_REASON_ALLOW_ALL);
	assert_int_not_equal(inproc_push(c.gw, POLICY), 0);
	expect(client(&c, len + 4, "more", 4), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(c.gw);
}

/* A hello must not open a service that merely tolerates it: the answer must be TLS. */
static void server_that_speaks_no_tls_ends_the_flow(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} answers[] = {{"SSH-2.0-x\r\n", 11},
	               {"HTTP/1.1 400 Bad\r\n", 18},
	               {"\x16\x02\x00\x00\x05", 5},
	               {"\x17\x03\x03\x00\x05", 5},
	               {"\x16\x03\x03\x00\x00", 5},
	               {"\x16\x03\x03\xff\xff", 5},
	               {"-", 1}};

	for (size_t i = 0; i < COUNT(answers); i++)
		for (int pieces = 0; pieces < 2; pieces++) {
			struct conn c = opened();
			enum sl_reason reason = SL_REASON_NONE;

			ROWF("%s%s", answers[i].bytes, pieces ? " in pieces" : "");
			expect(client(&c, 0, first.bytes, first.len), SL_REASON_DOMAIN_ALLOWED);
			SEND(&c, SERVER, .ack = (int64_t)first.len);
			inproc_clear(c.gw);
			for (size_t at = 0; pieces && at < answers[i].len; at++) {
				reason = server(&c, (int64_t)at, (int64_t)first.len,
				                answers[i].bytes + at, 1);
				if (reason != SL_REASON_DOMAIN_ALLOWED)
					break;
			}
			if (!pieces)
				reason = server(&c, 0, (int64_t)first.len, answers[i].bytes,
				                answers[i].len);
			expect(reason, SL_REASON_NOT_TLS);
			last_event(c.gw, false, SL_REASON_NOT_TLS);
			assert_int_equal(from_end(c.gw, UPLINK, 0)->flags, TCP_RST | TCP_ACK);
			assert_int_equal(from_end(c.gw, SANDBOX, 0)->flags, TCP_RST | TCP_ACK);
			if (!pieces && answers[i].len > 1)
				assert_false(inproc_left(c.gw, SANDBOX, answers[i].bytes,
				                         answers[i].len));
			inproc_free(c.gw);
		}
}

/* ---- at random ---- */

#define LIVES 12 /* connections of one attack, on the same addresses and ports */

/*
 * A server as in RFC 9293: it has what it acknowledges, and it ignores resets with a wrong number.
 */
struct peer {
	bool open, known; /* known: it was open once */
	bool fin;         /* it has received the client's FIN */
	uint32_t iss, next, isn;
	uint32_t acked; /* what it has told the gateway that it has */
};

/* Two messages that are judged, and the one that the server must not read. */
struct mix {
	struct message {
		size_t len;
		uint8_t bytes[512];
	} first, second, mixed;
	const char *server;
	uint16_t dport;
	const uint8_t *answer; /* of the server's, once it has a message; NULL: it says nothing */
	size_t answer_len;
};

struct attack {
	const struct mix *mix;
	struct conn c;
	struct peer peer;
	uint32_t base;            /* number of the first byte of the first connection */
	uint32_t syn_acks[LIVES]; /* initial numbers of the client's that may still be answered */
	size_t syn_ack_count, frames;
	uint8_t seen[4096][256 / 8]; /* which bytes left at which number, from base on */
	unsigned judged;
};

static unsigned below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

/* The server gets a frame, or it is lost; the permissive reader gets it in any case. */
static void deliver(struct attack *a, const struct packet_view *view, bool lost)
{
	struct peer *peer = &a->peer;
	uint32_t at = view->seq - a->base;

	for (size_t i = 0; i < view->payload_len; i++)
		/* It has what it has acknowledged, and later bytes do not replace that. */
		if (at + i < COUNT(a->seen) &&
		    (!peer->known || (int32_t)(view->seq + (uint32_t)i - peer->acked) >= 0))
			a->seen[at + i][view->payload[i] / 8] |=
			        (uint8_t)(1 << view->payload[i] % 8);
	if (lost)
		return;
	if (view->flags & TCP_SYN) {
		if (!peer->open) {
			*peer = (struct peer){.open = true,
			                      .known = true,
			                      .iss = view->seq,
			                      .next = view->seq + 1,
			                      .isn = view->seq ^ 0x1234567,
			                      .acked = view->seq + 1};
			if (a->syn_ack_count < LIVES)
				a->syn_acks[a->syn_ack_count++] = view->seq;
		}
	} else if (peer->open && (view->flags & TCP_RST)) {
		peer->open = view->seq != peer->next;
	} else if (peer->open && view->seq == peer->next && !peer->fin) {
		peer->fin = view->flags & TCP_FIN;
		peer->next += (uint32_t)view->payload_len + peer->fin;
	}
}

static void take_frames(struct attack *a, unsigned *seed)
{
	for (; a->frames < inproc_count(a->c.gw, UPLINK); a->frames++)
		deliver(a, &inproc_frame(a->c.gw, UPLINK, a->frames)->view, below(seed, 3) == 0);
}

/* True if bytes that left, from any number on, read as the message that was not judged. */
static bool reads_mixed(const struct attack *a)
{
	const struct message *mixed = &a->mix->mixed;

	for (size_t from = 0; from + mixed->len <= COUNT(a->seen); from++) {
		size_t i = 0;

		while (i < mixed->len &&
		       (a->seen[from + i][mixed->bytes[i] / 8] >> mixed->bytes[i] % 8 & 1))
			i++;
		if (i == mixed->len)
			return true;
	}
	return false;
}

static void step(struct attack *a, unsigned *seed)
{
	static const int near[] = {0, 0, 0, 1, -1, 50, -50, 300};
	const struct message *hello = below(seed, 2) ? &a->mix->first : &a->mix->second;
	struct conn *c = &a->c;
	int64_t at = below(seed, 2) ? 0 : (int64_t)below(seed, (unsigned)hello->len);
	size_t n = below(seed, 2) ? hello->len - (size_t)at
	                          : 1 + below(seed, (unsigned)(hello->len - (size_t)at));
	uint32_t taken = a->peer.next - (c->iss + 1);

	c->irs = a->peer.open ? a->peer.isn : c->irs;
	switch (below(seed, 12)) {
	case 0:
		c->iss = a->base + 1000 + (uint32_t)near[below(seed, COUNT(near))];
		/* fall through */
	case 1:
		SEND(c, CLIENT, .flags = TCP_SYN, .ttl = PKT_SET(1 + below(seed, 64)));
		break;
	case 2:
		if (a->syn_ack_count > 0) { /* an old one may still be on its way */
			struct conn old = *c;

			old.iss = a->syn_acks[below(seed, (unsigned)a->syn_ack_count)];
			old.irs = old.iss ^ 0x1234567;
			SEND(&old, SERVER, .flags = TCP_SYN | TCP_ACK);
		}
		break;
	case 3:
		SEND(c, CLIENT, .flags = TCP_RST | (below(seed, 2) ? TCP_ACK : 0),
		     .at = below(seed, 2) ? (int64_t)taken : (int64_t)below(seed, 600));
		break;
	case 4:
		SEND(c, CLIENT, .flags = TCP_FIN | TCP_ACK,
		     .at = below(seed, 2) ? (int64_t)hello->len
		                          : (int64_t)taken - 1 + below(seed, 3));
		break;
	case 5:
	case 6:
		if (a->peer.open)
			a->peer.acked = a->peer.next;
		if (a->peer.open && a->peer.fin) {
			/*
			 * It has received everything, acknowledges that, and is gone: nothing can
			 * be added.
			 */
			server(c, 0, (int64_t)taken, NULL, 0);
			memset(a->seen, 0, sizeof(a->seen));
			a->peer.open = false;
			break;
		}
		if (a->peer.open && below(seed, 4) == 0)
			server(c, 0, (int64_t)taken, a->mix->answer, a->mix->answer_len);
		else if (a->peer.open)
			SEND(c, SERVER, .ack = (int64_t)taken);
		break;
	case 7:
		if (below(seed, 8) == 0)
			inproc_advance_s(c->gw, 1 + below(seed, 12));
		break;
	case 8: /* after a hello: early data, or the other hello in its place */
		if (below(seed, 2))
			client(c, (int64_t)(hello->len + below(seed, 8)),
			       below(seed, 2) ? early_data : hello->bytes, 1 + below(seed, 40));
		else
			SEND(c, CLIENT);
		break;
	default:
		switch ((int)client(c, at, hello->bytes + at, n)) {
		case SL_REASON_DOMAIN_ALLOWED:
		case SL_REASON_DNS_ALLOWED:
			a->judged++;
		}
		break;
	}
	take_frames(a, seed);
}

/* Random attacks with random loss: no message can be assembled that was not judged. */
static void attack_at_random(const struct mix *mix)
{
	const char *text = getenv("SLUICE_MIXING_RUNS");
	unsigned runs = text != NULL ? (unsigned)atoi(text) : 60, judged = 0;

	for (unsigned run = 0; run < runs; run++) {
		static struct attack a;
		unsigned seed = run + 1;

		memset(&a, 0, sizeof(a));
		a.mix = mix;
		a.c = conn_of(inproc_create_with(&(struct inproc_options){
		        .policy = POLICY, .config = HTTP, .relaxed = true}));
		a.c.server = mix->server;
		a.c.dport = mix->dport;
		a.base = a.c.iss;
		a.c.iss += 1000;
		for (int i = 0; i < 300; i++)
			step(&a, &seed);
		if (reads_mixed(&a)) {
			print_error("seed %u\n", run + 1);
			fail();
		}
		judged += a.judged;
		inproc_free(a.c.gw);
	}
	assert_true(judged > runs / 2); /* the attacks do get somewhere */
}

static struct message message_of(const void *bytes, size_t len)
{
	struct message message = {.len = len};

	assert_true(len <= sizeof(message.bytes));
	memcpy(message.bytes, bytes, len);
	return message;
}

static void no_two_judged_hellos_make_a_third(void **state)
{
	struct mix mix = {.first = message_of(first.bytes, first.len),
	                  .second = message_of(second.bytes, second.len),
	                  .mixed = message_of(mixed.bytes, mixed.len),
	                  .server = "198.51.100.10",
	                  .dport = 443,
	                  .answer = answer,
	                  .answer_len = answer_len};

	attack_at_random(&mix);
}

static struct message request_for(const char *name)
{
	char text[200];

	return message_of(text, (size_t)snprintf(text, sizeof(text),
	                                         "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name));
}

/*
 * Bytes after a judged request pass freely: the attacks send none, only requests in their place.
 */
static void no_two_judged_requests_make_a_third(void **state)
{
	static const uint8_t ok[] = "HTTP/1.1 200 OK\r\n\r\n";
	struct mix mix = {.first = request_for(FIRST),
	                  .second = request_for(SECOND),
	                  .mixed = request_for(MIXED),
	                  .server = "198.51.100.10",
	                  .dport = 80,
	                  .answer = ok,
	                  .answer_len = sizeof(ok) - 1};

	attack_at_random(&mix);
}

/* A query with its length prefix, and one option of these bytes if there are any. */
static struct message query_for(const char *name, const struct message *option)
{
	static struct dns_message dns;
	uint8_t bytes[512] = {0xfd, 0xe9}; /* for local use (RFC 6891 9) */

	dns_begin(&dns, 0x0101, DNS_RD);
	dns_question(&dns, name, DNS_A);
	if (option != NULL) {
		bytes[3] = (uint8_t)option->len;
		memcpy(bytes + 4, option->bytes, option->len);
		dns_opt(&dns, 1232, 0, bytes, 4 + option->len);
	}
	bytes[0] = (uint8_t)(dns.len >> 8);
	bytes[1] = (uint8_t)dns.len;
	memcpy(bytes + 2, dns.bytes, dns.len);
	return message_of(bytes, dns.len + 2);
}

static struct mix queries(const struct message *option)
{
	static const uint8_t nobody_asked[] = {0, 12, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0};

	return (struct mix){.first = query_for(FIRST, NULL),
	                    .second = query_for(SECOND, option),
	                    .mixed = query_for(MIXED, NULL),
	                    .server = "203.0.113.53",
	                    .dport = 53,
	                    .answer = nobody_asked,
	                    .answer_len = sizeof(nobody_asked)};
}

static void no_two_judged_queries_make_a_third(void **state)
{
	struct mix mix = queries(NULL);

	attack_at_random(&mix);
}

/* The whole of the third one travels in an option of the second. */
static void no_option_of_a_judged_query_is_read_as_one(void **state)
{
	struct mix mix = queries(NULL);

	mix = queries(&mix.mixed);
	attack_at_random(&mix);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(reset_that_the_server_ignores_ends_nothing),
	        TEST(numbers_of_an_ended_connection_are_refused),
	        TEST(numbers_of_a_refused_connection_are_refused),
	        TEST(numbers_of_a_closed_connection_are_free),
	        TEST(numbers_behind_a_fin_that_was_none_are_refused),
	        TEST(reset_of_a_judged_flow_fits_exactly),
	        TEST(numbers_of_a_cut_connection_are_refused),
	        TEST(release_goes_where_the_answer_came_from),
	        TEST(judged_flow_reaches_its_next_hop_alone),
	        TEST(hop_limit_is_raised_for_names_alone),
	        TEST(name_is_lost_once_the_address_was_open),
	        TEST(name_stays_with_an_answered_flow),
	        TEST(server_that_speaks_no_tls_ends_the_flow),
	        TEST(no_two_judged_hellos_make_a_third),
	        TEST(no_two_judged_requests_make_a_third),
	        TEST(no_two_judged_queries_make_a_third),
	        TEST(no_option_of_a_judged_query_is_read_as_one),
	};

	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
