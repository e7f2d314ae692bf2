"""A small file system of its own for a relay's state, and mail that fills it."""

import contextlib
import json
import os
import shutil

import needs
import parts
import pytest
from rawsmtp import Raw


MIB = 1 << 20
IMAGE_MIB_MIN = 320  # XFS makes none that are smaller than 300
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"], "xfs": ["mkfs.xfs", "-q"]}


def mount(stage, mib, place=None, kind="tmpfs"):
    """An empty file system with `mib` MiB of room; of another kind than tmpfs in an image."""
    place = place or stage.directory / "small"
    place.mkdir(parents=True, mode=0o700)
    if kind == "tmpfs":
        parts.run(["mount", "-t", "tmpfs", "-o", f"size={mib}M,mode=0700", "tmpfs", place])
    else:
        mount_image(stage, place, mib, kind)
    stage.stack.callback(lambda: parts.run(["umount", "-l", place]))
    return place


def image_of(stage, place):
    return stage.directory / f"{place.name}-image" / "image"


def mount_image(stage, place, mib, kind):
    if not shutil.which(MAKE[kind][0], path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        pytest.skip(f"{MAKE[kind][0]} is not installed")
    image = image_of(stage, place)
    # In memory: a sync of the image costs nothing there.
    mount(stage, IMAGE_MIB_MIN + mib + 16, image.parent)
    with open(image, "wb") as file:
        file.truncate((IMAGE_MIB_MIN + mib) * MIB)
    parts.run([*MAKE[kind], image])
    if not needs.succeeds("mount", "-o", "loop", image, place):
        pytest.skip(f"no {kind} image may be mounted here: a small file system that fills")
    place.chmod(0o700)
    with open(place / "ballast", "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, free(place) - mib * MIB)


def break_off(place, kind):
    """No write succeeds from here on, though files are open; what was synced stays."""
    parts.run({"ext4": ["mount", "-o", "remount,abort", place],
               "xfs": ["xfs_io", "-x", "-c", "shutdown -f", place]}[kind])


def mount_again(stage, place):
    """What broke off, as after a start of the machine."""
    parts.run(["umount", place])
    parts.run(["mount", "-o", "loop", image_of(stage, place), place])


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
                if size < MIB:  # not promised only: later blocks of the file system's own count too
                    os.fsync(fd)
    os.close(fd)
    assert free(place) < 65536, free(place)
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
