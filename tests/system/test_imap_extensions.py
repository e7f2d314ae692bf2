"""Extensions of IMAP, on real sockets."""

import ssl
import zlib

import certificates
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
    assert raw.ask("COMPRESS DEFLATE")[-1].startswith(b"BAD COMPRESS is active")
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
    assert raw.ask("LOGOUT")[-1].startswith(b"OK") and raw.read(lambda got: None) == b""
