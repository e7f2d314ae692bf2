"""What tenants may send in a time: rates that make mail wait, quotas that have it refused."""

import concurrent.futures
import json
import smtplib
import time

import pytest

import parts
from test_forward import Forwarder


@pytest.fixture
def relay(stage):
    """A relay whose listener's mail is the tenant shop's, on two engines."""
    receiver = stage.receiver()
    port, other = parts.free_ports(2)
    found = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
        listeners=f'[{{address: "127.0.0.1:{port}", service: submission, trust: ["127.0.0.0/8"], '
                  f'tenant: shop}}, {{address: "127.0.0.1:{other}", service: submission, '
                  f'trust: ["127.0.0.0/8"], tenant: bank}}]')
    found.port, found.other = port, other
    found.receiver = receiver
    for tenant in "shop", "bank":
        found.cli("tenant", "add", tenant)
    known(found, "shop")
    return found


def known(relay, *settings):
    """Until the daemon has seen every change so far."""
    time.sleep(0.7)


def limit(relay, *settings, tenant="shop"):
    relay.cli("tenant", "set", tenant, *settings)
    known(relay)


def send(relay, count, to="to@example.com", headers="", sessions=4, port=None, recipients=1):
    """The replies to so many messages, by some sessions at a time: the engines have some each."""
    def session(number):
        replies = []
        with smtplib.SMTP("127.0.0.1", port or relay.port, timeout=parts.PATIENCE) as smtp:
            smtp.ehlo("client.example")
            for _ in range(number, count, sessions):
                code, text = smtp.mail("a@client.example")
                for n in range(recipients if code == 250 else 0):
                    smtp.rcpt(to if recipients == 1 else f"to{n}@example.com")
                if code == 250:
                    code, text = smtp.data(f"From: <a@client.example>\r\n{headers}\r\nhello\r\n")
                else:
                    smtp.rset()
                replies.append((code, text.decode()))
        return replies
    with concurrent.futures.ThreadPoolExecutor(sessions) as pool:
        return [r for replies in pool.map(session, range(sessions)) for r in replies]


def delivered(relay):
    return [e for e in relay.events(kind="delivered")]


def seconds(event):
    whole, ms = event["time"][11:-1].split(".")
    hours, minutes, rest = whole.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + int(rest) + int(ms) / 1000


def most_in_a_second(events):
    """As the receiver's replies came: what an event's time is."""
    times = sorted(seconds(e) for e in events)
    return max(sum(1 for t in times if first <= t < first + 1) for first in times)


def test_a_rate_is_kept_exactly_by_all_engines(relay):
    limit(relay, "messages_per_second=10")
    began = time.monotonic()
    replies = send(relay, 45)
    assert {code for code, _ in replies} == {250}
    relay.wait_empty()
    took = time.monotonic() - began
    assert took > 4.3, took
    events = delivered(relay)
    assert len(events) == 45
    assert most_in_a_second(events) <= 12  # eleven by the limit, and a reply that came late
    shards = {e["id"][4:6] for e in events}
    assert shards == {"00", "01"}, shards
    waited = relay.events(kind="throttled")
    assert 35 <= len(waited) <= 44, len(waited)
    for event in waited:
        assert event["rule"] == "tenant shop messages_per_second 10"
        assert event["next_attempt_time"] > event["time"] and event["tenant"] == "shop"
        assert event["seq"] == 1 and event["recipient"] == "to@example.com"
    audit = relay.cli("events", "audit")
    assert "45" in audit.stdout


def test_explain_and_a_change_that_frees_what_waits(relay):
    limit(relay, "messages_per_second=1")
    send(relay, 30)
    status = relay.status()
    assert status["delivery"]["throttled"] >= 20
    ids = [e["id"] for e in relay.wait_events(25, kind="throttled")]
    told = json.loads(relay.cli("queue", "explain", ids[-1], "--json").stdout.splitlines()[0])
    assert told["constraint"] == "throttled", told
    assert told["rule"] == "tenant shop messages_per_second 1"
    assert told["until"] is not None and "wait" in told["detail"]
    assert "throttled" in relay.cli("trace", ids[0]).stdout
    metrics = relay.metrics()
    assert metrics["ringpost_delivery_throttled"] >= 15
    assert metrics['ringpost_tenant_throttled{tenant="shop"}'] >= 15
    relay.cli("tenant", "set", "shop", "messages_per_second=none")
    relay.wait_empty()
    assert most_in_a_second(delivered(relay)) > 5
    assert len(delivered(relay)) == 30
    assert relay.metrics()["ringpost_delivery_throttled"] == 0


def test_a_higher_rate_is_live(relay):
    limit(relay, "messages_per_second=1")
    send(relay, 60)
    relay.cli("tenant", "set", "shop", "messages_per_second=50")
    relay.wait_empty()
    assert most_in_a_second(delivered(relay)) > 5


def test_classes_have_their_turns_within_a_rate(relay):
    limit(relay, "messages_per_second=4")
    send(relay, 24, headers="X-Priority-Class: bulk\r\n")
    id = relay.submit("code@example.com", headers="X-Priority-Class: high\r\n")
    relay.wait_empty()
    order = [e["id"] for e in delivered(relay)]
    assert order.index(id) <= 16, order.index(id)


def test_a_tenant_that_waits_stops_no_other(relay):
    limit(relay, "messages_per_second=1")
    send(relay, 20)
    send(relay, 20, port=relay.other)
    parts.wait_for(lambda: len([e for e in delivered(relay) if e["tenant"] == "bank"]) == 20,
                   "the other's mail", patience=5)


def test_beyond_the_backlog_it_is_451(relay):
    limit(relay, "messages_per_second=1", "backlog=10")
    replies = send(relay, 30)
    taken = [r for r in replies if r[0] == 250]
    assert 11 <= len(taken) <= 14, replies
    refused = [text for code, text in replies if code == 451]
    assert len(refused) == 30 - len(taken)
    assert all("4.7.1" in text and "backlog of 10" in text for text in refused), refused
    assert relay.metrics()["ringpost_submission_over_backlog_total"] == len(refused)
    parts.wait_for(lambda: relay.status()["delivery"]["throttled"] < 8, "room")
    assert send(relay, 1)[0][0] == 250


def test_a_message_too_large_for_the_backlog_leaves_nothing_counted(relay):
    limit(relay, "messages_per_second=1", "backlog=5", "quota_per_day=20")
    code, text = send(relay, 1, recipients=10)[0]
    assert code == 451 and "backlog" in text
    assert send(relay, 1, recipients=5)[0][0] == 250
    relay.wait_empty()
    assert len(delivered(relay)) == 5


def test_beyond_a_quota_it_is_550(relay):
    limit(relay, "quota_per_day=10")
    replies = send(relay, 15)
    assert sorted(code for code, _ in replies) == [250] * 10 + [550] * 5, replies
    assert all("5.7.1" in text and "quota_per_day of 10" in text
               for code, text in replies if code == 550)
    assert relay.wait_events(5, kind="rejected")[0]["rule"] == "quota_per_day"
    limit(relay, "quota_per_day=12")
    assert send(relay, 1, recipients=3)[0][0] == 550  # not in part
    assert send(relay, 1, recipients=2)[0][0] == 250
    assert relay.metrics()["ringpost_submission_over_quota_total"] == 6
    limit(relay, "quota_per_day=none", "quota_per_month=13")
    assert [send(relay, 1)[0][0] for _ in range(2)] == [250, 550]


def test_what_is_refused_otherwise_uses_nothing_up(relay):
    limit(relay, "quota_per_day=2")
    for _ in range(5):
        assert send(relay, 1, headers="X-Metadata: bad\r\n")[0][0] == 550
    assert [code for code, _ in send(relay, 3, sessions=1)] == [250, 250, 550]


def test_an_hours_rate_waits_for_the_next_hour(relay):
    limit(relay, "messages_per_hour=5")
    if time.time() % 3600 > 3570:
        time.sleep(35)  # not over the end of one
    assert {code for code, _ in send(relay, 12)} == {250}
    parts.wait_for(lambda: len(delivered(relay)) == 5, "an hour's share")
    time.sleep(1)
    assert len(delivered(relay)) == 5
    waits = relay.events(kind="throttled")
    assert len(waits) == 7
    assert waits[0]["next_attempt_time"][14:19] == "00:00", waits[0]["next_attempt_time"]
    shown = relay.cli("queue", "explain", waits[0]["id"], "--json").stdout.splitlines()
    told = json.loads(shown[0])
    assert told["rule"] == "tenant shop messages_per_hour 5" and told["until"]
    relay.cli("tenant", "set", "shop", "messages_per_hour=9")
    parts.wait_for(lambda: len(delivered(relay)) == 9, "what is allowed more", patience=5)


def test_throttled_mail_can_be_cancelled_and_survives_kills(relay):
    limit(relay, "messages_per_second=1")
    send(relay, 20)
    waits = [e["id"] for e in relay.wait_events(15, kind="throttled")]
    relay.cli("queue", "cancel", waits[-1], check=False)
    assert relay.wait_events(1, kind="cancelled")[0]["id"] == waits[-1]
    relay.kill()
    relay.start()
    time.sleep(1)
    assert relay.status()["delivery"]["throttled"] >= 10
    relay.stop()  # in peace, while it waits
    relay.start()
    relay.cli("tenant", "set", "shop", "messages_per_second=none")
    relay.wait_empty()
    assert len(delivered(relay)) >= 19
    assert len({e["id"] for e in delivered(relay)}) == 19
    assert relay.cli("events", "audit").returncode == 0


def test_throttled_mail_that_becomes_too_old_expires(stage, relay):
    relay.stop()
    relay.write_config(retry="{first: 1s, max: 2s, max_age: 3s}")
    relay.start()
    limit(relay, "messages_per_hour=1")
    send(relay, 3)
    expired = relay.wait_events(2, kind="expired")
    assert "rate" in expired[0]["reply"]["text"]
    assert relay.status()["delivery"]["throttled"] == 0
    limit(relay, "messages_per_hour=none")
    assert send(relay, 1)[0][0] == 250
    relay.wait_empty()


def test_limits_are_shown_and_checked(relay):
    limit(relay, "messages_per_second=10", "weight=5", "backlog=7")
    shown = relay.cli("tenant", "show", "shop").stdout
    assert "messages_per_second" in shown and "weight" in shown
    told = json.loads(relay.cli("tenant", "show", "shop", "--json").stdout)
    assert told["limits"] == {"messages_per_second": 10, "weight": 5, "backlog": 7}
    for bad in ("weight=1001", "weight=0", "messages_per_second=-1", "messages_per_hour=1.5",
                "quota_per_day=", "messages_per_minute=3", "backlog=99999999999"):
        done = relay.cli("tenant", "set", "shop", bad, check=False)
        assert done.returncode == 64, bad


def test_counts_stay_over_stops_and_kills(relay):
    limit(relay, "quota_per_day=20", "messages_per_hour=1000")
    assert {code for code, _ in send(relay, 8)} == {250}
    relay.kill()  # nothing of it need be in the book
    relay.start()
    assert {code for code, _ in send(relay, 6)} == {250}
    relay.stop()
    relay.start()
    replies = [code for code, _ in send(relay, 10, sessions=2)]
    assert sorted(replies) == [250] * 6 + [550] * 4
    relay.wait_empty()
    time.sleep(1.2)
    used = json.loads(relay.cli("tenant", "show", "shop", "--json").stdout)["used"]
    assert used["accepted_today"] == 20 and used["sent_this_hour"] == 20, used
    assert "accepted_today" in relay.cli("tenant", "show", "shop").stdout


def used_by(relay, tenant="shop"):
    return json.loads(relay.cli("tenant", "show", tenant, "--json").stdout)["used"]


@pytest.mark.parametrize("end", ["stop", "kill", None])
def test_a_limit_counts_what_was_sent_before_it(relay, end):
    assert {code for code, _ in send(relay, 6)} == {250}
    relay.wait_empty()
    parts.wait_for(lambda: used_by(relay).get("sent_today") == 6, "the book")
    if end is not None:
        getattr(relay, end)()
        relay.start()
    limit(relay, "quota_per_day=10", "messages_per_hour=1000")
    assert sorted(code for code, _ in send(relay, 6, sessions=2)) == [250] * 4 + [550] * 2
    parts.wait_for(lambda: used_by(relay)["accepted_today"] == 10, "the book")


def metrics_of(relay, name):
    found = relay.metrics()
    return {key.split("{")[0].removeprefix(f"ringpost_{name}_").removesuffix("_total"): int(value)
            for key, value in found.items()
            if key.startswith(f"ringpost_{name}_") and key.endswith('{tenant="acme"}')}


def adds_up(counts):
    return counts["accepted"] + counts["recovered"] == counts["waiting"] + sum(
        counts[end] for end in ("delivered", "bounced", "expired", "cancelled", "named"))


def test_received_mail_waits_for_no_rate_of_its_tenant_after_a_start(stage):
    f = Forwarder(stage, accounts=("anna@acme.example",),
                  aliases=(("away@acme.example", "carol@far.example"),))
    limit(f.relay, "messages_per_hour=2", tenant="acme")
    f.relay.cli("queue", "suspend", "--domain", "*")
    got = [f.take(to="anna@acme.example") for _ in range(4)]
    on = [f.take(to="away@acme.example") for _ in range(2)]
    sent = [f.relay.submit(f"{who}@far.example", sender="anna@acme.example") for who in "abc"]
    f.relay.kill()
    f.relay.start()
    assert metrics_of(f.relay, "received")["waiting"] == 6  # named from now on
    f.relay.cli("queue", "resume", "--all")
    assert [f.final(id)["kind"] for id in got] == ["filed"] * 4
    assert {f.final(id)["kind"] for id in on} == {"delivered"}
    parts.wait_for(lambda: sum(bool(f.events(id, "delivered")) for id in sent) == 2, "two of them")
    f.arrived(f.far, 4)
    assert f.relay.metrics()['ringpost_tenant_throttled{tenant="acme"}'] == 1
    everything, received = (metrics_of(f.relay, name) for name in ("tenant", "received"))
    assert adds_up(everything) and adds_up(received), (everything, received)
    assert received["recovered"] == 6 and received["accepted"] == 2  # what was sent on
    assert received["waiting"] == 0 and received["delivered"] == 8
    assert everything["recovered"] == 9 and everything["waiting"] == 1
    # The same of what a closed segment's index says.
    f.relay.stop()
    f.relay.start()
    assert metrics_of(f.relay, "tenant")["recovered"] == 1
    assert metrics_of(f.relay, "received").get("recovered", 0) == 0


def test_what_becomes_of_received_mail_counts_to_no_rate(stage):
    f = Forwarder(stage, accounts=("anna@acme.example", "bob@acme.example"))
    (f.relay.state_dir / "mail/acme.example").mkdir(parents=True, exist_ok=True)
    (f.relay.state_dir / "mail/acme.example/anna").write_text("no directory")
    limit(f.relay, "messages_per_hour=1000", tenant="acme")
    for _ in range(3):
        id = f.take(to="anna@acme.example")
        parts.wait_for(lambda: f.events(id, "deferred"), "a try")
    f.relay.submit("bob@acme.example", sender="bob@acme.example")
    f.relay.wait_events(1, kind="filed")
    parts.wait_for(lambda: used_by(f.relay, "acme").get("accepted_today") == 1, "the book")
    time.sleep(1.2)
    assert used_by(f.relay, "acme")["sent_this_hour"] == 1, used_by(f.relay, "acme")
    received = metrics_of(f.relay, "received")
    assert adds_up(received) and received["accepted"] == received["waiting"] == 3
    assert received["deferred"] >= 3
    assert metrics_of(f.relay, "tenant")["delivered"] == 1


def test_steps_of_the_clock_give_no_more(stage, relay):
    relay.stop()
    clock = parts.WallClock(relay)
    relay.start()
    limit(relay, "quota_per_day=10")
    assert {code for code, _ in send(relay, 6)} == {250}
    clock.set(24 * 3600)
    assert sorted(code for code, _ in send(relay, 6)) == [250] * 4 + [550] * 2
    relay.stop()  # at a start the clock is believed: it is another day
    clock.set(0)
    relay.start()
    assert send(relay, 1)[0][0] == 550  # set back: nothing is forgotten
    relay.stop()
    clock.set(3 * 24 * 3600)
    relay.start()
    assert send(relay, 1)[0][0] == 250
