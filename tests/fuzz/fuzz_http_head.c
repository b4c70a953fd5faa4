/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http_head.c: client streams through the search for a header section's end and the parsing
 * of it.
 *
 * Input: one byte that gives the size of the pieces into which the stream is split, then the
 * stream.
 *
 * Checked besides memory safety: the pieces do not change the result or the range; parsing the
 * range gives the same as parsing the whole; a result other than DONE has no name and, unless it is
 * MORE, a reason; a name is canonical. And no server, however lenient, reads another host from a
 * section than the one that was found: the second reader here accepts any line end, strips blanks
 * and control characters everywhere, unfolds nothing and finds every Host.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/http_head.h"

#define HEAD_MAX 4096

/* ---- the second reader ---- */

struct text {
	const uint8_t *at;
	size_t len;
};

static bool is_blank(uint8_t byte)
{
	return byte <= ' ' || byte >= 0x7f;
}

static struct text trimmed(struct text t)
{
	while (t.len > 0 && is_blank(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len > 0 && is_blank(t.at[t.len - 1]))
		t.len--;
	return t;
}

/* The text up to one of these bytes. */
static struct text upto(struct text t, const char *ends)
{
	for (size_t i = 0; i < t.len; i++)
		if (strchr(ends, t.at[i]) != NULL)
			return (struct text){t.at, i};
	return t;
}

static struct text behind(struct text t, size_t n)
{
	return n < t.len ? (struct text){t.at + n, t.len - n} : (struct text){t.at, 0};
}

static bool is_same(struct text t, const char *word)
{
	if (t.len != strlen(word))
		return false;
	for (size_t i = 0; i < t.len; i++)
		if ((t.at[i] >= 'A' && t.at[i] <= 'Z' ? t.at[i] | 0x20 : t.at[i]) != word[i])
			return false;
	return true;
}

/* A host with or without user information, port and last dot. */
static void must_be_host(struct text t, const char *name)
{
	for (size_t i = 0; i < t.len; i++)
		must(t.at[i] != '@');
	t = upto(trimmed(t), ":");
	if (t.len > 0 && t.at[t.len - 1] == '.')
		t.len--;
	must(is_same(t, name));
}

/* A target that contains a host anywhere except after a path. */
static void check_target(struct text line, const char *name)
{
	struct text target = trimmed(behind(line, upto(line, " \t").len));

	target = upto(target, " \t");
	for (size_t i = 0; i + 2 < target.len && target.at[i] != '/'; i++)
		if (memcmp(target.at + i, "://", 3) == 0) {
			must_be_host(upto(behind(target, i + 3), "/?#\\"), name);
			return;
		}
}

static void check_lenient(struct text head, const char *name)
{
	unsigned hosts = 0;
	bool first = true;

	while (head.len > 0) {
		struct text line = upto(head, "\r\n");

		head = behind(head, line.len + 1);
		if (first)
			check_target(line, name);
		else if (is_same(trimmed(upto(line, ":")), "host")) {
			must_be_host(behind(line, upto(line, ":").len + 1), name);
			hosts++;
		}
		first = false;
	}
	must(hosts == 1);
}

/* ---- the parser ---- */

static void check_head(const uint8_t *bytes, size_t len, enum sl_parse_result want)
{
	char again[SL_NAME_MAX + 1];
	struct sl_http_head head;
	enum sl_parse_result answer = sl_http_head_parse(bytes, len, &head);

	must(want == SL_PARSE_DONE ? answer == SL_PARSE_DONE || answer == SL_PARSE_BAD
	                           : answer == want);
	must((answer == SL_PARSE_DONE) == (head.name_len > 0));
	must(strlen(head.name) == head.name_len);
	must((answer == SL_PARSE_BAD || answer == SL_PARSE_NOT_MINE) ==
	     (head.reason != SL_REASON_NONE));
	if (answer != SL_PARSE_DONE)
		return;
	must(sl_hostname_normalise((const uint8_t *)head.name, head.name_len, again) ==
	     head.name_len);
	must(strcmp(head.name, again) == 0);
	must(!sl_hostname_is_address(head.name, head.name_len));
	check_lenient((struct text){bytes, len}, head.name);
}

static void check_stream(const uint8_t *stream, size_t len, size_t piece)
{
	enum sl_parse_result answer = SL_PARSE_MORE;
	struct sl_http_walk a, b;
	size_t used, at = 0;

	sl_http_walk_init(&a, HEAD_MAX);
	sl_http_walk_init(&b, HEAD_MAX);
	(void)sl_http_walk_feed(&a, stream, len, &used);
	must(used == a.len && used <= len && a.len <= HEAD_MAX);
	while (at < len && answer == SL_PARSE_MORE) {
		size_t now = len - at < piece ? len - at : piece;

		answer = sl_http_walk_feed(&b, stream + at, now, &used);
		must(used <= now && (answer != SL_PARSE_MORE || used == now));
		at += used;
	}
	must(memcmp(&a, &b, sizeof(a)) == 0);
	must(a.answer != SL_PARSE_DONE || memcmp(stream + a.len - 4, "\r\n\r\n", 4) == 0);
	if (a.reason != SL_REASON_HELLO_TOO_LARGE)
		check_head(stream, a.len, (enum sl_parse_result)a.answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1)
		return 0;
	check_stream(data + 1, len - 1, (size_t)data[0] + 1);
	return 0;
}
