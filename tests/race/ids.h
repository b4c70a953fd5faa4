/*
 * ids.h: threads that want the same QUIC connection IDs at the same time.
 */
#ifndef TESTS_RACE_IDS_H
#define TESTS_RACE_IDS_H

void test_an_id_is_one_workers_at_a_time(void **state);

#endif
