"""The log: what it says, and that the service does not depend on anybody who reads it."""

import fcntl
import os
import re

import parts
import rawsmtp

F_SETPIPE_SZ = 1031


def unread_log(stage, **settings):
    """A ringpost whose stderr is a pipe that nobody reads; relay and the reading end."""
    relay = stage.unstarted_ringpost(**settings)
    os.mkfifo(relay.log)
    reader = os.open(relay.log, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, F_SETPIPE_SZ, 4096)
    relay.tail = lambda *_: "(its log is the subject of this test)"
    return relay, reader


def test_log_that_nobody_reads_stops_nothing(stage):
    sink = stage.sink()
    relay, reader = unread_log(stage, log="{level: debug}",
                               routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    try:
        relay.start()
        with relay.smtp() as smtp:
            for i in range(1000):  # fills pipe, batch and queue
                smtp.sendmail("app@client.example", f"r{i}@example.com", "Subject: x\r\n\r\nx\r\n")
        relay.wait_empty()
        parts.wait_for(lambda: relay.metrics()["ringpost_log_dropped_total"] > 0, "dropped lines")
        relay.submit("last@example.com")
        assert relay.status()["metrics"]['ringpost_log_lines_total{level="debug"}'] > 4000
        assert relay.stop() == 0
    finally:
        os.close(reader)


def test_log_that_is_read_late_says_what_is_missing(stage):
    sink = stage.sink()
    relay, reader = unread_log(stage, log="{level: debug}",
                               routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    text = b""
    try:
        relay.start()
        with relay.smtp() as smtp:
            for i in range(1000):
                smtp.sendmail("app@client.example", f"r{i}@example.com", "Subject: x\r\n\r\nx\r\n")
        relay.wait_empty()

        def read_on():
            nonlocal text
            try:
                text += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            return b" warn dropped=" in text and text.endswith(b"\n")
        parts.wait_for(read_on, "the line that says what is missing", pause=0.001)
        child = relay.child
        child.terminate()

        def ended():
            read_on()
            return child.poll() is not None
        parts.wait_for(ended, "its end", pause=0.001)
        read_on()
        assert relay.end() == 0
        assert b"what=stopped\n" in text  # the last line comes out, too
    finally:
        os.close(reader)


# time level key=value...; a quoted value that was cut has dots behind it
WORD = r'[^\s"=\\]*'
QUOTED = r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?'
LINE = re.compile(rf'\S+Z (?:error|warn|info|debug)(?: [\w.]+=(?:{QUOTED}|{WORD}))+')
PAIR = re.compile(rf' ([\w.]+)=({QUOTED}|{WORD})')


def parsed(relay):
    """The log's lines as dicts; each is logfmt from its first to its last byte."""
    lines = relay.log.read_bytes().decode("utf-8").splitlines()  # UTF-8 as a whole
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    return [dict(PAIR.findall(line)) for line in lines]


def test_every_line_is_logfmt_and_names_whom_it_concerns(stage):
    sink = stage.sink()
    relay = stage.ringpost(log="{level: debug}",
                           routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    with rawsmtp.Raw(relay.port) as raw:
        def say(command, code):
            raw.tell(command.encode() + b"\r\n")
            assert raw.reply().startswith(code), command
        say('EHLO a"b=c', "")
        say("EHLO client.example", "250")
        say("MAIL FROM:<no-domain>", "5")
        say('MAIL FROM:<"odd \\" =name"@send.example> SIZE=99999999999', "5")
        say("MAIL FROM:<gr\u00fc\u00dfe@send.example> SMTPUTF8 AUTH=<>", "5")
        say('MAIL FROM:<"a b"@send.example> SMTPUTF8', "250")
        say("RCPT TO:<x what=\"forged\" \u00e9>", "5")
        say("RCPT TO:<gr\u00fc\u00dfe@rcpt.example>", "250")
        say("RCPT TO:<b@rcpt.example> ORCPT=\x01\x02", "5")
        say("DATA", "354")
        say("Subject: x\r\n\r\nbody\r\n.", "250")
        relay.wait_empty()
        relay.wait_events(5, kind="rejected")
        say("NOOP", "250")
    assert relay.stop() == 0
    lines = parsed(relay)
    refused = [line for line in lines if "refused" in line]
    assert len(refused) >= 5
    session, = {line["session"] for line in refused}
    assert all(line.get("rule") and line.get("client") == "127.0.0.1" for line in refused)
    concerned = [line.get("from" if line["at"] == "MAIL" else "to") or line.get("argument")
                 for line in refused if line["at"] in ("MAIL", "RCPT")]
    assert None not in concerned
    assert '"gr\u00fc\u00dfe@send.example"' in concerned
    assert any("what=" in text and "forged" in text for text in concerned), concerned
    accepted, = [line for line in lines if "to_count" in line]
    assert accepted["session"] == session
    ended = [line for line in lines if line.get("outcome") in ("delivered", "bounced")]
    assert '"gr\u00fc\u00dfe@rcpt.example"' in {line["to"] for line in ended}
    assert all("host" in line and "ip" in line for line in ended)
    senders = {event["sender"] for event in relay.events(kind="rejected")}
    assert "gr\u00fc\u00dfe@send.example" in senders


def test_refused_content_names_sender_recipient_and_session(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
                           engines="1",  # whose lines keep their order
                           limits="{message_size: 1MiB, content_timeout: 1s}")

    def send(to, content, by="DATA"):
        """What is said to it in the end."""
        with rawsmtp.Raw(relay.port) as raw:
            for command in ["EHLO client.example", "MAIL FROM:<shop@send.example>",
                            *[f"RCPT TO:<{address}>" for address in to]]:
                raw.tell(command.encode() + b"\r\n")
                raw.reply()
            if by == "DATA":
                raw.tell(b"DATA\r\n")
                assert raw.reply().startswith("354")
                raw.tell(content)
            else:
                raw.tell(b"BDAT %d LAST\r\n%b" % (len(content), content))
            return raw.reply()

    assert send(["a@rcpt.example"], b"Subject: x\r\n\r\na\nb\r\n.\r\n").startswith("554")
    assert send(["a@rcpt.example"], b"Subject: x\r\n\r\na\nb\r\n", by="BDAT").startswith("554")
    assert send(["a@rcpt.example", "b@rcpt.example"], b"\0\r\n.\r\n").startswith("554")
    assert send(["a@rcpt.example"], b"no header\r\n\r\n.\r\n").startswith("554")  # at its end
    assert send(["a@rcpt.example"], b"Subject: half of it\r\n").startswith("421 4.4.2")
    events = relay.wait_events(4, kind="rejected")
    assert relay.stop() == 0
    lines = [line for line in parsed(relay) if "refused" in line or "left" in line]
    assert len(lines) == 5
    assert all(line["from"] == '"shop@send.example"' and line["rule"] for line in lines)
    assert [line.get("to") for line in lines] == [
        '"a@rcpt.example"', '"a@rcpt.example"', None, '"a@rcpt.example"', '"a@rcpt.example"']
    assert lines[-1]["rule"] == "limits.content_timeout"
    told = {event["client"]["session"]: event for event in events}
    assert len(told) == 4
    for line in lines[:4]:
        event = told[line["session"]]
        assert event["sender"] == "shop@send.example" and event["rule"] == line["rule"]
        assert event["recipient"] == (line["to"].strip('"') if "to" in line else None)
