# SPDX-License-Identifier: Apache-2.0
"""Rule 3: a connection must prove an allowed name, and not a byte leaves before it has."""

import pytest

from internet import RESOLVER
from rawhost import TlsClient, denied_by_alert

NAMES = """
    sandboxes:
      - vlan: 101
        name: build
        policy:
          allow: ["registry.npmjs.org", "*.s3.amazonaws.com", "db.example", "www.*.org"]
      - {vlan: 102, name: agent}
    """
REGISTRY, BUCKETS, DATABASE = "198.51.100.10", "198.51.100.11", "192.0.2.32"
SSL_REQUEST = "0000000804d2162f"


@pytest.fixture
def gateway(lab):
    return lab.start(NAMES)


@pytest.fixture
def build(gateway):
    """The sandbox with names; it has asked for each of them, so all addresses are pinned."""
    sandbox = gateway.lab[101]
    for name in ("registry.npmjs.org", "bucket.s3.amazonaws.com", "db.example"):
        assert sandbox.dig(name).status == "NOERROR"
    return sandbox


def assert_refused_by_alert(gateway, sandbox, said, name, reason="domain-not-allowed"):
    """curl or s_client got an access_denied alert, and the name never left."""
    assert not said.ok and "access denied" in said.err, said
    gateway.denied(sandbox, reason, name=name, via="tls")
    assert not sandbox.sent_out(name, whole=True)
    assert not sandbox.internet.seen("web", sni=name)


def test_allowed_name_reaches_its_server(gateway, build):
    said = build.https("registry.npmjs.org")
    assert said.out.startswith("sni=registry.npmjs.org"), said
    gateway.allowed(build, "dns-allowed", name="registry.npmjs.org", via="dns", proto="udp",
                    dst=RESOLVER, dport=53)
    gateway.allowed(build, "domain-allowed", name="registry.npmjs.org", via="tls", proto="tcp",
                    src=build.ip, dst=REGISTRY, dport=443, sandbox="build", generation=1)
    assert build.internet.await_seen("web", sni="registry.npmjs.org", peer=build.ip)


def test_denied_name_gets_an_alert_and_never_leaves(gateway, build):
    assert build.https("registry.npmjs.org").ok
    said = build.https("exfil.example", REGISTRY)
    assert said.rc == 35, said
    assert_refused_by_alert(gateway, build, said, "exfil.example")


def test_allowed_name_is_matched_without_regard_to_case(gateway, build):
    said = build.tls("ReGiStRy.NPMJS.org", REGISTRY)
    assert "sni=" in said.out, said
    gateway.allowed(build, "domain-allowed", name="registry.npmjs.org", via="tls")


@pytest.mark.parametrize("name", ["bucket.s3.amazonaws.com", "a.b.c.s3.amazonaws.com"])
def test_wildcard_covers_every_depth(gateway, build, name):
    said = build.https(name, None, 443, "/", "-k")  # certificates know one level only
    assert f"sni={name}" in said.out, said
    assert build.sent_out(name, whole=True)
    gateway.allowed(build, "domain-allowed", name=name)


@pytest.mark.parametrize("name", ["s3.amazonaws.com", "evils3.amazonaws.com", "amazonaws.com"])
def test_wildcard_covers_neither_apex_nor_neighbours(gateway, build, name):
    assert build.https("bucket.s3.amazonaws.com").ok
    assert build.dig(name).status == "NXDOMAIN"
    gateway.denied(build, "dns-name-not-allowed", name=name, via="dns")
    assert_refused_by_alert(gateway, build, build.https(name, BUCKETS), name)


def test_inner_wildcard_is_exactly_one_label(gateway, build):
    assert "sni=www.npmjs.org" in build.https("www.npmjs.org").out
    gateway.allowed(build, "domain-allowed", name="www.npmjs.org")
    assert build.dig("www.a.npmjs.org").status == "NXDOMAIN"
    gateway.denied(build, "dns-name-not-allowed", name="www.a.npmjs.org")


def test_tls_is_judged_on_any_port(gateway, build):
    assert "sni=registry.npmjs.org" in build.https("registry.npmjs.org", port=8443).out
    gateway.allowed(build, "domain-allowed", name="registry.npmjs.org", dport=8443)
    assert_refused_by_alert(gateway, build, build.https("exfil.example", REGISTRY, 8443),
                            "exfil.example")


def test_postgres_allowed_name(gateway, build):
    said = build.tls("db.example", DATABASE, 5432, "-starttls", "postgres")
    assert "seen" in said.out, said
    gateway.allowed(build, "domain-allowed", name="db.example", dport=5432)
    assert build.internet.await_seen("postgres", sni="db.example")


def test_postgres_denied_name_shows_the_server_eight_bytes(gateway, build):
    assert "seen" in build.tls("db.example", DATABASE, 5432, "-starttls", "postgres").out
    before = build.payload_to(DATABASE)
    said = build.tls("exfil.example", DATABASE, 5432, "-starttls", "postgres")
    assert_refused_by_alert(gateway, build, said, "exfil.example")
    assert build.payload_to(DATABASE).hex() in (before.hex() + SSL_REQUEST, SSL_REQUEST + before.hex())
    assert not build.internet.seen("postgres", sni="exfil.example")


def test_allowed_name_at_an_address_that_dns_never_gave(gateway, build):
    assert build.https("registry.npmjs.org").ok
    said = build.https("registry.npmjs.org", "198.51.100.30")
    assert said.rc == 7, said
    gateway.denied(build, "address-not-pinned", dst="198.51.100.30", dport=443)
    assert build.packets_to("198.51.100.30") == []


def test_allowed_name_at_the_address_of_another_allowed_name(gateway, build):
    assert build.https("bucket.s3.amazonaws.com").ok
    before = build.payload_to(BUCKETS)
    said = build.https("registry.npmjs.org", BUCKETS)
    assert not said.ok, said
    gateway.denied(build, "address-not-pinned", name="registry.npmjs.org", dst=BUCKETS)
    assert build.payload_to(BUCKETS) == before


def test_pins_belong_to_the_sandbox_that_asked(lab):
    both = ["registry.npmjs.org"]
    gateway = lab.start({"sandboxes": [{"vlan": 101, "policy": {"allow": both}},
                                       {"vlan": 102, "policy": {"allow": both}}]})
    assert lab[101].https("registry.npmjs.org").ok
    assert lab[102].https("registry.npmjs.org", REGISTRY).rc == 7
    gateway.denied(lab[102], "address-not-pinned", dst=REGISTRY)
    assert lab[102].packets_to(REGISTRY) == []


def test_plain_http_proves_no_name(gateway, build):
    assert build.https("registry.npmjs.org").ok
    before = build.payload_to(REGISTRY)
    said = build.http("registry.npmjs.org", REGISTRY)
    assert not said.ok and said.rc != 28, said
    gateway.denied(build, "not-tls", dst=REGISTRY, dport=80)
    assert build.payload_to(REGISTRY) == before
    assert not build.internet.seen("web", port="80")


def test_hello_without_a_name(gateway, build):
    assert build.https("registry.npmjs.org").ok
    before = build.payload_to(REGISTRY)
    said = build.run("openssl", "s_client", "-quiet", "-noservername", "-connect", f"{REGISTRY}:443")
    assert not said.ok, said
    gateway.denied(build, "no-server-name", dst=REGISTRY)
    assert build.payload_to(REGISTRY) == before


def test_server_that_speaks_first_is_not_heard(gateway, build):
    assert build.https("registry.npmjs.org").ok
    with build.raw() as raw:
        connection = raw.connect(REGISTRY, 22)
        connection.await_reset()
        assert b"SSH" not in connection.stream
    gateway.denied(build, "not-tls", dst=REGISTRY, dport=22)


@pytest.mark.parametrize("cuts", ["bytes", "reversed", "overlapping", "twice", "one"])
def test_hello_in_any_segments(gateway, build, cuts):
    """The raw host cuts a real hello; the allowed one is answered, the denied one never leaves."""
    with build.raw() as raw:
        tls = TlsClient("registry.npmjs.org", build.internet.where / "ca.pem")
        connection = raw.connect(REGISTRY, 443)
        connection.send_in_order(tls.hello, pieces(len(tls.hello), cuts))
        assert "sni=registry.npmjs.org" in tls.finish(connection)
        gateway.allowed(build, "domain-allowed", name="registry.npmjs.org", sport=connection.sport)

        before = build.payload_to(REGISTRY)
        denied = TlsClient("exfil.example")
        connection = raw.connect(REGISTRY, 443)
        connection.send_in_order(denied.hello, pieces(len(denied.hello), cuts))
        connection.await_reset()
        assert denied_by_alert(connection.stream)
        gateway.denied(build, "domain-not-allowed", name="exfil.example", sport=connection.sport)
        assert build.payload_to(REGISTRY) == before


def pieces(size, cuts):
    by_hundred = [(at, min(at + 100, size)) for at in range(0, size, 100)]
    return {"one": [(0, size)],
            "bytes": [(at, at + 1) for at in range(size)],
            "reversed": by_hundred[::-1],
            "overlapping": [(max(0, start - 50), end) for start, end in by_hundred[::-1]],
            "twice": [piece for piece in by_hundred for _ in range(2)]}[cuts]


@pytest.mark.parametrize("size", [1900, 11000])
def test_large_hello_of_a_raw_client(gateway, build, size):
    with build.raw() as raw:
        tls = TlsClient("registry.npmjs.org", build.internet.where / "ca.pem", size=size)
        connection = raw.connect(REGISTRY, 443)
        connection.send(tls.hello)
        assert "sni=registry.npmjs.org" in tls.finish(connection)
        gateway.allowed(build, "domain-allowed", name="registry.npmjs.org", sport=connection.sport)

        before = build.payload_to(REGISTRY)
        connection = raw.connect(REGISTRY, 443)
        connection.send(TlsClient("exfil.example", size=size).hello)
        connection.await_reset()
        gateway.denied(build, "domain-not-allowed", name="exfil.example", sport=connection.sport)
        assert build.payload_to(REGISTRY) == before


def test_large_hello_of_a_real_client(gateway, build):
    protocols = ",".join(["http/1.1"] + [f"{n:0120d}" for n in range(13)])
    said = build.tls("registry.npmjs.org", REGISTRY, 443, "-alpn", protocols)
    assert "sni=registry.npmjs.org" in said.out, said
    gateway.allowed(build, "domain-allowed", name="registry.npmjs.org", via="tls")
    said = build.tls("exfil.example", REGISTRY, 443, "-alpn", protocols)
    assert_refused_by_alert(gateway, build, said, "exfil.example")


def test_allow_all_needs_no_name(gateway):
    agent = gateway.lab[102]
    assert "host=exfil.example" in agent.http("exfil.example").out
    gateway.allowed(agent, "allow-all", dport=80)
    with agent.talk("198.51.100.22", 22) as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-")
