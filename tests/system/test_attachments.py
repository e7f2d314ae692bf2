"""What messages may not carry: by name, by type, by size, wherever in them it lies."""

import email.message
import email.policy
import io
import zipfile

import inbound


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
    check = {c["check"]: c for c in events[-1]["checks"]}["attachment"]
    assert (check["result"], check["weight"], check["detail"]) == ("archive/nested", "tag", "outer.docx/inner.7z")
    # 0: archives are as other attachments.
    place.relay.write_config(inbound='{attachments: ["*.exe"], archive_members: 0}')
    place.relay.cli("reload")
    assert place.send(carrying(("papers.zip", packed("setup.exe"), kind)))[0] == 250
