/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_text.c: rewrites escapes of JSON that YAML does not have. The text was read as JSON before.
 */
#include "json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PAIR_BYTES  12 /* \uXXXX\uXXXX */
#define YAML_BYTES  10 /* \UXXXXXXXX */
#define SAVED_BYTES (PAIR_BYTES - YAML_BYTES)

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of \uXXXX, or -1. */
static int32_t unit_at(const char *bytes, size_t left)
{
	int32_t unit = 0;

	if (left < 6 || bytes[0] != '\\' || bytes[1] != 'u')
		return -1;
	for (unsigned i = 2; i < 6; i++) {
		if (digit_of(bytes[i]) < 0)
			return -1;
		unit = unit << 4 | digit_of(bytes[i]);
	}
	return unit;
}

/* The code point of a pair, or 0. */
static uint32_t pair_at(const char *bytes, size_t left)
{
	int32_t high = unit_at(bytes, left);
	int32_t low = high >= 0xd800 && high < 0xdc00 ? unit_at(bytes + 6, left - 6) : -1;

	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	return 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

/* The place of the quote that ends the string which goes on at `at`. */
static size_t end_of_string(const char *bytes, size_t at, size_t len)
{
	while (at < len && bytes[at] != '"')
		at += bytes[at] == '\\' ? 2 : 1;
	return at;
}

static void join(char *bytes, size_t at, size_t len, uint32_t point)
{
	size_t end = end_of_string(bytes, at + PAIR_BYTES, len);
	char text[YAML_BYTES + 1];

	if (end >= len)
		return;
	snprintf(text, sizeof(text), "\\U%08x", point);
	memcpy(bytes + at, text, YAML_BYTES);
	memmove(bytes + at + YAML_BYTES, bytes + at + PAIR_BYTES, end + 1 - (at + PAIR_BYTES));
	memset(bytes + end + 1 - SAVED_BYTES, ' ', SAVED_BYTES);
}

void sl_json_join_surrogates(char *bytes, size_t len)
{
	bool inside = false;

	for (size_t at = 0; at < len; at++) {
		uint32_t point;

		if (bytes[at] == '"') {
			inside = !inside;
		} else if (inside && bytes[at] == '\\') {
			point = pair_at(bytes + at, len - at);
			if (point != 0)
				join(bytes, at, len, point);
			at += point != 0 ? YAML_BYTES - 1 : 1;
		}
	}
}
