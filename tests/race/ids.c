/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids.c: the table of connection IDs, used by threads that list and free the same few IDs, and by
 * two gateways that share it and receive the same connections.
 */
#include "ids.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../pipeline/quic_scene.h"
#include "watch/quic/quic_ids_table.h"

#define THREADS 4
#define IDS     32 /* all threads want them */
#define ROOM    1  /* connection, so two elements: less than the threads want at times */
#define TURNS   20000
#define HELLOS  1000 /* each with an ID of its own, to both gateways */

struct rivals {
	struct sl_quic_ids *ids;
	atomic_int holders[IDS];
	atomic_uint won, lost, full, serial;
};

/* No other thread has it as long as it is listed. */
static void hold(struct rivals *rivals, unsigned wanted, uint32_t index)
{
	const uint8_t cid[8] = {(uint8_t)wanted};

	if (atomic_fetch_add(&rivals->holders[wanted], 1) != 0 ||
	    !sl_quic_ids_has(rivals->ids, cid, sizeof(cid)))
		abort();
	sl_quic_ids_at(rivals->ids, index)->flow = wanted; /* the owner's field, without a lock */
	atomic_fetch_sub(&rivals->holders[wanted], 1);
}

static void *compete(void *arg)
{
	struct rivals *rivals = arg;
	unsigned seed = atomic_fetch_add(&rivals->serial, 1);

	for (unsigned i = 0; i < TURNS; i++) {
		unsigned wanted = (unsigned)rand_r(&seed) % IDS;
		const uint8_t cid[8] = {(uint8_t)wanted};
		uint32_t index = sl_quic_ids_take(rivals->ids, true);

		if (index == 0) {
			atomic_fetch_add(&rivals->full, 1);
			continue;
		}
		if (sl_quic_ids_list(rivals->ids, index, cid, sizeof(cid))) {
			atomic_fetch_add(&rivals->won, 1);
			hold(rivals, wanted, index);
		} else {
			atomic_fetch_add(&rivals->lost, 1);
		}
		sl_quic_ids_give(rivals->ids, index);
	}
	return NULL;
}

void race_for_ids(void)
{
	struct rivals rivals = {.ids = sl_quic_ids_create(ROOM)};
	pthread_t threads[THREADS];

	assert_non_null(rivals.ids);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, compete, &rivals), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(rivals.won + rivals.lost + rivals.full, THREADS * TURNS);
	assert_true(rivals.won > 0);
	assert_int_equal(sl_quic_ids_pool(rivals.ids)->used, 0);
	sl_quic_ids_free(rivals.ids);
}

/* ---- two gateways ---- */

struct side {
	struct inproc *gw;
	struct quic quic; /* a connection, but for its IDs and ports */
	atomic_uint *judged;
	pthread_t thread;
};

static void number_cid(uint8_t cid[8], uint8_t kind, unsigned i)
{
	memset(cid, kind, 8);
	cid[6] = (uint8_t)(i >> 8);
	cid[7] = (uint8_t)i;
}

/*
 * Sends a hello with an ID that the other gateway's sandbox uses as well, and an answer if it
 * passed.
 */
static void say_hello(struct side *side, unsigned i)
{
	struct quic q = side->quic;
	uint8_t server_cid[8];
	struct datagram d;

	q.sport = (uint16_t)(20000 + i);
	number_cid(q.dcid, 1, i);
	d = initial_whole(&q);
	if (up(&q, &d) != SL_REASON_DOMAIN_ALLOWED)
		return;
	atomic_fetch_add(&side->judged[i], 1);
	number_cid(server_cid, 2, i / 2); /* shared by two connections, one of which is accepted */
	d = server_hello(&q, server_cid, 8);
	down(&q, &d);
	d = short_packet(server_cid, 8);
	up(&q, &d);
}

static void *say_hellos(void *arg)
{
	struct side *side = arg;

	for (unsigned i = 0; i < HELLOS; i++)
		say_hello(side, i);
	return NULL;
}

void race_for_connections(void)
{
	static atomic_uint judged[HELLOS];
	struct sl_quic_ids *ids = sl_quic_ids_create(HELLOS);
	struct side sides[2] = {0};

	assert_non_null(ids);
	for (unsigned k = 0; k < 2; k++) {
		struct side *side = &sides[k];

		side->judged = judged;
		side->gw = inproc_create_with(&(struct inproc_options){
		        .policy = POLICY, .config = CONFIG, .quic_ids = ids, .relaxed = true});
		side->quic = quic_for(side->gw, ALLOWED);
	}
	for (unsigned k = 0; k < 2; k++)
		assert_int_equal(pthread_create(&sides[k].thread, NULL, say_hellos, &sides[k]), 0);
	for (unsigned k = 0; k < 2; k++)
		pthread_join(sides[k].thread, NULL);
	for (unsigned k = 0; k < 2; k++) {
		inproc_advance_s(sides[k].gw, 190); /* everything has expired */
		inproc_free(sides[k].gw);
	}
	assert_int_equal(sl_quic_ids_pool(ids)->used, 0);
	sl_quic_ids_free(ids);
	for (unsigned i = 0; i < HELLOS; i++)
		assert_int_equal(judged[i], 1);
}
