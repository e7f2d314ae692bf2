#!/usr/bin/env python3
"""powercut.py - cut the power of a machine that runs ringpost under load, again and again.

The machine is Debian's user-mode-linux, a Linux kernel as an ordinary process: it boots on this
host's own root, mounts a file system of its own for ringpost's state, and load and sink run in it,
with their ledgers on the host. SIGKILL to the machine is the power cut: its page cache is gone. It
is started again on the same disk, the file system's journal is replayed, ringpost recovers, the
load goes on. At the end the queue must run empty, and then: everything that got a 250 arrived or
bounced, once told; duplicates are counted and each has a reason; the stopped spool is clean, and so
is the file system.

What ringpost writes goes past the page cache (O_DIRECT), so a page cache lost is not enough to tell
whether it syncs. A drive has a cache as well. The default disk therefore is cached_disk.py, which
keeps what is not flushed in the machine's memory; flushed writes are in the host's file. (Not
dm-log-writes: it reports a flush before its log is written, so a kill would take back what was
promised. Not dm-flakey: it drops writes but says that they were flushed.) --disk ubd is the
kernel's own disk driver: every completed write stays, the page cache alone is lost.

--without-sync runs ringpost-nosync, linked from the same objects except that the spool's writes do
not wait to be durable (tests/crash/nosync.c). It must be seen to lose mail.

The seed is printed; --seed repeats the moments, the flushes and which sectors were kept.
"""

import argparse
import pathlib
import random
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
sys.dont_write_bytecode = True

import verdict  # noqa: E402
from verdict import say  # noqa: E402

DISK_MB = 512

#: What one kind of disk is made with, mounted with, and examined with after its last unmount.
FILE_SYSTEMS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], "ext4", "noatime", ["e2fsck", "-f", "-n"]),
    "ext4-writeback": (["mkfs.ext4", "-q", "-F"], "ext4", "noatime,data=writeback",
                       ["e2fsck", "-f", "-n"]),
    "xfs": (["mkfs.xfs", "-q", "-f"], "xfs", "noatime", ["xfs_repair", "-n", "-f"]),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cuts", type=int, default=10, help="power cuts (default 10)")
    parser.add_argument("--seconds", type=float, default=3, help="of load before a cut, on average")
    parser.add_argument("--seed", type=int, help="of the moments and the disk (default: the time)")
    parser.add_argument("--fs", choices=FILE_SYSTEMS, default="ext4")
    parser.add_argument("--disk", choices=["cached", "ubd"], default="cached",
                        help="cached: unflushed writes are lost; ubd: the page cache only")
    parser.add_argument("--without-sync", action="store_true", help="a ringpost that does not sync")
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--recipients", type=int, default=2, help="of a message")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rate", type=int, default=150, help="messages a second (0: no limit)")
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--build", help="where the programs are (default build/release)")
    parser.add_argument("--drain", type=float, default=120,
                        help="seconds the queue may take to empty")
    parser.add_argument("--keep", action="store_true", help="keep the directory")
    return parser.parse_args()


class Ground:
    """The directory that outlives the cuts: disk, ledgers, what the guest tells."""

    def __init__(self, directory, options):
        self.directory = directory
        self.options = options
        self.draws = random.Random(options.seed)
        self.boots = 0
        make, self.kind, self.mount_options, self.examine = FILE_SYSTEMS[options.fs]
        self.disk = directory / "disk.img"
        self.load = directory / "load.ledger"
        self.sink = directory / "sink" / "sink.ledger"
        (directory / "ringpost" / "state").mkdir(parents=True)
        with open(self.disk, "wb") as disk:
            disk.truncate(DISK_MB << 20)
        parts.run([*make, self.disk])

    def boot(self, has_load):
        options = self.options
        program = "tests/crash/ringpost-nosync" if options.without_sync else "ringpost"
        plan = {
            "boot": self.boots, "disk": options.disk, "fs": self.kind,
            "mount_options": self.mount_options, "seed": self.draws.randrange(2**31),
            "early": self.draws.choice([0, 0.1, 0.5, 0.9]), "fua": self.draws.random() < 0.5,
            "engines": options.engines, "build": str(parts.BUILD),
            "program": str(parts.BUILD / program), "drain": options.drain,
            "load": has_load and {"connections": options.connections,
                                  "recipients": options.recipients, "size": options.size,
                                  "rate": options.rate},
        }
        self.boots += 1
        return machine.Machine(self.directory, plan).start()

    def wait_moment(self, guest):
        """Under load; but one cut in five comes while file system or ringpost recover."""
        if guest.boot > 0 and self.draws.random() < 0.2:
            guest.wait_told("mounted")
            time.sleep(self.draws.uniform(0, 1))
            return
        guest.wait_told("loading")
        known = size_of(self.load)
        parts.wait_for(lambda: size_of(self.load) > known, "the load's first answer")
        time.sleep(self.draws.uniform(0, 2 * self.options.seconds))

    def check_file_system(self, report):
        done = parts.run([*self.examine, self.disk], check=False, timeout=120)
        if done.returncode != 0:
            report.problems.append(f"{self.examine[0]} found faults:\n{done.stdout}{done.stderr}")


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def run(ground, report):
    cuts_ms, lives = [], []
    for number in range(ground.options.cuts + 1):
        is_last = number == ground.options.cuts
        guest = ground.boot(has_load=not is_last)
        try:
            if is_last:
                done = guest.wait_told("done", patience=ground.options.drain + 120)
                guest.wait_off()
            else:
                ground.wait_moment(guest)
                cuts_ms.append(guest.cut_power())
                for path in (ground.load, ground.sink):
                    report.numbers["ledger lines the cut came into"] = (
                        report.numbers.get("ledger lines the cut came into", 0)
                        + ledger.trim_torn(path))
        finally:
            if guest.running():
                guest.end(signal.SIGKILL)
        lives.append({line["state"]: line for line in guest.told()})
        say(describe(number, is_last, lives[-1]))
    return cuts_ms, lives, done


def describe(number, is_last, life):
    mounted, ready = life.get("mounted"), life.get("ready")
    text = "no file system yet"
    if mounted:
        text = f"mounted in {mounted['s']:.2f} s, ringpost not ready yet"
    if ready:
        text = (f"mounted in {mounted['s']:.2f} s, greets after {ready['s']:.2f} s with "
                f"{ready['recipients']} recipients")
    end = "the queue empties" if is_last else "power cut"
    return f"life {number + 1}: {text}; {end}"


def compare(ground, report, cuts_ms, done):
    load = ledger.read_load(ground.load)
    copies = ledger.read_sink(ground.sink)
    with open(ground.directory / "events.json", encoding="utf-8") as lines:
        events = ledger.read_events(lines)
    rig.check_spool(report, done["spool"], done["spool_code"], done["spool_error"])
    # How many outcomes can be on their way to the disk is a matter of its speed, so no bound.
    rig.check_books(report, load, copies, events, cuts_ms, unsettled_max=None, cuts_ms=cuts_ms)
    if done["recipients"]:
        report.problems.append(f"{done['recipients']} recipients are still queued")
    if done["unheld"]:
        report.problems.append(f"{done['unheld']} recipients were held by nothing")
    ground.check_file_system(report)


def summarize(report, lives, done):
    for name, number in report.numbers.items():
        say(f"{name}: {number}")
    after = [life["ready"]["s"] for life in lives[1:] if "ready" in life]
    mounts = [life["mounted"]["s"] for life in lives[1:] if "mounted" in life]
    say(f"greets again after a cut: {max(after):.2f} s at most, {sum(after) / len(after):.2f} s on "
        f"average, after a mount of {max(mounts):.2f} s at most; queue empty {done['s']:.1f} s "
        "later")
    for problem in report.problems:
        say(f"PROBLEM: {problem}")


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the machine is ended on the way out
    verdict.prepare(options)
    global parts, ledger, machine, rig
    import ledger
    import machine
    import parts
    import rig
    say(f"seed {options.seed}, {options.cuts} cuts, {options.fs} on disk {options.disk}"
        + (", a build that does not sync" if options.without_sync else ""))

    def is_well(directory):
        report = ledger.Report()
        ground = Ground(directory, options)
        cuts_ms, lives, done = run(ground, report)
        compare(ground, report, cuts_ms, done)
        summarize(report, lives, done)
        is_good = not report.problems and report.numbers["promised recipients"] > 0
        say("good: nothing lost, everything explained" if is_good else "bad")
        return is_good

    return verdict.reach("powercut", options.keep, is_well)


if __name__ == "__main__":
    sys.exit(main())
