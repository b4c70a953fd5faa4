/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefix.c: reads and orders addresses and prefixes. It never guesses: a text that two programs
 * could read differently is refused with the text that says what was meant.
 */
#include "prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(char *why, size_t why_size, const char *message)
{
	snprintf(why, why_size, "%s", message);
	return -EINVAL;
}

/* True if text is an IPv4 address but for leading zeros, which some read as octal. */
static bool has_leading_zero(const char *text)
{
	for (const char *at = text; *at != '\0'; at++) {
		bool starts = at == text || at[-1] == '.';

		if (starts && at[0] == '0' && at[1] >= '0' && at[1] <= '9')
			return true;
	}
	return false;
}

static int parse_v4(const char *text, struct sl_prefix *out, char *why, size_t why_size)
{
	if (inet_pton(AF_INET, text, out->addr) == 1) {
		out->family = 4;
		return 0;
	}
	if (text[strspn(text, "0123456789.")] == '\0' && has_leading_zero(text))
		return refuse(why, why_size,
		              "has a leading zero, which some programs read as octal; "
		              "write decimal numbers without it");
	return refuse(why, why_size, "is no IPv4 or IPv6 address");
}

static int parse_v6(const char *text, struct sl_prefix *out, char *why, size_t why_size)
{
	if (strchr(text, '%') != NULL)
		return refuse(why, why_size,
		              "has a zone, which means nothing beyond one machine; leave it out");
	if (text[0] == '[')
		return refuse(why, why_size, "has brackets; write the address without them");
	if (inet_pton(AF_INET6, text, out->addr) != 1)
		return refuse(why, why_size, "is no IPv6 address");
	out->family = 6;
	return 0;
}

/* The address alone, without any meaning of a length. text ends with a NUL. */
static int parse_address(const char *text, struct sl_prefix *out, char *why, size_t why_size)
{
	memset(out, 0, sizeof(*out));
	if (text[0] == '\0')
		return refuse(why, why_size, "is no address");
	if (strchr(text, ':') != NULL)
		return parse_v6(text, out, why, why_size);
	return parse_v4(text, out, why, why_size);
}

/* A decimal length of at most max bits: no sign, no leading zero. */
static int parse_length(const char *text, struct sl_prefix *out, char *why, size_t why_size)
{
	unsigned max = out->family == 4 ? 32 : 128;
	size_t digits = strspn(text, "0123456789");
	unsigned long value;

	if (strchr(text, '.') != NULL || strchr(text, ':') != NULL)
		return refuse(why, why_size,
		              "has a netmask; write the number of leading bits, as in /24");
	if (digits == 0 || text[digits] != '\0' || (text[0] == '0' && digits > 1)) {
		snprintf(why, why_size, "has no plain decimal prefix length (0 to %u)", max);
		return -EINVAL;
	}
	value = strtoul(text, NULL, 10);
	if (digits > 3 || value > max) {
		snprintf(why, why_size, "has a prefix length out of range (0 to %u)", max);
		return -EINVAL;
	}
	out->len = (uint8_t)value;
	return 0;
}

/* Zeroes the bits after the prefix length. Returns true if there were any. */
static bool clear_host_bits(struct sl_prefix *prefix)
{
	bool any = false;

	for (unsigned i = 0; i < sizeof(prefix->addr); i++) {
		unsigned bits = prefix->len > i * 8 ? prefix->len - i * 8 : 0;
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);

		any |= (prefix->addr[i] & ~mask) != 0;
		prefix->addr[i] &= mask;
	}
	return any;
}

/*
 * ::ffff:192.0.2.1 and the like: packets carry that host's IPv4 address, so the text would not
 * match what it seems to. ::ffff:0:0/96 itself and what is shorter are ranges of IPv6 like any
 * other.
 */
static bool is_mapped(const struct sl_prefix *prefix)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return prefix->family == 6 && prefix->len > 96 &&
	       memcmp(prefix->addr, mapped, sizeof(mapped)) == 0;
}

static int refuse_mapped(const struct sl_prefix *prefix, char *why, size_t why_size)
{
	struct sl_prefix v4 = {.family = 4, .len = (uint8_t)(prefix->len - 96)};
	char text[SL_PREFIX_TEXT_MAX];

	memcpy(v4.addr, prefix->addr + 12, 4);
	snprintf(why, why_size, "is IPv4 written as IPv6; write %s", sl_prefix_format(&v4, text));
	return -EINVAL;
}

/* Copies text to a NUL-terminated buffer; false if it cannot be an address for its length or NUL.
 */
static bool copy_text(const char *text, size_t len, char *out, size_t size)
{
	if (len >= size || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

int sl_prefix_parse_address(const char *text, size_t len, struct sl_prefix *out, char *why,
                            size_t why_size)
{
	char copy[SL_PREFIX_TEXT_MAX + 32];
	int rc;

	if (!copy_text(text, len, copy, sizeof(copy)))
		return refuse(why, why_size, "is no address");
	if (strchr(copy, '/') != NULL)
		return refuse(why, why_size, "is a prefix; write one address, without a length");
	rc = parse_address(copy, out, why, why_size);
	if (rc < 0)
		return rc;
	out->len = out->family == 4 ? 32 : 128;
	return is_mapped(out) ? refuse_mapped(out, why, why_size) : 0;
}

int sl_prefix_parse(const char *text, size_t len, struct sl_prefix *out, char *why, size_t why_size)
{
	char copy[SL_PREFIX_TEXT_MAX + 32], good[SL_PREFIX_TEXT_MAX];
	char *slash;
	int rc;

	if (!copy_text(text, len, copy, sizeof(copy)))
		return refuse(why, why_size, "is no address or prefix");
	slash = strchr(copy, '/');
	if (slash == NULL)
		return sl_prefix_parse_address(text, len, out, why, why_size);
	*slash = '\0';
	rc = parse_address(copy, out, why, why_size);
	if (rc == 0)
		rc = parse_length(slash + 1, out, why, why_size);
	if (rc < 0)
		return rc;
	if (is_mapped(out))
		return refuse_mapped(out, why, why_size);
	if (clear_host_bits(out)) {
		snprintf(why, why_size, "has host bits set; write %s, or one address without /%u",
		         sl_prefix_format(out, good), out->len);
		return -EINVAL;
	}
	return 0;
}

const char *sl_prefix_format(const struct sl_prefix *prefix, char out[SL_PREFIX_TEXT_MAX])
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(prefix->family == 4 ? AF_INET : AF_INET6, prefix->addr, text, sizeof(text)) ==
	    NULL)
		text[0] = '\0';
	snprintf(out, SL_PREFIX_TEXT_MAX, "%s/%u", text, prefix->len);
	return out;
}

int sl_prefix_compare(const struct sl_prefix *a, const struct sl_prefix *b)
{
	int order;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	order = memcmp(a->addr, b->addr, sizeof(a->addr));
	return order != 0 ? order : (int)a->len - (int)b->len;
}

static int compare(const void *a, const void *b)
{
	return sl_prefix_compare(a, b);
}

size_t sl_prefix_sort_unique(struct sl_prefix *list, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(list, n, sizeof(*list), compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || sl_prefix_compare(&list[kept - 1], &list[i]) != 0)
			list[kept++] = list[i];
	return kept;
}

bool sl_prefix_covers(const struct sl_prefix *outer, const struct sl_prefix *inner)
{
	struct sl_prefix cut = *inner;

	if (outer->family != inner->family || outer->len > inner->len)
		return false;
	cut.len = outer->len;
	clear_host_bits(&cut);
	return memcmp(cut.addr, outer->addr, sizeof(cut.addr)) == 0;
}
