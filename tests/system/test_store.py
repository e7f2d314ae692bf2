"""Mail for hosted domains ends in Maildirs: once, whole, and where other programs find it."""

import contextlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import time

import needs
import parts
import pytest


class Hosted:
    """A relay with accounts at b.example, and what is filed for them."""

    def __init__(self, directory, **settings):
        self.relay = parts.Ringpost(directory, **settings)
        self.mail = self.relay.state_dir / "mail"

    def cli(self, *args, **kwargs):
        return self.relay.cli(*args, **kwargs)

    def prepare(self, *accounts):
        self.relay.start()
        self.cli("tenant", "add", "shop")
        self.cli("domain", "add", "shop", "b.example", "--active", "--hosted")
        for account in accounts or ("anna@b.example",):
            self.cli("account", "add", *account.split())
        time.sleep(1.5)  # the engines look once a second
        return self

    def files(self, local="anna", folder="", part="new", domain="b.example"):
        return sorted((self.mail / domain / local / folder / part).glob("*"))

    def text(self, path):
        return path.read_bytes().decode()


@pytest.fixture
def hosted(tmp_path):
    made = []

    def make(*accounts, **settings):
        made.append(Hosted(tmp_path, **settings))
        return made[-1].prepare(*accounts)

    yield make
    for one in made:
        if one.relay.running():
            one.relay.stop()


def test_mail_for_an_account_is_filed(hosted):
    h = hosted()
    id = h.relay.submit("Anna@B.example", sender="x@a.example", body="hello\r\n.dot\r\n" + "ö" * 30)
    event = h.relay.wait_events(1, id=id, kind="filed")[0]
    assert [e["kind"] for e in h.relay.events(id=id)] == ["accepted", "filed"]
    assert (event["egress"]["site"], event["egress"]["mx_host"]) == ("local:store", "store")
    assert event["attempt"]["number"] == 1
    (path,) = h.files()
    text = h.text(path)
    assert text.startswith("Return-Path: <x@a.example>\r\nDelivered-To: anna@b.example\r\nReceived: ")
    assert text.endswith("hello\r\n.dot\r\n" + "ö" * 30 + "\r\n")
    assert f",S={path.stat().st_size},W={path.stat().st_size}" in path.name
    for at in (path, path.parent, h.mail, h.mail / "b.example"):
        assert at.stat().st_mode & 0o077 == 0
    audit = h.cli("events", "audit", "--json").stdout
    assert json.loads(audit.splitlines()[-1])["adds_up"] is True, audit
    metrics = h.relay.metrics()
    assert metrics['ringpost_store_filed_total{result="filed"}'] == 1
    assert metrics['ringpost_pool_done_total{pool="store"}'] >= 1
    trace = h.cli("trace", id).stdout
    assert "filed" in trace


def test_large_content_is_filed_whole(hosted):
    h = hosted()
    body = "\r\n".join(f"{i:070d}" for i in range(20000))
    id = h.relay.submit("anna@b.example", body=body)
    h.relay.wait_events(1, id=id, kind="filed")
    (path,) = h.files()
    assert path.read_bytes().decode().endswith(body + "\r\n")


def test_who_is_not_there_bounces_and_who_is_elsewhere_does_not_stop_it(hosted, tmp_path):
    h = hosted("anna@b.example", "otto@b.example")
    h.cli("alias", "add", "both@b.example", "anna@b.example", "otto@b.example")
    time.sleep(1.5)
    id = h.relay.submit(["nobody@b.example", "anna+list@b.example", "both@b.example"],
                        sender="otto@b.example")
    bounced = h.relay.wait_events(1, id=id, kind="bounced")[0]
    assert (bounced["recipient"], bounced["reply"]["enhanced"]) == ("nobody@b.example", "5.1.1")
    h.relay.wait_events(2, id=id, kind="filed")
    parts.wait_for(lambda: len(h.files("otto")) == 2, "the notification and the copy")
    assert len(h.files("anna")) == 2
    assert any("Undelivered mail" in h.text(path) for path in h.files("otto"))
    h.relay.wait_empty()


def test_domain_that_becomes_hosted_takes_what_waits(hosted):
    h = hosted(routes='[{match: "*", to: ["127.0.0.1:1"]}]')
    id = h.relay.submit("eva@later.example")
    h.relay.wait_events(1, id=id, kind="deferred")
    h.cli("domain", "add", "shop", "later.example", "--active", "--hosted")
    h.cli("account", "add", "eva@later.example")
    h.relay.wait_events(1, id=id, kind="filed")
    assert len(h.files("eva", domain="later.example")) == 1
    h.cli("account", "remove", "eva@later.example")
    h.cli("domain", "remove", "later.example")
    time.sleep(2)
    id = h.relay.submit("eva@later.example")
    event = h.relay.wait_events(1, id=id, kind="deferred")[0]
    assert event["egress"]["site"] != "local:store"


def test_full_account_defers_and_too_large_a_message_bounces(hosted):
    h = hosted("anna@b.example --quota 3KiB")
    first = h.relay.submit("anna@b.example", body="x" * 1500)
    h.relay.wait_events(1, id=first, kind="filed")
    second = h.relay.submit("anna@b.example", body="x" * 1500)
    event = h.relay.wait_events(1, id=second, kind="deferred")[0]
    assert event["reply"]["enhanced"] == "4.2.2" and event["rule"] == "store-quota"
    explained = json.loads(h.cli("queue", "explain", second, "--json").stdout.splitlines()[0])
    assert "mailbox-full" in json.dumps(explained) or explained["constraint"] == "retry-delay"
    third = h.relay.submit("anna@b.example", body="x" * 5000)
    assert h.relay.wait_events(1, id=third, kind="bounced")[0]["reply"]["enhanced"] == "5.2.2"
    assert "S\n" in (h.mail / "b.example/anna/maildirsize").read_text()
    h.cli("account", "set", "anna@b.example", "--quota", "none")
    h.relay.wait_events(1, id=second, kind="filed")


def test_store_that_cannot_be_used_defers_and_loses_nothing(hosted):
    h = hosted("anna@b.example", "otto@b.example")
    (h.mail / "b.example").mkdir(mode=0o700)
    elsewhere = h.relay.directory / "elsewhere"
    elsewhere.mkdir()
    (h.mail / "b.example/anna").symlink_to(elsewhere)
    id = h.relay.submit(["anna@b.example", "otto@b.example"])
    event = h.relay.wait_events(1, id=id, kind="deferred")[0]
    assert event["recipient"] == "anna@b.example"
    assert "link" in event["reply"]["text"] and event["reply"]["enhanced"] == "4.3.0"
    h.relay.wait_events(1, id=id, kind="filed")
    assert not list(elsewhere.iterdir())
    (h.mail / "b.example/anna").unlink()
    h.relay.wait_events(2, id=id, kind="filed")
    assert len(h.files()) == 1 and len(h.files("otto")) == 1
    h.relay.wait_empty()


def test_all_of_the_store_is_removed_and_replaced(hosted):
    """Mail goes where its readers look: not into what was removed, nor into what was moved away."""
    h = hosted("anna@b.example")
    h.relay.wait_events(1, id=h.relay.submit("anna@b.example"), kind="filed")
    shutil.rmtree(h.mail)
    h.relay.wait_events(1, id=h.relay.submit("anna@b.example"), kind="filed")
    assert len(h.files()) == 1
    h.relay.wait_log("it was removed or replaced while it was open")
    away = h.relay.directory / "away"
    h.mail.rename(away)
    h.mail.mkdir(mode=0o700)
    h.relay.wait_events(1, id=h.relay.submit("anna@b.example"), kind="filed")
    assert len(h.files()) == 1 and len(list(away.glob("b.example/anna/new/*"))) == 1
    # Back again, and by a link, as at a start.
    shutil.rmtree(h.mail)
    h.mail.symlink_to(away)
    h.relay.wait_events(1, id=h.relay.submit("anna@b.example"), kind="filed")
    assert len(h.files()) == 2
    h.relay.wait_empty()


def test_account_that_was_disabled_keeps_its_mail_waiting(hosted):
    h = hosted()
    h.cli("account", "disable", "anna@b.example")
    time.sleep(1)
    id = h.relay.submit("anna@b.example")
    assert h.relay.wait_events(1, id=id, kind="deferred")[0]["reply"]["enhanced"] == "4.2.1"
    h.cli("account", "enable", "anna@b.example")
    h.relay.wait_events(1, id=id, kind="filed")


def dovecot(maildir, *command):
    """What Dovecot makes of a copy of a Maildir; it does not serve root."""
    with tempfile.TemporaryDirectory(prefix="ringpost-dovecot-", dir="/tmp") as place:
        place = pathlib.Path(place)
        shutil.copytree(maildir, place / "mail")
        user = pwd.getpwuid(os.getuid() or pwd.getpwnam("nobody").pw_uid)
        for path in [place, *place.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)
        (place / "conf").write_text(
            f"mail_location = maildir:{place}/mail\nmail_uid = {user.pw_uid}\n"
            f"mail_gid = {user.pw_gid}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
            f"base_dir = {place}/run\nlog_path = /dev/stderr\nssl = no\n")
        done = subprocess.run([parts.need("doveadm"), "-c", place / "conf", *command],
                              env={**os.environ, "USER": user.pw_name, "HOME": str(place)},
                              capture_output=True, text=True, timeout=parts.PATIENCE, check=False)
        assert done.returncode == 0 and not done.stderr, done
        return done.stdout


def test_dovecot_reads_what_was_filed(hosted):
    h = hosted()
    body = "first line\r\n" + "ö" * 100 + "\r\n.\r\nlast"
    for subject in ("one", "two"):
        id = h.relay.submit("anna@b.example", sender="x@a.example", body=body,
                            headers=f"X-Number: {subject}\r\n")
        h.relay.wait_events(1, id=id, kind="filed")
    told = dovecot(h.mail / "b.example/anna", "-f", "flow", "fetch",
                   "hdr.x-number hdr.return-path size.physical size.virtual", "mailbox", "INBOX")
    assert sorted(line.split()[0] for line in told.splitlines()) == [
        "hdr.x-number=one", "hdr.x-number=two"], told
    sizes = {path.stat().st_size for path in h.files()}
    for line in told.splitlines():
        values = dict(part.split("=", 1) for part in line.split())
        assert values["hdr.return-path"] == "<x@a.example>"
        assert int(values["size.physical"]) == int(values["size.virtual"]) in sizes
    text = dovecot(h.mail / "b.example/anna", "fetch", "text", "HEADER", "X-Number", "one")
    assert "ö" * 100 in text and "\n.\n" in text.replace("\r", "")
    shown = json.loads(h.cli("account", "show", "anna@b.example", "--json").stdout)
    assert (shown["messages"], shown["bytes"]) == (2, sum(p.stat().st_size for p in h.files()))


@needs.root_mark("a small file system that fills")
def test_full_disk_defers_and_files_when_there_is_room(hosted, tmp_path):
    needs.own_mounts("a small file system that fills")
    mail = tmp_path / "state" / "mail"
    mail.mkdir(parents=True, mode=0o700)
    mail.parent.chmod(0o700)
    parts.run(["mount", "-t", "tmpfs", "-o", "size=8M,mode=0700", "tmpfs", mail])
    try:
        h = hosted()
        ballast = mail / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * 4096)
        ids = [h.relay.submit("anna@b.example", body="x" * 9000) for _ in range(20)]
        for id in ids:
            event = h.relay.wait_events(1, id=id, kind="deferred")[0]
            assert (event["rule"], event["reply"]["enhanced"]) == ("store-full", "4.3.1"), event
        ballast.unlink()
        for id in ids:
            h.relay.wait_events(1, id=id, kind="filed")
        assert len(h.files()) == 20 and not h.files(part="tmp")
        h.relay.wait_empty()
        h.relay.stop()
    finally:
        parts.run(["umount", "-l", mail])


def test_kill_at_any_moment_files_each_once(hosted):
    """Also what its reader has taken meanwhile is not filed again."""
    h = hosted(*[f"u{i}@b.example" for i in range(5)])
    wanted, taken = {}, set()
    for round in range(6):
        with h.relay.smtp() as smtp:
            smtp.ehlo("client.example")
            for i in range(60):
                to = [f"u{(i + k) % 5}@b.example" for k in range(1 + i % 3)]
                smtp.mail("x@a.example")
                for address in to:
                    assert smtp.rcpt(address)[0] == 250
                code, text = smtp.data(b"Subject: x\r\n\r\nhello\r\n")
                assert code == 250
                wanted[text.decode().split()[-1]] = to
        time.sleep(0.01 * round)
        h.relay.kill()
        # A reader of u0 removes all it sees.
        for path in h.files("u0"):
            taken.add(path.name)
            path.unlink()
        h.relay.start()
    h.relay.wait_empty()
    names = {}
    for i in range(5):
        names[i] = [path.name for path in h.files(f"u{i}")]
        assert not h.files(f"u{i}", part="tmp")
    assert not taken & set(names[0]), "what was removed was filed again"
    got = sum(len(n) for n in names.values()) + len(taken)
    assert got == sum(len(to) for to in wanted.values())
    audit = h.cli("events", "audit", "--json").stdout
    assert json.loads(audit.splitlines()[-1])["adds_up"] is True, audit
