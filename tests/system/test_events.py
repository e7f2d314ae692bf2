"""Events as others read them: the record's schema."""

import json
import re
import shutil
import signal
import subprocess
import time

import event_schema
import parts

DOCS = parts.ROOT / "docs" / "events.md"


def test_random_events_of_every_kind_are_as_the_schema_says():
    lines = subprocess.run([parts.BUILD / "tests" / "system" / "ringpost-event-lines", "30"],
                           capture_output=True, check=True, timeout=parts.PATIENCE).stdout
    events = [json.loads(line) for line in lines.splitlines()]
    for event in events:
        event_schema.hold(event, "event")
    kinds = event_schema.schema()["$defs"]["event"]["properties"]["kind"]["enum"]
    assert {e["kind"] for e in events} == set(kinds) and len(set(kinds)) == len(kinds)


def test_the_documentation_has_every_key_and_kind_of_the_schema():
    text = DOCS.read_text()
    rows = set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.M))
    properties = event_schema.schema()["$defs"]["event"]["properties"]
    named = set(event_schema.keys(properties))
    assert named <= rows, named - rows
    for kind in properties["kind"]["enum"]:
        assert f"`{kind}`" in text, kind


def test_events_of_a_relay_are_as_the_schema_says(stage):
    """The kinds that mail makes; those of damage and of operators are held where they are tested:
    parts.Ringpost.events() holds what it reads."""
    sink = stage.sink("--reject", "rcpt:550:0%")
    refuser = stage.sink("--reject", "rcpt:550:100%")
    deferrer = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(
        routes=f'[{{match: good.example, to: ["127.0.0.1:{sink.port}"]}},'
               f'{{match: bad.example, to: ["127.0.0.1:{refuser.port}"]}},'
               f'{{match: slow.example, to: ["127.0.0.1:{deferrer.port}"]}}]',
        retry="{first: 1s, max: 1s, max_age: 3s, delay_notice: 1s}")
    with relay.smtp() as smtp:
        smtp.ehlo("client.example")
        smtp.mail("app@client.example")
        assert smtp.rcpt("no address")[0] == 501
    relay.submit(["a@good.example", "b@bad.example", "c@slow.example"],
                 rcpt_options=["NOTIFY=DELAY,FAILURE", "ORCPT=rfc822;x@y.example"])
    held = relay.submit("d@slow.example")
    relay.cli("queue", "cancel", held)
    relay.wait_events(1, kind="expired")
    relay.wait_events(1, kind="delayed")
    kinds = {e["kind"] for e in relay.events()}
    assert kinds >= {"accepted", "rejected", "delivered", "deferred", "delayed", "bounced",
                     "expired", "cancelled"}, kinds
    for event in relay.events(kind="accepted"):
        if event["sender"] == "":
            assert event["client"]["session"] is None  # a notification: nobody handed it in
            continue
        assert f"session={event['client']['session']} " in relay.log.read_text()
        assert event["client"]["connected_time"] <= event["accepted_time"]


def audit(relay, *options, code=0):
    """The lines of an audit, the last one first."""
    done = relay.cli("events", "audit", "--json", *options, check=False)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[::-1]


def start_mixed(stage, **settings):
    """A relay whose mail ends in every way."""
    ports = [stage.sink("--reject", f"rcpt:{what}").port
             for what in ("550:0%", "550:50%", "451:100%")]
    return stage.ringpost(
        routes=", ".join(f'{{match: {name}.example, to: ["127.0.0.1:{port}"]}}'
                         for name, port in zip(("good", "half", "slow"), ports)).join("[]"),
        retry="{first: 1s, max: 1s, max_age: 1h}", **settings)


def test_the_audit_adds_up_at_any_time_and_in_any_state(stage):
    relay = start_mixed(stage, events="{file_size: 64KiB}")
    ids = [relay.submit([f"a{i}@good.example", f"b{i}@half.example", f"c{i}@slow.example"])
           for i in range(20)]
    relay.wait_events(20, kind="deferred")
    # What is accepted is told as "later" until the files say that they hold it, a second on.
    parts.wait_for(lambda: audit(relay)[0]["messages"] >= 20, "what the files commit")
    for _ in range(3):  # while attempts and retries go on
        total = audit(relay)[0]
        assert total["served"] and total["adds_up"] and total["total"]["queued"] > 0, total
        assert total["messages"] + total["later_messages"] >= 20, total
    relay.cli("queue", "cancel", ids[0])
    relay.wait_events(1, kind="cancelled")
    total, tenant = audit(relay)
    assert tenant["tenant"] is None and tenant["cancelled"] == 1, tenant
    relay.kill()
    killed = audit(relay)[0]
    assert not killed["served"] and killed["adds_up"] and killed["total"]["queued"] > 0, killed
    assert "It adds up" in relay.cli("events", "audit").stdout
    relay.start()
    assert audit(relay)[0]["adds_up"]
    parts.wait_for(lambda: relay.cli("queue", "cancel", "--domain", "*") and  # those not in attempts
                   relay.status()["queue"]["recipients"] == 0, "an empty queue")
    relay.stop()
    total = audit(relay)[0]
    assert total["total"]["queued"] == 0 and total["last_file"] > 1, total
    assert audit(relay, "--since", "0s")[0]["messages"] == 0


def test_the_audit_names_what_does_not_add_up(stage):
    relay = start_mixed(stage)
    ids = [relay.submit([f"a{i}@good.example", f"b{i}@slow.example"]) for i in range(3)]
    relay.wait_events(3, kind="delivered")
    for message in ids:  # one behind the delivery, so that this is no message's last event
        told = len(relay.events(kind="deferred", id=message))
        relay.wait_events(max(2, told + 1), kind="deferred", id=message)
    relay.stop()
    assert audit(relay)[0]["adds_up"]
    file = relay.state_dir / "events" / "current.jsonl"
    whole = file.read_text().splitlines(keepends=True)

    def tamper(change):
        """The audit of files that were changed in place: its problems by message."""
        lines = [change(line, json.loads(line)) for line in whole]
        size = sum(map(len, lines))
        # The cursor says how long they are: the same length, with nothing in it.
        file.write_text("".join(lines)[:-1] + " " * (sum(map(len, whole)) - size) + "\n")
        found = audit(relay, code=1)
        assert not found[0]["adds_up"]
        return {line["id"]: line["problem"] for line in found if "problem" in line}

    def without(kind, message):
        return lambda line, event: "" if (event["kind"], event["id"]) == (kind, message) else line

    assert "is missing" in tamper(without("delivered", ids[0]))[ids[0]]
    assert list(tamper(without("delivered", ids[1]))) == [ids[1]]
    assert "no accepted events" in tamper(without("accepted", ids[2]))[ids[2]]
    changed = tamper(lambda line, event: line.replace('"deferred"', '"bounced"')
                     if event["id"] == ids[0] else line)
    assert "final events: bounced" in changed[ids[0]]
    text = relay.cli("events", "audit", check=False)
    assert text.returncode == 1 and f"id={ids[0]} " in text.stdout
    assert "It does NOT add up" in text.stdout


def test_the_audit_names_files_that_are_not_whole(stage):
    relay = start_mixed(stage, events="{file_size: 64KiB}")
    for turn in range(3):
        for i in range(20):
            relay.submit([f"a{turn}-{i}@good.example", f"b{turn}-{i}@half.example"])
        parts.wait_for(lambda: len(list((relay.state_dir / "events").glob("*.zst"))) > turn,
                       "a closed file")
    relay.stop()
    # A file that was begun this moment, by the stop as well, has nothing that could be cut.
    while (relay.state_dir / "events" / "current.jsonl").stat().st_size < 1000:
        relay.start()
        relay.submit(["a@good.example"])
        relay.submit(["a@good.example"])
        relay.wait_empty()
        relay.stop()
    assert audit(relay)[0]["adds_up"]
    events = relay.state_dir / "events"
    kept = shutil.copytree(events, relay.directory / "kept")
    middle = sorted(events.glob("events-*.zst"))[1]
    current = events / "current.jsonl"

    def gone():
        middle.unlink()

    def cut():
        middle.write_bytes(middle.read_bytes()[:-20])

    def flipped():
        packed = bytearray(middle.read_bytes())
        packed[len(packed) // 2] ^= 0x55
        middle.write_bytes(packed)

    def current_cut():
        current.write_bytes(current.read_bytes()[:-200])

    last = int(audit(relay)[0]["last_file"])
    for damage, words, number in ((gone, "is gone", 2), (cut, "does not decompress", 2),
                                  (flipped, "does not decompress", 2),
                                  (current_cut, "does not read", last)):
        damage()
        found = audit(relay, code=1)
        assert not found[0]["adds_up"] and found[0]["broken_files"] == 1, (damage, found[0])
        files = {line["file"]: line["problem"] for line in found if "file" in line}
        assert list(files) == [number] and words in files[number], (damage, files)
        # Of the file in between: it may have all there is of each of its messages.
        missing = [line for line in found if "id" in line]
        assert missing or damage is not current_cut, damage
        said = relay.cli("events", "audit", check=False).stdout
        assert f"file {number}: it " in said and "1 event files are not whole" in said
        shutil.rmtree(events)
        shutil.copytree(kept, events)
    sorted(events.glob("events-*.zst"))[0].unlink()  # as the retention does
    assert audit(relay)[0]["adds_up"]


def test_trace_tells_a_message_from_its_connection_to_its_outcomes(stage):
    relay = start_mixed(stage)
    message = relay.submit(["a@good.example", "c@slow.example"])
    other = relay.submit("a@good.example")
    relay.wait_events(2, kind="deferred", id=message)
    relay.wait_events(2, kind="delivered")
    trace = json.loads(relay.cli("trace", message, "--json").stdout)
    assert trace["id"] == message and trace["sender"] == "app@client.example", trace
    assert trace["client"]["connected_time"] <= trace["accepted_time"], trace
    good, slow = trace["recipients"]
    assert (good["recipient"], good["state"], good["waits"]) == ("a@good.example", "delivered", None)
    assert [step["event"]["kind"] for step in good["steps"]] == ["accepted", "delivered"]
    assert slow["state"] == "queued" and slow["waits"]["recipient"] == "c@slow.example", slow
    assert {step["event"]["kind"] for step in slow["steps"]} == {"accepted", "deferred"}
    assert all(step["ms"] >= 0 for step in good["steps"] + slow["steps"])
    for line in ("client    127.0.0.1 (client.example), submission, session=", "a@good.example: delivered",
                 "they: 250 2.0.0", "attempt 2:", "rule reply-2xx", "waits for "):
        assert line in relay.cli("trace", message).stdout, line
    assert other not in relay.cli("trace", message).stdout
    relay.stop()  # by the files alone
    assert "only a daemon knows" in relay.cli("trace", message).stdout
    assert json.loads(relay.cli("trace", other, "--json").stdout)["recipients"][0]["state"] == "delivered"
    unknown = relay.cli("trace", message[:-5] + "00000", check=False)
    assert unknown.returncode == 1 and "no message" in unknown.stderr, unknown
    assert relay.cli("trace", "nonsense", check=False).returncode == 64


def test_the_audit_says_that_events_were_written_again(stage):
    relay = start_mixed(stage)
    for i in range(3):
        relay.submit([f"a{i}@good.example"])
    relay.wait_empty()
    relay.kill()
    before = audit(relay)[0]
    assert before["adds_up"] and before["repeated_events"] == 0
    for cursor in (relay.state_dir / "events").glob("cursor*"):
        cursor.unlink()
    relay.start()
    parts.wait_for(lambda: len(relay.events()) >= 2 * before["events"], "the events, again")
    relay.stop()
    after = audit(relay, code=1)[0]
    assert after["repeated_events"] == before["events"] == 6 and not after["adds_up"], after
    assert after["messages"] == 3 and after["total"] == before["total"] and not after["wrong_messages"]
    said = relay.cli("events", "audit", check=False).stdout
    assert "6 events stand in the files a second time" in said and "It does NOT add up" in said


class Follower(parts.Process):
    """`ringpost events --follow --json`, with what it printed."""

    def __init__(self, relay, *options):
        super().__init__(relay.directory, f"follower-{id(self)}")
        self.relay = relay
        self.options = options

    def start(self):
        self.spawn([parts.PROGRAM, "-c", self.relay.config_file, "events", "--follow", "--json",
                    *self.options])
        return self

    def stop(self):
        self.end()

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def wait_lines(self, count):
        parts.wait_for(lambda: len(self.lines()) >= count, f"{count} lines of {self.options}")
        return self.lines()


def test_followers_see_what_they_asked_for_and_each_event_once(stage):
    relay = start_mixed(stage)
    every, kinds, domain, tenant = (
        stage.add(Follower(relay, *options))
        for options in ((), ("--kind", "delivered,deferred", "--domain", "GOOD.example"),
                        ("--domain", "slow.example"), ("--tenant", "nobody")))
    relay.submit(["a@good.example", "c@slow.example"])
    assert [e["kind"] for e in kinds.wait_lines(1)] == ["delivered"]
    relay.wait_events(2, kind="deferred")
    relay.kill()  # what was not committed comes again, and was not shown
    relay.start()
    relay.cli("queue", "cancel", "--domain", "*")
    parts.wait_for(lambda: relay.cli("queue", "cancel", "--domain", "*") and
                   relay.status()["queue"]["recipients"] == 0, "an empty queue")
    relay.stop()
    written = [e["event_id"] for e in relay.events()]
    assert [e["event_id"] for e in every.wait_lines(len(written))] == written
    assert {e["recipient"] for e in domain.wait_lines(2)} == {"c@slow.example"}
    assert len(kinds.lines()) == 1 and not tenant.lines()
    assert relay.cli("events", "--kind", "nonsense", check=False).returncode == 64


def test_a_follower_that_is_too_slow_is_told_how_much_it_missed(stage):
    relay = start_mixed(stage, events="{file_size: 64KiB}")
    follower = stage.add(Follower(relay))

    def fill(name):
        """Some files full of events, all committed and closed."""
        closed = len(list((relay.state_dir / "events").glob("events-*")))
        relay.submit([f"{name}{i}@good.example" for i in range(60)])
        parts.wait_for(lambda: len(list((relay.state_dir / "events").glob("events-*"))) > closed,
                       "a closed file")
        relay.wait_empty()
    fill("a")
    follower.wait_lines(120)
    follower.child.send_signal(signal.SIGSTOP)
    fill("b")
    fill("c")
    files = sorted((relay.state_dir / "events").glob("events-*"),
                   key=lambda file: int(re.search(r"-(\d+)\.jsonl", file.name)[1]))
    for file in files[:-1]:
        file.unlink()
    follower.child.send_signal(signal.SIGCONT)
    parts.wait_for(lambda: any(line["kind"] == "gap" for line in follower.lines()), "a gap")
    parts.wait_for(lambda: sum(line.get("events", 1) for line in follower.lines()) >= 360,
                   "the rest")
    lines = follower.lines()
    gap, = (line for line in lines if line["kind"] == "gap")
    event_schema.hold_gap(gap)
    assert gap["rule"] == "events.retention", gap
    node = (relay.state_dir / "node").read_text().strip()
    assert gap["event_id"].startswith(f"{node}-gap-") and lines[0]["event_id"].startswith(f"{node}-")
    assert len(lines) - 1 + gap["events"] == 360, (len(lines), gap)


def test_top_tells_rates_sites_and_the_longest_wait(stage):
    relay = start_mixed(stage)
    relay.submit(["a@good.example", "c@slow.example"])
    relay.wait_events(1, kind="deferred")
    parts.wait_for(lambda: relay.status()["oldest"], "a look at the queue")

    def look():
        top = json.loads(relay.cli("top", "--once", "--json", "--interval", "1s").stdout)
        is_seen = top["rates"]["deferred"] > 0 and any(site["deferred"] > 0 for site in top["sites"])
        return top if is_seen else None  # sites and rates are asked one after the other

    top = parts.wait_for(look, "a second with an attempt in it")
    assert top["rates"]["delivered"] == 0, top["rates"]
    assert len(top["engines"]) == 2 and all(0 <= busy <= 1.1 for busy in top["engines"]), top
    wait = parts.wait_for(
        lambda: json.loads(relay.cli("top", "--once", "--json", "--interval", "1s").stdout)["waits"],
        "a wait")[0]
    assert wait["recipient"] == "c@slow.example" and wait["age_ms"] > 0 and wait["constraint"], wait
    text = relay.cli("top", "--interval", "1s").stdout  # no terminal: once
    assert "a second" in text and "SITE" in text and "LONGEST" in text and "\033" not in text, text
    assert relay.cli("top", "--interval", "1ms", check=False).returncode == 64


def test_who_follows_sees_an_event_at_once(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    follow = subprocess.Popen([str(parts.PROGRAM), "-c", str(relay.config_file), "events",
                               "--follow", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        relay.submit("warm@b.example")
        for _ in range(2):
            follow.stdout.readline()
        took = []
        for i in range(9):
            time.sleep(0.2)
            relay.submit(f"a{i}@b.example")
            begun = time.monotonic()
            assert json.loads(follow.stdout.readline())["kind"] == "accepted"
            took.append(time.monotonic() - begun)
            follow.stdout.readline()
    finally:
        follow.kill()
        follow.wait()
    assert sorted(took)[len(took) // 2] < 0.25, took  # was up to 1.2 s
