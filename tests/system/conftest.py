"""conftest.py - every part a test starts is stopped at its end, whatever happened."""

import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import parts  # noqa: E402


class Stage:
    """Starts parts in the test's own directory and stops them in reverse order."""

    def __init__(self, directory):
        self.directory = directory
        self.stack = contextlib.ExitStack()
        self.count = 0

    def _start(self, part):
        self.stack.callback(lambda: part.child and part.end(parts.signal.SIGKILL))
        return part.start()

    def _directory(self, name):
        self.count += 1
        return self.directory / f"{self.count}-{name}"

    def ringpost(self, **settings):
        return self._start(parts.Ringpost(self._directory("ringpost"), **settings))

    def unstarted_ringpost(self, **settings):
        part = parts.Ringpost(self._directory("ringpost"), **settings)
        self.stack.callback(lambda: part.child and part.end(parts.signal.SIGKILL))
        return part

    def sink(self, *options, **kwargs):
        return self._start(parts.Sink(self._directory("sink"), *options, **kwargs))

    def smtp_sink(self, *options, **kwargs):
        return self._start(parts.SmtpSink(self._directory("smtp-sink"), *options, **kwargs))

    def nsd(self, zones):
        return self._start(parts.Nsd(self._directory("nsd"), zones))

    def unbound(self, nsd):
        return self._start(parts.Unbound(self._directory("unbound"), nsd))

    def add(self, part):
        return self._start(part)


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.stack.close()
