/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dns_answer.c: which answers are believed, and which addresses they give.
 */
#include <ctype.h>

#include "dns_expect.h"

/* The beginning of an answer to an A query for www.example.com; tests add the records. */
static struct sl_dns_question www;

static void begin_answer(void)
{
	www = query_for("www.example.com", DNS_A).question;
	dns_begin(&msg, ID, DNS_QR | DNS_RD | DNS_RA);
	dns_question(&msg, "www.example.com", DNS_A);
}

static struct parsed parse_done(void)
{
	struct parsed parsed = parse_answer(msg.bytes, msg.len, &www);

	assert_int_equal(parsed.answer, SL_PARSE_DONE);
	return parsed;
}

static void expect_answer(enum sl_parse_result answer)
{
	assert_int_equal(parse_answer(msg.bytes, msg.len, &www).answer, answer);
}

static void expect_told(const struct parsed *parsed, size_t at, const char *text, uint32_t ttl)
{
	assert_true(at < parsed->told.count);
	assert_string_equal(parsed->told.list[at].text, text);
	assert_int_equal(parsed->told.list[at].ttl, ttl);
}

static void answer_addresses_are_told(void **state)
{
	struct parsed parsed;

	begin_answer();
	dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 300);
	dns_address(&msg, DNS_ANSWER, "@12", "2001:db8::1", 60);
	dns_opt(&msg, 1232, 0, NULL, 0);
	parsed = parse_done();
	assert_int_equal(parsed.info.rcode, 0);
	assert_int_equal(parsed.info.answers, 2);
	assert_int_equal(parsed.info.additionals, 1);
	assert_int_equal(parsed.info.links, 0);
	assert_int_equal(parsed.told.count, 2);
	expect_told(&parsed, 0, "192.0.2.1", 300);
	expect_told(&parsed, 1, "2001:db8::1", 60);
	assert_false(parsed.told.list[0].hint);
}

struct record {
	const char *owner, *value; /* an address, or the target of a CNAME */
	uint32_t ttl;
	enum dns_section section; /* if not said, the answer */
};

/* Answers of addresses and CNAMEs, and the addresses that they give. */
static const struct chain {
	const char *what;
	struct record records[6];
	size_t links;
	struct {
		const char *text;
		uint32_t ttl;
	} told[3];
} chains[] = {
        {"answer_cname_chain_takes_smallest_ttl",
         {{"@12", "edge.example.net", 20},
          {"edge.example.net", "a.cdn.example", 500},
          {"A.CDN.example", "192.0.2.1", 300},
          {"a.cdn.example", "192.0.2.2", 10}},
         .links = 2,
         .told = {{"192.0.2.1", 20}, {"192.0.2.2", 10}}},
        {"answer_cname_chain_in_reverse_is_followed",
         {{"c.example", "192.0.2.1", 300},
          {"b.example", "c.example", 300},
          {"a.example", "b.example", 300},
          {"WWW.example.COM", "a.example", 300}},
         .links = 3,
         .told = {{"192.0.2.1", 300}}},
        {"answer_cname_loop_ends",
         {{"@12", "a.example", 300},
          {"a.example", "@12", 300},
          {"a.example", "a.example", 300},
          {"a.example", "192.0.2.1", 300},
          {"@12", "@12", 300}},
         .links = 3, /* no CNAME is followed twice */
         .told = {{"192.0.2.1", 300}}},
        {"answer_second_cname_of_a_name_is_not_followed",
         {{"@12", "a.example", 300},
          {"@12", "b.example", 300},
          {"b.example", "192.0.2.2", 300},
          {"a.example", "192.0.2.1", 300}},
         .links = 1,
         .told = {{"192.0.2.1", 300}}},
        {"answer_authority_and_additional_are_never_told",
         {{"@12", "192.0.2.1", 300, DNS_AUTHORITY},
          {"@12", "192.0.2.2", 300, DNS_ADDITIONAL},
          {"@12", "a.example", 300, DNS_ADDITIONAL}}},
        {"answer_cname_of_authority_is_not_followed",
         {{"a.example", "192.0.2.2", 300}, {"@12", "a.example", 300, DNS_AUTHORITY}}},
        {"answer_ttl_with_top_bit_is_zero",
         {{"@12", "192.0.2.1", 0x80000000}, {"@12", "192.0.2.2", 0x7fffffff}},
         .told = {{"192.0.2.1", 0}, {"192.0.2.2", 0x7fffffff}}},
};

static void chain_gives_its_addresses(void **state)
{
	const struct chain *chain = *state;
	struct parsed parsed;
	size_t n = 0;

	begin_answer();
	for (const struct record *r = chain->records; r->owner != NULL; r++)
		if (isdigit((unsigned char)r->value[0]))
			dns_address(&msg, r->section, r->owner, r->value, r->ttl);
		else
			dns_cname(&msg, r->section, r->owner, r->value, r->ttl);
	parsed = parse_done();
	assert_int_equal(parsed.info.links, chain->links);
	for (; chain->told[n].text != NULL; n++)
		expect_told(&parsed, n, chain->told[n].text, chain->told[n].ttl);
	assert_int_equal(parsed.told.count, n);
}

/* A chain of `links` CNAMEs and an address at its end. */
static struct parsed parse_long_chain(int links)
{
	char owner[32] = "@12", target[32];

	begin_answer();
	for (int i = 0; i < links; i++) {
		snprintf(target, sizeof(target), "n%d.example", i);
		dns_cname(&msg, DNS_ANSWER, owner, target, 300);
		strcpy(owner, target);
	}
	dns_address(&msg, DNS_ANSWER, owner, "192.0.2.1", 300);
	return parse_done();
}

static void answer_chain_longer_than_bound_opens_nothing(void **state)
{
	assert_int_equal(parse_long_chain(SL_DNS_CHAIN_MAX).told.count, 1);
	assert_int_equal(parse_long_chain(SL_DNS_CHAIN_MAX + 1).told.count, 0);
	assert_int_equal(parse_long_chain(400).told.count, 0);
}

static void answer_addresses_of_other_names_are_not_told(void **state)
{
	static const char *const owners[] = {"evil.example",        "example.com",
	                                     "x.www.example.com",   "www.example.com.evil",
	                                     "www\\.example.com",   "ww.example.com",
	                                     "www.example.co",      "@16",
	                                     "www\\.example\\.com", ""};

	for (size_t i = 0; i < COUNT(owners); i++) {
		row(owners[i]);
		begin_answer();
		dns_address(&msg, DNS_ANSWER, owners[i], "192.0.2.66", 300);
		dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 300);
		struct parsed parsed = parse_done();

		assert_int_equal(parsed.told.count, 1);
		expect_told(&parsed, 0, "192.0.2.1", 300);
	}
}

static void answer_record_of_other_class_is_not_told(void **state)
{
	begin_answer();
	dns_record_begin(&msg, DNS_ANSWER, "@12", DNS_A, 3, 300);
	dns_put(&msg, "\300\0\2\1", 4);
	dns_record_end(&msg);
	dns_record_begin(&msg, DNS_ANSWER, "@12", DNS_CNAME, 3, 300);
	dns_put_name(&msg, "a.example");
	dns_record_end(&msg);
	dns_address(&msg, DNS_ANSWER, "a.example", "192.0.2.2", 300);
	assert_int_equal(parse_done().told.count, 0);
}

static void answer_with_error_tells_nothing(void **state)
{
	static const uint16_t rcodes[] = {1, 2, 3, 4, 5, 15};

	for (size_t i = 0; i < COUNT(rcodes); i++) {
		ROW_NUMBER(rcodes[i]);
		begin_answer();
		dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 300);
		dns_soa(&msg, "@16", 60);
		msg.bytes[3] |= (uint8_t)rcodes[i];
		struct parsed parsed = parse_done();

		assert_int_equal(parsed.info.rcode, rcodes[i]);
		assert_int_equal(parsed.told.count, 0);
	}
}

static void answer_extended_rcode_is_put_together(void **state)
{
	struct parsed parsed;

	begin_answer();
	dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 300);
	dns_record_begin(&msg, DNS_ADDITIONAL, "", DNS_OPT, 1232, 0x01000000); /* BADVERS */
	dns_record_end(&msg);
	parsed = parse_done();
	assert_int_equal(parsed.info.rcode, 16);
	assert_int_equal(parsed.told.count, 0);
}

static void answer_truncated_is_said(void **state)
{
	begin_answer();
	msg.bytes[2] |= DNS_TC >> 8;
	assert_true(parse_done().info.truncated);
}

static void answer_service_hints_are_told(void **state)
{
	struct parsed parsed;

	begin_answer();
	dns_service(&msg, DNS_HTTPS, "@12", 1, "", 60, "192.0.2.1,192.0.2.2", "2001:db8::1");
	dns_service(&msg, DNS_SVCB, "@12", 2, "svc.example", 70, NULL, "2001:db8::2,2001:db8::3");
	dns_service(&msg, DNS_HTTPS, "@12", 3, "", 80, NULL, NULL);
	parsed = parse_done();
	assert_int_equal(parsed.told.count, 5);
	expect_told(&parsed, 0, "192.0.2.1", 60);
	expect_told(&parsed, 1, "192.0.2.2", 60);
	expect_told(&parsed, 2, "2001:db8::1", 60);
	expect_told(&parsed, 3, "2001:db8::2", 70);
	expect_told(&parsed, 4, "2001:db8::3", 70);
	for (size_t i = 0; i < parsed.told.count; i++)
		assert_true(parsed.told.list[i].hint);
}

static void answer_service_in_alias_mode_tells_nothing(void **state)
{
	begin_answer();
	dns_service(&msg, DNS_HTTPS, "@12", 0, "a.example", 60, "192.0.2.1", "2001:db8::1");
	dns_address(&msg, DNS_ANSWER, "a.example", "192.0.2.2", 60);
	assert_int_equal(parse_done().told.count, 0);
}

static void answer_service_of_the_chain_is_told_of_others_not(void **state)
{
	struct parsed parsed;

	begin_answer();
	dns_cname(&msg, DNS_ANSWER, "@12", "a.example", 30);
	dns_service(&msg, DNS_HTTPS, "a.example", 1, "", 60, "192.0.2.1", NULL);
	dns_service(&msg, DNS_HTTPS, "evil.example", 1, "", 60, "192.0.2.66", NULL);
	parsed = parse_done();
	assert_int_equal(parsed.told.count, 1);
	expect_told(&parsed, 0, "192.0.2.1", 30);
}

static void answer_broken_service_is_bad(void **state)
{
	static const struct {
		const char *rdata;
		size_t len;
	} broken[] = {
#define DATA(text) {text, sizeof(text) - 1}
	        DATA(""),
	        DATA("\0"),
	        DATA("\0\1"),                                   /* no TargetName */
	        DATA("\0\1\300\14"),                            /* a compressed one */
	        DATA("\0\1\5abc"),                              /* one that does not end */
	        DATA("\0\1\0\0\4\0\5\1\2\3\4\5"),               /* hint of five bytes */
	        DATA("\0\1\0\0\4\0\0"),                         /* hint of none */
	        DATA("\0\1\0\0\6\0\4\1\2\3\4"),                 /* IPv6 hint of four */
	        DATA("\0\1\0\0\4\0\10\1\2\3\4"),                /* value longer than the data */
	        DATA("\0\1\0\0\4\0\4\1\2\3\4\0"),               /* bytes left over */
	        DATA("\0\1\0\0\4\0\4\1\2\3\4\0\4\0\4\1\2\3\4"), /* a key twice */
	        DATA("\0\1\0\0\4\0\4\1\2\3\4\0\1\0\0"),         /* keys in descending order */
#undef DATA
	};

	for (size_t i = 0; i < COUNT(broken); i++) {
		ROWF("%zu bytes, row %zu", broken[i].len, i);
		begin_answer();
		dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
		dns_record(&msg, DNS_ANSWER, "@12", DNS_HTTPS, 60, broken[i].rdata, broken[i].len);
		expect_answer(SL_PARSE_BAD);
	}
}

static void answer_other_id_is_not_mine(void **state)
{
	begin_answer();
	dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
	for (size_t at = 0; at < 2; at++) {
		msg.bytes[at] ^= 1;
		expect_answer(SL_PARSE_NOT_MINE);
		msg.bytes[at] ^= 1;
	}
	expect_answer(SL_PARSE_DONE);
}

static void answer_any_other_byte_in_question_is_not_mine(void **state)
{
	begin_answer();
	dns_address(&msg, DNS_ANSWER, "evil.example", "192.0.2.1", 60);
	/* every bit of name, type and class, letter case (0x20) among them */
	for (size_t at = 12; at < 12 + 17 + 4; at++) {
		for (unsigned bit = 1; bit < 0x100; bit <<= 1) {
			msg.bytes[at] ^= (uint8_t)bit;
			expect_answer(SL_PARSE_NOT_MINE);
			msg.bytes[at] ^= (uint8_t)bit;
		}
	}
	expect_answer(SL_PARSE_DONE);
}

/* A resolver that answers in its own letter case (RFC 4343 allows it). */
static void answer_in_another_case_is_told_from_another_question(void **state)
{
	begin_answer();
	dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
	assert_false(sl_dns_answer_own_case(msg.bytes, msg.len, &www));
	msg.bytes[13] ^= 0x20;
	expect_answer(SL_PARSE_NOT_MINE);
	assert_true(sl_dns_answer_own_case(msg.bytes, msg.len, &www));
	www.any_case = true;
	assert_int_equal(parse_done().told.count, 1);
	msg.bytes[1] ^= 1;
	assert_false(sl_dns_answer_own_case(msg.bytes, msg.len, &www));
	expect_answer(SL_PARSE_NOT_MINE);
	msg.bytes[1] ^= 1;
	/* no other bit than a letter's case may differ */
	for (size_t at = 12; at < 12 + 17 + 4; at++) {
		bool letter = at < 12 + 17 && msg.bytes[at] > 63;

		for (unsigned bit = 1; bit < 0x100; bit <<= 1) {
			if (letter && bit == 0x20)
				continue;
			msg.bytes[at] ^= (uint8_t)bit;
			expect_answer(SL_PARSE_NOT_MINE);
			assert_false(sl_dns_answer_own_case(msg.bytes, msg.len, &www));
			msg.bytes[at] ^= (uint8_t)bit;
		}
	}
	assert_false(sl_dns_answer_own_case(msg.bytes, 20, &www));
}

static void answer_of_a_header_alone_is_told(void **state)
{
	dns_begin(&msg, ID, DNS_QR | DNS_RD | DNS_RA | 1);
	assert_true(sl_dns_is_bare_formerr(msg.bytes, msg.len));
	assert_false(sl_dns_is_bare_formerr(msg.bytes, msg.len - 1));
	for (size_t at = 2; at < 12; at++)
		for (unsigned bit = 1; bit < 0x100; bit <<= 1) {
			bool free_bit = (at == 2 && (bit & 0x07)) || (at == 3 && (bit & 0xf0));

			msg.bytes[at] ^= (uint8_t)bit; /* AA, TC, RD, RA, Z, AD, CD are free */
			assert_int_equal(sl_dns_is_bare_formerr(msg.bytes, msg.len), free_bit);
			msg.bytes[at] ^= (uint8_t)bit;
		}
	dns_question(&msg, "www.example.com", DNS_A);
	assert_false(sl_dns_is_bare_formerr(msg.bytes, msg.len));
}

static void answer_without_or_with_two_questions_is_not_mine(void **state)
{
	begin_answer();
	dns_begin(&msg, ID, DNS_QR | 1 /* FORMERR, as old servers send it */);
	expect_answer(SL_PARSE_NOT_MINE);
	dns_question(&msg, "www.example.com", DNS_A);
	dns_question(&msg, "www.example.com", DNS_A);
	expect_answer(SL_PARSE_NOT_MINE);
}

static void answer_that_is_a_query_or_other_opcode_is_bad(void **state)
{
	begin_answer();
	msg.bytes[2] &= 0x7f;
	expect_answer(SL_PARSE_BAD);
	for (unsigned opcode = 1; opcode < 16; opcode++) {
		begin_answer();
		msg.bytes[2] |= (uint8_t)(opcode << 3);
		expect_answer(SL_PARSE_BAD);
	}
}

static void answer_bytes_behind_the_end_are_bad(void **state)
{
	begin_answer();
	dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
	dns_put(&msg, "", 1);
	expect_answer(SL_PARSE_BAD);
}

static void answer_address_of_wrong_length_is_bad(void **state)
{
	static const uint8_t bytes[17] = {192, 0, 2, 1};

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		begin_answer();
		dns_record(&msg, DNS_ANSWER, "@12", DNS_A, 60, bytes, len);
		expect_answer(len == 4 ? SL_PARSE_DONE : SL_PARSE_BAD);
		begin_answer();
		dns_record(&msg, DNS_ADDITIONAL, "@12", DNS_AAAA, 60, bytes, len);
		expect_answer(len == 16 ? SL_PARSE_DONE : SL_PARSE_BAD);
	}
}

static void answer_broken_in_any_section_tells_nothing(void **state)
{
	for (int section = 0; section < 3; section++) {
		begin_answer();
		dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
		dns_record_begin(&msg, section, "@12", DNS_CNAME, DNS_IN, 60);
		dns_put_name(&msg, "a.example");
		dns_put(&msg, "", 1); /* after the name, inside the record */
		dns_record_end(&msg);
		expect_answer(SL_PARSE_BAD);

		begin_answer();
		dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
		msg.bytes[7 + 2 * section]++; /* a record that is not there */
		expect_answer(SL_PARSE_BAD);
	}
}

static void answer_name_shapes_of_known_types_are_checked(void **state)
{
	begin_answer();
	dns_soa(&msg, "@16", 60);
	dns_record_begin(&msg, DNS_AUTHORITY, "@16", DNS_MX, DNS_IN, 60);
	dns_put16(&msg, 10);
	dns_put_name(&msg, "mail.@16");
	dns_record_end(&msg);
	dns_record(&msg, DNS_ADDITIONAL, "@16", DNS_TXT, 60, "anything", 8);
	expect_answer(SL_PARSE_DONE);

	dns_record(&msg, DNS_ADDITIONAL, "@16", DNS_MX, 60, "\0\12", 2);
	expect_answer(SL_PARSE_BAD);
	begin_answer();
	dns_record(&msg, DNS_AUTHORITY, "@16", DNS_SOA, 60, "\0\0\1", 3);
	expect_answer(SL_PARSE_BAD);
}

static void answer_opt_out_of_place_is_bad(void **state)
{
	begin_answer();
	dns_opt(&msg, 1232, 0, NULL, 0);
	dns_opt(&msg, 1232, 0, NULL, 0);
	expect_answer(SL_PARSE_BAD);
	begin_answer();
	dns_record(&msg, DNS_ANSWER, "", DNS_OPT, 0, NULL, 0);
	expect_answer(SL_PARSE_BAD);
	begin_answer();
	dns_record(&msg, DNS_ADDITIONAL, "@16", DNS_OPT, 0, NULL, 0);
	expect_answer(SL_PARSE_BAD);
	begin_answer();
	dns_opt(&msg, 1232, 0, "\0\12\0\2\1", 5);
	expect_answer(SL_PARSE_BAD);
}

/* An answer with an owner of raw bytes, followed by an address that must not be reported. */
static void expect_bad_owner(const void *owner, size_t len)
{
	begin_answer();
	dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
	msg.bytes[7]++;
	dns_put(&msg, owner, len);
	dns_put(&msg, "\0\1\0\1\0\0\0\1\0\4\300\0\2\1", 14);
	expect_answer(SL_PARSE_BAD);
}

static void answer_pointers_that_do_not_go_back_are_bad(void **state)
{
	/* the raw owner stands at 12 + 17 + 4 + 16 = 49 */
	expect_bad_owner("\300\61", 2);    /* to itself */
	expect_bad_owner("\300\62", 2);    /* into itself */
	expect_bad_owner("\300\63", 2);    /* forward */
	expect_bad_owner("\377\377", 2);   /* out of the message */
	expect_bad_owner("\300\0", 2);     /* into the header */
	expect_bad_owner("\300\13", 2);    /* into the header */
	expect_bad_owner("\1a\300\61", 4); /* back to its own label: an endless loop */
	expect_bad_owner("\1a\300\63", 4); /* to itself, after a label */
	expect_bad_owner("\101\14", 2);    /* label type 01 */
	expect_bad_owner("\201\14", 2);    /* label type 10 */
	expect_bad_owner("\77abc\0", 5);   /* a label longer than what is left */
}

static void answer_pointers_through_names_are_followed(void **state)
{
	struct parsed parsed;
	char at[8];

	begin_answer();
	dns_cname(&msg, DNS_ANSWER, "@12", "edge.@16", 60);
	/* the CNAME's data stands at 33 + 12: "edge" and a pointer to "example.com" */
	snprintf(at, sizeof(at), "@%d", 33 + 12);
	dns_address(&msg, DNS_ANSWER, at, "192.0.2.1", 60);
	dns_address(&msg, DNS_ANSWER, "EDGE.example.@24", "192.0.2.2", 60);
	parsed = parse_done();
	assert_int_equal(parsed.info.links, 1);
	assert_int_equal(parsed.told.count, 2);
}

static void answer_name_over_255_bytes_by_pointers_is_bad(void **state)
{
	char label[64];
	char name[80];

	begin_answer();
	memset(label, 'a', 63);
	label[63] = '\0';
	/* each TXT owner is 64 bytes and a pointer to the one before */
	for (int at = 16, i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s.@%d", label, at);
		at = (int)msg.len;
		dns_record(&msg, DNS_ANSWER, name, DNS_TXT, 60, NULL, 0);
		/* 13 bytes of example.com and 64 for each: 205 with three, 269 with four */
		expect_answer(i < 3 ? SL_PARSE_DONE : SL_PARSE_BAD);
	}
}

/*
 * Thousands of records, each with an owner that takes a long walk: exceeds the budget, and is
 * refused quickly.
 */
static void answer_pointer_attack_is_bad(void **state)
{
	char name[16];
	size_t chain;

	begin_answer();
	dns_record_begin(&msg, DNS_ANSWER, "@12", DNS_TXT, DNS_IN, 60);
	chain = msg.len;
	dns_put16(&msg, 0xc00c);
	while (msg.len < chain + 12000) /* pointers to the pointer before */
		dns_put16(&msg, (uint16_t)(0xc000 | (msg.len - 2)));
	snprintf(name, sizeof(name), "@%zu", msg.len - 2);
	dns_record_end(&msg);
	expect_answer(SL_PARSE_DONE);
	while (msg.len < 65000)
		dns_record(&msg, DNS_ANSWER, name, DNS_TXT, 60, NULL, 0);
	expect_answer(SL_PARSE_BAD);
}

static void count(void *ctx, const struct sl_dns_address *address)
{
	(*(size_t *)ctx)++;
}

static void answer_of_64_kib_is_read_whole(void **state)
{
	struct sl_dns_answer info;
	size_t told = 0, records = 0;

	begin_answer();
	while (msg.len + 16 <= DNS_MESSAGE_MAX) {
		dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
		records++;
	}
	assert_int_equal(sl_dns_answer_parse(msg.bytes, msg.len, &www, count, &told, &info),
	                 SL_PARSE_DONE);
	assert_int_equal(told, records);
	assert_int_equal(info.addresses, records);
}

static void answer_without_callback_is_checked(void **state)
{
	struct sl_dns_answer info;

	begin_answer();
	dns_address(&msg, DNS_ANSWER, "@12", "192.0.2.1", 60);
	assert_int_equal(sl_dns_answer_parse(msg.bytes, msg.len, &www, NULL, NULL, &info),
	                 SL_PARSE_DONE);
	assert_int_equal(info.addresses, 1);
}

/* Everything at once, as a resolver sends it. */
static void rich_answer(void)
{
	begin_answer();
	dns_cname(&msg, DNS_ANSWER, "@12", "edge.@16", 60);
	dns_service(&msg, DNS_HTTPS, "@45", 1, "", 60, "192.0.2.9", "2001:db8::9");
	dns_address(&msg, DNS_ANSWER, "@45", "192.0.2.1", 60);
	dns_address(&msg, DNS_ANSWER, "@45", "2001:db8::1", 60);
	dns_soa(&msg, "@16", 60);
	dns_record_begin(&msg, DNS_AUTHORITY, "@16", DNS_NS, DNS_IN, 60);
	dns_put_name(&msg, "ns1.@16");
	dns_record_end(&msg);
	dns_address(&msg, DNS_ADDITIONAL, "ns1.@16", "203.0.113.53", 60);
	dns_opt(&msg, 1232, 0, "\0\17\0\2\0\3", 6);
}

static void answer_every_prefix_is_bad(void **state)
{
	rich_answer();
	assert_int_equal(parse_done().told.count, 4);
	for (size_t len = 0; len < msg.len; len++)
		assert_int_equal(parse_answer(msg.bytes, len, &www).answer, SL_PARSE_BAD);
}

static void answer_every_byte_mutated_never_tells_unasked(void **state)
{
	size_t done = 0, bad = 0, not_mine = 0;

	rich_answer();
	for (size_t at = 0; at < msg.len; at++) {
		uint8_t honest = msg.bytes[at];

		for (unsigned value = 0; value < 256; value++) {
			msg.bytes[at] = (uint8_t)value;
			struct parsed parsed = parse_answer(msg.bytes, msg.len, &www);

			done += parsed.answer == SL_PARSE_DONE;
			bad += parsed.answer == SL_PARSE_BAD;
			not_mine += parsed.answer == SL_PARSE_NOT_MINE;
			/* the additional section's address is never among them */
			for (size_t i = 0; i < parsed.told.count; i++)
				assert_string_not_equal(parsed.told.list[i].text, "203.0.113.53");
		}
		msg.bytes[at] = honest;
	}
	assert_true(done > 1000);
	assert_true(bad > 1000);
	/* id, QDCOUNT, question: 255 wrong values for each of their bytes */
	assert_int_equal(not_mine, 255 * (2 + 2 + 17 + 4));
}

int main(void)
{
	_Static_assert(COUNT(chains) == 7, "each row is a test of its own");
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(answer_addresses_are_told),
	        ROW_TEST(chain_gives_its_addresses, chains[0]),
	        ROW_TEST(chain_gives_its_addresses, chains[1]),
	        ROW_TEST(chain_gives_its_addresses, chains[2]),
	        ROW_TEST(chain_gives_its_addresses, chains[3]),
	        ROW_TEST(chain_gives_its_addresses, chains[4]),
	        ROW_TEST(chain_gives_its_addresses, chains[5]),
	        ROW_TEST(chain_gives_its_addresses, chains[6]),
	        cmocka_unit_test(answer_chain_longer_than_bound_opens_nothing),
	        cmocka_unit_test(answer_addresses_of_other_names_are_not_told),
	        cmocka_unit_test(answer_record_of_other_class_is_not_told),
	        cmocka_unit_test(answer_with_error_tells_nothing),
	        cmocka_unit_test(answer_extended_rcode_is_put_together),
	        cmocka_unit_test(answer_truncated_is_said),
	        cmocka_unit_test(answer_service_hints_are_told),
	        cmocka_unit_test(answer_service_in_alias_mode_tells_nothing),
	        cmocka_unit_test(answer_service_of_the_chain_is_told_of_others_not),
	        cmocka_unit_test(answer_broken_service_is_bad),
	        cmocka_unit_test(answer_other_id_is_not_mine),
	        cmocka_unit_test(answer_any_other_byte_in_question_is_not_mine),
	        cmocka_unit_test(answer_in_another_case_is_told_from_another_question),
	        cmocka_unit_test(answer_of_a_header_alone_is_told),
	        cmocka_unit_test(answer_without_or_with_two_questions_is_not_mine),
	        cmocka_unit_test(answer_that_is_a_query_or_other_opcode_is_bad),
	        cmocka_unit_test(answer_bytes_behind_the_end_are_bad),
	        cmocka_unit_test(answer_address_of_wrong_length_is_bad),
	        cmocka_unit_test(answer_broken_in_any_section_tells_nothing),
	        cmocka_unit_test(answer_name_shapes_of_known_types_are_checked),
	        cmocka_unit_test(answer_opt_out_of_place_is_bad),
	        cmocka_unit_test(answer_pointers_that_do_not_go_back_are_bad),
	        cmocka_unit_test(answer_pointers_through_names_are_followed),
	        cmocka_unit_test(answer_name_over_255_bytes_by_pointers_is_bad),
	        cmocka_unit_test(answer_pointer_attack_is_bad),
	        cmocka_unit_test(answer_of_64_kib_is_read_whole),
	        cmocka_unit_test(answer_without_callback_is_checked),
	        cmocka_unit_test(answer_every_prefix_is_bad),
	        cmocka_unit_test(answer_every_byte_mutated_never_tells_unasked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
