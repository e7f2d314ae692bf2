"""The machine, as far as it matters to a figure; no names."""
import os

from peers.process import output_of


def first_match(path, key):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(key):
                    return line.split(":", 1)[-1].strip()
    except OSError:
        pass
    return "?"


def filesystem_of(folder):
    """(type, options) of the file system that holds folder."""
    best = ("", "?", "")
    folder = os.path.realpath(folder)
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, point, kind, options = line.split()[:4]
            inside = folder == point or folder.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                best = (point, kind, options)
    return best[1], best[2]


def describe(folder):
    kind, options = filesystem_of(folder)
    memory_kb = int(first_match("/proc/meminfo", "MemTotal").split()[0])
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            system = dict(line.strip().split("=", 1) for line in file if "=" in line)
    except OSError:
        system = {}
    return {
        "cores": os.cpu_count(),
        "cpu": first_match("/proc/cpuinfo", "model name"),
        "memory_gib": round(memory_kb / 2**20, 1),
        "kernel": os.uname().release,
        "system": system.get("PRETTY_NAME", "?").strip('"'),
        "file_system": kind,
        "mount_options": options,
        "congestion_control": first_match("/proc/sys/net/ipv4/tcp_congestion_control", ""),
        "postfix": output_of("postconf", "-dh", "mail_version"),
        "commit": output_of("git", "-C", here, "rev-parse", "--short", "HEAD"),
    }


def load_average():
    return os.getloadavg()[0]
