"""Sent: what a hosted user submits is filed in Sent, once, where the account says so."""

import json
import signal
import smtplib

import parts
import pytest
from test_imap import Raw

TEXT = "From: %s\r\nTo: bob@b.example\r\nBcc: secret@b.example\r\nSubject: %s\r\n\r\nhello\r\n"
USERS = "anna@b.example", "bob@b.example"


class Place:
    """A relay that anna and bob submit to and read from."""

    def __init__(self, stage, *sent):
        self.port, self.imap = parts.free_ports(2)
        self.relay = stage.ringpost(
            listeners=f'[{{address: "127.0.0.1:{self.port}", service: submission}}, '
                      f'{{address: "127.0.0.1:{self.imap}", service: imap}}]',
            auth='{plaintext: ["127.0.0.0/8"]}')
        self.cli = self.relay.cli
        self.cli("tenant", "add", "shop")
        self.cli("domain", "add", "shop", "b.example", "--active", "--hosted")
        self.secrets, self.users = {}, {}
        for user in USERS:
            self.cli("account", "add", user, *sent)
            made = json.loads(self.cli("credential", "add", "shop", "--account", user, "--scope",
                                       "submit,mail", "--json").stdout)
            self.secrets[user], self.users[user] = made["secret"], made["user"]
        parts.wait_for(lambda: self.raw("bob@b.example"), "the account")

    def raw(self, user="anna@b.example"):
        raw = Raw(self.imap)
        return raw if raw.ask(f"LOGIN {user} {self.secrets[user]}")[-1].startswith(b"OK") else None

    def send(self, subject, user="anna@b.example", to=("bob@b.example",)):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            client.login(self.users[user], self.secrets[user])
            client.sendmail(user, list(to), TEXT % (user, subject))

    def count(self, mailbox, user="anna@b.example"):
        answer = self.raw(user).ask(f"STATUS {mailbox} (MESSAGES UNSEEN)")
        return answer[0].split(b"(")[1] if answer[-1].startswith(b"OK") else None

    def waits_for(self, mailbox, count, user="anna@b.example", unseen=0):
        expected = b"MESSAGES %d UNSEEN %d)" % (count, unseen)
        parts.wait_for(lambda: self.count(mailbox, user) == expected, f"{count} in {mailbox}")


@pytest.fixture
def place(stage):
    return Place(stage, "--sent", "yes")


def test_a_submission_is_filed_once_and_read(place):
    place.send("one")
    place.waits_for("Sent", 1)
    place.waits_for("INBOX", 1, "bob@b.example", unseen=1)
    raw = place.raw()
    assert b"\\Sent" in raw.ask('LIST (SPECIAL-USE) "" *')[0]
    raw.ask("SELECT Sent")
    text = raw.ask("FETCH 1 (FLAGS BODY.PEEK[])")[0]
    assert b"FLAGS (\\Seen)" in text and b"Subject: one\r\n" in text
    assert b"for <bob@b.example>" in text, "Received tells the only other recipient"
    for name in b"Bcc:", b"Return-Path:", b"Delivered-To:":
        assert name not in text, name
    assert place.count("INBOX") == b"MESSAGES 0 UNSEEN 0)", "it was not delivered to who sent it"
    # to oneself: in both
    place.send("two", to=["anna@b.example", "bob@b.example"])
    place.waits_for("INBOX", 1, unseen=1)
    place.waits_for("Sent", 2)


def test_it_goes_where_the_account_has_its_sent(place):
    raw = place.raw()
    assert raw.ask("CREATE Gesendet (USE (\\Sent))")[-1].startswith(b"OK")
    place.send("one")
    place.waits_for("Gesendet", 1)
    raw.ask("RENAME Gesendet a/Raus")
    place.send("two")
    place.waits_for("a/Raus", 2)
    assert place.count("Sent") is None


def test_it_is_the_accounts_own_word(place):
    assert json.loads(place.cli("account", "show", "anna@b.example", "--json").stdout)["sent"]
    assert place.cli("account", "set", "anna@b.example", "--sent", "no").returncode == 0
    assert not json.loads(place.cli("account", "show", "anna@b.example", "--json").stdout)["sent"]
    parts.wait_for(lambda: not goes_to_sent(place), "the setting")
    place.send("bob's", user="bob@b.example", to=["anna@b.example"])
    place.waits_for("Sent", 1, "bob@b.example")


def goes_to_sent(place, turn=iter(range(1000))):
    before = place.count("Sent")
    number = next(turn)
    place.send(f"try {number}", to=["bob@b.example"])
    place.waits_for("INBOX", number + 1, "bob@b.example", unseen=number + 1)
    return place.count("Sent") != before


def test_once_whenever_the_program_dies(place):
    for number in range(8):
        place.send(f"n{number}", to=["bob@b.example"])
        if number % 2:
            place.relay.stop(signal.SIGKILL)
            place.relay.start()
    place.waits_for("Sent", 8)
    place.waits_for("INBOX", 8, "bob@b.example", unseen=8)
    raw = place.raw()
    raw.ask("SELECT Sent")
    subjects = [line for line in raw.ask("FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]")[:-1]]
    assert len({line.split(b"Subject: ")[1] for line in subjects}) == 8


def test_what_the_command_line_refuses(place):
    for words in (("set", "anna@b.example"), ("set", "anna@b.example", "--sent", "maybe")):
        assert place.cli("account", *words, check=False).returncode == 64, words
