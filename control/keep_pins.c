/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep_pins.c: the file of pins of `sluice run`: what the log says of it, and whom it asks.
 */
#include "keep_pins.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "document/config.h"
#include "gateway/workers.h"
#include "state/pin_load.h"
#include "tell/log.h"

#define PATIENCE_MS 5000 /* for the disk, at the end */

static bool is_on(const struct sl_keep_pins *keep)
{
	return keep->config->dns.keep_pins != NULL && keep->config->dns.keep_pins[0] != '\0' &&
	       keep->settings->pinning != SL_PINNING_OFF && !keep->settings->resolver_any;
}

static bool restore(void *ctx, const struct sl_kept_pin *pin)
{
	const struct sl_keep_pins *keep = ctx;

	return sl_workers_restore_pin(keep->workers, pin);
}

static void say_loaded(const char *path, const struct sl_pin_load *load)
{
	sl_log(SL_LOG_INFO,
	       "%llu pins of %u sandboxes are back from %s; %llu have ended, %llu are of "
	       "sandboxes that are gone or others now, for %llu there is no room",
	       (unsigned long long)load->restored, load->sandboxes, path,
	       (unsigned long long)load->ended, (unsigned long long)load->strangers,
	       (unsigned long long)load->no_room);
}

void sl_keep_pins_load(const struct sl_keep_pins *keep)
{
	struct sl_pin_load_params params = {
	        .path = keep->config->dns.keep_pins,
	        .generation = atomic_load(&keep->publication->current),
	        .model = keep->model,
	        .settings = keep->settings,
	        .restore = restore,
	        .ctx = (void *)keep,
	};
	struct sl_pin_load load;
	struct timespec now;
	int ret;

	if (!is_on(keep))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	params.now_s = (uint64_t)now.tv_sec + (now.tv_nsec > 0);
	ret = sl_pin_load(&params, &load);
	if (ret == 0)
		say_loaded(params.path, &load);
	else if (ret != -ENOENT)
		sl_log(SL_LOG_WARNING,
		       "the pins in %s are ignored, and sandboxes have to ask DNS again: %s",
		       params.path, load.why);
}

static bool ask(void *ctx, unsigned worker, struct sl_ask *ask, unsigned timeout_ms, bool *lost)
{
	const struct sl_keep_pins *keep = ctx;

	return sl_workers_ask(keep->workers, worker, ask, timeout_ms, lost);
}

static bool await(void *ctx, unsigned worker, struct sl_ask *ask, unsigned timeout_ms)
{
	const struct sl_keep_pins *keep = ctx;

	return sl_workers_await(keep->workers, worker, ask, timeout_ms);
}

static int64_t offset_us(void *ctx)
{
	const struct sl_keep_pins *keep = ctx;

	return sl_workers_clock_offset_us(keep->workers);
}

static void told(void *ctx, int problem)
{
	const struct sl_keep_pins *keep = ctx;

	if (problem == 0)
		sl_log(SL_LOG_INFO, "pins are written to %s again", keep->config->dns.keep_pins);
	else
		sl_log(SL_LOG_WARNING,
		       "pins cannot be written to %s, and may end with the gateway: %s",
		       keep->config->dns.keep_pins, strerror(problem));
}

struct sl_pin_keeper *sl_keep_pins_start(struct sl_keep_pins *keep)
{
	struct sl_pin_keeper_params params = {
	        .path = keep->config->dns.keep_pins,
	        .workers = keep->worker_count,
	        .publication = keep->publication,
	        .settings = keep->settings,
	        .model = keep->model,
	        .ask = ask,
	        .await = await,
	        .offset_us = offset_us,
	        .told = told,
	        .ctx = keep,
	};
	struct sl_pin_keeper *keeper;

	if (!is_on(keep))
		return NULL;
	keeper = sl_pin_keeper_start(&params);
	if (keeper == NULL)
		sl_log(SL_LOG_WARNING, "no memory to keep pins in %s", params.path);
	return keeper;
}

void sl_keep_pins_end(const struct sl_keep_pins *keep, struct sl_pin_keeper *keeper)
{
	if (!sl_pin_keeper_end(keeper, PATIENCE_MS))
		sl_log(SL_LOG_WARNING, "the latest pins are not in %s: the disk takes too long",
		       keep->config->dns.keep_pins);
}
