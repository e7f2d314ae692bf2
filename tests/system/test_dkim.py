"""test_dkim.py - signatures of `ringpost sign` in the eyes of others: dkimpy, OpenDKIM, rspamd, and
go-msgauth, which is written in Go."""

import base64
import json
import os
import pathlib
import random
import re
import subprocess

import dkim
import parts
import pytest
import rspamd

DOMAIN = "example.org"
FORMS = ["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]
FROM = b"From: Joe <joe@example.org>\r\n"


def shapes():
    """{name: message}: whatever a message may look like, and some that hardly may."""
    rng = random.Random(6376)
    words = b"".join(rng.choice([b"word ", b"a  b", b"\t", b"\xc3\xa4", b"."]) for _ in range(20000))
    return {
        "plain": FROM + b"To: b@example.net\r\nSubject: hi\r\n\r\nHello\r\n",
        "folded": FROM + b"Subject: one\r\n two\r\n\t three  four \r\nTo:\r\n b@example.net\r\n\r\nx\r\n",
        "empty fields": FROM + b"Subject:\r\nTo: \r\nCc:\t\r\n\r\nx\r\n",
        "blank fold": FROM + b"Subject: a\r\n \r\n b\r\n\r\nx\r\n",
        "duplicates": FROM + b"To: 1\r\nTo: 2\r\nReceived: a\r\nTo: 1\r\nReceived: b\r\n\r\nx\r\n",
        "cases": b"fROM: joe@example.org\r\nSUBJECT: x\r\nmime-version: 1.0\r\n\r\nx\r\n",
        "lists": FROM + b"List-Unsubscribe: <https://x>\r\nList-Unsubscribe-Post: y\r\n"
                 b"List-Id: <l>\r\nFeedback-ID: f\r\n\r\nx\r\n",
        "8bit": FROM + b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n\r\n\xe4\xf6\xfc \xff\r\n",
        "no body": FROM + b"\r\n",
        "empty lines alone": FROM + b"\r\n\r\n\r\n\r\n",
        "trailing empty lines": FROM + b"\r\nx\r\n\r\n\r\n\r\n",
        "trailing blanks": FROM + b"\r\nx \t\r\n \r\n\t\t\r\n",
        "no final newline": FROM + b"\r\nx\r\nlast",
        "dots": FROM + b"\r\n.\r\n..\r\n.x\r\n",
        "space before colon": FROM + b"Subject : x\r\n\r\nx\r\n",
        "100 KB line": FROM + b"\r\n" + words[:100_000].replace(b"\r\n", b"") + b"\r\nend\r\n",
        "megabytes": FROM + b"\r\n" + b"".join(
            b"line %d  of\tmany \r\n" % n + b"\r\n" * (n % 7 == 0) for n in range(50_000)),
        "CRLF at borders": FROM + b"\r\n" + (b"x" * 8190 + b"\r\n") * 6 + b"y" * 4095 + b"\r\n",
        "many fields": FROM + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(300)) + b"\r\nx\r\n",
    }


#: It does not parse such a header.
DKIMPY_CANNOT = {("space before colon", form) for form in FORMS}
#: A milter, as which its test mode reads files, is not told of white space behind a colon.
OPENDKIM_CANNOT = {
    (name, form) for name in ("folded", "empty fields") for form in FORMS if form.startswith("simple")}
#: rspamd 3.4 does not pass these as we sign them. Tried of another signer were dkimpy's signatures of
#: the same messages, which it does not pass either; why was not looked into.
RSPAMD_CANNOT = {(name, form) for name in ("duplicates", "space before colon") for form in FORMS} | {
    ("100 KB line", form) for form in FORMS if form.endswith("relaxed")}


GO_PACKAGES = "/usr/share/gocode"
GO_MSGAUTH = f"{GO_PACKAGES}/src/github.com/emersion/go-msgauth"


def text_record(value):
    return " ".join(f'"{value[i:i + 200]}"' for i in range(0, len(value), 200))


class Keys:
    """An RSA and an Ed25519 key, with what DNS says of them."""

    def __init__(self, directory):
        self.files, self.records = {}, {}
        for selector, kind, options in (("r", "rsa", ["-pkeyopt", "rsa_keygen_bits:2048"]),
                                        ("e", "ed25519", [])):
            file = directory / f"{selector}.pem"
            parts.run(["openssl", "genpkey", "-algorithm", kind, *options, "-out", file])
            file.chmod(0o600)
            der = subprocess.run(["openssl", "pkey", "-in", file, "-pubout", "-outform", "DER"],
                                 check=True, capture_output=True).stdout
            public = base64.b64encode(der if kind == "rsa" else der[-32:]).decode()
            self.files[selector] = file
            self.records[selector] = f"v=DKIM1; k={kind}; p={public}"

    def answer(self, name, timeout=5):  # pylint: disable=unused-argument
        selector = name.decode().split(".")[0]
        return self.records[selector].encode()

    def zone(self):
        return "\n".join(f"{selector}._domainkey TXT {text_record(record)}"
                         for selector, record in self.records.items())


def sign(keys, message, *options):
    words = [word for selector, file in keys.files.items()
             for word in ("--selector", selector, "--key", file)]
    done = subprocess.run([parts.PROGRAM, "sign", "--domain", DOMAIN, *words, *options, "-"],
                          input=message, check=True, capture_output=True)
    assert done.stderr == b""
    return done.stdout


@pytest.fixture(scope="module", name="keys")
def make_keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", name="corpus")
def make_corpus(keys):
    """{(shape, form): signed message}"""
    return {(name, form): sign(keys, message, "--canonicalization", form)
            for name, message in shapes().items() for form in FORMS}


def test_message_is_as_it_was_behind_its_signatures(keys):
    for name, message in shapes().items():
        signed = sign(keys, message)
        ending = b"" if message.endswith(b"\r\n") else b"\r\n"
        assert signed.endswith(message + ending), name
        front = signed[:-len(message + ending)]
        assert front.count(b"DKIM-Signature:") == 2
        assert all(len(line) <= 78 for line in front.split(b"\r\n")), name
    unix = shapes()["folded"].replace(b"\r\n", b"\n")
    assert sign(keys, unix).endswith(shapes()["folded"])


def dkimpy_passes(keys, message, number=0):
    try:
        return dkim.DKIM(message).verify(number, dnsfunc=keys.answer)
    except dkim.ValidationError:
        return False


def test_dkimpy_passes_all(keys, corpus):
    for (name, form), message in corpus.items():
        for number in range(2) if (name, form) not in DKIMPY_CANNOT else ():
            assert dkimpy_passes(keys, message, number), (name, form, number)


def test_dkimpy_notices_changes(keys):
    """Else the test above shows nothing; and over-signed fields cannot be added."""
    signed = sign(keys, shapes()["plain"])
    for changed in (signed.replace(b"Hello", b"Hallo"), signed.replace(b"To: b@", b"To: c@"),
                    b"Subject: other\r\n" + signed, b"Reply-To: x@example.net\r\n" + signed):
        assert not dkimpy_passes(keys, changed)


def test_opendkim_passes_all(keys, corpus, tmp_path):
    records = tmp_path / "keys"
    records.write_text("".join(f"{selector}._domainkey.{DOMAIN} {record}\n"
                               for selector, record in keys.records.items()))
    config = tmp_path / "opendkim.conf"
    config.write_text(f"Mode v\nTestPublicKeys {records}\nSyslog no\nSoftwareHeader no\n")
    for number, ((name, form), message) in enumerate(corpus.items()):
        if (name, form) in OPENDKIM_CANNOT:
            continue
        file = tmp_path / f"{number}.eml"
        file.write_bytes(message)
        done = subprocess.run([parts.need("opendkim"), "-x", config, "-vv", "-t", file],
                              check=False, capture_output=True, text=True, errors="replace")
        assert len(re.findall(r"dkim=pass", done.stdout)) == 2, (name, form, done.stdout)


class GoVerifier:
    """verify_dkim.go, built of Debian's golang-github-emersion-go-msgauth-dev."""

    def __init__(self, directory, keys):
        """Keys are {selector: record}."""
        self.program, self.records = directory / "verify_dkim", directory / "records.json"
        source = pathlib.Path(__file__).with_name("verify_dkim.go")
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": GO_PACKAGES, "GOFLAGS": ""}
        if "HOME" not in env:
            env["GOCACHE"] = str(directory / "go-cache")
        parts.run([parts.need("go"), "build", "-o", self.program, source], env=env, timeout=300)
        self.records.write_text(json.dumps({f"{selector}._domainkey.{DOMAIN}": record
                                            for selector, record in keys.items()}))

    def results(self, *files):
        """For each file: of each signature "" or why it does not pass."""
        done = subprocess.run([self.program, self.records, *files], check=True, capture_output=True,
                              text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.skipif(not os.path.isdir(GO_MSGAUTH),
                    reason="golang-github-emersion-go-msgauth-dev is not installed")
def test_go_passes_all(keys, corpus, tmp_path):
    verifier = GoVerifier(tmp_path, keys.records)
    files = {}
    for number, (what, message) in enumerate(corpus.items()):
        files[what] = tmp_path / f"{number}.eml"
        files[what].write_bytes(message)
    failed = {what: found for what, found in zip(files, verifier.results(*files.values()))
              if found != ["", ""]}
    assert not failed, failed
    changed = tmp_path / "changed.eml"
    changed.write_bytes(corpus["plain", FORMS[0]].replace(b"Hello", b"Hallo"))
    assert all(verifier.results(changed)[0]), "else the above shows nothing"


def test_rspamd_passes_all(stage, keys, corpus):
    names = stage.nsd({DOMAIN: keys.zone()})
    verifier = stage.add(rspamd.DkimVerifier(stage.directory / "rspamd", names.port))
    for (name, form), message in corpus.items():
        if (name, form) not in RSPAMD_CANNOT:
            assert verifier.passed(message) == ["e", "r"], (name, form)
    assert verifier.passed(corpus["plain", FORMS[0]].replace(b"Hello", b"Hallo")) == []


def complaint(*arguments):
    done = subprocess.run([parts.PROGRAM, "sign", *arguments], input=FROM + b"\r\nx\r\n",
                          check=False, capture_output=True)
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


def test_wrong_use_is_told(keys, tmp_path):
    key = ("--selector", "r", "--key", keys.files["r"])
    domain = ("--domain", DOMAIN)
    (tmp_path / "not.pem").write_text("no key\n")
    (tmp_path / "other.eml").write_bytes(b"To: b\r\n\r\nx")
    (tmp_path / "broken.eml").write_bytes(FROM + b"no field\r\n\r\nx")
    for code, words, arguments in (
            (64, "--domain NAME is needed", (*key, "-")),
            (64, "a FILE is needed", (*domain, *key)),
            (64, "needs its --selector", (*domain, "--key", keys.files["r"], "-")),
            (64, "not a domain name", ("--domain", "a b", *key, "-")),
            (64, "not a domain name", ("--domain", "[192.0.2.1]", *key, "-")),
            (64, "--canonicalization loose", (*domain, *key, "--canonicalization", "loose", "-")),
            (64, "--expires soon", (*domain, *key, "--expires", "soon", "-")),
            (64, "unknown argument --frob", (*domain, *key, "--frob", "-")),
            (64, "unknown argument two", (*domain, *key, "-", "two")),
            (1, "the selector is not one", (*domain, "--selector", "a b", *key[2:], "-")),
            (1, "not a private key", (*domain, *key[:3], tmp_path / "not.pem", "-")),
            (1, "No such file", (*domain, *key[:3], tmp_path / "none", "-")),
            (1, "No such file", (*domain, *key, tmp_path / "none")),
            (1, "there is no From field", (*domain, *key, tmp_path / "other.eml")),
            (1, "is no header field", (*domain, *key, tmp_path / "broken.eml"))):
        got, text = complaint(*arguments)
        assert got == code, (arguments, text)
        assert words in text, (arguments, text)


def test_json_tells_the_signatures_alone(keys):
    told = json.loads(sign(keys, shapes()["8bit"], "--json", "--expires", "600"))
    assert told["domain"] == DOMAIN
    assert [one["selector"] for one in told["signatures"]] == ["r", "e"]
    assert [one["algorithm"] for one in told["signatures"]] == ["rsa-sha256", "ed25519-sha256"]
    fields = "".join(one["field"] + "\r\n" for one in told["signatures"]).encode()
    for number in range(2):
        assert dkimpy_passes(keys, fields + shapes()["8bit"], number)
    times = re.search(rb"t=(\d+);\s+x=(\d+);", fields)
    assert int(times.group(2)) - int(times.group(1)) == 600


def test_key_that_others_can_read_is_complained_about(keys, tmp_path):
    file = tmp_path / "open.pem"
    file.write_bytes(keys.files["e"].read_bytes())
    file.chmod(0o644)
    done = subprocess.run([parts.PROGRAM, "sign", "--domain", DOMAIN, "--selector", "e",
                           "--key", file, "-"], input=shapes()["plain"], check=True,
                          capture_output=True)
    assert b"chmod 600" in done.stderr
    assert dkimpy_passes(keys, done.stdout)


def test_mbox_line_before_the_message_is_left_out(keys):
    message = shapes()["plain"]
    assert sign(keys, b"From joe Sat Nov 28\n" + message).endswith(b"==\r\n" + message)
