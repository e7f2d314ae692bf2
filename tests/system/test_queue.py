"""The queue's commands: what they list, explain and refuse."""

import datetime
import json
import os
import pty
import socket
import subprocess
import threading
import time

import pytest

import parts


def route_to(port, match="*"):
    return f'[{{match: "{match}", to: ["127.0.0.1:{port}"]}}]'


def lines_of(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows_of(done):
    return [line for line in lines_of(done) if "id" in line]


def test_limit_is_kept_within_a_message_and_over_engines(stage):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(routes=route_to(refuser.port), retry="{first: 1h, max: 2h}")
    relay.submit([f"user{i}@many.example" for i in range(40)])
    for i in range(12):  # by several connections, so that both engines have some
        relay.submit(f"single{i}@one.example")
    relay.wait_events(52, kind="deferred")
    for limit in (1, 5, 45, 52):
        rows = rows_of(relay.cli("queue", "list", "--limit", limit, "--json"))
        assert len(rows) == limit
        assert len({(row["id"], row["recipient"]) for row in rows}) == limit
    assert len(rows_of(relay.cli("queue", "list", "--limit", "1000", "--json"))) == 52
    domain = relay.cli("queue", "list", "--domain", "one.example", "--limit", "3").stdout
    assert domain.count("@one.example") == 3


@pytest.mark.parametrize("limit", ["0", "-1", "x", "18446744073709551615"])
def test_limit_that_is_no_count_is_misuse(stage, limit):
    relay = stage.unstarted_ringpost()
    done = relay.cli("queue", "list", "--limit", limit, check=False)
    assert done.returncode == 64 and "--limit" in done.stderr


def test_show_of_a_finished_or_unknown_message_fails(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=route_to(sink.port))
    finished = relay.submit("a@done.example")
    relay.wait_empty()
    unknown = finished[:-1] + ("0" if finished[-1] != "0" else "1")
    for message in (finished, unknown):
        shown = relay.cli("queue", "show", message, check=False)
        assert shown.returncode == 1 and not shown.stdout
        assert f"no unfinished message {message}" in shown.stderr
        assert shown.stderr == relay.cli("queue", "explain", message, check=False).stderr
    assert relay.cli("queue", "show", "nonsense", check=False).returncode == 1


def near(time, other):
    """The schedule knows whole seconds of another clock."""
    parsed = [datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (time, other)]
    return abs((parsed[0] - parsed[1]).total_seconds()) < 3


def explain(relay, *which):
    """What is printed as JSON, without the closing line."""
    return [line for line in lines_of(relay.cli("queue", "explain", *which, "--json"))
            if "done" not in line]


def test_explain_of_deferred_mail_tells_rule_time_and_reply(stage):
    refuser = stage.receiver(lambda session, where, line:
                             "451 4.7.1 später, bitte".encode() + b"\r\n" if where == "rcpt" else None)
    relay = stage.ringpost(
        routes=route_to(refuser.port),
        retry='{first: 1h, max: 2h, max_age: 3d, destinations: ['
              '{match: other.example, first: 5m}, {match: "*.slow.example", first: 3h, max: 3h}]}')
    plain = relay.submit(["a@def.example", "b@def.example"])
    slow = relay.submit("c@very.slow.example")
    relay.wait_events(3, kind="deferred")

    def look():
        first, second = explain(relay, plain)
        for row, recipient in ((first, "a@def.example"), (second, "b@def.example")):
            deferred = relay.events(id=plain, recipient=recipient, kind="deferred")[-1]
            assert row["recipient"] == recipient and row["domain"] == "def.example"
            assert row["state"] == "scheduled" and row["attempts"] == 1
            assert row["constraint"] == "retry-delay" and row["rule"] == "retry"
            assert row["until"] == row["due"] and near(row["due"], deferred["next_attempt_time"])
            assert row["accepted"] < row["due"] < row["expires"]
            last = row["last_outcome"]
            assert last["time"] == deferred["time"] and last["attempt"] == 1
            assert last["reply"]["code"] == 451 and last["reply"]["text"] == "später, bitte"
            assert last["mx_ip"] == "127.0.0.1" and last["rule"] == deferred["rule"]
        other, = explain(relay, slow)
        assert other["rule"] == "retry.destinations[1] (match *.slow.example)"
        assert other["last_outcome"]["recipient"] == "c@very.slow.example"
        domain, = explain(relay, "--domain", "DEF.example")
        assert {key: domain[key] for key in ("unfinished", "scheduled", "ready", "held",
                                             "in_attempt", "committing")} == {
            "unfinished": 2, "scheduled": 2, "ready": 0, "held": 0, "in_attempt": 0, "committing": 0}
        assert domain["constraint"] == "retry-delay" and domain["rule"] == "retry"
        assert near(domain["until"], domain["next_due"])
        assert near(domain["next_due"], min(first["due"], second["due"]))
        assert domain["last_outcome"]["reply"]["text"] == "später, bitte"
    look()
    text = relay.cli("queue", "explain", plain).stdout
    assert "später, bitte" in text and "a@def.example" in text
    assert relay.cli("queue", "explain", "--domain", "none.example", check=False).returncode == 1
    assert relay.cli("queue", "explain", "--domain", "*", check=False).returncode == 1
    relay.stop()
    refuser.stop()
    relay.write_config(routes='[{match: "*", to: ["127.0.0.1:1"]}]')
    relay.start()  # what it knew of the site is gone, the reasons are not
    look()


def test_explain_tells_of_dead_names_and_closed_ports(stage):
    relay = stage.ringpost(
        dns='{servers: ["127.0.0.1:1"], timeout: 200ms, tries: 1}', retry="{first: 1h, max: 2h}",
        routes='[{match: closed.example, to: ["127.0.0.1:1"]}]')
    nowhere = relay.submit("a@nowhere.example")
    relay.submit("a@closed.example")
    relay.wait_events(2, kind="deferred")
    row, = explain(relay, nowhere)
    assert row["last_outcome"]["class"] == "dns" and row["last_outcome"]["reply"]["from"] == "relay"
    domain, = explain(relay, "--domain", "nowhere.example")
    assert domain["constraint"] == "retry-delay"
    assert domain["last_outcome"]["rule"] == "dns-failed" and domain["last_outcome"]["reply"]["text"]
    assert any(engine["no_route"] == domain["last_outcome"]["reply"]["text"]
               for engine in domain["engines"])
    closed, = explain(relay, "--domain", "closed.example")
    assert closed["last_outcome"]["class"] == "connection"
    late = relay.submit("b@closed.example")  # its site rests: given back untried
    def resting():
        rows = explain(relay, late)
        return rows if rows[0]["constraint"] in ("site-resting", "retry-delay") else None
    parts.wait_for(resting, "the message to be scheduled")


def test_explain_names_the_suspension_in_every_state(stage):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(routes=route_to(refuser.port), retry="{first: 1h, max: 2h}")
    scheduled = relay.submit("a@held.example", sender="shop@client.example")
    relay.wait_events(1, kind="deferred")
    relay.cli("queue", "suspend", "--domain", "elsewhere.example")
    relay.cli("queue", "suspend", "--domain", "held.example", "--for", "4h")
    held = relay.submit("b@held.example")
    number = 2
    for message, state in ((scheduled, "scheduled"), (held, "held")):
        row, = explain(relay, message)
        assert row["state"] == state and row["constraint"] == "suspended"
        assert row["rule"] == f"suspension {number} (domain held.example)"
        assert row["until"] > row["accepted"] and (row["due"] is None) == (state == "held")
    domain, = explain(relay, "--domain", "held.example")
    assert domain["held"] == 1 and domain["scheduled"] == 1
    assert domain["constraint"] == "suspended" and domain["rule"].startswith("suspension 2 ")
    relay.cli("queue", "resume", number)
    parts.wait_for(lambda: explain(relay, held)[0]["state"] == "scheduled", "the next attempt")
    assert explain(relay, held)[0]["constraint"] == "retry-delay"

    relay.cli("queue", "suspend", "--sender", "@client.example")
    row, = explain(relay, scheduled)
    assert row["rule"] == "suspension 3 (sender @client.example)" and row["until"] is None
    relay.cli("queue", "resume", "--all")
    relay.cli("queue", "suspend", "--domain", "held.example", "--for", "1m")
    row, = explain(relay, scheduled)  # which is over before it is due
    assert row["constraint"] == "retry-delay" and row["rule"] == "retry"


def test_a_walk_that_takes_long_tells_its_progress(stage):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(routes=route_to(refuser.port), retry="{first: 1h, max: 2h}", engines="1")
    for part in range(4):
        relay.submit([f"user{part}-{i}@progress.example" for i in range(1000)])
    parts.wait_for(lambda: relay.status()["queue"]["scheduled"] == 4000, "deferred mail", pause=0.5)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(relay.state_dir / "control.sock"))
        client.sendall(b'{"command": "queue.list"}\n')
        time.sleep(1.5)  # what the daemon writes fills the socket, so its walk stands still
        answer = [json.loads(line) for line in client.makefile()]
    told = [line["progress"] for line in answer if "progress" in line]
    assert told and told[-1]["messages"] == 4 and 1 <= told[-1]["visited"] <= 4
    assert answer[-1]["done"] and answer[-1]["acted"] == 4000


def ask(relay, **request):
    """The lines that the control socket answers with."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(relay.state_dir / "control.sock"))
        client.sendall(json.dumps(request).encode() + b"\n")
        return [json.loads(line) for line in client.makefile()]


@pytest.mark.parametrize("command", ["retry", "cancel", "suspend", "list"])
def test_a_walk_of_several_slices_tells_its_progress_at_once(stage, command):
    refuser = stage.sink("--reject", "rcpt:451:100%")
    relay = stage.ringpost(routes=route_to(refuser.port), retry="{first: 1h, max: 2h}", engines="2")
    for i in range(8):
        relay.submit(f"a{i}@slices.example")
    relay.wait_events(8, kind="deferred")
    relay.stop()
    relay.write_config(engines="1")
    relay.start()  # a shard more than engines: a slice each
    answer = ask(relay, command=f"queue.{command}", domain="slices.example")
    told = [line["progress"] for line in answer if "progress" in line]
    assert told and told[0]["messages"] == 8 and told[0]["visited"] <= 8
    assert answer[-1]["done"] and answer[-1]["matched"] == 8


class FakeDaemon:
    """Answers one command with the lines given."""

    def __init__(self, relay, lines):
        relay.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (relay.state_dir / "events").mkdir(exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(relay.state_dir / "control.sock"))
        self.socket.listen(1)
        self.lines = lines
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        client, _ = self.socket.accept()
        with client, client.makefile("rw") as stream:
            stream.readline()
            for line in self.lines:
                stream.write(json.dumps(line) + "\n")
            stream.flush()

    def close(self):
        self.thread.join(parts.PATIENCE)
        self.socket.close()


def run_on_terminal(relay, *command):
    """stdout and what a terminal on stderr was sent."""
    master, slave = pty.openpty()
    try:
        done = subprocess.run([parts.PROGRAM, "-c", relay.config_file, *command], stderr=slave,
                              stdout=subprocess.PIPE, text=True, timeout=parts.PATIENCE)
        assert done.returncode == 0
        os.set_blocking(master, False)
        try:
            return done.stdout, os.read(master, 65536).decode()
        except BlockingIOError:
            return done.stdout, ""
    finally:
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("command", ["cancel", "retry", "suspend", "list"])
def test_progress_is_shown_on_a_terminal_and_nowhere_else(stage, command, options):
    relay = stage.unstarted_ringpost()
    row = {"id": "a3f100-5f3a9c1b2d4e7", "recipient": "a@b.example", "sender": "c@d.example"}
    progress = {"progress": {"visited": 70000, "messages": 100000, "matched": 7, "acted": 5}}
    done = {"done": True, "matched": 9, "acted": 9, "busy": 0, "unreadable": 0, "dry_run": False}
    lines = ([row] if command == "list" else []) + [progress, done]
    for on_terminal in (True, False):
        daemon = FakeDaemon(relay, lines)
        try:
            if on_terminal:
                out, err = run_on_terminal(relay, "queue", command, "--domain", "b.example", *options)
                assert "70000 of 100000 messages looked at, 7 recipients match, 5 done" in err
                assert err.endswith("\r\x1b[K")  # the line is clean for what comes
            else:
                ended = relay.cli("queue", command, "--domain", "b.example", *options)
                out = ended.stdout
                assert ended.stderr == ""
        finally:
            daemon.close()
            (relay.state_dir / "control.sock").unlink()
        assert "progress" not in out and "70000" not in out
        if options:
            assert json.loads(out.splitlines()[-1]) == done


def test_list_tells_the_last_reply_of_each_recipient(stage):
    replies = {"a": b"451 4.7.1 later\r\n", "b": b"450-4.2.1 first\r\n450 4.2.1 second\r\n"}
    refuser = stage.receiver(lambda session, where, line:
                             replies.get(line.partition("<")[2][:1]) if where == "rcpt" else None)
    relay = stage.ringpost(routes=route_to(refuser.port), retry="{first: 1h, max: 2h}")
    first = relay.submit(["a@told.example", "b@told.example"])
    second = relay.submit("a@told.example")
    relay.wait_events(3, kind="deferred")
    replies["a"] = b"452 4.3.1 full\r\n"
    relay.cli("queue", "retry", "--id", second)
    relay.wait_events(4, kind="deferred")
    relay.cli("queue", "suspend", "--domain", "new.example")
    untried = relay.submit("c@new.example")

    rows = {(row["id"], row["recipient"]): row for row in rows_of(relay.cli("queue", "list", "--json"))}
    assert len(rows) == 4
    told = {key: row["last_outcome"] and row["last_outcome"]["reply"] for key, row in rows.items()}
    assert told[first, "a@told.example"]["text"] == "later"
    assert told[first, "b@told.example"]["code"] == 450
    assert told[second, "a@told.example"]["text"] == "full"  # the last one, of this message
    assert rows[second, "a@told.example"]["last_outcome"]["attempt"] == 2
    assert told[untried, "c@new.example"] is None

    text = relay.cli("queue", "list").stdout
    assert text.count("\n") == 4
    assert "to=<a@told.example> last=452 4.3.1 full" in text
    untold, = [line for line in text.splitlines() if line.startswith(untried)]
    assert "last=" not in untold


def test_list_of_a_long_queue_tells_replies_of_its_front_only(stage):
    relay = stage.unstarted_ringpost()
    count = 10005
    row = {"id": "a3f100-5f3a9c1b2d4e7", "sender": "", "state": "scheduled", "attempts": 1, "size": 1,
           "accepted": "2026-11-24T03:10:00.000Z"}
    daemon = FakeDaemon(relay, [{**row, "recipient": f"u{i}@long.example"} for i in range(count)]
                        + [{"done": True, "matched": count}])
    with open(relay.state_dir / "events" / "current.jsonl", "w", encoding="ascii") as current:
        for i in range(count):
            print(json.dumps({"v": 1, "time": "2026-11-24T03:11:00.000Z", "kind": "deferred",
                              "id": row["id"], "recipient": f"u{i}@long.example",
                              "reply": {"code": 451, "text": f"reply \x1b[3{i}"}}, separators=(",", ":")),
                  file=current)
    listed = relay.cli("queue", "list")
    daemon.close()
    lines = listed.stdout.splitlines()
    assert len(lines) == count and "first 10000" in listed.stderr
    for i, line in enumerate(lines):
        assert f"to=<u{i}@long.example>" in line
        assert line.endswith(f'last=451 "reply \\u001B[3{i}"') if i < 10000 else "last=" not in line
