"""cached_disk.py - a block device with a volatile write cache, for the guest of powercut.py.

The kernel's nbd driver on one end of a socket, this process on the other. What is written is kept
in this process's memory, as a drive keeps it in its own, and reaches the store (a file of the
host) only by a FLUSH or a write with FUA. A drive may also write earlier, and in any order: so
some sectors of some writes go to the store at once, and a FLUSH writes shuffled runs of sectors.
When the guest is killed, this process goes with it, and what was not flushed is lost, torn or
there, sector by sector.
"""

import ctypes
import fcntl
import os
import pathlib
import random
import socket
import struct
import sys
import time

SECTOR = 512
RUN_SECTORS_MAX = 64  # what is written to the store in one go
CACHE_SECTORS_MAX = (64 << 20) // SECTOR  # a drive's cache ends somewhere, too

NBD_SET_SOCK, NBD_SET_BLKSIZE, NBD_DO_IT, NBD_SET_SIZE_BLOCKS, NBD_SET_FLAGS = (
    0xab00, 0xab01, 0xab03, 0xab07, 0xab0a)
NBD_HAS_FLAGS, NBD_SEND_FLUSH, NBD_SEND_FUA = 1, 4, 8
NBD_READ, NBD_WRITE, NBD_DISCONNECT, NBD_FLUSH = range(4)
REQUEST = struct.Struct(">IHH8sQI")
REQUEST_MAGIC, REPLY_MAGIC = 0x25609513, 0x67446698
FUA = 1

SYS_FINIT_MODULE = 313  # x86-64; kmod need not be installed
PR_SET_IO_FLUSHER = 57


class Cache:
    def __init__(self, store, draws, early):
        self.store = store
        self.draws = draws
        self.early = early  # share of the writes of which a part goes to the store at once
        self.sectors = {}

    def read(self, offset, length):
        data = bytearray(os.pread(self.store, length, offset))
        assert len(data) == length, f"{len(data)} of {length} bytes at {offset}"
        for at in range(0, length, SECTOR):
            sector = self.sectors.get((offset + at) // SECTOR)
            if sector is not None:
                data[at:at + SECTOR] = sector
        return data

    def write(self, offset, data, is_durable):
        first = offset // SECTOR
        count = len(data) // SECTOR
        for i in range(count):
            self.sectors[first + i] = data[i * SECTOR:(i + 1) * SECTOR]
        if is_durable:
            self.destage(range(first, first + count))
            for i in range(count):
                del self.sectors[first + i]
        elif len(self.sectors) > CACHE_SECTORS_MAX:
            self.flush()
        elif self.draws.random() < self.early:
            begin = self.draws.randrange(count)
            end = self.draws.randint(begin + 1, count)
            self.destage(range(first + begin, first + end))

    def flush(self):
        self.destage(sorted(self.sectors))
        self.sectors.clear()

    def destage(self, numbers):
        """Writes sectors, given in order, to the store: in runs, the runs in random order."""
        runs = []
        limit = 0
        for number in numbers:
            if runs and runs[-1][-1] == number - 1 and len(runs[-1]) < limit:
                runs[-1].append(number)
            else:
                runs.append([number])
                limit = self.draws.randint(1, RUN_SECTORS_MAX)
        self.draws.shuffle(runs)
        for run in runs:
            data = b"".join(self.sectors[number] for number in run)
            put = os.pwrite(self.store, data, run[0] * SECTOR)
            assert put == len(data), f"{put} of {len(data)} bytes at {run[0] * SECTOR}"


def receive(connection, length):
    data = bytearray(length)
    view = memoryview(data)
    while view:
        got = connection.recv_into(view)
        if got == 0:
            raise EOFError
        view = view[got:]
    return bytes(data)


def serve(connection, cache):
    while True:
        try:
            header = receive(connection, REQUEST.size)
        except EOFError:
            return
        magic, flags, command, handle, offset, length = REQUEST.unpack(header)
        assert magic == REQUEST_MAGIC
        data = b""
        if command == NBD_READ:
            data = cache.read(offset, length)
        elif command == NBD_WRITE:
            cache.write(offset, receive(connection, length), bool(flags & FUA))
        elif command == NBD_FLUSH:
            cache.flush()
        else:
            assert command == NBD_DISCONNECT, f"a command {command} nobody offered"
            return
        connection.sendall(struct.pack(">II8s", REPLY_MAGIC, 0, handle) + data)


def load_module(name):
    """A module of the running kernel, by its own system call."""
    folder = pathlib.Path("/usr/lib/uml/modules") / os.uname().release / "kernel"
    path = next(folder.rglob(f"{name}.ko"), None)
    assert path, f"{folder} has no module {name}"
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as module:
        result = libc.syscall(SYS_FINIT_MODULE, module.fileno(), b"nbds_max=1", 0)
    assert result == 0, f"module {name}: {os.strerror(ctypes.get_errno())}"


def in_child(act):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException as error:  # nothing of the parent may go on in the child
            print(f"cached disk: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    return child


def start(path, seed, early, has_fua):
    """The block device, once it is there. Two processes serve it as long as the guest lives."""
    load_module("nbd")
    device = "/dev/nbd0"
    size = os.stat(path).st_size
    ours, kernels = socket.socketpair()

    def run_server():
        kernels.close()
        # Nobody may make this process wait for dirty pages: it is the one who cleans them.
        ctypes.CDLL(None).prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)
        store = os.open(path, os.O_RDWR)
        serve(ours, Cache(store, random.Random(seed), early))

    def run_driver():
        ours.close()
        fd = os.open(device, os.O_RDWR)
        flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH | (NBD_SEND_FUA if has_fua else 0)
        fcntl.ioctl(fd, NBD_SET_BLKSIZE, SECTOR)
        fcntl.ioctl(fd, NBD_SET_SIZE_BLOCKS, size // SECTOR)
        fcntl.ioctl(fd, NBD_SET_FLAGS, flags)
        fcntl.ioctl(fd, NBD_SET_SOCK, kernels.fileno())
        fcntl.ioctl(fd, NBD_DO_IT)

    children = [in_child(run_server), in_child(run_driver)]
    ours.close()
    kernels.close()
    sectors = pathlib.Path("/sys/block/nbd0/size")
    deadline = time.monotonic() + 20
    while not sectors.exists() or int(sectors.read_text()) != size // SECTOR:
        assert time.monotonic() < deadline, "the kernel does not take the device"
        time.sleep(0.02)
    return device, children
