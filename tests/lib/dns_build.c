/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_build.c: see dns_build.h.
 */
#include "dns_build.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
	fprintf(stderr, "dns_build: %s\n", what);
	abort();
}

static void set16(struct dns_message *msg, size_t at, uint16_t value)
{
	msg->bytes[at] = (uint8_t)(value >> 8);
	msg->bytes[at + 1] = (uint8_t)value;
}

static void count_up(struct dns_message *msg, size_t at)
{
	set16(msg, at, (uint16_t)((msg->bytes[at] << 8 | msg->bytes[at + 1]) + 1));
}

void dns_put(struct dns_message *msg, const void *bytes, size_t len)
{
	if (len > DNS_MESSAGE_MAX - msg->len)
		die("message too long");
	if (len > 0)
		memcpy(msg->bytes + msg->len, bytes, len);
	msg->len += len;
}

void dns_put16(struct dns_message *msg, uint16_t value)
{
	uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	dns_put(msg, bytes, 2);
}

/* Copies one label out of the text, without its escapes. Returns where the text goes on. */
static const char *label_take(const char *text, uint8_t *label, size_t *len)
{
	*len = 0;
	while (*text != '\0' && *text != '.') {
		if (*text == '\\' && text[1] != '\0')
			text++;
		if (*len == 63)
			die("label too long");
		label[(*len)++] = (uint8_t)*text++;
	}
	return *text == '.' ? text + 1 : text;
}

void dns_put_name(struct dns_message *msg, const char *name)
{
	uint8_t label[63], byte;
	size_t len;

	while (*name != '\0') {
		if (*name == '@') {
			dns_put16(msg, (uint16_t)(0xc000 | atoi(name + 1)));
			return;
		}
		name = label_take(name, label, &len);
		byte = (uint8_t)len;
		dns_put(msg, &byte, 1);
		dns_put(msg, label, len);
	}
	dns_put(msg, "", 1);
}

void dns_begin(struct dns_message *msg, uint16_t id, uint16_t flags)
{
	msg->len = 0;
	dns_put16(msg, id);
	dns_put16(msg, flags);
	for (int i = 0; i < 4; i++)
		dns_put16(msg, 0);
}

void dns_question_class(struct dns_message *msg, const char *name, uint16_t type, uint16_t class)
{
	dns_put_name(msg, name);
	dns_put16(msg, type);
	dns_put16(msg, class);
	count_up(msg, 4);
}

void dns_question(struct dns_message *msg, const char *name, uint16_t type)
{
	dns_question_class(msg, name, type, DNS_IN);
}

void dns_record_begin(struct dns_message *msg, enum dns_section section, const char *owner,
                      uint16_t type, uint16_t class, uint32_t ttl)
{
	dns_put_name(msg, owner);
	dns_put16(msg, type);
	dns_put16(msg, class);
	dns_put16(msg, (uint16_t)(ttl >> 16));
	dns_put16(msg, (uint16_t)ttl);
	msg->rdlength = msg->len;
	dns_put16(msg, 0);
	count_up(msg, 6 + 2 * (size_t)section);
}

void dns_record_end(struct dns_message *msg)
{
	set16(msg, msg->rdlength, (uint16_t)(msg->len - msg->rdlength - 2));
}

void dns_record(struct dns_message *msg, enum dns_section section, const char *owner, uint16_t type,
                uint32_t ttl, const void *rdata, size_t len)
{
	dns_record_begin(msg, section, owner, type, DNS_IN, ttl);
	dns_put(msg, rdata, len);
	dns_record_end(msg);
}

void dns_address(struct dns_message *msg, enum dns_section section, const char *owner,
                 const char *address, uint32_t ttl)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, address, bytes) == 1)
		dns_record(msg, section, owner, DNS_A, ttl, bytes, 4);
	else if (inet_pton(AF_INET6, address, bytes) == 1)
		dns_record(msg, section, owner, DNS_AAAA, ttl, bytes, 16);
	else
		die("not an address");
}

void dns_cname(struct dns_message *msg, enum dns_section section, const char *owner,
               const char *target, uint32_t ttl)
{
	dns_record_begin(msg, section, owner, DNS_CNAME, DNS_IN, ttl);
	dns_put_name(msg, target);
	dns_record_end(msg);
}

void dns_soa(struct dns_message *msg, const char *owner, uint32_t ttl)
{
	static const uint8_t numbers[20] = {0, 0, 0, 1};

	dns_record_begin(msg, DNS_AUTHORITY, owner, DNS_SOA, DNS_IN, ttl);
	dns_put_name(msg, "ns1.example.net");
	dns_put_name(msg, "hostmaster.example.net");
	dns_put(msg, numbers, sizeof(numbers));
	dns_record_end(msg);
}

void dns_opt(struct dns_message *msg, uint16_t udp_bytes, uint16_t flags, const void *options,
             size_t len)
{
	dns_record_begin(msg, DNS_ADDITIONAL, "", DNS_OPT, udp_bytes, flags);
	dns_put(msg, options, len);
	dns_record_end(msg);
}

/* A SvcParam of addresses between commas. */
static void put_hint(struct dns_message *msg, uint16_t key, int family, const char *list)
{
	size_t size = family == AF_INET ? 4 : 16, at;
	char text[64];
	uint8_t bytes[16];

	dns_put16(msg, key);
	at = msg->len;
	dns_put16(msg, 0);
	while (*list != '\0') {
		size_t len = strcspn(list, ",");

		if (len >= sizeof(text))
			die("not an address");
		memcpy(text, list, len);
		text[len] = '\0';
		if (inet_pton(family, text, bytes) != 1)
			die("not an address");
		dns_put(msg, bytes, size);
		list += len + (list[len] == ',');
	}
	set16(msg, at, (uint16_t)(msg->len - at - 2));
}

void dns_service(struct dns_message *msg, uint16_t type, const char *owner, uint16_t priority,
                 const char *target, uint32_t ttl, const char *ipv4hint, const char *ipv6hint)
{
	dns_record_begin(msg, DNS_ANSWER, owner, type, DNS_IN, ttl);
	dns_put16(msg, priority);
	dns_put_name(msg, target);
	dns_put(msg, "\0\1\0\3\2h2", 7);
	if (ipv4hint != NULL)
		put_hint(msg, 4, AF_INET, ipv4hint);
	if (ipv6hint != NULL)
		put_hint(msg, 6, AF_INET6, ipv6hint);
	dns_record_end(msg);
}
