/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_build.c: messages that the gateway writes: queries as they leave, its own answers, and the
 * client's question put back into an answer.
 *
 * Everything is written from the parsed query, never copied from the client's message: in a query
 * that leaves, the client chooses only the letters of the name and the type.
 */
#include "dns_message.h"

#include <errno.h>
#include <string.h>

#include "dns_wire.h"

/* Header and question; the counts of answer and authority records are zero. Returns where it ends.
 */
static uint8_t *put_question(uint8_t *p, const struct sl_dns_question *question, uint16_t flags,
                             bool opt)
{
	p = sl_dns_wire_put16(p, question->id);
	p = sl_dns_wire_put16(p, flags);
	p = sl_dns_wire_put16(p, 1);
	p = sl_dns_wire_put16(p, 0);
	p = sl_dns_wire_put16(p, 0);
	p = sl_dns_wire_put16(p, opt ? 1 : 0);
	memcpy(p, question->name, question->name_bytes);
	p += question->name_bytes;
	p = sl_dns_wire_put16(p, question->type);
	return sl_dns_wire_put16(p, SL_DNS_CLASS_IN);
}

/* The gateway's OPT (RFC 6891 6.1.2), version 0, up to the options, which fill `options` bytes. */
static uint8_t *put_opt(uint8_t *p, uint16_t flags, uint16_t options)
{
	*p++ = 0;
	p = sl_dns_wire_put16(p, SL_DNS_TYPE_OPT);
	p = sl_dns_wire_put16(p, SL_DNS_UDP_BYTES);
	p = sl_dns_wire_put16(p, 0);
	p = sl_dns_wire_put16(p, flags);
	return sl_dns_wire_put16(p, options);
}

static size_t question_end(const struct sl_dns_question *question)
{
	return SL_DNS_HEADER_BYTES + question->name_bytes + SL_DNS_WIRE_QUESTION_FIXED;
}

size_t sl_dns_query_build(const struct sl_dns_query *query, uint16_t id,
                          const struct sl_dns_case *letter_case, uint8_t *out, size_t size,
                          struct sl_dns_question *sent)
{
	struct sl_dns_question question = query->question;
	size_t len = question_end(&question) + (query->had_opt ? SL_DNS_WIRE_OPT_BYTES : 0);
	uint16_t flags = SL_DNS_WIRE_RD;
	uint8_t *p;

	if (len > size)
		return 0;
	question.id = id;
	sl_dns_wire_set_case(question.name, question.name_bytes, letter_case);
	/* Validating stubs need them (RFC 6840 5.7, RFC 4035 3.2.2, RFC 3225). */
	if (query->ad)
		flags |= SL_DNS_WIRE_AD;
	if (query->cd)
		flags |= SL_DNS_WIRE_CD;
	p = put_question(out, &question, flags, query->had_opt);
	if (query->had_opt)
		put_opt(p, query->opt_do ? SL_DNS_WIRE_OPT_DO : 0, 0);
	if (sent != NULL)
		*sent = question;
	return len;
}

size_t sl_dns_query_build_padded(const struct sl_dns_query *query, uint8_t *out, size_t size)
{
	size_t len =
	        sl_dns_query_build(query, query->question.id, &query->letter_case, out, size, NULL);
	uint16_t options = query->opt_options_bytes;
	uint8_t *p = out + len;

	if (len == 0 || options == 0)
		return len;
	/* An option has a header of 4 bytes; a parsed query has no shorter one. */
	if (options < SL_DNS_WIRE_OPTION_HEADER || options > size - len)
		return 0;
	sl_dns_wire_put16(p - 2, options);
	p = sl_dns_wire_put16(p, SL_DNS_WIRE_PADDING);
	p = sl_dns_wire_put16(p, options - SL_DNS_WIRE_OPTION_HEADER);
	memset(p, 0, options - SL_DNS_WIRE_OPTION_HEADER);
	return len + options;
}

size_t sl_dns_reply_build(const struct sl_dns_query *query, enum sl_dns_rcode rcode,
                          enum sl_dns_ede ede, const char *text, uint8_t *out, size_t size)
{
	bool explain = query->had_opt && ede != SL_DNS_EDE_NONE;
	uint16_t text_len = text != NULL ? (uint16_t)strnlen(text, SL_DNS_EDE_TEXT_MAX) : 0;
	uint16_t options = explain ? SL_DNS_WIRE_EDE_BYTES + text_len : 0;
	size_t len = question_end(&query->question) +
	             (query->had_opt ? SL_DNS_WIRE_OPT_BYTES + options : 0);
	uint16_t flags = SL_DNS_WIRE_QR | SL_DNS_WIRE_RA | (uint16_t)rcode;
	uint8_t *p;

	if (len > size)
		return 0;
	if (query->rd)
		flags |= SL_DNS_WIRE_RD;
	if (query->cd)
		flags |= SL_DNS_WIRE_CD;
	p = put_question(out, &query->question, flags, query->had_opt);
	if (query->had_opt)
		p = put_opt(p, query->opt_do ? SL_DNS_WIRE_OPT_DO : 0, options);
	if (explain) {
		p = sl_dns_wire_put16(p, SL_DNS_WIRE_EDE);
		p = sl_dns_wire_put16(p, 2 + text_len);
		p = sl_dns_wire_put16(p, (uint16_t)ede);
		if (text_len > 0)
			memcpy(p, text, text_len);
	}
	return len;
}

int sl_dns_question_restore(uint8_t *msg, size_t len, uint16_t id,
                            const struct sl_dns_case *letter_case)
{
	size_t bytes;

	if (len < SL_DNS_HEADER_BYTES || sl_dns_wire_get16(msg + 4) != 1)
		return -EINVAL;
	bytes = sl_dns_wire_plain_name(msg + SL_DNS_HEADER_BYTES, len - SL_DNS_HEADER_BYTES);
	if (bytes == 0)
		return -EINVAL;
	sl_dns_wire_put16(msg, id);
	sl_dns_wire_set_case(msg + SL_DNS_HEADER_BYTES, bytes, letter_case);
	return 0;
}
