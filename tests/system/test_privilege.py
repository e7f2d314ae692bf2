"""A program started as root: binds its ports, becomes the user of the configuration, keeps nothing."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import tempfile

import needs
import parts
import pytest

needs_root = needs.root_mark("only root can become another user")


def privileged_port():
    """One below 1024 that nobody has."""
    for port in range(1023, 512, -1):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("every port below 1024 is taken")


@pytest.fixture
def open_stage(stage):
    """As `stage`, in a directory that other users may pass through."""
    stage.directory = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-privilege-"))
    stage.directory.chmod(0o755)
    stage.stack.callback(shutil.rmtree, stage.directory)
    return stage


def process_status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return {key: value.split() for key, _, value in (line.partition(":") for line in status)}


@needs_root
def test_root_binds_and_nobody_serves(open_stage):
    sink = open_stage.sink()
    relay = open_stage.unstarted_ringpost(
        user="nobody", routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    # The state directory is missing, and its parent is root's.
    relay.port, relay.metrics_port = privileged_port(), parts.free_port()
    relay.write_config(
        listeners=f'[{{address: "127.0.0.1:{relay.port}", service: submission, '
                  f'trust: ["127.0.0.0/8"]}}]',
        metrics=f'{{listen: "127.0.0.1:{relay.metrics_port}"}}')
    relay.start()
    nobody = pwd.getpwnam("nobody")
    may_gain = []
    for task in os.listdir(f"/proc/{relay.child.pid}/task"):
        status = process_status(f"{relay.child.pid}/task/{task}")
        assert status["Uid"] == [str(nobody.pw_uid)] * 4
        assert status["Gid"] == [str(nobody.pw_gid)] * 4
        assert "0" not in status["Groups"]
        if status["NoNewPrivs"] != ["1"]:
            may_gain.append(task)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind][0], 16) == 0, kind
    # A sanitizer and the allocator have threads of their own, from before any of ours.
    assert str(relay.child.pid) not in may_gain
    relay.submit("u@b.example")
    relay.wait_events(1, kind="delivered")
    for path in [relay.state_dir, *relay.state_dir.rglob("*")]:
        assert path.stat().st_uid == nobody.pw_uid, path
    assert relay.metrics()
    relay.cli("reload")
    log = relay.log.read_text()
    assert 'user="nobody"' in log and "capabilities=none" in log
    relay.stop()
    relay.start()  # over what the user left
    relay.submit("u@b.example")
    relay.wait_empty()


@needs_root
def test_a_state_directory_of_another_user_is_refused(open_stage):
    relay = open_stage.unstarted_ringpost(user="nobody")
    relay.state_dir.mkdir(mode=0o700)  # root's
    relay.start(wait=False)
    assert relay.child.wait(parts.PATIENCE) == 78
    relay.child = None
    assert "state" in relay.tail() and "Permission denied" in relay.tail()


@needs_root
def test_what_a_start_by_root_left_behind_is_refused_by_check_too(open_stage):
    relay = open_stage.unstarted_ringpost(user="nobody")
    relay.state_dir.mkdir(mode=0o700)
    os.chown(relay.state_dir, pwd.getpwnam("nobody").pw_uid, -1)
    relay.cli("check")
    (relay.state_dir / "lock").touch(mode=0o600)
    check = relay.cli("check", check=False)
    assert check.returncode == 78 and "lock belongs to user 0" in check.stderr
    assert relay.cli("serve", check=False).returncode == 78


@needs_root
def test_a_configuration_that_the_user_cannot_read_is_told_at_the_start(open_stage):
    relay = open_stage.unstarted_ringpost(user="nobody")
    relay.config_file.chmod(0o600)
    relay.start()
    relay.wait_log("a reload will not be able to read it")
    relay.stop()


@needs_root
def test_root_without_a_user_is_warned_of(stage):
    relay = stage.ringpost()
    relay.wait_log("serving as root")
    relay.write_config(user="nobody")
    refused = relay.cli("reload", check=False)
    assert refused.returncode == 1 and "user changed: that needs a restart" in refused.stderr


def test_a_user_that_is_not_there_is_a_configuration_error(stage):
    relay = stage.unstarted_ringpost(user="no-such-user")
    relay.start(wait=False)
    assert relay.child.wait(parts.PATIENCE) == 78
    relay.child = None
    assert "there is no user no-such-user" in relay.tail()


@needs_root
def test_somebody_else_than_root_cannot_become_the_user(open_stage):
    relay = open_stage.unstarted_ringpost(user="nobody")
    relay.prefix = ["setpriv", "--reuid", "daemon", "--regid", "daemon", "--clear-groups"]
    relay.start(wait=False)
    assert relay.child.wait(parts.PATIENCE) == 78
    relay.child = None
    assert "who cannot become nobody" in relay.tail()


@needs_root
def test_the_user_itself_may_start_it(open_stage):
    relay = open_stage.unstarted_ringpost(user="nobody")
    shutil.chown(relay.directory, "nobody")
    relay.prefix = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    relay.start()
    relay.stop(signal.SIGTERM)
