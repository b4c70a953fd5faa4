/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pushes.c: a push, on the control thread: composed, compared, stored, published, answered.
 *
 * The store is written first. A crash before the push is in force leaves what was sent, which is
 * then in force at the next start; a push that is refused after it was stored is taken back.
 */
#include "pushes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "compose.h"
#include "document/policy_json.h"
#include "state/store.h"
#include "tell/log.h"

/* One text of the model that a push sets, or removes (text NULL). */
struct sl_push_change {
	enum sl_store_kind kind;
	uint16_t vlan; /* of a sandbox */
	char *name;    /* of a policy */
	char *text;
};

/* A push that waits for its patterns. The reload has its document until then. */
struct sl_push_waiting {
	struct sl_push_call *call; /* NULL: answered already, the gateway stops */
	struct sl_pushes *pushes;
	struct sl_policy_doc *doc;
	struct sl_push_waiting *next; /* an earlier one */
};

/* ---- what waits ---- */

static bool same_key(const struct sl_push_change *change, enum sl_store_kind kind, uint16_t vlan,
                     const char *name)
{
	return change->kind == kind &&
	       (kind == SL_STORE_SANDBOX ? change->vlan == vlan : strcmp(change->name, name) == 0);
}

/* What the latest push that waits makes of a key: it is stored, but not in force. NULL: none. */
static const struct sl_push_change *find_waiting(const struct sl_pushes *pushes,
                                                 enum sl_store_kind kind, uint16_t vlan,
                                                 const char *name)
{
	for (const struct sl_push_waiting *waiting = pushes->compiling; waiting != NULL;
	     waiting = waiting->next)
		for (size_t i = 0; waiting->call != NULL && i < waiting->call->n_changes; i++)
			if (same_key(&waiting->call->changes[i], kind, vlan, name))
				return &waiting->call->changes[i];
	return NULL;
}

static const char *in_force(const struct sl_pushes *pushes, enum sl_store_kind kind, uint16_t vlan,
                            const char *name)
{
	return kind == SL_STORE_SANDBOX ? pushes->model->entry[vlan]
	                                : sl_model_policy(pushes->model, name);
}

/* What is to be in the store while this key's pushes wait. */
static const char *newest(const struct sl_pushes *pushes, enum sl_store_kind kind, uint16_t vlan,
                          const char *name)
{
	const struct sl_push_change *change = find_waiting(pushes, kind, vlan, name);

	return change != NULL ? change->text : in_force(pushes, kind, vlan, name);
}

const char *sl_pushes_entry(const struct sl_pushes *pushes, uint16_t vlan)
{
	return newest(pushes, SL_STORE_SANDBOX, vlan, NULL);
}

const char *sl_pushes_policy(const struct sl_pushes *pushes, const char *name)
{
	return newest(pushes, SL_STORE_POLICY, 0, name);
}

static void free_change(struct sl_push_change *change)
{
	free(change->name);
	free(change->text);
}

/* Pushes that came before this one, and still wait, no longer set what it has set. */
static void overtake(const struct sl_push_call *call, const struct sl_push_change *change)
{
	for (struct sl_push_waiting *waiting = call->pushes->compiling; waiting != NULL;
	     waiting = waiting->next) {
		struct sl_push_call *other = waiting->call;
		size_t kept = 0;

		if (other == NULL || other->order > call->order)
			continue;
		for (size_t i = 0; i < other->n_changes; i++)
			if (same_key(&other->changes[i], change->kind, change->vlan, change->name))
				free_change(&other->changes[i]);
			else
				other->changes[kept++] = other->changes[i];
		other->n_changes = kept;
	}
}

/* ---- what changes ---- */

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/*
 * Notes a change, unless it is none. Takes over the text. What is in force is a change as well
 * while another push waits to replace it: this one is the later of the two.
 */
static int note(struct sl_push_call *call, enum sl_store_kind kind, uint16_t vlan, const char *name,
                char *text)
{
	const struct sl_pushes *pushes = call->pushes;
	bool waits = !call->dry_run && find_waiting(pushes, kind, vlan, name) != NULL;
	struct sl_push_change *changes;

	if (!waits && same_text(in_force(pushes, kind, vlan, name), text)) {
		free(text);
		return 0;
	}
	changes = realloc(call->changes, (call->n_changes + 1) * sizeof(*changes));
	if (changes == NULL) {
		free(text);
		return -ENOMEM;
	}
	call->changes = changes;
	changes[call->n_changes++] = (struct sl_push_change){
	        .kind = kind,
	        .vlan = vlan,
	        .name = name != NULL ? strdup(name) : NULL,
	        .text = text,
	};
	return 0;
}

static char *text_of(json_t *value)
{
	char *text = value != NULL ? sl_policy_json_text(value) : NULL;

	json_decref(value);
	return text;
}

static int note_entries(struct sl_push_call *call, bool seen[SL_POLICY_VLAN_MAX + 1])
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < call->doc->n_entries; i++) {
		const struct sl_policy_entry *entry = &call->doc->entries[i];
		char *text = text_of(sl_policy_json_entry(entry));

		seen[entry->vlan] = true;
		ret = text == NULL ? -ENOMEM
		                   : note(call, SL_STORE_SANDBOX, entry->vlan, NULL, text);
	}
	for (size_t i = 0; ret == 0 && i < call->patch.n_gone; i++)
		ret = note(call, SL_STORE_SANDBOX, call->gone[i], NULL, NULL);
	return ret;
}

static int note_policies(struct sl_push_call *call)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < call->doc->n_named; i++) {
		const struct sl_policy *policy = &call->doc->named[i];
		char *text = text_of(sl_policy_json_value(policy));

		ret = text == NULL ? -ENOMEM : note(call, SL_STORE_POLICY, 0, policy->name, text);
	}
	return ret;
}

static bool is_named(const struct sl_push_call *call, const char *name)
{
	for (size_t i = 0; i < call->doc->n_named; i++)
		if (strcmp(call->doc->named[i].name, name) == 0)
			return true;
	return false;
}

/* Policies that only pushes know which wait. */
static int note_absent_waiting(struct sl_push_call *call)
{
	int ret = 0;

	for (const struct sl_push_waiting *waiting = call->pushes->compiling; waiting != NULL;
	     waiting = waiting->next)
		for (size_t i = 0; waiting->call != NULL && i < waiting->call->n_changes; i++) {
			const struct sl_push_change *change = &waiting->call->changes[i];

			if (ret == 0 && change->kind == SL_STORE_POLICY &&
			    !is_named(call, change->name))
				ret = note(call, SL_STORE_POLICY, 0, change->name, NULL);
		}
	return ret;
}

/* What a whole document does not speak of is removed. */
static int note_absent(struct sl_push_call *call, const bool seen[SL_POLICY_VLAN_MAX + 1])
{
	const struct sl_model *model = call->pushes->model;
	int ret = 0;

	for (unsigned vlan = 1; ret == 0 && vlan <= SL_POLICY_VLAN_MAX; vlan++)
		if (!seen[vlan])
			ret = note(call, SL_STORE_SANDBOX, (uint16_t)vlan, NULL, NULL);
	for (size_t i = 0; ret == 0 && i < model->n_named; i++)
		if (!is_named(call, model->named[i].name))
			ret = note(call, SL_STORE_POLICY, 0, model->named[i].name, NULL);
	return ret == 0 && !call->dry_run ? note_absent_waiting(call) : ret;
}

static int note_all(struct sl_push_call *call)
{
	bool seen[SL_POLICY_VLAN_MAX + 1] = {false};
	int ret = note_entries(call, seen);

	if (ret == 0 && call->op == SL_PUSH_DOCUMENT)
		ret = note_absent(call, seen);
	if (ret == 0 && (call->op == SL_PUSH_DOCUMENT || call->op == SL_PUSH_POLICY))
		ret = note_policies(call);
	if (ret == 0 && call->op == SL_PUSH_POLICY_REMOVE)
		ret = note(call, SL_STORE_POLICY, 0, call->id, NULL);
	return ret;
}

static int set_model(struct sl_model *model, const struct sl_push_change *change)
{
	return change->kind == SL_STORE_SANDBOX
	               ? sl_model_set_entry(model, change->vlan, change->text)
	               : sl_model_set_policy(model, change->name, change->text);
}

static void apply(struct sl_push_call *call)
{
	struct sl_model *model = call->pushes->model;
	int ret = 0;

	pthread_mutex_lock(&model->lock);
	for (size_t i = 0; i < call->n_changes; i++)
		ret |= set_model(model, &call->changes[i]);
	model->generation = call->push.generation;
	pthread_mutex_unlock(&model->lock);
	for (size_t i = 0; i < call->n_changes; i++)
		overtake(call, &call->changes[i]);
	if (ret != 0)
		sl_log(SL_LOG_ERROR, "no memory to show generation %llu by the API",
		       (unsigned long long)call->push.generation);
}

/* ---- the store ---- */

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int store_one(struct sl_store *store, const struct sl_push_change *change, const char *text)
{
	char number[8];
	const char *key = change->name;

	if (change->kind == SL_STORE_SANDBOX) {
		snprintf(number, sizeof(number), "%u", change->vlan);
		key = number;
	}
	return text != NULL ? sl_store_set(store, change->kind, key, text)
	                    : sl_store_remove(store, change->kind, key);
}

/* Writes a call's changes, or (back) in their place what waits or is in force. */
static int store_changes(const struct sl_push_call *call, bool back)
{
	struct sl_pushes *pushes = call->pushes;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < call->n_changes; i++) {
		const struct sl_push_change *change = &call->changes[i];
		const char *text = back ? newest(pushes, change->kind, change->vlan, change->name)
		                        : change->text;

		ret = store_one(pushes->store, change, text);
	}
	return ret;
}

/* A push that was stored is not in force: what was stored before is stored again. */
static void store_back(struct sl_push_call *call)
{
	struct sl_store *store = call->pushes->store;
	int ret = sl_store_begin(store);

	if (ret == 0)
		ret = store_changes(call, true);
	if (ret == 0)
		ret = sl_store_commit(store);
	if (ret == 0)
		return;
	sl_log(SL_LOG_ERROR, "a push that was refused cannot be taken out of the state: %s",
	       sl_store_error(store));
	sl_store_cancel(store);
}

/* ---- answers ---- */

static void refuse(struct sl_push_call *call, int status, const char *problem, const char *detail)
{
	call->status = status;
	call->problem = problem;
	if (detail != NULL)
		snprintf(call->detail, sizeof(call->detail), "%s", detail);
}

static void refuse_errno(struct sl_push_call *call, int ret)
{
	switch (ret) {
	case -ENOENT:
		refuse(call, 404, "not-found", "there is no such sandbox or policy");
		return;
	case -EBUSY:
		refuse(call, 409, "policy-in-use", NULL);
		return;
	case -EINVAL:
		refuse(call, 422, "invalid-document", "the document has mistakes");
		return;
	case -EPERM:
		refuse(call, 403, "not-yours",
		       "control.tls.clients does not let this client push that");
		return;
	case -ENOSPC:
		refuse(call, 507, "no-room", "the address tables have no room for it");
		return;
	case -ETIMEDOUT:
		refuse(call, 504, "worker-late", "a worker has not taken the policy");
		return;
	case -ECANCELED:
		refuse(call, 409, "overtaken", "a later push has set all its sandboxes");
		return;
	default:
		refuse(call, 500, "no-memory", strerror(-ret));
	}
}

static void answer(struct sl_push_call *call)
{
	struct sl_pushes *pushes = call->pushes;

	for (size_t i = 0; i < call->n_changes; i++)
		free_change(&call->changes[i]);
	free(call->changes);
	sl_policy_doc_free(call->doc);
	call->changes = NULL;
	call->doc = NULL;
	pthread_mutex_lock(&pushes->lock);
	call->done = true;
	pthread_cond_broadcast(&pushes->answered);
	pthread_mutex_unlock(&pushes->lock);
}

static void say(const struct sl_push_call *call)
{
	if (call->problem != NULL)
		sl_log(SL_LOG_WARNING, "push refused (%s): %s: %s", call->who, call->problem,
		       call->detail);
	else
		sl_log(SL_LOG_INFO,
		       "policy generation %llu enforced: %u sandbox%s changed, %llu us (%s)",
		       (unsigned long long)call->push.generation, call->push.sandboxes_changed,
		       call->push.sandboxes_changed == 1 ? "" : "es",
		       (unsigned long long)call->push.total_us, call->who);
}

/* The reload's answer to a push that was stored. */
static void settle(struct sl_push_call *call, int ret)
{
	struct sl_pushes *pushes = call->pushes;

	/* in force, for all or for all but a late worker; or refused, as that worker is late still
	 */
	if (ret == 0 || (ret == -ETIMEDOUT && call->push.changed))
		apply(call);
	else
		store_back(call);
	if (ret != 0)
		refuse_errno(call, ret);
	say(call);
	if (call->push.changed && pushes->enforced != NULL)
		pushes->enforced(pushes->ctx);
	if (ret == 0 && pushes->pushed != NULL)
		pushes->pushed(pushes->ctx, &call->push, call->who,
		               call->hash[0] != '\0' ? call->hash : NULL);
	answer(call);
}

static void forget_waiting(struct sl_push_waiting *waiting)
{
	struct sl_push_waiting **link = &waiting->pushes->compiling;

	while (*link != NULL && *link != waiting)
		link = &(*link)->next;
	if (*link == waiting)
		*link = waiting->next;
	free(waiting);
}

static void take_diag(struct sl_push_call *call, const struct sl_diag *diag)
{
	for (size_t i = 0; diag != &call->diag && i < diag->n; i++)
		sl_diag_error(&call->diag, "push", 0, 0, "%s", diag->entries[i].text);
}

static void compiled(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	struct sl_push_waiting *waiting = ctx;
	struct sl_push_call *call = waiting->call;

	if (call == NULL)
		sl_policy_doc_free(waiting->doc);
	forget_waiting(waiting);
	if (call == NULL)
		return;
	call->push = *push;
	take_diag(call, diag);
	settle(call, ret);
}

static void publish(struct sl_push_call *call)
{
	struct sl_push_waiting *waiting = malloc(sizeof(*waiting));
	struct sl_reload_job job = {.doc = call->doc, .done = compiled, .ctx = waiting};
	int ret;

	call->order = ++call->pushes->published;
	if (waiting == NULL) {
		settle(call, -ENOMEM);
		return;
	}
	*waiting = (struct sl_push_waiting){call, call->pushes, call->doc, NULL};
	if (call->op != SL_PUSH_DOCUMENT)
		job.patch = &call->patch;
	ret = sl_reload_submit(call->pushes->reload, &job, &call->diag, &call->push);
	if (ret == -EINPROGRESS) {
		waiting->next = call->pushes->compiling;
		call->pushes->compiling = waiting;
		return;
	}
	free(waiting);
	settle(call, ret);
}

/* ---- one call ---- */

static json_t *would_change(const struct sl_push_call *call)
{
	json_t *list = json_array();

	for (size_t i = 0; i < call->n_changes; i++) {
		const struct sl_push_change *change = &call->changes[i];
		const struct sl_model *model = call->pushes->model;
		bool sandbox = change->kind == SL_STORE_SANDBOX;
		const char *old =
		        sandbox ? model->entry[change->vlan] : sl_model_policy(model, change->name);
		json_t *item = json_object();

		if (sandbox)
			json_object_set_new(item, "vlan", json_integer(change->vlan));
		else
			json_object_set_new(item, "policy", json_string(change->name));
		json_object_set_new(item, "from",
		                    old != NULL ? json_loads(old, JSON_DECODE_ANY, NULL)
		                                : json_null());
		json_object_set_new(item, "to",
		                    change->text != NULL
		                            ? json_loads(change->text, JSON_DECODE_ANY, NULL)
		                            : json_null());
		json_array_append_new(list, item);
	}
	return list;
}

/* It has that name already. */
static bool has_name(const struct sl_push_call *call, const struct sl_policy_entry *entry)
{
	const char *name = sl_reload_name(call->pushes->reload, entry->vlan);

	return name != NULL && strcmp(name, entry->name) == 0;
}

static bool changes_vlan(const struct sl_push_call *call, uint16_t vlan)
{
	for (size_t i = 0; i < call->n_changes; i++)
		if (same_key(&call->changes[i], SL_STORE_SANDBOX, vlan, NULL))
			return true;
	return false;
}

/*
 * A name that another sandbox has, which the push does not deal with. The reload refuses that too,
 * but by then the push is stored: a start after a crash would find a document with a mistake.
 */
static int check_name(struct sl_push_call *call, const struct sl_policy_entry *entry)
{
	for (uint16_t vlan = 1; vlan <= SL_POLICY_VLAN_MAX; vlan++) {
		const char *name = sl_reload_name(call->pushes->reload, vlan);

		if (vlan == entry->vlan || name == NULL || strcmp(name, entry->name) != 0 ||
		    changes_vlan(call, vlan))
			continue;
		sl_diag_error(&call->diag, "push", 0, 0,
		              "the sandbox of VLAN %u is named \"%s\", as that of VLAN %u is",
		              entry->vlan, entry->name, vlan);
		return -EINVAL;
	}
	return 0;
}

static int check_names(struct sl_push_call *call)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < call->n_changes; i++) {
		const struct sl_push_change *change = &call->changes[i];
		const struct sl_policy_entry *entry =
		        change->kind == SL_STORE_SANDBOX && change->text != NULL
		                ? sl_policy_doc_find(call->doc, change->vlan)
		                : NULL;

		if (entry != NULL && entry->name != NULL && !has_name(call, entry))
			ret = check_name(call, entry);
	}
	return ret;
}

/* A caller that is bound to VLANs sets nothing that others share, whatever is there. */
static int check_op(const struct sl_push_call *call)
{
	bool shared = call->op == SL_PUSH_DOCUMENT || call->op == SL_PUSH_POLICY ||
	              call->op == SL_PUSH_POLICY_REMOVE;

	return call->may != NULL && shared ? -EPERM : 0;
}

/* And of sandboxes only those of its VLANs. */
static int check_vlans(const struct sl_push_call *call)
{
	const struct sl_vlan_set *may = call->may;

	if (may == NULL)
		return 0;
	for (size_t i = 0; i < call->doc->n_entries; i++)
		if (!sl_vlan_set_has(may, call->doc->entries[i].vlan))
			return -EPERM;
	for (size_t i = 0; i < call->patch.n_gone; i++)
		if (!sl_vlan_set_has(may, call->gone[i]))
			return -EPERM;
	return 0;
}

/* Of what is enforced once the push is: names of policies are resolved. */
static int take_hash(struct sl_push_call *call)
{
	bool one = call->op == SL_PUSH_SANDBOX || call->op == SL_PUSH_SANDBOX_POLICY ||
	           call->op == SL_PUSH_SANDBOX_NETWORK;

	return !one || sl_policy_json_hash(call->doc->entries[0].policy, call->hash) ? 0 : -ENOMEM;
}

/* Composes and compares a push. True: it is to be stored and published. False: it is answered. */
static bool prepare(struct sl_push_call *call)
{
	struct sl_pushes *pushes = call->pushes;
	int ret;

	call->status = 200;
	call->push.generation = sl_reload_number(pushes->reload);
	if (call->has_match && call->match != call->push.generation) {
		refuse(call, 412, "generation-changed", NULL);
		snprintf(call->detail, sizeof(call->detail), "generation %llu is in force",
		         (unsigned long long)call->push.generation);
		answer(call);
		return false;
	}
	ret = check_op(call);
	if (ret == 0)
		ret = sl_compose(pushes->model, call);
	if (ret == 0)
		ret = check_vlans(call);
	if (ret == 0)
		ret = note_all(call);
	if (ret == 0)
		ret = check_names(call);
	if (ret == 0)
		ret = take_hash(call);
	if (ret != 0)
		refuse_errno(call, ret);
	else if (call->dry_run)
		call->would_change = would_change(call);
	else if (call->n_changes > 0)
		return true;
	answer(call);
	return false;
}

/* ---- pushes that come together ---- */

/*
 * They share one commit, since that is what takes long. Only pushes of different sandboxes that do
 * not depend on the generation are stored together: each was composed with what is in force.
 */
struct batch {
	struct sl_pushes *pushes;
	struct sl_push_call *first, **last;
	bool taken[SL_POLICY_VLAN_MAX + 1];
};

static void begin_batch(struct batch *batch, struct sl_pushes *pushes)
{
	memset(batch, 0, sizeof(*batch));
	batch->pushes = pushes;
	batch->last = &batch->first;
}

static int store_batch(const struct batch *batch)
{
	struct sl_store *store = batch->pushes->store;
	int ret = sl_store_begin(store);

	for (const struct sl_push_call *call = batch->first; ret == 0 && call != NULL;
	     call = call->next)
		ret = store_changes(call, false);
	return ret == 0 ? sl_store_commit(store) : ret;
}

static void refuse_stored(struct sl_push_call *call)
{
	refuse(call, 507, "not-durable", NULL);
	snprintf(call->detail, sizeof(call->detail), "the state cannot be written: %s",
	         sl_store_error(call->pushes->store));
}

/* Stores and publishes what is in the batch, and empties it. */
static void end_batch(struct batch *batch)
{
	uint64_t began = now_us();
	struct sl_push_call *next;
	bool stored;

	if (batch->first == NULL)
		return;
	stored = store_batch(batch) == 0;
	for (struct sl_push_call *call = batch->first; !stored && call != NULL; call = call->next)
		refuse_stored(call);
	if (!stored)
		sl_store_cancel(batch->pushes->store);
	for (struct sl_push_call *call = batch->first; call != NULL; call = next) {
		next = call->next; /* a call that is answered is its caller's */
		call->store_us = now_us() - began;
		if (stored) {
			publish(call);
			continue;
		}
		say(call);
		answer(call);
	}
	begin_batch(batch, batch->pushes);
}

/* The VLAN of the one sandbox that the push is about, if it may be stored with others; or 0. */
static uint16_t single_vlan(const struct sl_push_call *call)
{
	bool single = call->op == SL_PUSH_SANDBOX || call->op == SL_PUSH_SANDBOX_POLICY ||
	              call->op == SL_PUSH_SANDBOX_NETWORK || call->op == SL_PUSH_SANDBOX_REMOVE;

	return single && !call->dry_run && !call->has_match
	               ? sl_model_vlan(call->pushes->model, call->id)
	               : 0;
}

/* Whether one that is in the batch gives its sandbox the same name. */
static bool meets_name(const struct batch *batch, const struct sl_push_call *call)
{
	const char *name = call->doc->n_entries > 0 ? call->doc->entries[0].name : NULL;

	for (const struct sl_push_call *other = batch->first; name != NULL && other != NULL;
	     other = other->next)
		if (other->doc->n_entries > 0 && other->doc->entries[0].name != NULL &&
		    strcmp(other->doc->entries[0].name, name) == 0)
			return true;
	return false;
}

static void add_to_batch(struct batch *batch, struct sl_push_call *call)
{
	uint16_t vlan = single_vlan(call);

	if (vlan == 0 || batch->taken[vlan])
		end_batch(batch);
	if (!prepare(call))
		return;
	if (meets_name(batch, call)) {
		end_batch(batch);
		if (check_names(call) != 0) {
			refuse_errno(call, -EINVAL);
			answer(call);
			return;
		}
	}
	if (call->op == SL_PUSH_SANDBOX &&
	    call->pushes->model->entry[call->doc->entries[0].vlan] == NULL)
		call->status = 201;
	*batch->last = call;
	batch->last = &call->next;
	batch->taken[vlan] = true;
	if (vlan == 0)
		end_batch(batch);
}

/* ---- between threads ---- */

int sl_pushes_init(struct sl_pushes *pushes)
{
	pushes->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pushes->fd < 0)
		return -errno;
	pthread_mutex_init(&pushes->lock, NULL);
	pthread_cond_init(&pushes->answered, NULL);
	pushes->last = &pushes->first;
	return 0;
}

void sl_pushes_fini(struct sl_pushes *pushes)
{
	if (pushes->last == NULL)
		return;
	close(pushes->fd);
	pthread_mutex_destroy(&pushes->lock);
	pthread_cond_destroy(&pushes->answered);
}

void sl_pushes_call(struct sl_pushes *pushes, struct sl_push_call *call)
{
	const uint64_t one = 1;

	call->pushes = pushes;
	call->next = NULL;
	call->done = false;
	sl_diag_init(&call->diag);
	if (pushes->store == NULL && !call->dry_run) {
		refuse(call, 409, "policy-from-file",
		       "the policy is the file's that the gateway's config names; write it there");
		return;
	}
	pthread_mutex_lock(&pushes->lock);
	if (pushes->ending) {
		refuse(call, 503, "shutting-down", "the gateway is stopping");
		call->done = true;
	} else {
		*pushes->last = call;
		pushes->last = &call->next;
		if (write(pushes->fd, &one, sizeof(one)) < 0)
			sl_log(SL_LOG_ERROR, "the control thread cannot be woken: %s",
			       strerror(errno));
	}
	while (!call->done)
		pthread_cond_wait(&pushes->answered, &pushes->lock);
	pthread_mutex_unlock(&pushes->lock);
}

/* What was asked so far: a list. Later calls wait for the next turn, so that a turn ends. */
static struct sl_push_call *take_calls(struct sl_pushes *pushes)
{
	struct sl_push_call *first;

	pthread_mutex_lock(&pushes->lock);
	first = pushes->first;
	pushes->first = NULL;
	pushes->last = &pushes->first;
	pthread_mutex_unlock(&pushes->lock);
	return first;
}

void sl_pushes_poll(struct sl_pushes *pushes)
{
	struct sl_push_call *call, *next;
	struct batch batch;
	uint64_t count;

	if (pushes->last == NULL || read(pushes->fd, &count, sizeof(count)) < 0)
		return;
	begin_batch(&batch, pushes);
	for (call = take_calls(pushes); call != NULL; call = next) {
		next = call->next;
		call->next = NULL;
		add_to_batch(&batch, call);
	}
	end_batch(&batch);
}

void sl_pushes_end(struct sl_pushes *pushes)
{
	struct sl_push_call *call, *next;

	if (pushes->last == NULL)
		return;
	pthread_mutex_lock(&pushes->lock);
	pushes->ending = true;
	pthread_mutex_unlock(&pushes->lock);
	for (call = take_calls(pushes); call != NULL; call = next) {
		next = call->next; /* a call that is answered is its caller's */
		refuse(call, 503, "shutting-down", "the gateway is stopping");
		answer(call);
	}
	for (struct sl_push_waiting *waiting = pushes->compiling; waiting != NULL;
	     waiting = waiting->next) {
		call = waiting->call;
		waiting->call = NULL;
		call->doc = NULL; /* the reload gives it back */
		refuse(call, 503, "shutting-down", "the gateway is stopping");
		answer(call);
	}
}

int sl_pushes_took(struct sl_pushes *pushes, const struct sl_policy_doc *doc)
{
	struct sl_push_call call = {
	        .op = SL_PUSH_DOCUMENT,
	        .pushes = pushes,
	        .doc = (struct sl_policy_doc *)doc,
	        .push = {.generation = sl_reload_number(pushes->reload)},
	};
	int ret = note_all(&call);

	if (ret == 0)
		apply(&call);
	for (size_t i = 0; i < call.n_changes; i++)
		free_change(&call.changes[i]);
	free(call.changes);
	return ret;
}
