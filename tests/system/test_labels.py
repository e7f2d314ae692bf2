"""What submitters say of their mail in header fields that are for us alone."""

import json

import pytest

import parts


@pytest.fixture
def relay(stage):
    receiver = stage.receiver()
    found = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
                           labels="{tags: X-Labels}")
    found.receiver = receiver
    return found


def sent(relay, headers):
    """The events of a message with these fields, and its content as it came."""
    id = relay.submit("to@example.com", headers=headers)
    relay.wait_empty()
    message = parts.wait_for(lambda: relay.receiver.messages, "a message") and \
        relay.receiver.messages.pop()
    return relay.events(id=id), message.content


def refused(relay, headers):
    with relay.smtp() as smtp:
        smtp.ehlo("client.example")
        smtp.mail("a@client.example")
        smtp.rcpt("to@example.com")
        code, text = smtp.data(f"From: <a@client.example>\r\n{headers}\r\nhello\r\n".encode())
        return code, text.decode()


def test_labels_are_in_events_and_out_of_the_mail(relay):
    events, content = sent(relay, "X-Priority-Class: High\r\nX-Campaign: spring fün\r\n"
                           "X-Labels: a, b,, c d\r\n"
                           "X-Metadata: {\"order\": 17,\r\n \"who\": {\"name\": \"x\"}}\r\n"
                           "X-Tags: not ours here\r\n")
    assert [e["kind"] for e in events] == ["accepted", "delivered"]
    for event in events:
        assert event["tags"] == ["a", "b", "c d"]
        assert event["metadata"] == {"order": 17, "who": {"name": "x"}}
        assert event["campaign"] == "spring fün"
    head = content.split(b"\r\n\r\n")[0].lower()
    for name in b"x-priority-class", b"x-campaign", b"x-labels", b"x-metadata":
        assert name not in head, head
    assert b"x-tags: not ours here" in head
    assert relay.events()  # held against the schema


def test_tags_as_json_and_the_filter_by_tag(relay):
    events, _ = sent(relay, 'X-Labels: ["one", "two"]\r\n')
    assert events[0]["tags"] == ["one", "two"]
    sent(relay, "X-Labels: three\r\n")
    shown = relay.cli("events", "--tag", "two", "--json").stdout.splitlines()
    assert {json.loads(line)["id"] for line in shown} == {events[0]["id"]}


def test_fields_that_say_nothing_are_no_labels(relay):
    events, content = sent(relay, "X-Campaign:\r\nX-Labels: ,\r\nX-Metadata: \r\n")
    assert (events[0]["campaign"], events[0]["tags"], events[0]["metadata"]) == (None,) * 3
    assert b"x-campaign" not in content.lower()


@pytest.mark.parametrize("headers, why", [
    ("X-Priority-Class: urgent\r\n", "X-Priority-Class is none of high, normal and bulk"),
    ("X-Priority-Class: high\r\nx-priority-class: bulk\r\n", "X-Priority-Class stands more than"),
    ("X-Priority-Class: " + "h" * 50 + "\r\n", "X-Priority-Class is too long"),
    ("X-Campaign: " + "c" * 300 + "\r\n", "X-Campaign is too long"),
    ("X-Campaign: a\x01b\r\n", "X-Campaign is not printable"),
    ("X-Metadata: [1]\r\n", "X-Metadata is no JSON object"),
    ('X-Metadata: {"a": 1,}\r\n', "X-Metadata is no JSON object"),
    ('X-Metadata: {"a": "' + "x" * 1100 + '"}\r\n', "X-Metadata is too long"),
    ("X-Labels: " + "t" * 101 + "\r\n", "X-Labels has a tag of more"),
    ("X-Labels: " + ",".join("abcdefghijklmnopqrstuvwxyz1234567") + "\r\n", "X-Labels has more"),
    ('X-Labels: ["a", 1]\r\n', "X-Labels is no JSON array"),
])
def test_what_cannot_be_read_is_refused_by_name(relay, headers, why):
    code, text = refused(relay, headers)
    assert code == 550 and text.startswith("5.6.0 " + why), text
    assert relay.wait_events(1, kind="rejected")[0]["rule"] == "labels"
    assert relay.status()["queue"]["messages"] == 0


def test_the_class_is_the_one_of_the_field(stage, relay):
    relay.cli("queue", "suspend", "--domain", "held.example")
    id = relay.submit("to@held.example", headers="X-Priority-Class: bulk\r\n")
    dumped = relay.cli("queue", "show", id, check=False)
    assert dumped.returncode == 0
    relay.stop()
    found = relay.cli("spool", "dump").stdout
    assert "class=bulk" in found or '"class":"bulk"' in found or '"class": "bulk"' in found, found


def test_names_of_labels_are_checked(relay):
    for bad in "Subject", "Content-Type", "no name", "From", "X-Campaign":
        relay.write_config(labels=f"{{tags: {bad}}}")
        done = relay.cli("check", check=False)
        assert done.returncode != 0 and "labels" in done.stdout + done.stderr, done
