"""A disk that fills: by its own mail or by others, one of two file systems or both.

Whatever happens, mail is refused early and for now, what was accepted is delivered once and told once,
and when there is room again everything goes on by itself."""

import os
import time

import needs
import parts
import pytest
from fulldisk import Switch, check_all_arrived, fill, free, mount, submits_again, take_all
from rawsmtp import Raw

MIB = 1 << 20
RETRY = "{first: 1h, factor: 1, max: 1h}"  # what is tried again is so when a test says it


@pytest.fixture(scope="module", autouse=True)
def own_mounts():
    needs.own_mounts("a small file system that fills")


def relay_on(stage, place, switch, min_free, **config):
    return stage.ringpost(state_dir=str(place / "state"), routes=switch.route, retry=RETRY,
                          spool=f"{{segment_size: 4MiB, min_free: {min_free}}}", **config)


def retry_all(relay):
    relay.cli("queue", "retry", "--domain", "*")


def fill_up(relay, size):
    """Until it stays refused: spare segments that are given back may make room once more."""
    ids, refusal, more = [], "", True
    while more:
        more, refusal = fill(relay, size, 2000)
        ids += more
        time.sleep(1)
    return ids, refusal


def check_no_duplicates(switch, ids):
    taken = switch.receiver.taken()
    assert len(taken) == len(ids) + 1, (len(taken), len(ids), "and the one that was taken again")


def test_mail_is_refused_while_there_is_room_and_taken_again(stage):
    """Nobody else fills the disk: its own queue does, and the deliveries empty it."""
    place = mount(stage, "128M")
    switch = Switch(stage)
    relay = relay_on(stage, place, switch, "32MiB", engines="2")
    ids, refusal = fill_up(relay, 200_000)
    assert refusal.startswith("452 4.3.1"), refusal
    assert 50 < len(ids) < 500
    assert free(place) > 16 * MIB, "refused only when the disk was as good as full"
    status = relay.status()
    assert status["spool"]["full"] and status["space"]["low"]
    assert status["queue"]["messages"] == len(ids)
    assert status["space"]["min_free_bytes"] == 32 * MIB
    assert "FULL" in relay.cli("status").stdout
    with Raw(relay.port) as raw:  # and sessions go on
        raw.ehlo()
        assert raw.say("MAIL FROM:<filler@client.example>").startswith("452 4.3.1")
        assert raw.code("NOOP") == "250"
    switch.is_open = True
    retry_all(relay)
    submits_again(relay)
    check_all_arrived(relay, switch, ids)
    check_no_duplicates(switch, ids)


def test_a_full_spool_without_a_mark_says_452_and_delivers_on(stage):
    place = mount(stage, "48M")
    switch = Switch(stage)
    relay = relay_on(stage, place, switch, "0KiB", engines="1")
    ids, refusal = fill(relay, 200_000, 1000)
    assert refusal.startswith("452 4.3.1"), refusal
    assert 50 < len(ids) < 240
    status = relay.status()
    assert status["spool"]["full"] and not status["space"]["low"]
    assert fill(relay, 200_000, 10)[1].startswith("452 4.3.1"), "it stays so"
    switch.is_open = True
    retry_all(relay)
    submits_again(relay)
    check_all_arrived(relay, switch, ids)
    check_no_duplicates(switch, ids)


def test_a_disk_that_others_fill(stage):
    """Small messages, more than a full disk has room to tell of: the rest waits, none is sent that
    could not be noted, a stop ends, the next start on the full disk repeats nothing."""
    place = mount(stage, "96M")
    switch = Switch(stage)
    relay = relay_on(stage, place, switch, "16MiB", engines="2", stop_timeout="10s")
    ids, refusal = fill(relay, 1000, 6000)
    assert not refusal
    others = take_all(place)
    parts.wait_for(lambda: relay.status()["space"]["low"], "the mark to be noticed")
    more, refusal = fill(relay, 1000, 10)
    assert refusal.startswith("452 4.3.1") and not more, refusal
    switch.is_open = True
    retry_all(relay)

    def some_room_is_used():
        status = relay.status()
        return (len(switch.receiver.taken()) == len(ids) or status["space"]["events_full"]
                and status["delivery"]["in_attempt"] == status["queue"]["committing"] == 0)
    parts.wait_for(some_room_is_used, "deliveries from a full disk")
    assert len(switch.receiver.taken()) > 100, "delivery goes on for as long as it has room"
    before = time.monotonic()
    relay.stop()
    assert time.monotonic() - before < 10 + parts.PATIENCE / 4, "a stop on a full disk"
    relay.start()
    retry_all(relay)
    parts.wait_for(some_room_is_used, "a start on the full disk")
    os.unlink(others)
    submits_again(relay)
    check_all_arrived(relay, switch, ids)
    check_no_duplicates(switch, ids)


def test_event_files_on_a_disk_of_their_own_that_is_full(stage):
    place = mount(stage, "96M")
    (place / "state").mkdir(mode=0o700)
    events = mount(stage, "16M", place / "state" / "events")
    switch = Switch(stage)
    relay = relay_on(stage, place, switch, "4MiB", engines="1")
    ids, refusal = fill(relay, 1000, 3000)
    assert not refusal
    others = take_all(events)
    parts.wait_for(lambda: relay.status()["space"]["low"], "the mark to be noticed")
    assert fill(relay, 1000, 1)[1].startswith("452 4.3.1")
    switch.is_open = True
    retry_all(relay)
    parts.wait_for(lambda: relay.status()["space"]["events_full"], "the room to be used up")
    parts.wait_for(lambda: relay.status()["delivery"]["in_attempt"] == 0, "attempts to end")
    sent = len(switch.receiver.taken())
    assert 0 < sent < len(ids)
    assert relay.status()["queue"]["messages"] == len(ids) - sent
    assert "disk-full" in relay.cli("queue", "explain", "--domain", "example.com").stdout
    os.unlink(others)
    submits_again(relay)
    check_all_arrived(relay, switch, ids)
    check_no_duplicates(switch, ids)


def test_both_disks_full_and_a_kill(stage):
    place = mount(stage, "64M")
    (place / "state").mkdir(mode=0o700)
    events = mount(stage, "16M", place / "state" / "events")
    switch = Switch(stage)
    relay = relay_on(stage, place, switch, "4MiB", engines="1")
    ids, refusal = fill(relay, 20_000, 300)
    assert not refusal
    others = [take_all(place), take_all(events)]
    switch.is_open = True
    retry_all(relay)
    parts.wait_for(lambda: len(switch.receiver.taken()) > 50, "deliveries from a full disk")
    parts.wait_for(lambda: relay.status()["queue"]["committing"] == 0
                   and relay.status()["delivery"]["in_attempt"] == 0, "outcomes to be written")
    relay.kill()
    relay.start()
    retry_all(relay)
    for file in others:
        os.unlink(file)
    submits_again(relay)
    check_all_arrived(relay, switch, ids)
    check_no_duplicates(switch, ids)


def test_start_on_a_full_disk(stage):
    place = mount(stage, "64M")
    switch = Switch(stage)
    relay = relay_on(stage, place, switch, "8MiB")
    ids, refusal = fill(relay, 20_000, 30)
    assert not refusal
    relay.stop()
    others = take_all(place)
    switch.is_open = True
    relay.start()
    retry_all(relay)
    parts.wait_for(lambda: len(switch.receiver.messages) >= len(ids), "deliveries from a full disk")
    os.unlink(others)
    submits_again(relay)
    check_all_arrived(relay, switch, ids)
    check_no_duplicates(switch, ids)
