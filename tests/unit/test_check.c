/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_check.c: `sluice check` on files that are not policy documents: a policy value alone, a
 * misspelt word, formats of other products. (Documents and configs: test_policy.c, test_config.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "document/nearest.h"
#include "expect.h"
#include "rows.h"

static char said[16384];

static void write_text(char path[64], const char *text)
{
	int fd;

	strcpy(path, "/tmp/sluice-check-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* Checks one file with this text; what standard output got is in `said`. */
static int check(const char *text)
{
	char path[64], *argv[] = {(char[]){"check"}, path, NULL};
	FILE *out = tmpfile();
	int saved = dup(STDOUT_FILENO), rc;

	assert_true(out != NULL && saved >= 0);
	write_text(path, text);
	fflush(stdout);
	dup2(fileno(out), STDOUT_FILENO);
	rc = sl_check_main(2, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(out);
	said[fread(said, 1, sizeof(said) - 1, out)] = '\0';
	fclose(out);
	unlink(path);
	return rc;
}

static void expect_said(const char *text)
{
	if (strstr(said, text) == NULL)
		fail_msg("\"%s\" was not said, but: %s", text, said);
}

static size_t lines_said(void)
{
	size_t n = 0;

	for (const char *at = said; *at != '\0'; at++)
		n += *at == '\n';
	return n;
}

#define GOOD(text, summary)                                                                        \
	do {                                                                                       \
		assert_int_equal(check(text), 0);                                                  \
		expect_said(": OK, " summary "\n");                                                \
	} while (0)

#define BAD(text, message)                                                                         \
	do {                                                                                       \
		assert_int_equal(check(text), 1);                                                  \
		expect_said(message);                                                              \
	} while (0)

static void policy_value_alone_is_good(void **state)
{
	(void)state;
	GOOD("{\"allow\": [\"a.example\", \"*.b.example\"], \"subnets\": {\"deny\": "
	     "[\"198.51.100.0/24\"]}}",
	     "a policy value: custom, 2 patterns, 1 subnet");
	GOOD("allow: {a.example: []}\n", "a policy value: custom, 1 pattern, 0 subnets");
	GOOD("subnets: {allow: [198.51.100.7]}\n", "a policy value: custom, 0 patterns, 1 subnet");
	GOOD("subnets: {deny: [198.51.100.7]}\n",
	     "a policy value: deny-all, 0 patterns, 0 subnets");
	GOOD("by-address: [github.com:22/tcp, \"*.pool.ntp.org:123/udp\"]\n",
	     "a policy value: custom, 2 patterns, 0 subnets");
	GOOD("deny-all\n", "a policy value: deny-all, 0 patterns, 0 subnets");
	GOOD("\"allow-all\"\n", "a policy value: allow-all, 0 patterns, 0 subnets");
}

static void policy_value_alone_has_its_errors_at_their_place(void **state)
{
	(void)state;
	BAD("allow: [a.example]\nsubnets:\n  allow: [10.1.2.3/8]\n", ":3:11: subnets.allow: ");
	BAD("{\"allow\": {\"a.example\": [{\"transform\": []}]}}", "need TLS termination");
	BAD("allow:\n", ":1:");
	BAD("alow: [a.example]\n", ":1:1: unknown key \"alow\" in policy; known keys: allow, ");
	expect_said("; did you mean allow?");
	BAD("by-adress: []\n", ":1:1: unknown key \"by-adress\" in policy; known keys: allow, "
	                       "subnets, by-address; did you mean by-address?");
	BAD("by-address: [\"github.com\"]\n",
	    ":1:14: by-address: \"github.com\" needs a port and a protocol");
	BAD("deny_all\n", ":1:1: policy: there is no policy \"deny_all\" in policies; did you mean "
	                  "deny-all?");
}

static void document_is_no_policy_value(void **state)
{
	(void)state;
	BAD("{}\n", "the key sandboxes is missing");
	BAD("sandbox: []\n", "unknown key \"sandbox\" in a policy document; known keys: sandboxes, "
	                     "policies; did you mean sandboxes?");
	BAD("sandboxes: []\nallow: [a.example]\n", "unknown key \"allow\" in a policy document");
	BAD("some text\n", "a policy document: ");
	GOOD("sandboxes: []\n",
	     "policy: 0 sandboxes (0 allow-all, 0 custom, 0 deny-all), 0 patterns, 0 subnets");
}

static void misspelt_word_gets_the_one_that_was_meant(void **state)
{
	(void)state;
	BAD("sandboxes: [{vlan: 1, polcy: deny-all}]\n", "; did you mean policy?");
	BAD("sandboxes: [{vlna: 1}]\n", "; did you mean vlan?");
	BAD("sandboxes: [{vlan: 1, policy: {allow: [], subnet: {}}}]\n", "did you mean subnets?");
	BAD("sandboxes: [{vlan: 1, policy: npm-onyl}]\npolicies: {npm-only: deny-all, x: "
	    "deny-all}\n",
	    "there is no policy \"npm-onyl\" in policies; did you mean npm-only?");
	BAD("sandboxes: [{vlan: 1, policy: allowall}]\n", "did you mean allow-all?");
	BAD("ports: {sandbox: {dev: a}, uplink: {dev: b}}\npolicy: p.yaml\n"
	    "dns: {resolvers: any, pining: off}\n",
	    "did you mean pinning?");
	BAD("ports: {sandbox: {dev: a}, uplink: {dev: b}}\npolicy: p.yaml\n"
	    "dns: {resolvers: any, pinning: enforced}\n",
	    "did you mean enforce?");
}

static void another_word_gets_no_guess(void **state)
{
	(void)state;
	BAD("sandboxes: [{vlan: 1, firewall: on}]\n",
	    "unknown key \"firewall\" in a sandbox; known keys: vlan");
	BAD("sandboxes: [{vlan: 1, policy: web}]\npolicies: {npm-only: deny-all}\n",
	    "there is no policy \"web\" in policies\n");
}

static void distance_counts_slips(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned far;
	} cases[] = {
	        {"allow", "allow", 0},
	        {"allow", "alow", 1},
	        {"allow", "allwo", 1},
	        {"allow", "callows", 2},
	        {"allow", "alolw", 1},
	        {"subnets", "subnet", 1},
	        {"policies", "polices", 1},
	        {"vlan", "name", SL_NEAREST_FAR},
	        {"dns", "udp", SL_NEAREST_FAR},
	        {"ab", "cd", SL_NEAREST_FAR}, /* no letter remains */
	        {"", "a", SL_NEAREST_FAR},
	        {"allow", "disallowed", SL_NEAREST_FAR},
	};
	char lengthy[300];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		ROWF("%s and %s", cases[i].a, cases[i].b);
		assert_int_equal(sl_nearest_distance(cases[i].a, cases[i].b), cases[i].far);
		assert_int_equal(sl_nearest_distance(cases[i].b, cases[i].a), cases[i].far);
	}
	memset(lengthy, 'a', sizeof(lengthy));
	lengthy[sizeof(lengthy) - 1] = '\0';
	assert_int_equal(sl_nearest_distance(lengthy, lengthy), SL_NEAREST_FAR);
}

static void e2b_body_is_told_in_words_of_here(void **state)
{
	(void)state;
	BAD("{\"allowOut\": [\"api.example\", \"*.b.example\", \"8.8.8.0/24\"],\n"
	    " \"denyOut\": [\"0.0.0.0/0\"]}",
	    ":1:2: allowOut is E2B's; here it is policy: {allow: [\"api.example\", "
	    "\"*.b.example\"], subnets: {allow: [\"8.8.8.0/24\"]}}\n");
	assert_int_equal(lines_said(), 1);
	BAD("network: {allow_out: [1.1.1.1], deny_out: [203.0.113.0/24, 0.0.0.0/0]}\n",
	    "allow_out is E2B's; here it is policy: {subnets: {allow: [\"1.1.1.1\"], deny: "
	    "[\"203.0.113.0/24\"]}} (where both match, deny wins here");
	BAD("{\"allowInternetAccess\": false}", "here it is policy: deny-all\n");
	BAD("{\"allow_internet_access\": true}", "here it is policy: allow-all\n");
	BAD("{\"denyOut\": [\"203.0.113.0/24\"]}",
	    "here it is policy: {allow: [\"*\"], subnets: {deny: [\"203.0.113.0/24\"]}}, which");
	BAD("{\"allowOut\": [\"a.example\"]}",
	    "here it is policy: {allow: [\"a.example\"]} (which denies everything else");
	BAD("sandboxes:\n- vlan: 1\n  policy: {allowOut: [a.example], denyOut: [0.0.0.0/0]}\n",
	    ":3:12: allowOut is E2B's");
}

static void earlier_shapes_of_vercel_are_told_in_words_of_here(void **state)
{
	(void)state;
	BAD("{\"mode\": \"custom\", \"allowedDomains\": [\"a.example\"], \"allowedCIDRs\": "
	    "[\"198.51.100.0/24\"], \"deniedCIDRs\": [\"198.51.100.128/25\"]}",
	    ":1:2: mode is of an earlier shape of Vercel's; here it is policy: {allow: "
	    "[\"a.example\"], subnets: {allow: [\"198.51.100.0/24\"], deny: "
	    "[\"198.51.100.128/25\"]}}\n");
	assert_int_equal(lines_said(), 1);
	BAD("{\"mode\": \"deny-all\"}", "here it is policy: deny-all\n");
	BAD("{\"mode\": \"allow-all\"}", "here it is policy: allow-all\n");
	BAD("{\"mode\": \"custom\"}", "here it is policy: deny-all\n");
	BAD("{\"allowedDomains\": [\"a.example\"]}",
	    "allowedDomains is of an earlier shape of Vercel's; here it is policy: {allow: "
	    "[\"a.example\"]}\n");
}

static void fqdns_of_cilium_are_told_in_words_of_here(void **state)
{
	(void)state;
	BAD("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nspec:\n  egress:\n"
	    "  - toFQDNs:\n    - matchName: a.example\n    - matchPattern: \"*.b.example\"\n"
	    "  - toFQDNs: [{matchName: c.example}]\n",
	    ":5:5: toFQDNs is Cilium's; here it is policy: {allow: [\"a.example\", "
	    "\"*.b.example\"]} (a * stands for whole labels here");
	expect_said(":8:5: toFQDNs is Cilium's; here it is policy: {allow: [\"c.example\"]}\n");
	assert_int_equal(lines_said(), 2);
	BAD("toFQDNs:\n", "toFQDNs is Cilium's");
}

static void long_list_of_others_is_cut(void **state)
{
	char text[8192] = "allowOut: [";

	(void)state;
	for (int i = 0; i < 200; i++)
		sprintf(text + strlen(text), "host-%d.example, ", i);
	strcat(text, "end.example]\n");
	BAD(text, "\"host-23.example\", and so on]}");
	assert_null(strstr(said, "host-24"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(policy_value_alone_is_good),
	        cmocka_unit_test(policy_value_alone_has_its_errors_at_their_place),
	        cmocka_unit_test(document_is_no_policy_value),
	        cmocka_unit_test(misspelt_word_gets_the_one_that_was_meant),
	        cmocka_unit_test(another_word_gets_no_guess),
	        cmocka_unit_test(distance_counts_slips),
	        cmocka_unit_test(e2b_body_is_told_in_words_of_here),
	        cmocka_unit_test(earlier_shapes_of_vercel_are_told_in_words_of_here),
	        cmocka_unit_test(fqdns_of_cilium_are_told_in_words_of_here),
	        cmocka_unit_test(long_list_of_others_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
