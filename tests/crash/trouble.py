"""trouble.py - what befalls the relay of soak.py besides its operator: a client that drips, and a
disk that fills and empties. The clock is parts.WallClock, the receiver of one connection a sink."""

import contextlib
import os
import socket
import subprocess
import threading


class Dripper:
    """A client in the middle of a large message, which it never ends: a byte a second, for as long
    as it is let. When the relay cuts it off, or is gone, it begins again."""

    BEGINNING = b"Subject: drip\r\n\r\n" + b"x" * 70 + b"\r\n"
    LINES = 4000  # beyond what stays in memory of a message

    def __init__(self, port):
        self.port = port
        self.begun = self.cut_off = 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.is_over.set()
        self.thread.join(15)

    def _run(self):
        while not self.is_over.wait(1):
            with contextlib.suppress(OSError), \
                    socket.create_connection(("127.0.0.1", self.port), 5) as s:
                self._drip(s)

    def _drip(self, s):
        s.settimeout(10)
        for line in (None, b"EHLO drip.example", b"MAIL FROM:<drip@senders.example>",
                     b"RCPT TO:<nobody@d9.bench.example>", b"DATA"):
            if line is not None:
                s.sendall(line + b"\r\n")
            if s.recv(4096)[:1] not in (b"2", b"3"):
                return  # no room, or a stop
        self.begun += 1
        s.sendall(self.BEGINNING + (b"y" * 70 + b"\r\n") * self.LINES)
        while not self.is_over.wait(1):
            s.settimeout(0.01)
            with contextlib.suppress(TimeoutError):
                if s.recv(4096)[:3] == b"421":
                    self.cut_off += 1
                return
            s.settimeout(10)
            s.sendall(b"z")


class Disk:
    """A small file system in an image, most of which a filler takes and gives back."""

    SIZE = 1 << 30

    def __init__(self, directory):
        self.image = directory / "disk.img"
        self.root = directory / "disk"
        self.filler = self.root / "filler"
        self.is_full = False
        self.fills = 0

    def mount(self):
        """False where one may not."""
        self.root.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(self.SIZE)
        commands = (["mkfs.ext4", "-q", "-F", "-m", "0", self.image],
                    ["mount", "-o", "loop", self.image, self.root])
        return os.getuid() == 0 and all(
            subprocess.run(c, capture_output=True, check=False).returncode == 0 for c in commands)

    def unmount(self):
        subprocess.run(["umount", self.root], check=False)

    def free(self):
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def fill(self, left):
        """All but `left` bytes; others may be quicker."""
        taken = self.free() - left
        with open(self.filler, "ab") as filler, contextlib.suppress(OSError):
            if taken > 0:
                os.posix_fallocate(filler.fileno(), 0, taken)
        self.is_full = True
        self.fills += 1

    def empty(self):
        self.filler.unlink(missing_ok=True)
        self.is_full = False
