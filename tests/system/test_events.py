"""Events as others read them: the record's schema."""

import json
import re
import subprocess

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
