/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make_seeds.c: rewrites the seeds under
 * tests/fuzz/corpus/{tls_hello,http_head,quic_initial,pin_file}, with the builders of the unit
 * tests. To be run by hand when their form changes: make_seeds tests/fuzz/corpus
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hello.h"
#include "quic_build.h"
#include "rfc_quic.h"
#include "state/pin_file.h"

static const uint8_t dcid[8] = {0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7};
static const char *directory;

/* A seed: what the fuzz target reads first, then the bytes. */
static void seed(const char *target, const char *name, const char *prefix, size_t prefix_len,
                 const uint8_t *bytes, size_t len)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/%s", directory, target, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(prefix, 1, prefix_len, file) != prefix_len ||
	    fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

static void tls_seeds(void)
{
	static uint8_t msg[HELLO_BYTES_MAX], stream[RECORDS_BYTES_MAX];
	size_t len;

	len = hello_build(&(struct hello_options){.name = "www.example.com", .ech = true}, msg);
	seed("tls_hello", "message", "\2\0", 2, msg, len);
	seed("tls_hello", "stream", "\0\xff", 2, stream, hello_records(msg, len, 0, stream));
	seed("tls_hello", "fragments", "\0\6", 2, stream, hello_records(msg, len, 9, stream));
	len = hello_record(20, (const uint8_t *)"\1", 1, stream);
	len += hello_records(msg, hello_named("a.example", msg), 0, stream + len);
	seed("tls_hello", "second", "\1\xff", 2, stream, len);
	len = hello_build(&(struct hello_options){.name = "a.b", .second_name = "c.d"}, msg);
	seed("tls_hello", "two_names", "\2\0", 2, msg, len);
	len = hello_build(&(struct hello_options){.name = "192.0.2.1", .esni = true}, msg);
	seed("tls_hello", "address", "\2\0", 2, msg, len);
	len = hello_server(true, msg);
	seed("tls_hello", "retry", "\0\xff", 2, stream, hello_records(msg, len, 5, stream));
	seed("tls_hello", "postgres", "\0\xff", 2,
	     (const uint8_t *)"\x00\x00\x00\x08\x04\xd2\x16\x2f", 8);
}

static void http_seeds(void)
{
	static const struct {
		const char *name, *text;
	} requests[] = {
	        {"plain", "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"},
	        {"fields",
	         "GET /a?b HTTP/1.1\r\nUser-Agent: x\r\nhOST:  a.example:8080 \r\nX:\r\n\r\n"},
	        {"body", "POST /a HTTP/1.1\r\nHost: a.b\r\nContent-Length: 4\r\n\r\nbody"},
	        {"chunked",
	         "PUT / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	        {"absolute", "GET http://a.b:81/c HTTP/1.1\r\nHost: a.b:81\r\n\r\n"},
	        {"differs", "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"},
	        {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a.b\r\n\r\n"},
	        {"two_hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	        {"folded", "GET / HTTP/1.1\r\nX: y\r\n Host: b\r\nHost: a\r\n\r\n"},
	        {"bare_lf", "GET / HTTP/1.1\r\nX: y\nHost: b\r\nHost: a\r\n\r\n"},
	        {"blank", "GET / HTTP/1.1\r\nHost : b\r\nHost:\ta\r\n\r\n"},
	        {"address", "GET / HTTP/1.0\r\nHost: [::1]:80\r\n\r\n"},
	        {"connect", "CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n"},
	        {"preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	        {"other", "EHLO a.b\r\n"},
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		seed("http_head", requests[i].name, "\6", 1, (const uint8_t *)requests[i].text,
		     strlen(requests[i].text));
}

static void hex_seed(const char *name, const char *prefix, const char *hex)
{
	uint8_t bytes[1300];
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			exit(1);
		bytes[i] = (uint8_t)byte;
	}
	seed("quic_initial", name, prefix, 1, bytes, len);
}

static void quic_seeds(void)
{
	static uint8_t msg[HELLO_BYTES_MAX], dgram[4000], frames[4000];
	struct quic_options o = {.dcid = dcid, .dcid_len = sizeof(dcid), .dgram_len = 1200};
	size_t len, hello_len = hello_named("www.example.com", msg);

	hex_seed("rfc_v1", "\0", rfc_v1_client_initial);
	hex_seed("rfc_v2", "\0", rfc_v2_client_initial);
	hex_seed("rfc_frames", "\1", rfc_client_frames);
	hex_seed("rfc_server", "\3", rfc_v1_server_initial);
	hex_seed("rfc_retry", "\3", rfc_v2_retry);
	len = quic_crypto_frame(hello_len / 2, msg + hello_len / 2, hello_len / 2, frames);
	frames[len++] = 1;
	len += quic_ack_frame(9, 3, frames + len);
	len += quic_crypto_frame(0, msg, hello_len / 2, frames + len);
	len += quic_close_frame((const uint8_t *)"bye", 3, frames + len);
	seed("quic_initial", "sealed_v1", "\2", 1, frames, len);
	seed("quic_initial", "sealed_v2", "\xf6", 1, frames, len);
	seed("quic_initial", "frames", "\1", 1, frames, len);
	len = quic_initial(&o, frames, len, dgram);
	len += quic_long(QUIC_ZERO_RTT, &o, 40, dgram + len);
	seed("quic_initial", "zero_rtt", "\0", 1, dgram, len);
	len += quic_long(QUIC_HANDSHAKE, &o, 40, dgram + len);
	seed("quic_initial", "later", "\3", 1, dgram, len);
}

static void pin_seeds(void)
{
	static const struct sl_addr resolver = {SL_FAMILY_4, {203, 0, 113, 53}};
	static const struct sl_pin_owner named = {SL_PIN_OWNER_NAME, 3, "npm"};
	struct sl_pin_owner hashed = {SL_PIN_OWNER_POLICY, 64, ""};
	struct sl_pin_record four = {{SL_FAMILY_4, {198, 51, 100, 10}}, "a.b", 3, 3600, 1700000600};
	struct sl_pin_record six = {{SL_FAMILY_6, {0x20, 1, 0xd, 0xb8}}, "c", 1, 60, 1700000030};
	struct sl_pin_bytes file = {0}, pins = {0};

	sl_pin_file_begin(&file, 1700000000, NULL, 0);
	sl_pin_file_end(&file, 0);
	seed("pin_file", "empty", "", 0, file.at, file.len);
	file.len = 0;
	memset(hashed.text, 'a', hashed.len);
	sl_pin_file_put_pin(&pins, &four);
	sl_pin_file_put_pin(&pins, &six);
	sl_pin_file_begin(&file, 1700000000, &resolver, 1);
	sl_pin_file_put_sandbox(&file, 101, &named, &pins, 2);
	sl_pin_file_put_sandbox(&file, 4094, &hashed, &pins, 2);
	sl_pin_file_end(&file, 2);
	seed("pin_file", "two", "", 0, file.at, file.len);
	sl_pin_bytes_free(&pins);
	sl_pin_bytes_free(&file);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s tests/fuzz/corpus\n", argv[0]);
		return 1;
	}
	directory = argv[1];
	tls_seeds();
	http_seeds();
	quic_seeds();
	pin_seeds();
	return 0;
}
