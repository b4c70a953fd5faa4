/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_query.c: what counts as one plain query.
 *
 * Strict, because whatever is accepted here speaks for a name: a message that a lenient resolver
 * could read as another name, a second question or a second message is refused. It must never
 * accept a name whose text form is not the one that the resolver will look up.
 */
#include "dns_message.h"

#include <string.h>

#include "dns_wire.h"

/*
 * RFC 1035 4.1.1, RFC 2535 6.1: a query has QR, opcode, AA, TC, RA, Z and rcode at zero. The
 * client may set RD, AD and CD.
 */
static bool header_is_query(const uint8_t *msg)
{
	uint16_t flags = sl_dns_wire_get16(msg + 2);

	return (flags & ~(SL_DNS_WIRE_RD | SL_DNS_WIRE_AD | SL_DNS_WIRE_CD)) == 0 &&
	       sl_dns_wire_get16(msg + 4) == 1 && sl_dns_wire_get16(msg + 6) == 0 &&
	       sl_dns_wire_get16(msg + 8) == 0 && sl_dns_wire_get16(msg + 10) <= 1;
}

/*
 * The canonical text of a plain wire name; false if it has a byte that is not allowed in a host
 * name.
 */
static bool name_to_text(const struct sl_dns_question *question, struct sl_dns_query *out)
{
	uint8_t text[SL_DNS_NAME_WIRE_MAX];
	size_t len = 0;

	for (const uint8_t *label = question->name; *label != 0; label += 1 + *label) {
		/* "a.b" as one label must not become the two labels that a pattern allows. */
		if (memchr(label + 1, '.', *label) != NULL)
			return false;
		if (len > 0)
			text[len++] = '.';
		memcpy(text + len, label + 1, *label);
		len += *label;
	}
	/*
	 * A name that is not a host name (`host:port`, a blank, UTF-8) is kept in lower case: only
	 * the pattern `*` matches it.
	 */
	for (size_t i = 0; i < len; i++)
		out->name[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
	out->name_len = (uint8_t)len;
	return true;
}

static struct sl_dns_case case_of(const struct sl_dns_question *question)
{
	struct sl_dns_case upper = {0};

	for (size_t i = 0; i < question->name_bytes; i++) {
		if (question->name[i] >= 'A' && question->name[i] <= 'Z')
			upper.bits[i / 64] |= UINT64_C(1) << (i % 64);
	}
	return upper;
}

/* Reads the question after the header. Returns where it ends, or 0. */
static size_t question_read(const uint8_t *msg, size_t len, struct sl_dns_query *out)
{
	struct sl_dns_question *question = &out->question;
	size_t pos = SL_DNS_HEADER_BYTES;
	size_t bytes = sl_dns_wire_plain_name(msg + pos, len - pos);

	if (bytes == 0 || len - pos - bytes < SL_DNS_WIRE_QUESTION_FIXED)
		return 0;
	memcpy(question->name, msg + pos, bytes);
	question->name_bytes = (uint8_t)bytes;
	pos += bytes;
	question->type = sl_dns_wire_get16(msg + pos);
	if (sl_dns_wire_get16(msg + pos + 2) != SL_DNS_CLASS_IN || !name_to_text(question, out))
		return 0;
	out->letter_case = case_of(question);
	return pos + SL_DNS_WIRE_QUESTION_FIXED;
}

/* Reads the one record that a query may carry. Returns where it ends, or 0. */
static size_t opt_read(const uint8_t *msg, size_t len, size_t pos, struct sl_dns_query *out)
{
	const uint8_t *opt = msg + pos;

	/* The upper rcode bits (opt[5]) must be zero in a query. */
	if (len - pos < SL_DNS_WIRE_OPT_BYTES || opt[0] != 0 ||
	    sl_dns_wire_get16(opt + 1) != SL_DNS_TYPE_OPT || opt[5] != 0)
		return 0;
	out->had_opt = true;
	out->opt_udp_bytes = sl_dns_wire_get16(opt + 3);
	out->opt_version = opt[6];
	out->opt_do = (sl_dns_wire_get16(opt + 7) & SL_DNS_WIRE_OPT_DO) != 0;
	out->opt_options_bytes = sl_dns_wire_get16(opt + 9);
	pos += SL_DNS_WIRE_OPT_BYTES;
	if (len - pos < out->opt_options_bytes ||
	    !sl_dns_wire_options_fit(msg + pos, out->opt_options_bytes))
		return 0;
	return pos + out->opt_options_bytes;
}

enum sl_parse_result sl_dns_query_parse(const uint8_t *msg, size_t len, struct sl_dns_query *out)
{
	uint16_t flags;
	size_t pos;

	if (len < SL_DNS_HEADER_BYTES || !header_is_query(msg))
		return SL_PARSE_BAD;
	memset(out, 0, sizeof(*out));
	out->question.id = sl_dns_message_id(msg);
	flags = sl_dns_wire_get16(msg + 2);
	out->rd = (flags & SL_DNS_WIRE_RD) != 0;
	out->ad = (flags & SL_DNS_WIRE_AD) != 0;
	out->cd = (flags & SL_DNS_WIRE_CD) != 0;

	pos = question_read(msg, len, out);
	if (pos != 0 && sl_dns_wire_get16(msg + 10) == 1)
		pos = opt_read(msg, len, pos, out);
	return pos != 0 && pos == len ? SL_PARSE_DONE : SL_PARSE_BAD;
}
