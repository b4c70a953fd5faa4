/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet.c: writes and reads frames for tests, plainly and independently of the gateway's own
 * parsers, so that a mistake there is not repeated here.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static void refuse(const char *what, const char *text)
{
	fprintf(stderr, "packet builder: %s: %s\n", what, text ? text : "(missing)");
	abort();
}

static bool is_set(uint64_t field)
{
	return field >> 63;
}

static uint64_t pick(uint64_t field, uint64_t otherwise)
{
	return is_set(field) ? field & ~(1ull << 63) : otherwise;
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

struct sl_addr packet_addr(const char *text)
{
	struct sl_addr addr = {0};

	if (text != NULL && inet_pton(AF_INET, text, addr.bytes) == 1)
		addr.family = SL_FAMILY_4;
	else if (text != NULL && inet_pton(AF_INET6, text, addr.bytes) == 1)
		addr.family = SL_FAMILY_6;
	else
		refuse("no address", text);
	return addr;
}

void packet_mac(const char *text, uint8_t out[6])
{
	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &out[0], &out[1], &out[2], &out[3],
	           &out[4], &out[5]) != 6)
		refuse("no MAC address", text);
}

size_t packet_hex(const char *text, uint8_t *out, size_t size)
{
	size_t n = 0;

	while (*text != '\0') {
		unsigned byte = 0;

		if (isspace((unsigned char)*text)) {
			text++;
			continue;
		}
		if (n == size || sscanf(text, "%2x", &byte) != 1 ||
		    !isxdigit((unsigned char)text[1]))
			refuse("no hexadecimal, or too much of it", text);
		out[n++] = (uint8_t)byte;
		text += 2;
	}
	return n;
}

uint32_t packet_sum(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t wide = sum;

	for (; len >= 2; at += 2, len -= 2)
		wide += get16(at);
	if (len == 1)
		wide += (uint32_t)at[0] << 8;
	while (wide >> 32)
		wide = (wide & 0xffffffff) + (wide >> 32);
	return (uint32_t)wide;
}

uint16_t packet_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t pseudo_sum(const struct sl_addr *src, const struct sl_addr *dst, uint8_t proto,
                           size_t len)
{
	size_t size = src->family == SL_FAMILY_4 ? 4 : 16;
	uint8_t tail[6];
	uint32_t sum = packet_sum(0, src->bytes, size);

	sum = packet_sum(sum, dst->bytes, size);
	put32(tail, (uint32_t)len);
	put16(tail + 4, proto);
	return packet_sum(sum, tail, sizeof(tail));
}

/* A growing frame. */
struct out {
	uint8_t *bytes;
	size_t size, len;
};

static uint8_t *out_take(struct out *out, size_t len)
{
	uint8_t *at = out->bytes + out->len;

	if (len > out->size - out->len)
		refuse("frame too large", "use packet_build with a larger buffer");
	out->len += len;
	memset(at, 0, len);
	return at;
}

static void out_put(struct out *out, const void *bytes, size_t len)
{
	uint8_t *at = out_take(out, len);

	if (len > 0)
		memcpy(at, bytes, len);
}

static void put_ethernet(struct out *out, const struct packet_spec *spec, uint16_t type)
{
	uint8_t *at = out_take(out, 12);

	packet_mac(spec->dmac ? spec->dmac : PKT_MAC_OUTER, at);
	packet_mac(spec->smac ? spec->smac : PKT_MAC_INNER, at + 6);
	if (spec->vlan != 0 || is_set(spec->tci)) {
		at = out_take(out, 4);
		put16(at, (uint16_t)pick(spec->tpid, 0x8100));
		put16(at + 2, (uint16_t)pick(spec->tci, spec->vlan));
	}
	if (is_set(spec->tag2)) {
		at = out_take(out, 4);
		put16(at, 0x8100);
		put16(at + 2, (uint16_t)pick(spec->tag2, 0));
	}
	put16(out_take(out, 2), (uint16_t)pick(spec->type, type));
}

static void put_tcp(struct out *out, const struct packet_spec *spec)
{
	size_t options = (spec->options_len + 3) / 4 * 4;
	uint8_t *at = out_take(out, 20 + options);

	put16(at, spec->sport);
	put16(at + 2, spec->dport);
	put32(at + 4, spec->seq);
	put32(at + 8, spec->ack);
	at[12] = (uint8_t)(pick(spec->data_offset, 5 + options / 4) << 4 | (spec->reserved & 15));
	at[13] = spec->flags;
	put16(at + 14, (uint16_t)pick(spec->window, 64240));
	put16(at + 18, (uint16_t)pick(spec->urgent, 0));
	if (spec->options_len > 0)
		memcpy(at + 20, spec->options, spec->options_len);
	out_put(out, spec->payload, spec->payload_len);
}

static void put_udp(struct out *out, const struct packet_spec *spec)
{
	uint8_t *at = out_take(out, 8);

	put16(at, spec->sport);
	put16(at + 2, spec->dport);
	put16(at + 4, (uint16_t)pick(spec->udp_len, 8 + spec->payload_len));
	out_put(out, spec->payload, spec->payload_len);
}

static void put_icmp(struct out *out, const struct packet_spec *spec)
{
	uint8_t *at = out_take(out, 8);

	at[0] = spec->icmp_type;
	at[1] = spec->icmp_code;
	put32(at + 4, spec->icmp_rest);
	out_put(out, spec->payload, spec->payload_len);
}

/* The offset of a protocol's checksum in its header; -1: it has none. */
static int csum_offset(uint8_t proto)
{
	return proto == 6 ? 16 : proto == 17 ? 6 : proto == 1 || proto == 58 ? 2 : -1;
}

static void put_l4(struct out *out, const struct packet_spec *spec, const struct sl_addr *src,
                   const struct sl_addr *dst)
{
	size_t start = out->len;
	int offset = csum_offset(spec->proto);
	/* the later pieces of a fragmented packet are raw bytes */
	bool piece = is_set(spec->frag) && (pick(spec->frag, 0) & 0x1fff) != 0 &&
	             src->family == SL_FAMILY_4;
	uint32_t sum = 0;
	uint16_t csum;

	piece |= is_set(spec->frag) && pick(spec->frag, 0) >> 3 != 0 && src->family == SL_FAMILY_6;
	if (offset < 0 || piece) {
		out_put(out, spec->payload, spec->payload_len);
		return;
	}
	if (spec->proto == 6)
		put_tcp(out, spec);
	else if (spec->proto == 17)
		put_udp(out, spec);
	else
		put_icmp(out, spec);
	if (spec->proto != 1)
		sum = pseudo_sum(src, dst, spec->proto, out->len - start);
	sum = packet_sum(sum, out->bytes + start, out->len - start);
	csum = (uint16_t)~packet_fold(sum);
	if (spec->proto == 17 && csum == 0)
		csum = 0xffff;
	put16(out->bytes + start + offset, (uint16_t)pick(spec->l4_csum, csum));
}

static void put_ipv4(struct out *out, const struct packet_spec *spec, const struct sl_addr *src,
                     const struct sl_addr *dst)
{
	size_t start = out->len, header = 20 + spec->ip_ext_len;
	uint8_t *at = out_take(out, header);

	if (spec->ip_ext_len > 0)
		memcpy(at + 20, spec->ip_ext, spec->ip_ext_len);
	put_l4(out, spec, src, dst);
	at[0] = (uint8_t)(pick(spec->ip_version, 4) << 4 | pick(spec->ihl, header / 4));
	at[1] = spec->tos;
	put16(at + 2, (uint16_t)pick(spec->ip_len, out->len - start));
	put16(at + 4, (uint16_t)pick(spec->ip_id, 1));
	put16(at + 6, (uint16_t)pick(spec->frag, 0x4000));
	at[8] = (uint8_t)pick(spec->ttl, 64);
	at[9] = (uint8_t)pick(spec->next, spec->proto);
	memcpy(at + 12, src->bytes, 4);
	memcpy(at + 16, dst->bytes, 4);
	put16(at + 10,
	      (uint16_t)pick(spec->ip_csum, (uint16_t)~packet_fold(packet_sum(0, at, header))));
}

static void put_ipv6(struct out *out, const struct packet_spec *spec, const struct sl_addr *src,
                     const struct sl_addr *dst)
{
	size_t start = out->len;
	uint8_t *at = out_take(out, 40);
	uint8_t next = (uint8_t)pick(spec->next, spec->proto);

	out_put(out, spec->ip_ext, spec->ip_ext_len);
	if (is_set(spec->frag)) {
		uint8_t *frag = out_take(out, 8);

		frag[0] = next;
		put16(frag + 2, (uint16_t)pick(spec->frag, 0));
		put32(frag + 4, spec->frag_id);
		next = 44;
	}
	put_l4(out, spec, src, dst);
	put32(at, (uint32_t)(pick(spec->ip_version, 6) << 28) | (uint32_t)spec->tos << 20 |
	                  (spec->label & 0xfffff));
	put16(at + 4, (uint16_t)pick(spec->ip_len, out->len - start - 40));
	at[6] = next;
	at[7] = (uint8_t)pick(spec->ttl, 64);
	memcpy(at + 8, src->bytes, 16);
	memcpy(at + 24, dst->bytes, 16);
}

size_t packet_build(uint8_t *bytes, size_t size, const struct packet_spec *spec)
{
	struct out out = {bytes, size, 0};

	if (spec->inner != NULL) {
		uint8_t inner[PACKET_MAX];
		size_t len = packet_hex(spec->inner, inner, sizeof(inner));

		put_ethernet(&out, spec, 0);
		out_put(&out, inner, len);
	} else {
		struct sl_addr src = packet_addr(spec->src), dst = packet_addr(spec->dst);

		put_ethernet(&out, spec, src.family == SL_FAMILY_4 ? 0x0800 : 0x86dd);
		if (src.family == SL_FAMILY_4)
			put_ipv4(&out, spec, &src, &dst);
		else
			put_ipv6(&out, spec, &src, &dst);
	}
	out_put(&out, spec->trailer, spec->trailer_len);
	out.len -= spec->cut;
	if (out.len < spec->pad_to)
		out_take(&out, spec->pad_to - out.len);
	return out.len;
}

struct packet packet_make(const struct packet_spec *spec)
{
	struct packet packet;

	packet.len = packet_build(packet.bytes, sizeof(packet.bytes), spec);
	return packet;
}

struct packet packet_arp(const struct arp_spec *spec)
{
	struct packet packet;
	struct out out = {packet.bytes, sizeof(packet.bytes), 0};
	const char *smac = spec->smac ? spec->smac : PKT_MAC_INNER;
	const char *dmac = spec->dmac                       ? spec->dmac
	                   : spec->op == 0 || spec->op == 1 ? "ff:ff:ff:ff:ff:ff"
	                                                    : PKT_MAC_OUTER;
	struct packet_spec ethernet = {.smac = smac, .dmac = dmac, .vlan = spec->vlan};
	struct sl_addr spa = packet_addr(spec->spa), tpa = packet_addr(spec->tpa);
	uint8_t *at;

	put_ethernet(&out, &ethernet, 0x0806);
	at = out_take(&out, 28);
	put16(at, (uint16_t)pick(spec->htype, 1));
	put16(at + 2, (uint16_t)pick(spec->ptype, 0x0800));
	at[4] = (uint8_t)pick(spec->hlen, 6);
	at[5] = (uint8_t)pick(spec->plen, 4);
	put16(at + 6, spec->op ? spec->op : 1);
	packet_mac(spec->sha ? spec->sha : smac, at + 8);
	memcpy(at + 14, spa.bytes, 4);
	packet_mac(spec->tha ? spec->tha : "00:00:00:00:00:00", at + 18);
	memcpy(at + 24, tpa.bytes, 4);
	if (out.len < spec->pad_to)
		out_take(&out, spec->pad_to - out.len);
	packet.len = out.len;
	return packet;
}

struct packet packet_nd(const struct nd_spec *spec)
{
	uint8_t body[1024];
	size_t len = 0;

	memset(body, 0, sizeof(body));
	if (spec->type == 134)
		len = 8; /* reachable time and retransmission timer */
	if (spec->target != NULL) {
		struct sl_addr target = packet_addr(spec->target);

		memcpy(body, target.bytes, 16);
		len = 16;
	}
	if (spec->lladdr != NULL) {
		body[len] = spec->type == 136 ? 2 : 1;
		body[len + 1] = 1;
		packet_mac(spec->lladdr, body + len + 2);
		len += 8;
	}
	if (spec->nonce != NULL) {
		body[len] = 14;
		body[len + 1] = 1;
		packet_hex(spec->nonce, body + len + 2, 6);
		len += 8;
	}
	if (spec->options != NULL)
		len += packet_hex(spec->options, body + len, sizeof(body) - len);
	return ICMP6(.smac = spec->smac, .dmac = spec->dmac, .vlan = spec->vlan, .src = spec->src,
	             .dst = spec->dst, .icmp_type = spec->type, .icmp_rest = spec->word,
	             .ttl = is_set(spec->ttl) ? spec->ttl : PKT_SET(255), .l4_csum = spec->l4_csum,
	             .payload = body, .payload_len = len);
}

static bool view_ip(struct packet_view *view, size_t room)
{
	const uint8_t *ip = view->ip;
	size_t header = 40;
	bool four = view->type == 0x0800;

	if (room < (four ? 20u : 40u) || ip[0] >> 4 != (four ? 4 : 6))
		return false;
	if (four) {
		header = (ip[0] & 15) * 4u;
		view->ip_len = get16(ip + 2);
		view->proto = ip[9];
		view->ttl = ip[8];
		memcpy(view->src.bytes, ip + 12, 4);
		memcpy(view->dst.bytes, ip + 16, 4);
	} else {
		view->ip_len = 40u + get16(ip + 4);
		view->proto = ip[6];
		view->ttl = ip[7];
		memcpy(view->src.bytes, ip + 8, 16);
		memcpy(view->dst.bytes, ip + 24, 16);
	}
	if (header < (four ? 20u : 40u) || view->ip_len < header || view->ip_len > room)
		return false;
	view->src.family = view->dst.family = four ? SL_FAMILY_4 : SL_FAMILY_6;
	view->ip_csum_ok = !four || packet_fold(packet_sum(0, ip, header)) == 0xffff;
	inet_ntop(four ? AF_INET : AF_INET6, view->src.bytes, view->src_text, 46);
	inet_ntop(four ? AF_INET : AF_INET6, view->dst.bytes, view->dst_text, 46);
	view->l4 = ip + header;
	view->l4_len = view->ip_len - header;
	view->trailer_len = room - view->ip_len;
	return true;
}

static bool view_tcp(struct packet_view *view)
{
	const uint8_t *l4 = view->l4;
	size_t header = view->l4_len < 20 ? 0 : (l4[12] >> 4) * 4u;

	if (header < 20 || header > view->l4_len)
		return false;
	view->sport = get16(l4);
	view->dport = get16(l4 + 2);
	view->seq = get32(l4 + 4);
	view->ack = get32(l4 + 8);
	view->flags = l4[13];
	view->window = get16(l4 + 14);
	view->urgent = get16(l4 + 18);
	view->options = l4 + 20;
	view->options_len = header - 20;
	view->payload = l4 + header;
	view->payload_len = view->l4_len - header;
	return true;
}

static bool view_l4(struct packet_view *view)
{
	const uint8_t *l4 = view->l4;
	uint32_t sum = 0;

	view->payload = l4;
	view->payload_len = view->l4_len;
	view->l4_csum_ok = true;
	if (csum_offset(view->proto) < 0)
		return true;
	if (view->proto == 6) {
		if (!view_tcp(view))
			return false;
	} else {
		if (view->l4_len < 8)
			return false;
		view->payload += 8;
		view->payload_len -= 8;
		if (view->proto == 17) {
			view->sport = get16(l4);
			view->dport = get16(l4 + 2);
		} else {
			view->icmp_type = l4[0];
			view->icmp_code = l4[1];
			view->icmp_rest = get32(l4 + 4);
		}
	}
	if (view->proto != 1)
		sum = pseudo_sum(&view->src, &view->dst, view->proto, view->l4_len);
	view->l4_csum_ok = packet_fold(packet_sum(sum, l4, view->l4_len)) == 0xffff;
	return true;
}

struct packet_view packet_view(const void *frame, size_t len)
{
	struct packet_view view = {0};
	const uint8_t *at = frame;
	size_t offset = 14;

	if (len < 14)
		return view;
	memcpy(view.dmac, at, 6);
	memcpy(view.smac, at + 6, 6);
	view.type = get16(at + 12);
	if (view.type == 0x8100 && len >= 18) {
		view.tagged = true;
		view.tci = get16(at + 14);
		view.type = get16(at + 16);
		offset = 18;
	}
	view.ip = at + offset;
	if (view.type == 0x0800 || view.type == 0x86dd)
		view.ok = view_ip(&view, len - offset) && view_l4(&view);
	return view;
}

bool packet_view_says(const struct packet_view *view, const char *text)
{
	return view->ok && view->payload_len == strlen(text) &&
	       memcmp(view->payload, text, view->payload_len) == 0;
}

void packet_dump(const void *frame, size_t len)
{
	const uint8_t *at = frame;

	for (size_t i = 0; i < len; i++)
		fprintf(stderr, "%02x%s", at[i], i % 16 == 15 || i + 1 == len ? "\n" : " ");
}
