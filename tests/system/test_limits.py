"""When something runs out: descriptors, memory. Refused for now, nothing lost, and back again. (Disks:
test_full_disk.py.)"""

import contextlib
import re
import subprocess

import needs
import parts
import pytest
from fulldisk import Switch, check_all_arrived, fill, submits_again
from rawsmtp import Raw


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
            assert "4.3.0" in said
            relay.wait_log("limits.memory")
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
    # A look every 20 ms: between two of them more may have come in.
    parts.wait_for(lambda: relay.status()["metrics"]["ringpost_mail_memory_bytes"] < 80 << 20,
                   "memory to be near its limit")
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


@needs.root_mark("for a limit that is no other program's")
@pytest.mark.parametrize("kib, ring", [(1536, r"ring_entries=\d+ wanted=4096"), (16, None)])
def test_rings_are_as_large_as_memory_may_be_locked(stage, kib, ring):
    switch = Switch(stage)
    switch.is_open = True
    relay = stage.unstarted_ringpost(engines="4", routes=switch.route)
    relay.prefix = ["setpriv", "--bounding-set=-ipc_lock,-sys_resource",
                    "--inh-caps=-ipc_lock,-sys_resource",
                    "prlimit", f"--memlock={kib * 1024}:{kib * 1024}"]
    if ring is None:
        relay.start(wait=False)
        assert relay.child.wait(parts.PATIENCE) in (71, 78)
        relay.child = None
        assert "raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)" in relay.tail()
        return
    relay.start()
    recipients = [f"r{number}@example.com" for number in range(40)]
    for recipient in recipients:
        relay.submit(recipient)
    relay.wait_empty()
    assert sorted(switch.receiver.taken()) == sorted(recipients)
    assert re.search(ring + ' what="little memory may be locked', relay.log.read_text())


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
