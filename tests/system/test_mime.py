"""test_mime.py - what inbound/mime tells of messages against Dovecot's IMAP server."""

import base64
import quopri
import random
import re

import checks
import mime_show
from mime_show import lower, parse

ITEMS = [("envelope", "ENVELOPE"), ("body", "BODY"), ("structure", "BODYSTRUCTURE")]


def crlf(text):
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class Maker:
    """Messages of all kinds of parts, from a seed."""

    WORDS = ["alpha", "beta", "Gamma", "delta d'or", "épsilon", "zeta_7", "=?utf-8?q?caf=C3=A9?=",
             "=?iso-8859-1?b?5Pb8?=", "x" * 70]

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.parts = 0

    def words(self, most=6):
        return " ".join(self.random.choice(self.WORDS)
                        for _ in range(self.random.randint(1, most)))

    def address(self):
        local = self.random.choice(["anna", "b.c", '"quoted local"', "d+e", '"f\\"g"'])
        host = self.random.choice(["a.example", "B.Example", "[192.0.2.1]", "xn--bcher-kva.example"])
        name = self.random.choice(['Anna', '"Anna, B. \\"q\\""', "J. Smith", "=?utf-8?q?=C3=84?=",
                                   "Anna B"])
        return self.random.choice([
            f"{local}@{host}", f"{name} <{local}@{host}>", f"<{local}@{host}>",
            f"{local}@{host} (a comment)", f"{name}\r\n <{local}@{host}>"])

    def addresses(self):
        some = [self.address() for _ in range(self.random.randint(1, 4))]
        if self.random.random() < 0.2:
            some.append("Group: " + ", ".join(self.address() for _ in range(
                self.random.randint(0, 2))) + ";")
        return self.random.choice([", ", ",\r\n\t"]).join(some)

    def header(self):
        fields = []
        for name, value in [("From", self.addresses), ("To", self.addresses),
                            ("Cc", self.addresses), ("Sender", self.address),
                            ("Reply-To", self.addresses), ("Subject", self.words),
                            ("In-Reply-To", lambda: "<a@b>"), ("Message-ID", lambda: "<c@d>"),
                            ("Date", lambda: "Sat, 28 Nov 2026 19:38:50 +0100 (CET)"),
                            ("X-Other", lambda: self.words() + "\r\n " + self.words())]:
            if self.random.random() < 0.7:
                fields.append(f"{name}: {value()}\r\n")
        self.random.shuffle(fields)
        return "".join(fields)

    def mime(self):
        fields = ""
        for name, values in [("Content-ID", ["<x@y>"]),
                             ("Content-Description", [self.words()]),
                             ("Content-MD5", ["Q2hlY2sgSW50ZWdyaXR5IQ=="]),
                             ("Content-Language", ["en", "en, de", "de-CH,\r\n fr"]),
                             ("Content-Location", ["http://a.example/b", "folded/\r\n location"]),
                             ("Content-Disposition",
                              ["inline", "attachment; filename=a.txt",
                               'attachment;\r\n filename="a b.txt"; size=7',
                               "attachment; filename*0*=utf-8''%C3%A9; filename*1=b"])]:
            if self.random.random() < 0.3:
                fields += f"{name}: {self.random.choice(values)}\r\n"
        return fields

    def text(self):
        lines = [self.random.choice(["", self.words(), "--", "-- ", "--not a boundary", "x" * 200])
                 for _ in range(self.random.randint(0, 8))]
        return "\r\n".join(lines) + self.random.choice(["", "\r\n", "\r\n\r\n"])

    def leaf(self, has_type):
        kind = self.random.choice(["Content-Type: text/plain\r\n" if has_type else "", "Content-Type: text/html; charset=utf-8\r\n",
            'Content-Type: text/plain;\r\n\tcharset="iso-8859-1"; format=flowed (a comment)\r\n',
            "Content-Type: image/png; name*=utf-8''%C3%A9.png\r\n",
            "Content-Type: application/octet-stream\r\n"])
        encoding = self.random.choice(["", "7bit", "8bit", "base64", "quoted-printable", "BASE64"])
        data = self.text().encode()
        if encoding.lower() == "base64":
            data = base64.encodebytes(data).replace(b"\n", b"\r\n")
        elif encoding == "quoted-printable":
            data = crlf(quopri.encodestring(data.replace(b"\r\n", b"\n")))
        head = kind + (f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else "")
        return (head + self.mime()).encode() + b"\r\n" + data

    def part(self, depth, has_type=False):
        self.parts += 1
        what = self.random.random()
        if depth > 4 or self.parts > 30 or what < 0.5:
            return self.leaf(has_type)
        if what < 0.7:
            return (b"Content-Type: message/rfc822\r\n" + self.mime().encode() + b"\r\n" +
                    self.message(depth + 1))
        boundary = f"b{self.parts}" + self.random.choice(["", "x" * 50, "'()+_,-./:=?"])
        kind = self.random.choice(["mixed", "alternative", "related", "digest"])
        text = (f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n' + self.mime() +
                "\r\n").encode()
        if self.random.random() < 0.3:
            text += b"preamble\r\n"
        for _ in range(self.random.randint(1, 4)):
            text += f"--{boundary}\r\n".encode() + self.part(
                depth + 1, kind == "digest") + b"\r\n"
        if self.random.random() < 0.9:
            text += f"--{boundary}--\r\n".encode()
        if self.random.random() < 0.3:
            text += b"epilogue\r\n"
        return text

    def message(self, depth=0):
        return self.header().encode() + b"MIME-Version: 1.0\r\n" + self.part(depth)


def messages():
    """Those of RFCs, and made ones."""
    suite = sorted((checks.SUITES / "mime" / "rfc").glob("*.eml"))
    assert len(suite) == 10
    # The last but one has a message in base64, which has no empty line: see the test of those.
    return [crlf(path.read_bytes()) for path in suite if path.stem != "008"] + [
        Maker(seed).message() for seed in range(60)]


def leaves(structure, path=()):
    """Number and structure of each part that is no container."""
    if isinstance(structure[0], list):
        for number, part in enumerate(structure, 1):
            if isinstance(part, list):
                yield from leaves(part, path + (number,))
            else:
                return
    elif lower(structure[:2]) == [b"message", b"rfc822"]:
        inner, path = structure[8], path or (1,)
        yield from leaves(inner, path + (() if isinstance(inner[0], list) else (1,)))
    else:
        yield ".".join(map(str, path or (1,))), structure


def sections(paths):
    yield from ["", "HEADER", "TEXT", "HEADER.FIELDS (subject x-other)",
                "HEADER.FIELDS.NOT (From to mime-version)"]
    for path in paths:
        numbers = path.split(".")
        for depth in range(1, len(numbers) + 1):
            name = ".".join(numbers[:depth])
            yield from [name, name + ".MIME"]
            if depth < len(numbers):
                yield from [name + ".HEADER", name + ".TEXT",
                            name + ".HEADER.FIELDS (subject from)"]


def as_dovecot_says(value):
    """It joins what RFC 2231 parts, and has words of its own for parts of addresses."""
    if isinstance(value, list):
        value = [as_dovecot_says(one) for one in value]
        if b"filename*0*" in value:
            at = value.index(b"filename*0*")
            value[at:at + 4] = [b"filename*", value[at + 1] + value[at + 3]]
        return value
    return b"" if value in (b"MISSING_DOMAIN", b"MISSING_MAILBOX") else value


def test_structures_and_sections_are_those_of_dovecot():
    corpus = messages()
    compared = 0
    with mime_show.Ours() as ours, mime_show.Dovecot(corpus) as dovecot:
        for number, path in enumerate(dovecot.paths, 1):
            ours.open(path)
            for item, name in ITEMS:
                told = [lower(as_dovecot_says(parse(one)))
                        for one in (ours.ask(item), dovecot.fetch(number, name))]
                assert told[0] == told[1], (number, name)
            structure = parse(ours.ask("structure"))[0]
            for name in sections([path for path, _ in leaves(structure)]):
                # Of what is not there we say NIL, Dovecot nothing.
                told = [ours.section(name), dovecot.octets(number, f"BODY[{name}]")]
                assert (told[0] or b"") == (told[1] or b""), (number, name)
                compared += 1
    assert compared > 1000


def test_decoded_parts_are_those_of_dovecot():
    corpus = [Maker(seed).message() for seed in range(60)]
    compared = 0
    with mime_show.Ours() as ours, mime_show.Dovecot(corpus) as dovecot:
        for number, path in enumerate(dovecot.paths, 1):
            ours.open(path)
            for part, structure in leaves(parse(ours.ask("structure"))[0]):
                decoded = ours.ask("binary", part)
                assert int(ours.ask("size", part)) == len(decoded)
                if re.search(rb"--b\d", ours.section(part)):
                    continue  # a multipart that does not end: Dovecot refuses what is no base64
                assert decoded == (dovecot.octets(number, f"BINARY[{part}]") or b""), (number, part)
                encoding = structure[5].lower()
                compared += encoding in (b"base64", b"quoted-printable")
    assert compared > 50


def test_header_that_a_delimiter_cuts_off():
    """Its line end is the delimiter's (RFC 2046 section 5.1.1); Dovecot counts it to the part."""
    message = (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
               b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: no end\r\n--b--\r\n")
    with mime_show.Ours() as ours, mime_show.Dovecot([message]) as dovecot:
        ours.open(dovecot.paths[0])
        assert ours.section("1") == b"Subject: no end"
        assert dovecot.octets(1, "BODY[1]") == b"Subject: no end\r\n"


def test_message_with_bare_line_feeds_is_served_with_crlf():
    message = b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\r\ntwo\n--b--\n"
    with mime_show.Ours() as ours, mime_show.Dovecot([message]) as dovecot:
        ours.open(dovecot.paths[0])
        for name in ("", "HEADER", "TEXT", "1", "1.MIME"):
            assert ours.section(name) == dovecot.octets(1, f"BODY[{name}]")
        assert ours.section("") == crlf(message)
