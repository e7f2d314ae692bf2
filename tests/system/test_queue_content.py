"""`ringpost queue show ID --content`: what it prints is what goes over the wire."""

import base64
import json
import os
import pty
import random
import signal
import subprocess

import pytest

import parts

MIB = 1 << 20


class Later:
    """A receiver that says 451 to everything until `gives_in`; then it takes mail."""

    def __init__(self, stage):
        self.gives_in = False
        self.receiver = stage.receiver(
            lambda session, where, line:
            "451 4.3.2 later" if where == "rcpt" and not self.gives_in else None)
        self.route = f'[{{match: "*", to: ["127.0.0.1:{self.receiver.port}"]}}]'


def start(stage, **settings):
    later = Later(stage)
    settings = {"routes": later.route, "retry": "{first: 1h, max: 2h, max_age: 1d}",
                "spool": "{segment_size: 8MiB}", **settings}
    return later, stage.ringpost(**settings)


def content(size, seed=1):
    """Lines of random 8-bit text; no two pieces are alike."""
    numbers = random.Random(seed)
    line = bytes(byte for byte in range(32, 256) if byte != 127)
    header = b"From: <app@client.example>\r\nMessage-ID: <%d@x>\r\nDate: now\r\n\r\n" % seed
    lines, left = [header], size - len(header)
    while left > 0:
        lines.append(bytes(numbers.choices(line, k=min(900, max(left - 2, 1)))) + b"\r\n")
        left -= len(lines[-1])
    return b"".join(lines)


def command(relay, message, *options):
    return [parts.PROGRAM, "-c", relay.config_file, "queue", "show", message, "--content", *options]


def show(relay, message, *options, code=0):
    done = subprocess.run(command(relay, message, *options), capture_output=True,
                          timeout=parts.PATIENCE)
    assert done.returncode == code, done.stderr
    return done


def defer(relay, size, to="a@wait.example", seed=1):
    message = relay.submit(to, body=content(size, seed), mail_options=["BODY=8BITMIME"])
    relay.wait_events(1, id=message, kind="deferred")
    return message


@pytest.mark.parametrize("size", [100, 100_000, 131_072, 131_073, 3_000_000])
def test_content_is_what_is_delivered(stage, size):
    later, relay = start(stage)
    message = defer(relay, size)
    shown = show(relay, message)
    assert shown.stdout.startswith(b"Received: ") and not shown.stderr
    assert shown.stdout.endswith(content(size))
    lines = [json.loads(line) for line in show(relay, message, "--json").stdout.splitlines()]
    assert lines[-1] == {"done": True, "bytes": len(shown.stdout)}
    assert b"".join(base64.b64decode(line["base64"]) for line in lines[:-1]) == shown.stdout
    relay.stop()
    relay.start()  # from the disk
    assert show(relay, message).stdout == shown.stdout
    later.gives_in = True
    relay.cli("queue", "retry", message)
    relay.wait_empty()
    delivered, = later.receiver.messages
    assert delivered.content == shown.stdout
    ended = show(relay, message, code=1)
    assert not ended.stdout
    assert f"no unfinished message {message}".encode() in ended.stderr


def test_content_of_adopted_shards(stage):
    _, relay = start(stage, engines="4")
    messages = {}
    for seed in range(16):  # each by a connection of its own
        to, size = f"u{seed}@wait.example", 400_000 if seed % 2 else 400
        messages[relay.submit(to, body=content(size, seed), mail_options=["BODY=8BITMIME"])] = \
            content(size, seed)
    assert len({message[4:6] for message in messages}) == 4  # shards
    relay.wait_events(16, kind="deferred")
    relay.stop()
    relay.write_config(engines="1")
    relay.start()
    for message, text in messages.items():
        assert show(relay, message).stdout.endswith(text)


class Reader:
    """Who has begun to read a big message, and does not go on."""

    def __init__(self, relay, message):
        self.child = subprocess.Popen(command(relay, message), stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, bufsize=0)
        self.begun = self.child.stdout.read(1000)
        assert self.begun.startswith(b"Received: ")

    def rest(self):
        out, err = self.child.communicate(timeout=parts.PATIENCE)
        return self.begun + out, err


@pytest.fixture(name="big", scope="module")
def make_big():
    return content(24 * MIB)


def start_big(stage, big, **settings):
    later, relay = start(stage, **settings)
    message = relay.submit("a@wait.example", body=big, mail_options=["BODY=8BITMIME"])
    relay.wait_events(1, id=message, kind="deferred")
    return later, relay, message


def test_big_content_is_read_in_bounded_memory_at_the_readers_pace(stage, big):
    later, relay, message = start_big(stage, big)
    descriptors, before = relay.descriptors(), relay.memory()
    readers = [Reader(relay, message) for _ in range(4)]
    assert relay.memory() - before < 4 * 4 * MIB or parts.is_sanitized()
    held = relay.submit("b@other.example")  # nobody waits for them
    relay.wait_events(1, id=held, kind="deferred")
    for reader in readers[:2]:
        reader.child.kill()
        reader.rest()
    for reader in readers[2:]:
        out, err = reader.rest()
        assert reader.child.returncode == 0 and out.endswith(big), err
    assert relay.memory() - before < 4 * 4 * MIB or parts.is_sanitized()
    # A client's descriptor goes when the next one comes.
    parts.wait_for(lambda: relay.status() and relay.descriptors() <= descriptors + 1,
                   "their connections to go")
    later.gives_in = True
    relay.cli("queue", "retry", message)
    relay.wait_events(1, id=message, kind="delivered")
    assert later.receiver.messages[-1].content.endswith(big)


def test_reader_holds_no_segments_and_is_told_that_the_message_ended(stage, big):
    later, relay, message = start_big(stage, big, engines="1")
    reader = Reader(relay, message)
    segments = relay.status()["spool"]["segments"]
    relay.cli("queue", "cancel", message)
    relay.wait_empty()
    parts.wait_for(lambda: relay.status()["spool"]["segments"] <= segments - 2,
                   "the segments of a message that ended")
    out, err = reader.rest()
    assert reader.child.returncode == 1 and len(out) < len(big)
    assert out.split(b"\r\n\r\n", 1)[1][:100_000] in big
    assert f"message {message} ended after ".encode() in err and b"broke off" not in err
    assert not later.receiver.messages


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_stop_does_not_wait_for_a_reader(stage, big, how):
    _, relay, message = start_big(stage, big)
    reader = Reader(relay, message)
    relay.stop(how)
    out, err = reader.rest()
    assert reader.child.returncode == 1 and len(out) < len(big) and err
    relay.start()
    assert show(relay, message).stdout.endswith(big)


def test_damage_is_told_behind_what_can_be_read(stage):
    _, relay = start(stage, engines="1")
    text = content(2_000_000)
    message = defer(relay, len(text))
    whole = show(relay, message).stdout
    relay.stop()
    at, needle = 1_200_000, text[1_200_000:1_200_040]
    for path in sorted(relay.state_dir.glob("spool/*/*.seg")):
        found = path.read_bytes().find(needle)
        if found >= 0:
            break
    with open(path, "r+b") as segment:
        segment.seek(found)
        segment.write(bytes([needle[0] ^ 4]))
    relay.start()
    shown = show(relay, message, code=1)
    assert b"damaged" in shown.stderr
    assert whole.startswith(shown.stdout) and at - 262_144 < len(shown.stdout) <= at + 1000
    shown = show(relay, message, "--json", code=1)
    assert b"done" not in shown.stdout and b'"error"' in shown.stderr


def test_terminal_is_not_sent_what_it_might_obey(stage):
    _, relay = start(stage)
    text = b"Subject: x\r\n\r\n\x1b[31mred\x7f caf\xc3\xa9 \xc2\x9b31m tab\there\r\n"
    message = relay.submit("a@wait.example", body=text, mail_options=["BODY=8BITMIME"])
    relay.wait_events(1, id=message, kind="deferred")
    assert show(relay, message).stdout.endswith(text)
    master, slave = pty.openpty()
    try:
        subprocess.run(command(relay, message), stdout=slave, check=True, timeout=parts.PATIENCE)
        seen = os.read(master, 65536).replace(b"\r\r\n", b"\r\n")
    finally:
        os.close(slave)
        os.close(master)
    assert seen.endswith(b"?[31mred? caf\xc3\xa9 \xc2?31m tab\there\r\n")


def test_output_that_cannot_be_written_is_a_failure(stage):
    _, relay = start(stage)
    message = defer(relay, 100)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command(relay, message), stdout=full, stderr=subprocess.PIPE,
                              timeout=parts.PATIENCE, check=False)
    assert done.returncode == 1 and b"No space left" in done.stderr


def test_content_needs_an_id_and_nothing_else(stage):
    _, relay = start(stage)
    for which in ([], ["--domain", "a.example"], ["0000000-0000000000000", "--sender", "a@b"]):
        done = relay.cli("queue", "show", *which, "--content", check=False)
        assert done.returncode == 64 and "takes the id" in done.stderr
    done = relay.cli("queue", "list", "--content", check=False)
    assert done.returncode == 64 and "--content" in done.stderr
    for which, words in (("nonsense", "no message id"), ("ffffff-0000000000001", "no")):
        done = relay.cli("queue", "show", which, "--content", check=False)
        assert done.returncode == 1 and words in done.stderr and not done.stdout
