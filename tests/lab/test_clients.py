# SPDX-License-Identifier: Apache-2.0
"""Programs as they are, in places where they lost what they were allowed to have: resolver libraries that ask
everything from one socket, names that are none, kernels with small windows, files mounted from elsewhere."""

import contextlib
import json
import subprocess
import threading

import pytest

from evasion import SERVER
from internet import RESOLVER, SCRIPTED_RESOLVER
from peer_dns import ScriptedResolver, address, reply
from rawhost import TlsClient
from test_dns import lookup, musl, told
from topology import must, wait_for

__all__ = ["musl"]  # a fixture

POLICY = """
    sandboxes:
      - {vlan: 101, name: build, policy: {allow: [registry.npmjs.org, assets.example, '*.scripted.example']}}
      - {vlan: 102, name: agent}
      - {vlan: 103, name: probe, policy: {allow: ['*']}}
    """

# Asks for all names at once, from one socket as c-ares does, and prints what became of each.
NODE_ASKS = """
const {Resolver} = require('dns').promises;
const resolver = new Resolver({timeout: 15000, tries: 1});
resolver.setServers([process.argv[1]]);
Promise.allSettled(process.argv.slice(2).map(name => resolver.resolve4(name)))
  .then(all => console.log(JSON.stringify(all.map(one => one.value ? one.value[0] : one.reason.code))));
"""


@pytest.fixture
def gateway(lab):
    return lab.start(POLICY, dns={"resolvers": [RESOLVER, SCRIPTED_RESOLVER]})


@pytest.fixture
def slow_resolver(lab):
    """Does not answer before it has been asked a given number of times."""
    with contextlib.closing(ScriptedResolver(lab.internet, SCRIPTED_RESOLVER)) as peer:
        yield peer


@pytest.mark.parametrize("vlan", [101, 102])
def test_node_asks_for_forty_names_at_once(gateway, slow_resolver, vlan):
    names = [f"n{number}.scripted.example" for number in range(40)]

    def answer():
        asked = [(slow_resolver.query(), slow_resolver.asked_by) for _ in names]
        for number, (query, asked_by) in enumerate(asked):
            slow_resolver.udp.sendto(reply(query, address("build.scripted.example", f"198.51.100.{number + 1}")), asked_by)
    answering = threading.Thread(target=answer, daemon=True)
    answering.start()
    said = gateway.lab[vlan].run("/usr/bin/node", "-e", NODE_ASKS, SCRIPTED_RESOLVER, *names, timeout=60)
    answering.join()
    # the question's letter case was put back, and so c-ares takes each answer; but they name another host
    assert said.ok, said
    assert len(json.loads(said.out)) == 40 and "ETIMEOUT" not in said.out and "EREFUSED" not in said.out, said
    assert not gateway.events(vlan=vlan, verdict="deny", dst=SCRIPTED_RESOLVER)


def test_node_is_told_at_once_what_is_not_there(gateway):
    build = gateway.lab[101]
    said = build.run("/usr/bin/node", "-e", NODE_ASKS, RESOLVER, "registry.npmjs.org", "exfil.example", "odd:443",
                     timeout=60)
    assert json.loads(said.out)[:2] == ["198.51.100.10", "ENOTFOUND"], said
    assert not build.sent_out("exfil.example")


ODD = ["registry.npmjs.org:443", "a b.example", "assets.example/x", "*.example", "c++.example"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(gateway, name):
    """No pattern but `*` matches them: refused at once, asked where everything may be."""
    build, agent, probe = (gateway.lab[vlan] for vlan in (101, 102, 103))
    assert build.dig(name).status == "NXDOMAIN"
    gateway.denied(build, "dns-name-not-allowed", name=name, dst=RESOLVER)
    for sandbox in (agent, probe):
        assert sandbox.dig(name).status == "NXDOMAIN"  # the resolver's own word
        gateway.allowed(sandbox, "dns-allowed", name=name, dst=RESOLVER)
    assert build.dig("assets.example").status == "NOERROR"


def test_names_in_utf_8_with_musl(gateway, musl):
    """musl asks for them as they are, and would wait for an answer."""
    name = "b\u00fccher.example"
    for sandbox in (gateway.lab[101], gateway.lab[102]):
        with told(sandbox, "options timeout:20 attempts:1"):
            assert lookup(sandbox, "musl", name, musl) == set()
    escaped = gateway.await_event(vlan=101, verdict="deny", reason="dns-name-not-allowed")["name"]
    assert "cher.example" in escaped
    gateway.allowed(gateway.lab[102], "dns-allowed", name=escaped, dst=RESOLVER)
    assert lookup(gateway.lab[101], "musl", "registry.npmjs.org", musl) != set()


@pytest.fixture
def unbound(gateway, tmp_path):
    """A caching resolver in the sandbox, which asks ours in letter case of its own."""
    config = tmp_path / "unbound.conf"
    config.write_text(f"""
server:
  interface: 127.0.0.1
  port: 5353
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{tmp_path}"
  pidfile: ""
  module-config: "iterator"
  use-caps-for-id: yes
  qname-minimisation: no
  do-not-query-localhost: no
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: {RESOLVER}
""")
    build = gateway.lab[101]
    running = build.spawn("/usr/sbin/unbound", "-d", "-c", str(config), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    ask = ("dig", "-p", "5353", "+tries=1", "+timeout=2", "@127.0.0.1")
    wait_for(lambda: build.run(*ask, "registry.npmjs.org").out.count("198.51.100.10") or None, "unbound to answer", 20)
    yield lambda *words: build.run(*ask, *words).out
    running.terminate()
    running.wait()


def test_unbound_in_the_sandbox(gateway, unbound):
    for words, status in ((["registry.npmjs.org"], "NOERROR"), (["exfil.example"], "NXDOMAIN"),
                          (["+tcp", "registry.npmjs.org", "AAAA"], "NOERROR")):
        said = unbound(*words)
        assert f"status: {status}" in said, said
    gateway.denied(gateway.lab[101], "dns-name-not-allowed", name="exfil.example", dst=RESOLVER)
    assert not gateway.lab[101].sent_out("exfil.example")


def test_dig_keeps_the_bits_of_validating_clients(gateway, slow_resolver):
    build = gateway.lab[101]
    asking = build.spawn("dig", "+adflag", "+cdflag", "+dnssec", "+cookie=0102030405060708", "+tries=1", "+timeout=5",
                         f"@{SCRIPTED_RESOLVER}", "n1.scripted.example", stdout=subprocess.PIPE, text=True)
    query = slow_resolver.query()
    slow_resolver.say(reply(query, address("n1.scripted.example", "198.51.100.7")))
    assert "198.51.100.7" in asking.communicate()[0]
    assert query[2:4] == b"\x01\x30"  # RD; AD and CD
    assert query[-11:] == b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00"  # OPT: 1232, DO, no option


def test_dig_over_tcp_leaves_no_cookie(gateway):
    build = gateway.lab[101]
    said = build.run("dig", "+tcp", "+cookie=5345435245543432", "+padding=128", f"@{RESOLVER}", "assets.example")
    assert "status: NOERROR" in said.out, said
    assert not build.sent_out("SECRET42") and not build.sent_out(bytes.fromhex("5345435245543432"))


# Sends the hello in one write and prints the type of the server's first record.
IN_ONE_WRITE = """
import socket, sys
s = socket.create_connection((sys.argv[1], 443), timeout=40)
s.sendall(bytes.fromhex(sys.argv[2]))
print(s.recv(1)[0])
"""


@pytest.mark.parametrize("window", [65535, 700])
def test_server_with_a_window_smaller_than_the_hello(gateway, window):
    """The kernel of the server advertises no more than this towards the sandbox; the hello has 3,500 bytes."""
    build, host = gateway.lab[101], gateway.lab.internet.host
    back = f"{build.ip}/32 via 100.64.255.1 dev eth0"
    assert build.dig("registry.npmjs.org").data == [SERVER]
    hello = TlsClient("registry.npmjs.org", size=3500).hello
    host.batch(f"route replace {back} window {window}")
    try:
        said = build.run("/usr/bin/python3", "-c", IN_ONE_WRITE, SERVER, hello.hex(), timeout=60)
    finally:
        host.batch(f"route del {back}")
    assert said.out.split() == ["22"], said
    gateway.allowed(build, "domain-allowed", name="registry.npmjs.org", dst=SERVER)


def test_policy_file_that_is_mounted_from_elsewhere(gateway, tmp_path):
    """As a container's runtime does with a single file: the directory that is watched is not told of writes."""
    elsewhere = tmp_path / "policy.yaml"
    elsewhere.write_text(POLICY)
    gateway.stop()
    must(["mount", "--bind", elsewhere, gateway.policy_file])
    try:
        gateway.counters = None
        gateway.restart()
        elsewhere.write_text(POLICY.replace("*.scripted.example", "exfil.example"))  # in place
        gateway.await_line(r"generation 2 enforced")
        assert gateway.lab[101].dig("exfil.example").status == "NOERROR"
    finally:
        must(["umount", gateway.policy_file])
