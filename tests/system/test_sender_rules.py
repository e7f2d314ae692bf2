"""What a tenant says of senders: whose mail it takes whatever is said of it, and whose it never takes."""

import json

import inbound
import parts
import pytest
from test_rspamd import Scanner, says

SPAM = "spam of alice"


def checks(place, message_id):
    [event] = place.relay.wait_events(1, kind="received", id=message_id)
    return {c["check"]: c for c in event["checks"]}


def rules(place):
    lines = place.relay.cli("tenant", "rules", "acme", "--json").stdout.splitlines()
    return {r["value"]: r["rule"] for r in map(json.loads, lines)}


def settled(place, send, code):
    """The directory's change is live within a second."""
    return parts.wait_for(lambda: (got := send())[0] == code and got, f"a reply {code}")


def test_who_is_blocked_is_refused_at_rcpt(stage):
    place = inbound.Inbound(stage)
    assert place.send(inbound.message())[0] == 250
    for value, reason in (("Alice@Good.example", "alice@good.example"),
                          ("good.example", "good.example"), ("127.0.0.0/8", "127.0.0.0/8")):
        place.relay.cli("tenant", "block", "acme", value)
        assert rules(place) == {reason: "block"}
        code, text = settled(place, lambda: place.send(inbound.message()), 550)
        assert text == f"5.7.1 Mail from {reason} is not taken here"
        event = parts.wait_for(lambda: [e for e in place.relay.events(kind="rejected")
                                        if e["reply"]["text"] == text[6:]], "the event")[0]
        assert event["rule"] == "tenant.block" and event["recipient"] == "bob@acme.example"
        place.relay.cli("tenant", "unlist", "acme", value)
        settled(place, lambda: place.send(inbound.message()), 250)
    assert not rules(place)
    audit = place.relay.cli("directory", "audit", "--json").stdout
    assert '"tenant block"' in audit and '"tenant unlist"' in audit
    assert place.relay.metrics()["ringpost_inbound_blocked_total"] >= 3


def test_an_author_is_blocked_after_the_data(stage):
    place = inbound.Inbound(stage, inbound="dmarc: monitor")
    place.relay.cli("tenant", "block", "acme", "*.plain.example")
    content = inbound.message("mallory@a.plain.example")

    code, text = settled(place, lambda: place.send(content), 550)
    assert text == "5.7.1 Mail from *.plain.example is not taken here"
    [event] = place.relay.wait_events(1, kind="rejected")[:1]
    assert {c["check"]: c for c in event["checks"]}["sender"] == {
        "check": "sender", "result": "block", "weight": "refuse", "detail": "*.plain.example"}
    # Another tenant's rule is nobody else's.
    place.relay.cli("tenant", "unlist", "acme", "*.plain.example")
    place.relay.cli("tenant", "add", "other")
    place.relay.cli("tenant", "block", "other", "*.plain.example")
    settled(place, lambda: place.send(content), 250)


@pytest.mark.parametrize("action", ["reject", "soft reject", "add header"])
def test_who_is_allowed_is_no_spam(stage, action):
    scanner = stage.add(Scanner(lambda head, body: says(action)))
    place = inbound.Inbound(stage, inbound=f'rspamd: "http://127.0.0.1:{scanner.port}"')
    expected = {"reject": 550, "soft reject": 451, "add header": 250}[action]
    assert place.send(inbound.message())[0] == expected
    place.relay.cli("tenant", "allow", "acme", "alice@good.example", "192.0.2.0/24")
    assert rules(place) == {"alice@good.example": "allow", "192.0.2.0/24": "allow"}

    def taken():
        code, text = place.send(inbound.message())
        if code != 250:
            return code, text
        found = checks(place, text.split()[-1])
        return (found.get("sender", {}).get("result"), found)

    _, found = settled(place, taken, "allow")
    assert found["sender"]["detail"] == "alice@good.example"
    assert found["rspamd"]["result"] == action
    # Not for whoever uses the name: SPF of the domain fails for this client.
    place.relay.cli("tenant", "allow", "acme", "plain.example")
    code, _ = place.send(inbound.message("x@plain.example"), sender="x@plain.example")
    assert code == expected


@pytest.mark.parametrize("overrides", [False, True])
def test_dmarc_is_followed_unless_the_configuration_says_so(stage, overrides):
    more = "allow_overrides_dmarc: true" if overrides else ""
    place = inbound.Inbound(stage, inbound=more)
    content = inbound.message("x@strict.example")
    assert place.send(content)[0] == 550
    place.relay.cli("tenant", "allow", "acme", "127.0.0.1")
    if overrides:
        _, text = settled(place, lambda: place.send(content), 250)
        found = checks(place, text.split()[-1])
        assert "override=tenant_allows" in found["dmarc"]["detail"]
        assert found["sender"]["detail"] == "127.0.0.1/32"
    else:
        import time
        time.sleep(1.5)
        code, text = place.send(content)
        assert code == 550 and text.startswith("5.7.26")


def test_bad_rules_are_told(stage):
    place = inbound.Inbound(stage)
    for value in ("no sender", "192.0.2.1/24", "@good.example", "*"):
        done = place.relay.cli("tenant", "block", "acme", value, check=False)
        assert done.returncode != 0 and "is no sender" in done.stderr
    done = place.relay.cli("tenant", "unlist", "acme", "good.example", check=False)
    assert done.returncode != 0 and "no rule about good.example" in done.stderr
    assert not rules(place)
