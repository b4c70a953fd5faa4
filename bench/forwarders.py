# SPDX-License-Identifier: Apache-2.0
"""The packet's walk beside other forwarders, and new connections a second."""

import pathlib
import re
import statistics
import subprocess
import tempfile

import machine
import plot

SCENARIOS = [
    ("established, 10k flows", ["--flows", "10000"]),
    ("established, 1 flow, 1 sandbox", ["--flows", "1", "--sandboxes", "1"]),
    ("established, 10k flows, 1 sandbox", ["--flows", "10000", "--sandboxes", "1"]),
    ("established, 100k flows", ["--flows", "100000"]),
    ("established, 1M flows", ["--flows", "1000000"]),
    ("established, 943k flows, table 90 % full", ["--flows", "943000", "--fill", "90"]),
    ("established, 10k flows, IPv6", ["--flows", "10000", "--ipv6"]),
    ("established, 10k flows, IMIX", ["--flows", "10000", "--imix"]),
    ("established, 10k flows, 4,094 sandboxes", ["--flows", "10000", "--sandboxes", "4094"]),
    ("established, allow-all", ["--scenario", "allow-all"]),
    ("a third each allow-all, deny-all, custom", ["--scenario", "mix"]),
    ("refused: unknown VLAN", ["--scenario", "unknown"]),
    ("refused: deny-all", ["--scenario", "deny-all"]),
    ("refused: subnet", ["--scenario", "subnet-denied"]),
    ("refused: deny-all, events on", ["--scenario", "deny-all", "--events"]),
    ("refused: subnet, events on", ["--scenario", "subnet-denied", "--events"]),
]


def pipeline(runs):
    print(f"{'64 B unless said; one core':42} {'io':>14} {'bare lookup':>14} {'sluice':>16} {'ratio':>6}")
    rows = []
    for title, options in SCENARIOS:
        row = machine.run_json("bench_pipeline", "--json", "--runs", runs, *options,
                               env=machine.without_hugepages())[-1]
        row["title"] = title
        rows.append(row)
        print(f"{title:42} " + " ".join(f"{row[f]['mpps']:6.1f} {row[f]['cycles']:5.0f} cy"
                                        for f in ("io", "bare", "sluice")) + f" {row['ratio']:6.2f}",
              flush=True)
    stages = list(rows[0]["stages"])
    print(f"\n{'where sluice spends them':42} " + " ".join(f"{stage:>7}" for stage in stages))
    for row in rows:
        print(f"{row['title']:42} " + " ".join(f"{row['stages'][stage]:7.1f}" for stage in stages))
    plot.bars(machine.RESULTS / "stages.svg", "Where a packet's time goes", "TSC cycles a packet, source and sink included",
              [row["title"] for row in rows],
              [(stage, [row["stages"][stage] for row in rows]) for stage in stages], stacked=True)
    print("\nMpps and cycles (TSC) a packet; ratio: sluice's cycles over the bare lookup's\n")
    return rows


def testpmd(mode, runs):
    """testpmd on the same vdevs: a capture read round and round, and a sink. Mpps received."""
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        capture = pathlib.Path(folder) / "frames.pcap"
        subprocess.run([machine.BUILD / "bench_pipeline", "--write", capture], check=True)
        memory = ["--in-memory"] if machine.has_hugepages() else ["--no-shconf", "--no-huge", "-m", "2048"]
        argv = ["dpdk-testpmd", "--no-pci", "--no-telemetry", "--iova-mode=va", *memory,
                "--lcores=0@0,1@0", f"--vdev=net_pcap0,rx_pcap={capture},infinite_rx=1",
                "--vdev=net_null0,no-rx=1", "--", f"--forward-mode={mode}", "--auto-start",
                "--total-num-mbufs=65536", "--stats-period=1", "--burst=32", "--no-flush-rx"]
        for _ in range(runs):
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
            try:
                process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.terminate()
            out = process.communicate()[0]
            seen = [int(rate) for rate in re.findall(r"Rx-pps:\s+(\d+)", out) if int(rate)]
            if seen:
                rates.append(statistics.median(seen) / 1e6)
    return statistics.median(rates) if rates else None


def judge():
    """New connections a second."""
    rows = machine.run_json("bench_judge", "--json", env=machine.without_hugepages())
    full = machine.run_json("bench_judge", "--json", "--full", env=machine.without_hugepages())[0]
    rows.append({**full, "script": "udp, table 90 % full"})
    for row in rows:
        print(f"new connections, one core, {row['script'] + ':':22} {row['per_second']:10,.0f} a second "
              f"({row['min']:,.0f} to {row['max']:,.0f})")
    return rows


def run(where, quick):
    runs = 3 if quick else 7
    print(f"medians of {runs} alternating runs\n")
    rows = pipeline(runs)
    peers = {mode: testpmd(mode, 1 if quick else 5) for mode in ("io", "macswap")}
    for mode, rate in peers.items():
        print(f"testpmd {mode:8} on the same vdevs: " + (f"{rate:6.1f} Mpps" if rate else "did not run"))
    print()
    machine.write("pipeline.json", {"machine": where, "runs": runs, "pipeline": rows, "testpmd": peers,
                                    "judge": judge()})
