#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The frames of a profile in profiles.toml, as a capture.

frames.py PROFILE FILE [--size BYTES] [--reverse]

--size counts tag and FCS, as the profile does; --reverse gives what the uplink sends back, flow by
flow. The capture is for dpdk-testpmd's net_pcap and for Pktgen's -s, and has every flow once."""

import argparse
import ipaddress
import math
import pathlib
import struct
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
FIELDS = ("vlan", "source", "sport", "destination", "dport")
FCS = 4
SMALLEST = 64


def load(path=HERE / "profiles.toml"):
    with open(path, "rb") as file:
        return tomllib.load(file)


def number(value):
    """An address or a number, as a number."""
    return int(ipaddress.IPv4Address(value)) if isinstance(value, str) else value


def cycle(profile):
    """After how many frames all fields are back where they began: the number of flows."""
    return math.lcm(*(profile[field]["count"] for field in FIELDS))


def values(profile, n):
    """The fields of frame number n: vlan, source, sport, destination, dport."""
    return tuple(number(profile[field]["from"]) + n % profile[field]["count"] for field in FIELDS)


def size_of(book, profile, n, size=SMALLEST):
    imix = book["wire"]["imix"]
    return imix[n % len(imix)] if profile.get("mixed") else size


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def frame(wire, fields, size, reverse=False):
    """One frame without its FCS."""
    vlan, source, sport, destination, dport = fields
    macs = [bytes.fromhex(wire[side].replace(":", "")) for side in ("uplink-mac", "sandbox-mac")]
    if reverse:
        source, sport, destination, dport = destination, dport, source, sport
        macs.reverse()
    length = size - FCS - 18  # of the IP packet
    addresses = struct.pack("!II", source, destination)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, 17, 0) + addresses
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    payload = bytes(length - 28)
    udp = struct.pack("!HHHH", sport, dport, length - 20, 0) + payload
    whole = addresses + struct.pack("!HH", 17, length - 20) + udp + bytes(len(udp) % 2)
    udp = udp[:6] + struct.pack("!H", checksum(whole) or 0xffff) + udp[8:]
    return macs[0] + macs[1] + struct.pack("!HHH", 0x8100, vlan, 0x0800) + ip + udp


def frames(book, name, size=SMALLEST, reverse=False):
    profile = book["profile"][name]
    for n in range(cycle(profile)):
        yield frame(book["wire"], values(profile, n), size_of(book, profile, n, size), reverse)


def write(path, all_frames):
    """A capture of Ethernet frames; a microsecond between two. Returns how many."""
    count = 0
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for data in all_frames:
            file.write(struct.pack("<IIII", count // 1000000, count % 1000000, len(data), len(data)) + data)
            count += 1
    return count


def main():
    book = load()
    parser = argparse.ArgumentParser()
    parser.add_argument("profile", choices=book["profile"])
    parser.add_argument("file")
    parser.add_argument("--size", type=int, default=SMALLEST)
    parser.add_argument("--reverse", action="store_true")
    options = parser.parse_args()
    if not SMALLEST <= options.size <= 1522:
        parser.error("a tagged frame has 64 to 1522 bytes")
    count = write(options.file, frames(book, options.profile, options.size, options.reverse))
    print(f"{count} frames, as many flows")


if __name__ == "__main__":
    main()
