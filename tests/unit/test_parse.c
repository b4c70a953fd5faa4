/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_parse.c: the wide reading of plain frames (parse_plain.h) against parse.c, its reference
 * model, on frames that are nearly plain: both must read alike what the first accepts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "packet.h"
#include "packet/parse.h"
#include "packet/parse_plain.h"

#define ROUNDS 400000

struct bench {
	struct sl_worker *worker;
	struct sl_settings settings;
	struct rte_mbuf mbuf;
	uint8_t room[2048] __attribute__((aligned(64)));
};

static struct bench *bench_create(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	bench->worker = calloc(1, sizeof(*bench->worker));
	assert_non_null(bench->worker);
	bench->worker->settings = &bench->settings;
	return bench;
}

static void bench_free(struct bench *bench)
{
	free(bench->worker);
	free(bench);
}

static void put(struct bench *bench, const uint8_t *bytes, size_t len)
{
	memset(&bench->mbuf, 0, sizeof(bench->mbuf));
	bench->mbuf.buf_addr = bench->room;
	bench->mbuf.data_off = 128;
	bench->mbuf.nb_segs = 1;
	bench->mbuf.data_len = (uint16_t)len;
	bench->mbuf.pkt_len = (uint32_t)len;
	memcpy(bench->room + 128, bytes, len);
}

/* Parses the frame in both ways. Returns whether the fast parser accepted it. */
static bool read_both(struct bench *bench, uint8_t port, const struct packet *packet)
{
	struct sl_pkt plain = {0}, whole = {0};
	size_t key_bytes;

	put(bench, packet->bytes, packet->len);
	sl_pkt_begin(&plain, &bench->mbuf, port);
	if (!sl_parse_plain(bench->worker, &plain))
		return false;
	sl_pkt_begin(&whole, &bench->mbuf, port);
	assert_true(sl_parse_whole(bench->worker, &whole));
	assert_int_equal(whole.reason, SL_REASON_NONE);
	key_bytes = whole.key.family == SL_FAMILY_4 ? offsetof(struct sl_key, inside4) + 8
	                                            : sizeof(whole.key);
	assert_memory_equal(&plain, &whole, offsetof(struct sl_pkt, key));
	assert_memory_equal(&plain.key, &whole.key, key_bytes);
	return true;
}

static struct packet base(unsigned kind)
{
	static const char text[] = "forty bytes of payload make a long frame";
	struct packet v4udp = UDP(.vlan = 101, .src = "10.0.0.2", .dst = "192.0.2.1", .sport = 4000,
	                          .dport = 443, PKT_TEXT(text));
	struct packet v4tcp = TCP(.vlan = 101, .src = "10.0.0.2", .dst = "192.0.2.1", .sport = 4000,
	                          .dport = 443, .flags = TCP_ACK | TCP_PSH, PKT_TEXT(text));
	struct packet v6udp = UDP(.vlan = 4094, .src = "fd00::2", .dst = "2001:db8::1",
	                          .sport = 4000, .dport = 443, PKT_TEXT(text));
	struct packet v6tcp = TCP(.vlan = 1, .src = "fd00::2", .dst = "2001:db8::1", .sport = 4000,
	                          .dport = 443, .flags = TCP_SYN);

	return kind == 0 ? v4udp : kind == 1 ? v4tcp : kind == 2 ? v6udp : v6tcp;
}

/* Corrects the header checksum, so that mutations get past it. */
static void mend_ipv4_sum(struct packet *packet)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(packet->bytes + SL_PLAIN_L3);

	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

static void plain_frames_are_taken(void **state)
{
	struct bench *bench = bench_create();

	for (unsigned kind = 0; kind < 4; kind++)
		for (uint8_t port = 0; port < SL_PORT_COUNT; port++) {
			struct packet packet = base(kind);

			assert_true(read_both(bench, port, &packet));
		}
	bench_free(bench);
}

static void plain_frames_of_the_native_vlan_are_not(void **state)
{
	struct bench *bench = bench_create();
	struct packet packet = base(0);

	bench->settings.native_vlan[SL_PORT_SANDBOX] = 101;
	assert_false(read_both(bench, SL_PORT_SANDBOX, &packet));
	assert_true(read_both(bench, SL_PORT_UPLINK, &packet));
	bench_free(bench);
}

static void mutated_frames_are_read_alike(void **state)
{
	static const uint8_t odd[] = {0x00, 0x01, 0x06, 0x11, 0x2c, 0x3a, 0x40, 0x45, 0x46,
	                              0x60, 0x81, 0x86, 0x88, 0xdd, 0xe0, 0xff, 0x80, 0x20};
	struct bench *bench = bench_create();
	unsigned seed = 20261123, taken = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct packet packet = base((unsigned)rand_r(&seed) % 4);
		unsigned changes = (unsigned)rand_r(&seed) % 3;

		for (unsigned i = 0; i < changes; i++) {
			size_t at = (size_t)rand_r(&seed) % RTE_MIN(packet.len, (size_t)78);

			packet.bytes[at] = rand_r(&seed) % 2
			                           ? odd[(unsigned)rand_r(&seed) % sizeof(odd)]
			                           : (uint8_t)rand_r(&seed);
		}
		if (rand_r(&seed) % 8 == 0)
			packet.len -= (unsigned)rand_r(&seed) % 50;
		if (rand_r(&seed) % 8 != 0 && packet.bytes[17] == 0 &&
		    packet.bytes[SL_PLAIN_L3] == 0x45)
			mend_ipv4_sum(&packet);
		taken += read_both(bench, (uint8_t)(rand_r(&seed) % SL_PORT_COUNT), &packet);
	}
	assert_in_range(taken, ROUNDS / 10, ROUNDS - ROUNDS / 10);
	bench_free(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(plain_frames_are_taken),
	        cmocka_unit_test(plain_frames_of_the_native_vlan_are_not),
	        cmocka_unit_test(mutated_frames_are_read_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
