"""What RFC 3501, 9051 and their extensions ask of a server that no client of the other tests asks for:
odd but legal syntax, and sentences with a MUST."""

import re

import pytest
from test_imap import Mail


@pytest.fixture
def mail(stage):
    return Mail(stage)


def begin(mail, messages=0, enable="", mailbox="box"):
    raw = mail.raw()
    if enable:
        raw.ask(f"ENABLE {enable}")
    raw.ask(f"CREATE {mailbox}")
    for _ in range(messages):
        raw.append(mailbox=mailbox)
    return raw, raw.ask(f"SELECT {mailbox}")


def number_of(name, lines):
    """Of "[NAME 12]" or "NAME (12)"."""
    found = re.search(rb"%s \(?(\d+)" % name.encode(), b" ".join(lines))
    assert found, (name, lines)
    return int(found[1])


def test_the_largest_number_is_not_the_last_message(mail):
    raw, _ = begin(mail, 2)
    for command in ("UID FETCH 4294967295 FLAGS", "UID FETCH 4294967294:4294967295 FLAGS",
                    "UID STORE 4294967295 +FLAGS.SILENT (\\Deleted)", "UID EXPUNGE 4294967295"):
        assert len(raw.ask(command)) == 1, command
    assert raw.ask("SEARCH UID 4294967295") == [b"* SEARCH", b"OK SEARCH done"]
    assert raw.ask("FETCH 4294967295 FLAGS")[-1].startswith(b"BAD")
    assert raw.ask("REPLACE 4294967295 box {3+}\r\nx:y")[-1].startswith(b"BAD")
    assert b"* 2 FETCH (FLAGS () UID 2)" in raw.ask("UID FETCH 4294967295:* FLAGS")


def test_a_partial_may_begin_beyond_four_gigabytes(mail):
    raw, _ = begin(mail, 1)
    assert b"* 1 FETCH (BODY[]<5000000000> {0}\r\n)" in raw.ask("FETCH 1 BODY.PEEK[]<5000000000.9>")
    size = number_of("RFC822.SIZE", raw.ask("FETCH 1 RFC822.SIZE"))
    assert b"BODY[]<0> {%d}" % size in raw.ask("FETCH 1 BODY.PEEK[]<0.9999999999>")[0]


def test_vanished_tells_of_what_was_behind_the_last(mail):
    raw, selected = begin(mail, 4, enable="QRESYNC")
    modseq = number_of("HIGHESTMODSEQ", selected)
    raw.ask("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
    raw.ask("EXPUNGE")
    since = f"(FLAGS) (CHANGEDSINCE {modseq} VANISHED)"
    assert b"* VANISHED (EARLIER) 2,4" in raw.ask(f"UID FETCH 1:* {since}")
    assert b"* VANISHED (EARLIER) 4" in raw.ask(f"UID FETCH 3:* {since}")
    assert b"* VANISHED (EARLIER) 2" in raw.ask(f"UID FETCH 1:3 {since}")
