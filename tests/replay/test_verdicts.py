# SPDX-License-Identifier: Apache-2.0
"""What a policy would have done: the same verdicts as the running gateway's, on whole captures."""

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from conftest import (ALLOW_ALL, CLIENT, DENY_ALL, INNER, OUTER, SERVER, at, back, domains, hello, out, subnets,
                      tcp_data, tcp_open, timed, tls)


def test_allow_all_forwards_both_directions(replay):
    done = replay(ALLOW_ALL, [out(UDP(sport=5000, dport=6000) / b"ping"), back(UDP(sport=6000, dport=5000) / b"pong")])
    assert done.reasons == {"allow-all": 2}
    assert done.counters["flows"] == 1
    assert done.uplink[0][Raw].load == b"ping" and done.sandbox[0][Raw].load == b"pong"


def test_deny_all_refuses_and_answers(replay):
    done = replay(DENY_ALL, [out(TCP(sport=40000, dport=443, flags="S"))])
    assert done.reasons == {"deny-all": 1}
    assert done.uplink == []
    reset, = done.sandbox
    assert reset[TCP].flags.R and reset[IP].src == SERVER and reset[IP].dst == CLIENT


def test_unknown_vlan_is_silent(replay):
    done = replay(ALLOW_ALL, [out(UDP(sport=1, dport=2))], vlan=102)
    assert done.reasons == {"unknown-sandbox": 1}
    assert done.uplink == [] and done.sandbox == []


def test_allowed_name_passes_with_its_bytes(replay):
    flow = tls("www.example.com")
    sent = flow[-1][Raw].load
    done = replay(domains("*.example.com"), flow)
    assert done.reasons == {"domain-allowed": 1} and done.counters["forwarded"] == 4
    assert b"".join(p[Raw].load for p in done.uplink if Raw in p) == sent


def test_other_name_is_refused_and_never_leaves(replay):
    done = replay(domains("*.example.com"), tls("www.example.org"))
    assert done.reasons["domain-not-allowed"] >= 1 and done.counters["forwarded"] + done.counters["dropped"] == 4
    assert not any(b"example.org" in bytes(p) for p in done.uplink)
    assert done.sandbox[-1][TCP].flags.R
    event = done.events[-1]
    assert (event["verdict"], event["reason"], event["name"], event["via"]) == \
        ("deny", "domain-not-allowed", "www.example.org", "tls")


def test_apex_is_not_below_its_wildcard(replay):
    assert replay(domains("*.example.com"), tls("example.com")).reasons["domain-not-allowed"] >= 1


def test_hello_in_two_segments_is_judged_whole(replay):
    data = hello("www.example.com")
    packets = [*tcp_open(), tcp_data(data[:100]), tcp_data(data[100:], seq=1101)]
    done = replay(domains("www.example.com"), packets)
    assert done.reasons == {"domain-allowed": 2} and done.counters["forwarded"] == 5
    assert b"".join(p[Raw].load for p in done.uplink if Raw in p) == data


def test_plain_http_is_not_tls(replay):
    done = replay(domains("*.example.com"), [*tcp_open(dport=80), tcp_data(b"GET / HTTP/1.1\r\n\r\n", dport=80)])
    assert done.reasons["not-tls"] >= 1
    assert not any(b"GET" in bytes(p) for p in done.uplink)


def test_plain_http_is_judged_by_host_where_the_config_says_so(replay):
    config = "dns: {resolvers: [203.0.113.53], pinning: off}\ninspect: {http: host}"
    for host, reason, verdict in [("www.example.com", "domain-allowed", "allow"),
                                  ("www.example.org", "domain-not-allowed", "deny")]:
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        done = replay(domains("*.example.com"), [*tcp_open(dport=80), tcp_data(request, dport=80)], config=config)
        assert done.reasons[reason] >= 1
        event = done.events[-1]
        assert (event["verdict"], event["reason"], event["name"], event["via"]) == (verdict, reason, host, "http")
        assert any(b"GET" in bytes(p) for p in done.uplink) == (verdict == "allow")
        assert any(f"sluice: {reason} {host}\n".encode() in bytes(p) for p in done.sandbox) == (verdict == "deny")


def test_plain_http_passes_by_subnet(replay):
    done = replay(subnets("192.0.2.0/24"),
                  [*tcp_open(dport=80), tcp_data(b"GET / HTTP/1.1\r\n\r\n", dport=80)])
    assert done.reasons == {"subnet-allowed": 4}


def test_deny_beats_a_longer_allow(replay):
    done = replay(subnets("192.0.2.0/25", deny=["192.0.2.0/24"]), [out(ICMP())])
    assert done.reasons == {"subnet-denied": 1}


def test_other_address_without_patterns_is_refused_at_once(replay):
    assert replay(subnets("198.51.100.0/24"), [out(TCP(flags="S"))]).reasons == {"address-not-allowed": 1}


def test_no_internal_ranges_without_a_config(replay):
    packet = Ether(src=INNER, dst=OUTER) / IP(src=CLIENT, dst="10.9.9.9") / UDP(sport=1, dport=2)
    assert replay(ALLOW_ALL, [packet]).reasons == {"allow-all": 1}


def test_internal_ranges_with_a_config(replay):
    packet = Ether(src=INNER, dst=OUTER) / IP(src=CLIENT, dst="10.9.9.9") / UDP(sport=1, dport=2)
    done = replay(ALLOW_ALL, [packet], config="dns: {resolvers: [203.0.113.53]}")
    assert done.reasons == {"internal-subnet": 1}


def test_any_source_without_a_config(replay):
    packet = Ether(src=INNER, dst=OUTER) / IP(src="198.51.100.7", dst=SERVER) / UDP(sport=1, dport=2)
    assert replay(ALLOW_ALL, [packet]).reasons == {"allow-all": 1}


def test_source_rule_with_a_config(replay):
    packet = Ether(src=INNER, dst=OUTER) / IP(src="198.51.100.7", dst=SERVER) / UDP(sport=1, dport=2)
    done = replay(ALLOW_ALL, [packet], config="dns: {resolvers: [203.0.113.53]}")
    assert done.reasons == {"source-spoofed": 1}


def test_ipv6_echo_and_its_answer(replay):
    pair = IPv6(src="fd00::2", dst="2001:db8::1"), IPv6(src="2001:db8::1", dst="fd00::2")
    done = replay(ALLOW_ALL, [Ether(src=INNER, dst=OUTER) / pair[0] / ICMPv6EchoRequest(id=7, seq=1),
                              Ether(src=OUTER, dst=INNER) / pair[1] / ICMPv6EchoReply(id=7, seq=1)])
    assert done.reasons == {"allow-all": 2}
    event, = done.events
    assert (event["proto"], event["src"], event["sport"], event["dst"]) == ("icmp6", "fd00::2", 7, "2001:db8::1")


def test_arp_is_neighbour_discovery(replay):
    ask = Ether(src=INNER, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=INNER, psrc=CLIENT, pdst="10.0.0.1")
    answer = Ether(src=OUTER, dst=INNER) / ARP(op=2, hwsrc=OUTER, psrc="10.0.0.1", hwdst=INNER, pdst=CLIENT)
    done = replay(ALLOW_ALL, [ask, answer])
    assert done.reasons == {"neighbour": 2}
    assert len(done.uplink) == 1 and len(done.sandbox) == 1


def test_uplink_speaks_first_is_refused_with_ranges(replay):
    done = replay(ALLOW_ALL, [back(UDP(sport=1, dport=2))], "--inside", "10.0.0.0/8")
    assert done.reasons == {"no-flow": 1}


def dns_query(name, ident=77, sport=5353, server=SERVER):
    return Ether(src=INNER, dst=OUTER) / IP(src=CLIENT, dst=server) / UDP(sport=sport, dport=53) / \
        DNS(id=ident, rd=1, qd=DNSQR(qname=name))


def dns_answer(name, address, ident=77, sport=5353, server=SERVER):
    return Ether(src=OUTER, dst=INNER) / IP(src=server, dst=CLIENT) / UDP(sport=53, dport=sport) / \
        DNS(id=ident, qr=1, rd=1, ra=1, qd=DNSQR(qname=name), an=DNSRR(rrname=name, ttl=300, rdata=address))


def test_dns_query_and_captured_answer_pass_with_their_id(replay):
    done = replay(domains("example.com"), [dns_query("example.com"), dns_answer("example.com", "203.0.113.9")])
    assert done.reasons == {"dns-allowed": 2}
    assert done.uplink[0][DNS].id == 77 and done.sandbox[0][DNS].id == 77
    assert done.sandbox[0][DNS].an.rdata == "203.0.113.9"


def test_dns_query_keeps_its_letter_case(replay):
    done = replay(domains("example.com"), [dns_query("ExAmPlE.com")])
    assert done.uplink[0][DNS].qd.qname == b"ExAmPlE.com."


def test_dns_query_for_another_name_is_refused(replay):
    done = replay(domains("example.com"), [dns_query("example.org")])
    assert done.reasons == {"dns-name-not-allowed": 1}
    assert done.uplink == [] and done.sandbox[0][DNS].rcode == 3


def test_dns_of_another_resolver_with_a_config(replay):
    done = replay(domains("example.com"), [dns_query("example.com")],
                  config="dns: {resolvers: [203.0.113.53], pinning: off}")
    assert done.reasons == {"dns-resolver-not-allowed": 1}


def test_pinning_with_a_config_needs_the_answer(replay):
    config = "dns: {resolvers: [192.0.2.53]}"
    resolver = "192.0.2.53"
    asked = [dns_query("www.example.com", server=resolver), dns_answer("www.example.com", SERVER, server=resolver)]
    assert replay(domains("www.example.com"), tls("www.example.com"), config=config).reasons["address-not-pinned"] >= 1
    done = replay(domains("www.example.com"), [*asked, *tls("www.example.com")], config=config)
    assert done.reasons == {"dns-allowed": 2, "domain-allowed": 1} and done.counters["forwarded"] == 6


def test_two_sandboxes_with_the_same_address(replay):
    from scapy.layers.l2 import Dot1Q

    def tagged(vlan):
        return Ether(src=INNER, dst=OUTER) / Dot1Q(vlan=vlan) / IP(src=CLIENT, dst=SERVER) / UDP(sport=1, dport=2)
    done = replay("sandboxes: [{vlan: 101}, {vlan: 102, policy: deny-all}]", [tagged(101), tagged(102)], vlan=None)
    assert done.reasons == {"allow-all": 1, "deny-all": 1}
    assert {(e["vlan"], e["verdict"]) for e in done.events} == {(101, "allow"), (102, "deny")}
    assert [p[Dot1Q].vlan for p in done.uplink] == [101]


def test_flow_is_forgotten_after_its_timeout(replay):
    late = [at(out(UDP(sport=1, dport=2)), 0), at(back(UDP(sport=2, dport=1)), 59), at(back(UDP(sport=2, dport=1)), 190)]
    done = replay(ALLOW_ALL, late)
    assert done.reasons == {"allow-all": 2, "no-flow": 1}


def test_hello_that_never_comes_times_out_between_packets(replay):
    packets = [*timed([*tcp_open(), tcp_data(hello("www.example.com")[:50])]),
               at(out(UDP(sport=53, dport=9999)), 60)]
    done = replay(domains("*.example.com"), packets)
    assert done.reasons["hello-timeout"] >= 1
    times = [e["ts"] for e in done.events if e["reason"] == "hello-timeout"]
    assert "2026-01-02T03:04:15" <= times[0] < "2026-01-02T03:04:18"


def test_hold_is_settled_after_the_last_packet(replay):
    done = replay(domains("*.example.com"), [*tcp_open(), tcp_data(hello("www.example.com")[:50])])
    assert done.reasons["hello-timeout"] >= 1
    assert done.counters["packets"] == 4


def test_what_is_suppressed_at_the_end_is_told(replay):
    packets = timed([out(UDP(sport=1000 + number, dport=9)) for number in range(300)], step=0.0001)
    done = replay(DENY_ALL, packets)
    told = [e for e in done.events if e["event"] == "suppressed"]
    written = [e for e in done.events if e["event"] == "flow"]
    assert told and {e["reason"] for e in told} == {"deny-all"}
    assert len(written) + sum(e["count"] for e in told) == 300


def test_port_of_an_answered_address_is_open_by_name(replay):
    """by-address: the capture's own answers pin, and the server may speak first."""
    resolver = "203.0.113.53"
    banner = back(TCP(sport=22, dport=40000, flags="PA", seq=5001, ack=1001) / Raw(b"SSH-2.0-x\r\n"))
    done = replay("sandboxes: [{vlan: 101, policy: {by-address: ['github.com:22/tcp']}}]",
                  [dns_query("github.com", server=resolver), dns_answer("github.com", SERVER, server=resolver),
                   *tcp_open(dport=22), banner, out(TCP(sport=40001, dport=23, flags="S"))],
                  config=f"dns: {{resolvers: [{resolver}]}}\n")
    assert done.reasons == {"dns-allowed": 2, "pin-allowed": 4, "address-not-allowed": 1}
    opened = [event for event in done.events if event["reason"] == "pin-allowed"]
    assert [(event["name"], event["via"], event["dport"]) for event in opened] == [("github.com", "pin", 22)]
