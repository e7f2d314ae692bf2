"""What a site is and what is known of it: its limit of connections, learned and set, its hosts in
their order, and what a reload keeps."""

import collections
import time

import parts

STREAMS = ("one", "two")


def queue_on_both_engines(relay, each):
    """A stream of messages for each of two engines: who has the fewest sessions gets the next."""
    with relay.smtp() as first, relay.smtp() as second:
        for smtp in (first, second):
            smtp.ehlo()
        for i in range(each):
            for stream, smtp in zip(STREAMS, (first, second)):
                smtp.sendmail("", [f"m{i}@{stream}.example"], "Subject: x\r\n\r\nhello\r\n")


def stream_of(message):
    return message.to()[0].split("@")[1].split(".")[0]


def longest_runs(messages):
    """The longest row of messages without any of each stream, while it had some to send."""
    longest = {}
    for stream in STREAMS:
        places = [i for i, message in enumerate(messages) if stream_of(message) == stream]
        longest[stream] = max(b - a for a, b in zip([-1] + places, places))
    return longest


def test_engines_take_turns_at_a_receiver_that_allows_one_connection(stage):
    refused = collections.Counter()

    def act(session, where, line):
        if where == "connect" and session.receiver.open > 1:
            refused["connect"] += 1
            return "421 4.7.0 too many connections"
        if where == "content":
            time.sleep(0.01)
        return None

    receiver = stage.receiver(act)
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]')
    each = 400
    queue_on_both_engines(relay, each)
    parts.wait_for(lambda: len(receiver.messages) == 2 * each, "every message", pause=0.2,
                   patience=120)
    relay.wait_empty()
    runs = longest_runs(receiver.messages)
    assert max(runs.values()) <= 250, runs  # a connection gives way after 100 messages
    assert not relay.events(kind="deferred")
    assert len({event["id"].split("-")[0] for event in relay.events(kind="delivered")}) == 2
    # One is asked whether more are let in every few seconds, not one for each message.
    assert refused["connect"] <= 60, refused
