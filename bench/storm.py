"""What a storm of pushes costs traffic that is established."""

import machine
import pushes

FLOWS = (100000, 1000000)


def run(where, quick):
    huge = ["--huge"] if machine.free_hugepages() >= 900 else []
    slices = ["--slices", 4, "--slice-ms", 500] if quick else ["--slices", 10, "--slice-ms", 1000]
    rows = []
    print(f"\n{'1,000 pushes a second, 4,094 sandboxes':40} {'calm':>7} {'storm':>7} {'cost':>7} {'pushes':>7} "
          f"{'p50':>6} {'p99':>6} {'max':>6} {'lost':>6}")
    for flows in FLOWS:
        row = machine.run_json("bench_storm", *pushes.fleet(pushes.FULL), "--flows", flows, *slices, *huge)[-1]
        rows.append(row)
        print(f"{'established, ' + format(flows, ',') + ' flows':40} {row['calm_mpps']:7.2f} "
              f"{row['storm_mpps']:7.2f} {row['cost_percent']:6.1f}% {row['pushes']:7} {row['p50_us'] / 1e3:6.2f} "
              f"{row['p99_us'] / 1e3:6.2f} {row['max_us'] / 1e3:6.2f} {row['lost']:6}", flush=True)
        if row["lost"] or row["received"] != row["given"] or row["dropped"] or row["held"]:
            print(f"LOST: {row['given']} given, {row['received']} received, {row['sent']} sent, "
                  f"{row['dropped']} dropped, {row['held']} held")
    print("Mpps; pushes of 10 names and 10 subnets, ms until they are enforced; to reach: under 5 %, nothing lost")
    machine.write("storm.json", {"machine": where, "hugepages": bool(huge), "storm": rows})
