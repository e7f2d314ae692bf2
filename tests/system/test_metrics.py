"""GET /metrics: names, types, units and histograms as Prometheus wants them."""

import re
import shutil
import subprocess
import urllib.request

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*"\})? (\S+)$')


def fetch(relay):
    with urllib.request.urlopen(f"http://127.0.0.1:{relay.metrics_port}/metrics", timeout=10) as r:
        return r.read().decode()


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
