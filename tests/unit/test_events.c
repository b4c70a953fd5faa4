/* SPDX-License-Identifier: Apache-2.0 */
/* test_events.c: the JSON lines, and what happens when the reader does not read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expect.h"
#include "packet.h"
#include "rows.h"
#include "sluice/event.h"
#include "tell/events.h"

static const struct sl_event nothing_known = {.proto = -1, .reason = SL_REASON_UNKNOWN_SANDBOX};

static struct sl_event tls_event(void)
{
	struct sl_event event = {
	        .time_us = 1767323045678901,
	        .generation = 7,
	        .vlan = 101,
	        .sport = 40000,
	        .dport = 443,
	        .reason = SL_REASON_DOMAIN_ALLOWED,
	        .allow = true,
	        .via = SL_VIA_TLS,
	        .proto = 6,
	        .has_ports = 1,
	        .name_len = 11,
	        .src = packet_addr("10.0.0.2"),
	        .dst = packet_addr("192.0.2.1"),
	        .name = "example.com",
	        .sandbox = "build-7f3a",
	};

	return event;
}

static const char *format(const struct sl_event *event)
{
	static char out[SL_EVENTS_LINE_MAX + 1];
	size_t len = sl_events_format(event, out);

	assert_in_range(len, 2, SL_EVENTS_LINE_MAX);
	assert_int_equal(out[len - 1], '\n');
	out[len - 1] = '\0';
	return out;
}

static void format_tls_flow_has_every_key_in_order(void **state)
{
	struct sl_event event = tls_event();

	assert_string_equal(
	        format(&event),
	        "{\"ts\":\"2026-01-02T03:04:05.678901Z\",\"event\":\"flow\",\"generation\":7,"
	        "\"vlan\":101,\"sandbox\":\"build-7f3a\",\"verdict\":\"allow\","
	        "\"reason\":\"domain-allowed\",\"proto\":\"tcp\",\"src\":\"10.0.0.2\","
	        "\"sport\":40000,\"dst\":\"192.0.2.1\",\"dport\":443,\"name\":\"example.com\","
	        "\"via\":\"tls\"}");
}

static void format_via_says_what_proved_the_name(void **state)
{
	static const struct {
		enum sl_via via;
		const char *text;
	} cases[] = {{SL_VIA_NONE, "\"via\":null}"},
	             {SL_VIA_TLS, "\"via\":\"tls\"}"},
	             {SL_VIA_QUIC, "\"via\":\"quic\"}"},
	             {SL_VIA_HTTP, "\"via\":\"http\"}"},
	             {SL_VIA_DNS, "\"via\":\"dns\"}"}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sl_event event = tls_event();

		row(cases[i].text);
		event.via = (uint8_t)cases[i].via;
		assert_non_null(strstr(format(&event), cases[i].text));
	}
}

static void format_nothing_known_is_null(void **state)
{
	assert_string_equal(
	        format(&nothing_known),
	        "{\"ts\":\"1970-01-01T00:00:00.000000Z\",\"event\":\"flow\",\"generation\":null,"
	        "\"vlan\":null,\"sandbox\":null,\"verdict\":\"deny\","
	        "\"reason\":\"unknown-sandbox\",\"proto\":null,\"src\":null,\"sport\":null,"
	        "\"dst\":null,\"dport\":null,\"name\":null,\"via\":null}");
}

static void format_unset_reason_is_a_denial(void **state)
{
	struct sl_event event = {.reason = SL_REASON_NONE};

	assert_non_null(strstr(format(&event), "\"verdict\":\"deny\",\"reason\":\"none\""));
}

/* Under `pinning: log` an allowed packet has the reason for which it would be denied. */
static void format_verdict_is_the_events_own(void **state)
{
	for (int reason = 1; reason < SL_REASON_COUNT; reason++) {
		for (int allow = 0; allow < 2; allow++) {
			struct sl_event event = {.reason = (uint8_t)reason,
			                         .allow = (uint8_t)allow};
			char want[128];

			snprintf(want, sizeof(want), "\"verdict\":\"%s\",\"reason\":\"%s\"",
			         allow ? "allow" : "deny", sl_reason_name((enum sl_reason)reason));
			assert_non_null(strstr(format(&event), want));
		}
	}
}

static void format_protocols_have_names_or_numbers(void **state)
{
	static const struct {
		int proto;
		const char *text;
	} cases[] = {{6, "\"tcp\""}, {17, "\"udp\""}, {1, "\"icmp\""}, {58, "\"icmp6\""},
	             {47, "47"},     {0, "0"},        {255, "255"},    {-1, "null"}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sl_event event = {.proto = (int16_t)cases[i].proto};
		char want[64];

		row(cases[i].text);
		snprintf(want, sizeof(want), "\"proto\":%s,\"src\"", cases[i].text);
		assert_non_null(strstr(format(&event), want));
	}
}

static void format_port_zero_is_no_null(void **state)
{
	struct sl_event event = tls_event();

	event.sport = 0;
	assert_non_null(strstr(format(&event), "\"sport\":0,"));
}

static void format_ipv6_is_canonical(void **state)
{
	struct sl_event event = tls_event();

	event.src = packet_addr("fd00:0:0:0::2");
	event.dst = packet_addr("2001:db8:0:1::1");
	assert_non_null(strstr(format(&event), "\"src\":\"fd00::2\""));
	assert_non_null(strstr(format(&event), "\"dst\":\"2001:db8:0:1::1\""));
}

static void expect_sandbox(const char *raw, const char *escaped)
{
	struct sl_event event = tls_event();
	char want[512];

	snprintf(event.sandbox, sizeof(event.sandbox), "%s", raw);
	snprintf(want, sizeof(want), "\"sandbox\":\"%s\",\"verdict\"", escaped);
	if (strstr(format(&event), want) == NULL)
		fail_msg("%s is not in %s", want, format(&event));
}

static void format_names_are_escaped(void **state)
{
	expect_sandbox("a\"b\\c", "a\\\"b\\\\c");
	expect_sandbox("tab\there\nand\x01\x7f", "tab\\u0009here\\u000aand\\u0001\\u007f");
	expect_sandbox("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	expect_sandbox("\xf0\x9f\x90\x9f", "\xf0\x9f\x90\x9f");
	expect_sandbox("a\xff z", "a\\ufffd z");
	expect_sandbox("cut\xe2\x82", "cut\\ufffd\\ufffd");
	expect_sandbox("\xc0\x80", "\\ufffd\\ufffd");
	expect_sandbox("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd");
	expect_sandbox("\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd");
}

static void format_longest_names_fit(void **state)
{
	struct sl_event event = tls_event();

	memset(event.name, '\x01', sizeof(event.name));
	event.name_len = 255;
	memset(event.sandbox, '\x02', sizeof(event.sandbox)); /* not even terminated */
	event.src = packet_addr("2001:db8:1111:2222:3333:4444:5555:6666");
	event.dst = event.src;
	event.time_us = 253402300799999999; /* the last moment of the year 9999 */
	event.generation = UINT64_MAX;
	assert_in_range(strlen(format(&event)), 2000, SL_EVENTS_LINE_MAX - 1);
}

static char *scratch_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/sluice-test-events-%d-%s",
	         getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", getpid(), name);
	return path;
}

static size_t count_lines(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[SL_EVENTS_LINE_MAX + 2];
	size_t n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		assert_int_equal(line[0], '{');
		assert_string_equal(line + strlen(line) - 2, "}\n");
		n++;
	}
	fclose(file);
	return n;
}

static void file_takes_whole_lines_and_is_appended_to(void **state)
{
	const char *path = scratch_path("append");
	struct sl_event event = tls_event();

	for (int round = 1; round <= 2; round++) {
		struct sl_events *events = sl_events_open(path, SL_EVENTS_DROP);

		assert_non_null(events);
		for (int i = 0; i < 5000; i++) /* more than the buffer holds */
			sl_events_add(events, &event);
		assert_int_equal(sl_events_lost(events), 0);
		assert_int_equal(sl_events_close(events), 0);
		assert_int_equal(count_lines(path), round * 5000);
	}
	unlink(path);
}

static void file_reopened_after_rotation_is_the_new_one(void **state)
{
	char *path = strdup(scratch_path("rotate"));
	char *old = strdup(scratch_path("rotate.1"));
	struct sl_events *events = sl_events_open(path, SL_EVENTS_DROP);
	struct sl_event event = tls_event();

	sl_events_add(events, &event);
	assert_int_equal(rename(path, old), 0);
	assert_int_equal(sl_events_reopen(events), 0);
	sl_events_add(events, &event);
	sl_events_add(events, &event);
	assert_int_equal(sl_events_close(events), 0);
	assert_int_equal(count_lines(old), 1);
	assert_int_equal(count_lines(path), 2);
	unlink(path);
	unlink(old);
	free(path);
	free(old);
}

/* logrotate renames the file, and tells nobody. */
static void file_that_was_renamed_is_left_for_a_new_one(void **state)
{
	char *path = strdup(scratch_path("renamed"));
	char *old = strdup(scratch_path("renamed.1"));
	struct sl_events *events = sl_events_open(path, SL_EVENTS_DROP);
	struct sl_event event = tls_event();

	sl_events_follow(events);
	sl_events_add(events, &event);
	assert_int_equal(rename(path, old), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	sl_events_follow(events); /* cannot be opened: what is open is kept */
	sl_events_add(events, &event);
	assert_int_equal(sl_events_flush(events), 0);
	assert_int_equal(count_lines(old), 2);
	assert_int_equal(rmdir(path), 0);
	sl_events_follow(events);
	sl_events_add(events, &event);
	assert_int_equal(sl_events_flush(events), 0);
	assert_int_equal(count_lines(path), 1);
	assert_int_equal(unlink(path), 0);
	sl_events_follow(events);
	sl_events_add(events, &event);
	assert_int_equal(sl_events_close(events), 0);
	assert_int_equal(count_lines(path), 1);
	assert_int_equal(count_lines(old), 2);
	unlink(path);
	unlink(old);
	free(path);
	free(old);
}

static void file_that_cannot_be_opened_says_why(void **state)
{
	assert_null(sl_events_open("/nonexistent/events.jsonl", SL_EVENTS_DROP));
	assert_int_equal(errno, ENOENT);
}

static void full_disk_costs_events_but_no_time(void **state)
{
	struct sl_events *events = sl_events_open("/dev/full", SL_EVENTS_DROP);
	struct sl_event event = tls_event();

	assert_non_null(events);
	for (int i = 0; i < 10000; i++)
		sl_events_add(events, &event);
	assert_int_equal(sl_events_flush(events), -ENOSPC);
	assert_in_range(sl_events_lost(events), 1, 9999);
	assert_int_equal(sl_events_close(events), -ENOSPC);
}

static void slow_reader_never_blocks_and_gets_whole_lines(void **state)
{
	char *path = scratch_path("fifo");
	struct sl_event event = tls_event();
	struct sl_events *events;
	char got[1 << 16];
	ssize_t n;
	int reader;

	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	events = sl_events_open(path, SL_EVENTS_DROP);
	assert_non_null(events);
	for (int i = 0; i < 10000; i++)
		sl_events_add(events, &event);
	assert_in_range(sl_events_lost(events), 1, 9999);
	n = read(reader, got, sizeof(got));
	assert_true(n > 0);
	assert_int_equal(got[n - 1], '\n');
	assert_int_equal(sl_events_flush(events), 0);
	close(reader);
	assert_int_equal(sl_events_flush(events), -EPIPE);
	assert_int_equal(sl_events_close(events), -EPIPE);
	unlink(path);
}

static void suppressed_event_has_its_count(void **state)
{
	struct sl_event event = {.kind = SL_EVENT_SUPPRESSED,
	                         .time_us = 1000000,
	                         .generation = 7,
	                         .vlan = 101,
	                         .reason = SL_REASON_RATE_LIMIT,
	                         .count = 399,
	                         .sandbox = "box"};
	char line[SL_EVENTS_LINE_MAX];
	size_t len = sl_events_format(&event, line);

	line[len] = '\0';
	assert_string_equal(line,
	                    "{\"ts\":\"1970-01-01T00:00:01.000000Z\",\"event\":\"suppressed\","
	                    "\"generation\":7,\"vlan\":101,\"sandbox\":\"box\","
	                    "\"reason\":\"rate-limit\",\"count\":399}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(suppressed_event_has_its_count),
	        cmocka_unit_test(format_tls_flow_has_every_key_in_order),
	        cmocka_unit_test(format_via_says_what_proved_the_name),
	        cmocka_unit_test(format_nothing_known_is_null),
	        cmocka_unit_test(format_unset_reason_is_a_denial),
	        cmocka_unit_test(format_verdict_is_the_events_own),
	        cmocka_unit_test(format_protocols_have_names_or_numbers),
	        cmocka_unit_test(format_port_zero_is_no_null),
	        cmocka_unit_test(format_ipv6_is_canonical),
	        cmocka_unit_test(format_names_are_escaped),
	        cmocka_unit_test(format_longest_names_fit),
	        cmocka_unit_test(file_takes_whole_lines_and_is_appended_to),
	        cmocka_unit_test(file_reopened_after_rotation_is_the_new_one),
	        cmocka_unit_test(file_that_was_renamed_is_left_for_a_new_one),
	        cmocka_unit_test(file_that_cannot_be_opened_says_why),
	        cmocka_unit_test(full_disk_costs_events_but_no_time),
	        cmocka_unit_test(slow_reader_never_blocks_and_gets_whole_lines),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
