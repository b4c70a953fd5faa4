# SPDX-License-Identifier: Apache-2.0
"""How long the gateway keeps a packet."""

import machine
import plot
import pushes


def run(where, quick):
    huge = ["--huge"] if machine.free_hugepages() >= 900 else []
    size = ["--ms", 500, "--expiring", 300000] if quick else []
    row = machine.run_json("bench_latency", *pushes.fleet(pushes.FULL), "--fifo", *size, *huge)[-1]
    print(f"\nlatency, 1 worker, 4,094 sandboxes: {row['saturated_mpps']:.1f} Mpps at most, "
          f"{row['loss_free_mpps']:.1f} Mpps loss-free\n"
          f"{'of the loss-free rate, meanwhile':34} {'Mpps':>6} {'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>9} {'lost':>8}")
    for one in filter(None, row["figures"]):
        print(f"{format(one['percent'], '3') + ' %, ' + one['meanwhile']:34} {one['mpps']:6.2f} {one['p50_us']:8.2f} "
              f"{one['p99_us']:8.2f} {one['p999_us']:8.2f} {one['max_us']:9.1f} {one['lost']:8}")
    print("us, from the moment a frame was due until it was handed to tx; io: the same frames, nothing done to them")
    row["figures"] = row["figures"][1:]
    plot.bars(machine.RESULTS / "latency.svg", "How long a packet is kept (1 worker, 4,094 sandboxes)", "us",
              [f"{one['percent']} %, {one['meanwhile']}" for one in row["figures"]],
              [(label, [one[key] for one in row["figures"]])
               for label, key in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"), ("max", "max_us"))],
              logarithmic=True)
    machine.write("latency.json", {"machine": where, "hugepages": bool(huge), "latency": row})
