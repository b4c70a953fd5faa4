/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c: see hello.h. A writer with a mark for every length that is filled in afterwards.
 */
#include "hello.h"

#include <stdlib.h>
#include <string.h>

struct writer {
	uint8_t *out;
	size_t len;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
	if (len > HELLO_BYTES_MAX - w->len)
		abort();
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void put_fill(struct writer *w, uint8_t byte, size_t len)
{
	if (len > HELLO_BYTES_MAX - w->len)
		abort();
	memset(w->out + w->len, byte, len);
	w->len += len;
}

static void put_u8(struct writer *w, unsigned value)
{
	put_fill(w, (uint8_t)value, 1);
}

static void put_u16(struct writer *w, unsigned value)
{
	put_u8(w, value >> 8);
	put_u8(w, value & 0xff);
}

/* Leaves room for a length of two bytes; close_u16() fills in the number of bytes after it. */
static size_t open_u16(struct writer *w)
{
	put_u16(w, 0);
	return w->len;
}

static void close_u16(struct writer *w, size_t mark, int lie)
{
	size_t len = w->len - mark + (size_t)lie;

	w->out[mark - 2] = (uint8_t)(len >> 8);
	w->out[mark - 1] = (uint8_t)len;
}

static void put_name_entry(struct writer *w, uint8_t type, const void *name, size_t len, int lie)
{
	size_t mark;

	put_u8(w, type);
	mark = open_u16(w);
	put(w, name, len);
	close_u16(w, mark, lie);
}

static void put_server_name(struct writer *w, const struct hello_options *o)
{
	size_t extension, list, len = o->name_len != 0 ? o->name_len : strlen(o->name);

	put_u16(w, 0x0000);
	extension = open_u16(w);
	if (!o->extension_empty) {
		list = open_u16(w);
		if (!o->list_empty)
			put_name_entry(w, o->name_type, o->name, o->name_empty ? 0 : len,
			               o->name_len_lie);
		if (o->second_name != NULL)
			put_name_entry(w, 0, o->second_name, strlen(o->second_name), 0);
		close_u16(w, list, o->list_len_lie);
		if (o->name_trailing)
			put_u8(w, 0);
	}
	close_u16(w, extension, 0);
}

static void put_extension(struct writer *w, unsigned type, uint8_t fill, size_t len)
{
	put_u16(w, type);
	put_u16(w, (unsigned)len);
	put_fill(w, fill, len);
}

static void put_extensions(struct writer *w, const struct hello_options *o)
{
	static const uint8_t groups[] = {0x00, 0x02, 0x00, 0x1d};
	static const uint8_t versions[] = {0x04, 0x03, 0x04, 0x03, 0x03};
	size_t mark = open_u16(w);

	put_extension(w, 0x0a0a, 0, 0); /* GREASE (RFC 8701) */
	if (o->name != NULL && !o->name_last)
		put_server_name(w, o);
	put_u16(w, 0x000a); /* supported_groups */
	put_u16(w, sizeof(groups));
	put(w, groups, sizeof(groups));
	put_u16(w, 0x002b); /* supported_versions */
	put_u16(w, sizeof(versions));
	put(w, versions, sizeof(versions));
	put_extension(w, 0x0033, 0x5a, 38); /* key_share, its content is not parsed */
	if (o->ech)
		put_extension(w, 0xfe0d, 0x00, 120);
	if (o->esni)
		put_extension(w, 0xffce, 0x11, 60);
	for (size_t i = 0; i < o->many; i++)
		put_extension(w, (unsigned)(0x1100 + i), 0, 0);
	for (size_t i = 0; o->repeated_type != 0 && i < 2; i++)
		put_extension(w, (unsigned)o->repeated_type, 0, 0);
	if (o->name != NULL && o->name_last)
		put_server_name(w, o);
	if (o->other_sni != NULL)
		put_server_name(w, &(struct hello_options){.name = o->other_sni});
	if (o->total_len > w->len + 4)
		put_extension(w, 0x0015, 0, o->total_len - w->len - 4); /* padding */
	close_u16(w, mark, o->extensions_len_lie);
}

size_t hello_build(const struct hello_options *o, uint8_t *out)
{
	struct writer w = {.out = out};
	size_t session_id_len = o->session_id_none ? 0 : o->session_id_len ? o->session_id_len : 32;
	size_t suites_len = o->suites_none ? 0 : o->suites_len ? o->suites_len : 6;
	size_t len;

	put_u8(&w, 1); /* client_hello */
	put_fill(&w, 0, 3);
	put_u16(&w, o->version != 0 ? o->version : 0x0303);
	put_fill(&w, 0xc3, 32);
	put_u8(&w, (unsigned)session_id_len);
	put_fill(&w, 0x51, session_id_len);
	put_u16(&w, (unsigned)suites_len);
	put_fill(&w, 0x13, suites_len);
	put_u8(&w, o->compression_none ? 0 : 1);
	if (!o->compression_none)
		put_u8(&w, 0);
	if (!o->no_extensions)
		put_extensions(&w, o);
	len = w.len - 4 + (size_t)o->message_len_lie;
	out[1] = (uint8_t)(len >> 16);
	out[2] = (uint8_t)(len >> 8);
	out[3] = (uint8_t)len;
	return w.len;
}

size_t hello_named(const char *name, uint8_t *out)
{
	return hello_build(&(struct hello_options){.name = name}, out);
}

size_t hello_record(uint8_t type, const uint8_t *body, size_t len, uint8_t *out)
{
	out[0] = type;
	out[1] = 3;
	out[2] = 1;
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
	if (len > 0)
		memcpy(out + 5, body, len);
	return 5 + len;
}

size_t hello_records(const uint8_t *msg, size_t len, size_t fragment, uint8_t *out)
{
	size_t written = 0;

	if (fragment == 0 || fragment > 16384)
		fragment = 16384;
	for (size_t at = 0; at < len; at += fragment) {
		size_t piece = len - at < fragment ? len - at : fragment;

		written += hello_record(22, msg + at, piece, out + written);
	}
	return written;
}

size_t hello_server(bool retry, uint8_t *out)
{
	/* SHA-256 of "HelloRetryRequest", RFC 8446 4.1.3. */
	static const uint8_t retry_random[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
	                                         0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	                                         0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
	                                         0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
	struct writer w = {.out = out};

	put_u8(&w, 2); /* server_hello */
	put_fill(&w, 0, 3);
	put_u16(&w, 0x0303);
	if (retry)
		put(&w, retry_random, sizeof(retry_random));
	else
		put_fill(&w, 0x77, 32);
	put_u8(&w, 0); /* session id */
	put_u16(&w, 0x1301);
	put_u8(&w, 0);
	put_u16(&w, 6);
	put_u16(&w, 0x002b);
	put_u16(&w, 2);
	put_u16(&w, 0x0304);
	out[3] = (uint8_t)(w.len - 4);
	return w.len;
}
