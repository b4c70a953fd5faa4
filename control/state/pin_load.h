/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_load.h: gives sandboxes the pins back that a file keeps, at the start.
 *
 * Decides which pins of a file are given back: those with a rest of life, of sandboxes that are
 * still the same (pin_owner.h). Whatever is wrong with the file, nothing of it is used, and the
 * gateway starts: programs then ask DNS again.
 */
#ifndef SLUICE_CONTROL_PIN_LOAD_H
#define SLUICE_CONTROL_PIN_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "sluice/generation.h"
#include "sluice/worker.h"

struct sl_pin_load_params {
	const char *path;
	uint64_t now_s;                         /* the time of day, rounded up */
	const struct sl_generation *generation; /* in force */
	struct sl_model *model;                 /* of it */
	const struct sl_settings *settings;
	/* Gives one pin back; false: it was not taken (sl_worker_restore_pin). */
	bool (*restore)(void *ctx, const struct sl_kept_pin *pin);
	void *ctx;
};

/* What became of the pins in the file. */
struct sl_pin_load {
	uint64_t restored;
	unsigned sandboxes; /* that got these */
	uint64_t ended;     /* their life was over */
	uint64_t strangers; /* of sandboxes that are gone, or others now */
	uint64_t no_room;
	char why[256]; /* the file was ignored; in words */
};

/* Returns 0; -ENOENT if there is no file; or another -errno with out->why: it was ignored. */
int sl_pin_load(const struct sl_pin_load_params *params, struct sl_pin_load *out);

#endif
