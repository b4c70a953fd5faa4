# SPDX-License-Identifier: Apache-2.0
"""The frames that all peers get, and the one policy that all of them enforce.

The frames are those of bench_pipeline (frames.c): 64 bytes, 10,000 UDP flows, 100 VLANs. The policy is
its policy, too: 1,001 refused prefixes, one allowed, all else refused."""

import struct
import subprocess

import machine

FLOWS, SANDBOXES = 10000, 100
ALLOWED = "198.51.0.0/16"
REFUSED = ["203.0.113.0/24", *(f"{20 + i // 65536}.{i // 256 % 256}.{i % 256}.0/24" for i in range(1000))]
INSIDE = "10.0.0.0/16"  # where the frames come from


def capture(path):
    """Writes the frames of every flow, one each, as the sandboxes send them."""
    subprocess.run([machine.BUILD / "bench_pipeline", "--flows", str(FLOWS), "--sandboxes", str(SANDBOXES),
                    "--write", path], check=True, stdout=subprocess.DEVNULL)
    return path


def rewritten(source, path, change):
    """A copy of a capture, every frame of it changed."""
    data = source.read_bytes()
    out, at = [data[:24]], 24
    while at < len(data):
        seconds, micros, length, whole = struct.unpack_from("=IIII", data, at)
        frame = change(data[at + 16:at + 16 + length])
        out += [struct.pack("=IIII", seconds, micros, len(frame), whole - length + len(frame)), frame]
        at += 16 + length
    path.write_bytes(b"".join(out))
    return path


def reply(frame):
    """What the other end of a tagged UDP frame answers. The checksums stay right: their sums are the same."""
    return (frame[6:12] + frame[0:6] + frame[12:30] + frame[34:38] + frame[30:34] + frame[40:42] + frame[38:40]
            + frame[42:])


def untagged(frame, target, source):
    """The frame without its VLAN, between two stations. It keeps the least length on a wire."""
    bare = target + source + frame[16:]
    return bare + bytes(60 - len(bare))


def policy():
    """For Sluice: a document in which all sandboxes have the rules."""
    refused = ", ".join(REFUSED)
    lines = [f"policies:\n  bench: {{subnets: {{allow: [{ALLOWED}], deny: [{refused}]}}}}", "sandboxes:"]
    return "\n".join([*lines, *(f"  - {{vlan: {vlan}, policy: bench}}" for vlan in range(1, SANDBOXES + 1))]) + "\n"


def nftables():
    """For the kernel: conntrack first, then the sets. It has no VLANs here, so there is one policy."""
    return f"""table ip sluice {{
    set refused {{ type ipv4_addr; flags interval; elements = {{ {', '.join(REFUSED)} }}; }}
    set allowed {{ type ipv4_addr; flags interval; elements = {{ {ALLOWED} }}; }}
    chain forward {{
        type filter hook forward priority 0; policy drop;
        ct state established accept
        ip daddr @refused drop
        ct state new ip daddr @allowed accept
    }}
}}
"""


def openflow(sandboxes, uplink, answers):
    """For OVS: table 0 finds the flow in its sandbox's zone, table 1 judges a new one, table 2 answers."""
    yield "table=0,priority=0,actions=drop"
    for vlan in range(1, SANDBOXES + 1):
        yield f"table=0,priority=10,in_port={sandboxes},dl_vlan={vlan},ip,actions=ct(zone={vlan},table=1)"
        yield f"table=0,priority=10,in_port={answers},dl_vlan={vlan},ip,actions=ct(zone={vlan},table=2)"
    yield f"table=1,priority=30,ct_state=+trk+est,ip,actions=output:{uplink}"
    for prefix in REFUSED:
        yield f"table=1,priority=20,ct_state=+trk+new,ip,nw_dst={prefix},actions=drop"
    yield (f"table=1,priority=10,ct_state=+trk+new,ip,nw_dst={ALLOWED},"
           f"actions=ct(commit,zone=NXM_NX_CT_ZONE[]),output:{uplink}")
    yield "table=1,priority=0,actions=drop"
    yield f"table=2,priority=10,ct_state=+trk+est,ip,actions=output:{sandboxes}"
    yield "table=2,priority=0,actions=drop"
