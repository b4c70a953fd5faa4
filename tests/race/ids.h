/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids.h: threads that want the same QUIC connection IDs at the same time.
 */
#ifndef TESTS_RACE_IDS_H
#define TESTS_RACE_IDS_H

/* Fails the test unless each ID is one thread's at a time and all are given back. */
void race_for_ids(void);

/* Fails the test unless of two gateways in threads of their own one judges each connection ID. */
void race_for_connections(void);

#endif
