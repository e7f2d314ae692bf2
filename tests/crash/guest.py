"""guest.py - the first process inside the machine whose power powercut.py cuts.

The machine's root is the host's own (hostfs), so the programs, this file and the directory given as
argument are the host's; what is written there is on the host when the write returns. Only the disk
that is mounted for ringpost's state is the machine's. plan.json says what to do; progress is told
in lines of JSON.
"""

import ctypes
import fcntl
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
sys.dont_write_bytecode = True

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
POWER_OFF = 0x4321fedc


class Guest:
    def __init__(self, directory):
        self.directory = directory
        self.plan = json.loads((directory / "plan.json").read_text())
        self.progress = os.open(directory / f"progress-{self.plan['boot']}.json",
                                os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def tell(self, state, **more):
        line = json.dumps({"state": state, "ms": int(time.time() * 1000), **more})
        os.write(self.progress, line.encode() + b"\n")

    def set_up(self):
        for kind, at in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
            parts.run(["mount", "-t", kind, kind, at])
        socket.sethostname("guest.ringpost.example")
        with socket.socket() as s:
            fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))

    def mount_disk(self):
        plan = self.plan
        device = "/dev/ubda"
        if plan["disk"] == "cached":
            import cached_disk
            device, _ = cached_disk.start(self.directory / "disk.img", plan["seed"], plan["early"],
                                          plan["fua"])
        started = time.monotonic()
        state_dir = self.directory / "ringpost" / "state"
        parts.run(["mount", "-t", plan["fs"], "-o", plan["mount_options"], device, state_dir])
        state_dir.chmod(0o700)
        self.tell("mounted", s=time.monotonic() - started)

    def start_parts(self):
        self.sink = rig.sink(self.directory / "sink", self.plan["seed"]).start()
        self.relay = rig.relay(self.directory / "ringpost", self.plan["engines"], self.sink)
        started = time.monotonic()
        self.relay.start(wait=False)
        # Not by `status` again and again: starting a program costs more here than recovering.
        parts.wait_for(self.is_greeted, "ringpost to greet", pause=0.02)
        ready_s = time.monotonic() - started
        self.relay.wait_ready()
        self.tell("ready", s=ready_s,
                  recipients=self.relay.status()["queue"]["recipients"])

    def is_greeted(self):
        assert self.relay.running(), f"ringpost did not start:\n{self.relay.tail()}"
        try:
            with socket.create_connection(("127.0.0.1", self.relay.port), parts.PATIENCE) as s:
                return s.recv(3) == b"220"
        except OSError:
            return False  # nobody listens yet

    def run_load(self):
        """Until the power is cut."""
        load = parts.Process(self.directory, "load")
        load.spawn(rig.load_command(self.directory / "load.ledger", self.relay.port,
                                    **self.plan["load"]))
        self.tell("loading")
        while True:
            for part in (self.relay, self.sink, load):
                assert part.running(), f"{part.name} ended by itself:\n{part.tail()}"
            time.sleep(0.2)

    def run_empty(self):
        """Until all that is queued has ended, or patience has; then the books are closed."""
        started = time.monotonic()
        try:
            self.relay.wait_empty(patience=self.plan["drain"])
        except AssertionError as error:
            print(error, flush=True)  # what is left is told below
        drained_s = time.monotonic() - started
        status = self.relay.status()
        self.relay.stop()
        self.sink.stop()
        with open(self.directory / "events.json", "wb") as events:
            subprocess.run([parts.PROGRAM, "-c", self.relay.config_file, "events", "--json"],
                           stdout=events, check=True)
        checked = self.relay.cli("spool", "check", "--json", check=False)
        parts.run(["umount", self.relay.state_dir])
        self.tell("done", s=drained_s, unheld=status["unheld"],
                  recipients=status["queue"]["recipients"], spool=checked.stdout,
                  spool_code=checked.returncode, spool_error=checked.stderr)


def main():
    guest = Guest(pathlib.Path(sys.argv[1]))
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"  # the kernel gives its first process none
    os.environ["RINGPOST_BUILD"] = guest.plan["build"]
    global parts, rig
    import parts
    import rig
    parts.PROGRAM = pathlib.Path(guest.plan["program"])
    try:
        guest.set_up()
        guest.mount_disk()
        guest.start_parts()
        if guest.plan["load"]:
            guest.run_load()
        guest.run_empty()
    except BaseException:
        guest.tell("failed", what=traceback.format_exc())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).reboot(POWER_OFF)


if __name__ == "__main__":
    main()
