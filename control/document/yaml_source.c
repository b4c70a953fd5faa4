/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_source.c: loads a document's bytes and refuses those that are not text.
 *
 * Must never take more memory than the limit says, whatever a path leads to (a pipe, a device, a
 * file that grows), and must never wait for a pipe that has no writer.
 */
#include "yaml_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_READ_BYTES (64u << 10)

/* The length of the UTF-8 character at bytes (RFC 3629), its code in *code; 0 if there is none. */
static size_t decode(const unsigned char *bytes, size_t len, uint32_t *code)
{
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = bytes[0] < 0x80   ? 1
	           : bytes[0] < 0xc0 ? 0
	           : bytes[0] < 0xe0 ? 2
	           : bytes[0] < 0xf0 ? 3
	           : bytes[0] < 0xf8 ? 4
	                             : 0;

	if (n == 0 || n > len)
		return 0;
	*code = n == 1 ? bytes[0] : bytes[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (bytes[i] & 0x3f);
	}
	if (*code < smallest[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return n;
}

/* The characters that a YAML stream may hold (YAML 1.1, 5.1), as libyaml takes them. */
static bool is_allowed(uint32_t code)
{
	if (code < 0x20)
		return code == '\t' || code == '\n' || code == '\r';
	return code != 0x7f && (code < 0x80 || code > 0x9f || code == 0x85) && code != 0xfeff &&
	       code != 0xfffe && code != 0xffff;
}

static void refuse_byte(const struct sl_yaml_source *source, size_t offset, uint32_t line,
                        uint32_t column, bool well_formed, struct sl_diag *diag)
{
	unsigned byte = (unsigned char)source->bytes[offset];

	if (byte == 0)
		sl_diag_error(diag, source->name, line, column,
		              "a NUL byte; the file is no text in UTF-8");
	else if (!well_formed)
		sl_diag_error(diag, source->name, line, column,
		              "byte 0x%02x is no UTF-8 here; save the file as UTF-8", byte);
	else
		sl_diag_error(diag, source->name, line, column,
		              "a control character, which YAML does not allow");
}

static int check_text(const struct sl_yaml_source *source, struct sl_diag *diag)
{
	const unsigned char *bytes = (const unsigned char *)source->bytes;
	uint32_t line = 1, column = 1;

	for (size_t at = 0; at < source->len;) {
		uint32_t code = 0;
		size_t n = decode(bytes + at, source->len - at, &code);

		if (n == 0 || !is_allowed(code)) {
			refuse_byte(source, at, line, column, n != 0, diag);
			return -EINVAL;
		}
		if (code == '\n' || (code == '\r' && bytes[at + 1] != '\n')) {
			line++;
			column = 1;
		} else {
			column++;
		}
		at += n;
	}
	return 0;
}

static void drop_byte_order_mark(struct sl_yaml_source *source)
{
	if (source->len >= 3 && memcmp(source->bytes, "\xef\xbb\xbf", 3) == 0) {
		source->len -= 3;
		memmove(source->bytes, source->bytes + 3, source->len + 1);
	}
}

/* Takes over source->bytes, which has room for a NUL after len bytes. */
static int finish(struct sl_yaml_source *source, struct sl_diag *diag)
{
	int rc;

	source->bytes[source->len] = '\0';
	drop_byte_order_mark(source);
	rc = check_text(source, diag);
	if (rc < 0)
		sl_yaml_source_free(source);
	return rc;
}

static int refuse_size(const char *name, size_t max, struct sl_diag *diag)
{
	sl_diag_error(diag, name, 1, 1, "larger than %zu bytes, the most that is read", max);
	return -EFBIG;
}

static int refuse_file(const char *name, const char *what, int error, struct sl_diag *diag)
{
	sl_diag_error(diag, name, 1, 1, "cannot %s: %s", what, strerror(error));
	return -error;
}

/* Reads to the end of the file, or to one byte beyond max, into a buffer that doubles. */
static int read_all(int fd, size_t max, struct sl_diag *diag, struct sl_yaml_source *source)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;

		if (source->len + 1 >= room) {
			size_t wanted = room == 0 ? FIRST_READ_BYTES : room * 2;
			char *grown = realloc(source->bytes, wanted);

			if (grown == NULL)
				return refuse_file(source->name, "read", ENOMEM, diag);
			source->bytes = grown;
			room = wanted;
		}
		n = read(fd, source->bytes + source->len, room - source->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse_file(source->name, "read", errno, diag);
		if (n == 0)
			return 0;
		source->len += (size_t)n;
		if (source->len > max)
			return refuse_size(source->name, max, diag);
	}
}

/* Opens without waiting for the writer of a named pipe; the reads then wait as usual. */
static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		fcntl(fd, F_SETFL, 0);
	return fd;
}

int sl_yaml_source_load(const char *path, size_t max, struct sl_diag *diag,
                        struct sl_yaml_source *source)
{
	struct stat status;
	int fd, rc;

	*source = (struct sl_yaml_source){.name = path};
	fd = open_file(path);
	if (fd < 0)
		return refuse_file(path, "open", errno, diag);
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (size_t)status.st_size > max)
		rc = refuse_size(path, max, diag);
	else
		rc = read_all(fd, max, diag, source);
	close(fd);
	if (rc < 0) {
		sl_yaml_source_free(source);
		return rc;
	}
	return finish(source, diag);
}

int sl_yaml_source_copy(const char *name, const char *bytes, size_t len, size_t max,
                        struct sl_diag *diag, struct sl_yaml_source *source)
{
	*source = (struct sl_yaml_source){.name = name};
	if (len > max)
		return refuse_size(name, max, diag);
	source->bytes = malloc(len + 1);
	if (source->bytes == NULL)
		return refuse_file(name, "read", ENOMEM, diag);
	if (len > 0)
		memcpy(source->bytes, bytes, len);
	source->len = len;
	return finish(source, diag);
}

void sl_yaml_source_free(struct sl_yaml_source *source)
{
	free(source->bytes);
	source->bytes = NULL;
	source->len = 0;
}

size_t sl_yaml_source_offset(const struct sl_yaml_source *source, size_t index)
{
	size_t at = 0;

	while (at < source->len && index > 0) {
		at++;
		while (at < source->len && ((unsigned char)source->bytes[at] & 0xc0) == 0x80)
			at++;
		index--;
	}
	return at;
}
