"""What RFC 3501, 9051 and their extensions ask of a server that no client of the other tests asks for:
odd but legal syntax, and sentences with a MUST."""

import re
import time

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


def test_what_expunges_tells_the_modseq(mail):
    raw, _ = begin(mail, 6, enable="QRESYNC")
    other = mail.raw()
    other.ask("SELECT box")
    for prepare, command in (("UID STORE 1 +FLAGS (\\Deleted)", "EXPUNGE"),
                             ("UID STORE 2 +FLAGS (\\Deleted)", "UID EXPUNGE 2"), ("NOOP", "UID MOVE 3 INBOX")):
        raw.ask(prepare)
        answer = raw.ask(command)
        assert answer[-1].startswith(b"OK [HIGHESTMODSEQ "), answer
        status = raw.ask("STATUS box (HIGHESTMODSEQ)")
        assert number_of("HIGHESTMODSEQ", answer[-1:]) == number_of("HIGHESTMODSEQ", status)
    # Nothing went, or nobody asked to know: RFC 7162 section 3.2.7. CLOSE must not say it.
    assert raw.ask("EXPUNGE") == [b"OK EXPUNGE done"]
    other.ask("STORE 1 +FLAGS (\\Deleted)")
    assert b"HIGHESTMODSEQ" not in other.ask("EXPUNGE")[-1]
    raw.ask("UID STORE 5 +FLAGS (\\Deleted)")
    assert b"HIGHESTMODSEQ" not in raw.ask("CLOSE")[-1]


def test_the_modseq_of_a_search_is_of_what_it_tells(mail):
    raw, _ = begin(mail, 3, enable="CONDSTORE")
    for number in (3, 1, 2):
        raw.ask(f"STORE {number} +FLAGS (\\Seen)")
    of = [number_of("MODSEQ", raw.ask(f"FETCH {number} MODSEQ")) for number in (1, 2, 3)]
    assert of[2] < of[0] < of[1]
    for wanted, modseq in (("MIN", of[0]), ("MAX", of[2]), ("MIN MAX", of[0]), ("SAVE MIN", of[0]),
                           ("MIN COUNT", of[1]), ("ALL", of[1]), ("", of[1])):
        answer = raw.ask(f"SEARCH RETURN ({wanted}) MODSEQ 1")
        assert number_of("MODSEQ", answer) == modseq, (wanted, answer)


def test_a_store_that_came_too_late_is_told_what_there_is(mail):
    raw, selected = begin(mail, 2)
    raw.ask("STORE 1 +FLAGS (\\Seen)")
    answer = raw.ask(f"STORE 1:2 (UNCHANGEDSINCE {number_of('HIGHESTMODSEQ', selected)}) +FLAGS (x)")
    assert answer[-1].startswith(b"OK [MODIFIED 1]"), answer
    told = [line for line in answer if line.startswith(b"* 1 FETCH (")]
    assert len(told) == 1 and b"FLAGS (\\Seen)" in told[0] and b"MODSEQ (" in told[0], answer
    # What another did is told once, by the command's own news.
    other = mail.raw()
    other.ask("SELECT box")
    modseq = number_of("MODSEQ", raw.ask("FETCH 1 MODSEQ"))
    other.ask("STORE 1 +FLAGS (\\Answered)")
    answer = raw.ask(f"STORE 1 (UNCHANGEDSINCE {modseq}) +FLAGS.SILENT (x)")
    assert len([line for line in answer if line.startswith(b"* 1 FETCH (")]) == 1, answer


def test_names_that_cannot_be_are_refused(mail):
    raw = mail.raw()
    raw.append()
    for name in ('""', '"&"', '"&AGE-"', '"a\tb"'):
        for command in ("CREATE {}", "SELECT {}", "DELETE {}", "RENAME {} x", "RENAME INBOX {}", "SUBSCRIBE {}",
                        "STATUS {} (MESSAGES)", "APPEND {} {{4+}}\r\nx: y"):
            answer = raw.ask(command.format(name))
            assert answer[-1].startswith(b"NO [CANNOT]"), (command, name, answer)
    assert raw.ask("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 1)"
    # RFC 9051 section 5.1: INBOX is that in any case, and so is what is below it.
    assert raw.ask("CREATE inbox/below")[-1].startswith(b"OK")
    assert raw.ask('LIST "" "iNbOx*"')[:-1] == [b'* LIST (\\HasChildren) "/" INBOX',
                                               b'* LIST (\\HasNoChildren) "/" INBOX/below']
    assert raw.ask("SELECT Inbox/below")[-1].startswith(b"OK")


def test_who_deletes_what_it_has_selected_has_none_selected(mail):
    raw, _ = begin(mail, 1)
    other = mail.raw()
    other.ask("SELECT box")
    assert raw.ask("DELETE box")[-1].startswith(b"OK")
    assert raw.ask("FETCH 1 FLAGS")[-1].startswith(b"BAD")
    assert raw.ask("SELECT INBOX")[-1].startswith(b"OK")
    other.send("a NOOP\r\n")
    assert other.line().startswith(b"* BYE [UNAVAILABLE]") and other.is_closed()


def test_a_refusal_says_what_was_not_understood(mail):
    raw, _ = begin(mail, 1)
    for command, told in (
            ("FETCH 1 (FLAGS FOO BAR)", "FOO BAR)"), ("FETCH 1 BODY[HEADER.FIELDS ()]", ")]"),
            ("FETCH 1", "too early"), ("FETCH 2 FLAGS", "no message of that number"),
            ("UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "QRESYNC"),
            ("SEARCH SEEN FOO", "FOO"), ("SEARCH 2", "no message of that number"),
            ("SEARCH ON 31-Feb-2020", "31-Feb-2020"), ("SEARCH FROM", "too early"),
            ("STORE 1 +FLAGS (\\Recent)", "(\\Recent)"), ("STORE 9 FLAGS ()", "no message of that number"),
            ("SORT (FOO) UTF-8 ALL", "FOO"), ("COPY 2 INBOX", "no message of that number"),
            ("STATUS INBOX (FOO)", "FOO"), ('LIST (RECURSIVEMATCH) "" "*"', "RECURSIVEMATCH"),
            ('LIST "" "*" RETURN (FOO)', "FOO"), ("SELECT INBOX (FOO)", "FOO"),
            ("SELECT INBOX (QRESYNC (1 1))", "ENABLE QRESYNC")):
        answer = raw.ask(command)
        assert answer[-1].startswith(b"BAD [CLIENTBUG] ") and told.encode() in answer[-1], (command, answer)
        assert raw.ask("SEARCH ALL")[-1].startswith(b"OK")
    for _ in range(19):  # of which 20 in a row are the end
        assert raw.ask("FOO")[-1] == b"BAD [CLIENTBUG] There is no such command"
    assert raw.ask('LIST "" (' + "x " * 64 + "x)")[-1].startswith(b"NO [LIMIT]")
    utf8 = mail.raw()
    utf8.ask("ENABLE UTF8=ACCEPT")
    utf8.ask("SELECT INBOX")
    assert b"CHARSET" in utf8.ask("SEARCH CHARSET UTF-8 ALL")[-1]


def test_an_append_that_cannot_be_does_not_ask_for_its_message(mail):
    raw, _ = begin(mail, 1)
    for announced, answer in (("APPEND INBOX (\\Foo) {9}", b"BAD"), ("APPEND {5+}\r\nINBOX (\\Foo) {9}", b"BAD"),
                              ('APPEND INBOX "32-Jan-2020 00:00:00 +0000" {300000}', b"BAD"),
                              ("APPEND INBOX CATENATE (TEXT {9}", b"BAD"), ('APPEND "&" {300000}', b"NO [CANNOT]"),
                              ("REPLACE 1 box (\\Foo) {9}", b"BAD"), ('UID REPLACE 1 "" {9}', b"NO [CANNOT]")):
        assert raw.ask(announced)[-1].startswith(answer), announced
    raw.send("a APPEND {5}\r\n")
    assert raw.line().startswith(b"+")
    raw.send("INBOX {4}\r\n")
    assert raw.line().startswith(b"+")
    raw.send("x: y\r\n")
    assert raw.until(b"a ")[-1].startswith(b"OK [APPENDUID")


def test_parents_of_what_is_only_subscribed_are_told_to_who_asks(mail):
    raw = mail.raw()
    for name in ("a/b/c", "a/d"):
        raw.ask(f"SUBSCRIBE {name}")
    assert raw.ask('LIST (SUBSCRIBED RECURSIVEMATCH) "" %')[:-1] == [
        b'* LIST (\\NonExistent \\HasNoChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))']
    assert raw.ask('LSUB "" %')[:-1] == [b'* LSUB (\\Noselect) "/" a']
    assert raw.ask('LIST "" a*') == [b"OK LIST done"]
    raw.ask("SUBSCRIBE e/b")
    raw.ask("CREATE e/d")
    assert raw.ask('LIST "" e*')[:-1] == [b'* LIST (\\Noselect \\HasChildren) "/" e', b'* LIST (\\HasNoChildren) "/" e/d']
    raw.ask("CREATE a/d")
    assert raw.ask('LIST "" a*')[:-1] == [b'* LIST (\\Noselect \\HasChildren) "/" a', b'* LIST (\\HasNoChildren) "/" a/d']


def test_notify_tells_the_modseq_of_where_flags_are_watched(mail):
    raw, _ = begin(mail, 1)
    raw.ask("SELECT INBOX")
    told = raw.ask("NOTIFY SET STATUS (MAILBOXES box (MessageNew MessageExpunge FlagChange))")[0]
    assert number_of("HIGHESTMODSEQ", [told]) == number_of("HIGHESTMODSEQ", raw.ask("STATUS box (HIGHESTMODSEQ)")[1:])
    assert b"HIGHESTMODSEQ" not in mail.raw().ask("NOTIFY SET STATUS (MAILBOXES box (MessageNew MessageExpunge))")[0]


def test_keywords_that_have_no_room(mail):
    raw, _ = begin(mail, 1)
    raw.ask("STORE 1 -FLAGS (never)")
    assert not any(b"never" in line for line in raw.ask("SELECT box"))
    raw.ask("STORE 1 +FLAGS (" + " ".join(f"k{i}" for i in range(59)) + ")")
    assert raw.ask("STORE 1 +FLAGS (one)")[-1].startswith(b"NO [LIMIT]")
    assert raw.ask("STORE 1 -FLAGS (one k1)")[-1].startswith(b"OK")
    for _ in range(3):
        many = b" (two) {4+}\r\nx: y" + b" {4+}\r\nx: y" * 50
        assert raw.ask(b"APPEND box {4+}\r\nx: y" + many)[-1].startswith(b"NO [LIMIT]")
        assert raw.ask(b"APPEND box" + many)[-1].startswith(b"NO [LIMIT]")
    assert raw.ask("STATUS box (MESSAGES)")[0] == b"* STATUS box (MESSAGES 1)"
    left = [path for path in mail.relay.state_dir.glob("mail/b.example/anna/**/tmp/*") if path.is_file()]
    assert not left, left


def test_charsets_that_are_listed_are_taken(mail):
    raw, _ = begin(mail, 1)
    answer = raw.ask("SEARCH CHARSET X-NONE TEXT x")[-1]
    assert answer.startswith(b"NO [BADCHARSET (UTF-8 US-ASCII ")
    for name in answer.split(b"(")[1].split(b")")[0].split():
        assert raw.ask(b"SEARCH CHARSET %s ALL" % name) == [b"* SEARCH 1", b"OK SEARCH done"], name


def test_who_is_told_news_is_not_silent(stage):
    mail = Mail(stage, imap="{idle_timeout: 12s}")
    raw, _ = begin(mail)
    raw.send("i IDLE\r\n")
    assert raw.line() == b"+ idling\r\n"
    time.sleep(6)
    mail.raw().append(mailbox="box")
    assert raw.line() == b"* 1 EXISTS\r\n"
    told = time.monotonic()
    assert raw.line() == b"* 0 RECENT\r\n"
    assert raw.line().startswith(b"* BYE Autologout") and raw.is_closed()
    assert time.monotonic() - told > 8  # where silence had gone on: 6 at most
