"""Mail from the world for hosted domains: who gets it, what is checked, what is refused and why."""

import re
import socket

import authres
import dkim
import inbound
import names
import parts
import pytest
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


def test_names_are_not_found_by_trying(place):
    with place.smtp() as smtp:
        smtp.mail("alice@good.example")
        codes = [smtp.rcpt(f"user{i}@acme.example")[0] for i in range(4)]
        assert codes == [550] * 4
    rejected = place.relay.wait_events(1, kind="rejected", recipient="user3@acme.example")[0]
    assert rejected["rule"] == "recipient" and rejected["reply"]["enhanced"] == "5.1.1"
    assert rejected["client"]["service"] == "inbound"


def test_a_thousand_fields_and_more(place):
    many = b"".join(b"X-%d: y\r\n" % i for i in range(1500))
    assert b"X-1499: y\r\n" in place.take(inbound.message(more=many))
    for more in (b"".join(b"X-%d: y\r\n" % i for i in range(10000)), b"X: " + b"y" * 250_000 + b"\r\n"):
        code, text = place.send(inbound.message(more=more))
        assert (code, text.split()[0]) == (552, "5.3.4"), text


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
        assert b"554 5.5.0" in s.recv(4096)


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
    place = inbound.Inbound(stage, inbound='dmarc_exempt: ["strict.example"], spf_fail: refuse')
    code, text = place.send(inbound.message("alice@strict.example"), sender="alice@strict.example")
    assert (code, text.split()[0]) == (550, "5.7.23"), text
    place.relay.write_config(inbound='{forwarders: ["127.0.0.0/8"], spf_fail: refuse}')
    place.relay.cli("reload")
    place.take(inbound.message("alice@strict.example"), sender="alice@strict.example")


def test_configuration_is_judged(stage):
    port = parts.free_port()
    relay = stage.unstarted_ringpost(
        listeners=f'[{{address: "127.0.0.1:{port}", service: inbound, trust: ["127.0.0.0/8"]}}]')
    done = relay.cli("check", check=False)
    assert done.returncode != 0 and "trust: nobody is trusted" in done.stderr
