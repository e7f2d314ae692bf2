"""ringpost verify: verdicts on messages with a real name server, without a daemon."""

import base64
import hashlib
import json
import random
import socket
import subprocess
import threading
import time

import authres
import dkim
import names
import parts
import pytest
import spf as pyspf

HOST = "mx.receiver.example"
KEYS = ("result", "domain", "selector", "algorithm", "reason")


def openssl(*args, data=None):
    return subprocess.run([parts.need("openssl"), *args], input=data, capture_output=True,
                          check=True).stdout


class Key:
    """A key of ours to sign with, and the text of its record."""

    def __init__(self, kind, bits=2048):
        self.kind = kind
        if kind == "ed25519":
            seed = hashlib.sha256(b"a key of the tests").digest()
            # RFC 8410: what stands before the 32 octets of a private key.
            der = bytes.fromhex("302e020100300506032b657004220420") + seed
            public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER", data=der)[-32:]
            self.private = base64.b64encode(seed)
            self.record = "v=DKIM1; k=ed25519; p=" + base64.b64encode(public).decode()
        else:
            self.private = openssl("genrsa", "-traditional", str(bits))
            public = openssl("rsa", "-pubout", "-outform", "DER", data=self.private)
            self.record = "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()


def txt(text):
    """A TXT record's strings, as a zone file has them."""
    return "TXT " + " ".join(
        '"' + text[i:i + 200].replace("\\", "\\\\").replace('"', '\\"') + '"'
        for i in range(0, len(text), 200))


RSA, SHORT, ED = Key("rsa"), Key("rsa", 768), Key("ed25519")

ZONE = [
    # SPF of a sender with a policy, and of names below it
    ("a", txt("v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 -all exp=why.a.example")),
    ("why.a", txt("%{i} is not one of %{d}, says %{r}")),
    ("plain", txt("v=spf1 ip4:192.0.2.1 -all")),
    ("helo.a", txt("v=spf1 a -all")),
    ("helo.a", "A 192.0.2.1"),
    ("soft", txt("v=spf1 ~all")),
    ("voids2", txt("v=spf1 a:n1.example a:n2.example ip4:192.0.2.1 -all")),
    ("voids3", txt("v=spf1 a:n1.example a:n2.example a:n3.example ip4:192.0.2.1 -all")),
    ("large", txt("v=spf1 " + " ".join(f"ip4:198.51.100.{i}" for i in range(250))
                  + " ip4:192.0.2.1 -all")),
    # macros make names that no host has
    ("odd", txt("v=spf1 exists:%{l}.odd.example -all")),
    (r"o\'b\ \"x.odd".replace("\\'", "'"), "A 127.0.0.2"),
    # keys
    ("s1._domainkey.a", txt(RSA.record)),
    ("ed._domainkey.a", txt(ED.record)),
    ("short._domainkey.a", txt(SHORT.record)),
    ("gone._domainkey.a", txt("v=DKIM1; p=")),
    ("s1._domainkey.xn--bcher-kva", txt(RSA.record)),
    ("s1._domainkey.sub.a", txt(RSA.record)),
    ("s1._domainkey.b", txt(RSA.record)),
    ("alias._domainkey.a", "CNAME s1._domainkey.b"),
    ("s1._domainkey.testing", txt(RSA.record)),
    # policies
    ("_dmarc.a", txt("v=DMARC1; p=reject; sp=quarantine; np=none; rua=mailto:r@a.example")),
    ("sub.a", "A 192.0.2.9"),
    ("_dmarc.testing", txt("v=DMARC1; p=reject; t=y")),
    ("_dmarc.twice", txt("v=DMARC1; p=reject")),
    ("_dmarc.twice", txt("v=DMARC1; p=none")),
    ("_dmarc.strict", txt("v=DMARC1; p=quarantine; adkim=s; aspf=s; pct=10")),
    ("s1._domainkey.m.strict", txt(RSA.record)),
    # names of addresses
    ("mail.a", "A 192.0.2.1"),
    ("mail.a", "AAAA 2001:db8::1"),
    ("liar", "A 192.0.2.77"),
]
REVERSE = [
    ("1.2.0.192.in-addr", "PTR mail.a.example."),
    ("2.2.0.192.in-addr", "PTR liar.example."),
    (".".join("1" + "0" * 23 + "8bd01002") + ".ip6", "PTR mail.a.example."),
]

MESSAGE = (b"From: Alice <alice@a.example>\r\nTo: bob@receiver.example\r\nSubject: hello\r\n"
           b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@a.example>\r\n\r\n"
           b"Some  text.\r\n\r\nMore of it. \r\n\r\n")


class Verify:
    """Runs the command with a configuration of its own."""

    def __init__(self, directory, port, **dns):
        directory.mkdir(parents=True, exist_ok=True)
        self.config = directory / "ringpost.yaml"
        more = "".join(f", {key}: {value}" for key, value in dns.items())
        self.config.write_text(
            f"hostname: {HOST}\nstate_dir: {directory}/state\n"
            f'listeners: [{{address: "127.0.0.1:2525", service: submission, '
            f'trust: ["127.0.0.0/8"]}}]\n'
            f'dns: {{servers: ["127.0.0.1:{port}"]{more}}}\n')

    def run(self, *args, message=MESSAGE, timeout=parts.PATIENCE):
        return subprocess.run([parts.PROGRAM, "-c", self.config, "verify", *args],
                              input=message, capture_output=True, timeout=timeout)

    def __call__(self, *args, message=MESSAGE, **kwargs):
        done = self.run("--json", *args, "-", message=message, **kwargs)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b"\n") == 1 and done.stdout.endswith(b"}\n")
        found = json.loads(done.stdout)
        hold_shape(found)
        return found


def hold_shape(found):
    assert list(found) == ["spf", "helo", "dkim", "dmarc", "arc", "iprev",
                           "authentication_results"]
    assert set(found["spf"]) == {"result", "domain", "explanation"}
    assert set(found["helo"]) == {"result"}
    assert set(found["dmarc"]) == {"result", "policy", "domain", "disposition"}
    assert set(found["arc"]) == {"result", "chain"}
    assert set(found["iprev"]) == {"result", "name"}
    assert all(tuple(one) == KEYS for one in found["dkim"])
    assert (found["dmarc"]["policy"] is None) or found["dmarc"]["result"] != "none"
    if not found["authentication_results"].isascii():
        return  # which RFC 8601 allows and this parser does not know
    field = authres.AuthenticationResultsHeader.parse(
        "Authentication-Results: " + found["authentication_results"])
    assert field.authserv_id == HOST
    by_method = {}
    for result in field.results:
        by_method.setdefault(result.method, []).append(result.result)
    assert by_method["spf"][-1] == found["helo"]["result"]
    assert by_method["dkim"] == [one["result"] for one in found["dkim"][:20]] or ["none"]
    for method in ("dmarc", "arc", "iprev"):
        assert by_method[method] == [found[method]["result"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    zones = {"example": "\n".join(" ".join(line) for line in ZONE),
             "arpa": "\n".join(" ".join(line) for line in REVERSE)}
    nsd = names.Nsd(tmp_path_factory.mktemp("verify") / "nsd", zones).start()
    yield nsd
    nsd.stop()


@pytest.fixture(scope="module")
def verify(server):
    return Verify(server.directory.parent / "verify", server.port)


def sign(message=MESSAGE, key=RSA, domain=b"a.example", selector=b"s1", **options):
    options.setdefault("signature_algorithm",
                       b"ed25519-sha256" if key.kind == "ed25519" else b"rsa-sha256")
    return dkim.sign(message, selector, domain, key.private, **options) + message


# --- the command ----------------------------------------------------------------------------------


def test_arguments_and_files(verify, tmp_path):
    for ip in ("", "x", "192.0.2.256", "192.0.2.1:25", "[::1]", "fe80::1%lo", "192.0.2", "1",
               "192.0.2.1 ", "::g"):
        done = verify.run("--ip", ip, "--json", "-")
        assert done.returncode == 64 and done.stdout == b"", ip
        assert json.loads(done.stderr)["exit"] == 64
    for args in ((), ("-", "-"), ("--nonsense", "-"), ("--ip",), ("--json", "--helo")):
        assert verify.run(*args).returncode == 64, args
    for file in (tmp_path / "missing", tmp_path):
        done = verify.run("--json", file)
        assert done.returncode == 1 and done.stdout == b""
        assert str(file) in json.loads(done.stderr)["error"]
    file = tmp_path / "message"
    file.write_bytes(sign())
    assert json.loads(verify.run("--json", file).stdout)["dkim"][0]["result"] == "pass"
    missing = subprocess.run([parts.PROGRAM, "-c", tmp_path / "none.yaml", "verify", file],
                             capture_output=True)
    assert missing.returncode == 78 and missing.stdout == b""


def test_line_ends_headers_alone_and_nothing(verify):
    signed = sign()
    mixed = signed.replace(b"\r\n", b"\n", 3)
    for message in (signed, signed.replace(b"\r\n", b"\n"), mixed):
        assert verify(message=message)["dkim"][0]["result"] == "pass"
    empty = verify(message=b"")
    assert empty["dkim"] == [] and empty["dmarc"] == {
        "result": "none", "policy": None, "domain": None, "disposition": "none"}
    header = MESSAGE.split(b"\r\n\r\n")[0] + b"\r\n"
    for message in (header, header[:-2], header + b"\r\n"):
        found = verify(message=message)
        assert (found["dmarc"]["result"], found["dmarc"]["domain"]) == ("fail", "a.example")
    bodiless = sign(header + b"\r\n")
    assert verify(message=bodiless)["dkim"][0]["result"] == "pass"
    assert verify(message=b"no header at all\n")["dmarc"]["result"] == "none"
    assert verify(message=bytes(range(256)) * 10)["dkim"] == []


def test_what_people_read(verify):
    done = verify.run("--ip", "192.0.2.1", "--helo", "helo.a.example", "--mail-from",
                      "alice@a.example", "-", message=sign())
    text = done.stdout.decode()
    assert done.returncode == 0
    for part in ("spf   TXT \"a.example\" \"v=spf1 ip4:192.0.2.0/28", "dkim  1 TXT \"s1._domainkey",
                 "iprev PTR \"1.2.0.192.in-addr.arpa\" \"mail.a.example\"", "by ip4:192.0.2.0/28",
                 "dkim 1 pass d=a.example s=s1 a=rsa-sha256, 2048 bits",
                 "SPF passed for a.example: aligned", "policy reject (p of a.example)",
                 f"\nAuthentication-Results: {HOST};\r\n\tspf=pass"):
        assert part in text, (part, text)
    escape = b"From: a@b.example\r\nDKIM-Signature: v=1; d=\x1b[2J.example; s=x; a=rsa-sha256\r\n\r\n"
    assert b"\x1b" not in verify.run("--helo", "\x1b[2J", "--ip", "192.0.2.1", "-",
                                     message=escape).stdout


# --- SPF and iprev --------------------------------------------------------------------------------


def spf_of(verify, ip, sender, helo="nowhere.example"):
    found = verify("--ip", ip, "--helo", helo, "--mail-from", sender)
    return found["spf"]["result"], found["spf"]["domain"], found["spf"]["explanation"]


def test_spf(verify):
    assert spf_of(verify, "192.0.2.1", "x@a.example") == ("pass", "a.example", None)
    assert spf_of(verify, "::ffff:192.0.2.1", "x@A.Example") == ("pass", "a.example", None)
    assert spf_of(verify, "2001:db8::5", "x@a.example") == ("pass", "a.example", None)
    assert spf_of(verify, "198.51.100.1", "x@a.example") == (
        "fail", "a.example", f"198.51.100.1 is not one of a.example, says {HOST}")
    assert spf_of(verify, "198.51.100.1", "x@plain.example") == ("fail", "plain.example", None)
    assert spf_of(verify, "192.0.2.1", "x@soft.example")[::2] == ("softfail", None)
    assert spf_of(verify, "192.0.2.1", "x@gone.example")[0] == "none"
    assert spf_of(verify, "192.0.2.1", "x@voids2.example")[0] == "pass"
    assert spf_of(verify, "192.0.2.1", "x@voids3.example")[0] == "permerror"
    assert spf_of(verify, "192.0.2.1", "x@large.example")[0] == "pass"  # by TCP
    assert spf_of(verify, "192.0.2.1", "\"o'b \\\"x\"@odd.example")[0] in ("pass", "fail")


def test_null_path_and_any_text(verify):
    for sender in ((), ("--mail-from", ""), ("--mail-from", "<>"), ("--mail-from=",)):
        found = verify("--ip", "192.0.2.1", "--helo", "helo.a.example", *sender)
        assert (found["spf"]["result"], found["spf"]["domain"]) == ("pass", "helo.a.example")
        assert found["helo"]["result"] == "pass"
        assert "smtp.mailfrom" not in found["authentication_results"]
    found = verify("--ip", "192.0.2.2", "--helo", "helo.a.example", "--mail-from", "x@a.example")
    assert (found["spf"]["result"], found["helo"]["result"]) == ("pass", "fail")
    assert spf_of(verify, "192.0.2.1", "@a.example")[:2] == ("pass", "a.example")
    assert spf_of(verify, "192.0.2.1", "<x@a.example>")[0] == "pass"
    for sender in ("a.example", "x@", "@", "x@" + "l" * 64 + ".example", "x@a..example",
                   "x@" + "a." * 200 + "example", "\"a b\"@nowhere.example", "é@nowhere.example",
                   "x@[192.0.2.1]", "a@b@c", "x" * 5000, "\x7f\t;dkim=pass", "--", "%{i}@%{d}"):
        for args in (("--mail-from", sender), ("--helo", sender), ("--helo", sender,
                                                                  "--mail-from", sender)):
            found = verify("--ip", "192.0.2.1", *args)
            assert found["spf"]["result"] in ("none", "pass", "neutral", "permerror"), args
    without = verify("--helo", "helo.a.example", "--mail-from", "x@a.example")
    assert (without["spf"]["result"], without["helo"]["result"], without["iprev"]["result"]) == (
        "none", "none", "none")


def test_iprev(verify):
    def iprev(ip):
        return tuple(verify("--ip", ip)["iprev"].values())
    assert iprev("192.0.2.1") == ("pass", "mail.a.example")
    assert iprev("::ffff:192.0.2.1") == ("pass", "mail.a.example")
    assert iprev("2001:db8::1") == ("pass", "mail.a.example")
    assert iprev("192.0.2.2") == ("fail", None)
    assert iprev("192.0.2.3") == ("permerror", None)


# --- DKIM -----------------------------------------------------------------------------------------


def dkim_of(verify, message):
    return [one["result"] for one in verify(message=message)["dkim"]]


def test_dkim(verify):
    assert dkim_of(verify, MESSAGE) == []
    one = verify(message=sign())["dkim"][0]
    assert one == {"result": "pass", "domain": "a.example", "selector": "s1",
                   "algorithm": "rsa-sha256", "reason": None}
    assert dkim_of(verify, sign(key=ED, selector=b"ed")) == ["pass"]
    assert dkim_of(verify, sign(selector=b"alias")) == ["pass"]
    assert dkim_of(verify, sign().replace(b"More", b"Less")) == ["fail"]
    assert dkim_of(verify, sign().replace(b"hello", b"jello")) == ["fail"]
    assert dkim_of(verify, sign(selector=b"none")) == ["permerror"]
    assert dkim_of(verify, sign(selector=b"gone")) == ["permerror"]
    assert dkim_of(verify, sign(signature_algorithm=b"rsa-sha1")) == ["permerror"]
    assert dkim_of(verify, sign(key=SHORT, selector=b"short")) == ["policy"]
    broken = (b"DKIM-Signature: nonsense\r\nDKIM-Signature: v=1; a=rsa-sha256; d=B.EXAMPLE; s=S1;"
              b" h=To; bh=; b=\r\n")
    found = verify(message=broken + sign(domain=b"sub.a.example"))["dkim"]
    assert [one["result"] for one in found] == ["permerror", "permerror", "pass"]
    assert found[0]["domain"] is None and found[1]["domain"] == "b.example"
    assert found[0]["reason"] and found[1]["reason"]


def test_dkim_names_are_a_labels(verify):
    message = sign(domain=b"xn--bcher-kva.example")
    for name in (b"xn--bcher-kva.example", "BÜCHER.example".encode()):
        one = verify(message=message.replace(b"d=xn--bcher-kva.example", b"d=" + name))["dkim"][0]
        assert one["domain"] == "xn--bcher-kva.example"


# --- DMARC ----------------------------------------------------------------------------------------


def dmarc_of(verify, sender, *args, signed=b""):
    message = b"From: " + sender + b"\r\nSubject: x\r\n\r\nx\r\n"
    if signed:
        message = sign(message, domain=signed)
    return tuple(verify(*args, message=message)["dmarc"].values())


def test_dmarc(verify):
    ours = ("--ip", "192.0.2.1", "--mail-from", "x@a.example")
    assert dmarc_of(verify, b"x@a.example", *ours) == ("pass", "reject", "a.example", "none")
    assert dmarc_of(verify, b"x@a.example", signed=b"a.example")[0] == "pass"
    assert dmarc_of(verify, b"x@a.example", signed=b"sub.a.example")[0] == "pass"
    assert dmarc_of(verify, b"x@a.example", signed=b"b.example") == (
        "fail", "reject", "a.example", "reject")
    assert dmarc_of(verify, b"x@sub.a.example") == ("fail", "quarantine", "a.example", "quarantine")
    assert dmarc_of(verify, b"x@new.a.example") == ("fail", "none", "a.example", "none")
    assert dmarc_of(verify, b"x@nothing.example", signed=b"b.example") == (
        "none", None, None, "none")
    assert dmarc_of(verify, b"x@testing.example") == (
        "fail", "reject", "testing.example", "quarantine")
    assert dmarc_of(verify, b"x@twice.example") == ("none", None, None, "none")
    assert dmarc_of(verify, b"x@strict.example", signed=b"m.strict.example") == (
        "fail", "quarantine", "strict.example", "quarantine")
    assert dmarc_of(verify, b"x@a.example, y@nothing.example", signed=b"a.example") == (
        "fail", "reject", "a.example", "reject")
    assert dmarc_of(verify, b"x@a.example\r\nFrom: x@a.example", *ours)[:2] == ("fail", "reject")
    assert dmarc_of(verify, b"nobody:;") == ("none", None, None, "none")
    # What is no list of addresses hides no author: readers see one all the same.
    for sloppy in (b"Doe, John <x@a.example>", b"x@a.example.", b"x.@a.example", b"<x@a.example"):
        assert dmarc_of(verify, sloppy) == ("fail", "reject", "a.example", "reject"), sloppy
        assert dmarc_of(verify, sloppy, signed=b"a.example")[0] == "pass", sloppy
    assert dmarc_of(verify, b"x@a.example <y@b.example", signed=b"b.example") == (
        "fail", "reject", "a.example", "reject")
    assert dmarc_of(verify, b"Doe, John") == ("none", None, None, "none")


def test_arc(verify):
    results = b"Authentication-Results: a.example; spf=pass smtp.mailfrom=x@a.example\r\n"
    assert verify()["arc"] == {"result": "none", "chain": 0}
    one = results + sign()
    one = b"".join(dkim.arc_sign(one, b"s1", b"a.example", RSA.private, b"a.example")) + one
    assert verify(message=one)["arc"] == {"result": "pass", "chain": 1}
    two = results.replace(b"spf=pass", b"arc=pass") + one
    two = b"".join(dkim.arc_sign(two, b"s1", b"b.example", RSA.private, b"a.example")) + two
    found = verify("--ip", "192.0.2.1", message=two)
    assert found["arc"] == {"result": "pass", "chain": 2}
    assert "arc=pass (i=2) smtp.remote-ip=192.0.2.1" in found["authentication_results"]
    assert verify(message=two.replace(b"More", b"Less"))["arc"] == {"result": "fail", "chain": 2}
    assert verify(message=one.replace(b"cv=none", b"cv=fail"))["arc"]["result"] == "fail"


def test_l_vouches_for_its_octets_only(verify):
    message = sign(length=True) + b"and what a stranger added\r\n"
    found = verify(message=message)
    assert found["dkim"][0]["result"] == "pass"
    assert found["dmarc"]["result"] == "fail"


# --- name servers that fail -----------------------------------------------------------------------


def test_silent_servers_end_in_time(verify, tmp_path):
    silent = names.Liar().start()
    try:
        slow = Verify(tmp_path, silent.port, timeout="8s", tries=10)
        found = slow("--ip", "192.0.2.1", "--helo", "helo.a.example", "--mail-from",
                     "x@a.example", message=sign(), timeout=30)
    finally:
        silent.stop()
    assert [found["spf"]["result"], found["helo"]["result"], found["dkim"][0]["result"],
            found["dmarc"]["result"], found["iprev"]["result"]] == ["temperror"] * 5
    assert found["dmarc"]["policy"] is None and found["dmarc"]["disposition"] == "none"


class Truncating:
    """Answers every question over UDP as truncated, and passes those over TCP on to `port`."""

    def __init__(self, port):
        self.behind = port
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket()
        while True:
            self.tcp.bind(("127.0.0.1", 0))
            self.port = self.tcp.getsockname()[1]
            try:
                self.udp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.tcp.close()
                self.tcp = socket.socket()
        self.tcp.listen(32)
        self.asked_tcp = 0
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def serve_udp(self):
        while True:
            query, peer = self.udp.recvfrom(65535)
            end = 12
            while query[end] != 0:
                end += query[end] + 1
            self.udp.sendto(query[:2] + b"\x83\x80\0\1\0\0\0\0\0\0" + query[12:end + 5], peer)

    def serve_tcp(self):
        while True:
            peer, _ = self.tcp.accept()
            self.asked_tcp += 1
            threading.Thread(target=self.pass_on, args=(peer,), daemon=True).start()

    def pass_on(self, peer):
        behind = socket.create_connection(("127.0.0.1", self.behind))

        def copy(source, sink):
            try:
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=copy, args=(behind, peer), daemon=True).start()
        copy(peer, behind)


def test_truncated_answers_are_asked_for_over_tcp(server, tmp_path):
    truncating = Truncating(server.port)
    found = Verify(tmp_path, truncating.port)("--ip", "192.0.2.1", "--mail-from", "x@a.example",
                                              message=sign())
    assert [found["spf"]["result"], found["dkim"][0]["result"], found["dmarc"]["result"],
            found["iprev"]["result"]] == ["pass"] * 4
    assert truncating.asked_tcp > 0


# --- beside other verifiers -----------------------------------------------------------------------


def lookup_txt(name, timeout=5):
    del timeout
    wanted = name.decode() if isinstance(name, bytes) else name
    for owner, record in ZONE:
        if f"{owner}.example" == wanted.rstrip("."):
            return "".join(record.split('"')[1::2]).encode()
    return None


def mutations(rng, signed):
    """What forwarders do to messages, some of it harmless."""
    header, body = signed.split(b"\r\n\r\n", 1)
    yield signed
    yield signed + b"\r\n\r\n"
    yield header + b"\r\n\r\n" + body.replace(b"  ", b" ")
    yield header.replace(b"Subject: hello", b"Subject:  hello ") + b"\r\n\r\n" + body
    yield header.replace(b"Subject: hello", b"SUBJECT: hello") + b"\r\n\r\n" + body
    yield header + b"\r\nX-More: 1\r\n\r\n" + body
    yield header + b"\r\nSubject: again\r\n\r\n" + body
    at = rng.randrange(len(body) - 4)
    yield header + b"\r\n\r\n" + body[:at] + b"#" + body[at:]


def test_dkim_beside_dkimpy(verify):
    rng = random.Random(7)
    for canonicalize in ((b"relaxed", b"relaxed"), (b"simple", b"simple"), (b"relaxed", b"simple")):
        for key, selector in ((RSA, b"s1"), (ED, b"ed")):
            signed = sign(key=key, selector=selector, canonicalize=canonicalize)
            for number, message in enumerate(mutations(rng, signed)):
                theirs = dkim.verify(message, dnsfunc=lookup_txt)
                ours = dkim_of(verify, message) == ["pass"]
                assert ours == theirs, (canonicalize, selector, number)


def test_spf_beside_pyspf(verify, server, monkeypatch):
    import dns.resolver
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port

    def ask(name, qtype, tcpfallback=True, timeout=30):
        del tcpfallback, timeout
        try:
            answer = resolver.resolve(name, qtype, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        if qtype in ("A", "AAAA"):
            return [((name, qtype), pyspf.ipaddress.ip_address(r.address).packed) for r in answer]
        if qtype in ("TXT", "SPF"):
            return [((name, qtype), r.strings) for r in answer]
        if qtype == "MX":
            return [((name, qtype), (r.preference, str(r.exchange).rstrip("."))) for r in answer]
        return [((name, qtype), str(r).rstrip(".")) for r in answer]

    monkeypatch.setattr(pyspf, "DNSLookup", ask)
    for domain in ("a", "plain", "helo.a", "soft", "voids2", "voids3", "large", "gone"):
        for ip in ("192.0.2.1", "198.51.100.7", "203.0.113.1", "2001:db8::7"):
            theirs = pyspf.check2(i=ip, s=f"x@{domain}.example", h="nowhere.example")[0]
            assert spf_of(verify, ip, f"x@{domain}.example")[0] == theirs, (domain, ip)


def test_hostile_headers(verify):
    many = b"".join(b"X-%d: y\r\n" % i for i in range(10_000))
    found = verify(message=many + b"From: x@a.example\r\n\r\nx\r\n")
    assert found["dkim"] == []
    signatures = b"".join(b"DKIM-Signature: v=1; a=rsa-sha256; d=d%d.example; s=s; h=From; bh=eA==;"
                          b" b=eA==\r\n" % i for i in range(100))
    started = time.monotonic()
    found = verify(message=signatures + MESSAGE)
    assert len(found["dkim"]) == 100, time.monotonic() - started
    froms = b"From: " + b",\r\n ".join(b"x@n%d.example" % i for i in range(5000)) + b"\r\n\r\n"
    assert verify(message=froms)["dmarc"]["result"] == "none"
