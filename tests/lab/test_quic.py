"""QUIC by a real client and server (ngtcp2)."""

import subprocess

import pytest

SERVER, SERVER6 = "198.51.100.10", "2001:db8:10::10"


@pytest.fixture
def servers(lab):
    started = [lab.internet.quic_server(address) for address in (SERVER, SERVER6)]
    yield
    for server in started:
        server.kill()
        server.wait()


def fetch(sandbox, name, address=SERVER):
    """HTTP/3 GET of a small file; the client exits once it has it."""
    return sandbox.run("gtlsclient", "--exit-on-all-streams-close", "--sni", name, address, 443,
                       f"https://{name}/zone")


@pytest.mark.parametrize("address", [SERVER, SERVER6])
def test_quic_needs_no_name_under_allow_all_and_subnets(lab, servers, address):
    gateway = lab.start("""
        sandboxes:
          - {vlan: 101}
          - {vlan: 102, policy: {subnets: {allow: [198.51.100.0/24, "2001:db8::/32"]}}}
        """)
    assert fetch(lab[101], "exfil.example", address).ok
    gateway.allowed(lab[101], "allow-all", proto="udp", dst=address, dport=443)
    assert fetch(lab[102], "exfil.example", address).ok
    gateway.allowed(lab[102], "subnet-allowed", proto="udp", dst=address, dport=443)


def test_quic_for_a_name_that_is_not_allowed_never_leaves(lab, servers):
    gateway = lab.start("sandboxes: [{vlan: 101, policy: {allow: [registry.npmjs.org]}}, {vlan: 102}]")
    assert fetch(lab[102], "exfil.example").ok
    assert lab[101].https("registry.npmjs.org").ok
    client = lab[101].spawn("gtlsclient", "--sni", "exfil.example", SERVER, 443,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    gateway.await_event(vlan=101, verdict="deny", proto="udp", dst=SERVER, dport=443)
    client.kill()
    client.wait()
    assert not [frame for frame in lab[101].packets_to(SERVER) if frame[23] == 17]
