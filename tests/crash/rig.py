"""rig.py - what the crash tests set up and compare alike: relay, sink, load, the closed books."""

import json

import ledger
import parts


def sink(directory, seed):
    """A receiver with a mix of answers, the same for the same recipient and attempt."""
    return parts.Sink(directory, "--ledger-at-once", "--seed", seed % 2**31,
                      "--reject", "rcpt:450:8%", "--reject", "rcpt:550:2%",
                      "--reject", "dot:451:4%", "--reject", "dot:554:1%",
                      "--latency", "dot=0ms-4ms")


def relay(directory, engines, receiver):
    return parts.Ringpost(directory, engines=str(engines),
                          routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]')


def load_command(path, port, connections, recipients, size, rate):
    """A generator that goes on until it is told to end, its ledger at `path`."""
    command = [parts.LOAD, "--to", f"127.0.0.1:{port}", "--connections", connections,
               "--recipients", recipients, "--size", size, "--domains", 50, "--ledger", path,
               "--ledger-at-once", "--seconds", "1h", "--give-up", "10m", "--quiet"]
    return command + (["--rate", rate] if rate else [])


def check_spool(report, output, code, errors):
    """The last line of `spool check --json` on a stopped and empty spool."""
    lines = output.splitlines()
    spool = json.loads(lines[-1]) if lines else {}
    if code != 0 or spool.get("recipients") != 0 or spool.get("damaged_records") != 0:
        report.problems.append(f"the spool is not clean: {spool} {errors}")


def check_audit(report, relay):
    """`ringpost events audit`, by the files and the spool alone: it proves the same by itself."""
    done = relay.cli("events", "audit", "--json", check=False)
    if done.returncode != 0:
        report.problems.append(f"the audit does not add up: {done.stdout[:2000]} {done.stderr}")


def check_books(report, load, copies, events, kills_ms, unsettled_max, cuts_ms=()):
    """What was promised, what arrived and what was told; the final events. `load` None: its ledger
    is not known. `unsettled_max` None: no bound for the duplicates of a kill. `cuts_ms`: those of
    the kills that were power cuts."""
    finals = ledger.check_events(report, events, cuts_ms)
    if load is not None:
        ledger.check_promises(report, load, copies, events, finals)
    ledger.explain_duplicates(report, load, copies, events, kills_ms, unsettled_max)
    return finals
