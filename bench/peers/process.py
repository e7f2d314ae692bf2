"""Processes we started: their CPU time, their end."""
import ctypes
import os
import signal
import socket
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")


class Problem(Exception):
    """Said to the user; ends the run."""


def read_stat(pid):
    """(parent, user+system, the same of its ended children) in seconds, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    ticks = [int(field) for field in fields[11:15]]
    return int(fields[1]), (ticks[0] + ticks[1]) / TICKS, (ticks[2] + ticks[3]) / TICKS


def tree(root):
    """The processes under root, itself first."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = read_stat(int(name))
            if stat is not None:
                children.setdefault(stat[0], []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root):
    """User and system time of a process and all under it, ended ones included.

    The time of a process that ended passes to its parent when that reaps it, so the sum over the
    tree of own and reaped time only grows."""
    total = 0.0
    for pid in tree(root):
        stat = read_stat(pid)
        if stat is not None:
            total += stat[1] + stat[2]
    return total


def busy_seconds():
    """All cores since boot: (busy, stolen by the hypervisor)."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) / TICKS for field in file.readline().split()[1:]]
    return sum(fields[:3]) + sum(fields[5:7]), fields[7]


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(what, condition, seconds, interval=0.02):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Problem(f"{what}: not within {seconds} s")
        time.sleep(interval)


def end_tree(root, seconds=20):
    """SIGTERM to the root; what is left of its tree after a while is killed, each by its id."""
    pids = tree(root)
    try:
        os.kill(root, signal.SIGTERM)
    except ProcessLookupError:
        pass
    end = time.monotonic() + seconds
    while time.monotonic() < end and not all(is_gone(pid) for pid in pids):
        time.sleep(0.05)
    for pid in pids:
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)


def adopt_orphans():
    """Daemons that leave their parent become our children: we see their end and take their time."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap():
    """Takes what has ended of the adopted ones; Popen objects were waited for before."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    """Whether an SMTP server greets."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(2)
            greeting = connection.recv(4)
            connection.sendall(b"QUIT\r\n")
            connection.recv(100)
            return greeting.startswith(b"220")
    except OSError:
        return False


def output_of(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.decode(errors="replace").strip()
