"""conftest.py - every part a test starts is stopped at its end, whatever happened; what only root may
do is done by root, and what was not run is told with its reason."""

import contextlib
import os
import pathlib
import resource
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import names  # noqa: E402
import needs  # noqa: E402
import parts  # noqa: E402
import postfix  # noqa: E402
import receiver  # noqa: E402


#: Thousands of domains are as many sockets of a test's receivers, where a login allows 1,024 at first.
OPEN_FILES = 20_000
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if soft < OPEN_FILES:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, OPEN_FILES), hard))


class Stage:
    """Starts parts in the test's own directory and stops them in reverse order."""

    def __init__(self, directory):
        self.directory = directory
        self.stack = contextlib.ExitStack()
        self.count = 0

    def _start(self, part):
        self._stop_at_end(part)
        return part.start()

    def _stop_at_end(self, part):
        def stop():
            if part.running():
                part.stop()
            elif getattr(part, "child", None):
                raise AssertionError(f"{part.name} ended by itself: {part.end()}\n{part.tail()}")
        self.stack.callback(stop)

    def _directory(self, name):
        self.count += 1
        return self.directory / f"{self.count}-{name}"

    def ringpost(self, **settings):
        return self._start(parts.Ringpost(self._directory("ringpost"), **settings))

    def unstarted_ringpost(self, **settings):
        part = parts.Ringpost(self._directory("ringpost"), **settings)
        self._stop_at_end(part)
        return part

    def sink(self, *options, **kwargs):
        return self._start(parts.Sink(self._directory("sink"), *options, **kwargs))

    def smtp_sink(self, *options, **kwargs):
        return self._start(parts.SmtpSink(self._directory("smtp-sink"), *options, **kwargs))

    def nsd(self, zones, **kwargs):
        return self._start(names.Nsd(self._directory("nsd"), zones, **kwargs))

    def unbound(self, stubs, **kwargs):
        return self._start(names.Unbound(self._directory("unbound"), stubs, **kwargs))

    def postfix(self, services=None):
        return self._start(postfix.Postfix(services))

    def receiver(self, act=None, **kwargs):
        return self._start(receiver.Receiver(act, **kwargs))

    def add(self, part):
        return self._start(part)

    def run(self, command, **kwargs):
        return parts.run(command, cwd=self.directory, **kwargs)


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.stack.close()


not_run = {}  # {node id: reason}


def pytest_runtest_logreport(report):
    if report.skipped:
        not_run[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")


def run_as_root(config, nodes):
    """The tests again that root alone may run; the exit code of that run."""
    kept = [f"{key}={value}" for key, value in os.environ.items()
            if key.startswith(("RINGPOST_", "PYTHON"))]
    kept.append(f"PATH={os.environ['PATH']}:/usr/sbin:/sbin")  # a user's may lack what root uses
    # Nobody but root can end what runs as root, so it has a time of its own.
    done = subprocess.run(
        ["sudo", "-n", "env", *kept, "timeout", "-k", "10", "800", sys.executable, "-m", "pytest",
         "-q", "-p", "no:cacheprovider", "--rootdir", config.rootpath, *nodes],
        cwd=config.rootpath, capture_output=True, text=True, check=False)
    print(f"\nas root: {len(nodes)} tests\n{done.stdout}{done.stderr}")
    return done.returncode


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """`./dev test` sets RINGPOST_TEST_SUDO: nobody becomes root by running pytest."""
    nodes = [node for node, reason in not_run.items() if reason.startswith(needs.ROOT)]
    if nodes and os.environ.get("RINGPOST_TEST_SUDO") and needs.succeeds("sudo", "-n", "true"):
        for node in nodes:
            del not_run[node]  # the other run tells of those that it left out too
        if run_as_root(session.config, nodes) != 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    for node, reason in not_run.items():
        print(f"\nnot run: {node}: {reason}", end="", flush=True)  # pytest is still in a line of dots
