"""GET /metrics: names, types, units and histograms as Prometheus wants them."""

import contextlib
import pathlib
import re
import shutil
import smtplib
import subprocess
import threading
import urllib.request

import parts
import pytest

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*"'
SAMPLE = re.compile(rf'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{{{LABEL}(?:,{LABEL})*\}})? (\S+)$')


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_ASKS = (f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,"
                   "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")


def ask(relay, accept=None):
    """The type and the text of what is answered."""
    request = urllib.request.Request(f"http://127.0.0.1:{relay.metrics_port}/metrics",
                                     headers={} if accept is None else {"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as r:
        return r.headers["Content-Type"], r.read().decode()


def fetch(relay):
    return ask(relay)[1]


def check_as_promtool(text):
    """The rules of `promtool check metrics` that concern names, types and help."""
    types, helps, problems, closed, current = {}, {}, [], set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, text_of_help = line[7:].partition(" ")
            if name in helps or not text_of_help:
                problems.append(f"{name}: help is missing or told twice")
            helps[name] = text_of_help
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            if name in types:
                problems.append(f"{name}: type told twice")
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            if match is None:
                problems.append(f"not a sample: {line}")
                continue
            float(match[3])
            name = match[1]
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            family = base if types.get(base) == "histogram" else name
            if family not in types or family not in helps:
                problems.append(f"{name}: without help or type")
                continue
            if family != current and family in closed:
                problems.append(f"{family}: its samples do not stand together")
            closed.add(family)
            current = family
    for name, kind in types.items():
        if (kind == "counter") != name.endswith("_total"):
            problems.append(f"{name}: only counters end in _total, and all of them do")
        if re.search(r"_(milliseconds|microseconds|ms|us|minutes|hours|kib|mib|percent)(_|$)", name):
            problems.append(f"{name}: no base unit")
        if kind != "histogram" and re.search(r"_(bucket|count|sum)$", name):
            problems.append(f"{name}: a name of histograms")
    return problems


def test_metrics_are_what_prometheus_wants(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    relay.submit("a@example.com")
    relay.wait_empty()
    text = fetch(relay)
    assert check_as_promtool(text) == []
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True,
                              text=True)
        assert done.returncode == 0 and done.stderr == "", done.stderr + done.stdout


def test_process_and_latencies_are_told(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    relay.submit("a@example.com")
    relay.wait_empty()
    metrics = relay.metrics()
    version = relay.status()["version"]
    assert metrics[f'ringpost_build_info{{version="{version}"}}'] == 1
    assert metrics["process_resident_memory_bytes"] == relay.memory() or (
        metrics["process_resident_memory_bytes"] > 1 << 20)
    assert 10 < metrics["process_open_fds"] <= metrics["process_max_fds"]
    assert metrics["process_cpu_seconds_total"] > 0
    assert metrics["process_start_time_seconds"] > 1.6e9
    for name, least in (("ringpost_accept_latency_seconds", 1),
                        ("ringpost_spool_sync_latency_seconds", 2),
                        ("ringpost_delivery_latency_seconds", 1)):
        count = metrics[f"{name}_count"]
        assert count >= least, name
        assert metrics[f'{name}_bucket{{le="+Inf"}}'] == count
        buckets = [value for key, value in metrics.items() if key.startswith(f"{name}_bucket")]
        assert buckets == sorted(buckets)
        assert 0 < metrics[f"{name}_sum"] < 3600


def test_openmetrics_for_who_asks(stage):
    sink = stage.sink()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    relay.submit("a@example.com")
    relay.wait_empty()
    for accept in (None, "*/*", "text/plain"):
        kind, text = ask(relay, accept)
        assert kind.startswith("text/plain; version=0.0.4") and "# EOF" not in text
    kind, text = ask(relay, PROMETHEUS_ASKS)
    assert kind.startswith(f"{OPENMETRICS}; version=1.0.0")
    assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    units = dict(re.findall(r"^# UNIT (\S+) (\S+)$", text, re.MULTILINE))
    assert types["ringpost_smtp_commands"] == "counter"
    assert not [name for name in types if name.endswith("_total")]
    assert "\nringpost_smtp_commands_total " in text
    assert units["ringpost_delivery_latency_seconds"] == "seconds"
    assert units["process_resident_memory_bytes"] == "bytes"
    assert all(name.endswith("_" + unit) for name, unit in units.items())
    # The same series in either format.
    names = [{line.rsplit(" ", 1)[0] for line in each.splitlines() if not line.startswith("#")}
             for each in (text, fetch(relay))]
    assert names[0] == names[1]


def test_openmetrics_is_read_by_prometheus(stage, tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    relay = stage.ringpost()
    _, text = ask(relay, PROMETHEUS_ASKS)
    # Prometheus' own reader of the format, which wants times for what it is to store.
    timed = re.sub(r"^([^#\n].*)$", r"\1 1700000000", text, flags=re.MULTILINE)
    (tmp_path / "metrics").write_text(timed)
    done = subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics",
                           tmp_path / "metrics", tmp_path / "blocks"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stdout + done.stderr


def test_pool_of_segments_is_told(stage):
    relay = stage.ringpost(routes='[{match: "*", to: ["127.0.0.1:9"]}]')
    relay.submit("a@example.com")
    metrics = relay.metrics()
    assert metrics['ringpost_pool_done_total{pool="segments"}'] >= 1
    for pool in ("archives", "keys", "mail", "mta-sts", "returns", "store"):
        assert metrics[f'ringpost_pool_waiting{{pool="{pool}"}}'] == 0
    assert metrics['ringpost_pool_waiting{pool="segments"}'] <= 2
    assert metrics['ringpost_pool_refused_total{pool="segments"}'] == 0
    assert 0 <= metrics['ringpost_pool_wait_max_seconds{pool="segments"}'] < 60


def test_every_metric_is_documented(stage):
    text = fetch(stage.ringpost())
    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    page = (pathlib.Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z0-9_]+)` \| (\w+) \|", page, re.MULTILINE))
    if parts.is_sanitized():  # jemalloc tells it, and sanitizers bring an allocator of their own
        listed.pop("ringpost_malloc_bytes")
    assert listed == told


def by_label(relay, name):
    """{label value: number} of a family with one label."""
    found = re.findall(r'^%s\{[a-z]+="(.*)"\} (\S+)$' % name, fetch(relay), re.MULTILINE)
    assert len(dict(found)) == len(found), found
    return {value: float(number) for value, number in found}


def test_counts_by_site_source_and_tenant(stage):
    sink = stage.sink()
    [nobody] = parts.free_ports(1)
    relay = stage.ringpost(
        sources="[{name: here, address: 127.0.0.1}]",
        routes=f'[{{match: dead.example, to: ["127.0.0.1:{nobody}"]}}, '
               f'{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    good, dead = f"route:127.0.0.1:{sink.port}", f"route:127.0.0.1:{nobody}"
    for i in range(6):
        relay.submit([f"a@d{i}.example", f"b@d{i}.example"])
    relay.submit("a@dead.example")
    parts.wait_for(lambda: by_label(relay, "ringpost_site_deferred_total").get(dead, 0) >= 1,
                   "a deferral")
    parts.wait_for(lambda: by_label(relay, "ringpost_tenant_waiting")[""] == 1, "the mail")
    assert by_label(relay, "ringpost_site_delivered_total") == {good: 12, dead: 0, "other": 0}
    assert by_label(relay, "ringpost_tenant_accepted_total") == {"": 13, "other": 0}
    assert by_label(relay, "ringpost_tenant_delivered_total") == {"": 12, "other": 0}
    opened = by_label(relay, "ringpost_source_connections_opened_total")
    assert set(opened) == {"here", "other"} and opened["here"] >= 2
    assert opened["here"] == relay.metrics()["ringpost_delivery_connects_total"]
    # Everything that is counted by name is what is counted without.
    relay.cli("queue", "cancel", "--recipient", "a@dead.example")
    relay.wait_empty()
    metrics = relay.metrics()
    for outcome in ("delivered", "deferred", "bounced", "expired"):
        total = metrics[f'ringpost_delivery_outcomes_total{{outcome="{outcome}"}}']
        assert sum(by_label(relay, f"ringpost_site_{outcome}_total").values()) == total
        assert sum(by_label(relay, f"ringpost_tenant_{outcome}_total").values()) == total
    assert sum(by_label(relay, "ringpost_tenant_cancelled_total").values()) == 1
    assert sum(by_label(relay, "ringpost_tenant_waiting").values()) == 0
    assert sum(by_label(relay, "ringpost_site_waiting").values()) == 0
    parts.wait_for(lambda: sum(by_label(relay, "ringpost_source_connections").values()) == 0,
                   "idle connections to end")


def tenant_sums(relay):
    """{tenant: (what came, what ended, what waits)}, of one reading."""
    text = fetch(relay)

    def of(name):
        return {tenant: float(number) for tenant, number in re.findall(
            r'^ringpost_tenant_%s\{tenant="(.*)"\} (\S+)$' % name, text, re.MULTILINE)}
    came, recovered, waiting = of("accepted_total"), of("recovered_total"), of("waiting")
    ends = [of(f"{end}_total") for end in ("delivered", "bounced", "expired", "cancelled", "named")]
    return {tenant: (came[tenant] + recovered[tenant], sum(end[tenant] for end in ends),
                     waiting[tenant]) for tenant in came}


def test_sum_of_each_tenant_is_exact_at_any_instant_and_after_a_kill(stage):
    sink = stage.sink()
    port, other, nobody = parts.free_ports(3)
    relay = stage.unstarted_ringpost(
        listeners=f'[{{address: "127.0.0.1:{port}", trust: ["127.0.0.0/8"], tenant: shop}}, '
                  f'{{address: "127.0.0.1:{other}", trust: ["127.0.0.0/8"], tenant: news}}]',
        routes=f'[{{match: dead.example, to: ["127.0.0.1:{nobody}"]}}, '
               f'{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        retry="{first: 1h, max: 1h, max_age: 2h}")
    for tenant in ("shop", "news"):
        relay.cli("tenant", "add", tenant)
    relay.start()
    stop = threading.Event()

    def send(port, dead):
        while not stop.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException):
                with smtplib.SMTP("127.0.0.1", port, timeout=parts.PATIENCE) as smtp:
                    while not stop.is_set():
                        smtp.sendmail("a@client.example",
                                      ["a@x.example", "b@x.example"] + dead, "Subject: x\r\n\r\n")
    threads = [threading.Thread(target=send, args=args)
               for args in ((port, ["c@dead.example"]), (other, ["c@dead.example", "d@dead.example"]))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):  # each kill in the middle of it
            for _ in range(100):
                for tenant, (came, ended, waits) in tenant_sums(relay).items():
                    assert came == ended + waits, (tenant, came, ended, waits)
            parts.wait_for(lambda: all(tenant_sums(relay).get(tenant, (0, 0, 0))[1] > 20
                                       for tenant in ("shop", "news")), "mail of both")
            relay.kill()
            relay.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    parts.wait_for(lambda: relay.status()["queue"]["ready"] == 0, "what can be delivered to be so")
    waited = {tenant: waits for tenant, (_, _, waits) in tenant_sums(relay).items()}
    assert waited["shop"] > 20 and waited["news"] > 20
    relay.kill()
    relay.start()
    assert tenant_sums(relay) == {tenant: (waits, 0, waits) for tenant, waits in waited.items()}
    relay.cli("queue", "cancel", "--domain", "dead.example")
    relay.wait_empty()
    assert tenant_sums(relay) == {tenant: (waits, waits, 0) for tenant, waits in waited.items()}
    relay.cli("events", "audit")


def test_more_sites_than_names_are_one_other(stage):
    """Sixty sites: fifty have a name, and no mail is missing in the sum."""
    [nobody] = parts.free_ports(1)
    hosts = [f"127.0.1.{i}:{nobody}" for i in range(1, 61)]
    routes = ", ".join(f'{{match: d{i}.example, to: ["{host}"]}}' for i, host in enumerate(hosts))
    largest = f"route:{hosts[59]}"
    relay = stage.ringpost(routes=f"[{routes}]", retry="{first: 1h, max: 1h, max_age: 2h}")
    relay.submit([f"a@d{i}.example" for i in range(60)] + ["b@d59.example", "c@d59.example"])
    relay.wait_events(62, kind="deferred")
    before = by_label(relay, "ringpost_site_deferred_total")
    assert len(before) == 51 and sum(before.values()) == 62
    assert before[largest] == 3 and before["other"] == 10
    relay.cli("queue", "retry", "--domain", "*")
    relay.wait_events(124, kind="deferred")
    after = by_label(relay, "ringpost_site_deferred_total")
    assert set(after) == set(before) and sum(after.values()) == 124
    assert after[largest] == 6 and after["other"] == 20
