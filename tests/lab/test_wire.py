# SPDX-License-Identifier: Apache-2.0
"""The lab itself, with testpmd in the gateway's place: whatever is honest gets through, so a denial
in the other tests is the gateway's doing and not the lab's."""

import socket

import pytest

from rawhost import ICMP, IP, UDP, TlsClient


@pytest.fixture(scope="module", autouse=True)
def wire(world):
    world.reset()
    yield world.start_wire()
    world.reset()


@pytest.fixture
def build(world):
    world[101].left.clear()
    return world[101]


@pytest.mark.parametrize("vlan", [101, 102, 103, 104, 105])
def test_each_sandbox_reaches_its_internet(world, vlan):
    assert world[vlan].https("registry.npmjs.org").ok
    assert world[vlan].ping("198.51.100.10").ok
    assert world[vlan].ping("2001:db8:10::10").ok


def test_names_resolve(build):
    assert build.dig("registry.npmjs.org").data == ["198.51.100.10"]
    assert build.dig("registry.npmjs.org", "AAAA").data == ["2001:db8:10::10"]
    assert build.dig("a.b.s3.amazonaws.com").data == ["198.51.100.11"]
    assert build.dig("assets.example").data[-1] == "198.51.100.13"
    assert build.dig("nowhere.example").status == "NXDOMAIN"
    assert len(build.dig("many.example").data) == 20
    assert "tc" in build.dig("large.example", "TXT", build.lab.resolver, "+ignore", "+bufsize=512"
                             ).result.out.split("flags:")[1].split(";")[0]
    assert len(build.dig("large.example", "TXT", build.lab.resolver, "+tcp").data) == 1
    assert build.dig("registry.npmjs.org", "A", build.lab.other_resolver).status == "NOERROR"
    assert build.dig("registry.npmjs.org", "A", build.lab.resolver6).status == "NOERROR"


@pytest.mark.parametrize("address", ["198.51.100.10", "2001:db8:10::10"])
@pytest.mark.parametrize("port", [443, 8443])
def test_servers_say_which_name_they_saw(build, address, port):
    said = build.https("registry.npmjs.org", address, port)
    assert said.out.startswith("sni=registry.npmjs.org host=registry.npmjs.org")
    assert build.internet.await_seen("web", sni="registry.npmjs.org", port=str(port), address=address)
    assert build.sent_out("registry.npmjs.org")
    assert not build.sent_out("never.asked.example")


def test_plain_http(build):
    assert "host=github.com" in build.http("github.com", "198.51.100.12").out
    assert "host=github.com" in build.http("github.com", "2001:db8:10::12").out


def test_server_that_speaks_first(build):
    with build.talk("192.0.2.22", 22) as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-")


def test_postgres(build):
    said = build.tls("db.example", "192.0.2.32", 5432, "-starttls", "postgres")
    assert "seen" in said.out
    assert build.internet.await_seen("postgres", sni="db.example")


def test_udp_echo(build):
    for address in ("203.0.113.9", "2001:db8:9::9"):
        with build.udp(address, 9999) as sock:
            sock.send(b"hello")
            assert sock.recv(100) == b"hello"


@pytest.mark.parametrize("address", ["198.51.100.10", "2001:db8:10::10"])
def test_raw_host_handshakes_and_speaks_tls(build, address):
    with build.raw() as raw:
        tls = TlsClient("registry.npmjs.org", build.internet.where / "ca.pem")
        connection = raw.connect(address, 443)
        connection.send(tls.hello, cut=1)
        assert "sni=registry.npmjs.org" in tls.finish(connection)
        assert build.sent_out("registry.npmjs.org")


def test_raw_host_reverses_and_repeats_segments(build):
    with build.raw() as raw:
        tls = TlsClient("registry.npmjs.org", build.internet.where / "ca.pem", size=1900)
        assert 1800 < len(tls.hello) < 2000
        connection = raw.connect("198.51.100.10", 443)
        connection.send_in_order(tls.hello, [(1000, 2000), (500, 1100), (0, 600), (0, 600)])
        assert "sni=registry.npmjs.org" in tls.finish(connection)
        assert tls.hello in build.payload_to("198.51.100.10")


def test_large_hello_by_a_real_client(build):
    names = ",".join(f"{n:0120d}" for n in range(13))
    said = build.tls("registry.npmjs.org", "198.51.100.10", 443, "-alpn", f"http/1.1,{names}")
    assert "sni=registry.npmjs.org" in said.out


def test_small_ttl_dies_on_the_way(build):
    with build.raw() as raw:
        raw.send(IP(src=raw.ip, dst="198.51.100.10", ttl=1) / UDP(sport=4000, dport=9999) / b"decoy")
        raw.wait_ip(lambda p: p.haslayer(ICMP) and p[ICMP].type == 11, "time exceeded")
        raw.send(IP(src=raw.ip, dst="198.51.100.10") / UDP(sport=4000, dport=9999) / b"real")
        raw.wait_ip(lambda p: p.haslayer(UDP) and bytes(p[UDP].payload)[:4] == b"real", "the echo")
    assert not build.internet.seen("udp", hex=b"decoy".hex())
    assert build.sent_out(b"decoy")


def test_same_inside_address_on_two_vlans(world):
    twin, mirror = world[104], world[105]
    assert twin.ip == mirror.ip
    assert twin.https("registry.npmjs.org").ok and mirror.https("github.com").ok
    assert twin.internet.await_seen("web", sni="registry.npmjs.org")
    assert mirror.internet.await_seen("web", sni="github.com")
    assert not twin.internet.seen("web", sni="github.com")


def test_bare_trunk_carries_no_tag(world):
    assert world[0].ping("198.51.100.10").ok


def test_download_is_long_enough_to_be_cut(build):
    with build.talk("198.51.100.10", 80, b"GET /big HTTP/1.0\r\nHost: x\r\n\r\n") as connection:
        assert len(connection.recv(100, socket.MSG_WAITALL)) == 100


def test_quic(build):
    build.internet.quic_server("198.51.100.17")
    said = build.run("gtlsclient", "--exit-on-all-streams-close", "198.51.100.17", 443,
                     "https://registry.npmjs.org/zone", timeout=10)
    assert build.sent_out(b"\x00\x00\x00\x01") and said.ok, said
