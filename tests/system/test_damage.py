"""Bytes that changed on disk: told before the start, told after it, and nobody else is touched."""

import contextlib
import email
import email.policy
import json

COUNT = 8


def start(stage):
    """A relay whose peer says 451 to everything until `peer.mood` is changed."""
    mood = {"refuses": True}

    def act(session, where, line):
        return "451 4.3.2 later" if where == "rcpt" and mood["refuses"] else None

    peer = stage.receiver(act)
    mailbox = stage.receiver()
    relay = stage.ringpost(
        engines="1", retry="{first: 1h, max: 2h, max_age: 1d}",
        routes=f'[{{match: sender.example, to: ["127.0.0.1:{mailbox.port}"]}}, '
               f'{{match: "*", to: ["127.0.0.1:{peer.port}"]}}]')
    return peer, mailbox, relay, mood


def defer(relay, large=False):
    """Messages with a text of their own each; ids in order."""
    ids = []
    for i in range(COUNT):
        body = f"the text of message {i}\r\n" * (15000 if large and i == 3 else 40)
        ids.append(relay.submit(f"user{i}@peer{i}.example", sender=f"shop{i}@sender.example",
                                body=body.strip()))
    relay.wait_events(COUNT, kind="deferred")
    return ids


def flip(relay, needle, which=0):
    """One bit of the n-th place in the spool where `needle` stands: (segment, offset)."""
    for path in sorted(relay.state_dir.glob("spool/*/*.seg")):
        data = path.read_bytes()
        at = -1
        for _ in range(which + 1):
            at = data.find(needle, at + 1)
        if at < 0:
            continue
        with open(path, "r+b") as segment:
            segment.seek(at)
            segment.write(bytes([data[at] ^ 4]))
        return int(path.stem, 16), at
    raise AssertionError(f"{needle} is nowhere in the spool")


def damage(relay, needle, which=0):
    relay.stop()  # which closes the segment
    assert relay.cli("spool", "check").returncode == 0
    return flip(relay, needle, which)


def copies(relay):
    with contextlib.suppress(FileNotFoundError):
        return sorted(p.name for p in (relay.state_dir / "spool/damaged").iterdir())
    return []


def expect_copy(relay, segment, at, needle):
    """One file, named after the place, that holds what stands there."""
    name, = copies(relay)
    shard, sequence, offset, length = name.removesuffix(".record").split("-")
    assert (shard, int(sequence, 16)) == ("00", segment)
    assert int(offset) <= at < int(offset) + int(length)
    data = (relay.state_dir / "spool/damaged" / name).read_bytes()
    changed = bytes([needle[0] ^ 4]) + needle[1:]
    assert data[at - int(offset):].startswith(changed)
    return name


def let_go(relay, mood):
    mood["refuses"] = False
    relay.start()
    relay.cli("queue", "retry", "--domain", "*")


def expect_others(relay, peer, ids, lost):
    delivered = relay.wait_events(COUNT - 1, kind="delivered")
    assert {e["id"] for e in delivered if e["recipient"].startswith("user")} == \
        {ids[i] for i in range(COUNT) if i != lost}
    relay.wait_empty()
    assert len(peer.messages) == COUNT - 1
    for message in peer.messages:
        (recipient,) = message.to()
        i = int(recipient.removeprefix("user").split("@")[0])
        texts = {line for line in message.content.split(b"\r\n") if line.startswith(b"the text of")}
        assert texts == {f"the text of message {i}".encode()}


def expect_final(relay, message_id, rule):
    finals = [e for e in relay.events(id=message_id)
              if e["kind"] in ("delivered", "bounced", "expired", "cancelled", "suppressed")]
    assert len(finals) == 1, finals
    assert finals[0]["kind"] == "bounced" and finals[0]["rule"] == rule
    assert finals[0]["reply"]["enhanced"] == "5.6.0"
    return finals[0]


def expect_dsn(mailbox, sender):
    message, = mailbox.messages
    assert message.to() == [sender]
    report = email.message_from_bytes(message.content, policy=email.policy.default)
    text, status, _ = report.iter_parts()
    assert status.get_payload()[1]["Status"] == "5.6.0"
    assert "damaged on our disk" in text.get_content()
    return message.content


def expect_quiet_restart(relay):
    before, events = copies(relay), len(relay.events(kind="damaged"))
    relay.stop()
    relay.start()
    relay.wait_empty()
    assert copies(relay) == before
    assert len(relay.events(kind="damaged")) == events
    relay.stop()


def check_damaged_content(stage, large):
    peer, mailbox, relay, mood = start(stage)
    ids = defer(relay, large)
    needle = b"the text of message 3"
    segment, at = damage(relay, needle, 9000 if large else 5)

    check = relay.cli("spool", "check", check=False)
    assert check.returncode == 1, check.stdout
    assert f"segment={segment:x} " in check.stdout and "record=content" in check.stdout
    assert f"lost: shard=00 id={ids[3]} recipients=1" in check.stdout
    assert json.loads(relay.cli("spool", "check", "--json", check=False).stdout)["messages_lost"] == 1
    dump = [json.loads(line) for line in relay.cli("spool", "dump").stdout.splitlines()]
    bad, = [r for r in dump if r["type"] == "damaged"]
    assert bad["offset"] <= at
    assert copies(relay) == [], "looking at it changes nothing"

    let_go(relay, mood)
    expect_others(relay, peer, ids, 3)
    told, = relay.wait_events(1, kind="damaged")
    assert told["id"] == ids[3] and told["seq"] is None and told["rule"] == "damaged-content"
    assert expect_copy(relay, segment, at, needle) in told["reply"]["text"]
    final = expect_final(relay, ids[3], "content-damaged")
    assert final["recipient"] == "user3@peer3.example"
    assert [e["seq"] for e in relay.events(id=ids[3]) if e["kind"] != "damaged"] == [0, 1, 2]
    expect_dsn(mailbox, "shop3@sender.example")
    metrics = relay.metrics()
    assert metrics["ringpost_spool_damaged_records_total"] == 1
    assert metrics['ringpost_events_total{kind="damaged"}'] == 1
    expect_quiet_restart(relay)


def test_damaged_content_bounces_and_the_sender_is_told(stage):
    check_damaged_content(stage, large=False)


def test_damage_in_the_middle_of_large_content(stage):
    check_damaged_content(stage, large=True)


def test_damaged_envelope_ends_though_nobody_can_be_told(stage):
    peer, mailbox, relay, mood = start(stage)
    ids = defer(relay)
    needle = b"shop5@sender.example"
    segment, at = damage(relay, needle, 1)  # the first is the content's From
    check = relay.cli("spool", "check", check=False)
    assert check.returncode == 1
    assert "record=accept" in check.stdout and f"id={ids[5]}" in check.stdout

    let_go(relay, mood)
    expect_others(relay, peer, ids, 5)
    told, = relay.wait_events(1, kind="damaged")
    assert told["id"] == ids[5] and told["rule"] == "damaged-accept"
    expect_copy(relay, segment, at, needle)
    final = expect_final(relay, ids[5], "content-damaged")
    assert final["recipient"] is None
    assert mailbox.messages == []
    expect_quiet_restart(relay)


def test_damage_found_by_reading_a_segment_whole(stage):
    """The index is damaged as well, so the start reads every record."""
    peer, mailbox, relay, mood = start(stage)
    ids = defer(relay)
    needle = b"the text of message 2"
    segment, at = damage(relay, needle)
    path = relay.state_dir / f"spool/00/{segment:016x}.seg"
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(size - 2 * 4096)  # the footer's record, in front of the trailer
        file.write(b"\xff" * 64)

    let_go(relay, mood)
    expect_others(relay, peer, ids, 2)
    told, = relay.wait_events(1, kind="damaged")
    assert told["id"] == ids[2] and told["rule"] == "damaged-content"
    expect_copy(relay, segment, at, needle)
    expect_final(relay, ids[2], "content-damaged")
    expect_dsn(mailbox, "shop2@sender.example")
    expect_quiet_restart(relay)
