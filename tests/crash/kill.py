#!/usr/bin/env python3
"""kill.py - kill -9 ringpost under load, again and again, and then compare every witness.

A load pours in, a sink answers a mix of 2xx, 4xx and 5xx, and ringpost is killed at random moments
and started again. At the end the queue must run empty, and then: everything that got a 250 arrived
or bounced, once told; duplicates are counted, each has a reason, and no kill caused more of them
than were in flight; the stopped spool is clean. The seed is printed; --seed repeats the moments.
"""

import argparse
import collections
import pathlib
import random
import re
import shutil
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
sys.dont_write_bytecode = True

import verdict  # noqa: E402
from verdict import say  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="kills (default 10)")
    parser.add_argument("--seconds", type=float, default=3, help="between kills, on average")
    parser.add_argument("--seed", type=int, help="of the moments (default: the time)")
    parser.add_argument("--client", choices=["bench", "smtp-source"], default="bench")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--recipients", type=int, default=2, help="of a message")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rate", type=int, default=0, help="messages a second (default: no limit)")
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--build", help="where the programs are (default build/release)")
    parser.add_argument("--drain", type=float, default=300, help="seconds the queue may take to empty")
    parser.add_argument("--keep", action="store_true", help="keep the directory")
    return parser.parse_args()


class BenchLoad:
    """One generator for the whole test: it connects again after each kill, and sends again what it
    got no answer for."""

    def __init__(self, directory, options, port):
        self.ledger = directory / "load.ledger"
        self.process = parts.Process(directory, "load")
        self.command = rig.load_command(self.ledger, port, options.connections,
                                        options.recipients, options.size, options.rate)

    def begin_round(self, number):
        if number == 0:
            self.process.spawn(self.command)
        assert self.process.running(), f"the load ended:\n{self.process.tail()}"

    def after_kill(self):
        pass

    def finish(self):
        """It waits for the answers to what it has sent; 2: something was refused, which is said."""
        code = self.process.end(patience=120)
        assert code in (0, 2), f"the load ended with {code}:\n{self.process.tail()}"
        return ledger.read_load(self.ledger)


class SmtpSource:
    """Postfix's generator gives up when its server dies, so there is one each round. Its counter
    counts contents that were sent; what was answered 250 is named in the replies that -v shows."""

    def __init__(self, directory, options, port):
        self.directory = directory
        self.options = options
        self.port = port
        self.process = None
        self.promised = []  # ids of messages

    def begin_round(self, number):
        self.process = parts.Process(self.directory, f"smtp-source-{number}")
        self.process.spawn([
            parts.need("smtp-source"), "-4", "-v", "-d", "-N", "-s", self.options.connections,
            "-m", 10_000_000, "-l", self.options.size, "-f", "source@senders.bench.example",
            "-t", f"round{number}@d{number % 50}.bench.example", f"127.0.0.1:{self.port}"])

    def after_kill(self):
        if self.process.running():
            parts.wait_for(lambda: not self.process.running(), "smtp-source to notice the kill")
        self.finish()

    def finish(self):
        self.process.end()
        replies = self.process.log.read_text(errors="replace")
        self.promised += re.findall(r"<<< 250 2\.0\.0 Ok: queued as (\S+)", replies)
        return None

    def check(self, report, copies, events, finals):
        """Each id that was answered with is known to the events and came to the end they tell."""
        recipients = {e["id"]: e["recipient"] for e in events if e["kind"] == "accepted"}
        report.numbers["promised recipients"] = len(self.promised)
        report.expect_none("ids given out twice", [
            i for i, n in collections.Counter(self.promised).items() if n > 1])
        report.expect_none("promised messages without an accepted event",
                           [i for i in self.promised if i not in recipients])
        report.expect_none("lost messages (250, neither delivered nor bounced)", [
            i for i in self.promised if i in recipients and recipients[i] not in copies
            and finals.get((i, recipients[i])) != ["bounced"]])


def free_bytes(directory):
    return shutil.disk_usage(directory).free


def run(options, directory):
    sink = rig.sink(directory / "sink", options.seed).start()
    relay = rig.relay(directory / "ringpost", options.engines, sink)
    client = None
    kills_ms, recoveries_s = [], []
    moments = random.Random(options.seed)
    try:
        relay.start()
        client = (BenchLoad if options.client == "bench" else SmtpSource)(
            directory, options, relay.port)
        for number in range(options.rounds):
            client.begin_round(number)
            time.sleep(moments.uniform(0.1, 2 * options.seconds))
            assert relay.running(), f"ringpost ended by itself:\n{relay.tail()}"
            relay.kill()
            kills_ms.append(int(time.time() * 1000))
            client.after_kill()
            started = time.monotonic()
            relay.start()
            recoveries_s.append(time.monotonic() - started)
            queue = relay.status()["queue"]["recipients"]
            say(f"round {number + 1}: killed, ready again after {recoveries_s[-1]:.2f} s with "
                f"{queue} recipients")
            assert free_bytes(directory) > 2 << 30, "less than 2 GiB of disk is left"
        if options.client == "smtp-source":
            client.begin_round(options.rounds)
        time.sleep(min(options.seconds, 1))
        load = client.finish()
        started = time.monotonic()
        relay.wait_empty(patience=options.drain)
        drained_s = time.monotonic() - started
        unheld = relay.status()["unheld"]
        relay.stop()
        sink.stop()
        return relay, sink, client, load, kills_ms, recoveries_s, drained_s, unheld
    finally:
        for part in (client and client.process, relay, sink):
            if part is not None and part.child is not None:
                part.end(parts.signal.SIGKILL)


def compare(options, relay, sink, client, load, kills_ms):
    report = ledger.Report()
    checked = relay.cli("spool", "check", "--json", check=False)
    rig.check_spool(report, checked.stdout, checked.returncode, checked.stderr)
    rig.check_audit(report, relay)
    copies = ledger.read_sink(sink.ledger)
    events = ledger.read_events(relay.cli("events", "--json").stdout.splitlines())
    # In flight at 20 connections to the site: a transaction each, and some whose outcomes wait for
    # one flush, which on a busy disk may take as long as several transactions.
    finals = rig.check_books(report, load, copies, events, kills_ms,
                             unsettled_max=10 * 20 * options.recipients)
    if load is None:
        client.check(report, copies, events, finals)
    return report


def main():
    options = parse_arguments()
    verdict.prepare(options)
    global parts, ledger, rig
    import ledger
    import parts
    import rig
    say(f"seed {options.seed}, {options.rounds} kills, {options.client}")

    def is_well(directory):
        relay, sink, client, load, kills_ms, recoveries_s, drained_s, unheld = run(options, directory)
        report = compare(options, relay, sink, client, load, kills_ms)
        if unheld:
            report.problems.append(f"{unheld} recipients were held by nothing")
        for name, number in report.numbers.items():
            say(f"{name}: {number}")
        say(f"ready again after a kill: {max(recoveries_s):.2f} s at most, "
            f"{sum(recoveries_s) / len(recoveries_s):.2f} s on average; "
            f"queue empty {drained_s:.1f} s after the load ended")
        for problem in report.problems:
            say(f"PROBLEM: {problem}")
        is_good = not report.problems and report.numbers["promised recipients"] > 0
        say("good: nothing lost, everything explained" if is_good else "bad")
        return is_good

    return verdict.reach("kill", options.keep, is_well)


if __name__ == "__main__":
    sys.exit(main())
