/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_load.c: from a file of pins to the sandboxes in force.
 */
#include "pin_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pin_disk.h"
#include "pin_file.h"
#include "pin_owner.h"

/* Pins came from answers of these; one that was taken out of the config is no longer believed. */
static bool resolvers_are_ours(const struct sl_pin_file *file, const struct sl_settings *settings)
{
	for (uint32_t i = 0; i < file->resolver_count; i++) {
		bool found = false;

		for (unsigned k = 0; k < settings->resolver_count; k++)
			found |= sl_addr_equal(&file->resolvers[i], &settings->resolvers[k]);
		if (!found)
			return false;
	}
	return true;
}

static bool is_still_the_same(const struct sl_pin_load_params *params,
                              const struct sl_pin_sandbox *kept)
{
	const struct sl_sandbox *sandbox = params->generation->sandboxes[kept->vlan];
	struct sl_pin_owner owner;

	return sandbox != NULL &&
	       sl_pin_owner_read(params->model, kept->vlan, sandbox->name, &owner) &&
	       sl_pin_owner_equal(&owner, &kept->owner);
}

/* When its life began: what was used last is to be freed last. */
static uint64_t used_s(const struct sl_pin_record *pin)
{
	return pin->expires_s > pin->life_s ? pin->expires_s - pin->life_s : 0;
}

static int compare_use(const void *a, const void *b)
{
	uint64_t one = used_s(a), other = used_s(b);

	return (one > other) - (one < other);
}

/* pins: room for all of the sandbox's. */
static void restore_sandbox(const struct sl_pin_load_params *params, struct sl_pin_sandbox *sandbox,
                            uint64_t written_s, struct sl_pin_record *pins, struct sl_pin_load *out)
{
	uint64_t before = out->restored;
	uint32_t n = 0;

	while (sl_pin_file_next_pin(sandbox, &pins[n]))
		if (sl_pin_file_left_s(&pins[n], written_s, params->now_s) > 0)
			n++;
		else
			out->ended++;
	qsort(pins, n, sizeof(*pins), compare_use);
	for (uint32_t i = 0; i < n; i++) {
		struct sl_kept_pin kept = {
		        .vlan = sandbox->vlan,
		        .addr = pins[i].addr,
		        .name = pins[i].name,
		        .name_len = pins[i].name_len,
		        .life_s = pins[i].life_s,
		        .left_s = sl_pin_file_left_s(&pins[i], written_s, params->now_s),
		};

		if (params->restore(params->ctx, &kept))
			out->restored++;
		else
			out->no_room++;
	}
	out->sandboxes += out->restored > before;
}

/* Room for the pins of any sandbox of the file. */
static struct sl_pin_record *make_room(struct sl_pin_file file)
{
	struct sl_pin_sandbox sandbox;
	uint32_t most = 1;

	while (sl_pin_file_next(&file, &sandbox))
		most = sandbox.pins > most ? sandbox.pins : most;
	return calloc(most, sizeof(struct sl_pin_record));
}

static int restore_file(const struct sl_pin_load_params *params, const uint8_t *bytes, size_t len,
                        struct sl_pin_load *out)
{
	struct sl_pin_sandbox sandbox;
	struct sl_pin_record *pins;
	struct sl_pin_file file;
	const char *why = "";

	if (!sl_pin_file_open(&file, bytes, len, &why)) {
		snprintf(out->why, sizeof(out->why), "%s", why);
		return -EBADMSG;
	}
	if (!resolvers_are_ours(&file, params->settings)) {
		snprintf(out->why, sizeof(out->why),
		         "a resolver that it is from is no longer one of dns.resolvers");
		return -EPERM;
	}
	pins = make_room(file);
	if (pins == NULL) {
		snprintf(out->why, sizeof(out->why), "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	while (sl_pin_file_next(&file, &sandbox))
		if (is_still_the_same(params, &sandbox))
			restore_sandbox(params, &sandbox, file.written_s, pins, out);
		else
			out->strangers += sandbox.pins;
	free(pins);
	return 0;
}

int sl_pin_load(const struct sl_pin_load_params *params, struct sl_pin_load *out)
{
	uint8_t *bytes;
	size_t len;
	int ret;

	*out = (struct sl_pin_load){0};
	ret = sl_pin_disk_read(params->path, &bytes, &len, out->why, sizeof(out->why));
	if (ret == 0)
		ret = restore_file(params, bytes, len, out);
	free(bytes);
	return ret;
}
