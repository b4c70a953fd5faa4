# SPDX-License-Identifier: Apache-2.0
"""Pushes: until every worker enforces them, what they cost in memory, and the same rules elsewhere."""

import pathlib
import tempfile

import machine
import peers
import plot

FULL = 4094  # sandboxes; 100,000 prefixes, 1,000 policies, 200,000 patterns; less in proportion
KINDS = [("one_names", "10 names"), ("one_10_patterns_10_subnets", "10 names, 10 subnets"),
         ("one_1000_subnets", "1,000 subnets")]
PEERS = (peers.Nft, peers.Ovs)
MS = 1000.0
MIB = 1024.0


def fleet(sandboxes):
    policies = max(1, round(1000 * sandboxes / FULL))
    return ["--sandboxes", sandboxes, "--prefixes", round(100000 * sandboxes / FULL), "--policies", policies,
            "--patterns", max(10 * policies, round(200000 * sandboxes / FULL))]


def reload(*options):
    return machine.run_json("bench_reload", *options)[-1]


def whole_ms(push):
    """Until it is enforced, and until the call returns."""
    return push["enforced_us"] / MS, (push["enforced_us"] + push["reclaim_us"]) / MS


def median_push(rows, what):
    return sorted((row[what] for row in rows), key=lambda push: push["enforced_us"])[len(rows) // 2]


def measure(sandboxes, runs, pushes):
    """One worker on a core, the control thread on another; then the same rules in the peers."""
    spec = fleet(sandboxes)
    row = reload(*spec, "--pushes", pushes, "--wholes", runs)
    again = [reload(*spec, "--pushes", 1, "--wholes", 1) for _ in range(runs - 1)]
    row["cold"] = median_push([row, *again], "cold")
    with tempfile.TemporaryDirectory() as folder:
        machine.run_json("bench_reload", *spec, "--wholes", runs, "--write", folder)
        read = [reload(*spec, "--wholes", 1, "--file", f"{folder}/policy.yaml") for _ in range(runs)]
        row["cold_from_file"] = median_push(read, "cold")
        rules = peers.Rules(pathlib.Path(folder) / "rules.txt")
    row["peers"] = {peer.name: peers.try_measure(peer, rules) for peer in PEERS}
    return row


def print_one(title, row):
    print(f"{title:34}" + "".join(f"  {row[kind]['p50_us'] / MS:7.2f} {row[kind]['p99_us'] / MS:7.2f} "
                                  f"{row[kind]['max_us'] / MS:7.2f}" for kind, _ in KINDS))


def print_one_peer(name, row):
    print(f"  {name + ', median':32}" + f"  {'-':>7} {'':15}"
          + "".join(f"  {row[f'one_{n}_subnets_ms']:7.1f} {'':15}" for n in (10, 1000)))


def print_singles(rows, extra):
    print(f"\n{'a push to one sandbox (ms)':34}" + "".join(f"  {label:23}" for _, label in KINDS))
    print(f"{'':34}" + f"  {'p50':>7} {'p99':>7} {'max':>7}" * 3)
    for row in rows:
        print_one(f"{row['sandboxes']:,} sandboxes, {row['prefixes']:,} prefixes", row)
        for name, peer in row["peers"].items():
            if "error" not in peer:
                print_one_peer(name, peer)
    for title, row in extra.items():
        print_one(title, row)


def print_wholes(rows):
    print(f"\n{'a whole document (ms)':34} {'cold':>9} {'until it':>9} {'cold, from':>10} {'nothing':>9} "
          f"{'1 % of it':>9}")
    print(f"{'':34} {'':>9} {'returns':>9} {'a file':>10} {'changed':>9} {'changed':>9}")
    for row in rows:
        cold, returned = whole_ms(row["cold"])
        print(f"{row['sandboxes']:5,} sandboxes{'':18} {cold:9.1f} {returned:9.1f} "
              f"{whole_ms(row['cold_from_file'])[0]:10.1f} {whole_ms(row['unchanged'])[0]:9.2f} "
              f"{whole_ms(row['one_in_a_hundred'])[0]:9.2f}")
        for name, peer in row["peers"].items():
            if "error" not in peer:
                print(f"  {name + ', from a file':32} {'':9} {'':9} {peer['cold_ms']:10.1f} "
                      f"{peer['unchanged_ms']:9.1f} {peer['one_in_a_hundred_ms']:9.1f}")


def print_memory(rows, extra):
    print(f"\n{'resident (MiB)':34} {'tables':>9} {'policies':>9} {'flows':>9} {'process':>9}")
    for row in [*rows, *(row for row in extra.values() if row["flows"])]:
        kib = row["resident_kib"]
        title = f"{row['sandboxes']:,} sandboxes" + (f", {row['flows']:,} flows" if row["flows"] else "")
        end = row["resident_at_end_kib"]
        print(f"{title:34} {kib['tables'] / MIB:9.0f} {kib['policies'] / MIB:9.0f} {kib['flows'] / MIB:9.0f} "
              f"{end / MIB:9.0f}")


def print_targets(rows, extra):
    full = next(row for row in rows if row["sandboxes"] == FULL)
    one = full[KINDS[1][0]]
    checks = [("10 names, 10 subnets at full scale, p99", one["p99_us"] / MS, 1, "ms"),
              ("whole document cold", whole_ms(full["cold"])[0], 2000, "ms"),
              ("whole document, 1 % changed", whole_ms(full["one_in_a_hundred"])[0], 100, "ms")]
    for row in extra.values():
        if row["flows"]:
            checks.append((f"the process with {row['flows']:,} flows",
                           row["resident_at_end_kib"] / MIB, 1536, "MiB"))
    print()
    for title, value, most, unit in checks:
        print(f"{'reached' if value < most else 'MISSED ':7}  {title}: {value:.2f} {unit}, to reach: under {most}")
    alone = one["undisturbed"]
    print(f"Of the {one['pushes']} pushes with 10 names and 10 subnets at full scale {alone['pushes']} had their CPUs to "
          "themselves: "
          + (f"p50 {alone['p50_us'] / MS:.2f}, p99 {alone['p99_us'] / MS:.2f}, max {alone['max_us'] / MS:.2f} ms. "
             if alone["pushes"] else "")
          + f"\nOf the slowest, {one['slowest']['wait_us'] / MS:.2f} ms were spent waiting for the worker; the kernel kept "
          f"threads waiting for {one['slowest']['kept_waiting_us'] / MS:.2f} ms meanwhile.")


def draw(rows):
    def line(value):
        return [(row["sandboxes"], value(row)) for row in rows]

    def peer(name, key):
        return line(lambda row: row["peers"][name].get(key))

    one = KINDS[1][0]
    names = [each.name for each in PEERS]
    plot.write(machine.RESULTS / "pushes-one.svg", "One sandbox gets another policy", "sandboxes in force",
               "ms until it is enforced",
               [(f"Sluice, 10 names + 10 subnets, {label}", line(lambda row, key=key: row[one][key] / MS))
                for label, key in (("p50", "p50_us"), ("p99", "p99_us"), ("max", "max_us"))]
               + [(f"{name}, 10 subnets, median", peer(name, "one_10_subnets_ms")) for name in names])
    plot.write(machine.RESULTS / "pushes-whole.svg", "The whole document", "sandboxes",
               "ms until it is enforced",
               [("Sluice, cold", line(lambda row: whole_ms(row["cold"])[0])),
                ("Sluice, cold, from a file", line(lambda row: whole_ms(row["cold_from_file"])[0])),
                ("Sluice, 1 % changed", line(lambda row: whole_ms(row["one_in_a_hundred"])[0]))]
               + [(f"{name}, cold, from a file", peer(name, "cold_ms")) for name in names])
    plot.write(machine.RESULTS / "pushes-memory.svg", "Memory of the policies", "sandboxes", "MiB resident",
               [("Sluice, the whole process", line(lambda row: row["resident_at_end_kib"] / MIB)),
                ("Sluice, address tables (two copies)", line(lambda row: row["resident_kib"]["tables"] / MIB)),
                ("Sluice, names and rows", line(lambda row: row["resident_kib"]["policies"] / MIB)),
                ("OVS, what the flows add", line(lambda row: row["peers"][peers.Ovs.name].get("rules_kib", 0) / MIB))])


def run(where, quick):
    runs, pushes = (3, 300) if quick else (5, 2000)
    rows = [measure(sandboxes, runs, pushes) for sandboxes in ((1, 100, FULL) if quick
                                                               else (1, 10, 100, 1000, FULL))]
    common = [*fleet(FULL), "--pushes", pushes, "--wholes", 1]
    extra = {f"{FULL:,}, 2 workers, control FIFO": reload(*common, "--workers", 2, "--fifo"),
             f"{FULL:,}, 1,000,000 flows resident": reload(*common, "--flows", 1000000)}
    print(f"medians of {runs} where nothing else is said; {pushes} pushes to one sandbox, 1 worker polling "
          "on a core,\nthe control thread on another")
    print_singles(rows, extra)
    print_wholes(rows)
    print_memory(rows, extra)
    print_targets(rows, extra)
    machine.write("pushes.json", {"machine": where, "runs": runs, "scales": rows, "variants": extra})
    draw(rows)
