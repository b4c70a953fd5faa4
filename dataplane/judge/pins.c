/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pins.c: which name's DNS answer gave which address to which sandbox (spec section 4). Decides
 * whether an address is open to a sandbox and to a name; must never say yes without a live pin.
 *
 * Bounded per sandbox and per worker: if there is no room, the sandbox's own least recently used
 * pin is freed; a sandbox never evicts another one's pin. An address that could not be pinned for
 * lack of room stays closed.
 *
 * Both tables are hashed with the worker's secret, and the names of one address are walked at most
 * once in a policy epoch: thousands of names that point at one address slow no other sandbox down.
 */
#include "pins.h"

#include <rte_common.h>

#include "sluice/ask.h"

#include "flow/names.h"
#include "name.h"
#include "core/state.h"

#define TTL_MAX_S    86400
#define PASS_US      10000000 /* one sweep over the table */
#define SWEEP_BUDGET 256      /* pins looked at in one turn */

/* ---- the tables ---- */

bool sl_pins_create(struct sl_worker *worker, uint32_t capacity)
{
	uint32_t buckets = rte_align32pow2(RTE_MAX(capacity, 16u));

	worker->pin_mask = buckets - 1;
	worker->pin_buckets = sl_pool_reserve(buckets * sizeof(uint32_t));
	worker->pin_address_buckets = sl_pool_reserve(buckets * sizeof(uint32_t));
	return worker->pin_buckets != NULL && worker->pin_address_buckets != NULL &&
	       sl_pool_create(&worker->pins, sizeof(struct sl_pin), capacity) &&
	       sl_pool_create(&worker->pin_addresses, sizeof(struct sl_pin_address), capacity);
}

void sl_pins_destroy(struct sl_worker *worker)
{
	size_t bytes = ((size_t)worker->pin_mask + 1) * sizeof(uint32_t);

	sl_pool_release(worker->pin_buckets, bytes);
	sl_pool_release(worker->pin_address_buckets, bytes);
	if (worker->pins.base != NULL)
		sl_pool_destroy(&worker->pins);
	if (worker->pin_addresses.base != NULL)
		sl_pool_destroy(&worker->pin_addresses);
}

static struct sl_pin *pin_at(const struct sl_worker *worker, uint32_t index)
{
	return sl_pool_at(&worker->pins, index);
}

static struct sl_pin_address *address_at(const struct sl_worker *worker, uint32_t index)
{
	return sl_pool_at(&worker->pin_addresses, index);
}

/* The folded product of two words, keyed: sandboxes choose addresses and names. */
static uint32_t hash_words(const struct sl_worker *worker, uint64_t a, uint64_t b)
{
	const uint64_t *secret = worker->table.secret;
	unsigned __int128 product = (unsigned __int128)(a ^ secret[1]) * (b ^ secret[3]);
	uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);

	return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t address_hash(const struct sl_worker *worker, uint16_t vlan, uint32_t incarnation,
                             const struct sl_addr *addr)
{
	uint64_t half[2];

	memcpy(half, addr->bytes, sizeof(half));
	return hash_words(worker,
	                  half[0] ^ (uint64_t)hash_words(worker, half[1], addr->family) << 16,
	                  (uint64_t)incarnation << 16 | vlan);
}

static uint32_t address_find(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_addr *addr)
{
	uint32_t hash = address_hash(worker, sandbox->vlan, sandbox->incarnation, addr);
	uint32_t index = worker->pin_address_buckets[hash & worker->pin_mask];

	while (index != 0) {
		const struct sl_pin_address *address = address_at(worker, index);

		if (address->hash == hash && address->vlan == sandbox->vlan &&
		    address->incarnation == sandbox->incarnation &&
		    sl_addr_equal(&address->addr, addr))
			return index;
		index = address->next;
	}
	return 0;
}

static uint32_t address_make(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_addr *addr)
{
	uint32_t index = sl_pool_get(&worker->pin_addresses), *bucket;
	struct sl_pin_address *address;

	if (index == 0)
		return 0;
	address = address_at(worker, index);
	*address = (struct sl_pin_address){
	        .hash = address_hash(worker, sandbox->vlan, sandbox->incarnation, addr),
	        .incarnation = sandbox->incarnation,
	        .vlan = sandbox->vlan,
	        .addr = *addr,
	};
	bucket = &worker->pin_address_buckets[address->hash & worker->pin_mask];
	address->next = *bucket;
	*bucket = index;
	return index;
}

/* Frees an address that has no pin left. */
static void address_free(struct sl_worker *worker, uint32_t index)
{
	struct sl_pin_address *address = address_at(worker, index);
	uint32_t *link = &worker->pin_address_buckets[address->hash & worker->pin_mask];

	while (*link != index)
		link = &address_at(worker, *link)->next;
	*link = address->next;
	sl_pool_put(&worker->pin_addresses, index);
}

static uint32_t pin_find(const struct sl_worker *worker, uint32_t address, uint32_t name)
{
	uint32_t hash = hash_words(worker, address, name);
	uint32_t index = worker->pin_buckets[hash & worker->pin_mask];

	while (index != 0) {
		const struct sl_pin *pin = pin_at(worker, index);

		if (pin->address == address && pin->name == name)
			return index;
		index = pin->next;
	}
	return 0;
}

/* ---- order by last use ---- */

static void use_unlink(struct sl_worker *worker, struct sl_vlan *vlan, struct sl_pin *pin)
{
	if (pin->older != 0)
		pin_at(worker, pin->older)->newer = pin->newer;
	else
		vlan->pin_oldest = pin->newer;
	if (pin->newer != 0)
		pin_at(worker, pin->newer)->older = pin->older;
	else
		vlan->pin_newest = pin->older;
}

static void use_append(struct sl_worker *worker, struct sl_vlan *vlan, uint32_t index)
{
	struct sl_pin *pin = pin_at(worker, index);

	pin->newer = 0;
	pin->older = vlan->pin_newest;
	if (vlan->pin_newest != 0)
		pin_at(worker, vlan->pin_newest)->newer = index;
	else
		vlan->pin_oldest = index;
	vlan->pin_newest = index;
}

static void use(struct sl_worker *worker, uint16_t number, uint32_t index)
{
	struct sl_vlan *vlan = &worker->vlans[number];

	if (vlan->pin_newest == index)
		return;
	use_unlink(worker, vlan, pin_at(worker, index));
	use_append(worker, vlan, index);
}

/* ---- pins of one address ---- */

static void sibling_unlink(struct sl_worker *worker, struct sl_pin_address *address,
                           struct sl_pin *pin)
{
	if (pin->sibling_prev != 0)
		pin_at(worker, pin->sibling_prev)->sibling_next = pin->sibling_next;
	else
		address->first = pin->sibling_next;
	if (pin->sibling_next != 0)
		pin_at(worker, pin->sibling_next)->sibling_prev = pin->sibling_prev;
}

static void sibling_prepend(struct sl_worker *worker, struct sl_pin_address *address,
                            uint32_t index)
{
	struct sl_pin *pin = pin_at(worker, index);

	pin->sibling_prev = 0;
	pin->sibling_next = address->first;
	if (address->first != 0)
		pin_at(worker, address->first)->sibling_prev = index;
	address->first = index;
}

static void pin_free(struct sl_worker *worker, uint32_t index)
{
	struct sl_pin *pin = pin_at(worker, index);
	struct sl_pin_address *address = address_at(worker, pin->address);
	struct sl_vlan *vlan = &worker->vlans[address->vlan];
	uint32_t *link = &worker->pin_buckets[pin->hash & worker->pin_mask];

	while (*link != index)
		link = &pin_at(worker, *link)->next;
	*link = pin->next;
	use_unlink(worker, vlan, pin);
	sibling_unlink(worker, address, pin);
	if (address->first == 0)
		address_free(worker, pin->address);
	sl_names_drop(worker, pin->name);
	pin->address = 0; /* marks it as free for the sweep */
	sl_pool_put(&worker->pins, index);
	vlan->pins--;
	worker->stats->pins--;
}

/* ---- lookups ---- */

bool sl_pins_apply(const struct sl_worker *worker, const struct sl_sandbox *sandbox)
{
	return worker->settings->pinning != SL_PINNING_OFF && !worker->settings->resolver_any &&
	       sandbox->mode == SL_MODE_CUSTOM && sandbox->patterns != NULL &&
	       !sandbox->patterns->any;
}

/* True if the current policy allows the pin's name; judged once in an epoch. */
static bool pin_allowed(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                        struct sl_pin *pin)
{
	if (pin->epoch != sandbox->epoch) {
		const struct sl_name *name = sl_names_at(worker, pin->name);

		pin->allowed = sl_judge_allows(worker, sandbox, name->text, name->len);
		pin->epoch = sandbox->epoch;
	}
	return pin->allowed;
}

/* Never shortens its lifetime. */
static void live_for(const struct sl_worker *worker, struct sl_pin *pin, uint32_t left_s)
{
	pin->expires_us = RTE_MAX(pin->expires_us, worker->now_us + left_s * 1000000ull);
}

/* Restarts its lifetime. */
static void renew(const struct sl_worker *worker, struct sl_pin *pin)
{
	live_for(worker, pin, pin->life_s);
}

/* Makes it the first to be found, and the last to be evicted. */
static void prefer(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                   struct sl_pin_address *address, uint32_t index)
{
	sibling_unlink(worker, address, pin_at(worker, index));
	sibling_prepend(worker, address, index);
	use(worker, sandbox->vlan, index);
}

bool sl_pins_open(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                  const struct sl_addr *addr)
{
	uint32_t index = address_find(worker, sandbox, addr), next;
	struct sl_pin_address *address;

	if (index == 0)
		return false;
	address = address_at(worker, index);
	if (address->closed_epoch == sandbox->epoch)
		return false;
	for (index = address->first; index != 0; index = next) {
		struct sl_pin *pin = pin_at(worker, index);

		next = pin->sibling_next;
		if (worker->now_us >= pin->expires_us || !pin_allowed(worker, sandbox, pin))
			continue;
		prefer(worker, sandbox, address, index);
		return true;
	}
	address->closed_epoch = sandbox->epoch;
	return false;
}

/* The rules of by-address that the pin's name matches; judged once in an epoch. */
static uint64_t pin_rules(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                          struct sl_pin *pin)
{
	const struct sl_name *name = sl_names_at(worker, pin->name);

	if (pin->rules_epoch == sandbox->epoch)
		return pin->rules;
	pin->rules = 0;
	pin->rules_epoch = sandbox->epoch;
	for (unsigned i = 0; i < sandbox->pin_rule_count; i++)
		if (sl_judge_rule_fits(worker, sandbox, i, name->text, name->len))
			pin->rules |= 1ull << i;
	return pin->rules;
}

/* A name that was not found before may be there from now on. */
static void reopen_rules(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                         struct sl_pin *pin)
{
	struct sl_pin_address *address = address_at(worker, pin->address);

	if (sandbox->pin_rule_count > 0 && address->closed_rules_epoch == sandbox->epoch)
		address->closed_rules &= ~pin_rules(worker, sandbox, pin);
}

static void close_rule(const struct sl_sandbox *sandbox, struct sl_pin_address *address,
                       uint64_t bit)
{
	if (address->closed_rules_epoch != sandbox->epoch)
		address->closed_rules = 0;
	address->closed_rules_epoch = sandbox->epoch;
	address->closed_rules |= bit;
}

uint32_t sl_pins_open_rule(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                           const struct sl_addr *addr, unsigned rule)
{
	uint32_t index = address_find(worker, sandbox, addr), next;
	uint64_t bit = 1ull << rule;
	struct sl_pin_address *address;

	if (index == 0)
		return 0;
	address = address_at(worker, index);
	if (address->closed_rules_epoch == sandbox->epoch && (address->closed_rules & bit))
		return 0;
	for (index = address->first; index != 0; index = next) {
		struct sl_pin *pin = pin_at(worker, index);

		next = pin->sibling_next;
		if (worker->now_us >= pin->expires_us || !(pin_rules(worker, sandbox, pin) & bit))
			continue;
		prefer(worker, sandbox, address, index);
		renew(worker, pin);
		return pin->name;
	}
	close_rule(sandbox, address, bit);
	return 0;
}

bool sl_pins_tie(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                 const struct sl_addr *addr, const char *name, size_t len)
{
	uint32_t address = address_find(worker, sandbox, addr), known, index;

	if (address == 0)
		return false;
	known = sl_names_take(worker, name, len);
	if (known == 0)
		return false;
	index = pin_find(worker, address, known);
	sl_names_drop(worker, known);
	if (index == 0 || worker->now_us >= pin_at(worker, index)->expires_us)
		return false;
	use(worker, sandbox->vlan, index);
	renew(worker, pin_at(worker, index));
	return true;
}

/* ---- adding ---- */

/*
 * Makes room for one more pin of the sandbox, by freeing its least recently used one if need be.
 */
static bool make_room(struct sl_worker *worker, struct sl_vlan *vlan)
{
	bool full =
	        vlan->pins >= worker->settings->pins_per_sandbox ||
	        !sl_shared_room(worker, worker->pins.capacity, worker->pins.used, vlan->pins, 1);

	if (!full)
		return true;
	if (vlan->pin_oldest == 0)
		return false;
	pin_free(worker, vlan->pin_oldest);
	return true;
}

static uint32_t pin_make(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                         uint32_t address, uint32_t name)
{
	struct sl_vlan *vlan = &worker->vlans[sandbox->vlan];
	uint32_t index = sl_pool_get(&worker->pins), *bucket;
	struct sl_pin *pin;

	if (index == 0)
		return 0;
	pin = pin_at(worker, index);
	*pin = (struct sl_pin){
	        .address = address,
	        .name = name,
	        .hash = hash_words(worker, address, name),
	};
	bucket = &worker->pin_buckets[pin->hash & worker->pin_mask];
	pin->next = *bucket;
	*bucket = index;
	sibling_prepend(worker, address_at(worker, address), index);
	use_append(worker, vlan, index);
	vlan->pins++;
	worker->stats->pins++;
	return index;
}

/* The pin of this address and name, made if there is none. 0: no room. Takes over the name. */
static uint32_t pin_find_or_make(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                 const struct sl_addr *addr, uint32_t name)
{
	uint32_t address = address_find(worker, sandbox, addr);
	uint32_t index = address != 0 ? pin_find(worker, address, name) : 0;

	if (index != 0) {
		sl_names_drop(worker, name);
		use(worker, sandbox->vlan, index);
		return index;
	}
	if (make_room(worker, &worker->vlans[sandbox->vlan])) {
		/* The pin that was freed may have been the address's last. */
		address = address_find(worker, sandbox, addr);
		if (address == 0)
			address = address_make(worker, sandbox, addr);
		if (address != 0)
			index = pin_make(worker, sandbox, address, name);
	}
	if (index == 0)
		sl_names_drop(worker, name);
	return index;
}

/* Ties the address to the name for left_s seconds from now. False: no room. */
static bool tie_for(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                    const struct sl_addr *addr, const char *name, size_t len, uint32_t life_s,
                    uint32_t left_s)
{
	uint32_t index, known;
	struct sl_pin *pin;

	if (worker->settings->pinning == SL_PINNING_OFF || worker->settings->resolver_any)
		return false;
	known = sl_names_take(worker, name, len);
	if (known == 0)
		return false;
	index = pin_find_or_make(worker, sandbox, addr, known);
	if (index == 0)
		return false;
	pin = pin_at(worker, index);
	pin->life_s = life_s;
	/* A later answer never shortens the lifetime that an earlier one gave. */
	live_for(worker, pin, left_s);
	address_at(worker, pin->address)->closed_epoch = 0;
	reopen_rules(worker, sandbox, pin);
	return true;
}

void sl_pins_add(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                 const struct sl_addr *addr, const char *name, size_t len, uint32_t ttl_s)
{
	uint32_t kept_s = RTE_MIN(ttl_s, (uint32_t)TTL_MAX_S);
	uint32_t life_s = RTE_MAX(kept_s, worker->settings->pin_grace_s);

	tie_for(worker, sandbox, addr, name, len, life_s, life_s);
}

bool sl_pins_restore(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                     const struct sl_kept_pin *kept)
{
	/* No answer gives more by the present settings, whatever they were before. */
	uint32_t most_s = RTE_MAX((uint32_t)TTL_MAX_S, worker->settings->pin_grace_s);
	uint32_t life_s = RTE_MIN(kept->life_s, most_s);

	return tie_for(worker, sandbox, &kept->addr, kept->name, kept->name_len, life_s,
	               RTE_MIN(kept->left_s, life_s));
}

/* ---- forgetting ---- */

bool sl_pins_forget(struct sl_worker *worker, uint16_t vlan, unsigned *budget)
{
	const struct sl_sandbox *sandbox = sl_worker_sandbox(worker, vlan);
	uint32_t index;

	/* The former sandbox's pins are the least recently used ones. */
	while ((index = worker->vlans[vlan].pin_oldest) != 0) {
		const struct sl_pin *pin = pin_at(worker, index);

		if (sandbox != NULL &&
		    address_at(worker, pin->address)->incarnation == sandbox->incarnation)
			return true;
		if (*budget == 0)
			return false;
		--*budget;
		pin_free(worker, index);
	}
	return true;
}

bool sl_pins_read(const struct sl_worker *worker, uint32_t index, uint16_t vlan,
                  struct sl_ask_item *out)
{
	const struct sl_pin *pin = pin_at(worker, index);
	const struct sl_pin_address *address;
	const struct sl_sandbox *sandbox;
	const struct sl_name *name;

	if (pin->address == 0 || worker->now_us >= pin->expires_us)
		return false;
	address = address_at(worker, pin->address);
	sandbox = sl_worker_sandbox(worker, address->vlan);
	if (sandbox == NULL || address->incarnation != sandbox->incarnation ||
	    (vlan != 0 && address->vlan != vlan))
		return false;
	name = sl_names_at(worker, pin->name);
	*out = (struct sl_ask_item){
	        .vlan = address->vlan,
	        .remote = address->addr,
	        .left_s = (uint32_t)((pin->expires_us - worker->now_us) / 1000000),
	        .name_len = name->len,
	        .incarnation = address->incarnation,
	        .life_s = pin->life_s,
	        .expires_us = pin->expires_us,
	};
	memcpy(out->name, name->text, name->len);
	return true;
}

bool sl_pins_drop(struct sl_worker *worker, uint16_t vlan, unsigned *budget, uint32_t *count)
{
	while (worker->vlans[vlan].pin_oldest != 0) {
		if (*budget == 0)
			return false;
		--*budget;
		++*count;
		pin_free(worker, worker->vlans[vlan].pin_oldest);
	}
	return true;
}

void sl_pins_sweep(struct sl_worker *worker)
{
	uint32_t used_to = worker->pins.fresh; /* pins from there on were never used */
	uint64_t elapsed = RTE_MIN(worker->now_us - worker->pin_swept_us, (uint64_t)PASS_US);
	uint64_t due = elapsed * (used_to - 1) / PASS_US;

	if (used_to > 1 && due == 0)
		return;
	worker->pin_swept_us = worker->now_us;
	for (due = RTE_MIN(due, (uint64_t)SWEEP_BUDGET); due > 0; due--) {
		const struct sl_pin *pin;

		if (++worker->pin_cursor >= used_to)
			worker->pin_cursor = 1;
		pin = pin_at(worker, worker->pin_cursor);
		if (pin->address != 0 && worker->now_us >= pin->expires_us)
			pin_free(worker, worker->pin_cursor);
	}
}
