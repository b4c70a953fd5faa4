/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c: the list of watchers. The only file that knows all of them. */
#include "core/watch.h"

#include "watch/dns/dns.h"
#include "watch/stream/hold.h"
#include "watch/quic/quic.h"

const struct sl_watcher *const sl_watchers[SL_WATCH_COUNT] = {
        [SL_WATCH_STREAM] = &sl_hold_watcher,
        [SL_WATCH_DNS_UDP] = &sl_dns_udp_watcher,
        [SL_WATCH_DNS_TCP] = &sl_dns_tcp_watcher,
        [SL_WATCH_QUIC] = &sl_quic_watcher,
};
