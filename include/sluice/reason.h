/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * reason.h: the one list of reasons. The enum, the names in events and counters, and README's
 * tables (tests/lint/reasons.py) are made from it.
 *
 * The zero value is a denial: a packet or flow without a verdict is dropped.
 */
#ifndef SLUICE_REASON_H
#define SLUICE_REASON_H

#include <stdbool.h>

/** X(symbol, name in events and counters, what it tells the operator) */
#define SL_DENY_REASONS(X)                                                                         \
	X(UNKNOWN_SANDBOX, "unknown-sandbox", "no sandbox has this VLAN")                          \
	X(DENY_ALL, "deny-all", "the sandbox's policy lets nothing out")                           \
	X(SUBNET_DENIED, "subnet-denied", "the address is in `subnets.deny`")                      \
	X(PROTECTED_SUBNET, "protected-subnet", "the address is in a range that nothing opens")    \
	X(INTERNAL_SUBNET, "internal-subnet",                                                      \
	  "the address is in an `internal` range and not in `subnets.allow`")                      \
	X(ADDRESS_NOT_ALLOWED, "address-not-allowed",                                              \
	  "the address is not in `subnets.allow` and no domain pattern could open it")             \
	X(SOURCE_SPOOFED, "source-spoofed", "the source address is not the sandbox's own")         \
	X(DOMAIN_NOT_ALLOWED, "domain-not-allowed", "no pattern of the policy matches the name")   \
	X(NO_SERVER_NAME, "no-server-name",                                                        \
	  "the hello (or HTTP request) names no server, or an IP address")                         \
	X(NOT_TLS, "not-tls", "the connection does not begin with a TLS ClientHello")              \
	X(MALFORMED_HTTP, "malformed-http",                                                        \
	  "the HTTP request can be read in two ways, or its answer is not HTTP")                   \
	X(MALFORMED_HELLO, "malformed-hello", "the ClientHello breaks its own format")             \
	X(HELLO_TOO_LARGE, "hello-too-large",                                                      \
	  "the ClientHello (or HTTP header section) is larger than `hello-max`")                   \
	X(HELLO_TIMEOUT, "hello-timeout",                                                          \
	  "the ClientHello (or HTTP header section) was not complete in time")                     \
	X(ECH_DENIED, "ech-denied", "the hello carries ECH and `inspect.ech` is deny")             \
	X(STREAM_CONFLICT, "stream-conflict", "bytes differ from those that were judged")          \
	X(ADDRESS_NOT_PINNED, "address-not-pinned",                                                \
	  "DNS gave this address to the sandbox for no allowed name, or for another name")         \
	X(NOT_QUIC, "not-quic", "the first datagram is not a QUIC v1 or v2 Initial")               \
	X(MALFORMED_QUIC, "malformed-quic", "the QUIC Initial does not decrypt, or is invalid")    \
	X(DNS_NAME_NOT_ALLOWED, "dns-name-not-allowed", "no pattern matches the name asked for")   \
	X(DNS_RESOLVER_NOT_ALLOWED, "dns-resolver-not-allowed",                                    \
	  "the DNS server is not one of the configured resolvers")                                 \
	X(MALFORMED_DNS, "malformed-dns", "the message on port 53 is not one plain DNS query")     \
	X(PROTOCOL_NOT_ALLOWED, "protocol-not-allowed",                                            \
	  "the protocol cannot prove a name, or is not IP")                                        \
	X(MALFORMED_PACKET, "malformed-packet",                                                    \
	  "a header is invalid, or asks for something that is never forwarded")                    \
	X(FRAGMENT, "fragment", "a fragment cannot prove a name")                                  \
	X(NO_FLOW, "no-flow", "the packet belongs to no flow that is open")                        \
	X(DUPLICATE, "duplicate", "bytes came again that are on hold already")                     \
	X(FLOW_LIMIT, "flow-limit", "the sandbox or the gateway has no room for another flow")     \
	X(HOLD_LIMIT, "hold-limit", "the sandbox or the gateway has no room to hold more")         \
	X(RATE_LIMIT, "rate-limit", "the sandbox sends more of this than it may")                  \
	X(POLICY_CHANGED, "policy-changed", "a later policy does not allow the open flow")         \
	X(TX_FULL, "tx-full", "the port did not take the frame, or is away")

#define SL_ALLOW_REASONS(X)                                                                        \
	X(ALLOW_ALL, "allow-all", "the sandbox's policy lets everything out")                      \
	X(SUBNET_ALLOWED, "subnet-allowed", "the address is in `subnets.allow`")                   \
	X(DOMAIN_ALLOWED, "domain-allowed", "the connection proved an allowed name")               \
	X(PIN_ALLOWED, "pin-allowed",                                                              \
	  "the policy opens this port at an address that DNS gave for an allowed name")            \
	X(DNS_ALLOWED, "dns-allowed", "a DNS query for an allowed name, or its answer")            \
	X(NEIGHBOUR, "neighbour", "neighbour discovery (ARP, NDP)")

enum sl_reason {
	SL_REASON_NONE = 0, /* no verdict yet; a packet that reaches the end so is dropped */
#define X(symbol, name, text) SL_REASON_##symbol,
	SL_DENY_REASONS(X) SL_ALLOW_REASONS(X)
#undef X
	        SL_REASON_COUNT
};

/** True for the reasons that let a packet out. */
static inline bool sl_reason_allows(enum sl_reason reason)
{
	return reason >= SL_REASON_ALLOW_ALL && reason < SL_REASON_COUNT;
}

/** True for the reasons that say that the address alone opens a flow: nothing is asked of its
 * bytes. */
static inline bool sl_reason_is_by_address(enum sl_reason reason)
{
	return reason == SL_REASON_ALLOW_ALL || reason == SL_REASON_SUBNET_ALLOWED;
}

/** The name in events and counters ("none" for SL_REASON_NONE). Static storage. */
static inline const char *sl_reason_name(enum sl_reason reason)
{
	static const char *const names[SL_REASON_COUNT] = {[SL_REASON_NONE] = "none",
#define X(symbol, name, text) [SL_REASON_##symbol] = name,
	                                                   SL_DENY_REASONS(X) SL_ALLOW_REASONS(X)
#undef X
	};

	return (unsigned)reason < SL_REASON_COUNT ? names[reason] : "none";
}

#endif
