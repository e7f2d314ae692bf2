"""Mail from the world for hosted domains: who gets it, what is checked, what is refused and why."""

import contextlib
import re
import smtplib
import socket
import threading
import time

import authres
import dkim
import inbound
import names
import parts
import postfix
import pytest
from test_tls import certificate
from test_verify import Key, txt

HOST = inbound.HOST
KEY = Key("rsa")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One relay for all that do not change it."""
    import conftest
    stage = conftest.Stage(tmp_path_factory.mktemp("inbound"))
    zones = dict(inbound.ZONES)
    zones["signed.example"] = (f"s1._domainkey {txt(KEY.record)}\n"
                               f"_dmarc {txt('v=DMARC1; p=reject')}\n")
    with stage.stack:
        yield inbound.Inbound(stage, zones)


def results(content):
    """What our own field says: {method: [results]}."""
    ours = [value for value in inbound.field(content, "Authentication-Results")
            if value.startswith(HOST)]
    assert len(ours) == 1, content
    parsed = authres.AuthenticationResultsHeader.parse("Authentication-Results: " + ours[0])
    found = {}
    for result in parsed.results:
        found.setdefault(result.method, []).append(result.result)
    return found


def test_mail_is_taken_with_its_results(place):
    content = place.take(inbound.message())
    found = results(content)
    assert found["spf"] == ["pass", "none"]
    assert found["dkim"] == ["none"] and found["arc"] == ["none"]
    assert found["dmarc"] == ["pass"] and found["iprev"] == ["fail"]
    # Ours stand on top, above what came; nothing is added that the sender left out.
    fields = re.findall(rb"(?m)^([A-Za-z-]+):", content.split(b"\r\n\r\n")[0])
    assert fields == [b"Authentication-Results", b"Received", b"From", b"To", b"Subject",
                      b"Message-ID", b"Date"]
    [received] = inbound.field(content, "Received")
    assert "with ESMTP id" in received and f"by {HOST}" in received
    assert "for <bob@acme.example>" in received
    assert content.endswith(b"\r\n\r\nHello.\r\n")


def test_the_decision_is_told(place):
    """By event, trace and explain, of what was taken and of what was not."""
    code, text = place.send(inbound.message("alice@doubt.example"), sender="alice@doubt.example")
    message_id = text.split()[-1]
    [event] = place.relay.wait_events(1, kind="received", id=message_id)
    checks = {check["check"]: check for check in event["checks"]}
    assert checks["dmarc"] == {"check": "dmarc", "result": "fail", "weight": "tag",
                               "detail": "doubt.example policy=quarantine"}
    assert checks["spf"]["result"] == "fail" and checks["spf"]["weight"] is None
    assert event["client"]["service"] == "inbound" and event["tenant"] == "acme"
    ids = [e["event_id"] for e in place.relay.events(id=message_id)]
    assert len(set(ids)) == len(ids) == 2, ids  # accepted and received, of one record
    assert "dmarc=fail doubt.example policy=quarantine -> tag" in place.relay.cli(
        "trace", message_id).stdout
    assert "policy=quarantine" in place.relay.cli("queue", "explain", message_id).stdout
    place.send(inbound.message("alice@strict.example"), sender="eve@strict.example")
    parts.wait_for(lambda: [e for e in place.relay.events(kind="rejected")
                            if e["sender"] == "eve@strict.example"], "the refusal's event")
    [event] = [e for e in place.relay.events(kind="rejected") if e["sender"] == "eve@strict.example"]
    assert {c["check"]: c["weight"] for c in event["checks"]}["dmarc"] == "refuse"
    assert event["rule"] == "inbound.dmarc" and event["tenant"] == "acme"


def test_signatures_are_verified(place):
    message = inbound.message("alice@signed.example")
    signature = dkim.sign(message, b"s1", b"signed.example", KEY.private,
                          canonicalize=(b"relaxed", b"simple"))
    content = place.take(signature + message, sender="alice@plain.example")
    assert results(content)["dkim"] == ["pass"] and results(content)["dmarc"] == ["pass"]
    code, text = place.send(signature + message.replace(b"Hello", b"Hallo"),
                            sender="alice@plain.example")
    assert code == 550 and "signed.example" in text, text


def test_dmarc_is_followed(place):
    code, text = place.send(inbound.message("alice@strict.example"), sender="alice@strict.example")
    assert code == 550 and text.startswith("5.7.26 The DMARC policy of strict.example"), text
    sloppy = inbound.message("alice@strict.example").replace(b"From: Alice", b"From: Doe, Alice")
    code, text = place.send(sloppy, sender="alice@good.example")
    assert code == 550 and text.startswith("5.7.26 The DMARC policy of strict.example"), text
    content = place.take(inbound.message("alice@doubt.example"), sender="alice@doubt.example")
    assert inbound.field(content, "X-Spam") == ["Yes"]
    assert results(content)["dmarc"] == ["fail"]
    content = place.take(inbound.message("alice@plain.example"), sender="alice@plain.example")
    assert inbound.field(content, "X-Spam") == []
    assert results(content)["dmarc"] == ["none"] and results(content)["spf"][0] == "fail"


def test_our_word_is_ours_alone(place):
    forged = (f"Authentication-Results: {HOST}; dmarc=pass\r\n"
              f"authentication-results: \"{HOST.upper()}\"\r\n ; spf=pass\r\n"
              "Authentication-Results: other.example; spf=pass\r\n"
              "X-Spam: No\r\nReturn-Path: <x@y.example>\r\n").encode()
    content = place.take(inbound.message("alice@plain.example", more=forged),
                         sender="alice@plain.example")
    assert results(content)["dmarc"] == ["none"]
    assert "other.example; spf=pass" in inbound.field(content, "Authentication-Results")
    assert inbound.field(content, "X-Spam") == [] == inbound.field(content, "Return-Path")


@pytest.mark.parametrize("to, code, enhanced", [
    ("bob@acme.example", 250, "2.1.5"),
    ("BOB+lists@ACME.Example", 250, "2.1.5"),
    ("team@acme.example", 250, "2.1.5"),
    ("postmaster@acme.example", 250, "2.1.5"),
    ("abuse@acme.example", 250, "2.1.5"),
    ("Postmaster", 250, "2.1.5"),
    ("abuse", 501, "5.1.3"),
    ("nobody@acme.example", 550, "5.1.1"),
    ("bob@elsewhere.example", 550, "5.7.1"),
    ("bob%elsewhere.example@acme.example", 550, "5.7.1"),
    ("elsewhere.example!bob@acme.example", 550, "5.7.1"),
    ('"bob@elsewhere.example"@acme.example', 550, "5.7.1"),
    ("@acme.example:bob@elsewhere.example", 550, "5.7.1"),
    ("bob@[127.0.0.1]", 550, "5.1.1"),
    ("../../../etc/passwd@acme.example", 501, "5.1.3"),
])
def test_recipients(place, to, code, enhanced):
    with place.smtp() as smtp:
        assert smtp.mail("alice@good.example")[0] == 250
        got, text = smtp.docmd("RCPT", f"TO:<{to}>")
        assert (got, text.decode().split()[0]) == (code, enhanced), text


def test_full_mailbox_is_told_at_rcpt(stage):
    place = inbound.Inbound(stage, directory=[("account", "add", "full@acme.example", "--quota", "4KiB"),
                                              ("alias", "add", "some@acme.example",
                                               "full@acme.example", "bob@acme.example")])
    place.relay.cli("queue", "resume", "--domain", "*")

    def rcpt(to, size):
        with place.smtp() as smtp:
            smtp.mail("alice@good.example", [f"size={size}"] if size else [])
            code, text = smtp.rcpt(to)
            return code, text.decode().split()[0]

    assert rcpt("full@acme.example", 4097) == (552, "5.2.2")
    assert rcpt("full@acme.example", 4096)[0] == 250
    assert rcpt("some@acme.example", 4097)[0] == 250
    assert place.send(inbound.message(body=b"x" * 3000 + b"\r\n"), to="full@acme.example")[0] == 250
    place.relay.wait_events(1, kind="filed")
    assert rcpt("full@acme.example", 2000) == (452, "4.2.2")
    assert rcpt("some@acme.example", 2000)[0] == 250
    assert rcpt("full@acme.example", 4097) == (552, "5.2.2")
    assert rcpt("full@acme.example", 100)[0] == 250
    place.relay.cli("account", "set", "full@acme.example", "--quota", "3KiB")
    parts.wait_for(lambda: rcpt("full@acme.example", 0) == (452, "4.2.2"), "the smaller quota")
    place.relay.cli("account", "set", "full@acme.example", "--quota", "none")
    parts.wait_for(lambda: rcpt("full@acme.example", 5000)[0] == 250, "no quota")
    # What a start does not know yet is counted for the first who asks.
    place.relay.cli("account", "set", "full@acme.example", "--quota", "3KiB")
    place.relay.kill()
    place.relay.start()
    assert rcpt("full@acme.example", 0)[0] in (250, 452)
    parts.wait_for(lambda: rcpt("full@acme.example", 0) == (452, "4.2.2"), "the count")


def test_names_are_not_found_by_trying(place):
    with place.smtp() as smtp:
        smtp.mail("alice@good.example")
        codes = [smtp.rcpt(f"user{i}@acme.example")[0] for i in range(4)]
        assert codes == [550] * 4
    rejected = place.relay.wait_events(1, kind="rejected", recipient="user3@acme.example")[0]
    assert rejected["rule"] == "recipient" and rejected["reply"]["enhanced"] == "5.1.1"
    assert rejected["client"]["service"] == "inbound"
    # That an answer took its time is no silence of the client's.
    assert place.relay.metrics()["ringpost_smtp_timeouts_total"] == 0


def test_a_thousand_fields_and_more(place):
    many = b"".join(b"X-%d: y\r\n" % i for i in range(1500))
    assert b"X-1499: y\r\n" in place.take(inbound.message(more=many))
    for more in (b"".join(b"X-%d: y\r\n" % i for i in range(10000)), b"X: " + b"y" * 250_000 + b"\r\n"):
        code, text = place.send(inbound.message(more=more))
        assert (code, text.split()[0]) == (552, "5.3.4"), text


def test_headers_that_were_held_back_are_given_back(place):
    """Refused ones: of what is taken the queue keeps its share of memory."""
    long = inbound.message(more=b"X: " + b"y" * 250_000 + b"\r\n")
    before = place.relay.metrics()["ringpost_mail_memory_bytes"]
    for _ in range(40):
        assert place.send(long)[0] == 552
    assert place.relay.metrics()["ringpost_mail_memory_bytes"] < before + (2 << 20)


def test_a_hundred_signatures(place):
    one = (b"DKIM-Signature: v=1; a=rsa-sha256; d=signed.example; s=s1; h=from; bh=AAAA; b=AAAA;\r\n")
    content = place.take(inbound.message(more=100 * one))
    assert len(results(content)["dkim"]) == 20


def test_large_mail_comes_whole(place):
    body = b"".join(b"%076d\r\n" % i for i in range(20_000))
    content = place.take(inbound.message(body=body))
    assert content.split(b"\r\n\r\n", 1)[1] == body


def test_commands_that_strangers_may_not_say(place):
    with place.smtp() as smtp:
        assert not smtp.has_extn("auth")
        assert smtp.docmd("AUTH PLAIN")[0] == 502
    with socket.create_connection(("127.0.0.1", place.port), 10) as s:
        s.sendall(b"EHLO x\r\nMAIL FROM:<a@good.example>\r\n")
        assert b"554 5.5.0" in s.makefile("rb").read()  # behind a greeting, or in its place


def test_tenant_that_is_disabled_has_its_mail_wait(stage):
    place = inbound.Inbound(stage)
    place.relay.cli("tenant", "disable", "acme")
    parts.wait_for(lambda: place.send(inbound.message())[0] == 450, "450 for the tenant's mail")


def test_dns_that_is_silent_delays_and_does_not_refuse(stage):
    liar = stage.add(names.Liar())
    place = inbound.Inbound(stage, dns=f'{{servers: ["127.0.0.1:{liar.port}"], timeout: 500ms}}',
                            inbound="verify_timeout: 1s")
    content = place.take(inbound.message())
    assert results(content)["spf"] == ["temperror", "temperror"]
    assert results(content)["dmarc"] == ["temperror"]
    place.relay.write_config(inbound="{verify_timeout: 1s, temperror: defer}")
    place.relay.cli("reload")
    code, text = place.send(inbound.message())
    assert (code, text.split()[0]) == (451, "4.4.3"), text


def test_accepted_is_there_after_a_kill(stage):
    place = inbound.Inbound(stage)
    code, text = place.send(inbound.message())
    assert code == 250
    place.relay.kill()
    place.relay.start()
    content = place.content(text.split()[-1])
    assert results(content)["dmarc"] == ["pass"]


def test_monitor_tells_and_does_nothing(stage):
    place = inbound.Inbound(stage, inbound="dmarc: monitor")
    content = place.take(inbound.message("alice@strict.example"), sender="alice@strict.example")
    assert results(content)["dmarc"] == ["fail"] and inbound.field(content, "X-Spam") == []


def test_overrides(stage):
    zones = {**inbound.ZONES, "signed.example": f"s1._domainkey {txt(KEY.record)}\n"
                                                f"_dmarc {txt('v=DMARC1; p=reject')}\n"}
    place = inbound.Inbound(stage, zones, inbound='dmarc_exempt: ["strict.example"], spf_fail: refuse')
    code, text = place.send(inbound.message("alice@strict.example"), sender="alice@strict.example")
    assert (code, text.split()[0]) == (550, "5.7.23"), text
    # Where DMARC passes by a signature, SPF's fail is only told.
    signed = inbound.message("alice@signed.example")
    signed = dkim.sign(signed, b"s1", b"signed.example", KEY.private) + signed
    assert results(place.take(signed, sender="alice@strict.example"))["dmarc"] == ["pass"]
    place.relay.write_config(inbound='{forwarders: ["127.0.0.0/8"], spf_fail: refuse}')
    place.relay.cli("reload")
    place.take(inbound.message("alice@strict.example"), sender="alice@strict.example")


def test_mail_without_an_author(stage):
    place = inbound.Inbound(stage, inbound="no_author: refuse")
    whole = inbound.message("alice@good.example")
    without = re.sub(rb"(?m)^From:.*\r\n", b"", whole)
    assert without != whole
    for content, detail in ((without, "no From field"), (b"From: undisclosed\r\n" + without, "no address in From"),
                            (b"From: \r\n" + without, "no address in From")):
        assert place.send(content) == (
            550, "5.7.1 The message has no From field with its author's address"), detail
        event = place.relay.wait_events(1, kind="rejected")[-1]
        check = {c["check"]: c for c in event["checks"]}["author"]
        assert (check["result"], check["weight"]) == ("none", "refuse") and event["rule"] == "inbound.no_author"
    events = place.relay.wait_events(3, kind="rejected")
    assert sorted({c["check"]: c for c in e["checks"]}["author"]["detail"] for e in events) == [
        "no From field", "no address in From", "no address in From"]
    assert place.send(whole)[0] == 250
    assert place.send(b"From: x@[192.0.2.1]\r\n" + without)[0] == 250
    for action, spam in (("tag", ["Yes"]), ("accept", [])):
        place.relay.write_config(inbound=f"{{no_author: {action}}}")
        place.relay.cli("reload")
        assert inbound.field(place.take(without), "X-Spam") == spam


def sealed(results, sender="alice@strict.example"):
    """A message as signed.example forwards it, with what it says it found."""
    message = f"Authentication-Results: fwd.example; {results}\r\n".encode() + inbound.message(sender)
    fields = dkim.arc_sign(message, b"s1", b"signed.example", KEY.private, b"fwd.example",
                           timestamp=int(time.time()))
    return b"".join(fields) + message


def test_forwarders_that_seal(stage):
    zones = {**inbound.ZONES, "signed.example": f"s1._domainkey {txt(KEY.record)}\n"}
    place = inbound.Inbound(stage, zones, inbound='arc_sealers: ["signed.example"]')
    said = "spf=pass smtp.mailfrom=strict.example; dmarc=pass header.from=strict.example"
    code, text = place.send(sealed(said), sender="list@plain.example")
    assert code == 250, text
    [event] = place.relay.wait_events(1, kind="received", id=text.split()[-1])
    checks = {check["check"]: check for check in event["checks"]}
    assert checks["arc"]["result"] == "pass"
    assert checks["dmarc"]["detail"] == "strict.example policy=reject override=arc"
    for said in ('dmarc=fail header.from=strict.example',
                 'dmarc=fail reason="x; dmarc=pass" header.from=strict.example',
                 'dmarc=fail (was ; dmarc=pass) header.from=strict.example'):
        code, text = place.send(sealed(said), sender="list@plain.example")
        assert (code, text.split()[0]) == (550, "5.7.26"), (said, text)
    place.relay.write_config(inbound='{arc_sealers: ["other.example"]}')
    place.relay.cli("reload")
    code, text = place.send(sealed("dmarc=pass header.from=strict.example"),
                            sender="list@plain.example")
    assert code == 550, text


def test_postfix_sends(stage):
    """Under TLS, pipelined, with a recipient that nobody is; its bounce goes nowhere from here."""
    crt, key = certificate(stage.directory, "tls", HOST)
    place = inbound.Inbound(stage, settings={"tls": f"{{certificate: {crt}, key: {key}}}"},
                            tls="starttls")
    sender = stage.add(postfix.Postfix(main=(
        f"virtual_mailbox_domains =\nrelayhost = [127.0.0.1]:{place.port}\n"
        "smtp_tls_security_level = encrypt\nsmtp_helo_name = client.good.example\n")))
    body = "Grüße.\r\n.\r\n..\r\n".encode() + b"x" * 900 + b"\r\n"
    message = inbound.message(more=b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"
                                   b"Content-Type: text/plain; charset=utf-8\r\n", body=body)
    with smtplib.SMTP("127.0.0.1", sender.ports["plain"], timeout=parts.PATIENCE) as smtp:
        smtp.sendmail("alice@good.example", ["bob@acme.example", "nobody@acme.example",
                                             "team@acme.example"], message)
    accepted = place.relay.wait_events(2, kind="accepted")
    assert {e["recipient"] for e in accepted} == {"bob@acme.example", "team@acme.example"}
    parts.wait_for(lambda: "550 5.1.1" in sender.log.read_text(errors="replace"), "Postfix's bounce")
    content = place.content(accepted[0]["id"])
    assert results(content)["spf"][0] == "pass" and results(content)["dmarc"] == ["pass"]
    assert "with ESMTPS" in inbound.field(content, "Received")[0]
    assert content.endswith(b"\r\n\r\n" + body)


def test_postfix_tries_again_what_is_put_off(stage):
    place = inbound.Inbound(stage, inbound="greylist: 2s")
    sender = stage.add(postfix.Postfix(main=(
        f"virtual_mailbox_domains =\nrelayhost = [127.0.0.1]:{place.port}\n"
        "minimal_backoff_time = 2s\nmaximal_backoff_time = 3s\nqueue_run_delay = 2s\n")))
    with smtplib.SMTP("127.0.0.1", sender.ports["plain"], timeout=parts.PATIENCE) as smtp:
        smtp.sendmail("alice@good.example", ["bob@acme.example"], inbound.message())
    place.relay.wait_events(1, kind="received")
    assert "451 4.7.1" in sender.log.read_text(errors="replace")


def test_kills_lose_nothing_that_was_answered(stage):
    """Senders go on while the program is killed again and again: what got its 250 is there."""
    place = inbound.Inbound(stage)
    answered, is_over = [], threading.Event()

    def send():
        number = 0
        while not is_over.is_set():
            number += 1
            with contextlib.suppress(OSError, smtplib.SMTPException):
                code, text = place.send(inbound.message(), sender="alice@good.example")
                if code == 250:
                    answered.append(text.split()[-1])
            time.sleep(0.01)

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for _ in range(4):
        time.sleep(1)
        place.relay.kill()
        place.relay.start()
    is_over.set()
    for sender in senders:
        sender.join()
    assert len(answered) > 20
    place.relay.wait_events(len(answered), kind="received")
    told = {e["id"] for e in place.relay.events(kind="received")}
    assert set(answered) <= told
    assert {e["id"] for e in place.relay.events(kind="accepted")} == told


def test_answers_of_64_kilobytes(stage):
    """A name server whose TXT records fill its answers: bounded, and the mail is taken."""
    long = "".join(f"@ TXT {' '.join(['%s' % ('x' * 250)] * 30)}\n".replace("x" * 250, chr(97 + i) * 250)
                   for i in range(7))
    place = inbound.Inbound(stage, {**inbound.ZONES, "long.example": long})
    content = place.take(inbound.message("a@long.example"), sender="a@long.example")
    assert results(content)["spf"][0] in ("none", "permerror", "temperror")


LISTS = {**inbound.ZONES, "zen.example": "1.0.0.127 A 127.0.0.2\n",
         "sold.example": "* A 192.0.2.1\n", "angry.example": "1.0.0.127 A 127.255.255.254\n"}


def greeting(port, before=b"", host="127.0.0.1"):
    with socket.create_connection((host, port), 10) as s:
        s.sendall(before)
        return s.recv(4096).decode()


def test_lists_of_addresses(stage):
    place = inbound.Inbound(stage, LISTS, inbound='dnsbl: ["sold.example", "angry.example", "none.example"]')
    assert greeting(place.port).startswith("220 ")  # none of these says anything of an address
    for lists, said in (('"zen.example"', "554 5.7.1 Your address 127.0.0.1 is listed by zen.example"),
                        ('"zen.example defer"', "421 4.7.1 Your address 127.0.0.1 is listed by")):
        place.relay.write_config(inbound=f"{{dnsbl: [{lists}]}}")
        place.relay.cli("reload")
        assert greeting(place.port).startswith(said)
    place.relay.write_config(inbound='{dnsbl: ["zen.example tag"]}')
    place.relay.cli("reload")
    code, text = place.send(inbound.message())
    assert inbound.field(place.content(text.split()[-1]), "X-Spam") == ["Yes"]
    [event] = place.relay.wait_events(1, kind="received", id=text.split()[-1])
    assert {"check": "dnsbl", "result": "listed", "weight": "tag",
            "detail": "zen.example"} in event["checks"]
    assert place.relay.metrics()["ringpost_inbound_listed_total"] == 3


def test_lists_that_are_silent_let_in(stage):
    liar = stage.add(names.Liar())
    place = inbound.Inbound(stage, dns=f'{{servers: ["127.0.0.1:{liar.port}"]}}',
                            inbound='dnsbl: ["zen.example"], iprev: refuse, door_timeout: 300ms')
    assert greeting(place.port).startswith("220 ")


def test_name_of_the_address(stage):
    place = inbound.Inbound(stage, inbound="iprev: refuse")  # the name there is does not lead back
    assert greeting(place.port).startswith("554 5.7.25 ")
    zones = {**inbound.ZONES}
    zones["good.example"] += "client A 127.0.0.1\n"
    place = inbound.Inbound(stage, zones, inbound="iprev: refuse")
    assert greeting(place.port).startswith("220 ")


def test_who_does_not_wait_for_the_greeting(stage):
    place = inbound.Inbound(stage, inbound="greet_delay: 1s")
    assert greeting(place.port, b"EHLO x\r\n").startswith("554 5.5.0 ")
    assert greeting(place.port).startswith("220 ")


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def test_proxies_say_for_whom(stage):
    zones = {**inbound.ZONES, "zen.example": "7.2.0.192 A 127.0.0.2\n"}
    place = inbound.Inbound(stage, zones, inbound='proxy: ["127.0.0.0/8"], dnsbl: ["zen.example"]')
    for header in (b"PROXY TCP4 192.0.2.7 127.0.0.1 1 25\r\n",
                   V2 + b"\x21\x11\0\x0c\xc0\0\2\7\x7f\0\0\1\0\1\0\x19"):
        assert "192.0.2.7 is listed" in greeting(place.port, header)
    for header in (b"PROXY UNKNOWN\r\n", V2 + b"\x20\0\0\0",
                   b"PROXY TCP4 192.0.2.8 127.0.0.1 1 25\r\n"):
        assert greeting(place.port, header).startswith("220 ")
    assert greeting(place.port, b"EHLO x\r\n") == ""
    with socket.create_connection(("127.0.0.1", place.port), 10) as s:
        file = s.makefile("rb")
        s.sendall(b"PROXY TCP6 2001:db8::9 ::1 1 25\r\n")
        assert file.readline().startswith(b"220 ")
        for line, code in ((b"HELO x", b"250"), (b"MAIL FROM:<a@plain.example>", b"250"),
                           (b"RCPT TO:<bob@acme.example>", b"250"), (b"DATA", b"354")):
            s.sendall(line + b"\r\n")
            assert file.readline().startswith(code)
        s.sendall(inbound.message("a@plain.example") + b".\r\n")
        message_id = file.readline().split()[-1].decode()
    [received] = inbound.field(place.content(message_id), "Received")
    assert "[IPv6:2001:db8::9]" in received


def test_who_is_new_comes_again(stage):
    place = inbound.Inbound(stage, inbound="greylist: 2s")
    assert place.send(inbound.message())[0] == 451
    code, text = place.send(inbound.message())
    assert code == 451 and text.startswith("4.7.1 You are new here"), text
    parts.wait_for(lambda: place.send(inbound.message())[0] == 250, "the second try to be taken",
                   pause=0.5)
    # The network is known from now on, whoever it writes for.
    assert place.send(inbound.message(), sender="carol@good.example", to="carol@acme.example")[0] == 250


def test_sessions_of_a_network(stage):
    place = inbound.Inbound(stage, inbound="sessions_per_network: 2")
    with place.smtp(), place.smtp():
        assert greeting(place.port).startswith("421 4.7.0 Too many sessions of your network")
    parts.wait_for(lambda: greeting(place.port).startswith("220 "), "room again")


def test_configuration_is_judged(stage):
    port = parts.free_port()
    relay = stage.unstarted_ringpost(
        listeners=f'[{{address: "127.0.0.1:{port}", service: inbound, trust: ["127.0.0.0/8"]}}]')
    done = relay.cli("check", check=False)
    assert done.returncode != 0 and "trust: nobody is trusted" in done.stderr
    for wrong in ('dnsbl: ["zen.example tags"]', 'dnsbl: ["[127.0.0.1]"]', "temperror: refuse",
                  "postmaster: nobody", 'proxy: ["127.0.0.1/8"]'):
        relay.write_config(listeners=f'[{{address: "127.0.0.1:{port}", service: inbound}}]',
                           inbound=f"{{{wrong}}}")
        assert relay.cli("check", check=False).returncode != 0, wrong
