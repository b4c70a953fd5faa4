/* SPDX-License-Identifier: Apache-2.0 */
/* log.h: the gateway's messages to its operator, one a line, on standard error. */
#ifndef SLUICE_CONTROL_LOG_H
#define SLUICE_CONTROL_LOG_H

#include <stdbool.h>

enum sl_log_level { SL_LOG_ERROR = 0, SL_LOG_WARNING, SL_LOG_INFO };

/*
 * Sets how lines begin: with a timestamp (`run`, whose lines are kept) or with this prefix
 * (commands at a terminal: "sluice replay: "). prefix is not copied; NULL: none. Before that: no
 * timestamp.
 */
void sl_log_style(bool timestamps, const char *prefix);

/*
 * Writes one line in one write(), with control characters replaced and "warning: " or "error: "
 * before it. A line that cannot be written is lost; errno is preserved. Any thread of control.
 */
void sl_log(enum sl_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
