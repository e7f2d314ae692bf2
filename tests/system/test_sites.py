"""What a site is and what is known of it: its limit of connections, learned and set, its hosts in
their order, and what a reload keeps."""

import collections
import json
import smtplib
import threading
import time

import names
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


def answer_loopback(query):
    """Every name is at 127.0.0.1 and has nothing else."""
    end = query.index(b"\0", 12) + 5
    found = query[end - 4:end] == b"\0\1\0\1"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if found else b""
    return query[:2] + b"\x81\x80\0\1" + (b"\0\1" if found else b"\0\0") + b"\0" * 4 \
        + query[12:end] + record


def test_sites_of_one_provider_share_its_limit_over_engines(stage):
    """Two customers' hosts, one provider: whoever opens, both together never have more."""
    seen = collections.Counter()
    receivers = []

    def act(session, where, line):
        if where == "connect":
            seen["most"] = max(seen["most"], sum(receiver.open for receiver in receivers))
        if where == "rcpt":
            time.sleep(0.05)

    receivers += [stage.receiver(act), stage.receiver(act)]
    server = stage.add(names.Liar(answer_loopback))
    routes = ", ".join(f'{{match: {stream}.example, to: ["{stream}.mx.loop.example:'
                       f'{receiver.port}"]}}' for stream, receiver in zip(STREAMS, receivers))
    relay = stage.ringpost(
        engines="2", routes=f"[{routes}]", dns=f'{{servers: ["127.0.0.1:{server.port}"]}}',
        delivery='{allow_private: ["127.0.0.0/8"], sites: [{provider: loop, connections: 3}], '
                 'providers: [{name: loop, mx: ["*.mx.loop.example"]}]}')
    queue_on_both_engines(relay, 60)
    parts.wait_for(lambda: all(len(receiver.messages) == 60 for receiver in receivers), "the mail")
    assert 2 <= seen["most"] <= 3, seen
    assert relay.metrics()['ringpost_site_delivered_total{site="loop"}'] == 120
    sites = [json.loads(line) for line in
             relay.cli("status", "--sites", "--json").stdout.splitlines()]
    assert {site["provider"] for site in sites} == {"loop"}, sites
    for site in sites:
        assert site["limits"]["connections"] == {
            "max": 3, "rule": "delivery.sites[0] (provider loop)"}


def test_the_rate_of_a_provider_goes_to_high_mail_first_whichever_site_it_is_for(stage):
    """And a reload without that rate lets all that waits for it go."""
    receiver = stage.receiver()
    server = stage.add(names.Liar(answer_loopback))
    domains = [f"d{i}.example" for i in range(12)]
    routes = ", ".join(f'{{match: {domain}, to: ["mx{i}.mx.loop.example:{receiver.port}"]}}'
                       for i, domain in enumerate(domains))
    providers = 'providers: [{name: loop, mx: ["*.mx.loop.example"]}]'
    relay = stage.ringpost(
        engines="2", routes=f"[{routes}]", dns=f'{{servers: ["127.0.0.1:{server.port}"]}}',
        delivery='{allow_private: ["127.0.0.0/8"], sites: [{provider: loop, rate: 2/s}], '
                 + providers + "}")
    with relay.smtp() as first, relay.smtp() as second:
        for smtp in (first, second):
            smtp.ehlo()
            for domain in domains[1:] * 3:
                smtp.sendmail("", [f"a@{domain}"],
                              "Subject: x\r\nX-Priority-Class: bulk\r\n\r\nhello\r\n")
    parts.wait_for(lambda: len(receiver.messages) >= 4, "the first bulk")
    for i, domain in enumerate((domains[0], domains[5], domains[0])):
        relay.submit(f"high{i}@{domain}", sender="", headers="X-Priority-Class: high\r\n")
        before = len(receiver.messages)
        parts.wait_for(lambda: any(message.to() == [f"high{i}@{domain}"]
                                   for message in receiver.messages), "the high mail")
        place = [message.to()[0] for message in receiver.messages].index(f"high{i}@{domain}")
        assert place <= before + 2, (place, before)
    assert len(receiver.messages) < 30
    relay.write_config(delivery='{allow_private: ["127.0.0.0/8"], ' + providers + "}")
    relay.cli("reload")
    parts.wait_for(lambda: len(receiver.messages) == 69, "all the rest")
    relay.wait_empty()
    times = sorted(e["time"] for e in relay.wait_events(69, kind="delivered"))
    assert max(collections.Counter(time[:19] for time in times).values()) > 6  # two a second by it


def test_a_reload_changes_the_rate_of_who_waits_and_a_stop_leaves_nobody_waiting(stage):
    receiver = stage.receiver()
    server = stage.add(names.Liar(answer_loopback))
    domains = [f"d{i}.example" for i in range(30)]
    routes = ", ".join(f'{{match: {domain}, to: ["mx{i}.mx.loop.example:{receiver.port}"]}}'
                       for i, domain in enumerate(domains))

    def delivery(rate):
        return ('{allow_private: ["127.0.0.0/8"], '
                f"sites: [{{provider: loop, connections: 100, rate: {rate}}}], "
                'providers: [{name: loop, mx: ["*.mx.loop.example"]}]}')

    relay = stage.ringpost(engines="2", routes=f"[{routes}]", delivery=delivery("1/h"),
                           dns=f'{{servers: ["127.0.0.1:{server.port}"]}}')
    with relay.smtp() as first, relay.smtp() as second:
        for smtp in (first, second):
            smtp.ehlo()
            for domain in domains * 2:
                smtp.sendmail("", [f"a@{domain}"], "Subject: x\r\n\r\nhello\r\n")
    for rate, a_second in (("5/s", 5), ("1/h", 0), ("10/s", 10)):
        relay.write_config(delivery=delivery(rate))
        relay.cli("reload")
        time.sleep(0.5)
        before, began = len(receiver.messages), time.monotonic()
        time.sleep(2)
        parts.wait_for(lambda: len(receiver.messages) >= before + 2 * a_second - 2, rate)
        came = len(receiver.messages) - before
        assert came <= a_second * (time.monotonic() - began) + 2, rate
    relay.stop()  # far from the 1 h that some would wait
    assert len(receiver.messages) < 100


def test_a_source_that_comes_or_goes_leaves_the_others_alone(stage):
    refused = collections.Counter()

    def act(session, where, line):
        if where == "connect" and session.receiver.open > 1:
            refused["connect"] += 1
            return "421 4.7.0 too many connections from you"
        if where == "rcpt":
            time.sleep(0.05)
        return None

    receiver = stage.receiver(act)
    here = '{name: here, address: 127.0.0.1}'
    relay = stage.ringpost(
        engines="1", sources=f"[{here}]", routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
        delivery='{allow_private: ["127.0.0.0/8"], sites: [{match: "*", idle: 60s}]}')

    def own():
        line = relay.cli("status", "--sites", "--json").stdout.splitlines()[0]
        return {source["source"]: source["own"] for source in json.loads(line)["sources"]}

    for i in range(20):
        relay.submit(f"m{i}@one.example", sender="")
    parts.wait_for(lambda: len(receiver.messages) == 20, "the mail")
    assert refused["connect"] and own()["here"]["allowed"], own()
    taught = own()["here"]["allowed"]
    sessions = len(receiver.sessions)
    # Weight 1 of 1,000,001: nothing will be sent from it.
    relay.write_config(sources='[{name: here, address: 127.0.0.1, weight: 1000000}, '
                               '{name: there, address: 127.0.0.2}]')
    relay.cli("reload")
    assert own()["here"] == {"connections": 1, "allowed": taught, "resting_until": None}
    assert own()["there"] == {"connections": 0, "allowed": None, "resting_until": None}
    relay.submit("after@one.example", sender="")
    parts.wait_for(lambda: len(receiver.messages) == 21, "mail after the reload")
    relay.write_config(sources=f"[{here}]")
    relay.cli("reload")
    assert set(own()) == {"here"} and own()["here"]["allowed"] == taught
    relay.submit("again@one.example", sender="")
    parts.wait_for(lambda: len(receiver.messages) == 22, "mail after the next")
    assert len(receiver.sessions) == sessions
    # The one that carries everything goes: what was idle ends, the new one takes over.
    relay.write_config(sources='[{name: there, address: 127.0.0.2}]')
    relay.cli("reload")
    parts.wait_for(lambda: receiver.open == 0, "the end of the connection")
    last = relay.submit("last@one.example", sender="")
    assert relay.wait_events(1, id=last, kind="delivered")[0]["egress"]["source"] == "there"


def test_another_tenants_message_on_the_other_engine_takes_the_next_slot(stage):
    """A site that takes one message after another: who has much there, and who has one."""
    is_there = threading.Event()  # what waits, all of it: nothing is taken before

    def take(session, where, line):
        if where == "content":
            is_there.wait(parts.PATIENCE)
            time.sleep(0.01)

    receiver = stage.receiver(take)
    ports = parts.free_ports(2)
    tenants = ("many", "small")
    listeners = ", ".join(
        f'{{address: "127.0.0.1:{port}", service: submission, trust: ["127.0.0.0/8"], '
        f'tenant: {tenant}}}' for port, tenant in zip(ports, tenants))
    relay = stage.ringpost(
        engines="2", listeners=f"[{listeners}]",
        routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
        delivery='{allow_private: ["127.0.0.0/8"], sites: [{match: "*", connections: 1, '
                 'messages_per_connection: 100000}]}')
    for tenant in tenants:
        relay.cli("tenant", "add", tenant)
    time.sleep(0.7)
    tries, each, waits = 60, 700, []
    with smtplib.SMTP("127.0.0.1", ports[0], timeout=parts.PATIENCE) as many, \
            smtplib.SMTP("127.0.0.1", ports[1], timeout=parts.PATIENCE) as small:
        for i in range(each):
            many.sendmail("", [f"m{i}@one.example"], "Subject: x\r\n\r\nhello\r\n")
        is_there.set()
        for i in range(tries):
            to = f"s{i}@two.example"
            small.sendmail("", [to], "Subject: x\r\n\r\nhello\r\n")
            before = len(receiver.messages)
            # Of all of them: it may have been there before its 250 was read.
            parts.wait_for(lambda: any(m.to() == [to] for m in receiver.messages), to, pause=0.01)
            place = [m.to() for m in receiver.messages].index([to])
            waits.append(place - before)
            parts.wait_for(lambda: len(receiver.messages) > place + 1, "one of the others",
                           pause=0.01)
    assert len(receiver.messages) < each + tries  # they have waited all the time
    assert sorted(waits)[tries * 98 // 100] <= 2, waits  # one that was on its way, and one beside
    assert len({event["id"].split("-")[0] for event in relay.events(kind="accepted")}) == 2
