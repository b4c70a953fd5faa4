/*
 * ids.c: the table of connection IDs under workers that list and give back the same few of them.
 */
#include "ids.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "quic_ids.h"

#define THREADS 4
#define IDS     32 /* wanted by all */
#define ROOM    1  /* connection, so two elements: less than the threads want at times */
#define TURNS   20000

struct rivals {
	struct sl_quic_ids *ids;
	atomic_int holders[IDS];
	atomic_uint won, lost, full, serial;
};

/* Nobody else has it as long as it is listed. */
static void hold(struct rivals *rivals, unsigned wanted, uint32_t index)
{
	const uint8_t cid[8] = {(uint8_t)wanted};

	if (atomic_fetch_add(&rivals->holders[wanted], 1) != 0 ||
	    !sl_quic_ids_has(rivals->ids, cid, sizeof(cid)))
		abort();
	sl_quic_ids_at(rivals->ids, index)->flow = wanted; /* the owner's, without a lock */
	atomic_fetch_sub(&rivals->holders[wanted], 1);
}

static void *compete(void *arg)
{
	struct rivals *rivals = arg;
	unsigned seed = atomic_fetch_add(&rivals->serial, 1);

	for (unsigned i = 0; i < TURNS; i++) {
		unsigned wanted = (unsigned)rand_r(&seed) % IDS;
		const uint8_t cid[8] = {(uint8_t)wanted};
		uint32_t index = sl_quic_ids_take(rivals->ids);

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
