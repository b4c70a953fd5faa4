/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h: where to listen, "127.0.0.1:8443" or "[::]:8443".
 */
#ifndef SLUICE_CONTROL_ENDPOINT_H
#define SLUICE_CONTROL_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

struct sl_endpoint {
	bool ipv6;
	uint16_t port;       /* 0: nowhere */
	uint8_t address[16]; /* network order; of IPv4 the first 4 */
};

/* An address by number (an IPv6 one in brackets) and a port from 1. False: the text is none. */
bool sl_endpoint_read(const char *text, struct sl_endpoint *out);

#endif
