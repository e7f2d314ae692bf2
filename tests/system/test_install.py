"""What an installation brings: paths that agree, a unit that works, a hardened program, a package."""

import os
import pathlib
import re
import shutil
import tempfile

import needs
import parts
import pytest

CONFIG = "/etc/ringpost/ringpost.yaml"


def install(directory, prefix):
    parts.run(["cmake", "--install", parts.BUILD, "--prefix", prefix],
              env={**os.environ, "DESTDIR": str(directory)})
    return pathlib.Path(f"{directory}{prefix}")


@pytest.fixture(params=["/usr", "/usr/local", "/opt/ringpost"])
def installed(request, tmp_path):
    return request.param, install(tmp_path, request.param)


def unit_lines(tree, key):
    text = (tree / "lib/systemd/system/ringpost.service").read_text()
    return re.findall(rf"^{key}=(.*)$", text, re.M)


def test_everything_is_there_and_names_the_same_paths(installed):
    prefix, tree = installed
    for name in ("sbin/ringpost", "lib/systemd/system/ringpost.service",
                 "lib/systemd/system/ringpost.socket", "lib/sysusers.d/ringpost.conf", "lib/tmpfiles.d/ringpost.conf",
                 "share/man/man8/ringpost.8", "share/man/man5/ringpost.yaml.5",
                 "share/doc/ringpost/examples/ringpost.yaml", "share/doc/ringpost/copyright",
                 "share/doc/ringpost/webmail.md",
                 *(f"share/doc/ringpost/examples/roundcube/{name}"
                   for name in ("ringpost.inc.php", "php-fpm.conf", "nginx.conf"))):
        assert (tree / name).is_file(), name
    for key, command in (("ExecStart", "serve"), ("ExecReload", "reload")):
        assert unit_lines(tree, key) == [f"{prefix}/sbin/ringpost -c {CONFIG} {command}"]
    usage = parts.run([tree / "sbin/ringpost", "--help"]).stdout
    assert CONFIG in usage
    assert CONFIG in (tree / "share/man/man8/ringpost.8").read_text()
    folders = (tree / "lib/tmpfiles.d/ringpost.conf").read_text()
    assert f"d {os.path.dirname(CONFIG)} " in folders and "d /var/lib/ringpost 0700" in folders
    assert unit_lines(tree, "StateDirectory") == ["ringpost"]
    assert unit_lines(tree, "User") == ["ringpost"]
    assert re.search(r"^u ringpost ", (tree / "lib/sysusers.d/ringpost.conf").read_text(), re.M)
    assert "@" not in folders


def test_the_example_is_a_good_configuration(installed, tmp_path):
    _, tree = installed
    text = (tree / "share/doc/ringpost/examples/ringpost.yaml").read_text()
    # Apart from what needs the user and the folder of an installed machine.
    text = text.replace("/var/lib/ringpost", str(tmp_path / "state"))
    text = re.sub(r"(?m)^user:.*\n", "", text)
    text = re.sub(r":(2525|9925)\b", lambda _: f":{parts.free_port()}", text)
    config = tmp_path / "ringpost.yaml"
    config.write_text(text)
    parts.run([tree / "sbin/ringpost", "-c", config, "check"])


def test_the_unit_is_understood(tmp_path):
    tree = install(tmp_path, "/usr")
    unit = tmp_path / "ringpost.service"
    # The program must be where the unit says, and on this machine it is not installed there.
    unit.write_text((tree / "lib/systemd/system/ringpost.service").read_text().replace(
        "/usr/sbin/ringpost", str(tree / "sbin/ringpost")))
    done = parts.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
                     check=False)
    complaints = [line for line in done.stderr.splitlines() if "ringpost.service" in line]
    assert done.returncode == 0 and not complaints, done.stderr


def system_calls(name):
    """Of a name of SystemCallFilter=; a set by systemd's own list."""
    if not name.startswith("@"):
        return {name}
    listed = parts.run(["systemd-analyze", "syscall-filter", name]).stdout
    calls = set()
    for line in listed.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            calls |= system_calls(word)
    return calls


FILTERED = """
import os, sys
import seccomp
allowed = seccomp.SyscallFilter(defaction=seccomp.ERRNO(1))
for call in sys.argv[1].split(","):
    try:
        allowed.add_rule(seccomp.ALLOW, call)
    except RuntimeError:
        pass  # another architecture's
allowed.add_rule(seccomp.ALLOW, "execve")
allowed.load()
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_the_program_works_with_the_unit_s_system_calls(stage, tmp_path):
    tree = install(tmp_path / "tree", "/usr")
    allowed = set()
    for line in unit_lines(tree, "SystemCallFilter"):
        calls = set().union(*(system_calls(name) for name in line.lstrip("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    assert {"io_uring_enter", "seccomp"} <= allowed and not {"reboot", "chown"} & allowed
    sink = stage.sink("--reject", "rcpt:451:20%")
    relay = stage.unstarted_ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        events="{file_size: 64KiB}")
    relay.prefix = ["/usr/bin/python3", "-c", FILTERED, ",".join(sorted(allowed))]
    relay.start()
    for i in range(60):
        relay.submit(f"u{i}@d{i % 7}.example", body="x" * 3000)
    relay.cli("reload")
    relay.wait_empty()
    assert len(relay.events(kind="delivered")) == 60
    assert relay.metrics()
    relay.stop()


def test_the_program_is_hardened(tmp_path):
    program = install(tmp_path, "/usr") / "sbin/ringpost"
    header = parts.run(["readelf", "-hlW", program]).stdout
    assert "DYN (Position-Independent Executable file)" in header and "GNU_RELRO" in header
    assert re.search(r"GNU_STACK.* RW ", header), "an executable stack"
    dynamic = parts.run(["readelf", "-dW", program]).stdout
    assert re.search(r"FLAGS.*BIND_NOW", dynamic) and "NOW" in dynamic
    symbols = parts.run(["readelf", "--dyn-syms", "-W", program]).stdout
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__(snprintf|vsnprintf|memcpy|read)_chk", symbols), "buffers are unchecked"


TRIED = """
set -e
root=$(mktemp -d /tmp/ringpost-package-XXXXXX)
trap 'rmdir "$root"' EXIT
mount -t tmpfs none "$root"
mkdir "$root/upper" "$root/work" "$root/system"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/system"
mount -t proc proc "$root/system/proc"
mount --bind /dev "$root/system/dev"
cp "$1" "$root/system/root/ringpost.deb"
status=0
chroot "$root/system" /bin/sh -e -c '
    export DEBIAN_FRONTEND=noninteractive
    dpkg -i /root/ringpost.deb
    id ringpost
    test "$(stat -c "%U %a" /var/lib/ringpost)" = "ringpost 700"
    ringpost --version
    rm -f /etc/ringpost/ringpost.yaml
    ringpost init --hostname mta1.ringpost.example --listen 127.0.0.1:'"$2"'
    sed -i "/^metrics:/d" /etc/ringpost/ringpost.yaml
    grep -q "^user: ringpost" /etc/ringpost/ringpost.yaml
    ringpost check
    ringpost serve & relay=$!
    trap "kill $relay" EXIT
    for i in $(seq 300); do ringpost status >/dev/null 2>&1 && break; sleep 0.1; done
    ringpost status
    test "$(stat -c %U /proc/$relay)" = ringpost
    kill $relay
    trap - EXIT
    wait $relay
    dpkg -i /root/ringpost.deb
    dpkg -r ringpost
    test ! -e /usr/sbin/ringpost
    dpkg -P ringpost
    test -d /var/lib/ringpost/spool
    test -e /etc/ringpost/ringpost.yaml
' || status=$?
umount "$root/system/dev" "$root/system/proc" "$root/system" "$root"
exit $status
"""


@needs.root_mark("only root installs packages")
@pytest.mark.skipif(os.getuid() == 0 and not needs.can_overlay(),
                    reason="no overlay may be mounted here to install the package in")
def test_the_package_installs_serves_and_goes(tmp_path):
    parts.run(["cpack", "--config", parts.BUILD / "CPackConfig.cmake", "-B", tmp_path, "-G", "DEB"],
              timeout=300)
    package, = tmp_path.glob("ringpost_*.deb")
    script = tmp_path / "tried.sh"
    script.write_text(TRIED)
    done = parts.run(["unshare", "--mount", "sh", script, package, parts.free_port()], check=False,
                     timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "`ringpost init" in done.stdout  # what to do next is said by the installation
    assert "is kept" in done.stdout
    assert not pathlib.Path("/var/lib/ringpost").exists() or shutil.which("ringpost")
    assert not list(pathlib.Path(tempfile.gettempdir()).glob("ringpost-package-*"))
