/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_source.h: the bytes of a YAML document, before they are parsed. */
#ifndef SLUICE_CONTROL_YAML_SOURCE_H
#define SLUICE_CONTROL_YAML_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "diag.h"

struct sl_yaml_source {
	const char *name; /* as it stands in messages; the caller's */
	char *bytes;      /* own copy, NUL-terminated: a reader may repair it; no byte order mark */
	size_t len;
};

/*
 * Loads a file, or copies len bytes, of at most max bytes. They are then well-formed UTF-8 of
 * characters that YAML allows (YAML 1.1, 5.1), without NUL. Returns 0, or -errno with the error in
 * diag. sl_yaml_source_free() frees the copy.
 */
int sl_yaml_source_load(const char *path, size_t max, struct sl_diag *diag,
                        struct sl_yaml_source *source);
int sl_yaml_source_copy(const char *name, const char *bytes, size_t len, size_t max,
                        struct sl_diag *diag, struct sl_yaml_source *source);
void sl_yaml_source_free(struct sl_yaml_source *source);

/* The byte of the character number index (from 0), at most len. */
size_t sl_yaml_source_offset(const struct sl_yaml_source *source, size_t index);

#endif
