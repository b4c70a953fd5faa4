/* SPDX-License-Identifier: Apache-2.0 */
/* unzip.h: a file as a stream, decompressed if it is in gzip format. */
#ifndef SLUICE_CONTROL_UNZIP_H
#define SLUICE_CONTROL_UNZIP_H

#include <stdio.h>

/*
 * Opens a file for reading, or standard input ("-"), which is not decompressed. The gzip format is
 * recognised by its first bytes, whatever the file's name. *why is set to NULL now, and to static
 * text when reading fails because of the compressed data; it must outlive the stream. Returns NULL
 * and errno.
 */
FILE *sl_unzip_open(const char *path, const char **why);

#endif
