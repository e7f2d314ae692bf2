"""conftest.py - every part a test starts is stopped at its end, whatever happened."""

import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import names  # noqa: E402
import parts  # noqa: E402
import postfix  # noqa: E402
import receiver  # noqa: E402


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
