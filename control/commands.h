/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.h: the subcommands of `sluice`. Each gets its own name as argv[0] and returns the exit
 * code: 0, 1 for a failure, 2 for wrong usage.
 */
#ifndef SLUICE_CONTROL_COMMANDS_H
#define SLUICE_CONTROL_COMMANDS_H

#include "replay/replay.h"

int sl_run_main(int argc, char **argv);

#endif
