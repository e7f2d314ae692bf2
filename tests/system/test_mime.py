"""test_mime.py - what inbound/mime tells of messages against Dovecot's IMAP server."""

import base64
import datetime
import json
import quopri
import random
import re

import checks
import mime_show
from mime_show import lower, parse

SUITE = checks.SUITES / "mime"
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
    suite = sorted((SUITE / "rfc").glob("*.eml"))
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


def test_searches_find_what_dovecot_finds():
    corpus = [Maker(seed).message() for seed in range(60)]
    found = 0
    with mime_show.Ours() as ours, mime_show.Dovecot(corpus) as dovecot:
        for text in ("alpha", "GAMMA", "épsilon", "ÉPSILON", "café", "delta d'or", "äöü",
                     "not a boundary", "preamble", "a b.txt", "@a.example", "nowhere"):
            for key in ("BODY", "TEXT", "SUBJECT", "FROM", "HEADER X-Other"):
                told = set()
                for number, path in enumerate(dovecot.paths, 1):
                    ours.open(path)
                    if ours.search(key.lower().split()[-1], text):
                        told.add(number)
                dovecot.client.literal = text.encode()
                numbers = dovecot.client.search("UTF-8", key)[1][0].split()
                assert told == set(map(int, numbers)), (key, text)
                found += len(told)
    assert found > 300


def correspondence(seed, count):
    """Messages that answer each other, more or less."""
    chance = random.Random(seed)
    ids = []
    for number in range(count):
        known = [chance.choice(ids) for _ in range(chance.randint(0, 3)) if ids]
        if chance.random() < 0.2:
            known.append(f"missing{chance.randint(0, 3)}@x")
        field = chance.choice(["References: ", "In-Reply-To: "])
        subject = chance.choice(["one", "Re: one", "Re: Re: one", "[list] one", "two", "Fwd: two",
                                 "=?utf-8?q?zw=C3=B6lf?=", "Re: =?iso-8859-1?q?zw=F6lf?=", "",
                                 "three (fwd)", "[fwd: three]", "ZEBRA"])
        sender = chance.choice(["Anna <b@x>", "b@x", "Zed <a@x>", "=?utf-8?q?=C3=84?= <c@x>"])
        head = [f"Message-ID: <m{number}@x>", f"From: {sender}", f"Subject: {subject}",
                f"To: {chance.choice(['x@y', 'Q <z@y>'])}",
                f"Date: Sat, {chance.randint(1, 28)} Nov 2026 {chance.randint(0, 23):02d}:"
                f"{chance.randint(0, 59):02d}:{number % 60:02d} +0{chance.randint(0, 3)}00"]
        if known:
            head.append(field + " ".join(f"<{one}>" for one in known))
        ids.append(f"m{number}@x")
        yield ("\r\n".join(head) + "\r\n\r\nbody\r\n").encode()


def test_threads_and_orders_are_those_of_dovecot():
    for seed in range(3):
        with mime_show.Ours() as ours, mime_show.Dovecot(correspondence(seed, 80)) as dovecot:
            for algorithm in ("REFERENCES", "ORDEREDSUBJECT"):
                told = ours.ask("thread", algorithm.lower(), *dovecot.paths)
                assert told == dovecot.client.thread(algorithm, "UTF-8", "ALL")[1][0], seed
            for key in ("SUBJECT", "FROM", "TO", "DATE", "DISPLAYFROM", "DISPLAYTO"):
                keys = []
                for number, path in enumerate(dovecot.paths, 1):
                    ours.open(path)
                    value = ours.ask("sort", key.lower())
                    keys.append((int(value) if key == "DATE" else value, number))
                told = [number for _, number in sorted(keys)]
                numbers = dovecot.client.sort(f"({key})", "UTF-8", "ALL")[1][0].split()
                assert told == list(map(int, numbers)), (seed, key)


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


def suite_parts(message, path, name):
    """Name in FETCH, part and kind of its body, for all parts of one of the suite's messages."""
    part = message["parts"][0]
    if "Multipart" not in part["body"]:
        path = path + (1,)
        name = ".".join(map(str, path))
    waiting = [(path, name, part)]
    while waiting:
        path, name, part = waiting.pop()
        kind, value = next(iter(part["body"].items()))
        yield name, part, kind
        if kind == "Multipart":
            for number, index in enumerate(value, 1):
                inner = path + (number,)
                waiting.append((inner, ".".join(map(str, inner)), message["parts"][index]))
        if kind == "Message":
            yield from suite_parts(value, path, ".".join(map(str, path)) + ".TEXT")


def test_parts_lie_where_the_suite_says(tmp_path):
    compared = 0
    with mime_show.Ours() as ours:
        for answer in sorted((SUITE / "rfc").glob("*.crlf.json")):
            text = crlf((SUITE / "rfc" / answer.name.replace(".crlf.json", ".eml")).read_bytes())
            (tmp_path / answer.stem).write_bytes(text)
            ours.open(tmp_path / answer.stem)
            for name, part, kind in suite_parts(json.loads(answer.read_bytes()), (), "TEXT"):
                if answer.name.startswith("008") and name not in ("TEXT", "1", "2"):
                    continue  # a message in base64, which the suite decodes first
                assert ours.section(name) == text[part["offset_body"]:part["offset_end"]], (
                    answer.name, name)
                compared += 1
    assert compared == 61


def test_dates_of_the_suite(tmp_path):
    """All but dates without a name of a month, a comment that the suite refuses, and a Received."""
    different = []
    with mime_show.Ours() as ours:
        for number, case in enumerate(json.loads((SUITE / "date.json").read_bytes())):
            message = b"Date: " + crlf(case["header"].encode().rstrip()) + b"\r\n\r\n"
            (tmp_path / str(number)).write_bytes(message)
            ours.open(tmp_path / str(number))
            told, wanted = ours.ask("sort", "date"), case["expected"]
            if wanted is not None:
                at = datetime.datetime(*(wanted[name] for name in (
                    "year", "month", "day", "hour", "minute", "second")), tzinfo=datetime.UTC)
                zone = wanted["tz_hour"] * 3600 + wanted["tz_minute"] * 60
                wanted = int(at.timestamp()) + (zone if wanted["tz_before_gmt"] else -zone)
            if wanted != (told and int(told)):
                different.append(case["header"].split()[0])
    assert different == ["20", "4", "Tue,", "by"]


def test_types_of_the_suite(tmp_path):
    """What has a subtype is read as it says; parameters of RFC 2231 stay as they stand."""
    compared = 0
    with mime_show.Ours() as ours:
        for number, case in enumerate(json.loads((SUITE / "content_type.json").read_bytes())):
            wanted = case["expected"] or {}
            if not wanted.get("c_subtype") or wanted["c_type"] == "multipart":
                continue
            message = b"Content-Type: " + crlf(case["header"].encode().rstrip()) + b"\r\n\r\n"
            (tmp_path / str(number)).write_bytes(message)
            ours.open(tmp_path / str(number))
            told = parse(ours.ask("structure"))[0]
            assert lower(told[:2]) == lower([wanted["c_type"].encode(),
                                             wanted["c_subtype"].encode()]), case
            compared += 1
    assert compared > 50
