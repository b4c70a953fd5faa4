/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corpus.h: recorded hellos and Initials that are not part of the repository. They are in the
 * directory named by the environment variable SLUICE_CORPUS, described by its vectors.tsv.
 */
#ifndef SLUICE_TESTS_CORPUS_H
#define SLUICE_TESTS_CORPUS_H

#include <stddef.h>
#include <stdint.h>

struct corpus_file {
	char file[128];
	char group[128]; /* datagrams of one connection share it */
	char kind[40];   /* tls-record, tls-handshake-msg, quic-initial-datagram, ... */
	char sni[128];   /* the expected name, NO-SNI, NEEDMORE or "-" */
	uint8_t bytes[4096];
	size_t len;
};

/*
 * Reads every file of a kind, in the order of vectors.tsv, into a malloc'ed array (the caller frees
 * it). Returns how many; 0 with the reason printed if there is no corpus. Aborts if a file that
 * vectors.tsv lists is missing.
 */
size_t corpus_read(const char *kind, struct corpus_file **files);

#endif
