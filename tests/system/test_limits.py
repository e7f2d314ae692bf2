"""When something runs out: disk, descriptors, memory. Refused for now, nothing lost, and back again."""

import contextlib
import ctypes
import json
import os
import subprocess

import parts
import pytest
from rawsmtp import Raw

CLONE_NEWNS = 0x00020000


@pytest.fixture(scope="module", autouse=True)
def own_mounts():
    """What is mounted here is seen by this process and its children alone, and goes with them."""
    assert os.getuid() == 0, "a full disk is played with a small tmpfs, which only root may mount"
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNS) == 0, f"unshare: {os.strerror(ctypes.get_errno())}"
    parts.run(["mount", "--make-rprivate", "/"])


def mount(stage, size):
    place = stage.directory / "small"
    place.mkdir()
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
                raw.tell(content)
                said = raw.say(b".")
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
    relay.wait_empty()
    delivered = [e["id"] for e in relay.events(kind="delivered")]
    assert sorted(i for i in delivered if i in set(ids)) == sorted(ids)
    assert set(ids) <= {e["id"] for e in relay.events(kind="accepted")}
    relay.stop()
    report = json.loads(relay.cli("spool", "check", "--json").stdout.splitlines()[-1])
    assert report["damaged_records"] == 0 and report["recipients"] == 0, report


def test_a_full_spool_says_452_and_delivers_on(stage):
    place = mount(stage, "48M")
    switch = Switch(stage)
    relay = stage.ringpost(state_dir=str(place / "state"), routes=switch.route, engines="1",
                           spool="{segment_size: 4MiB}", retry="{first: 1s, factor: 1, max: 2s}")
    ids, refusal = fill(relay, 200_000, 1000)
    assert refusal.startswith("452 4.3.1"), refusal
    assert 50 < len(ids) < 240
    status = relay.status()
    assert status["spool"]["full"] and status["queue"]["messages"] == len(ids)
    assert "FULL" in relay.cli("status").stdout
    assert fill(relay, 200_000, 10)[1].startswith("452 4.3.1"), "it stays so"
    with Raw(relay.port) as raw:  # and sessions go on
        raw.ehlo()
        assert raw.code("NOOP") == "250"
    switch.is_open = True
    relay.cli("queue", "retry", "--domain", "*")
    submits_again(relay)
    check_all_arrived(relay, switch, ids)


def test_a_disk_that_others_fill(stage):
    place = mount(stage, "64M")
    switch = Switch(stage)
    relay = stage.ringpost(state_dir=str(place / "state"), routes=switch.route, engines="2",
                           spool="{segment_size: 4MiB}", retry="{first: 1s, factor: 1, max: 2s}")
    before, refusal = fill(relay, 20_000, 30)
    assert not refusal
    with open(place / "others", "wb") as others, contextlib.suppress(OSError):
        while True:
            others.write(b"\0" * 65536)
            others.flush()
    more, refusal = fill(relay, 200_000, 300)
    assert refusal.startswith(("452 4.3.1", "451 4.3.0")), refusal
    # The other engine's session finds the same, perhaps after it used up what its own shard had.
    yet_more, refusal = fill(relay, 200_000, 300)
    assert refusal.startswith(("452 4.3.1", "451 4.3.0")), refusal
    more += yet_more
    # Outcomes still find room: nothing is sent twice because it could not be noted.
    switch.is_open = True
    relay.cli("queue", "retry", "--domain", "*")
    delivered = parts.wait_for(lambda: len(switch.receiver.messages) >= len(before) + len(more),
                               "deliveries from a full disk")
    assert delivered
    os.unlink(place / "others")
    submits_again(relay)
    check_all_arrived(relay, switch, before + more)
    assert len(switch.receiver.taken()) == len(before) + len(more) + 1, "duplicates"


def test_start_on_a_full_disk(stage):
    place = mount(stage, "64M")
    switch = Switch(stage)
    relay = stage.ringpost(state_dir=str(place / "state"), routes=switch.route,
                           spool="{segment_size: 4MiB}", retry="{first: 1s, factor: 1, max: 2s}")
    ids, refusal = fill(relay, 20_000, 30)
    assert not refusal
    relay.stop()
    with open(place / "others", "wb") as others, contextlib.suppress(OSError):
        while True:
            others.write(b"\0" * 65536)
            others.flush()
    switch.is_open = True
    relay.start()
    relay.cli("queue", "retry", "--domain", "*")
    parts.wait_for(lambda: len(switch.receiver.messages) >= len(ids), "deliveries from a full disk")
    os.unlink(place / "others")
    submits_again(relay)
    check_all_arrived(relay, switch, ids)


def test_descriptors_run_out(stage):
    switch = Switch(stage)
    switch.is_open = True
    relay = stage.unstarted_ringpost(routes=switch.route, engines="1",
                                     limits="{sessions: 20000}")  # not what the limit gives
    relay.prefix = ["prlimit", "--nofile=100:100"]
    relay.start()
    inside = []
    refused = 0
    try:
        first = Raw(relay.port)
        inside.append(first)
        first.ehlo()
        for _ in range(150):
            raw = Raw(relay.port, greeting=False)
            greeting = raw.reply()
            if greeting.startswith("220"):
                inside.append(raw)
            else:
                assert greeting.startswith("421 4.3.2 mta1.ringpost.example "), greeting
                refused += 1
                raw.close()
                if refused == 5:
                    break
        assert refused == 5 and len(inside) > 20, (refused, len(inside))
        # Those inside are served meanwhile, and what they hand in is kept.
        assert first.send(b"Subject: x\r\n\r\nbody\r\n").startswith("250")
        assert relay.running()
        log = relay.log.read_text()
        assert f"listener=127.0.0.1:{relay.port} accept_error=" in log
    finally:
        for raw in inside:
            raw.close()
    submits_again(relay)
    relay.wait_empty()
    assert sorted(switch.receiver.taken()) == ["a@example.com", "again@example.com"]
    assert not relay.events(kind="bounced")


def test_waiting_contents_take_no_memory_from_new_mail(stage):
    """200 MB wait at a limit of 64 MiB: contents leave memory, so that nothing is refused. (The
    452 behind the last stub that fits: unit/queue/shard, bench/backlog.)"""
    switch = Switch(stage)
    relay = stage.ringpost(routes=switch.route, engines="1", limits="{memory: 64MiB}",
                           spool="{segment_size: 16MiB, resident: 1GiB}",
                           retry="{first: 1s, factor: 1, max: 1s}")
    ids, refusal = fill(relay, 100_000, 2000)
    assert not refusal, refusal
    assert len(ids) == 2000
    memory = relay.memory()
    if not parts.is_sanitized():
        assert memory < 200 << 20, f"{memory >> 20} MiB"
    switch.is_open = True
    relay.cli("queue", "retry", "--domain", "*")
    submits_again(relay)
    check_all_arrived(relay, switch, ids)


def test_mail_on_its_way_in_counts_and_the_greediest_gives(stage):
    """120 MB of content that never ends, at a limit of 64 MiB: those who send it are closed, new mail
    is told 452, a session that holds little stays, and when they are gone all is as before."""
    switch = Switch(stage)
    switch.is_open = True
    relay = stage.ringpost(routes=switch.route, engines="1", limits="{memory: 64MiB}")
    small = Raw(relay.port)
    small.ehlo()
    empty = relay.status()["metrics"]["ringpost_mail_memory_bytes"]
    began, closed, refused = [], 0, 0
    for i in range(1000):
        raw = Raw(relay.port)
        began.append(raw)
        raw.ehlo()
        said = raw.say("MAIL FROM:<half@client.example>")
        if said[:3] == "452":
            assert "limits.memory" in relay.tail() and "4.3.0" in said
            refused += 1
            if refused > 20:
                break
            continue
        assert raw.code("RCPT TO:<half@example.com>") == "250"
        if raw.code("DATA") == "354":
            raw.tell(b"Subject: half\r\n\r\n" + (b"x" * 998 + b"\r\n") * 120)
        if i % 50 == 0:
            assert relay.status()["metrics"]["ringpost_mail_memory_bytes"] < 70 << 20
    assert refused > 0, "nobody was told"
    # Content for the sessions that are open already: now the greediest give.
    for raw in began:
        with contextlib.suppress(ConnectionError, TimeoutError):
            raw.tell((b"y" * 998 + b"\r\n") * 120)
    metrics = parts.wait_for(lambda: shed(relay), "sessions to be closed")
    closed = metrics["ringpost_submission_shed_total"]
    assert 0 < closed < len(began)
    assert metrics["ringpost_mail_memory_bytes"] < 80 << 20
    assert small.code("NOOP") == "250"
    for raw in began:
        raw.close()
    parts.wait_for(lambda: relay.status()["metrics"]["ringpost_mail_memory_bytes"] <= empty + 65536,
                   "memory to be given back")
    small.send(b"Subject: small\r\n\r\nx\r\n")
    small.close()
    relay.wait_empty()


def shed(relay):
    metrics = relay.status()["metrics"]
    return metrics if metrics["ringpost_submission_shed_total"] > 0 else None


def test_no_uring_is_said_in_one_line(stage):
    relay = stage.unstarted_ringpost()
    with open("/proc/sys/kernel/io_uring_disabled", encoding="ascii") as knob:
        assert knob.read().strip() == "0"
    # Without a descriptor to spare, a ring cannot be made either.
    done = subprocess.run(["prlimit", "--nofile=8:8", str(parts.PROGRAM), "-c",
                           str(relay.config_file), "serve"], capture_output=True, text=True,
                          timeout=parts.PATIENCE)
    assert done.returncode in (71, 78), done
    assert done.stderr.strip() and "Sanitizer" not in done.stderr
