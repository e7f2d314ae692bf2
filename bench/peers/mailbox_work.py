"""What is measured of a mailbox: each operation, how often, and what share of Dovecot's CPU is
asked for."""
import collections

from peers.mailbox_client import Failed, Imap, Pop3
from peers.mailbox_made import NEEDLE, message

TWENTIETH, FIFTH, THIRD = 1 / 20, 1 / 5, 1 / 3

WATCHERS = 100

# run(session, number) does it once; `whole`: it goes through all of the mailbox, so it is done seldom.
Operation = collections.namedtuple("Operation", "name share times run")
operations = []


def operation(name, share, times):
    """`times`: of a round, by the number of messages."""
    def note(run):
        operations.append(Operation(name, share, times, run))
        return run
    return note


def often(times):
    return lambda _messages: times


def whole(messages):
    """Of what takes as long as the mailbox is large."""
    return max(3, 200_000 // messages)


class Session:
    """A client of one side, logged in; the mailbox is selected."""

    def __init__(self, side, messages):
        self.side, self.messages = side, messages
        self.client = Imap(side)
        self.next = 0
        self.watchers = []

    def watched(self):
        """Others that wait for what happens in INBOX, from the first time on that this is asked."""
        while len(self.watchers) < WATCHERS:
            watcher = Imap(self.side)
            watcher.ask("SELECT INBOX")
            watcher.sock.sendall(b"I IDLE\r\n")
            watcher.until(b"+ ")
            self.watchers.append(watcher)
        return self.watchers

    def select(self):
        self.client.ask("SELECT INBOX")

    def some(self, number, count=1):
        """Numbers of messages that lie far from those before; the last fifth may move away."""
        first = number * 7919 % max(1, self.messages * 4 // 5 - count) + 1
        return first if count == 1 else f"{first}:{first + count - 1}"

    def close(self):
        for watcher in self.watchers:
            watcher.sock.close()
        self.client.close()


def expect(answer, mark, count):
    if answer.count(mark) < count:
        raise Failed(f"{mark} {answer.count(mark)} times, not {count}: {answer[:300]}")


@operation("login", FIFTH, often(300))
def log_in(session, _number):
    Imap(session.side).close()


@operation("noop", FIFTH, often(3000))
def noop(session, _number):
    session.client.ask("NOOP")


@operation("select, warm", FIFTH, often(50))
def select(session, _number):
    expect(session.client.ask("SELECT INBOX"), b"EXISTS", 1)


@operation("fetch flags of all", TWENTIETH, whole)
def fetch_flags(session, _number):
    expect(session.client.ask("FETCH 1:* FLAGS"), b"FETCH", session.messages - 500)


@operation("fetch envelope of all", TWENTIETH, whole)
def fetch_envelope(session, _number):
    expect(session.client.ask("FETCH 1:* ENVELOPE"), b"ENVELOPE", session.messages - 500)


@operation("header fields of 100", FIFTH, often(50))
def fetch_fields(session, number):
    fields = "BODY.PEEK[HEADER.FIELDS (DATE FROM TO SUBJECT MESSAGE-ID)]"
    expect(session.client.ask(f"FETCH {session.some(number, 100)} ({fields})"), b"FETCH", 100)


@operation("bodystructure of 100", FIFTH, often(50))
def fetch_structure(session, number):
    expect(session.client.ask(f"FETCH {session.some(number, 100)} BODYSTRUCTURE"), b"FETCH", 100)


@operation("body[] of one", FIFTH, often(1000))
def fetch_body(session, number):
    expect(session.client.ask(f"FETCH {session.some(number)} BODY.PEEK[]"), b"FETCH", 1)


@operation("store a flag", TWENTIETH, often(100))
def store(session, number):
    sign = "+-"[number % 2]
    session.client.ask(f"STORE {session.some(number // 2)} {sign}FLAGS (\\Flagged)")


@operation("append", FIFTH, often(100))
def append(session, number):
    session.client.ask("APPEND Filed ", literal=message(number).replace(b"\n", b"\r\n"))


@operation("search of header fields", TWENTIETH, whole)
def search_header(session, number):
    who = ("Anna", "Chen", "Emil", "Mina")[number % 4]
    expect(session.client.ask(f'SEARCH FROM "{who}" SUBJECT "invoice"'), b"SEARCH", 1)


@operation("sort by subject", TWENTIETH, whole)
def sort(session, _number):
    expect(session.client.ask("SORT (SUBJECT) UTF-8 ALL"), b"SORT", 1)


@operation("uid move of one", TWENTIETH, often(30))
def move(session, _number):
    answer = session.client.ask("UID SEARCH 1")
    uid = answer.split(b"\r\n")[0].split()[-1].decode()
    session.client.ask(f"UID MOVE {uid} Moved")


@operation("body search", THIRD, lambda messages: max(1, 5_000 // messages))
def search_body(session, _number):
    expect(session.client.ask(f"SEARCH BODY {NEEDLE}"), b"SEARCH", 1)


@operation("POP3: UIDL and 10 RETR", FIFTH, lambda messages: max(5, 50_000 // messages))
def pop3(session, number):
    client = Pop3(session.side)
    client.ask_lines("UIDL")
    for message_number in range(10):
        client.ask_lines(f"RETR {session.some(number + message_number)}")
    client.close()


# The last: who waits hears of all that is done in the mailbox.
@operation(f"append, told to {WATCHERS} in IDLE", TWENTIETH, often(20))
def append_told(session, number):
    watchers = session.watched()
    session.client.ask("APPEND INBOX ", literal=message(number).replace(b"\n", b"\r\n"))
    for watcher in watchers:
        watcher.until(b" EXISTS")


# Once, from a state that the bench makes: what it forgets of the mailbox before, and what is asked.
Cold = collections.namedtuple("Cold", "name share forgets run")


def cold_select(side):
    client = Imap(side)
    client.ask("SELECT INBOX")
    client.close()


def cold_fetch(command):
    def run(side):
        client = Imap(side)
        client.ask("SELECT INBOX")
        client.ask(command)
        client.close()
    return run


colds = [
    Cold("select after a start", THIRD, False, cold_select),
    Cold("select without an index", THIRD, True, cold_select),
    Cold("envelopes of all without an index", THIRD, True, cold_fetch("FETCH 1:* ENVELOPE")),
    Cold("structures of all without an index", THIRD, True, cold_fetch("FETCH 1:* BODYSTRUCTURE")),
]
