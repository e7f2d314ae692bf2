"""A small file system of its own for a relay's state, and mail that fills it."""

import contextlib
import json
import os

import parts
from rawsmtp import Raw


def mount(stage, size, place=None):
    place = place or stage.directory / "small"
    place.mkdir(parents=True, mode=0o700)
    parts.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", place])
    stage.stack.callback(lambda: parts.run(["umount", "-l", place]))
    return place


class Switch:
    """A receiver that says 451 until it is let through."""

    def __init__(self, stage):
        self.is_open = False
        self.receiver = stage.receiver(lambda session, where, line: None if self.is_open
                                       or where != "rcpt" else "451 4.3.0 not now")
        self.route = f'[{{match: "*", to: ["127.0.0.1:{self.receiver.port}"]}}]'


def free(place):
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def take_all(place):
    """What others do to a disk: not a block is left. The file that holds it."""
    taken = place / "others"
    fd = os.open(taken, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for size in (1 << 20, 1 << 12):
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, b"\0" * size)
    os.close(fd)
    assert free(place) == 0
    return taken


def fill(relay, size, count):
    """Submits until something is refused; (ids, the refusal or "")."""
    ids = []
    content = b"Subject: fill\r\n\r\n" + (b"x" * 998 + b"\r\n") * (size // 1000)
    with Raw(relay.port) as raw:
        raw.ehlo()
        for i in range(count):
            said = raw.say("MAIL FROM:<filler@client.example>")
            for command in (f"RCPT TO:<user{i}@example.com>", "DATA"):
                if said[:1] in "23":
                    said = raw.say(command)
            if said.startswith("354"):
                said = raw.say(content + b".")  # in one piece: no delayed ACK in between
            if not said.startswith("250"):
                return ids, said
            ids.append(said.split()[-1])
    return ids, ""


def submits_again(relay):
    def accepted():
        with Raw(relay.port) as raw:
            raw.ehlo()
            if raw.code("MAIL FROM:<again@client.example>") == "250" and raw.code(
                    "RCPT TO:<again@example.com>") == "250" and raw.code("DATA") == "354":
                return raw.say(b"Subject: again\r\n\r\nx\r\n.").startswith("250")
            return False
    parts.wait_for(accepted, "mail to be taken again", pause=0.2)


def check_all_arrived(relay, switch, ids):
    """Each of them, and each once: at the receiver and in the events."""
    relay.wait_empty()
    delivered = [e["id"] for e in relay.events(kind="delivered")]
    assert sorted(i for i in delivered if i in set(ids)) == sorted(ids)
    assert set(ids) <= {e["id"] for e in relay.events(kind="accepted")}
    relay.stop()
    report = json.loads(relay.cli("spool", "check", "--json").stdout.splitlines()[-1])
    assert report["damaged_records"] == 0 and report["recipients"] == 0, report
