"""machine.py - a computer whose power can be cut: Debian's user-mode-linux on this host's root."""

import json
import pathlib
import shutil
import signal
import time

import parts

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MB = 384
BOOT_PATIENCE = 60


class Machine(parts.Process):
    """One life of the guest, from power on to power off or to the cut."""

    def __init__(self, directory, plan):
        self.boot = plan["boot"]
        # The shim is no part of the guest: it helps the kernel process on newer processors.
        env = {"LD_PRELOAD": str(parts.BUILD / "tests" / "crash" / "libuml_xstate.so")}
        if shutil.disk_usage("/dev/shm").free < (MEMORY_MB + 64) << 20:
            env["TMPDIR"] = str(directory)  # the guest's memory is a file
        super().__init__(directory, f"machine-{self.boot}", env)
        (directory / "plan.json").write_text(json.dumps(plan))
        self.progress = directory / f"progress-{self.boot}.json"

    def start(self):
        init = self.directory / "guest.py"
        if not init.exists():
            init.symlink_to(HERE / "guest.py")
        self.spawn([
            parts.need("linux.uml"), f"mem={MEMORY_MB}M", "rootfstype=hostfs", "rootflags=/", "rw",
            f"ubda={self.directory / 'disk.img'}", f"uml_dir={self.directory / 'uml'}",
            f"umid=boot{self.boot}", "con=null", "con0=null,fd:1", "quiet", "panic=-1",
            "init=/usr/bin/python3", "--", init, self.directory])
        return self

    def told(self):
        """What the guest has said so far; a line the cut came into is no line."""
        if not self.progress.exists():
            return []
        lines = self.progress.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def has_failed(self):
        return next((line["what"] for line in self.told() if line["state"] == "failed"), None)

    def wait_told(self, state, patience=BOOT_PATIENCE):
        """What the guest told with this state; whatever keeps it from coming is the failure."""
        def find():
            found = next((line for line in self.told() if line["state"] == state), None)
            if found is not None:
                return found
            assert not self.has_failed(), f"the guest failed:\n{self.has_failed()}\n{self.tail()}"
            assert self.running(), (
                "user-mode-linux ended before its guest said anything; it needs ptrace and an "
                f"executable /dev/shm or temporary directory:\n{self.tail(80)}"
                if not self.told() else f"the machine ended by itself:\n{self.tail()}")
            return None
        return parts.wait_for(find, f"the guest to be {state}:\n{self.tail()}", patience=patience,
                              pause=0.02)

    def wait_off(self, patience=BOOT_PATIENCE):
        """The guest turned itself off."""
        parts.wait_for(lambda: not self.running(), "the machine to be off", patience=patience)
        self.end()

    def cut_power(self):
        """Wall ms of the cut. The kernel dies first; its processes are its children, stopped in
        ptrace, and can do nothing without it."""
        assert self.running(), f"the machine ended by itself:\n{self.tail()}"
        assert not self.has_failed(), f"the guest failed:\n{self.has_failed()}"
        session = self.child.pid
        moment = int(time.time() * 1000)
        self.end(signal.SIGKILL)
        parts.wait_for(lambda: not members(session), "the machine's processes to be gone")
        return moment


def members(session):
    """Living processes of a session."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found
