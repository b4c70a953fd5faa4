/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_mixing.c: random attacks on QUIC under rule 3: two hellos for allowed names, of equal
 * length, of which the one's beginning and the other's rest name a third server. They are sent in
 * CRYPTO frames of any size over any Initials, from two sandboxes of two workers, from several
 * ports, to several addresses, with few connection IDs that all share, while a server answers,
 * retries, negotiates and misbehaves.
 *
 * All that leaves is reassembled by the most permissive rule: by the keys alone, whatever flow,
 * ID, version and packet number it has, in any order, with any of it lost or received twice.
 */
#include <stdlib.h>

#include "quic_scene.h"
#include "quic_two_keys.h"

#define FIRST  "ab.example"
#define SECOND "cd.example"
#define MIXED  "ad.example" /* FIRST up to its second letter, then SECOND */
#define BOXES                                                                                      \
	"sandboxes: [{vlan: 101, policy: {allow: [" FIRST ", " SECOND "]}},"                       \
	" {vlan: 102, policy: {allow: [" FIRST ", " SECOND "]}}]"

#define IDS     5 /* a client or a server may choose any of them */
#define STEPS   300
#define FRAMES  3 /* CRYPTO frames of one Initial at most */
#define BYTES   1024
#define NUMBERS 24
/*
 * A server that received nothing for this long keeps nothing; the idle flow takes two minutes of
 * it.
 */
#define FORGETS_S 170

static struct quic first, second, mixed; /* for their hellos */
static size_t cut;                       /* from here on the mixed hello is the second one */

/* What a server gets that opens one datagram. */
struct sent {
	struct datagram d;
	unsigned keys; /* index of the ID that they come from */
	unsigned frames;
	const struct quic *hello[FRAMES];
	size_t from[FRAMES], to[FRAMES];
};

struct attack {
	struct inproc *gw;
	unsigned seed;
	uint8_t ids[IDS][8];
	struct sent *sent; /* STEPS of them */
	unsigned sent_count;
	size_t left;                       /* frames that were looked at */
	uint8_t seen[IDS][BYTES][256 / 8]; /* which bytes left at which offset, by key */
	uint64_t seen_us[IDS];             /* when the last one left */
	struct quic last;                  /* that was judged, with its ID, */
	unsigned keys, server_id;          /* the keys' and the server's */
	unsigned judged, answered;
};

static unsigned below(struct attack *a, unsigned n)
{
	return (unsigned)rand_r(&a->seed) % n;
}

static int build_hellos(void **state)
{
	first = quic_for(NULL, FIRST);
	second = quic_for(NULL, SECOND);
	mixed = quic_for(NULL, MIXED);
	assert_int_equal(first.hello_len, mixed.hello_len);
	assert_int_equal(second.hello_len, mixed.hello_len);
	while (first.hello[cut] == mixed.hello[cut])
		cut++;
	assert_memory_equal(mixed.hello + cut, second.hello + cut, mixed.hello_len - cut);
	assert_true(mixed.hello_len <= BYTES);
	return 0;
}

/* ---- the reader of all that left ---- */

static void take_sent(struct attack *a, const struct sent *sent, uint64_t now_us)
{
	if (now_us > a->seen_us[sent->keys] + FORGETS_S * UINT64_C(1000000))
		memset(a->seen[sent->keys], 0, sizeof(a->seen[0]));
	a->seen_us[sent->keys] = now_us;
	for (unsigned i = 0; i < sent->frames; i++)
		for (size_t at = sent->from[i]; at < sent->to[i]; at++) {
			uint8_t byte = sent->hello[i]->hello[at];

			a->seen[sent->keys][at][byte / 8] |= (uint8_t)(1 << byte % 8);
		}
}

static void take_frames(struct attack *a)
{
	for (; a->left < inproc_count(a->gw, UPLINK); a->left++) {
		const struct packet_view *view = &inproc_frame(a->gw, UPLINK, a->left)->view;

		for (unsigned i = 0; i < a->sent_count; i++)
			if (a->sent[i].d.len == view->payload_len &&
			    memcmp(a->sent[i].d.bytes, view->payload, view->payload_len) == 0)
				take_sent(a, &a->sent[i], inproc_now_us(a->gw));
	}
}

static bool reads_mixed(const struct attack *a)
{
	for (unsigned k = 0; k < IDS; k++) {
		size_t i = 0;

		while (i < mixed.hello_len &&
		       (a->seen[k][i][mixed.hello[i] / 8] >> mixed.hello[i] % 8 & 1))
			i++;
		if (i == mixed.hello_len)
			return true;
	}
	return false;
}

/* ---- the attacker and the server ---- */

/* One of few flows, with one of few IDs: the hello is still to be chosen. */
static struct quic line_of(struct attack *a)
{
	struct quic q = first;

	q.gw = a->gw;
	q.vlan = below(a, 3) ? 101 : 102;
	q.sport = (uint16_t)(40000 + below(a, 3));
	q.server = below(a, 4) ? "198.51.100.10" : "198.51.100.77";
	q.version = below(a, 6) ? QUIC_V1 : QUIC_V2;
	q.scid[7] = below(a, 6) == 0;
	q.scid_len = below(a, 2) ? 8 : 0; /* an Initial with two keys has none */
	q.number = below(a, NUMBERS);
	if (below(a, 4) == 0) {
		q.token = (const uint8_t *)"token";
		q.token_len = 5;
	}
	return q;
}

static void choose_range(struct attack *a, size_t *from, size_t *to)
{
	size_t len = mixed.hello_len;

	*from = 0;
	*to = len;
	switch (below(a, 5)) {
	case 0:
		*to = cut;
		break;
	case 1:
		*from = cut;
		break;
	case 2:
		*from = below(a, (unsigned)len);
		*to = *from + 1 + below(a, (unsigned)(len - *from));
		break;
	default:
		break;
	}
}

/* Some parts of a hello, or of both, or none of any. */
static size_t choose_frames(struct attack *a, struct sent *sent, uint8_t *frames)
{
	const struct quic *hello = below(a, 2) ? &first : &second;
	size_t at = 0;

	sent->frames = below(a, 3) ? 1 : below(a, FRAMES + 1);
	for (unsigned i = 0; i < sent->frames; i++) {
		sent->hello[i] = below(a, 8) ? hello : below(a, 2) ? &first : &second;
		choose_range(a, &sent->from[i], &sent->to[i]);
		at += quic_crypto_frame(sent->from[i], sent->hello[i]->hello + sent->from[i],
		                        sent->to[i] - sent->from[i], frames + at);
	}
	frames[at++] = 1;
	return at;
}

static void send_initial(struct attack *a)
{
	struct sent *sent = &a->sent[a->sent_count++];
	struct quic q = line_of(a);
	struct quic_options options;
	uint8_t frames[FRAMES * (BYTES + 16)];
	size_t len = choose_frames(a, sent, frames);

	sent->keys = below(a, IDS);
	memcpy(q.dcid, a->ids[below(a, 3) ? sent->keys : below(a, IDS)], 8);
	options = options_of(&q);
	options.keys_cid = a->ids[sent->keys];
	options.keys_cid_len = 8;
	sent->d.len = quic_initial(&options, frames, len, sent->d.bytes);
	if (up(&q, &sent->d) != SL_REASON_DOMAIN_ALLOWED)
		return;
	a->judged++;
	a->last = q;
	a->keys = sent->keys;
}

/*
 * An Initial to the ID that a server has chosen, which opens under that ID's own keys as well: a
 * server that does not know the connection takes it for the first Initial of another one, with a
 * part of a hello in it.
 */
static void send_with_two_keys(struct attack *a)
{
	struct sent *sent = &a->sent[a->sent_count++];
	unsigned keys = below(a, IDS);
	struct quic q = line_of(a);

	sent->keys = below(a, IDS);
	if (a->judged > 0 && below(a, 2)) {
		q = a->last;
		keys = a->keys;
		sent->keys = a->server_id;
	}
	sent->frames = keys != sent->keys;
	sent->hello[0] = below(a, 2) ? &first : &second;
	choose_range(a, &sent->from[0], &sent->to[0]);
	sent->d.len = quic_two_keys_of(a->ids[sent->keys], a->ids[keys], (uint8_t)below(a, NUMBERS),
	                               a->ids[sent->keys], (uint8_t)below(a, 3), sent->d.bytes);
	a->judged += up(&q, &sent->d) == SL_REASON_DOMAIN_ALLOWED;
}

static void send_again(struct attack *a)
{
	struct quic q = line_of(a);

	if (a->sent_count > 0)
		up(&q, &a->sent[below(a, a->sent_count)].d);
}

/* To the last client that was judged, or to any, whatever it has sent. */
static void answer_something(struct attack *a)
{
	struct quic q = line_of(a);
	unsigned id = below(a, IDS);
	struct datagram d;

	memcpy(q.dcid, a->ids[below(a, IDS)], 8);
	if (a->judged > 0 && below(a, 2)) {
		q = a->last;
		memcpy(q.dcid, a->ids[a->keys], 8);
		a->server_id = id;
	}
	switch (below(a, 6)) {
	case 0:
		d = answer(&q, a->ids[id], 8);
		break;
	case 1:
		d = server_hello(&q, a->ids[id], 8);
		break;
	case 2:
		d = retry_of(&q, a->ids[id], 8, below(a, 4) == 0);
		break;
	case 3:
		d = negotiation(&q, q.dcid);
		break;
	case 4:
		d = long_packet(&q, QUIC_HANDSHAKE, false, a->ids[id], 8);
		break;
	default:
		d = answer(&q, a->ids[id], 8);
		d.bytes[d.len - 1] ^= 1;
		break;
	}
	a->answered += down(&q, &d) == SL_REASON_DOMAIN_ALLOWED;
}

static void send_short(struct attack *a)
{
	struct quic q = line_of(a);
	struct datagram d = short_packet(a->ids[below(a, IDS)], 8);

	up(&q, &d);
}

static void step(struct attack *a)
{
	switch (below(a, 14)) {
	case 12:
	case 13:
		send_with_two_keys(a);
		break;
	case 0:
	case 1:
	case 2:
		answer_something(a);
		break;
	case 3:
		send_again(a);
		break;
	case 4:
		send_short(a);
		break;
	case 5:
		if (below(a, 6) == 0)
			inproc_advance_s(a->gw, 1 + below(a, 130));
		break;
	default:
		send_initial(a);
		break;
	}
	take_frames(a);
}

static void attack(struct attack *a, unsigned seed, struct sent *sent)
{
	memset(a, 0, sizeof(*a));
	a->seed = seed;
	a->sent = sent;
	a->gw = inproc_create_with(&(struct inproc_options){
	        .policy = BOXES, .config = CONFIG, .workers = 2, .checksums_full = true});
	for (unsigned i = 0; i < IDS; i++)
		fresh_cid(a->ids[i], 8);
	for (unsigned i = 0; i < STEPS; i++) {
		step(a);
		if (reads_mixed(a)) {
			print_error("seed %u, step %u\n", seed, i);
			fail();
		}
	}
	inproc_free(a->gw);
}

static void no_two_judged_hellos_make_a_third(void **state)
{
	const char *text = getenv("SLUICE_MIXING_RUNS");
	unsigned runs = text != NULL ? (unsigned)atoi(text) : 60, judged = 0, answered = 0;
	struct sent *sent = calloc(STEPS, sizeof(*sent));
	static struct attack a;

	assert_non_null(sent);
	for (unsigned run = 0; run < runs; run++) {
		attack(&a, run + 1, sent);
		judged += a.judged;
		answered += a.answered;
	}
	free(sent);
	assert_true(judged > runs && answered > runs); /* the attacks do get somewhere */
}

/* The reader works: without a gateway in between the two hellos do make the third. */
static void reader_sees_what_is_mixed(void **state)
{
	static struct attack a;
	struct sent sent = {.keys = 1, .frames = 1, .hello = {&first}, .to = {cut}};

	take_sent(&a, &sent, 1);
	assert_false(reads_mixed(&a));
	sent = (struct sent){
	        .keys = 2, .frames = 1, .hello = {&second}, .from = {cut}, .to = {mixed.hello_len}};
	take_sent(&a, &sent, 1);
	assert_false(reads_mixed(&a));
	sent.keys = 1;
	take_sent(&a, &sent, 1);
	assert_true(reads_mixed(&a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reader_sees_what_is_mixed),
	        cmocka_unit_test(no_two_judged_hellos_make_a_third),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, build_hellos, NULL);
}
