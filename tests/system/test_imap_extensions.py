"""Extensions of IMAP, on real sockets."""

import base64
import random
import ssl
import zlib

import certificates
import parts
import pytest
from test_imap import MESSAGE, Mail, Raw


class Deflated(Raw):
    """A session that is compressed from some moment on."""

    def compress(self):
        assert self.ask("COMPRESS DEFLATE")[-1] == b"OK DEFLATE active"
        self.out = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.into = zlib.decompressobj(-15)
        self.got = b""
        self.raw_count = 0

    def send(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        if hasattr(self, "out"):
            data = self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)
        self.socket.sendall(data)

    def read(self, until):
        while (end := until(self.got)) is None:
            more = self.socket.recv(65536)
            if not more:
                end = len(self.got)
                break
            self.raw_count += len(more)
            self.got += self.into.decompress(more)
        taken, self.got = self.got[:end], self.got[end:]
        return taken

    def line(self):
        if not hasattr(self, "out"):
            return super().line()
        line = self.read(lambda got: got.find(b"\n") + 1 or None)
        while line.endswith(b"}\r\n") and line.rsplit(b"{", 1)[-1][:-3].isdigit():
            size = int(line.rsplit(b"{", 1)[-1][:-3])
            line += self.read(lambda got, size=size: size if len(got) >= size else None)
            line += self.read(lambda got: got.find(b"\n") + 1 or None)
        return line


@pytest.fixture
def mail(stage):
    return Mail(stage)


def deflated(mail):
    raw = Deflated(mail.port)
    assert raw.ask(f"LOGIN {mail.user} {mail.secret}")[-1].startswith(b"OK")
    return raw


def test_compress(mail):
    """RFC 4978 section 3."""
    raw = deflated(mail)
    assert b"COMPRESS=DEFLATE" in raw.ask("CAPABILITY")[0]
    assert raw.ask("COMPRESS LZW")[-1].startswith(b"BAD")
    assert raw.ask("COMPRESS")[-1].startswith(b"BAD")
    raw.send(b"a COMPRESS DEFLATE\r\nb NOOP\r\n")  # what must not be: it stays as it was
    assert raw.line().startswith(b"a BAD") and raw.line().startswith(b"b OK")
    raw.compress()
    assert raw.ask("COMPRESS DEFLATE")[-1].startswith(b"BAD [CLIENTBUG] COMPRESS is active")
    big = MESSAGE + b"All work and no play makes Jack a dull boy.\r\n" * 40000
    assert raw.append(big)[-1].startswith(b"OK [APPENDUID")
    assert raw.ask("SELECT INBOX")[-1].startswith(b"OK")
    before = raw.raw_count
    fetched = raw.ask("FETCH 1 BODY.PEEK[]")
    assert fetched[0].endswith(big + b")")
    assert raw.raw_count - before < len(big) / 20
    for _ in range(200):
        assert raw.append()[-1].startswith(b"OK")
    assert len(raw.ask("FETCH 1:* (UID FLAGS ENVELOPE)")) >= 201
    # Many commands at once, in one block, and what comes back is told without a question.
    tags = [f"p{i} " for i in range(300)]
    raw.send("".join(tag + "NOOP\r\n" for tag in tags))
    assert all(raw.line().startswith(tag.encode()) for tag in tags)
    raw.send("i IDLE\r\n")
    assert raw.line().startswith(b"+")
    other = mail.raw()
    for count in range(202, 206):
        assert other.append()[-1].startswith(b"OK")
        lines = [raw.line(), raw.line()]
        assert lines[0] == b"* %d EXISTS\r\n" % count
    raw.send("DONE\r\n")
    assert raw.line().startswith(b"i OK")
    assert raw.ask("LOGOUT")[-1].startswith(b"OK") and raw.read(lambda got: None) == b""


def test_compress_is_refused_to_strangers_and_cut_off_where_it_is_none(mail):
    raw = Deflated(mail.port)
    assert raw.ask("COMPRESS DEFLATE")[-1].startswith(b"BAD")
    raw = deflated(mail)
    raw.compress()
    raw.socket.sendall(b"a NOOP\r\n" * 10)
    assert raw.read(lambda got: None) == b""
    # A gigabyte of spaces, in some kilobytes: a command that is too long.
    raw = deflated(mail)
    raw.compress()
    try:
        for _ in range(64):
            raw.send(b"a" * (16 << 20))
    except OSError:
        pass
    try:
        assert b"TOOBIG" in raw.read(lambda got: None)
    except ConnectionError:
        pass
    assert mail.raw().ask("NOOP")[-1].startswith(b"OK")
    assert mail.relay.metrics()["ringpost_imap_compressed_total"] == 2


def test_compressed_sessions_that_idle_keep_no_compressor(mail):
    def idle():
        raw = deflated(mail)
        raw.compress()
        raw.ask("SELECT INBOX")
        raw.ask("CAPABILITY")
        raw.send("i IDLE\r\n")
        assert raw.line().startswith(b"+")
        return raw

    held = [idle() for _ in range(20)]
    before = mail.relay.memory()
    held += [idle() for _ in range(200)]
    each = (mail.relay.memory() - before) / 200
    print(f"a compressed session in IDLE: {each:.0f} bytes")
    if not parts.is_sanitized():
        assert each < 70000
    mail.raw().append()
    for raw in held:
        assert raw.line() == b"* 1 EXISTS\r\n"


def test_compress_under_tls(stage):
    """RFC 4978 section 3: first compressed, then encrypted."""
    root = certificates.Issued(stage.directory, "root")
    chain, key = certificates.Issued(stage.directory, "server", root, ["localhost"]).files(root)
    mail = Mail(stage, tls=f"{{certificate: {chain}, key: {key}}}")
    context = ssl.create_default_context(cafile=root.path)
    raw = Deflated(mail.port)
    assert raw.ask("STARTTLS")[-1].startswith(b"OK")
    raw.file.close()
    raw.socket = context.wrap_socket(raw.socket, server_hostname="localhost")
    raw.file = raw.socket.makefile("rb")
    assert raw.ask(f"LOGIN {mail.user} {mail.secret}")[-1].startswith(b"OK")
    raw.compress()
    assert raw.ask("STARTTLS")[-1].startswith(b"BAD")
    big = MESSAGE + b"x" * 3000000 + b"\r\n"
    assert raw.append(big)[-1].startswith(b"OK")
    raw.ask("SELECT INBOX")
    assert raw.ask("FETCH 1 BODY.PEEK[]")[0].endswith(big + b")")
    # A long answer that compresses no more than its encryption adds.
    content = random.Random(1).randbytes(1500000)
    assert raw.append(b"Subject: big\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                      + base64.encodebytes(content))[-1].startswith(b"OK")
    raw.send("a FETCH 2 BINARY.PEEK[1]\r\n")
    begin = b"* 2 FETCH (BINARY[1] ~{1500000}\r\n"
    told = raw.read(lambda got: len(got) if got.endswith(b"a OK FETCH done\r\n") else None)
    assert told[:len(begin)] == begin and told[len(begin):].startswith(content + b")\r\n")
    assert raw.ask("LOGOUT")[-1].startswith(b"OK") and raw.read(lambda got: None) == b""


def replace(raw, number, message=MESSAGE, mailbox="INBOX", more="", uid=""):
    return raw.ask(f"{uid}REPLACE {number} {mailbox} {more}{{{len(message)}+}}\r\n".encode()
                   + message)


def test_replace(mail):
    """RFC 8508 sections 3 and 4."""
    raw = mail.raw()
    assert b" REPLACE " in raw.ask("CAPABILITY")[0]
    raw.ask("CREATE Drafts")
    raw.ask("CREATE Sent")
    for _ in range(3):
        assert raw.append(mailbox="Drafts", more="(\\Seen $Mine) ")[-1].startswith(b"OK")
    assert replace(raw, 1)[-1].startswith(b"BAD")  # nothing is selected
    raw.ask("SELECT Drafts")
    validity = [line for line in raw.ask("STATUS Drafts (UIDVALIDITY)")][0].split()[-1][:-1]
    changed = MESSAGE + b"more\r\n"
    lines = replace(raw, 2, changed, "Drafts", '(\\Draft) " 1-Feb-2020 02:03:04 +0100" ')
    assert lines[0] == b"* OK [APPENDUID %s 4] The new message is there" % validity
    assert lines[-1] == b"OK REPLACE done"
    assert b"* 2 EXPUNGE" in lines and b"* 3 EXISTS" in lines
    got = raw.ask("UID FETCH 4 (FLAGS INTERNALDATE BODY.PEEK[])")[0]
    assert b"FLAGS (\\Draft)" in got and b"01-Feb-2020" in got and got.endswith(changed + b" UID 4)")
    assert replace(raw, 3, MESSAGE, "Sent", uid="UID ")[-1] == b"OK REPLACE done"
    assert raw.ask("UID SEARCH ALL")[0] == b"* SEARCH 1 4"
    assert raw.ask("STATUS Sent (MESSAGES)")[0].endswith(b"(MESSAGES 1)")
    assert replace(raw, "*", MESSAGE, "Drafts", uid="UID ")[-1] == b"OK REPLACE done"
    assert raw.ask("UID SEARCH ALL")[0] == b"* SEARCH 1 5"
    # A client that waits is told before it sends anything.
    for command, answer in (
            ("REPLACE 9 Drafts", b"BAD"), ("UID REPLACE 4 Drafts", b"NO [NONEXISTENT]"),
            ("REPLACE 1 Nowhere", b"NO [TRYCREATE]")):
        assert raw.ask(command + " {300}")[-1].startswith(answer), command
        assert replace(raw, command.split()[-2], mailbox=command.split()[-1],
                       uid="UID " * ("UID" in command))[-1].startswith(answer)
    assert raw.ask("REPLACE 1 Drafts")[-1].startswith(b"BAD")
    assert raw.ask("UID SEARCH ALL")[0] == b"* SEARCH 1 5"
    raw.ask("EXAMINE Drafts")
    assert replace(raw, 1, mailbox="Drafts")[-1].startswith(b"NO [READ-ONLY]")
    # One message only.
    other = mail.raw()
    other.ask("SELECT Drafts")
    other.send(b"x REPLACE 1 Drafts {2+}\r\na\n (\\Seen) {2+}\r\nb\n\r\n")
    assert other.line().startswith(b"x BAD") and other.line().startswith(b"* BYE")


def test_replace_needs_room_for_the_difference_alone(stage):
    mail = Mail(stage)
    mail.user = "small@b.example"
    mail.add(mail.user, "--quota", "100KiB")
    raw = mail.raw()
    big = MESSAGE + b"x" * 60000 + b"\r\n"
    assert raw.append(big)[-1].startswith(b"OK")
    raw.ask("SELECT INBOX")
    assert raw.append(big)[-1].startswith(b"NO [OVERQUOTA]")
    for _ in range(3):
        assert replace(raw, 1, big)[-1] == b"OK REPLACE done"
    assert replace(raw, 1, big + b"y" * 60000)[-1].startswith(b"NO [OVERQUOTA]")
    assert raw.ask("FETCH 1 BODY.PEEK[]")[0].endswith(big + b")")


def test_two_replace_the_same_message(mail):
    one, two = mail.raw(), mail.raw()
    one.append()
    one.ask("SELECT INBOX")
    two.ask("ENABLE QRESYNC")
    two.ask("SELECT INBOX")
    assert replace(one, 1)[-1] == b"OK REPLACE done"
    lost = replace(two, 1)
    assert lost[-1].startswith(b"NO [NONEXISTENT]")
    assert b"* VANISHED 1" in lost or b"* VANISHED 1" in two.ask("NOOP")
    assert two.ask("UID SEARCH ALL")[0] == b"* SEARCH 2"


def test_uidonly(mail):
    """RFC 9586 section 3."""
    raw, other = mail.raw(), mail.raw()
    for _ in range(4):
        raw.append()
    assert b" UIDONLY" in raw.ask("CAPABILITY")[0]
    assert raw.ask("ENABLE UIDONLY")[0] == b"* ENABLED UIDONLY"
    selected = raw.ask("SELECT INBOX")
    assert b"* 4 EXISTS" in selected and not any(b"UNSEEN" in line for line in selected)
    for command in ("FETCH 1 FLAGS", "STORE 1 FLAGS ()", "SEARCH ALL", "SORT (DATE) UTF-8 ALL",
                    "THREAD REFERENCES UTF-8 ALL", "COPY 1 INBOX", "MOVE 1 INBOX",
                    "REPLACE 1 INBOX", "UID SEARCH 1", "UID SEARCH OR SEEN NOT 1:2",
                    "UID SORT (DATE) UTF-8 2"):
        assert raw.ask(command)[-1].startswith(b"BAD [UIDREQUIRED]"), command
        if command.startswith("UID SEARCH OR"):  # so many BADs are a reason to end
            raw.close()
            raw = mail.raw()
            raw.ask("ENABLE UIDONLY QRESYNC")
            raw.ask("SELECT INBOX")
    assert raw.ask("UID FETCH 2:3 FLAGS") == [
        b"* 2 UIDFETCH (FLAGS ())", b"* 3 UIDFETCH (FLAGS ())", b"OK FETCH done"]
    assert raw.ask("UID FETCH 2 (UID)")[0] == b"* 2 UIDFETCH (UID 2)"
    assert raw.ask("UID STORE 3 FLAGS.SILENT ($x)")[-2].startswith(b"* 3 UIDFETCH (MODSEQ (")
    assert raw.ask("UID SEARCH RETURN (SAVE) UID 3:*")[-1].startswith(b"OK")
    assert [line.split()[1] for line in raw.ask("UID FETCH $ (MODSEQ)")[:-1]] == [b"3", b"4"]
    assert raw.ask("UID SEARCH $ UNSEEN")[0] == b"* SEARCH 3 4"
    other.ask("SELECT INBOX")
    other.ask("UID STORE 1 FLAGS (\\Deleted)")
    other.ask("EXPUNGE")
    other.ask("UID STORE 4 FLAGS (\\Seen)")
    told = raw.ask("NOOP")
    assert told[0] == b"* VANISHED 1" and told[1].startswith(b"* 4 UIDFETCH (")
    assert b"(\\Seen)" in told[1] and b"UID 4" not in told[1]
    assert b"UIDVALIDITY" in b"".join(selected)
    validity = next(line for line in selected if b"UIDVALIDITY" in line).split()[3][:-1].decode()
    assert raw.ask(f"SELECT INBOX (QRESYNC ({validity} 1 1:4 (1 1)))")[-1].startswith(
        b"BAD [UIDREQUIRED]")
    assert raw.ask("UID FETCH 2 UID")[0] == b"* 2 UIDFETCH (UID 2)"  # it is selected still
    assert raw.ask(f"SELECT INBOX (QRESYNC ({validity} 1 1:4))")[-1].startswith(b"OK")
    raw.ask("UID STORE 2 +FLAGS (\\Deleted)")
    assert b"* VANISHED 2" in raw.ask("EXPUNGE")
    told = replace(raw, 3, uid="UID ")
    assert told[1:3] == [b"* VANISHED 3", b"* 2 EXISTS"] and told[-1] == b"OK REPLACE done"
    assert raw.ask("UID SEARCH ALL")[0] == b"* SEARCH 4 5"


def test_vanished_is_told_under_uidonly_alone(mail):
    raw = mail.raw()
    for _ in range(2):
        raw.append()
    raw.ask("ENABLE UIDONLY")
    raw.ask("SELECT INBOX")
    raw.ask("UID STORE 1 FLAGS.SILENT (\\Deleted)")
    assert raw.ask("UID EXPUNGE 1")[0] == b"* VANISHED 1"


def test_long_commands_tell_how_far_they_are(stage):
    """RFC 9585; here at each slice, of which there are several whatever the machine is."""
    mail = Mail(stage, imap="{progress: 0s}")
    raw = mail.raw()
    assert b" INPROGRESS" in raw.ask("CAPABILITY")[0]
    big = MESSAGE + b"a line that is not what was looked for\r\n" * 20000
    for _ in range(60):
        raw.append(big)
    raw.ask("SELECT INBOX")
    for command in "SEARCH BODY neverthere", "SORT (DATE) UTF-8 BODY neverthere":
        told = raw.ask(command)
        tag = b"t%d" % raw.tags
        steps = [line for line in told if b"INPROGRESS" in line]
        assert steps and told[-1].startswith(b"OK") and told.index(steps[-1]) < len(told) - 2
        counts = []
        for line in steps:
            head, _, rest = line.partition(b' ("')
            assert head == b"* OK [INPROGRESS" and rest.startswith(tag + b'" '), line
            done, goal = rest.split(b")")[0].split()[1:]
            assert goal == b"60" and int(done) < 60
            counts.append(int(done))
        assert counts == sorted(counts)
    assert not any(b"INPROGRESS" in line for line in raw.ask("NOOP"))
