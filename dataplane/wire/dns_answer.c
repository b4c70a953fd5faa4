/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_answer.c: whether a message answers the question that was sent, and which addresses it gives
 * to the asked name.
 *
 * An answer opens addresses, so the whole message, every section, is checked before the first
 * address is reported. Only addresses of the answer section, along the CNAMEs from the asked name,
 * are reported: records that a server adds of its own accord open nothing.
 *
 * Work is bounded whatever the message says. The first pass walks every name once and takes one
 * step for each label and pointer from a budget that is proportional to the message's length; the
 * second pass walks only the owner names of the answer section, whose lengths the first pass has
 * found.
 */
#include "dns_message.h"

#include <string.h>

#include "dns_wire.h"

/* The budget: this many steps, plus one for each byte of the message; see above. */
#define STEPS_FREE 4096

/* SvcParamKeys (RFC 9460 14.3.2) */
#define SVCB_IPV4HINT 4
#define SVCB_IPV6HINT 6

/* RFC 1035 3.2.1: NAME, TYPE, CLASS, TTL, RDLENGTH, RDATA. Positions are offsets in the message. */
struct record {
	size_t owner;
	size_t rdata;
	uint32_t ttl;
	uint16_t type;
	uint16_t class;
	uint16_t rdata_len;
};

/* A CNAME of the answer section. */
struct cname {
	struct sl_dns_name owner;
	struct sl_dns_name target;
	uint32_t ttl;
	bool followed;
};

/* A name that the CNAMEs lead to, and the smallest TTL on the way. */
struct link {
	const struct sl_dns_name *name;
	uint32_t ttl;
};

struct chain {
	struct cname cnames[SL_DNS_CHAIN_MAX]; /* in the order of the message */
	size_t cname_count;
	struct sl_dns_name asked;
	struct link links[SL_DNS_CHAIN_MAX + 1]; /* [0] is the asked name */
	size_t link_count;
};

enum section {
	SECTION_ANSWER = 0,
	SECTION_AUTHORITY,
	SECTION_ADDITIONAL,
	SECTION_COUNT,
};

static bool hints_check(uint16_t key, uint16_t len)
{
	if (key == SVCB_IPV4HINT)
		return len > 0 && len % 4 == 0;
	if (key == SVCB_IPV6HINT)
		return len > 0 && len % 16 == 0;
	return true;
}

/*
 * RFC 9460 2.2: SvcPriority, TargetName (never compressed), then SvcParams: key, length, value,
 * with keys in ascending order.
 */
static bool svcb_check(const uint8_t *rdata, size_t len)
{
	size_t pos = 2, name;
	int32_t last = -1;

	if (len < pos)
		return false;
	name = sl_dns_wire_plain_name(rdata + pos, len - pos);
	if (name == 0)
		return false;
	pos += name;
	while (len - pos >= 4) {
		uint16_t key = sl_dns_wire_get16(rdata + pos);
		uint16_t value = sl_dns_wire_get16(rdata + pos + 2);

		pos += 4;
		if (key <= last || len - pos < value || !hints_check(key, value))
			return false;
		last = key;
		pos += value;
	}
	return pos == len;
}

/*
 * The RDATA of known types: fixed bytes, names (which may be compressed), fixed bytes. The RDATA
 * of unknown types is opaque (RFC 3597 4).
 */
struct shape {
	uint16_t type;
	uint8_t before, names, after;
};

static const struct shape shapes[] = {
        {SL_DNS_TYPE_A, 4, 0, 0},     {SL_DNS_TYPE_NS, 0, 1, 0},  {SL_DNS_TYPE_CNAME, 0, 1, 0},
        {SL_DNS_TYPE_SOA, 0, 2, 20},  {SL_DNS_TYPE_PTR, 0, 1, 0}, {SL_DNS_TYPE_MX, 2, 1, 0},
        {SL_DNS_TYPE_AAAA, 16, 0, 0}, {SL_DNS_TYPE_SRV, 6, 1, 0}, {SL_DNS_TYPE_DNAME, 0, 1, 0},
};

static bool shape_check(struct sl_dns_reader *r, const struct shape *shape,
                        const struct record *record)
{
	size_t end = record->rdata + record->rdata_len;
	size_t pos = record->rdata + shape->before;

	if (record->rdata_len < shape->before + shape->names + shape->after)
		return false;
	for (int i = 0; i < shape->names; i++) {
		if (pos >= end || !sl_dns_name_check(r, pos, &pos))
			return false;
	}
	return pos + shape->after == end;
}

static bool rdata_check(struct sl_dns_reader *r, const struct record *record)
{
	if (record->class != SL_DNS_CLASS_IN)
		return true;
	if (record->type == SL_DNS_TYPE_SVCB || record->type == SL_DNS_TYPE_HTTPS)
		return svcb_check(r->msg + record->rdata, record->rdata_len);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (shapes[i].type == record->type)
			return shape_check(r, &shapes[i], record);
	}
	return true;
}

/* Reads the fixed part of the record whose owner ends at pos, and the bounds of its data. */
static bool record_read(const uint8_t *msg, size_t len, size_t pos, struct record *record)
{
	const uint8_t *fixed = msg + pos;
	uint32_t ttl;

	if (len - pos < SL_DNS_WIRE_RECORD_FIXED)
		return false;
	record->type = sl_dns_wire_get16(fixed);
	record->class = sl_dns_wire_get16(fixed + 2);
	ttl = sl_dns_wire_get32(fixed + 4);
	record->ttl = ttl > INT32_MAX ? 0 : ttl; /* RFC 2181 8 */
	record->rdata_len = sl_dns_wire_get16(fixed + 8);
	record->rdata = pos + SL_DNS_WIRE_RECORD_FIXED;
	return len - record->rdata >= record->rdata_len;
}

/* RFC 6891 6.1.1: one OPT at most, at the root, among the additional records. */
static bool opt_check(const uint8_t *msg, enum section section, const struct record *record,
                      bool *seen, struct sl_dns_answer *out)
{
	if (section != SECTION_ADDITIONAL || *seen || msg[record->owner] != 0 ||
	    !sl_dns_wire_options_fit(msg + record->rdata, record->rdata_len))
		return false;
	*seen = true;
	out->rcode |= (uint16_t)(msg[record->rdata - 6] << 4);
	return true;
}

/* Notes a CNAME of the answer section. More than SL_DNS_CHAIN_MAX are not followed. */
static void cname_note(const uint8_t *msg, const struct record *record, struct chain *chain)
{
	struct cname *cname = &chain->cnames[chain->cname_count];

	if (record->type != SL_DNS_TYPE_CNAME || record->class != SL_DNS_CLASS_IN ||
	    chain->cname_count == SL_DNS_CHAIN_MAX)
		return;
	sl_dns_name_copy(msg, record->owner, &cname->owner);
	sl_dns_name_copy(msg, record->rdata, &cname->target);
	cname->ttl = record->ttl;
	cname->followed = false;
	chain->cname_count++;
}

/* The first pass: checks every record of every section, and notes the CNAMEs. */
static bool sections_check(struct sl_dns_reader *r, size_t pos, struct chain *chain,
                           struct sl_dns_answer *out)
{
	const uint16_t counts[SECTION_COUNT] = {out->answers, out->authorities, out->additionals};
	bool opt_seen = false;

	for (int section = 0; section < SECTION_COUNT; section++) {
		for (uint32_t i = 0; i < counts[section]; i++) {
			struct record record = {.owner = pos};

			if (!sl_dns_name_check(r, pos, &pos) ||
			    !record_read(r->msg, r->len, pos, &record))
				return false;
			if (record.type == SL_DNS_TYPE_OPT) {
				if (!opt_check(r->msg, section, &record, &opt_seen, out))
					return false;
			} else if (!rdata_check(r, &record)) {
				return false;
			}
			if (section == SECTION_ANSWER)
				cname_note(r->msg, &record, chain);
			pos = record.rdata + record.rdata_len;
		}
	}
	return pos == r->len;
}

/*
 * Follows the CNAMEs from the asked name. They may be in any order; of several for one name (which
 * RFC 2181 10.1 forbids) the first counts, as it does for stub resolvers. Each is followed once, so
 * loops end.
 */
static void chain_follow(struct chain *chain)
{
	struct link last = {.name = &chain->asked, .ttl = UINT32_MAX};
	size_t i;

	chain->links[0] = last;
	chain->link_count = 1;
	do {
		for (i = 0; i < chain->cname_count; i++) {
			struct cname *cname = &chain->cnames[i];

			if (cname->followed || !sl_dns_name_equal(&cname->owner, last.name))
				continue;
			cname->followed = true;
			last.name = &cname->target;
			last.ttl = cname->ttl < last.ttl ? cname->ttl : last.ttl;
			chain->links[chain->link_count++] = last;
			break;
		}
	} while (i < chain->cname_count);
}

static const struct link *chain_find(const struct chain *chain, const struct sl_dns_name *name)
{
	for (size_t i = 0; i < chain->link_count; i++) {
		if (sl_dns_name_equal(chain->links[i].name, name))
			return &chain->links[i];
	}
	return NULL;
}

struct caller {
	sl_dns_address_fn *each;
	void *ctx;
	struct sl_dns_answer *out;
};

static void tell_addresses(const struct caller *caller, const uint8_t *bytes, size_t len,
                           struct sl_dns_address address)
{
	for (size_t i = 0; i < len; i += address.len) {
		address.bytes = bytes + i;
		caller->out->addresses++;
		if (caller->each != NULL)
			caller->each(caller->ctx, &address);
	}
}

/* RFC 9460 2.4.2: in AliasMode (priority 0) the parameters mean nothing. */
static void tell_hints(const struct caller *caller, const uint8_t *rdata, size_t len, uint32_t ttl)
{
	size_t pos = 2 + sl_dns_wire_plain_name(rdata + 2, len - 2);

	if (sl_dns_wire_get16(rdata) == 0)
		return;
	while (pos < len) {
		uint16_t key = sl_dns_wire_get16(rdata + pos);
		uint16_t value = sl_dns_wire_get16(rdata + pos + 2);

		pos += 4;
		if (key == SVCB_IPV4HINT || key == SVCB_IPV6HINT)
			tell_addresses(caller, rdata + pos, value,
			               (struct sl_dns_address){
			                       .len = key == SVCB_IPV4HINT ? 4 : 16,
			                       .hint = true,
			                       .ttl = ttl,
			               });
		pos += value;
	}
}

static void tell_record(const struct caller *caller, const uint8_t *msg,
                        const struct record *record, uint32_t ttl)
{
	const uint8_t *rdata = msg + record->rdata;

	if (record->type == SL_DNS_TYPE_SVCB || record->type == SL_DNS_TYPE_HTTPS)
		tell_hints(caller, rdata, record->rdata_len, ttl);
	else
		tell_addresses(
		        caller, rdata, record->rdata_len,
		        (struct sl_dns_address){.len = (uint8_t)record->rdata_len, .ttl = ttl});
}

static bool type_has_addresses(uint16_t type)
{
	return type == SL_DNS_TYPE_A || type == SL_DNS_TYPE_AAAA || type == SL_DNS_TYPE_SVCB ||
	       type == SL_DNS_TYPE_HTTPS;
}

/* The second pass: the answer section of a message that sections_check has accepted. */
static void answers_tell(const struct sl_dns_reader *r, size_t pos, const struct chain *chain,
                         const struct caller *caller)
{
	for (uint32_t i = 0; i < caller->out->answers; i++) {
		struct record record = {.owner = pos};

		record_read(r->msg, r->len, sl_dns_name_end(r->msg, pos), &record);
		pos = record.rdata + record.rdata_len;
		if (record.class != SL_DNS_CLASS_IN || !type_has_addresses(record.type))
			continue;

		struct sl_dns_name owner;
		const struct link *link;

		sl_dns_name_copy(r->msg, record.owner, &owner);
		link = chain_find(chain, &owner);
		if (link != NULL)
			tell_record(caller, r->msg, &record,
			            record.ttl < link->ttl ? record.ttl : link->ttl);
	}
}

static uint8_t lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

/* Wire names: a length byte is no letter. */
static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len, bool any_case)
{
	if (!any_case)
		return memcmp(a, b, len) == 0;
	for (size_t i = 0; i < len; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

/*
 * Compares the question with the one that was sent. If bytes differ, it is another question; if it
 * is a truncated copy, the message is invalid.
 */
static enum sl_parse_result question_check(const uint8_t *msg, size_t len,
                                           const struct sl_dns_question *sent, bool any_case)
{
	uint8_t fixed[SL_DNS_WIRE_QUESTION_FIXED];
	const uint8_t *question = msg + SL_DNS_HEADER_BYTES;
	size_t here = len - SL_DNS_HEADER_BYTES, name = sent->name_bytes;
	size_t tail;

	if (sl_dns_wire_get16(msg + 4) != 1)
		return SL_PARSE_NOT_MINE;
	if (!same_bytes(question, sent->name, here < name ? here : name, any_case))
		return SL_PARSE_NOT_MINE;
	if (here < name)
		return SL_PARSE_BAD;
	sl_dns_wire_put16(sl_dns_wire_put16(fixed, sent->type), SL_DNS_CLASS_IN);
	tail = here - name < sizeof(fixed) ? here - name : sizeof(fixed);
	if (memcmp(question + name, fixed, tail) != 0)
		return SL_PARSE_NOT_MINE;
	return tail == sizeof(fixed) ? SL_PARSE_DONE : SL_PARSE_BAD;
}

/* Reads the header after the id: it must be an answer to a standard query. */
static bool header_read(const uint8_t *msg, struct sl_dns_answer *out)
{
	uint16_t flags = sl_dns_wire_get16(msg + 2);

	if ((flags & SL_DNS_WIRE_QR) == 0 || (flags & SL_DNS_WIRE_OPCODE_MASK) != 0)
		return false;
	out->rcode = flags & SL_DNS_WIRE_RCODE_MASK;
	out->truncated = (flags & SL_DNS_WIRE_TC) != 0;
	out->answers = sl_dns_wire_get16(msg + 6);
	out->authorities = sl_dns_wire_get16(msg + 8);
	out->additionals = sl_dns_wire_get16(msg + 10);
	return true;
}

enum sl_parse_result sl_dns_answer_parse(const uint8_t *msg, size_t len,
                                         const struct sl_dns_question *sent,
                                         sl_dns_address_fn *each, void *ctx,
                                         struct sl_dns_answer *out)
{
	struct sl_dns_reader r = {.msg = msg, .len = len, .steps = STEPS_FREE + len};
	struct caller caller = {.each = each, .ctx = ctx, .out = out};
	struct chain chain;
	enum sl_parse_result mine;
	size_t pos;

	memset(out, 0, sizeof(*out));
	if (len < SL_DNS_HEADER_BYTES)
		return SL_PARSE_BAD;
	if (sl_dns_message_id(msg) != sent->id)
		return SL_PARSE_NOT_MINE;
	mine = question_check(msg, len, sent, sent->any_case);
	if (mine != SL_PARSE_DONE)
		return mine;
	pos = SL_DNS_HEADER_BYTES + sent->name_bytes + SL_DNS_WIRE_QUESTION_FIXED;
	chain.cname_count = 0;
	if (!header_read(msg, out) || !sections_check(&r, pos, &chain, out)) {
		memset(out, 0, sizeof(*out));
		return SL_PARSE_BAD;
	}
	if (out->rcode == SL_DNS_NOERROR) {
		sl_dns_name_copy(msg, SL_DNS_HEADER_BYTES, &chain.asked);
		chain_follow(&chain);
		out->links = (uint16_t)(chain.link_count - 1);
		answers_tell(&r, pos, &chain, &caller);
	}
	return SL_PARSE_DONE;
}

bool sl_dns_answer_own_case(const uint8_t *msg, size_t len, const struct sl_dns_question *sent)
{
	return len >= SL_DNS_HEADER_BYTES && sl_dns_message_id(msg) == sent->id &&
	       question_check(msg, len, sent, false) == SL_PARSE_NOT_MINE &&
	       question_check(msg, len, sent, true) == SL_PARSE_DONE;
}

bool sl_dns_is_bare_formerr(const uint8_t *msg, size_t len)
{
	static const uint8_t no_records[8];
	uint16_t flags;

	if (len != SL_DNS_HEADER_BYTES || memcmp(msg + 4, no_records, sizeof(no_records)) != 0)
		return false;
	flags = sl_dns_wire_get16(msg + 2);
	return (flags & SL_DNS_WIRE_QR) != 0 && (flags & SL_DNS_WIRE_OPCODE_MASK) == 0 &&
	       (flags & SL_DNS_WIRE_RCODE_MASK) == SL_DNS_FORMERR;
}
