/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pattern.c: reads domain patterns.
 *
 * Every label but `*` goes through sl_hostname_normalise(), the same function as the names of
 * hellos and of DNS: a pattern that passes can match, and it matches what it appears to mean.
 */
#include "pattern.h"

#include <errno.h>
#include <idn2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "prefix.h"

/* Far beyond any name, in any script; keeps libidn2's work small. */
#define TEXT_MAX 2048

struct refusal {
	char *why;
	size_t size;
};

static int refuse(const struct refusal *refusal, const char *message)
{
	snprintf(refusal->why, refusal->size, "%s", message);
	return -EINVAL;
}

/* Refuses what people paste instead of a name: URLs, ports, paths. */
static int check_shape(const char *text, size_t len, const struct refusal *refusal)
{
	struct sl_prefix prefix;
	char ignored[128];

	if (len == 0)
		return refuse(refusal, "is empty; a pattern is a name such as example.com");
	if (len > TEXT_MAX)
		return refuse(refusal, "is longer than 253 bytes");
	if (memmem(text, len, "://", 3) != NULL)
		return refuse(refusal, "is a URL; write the host name alone");
	if (sl_prefix_parse(text, len, &prefix, ignored, sizeof(ignored)) == 0 || text[0] == '[')
		return refuse(refusal,
		              "is an IP address, which no name proves; put it into subnets.allow");
	if (memchr(text, '/', len) != NULL)
		return refuse(refusal, "has a path; write the host name alone");
	if (memchr(text, ':', len) != NULL)
		return refuse(refusal, "has a port; write the name alone, it holds for every port "
		                       "(or into by-address, as NAME:PORT/PROTOCOL, for a "
		                       "protocol that says no name)");
	return 0;
}

static bool is_ascii(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

/*
 * One label with letters beyond ASCII, as punycode (RFC 5891 5, UTS 46 4). The mapping may turn an
 * ideographic full stop into a dot. Returns the length in out.
 */
static int convert_label(const char *label, size_t len, char *out, size_t room,
                         const struct refusal *refusal)
{
	char copy[TEXT_MAX + 1];
	uint8_t *converted = NULL;
	size_t n;
	int rc;

	if (memchr(label, '*', len) != NULL)
		return refuse(refusal, "has a `*` inside a label; a `*` replaces a whole label");
	memcpy(copy, label, len);
	copy[len] = '\0';
	rc = idn2_lookup_u8((const uint8_t *)copy, &converted,
	                    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc == IDN2_MALLOC)
		return -ENOMEM;
	if (rc != IDN2_OK) {
		snprintf(refusal->why, refusal->size, "is no valid international name: %s",
		         idn2_strerror(rc));
		return -EINVAL;
	}
	n = strlen((const char *)converted);
	if (n > room || memchr(converted, '*', n) != NULL)
		rc = refuse(refusal, n > room ? "is longer than 253 bytes"
		                              : "has a character that maps to `*`");
	else
		memcpy(out, converted, n);
	idn2_free(converted);
	return rc == IDN2_OK ? (int)n : rc;
}

/* The whole text in ASCII. Returns its length in out, at most TEXT_MAX. */
static int to_ascii(const char *text, size_t len, char *out, const struct refusal *refusal)
{
	size_t used = 0;

	for (size_t at = 0; at <= len;) {
		const char *dot = memchr(text + at, '.', len - at);
		size_t n = dot == NULL ? len - at : (size_t)(dot - text) - at;
		int written = (int)n;

		if (used + n + 1 > TEXT_MAX)
			return refuse(refusal, "is longer than 253 bytes");
		if (is_ascii(text + at, n))
			memcpy(out + used, text + at, n);
		else
			written = convert_label(text + at, n, out + used, TEXT_MAX - used - 1,
			                        refusal);
		if (written < 0)
			return written;
		used += (size_t)written;
		at += n + 1;
		if (dot != NULL)
			out[used++] = '.';
	}
	return (int)used;
}

static int refuse_character(char c, const struct refusal *refusal)
{
	if (c == ' ' || c == '\t')
		return refuse(refusal, "has a blank in it; one item of the list is one name");
	if (c > ' ' && c < 0x7f)
		snprintf(refusal->why, refusal->size,
		         "has \"%c\" in it; names have letters, digits, \"-\" and \"_\"", c);
	else
		snprintf(refusal->why, refusal->size,
		         "has the byte 0x%02x in it; names have letters, digits, \"-\" and \"_\"",
		         (unsigned char)c);
	return -EINVAL;
}

/* One ASCII label, normalised to out (room for it is there). */
static int read_label(const char *label, size_t len, char *out, const struct refusal *refusal)
{
	char canonical[SL_NAME_MAX + 1];
	size_t bad;

	if (len == 0)
		return refuse(refusal, "has an empty label");
	if (len == 1 && label[0] == '*') {
		out[0] = '*';
		return 0;
	}
	for (bad = 0; bad < len; bad++)
		if (!((label[bad] >= '0' && label[bad] <= '9') ||
		      ((label[bad] | 0x20) >= 'a' && (label[bad] | 0x20) <= 'z') ||
		      label[bad] == '-' || label[bad] == '_'))
			break;
	if (bad < len && label[bad] == '*')
		return refuse(refusal, "has a `*` inside a label; a `*` replaces a whole label");
	if (bad < len)
		return refuse_character(label[bad], refusal);
	if (len > SL_LABEL_MAX)
		return refuse(refusal, "has a label of more than 63 bytes");
	if (sl_hostname_normalise((const uint8_t *)label, len, canonical) != (int)len)
		return refuse(refusal, "is no host name");
	memcpy(out, canonical, len);
	return 0;
}

/* Label by label from ascii to out. Returns the length. */
static int read_labels(const char *ascii, size_t len, char out[SL_NAME_MAX + 1],
                       const struct refusal *refusal)
{
	size_t at = 0;

	if (len == 2 && ascii[0] == '*' && ascii[1] == '.')
		return refuse(refusal, "has an empty label; every name is \"*\" without the dot");
	if (len > 0 && ascii[len - 1] == '.')
		len--;
	if (len > SL_NAME_MAX)
		return refuse(refusal, "is longer than 253 bytes");
	for (;;) {
		const char *dot = memchr(ascii + at, '.', len - at);
		size_t n = dot == NULL ? len - at : (size_t)(dot - ascii) - at;
		int rc = read_label(ascii + at, n, out + at, refusal);

		if (rc < 0)
			return rc;
		at += n;
		if (dot == NULL)
			break;
		out[at++] = '.';
	}
	out[at] = '\0';
	return (int)at;
}

static enum sl_pattern_kind kind_of(const char *text)
{
	const char *star = strchr(text, '*');

	if (star == NULL)
		return SL_PATTERN_EXACT;
	if (text[1] == '\0')
		return SL_PATTERN_ANY;
	return star == text && strchr(text + 1, '*') == NULL ? SL_PATTERN_BELOW : SL_PATTERN_INNER;
}

/*
 * A name that is an IPv4 address in some notation never proves a domain, so no pattern can match
 * it.
 */
static int check_address(const char *text, size_t len, const struct refusal *refusal)
{
	const char *dot = strrchr(text, '.');
	const char *last = dot == NULL ? text : dot + 1;

	if (sl_hostname_is_address(text, len) ||
	    (strcmp(last, "*") != 0 && sl_hostname_is_address(last, strlen(last))))
		return refuse(refusal, "is an IP address, or ends in a number like one; "
		                       "put addresses into subnets.allow");
	return 0;
}

int sl_pattern_normalise(const char *text, size_t len, char out[SL_NAME_MAX + 1],
                         enum sl_pattern_kind *kind, char *why, size_t why_size)
{
	const struct refusal refusal = {.why = why, .size = why_size};
	char ascii[TEXT_MAX + 1];
	int rc;

	rc = check_shape(text, len, &refusal);
	if (rc == 0)
		rc = to_ascii(text, len, ascii, &refusal);
	if (rc >= 0)
		rc = read_labels(ascii, (size_t)rc, out, &refusal);
	if (rc < 0)
		return rc;
	*kind = kind_of(out);
	if (check_address(out, (size_t)rc, &refusal) < 0)
		return -EINVAL;
	return rc;
}

int sl_pattern_compare(const struct sl_pattern *a, const struct sl_pattern *b)
{
	return strcmp(a->text, b->text);
}
