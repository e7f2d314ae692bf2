"""ringpost tls-policy: what receivers demand of TLS, from signed zones behind a validating unbound and
from MTA-STS policies over HTTPS."""

import json
import re
import smtplib
import ssl

import demands
import names
import needs
import parts
import pytest
import receiver as receivers

SHA = "ab" * 32
USABLE = f"TLSA 3 1 1 {SHA}"


class World:
    def __init__(self, stage):
        self.stage = stage
        self.block = names.loopback_block()
        self.zones = {"signed.example": [], "plain.example": [], "bogus.example": [],
                      "below.signed.example": []}
        self.signed = {"signed.example": None, "bogus.example": self.forge}
        self.authority = demands.Authority(stage.directory)
        self.resolvers = []

    @staticmethod
    def forge(text):
        """Addresses and TLSA records of bogus.example are changed behind their signatures' back."""
        assert "127." in text
        return re.sub(rf"(TLSA\t3 1 1 ){SHA[:2]}", r"\1ff", text, flags=re.I)

    def add(self, zone, *lines):
        self.zones[zone] += lines

    def start(self, **settings):
        nsd = self.stage.nsd({origin: "\n".join(lines) for origin, lines in self.zones.items()},
                             signed=self.signed)
        stubs = {origin: nsd.port for origin in self.zones}
        del stubs["below.signed.example"]  # by its delegation
        stubs["below.signed.example"] = nsd.port
        self.unbound = self.stage.unbound(stubs, anchors=nsd.anchors, more=self.resolvers)
        settings.setdefault("dns", f'{{servers: ["127.0.0.1:{self.unbound.port}"], trusted: true, '
                                   'timeout: 2s, tries: 2, failure_ttl: 1s}')
        settings.setdefault("delivery", f'{{allow_private: ["{self.block}.0.0/16"], '
                                        f'tls_ca: {self.authority.certificate}}}')
        self.relay = self.stage.unstarted_ringpost(**settings)
        return self

    def ask(self, domain):
        """{host: what is demanded of it}"""
        done = self.relay.cli("tls-policy", "--json", domain)
        self.answer = json.loads(done.stdout)
        return {host["host"]: host for host in self.answer["hosts"]}


@pytest.fixture
def world(stage):
    return World(stage)


def level(host):
    return host["level"], host["source"]


def test_dane_by_the_book(stage, world):
    a = f"A {world.block}.0.1"
    world.add("signed.example",
              f"mx {a}", f"_25._tcp.mx {USABLE}",
              f"bare {a}",
              f"pkix {a}", f"_25._tcp.pkix TLSA 0 0 1 {SHA}", f"_25._tcp.pkix TLSA 1 1 1 {SHA}",
              f"odd {a}", f"_25._tcp.odd TLSA 3 1 1 {SHA[2:]}",
              f"mixed {a}", f"_25._tcp.mixed TLSA 1 1 1 {SHA}", f"_25._tcp.mixed TLSA 2 0 1 {SHA}",
              f"roll {a}", f"_25._tcp.roll {USABLE}", "_25._tcp.roll TLSA 3 1 1 " + "cd" * 32,
              "good MX 10 mx", "good MX 20 bare", "good MX 30 pkix", "good MX 40 odd",
              "good MX 50 mixed", "good MX 60 roll", "good MX 70 mx.plain.example.",
              # aliases: the expanded name first, then the name itself
              "alias CNAME mx", "aliased MX 10 alias",
              f"target {a}", "own CNAME target", f"_25._tcp.own {USABLE}", "ownalias MX 10 own",
              "out CNAME mx.plain.example.", f"_25._tcp.out {USABLE}", "outward MX 10 out",
              # the records themselves are elsewhere
              f"cn {a}", "_25._tcp.cn CNAME _25._tcp.mx", "cnrecord MX 10 cn",
              f"cnout {a}", "_25._tcp.cnout CNAME _25._tcp.mx.plain.example.", "cnplain MX 10 cnout",
              f"self {a}", f"_25._tcp.self {USABLE}",
              "domainalias CNAME good",
              "bogus MX 10 mx.bogus.example.", "bogus MX 20 fine.bogus.example.",
              "lame MX 10 mx",
              "below NS ns.below")
    world.add("below.signed.example", f"mx {a}", f"_25._tcp.mx {USABLE}", "@ MX 10 mx")
    world.add("signed.example", "inbelow MX 10 mx.below")
    world.add("plain.example", f"mx {a}", f"_25._tcp.mx {USABLE}", "@ MX 10 mx",
              "tosigned MX 10 mx.signed.example.")
    world.add("bogus.example", f"mx {a}", f"_25._tcp.mx {USABLE}", f"fine {a}", "@ MX 10 mx")
    world.start()

    hosts = world.ask("good.signed.example")
    assert world.answer["secure"] is True
    mx = hosts["mx.signed.example"]
    assert level(mx) == ("verify", "dane") and mx["records"] == [f"3 1 1 {SHA}"]
    assert mx["rule"] == "TLSA records at _25._tcp.mx.signed.example"
    assert mx["server_name"] == "mx.signed.example"
    assert mx["names"] == ["mx.signed.example", "good.signed.example"]
    assert level(hosts["bare.signed.example"]) == ("opportunistic", "config")
    for name in ("pkix", "odd"):
        host = hosts[f"{name}.signed.example"]
        assert level(host) == ("require", "dane") and host["records"] == []
        assert host["found"] == "tlsa-invalid" and "is of use" in host["found_why"]
    assert hosts["mixed.signed.example"]["records"] == [f"2 0 1 {SHA}"]
    assert len(hosts["roll.signed.example"]["records"]) == 2
    assert level(hosts["mx.plain.example"]) == ("opportunistic", "config")

    alias = world.ask("aliased.signed.example")["alias.signed.example"]
    assert level(alias) == ("verify", "dane") and alias["server_name"] == "mx.signed.example"
    own = world.ask("ownalias.signed.example")["own.signed.example"]
    assert level(own) == ("verify", "dane") and own["server_name"] == "own.signed.example"
    out = world.ask("outward.signed.example")["out.signed.example"]
    assert level(out) == ("verify", "dane") and out["server_name"] == "out.signed.example"
    assert level(world.ask("cnrecord.signed.example")["cn.signed.example"]) == ("verify", "dane")
    assert level(world.ask("cnplain.signed.example")["cnout.signed.example"]) == (
        "opportunistic", "config")

    own = world.ask("self.signed.example")["self.signed.example"]  # no MX, and that is secure
    assert level(own) == ("verify", "dane") and own["names"] == ["self.signed.example"]
    mx = world.ask("domainalias.signed.example")["mx.signed.example"]
    assert mx["names"] == ["mx.signed.example", "domainalias.signed.example", "good.signed.example"]

    # Not signed from the MX records on, or not at the host: DANE has nothing to say.
    for domain, host in (("plain.example", "mx.plain.example"),
                         ("tosigned.plain.example", "mx.signed.example"),
                         ("below.signed.example", "mx.below.signed.example"),
                         ("inbelow.signed.example", "mx.below.signed.example")):
        assert level(world.ask(domain)[host]) == ("opportunistic", "config"), domain

    # What does not validate is no absence.
    hosts = world.ask("bogus.signed.example")
    mx = hosts["mx.bogus.example"]
    assert level(mx) == ("refuse", "dane") and mx["found"] == "dnssec-invalid", mx
    assert "SERVFAIL" in mx["found_why"]
    assert level(hosts["fine.bogus.example"]) == ("opportunistic", "config")


def test_dane_needs_a_trusted_resolver(stage, world):
    world.add("signed.example", f"@ A {world.block}.0.1", f"_25._tcp {USABLE}")
    world.add("bogus.example", f"mx A {world.block}.0.1", f"_25._tcp.mx {USABLE}")
    world.start()
    assert level(world.ask("signed.example")["signed.example"]) == ("verify", "dane")
    dns = f'servers: ["127.0.0.1:{world.unbound.port}"]'
    world.relay.write_config(dns=f"{{{dns}}}")
    assert level(world.ask("signed.example")["signed.example"]) == ("opportunistic", "config")
    text = world.relay.cli("tls-policy", "signed.example").stdout
    assert "dns.trusted is false" in text
    assert "delivery.dane" not in world.relay.cli("check").stderr
    private = f'allow_private: ["{world.block}.0.0/16"]'
    world.relay.write_config(delivery=f"{{{private}, dane: true}}")
    assert "delivery.dane: it has no effect" in world.relay.cli("check").stderr
    world.relay.write_config(dns=f"{{{dns}, trusted: true}}", delivery=f"{{{private}, dane: false}}")
    assert level(world.ask("signed.example")["signed.example"]) == ("opportunistic", "config")
    world.relay.write_config(dns='{servers: ["192.0.2.53"], trusted: true}', delivery="")
    assert "dns.trusted: answers of 192.0.2.53" in world.relay.cli("check").stderr


STS_DOMAINS = ("enforced", "tested", "none", "moved", "html", "broken", "huge", "wrongname", "unknown",
               "lies", "private", "twice", "badrecord", "danefirst", "gone", "endless")


def put_policies(world, a):
    for domain in STS_DOMAINS:
        if domain != "danefirst":
            world.add("plain.example", f"{domain} MX 10 mx1.{domain}", f"{domain} MX 20 mx2.{domain}",
                      f"mx1.{domain} {a}", f"mx2.{domain} {a}",
                      f'_mta-sts.{domain} TXT "v=STSv1; id=20260101;"',
                      f"mta-sts.{domain} A {world.block}.0.2" if domain != "private" else
                      f"mta-sts.{domain} A 10.1.2.3")
    world.add("plain.example", '_mta-sts.twice TXT "v=STSv1; id=2;"', "gone TXT nothing")
    world.zones["plain.example"] = [
        line.replace("id=20260101", "id=not-valid") if line.startswith("_mta-sts.badrecord") else line
        for line in world.zones["plain.example"]]
    certificates = {f"mta-sts.{d}.plain.example": world.authority.issue(f"mta-sts.{d}.plain.example")
                    for d in STS_DOMAINS}
    certificates["mta-sts.wrongname.plain.example"] = world.authority.issue("plain.example")
    other = demands.Authority(world.stage.directory, "stranger")
    certificates["mta-sts.unknown.plain.example"] = other.issue("mta-sts.unknown.plain.example")
    host = world.stage.add(demands.PolicyHost(f"{world.block}.0.2", certificates))
    full = [("enforced", "enforce"), ("tested", "testing"), ("wrongname", "enforce"),
            ("unknown", "enforce"), ("private", "enforce"), ("twice", "enforce"),
            ("badrecord", "enforce")]
    for domain, mode in full:
        host.policy(f"{domain}.plain.example", mode, f"mx1.{domain}.plain.example")
    host.policy("none.plain.example", "none")
    host.put("moved.plain.example", status=302, body=b"", headers={
        "Location": "https://mta-sts.enforced.plain.example/.well-known/mta-sts.txt"})
    host.put("html.plain.example", "version: STSv1", "mode: enforce", "mx: *.plain.example",
             "max_age: 1000", kind="text/html")
    host.put("broken.plain.example", "version: STSv1", "mode: enforce")
    host.put("huge.plain.example", body=b"version: STSv1\nmode: enforce\nmx: *.plain.example\n"
             b"max_age: 100\n" + b"x: y\n" * 20000)
    host.put("endless.plain.example", headers={"Connection": "close"}, body=b"version: STSv1\n"
             b"mode: enforce\nmx: *.endless.plain.example\nmax_age: 100\n" + b"x: y\n" * 200000)
    host.policy("lies.plain.example", "enforce", "*.lies.plain.example")
    return host


def test_mta_sts_by_the_book(stage, world):
    a = f"A {world.block}.0.1"
    host = put_policies(world, a)
    world.add("signed.example", "danefirst MX 10 mx1.danefirst", "danefirst MX 20 mx2.danefirst",
              f"mx1.danefirst {a}", f"mx2.danefirst {a}", f"_25._tcp.mx1.danefirst {USABLE}",
              '_mta-sts.danefirst TXT "v=STSv1; id=1"', f"mta-sts.danefirst A {world.block}.0.2")
    world.start()

    hosts = world.ask("enforced.plain.example")
    mx1, mx2 = (hosts[f"mx{i}.enforced.plain.example"] for i in (1, 2))
    assert level(mx1) == ("verify", "mta-sts") and mx1["names"] == ["mx1.enforced.plain.example"]
    assert mx1["rule"] == "the MTA-STS policy 20260101 of enforced.plain.example (enforce)"
    assert mx1["found"] == "none" and mx1["records"] == []
    assert level(mx2) == ("refuse", "mta-sts") and "is no mail host by" in mx2["found_why"]
    hosts = world.ask("tested.plain.example")
    mx1, mx2 = (hosts[f"mx{i}.tested.plain.example"] for i in (1, 2))
    assert level(mx1) == ("opportunistic", "mta-sts") and mx1["found"] == "none"
    assert level(mx2) == ("opportunistic", "mta-sts") and mx2["found"] == "validation-failure"
    assert level(world.ask("lies.plain.example")["mx2.lies.plain.example"]) == ("verify", "mta-sts")
    for domain, found in (("none", "none"), ("moved", "sts-policy-fetch-error"),
                          ("html", "sts-policy-invalid"), ("broken", "sts-policy-invalid"),
                          ("huge", "sts-policy-fetch-error"),
                          ("endless", "sts-policy-fetch-error"), ("wrongname", "sts-webpki-invalid"),
                          ("unknown", "sts-webpki-invalid"), ("private", "sts-policy-fetch-error"),
                          ("twice", "sts-policy-invalid"), ("badrecord", "sts-policy-invalid")):
        mx = world.ask(f"{domain}.plain.example")[f"mx1.{domain}.plain.example"]
        assert level(mx) == ("opportunistic", "config"), domain
        assert mx["found"] == found, (domain, mx)
    asked = {name for name, _ in host.asked}
    assert not asked & {f"mta-sts.{d}.plain.example" for d in ("private", "twice", "badrecord")}

    # DANE first; for the host of which it says nothing the policy would be asked for.
    hosts = world.ask("danefirst.signed.example")
    assert level(hosts["mx1.danefirst.signed.example"]) == ("verify", "dane")
    assert hosts["mx2.danefirst.signed.example"]["found"] == "sts-webpki-invalid"
    world.relay.write_config(delivery=world.relay.settings["delivery"][:-1] + ", mta_sts: false}")
    assert level(world.ask("enforced.plain.example")["mx1.enforced.plain.example"]) == (
        "opportunistic", "config")


def test_refusals_hold_over_restarts(stage, world):
    """A daemon: hosts that a policy or a failed look-up forbids get no mail, and a policy stays when its
    host and the daemon were away."""
    a = f"A {world.block}.0.1"
    receiver = stage.receiver(addresses=[(f"{world.block}.0.1", 25)])
    world.add("plain.example", "forbidden MX 10 mx.forbidden", f"mx.forbidden {a}",
              '_mta-sts.forbidden TXT "v=STSv1; id=7"', f"mta-sts.forbidden A {world.block}.0.2",
              "free MX 10 mx.free", f"mx.free {a}")
    world.add("signed.example", "bogus MX 10 mx.bogus.example.")
    world.add("bogus.example", f"mx {a}", f"_25._tcp.mx {USABLE}")
    name = "mta-sts.forbidden.plain.example"
    host = stage.add(demands.PolicyHost(f"{world.block}.0.2", {name: world.authority.issue(name)}))
    host.policy("forbidden.plain.example", "enforce", "other.plain.example")
    relay = world.start(retry="{first: 1h}").relay
    relay.start()
    for domain in ("forbidden.plain.example", "bogus.signed.example", "free.plain.example"):
        relay.submit(f"user@{domain}")
    done = {event["recipient"].split("@")[1]: event
            for event in relay.wait_events(2, kind="deferred") + relay.wait_events(1, kind="delivered")}
    assert done["free.plain.example"]["kind"] == "delivered"
    for domain, rule, text in (
            ("forbidden.plain.example", "validation-failure", "is no mail host by the MTA-STS policy 7"),
            ("bogus.signed.example", "dnssec-invalid", "the TLSA look-up of _25._tcp.mx.bogus.example")):
        event = done[domain]
        assert (event["kind"], event["rule"], event["reply"]["enhanced"]) == ("deferred", rule, "4.7.5")
        assert text in event["reply"]["text"]
        explained = relay.cli("queue", "explain", "--domain", domain, "--json").stdout
        assert text in explained and '"refuse"' in explained
    metrics = relay.metrics()
    assert metrics['ringpost_delivery_tls_demands_total{source="mta-sts",level="refuse"}'] >= 1
    assert metrics['ringpost_delivery_tls_demands_total{source="dane",level="refuse"}'] >= 1
    assert metrics["ringpost_mta_sts_policies"] == 1 == metrics["ringpost_mta_sts_fetches_total"]
    relay.stop()
    host.stop()
    relay.start()
    relay.submit("again@forbidden.plain.example")
    event = relay.wait_events(1, kind="deferred", recipient="again@forbidden.plain.example")[0]
    assert event["rule"] == "validation-failure", event
    assert relay.metrics()["ringpost_mta_sts_fetches_total"] == 0
    assert [message.to() for message in receiver.messages] == [["user@free.plain.example"]]


def test_policies_are_refreshed_without_mail(stage, world):
    """RFC 8461 section 3.3: a policy of a few seconds is fetched again and again, and is in force long
    after the first would have expired."""
    name, domain = "mta-sts.kept.plain.example", "kept.plain.example"
    world.add("plain.example", "kept MX 10 mx.kept", f"mx.kept A {world.block}.0.1",
              '_mta-sts.kept TXT "v=STSv1; id=7"', f"mta-sts.kept A {world.block}.0.2")
    host = stage.add(demands.PolicyHost(f"{world.block}.0.2", {name: world.authority.issue(name)}))
    host.policy(domain, "enforce", "other.plain.example", max_age=8)
    relay = world.start(retry="{first: 1h}").relay
    relay.start()
    relay.submit(f"user@{domain}")
    relay.wait_events(1, kind="deferred", recipient=f"user@{domain}")
    parts.wait_for(lambda: len(host.asked) >= 4, "three more requests")
    metrics = relay.metrics()
    assert metrics["ringpost_mta_sts_refreshes_total"] >= 3
    assert metrics["ringpost_mta_sts_policies"] == 1
    relay.submit(f"again@{domain}")
    event = relay.wait_events(1, kind="deferred", recipient=f"again@{domain}")[0]
    assert event["rule"] == "validation-failure", event


def test_whom_to_believe_follows_a_reload(stage, world):
    a = f"A {world.block}.0.1"
    for domain in ("late", "later"):
        world.add("plain.example", f"{domain} MX 10 mx.{domain}", f"mx.{domain} {a}",
                  f'_mta-sts.{domain} TXT "v=STSv1; id=7"', f"mta-sts.{domain} A {world.block}.0.2")
    certificates = {f"mta-sts.{d}.plain.example": world.authority.issue(f"mta-sts.{d}.plain.example")
                    for d in ("late", "later")}
    host = stage.add(demands.PolicyHost(f"{world.block}.0.2", certificates))
    for domain in ("late", "later"):
        host.policy(f"{domain}.plain.example", "enforce", "other.plain.example")
    private = f'allow_private: ["{world.block}.0.0/16"]'
    relay = world.start(retry="{first: 1h}", delivery=f"{{{private}}}").relay
    relay.start()
    relay.submit("user@late.plain.example")
    event = relay.wait_events(1, kind="deferred", recipient="user@late.plain.example")[0]
    assert event["rule"] == "connect-failed", event  # no policy that is believed: nobody listens there
    relay.write_config(delivery=f"{{{private}, tls_ca: {world.authority.certificate}}}")
    relay.cli("reload")
    relay.submit("user@later.plain.example")
    event = relay.wait_events(1, kind="deferred", recipient="user@later.plain.example")[0]
    assert event["rule"] == "validation-failure", event


def context_of(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_demands_are_enforced(stage, world):
    """Receivers with what they publish and without it: who gets mail, and what is said of the others."""
    wanted = {}  # domain: result; where mail goes "success", "delivered" without TLS, None: no demand
    listeners = []

    def receiver(zone, name, result, *lines, certificate=None, plain=False):
        number = len(wanted) + 10
        address = f"{world.block}.0.{number}"
        certificate = certificate or world.authority.issue(f"mx-{name}.{zone}")
        tls = None if plain else context_of(*certificate)
        listeners.append(stage.receiver(addresses=[(address, 25)], tls=tls))
        world.add(zone, f"{name} MX 10 mx-{name}", f"mx-{name} A {address}",
                  *[f"_25._tcp.mx-{name} {line(certificate[0])}" for line in lines])
        wanted[f"{name}.{zone}"] = result
        return certificate

    signed, plain = "signed.example", "plain.example"
    stranger = demands.Authority(stage.directory, "stranger")
    other = stranger.issue("somebody.else.example")
    tlsa = demands.tlsa
    for usage, selector, matching in ((3, 1, 1), (3, 0, 1), (3, 1, 2), (3, 0, 0), (3, 1, 0)):
        receiver(signed, f"ee{selector}{matching}", "success",
                 lambda c, u=usage, s=selector, m=matching: tlsa(c, u, s, m),
                 certificate=stranger.issue("any.name.example"))
    ta = tlsa(stranger.certificate, 2, 0, 1)
    receiver(signed, "ta", "success", lambda c: ta,
             certificate=stranger.issue(f"mx-ta.{signed}"))
    receiver(signed, "tadomain", "success", lambda c: ta,
             certificate=stranger.issue(f"tadomain.{signed}"))
    receiver(signed, "taname", "certificate-host-mismatch", lambda c: ta,
             certificate=stranger.issue("another.example"))
    receiver(signed, "roll", "success", lambda c: tlsa(other[0]), tlsa)
    receiver(signed, "wrong", "no-match", lambda c: tlsa(other[0]))
    receiver(signed, "strip", "starttls-not-supported", tlsa, plain=True)
    receiver(signed, "unusable", "tlsa-invalid", lambda c: tlsa(c, 1), certificate=other)
    receiver(signed, "unusablestrip", "starttls-not-supported", lambda c: tlsa(c, 1), plain=True)
    receiver(signed, "nothing", None, plain=True)
    certificates = {}
    for name, result, options in (
            ("sts", "success", {}), ("stsstrip", "starttls-not-supported", {"plain": True}),
            ("stsname", "certificate-host-mismatch",
             {"certificate": world.authority.issue("another.example")}),
            ("stsstranger", "certificate-not-trusted",
             {"certificate": stranger.issue("mx-stsstranger.plain.example")}),
            ("ststest", "delivered", {"plain": True})):
        receiver(plain, name, result, **options)
        world.add(plain, f'_mta-sts.{name} TXT "v=STSv1; id=1"', f"mta-sts.{name} A {world.block}.0.2")
        certificates[f"mta-sts.{name}.{plain}"] = world.authority.issue(f"mta-sts.{name}.{plain}")
    host = stage.add(demands.PolicyHost(f"{world.block}.0.2", certificates))
    for name in ("sts", "stsstrip", "stsname", "stsstranger", "ststest"):
        host.policy(f"{name}.{plain}", "testing" if name == "ststest" else "enforce",
                    f"mx-{name}.{plain}")
    relay = world.start(retry="{first: 1h}").relay
    relay.start()
    for domain in wanted:
        relay.submit(f"user@{domain}")

    def all_have_ended():
        found = {e["recipient"].split("@")[1]: e for e in relay.events()
                 if e["kind"] in ("delivered", "deferred")}
        return found if set(found) == set(wanted) else None
    events = parts.wait_for(all_have_ended, "an outcome of every domain")
    failed = {}
    for domain, result in wanted.items():
        event, tls = events[domain], events[domain]["tls"]
        goes = result in ("success", "tlsa-invalid", "delivered", None)
        if event["kind"] != ("delivered" if goes else "deferred"):
            failed[domain] = (event["kind"], event["reply"], tls)
        elif result == "no-match":  # as it is with records of which none is of use
            assert (tls["policy"], tls["result"]) == ("verify", "tlsa-invalid"), tls
        elif result not in ("delivered", None) and tls["result"] != result:
            failed[domain] = tls
        elif result is not None and tls["source"] != ("dane" if domain.endswith(signed) else "mta-sts"):
            failed[domain] = tls
    assert not failed, failed
    taken = {address.split("@")[1] for r in listeners for address in r.taken()}
    assert taken == {d for d, r in wanted.items() if r in ("success", "tlsa-invalid", "delivered", None)}


PROMISE = receivers.EXTENSIONS + ("REQUIRETLS",)


def test_requiretls(stage, world):
    """RFC 8689 from an application's STARTTLS to the receivers: who gets it, who gets the bounce, what a
    restart keeps; and the header field that asks for the opposite."""
    taken = {}

    def receiver(zone, name, *lines, promise=True, plain=False, certificate=None, act=None):
        address = f"{world.block}.0.{len(taken) + 10}"
        host = f"mx-{name}.{zone}"
        certificate = certificate or world.authority.issue(host)
        taken[name] = stage.receiver(act, addresses=[(address, 25)],
                                     extensions=PROMISE if promise else receivers.EXTENSIONS,
                                     tls=None if plain else context_of(*certificate))
        world.add(zone, f"{name} MX 10 mx-{name}", f"mx-{name} A {address}",
                  *[f"_25._tcp.mx-{name} {line(certificate[0])}" for line in lines])

    signed, plain = "signed.example", "plain.example"
    stranger = demands.Authority(stage.directory, "stranger")
    busy = {"greylisted": True}
    receiver(signed, "dane", demands.tlsa, certificate=stranger.issue("any.name.example"))
    receiver(signed, "dnssec")  # no TLSA records: by an authority
    receiver(signed, "dnssecname", certificate=world.authority.issue("another.example"))
    receiver(signed, "silent", demands.tlsa, promise=False)
    receiver(signed, "plain", plain=True)
    receiver(signed, "later", demands.tlsa,
             act=lambda session, at, line: "450 4.2.0 later" if at == "mail" and busy["greylisted"]
             else None)
    receiver(signed, "broken", lambda c: f"TLSA 3 1 1 {SHA}")
    receiver(signed, "back", demands.tlsa, promise=False)
    receiver(plain, "unsigned")
    certificates = {}
    for name, mode in (("sts", "enforce"), ("ststest", "testing")):
        receiver(plain, name)
        certificates[f"mta-sts.{name}.{plain}"] = world.authority.issue(f"mta-sts.{name}.{plain}")
        world.add(plain, f'_mta-sts.{name} TXT "v=STSv1; id=1"', f"mta-sts.{name} A {world.block}.0.2")
    host = stage.add(demands.PolicyHost(f"{world.block}.0.2", certificates))
    host.policy(f"sts.{plain}", "enforce", f"mx-sts.{plain}")
    host.policy(f"ststest.{plain}", "testing", f"mx-ststest.{plain}")
    certificate, key = world.authority.issue("mta1.ringpost.example")
    port = parts.free_port()
    relay = world.start(
        retry="{first: 1h}", tls=f"{{certificate: {certificate}, key: {key}}}", engines="1",
        listeners=f'[{{address: "127.0.0.1:{port}", tls: starttls, trust: ["127.0.0.0/8"]}}]').relay
    relay.port = port
    relay.start()

    def submit(to, options=("REQUIRETLS",), header=""):
        with smtplib.SMTP("127.0.0.1", port, timeout=parts.PATIENCE) as smtp:
            smtp.ehlo("client.example")
            assert not smtp.has_extn("requiretls")
            smtp.starttls()
            smtp.ehlo("client.example")
            assert smtp.has_extn("requiretls")
            smtp.sendmail(f"app@back.{signed}", [to], f"From: <app@back.{signed}>\r\n{header}"
                          "Subject: secret\r\n\r\nthe text\r\n", mail_options=options)

    for domain, wanted in ((f"dane.{signed}", "verify"), (f"unsigned.{plain}", "refuse")):
        for option in ([], ["--requiretls"]):
            host, = json.loads(relay.cli("tls-policy", "--json", *option, domain).stdout)["hosts"]
            assert not option or level(host) == (wanted, "requiretls"), host
            assert option or host["source"] != "requiretls"
    good = [f"u@{name}.{signed}" for name in ("dane", "dnssec")]
    good += [f"u@{name}.{plain}" for name in ("sts", "ststest")]
    bad = {f"u@dnssecname.{signed}": "5.7.10", f"u@silent.{signed}": "5.7.30",
           f"u@plain.{signed}": "5.7.10", f"u@unsigned.{plain}": "5.7.10"}
    for to in [*good, *bad]:
        submit(to)
    for to in good:
        event = relay.wait_events(1, kind="delivered", recipient=to)[0]
        assert (event["tls"]["policy"], event["tls"]["source"]) == ("verify", "requiretls"), event
        message = taken[to[2:].split(".")[0]].messages[0]
        assert "REQUIRETLS" in message.sender_parameters
    for to, status in bad.items():
        event = relay.wait_events(1, kind="bounced", recipient=to)[0]
        assert event["reply"]["enhanced"] == status, event
        assert taken[to[2:].split(".")[0]].messages == []
    # Bounces go to a host that promises nothing, without the text of what they return.
    parts.wait_for(lambda: len(taken["back"].messages) == len(bad), "the bounces")
    for message in taken["back"].messages:
        assert message.sender == "" and "REQUIRETLS" not in message.sender_parameters
        assert b"Subject: secret" in message.content and b"the text" not in message.content

    # What waits knows after a restart, of records and of footers, what was asked.
    submit(f"u@later.{signed}")
    relay.wait_events(1, kind="deferred", recipient=f"u@later.{signed}")
    relay.kill()
    relay.start()
    relay.stop()
    relay.start()
    busy["greylisted"] = False
    relay.cli("queue", "retry", "--domain", f"later.{signed}")
    event = relay.wait_events(1, kind="delivered", recipient=f"u@later.{signed}")[0]
    assert event["tls"]["source"] == "requiretls"
    assert "REQUIRETLS" in taken["later"].messages[0].sender_parameters

    # "TLS-Required: No": what the receiver publishes does not stand in its way.
    submit(f"stuck@broken.{signed}", ())
    submit(f"report@broken.{signed}", (), "TLS-Required: No\r\n")
    relay.wait_events(1, kind="deferred", recipient=f"stuck@broken.{signed}")
    event = relay.wait_events(1, kind="delivered", recipient=f"report@broken.{signed}")[0]
    assert event["tls"]["policy"] == "opportunistic" and event["tls"]["version"]
    assert taken["broken"].taken() == [f"report@broken.{signed}"]
    assert b"TLS-Required: No" in taken["broken"].messages[0].content
    rows = json.loads(relay.cli("queue", "explain", "--domain", f"broken.{signed}", "--json").stdout)
    assert "any" in json.dumps(rows)


def test_posttls_finger_agrees(stage, world):
    """Postfix's client with the same resolver: whom it verifies by DANE, we do, and nobody else."""
    needs.root("a resolv.conf of one's own")
    finger = parts.need("posttls-finger")
    resolver = f"{world.block}.0.53"
    world.resolvers.append(f"{resolver}@53")
    resolv = stage.directory / "resolv.conf"
    resolv.write_text(f"nameserver {resolver}\noptions edns0 trust-ad timeout:2\n")
    stranger = demands.Authority(stage.directory, "stranger")
    other = stranger.issue("somebody.else.example")
    good = {"ee": True, "ta": True, "roll": True, "cname": True, "wrong": False, "taname": False}
    for number, name in enumerate(good):
        host = {"cname": "target"}.get(name, f"mx-{name}")
        certificate = stranger.issue("another.example" if name == "taname" else f"{host}.signed.example")
        records = {"ta": [demands.tlsa(stranger.certificate, 2, 0, 1)],
                   "taname": [demands.tlsa(stranger.certificate, 2, 0, 1)],
                   "roll": [demands.tlsa(other[0]), demands.tlsa(certificate[0])],
                   "wrong": [demands.tlsa(other[0])]}.get(name, [demands.tlsa(certificate[0])])
        address = f"{world.block}.1.{number + 1}"
        stage.receiver(addresses=[(address, 25)], tls=context_of(*certificate))
        world.add("signed.example", f"{name} MX 10 mx-{name}", f"{host} A {address}",
                  *[f"_25._tcp.{host} {record}" for record in records])
        if name == "cname":
            world.add("signed.example", "mx-cname CNAME target")
    relay = world.start(retry="{first: 1h}").relay
    relay.start()
    theirs = {}
    for name in good:
        relay.submit(f"user@{name}.signed.example")
        done = stage.run(["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"',
                          resolv, finger, "-c", "-l", "dane", "-t", "10", f"{name}.signed.example"],
                         check=False)
        theirs[name] = "Verified TLS connection established" in done.stdout + done.stderr
    parts.wait_for(lambda: len([e for e in relay.events() if e["kind"] in ("delivered", "deferred")])
                   >= len(good), "outcomes of all")
    events = {e["recipient"].split("@")[1].split(".")[0]: e["kind"] == "delivered"
              for e in relay.events() if e["kind"] in ("delivered", "deferred")}
    assert events == good
    assert theirs == good
