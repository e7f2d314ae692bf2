#!/usr/bin/env python3
"""soak.py - a relay at work for as long as asked, with everything that happens to one, verified as
it goes.

Mail pours in at a steady rate; the sink answers 2xx, 4xx, 5xx, drops connections and dawdles,
another lets one connection in at a time; an operator retries, cancels, suspends, lists and reloads;
the process is stopped and killed, its wall clock set both ways, its disk filled by others and
emptied again, and a client drips into a message that it never ends. All the
time the load's ledger, the sinks' ledgers and the events are compared: nothing that got a 250 is
lost or stuck, everything ends once, duplicates have a reason, memory, descriptors and disk stay
bounded. The seed is printed; --seed repeats the moments.
"""

import argparse
import collections
import json
import os
import pathlib
import queue
import random
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
sys.dont_write_bytecode = True

import verdict  # noqa: E402
from trouble import Disk, Dripper  # noqa: E402
from verdict import say  # noqa: E402

DOMAINS = 50
TROUBLE = frozenset(("clock", "disk", "drip", "narrow"))
PATIENCE_S = 120  # for a recipient that nobody holds back: retries are 1 to 10 s apart


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("--minutes", type=float, default=60, help="default 60")
    add("--seed", type=int, help="of the moments (default: the time)")
    add("--rate", type=int, default=300, help="messages a second (default 300)")
    add("--recipients", type=int, default=2, help="of a message (default 2)")
    add("--size", type=int, default=4096)
    add("--engines", type=int, default=2)
    add("--kill-every", type=float, default=60, metavar="S", help="on average (default 60; 0: never)")
    add("--without", default="", metavar="LIST",
        help="leave trouble out: clock,disk,drip,narrow (disk also where one may not mount)")
    add("--report-every", type=float, default=30, metavar="S", help="default 30")
    add("--build", help="where the programs are (default build/release)")
    add("--keep", action="store_true", help="keep the directory")
    return parser.parse_args()


class Follower:
    """`ringpost events --follow --json`, across restarts of the daemon."""

    def __init__(self, relay):
        self.lines = queue.SimpleQueue()
        self.child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(parts.PROGRAM), "-c", str(relay.config_file),
             "events", "--follow", "--json"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line)

    def take(self):
        taken = []
        while not self.lines.empty():
            taken.append(self.lines.get())
        return taken

    def stop(self):
        self.child.terminate()
        self.child.wait(10)


class Operator:
    """What people do to a relay, at random moments."""

    def __init__(self, relay, moments, live, clock, disk):
        self.relay, self.moments, self.live = relay, moments, live
        self.clock, self.disk = clock, disk  # each None where left out
        self.empty_at = 0
        self.counts = collections.Counter()
        self.held = {}  # domain: when it is let go
        self.level = "info"

    def domain(self):
        return f"d{self.moments.randrange(DOMAINS)}.bench.example"

    def queue(self, *args):
        done = self.relay.cli("queue", *args, "--json", check=False)
        self.counts[f"queue {args[0]}"] += 1
        if done.returncode != 0 and args[0] in ("suspend", "resume") and self.disk_is_full():
            self.counts["not saved on a full disk"] += 1
            return {}
        if done.returncode != 0:
            self.live.problem(f"queue {args} ended with {done.returncode}: {done.stderr}")
            return {}
        lines = done.stdout.splitlines()
        return json.loads(lines[-1]) if lines else {}

    def retry(self, now):
        self.queue("retry", "--domain", self.domain())

    def list(self, now):
        self.queue("list", "--domain", "*", "--limit", "200")

    def cancel(self, now):
        self.counts["cancelled"] += self.queue("cancel", "--domain", self.domain()).get("acted", 0)

    def suspend(self, now):
        domain = self.domain()
        if domain in self.held or len(self.held) >= 3:
            return
        if self.queue("suspend", "--domain", domain):
            self.held[domain] = now + self.moments.uniform(5, 30)

    def resume_due(self, now, everything=False):
        for domain, until in list(self.held.items()):
            if everything or now >= until:
                self.queue("resume", "--domain", domain)
                del self.held[domain]

    def reload(self, now):
        self.level = "warn" if self.level == "info" else "info"
        self.relay.write_config(log=f"{{level: {self.level}}}",
                                retry="{first: 1s, factor: 2, max: %ds, jitter: 20%%, max_age: 1h}"
                                % self.moments.randint(3, 10))
        done = self.relay.cli("reload", check=False)
        self.counts["reload"] += 1
        if done.returncode != 0:
            self.live.problem(f"reload ended with {done.returncode}: {done.stderr}")

    def reload_bad(self, now):
        """A configuration with a mistake is refused, and the old one stays."""
        good = self.relay.settings["retry"]
        self.relay.write_config(retry="{first: soon}")
        done = self.relay.cli("reload", check=False)
        self.counts["reload refused"] += 1
        if done.returncode == 0:
            self.live.problem("a configuration with a mistake was taken over")
        self.relay.write_config(retry=good)

    def disk_is_full(self):
        return self.disk is not None and self.disk.is_full

    def set_clock(self, now):
        """Days, hours or seconds, before or behind."""
        if self.clock is not None:
            self.clock.set(self.moments.choice((0, -1, 1)) *
                           self.moments.choice((4 * 86400, 3600, 30)))
            self.counts["clock set"] += 1

    def fill_disk(self, now):
        if self.disk is not None and not self.disk.is_full:
            self.disk.fill(self.moments.choice((0, 1 << 20, 16 << 20, 128 << 20)))
            self.counts["disk filled"] += 1
            self.empty_at = now + self.moments.uniform(3, 15)

    def empty_disk_if_due(self, now):
        if self.disk_is_full() and now >= self.empty_at:
            self.disk.empty()

    def kill(self, now):
        self.relay.kill()
        self.live.kills_ms.append(int(time.time() * 1000))
        self.counts["kill -9"] += 1
        self._start()

    def restart(self, now):
        self.relay.stop()
        self.counts["stop and start"] += 1
        self._start()

    def _start(self):
        begun = time.monotonic()
        self.relay.start()
        took = time.monotonic() - begun
        self.counts["start_ms_max"] = max(self.counts["start_ms_max"], int(took * 1000))


class Bounds:
    """Memory, descriptors and disk: the highest of each quarter of the run, so that growth shows."""

    def __init__(self, relay):
        self.relay = relay
        self.samples = []

    def sample(self, elapsed, status):
        used = sum(f.stat().st_size for f in (self.relay.state_dir / "spool").rglob("*.seg"))
        self.samples.append((elapsed, self.relay.memory(), self.relay.descriptors(), used,
                             status["queue"]["recipients"]))

    def highest(self, column, of, quarters=4):
        end = self.samples[-1][0] * of / quarters
        begin = self.samples[-1][0] * (of - 1) / quarters
        return max((s[column] for s in self.samples if begin <= s[0] <= end), default=0)

    def tell(self, live):
        for column, what, unit in ((1, "memory", 1 << 20), (2, "descriptors", 1),
                                   (3, "spool files", 1 << 20)):
            quarters = [self.highest(column, q) / unit for q in (1, 2, 3, 4)]
            say(f"{what}: highest of each quarter {', '.join(f'{q:.0f}' for q in quarters)}"
                f"{' MiB' if unit > 1 else ''}")
            if quarters[1] > 0 and quarters[3] > 2 * max(quarters[:2]) + 64:
                live.problem(f"{what} grows: {quarters}")


def report(elapsed, live, status, operator, bounds, now):
    numbers = live.numbers
    duplicates = sum(n for name, n in numbers.items() if name.startswith("duplicates"))
    say(f"{elapsed / 60:6.1f} min  promised {numbers['promised']}  settled {numbers['settled']}  "
        f"open {len(live.promised)} (oldest {live.oldest_s(now):.0f} s)  queue "
        f"{status['queue']['recipients']}  duplicates {duplicates}  kills "
        f"{operator.counts['kill -9']}  memory {bounds.samples[-1][1] >> 20} MiB  spool "
        f"{bounds.samples[-1][3] >> 20} MiB  problems {len(live.problems)}")


def step(options, relay, live, follower, operator, moments, due, now):
    """One moment: what is due is done, what was written is read."""
    if not relay.running():
        raise AssertionError(f"ringpost ended by itself:\n{relay.tail()}")
    operator.resume_due(now)
    operator.empty_disk_if_due(now)
    for name, every_s in PERIODS.items():
        if name == "kill":
            every_s = options.kill_every
        if every_s and now >= due.setdefault(name, now + moments.uniform(0, every_s)):
            due[name] = now + moments.uniform(0.2, 1.8) * every_s
            getattr(operator, name)(now)
    live.read(follower.take(), now)
    live.judge(now, operator.held)


#: Seconds between, on average.
PERIODS = {"retry": 5, "list": 7, "cancel": 11, "suspend": 13, "reload": 17, "reload_bad": 41,
           "kill": None, "restart": 97, "set_clock": 19, "fill_disk": 43}
#: These go to the receiver that lets one connection in at a time.
NARROW_DOMAINS = 2


def start_load(options, directory, relay):
    load = parts.Process(directory, "load")
    load.spawn([parts.LOAD, "--to", f"127.0.0.1:{relay.port}", "--connections", 20, "--recipients",
                options.recipients, "--size", options.size, "--domains", DOMAINS, "--senders", 20,
                "--rate", options.rate, "--ledger", directory / "load.ledger", "--ledger-at-once",
                "--seconds", f"{int(options.minutes * 60) + 3600}s", "--give-up", "10m", "--quiet"])
    return load


def drain(relay, live, follower, operator):
    """Until everything is final and every witness was read."""
    if operator.disk is not None:
        operator.disk.empty()
    operator.resume_due(0, everything=True)
    relay.cli("queue", "retry", "--domain", "*")
    relay.wait_empty(patience=PATIENCE_S * 2)
    end = time.monotonic() + 30
    while time.monotonic() < end and (live.promised or live.running or live.arriving):
        live.read(follower.take(), time.time())
        time.sleep(0.3)
    live.finish()


def check_end(relay, live, operator):
    status = relay.status()
    if status["unheld"]:
        live.problem(f"{status['unheld']} recipients were held by nothing")
    if live.numbers["event cancelled"] != operator.counts["cancelled"] and (
            not live.kills_ms):  # a kill may come between a cancel's event and its count
        live.problem(f"{operator.counts['cancelled']} cancelled, "
                     f"{live.numbers['event cancelled']} events")
    relay.stop()
    checked = relay.cli("spool", "check", "--json", check=False)
    rig.check_spool(live, checked.stdout, checked.returncode, checked.stderr)
    rig.check_audit(live, relay)


def start_sinks(options, directory, trouble):
    """The receiver with every answer, and one that lets one connection in; the routes to them."""
    wide = parts.Sink(directory / "sink", "--ledger-at-once", "--seed", options.seed % 2**31,
                      "--reject", "rcpt:450:10%", "--reject", "rcpt:550:2%", "--reject",
                      "dot:451:5%", "--reject", "dot:554:1%", "--reject", "connect:421:2%",
                      "--latency", "dot=0ms-20ms").start()
    sinks = [wide]
    routes = []
    if "narrow" in trouble:
        narrow = parts.Sink(directory / "narrow", "--ledger-at-once", "--sessions-max", 1).start()
        sinks.append(narrow)
        routes += [f'{{match: "d{i}.bench.example", to: ["127.0.0.1:{narrow.port}"]}}'
                   for i in range(NARROW_DOMAINS)]
    routes.append(f'{{match: "*", to: ["127.0.0.1:{wide.port}"]}}')
    return sinks, f"[{', '.join(routes)}]"


def make_relay(options, directory, routes, disk):
    relay = parts.Ringpost(
        directory / "ringpost", engines=str(options.engines), log="{level: info}", routes=routes,
        retry="{first: 1s, factor: 2, max: 10s, jitter: 20%, max_age: 1h}",
        events="{file_size: 16MiB, retention: 10m}", spool="{segment_size: 8MiB}",
        limits="{content_deadline: 20s, content_timeout: 10s}")  # what the dripper runs into
    if disk is not None:
        relay.state_dir = disk.root / "state"
        relay.write_config(state_dir=str(relay.state_dir))
    return relay


def watch(options, relay, live, follower, load, operator, moments):
    """Until the time is over, or too much is wrong."""
    bounds = Bounds(relay)
    begun = told = time.time()
    due = {}
    while (now := time.time()) - begun < options.minutes * 60 and len(live.problems) < 20:
        step(options, relay, live, follower, operator, moments, due, now)
        assert load.running(), f"the load ended:\n{load.tail()}"
        if now - told >= options.report_every:
            told = now
            status = relay.status()
            bounds.sample(now - begun, status)
            if status["unheld"]:
                live.problem(f"{status['unheld']} recipients are held by nothing")
            report(now - begun, live, status, operator, bounds, now)
            trim_log(relay)
            free = shutil.disk_usage(relay.directory).free
            assert free > 2 << 30, "less than 2 GiB of disk is left"
        time.sleep(0.2)
    if operator.disk is not None:
        operator.disk.empty()
    code = load.end(patience=120)
    if code not in (0, 2):
        live.problem(f"the load ended with {code}:\n{load.tail()}")
    bounds.sample(time.time() - begun, relay.status())
    return bounds


def run(options, directory, trouble, disk):
    moments = random.Random(options.seed)
    sinks, routes = start_sinks(options, directory, trouble)
    relay = make_relay(options, directory, routes, disk)
    clock = parts.WallClock(relay) if "clock" in trouble else None
    dripper = Dripper(relay.port) if "drip" in trouble else None
    live = live_ledger.LiveLedger(directory / "load.ledger", [s.ledger for s in sinks], PATIENCE_S)
    load = follower = None
    try:
        relay.start()
        follower = Follower(relay)
        load = start_load(options, directory, relay)
        if dripper is not None:
            dripper.start()
        operator = Operator(relay, moments, live, clock, disk)
        bounds = watch(options, relay, live, follower, load, operator, moments)
        if dripper is not None:
            dripper.stop()
            say(f"the dripping client began {dripper.begun} times, was told 421 {dripper.cut_off}")
            if options.minutes > 2 and dripper.cut_off == 0:
                live.problem("the dripping client was never cut off")
        drain(relay, live, follower, operator)
        check_end(relay, live, operator)
        bounds.tell(live)
        for sink in sinks:
            sink.stop()
        return live, operator
    finally:
        if dripper is not None:
            dripper.is_over.set()
        if follower is not None:
            follower.stop()
        for part in (load, relay, *sinks):
            if part is not None and part.child is not None:
                part.end(parts.signal.SIGKILL)


def choose_trouble(options):
    left_out = set(filter(None, options.without.split(",")))
    unknown = left_out - TROUBLE
    if unknown:
        raise SystemExit(f"--without: no such trouble: {', '.join(sorted(unknown))}")
    return TROUBLE - left_out


def run_in(options, directory):
    """With a disk of the relay's own, where one may mount it."""
    trouble = choose_trouble(options)
    disk = Disk(directory) if "disk" in trouble else None
    if disk is not None and not disk.mount():
        say("left out: disk (an image may not be mounted here)")
        disk = None
    try:
        return run(options, directory, trouble, disk)
    finally:
        if disk is not None:
            disk.unmount()


def trim_log(relay):
    """The daemon appends to it; what is old is let go in place."""
    if relay.log.stat().st_size > 256 << 20:
        os.truncate(relay.log, 0)


def main():
    options = parse_arguments()
    verdict.prepare(options)
    global parts, live_ledger, rig
    import live_ledger
    import parts
    import rig
    say(f"seed {options.seed}, {options.minutes} minutes, {options.rate} messages a second")

    def is_well(directory):
        live, operator = run_in(options, directory)
        for name, number in sorted(live.numbers.items()):
            say(f"{name}: {number}")
        say("operator: " + ", ".join(f"{k} {n}" for k, n in sorted(operator.counts.items())))
        for problem in live.problems:
            say(f"PROBLEM: {problem}")
        is_good = not live.problems and live.numbers["promised"] > 0
        say("good: nothing lost, nothing stuck, everything explained" if is_good else "bad")
        return is_good

    return verdict.reach("soak", options.keep, is_well)


if __name__ == "__main__":
    sys.exit(main())
