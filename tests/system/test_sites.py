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


def test_a_reload_keeps_what_its_change_does_not_concern(stage):
    busy = stage.receiver(lambda session, where, line: "454 4.3.2 go away" if where == "connect"
                          else None)
    other = stage.receiver()
    receiver = stage.receiver()
    targets = f'["127.0.0.1:{busy.port}", "127.0.0.1:{receiver.port}"]'
    idle = '{allow_private: ["127.0.0.0/8"], sites: [{match: "*", idle: 60s}]}'
    relay = stage.ringpost(engines="1", delivery=idle, routes=f'[{{match: "*", to: {targets}}}]')

    def deliver(count, to="a@one.example", taken=receiver):
        relay.submit(to, sender="")
        parts.wait_for(lambda: len(taken.messages) == count, f"message {count}")

    deliver(1)
    assert (len(busy.sessions), len(receiver.sessions)) == (1, 1)
    # The retry of others, a route for others, another limit: the connection and the rest stay.
    relay.write_config(
        retry="{first: 2s, max: 4s, max_age: 2h}",
        routes=f'[{{match: "two.example", to: ["127.0.0.1:{other.port}"]}}, '
               f'{{match: "*", to: {targets}}}]',
        delivery='{allow_private: ["127.0.0.0/8"], sites: [{match: "*", idle: 61s}]}')
    relay.cli("reload")
    deliver(2)
    assert (len(busy.sessions), len(receiver.sessions)) == (1, 1)
    deliver(1, "b@two.example", other)
    # A route that leads elsewhere is followed.
    relay.write_config(routes=f'[{{match: "*", to: ["127.0.0.1:{other.port}"]}}]')
    relay.cli("reload")
    deliver(2, "a@one.example", other)
    assert len(receiver.messages) == 2
    # And a limit that is stricter now counts for connections that are open already.
    relay.write_config(delivery='{allow_private: ["127.0.0.0/8"], '
                                'sites: [{match: "*", messages_per_connection: 1}]}')
    relay.cli("reload")
    before = len(other.sessions)
    for i in range(3):
        deliver(3 + i, "a@one.example", other)
    assert len(other.sessions) >= before + 2


def test_the_strictest_rule_of_a_site_counts_whichever_domain_came_first(stage):
    receiver = stage.receiver()
    relay = stage.ringpost(
        engines="1", routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
        delivery='{allow_private: ["127.0.0.0/8"], sites: [{match: wide.example, idle: 30s, '
                 'messages_per_connection: 100}, {match: narrow.example, idle: 30s, '
                 'messages_per_connection: 2}]}')
    for i, domain in enumerate(["wide", "narrow"] + ["wide"] * 6):
        relay.submit(f"a@{domain}.example", sender="")
        parts.wait_for(lambda: len(receiver.messages) == i + 1, f"message {i + 1}")
    by_session = collections.Counter(id(message.session) for message in receiver.messages)
    assert max(by_session.values()) == 2, by_session
