"""Webmail: Roundcube by packaging/roundcube over our IMAP and submission, as a user of a browser sees it."""

import contextlib
import http.client
import imaplib
import json
import os
import pathlib
import re
import ssl
from email.message import EmailMessage

import browser
import certificates
import parts
import pytest
import roundcube

USER = "anna@b.example"
SUBJECT = "Grüße aus Köln ☀ Привет"
FRAME = "#messagecontframe"
FOLDERS = "Inbox", "Drafts", "Sent", "Junk", "Trash", "Archive"
IDLE = "!window.rcmail || !rcmail.busy"


class Webmail:
    """A relay with TLS and hosted users, and Roundcube before it."""

    def __init__(self, stage, sent="no", config=None, trusted=True):
        self.stage = stage
        self.imap_port, self.smtp_port = parts.free_ports(2)
        directory = stage.directory / "tls"
        directory.mkdir()
        authority = certificates.Issued(directory, "authority")
        chain, key = certificates.Issued(directory, "server", authority,
                                         hosts=["localhost"]).files()
        self.context = ssl.create_default_context(cafile=authority.path)
        self.relay = stage.ringpost(
            listeners=f'[{{address: "127.0.0.1:{self.imap_port}", service: imap, tls: implicit}}, '
                      f'{{address: "127.0.0.1:{self.smtp_port}", service: submission, '
                      f'tls: implicit}}]',
            auth='{shared: ["127.0.0.1"]}',
            tls=f'{{certificate: "{chain}", key: "{key}"}}')
        cli = self.relay.cli
        cli("tenant", "add", "shop")
        cli("domain", "add", "shop", "b.example", "--active", "--hosted")
        cli("account", "add", USER, "--quota", "20MiB", "--sent", sent)
        made = cli("credential", "add", "shop", "--account", USER, "--scope", "submit,mail",
                   "--json")
        self.secret = json.loads(made.stdout)["secret"]
        parts.wait_for(self.is_known, "the account")
        trust = authority if trusted else certificates.Issued(directory, "stranger")
        self.roundcube = roundcube.Roundcube(stage, self.imap_port, self.smtp_port, trust.path,
                                             config)
        kept = os.environ.get("RINGPOST_SCREENSHOTS")
        pictures = pathlib.Path(kept) if kept else stage.directory
        self.browser = stage.add(browser.Browser(
            stage.directory / "browser", pictures / stage.directory.name / "pictures", IDLE))

    def is_known(self):
        with contextlib.suppress(imaplib.IMAP4.error), self.imap():
            return True
        return False

    @contextlib.contextmanager
    def imap(self):
        client = imaplib.IMAP4_SSL("localhost", self.imap_port, ssl_context=self.context,
                                   timeout=parts.PATIENCE)
        try:
            client.login(USER, self.secret)
            yield client
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    def append(self, message, mailbox="INBOX"):
        with self.imap() as client:
            assert client.append(mailbox, None, None, message.as_bytes())[0] == "OK"

    def holds(self, mailbox):
        """[(flags, subject)] of a mailbox; None where there is none."""
        with self.imap() as client:
            if client.select(f'"{mailbox}"', readonly=True)[0] != "OK":
                return None
            found = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return [(re.search(rb"FLAGS \(([^)]*)\)", item[0])[1].decode(),
                 re.search(rb"(?i)Subject: *(.*)", item[1])[1].strip().decode())
                for item in found if isinstance(item, tuple)]

    def until(self, mailbox, condition, what):
        return parts.wait_for(lambda: condition(self.holds(mailbox) or []), what)

    def log_in(self, secret=None):
        seen = self.browser
        seen.open(self.roundcube.url)
        seen.type("#rcmloginuser", USER)
        seen.type("#rcmloginpwd", secret or self.secret)
        seen.click("#rcmloginsubmit")

    def inbox_is_shown(self):
        self.browser.wait("window.rcmail && rcmail.env.task === 'mail' && !rcmail.busy"
                          " && document.querySelector('#mailboxlist li.inbox') !== null")

    def lists(self, count):
        """Waits for so many messages in the list that is shown."""
        self.browser.wait("[...document.querySelectorAll('#messagelist tbody tr')]"
                          f".filter(row => row.offsetHeight > 0).length === {count}")

    def opens(self, subject):
        """A message of the list, until it is shown."""
        self.browser.click("#messagelist td.subject a", subject)
        self.browser.shows("#message-header .subject", subject, FRAME)

    def status(self, path):
        """What a request for it is answered."""
        client = http.client.HTTPSConnection("127.0.0.1", self.roundcube.nginx.port,
                                             context=ssl._create_unverified_context(),
                                             timeout=parts.PATIENCE)
        with contextlib.closing(client):
            client.request("GET", f"/{path}")
            return client.getresponse().status

    def compose(self, to, subject, text):
        seen = self.browser
        seen.click("#layout-menu a.compose, #taskmenu a.compose")
        seen.wait("window.rcmail && rcmail.env.action === 'compose' && !rcmail.busy"
                  " && document.readyState === 'complete'")
        seen.type(".recipient-input input", to)
        seen.enter()
        seen.type("#compose-subject", subject)
        seen.type("#composebody", text)

    def send(self):
        self.browser.click(".formbuttons .send, a.send, button.send")
        self.inbox_is_shown()

    def complaints(self):
        """What a user, or who reads the logs, would find wrong."""
        wrong = re.findall(r"S: A\d+ (?:NO|BAD) .*", self.roundcube.log("imap"))
        errors = [line for line in self.roundcube.log("errors").splitlines() if line.strip()]
        return wrong + errors + self.browser.complaints


def flags_of(held, subject):
    return [flags for flags, text in held if text == subject][0]


def letter(subject=SUBJECT, text="A plain letter.\n"):
    message = EmailMessage()
    message["From"] = "Jörg Müller <joerg@a.example>"
    message["To"] = USER
    message["Subject"] = subject
    message["Date"] = "Mon, 2 Mar 2026 10:00:00 +0100"
    message["Message-ID"] = f"<{len(subject)}.{subject[-1:].encode().hex()}@a.example>"
    message.set_content(text)
    return message


def letter_with_everything():
    message = letter(text="The text for who has no HTML.\n")
    message.add_alternative("<html><body><h1>Überschrift</h1><p>A <b>bold</b> word and a"
                            " <a href='https://a.example/'>link</a>.</p></body></html>",
                            subtype="html")
    # Four of the twenty mebibytes that she may have.
    message.add_attachment(b"a,b\n" * (3 << 18), maintype="text", subtype="csv",
                           filename="Zahlen für März.csv")
    return message


@pytest.fixture
def webmail(stage):
    return Webmail(stage)


def logs_in(webmail):
    seen = webmail.browser
    webmail.log_in("rp_wrong")
    seen.shows("#messagestack div", "Login failed")
    seen.picture("wrong-password")
    assert re.search(f"Failed login for {USER} from 127.0.0.1 ", webmail.roundcube.log("userlogins"))
    webmail.log_in()
    webmail.inbox_is_shown()
    for folder in FOLDERS:
        seen.shows("#mailboxlist li a", folder)
    with webmail.imap() as client:
        listed = b" ".join(client.list('(SPECIAL-USE) ""', "*")[1]).decode()
        used, allowed = re.search(rb"STORAGE (\d+) (\d+)", client.getquota('""')[1][0]).groups()
    for use in FOLDERS[1:]:
        assert re.search(rf'\\{use}\b[^"]*\) "/" {use}\b', listed), (use, listed)
    seen.shows("#mailboxlist li.inbox .unreadcount", "4")
    webmail.lists(4)
    assert int(used) > 4000
    seen.shows("#quotadisplay", f"{round(100 * int(used) / int(allowed))}%")
    seen.picture("inbox")


def reads(webmail):
    seen = webmail.browser
    webmail.opens(SUBJECT)
    seen.shows("#messagebody h1", "Überschrift", FRAME)
    seen.shows("#messagebody b", "bold", FRAME)
    seen.shows("#attachment-list li", "Zahlen für März.csv", FRAME)
    seen.picture("message")
    webmail.until("INBOX", lambda held: held[0][0] == "\\Seen", "the flag of what was read")
    seen.shows("#mailboxlist li.inbox .unreadcount", "3")


def writes_to_herself(webmail):
    seen = webmail.browser
    file = webmail.stage.directory / "Bericht für Öl.txt"
    file.write_text("Ein Bericht.\n" * 1000)
    webmail.compose(USER, "Notiz: Öl kaufen", "Eins, zwei.\nDrei.")
    seen.choose_file("#uploadformInput, input[type=file]", file)
    seen.shows("#attachment-list li:not(.uploading)", file.name)
    seen.click("a.save.draft")
    seen.shows("#messagestack div", "saved to Drafts")
    webmail.until("Drafts", lambda held: [flags for flags, _ in held] == ["\\Seen"],
                  "the draft")
    seen.picture("compose")
    webmail.send()
    webmail.until("INBOX", lambda held: len(held) == 5, "the message to herself")
    webmail.relay.wait_empty()
    assert [flags for flags, _ in webmail.holds("Sent")] == ["\\Seen"]
    assert webmail.holds("Drafts") == []
    seen.click("a.refresh")
    seen.shows("#messagelist td.subject a", "Notiz: Öl kaufen")
    seen.picture("arrived")
    seen.click("#mailboxlist li.sent a")
    webmail.lists(1)
    webmail.opens("Notiz: Öl kaufen")
    seen.shows("#attachment-list li", file.name, FRAME)
    seen.picture("sent")


def finds_and_marks(webmail):
    seen = webmail.browser
    seen.click("#mailboxlist li.inbox a")
    webmail.lists(5)
    seen.type("#mailsearchform", "Köln")
    seen.enter()
    webmail.lists(1)
    seen.shows("#messagelist td.subject a", SUBJECT)
    seen.picture("found")
    seen.click(".searchbar a.reset")
    webmail.lists(5)
    webmail.opens("Invoice 1")
    seen.click("#messagelist tr.selected span.flag, #messagelist tr.selected .flag span")
    webmail.until("INBOX", lambda held: "\\Flagged" in flags_of(held, "Invoice 1"), "the mark")
    seen.shows("#messagelist tr.flagged td.subject a", "Invoice 1")
    seen.picture("marked")


def moves(webmail):
    """To a folder of her own, whose name has what modified UTF-7 is for."""
    seen = webmail.browser
    seen.click("#taskmenu a.settings")
    seen.click("#settings-menu a", "Folders")
    seen.click("a.create")
    seen.type("input[name=_name]", "Reisen & Pläne", "#preferences-frame")
    seen.picture("new-folder")
    seen.click("button.submit", frame="#preferences-frame")
    parts.wait_for(lambda: webmail.holds("Reisen &- Pl&AOQ-ne") == [], "the folder")
    seen.click("#taskmenu a.mail")
    webmail.lists(5)
    seen.drag("#messagelist td.subject", "Invoice 1", "#mailboxlist li a", "Reisen & Pläne",
              "document.querySelector('#mailboxlist li.droptarget')?.textContent.includes('Reisen')")
    webmail.until("Reisen &- Pl&AOQ-ne", lambda held: len(held) == 1, "the message in its folder")
    assert "Invoice 1" not in [subject for _, subject in webmail.holds("INBOX")]
    webmail.lists(4)
    seen.click("#mailboxlist li a", "Reisen & Pläne")
    webmail.lists(1)
    seen.shows("#messagelist tr.flagged td.subject a", "Invoice 1")
    seen.picture("moved")


def deletes(webmail):
    seen = webmail.browser
    seen.click("#mailboxlist li.inbox a")
    webmail.lists(4)
    webmail.opens("Invoice 2")
    seen.click(".toolbar a.delete")
    webmail.until("Trash", lambda held: len(held) == 1, "the message in Trash")
    webmail.lists(3)
    seen.click("#mailboxlist li.trash a")
    webmail.lists(1)
    webmail.opens("Invoice 2")
    seen.picture("in-trash")
    seen.click(".toolbar a.delete")
    parts.wait_for(lambda: webmail.holds("Trash") == [], "an empty Trash")
    webmail.lists(0)
    seen.picture("gone")


def puts_away(webmail):
    seen = webmail.browser
    seen.click("#mailboxlist li.inbox a")
    webmail.lists(3)
    for subject, button, folder in (("Invoice 0", "archive", "Archive"),
                                    ("Notiz: Öl kaufen", "junk", "Junk")):
        webmail.opens(subject)
        seen.click(f".toolbar a.{button}")
        webmail.until(folder, lambda held: len(held) == 1, f"the message in {folder}")
    webmail.lists(1)
    seen.picture("put-away")
    seen.click("#taskmenu a.logout")
    seen.shows("#rcmloginsubmit")
    seen.picture("logged-out")


def test_a_day_of_a_user(webmail):
    webmail.append(letter_with_everything())
    for number in range(3):
        webmail.append(letter(f"Invoice {number}"))
    for step in (logs_in, reads, writes_to_herself, finds_and_marks, moves, deletes, puts_away):
        with webmail.browser.pictured(step.__name__):
            step(webmail)
    expected = "AUTHENTICATIONFAILED|Login failed|^401 .*_task=login"
    assert not [one for one in webmail.complaints() if not re.search(expected, one)]


def test_ringpost_files_what_was_sent_where_it_is_told_so(stage):
    webmail = Webmail(stage, sent="yes", config={"$ringpost_files_sent = false":
                                                 "$ringpost_files_sent = true"})
    webmail.log_in()
    webmail.inbox_is_shown()
    webmail.compose(USER, "once", "Once.")
    assert "Save sent message in" not in webmail.browser.evaluate("document.body.textContent")
    webmail.send()
    webmail.until("INBOX", len, "the message to herself")
    webmail.relay.wait_empty()
    assert [flags for flags, _ in webmail.holds("Sent")] == ["\\Seen"]
    assert not webmail.complaints()


def test_no_secret_goes_to_a_server_that_cannot_show_who_it_is(stage):
    webmail = Webmail(stage, trusted=False)
    before = webmail.relay.metrics()
    webmail.log_in()
    webmail.browser.shows("#messagestack div", "Connection to storage server failed")
    webmail.browser.picture("not-trusted")
    after = webmail.relay.metrics()
    for name in before:
        assert not name.startswith("ringpost_logins") or before[name] == after[name], name
    assert "certificate verify failed" in webmail.roundcube.log("errors")


def test_only_what_is_meant_for_browsers_can_be_fetched(webmail):
    for path, status in (("", 200), ("index.php", 200), ("skins/elastic/watermark.html", 200),
                         ("program/js/app.min.js", 200), ("favicon.ico", 200),
                         ("config/config.inc.php", 404), ("logs/errors.log", 404),
                         ("../roundcube.sqlite", 400), (".htaccess", 404),
                         ("plugins/archive/archive.php", 404), ("skins/elastic/meta.json", 404),
                         ("program/include/iniset.php", 404), ("SQL/sqlite.initial.sql", 404),
                         ("bin/gc.sh", 404), ("installer/", 404), ("index.php/config", 404)):
        assert webmail.status(path) == status, path


def test_the_sizes_agree():
    """A message that Roundcube takes is one that ringpost takes, and one upload of PHP and nginx."""
    texts = [(roundcube.PACKAGED / name).read_text()
             for name in ("ringpost.inc.php", "php-fpm.conf", "nginx.conf")]
    message, upload, post, body = (
        int(re.search(pattern, text)[1]) for pattern, text in (
            (r"'max_message_size'\] = '(\d+)M'", texts[0]),
            (r"upload_max_filesize\] = (\d+)M", texts[1]),
            (r"post_max_size\] = (\d+)M", texts[1]),
            (r"client_max_body_size (\d+)m;", texts[2])))
    manual = (parts.ROOT / "docs" / "man" / "ringpost.yaml.5").read_text()
    limit = int(re.search(r"It Li message_size\n(?:.*\n)*?Default: (\d+)MiB", manual)[1])
    assert message == limit == upload and post == body > upload
