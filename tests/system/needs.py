"""needs.py - what a test needs of the machine beside programs: root, a namespace, a mount, a port.

Where it may not be had the test is skipped with the reason. A reason that starts with ROOT is one
that sudo cures: conftest.py runs those tests again as root, where it may, and tells of all others."""

import ctypes
import os
import subprocess

import pytest

ROOT = "needs root"
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000


def root(why):
    if os.getuid() != 0:
        pytest.skip(f"{ROOT}: {why}")


def root_mark(why):
    return pytest.mark.skipif(os.getuid() != 0, reason=f"{ROOT}: {why}")


def succeeds(*command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def own_mounts(why):
    """What is mounted from here on is seen by this process and its children alone, and goes with
    them."""
    root(why)
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0 or not succeeds("mount", "--make-rprivate", "/"):
        pytest.skip(f"nothing may be mounted here: {why}")


def own_network(why):
    root(why)
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        pytest.skip(f"no network of one's own may be made here: {why}")


def can_overlay():
    """May we lay a throw-away file system over this machine's?"""
    return succeeds(
        "unshare", "--mount", "sh", "-c",
        "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/m &&"
        " mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m")
