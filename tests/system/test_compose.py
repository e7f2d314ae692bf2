"""packaging/compose.yaml: Compose takes it, and so do the services what is mounted for them."""

import pathlib
import re
import shutil
import subprocess

import docker.utils.build  # of docker-compose 1.29, which sends what an image is built of by it
import parts
import yaml

FILE = parts.ROOT / "packaging" / "compose.yaml"
PACKAGE = "build/package/ringpost_*.deb"

PORTS = {
    "relay": {"127.0.0.1:2525:2525", "127.0.0.1:9925:9925"},
    "kafka": set(),
    "prometheus": {"127.0.0.1:9090:9090"},
    "grafana": {"127.0.0.1:3000:3000"},
}
#: Where a service sees what, by its place below packaging/; nothing else is mounted.
MOUNTS = {
    "relay": {"/etc/ringpost/ringpost.yaml": "compose/ringpost.yaml"},
    "kafka": {},
    "prometheus": {"/etc/prometheus/prometheus.yml": "compose/prometheus.yaml",
                   "/etc/prometheus/alerts.yaml": "prometheus/alerts.yaml"},
    "grafana": {
        "/etc/grafana/provisioning/datasources/ringpost.yaml": "compose/datasources.yaml",
        "/etc/grafana/provisioning/dashboards/ringpost.yaml": "compose/dashboards.yaml",
        "/etc/grafana/dashboards/ringpost.json": "grafana/ringpost.json"},
}
VOLUMES = {"relay": {"/var/lib/ringpost": "spool"}}


def composes():
    """Each Compose of this machine: Debian's program, Docker's command, or both."""
    found = []
    if shutil.which("docker-compose"):
        found.append(["docker-compose"])
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], check=False,
                                                 capture_output=True).returncode == 0:
        found.append(["docker", "compose"])
    assert found, "docker-compose is not installed; ./dev test installs it"
    return found


def port_text(port):
    """As it is written in the file: 1.29 adds the protocol, version 2 takes it apart."""
    if isinstance(port, dict):
        return f"{port.get('host_ip')}:{port['published']}:{port['target']}"
    return port.removesuffix("/tcp")


def mount_parts(mount):
    """Source, target and whether it may be written, as 1.29 and version 2 print it."""
    if isinstance(mount, dict):
        return mount["source"], mount["target"], not mount.get("read_only", False)
    source, target, mode = mount.split(":")
    return source, target, mode != "ro"


def mounted(service, target):
    return FILE.parent / MOUNTS[service][target]


def test_compose_takes_it():
    for command in composes():
        done = parts.run([*command, "-f", FILE, "config"])
        assert "variable is not set" not in done.stderr
        config = yaml.safe_load(done.stdout)
        assert set(config["services"]) == set(PORTS) and set(config["volumes"]) == {"spool"}
        for name, service in config["services"].items():
            assert ("image" in service) != ("build" in service), name
            assert {port_text(port) for port in service.get("ports", [])} == PORTS[name]
            files, volumes = {}, {}
            for source, target, writable in map(mount_parts, service.get("volumes", [])):
                (volumes if writable else files)[target] = source
            assert volumes == VOLUMES.get(name, {})
            assert files == {target: str(FILE.parent / source)
                             for target, source in MOUNTS[name].items()}
            # Where there is none, Docker would make a folder of that name.
            assert all(pathlib.Path(source).is_file() for source in files.values())
        build = config["services"]["relay"]["build"]
        context = pathlib.Path(build["context"])
        assert context == parts.ROOT
        assert context / build["dockerfile"] == FILE.parent / "compose" / "Dockerfile"


def dockerfile():
    """Its instructions, each with its words."""
    text = (FILE.parent / "compose" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines()
             if line and not line.startswith("#")]
    assert len({name for name, _ in lines}) == len(lines), "an instruction comes twice"
    return dict(lines)


def test_the_image_is_made_of_the_package(tmp_path):
    image = dockerfile()
    assert list(image) == ["FROM", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"]
    # The package depends on libraries of the Debian that built it.
    assert image["FROM"] == "debian:12-slim"
    # What the README tells to build and to install, where packaging/deb leaves it.
    source, target = image["COPY"].split()
    assert source == PACKAGE
    assert re.search(rf"apt install \./{re.escape(PACKAGE)}\s", (parts.ROOT / "README.md").read_text())
    assert f"-B {pathlib.Path(PACKAGE).parent} -G DEB" in (FILE.parent / "deb").read_text()
    packed = (parts.BUILD / "CPackConfig.cmake").read_text()
    assert re.search(r'^set\(CPACK_PACKAGE_NAME "ringpost"\)$', packed, re.M)
    assert re.search(r'^set\(CPACK_DEBIAN_FILE_NAME "DEB-DEFAULT"\)$', packed, re.M)
    wanted = re.search(r"apt-get install ([^&]*)&&", image["RUN"])[1].split()
    assert "--no-install-recommends" in wanted and "-y" in wanted
    assert f"{target}{pathlib.Path(PACKAGE).name}" in wanted
    for name in wanted:
        if not name.startswith(("-", target)):
            parts.run(["apt-cache", "show", name])
    # What is bound and written is so without root.
    assert re.search(rf"^u {image['USER']} ", (FILE.parent / "sysusers.conf").read_text(), re.M)
    assert yaml.safe_load(image["ENTRYPOINT"]) == [parts.PROGRAM.name]
    assert re.search(rf"\b{yaml.safe_load(image['CMD'])[0]}\b",
                     parts.run([parts.PROGRAM, "--help"]).stdout)
    # A tree with its builds has gigabytes: only the package, of all that, is sent to be built of.
    for name in ("build/package/ringpost_1_amd64.deb", "build/package/cpack.log", "README.md",
                 "build/package/_CPack_Packages/Linux/DEB/ringpost_1_amd64.deb", "build/dev/a.o",
                 "packaging/compose/Dockerfile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    ignored = [line for line in (parts.ROOT / ".dockerignore").read_text().splitlines()
               if not line.startswith("#")]
    sent = docker.utils.build.exclude_paths(str(tmp_path), ignored, "packaging/compose/Dockerfile")
    assert {name for name in sent if (tmp_path / name).is_file()} == {
        "build/package/ringpost_1_amd64.deb", "packaging/compose/Dockerfile"}


def test_the_relay_takes_its_configuration(tmp_path):
    (target,), (state,) = MOUNTS["relay"], VOLUMES["relay"]
    # Nothing names it, neither the image nor who looks into the container.
    assert target in parts.run([parts.PROGRAM, "--help"]).stdout
    text = mounted("relay", target).read_text()
    config = yaml.safe_load(text)
    listens = [listener["address"] for listener in config["listeners"]]
    listens.append(config["metrics"]["listen"])
    assert {f"127.0.0.1:{port}:{port}" for _, port in (held.split(":") for held in listens)} \
        == PORTS["relay"]
    # What a container has to itself, and this machine may not give.
    for theirs, here in ((state, tmp_path / "state"), (":2525", f":{parts.free_port()}"),
                         (":9925", f":{parts.free_port()}")):
        assert text.count(theirs) == 1
        text = text.replace(theirs, str(here))
    ours = tmp_path / "ringpost.yaml"
    ours.write_text(text)
    parts.run([parts.PROGRAM, "-c", ours, "check"])


def test_prometheus_takes_its_settings(tmp_path):
    for target in MOUNTS["prometheus"]:
        text = mounted("prometheus", target).read_text()
        (tmp_path / pathlib.Path(target).name).write_text(
            text.replace("/etc/prometheus", str(tmp_path)))
    parts.run(["promtool", "check", "config", tmp_path / "prometheus.yml"])
    settings = yaml.safe_load(mounted("prometheus", "/etc/prometheus/prometheus.yml").read_text())
    assert set(settings["rule_files"]) <= set(MOUNTS["prometheus"])


def test_grafana_finds_its_dashboard():
    folder = "/etc/grafana/provisioning"
    datasources, dashboards = (
        yaml.safe_load(mounted("grafana", f"{folder}/{name}/ringpost.yaml").read_text())
        for name in ("datasources", "dashboards"))
    assert [source["type"] for source in datasources["datasources"]] == ["prometheus"]
    provider, = dashboards["providers"]
    shown = mounted("grafana", f"{provider['options']['path']}/ringpost.json")
    assert yaml.safe_load(shown.read_text())["uid"] == "ringpost"


def test_services_name_each_other():
    compose = yaml.safe_load(FILE.read_text())
    texts = [(FILE.parent / source).read_text() for files in MOUNTS.values()
             for source in files.values() if source.startswith("compose/")]
    texts += [str(service.get("environment")) for service in compose["services"].values()]
    named = set(re.findall(r"\b([a-z]+):9(?:092|093|925|090)\b", "\n".join(texts)))
    assert named == set(PORTS) - {"grafana"}
