"""What messages may not carry: by name, by type, by size, wherever in them it lies."""

import email.message
import email.policy
import functools
import gzip
import io
import lzma
import os
import pathlib
import signal
import struct
import tarfile
import zipfile
import zlib

import inbound
import parts


def carrying(*parts, nested=False):
    """A message with attachments of (name, content, "maintype/subtype")."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = "alice@good.example", "bob@acme.example"
    message["Subject"], message["Message-ID"] = "files", "<1@good.example>"
    message["Date"] = "Sat, 28 Nov 2026 12:00:00 +0000"
    message.set_content("see below\n")
    for name, content, kind in parts:
        main, sub = kind.split("/")
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)
    if nested:
        outer = email.message.EmailMessage(policy=email.policy.SMTP)
        for field in ("From", "To", "Date"):
            outer[field] = message[field]
        outer["Subject"], outer["Message-ID"] = "fwd", "<2@good.example>"
        outer.set_content("see below\n")
        outer.add_attachment(message)
        message = outer
    return message.as_bytes()


def test_attachments_by_name_type_and_size(stage):
    place = inbound.Inbound(stage, inbound='attachments: ["*.exe", "application/x-ms*", "*.iso tag"], '
                                           'attachment_size: 2KiB')
    plain = "application/octet-stream"
    refused = [
        (("setup.exe", b"MZ", plain), "setup.exe"),
        (("SETUP.EXE", b"MZ", plain), "SETUP.EXE"),
        (("r\u00e9sum\u00e9.exe", b"MZ", plain), "r??sum??.exe"),  # RFC 2231 or 2047
        (("a.bin", b"MZ", "application/x-msdownload"), "application/x-msdownload"),
    ]
    for part, name in refused:
        for nested in (False, True):
            code, text = place.send(carrying(("ok.txt", b"x", plain), part, nested=nested))
            assert (code, text) == (550, f"5.7.1 The attachment {name} is not taken here")
    event = place.relay.wait_events(2 * len(refused), kind="rejected")[-1]
    assert event["rule"] == "inbound.attachments"
    check = {c["check"]: c for c in event["checks"]}["attachment"]
    assert (check["result"], check["weight"]) == ("application/x-ms*", "refuse")
    assert place.send(carrying(("big.bin", b"x" * 3000, plain))) == (
        552, "5.3.4 The attachment big.bin is larger than is taken here")
    assert place.send(carrying(("ok.bin", b"x" * 2000, plain)))[0] == 250
    # What is only marked goes to Junk.
    content = place.take(carrying(("disk.iso", b"x", plain)))
    assert inbound.field(content, "X-Spam") == ["Yes"]
    assert inbound.field(place.take(carrying(("ok.txt", b"x", plain))), "X-Spam") == []
    # Without rules nothing is looked at; a reload in between is taken over.
    place.relay.write_config(inbound='{attachments: ["*.iso"]}')
    place.relay.cli("reload")
    assert place.send(carrying(("setup.exe", b"MZ", plain)))[0] == 250
    assert place.send(carrying(("disk.iso", b"MZ", plain)))[0] == 550


def packed(*names, cut=0):
    """A zip archive of members of these names; `cut` bytes of its end are missing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return out.getvalue()[: len(out.getvalue()) - cut]


def encrypted(archive):
    """The same, as if its members needed a password."""
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = archive.find(signature)
        while start >= 0:
            flags = bytes([archive[start + at] | 1])
            archive = archive[: start + at] + flags + archive[start + at + 1 :]
            start = archive.find(signature, start + 4)
    return archive


def test_names_in_archives(stage):
    place = inbound.Inbound(stage, inbound='attachments: ["*.exe", "archive/encrypted", "archive/nested tag"], '
                                           'archive_members: 100')
    kind = "application/zip"
    for content, name in (
        (packed("read.me", "bin/setup.exe"), "papers.zip/setup.exe"),
        (packed("r\u00e9sum\u00e9.exe"), "papers.zip/r??sum??.exe"),
        (packed("setup.exe", cut=30), "papers.zip/setup.exe"),
        (b"MZ" * 5000 + packed("setup.exe"), "papers.zip/setup.exe"),
        (encrypted(packed("read.me")), "papers.zip/read.me"),
    ):
        for nested in (False, True):
            code, text = place.send(carrying(("papers.zip", content, kind), nested=nested))
            assert (code, text) == (550, f"5.7.1 The attachment {name} is not taken here")
    event = place.relay.wait_events(10, kind="rejected")[-1]
    check = {c["check"]: c for c in event["checks"]}["attachment"]
    assert (check["result"], check["weight"]) == ("archive/encrypted", "refuse")
    assert check["detail"] == "papers.zip/read.me"
    # Each name is told twice: 50 fit.
    names = [f"{i}.txt" for i in range(51)]
    assert place.send(carrying(("many.zip", packed(*names), kind))) == (
        552, "5.3.4 The archive many.zip has more names than are looked at")
    assert inbound.field(place.take(carrying(("few.zip", packed(*names[:50]), kind))), "X-Spam") == []
    content = place.take(carrying(("outer.docx", packed("read.me", "inner.7z"), kind)))
    assert inbound.field(content, "X-Spam") == ["Yes"]
    events = place.relay.wait_events(2, kind="received")
    assert attachment_checks(events[-1]) == [
        ("archive/nested", "tag", "outer.docx/inner.7z"),
        ("archive/unread", None, "outer.docx")]  # for that is no 7z archive
    # 0: archives are as other attachments.
    place.relay.write_config(inbound='{attachments: ["*.exe"], archive_members: 0}')
    place.relay.cli("reload")
    assert place.send(carrying(("papers.zip", packed("setup.exe"), kind)))[0] == 250


def tarred(*names, mode="w:gz"):
    """A tar file with members of (name, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in names:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def rar(name, flags=0, archive_flags=0):
    """A rar archive (its fourth form) with a stored member; 4: it needs a password. Of the archive 128: its headers do."""
    def block(kind, bits, rest):
        body = struct.pack("<BHH", kind, bits, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(body) & 0xffff) + body

    content = b"MZ"
    member = struct.pack("<IIBIIBBHI", 2, 2, 2, zlib.crc32(content), 0x5c21, 20, 0x30, len(name), 0o100644)
    return (b"Rar!\x1a\x07\x00" + block(0x73, archive_flags, bytes(6))
            + block(0x74, 0x8000 | flags, member + name.encode()) + content + block(0x7b, 0x4000, b""))


def gzipped(name):
    out = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=out) as packer:
        packer.write(b"MZ")
    return out.getvalue()


def readers(relay):
    """Processes that the relay has started to read archives in."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"\nPPid:\t{relay.child.pid}\n" in status and b"archive-reader" in command:
            found.append((int(folder.name), status))
    return found


def attachment_checks(event):
    return [(c["result"], c["weight"], c["detail"]) for c in event["checks"] if c["check"] == "attachment"]


PLAIN = "application/octet-stream"
ARCHIVE_RULES = 'attachments: ["*.exe", "archive/encrypted"], archive_members: 50'


def test_names_in_archives_of_other_forms(stage):
    place = inbound.Inbound(stage, inbound=ARCHIVE_RULES)
    evil = ("bin/setup.exe", b"MZ")
    for file, content, name in (
        ("p.tgz", tarred(("read.me", b""), evil), "p.tgz/setup.exe"),
        ("p.dat", tarred(evil, mode="w"), "p.dat/setup.exe"),
        ("p.tar.xz", tarred(evil, mode="w:xz"), "p.tar.xz/setup.exe"),
        ("p.tbz2", tarred(evil, mode="w:bz2"), "p.tbz2/setup.exe"),
        ("p.rar", rar("bin\\setup.exe"), "p.rar/setup.exe"),
        ("p.rar", rar("read.me", flags=4), "p.rar/read.me"),
        ("p.gz", gzipped("setup.exe"), "p.gz/setup.exe"),
        ("setup.exe.xz", lzma.compress(b"MZ"), "setup.exe.xz"),
        # In one another.
        ("p.tgz", tarred(("in.tar", tarred(evil, mode="w"))), "p.tgz/setup.exe"),
        ("p.tgz", tarred(("in.zip", packed("setup.exe"))), "p.tgz/setup.exe"),
    ):
        assert place.send(carrying((file, content, PLAIN))) == (
            550, f"5.7.1 The attachment {name} is not taken here"), (file, name)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in.zip", packed("setup.exe") * 20)
    assert place.send(carrying(("p.zip", out.getvalue(), PLAIN))) == (
        550, "5.7.1 The attachment p.zip/setup.exe is not taken here")
    assert place.send(carrying(("many.tgz", tarred(*((f"{i}.txt", b"") for i in range(51))), PLAIN))) == (
        552, "5.3.4 The archive many.tgz has more names than are looked at")
    # What cannot be read is told, and refused where a rule says so.
    assert place.send(carrying(("p.tgz", tarred(("read.me", b"")), PLAIN)))[0] == 250
    damaged = tarred(("read.me", os.urandom(5000)))[:-2000]
    assert place.send(carrying(("p.tgz", damaged, PLAIN)))[0] == 250
    events = place.relay.wait_events(2, kind="received")
    assert sorted(attachment_checks(event) for event in events) == [[], [("archive/unread", None, "p.tgz")]]
    place.relay.write_config(inbound='{attachments: ["archive/unread"]}')
    place.relay.cli("reload")
    assert place.send(carrying(("p.tgz", damaged, PLAIN))) == (
        550, "5.7.1 The attachment p.tgz is not taken here")


@functools.cache
def bomb():
    """An archive that takes longer to read than is allowed."""
    member = tarfile.TarInfo("zero")
    member.size = 8 << 30
    zeros = gzip.compress(bytes(64 << 20), 9)
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT)) + zeros * 128


def test_archives_are_read_where_nothing_else_can_be_done(stage):
    place = inbound.Inbound(stage, inbound=ARCHIVE_RULES)
    message = carrying(("p.tgz", tarred(("setup.exe", b"MZ")), PLAIN))
    assert not readers(place.relay)
    assert place.send(message)[0] == 550
    [(pid, status)] = readers(place.relay)
    assert "\nSeccomp:\t2\n" in status and "\nNoNewPrivs:\t1\n" in status
    # The one that is there is used again; who died is replaced.
    assert place.send(message)[0] == 550
    assert [found for found, _ in readers(place.relay)] == [pid]
    for _ in range(20):
        os.kill(pid, signal.SIGKILL)
        assert place.send(message)[0] == 550
        [(another, _)] = readers(place.relay)
        assert another != pid
        pid = another
    # One that takes too long is ended, and the archive told as unread.
    assert place.send(carrying(("bomb.tgz", bomb(), PLAIN)))[0] == 250
    [event] = place.relay.wait_events(1, kind="received")
    assert attachment_checks(event) == [("archive/unread", None, "bomb.tgz")]
    assert another not in [found for found, _ in readers(place.relay)]
    assert place.send(message)[0] == 550
    [(last, _)] = readers(place.relay)
    place.relay.stop()
    assert not pathlib.Path(f"/proc/{last}").exists()


def is_gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def begin_reading(place):
    """A client whose message waits for its archive to be read."""
    smtp = place.smtp()
    for command in ("MAIL FROM:<alice@good.example>", "RCPT TO:<bob@acme.example>", "DATA"):
        assert smtp.docmd(command)[0] in (250, 354)
    smtp.send(carrying(("bomb.tgz", bomb(), PLAIN)) + b".\r\n")
    parts.wait_for(lambda: [status for _, status in readers(place.relay) if "\nState:\tR" in status],
                   "a process that reads an archive")
    return smtp


def test_a_relay_may_end_while_an_archive_is_read(stage):
    place = inbound.Inbound(stage, inbound=ARCHIVE_RULES)
    clients = [begin_reading(place) for _ in range(24)]
    clients[0].sock.close()
    place.relay.stop()  # and that waits for none that have not begun
    # Who is killed leaves no process behind.
    place.relay.start()
    clients.append(begin_reading(place))
    [(pid, _)] = readers(place.relay)
    place.relay.kill()
    parts.wait_for(lambda: is_gone(pid), "the end of the process that reads archives")
