"""A disk that fills, by its own mail or by others, one of two file systems or both; and one that takes
no writes any more.

Whatever happens, mail is refused early and for now, what was accepted is delivered once and told once,
and when there is room again everything goes on by itself."""

import contextlib
import os
import threading
import time

import fulldisk
import needs
import parts
import pytest
from fulldisk import MIB, Switch, check_all_arrived, fill, free, submits_again, take_all
from rawsmtp import Raw
from receiver import Held

RETRY = "{first: 1h, factor: 1, max: 1h}"  # what is tried again is so when a test says it

# What differs is the kernel's, which a sanitizer does not look at: it would take three times as long.
on_each_kind = pytest.mark.parametrize(
    "kind", ["tmpfs"] if parts.is_sanitized() else ["tmpfs", "ext4", "xfs"])


@pytest.fixture(scope="module", autouse=True)
def own_mounts():
    needs.own_mounts("a small file system that fills")


class Scene:
    """A relay on a file system of `mib` MiB, its events perhaps on another, and a receiver that takes
    nothing until deliver()."""

    def __init__(self, stage, mib, kind="tmpfs", min_free="4MiB", events_mib=0, **config):
        self.place = fulldisk.mount(stage, mib, kind=kind)
        if events_mib:
            (self.place / "state").mkdir(mode=0o700)
            self.events = fulldisk.mount(stage, events_mib, self.place / "state" / "events", kind)
        self.switch = Switch(stage)
        self.relay = stage.ringpost(
            state_dir=str(self.place / "state"), routes=self.switch.route, retry=RETRY,
            spool=f"{{segment_size: 4MiB, min_free: {min_free}}}", **config)
        self.ids = []

    def accept(self, size, count):
        """So many messages; half of them will do where a busy machine has them take the disk below the
        mark by themselves, since each takes another block when it is put off meanwhile."""
        ids, refusal = fill(self.relay, size, count)
        assert not refusal or (refusal.startswith("452 4.3.1") and len(ids) > count / 2), (
            refusal, len(ids))
        self.ids += ids

    def wait_put_off(self):
        """Each was tried once: no outcome is still to come that takes room of its own."""
        def none_is_under_way():
            status = self.relay.status()
            return (status["delivery"]["waiting"] == status["delivery"]["in_attempt"] == 0
                    and status["queue"]["committing"] == 0)
        parts.wait_for(none_is_under_way, "the first attempts to end")

    def accept_until_refused(self, size):
        """Until it stays refused: spare segments that are given back may make room once more."""
        more = True
        while more:
            more, refusal = fill(self.relay, size, 2000)
            assert refusal.startswith("452 4.3.1"), refusal
            self.ids += more
            time.sleep(1)

    def refuses(self):
        more, refusal = fill(self.relay, 1000, 1)
        assert refusal.startswith("452 4.3.1") and not more, refusal

    def wait_low(self):
        parts.wait_for(lambda: self.relay.status()["space"]["low"], "the mark to be noticed")

    def retry_all(self):
        self.relay.cli("queue", "retry", "--domain", "*")

    def deliver(self):
        self.switch.is_open = True
        self.retry_all()

    def taken(self):
        return len(self.switch.receiver.taken())

    def finish(self):
        """Mail is taken again; all was delivered, and all of it once."""
        submits_again(self.relay)
        check_all_arrived(self.relay, self.switch, self.ids)
        assert self.taken() == len(self.ids) + 1, "and the one that was taken again"


@on_each_kind
def test_mail_is_refused_while_there_is_room_and_taken_again(stage, kind):
    """Nobody else fills the disk: its own queue does, and the deliveries empty it."""
    scene = Scene(stage, 128, kind, min_free="32MiB", engines="2")
    scene.accept_until_refused(200_000)
    assert 50 < len(scene.ids) < 500
    assert free(scene.place) > 16 * MIB, "refused only when the disk was as good as full"
    status = scene.relay.status()
    assert status["spool"]["full"] and status["space"]["low"]
    assert status["queue"]["messages"] == len(scene.ids)
    assert status["space"]["min_free_bytes"] == 32 * MIB
    assert "FULL" in scene.relay.cli("status").stdout
    with Raw(scene.relay.port) as raw:  # and sessions go on
        raw.ehlo()
        assert raw.say("MAIL FROM:<filler@client.example>").startswith("452 4.3.1")
        assert raw.code("NOOP") == "250"
    scene.deliver()
    scene.finish()


@on_each_kind
def test_a_full_spool_without_a_mark_says_452_and_delivers_on(stage, kind):
    scene = Scene(stage, 48, kind, min_free="0KiB", engines="1")
    scene.accept_until_refused(200_000)
    assert 50 < len(scene.ids) < 240
    status = scene.relay.status()
    assert status["spool"]["full"] and not status["space"]["low"]
    scene.refuses()  # it stays so
    scene.deliver()
    scene.finish()


@on_each_kind
def test_a_disk_that_others_fill(stage, kind):
    """Small messages, more than a full disk has room to tell of: the rest waits, none is sent that
    could not be noted, a stop ends, the next start on the full disk repeats nothing."""
    scene = Scene(stage, 96, kind, min_free="16MiB", engines="2", stop_timeout="10s")
    # Each takes a block when it comes and, where the machine is busy, another when it is put off, and
    # their events; the reserve has room for a thousand outcomes of their own.
    scene.accept(1000, 3000)
    others = take_all(scene.place)
    scene.wait_low()
    scene.refuses()
    scene.deliver()

    def some_room_is_used():
        status = scene.relay.status()
        return (scene.taken() == len(scene.ids) or status["space"]["events_full"]
                and status["delivery"]["in_attempt"] == status["queue"]["committing"] == 0)
    parts.wait_for(some_room_is_used, "deliveries from a full disk")
    assert scene.taken() > 100, "delivery goes on for as long as it has room"
    before = time.monotonic()
    scene.relay.stop()
    assert time.monotonic() - before < 10 + parts.PATIENCE / 4, "a stop on a full disk"
    scene.relay.start()
    scene.retry_all()
    parts.wait_for(some_room_is_used, "a start on the full disk")
    os.unlink(others)
    scene.finish()


def test_event_files_on_a_disk_of_their_own_that_is_full(stage):
    scene = Scene(stage, 96, events_mib=20, engines="1")
    scene.accept(1000, 3000)
    scene.wait_put_off()  # or their events use up the room that is kept for deliveries
    others = take_all(scene.events)
    scene.wait_low()
    scene.refuses()
    scene.deliver()
    parts.wait_for(lambda: scene.taken() > 0, "a delivery while there is room")
    parts.wait_for(lambda: scene.relay.status()["space"]["events_full"], "the room to be used up")
    parts.wait_for(lambda: scene.relay.status()["delivery"]["in_attempt"] == 0, "attempts to end")
    sent = scene.taken()
    assert sent < len(scene.ids)
    assert scene.relay.status()["queue"]["messages"] == len(scene.ids) - sent
    assert "disk-full" in scene.relay.cli("queue", "explain", "--domain", "example.com").stdout
    os.unlink(others)
    scene.finish()


@on_each_kind
def test_both_disks_full_and_a_kill(stage, kind):
    scene = Scene(stage, 64, kind, events_mib=40, engines="1")
    scene.accept(20_000, 300)
    others = [take_all(scene.place), take_all(scene.events)]
    scene.deliver()
    parts.wait_for(lambda: scene.taken() > 50, "deliveries from a full disk")
    parts.wait_for(lambda: scene.relay.status()["queue"]["committing"] == 0
                   and scene.relay.status()["delivery"]["in_attempt"] == 0, "outcomes to be written")
    scene.relay.kill()
    scene.relay.start()
    scene.retry_all()
    for file in others:
        os.unlink(file)
    scene.finish()


@on_each_kind
def test_start_on_a_full_disk(stage, kind):
    scene = Scene(stage, 64, kind, min_free="8MiB")
    scene.accept(20_000, 30)
    scene.relay.stop()
    others = take_all(scene.place)
    scene.switch.is_open = True
    scene.relay.start()
    control = scene.place / "state" / "control.sock"
    if not control.exists():  # as on XFS, and nothing is due by itself
        os.truncate(others, others.stat().st_size - MIB)
        parts.wait_for(control.exists, "the control socket")
    scene.retry_all()
    parts.wait_for(lambda: scene.taken() >= len(scene.ids), "deliveries from a full disk")
    os.unlink(others)
    scene.finish()


def test_start_without_room_for_the_control_socket(stage):
    scene = Scene(stage, 64)
    scene.accept(1000, 3)
    scene.relay.stop()
    parts.run(["mount", "-o", "remount,nr_inodes=2000", scene.place])
    more = []
    with contextlib.suppress(OSError):
        while True:
            more.append(scene.place / str(len(more)))
            more[-1].touch()

    def make_room():
        scene.relay.wait_log("no command is answered until there is room")
        for path in more[:-1]:
            path.unlink()

    scene.switch.is_open = True
    room = threading.Thread(target=make_room)
    room.start()
    scene.relay.start()  # until a command is answered
    room.join()
    scene.relay.wait_log("the disk has room for it now")
    scene.retry_all()
    scene.finish()


@pytest.mark.parametrize("kind, error", [("ext4", "Read-only file system"),
                                         ("xfs", "Input/output error")])
def test_a_disk_that_takes_no_writes_any_more(stage, kind, error):
    """ext4 becomes read-only behind the relay's back, as after an error of the disk; XFS shuts down.
    Mail is refused, one on its way too; nothing is sent whose outcome could not be noted."""
    scene = Scene(stage, 64, kind, engines="1", stop_timeout="5s")
    scene.accept(1000, 500)
    with Raw(scene.relay.port) as raw:
        raw.ehlo()
        raw.open_data("half@example.com")
        raw.tell(b"Subject: half\r\n\r\nbegun\r\n")
        fulldisk.break_off(scene.place, kind)
        assert raw.say(b".").startswith("4")
    parts.wait_for(lambda: fill(scene.relay, 1000, 1)[1].startswith("452"), "mail to be refused")
    scene.relay.wait_log(f'what="write failed, the segment is closed" error="{error}"')
    scene.relay.wait_log(f'what="no room can be made: new mail is answered 452" error="{error}"')
    scene.deliver()
    time.sleep(3)
    assert scene.taken() == 0, "sent, though nobody could have known afterwards"
    before = time.monotonic()
    scene.relay.stop()
    assert time.monotonic() - before < 5 + parts.PATIENCE / 4, "a stop"
    fulldisk.mount_again(stage, scene.place)
    scene.relay.start()
    scene.retry_all()
    scene.finish()


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_disk_that_takes_no_writes_while_mail_is_in_attempts(stage, kind):
    """What was in an attempt when the disk broke off ends once, and may be sent again only by the next
    start, which cannot know; all else is sent once."""
    scene = Scene(stage, 64, kind, engines="1", stop_timeout="5s",
                  delivery='{sites: [{match: "*", connections: 4}]}')
    scene.accept(1000, 60)
    gate = threading.Event()

    def act(session, where, line):
        if where == "content":
            return Held("250 2.0.0 taken", gate)
        return None if scene.switch.is_open or where != "rcpt" else "451 4.3.0 not now"

    scene.switch.receiver.act = act
    scene.deliver()
    parts.wait_for(lambda: scene.taken() == 4, "attempts")
    fulldisk.break_off(scene.place, kind)
    gate.set()
    time.sleep(3)
    assert scene.taken() <= 4 * 4, "sent, though nobody could have known afterwards"
    assert len(set(scene.switch.receiver.taken())) == scene.taken(), "sent again while it runs"
    status = scene.relay.status()
    assert status["queue"]["messages"] == len(scene.ids) and status["delivery"]["in_attempt"] == 0
    in_attempt = set(scene.switch.receiver.taken())
    scene.relay.stop()
    fulldisk.mount_again(stage, scene.place)
    scene.relay.start()
    scene.retry_all()
    submits_again(scene.relay)
    check_all_arrived(scene.relay, scene.switch, scene.ids)
    taken = scene.switch.receiver.taken()
    assert {to for to in taken if taken.count(to) > 1} <= in_attempt
    assert max(taken.count(to) for to in taken) <= 2
