/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_file.c: frames that would have left, as a pcap file.
 */
#include "frame_file.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#define SNAP_MAX 262144 /* libpcap's own bound */

struct sl_frame_file {
	char *path;
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	uint8_t bytes[SNAP_MAX]; /* a chained frame in one piece */
};

struct sl_frame_file *sl_frame_file_open(const char *path, char *err, size_t err_size)
{
	struct sl_frame_file *file = calloc(1, sizeof(*file));

	if (file == NULL || (file->path = strdup(path)) == NULL ||
	    (file->pcap = pcap_open_dead(DLT_EN10MB, SNAP_MAX)) == NULL) {
		snprintf(err, err_size, "%s: no memory", path);
	} else {
		/* "-" would be standard output, which has the counters */
		FILE *out = fopen(path, "we");

		if (out != NULL)
			file->dumper = pcap_dump_fopen(file->pcap, out);
		if (file->dumper != NULL)
			return file;
		snprintf(err, err_size, "%s: %s", path,
		         out == NULL ? strerror(errno) : pcap_geterr(file->pcap));
	}
	sl_frame_file_close(file, NULL, 0);
	return NULL;
}

void sl_frame_file_add(struct sl_frame_file *file, uint64_t time_us, const struct rte_mbuf *frame)
{
	uint32_t len = rte_pktmbuf_pkt_len(frame);
	struct pcap_pkthdr header = {
	        .ts = {.tv_sec = (time_t)(time_us / 1000000),
	               .tv_usec = (suseconds_t)(time_us % 1000000)},
	        .caplen = RTE_MIN(len, (uint32_t)SNAP_MAX),
	        .len = len,
	};
	const void *bytes = rte_pktmbuf_read(frame, 0, header.caplen, file->bytes);

	if (bytes != NULL)
		pcap_dump((u_char *)file->dumper, &header, bytes);
}

int sl_frame_file_close(struct sl_frame_file *file, char *err, size_t err_size)
{
	int ret = 0;

	if (file == NULL)
		return 0;
	if (file->dumper != NULL) {
		FILE *out = pcap_dump_file(file->dumper);

		if (pcap_dump_flush(file->dumper) != 0 || ferror(out)) {
			snprintf(err, err_size, "%s: %s", file->path, strerror(errno));
			ret = -1;
		}
		pcap_dump_close(file->dumper);
	}
	if (file->pcap != NULL)
		pcap_close(file->pcap);
	free(file->path);
	free(file);
	return ret;
}
