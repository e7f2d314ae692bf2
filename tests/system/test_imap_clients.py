"""IMAP by the programs that people read their mail with."""

import os
import pty
import re
import select
import subprocess
import time

import pytest
from test_imap import MESSAGE, Mail

PERL = r"""
use strict;
use warnings;
use Mail::IMAPClient;
my ($port, $user, $secret, $file) = @ARGV;
my $imap = Mail::IMAPClient->new(
    Server => "127.0.0.1", Port => $port, User => $user, Password => $secret, Uid => 1,
    Compress => 1) or die "login: $@";
$imap->create("Work") or die "create: " . $imap->LastError;
$imap->select("INBOX") or die "select: " . $imap->LastError;
open(my $in, "<:raw", $file) or die $!;
local $/;
my $text = <$in>;
my @uids = map { $imap->append("INBOX", $text) or die "append: " . $imap->LastError } 1 .. 3;
die "search" unless "@{$imap->search('SUBJECT', 'hello')}" eq "@uids";
die "string" unless $imap->message_string($uids[1]) eq $text;
die "flags" unless $imap->set_flag("Flagged", $uids[0])
    and grep { $_ eq "\\Flagged" } $imap->flags($uids[0]);
$imap->move("Work", $uids[2]) or die "move: " . $imap->LastError;
$imap->expunge or die "expunge: " . $imap->LastError;
die "count" unless $imap->message_count == 2 and $imap->message_count("Work") == 1;
my $structure = $imap->get_bodystructure($uids[0]) or die "structure: " . $imap->LastError;
die "parts" unless $structure->bodytype eq "MULTIPART";
die "sort" unless "@{$imap->sort('ARRIVAL', 'UTF-8', 'ALL')}" eq "$uids[0] $uids[1]";
my $idle = $imap->idle or die "idle: " . $imap->LastError;
$imap->done($idle) or die "done: " . $imap->LastError;
$imap->logout or die "logout";
print "all of it\n";
"""


@pytest.fixture
def mail(stage):
    return Mail(stage)


def numbered(number):
    return (b"From: Bob <bob@a.example>\r\nTo: anna@b.example\r\nSubject: number %d\r\n"
            b"Date: Mon, 2 Mar 2026 10:00:%02d +0100\r\nMessage-ID: <%d@a.example>\r\n\r\n"
            b"text %d\r\n" % (number, number, number, number))


def on_a_terminal(command, environment, seconds=60):
    """What a program that wants a terminal writes there, until it ends by itself."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, {**os.environ, **environment})
    seen = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    else:
        os.kill(pid, 9)
    status = os.waitpid(pid, 0)[1]
    os.close(fd)
    assert status == 0, re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b" ", seen)[-2000:]


@pytest.mark.parametrize("deflate", ["no", "yes"])
def test_mutt_reads_moves_and_deletes(mail, tmp_path, deflate):
    raw = mail.raw()
    for number in range(1, 11):
        raw.append(numbered(number))
    raw.ask("CREATE Other")
    (tmp_path / "rc").write_text(
        f"set imap_user={mail.user}\nset imap_pass={mail.secret}\nset folder=imap://127.0.0.1:"
        f"{mail.port}/\nset spoolfile=+INBOX\nset ssl_starttls=no\nset ssl_force_tls=no\n"
        f"set imap_deflate={deflate}\nset imap_condstore=yes\nset imap_qresync=yes\n"
        f"set header_cache={tmp_path}/cache\nset delete=yes\nset quit=yes\nset confirmappend=no\n"
        "set move=no\nset wait_key=no\nset mark_old=no\n"
        # The third is read, 4 to 6 go to another mailbox, 7 is deleted, 8 flagged.
        'push "<search>~s number\\\\ 3$<enter><display-message><exit>'
        '<tag-pattern>~m 4-6<enter><tag-prefix><save-message>=Other<enter>'
        '<jump>7<enter><delete-message><jump>8<enter><flag-message><sync-mailbox><quit>"\n')
    on_a_terminal(["mutt", "-n", "-F", str(tmp_path / "rc")],
                  {"TERM": "xterm", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"})
    raw.ask("SELECT INBOX")
    assert raw.ask("SEARCH ALL")[0] == b"* SEARCH 1 2 3 4 5 6"
    assert raw.ask("UID SEARCH ALL")[0] == b"* SEARCH 1 2 3 8 9 10"
    assert raw.ask("UID SEARCH SEEN")[0] == b"* SEARCH 3"
    assert raw.ask("UID SEARCH FLAGGED")[0] == b"* SEARCH 8"
    raw.ask("SELECT Other")
    assert raw.ask("SEARCH TEXT text")[0] == b"* SEARCH 1 2 3"
    assert mail.relay.metrics()["ringpost_imap_compressed_total"] == (deflate == "yes")


def test_offlineimap_takes_all_and_brings_back(mail, tmp_path):
    raw = mail.raw()
    for number in range(1, 21):
        raw.append(numbered(number))
    raw.ask("CREATE Lists/One")
    raw.append(mailbox="Lists/One")
    (tmp_path / "rc").write_text(f"""
[general]
accounts = a
ui = quiet
metadata = {tmp_path}/meta
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {tmp_path}/box
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {mail.port}
remoteuser = {mail.user}
remotepass = {mail.secret}
ssl = no
starttls = no
auth_mechanisms = PLAIN, LOGIN
usecompression = yes
""")

    def run():
        done = subprocess.run(["offlineimap", "-c", str(tmp_path / "rc"), "-o"],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    run()
    box = tmp_path / "box"
    kept = sorted(p for p in box.rglob("*") if p.parent.name in ("cur", "new"))
    assert len(kept) == 21
    texts = {p.read_bytes().replace(b"\r\n", b"\n") for p in kept}
    assert all(any(b"text %d\n" % number in text for text in texts) for number in range(1, 21))
    # One is read, one goes and one comes, here; one is read there.
    (inbox,) = {p.parent.parent for p in kept if "Lists" not in str(p)}
    mine = sorted(p for p in kept if p.parent.parent == inbox)
    seen = inbox / "cur" / (mine[0].name.split(":")[0] + ":2,S")
    mine[0].rename(seen)
    mine[1].unlink()
    (inbox / "new" / "1.new.host").write_bytes(numbered(99).replace(b"\r\n", b"\n"))
    raw.ask("SELECT INBOX")
    raw.ask("UID STORE 20 FLAGS (\\Seen)")
    run()
    raw.ask("NOOP")
    assert raw.ask("SEARCH SEEN")[0].count(b" ") == 3
    assert raw.ask("SEARCH SUBJECT \"number 99\"")[0].count(b" ") == 2
    assert raw.ask("STATUS INBOX (MESSAGES)")[0].endswith(b"(MESSAGES 20)")
    assert mail.relay.metrics()["ringpost_imap_compressed_total"] > 0


def test_fetchmail_takes_all(mail, tmp_path):
    raw = mail.raw()
    for number in range(1, 6):
        raw.append(numbered(number))
    rc = tmp_path / "rc"
    rc.write_text(f"poll 127.0.0.1 service {mail.port} protocol imap no dns\n"
                  f"  user \"{mail.user}\" password \"{mail.secret}\" sslproto '' fetchall\n"
                  f"  mda \"cat >> {tmp_path}/got\"\n")
    rc.chmod(0o600)
    done = subprocess.run(
        ["fetchmail", "-f", str(rc), "--pidfile", str(tmp_path / "pid"), "-i",
         str(tmp_path / "ids")], capture_output=True, text=True, timeout=60,
        env={**os.environ, "HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    got = (tmp_path / "got").read_bytes()
    assert all(b"text %d\n" % number in got for number in range(1, 6))
    assert raw.ask("STATUS INBOX (MESSAGES)")[0].endswith(b"(MESSAGES 0)")


def test_mail_imapclient_of_perl(mail, tmp_path):
    text = MESSAGE.replace(b"Subject: ", b"Subject: hello ")
    (tmp_path / "message").write_bytes(text)
    done = subprocess.run(
        ["perl", "-e", PERL, str(mail.port), mail.user, mail.secret, str(tmp_path / "message")],
        capture_output=True, text=True, timeout=60)
    assert done.stdout == "all of it\n", done.stderr
    assert mail.relay.metrics()["ringpost_imap_compressed_total"] == 1
