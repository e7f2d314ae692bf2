"""Reports to other domains: counted from events, sent daily, once, to whom they may be sent; read
back by Python's parsers and by our own receiver."""

import datetime
import email
import email.policy
import gzip
import json
import time
import xml.etree.ElementTree

import certificates
import demands
import hook
import parts
import pytest
from inbound import HOST, Inbound, message, txt
from test_tls_policy import World, context_of

NS = "{urn:ietf:params:xml:ns:dmarc-2.0}"
SECTION = "dmarc: true, tls: true, email: reports@us.example, organization: \"Us & Co <1>\", " \
          "contact: \"https://us.example/\", spread: 0s"
BOUNCES = "bounces.shop.example"

ZONES = {
    "good.example": f"@ {txt('v=spf1 ip4:127.0.0.1 -all')}\n"
                    f"_dmarc {txt('v=DMARC1; p=reject; rua=mailto:dmarc@good.example')}\n",
    "strict.example": f"@ {txt('v=spf1 -all')}\n_dmarc "
                      f"{txt('v=DMARC1; p=reject; rua=mailto:all@outside.example,mailto:b@asks.example')}\n",
    "test.example": f"@ {txt('v=spf1 -all')}\n_dmarc "
                    f"{txt('v=DMARC1; p=quarantine; sp=none; adkim=s; t=y; rua=mailto:d@sub.test.example!1')}\n",
    "silent.example": f"@ {txt('v=spf1 -all')}\n_dmarc {txt('v=DMARC1; p=none')}\n",
    "outside.example": "@ A 127.0.0.1\n",
    "asks.example": f"strict.example._report._dmarc {txt('v=DMARC1;')}\n"
                    f"y.example._report._dmarc {txt('v=DMARC1')}\n",
    "example": "@ A 127.0.0.1\n",
    "127.in-addr.arpa": "1.0.0 PTR client.good.example.\n",
}


def today():
    """The day (UTC), which does not end before a test does."""
    left = 86400 - time.time() % 86400
    if left < 180:
        time.sleep(left + 1)
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


class Place:
    """A receiver that reports, and a sink that all its mail goes to."""

    def __init__(self, stage, section=SECTION, zones=None, settings=None, act=None, tls=None):
        self.day = today()
        self.sink = stage.receiver(act, tls=tls)
        self.submission = parts.free_port()
        self.inbound = Inbound(stage, zones={**ZONES, **(zones or {})}, settings={
            "reports": f"{{{section}}}",
            "routes": f'[{{match: "*", to: ["127.0.0.1:{self.sink.port}"]}}]',
            **(settings or {})})
        self.relay = self.inbound.relay
        self.relay.cli("queue", "resume", "--all")

    def counted(self, kind, domain=None):
        """What the command tells of today, by domain."""
        done = self.relay.cli("report", "--json", kind, "--day", self.day, "--rows",
                              *(("--domain", domain) if domain else ()), check=False)
        if done.returncode:
            return {}
        return {line["domain"]: line for line in map(json.loads, done.stdout.splitlines())}

    def wait_counted(self, kind, domain, total):
        return parts.wait_for(
            lambda: (found := self.counted(kind).get(domain)) and found["total"] >= total and found,
            f"{total} of {domain}")

    def send(self, kind, domain=None, state="sent"):
        """Sends today's at once; the line of the domain once it is over."""
        self.relay.cli("report", kind, "--send", "--day", self.day,
                       *(("--domain", domain) if domain else ()))
        return parts.wait_for(
            lambda: (line := self.counted(kind, domain).get(domain)) and line["state"] == state
            and line, f"{kind} of {domain} {state}")

    def mails(self, to):
        return [m for m in self.sink.messages if to in m.to()]

    def wait_mail(self, to):
        return parts.wait_for(lambda: self.mails(to), f"a mail to {to}")[0]


def attachment(mail):
    """Of a mail of ours: the whole, what is attached, its name."""
    whole = email.message_from_bytes(mail.content, policy=email.policy.default)
    part = list(whole.iter_parts())[-1]
    return whole, part, gzip.decompress(part.get_payload(decode=True))


def find(element, path):
    return element.find("/".join(NS + name for name in path.split("/")))


def texts(element, path):
    return [e.text for e in element.findall("/".join(NS + name for name in path.split("/")))]


def test_dmarc_report_says_what_was_seen_and_goes_out_once(stage):
    place = Place(stage)
    for _ in range(3):
        assert place.inbound.send(message("alice@good.example"))[0] == 250
    assert place.inbound.send(message("alice@good.example"), sender="x@silent.example")[0] == 550
    line = place.wait_counted("dmarc", "good.example", 4)
    assert (line["state"], line["rows"], line["left_out"]) == ("counting", 2, 0)
    assert line["policy"] == "domain=good.example p=reject sp=reject np=reject adkim=r aspf=r t=n"
    assert {row["count"] for row in line["counted"]} == {3, 1}
    line = place.send("dmarc", "good.example")
    assert line["said"] == "dmarc@good.example: sent"
    mail = place.wait_mail("dmarc@good.example")
    assert mail.sender == "reports@us.example"
    whole, part, text = attachment(mail)
    begin = int(datetime.datetime.fromisoformat(place.day + "T00:00:00+00:00").timestamp())
    name = f"{HOST}!good.example!{begin}!{begin + 86399}.xml.gz"
    assert part.get_filename() == name and part.get_content_type() == "application/gzip"
    id = f"dmarc.{place.day}.good.example@{HOST}"
    assert whole["Subject"] == (f"Report Domain: good.example Submitter: {HOST} "
                                f"Report-ID: <{id}>")
    assert whole["From"] == "reports@us.example" and whole["Auto-Submitted"] == "auto-generated"
    report = xml.etree.ElementTree.fromstring(text)
    assert report.tag == NS + "feedback" and find(report, "version").text == "1.0"
    metadata = find(report, "report_metadata")
    assert [find(metadata, n).text for n in ("org_name", "email", "extra_contact_info",
                                             "report_id")] == [
        "Us & Co <1>", "reports@us.example", "https://us.example/", id]
    assert find(metadata, "date_range/begin").text == str(begin)
    assert find(metadata, "date_range/end").text == str(begin + 86399)
    policy = {e.tag.removeprefix(NS): e.text for e in find(report, "policy_published")}
    assert policy == {"domain": "good.example", "discovery_method": "treewalk", "p": "reject",
                      "sp": "reject", "np": "reject", "adkim": "r", "aspf": "r", "testing": "n"}
    good, bad = report.findall(NS + "record")
    assert [e.tag.removeprefix(NS) for e in good] == ["row", "identifiers", "auth_results"]
    assert texts(good, "row/source_ip") == ["127.0.0.1"] and texts(good, "row/count") == ["3"]
    evaluated = [e.tag.removeprefix(NS) for e in find(good, "row/policy_evaluated")]
    assert evaluated == ["disposition", "dkim", "spf"]
    assert [e.text for e in find(good, "row/policy_evaluated")] == ["none", "fail", "pass"]
    assert texts(good, "identifiers/header_from") == ["good.example"]
    assert texts(good, "identifiers/envelope_from") == ["good.example"]
    assert [e.text for e in find(good, "auth_results/spf")] == ["good.example", "mfrom", "pass"]
    assert [e.text for e in find(bad, "row/policy_evaluated")] == ["reject", "fail", "fail"]
    assert texts(bad, "identifiers/envelope_from") == ["silent.example"]
    # What was sent is not sent again, and what comes later counts to the next day.
    assert place.inbound.send(message("alice@good.example"))[0] == 250
    place.relay.cli("report", "dmarc", "--send", "--day", place.day)
    tomorrow = (datetime.date.fromisoformat(place.day) + datetime.timedelta(1)).isoformat()
    parts.wait_for(lambda: place.relay.cli("report", "dmarc", "--day", tomorrow).stdout.startswith(
        f"{tomorrow} good.example: 1 messages in 1 rows, counting"), "the next day")
    assert place.counted("dmarc")["good.example"]["total"] == 4
    assert len(place.mails("dmarc@good.example")) == 1
    assert place.relay.metrics()["ringpost_reports_sent_total"] == 1
    # Our own reader knows it.
    file = stage.directory / "report.xml"
    file.write_bytes(text)
    read = json.loads(place.relay.cli("report", "--json", str(file)).stdout)["report"]
    assert (read["organization"], read["policy"]["domain"]) == ("Us & Co <1>", "good.example")
    assert [r["count"] for r in read["records"]] == [3, 1]


def test_dmarc_report_goes_where_it_is_wanted_and_fits(stage):
    place = Place(stage)
    for sender in "strict", "test", "silent":
        place.inbound.send(message(f"alice@{sender}.example"), sender=f"a@{sender}.example")
        place.wait_counted("dmarc", f"{sender}.example", 1)
    row = place.counted("dmarc")["test.example"]["counted"][0]
    assert (row["disposition"], row["reason"]) == ("none", "policy_test_mode")
    line = place.send("dmarc", "strict.example")
    assert line["said"] == ("all@outside.example: not sent, it does not say that it takes reports "
                            "of this domain; b@asks.example: sent")
    place.wait_mail("b@asks.example")
    line = place.send("dmarc", "test.example", "failed")
    assert line["said"] == "d@sub.test.example: not sent, it takes none so large"
    assert place.send("dmarc", "silent.example", "unwanted")["said"] is None
    assert place.mails("all@outside.example") == place.mails("d@sub.test.example") == []


def test_counts_and_reports_survive_a_kill(stage):
    place = Place(stage)
    for i in range(10):
        assert place.inbound.send(message("alice@good.example"))[0] == 250
        if i % 3 == 2:
            place.relay.kill()
            place.relay.start()
    line = place.wait_counted("dmarc", "good.example", 10)
    assert line["total"] == 10 and [r["count"] for r in line["counted"]] == [10]
    place.relay.cli("report", "dmarc", "--send", "--day", place.day)
    place.relay.kill()
    place.relay.start()
    parts.wait_for(lambda: place.counted("dmarc")["good.example"]["state"] != "counting" or
                   place.relay.cli("report", "dmarc", "--send", "--day", place.day), "it is taken")
    parts.wait_for(lambda: place.counted("dmarc")["good.example"]["state"] == "sent", "sent")
    place.wait_mail("dmarc@good.example")
    place.relay.wait_empty()
    place.relay.stop()
    place.relay.start()
    assert len(place.mails("dmarc@good.example")) == 1
    assert place.counted("dmarc")["good.example"]["total"] == 10


def test_what_dns_does_not_say_is_asked_again(stage):
    place = Place(stage)
    place.inbound.send(message("alice@good.example"))
    place.wait_counted("dmarc", "good.example", 1)
    place.inbound.nsd.stop()
    place.relay.cli("report", "dmarc", "--send", "--day", place.day)
    line = parts.wait_for(lambda: (l := place.counted("dmarc")["good.example"])["tries"] == 1 and l,
                          "a try")
    assert line["state"] == "sending" and line["said"].startswith("DNS: ")
    place.inbound.nsd.start()
    place.send("dmarc", "good.example")
    assert len(place.mails("dmarc@good.example")) == 1


def tls_zone(rua):
    return {"y.example": f"_smtp._tls {txt('v=TLSRPTv1; rua=' + rua)}\n"}


class TlsPlace(Place):
    """The same with a port for submission, since TLS reports are about mail that is sent."""

    def __init__(self, stage, zones, section=SECTION, **kwargs):
        self.submit_port, self.in_port = parts.free_ports(2)
        super().__init__(stage, section=section, zones=zones, settings={
            "listeners": f'[{{address: "127.0.0.1:{self.in_port}", service: inbound}}, '
                         f'{{address: "127.0.0.1:{self.submit_port}", service: submission, '
                         'trust: ["127.0.0.0/8"]}]', "engines": "1"}, **kwargs)
        self.inbound.port = self.in_port
        self.relay.port = self.submit_port

    def deliver(self, to, count=1):
        for _ in range(count):
            id = self.relay.submit(to)
            self.relay.wait_events(1 if isinstance(to, str) else len(to), id=id, kind="delivered")


def test_tls_report_counts_sessions_and_goes_by_mail(stage):
    place = TlsPlace(stage, tls_zone("mailto:tls@y.example"))
    place.deliver(["a@y.example", "b@y.example"])
    place.deliver("c@y.example")
    line = place.wait_counted("tls", "y.example", 1)
    sessions = len({s for s in place.sink.sessions})
    assert line["total"] <= sessions
    place.send("tls", "y.example")
    mail = place.wait_mail("tls@y.example")
    whole, part, text = attachment(mail)
    assert whole.get_content_type() == "multipart/report"
    assert whole.get_param("report-type") == "tlsrpt"
    assert whole["TLS-Report-Domain"] == "y.example" and whole["TLS-Report-Submitter"] == HOST
    assert whole["TLS-Required"] == "No"
    assert part.get_content_type() == "application/tlsrpt+gzip"
    assert part.get_filename().endswith(".json.gz")
    report = json.loads(text)
    assert set(report) == {"organization-name", "date-range", "contact-info", "report-id",
                           "policies"}
    assert report["organization-name"] == "Us & Co <1>"
    assert report["date-range"] == {"start-datetime": f"{place.day}T00:00:00Z",
                                    "end-datetime": f"{place.day}T23:59:59Z"}
    [entry] = report["policies"]
    assert entry["policy"] == {"policy-type": "no-policy-found", "policy-domain": "y.example"}
    assert entry["summary"]["total-successful-session-count"] == 0
    assert entry["summary"]["total-failure-session-count"] == line["total"]
    [failure] = entry["failure-details"]
    assert failure["result-type"] == "starttls-not-supported"
    assert failure["failed-session-count"] == line["total"]
    assert failure["receiving-ip"] == failure["sending-mta-ip"] == "127.0.0.1"


def test_tls_report_tells_successes_and_is_posted(stage, tmp_path):
    root = certificates.Issued(tmp_path, "root")
    leaf = certificates.Issued(tmp_path, "hook", root, ("localhost",))
    ca = tmp_path / "ca.pem"
    ca.write_bytes(root.pem())
    answers = [500, 201]
    taken = stage.add(hook.Hook(lambda request: answers.pop(0) if answers else 201,
                                tls=leaf.files()))
    place = TlsPlace(stage, tls_zone(f"https://localhost:{taken.port}/v1/report"),
                     section=f'{SECTION}, ca: {ca}, allow: ["127.0.0.0/8", "::1/128"]',
                     tls=certificates.Issued(tmp_path, "mx", root, ("mx.y.example",)).context())
    place.deliver("c@y.example", 3)
    line = place.wait_counted("tls", "y.example", 1)
    # The first answer is no good: it is tried again, here because it is hurried.
    place.relay.cli("report", "tls", "--send", "--day", place.day)
    again = parts.wait_for(lambda: (l := place.counted("tls")["y.example"])["tries"] == 1 and l,
                           "a try")
    assert (again["state"], again["said"].split(": ")[-1]) == (
        "sending", "to be tried again, it answered 500")
    place.send("tls", "y.example")
    request = taken.requests[-1]
    assert request.headers["Content-Type"] == "application/tlsrpt+gzip"
    [entry] = json.loads(gzip.decompress(request.body))["policies"]
    assert entry["summary"] == {"total-successful-session-count": line["total"],
                                "total-failure-session-count": 0}
    assert entry["failure-details"] == []
    assert len(taken.requests) == 2


def test_a_report_that_is_posted_again_has_the_key_of_the_first(stage, tmp_path):
    """A kill between the POST and the note of it: nobody but the receiver knows that it came."""
    root = certificates.Issued(tmp_path, "root")
    leaf = certificates.Issued(tmp_path, "hook", root, ("localhost",))
    ca = tmp_path / "ca.pem"
    ca.write_bytes(root.pem())
    kills = [lambda: place.relay.kill()]
    taken = stage.add(hook.Hook(lambda request: kills.pop()() and 201 if kills else 201,
                                tls=leaf.files()))
    place = TlsPlace(stage, tls_zone(f"https://localhost:{taken.port}/v1/report"),
                     section=f'{SECTION}, ca: {ca}, allow: ["127.0.0.0/8", "::1/128"]',
                     tls=certificates.Issued(tmp_path, "mx", root, ("mx.y.example",)).context())
    place.deliver("c@y.example", 1)
    place.wait_counted("tls", "y.example", 1)
    place.relay.cli("report", "tls", "--send", "--day", place.day)
    parts.wait_for(lambda: not place.relay.running(), "the kill")
    place.relay.start()
    place.relay.cli("report", "tls", "--send", "--day", place.day)
    parts.wait_for(lambda: place.counted("tls")["y.example"]["state"] == "sent", "sent")
    first, second = taken.requests
    key = f'"tls.{place.day}.y.example@{HOST}"'
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == key
    ids = [json.loads(gzip.decompress(r.body))["report-id"] for r in (first, second)]
    assert ids == [key.strip('"')] * 2


def unanswered(handler):
    handler.close_connection = True


def test_a_report_whose_post_stays_unclear_is_posted_twice_at_most(stage, tmp_path):
    """Whoever takes it and never says so does not have it with each try."""
    root = certificates.Issued(tmp_path, "root")
    leaf = certificates.Issued(tmp_path, "hook", root, ("localhost",))
    ca = tmp_path / "ca.pem"
    ca.write_bytes(root.pem())
    answers = [500, unanswered, 503, 504]
    taken = stage.add(hook.Hook(lambda request: answers.pop(0), tls=leaf.files()))
    place = TlsPlace(stage, tls_zone(f"https://localhost:{taken.port}/v1/report"),
                     section=f'{SECTION}, ca: {ca}, allow: ["127.0.0.0/8", "::1/128"]',
                     tls=certificates.Issued(tmp_path, "mx", root, ("mx.y.example",)).context())
    place.deliver("c@y.example", 1)
    place.wait_counted("tls", "y.example", 1)

    def again(count):
        place.relay.cli("report", "tls", "--send", "--day", place.day)
        parts.wait_for(lambda: len(taken.requests) == count, "a POST")
        return parts.wait_for(lambda: (l := place.counted("tls")["y.example"])["tries"] and l,
                              "what came of it")

    # What was answered was not taken, however often; a gateway that waited in vain knows as much as
    # we do.
    assert [again(i)["state"] for i in (1, 2, 3)] == ["sending"] * 3
    end = again(4)
    assert end["state"] == "failed", end
    assert end["said"].endswith("posted 2 times, and whether it was taken is not known"), end
    # Who wants it again has to say so.
    answers.append(201)
    place.send("tls", "y.example")
    assert len(taken.requests) == 5


def test_reports_come_back_as_events(stage):
    """What one ringpost sends, another takes apart: here it is the same one."""
    zones = {"shop.example": f"@ {txt('v=spf1 -all')}\n_dmarc "
                             f"{txt('v=DMARC1; p=none; rua=mailto:reports@' + BOUNCES)}\n"}
    place = Place(stage, zones=zones)
    for command in (("domain", "add", "acme", "shop.example", "--active"),
                    ("domain", "add", "acme", BOUNCES, "--active", "--hosted")):
        place.relay.cli(*command)
    for _ in range(2):
        assert place.inbound.send(message("a@shop.example"), sender="a@shop.example")[0] == 250
    place.wait_counted("dmarc", "shop.example", 2)
    place.send("dmarc", "shop.example")
    [event] = place.relay.wait_events(1, kind="reported")
    assert (event["tenant"], event["class"]) == ("acme", "dmarc")
    assert event["reply"]["text"] == "2 of 2 messages failed, as Us & Co <1> tells"
    head, row = event["checks"]
    assert f"id=dmarc.{place.day}.shop.example@{HOST}" in head["detail"]
    assert (row["result"], row["weight"]) == ("fail", "2")


def test_reports_are_off_until_they_are_asked_for(stage):
    place = Place(stage, section="email: reports@us.example")
    assert place.inbound.send(message("alice@good.example"))[0] == 250
    [event] = place.relay.wait_events(1, kind="received")
    assert "dmarc-record" not in [check["check"] for check in event["checks"]]
    assert not (place.relay.state_dir / "reports.db").exists()
    done = place.relay.cli("report", "dmarc", check=False)
    assert done.returncode == 1 and "nothing was counted yet" in done.stderr
    done = place.relay.cli("report", "dmarc", "--send", "--day", place.day, check=False)
    assert done.returncode == 1 and "nothing is counted" in done.stderr


@pytest.mark.parametrize("words, says", [
    (("dmarc", "--day", "yesterday"), "--day takes one as 2026-11-28"),
    (("tls", "--send"), "--send needs --day"),
    (("dmarc", "--nothing"), "unknown option --nothing"),
])
def test_report_command_says_what_is_wrong(stage, words, says):
    relay = stage.unstarted_ringpost()
    done = relay.cli("report", *words, check=False)
    assert done.returncode == 64 and says in done.stderr


def test_reports_need_an_address(stage):
    relay = stage.unstarted_ringpost(reports="{dmarc: true}")
    done = relay.cli("check", check=False)
    assert done.returncode == 78 and "reports.email" in done.stderr + done.stdout


def test_tls_report_tells_what_was_demanded(stage):
    """DANE that holds, and an MTA-STS policy that the host's certificate does not meet."""
    day = today()
    world = World(stage)
    dane, other = (world.authority.issue(f"mx-{name}.example") for name in ("d.signed", "other"))
    taken = stage.receiver(addresses=[(f"{world.block}.0.10", 25)], tls=context_of(*dane))
    stage.receiver(addresses=[(f"{world.block}.0.11", 25)], tls=context_of(*other))
    record = demands.tlsa(dane[0])
    rua = "TXT \"v=TLSRPTv1; rua=mailto:r@d.signed.example\""
    world.add("signed.example", "d MX 10 mx-d", f"mx-d A {world.block}.0.10",
              f"_25._tcp.mx-d {record}", f"_smtp._tls.d {rua}")
    world.add("plain.example", "s MX 10 mx-s", f"mx-s A {world.block}.0.11", f"_smtp._tls.s {rua}",
              '_mta-sts.s TXT "v=STSv1; id=1"', f"mta-sts.s A {world.block}.0.2")
    host = stage.add(demands.PolicyHost(f"{world.block}.0.2", {
        "mta-sts.s.plain.example": world.authority.issue("mta-sts.s.plain.example")}))
    host.policy("s.plain.example", "enforce", "mx-s.plain.example", max_age=86400)
    relay = world.start(retry="{first: 1h}",
                        reports="{tls: true, email: r@us.example, spread: 0s}").relay
    relay.start()
    for domain, kind in ("d.signed.example", "delivered"), ("s.plain.example", "deferred"):
        id = relay.submit(f"user@{domain}")
        relay.wait_events(1, id=id, kind=kind)
        parts.wait_for(lambda: f" {domain}: 1 sessions" in relay.cli(
            "report", "tls", check=False).stdout, "it is counted")
        relay.cli("report", "tls", "--send", "--day", day, "--domain", domain)
    reports = {}

    def both():
        for mail in taken.messages:
            if mail.to() == ["r@d.signed.example"]:
                whole, _, text = attachment(mail)
                reports[whole["TLS-Report-Domain"]] = json.loads(text)["policies"]
        return len(reports) == 2
    parts.wait_for(both, "two reports")
    [entry] = reports["d.signed.example"]
    assert entry["policy"] == {"policy-type": "tlsa", "policy-domain": "mx-d.signed.example",
                               "policy-string": [record.removeprefix("TLSA ")],
                               "mx-host": ["mx-d.signed.example"]}
    assert entry["summary"] == {"total-successful-session-count": 1,
                                "total-failure-session-count": 0}
    [entry] = reports["s.plain.example"]
    assert entry["policy"] == {
        "policy-type": "sts", "policy-domain": "s.plain.example",
        "policy-string": ["version: STSv1", "mode: enforce", "mx: mx-s.plain.example",
                          "max_age: 86400"], "mx-host": ["mx-s.plain.example"]}
    assert entry["summary"]["total-failure-session-count"] == 1
    [failure] = entry["failure-details"]
    assert (failure["result-type"], failure["receiving-mx-hostname"]) == (
        "certificate-host-mismatch", "mx-s.plain.example")
    assert failure["receiving-ip"] == f"{world.block}.0.11"
