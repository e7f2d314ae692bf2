"""Mail forwarded to addresses elsewhere: the sender rewritten, sealed, once, and back again."""

import json
import re
import smtplib
import subprocess
import time

import dkim
import inbound
import parts
import pytest
from test_verify import txt

MX = inbound.HOST


class Forwarder:
    """A relay that receives for acme.example, servers for everybody else, and who owns an alias."""

    def __init__(self, stage, aliases=(), accounts=(), act=None, **settings):
        self.stage = stage
        self.far = stage.receiver(act)
        self.origin = stage.receiver()
        routes = ", ".join(
            f'{{match: "{name}", to: ["127.0.0.1:{receiver.port}"]}}'
            for name, receiver in (("far.example", self.far), ("other.example", self.far),
                                   ("good.example", self.origin)))
        self.trusted = parts.free_port()
        own = dict(settings.pop("own", {}))
        self.port = parts.free_port()
        nsd = stage.nsd(inbound.ZONES)
        self.relay = stage.unstarted_ringpost(
            hostname=MX, dns=f'{{servers: ["127.0.0.1:{nsd.port}"]}}', routes=f"[{routes}]",
            listeners=f'[{{address: "127.0.0.1:{self.port}", service: inbound}}, '
                      f'{{address: "127.0.0.1:{self.trusted}", service: submission, '
                      f'trust: ["127.0.0.0/8"], tenant: acme}}]', **own)
        self.relay.port = self.trusted
        for command in (("tenant", "add", "acme"),
                        ("domain", "add", "acme", "acme.example", "--hosted", "--active"),
                        *(("account", "add", *account.split()) for account in accounts),
                        *(("alias", "add", *alias) for alias in aliases)):
            self.relay.cli(*command)
        self.relay.start()

    def send(self, content=None, to="away@acme.example", sender="alice@good.example", options=(),
             rcpt_options=()):
        """The reply to the content, or the first that refused."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=parts.PATIENCE) as smtp:
            smtp.ehlo("client.good.example")
            code, text = smtp.mail(sender, list(options))
            for address in [to] if isinstance(to, str) else to:
                if code == 250:
                    code, text = smtp.rcpt(address, list(rcpt_options))
            if code == 250:
                code, text = smtp.data(content or inbound.message(sender or "x@good.example"))
            return code, text.decode()

    def take(self, *args, **kwargs):
        code, text = self.send(*args, **kwargs)
        assert code == 250, (code, text)
        return text.split()[-1]

    def arrived(self, receiver, count=1):
        parts.wait_for(lambda: len(receiver.messages) >= count, f"{count} messages")
        time.sleep(0.3)  # for one that must not come
        assert len(receiver.messages) == count
        return receiver.messages[-1]

    def files(self, local, domain="acme.example"):
        return sorted((self.relay.state_dir / "mail" / domain / local / "new").glob("*"))

    def keys(self):
        shown = json.loads(self.relay.cli("domain", "show", "acme.example", "--json").stdout)
        return {record["name"]: record["value"] for record in shown["records"]
                if record["purpose"] == "dkim"}

    def events(self, message_id, kind=None):
        return self.relay.events(id=message_id, kind=kind)

    def final(self, message_id):
        [event] = parts.wait_for(lambda: [e for e in self.events(message_id) if e["kind"] in (
            "delivered", "filed", "bounced", "expired")], "an end")
        return event


AWAY = ("away@acme.example", "carol@far.example")
BOUNCE = b"From: MAILER-DAEMON@far.example\r\nSubject: Undelivered\r\n\r\nNo such user.\r\n"


def srs(sender):
    found = re.fullmatch(r"SRS0=([a-z2-7]{8})=([a-z2-7]{2})=good\.example=alice@acme\.example", sender)
    assert found, sender
    return sender


def verify_arc(forwarder, content):
    """By our own verifier and by dkimpy, with the keys that the domain publishes."""
    keys = forwarder.keys()
    zone = "".join(f"{name[:-len('.acme.example')].rstrip('.')} {txt(value)}\n"
                   for name, value in keys.items())
    nsd = forwarder.stage.nsd({"acme.example": zone, "example": ""})
    config = forwarder.stage.directory / "verify.yaml"
    config.write_text(f'hostname: {MX}\nstate_dir: {forwarder.stage.directory}/none\n'
                      'listeners: [{address: "127.0.0.1:2525", service: submission}]\n'
                      f'dns: {{servers: ["127.0.0.1:{nsd.port}"]}}\n')
    done = subprocess.run([parts.PROGRAM, "-c", config, "verify", "--json", "-"], input=content,
                          capture_output=True, timeout=parts.PATIENCE, check=True)
    cv, _, reason = dkim.arc_verify(
        content, dnsfunc=lambda name, timeout=5: keys.get(name.decode().rstrip("."), "").encode())
    return json.loads(done.stdout)["arc"]["result"], cv.decode(), reason


def test_an_alias_elsewhere_gets_a_sealed_copy(stage):
    f = Forwarder(stage, [AWAY])
    sent = inbound.message()
    message_id = f.take(sent)
    got = f.arrived(f.far)
    srs(got.sender)
    assert got.to() == ["carol@far.example"]
    assert got.content.endswith(sent)  # byte for byte
    names = re.findall(rb"(?m)^([A-Za-z-]+):", got.content.split(b"\r\n\r\n")[0])
    assert names[:6] == [b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results",
                         b"Delivered-To", b"Authentication-Results", b"Received"], names
    assert inbound.field(got.content, "Delivered-To") == ["away@acme.example"]
    assert inbound.field(got.content, "ARC-Authentication-Results")[0].startswith(f"i=1; {MX};")
    assert "cv=none" in inbound.field(got.content, "ARC-Seal")[0]
    ours, theirs, reason = verify_arc(f, got.content)
    assert ours == "pass" and theirs == "pass", reason
    # What the events tell: who was forwarded to where, as what.
    final = f.final(message_id)
    assert final["kind"] == "delivered" and final["rule"] == "alias"
    assert final["recipient"] == "away@acme.example" and final["reply"]["from"] == "relay"
    [told] = f.events(message_id, "forwarded")
    assert told["recipient"] == "away@acme.example" and told["sender"] == "alice@good.example"
    checks = {c["check"]: c for c in told["checks"]}
    copy_id = checks["forward"]["result"]
    assert told["reply"]["text"] == f"sent on to carol@far.example as {copy_id}"
    assert checks["srs"]["result"] == "rewritten"
    assert checks["arc"] == {"check": "arc", "result": "sealed", "weight": None,
                             "detail": "acme.example"}
    [accepted] = f.events(copy_id, "accepted")
    assert accepted["client"]["service"] == "forward" and accepted["tenant"] == "acme"
    assert accepted["client"]["session"] == message_id and accepted["sender"] == got.sender
    assert f.relay.metrics()['ringpost_arc_messages_total{result="sealed"}'] == 1
    assert "forwarded" in f.relay.cli("trace", message_id).stdout
    f.relay.wait_empty()
    assert f.relay.cli("events", "audit").returncode == 0


def test_a_chain_of_arc_is_lengthened(stage):
    """One forwarder to another: the second seals what the first has sealed, and both hold."""
    f = Forwarder(stage, [AWAY])
    f.take()
    first = f.arrived(f.far).content
    keys = f.keys()
    nsd = stage.nsd({**inbound.ZONES, "acme.example": "".join(
        f"{name[:-len('.acme.example')]} {txt(value)}\n" for name, value in keys.items())})
    f.relay.write_config(dns=f'{{servers: ["127.0.0.1:{nsd.port}"]}}')
    f.relay.stop()
    f.relay.start()
    f.relay.cli("alias", "add", "again@acme.example", "carol@far.example")
    time.sleep(1.5)
    f.take(first, to="again@acme.example")
    got = f.arrived(f.far, 2).content
    assert [v.split(";")[0] for v in inbound.field(got, "ARC-Authentication-Results")] == ["i=2", "i=1"]
    assert "cv=pass" in inbound.field(got, "ARC-Seal")[0]
    ours, theirs, reason = verify_arc(f, got)
    assert ours == "pass" and theirs == "pass", reason


def test_large_content_is_forwarded_whole(stage):
    f = Forwarder(stage, [AWAY])
    body = b"".join(b"%060d\r\n" % i for i in range(50000))  # 3 MB: read from the spool in pieces
    sent = inbound.message(body=body)
    f.take(sent)
    got = f.arrived(f.far)
    assert got.content.endswith(sent)
    ours, theirs, reason = verify_arc(f, got.content)
    assert ours == "pass" and theirs == "pass", reason


def test_a_bounce_comes_back_to_the_origin(stage):
    """The next server bounces by mail to the rewritten sender; it is taken at the door and goes to
    the original one, with the null path."""
    f = Forwarder(stage, [AWAY])
    f.take()
    address = srs(f.arrived(f.far).sender)
    message_id = f.take(BOUNCE, to=address.upper(), sender="")
    back = f.arrived(f.origin)
    assert back.sender == "" and back.to() == ["ALICE@GOOD.EXAMPLE"]
    assert back.content.endswith(BOUNCE)
    assert f.final(message_id)["rule"] == "srs"


def test_a_failure_of_ours_comes_back_to_the_origin(stage):
    """The next server refuses the copy: our notification takes the same way."""
    def act(_session, stage_of, _line):
        return "550 5.1.1 nobody" if stage_of == "rcpt" else None

    f = Forwarder(stage, [AWAY], act=act)
    f.take()
    back = f.arrived(f.origin)
    assert back.sender == "" and back.to() == ["alice@good.example"]
    assert b"Original-Recipient: rfc822;away@acme.example" in back.content
    assert b"Final-Recipient: rfc822;carol@far.example" in back.content


def test_forged_and_old_return_paths_are_refused(stage):
    f = Forwarder(stage, [AWAY])
    f.take()
    address = srs(f.arrived(f.far).sender)
    changed = address[:5] + ("a" if address[5] != "a" else "b") + address[6:]
    for forged in (changed, address.replace("alice", "eve"), "SRS0=a@acme.example",
                   "SRS1=aaaaaaaa=x.example==a=b=c.example=d@acme.example"):
        code, text = f.send(BOUNCE, to=forged, sender="")
        assert (code, text.split()[0]) == (550, "5.7.1"), forged
    code, text = f.send(BOUNCE, to=address.replace("acme.example", "far.example"), sender="")
    assert code == 550 and text.startswith("5.7.1")
    # Handed in by the tenant itself: it bounces from the queue.
    message_id = f.relay.submit(changed, sender="app@acme.example")
    assert f.final(message_id)["reply"]["enhanced"] == "5.7.1"


def test_the_null_sender_stays_null(stage):
    f = Forwarder(stage, [AWAY])
    message_id = f.take(BOUNCE, sender="")
    assert f.arrived(f.far).sender == ""
    f.final(message_id)
    [told] = f.events(message_id, "forwarded")
    assert {c["check"]: c["result"] for c in told["checks"]}["srs"] == "null"


def test_mail_of_our_own_tenants_is_not_sealed(stage):
    """It has no results of checks, and its own signature."""
    f = Forwarder(stage, [AWAY])
    f.relay.submit("away@acme.example", sender="app@acme.example")
    content = f.arrived(f.far).content
    assert inbound.field(content, "ARC-Seal") == []
    assert len(inbound.field(content, "DKIM-Signature")) > 0


def test_a_mixed_alias_and_a_chain(stage):
    """Some here, some elsewhere, by an alias of an alias; each once, also when one is full."""
    f = Forwarder(stage, [("away@acme.example", "carol@far.example", "dave@other.example"),
                          ("all@acme.example", "bob@acme.example", "away@acme.example",
                           "full@acme.example")],
                  accounts=("bob@acme.example", "full@acme.example --quota 8KiB"))
    filler = f.relay.submit("full@acme.example", sender="app@acme.example", body="x" * 900 + "\r\n" + "x" * 900 + ("\r\n" + "x" * 900) * 4)
    f.relay.wait_events(1, id=filler, kind="filed")
    message_id = f.take(to="all@acme.example", content=inbound.message(body=(b"y" * 500 + b"\r\n") * 6))
    f.relay.wait_events(2, id=message_id, kind="deferred")  # tried again, and nothing sent twice
    got = f.arrived(f.far)
    assert sorted(got.to()) == ["carol@far.example", "dave@other.example"]
    assert len(f.files("bob")) == 1
    assert len(f.events(message_id, "forwarded")) == 1
    assert json.loads(f.relay.cli("queue", "explain", message_id, "--json").stdout.splitlines()[0])[
        "forwarded"] is True
    f.relay.kill()
    f.relay.start()
    f.relay.wait_events(4, id=message_id, kind="deferred")
    f.relay.cli("account", "set", "full@acme.example", "--quota", "1MiB")
    assert f.final(message_id)["kind"] == "filed"
    f.arrived(f.far)
    assert len(f.files("bob")) == 1
    f.relay.wait_empty()
    assert f.relay.cli("events", "audit").returncode == 0


def test_what_senders_asked_of_success(stage):
    """RFC 3461 section 5.2.7: one address is asked itself; several are told as expanded."""
    f = Forwarder(stage, [AWAY, ("two@acme.example", "carol@far.example", "dave@far.example")])
    ask = dict(options=["RET=HDRS", "ENVID=e1"],
               rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first@good.example"])
    f.take(**ask)
    got = f.arrived(f.far)
    assert "RET=HDRS" in got.sender_parameters and "ENVID=e1" in got.sender_parameters
    [(_, parameters)] = got.recipients
    assert "NOTIFY=SUCCESS,FAILURE" in parameters
    assert "ORCPT=rfc822;first@good.example" in parameters
    f.take(to="two@acme.example", **ask)
    parts.wait_for(lambda: sum(len(m.recipients) for m in f.far.messages) == 3, "both")
    for _, parameters in f.far.messages[-1].recipients:
        assert "NOTIFY=FAILURE" in parameters
    told = f.arrived(f.origin)
    assert told.sender == "" and b"Action: expanded" in told.content
    assert b"Final-Recipient: rfc822;two@acme.example" in told.content


def test_loops_end(stage):
    f = Forwarder(stage, [AWAY])
    message_id = f.take(inbound.message(more=b"Delivered-To: Away@ACME.example\r\n"))
    final = f.final(message_id)
    assert final["kind"] == "bounced" and final["reply"]["enhanced"] == "5.4.6"
    assert final["rule"] == "forward-loop"
    assert b"5.4.6" in f.arrived(f.origin).content
    assert f.far.messages == []
    # Another alias' field is no loop.
    f.take(inbound.message(more=b"Delivered-To: far@acme.example\r\n"))
    f.arrived(f.far)


def test_a_real_loop_ends(stage):
    """Two servers whose aliases lead to each other: the far one sends everything back."""
    f = Forwarder(stage, [AWAY], own={"inbound": "{dmarc: monitor}"})
    sent = []

    def turn_around():
        while len(f.far.messages) > len(sent):
            message = f.far.messages[len(sent)]
            sent.append(f.send(message.content, sender=message.sender))

    f.take()
    f.arrived(f.far)
    turn_around()
    assert sent[0][0] == 250
    final = f.final(sent[0][1].split()[-1])
    assert final["reply"]["enhanced"] == "5.4.6"
    # The bounce goes to our rewritten sender's sender: back to where it began.
    assert f.arrived(f.origin).to() == ["alice@good.example"]
    assert len(f.far.messages) == 1


def test_too_many_hops_are_not_forwarded(stage):
    f = Forwarder(stage, [AWAY], own={"limits": "{received: 5}"})
    message_id = f.take(inbound.message(more=b"Received: x\r\n" * 5))  # ours is one more
    final = f.final(message_id)
    assert final["reply"]["enhanced"] == "5.4.6" and final["rule"] == "limits.received"
    f.take(inbound.message(more=b"Received: x\r\n" * 4))
    f.arrived(f.far)


@pytest.mark.parametrize("round", range(3))
def test_a_crash_forwards_once(stage, round):
    """kill -9 while many are on their way: every one arrives at the far server, none is in the
    spool twice."""
    f = Forwarder(stage, [AWAY, ("mixed@acme.example", "bob@acme.example", "carol@far.example")],
                  accounts=("bob@acme.example",))
    ids = []
    for i in range(40):
        ids.append(f.take(inbound.message(body=b"number %d\r\n" % i),
                          to=("away@acme.example", "mixed@acme.example")[i % 2]))
        if i in (9 + round, 19 + 3 * round, 33):
            time.sleep(0.003 * round)
            f.relay.kill()
            f.relay.start()
    f.relay.wait_empty()
    made = {}
    for event in f.relay.events(kind="forwarded"):
        made.setdefault(event["id"], set()).add(event["event_id"])
    assert set(made) == set(ids) and all(len(events) == 1 for events in made.values())
    accepted = {e["id"] for e in f.relay.events(kind="accepted")
                if e["client"]["service"] == "forward"}
    assert len(accepted) == 40  # copies that the spool took over
    assert len({re.search(rb"number (\d+)", m.content)[1] for m in f.far.messages}) == 40
    assert len(f.files("bob")) == 20
    assert f.relay.cli("events", "audit").returncode == 0


def test_the_secret_is_nobodys(stage):
    f = Forwarder(stage, [AWAY])
    key = f.relay.state_dir / "keys" / "srs.key"
    assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_text().split()) == 1
    f.take()
    address = srs(f.arrived(f.far).sender)
    # A new one before it; what the old one made still comes back.
    f.relay.stop()
    key.write_text("another secret that is long enough\n" + key.read_text())
    f.relay.start()
    assert f.send(BOUNCE, to=address, sender="")[0] == 250
    f.arrived(f.origin)
    f.relay.stop()
    key.write_text("another secret that is long enough\n")
    f.relay.start()
    assert f.send(BOUNCE, to=address, sender="")[0] == 550
