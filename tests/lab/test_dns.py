# SPDX-License-Identifier: Apache-2.0
"""Section 4: who may ask what, what leaves in its place, and which answers pin."""

import contextlib
import pathlib
import struct
import threading

import pytest

from evasion import SERVER
from internet import OTHER_RESOLVER, RESOLVER, RESOLVER6, SCRIPTED_RESOLVER
from peer_dns import ScriptedResolver, address, asking, question_end, reply
from rawhost import IP, UDP
from topology import HERE, must

NAMES = """
    sandboxes:
      - vlan: 101
        name: build
        policy:
          allow: [registry.npmjs.org, assets.example, six.example, brief.example, many.example,
                  hinted.example, svc.example, sixty.example]
      - {vlan: 102, name: agent}
      - {vlan: 103, name: probe, policy: deny-all}
    """


@pytest.fixture
def gateway(lab):
    return lab.start(NAMES)


@pytest.fixture
def build(gateway):
    return gateway.lab[101]


def query(name, identity, kind=1):
    """A plain DNS query, byte for byte as a test wants it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", identity, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def queries_out(sandbox):
    """The DNS messages that left to the resolver."""
    return [bytes(IP(frame[14:])[UDP].payload) for frame in sandbox.packets_to(RESOLVER)
            if frame[23] == 17]


@pytest.mark.parametrize("server", [RESOLVER, RESOLVER6])
def test_allowed_name_resolves(gateway, build, server):
    assert build.dig("registry.npmjs.org", "A", server).data == ["198.51.100.10"]
    assert build.dig("registry.npmjs.org", "AAAA", server).data == ["2001:db8:10::10"]
    gateway.allowed(build, "dns-allowed", name="registry.npmjs.org", via="dns", dst=server, dport=53)


def test_name_that_is_not_allowed_is_refused_and_never_leaves(gateway, build):
    assert build.dig("registry.npmjs.org").status == "NOERROR"
    for name in ("exfil.example", "secret-bytes.exfil.example"):
        assert build.dig(name).status == "NXDOMAIN"
        gateway.denied(build, "dns-name-not-allowed", name=name, via="dns", dst=RESOLVER)
        assert not build.sent_out(name)


def test_refusal_can_be_nxdomain(lab):
    gateway = lab.start(NAMES, dns={"refuse": "nxdomain"})
    for way in ("+notcp", "+tcp"):
        assert lab[101].dig("registry.npmjs.org", "A", RESOLVER, way).status == "NOERROR"
        assert lab[101].dig("exfil.example", "A", RESOLVER, way).status == "NXDOMAIN"
    for proto in ("udp", "tcp"):
        gateway.denied(lab[101], "dns-name-not-allowed", name="exfil.example", proto=proto, dst=RESOLVER)
    assert not lab[101].sent_out("exfil.example")


def test_other_resolver_is_refused(gateway, build):
    assert build.dig("registry.npmjs.org").status == "NOERROR"
    assert build.dig("registry.npmjs.org", "A", OTHER_RESOLVER).status != "NOERROR"
    gateway.denied(build, "dns-resolver-not-allowed", dst=OTHER_RESOLVER, dport=53)
    assert build.packets_to(OTHER_RESOLVER) == []


def test_allow_all_reaches_any_resolver_and_name(gateway):
    agent = gateway.lab[102]
    assert agent.dig("exfil.example").data == ["198.51.100.66"]
    assert agent.dig("exfil.example", "A", OTHER_RESOLVER).data == ["198.51.100.66"]


def test_deny_all_has_no_dns(gateway):
    probe, agent = gateway.lab[103], gateway.lab[102]
    probe.know_neighbours()
    assert agent.dig("registry.npmjs.org").status == "NOERROR"
    assert probe.dig("registry.npmjs.org").status == "NXDOMAIN"
    gateway.denied(probe, "deny-all", dst=RESOLVER, dport=53)
    assert probe.https("registry.npmjs.org", "198.51.100.10").rc == 7
    assert "Packet filtered" in probe.ping("198.51.100.10").out
    gateway.denied(probe, "deny-all", dst="198.51.100.10", dport=443)
    assert probe.packets_to(RESOLVER, through=agent) == []
    assert probe.packets_to("198.51.100.10", through=agent) == []


@pytest.mark.parametrize("policy", ["{}", "{allow: []}", "{subnets: {deny: [192.0.2.0/24]}}"])
def test_policies_that_allow_nothing_are_deny_all(lab, policy):
    gateway = lab.start("sandboxes: [{vlan: 103}, {vlan: 102}]")
    probe = lab[103]
    probe.know_neighbours()
    assert probe.dig("registry.npmjs.org").status == "NOERROR"
    gateway.push(f"sandboxes: [{{vlan: 103, policy: {policy}}}, {{vlan: 102}}]")
    probe.left.clear()
    assert probe.dig("registry.npmjs.org").status == "NXDOMAIN"
    gateway.denied(probe, "deny-all", generation=2)
    assert probe.packets_to(RESOLVER, through=lab[102]) == []


def test_policy_with_subnets_alone_opens_no_dns(lab):
    gateway = lab.start("sandboxes: [{vlan: 101, policy: {subnets: {allow: [198.51.100.0/24]}}}]")
    assert lab[101].http("any.example", "198.51.100.20").ok
    assert lab[101].dig("registry.npmjs.org").status == "NXDOMAIN"
    gateway.denied(lab[101], "address-not-allowed", dst=RESOLVER, dport=53)
    assert lab[101].packets_to(RESOLVER) == []


def test_denied_subnet_covers_the_resolver(lab):
    policy = {"allow": ["registry.npmjs.org"]}
    gateway = lab.start({"sandboxes": [{"vlan": 101, "policy": policy}]})
    assert lab[101].dig("registry.npmjs.org").status == "NOERROR"
    policy["subnets"] = {"deny": ["203.0.113.0/24"]}
    gateway.push({"sandboxes": [{"vlan": 101, "policy": policy}]})
    lab[101].left.clear()
    assert lab[101].dig("registry.npmjs.org").status == "NXDOMAIN"
    gateway.denied(lab[101], "subnet-denied", dst=RESOLVER, dport=53)
    assert lab[101].packets_to(RESOLVER) == []


def test_resolver_sees_an_id_and_a_case_that_the_gateway_drew(gateway, build):
    """Eight queries of one id and case: all leave with others, all come back with their own."""
    asked = query("Registry.NPMJS.org", 0x1234)
    with build.udp(RESOLVER, 53) as sock:
        for _ in range(8):
            sock.send(asked)
            answer = sock.recv(2000)
            assert answer[:2] == asked[:2] and answer[12:len(asked)] == asked[12:]
    out = queries_out(build)
    assert len(out) == 8 and all(message[12:].lower().startswith(asked[12:].lower()) for message in out)
    assert len({message[:2] for message in out}) > 1
    assert len({message[12:len(asked)] for message in out}) > 1


def test_queries_over_the_limit_get_silence(lab):
    """A limit is no verdict on a name: whoever asks too much hears nothing, and may ask again."""
    gateway = lab.start(NAMES, limits={"dns-queries-per-sandbox": 20})
    answers = 0
    with lab[101].udp(RESOLVER, 53) as sock:
        for number in range(300):
            sock.send(query("exfil.example", number))
        gateway.denied(lab[101], "rate-limit", dst=RESOLVER, sport=sock.getsockname()[1])
        sock.settimeout(1)
        with pytest.raises(TimeoutError):
            while sock.recv(2000):
                answers += 1
    assert 20 <= answers < 200
    assert lab[101].dig("registry.npmjs.org").status == "NOERROR"


def test_query_leaves_rebuilt(gateway, build):
    """Options of the client are removed; AD, CD and DO, which validating stubs need, are kept."""
    asked = query("registry.npmjs.org", 7)
    chosen = asked[:2] + b"\x01\x30" + asked[4:10] + b"\x00\x01" + asked[12:]
    option = b"\x00\x00\x29\xff\xff\x00\x00\x80\x00" + b"\x00\x0c" + b"\xfd\xe9\x00\x08smuggled"
    with build.udp(RESOLVER, 53) as sock:
        sock.send(chosen + option)
        assert sock.recv(2000)[:2] == asked[:2]
    (out,) = queries_out(build)
    assert not build.sent_out(b"smuggled") and out[2:4] == b"\x01\x30"
    assert out[len(asked):] == b"\x00\x00\x29" + struct.pack("!H", 1232) + b"\0\0\x80\0\0\0"


@pytest.mark.parametrize("message", [
    b"GET / HTTP/1.0\r\n\r\n",
    query("registry.npmjs.org", 1)[:-2],
    query("registry.npmjs.org", 1)[:2] + b"\x81\x80" + query("registry.npmjs.org", 1)[4:],
    query("registry.npmjs.org", 1)[:4] + b"\x00\x02" + query("registry.npmjs.org", 1)[6:],
    query("registry.npmjs.org", 1)[:-2] + b"\x00\x03",
], ids=["no-dns", "cut-short", "response-bit", "two-questions", "class-chaos"])
def test_what_is_no_plain_query_is_dropped(gateway, build, message):
    with build.udp(RESOLVER, 53) as sock:
        sock.send(message)
        gateway.denied(build, "malformed-dns", dst=RESOLVER, dport=53)
        assert queries_out(build) == []
        sock.send(query("registry.npmjs.org", 9))
        assert sock.recv(2000)[:2] == b"\x00\x09"


def test_forged_answers_are_not_believed(gateway, build):
    """Answers from the right address and port, but to no question that is open."""
    inside = gateway.lab.recorder.tap(build.space, "eth0")
    assert build.dig("registry.npmjs.org").status == "NOERROR"
    forged = IP(src=RESOLVER, dst=build.ip) / UDP(sport=53, dport=5353) / b"\x00\x01forged-answer"
    leg = gateway.lab.internet.router
    sender = leg.socket(17, 3, 0)  # AF_PACKET, SOCK_RAW
    with sender:
        sender.bind((build.leg, 0))
        own = sender.getsockname()[4]
        sender.send(build.mac + own + b"\x08\x00" + bytes(forged))
    gateway.denied(build, "no-flow", proto="udp")
    assert build.dig("registry.npmjs.org").status == "NOERROR"
    assert not any(b"forged-answer" in frame for frame in inside.frames)
    gateway.lab.recorder.forget(inside)


def test_cname_chain_pins_to_the_asked_name(gateway, build):
    assert "sni=assets.example" in build.https("assets.example").out
    gateway.allowed(build, "domain-allowed", name="assets.example", dst="198.51.100.13")
    assert not build.https("edge7.cdn.example", "198.51.100.13").ok
    gateway.denied(build, "domain-not-allowed", name="edge7.cdn.example")
    assert not build.sent_out("edge7.cdn.example")


def test_aaaa_pins(gateway, build):
    assert build.https("six.example", "2001:db8:10::16").rc == 7
    gateway.denied(build, "address-not-pinned", dst="2001:db8:10::16")
    assert "sni=six.example" in build.https("six.example").out
    gateway.allowed(build, "domain-allowed", name="six.example", dst="2001:db8:10::16")


def test_every_address_of_an_answer_pins(gateway, build):
    addresses = build.dig("many.example").data
    assert len(addresses) == 20
    for each in (addresses[0], addresses[-1]):
        assert "sni=many.example" in build.https("many.example", each).out


def test_pin_outlives_a_ttl_of_nothing(gateway, build):
    assert build.dig("brief.example").records[0][1] == "0"
    assert build.https("brief.example", "198.51.100.15").ok


def test_pinning_off_goes_by_the_name_alone(lab):
    gateway = lab.start(NAMES, dns={"pinning": "off"})
    assert "sni=registry.npmjs.org" in lab[101].https("registry.npmjs.org", "198.51.100.30").out
    assert not lab[101].https("exfil.example", "198.51.100.30").ok
    gateway.denied(lab[101], "domain-not-allowed", name="exfil.example")
    assert not lab[101].sent_out("exfil.example")


def test_lock_down_finds_the_pins_of_what_is_in_use(gateway):
    """Queries under allow-all pin as well, so names work at once when the policy narrows."""
    agent = gateway.lab[102]
    assert agent.dig("github.com").status == "NOERROR"
    gateway.push("sandboxes: [{vlan: 102, policy: {allow: [github.com, registry.npmjs.org]}}]")
    assert agent.https("github.com", "198.51.100.12").ok
    gateway.allowed(agent, "domain-allowed", name="github.com", generation=2)
    assert agent.https("registry.npmjs.org", "198.51.100.10").rc == 7
    gateway.denied(agent, "address-not-pinned", dst="198.51.100.10")


def test_pinning_log_says_what_enforce_would_refuse(lab):
    gateway = lab.start(NAMES, dns={"pinning": "log"})
    assert "sni=registry.npmjs.org" in lab[101].https("registry.npmjs.org", "198.51.100.30").out
    gateway.allowed(lab[101], "address-not-pinned", dst="198.51.100.30", name=None)
    gateway.allowed(lab[101], "address-not-pinned", dst="198.51.100.30", name="registry.npmjs.org", via="tls")
    gateway.allowed(lab[101], "domain-allowed", dst="198.51.100.30", name="registry.npmjs.org")
    assert lab[101].dig("registry.npmjs.org").data == ["198.51.100.10"]
    assert "sni=registry.npmjs.org" in lab[101].https("registry.npmjs.org", "198.51.100.10").out
    assert not gateway.events(reason="address-not-pinned", dst="198.51.100.10")
    assert not lab[101].https("exfil.example", "198.51.100.30").ok
    gateway.denied(lab[101], "domain-not-allowed", name="exfil.example", dst="198.51.100.30")
    assert lab[101].https("registry.npmjs.org", "10.99.0.1").rc == 7
    gateway.denied(lab[101], "internal-subnet", dst="10.99.0.1")
    assert not lab[101].sent_out("exfil.example")


def test_ech_keys_are_kept_away(gateway, build):
    """`strip-ech`, which is the default: an empty answer by the gateway, and no question leaves."""
    for name, kind in (("hinted.example", "HTTPS"), ("svc.example", "SVCB"), ("hinted.example", "ANY")):
        for way, proto in (("+notcp", "udp"), ("+tcp", "tcp")):
            answer = build.dig(name, kind, RESOLVER, way)
            assert answer.status == "NOERROR" and answer.data == [], answer
            gateway.allowed(build, "dns-allowed", name=name, via="dns", proto=proto)
            assert not build.sent_out(name)
            assert build.dig("exfil.example", kind, RESOLVER, way).status == "NXDOMAIN"
            gateway.denied(build, "dns-name-not-allowed", name="exfil.example", proto=proto)
            assert build.dig("registry.npmjs.org", "A", RESOLVER, way).data == ["198.51.100.10"]


def test_answer_to_what_is_denied_meanwhile(lab):
    """The policy narrows while the answer is on its way: it is not delivered and pins nothing."""
    config = {"resolvers": [RESOLVER, SCRIPTED_RESOLVER]}
    gateway = lab.start("sandboxes: [{vlan: 101, policy: {allow: [six.example, brief.example]}}]", dns=config)
    resolver = ScriptedResolver(lab.internet, SCRIPTED_RESOLVER)
    with contextlib.closing(resolver), lab[101].udp(SCRIPTED_RESOLVER, 53) as sock:
        sock.send(asking("six.example", 1))
        sock.send(asking("brief.example", 2))
        first, second = resolver.query(), resolver.query()
        gateway.push("sandboxes: [{vlan: 101, policy: {allow: [brief.example]}}]")
        resolver.say(reply(first, address("six.example", "198.51.100.66")))
        resolver.say(reply(second, address("brief.example", "198.51.100.15")))
        assert sock.recv(2000)[:2] == b"\0\2"
        gateway.denied(lab[101], "policy-changed", dst=SCRIPTED_RESOLVER, sport=sock.getsockname()[1])
    assert "sni=brief.example" in lab[101].https("brief.example", "198.51.100.15").out
    gateway.push("sandboxes: [{vlan: 101, policy: {allow: [six.example, brief.example]}}]")
    assert lab[101].https("six.example", "198.51.100.66").rc == 7
    gateway.denied(lab[101], "address-not-pinned", dst="198.51.100.66")


# Resolvers of the C libraries that sandboxes have.


@pytest.fixture(scope="module")
def musl(tmp_path_factory):
    """getaddrinfo() of musl."""
    program = tmp_path_factory.mktemp("musl") / "lookup"
    must(["musl-gcc", "-static", "-O1", "-o", program, HERE / "lookup.c"])
    return program


@contextlib.contextmanager
def told(sandbox, *lines):
    """More lines in the sandbox's resolv.conf."""
    resolv_conf = pathlib.Path("/etc/netns") / sandbox.space.name / "resolv.conf"
    before = resolv_conf.read_text()
    resolv_conf.write_text(before + "".join(line + "\n" for line in lines))
    try:
        yield
    finally:
        resolv_conf.write_text(before)


def lookup(sandbox, library, name, musl):
    """The addresses that the library finds, each once."""
    done = sandbox.run(*([musl, name] if library == "musl" else ["getent", "ahosts", name]))
    return {line.split()[0] for line in done.out.splitlines()} if done.ok else set()


LIBRARIES = ("glibc", "musl")


def test_c_libraries(gateway, build, musl):
    with told(build, "options timeout:1"):
        for library in LIBRARIES:
            assert lookup(build, library, "registry.npmjs.org", musl) == {"198.51.100.10", "2001:db8:10::10"}
            assert len(lookup(build, library, "many.example", musl)) == 20
            assert lookup(build, library, "exfil.example", musl) == set()
    gateway.denied(build, "dns-name-not-allowed", name="exfil.example", via="dns")
    assert not build.sent_out("exfil.example")


def test_truncated_answer_with_c_libraries(gateway, build, musl):
    """More than 512 bytes. glibc asks again over TCP, and all that it finds there is pinned. musl 1.2.3
    never does; it finds what it finds without a gateway's rules."""
    agent = gateway.lab[102]
    assert lookup(build, "musl", "sixty.example", musl) == lookup(agent, "musl", "sixty.example", musl)
    gateway.allowed(build, "dns-allowed", name="sixty.example", proto="udp", dst=RESOLVER)
    assert len(lookup(build, "glibc", "sixty.example", musl)) == 60
    gateway.allowed(build, "dns-allowed", name="sixty.example", proto="tcp", dst=RESOLVER)
    assert not gateway.events(vlan=101, verdict="deny", dst=RESOLVER, dport=53)
    assert "sni=sixty.example" in build.https("sixty.example", "198.51.100.199").out


@pytest.mark.parametrize("refuse,finding", [("refused", ["glibc"]), ("nxdomain", ["glibc", "musl"])])
def test_search_domains_are_refused_so_that_the_library_goes_on(lab, musl, refuse, finding):
    """As in Kubernetes: what looks short is first looked for below the cluster's own domain. musl waits
    for a better answer than REFUSED until its time is over; NXDOMAIN lets it go on."""
    gateway = lab.start(NAMES, dns={"refuse": refuse})
    with told(lab[101], "search cluster.example", "options ndots:5 timeout:1"):
        found = {library: lookup(lab[101], library, "registry.npmjs.org", musl) for library in LIBRARIES}
    assert [library for library in LIBRARIES if found[library]] == finding
    assert all(found[library] == {"198.51.100.10", "2001:db8:10::10"} for library in finding)
    gateway.denied(lab[101], "dns-name-not-allowed", name="registry.npmjs.org.cluster.example")
    assert not lab[101].sent_out("cluster.example")


@contextlib.contextmanager
def resolver_in_its_own_case(lab):
    """Answers everything with one address, the name in capitals."""
    with contextlib.closing(ScriptedResolver(lab.internet, SCRIPTED_RESOLVER)) as peer:
        def answer():
            with contextlib.suppress(OSError):
                while True:
                    query = peer.query()
                    end = question_end(query)
                    peer.say(reply(query[:12] + query[12:end].upper(), address("BUILD.SCRIPTED.EXAMPLE", SERVER)))
        threading.Thread(target=answer, daemon=True).start()
        yield peer


SCRIPTED = "sandboxes: [{vlan: 101, name: build, policy: {allow: ['*.scripted.example']}}]"


def test_resolver_in_its_own_letter_case_is_named_once(lab):
    gateway = lab.start(SCRIPTED, dns={"resolvers": [SCRIPTED_RESOLVER]})
    with resolver_in_its_own_case(lab):
        for _ in range(2):
            answer = lab[101].dig("build.scripted.example", "A", SCRIPTED_RESOLVER, "+tries=3", "+timeout=1")
            assert answer.status != "NOERROR"
    gateway.await_line(rf"resolver {SCRIPTED_RESOLVER} answers in its own letter case.*mix-case: false")
    assert gateway.output().count("letter case") == 1


def test_resolver_in_its_own_letter_case_is_believed_without_mix_case(lab):
    gateway = lab.start(SCRIPTED, dns={"resolvers": [SCRIPTED_RESOLVER], "mix-case": False})
    with resolver_in_its_own_case(lab):
        assert lab[101].dig("Build.scripted.example", "A", SCRIPTED_RESOLVER).data == [SERVER]
    assert "letter case" not in gateway.output()
