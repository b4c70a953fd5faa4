/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_early_random.c: hellos, early data and retries with losses on both sides of the gateway, by
 * chance. An honest client is never cut, and gets all it sends to the server. Whatever a client
 * sends, no server that takes bytes as they come reads a hello of another name.
 *
 * Environment: SLUICE_SEED, SLUICE_RUNS.
 */
#include <stdlib.h>

#include "hold_scene.h"

#define STREAM_MAX  4096
#define SEGMENT_MAX 1200

static uint64_t random_state;

static uint32_t chance(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % n;
}

static unsigned setting(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* What a client means to send. */
struct stream {
	uint8_t bytes[STREAM_MAX];
	size_t len;
};

static void put(struct stream *stream, const void *bytes, size_t len)
{
	assert_true(stream->len + len <= STREAM_MAX);
	memcpy(stream->bytes + stream->len, bytes, len);
	stream->len += len;
}

static void put_early(struct stream *stream, unsigned records)
{
	for (unsigned i = 0; i < records; i++) {
		uint8_t record[128] = {23, 3, 3, 0, (uint8_t)(1 + chance(120))};

		if (chance(4) == 0)
			memcpy(record, "\x14\3\3\0\1\1", 6);
		put(stream, record, 5u + record[4]);
	}
}

/* A server that takes what comes, in any order. */
struct peer {
	struct conn c;
	size_t looked; /* frames at the uplink */
	size_t got;    /* frames at the sandbox */
	uint8_t bytes[2 * STREAM_MAX];
	uint8_t have[2 * STREAM_MAX];
	bool last_wins;
	size_t acked; /* bytes without a gap */
	bool fin, reset, retries;
	uint8_t answer[512];
	size_t answer_len;
	size_t answered;   /* when it began */
	size_t client_has; /* of the answer */
	size_t client_acked;
	bool client_reset;
};

static void server_takes(struct peer *peer, unsigned loss)
{
	for (; peer->looked < inproc_count(peer->c.gw, UPLINK); peer->looked++) {
		const struct packet_view *view =
		        &inproc_frame(peer->c.gw, UPLINK, peer->looked)->view;
		uint32_t at = view->seq - (peer->c.iss + 1);

		if (!is_of(&peer->c, view, true) || chance(100) < loss)
			continue;
		if (view->flags & TCP_RST)
			peer->reset = true;
		for (size_t i = 0; i < view->payload_len && at + i < sizeof(peer->bytes); i++)
			if (at + i >= peer->acked && (!peer->have[at + i] || peer->last_wins)) {
				peer->have[at + i] = 1;
				peer->bytes[at + i] = view->payload[i];
			}
		while (peer->have[peer->acked])
			peer->acked++;
	}
}

static void server_says(struct peer *peer)
{
	size_t from = chance(2) ? peer->client_has : 0, n;

	if (peer->acked < good.len || chance(3) == 0) {
		SEND(&peer->c, SERVER, .at = (int64_t)(peer->acked < good.len ? 0 : from),
		     .ack = (int64_t)peer->acked);
		return;
	}
	n = peer->answer_len - from;
	if (chance(2))
		n = chance((uint32_t)n + 1);
	if (n == 0)
		n = peer->answer_len - from;
	server(&peer->c, (int64_t)from, (int64_t)peer->acked, peer->answer + from, n);
}

static void client_takes(struct peer *peer, unsigned loss)
{
	for (; peer->got < inproc_count(peer->c.gw, SANDBOX); peer->got++) {
		const struct packet_view *view =
		        &inproc_frame(peer->c.gw, SANDBOX, peer->got)->view;
		uint32_t at = view->seq - (peer->c.irs + 1);
		uint32_t ack = view->ack - (peer->c.iss + 1);

		if (!is_of(&peer->c, view, false) || chance(100) < loss)
			continue;
		if (view->flags & TCP_RST)
			peer->client_reset = true;
		if (at <= peer->client_has && at + view->payload_len > peer->client_has)
			peer->client_has = at + view->payload_len;
		if (ack < 1u << 20 && ack > peer->client_acked)
			peer->client_acked = ack;
	}
}

/* The hellos in what the server has; false: another name's, or anything else. */
static bool only_good_hellos(const struct peer *peer)
{
	size_t at = good.len;

	if (memcmp(peer->bytes, good.bytes, peer->acked < good.len ? peer->acked : good.len) != 0)
		return false;
	if (!peer->retries)
		return true;
	while (at + 5 <= peer->acked &&
	       (peer->bytes[at] == 20 || peer->bytes[at] == 23 || peer->bytes[at] == 21))
		at += 5u + ((size_t)peer->bytes[at + 3] << 8 | peer->bytes[at + 4]);
	if (at + 5 > peer->acked)
		return true;
	return memcmp(peer->bytes + at, good.bytes,
	              peer->acked - at < good.len ? peer->acked - at : good.len) == 0;
}

static void begin(struct peer *peer, bool retries)
{
	memset(peer, 0, sizeof(*peer));
	peer->c = opened();
	peer->looked = inproc_count(peer->c.gw, UPLINK);
	peer->got = inproc_count(peer->c.gw, SANDBOX);
	peer->retries = retries;
	if (retries) {
		memcpy(peer->answer, retry, retry_len);
		peer->answer_len = retry_len;
	}
	memcpy(peer->answer + peer->answer_len, server_hello, server_hello_len);
	if (!retries)
		peer->answer_len += server_hello_len;
}

static void fail_run(unsigned run, const struct peer *peer, const char *what)
{
	print_error("run %u (retries %d): %s; server has %zu, client %zu\n", run, peer->retries,
	            what, peer->acked, peer->client_acked);
	for (size_t i = 0; i < inproc_event_count(peer->c.gw); i++)
		print_error("  event %s\n",
		            sl_reason_name((enum sl_reason)inproc_event(peer->c.gw, i)->reason));
	fail();
}

static void honest_client_is_never_cut(void **state)
{
	unsigned runs = setting("SLUICE_RUNS", 60);

	for (unsigned run = 0; run < runs; run++) {
		static struct peer peer;
		static struct stream all;
		unsigned loss = chance(2) ? 0 : chance(40);
		size_t early_end, mss = 1 + chance(chance(2) ? 60 : 600), sent_max = 0;
		bool second = false;
		unsigned turn;

		random_state ^= run * 7919u;
		begin(&peer, chance(2));
		all.len = 0;
		put(&all, good.bytes, good.len);
		put_early(&all, chance(8));
		early_end = all.len;
		for (turn = 0; turn < 4000; turn++) {
			size_t at, n, end = all.len;

			/* the answer tells what follows */
			if (!second && peer.client_has >= peer.answer_len) {
				second = true;
				if (peer.retries) /* early data that was not sent is not */
					all.len = sent_max > good.len ? sent_max : good.len;
				if (peer.retries && all.len < early_end)
					all.len = early_end; /* a record is ended */
				put(&all, good.bytes, good.len);
				put(&all, "more", 4);
				end = all.len;
			}
			if (second && peer.client_acked == end)
				break;
			at = chance(3) ? peer.client_acked
			               : peer.client_acked +
			                         chance((uint32_t)(end - peer.client_acked) + 1);
			if (at > sent_max)
				at = sent_max;
			n = end - at < mss ? end - at : mss;
			if (chance(100) >= loss)
				SEND(&peer.c, CLIENT, .at = (int64_t)(n > 0 ? at : sent_max),
				     .ack = (int64_t)peer.client_has, .bytes = all.bytes + at,
				     .len = n);
			if (at + n > sent_max)
				sent_max = at + n;
			server_takes(&peer, loss);
			if (chance(2))
				server_says(&peer);
			client_takes(&peer, loss);
			inproc_advance_us(peer.c.gw, 1000);
			if (peer.client_reset || peer.reset)
				fail_run(run, &peer, "cut");
			if (memcmp(peer.bytes, all.bytes, peer.acked) != 0)
				fail_run(run, &peer, "other bytes");
		}
		if (turn == 4000)
			fail_run(run, &peer, "stuck");
		assert_int_equal(inproc_held(peer.c.gw), 0);
		assert_true(only_good_hellos(&peer));
		inproc_free(peer.c.gw);
	}
}

static void no_other_hello_is_put_together(void **state)
{
	unsigned runs = setting("SLUICE_RUNS", 60);

	for (unsigned run = 0; run < runs; run++) {
		static struct peer peer;
		static struct stream means[4];
		unsigned n_means = 2 + chance(3);

		random_state ^= run * 104729u;
		begin(&peer, chance(4) != 0);
		peer.last_wins = chance(2);
		for (unsigned i = 0; i < n_means; i++) {
			uint64_t same = random_state;

			means[i].len = 0;
			put(&means[i], good.bytes, good.len);
			if (i > 0 && chance(2))
				means[i] = means[0];
			else
				put_early(&means[i], chance(4));
			put(&means[i], chance(2) ? evil.bytes : good.bytes, good.len);
			put(&means[i], "more", 4);
			if (chance(2))
				random_state = same;
			chance(2);
		}
		for (unsigned turn = 0; turn < 120 && !peer.reset && !peer.client_reset; turn++) {
			const struct stream *mean = &means[chance(4) ? 0 : chance(n_means)];
			size_t at = turn == 0 ? 0
			            : chance(2)
			                    ? good.len + chance((uint32_t)(mean->len - good.len))
			            : peer.acked < mean->len ? peer.acked
			                                     : chance((uint32_t)mean->len);
			size_t n = chance((uint32_t)(mean->len - at) + 1);
			uint8_t flags = TCP_ACK;

			if (turn == 0)
				n = chance(2) ? good.len : good.len + chance(100);
			if (n > mean->len - at)
				n = mean->len - at;
			if (n > SEGMENT_MAX)
				n = SEGMENT_MAX;
			if (chance(20) == 0)
				flags |= TCP_FIN;
			SEND(&peer.c, CLIENT, .flags = flags, .at = (int64_t)at - (n == 0),
			     .ack = (int64_t)(chance(2) ? peer.client_has : chance(100)),
			     .bytes = mean->bytes + at, .len = n);
			server_takes(&peer, chance(2) ? 90 : 10);
			if (chance(2))
				server_says(&peer);
			client_takes(&peer, 0);
			inproc_advance_us(peer.c.gw, chance(20) ? 1000 : 400000);
			if (!only_good_hellos(&peer))
				fail_run(run, &peer, "another hello");
		}
		inproc_free(peer.c.gw);
	}
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(honest_client_is_never_cut),
	        TEST(no_other_hello_is_put_together),
	};

	random_state = setting("SLUICE_SEED", 1);
	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
