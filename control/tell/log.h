/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h: what the gateway tells its operator, a line at a time, on standard error.
 */
#ifndef SLUICE_CONTROL_LOG_H
#define SLUICE_CONTROL_LOG_H

#include <stdbool.h>

enum sl_log_level { SL_LOG_ERROR = 0, SL_LOG_WARNING, SL_LOG_INFO };

/*
 * Says how lines begin: with a timestamp (`run`, whose lines stay) or with this prefix (commands
 * at a terminal: "sluice replay: "). prefix is not copied; NULL: none. Before that: no timestamp.
 */
void sl_log_style(bool timestamps, const char *prefix);

/*
 * Writes one line in one write(), control characters replaced, "warning: " or "error: " in front.
 * A line that standard error does not take is lost; errno stays. Any thread of control.
 */
void sl_log(enum sl_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
