/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_watch.h: notices when a policy file has new content.
 *
 * A rename over the file and a swap of a symlink on the way to it are taken at once, and once. A
 * file that is written in place is taken after it was closed and two reads 100 ms apart were equal.
 * If the file is gone, the last content stays in force.
 */
#ifndef SLUICE_CONTROL_FILE_WATCH_H
#define SLUICE_CONTROL_FILE_WATCH_H

#include <stddef.h>
#include <stdint.h>

struct sl_file_watch;

enum sl_file_watch_news {
	SL_FILE_WATCH_NOTHING = 0,
	SL_FILE_WATCH_CHANGED, /* there is new content; sl_file_watch_bytes() has it */
	SL_FILE_WATCH_GONE,    /* the file is not there any more; reported once */
	SL_FILE_WATCH_FAILED,  /* the file is there but cannot be read; sl_file_watch_error() says
	                          why */
};

/*
 * Starts to watch. The path need not exist yet. max_bytes: of a larger file only max_bytes + 1
 * bytes are read, and the caller is to refuse it. Returns NULL and errno. One thread.
 */
struct sl_file_watch *sl_file_watch_create(const char *path, size_t max_bytes);

void sl_file_watch_free(struct sl_file_watch *watch);

/* The descriptor to poll for input; sl_file_watch_poll() is then due. */
int sl_file_watch_fd(const struct sl_file_watch *watch);

/* How long until sl_file_watch_poll() is due without input, in milliseconds (never -1). */
int sl_file_watch_timeout_ms(const struct sl_file_watch *watch, uint64_t now_ms);

/*
 * Handles what happened since the last call. now_ms is of a monotonic clock, the same in every
 * call. Blocks only while it reads the file.
 */
enum sl_file_watch_news sl_file_watch_poll(struct sl_file_watch *watch, uint64_t now_ms);

/* Reads the file now whatever happened (start-up, SIGHUP). Never SL_FILE_WATCH_NOTHING. */
enum sl_file_watch_news sl_file_watch_read(struct sl_file_watch *watch, uint64_t now_ms);

/*
 * The content that the last SL_FILE_WATCH_CHANGED announced. It belongs to the watch and is valid
 * until the next call.
 */
const char *sl_file_watch_bytes(const struct sl_file_watch *watch, size_t *len);

/* Frees the content before the next change. */
void sl_file_watch_forget_bytes(struct sl_file_watch *watch);

/* The errno of the last SL_FILE_WATCH_FAILED or SL_FILE_WATCH_GONE. */
int sl_file_watch_error(const struct sl_file_watch *watch);

#endif
