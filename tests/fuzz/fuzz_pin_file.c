/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pin_file.c: arbitrary bytes as a file of pins, as they are and with a good length and
 * checksum, since no mutation finds the latter.
 *
 * What must hold, whatever the bytes: a file is refused with a reason, or everything in it is what
 * pin_file.h promises, and written again it is the same bytes. No pin has more left than its life
 * and than was left when the file was written.
 */
#include <string.h>

#include "fuzz.h"
#include "sluice/hostname.h"
#include "state/pin_file.h"

static void check_pin(const struct sl_pin_record *pin, uint64_t written_s)
{
	static const uint64_t nows[] = {0, 1, 1u << 31, 1ull << 40, UINT64_MAX};
	char canonical[SL_NAME_MAX + 1];

	must(pin->addr.family == SL_FAMILY_4 || pin->addr.family == SL_FAMILY_6);
	must(sl_hostname_normalise((const uint8_t *)pin->name, pin->name_len, canonical) ==
	     pin->name_len);
	must(memcmp(canonical, pin->name, pin->name_len) == 0);
	for (size_t i = 0; i < sizeof(nows) / sizeof(nows[0]); i++) {
		uint32_t left_s = sl_pin_file_left_s(pin, written_s, nows[i]);

		must(left_s <= pin->life_s);
		must(left_s == 0 || pin->expires_s - left_s >= written_s);
		must(left_s == 0 || pin->expires_s - left_s >= nows[i]);
	}
}

static void write_sandbox(struct sl_pin_sandbox *sandbox, uint64_t written_s,
                          struct sl_pin_bytes *again)
{
	struct sl_pin_bytes pins = {0};
	struct sl_pin_record pin;
	uint32_t n = 0;

	must(sandbox->vlan >= 1 && sandbox->vlan <= SL_VLAN_MAX && sandbox->pins > 0);
	while (sl_pin_file_next_pin(sandbox, &pin)) {
		check_pin(&pin, written_s);
		must(sl_pin_file_put_pin(&pins, &pin));
		n++;
	}
	must(n == sandbox->pins);
	sl_pin_file_put_sandbox(again, sandbox->vlan, &sandbox->owner, &pins, n);
	sl_pin_bytes_free(&pins);
}

static void check_file(const uint8_t *bytes, size_t len)
{
	struct sl_pin_bytes again = {0};
	struct sl_pin_sandbox sandbox;
	struct sl_pin_file file;
	const char *why = NULL;
	uint32_t n = 0;
	uint16_t before = 0;

	if (!sl_pin_file_open(&file, bytes, len, &why)) {
		must(why != NULL && why[0] != '\0');
		return;
	}
	must(file.resolver_count <= SL_RESOLVERS_MAX);
	sl_pin_file_begin(&again, file.written_s, file.resolvers, file.resolver_count);
	for (; sl_pin_file_next(&file, &sandbox); before = sandbox.vlan, n++) {
		must(sandbox.vlan > before);
		write_sandbox(&sandbox, file.written_s, &again);
	}
	must(n == file.sandboxes);
	must(sl_pin_file_end(&again, n));
	must(again.len == len && memcmp(again.at, bytes, len) == 0);
	sl_pin_bytes_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *sealed;

	check_file(data, len);
	if (len < SL_PIN_FILE_MIN)
		return 0;
	sealed = malloc(len);
	must(sealed != NULL);
	memcpy(sealed, data, len);
	must(sl_pin_file_seal(sealed, len));
	check_file(sealed, len);
	free(sealed);
	return 0;
}
