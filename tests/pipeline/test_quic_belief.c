/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_belief.c: QUIC under rule 3: which of a server's packets are believed, and how
 * connections, keys and packets are distinguished, so that no server can assemble a hello that was
 * not judged.
 */
#include "quic_scene.h"
#include "quic_two_keys.h"

#define TWO_BOXES                                                                                  \
	"sandboxes: [{vlan: 101, policy: {allow: ['*.example']}},"                                 \
	" {vlan: 102, policy: {allow: ['*.example']}}]"

static struct datagram ping(struct quic *q)
{
	return initial(q, (const uint8_t *)"\1", 1);
}

/* The hello with one byte of its name changed: another name of the same length. */
static struct datagram changed_hello(struct quic *q)
{
	struct quic other = *q;
	uint8_t *name = memmem(other.hello, other.hello_len, "good", 4);
	struct datagram d;

	assert_non_null(name);
	memcpy(name, "evil", 4);
	d = initial_whole(&other);
	q->number = other.number;
	return d;
}

/* The copy is still there: equal bytes pass, others do not. */
static void expect_compared(struct quic *q)
{
	struct datagram d = initial_whole(q);

	expect_passes(q, &d);
	d = changed_hello(q);
	expect_refused(q, &d, SL_REASON_MALFORMED_QUIC, false);
}

/* ---- the server's Initials ---- */

static void answer_that_does_not_open_is_not_believed(void **state)
{
	static const struct {
		const char *what;
		bool tag_broken, own_keys, client_keys;
		uint32_t keys_version;
	} rows[] = {
	        {"broken tag", .tag_broken = true},
	        {"keys of the server's own ID", .own_keys = true},
	        {"keys of the other version", .keys_version = QUIC_V2},
	        {"the client's keys", .client_keys = true},
	};
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;
	uint8_t cid[8], frames[16];
	size_t len = quic_ack_frame(0, 0, frames);

	expect_hello_passes(&q);
	fresh_cid(cid, 8);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct quic_options o = {.dcid = q.scid,
		                         .dcid_len = 8,
		                         .scid = cid,
		                         .scid_len = 8,
		                         .keys_cid = rows[i].own_keys ? cid : q.dcid,
		                         .keys_cid_len = 8,
		                         .keys_version = rows[i].keys_version,
		                         .server = !rows[i].client_keys,
		                         .tag_broken = rows[i].tag_broken,
		                         .dgram_len = 1200};

		row(rows[i].what);
		d.len = quic_initial(&o, frames, len, d.bytes);
		expect_delivered(&q, &d); /* the sandbox has to judge it */
		assert_int_equal(inproc_count(gw, SANDBOX), i + 1);
		expect_ack_refused(&q, cid, SL_REASON_MALFORMED_QUIC);
	}
	expect_answer_delivered(&q, cid, 8);
	expect_ack_passes(&q, cid);
	inproc_free(gw);
}

/* Anyone can forge a Handshake packet: it proves nothing, nor does an acknowledgement. */
static void copy_stays_until_the_server_shows_its_hello(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8];
	struct quic q = judged(gw, ALLOWED, cid);
	struct datagram d = long_packet(&q, QUIC_HANDSHAKE, false, cid, 8);

	expect_delivered(&q, &d);
	expect_short_passes(&q, cid);
	expect_compared(&q);
	d = server_hello(&q, cid, 8);
	d.bytes[d.len - 1] ^= 1;
	expect_delivered(&q, &d);
	expect_short_passes(&q, cid);
	expect_compared(&q);
	expect_server_hello_delivered(&q, cid);
	expect_short_passes(&q, cid);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

/* A HelloRetryRequest asks for another hello, after which the ServerHello follows. */
static void copy_stays_until_the_second_hello_is_answered(void **state)
{
	struct inproc *gw = gateway(POLICY);
	uint8_t cid[8], frames[2000];
	struct quic q = judged(gw, ALLOWED, cid), second = quic_for(gw, ALLOWED);
	size_t offset = 0;
	struct datagram d = server_hello_at(&q, cid, 8, true, &offset);

	expect_delivered(&q, &d);
	expect_short_passes(&q, cid);
	expect_compared(&q);
	d = initial_to(&q, cid, 8, frames,
	               quic_crypto_frame(q.hello_len, second.hello, second.hello_len, frames));
	expect_passes(&q, &d);
	d = server_hello_at(&q, cid, 8, false, &offset);
	expect_delivered(&q, &d);
	expect_short_passes(&q, cid);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	inproc_free(gw);
}

/* ---- Retry and version negotiation ---- */

/* Another server may have a part of the hello that one server answers with a Retry. */
static void retry_leaves_the_copy_where_it_is(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED), again;
	struct datagram d;
	uint8_t cid[8];

	q.token = (const uint8_t *)"of an earlier visit";
	q.token_len = 19;
	expect_hello_passes(&q);
	q.token_len = 0;
	d = ping(&q);
	expect_passes(&q, &d);
	fresh_cid(cid, 8);
	d = retry_of(&q, cid, 8, false);
	expect_delivered(&q, &d);
	expect_compared(&q);
	again = q;
	follow_retry(&again, cid, 8);
	expect_hello_passes(&again);
	expect_compared(&q);
	expect_compared(&again);
	/* once the new connection is accepted, the old ID may send no CRYPTO data */
	fresh_cid(cid, 8);
	expect_server_hello_delivered(&again, cid);
	expect_short_passes(&again, cid);
	assert_int_equal(inproc_stats(gw, 0)->hold_bytes, 0);
	set_hello(&q, &(struct hello_options){.name = ALLOWED, .total_len = 700});
	expect_hello_refused(&q, SL_REASON_MALFORMED_QUIC, false);
	inproc_free(gw);
}

/* It may be the older of two connections that is answered so, but none that was answered. */
static void retry_is_believed_by_the_id_that_it_answers(void **state)
{
	for (int answered = 0; answered < 2; answered++) {
		struct inproc *gw = gateway(POLICY);
		struct quic old = quic_for(gw, ALLOWED), young = quic_for(gw, ALLOWED);
		struct datagram d;
		uint8_t cid[8], server_cid[8];

		young.sport = old.sport;
		expect_hello_passes(&old);
		expect_hello_passes(&young);
		if (answered) {
			fresh_cid(server_cid, 8);
			expect_answer_delivered(&old, server_cid, 8);
		}
		fresh_cid(cid, 4);
		d = retry_of(&old, cid, 4, false);
		expect_delivered(&old, &d);
		follow_retry(&old, cid, 4);
		d = initial_whole(&old);
		if (answered)
			expect_refused(&old, &d, SL_REASON_MALFORMED_QUIC, false);
		else
			expect_passes(&old, &d);
		expect_compared(&young);
		inproc_free(gw);
	}
}

/* A Retry leads to no other version of an ID that was used. */
static void id_goes_to_another_version_when_negotiated_alone(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram d;

	expect_hello_passes(&q);
	d = retry_of(&q, NULL, 0, false);
	expect_delivered(&q, &d);
	q.version = QUIC_V2;
	expect_hello_refused(&q, SL_REASON_MALFORMED_QUIC, false);
	inproc_free(gw);
}

/* Another connection on the same ports is accepted: connections that were given up are freed. */
static void pass_by(const struct quic *q)
{
	struct quic other = quic_for(q->gw, ALLOWED);
	uint8_t cid[8];

	other.sport = q->sport;
	expect_hello_passes(&other);
	fresh_cid(cid, 8);
	expect_server_hello_delivered(&other, cid);
	expect_short_passes(&other, cid);
}

/* Two negotiations do not lead back to an ID with another hello, remembered or not. */
static void id_goes_to_another_version_once(void **state)
{
	for (int forgotten = 0; forgotten < 2; forgotten++) {
		struct inproc *gw = gateway(POLICY);
		struct quic q = quic_for(gw, ALLOWED), other;
		struct datagram d;

		expect_hello_passes(&q);
		d = negotiation(&q, q.dcid);
		expect_delivered(&q, &d);
		other = q;
		other.version = QUIC_V2;
		expect_hello_passes(&other);
		if (forgotten)
			pass_by(&q);
		d = negotiation(&other, other.dcid);
		expect_delivered(&other, &d);
		set_hello(&q, &(struct hello_options){.name = ALLOWED, .total_len = 700});
		d = initial_whole(&q);
		inproc_clear(gw);
		expect_nothing_leaves(&q, &d, SL_REASON_MALFORMED_QUIC);
		inproc_free(gw);
	}
}

/* ---- keys ---- */

/* A connection without an ID of its own, whose number 0 is left for the Initial with two keys. */
static struct quic judged_for_two_keys(struct inproc *gw, uint16_t sport, uint8_t server_cid[8])
{
	struct quic q = quic_for(gw, ALLOWED);

	q.sport = sport;
	q.scid_len = 0;
	q.number = 1;
	expect_hello_passes(&q);
	fresh_cid(server_cid, 8);
	expect_answer_delivered(&q, server_cid, 8);
	return q;
}

/*
 * AES-GCM does not commit to its key, nor does a truncated packet number say which one is meant.
 */
static void initial_that_opens_under_two_keys_is_refused(void **state)
{
	for (int far = 0; far < 2; far++) {
		struct inproc *gw = gateway(POLICY);
		uint8_t old_cid[8], cid[8], strange[8], retry[8];
		struct quic old = judged_for_two_keys(gw, 29999, old_cid), retried = old;
		struct quic q = judged_for_two_keys(gw, 29999, cid);
		const uint8_t *const others[] = {old.dcid, old_cid, cid, retry};
		struct datagram d;

		fresh_cid(strange, 8);
		fresh_cid(retry, 8);
		fresh_cid(retried.dcid, 8);
		expect_hello_passes(&retried);
		d = retry_of(&retried, retry, 8, false);
		expect_delivered(&retried, &d);
		for (size_t i = 0; i < COUNT(others); i++) {
			d.len = quic_two_keys_of(cid, q.dcid, 0, others[i], far ? 3 : 0, d.bytes);
			expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
		}
		d.len = quic_two_keys_of(q.dcid, q.dcid, 0, old.dcid, far ? 3 : 0, d.bytes);
		expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
		d.len = quic_two_keys_of(cid, q.dcid, 0, strange, far ? 3 : 0, d.bytes);
		expect_passes(&q, &d);
		inproc_free(gw);
	}
}

/* A datagram of so many Initials with the hello in the first. */
static struct datagram initials(struct quic *q, const uint8_t *dcid, unsigned n)
{
	struct datagram d = {.len = 0}, more;

	for (unsigned i = 0; i < n; i++) {
		struct quic_options o = options_of(q);
		uint8_t frames[1000] = {1};
		size_t len = 1;

		o.dcid = dcid;
		o.keys_cid = q->dcid;
		o.keys_cid_len = 8;
		o.dgram_len = n == 1 ? 1200 : 150;
		if (i == 0)
			len = quic_crypto_frame(0, q->hello, q->hello_len, frames);
		more.len = quic_initial(&o, frames, len, more.bytes);
		append(&d, &more);
	}
	return d;
}

static unsigned paid_for(struct quic *q, const struct datagram *d, unsigned tries)
{
	unsigned paid = 0;

	while (tries-- > 0) {
		enum sl_reason reason = up(q, d);

		paid += reason == SL_REASON_DOMAIN_ALLOWED;
		if (reason != SL_REASON_DOMAIN_ALLOWED)
			expect(reason, SL_REASON_RATE_LIMIT);
	}
	inproc_advance_s(q->gw, 1);
	inproc_clear(q->gw);
	return paid;
}

static void every_key_that_is_tried_costs_a_token(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = POLICY, .config = CONFIG, .relaxed = true, .checksums_full = true});
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram one, eight, server;
	uint8_t cid[8];

	eight = initials(&q, q.dcid, 8);
	assert_true(eight.len >= 1200);
	expect(up(&q, &eight), SL_REASON_DOMAIN_ALLOWED);
	one = initials(&q, q.dcid, 1);
	inproc_advance_s(gw, 1);
	assert_in_range(paid_for(&q, &one, 5000), 3990, 4000);
	assert_in_range(paid_for(&q, &eight, 5000), 490, 500);
	fresh_cid(cid, 8);
	server = answer(&q, cid, 8);
	expect_delivered(&q, &server);
	eight = initials(&q, cid, 8); /* by now there are two keys */
	assert_in_range(paid_for(&q, &eight, 5000), 240, 250);
	inproc_free(gw);
}

/* A server's Initials count against a limit as well, separate from its client's. */
static void servers_initials_cost_their_client_nothing(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = POLICY, .config = CONFIG, .relaxed = true, .checksums_full = true});
	struct quic q = quic_for(gw, ALLOWED), other = quic_for(gw, ALLOWED);
	struct datagram forged, honest;
	unsigned paid = 0;
	uint8_t cid[8];

	expect_hello_passes(&q);
	fresh_cid(cid, 8);
	forged = honest = answer(&q, cid, 8);
	forged.bytes[forged.len - 1] ^= 1;
	while (down(&q, &forged) == SL_REASON_DOMAIN_ALLOWED)
		paid++;
	assert_in_range(paid, 3990, 4000);
	/* The client must not know the server's ID before it is on record. */
	expect(down(&q, &honest), SL_REASON_RATE_LIMIT);
	assert_int_equal(inproc_count(gw, SANDBOX), paid);
	expect_ack_refused(&q, cid, SL_REASON_MALFORMED_QUIC);
	expect_hello_passes(&other);
	inproc_advance_s(gw, 1);
	expect_delivered(&q, &honest);
	expect_ack_passes(&q, cid);
	inproc_free(gw);
}

/* ---- how packets are distinguished ---- */

static void source_id_of_a_connection_never_changes(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED), other;
	struct datagram d, more;
	struct quic_options options;

	expect_hello_passes(&q);
	for (int way = 0; way < 2; way++) {
		other = q;
		if (way == 0)
			other.scid[7] ^= 1;
		else
			other.scid_len = 0;
		d = ping(&other);
		expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
		/* after one that has the right one */
		options = options_of(&q);
		options.dgram_len = 0;
		d.len = quic_initial(&options, (const uint8_t *)"\1\0\0\0", 4, d.bytes);
		other.number = q.number;
		more = ping(&other);
		append(&d, &more);
		expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	}
	d = ping(&q);
	expect_passes(&q, &d);
	inproc_free(gw);
}

static void packet_number_stands_for_one_packet(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram hello = initial_whole(&q), d, more;
	struct quic_options options;

	expect_passes(&q, &hello);
	q.number = 0;
	d = ping(&q);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	q.number = 0;
	d = initial_of(&q, 0, 100); /* nor for a part of what was judged */
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	d = ping(&q);
	expect_passes(&q, &d);
	expect_passes(&q, &d);
	expect_passes(&q, &hello);
	/* twice in one datagram */
	options = options_of(&q);
	options.dgram_len = 0;
	d.len = quic_initial(&options, (const uint8_t *)"\1\0\0\0", 4, d.bytes);
	q.number--;
	more = initial_of(&q, 0, 100);
	append(&d, &more);
	expect_refused(&q, &d, SL_REASON_MALFORMED_QUIC, false);
	inproc_free(gw);
}

static void packets_on_record_are_bounded(void **state)
{
	struct inproc *gw = gateway(POLICY);
	struct quic q = quic_for(gw, ALLOWED);
	struct datagram first = initial_whole(&q), d;
	unsigned n = 1;

	expect_passes(&q, &first);
	while (d = ping(&q), up(&q, &d) == SL_REASON_DOMAIN_ALLOWED)
		n++;
	assert_in_range(n, 32, 64);
	expect_refused(&q, &d, SL_REASON_HOLD_LIMIT, false);
	expect_passes(&q, &first);
	inproc_free(gw);
}

/* ---- IDs of all sandboxes ---- */

static void id_of_another_workers_sandbox_is_refused(void **state)
{
	struct inproc *gw = inproc_create_with(&(struct inproc_options){
	        .policy = TWO_BOXES, .config = CONFIG, .workers = 2, .checksums_full = true});
	struct quic one = quic_for(gw, ALLOWED), two = quic_for(gw, "also.example");
	struct datagram d = initial_whole(&one);

	two.vlan = 102;
	memcpy(two.dcid, one.dcid, 8);
	expect(up(&one, &d), SL_REASON_DOMAIN_ALLOWED);
	d = initial_whole(&two);
	inproc_clear(gw);
	expect_nothing_leaves(&two, &d, SL_REASON_MALFORMED_QUIC);
	fresh_cid(two.dcid, 8);
	d = initial_whole(&two);
	expect(up(&two, &d), SL_REASON_DOMAIN_ALLOWED);
	/* once no flow has it any more it is free for either worker */
	memcpy(two.dcid, one.dcid, 8);
	inproc_advance_s(gw, 190);
	d = initial_whole(&two);
	expect(up(&two, &d), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

/* A server finds the connection by the ID that it chose as well. */
static void id_that_a_server_chose_is_its_flows(void **state)
{
	struct inproc *gw = gateway(TWO_BOXES);
	uint8_t cid[8], other_cid[8];
	struct quic one = judged(gw, ALLOWED, cid), two = quic_for(gw, ALLOWED);
	struct datagram d;

	two.vlan = 102;
	memcpy(two.dcid, cid, 8);
	d = initial_whole(&two);
	inproc_clear(gw);
	expect_nothing_leaves(&two, &d, SL_REASON_MALFORMED_QUIC);
	/* nor may a server give it, or the client's, to another connection */
	fresh_cid(two.dcid, 8);
	d = initial_whole(&two);
	expect(up(&two, &d), SL_REASON_DOMAIN_ALLOWED);
	for (int way = 0; way < 2; way++) {
		const uint8_t *given = way == 0 ? cid : one.dcid;

		expect_answer_delivered(&two, given, 8);
		expect_ack_refused(&two, given, SL_REASON_MALFORMED_QUIC);
	}
	fresh_cid(other_cid, 8);
	expect_answer_delivered(&two, other_cid, 8);
	d = acknowledgement(&two, other_cid);
	expect(up(&two, &d), SL_REASON_DOMAIN_ALLOWED);
	inproc_free(gw);
}

/* Some servers take the ID that the client chose, and some have none. */
static void id_of_a_server_may_be_the_clients_or_none(void **state)
{
	struct inproc *gw = gateway(POLICY);

	for (size_t len = 0; len <= 8; len += 8) {
		for (int i = 0; i < 2; i++) {
			struct quic q = quic_for(gw, ALLOWED);
			struct datagram d;
			uint8_t frames[16];

			expect_hello_passes(&q);
			expect_answer_delivered(&q, q.dcid, len);
			d = initial_to(&q, q.dcid, len, frames, quic_ack_frame(0, 0, frames));
			expect_passes(&q, &d);
		}
	}
	inproc_free(gw);
}

static void id_without_room_on_record_is_refused(void **state)
{
	struct inproc *gw =
	        gateway_with(POLICY, CONFIG "limits: {flows: 5, flows-per-sandbox: 4}\n");
	struct quic q = quic_for(gw, ALLOWED), other = quic_for(gw, ALLOWED);
	struct datagram d;

	for (int i = 0; i < 4; i++) {
		fresh_cid(q.dcid, 8);
		expect_hello_passes(&q);
	}
	d = initial_whole(&other);
	expect_refused(&other, &d, SL_REASON_FLOW_LIMIT, true);
	inproc_advance_s(gw, 190);
	expect_passes(&other, &d);
	inproc_free(gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(answer_that_does_not_open_is_not_believed),
	        cmocka_unit_test(copy_stays_until_the_server_shows_its_hello),
	        cmocka_unit_test(copy_stays_until_the_second_hello_is_answered),
	        cmocka_unit_test(retry_leaves_the_copy_where_it_is),
	        cmocka_unit_test(retry_is_believed_by_the_id_that_it_answers),
	        cmocka_unit_test(id_goes_to_another_version_when_negotiated_alone),
	        cmocka_unit_test(id_goes_to_another_version_once),
	        cmocka_unit_test(initial_that_opens_under_two_keys_is_refused),
	        cmocka_unit_test(every_key_that_is_tried_costs_a_token),
	        cmocka_unit_test(servers_initials_cost_their_client_nothing),
	        cmocka_unit_test(source_id_of_a_connection_never_changes),
	        cmocka_unit_test(packet_number_stands_for_one_packet),
	        cmocka_unit_test(packets_on_record_are_bounded),
	        cmocka_unit_test(id_of_another_workers_sandbox_is_refused),
	        cmocka_unit_test(id_that_a_server_chose_is_its_flows),
	        cmocka_unit_test(id_of_a_server_may_be_the_clients_or_none),
	        cmocka_unit_test(id_without_room_on_record_is_refused),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
