/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep_pins.h: pins that outlive a restart of `sluice run` (dns.keep-pins): programs that resolve
 * once and keep an address for long, as JVMs do, go on.
 */
#ifndef SLUICE_CONTROL_KEEP_PINS_H
#define SLUICE_CONTROL_KEEP_PINS_H

#include "state/model.h"
#include "state/pin_keeper.h"

struct sl_config;
struct sl_workers;

/* All outlives the keeper. */
struct sl_keep_pins {
	const struct sl_config *config;
	const struct sl_settings *settings;
	const struct sl_publication *publication;
	struct sl_model *model;
	struct sl_workers *workers;
	unsigned worker_count;
};

/*
 * Gives the pins of the file back. Logs the outcome; a file that is not to be believed is ignored
 * as a whole. Control thread, between sl_workers_create and sl_workers_launch.
 */
void sl_keep_pins_load(const struct sl_keep_pins *keep);

/*
 * Begins to write the file. NULL: the config says no, or (logged) there is no memory. keep outlives
 * the keeper. Control thread.
 */
struct sl_pin_keeper *sl_keep_pins_start(struct sl_keep_pins *keep);

/* Writes it a last time; all workers have stopped. Control thread. */
void sl_keep_pins_end(const struct sl_keep_pins *keep, struct sl_pin_keeper *keeper);

#endif
