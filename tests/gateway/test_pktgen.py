# SPDX-License-Identifier: Apache-2.0
"""The profiles of bench/pktgen/: the generator's files say what profiles.toml says, the search for the
loss-free rate finds it, and the profiles' own frames, sent by dpdk-testpmd through memif, become of a
running gateway what the profile says. Counts and reasons; never a speed.

    testpmd: capture -> memif =====> sandbox  gateway  uplink =====> memif -> capture
"""

import collections
import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time

import pytest

from conftest import PATIENCE, ROOT, binary

PKTGEN = ROOT / "bench/pktgen"
sys.path.insert(0, str(PKTGEN))
import frames  # noqa: E402

BOOK = frames.load()
FAKE = ROOT / "tests/gateway/fake_pktgen.lua"


# ---- the files ----

def test_rendered_files_are_what_the_profiles_say():
    done = subprocess.run([PKTGEN / "render", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_gateway_config_and_policy_are_good():
    done = subprocess.run([binary(), "check", PKTGEN / "gateway.yaml"], capture_output=True, text=True)
    assert done.returncode == 0 and "301 sandboxes" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", list(BOOK["profile"]))
def test_command_script_gives_the_same_flows(name):
    """The .pkt, read back as Pktgen reads it, against the frames."""
    profile = BOOK["profile"][name]
    lines = [line.split() for line in (PKTGEN / f"{name}.pkt").read_text().splitlines()]
    for port, reverse in (0, False), (1, True):
        if profile.get("mixed"):
            slots = [line for line in lines if line[0] == "seq" and int(line[2]) == port]
            sent = [(int(s[11]), frames.number(s[6].partition("/")[0]), int(s[7]), frames.number(s[5]), int(s[8]),
                     int(s[12])) for s in slots]
            count = len(slots)
        else:
            four = {" ".join(line[2:-4]): line[-4:] for line in lines if line[:2] == ["range", str(port)]}
            count = frames.cycle(profile)
            fields = [walk(four[what], count) for what in ("vlan", "src ip", "src port", "dst ip", "dst port")]
            sent = [(*values, 64) for values in zip(*fields)]
        wanted = itertools.islice(frames.frames(BOOK, name, reverse=reverse), count)
        assert sent == [told(frame) for frame in wanted], f"port {port}"


def walk(four, count):
    """The values of a field of Pktgen's range: start, min, max, inc."""
    start, low, high, step = (frames.number(x if "." in x else int(x)) for x in four)
    return [low + (start - low + n * step) % (high - low + 1) if step else start for n in range(count)]


def told(frame):
    """vlan, src, sport, dst, dport, size of a frame."""
    vlan, = struct.unpack("!H", frame[14:16])
    src, dst, sport, dport = struct.unpack("!IIHH", frame[30:42])
    return vlan, src, sport, dst, dport, len(frame) + frames.FCS


# ---- the search ----

def search(directory, **env):
    """Runs rate.lua in front of a gateway that is a few lines of Lua; results and what was asked of Pktgen."""
    if not shutil.which("lua5.4"):
        pytest.skip("lua5.4 is not installed")
    done = subprocess.run(["lua5.4", "-e", f'dofile("{FAKE}")', PKTGEN / "rate.lua"], cwd=directory,
                          capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, "PROFILES": str(PKTGEN / "pktgen.lua"), "SIZES": "64", **env})
    assert done.returncode == 0, done.stderr
    result = directory / "rate.json"
    found = [json.loads(line) for line in result.read_text().splitlines()] if result.exists() else []
    return found, done.stderr.splitlines(), done.stdout


@pytest.mark.parametrize("script", [PKTGEN / "rate.lua", PKTGEN / "pktgen.lua", FAKE])
def test_script_is_lua(script):
    if not shutil.which("luac5.4"):
        pytest.skip("lua5.4 is not installed")
    assert subprocess.run(["luac5.4", "-p", script]).returncode == 0


@pytest.mark.parametrize("env, rate", [({"LIMIT": "37.46"}, 37.4), ({}, 100.0), ({"LIMIT": "0.1"}, 0.1),
                                       ({"LIMIT": "80", "BACK": "20"}, 20.0), ({"LIMIT": "50", "NEW": "1"}, 50.0),
                                       ({"LIMIT": "80", "BACK": "20", "DIRECTIONS": "out"}, 80.0)])
def test_search_finds_the_highest_rate_without_loss(tmp_path, env, rate):
    found, _, _ = search(tmp_path, **env)
    assert [one["rate"] for one in found] == [rate]
    assert found[0]["sent"] == found[0]["received"] > 0 and found[0]["seconds"] == 60


def test_rate_that_stands_only_short_trials_is_not_the_result(tmp_path):
    found, asked, _ = search(tmp_path, LIMIT="50", LATE="48")
    assert found[0]["rate"] == 48.0 and found[0]["seconds"] == 60
    assert asked.count("delay 60000") > 1, "a rate was confirmed more than once"


def test_no_rate_without_loss_is_no_result(tmp_path):
    found, _, said = search(tmp_path, LIMIT="0.05")
    assert found == [] and "at every rate" in said


def test_flows_are_opened_from_the_sandboxes_first(tmp_path):
    _, asked, _ = search(tmp_path)
    assert [line for line in asked if line.startswith("start")][:2] == ["start 0", "start 0,1"]


def test_ramp_goes_up_stays_and_comes_down(tmp_path):
    found, asked, _ = search(tmp_path, LIMIT="30", MODE="ramp", PROFILE="imix")
    assert [one["what"] for one in found] == ["throughput", "ramp"]
    rates = [float(line.split()[3]) for line in asked if line.startswith("set 0,1 rate")][-20:]
    up = [3.0 * n for n in range(1, 11)]
    assert rates == pytest.approx(up + [30.0] + up[-2::-1]) and "delay 300000" in asked


def test_script_gives_pktgen_the_profile(tmp_path):
    """The same numbers as the command script, which is held against the frames above."""
    _, asked, _ = search(tmp_path, PROFILE="edges")
    for line in (PKTGEN / "edges.pkt").read_text().splitlines():
        word = line.split()
        if word[0] == "range" and word[2] in ("src", "dst", "vlan"):
            name = "vlan_id" if word[2] == "vlan" else "_".join(word[2:4])
            for part, value in zip(("start", "min", "max", "inc"), word[-4:]):
                assert f"range.{name} {word[1]} {part} {value}" in asked


# ---- the frames ----

class Generator:
    """dpdk-testpmd at the other ends of the gateway's memif ports. Its ports: 0 and 1 the memifs to the
    gateway's sandbox and uplink port, then whatever else is given."""

    def __init__(self, directory, *devices, options=()):
        memif = [f"net_memif{n},role=client,id={n},socket={directory}/s,rsize=14" for n in (0, 1)]
        self.log = directory / "testpmd.log"
        with open(self.log, "w") as out:
            self.process = subprocess.Popen(
                ["dpdk-testpmd", "--no-pci", "--no-huge", "-m", "256", "--no-shconf", "--no-telemetry",
                 "--iova-mode=va", f"--lcores=0@({CPUS}),1@({CPUS})", *[f"--vdev={dev}" for dev in (*memif, *devices)],
                 "--", "-i", "--no-flush-rx", "--total-num-mbufs=40000", *options],
                cwd=directory, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, text=True)
        self.await_said("show port summary all", r"net_memif0 +net_memif +up .*\n.*net_memif1 +net_memif +up ")
        # the first look at a memif is what gives the gateway room to send
        self.command("set fwd rxonly", "set portlist 0,1", "start")
        self.await_received(1, 0)
        self.stop()

    def command(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def await_said(self, question, answer):
        """Asks until the answer to the last question matches."""
        end = time.monotonic() + PATIENCE
        while True:
            before = len(self.log.read_text())
            self.command(question)
            time.sleep(0.1)
            said = self.log.read_text()[before:]
            if re.search(answer, said):
                return
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()[-3000:]

    def await_received(self, port, count):
        """Waits until a port has received so many frames since the last start, in all."""
        self.await_said("show fwd stats all", rf"statistics for port {port} [ -]+\n +RX-packets: {count} ")

    def await_quiet(self, port):
        """Waits until a port receives no more."""
        seen = [None] * 3
        while len(set(seen)) > 1 or None in seen:
            before = len(self.log.read_text())
            self.await_said("show fwd stats all", r"\+\+\+\n")
            seen = seen[1:] + re.findall(rf"statistics for port {port} [ -]+\n +RX-packets: (\d+)",
                                         self.log.read_text()[before:])[-1:]

    def stop(self):
        """Before the gateway ends, and before it is gone itself: DPDK's memif takes the memory away under
        a core that polls when the other side goes."""
        if self.process.poll() is None:
            self.await_said("stop", r"Done\.|not started")

    def end(self):
        if self.process.poll() is None:
            self.command("quit")
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


CPUS = ",".join(map(str, sorted(os.sched_getaffinity(0))))


@pytest.fixture
def wired(gateway):
    """A gateway with memif ports and the policy of the profiles, and a function that starts a testpmd."""
    generators = []
    native = {}

    def device(number, port):
        return {"dev": f"net_memif{number},role=server,id={number},socket={gateway.directory}/s,rsize=14", **native}

    def wire(*devices, options=(), native_vlan=None):
        if native_vlan:
            native["native-vlan"] = native_vlan
        gateway.start()
        generators.append(Generator(gateway.directory, *devices, options=options))
        return generators[-1]

    if not shutil.which("dpdk-testpmd"):
        pytest.skip("dpdk-testpmd is not installed")
    gateway.device = device
    gateway.policy((PKTGEN / "policy.yaml").read_text())
    del gateway.config["events"]
    gateway.config["timeouts"] = {"udp": 3600}
    yield wire
    for one in generators:
        one.stop()
    if gateway.process is not None and gateway.process.poll() is None:
        gateway.process.kill()
    for one in generators:
        one.end()


def zone_of(vlan):
    return next((name for name, zone in BOOK["zone"].items()
                 if 0 <= vlan - zone["vlan"]["from"] < zone["vlan"]["count"]), None)


def reason_of(profile, frame):
    """What a profile says becomes of its frames; of one that says nothing, its zone."""
    return profile.get("reason") or {"subnets": "subnet-allowed", "open": "allow-all", "closed": "deny-all",
                                     None: "unknown-sandbox"}[zone_of(told(frame)[0])]


def reasons_of(sent):
    """How many of these (profile name, frame) end under each reason."""
    return collections.Counter(reason_of(BOOK["profile"][name], frame) for name, frame in sent)


def captured(path):
    """The frames of a capture that testpmd wrote."""
    data, found, at = path.read_bytes(), [], 24
    while at < len(data):
        size, = struct.unpack("<I", data[at + 8:at + 12])
        found.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return found


def of_profile(name, count=None, **how):
    return [(name, frame) for frame in frames.frames(BOOK, name, **how)][:count]


def allowed_of(sent):
    return [frame for name, frame in sent if reasons_of([(name, frame)]).keys() & {"subnet-allowed", "allow-all"}]


def test_frames_of_every_profile_become_what_it_says(gateway, wired):
    """All of established and some of the others, then what the uplink sends back."""
    vlan, source, _, *there = frames.values(BOOK["profile"]["established"], 0)
    out = [one for name in BOOK["profile"] for one in of_profile(name, None if name == "established" else 400)]
    # it leaves last: then all others are judged
    out.append(("established", frames.frame(BOOK["wire"], (vlan, source, 9, *there), 64)))
    back = of_profile("unknown", 100, reverse=True) + of_profile("deny-all", 100, reverse=True)
    back += of_profile("established", reverse=True) + of_profile("allow-all", 400, reverse=True)
    unasked = [frames.frame(BOOK["wire"], (vlan, source, 10, *there), 64, reverse=True)] * 5
    frames.write(gateway.path("out.pcap"), [frame for _, frame in out])
    frames.write(gateway.path("back.pcap"), unasked + [frame for _, frame in back])

    testpmd = wired("net_pcap0,rx_pcap=out.pcap,tx_pcap=got.pcap", "net_pcap1,tx_pcap=left.pcap",
                    "net_pcap2,rx_pcap=back.pcap")  # its ports 2, 3 and 4
    testpmd.command("set fwd io", "set portlist 2,0,1,3", "start")
    testpmd.await_received(1, len(allowed_of(out)))
    testpmd.await_quiet(0)
    testpmd.stop()
    testpmd.command("set portlist 2,0,1,4", "start")
    testpmd.await_received(0, len(allowed_of(back)))
    testpmd.stop()
    counts = gateway.end()
    testpmd.end()

    assert {name.removeprefix("reason "): count for name, count in counts.items() if name.startswith("reason ")} == \
        reasons_of(out + back) + collections.Counter({"no-flow": 5})
    assert captured(gateway.path("left.pcap")) == allowed_of(out), "as they were sent, and in that order"
    udp = [frame for frame in captured(gateway.path("got.pcap")) if frame[27] == 17]
    assert udp == allowed_of(back)
    flows = {told(frame)[:5] for frame in allowed_of(out)}
    assert counts["flows"] == len(flows) and len(flows) > frames.cycle(BOOK["profile"]["established"])


def test_txonly_is_forwarded_as_many_flows(gateway, wired):
    """As the guide has it for testpmd without a capture: untagged frames, one sandbox."""
    testpmd = wired(options=["--txonly-multi-flow"], native_vlan=1)
    testpmd.command("set fwd rxonly", "set burst 32", "start tx_first 100")
    testpmd.await_received(1, 3200)
    testpmd.stop()
    counts = gateway.end()
    assert counts["reason subnet-allowed"] == 3200 and counts["flows"] == 128
    assert counts["packets"] == 3200 + counts["reason no-flow"], "tx_first sends by the uplink, too"


def test_flowgen_is_forwarded_as_many_flows(gateway, wired):
    testpmd = wired(options=["--flowgen-flows=500"], native_vlan=1)
    testpmd.command("set fwd flowgen", "start")
    testpmd.await_said("show fwd stats all", r"statistics for port 1 [ -]+\n +RX-packets: [0-9]{4}")
    testpmd.stop()
    counts = gateway.end()
    assert counts["reason subnet-allowed"] > 1000 and counts["flows"] == 500
    assert {name for name in counts if name.startswith("reason")} <= {"reason subnet-allowed", "reason no-flow",
                                                                      "reason tx-full"}
