"""Mailboxes and Dovecot in turn on one Maildir: UIDs, flags, keywords, names stay what they are."""

import os
import pathlib
import pwd
import subprocess
import tempfile

import parts
import pytest

PROGRAM = pathlib.Path(os.environ["RINGPOST_BUILD"]) / "tests" / "system" / "mailbox_steps"


class Turns:
    """An account that either program opens while the other is away."""

    def __init__(self, place):
        self.place = place
        self.mail = place / "mail" / "b.example" / "a"
        self.user = pwd.getpwuid(os.getuid() or pwd.getpwnam("nobody").pw_uid)
        (place / "conf").write_text(
            f"mail_location = maildir:{self.mail}\nmail_uid = {self.user.pw_uid}\n"
            f"mail_gid = {self.user.pw_gid}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
            f"base_dir = {place}/run\nlog_path = /dev/stderr\nssl = no\n"
            "namespace inbox {\n  inbox = yes\n  separator = /\n}\n")

    def ours(self, *lines):
        done = subprocess.run([PROGRAM, self.place / "mail", "b.example", "a"],
                              input="".join(line + "\n" for line in lines), text=True,
                              capture_output=True, timeout=parts.PATIENCE, check=False)
        assert done.returncode == 0, done
        return done.stdout.splitlines()

    def dovecot(self, *command, input=None):
        for path in [self.place, *self.place.rglob("*")]:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        done = subprocess.run(
            [parts.need("doveadm"), "-c", self.place / "conf", *command], input=input,
            env={**os.environ, "USER": self.user.pw_name, "HOME": str(self.place)},
            capture_output=True, text=True, timeout=parts.PATIENCE, check=False)
        assert done.returncode == 0 and not done.stderr, done
        return done.stdout

    def show(self, name="INBOX"):
        """As ours has it: uidvalidity, uidnext, {uid: (flags, size)}."""
        head, *lines = self.ours(f"open {name}", "show")
        words = head.split()
        messages = {}
        for line in lines:
            uid, flags, size = line.split()
            messages[int(uid)] = (set(flags.split(",")) - {"-"}, int(size))
        return int(words[1]), int(words[3]), messages

    def dovecot_show(self, name="INBOX"):
        """The same as Dovecot has it."""
        status = self.dovecot("-f", "flow", "mailbox", "status", "uidvalidity uidnext", name)
        values = dict(part.split("=") for part in status.split() if "=" in part)
        told = self.dovecot("-f", "tab", "fetch", "uid flags size.virtual", "mailbox", name)
        messages = {}
        for line in told.splitlines()[1:]:
            uid, flags, size = line.split("\t")
            messages[int(uid)] = (set(flags.split()) - {"\\Recent"}, int(size))
        return int(values["uidvalidity"]), int(values["uidnext"]), messages


@pytest.fixture
def turns():
    """Not below pytest's folder: every run that begins closes that to others, and Dovecot is one."""
    with tempfile.TemporaryDirectory(prefix="ringpost-turns-", dir="/tmp") as place:
        yield Turns(pathlib.Path(place))


def test_dovecot_finds_what_we_made(turns):
    turns.ours("open INBOX", "append - one", "append \\Seen,$Forwarded two", "append Work three",
               "append \\Deleted four", "append - five",
               "flags 1 + \\Flagged,\\Answered", "flags 3 = \\Draft,$Forwarded", "expunge",
               "flags 5 + \\Deleted", "expunge", "create Lists/Größe", "subscribe Lists/Größe",
               "copy 2 Lists/Größe", "move 3 Lists/Größe")
    assert turns.show()[2] == {1: ({"\\Flagged", "\\Answered"}, 23),
                               2: ({"\\Seen", "$Forwarded"}, 23)}
    for name in ("INBOX", "Lists/Größe"):
        ours = turns.show(name)
        assert turns.dovecot_show(name) == ours
        assert turns.show(name) == ours
    assert turns.show()[1] == 6
    assert turns.dovecot("mailbox", "list", "-s").split() == ["Lists/Größe"]


def test_we_find_what_dovecot_made(turns):
    turns.ours("open INBOX")
    for number in range(4):
        turns.dovecot("save", "-m", "INBOX", input=f"Subject: {number}\n\nhello\n")
    turns.dovecot("flags", "add", "\\Seen Work", "mailbox", "INBOX", "uid", "2")
    turns.dovecot("flags", "add", "\\Flagged $Junk", "mailbox", "INBOX", "uid", "3:4")
    turns.dovecot("expunge", "mailbox", "INBOX", "uid", "1")
    turns.dovecot("mailbox", "create", "-s", "a & b/Größe")
    theirs = turns.dovecot_show()
    assert set(theirs[2]) == {2, 3, 4}
    assert turns.show() == theirs
    assert "a & b/Größe subscribed" in turns.ours("list")


def test_turn_by_turn_nothing_changes_but_what_was_done(turns):
    turns.ours("open INBOX", "append - a", "append \\Seen b")
    validity = turns.show()[0]
    turns.dovecot("save", "-m", "INBOX", input="Subject: c\n\nhello\n")
    turns.dovecot("flags", "add", "\\Answered mine", "mailbox", "INBOX", "uid", "1")
    theirs = turns.dovecot_show()
    assert set(theirs[2]) == {1, 2, 3} and theirs[0] == validity
    assert turns.show() == theirs
    turns.ours("open INBOX", "flags 3 + \\Flagged,other", "flags 1 - mine", "append - d",
               "flags 2 + \\Deleted", "expunge")
    ours = turns.show()
    assert set(ours[2]) == {1, 3, 4} and ours[2][1][0] == {"\\Answered"}
    assert turns.dovecot_show() == ours
    turns.dovecot("mailbox", "create", "Archive")
    turns.dovecot("move", "Archive", "mailbox", "INBOX", "uid", "3")
    turns.dovecot("copy", "Archive", "mailbox", "INBOX", "uid", "1")
    for name in ("INBOX", "Archive"):
        theirs = turns.dovecot_show(name)
        assert turns.show(name) == theirs
    assert set(turns.show()[2]) == {1, 4}
    turns.ours("open Archive", "move 1 INBOX")
    assert set(turns.show()[2]) == {1, 4, 5}
    assert turns.dovecot_show() == turns.show()


def test_index_that_is_lost_is_made_from_what_dovecot_reads(turns):
    turns.ours("open INBOX", *(f"append \\Seen,k{n} m{n}" for n in range(5)),
               "flags 2 + \\Deleted", "expunge")
    before = turns.show()
    (turns.mail / "ringpost.index").unlink()
    assert turns.show() == before
    assert turns.dovecot_show() == before
