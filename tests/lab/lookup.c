/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.c: asks the C library for a name's addresses and prints them, or its error. The lab builds
 * it with another C library than the system's.
 */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char text[64];
	int error;

	if (argc != 2)
		return 2;
	error = getaddrinfo(argv[1], NULL, &hints, &found);
	if (error != 0) {
		printf("%s\n", gai_strerror(error));
		return 1;
	}
	for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
		if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0,
		                NI_NUMERICHOST) == 0)
			printf("%s\n", text);
	freeaddrinfo(found);
	return 0;
}
