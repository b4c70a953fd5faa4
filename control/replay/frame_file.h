/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_file.h: frames that would have left, as a pcap file (Ethernet).
 */
#ifndef SLUICE_CONTROL_FRAME_FILE_H
#define SLUICE_CONTROL_FRAME_FILE_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct sl_frame_file;

/* Returns NULL and a message, which names the file, in err. */
struct sl_frame_file *sl_frame_file_open(const char *path, char *err, size_t err_size);

/* Adds a frame as it is, chained or not; the mbuf stays the caller's. */
void sl_frame_file_add(struct sl_frame_file *file, uint64_t time_us, const struct rte_mbuf *frame);

/* Returns 0, or -1 and a message in err if not everything could be written. NULL is fine. */
int sl_frame_file_close(struct sl_frame_file *file, char *err, size_t err_size);

#endif
