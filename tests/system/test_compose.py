"""packaging/compose.yaml: it is read, and so are the files that it holds."""

import re
import shutil
import subprocess

import parts
import yaml

FILE = parts.ROOT / "packaging" / "compose.yaml"


# Of the Compose specification, what this file may use; `docker compose config` knows all of it.
SERVICE = {"image": str, "build": dict, "environment": dict, "configs": list, "volumes": list,
           "ports": list, "security_opt": list, "ulimits": dict, "stop_grace_period": str}
BUILD = {"context": str, "dockerfile_inline": str}


def test_compose_has_the_form_that_its_specification_asks_for():
    compose = yaml.safe_load(FILE.read_text())
    assert set(compose) == {"services", "volumes", "configs"}
    used = set()
    for name, service in compose["services"].items():
        assert ("image" in service) != ("build" in service), name
        for key, value in service.items():
            assert isinstance(value, SERVICE[key]), (name, key)
        for key, value in service.get("build", {}).items():
            assert isinstance(value, BUILD[key]), (name, key)
        # Compose takes texts, numbers and null there; a boolean of YAML is an error.
        assert not any(isinstance(v, bool) for v in service.get("environment", {}).values()), name
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), (name, port)
        for volume in service.get("volumes", []):
            source, target = volume.split(":")
            assert source in compose["volumes"] and target.startswith("/"), (name, volume)
        for config in service.get("configs", []):
            assert set(config) == {"source", "target"} and config["target"].startswith("/")
            used.add(config["source"])
    assert used == set(compose["configs"])
    for name, config in compose["configs"].items():
        assert set(config) in ({"content"}, {"file"}), name
        assert "file" not in config or (FILE.parent / config["file"]).is_file(), name
    # `$` would be replaced by a variable of the shell in any text, but those of files.
    assert not re.search(r"(?<!\$)\$(?!\$)", FILE.read_text())
    # Hosts that one names are services, or the machine itself.
    held = compose["configs"]["ringpost"]["content"] + compose["configs"]["prometheus"]["content"] \
        + compose["configs"]["grafana"]["content"]
    assert {"kafka", "relay", "prometheus"} == set(re.findall(r"\b([a-z]+):9(?:092|925|090)\b", held))


def test_prometheus_takes_its_settings_of_compose(tmp_path):
    compose = yaml.safe_load(FILE.read_text())
    shutil.copy(FILE.parent / compose["configs"]["alerts"]["file"], tmp_path / "alerts.yaml")
    settings = tmp_path / "prometheus.yml"
    settings.write_text(compose["configs"]["prometheus"]["content"]
                        .replace("/etc/prometheus", str(tmp_path)))
    parts.run(["promtool", "check", "config", settings])


def test_compose_has_what_its_services_name(tmp_path):
    compose = yaml.safe_load(FILE.read_text())
    assert set(compose["services"]) == {"relay", "kafka", "prometheus", "grafana"}
    for service in compose["services"].values():
        assert "image" in service or "build" in service
        for config in service.get("configs", []):
            held = compose["configs"][config["source"]]
            assert yaml.safe_load(held.get("content") or (FILE.parent / held["file"]).read_text())
    # What is shipped for Prometheus and Grafana is where their settings look for it.
    shown = {name: {config["source"]: config["target"] for config in service.get("configs", [])}
             for name, service in compose["services"].items()}
    prometheus, dashboards = (yaml.safe_load(compose["configs"][name]["content"])
                              for name in ("prometheus", "dashboards"))
    assert prometheus["rule_files"] == [shown["prometheus"]["alerts"]]
    assert shown["grafana"]["dashboards"].startswith("/etc/grafana/provisioning/dashboards/")
    folder = dashboards["providers"][0]["options"]["path"]
    assert shown["grafana"]["dashboard"] == f"{folder}/ringpost.json"
    ours = tmp_path / "ringpost.yaml"
    content = compose["configs"]["ringpost"]["content"]
    # What a container has to itself, and this machine may not give.
    for theirs, here in (("/var/lib/ringpost", tmp_path / "state"),
                         (":2525", f":{parts.free_port()}"), (":9925", f":{parts.free_port()}")):
        assert content.count(theirs) == 1
        content = content.replace(theirs, str(here))
    ours.write_text(content)
    done = subprocess.run([str(parts.PROGRAM), "-c", str(ours), "check"], capture_output=True,
                          text=True, timeout=parts.PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    # Where Docker has Compose, it has the last word.
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], check=False,
                                                 capture_output=True).returncode == 0:
        parts.run(["docker", "compose", "-f", FILE, "config", "-q"])
