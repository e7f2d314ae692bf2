"""The relay that a backlog is queued into, and the servers its mail goes to."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

from peers.process import Problem, cpu_seconds, wait_until
from peers.ringpost import Ringpost
from peers.tools import OurSink

CONFIG = """\
hostname: ringpost.bench.example
state_dir: {state}
listeners:
  - {{address: "127.0.0.1:{port}", service: submission, trust: ["127.0.0.0/8"]}}
routes:
  - {{match: "*.well.bench.example", to: ["127.0.0.1:{well}"]}}
  - {{match: "*.giant.bench.example", to: ["127.0.0.1:{refusing}"]}}
  - {{match: "d0.large.bench.example", to: ["127.0.0.2:{refusing}"]}}
  - {{match: "d1.large.bench.example", to: ["127.0.0.3:{refusing}"]}}
  - {{match: "d2.large.bench.example", to: ["127.0.0.4:{refusing}"]}}
  - {{match: "d3.large.bench.example", to: ["127.0.0.5:{refusing}"]}}
  - {{match: "*.picked.bench.example", to: ["127.0.0.6:{refusing}"]}}
  - {{match: "*.back.bench.example", to: ["127.0.0.1:{back}"]}}
dns: {{servers: ["127.0.0.1:{names}"]}}
delivery: {{allow_private: ["127.0.0.0/8"]}}
log: {{level: warn}}
"""
RETRY = """\
retry:
  first: 8h
  max: 16h
  max_age: 10d
  destinations: [{match: "*.back.bench.example", first: 2s, max: 2s, jitter: 0%}]
"""
# Of the recipients: a provider with twenty domains on one site; four large ones; many small
# domains, each with a site of its own; and domains whose host is gone.
MIX = ["40%:20:.giant.bench.example", "20%:4:.large.bench.example", "32%:100000:.tail.bench.example",
       "8%:20000:.gone.bench.example"]


def quiet_port():
    """Free, and below those that outgoing connections use: it is bound again after a restart."""
    for _ in range(200):
        port = random.randrange(12000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Problem("no free port between 12000 and 30000")


class Sink(OurSink):
    """ringpost-bench-sink at more than one address."""

    def __init__(self, folder, tools, listens, options=(), name="sink"):
        # pylint: disable=super-init-not-called
        self.status_path = os.path.join(folder, f"{name}.json")
        self.ledger = os.path.join(folder, f"{name}.ledger")
        self.command = [os.path.join(tools, self.name), "--status-file", self.status_path,
                        "--interval", "100ms", "--ledger", self.ledger, "--ledger-at-once"]
        for address in listens:
            self.command += ["--listen", address]
        self.command += list(options)
        self.process = None

    def lines(self, run=None):
        """(id, recipient, wall ms) of each recipient that was taken, of one run of load."""
        if not os.path.exists(self.ledger):
            return []
        with open(self.ledger, encoding="ascii") as file:
            lines = [line.split() for line in file]
        return [(name, recipient, int(ms)) for name, recipient, ms in lines
                if run is None or name.startswith(run + "-")]


class Surroundings:
    """Name server and sinks: one takes everything, one refuses every recipient for now."""

    def __init__(self, folder, tools):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.tools = tools
        self.ports = {name: quiet_port() for name in ("names", "well", "refusing", "back")}
        block = f"127.{random.randrange(16, 250)}.{random.randrange(250)}"
        self.well = Sink(folder, tools, [f"127.0.0.1:{self.ports['well']}"], name="well")
        self.refusing = Sink(
            folder, tools,
            [f"127.0.0.{i}:{self.ports['refusing']}" for i in range(1, 7)] + [f"{block}.1:25"],
            ["--reject", "rcpt:451:100%"], name="refusing")
        self.refusing.command.remove("--ledger-at-once")
        self.dead, self.live = f"{block}.2", f"{block}.1"
        self.names = None
        self.backs = []

    def start(self):
        here = os.path.dirname(os.path.abspath(__file__))
        # pylint: disable-next=consider-using-with
        self.names = subprocess.Popen([sys.executable, os.path.join(here, "names.py"),
                                       str(self.ports["names"]), self.live, self.dead])
        self.well.start()
        try:
            self.refusing.start()
        except Problem:
            raise Problem("the sink does not start: its receivers need port 25 of loopback "
                          "addresses (run as root, or lower net.ipv4.ip_unprivileged_port_start)"
                          ) from None

    def back_sink(self):
        """The site that was away, up again."""
        sink = Sink(self.folder, self.tools, [f"127.0.0.1:{self.ports['back']}"], name="back")
        sink.start()
        self.backs.append(sink)
        return sink

    def stop(self):
        for sink in (self.well, self.refusing, *self.backs):
            if sink.process is not None and sink.process.poll() is None:
                sink.stop()
        if self.names is not None:
            self.names.kill()
            self.names.wait()


class BacklogRelay(Ringpost):
    """ringpost with a queue: started, killed, asked."""

    def __init__(self, folder, surroundings, program, more="", retry=RETRY):
        # pylint: disable=super-init-not-called
        os.makedirs(folder, exist_ok=True)
        self.folder = os.path.realpath(folder)
        self.program = os.path.realpath(program)
        self.port = quiet_port()
        self.process = None
        self.lost_max = 0  # messages that damage may have cost
        self.log = os.path.join(self.folder, "ringpost.log")
        self.state = os.path.join(self.folder, "state")
        self.text = CONFIG.format(state=self.state, port=self.port,
                                  **surroundings.ports) + retry + more

    def config(self):
        return self.text

    def spawn(self):
        """Starts it and does not wait."""
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        path = os.path.join(self.folder, "ringpost.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.text)
        with open(self.log, "ab") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen([self.program, "-c", path, "serve"], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def remove(self):
        shutil.rmtree(self.folder)

    def ask(self, command, on_progress=None, **request):
        """A control command: (lines, its last line, seconds)."""
        lines, began = [], time.monotonic()
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(os.path.join(self.state, "control.sock"))
            control.sendall(json.dumps({"command": command, **request}).encode() + b"\n")
            with control.makefile(encoding="utf-8") as answer:
                for text in answer:
                    line = json.loads(text)
                    if "error" in line:
                        raise Problem(f"{command}: {line['error']}")
                    if "progress" in line:
                        if on_progress is not None:
                            on_progress(line["progress"], time.monotonic() - began)
                    elif "done" in line:
                        return lines, line, time.monotonic() - began
                    else:
                        lines.append(line)
        raise Problem(f"{command}: no answer to its end")

    def status(self):
        try:
            return self.ask("status")[0][0]
        except OSError:
            return None

    def metric(self, name):
        return self.status()["metrics"][name]

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def memory(self):
        """(resident, of it anonymous) in bytes."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as file:
            rows = dict(line.split(":", 1) for line in file.readlines()[1:])
        return tuple(int(rows[key].split()[0]) * 1024 for key in ("Rss", "Anonymous"))

    def is_at_rest(self):
        status = self.status()
        return (status["delivery"]["waiting"] == 0 and status["delivery"]["in_attempt"] == 0 and
                status["queue"]["scheduled"] == status["queue"]["recipients"])

    def wait_at_rest(self, seconds):
        wait_until("every recipient deferred or delivered", self.is_at_rest, seconds, 0.5)
