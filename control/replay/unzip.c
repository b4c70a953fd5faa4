/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unzip.c: a file as a stream, decompressed if it is in gzip format (RFC 1952), with zlib.
 *
 * Returns what has been read so far without waiting for more, so that a capture can be read while
 * it is being written. A truncated member is an error, never the end of the capture.
 */
#include "unzip.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC_1   0x1f /* RFC 1952 2.3.1 */
#define MAGIC_2   0x8b
#define IN_BYTES  65536
#define GZIP_ONLY (16 + MAX_WBITS) /* zlib's window bits, for a gzip header */

struct unzip {
	int fd;
	bool packed, ended; /* ended: after the last member */
	const char **why;
	z_stream zip; /* next_in, avail_in: bytes that were read and not yet returned, compressed or
	                 not */
	unsigned char in[IN_BYTES];
};

/* Reads more bytes after those that are there. Returns how many, 0 at the end, or -1. */
static ssize_t fill(struct unzip *unzip)
{
	ssize_t got;

	memmove(unzip->in, unzip->zip.next_in, unzip->zip.avail_in);
	unzip->zip.next_in = unzip->in;
	do
		got = read(unzip->fd, unzip->in + unzip->zip.avail_in,
		           sizeof(unzip->in) - unzip->zip.avail_in);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		unzip->zip.avail_in += (unsigned)got;
	return got;
}

/* True if a member begins here; other bytes after the last member are ignored. */
static bool member_begins(struct unzip *unzip)
{
	while (unzip->zip.avail_in < 2)
		if (fill(unzip) <= 0)
			return false;
	return unzip->zip.next_in[0] == MAGIC_1 && unzip->zip.next_in[1] == MAGIC_2;
}

static ssize_t fail(struct unzip *unzip, const char *why)
{
	*unzip->why = why;
	errno = EIO;
	return -1;
}

static ssize_t unpack(struct unzip *unzip, char *out, size_t size)
{
	unzip->zip.next_out = (unsigned char *)out;
	unzip->zip.avail_out = (unsigned)size;
	while (unzip->zip.avail_out == size && !unzip->ended) {
		ssize_t got = unzip->zip.avail_in > 0 ? 1 : fill(unzip);

		if (got < 0)
			return -1;
		if (got == 0)
			return fail(unzip, "the gzip data ends in the middle");
		switch (inflate(&unzip->zip, Z_NO_FLUSH)) {
		case Z_OK:
		case Z_BUF_ERROR: /* it needs more input */
			break;
		case Z_STREAM_END:
			if (member_begins(unzip))
				inflateReset(&unzip->zip);
			else
				unzip->ended = true;
			break;
		case Z_MEM_ERROR:
			return fail(unzip, "no memory");
		default:
			return fail(unzip, "the gzip data is damaged");
		}
	}
	return (ssize_t)(size - unzip->zip.avail_out);
}

static ssize_t hand_on(void *cookie, char *out, size_t size)
{
	struct unzip *unzip = cookie;

	if (size > UINT_MAX)
		size = UINT_MAX;
	if (unzip->packed)
		return unpack(unzip, out, size);
	if (unzip->zip.avail_in == 0) {
		ssize_t got = fill(unzip);

		if (got <= 0)
			return got;
	}
	if (size > unzip->zip.avail_in)
		size = unzip->zip.avail_in;
	memcpy(out, unzip->zip.next_in, size);
	unzip->zip.next_in += size;
	unzip->zip.avail_in -= (unsigned)size;
	return (ssize_t)size;
}

static int end(void *cookie)
{
	struct unzip *unzip = cookie;

	if (unzip->packed)
		inflateEnd(&unzip->zip);
	close(unzip->fd);
	free(unzip);
	return 0;
}

static int begin(struct unzip *unzip)
{
	unzip->zip.next_in = unzip->in;
	unzip->packed = member_begins(unzip);
	if (unzip->packed && inflateInit2(&unzip->zip, GZIP_ONLY) != Z_OK) {
		unzip->packed = false;
		return -ENOMEM;
	}
	return 0;
}

FILE *sl_unzip_open(const char *path, const char **why)
{
	static const cookie_io_functions_t functions = {.read = hand_on, .close = end};
	int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
	                                : open(path, O_RDONLY | O_CLOEXEC);
	struct unzip *unzip;
	FILE *file = NULL;

	*why = NULL;
	if (fd < 0)
		return NULL;
	unzip = calloc(1, sizeof(*unzip));
	if (unzip == NULL) {
		close(fd);
		return NULL;
	}
	unzip->fd = fd;
	unzip->why = why;
	if (begin(unzip) == 0)
		file = fopencookie(unzip, "rb", functions);
	if (file == NULL) {
		end(unzip);
		errno = ENOMEM;
	}
	return file;
}
