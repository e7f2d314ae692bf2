"""Mail that lies elsewhere comes into accounts: whole, once, with its flags, dates and folders."""

import email.utils
import imaplib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import dovecot
import fulldisk
import needs
import parts
import pytest
from test_imap import Mail

FETCH = re.compile(rb'FLAGS \(([^)]*)\).*INTERNALDATE "([^"]*)"', re.S)


class Scene:
    """A relay that serves IMAP, an account, and what imports into it."""

    def __init__(self, stage, **settings):
        self.stage = stage
        self.mail = Mail(stage, **settings)
        self.relay = self.mail.relay
        self.place = pathlib.Path(stage.directory)
        self.password = self.place / "password"
        self.password.write_text(dovecot.SECRET + "\n")

    def command(self, source, *options):
        return ["account", "import", self.mail.user, str(source), *map(str, options)]

    def run(self, source, *options, code=0, **kwargs):
        """The summary; what was told on the way stands in it as "notes"."""
        done = self.relay.cli(*self.command(source, *options, "--json"), check=False, **kwargs)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        summary = next((line for line in lines if "end" in line), {})
        summary["notes"] = [line["note"] for line in lines if "note" in line]
        summary["stderr"] = done.stderr
        return summary

    def from_imap(self, server, *options, tls=True, user="anna", **kwargs):
        port = server.tls_port if tls else server.port
        return self.run(f"{'imaps' if tls else 'imap'}://{user}@localhost:{port}/",
                        "--password-file", self.password, "--ca-file", server.ca_file, *options,
                        **kwargs)

    def maildir(self):
        path = self.place / "source"
        for part in ("cur", "new", "tmp"):
            (path / part).mkdir(parents=True, exist_ok=True)
        return path


def shown(client, mailbox):
    """All messages of a mailbox: (flags, date, content), sorted by content."""
    kind, data = client.select(f'"{mailbox}"', readonly=True)
    assert kind == "OK", data
    if data[0] == b"0":
        return []
    kind, data = client.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    assert kind == "OK"
    told = []
    for at in range(0, len(data), 2):
        head, content = data[at]
        match = FETCH.search(head + b" " + data[at + 1])
        flags = sorted(set(match.group(1).split()) - {b"\\Recent"})
        date = imaplib.Internaldate2tuple(b'INTERNALDATE "' + match.group(2) + b'"')
        told.append((content, flags, time.mktime(date)))
    return sorted(told)


def fill(server, user):
    """Messages of every kind in folders of every kind; names of the folders as they become ours."""
    client = server.client(user)
    folders = {"INBOX": "INBOX", "Sent": "Sent", "Lists.Gr&APYA3w-e": "Lists/Gr&APYA3w-e",
               "a &- b.c": "a &- b/c"}
    prefix = client.namespace()[1][0].split(b'"')[1].decode()
    for name in folders:
        if name != "INBOX":
            client.create(f'"{prefix}{name}"')
    flags = ["", "\\Seen", "\\Answered \\Flagged", "\\Deleted", "\\Draft \\Seen", "$Forwarded Work"]
    for number in range(24):
        name = list(folders)[number % len(folders)]
        content = b"Subject: %d\r\n\r\n" % number + (b"line %d\r\n" % number) * (number * 200)
        if number % 5 == 0:
            content += b"\xff\xfe {12} 8-bit without an end"
        date = email.utils.localtime(email.utils.parsedate_to_datetime(
            f"Mon, 2 Mar 2015 10:{number:02}:00 +0100"))
        kind, data = client.append(f'"{prefix}{name}"' if name != "INBOX" else name,
                                   f"({flags[number % len(flags)]})", date, content)
        assert kind == "OK", data
    client.logout()
    return {(prefix + name if name != "INBOX" else name): ours for name, ours in folders.items()}


@pytest.fixture
def scene(stage):
    return Scene(stage)


@pytest.fixture
def server(stage):
    return stage.add(dovecot.Dovecot(stage.directory / "dovecot"))


@pytest.mark.parametrize("prefix", ["", "INBOX."])
def test_imap_server_is_taken_over_while_the_account_is_used(stage, scene, prefix):
    server = stage.add(dovecot.Dovecot(stage.directory / "dovecot", prefix=prefix))
    folders = fill(server, "anna")
    ours = scene.mail.client()
    ours.select("INBOX")  # a session that watches meanwhile
    dry = scene.from_imap(server, "--dry-run")
    assert dry["messages"] == 24 and dry["bytes"] > 0, dry
    assert ours.status("INBOX", "(MESSAGES)")[1] == [b"INBOX (MESSAGES 0)"]
    summary = scene.from_imap(server)
    assert (summary["messages"], summary["bad"], summary["known"], summary["end"]) == (
        24, 0, 0, "complete"), summary
    theirs = server.client("anna")
    for name, name_of_ours in folders.items():
        wanted = shown(theirs, name)
        parts.wait_for(lambda: len(shown(ours, name_of_ours)) == len(wanted), name)
        assert shown(ours, name_of_ours) == wanted, name
    assert {line.split(b'"/" ')[1].strip(b'"') for line in ours.lsub()[1]} == {
        name.encode() for name in folders.values() if name != "INBOX"}
    # Nothing was done to what is imported from, and nothing comes twice.
    again = scene.from_imap(server)
    assert (again["messages"], again["known"]) == (0, 24), again
    theirs.append("INBOX", "(\\Seen)", None, b"Subject: new\r\n\r\nx\r\n")
    more = scene.from_imap(server)
    assert (more["messages"], more["known"]) == (1, 24), more
    # At another port it is another server, by STARTTLS too.
    assert scene.from_imap(server, "--dry-run", tls=False)["messages"] == 25
    theirs.logout()


def test_server_is_believed_only_with_its_certificate_and_the_password(stage, scene, server):
    fill(server, "anna")
    other = certificates_of_another(stage)
    for options, why in [
            (("--ca-file", other), "certificate"),
            ((), "certificate"),  # the system's authorities do not know it
    ]:
        done = scene.run(f"imaps://anna@localhost:{server.tls_port}", "--password-file",
                         scene.password, *options, code=1)
        assert why in done["reason"] and done["end"] == "source", done
    wrong_name = scene.run(f"imaps://anna@127.0.0.1:{server.tls_port}", "--password-file",
                           scene.password, "--ca-file", server.ca_file, code=1)
    assert "mismatch" in wrong_name["reason"], wrong_name
    assert scene.run(f"imaps://anna@127.0.0.1:{server.tls_port}", "--password-file", scene.password,
                     "--insecure", "--dry-run")["messages"] == 24
    scene.password.write_text("wrong\n")
    wrong = scene.from_imap(server, code=1)
    assert "AUTHENTICATIONFAILED" in wrong["reason"], wrong
    assert scene.mail.client().select("INBOX")[1] == [b"0"]


def certificates_of_another(stage):
    import certificates
    return certificates.Issued(stage.directory, "another").path


def test_password_is_asked_for_on_a_terminal_and_never_an_argument(scene, server):
    pty = pytest.importorskip("pty")
    fill(server, "anna")
    source = f"imaps://anna@localhost:{server.tls_port}/"
    refused = scene.relay.cli(*scene.command(f"imaps://anna:secret@localhost:{server.tls_port}/"),
                              check=False)
    assert refused.returncode == 64 and "--password-file" in refused.stderr
    child, terminal = pty.fork()
    if child == 0:
        os.execv(parts.PROGRAM, [str(parts.PROGRAM), "-c", str(scene.relay.config_file),
                                 *scene.command(source, "--ca-file", server.ca_file)])
    said = b""
    while b"Password of anna at localhost: " not in said:
        said += os.read(terminal, 1000)
    time.sleep(0.2)
    os.write(terminal, dovecot.SECRET.encode() + b"\n")
    try:
        while True:
            said += os.read(terminal, 1000)
    except OSError:
        pass
    assert os.waitpid(child, 0)[1] == 0, said
    assert dovecot.SECRET.encode() not in said and b"24 messages imported" in said, said


def test_maildir_is_taken_over_with_and_without_a_daemon(stage, scene):
    source = scene.maildir()
    (source / "dovecot-keywords").write_text("0 Work\n1 $Junk\n")
    for number in range(40):
        path = source / "cur" / f"{1500000000 + number}.M1P1.host:2,{'Sa' if number % 2 else 'Fb'}"
        path.write_text(f"Subject: {number}\n\nhello\n")
        os.utime(path, (1500000000 + number,) * 2)
    ours = scene.mail.client()
    ours.select("INBOX")
    kind, _ = ours.append("INBOX", "(Mine)", None, b"Subject: ours\r\n\r\nx\r\n")
    assert kind == "OK"
    parts.wait_for(lambda: ours.noop() and ours.select("INBOX")[1] == [b"1"], "ours")
    assert scene.run(source)["messages"] == 40
    told = parts.wait_for(lambda: len(shown(ours, "INBOX")) == 41 and shown(ours, "INBOX"), "all")
    for content, flags, date in told:
        number = int(content.split()[1]) if b"ours" not in content else None
        if number is None:
            assert flags == [b"Mine"]
            continue
        assert flags == ([b"Work", b"\\Seen"] if number % 2 else [b"$Junk", b"\\Flagged"]), content
        assert date == 1500000000 + number
    # The same without a daemon, which finds it when it comes.
    scene.relay.stop()
    path = source / "new" / "1600000000.M1P1.host"
    path.write_text("Subject: later\n\nhello\n")
    summary = scene.run(source)
    assert (summary["messages"], summary["known"]) == (1, 40), summary
    scene.relay.start()
    ours = scene.mail.client()
    assert len(shown(ours, "INBOX")) == 42
    shows = scene.relay.cli("account", "show", scene.mail.user, "--json").stdout
    assert json.loads(shows)["messages"] == 42


def test_mboxes_are_taken_over(scene):
    box = scene.place / "boxes"
    (box / "Lists.sbd").mkdir(parents=True)
    message = ("From a@a.example Mon Mar  2 10:00:00 2026\nStatus: RO\nX-Status: F\n"
               "Subject: {}\n\n>From here\n\n")
    (box / "Inbox").write_text("".join(message.format(number) for number in range(10)))
    (box / "Lists.sbd" / "c").write_text(message.format("list"))
    (box / "readme.txt").write_text("no mail")
    summary = scene.run(box)
    assert (summary["messages"], summary["folders"]) == (11, 2)
    assert "readme.txt" in summary["notes"][0]
    ours = scene.mail.client()
    told = parts.wait_for(lambda: len(shown(ours, "INBOX")) == 10 and shown(ours, "INBOX"), "all")
    assert told[0][0] == b"Subject: 0\r\n\r\nFrom here\r\n"
    assert told[0][1] == [b"\\Flagged", b"\\Seen"]
    assert len(shown(ours, "Lists/c")) == 1
    one = scene.run(box / "Inbox", "--folder", "INBOX=Archive/2026")
    assert one["messages"] == 10  # another source
    assert len(shown(ours, "Archive/2026")) == 10
    text = scene.relay.cli(*scene.command(box, "--folder", "Lists/c=")).stdout
    assert text == "anna@b.example: 0 messages imported, 0.0 MiB, in 1 folders; 10 were there before, 0 bad\n"


def many(server, user, count):
    path = server.maildir(user)
    for number in range(count):
        (path / "cur" / f"{1500000000 + number}.M1P1.host:2,S").write_bytes(
            b"Subject: %d\r\n\r\nhello\r\n" % number)
    server.give(user)


def subjects_of(scene, folder="cur"):
    path = scene.relay.state_dir / "mail" / "b.example" / "anna" / folder
    return sorted(int(file.read_bytes().split(b"\r\n")[0].split()[1]) for file in path.iterdir())


def test_ten_thousand_messages_come_once_though_the_import_is_killed(scene, server):
    count = 10_000
    many(server, "anna", count)
    ours = scene.mail.client()
    ours.select("INBOX")
    kills = 0
    for wait in (0.3, 0.8, 0.5, 1.0, 0.4):
        child = subprocess.Popen(
            [parts.PROGRAM, "-c", scene.relay.config_file, *scene.command(
                f"imaps://anna@localhost:{server.tls_port}/", "--password-file", scene.password,
                "--ca-file", server.ca_file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        kills += child.poll() is None
        child.kill()
        child.wait()
        ours.noop()
    begun = time.monotonic()
    summary = scene.from_imap(server)
    took = time.monotonic() - begun
    print(f"{kills} kills, then {summary['messages']} of {count} messages in {took:.1f} s")
    assert kills > 0 and summary["messages"] + summary["known"] == count, summary
    assert subjects_of(scene) == list(range(count))
    parts.wait_for(lambda: ours.select("INBOX")[1] == [str(count).encode()], "all of them")
    assert scene.from_imap(server)["messages"] == 0


def test_interrupted_import_ends_in_order(scene, server):
    many(server, "anna", 5000)
    child = subprocess.Popen(
        [parts.PROGRAM, "-c", scene.relay.config_file, *scene.command(
            f"imaps://anna@localhost:{server.tls_port}/", "--password-file", scene.password,
            "--ca-file", server.ca_file, "--json")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    cur = scene.relay.state_dir / "mail" / "b.example" / "anna" / "cur"
    parts.wait_for(lambda: cur.exists() and any(cur.iterdir()), "the first messages", pause=0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    summary = json.loads(out.splitlines()[-1])
    if summary["end"] == "complete":  # it was quicker
        return
    assert child.returncode == 1 and summary["end"] == "interrupted", (out, err)
    assert len(subjects_of(scene)) == summary["messages"]
    assert scene.from_imap(server)["messages"] == 5000 - summary["messages"]
    assert subjects_of(scene) == list(range(5000))


def test_quota_ends_an_import_clearly_and_more_room_lets_it_go_on(scene):
    source = scene.maildir()
    for number in range(100):
        (source / "cur" / f"{1500000000 + number}.M1P1.host:2,S").write_text(
            f"Subject: {number}\n\n" + "x" * 10000 + "\n")
    scene.relay.cli("account", "set", scene.mail.user, "--quota", "500KiB")
    full = scene.run(source, code=1)
    assert full["end"] == "quota" and "quota" in full["reason"] and 40 < full["messages"] < 60, full
    assert "run again" in full["stderr"]
    scene.relay.cli("account", "set", scene.mail.user, "--quota", "5MiB")
    rest = scene.run(source)
    assert full["messages"] + rest["messages"] == 100
    assert subjects_of(scene) == list(range(100))


def test_full_disk_ends_an_import_clearly_and_room_lets_it_go_on(stage):
    needs.own_mounts("a small file system that fills")
    place = fulldisk.mount(stage, 24)
    scene = Scene(stage, state_dir=str(place / "state"), spool="{segment_size: 4MiB, min_free: 4MiB}")
    scene.relay.state_dir = place / "state"
    source = scene.maildir()
    for number in range(300):
        (source / "cur" / f"{1500000000 + number}.M1P1.host:2,S").write_text(
            f"Subject: {number}\n\n" + "x" * 100000 + "\n")
    full = scene.run(source, code=71)
    assert full["end"] == "disk" and "No space left" in full["reason"], full
    # Nothing of it is left that nobody would ever remove.
    assert not list((place / "state" / "mail" / "b.example" / "anna" / "tmp").iterdir())
    parts.run(["mount", "-o", "remount,size=96M", place])
    rest = scene.run(source)
    assert rest["end"] == "complete" and rest["known"] + rest["messages"] == 300
    assert subjects_of(scene) == list(range(300))


# --- servers that mean no good ---------------------------------------------------------------------

GREETING = b"* OK hi\r\n"
OK_UNTIL_EXAMINE = {b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n", b"LOGIN": b"",
                    b"LIST": b'* LIST () "/" INBOX\r\n',
                    b"EXAMINE": b"* 2 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n",
                    b"FETCH": b"* 1 FETCH (UID 1 RFC822.SIZE 9)\r\n* 2 FETCH (UID 2 RFC822.SIZE 9)\r\n"}


class Hostile:
    """Answers commands from a table; what is None is answered by what `act` does."""

    def __init__(self, answers, act=None, greeting=GREETING):
        self.answers, self.act, self.greeting = answers, act, greeting
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        try:
            client.sendall(self.greeting)
            file = client.makefile("rb")
            for line in file:
                tag, verb, *_ = line.split()
                if verb == b"UID" and self.act:
                    self.act(client, tag, line)
                    continue
                if verb not in self.answers:
                    client.sendall(tag + b" BAD what\r\n")
                    continue
                answer = self.answers[verb]
                if callable(answer):
                    answer(client, tag, line)
                else:
                    client.sendall(answer + tag + b" OK done\r\n")
        except OSError:
            pass

    def close(self):
        self.socket.close()


def endless(piece, head=b""):
    def act(client, tag, line):
        client.sendall(head)
        while True:
            client.sendall(piece * 1000)
    return act


def send(data):
    return lambda client, tag, line: client.sendall(data.replace(b"TAG", tag))


def hang(client, tag, line):
    time.sleep(60)


def close(client, tag, line):
    client.shutdown(socket.SHUT_RDWR)


HOSTILE = {
    "literal of 20 GB": (OK_UNTIL_EXAMINE, send(b"* 1 FETCH (UID 1 BODY[] {21474836480}\r\n"),
                         "too large"),
    "literal that never comes": (OK_UNTIL_EXAMINE, send(b"* 1 FETCH (UID 1 BODY[] {100}\r\nx"),
                                 "no answer in time"),
    "line without an end": (OK_UNTIL_EXAMINE, endless(b"x"), "too large"),
    "garbage": (OK_UNTIL_EXAMINE, send(b"\x00\xff\r\n\r\n"), "makes no sense"),
    "answer to another": (OK_UNTIL_EXAMINE, send(b"zz OK done\r\n"), "another command"),
    "continuation": (OK_UNTIL_EXAMINE, send(b"+ go on\r\n"), "asks for what is not there"),
    "hang": (OK_UNTIL_EXAMINE, hang, "no answer in time"),
    "close": (OK_UNTIL_EXAMINE, close, "closed the connection"),
    "parentheses": (OK_UNTIL_EXAMINE, send(b"* 1 FETCH (X " + b"(" * 100000 + b"\r\n"),
                    "makes no sense"),
    "fetch without uidvalidity": ({**OK_UNTIL_EXAMINE, b"EXAMINE": b"* 2 EXISTS\r\n"}, None,
                                  "UIDVALIDITY"),
    "folders without end": ({**OK_UNTIL_EXAMINE, b"LIST": endless(b'* LIST () "/" x\r\n')}, None,
                            "more than 10000"),
    "list that is none": ({**OK_UNTIL_EXAMINE, b"LIST": b"* LIST\r\n"}, None, "makes no sense"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_server_ends_the_import_soon_with_a_reason(scene, name):
    answers, act, why = HOSTILE[name]
    server = Hostile(answers, act)
    done = scene.run(f"imap://anna@127.0.0.1:{server.port}", "--plaintext", "--password-file",
                     scene.password, "--timeout", "2", code=1)
    assert why in done["reason"] and done["end"] == "source", done
    assert done["messages"] == 0
    tmp = scene.relay.state_dir / "mail" / "b.example" / "anna" / "tmp"
    assert not list(tmp.iterdir())
    server.close()


def test_greetings_that_are_none_and_tls_that_is_not_offered_end_it(scene):
    for greeting, options, why in [(b"220 mta1 ESMTP\r\n", ["--plaintext"], "does not greet"),
                                   (b"* BYE no\r\n", ["--plaintext"], "does not greet"),
                                   (b"* PREAUTH hi\r\n", ["--plaintext"], "whose mail"),
                                   (GREETING, [], "STARTTLS")]:
        server = Hostile(OK_UNTIL_EXAMINE, greeting=greeting)
        done = scene.run(f"imap://anna@127.0.0.1:{server.port}", "--password-file", scene.password,
                         "--timeout", "5", *options, code=1)
        assert why in done["reason"], done
        server.close()


def test_bytes_behind_starttls_are_not_believed(scene):
    answers = {**OK_UNTIL_EXAMINE, b"CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS\r\n",
               b"STARTTLS": send(b"TAG OK go\r\n* CAPABILITY IMAP4rev1\r\n")}
    server = Hostile(answers)
    done = scene.run(f"imap://anna@127.0.0.1:{server.port}", "--password-file", scene.password,
                     "--timeout", "5", code=1)
    assert "bytes stand behind" in done["reason"], done
    server.close()


def test_messages_that_a_server_does_not_give_are_named_and_the_rest_comes(scene):
    def act(client, tag, line):
        uids = line.split()[3].split(b",")
        if len(uids) > 1:
            client.sendall(tag + b" NO one of them is broken\r\n")
        elif uids == [b"1"]:
            client.sendall(tag + b" NO this one\r\n")
        else:
            client.sendall(b"* 7 FETCH (FLAGS (\\Seen) UID 9 BODY[] {3}\r\nxyz)\r\n"
                           b"* 2 FETCH (BODY[] {10}\r\nA: b\r\n\r\nx\n UID 2)\r\n" + tag + b" OK\r\n")
    server = Hostile(OK_UNTIL_EXAMINE, act)
    # "OK" without text is no reason to end either.
    done = scene.run(f"imap://anna@127.0.0.1:{server.port}", "--plaintext", "--password-file",
                     scene.password, "--timeout", "5", code=1)
    assert (done["messages"], done["bad"], done["end"]) == (1, 1, "complete"), done
    assert "UID 1 in INBOX: the server says NO this one" in done["notes"], done
    cur = scene.relay.state_dir / "mail" / "b.example" / "anna" / "cur"
    assert [file.read_bytes() for file in cur.iterdir()] == [b"A: b\r\n\r\nx\r\n"]
    server.close()
