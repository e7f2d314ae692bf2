"""Bounces and complaints that come back to signed return paths, and become events."""

import base64
import gzip
import json
import re
import smtplib
import time

import parts
import pytest

BOUNCES = "bounces.shop.example"
CAMPAIGN = "X-Campaign: spring\r\nX-Tags: [\"a\",\"b\"]\r\nX-Metadata: {\"order\": 7}\r\n"


def dsn(recipient, status="5.1.1", action="failed", text="550 5.1.1 nobody", more=""):
    return (f"From: MAILER-DAEMON@y.example\r\nTo: <>\r\nSubject: failed\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
            "--b\r\n\r\nIt did not work.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
            "Reporting-MTA: dns; mx.y.example\r\n\r\n"
            f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
            f"Diagnostic-Code: smtp; {text}\r\n{more}\r\n--b--\r\n").encode()


def arf(path, recipient=None, header="Original-Mail-From"):
    told = f"Original-Rcpt-To: <{recipient}>\r\n" if recipient else ""
    fields = f"{header}: <{path}>\r\n" if header == "Original-Mail-From" else ""
    inner = f"{header}: <{path}>\r\n" if header != "Original-Mail-From" else ""
    return ("From: fbl@y.example\r\nTo: complaints\r\nSubject: FW: x\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
            "--b\r\n\r\nA complaint.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
            "Feedback-Type: abuse\r\nUser-Agent: Provider/1.0\r\nVersion: 1\r\n"
            f"{fields}{told}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
            f"{inner}From: app@shop.example\r\nSubject: x\r\n\r\nhello\r\n--b--\r\n").encode()


class Place:
    """A relay that sends the tenant shop's mail to a receiver and takes mail at another port."""

    def __init__(self, stage, **settings):
        self.receiver = stage.receiver()
        self.port, self.submission = parts.free_ports(2)
        self.relay = stage.unstarted_ringpost(
            routes=f'[{{match: "*", to: ["127.0.0.1:{self.receiver.port}"]}}]',
            listeners=f'[{{address: "127.0.0.1:{self.submission}", service: submission, '
                      'trust: ["127.0.0.0/8"], tenant: shop}, '
                      f'{{address: "127.0.0.1:{self.port}", service: inbound}}]',
            dns='{servers: ["127.0.0.1:1"]}', inbound="{verify_timeout: 1s}",
            **settings)
        self.relay.port = self.submission
        for command in (("tenant", "add", "shop"),
                        ("domain", "add", "shop", "shop.example", "--active"),
                        ("domain", "add", "shop", BOUNCES, "--active", "--hosted")):
            self.relay.cli(*command)
        self.relay.start()

    def send(self, to="x@y.example", sender="app@shop.example", headers=CAMPAIGN):
        """One message: its id, and what MAIL FROM said."""
        before = len(self.receiver.messages)
        id = self.relay.submit(to, sender=sender, headers=headers)
        count = 1 if isinstance(to, str) else len(to)
        self.relay.wait_events(count, id=id, kind="delivered")
        return id, self.receiver.messages[before].sender

    def back(self, content, to, sender=""):
        """The reply to RCPT, or else to the content."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=parts.PATIENCE) as smtp:
            smtp.ehlo("mx.y.example")
            smtp.mail(sender)
            code, text = smtp.rcpt(to)
            if code == 250:
                code, text = smtp.data(content)
            return code, text.decode()

    def take(self, content, to, **kwargs):
        """Sends a report, and waits until it was read."""
        code, text = self.back(content, to, **kwargs)
        assert code == 250, (code, text)
        id = text.split()[-1]
        event = self.relay.wait_events(1, id=id, kind="filed")[0]
        assert event["rule"] == "return-path"
        return event

    def late(self, kind, count):
        return [e for e in self.relay.wait_events(count, kind=kind) if e["late"]]

    def adds_up(self):
        audit = self.relay.cli("events", "audit", "--json").stdout
        assert json.loads(audit.splitlines()[-1])["adds_up"] is True, audit


@pytest.fixture
def place(stage):
    return Place(stage)


def test_bounce_that_comes_back_is_told_of_its_message(place):
    id, path = place.send()
    local, domain = path.split("@")
    assert domain == BOUNCES and re.fullmatch("b[a-z2-7]{36}", local), path
    key = place.relay.state_dir / "return.key"
    assert key.stat().st_mode & 0o777 == 0o600 and key.stat().st_size == 32
    assert place.relay.events(id=id, kind="delivered")[0]["sender"] == "app@shop.example"
    place.take(dsn("x@y.example"), path)
    [event] = place.late("bounced", 1)
    assert (event["id"], event["seq"], event["tenant"]) == (id, None, "shop")
    assert (event["recipient"], event["sender"]) == ("x@y.example", "app@shop.example")
    assert (event["class"], event["rule"]) == ("invalid-recipient", "late-bounce-hard")
    assert event["reply"] == {"from": "peer", "code": None, "enhanced": "5.1.1",
                              "text": "550 5.1.1 nobody"}
    assert event["egress"]["mx_host"] == "mx.y.example"
    accepted = place.relay.events(id=id, kind="accepted")[0]
    for name in "campaign", "tags", "metadata", "header_message_id", "accepted_time":
        assert event[name] == accepted[name], name
    # The same again, in another case, is taken and not told.
    place.take(dsn("x@y.example"), path.upper())
    assert place.relay.metrics()["ringpost_returns_repeated_total"] == 1
    assert len(place.late("bounced", 1)) == 1
    # Once more, of another message, which is full: soft.
    other, path = place.send()
    place.take(dsn("somebody@elsewhere.example", "5.2.2", text="552 5.2.2 full"), path)
    event = place.late("bounced", 2)[-1]
    assert (event["id"], event["recipient"], event["rule"]) == \
        (other, "x@y.example", "late-bounce-soft")
    place.adds_up()


def test_bounce_that_nobody_signed_is_refused(place):
    _, path = place.send()
    for forged in (path[:5] + ("a" if path[5] != "a" else "b") + path[6:],
                   path[:-1 - len(BOUNCES)][:-1] + "@" + BOUNCES, "b" * 37 + "@" + BOUNCES,
                   "app@" + BOUNCES):
        code, text = place.back(dsn("x@y.example"), forged)
        assert (code, text.split()[0]) == (550, "5.1.1"), (forged, code, text)
    assert place.back(b"", path.replace(BOUNCES, "shop.example"))[0] == 550
    assert place.relay.events(kind="bounced") == []


def test_several_recipients_are_told_apart(place):
    to = [f"x{n}@y.example" for n in range(3)]
    id, path = place.send(to)
    place.take(dsn("X1@y.example", "4.4.7", text="expired"), path)
    place.take(dsn("stranger@y.example"), path)
    [event] = place.late("bounced", 1)
    assert (event["recipient"], event["rule"]) == ("x1@y.example", "late-bounce-soft")
    metrics = place.relay.metrics()
    assert metrics['ringpost_returns_total{report="bounce"}'] == 1
    assert metrics['ringpost_returns_total{report="other"}'] == 1


def test_complaints_are_tied_by_the_signed_path(place):
    id, path = place.send()
    at = "complaints@" + BOUNCES
    place.take(arf(path, "x@y.example"), at, sender="fbl@y.example")
    [event] = place.relay.wait_events(1, kind="complained")
    assert (event["id"], event["seq"], event["late"]) == (id, None, True)
    assert (event["recipient"], event["class"], event["rule"]) == \
        ("x@y.example", "abuse", "feedback-report")
    assert event["tags"] == ["a", "b"] and event["tenant"] == "shop"
    # By the header of what came back; without an address; to the path itself.
    second, path = place.send()
    place.take(arf(path, header="Return-Path"), at, sender="fbl@y.example")
    assert place.relay.wait_events(2, kind="complained")[-1]["id"] == second
    third, path = place.send()
    place.take(arf(path), path)
    assert place.relay.wait_events(3, kind="complained")[-1]["id"] == third
    place.take(arf("app@shop.example", "x@y.example"), at)
    place.take(b"Subject: out of office\r\n\r\nBack on Monday.\r\n", path)
    place.take(dsn("x@y.example", action="delayed", status="4.0.0"), path)
    metrics = place.relay.metrics()
    assert [metrics[f'ringpost_returns_total{{report="{kind}"}}']
            for kind in ("complaint", "untied", "unknown", "other", "bounce")] == [3, 1, 1, 1, 0]
    assert len(place.relay.events(kind="complained")) == 3
    place.adds_up()


def test_sender_stays_where_there_is_no_domain_for_returns(place):
    place.relay.cli("domain", "add", "shop", "bare.example", "--active")
    time.sleep(1)
    assert place.send(sender="app@bare.example")[1] == "app@bare.example"
    assert place.send(sender="app@other.example")[1] == "app@other.example"
    place.relay.cli("domain", "remove", BOUNCES)
    time.sleep(1)
    assert place.send()[1] == "app@shop.example"


def test_what_is_in_closed_files_and_after_a_restart(stage):
    place = Place(stage, events="{file_size: 1MiB}")
    id, path = place.send()
    for _ in range(3):
        place.relay.kill()
        place.relay.start()
    place.take(dsn("x@y.example"), path)
    [event] = place.late("bounced", 1)
    assert (event["id"], event["campaign"]) == (id, "spring")


def test_privacy_holds_for_what_comes_back(place):
    place.relay.cli("tenant", "set", "shop", "privacy=hash")
    time.sleep(2.5)
    id, path = place.send()
    shown = place.relay.events(id=id, kind="accepted")[0]["recipient"]
    assert not shown.startswith("x@")
    place.take(dsn("x@y.example"), path)
    [event] = place.late("bounced", 1)
    assert (event["id"], event["recipient"]) == (id, shown)
    id, path = place.send()
    place.take(dsn("other@y.example"), path)
    assert place.late("bounced", 2)[-1]["recipient"] is None
    place.adds_up()


def packed_report(name, content, kind="application/gzip"):
    text = base64.encodebytes(gzip.compress(content)).decode().replace("\n", "\r\n")
    return (f"From: dmarc@y.example\r\nTo: reports@{BOUNCES}\r\nSubject: Report Domain: shop.example\r\n"
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            "--b\r\n\r\nA report.\r\n"
            f"--b\r\nContent-Type: {kind}; name=\"{name}\"\r\n"
            f"Content-Transfer-Encoding: base64\r\n\r\n{text}--b--\r\n").encode()


def aggregate(rows, id="r1"):
    records = "".join(
        f"<record><row><source_ip>192.0.2.{i % 250}</source_ip><count>{count}</count><policy_evaluated>"
        f"<disposition>none</disposition><dkim>{dkim}</dkim><spf>fail</spf></policy_evaluated></row>"
        "<identifiers><header_from>shop.example</header_from></identifiers><auth_results><dkim>"
        f"<domain>shop.example</domain><selector>s</selector><result>{dkim}</result></dkim>"
        "<spf><domain>shop.example</domain><result>fail</result></spf></auth_results></record>"
        for i, (count, dkim) in enumerate(rows))
    return ('<?xml version="1.0"?><feedback><report_metadata><org_name>Big Mail Inc.</org_name>'
            f"<email>d@y.example</email><report_id>{id}</report_id><date_range><begin>1795737600</begin>"
            "<end>1795823999</end></date_range></report_metadata><policy_published>"
            "<domain>shop.example</domain><p>none</p></policy_published>"
            f"{records}</feedback>").encode()


def test_dmarc_report_becomes_an_event_of_the_tenant(place):
    rows = [(120, "pass"), (2, "fail"), (7, "fail")]
    filed = place.take(packed_report("r.xml.gz", aggregate(rows)), f"reports@{BOUNCES}")
    assert filed["reply"]["text"] == "dmarc"
    [event] = place.relay.wait_events(1, kind="reported")
    assert (event["tenant"], event["class"], event["rule"]) == ("shop", "dmarc", "aggregate-report")
    assert (event["id"], event["seq"], event["late"]) == (filed["id"], None, None)
    assert event["egress"]["mx_host"] == "Big Mail Inc."
    assert event["reply"]["text"] == "9 of 129 messages failed, as Big Mail Inc. tells"
    head, *lines = event["checks"]
    assert head == {"check": "report", "result": "dmarc", "weight": None, "detail":
                    "domain=shop.example begin=2026-11-27T00:00:00.000Z "
                    "end=2026-11-27T23:59:59.000Z id=r1"}
    assert [(c["result"], c["weight"]) for c in lines] == [("fail", "7"), ("fail", "2"),
                                                           ("pass", "120")]
    assert lines[0]["detail"] == (
        "source_ip=192.0.2.2 disposition=none dkim=fail spf=fail header_from=shop.example "
        "auth_dkim=shop.example:fail auth_spf=shop.example:fail")
    # The same again is taken and not told; another one is.
    place.take(packed_report("r.xml.gz", aggregate(rows)), f"Reports@{BOUNCES}")
    place.take(packed_report("r.xml.gz", aggregate(rows, "r2")), f"reports@{BOUNCES}")
    assert len(place.relay.wait_events(2, kind="reported")) == 2
    assert place.relay.metrics()["ringpost_returns_repeated_total"] == 1
    assert place.relay.metrics()['ringpost_returns_total{report="dmarc"}'] == 3
    place.adds_up()


def test_report_of_many_rows_is_several_events_and_says_what_it_left_out(place):
    place.take(packed_report("r.xml.gz", aggregate([(n + 1, "fail") for n in range(900)])),
               f"reports@{BOUNCES}")
    events = place.relay.wait_events(16, kind="reported")
    assert len(events) == 16
    cut = events[-1]["checks"][-1]
    assert (cut["check"], cut["result"]) == ("report", "cut")
    told = [int(c["weight"]) for e in events for c in e["checks"] if c["check"] == "dmarc"]
    assert told == sorted(told, reverse=True) and len(told) > 200
    assert sum(told) + int(cut["weight"]) == 900 * 901 // 2
    assert cut["detail"] == f"rows={900 - len(told)}"


def test_tls_report_becomes_an_event_of_the_tenant(place):
    report = {"organization-name": "Big Mail", "date-range": {
        "start-datetime": "2026-11-27T00:00:00Z", "end-datetime": "2026-11-27T23:59:59Z"},
        "contact-info": "tls@y.example", "report-id": "t1", "policies": [{
            "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"],
                       "policy-domain": "shop.example", "mx-host": ["mx.shop.example"]},
            "summary": {"total-successful-session-count": 50, "total-failure-session-count": 3},
            "failure-details": [{"result-type": "certificate-expired", "failed-session-count": 3,
                                 "sending-mta-ip": "192.0.2.9", "receiving-ip": "192.0.2.1",
                                 "receiving-mx-hostname": "mx.shop.example"}]}]}
    content = json.dumps(report).encode()
    filed = place.take(packed_report("t.json.gz", content, "application/tlsrpt+gzip"),
                       f"reports@{BOUNCES}")
    assert filed["reply"]["text"] == "tls"
    [event] = place.relay.wait_events(1, kind="reported")
    assert (event["class"], event["rule"]) == ("tls", "tls-report")
    assert event["reply"]["text"] == "3 of 53 TLS sessions failed, as Big Mail tells"
    _, failed, good = event["checks"]
    assert (failed["result"], failed["weight"]) == ("certificate-expired", "3")
    assert failed["detail"] == ("policy=sts domain=shop.example mx_host=mx.shop.example "
                                "mx_ip=192.0.2.1 source_ip=192.0.2.9")
    assert (good["result"], good["weight"]) == ("success", "50")


@pytest.mark.parametrize("content", [
    b"{\"organization-name\": 7", b"{}", b"<feedback><report_metadata>", b"\x1f\x8b\x08broken",
    b"{" * 100000, gzip.compress(b"{" + b" " * (40 << 20))], ids=range(6))
def test_report_that_cannot_be_read_is_told_as_such(place, content):
    assert place.take(packed_report("t.json.gz", content),
                      f"reports@{BOUNCES}")["reply"]["text"] == "unknown"
    assert place.relay.events(kind="reported") == []
