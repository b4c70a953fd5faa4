"""Pushes: until every worker enforces them, and what they cost in memory."""

import json
import os
import statistics
import subprocess
import sys
import time

import machine


def reload(sandboxes, prefixes, lists, patterns, pushes):
    argv = [machine.BUILD / "bench_reload", "--fifo", "--pushes", pushes, "--sandboxes", sandboxes,
            "--prefixes", prefixes, "--lists", lists, "--patterns", patterns]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench_reload: {done.stderr.strip()}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def nft_load(prefixes, runs):
    """Milliseconds that `nft -f` takes for a set of as many prefixes, in a namespace of its own."""
    space = f"sluicebench{os.getpid()}"
    rules = ["flush ruleset", "table inet bench {", " set allowed { type ipv4_addr; flags interval;",
             "  elements = { " + ", ".join(f"{20 + i // 65536}.{i // 256 % 256}.{i % 256}.0/25"
                                            for i in range(prefixes)) + " }", " }", "}"]
    took = []
    subprocess.run(["ip", "netns", "add", space], check=True)
    try:
        for _ in range(runs):
            began = time.monotonic()
            subprocess.run(["ip", "netns", "exec", space, "nft", "-f", "-"], input="\n".join(rules), text=True,
                           check=True)
            took.append((time.monotonic() - began) * 1e3)
    finally:
        subprocess.run(["ip", "netns", "del", space], check=True)
    return statistics.median(took)


def run(where, quick):
    rows = []
    print(f"\n{'pushes, 1 worker, SCHED_FIFO (ms)':38} {'cold':>8} {'1 % new':>8} {'10+10 p50':>10} "
          f"{'p99':>7} {'max':>7} {'tables':>8} {'policies':>9}   nft -f")
    for sandboxes, prefixes, lists, patterns in [(1, 100, 1, 10), (100, 10000, 50, 2000),
                                                 (4094, 100000, 1000, 200000)]:
        row = reload(sandboxes, prefixes, lists, patterns, 300 if quick else 2000)
        row["nft_ms"] = nft_load(prefixes, 1 if quick else 3)
        rows.append(row)
        one = row["one_10_patterns_10_subnets"]
        title = f"{sandboxes:,} sandboxes, {prefixes:,} prefixes"
        print(f"{title:38} {row['cold']['total_us'] / 1e3:8.1f} {row['one_in_a_hundred']['total_us'] / 1e3:8.1f} "
              f"{one['p50_us'] / 1e3:10.2f} {one['p99_us'] / 1e3:7.2f} {one['max_us'] / 1e3:7.2f} "
              f"{row['resident_kib']['tables'] // 1024:4} MiB {row['resident_kib']['policies'] // 1024:5} MiB "
              f"{row['nft_ms']:8.1f}", flush=True)
    print("10+10: one sandbox with 10 patterns and 10 subnets, until every worker enforces it; nft -f: the same "
          "number of\nprefixes as one set, whole (nftables has no names)")
    machine.write("pushes.json", {"machine": where, "pushes": rows})
