/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quic_frames.c: the frames of an Initial packet, walked directly and sealed.
 */
#include "quic_judge.h"

static void expect_frames(const uint8_t *frames, size_t len, enum sl_parse_result answer)
{
	struct sl_quic_datagram_info info = {0};
	struct stream *s = calloc(1, sizeof(*s));
	uint8_t *copy = calloc(len != 0 ? len : 1, 1), dgram[2000];

	if (len > 0)
		memcpy(copy, frames, len);
	assert_int_equal(sl_quic_frames_walk(copy, len, collect, s, &info), answer);
	if (len > 0 && len < 1000) {
		/* The same, sealed. Padding after it never completes a truncated frame. */
		size_t dgram_len = with_frames(frames, len, dgram);

		if (answer == SL_PARSE_DONE)
			expect_done(dgram, dgram_len);
	}
	free(copy);
	free(s);
}

#define FRAMES(answer, ...)                                                                        \
	do {                                                                                       \
		static const uint8_t frames_[] = {__VA_ARGS__};                                    \
		expect_frames(frames_, sizeof(frames_), answer);                                   \
	} while (0)

static void frames_every_type_only_initial_ones_pass(void **state)
{
	for (int type = 0; type < 256; type++) {
		uint8_t frames[40] = {(uint8_t)type};
		bool legal = type <= 3 || type == 6 || type == 0x1c;

		expect_frames(frames, sizeof(frames), legal ? SL_PARSE_DONE : SL_PARSE_BAD);
	}
	/* The long form of a frame type is a violation, though it means the same. */
	FRAMES(SL_PARSE_BAD, 0x40, 0x01);
	FRAMES(SL_PARSE_BAD, 0x40, 0x06, 0, 1, 0xaa);
	expect_frames(NULL, 0, SL_PARSE_BAD);
}

static void frames_padding_of_any_length_passes(void **state)
{
	uint8_t frames[70] = {0};

	for (size_t len = 1; len < sizeof(frames); len++) {
		expect_frames(frames, len, SL_PARSE_DONE);
		frames[len - 1] = 0x01;
		expect_frames(frames, len, SL_PARSE_DONE);
		frames[len - 1] = 0xff;
		expect_frames(frames, len, SL_PARSE_BAD);
		frames[len - 1] = 0;
	}
}

static void frames_ack_ranges_below_zero_are_malformed(void **state)
{
	FRAMES(SL_PARSE_DONE, 2, 10, 0, 0, 10);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 0, 11);
	FRAMES(SL_PARSE_DONE, 2, 10, 0, 1, 0, 1, 7); /* 10, then 10-0-1-2 = 7 to 0 */
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 1, 0, 1, 8);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 1, 0, 9, 0);
	FRAMES(SL_PARSE_DONE, 2, 10, 0, 1, 0, 8, 0);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 2, 0, 1, 7);
	FRAMES(SL_PARSE_BAD, 2, 10, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0);
	FRAMES(SL_PARSE_DONE, 3, 10, 0, 0, 0, 1, 2, 3);
	FRAMES(SL_PARSE_BAD, 3, 10, 0, 0, 0, 1, 2);
	FRAMES(SL_PARSE_BAD, 2, 10, 0);
}

static void frames_crypto_lengths_are_kept(void **state)
{
	FRAMES(SL_PARSE_DONE, 6, 0, 3, 'a', 'b', 'c');
	FRAMES(SL_PARSE_DONE, 6, 0, 0);
	FRAMES(SL_PARSE_DONE, 6, 0x40, 0x00, 0x80, 0, 0, 1, 'a'); /* any form of an integer */
	FRAMES(SL_PARSE_BAD, 6, 0, 4, 'a', 'b', 'c');
	FRAMES(SL_PARSE_BAD, 6, 0);
	FRAMES(SL_PARSE_BAD, 6);
	FRAMES(SL_PARSE_BAD, 6, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a');
	/* The end of the stream: offset + length is at most 2^62 - 1. */
	FRAMES(SL_PARSE_BAD, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a');
	FRAMES(SL_PARSE_DONE, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0);
}

static void frames_connection_close_reason_fits(void **state)
{
	FRAMES(SL_PARSE_DONE, 0x1c, 0, 0, 0);
	FRAMES(SL_PARSE_DONE, 0x1c, 0x41, 0x00, 6, 2, 'h', 'i');
	FRAMES(SL_PARSE_BAD, 0x1c, 0, 0, 3, 'h', 'i');
	FRAMES(SL_PARSE_BAD, 0x1c, 0, 0);
	FRAMES(SL_PARSE_BAD, 0x1d, 0, 0);
}

static void frames_are_told_in_info(void **state)
{
	static const uint8_t frames[] = {2, 5, 0, 0, 1, 0, 0, 0x1c, 0, 0, 0};
	struct sl_quic_datagram_info info = {0};
	struct stream *s = calloc(1, sizeof(*s));

	assert_int_equal(sl_quic_frames_walk(frames, 7, collect, s, &info), SL_PARSE_DONE);
	assert_false(info.ack_eliciting);
	assert_false(info.closes);
	assert_int_equal(sl_quic_frames_walk(frames, sizeof(frames), collect, s, &info),
	                 SL_PARSE_DONE);
	assert_false(info.ack_eliciting);
	assert_true(info.closes);
	assert_int_equal(sl_quic_frames_walk((const uint8_t *)"\1", 1, collect, s, &info),
	                 SL_PARSE_DONE);
	assert_true(info.ack_eliciting);
	assert_int_equal(info.crypto_frames, 0);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(frames_every_type_only_initial_ones_pass),
	        cmocka_unit_test(frames_padding_of_any_length_passes),
	        cmocka_unit_test(frames_ack_ranges_below_zero_are_malformed),
	        cmocka_unit_test(frames_crypto_lengths_are_kept),
	        cmocka_unit_test(frames_connection_close_reason_fits),
	        cmocka_unit_test(frames_are_told_in_info),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
