"""ringpost report: published reports, bounces in many forms, and what nobody should send."""

import base64
import datetime
import gzip
import io
import json
import pathlib
import subprocess
import zipfile

import parts
import pytest

SUITE = pathlib.Path(parts.ROOT).parent / "shared" / "suites" / "reports"
MEMORY_MAX = 400 << 20  # of a command that reads a bomb


def run(content, *options):
    return subprocess.run([parts.PROGRAM, "report", "--json", *options, "-"], input=content,
                          capture_output=True, timeout=60)


def read(content):
    done = run(content)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def refusal(content):
    done = run(content)
    assert done.returncode == 1
    return json.loads(done.stderr)["error"]


def suite(folder, pattern):
    found = sorted((SUITE / folder).glob(pattern))
    assert found, f"no {pattern} in {SUITE / folder}"
    return found


def with_crlf(content):
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def seconds(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


# --- published reports ---------------------------------------------------------------------------

WORDS = {"r": "Relaxed", "s": "Strict", "mfrom": "MailFrom", "helo": "Helo"}


def word(value):
    """Our word in the suite's spelling."""
    if value in (None, ""):
        return "Unspecified"
    return WORDS.get(value, "".join(part.capitalize() for part in value.split("_")))


def facts_of_record(record):
    evaluated = record["row"]["policy_evaluated"]
    return {
        "source_ip": record["row"]["source_ip"],
        "count": record["row"]["count"],
        "disposition": evaluated["disposition"],
        "dkim": evaluated["dkim"],
        "spf": evaluated["spf"],
        "reasons": [(reason["type_"], reason["comment"]) for reason in evaluated["reason"]],
        "header_from": record["identifiers"]["header_from"],
        "envelope_from": record["identifiers"]["envelope_from"],
        "envelope_to": record["identifiers"]["envelope_to"],
        "dkim_results": [(one["domain"], one["selector"], one["result"], one["human_result"])
                         for one in record["auth_results"]["dkim"]],
        "spf_results": [(one["domain"], one["scope"], one["result"])
                        for one in record["auth_results"]["spf"]],
    }


def facts_of_ours(record):
    return {
        "source_ip": record["source_ip"],
        "count": record["count"],
        "disposition": word(record.get("disposition")),
        "dkim": word(record.get("dkim")),
        "spf": word(record.get("spf")),
        "reasons": [(word(one.get("type")), one.get("comment"))
                    for one in record.get("reasons", [])],
        "header_from": record["header_from"],
        "envelope_from": record.get("envelope_from", ""),
        "envelope_to": record.get("envelope_to"),
        "dkim_results": [(one["domain"], one.get("selector", ""), word(one["result"]),
                          one.get("human_result") or None)
                         for one in record.get("dkim_results", [])],
        "spf_results": [(one["domain"], word(one.get("scope")), word(one["result"]))
                        for one in record.get("spf_results", [])],
    }


@pytest.mark.parametrize("path", suite("dmarc-feedback", "*.xml") + suite("dmarc-feedback", "*.eml"),
                         ids=lambda path: path.name)
def test_published_dmarc_reports(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    told = read(path.read_bytes())
    assert told["kind"] == "dmarc"
    report, metadata = told["report"], expected["report_metadata"]
    for ours, theirs in (("organization", "org_name"), ("email", "email"),
                         ("report_id", "report_id"), ("contact", "extra_contact_info"),
                         ("generator", "generator")):
        assert report.get(ours) == metadata.get(theirs)
    assert seconds(report["begin"]) == metadata["date_range"]["begin"]
    assert seconds(report["end"]) == metadata["date_range"]["end"]
    assert report.get("errors", []) == metadata["error"]
    published, policy = expected["policy_published"], report["policy"]
    assert policy["domain"] == published["domain"]
    for name in ("adkim", "aspf", "p", "sp", "np", "discovery_method"):
        assert word(policy.get(name)) == published.get(name, "Unspecified"), name
    assert policy.get("testing", False) == published.get("testing", False)
    assert policy.get("fo") == published["fo"]
    assert [facts_of_ours(one) for one in report["records"]] == \
        [facts_of_record(one) for one in expected["record"]]
    assert "is_cut" not in report


@pytest.mark.parametrize("path", suite("arf", "*.eml"), ids=lambda path: path.name)
def test_published_complaints(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    for content in (path.read_bytes(), with_crlf(path.read_bytes())):
        told = read(content)
        assert told["kind"] == "complaint"
        report = told["report"]
        assert report["type"].replace("-", "").lower() == expected["feedback_type"].lower()
        assert report["incidents"] == expected["incidents"]
        assert report["version"] == str(expected["version"])
        for ours, theirs in (("user_agent", "user_agent"), ("source_ip", "source_ip"),
                             ("envelope_id", "original_envelope_id"),
                             ("dkim_domain", "dkim_domain"), ("dkim_identity", "dkim_identity"),
                             ("dkim_selector", "dkim_selector")):
            assert report[ours] == expected[theirs], ours
        sender = expected["original_mail_from"]
        assert report["sender"] == (sender and sender.strip("<>"))
        assert report["domains"] == expected["reported_domain"]
        assert report["uris"] == expected["reported_uri"]
        assert [" ".join(one.split()) for one in expected["authentication_results"]] == \
            report["results"]
        recipient = expected["original_rcpt_to"]
        assert report["recipients"] == ([recipient.strip("<>")] if recipient else [])
        assert (report["arrived"] and seconds(report["arrived"])) == expected["arrival_date"]
        failure = expected["auth_failure"]
        assert (report["auth_failure"] or "unspecified").replace("-", "").lower() == \
            failure.lower()
        mta = expected["reporting_mta"]
        assert report["reporter"] == (mta and mta.split(";")[-1].strip())
        assert (report["source_port"] or 0) == expected["source_port"]


@pytest.mark.parametrize("path", suite("tlsrpt", "*.*"), ids=lambda path: path.name)
def test_published_tls_reports(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    told = read(path.read_bytes())
    assert told["kind"] == "tls"
    report = told["report"]
    for name in ("organization-name", "date-range", "contact-info", "report-id"):
        assert report.get(name) == expected.get(name)
    assert len(report["policies"]) == len(expected["policies"])
    for ours, theirs in zip(report["policies"], expected["policies"]):
        known = ("tlsa", "sts", "no-policy-found")
        kind = theirs["policy"]["policy-type"]
        assert ours["policy"]["policy-type"] == (kind if kind in known else "other")
        assert ours["policy"].get("policy-domain") == theirs["policy"].get("policy-domain")
        assert ours["policy"].get("policy-string") == theirs["policy"].get("policy-string")
        hosts = theirs["policy"].get("mx-host")
        assert ours["policy"].get("mx-host") == ([hosts] if isinstance(hosts, str) else hosts)
        assert ours["summary"] == theirs["summary"]
        assert ours["failure-details"] == theirs.get("failure-details", [])


# --- bounces -------------------------------------------------------------------------------------

STANDARD = b"""\
From: MAILER-DAEMON@mx.example.net
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Some of it went wrong.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Original-Envelope-Id: env-7
Arrival-Date: Wed, 18 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822; <anna@example.org>
Original-Recipient: rfc822;sales@example.org
Action: failed (no such user)
Status: 5.1.1 (bad address)
Remote-MTA: dns; mx1.example.org (192.0.2.5)
Diagnostic-Code: smtp; 550 5.1.1 no such user
    here, really

Final-Recipient: rfc822; berta@example.org
Action: delayed
Status: 4.4.1

Original-Recipient: rfc822; carl@example.org
Status: 2.0.0

This is no field
Action: failed
--b
Content-Type: text/rfc822-headers

Message-ID: <m1@example.com>
Subject: Hello
--b--
"""


def test_a_standard_bounce():
    for content in (STANDARD, with_crlf(STANDARD)):
        told = read(content)
        assert told["kind"] == "bounce"
        report = told["report"]
        assert report["is_standard"] and not report["is_cut"]
        assert report["reporter"] == "mx.example.net"
        assert report["envelope_id"] == "env-7"
        assert report["message_id"] == "<m1@example.com>"
        anna, berta, carl = report["recipients"]
        assert anna == {"address": "anna@example.org", "original": "sales@example.org",
                        "action": "failed", "status": "5.1.1",
                        "diagnostic": "550 5.1.1 no such user here, really",
                        "server": "mx1.example.org (192.0.2.5)"}
        assert (berta["action"], berta["status"], berta["diagnostic"]) == ("delayed", "4.4.1", None)
        # Neither Final-Recipient nor Action, which both are required: the rest says enough.
        assert (carl["address"], carl["action"]) == ("carl@example.org", "delivered")


def test_a_bounce_of_a_thousand_recipients_is_cut():
    many = b"".join(b"\nFinal-Recipient: rfc822; u%d@example.org\nAction: failed\n" % i
                    for i in range(1000))
    report = read(STANDARD.replace(b"\nThis is no field\nAction: failed\n", many))["report"]
    assert report["is_cut"] and len(report["recipients"]) == 256
    assert report["recipients"][255]["address"] == "u252@example.org"


QMAIL = b"""\
From: MAILER-DAEMON@mx.example.net
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.

<anna@example.org>:
192.0.2.7 does not like recipient.
Remote host said: 550 5.1.1 <anna@example.org>: unknown
Giving up on 192.0.2.7.

<berta@example.org>: Sorry, no mailbox here by that name. (#5.7.17)

--- Below this line is a copy of the message.

Return-Path: <news@example.com>
Message-ID: <m2@example.com>
Subject: hello

<carl@example.org>: is somebody the message speaks of
"""


def test_a_bounce_of_qmail():
    for content in (QMAIL, with_crlf(QMAIL)):
        report = read(content)["report"]
        assert not report["is_standard"]
        assert [(one["address"], one["action"], one["status"]) for one in report["recipients"]] == \
            [("anna@example.org", "failed", "5.1.1"), ("berta@example.org", "failed", "5.7.17")]
        assert report["recipients"][0]["diagnostic"].endswith("Giving up on 192.0.2.7.")
        assert report["message_id"] == "<m2@example.com>"


EXIM = b"""\
X-Failed-Recipients: anna@example.org,
  berta@example.org
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
Subject: Mail delivery failed

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to all of its recipients.
The following address(es) failed:

  anna@example.org
    host mx1.example.org [192.0.2.9]
    SMTP error from remote mail server after RCPT TO:<anna@example.org>:
    552-mailbox
    552 full

  berta@example.org
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

Message-ID: <m3@example.com>
"""


def test_a_bounce_of_exim():
    for content in (EXIM, with_crlf(EXIM)):
        report = read(content)["report"]
        anna, berta = report["recipients"]
        assert anna["address"] == "anna@example.org" and anna["status"] is None
        assert anna["diagnostic"].startswith("host mx1.example.org [192.0.2.9] SMTP error")
        assert anna["diagnostic"].endswith("552-mailbox 552 full")
        assert (berta["diagnostic"], berta["action"]) == ("Unrouteable address", "failed")
        assert report["message_id"] == "<m3@example.com>"


@pytest.mark.parametrize("text", [
    b"Subject: hello\n\n<anna@example.org>: how are you? 5.1.1 was great.\n",
    b"Subject: Re: failure notice\n\nHi. It is me.\n\n<anna@example.org>:\n550 no\n",
    b"Subject: x\n\nHi. This is the qmail-send program, it says, and no address.\n",
    b"X-Failed-Recipients: nobody, , ,\n\ntext\n",
    b"",
    b"\n\n\n",
    b"no header at all",
])
def test_what_is_no_report(text):
    assert "neither" in refusal(text) or "no message" in refusal(text)


# --- what nobody should send ---------------------------------------------------------------------

AGGREGATE = b"""<feedback><report_metadata><org_name>o</org_name><report_id>r</report_id></report_metadata>
<policy_published><domain>example.com</domain></policy_published>%s</feedback>"""


def packed(content, kind):
    if kind == "gzip":
        return gzip.compress(content)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", b"")
        archive.writestr("../../report.xml", content)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_packed_reports_and_bombs(kind):
    assert read(packed(AGGREGATE % b"", kind))["report"]["report_id"] == "r"
    # Much of nothing, in little.
    bomb = packed(AGGREGATE % (b"<x>" + b" " * (100 << 20) + b"</x>"), kind)
    done = subprocess.run(["prlimit", f"--data={MEMORY_MAX}", parts.PROGRAM, "report", "-"],
                          input=bomb, capture_output=True, timeout=60) \
        if not parts.is_sanitized() else run(bomb)
    assert done.returncode == 1 and b"unpacks to more" in done.stderr
    whole = packed(AGGREGATE % b"", kind)
    assert "damaged" in refusal(whole[:len(whole) // 2]) or "zip" in refusal(whole[:20])


def test_entities_do_not_grow():
    laughs = b"<!DOCTYPE f [<!ENTITY a0 'ha'>" + b"".join(
        b"<!ENTITY a%d '&a%d;&a%d;&a%d;&a%d;&a%d;&a%d;&a%d;&a%d;&a%d;&a%d;'>" %
        (i, *[i - 1] * 10) for i in range(1, 12)) + b"]>"
    assert "no XML" in refusal(laughs + AGGREGATE % b"<error>&a11;</error>")
    outside = b"<!DOCTYPE f [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>"
    told = run(outside + AGGREGATE % b"<x>&x;</x>")
    assert pathlib.Path("/etc/hostname").read_bytes().strip() not in told.stdout


def test_more_than_is_kept():
    record = b"<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>"
    report = read(AGGREGATE % (record * 100001))["report"]
    assert len(report["records"]) == 100000 and report["is_cut"]
    reasons = b"<reason><type>forged_word</type></reason>" * 101
    report = read(AGGREGATE % (b"<record><row><policy_evaluated>" + reasons +
                               b"</policy_evaluated></row></record>"))["report"]
    assert len(report["records"][0]["reasons"]) == 100 and report["is_cut"]
    assert report["records"][0]["reasons"][0]["type"] == "other"


@pytest.mark.parametrize("xml", [
    b"<feedback>",
    b"<html></html>",
    b"<feedback/>",
    b"<feedback><record></record></feedback>",
    AGGREGATE % b"<record></row>",
    AGGREGATE % b"\xff",
])
def test_xml_that_is_no_report(xml):
    assert "no XML" in refusal(xml) or "names neither" in refusal(xml)


def test_odd_values_in_xml():
    report = read(AGGREGATE % (
        b"<record><row><count>-1</count><count>x</count></row><row><count>18446744073709551616"
        b"</count></row></record><record><unknown><row><count>9</count></row></unknown>"
        b"<auth_results><spf><domain>" + b"d" * 9000 + b"</domain></spf></auth_results>"
        b"</record>"))["report"]
    first, second = report["records"]
    assert first["count"] is None
    assert "count" not in second
    assert second["spf_results"][0]["domain"] == "d" * 4096
    deep = b"<a>" * 20000 + b"</a>" * 20000
    assert read(AGGREGATE % deep)["report"]["report_id"] == "r"


@pytest.mark.parametrize("text", [
    b"{}", b"{", b"[]", b"{\"report-id\": 1}",
    b'{"report-id": "r", "date-range": {"start-datetime": "a", "end-datetime": "b"}}',
    b'{"report-id": "r", "date-range": {"start-datetime": "a", "end-datetime": "b"}, '
    b'"policies": [{"policy": {}, "failure-details": [1]}]}',
    b'{"a":' + b"[" * 100000,
])
def test_json_that_is_no_report(text):
    assert refusal(text)


def nested(depth):
    text = b"From: a@example.org\nMIME-Version: 1.0\n"
    for i in range(depth):
        text += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i)
    return text + b"Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.org\n"


def test_mime_without_end():
    assert "neither" in refusal(nested(1000))
    assert read(nested(5) + b"Action: failed\n")["kind"] == "bounce"
    parts_ = b"".join(b"--b\nContent-Type: text/plain\n\nx\n" for _ in range(10000))
    assert "neither" in refusal(b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" +
                                parts_ + b"--b--\n")


def test_an_attachment_that_is_something_else():
    picture = base64.b64encode(gzip.compress(b"P5 1 1 255 x"))
    assert refusal(b"MIME-Version: 1.0\nContent-Type: application/gzip\n"
                   b"Content-Transfer-Encoding: base64\n\n" + picture + b"\n")


def test_arguments(tmp_path):
    assert subprocess.run([parts.PROGRAM, "report"], capture_output=True).returncode == 64
    assert subprocess.run([parts.PROGRAM, "report", "a", "b"], capture_output=True).returncode == 64
    assert subprocess.run([parts.PROGRAM, "report", "--odd"], capture_output=True).returncode == 64
    assert subprocess.run([parts.PROGRAM, "report", tmp_path / "none"],
                          capture_output=True).returncode == 1
    too_large = tmp_path / "large"
    with open(too_large, "wb") as file:
        file.truncate((32 << 20) + 1)
    done = subprocess.run([parts.PROGRAM, "report", too_large], capture_output=True)
    assert done.returncode == 1 and b"larger than 32 MiB" in done.stderr


def test_for_people():
    done = subprocess.run([parts.PROGRAM, "report", "-"], input=STANDARD, capture_output=True)
    text = done.stdout.decode()
    assert text.startswith("bounce\n") and "    address: anna@example.org\n" in text
    evil = STANDARD.replace(b"no such user", b"\x1b[2Jno such user")
    done = subprocess.run([parts.PROGRAM, "report", "-"], input=evil, capture_output=True)
    assert b"\x1b" not in done.stdout
