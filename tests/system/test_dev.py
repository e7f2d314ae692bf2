"""./dev: what it installs, what it leaves behind when it is ended meanwhile, what it tells of tests."""

import os
import shutil
import signal
import subprocess

import parts
import pytest

FAKES = {
    "dpkg-query": "exit 1",  # nothing is installed
    "sudo": '[ "$1" != -n ] || shift; exec "$@"',
    "apt-get": 'echo "$@" >>"$FAKES/apt-get.log"\n'
               'case $1 in install) "$DEV_POLICY"; echo $? >"$FAKES/policy.said";'
               ' touch "$FAKES/installing"; sleep "${APT_SECONDS:-0}"; exit "${APT_STATUS:-0}" ;;'
               ' download) [ "${APT_OLD:-0}" = 0 ] || [ -e "$FAKES/updated" ] || exit 100;'
               ' touch "$2.deb"; exit "${APT_STATUS:-0}" ;; update) touch "$FAKES/updated" ;; esac',
    "dpkg": 'echo "$2" >"$3/program"; chmod 4755 "$3/program"',  # dpkg -x FILE DIRECTORY
    "pip": 'touch new/program',
    "npm": '[ "${NPM_STATUS:-0}" = 0 ] && touch new/program',
    "cmake": "exit 0",
    "ctest": 'mkdir -p "$2/Testing/Temporary"\n'
             '[ -n "$RINGPOST_TEST_SUDO" ] && cp "$FAKES/log" "$2/Testing/Temporary/LastTest.log"\n'
             'exit "${CTEST_STATUS:-0}"',
}
PEERS = ["exim4-daemon-light", "opensmtpd"]
LIBRARIES = ["imapclient", "imapflow"]


@pytest.fixture
def dev(tmp_path):
    """A copy of ./dev in a folder of its own, with an apt-get that only says what it was told."""
    shutil.copy(parts.ROOT / "dev", tmp_path / "dev")
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    for name, text in FAKES.items():
        (fakes / name).write_text(f"#!/bin/sh\n{text}\n")
        (fakes / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{fakes}:{os.environ['PATH']}", "FAKES": str(fakes),
                   "DEV_POLICY": str(tmp_path / "policy-rc.d")}

    class Dev:
        policy = tmp_path / "policy-rc.d"
        said = fakes / "policy.said"
        installing = fakes / "installing"
        log = fakes / "apt-get.log"
        tests_log = fakes / "log"
        peers = tmp_path / "build" / "peers"

        def start(self, *command, **more):
            return subprocess.Popen([tmp_path / "dev", *(command or ("packages", "alpha", "beta"))],
                                    env={**environment, **more}, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, start_new_session=True)

    return Dev()


def test_no_service_is_started_while_packages_are_installed_and_the_policy_goes(dev):
    child = dev.start()
    output, _ = child.communicate(timeout=parts.PATIENCE)
    assert child.returncode == 0, output
    assert "installing alpha beta" in output
    assert dev.log.read_text().splitlines()[-1].endswith("alpha beta")
    assert dev.said.read_text() == "101\n"
    assert not dev.policy.exists()


def test_a_failed_installation_is_told_and_leaves_no_policy(dev):
    child = dev.start(APT_STATUS="100")
    output, _ = child.communicate(timeout=parts.PATIENCE)
    assert child.returncode == 1 and "apt-get could not install: alpha beta" in output
    assert not dev.policy.exists()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_meanwhile_it_takes_the_policy_away(dev, sig):
    child = dev.start(APT_SECONDS="1")
    parts.wait_for(dev.installing.exists, "the installation")
    assert dev.policy.exists()
    os.killpg(child.pid, sig)
    child.communicate(timeout=parts.PATIENCE)
    assert child.returncode != 0
    assert not dev.policy.exists()


def test_killed_meanwhile_its_policy_counts_no_more_and_the_next_call_removes_it(dev):
    child = dev.start(APT_SECONDS="600")
    parts.wait_for(dev.installing.exists, "the installation")
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate(timeout=parts.PATIENCE)
    assert dev.policy.exists()
    assert subprocess.run([dev.policy], check=False).returncode == 0  # services may be started
    again = dev.start()
    again.communicate(timeout=parts.PATIENCE)
    assert again.returncode == 0
    assert dev.said.read_text() == "101\n"
    assert not dev.policy.exists()


def test_the_policy_of_somebody_else_stays(dev):
    dev.policy.write_text("#!/bin/sh\nexit 0\n")
    dev.policy.chmod(0o755)
    child = dev.start()
    child.communicate(timeout=parts.PATIENCE)
    assert child.returncode == 0
    assert dev.policy.read_text() == "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize("status", [0, 8])
def test_what_was_not_run_is_told_at_the_end_with_its_reason(dev, status):
    dev.tests_log.write_text("1 passed\nnot run: test_a.py::test_b: needs root: why\n")
    child = dev.start("test", "-R", "system/a", CTEST_STATUS=str(status))
    output, _ = child.communicate(timeout=parts.PATIENCE)
    assert (child.returncode == 0) == (status == 0)
    assert "== not run:\ndev: test_a.py::test_b: needs root: why\n" in output


def test_nothing_is_told_where_all_was_run(dev):
    dev.tests_log.write_text("1 passed\n")
    child = dev.start("test", "-R", "system/a")
    output, _ = child.communicate(timeout=parts.PATIENCE)
    assert child.returncode == 0 and "not run" not in output


def run(dev, *command, **more):
    child = dev.start(*command, **more)
    output, _ = child.communicate(timeout=parts.PATIENCE)
    return child.returncode, output


def test_a_library_that_cannot_be_had_is_told_and_asked_for_again(dev):
    status, output = run(dev, "peers", NPM_STATUS="1")
    assert status == 0 and "npm could not install imapflow" in output, output
    assert sorted(path.name for path in dev.peers.iterdir()) == sorted(PEERS + ["imapclient"])
    status, output = run(dev, "peers")
    assert (status, output) == (0, "== fetching imapflow into build/peers\n")
    assert sorted(path.name for path in dev.peers.iterdir()) == sorted(PEERS + LIBRARIES)


@pytest.mark.parametrize("old", ["0", "1"])
def test_peers_are_fetched_once_and_have_no_rights(dev, old):
    """Also where the lists of packages have to be read again."""
    status, output = run(dev, "peers", APT_OLD=old)
    assert status == 0 and output.count("fetching ") == 4, output
    assert sorted(path.name for path in dev.peers.iterdir()) == sorted(PEERS + LIBRARIES)
    for path in (dev.peers / name for name in PEERS):
        assert (path / "program").read_text().endswith(f"/{path.name}.deb\n")
        assert (path / "program").stat().st_mode & 0o7777 == 0o755
    before = dev.log.read_text()
    assert run(dev, "peers") == (0, "")
    assert dev.log.read_text() == before


def test_a_peer_that_cannot_be_fetched_is_told_and_tried_again(dev):
    status, output = run(dev, "peers", APT_STATUS="100")
    assert status == 1 and "apt-get could not download exim4-daemon-light" in output
    status, output = run(dev, "peers")
    assert status == 0 and output.count("fetching ") == 4, output


def test_run_takes_kafka_and_nothing_else(dev):
    status, output = run(dev, "run", "--kafkas")
    assert status == 1 and "run takes --kafka and nothing else" in output
