"""What operators' commands did to the queue, as events: retried, suspended, resumed."""

import collections
import json
import re
import time

import parts

KINDS = ("retried", "suspended", "resumed")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def start(stage):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    return stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{refuser.port}"]}}]',
                          retry="{first: 1h, max: 2h}")


def told(relay, count, kind):
    """The newest of exactly `count` events of a kind; what stands in each such event."""
    found = relay.wait_events(count, kind=kind)
    assert len(found) == count, found
    event = found[-1]
    assert event["seq"] is None and event["class"] == "operator"
    assert event["reply"]["from"] == "relay" and event["reply"]["code"] is None
    assert event["attempt"]["number"] is None and event["accepted_time"] is None
    return event


def expect_kept(relay, **counts):
    """Each event stands once in the files, and none comes by a restart of either kind."""
    before = relay.events()
    assert collections.Counter(e["kind"] for e in before if e["kind"] in KINDS) == counts
    assert len({e["event_id"] for e in before}) == len(before)
    relay.stop()
    relay.start()
    relay.kill()
    relay.start()
    relay.cli("queue", "list")  # all of the queue was read
    parts.wait_for(lambda: relay.status()["metrics"]["ringpost_events_lag_bytes"] == 0, "the events")
    after = relay.events()
    assert len({e["event_id"] for e in after}) == len(after)
    assert [e for e in after if e["kind"] in KINDS] == [e for e in before if e["kind"] in KINDS]


def test_a_retry_is_told_by_one_event(stage):
    relay = start(stage)
    ids = [relay.submit([f"a{i}@one.example", f"b{i}@one.example"]) for i in range(4)]
    other = relay.submit("c@two.example")
    relay.wait_events(9, kind="deferred")
    relay.cli("queue", "retry", "--domain", "none.example")  # did nothing
    relay.cli("queue", "retry", "--domain", "*", "--dry-run")
    relay.cli("queue", "retry", ids[2])
    event = told(relay, 1, "retried")
    assert event["id"] == ids[2] and event["event_id"].split("-")[1] == ids[2][4:6]
    assert event["reply"]["text"] == f"id={ids[2]}: 2 recipients match, 2 are due now"
    assert event["rule"] == "queue retry" and event["recipient"] is None and event["sender"] is None
    relay.wait_events(11, kind="deferred")

    relay.cli("queue", "retry", "--domain", "*.EXAMPLE")
    event = told(relay, 2, "retried")
    assert event["id"] is None
    assert event["reply"]["text"] == "domain=*.example: 9 recipients match, 9 are due now"
    relay.wait_events(20, kind="deferred")
    relay.cli("queue", "retry", "--sender", "app@client.example", "--recipient", "c@two.example")
    event = told(relay, 3, "retried")
    assert event["sender"] == "app@client.example" and event["recipient"] == "c@two.example"
    relay.wait_events(21, kind="deferred")
    time.sleep(1.1)  # or they are no second old
    relay.cli("queue", "retry", "--recipient", "@one.example", "--older-than", "1s")
    event = told(relay, 4, "retried")
    assert event["recipient"] is None  # a pattern is no address
    assert re.fullmatch(rf"recipient=@one.example accepted-before={TIME}: "
                        r"8 recipients match, 8 are due now", event["reply"]["text"])
    relay.wait_events(29, kind="deferred")
    assert relay.metrics()['ringpost_events_total{kind="retried"}'] == 4
    # The messages' own events are counted as if there were none beside them.
    counted = [e["seq"] for e in relay.events(id=ids[2]) if e["kind"] not in KINDS]
    assert counted == list(range(len(counted))) and len(counted) == 2 * 5
    assert [e["kind"] for e in relay.events(id=other)].count("deferred") == 3
    expect_kept(relay, retried=4)


def test_a_retry_of_what_is_in_an_attempt_says_so(stage):
    def answer(session, where, line):
        return b"" if where == "rcpt" else None  # and waits
    receiver = stage.receiver(answer)
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]')
    relay.submit("a@slow.example")
    parts.wait_for(lambda: relay.status()["delivery"]["in_attempt"] == 1, "the attempt")
    relay.cli("queue", "suspend", "--domain", "held.example")
    relay.submit("b@held.example")
    parts.wait_for(lambda: relay.status()["queue"]["recipients"] == 2, "the second one")
    relay.cli("queue", "retry", "--domain", "slow.example")  # all of it is busy
    relay.cli("queue", "retry", "--domain", "*")
    assert told(relay, 1, "retried")["reply"]["text"] == (
        "domain=*: 2 recipients match, 1 are due now, 1 are in an attempt")


def test_a_suspension_is_told_when_it_begins_and_when_it_ends(stage):
    relay = start(stage)
    first = relay.submit("a@held.example", sender="shop@client.example")
    relay.wait_events(1, kind="deferred")
    relay.cli("queue", "suspend", "--domain", "held.example", "--dry-run")
    relay.cli("queue", "suspend", "--domain", "HELD.example", "--for", "4s")
    begun = told(relay, 1, "suspended")
    explained, = (json.loads(line) for line in
                  relay.cli("queue", "explain", "--domain", "held.example", "--json").stdout.splitlines()
                  if "unfinished" in line)
    assert begun["rule"] == "suspension 1 (domain held.example)"
    if explained["constraint"] == "suspended":  # which it is until it is over
        assert explained["rule"] == begun["rule"]
    assert re.fullmatch(r"domain=held.example: 1 recipients match; they and what comes are held back "
                        rf"until {TIME}", begun["reply"]["text"])
    ended = told(relay, 1, "resumed")
    assert ended["rule"] == begun["rule"] and ended["time"] > begun["time"]
    assert ended["reply"]["text"] == "domain=held.example: let go again, its time was over"

    relay.cli("queue", "suspend", "--sender", "shop@client.example")
    begun = told(relay, 2, "suspended")
    assert begun["sender"] == "shop@client.example" and begun["id"] is None
    assert begun["reply"]["text"].endswith("until resumed")
    relay.cli("queue", "suspend", first, "--for", "3s")
    begun = told(relay, 3, "suspended")
    assert begun["id"] == first and begun["rule"] == f"suspension 3 (id {first})"
    relay.cli("queue", "suspend", first, "--for", "4s")  # another end for the same one
    assert told(relay, 4, "suspended")["rule"] == begun["rule"]
    relay.stop()
    time.sleep(4)  # ends while nobody is there to see it
    relay.start()
    ended = told(relay, 2, "resumed")
    assert ended["id"] == first and ended["rule"] == begun["rule"]
    assert ended["event_id"].split("-")[1] == first[4:6]
    assert relay.cli("queue", "resume", "77", check=False).returncode == 1
    relay.cli("queue", "suspend", "--domain", "other.example")
    relay.cli("queue", "resume", "--all")
    relay.wait_events(4, kind="resumed")
    rules = [e["rule"] for e in relay.events() if e["kind"] == "resumed"]
    assert sorted(rules[2:]) == ["suspension 2 (sender shop@client.example)",
                                 "suspension 4 (domain other.example)"]
    assert told(relay, 4, "resumed")["reply"]["text"].endswith(": let go again, by an operator")
    counted = [e["seq"] for e in relay.events(id=first) if e["kind"] not in KINDS]
    assert counted == list(range(len(counted)))
    expect_kept(relay, suspended=5, resumed=4)


def test_a_suspension_that_cannot_be_saved_is_none(stage):
    relay = start(stage)
    relay.cli("queue", "suspend", "--domain", "old.example")
    relay.cli("queue", "suspend", "--domain", "older.example")
    listed = relay.cli("queue", "suspensions").stdout
    in_the_way = relay.state_dir / "suspensions.json.new"
    in_the_way.mkdir()
    for command in (("--domain", "new.example"), ("--domain", "old.example", "--for", "1h")):
        assert relay.cli("queue", "suspend", *command, check=False).returncode == 1
    assert relay.cli("queue", "suspensions").stdout == listed
    resumed = relay.cli("queue", "resume", "--domain", "old.example", check=False)
    assert resumed.returncode == 1 and "cannot be written" in resumed.stderr
    in_the_way.rmdir()
    parts.wait_for(lambda: "old.example" not in (relay.state_dir / "suspensions.json").read_text(),
                   "another try to write the file")
    told(relay, 2, "suspended")
    told(relay, 1, "resumed")
    expect_kept(relay, suspended=2, resumed=1)
    assert "older.example" in relay.cli("queue", "suspensions").stdout


def test_changes_of_the_directory_are_told_with_a_daemon_and_without(stage):
    relay = stage.ringpost()

    def changes(count):
        return relay.wait_events(count, kind="changed")
    relay.cli("tenant", "add", "shop")
    event, = changes(1)
    assert (event["class"], event["rule"], event["seq"]) == ("operator", "audit 1", None)
    assert re.match(r"tenant add shop by \d+/\w+, \d{4}-\d\d-\d\dT", event["reply"]["text"])
    relay.cli("domain", "add", "shop", "shop.example", "--active")
    assert "tenant=shop active=1" in changes(2)[1]["reply"]["text"]
    relay.stop()
    relay.cli("tenant", "set", "shop", "recipients=3")
    relay.cli("tenant", "add", "other")
    relay.start()
    assert [e["rule"] for e in changes(4)] == [f"audit {n}" for n in range(1, 5)]
    time.sleep(1)
    relay.stop()
    relay.start()  # what was told is not told again
    relay.cli("tenant", "disable", "other")
    assert [e["rule"] for e in changes(5)] == [f"audit {n}" for n in range(1, 6)]
    for n in range(120):  # more than are told at once
        relay.cli("tenant", "set", "shop", f"recipients={n + 1}")
    assert [e["rule"] for e in changes(125)] == [f"audit {n}" for n in range(1, 126)]
