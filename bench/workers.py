# SPDX-License-Identifier: Apache-2.0
"""What a second worker adds, and what handing frames over costs."""

import statistics

import machine

KINDS = {"one worker": ["--workers", 1], "2 workers, each its own": ["--workers", 2],
         "2 workers, half handed over": ["--workers", 2, "--anywhere"]}


def run(where, quick):
    runs = {kind: [] for kind in KINDS}
    for _ in range(1 if quick else 5):
        for kind, options in KINDS.items():
            runs[kind].append(machine.run_json("bench_workers", *options)[-1])
    one = statistics.median(row["mpps"] for row in runs["one worker"])
    print(f"\n{'established, 10k flows, 100 sandboxes':40} {'Mpps':>7} {'to one':>7}")
    rows = []
    for kind, measured in runs.items():
        mpps = statistics.median(row["mpps"] for row in measured)
        rows.append({"kind": kind, "mpps": mpps, "to_one": mpps / one, "runs": measured})
        print(f"{kind:40} {mpps:7.2f} {mpps / one:7.2f}")
    machine.write("workers.json", {"machine": where, "workers": rows})
