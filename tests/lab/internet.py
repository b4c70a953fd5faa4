# SPDX-License-Identifier: Apache-2.0
"""The far side: a router with a leg in every VLAN, and behind it a host with all servers.

The router forwards and keeps no state (no NAT, no connection tracking), so what the gateway lets
out reaches the servers as it was sent, but for one hop of TTL. Two sandboxes with the same inside
address need two Internets, since only the VLAN tells their answers apart.
"""

import json
import pathlib
import re
import shutil
import socket
import subprocess

from topology import HERE, LabError, Namespace, must, wait_for

# What the host behind the router answers to. Whole ranges, so that a test can name any address.
SERVER_RANGES = ["198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "198.18.0.0/16", "10.99.0.0/16",
                 "2001:db8::/32", "fd99::/16"]

RESOLVER, RESOLVER6 = "203.0.113.53", "2001:db8:53::53"
OTHER_RESOLVER = "203.0.113.54"  # serves the same names, but is not configured
SCRIPTED_RESOLVER = "203.0.113.55"  # where a test speaks itself (see peer_dns.py)

PROBED = "198.51.100.10"  # the lab's own probes at start come from it, since they are local

# Who lives where. One host answers for all of them; the names and addresses are what differ.
ZONE = """\
$ORIGIN .
$TTL 300
@                      SOA    ns.lab. root.lab. 1 3600 600 86400 60
@                      NS     ns.lab.
ns.lab.                A      203.0.113.53
registry.npmjs.org.    A      198.51.100.10
registry.npmjs.org.    AAAA   2001:db8:10::10
npmjs.org.             A      198.51.100.14
www.npmjs.org.         A      198.51.100.14
neighbour.example.     A      198.51.100.10
s3.amazonaws.com.      A      198.51.100.11
*.s3.amazonaws.com.    A      198.51.100.11
*.s3.amazonaws.com.    AAAA   2001:db8:10::11
github.com.            A      198.51.100.12
github.com.            AAAA   2001:db8:10::12
exfil.example.         A      198.51.100.66
exfil.example.         AAAA   2001:db8:66::66
*.exfil.example.       A      198.51.100.66
assets.example.        CNAME  assets.cdn.example.
assets.cdn.example.    CNAME  edge7.cdn.example.
edge7.cdn.example.     A      198.51.100.13
edge7.cdn.example.     AAAA   2001:db8:10::13
six.example.           AAAA   2001:db8:10::16
rebind.example.        A      10.99.0.1
rebind.example.        AAAA   fd99::1
db.example.            A      192.0.2.32
brief.example.         0 A    198.51.100.15
large.example.         TXT    {large}
hinted.example.        HTTPS  1 . alpn=h2 ipv4hint=198.51.100.17 ipv6hint=2001:db8:10::17
svc.example.           SVCB   1 edge7.cdn.example. ipv4hint=198.51.100.19
{many}
"""

NGINX_CONF = """\
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log info;
user root;
events {{ worker_connections 1024; }}
http {{
  log_format seen escape=json '{{"server":"web","sni":"$ssl_server_name","host":"$http_host",'
    '"uri":"$request_uri","peer":"$remote_addr","address":"$server_addr","port":"$server_port"}}';
  access_log {dir}/web.jsonl seen;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  ssl_certificate {dir}/server.pem;
  ssl_certificate_key {dir}/server.key;
  ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
    listen 8443 ssl; listen [::]:8443 ssl;
    default_type text/plain;
    location / {{ return 200 'sni=$ssl_server_name host=$http_host from=$remote_addr\\n'; }}
    location /big {{ alias {dir}/big; limit_rate 2m; }}
    location /debian/ {{ alias {dir}/debian/; }}
  }}
}}
"""

KNOT_CONF = """\
server:
    rundir: {dir}
    user: root
    listen: [{listen}]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: {dir}/knot.log
    any: info
database:
    storage: {dir}
template:
  - id: default
    storage: {dir}
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: .
    file: zone
"""


def make_certificates(where):
    """An own CA, and one certificate for every name of the zone."""
    names = sorted({line.split()[0].rstrip(".") for line in ZONE.splitlines()
                    if len(line.split()) > 2 and line.split()[0] not in ("@", "$ORIGIN")})
    san = ",".join(f"DNS:{name}" for name in names + ["many.example", "sixty.example", "unlisted.example", "*.scripted.example"])
    (where / "san").write_text(f"subjectAltName={san}\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    must(["openssl", "req", "-x509", *key, "-keyout", f"{where}/ca.key", "-out", f"{where}/ca.pem",
          "-days", "30", "-subj", "/CN=Sluice lab CA"])
    must(["openssl", "req", "-new", *key, "-keyout", f"{where}/server.key",
          "-out", f"{where}/server.csr", "-subj", "/CN=lab"])
    must(["openssl", "x509", "-req", "-in", f"{where}/server.csr", "-CA", f"{where}/ca.pem",
          "-CAkey", f"{where}/ca.key", "-CAcreateserial", "-days", "30",
          "-extfile", f"{where}/san", "-out", f"{where}/server.pem"])


class Internet:
    """The servers, what they saw, and the router that leads to them."""

    def __init__(self, prefix, tag, where):
        self.where = pathlib.Path(where) / f"internet-{tag}"
        self.where.mkdir()
        self.router = Namespace(f"{prefix}router{tag}")
        self.host = Namespace(f"{prefix}net{tag}")
        self.processes = {}
        self.link()

    def link(self):
        quiet = dict(net_ipv6_conf_all_accept_dad=0, net_ipv6_conf_default_accept_dad=0,
                     net_ipv6_conf_all_accept_ra=0, net_ipv6_conf_default_accept_ra=0)
        self.router.sysctl(net_ipv4_ip_forward=1, net_ipv6_conf_all_forwarding=1,
                           net_ipv6_conf_default_forwarding=1, net_ipv4_conf_all_rp_filter=0,
                           net_ipv4_conf_default_rp_filter=0, net_ipv4_icmp_ratelimit=0,
                           net_ipv4_conf_all_send_redirects=0,
                           net_ipv4_conf_default_send_redirects=0, **quiet)
        # Its addresses are whole ranges, and IPv6 does not allow sending from an address that is only part of a range.
        self.host.sysctl(net_ipv4_conf_all_rp_filter=0, net_ipv4_conf_default_rp_filter=0,
                         net_ipv4_icmp_ratelimit=0, net_ipv4_ip_nonlocal_bind=1,
                         net_ipv6_ip_nonlocal_bind=1, **quiet)
        self.router.batch(f"link add host type veth peer name eth0 netns {self.host.name}",
                          "addr add 100.64.255.1/30 dev host", "addr add fd64::1/64 dev host nodad",
                          "link set host up")
        self.host.batch("addr add 100.64.255.2/30 dev eth0", "addr add fd64::2/64 dev eth0 nodad",
                        "link set eth0 up", "route add default via 100.64.255.1",
                        "route add default via fd64::1",
                        *(f"route add local {net} dev lo" for net in SERVER_RANGES))
        self.router.without_offloads("host")
        self.host.without_offloads("eth0")
        self.router.batch("route add default via 100.64.255.2", "route add default via fd64::2")

    def add_leg(self, switch, vlan, gateway, gateway6):
        """The router's leg in a VLAN: what the sandboxes of that VLAN know as their gateway."""
        leg = f"v{vlan}"
        switch.add_port(f"far{vlan}", vlan, self.router, leg)
        self.router.batch(f"addr add {gateway} dev {leg}", f"addr add {gateway6} dev {leg} nodad",
                          f"link set {leg} up")
        return leg

    def serve(self, quic=False):
        """Starts the servers and waits until each of them answers."""
        make_certificates(self.where)
        with open(self.where / "big", "wb") as download:
            download.truncate(1 << 30)  # sparse
        many = "\n".join(f"many.example. A 198.51.100.{100 + n}" for n in range(20))
        many += "\n" + "\n".join(f"sixty.example. A 198.51.100.{140 + n}" for n in range(60))
        large = " ".join(f'"{str(n) * 200}"' for n in range(1, 10))
        (self.where / "zone").write_text(ZONE.format(many=many, large=large))
        (self.where / "nginx.conf").write_text(NGINX_CONF.format(dir=self.where))
        (self.where / "knot.conf").write_text(KNOT_CONF.format(
            dir=self.where, listen=", ".join([RESOLVER, RESOLVER6, OTHER_RESOLVER])))
        self.start("nginx", "nginx", "-c", self.where / "nginx.conf", "-p", self.where,
                   "-e", self.where / "nginx-error.log")
        self.start("knot", "knotd", "-c", self.where / "knot.conf")
        self.start("servers", "/usr/bin/python3", HERE / "servers.py", self.where)
        for port in (443, 8443, 80, 22, 5432, 9000):
            self.await_port(port, PROBED)
        self.await_port(53, RESOLVER)
        self.await_port(53, OTHER_RESOLVER)

    def start(self, name, *argv):
        if not shutil.which(str(argv[0]), path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise LabError(f"{argv[0]} is not installed (see tests/packages.txt)")
        with open(self.where / f"{name}.out", "ab") as out:
            self.processes[name] = self.host.spawn(*argv, stdout=out, stderr=subprocess.STDOUT)

    def await_port(self, port, address):
        def answers():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise LabError(f"{name} does not run:\n" + self.output_of(name))
            with self.host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                return probe.connect_ex((address, port)) == 0
        wait_for(answers, f"a server on {address} port {port}")

    def output_of(self, name):
        return "\n".join(path.read_text(errors="replace")
                         for path in self.where.glob(f"{name}*.[ol]*"))

    def quic_server(self, address, port=443, *options):
        """An HTTP/3 server (ngtcp2's gtlsserver) on one address."""
        name = f"quic-{address}-{port}"
        self.start(name, "gtlsserver", "-d", self.where, *options, address, port,
                   self.where / "server.key", self.where / "server.pem")
        # UDP has no handshake to probe with: the socket is there once the kernel lists it.
        wait_for(lambda: str(port) in self.host.run("ss", "-Huln", f"sport = :{port}").out,
                 f"the QUIC server on {address}")
        return self.processes[name]

    def quic_saw(self, secret, address, port=443):
        """True if this text is in what the QUIC server has read of hellos, which it shows in hex."""
        shown = (self.where / f"quic-{address}-{port}.out").read_text(errors="replace")
        lines = re.findall(r"^[0-9a-f]{8}  ((?:[0-9a-f]{2} +)+)\|", shown, re.M)
        return secret.encode() in bytes.fromhex("".join(lines))

    def seen(self, server, **expected):
        """What the servers wrote down about connections with these properties."""
        entries = []
        for path in self.where.glob("*.jsonl"):
            entries += [json.loads(line) for line in path.read_text().splitlines() if line]
        return [entry for entry in entries if entry["server"] == server and entry["peer"] != PROBED
                and all(entry.get(key) == value for key, value in expected.items())]

    def await_seen(self, server, **expected):
        """The servers log after they have answered, so the proof that they saw it is awaited."""
        return wait_for(lambda: self.seen(server, **expected), f"{server} to see {expected}")

    def forget(self):
        """A new test: what the servers saw before does not count."""
        for path in (*self.where.glob("*.jsonl"), *self.where.glob("quic-*.out")):
            with open(path, "r+") as log:
                log.truncate(0)

    def delete(self):
        self.host.delete()
        self.router.delete()
        for process in self.processes.values():
            process.wait()
