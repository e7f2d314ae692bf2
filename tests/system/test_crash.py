"""kill -9 under load: what tests/crash/kill.py does at length, here in a few rounds."""

import subprocess
import sys

import parts

KILL = parts.ROOT / "tests" / "crash" / "kill.py"


def kill(*options):
    done = subprocess.run([sys.executable, str(KILL), "--build", str(parts.BUILD),
                           *map(str, options)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def test_bench_load_loses_nothing():
    # The rate leaves a sanitized build on a shared machine time to work off its backlog.
    kill("--rounds", 4, "--seconds", 1.5, "--rate", 400, "--connections", 20)


def test_one_engine_and_large_messages_lose_nothing():
    kill("--rounds", 3, "--seconds", 1.5, "--rate", 40, "--engines", 1, "--size", 300_000)


def test_smtp_source_loses_nothing():
    kill("--rounds", 3, "--seconds", 0.7, "--client", "smtp-source", "--connections", 10,
         "--recipients", 1)
