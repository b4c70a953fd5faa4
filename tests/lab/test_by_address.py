# SPDX-License-Identifier: Apache-2.0
"""Rule 3a, ports of the addresses that DNS gave for a name: git over ssh, NTP, and what stands beside."""

import contextlib
import time

import pytest

from rawhost import IP, UDP
from topology import must, wait_for

GITHUB, GITHUB6 = "198.51.100.12", "2001:db8:10::12"
OTHER = "198.51.100.66"  # exfil.example
GIT_PORT = 2222
BANNER = b"SSH-2.0-OpenSSH_9.2 lab\r\n"
RULES = [f"github.com:{port}/tcp" for port in (22, GIT_PORT)] + ["*.npmjs.org:123/udp"]


def policy(*rules):
    return {"sandboxes": [{"vlan": 101, "name": "build",
                           "policy": {"allow": ["neighbour.example"], "by-address": list(rules)}},
                          {"vlan": 102, "name": "agent", "policy": {"by-address": list(rules)}}]}


@pytest.fixture
def gateway(lab):
    return lab.start(policy(*RULES))


@pytest.fixture
def build(gateway):
    return gateway.lab[101]


@contextlib.contextmanager
def running(internet, *argv):
    """A server of the internet's for as long as the test needs it."""
    with open(internet.where / "by-address.out", "ab") as out:
        process = internet.host.spawn(*argv, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def repository(build, tmp_path):
    """A git repository that is reached by ssh alone, and what a client needs to get in."""
    for key in ("host", "client"):
        must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key])
    bare, work = tmp_path / "bare", tmp_path / "work"
    git = ["git", "-c", "user.name=lab", "-c", "user.email=lab@lab.example"]
    must(["git", "init", "-q", "-b", "main", work])
    (work / "README").write_text("it came over ssh\n")
    must([*git, "-C", work, "add", "README"])
    must([*git, "-C", work, "commit", "-q", "-m", "docs: Say how it came"])
    must(["git", "clone", "-q", "--bare", work, bare])
    must(["mkdir", "-p", "/run/sshd"])
    options = [f"HostKey={tmp_path}/host", f"AuthorizedKeysFile={tmp_path}/client.pub", "StrictModes=no",
               "PidFile=none", "UsePAM=no", f"Port={GIT_PORT}", f"ListenAddress={GITHUB}"]
    with running(build.internet, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null",
                 *(word for option in options for word in ("-o", option))):
        wait_for(lambda: build.internet.host.run("ss", "-Hltn", f"sport = :{GIT_PORT}").out, "sshd")
        yield bare


def clone(sandbox, repository, into):
    ssh = (f"ssh -i {repository.parent}/client -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
           "-o BatchMode=yes -o ConnectTimeout=10")
    return sandbox.run("env", f"GIT_SSH_COMMAND={ssh}", "git", "clone", "-q",
                       f"ssh://root@github.com:{GIT_PORT}{repository}", into)


def test_git_over_ssh(gateway, build, repository, tmp_path):
    into = tmp_path / "clone"
    said = clone(build, repository, into)
    assert said.ok and (into / "README").read_text() == "it came over ssh\n", said
    gateway.allowed(build, "pin-allowed", name="github.com", via="pin", proto="tcp", dport=GIT_PORT)
    # an entry less: the same command is refused
    gateway.push(policy("*.npmjs.org:123/udp"))
    assert not clone(build, repository, tmp_path / "again").ok


@pytest.mark.parametrize("vlan", [101, 102])
def test_server_that_speaks_first(gateway, vlan):
    sandbox = gateway.lab[vlan]
    with pytest.raises(ConnectionRefusedError):
        sandbox.talk(GITHUB, 22)
    gateway.denied(sandbox, "address-not-pinned", dst=GITHUB, dport=22)
    assert sandbox.dig("github.com").data == [GITHUB]
    with sandbox.talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
    gateway.allowed(sandbox, "pin-allowed", name="github.com", via="pin", dst=GITHUB, dport=22)


def test_ntp(gateway, build, tmp_path):
    """chrony asks a real server for the time, and sets nothing."""
    server = tmp_path / "server.conf"
    server.write_text(f"local stratum 8\nallow all\nbindaddress 198.51.100.14\ncmdport 0\n"
                      f"driftfile {tmp_path}/drift\npidfile {tmp_path}/pid\n")
    client = ["/usr/sbin/chronyd", "-Q", "-U", "-t", "10", "-f", "/dev/null", f"pidfile {tmp_path}/client",
              "cmdport 0"]
    with running(build.internet, "/usr/sbin/chronyd", "-d", "-x", "-U", "-f", server):
        wait_for(lambda: build.internet.host.run("ss", "-Huln", "sport = :123").out, "chronyd")
        said = build.run(*client, "server www.npmjs.org iburst maxsamples 1")
        assert said.ok and "System clock wrong by" in said.out + said.err, said
        gateway.allowed(build, "pin-allowed", name="www.npmjs.org", via="pin", proto="udp", dport=123)
        # an address of another name
        assert build.dig("neighbour.example").data == ["198.51.100.10"]
        with build.udp("198.51.100.10", 123) as asking:
            asking.send(b"\x23" + bytes(47))
            with pytest.raises(OSError):
                asking.recv(100)
        gateway.denied(build, "not-quic", dst="198.51.100.10", dport=123)
    assert not [frame for frame in build.packets_to("198.51.100.10") if UDP in IP(frame[14:])]


def test_what_stands_beside_an_entry_stays_closed(gateway, build):
    assert build.dig("github.com").data == [GITHUB]
    with build.talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
    for address, port, reason in ((GITHUB, 9000, "address-not-pinned"), (OTHER, 22, "address-not-pinned"),
                                  ("198.51.100.10", 22, "address-not-pinned")):
        with pytest.raises(ConnectionRefusedError):
            build.talk(address, port)
        gateway.denied(build, reason, dst=address, dport=port)
    # the name of another entry does not open this one's port
    assert build.dig("www.npmjs.org").data == ["198.51.100.14"]
    with pytest.raises(ConnectionRefusedError):
        build.talk("198.51.100.14", 22)
    # nor does a name of `allow`, whose server must not speak first
    assert build.dig("neighbour.example").data == ["198.51.100.10"]
    with contextlib.suppress(ConnectionResetError), build.talk("198.51.100.10", 22) as connection:
        assert connection.recv(100) == b""
    gateway.denied(build, "not-tls", dst="198.51.100.10", dport=22)
    assert build.dig("exfil.example").status == "NXDOMAIN"


def test_connection_is_cut_when_its_entry_goes(gateway, build):
    assert build.dig("github.com").data == [GITHUB]
    with build.talk(GITHUB, 22) as connection, build.talk(GITHUB, 22) as other:
        assert connection.recv(100) == other.recv(100) == BANNER
        gateway.push(policy("*.com:22/tcp"))  # another entry that says the same: nothing is cut
        connection.sendall(b"SSH-2.0-lab\r\n")
        assert build.internet.await_seen("ssh", hex=b"SSH-2.0-lab\r\n".hex())
        gateway.push(policy("github.com:23/tcp"))
        for cut in (connection, other):
            with pytest.raises(ConnectionResetError):
                cut.recv(100)
    gateway.denied(build, "policy-changed", name="github.com", via="pin", dst=GITHUB, dport=22)


def test_address_of_the_other_family_is_pinned_by_its_own_answer(gateway, build):
    assert build.dig("github.com").data == [GITHUB]
    with pytest.raises(ConnectionRefusedError):
        build.talk(GITHUB6, 22)
    gateway.denied(build, "address-not-pinned", dst=GITHUB6, dport=22)
    assert build.dig("github.com", "AAAA").data == [GITHUB6]
    with build.talk(GITHUB6, 22) as connection:
        assert connection.recv(100) == BANNER
    gateway.allowed(build, "pin-allowed", name="github.com", via="pin", dst=GITHUB6, dport=22)


def test_pin_of_another_sandbox_and_other_protocols_open_nothing(gateway, build):
    agent = gateway.lab[102]
    assert build.dig("github.com").data == [GITHUB]
    with build.talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
    with pytest.raises(ConnectionRefusedError):
        agent.talk(GITHUB, 22)
    gateway.denied(agent, "address-not-pinned", dst=GITHUB, dport=22)
    assert "Packet filtered" in build.ping(GITHUB).out
    with build.udp(GITHUB, 22) as asking, pytest.raises(OSError):
        asking.send(b"over-udp")
        asking.recv(100)
    gateway.denied(build, "address-not-pinned", dst=GITHUB, dport=22, proto="udp")
    # a * is for names below: the apex is another name
    assert build.dig("npmjs.org").status == "NXDOMAIN"
    gateway.denied(build, "dns-name-not-allowed", name="npmjs.org")
    assert not agent.packets_to(GITHUB) and not build.sent_out(b"over-udp")


def test_connection_of_allow_all_goes_on_by_its_pin(lab):
    """A lock-down finds the pin that the name's answer left, and cuts what has none."""
    gateway, build = lab.start("sandboxes: [{vlan: 101, name: build}, {vlan: 102, name: agent}]"), lab[101]
    assert build.dig("github.com").data == [GITHUB]
    with build.talk(GITHUB, 22) as kept, build.talk(OTHER, 22) as cut:
        assert kept.recv(100) == cut.recv(100) == BANNER
        gateway.push(policy("github.com:22/tcp"))
        with pytest.raises(ConnectionResetError):
            cut.recv(100)
        kept.sendall(b"goes-on")
        assert build.internet.await_seen("ssh", hex=b"goes-on".hex())
    gateway.allowed(build, "pin-allowed", name="github.com", via="pin", dst=GITHUB, dport=22, generation=2)
    gateway.denied(build, "policy-changed", dst=OTHER, dport=22)


def test_open_connection_outlives_its_pin(lab):
    """brief.example has a TTL of 0: its pin lives for pin-grace alone."""
    gateway, build = lab.start(policy("brief.example:22/tcp"), dns={"pin-grace": 2}), lab[101]
    assert build.dig("brief.example").data == ["198.51.100.15"]
    with build.talk("198.51.100.15", 22) as connection:
        assert connection.recv(100) == BANNER
        time.sleep(3)  # longer than the pin lives from its last use, which was this connection
        with pytest.raises(ConnectionRefusedError):
            build.talk("198.51.100.15", 22)
        gateway.denied(build, "address-not-pinned", dst="198.51.100.15", dport=22)
        connection.sendall(b"still-here")
        assert build.internet.await_seen("ssh", hex=b"still-here".hex())


def test_policy_without_resolvers_is_refused(lab):
    gateway = lab.start({"sandboxes": []}, dns={"resolvers": "any"})
    said = gateway.push_refused(policy("github.com:22/tcp"))
    assert "by-address opens what DNS answers give" in said
    gateway.push({"sandboxes": [{"vlan": 101, "name": "build", "policy": {"subnets": {"allow": [GITHUB]}}}]})
    with lab[101].talk(GITHUB, 22) as connection:
        assert connection.recv(100) == BANNER
