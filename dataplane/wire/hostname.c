/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostname.c: decides what a host name is, and its canonical form for comparison.
 *
 * Names of policies, hellos and DNS messages all pass through here, so that their readings cannot
 * differ. It must never repair a name: bytes that are not in the alphabet are refused, not mapped.
 */
#include "sluice/hostname.h"

#include <errno.h>

/* The canonical form of a byte of a label; 0 for bytes that are not allowed. */
static const uint8_t canonical_byte[256] = {
        ['-'] = '-', ['_'] = '_', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4',
        ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b',
        ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i',
        ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
        ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w',
        ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd',
        ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k',
        ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r',
        ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y',
        ['Z'] = 'z',
};

int sl_hostname_normalise(const uint8_t *name, size_t len, char out[SL_NAME_MAX + 1])
{
	size_t label = 0; /* bytes in the label so far */

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len == 0 || len > SL_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.') {
			if (label == 0)
				return -EINVAL;
			label = 0;
			out[i] = '.';
			continue;
		}
		out[i] = (char)canonical_byte[name[i]];
		if (out[i] == '\0' || ++label > SL_LABEL_MAX)
			return -EINVAL;
	}
	/*
	 * Without this check a second trailing dot would be taken for the end of an empty label.
	 */
	if (label == 0)
		return -EINVAL;
	out[len] = '\0';
	return (int)len;
}

static bool is_decimal(char byte)
{
	return byte >= '0' && byte <= '9';
}

bool sl_hostname_is_address(const char *name, size_t len)
{
	size_t start = len, at;

	while (start > 0 && name[start - 1] != '.')
		start--;
	for (at = start; at < len && is_decimal(name[at]); at++)
		;
	if (at == len)
		return len > start;
	/* "0x" alone is the number 0 for some parsers of addresses. */
	if (len - start < 2 || name[start] != '0' || name[start + 1] != 'x')
		return false;
	for (at = start + 2; at < len; at++)
		if (!is_decimal(name[at]) && (name[at] < 'a' || name[at] > 'f'))
			return false;
	return true;
}
