"""What an account is shown of its tenant's: bounces, complaints, reports and the queue as folders."""

import email
import imaplib
import json
import signal

import parts
import pytest
import test_returns
from test_imap import Raw
from test_returns import BOUNCES, aggregate, arf, dsn, packed_report

ANNA, OTTO = "anna@shop.example", "otto@other.example"
AT_COMPLAINTS, AT_REPORTS = f"complaints@{BOUNCES}", f"reports@{BOUNCES}"


class Place(test_returns.Place):
    """A relay whose tenants shop and other have an account each."""

    def __init__(self, stage, *, shows=None, quota=None, act=None, **settings):
        self.receiver = stage.receiver(act)
        self.port, self.submission, self.imap = parts.free_ports(3)
        self.relay = stage.unstarted_ringpost(
            routes=f'[{{match: "*", to: ["127.0.0.1:{self.receiver.port}"]}}]',
            listeners=f'[{{address: "127.0.0.1:{self.submission}", service: submission, '
                      'trust: ["127.0.0.0/8"], tenant: shop}, '
                      f'{{address: "127.0.0.1:{self.port}", service: inbound}}, '
                      f'{{address: "127.0.0.1:{self.imap}", service: imap}}]',
            dns='{servers: ["127.0.0.1:1"]}', inbound="{verify_timeout: 1s}",
            auth='{plaintext: ["127.0.0.0/8"]}', **settings)
        self.relay.port = self.submission
        self.cli, self.secrets = self.relay.cli, {}
        for tenant, domain in (("shop", "shop.example"), ("other", "other.example")):
            self.cli("tenant", "add", tenant)
            self.cli("domain", "add", tenant, domain, "--active", "--hosted")
        self.cli("domain", "add", "shop", BOUNCES, "--active", "--hosted")
        for tenant, user in (("shop", ANNA), ("other", OTTO)):
            self.cli("account", "add", user, *(["--quota", quota] if quota else []),
                     *(["--shows", shows] if shows else []))
            self.secrets[user] = json.loads(self.cli(
                "credential", "add", tenant, "--account", user, "--scope", "mail",
                "--json").stdout)["secret"]
        self.relay.start()

    def client(self, user=ANNA):
        client = imaplib.IMAP4("127.0.0.1", self.imap, timeout=30)
        client.login(user, self.secrets[user])
        return client

    def texts(self, mailbox, user=ANNA):
        """Each message of a mailbox; None: there is none."""
        client = self.client(user)
        if client.select(mailbox, readonly=True)[0] != "OK":
            return None
        numbers = client.search(None, "ALL")[1][0].split()
        texts = [client.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in numbers]
        client.logout()
        return texts

    def mailboxes(self, user=ANNA):
        return sorted(line.split(b'"/" ')[1].decode().strip('"')
                      for line in self.client(user).list()[1])

    def take(self, content, to, **kwargs):
        return self.take_all(content, to, None, **kwargs)[0]

    def take_all(self, content, to, count, **kwargs):
        """Sends a report, and waits until it was read and, for so many accounts, filed; the event
        of the former, then theirs."""
        code, text = self.back(content, to, **kwargs)
        assert code == 250, (code, text)

        def read():
            events = self.relay.events(id=text.split()[-1], kind="filed")
            events.sort(key=lambda event: event["recipient"] == ANNA)
            is_read = events and events[0]["rule"] == "return-path"
            return events if is_read and (count is None or len(events) > count) else None
        return parts.wait_for(read, "what came back")


def test_each_kind_is_filed_in_its_folder_and_for_its_tenant_alone(stage):
    place = Place(stage, shows="bounces,complaints,reports")
    assert place.mailboxes() == ["INBOX"], "folders are made when they are first needed"
    id, path = place.send()
    place.take_all(dsn("x@y.example"), path, 1)
    place.take_all(arf(path, "x@y.example"), AT_COMPLAINTS, 1, sender="fbl@y.example")
    place.take_all(packed_report("r.xml.gz", aggregate([(3, "fail")])), AT_REPORTS, 1)
    assert place.mailboxes() == ["Bounces", "Complaints", "INBOX", "Reports"]
    [bounce], [complaint], [report] = map(place.texts, ("Bounces", "Complaints", "Reports"))
    assert b"Final-Recipient: rfc822; x@y.example" in bounce
    assert f"Delivered-To: {ANNA}\r\n".encode() in bounce and b"Return-Path: <>\r\n" in bounce
    assert f"for <{path}>".encode() in bounce, "Received tells the only other recipient"
    assert b"Feedback-Type: abuse" in complaint
    assert b"application/gzip" in report
    assert place.texts("INBOX") == []
    # The events are told as ever.
    assert place.late("bounced", 1)[0]["id"] == id
    assert place.late("complained", 1)[0]["id"] == id
    assert len(place.relay.wait_events(1, kind="reported")) == 1
    assert place.mailboxes(OTTO) == ["INBOX"] and place.texts("INBOX", OTTO) == []
    place.adds_up()


def test_what_is_no_report_or_not_asked_for_is_not_kept(stage):
    place = Place(stage, shows="complaints")
    _, path = place.send()
    for content, to in ((b"Subject: out of office\r\n\r\nBack on Monday.\r\n", path),
                        (dsn("x@y.example"), path),
                        (dsn("x@y.example", action="delayed", status="4.0.0"), path),
                        (arf("app@other.example", "x@y.example"), AT_COMPLAINTS),
                        (packed_report("r.xml.gz", aggregate([(3, "fail")])), AT_REPORTS)):
        told = place.take_all(content, to, 1)
        assert told[1]["rule"] == "shown" and told[1]["recipient"] == ANNA, told
        assert told[1]["reply"]["text"] == told[0]["reply"]["text"]
    assert place.mailboxes() == ["INBOX"]
    place.adds_up()


def test_it_is_the_accounts_own_word_and_live(stage):
    place = Place(stage)
    show = json.loads(place.cli("account", "show", ANNA, "--json").stdout)
    assert show["shows"] == []
    _, path = place.send()
    assert len(place.take_all(dsn("x@y.example"), path, 0)) == 1
    place.cli("account", "set", ANNA, "--shows", "queue,bounces")
    show = json.loads(place.cli("account", "show", ANNA, "--json").stdout)
    assert show["shows"] == ["bounces", "queue"]
    assert "shows bounces,queue" in place.cli("account", "show", ANNA).stdout
    parts.wait_for(lambda: is_filed(place), "the setting", pause=0.3)
    place.cli("account", "set", ANNA, "--shows", "none")
    parts.wait_for(lambda: not is_filed(place), "the setting", pause=0.3)
    for words in (["--shows"], ["--shows", "all"], ["--shows", "bounces,bounces"]):
        assert place.cli("account", "set", ANNA, *words, check=False).returncode == 64, words


def is_filed(place):
    """Is a bounce of a message filed?"""
    _, path = place.send()
    event = place.take(dsn("x@y.example"), path)
    place.relay.wait_empty()
    return len(place.relay.events(id=event["id"], kind="filed")) == 2


def test_a_full_account_is_told_later_and_the_events_at_once(stage):
    place = Place(stage, shows="bounces", quota="2KiB", retry="{first: 1s, max: 1s}")
    content = dsn("x@y.example", more="X-Padding: " + "x" * 700 + "\r\n")
    _, path = place.send()
    place.take_all(content, path, 1)
    id, path = place.send()
    event = place.take(content, path)
    assert place.late("bounced", 2)[1]["id"] == id, "the event does not wait"
    [full] = place.relay.wait_events(1, id=event["id"], kind="deferred")[:1]
    assert (full["recipient"], full["rule"]) == (ANNA, "store-quota")
    # One that would never fit is given up, and nobody is told of it.
    third, path = place.send()
    big = dsn("x@y.example", more="X-Padding: " + "x" * 3000 + "\r\n")
    told = place.take_all(big, path, 1, sender="")
    assert told[1]["rule"] == "shown" and "quota" in told[1]["reply"]["text"]
    assert place.late("bounced", 3)[2]["id"] == third
    assert len(place.texts("Bounces")) == 1
    # Once there is room it comes.
    place.cli("account", "set", ANNA, "--quota", "1MiB")
    place.relay.wait_events(2, id=event["id"], kind="filed")
    assert len(place.texts("Bounces")) == 2
    assert len(place.late("bounced", 3)) == 3, "and its event was told once"
    place.adds_up()


def test_once_whenever_the_program_dies(stage):
    place = Place(stage, shows="bounces")
    paths = [place.send()[1] for _ in range(8)]
    for number, path in enumerate(paths):
        code, text = place.back(dsn("x@y.example", text=f"550 nobody number-{number}"), path)
        assert code == 250, text
        if number % 2:
            place.relay.stop(signal.SIGKILL)
            place.relay.start()
    place.relay.wait_empty()
    texts = place.texts("Bounces")
    assert len(texts) == 8
    for number in range(8):
        assert sum(f"number-{number}\r\n".encode() in text for text in texts) == 1, number
    place.adds_up()


def test_a_tenant_with_privacy_is_shown_its_reports_alone(stage):
    place = Place(stage, shows="bounces,complaints,reports")
    place.cli("tenant", "set", "shop", "privacy=hash")
    parts.wait_for(lambda: not grows(place), "the setting", pause=0.3)
    before = place.texts("Bounces") or []
    _, path = place.send()
    place.take(arf(path, "x@y.example"), AT_COMPLAINTS)
    place.take_all(packed_report("r.xml.gz", aggregate([(3, "fail")])), AT_REPORTS, 1)
    place.relay.wait_empty()
    assert len(place.texts("Bounces") or []) == len(before)
    assert place.texts("Complaints") is None and len(place.texts("Reports")) == 1


def test_several_accounts_each_have_theirs(stage):
    place = Place(stage, shows="bounces")
    place.cli("account", "add", "bert@shop.example", "--shows", "bounces,complaints")
    parts.wait_for(lambda: filed_count(place) == 3, "the account", pause=0.3)
    # A disabled one has none.
    place.cli("account", "disable", ANNA)
    parts.wait_for(lambda: filed_count(place) == 2, "the account", pause=0.3)


def grows(place):
    """Is a bounce kept in the folder?"""
    before = place.texts("Bounces") or []
    is_filed(place)
    return len(place.texts("Bounces") or []) > len(before)


def filed_count(place):
    _, path = place.send()
    event = place.take(dsn("x@y.example"), path)
    place.relay.wait_empty()
    return len(place.relay.events(id=event["id"], kind="filed"))


class Busy:
    """A receiver that takes nothing while it is busy."""

    def __init__(self):
        self.is_busy = True

    def __call__(self, session, where, line):
        return "450 4.2.0 come back later" if self.is_busy and where == "rcpt" else None


def queue_place(stage, **kwargs):
    busy = Busy()
    kwargs.setdefault("retry", "{first: 1h, max: 1h}")
    return Place(stage, shows="queue", act=busy, **kwargs), busy


def wait_deferred(place, note, **kwargs):
    id = place.relay.submit("x@y.example", sender="app@shop.example",
                            headers=f"X-Note: {note}\r\n", **kwargs)
    place.relay.wait_events(1, id=id, kind="deferred")
    return id


def uids(client):
    client.noop()
    return client.uid("search", None, "ALL")[1][0].split()


def test_queue_shows_what_waits_until_it_is_gone(stage):
    place, busy = queue_place(stage)
    id = wait_deferred(place, "waits", body="a word")
    assert place.mailboxes() == ["INBOX", "Queue"]
    client = place.client()
    assert client.select("Queue", readonly=True) == ("OK", [b"1"])
    [uid] = uids(client)
    text = client.uid("fetch", uid, "(FLAGS BODY.PEEK[])")[1][0][1]
    mail = email.message_from_bytes(text)
    assert mail["X-Queue-Id"] == id and mail["X-Note"] == "waits" and "a word" in text.decode()
    told = mail["X-Queue-Recipient"]
    for word in "x@y.example", "state=scheduled", "attempts=1", "next=":
        assert word in told, told
    assert mail["X-Queue-Expires"] > mail["X-Queue-Accepted"] and mail["X-Queue-Seen"]
    for criterion in ('HEADER', 'X-Note', 'waits'), ('HEADER', 'X-Queue-Id', id), ('BODY', '"a word"'):
        assert client.uid("search", None, *criterion)[1] == [uid], criterion
    # A new one comes while it is selected; the UID of the other stays.
    second = wait_deferred(place, "second")
    parts.wait_for(lambda: len(uids(client)) == 2 and is_tried(place, client, second), "the second")
    assert uids(client)[0] == uid
    # The other tenant's account sees nothing of it, nor has it INBOX mail.
    assert place.texts("Queue", OTTO) == [] and place.texts("INBOX") == []
    # One that was tried again is shown anew, with its new state.
    place.relay.cli("queue", "retry", "--id", id)
    place.relay.wait_events(2, id=id, kind="deferred")
    parts.wait_for(lambda: uid not in uids(client) and len(uids(client)) == 2, "another state")
    newest = client.uid("fetch", uids(client)[-1], "(BODY.PEEK[])")[1][0][1]
    assert b"attempts=2" in newest and f"X-Queue-Id: {id}".encode() in newest
    # Once they are delivered they are gone.
    busy.is_busy = False
    for each in id, second:
        place.relay.cli("queue", "retry", "--id", each)
        place.relay.wait_events(1, id=each, kind="delivered")
    parts.wait_for(lambda: uids(client) == [], "an empty folder")
    place.adds_up()


def is_tried(place, client, id):
    """Is the message shown as it is after its first attempt?"""
    numbers = client.search(None, "HEADER", "X-Queue-Id", id)[1][0].split()
    return numbers and b"attempts=1" in client.fetch(numbers[-1], "(BODY.PEEK[HEADER])")[1][0][1]


def test_queue_can_only_be_read(stage):
    place, _ = queue_place(stage)
    wait_deferred(place, "waits")
    client = place.client()
    raw = Raw(place.imap)
    raw.ask(f"LOGIN {ANNA} {place.secrets[ANNA]}")
    assert raw.ask("SELECT Queue")[-1].startswith(b"OK [READ-ONLY]")
    client.append("INBOX", None, None, b"Subject: x\r\n\r\n")
    client.select("Queue", readonly=True)
    for command in (("store", "1", "+FLAGS", r"(\Deleted)"), ("expunge",), ("uid", "expunge", "1:*"),
                    ("uid", "move", "1:*", "INBOX")):
        status, text = getattr(client, command[0])(*command[1:])
        assert status == "NO" and b"READ-ONLY" in text[0], (command, text)
    assert client.copy("1", "INBOX")[0] == "OK", "a copy can be kept"
    for act in (lambda: client.append("Queue", None, None, b"Subject: x\r\n\r\n"),
                lambda: client.delete("Queue"), lambda: client.rename("Queue", "Other"),
                lambda: client.select("INBOX") and client.copy("1", "Queue"),
                lambda: client.uid("move", "1:*", "Queue")):
        status, text = act()
        assert status == "NO" and b"NOPERM" in text[0], text
    assert client.create("Queue")[0] == "NO"
    for command in "FETCH 1 BODY[]", "CLOSE":
        assert raw.ask(command)[-1].startswith(b"OK"), command
    assert len(place.texts("Queue")) == 1 and place.mailboxes() == ["INBOX", "Queue"]


def test_queue_of_another_run_and_of_an_account_that_does_not_show_it_any_more(stage):
    place, _ = queue_place(stage, quota="40KiB")
    wait_deferred(place, "waits", body="x" * 50000)
    [text] = place.texts("Queue")
    assert len(text) > 40 << 10, "it does not count for the quota"
    client = place.client()
    assert client.append("INBOX", None, None, b"Subject: x\r\n\r\n")[0] == "OK"
    validity = client.status("Queue", "(UIDVALIDITY)")
    place.relay.stop(signal.SIGKILL)
    place.relay.start()
    parts.wait_for(lambda: place.texts("Queue"), "the queue")
    assert place.client().status("Queue", "(UIDVALIDITY)") == validity
    # A tenant with privacy has an empty one.
    place.cli("tenant", "set", "shop", "privacy=hash")
    parts.wait_for(lambda: place.texts("Queue") == [], "privacy", pause=0.3)
    place.cli("account", "set", ANNA, "--shows", "none")
    parts.wait_for(lambda: place.mailboxes() == ["INBOX"], "the setting", pause=0.3)


def test_a_folder_of_that_name_with_mail_stays_the_accounts_own(stage):
    place, _ = queue_place(stage)
    place.cli("account", "set", OTTO, "--shows", "none")
    parts.wait_for(lambda: place.mailboxes(OTTO) == ["INBOX"], "the setting", pause=0.3)
    client = place.client(OTTO)
    client.create("Queue")
    client.append("Queue", None, None, b"Subject: mine\r\n\r\n")
    place.cli("account", "set", OTTO, "--shows", "queue")
    parts.wait_for(lambda: place.client(OTTO).select("Queue") and "a folder of that name" in
                   place.relay.tail(400), "the warning", pause=0.3)
    [text] = place.texts("Queue", OTTO)
    assert b"Subject: mine" in text
    client = place.client(OTTO)
    assert client.select("Queue") == ("OK", [b"1"]) and not client.is_readonly


def test_mail_for_accounts_is_nobody_elses_to_see(stage):
    place, _ = queue_place(stage)
    place.cli("account", "add", "full@shop.example", "--quota", "1KiB")
    parts.wait_for(lambda: place.back(b"Subject: private\r\n\r\n", "full@shop.example",
                                      sender="bob@y.example")[0] in (250, 552), "the account")
    place.cli("account", "set", "full@shop.example", "--quota", "none")
    place.cli("account", "disable", "full@shop.example")
    place.relay.submit("full@shop.example", sender="app@shop.example",
                       headers="X-Note: private\r\n")
    id = wait_deferred(place, "open")
    [text] = place.texts("Queue")
    assert f"X-Queue-Id: {id}".encode() in text

