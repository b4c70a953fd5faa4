/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.h: `sluice replay`.
 */
#ifndef SLUICE_CONTROL_REPLAY_H
#define SLUICE_CONTROL_REPLAY_H

/* As in commands.h. */
int sl_replay_main(int argc, char **argv);

#endif
