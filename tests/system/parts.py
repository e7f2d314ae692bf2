"""parts.py - the programs that system tests start: ringpost itself and parts nobody here wrote.

Each is a class with start() and stop(); each gets loopback ports of its own, keeps its files in the
test's directory, and is stopped by its process id. Nothing here talks to anything but 127.0.0.1.
"""

import contextlib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import smtplib
import socket
import subprocess
import time

import event_schema

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RINGPOST_BUILD", ROOT / "build" / "release"))
PROGRAM = BUILD / "ringpost"
LOAD = BUILD / "bench" / "ringpost-bench-load"
SINK = BUILD / "bench" / "ringpost-bench-sink"
SETCLOCK = BUILD / "tests" / "crash" / "ringpost-setclock"

#: Sanitized builds on two shared cores are slow; a wait that ends early costs nothing.
PATIENCE = float(os.environ.get("RINGPOST_TEST_PATIENCE", "60"))


def is_sanitized():
    """Sanitizers keep freed memory back: nothing can be said of its size then."""
    program = PROGRAM.read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


#: What this process has claimed; the kernel gives it back when the process ends.
_claims = []


def claim(kind, numbers):
    """A number of `numbers` that no other test on this machine has, until this process ends.

    The claim is an abstract socket: its names belong to the network namespace, as ports do."""
    for number in random.sample(numbers, len(numbers)):
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0ringpost-test-{kind}-{number}")
        except OSError:
            held.close()
            continue
        _claims.append(held)
        return number
    raise AssertionError(f"other tests have each {kind} of {len(numbers)}")


#: Below those that the kernel gives to outgoing connections: one of them would be on the port by
#: the time that its server starts. In blocks, so that a test claims once.
_PORTS_END = int((pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
                  or [32768])[0])  # user-mode-linux tells nothing
_PORTS = range(max(1024, _PORTS_END - 12800), _PORTS_END - 63, 64)
_ports = iter(())


def is_free(port):
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def free_port():
    """A port that nobody has now and no other test gets."""
    global _ports
    while True:
        for port in _ports:
            if is_free(port):
                return port
        first = claim("ports", _PORTS)
        _ports = iter(range(first, first + 64))


def free_ports(count):
    return [free_port() for _ in range(count)]


def wait_for(condition, what, patience=PATIENCE, pause=0.05):
    """Calls condition() until it is true; its last value. Fails with `what` when time is over."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s for {what}")
        time.sleep(pause)


def port_answers(port, host="127.0.0.1"):
    with contextlib.suppress(OSError):
        socket.create_connection((host, port), 1).close()
        return True
    return False


def need(program):
    """The path of an installed program; a test without its peer is a failure, not a skip."""
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert path, f"{program} is not installed; ./dev test installs it"
    return path


def run(command, check=True, **kwargs):
    """A program to its end; what it said is shown where it should not have failed."""
    command = [need(command[0]), *map(str, command[1:])]
    kwargs.setdefault("timeout", PATIENCE)
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if check:
        assert done.returncode == 0, (f"{' '.join(command)} ended with {done.returncode}:\n"
                                      f"{done.stdout}{done.stderr}")
    return done


class Process:
    """A child that is stopped by its process id, with its output in a file.

    It leads a process group of its own, so that what it forked goes with it, and it is killed with
    the test's process, should that be killed."""

    def __init__(self, directory, name, env=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = self.directory / f"{name}.log"
        self.child = None
        self.env = {**os.environ, **(env or {})}

    def spawn(self, command, **kwargs):
        command = [need("setpriv"), "--pdeathsig", "KILL", *map(str, command)]
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env=self.env, start_new_session=True, **kwargs)

    def running(self):
        return self.child is not None and self.child.poll() is None

    def end(self, sig=signal.SIGTERM, patience=PATIENCE):
        """Sends a signal and waits; the exit code (negative: killed by that signal)."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.send_signal(sig)
        try:
            code = self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.name} did not end after {sig!r}:\n{self.tail()}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child = None
        return code

    def wait_port(self, port):
        def answers():
            assert self.running(), f"{self.name} did not start:\n{self.tail()}"
            return port_answers(port)
        wait_for(answers, f"{self.name}'s port {port}")

    def tail(self, lines=40):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def sanitizers(self):
        """What sanitizers said, a line each: whole reports are long, and a tail shows the last."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "".join(f" {line}" for line in lines if line.startswith("SUMMARY: "))


class Ringpost(Process):
    """A ringpost with a configuration of its own. `settings` are top-level YAML sections as text;
    they replace the defaults below."""

    def __init__(self, directory, **settings):
        super().__init__(directory, "ringpost")
        self.port, self.metrics_port = free_ports(2)
        self.state_dir = self.directory / "state"
        self.config_file = self.directory / "ringpost.yaml"
        self.settings = {
            "hostname": "mta1.ringpost.example",
            "state_dir": str(self.state_dir),
            "engines": "2",
            "listeners": f'[{{address: "127.0.0.1:{self.port}", service: submission, '
                         f'trust: ["127.0.0.0/8"]}}]',
            "metrics": f'{{listen: "127.0.0.1:{self.metrics_port}"}}',
            "delivery": '{allow_private: ["127.0.0.0/8"]}',
            "retry": "{first: 1s, factor: 1.5, max: 3s, jitter: 10%, max_age: 1h}",
            "spool": "{segment_size: 4MiB}",
            "stop_timeout": "5s",
        }
        self.settings.update(settings)
        self.prefix = []  # of the command: prlimit and the like
        self.program = PROGRAM  # that serves
        self.schema = event_schema.Sampler()
        self.write_config()

    def write_config(self, **settings):
        self.settings.update(settings)
        self.config_file.write_text(
            "".join(f"{key}: {value}\n" for key, value in self.settings.items() if value))

    def start(self, wait=True):
        self.spawn([*self.prefix, self.program, "-c", self.config_file, "serve"])
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            assert self.running(), f"ringpost did not start:\n{self.tail()}"
            return self.cli("status", check=False).returncode == 0
        wait_for(ready, "ringpost to be ready")

    def stop(self, sig=signal.SIGTERM):
        """A stop in peace ends with 0, which is also what a sanitizer with nothing to say lets
        through."""
        code = self.end(sig)
        if sig == signal.SIGTERM:
            assert code == 0, f"ringpost ended with {code}:{self.sanitizers()}\n{self.tail()}"
        return code

    def wait_log(self, text):
        """Until the log has it: lines are written by a thread of their own."""
        wait_for(lambda: text in self.log.read_text(errors="replace"), f"a line with {text!r}")

    def memory(self):
        """Bytes it has in memory now."""
        with open(f"/proc/{self.child.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def kill(self):
        return self.end(signal.SIGKILL)

    def cli(self, *args, check=True, **kwargs):
        done = subprocess.run([str(PROGRAM), "-c", str(self.config_file), *map(str, args)],
                              capture_output=True, text=True, timeout=PATIENCE, **kwargs)
        if check:
            assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def status(self):
        return json.loads(self.cli("status", "--json").stdout.splitlines()[0])

    def metrics(self):
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as r:
            text = r.read().decode()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if line and not line.startswith("#")}

    def events(self, **filters):
        args = ["events", "--json"]
        for key, value in filters.items():
            if key in ("id", "recipient", "since"):
                args += [f"--{key}", value]
        found = [json.loads(line) for line in self.cli(*args).stdout.splitlines()]
        self.schema.hold(found)
        kind = filters.get("kind")
        return [e for e in found if kind is None or e["kind"] == kind]

    def wait_events(self, count, **filters):
        """At least `count` events that match; all of them."""
        def enough():
            found = self.events(**filters)
            return found if len(found) >= count else None
        try:
            return wait_for(enough, f"{count} events {filters}", pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.events()}\n{self.tail()}") from None

    def wait_empty(self, patience=PATIENCE):
        """Until every recipient is final and the event files tell so."""
        def empty():
            status = self.status()
            return (status["queue"]["recipients"] == 0 and not status["spool"]["recovering"]
                    and status["metrics"]["ringpost_events_lag_bytes"] == 0)
        try:
            wait_for(empty, "an empty queue", patience=patience, pause=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status()}\n{self.tail()}") from None

    def smtp(self):
        """A connection of Python's own SMTP client."""
        return smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE)

    def submit(self, to, sender="app@client.example", body="hello", mail_options=(),
               rcpt_options=(), headers=""):
        """One message by smtplib; the id in the 250."""
        to = [to] if isinstance(to, str) else to
        content = body if isinstance(body, bytes) else (
            f"From: <{sender}>\r\nTo: <{to[0]}>\r\nSubject: test\r\n{headers}\r\n{body}\r\n").encode()
        with self.smtp() as smtp:
            smtp.ehlo("client.example")
            for code, text in [smtp.mail(sender, list(mail_options))] + [
                    smtp.rcpt(address, list(rcpt_options)) for address in to]:
                assert code // 100 == 2, (code, text)
            code, text = smtp.data(content)
            assert code == 250, (code, text)
        return text.decode().split()[-1]


class WallClock:
    """The wall clock of one relay, which a test sets as it likes (tests/crash/setclock.c). Its
    monotonic clock and everybody else's clocks are the machine's."""

    def __init__(self, relay):
        self.file = relay.directory / "clock"
        self.file.write_bytes(bytes(8))
        relay.program = SETCLOCK
        relay.env["RINGPOST_CLOCK_OFFSET"] = str(self.file)

    def set(self, offset_s):
        """So many seconds before (below 0: behind) the machine's; in place, as it is mapped."""
        with open(self.file, "r+b") as file:
            file.write(int(offset_s * 1000).to_bytes(8, "little", signed=True))


class Sink(Process):
    """The bench's sink: a receiver that can be told how to answer."""

    def __init__(self, directory, *options, port=None):
        super().__init__(directory, "sink")
        self.port = port or free_port()
        self.ledger = self.directory / "sink.ledger"
        self.options = options

    def start(self):
        self.spawn([SINK, "--listen", f"127.0.0.1:{self.port}", "--ledger", self.ledger,
                    *self.options])
        self.wait_port(self.port)
        return self

    def stop(self):
        return self.end()


class SmtpSink(Process):
    """Postfix's smtp-sink; accepted messages are kept in files where `dump` is given."""

    def __init__(self, directory, *options, port=None):
        super().__init__(directory, "smtp-sink")
        self.port = port or free_port()
        self.options = options

    def start(self):
        user = ["-u", pwd.getpwuid(os.getuid()).pw_name] if os.getuid() == 0 else []
        self.spawn([need("smtp-sink"), *user, *self.options, f"127.0.0.1:{self.port}", "256"],
                   cwd=self.directory)
        self.wait_port(self.port)
        return self

    def stop(self):
        self.end(signal.SIGTERM)
