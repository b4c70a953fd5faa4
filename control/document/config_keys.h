/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_keys.h: between config.c, which owns a config, and config_keys.c, which fills it in.
 */
#ifndef SLUICE_CONTROL_CONFIG_KEYS_H
#define SLUICE_CONTROL_CONFIG_KEYS_H

#include "config.h"
#include "schema.h"

/*
 * Reads the file's values into a config that has its defaults and lists already. Errors are in the
 * schema's diag.
 */
void sl_config_keys_read(struct sl_config *config, struct sl_schema *schema,
                         const struct sl_yaml_node *root, enum sl_config_use use);

#endif
