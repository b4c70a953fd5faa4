/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_from_config.h: derives struct sl_settings, the part that workers need, from the
 * gateway's config.
 */
#ifndef SLUICE_CONTROL_SETTINGS_FROM_CONFIG_H
#define SLUICE_CONTROL_SETTINGS_FROM_CONFIG_H

#include <stdbool.h>

#include "sluice/settings.h"

struct sl_config;
struct sl_diag;

/*
 * Fills in *settings from a config that was read; nothing in it points into the config. replay:
 * frames come from captures, so DNS ids and case stay, partial checksums are good. Returns 0, or
 * -EINVAL with errors in diag if the config asks for more than a worker supports.
 */
int sl_settings_from_config(const struct sl_config *config, bool replay, struct sl_diag *diag,
                            struct sl_settings *settings);

#endif
