# SPDX-License-Identifier: Apache-2.0
"""The lab: sandboxes on their VLANs, the gateway's two trunks, and an Internet behind them.

    sandbox namespaces      wire namespace      gateway namespace    wire namespace   router   servers
    eth0 ----------------- VLAN switch ------- trunk0    uplink0 ---- VLAN switch ---- v101 --- nginx
                           (tc eBPF)               sluice             (tc eBPF)        v102     knot ...

    with Lab([101, 102]) as lab:
        gateway = lab.start("sandboxes: [{vlan: 101}]")
        assert lab[101].https("registry.npmjs.org").ok

Needs root. Nothing outside the lab's own namespaces is touched, and they go when the lab does.
"""

import atexit
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import tempfile

import topology
from gateway import Gateway, Wire
from internet import OTHER_RESOLVER, RESOLVER, RESOLVER6, Internet
from rawhost import RawHost, signed
from topology import (FAR_BASE, HERE, SANDBOX_BASE, LabError, Namespace, Recorder, Switch,
                      mac_of, must, neighbour_solicitation, run)

PREFIX = "sluicelab"
PROGRAMS = ("ip", "tc", "ethtool", "clang", "nginx", "knotd", "openssl", "curl", "dig", "ping")


def explain_what_is_missing():
    """One clear message instead of a failure somewhere in the middle."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root (network namespaces, eBPF, raw sockets)")
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        raise LabError(f"missing programs: {', '.join(missing)}; `make packages` installs them")
    os.environ["PATH"] = f"{path}:{os.environ.get('PATH', '')}"
    os.environ["LC_ALL"] = "C"


class Sandbox:
    """One sandbox: a namespace with eth0, an address of each family, and a resolver."""

    def __init__(self, lab, name, vlan, number, internet):
        self.lab, self.name, self.vlan, self.internet = lab, name, vlan, internet
        self.prefix, self.prefix6 = f"10.0.{number}.", f"fd00:0:{number}::"
        self.ip, self.ip6 = self.prefix + "2", self.prefix6 + "2"
        self.gateway, self.gateway6 = self.prefix + "1", self.prefix6 + "1"
        self.space = Namespace(f"{lab.prefix}{name}")
        self.barriers = 0
        self.space.sysctl(net_ipv6_conf_all_accept_dad=0, net_ipv6_conf_default_accept_dad=0,
                          net_ipv6_conf_all_accept_ra=0, net_ipv6_conf_default_accept_ra=0)
        lab.sandbox_switch.add_port(f"sb{vlan}", vlan, self.space, "eth0")
        self.space.batch(f"addr add {self.ip}/24 dev eth0", f"addr add {self.ip6}/64 dev eth0 nodad",
                         "link set eth0 up", f"route add default via {self.gateway}",
                         f"route add default via {self.gateway6}")
        self.leg = internet.add_leg(lab.far_switch, vlan, f"{self.gateway}/24", f"{self.gateway6}/64")
        self.mac = mac_of(self.space, "eth0")
        self.left = lab.recorder.tap(internet.router, self.leg)  # what the gateway let out
        resolver = pathlib.Path("/etc/netns") / self.space.name
        resolver.mkdir(parents=True)
        (resolver / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions attempts:1\n")

    # What a person in the sandbox would type.

    def run(self, *argv, **kwargs):
        return self.space.run(*argv, **kwargs)

    def spawn(self, *argv, **kwargs):
        return self.space.spawn(*argv, **kwargs)

    def curl(self, *args):
        return self.run("curl", "-sS", "--max-time", "10", "--cacert", self.internet.where / "ca.pem",
                        *args)

    def https(self, name, address=None, port=443, path="/", *args):
        """curl https://name; with an address, DNS is not asked but told."""
        told = ["--resolve", f"{name}:{port}:{bracketed(address)}"] if address else []
        return self.curl(*told, *args, f"https://{name}:{port}{path}")

    def http(self, name, address=None, port=80, path="/", *args):
        told = ["--resolve", f"{name}:{port}:{bracketed(address)}"] if address else []
        return self.curl(*told, *args, f"http://{name}:{port}{path}")

    def dig(self, name, kind="A", server=RESOLVER, *args):
        return Answer(self.run("dig", "+tries=1", "+time=5", f"@{server}", *args, name, kind))

    def ping(self, address, *args):
        return self.run("ping", "-n", "-c", "1", "-W", "5", *args, address)

    def tls(self, name, address, port=443, *args):
        """openssl s_client, which asks for / and prints what the server said."""
        return self.run("openssl", "s_client", "-quiet", "-CAfile",
                        self.internet.where / "ca.pem", "-verify_return_error",
                        "-servername", name, "-connect", f"{bracketed(address)}:{port}", *args,
                        stdin=f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n")

    def talk(self, address, port, data=b"", timeout=10):
        """A plain TCP connection from the sandbox's kernel: connects, sends; returns the socket."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = self.space.socket(family, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        connection.connect((address, port))
        if data:
            connection.sendall(data)
        return connection

    def udp(self, address=None, port=None):
        """A UDP socket in the sandbox, connected if there is a peer."""
        family = socket.AF_INET6 if address and ":" in address else socket.AF_INET
        sock = self.space.socket(family, socket.SOCK_DGRAM)
        sock.settimeout(10)
        if address:
            sock.connect((address, port))
        return sock

    def raw(self, **options):
        """A userspace host beside the sandbox's kernel (see rawhost.py)."""
        return RawHost(self, **options)

    # What the network saw.

    def barrier(self, through=None):
        """Returns when whatever this sandbox sent before has come out of the gateway, or never will.

        A solicitation of the router follows it through the same queues, with a mark in its nonce. A
        sandbox whose policy lets no neighbour discovery out needs another one to go through.
        """
        via = through or self
        via.barriers += 1
        mark = b"mark" + via.barriers.to_bytes(2, "big")
        request = neighbour_solicitation(via.mac, "fe80::b", via.gateway6, mark)
        with via.space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
            sender.bind(("eth0", 0))
            sender.send(request)
        via.left.wait(lambda f: f[12:14] == b"\x86\xdd" and mark in f[54:],
                      f"the neighbour solicitation {mark} to come out of the gateway")

    def sent_out(self, needle, through=None, whole=False):
        """True if these bytes, or this name, left the gateway in any form that a wire shows.

        `whole`: not as the end of a longer name (one that is allowed, say).
        """
        self.barrier(through)
        form = forms_of(needle, whole)
        return any(form.search(seen) for seen in (*self.left.frames, *self.streams_out().values()))

    def streams_out(self):
        """TCP payload that left, put together by sequence number: {(src, sport, dst, dport): bytes}."""
        pieces, origins = {}, {}
        for frame in self.left.frames:
            if parsed := tcp_of(frame):
                key, seq, data = parsed
                origin = origins.setdefault(key, seq)
                if data:
                    pieces.setdefault(key, []).append((signed(seq - origin), data))
        return {key: joined(sorted(found)) for key, found in pieces.items()}

    def payload_to(self, address, through=None):
        """All TCP payload that left to one address."""
        self.barrier(through)
        return b"".join(data for key, data in self.streams_out().items() if key[2] == address)

    def packets_to(self, address, through=None):
        """Every IP packet that left to one address."""
        self.barrier(through)
        packed = packed_address(address)
        return [frame for frame in self.left.frames
                if frame[30:34] == packed and frame[12:14] == b"\x08\x00"
                or frame[38:54] == packed and frame[12:14] == b"\x86\xdd"]

    def know_neighbours(self):
        """Fixed neighbour entries on both ends, for policies that let no ARP pass."""
        leg_mac = mac_of(self.internet.router, self.leg)
        text, leg_text = (":".join(f"{byte:02x}" for byte in mac) for mac in (self.mac, leg_mac))
        self.space.batch(*(f"neigh replace {address} lladdr {leg_text} dev eth0"
                           for address in (self.gateway, self.gateway6)))
        self.internet.router.batch(*(f"neigh replace {address} lladdr {text} dev {self.leg}"
                                     for address in (self.ip, self.ip6)))

    def forget_neighbours(self):
        for space, device in ((self.space, "eth0"), (self.internet.router, self.leg)):
            space.batch(f"neigh flush dev {device} nud all")


class Answer:
    """What dig printed."""

    def __init__(self, result):
        self.result = result
        head, _, rest = result.out.partition("status: ")
        self.status = rest.split(",")[0] if rest else "no answer"
        self.records = [line.split(None, 4) for line in
                        section(result.out, ";; ANSWER SECTION:") if not line.startswith(";")]

    @property
    def data(self):
        return [record[4] for record in self.records]

    def __repr__(self):
        return repr(self.result)


def section(text, title):
    return text.partition(title + "\n")[2].split("\n\n")[0].splitlines()


def bracketed(address):
    return f"[{address}]" if ":" in address else address


def packed_address(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def forms_of(needle, whole=False):
    """A pattern for bytes, or for a name as text (hellos, HTTP) and as DNS labels, in any case."""
    if isinstance(needle, bytes):
        return re.compile(re.escape(needle), re.I)
    text = re.escape(needle.encode())
    labels = b"".join(b"[%c]" % len(label) + re.escape(label.encode()) for label in needle.split("."))
    if whole:  # after the counts of a query's header; after its length, or not a letter of a name
        labels = rb"\x00\x01\x00\x00\x00\x00\x00." + labels
        text = rb"(?:%b|(?<![\w.-]))%b(?![\w.-])" % (re.escape(len(needle).to_bytes(2, "big")), text)
    return re.compile(text + b"|" + labels, re.I | re.S)


def joined(pieces):
    """Sorted (offset, bytes) pieces as one stream; what overlaps is taken once."""
    stream, end = b"", None
    for offset, data in pieces:
        fresh = data[max(0, end - offset):] if end is not None else data
        stream += fresh
        end = max(end or offset, offset + len(data))
    return stream


def tcp_of(frame):
    """((src, sport, dst, dport), seq, payload) of a TCP frame, else None. Trusts no padding."""
    if frame[12:14] == b"\x08\x00" and frame[23] == 6:
        start, end = 14 + (frame[14] & 15) * 4, 14 + int.from_bytes(frame[16:18], "big")
        src, dst = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    elif frame[12:14] == b"\x86\xdd" and frame[20] == 6:
        start, end = 54, 54 + int.from_bytes(frame[18:20], "big")
        src, dst = (socket.inet_ntop(socket.AF_INET6, frame[at:at + 16]) for at in (22, 38))
    else:
        return None
    number = lambda at, size: int.from_bytes(frame[start + at:start + at + size], "big")  # noqa: E731
    header = (frame[start + 12] >> 4) * 4
    return (src, number(0, 2), dst, number(2, 2)), number(4, 4), frame[start + header:end]


class Lab:
    """Everything around one gateway. Sandboxes are given as VLANs, or as {vlan: name}."""

    resolver, resolver6, other_resolver = RESOLVER, RESOLVER6, OTHER_RESOLVER

    def __init__(self, sandboxes, twins=None):
        """`twins` maps a VLAN to another whose inside addresses it shares."""
        self.prefix = f"{PREFIX}{os.getpid()}-"
        self.sandboxes, self.internets, self.spaces = {}, [], []
        self.running, self.count = None, 0
        self.where = pathlib.Path(tempfile.mkdtemp(prefix=self.prefix))
        self.recorder = None
        self.closed = False
        atexit.register(self.close)
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            explain_what_is_missing()
            topology.sweep(PREFIX)
            self.recorder = Recorder()
            self.build(sandboxes if isinstance(sandboxes, dict) else {v: f"sb{v}" for v in sandboxes},
                       twins or {})
        except BaseException:
            self.close()
            raise

    def build(self, names, twins):
        program = self.where / "vlan.bpf.o"
        must(["clang", "-O2", "-g", "-target", "bpf", f"-I/usr/include/{os.uname().machine}-linux-gnu",
              "-c", HERE / "vlan.bpf.c", "-o", program])
        self.wire = Namespace(self.prefix + "wire")
        self.gateway_space = Namespace(self.prefix + "gw")
        self.sandbox_switch = self.lay_trunk("trunk", SANDBOX_BASE, program)
        self.far_switch = self.lay_trunk("uplink", FAR_BASE, program)
        self.internets = [Internet(self.prefix, "a", self.where)]
        if twins:
            self.internets.append(Internet(self.prefix, "b", self.where))
        for number, (vlan, name) in enumerate(names.items(), 1):
            if vlan in twins:
                number = list(names).index(twins[vlan]) + 1
            self.sandboxes[vlan] = Sandbox(self, name, vlan, number, self.internets[vlan in twins])
        for internet in self.internets:
            internet.serve()

    def lay_trunk(self, name, base, program):
        """A cable between the wire and the gateway; the gateway's end has no addresses at all."""
        self.wire.batch(f"link add {name} index {base} type veth "
                        f"peer name {name}0 netns {self.gateway_space.name}",
                        f"link set {name} addrgenmode none up")
        self.gateway_space.batch(f"link set {name}0 addrgenmode none up")
        self.wire.without_offloads(name)
        self.gateway_space.without_offloads(f"{name}0")
        return Switch(self.wire, base, name, program)

    def __getitem__(self, vlan):
        return self.sandboxes[vlan]

    @property
    def internet(self):
        return self.internets[0]

    def fresh_directory(self, name):
        self.count += 1
        made = self.where / f"{self.count}-{name}"
        made.mkdir()
        return made

    def start(self, policy, **options):
        """Starts the gateway with a policy (YAML text, or a dict) and changes to its config."""
        assert self.running is None, "one gateway at a time"
        self.running = Gateway.__new__(Gateway)
        self.running.process = None
        self.running.__init__(self, policy, **options)
        return self.running

    def start_wire(self):
        self.running = Wire(self)
        return self.running

    def reset(self):
        """Between two tests: ends the gateway and whatever still runs in the sandboxes."""
        gateway, self.running = self.running, None
        if gateway is not None and gateway.process is not None and gateway.running:
            gateway.kill() if isinstance(gateway, Gateway) else gateway.stop()
        for sandbox in self.sandboxes.values():
            for pid in run(["ip", "netns", "pids", sandbox.space.name]).out.split():
                os.kill(int(pid), 9)
            sandbox.forget_neighbours()
            sandbox.left.clear()
        for internet in self.internets:
            internet.forget()

    def close(self):
        """Leaves nothing behind. Safe to call at any time, and more than once."""
        if self.closed:
            return
        self.closed = True
        if self.running is not None and getattr(self.running, "process", None) is not None:
            self.running.process.kill()
            self.running.process.wait()
        if self.recorder:
            self.recorder.stop()
        for name in sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []:
            if name.startswith(self.prefix):
                topology.destroy(name)
        if os.environ.get("LAB_KEEP"):
            kept = self.where.rename(self.where.with_name(f"{PREFIX}-kept-{self.where.name}"))
            print(f"the lab's files are in {kept}", file=sys.stderr)
        else:
            shutil.rmtree(self.where, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
