"""Tenants whose events and log lines show no local parts of addresses."""

import json

import hook
import inbound
import parts


def test_local_parts_are_nowhere_but_in_the_mail(stage):
    target = stage.add(hook.Hook())
    peer = stage.receiver(lambda session, what, line: (
        "550 5.1.1 <secretive@x.example>: no secretive here" if what == "rcpt" and b"x.example" in
        (line if isinstance(line, bytes) else line.encode()) else None))
    port, other = parts.free_ports(2)
    relay = stage.unstarted_ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{peer.port}"]}}]',
        webhooks=f'[{{name: main, url: "{target.url}", allow: ["127.0.0.1/32"], batch_wait: 50ms}}]')
    relay.write_config(listeners="[" + ", ".join(
        f'{{address: "127.0.0.1:{p}", service: submission, trust: ["127.0.0.0/8"], tenant: {t}}}'
        for p, t in ((port, "shop"), (other, "club"))) + "]")
    for tenant in ("shop", "club"):
        relay.cli("tenant", "add", tenant)
    assert "none, hash or cut" in relay.cli("tenant", "set", "shop", "privacy=some",
                                            check=False).stderr
    relay.cli("tenant", "set", "shop", "privacy=hash")
    relay.start()
    relay.port = port
    for to in ("secretive@x.example", "secretive@y.example", "secretive@y.example"):
        relay.submit(to, sender="hiddenapp@shop.example")
    relay.wait_events(6)
    with relay.smtp() as smtp:
        smtp.ehlo("client.example")
        assert smtp.mail("hiddenapp@shop.example", ["size=999999999999"])[0] == 552
    relay.port = other
    relay.submit("openly@y.example", sender="app@club.example")
    relay.wait_empty()
    target.wait_events(8)
    relay.cli("events", "audit")
    relay.kill()  # what was not durable is written again, the same
    relay.start()
    relay.wait_empty()
    told = relay.events()
    shop = [e for e in told if e["tenant"] == "shop"]
    at_y = {e["recipient"] for e in shop if (e["recipient"] or "").endswith("@y.example")}
    assert len(at_y) == 1 and len(at_y.pop().split("@")[0]) == 16
    # Who may read the key finds an address behind its hash, and no other address.
    found = relay.events(recipient="secretive@y.example")
    assert found and found == [e for e in shop if (e["recipient"] or "").endswith("@y.example")]
    assert not relay.events(recipient="secretivf@y.example")
    assert relay.events(recipient="openly@y.example")
    assert relay.events(recipient="@y.example")
    said = json.dumps([e for e in told + target.events()]) + relay.log.read_text()
    said += "".join(relay.cli("trace", e["id"]).stdout for e in shop if e["id"])
    for secret in ("secretive", "hiddenapp"):
        assert secret not in said
    assert "openly@y.example" in said
    assert {m.to()[0] for m in peer.messages} >= {"secretive@y.example"}
    key = relay.state_dir / "keys" / "privacy.key"
    assert key.stat().st_mode & 0o777 == 0o600
    relay.cli("events", "audit")
    relay.stop()
    relay.cli("events", "audit")


def test_mail_from_the_world_shows_none_either(stage):
    """Accepted, refused at RCPT and for its checks, filed, forwarded, answered."""
    elsewhere = stage.receiver()
    place = inbound.Inbound(
        stage, settings={"routes": f'[{{match: away.example, to: ["127.0.0.1:{elsewhere.port}"]}}]',
                         "log": "{level: debug}"},
        directory=(("alias", "add", "secretaway@acme.example", "secretfar@away.example"),
                   ("account", "add", "secretbob@acme.example"),
                   ("tenant", "set", "acme", "privacy=hash"),
                   ("tenant", "block", "acme", "secretblocked@good.example"),
                   ("tenant", "add", "open"),
                   ("domain", "add", "open", "open.example", "--hosted", "--active"),
                   ("account", "add", "visible@open.example")))
    relay = place.relay
    relay.cli("queue", "resume", "--all")
    for to in ("secretbob@acme.example", "secretaway@acme.example"):
        assert place.send(inbound.message(), to=to, sender="secretalice@good.example")[0] == 250
    assert place.send(inbound.message("secretalice@strict.example"), to="secretbob@acme.example",
                      sender="secretalice@strict.example")[0] == 550
    assert place.send(b"", sender="secretblocked@good.example")[0] == 550
    with place.smtp() as smtp:  # one tenant's RCPT does not show another one's
        smtp.mail("visible@good.example")
        assert smtp.rcpt("visible@open.example")[0] == 250
        assert smtp.rcpt("secretnobody@acme.example")[0] == 550
        assert smtp.rcpt("secret..nobody@acme.example")[0] // 100 == 5
        assert smtp.rcpt("secretbob@acme.example")[0] == 452
        assert smtp.data(inbound.message("visible@good.example"))[0] == 250
    relay.wait_empty()
    told = [e for e in relay.events() if e["kind"] != "changed"]  # the operator's own words
    assert {e["kind"] for e in told} >= {"accepted", "received", "rejected", "filed", "forwarded",
                                         "delivered"}
    assert any(e["kind"] == "rejected" and e["tenant"] == "acme" and e["recipient"] is not None and
               e["recipient"].endswith("@acme.example") for e in told)
    said = "\n".join(map(json.dumps, told)) + relay.log.read_text()
    assert not [line for line in said.splitlines() if "secret" in line]
    assert "visible@open.example" in said
    assert {m.to()[0] for m in elsewhere.messages} == {"secretfar@away.example"}
