/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unzip.h: a file as a stream, unpacked on the way if gzip packed it.
 */
#ifndef SLUICE_CONTROL_UNZIP_H
#define SLUICE_CONTROL_UNZIP_H

#include <stdio.h>

/*
 * Opens a file to be read, or standard input ("-"), which is left as it is. What gzip packed is
 * known by its first bytes, whatever the file is called. *why is set to static text when reading
 * fails because of what is packed, and to NULL now; it must outlive the stream. Returns NULL and
 * errno.
 */
FILE *sl_unzip_open(const char *path, const char **why);

#endif
