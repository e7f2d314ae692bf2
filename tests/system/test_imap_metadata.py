"""METADATA (RFC 5464): annotations of mailboxes and of the account, over restarts."""

import pytest
from test_imap import Mail


@pytest.fixture
def mail(stage):
    return Mail(stage)


def test_annotations_are_set_got_and_removed(mail):
    raw = mail.raw()
    assert b" METADATA " in raw.ask("CAPABILITY")[0]
    assert raw.ask("CREATE a") and raw.ask("CREATE Sent")
    assert raw.ask("SETMETADATA a (/private/comment \"mine\" /Shared/comment {9+}\r\ntwo\r\nline)")[
        -1].startswith(b"OK")
    assert raw.ask("SETMETADATA \"\" (/private/vendor/x/y ~{3+}\r\na\0b)")[-1].startswith(b"OK")
    assert raw.ask("GETMETADATA a (/shared/comment /private/comment)")[0] == (
        b"* METADATA a (/shared/comment {9}\r\ntwo\r\nline /private/comment \"mine\")")
    mail.relay.stop()
    mail.relay.start()
    raw = mail.raw()
    assert raw.ask("GETMETADATA \"\" /private/vendor/x/y")[0] == (
        b"* METADATA \"\" (/private/vendor/x/y ~{3}\r\na\0b)")
    assert raw.ask("GETMETADATA a (DEPTH infinity) (/private)")[:-1] == [
        b"* METADATA a (/private/comment \"mine\")"]
    assert raw.ask("GETMETADATA (MAXSIZE 4 DEPTH 1) a (/private /shared)") == [
        b"* METADATA a (/private/comment \"mine\")", b"OK [METADATA LONGENTRIES 9] GETMETADATA done"]
    assert raw.ask("SETMETADATA a (/private/comment NIL)")[-1].startswith(b"OK")
    assert raw.ask("GETMETADATA a /private/comment")[:-1] == [b"* METADATA a (/private/comment NIL)"]
    assert raw.ask("GETMETADATA a (DEPTH 1) /private") == [b"OK GETMETADATA done"]
    assert raw.ask("GETMETADATA \"\" /shared/admin")[0] == (
        b"* METADATA \"\" (/shared/admin \"mailto:postmaster@b.example\")")
    assert raw.ask("GETMETADATA Sent /private/specialuse")[0] == (
        b"* METADATA Sent (/private/specialuse \"\\\\Sent\")")


def test_annotations_are_refused(mail):
    raw = mail.raw()
    rows = {
        "SETMETADATA none (/private/comment \"x\")": b"NO [NONEXISTENT]",
        "GETMETADATA none /private/comment": b"NO [NONEXISTENT]",
        "SETMETADATA \"\" (/shared/admin \"x\")": b"NO [NOPERM]",
        "SETMETADATA INBOX (/private/specialuse \"\\\\Sent\")": b"NO [NOPERM]",
        "SETMETADATA INBOX (/private/c {16385+}\r\n" + "x" * 16385 + ")":
            b"NO [METADATA MAXSIZE 16384]",
        "SETMETADATA INBOX (" + " ".join(f"/private/{i} \"x\"" for i in range(65)) + ")":
            b"NO [METADATA TOOMANY]",
        "SETMETADATA INBOX (/private/* \"x\")": b"BAD",
        "GETMETADATA INBOX (DEPTH 3) /private": b"BAD",
    }
    for command, expected in rows.items():
        assert raw.ask(command)[-1].startswith(expected), command
    assert raw.ask("GETMETADATA INBOX (DEPTH infinity) (/private /shared)") == [
        b"OK GETMETADATA done"]
