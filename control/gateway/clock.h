/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h: the workers' clock: microseconds since the Unix epoch, from the time stamp counter.
 */
#ifndef SLUICE_CONTROL_CLOCK_H
#define SLUICE_CONTROL_CLOCK_H

#include <stdint.h>

/* Set once, then only read, by any thread. */
struct sl_clock {
	uint64_t start_tsc;
	uint64_t start_us;
	uint64_t us_per_tsc; /* << SL_CLOCK_SHIFT */
};

#define SL_CLOCK_SHIFT 40

/* Sets the clock to the time of day. The EAL is up (it has measured the counter). */
void sl_clock_start(struct sl_clock *clock);

/*
 * The time by this clock, which never goes back, since the counter does not; it does not follow
 * when the time of day is set. Costs a multiplication. ctx: struct sl_clock.
 */
uint64_t sl_clock_now_us(void *ctx);

/* What to add to a time by this clock to have it by the time of day as it is now. */
int64_t sl_clock_offset_us(struct sl_clock *clock);

/* A clock for waiting, in milliseconds, of no known beginning. */
uint64_t sl_clock_wait_ms(void);

#endif
