"""NOTIFY (RFC 5465): what one session does, another is told of while it waits for nothing."""

import pytest
from test_imap import MESSAGE, Mail

ALL = "MessageNew MessageExpunge FlagChange"


@pytest.fixture
def mail(stage):
    return Mail(stage)


def pair(mail, *enabled):
    """Who is told, and who does it."""
    told, doer = mail.raw(), mail.raw()
    for name in enabled:
        told.ask(f"ENABLE {name}")
    return told, doer


def lines(raw, count):
    return [raw.line().rstrip(b"\r\n") for _ in range(count)]


def quiet(raw):
    """Nothing more has come: what comes first is the answer."""
    answer = raw.ask("GETQUOTA none")
    assert len(answer) == 1 and answer[0].startswith(b"NO"), answer


def test_the_selected_mailbox_is_told_at_once(mail):
    told, doer = pair(mail)
    assert b" NOTIFY" in told.ask("CAPABILITY")[0]
    doer.append()
    told.ask("SELECT INBOX")
    doer.ask("SELECT INBOX")
    doer.append()
    answer = told.ask(f"NOTIFY SET (SELECTED (MessageNew (UID BODY.PEEK[HEADER.FIELDS (FROM)]) "
                      "MessageExpunge FlagChange))")
    assert b"* 2 EXISTS" in answer and answer[-1].startswith(b"OK"), "it is a NOOP"
    assert told.line().startswith(b"* 2 FETCH (UID 2 BODY[")
    doer.append()
    assert lines(told, 2) == [b"* 3 EXISTS", b"* 0 RECENT"]
    fetched = told.line()
    assert fetched.startswith(b"* 3 FETCH (UID 3 BODY[HEADER.FIELDS (FROM)] {") and (
        b"From: Bob" in fetched)
    doer.ask("STORE 3 +FLAGS (\\Flagged)")
    assert lines(told, 1) == [b"* 3 FETCH (UID 3 FLAGS (\\Flagged))"]
    doer.ask("STORE 1 +FLAGS (\\Deleted)")
    assert lines(told, 1) == [b"* 1 FETCH (UID 1 FLAGS (\\Deleted))"]
    doer.ask("EXPUNGE")
    assert lines(told, 1) == [b"* 1 EXPUNGE"]
    # what it does itself it is not told of with items
    answer = told.append()
    assert b"* 3 EXISTS" in answer
    quiet(told)
    # in IDLE as between commands
    told.send(b"i IDLE\r\n")
    assert told.line().startswith(b"+")
    doer.append()
    assert lines(told, 2) == [b"* 4 EXISTS", b"* 0 RECENT"]
    assert told.line().startswith(b"* 4 FETCH (UID 5 BODY[")
    told.send(b"DONE\r\n")
    assert told.line().startswith(b"i OK")
    # half a command is not interrupted
    told.send(b"x NO")
    doer.append()
    told.send(b"OP\r\n")
    assert b"* 5 EXISTS" in told.until(b"x ")
    assert told.line().startswith(b"* 5 FETCH (UID 6 ")


def test_messages_that_go_wait_where_they_are_to(mail):
    told, doer = pair(mail)
    for _ in range(3):
        doer.append()
    for raw in told, doer:
        raw.ask("SELECT INBOX")
    assert told.ask("NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge))")[-1].startswith(
        b"OK")
    doer.ask("STORE 1 +FLAGS (\\Deleted)")
    doer.ask("EXPUNGE")
    doer.append()
    assert lines(told, 2) == [b"* 4 EXISTS", b"* 0 RECENT"], "flags were not asked for"
    assert b"* 1 EXPUNGE" not in told.ask("FETCH 2 UID")
    assert told.ask("NOOP")[0] == b"* 1 EXPUNGE"
    doer.ask("STORE 1 +FLAGS (\\Deleted)")
    doer.ask("EXPUNGE")
    told.send(b"i IDLE\r\n")
    assert told.line().startswith(b"+") and told.line() == b"* 1 EXPUNGE\r\n"
    told.send(b"DONE\r\n")
    assert told.line().startswith(b"i OK")


def test_none_is_a_snapshot(mail):
    told, doer = pair(mail)
    for _ in range(3):
        doer.append()
    for raw in told, doer:
        raw.ask("SELECT INBOX")
    for command in "NOTIFY NONE", "NOTIFY SET (SELECTED NONE)", "NOTIFY SET (PERSONAL NONE)":
        assert told.ask(command)[-1].startswith(b"OK"), command
    doer.ask("STORE 1 +FLAGS (\\Deleted)")
    doer.ask("EXPUNGE")
    doer.append()
    assert told.ask("NOOP") == [b"OK Done"]
    assert told.ask("FETCH 1:3 UID")[:2] == [b"* 2 FETCH (UID 2)", b"* 3 FETCH (UID 3)"]
    told.ask("STORE 2 +FLAGS.SILENT (\\Deleted)")
    answer = told.ask("EXPUNGE")
    assert answer[:2] == [b"* 1 EXPUNGE", b"* 1 EXPUNGE"] and b"EXISTS" not in b"".join(answer)
    assert b"* 2 EXISTS" in told.ask(f"NOTIFY SET (SELECTED ({ALL}))")


def test_other_mailboxes_are_told_by_status(mail):
    told, doer = pair(mail)
    for name in "Lists", "Lists/One", "misc", "other":
        doer.ask(f"CREATE {name}")
    doer.append(mailbox="Lists/One")
    doer.ask("SELECT Lists/One")
    answer = told.ask("NOTIFY SET STATUS (SELECTED (MessageNew MessageExpunge)) "
                      f"(SUBTREE Lists ({ALL})) (MAILBOXES (misc none) "
                      "(MessageNew MessageExpunge))")
    assert sorted(line.split(b" (")[0] for line in answer[:-1]) == [
        b"* STATUS Lists", b"* STATUS Lists/One", b"* STATUS misc"]
    assert [line for line in answer if b"One" in line][0].startswith(
        b"* STATUS Lists/One (MESSAGES 1 UIDNEXT 2 HIGHESTMODSEQ ")  # where flags are watched: section 3.1
    doer.append(mailbox="other")
    doer.append(mailbox="misc")
    assert told.line().startswith(b"* STATUS misc (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ")
    doer.ask("STORE 1 +FLAGS (\\Flagged)")
    doer.ask("STORE 1 +FLAGS (\\Seen)")
    assert told.line().startswith(b"* STATUS Lists/One (UNSEEN 0 UIDVALIDITY ")
    doer.ask("STORE 1 +FLAGS (\\Deleted)")
    doer.ask("EXPUNGE")
    assert told.line().startswith(b"* STATUS Lists/One (MESSAGES 0 UIDNEXT 2 ")
    # a mailbox that is selected is told as that
    told.ask("SELECT misc")
    doer.append(mailbox="misc")
    assert lines(told, 2) == [b"* 2 EXISTS", b"* 0 RECENT"]
    told.ask("UNSELECT")
    # mailboxes that come are looked at, and those that are called otherwise
    doer.ask("CREATE Lists/Two")
    doer.append(mailbox="Lists/Two")
    assert told.line().startswith(b"* STATUS Lists/Two (MESSAGES 1 ")
    doer.ask("RENAME Lists/Two misc2")
    doer.append(mailbox="misc2")
    doer.ask("CREATE none")
    doer.append(mailbox="none")
    assert told.line().startswith(b"* STATUS none (MESSAGES 1 ")
    quiet(told)
    told.ask("NOTIFY NONE")
    doer.append(mailbox="none")
    quiet(told)


def test_modseqs_are_told_where_they_are_enabled(mail):
    told, doer = pair(mail, "CONDSTORE")
    doer.append()
    doer.ask("SELECT INBOX")
    answer = told.ask(f"NOTIFY SET STATUS (INBOXES ({ALL}))")
    assert b"HIGHESTMODSEQ" in answer[0]
    doer.ask("STORE 1 +FLAGS (\\Flagged)")
    assert told.line().startswith(b"* STATUS INBOX (HIGHESTMODSEQ ")
    told, doer = pair(mail, "QRESYNC")
    for raw in told, doer:
        raw.ask("SELECT INBOX")
    told.ask("NOTIFY SET (SELECTED (MessageNew (FLAGS) MessageExpunge))")
    doer.ask("STORE 1 +FLAGS (\\Deleted)")
    doer.ask("EXPUNGE")
    assert told.line() == b"* VANISHED 1\r\n"
    doer.append()
    assert told.line() == b"* 1 EXISTS\r\n"
    told.line()
    assert told.line().startswith(b"* 1 FETCH (FLAGS () UID 2"), "with its UID"


def test_names_subscriptions_and_annotations_are_told(mail):
    told, doer = pair(mail)
    doer.ask("CREATE a")
    told.ask("NOTIFY SET (PERSONAL (MailboxName SubscriptionChange MailboxMetadataChange "
             "ServerMetadataChange))")
    rows = [
        ("CREATE a/b", [b'* LIST (\\HasNoChildren) "/" a/b', b'* LIST (\\HasChildren) "/" a']),
        ("SUBSCRIBE a/b", [b'* LIST (\\HasNoChildren \\Subscribed) "/" a/b']),
        ("UNSUBSCRIBE a/b", [b'* LIST (\\HasNoChildren) "/" a/b']),
        ("SUBSCRIBE gone", [b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" gone']),
        ("RENAME a/b c&-", [b'* LIST (\\HasNoChildren) "/" c&- ("OLDNAME" (a/b))']),
        ("DELETE c&-", [b'* LIST (\\NonExistent \\HasNoChildren) "/" c&-']),
        ("DELETE a", [b'* LIST (\\NonExistent \\HasNoChildren) "/" a']),
        ("CREATE Sent", [b'* LIST (\\HasNoChildren \\Sent) "/" Sent']),
        ("RENAME INBOX old", [b'* LIST (\\HasNoChildren) "/" old ("OLDNAME" (INBOX))']),
        ('SETMETADATA INBOX (/private/comment "x" /shared/comment NIL)',
         [b"* METADATA INBOX /private/comment", b"* METADATA INBOX /shared/comment"]),
        ('SETMETADATA "" (/private/comment "x")', [b'* METADATA "" /private/comment']),
    ]
    for command, expected in rows:
        assert doer.ask(command)[-1].startswith(b"OK"), command
        assert lines(told, len(expected)) == expected, command
    for command in "CREATE mine", "SUBSCRIBE mine", "DELETE mine", "DELETE none":
        assert len(told.ask(command)) == 1, command
    quiet(told)
    told.ask("NOTIFY SET (MAILBOXES (x) (MailboxName)) (SUBSCRIBED (SubscriptionChange))")
    for command in "CREATE y", "CREATE x/y", "UNSUBSCRIBE gone", "CREATE x":
        doer.ask(command)
    assert lines(told, 3) == [
        b'* LIST (\\NonExistent \\HasChildren) "/" x',
        b'* LIST (\\NonExistent \\HasNoChildren) "/" gone',
        b'* LIST (\\HasChildren) "/" x']
    quiet(told)


def test_mail_that_others_file_is_told_of(mail):
    told, doer = pair(mail)
    doer.ask("CREATE a")
    told.ask("NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")
    new = mail.relay.state_dir / "mail/b.example/anna/.a/new"
    (new / "1780000000.M1P1.other").write_bytes(MESSAGE)
    assert told.line().startswith(b"* STATUS a (MESSAGES 1 ")


def test_what_is_too_much_and_what_is_wrong(mail):
    told, doer = pair(mail)
    rows = {
        "NOTIFY": b"BAD",
        "NOTIFY SET": b"BAD",
        "NOTIFY NONE x": b"BAD",
        "NOTIFY SET (SELECTED (MessageNew))": b"BAD",
        "NOTIFY SET (SELECTED (MessageExpunge))": b"BAD",
        "NOTIFY SET (PERSONAL (FlagChange))": b"BAD",
        "NOTIFY SET (SELECTED (MailboxName))": b"BAD",
        "NOTIFY SET (SELECTED NONE) (SELECTED-DELAYED NONE)": b"BAD",
        "NOTIFY SET (PERSONAL (MessageNew (UID) MessageExpunge))": b"BAD",
        "NOTIFY SET (MAILBOXES (MessageNew MessageExpunge))": b"BAD",
        "NOTIFY SET (FOO NONE)": b"BAD",
        f"NOTIFY SET (SELECTED ({ALL} AnnotationChange))":
            b"NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange "
            b"MailboxMetadataChange ServerMetadataChange)]",
        "NOTIFY SET (PERSONAL (X-Event))": b"NO [BADEVENT (",
        "notify set (mailboxes nowhere (messagenew messageexpunge))": b"OK",
    }
    for command, expected in rows.items():
        assert told.ask(command)[-1].startswith(expected), command
    for number in range(256):
        doer.ask(f"CREATE m/{number}")
    told = mail.raw()
    assert told.ask("NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")[-1].startswith(
        b"NO [NOTIFICATIONOVERFLOW]")
    doer.ask("DELETE m/0")
    assert told.ask("NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")[-1].startswith(b"OK")
    doer.ask("CREATE one-more")
    assert told.line().startswith(b"* OK [NOTIFICATIONOVERFLOW]")
    doer.append()
    quiet(told)


def test_a_session_that_leaves_is_watched_no_more(mail):
    for _ in range(5):
        told = mail.raw()
        told.ask("SELECT INBOX")
        told.ask(f"NOTIFY SET (SELECTED ({ALL})) (PERSONAL ({ALL} MailboxName))")
        told.close()
    doer = mail.raw()
    for number in range(20):
        assert doer.append(MESSAGE)[-1].startswith(b"OK")
        assert doer.ask(f"CREATE n{number}")[-1].startswith(b"OK")
    assert doer.ask("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES 20)"
