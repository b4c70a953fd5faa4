/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood.c: sends the 64-byte frames of a capture out of one end of a veth cable, over and over, as
 * fast as the kernel takes them or at a given rate. The load of the benches over veth.
 *
 * A socket is slower than what is measured: the kernel allocates and copies for each frame. So the
 * frames are made in the kernel, by an XDP program that BPF_PROG_TEST_RUN runs on live frames: it
 * takes the next frame from a map and redirects to the interface. The other end of the cable must
 * have GRO on or a program of its own, since veth drops such frames otherwise.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 60 /* 64 on the wire, with the checksum that the port makes */
#define BATCH       64

struct load {
	const char *capture;
	unsigned interface;
	int rate;  /* frames a second, 0: without a limit */
	int count; /* frames at most, 0: without a limit */
	double seconds;
};

/* What the program has in its map. */
struct state {
	uint64_t sent, start_ns;
};

static void die(const char *what)
{
	fprintf(stderr, "bench_flood: %s\n", what);
	exit(1);
}

static void fail(const char *what)
{
	fprintf(stderr, "bench_flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The clock that the program reads, too. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* ---- the frames ---- */

static int make_map(uint32_t value_bytes, uint32_t entries)
{
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
	                       .key_size = sizeof(uint32_t),
	                       .value_size = value_bytes,
	                       .max_entries = entries};
	int fd = bpf(BPF_MAP_CREATE, &attr);

	if (fd < 0)
		fail("no map");
	return fd;
}

static void set(int map, uint32_t key, const void *value)
{
	union bpf_attr attr = {.map_fd = (uint32_t)map,
	                       .key = (uint64_t)(uintptr_t)&key,
	                       .value = (uint64_t)(uintptr_t)value};

	if (bpf(BPF_MAP_UPDATE_ELEM, &attr) != 0)
		fail("a frame finds no room");
}

static void get(int map, uint32_t key, void *value)
{
	union bpf_attr attr = {.map_fd = (uint32_t)map,
	                       .key = (uint64_t)(uintptr_t)&key,
	                       .value = (uint64_t)(uintptr_t)value};

	if (bpf(BPF_MAP_LOOKUP_ELEM, &attr) != 0)
		fail("nothing is known of what was sent");
}

/* What precedes the frames of a capture, and each of them (pcap, in the machine's own byte order).
 */
#define CAPTURE_HEAD 24
struct record {
	uint32_t seconds, micros, captured, length;
};

/* Returns a map of the frames; how many there are in *count. */
static int load_frames(const char *path, uint32_t *count)
{
	FILE *file = fopen(path, "rb");
	struct record record;
	uint8_t value[64] = {0};
	long bytes;
	int map;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (bytes = ftell(file)) < 0 ||
	    fseek(file, CAPTURE_HEAD, SEEK_SET) != 0)
		fail(path);
	*count = (uint32_t)((size_t)(bytes - CAPTURE_HEAD) / (sizeof(record) + FRAME_BYTES));
	if (bytes <= CAPTURE_HEAD || *count == 0)
		die("the capture is empty");
	map = make_map(sizeof(value), *count);
	for (uint32_t i = 0; i < *count; i++) {
		if (fread(&record, sizeof(record), 1, file) != 1 ||
		    record.captured != FRAME_BYTES || fread(value, FRAME_BYTES, 1, file) != 1)
			die("the frames of the capture are not of 64 bytes");
		set(map, i, value);
	}
	fclose(file);
	return map;
}

/* ---- the program ---- */

struct program {
	struct bpf_insn code[128];
	unsigned n;
};

static unsigned emit(struct program *program, uint8_t code, unsigned dst, unsigned src, int off,
                     int32_t imm)
{
	program->code[program->n] = (struct bpf_insn){.code = code,
	                                              .dst_reg = dst & 15,
	                                              .src_reg = src & 15,
	                                              .off = (int16_t)off,
	                                              .imm = imm};
	return program->n++;
}

/* r0 = where map holds the value of the key at r10 - 4, NULL if nowhere. */
static void emit_lookup(struct program *program, int map)
{
	emit(program, BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map);
	emit(program, 0, 0, 0, 0, 0);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	emit(program, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4);
	emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
}

/*
 * if (state.sent >= limit || state.start + state.sent * interval > now) drop;
 * frame = frames[state.sent++ % count]; copy it over the packet; redirect.
 */
static void write_program(struct program *program, const struct load *load, int state, int frames,
                          uint32_t count)
{
	unsigned drops[5], n = 0, at_end;

	emit(program, BPF_LDX | BPF_MEM | BPF_W, 7, 1, offsetof(struct xdp_md, data), 0);
	emit(program, BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct xdp_md, data_end), 0);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 2, 7, 0, 0);
	emit(program, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, FRAME_BYTES);
	drops[n++] = emit(program, BPF_JMP | BPF_JGT | BPF_X, 2, 3, 0, 0);
	emit(program, BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0);
	emit_lookup(program, state);
	drops[n++] = emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0, 0);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 9, 0, 0, 0);
	emit(program, BPF_LDX | BPF_MEM | BPF_DW, 8, 9, offsetof(struct state, sent), 0);
	if (load->count != 0)
		drops[n++] = emit(program, BPF_JMP | BPF_JGE | BPF_K, 8, 0, 0, load->count);
	if (load->rate != 0) {
		emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns);
		emit(program, BPF_LDX | BPF_MEM | BPF_DW, 1, 9, offsetof(struct state, start_ns),
		     0);
		emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 2, 8, 0, 0);
		emit(program, BPF_ALU64 | BPF_MUL | BPF_K, 2, 0, 0, 1000000000 / load->rate);
		emit(program, BPF_ALU64 | BPF_ADD | BPF_X, 1, 2, 0, 0);
		drops[n++] = emit(program, BPF_JMP | BPF_JGT | BPF_X, 1, 0, 0, 0);
	}
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 1, 8, 0, 0);
	emit(program, BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1);
	emit(program, BPF_STX | BPF_MEM | BPF_DW, 9, 1, offsetof(struct state, sent), 0);
	emit(program, BPF_ALU64 | BPF_MOD | BPF_K, 8, 0, 0, (int32_t)count);
	emit(program, BPF_STX | BPF_MEM | BPF_W, 10, 8, -4, 0);
	emit_lookup(program, frames);
	drops[n++] = emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0, 0);
	for (int at = 0; at < FRAME_BYTES; at += 4) {
		emit(program, BPF_LDX | BPF_MEM | BPF_W, 1, 0, at, 0);
		emit(program, BPF_STX | BPF_MEM | BPF_W, 7, 1, at, 0);
	}
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, (int32_t)load->interface);
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0);
	emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	at_end = emit(program, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (unsigned i = 0; i < n; i++)
		program->code[drops[i]].off = (int16_t)(at_end - drops[i] - 1);
}

static int load_program(const struct program *program)
{
	static char log[16384];
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_XDP,
	                       .insns = (uint64_t)(uintptr_t)program->code,
	                       .insn_cnt = program->n,
	                       .license = (uint64_t)(uintptr_t) "",
	                       .log_buf = (uint64_t)(uintptr_t)log,
	                       .log_size = sizeof(log),
	                       .log_level = 1};
	int fd = bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0)
		fail(log[0] != '\0' ? log : "the kernel takes no XDP program");
	return fd;
}

/* ---- the load ---- */

static void on_alarm(int number)
{
	/* its only purpose is to interrupt the system call */
}

/*
 * One system call for all frames: each call waits some ten milliseconds at its end to free its
 * memory.
 */
static void flood(const struct load *load, int program, int state)
{
	static const uint8_t frame[FRAME_BYTES];
	union bpf_attr attr = {.test = {.prog_fd = (uint32_t)program,
	                                .data_in = (uint64_t)(uintptr_t)frame,
	                                .data_size_in = sizeof(frame),
	                                .repeat = UINT32_MAX,
	                                .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
	                                .batch_size = BATCH}};
	time_t whole = (time_t)load->seconds;
	struct itimerval alarm = {
	        .it_value = {.tv_sec = whole,
	                     .tv_usec = (suseconds_t)((load->seconds - (double)whole) * 1e6)}};
	struct sigaction action = {.sa_handler = on_alarm};
	struct state value = {.start_ns = now_ns()};
	uint64_t end_ns;

	set(state, 0, &value);
	if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &alarm, NULL) != 0)
		fail("no alarm");
	if (bpf(BPF_PROG_TEST_RUN, &attr) != 0 && errno != EINTR)
		fail("the kernel sends no live frames");
	end_ns = value.start_ns + (uint64_t)(load->seconds * 1e9);
	get(state, 0, &value);
	printf("{\"sent\":%" PRIu64 ",\"seconds\":%.6f}\n", value.sent,
	       (double)(end_ns - value.start_ns) * 1e-9);
}

static void parse_options(int argc, char **argv, struct load *load)
{
	static const struct option longs[] = {
	        {"rate", required_argument, NULL, 'r'},
	        {"seconds", required_argument, NULL, 's'},
	        {"count", required_argument, NULL, 'c'},
	        {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			load->rate = atoi(optarg);
			break;
		case 's':
			load->seconds = atof(optarg);
			break;
		case 'c':
			load->count = atoi(optarg);
			break;
		default:
			optind = argc + 1;
		}
	}
	if (load->count > 0 && load->rate > 0 && load->seconds == 0)
		load->seconds = (double)load->count / load->rate + 0.1;
	if (optind + 2 != argc || load->seconds <= 0 || load->count < 0 || load->rate < 0)
		die("usage: bench_flood {--seconds S [--rate PPS] | --count N --rate PPS} "
		    "INTERFACE CAPTURE");
	load->interface = if_nametoindex(argv[optind]);
	if (load->interface == 0)
		fail(argv[optind]);
	load->capture = argv[optind + 1];
}

int main(int argc, char **argv)
{
	struct program program = {0};
	struct load load = {0};
	uint32_t count;
	int frames, state;

	parse_options(argc, argv, &load);
	frames = load_frames(load.capture, &count);
	state = make_map(sizeof(struct state), 1);
	write_program(&program, &load, state, frames, count);
	flood(&load, load_program(&program), state);
	return 0;
}
