"""ledger.py - what was promised, what arrived, what was told: compared after a crash test.

Three witnesses: the load's ledger (what got a 250), the sink's ledger (what arrived), the event
files (what ringpost says about it). A recipient is named by its address, which the load makes
unique; an unanswered message is submitted again under the same names.
"""

import collections
import datetime
import json

FINAL = {"delivered", "filed", "bounced", "expired", "cancelled", "suppressed"}

#: A copy that arrived this long before a kill may have had its outcome still on the way to the disk.
UNSETTLED_MS = 3000

#: What a killed process had sent still lies in the receiver's socket; it is taken a little later.
IN_SOCKET_MS = 500


def kill_between(kills_ms, earlier_ms, later_ms):
    """The kill between two copies that may have kept the outcome of the first from being recorded,
    or None."""
    return next((k for k in kills_ms
                 if k <= later_ms and -IN_SOCKET_MS <= k - earlier_ms <= UNSETTLED_MS), None)


def trim_torn(path):
    """Ends a ledger behind its last whole line, which is where a power cut left it: what stands
    behind that was neither promised nor received. How many lines went, 0 or 1."""
    try:
        with open(path, "r+b") as ledger:
            lines = ledger.read()
            whole = lines.rfind(b"\n") + 1
            ledger.truncate(whole)
            return int(whole < len(lines))
    except FileNotFoundError:
        return 0  # cut before anything was written


def read_load(path):
    """{recipient: Counter of answers}; answers are "250", "550", ... and "unknown"."""
    answers = collections.defaultdict(collections.Counter)
    with open(path, encoding="ascii") as lines:
        for line in lines:
            code, _, recipient = line.split()
            answers[recipient][code] += 1
    return answers


def read_sink(path):
    """{recipient: [wall ms of each copy]}."""
    copies = collections.defaultdict(list)
    with open(path, encoding="ascii") as lines:
        for line in lines:
            fields = line.split()
            copies[fields[-2]].append(int(fields[-1]))
    return copies


def read_events(lines):
    return [json.loads(line) for line in lines]


class Report:
    """Problems are sentences; numbers are what a reader wants to know of a good run too."""

    def __init__(self):
        self.problems = []
        self.numbers = {}

    def expect_none(self, what, cases):
        self.numbers[what] = len(cases)
        if cases:
            shown = ", ".join(str(case) for case in list(cases)[:5])
            self.problems.append(f"{len(cases)} {what}: {shown}")


def wall_ms(event):
    return int(datetime.datetime.fromisoformat(event["time"]).timestamp() * 1000)


def is_torn(sequence, cuts_ms):
    """Does a power cut explain each gap? A flush it came into may keep an outcome and lose the one
    before (docs/spool.md): then what stands behind the gap is from the moment of a cut."""
    numbers = [event["seq"] for event in sequence]
    return all(
        later["seq"] == earlier["seq"] + 1
        or any(0 <= cut - wall_ms(later) <= UNSETTLED_MS for cut in cuts_ms)
        for earlier, later in zip(sequence, sequence[1:])
    ) and numbers[0] == 0 and len(set(numbers)) == len(numbers)


def check_events(report, events, cuts_ms=()):
    """Each accepted recipient ends once; sequences have no gaps but those of a power cut; no id is
    given twice."""
    ids = collections.Counter(e["event_id"] for e in events)
    report.expect_none("event_id given twice", [i for i, n in ids.items() if n > 1])

    sequences = collections.defaultdict(list)
    accepted = collections.Counter()
    finals = collections.defaultdict(list)
    for event in events:
        if event["id"] is None or event["seq"] is None:
            continue  # no message came of it, or it stands beside the message's own
        key = event["id"], event["recipient"]
        sequences[event["id"]].append(event)
        if event["kind"] == "accepted":
            accepted[key] += 1
        elif event["kind"] in FINAL:
            finals[key].append(event["kind"])
    broken = {}
    for i, found in sequences.items():
        found.sort(key=lambda event: event["seq"])
        if [event["seq"] for event in found] != list(range(len(found))):
            broken[i] = found
    torn = [i for i, found in broken.items() if is_torn(found, cuts_ms)]
    if cuts_ms:
        report.numbers["messages whose sequence has a gap from a torn flush"] = len(torn)
    report.expect_none("messages whose sequence has gaps or repeats", [
        f"{i} {[event['seq'] for event in found]}" for i, found in broken.items()
        if i not in torn])
    report.expect_none("damaged records", [e["event_id"] for e in events if e["kind"] == "damaged"])
    report.expect_none("recipients accepted twice in one message",
                       [key for key, n in accepted.items() if n > 1])
    report.expect_none("accepted recipients without a final event",
                       [key for key in accepted if key not in finals])
    report.expect_none("recipients with several final events",
                       [(key, kinds) for key, kinds in finals.items() if len(kinds) > 1])
    report.expect_none("final events of recipients never accepted",
                       [key for key in finals if key not in accepted])
    report.numbers["events"] = len(events)
    report.numbers["accepted recipients"] = len(accepted)
    kinds = collections.Counter(e["kind"] for e in events)
    report.numbers["kinds"] = dict(sorted(kinds.items()))
    return finals


def check_promises(report, load, copies, events, finals):
    """Nothing that got a 250 is lost; what was refused as far as the client knows may have come."""
    bounced = {recipient for (_, recipient), kinds in finals.items() if "bounced" in kinds}
    told = {e["recipient"] for e in events if e["kind"] == "accepted"}
    promised = [recipient for recipient, answers in load.items() if answers["250"]]
    report.numbers["promised recipients"] = len(promised)
    report.expect_none("lost recipients (250, neither delivered nor bounced)",
                       [r for r in promised if r not in copies and r not in bounced])
    report.expect_none("promised recipients without an accepted event",
                       [r for r in promised if r not in told])
    delivered = {e["recipient"] for e in events if e["kind"] == "delivered"}
    report.expect_none("delivered by the events but not in the sink",
                       [r for r in delivered if r not in copies])


def explain_duplicates(report, load, copies, events, kills_ms, unsettled_max):
    """Every copy beyond the first has a reason: the client sent again what a kill had left
    unanswered, or a kill came between the receiver's 250 and our record of it."""
    notifications = {e["recipient"] for e in events if e["sender"] == ""}
    resent, unsettled, unexplained, oldest_ms = 0, collections.Counter(), [], 0
    for recipient, times in copies.items():
        if recipient in notifications:
            continue  # one address gets many of them
        allowed = load[recipient]["unknown"] if load is not None else 0
        times = sorted(times)
        for earlier, later in zip(times, times[1:]):
            kill = kill_between(kills_ms, earlier, later)
            if kill is not None:
                unsettled[kill] += 1
                if allowed == 0:  # else it may have been the client
                    oldest_ms = max(oldest_ms, kill - earlier)
            elif allowed > 0:
                allowed -= 1
                resent += 1
            else:
                unexplained.append((recipient, times))
                break
    report.numbers["duplicates: client sent again"] = resent
    report.numbers["duplicates: kill before the outcome was recorded"] = sum(unsettled.values())
    report.numbers["duplicates at one kill, at most"] = max(unsettled.values(), default=0)
    report.numbers["duplicated copies came before a kill, ms at most"] = oldest_ms
    report.expect_none("unexplained duplicates", unexplained)
    if unsettled_max is not None:
        report.expect_none(
            f"kills with more than {unsettled_max} duplicates (what could be in flight)",
            [(kill, n) for kill, n in unsettled.items() if n > unsettled_max])
