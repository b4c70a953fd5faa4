# SPDX-License-Identifier: Apache-2.0
"""The ports of a running gateway: one gateway on a device, links that go down, devices that go away."""

import re
import socket
import subprocess
import time

import pytest

from gateway import sluice_binary
from rawhost import TlsClient
from topology import FAR_BASE, SANDBOX_BASE, wait_for

PUBLIC = "198.51.100.20"
ALLOW_ALL = "sandboxes: [{vlan: 101}]"


def second_gateway(lab, gateway, **ports):
    """What a second `sluice run` in the gateway's namespace says, and its exit status."""
    config = gateway.config_file.read_text()
    for old, new in ports.items():
        config = config.replace(old, new)
    other = gateway.where / "second.yaml"
    other.write_text(config.replace("events.jsonl", "second.jsonl"))
    done = lab.gateway_space.run(sluice_binary(), "run", "-c", other)
    return done.rc, done.err


def test_second_gateway_on_a_device_is_refused_and_told_the_first(lab):
    gateway = lab.start(ALLOW_ALL)
    pid = subprocess.run(["pgrep", "-P", str(gateway.process.pid)], capture_output=True, text=True).stdout.split()
    pid = pid[0] if pid else str(gateway.process.pid)  # `ip netns exec` becomes its command
    rc, said = second_gateway(lab, gateway)
    assert rc == 1 and re.search(rf"port sandbox .*process {pid} is a gateway on this device", said), said
    # the other port alone is enough, and so is another name of DPDK's for it
    rc, said = second_gateway(lab, gateway, **{"net_af_packet0,iface=trunk0": "net_null0",
                                               "net_af_packet1": "net_af_packet7"})
    assert rc == 1 and f"port uplink (net_af_packet7,iface=uplink0): process {pid} is" in said, said
    assert lab[101].ping(PUBLIC).ok


def test_killed_gateway_leaves_its_devices_to_the_next(lab):
    gateway = lab.start(ALLOW_ALL)
    gateway.kill()
    gateway.restart()
    assert lab[101].ping(PUBLIC).ok


# Links that go down, devices that go away. The gateway has trunk0 and uplink0; their other ends, trunk and
# uplink, are in the wire namespace.

BOTH = "sandboxes: [{vlan: 101}, {vlan: 102, policy: {allow: [registry.npmjs.org]}}]"
PORT = {"trunk0": "sandbox", "uplink0": "uplink"}


def spoken(gateway, pattern, start=0):
    return gateway.await_line(pattern, start)[1]


def forwards(sandbox):
    return sandbox.ping(PUBLIC).ok


def told_of(gateway, port):
    """What events said of a port, in order."""
    return [event["state"] for event in gateway.events(event="port", port=port)]


def mend(lab):
    """The trunks as the lab laid them, whatever a test did to them."""
    program = lab.where / "vlan.bpf.o"
    for name, base in (("trunk", SANDBOX_BASE), ("uplink", FAR_BASE)):
        there = lab.gateway_space.run("ip", "link", "show", f"{name}0").ok
        if not there:
            lab.lay_trunk(name, base, program)
        lab.gateway_space.batch(f"link set {name}0 up")
        lab.wire.batch(f"link set {name} up")


@pytest.fixture
def ports(lab):
    mend(lab)
    yield lab
    mend(lab)


@pytest.mark.parametrize("device", ["trunk0", "uplink0"])
def test_interface_taken_down_and_up_forwards_again(ports, device, workers):
    gateway, build = ports.start(BOTH, workers=workers), ports[101]
    assert forwards(build)
    ports.gateway_space.batch(f"link set {device} down")
    start = spoken(gateway, rf"warning: port {PORT[device]}: {device} is down")
    assert not build.ping(PUBLIC, "-W", "1").ok
    ports.gateway_space.batch(f"link set {device} up")
    spoken(gateway, rf"port {PORT[device]}: {device} is back after \d+ ms", start)
    assert forwards(build)
    assert ports[102].https("registry.npmjs.org").ok
    gateway.await_event(event="port", port=PORT[device], state="up")
    assert told_of(gateway, PORT[device]) == ["down", "up"]
    counters = gateway.stop()
    assert counters["packets"] == counters["forwarded"] + counters["dropped"] + counters["held"]


@pytest.mark.parametrize("device", ["trunk0", "uplink0"])
def test_other_end_taken_down_and_up_forwards_again(ports, device):
    gateway, build = ports.start(BOTH), ports[101]
    assert forwards(build)
    ports.wire.batch(f"link set {device[:-1]} down")
    start = spoken(gateway, rf"warning: port {PORT[device]}: {device} has no link")
    assert not build.ping(PUBLIC, "-W", "1").ok
    ports.wire.batch(f"link set {device[:-1]} up")
    spoken(gateway, rf"port {PORT[device]}: {device} is back after \d+ ms", start)
    assert forwards(build)
    gateway.await_event(event="port", port=PORT[device], state="up")
    assert told_of(gateway, PORT[device]) == ["down", "up"]
    gateway.stop()


@pytest.mark.parametrize("end", ["gateway", "wire"])
@pytest.mark.parametrize("device", ["trunk0", "uplink0"])
def test_deleted_interface_is_taken_again_when_it_is_back(ports, device, end):
    gateway, build = ports.start(BOTH), ports[101]
    assert forwards(build)
    if end == "gateway":
        ports.gateway_space.batch(f"link del {device}")
    else:
        ports.wire.batch(f"link del {device[:-1]}")
    start = spoken(gateway, rf"warning: port {PORT[device]}: {device} is gone")
    assert not build.ping(PUBLIC, "-W", "1").ok
    assert gateway.running
    mend(ports)
    spoken(gateway, rf"port {PORT[device]}: {device} is back after \d+ ms", start)
    assert forwards(build)
    assert ports[102].https("registry.npmjs.org").ok
    gateway.await_event(event="port", port=PORT[device], state="up")
    told = told_of(gateway, PORT[device])  # it may be seen down before it is seen gone, or before it is up
    assert "gone" in told and told[-1] == "up" and all(one != two for one, two in zip(told, told[1:]))
    counters = gateway.stop()
    assert counters["packets"] == counters["forwarded"] + counters["dropped"] + counters["held"]


def test_flows_outlive_an_interface_that_was_deleted(ports):
    """A connection that was judged before goes on after, and is not judged again."""
    gateway, agent = ports.start(BOTH), ports[102]
    assert agent.dig("registry.npmjs.org").status == "NOERROR"
    with agent.raw() as raw:
        tls = TlsClient("registry.npmjs.org", agent.internet.where / "ca.pem")
        connection = raw.connect("198.51.100.10", 443)
        connection.send(tls.hello)
        gateway.allowed(agent, "domain-allowed", name="registry.npmjs.org", sport=connection.sport)
        for device in ("uplink0", "trunk0"):
            ports.gateway_space.batch(f"link del {device}")
            start = spoken(gateway, f"{device} is gone")
            mend(ports)
            spoken(gateway, f"{device} is back", start)
        assert "sni=registry.npmjs.org" in tls.finish(connection)
        assert len(gateway.events(sport=connection.sport, vlan=102)) == 1
    gateway.stop()


def test_device_that_comes_and_goes_under_load_loses_no_count(ports, workers):
    """Frames come without a pause while the uplink goes down, is deleted and comes back."""
    gateway, build = ports.start(BOTH, workers=workers), ports[101]
    assert forwards(build)
    flood = build.spawn("ping", "-n", "-q", "-f", "-c", "1000000", PUBLIC, stdout=subprocess.DEVNULL)
    start = 0
    try:
        for _ in range(3):
            ports.gateway_space.batch("link set uplink0 down")
            start = spoken(gateway, "uplink0 is down", start)
            ports.gateway_space.batch("link set uplink0 up")
            start = spoken(gateway, "uplink0 is back", start)
            ports.gateway_space.batch("link del uplink0")
            start = spoken(gateway, "uplink0 is gone", start)
            mend(ports)
            start = spoken(gateway, "uplink0 is back", start)
    finally:
        flood.kill()
        flood.wait()
    assert forwards(build)
    counters = gateway.stop()
    assert counters["packets"] == counters["forwarded"] + counters["dropped"] + counters["held"]
    assert counters["reasons"]["tx-full"] > 0


def test_interface_down_at_the_start_is_used_when_it_is_up(ports):
    ports.gateway_space.batch("link set uplink0 down")
    gateway, build = ports.start(BOTH), ports[101]
    start = spoken(gateway, "warning: port uplink: uplink0 is down")
    ports.gateway_space.batch("link set uplink0 up")
    spoken(gateway, "uplink0 is back", start)
    assert forwards(build)
    gateway.stop()


def test_quick_down_and_up_is_not_missed(ports):
    """Both before the gateway can have looked."""
    gateway, build = ports.start(BOTH), ports[101]
    assert forwards(build)
    start = 0
    for _ in range(3):
        ports.gateway_space.batch("link set uplink0 down", "link set uplink0 up")
        start = spoken(gateway, "uplink0 is back", start)
        wait_for(lambda: forwards(build), "frames to pass")
    gateway.stop()


def test_interface_that_the_gateway_makes_is_made_again(ports):
    """A tap goes with the process that has it, so it is not closed when it is only down."""
    tap = {"uplink": {"dev": "net_tap0,iface=made0"}}
    gateway = ports.start(BOTH, ports=tap)
    ports.gateway_space.batch("link set made0 down")
    start = spoken(gateway, "warning: port uplink: made0 is down")
    ports.gateway_space.batch("link set made0 up")
    start = spoken(gateway, "port uplink: made0 is back", start)
    ports.gateway_space.batch("link del made0")
    start = spoken(gateway, "warning: port uplink: made0 is gone", start)
    spoken(gateway, "port uplink: made0 is back", start)
    assert ports.gateway_space.run("ip", "link", "show", "made0").ok
    gateway.stop()


def test_device_that_another_gateway_took_meanwhile_is_left_to_it(ports):
    """The interface is made anew, and another gateway is there first: the log names it."""
    gateway = ports.start(BOTH)
    ports.gateway_space.batch("link del uplink0")
    start = spoken(gateway, "uplink0 is gone")
    with ports.gateway_space.entered():
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        owner = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # with the name under which the device will be known, before the device is there
    holder.bind(f"\0sluice/ifindex/{4242}")
    owner.bind(f"\0sluice/ifindex/{4242}/process/12345")
    with holder, owner:
        ports.wire.batch(f"link add uplink index {FAR_BASE} type veth "
                         f"peer name uplink0 index 4242 netns {ports.gateway_space.name}",
                         "link set uplink addrgenmode none up")
        ports.gateway_space.batch("link set uplink0 addrgenmode none up")
        start = spoken(gateway, "uplink0 cannot be taken again yet.*process 12345 is a gateway on this device", start)
        time.sleep(2.5)  # it is tried every second
        assert not any("is back" in line for line in gateway.lines[start:])
    spoken(gateway, "uplink0 is back", start)
    gateway.stop()
    ports.gateway_space.batch("link del uplink0")  # it is laid again, with what the lab needs of it
