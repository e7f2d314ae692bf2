"""Mailboxes for their users: IMAP by clients of others, and by bytes that no client sends."""

import base64
import imaplib
import json
import os
import random
import socket
import ssl
import subprocess
import time

import certificates
import parts
import pytest

MESSAGE = (b"From: Bob <bob@a.example>\r\nTo: anna@b.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
           b"Date: Mon, 2 Mar 2026 10:00:00 +0100\r\nMessage-ID: <1@a.example>\r\n"
           b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
           b"--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello w\xc3\xb6rld\r\n"
           b"--x\r\nContent-Type: application/octet-stream\r\n"
           b"Content-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--x--\r\n")


class Mail:
    """A relay that serves mailboxes, without TLS and, where asked for, with it."""

    def __init__(self, stage, tls=None, **settings):
        self.port, self.tls_port = parts.free_ports(2)
        listeners = [f'{{address: "127.0.0.1:{self.port}", service: imap'
                     + (", tls: starttls}" if tls else "}")]
        if tls:
            listeners.append(f'{{address: "127.0.0.1:{self.tls_port}", service: imap, '
                             'tls: implicit}')
        settings.setdefault("auth", '{plaintext: ["127.0.0.0/8"], failures_per_session: 2}')
        if tls:
            settings["tls"] = tls
        self.relay = stage.ringpost(listeners="[" + ", ".join(listeners) + "]", **settings)
        self.cli = self.relay.cli
        self.cli("tenant", "add", "shop")
        self.cli("domain", "add", "shop", "b.example", "--active", "--hosted")
        self.user = "anna@b.example"
        self.add(self.user)

    def add(self, address, *options):
        self.cli("account", "add", address, *options)
        made = self.cli("credential", "add", "shop", "--account", address, "--scope", "mail",
                        "--json")
        self.secret = json.loads(made.stdout)["secret"]
        if "0.0/8" in self.relay.settings["auth"]:
            parts.wait_for(self.can_log_in, "the account")
        else:
            time.sleep(1.5)

    def can_log_in(self):
        raw = Raw(self.port)
        return raw.ask(f"LOGIN {self.user} {self.secret}")[-1].startswith(b"OK")

    def client(self):
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=30)
        client.login(self.user, self.secret)
        return client

    def raw(self, login=True):
        raw = Raw(self.port)
        if login:
            assert raw.ask(f"LOGIN {self.user} {self.secret}")[-1].startswith(b"OK"), "login"
        return raw


class Raw:
    """Bytes as they are."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")
        self.tags = 0
        self.greeting = self.line()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        line = self.file.readline()
        while line.endswith(b"}\r\n") and line.rsplit(b"{", 1)[-1][:-3].isdigit():
            line += self.file.read(int(line.rsplit(b"{", 1)[-1][:-3])) + self.file.readline()
        return line

    def ask(self, command):
        """Untagged lines, then what stands behind the tag."""
        self.tags += 1
        tag = f"t{self.tags} ".encode()
        self.send(tag + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.until(tag)

    def until(self, tag):
        lines = []
        while True:
            line = self.line()
            if line.startswith(tag):
                return lines + [line[len(tag):].rstrip(b"\r\n")]
            assert line, lines
            lines.append(line.rstrip(b"\r\n"))

    def append(self, message=MESSAGE, mailbox="INBOX", more=""):
        return self.ask(f"APPEND {mailbox} {more}{{{len(message)}+}}\r\n".encode() + message)

    def is_closed(self):
        return self.file.read() == b""

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.fixture
def mail(stage):
    return Mail(stage)


def test_login_and_its_refusals(mail):
    raw = mail.raw(login=False)
    assert b"CAPABILITY IMAP4rev1" in raw.greeting and b"AUTH=PLAIN" in raw.greeting
    assert raw.ask("SELECT INBOX")[-1].startswith(b"BAD")
    assert raw.ask(f"LOGIN {mail.user} wrong")[-1].startswith(b"NO [AUTHENTICATIONFAILED]")
    plain = base64.b64encode(f"\0{mail.user}\0{mail.secret}".encode()).decode()
    assert raw.ask(f"AUTHENTICATE PLAIN {plain}")[-1].startswith(b"OK [CAPABILITY ")
    assert raw.ask("LOGIN a b")[-1].startswith(b"BAD")
    raw = mail.raw(login=False)
    raw.send("a AUTHENTICATE PLAIN\r\n")
    assert raw.line() == b"+ \r\n"
    raw.send(plain + "\r\n")
    assert raw.line().startswith(b"a OK")
    raw = mail.raw(login=False)
    for _ in range(2):
        assert raw.ask("LOGIN anna@b.example x")[-1].startswith(b"NO")
    assert raw.line().startswith(b"* BYE") and raw.is_closed()
    listed = json.loads(mail.cli("credential", "list", "shop", "--json").stdout.splitlines()[0])
    assert listed
    assert mail.secret not in mail.relay.log.read_text(errors="replace")


def test_a_revoked_login_is_over_in_its_sessions(mail):
    """At the next command, and before IDLE or NOTIFY tell more."""
    asks, idles, notified = mail.raw(), mail.raw(), mail.raw()
    assert notified.ask("NOTIFY SET (SELECTED (MessageNew (BODY[]) MessageExpunge))")[-1].startswith(
        b"OK")
    for raw in asks, idles, notified:
        raw.ask("SELECT INBOX")
    idles.send("i IDLE\r\n")
    assert idles.line() == b"+ idling\r\n"
    old = mail.secret
    made = mail.cli("credential", "add", "shop", "--account", mail.user, "--scope", "mail", "--json")
    mail.secret = json.loads(made.stdout)["secret"]
    mail.cli("credential", "revoke", old)
    parts.wait_for(mail.can_log_in, "the new credential")
    asks.send("a NOOP\r\n")
    while (line := asks.line()).startswith(b"a OK"):  # it is live within a second
        asks.send("a NOOP\r\n")
    assert line.startswith(b"* BYE [EXPIRED]") and asks.is_closed()
    mail.raw().append()
    for raw in idles, notified:
        assert raw.line().startswith(b"* BYE [EXPIRED]") and raw.is_closed()


def test_a_credential_without_the_scope_is_refused(mail):
    made = json.loads(mail.cli("credential", "add", "shop", "--account", mail.user, "--scope",
                               "submit", "--json").stdout)
    time.sleep(1.5)
    raw = mail.raw(login=False)
    assert raw.ask(f"LOGIN {mail.user} {made['secret']}")[-1].startswith(b"NO")
    assert "unusable=scope" in mail.relay.log.read_text()


def test_messages_are_kept_as_they_came(mail):
    with mail.client() as client:
        assert client.select("INBOX") == ("OK", [b"0"])
        status, (answer,) = client.append("INBOX", "(\\Flagged $Work)", None, MESSAGE)
        assert status == "OK" and b"APPENDUID" in answer
        assert client.noop()[0] == "OK"
        status, found = client.fetch("1:*", "(FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
        assert status == "OK" and found[0][1] == MESSAGE, found
        head = found[0][0]
        assert b"FLAGS (\\Flagged $Work)" in head and b"RFC822.SIZE %d" % len(MESSAGE) in head
        assert b'"<1@a.example>"' in head and b'"bob" "a.example"' in head
        assert b'("text" "plain" ("charset" "utf-8")' in head and b'"mixed"' in head, head
        assert client.fetch("1", "(BODY.PEEK[1])")[1][0][1] == "hello wörld".encode()
        fields = client.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1]
        assert fields == b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"
        assert b"\\Seen" not in client.fetch("1", "(FLAGS)")[1][0]
        client.fetch("1", "(BODY[TEXT])")
        assert b"\\Seen" in client.fetch("1", "(FLAGS)")[1][0]


def test_sections_partials_and_binary(mail):
    raw = mail.raw()
    raw.append()
    raw.ask("SELECT INBOX")
    body = MESSAGE.split(b"\r\n\r\n", 1)[1]
    rows = {
        "BODY.PEEK[TEXT]": b"BODY[TEXT] {%d}\r\n" % len(body) + body,
        "BODY.PEEK[]<0.4>": b"BODY[]<0> {4}\r\nFrom",
        "BODY.PEEK[]<9999.4>": b"BODY[]<9999> {0}\r\n",
        "BODY.PEEK[2]": b"BODY[2] {8}\r\nAAECAw==",
        "BODY.PEEK[9]": b"BODY[9] NIL",
        "BINARY.PEEK[2]": b"BINARY[2] ~{4}\r\n\x00\x01\x02\x03",
        "BINARY.PEEK[2]<1.2>": b"BINARY[2]<1> ~{2}\r\n\x01\x02",
        "BINARY.SIZE[2]": b"BINARY.SIZE[2] 4",
        "BODY.PEEK[2.MIME]": b"BODY[2.MIME] {",
        "RFC822.HEADER": b"RFC822.HEADER {",
        "PREVIEW": b"PREVIEW {",
        "SAVEDATE": b'SAVEDATE "',
        "EMAILID": b"EMAILID (E",
        "THREADID": b"THREADID NIL",
    }
    for item, expected in rows.items():
        answer = raw.ask(f"FETCH 1 ({item})")
        assert b"* 1 FETCH (" + expected in b"\r\n".join(answer), (item, answer)
        assert answer[-1].startswith(b"OK")
    assert b"\\Seen" not in raw.ask("FETCH 1 FLAGS")[0]
    assert raw.ask("FETCH 2 FLAGS")[-1].startswith(b"BAD")
    assert raw.ask("UID FETCH 999 FLAGS") == [b"OK FETCH done"]
    for item in "BODY[", "BODY[0]", "BODY[MIME]", "BODY[]<0.0>", "FOO", "(FLAGS", "BINARY[TEXT]":
        assert raw.ask(f"FETCH 1 {item}")[-1].startswith(b"BAD"), item


def test_lines_that_end_in_lf_alone_are_served_as_they_should_be(mail):
    raw = mail.raw()
    assert raw.append(b"Subject: x\n\nhello\nworld\r\n")[-1].startswith(b"OK")
    new = mail.relay.state_dir / "mail/b.example/anna/new"
    (new / "1780000000.M1P1.other").write_bytes(b"Subject: y\n\n" + b"z" * 100000 + b"\nend\n")
    raw.ask("SELECT INBOX")
    whole = b"Subject: x\r\n\r\nhello\r\nworld\r\n"
    answer = raw.ask("FETCH 1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER])")
    assert answer[0] == (b"* 1 FETCH (RFC822.SIZE 28 BODY[] {28}\r\n" + whole
                         + b" BODY[HEADER] {14}\r\nSubject: x\r\n\r\n)"), answer
    answer = raw.ask("FETCH 2 (RFC822.SIZE BODY.PEEK[]<100000.40> BODYSTRUCTURE)")
    assert answer[0].startswith(b"* 2 FETCH (RFC822.SIZE 100021 BODY[]<100000> {21}\r\nzzzzzzzz")
    assert b'"7bit" 100007 2 ' in answer[0], answer
    head = b"Subject: big\r\n\r\n"
    raw.append(head + b"y" * 200000)
    answer = raw.ask("FETCH 3 (BODY.PEEK[HEADER] BODY.PEEK[TEXT]<199990.99>)")
    assert answer[0] == (b"* 3 FETCH (BODY[HEADER] {16}\r\n" + head
                         + b" BODY[TEXT]<199990> {10}\r\n" + b"y" * 10 + b")"), answer


LF_HEADS = (b"Subject: x\n\n", b"\n", b"From: a@b\nno field\nSender:\nTo: G: c@d;\n\n", b"Subject: no empty line\n",
            b"To: " + b"someone.with.a.name@example.net,\n " * 1500 + b"x@y\n\n", b"X: " + b"y" * 40000 + b"\nSubject: z\n\n")


def test_headers_of_files_in_lf_are_those_of_the_same_in_crlf(mail):
    """Asked for in any order, so that what is kept of a message grows piece by piece."""
    raw = mail.raw()
    for head in LF_HEADS:
        for message in (head + b"hello\n", (head + b"hello\n").replace(b"\n", b"\r\n")):
            assert raw.append(message)[-1].startswith(b"OK")
    items = ("ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (SUBJECT TO)]", "BODY.PEEK[]")
    for order in ((0, 1, 3, 2, 4), (3, 0, 1, 4, 2), (1, 3, 2, 0, 4), (4, 2, 1, 0, 3), (1, 0, 1, 0, 3)):
        assert raw.ask("UNSELECT")[-1][:2] in (b"OK", b"NO", b"BA")
        cache = mail.relay.state_dir / "mail/b.example/anna/ringpost.cache"
        if cache.exists():
            mail.relay.stop()
            cache.unlink()
            mail.relay.start()
            raw = mail.raw()
        raw.ask("SELECT INBOX")
        for item in order:
            for number in range(1, 2 * len(LF_HEADS), 2):
                answers = [raw.ask(f"FETCH {number + twin} ({items[item]})")[0].split(b" FETCH ", 1)[1] for twin in (0, 1)]
                assert answers[0] == answers[1], (items[item], number, order)


def test_answers_are_the_same_where_files_have_to_be_read_from_the_disk(mail):
    raw = mail.raw()
    for size in (10, 30000, 300000):
        raw.append(b"Subject: of %d\r\n\r\n" % size + b"x" * (size - 2) + b"\r\n")
        raw.append(b"Subject: of %d\n\n" % size + b"y" * (size - 1) + b"\n")
    raw.ask("SELECT INBOX")
    commands = ("FETCH 1:* (UID RFC822.SIZE BODY.PEEK[] FLAGS)", "FETCH 1:* (ENVELOPE BODYSTRUCTURE)",
                "FETCH 1:* BODY.PEEK[TEXT]<20000.100000>", "FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
                "SEARCH SUBJECT 30000", "SORT (SUBJECT) UTF-8 ALL")
    first = [raw.ask(command) for command in commands]
    for forgets in (False, True, True):
        if forgets:
            forget_files(mail.relay.state_dir / "mail/b.example/anna")
        again = [raw.ask(command) for command in commands]
        assert [lines[:-1] for lines in again] == [lines[:-1] for lines in first]


def forget_files(maildir):
    """Out of the kernel's memory, where the file system can."""
    for path in (*maildir.glob("cur/*"), *maildir.glob("new/*"), maildir / "ringpost.cache"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def test_noop_tells_what_others_dropped_just_before(mail):
    raw = mail.raw()
    raw.ask("SELECT INBOX")
    new = mail.relay.state_dir / "mail/b.example/anna/new"
    for number in range(1, 101):
        (new / f"1780000000.M{number}P1.other").write_bytes(b"Subject: y\r\n\r\nx\r\n")
        assert b"* %d EXISTS" % number in raw.ask("NOOP"), number


def test_store_copy_move_expunge(mail):
    raw = mail.raw()
    for _ in range(4):
        raw.append()
    assert raw.ask("CREATE Archive/2026")[-1].startswith(b"OK [MAILBOXID (M")
    assert b"* 4 EXISTS" in raw.ask("SELECT INBOX")
    answer = raw.ask("STORE 1:2 +FLAGS (\\Deleted $Work)")
    assert b"* 1 FETCH (FLAGS (\\Deleted $Work))" in answer, answer
    assert raw.ask("STORE 2 -FLAGS.SILENT \\Deleted") == [b"OK STORE done"]
    answer = raw.ask("COPY 2:3 Archive/2026")
    assert answer[-1].startswith(b"OK [COPYUID "), answer
    assert answer[-1].split()[3:5] == [b"2:3", b"1:2]"], answer
    assert raw.ask("COPY 1 Nowhere")[-1].startswith(b"NO [TRYCREATE]")
    assert raw.ask("EXPUNGE") == [b"* 1 EXPUNGE", b"OK EXPUNGE done"]
    answer = raw.ask("UID MOVE 4 Archive/2026")
    assert answer[0].startswith(b"* OK [COPYUID ") and answer[1] == b"* 3 EXPUNGE", answer
    raw.ask("STORE 1:* +FLAGS.SILENT \\Deleted")
    assert raw.ask("UID EXPUNGE 3") == [b"* 2 EXPUNGE", b"OK EXPUNGE done"]
    assert raw.ask("CLOSE")[-1].startswith(b"OK")
    assert b"* 0 EXISTS" in raw.ask("SELECT INBOX")
    answer = raw.ask("EXAMINE Archive/2026")
    assert b"* 3 EXISTS" in answer and answer[-1].startswith(b"OK [READ-ONLY]")
    assert raw.ask("STORE 1 +FLAGS \\Seen")[-1].startswith(b"NO")
    assert b"$Work" in raw.ask("FETCH 1 FLAGS")[0]


def test_search(mail):
    raw = mail.raw()
    raw.append(more="(\\Seen) ")
    raw.append(MESSAGE.replace(b"hello", b"goodbye").replace(b"bob", b"carol"))
    raw.append(b"Subject: plain\r\n\r\n" + b"x" * 5000 + b"\r\n")
    raw.ask("SELECT INBOX")
    rows = {
        "ALL": "1 2 3", "SEEN": "1", "UNSEEN": "2 3", "NOT SEEN": "2 3", "2:*": "2 3",
        "FROM carol": "2", "FROM CAROL": "2", "SUBJECT plain": "3", "BODY goodbye": "2",
        "TEXT carol": "2", "LARGER 4000": "3", "SMALLER 4000": "1 2", "OR SEEN SUBJECT plain": "1 3",
        "SENTON 2-Mar-2026": "1 2", "SENTBEFORE 2-Mar-2026": "", "HEADER Message-ID \"\"": "1 2",
        "HEADER MIME-Version 1.0": "1 2", "UID 3": "3", "KEYWORD $None": "", "YOUNGER 3600": "1 2 3",
        "OLDER 3600": "", "SINCE 1-Jan-2020": "1 2 3", "BEFORE 1-Jan-2020": "",
        "(SEEN) NOT (SUBJECT plain)": "1", "SAVEDATESUPPORTED": "1 2 3",
    }
    for keys, expected in rows.items():
        answer = raw.ask(f"SEARCH {keys}")
        assert answer[0] == f"* SEARCH {expected}".rstrip().encode(), (keys, answer)
    answer = raw.ask("SEARCH CHARSET UTF-8 SUBJECT {6+}\r\n".encode() + "GRÜß".encode())
    assert answer[0] == b"* SEARCH 1 2", answer
    assert raw.ask("SEARCH CHARSET X-NONE ALL")[-1].startswith(b"NO [BADCHARSET")
    answer = raw.ask("SEARCH RETURN (MIN MAX COUNT ALL) NOT SEEN")
    assert answer[0].endswith(b"MIN 2 MAX 3 COUNT 2 ALL 2:3"), answer
    assert raw.ask("UID SEARCH RETURN (SAVE) UNSEEN") == [b"OK SEARCH done"]
    assert len(raw.ask("FETCH $ UID")) == 3
    assert raw.ask("SEARCH FOO")[-1].startswith(b"BAD")
    assert raw.ask("SEARCH " + "(" * 100)[-1].startswith(b"BAD")


def test_sort_and_thread(mail):
    raw = mail.raw()
    head = "From: {0} <{0}@a.example>\r\nSubject: {1}\r\nDate: {2} Mar 2026 10:00:00 +0000\r\n"
    for name, subject, day, more in (
            ("zoe", "Re: plan", 3, "Message-ID: <b@x>\r\nReferences: <a@x>\r\n"),
            ("bob", "plan", 2, "Message-ID: <a@x>\r\n"),
            ("Anna", "other", 1, "Message-ID: <c@x>\r\n"),
            ("mia", "Fwd: plan", 4, "Message-ID: <d@x>\r\nIn-Reply-To: <b@x>\r\n")):
        text = head.format(name, subject, day) + more + "\r\n" + "x" * day + "\r\n"
        assert raw.append(text.encode())[-1].startswith(b"OK")
    raw.ask("SELECT INBOX")
    rows = {"(FROM)": "3 2 4 1", "(REVERSE FROM)": "1 4 2 3", "(DATE)": "3 2 1 4",
            "(SUBJECT REVERSE DATE)": "3 4 1 2", "(ARRIVAL)": "1 2 3 4", "(DISPLAYFROM)": "3 2 4 1"}
    for how, expected in rows.items():
        assert raw.ask(f"SORT {how} UTF-8 ALL")[0] == f"* SORT {expected}".encode(), how
    assert raw.ask("UID SORT (DATE) UTF-8 SUBJECT other")[0] == b"* SORT 3"
    assert raw.ask("SORT (DATE) X-NONE ALL")[-1].startswith(b"NO [BADCHARSET")
    for bad in "SORT () UTF-8 ALL", "SORT (FOO) UTF-8 ALL", "SORT (DATE) ALL", "THREAD FOO UTF-8 ALL":
        assert raw.ask(bad)[-1].startswith(b"BAD"), bad
    assert raw.ask("THREAD REFERENCES UTF-8 ALL")[0] == b"* THREAD (3)(2 1 4)"
    assert raw.ask("THREAD ORDEREDSUBJECT UTF-8 ALL")[0] == b"* THREAD (3)(2 (1)(4))"
    assert raw.ask("THREAD REFERENCES UTF-8 SEEN") == [b"* THREAD", b"OK THREAD done"]


def test_sort_and_search_stay_right_while_the_mailbox_changes(mail):
    """Texts and ranks are kept and shared: what came later and what went is asked for again and
    again, by two sessions, of all and of few."""
    rng = random.Random(20261129)
    sessions = [mail.raw(), mail.raw()]
    there = {}  # UID: subject, sender, length

    def add(count):
        for _ in range(count):
            subject = " ".join(rng.choices(("alpha", "beta", "Gamma", "delta"), k=2))
            row = (subject, rng.choice(("anna", "Bob", "carol")), rng.randrange(1, 9))
            there[add.next] = row
            add.next += 1
            text = f"From: {row[1]}@a.example\r\nSubject: {subject}\r\n\r\n{'x' * row[2]}\r\n"
            assert sessions[0].append(text.encode())[-1].startswith(b"OK")
    add.next = 1

    def look(raw):
        low = rng.randrange(1, add.next)
        few = f"{low}:{low + 3}"
        for keys, uids in (("ALL", sorted(there)),
                           (f"UID {few}", [uid for uid in sorted(there) if low <= uid <= low + 3])):
            for how, key in (("SUBJECT", lambda uid: there[uid][0].lower()),
                             ("FROM", lambda uid: there[uid][1].lower())):
                expected = sorted(uids, key=key)
                told = raw.ask(f"UID SORT ({how}) UTF-8 {keys}")
                assert told[-2].split()[2:] == [b"%d" % uid for uid in expected], (how, keys)
                expected = sorted(sorted(uids, key=lambda uid: there[uid][1].lower()), key=key,
                                  reverse=True)
                told = raw.ask(f"UID SORT (REVERSE {how} FROM) UTF-8 {keys}")
                assert told[-2].split()[2:] == [b"%d" % uid for uid in expected], (how, keys)
            for word in ("alpha", "GAMMA", "a b", "neverthere"):
                told = raw.ask(f'UID SEARCH {keys} SUBJECT "{word}" NOT FROM bob')
                expected = [uid for uid in uids
                            if word.lower() in there[uid][0].lower() and there[uid][1] != "Bob"]
                assert told[-2].split()[2:] == [b"%d" % uid for uid in expected], (word, keys)
            assert raw.ask(f'UID SEARCH {keys} HEADER CC ""')[-2] == b"* SEARCH"
            told = raw.ask(f'UID SEARCH {keys} HEADER SUBJECT ""')
            assert told[-2].split()[2:] == [b"%d" % uid for uid in uids]

    add(30)
    for raw in sessions:
        raw.ask("SELECT INBOX")
    for _ in range(6):
        for raw in sessions:
            raw.ask("NOOP")
            look(raw)
        for uid in rng.sample(sorted(there), 5):
            del there[uid]
            assert sessions[1].ask(f"UID STORE {uid} +FLAGS (\\Deleted)")[-1].startswith(b"OK")
        assert sessions[1].ask("EXPUNGE")[-1].startswith(b"OK")
        add(rng.randrange(8))


def test_a_login_that_is_not_good_any_more_ends(mail):
    raw = mail.raw()
    assert raw.ask("SELECT INBOX")[-1].startswith(b"OK")
    assert raw.ask("FETCH 1:* FLAGS") == [b"OK FETCH done"]  # an empty mailbox
    mail.cli("account", "disable", mail.user)

    def told():
        raw.send("x NOOP\r\n")
        return raw.line().startswith(b"* BYE [EXPIRED]")
    parts.wait_for(told, "the end of the session")


def test_mailboxes(mail):
    raw = mail.raw()
    for name in "Gr&APYA3w-e/1", "Other":
        assert raw.ask(f"CREATE {name}")[-1].startswith(b"OK")
    answer = raw.ask('LIST "" "*"')
    assert answer[0] == b'* LIST (\\HasNoChildren) "/" INBOX'
    assert b'* LIST (\\Noselect \\HasChildren) "/" Gr&APYA3w-e' in answer, answer
    assert b'* LIST (\\HasNoChildren) "/" Other' in raw.ask('LIST "" "%"')
    raw.ask("SUBSCRIBE Gr&APYA3w-e/1")
    assert raw.ask('LSUB "" "*"')[:-1] == [b'* LSUB () "/" Gr&APYA3w-e/1']
    assert raw.ask('LSUB "" "%"')[:-1] == [b'* LSUB (\\Noselect) "/" Gr&APYA3w-e']
    assert raw.ask("RENAME Gr&APYA3w-e/1 Gr&APYA3w-e/2")[-1].startswith(b"OK")
    assert raw.ask("DELETE Other")[-1].startswith(b"OK")
    assert raw.ask("STATUS Gr&APYA3w-e/2 (MESSAGES UIDNEXT SIZE UNSEEN)")[0].endswith(
        b"(MESSAGES 0 UIDNEXT 1 UNSEEN 0 SIZE 0)")
    assert raw.ask('LIST "" ""')[0] == b'* LIST (\\Noselect) "/" ""'
    assert raw.ask("CREATE INBOX")[-1].startswith(b"NO [ALREADYEXISTS]")
    assert raw.ask("CREATE ../../etc")[-1].startswith(b"NO [CANNOT]")
    assert raw.ask("CREATE a//b")[-1].startswith(b"NO [CANNOT]")
    assert raw.ask("CREATE &AGE-")[-1].startswith(b"NO [CANNOT]")
    assert raw.ask("DELETE INBOX")[-1].startswith(b"NO")
    assert raw.ask("DELETE Nowhere")[-1].startswith(b"NO [NONEXISTENT]")
    assert raw.ask("SELECT Nowhere")[-1].startswith(b"NO [NONEXISTENT]")
    assert raw.ask("CREATE Mine (USE (\\Archive))")[-1].startswith(b"OK")
    assert raw.ask("CREATE Mine2 (USE (\\All))")[-1].startswith(b"NO [USEATTR]")
    answer = raw.ask('LIST (SPECIAL-USE) "" "*" RETURN (STATUS (MESSAGES))')
    assert b'\\Archive) "/" Mine' in b"\n".join(answer) and b"* STATUS Mine (MESSAGES 0)" in answer
    assert raw.ask('GETQUOTAROOT INBOX')[0] == b'* QUOTAROOT INBOX ""'


def test_rev2_speaks_utf8_and_esearch(mail):
    raw = mail.raw()
    assert raw.ask("ENABLE IMAP4rev2 CONDSTORE FOO")[0] == b"* ENABLED IMAP4rev2 CONDSTORE"
    assert raw.ask('CREATE "Größe"')[-1].startswith(b"OK")
    assert '* LIST (\\HasNoChildren) "/" "Größe"'.encode() in raw.ask('LIST "" "*"')
    answer = raw.ask('SELECT "Größe"')
    assert '* LIST () "/" "Größe"'.encode() in answer
    assert not any(b"RECENT" in line for line in answer)
    assert raw.ask("SEARCH ALL")[0].startswith(b"* ESEARCH (TAG ")


def test_condstore_and_qresync(mail):
    raw, other = mail.raw(), mail.raw()
    for _ in range(3):
        raw.append()
    selected = raw.ask("SELECT INBOX (CONDSTORE)")
    modseq = int(next(s for s in selected if b"HIGHESTMODSEQ" in s).split()[3].rstrip(b"]"))
    validity = next(s for s in selected if b"UIDVALIDITY" in s).split()[3].rstrip(b"]").decode()
    other.ask("SELECT INBOX")
    other.ask("STORE 1 +FLAGS.SILENT \\Flagged")
    answer = raw.ask(f"STORE 1:2 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Answered)")
    assert answer[-1].startswith(b"OK [MODIFIED 1]"), answer
    assert any(b"* 2 FETCH (MODSEQ" in line for line in answer), answer
    answer = raw.ask(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})")
    assert len([line for line in answer if b"MODSEQ" in line]) == 2, answer
    other.ask("STORE 3 +FLAGS.SILENT \\Deleted")
    other.ask("EXPUNGE")
    late = mail.raw()
    late.ask("ENABLE QRESYNC")
    answer = late.ask(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
    assert b"* VANISHED (EARLIER) 3" in answer, answer
    assert len([line for line in answer if b" FETCH (UID " in line]) == 2, answer
    other.ask("STORE 1 +FLAGS.SILENT \\Deleted")
    other.ask("EXPUNGE")
    assert b"* VANISHED 1" in late.ask("NOOP")


def test_idle_tells_of_filed_mail(mail):
    raw = mail.raw()
    raw.ask("SELECT INBOX")
    raw.send("i IDLE\r\n")
    assert raw.line().startswith(b"+")
    other = mail.raw()
    other.append()
    assert raw.line() == b"* 1 EXISTS\r\n"
    new = mail.relay.state_dir / "mail/b.example/anna/new"
    (new / "1780000000.M1P1.other").write_bytes(MESSAGE)
    lines = [raw.line(), raw.line()]
    assert b"* 2 EXISTS\r\n" in lines, lines
    raw.send("DONE\r\n")
    assert raw.until(b"i ")[-1].startswith(b"OK")


def test_two_sessions_expunge_against_each_other(mail):
    one, two = mail.raw(), mail.raw()
    for _ in range(10):
        one.append()
    one.ask("SELECT INBOX")
    two.ask("SELECT INBOX")
    one.ask("STORE 1:5 +FLAGS.SILENT \\Deleted")
    two.ask("STORE 4:8 +FLAGS.SILENT \\Deleted")
    assert len(one.ask("EXPUNGE")) == 9
    answer = two.ask("FETCH 1:10 (UID)")
    assert answer[-1].startswith(b"NO [EXPUNGEISSUED]") and len(answer) == 3
    assert not any(b"EXPUNGE" in line for line in answer[:-1])
    assert len([line for line in two.ask("NOOP") if b"EXPUNGE" in line]) == 8
    assert len(two.ask("FETCH 1:* (UID)")) == 3


class Model:
    """What a session was told of its mailbox: UIDs by number."""

    def __init__(self, mail):
        self.raw = mail.raw()
        self.uids = []  # None: not told yet
        self.ask("SELECT INBOX")

    @property
    def count(self):
        return len(self.uids)

    def ask(self, command, may_expunge=True):
        answer = self.raw.ask(command)
        for line in answer[:-1]:
            words = line.replace(b"(", b" ").replace(b")", b" ").split()
            if words[2:3] == [b"EXISTS"]:
                assert int(words[1]) >= self.count
                self.uids += [None] * (int(words[1]) - self.count)
            elif words[2:3] == [b"EXPUNGE"]:
                assert may_expunge and int(words[1]) <= self.count, (command, line)
                del self.uids[int(words[1]) - 1]
            elif words[2:3] == [b"FETCH"] and b"UID" in words:
                at, uid = int(words[1]) - 1, int(words[words.index(b"UID") + 1])
                assert self.uids[at] in (None, uid), (command, line)
                self.uids[at] = uid
        return answer

    def learn(self):
        if None in self.uids:
            self.ask("FETCH 1:* (UID)", may_expunge=False)


@pytest.mark.parametrize("seed", range(3))
def test_sessions_agree_whatever_they_do(mail, seed):
    """Random commands of three sessions; what each was told is what there is in the end."""
    chance = random.Random(seed)
    models = [Model(mail) for _ in range(3)]
    raw = mail.raw()
    raw.ask("CREATE Other")
    for _ in range(120):
        model = chance.choice(models)
        model.learn()
        some = f"{chance.randint(1, max(1, model.count))}:{chance.randint(1, max(1, model.count))}"
        kind = chance.randrange(8)
        if kind < 2 or model.count == 0:
            model.ask(b"APPEND INBOX {14+}\r\nSubject: x\r\n\r\n")
        elif kind == 2:
            model.ask(f"STORE {some} +FLAGS{chance.choice(['', '.SILENT'])} (\\Deleted)", False)
        elif kind == 3:
            model.ask(f"STORE {some} -FLAGS (\\Deleted $K{chance.randrange(3)})", False)
        elif kind == 4:
            model.ask("EXPUNGE")
        elif kind == 5:
            model.ask(f"COPY {some} INBOX")
        elif kind == 6:
            model.ask(f"MOVE {some} Other")
        else:
            model.ask(f"FETCH {some} (UID FLAGS)", False)
    raw.ask("SELECT INBOX")
    truth = raw.ask("UID SEARCH ALL")[0].split()[2:]
    for model in models:
        model.ask("NOOP")
        model.learn()
        assert [b"%d" % uid for uid in model.uids] == truth
        assert model.ask("UID SEARCH ALL")[0].split()[2:] == truth
        told, there = (asked("FETCH 1:* (FLAGS)") for asked in (model.ask, raw.ask))
        assert [line for line in told if b"FETCH" in line] == [
            line for line in there if b"FETCH" in line]


def test_idle_sessions_cost_little_and_are_told(mail):
    def idle():
        raw = mail.raw()
        raw.ask("SELECT INBOX")
        raw.send("i IDLE\r\n")
        assert raw.line().startswith(b"+")
        return raw

    held = [idle() for _ in range(20)]
    before = mail.relay.memory()
    held += [idle() for _ in range(300)]
    if not parts.is_sanitized():
        assert (mail.relay.memory() - before) / 300 < 20000
    mail.raw().append()
    for raw in held:
        assert raw.line() == b"* 1 EXISTS\r\n"


def test_append_of_many_and_what_is_refused(mail):
    raw = mail.raw()
    size = len(MESSAGE)
    answer = raw.ask(b"APPEND INBOX (\\Seen) {%d+}\r\n%s \" 1-Feb-2020 02:03:04 +0000\" {%d+}\r\n%s"
                     % (size, MESSAGE, size, MESSAGE))
    assert answer[-1].startswith(b"OK [APPENDUID ") and b" 1:2]" in answer[-1], answer
    raw.ask("SELECT INBOX")
    assert b"\\Seen" in raw.ask("FETCH 1 FLAGS")[0]
    assert b'"01-Feb-2020 02:03:04 +0000"' in raw.ask("FETCH 2 INTERNALDATE")[0]
    assert raw.append(mailbox="Nowhere")[-1].startswith(b"NO [TRYCREATE]")
    assert raw.ask("APPEND INBOX {4294967296}")[-1].startswith(b"NO [TOOBIG]")
    assert raw.ask("APPEND INBOX {99999999999999999999}")[-1].startswith(b"NO [TOOBIG]")
    assert raw.ask("APPEND INBOX {0}")[-1].startswith(b"NO")
    assert raw.ask("APPEND INBOX (\\Foo) {3+}\r\nabc")[-1].startswith(b"BAD")
    assert raw.append(b"a\0b")[-1].startswith(b"NO [UNKNOWN-CTE]")
    assert raw.ask("NOOP")[-1].startswith(b"OK")
    raw.send("a APPEND INBOX {5}\r\n")
    assert raw.line().startswith(b"+")
    raw.send("ab")
    raw.close()  # in the middle
    other = mail.raw()
    assert b"* 2 EXISTS" in other.ask("SELECT INBOX")
    big = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 65536 * 3
    assert other.append(big)[-1].startswith(b"OK")
    answer = other.ask("FETCH 3 (BODY.PEEK[])")
    assert big in answer[-2] or big in answer[0]
    other.send("a APPEND INBOX {9999999999+}\r\n")
    assert other.line().startswith(b"* BYE [TOOBIG]")


def test_append_is_the_same_however_its_bytes_arrive(mail):
    """What came together is worked on together: cut anywhere, and with the next command behind it."""
    raw = mail.raw()
    raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    command = b"a APPEND INBOX {6+}\r\nx: y\r\n {5+}\r\nb:\r\n\0\r\nb APPEND INBOX {6+}\r\nx: y\r\n\r\nc NOOP\r\n"
    for at in range(1, len(command) + 1):
        raw.send(command[:at])
        time.sleep(0.01)
        raw.send(command[at:])
        assert raw.until(b"a ")[-1].startswith(b"NO [UNKNOWN-CTE]"), at
        assert raw.until(b"b ")[-1].startswith(b"OK [APPENDUID "), at
        assert raw.until(b"c ") == [b"OK Done"], at
    assert raw.ask("STATUS INBOX (MESSAGES)")[0] == b"* STATUS INBOX (MESSAGES %d)" % len(command)
    raw.send("d APPEND INBOX {6}\r\n")
    assert raw.line().startswith(b"+")
    raw.send("x: y\r\n\r\ne NOOP\r\n")
    assert raw.until(b"d ")[-1].startswith(b"OK [APPENDUID ")
    assert raw.until(b"e ") == [b"OK Done"]
    for announced in "Nowhere {6+}", "INBOX {0+}":
        raw.send(f"f APPEND {announced}\r\n{'' if '0' in announced else 'x: y' + chr(13) + chr(10)}\r\ng NOOP\r\n")
        assert raw.until(b"f ")[-1].startswith(b"NO "), announced
        assert raw.until(b"g ") == [b"OK Done"], announced


def test_quota(stage):
    mail = Mail(stage)
    mail.cli("account", "set", mail.user, "--quota", "100KiB")
    time.sleep(1.5)
    raw = mail.raw()
    assert raw.append(b"x" * 60000)[-1].startswith(b"OK")
    assert raw.append(b"x" * 60000)[-1].startswith(b"NO [OVERQUOTA]")
    assert b'* QUOTA "" (STORAGE 59 100)' in raw.ask('GETQUOTA ""')


def test_bad_input(mail):
    for data in b"a {4294967296}\r\n", b"a LOGIN {99999999999}\r\n":
        raw = mail.raw(login=False)
        raw.send(data)
        assert raw.line().startswith(b"a NO [TOOBIG]")
    raw = mail.raw(login=False)
    raw.send(b"a LOGIN {99999999999+}\r\n")
    assert b"BAD [TOOBIG]" in raw.line() and b"BYE" in raw.line() and raw.is_closed()
    raw = mail.raw()
    raw.ask("SELECT INBOX")
    raw.send(b"a SEARCH " + b"(" * 100000 + b"\r\n")
    assert raw.line().startswith(b"a BAD")
    raw.send(b"a NOOP\n")
    assert b"BAD" in raw.line() and b"BYE" in raw.line()
    raw = mail.raw()
    raw.send(b"a SEARCH " + b"x" * 300000 + b"\r\n")
    assert b"BAD [TOOBIG]" in raw.line() and b"BYE" in raw.line()
    raw = mail.raw()
    for data, tag in (b"", b"*"), (b"a1", b"a1"), (b"a2 ", b"a2"), (b"a3  NOOP", b"a3"), (b"+ x", b"*"):
        raw.send(data + b"\r\n")
        assert raw.line().startswith(tag + b" BAD"), data
    raw = mail.raw()
    lines = b"".join(raw.ask("FOO")[-1] for _ in range(19))
    assert lines.count(b"BAD") == 19
    raw.send("z FOO\r\n")
    assert raw.line().startswith(b"z BAD") and raw.line().startswith(b"* BYE")


def test_a_client_that_never_reads_and_one_that_leaves(mail):
    raw = mail.raw()
    raw.append(b"Subject: x\r\n\r\n" + b"y" * 1000000)
    raw.ask("SELECT INBOX")
    for _ in range(200):
        raw.send("a FETCH 1 (BODY.PEEK[])\r\n")
    time.sleep(1)
    memory = mail.relay.metrics().get("ringpost_memory_bytes")
    other = mail.raw()
    assert other.ask("NOOP")[-1].startswith(b"OK"), memory
    raw.close()
    parts.wait_for(lambda: mail.relay.metrics()["ringpost_imap_sessions"] == 1, "the end of it")


def test_tls(stage):
    root = certificates.Issued(stage.directory, "root")
    chain, key = certificates.Issued(stage.directory, "server", root, ["localhost"]).files(root)
    mail = Mail(stage, tls=f"{{certificate: {chain}, key: {key}}}",
                auth='{plaintext: ["127.0.0.2/32"]}')
    context = ssl.create_default_context(cafile=root.path)
    raw = mail.raw(login=False)
    assert b" STARTTLS LOGINDISABLED]" in raw.greeting
    assert raw.ask(f"LOGIN {mail.user} {mail.secret}")[-1].startswith(b"NO [PRIVACYREQUIRED]")
    raw.send(b"a STARTTLS\r\nb NOOP\r\n")  # what stands behind it is somebody else's
    assert b"BYE" in raw.line() and raw.is_closed()
    with imaplib.IMAP4("localhost", mail.port, timeout=30) as client:
        client.starttls(context)
        assert "AUTH=SCRAM-SHA-256-PLUS" in client.capabilities
        assert "STARTTLS" not in client.capabilities
        client.login(mail.user, mail.secret)
    with imaplib.IMAP4_SSL("localhost", mail.tls_port, ssl_context=context, timeout=30) as client:
        assert "LOGINDISABLED" not in client.capabilities
        client.login(mail.user, mail.secret)
        assert client.append("INBOX", None, None, MESSAGE)[0] == "OK"
        client.select()
        assert client.fetch("1", "(BODY[])")[1][0][1] == MESSAGE
        content = random.Random(1).randbytes(1500000)  # an answer far longer than what may wait
        assert client.append("INBOX", None, None, b"Content-Transfer-Encoding: base64\r\n\r\n"
                             + base64.encodebytes(content))[0] == "OK"
        assert client.fetch("2", "(BINARY.PEEK[1])")[1][0][1] == content


def test_scram_by_gsasl(mail):
    """An implementation that nobody here wrote checks our half, too."""
    for secret, works in (mail.secret, True), ("rp_wrong", False):
        done = subprocess.run(
            ["gsasl", "--client", "--imap", "--no-starttls", "--connect", f"127.0.0.1:{mail.port}",
             "--mechanism", "SCRAM-SHA-256", "--authentication-id", mail.user, "--password", secret,
             "--no-cb"], capture_output=True, text=True, input="", timeout=60)
        assert ("Logged in" in done.stdout) == works, done


def test_mbsync_takes_all(mail, tmp_path):
    raw = mail.raw()
    for number in range(20):
        raw.append(MESSAGE.replace(b"<1@", b"<%d@" % number))
    raw.ask("CREATE Lists/One")
    raw.append(mailbox="Lists/One")
    box = tmp_path / "box"
    box.mkdir()
    (tmp_path / "rc").write_text(
        f"IMAPAccount a\nHost 127.0.0.1\nPort {mail.port}\nUser {mail.user}\nPass {mail.secret}\n"
        "SSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount a\n\nMaildirStore near\n"
        f"Path {box}/\nInbox {box}/INBOX\nSubFolders Verbatim\n\nChannel c\nFar :far:\n"
        "Near :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\nSyncState *\n")
    for _ in range(2):
        done = subprocess.run(["mbsync", "-c", tmp_path / "rc", "-a"], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    kept = [p for p in box.rglob("cur/*")] + [p for p in box.rglob("new/*")]
    assert len(kept) == 21
    one = next(p for p in (box / "INBOX").rglob("*/*:2,"))
    one.rename(str(one) + "S")
    subprocess.run(["mbsync", "-c", tmp_path / "rc", "-a"], check=True, timeout=60)
    raw.ask("SELECT INBOX")
    assert raw.ask("SEARCH SEEN")[0].count(b" ") == 2


def test_fields_that_are_kept_are_those_of_the_message(mail):
    raw = mail.raw()
    folded = b"Subject: one\r\n two\r\nX: y\r\nDATE: today\r\nSubject: three\r\n"
    raw.append(folded + b"\r\nbody\r\n")
    raw.append(folded)  # no empty line
    raw.append(b"\r\nbody\r\n")  # no field
    raw.ask("SELECT INBOX")
    for _ in range(2):  # the second time they are read from what was kept
        kept = raw.ask("FETCH 1:3 BODY.PEEK[HEADER.FIELDS (subject DATE)]")[:-1]
        for number, line in enumerate(kept, 1):
            whole = raw.ask(f"FETCH {number} BODY.PEEK[HEADER.FIELDS (subject DATE X-None)]")[0]
            assert line.replace(b"DATE)]", b"DATE X-None)]") == whole
        assert kept[0].endswith(b"Subject: one\r\n two\r\nDATE: today\r\nSubject: three\r\n\r\n)")
        assert kept[1].endswith(b"Subject: three\r\n)")


def test_curl_fetches(mail):
    mail.raw().append()
    done = subprocess.run(["curl", "-s", f"imap://127.0.0.1:{mail.port}/INBOX;UID=1", "-u",
                           f"{mail.user}:{mail.secret}"], capture_output=True, timeout=30)
    assert done.stdout == MESSAGE
