"""Load on the relay, and what a client and a recipient see of it."""
import json
import os
import socket
import subprocess
import time

from peers.process import Problem

RATE = 500  # of a probe: enough to see a stall of some milliseconds, little beside the work


class Load:
    """ringpost-bench-load, running."""
    count = 0

    def __init__(self, tools, port, *options):
        Load.count += 1
        self.run = f"b{os.getpid()}x{Load.count}"
        command = [os.path.join(tools, "ringpost-bench-load"), "--to", f"127.0.0.1:{port}",
                   "--quiet", "--run", self.run, *[str(word) for word in options]]
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.report = None

    def wait(self, may_refuse=False):
        out, err = self.process.communicate()
        if self.process.returncode not in ((0, 2) if may_refuse else (0,)):
            raise Problem(f"load: {out.decode()}{err.decode()} (exit {self.process.returncode})")
        self.report = json.loads(out)
        return self.report

    def end(self):
        self.process.terminate()
        return self.wait()


def queue(tools, port, messages, mix, sizes, connections=50):
    """Submits a backlog."""
    options = ["--messages", messages, "--connections", connections, "--size-min", sizes[0],
               "--size", sizes[1], "--bdat", "--seed", 7, "--senders", 100]
    for group in mix:
        options += ["--mix", group]
    return Load(tools, port, *options).wait()


def percentiles(values):
    values = sorted(values)
    if not values:
        return {"p50": float("nan"), "p99": float("nan"), "max": float("nan")}
    return {"p50": values[len(values) // 2], "p99": values[min(len(values) - 1,
                                                               len(values) * 99 // 100)],
            "max": values[-1]}


class Probe:
    """Messages to the site that is well, at a fixed rate, until it is ended."""

    def __init__(self, tools, port, sink, rate=RATE):
        self.sink = sink
        self.rate = rate
        self.load = Load(tools, port, "--rate", rate, "--seconds", "3600s", "--connections", 20,
                         "--domain-suffix", ".well.bench.example", "--domains", 10)

    def end(self):
        """Milliseconds from when a message should have been sent: to its 250, to the sink."""
        report = self.load.end()
        taken = {name: ms for name, _, ms in self.sink.lines(self.load.run)}
        delays = []
        for number in range(report["accepted"]):
            ms = taken.get(f"{self.load.run}-{number}")
            if ms is not None:
                due = report["started"] * 1000 + number * 1000 / self.rate
                delays.append(max(0.0, ms - due))
        return {"accepted": report["accepted"], "rate": report["rate"],
                "accept_ms": report["latency_from_due_ms"], "deliver_ms": percentiles(delays),
                "not_yet_delivered": report["accepted"] - len(delays)}


def format_probe(probe):
    accept, deliver = probe["accept_ms"], probe["deliver_ms"]
    return (f"{probe['rate']:5.0f} accepted/s; 250 after p50 {accept['p50']:.1f} p99 "
            f"{accept['p99']:.1f} max {accept['max']:.0f} ms; delivered after p50 "
            f"{deliver['p50']:.0f} p99 {deliver['p99']:.0f} max {deliver['max']:.0f} ms"
            + (f"; {probe['not_yet_delivered']} not yet" if probe["not_yet_delivered"] else ""))


def first_accept(port, sender, recipient, seconds):
    """Seconds until a server that was just started has said 250 to a whole message."""
    began, end = time.monotonic(), time.monotonic() + seconds
    script = [(None, b"220"), (b"EHLO bench.example\r\n", b"250"),
              (f"MAIL FROM:<{sender}>\r\n".encode(), b"250"),
              (f"RCPT TO:<{recipient}>\r\n".encode(), b"250"), (b"DATA\r\n", b"354"),
              (b"Subject: first\r\n\r\nfirst\r\n.\r\n", b"250")]
    while time.monotonic() < end:
        try:
            if talk(port, script):
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.002)
    raise Problem(f"no 250 within {seconds} s of the start")


def talk(port, script):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(60)
        with connection.makefile("rb") as replies:
            for words, expected in script:
                if words is not None:
                    connection.sendall(words)
                line = replies.readline()
                while line[3:4] == b"-":
                    line = replies.readline()
                if not line.startswith(expected):
                    return False
    return True
