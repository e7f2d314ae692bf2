"""A spool of format 1 is read, delivered and written on as ours; what a program of format 1 says to
ours is in test_config.py, a later format's refusal. format1/spool.tar.zst is what a program of
format 1 left when it was killed (format1/make.py made it)."""

import collections
import json
import pathlib
import struct
import time

import event_schema
import parts

FIXTURE = pathlib.Path(__file__).parent / "format1" / "spool.tar.zst"
FORMAT = 2
FORMAT_AT = 8  #: in a segment's header


def unpacked(stage, peer):
    """A relay that was not started, on the old spool; the manifest's messages."""
    relay = stage.unstarted_ringpost(
        engines="1", spool="{segment_size: 1MiB, spare_segments: 1}",
        retry="{first: 1s, factor: 1.5, max: 3s, max_age: 30d}", events="{retention: 36500d}",
        routes=f'[{{match: "*", to: ["127.0.0.1:{peer.port}"]}}]')
    relay.schema = event_schema.Sampler(since=time.strftime("%FT%T", time.gmtime()))
    parts.run(["tar", "-C", relay.directory, "-xf", FIXTURE])
    relay.state_dir.chmod(0o700)
    manifest = json.loads((relay.state_dir / "manifest.json").read_text())
    (relay.state_dir / "manifest.json").unlink()
    return relay, manifest["messages"]


def formats(relay):
    """Format of every segment, by sequence."""
    found = {}
    for path in sorted(relay.state_dir.glob("spool/00/*.seg")):
        with open(path, "rb") as segment:
            segment.seek(FORMAT_AT)
            found[int(path.stem, 16)], = struct.unpack("<I", segment.read(4))
    return found


def content(number, size):
    """As format1/make.py wrote it."""
    head = f"From: <app@client.example>\r\nSubject: message {number}\r\n\r\n"
    line = f"the text of message {number}\r\n"
    repeats = -(-(size - len(head)) // len(line))
    return (head + line * repeats).encode()


def expect_events(relay, messages):
    """Each of every message's events once, without a gap, and one final one a recipient."""
    told = collections.defaultdict(list)
    finals = collections.defaultdict(list)
    for event in relay.events():
        told[event["id"]].append(event["seq"])
        if event["kind"] in ("delivered", "bounced", "expired", "cancelled"):
            finals[event["id"]].append((event["kind"], event["recipient"]))
    for message_id, message in messages.items():
        assert sorted(told[message_id]) == list(range(len(told[message_id])))
        assert sorted(finals[message_id]) == sorted(
            ("delivered", to) for to in message["waiting"] + message["taken"])


def expect_delivered(peer, messages):
    """What waited arrives once, byte for byte; what was delivered by the old program does not."""
    by_envid = collections.defaultdict(list)
    for message in peer.messages:
        by_envid[message.sender_parameters.split("ENVID=")[1].split()[0]].append(message)
    for message in messages.values():
        copies = by_envid[f"env{message['number']}"]
        assert sorted(to for copy in copies for to in copy.to()) == sorted(message["waiting"])
        for copy in copies:
            assert copy.content.endswith(content(message["number"], message["size"]))
            assert all("NOTIFY=FAILURE" in parameters for _, parameters in copy.recipients)


def test_format_1_is_read_delivered_and_written_on_as_ours(stage):
    mood = {"refuses": True}
    peer = stage.receiver(lambda session, where, line:
                          "451 4.3.2 later" if where == "rcpt" and mood["refuses"] else None)
    relay, messages = unpacked(stage, peer)
    assert set(formats(relay).values()) == {1}
    waiting = sum(len(message["waiting"]) for message in messages.values())
    report = json.loads(relay.cli("spool", "check", "--json").stdout.splitlines()[-1])
    assert (report["messages"], report["recipients"]) == (len(messages), waiting)
    assert report["damaged_records"] == 0
    accepts = [r for r in map(json.loads, relay.cli("spool", "dump").stdout.splitlines())
               if r["type"] == "accept"]
    assert {r["class"] for r in accepts} == {"normal"} and {r["not_before_ms"] for r in accepts} == {0}
    relay.start()
    # New mail and outcomes of the old mail side by side.
    new_id = relay.submit("new@now.example", body="of today")
    relay.wait_events(1, id=new_id, kind="deferred")
    assert relay.status()["queue"]["recipients"] == waiting + 1
    relay.stop()
    assert max(formats(relay).items())[1] == FORMAT
    assert any(e["attempt"]["number"] > 1 for e in relay.events(kind="deferred"))
    # Once more from what both formats left, then let go.
    relay.start()
    assert relay.status()["queue"]["recipients"] == waiting + 1
    mood["refuses"] = False
    relay.cli("queue", "retry", "--domain", "*")
    relay.wait_empty()
    relay.stop()
    expect_events(relay, messages)
    peer.messages = [m for m in peer.messages if m.to() != ["new@now.example"]]
    expect_delivered(peer, messages)
    report = json.loads(relay.cli("spool", "check", "--json").stdout.splitlines()[-1])
    assert (report["recipients"], report["damaged_records"]) == (0, 0)
