"""names.py - real name servers with zones of the tests' own: nsd, and unbound in front of it."""

import contextlib
import os
import pwd
import socket
import threading

import needs
import parts


def loopback_block():
    """A /16 of 127.0.0.0/8 in which nothing listens on port 25, and tests may: "127.B".

    Mail by MX goes to port 25, so receivers need that port on loopback addresses of their own."""
    for _ in range(200):
        block = f"127.{parts.claim('block', range(16, 250))}"
        with socket.socket() as probe:
            try:
                probe.bind((f"{block}.0.1", 25))
            except PermissionError:
                needs.root("receivers on port 25 of loopback addresses (or set the sysctl "
                           "net.ipv4.ip_unprivileged_port_start to 25 or less)")
                raise
            except OSError:
                continue
        return block
    raise AssertionError("port 25 is taken on 200 loopback addresses: does something on this machine"
                         " listen on 0.0.0.0:25? These tests need it (ss -ltnp 'sport = :25')")


def sign(directory, origin, file):
    """Signs a zone file with a key of its own; where the signed zone stands, and the key's file, which
    is the anchor to trust it by."""
    key = parts.run([parts.need("ldns-keygen"), "-a", "ECDSAP256SHA256", "-k", origin],
                    cwd=directory).stdout.strip()
    signed = directory / f"{file.name}.signed"
    parts.run([parts.need("ldns-signzone"), "-o", origin, "-f", signed, file, key], cwd=directory)
    return signed, directory / f"{key}.key"


class Nsd(parts.Process):
    """An authoritative server for zones given as {origin: text}; $TTL and SOA are put in front.

    Those of `signed` are signed: {origin: forge}, where forge (or None) changes the signed zone's
    text, whose signatures then do not hold any more."""

    def __init__(self, directory, zones, ttl=60, negative_ttl=5, signed=()):
        super().__init__(directory, "nsd")
        self.port = parts.free_port()
        self.zones = zones
        self.ttl = ttl
        self.negative_ttl = negative_ttl
        self.signed = dict(signed)
        self.anchors = []  #: files of keys, for Unbound

    def start(self):
        lines = [
            "server:",
            f"  ip-address: 127.0.0.1@{self.port}",
            f'  zonesdir: "{self.directory}"',
            '  database: ""',
            f'  pidfile: "{self.directory}/nsd.pid"',
            f'  xfrdfile: "{self.directory}/xfrd.state"',
            f'  zonelistfile: "{self.directory}/zone.list"',
            f'  username: "{pwd.getpwuid(os.getuid()).pw_name}"',
            '  chroot: ""',
            "  server-count: 1",
            "  tcp-count: 200",
            "  hide-version: yes",
            "  rrl-ratelimit: 0",
            "remote-control:",
            "  control-enable: no",
        ]
        for number, (origin, text) in enumerate(self.zones.items()):
            file = self.directory / f"zone{number}.txt"
            file.write_text(f"$ORIGIN {origin}.\n$TTL {self.ttl}\n@ SOA ns.{origin}. "
                            f"admin.{origin}. 1 3600 900 86400 {self.negative_ttl}\n"
                            f"@ NS ns\nns A 127.0.0.1\n{text}\n")
            if origin in self.signed:
                file, anchor = sign(self.directory, origin, file)
                self.anchors.append(anchor)
                if self.signed[origin]:
                    file.write_text(self.signed[origin](file.read_text()))
            lines += ["zone:", f'  name: "{origin}"', f'  zonefile: "{file.name}"']
        config = self.directory / "nsd.conf"
        config.write_text("\n".join(lines) + "\n")
        self.spawn([parts.need("nsd"), "-d", "-c", config])
        self.wait_port(self.port)
        return self

    def stop(self):
        self.end()


class Unbound(parts.Process):
    """A resolver that asks only the name servers given as {origin: port on 127.0.0.1}. It validates
    where it is given `anchors`, files of keys."""

    def __init__(self, directory, stubs, port=None, anchors=(), more=()):
        super().__init__(directory, "unbound")
        self.port = port or parts.free_port()
        self.stubs = stubs
        self.anchors = anchors
        self.more = more  #: addresses with ports on which it answers too, "127.1.2.3@53"

    def start(self):
        lines = [
            "server:",
            f"  interface: 127.0.0.1@{self.port}",
            *[f"  interface: {address}" for address in self.more],
            "  access-control: 127.0.0.0/8 allow",
            f'  directory: "{self.directory}"',
            f'  pidfile: "{self.directory}/unbound.pid"',
            '  username: ""',
            '  chroot: ""',
            "  do-daemonize: no",
            "  use-syslog: no",
            "  do-not-query-localhost: no",
            f'  module-config: "{"validator " if self.anchors else ""}iterator"',
            "  cache-max-negative-ttl: 2",
            "  infra-host-ttl: 1",
            "  outgoing-range: 4096",
            "  num-queries-per-thread: 2048",
            "  so-rcvbuf: 4m",
            '  local-zone: "." transparent',
        ]
        lines += [f'  trust-anchor-file: "{anchor}"' for anchor in self.anchors]
        lines += [f'  local-zone: "{origin}." nodefault' for origin in self.stubs]
        for origin, port in self.stubs.items():
            lines += ["stub-zone:", f'  name: "{origin}."', f"  stub-addr: 127.0.0.1@{port}"]
        lines += ["forward-zone:", '  name: "."', "  forward-addr: 127.0.0.1@9"]
        lines += ["remote-control:", "  control-enable: no"]
        config = self.directory / "unbound.conf"
        config.write_text("\n".join(lines) + "\n")
        self.spawn([parts.need("unbound"), "-d", "-c", config])
        self.wait_port(self.port)
        return self

    def stop(self):
        self.end()


class Liar:
    """A name server on UDP that answers what `answer(query)` makes of a query; None: nothing."""

    def __init__(self, answer=lambda query: None):
        self.answer = answer
        self.thread = None
        self.queries = 0

    def running(self):
        return self.thread is not None and self.thread.is_alive()

    def start(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.is_over = False

        def serve():
            while True:
                with contextlib.suppress(OSError):
                    query, peer = self.socket.recvfrom(65535)
                    if self.is_over:
                        return
                    self.queries += 1
                    reply = self.answer(query)
                    if reply is not None:
                        self.socket.sendto(reply, peer)

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.is_over = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()
