/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart.h: a process that begins again, in its own place.
 */
#ifndef SLUICE_CONTROL_RESTART_H
#define SLUICE_CONTROL_RESTART_H

#include <stddef.h>

/* The option of `sluice run` under which it takes no hugepages, whatever its config says. */
#define SL_RESTART_NO_HUGE_PAGES "no-huge-pages"

/*
 * Replaces this process by `sluice run --no-huge-pages -c config`: the same process id, standard
 * streams and signal mask, and nothing else. Returns only if that fails: -errno and a message in
 * err. Nothing but the main thread may have anything to lose.
 */
int sl_restart_without_huge_pages(const char *config, char *err, size_t err_size);

#endif
