/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin_owner.c: by its name, or by the hash of its effective policy.
 */
#include "pin_owner.h"

#include <stdlib.h>
#include <string.h>

#include "document/policy_json.h"

/* A text of the model that is the caller's. NULL: there is none, or no memory. */
static char *copy_entry(struct sl_model *model, uint16_t vlan)
{
	char *text = NULL;

	pthread_mutex_lock(&model->lock);
	if (model->entry[vlan] != NULL)
		text = strdup(model->entry[vlan]);
	pthread_mutex_unlock(&model->lock);
	return text;
}

static char *copy_policy(struct sl_model *model, const char *name)
{
	const char *text;
	char *copy;

	pthread_mutex_lock(&model->lock);
	text = sl_model_policy(model, name);
	copy = text != NULL ? strdup(text) : NULL;
	pthread_mutex_unlock(&model->lock);
	return copy;
}

/*
 * The policy that an entry has, as canonical text. The model's texts are canonical: nothing is read
 * again, which for a sandbox each with thousands of patterns would take long.
 */
static char *policy_text(struct sl_model *model, uint16_t vlan)
{
	char *text = copy_entry(model, vlan), *policy = NULL;
	json_t *entry = text != NULL ? json_loads(text, 0, NULL) : NULL;
	const json_t *value = json_object_get(entry, "policy");

	if (json_is_string(value))
		policy = copy_policy(model, json_string_value(value));
	if (policy == NULL && value != NULL)
		policy = sl_policy_json_text(value); /* inline, "allow-all" or "deny-all" */
	json_decref(entry);
	free(text);
	return policy;
}

static bool hash_policy(struct sl_model *model, uint16_t vlan, char hash[SL_POLICY_HASH_BYTES])
{
	char *text = policy_text(model, vlan);
	bool done = text != NULL && sl_policy_json_hash_text(text, hash);

	free(text);
	return done;
}

bool sl_pin_owner_read(struct sl_model *model, uint16_t vlan, const char *name,
                       struct sl_pin_owner *out)
{
	char hash[SL_POLICY_HASH_BYTES];

	*out = (struct sl_pin_owner){.kind = SL_PIN_OWNER_NAME};
	if (name == NULL) {
		if (!hash_policy(model, vlan, hash))
			return false;
		out->kind = SL_PIN_OWNER_POLICY;
		name = hash;
	}
	out->len = (uint8_t)strnlen(name, SL_POLICY_NAME_MAX);
	memcpy(out->text, name, out->len);
	return out->len > 0;
}

bool sl_pin_owner_equal(const struct sl_pin_owner *a, const struct sl_pin_owner *b)
{
	return a->kind == b->kind && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}
