/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_policy.c: the grammar of policies, the result of a valid document, and that an invalid one
 * is refused with every error at its place.
 *
 * More invalid documents are in data/policy/, each with its errors as `#! LINE:COLUMN: words`
 * lines.
 */
#include <dirent.h>
#include <errno.h>
#include <time.h>

#include "diag_expect.h"
#include "document/policy.h"

#define SL_TEST_DATA "tests/unit/data"

static struct sl_diag diag;
static struct sl_policy_doc *doc;

static int set_up(void **state)
{
	sl_diag_init(&diag);
	doc = NULL;
	return 0;
}

static int tear_down(void **state)
{
	sl_policy_doc_free(doc);
	sl_diag_free(&diag);
	doc = NULL;
	return 0;
}

static int read_text(const char *text)
{
	char *copy = exactly(text, strlen(text));
	int rc;

	tear_down(NULL);
	rc = sl_policy_doc_read_buffer("t", copy, strlen(text), &diag, &doc);
	free(copy);
	return rc;
}

static void accept(const char *text)
{
	if (read_text(text) != 0) {
		sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
		fail_msg("refused");
	}
	assert_int_equal(diag.errors, 0);
	assert_non_null(doc);
}

static void refuse_all(const char *text, const char *const *expected, size_t n)
{
	assert_int_equal(read_text(text), -EINVAL);
	assert_null(doc);
	expect_texts(&diag, SL_DIAG_ERROR, "t", expected, n);
}

static void refuse(const char *text, const char *expected)
{
	refuse_all(text, &expected, 1);
}

/* One sandbox, whose policy is the text. */
static const struct sl_policy *policy_of(const char *policy)
{
	char text[4096];

	snprintf(text, sizeof(text), "sandboxes: [{vlan: 1, policy: %s}]\n", policy);
	accept(text);
	assert_int_equal(doc->n_entries, 1);
	return doc->entries[0].policy;
}

/* The error of a policy that begins in column 32 of line 1. */
static void refuse_policy(const char *policy, const char *expected)
{
	char text[4096];

	snprintf(text, sizeof(text), "sandboxes: [{vlan: 1, policy: %s}]\n", policy);
	refuse(text, expected);
}

static void expect_pattern(const struct sl_policy *policy, size_t number, const char *text)
{
	assert_true(number < policy->n_patterns);
	assert_string_equal(policy->patterns[number].text, text);
	assert_int_equal(policy->patterns[number].len, strlen(text));
}

static void expect_prefix(const struct sl_prefix *list, size_t n, size_t number, const char *text)
{
	char formatted[SL_PREFIX_TEXT_MAX];

	assert_true(number < n);
	assert_string_equal(sl_prefix_format(&list[number], formatted), text);
}

/* ---- good documents ---- */

static const char example[] = "sandboxes:\n"
                              "  - vlan: 103\n"
                              "    source: [10.0.3.2/32]\n"
                              "    policy:\n"
                              "      allow: [\"registry.npmjs.org\", \"*.s3.amazonaws.com\"]\n"
                              "      subnets:\n"
                              "        allow: [198.51.100.0/24, \"2001:db8:20::/48\"]\n"
                              "        deny:  [198.51.100.128/25]\n"
                              "  - vlan: 104\n"
                              "    policy: npm-only\n"
                              "  - vlan: 101\n"
                              "    name: build-7f3a\n"
                              "  - vlan: 102\n"
                              "    policy: deny-all\n"
                              "  - vlan: 105\n"
                              "    policy: npm-only\n"
                              "policies:\n"
                              "  npm-only: {allow: [\"registry.npmjs.org\"]}\n";

static void document_becomes_entries_by_vlan(void **state)
{
	const struct sl_policy *custom;

	accept(example);
	assert_int_equal(doc->n_entries, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(doc->entries[i].vlan, 101 + i);
	assert_string_equal(doc->entries[0].name, "build-7f3a");
	assert_null(doc->entries[1].name);
	assert_int_equal(doc->entries[0].policy->kind, SL_POLICY_ALLOW_ALL);
	assert_int_equal(doc->entries[1].policy->kind, SL_POLICY_DENY_ALL);
	custom = doc->entries[2].policy;
	assert_int_equal(custom->kind, SL_POLICY_CUSTOM);
	assert_int_equal(custom->n_patterns, 2);
	expect_pattern(custom, 0, "*.s3.amazonaws.com");
	expect_pattern(custom, 1, "registry.npmjs.org");
	expect_prefix(custom->allow, custom->n_allow, 0, "198.51.100.0/24");
	expect_prefix(custom->allow, custom->n_allow, 1, "2001:db8:20::/48");
	expect_prefix(custom->deny, custom->n_deny, 0, "198.51.100.128/25");
	assert_int_equal(doc->n_patterns, 3);
	assert_int_equal(doc->n_prefixes, 3);
	assert_int_equal(doc->pattern_line, 5);
}

static void document_named_policy_is_shared(void **state)
{
	accept(example);
	assert_ptr_equal(doc->entries[3].policy, doc->entries[4].policy);
	assert_ptr_equal(doc->entries[3].policy, &doc->named[0]);
	assert_string_equal(doc->named[0].name, "npm-only");
	assert_null(doc->entries[2].policy->name);
}

static void document_find_gives_the_entry_of_a_vlan(void **state)
{
	accept(example);
	assert_int_equal(sl_policy_doc_find(doc, 103)->vlan, 103);
	assert_null(sl_policy_doc_find(doc, 100));
	assert_null(sl_policy_doc_find(doc, 106));
}

static void document_without_sandboxes_is_legal_if_it_says_so(void **state)
{
	accept("sandboxes: []\n");
	assert_int_equal(doc->n_entries, 0);
	assert_null(sl_policy_doc_find(doc, 1));
	accept("sandboxes: []\npolicies: {}\n");
	refuse("policies: {}\n", "1:1: sandboxes is missing");
	refuse("{}\n", "1:1: sandboxes is missing");
}

static void document_may_be_json(void **state)
{
	accept("{\"sandboxes\": [{\"vlan\": 1, \"policy\": {\"allow\": {\"a.com\": []}}}]}");
	assert_int_equal(doc->entries[0].policy->n_patterns, 1);
}

static void document_may_have_crlf_and_byte_order_mark(void **state)
{
	accept("\xef\xbb\xbfsandboxes:\r\n  - vlan: 7\r\n    name: a\r\n");
	assert_string_equal(doc->entries[0].name, "a");
}

/* ---- policies ---- */

static void policy_absent_is_allow_all(void **state)
{
	accept("sandboxes: [{vlan: 1}]");
	assert_int_equal(doc->entries[0].policy->kind, SL_POLICY_ALLOW_ALL);
}

static void policy_words_are_modes_quoted_or_not(void **state)
{
	assert_int_equal(policy_of("allow-all")->kind, SL_POLICY_ALLOW_ALL);
	assert_int_equal(policy_of("\"allow-all\"")->kind, SL_POLICY_ALLOW_ALL);
	assert_int_equal(policy_of("'deny-all'")->kind, SL_POLICY_DENY_ALL);
}

static void policy_that_opens_nothing_is_deny_all(void **state)
{
	const char *const texts[] = {
	        "{}",
	        "{allow: []}",
	        "{allow: {}}",
	        "{subnets: {}}",
	        "{allow: [], subnets: {allow: [], deny: []}}",
	        "{subnets: {deny: [10.0.0.0/8]}}",
	        "{allow: [], subnets: {deny: [10.0.0.0/8]}}",
	};

	for (size_t i = 0; i < COUNT(texts); i++) {
		const struct sl_policy *policy = policy_of(texts[i]);

		row(texts[i]);
		assert_int_equal(policy->kind, SL_POLICY_DENY_ALL);
		assert_int_equal(policy->n_patterns + policy->n_allow + policy->n_deny, 0);
	}
}

static void policy_null_is_never_absence(void **state)
{
	refuse("sandboxes:\n  - vlan: 1\n    policy:\n", "3:5: policy: a null");
	refuse("sandboxes:\n  - vlan: 1\n    policy: ~\n", "3:13: policy: a null");
	refuse("sandboxes:\n  - vlan: 1\n    policy: null\n", "3:13: policy: a null");
	refuse_policy("{allow: }", "1:32: allow: a null");
	refuse_policy("{allow: [~]}", "1:40: a null");
	refuse_policy("{subnets: }", "1:32: subnets: a null");
	refuse_policy("{subnets: {allow: ~}}", "1:49: allow: a null");
	refuse_policy("{subnets: {deny: [~]}}", "1:49: subnets.deny: a null");
}

static void policy_of_wrong_type_is_refused(void **state)
{
	refuse_policy("[a.com]", "1:31: policy: a list");
	refuse_policy("{allow: a.com}", "1:39: allow: a list of domain patterns was expected");
	refuse_policy("{allow: [[a.com]]}", "1:40: a list where a domain pattern");
	refuse_policy("{allow: [{a.com: []}]}", "1:40: a mapping where a domain pattern");
	refuse_policy("{subnets: [10.0.0.0/8]}", "1:41: subnets: a mapping was expected");
	refuse_policy("{subnets: {allow: 10.0.0.0/8}}", "1:49: subnets.allow: a list");
	refuse_policy("{subnets: {allow: {10.0.0.0/8: []}}}", "1:49: subnets.allow: a list");
	refuse_policy("{subnets: {allow: [[10.0.0.0/8]]}}", "1:50: subnets.allow: a text");
}

static void policy_unknown_or_repeated_keys_are_refused(void **state)
{
	refuse_policy("{alow: []}", "1:32: unknown key \"alow\" in policy; known keys: allow");
	refuse_policy("{subnets: {alow: []}}", "1:42: unknown key \"alow\" in subnets");
	refuse_policy("{allow: [], allow: []}", "1:43: repeated key \"allow\"");
	refuse_policy("{Allow: []}", "1:32: unknown key \"Allow\"");
}

static void policy_unknown_name_is_refused(void **state)
{
	refuse_policy("nobody", "1:31: no policy \"nobody\"");
	refuse_policy("Deny-All", "1:31: no policy \"Deny-All\"");
	refuse_policy("''", "1:31: no policy \"\"");
}

/* ---- `policies` ---- */

static void named_policy_cannot_take_a_modes_name(void **state)
{
	const char *const expected[] = {"2:12: allow-all has a meaning", "2:27: deny-all has a"};

	refuse_all("sandboxes: []\npolicies: {allow-all: {}, deny-all: {}}\n", expected, 2);
}

static void named_policy_may_be_a_mode(void **state)
{
	accept("sandboxes: [{vlan: 1, policy: x}]\npolicies: {x: allow-all}\n");
	assert_int_equal(doc->entries[0].policy->kind, SL_POLICY_ALLOW_ALL);
	accept("sandboxes: [{vlan: 1, policy: x}]\npolicies: {x: {}}\n");
	assert_int_equal(doc->entries[0].policy->kind, SL_POLICY_DENY_ALL);
}

static void named_policy_mistakes_are_refused(void **state)
{
	refuse("sandboxes: []\npolicies: {x: y, y: {}}\n", "2:15: no policy");
	refuse("sandboxes: []\npolicies:\n  x:\n", "3:3: \"x\" is a null");
	refuse("sandboxes: []\npolicies: {x: []}\n", "2:15: a list");
	refuse("sandboxes: []\npolicies: []\n", "2:11: policies: a mapping was expected");
	refuse("sandboxes: []\npolicies:\n", "2:1: policies: a null");
	refuse("sandboxes: []\npolicies: {x: {}, x: {}}\n", "2:19: repeated key \"x\"");
	refuse("sandboxes: []\npolicies: {'': {}}\n", "2:12: empty");
	/* Even one that no sandbox uses. */
	refuse("sandboxes: []\npolicies: {x: {allow: [a..b]}}\n", "2:24: empty label");
}

static void named_policy_out_of_use_is_not_counted(void **state)
{
	accept("sandboxes: []\npolicies: {x: {allow: [a.com], subnets: {allow: [10.0.0.0/8]}}}\n");
	assert_int_equal(doc->n_named, 1);
	assert_int_equal(doc->n_patterns, 0);
	assert_int_equal(doc->n_prefixes, 0);
	assert_int_equal(doc->pattern_line, 0);
}

/* ---- patterns and subnets ---- */

static void patterns_as_list_and_as_mapping_are_the_same(void **state)
{
	const struct sl_policy *policy = policy_of("{allow: {'*.B.com': [], a.com.: []}}");

	assert_int_equal(policy->n_patterns, 2);
	expect_pattern(policy, 0, "*.b.com");
	expect_pattern(policy, 1, "a.com");
	policy = policy_of("{allow: ['*.B.com', a.com.]}");
	assert_int_equal(policy->n_patterns, 2);
	expect_pattern(policy, 0, "*.b.com");
	expect_pattern(policy, 1, "a.com");
}

static void patterns_with_rules_are_refused(void **state)
{
	refuse_policy("{allow: {a.com: [{transform: []}]}}",
	              "1:47: rules for \"a.com\" need TLS termination");
	refuse_policy("{allow: {a.com: {}}}", "1:47: must be an empty list");
	refuse_policy("{allow: {a.com: x}}", "1:47: must be an empty list");
	refuse("sandboxes:\n  - vlan: 1\n    policy:\n      allow:\n        a.com:\n",
	       "5:9: must be an empty list");
}

static void by_address_is_read_sorted_and_each_once(void **state)
{
	const struct sl_policy *policy =
	        policy_of("{by-address: ['*.Pool.ntp.org:123/udp', 'b.com:22/tcp', 'a.com:22/tcp', "
	                  "'A.com.:22/tcp', 'a.com:65535/tcp']}");
	static const struct {
		const char *text;
		uint8_t proto;
		uint16_t port;
	} rows[] = {{"a.com", 6, 22},
	            {"b.com", 6, 22},
	            {"a.com", 6, 65535},
	            {"*.pool.ntp.org", 17, 123}};

	assert_int_equal(policy->kind, SL_POLICY_CUSTOM);
	assert_int_equal(policy->n_by_address, 4);
	for (size_t i = 0; i < 4; i++) {
		row(rows[i].text);
		assert_string_equal(policy->by_address[i].pattern.text, rows[i].text);
		assert_int_equal(policy->by_address[i].proto, rows[i].proto);
		assert_int_equal(policy->by_address[i].port, rows[i].port);
	}
	assert_int_equal(doc->by_address_line, 1);
	assert_int_equal(doc->pattern_line, 1);
	assert_int_equal(policy_of("{by-address: []}")->kind, SL_POLICY_DENY_ALL);
}

static void by_address_that_is_unclear_is_refused(void **state)
{
	static const struct {
		const char *entry, *expected;
	} rows[] = {
	        {"'github.com'", "needs a port and a protocol, tcp or udp"},
	        {"'github.com:22'", "needs a port and a protocol"},
	        {"'github.com/tcp'", "needs a port and a protocol"},
	        {"'github.com:22/sctp'", "needs a port and a protocol"},
	        {"'github.com:22/TCP'", "needs a port and a protocol"},
	        {"'github.com:0/tcp'", "has no port from 1 to 65535"},
	        {"'github.com:022/tcp'", "has no port from 1 to 65535"},
	        {"'github.com:65536/tcp'", "has no port from 1 to 65535"},
	        {"'github.com:/tcp'", "has no port from 1 to 65535"},
	        {"'github.com:+22/tcp'", "has no port from 1 to 65535"},
	        {"'github.com:53/udp'", "names the port of DNS"},
	        {"'*:22/tcp'", "would open that port of every host"},
	        {"'198.51.100.1:22/tcp'", "\"198.51.100.1:22/tcp\""},
	        {"'[2001:db8::1]:22/tcp'", "\"[2001:db8::1]:22/tcp\""},
	        {"'api*.x.com:22/tcp'", "\"api*.x.com:22/tcp\""},
	        {"':22/tcp'", "\":22/tcp\""},
	        {"", "a null where an entry"},
	        {"[x]", "a list where an entry"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char policy[200], expected[200];

		row(rows[i].entry);
		snprintf(policy, sizeof(policy), "{by-address: [%s%s]}", rows[i].entry,
		         rows[i].entry[0] == '\0' ? "~" : "");
		snprintf(expected, sizeof(expected), "1:45: %s", rows[i].expected);
		refuse_policy(policy, expected);
	}
	refuse_policy("{by-address: 'github.com:22/tcp'}", "1:44: by-address: a list like");
	refuse_policy("{by_address: []}", "1:32: did you mean by-address?");
	refuse("sandboxes:\n  - vlan: 1\n    policy:\n      by-address:\n        - "
	       "*.pool.ntp.org:123/udp\n",
	       "5:11: is a YAML alias");
}

/* Pins have a bit for each port. */
static void by_address_of_too_many_ports_is_refused(void **state)
{
	for (unsigned ports = 64; ports <= 65; ports++) {
		char text[4096] = "{by-address: [";
		size_t at = strlen(text);

		for (unsigned i = 0; i < ports; i++)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
			                       "'a.com:%u/tcp', 'b.com:%u/tcp', ", 1000 + i,
			                       1000 + i);
		snprintf(text + at, sizeof(text) - at, "]}");
		if (ports == 64)
			assert_int_equal(policy_of(text)->n_by_address, 128);
		else
			refuse_policy(text, "1:44: 65 different ports; one policy may have 64");
	}
}

static void patterns_repeated_in_a_list_are_legal(void **state)
{
	const struct sl_policy *policy = policy_of("{allow: [a.com, A.com, a.com., b.com]}");

	assert_int_equal(policy->n_patterns, 2);
	refuse_policy("{allow: {a.com: [], a.com: []}}", "1:51: repeated key \"a.com\"");
}

static void patterns_bad_ones_are_each_told(void **state)
{
	const char *const expected[] = {
	        "1:40: \"api*.x.com\" has a `*` inside a label",
	        "1:52: \"x:443\" has a port; write the name alone, it holds for every port (or "
	        "into "
	        "by-address, as NAME:PORT/PROTOCOL, for a protocol that says no name)",
	        "1:59: \"http://x\" is a URL",
	        "1:69: \"1.2.3.4\" is an IP address",
	        "1:78: \"a..b\" has an empty label",
	        "1:84: \"\" is empty",
	};

	refuse_all("sandboxes: [{vlan: 1, policy: {allow: [api*.x.com, x:443, http://x, 1.2.3.4, "
	           "a..b, '']}}]",
	           expected, COUNT(expected));
}

static void subnets_are_normalised(void **state)
{
	const struct sl_policy *policy = policy_of(
	        "{subnets: {allow: [10.1.0.0/16, 10.0.0.1, 10.0.0.1/32], deny: [10.1.0.0/16]}}");

	assert_int_equal(policy->kind, SL_POLICY_CUSTOM);
	assert_int_equal(policy->n_allow, 2);
	expect_prefix(policy->allow, 2, 0, "10.0.0.1/32");
	expect_prefix(policy->allow, 2, 1, "10.1.0.0/16");
	/* The same range in both is legal: deny beats allow. */
	expect_prefix(policy->deny, policy->n_deny, 0, "10.1.0.0/16");
}

static void subnets_bad_ones_are_told(void **state)
{
	refuse_policy("{subnets: {allow: [10.1.2.3/8]}}", "1:50: write 10.0.0.0/8");
	refuse_policy("{subnets: {deny: [010.0.0.0/8]}}", "1:49: leading zero");
	refuse_policy("{subnets: {deny: [10.0.0.0/33]}}", "1:49: out of range");
	refuse_policy("{subnets: {deny: [example.com]}}", "1:49: no IPv4 or IPv6");
}

/* ---- sandboxes ---- */

static void vlan_is_a_plain_decimal_in_range(void **state)
{
	accept("sandboxes: [{vlan: 1}, {vlan: 4094}]");
	refuse("sandboxes: [{vlan: 0}]", "1:20: vlan: \"0\" is out of range (1 to 4094)");
	refuse("sandboxes: [{vlan: 4095}]", "1:20: out of range");
	refuse("sandboxes: [{vlan: 18446744073709551617}]", "1:20: out of range");
	refuse("sandboxes: [{vlan: 0x10}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: 0101}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: 0o17}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: 1_0}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: +1}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: -1}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: 1.0}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: 1e2}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: '101'}]", "1:20: without quotes");
	refuse("sandboxes: [{vlan: true}]", "1:20: no plain decimal");
	refuse("sandboxes: [{vlan: [1]}]", "1:20: vlan: a text was expected, not a list");
	refuse("sandboxes: [{vlan: }]", "1:14: vlan: a null");
	refuse("sandboxes: [{name: x}]", "1:13: needs a vlan");
}

static void vlans_and_names_are_unique(void **state)
{
	const char *const vlans[] = {
	        "3:11: vlan 7 is another sandbox's already, in line 2",
	        "4:11: vlan 7 is another sandbox's already, in line 2",
	};
	const char *const names[] = {
	        "1:40: the name \"x\" is another sandbox's already, in line 1",
	        "1:62: the name \"x\" is another sandbox's already, in line 1",
	};

	refuse_all("sandboxes:\n  - vlan: 7\n  - vlan: 7\n  - vlan: 7\n", vlans, 2);
	refuse_all("sandboxes: [{vlan: 1, name: x}, {name: \"x\", vlan: 2}, {name: x  , vlan: 3}]",
	           names, 2);
}

static void name_is_any_text_without_controls(void **state)
{
	char text[512], name[256];

	accept("sandboxes: [{vlan: 1, name: 7}, {vlan: 2, name: \"b\xc3\xbc\x63her "
	       "\xe2\x98\x83\"}]");
	assert_string_equal(doc->entries[0].name, "7");
	refuse("sandboxes: [{vlan: 1, name: ''}]", "1:29: name: an empty text");
	refuse("sandboxes: [{vlan: 1, name: }]", "1:23: name: a null");
	refuse("sandboxes: [{vlan: 1, name: [a]}]", "1:29: name: a text was expected");
	refuse("sandboxes: [{vlan: 1, name: \"a\\nb\"}]", "1:29: control character");
	refuse("sandboxes: [{vlan: 1, name: \"a\\x9bb\"}]", "1:29: control character");
	memset(name, 'n', sizeof(name));
	name[128] = '\0';
	snprintf(text, sizeof(text), "sandboxes: [{vlan: 1, name: %s}]", name);
	accept(text);
	snprintf(text, sizeof(text), "sandboxes: [{vlan: 1, name: %sn}]", name);
	refuse(text, "1:29: longer than 128 bytes");
}

static void source_is_a_list_of_prefixes(void **state)
{
	const struct sl_policy_entry *entry;

	accept("sandboxes: [{vlan: 1, source: [10.0.3.2, 'fd00::/64', 10.0.3.2/32]}]");
	entry = &doc->entries[0];
	assert_true(entry->has_source);
	assert_int_equal(entry->n_sources, 2);
	expect_prefix(entry->sources, 2, 0, "10.0.3.2/32");
	expect_prefix(entry->sources, 2, 1, "fd00::/64");
	accept("sandboxes: [{vlan: 1}]");
	assert_false(doc->entries[0].has_source);
	refuse("sandboxes: [{vlan: 1, source: 10.0.3.2}]", "1:31: source: a list was expected");
	refuse("sandboxes: [{vlan: 1, source: [10.0.3.2/8]}]", "1:32: host bits");
	refuse("sandboxes: [{vlan: 1, source: }]", "1:23: source: a null");
}

static void source_empty_leaves_no_address_and_warns(void **state)
{
	const char *const expected[] = {"1:31: without any address"};

	accept("sandboxes: [{vlan: 1, source: []}]");
	assert_true(doc->entries[0].has_source);
	assert_int_equal(doc->entries[0].n_sources, 0);
	expect_texts(&diag, SL_DIAG_WARNING, "t", expected, 1);
}

static void sandbox_of_wrong_type_is_refused(void **state)
{
	refuse("sandboxes: {}\n", "1:12: sandboxes: a list was expected");
	refuse("sandboxes: 7\n", "1:12: sandboxes: a list was expected");
	refuse("sandboxes:\n", "1:1: sandboxes: a null");
	refuse("sandboxes: [7]\n", "1:13: a sandbox: a mapping was expected");
	refuse("sandboxes: [~]\n", "1:13: a sandbox: a null");
	refuse("sandboxes: [{vlan: 1, polcy: deny-all}]\n", "1:23: unknown key \"polcy\"");
	refuse("sandboxes: []\nsandbox: []\n", "2:1: unknown key \"sandbox\"");
	refuse("- vlan: 1\n", "1:1: a mapping was expected, not a list");
	refuse("hello\n", "1:1: a mapping was expected, not a text");
}

/* ---- whole documents ---- */

static void unquoted_pattern_is_told_among_the_rest(void **state)
{
	const char *const expected[] = {
	        "2:11: out of range",
	        "5:9: unquoted \"*.example.com\" is a YAML alias; write \"*.example.com\" in "
	        "quotes",
	        "6:9: has a port",
	        "7:7: unknown key \"x\"",
	};

	refuse_all("sandboxes:\n"
	           "  - vlan: 5000\n"
	           "    policy:\n"
	           "      allow:\n"
	           "      - *.example.com\n"
	           "      - x:443\n"
	           "      x: 1\n",
	           expected, COUNT(expected));
}

static void more_errors_than_are_kept_are_counted(void **state)
{
	struct texts texts = {0};
	char text[8192] = "sandboxes:\n";

	for (int i = 0; i < 150; i++)
		strcat(text, "- {vlan: 0, policy: deny-all}\n");
	assert_int_equal(read_text(text), -EINVAL);
	assert_int_equal(diag.errors, 150);
	sl_diag_each(&diag, SL_DIAG_ERROR, keep_text, &texts);
	assert_int_equal(texts.n, 101);
	assert_string_equal(texts.list[100], "and 50 more errors");
	for (size_t i = 0; i < texts.n; i++)
		free(texts.list[i]);
}

/* The largest document that the gateway is made for: 4,094 sandboxes, 100K prefixes, 200K names. */
static void largest_document_is_read_quickly(void **state)
{
	char *text = malloc(32 << 20), *at = text;
	struct timespec from, to;

	assert_non_null(text);
	at += sprintf(at, "sandboxes:\n");
	for (unsigned vlan = 1; vlan <= 4094; vlan++) {
		at += sprintf(at, "- vlan: %u\n  name: sandbox-%u\n  policy:\n    allow:\n", vlan,
		              vlan);
		for (unsigned i = 0; i < 50; i++)
			at += sprintf(at, "    - \"*.host-%u.example%u.com\"\n", vlan, i);
		at += sprintf(at, "    subnets:\n      allow:\n");
		for (unsigned i = 0; i < 25; i++)
			at += sprintf(at, "      - 198.%u.%u.0/24\n", vlan % 256,
			              i * 10 + vlan / 256);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	accept(text);
	clock_gettime(CLOCK_MONOTONIC, &to);
	free(text);
	assert_int_equal(doc->n_patterns, 4094 * 50);
	assert_int_equal(doc->n_prefixes, 4094 * 25);
#if !defined(__SANITIZE_ADDRESS__)
	assert_true((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9 <
	            1.0);
#endif
}

/* ---- bad documents in files ---- */

/* The `#! ` lines of a file. */
static size_t read_expectations(const char *path, char lines[][256], size_t max)
{
	FILE *file = fopen(path, "r");
	char line[512];
	size_t n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "#! ", 3) != 0)
			continue;
		assert_true(n < max);
		line[strcspn(line, "\n")] = '\0';
		snprintf(lines[n++], 256, "%.255s", line + 3);
	}
	fclose(file);
	return n;
}

static void check_bad_file(const char *path)
{
	char lines[40][256];
	const char *expected[COUNT(lines)];
	size_t n = read_expectations(path, lines, COUNT(lines));

	assert_true(n > 0);
	for (size_t i = 0; i < n; i++)
		expected[i] = lines[i];
	tear_down(NULL);
	assert_int_equal(sl_policy_doc_read_file(path, &diag, &doc), -EINVAL);
	assert_null(doc);
	expect_texts(&diag, SL_DIAG_ERROR, path, expected, n);
}

static void files_of_bad_documents_are_refused(void **state)
{
	DIR *directory = opendir(SL_TEST_DATA "/policy");
	struct dirent *item;
	size_t files = 0;

	if (directory == NULL)
		fail_msg("no " SL_TEST_DATA
		         "/policy; set SLUICE_SOURCE or run this in the source directory");
	while ((item = readdir(directory)) != NULL) {
		char path[512];

		if (strstr(item->d_name, ".yaml") == NULL)
			continue;
		snprintf(path, sizeof(path), SL_TEST_DATA "/policy/%s", item->d_name);
		check_bad_file(path);
		files++;
	}
	closedir(directory);
	assert_true(files >= 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        TEST(document_becomes_entries_by_vlan),
	        TEST(document_named_policy_is_shared),
	        TEST(document_find_gives_the_entry_of_a_vlan),
	        TEST(document_without_sandboxes_is_legal_if_it_says_so),
	        TEST(document_may_be_json),
	        TEST(document_may_have_crlf_and_byte_order_mark),
	        TEST(policy_absent_is_allow_all),
	        TEST(policy_words_are_modes_quoted_or_not),
	        TEST(policy_that_opens_nothing_is_deny_all),
	        TEST(policy_null_is_never_absence),
	        TEST(policy_of_wrong_type_is_refused),
	        TEST(policy_unknown_or_repeated_keys_are_refused),
	        TEST(policy_unknown_name_is_refused),
	        TEST(named_policy_cannot_take_a_modes_name),
	        TEST(named_policy_may_be_a_mode),
	        TEST(named_policy_mistakes_are_refused),
	        TEST(named_policy_out_of_use_is_not_counted),
	        TEST(patterns_as_list_and_as_mapping_are_the_same),
	        TEST(patterns_with_rules_are_refused),
	        TEST(by_address_is_read_sorted_and_each_once),
	        TEST(by_address_that_is_unclear_is_refused),
	        TEST(by_address_of_too_many_ports_is_refused),
	        TEST(patterns_repeated_in_a_list_are_legal),
	        TEST(patterns_bad_ones_are_each_told),
	        TEST(subnets_are_normalised),
	        TEST(subnets_bad_ones_are_told),
	        TEST(vlan_is_a_plain_decimal_in_range),
	        TEST(vlans_and_names_are_unique),
	        TEST(name_is_any_text_without_controls),
	        TEST(source_is_a_list_of_prefixes),
	        TEST(source_empty_leaves_no_address_and_warns),
	        TEST(sandbox_of_wrong_type_is_refused),
	        TEST(unquoted_pattern_is_told_among_the_rest),
	        TEST(more_errors_than_are_kept_are_counted),
	        TEST(largest_document_is_read_quickly),
	        TEST(files_of_bad_documents_are_refused),
	};

	if (enter_source() != 0)
		return 1;
	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
