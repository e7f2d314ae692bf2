"""Scripts that answer (RFC 5230): whom, with what, and once, wherever the program fails."""

import email
import email.policy
import json
import shutil
import smtplib
import time

import inbound
import parts
import pytest
from test_forward import Forwarder

AWAY = 'require "vacation"; vacation :days 3 :subject "Weg" "I am away.";'


class Answerer(Forwarder):
    def __init__(self, stage, tmp_path, script=AWAY, **settings):
        super().__init__(stage, accounts=("anna@acme.example", "bob@acme.example"), **settings)
        self.tmp_path = tmp_path
        self.install(script)

    def install(self, script, address="anna@acme.example"):
        (self.tmp_path / "s.sieve").write_text(script)
        self.relay.cli("account", "sieve", address, self.tmp_path / "s.sieve")

    def write(self, to="anna@acme.example", headers="", sender="alice@good.example", said_to=None,
              rcpt_options=()):
        """A message whose recipient has come to its end: its id and that event."""
        content = (f"From: {sender or 'x@plain.example'}\r\nTo: {said_to or to}\r\n{headers}"
                   "Subject: lunch?\r\nMessage-ID: <m1@good.example>\r\n"
                   "Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n\r\nhello\r\n").encode()
        id = self.take(content, to=to, sender=sender, rcpt_options=rcpt_options)
        return id, self.final(id)

    def counted(self, result):
        return self.relay.metrics()[f'ringpost_vacation_total{{result="{result}"}}']


def parsed(message):
    return email.message_from_bytes(message.content, policy=email.policy.default)


def checks(event):
    return {c["check"]: c["result"] for c in event["checks"] or ()}


def test_a_message_is_answered_once_in_days(stage, tmp_path):
    f = Answerer(stage, tmp_path)
    id, event = f.write()
    got = f.arrived(f.origin)
    assert event["kind"] == "filed" and len(f.files("anna")) == 1
    answer = checks(event)["vacation"]
    assert got.sender == "" and got.to() == ["alice@good.example"]
    m = parsed(got)
    assert m["From"] == "anna@acme.example" and m["To"] == "alice@good.example"
    assert m["Subject"] == "Weg" and m["Auto-Submitted"] == "auto-replied"
    assert m["In-Reply-To"] == m["References"] == "<m1@good.example>"
    assert m["Message-ID"] == f"<{id}.0.answer@{inbound.HOST}>"
    assert m["DKIM-Signature"] and "d=acme.example" in m["DKIM-Signature"].replace(" ", "")
    assert m.get_content() == "I am away.\r\n" or m.get_content() == "I am away.\n"
    # It is a message of its own, told as all are.
    end = parts.wait_for(lambda: f.events(answer, "delivered"), "its end")[0]
    assert end["recipient"] == "alice@good.example" and end["sender"] == ""
    assert f.events(answer, "accepted")[0]["client"]["service"] == "vacation"
    f.relay.wait_log(f"id={id} answered_as=\"{answer}\" to=\"alice@good.example\" rule=vacation")
    # The same sender again, in another case, and after a restart: nothing.
    assert not checks(f.write(sender="Alice@good.example")[1])
    f.relay.stop()
    f.relay.start()
    assert not checks(f.write()[1])
    # Another sender; and the same one with another text, which is another thing to be told.
    assert checks(f.write(sender="dora@good.example")[1])
    f.arrived(f.origin, 2)
    f.install(AWAY.replace("away", "back soon"))
    f.write()
    f.arrived(f.origin, 3)
    assert f.counted("answered") == 2 and f.counted("before") == 1  # since the restart
    audit = f.relay.cli("events", "audit", "--json").stdout
    assert json.loads(audit.splitlines()[-1])["adds_up"] is True, audit


@pytest.mark.parametrize("settings", [
    {"sender": ""},
    {"sender": "owner-list@good.example"},
    {"headers": "List-Id: <x.good.example>\r\n"},
    {"headers": "Precedence: bulk\r\n"},
    {"headers": "Auto-Submitted: auto-generated\r\n"},
    {"said_to": "everybody@good.example"},
    {"headers": "Delivered-To: anna@acme.example\r\n"},
], ids=lambda s: next(iter(s.values())).split(":")[0] or "null")
def test_machines_and_lists_get_no_answer(stage, tmp_path, settings):
    f = Answerer(stage, tmp_path)
    _, event = f.write(**settings)
    assert event["kind"] == "filed" and not checks(event)
    assert f.counted("unanswered") == 1
    f.write(sender="dora@good.example")  # and this one does
    assert f.arrived(f.origin).to() == ["dora@good.example"]


TEAM = ("team@acme.example", "anna@acme.example", "bob@acme.example")
TEAM_AWAY = AWAY.replace(":days 3", ':days 3 :addresses "team@acme.example"')


def test_an_alias_of_one_account_is_its_own_address(stage, tmp_path):
    f = Answerer(stage, tmp_path, aliases=(("info@acme.example", "anna@acme.example",
                                            "carol@far.example"),))
    _, event = f.write(to="info@acme.example")
    assert checks(event)
    assert parsed(f.arrived(f.origin))["From"] == "anna@acme.example"


def answers(event):
    return [c["result"] for c in event["checks"] or () if c["check"] == "vacation"]


def test_each_account_of_an_alias_answers_by_its_own_rules(stage, tmp_path):
    f = Answerer(stage, tmp_path, aliases=(TEAM,))
    f.install(AWAY, "bob@acme.example")
    # An address that means several is nobody's own, but for who says so.
    _, event = f.write(to="team@acme.example")
    assert event["kind"] == "filed" and not answers(event)
    assert f.counted("unanswered") == 2
    f.install(TEAM_AWAY)
    _, event = f.write(to="team@acme.example")
    assert len(answers(event)) == 1
    assert parsed(f.arrived(f.origin))["From"] == "anna@acme.example"
    f.install(TEAM_AWAY.replace("away", "back on Monday"), "bob@acme.example")
    id, event = f.write(to="team@acme.example", sender="dora@good.example")
    assert event["kind"] == "filed" and len(set(answers(event))) == 2
    f.arrived(f.origin, 3)
    both = sorted((parsed(m) for m in f.origin.messages[1:]), key=lambda m: m["From"])
    assert [m["From"] for m in both] == ["anna@acme.example", "bob@acme.example"]
    assert [m.get_content().strip() for m in both] == ["I am away.", "I am back on Monday."]
    assert len({m["Message-ID"] for m in both}) == 2
    assert all(m["DKIM-Signature"] and m["To"] == "dora@good.example" for m in both)
    # Each remembers for itself.
    f.install(TEAM_AWAY.replace("away", "ill"), "bob@acme.example")
    _, event = f.write(to="team@acme.example", sender="dora@good.example")
    assert len(answers(event)) == 1
    f.arrived(f.origin, 4)
    assert parsed(f.origin.messages[-1])["From"] == "bob@acme.example"
    assert len(f.files("anna")) == len(f.files("bob")) == 4
    audit = f.relay.cli("events", "audit", "--json").stdout
    assert json.loads(audit.splitlines()[-1])["adds_up"] is True, audit


def test_an_alias_of_many_accounts_is_answered_by_all(stage, tmp_path):
    f = Answerer(stage, tmp_path)
    names = [f"member{i}@acme.example" for i in range(60)]
    script = AWAY.replace(":days 3", ':addresses "all@acme.example"')
    (tmp_path / "s.sieve").write_text(script)
    for name in names:
        f.relay.cli("account", "add", name)
        f.relay.cli("account", "sieve", name, tmp_path / "s.sieve")
    f.relay.cli("alias", "add", "all@acme.example", *names)

    def is_known():
        with smtplib.SMTP("127.0.0.1", f.port, timeout=parts.PATIENCE) as smtp:
            smtp.ehlo("client.good.example")
            smtp.mail("alice@good.example")
            return smtp.rcpt("all@acme.example")[0] == 250
    parts.wait_for(is_known, "the alias")
    _, event = f.write(to="all@acme.example")
    assert event["kind"] == "filed" and len(set(answers(event))) == 47
    assert event["checks"][-1] == {"check": "vacation-more", "result": "13", "weight": None, "detail": None}
    f.arrived(f.origin, 60)
    assert {parsed(m)["From"] for m in f.origin.messages} == set(names)
    assert f.counted("answered") == 60 and f.counted("failed") == 0
    # More than a commit may hold: some fail, and are told.
    for file in f.relay.state_dir.glob("sieve/acme.example/member*.sieve"):
        file.write_text(script.replace("I am away.", "I am away.\n" * 11000))
    _, event = f.write(to="all@acme.example")
    assert event["kind"] == "filed" and 30 < len(answers(event)) < 47
    assert f.counted("answered") == 60 + len(answers(event))
    assert f.counted("failed") == 60 - len(answers(event))


def test_an_account_of_an_alias_answers_though_another_refuses(stage, tmp_path):
    f = Answerer(stage, tmp_path, TEAM_AWAY, aliases=(TEAM,))
    f.install('require "reject"; reject "No birdseed.";', "bob@acme.example")
    _, event = f.write(to="team@acme.example")
    assert event["kind"] == "bounced" and event["rule"] == "sieve-reject" and answers(event)
    assert event["reply"]["text"] == "1 of the 2 whom it means refused it:\nNo birdseed."
    f.arrived(f.origin, 2)
    subjects = {parsed(m)["Subject"]: m for m in f.origin.messages}
    assert set(subjects) == {"Weg", "Undelivered mail returned to sender"}, subjects.keys()
    assert b"No birdseed." in subjects["Undelivered mail returned to sender"].content
    assert len(f.files("anna")) == 1 and not f.files("bob")
    # Of two who refuse both reasons are told, in one notice; nobody is answered.
    f.install('require "reject"; reject "Not today.";')
    _, event = f.write(to="team@acme.example", sender="dora@good.example")
    assert not answers(event)
    head, *reasons = event["reply"]["text"].split("\n")
    assert head.startswith("2 of the 2 ") and sorted(reasons) == ["No birdseed.", "Not today."]
    f.arrived(f.origin, 3)


def test_an_account_of_an_alias_answers_once_though_another_waits(stage, tmp_path):
    """Not before the recipient comes to its end, and then even if another's copy never does."""
    f = Answerer(stage, tmp_path, TEAM_AWAY, aliases=(TEAM,),
                 own={"retry": "{first: 1s, max: 1s, jitter: 0%, max_age: 4s}"})
    f.install('redirect "carol@far.example";', "bob@acme.example")
    maildir = f.relay.state_dir / "mail/acme.example/anna"
    maildir.parent.mkdir(parents=True, exist_ok=True)
    maildir.write_text("no directory")
    id, event = f.write(to="team@acme.example")
    assert event["kind"] == "expired" and not answers(event)  # anna has nothing to answer
    f.arrived(f.far)
    maildir.unlink()
    f.install("keep;", "bob@acme.example")
    shutil.rmtree(maildir.with_name("bob"))
    maildir.with_name("bob").write_text("no directory")
    id, event = f.write(to="team@acme.example", sender="dora@good.example")
    assert event["kind"] == "expired" and len(answers(event)) == 1
    assert len(f.files("anna")) == 1
    parts.wait_for(lambda: [m for m in f.origin.messages if parsed(m)["Subject"] == "Weg"],
                   "the answer")


def test_an_answer_stands_beside_what_else_a_script_does(stage, tmp_path):
    f = Answerer(stage, tmp_path, 'require "vacation"; redirect "carol@far.example"; '
                                  'vacation "gone";')
    _, event = f.write()
    assert event["kind"] == "delivered" and checks(event)["vacation"]
    f.arrived(f.far)
    f.arrived(f.origin)
    assert not f.files("anna")
    f.install('require "vacation"; vacation :handle "x" "gone"; discard;')
    _, event = f.write(sender="dora@good.example", rcpt_options=["NOTIFY=SUCCESS"])
    assert event["class"] == "discarded" and checks(event)["vacation"]
    parts.wait_for(lambda: len(f.origin.messages) == 3, "the notice and the answer")
    assert sorted(parsed(m)["Subject"] for m in f.origin.messages[1:]) == [
        "Auto: lunch?", "Your mail was delivered"]


def test_two_who_both_answer_come_to_an_end(stage, tmp_path):
    f = Forwarder(stage, accounts=("anna@acme.example", "bob@acme.example"))
    (tmp_path / "s.sieve").write_text(AWAY)
    for who in ("anna", "bob"):
        f.relay.cli("account", "sieve", f"{who}@acme.example", tmp_path / "s.sieve")
    f.relay.submit("anna@acme.example", sender="bob@acme.example",
                   headers="To: anna@acme.example\r\n")
    parts.wait_for(lambda: f.files("bob"), "the answer")
    time.sleep(1)
    assert len(f.files("anna")) == 1 and len(f.files("bob")) == 1


def test_what_is_filed_late_is_answered_once(stage, tmp_path):
    """The sender is claimed at the first try, which fails, by the message and for it alone."""
    f = Answerer(stage, tmp_path, own={"retry": "{first: 1s, max: 1s, jitter: 0%}"})
    maildir = f.relay.state_dir / "mail/acme.example/anna"
    maildir.parent.mkdir(parents=True, exist_ok=True)
    maildir.write_text("no directory")
    content = (b"From: alice@good.example\r\nTo: anna@acme.example\r\nSubject: x\r\n"
               b"Message-ID: <m2@good.example>\r\n\r\nhello\r\n")
    id = f.take(content, to="anna@acme.example")
    parts.wait_for(lambda: len(f.events(id, kind="deferred")) >= 2, "two tries")
    assert not f.origin.messages
    f.relay.kill()  # between the claim and the answer
    maildir.unlink()
    f.relay.start()
    assert checks(f.final(id))["vacation"]
    f.arrived(f.origin)


@pytest.mark.parametrize("to, who", [("anna", {"anna"}), ("team", {"anna", "bob"})],
                         ids=("one", "several"))
@pytest.mark.parametrize("round", range(3))
def test_a_crash_answers_once(stage, tmp_path, round, to, who):
    """kill -9 while many are on their way: each sender is answered, and none twice."""
    f = Answerer(stage, tmp_path, TEAM_AWAY, aliases=(TEAM,))
    f.install(TEAM_AWAY, "bob@acme.example")
    content = (f"From: x@good.example\r\nTo: {to}@acme.example\r\nSubject: x\r\n"
               "Message-ID: <m3@good.example>\r\n\r\nhello\r\n").encode()
    senders = [f"s{i}@good.example" for i in range(60)]
    wanted = {(sender, f"{name}@acme.example") for sender in senders for name in who}
    for i, sender in enumerate(senders):
        f.take(content, to=f"{to}@acme.example", sender=sender)
        if i % 20 == 19:
            time.sleep(0.03 * (round + 1))
            f.relay.kill()
            f.relay.start()
    parts.wait_for(lambda: {(to, parsed(m)["From"]) for m in f.origin.messages
                            for to in m.to()} == wanted, "all answers")
    time.sleep(1)
    ids = [parsed(m)["Message-ID"] for m in f.origin.messages]
    # A peer may have taken one whose delivery was not written down: that is the same message.
    accepted = [e for e in f.relay.events(kind="accepted") if e["client"]["service"] == "vacation"]
    assert len(accepted) == len(wanted) and len(set(ids)) == len(wanted)
    assert len({e["recipient"] for e in accepted}) == len(senders)


def test_what_a_script_answers_is_told(stage, tmp_path):
    relay = stage.unstarted_ringpost()
    script, message = tmp_path / "s.sieve", tmp_path / "m.eml"
    script.write_text(AWAY)
    message.write_text("From: x@a.example\nTo: anna@b.example\nSubject: x\n\nhello\n")
    assert relay.cli("sieve", "check", script).returncode == 0
    args = ("sieve", "test", script, message, "--rcpt-to", "anna@b.example")
    [answer, kept] = json.loads(relay.cli(*args, "--mail-from", "x@a.example",
                                          "--json").stdout)["actions"]
    assert answer == {"action": "vacation", "line": 1, "reason": "I am away.", "days": 3,
                      "answered": True, "why": None}
    assert kept["action"] == "keep"
    assert "vacation I am away.  once in 3 days  (line 1)" in relay.cli(
        *args, "--mail-from", "x@a.example").stdout
    assert "not to this message: it has the null return path" in relay.cli(*args).stdout
