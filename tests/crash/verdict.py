"""verdict.py - how a crash test begins and ends: its build and seed, its directory, its exit code.

It imports nothing of the tests, because parts.py looks for the programs when it is imported."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time


def say(line):
    print(line, flush=True)


def prepare(options):
    """What --build and --seed say, or stand for when they are not given."""
    if options.build:
        os.environ["RINGPOST_BUILD"] = str(pathlib.Path(options.build).resolve())
    if options.seed is None:
        options.seed = int(time.time())


def reach(name, keep, body):
    """`body(directory)` says whether all is well; if not, its directory is kept. The exit code."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=f"ringpost-{name}-"))
    is_good = False
    try:
        is_good = body(directory)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        say(f"PROBLEM: {error}")
    finally:
        if is_good and not keep:
            shutil.rmtree(directory)
        else:
            say(f"kept: {directory}")
    return 0 if is_good else 1
