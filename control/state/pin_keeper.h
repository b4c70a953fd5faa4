/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_keeper.h: writes the pins of all sandboxes to a file, every 10 s and at the end.
 *
 * Decides when the file is written: as above where anything changed, and within about a second
 * when it has pins that the gateway has forgotten on purpose: of a sandbox that is gone, or that
 * were cut. A start after a crash must not find them again.
 *
 * Workers are asked for their pins (ask.h); one that takes no turns delays the file, and nothing
 * else. Asking, and waiting for the disk, is the work of a thread of the keeper's own.
 */
#ifndef SLUICE_CONTROL_PIN_KEEPER_H
#define SLUICE_CONTROL_PIN_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "sluice/ask.h"
#include "sluice/generation.h"

struct sl_pin_keeper;

#define SL_PIN_KEEPER_EVERY_MS 10000
#define SL_PIN_KEEPER_SOON_MS  1000 /* between two rounds, whatever happens */

/* All but the path outlives the keeper. Its thread makes the calls. */
struct sl_pin_keeper_params {
	const char *path;
	unsigned workers;
	const struct sl_publication *publication;
	const struct sl_settings *settings;
	struct sl_model *model; /* of what is published, whenever sl_pin_keeper_poll() is called */
	/* As sl_workers_ask() and sl_workers_await(). */
	bool (*ask)(void *ctx, unsigned worker, struct sl_ask *ask, unsigned timeout_ms,
	            bool *lost);
	bool (*await)(void *ctx, unsigned worker, struct sl_ask *ask, unsigned timeout_ms);
	/* What to add to the workers' clock for the time of day. */
	int64_t (*offset_us)(void *ctx);
	/* The file cannot be written (an errno), or is written again (0). Said once. */
	void (*told)(void *ctx, int problem);
	void *ctx;
};

/* NULL: no memory, or no thread. Control thread, as all but sl_pin_keeper_soon(). */
struct sl_pin_keeper *sl_pin_keeper_start(const struct sl_pin_keeper_params *params);

/*
 * To be called regularly, when no push is under way. Does not wait. True while the file is being
 * brought up to date. NULL is fine.
 */
bool sl_pin_keeper_poll(struct sl_pin_keeper *keeper, uint64_t now_ms);

/* Pins were forgotten that the file may have. Any thread. NULL is fine. */
void sl_pin_keeper_soon(struct sl_pin_keeper *keeper);

/*
 * Writes the file a last time and frees the keeper. False: that took longer than patience_ms; the
 * keeper's memory is left to its thread, which may hang in the disk. NULL is fine (true).
 */
bool sl_pin_keeper_end(struct sl_pin_keeper *keeper, unsigned patience_ms);

#endif
