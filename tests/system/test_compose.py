"""packaging/compose.yaml: it is read, and so are the files that it holds."""

import shutil
import subprocess

import parts
import yaml

FILE = parts.ROOT / "packaging" / "compose.yaml"


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
