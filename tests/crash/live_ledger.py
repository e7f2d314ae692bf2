"""live_ledger.py - the witnesses of ledger.py, compared while they are being written.

What the load was promised, what the sinks took and what the events tell are read as they grow. A
recipient is kept while something about it is open and forgotten once the three agree; what can
never be right is a problem at once, what takes too long is one when its patience is over.
"""

import collections
import json

import ledger

#: A copy that arrives this long after the one before it is no longer recognised as a second one.
COPY_MEMORY_S = 1800


def is_notified(recipient):
    """An address that the load sends from: notifications go there, many to one."""
    return "@senders." in recipient


class Growing:
    """Whole lines of a file that is being written."""

    def __init__(self, path):
        self.path = path
        self.file = None
        self.rest = b""

    def lines(self):
        if self.file is None:
            if not self.path.exists():
                return []
            self.file = open(self.path, "rb")
        found = (self.rest + self.file.read()).split(b"\n")
        self.rest = found.pop()
        return found


class LiveLedger:
    """`now` is wall seconds, given by the caller at each step."""

    def __init__(self, load, sinks, patience_s):
        self.load = Growing(load)
        self.sinks = [Growing(sink) for sink in sinks]
        self.patience_s = patience_s
        self.problems = []
        self.numbers = collections.Counter()
        self.kills_ms = []
        self.promised = {}    # recipient: since; waits for an end
        self.ended = {}       # recipient: (kind, since); an end that waits for its 250
        self.running = {}     # (id, recipient): since; accepted by the events, not final
        self.arriving = {}    # recipient: since; delivered by the events, not in the sink's ledger
        self.copies = {}      # recipient: (ms of its last copy, copies)
        self.resent = collections.Counter()
        self.finished = set()           # hash of (id, recipient)
        self.sequences = {}             # id: seqs seen, while one of its recipients is open
        self.open_of = collections.Counter()  # id: recipients that are not final
        self.seen_ids = collections.OrderedDict()  # event ids of late

    def problem(self, sentence):
        if len(self.problems) < 50:
            self.problems.append(sentence)

    # --- reading ---

    def read(self, event_lines, now):
        for line in self.load.lines():
            self._on_answer(*line.decode().split(), now)
        for line in (line for sink in self.sinks for line in sink.lines()):
            fields = line.decode().split()
            self._on_copy(fields[-2], int(fields[-1]), now)
        for line in event_lines:
            self._on_event(json.loads(line), now)

    def _on_answer(self, code, _, recipient, now):
        if code == "250":
            self.numbers["promised"] += 1
            if self.ended.pop(recipient, None) is None:
                self.promised[recipient] = now
            else:
                self.numbers["settled"] += 1
        elif code == "unknown":
            self.resent[recipient] += 1
            self.numbers["unanswered"] += 1
        else:
            self.numbers[f"answered {code}"] += 1

    def _on_copy(self, recipient, at_ms, now):
        self.numbers["copies"] += 1
        self.arriving.pop(recipient, None)
        if is_notified(recipient):
            return
        before, count = self.copies.get(recipient, (None, 0))
        self.copies[recipient] = (at_ms, count + 1)
        if before is None:
            return
        if ledger.kill_between(self.kills_ms, before, at_ms) is not None:
            self.numbers["duplicates: kill before the outcome was recorded"] += 1
        elif self.resent[recipient] > 0:
            self.resent[recipient] -= 1
            self.numbers["duplicates: client sent again"] += 1
        else:
            self.numbers["duplicates: unexplained"] += 1
            self.problem(f"an unexplained second copy for {recipient} at {at_ms}, first at {before}")

    def _on_event(self, event, now):
        if event["event_id"] in self.seen_ids:
            self.numbers["events shown again"] += 1  # the file was cut by a crash and written again
            return
        self.seen_ids[event["event_id"]] = True
        if len(self.seen_ids) > 200_000:
            self.seen_ids.popitem(last=False)
        kind, key = event["kind"], (event["id"], event["recipient"])
        self.numbers[f"event {kind}"] += 1
        if kind == "damaged":
            self.problem(f"damage: {event['reply']['text']}")
        if event["id"] is None or event["seq"] is None:
            return
        self.sequences.setdefault(event["id"], set()).add(event["seq"])
        if kind == "accepted":
            self.running[key] = now
            self.open_of[event["id"]] += 1
        elif kind in ledger.FINAL:
            self._on_final(event, key, now)

    def _on_final(self, event, key, now):
        if self.running.pop(key, None) is None:
            again = "a second" if hash(key) in self.finished else "a"
            self.problem(f"{again} final event {event['kind']} for {key}, which was not open")
            return
        self.finished.add(hash(key))
        self.open_of[event["id"]] -= 1
        if self.open_of[event["id"]] == 0:
            del self.open_of[event["id"]]
            seqs = self.sequences.pop(event["id"])
            if seqs != set(range(len(seqs))):
                self.problem(f"{event['id']} has sequence {sorted(seqs)}")
        recipient = event["recipient"]
        if event["kind"] == "delivered" and recipient not in self.copies and (
                not is_notified(recipient)):
            self.arriving[recipient] = now
        if event["sender"] == "":
            return  # a notification: nobody was promised anything
        if self.promised.pop(recipient, None) is not None:
            self.numbers["settled"] += 1
        elif self.resent[recipient] == 0:
            self.ended[recipient] = (event["kind"], now)

    # --- judging ---

    def judge(self, now, held=()):
        """What waits for too long; `held`: domains that an operator holds back at present."""
        for what, waiting in (("promised with 250, but no end", self.promised),
                              ("delivered by the events, but not in the sink", self.arriving)):
            late = [r for r, since in waiting.items() if now - since > self.patience_s
                    and r.rpartition("@")[2] not in held]
            for recipient in late:
                del waiting[recipient]
                self.numbers["late"] += 1
                self.problem(f"{what} after {self.patience_s} s: {recipient}")
        for key, since in list(self.running.items()):
            if now - since > self.patience_s and key[1].rpartition("@")[2] not in held:
                del self.running[key]
                self.problem(f"accepted, but no final event after {self.patience_s} s: {key}")
        # The end of what a kill left unanswered has no 250 to wait for.
        for recipient, (_, since) in list(self.ended.items()):
            if now - since > self.patience_s:
                del self.ended[recipient]
                self.numbers["ended without a 250"] += 1
        for recipient, (at_ms, _) in list(self.copies.items()):
            if now - at_ms / 1000 < COPY_MEMORY_S:
                break
            del self.copies[recipient]

    def finish(self):
        """After the queue ran empty: nothing may be open."""
        for what, waiting in (("promised with 250, but no end", self.promised),
                              ("accepted, but no final event", self.running),
                              ("delivered by the events, but not in the sink", self.arriving)):
            if waiting:
                shown = ", ".join(map(str, list(waiting)[:5]))
                self.problem(f"{len(waiting)} {what}: {shown}")

    def oldest_s(self, now):
        return now - min(self.promised.values(), default=now)
