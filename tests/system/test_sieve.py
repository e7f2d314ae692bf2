"""Scripts of accounts: what `ringpost sieve` says of them beside Dovecot's Pigeonhole, and what they
make of mail that is filed."""

import itertools
import json
import os
import pathlib
import pwd
import re
import subprocess
import tempfile
import time

import inbound
import parts
import pytest
from test_forward import BOUNCE, Forwarder, srs
from test_store import hosted  # noqa: F401

FROM, TO = "coyote+acme@desert.example.org", "roadrunner+a+b@acme.example.com"

MESSAGES = {
    "plain": """\
Date: Tue, 1 Apr 1997 09:06:31 -0800 (PST)
From: coyote@desert.example.org
To: roadrunner@acme.example.com
Subject: I have a present for you

Look, I'm sorry about the whole anvil thing.
""",
    "rich": """\
From: =?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD+news@vm1.ulg.ac.be>
To: "Road, Runner" <runner@acme.example>, (comment) Coyote <c@desert.example.org>,
\tgroup: one@x.example, two@y.example;
Cc: "y z"@two.example
Sender: b1ff@de.res.example.com
Subject:  =?utf-8?B?w6k=?= =?utf-8?Q?t=C3=A9?=
  and $$$ folded*
X-Empty:
X-Star: a*
X-Word: =?utf-8?Q?_x?=
X-Two: first
X-Two: Second (*) \\ ?
Resent-From: x@resent.example

body
""",
    "bare": "\nbody alone\n",
}

REQUIRE = ('require ["fileinto", "envelope", "encoded-character", "copy", "imap4flags", "subaddress",'
           ' "reject", "comparator-i;octet"];\n')


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def make_tests():
    """Every kind of comparison with every kind of value. No encoded word ends in a space: Pigeonhole
    takes that off, though it leaves one in front; here both are what the sender meant."""
    fields = ["Subject", "subject", "X-Two", "X-Star", "X-Word", "X-Empty", "X-None", "From", "Sender", "Date"]
    keys = ["", "*", "?", "?*", "present", "*PRESENT*", "I have a present for you", "i have*",
            "été  and $$$ folded*", "*and ${hex:24}$$*", "first", "f?rst", "SECOND*", "a\\*", "a\\?", "x", " x", " x ", "*\\**",
            "second (\\*) \\\\ \\?", "*\\?", "Second (*) \\ ?", "*e*e*e*", "*André*",
            "=?utf-8?*", "${unicode:e9}t*"]
    ways = [":is", ":contains", ":matches", ':contains :comparator "i;octet"',
            ':matches :comparator "i;octet"', ""]
    yield from (f"header {way} {quoted(field)} {quoted(key)}"
                for way, field, key in itertools.product(ways, fields, keys))
    parts_of = ["", ":all", ":localpart", ":domain", ":user", ":detail"]
    fields = ["From", "to", "Cc", "Sender", "Resent-From"]
    keys = ["", "*", "coyote", "coyote@desert.example.org", "*example*", "pirard", "PIRARD+news",
            "news", "x.example", "y z", "y z@two.example", "\"y z\"@two.example", "one@x.example", "Andr*", "two.EXAMPLE"]
    ways = [":is", ":contains", ":matches", ':is :comparator "i;octet"']
    yield from (f"address {way} {part} {quoted(field)} {quoted(key)}"
                for way, part, field, key in itertools.product(ways, parts_of, fields, keys))
    keys = ["", "*", "coyote", "coyote+acme", "acme", FROM, TO, FROM.upper(), "a+b", "a",
            "acme.example.com", "*.example.???", "roadrunner"]
    yield from (f"envelope {way} {part} {quoted(which)} {quoted(key)}"
                for way, part, which, key in itertools.product(ways, parts_of, ["from", "TO"], keys))
    yield from ("true", "false", "not true", "not not true", "allof (true, false)",
                "allof (true, not false)", "anyof (false, true)", "anyof (false, not true)",
                'exists "From"', 'exists ["from", "SUBJECT"]', 'exists ["From", "X-None"]',
                'exists "X-Empty"', 'exists "From:"', "size :over 100", "size :under 100",
                "size :over 1K", "size :under 1M", "size :over 0", "size :under 1G",
                'header ["X-None", "Subject"] ["nothing", "I have a present for you"]',
                'address ["to", "cc"] ["nobody", "two@y.example"]',
                'header :contains ["subject", "x-two"] ["FOLDED", "cond"]')


TESTS = list(make_tests())


class Pigeonhole:
    """sieve-test of dovecot-sieve, which does not serve root."""

    def __init__(self):
        self.program = parts.need("sieve-test")
        self.place = tempfile.TemporaryDirectory(prefix="ringpost-sieve-", dir="/tmp")
        self.path = pathlib.Path(self.place.name)
        user = pwd.getpwuid(os.getuid() or pwd.getpwnam("nobody").pw_uid)
        os.chown(self.path, user.pw_uid, user.pw_gid)
        (self.path / "conf").write_text(
            f"mail_location = maildir:{self.path}/mail\nmail_uid = {user.pw_uid}\n"
            f"mail_gid = {user.pw_gid}\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
            f"base_dir = {self.path}/run\nlog_path = /dev/stderr\nssl = no\n")
        (self.path / "conf").chmod(0o644)
        self.env = {**os.environ, "USER": user.pw_name, "HOME": str(self.path)}

    def run(self, script, message):
        for name, text in (("script.sieve", script), ("message", message)):
            (self.path / name).write_bytes(text.encode())
            (self.path / name).chmod(0o644)
        (self.path / "script.svbin").unlink(missing_ok=True)
        return subprocess.run(
            [self.program, "-c", self.path / "conf", "-f", FROM, "-r", TO,
             self.path / "script.sieve", self.path / "message"],
            env=self.env, capture_output=True, text=True, timeout=parts.PATIENCE, check=False)

    def actions(self, script, message):
        """[("file", mailbox, flags) | ("reject", reason)], in no order."""
        done = self.run(script, message)
        assert done.returncode == 0 and "Performed actions" in done.stdout, (script, done)
        found = []
        for line in done.stdout.splitlines():
            if match := re.fullmatch(r" \* store message in folder: (.*)", line):
                found.append(["file", match[1], []])
            elif match := re.fullmatch(r" \* redirect message to: <(.*)>", line):
                found.append(["redirect", match[1]])
            elif match := re.fullmatch(r" \* reject message with reason: (.*)", line):
                found.append(["reject", match[1]])
            elif match := re.fullmatch(r" +\+ add IMAP flags: (.*)", line):
                found[-1][2] = sorted(match[1].lower().split())
        return sorted(map(repr, found))


@pytest.fixture(scope="module")
def pigeonhole():
    one = Pigeonhole()
    yield one
    one.place.cleanup()


def ringpost(*args, check=0, **kwargs):
    done = subprocess.run([parts.PROGRAM, *args], capture_output=True, text=True,
                          timeout=parts.PATIENCE, check=False, **kwargs)
    assert done.returncode == check, done
    return done


def our_actions(tmp_path, script, message):
    (tmp_path / "s.sieve").write_bytes(script.encode())
    (tmp_path / "m").write_bytes(message.encode())
    done = ringpost("sieve", "test", "--json", tmp_path / "s.sieve", tmp_path / "m",
                    "--mail-from", FROM, "--rcpt-to", TO)
    found = []
    for action in json.loads(done.stdout)["actions"]:
        if action["action"] == "reject":
            found.append(["reject", action["reason"]])
        elif action["action"] == "redirect":
            found.append(["redirect", action["address"]])
        else:
            found.append(["file", action["mailbox"], sorted(f.lower() for f in action["flags"])])
    return sorted(map(repr, found))


@pytest.mark.parametrize("name", MESSAGES)
def test_tests_come_out_as_with_pigeonhole(name, pigeonhole, tmp_path):
    """Thirty tests a script, each with a flag of its own."""
    differences = []
    for start in range(0, len(TESTS), 30):
        tests = TESTS[start:start + 30]
        script = REQUIRE + "".join(f'if {test} {{ addflag "t{i}"; }}\n'
                                   for i, test in enumerate(tests)) + "keep;\n"
        ours, theirs = (set(re.findall(r"'t(\d+)'", str(of))) for of in (
            our_actions(tmp_path, script, MESSAGES[name]),
            pigeonhole.actions(script, MESSAGES[name])))
        differences += [(tests[int(i)], "true here" if i in ours else "true there")
                        for i in ours ^ theirs]
    assert not differences


ACTIONS = [
    "", "keep;", "discard;", "stop; discard;", "discard; keep;",
    'fileinto "Lists/c";', 'fileinto "INBOX";', 'fileinto :copy "a";', 'fileinto "a"; discard;',
    'fileinto "a"; fileinto "a"; keep; keep;', 'fileinto :copy "a"; discard;',
    'reject "no";', 'reject "no"; discard;',
    'setflag "\\\\Seen";', 'addflag ["\\\\Seen", "\\\\flagged \\\\seen"]; keep;',
    'addflag "a b  c"; removeflag "B x"; keep;', 'addflag "a"; setflag "b"; keep;',
    'addflag "a"; fileinto :flags "b" "x"; fileinto "y"; fileinto :flags "" "z";',
    'fileinto :flags "a" "x"; fileinto :flags "b" "x";',
    'addflag "a"; if hasflag "A" { discard; }', 'addflag "a"; if hasflag ["c", "b a"] { discard; }',
    'addflag "junk1"; if hasflag :contains "unk" { discard; }',
    'addflag "junk1"; if hasflag :matches ["x", "j*1"] { discard; }',
    'if hasflag :contains "" { discard; }',
    'if true { fileinto "a"; } elsif true { fileinto "b"; } else { fileinto "c"; }',
    'if false { fileinto "a"; } elsif true { fileinto "b"; } else { fileinto "c"; }',
    'if false { fileinto "a"; } elsif false { fileinto "b"; } else { fileinto "c"; }',
    'if false { fileinto "a"; } if true { fileinto "b"; stop; } keep;',
    'IF TRUE { FileInto "a"; /* a * comment\n */ } # the end',
    'fileinto "${hex:41 42}";',
    'redirect "x@y.example";', 'redirect :copy "x@y.example";',
    'redirect "x@y.example"; redirect "x@y.example"; keep;', 'redirect "X Y <x@y.example>";',
    'redirect "x@y.example"; discard;', 'addflag "a"; redirect :copy "x@y.example";',
    'if true { if true { if true { addflag "\\\\Draft"; } } }',
]


@pytest.mark.parametrize("script", ACTIONS)
def test_actions_come_out_as_with_pigeonhole(script, pigeonhole, tmp_path):
    script = REQUIRE + script + "\n"
    assert our_actions(tmp_path, script, MESSAGES["plain"]) == \
        pigeonhole.actions(script, MESSAGES["plain"])


BROKEN = [
    "frobnicate;", "\n\nkeep", "keep\nkeep;", "keep; }", "if true { keep;\n\n", "if true keep;",
    "if { keep; }", "if keep { }", "true;", "else { }", "if true { } keep; elsif true { }",
    "if true { } else { }\nelse { }", "if allof true { }", "if allof (true true) { }",
    "if anyof () { }", 'stop "x";', 'require "nonsense";', 'keep;\nrequire "fileinto";', "require;",
    "require [];", 'require ["fileinto"', 'fileinto "a";', 'require "fileinto"; fileinto ["a"];',
    'require "fileinto"; fileinto :copy "a";', 'require "fileinto"; fileinto :over "a";',
    'keep :flags "a";', 'setflag "a";', 'if header "a" { }', 'if header "a" 1 { }',
    'if header :is :contains "a" "b" { }', 'if header :all "a" "b" { }',
    'if header :comparator "a" "b" { }', 'if header :comparator "i;none" "a" "b" { }',
    'if address "subject" "b" { }', 'if address :user "from" "b" { }', 'if envelope "from" "b" { }',
    "if size 100 { }", "if size :over :under 100 { }", 'if size :over "100" { }',
    "if size :over 100X { }", "keep; /* no end", '\nkeep "no end\n\n',
    'require "reject";\nreject text:\nno end\n', "keep @;", "keep: ;",
    'redirect "nobody";', 'redirect "a@b.example, c@d.example";', 'redirect ["a@b.example"];',
    'redirect :copy "a@b.example";', 'require "imap4flags";\nsetflag "v" "a";', 'require "reject"; reject ["a", "b"];',
]


@pytest.mark.parametrize("script", BROKEN)
def test_broken_scripts_are_so_for_pigeonhole_too(script, pigeonhole, tmp_path):
    assert "failed to compile" in pigeonhole.run(script, MESSAGES["plain"]).stderr
    (tmp_path / "s.sieve").write_text(script)
    done = ringpost("sieve", "check", tmp_path / "s.sieve", check=1)
    assert re.fullmatch(rf"{tmp_path}/s.sieve:[1-9]\d*: .+\n", done.stderr)


# --- the commands ------------------------------------------------------------------------------

def test_check_names_file_and_line(tmp_path):
    path = tmp_path / "x.sieve"
    path.write_text('require "fileinto";\nfileinto "a.b";\n')
    done = ringpost("sieve", "check", path, check=1)
    assert done.stderr == f'{path}:2: expected a mailbox\'s name, and "a.b" is none\n'
    assert not done.stdout
    done = ringpost("sieve", "check", "--json", path, check=1)
    assert json.loads(done.stdout) == {"file": str(path), "valid": False, "line": 2,
                                       "error": 'expected a mailbox\'s name, and "a.b" is none'}
    good = tmp_path / "y.sieve"
    good.write_text("keep;\n")
    assert ringpost("sieve", "check", good).stdout == f"{good}: ok\n"
    assert ringpost("sieve", "check", good, path, check=1).stdout == f"{good}: ok\n"
    assert ringpost("sieve", "check", "-", input="keep;").stdout == "-: ok\n"
    for words in ([], ["frob"], ["check"], ["test", "a"], ["check", "--frob", "a"]):
        ringpost("sieve", *words, check=64)
    ringpost("sieve", "check", tmp_path / "none", check=1)


def test_check_names_a_file_whose_name_is_no_utf_8(tmp_path):
    for script, code in (("keep;\n", 0), ("kep;\n", 1)):
        path = tmp_path / os.fsdecode(b"x\xff\xc3")
        path.write_text(script)
        done = ringpost("sieve", "check", "--json", path, check=code)
        assert json.loads(done.stdout)["file"].startswith(str(tmp_path))


def test_scripts_of_accounts_come_and_go(hosted, tmp_path):  # noqa: F811
    h = hosted("anna@b.example")
    good, bad = tmp_path / "good.sieve", tmp_path / "bad.sieve"
    good.write_text("# mine\nkeep;\n")
    bad.write_text("keep;\nfrob;\n")
    at = h.relay.state_dir / "sieve/b.example/anna.sieve"
    done = h.cli("account", "sieve", "anna@b.example", bad, check=False)
    assert done.returncode == 1 and f"{bad}:2: " in done.stderr and not at.exists()
    h.cli("account", "sieve", "Anna@B.example", good)
    assert at.read_text() == good.read_text()
    for path in (at, at.parent, at.parent.parent):
        assert path.stat().st_mode & 0o077 == 0
    assert h.cli("account", "sieve", "anna@b.example", "--show").stdout == good.read_text()
    shown = h.cli("account", "sieve", "anna@b.example", "--show", "--json").stdout
    assert json.loads(shown) == {"script": good.read_text()}
    done = h.cli("account", "sieve", "anna@b.example", bad, check=False)
    assert done.returncode == 1 and at.read_text() == good.read_text()
    done = h.cli("account", "sieve", "bob@b.example", good, check=False)
    assert done.returncode == 1 and "no account" in done.stderr
    h.cli("account", "sieve", "anna@b.example", "--remove")
    assert not at.exists()
    assert h.cli("account", "sieve", "anna@b.example", "--remove", check=False).returncode == 1
    assert h.cli("account", "sieve", "anna@b.example", check=False).returncode == 64
    h.cli("account", "sieve", "anna@b.example", good)
    h.cli("account", "remove", "anna@b.example")
    assert not at.exists()
    size = good.stat().st_size
    changes = [f"account sieve anna@b.example bytes={size}", "account sieve remove anna@b.example ",
               f"account sieve anna@b.example bytes={size}"]

    def told():
        texts = [e["reply"]["text"] for e in h.relay.events(kind="changed")]
        return [re.sub(" by .*?: ", " ", t) for t in texts if t.startswith("account sieve")]
    parts.wait_for(lambda: len(told()) >= len(changes), "the changes to be told")
    assert told() == changes


# --- mail that is filed ------------------------------------------------------------------------

def install(h, tmp_path, text, address="anna@b.example"):
    (tmp_path / "s.sieve").write_text(text)
    h.cli("account", "sieve", address, tmp_path / "s.sieve")


def test_mail_is_filed_as_the_script_says(hosted, tmp_path):  # noqa: F811
    h = hosted("anna@b.example", "bob@b.example")
    install(h, tmp_path, """require ["fileinto", "copy", "imap4flags", "envelope", "subaddress"];
if header :contains "X-List" "größe" { fileinto "Lists/Größe"; }
elsif envelope :detail "to" "work" { addflag "\\\\Seen"; fileinto :copy "Work"; }
elsif header "X-Flag" "yes" { fileinto :flags ["\\\\Flagged", "\\\\Answered", "odd"] "INBOX"; }
elsif header "X-Gone" "yes" { discard; }
""")

    def send(headers="", to="anna@b.example"):
        id = h.relay.submit(to, sender="x@a.example", headers=headers)
        return h.relay.wait_events(1, id=id, kind="filed")[0]

    send("X-List: =?utf-8?Q?Gr=C3=B6=C3=9Fe?=\r\n")
    assert len(h.files(folder=".Lists.Gr&APYA3w-e")) == 1 and not h.files()
    send(to="Anna+Work@b.example")
    (one,), (two,) = h.files(folder=".Work", part="cur"), h.files(part="cur")
    assert one.name.endswith(":2,S") and two.name == one.name
    assert one.stat().st_ino == two.stat().st_ino
    send("X-Flag: yes\r\n")
    assert [p.name.split(":2,")[1] for p in h.files(part="cur") if p != two] == ["FR"]
    event = send("X-Gone: yes\r\n")
    assert event["rule"] == "sieve-discard"
    assert event["class"] == "discarded"
    assert event["reply"]["text"] == "discarded by the account's script"
    send()
    assert len(h.files()) == 1 and len(h.files(part="cur")) == 2
    send("X-Gone: yes\r\n", to="bob@b.example")  # who has no script
    assert len(h.files("bob")) == 1
    audit = h.cli("events", "audit", "--json").stdout
    assert json.loads(audit.splitlines()[-1])["adds_up"] is True, audit


def test_what_is_rejected_bounces_with_the_text(hosted, tmp_path):  # noqa: F811
    h = hosted("anna@b.example", "bob@b.example")
    install(h, tmp_path, """require "reject";
if header "subject" "test" { reject text:
No birdseed, please.
Not today.
.
; }
""")
    id = h.relay.submit("anna@b.example", sender="bob@b.example")
    event = h.relay.wait_events(1, id=id, kind="bounced")[0]
    assert event["rule"] == "sieve-reject"
    assert event["reply"]["enhanced"] == "5.7.1"
    assert event["reply"]["text"] == "No birdseed, please.\nNot today."
    assert not h.files() and not h.files(part="cur")
    parts.wait_for(lambda: h.files("bob"), "the notice")
    notice = h.text(h.files("bob")[0])
    assert "No birdseed, please." in notice and "Not today." in notice
    assert "Status: 5.7.1" in notice
    # A null path is never told.
    id = h.relay.submit("anna@b.example", sender="", headers="")
    h.relay.wait_events(1, id=id, kind="bounced")
    time.sleep(1)
    assert len(h.files("bob")) == 1


def test_a_broken_script_keeps_mail_in_the_inbox(hosted, tmp_path):  # noqa: F811
    h = hosted("anna@b.example")
    install(h, tmp_path, "keep;\n")
    at = h.relay.state_dir / "sieve/b.example/anna.sieve"
    for count, text in enumerate(["discard;\nfrob;\n", "discard;\nvacation \"away\";\n",
                                  'require "reject";\nreject "a"; keep;\n'], start=1):
        at.write_text(text)
        id = h.relay.submit("anna@b.example")
        h.relay.wait_events(1, id=id, kind="filed")
        assert len(h.files()) == count
        h.relay.wait_log(f"line=2 what=\"its Sieve script does not count")
    at.unlink()
    at.symlink_to("/etc/passwd")
    id = h.relay.submit("anna@b.example")
    h.relay.wait_events(1, id=id, kind="filed")
    assert len(h.files()) == 4
    h.relay.wait_log("line=0 what=\"its Sieve script does not count")


# --- mail that is sent on ----------------------------------------------------------------------

def forwarder(stage, tmp_path, script, **settings):
    f = Forwarder(stage, accounts=("anna@acme.example", "bob@acme.example"), **settings)
    (tmp_path / "s.sieve").write_text(script)
    f.relay.cli("account", "sieve", "anna@acme.example", tmp_path / "s.sieve")
    return f


def told(f, message_id, kind):
    return parts.wait_for(lambda: f.events(message_id, kind=kind), kind)


def test_a_redirect_sends_on_and_files_nothing(stage, tmp_path):
    f = forwarder(stage, tmp_path, 'redirect "carol@far.example"; redirect "dora@other.example";')
    id = f.take(to="Anna+x@acme.example")
    [event] = told(f, id, "forwarded")
    assert event["rule"] == "sieve"
    def arrived():
        return sorted(to for message in f.far.messages for to in message.to())

    parts.wait_for(lambda: len(arrived()) >= 2, "both copies")
    assert arrived() == ["carol@far.example", "dora@other.example"]
    for message in f.far.messages:
        srs(message.sender)
        assert b"Delivered-To: anna@acme.example\r\n" in message.content
        assert message.content.endswith(inbound.message("alice@good.example"))
    assert not f.files("anna")
    # One of them comes back to us in a circle: it is kept.
    id = f.take(f.far.messages[0].content, to="anna@acme.example")
    told(f, id, "filed")
    assert len(f.files("anna")) == 1 and len(arrived()) == 2
    f.relay.wait_log("it redirects a message that it redirected before")
    # And what cannot be answered is sent on from nobody.
    count = len(f.far.messages)
    f.take(to="anna@acme.example", sender="", content=BOUNCE)
    parts.wait_for(lambda: len(arrived()) == 4, "two more")
    assert {m.sender for m in f.far.messages[count:]} == {""}


def test_a_copy_that_is_redirected_is_beside_what_is_filed(stage, tmp_path):
    f = forwarder(stage, tmp_path, 'require "copy"; redirect :copy "carol@far.example";',
                  aliases=(("both@acme.example", "anna@acme.example", "bob@acme.example",
                            "carol@far.example"),))
    id = f.take(to="anna@acme.example")
    told(f, id, "filed")
    f.arrived(f.far)
    assert len(f.files("anna")) == 1
    # An alias and a script that mean one address mean it once.
    id = f.take(to="both@acme.example")
    told(f, id, "filed")
    f.arrived(f.far, 2)
    assert (len(f.files("anna")), len(f.files("bob"))) == (2, 1)
    audit = f.relay.cli("events", "audit", "--json").stdout
    assert json.loads(audit.splitlines()[-1])["adds_up"] is True, audit


def test_what_is_redirected_is_sent_on_once_though_filing_fails(stage, tmp_path):
    f = forwarder(stage, tmp_path, 'require "copy"; redirect :copy "carol@far.example";',
                  own={"retry": "{first: 1s, max: 1s, jitter: 0%}"})
    maildir = f.relay.state_dir / "mail/acme.example/anna"
    maildir.parent.mkdir(parents=True, exist_ok=True)
    maildir.write_text("no directory")
    id = f.take(to="anna@acme.example")
    f.arrived(f.far)
    parts.wait_for(lambda: len(f.events(id, kind="deferred")) >= 2, "two tries")
    maildir.unlink()
    told(f, id, "filed")
    f.arrived(f.far)
    assert len(f.files("anna")) == 1 and len(f.events(id, kind="forwarded")) == 1
