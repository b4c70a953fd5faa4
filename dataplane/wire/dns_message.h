/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_message.h: DNS messages as the gateway reads, rebuilds and answers them.
 *
 * Decides what counts as one plain query, what an answer to it is, and which addresses that answer
 * gives to the name that was asked. It never decides whether a name is allowed, never touches a
 * packet header (the caller fixes UDP lengths and checksums), never allocates and keeps no state of
 * its own: every function here is pure and may run on any thread.
 *
 * RFC 1035 (format), 2181 (TTL), 3225 (DO), 4343 (letter case), 6891 (EDNS), 8914 (extended
 * errors), 9460 (SVCB and HTTPS). Numbers in structs are in host byte order; buffers are as on the
 * wire, without TCP's length prefix.
 */
#ifndef SLUICE_WIRE_DNS_MESSAGE_H
#define SLUICE_WIRE_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/hostname.h"
#include "wire/parse_result.h"

#define SL_DNS_PORT            53
#define SL_DNS_HEADER_BYTES    12
#define SL_DNS_NAME_WIRE_MAX   255  /* length bytes, labels and the root's zero (RFC 1035 3.1) */
#define SL_DNS_UDP_BYTES       1232 /* what the gateway's own OPT offers */
#define SL_DNS_CHAIN_MAX       16   /* CNAME links that are followed */
#define SL_DNS_QUERY_MAX_BYTES (SL_DNS_HEADER_BYTES + SL_DNS_NAME_WIRE_MAX + 4 + 11)
#define SL_DNS_EDE_TEXT_MAX    64
#define SL_DNS_REPLY_MAX_BYTES                                                                     \
	(SL_DNS_QUERY_MAX_BYTES + 6 + SL_DNS_EDE_TEXT_MAX) /* with an extended error */

/* Record types that the gateway treats specially (any other number is valid too). */
#define SL_DNS_TYPE_A     1
#define SL_DNS_TYPE_NS    2
#define SL_DNS_TYPE_CNAME 5
#define SL_DNS_TYPE_SOA   6
#define SL_DNS_TYPE_PTR   12
#define SL_DNS_TYPE_MX    15
#define SL_DNS_TYPE_AAAA  28
#define SL_DNS_TYPE_SRV   33
#define SL_DNS_TYPE_DNAME 39
#define SL_DNS_TYPE_OPT   41
#define SL_DNS_TYPE_SVCB  64
#define SL_DNS_TYPE_HTTPS 65

#define SL_DNS_CLASS_IN 1

enum sl_dns_rcode {
	SL_DNS_NOERROR = 0,
	SL_DNS_FORMERR = 1,
	SL_DNS_NXDOMAIN = 3,
	SL_DNS_REFUSED = 5,
};

/* Extended DNS errors (RFC 8914 5.2) that the gateway may give with a refusal. */
enum sl_dns_ede {
	SL_DNS_EDE_NONE = 0, /* no EDE option (code 0, "Other Error", would carry no information) */
	SL_DNS_EDE_BLOCKED = 15,
	SL_DNS_EDE_FILTERED = 17,
};

/*
 * The letter case of a name in wire form: bit i (bits[i / 64] >> (i % 64)) is set if byte i of the
 * wire name is an upper-case letter. Bits of bytes that are no letters mean nothing when a name is
 * written, so 256 random bits are a valid choice, and are clear when a name is read.
 */
struct sl_dns_case {
	uint64_t bits[4];
};

/* What identifies a query on the wire: an answer must repeat it byte for byte. */
struct sl_dns_question {
	uint16_t id;
	uint16_t type;
	uint8_t name_bytes; /* of name, the root's zero included; 1 for the root itself */
	uint8_t name[SL_DNS_NAME_WIRE_MAX]; /* wire form, case as sent, never compressed */
	bool any_case; /* except for letter case, which an answer may choose (RFC 4343) */
};

struct sl_dns_query {
	struct sl_dns_question question; /* as the client sent it */
	struct sl_dns_case letter_case;  /* of question.name */
	bool rd, ad, cd;                 /* header bits as the client sent them */
	bool had_opt;                    /* the rest of this block is zero without it */
	bool opt_do;
	uint8_t opt_version;
	uint16_t opt_udp_bytes; /* payload size that the client accepts, as sent (may be < 512) */
	uint16_t opt_options_bytes; /* options after the OPT header */
	uint8_t name_len;           /* of name; 0 for the root */
	char name[SL_NAME_MAX + 1]; /* in lower case; need not be a host name */
};

/*
 * Reads one query: exactly one question, class IN, opcode QUERY, no record but at most one OPT at
 * the root, no bit in the header but RD, AD and CD, names without pointers, and no bytes after the
 * end. EDNS version and options are not interpreted (lengths are checked): they never leave.
 *
 * SL_PARSE_DONE: *out is filled in. A query for the root is DONE with an empty name (name_len 0):
 * only the pattern `*` matches it, and the caller refuses it unless the policy has that pattern.
 * SL_PARSE_BAD: anything else; *out is undefined. Never MORE nor NOT_MINE.
 */
enum sl_parse_result sl_dns_query_parse(const uint8_t *msg, size_t len, struct sl_dns_query *out);

/*
 * Writes the query as it leaves over UDP (spec section 4): `id`, the name in `letter_case`, flags
 * exactly RD, the type as asked, and the gateway's own OPT (1232 bytes, no options, DO clear) if
 * the client sent one. `sent` (may be NULL) is set to what the answer has to repeat; keep it, the
 * client's id and query->letter_case until the answer.
 *
 * To leave id and case as they are (replay), give query->question.id and &query->letter_case.
 * Returns the length, at most SL_DNS_QUERY_MAX_BYTES, or 0 if `size` does not hold it.
 */
size_t sl_dns_query_build(const struct sl_dns_query *query, uint16_t id,
                          const struct sl_dns_case *letter_case, uint8_t *out, size_t size,
                          struct sl_dns_question *sent);

/*
 * Writes the query as it leaves over TCP: as long as it came, with the client's id and letter case,
 * the three flags and the gateway's own OPT as over UDP, and one Padding option of zeros (RFC 7830)
 * in the place of the client's options. Returns the length, or 0 if `size` does not hold it.
 */
size_t sl_dns_query_build_padded(const struct sl_dns_query *query, uint8_t *out, size_t size);

/*
 * Writes an answer of the gateway's own to a parsed query: no records, the client's id and question
 * in the client's case, QR and RA set, RD and CD as asked. A client that sent OPT gets one (RFC
 * 6891 6.1.1), with DO as asked (RFC 3225 3) and with `ede` in it unless that is SL_DNS_EDE_NONE;
 * `text` (NULL: none) is its EXTRA-TEXT (RFC 8914 2), cut to SL_DNS_EDE_TEXT_MAX bytes.
 * SL_DNS_REFUSED and SL_DNS_NXDOMAIN refuse, SL_DNS_NOERROR says "no record of that type".
 *
 * Returns the length, at most SL_DNS_REPLY_MAX_BYTES, or 0 if `size` does not hold it.
 */
size_t sl_dns_reply_build(const struct sl_dns_query *query, enum sl_dns_rcode rcode,
                          enum sl_dns_ede ede, const char *text, uint8_t *out, size_t size);

/*
 * Puts the client's id and letter case back into an answer, in place; the length does not change.
 * Only the question is rewritten: records point to it, so the client sees its own case there too.
 * To be called on messages that sl_dns_answer_parse called DONE; returns 0, or -EINVAL (and changes
 * nothing) where there is no plain question.
 */
int sl_dns_question_restore(uint8_t *msg, size_t len, uint16_t id,
                            const struct sl_dns_case *letter_case);

/* An address that an answer gives to the asked name. */
struct sl_dns_address {
	const uint8_t *bytes; /* inside the message, network order; valid during the call only */
	uint8_t len;          /* 4 or 16 */
	bool hint;            /* from an SVCB or HTTPS record (RFC 9460 7.3), not A or AAAA */
	uint32_t ttl; /* seconds, not clamped: the smallest of the record's and those of the CNAMEs
	                 before it */
};

typedef void sl_dns_address_fn(void *ctx, const struct sl_dns_address *address);

struct sl_dns_answer {
	uint16_t rcode; /* with the upper bits of an OPT, if there is one (RFC 6891 6.1.3) */
	bool truncated; /* TC: the client will retry over TCP */
	uint16_t answers, authorities, additionals; /* records, as counted in the header */
	uint16_t links;                             /* CNAMEs followed from the asked name */
	uint16_t addresses;                         /* calls made */
};

/*
 * Reads an answer to the question `sent` (from sl_dns_query_build, or a parsed query's own where it
 * left unchanged), and calls `each` (may be NULL) for every A and AAAA record and every ipv4hint
 * and ipv6hint of an SVCB or HTTPS record in ServiceMode, if the record is in the answer section,
 * is of class IN and belongs to the asked name or to a name that its CNAMEs lead to, in any order,
 * over at most SL_DNS_CHAIN_MAX links. There are no calls for authority and additional records,
 * nor for an answer whose rcode is not NOERROR. The whole message has been checked before the first
 * call; there are no calls unless the result is SL_PARSE_DONE.
 *
 * SL_PARSE_NOT_MINE: id or question (letter case included, unless sent->any_case) differ from
 * `sent`. SL_PARSE_BAD: not an answer, or invalid anywhere, in any section; bytes after the end;
 * names that point forward, or more pointers than the budget allows. Never MORE. *out is zeroed
 * unless DONE. Time is linear in len, whatever the message.
 */
enum sl_parse_result sl_dns_answer_parse(const uint8_t *msg, size_t len,
                                         const struct sl_dns_question *sent,
                                         sl_dns_address_fn *each, void *ctx,
                                         struct sl_dns_answer *out);

/*
 * True if the message has `sent`'s id, and its question except for the letter case of the name: it
 * is from a resolver that answers in its own letter case, or an attacker's guess. Nothing else is
 * checked.
 */
bool sl_dns_answer_own_case(const uint8_t *msg, size_t len, const struct sl_dns_question *sent);

/*
 * True if the message is a header alone that says FORMERR, as servers answer a query that they
 * cannot read (RFC 1035 4.1.1, RFC 6891 7). It repeats no question; the caller compares the id.
 */
bool sl_dns_is_bare_formerr(const uint8_t *msg, size_t len);

/* The id of a message of at least two bytes (to find the question that it may answer). */
static inline uint16_t sl_dns_message_id(const uint8_t *msg)
{
	return (uint16_t)(msg[0] << 8 | msg[1]);
}

#endif
