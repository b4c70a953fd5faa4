#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The whole path over veth: generator, gateway, sink, each in a namespace of its own.

bench/veth.py [--quick]

`sluice run` as it is installed, testpmd's io on the very same devices, and the kernel's forwarding with
nftables and conntrack take turns between the same two cables. The generator and the kernel's work for
what it sends have one CPU, what is measured has another."""

import argparse
import json
import os
import pathlib
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
import gateway  # noqa: E402
import topology  # noqa: E402

PREFIX = "sluicebench"  # of namespaces and folders: what a killed run left is swept by it
LOAD_CPU, CPU = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))  # Sluice polls on the last, too
DRIVERS = {
    "af_packet": "",
    # by default it polls the device itself; veth then stops now and then to take redirected frames
    "af_xdp": ",busy_budget=0",
}
WARM_PPS = 50000
MODERATE_PPS = 100000
BURST, DESCRIPTORS = 64, 1024  # Sluice's defaults, testpmd gets the same
OFFLOADS = ["tx", "off", "tso", "off", "gso", "off", "txvlan", "off", "rxvlan", "off"]
NOBODY = "02:00:00:00:00:02"  # a station that does not exist: frames to it end at the sink


class Cables:
    """g0 -- d0 [what is measured] d1 -- s0, and the captures that go over them."""

    def __enter__(self):
        topology.sweep(PREFIX)
        self.huge = machine.has_hugepages()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.spaces = []
        try:
            self.lay()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for space in self.spaces:
            space.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def space(self, name):
        space = topology.Namespace(f"{PREFIX}{os.getpid()}-{name}")
        self.spaces.append(space)
        space.sysctl(net_ipv6_conf_all_disable_ipv6=1, net_ipv6_conf_default_disable_ipv6=1)
        return space

    def lay(self):
        self.generator, self.middle, self.sink = map(self.space, ("generator", "middle", "sink"))
        for near, far, space in (("d0", "g0", self.generator), ("d1", "s0", self.sink)):
            self.middle.batch(f"link add {near} type veth peer name {far} netns {space.name}")
            # GRO makes a veth device poll, without which it takes no frames from bench_flood
            for device, owner, gro in ((near, self.middle, "on"), (far, space, "off")):
                topology.must(owner.argv(["ethtool", "-K", device, *OFFLOADS, "gro", gro]))
                owner.batch(f"link set {device} arp off up")
        self.tagged = traffic.capture(self.folder / "tagged.pcap")
        self.answers = traffic.rewritten(self.tagged, self.folder / "answers.pcap", traffic.reply)

    def received(self):
        """Frames that have come to the far end so far."""
        with self.sink.entered():
            lines = pathlib.Path("/proc/thread-self/net/dev").read_text().splitlines()
        return next(int(line.split(":")[1].split()[1]) for line in lines if line.strip().startswith("s0:"))

    def reading(self):
        """(when, how many): again until nothing came between the clock and the counter."""
        for _ in range(100):
            before, count, after = time.monotonic(), self.received(), time.monotonic()
            if after - before < 0.001:
                break
        return (before + after) / 2, count

    def flood(self, space, device, capture, *options):
        return space.spawn("taskset", "-c", LOAD_CPU, machine.BUILD / "bench_flood", *options, device, capture,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def settled(self):
        """What has come in all, once nothing more comes."""
        before, now = -1, self.received()
        while now != before:
            time.sleep(0.1)
            before, now = now, self.received()
        return now


def sent(flood):
    """What the generator says when it is done."""
    out = flood.communicate(timeout=60)[0]
    if flood.returncode:
        raise RuntimeError(out.strip())
    return json.loads(out)


class Measured:
    """What stands in the middle: start() and stop(), and the frames that it understands."""

    def __init__(self, cables):
        self.cables = cables
        self.frames, self.answers = cables.tagged, cables.answers

    def launch(self, argv, ready):
        self.process = gateway.Process(self.cables.middle, argv, self.cables.folder / "log")
        try:
            self.process.await_line(ready)
        except AssertionError:
            self.process.end(signal.SIGKILL)
            raise

    def stop(self):
        self.process.end(signal.SIGTERM)


class Sluice(Measured):
    def __init__(self, cables, driver):
        super().__init__(cables)
        self.name, self.driver = f"sluice, {driver}", driver

    def start(self):
        folder = self.cables.folder
        (folder / "policy.yaml").write_text(traffic.policy())
        (folder / "sluice.yaml").write_text(json.dumps({
            "ports": {"sandbox": {"dev": f"net_{self.driver}0,iface=d0{DRIVERS[self.driver]}"},
                      "uplink": {"dev": f"net_{self.driver}1,iface=d1"}},
            "policy": "policy.yaml", "control": {"socket": ""}, "workers": 1, "burst": BURST, "huge-pages": self.cables.huge,
            "rx-descriptors": DESCRIPTORS, "tx-descriptors": DESCRIPTORS}))
        binary = os.environ.get("SLUICE") or machine.BUILD.parent / "control" / "sluice"
        self.launch([binary, "run", "-c", folder / "sluice.yaml"], gateway.READY)

    def stop(self):
        super().stop()
        counters = gateway.final_counters(self.process.output())
        if counters["packets"] != counters["forwarded"] + counters["dropped"]:
            raise RuntimeError(f"the gateway's counters do not add up: {counters}")
        return counters


class Testpmd(Measured):
    def __init__(self, cables, driver):
        super().__init__(cables)
        self.name, self.driver = f"testpmd io, {driver}", driver

    def start(self):
        memory = ["--in-memory"] if self.cables.huge else ["--no-shconf", "--no-huge", "-m", "512"]
        argv = ["stdbuf", "-oL", "dpdk-testpmd", "--no-pci", "--no-telemetry", "--iova-mode=va", *memory,
                f"--lcores=0@{LOAD_CPU},1@{CPU}", f"--vdev=net_{self.driver}0,iface=d0{DRIVERS[self.driver]}",
                f"--vdev=net_{self.driver}1,iface=d1{DRIVERS[self.driver]}", "--", "--forward-mode=io", "--auto-start",
                "--nb-cores=1", f"--burst={BURST}", f"--rxd={DESCRIPTORS}", f"--txd={DESCRIPTORS}",
                "--no-lsc-interrupt", "--total-num-mbufs=16384"]
        self.launch(argv, "Press enter to exit")


class Kernel(Measured):
    """Routes between the cables. Receive packet steering moves its work to the measured CPU. There are
    no VLAN devices in every kernel, so its frames have no tags and there is one sandbox."""

    name = "kernel nftables"

    def __init__(self, cables):
        super().__init__(cables)
        near, far = (topology.mac_of(cables.middle, device) for device in ("d0", "d1"))
        nobody = bytes.fromhex(NOBODY.replace(":", ""))
        self.frames = traffic.rewritten(cables.tagged, cables.folder / "untagged.pcap",
                                        lambda frame: traffic.untagged(frame, near, nobody))
        self.answers = traffic.rewritten(cables.answers, cables.folder / "untagged-answers.pcap",
                                         lambda frame: traffic.untagged(frame, far, nobody))

    def start(self):
        middle = self.cables.middle
        middle.sysctl(net_ipv4_conf_all_rp_filter=0, net_ipv4_conf_default_rp_filter=0, net_ipv4_ip_forward=1)
        middle.batch("address add 10.255.0.1/30 dev d0", "address add 192.0.2.1/30 dev d1",
                     f"neighbour replace 10.255.0.2 lladdr {NOBODY} dev d0",
                     f"neighbour replace 192.0.2.2 lladdr {NOBODY} dev d1",
                     f"route add {traffic.INSIDE} via 10.255.0.2", f"route add {traffic.ALLOWED} via 192.0.2.2")
        topology.must(middle.argv(["nft", "-f", "-"]), stdin=traffic.nftables())
        self.steer(f"{1 << CPU:x}")

    def steer(self, cpus):
        for device in ("d0", "d1"):
            topology.must(self.cables.middle.argv(
                ["sh", "-c", f"echo {cpus} >/sys/class/net/{device}/queues/rx-0/rps_cpus"]))

    def stop(self):
        self.steer("0")
        topology.must(self.cables.middle.argv(["nft", "flush", "ruleset"]))
        self.cables.middle.sysctl(net_ipv4_ip_forward=0)
        self.cables.middle.batch("address flush dev d0", "address flush dev d1")


def measure(cables, it, seconds):
    """One turn of one of them: each flow opened and answered, a moderate load, as much as it takes."""
    it.start()
    try:
        idle = cables.settled()
        sent(cables.flood(cables.generator, "g0", it.frames, "--count", traffic.FLOWS, "--rate", WARM_PPS))
        if cables.settled() == idle:
            raise RuntimeError(f"{it.name} forwards nothing")
        sent(cables.flood(cables.sink, "s0", it.answers, "--count", traffic.FLOWS, "--rate", WARM_PPS))
        before = cables.settled()
        told = sent(cables.flood(cables.generator, "g0", it.frames, "--seconds", 1, "--rate", MODERATE_PPS))
        lost = 1 - (cables.settled() - before) / told["sent"]
        flood = cables.flood(cables.generator, "g0", it.frames, "--seconds", seconds + 0.6)
        time.sleep(0.4)  # until it is under way
        began, first = cables.reading()
        time.sleep(seconds)
        ended, last = cables.reading()
        told = sent(flood)
    finally:
        counters = it.stop()
    return {"mpps": (last - first) / (ended - began) / 1e6, "offered_mpps": told["sent"] / told["seconds"] / 1e6,
            "moderate_loss": lost, "counters": counters}


def run(quick):
    """Rows by name, each with the medians of alternating turns, and Sluice's share of testpmd's rate."""
    runs, seconds = (1, 1) if quick else (5, 1.5)
    turns, errors = {}, {}
    with Cables() as cables:
        everyone = [make(cables, driver) for driver in DRIVERS for make in (Sluice, Testpmd)] + [Kernel(cables)]
        for _ in range(runs):
            for it in everyone:
                try:
                    turn = measure(cables, it, seconds)
                except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError,
                        topology.LabError) as error:
                    errors.setdefault(it.name, []).append(str(error))
                else:
                    turns.setdefault(it.name, []).append(turn)
    rows = {name: {key: statistics.median(turn[key] for turn in turns[name])
                   for key in ("mpps", "offered_mpps", "moderate_loss")}
            for name in turns}
    ratios = {driver: round(rows[f"sluice, {driver}"]["mpps"] / rows[f"testpmd io, {driver}"]["mpps"], 2)
              for driver in DRIVERS if {f"sluice, {driver}", f"testpmd io, {driver}"} <= set(rows)}
    return {"runs": runs, "seconds": seconds, "hugepages": cables.huge, "load_cpu": LOAD_CPU,
            "cpu": CPU, "rows": rows, "ratios": ratios, "turns": turns, "errors": errors}


def print_table(result):
    print(f"generator and the kernel's receiving: CPU {result['load_cpu']}; what is measured: CPU {result['cpu']}; "
          f"medians of {result['runs']} alternating runs")
    print(f"{'64 B over veth, 10k flows':28} {'received':>13} {'offered':>13} {'of testpmd':>11} "
          f"{f'lost at {MODERATE_PPS / 1e6} Mpps':>17}")
    for name, row in result["rows"].items():
        kind, _, driver = name.partition(", ")
        ratio = f"{result['ratios'][driver]:.2f}" if kind == "sluice" and driver in result["ratios"] else ""
        print(f"{name:28} {row['mpps']:8.3f} Mpps {row['offered_mpps']:8.3f} Mpps {ratio:>11} "
              f"{row['moderate_loss'] * 100:16.3f}%")
        if row["mpps"] > 0.95 * row["offered_mpps"]:
            print(f"{'':26} all that was offered: the generator is the limit")
    for name, errors in result["errors"].items():
        print(f"{name}: {len(errors)} of {result['runs']} turns failed: {errors[0]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    print_table(run(parser.parse_args().quick))


if __name__ == "__main__":
    main()
