"""The dashboard and the alert rules that are shipped: their metrics exist, a real Prometheus loads the
rules and answers every query from a relay that it scrapes, and promtool makes each alert fire."""

import json
import re
import urllib.parse
import urllib.request

import hook
import parts
import yaml

PACKAGING = parts.ROOT / "packaging"
ALERTS = PACKAGING / "prometheus" / "alerts.yaml"
TESTS = PACKAGING / "prometheus" / "alerts_test.yaml"
DASHBOARD = PACKAGING / "grafana" / "ringpost.json"
METRIC = re.compile(r"\b((?:ringpost|process)_[a-z0-9_]+)")


def rules():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def queries():
    """{title: expressions} of the dashboard, as Grafana would ask."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], (target["expr"].replace("$__rate_interval", "1m")
                                   .replace("$job", ".*").replace("$instance", ".*"))


def used_metrics():
    """Names in both, of histograms without what stands for a bucket, with where they are used."""
    for where, expression in [*queries(), *((rule["alert"], rule["expr"]) for rule in rules())]:
        for name in METRIC.findall(expression):
            yield where, re.sub(r"_bucket$", "", name)


class Prometheus(parts.Process):
    def __init__(self, directory, target):
        super().__init__(directory, "prometheus")
        self.port = parts.free_port()
        self.target = target

    def start(self):
        config = self.directory / "prometheus.yml"
        config.write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [{"job_name": "ringpost",
                                "static_configs": [{"targets": [self.target]}]}]}))
        self.spawn([parts.need("prometheus"), f"--config.file={config}",
                    f"--storage.tsdb.path={self.directory / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self.port}"])
        self.wait_port(self.port)
        return self

    def stop(self):
        self.end()

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]


def test_each_alert_fires_and_none_without_need():
    parts.run(["promtool", "check", "rules", ALERTS])
    parts.run(["promtool", "test", "rules", TESTS])
    fired = {case["alertname"] for test in yaml.safe_load(TESTS.read_text())["tests"]
             for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules()}


def test_prometheus_answers_every_query_of_the_dashboard(stage):
    sink = stage.sink("--reject", "rcpt:451:30%")
    target = stage.add(hook.Hook())
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
                           webhooks=f'[{{name: main, url: "{target.url}", allow: ["127.0.0.1/32"]}}]')
    documented = set(re.findall(r"^\| `([a-z0-9_]+)` \|", (parts.ROOT / "docs" / "metrics.md").read_text(),
                                re.M))
    told = {re.sub(r"\{.*", "", name) for name in relay.metrics()}
    told |= {re.sub(r"_bucket$", "", name) for name in told}
    labelled = ("ringpost_class_", "ringpost_site_", "ringpost_tenant_", "ringpost_source_",
                "ringpost_malloc_bytes")  # told once something was counted; where jemalloc is
    for where, name in used_metrics():
        assert name in documented, f"{where}: {name} is not in docs/metrics.md"
        assert name in told or name.startswith(labelled), f"{where}: {name} is not told"

    prometheus = stage.add(Prometheus(stage.directory / "prometheus",
                                      f"127.0.0.1:{relay.metrics_port}"))
    for i in range(20):
        relay.submit(f"a{i}@b.example")
    loaded = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {rule["alert"] for rule in rules()}

    def is_scraped():
        value = prometheus.ask("query", query="count_over_time(ringpost_queue_unfinished[1m])")
        return value["result"] and int(value["result"][0]["value"][1]) >= 4
    parts.wait_for(is_scraped, "scrapes")
    bounces = ("ringpost_class_bounced_total", "ringpost_tenant_bounced_total")
    empty = [(title, expression) for title, expression in queries()
             if not prometheus.ask("query", query=expression)["result"]
             and not any(name in expression for name in bounces)
             and not (parts.is_sanitized() and "ringpost_malloc_bytes" in expression)]
    assert not empty, empty
    parts.wait_for(lambda: all(rule["health"] == "ok" for group in prometheus.ask("rules")["groups"]
                               for rule in group["rules"]), "every rule to be evaluated")
    firing = [alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]
              if alert["state"] == "firing"]
    assert not firing, firing
