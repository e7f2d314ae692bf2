"""Notifications as RFC 3461 asks for them: who gets one, when, what it says, and never two."""

import email
import email.policy
import threading
import time

import parts
from receiver import Held

OURS = "mta1.ringpost.example"


def start(stage, act=None, extensions=("PIPELINING", "8BITMIME", "SIZE", "SMTPUTF8"), **settings):
    """The peer does not do DSN itself, so that a success is ours to report."""
    peer = stage.receiver(act, extensions=extensions)
    mailbox = stage.receiver()
    relay = stage.ringpost(
        routes=f'[{{match: sender.example, to: ["127.0.0.1:{mailbox.port}"]}}, '
               f'{{match: "*", to: ["127.0.0.1:{peer.port}"]}}]', **settings)
    return peer, mailbox, relay


def refuse_hard(session, where, line):
    return "550 5.1.1 nobody here" if where == "rcpt" else None


def read(message):
    """(per-message fields, [per-recipient fields], the report)"""
    assert message.sender == "", "a notification has the null reverse-path"
    assert all("NOTIFY" not in p or "NEVER" in p for _, p in message.recipients)
    report = email.message_from_bytes(message.content, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report", report
    status = list(report.iter_parts())[1]
    blocks = status.get_payload()
    return blocks[0], blocks[1:], report


def test_a_bounce_says_what_why_and_which(stage):
    _, mailbox, relay = start(stage, refuse_hard)
    message_id = relay.submit(["nobody@example.com", "other@example.com"],
                              sender="shop@sender.example",
                              mail_options=["RET=HDRS", "ENVID=order+2B42"],
                              rcpt_options=["ORCPT=rfc822;first+40example.com"], body="the body")
    relay.wait_events(2, id=message_id, kind="bounced")
    relay.wait_empty()
    message, = mailbox.messages
    assert message.to() == ["shop@sender.example"]
    per_message, recipients, report = read(message)
    assert per_message["Original-Envelope-Id"] == "order+42"
    assert per_message["Reporting-MTA"] == f"dns; {OURS}"
    assert len(recipients) == 2
    for block in recipients:
        assert block["Action"] == "failed" and block["Status"] == "5.1.1"
        assert block["Original-Recipient"] == "rfc822;first@example.com" or \
            block["Original-Recipient"] == "rfc822; first@example.com"
        assert "550 5.1.1 nobody here" in block["Diagnostic-Code"]
        assert "127.0.0.1" in block["Remote-MTA"]
    text, _, returned = report.iter_parts()
    assert "nobody@example.com" in text.get_content()
    assert returned.get_content_type() == "text/rfc822-headers", "RET=HDRS"
    assert "the body" not in message.content.decode()
    assert message_id in message.content.decode()


def test_never_and_the_null_path_get_none(stage):
    _, mailbox, relay = start(stage, refuse_hard)
    relay.submit("never@example.com", sender="shop@sender.example", rcpt_options=["NOTIFY=NEVER"])
    relay.submit("success@example.com", sender="shop@sender.example",
                 rcpt_options=["NOTIFY=SUCCESS"])
    relay.submit("null@example.com", sender="")
    relay.submit("asked@example.com", sender="shop@sender.example",
                 rcpt_options=["NOTIFY=FAILURE,DELAY"])
    relay.wait_events(4, kind="bounced")
    relay.wait_empty()
    message, = mailbox.messages
    _, (block,), _ = read(message)
    assert block["Final-Recipient"].endswith("asked@example.com")


def test_a_bounce_that_bounces_ends_there(stage):
    def act(session, where, line):
        return "550 5.1.1 nobody here" if where == "rcpt" else None

    peer = stage.receiver(act)
    relay = stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{peer.port}"]}}]')
    relay.submit("nobody@example.com", sender="nobody@sender.example")
    relay.wait_events(2, kind="bounced")
    relay.wait_empty()
    bounced = relay.events(kind="bounced")
    assert [(e["recipient"], e["sender"]) for e in bounced] == [
        ("nobody@example.com", "nobody@sender.example"), ("nobody@sender.example", "")]
    assert len(relay.events(kind="accepted")) == 2, "no third message came of it"


def test_success_is_told_where_the_peer_does_not(stage):
    _, mailbox, relay = start(stage)
    relay.submit("a@example.com", sender="shop@sender.example",
                 rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
    relay.submit("quiet@example.com", sender="shop@sender.example")
    relay.wait_empty()
    parts.wait_for(lambda: mailbox.messages, "the notification")
    message, = mailbox.messages
    _, (block,), _ = read(message)
    assert block["Action"] == "relayed" and block["Status"].startswith("2.")
    assert block["Final-Recipient"].endswith("a@example.com")


def test_a_peer_with_dsn_is_handed_the_wish(stage):
    peer, mailbox, relay = start(stage, extensions=("PIPELINING", "DSN"))
    relay.submit("a@example.com", sender="shop@sender.example",
                 mail_options=["RET=FULL", "ENVID=e-1"],
                 rcpt_options=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;first@example.com"])
    relay.wait_empty()
    time.sleep(0.5)
    assert not mailbox.messages, "telling of the success is the peer's from here on"
    message, = peer.messages
    assert "RET=FULL" in message.sender_parameters and "ENVID=e-1" in message.sender_parameters
    (_, parameters), = message.recipients
    assert "NOTIFY=SUCCESS,DELAY" in parameters and "ORCPT=rfc822;first@example.com" in parameters


def test_delay_is_told_once_and_age_ends_in_a_bounce(stage):
    _, mailbox, relay = start(
        stage, lambda session, where, line: "451 4.3.0 later" if where == "rcpt" else None,
        retry="{first: 1s, factor: 1, max: 1s, max_age: 8s, delay_notice: 2s}")
    relay.submit("a@example.com", sender="shop@sender.example", rcpt_options=["NOTIFY=DELAY,FAILURE"])
    relay.submit("b@example.com", sender="shop@sender.example")
    relay.wait_events(2, kind="expired")
    relay.wait_empty()
    delayed = relay.events(kind="delayed")
    assert [e["recipient"] for e in delayed] == ["a@example.com"]
    found = sorted(((blocks[0]["Action"], blocks[0]["Final-Recipient"].split()[-1].split(";")[-1],
                     blocks[0]["Status"][0]) for blocks in
                    [read(m)[1] for m in mailbox.messages]))
    assert found == [("delayed", "a@example.com", "4"), ("failed", "a@example.com", "5"),
                     ("failed", "b@example.com", "5")] or \
        found == [("delayed", "a@example.com", "4"), ("failed", "a@example.com", "4"),
                  ("failed", "b@example.com", "4")]
    delay = next(m for m in mailbox.messages if read(m)[1][0]["Action"] == "delayed")
    assert read(delay)[1][0]["Will-Retry-Until"]
    for event in relay.events(kind="expired"):
        assert event["rule"] == "retry.max_age"


def test_large_messages_are_returned_cut(stage):
    _, mailbox, relay = start(stage, refuse_hard,
                              delivery='{allow_private: ["127.0.0.0/8"], dsn_size: 4KiB}')
    relay.submit("a@example.com", sender="shop@sender.example",
                 body=b"Subject: large\r\n\r\n" + b"line of a large message\r\n" * 100_000)
    relay.wait_events(1, kind="bounced")
    relay.wait_empty()
    message, = mailbox.messages
    _, _, report = read(message)
    assert len(message.content) < 12_000
    assert "Subject: large" in message.content.decode()


def test_a_kill_while_a_failure_waits_for_its_siblings_loses_no_notice(stage):
    """What waits is not durable and told to nobody: the next start tries it again, and tells it once."""
    gate = threading.Event()
    slow = stage.receiver(lambda session, where, line: Held("250 2.1.5 ok", gate)
                          if where == "rcpt" else None)
    peer, mailbox = stage.receiver(refuse_hard), stage.receiver()
    relay = stage.ringpost(
        routes=f'[{{match: sender.example, to: ["127.0.0.1:{mailbox.port}"]}}, '
               f'{{match: slow.example, to: ["127.0.0.1:{slow.port}"]}}, '
               f'{{match: "*", to: ["127.0.0.1:{peer.port}"]}}]',
        delivery='{allow_private: ["127.0.0.0/8"], notice_wait: 1m}')
    message_id = relay.submit(["gone@example.com", "held@slow.example"],
                              sender="shop@sender.example")
    parts.wait_for(lambda: any(s.said("RCPT") for s in peer.sessions)
                   and any(s.said("RCPT") for s in slow.sessions), "both attempts")
    time.sleep(1)
    assert not relay.events(id=message_id, kind="bounced") and not mailbox.messages
    relay.kill()
    tried = len(peer.sessions)
    relay.start()
    parts.wait_for(lambda: len(peer.sessions) > tried and peer.sessions[-1].said("RCPT"),
                   "another try")
    time.sleep(1)
    assert not mailbox.messages, "it waits again"
    gate.set()
    relay.wait_empty()
    assert [e["recipient"] for e in relay.events(id=message_id, kind="bounced")] == [
        "gone@example.com"]
    assert [e["recipient"] for e in relay.events(id=message_id, kind="delivered")] == [
        "held@slow.example"]
    notice, = mailbox.messages
    _, recipients, _ = read(notice)
    assert [block["Final-Recipient"] for block in recipients] == ["rfc822;gone@example.com"]
    assert slow.taken() == ["held@slow.example"]
