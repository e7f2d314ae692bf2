"""Delivery to servers that nobody here wrote: Postfix with and without its extensions, smtp-sink with
its rejections. And byte for byte: what is handed in is what arrives."""

import collections
import random
import re
import time

import parts
from rawsmtp import Raw

#: Lines at which transparency, line limits and look-alikes of an end go wrong.
AWKWARD = b"\r\n".join([
    b"Subject: awkward", b"From: <a@client.example>", b"X-Long: " + b"h" * 900, b"",
    b".", b"..", b"...", b". ", b".\t.", b"", b"", b"MAIL FROM:<x@y.example>", b"QUIT",
    b"." + b"d" * 997, b"x" * 998, b"y" * 999, b"z" * 5000, b"." * 3000,
    b"trailing space   ", b"\ttab", b"From the beginning", b">From here",
    "Grüße, 日本語".encode(), bytes(range(128, 256)), b"\x01\x02\x7f\x1b", b"", b".", b""])


def awkward_bodies():
    """Contents whose end, length and place of dots vary."""
    noise = random.Random(5)
    yield AWKWARD
    yield AWKWARD + b".\r\n"
    for size in (1, 100, 4095, 4096, 4097, 65_535, 131_072, 200_000, 3_000_000):
        lines = []
        length = 0
        while length < size:
            line = noise.choice([b"", b".", b"." * noise.randrange(1, 9),
                                 b"t" * noise.randrange(0, 1200), b"." + b"u" * noise.randrange(80)])
            lines.append(line + b"\r\n")
            length += len(line) + 2
        yield b"Subject: noise\r\nFrom: <a@client.example>\r\n\r\n" + b"".join(lines)


def submit_all(relay, contents):
    with Raw(relay.port) as raw:
        raw.ehlo()
        for i, content in enumerate(contents):
            assert raw.code("MAIL FROM:<a@client.example> BODY=8BITMIME") == "250"
            assert raw.code(f"RCPT TO:<case{i}@postfix.example>") == "250"
            assert raw.code("DATA") == "354"
            stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
            raw.tell(stuffed)
            assert raw.say(b".").startswith("250"), i


def without_ours(content, newline=b"\r\n"):
    """Without the headers that the relay puts in front: what was handed in."""
    head, body = content.split(newline * 2, 1)
    lines = re.split(newline + rb"(?![ \t])", head)
    ours = (b"received:", b"date:", b"message-id:")
    return newline.join([line for line in lines if not line.lower().startswith(ours)]
                        + [b"", body])


def test_contents_arrive_byte_for_byte(stage):
    contents = list(awkward_bodies())
    postfix = stage.postfix({"bdat": {}, "data": {"smtpd_discard_ehlo_keywords": "chunking"},
                             "bare": {"smtpd_discard_ehlo_keywords": "chunking, pipelining, size"}})
    for name, port in postfix.ports.items():
        relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{port}"]}}]',
                               delivery='{allow_private: ["127.0.0.0/8"]}')
        before = len(postfix.delivered())
        submit_all(relay, contents)
        relay.wait_empty()
        parts.wait_for(lambda: len(postfix.delivered()) >= before + len(contents),
                       f"{len(contents)} files in the Maildir by {name}: {postfix.tail()}")
        relay.stop()
    found = collections.defaultdict(list)
    for recipient, content in postfix.delivered():
        found[int(re.match(r"case(\d+)@", recipient)[1])].append(without_ours(content, b"\n"))
    for i, content in enumerate(contents):
        wanted = content.replace(b"\r\n", b"\n")
        assert [got == wanted for got in found[i]] == [True] * 3, f"case {i} was changed"


def test_contents_arrive_byte_for_byte_with_crlf(stage):
    contents = list(awkward_bodies())
    for extensions in (("PIPELINING", "8BITMIME", "CHUNKING"), ("8BITMIME",)):
        receiver = stage.receiver(extensions=extensions)
        relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]')
        submit_all(relay, contents)
        relay.wait_empty()
        assert not receiver.errors
        by_case = {int(re.match(r"case(\d+)@", m.to()[0])[1]): m for m in receiver.messages}
        for i, content in enumerate(contents):
            assert without_ours(by_case[i].content) == content, f"case {i}: {extensions}"
        assert "BODY=8BITMIME" in by_case[0].sender_parameters


def test_postfix_refuses_some_recipients(stage):
    postfix = stage.postfix()
    receiver = stage.receiver()  # where bounces go
    relay = stage.ringpost(routes=f'[{{match: client.example, to: ["127.0.0.1:{receiver.port}"]}}, '
                                  f'{{match: "*", to: ["127.0.0.1:{postfix.ports["plain"]}"]}}]',
                           retry="{first: 1h}")
    to = [f"{name}{i}@postfix.example" for i in range(4) for name in ("fine", "unknown", "full",
                                                                      "policy")]
    relay.submit(to)
    relay.wait_events(4, kind="delivered")
    relay.wait_events(8, kind="bounced")
    relay.wait_events(4, kind="deferred")
    by_kind = collections.defaultdict(set)
    for event in relay.events():
        if event["attempt"]["number"] and event["sender"]:
            name = re.match("[a-z]+", event["recipient"])[0]
            by_kind[name].add((event["kind"], event["reply"]["code"], event["reply"]["enhanced"],
                               event["reply"]["from"], event["attempt"]["number"], event["class"]))
    assert {name: {kind[:5] for kind in found} for name, found in by_kind.items()} == {
        "fine": {("delivered", 250, "2.0.0", "peer", 1)},
        "unknown": {("bounced", 550, "5.1.1", "peer", 1)},
        "full": {("deferred", 452, "4.2.2", "peer", 1)},
        "policy": {("bounced", 554, "5.7.1", "peer", 1)}}
    assert {kind[5] for kind in by_kind["unknown"]} == {"invalid-recipient"}
    assert {kind[5] for kind in by_kind["full"]} == {"mailbox-full"}
    parts.wait_for(lambda: len(postfix.delivered()) == 4, "4 messages in the Maildir")
    # One failed transaction, one notification: all its recipients in it.
    parts.wait_for(lambda: receiver.messages, "the notification")
    notification = receiver.messages[0].content.decode()
    for i in range(4):
        assert f"Final-Recipient: rfc822;unknown{i}@postfix.example" in notification
        assert f"Final-Recipient: rfc822;policy{i}@postfix.example" in notification
    assert "There is nobody of that name" in notification and "fine0@" not in notification.split(
        "Content-Type: message/rfc822")[0]
    assert relay.status()["queue"]["recipients"] == 4
    assert postfix.log.read_text().count("improper command pipelining") == 0


def test_postfix_without_extensions(stage):
    postfix = stage.postfix({
        "poor": {"smtpd_discard_ehlo_keywords":
                 "pipelining, chunking, 8bitmime, dsn, smtputf8, size, enhancedstatuscodes"},
        "small": {"message_size_limit": 20000}})
    relay = stage.ringpost(routes=f'[{{match: poor.example, '
                                  f'to: ["127.0.0.1:{postfix.ports["poor"]}"]}}, '
                                  f'{{match: "*", to: ["127.0.0.1:{postfix.ports["small"]}"]}}]')
    sender = ""  # nobody is sent a bounce
    relay.submit("plain@poor.example", sender=sender, rcpt_options=["NOTIFY=NEVER"])
    relay.submit("eight@poor.example", sender=sender, mail_options=["BODY=8BITMIME"],
                 body="From: <a@client.example>\r\n\r\nGrüße\r\n".encode())
    relay.submit("declared@poor.example", sender=sender, mail_options=["BODY=8BITMIME"])
    relay.submit("jürgen@poor.example", sender=sender, mail_options=["SMTPUTF8"],
                 body=b"From: <a@client.example>\r\n\r\nx\r\n")
    relay.submit("large@small.example", sender=sender, body=b"a: b\r\n\r\n" + b"x" * 30_000 + b"\r\n")
    relay.submit("fits@small.example", sender=sender)
    relay.wait_empty()
    outcomes = {e["recipient"].split("@")[0]: (e["kind"], e["reply"]["enhanced"], e["reply"]["from"])
                for e in relay.events() if e["kind"] in ("delivered", "bounced")}
    assert outcomes.pop("plain")[0] == outcomes.pop("declared")[0] == outcomes.pop("fits")[0] \
        == "delivered"
    assert outcomes == {"eight": ("bounced", "5.6.3", "relay"),
                        "jürgen": ("bounced", "5.6.7", "relay"),
                        "large": ("bounced", "5.3.4", "relay")}
    for event in relay.events(kind="bounced"):
        assert len(event["reply"]["text"]) > 20 and event["rule"].startswith("peer-"), event
    assert "too big" not in postfix.log.read_text(), "its SIZE was not asked about"


def smtp_sink_and_mail(stage, options, count=30, **settings):
    sink = stage.smtp_sink(*options)
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]', **settings)
    relay.submit([f"user{i}@example.com" for i in range(count // 3)], sender="")
    for i in range(count - count // 3):
        relay.submit(f"one{i}@d{i % 5}.example", sender="")
    return sink, relay


def test_smtp_sink_as_it_is_and_without_pipelining(stage):
    for options in ([], ["-p"], ["-8"], ["-e"], ["-P"], ["-E", "-N"]):
        _, relay = smtp_sink_and_mail(stage, options)
        relay.wait_empty()
        assert len(relay.events(kind="delivered")) == 30, options
        relay.stop()


def test_smtp_sink_hard_rejections_bounce(stage):
    for stage_name in ("mail", "rcpt", "data", "."):
        _, relay = smtp_sink_and_mail(stage, ["-f", stage_name], count=9)
        relay.wait_empty()
        bounced = relay.events(kind="bounced")
        assert len(bounced) == 9 and {e["reply"]["code"] // 100 for e in bounced} == {5}, stage_name
        assert not relay.events(kind="deferred") and not relay.events(kind="delivered")
        relay.stop()


def test_smtp_sink_soft_rejections_defer_until_they_end(stage):
    for stage_name in ("mail", "rcpt", "data", "."):
        sink, relay = smtp_sink_and_mail(stage, ["-r", stage_name], count=9)
        relay.wait_events(9 * 2, kind="deferred")  # tried again
        deferred = relay.events(kind="deferred")
        assert {e["reply"]["code"] // 100 for e in deferred} == {4}, stage_name
        assert not relay.events(kind="bounced")
        sink.stop()
        stage.smtp_sink(port=sink.port)
        time.sleep(0.2)
        relay.cli("queue", "retry", "--domain", "*")
        relay.wait_empty()
        delivered = relay.events(kind="delivered")
        assert len(delivered) == 9 and min(e["attempt"]["number"] for e in delivered) > 1
        relay.stop()


def test_smtp_sink_that_disconnects_and_dawdles(stage):
    # -q: it hangs up at RCPT; the same mail goes on once another server has the port.
    sink, relay = smtp_sink_and_mail(stage, ["-q", "rcpt"], count=6)
    relay.wait_events(6, kind="deferred")
    assert {e["reply"]["from"] for e in relay.events(kind="deferred")} == {"relay"}
    sink.stop()
    stage.smtp_sink("-w", 1, port=sink.port)  # a second before each DATA reply
    relay.cli("queue", "retry", "--domain", "*")
    relay.wait_empty()
    assert len(relay.events(kind="delivered")) == 6
