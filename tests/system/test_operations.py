"""The operator's side: start, refusals, status, queue commands, reload, stop."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import urllib.request

import parts


def route_to(port, match="*"):
    return f'[{{match: "{match}", to: ["127.0.0.1:{port}"]}}]'


def test_first_mail_arrives_and_is_told(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=route_to(sink.port))
    message_id = relay.submit("alice@example.com")
    events = relay.wait_events(2, id=message_id)
    assert [e["kind"] for e in events] == ["accepted", "delivered"]
    assert [e["seq"] for e in events] == [0, 1]
    assert len({e["event_id"] for e in events}) == 2
    delivered = events[1]
    assert delivered["recipient"] == "alice@example.com"
    assert delivered["reply"]["code"] == 250
    assert delivered["egress"]["mx_ip"] == "127.0.0.1"
    assert delivered["attempt"]["number"] == 1
    relay.wait_empty()
    status = relay.status()
    assert status["unheld"] == 0
    assert relay.stop() == 0


def test_refuses_a_second_instance_and_an_open_state_dir(stage):
    relay = stage.ringpost()
    second = subprocess.run([parts.PROGRAM, "-c", relay.config_file, "serve"],
                            capture_output=True, text=True, timeout=parts.PATIENCE)
    assert second.returncode == 75
    assert "another ringpost" in second.stderr and str(relay.child.pid) in second.stderr
    relay.stop()
    os.chmod(relay.state_dir, 0o755)
    refused = subprocess.run([parts.PROGRAM, "-c", relay.config_file, "serve"],
                             capture_output=True, text=True, timeout=parts.PATIENCE)
    assert refused.returncode == 78
    assert "chmod 700" in refused.stderr


def test_taken_port_is_named(stage):
    relay = stage.ringpost()
    other = stage.unstarted_ringpost(
        listeners=f'[{{address: "127.0.0.1:{relay.port}", service: submission}}]')
    done = subprocess.run([parts.PROGRAM, "-c", other.config_file, "serve"],
                          capture_output=True, text=True, timeout=parts.PATIENCE)
    assert done.returncode == 71
    assert f"127.0.0.1:{relay.port}" in done.stderr and "another program" in done.stderr


def test_commands_without_a_daemon_say_so(stage):
    relay = stage.unstarted_ringpost()
    for command in (["status"], ["queue", "list"], ["reload"]):
        done = relay.cli(*command, check=False)
        assert done.returncode == 69, command
        assert "ringpost serve" in done.stderr
    assert relay.cli("queue", "list", "--older-than", "soon", check=False).returncode == 64
    assert relay.cli("frobnicate", check=False).returncode == 64


def test_init_writes_what_check_accepts(stage):
    relay = stage.unstarted_ringpost()
    config = relay.directory / "new" / "ringpost.yaml"
    init = subprocess.run([parts.PROGRAM, "-c", config, "init", "--hostname", "a.example",
                           "--state-dir", relay.directory / "state"],  # not root's /var/lib
                          capture_output=True, text=True)
    assert init.returncode == 0, init.stderr
    assert subprocess.run([parts.PROGRAM, "-c", config, "check"]).returncode == 0
    again = subprocess.run([parts.PROGRAM, "-c", config, "init"], capture_output=True, text=True)
    assert again.returncode == 1 and "--force" in again.stderr


def test_queue_commands_on_deferred_mail(stage):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(routes=route_to(refuser.port), retry="{first: 1h, max: 2h}")
    ids = [relay.submit(f"user{i}@{domain}", sender=f"shop{i % 2}@client.example")
           for i, domain in enumerate(["one.example", "two.example", "one.example"])]
    relay.wait_events(3, kind="deferred")

    listed = [json.loads(line) for line in relay.cli("queue", "list", "--json").stdout.splitlines()]
    assert {row["id"] for row in listed if "id" in row} == set(ids)
    assert all(row["state"] == "scheduled" for row in listed if "id" in row)
    domains = relay.cli("queue", "domains").stdout
    assert "2 one.example" in domains and "1 two.example" in domains
    shown = relay.cli("queue", "show", ids[0]).stdout
    assert "user0@one.example" in shown
    explained = relay.cli("queue", "explain", ids[0]).stdout
    assert "retry" in explained
    assert relay.cli("queue", "explain", "--domain", "one.example").stdout

    dry = relay.cli("queue", "cancel", "--domain", "one.example", "--dry-run").stdout
    assert dry.startswith("2 recipients match")
    assert relay.cli("queue", "cancel", "--sender", "shop1@client.example").stdout.startswith("1 of 1")
    relay.wait_events(1, kind="cancelled")
    assert relay.cli("queue", "cancel", check=False).returncode == 1

    refuser.stop()
    sink = stage.sink(port=refuser.port)
    assert relay.cli("queue", "retry", "--domain", "*").stdout.startswith("2 of 2")
    delivered = relay.wait_events(2, kind="delivered")
    assert {e["id"] for e in delivered} == {ids[0], ids[2]}
    gone = relay.cli("queue", "explain", ids[0], check=False)
    assert gone.returncode == 1 and "events --id" in gone.stderr
    assert sink.running()


def test_suspend_holds_back_also_what_comes(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=route_to(sink.port))
    assert "holds 0" in relay.cli("queue", "suspend", "--domain", "held.example").stdout
    held = relay.submit("a@held.example")
    free = relay.submit("a@free.example")
    relay.wait_events(1, id=free, kind="delivered")
    assert "suspen" in relay.cli("queue", "explain", held).stdout
    assert "held.example" in relay.cli("queue", "suspensions").stdout
    relay.stop()
    relay.start()  # suspensions outlive a restart
    assert "held.example" in relay.cli("queue", "suspensions").stdout
    assert not relay.events(id=held, kind="delivered")
    relay.cli("queue", "resume", "--domain", "held.example")
    relay.wait_events(1, id=held, kind="delivered")
    assert relay.cli("queue", "resume", "--all", check=False).returncode == 1


def test_suspension_is_there_before_the_queue_of_a_start(stage):
    """Engines start side by side: one that is done must not try what waits while others begin."""
    sink = stage.sink()
    relay = stage.ringpost(engines="8", routes=route_to(sink.port))
    relay.cli("queue", "suspend", "--domain", "held.example")
    for i in range(16):
        relay.submit(f"a{i}@held.example")
    for _ in range(4):
        relay.stop()
        relay.start()
        parts.wait_for(lambda: not relay.status()["spool"]["recovering"], "the queue to be read")
        assert relay.status()["queue"]["recipients"] == 16
    assert not relay.events(kind="delivered")


def test_reload_is_whole_or_not_at_all(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=route_to(sink.port), limits="{recipients: 500}")
    with relay.smtp() as smtp:
        smtp.ehlo()
        assert "RCPTMAX=500" in smtp.esmtp_features["limits"]
    relay.write_config(limits="{recipients: 600}")
    assert "reloaded" in relay.cli("reload").stdout
    with relay.smtp() as smtp:
        smtp.ehlo()
        assert "RCPTMAX=600" in smtp.esmtp_features["limits"]
    relay.write_config(limits="{recipients: 700, nonsense: 1}")
    refused = relay.cli("reload", check=False)
    assert refused.returncode == 1 and "limits.nonsense: unknown key" in refused.stderr
    relay.write_config(limits="{recipients: 700}", engines="1")
    refused = relay.cli("reload", check=False)
    assert refused.returncode == 1 and "engines changed" in refused.stderr
    with relay.smtp() as smtp:
        smtp.ehlo()
        assert "RCPTMAX=600" in smtp.esmtp_features["limits"]


def test_stop_lets_sessions_go_at_a_command_boundary(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=route_to(sink.port))
    with relay.smtp() as smtp:
        smtp.ehlo()
        relay.child.send_signal(signal.SIGTERM)
        parts.wait_for(lambda: not parts.port_answers(relay.port), "the port to close")
        code, text = smtp.getreply()
        assert code == 421 and b"4.3.2" in text
    assert relay.end() == 0


def test_engines_may_change_between_starts(stage):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(routes=route_to(refuser.port), engines="4",
                           retry="{first: 1s, max: 2s}")
    for i in range(12):
        relay.submit(f"u{i}@many.example")
    relay.wait_events(12, kind="deferred")
    relay.stop()
    relay.write_config(engines="1")
    refuser.stop()
    stage.sink(port=refuser.port)
    relay.start()
    relay.wait_empty()
    assert len({e["recipient"] for e in relay.wait_events(12, kind="delivered")}) == 12


def segment_files(relay, shard):
    return sorted(path.name for path in relay.state_dir.glob(f"spool/{shard:02x}/*.seg"))


def test_shards_without_an_engine_give_their_files_back(stage):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(routes=route_to(refuser.port), engines="3",
                           spool="{segment_size: 1MiB, spare_segments: 4}",
                           retry="{first: 2s, max: 2s}")
    for i in range(12):
        relay.submit(f"u{i}@many.example")
    relay.wait_events(12, kind="deferred")
    relay.stop()
    adopted = [shard for shard in (1, 2) if len(segment_files(relay, shard)) > 4]
    assert adopted == [1, 2]
    relay.write_config(engines="1")
    relay.start()
    for shard in adopted:  # with mail: what was read, what is written, two spares
        parts.wait_for(lambda shard=shard: len(segment_files(relay, shard)) <= 4, "spares to go")
    refuser.stop()
    stage.sink(port=refuser.port)
    relay.wait_empty()
    for shard in adopted:
        parts.wait_for(lambda shard=shard: len(segment_files(relay, shard)) == 1, "one file")
    last = {shard: segment_files(relay, shard)[0] for shard in adopted}
    for _ in range(2):
        relay.stop()
        relay.start()
        for shard in adopted:
            parts.wait_for(lambda shard=shard: len(segment_files(relay, shard)) == 1, "one file")
            assert segment_files(relay, shard)[0] >= last[shard]
    relay.stop()
    relay.write_config(engines="3")  # and they go on where they were
    relay.start()
    for i in range(12):
        relay.submit(f"v{i}@many.example")
    relay.wait_empty()
    ids = [event["event_id"] for event in relay.events()]
    assert len(ids) == len(set(ids))
    assert len(relay.events(kind="delivered")) == 24


def test_metrics_and_health(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=route_to(sink.port))
    relay.submit("a@example.com")
    relay.wait_empty()
    metrics = relay.metrics()
    assert metrics["ringpost_queue_unheld"] == 0
    assert metrics["ringpost_spool_recipients"] == 0
    assert metrics["ringpost_smtp_sessions_accepted_total"] >= 1
    base = f"http://127.0.0.1:{relay.metrics_port}"
    with urllib.request.urlopen(f"{base}/metrics") as reply:
        names = [line.rsplit(" ", 1)[0] for line in reply.read().decode().splitlines()
                 if not line.startswith("#")]
    assert len(names) == len(set(names)), "a series is told twice"
    with urllib.request.urlopen(f"{base}/health") as reply:
        assert reply.read() == b"ok\n"


MANUAL = pathlib.Path(__file__).parents[2] / "docs" / "man"


def options_by_command(manual):
    """What the manual page says behind each command's name, its subcommands' together."""
    found = {}
    for line in re.findall(r"^\.It Cm (.*)$", manual, re.MULTILINE):
        found.setdefault(line.split()[0], set()).update(re.findall(r"Fl (-[a-z-]+)", line))
    return {name: {f"-{option}" for option in options} for name, options in found.items()}


def test_manual_and_help_tell_the_same_commands_and_options(stage):
    relay = stage.unstarted_ringpost()
    told = options_by_command((MANUAL / "ringpost.8").read_text())
    general = relay.cli("help").stdout
    listed = set(re.findall(r"^  ([a-z][a-z-]*) +\S", general, re.MULTILINE))
    assert listed | {"help"} == set(told)
    for command in listed:
        usage = relay.cli("help", command).stdout
        assert usage == relay.cli(command, "--help").stdout and usage.startswith("usage: ringpost ")
        # The manual tells of these once, behind all commands, as `which`.
        which = {"--domain", "--sender", "--recipient"} if command == "queue" else set()
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", usage)) - {"--json", "--help"} \
            == told[command] | which, command
    assert relay.cli("help", "--json").stdout == general
    for words in (["events", "sinks"], ["queue", "list"], ["events", "sinks", "pause"],
                  ["events", "sinks", "resume"], ["spool", "dump"], ["webhook", "add"]):
        assert relay.cli("help", *words).stdout == relay.cli("help", words[0]).stdout
    # Neither prose nor what belongs elsewhere.
    for words in (["frobnicate"], ["queue", "frobnicate"], ["events", "sinks", "frobnicate"],
                  ["events", "order"], ["events", "pause"], ["events", "audit", "sinks"],
                  ["queue", "list", "limit"], ["queue", "list", "retry"], ["queue", ""],
                  ["spool", "check", "check"], ["events", "usage"], ["status", "sites"],
                  ["tenant", "is"], ["queue", "which"], ["events", "ringpost"]):
        refused = relay.cli("help", *words, check=False)
        assert refused.returncode == 64 and words[-1] in refused.stderr and not refused.stdout
    without = subprocess.run([parts.PROGRAM, "-c"], capture_output=True, text=True)
    assert without.returncode == 64 and "-c needs a value" in without.stderr


def test_rules_of_sites_are_taken_as_the_manual_writes_them(stage):
    line = re.search(r"^\.Li (\{match: PATTERN, connections.*\}) ;$",
                     (MANUAL / "ringpost.yaml.5").read_text(), re.MULTILINE)
    relay = stage.unstarted_ringpost()
    relay.write_config(delivery=f'{{sites: [{line[1].replace("PATTERN", "a.example")}]}}')
    relay.cli("check")


def test_a_stop_asks_its_manager_for_the_time_that_it_may_take(stage):
    """More than systemd's TimeoutStopSec: else attempts in flight would be killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(stage.directory / "notify"))
        manager.settimeout(parts.PATIENCE)
        relay = stage.unstarted_ringpost(stop_timeout="20m")
        relay.env = {**relay.env, "NOTIFY_SOCKET": manager.getsockname()}
        relay.start()
        assert manager.recv(4096) == b"READY=1"
        assert relay.end() == 0
        state, time = manager.recv(4096).decode().split("\n")
        assert state == "STOPPING=1"
        assert re.fullmatch(r"EXTEND_TIMEOUT_USEC=12\d{8}", time)


def test_status_answers_while_a_stop_drains(stage):
    silent = threading.Event()
    receiver = stage.receiver(lambda session, where, line:
                              silent.wait(parts.PATIENCE) and None if where == "content" else None)
    relay = stage.ringpost(routes=route_to(receiver.port), stop_timeout="60s")
    before = relay.status()
    relay.submit("a@slow.example")
    parts.wait_for(lambda: relay.status()["delivery"]["in_attempt"] == 1, "an attempt")
    with socket.socket(socket.AF_UNIX) as idle:  # is cut off and holds nothing up
        idle.settimeout(parts.PATIENCE)
        idle.connect(str(relay.state_dir / "control.sock"))
        relay.child.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
    status = relay.status()
    assert "queue" not in status and status["pid"] == before["pid"]
    parts.wait_for(lambda: relay.status()["stopping"]["attempts"] == 1, "the attempt to be counted")
    assert status["stopping"]["until"] > "20" and status["metrics"]
    text = relay.cli("status").stdout
    assert "stopping: 0 sessions and 1 attempts are left, until 2" in text
    for command in (["queue", "list"], ["status", "--sites"], ["reload"], ["queue", "suspensions"]):
        refused = relay.cli(*command, check=False)
        assert refused.returncode == 1 and "ringpost is stopping, until 2" in refused.stderr
    assert relay.running()
    silent.set()
    assert relay.child.wait(parts.PATIENCE) == 0  # before end(), which would signal again
    assert relay.end() == 0
    assert relay.cli("status", check=False).returncode == 69
    assert relay.events(kind="delivered")
