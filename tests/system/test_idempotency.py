"""Messages that are handed in again with their key: taken once, whatever happens in between."""

import concurrent.futures
import smtplib
import time

import pytest

import parts


@pytest.fixture
def relay(stage):
    receiver = stage.receiver()
    found = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
                           spool="{segment_size: 1MiB}")
    found.receiver = receiver
    return found


def send(relay, key, to="to@example.com", sender="a@client.example", port=None, body="hello",
         extra=""):
    with smtplib.SMTP("127.0.0.1", port or relay.port, timeout=parts.PATIENCE) as smtp:
        smtp.ehlo("client.example")
        code, text = smtp.mail(sender)
        if code != 250:
            return code, text.decode()
        for address in to.split(","):
            smtp.rcpt(address)
        code, text = smtp.data(
            f"From: <{sender}>\r\nIdempotency-Key: {key}\r\n{extra}\r\n{body}\r\n".encode())
        return code, text.decode()


def test_the_second_has_the_first_ones_id_and_is_not_sent(relay):
    code, first = send(relay, "order-17")
    assert code == 250, first
    assert send(relay, "order-17", body="the same, made anew") == (250, first)
    other = send(relay, "order-18")
    assert other[0] == 250 and other[1] != first
    relay.wait_empty()
    assert len(relay.receiver.messages) == 2
    assert b"idempotency" not in relay.receiver.messages[0].content.lower()
    assert len(relay.events(kind="accepted")) == 2
    assert relay.metrics()["ringpost_submission_repeated_total"] == 1
    time.sleep(1.2)
    send(relay, "order-19")
    parts.wait_for(lambda: relay.metrics()["ringpost_idempotency_keys"] >= 3, "the count of keys")


def test_order_of_recipients_does_not_matter_and_other_ones_do(relay):
    code, first = send(relay, "k", to="a@example.com,b@example.com")
    assert send(relay, "k", to="b@example.com,a@example.com") == (250, first)
    for other in ({"to": "a@example.com"},
                  {"to": "a@example.com,b@example.com", "sender": "x@y.example"}):
        code, text = send(relay, "k", **other)
        assert code == 550 and "key" in text, text


def test_a_refused_message_leaves_its_key_free(relay):
    assert send(relay, "k", extra="X-Metadata: bad\r\n")[0] == 550
    assert send(relay, "k", extra="X-Metadata: bad\r\n")[0] == 550
    assert send(relay, "k", extra="this is no field\r\n")[0] == 554  # behind the key's turn
    assert send(relay, "k")[0] == 250
    assert send(relay, "x" * 256)[0] == 550


def test_keys_survive_stops_and_kills_and_their_segments(relay):
    known = {f"key-{n}": send(relay, f"key-{n}") for n in range(20)}
    assert {code for code, _ in known.values()} == {250}
    relay.kill()  # within the second in which nothing was written to the book
    relay.start()
    for key, reply in known.items():
        assert send(relay, key) == reply
    relay.wait_empty()
    for n in range(40):  # until the segments of the first ones are gone
        send(relay, f"big-{n}", body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 2500)
    relay.wait_empty()
    relay.stop()
    relay.start()
    assert {key: send(relay, key) for key in known} == known
    relay.kill()
    relay.start()
    assert {key: send(relay, key) for key in known} == known
    relay.wait_empty()
    assert len(relay.wait_events(60, kind="accepted")) == 60


def test_kills_at_any_moment_make_no_two_of_one(relay):
    """A client that tries each key until it is told 250, while the relay is killed."""
    done = {}

    def client(number):
        for n in range(12):
            key = f"{number}-{n}"
            while key not in done:
                try:
                    code, text = send(relay, key)
                    if code == 250:
                        done[key] = text
                except (OSError, smtplib.SMTPException):
                    time.sleep(0.05)
                    continue
                time.sleep(0.1)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, n) for n in range(4)]
        for _ in range(4):
            time.sleep(0.35)
            relay.kill()
            relay.start()
        for future in clients:
            future.result()
    relay.wait_empty()
    accepted = relay.wait_events(48, kind="accepted")
    assert len(accepted) == 48 and len(set(done.values())) == 48
    assert {e["id"] for e in accepted} == {text.split()[-1] for text in done.values()}
    assert relay.cli("events", "audit").returncode == 0


def test_at_the_same_time_on_all_engines_one_wins(relay):
    for n in range(15):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            replies = set(pool.map(lambda _: send(relay, f"race-{n}"), range(6)))
        assert len(replies) == 1 and replies.pop()[0] == 250
    relay.wait_empty()
    assert len(relay.events(kind="accepted")) == 15


def test_keys_are_their_tenants_own_and_cost_no_quota_twice(stage):
    receiver = stage.receiver()
    shop, bank = parts.free_ports(2)
    relay = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
        listeners="[" + ", ".join(
            f'{{address: "127.0.0.1:{port}", service: submission, trust: ["127.0.0.0/8"], '
            f'tenant: {name}}}' for name, port in (("shop", shop), ("bank", bank))) + "]")
    for name in "shop", "bank":
        relay.cli("tenant", "add", name)
    relay.cli("tenant", "set", "shop", "quota_per_day=2")
    time.sleep(0.7)
    first, other = send(relay, "k", port=shop), send(relay, "k", port=bank)
    assert first[0] == other[0] == 250 and first != other
    for _ in range(3):
        assert send(relay, "k", port=shop) == first
    assert send(relay, "l", port=shop)[0] == 250
    assert send(relay, "m", port=shop)[0] == 550


def test_a_day_later_it_is_another_message(stage):
    receiver = stage.receiver()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]')
    relay.stop()
    clock = parts.WallClock(relay)
    relay.start()
    first = send(relay, "k")
    clock.set(25 * 3600)  # while it runs a step makes nothing older
    assert send(relay, "k") == first
    clock.set(0)
    relay.wait_empty()
    relay.stop()
    clock.set(23 * 3600)
    relay.start()
    assert send(relay, "k") == first
    relay.stop()
    clock.set(-3600)
    relay.start()
    assert send(relay, "k") == first
    relay.stop()
    clock.set(25 * 3600)
    relay.start()
    again = send(relay, "k")
    assert again[0] == 250 and again != first
