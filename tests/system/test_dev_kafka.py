"""./dev run --kafka: a broker beside the rest, and its events by kcat."""

import json
import os
import re
import signal
import subprocess

import parts
from test_dev import dev  # the fixture


def two_ports():
    """The broker's, and its controller's behind it."""
    first, second = parts.free_ports(2)
    while second != first + 1:
        first, second = second, parts.free_port()
    return first


def test_run_with_kafka_shows_each_event_by_kcat(dev, tmp_path):
    """On ports of its own, with what is built already in place of a build."""
    for program in ("java", "kcat", "nsd", "swaks"):
        parts.need(program)
    names = ("submit", "login", "metrics", "sink_port", "inbox_port", "dns_port", "inbound")
    ports = dict(zip(names, parts.free_ports(len(names))))
    ports["kafka"] = two_ports()
    script = tmp_path / "dev"
    text = script.read_text()
    for name, port in ports.items():
        text, count = re.subn(rf"\b{name}=\d+", f"{name}={port}", text)
        assert count == 1, name
    script.write_text(text.replace("${kafka:+9093}", f"${{kafka:+{ports['kafka'] + 1}}}"))
    (tmp_path / "tests").symlink_to(parts.ROOT / "tests")
    built = tmp_path / "build" / "release"
    (built / "bench").mkdir(parents=True)
    (built / "ringpost").symlink_to(parts.PROGRAM)
    (built / "bench" / "ringpost-bench-sink").symlink_to(parts.BUILD / "bench" / "ringpost-bench-sink")
    child = dev.start("run", "--kafka", DEV_RUN_SECONDS="10")
    try:
        output, _ = child.communicate(timeout=4 * parts.PATIENCE)
    finally:
        if child.poll() is None:  # as Ctrl-C does
            os.killpg(child.pid, signal.SIGINT)
    assert child.returncode == 0 and output.endswith("== stopped\n"), output
    lines = output.splitlines()
    told = [(line, json.loads(lines[i + 1])) for i, line in enumerate(lines)
            if re.match(r"partition \d+ offset \d+ key ", line)]
    for head, event in told:
        tenant = "" if event["tenant"] is None else f",tenant={event['tenant']}"
        assert head.endswith(f" key {event['id'] or ''} "
                             f"headers schema=1,kind={event['kind']}{tenant}"), head
    kept = subprocess.run([parts.PROGRAM, "-c", tmp_path / "build" / "run" / "ringpost.yaml", "events",
                           "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    written = {event["event_id"]: event for event in map(json.loads, kept.stdout.splitlines())}
    assert {"accepted", "delivered", "received", "filed", "changed"} <= {e["kind"] for _, e in told}
    assert all(written[event["event_id"]] == event for _, event in told)
    assert len({event["event_id"] for _, event in told}) == len(told) >= 10
    assert not any(parts.port_answers(port) for port in ports.values())
