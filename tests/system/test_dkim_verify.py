"""test_dkim_verify.py - our verdicts on signatures that others made, and beside dkimpy's on messages
that changed on their way."""

import random
import re
import subprocess
import time

import checks
import dkim
import parts
import pytest
from test_dkim import (DKIMPY_CANNOT, DOMAIN, FORMS, OPENDKIM_CANNOT, Keys, dkimpy_passes, shapes,
                       sign)


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", name="program")
def start_program():
    with checks.Checks() as program:
        yield program


def zone(keys):
    return checks.Zone({f"{selector}._domainkey.{DOMAIN}": [{"TXT": record}]
                        for selector, record in keys.records.items()})


def results(program, keys, message, piece=4096):
    return [verdict["result"] for verdict in
            program.dkim(zone(keys), message, piece, int(time.time()))]


def test_signatures_of_dkimpy_pass(keys, program):
    rng = random.Random(1)
    for name, message in shapes().items():
        if name in {shape for shape, _ in DKIMPY_CANNOT} or len(message) > 500_000:
            continue
        for form in FORMS:
            # It takes an Ed25519 key as bare base64.
            seed = subprocess.run(["openssl", "pkey", "-in", keys.files["e"], "-outform", "DER"],
                                  check=True, capture_output=True).stdout[-32:]
            for selector, key, algorithm in (
                    ("r", keys.files["r"].read_bytes(), b"rsa-sha256"),
                    ("e", dkim.base64.b64encode(seed), b"ed25519-sha256")):
                field = dkim.sign(message, selector.encode(), DOMAIN.encode(), key,
                                  canonicalize=tuple(form.encode().split(b"/")),
                                  signature_algorithm=algorithm)
                piece = rng.choice([1, 2, 3, 61, 4096]) if len(message) < 10_000 else 4096
                assert results(program, keys, field + message, piece) == ["pass"], (name, form, selector)


def test_signatures_of_opendkim_pass(keys, program, tmp_path):
    config, file = tmp_path / "opendkim.conf", tmp_path / "mail"
    for form in FORMS:
        config.write_text(f"Mode s\nDomain {DOMAIN}\nSelector r\nKeyFile {keys.files['r']}\n"
                          f"Canonicalization {form}\nRequireSafeKeys no\nSyslog no\n"
                          "SoftwareHeader no\n")
        for name, message in shapes().items():
            if (name, form) in OPENDKIM_CANNOT or len(message) > 500_000:
                continue
            message = b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n" + message  # it wants one
            message += b"" if message.endswith(b"\r\n") else b"\r\n"  # and reads none without
            file.write_bytes(message)
            done = subprocess.run([parts.need("opendkim"), "-x", config, "-vv", "-t", file],
                                  check=False, capture_output=True)
            field = re.search(rb"hname='DKIM-Signature' hvalue='(.*?)'", done.stdout, re.DOTALL)
            assert field, (name, form, done.stdout, done.stderr)
            value = field.group(1).replace(b"\n", b"\r\n")
            signed = b"DKIM-Signature: " + value + b"\r\n" + message
            assert results(program, keys, signed) == ["pass"], (name, form)


def test_our_own_signatures_pass(keys, program):
    for name, message in shapes().items():
        for form in FORMS[::3] if len(message) < 50_000 else FORMS[:1]:
            signed = sign(keys, message, "--canonicalization", form)
            assert results(program, keys, signed, 1000) == ["pass", "pass"], (name, form)


#: What may happen to a message on its way.
def change(rng, message):
    at = rng.randrange(len(message))
    kind = rng.randrange(6)
    if kind == 0:
        return message[:at] + bytes([message[at] ^ 1 << rng.randrange(5)]) + message[at + 1:]
    if kind == 1:
        return message[:at] + rng.choice([b" ", b"\t", b"\r\n", b"\r\n ", b"x"]) + message[at:]
    if kind == 2:
        return message[:at] + message[at + 1:]
    if kind == 3:
        return message + rng.choice([b"\r\n", b"\r\n\r\n", b" ", b"x"])
    if kind == 4:
        return rng.choice([b"To: new\r\n", b"X-New: y\r\n", b"Subject: new\r\n"]) + message
    return message.replace(b" ", b"  ", 1 + rng.randrange(3))


def is_alike(message):
    """dkimpy takes a LF for a line's end, and cuts more than white space off a value."""
    plain = message.replace(b"\r\n", b"")
    header = message.split(b"\r\n\r\n")[0].replace(b"\r\n", b"")
    return b"\r" not in plain and b"\n" not in plain and all(32 <= c < 127 or c == 9 for c in header)


def test_changed_messages_are_judged_as_dkimpy_does(keys, program):
    rng = random.Random(2)
    compared = {True: 0, False: 0}
    names = ["plain", "folded", "duplicates", "trailing blanks", "no final newline", "lists"]
    signed = [sign(keys, shapes()[name], "--canonicalization", form)
              for name in names for form in FORMS]
    for _ in range(1000):
        message = change(rng, rng.choice(signed))
        if not message.endswith(b"\r\n"):
            message += b"\r\n"  # as it would arrive; it has ideas of its own of a last line without
        if not is_alike(message):
            continue
        try:
            theirs = dkimpy_passes(keys, message)
        except (dkim.DKIMException, IndexError, KeyError, ValueError):
            continue  # it gave up
        ours = results(program, keys, message, 1 + rng.randrange(100))
        assert (ours[:1] == ["pass"]) == theirs, (ours, theirs, message)
        compared[theirs] += 1
    assert compared[True] > 60 and compared[False] > 200, compared
