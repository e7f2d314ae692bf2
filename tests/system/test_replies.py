"""What a receiver answers, and what becomes of the mail: 4xx then 250, wrong codes, replies without
end, silence, connections lost at every stage. Nothing is lost, nothing grows, nobody else waits."""

import asyncio
import collections
import random

import parts
import pytest
from receiver import CLOSE, RESET, SILENT, Drip, Endless

STAGES = ("connect", "ehlo", "mail", "rcpt", "data", "content")
PLAIN = ("PIPELINING", "8BITMIME")  # without CHUNKING there is a DATA

#: Each message has a connection of its own, and no other engine has one.
ONE_EACH = {"engines": "1", "delivery": '{allow_private: ["127.0.0.0/8"], sites: [{match: "*", '
                                        'messages_per_connection: 1}]}'}


def start(stage, act, extensions=None, **settings):
    options = {} if extensions is None else {"extensions": extensions}
    receiver = stage.receiver(act, **options)
    settings.setdefault("routes", f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]')
    return receiver, stage.ringpost(**settings)


def keep_waking(relay, count, patience=parts.PATIENCE):
    """Hosts that failed rest for half a minute and more: an operator wakes them."""
    def all_delivered():
        relay.cli("queue", "retry", "--domain", "*")
        return len(relay.events(kind="delivered")) >= count
    parts.wait_for(all_delivered, f"{count} deliveries", patience=patience, pause=0.5)


def test_greylisting_takes_the_second_try(stage):
    seen = collections.Counter()

    def act(session, where, line):
        if where == "rcpt":
            seen[line] += 1
            if seen[line] == 1:
                return "451 4.7.1 Greylisted, come back in 300 seconds"
        return None

    receiver, relay = start(stage, act)
    relay.submit([f"user{i}@example.com" for i in range(20)])
    relay.wait_events(20, kind="delivered")
    deferred = relay.events(kind="deferred")
    assert len(deferred) == 20 and {e["class"] for e in deferred} == {"greylisting"}
    assert {e["attempt"]["number"] for e in relay.events(kind="delivered")} == {2}
    assert sorted(receiver.taken()) == sorted(f"user{i}@example.com" for i in range(20))


def test_a_transaction_with_every_answer(stage):
    """Some 250, some 450, some 550 of one message; the content is sent once, for those taken."""
    def act(session, where, line):
        if where == "rcpt" and "@c.example" in line:
            kind = line.split("<")[1][:4]
            return {"good": None, "soft": "450 4.2.1 busy", "hard": "550 5.1.1 nobody",
                    "move": "251 2.1.5 will forward", "cant": "252 2.1.5 cannot say"}[kind]
        return None

    receiver, relay = start(stage, act, retry="{first: 1h}")
    kinds = ("good", "soft", "hard", "move", "cant")
    to = [f"{kind}{i}@c.example" for i in range(10) for kind in kinds]
    relay.submit(to, sender="")
    relay.wait_events(30, kind="delivered")
    relay.wait_events(10, kind="bounced")
    relay.wait_events(10, kind="deferred")
    message, = receiver.messages
    assert sorted(message.to()) == sorted(a for a in to if a[:4] in ("good", "move", "cant"))
    session = message.session
    assert [line[:4] for line in session.lines[:3]] == ["EHLO", "MAIL", "RCPT"]
    assert session.ehlo == "mta1.ringpost.example"


def test_nobody_taken_means_no_content(stage):
    def act(session, where, line):
        return "550 5.1.1 nobody" if where == "rcpt" else None

    for extensions in (None, ("PIPELINING",), ()):
        receiver, relay = start(stage, act, extensions)
        relay.submit([f"u{i}@c.example" for i in range(5)], sender="")
        relay.wait_events(5, kind="bounced")
        relay.wait_empty()
        assert not receiver.messages and not receiver.refused and not receiver.errors
        relay.stop()


def test_lost_connections_at_every_stage(stage):
    left = collections.Counter({(where, how): 2 for where in STAGES for how in ("close", "reset")})
    current = [("connect", "close")]

    def act(session, where, line):
        here = current[0]
        if where == here[0] and left[here] > 0:
            left[here] -= 1
            return CLOSE if here[1] == "close" else RESET
        return None

    receiver, relay = start(stage, act, PLAIN, **ONE_EACH)
    for number, here in enumerate(sorted(left)):
        current[0] = here
        message_id = relay.submit(f"user{number}@example.com", sender="")
        deferred = relay.wait_events(1, id=message_id, kind="deferred")[0]
        assert deferred["reply"]["from"] == "relay" and deferred["next_attempt_time"], here
        current[0] = (None, None)
        keep_waking(relay, number + 1)
    relay.wait_empty()
    assert sorted(set(receiver.taken())) == sorted(f"user{i}@example.com" for i in range(len(left)))
    # Lost behind the content: it may have been taken, so it may come twice, and is counted.
    assert relay.metrics()["ringpost_delivery_unknown_total"] >= 2


def test_421_anywhere_defers(stage):
    current = [None]

    def act(session, where, line):
        return "421 4.3.2 going down" if where == current[0] else None

    receiver, relay = start(stage, act, PLAIN, **ONE_EACH)
    for number, where in enumerate(STAGES):
        current[0] = where
        message_id = relay.submit(f"user{number}@example.com", sender="")
        deferred = relay.wait_events(1, id=message_id, kind="deferred")[0]
        assert deferred["reply"]["code"] == 421, (where, deferred["reply"])
        assert "going down" in deferred["reply"]["text"]
        current[0] = None
        keep_waking(relay, number + 1)
    assert len(receiver.taken()) == len(STAGES)
    assert not relay.events(kind="bounced")


WRONG = {
    "connect": [b"garbage\r\n", b"999 what\r\n", b"\x00\xff\xfe\r\n", b"354 not a greeting\r\n",
                b"\r\n" * 50, b"22\r\n", b"220-a\r\n221 other code\r\n"],
    "ehlo": [b"354 what\r\n", b"250-\r\n2500 x\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "mail": [b"354 go on\r\n", b"abc\r\n", b"250-x\r\n450 y\r\n", b"100 x\r\n"],
    "rcpt": [b"354 x\r\n", b"200\x00\r\n"],
    "data": [b"250 taken?\r\n", b"299 x\r\n"],
    "content": [b"354 more?\r\n", b"nonsense\r\n", b"600 x\r\n"],
}


def test_wrong_codes_and_garbage_defer(stage):
    current = [None, None]

    def act(session, where, line):
        return current[1] if where == current[0] else None

    for extensions in (("PIPELINING",), ("CHUNKING",)):
        receiver, relay = start(stage, act, extensions, **ONE_EACH)
        number = 0
        for where, answers in WRONG.items():
            if where == "data" and "CHUNKING" in extensions:
                continue
            for answer in answers:
                current[:] = [where, answer]
                message_id = relay.submit(f"user{number}@example.com", sender="")
                found = parts.wait_for(
                    lambda i=message_id: [e for e in relay.events(id=i) if e["kind"] != "accepted"],
                    f"an outcome after {answer} to {where}", pause=0.1)
                assert found[0]["kind"] == "deferred", (where, answer, found[0])
                current[:] = [None, None]
                number += 1
                keep_waking(relay, number)
        assert not receiver.errors and relay.status()["unheld"] == 0
        relay.stop()


@pytest.mark.parametrize("where", ["connect", "ehlo", "mail", "content"])
def test_replies_without_end_cost_little(stage, where):
    """3 GB of reply lines are offered; the connection is given up after a bounded number of them."""
    code = {"connect": b"220", "ehlo": b"250", "mail": b"250", "content": b"250"}[where]
    lines = [code + b"-" + b"x" * 400 + b"\r\n", b"y" * 4000, code + b"-ok\r\n", b"\r\n"]
    floods = [stage.receiver(lambda session, now, _, line=line:
                             Endless(line, 3 << 30) if now == where else None) for line in lines]
    fine = stage.receiver()
    routes = [f'{{match: "d{i}.example", to: ["127.0.0.1:{flood.port}"]}}'
              for i, flood in enumerate(floods)]
    relay = stage.ringpost(
        routes=f'[{", ".join(routes)}, {{match: "*", to: ["127.0.0.1:{fine.port}"]}}]')
    memory = relay.memory()
    for i in range(len(lines)):
        relay.submit(f"a@d{i}.example", sender="")
    for i in range(20):
        message_id = relay.submit(f"good{i}@other.example")
        parts.wait_for(lambda: len(fine.messages) > i, "a delivery beside the flood", pause=0.01)
    relay.wait_events(1, id=message_id, kind="delivered")
    deferred = relay.wait_events(len(lines), kind="deferred")
    assert {e["reply"]["from"] for e in deferred} == {"relay"}
    sent = max(session.bytes_sent for flood in floods for session in flood.sessions)
    assert sent < 64 << 20, f"{sent} bytes of replies were taken"
    if not parts.is_sanitized():
        assert relay.memory() - memory < 32 << 20


def test_silence_ends_in_time_and_slow_replies_do_not(stage):
    """The times of RFC 5321 are minutes; here only the connection's own time is short."""
    silent = stage.receiver(lambda session, where, line: SILENT if where == "connect" else None)
    drip = stage.receiver(lambda session, where, line:
                          Drip(b"250 2.0.0 slow\r\n", 0.05) if where in ("mail", "content") else None)
    full = parts.socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    fill = []
    for _ in range(4):  # the backlog is full: further connections are not answered
        client = parts.socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
        fill.append(client)
    relay = stage.ringpost(
        routes=f'[{{match: full.example, to: ["127.0.0.1:{port}"]}}, '
               f'{{match: silent.example, to: ["127.0.0.1:{silent.port}"]}}, '
               f'{{match: "*", to: ["127.0.0.1:{drip.port}"]}}]',
        delivery='{allow_private: ["127.0.0.0/8"], connect_timeout: 2s}', stop_timeout="1s")
    relay.submit("a@full.example", sender="")
    relay.submit("a@silent.example", sender="")
    relay.submit("a@slow.example", sender="")
    delivered = relay.wait_events(1, recipient="a@slow.example", kind="delivered")[0]
    assert delivered["attempt"]["times"]["envelope_ms"] >= 500
    deferred = relay.wait_events(1, recipient="a@full.example", kind="deferred")[0]
    assert deferred["class"] == "connection" and deferred["rule"] == "connect-timeout"
    explained = relay.cli("queue", "explain", "--domain", "silent.example").stdout
    assert "silent.example" in explained
    for client in [*fill, full]:
        client.close()
    relay.stop()  # breaks off the attempt that waits for a greeting, which may take five minutes
    relay.start()
    assert relay.status()["queue"]["recipients"] == 2


def test_connections_are_reused_and_limited(stage):
    receiver, relay = start(stage, lambda session, where, line: None,
                            delivery='{allow_private: ["127.0.0.0/8"], sites: [{match: "*", '
                                     'connections: 3, messages_per_connection: 20, recipients: 7}]}')
    for i in range(90):
        relay.submit(f"user{i}@example.com", sender="")
    relay.submit([f"many{i}@example.com" for i in range(30)], sender="")
    relay.wait_empty()
    assert len(receiver.taken()) == 120 and receiver.open_max <= 3
    by_session = collections.Counter(id(m.session) for m in receiver.messages)
    assert max(by_session.values()) <= 20 and len(receiver.sessions) <= 40
    assert max(len(m.to()) for m in receiver.messages) == 7
    assert all(s.lines[-1] == "QUIT" for s in receiver.sessions if not s.is_open)


def test_the_next_target_takes_over(stage):
    receiver = stage.receiver()
    busy = stage.receiver(lambda session, where, line: "554 5.3.2 go away" if where == "connect"
                          else None)
    dead = parts.free_port()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{dead}", "127.0.0.1:{busy.port}",'
                                  f' "127.0.0.1:{receiver.port}"]}}]')
    for i in range(10):
        relay.submit(f"user{i}@example.com", sender="")
    parts.wait_for(lambda: len(receiver.taken()) == 10, "10 deliveries", pause=0.01)
    # Connections that were opened side by side learn it together; from then on the host rests.
    learned = len(busy.sessions)
    assert 1 <= learned <= 10
    for i in range(10, 20):
        relay.submit(f"user{i}@example.com", sender="")
    parts.wait_for(lambda: len(receiver.taken()) == 20, "10 more deliveries", pause=0.01)
    relay.wait_empty()
    assert len(busy.sessions) <= learned + 1, "an engine that had not met it yet may, once"
    assert not relay.events(kind="bounced")


def test_421_to_mail_rests_after_a_few_connections(stage):
    """A peer that greets all and hangs up on all gets a bounded number of connections, not one for
    each message; later it gets the mail."""
    is_closed = [True]

    def act(session, where, line):
        return "421 4.7.0 not today" if where == "mail" and is_closed[0] else None

    receiver, relay = start(stage, act, engines="1", retry="{first: 1s, max: 2s, max_age: 1h}")
    for i in range(150):
        relay.submit(f"user{i}@example.com", sender="")
    relay.wait_events(3, kind="deferred")
    parts.wait_for(lambda: relay.status()["delivery"]["in_attempt"] == 0, "the end of all attempts")
    assert len(receiver.sessions) <= 40, f"{len(receiver.sessions)} connections for 150 messages"
    is_closed[0] = False
    keep_waking(relay, 150)
    assert sorted(receiver.taken()) == sorted(f"user{i}@example.com" for i in range(150))


@pytest.mark.parametrize("extensions", [None, ("PIPELINING", "CHUNKING")])
def test_a_second_reply_to_the_end_of_data_loses_nothing(stage, extensions):
    """The peer answers the end of data twice, the second time when the next message is already on
    its way. Whatever that one is told, what is called delivered was taken."""
    refused = {f"user{i}@example.com" for i in range(0, 60, 3)}
    owed = set()

    def act(session, where, line):
        if where == "mail" and session in owed:
            owed.remove(session)
            session.writer.write(b"250 2.0.0 and again\r\n")
        if where != "content":
            return None
        owed.add(session)
        is_refused = session.message.recipients[0][0] in refused
        return "550 5.7.1 not this one" if is_refused else None

    receiver, relay = start(stage, act, extensions, engines="1")
    for i in range(60):
        relay.submit(f"user{i}@example.com", sender="")
    parts.wait_for(lambda: relay.cli("queue", "retry", "--domain", "*") is not None and
                   len({e["recipient"] for e in relay.events()
                        if e["kind"] in ("delivered", "bounced")}) == 60,
                   "an end of every message", pause=0.5)
    delivered = {e["recipient"] for e in relay.events(kind="delivered")}
    bounced = {e["recipient"] for e in relay.events(kind="bounced")}
    assert delivered <= set(receiver.taken())
    assert bounced == refused


@pytest.mark.parametrize("extensions", [None, ("PIPELINING", "CHUNKING")])
def test_second_replies_at_any_moment_are_believed_once_at_most(stage, extensions):
    """The second reply to an end of data comes within 20 ms, wherever the next message is then. Only
    the site's first one may be taken for the word on another: from then on each has a connection."""
    rng = random.Random(1)
    refused = {f"user{i}@example.com" for i in range(0, 60, 3)}

    def act(session, where, line):
        if where != "content":
            return None
        is_refused = session.message.recipients[0][0] in refused

        async def again():
            await asyncio.sleep(rng.uniform(0, 0.02))
            session.writer.write(b"550 5.7.1 nor now\r\n" if is_refused else b"250 2.0.0 and again\r\n")

        asyncio.ensure_future(again())
        return "550 5.7.1 not this one" if is_refused else None

    receiver, relay = start(stage, act, extensions, engines="1")
    for i in range(60):
        relay.submit(f"user{i}@example.com", sender="")
    parts.wait_for(lambda: relay.cli("queue", "retry", "--domain", "*") is not None and
                   len({e["recipient"] for e in relay.events()
                        if e["kind"] in ("delivered", "bounced")}) == 60,
                   "an end of every message", pause=0.5)
    delivered = {e["recipient"] for e in relay.events(kind="delivered")}
    bounced = {e["recipient"] for e in relay.events(kind="bounced")}
    assert len(delivered & refused) + len(bounced - refused) <= 1
    assert len(receiver.taken()) <= 40 + 2, "sent again"
