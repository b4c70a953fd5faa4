/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.c: DNS under rule 3 and, to configured resolvers, under allow-all (spec section 4): which
 * address is a resolver, and the verdict on one query. dns_udp.c and dns_tcp.c decide about
 * packets. A query for a name that the policy does not allow at this moment must never leave.
 *
 * Settles with: dns-allowed, dns-name-not-allowed, dns-resolver-not-allowed, malformed-dns.
 */
#include "dns.h"

#include <netinet/in.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "flow/names.h"
#include "sluice/hostname.h"
#include "packet/parse.h"
#include "judge/subnet.h"
#include "judge/name.h"
#include "gate.h"
#include "judge/pins.h"
#include "flow/verdict.h"

#define QUERIES_MAX  65536
#define TYPE_ANY     255 /* RFC 1035 3.2.3 */
#define RANDOM_BYTES 1024

/*
 * Ids and letter case come from AES-256 in counter mode (libcrypto), keyed by the kernel once at
 * setup. RAND_bytes would take locks, and reseed itself with a system call from time to time; this
 * costs the same for every packet, and its output cannot be predicted from earlier output.
 */
struct sl_dns_random {
	EVP_CIPHER_CTX *cipher;
	unsigned left;
	uint8_t bytes[RANDOM_BYTES];
};

static bool random_create(struct sl_worker *worker)
{
	struct sl_dns_random *random = sl_pool_reserve(sizeof(*random));
	uint8_t key[32 + 16];
	bool good;

	if (random == NULL)
		return false;
	worker->dns_random = random;
	random->cipher = EVP_CIPHER_CTX_new();
	good = random->cipher != NULL && getrandom(key, sizeof(key), 0) == sizeof(key) &&
	       EVP_EncryptInit_ex(random->cipher, EVP_aes_256_ctr(), NULL, key, key + 32) == 1;
	explicit_bzero(key, sizeof(key));
	return good;
}

bool sl_dns_random(struct sl_worker *worker, void *out, size_t bytes)
{
	static const uint8_t zeros[RANDOM_BYTES];
	struct sl_dns_random *random = worker->dns_random;
	int n;

	if (random->left < bytes) {
		if (EVP_EncryptUpdate(random->cipher, random->bytes, &n, zeros, sizeof(zeros)) !=
		            1 ||
		    n != RANDOM_BYTES)
			return false;
		random->left = RANDOM_BYTES;
	}
	memcpy(out, random->bytes + random->left - bytes, bytes);
	random->left -= (unsigned)bytes;
	return true;
}

bool sl_dns_create(struct sl_worker *worker)
{
	uint32_t flows = RTE_MAX(worker->settings->flows / worker->params.count, 1u);

	worker->query_mask = QUERIES_MAX - 1;
	worker->queries_asked = sl_pool_reserve(QUERIES_MAX * sizeof(uint32_t));
	worker->queries_sent = sl_pool_reserve(QUERIES_MAX * sizeof(uint32_t));
	return worker->queries_asked != NULL && worker->queries_sent != NULL &&
	       random_create(worker) &&
	       sl_pool_create(&worker->queries, sizeof(struct sl_query),
	                      RTE_MIN(flows, (uint32_t)QUERIES_MAX));
}

void sl_dns_destroy(struct sl_worker *worker)
{
	if (worker->dns_random != NULL) {
		EVP_CIPHER_CTX_free(worker->dns_random->cipher);
		sl_pool_release(worker->dns_random, sizeof(*worker->dns_random));
	}
	sl_pool_release(worker->queries_asked, QUERIES_MAX * sizeof(uint32_t));
	sl_pool_release(worker->queries_sent, QUERIES_MAX * sizeof(uint32_t));
	if (worker->queries.base != NULL)
		sl_pool_destroy(&worker->queries);
}

/* ---- which address is a resolver ---- */

static bool is_configured(const struct sl_settings *settings, const struct sl_addr *addr)
{
	for (unsigned i = 0; i < settings->resolver_count; i++)
		if (sl_addr_equal(&settings->resolvers[i], addr))
			return true;
	return false;
}

static enum sl_dns_gate gate_custom(const struct sl_settings *settings,
                                    const struct sl_sandbox *sandbox, const struct sl_addr *remote,
                                    const struct sl_address *address, enum sl_reason *reason)
{
	if (address->own == SL_SUBNET_DENY) {
		*reason = SL_REASON_SUBNET_DENIED;
		return SL_DNS_REFUSED_HERE;
	}
	/*
	 * Rule 2; but in a protected range only a configured resolver is reachable, and its
	 * queries are judged.
	 */
	if (address->own == SL_SUBNET_ALLOW && address->space != SL_SPACE_PROTECTED)
		return SL_DNS_NOT_GATED;
	if (sandbox->queries == NULL)
		return SL_DNS_NOT_GATED;
	if (is_configured(settings, remote))
		return SL_DNS_GATED;
	if (settings->resolver_any)
		return address->space == SL_SPACE_PUBLIC ? SL_DNS_GATED : SL_DNS_NOT_GATED;
	*reason = SL_REASON_DNS_RESOLVER_NOT_ALLOWED;
	return SL_DNS_REFUSED_HERE;
}

enum sl_dns_gate sl_dns_gate(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                             const struct sl_addr *remote, const struct sl_address *address,
                             enum sl_reason *reason)
{
	switch (sandbox->mode) {
	case SL_MODE_DENY_ALL:
		break;
	case SL_MODE_CUSTOM:
		return gate_custom(worker->settings, sandbox, remote, address, reason);
	case SL_MODE_ALLOW_ALL:
		return is_configured(worker->settings, remote) ? SL_DNS_GATED : SL_DNS_NOT_GATED;
	}
	*reason = SL_REASON_DENY_ALL;
	return SL_DNS_REFUSED_HERE;
}

/* ---- one query ---- */

static bool is_host_name(const char *name, size_t len)
{
	char normal[SL_NAME_MAX + 1];

	return len > 0 && sl_hostname_normalise((const uint8_t *)name, len, normal) == (int)len;
}

bool sl_dns_name_allowed(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                         const char *name, size_t len)
{
	/* The root, and names that are not host names: allowed only if every name is. */
	if (!is_host_name(name, len))
		return sandbox->mode == SL_MODE_ALLOW_ALL ||
		       (sandbox->mode == SL_MODE_CUSTOM && sandbox->patterns != NULL &&
		        sandbox->patterns->any);
	return sl_judge_may_ask(worker, sandbox, name, len);
}

/* ANY counts as well: its answer may contain the records that are to be stripped. */
static bool is_stripped(const struct sl_settings *settings, uint16_t type)
{
	return settings->strip_ech &&
	       (type == SL_DNS_TYPE_HTTPS || type == SL_DNS_TYPE_SVCB || type == TYPE_ANY);
}

enum sl_query_verdict sl_dns_judge(const struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                   const uint8_t *msg, size_t len, struct sl_dns_query *out)
{
	switch (sl_dns_query_parse(msg, len, out)) {
	case SL_PARSE_BAD:
	case SL_PARSE_MORE:
	case SL_PARSE_NOT_MINE:
		return SL_QUERY_MALFORMED;
	case SL_PARSE_DONE:
		break;
	}
	if (!sl_dns_name_allowed(worker, sandbox, out->name, out->name_len))
		return SL_QUERY_REFUSED;
	return is_stripped(worker->settings, out->question.type) ? SL_QUERY_STRIPPED
	                                                         : SL_QUERY_ALLOWED;
}

struct sl_proof sl_dns_proof(const struct sl_dns_query *query)
{
	return (struct sl_proof){.text = query->name, .len = query->name_len, .via = SL_VIA_DNS};
}

const uint8_t *sl_dns_payload(const struct sl_worker *worker, const struct sl_pkt *pkt)
{
	static const uint8_t nothing[1];

	if (pkt->payload_len == 0)
		return nothing;
	return rte_pktmbuf_read(pkt->mbuf, pkt->payload_off, pkt->payload_len, worker->scratch);
}

/* ---- addresses in an answer ---- */

struct pinning {
	struct sl_worker *worker;
	const struct sl_sandbox *sandbox;
	const struct sl_name *name;
};

static void pin_one(void *ctx, const struct sl_dns_address *address)
{
	struct pinning *pinning = ctx;
	struct sl_addr addr = {.family = address->len == 4 ? SL_FAMILY_4 : SL_FAMILY_6};

	memcpy(addr.bytes, address->bytes, address->len);
	sl_pins_add(pinning->worker, pinning->sandbox, &addr, pinning->name->text,
	            pinning->name->len, address->ttl);
}

enum sl_parse_result sl_dns_answer_pin(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                                       const uint8_t *msg, size_t len,
                                       const struct sl_dns_question *sent, uint32_t name, bool pin)
{
	struct pinning pinning = {worker, sandbox, sl_names_at(worker, name)};
	struct sl_dns_answer answer;

	/* A hello cannot contain a name that is not a host name: its addresses are not pinned. */
	pin = pin && is_host_name(pinning.name->text, pinning.name->len);

	return sl_dns_answer_parse(msg, len, sent, pin ? pin_one : NULL, &pinning, &answer);
}

/* ---- the watcher's functions that both transports share ---- */

bool sl_dns_allows(struct sl_worker *worker, const struct sl_sandbox *sandbox,
                   const struct sl_flow *flow, const struct sl_addr *remote,
                   const struct sl_address *address, enum sl_reason *reason)
{
	enum sl_reason refused;

	*reason = SL_REASON_DNS_ALLOWED;
	return sl_dns_gate(worker, sandbox, remote, address, &refused) == SL_DNS_GATED;
}
