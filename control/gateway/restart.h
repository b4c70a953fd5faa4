/* SPDX-License-Identifier: Apache-2.0 */
/* restart.h: replaces the process by a new start of itself. */
#ifndef SLUICE_CONTROL_RESTART_H
#define SLUICE_CONTROL_RESTART_H

#include <stddef.h>

/* The option of `sluice run` that forbids hugepages, whatever the config says. */
#define SL_RESTART_NO_HUGE_PAGES "no-huge-pages"

/*
 * Replaces this process by `sluice run --no-huge-pages -c config`: the same process id, standard
 * streams and signal mask, and nothing else. Returns only if that fails: -errno and a message in
 * err. Only the main thread may have state worth keeping.
 */
int sl_restart_without_huge_pages(const char *config, char *err, size_t err_size);

#endif
