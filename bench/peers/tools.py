"""The two sides of a relay: what submits to it and what it delivers to."""
import json
import os
import pty
import re
import subprocess
import threading
import time

from peers.process import (Problem, answers, cpu_seconds, end_tree, free_port, is_gone,
                           wait_until)


class OurSink:
    """ringpost-bench-sink; one for each peer, for the whole run, so that connections stay."""
    name = "ringpost-bench-sink"

    def __init__(self, folder, args):
        self.port = free_port()
        self.status_path = os.path.join(folder, "sink.json")
        self.ledger = os.path.join(folder, "sink.ledger") if args.check else None
        self.command = [os.path.join(args.tools, self.name), "--listen", f"127.0.0.1:{self.port}",
                        "--threads", str(args.sink_threads), "--status-file", self.status_path,
                        "--interval", "100ms"]
        if self.ledger:
            self.command += ["--ledger", self.ledger, "--verify"]
        self.command += args.sink_option
        self.process = None

    def start(self):
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        # The status file says that it runs, also when it greets nobody.
        wait_until("the sink's status", lambda: os.path.exists(self.status_path), 10)

    def delivered(self):
        """(messages, when the last one was taken)"""
        if self.process.poll() is not None:
            raise Problem(f"{self.name} ended by itself")
        try:
            with open(self.status_path, encoding="ascii") as file:
                status = json.load(file)
        except FileNotFoundError:
            return 0, 0.0
        return status["messages"], status["last"]

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        if self.process is None:
            return None
        end_tree(self.process.pid)
        report = json.loads(self.process.stdout.read())
        self.process.wait()
        return report


class SmtpSink:
    """Postfix's smtp-sink. Counts by what it prints; a terminal makes it print at once."""
    name = "smtp-sink"

    def __init__(self, _folder, _args):
        self.port = free_port()
        self.messages, self.last = 0, 0.0
        self.process, self.reader = None, None

    def start(self):
        master, slave = pty.openpty()
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(
            [self.name, "-c", "-u", "nobody", "-m", "1000", f"127.0.0.1:{self.port}", "1000"],
            stdout=slave, stdin=subprocess.DEVNULL)
        os.close(slave)
        self.reader = threading.Thread(target=self.read, args=(master,), daemon=True)
        self.reader.start()
        wait_until("smtp-sink's greeting", lambda: answers(self.port), 10)

    def read(self, master):
        kept = b""
        while True:
            try:
                got = os.read(master, 65536)
            except OSError:  # the terminal's other side was closed
                break
            now = time.time()
            kept = (kept + got)[-300:]
            found = re.findall(rb"mesg=(\d+)[^\d]", kept)
            if found and int(found[-1]) > self.messages:
                self.messages, self.last = int(found[-1]), now
        os.close(master)

    def delivered(self):
        if is_gone(self.process.pid):
            raise Problem(f"{self.name} ended by itself")
        return self.messages, self.last

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        if self.process is None:
            return None
        end_tree(self.process.pid)
        self.process.wait()
        self.reader.join(5)
        return {"messages": self.messages}


def run_our_load(port, messages, args, ledger):
    """What ringpost-bench-load reports; also its CPU time."""
    command = [os.path.join(args.tools, "ringpost-bench-load"), "--to", f"127.0.0.1:{port}",
               "--messages", str(messages), "--connections", str(args.connections),
               "--size", str(args.size), "--recipients", str(args.recipients),
               "--domains", str(args.domains), "--quiet"]
    command += ["--bdat"] if args.bdat else []
    command += ["--ledger", ledger] if ledger else []
    done = subprocess.run(command + args.load_option, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise Problem(f"load: {done.stdout.decode()} (exit {done.returncode})")
    report = json.loads(done.stdout)
    return {"started": report["started"], "ended": report["ended"], "accepted": report["accepted"],
            "accept_rate": report["rate"], "latency_ms": report["latency_ms"],
            "cpu": report["cpu_us_per_message"] * report["accepted"] / 1e6}


def run_smtp_source(port, messages, args, _ledger):
    before = os.times()
    started = time.time()
    done = subprocess.run(
        ["smtp-source", "-d", "-s", str(args.connections), "-m", str(messages), "-l",
         str(args.size), "-r", str(args.recipients), "-f", "s0@senders.bench.example",
         "-t", "r0@d0.bench.example", "-M", "load.bench.example", "-N", f"127.0.0.1:{port}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    ended = time.time()
    if done.returncode != 0:
        raise Problem(f"smtp-source: {done.stdout.decode(errors='replace')}")
    after = os.times()
    cpu = (after.children_user + after.children_system - before.children_user -
           before.children_system)
    return {"started": started, "ended": ended, "accepted": messages,
            "accept_rate": messages / (ended - started), "latency_ms": None, "cpu": cpu}
