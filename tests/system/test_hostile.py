"""Clients that may not, that smuggle, that flood, that vanish: refused, bounded, nobody else slowed."""

import random
import socket
import struct
import threading
import time

import parts
import pytest
from rawsmtp import Raw


def start(stage, **settings):
    receiver = stage.receiver()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]', **settings)
    return receiver, relay


def test_untrusted_clients_are_told_530(stage):
    port = parts.free_port()
    _, relay = start(stage, listeners=f'[{{address: "127.0.0.1:{port}", service: submission, '
                                      'trust: ["127.0.0.2/32", "::1/128"]}]')
    with Raw(port) as raw:  # from 127.0.0.1
        assert "AUTH" not in raw.ehlo()
        assert raw.say("MAIL FROM:<a@client.example>").startswith("530 5.7.0")
        assert raw.code("RCPT TO:<a@example.com>") == "503"
        assert raw.code("DATA") == "503"
        assert raw.code("QUIT") == "221"
    with Raw(port, source="127.0.0.2") as raw:
        raw.ehlo()
        assert raw.code("MAIL FROM:<a@client.example>") == "250"
    relay.wait_events(1, kind="rejected")
    event, = relay.events(kind="rejected")
    assert event["id"] is None and event["reply"]["code"] == 530
    assert event["client"]["ip"] == "127.0.0.1"


def test_strangers_write_few_events(stage):
    """Who never showed who it is must not push the events of customers out of their files."""
    port = parts.free_port()
    _, relay = start(stage, engines="1", limits="{errors: 1000}",
                     listeners=f'[{{address: "127.0.0.1:{port}", service: submission, '
                               'trust: ["127.0.0.2/32"]}]')
    with Raw(port) as raw:  # from 127.0.0.1
        raw.ehlo()
        for i in range(300):
            assert raw.code(f"MAIL FROM:<probe{i}@client.example>") == "530"
    with Raw(port, source="127.0.0.2") as raw:
        raw.ehlo()
        for _ in range(50):
            assert raw.code("MAIL FROM:<customer@client.example> NONSENSE=1") == "555"
    rejected = relay.wait_events(70, kind="rejected")
    probes = [e for e in rejected if e["client"]["ip"] == "127.0.0.1"]
    # A minute's worth, or two where the run meets the end of one.
    assert 20 <= len(probes) <= 40 and len(rejected) - len(probes) == 50
    metrics = relay.status()["metrics"]
    assert metrics["ringpost_submission_strangers_untold_total"] == 300 - len(probes)
    assert metrics["ringpost_submission_rejected_untold_total"] == 0


def test_strangers_that_never_read_take_little_memory(stage):
    count = 100
    port = parts.free_port()
    _, relay = start(stage, engines="1",
                     listeners=f'[{{address: "127.0.0.1:{port}", service: submission, '
                               'trust: ["127.0.0.2/32"]}]')
    raws = [Raw(port) for _ in range(count)]
    before = relay.status()["metrics"]["ringpost_mail_memory_bytes"]
    for raw in raws:
        raw.socket.setblocking(False)
    for _ in range(20):
        for raw in raws:
            try:
                while raw.socket.send(b"HELP\r\n" * 10000) > 0:
                    pass
            except (BlockingIOError, ConnectionError):
                pass
        held = relay.status()["metrics"]["ringpost_mail_memory_bytes"] - before
        assert held <= count * (8192 + 2 * 4096), f"{held / count} bytes for each"
    for raw in raws:
        raw.close()


#: Ends of data that some servers took for CRLF.CRLF (SMTP smuggling, 2023), and their relatives.
SMUGGLING = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n.\r\r\n",
             b"\n.\r", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\n.\r\n", b"\r\n.\n\r\n",
             b"\r\r.\r\r"]


@pytest.fixture
def shared(stage):
    return start(stage, limits="{errors: 100}")


def test_smuggling_by_data(shared):
    receiver, relay = shared
    for i, end in enumerate(SMUGGLING):
        smuggled = (b"MAIL FROM:<evil@client.example>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\n"
                    b"From: <evil@client.example>\r\n\r\nsmuggled\r\n.\r\n")
        with Raw(relay.port) as raw:
            raw.ehlo()
            raw.open_data(f"first{i}@example.com")
            raw.tell(b"From: <raw@client.example>\r\n\r\nbody" + end + smuggled + b"QUIT\r\n")
            replies = raw.rest()
        # One reply to the content. What follows its end is run by nobody, unless a NUL alone was bad.
        codes = [line[:3] for line in replies.splitlines()]
        assert codes == ([b"554", b"221"] if b"\0" in end else [b"554"]), (end, replies)
        assert b"5.6.0" in replies
    relay.wait_empty()
    assert "victim@example.com" not in receiver.taken()
    assert not any("victim" in address for m in receiver.refused for address in m.to())


def test_bare_newlines_in_commands_and_bdat(shared):
    receiver, relay = shared
    for line in (b"NOOP\n", b"NOOP\nMAIL FROM:<e@e.example>\r\n", b"\n",
                 b"NOOP " + b"x" * 5000 + b"\nMAIL FROM:<e@e.example>\r\n"):
        with Raw(relay.port) as raw:
            raw.ehlo()
            raw.tell(line + b"\r\nQUIT\r\n")
            assert raw.reply().startswith("500 5.5.2"), line
            assert raw.rest() == b"", "nothing behind a bare LF is read as a command"
    for line in (b"NO\rOP\r\n", b"NOOP\0\r\n", b"\r\r\n", b"NOOP\r"):
        with Raw(relay.port) as raw:
            raw.ehlo()
            raw.tell(line + b"\r\nQUIT\r\n")
            assert raw.reply().startswith("500 5.5.2"), line
            assert raw.rest().splitlines()[-1].startswith(b"221"), line
    with Raw(relay.port) as raw:
        raw.ehlo()
        # BDAT content is counted, so nothing can be smuggled; a bare LF would become an end of line
        # for the next hop, so it is refused too.
        raw.code("MAIL FROM:<raw@client.example>")
        raw.code("RCPT TO:<a@example.com>")
        content = b"From: <raw@client.example>\r\n\r\nbody\n.\nMAIL FROM:<e@e.example>\r\n"
        raw.tell(b"BDAT %d LAST\r\n" % len(content) + content)
        assert raw.reply().startswith("554 5.6.0")
        assert raw.rest() == b"", "the session is over"
    relay.wait_empty()
    assert not receiver.messages


def test_overlong_lines_and_too_many_errors(stage):
    receiver, relay = start(stage, limits="{errors: 5}")
    with Raw(relay.port) as raw:
        raw.ehlo()
        raw.tell(b"NOOP " + b"x" * 3_000_000 + b"\r\n")
        assert raw.reply().startswith("500 5.5.2")
        assert raw.code("MAIL FROM:<" + "a" * 300 + "@client.example>") in ("501", "553")
        assert raw.code("MAIL FROM:<a@client.example>") == "250"
        line = b"x" * 50_000 + b".\r\n.." + b"y" * 998 + b"\r\n"
        assert raw.code("RCPT TO:<a@example.com>") == "250"
        assert raw.code("DATA") == "354"
        raw.tell(b"Subject: long\r\n\r\n" + line + b".\r\n")
        assert raw.reply().startswith("250")
        replies = [raw.code("HELLO") for _ in range(8)]
        # The one too many is answered and then told that it was.
        assert replies == ["500"] * 6 + ["421", ""]
    relay.wait_empty()
    message, = receiver.messages
    # What the client stuffed was un-stuffed once and stuffed again on the way out.
    assert message.content.endswith(b"x" * 50_000 + b".\r\n." + b"y" * 998 + b"\r\n")
    relay.write_config(limits="{line_length: 1000B}")
    relay.cli("reload")
    with Raw(relay.port) as raw:
        raw.ehlo()
        assert raw.send(b"a: b\r\n\r\n" + b"x" * 998 + b"\r\n").startswith("250")
        assert raw.send(b"a: b\r\n\r\n" + b"x" * 999 + b"\r\n").startswith("554")


def test_sessions_are_limited_per_client_and_in_total(stage):
    _, relay = start(stage, limits="{sessions: 12, sessions_per_client: 4}", engines="1")
    many = [Raw(relay.port, source="127.0.0.9") for _ in range(4)]
    assert all(raw.greeting.startswith("220") for raw in many)
    with Raw(relay.port, source="127.0.0.9") as refused:
        assert refused.greeting.startswith("421 4.7.0") and refused.rest() == b""
    for i in range(8):
        many.append(Raw(relay.port, source=f"127.0.0.{20 + i // 4}"))
        assert many[-1].greeting.startswith("220")
    with Raw(relay.port, source="127.0.0.30") as refused:
        assert refused.greeting.startswith("421 4.3.2") and refused.rest() == b""
    many[0].ehlo()  # those inside go on
    assert many[0].code("NOOP") == "250"
    many.pop().close()

    def admitted():
        with Raw(relay.port, source="127.0.0.31") as raw:
            return raw.greeting.startswith("220")
    parts.wait_for(admitted, "the place of a session that left")
    assert relay.metrics()["ringpost_smtp_sessions_refused_total"] >= 2
    for raw in many:
        raw.close()


def test_dripping_content_holds_no_space(stage):
    """Beside a client that sends a byte now and then, what was delivered goes from the spool."""
    receiver, relay = start(stage, engines="1", spool="{segment_size: 1MiB}")
    large = b"From: <raw@client.example>\r\n\r\n" + (b"x" * 76 + b"\r\n") * 6000
    body = ("y" * 76 + "\r\n") * 800
    with Raw(relay.port) as raw:
        raw.ehlo()
        raw.open_data("slow@example.com")
        raw.tell(large)
        for i in range(150):
            relay.submit(f"quick{i}@example.com", body=body)
            raw.tell(b"z")
        relay.wait_empty()
        assert relay.metrics()["ringpost_spool_segments_reclaimed_total"] > 0

        def is_reclaimed():
            raw.tell(b"z")
            return relay.status()["spool"]["segments"] <= 4
        parts.wait_for(is_reclaimed, "the segments of what was delivered to be reclaimed")
        raw.tell(b"\r\n")
        assert raw.say(b".").startswith("250")
    relay.wait_empty()
    slow, = [m for m in receiver.messages if "slow@example.com" in m.to()]
    assert large in slow.content


def test_dripping_content_is_sent_away(stage):
    _, relay = start(stage, limits="{content_timeout: 1s, content_rate: 500B, idle_commands: 5}")
    with Raw(relay.port) as raw:
        raw.ehlo()
        raw.open_data()
        raw.socket.settimeout(0.2)
        said = b""
        for _ in range(300):
            raw.tell(b"z")
            try:
                said = raw.socket.recv(1000)
                break
            except TimeoutError:
                continue
        assert said == b"421 4.4.2 The content comes too slowly, closing\r\n"
    with Raw(relay.port) as raw:
        raw.ehlo()
        assert [raw.code("NOOP") for _ in range(6)] == ["250"] * 5 + ["421"]
    metrics = relay.metrics()
    assert metrics["ringpost_smtp_content_slow_total"] == 1
    assert metrics["ringpost_smtp_too_many_idle_commands_total"] == 1


def test_strangers_wait_for_their_turn(stage):
    port = parts.free_port()
    _, relay = start(stage, listeners=f'[{{address: "127.0.0.1:{port}", service: submission, '
                                      'trust: ["127.0.0.2/32"]}]')
    with Raw(port) as raw:
        raw.tell(b"EHLO x\r\nNOOP\r\n")
        assert raw.reply() == "554 5.5.0 You talk before it is your turn; closing"
        assert raw.rest() == b""
    with Raw(port, source="127.0.0.2") as raw:
        raw.tell(b"EHLO x\r\nNOOP\r\n")
        assert raw.reply().startswith("250") and raw.reply().startswith("250")
    assert relay.metrics()["ringpost_smtp_early_talkers_total"] == 1


def hang_up(raw):
    """A reset instead of a farewell."""
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def test_disconnects_at_every_stage_leave_nothing_behind(stage):
    receiver, relay = start(stage)
    steps = [b"", b"EHLO x", b"\r\n", b"MAIL FROM:<gone@client.example>\r\n",
             b"RCPT TO:<a@example.com>\r\n", b"DATA\r\n", b"From: <gone@client.example>\r\n\r\n",
             b"half a line", b"\r\n", b".", b"\r"]
    bdat = steps[:5] + [b"BDAT 100000\r\n", b"x" * 60_000, b"x" * 40_000, b"BDAT 5 LAST\r\nab"]
    before = relay.descriptors()
    for script in (steps, bdat):
        for count in range(1, len(script) + 1):
            for leave in (Raw.close, hang_up):
                raw = Raw(relay.port, greeting=False)
                raw.tell(b"".join(script[:count]))
                leave(raw)
    parts.wait_for(lambda: relay.status()["sessions"] == 0, "all sessions to end")
    parts.wait_for(lambda: relay.descriptors() <= before + 4, "their descriptors to be closed")
    # The whole message was there, and the client did not stay for the answer: it may be taken.
    raw = Raw(relay.port, greeting=False)
    raw.tell(b"".join(steps[:5]) + b"DATA\r\na: b\r\n\r\nx\r\n.\r\n")
    raw.close()
    relay.wait_empty()
    assert set(receiver.taken()) <= {"a@example.com"} and len(receiver.messages) <= 1
    assert not receiver.refused
    relay.submit("b@example.com")
    relay.wait_events(1, recipient="b@example.com", kind="delivered")


def test_garbage_beside_good_sessions(stage):
    receiver, relay = start(stage, limits="{sessions_per_client: 200}")
    seed = int(time.time())
    print("seed", seed)
    is_over = threading.Event()
    failures = []

    def flood(number):
        noise = random.Random(seed + number)
        while not is_over.is_set():
            try:
                raw = Raw(relay.port, greeting=False, source="127.0.0.66")
                for _ in range(noise.randrange(1, 20)):
                    kind = noise.randrange(4)
                    raw.tell(noise.randbytes(noise.randrange(1, 70_000)) if kind == 0 else
                             b"MAIL FROM:<" + noise.randbytes(40) + b">\r\n" if kind == 1 else
                             b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" if kind == 2 else
                             b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nBDAT 99999999999999999999\r\n")
                raw.close()
            except OSError:
                pass
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)
                return

    threads = [threading.Thread(target=flood, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    memory = relay.memory()
    try:
        for i in range(50):
            relay.submit(f"good{i}@example.com")
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not failures
    relay.wait_empty()
    assert {f"good{i}@example.com" for i in range(50)} <= set(receiver.taken())
    assert set(receiver.taken()) == {f"good{i}@example.com" for i in range(50)}
    if not parts.is_sanitized():
        assert relay.memory() < memory + (64 << 20)


def test_http_is_shown_the_door(shared):
    _, relay = shared
    with Raw(relay.port) as raw:
        raw.tell(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nMAIL FROM:<x@y.example>\r\n")
        assert raw.reply().startswith("421") and raw.rest() == b""
