"""mime_show.py - what inbound/mime tells of messages (mime_show.c), and what Dovecot does."""

import imaplib
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile

import parts

PROGRAM = pathlib.Path(os.environ["RINGPOST_BUILD"]) / "tests" / "system" / "mime_show"
KINDS = ["", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"]
DOVECOT = "/usr/lib/dovecot/imap"


class Ours:
    """The program, which is asked of one message at a time."""

    def __enter__(self):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(60) == 0

    def open(self, path):
        self.process.stdin.write(f"open {path}\n")

    def ask(self, *words):
        """Bytes, or None where there is no such thing."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer, ("the program ended", words)
        if answer[0] == "nil":
            return None
        return b"" if answer[1] == "-" else bytes.fromhex(answer[1])

    def section(self, name):
        """What stands in BODY[...]."""
        match = re.fullmatch(r"((?:\d+\.?)*)([A-Z.]*)(?: \((.*)\))?", name)
        path, kind, names = match.groups()
        return self.ask("section", KINDS.index(kind), path.rstrip(".") or "-",
                        *(names or "").split())

    def search(self, where, text, charset="utf-8"):
        needle = text if isinstance(text, bytes) else text.encode(charset)
        return self.ask("search", where, charset, needle.hex() or "-").decode() == "found"


class Dovecot:
    """Its IMAP server over a Maildir with these messages, numbered from 1."""

    def __init__(self, messages):
        parts.need(DOVECOT)
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="ringpost-dovecot-", dir="/tmp"))
        self.user = pwd.getpwuid(os.getuid() or pwd.getpwnam("nobody").pw_uid)
        for folder in ("cur", "new", "tmp"):
            (self.place / "mail" / folder).mkdir(parents=True)
        self.paths = []
        for number, message in enumerate(messages, 1):
            # In the order of their names: Dovecot numbers what it finds so.
            path = self.place / "mail" / "cur" / f"{1700000000 + number}.M{number}P1.host:2,S"
            path.write_bytes(message)
            self.paths.append(path)
        (self.place / "conf").write_text(
            f"mail_location = maildir:{self.place}/mail\nbase_dir = {self.place}/run\n"
            f"log_path = {self.place}/log\nssl = no\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
            "mail_max_userip_connections = 0\n")
        for path in [self.place, *self.place.rglob("*")]:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def __enter__(self):
        drop = "" if os.getuid() else (
            f"setpriv --reuid {self.user.pw_uid} --regid {self.user.pw_gid} --clear-groups ")
        os.environ["USER"] = self.user.pw_name
        self.client = imaplib.IMAP4_stream(
            f"exec env HOME={self.place} {drop}{DOVECOT} -c {self.place}/conf")
        self.client.select("INBOX", readonly=True)
        return self

    def __exit__(self, *_):
        self.client.logout()
        shutil.rmtree(self.place)

    def fetch(self, number, item):
        """The value of one item, with its literals in place; None for NIL."""
        kind, data = self.client.fetch(str(number), f"({item})")
        assert kind == "OK", (item, data)
        text = b""
        for piece in data:
            if isinstance(piece, tuple):
                text += piece[0] + b"\r\n" + piece[1]
            else:
                text += piece or b""
        match = re.match(rb"\d+ \((?:[A-Z]+(?:\[[^\]]*\](?:<\d+>)?)?) ", text)
        assert match, text
        value = text[match.end():-1]
        return None if value == b"NIL" else value

    def octets(self, number, item):
        """The value of an item that is a string."""
        value = self.fetch(number, item)
        return value if value is None else string_of(value)


def string_of(value):
    match = re.match(rb"~?\{(\d+)\}\r\n", value)
    if match:
        assert len(value) - match.end() == int(match.group(1)), value
        return value[match.end():]
    assert value[:1] == b'"' and value[-1:] == b'"', value
    return re.sub(rb"\\(.)", rb"\1", value[1:-1])


def parse(text):
    """IMAP's lists and strings as Python's: strings are bytes, NIL is None, numbers are int."""
    tokens = re.compile(rb'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|~?\{(\d+)\}\r\n|([^\s()"]+))', re.S)
    stack, at = [[]], 0
    while at < len(text):
        match = tokens.match(text, at)
        assert match, text[at:at + 100]
        at = match.end()
        start, end, quoted, literal, atom = match.groups()
        if start:
            stack.append([])
        elif end:
            done = stack.pop()
            stack[-1].append(done)
        elif quoted is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted, flags=re.S))
        elif literal:
            stack[-1].append(text[at:at + int(literal)])
            at += int(literal)
        else:
            stack[-1].append(None if atom == b"NIL" else int(atom) if atom.isdigit() else atom)
    assert len(stack) == 1, text
    return stack[0]


def lower(value):
    """Types and encodings have no case."""
    if isinstance(value, list):
        return [lower(one) for one in value]
    return value.lower() if isinstance(value, bytes) else value


sys.setrecursionlimit(10000)
