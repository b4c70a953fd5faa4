#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Established flows in Open vSwitch on DPDK, with conntrack and the same rules, beside Sluice's walk.

bench/forwarding_peers.py [--quick]

Both take the same capture by net_pcap with infinite_rx and give it to net_null, on the same CPU, in
turns: the switch is stopped (SIGSTOP) while Sluice is measured."""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import machine
import traffic

sys.path.insert(0, str(machine.ROOT / "tests" / "lab"))
import topology  # noqa: E402

PREFIX = "sluicebench"  # of folders: what a killed run left is swept by it
SWITCH = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
CPU = 0  # where bench_pipeline polls: the switch's one PMD thread does, too
HUGEPAGES = 650  # what both need together
SANDBOXES, UPLINK, REPLIES = 1, 2, 3  # OpenFlow's numbers of the ports


class Switch:
    """ovsdb-server and ovs-vswitchd in a folder of their own. Nothing of them is left at the end."""

    def __init__(self, folder, huge):
        self.folder, self.huge, self.daemons = folder, huge, []
        self.environment = {**os.environ, **{name: str(folder) for name in
                            ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")}}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGCONT)
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def tool(self, *argv):
        done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, env=self.environment,
                              timeout=60)
        if done.returncode:
            raise RuntimeError(f"{argv[0]}: {(done.stderr or done.stdout).strip()[:300]}")
        return done.stdout.strip()

    def vsctl(self, *argv):
        return self.tool("ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "--timeout=30", *argv)

    def ofctl(self, command, *argv):
        return self.tool("ovs-ofctl", "-O", "OpenFlow14", *argv[1:], command,
                         f"unix:{self.folder}/bench.mgmt", *argv[:1])

    def daemon(self, *argv):
        with open(self.folder / "log", "ab") as log:
            self.daemons.append(subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=log,
                                                 stderr=log, env=self.environment,
                                                 preexec_fn=topology.die_with_parent))

    def start(self):
        self.tool("ovsdb-tool", "create", self.folder / "conf.db", SCHEMA)
        self.daemon("ovsdb-server", self.folder / "conf.db", f"--remote=punix:{self.folder}/db.sock")
        end = time.monotonic() + 10
        while not (self.folder / "db.sock").exists() and time.monotonic() < end:
            time.sleep(0.02)
        # the switch adds --in-memory, which excludes --no-huge, unless it reads --legacy-mem
        memory = "--in-memory" if self.huge else "--legacy-mem --no-shconf --no-huge -m 1024"
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                   f"other_config:pmd-cpu-mask={1 << CPU:#x}", "other_config:smc-enable=true",
                   f"other_config:dpdk-extra=--no-pci --no-telemetry --iova-mode=va {memory}")
        self.daemon(SWITCH, f"unix:{self.folder}/db.sock")
        self.vsctl("add-br", "bench", "--", "set", "bridge", "bench", "datapath_type=netdev",
                   "fail-mode=secure")
        if self.vsctl("get", "Open_vSwitch", ".", "dpdk_initialized") != "true":
            raise RuntimeError("the switch started without DPDK")

    def add_port(self, name, number, devargs):
        self.vsctl("add-port", "bench", name, "--", "set", "interface", name, "type=dpdk",
                   f"options:dpdk-devargs={devargs}", f"ofport_request={number}")
        error = self.vsctl("get", "interface", name, "error")
        if error not in ("[]", '""'):
            raise RuntimeError(f"the switch refuses port {name}: {error}")

    def packets(self, number, direction):
        """What a port has received or sent so far."""
        text = self.ofctl("dump-ports", str(number))
        return int(re.search(direction + r" pkts=(\d+)", text).group(1))

    def rate(self, seconds):
        """Mpps that leave."""
        began, before = time.monotonic(), self.packets(UPLINK, "tx")
        time.sleep(seconds)
        ended, after = time.monotonic(), self.packets(UPLINK, "tx")
        return (after - before) / (ended - began) / 1e6

    @contextlib.contextmanager
    def stopped(self):
        self.daemons[-1].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.daemons[-1].send_signal(signal.SIGCONT)

    def connections(self):
        """How many flows conntrack has."""
        target = next(self.folder.glob("ovs-vswitchd*.ctl"))
        return len(self.tool("ovs-appctl", "-t", target, "dpctl/dump-conntrack").splitlines())

    def judged(self):
        """How many packets were taken for the first of a flow, and judged by prefix."""
        text = self.ofctl("dump-flows", "table=1,ct_state=+trk+new")
        return sum(map(int, re.findall(r"n_packets=(\d+)", text)))


def prepare(switch, folder):
    """Rules and ports; every flow open, and answered once, so that conntrack calls it established."""
    frames = traffic.capture(folder / "frames.pcap")
    answers = traffic.rewritten(frames, folder / "answers.pcap", traffic.reply)
    rules = folder / "rules"
    rules.write_text("\n".join(traffic.openflow(SANDBOXES, UPLINK, REPLIES)) + "\n")
    switch.ofctl("replace-flows", rules, "--bundle")
    switch.add_port("sink", UPLINK, "net_null0,no-rx=1")
    switch.add_port("source", SANDBOXES, f"net_pcap0,rx_pcap={frames},infinite_rx=1")
    wait_until(lambda: switch.packets(UPLINK, "tx") > 20 * traffic.FLOWS, "the switch forwards nothing")
    switch.add_port("answers", REPLIES, f"net_pcap1,rx_pcap={answers},infinite_rx=1")
    wait_until(lambda: switch.packets(REPLIES, "rx") > 20 * traffic.FLOWS, "no answers come")
    switch.vsctl("del-port", "answers")
    if switch.connections() != traffic.FLOWS:
        raise RuntimeError(f"conntrack has {switch.connections()} flows instead of {traffic.FLOWS}")


def wait_until(condition, what):
    end = time.monotonic() + 15
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(what)
        time.sleep(0.2)


def run(quick):
    """Medians in Mpps, and Sluice's over the switch's; or why there are none."""
    runs = 1 if quick else 5
    huge = machine.free_hugepages() >= HUGEPAGES
    topology.sweep(PREFIX)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    sluice, ovs = [], []
    try:
        with Switch(folder, huge) as switch:
            prepare(switch, folder)
            time.sleep(2)  # until its counters tell of all that was judged
            judged = switch.judged()
            for _ in range(runs):
                with switch.stopped():
                    row = machine.run_json("bench_pipeline", "--json", "--runs", 1, "--seconds", 1,
                                           env={} if huge else {"BENCH_NO_HUGE": "1"})[-1]
                sluice.append(row["sluice"]["mpps"])
                switch.rate(0.5)
                ovs.append(round(switch.rate(2), 3))
            if switch.judged() != judged:
                raise RuntimeError("established flows were judged again: this is no measure of them")
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return {"error": f"{error}".strip(), "log": said(folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"runs": runs, "hugepages": huge, "flows": traffic.FLOWS, "sandboxes": traffic.SANDBOXES,
            "prefixes": len(traffic.REFUSED) + 1, "sluice_mpps": sluice, "ovs_mpps": ovs,
            "ratio": round(statistics.median(sluice) / statistics.median(ovs), 1)}


def said(folder):
    """The last lines of the switch's log."""
    log = folder / "log"
    return log.read_text(errors="replace").splitlines()[-10:] if log.exists() else []


def print_table(result):
    if "error" in result:
        print(f"OVS-DPDK with conntrack did not run: {result['error']}")
        print("\n".join(result["log"]))
        return
    print(f"{'64 B, 10k flows, same rules; one core':42} {'OVS-DPDK':>14} {'sluice':>16} {'ratio':>6}")
    print(f"{'established':42} {statistics.median(result['ovs_mpps']):9.2f} Mpps "
          f"{statistics.median(result['sluice_mpps']):11.2f} Mpps {result['ratio']:6.1f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    print_table(run(parser.parse_args().quick))


if __name__ == "__main__":
    main()
