"""Hundreds of tenants' webhooks on one relay, some of which are slow, refuse, or are far behind."""

import json
import pathlib
import sqlite3
import threading

import hook
import parts

TENANTS = 8
EACH = 40  # webhooks of a tenant


def add_many(relay, target):
    """All but hook 0 of tenant t0, which the command adds, as rows like that one's."""
    relay.cli("webhook", "add", "t0", f"{target.url}/t0/h0", "--name", "h0", "--allow",
              "127.0.0.1/32", "--batch-wait", "50ms", "--timeout", "5s")
    database = sqlite3.connect(relay.state_dir / "directory.db", timeout=30)
    with database:
        settings, created = database.execute("SELECT settings, created FROM webhooks").fetchone()
        for tenant in range(TENANTS):
            (id_,) = database.execute("SELECT id FROM tenants WHERE name = ?",
                                      (f"t{tenant}",)).fetchone()
            for number in range(EACH):
                if (tenant, number) == (0, 0):
                    continue
                row = json.loads(settings) | {"url": f"{target.url}/t{tenant}/h{number}"}
                database.execute(
                    "INSERT INTO webhooks(tenant, name, settings, created) VALUES (?, ?, ?, ?)",
                    (id_, f"h{number}", json.dumps(row), created))
    database.close()


def threads(relay):
    tasks = pathlib.Path(f"/proc/{relay.child.pid}/task").iterdir()
    return sorted((task / "comm").read_text().strip() for task in tasks)


def sinks(relay):
    lines = [json.loads(line) for line in relay.cli("events", "sinks", "--json").stdout.splitlines()]
    return {line["sink"]: line for line in lines if "sink" in line}


class Target:
    """One server for all of them; each has a path of its own."""

    def __init__(self, stage):
        self.release, self.refuses = threading.Event(), True
        self.leaving = threading.Event()  # the one that is removed was asked
        self.hook = stage.add(hook.Hook(self.act))
        self.url = self.hook.url

    def act(self, request):
        name = request.path.removeprefix("/hook/")
        request.count = len(request.events())
        if name == "t0/h0":
            self.release.wait(parts.PATIENCE)
        if name == "t1/h0" and self.refuses:
            return 503
        if name == "t3/h0":
            self.leaving.set()
            self.release.wait(2)
        return None

    def has_told(self, expected):
        told = {}
        for request in list(self.hook.taken):
            name = request.path.removeprefix("/hook/")
            told[name] = told.get(name, 0) + request.count
        return all(told.get(name, 0) >= len(events) for name, events in expected.items())

    def told(self):
        """By path, in order, each event once."""
        told = {}
        for request in list(self.hook.taken):
            told.setdefault(request.path.removeprefix("/hook/"), []).extend(request.events())
        return {name: [event["event_id"] for event in hook.once_each(events)]
                for name, events in told.items()}


def wait_told(target, expected, what):
    """What each was told, once it is that and nothing else."""
    def is_told():
        if not target.has_told(expected):  # some may have come twice
            return None
        told = target.told()
        return told if all(len(told[name]) >= len(events)
                           for name, events in expected.items()) else None
    told = parts.wait_for(is_told, what, patience=2 * parts.PATIENCE, pause=0.5)
    for name, events in expected.items():
        assert told[name] == events, name
    return told


def submit(relay, ports, phase, count):
    for port, tenant in zip(ports, range(TENANTS)):
        relay.port = port
        for i in range(count):
            relay.submit(f"p{phase}-{tenant}-{i}@b.example")


def test_each_of_hundreds_gets_its_events_in_order(stage):
    target, sink = Target(stage), stage.sink()
    ports = parts.free_ports(TENANTS)
    relay = stage.unstarted_ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        events="{file_size: 64KiB}")  # so that who is behind reads what was compressed
    relay.write_config(listeners="[" + ", ".join(
        f'{{address: "127.0.0.1:{port}", service: submission, trust: ["127.0.0.0/8"], '
        f'tenant: t{tenant}}}' for tenant, port in enumerate(ports)) + "]")
    for tenant in range(TENANTS):
        relay.cli("tenant", "add", f"t{tenant}")
    relay.start()
    before = threads(relay)
    add_many(relay, target)
    parts.wait_for(lambda: len(sinks(relay)) == TENANTS * EACH, "all of them", pause=0.5)
    relay.cli("webhook", "pause", "t2.h0")
    parts.wait_for(lambda: all((relay.state_dir / "events/sinks" / name).exists()
                               for name in sinks(relay)), "their places")

    submit(relay, ports, 0, 5)
    assert target.leaving.wait(parts.PATIENCE)
    relay.cli("webhook", "remove", "t3.h0")
    after = threads(relay)
    assert after.count("webhook") == 1 and len(after) <= len(before) + 4, (before, after)
    relay.kill()
    relay.start()
    submit(relay, ports, 1, 5)
    relay.wait_empty()
    expected = {f"t{tenant}": [] for tenant in range(TENANTS)}
    for event in relay.events():
        if event["tenant"] is not None:
            expected[event["tenant"]].append(event["event_id"])
    usual = {f"t{tenant}/h{number}": expected[f"t{tenant}"]
             for tenant in range(TENANTS) for number in range(EACH)}
    unusual = {name: usual.pop(name) for name in ("t0/h0", "t1/h0", "t2/h0", "t3/h0")}

    # Nobody waits for the one that hangs, the one that refuses and the one that is held.
    told = wait_told(target, usual, "all that are well")
    assert "t1/h0" not in told and "t2/h0" not in told
    failing = {name for name, one in sinks(relay).items() if one["state"] == "failing"}
    assert "t1.h0" in failing and failing <= {"t0.h0", "t1.h0"}, failing
    assert "t3.h0" not in sinks(relay)

    # A new one is told what happens from now on.
    relay.cli("webhook", "add", "t4", f"{target.url}/t4/new", "--name", "new", "--allow",
              "127.0.0.1/32", "--batch-wait", "50ms")
    parts.wait_for(lambda: "t4.new" in sinks(relay), "the new one")
    parts.wait_for((relay.state_dir / "events/sinks/t4.new").exists, "its place")
    target.release.set()
    target.refuses = False
    relay.cli("webhook", "resume", "t2.h0")
    submit(relay, ports, 2, 2)
    relay.wait_empty()
    new = []
    old = {event for events in expected.values() for event in events}
    for event in relay.events():
        if event["tenant"] is not None and event["event_id"] not in old:
            expected[event["tenant"]].append(event["event_id"])
            if event["tenant"] == "t4":
                new.append(event["event_id"])
    assert len(new) == 4
    everything = {**usual, **unusual, "t4/new": new}
    del everything["t3/h0"]
    told = wait_told(target, everything, "everything")
    gone = told.get("t3/h0", [])
    assert gone == expected["t3"][:len(gone)]
    parts.wait_for(lambda: {one["state"] for one in sinks(relay).values()} == {"current"},
                   "every answer", pause=0.5)
    assert all(one["gaps"] == 0 for one in sinks(relay).values())
    relay.cli("events", "audit")


def test_there_is_a_most_of_them(stage):
    relay = stage.unstarted_ringpost()
    relay.cli("tenant", "add", "shop")
    relay.cli("webhook", "add", "shop", "https://example.net/", "--name", "first")
    database = sqlite3.connect(relay.state_dir / "directory.db", timeout=30)
    with database:
        database.executemany(
            "INSERT INTO webhooks(tenant, name, settings, created)"
            " SELECT tenant, ?, settings, created FROM webhooks WHERE name = 'first'",
            [(f"h{i}",) for i in range(9998)])
    database.close()
    relay.cli("webhook", "add", "shop", "https://example.net/", "--name", "last")
    done = relay.cli("webhook", "add", "shop", "https://example.net/", "--name", "more", check=False)
    assert done.returncode != 0 and "there are 10000 webhooks, and there may be no more" in done.stderr
