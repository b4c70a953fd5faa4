/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_watch_path.h: where a path leads, name by name.
 */
#ifndef SLUICE_CONTROL_FILE_WATCH_PATH_H
#define SLUICE_CONTROL_FILE_WATCH_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define SL_FILE_WATCH_PATH_MAX 64 /* names that decide where the path leads */

/* One name in one directory that decides where the path leads. */
struct sl_file_watch_link {
	int wd; /* of the directory, for the caller to keep; -1: it is not watched */
	bool last;
	char *dir, *name;
};

/*
 * Walks the path as the kernel does and lists every name that is a symlink, the last one, and the
 * first that is missing, in chain[SL_FILE_WATCH_PATH_MAX]. Returns the length of the list, which is
 * to be given to sl_file_watch_path_clear.
 */
size_t sl_file_watch_path_walk(const char *path, struct sl_file_watch_link *chain);
void sl_file_watch_path_clear(struct sl_file_watch_link *chain, size_t n);

/* dir/name; out may be dir. False: it is too long. */
bool sl_file_watch_path_join(char out[PATH_MAX], const char *dir, const char *name);

#endif
