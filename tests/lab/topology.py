# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, the VLAN switch between them, and taps on their wires.

Everything lives in namespaces whose names begin with the lab's own prefix. No interface, route,
setting or mount of the host is touched.
"""

import contextlib
import ctypes
import os
import pathlib
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent

# The numbers of vlan.bpf.c: the index of a port says which VLAN it serves.
SANDBOX_BASE = 10000
FAR_BASE = 20000
UNTAGGED = 9000

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab itself cannot be built: a package or a capability is missing."""


def die_with_parent():
    """Runs in the child before exec: a lab that is killed leaves no server behind."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Result:
    """What a finished command said."""

    def __init__(self, argv, rc, out, err):
        self.argv, self.rc, self.out, self.err = argv, rc, out, err

    @property
    def ok(self):
        return self.rc == 0

    def __repr__(self):
        return f"$ {' '.join(self.argv)}\nexit {self.rc}\n{self.out}\n{self.err}".rstrip()


def run(argv, timeout=20, stdin="", **kwargs):
    """Runs a command to its end. The timeout is a guard against a hang, never part of a test."""
    argv = [str(arg) for arg in argv]
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace",
                              timeout=timeout, **kwargs)
    except subprocess.TimeoutExpired as late:
        return Result(argv, 124, text_of(late.stdout), text_of(late.stderr) + "\ntimed out")
    return Result(argv, done.returncode, done.stdout, done.stderr)


def text_of(output):
    if output is None:
        return ""
    return output if isinstance(output, str) else output.decode(errors="replace")


def must(argv, **kwargs):
    """Runs a command that the lab cannot do without."""
    try:
        done = run(argv, **kwargs)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed (see tests/packages.txt)") from None
    if not done.ok:
        raise LabError(f"the lab cannot be built here:\n{done!r}")
    return done


def wait_for(condition, what, timeout=10):
    """Waits until condition() is true and returns its value; fails loudly with what it waited for."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s in vain for {what() if callable(what) else what}")
        time.sleep(0.005)


class Namespace:
    """A network namespace with a name, so that a person can look into it with `ip netns exec`."""

    def __init__(self, name):
        self.name = name
        must(["ip", "netns", "add", name])
        self.batch("link set lo up")

    def batch(self, *lines):
        """ip(8) commands, all in one process."""
        must(["ip", "-n", self.name, "-batch", "-"], stdin="\n".join(lines) + "\n")

    @contextlib.contextmanager
    def entered(self):
        """This thread's sockets, and /proc/sys/net, are the namespace's while inside."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as there:
            if libc.setns(there.fileno(), CLONE_NEWNET):
                raise LabError(f"cannot enter {self.name}: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                libc.setns(home.fileno(), CLONE_NEWNET)

    def socket(self, *args):
        with self.entered():
            return socket.socket(*args)

    def sysctl(self, **settings):
        """net_ipv4_ip_forward=1 stands for net.ipv4.ip_forward = 1."""
        with self.entered():
            for name, value in settings.items():
                family, rest = name.split("_", 2)[1:]
                for leaf in ("conf_all_", "conf_default_"):
                    if rest.startswith(leaf):
                        rest = leaf.replace("_", "/") + rest[len(leaf):]
                pathlib.Path(f"/proc/sys/net/{family}/{rest}").write_text(str(value))

    def without_offloads(self, *devices):
        """Checksums and sizes as on a real wire: a virtual one would leave both to hardware."""
        for device in devices:
            must(["ip", "netns", "exec", self.name, "ethtool", "-K", device,
                  "tx", "off", "tso", "off", "gso", "off", "gro", "off"])

    def argv(self, argv):
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(self, *argv, **kwargs):
        return run(self.argv(argv), **kwargs)

    def spawn(self, *argv, **kwargs):
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("preexec_fn", die_with_parent)
        return subprocess.Popen(self.argv(argv), **kwargs)

    def attach_bpf(self, device, program, section):
        must(["tc", "-n", self.name, "qdisc", "add", "dev", device, "clsact"])
        must(["tc", "-n", self.name, "filter", "add", "dev", device, "ingress", "bpf", "da",
              "obj", str(program), "sec", section])

    def delete(self):
        destroy(self.name)


def destroy(name):
    """Ends what runs in a namespace and removes it."""
    for pid in run(["ip", "netns", "pids", name]).out.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run(["ip", "netns", "del", name])
    resolver = pathlib.Path("/etc/netns") / name
    if resolver.is_dir():
        for leftover in resolver.iterdir():
            leftover.unlink()
        resolver.rmdir()
        with contextlib.suppress(OSError):  # others may have theirs there
            resolver.parent.rmdir()


def sweep(prefix):
    """Removes what labs left whose process is gone (it was killed before it could)."""
    known = pathlib.Path("/run/netns")
    for name in os.listdir(known) if known.is_dir() else []:
        if is_orphan(name, prefix):
            destroy(name)
    for name in os.listdir(tempfile.gettempdir()):
        if is_orphan(name, prefix):
            shutil.rmtree(pathlib.Path(tempfile.gettempdir()) / name, ignore_errors=True)


def is_orphan(name, prefix):
    """Names are the prefix, the process id of the lab, and the rest after a dash."""
    owner = name.removeprefix(prefix).split("-")[0]
    return name.startswith(prefix) and owner.isdigit() and not os.path.exists(f"/proc/{owner}")


class Switch:
    """A VLAN switch: one trunk, and an access port for each VLAN."""

    def __init__(self, space, base, trunk, program):
        self.space, self.base, self.program = space, base, program
        space.attach_bpf(trunk, program, "tc/trunk")

    def port_index(self, vlan):
        return self.base + (vlan or UNTAGGED)

    def add_port(self, device, vlan, peer, peer_name):
        """Lays a cable from a new access port to a new device in another namespace."""
        self.space.batch(
            f"link add {device} index {self.port_index(vlan)} type veth "
            f"peer name {peer_name} netns {peer.name}",
            f"link set {device} addrgenmode none up")
        self.space.without_offloads(device)
        peer.without_offloads(peer_name)
        self.space.attach_bpf(device, self.program, "tc/access")


class Tap:
    """Records every frame that comes in over one interface, whole and as it was on the wire."""

    def __init__(self, space, device):
        self.frames = []
        self.changed = threading.Condition()
        self.socket = space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((device, 3))  # ETH_P_ALL, from now on
        self.socket.setblocking(False)

    def drain(self):
        """Called by the recorder's thread."""
        came = []
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, address = self.socket.recvfrom(65535)
                if address[2] != socket.PACKET_OUTGOING:
                    came.append(frame)
        with self.changed:
            self.frames.extend(came)
            self.changed.notify_all()

    def clear(self):
        with self.changed:
            self.frames.clear()

    def wait(self, matches, what, timeout=10):
        """Waits until a recorded frame matches and returns it."""
        seen = 0
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for frame in self.frames[seen:]:
                    if matches(frame):
                        return frame
                seen = len(self.frames)
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {timeout} s in vain for {what}")
                self.changed.wait(left)


class Recorder:
    """One thread that serves all taps."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.waker, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def tap(self, space, device):
        tap = Tap(space, device)
        self.watch(tap)
        return tap

    def watch(self, drained):
        """drained.drain() is called in the recorder's thread whenever drained.socket has input."""
        with self.lock:
            self.selector.register(drained.socket, selectors.EVENT_READ, drained)

    def forget(self, drained):
        with self.lock:
            self.selector.unregister(drained.socket)
            drained.socket.close()

    def loop(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                with self.lock, contextlib.suppress(OSError):  # a device that went down
                    if key.fileobj.fileno() >= 0:  # it may have been forgotten meanwhile
                        key.data.drain()

    def stop(self):
        self.waker.send(b".")
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.waker.close()
        self.selector.close()


def mac_of(space, device):
    """The six bytes of a device's address."""
    probe = space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with probe:
        probe.bind((device, 0))
        return probe.getsockname()[4]


def neighbour_solicitation(mac, source, target, nonce):
    """Who has `target`? With six bytes of the sender's choice (RFC 4861 4.3, RFC 3971 5.3.2)."""
    wanted = socket.inet_pton(socket.AF_INET6, target)
    address = socket.inet_pton(socket.AF_INET6, source)
    group = bytes.fromhex("ff0200000000000000000001ff") + wanted[13:]
    body = wanted + b"\x01\x01" + mac + b"\x0e\x01" + nonce
    pseudo = address + group + struct.pack("!II", 8 + len(body), 58)
    words = struct.unpack(f"!{(len(pseudo) + 8 + len(body)) // 2}H", pseudo + b"\x87\0\0\0\0\0\0\0" + body)
    total = sum(words)
    while total > 0xffff:
        total = (total >> 16) + (total & 0xffff)
    return (b"\x33\x33" + group[12:] + mac + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, 8 + len(body), 58, 255)
            + address + group + b"\x87\0" + struct.pack("!H", ~total & 0xffff) + bytes(4) + body)


def arp_request(mac, sender, target):
    """Who has `target`? Tell `sender` (RFC 826)."""
    return (b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
            + mac + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target))
