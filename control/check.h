/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h: the command `sluice check FILE...`.
 */
#ifndef SLUICE_CONTROL_CHECK_H
#define SLUICE_CONTROL_CHECK_H

/*
 * Checks policies and gateway configs (told apart by their keys) without touching the gateway.
 * argv[0] is the command's name. Returns the exit code: 0, 1 with errors in a file, 2 for wrong
 * usage. Needs no EAL.
 */
int sl_check_main(int argc, char **argv);

#endif
