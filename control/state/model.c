/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model.c: the texts of what is in force.
 */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

void sl_model_init(struct sl_model *model)
{
	memset(model, 0, sizeof(*model));
	pthread_mutex_init(&model->lock, NULL);
}

void sl_model_fini(struct sl_model *model)
{
	for (unsigned vlan = 0; vlan <= SL_POLICY_VLAN_MAX; vlan++)
		free(model->entry[vlan]);
	for (size_t i = 0; i < model->n_named; i++) {
		free(model->named[i].name);
		free(model->named[i].text);
	}
	free(model->named);
	pthread_mutex_destroy(&model->lock);
}

/* The place of the name, or where it would be. */
static size_t place_of(const struct sl_model *model, const char *name, bool *found)
{
	size_t low = 0, high = model->n_named;

	*found = false;
	while (low < high && !*found) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, model->named[middle].name);

		if (order == 0)
			*found = true;
		if (order <= 0)
			high = middle;
		else
			low = middle + 1;
	}
	return high;
}

const char *sl_model_policy(const struct sl_model *model, const char *name)
{
	bool found;
	size_t at = place_of(model, name, &found);

	return found ? model->named[at].text : NULL;
}

/* Plain decimal, 1..4094; 0: it is not. */
static uint16_t number_of(const char *id)
{
	unsigned long vlan = 0;

	if (id[0] < '1' || id[0] > '9' || strlen(id) > 4)
		return 0;
	for (; *id != '\0'; id++) {
		if (*id < '0' || *id > '9')
			return 0;
		vlan = vlan * 10 + (unsigned long)(*id - '0');
	}
	return vlan <= SL_POLICY_VLAN_MAX ? (uint16_t)vlan : 0;
}

uint16_t sl_model_vlan(const struct sl_model *model, const char *id)
{
	bool plain = strpbrk(id, "\"\\") == NULL; /* then it stands in the text as it is */
	uint16_t vlan = number_of(id);

	for (unsigned i = 1; vlan == 0 && i <= SL_POLICY_VLAN_MAX; i++) {
		const char *text = model->entry[i], *name;
		json_t *entry;

		if (text == NULL || (plain && strstr(text, id) == NULL))
			continue;
		entry = json_loads(text, 0, NULL);
		name = json_string_value(json_object_get(entry, "name"));

		if (name != NULL && strcmp(name, id) == 0)
			vlan = (uint16_t)i;
		json_decref(entry);
	}
	return vlan;
}

int sl_model_set_entry(struct sl_model *model, uint16_t vlan, const char *text)
{
	char *copy = text != NULL ? strdup(text) : NULL;

	if (text != NULL && copy == NULL)
		return -ENOMEM;
	model->sandboxes += (copy != NULL) - (model->entry[vlan] != NULL);
	free(model->entry[vlan]);
	model->entry[vlan] = copy;
	return 0;
}

static int insert(struct sl_model *model, size_t at, const char *name, char *text)
{
	if (model->n_named == model->room_named) {
		size_t room = 2 * model->room_named + 8;
		struct sl_model_named *named = realloc(model->named, room * sizeof(*named));

		if (named == NULL)
			return -ENOMEM;
		model->named = named;
		model->room_named = room;
	}
	memmove(&model->named[at + 1], &model->named[at],
	        (model->n_named - at) * sizeof(*model->named));
	model->named[at].name = strdup(name);
	model->named[at].text = text;
	model->n_named++;
	return model->named[at].name != NULL ? 0 : -ENOMEM;
}

int sl_model_set_policy(struct sl_model *model, const char *name, const char *text)
{
	bool found;
	size_t at = place_of(model, name, &found);
	char *copy = text != NULL ? strdup(text) : NULL;

	if (text != NULL && copy == NULL)
		return -ENOMEM;
	if (!found && copy == NULL)
		return 0;
	if (!found)
		return insert(model, at, name, copy);
	free(model->named[at].text);
	model->named[at].text = copy;
	if (copy == NULL) {
		free(model->named[at].name);
		model->n_named--;
		memmove(&model->named[at], &model->named[at + 1],
		        (model->n_named - at) * sizeof(*model->named));
	}
	return 0;
}

char *sl_model_document(const struct sl_model *model)
{
	char *text = NULL, *key;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const char *comma = "";

	if (out == NULL)
		return NULL;
	fputs(model->n_named > 0 ? "{\"policies\":{" : "{", out);
	for (size_t i = 0; i < model->n_named; i++) {
		json_t *name = json_string(model->named[i].name);

		key = json_dumps(name, JSON_ENCODE_ANY);
		fprintf(out, "%s%s:%s", i > 0 ? "," : "", key, model->named[i].text);
		free(key);
		json_decref(name);
	}
	fputs(model->n_named > 0 ? "},\"sandboxes\":[" : "\"sandboxes\":[", out);
	for (unsigned vlan = 1; vlan <= SL_POLICY_VLAN_MAX; vlan++)
		if (model->entry[vlan] != NULL) {
			fprintf(out, "%s%s", comma, model->entry[vlan]);
			comma = ",";
		}
	fputs("]}", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
