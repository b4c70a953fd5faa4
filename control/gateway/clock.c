/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c: the workers' clock. No system call once it runs. */
#include "clock.h"

#include <time.h>

#include <rte_cycles.h>

static uint64_t time_of_day_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void sl_clock_start(struct sl_clock *clock)
{
	clock->us_per_tsc =
	        (uint64_t)(((unsigned __int128)1000000 << SL_CLOCK_SHIFT) / rte_get_tsc_hz());
	clock->start_us = time_of_day_us();
	clock->start_tsc = rte_rdtsc();
}

uint64_t sl_clock_now_us(void *ctx)
{
	const struct sl_clock *clock = ctx;
	uint64_t passed_tsc = rte_rdtsc() - clock->start_tsc;

	return clock->start_us +
	       (uint64_t)((unsigned __int128)passed_tsc * clock->us_per_tsc >> SL_CLOCK_SHIFT);
}

int64_t sl_clock_offset_us(struct sl_clock *clock)
{
	return (int64_t)(time_of_day_us() - sl_clock_now_us(clock));
}

uint64_t sl_clock_wait_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
