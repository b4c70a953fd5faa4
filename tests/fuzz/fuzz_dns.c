/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dns.c: arbitrary bytes as DNS messages.
 *
 * The first byte is skipped (in older seeds it told how to read the rest). The others are one
 * message, which is parsed as a query and as an answer to its own question, so that mutations get
 * past the comparison. What must hold, whatever the bytes:
 *
 *  - a query that parses is rebuilt to one that parses to the same name and type, with nothing else
 * of it left, and the gateway's reply to it is an answer to it;
 *  - an answer with its question put back tells the same addresses, all of them bytes of the
 * message.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/dns_message.h"

struct told {
	const uint8_t *msg;
	size_t len;
	uint32_t count;
	uint64_t sum; /* of the addresses' positions and values */
};

static void tell(void *ctx, const struct sl_dns_address *address)
{
	struct told *told = ctx;

	must(address->len == 4 || address->len == 16);
	must(address->bytes > told->msg && address->bytes + address->len <= told->msg + told->len);
	must(address->ttl <= INT32_MAX);
	told->count++;
	told->sum = told->sum * 31 + (uint64_t)(address->bytes - told->msg) + address->ttl;
}

/* Case bits that depend on the input, so that every run of it is the same. */
static struct sl_dns_case noise(const uint8_t *msg, size_t len)
{
	struct sl_dns_case bits = {{len, ~len, 0x5a5a5a5a5a5a5a5a, 0xc33c}};

	for (size_t i = 0; i < len; i++)
		bits.bits[i % 4] = bits.bits[i % 4] * 0x100000001b3 ^ msg[i];
	return bits;
}

static void check_reply(const struct sl_dns_query *query, enum sl_dns_rcode rcode)
{
	uint8_t out[SL_DNS_REPLY_MAX_BYTES];
	struct sl_dns_answer info;
	struct told told = {.msg = out, .len = sizeof(out)};
	size_t len = sl_dns_reply_build(query, rcode, SL_DNS_EDE_BLOCKED, NULL, out, sizeof(out));

	must(len > 0);
	must(sl_dns_answer_parse(out, len, &query->question, tell, &told, &info) == SL_PARSE_DONE);
	must(told.count == 0 && info.rcode == rcode && info.additionals == query->had_opt);
}

/* Over TCP it keeps its length, and carries only its question. */
static void check_padded(const struct sl_dns_query *query, size_t len)
{
	uint8_t *out = malloc(len);
	struct sl_dns_query again;

	must(out != NULL);
	must(sl_dns_query_build_padded(query, out, len) == len);
	must(sl_dns_query_parse(out, len, &again) == SL_PARSE_DONE);
	must(memcmp(&again.question, &query->question, sizeof(again.question)) == 0);
	must(again.opt_options_bytes == query->opt_options_bytes);
	if (again.opt_options_bytes > 0) {
		const uint8_t *option = out + len - again.opt_options_bytes;

		must(option[0] == 0 && option[1] == 12);
		for (size_t i = 4; i < again.opt_options_bytes; i++)
			must(option[i] == 0);
	}
	free(out);
}

static void check_query(const uint8_t *msg, size_t len)
{
	uint8_t out[SL_DNS_QUERY_MAX_BYTES];
	struct sl_dns_case letters = noise(msg, len);
	struct sl_dns_question sent;
	struct sl_dns_query query, again;
	char name[SL_NAME_MAX + 1];
	enum sl_parse_result answer = sl_dns_query_parse(msg, len, &query);
	size_t built;

	must(answer == SL_PARSE_DONE || answer == SL_PARSE_BAD);
	if (answer != SL_PARSE_DONE)
		return;
	/*
	 * A host name is in canonical form; a name that is not a host name (any bytes) is
	 * recognised by that.
	 */
	must(query.name_len <= SL_NAME_MAX);
	if (sl_hostname_normalise((const uint8_t *)query.name, query.name_len, name) ==
	    query.name_len)
		must(memcmp(name, query.name, query.name_len) == 0);

	built = sl_dns_query_build(&query, 0xabcd, &letters, out, sizeof(out), &sent);
	must(built == 12u + query.question.name_bytes + 4u + (query.had_opt ? 11u : 0u));
	must(sl_dns_query_parse(out, built, &again) == SL_PARSE_DONE);
	must(again.name_len == query.name_len &&
	     memcmp(again.name, query.name, query.name_len) == 0);
	must(again.question.type == query.question.type && again.question.id == 0xabcd);
	must(memcmp(again.question.name, sent.name, sent.name_bytes) == 0);
	must(again.had_opt == query.had_opt && again.opt_options_bytes == 0 &&
	     again.opt_do == query.opt_do);
	must(again.rd && again.ad == query.ad && again.cd == query.cd);

	/* the client's case restores the client's name */
	must(sl_dns_question_restore(out, built, query.question.id, &query.letter_case) == 0);
	must(memcmp(out + 12, query.question.name, query.question.name_bytes) == 0);
	check_padded(&query, len);
	check_reply(&query, SL_DNS_REFUSED);
	check_reply(&query, SL_DNS_NOERROR);
}

/* The message's own question, if it is one that could have been sent. */
static bool question_of(const uint8_t *msg, size_t len, struct sl_dns_question *out)
{
	size_t pos = 12;

	while (pos < len && msg[pos] != 0 && msg[pos] < 64)
		pos += 1u + msg[pos];
	if (pos + 5 > len || msg[pos] != 0 || pos + 1 - 12 > SL_DNS_NAME_WIRE_MAX)
		return false;
	*out = (struct sl_dns_question){.id = sl_dns_message_id(msg)};
	out->name_bytes = (uint8_t)(pos + 1 - 12);
	memcpy(out->name, msg + 12, out->name_bytes);
	out->type = (uint16_t)(msg[pos + 1] << 8 | msg[pos + 2]);
	return true;
}

static void check_answer(const uint8_t *msg, size_t len)
{
	struct sl_dns_question sent, client;
	struct sl_dns_answer info;
	struct told told = {.msg = msg, .len = len}, again;
	struct sl_dns_case letters = noise(msg, len);
	enum sl_parse_result answer;
	uint8_t *copy;

	if (!question_of(msg, len, &sent))
		return;
	answer = sl_dns_answer_parse(msg, len, &sent, tell, &told, &info);
	must(answer != SL_PARSE_MORE);
	must(answer == SL_PARSE_DONE ? told.count == info.addresses : told.count == 0);
	if (answer != SL_PARSE_DONE)
		return;

	copy = malloc(len);
	must(copy != NULL);
	memcpy(copy, msg, len);
	must(sl_dns_question_restore(copy, len, (uint16_t)~sent.id, &letters) == 0);
	must(question_of(copy, len, &client));
	must(client.name_bytes == sent.name_bytes && client.type == sent.type);
	again = (struct told){.msg = copy, .len = len};
	must(sl_dns_answer_parse(copy, len, &sent, tell, &again, &info) == SL_PARSE_NOT_MINE);
	must(sl_dns_answer_parse(copy, len, &client, tell, &again, &info) == SL_PARSE_DONE);
	must(again.count == told.count && again.sum == told.sum);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	check_query(data + 1, size - 1);
	check_answer(data + 1, size - 1);
	return 0;
}
