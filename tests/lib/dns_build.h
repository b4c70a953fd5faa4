/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_build.h: builds DNS messages for tests, valid and invalid, piece by piece.
 *
 * Written from the RFCs and not from the parser: it shares no code with what it tests. Counts in
 * the header are updated by what is appended; any byte may be changed afterwards in msg->bytes.
 *
 * 	struct dns_message msg;
 *
 * 	dns_begin(&msg, 0x1234, DNS_QR | DNS_RD | DNS_RA);
 * 	dns_question(&msg, "www.example.com", DNS_A);
 * 	dns_cname(&msg, DNS_ANSWER, "@12", "edge.example.net", 300);
 * 	dns_address(&msg, DNS_ANSWER, "edge.example.net", "192.0.2.1", 60);
 *
 * Names are text with dots; "" is the root. A last label "@N" is a compression pointer to offset N:
 * "www.@12". "\." is a dot inside a label, "\\" a backslash.
 */
#ifndef TESTS_DNS_BUILD_H
#define TESTS_DNS_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_MESSAGE_MAX 65535

#define DNS_QR 0x8000
#define DNS_AA 0x0400
#define DNS_TC 0x0200
#define DNS_RD 0x0100
#define DNS_RA 0x0080
#define DNS_Z  0x0040
#define DNS_AD 0x0020
#define DNS_CD 0x0010

#define DNS_A     1
#define DNS_NS    2
#define DNS_CNAME 5
#define DNS_SOA   6
#define DNS_MX    15
#define DNS_TXT   16
#define DNS_AAAA  28
#define DNS_OPT   41
#define DNS_SVCB  64
#define DNS_HTTPS 65
#define DNS_IN    1

enum dns_section {
	DNS_ANSWER = 0,
	DNS_AUTHORITY,
	DNS_ADDITIONAL,
};

struct dns_message {
	size_t len;
	size_t rdlength; /* the offset of the last record's RDLENGTH */
	uint8_t bytes[DNS_MESSAGE_MAX];
};

/*
 * All of these abort the program if a message would not fit or the text is not a name or address.
 */
void dns_begin(struct dns_message *msg, uint16_t id, uint16_t flags);
void dns_question(struct dns_message *msg, const char *name, uint16_t type);
void dns_question_class(struct dns_message *msg, const char *name, uint16_t type, uint16_t class);

/*
 * Raw bytes, a 16-bit number or a name at the end of the message, without a change of the counts.
 */
void dns_put(struct dns_message *msg, const void *bytes, size_t len);
void dns_put16(struct dns_message *msg, uint16_t value);
void dns_put_name(struct dns_message *msg, const char *name);

/* A record with its data: dns_record_begin, dns_put..., dns_record_end (which sets RDLENGTH). */
void dns_record_begin(struct dns_message *msg, enum dns_section section, const char *owner,
                      uint16_t type, uint16_t class, uint32_t ttl);
void dns_record_end(struct dns_message *msg);
void dns_record(struct dns_message *msg, enum dns_section section, const char *owner, uint16_t type,
                uint32_t ttl, const void *rdata, size_t len);

void dns_address(struct dns_message *msg, enum dns_section section, const char *owner,
                 const char *address, uint32_t ttl); /* A or AAAA, by the address */
void dns_cname(struct dns_message *msg, enum dns_section section, const char *owner,
               const char *target, uint32_t ttl);
void dns_soa(struct dns_message *msg, const char *owner, uint32_t ttl);
/* OPT at the root: `flags` is 0x8000 for DO; options are raw (may be NULL). */
void dns_opt(struct dns_message *msg, uint16_t udp_bytes, uint16_t flags, const void *options,
             size_t len);
/* SVCB or HTTPS with alpn "h2" and the hints given (each text addresses between commas, or NULL).
 */
void dns_service(struct dns_message *msg, uint16_t type, const char *owner, uint16_t priority,
                 const char *target, uint32_t ttl, const char *ipv4hint, const char *ipv6hint);

#endif
