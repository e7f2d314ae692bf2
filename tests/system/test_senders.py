"""Postfix, Exim and OpenSMTPD send to us: what they were given is filed, as it was and once."""

import base64
import concurrent.futures
import random
import re
import smtplib
import socket

import demands
import dkim
import inbound
import names
import namespace
import needs
import parts
import pytest
import senders
from test_verify import Key, txt

pytestmark = needs.root_mark("mail servers start as root alone, in mounts of their own")

KINDS = {"postfix": senders.Postfix, "exim": senders.Exim, "opensmtpd": senders.Opensmtpd}
KEY = Key("rsa")
SMALL = 64 << 10  #: what the relay behind the slow door takes


class Forwarder(names.Liar):
    """Answers as the name server on `port` does; nothing while `is_silent` about keys of DKIM."""

    def __init__(self, port):
        super().__init__(self.ask)
        self.upstream = port
        self.is_silent = False
        self.unanswered = 0

    def ask(self, query):
        if self.is_silent and b"\x0a_domainkey" in query.lower():
            self.unanswered += 1
            return None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
            upstream.settimeout(5)
            upstream.sendto(query, ("127.0.0.1", self.upstream))
            return upstream.recv(65535)


class World:
    """Three relays that are found by MX, and the three who send to them from addresses of their own.

    `place` takes everything, `door` lets its greeting wait and newcomers come again, and `fragile`
    is killed."""

    def __init__(self, stage):
        self.block = block = names.loopback_block()
        self.sources = {kind: f"{block}.{number}.1" for number, kind in enumerate(KINDS, 1)}
        self.hosts = {kind: f"{kind}.good.example" for kind in KINDS}
        self.nsd = stage.nsd(self.zones())
        resolver = f"{block}.0.53"
        stage.unbound(dict.fromkeys(self.nsd.zones, self.nsd.port), more=[f"{resolver}@53"])
        self.authority = demands.Authority(stage.directory)
        self.certificate = self.authority.issue(*[f"mx{n}.receiver.example" for n in (1, 2, 3)])
        self.place = self.relay(stage, 1)
        self.door = self.relay(stage, 2, inbound="{greet_delay: 300ms, greylist: 500ms}",
                               limits=f"{{message_size: {SMALL >> 10}KiB}}")
        self.names = stage.add(Forwarder(self.nsd.port))
        self.fragile = self.relay(stage, 3, inbound="{verify_timeout: 30s}",
                                  dns=f'{{servers: ["127.0.0.1:{self.names.port}"]}}')
        utf8 = [f"{kind}-jürgen" for kind in ("postfix", "exim")]
        several = [f"{kind}{more}" for kind in KINDS for more in ("", "-two", "-full", "-small")]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            made = [pool.submit(self.fill, relay, domains) for relay, domains in (
                (self.place, {"acme.example": several + utf8, "second.example": KINDS,
                              "good.example": KINDS,  # where bounces go
                              "other.example": KINDS}),
                (self.door, {"door.example": KINDS}), (self.fragile, {"fragile.example": KINDS}))]
            self.senders = {kind: stage.add(made(self.hosts[kind], self.sources[kind], resolver,
                                                 self.authority.certificate))
                            for kind, made in KINDS.items()}
        for one in made:
            one.result()
        for relay in (self.place, self.door, self.fragile):
            relay.start()

    @staticmethod
    def fill(relay, domains):
        """Domains with accounts, all of one tenant but other.example."""
        for tenant in ("acme", "other"):
            relay.cli("tenant", "add", tenant)
        for domain, accounts in domains.items():
            relay.cli("domain", "add", "other" if domain == "other.example" else "acme", domain,
                      "--hosted", "--active")
            for account in accounts:
                relay.cli("account", "add", f"{account}@{domain}")

    def zones(self):
        def mx(number):
            return f"@ MX 10 mx{number}.receiver.example.\n"
        own = " ".join(f"ip4:{address}" for address in ("127.0.0.1", *self.sources.values()))
        good = (mx(1) + f"@ {txt(f'v=spf1 {own} -all')}\n_dmarc {txt('v=DMARC1; p=reject')}\n"
                f"s1._domainkey {txt(KEY.record)}\n")
        for kind, address in self.sources.items():
            good += f"{kind} A {address}\n{kind} {txt(f'v=spf1 ip4:{address} -all')}\n"
        return {"good.example": good,
                "receiver.example": "".join(f"mx{n} A {self.block}.0.{n}\n" for n in (1, 2, 3)),
                **{f"{name}.example": mx(1) for name in ("acme", "second", "other")},
                "door.example": mx(2), "fragile.example": mx(3), "example": "",
                "127.in-addr.arpa": "".join(
                    f"{'.'.join(reversed(address.split('.')[1:]))} PTR {self.hosts[kind]}.\n"
                    for kind, address in self.sources.items())}

    def relay(self, stage, number, **settings):
        certificate, key = self.certificate
        settings = {"dns": f'{{servers: ["127.0.0.1:{self.nsd.port}"]}}', **settings}
        return stage.unstarted_ringpost(
            hostname=f"mx{number}.receiver.example",
            tls=f"{{certificate: {certificate}, key: {key}}}",
            listeners=f'[{{address: "{self.block}.0.{number}:25", service: inbound, '
                      f'tls: starttls}}]', **settings)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    import conftest
    if not namespace.possible():
        pytest.skip("nothing may be mounted here: mail servers beside the one that is installed")
    stage = conftest.Stage(tmp_path_factory.mktemp("senders"))
    with stage.stack:
        yield World(stage)


def each(*kinds):
    return pytest.mark.parametrize("kind", kinds or KINDS)


def files(relay, address):
    local, domain = address.split("@")
    local = "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in local)
    return sorted((relay.state_dir / "mail" / domain / local / "new").glob("*"))


def contents(relay, address):
    return [file.read_bytes() for file in files(relay, address)]


def wait_files(relay, address, count, sender):
    """Until there are as many: their contents. More would be one too many."""
    try:
        parts.wait_for(lambda: len(files(relay, address)) >= count, f"{count} files of {address}")
    except AssertionError as error:
        raise AssertionError(f"{error}, {len(files(relay, address))} there\n{sender.said()[-6000:]}"
                             f"\n{relay.tail()}") from None
    found = contents(relay, address)
    assert len(found) == count
    return found


def flush_until_gone(sender):
    def gone():
        if sender.waiting() == 0:
            return True
        sender.flush()
        return False
    try:
        parts.wait_for(gone, f"an empty queue of {sender.name}", pause=0.3)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{sender.said()[-6000:]}") from None


FIELD = re.compile(rb"([A-Za-z-]+):[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


def as_given(content, ours=("Return-Path", "Delivered-To", "Authentication-Results", "Received")):
    """What the sender was given: without the fields that we put on top, and its own Received."""
    at = 0
    for name in (*ours, "Received"):
        found = FIELD.match(content, at)
        assert found and found[1].decode() == name, (name, content[:2000])
        at = found.end()
    return content[at:]


def signed(message):
    return dkim.sign(message, b"s1", b"good.example", KEY.private,
                     canonicalize=(b"simple", b"simple")) + message


def message(kind, subject="hello", body=b"\r\nHello.\r\n", more=b""):
    """The body comes with the empty line before it."""
    return signed(f"From: Alice <{kind}@good.example>\r\nTo: bob@acme.example\r\n"
                  f"Subject: {subject}\r\nMessage-ID: <{subject}@good.example>\r\n"
                  f"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n".encode() + more + body)


MIME = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" \
       b"Content-Transfer-Encoding: 8bit\r\n"


def attachment():
    noise = base64.encodebytes(random.Random(3).randbytes(220_000)).replace(b"\n", b"\r\n")
    return (b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n',
            b"\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee there.\r\n--b\r\n"
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
            b'Content-Disposition: attachment; filename="noise.bin"\r\n\r\n' + noise + b"--b--\r\n")


def cases(kind):
    """Messages that can go wrong on the way: {subject: message}. Exim ends a header by an empty line,
    also where there is nothing behind it."""
    mime, body = attachment()
    made = {
        "plain": {},
        "eight-bit": {"body": b"\r\n" + "Grüße, 日本語\r\n".encode() + bytes(range(160, 256)) + b"\r\n",
                      "more": MIME},
        "dots": {"body": b"\r\n.\r\n..\r\n...\r\n. \r\n.x\r\n.\r\n\r\n.\r\n"},
        "long-lines": {"body": b"\r\n" + b"".join(c * 998 + b"\r\n" for c in (b"x", b".", b" ", b"y")),
                       "more": b"X-Long: " + b"h" * 989 + b"\r\n"},
        "white-space": {"body": b"\r\n\r\n\r\n trailing  \r\n\ttab\t\r\nFrom here\r\n>From there\r\n\r\n"
                                b"\r\n\r\n"},
        "folded": {"more": b"X-Folded: a\r\n b\r\n\tc \r\nx-lower:no space\r\nX-Empty:\r\n"},
        "header": {"body": b""},
        "empty": {"body": b"\r\n"},
        "attachment": {"body": body, "more": mime},
    }
    if kind == "exim":
        del made["header"]
    return {subject: message(kind, subject, **parts_of) for subject, parts_of in made.items()}


def assert_same(found, wanted):
    found = {re.search(rb"(?m)^Subject: (\S+)\r$", one)[1].decode(): one for one in found}
    changed = {subject: (found.get(subject, b"")[-300:], content[-300:])
               for subject, content in wanted.items() if found.get(subject) != content}
    assert not changed and found.keys() == wanted.keys()


def message_id(content):
    return re.search(r"\bid ([^\s;]+)", inbound.field(content, "Received")[0])[1]


def verdicts(relay, *found):
    """What the `received` events of messages that were filed say."""
    ids = [message_id(content) for content in found]

    def told():
        events = {event["id"]: event for event in relay.events(kind="received")}
        return [events[one] for one in ids] if events.keys() >= set(ids) else None
    return [{check["check"]: check["result"] for check in event["checks"]}
            for event in parts.wait_for(told, f"the events of {ids}")]


PASSED = {"spf": "pass", "helo": "pass", "dkim": "pass", "dmarc": "pass", "arc": "none", "iprev": "pass"}


@each()
def test_mail_is_filed_as_it_was_given(world, kind):
    sender, wanted = world.senders[kind], cases(kind)
    for content in wanted.values():
        options = ["BODY=8BITMIME"] if b"8bit" in content else []
        sender.give(content, f"{kind}@acme.example", sender=f"{kind}@good.example", options=options)
    found = wait_files(world.place, f"{kind}@acme.example", len(wanted), sender)
    assert_same([as_given(content) for content in found], wanted)
    for content in found:
        received = inbound.field(content, "Received")[0]
        assert re.search(rf"from {world.hosts[kind]} \(\[{world.sources[kind]}\]\) "
                         r".* with ESMTPS tls TLS_\w+ id ", received), received
    assert verdicts(world.place, *found) == [PASSED] * len(wanted)
    flush_until_gone(sender)


@each("exim")
def test_chunks(world, kind):
    """Exim sends by BDAT where it may, and by DATA to second.example."""
    sender, wanted = world.senders[kind], cases(kind)
    for content in wanted.values():
        sender.give(content, f"{kind}@second.example", sender=f"{kind}@good.example")
    found = wait_files(world.place, f"{kind}@second.example", len(wanted), sender)
    assert_same([as_given(content) for content in found], wanted)
    lines = [line for line in sender.said().splitlines() if " => " in line]
    by_data = [line for line in lines if "@second.example" in line]
    assert len(by_data) == len(wanted) and not [line for line in by_data if " K " in line]
    others = [line for line in lines if "@acme.example" in line]
    assert others and all(" K " in line for line in others)


@each("postfix", "exim")
def test_last_line_without_an_end(world, kind):
    """Given in a chunk, as DATA cannot; the sender's spool gives it its end."""
    sender, content = world.senders[kind], message(kind, body=b"\r\nHello.\r\n.no end")
    before = len(files(world.place, f"{kind}-two@acme.example"))
    with sender.smtp() as smtp:
        assert smtp.mail(f"{kind}@good.example")[0] == 250
        assert smtp.rcpt(f"{kind}-two@acme.example")[0] == 250
        smtp.send(b"BDAT %d LAST\r\n%s" % (len(content), content))
        assert smtp.getreply()[0] == 250
    found = wait_files(world.place, f"{kind}-two@acme.example", before + 1, sender)
    assert content + b"\r\n" in [as_given(one) for one in found]


@each()
def test_many_recipients(world, kind):
    """Of two domains, and of a third whose tenant is another: that is put off, and comes again."""
    sender, content = world.senders[kind], message(kind, "many")
    to = {address: len(files(world.place, address)) for address in (
        f"{kind}@acme.example", f"{kind}-two@acme.example", f"{kind}@second.example",
        f"{kind}@other.example")}
    sender.give(content, *to, sender=f"{kind}@good.example")
    flush_until_gone(sender)
    ids = {}
    for address, before in to.items():
        found = [one for one in wait_files(world.place, address, before + 1, sender)
                 if as_given(one) == content]
        assert len(found) == 1, address
        ids[address] = message_id(found[0])
    assert ids[f"{kind}@acme.example"] == ids[f"{kind}-two@acme.example"]  # one transaction
    assert ids[f"{kind}@acme.example"] != ids[f"{kind}@other.example"]


def wait_bounce(world, kind, *texts):
    """The sender's word to the author that it cannot deliver, with these texts."""
    address = f"{kind}@good.example"

    def bounce():
        for content in contents(world.place, address):
            text = re.sub(rb"\s+", b" ", content).decode(errors="replace")
            if all(wanted in text for wanted in texts):
                return content
        return None
    try:
        content = parts.wait_for(bounce, f"a bounce to {address}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {contents(world.place, address)}"
                             f"\n{world.senders[kind].said()[-6000:]}") from None
    assert content.startswith(b"Return-Path: <>\r\n")
    assert "ESMTPS" in inbound.field(content, "Received")[0]
    [checks] = verdicts(world.place, content)
    assert checks["spf"] == "pass" and checks["iprev"] == "pass", checks


@each()
def test_unknown_recipient_is_bounced(world, kind):
    sender, content = world.senders[kind], message(kind, "unknown")
    known = f"{kind}-two@acme.example"
    before = len(files(world.place, known))
    sender.give(content, f"{kind}-nobody@acme.example", known, sender=f"{kind}@good.example")
    wait_bounce(world, kind, f"{kind}-nobody@acme.example", "550 5.1.1 ")
    assert content in [as_given(one) for one in wait_files(world.place, known, before + 1, sender)]
    flush_until_gone(sender)


def rcpt(world, relay_number, to, size=0):
    """What RCPT is told now."""
    with smtplib.SMTP(f"{world.block}.0.{relay_number}", 25, timeout=parts.PATIENCE) as smtp:
        smtp.ehlo("client.good.example")
        smtp.mail("alice@good.example", [f"SIZE={size}"] if size else [])
        return smtp.rcpt(to)[0]


@each()
def test_full_mailbox_is_tried_again(world, kind):
    sender, relay, address = world.senders[kind], world.place, f"{kind}-full@acme.example"
    sender.give(message(kind, "first", body=b"\r\n" + b"x\r\n" * 4000), address,
                sender=f"{kind}@good.example")
    wait_files(relay, address, 1, sender)
    relay.cli("account", "set", address, "--quota", "8KiB")
    parts.wait_for(lambda: rcpt(world, 1, address) == 452, "a full mailbox")
    content = message(kind, "second")
    sender.give(content, address, sender=f"{kind}@good.example")
    parts.wait_for(lambda: "452 4.2.2" in sender.said(), f"{sender.name} to be told")
    sender.flush()
    assert sender.waiting() == 1 and len(files(relay, address)) == 1
    relay.cli("account", "set", address, "--quota", "none")
    parts.wait_for(lambda: rcpt(world, 1, address) == 250, "room")
    flush_until_gone(sender)
    assert content in [as_given(one) for one in wait_files(relay, address, 2, sender)]


@each()
def test_larger_than_a_mailbox_is_bounced(world, kind):
    """OpenSMTPD does not say how large, and learns it at the end of its content."""
    sender, relay, address = world.senders[kind], world.place, f"{kind}-small@acme.example"
    relay.cli("account", "set", address, "--quota", "4KiB")
    parts.wait_for(lambda: rcpt(world, 1, address, 5000) == 552, "the quota")
    sender.give(message(kind, "large", body=b"\r\n" + b"x\r\n" * 2000), address,
                sender=f"{kind}@good.example")
    wait_bounce(world, kind, address, "552 5.2.2 ")
    flush_until_gone(sender)
    assert not files(relay, address)


@each()
def test_slow_door(world, kind):
    """The greeting waits, the first mail of a network is put off, and what is too large refused."""
    sender, relay, address = world.senders[kind], world.door, f"{kind}@door.example"
    content = message(kind, "door", body=b"\r\n" + b"x\r\n" * 15_000)
    sender.give(content, address, sender=f"{kind}@good.example")
    parts.wait_for(lambda: "451 4.7.1" in sender.said(), f"{sender.name} to be told")
    flush_until_gone(sender)
    [found] = wait_files(relay, address, 1, sender)
    assert as_given(found) == content
    assert verdicts(relay, found) == [PASSED]
    sender.give(message(kind, "large", body=b"\r\n" + b"x\r\n" * SMALL), address,
                sender=f"{kind}@good.example")
    wait_bounce(world, kind, address, {"opensmtpd": "message too large for peer"}.get(kind, "5.3.4 "))
    flush_until_gone(sender)
    assert len(files(relay, address)) == 1
    # Nobody was taken for one who talks before the greeting.
    assert "554 5.5.0" not in sender.said() + relay.log.read_text()


@each()
def test_kill_in_the_middle(world, kind):
    """While the content is there and not answered; and when it was answered a moment ago."""
    sender, relay, address = world.senders[kind], world.fragile, f"{kind}@fragile.example"
    mime, body = attachment()
    content = message(kind, "middle", body=body, more=mime)
    world.names.unanswered, world.names.is_silent = 0, True
    try:
        sender.give(content, address, sender=f"{kind}@good.example")
        parts.wait_for(lambda: world.names.unanswered, "a key to be looked up")
        relay.kill()
    finally:
        world.names.is_silent = False
    relay.start()
    flush_until_gone(sender)
    [found] = wait_files(relay, address, 1, sender)
    assert as_given(found) == content
    last = message(kind, "last")
    sender.give(last, address, sender=f"{kind}@good.example")
    parts.wait_for(lambda: sender.waiting() == 0, f"{sender.name} to be told 250", pause=0.01)
    relay.kill()
    relay.start()
    assert last in [as_given(one) for one in wait_files(relay, address, 2, sender)]
    relay.wait_empty()
    assert len(files(relay, address)) == 2


@each("postfix", "exim")
def test_addresses_in_utf8(world, kind):
    sender, address = world.senders[kind], f"{kind}-jürgen@acme.example"
    content = message(kind, "utf8", more="X-From: Jörg <jörg@good.example>\r\n".encode())
    sender.give(content, address, sender="jörg@good.example",
                options=["SMTPUTF8", "BODY=8BITMIME"])
    [found] = wait_files(world.place, address, 1, sender)
    assert as_given(found) == content
    assert "with UTF8SMTPS " in inbound.field(found, "Received")[0]
    assert verdicts(world.place, found) == [PASSED]
