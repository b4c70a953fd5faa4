/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_disk.h: the file of pins on the disk: whose it is, and how it is replaced.
 *
 * Decides which file is believed: a regular one, of this process's user, that nobody else may read
 * or write, as sl_pin_disk_write() leaves it. May block. Any thread.
 */
#ifndef SLUICE_CONTROL_PIN_DISK_H
#define SLUICE_CONTROL_PIN_DISK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads the whole file. Returns 0 and bytes that the caller frees; -ENOENT (there is none); or
 * another -errno, and why in words.
 */
int sl_pin_disk_read(const char *path, uint8_t **bytes, size_t *len, char *why, size_t why_size);

/*
 * Replaces the file, durably: whoever reads it has all of the old one or all of the new one, also
 * after a loss of power. Returns 0, or -errno; then the old one is there.
 */
int sl_pin_disk_write(const char *path, const uint8_t *bytes, size_t len);

#endif
