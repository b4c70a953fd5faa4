/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c: `sluice replay`: what a policy would have done to recorded traffic.
 *
 * Decides what a captured packet looks like on the gateway's ports: at which port, on which VLAN,
 * with which MACs. It judges nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "replay.h"
#include "document/config.h"
#include "document/diag.h"
#include "direction.h"
#include "tell/events.h"
#include "frame_file.h"
#include "tell/log.h"
#include "document/prefix.h"
#include "replay_gateway.h"
#include "tell/totals.h"

#define MACS_LEN  12
#define TAG_LEN   4
#define FRAME_MAX (262144 + 64) /* libpcap's limit, and room for headers before it */
#define TYPE_VLAN 0x8100
#define TYPE_QINQ 0x88a8

static const char usage[] =
        "usage: sluice replay --policy FILE [OPTIONS] CAPTURE...\n"
        "\n"
        "Runs pcap or pcapng files through the gateway and prints what became of the packets.\n"
        "\n"
        "  --policy FILE            the policy to try\n"
        "  --config FILE            the gateway's config; without it: pinning off, any resolver,\n"
        "                           no internal or protected ranges, no source rule\n"
        "  --vlan N                 put every frame on VLAN N, replacing its tags\n"
        "  --inside auto|CIDR,...   who is in the sandbox: these addresses, or (auto, the\n"
        "                           default) whoever sent the first packet between two\n"
        "  --events FILE            write decisions as JSON lines (- is standard output)\n"
        "  --uplink-out FILE        write what would have left by the uplink, as pcap\n"
        "  --sandbox-out FILE       write what would have gone to the sandbox, as pcap\n"
        "  --checksums verify|ignore\n"
        "                           verify (the default) drops what has a bad checksum\n"
        "  --json                   print the counters as one JSON object\n";

struct options {
	const char *policy, *config, *events;
	const char *left[SL_PORT_COUNT];
	uint16_t vlan; /* 0: as captured */
	struct sl_prefix *inside;
	size_t n_inside;
	bool checksums_ignore, json;
	char **captures;
	int n_captures;
};

struct replay {
	const struct options *options;
	struct sl_replay_gateway *gateway;
	struct sl_direction *direction;
	struct sl_capture **captures; /* n_captures, opened before anything runs */
	uint64_t packets, cut, untagged;
	uint8_t frame[FRAME_MAX];
};

/* ---- the command line ---- */

static int wrong(const char *option, const char *value, const char *why)
{
	fprintf(stderr, "sluice replay: %s %s: %s\n", option, value, why);
	return 2;
}

/* Plain decimal only: a VLAN that is misread would be judged by another sandbox's policy. */
static int take_vlan(struct options *options, const char *value)
{
	size_t len = strspn(value, "0123456789");
	long vlan = strtol(value, NULL, 10);

	if (len == 0 || len > 4 || value[len] != '\0' || value[0] == '0' || vlan > SL_VLAN_MAX)
		return wrong("--vlan", value, "is not a VLAN (1 to 4094)");
	options->vlan = (uint16_t)vlan;
	return 0;
}

static int take_inside(struct options *options, const char *value)
{
	options->n_inside = 0;
	if (strcmp(value, "auto") == 0)
		return 0;
	for (;;) {
		size_t len = strcspn(value, ",");
		struct sl_prefix *more =
		        reallocarray(options->inside, options->n_inside + 1, sizeof(*more));
		char why[256];

		if (more == NULL)
			return wrong("--inside", value, "no memory");
		options->inside = more;
		if (sl_prefix_parse(value, len, &more[options->n_inside], why, sizeof(why)) != 0)
			return wrong("--inside", value, why);
		options->n_inside++;
		if (value[len] == '\0')
			return 0;
		value += len + 1;
	}
}

static int take_checksums(struct options *options, const char *value)
{
	options->checksums_ignore = strcmp(value, "ignore") == 0;
	if (!options->checksums_ignore && strcmp(value, "verify") != 0)
		return wrong("--checksums", value, "is neither verify nor ignore");
	return 0;
}

/* Takes one option. Returns 0 or the exit code. */
static int take_option(struct options *options, int option)
{
	switch (option) {
	case 'p':
		options->policy = optarg;
		return 0;
	case 'c':
		options->config = optarg;
		return 0;
	case 'v':
		return take_vlan(options, optarg);
	case 'i':
		return take_inside(options, optarg);
	case 'e':
		options->events = optarg;
		return 0;
	case 'u':
		options->left[SL_PORT_UPLINK] = optarg;
		return 0;
	case 's':
		options->left[SL_PORT_SANDBOX] = optarg;
		return 0;
	case 'k':
		return take_checksums(options, optarg);
	case 'j':
		options->json = true;
		return 0;
	default:
		fputs("sluice replay --help says more\n", stderr);
		return 2;
	}
}

/* Returns 0, or the exit code to end with; -1: help was asked for. */
static int take_options(struct options *options, int argc, char **argv)
{
	static const struct option longs[] = {
	        {"policy", required_argument, NULL, 'p'},
	        {"config", required_argument, NULL, 'c'},
	        {"vlan", required_argument, NULL, 'v'},
	        {"inside", required_argument, NULL, 'i'},
	        {"events", required_argument, NULL, 'e'},
	        {"uplink-out", required_argument, NULL, 'u'},
	        {"sandbox-out", required_argument, NULL, 's'},
	        {"checksums", required_argument, NULL, 'k'},
	        {"json", no_argument, NULL, 'j'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	int option, ret = 0;

	while (ret == 0 && (option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h')
			return -1;
		ret = take_option(options, option);
	}
	if (ret != 0)
		return ret;
	options->captures = argv + optind;
	options->n_captures = argc - optind;
	if (options->policy == NULL || options->n_captures == 0) {
		fprintf(stderr, "sluice replay: %s is missing\n%s",
		        options->policy == NULL ? "--policy" : "a capture", usage);
		return 2;
	}
	return 0;
}

/* ---- a packet on its way to the gateway ---- */

/* Locally administered, and different for each side. */
static const uint8_t stand_in[SL_PORT_COUNT][6] = {
        [SL_PORT_SANDBOX] = {0x02, 0x73, 0x6c, 0x00, 0x00, 0x01},
        [SL_PORT_UPLINK] = {0x02, 0x73, 0x6c, 0x00, 0x00, 0x02},
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Bytes of tags at the beginning of a body. */
static size_t tags_len(const uint8_t *body, size_t len)
{
	size_t tags = 0;

	while (len >= tags + TAG_LEN + 2 &&
	       (get16(body + tags) == TYPE_VLAN || get16(body + tags) == TYPE_QINQ))
		tags += TAG_LEN;
	return tags;
}

static enum sl_port_id port_of(struct replay *replay, const struct sl_capture_packet *packet,
                               size_t tags)
{
	const uint8_t *body = packet->body;
	size_t len = packet->body_len;
	uint16_t vlan = replay->options->vlan;
	uint8_t macs[MACS_LEN] = {0};

	if (packet->is_frame || len < tags + 2)
		return sl_direction_of(replay->direction, vlan, NULL, 0, body, 0);
	if (vlan == 0 && tags > 0)
		vlan = get16(body + 2) & 0xfff;
	if (packet->dmac != NULL)
		memcpy(macs, packet->dmac, 6);
	if (packet->smac != NULL)
		memcpy(macs + 6, packet->smac, 6);
	return sl_direction_of(replay->direction, vlan, macs, get16(body + tags), body + tags + 2,
	                       len - tags - 2);
}

/* Writes the frame as it arrives at the port. Returns its length. */
static size_t build(struct replay *replay, const struct sl_capture_packet *packet,
                    enum sl_port_id port, size_t tags)
{
	const uint8_t *body = packet->body;
	size_t len = packet->body_len;
	uint16_t vlan = replay->options->vlan;
	uint8_t *at = replay->frame;

	if (!packet->is_frame) {
		memcpy(at, packet->dmac ? packet->dmac : stand_in[1 - port], 6);
		memcpy(at + 6, packet->smac ? packet->smac : stand_in[port], 6);
		at += MACS_LEN;
	}
	if (vlan != 0 && !packet->is_frame) {
		body += tags;
		len -= tags;
		/* the port's native VLAN is untagged */
		if (sl_replay_gateway_native_vlan(replay->gateway, port) != vlan) {
			at[0] = TYPE_VLAN >> 8;
			at[1] = TYPE_VLAN & 0xff;
			at[2] = (uint8_t)(vlan >> 8);
			at[3] = (uint8_t)vlan;
			at += TAG_LEN;
		}
	}
	memcpy(at, body, len);
	return (size_t)(at - replay->frame) + len;
}

static int replay_packet(struct replay *replay, const struct sl_capture_packet *packet)
{
	size_t tags = packet->is_frame ? 0 : tags_len(packet->body, packet->body_len), len;
	enum sl_port_id port = port_of(replay, packet, tags);

	replay->packets++;
	replay->cut += packet->cut;
	replay->untagged += tags == 0;
	len = build(replay, packet, port, tags);
	return sl_replay_gateway_feed(replay->gateway, port, packet->time_us, replay->frame, len);
}

/* ---- the whole run ---- */

static int replay_captures(struct replay *replay)
{
	char err[512];
	int ret = 0;

	for (int i = 0; i < replay->options->n_captures; i++) {
		struct sl_capture_packet packet;
		int more;

		while ((more = sl_capture_next(replay->captures[i], &packet, err, sizeof(err))) >
		       0) {
			if (packet.body_len > FRAME_MAX - 64)
				packet.body_len = FRAME_MAX - 64;
			if (replay_packet(replay, &packet) != 0) {
				sl_log(SL_LOG_ERROR, "no memory");
				return 1;
			}
		}
		if (more < 0) {
			sl_log(SL_LOG_ERROR, "%s", err);
			ret = 1;
		}
	}
	return ret;
}

static void hint(const struct replay *replay)
{
	const struct options *options = replay->options;

	if (replay->cut > 0)
		sl_log(SL_LOG_WARNING,
		       "%llu of %llu packets were not captured whole; what is not there cannot be "
		       "judged (capture with `tcpdump -s 0`)",
		       (unsigned long long)replay->cut, (unsigned long long)replay->packets);
	if (options->vlan == 0 && replay->packets > 0 && replay->untagged == replay->packets &&
	    sl_replay_gateway_native_vlan(replay->gateway, SL_PORT_SANDBOX) == 0)
		sl_log(SL_LOG_WARNING,
		       "no packet has a VLAN tag, so none belongs to a sandbox; --vlan N puts "
		       "them on one");
}

static int report(const struct replay *replay)
{
	struct sl_totals totals = {0};

	sl_replay_gateway_totals(replay->gateway, &totals);
	if (replay->options->json)
		sl_totals_print_json(&totals, stdout);
	else
		sl_totals_print(&totals, false, stdout);
	if (fflush(stdout) != 0) {
		sl_log(SL_LOG_ERROR, "standard output: %s", strerror(errno));
		return 1;
	}
	if (!sl_totals_balance(&totals)) {
		sl_log(SL_LOG_ERROR, "packets in and out do not balance; this is a bug");
		return 1;
	}
	return 0;
}

static void print_diag(struct sl_diag *diag)
{
	sl_diag_print(diag, SL_DIAG_WARNING, stderr);
	sl_diag_print(diag, SL_DIAG_ERROR, stderr);
	sl_diag_free(diag);
	sl_diag_init(diag);
}

static int read_config(const struct options *options, struct sl_config *config)
{
	struct sl_diag diag;
	int ret;

	sl_diag_init(&diag);
	if (options->config != NULL)
		ret = sl_config_read_file(options->config, SL_CONFIG_FOR_REPLAY, &diag, config);
	else
		ret = sl_config_init_replay(config);
	print_diag(&diag);
	sl_diag_free(&diag);
	return ret;
}

static int open_captures(struct replay *replay)
{
	int n = replay->options->n_captures, ret = 0;
	char err[512];

	replay->captures = calloc((size_t)n, sizeof(struct sl_capture *));
	replay->direction = sl_direction_create(replay->options->inside, replay->options->n_inside);
	if (replay->captures == NULL || replay->direction == NULL) {
		sl_log(SL_LOG_ERROR, "no memory");
		return 1;
	}
	for (int i = 0; i < n; i++) {
		replay->captures[i] =
		        sl_capture_open(replay->options->captures[i], err, sizeof(err));
		if (replay->captures[i] == NULL) {
			sl_log(SL_LOG_ERROR, "%s", err);
			ret = 1;
		}
	}
	return ret;
}

static int open_outputs(const struct options *options, struct sl_replay_params *params)
{
	char err[512];

	if (options->events != NULL) {
		params->events = sl_events_open(options->events, SL_EVENTS_WAIT);
		if (params->events == NULL) {
			sl_log(SL_LOG_ERROR, "%s: %s", options->events, strerror(errno));
			return 1;
		}
	}
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		if (options->left[port] == NULL)
			continue;
		params->left[port] = sl_frame_file_open(options->left[port], err, sizeof(err));
		if (params->left[port] == NULL) {
			sl_log(SL_LOG_ERROR, "%s", err);
			return 1;
		}
	}
	return 0;
}

static int close_outputs(struct sl_replay_params *params)
{
	char err[512];
	int ret = sl_events_close(params->events) != 0;

	for (int port = 0; port < SL_PORT_COUNT; port++) {
		if (sl_frame_file_close(params->left[port], err, sizeof(err)) != 0) {
			sl_log(SL_LOG_ERROR, "%s", err);
			ret = 1;
		}
	}
	return ret;
}

/* With everything open: runs it, and prints. */
static int run(struct replay *replay, struct sl_replay_params *params)
{
	struct sl_diag diag;
	char err[512] = "";
	int ret;

	sl_diag_init(&diag);
	replay->gateway = sl_replay_gateway_create(params, &diag, err, sizeof(err));
	print_diag(&diag);
	sl_diag_free(&diag);
	if (replay->gateway == NULL) {
		if (err[0] != '\0')
			sl_log(SL_LOG_ERROR, "%s", err);
		return 1;
	}
	ret = replay_captures(replay);
	if (!sl_replay_gateway_finish(replay->gateway))
		sl_log(SL_LOG_WARNING, "packets are still held at the end");
	if (params->events != NULL && sl_events_flush(params->events) != 0)
		ret = 1;
	hint(replay);
	if (report(replay) != 0)
		ret = 1;
	sl_replay_gateway_free(replay->gateway);
	return ret;
}

static int replay(const struct options *options)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	struct sl_replay_params params = {.policy = options->policy,
	                                  .checksums_ignore = options->checksums_ignore};
	struct sl_config config = {0};
	int ret;

	if (replay == NULL) {
		sl_log(SL_LOG_ERROR, "no memory");
		return 1;
	}
	replay->options = options;
	params.config = &config;
	ret = read_config(options, &config) != 0 ? 1 : 0;
	if (open_captures(replay) != 0)
		ret = 1;
	if (ret == 0)
		ret = open_outputs(options, &params);
	if (ret == 0)
		ret = run(replay, &params);
	if (close_outputs(&params) != 0)
		ret = 1;
	for (int i = 0; replay->captures != NULL && i < options->n_captures; i++)
		sl_capture_close(replay->captures[i]);
	free(replay->captures);
	sl_direction_free(replay->direction);
	sl_config_fini(&config);
	free(replay);
	return ret;
}

int sl_replay_main(int argc, char **argv)
{
	struct options options = {0};
	int ret = take_options(&options, argc, argv);

	sl_log_style(false, "sluice replay: ");
	if (ret < 0) {
		fputs(usage, stdout);
		ret = 0;
	} else if (ret == 0) {
		ret = replay(&options);
	}
	free(options.inside);
	return ret;
}
