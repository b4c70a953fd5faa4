/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_file.c: reads and writes the bytes of a file of pins.
 */
#include "pin_file.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "document/policy_json.h"
#include "sluice/hostname.h"

static const char magic[8] = "sluicepn";

#define AT_LENGTH    12
#define AT_RESOLVERS 28 /* from here on: what it says, but for when it was written */
#define AT_SANDBOXES 32

/* False without memory. */
static bool digest_of(const uint8_t *bytes, size_t len, uint8_t out[SL_PIN_FILE_DIGEST])
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	bool done = EVP_Digest(bytes, len, digest, NULL, EVP_sha256(), NULL) == 1;

	memcpy(out, digest, SL_PIN_FILE_DIGEST);
	return done;
}

/* ---- reading ---- */

/* The next n bytes, or NULL if there are not so many. */
static const uint8_t *take(struct sl_pin_cursor *cursor, size_t n)
{
	const uint8_t *at = cursor->at;

	if ((size_t)(cursor->end - at) < n)
		return NULL;
	cursor->at += n;
	return at;
}

static bool take8(struct sl_pin_cursor *cursor, uint8_t *out)
{
	const uint8_t *at = take(cursor, 1);

	if (at != NULL)
		*out = *at;
	return at != NULL;
}

static bool take16(struct sl_pin_cursor *cursor, uint16_t *out)
{
	const uint8_t *at = take(cursor, sizeof(*out));
	uint16_t value = 0;

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	*out = be16toh(value);
	return at != NULL;
}

static bool take32(struct sl_pin_cursor *cursor, uint32_t *out)
{
	const uint8_t *at = take(cursor, sizeof(*out));
	uint32_t value = 0;

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	*out = be32toh(value);
	return at != NULL;
}

static bool take64(struct sl_pin_cursor *cursor, uint64_t *out)
{
	const uint8_t *at = take(cursor, sizeof(*out));
	uint64_t value = 0;

	if (at != NULL)
		memcpy(&value, at, sizeof(value));
	*out = be64toh(value);
	return at != NULL;
}

static bool take_addr(struct sl_pin_cursor *cursor, uint8_t family, struct sl_addr *out)
{
	size_t n = family == SL_FAMILY_4 ? 4 : 16;
	const uint8_t *at = take(cursor, n);

	*out = (struct sl_addr){.family = family};
	if (at == NULL || (family != SL_FAMILY_4 && family != SL_FAMILY_6))
		return false;
	memcpy(out->bytes, at, n);
	return true;
}

/* A name that sluice itself would write so; no other is ever compared. */
static bool is_canonical(const char *name, size_t len)
{
	char canonical[SL_NAME_MAX + 1];

	return sl_hostname_normalise((const uint8_t *)name, len, canonical) == (int)len &&
	       memcmp(canonical, name, len) == 0;
}

static bool read_pin(struct sl_pin_cursor *cursor, struct sl_pin_record *out)
{
	uint8_t family = 0;

	*out = (struct sl_pin_record){0};
	if (!take8(cursor, &family) || !take8(cursor, &out->name_len) ||
	    !take32(cursor, &out->life_s) || !take64(cursor, &out->expires_s) ||
	    !take_addr(cursor, family, &out->addr))
		return false;
	out->name = (const char *)take(cursor, out->name_len);
	return out->name != NULL && is_canonical(out->name, out->name_len);
}

static bool owner_is_sound(const struct sl_pin_owner *owner)
{
	switch ((enum sl_pin_owner_kind)owner->kind) {
	case SL_PIN_OWNER_NAME:
		return owner->len > 0 && owner->len <= SL_POLICY_NAME_MAX;
	case SL_PIN_OWNER_POLICY:
		return owner->len == SL_POLICY_HASH_BYTES - 1;
	case SL_PIN_OWNER_NONE:
		break;
	}
	return false;
}

static bool read_owner(struct sl_pin_cursor *cursor, struct sl_pin_owner *out)
{
	const uint8_t *text;

	*out = (struct sl_pin_owner){0};
	if (!take8(cursor, &out->kind) || !take8(cursor, &out->len) || !owner_is_sound(out))
		return false;
	text = take(cursor, out->len);
	if (text != NULL)
		memcpy(out->text, text, out->len);
	return text != NULL;
}

/* Reads a sandbox, and moves the cursor behind its pins. */
static bool read_sandbox(struct sl_pin_cursor *cursor, struct sl_pin_sandbox *out)
{
	struct sl_pin_record pin;

	*out = (struct sl_pin_sandbox){0};
	if (!take16(cursor, &out->vlan) || !read_owner(cursor, &out->owner) ||
	    !take32(cursor, &out->pins))
		return false;
	out->left = out->pins;
	out->rest = *cursor;
	for (uint32_t i = 0; i < out->pins; i++)
		if (!read_pin(cursor, &pin))
			return false;
	return out->pins > 0 && out->vlan >= 1 && out->vlan <= SL_VLAN_MAX;
}

/* Magic, version, length and checksum. */
static bool is_whole(const uint8_t *bytes, size_t len, const char **why)
{
	struct sl_pin_cursor cursor = {bytes + sizeof(magic), bytes + len};
	uint8_t digest[SL_PIN_FILE_DIGEST];
	uint32_t version = 0;
	uint64_t length = 0;

	*why = "it is cut short";
	if (len < SL_PIN_FILE_MIN)
		return false;
	*why = "it is no file of pins";
	if (memcmp(bytes, magic, sizeof(magic)) != 0)
		return false;
	*why = "it is of another version of sluice";
	if (!take32(&cursor, &version) || version != SL_PIN_FILE_VERSION)
		return false;
	*why = "it has not the length that it says";
	if (!take64(&cursor, &length) || length != len)
		return false;
	*why = "its checksum is wrong";
	return digest_of(bytes, len - SL_PIN_FILE_DIGEST, digest) &&
	       memcmp(digest, bytes + len - SL_PIN_FILE_DIGEST, SL_PIN_FILE_DIGEST) == 0;
}

static bool read_head(struct sl_pin_file *file)
{
	uint8_t family;

	if (!take64(&file->rest, &file->written_s) || !take32(&file->rest, &file->resolver_count) ||
	    !take32(&file->rest, &file->sandboxes) || file->resolver_count > SL_RESOLVERS_MAX)
		return false;
	for (uint32_t i = 0; i < file->resolver_count; i++) {
		const uint8_t *address;

		if (!take8(&file->rest, &family) ||
		    (family != SL_FAMILY_4 && family != SL_FAMILY_6) ||
		    (address = take(&file->rest, sizeof(file->resolvers[i].bytes))) == NULL)
			return false;
		file->resolvers[i].family = family;
		memcpy(file->resolvers[i].bytes, address, sizeof(file->resolvers[i].bytes));
	}
	file->left = file->sandboxes;
	return true;
}

bool sl_pin_file_open(struct sl_pin_file *file, const uint8_t *bytes, size_t len, const char **why)
{
	struct sl_pin_sandbox sandbox;
	struct sl_pin_cursor cursor;
	uint16_t before = 0;

	*file = (struct sl_pin_file){0};
	if (!is_whole(bytes, len, why))
		return false;
	*why = "it contradicts itself";
	file->rest =
	        (struct sl_pin_cursor){bytes + AT_LENGTH + 8, bytes + len - SL_PIN_FILE_DIGEST};
	if (!read_head(file))
		return false;
	cursor = file->rest;
	for (uint32_t i = 0; i < file->sandboxes; i++, before = sandbox.vlan)
		if (!read_sandbox(&cursor, &sandbox) || sandbox.vlan <= before)
			return false;
	return cursor.at == cursor.end;
}

bool sl_pin_file_next(struct sl_pin_file *file, struct sl_pin_sandbox *out)
{
	if (file->left == 0)
		return false;
	file->left--;
	return read_sandbox(&file->rest, out);
}

bool sl_pin_file_next_pin(struct sl_pin_sandbox *sandbox, struct sl_pin_record *out)
{
	if (sandbox->left == 0)
		return false;
	sandbox->left--;
	return read_pin(&sandbox->rest, out);
}

static uint64_t until(uint64_t end, uint64_t from)
{
	return end > from ? end - from : 0;
}

uint32_t sl_pin_file_left_s(const struct sl_pin_record *pin, uint64_t written_s, uint64_t now_s)
{
	uint64_t left_s = until(pin->expires_s, now_s > written_s ? now_s : written_s);

	return left_s < pin->life_s ? (uint32_t)left_s : pin->life_s;
}

/* ---- writing ---- */

void sl_pin_bytes_free(struct sl_pin_bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct sl_pin_bytes){0};
}

static void put(struct sl_pin_bytes *bytes, const void *from, size_t n)
{
	if (bytes->failed)
		return;
	if (bytes->room - bytes->len < n) {
		size_t room = 2 * bytes->room + n + 256;
		uint8_t *at = realloc(bytes->at, room);

		if (at == NULL) {
			bytes->failed = true;
			return;
		}
		bytes->at = at;
		bytes->room = room;
	}
	if (n > 0)
		memcpy(bytes->at + bytes->len, from, n);
	bytes->len += n;
}

static void put8(struct sl_pin_bytes *bytes, uint8_t value)
{
	put(bytes, &value, sizeof(value));
}

static void put32(struct sl_pin_bytes *bytes, uint32_t value)
{
	value = htobe32(value);
	put(bytes, &value, sizeof(value));
}

static void put64(struct sl_pin_bytes *bytes, uint64_t value)
{
	value = htobe64(value);
	put(bytes, &value, sizeof(value));
}

bool sl_pin_file_put_pin(struct sl_pin_bytes *pins, const struct sl_pin_record *pin)
{
	uint8_t family = pin->addr.family;

	if ((family != SL_FAMILY_4 && family != SL_FAMILY_6) ||
	    !is_canonical(pin->name, pin->name_len))
		return false;
	put8(pins, family);
	put8(pins, pin->name_len);
	put32(pins, pin->life_s);
	put64(pins, pin->expires_s);
	put(pins, pin->addr.bytes, family == SL_FAMILY_4 ? 4 : 16);
	put(pins, pin->name, pin->name_len);
	return true;
}

void sl_pin_file_begin(struct sl_pin_bytes *file, uint64_t written_s,
                       const struct sl_addr *resolvers, unsigned resolver_count)
{
	put(file, magic, sizeof(magic));
	put32(file, SL_PIN_FILE_VERSION);
	put64(file, 0);
	put64(file, written_s);
	put32(file, resolver_count);
	put32(file, 0);
	for (unsigned i = 0; i < resolver_count; i++) {
		put8(file, resolvers[i].family);
		put(file, resolvers[i].bytes, sizeof(resolvers[i].bytes));
	}
}

void sl_pin_file_put_sandbox(struct sl_pin_bytes *file, uint16_t vlan,
                             const struct sl_pin_owner *owner, const struct sl_pin_bytes *pins,
                             uint32_t count)
{
	uint16_t number = htobe16(vlan);

	put(file, &number, sizeof(number));
	put8(file, owner->kind);
	put8(file, owner->len);
	put(file, owner->text, owner->len);
	put32(file, count);
	put(file, pins->at, pins->len);
	file->failed |= pins->failed;
}

bool sl_pin_file_end(struct sl_pin_bytes *file, uint32_t sandboxes)
{
	static const uint8_t room[SL_PIN_FILE_DIGEST];
	uint32_t count = htobe32(sandboxes);

	put(file, room, sizeof(room));
	if (file->failed || file->len > SL_PIN_FILE_MAX)
		return false;
	memcpy(file->at + AT_SANDBOXES, &count, sizeof(count));
	return sl_pin_file_seal(file->at, file->len);
}

bool sl_pin_file_seal(uint8_t *bytes, size_t len)
{
	uint64_t length = htobe64(len);

	memcpy(bytes + AT_LENGTH, &length, sizeof(length));
	return digest_of(bytes, len - SL_PIN_FILE_DIGEST, bytes + len - SL_PIN_FILE_DIGEST);
}

bool sl_pin_file_digest(const uint8_t *bytes, size_t len, uint8_t out[SL_PIN_FILE_DIGEST])
{
	return digest_of(bytes + AT_RESOLVERS, len - AT_RESOLVERS - SL_PIN_FILE_DIGEST, out);
}
