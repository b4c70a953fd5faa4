# SPDX-License-Identifier: Apache-2.0
"""What a storm of pushes costs traffic that is established."""

import machine
import pushes

FLOWS = (100000, 1000000)


def verdict(row):
    """What was to be reached: all pushes at the rate, less than 5 %, nothing lost."""
    asked = row["rate"] * row["slices"] * row["slice_ms"] // 1000
    checks = [(f"{row['pushes']} of {asked} pushes", row["pushes"] >= asked * 0.99),
              (f"{row['cost_percent']:.1f} % cost", row["cost_percent"] < 5),
              (f"{row['given']} frames given, {row['received']} received, {row['forwarded']} forwarded, "
               f"{row['dropped']} dropped, {row['held']} held, {row['sent']} sent",
               row["given"] == row["received"] == row["forwarded"] == row["sent"]
               and row["dropped"] == row["held"] == row["lost"] == 0)]
    for text, reached in checks:
        print(f"{'reached' if reached else 'MISSED ':7}  {row['flows']:,} flows: {text}")


def run(where, quick):
    huge = ["--huge"] if machine.free_hugepages() >= 650 else []
    slices = ["--slices", 4, "--slice-ms", 500] if quick else ["--slices", 10, "--slice-ms", 1000]
    rows = []
    print(f"\n{'1,000 pushes a second, 4,094 sandboxes':40} {'calm':>7} {'storm':>7} {'cost':>7} {'of CPU':>7} {'pushes':>7} "
          f"{'p50':>6} {'p99':>6} {'max':>6} {'lost':>6}")
    for flows in FLOWS:
        row = machine.run_json("bench_storm", *pushes.fleet(pushes.FULL), "--flows", flows, *slices, *huge)[-1]
        rows.append(row)
        print(f"{'established, ' + format(flows, ',') + ' flows':40} {row['calm_mpps']:7.2f} "
              f"{row['storm_mpps']:7.2f} {row['cost_percent']:6.1f}% "
              f"{row['cost_of_cpu_time_percent']:6.1f}% {row['pushes']:7} {row['p50_us'] / 1e3:6.2f} "
              f"{row['p99_us'] / 1e3:6.2f} {row['max_us'] / 1e3:6.2f} {row['lost']:6}", flush=True)
    print("Mpps; of CPU: packets in a second of the worker's own CPU time; pushes of 10 names and 10 subnets, ms "
          "until they are enforced\n")
    for row in rows:
        verdict(row)
    machine.write("storm.json", {"machine": where, "hugepages": bool(huge), "storm": rows})
