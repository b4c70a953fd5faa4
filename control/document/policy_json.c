/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_json.c: policies as JSON values, and these as text (RFC 8259), as a hash and as YAML.
 */
#include "policy_json.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <yaml.h>

/* ---- values ---- */

static json_t *patterns_of(const struct sl_policy *policy)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policy->n_patterns; i++)
		if (json_array_append_new(list, json_string(policy->patterns[i].text)) != 0)
			goto failed;
	return list;
failed:
	json_decref(list);
	return NULL;
}

static json_t *by_address_of(const struct sl_policy *policy)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policy->n_by_address; i++) {
		const struct sl_by_address *entry = &policy->by_address[i];

		if (json_array_append_new(
		            list, json_sprintf("%s:%u/%s", entry->pattern.text, entry->port,
		                               entry->proto == IPPROTO_TCP ? "tcp" : "udp")) != 0)
			goto failed;
	}
	return list;
failed:
	json_decref(list);
	return NULL;
}

static json_t *prefixes_of(const struct sl_prefix *prefixes, size_t n)
{
	char text[SL_PREFIX_TEXT_MAX];
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list,
		                          json_string(sl_prefix_format(&prefixes[i], text))) != 0)
			goto failed;
	return list;
failed:
	json_decref(list);
	return NULL;
}

/* Sets a list of n items, if it has any. Takes over the list. */
static int set_list(json_t *object, const char *key, json_t *list, size_t n)
{
	if (n > 0)
		return json_object_set_new(object, key, list);
	json_decref(list);
	return 0;
}

static json_t *custom_of(const struct sl_policy *policy)
{
	json_t *value = json_object(), *subnets = json_object();
	int ret = set_list(value, "allow", patterns_of(policy), policy->n_patterns);

	ret |= set_list(value, "by-address", by_address_of(policy), policy->n_by_address);
	ret |= set_list(subnets, "allow", prefixes_of(policy->allow, policy->n_allow),
	                policy->n_allow);
	ret |= set_list(subnets, "deny", prefixes_of(policy->deny, policy->n_deny), policy->n_deny);
	ret |= set_list(value, "subnets", subnets, json_object_size(subnets));
	if (ret == 0)
		return value;
	json_decref(value);
	return NULL;
}

json_t *sl_policy_json_value(const struct sl_policy *policy)
{
	switch (policy->kind) {
	case SL_POLICY_ALLOW_ALL:
		return json_string("allow-all");
	case SL_POLICY_CUSTOM:
		return custom_of(policy);
	case SL_POLICY_DENY_ALL:
		break;
	}
	return json_string("deny-all");
}

json_t *sl_policy_json_entry(const struct sl_policy_entry *entry)
{
	json_t *value = json_object();
	int ret = json_object_set_new(value, "vlan", json_integer(entry->vlan));

	if (entry->name != NULL)
		ret |= json_object_set_new(value, "name", json_string(entry->name));
	if (entry->has_source)
		ret |= json_object_set_new(value, "source",
		                           prefixes_of(entry->sources, entry->n_sources));
	ret |= json_object_set_new(value, "policy",
	                           entry->policy->name != NULL
	                                   ? json_string(entry->policy->name)
	                                   : sl_policy_json_value(entry->policy));
	if (ret == 0)
		return value;
	json_decref(value);
	return NULL;
}

json_t *sl_policy_json_document(const struct sl_policy_doc *doc)
{
	json_t *value = json_object(), *named = json_object(), *sandboxes = json_array();
	int ret = 0;

	for (size_t i = 0; i < doc->n_named; i++)
		ret |= json_object_set_new(named, doc->named[i].name,
		                           sl_policy_json_value(&doc->named[i]));
	for (size_t i = 0; i < doc->n_entries; i++)
		ret |= json_array_append_new(sandboxes, sl_policy_json_entry(&doc->entries[i]));
	ret |= set_list(value, "policies", named, doc->n_named);
	ret |= json_object_set_new(value, "sandboxes", sandboxes);
	if (ret == 0)
		return value;
	json_decref(value);
	return NULL;
}

/* ---- text ---- */

char *sl_policy_json_text(const json_t *value)
{
	return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

bool sl_policy_json_hash_text(const char *text, char out[SL_POLICY_HASH_BYTES])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	bool done = EVP_Digest(text, strlen(text), digest, &n, EVP_sha256(), NULL) == 1;

	for (unsigned i = 0; done && i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return done;
}

bool sl_policy_json_hash(const struct sl_policy *policy, char out[SL_POLICY_HASH_BYTES])
{
	json_t *value = sl_policy_json_value(policy);
	char *text = value != NULL ? sl_policy_json_text(value) : NULL;
	bool done = text != NULL && sl_policy_json_hash_text(text, out);

	free(text);
	json_decref(value);
	return done;
}

/* ---- YAML ---- */

struct growing {
	char *text;
	size_t len;
};

static int take(void *ctx, unsigned char *bytes, size_t n)
{
	struct growing *out = ctx;
	char *text = realloc(out->text, out->len + n + 1);

	if (text == NULL)
		return 0;
	memcpy(text + out->len, bytes, n);
	out->text = text;
	out->len += n;
	text[out->len] = '\0';
	return 1;
}

static bool emit_scalar(yaml_emitter_t *emitter, const char *text, bool quoted)
{
	yaml_event_t event;

	return yaml_scalar_event_initialize(
	               &event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1,
	               quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool emit(yaml_emitter_t *emitter, const json_t *value);

static bool emit_list(yaml_emitter_t *emitter, const json_t *value)
{
	yaml_event_t event;
	size_t i;
	json_t *item;
	bool ok = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
	                                               YAML_BLOCK_SEQUENCE_STYLE) &&
	          yaml_emitter_emit(emitter, &event);

	json_array_foreach (value, i, item)
		ok = ok && emit(emitter, item);
	return ok && yaml_sequence_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool emit_mapping(yaml_emitter_t *emitter, const json_t *value)
{
	yaml_event_t event;
	const char *key;
	json_t *item;
	bool ok = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
	                                              YAML_BLOCK_MAPPING_STYLE) &&
	          yaml_emitter_emit(emitter, &event);

	json_object_foreach ((json_t *)value, key, item)
		ok = ok &&
		     emit_scalar(emitter, key,
		                 strspn(key, "abcdefghijklmnopqrstuvwxyz-") != strlen(key)) &&
		     emit(emitter, item);
	return ok && yaml_mapping_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool emit(yaml_emitter_t *emitter, const json_t *value)
{
	char number[32];

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return emit_mapping(emitter, value);
	case JSON_ARRAY:
		return emit_list(emitter, value);
	case JSON_STRING:
		return emit_scalar(emitter, json_string_value(value), true);
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
		         json_integer_value(value));
		return emit_scalar(emitter, number, false);
	case JSON_TRUE:
		return emit_scalar(emitter, "true", false);
	case JSON_FALSE:
		return emit_scalar(emitter, "false", false);
	case JSON_REAL:
	case JSON_NULL:
		break;
	}
	return false; /* no policy has these */
}

char *sl_policy_json_yaml(const json_t *value)
{
	struct growing out = {0};
	yaml_emitter_t emitter;
	yaml_event_t event;
	bool ok = yaml_emitter_initialize(&emitter);

	if (!ok)
		return NULL;
	yaml_emitter_set_output(&emitter, take, &out);
	yaml_emitter_set_width(&emitter, -1);
	yaml_emitter_set_unicode(&emitter, 1);
	ok = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
	     yaml_emitter_emit(&emitter, &event) &&
	     yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
	     yaml_emitter_emit(&emitter, &event) && emit(&emitter, value) &&
	     yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&emitter, &event) &&
	     yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&emitter, &event);
	yaml_emitter_delete(&emitter);
	if (ok)
		return out.text;
	free(out.text);
	return NULL;
}
