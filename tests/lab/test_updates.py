# SPDX-License-Identifier: Apache-2.0
"""A push takes effect on what is open, and only on what it changes."""

import contextlib
import re
import signal
import ssl
import subprocess

import pytest

from rawhost import TCP, TlsClient, ip_of
from topology import wait_for

OPEN = "sandboxes: [{vlan: 101, name: build}, {vlan: 102, name: agent}]"
SHUT = "sandboxes: [{vlan: 101, name: build, policy: deny-all}, {vlan: 102, name: agent}]"
REGISTRY = "198.51.100.10"


def names(*allowed):
    return {"sandboxes": [{"vlan": 101, "name": "build", "policy": {"allow": list(allowed)}},
                          {"vlan": 102, "name": "agent"}]}


@contextlib.contextmanager
def download(sandbox, url):
    """curl that has begun to receive a file of 1 GiB at 2 MiB a second."""
    into = sandbox.lab.fresh_directory("download") / "big"
    process = sandbox.spawn("curl", "-sS", "-o", into, "--no-buffer", "--cacert",
                            sandbox.internet.where / "ca.pem", url,
                            stderr=subprocess.PIPE, text=True)
    wait_for(lambda: process.poll() is not None or into.exists() and into.stat().st_size > 100_000,
             "the download to begin")
    assert process.poll() is None, process.stderr.read()
    process.into = into
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def tls_session(sandbox, name, address=REGISTRY):
    """A TLS connection that stays open."""
    context = ssl.create_default_context(cafile=sandbox.internet.where / "ca.pem")
    return context.wrap_socket(sandbox.talk(address, 443), server_hostname=name)


def ask(session, name):
    session.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    answer = b""
    while b"from=" not in answer:  # the end of the body
        answer += session.recv(4096)
    return answer


def is_cut(session):
    """True if the peer's end is gone (Python's TLS reports a reset as the end of the stream)."""
    try:
        return session.recv(100) == b""
    except ConnectionResetError:
        return True


def resets_out(sandbox, address):
    packets = [ip_of(frame) for frame in sandbox.packets_to(address)]
    return [p for p in packets if p.haslayer(TCP) and "R" in p[TCP].flags]


def test_deny_all_cuts_an_open_download_on_both_ends(lab):
    gateway, build = lab.start(OPEN), lab[101]
    build.know_neighbours()
    with download(build, f"http://{REGISTRY}/big") as process:
        gateway.push(SHUT)
        assert process.wait(20) == 56, process.stderr.read()  # CURLE_RECV_ERROR: reset by peer
    gateway.denied(build, "policy-changed", dst=REGISTRY, dport=80, generation=2)
    lab[102].barrier()
    assert any("R" in ip_of(frame)[TCP].flags for frame in build.left.frames
               if frame[12:14] == b"\x08\x00" and frame[23] == 6)
    assert build.internet.await_seen("web", uri="/big")  # logged when the server gave it up


def test_deny_all_cuts_an_idle_connection_on_both_ends(lab):
    gateway, build = lab.start(OPEN), lab[101]
    build.know_neighbours()
    with build.talk(REGISTRY, 9000, b"before") as connection:
        assert connection.recv(100) == b"before"
        gateway.push(SHUT)
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    assert build.internet.await_seen("sink", reset=True)
    gateway.denied(build, "policy-changed", dst=REGISTRY, dport=9000)


def test_cut_flow_carries_nothing_either_way(lab):
    """After the acknowledgement neither end's bytes arrive, whatever the ends believe."""
    gateway, build = lab.start(OPEN), lab[101]
    build.know_neighbours()
    with build.raw() as raw:
        raw.gateway()
        connection = raw.connect(REGISTRY, 9000)
        connection.send(b"before")
        assert connection.await_bytes(6) == b"before"
        gateway.push(SHUT)
        connection.send(b"after-the-cut")
        connection.await_reset()
    assert not build.sent_out(b"after-the-cut", through=lab[102])
    assert not build.internet.seen("sink", hex=b"after-the-cut".hex())


def test_flow_of_a_name_that_stays_allowed_goes_on(lab):
    gateway, build = lab.start(names("registry.npmjs.org", "github.com")), lab[101]
    for name in ("registry.npmjs.org", "github.com"):
        assert build.dig(name).status == "NOERROR"
    with tls_session(build, "registry.npmjs.org") as kept, \
            tls_session(build, "github.com", "198.51.100.12") as cut:
        assert b"200 OK" in ask(kept, "registry.npmjs.org") and b"200 OK" in ask(cut, "github.com")
        gateway.push(names("registry.npmjs.org", "assets.example"))
        assert is_cut(cut)
        assert b"200 OK" in ask(kept, "registry.npmjs.org")
    gateway.denied(build, "policy-changed", name="github.com", generation=2)
    assert not gateway.events(reason="policy-changed", name="registry.npmjs.org")
    assert resets_out(build, "198.51.100.12") and not resets_out(build, REGISTRY)


def test_flow_that_never_proved_a_name_ends_with_allow_all(lab):
    """TLS opened under allow-all carries no name, so names alone do not keep it."""
    gateway, build = lab.start(OPEN), lab[101]
    assert build.dig("registry.npmjs.org").status == "NOERROR"
    with tls_session(build, "registry.npmjs.org") as session, build.talk("192.0.2.22", 9000) as kept:
        assert b"200 OK" in ask(session, "registry.npmjs.org")
        policy = names("registry.npmjs.org")
        policy["sandboxes"][0]["policy"]["subnets"] = {"allow": ["192.0.2.0/24"]}
        gateway.push(policy)
        assert is_cut(session)
        kept.sendall(b"kept")  # its address is allowed without a name
        assert kept.recv(100) == b"kept"
    assert build.https("registry.npmjs.org").ok


def test_udp_and_ping_stop_with_the_policy(lab):
    gateway, build = lab.start(OPEN), lab[101]
    with build.udp("198.51.100.20", 9999) as sock:
        sock.send(b"before")
        assert sock.recv(100) == b"before"
        assert build.ping("198.51.100.20").ok
        gateway.push(names("registry.npmjs.org"))
        with pytest.raises(OSError):
            sock.send(b"after-the-push")
            sock.recv(100)
    assert "Packet filtered" in build.ping("198.51.100.20").out
    assert not build.sent_out(b"after-the-push")


def test_neighbour_loses_no_packet(lab):
    """Twenty pushes for one sandbox while the other pings and downloads."""
    gateway, agent = lab.start(OPEN), lab[102]
    with download(agent, f"http://{REGISTRY}/big") as process:
        pings = agent.spawn("ping", "-n", "-q", "-i", "0.002", "-c", "1000", "198.51.100.20",
                            stdout=subprocess.PIPE, text=True)
        pushes = 0
        while pings.poll() is None and pushes < 20:
            gateway.push(SHUT if pushes % 2 == 0 else OPEN)
            pushes += 1
        said, _ = pings.communicate()
        assert re.search(r"1000 packets transmitted, 1000 received, 0% packet loss", said), said
        assert process.poll() is None and pushes >= 2
    assert not any(event["dst"] in (REGISTRY, "198.51.100.20")
                   for event in gateway.events(vlan=102, verdict="deny"))


def test_widening_opens_a_name_at_once(lab):
    gateway, build = lab.start(names("registry.npmjs.org")), lab[101]
    assert build.https("registry.npmjs.org").ok
    assert build.dig("github.com").status == "NXDOMAIN"
    assert gateway.push(names("registry.npmjs.org", "github.com")) == 2
    assert "sni=github.com" in build.https("github.com").out
    gateway.allowed(build, "domain-allowed", name="github.com", generation=2)


def test_removed_sandbox_is_unknown_and_a_new_one_inherits_nothing(lab):
    gateway, build = lab.start(names("registry.npmjs.org")), lab[101]
    build.know_neighbours()
    assert build.https("registry.npmjs.org").ok
    gateway.push("sandboxes: [{vlan: 102}]")
    with build.udp(REGISTRY, 9999) as sock:
        sock.send(b"nobody")
    gateway.denied(build, "unknown-sandbox")
    gateway.push({"sandboxes": [{"vlan": 101, "name": "other",
                                 "policy": {"allow": ["registry.npmjs.org"]}}, {"vlan": 102}]})
    assert build.https("registry.npmjs.org", REGISTRY).rc == 7
    gateway.denied(build, "address-not-pinned", sandbox="other", dst=REGISTRY)
    assert not build.sent_out(b"nobody")


@pytest.mark.parametrize("way", ["push", "push_in_place", "push_by_symlink"])
def test_every_way_to_change_the_file_is_noticed(lab, way):
    gateway, build = lab.start(OPEN), lab[101]
    for round_number in (1, 2):
        assert build.ping(REGISTRY).ok
        getattr(gateway, way)(names("registry.npmjs.org"))
        assert "Packet filtered" in build.ping(REGISTRY).out
        getattr(gateway, way)(OPEN)
    assert build.ping(REGISTRY).ok
    assert gateway.generation == 5


def test_hangup_reads_the_file_again(lab):
    gateway, build = lab.start(OPEN), lab[101]
    assert build.ping(REGISTRY).ok
    gateway.write_renamed(names("registry.npmjs.org"))
    gateway.await_enforced()
    gateway.signal(signal.SIGHUP)
    assert "Packet filtered" in build.ping(REGISTRY).out and gateway.running


@pytest.mark.parametrize("document", [
    "", "sandboxes: [{vlan: 101, policy: allow-everything}]", "sandboxes: [{vlan: 101, policy: }]",
    "sandboxes:\n  - vlan: 101\n    policy:\n      allow:\n        - *.example.com\n",
    "sandboxes: [{vlan: 101}, {vlan: 101}]", "sandboxes: [{vlan: 0}]",
    "sandboxes: [{vlan: 101, policy: {subnets: {allow: [10.1.2.3/8]}}}]",
    "sandboxes: [{vlan: 101, policy: {allow: ['https://x.com']}}]",
], ids=["empty", "unknown-policy", "null", "unquoted-star", "vlan-twice", "vlan-0", "host-bits", "url"])
def test_bad_policy_changes_nothing_and_says_why(lab, document):
    gateway, build = lab.start(names("registry.npmjs.org")), lab[101]
    assert build.https("registry.npmjs.org").ok
    said = gateway.push_refused(document)
    assert re.search(r"policy\.yaml:\d+:\d+: ", said), said
    assert build.https("registry.npmjs.org").ok
    assert build.dig("exfil.example").status == "NXDOMAIN"
    assert gateway.denied(build, "dns-name-not-allowed", name="exfil.example")["generation"] == 1
    assert gateway.push(OPEN) == 2
    assert build.dig("exfil.example").status == "NOERROR"


def test_flow_on_hold_is_judged_by_the_newest_generation(lab):
    gateway, build = lab.start(names("registry.npmjs.org", "github.com")), lab[101]
    assert build.dig("registry.npmjs.org").status == "NOERROR"
    with build.raw() as raw:
        tls = TlsClient("registry.npmjs.org")
        connection = raw.connect(REGISTRY, 443)
        connection.send(tls.hello[:100])
        build.barrier()
        gateway.push(names("github.com"))
        connection.send(tls.hello[100:])
        connection.await_reset()
    gateway.await_event(vlan=101, verdict="deny", generation=2, dst=REGISTRY)
    assert build.payload_to(REGISTRY) == b""
