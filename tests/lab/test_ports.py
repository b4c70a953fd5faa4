"""The ports of a running gateway: one gateway on a device, links that go down, devices that go away."""

import re
import subprocess

from gateway import sluice_binary

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
