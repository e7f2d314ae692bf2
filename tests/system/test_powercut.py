"""Power cuts under load: what tests/crash/powercut.py does at length, here with a few cuts."""

import re
import shutil
import subprocess
import sys

import parts

POWERCUT = parts.ROOT / "tests" / "crash" / "powercut.py"


def powercut(*options):
    done = subprocess.run([sys.executable, str(POWERCUT), "--build", str(parts.BUILD),
                           *map(str, options)], capture_output=True, text=True, timeout=300)
    print(done.stdout + done.stderr)
    return done


def test_ext4_loses_nothing():
    done = powercut("--cuts", 2, "--seconds", 2)
    assert done.returncode == 0, done.stdout + done.stderr


def test_xfs_loses_nothing():
    done = powercut("--cuts", 1, "--seconds", 2, "--fs", "xfs")
    assert done.returncode == 0, done.stdout + done.stderr


def test_build_that_does_not_sync_is_caught():
    # With this seed both cuts come under load, and the disk writes little before it has to.
    done = powercut("--cuts", 2, "--seconds", 1, "--seed", 3, "--without-sync", "--drain", 5)
    # Which of both the cut takes, mail or what was told of it, is the disk's choice.
    lost = re.findall(r"^(?:lost recipients .*|promised recipients without .*): (\d+)$",
                      done.stdout, re.MULTILINE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(lost) == 2 and sum(map(int, lost)) > 0, done.stdout + done.stderr
    shutil.rmtree(re.search(r"^kept: (\S+)$", done.stdout, re.MULTILINE)[1])
