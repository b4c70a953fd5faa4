/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.c: reads addresses with ports. Names are not looked up: a gateway listens where its
 * config says, whatever a resolver answers.
 */
#include "endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From 1, in decimal; 0: there is none. */
static uint16_t read_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = digits > 0 && digits <= 5 ? strtoul(text, NULL, 10) : 0;

	return text[digits] == '\0' && text[0] != '0' && port <= 65535 ? (uint16_t)port : 0;
}

bool sl_endpoint_read(const char *text, struct sl_endpoint *out)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;
	char host[64];

	memset(out, 0, sizeof(*out));
	out->port = colon != NULL ? read_port(colon + 1) : 0;
	out->ipv6 = text[0] == '[';
	if (out->port == 0 || n == 0 || n >= sizeof(host))
		return false;
	if (!out->ipv6) {
		snprintf(host, sizeof(host), "%.*s", (int)n, text);
		return inet_pton(AF_INET, host, out->address) == 1;
	}
	if (n < 3 || text[n - 1] != ']')
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)n - 2, text + 1);
	return inet_pton(AF_INET6, host, out->address) == 1;
}
