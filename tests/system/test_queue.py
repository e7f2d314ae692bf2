"""The queue's commands: what they list, explain and refuse."""

import json

import pytest


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
