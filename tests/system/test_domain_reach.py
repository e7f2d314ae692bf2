"""What `domain verify` tells of the way in: mail hosts on port 25, and the MTA-STS policy over HTTPS."""

import contextlib
import json
import socket
import threading

import demands
import names
import pytest

HOST = "mta1.ringpost.example"


class Scripted:
    """A mail host that says these lines, one a command, and ends."""

    def __init__(self, address, *lines):
        self.listener = socket.create_server((address, 25))
        self.lines = lines
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(20)
                    for line in self.lines:
                        client.sendall(line)
                        client.recv(1000)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class World:
    def __init__(self, stage):
        self.stage = stage
        self.block = names.loopback_block()
        self.authority = demands.Authority(stage.directory)
        certificate, key = self.authority.issue(HOST)
        self.policies = stage.add(demands.PolicyHost(f"{self.block}.0.2", {
            "mta-sts.shop.example": self.authority.issue("mta-sts.shop.example")}))
        self.policies.policy("shop.example", "enforce", HOST)
        self.relay = stage.unstarted_ringpost(
            listeners=f'[{{address: "{self.block}.0.1:25", service: inbound, tls: starttls}}]',
            tls=f'{{certificate: "{certificate}", key: "{key}"}}',
            delivery=f"{{tls_ca: {self.authority.certificate}}}")
        self.relay.cli("tenant", "add", "shop")
        self.relay.cli("domain", "add", "shop", "shop.example", "--hosted")
        self.right = self.relay.cli("domain", "show", "shop.example", "--zone").stdout.splitlines()
        self.code = 0

    def look(self, *more, mx=f"MX 10 {HOST}.", sts=True, words=()):
        kept = [line for line in self.right if " MX " not in line and "mta-sts" not in line]
        if sts:
            kept += ['_mta-sts TXT "v=STSv1; id=1"', f"mta-sts A {self.block}.0.2"]
        nsd = self.stage.nsd({
            "shop.example": "\n".join([*kept, f"@ {mx}", *more]),
            "ringpost.example": f"mta1 A {self.block}.0.1\nother A {self.block}.0.3\n"})
        self.relay.write_config(dns=f'{{servers: ["127.0.0.1:{nsd.port}"], timeout: 1s}}')
        done = self.relay.cli("domain", "verify", "shop.example", *words, check=False)
        self.table, self.code = done.stdout, done.returncode
        told = json.loads(self.relay.cli("domain", "verify", "shop.example", "--json", *words,
                                         check=False).stdout)
        nsd.stop()
        return told


@pytest.fixture
def world(stage):
    return World(stage)


def test_hosts_and_policy_that_are_right(world):
    world.relay.start()
    told = world.look()
    [host] = told["hosts"]
    assert (host["host"], host["address"], host["result"]) == (HOST, f"{world.block}.0.1", "right"), host
    assert host["why"] == f"TLSv1.3, with a certificate for {HOST}"
    assert told["policy"] == {"result": "right", "why": "mode enforce, for 86400 s", "value": None}
    assert f"  host        right   {HOST} {world.block}.0.1: TLSv1.3" in world.table
    assert "  policy      right   mode enforce" in world.table and world.code == 0
    # Nobody is connected to where that is not wanted, nor for a rotation.
    asked = len(world.policies.asked)
    assert "hosts" not in world.look(words=("--no-connect",))
    assert "hosts" not in json.loads(world.relay.cli("domain", "rotate", "shop.example", "--json", check=False)
                                     .stdout.splitlines()[0])
    assert len(world.policies.asked) == asked
    # Several, by preference; one has no address.
    told = world.look(mx=f"MX 20 {HOST}.\n@ MX 10 nowhere.ringpost.example.")
    assert [(h["host"], h["result"], h["address"]) for h in told["hosts"]] == [
        ("nowhere.ringpost.example", "wrong", None), (HOST, "right", f"{world.block}.0.1")]
    assert told["policy"]["result"] == "wrong"
    assert "nowhere.ringpost.example is no mail host by it" in told["policy"]["why"]
    # Its certificate is not for whom MX leads to.
    told = world.look("mx CNAME nothing", f"alias A {world.block}.0.1", mx="MX 10 alias")
    assert told["hosts"][0]["result"] == "wrong"
    assert told["hosts"][0]["why"] == "its certificate is not for alias.shop.example"
    # Nor from whom it is believed.
    stranger = demands.Authority(world.stage.directory, "stranger")
    world.relay.write_config(delivery=f"{{tls_ca: {stranger.certificate}}}")
    told = world.look()
    assert told["hosts"][0]["result"] == "wrong"
    assert "cannot be verified: " in told["hosts"][0]["why"]
    assert told["policy"]["result"] == "wrong" and "sts-webpki-invalid" in told["policy"]["why"]


@pytest.mark.parametrize("lines,result,why", [
    (None, "unknown", "not reached from here: Connection refused"),
    ((b"554 go away\r\n",), "wrong", "behind the connection: 554 go away"),
    ((b"hello\r\n",), "wrong", "behind the connection comes no reply of SMTP"),
    ((b"220 here\r\n", b"250 here\r\n"), "missing", "it offers no STARTTLS"),
    ((b"220 here\r\n", b"250-here\r\n250 STARTTLS\r\n", b"454 not \x1b[2Jnow\r\n"), "wrong",
     "behind STARTTLS: 454 not ?[2Jnow"),
    ((b"220 here\r\n", b"250-here\r\n250 STARTTLS\r\n", b"220 go\r\n250 more\r\n"), "wrong",
     "it says more in clear text behind STARTTLS"),
    ((b"220 here\r\n", b"250-here\r\n250 STARTTLS\r\n", b"220 go\r\n"), "wrong", "the TLS handshake fails: "),
    ((b"220 here\r\n",), "wrong", "behind EHLO: the connection ends"),
])
def test_hosts_that_are_not_right(world, lines, result, why):
    host = Scripted(f"{world.block}.0.3", *lines) if lines else None
    told = world.look(mx="MX 10 other.ringpost.example.")
    [met] = told["hosts"]
    assert met["result"] == result and met["why"].startswith(why), met
    assert world.code == 1  # for MX is not right, which is told as before
    if host:
        host.stop()


def test_policies_that_are_not_right(world):
    world.relay.start()
    text = f"version: STSv1\nmode: testing\nmx: {HOST}\nmax_age: 604800\n"
    told = world.look(sts=False)
    assert told["policy"] == {"result": "missing", "why": "there is no record of it, so nobody asks for it",
                              "value": text}
    assert "    https://mta-sts.shop.example/.well-known/mta-sts.txt could say:\n      version: STSv1\n" in world.table
    assert f"      mx: {HOST}\n" in world.table
    told = world.look('_mta-sts TXT "v=STSv1; id=2"')
    assert told["policy"]["why"] == "the record of it is not one valid record"
    told = world.look('_mta-sts TXT "v=STSv1; id=1"', sts=False)
    assert told["policy"]["why"] == "no address of mta-sts.shop.example is known"
    for change, why in (
        (lambda: world.policies.policy("shop.example", "enforce", "mx.elsewhere.example"),
         f"mode enforce, and {HOST} is no mail host by it"),
        (lambda: world.policies.put("shop.example", "version: STSv1", "mode: enforce"), "sts-policy-invalid: "),
        (lambda: world.policies.put("shop.example", status=404), "sts-policy-fetch-error: "),
        (world.policies.stop, "sts-policy-fetch-error: "),
    ):
        change()
        told = world.look()
        assert told["policy"]["result"] == "wrong" and told["policy"]["why"].startswith(why), told["policy"]
        assert told["policy"]["value"] == text and world.code == 0
