"""Tenants whose events and log lines show no local parts of addresses."""

import json

import hook
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
    at_y = {e["recipient"] for e in shop if e["recipient"].endswith("@y.example")}
    assert len(at_y) == 1 and len(at_y.pop().split("@")[0]) == 16
    # Who may read the key finds an address behind its hash, and no other address.
    found = relay.events(recipient="secretive@y.example")
    assert found and found == [e for e in shop if e["recipient"].endswith("@y.example")]
    assert not relay.events(recipient="secretivf@y.example")
    assert relay.events(recipient="openly@y.example")
    assert relay.events(recipient="@y.example")
    said = json.dumps([e for e in told + target.events()]) + relay.log.read_text()
    said += "".join(relay.cli("trace", e["id"]).stdout for e in shop)
    for secret in ("secretive", "hiddenapp"):
        assert secret not in said
    assert "openly@y.example" in said
    assert {m.to()[0] for m in peer.messages} >= {"secretive@y.example"}
    key = relay.state_dir / "keys" / "privacy.key"
    assert key.stat().st_mode & 0o777 == 0o600
    relay.cli("events", "audit")
    relay.stop()
    relay.cli("events", "audit")
