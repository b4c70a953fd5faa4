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
 * The time by this clock. It never goes back, since the counter does not, and it does not follow
 * changes of the time of day. Costs a multiplication. ctx: struct sl_clock.
 */
uint64_t sl_clock_now_us(void *ctx);

/* The offset to add to a time of this clock to get the current time of day. */
int64_t sl_clock_offset_us(struct sl_clock *clock);

/* A monotonic clock for waiting, in milliseconds, with an arbitrary origin. */
uint64_t sl_clock_wait_ms(void);

#endif
