"""Mail of tenants leaves signed: what is accepted verifies after delivery, whoever looks at it."""

import json
import os
import random
import re
import socket
import subprocess
import threading
import time

import dkim
import parts
import pytest
import rspamd
from rawsmtp import Raw
from receiver import EXTENSIONS
from test_dkim import (DKIMPY_CANNOT, GO_MSGAUTH, OPENDKIM_CANNOT, RSPAMD_CANNOT, GoVerifier, shapes,
                       text_record)

DOMAIN = "example.org"  # whose messages shapes() are
FORM = "relaxed/relaxed"
#: The ways out: {recipient domain: what its receiver offers}
WAYS = {
    "data.example": [e for e in EXTENSIONS if e != "CHUNKING"],
    "bdat.example": EXTENSIONS,
    "seven.example": [e for e in EXTENSIONS if e not in ("CHUNKING", "8BITMIME")],
}


class Shop:
    """A relay that signs for a tenant, receivers for each way out, and what DNS would say."""

    def __init__(self, stage, **settings):
        self.rng = random.Random(1870)
        self.receivers = {name: stage.receiver(extensions=extensions)
                          for name, extensions in WAYS.items()}
        port, self.login_port = parts.free_ports(2)
        routes = ", ".join(f'{{match: "{name}", to: ["127.0.0.1:{receiver.port}"]}}'
                           for name, receiver in self.receivers.items())
        self.relay = stage.ringpost(
            routes=f"[{routes}]",
            listeners=f'[{{address: "127.0.0.1:{port}", service: submission, '
                      f'trust: ["127.0.0.0/8"], tenant: shop}}, '
                      f'{{address: "127.0.0.1:{self.login_port}", service: submission}}]',
            auth='{plaintext: ["127.0.0.0/8"]}', **settings)
        self.relay.port = self.port = port
        self.relay.cli("tenant", "add", "shop")
        self.add("shop", DOMAIN, "--active")
        parts.wait_for(lambda: self.relay.status()["directory"]["domains"] == 1, "the domain")

    def add(self, *words):
        return json.loads(self.relay.cli("domain", "add", *words, "--json").stdout)

    def show(self, domain=DOMAIN):
        return json.loads(self.relay.cli("domain", "show", domain, "--json").stdout)

    def selectors(self, domain=DOMAIN, state="active"):
        return [key["selector"] for key in self.show(domain)["keys"] if key["state"] == state]

    def records(self, domain=DOMAIN):
        return {record["name"]: record["value"] for record in self.show(domain)["records"]
                if record["purpose"] == "dkim"}

    def pieces(self, content):
        """Cut at random, also between a CR and its LF."""
        ends = [match.start() + 1 for match in re.finditer(b"\r\n", content)]
        borders = [self.rng.randrange(len(content) + 1) for _ in range(self.rng.randrange(5))]
        borders = sorted(borders + self.rng.sample(ends, min(len(ends), self.rng.randrange(3))))
        return [content[start:end] for start, end in zip([0, *borders], [*borders, len(content)])]

    def send(self, content, way, chunks=False, check=True):
        """The reply to a message that is given by DATA or BDAT."""
        with Raw(self.port) as raw:
            raw.ehlo()
            assert raw.code("MAIL FROM:<joe@example.org>") == "250"
            assert raw.code(f"RCPT TO:<to@{way}>") == "250"
            if chunks:
                *first, last = self.pieces(content)
                for piece in first:
                    raw.tell(b"BDAT %d\r\n%s" % (len(piece), piece))
                    reply = raw.reply()
                    if not reply.startswith("250"):
                        break
                else:
                    raw.tell(b"BDAT %d LAST\r\n%s" % (len(last), last))
                    reply = raw.reply()
            else:
                assert raw.code("DATA") == "354"
                content += b"" if content.endswith(b"\r\n") else b"\r\n"
                for piece in self.pieces(re.sub(rb"(?m)^\.", b"..", content)):
                    raw.tell(piece)
                    time.sleep(0.001)  # else they are one again when they are read
                reply = raw.say(b".")
        assert not check or reply.startswith("250"), reply
        return reply

    def take(self, way):
        """What arrived there."""
        parts.wait_for(lambda: self.receivers[way].messages, f"a message over {way}")
        return self.receivers[way].messages.pop().content

    def passes(self, content, domain=DOMAIN):
        """The selectors of the signatures that pass, in dkimpy's eyes."""
        records, found = self.records(domain), []
        count = len(re.findall(rb"(?m)^DKIM-Signature:", content.split(b"\r\n\r\n")[0]))
        for number in range(count):
            try:
                verifier = dkim.DKIM(content)
                if verifier.verify(number, dnsfunc=lambda name, timeout=5: records.get(
                        name.decode().rstrip("."), "").encode()):
                    found.append(verifier.selector.decode())
            except dkim.ValidationError:
                pass
        return found


@pytest.fixture
def shop(stage):
    return Shop(stage)


def expected(shop):
    """RSA first: who looks at one signature only knows that algorithm."""
    return sorted(shop.selectors(), key=lambda name: "r" not in name[10:])


def test_what_is_accepted_verifies_after_delivery(shop):
    """The ugly ones, in and out by DATA and by BDAT."""
    wanted = expected(shop)
    assert [name[10] for name in wanted] == ["r", "e"]
    accepted = 0
    for name, message in shapes().items():
        if (name, FORM) in DKIMPY_CANNOT or len(message) > 500_000:
            continue
        for way, chunks in (("data.example", False), ("bdat.example", True),
                            ("data.example", True), ("bdat.example", False)):
            reply = shop.send(message, way, chunks, check=False)
            if not reply.startswith("250"):
                continue
            accepted += 1
            assert shop.passes(shop.take(way)) == wanted, (name, way, chunks)
    assert accepted > 50, accepted


def random_message(rng):
    """Valid enough to be taken: folds, odd cases, fields twice or missing, 8-bit, blank ends."""
    def words(count):
        return b"".join(rng.choice([b"word", b" ", b"  ", b"\t", b".", b"x=1;", b"=?utf-8?q?a?=",
                                    "ä€".encode(), b"\xff"]) for _ in range(rng.randrange(count)))

    def value():
        parts_ = [words(8) for _ in range(rng.randrange(1, 4))]
        return b"\r\n ".join(part if part.strip() else b"y" for part in parts_)

    names = [b"Subject", b"To", b"Cc", b"Date", b"Message-ID", b"Reply-To", b"MIME-Version",
             b"Content-Type", b"References", b"List-Unsubscribe", b"List-Id", b"X-A", b"Received"]
    fields = [rng.choice(names) + b":" + rng.choice([b"", b" ", b"\t"]) + value()
              for _ in range(rng.randrange(12))]
    fields.insert(rng.randrange(len(fields) + 1),
                  rng.choice([b"From: ", b"FROM:", b"from:\t"]) + b"Joe <joe@example.org>")
    body = [rng.choice([words(20), b"", b" ", b".", b"..", b"\t "])
            for _ in range(rng.randrange(12))]
    return b"\r\n".join(fields) + b"\r\n\r\n" + b"\r\n".join(body) + rng.choice([b"", b"\r\n"])


def test_random_messages_verify_after_delivery(shop):
    rng = random.Random(6376)
    wanted = expected(shop)
    for number in range(120):
        message = random_message(rng)
        way = rng.choice(["data.example", "bdat.example"])
        is_8bit = any(byte > 127 for byte in message)
        if not is_8bit and rng.randrange(2):
            way = "seven.example"
        shop.send(message, way, rng.randrange(2) == 1)
        assert shop.passes(shop.take(way)) == wanted, (number, message)
    # What was changed on its way does not, else the above shows nothing.
    shop.send(b"From: joe@example.org\r\nSubject: a\r\n\r\nhello\r\n", "data.example")
    content = shop.take("data.example")
    for changed in (content.replace(b"hello", b"hallo"), b"Subject: other\r\n" + content,
                    content.replace(b"Subject: a", b"Subject: b"), b"To: x@y.example\r\n" + content):
        assert shop.passes(changed) == []


def test_large_content_is_signed_as_it_is_stored(shop):
    line = b"0123456789 abcdefghij  \t\r\n"
    message = b"From: joe@example.org\r\nBcc: hidden@data.example\r\n\r\n" + line * 60_000
    shop.send(message, "data.example")
    content = shop.take("data.example")
    assert b"Bcc:" not in content and len(content) > 1_500_000
    assert shop.passes(content) == expected(shop)


def test_others_pass_what_was_delivered(stage, shop, tmp_path):
    """OpenDKIM, rspamd and, where it is installed, go-msgauth; cut at random on the way in."""
    records = shop.records()
    (tmp_path / "keys").write_text("".join(f"{name} {value}\n" for name, value in records.items()))
    config = tmp_path / "opendkim.conf"
    config.write_text(f"Mode v\nTestPublicKeys {tmp_path / 'keys'}\nSyslog no\nSoftwareHeader no\n")
    zone = "\n".join(f"{name}. TXT {text_record(value)}" for name, value in records.items())
    verifier = stage.add(rspamd.DkimVerifier(stage.directory / "rspamd",
                                             stage.nsd({DOMAIN: zone}).port))
    files = []
    for number, (name, message) in enumerate(shapes().items()):
        way = "data.example" if number % 2 else "bdat.example"
        chunks = number // 2 % 2 == 1
        if not shop.send(message, way, chunks, check=False).startswith("250"):
            continue
        content = shop.take(way)
        file = tmp_path / f"{number}.eml"
        file.write_bytes(content)
        files.append(file)
        if (name, FORM) not in RSPAMD_CANNOT:
            assert verifier.passed(content) == sorted(shop.selectors()), name
        if (name, FORM) in OPENDKIM_CANNOT:
            continue
        done = subprocess.run([parts.need("opendkim"), "-x", config, "-vv", "-t", file],
                              check=False, capture_output=True, text=True, errors="replace")
        assert len(re.findall(r"dkim=pass", done.stdout)) == 2, (name, done.stdout)
    assert len(files) > 12
    if os.path.isdir(GO_MSGAUTH):
        keys = {name.split(".")[0]: value for name, value in records.items()}
        results = GoVerifier(tmp_path, keys).results(*files)
        assert results == [["", ""]] * len(files), results


def test_8bit_towards_a_server_without_it_is_returned(shop):
    """Converting it would break the signature."""
    shop.send("From: joe@example.org\r\n\r\nGrüße\r\n".encode(), "seven.example")
    bounced = shop.relay.wait_events(1, kind="bounced")[0]
    assert (bounced["reply"]["enhanced"], bounced["rule"]) == ("5.6.3", "peer-8bitmime")


def test_our_notifications_are_signed_by_whose_domain_our_name_is(shop):
    """A bounce for joe is signed once somebody has the domain of mta1.ringpost.example, and leaves
    all the same where the key is gone."""
    relay = shop.relay
    relay.write_config(routes=relay.settings["routes"].replace(
        "[", f'[{{match: "{DOMAIN}", to: ["127.0.0.1:{shop.receivers["data.example"].port}"]}}, ', 1))
    relay.cli("reload")
    shop.receivers["seven.example"].act = lambda session, stage, line: (
        "550 5.1.1 nobody" if stage == "rcpt" else None)

    def bounce():
        shop.send(b"From: joe@example.org\r\n\r\nx\r\n", "seven.example")
        return shop.take("data.example")
    assert b"DKIM-Signature" not in bounce().split(b"\r\n\r\n")[0]
    domain = "ringpost.example"
    shop.add("shop", domain, "--active", "--sub-domains")
    parts.wait_for(lambda: relay.status()["directory"]["domains"] == 2, "the domain")
    content = bounce()
    assert len(shop.passes(content, domain)) == 2
    assert b"From: Mail Delivery System <MAILER-DAEMON@mta1.ringpost.example>" in content
    told = relay.wait_events(1, kind="accepted", recipient="joe@example.org")
    parts.wait_for(lambda: [e for e in relay.events(kind="accepted", recipient="joe@example.org")
                            if e["dkim"]["domain"] == domain], "its event")
    assert told[0]["dkim"]["result"] == "no-domain"
    relay.stop()
    for file in key_files(shop, domain):
        file.unlink()
    relay.start()
    assert b"DKIM-Signature" not in bounce().split(b"\r\n\r\n")[0]
    relay.wait_log('unsigned="key"')


def test_events_and_metrics_tell_of_signatures(shop):
    relay = shop.relay
    before = relay.metrics()
    shop.add("shop", "waits.example")
    shop.add("shop", "below.example", "--active", "--sub-domains")
    relay.cli("tenant", "add", "other")
    shop.add("other", "other.example", "--active")
    parts.wait_for(lambda: relay.status()["directory"]["domains"] == 4, "the domains")
    cases = [("joe@example.org", "signed", DOMAIN),
             ("joe@waits.example", "domain-pending", None),
             ("joe@other.example", "no-domain", None),
             ("joe@nowhere.example", "no-domain", None),
             ("joe@mail.Below.Example", "signed", "below.example"),
             ("one@example.org, two@below.example", "signed", DOMAIN),
             ("one@other.example, two@below.example", "signed", "below.example"),
             ("not an address", "no-from", None)]
    for author, result, domain in cases:
        message_id = shop.send(f"From: {author}\r\n\r\nx\r\n".encode(), "data.example").split()[-1]
        content = shop.take("data.example")
        event = relay.wait_events(1, kind="accepted", id=message_id)[0]
        selectors = shop.selectors(domain) if domain else None
        assert event["dkim"]["result"] == result, author
        assert event["dkim"]["domain"] == domain, author
        assert sorted(event["dkim"]["selectors"] or []) == sorted(selectors or []), author
        assert (b"DKIM-Signature" in content) == (domain is not None), author
        if domain:
            assert sorted(shop.passes(content, domain)) == sorted(selectors)
        if author.startswith("one@example.org"):  # each domain of From has signatures of its own
            assert sorted(shop.passes(content, "below.example")) == sorted(
                shop.selectors("below.example"))
    now = relay.metrics()

    def more(name):
        return now[name] - before[name]
    assert more('ringpost_dkim_messages_total{result="signed"}') == 4
    assert more('ringpost_dkim_messages_total{result="unsigned"}') == 4
    assert more('ringpost_dkim_signatures_total{algorithm="rsa-sha256"}') == 5
    assert more('ringpost_dkim_signatures_total{algorithm="ed25519-sha256"}') == 5
    assert more("ringpost_dkim_signing_seconds_count") == 4
    assert now["ringpost_dkim_keys"] >= 4


def test_mail_of_nobody_is_not_signed(stage):
    receiver = stage.receiver()
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]')
    relay.cli("tenant", "add", "shop")
    relay.cli("domain", "add", "shop", "client.example", "--active")
    parts.wait_for(lambda: relay.status()["directory"]["domains"] == 1, "the domain")
    relay.submit("to@there.example")
    relay.wait_empty()
    assert b"DKIM-Signature" not in receiver.messages[0].content
    event, = relay.wait_events(1, kind="accepted")
    assert event["dkim"] == {"result": None, "domain": None, "selectors": None}


def key_files(shop, domain=DOMAIN):
    return [shop.relay.state_dir / "keys" / key["file"] for key in shop.show(domain)["keys"]]


def test_mail_whose_key_is_not_there_waits(shop):
    """Missing, not a key, another key: 451 and a line in the log; never unsigned."""
    relay = shop.relay
    message = "From: joe@{}\r\n\r\nx\r\n"
    for number, spoil in enumerate((lambda file: file.unlink(),
                                    lambda file: file.write_text("no key\n"),
                                    lambda file: file.write_bytes(key_files(shop)[0].read_bytes()))):
        domain = f"spoiled{number}.example"
        shop.add("shop", domain, "--active")
        file = key_files(shop, domain)[number % 2]
        kept = file.read_bytes()
        spoil(file)
        parts.wait_for(lambda n=number: relay.status()["directory"]["domains"] == n + 2, "it")
        content = message.format(domain).encode()
        assert shop.send(content, "data.example", check=False).startswith("451 4.3.5")
        relay.wait_log(f"keys/{domain}")
        file.write_bytes(kept)
        file.chmod(0o600)
        parts.wait_for(lambda c=content: shop.send(c, "data.example", check=False)[:3] == "250",
                       "the key to be read again", pause=0.5)
        assert len(shop.passes(shop.take("data.example"), domain)) == 2
    assert 'rule=dkim' in relay.log.read_text(errors="replace") or relay.metrics()[
        'ringpost_dkim_messages_total{result="failed"}'] >= 3
    assert relay.metrics()['ringpost_dkim_key_reads_total{result="failed"}'] >= 3
    assert not [event for event in relay.events() if event["dkim"]["result"] in ("key", "header")]


def test_header_that_cannot_be_signed_is_refused(shop):
    message = b"From: joe@example.org\r\n" + b"X-Long: %s\r\n" % (b"x" * 900) * 400 + b"\r\nx\r\n"
    assert shop.send(message, "data.example", check=False).startswith("550 5.6.0")
    assert shop.send(b"To: b\r\n" * 1990 + message[:23] + b"\r\nx\r\n", "data.example",
                     check=False)[:3] in ("250", "550")


def test_sign_uses_the_keys_of_the_directory(shop, tmp_path):
    message = tmp_path / "mail.eml"
    message.write_bytes(b"From: joe@example.org\r\nSubject: x\r\n\r\nhello\r\n")
    for daemon_runs in (True, False):
        done = subprocess.run([parts.PROGRAM, "-c", shop.relay.config_file, "sign", "--domain",
                               DOMAIN.upper(), message], check=True, capture_output=True)
        assert shop.passes(done.stdout) == expected(shop)
        if daemon_runs:
            shop.relay.stop()
    shop.add("shop", "waits.example")
    for domain, words in (("waits.example", "none of its keys is active"),
                          ("nowhere.example", "there is no domain")):
        refused = shop.relay.cli("sign", "--domain", domain, message, check=False)
        assert refused.returncode == 1 and words in refused.stderr, refused
    shop.relay.start()


def test_keys_are_switched_while_mail_runs(shop):
    """A rotation: at each moment what leaves is signed by keys whose records stand."""
    relay = shop.relay
    old = sorted(shop.selectors())
    shop.relay.cli("domain", "rotate", DOMAIN)
    shop.send(b"From: joe@example.org\r\n\r\nx\r\n", "data.example")
    assert sorted(shop.passes(shop.take("data.example"))) == old
    new = sorted(shop.selectors(state="published"))
    # As `domain rotate` does once the records are seen; there is no DNS here.
    database = relay.state_dir / "directory.db"
    import sqlite3
    with sqlite3.connect(database) as link:
        link.execute("UPDATE dkim_keys SET state = 3 - state WHERE state IN (1, 2)")
        link.execute("UPDATE dkim_keys SET state = 1 WHERE state = 0")
    link.close()

    def is_switched():
        shop.send(b"From: joe@example.org\r\n\r\nx\r\n", "data.example")
        return sorted(shop.passes(shop.take("data.example"))) == new
    parts.wait_for(is_switched, "the switch")


def test_few_keys_in_memory_serve_many_domains(stage):
    shop = Shop(stage, dkim="{keys: 4, lifetime: 1h, canonicalization: simple/relaxed}")
    for number in range(8):
        shop.add("shop", f"d{number}.example", "--active")
    parts.wait_for(lambda: shop.relay.status()["directory"]["domains"] == 9, "the domains")
    for _ in range(2):
        for number in range(8):
            domain = f"d{number}.example"
            shop.send(f"From: joe@{domain}\r\n\r\nx\r\n".encode(), "data.example")
            content = shop.take("data.example")
            assert len(shop.passes(content, domain)) == 2
            assert b"c=simple/relaxed" in content
            times = re.search(rb"t=(\d+);\s+x=(\d+);", content)
            assert int(times.group(2)) - int(times.group(1)) == 3600
    assert shop.relay.metrics()["ringpost_dkim_keys"] <= 8  # four an engine


def test_many_clients_at_once_are_all_signed(shop):
    """More signatures than a turn has time for; clients that go meanwhile take nothing along."""
    replies = []

    def client():
        for _ in range(10):
            replies.append(shop.send(b"From: joe@example.org\r\n\r\nx\r\n", "data.example"))

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()
    gone = []
    for _ in range(20):
        link = socket.create_connection(("127.0.0.1", shop.port))
        link.sendall(b"EHLO x\r\nMAIL FROM:<joe@example.org>\r\nRCPT TO:<g@data.example>\r\nDATA\r\n"
                     b"From: joe@example.org\r\n\r\nx\r\n.\r\n")
        gone.append(link)
        time.sleep(0.01)
        link.close()
    for thread in threads:
        thread.join()
    assert len(replies) == 160
    shop.relay.wait_empty()
    messages = shop.receivers["data.example"].messages
    assert len([m for m in messages if m.to() != ["g@data.example"]]) >= 160
    for message in random.Random(1).sample(messages, 20):
        assert shop.passes(message.content) == expected(shop)
    assert os.path.exists(f"/proc/{shop.relay.child.pid}")
