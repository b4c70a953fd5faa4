/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.c: recorded traffic, packet by packet, of any link type.
 *
 * Decides what the Ethernet frame would have looked like where none was recorded. It judges
 * nothing: odd packets are passed on unchanged, and the pipeline refuses them.
 */
#include "capture.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unzip.h"

#define TYPE_IPV4    0x0800
#define TYPE_IPV6    0x86dd
#define TYPE_UNKNOWN 0x88b5 /* IEEE 802 local experimental: no IP */
#define TYPE_LEAST   0x0600 /* below it is a length (IEEE 802.3) */

struct sl_capture {
	pcap_t *pcap;
	const char *unzip_error; /* of sl_unzip_open(), or NULL */
	char *path;
	int link;
	uint8_t *body; /* room for the EtherType and the largest packet */
	size_t room;
	uint8_t smac[6];
};

static bool is_known(int link)
{
	switch (link) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_NULL:
	case DLT_LOOP:
		return true;
	default:
		return false;
	}
}

static pcap_t *open_pcap(struct sl_capture *capture, const char *path, char *err, size_t err_size)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	FILE *file = sl_unzip_open(path, &capture->unzip_error);
	pcap_t *pcap;

	if (file == NULL) {
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		return NULL;
	}
	pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
	if (pcap == NULL) {
		snprintf(err, err_size, "%s: %s", path,
		         capture->unzip_error != NULL ? capture->unzip_error : why);
		fclose(file);
	}
	return pcap;
}

struct sl_capture *sl_capture_open(const char *path, char *err, size_t err_size)
{
	struct sl_capture *capture = calloc(1, sizeof(*capture));

	if (capture == NULL || (capture->path = strdup(path)) == NULL) {
		snprintf(err, err_size, "%s: no memory", path);
		free(capture);
		return NULL;
	}
	capture->pcap = open_pcap(capture, path, err, err_size);
	if (capture->pcap == NULL) {
		sl_capture_close(capture);
		return NULL;
	}
	capture->link = pcap_datalink(capture->pcap);
	if (!is_known(capture->link)) {
		const char *name = pcap_datalink_val_to_description_or_dlt(capture->link);

		snprintf(err, err_size,
		         "%s: link type %s is not supported; Ethernet, raw IP, Linux cooked and "
		         "BSD loopback are",
		         path, name);
		sl_capture_close(capture);
		return NULL;
	}
	return capture;
}

void sl_capture_close(struct sl_capture *capture)
{
	if (capture == NULL)
		return;
	if (capture->pcap != NULL)
		pcap_close(capture->pcap);
	free(capture->path);
	free(capture->body);
	free(capture);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Puts an EtherType in front of a payload. False without memory. */
static bool put_body(struct sl_capture *capture, struct sl_capture_packet *packet, uint16_t type,
                     const uint8_t *payload, size_t len)
{
	if (len + 2 > capture->room) {
		uint8_t *more = realloc(capture->body, len + 2);

		if (more == NULL)
			return false;
		capture->body = more;
		capture->room = len + 2;
	}
	capture->body[0] = (uint8_t)(type >> 8);
	capture->body[1] = (uint8_t)type;
	memcpy(capture->body + 2, payload, len);
	packet->body = capture->body;
	packet->body_len = len + 2;
	return true;
}

/* A packet without any link header: its first four bits say what it is. */
static bool take_raw(struct sl_capture *capture, struct sl_capture_packet *packet,
                     const uint8_t *at, size_t len)
{
	uint16_t type = len > 0 && at[0] >> 4 == 6 ? TYPE_IPV6 : TYPE_IPV4;

	return put_body(capture, packet, type, at, len);
}

/*
 * BSD loopback: the address family, in the byte order of the machine that recorded it (DLT_NULL)
 * or of the network (DLT_LOOP), then the packet. 2 is IPv4 everywhere; IPv6 is 10 on Linux, 24 on
 * NetBSD and OpenBSD, 28 on FreeBSD, 30 on Darwin, 23 on Windows.
 */
static bool take_loopback(struct sl_capture *capture, struct sl_capture_packet *packet,
                          const uint8_t *at, size_t len)
{
	uint32_t big, little, family;
	uint16_t type = TYPE_UNKNOWN;

	if (len < 4)
		return put_body(capture, packet, TYPE_UNKNOWN, at, len);
	big = (uint32_t)get16(at) << 16 | get16(at + 2);
	little = (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
	family = big < little ? big : little;
	if (family == 2)
		type = TYPE_IPV4;
	else if (family == 10 || family == 23 || family == 24 || family == 28 || family == 30)
		type = TYPE_IPV6;
	return put_body(capture, packet, type, at + 4, len - 4);
}

/*
 * Linux cooked capture, the sender's address and the protocol at fixed places:
 *
 *	v1: packet type 2, ARPHRD 2, address length 2, address 8, protocol 2
 *	v2: protocol 2, reserved 2, interface 4, ARPHRD 2, packet type 1, address length 1, address
 *8
 *
 * A protocol below 0x0600 is no EtherType but a kind of 802.3 frame, which then has a length there.
 */
static bool take_cooked(struct sl_capture *capture, struct sl_capture_packet *packet,
                        const uint8_t *at, size_t len, bool second)
{
	static const uint8_t none[6];
	size_t header = second ? 20 : 16;
	uint16_t type, address_len;
	const uint8_t *address;

	if (len < header)
		return put_body(capture, packet, TYPE_UNKNOWN, at, len);
	type = get16(second ? at : at + 14);
	address_len = second ? at[11] : get16(at + 4);
	address = second ? at + 12 : at + 6;
	if (address_len == 6 && memcmp(address, none, 6) != 0 && (address[0] & 1) == 0) {
		memcpy(capture->smac, address, 6);
		packet->smac = capture->smac;
	}
	if (type < TYPE_LEAST)
		type = (uint16_t)(len - header < TYPE_LEAST ? len - header : TYPE_LEAST - 1);
	return put_body(capture, packet, type, at + header, len - header);
}

static bool take_packet(struct sl_capture *capture, struct sl_capture_packet *packet,
                        const uint8_t *at, size_t len)
{
	switch (capture->link) {
	case DLT_LINUX_SLL:
		return take_cooked(capture, packet, at, len, false);
	case DLT_LINUX_SLL2:
		return take_cooked(capture, packet, at, len, true);
	case DLT_NULL:
	case DLT_LOOP:
		return take_loopback(capture, packet, at, len);
	case DLT_IPV4:
		return put_body(capture, packet, TYPE_IPV4, at, len);
	case DLT_IPV6:
		return put_body(capture, packet, TYPE_IPV6, at, len);
	case DLT_RAW:
		return take_raw(capture, packet, at, len);
	default:
		break;
	}
	packet->body = at;
	packet->body_len = len;
	if (len >= 12) {
		packet->dmac = at;
		packet->smac = at + 6;
		packet->body += 12;
		packet->body_len -= 12;
	} else {
		packet->is_frame = true;
	}
	return true;
}

/* tv_usec has nanoseconds, as asked for. Times after the year 9999 are not supported. */
static uint64_t time_us(const struct timeval *ts)
{
	uint64_t seconds = (uint64_t)ts->tv_sec;

	if (seconds > 253402300799)
		seconds = 253402300799;
	return seconds * 1000000 + (uint64_t)ts->tv_usec / 1000 % 1000000;
}

int sl_capture_next(struct sl_capture *capture, struct sl_capture_packet *packet, char *err,
                    size_t err_size)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;
	int ret = pcap_next_ex(capture->pcap, &header, &bytes);

	if (ret == PCAP_ERROR_BREAK)
		return 0;
	if (ret != 1) {
		snprintf(err, err_size, "%s: %s", capture->path,
		         capture->unzip_error != NULL ? capture->unzip_error
		                                      : pcap_geterr(capture->pcap));
		return -1;
	}
	*packet = (struct sl_capture_packet){
	        .time_us = time_us(&header->ts),
	        .cut = header->caplen < header->len,
	};
	if (!take_packet(capture, packet, bytes, header->caplen)) {
		snprintf(err, err_size, "%s: no memory", capture->path);
		return -1;
	}
	return 1;
}
