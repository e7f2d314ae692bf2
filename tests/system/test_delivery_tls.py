"""test_delivery_tls.py - TLS with other servers: whom it believes, what it does where there is none,
and what a real server and another client make of the same."""

import os
import re
import ssl

import certificates
import parts
import pytest
import receiver as receivers

HOST = "mx.receiver.example"


class World:
    """An authority, and a relay that believes it; each receiver is a domain of its own."""

    def __init__(self, stage):
        self.stage = stage
        self.directory = stage.directory / "authority"
        self.directory.mkdir()
        self.root = certificates.Issued(self.directory, "root")
        self.between = certificates.Issued(self.directory, "between", self.root)
        self.receivers = {}
        self.relay = None

    def leaf(self, name, issuer=None, hosts=(HOST,), days=90):
        return certificates.Issued(self.directory, name, issuer or self.root, hosts, days)

    def receive(self, domain, act=None, tls=None):
        self.receivers[domain] = self.stage.receiver(act, tls=tls)
        return self.receivers[domain]

    def start(self, tls="verify", more="", crls=b"", **settings):
        ca = self.directory / "ca.pem"
        ca.write_bytes(self.root.pem() + crls)
        routes = ", ".join(f'{{match: {domain}, to: ["127.0.0.1:{receiver.port}"]}}'
                           for domain, receiver in self.receivers.items())
        names = ", ".join(f"{{match: {domain}, tls: verify, names: [{HOST}]}}"
                          for domain in self.receivers) if tls == "verify" else ""
        self.relay = self.stage.ringpost(
            engines="1",  # each remembers for itself
            routes=f"[{routes}]",
            delivery=f'{{allow_private: ["127.0.0.0/8"], tls: {tls}, tls_ca: {ca}, '
                     f"destinations: [{names}]{more}}}", **settings)
        return self.relay

    def send(self, *domains):
        with self.relay.smtp() as smtp:
            for domain in domains:
                smtp.sendmail("a@send.example", [f"b@{domain}"], "Subject: x\r\n\r\ntext\r\n")

    def event(self, kind, domain):
        def found():
            events = self.relay.events(kind=kind)
            return [event for event in events if event["recipient"] == f"b@{domain}"]
        return parts.wait_for(found, f"{kind} of {domain}")[0]


@pytest.fixture
def world(stage):
    return World(stage)


def test_certificates_of_every_kind(world):
    """Right, for others, expired, self-signed, revoked, and below somebody who was revoked."""
    bad = certificates.Issued(world.directory, "bad", world.root)
    revoked = world.leaf("revoked")
    shown = {
        "right.example": (world.leaf("right", world.between).context(world.between), None),
        "wrong-name.example": (world.leaf("wrong", hosts=["mx.other.example"]).context(),
                               "certificate-host-mismatch"),
        "expired.example": (world.leaf("expired", days=-2).context(), "certificate-expired"),
        "self-signed.example": (
            certificates.Issued(world.directory, "self", None, [HOST]).context(),
            "certificate-not-trusted"),
        "revoked.example": (revoked.context(), "certificate-not-trusted"),
        "revoked-chain.example": (world.leaf("below-bad", bad).context(bad),
                                  "certificate-not-trusted"),
    }
    for domain, (context, _) in shown.items():
        world.receive(domain, tls=context)
    relay = world.start(crls=world.root.revoke([bad, revoked]))
    world.send(*shown)
    for domain, (_, result) in shown.items():
        tls = world.event("delivered" if result is None else "deferred", domain)
        assert tls["tls"]["policy"] == "verify" and tls["tls"]["source"] == "config", tls
        assert tls["tls"]["result"] == (result or "success"), tls
        if result is None:
            assert tls["tls"]["version"] == "TLSv1.3" and tls["tls"]["verified"], tls
            assert tls["attempt"]["times"]["tls_ms"] is not None
        else:
            assert tls["class"] == "tls" and tls["reply"]["enhanced"] == "4.7.5", tls
            assert tls["tls"]["version"] is None
        receiver = world.receivers[domain]
        assert not receiver.errors, receiver.errors
        assert len(receiver.messages) == (1 if result is None else 0), domain
    metrics = relay.metrics()
    assert metrics['ringpost_delivery_delivered_tls_total{version="1.3",verified="yes"}'] == 1
    assert metrics['ringpost_delivery_tls_failures_total{result="certificate-not-trusted"}'] == 3
    assert metrics['ringpost_delivery_tls_failures_total{result="certificate-expired"}'] == 1


def test_in_plain_on_the_same_host_where_nothing_is_demanded(world):
    """Dies in the handshake, answers garbage, speaks what is too old, offers nothing, refuses."""
    def garbage(session, stage, line):
        return b"220 go on\r\n\r\nwhat is that?\r\n" * 3 if stage == "starttls" else None

    def dies(session, stage, line):
        return receivers.CLOSE if stage == "starttls" else None

    def refuses(session, stage, line):
        return "454 4.7.0 not now" if stage == "starttls" else None

    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(*world.leaf("old").files())
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    good = world.leaf("good").context()
    world.receive("garbage.example", garbage, good)
    world.receive("dies.example", dies, good)
    world.receive("refuses.example", refuses, good)
    world.receive("old.example", tls=old)
    world.receive("none.example")
    relay = world.start("opportunistic")
    world.send(*world.receivers)
    for domain in world.receivers:
        event = world.event("delivered", domain)
        assert event["tls"]["version"] is None and event["tls"]["verified"] is None, event
        expected = {"none.example": "starttls-not-supported",
                    "refuses.example": "starttls-not-supported"}.get(domain, "validation-failure")
        assert event["tls"]["result"] == expected, event
        sessions = len(world.receivers[domain].sessions)
        assert sessions == (1 if expected == "starttls-not-supported" else 2), (domain, sessions)
    assert not relay.events(kind="deferred")
    # And it is remembered.
    parts.wait_for(lambda: all(r.open == 0 for r in world.receivers.values()), "idle connections")
    before = len(world.receivers["dies.example"].sessions)
    world.send("dies.example")
    parts.wait_for(lambda: len(world.receivers["dies.example"].messages) == 2, "the second")
    last = world.receivers["dies.example"].sessions[before:]
    assert len(last) == 1 and not last[0].said("STARTTLS")
    assert relay.metrics()["ringpost_delivery_tls_fallbacks_total"] == 3


def test_somebody_in_between_takes_starttls_away(world):
    world.receive("bank.example")  # offers none, as what he lets through
    relay = world.start("require")
    world.send("bank.example")
    event = world.event("deferred", "bank.example")
    assert event["reply"]["enhanced"] == "4.7.4" and event["rule"] == "starttls-not-supported"
    assert "offers no STARTTLS" in event["reply"]["text"], event
    assert "require by config" in event["reply"]["text"], event
    assert not world.receivers["bank.example"].messages
    assert not world.receivers["bank.example"].sessions[0].said("MAIL")
    explained = relay.cli("queue", "explain", "--domain", "bank.example", "--json").stdout
    assert '"level":"require"' in re.sub(r'": "', '":"', explained), explained


def test_sessions_are_resumed_until_a_reload(world):
    receiver = world.receive("often.example", tls=world.leaf("often").context())
    relay = world.start(more=", sites: [{match: '*', messages_per_connection: 1, connections: 1}]")
    for _ in range(5):
        world.send("often.example")
    parts.wait_for(lambda: len(receiver.messages) == 5, "all of them")
    relay.wait_empty()
    reused = [session.tls.session_reused for session in receiver.sessions]
    assert reused == [False, True, True, True, True], reused
    assert relay.metrics()["ringpost_delivery_tls_resumed_total"] == 4
    assert all(event["tls"]["verified"] for event in relay.events(kind="delivered"))
    relay.cli("reload")
    world.send("often.example")
    parts.wait_for(lambda: len(receiver.messages) == 6, "one more")
    assert receiver.sessions[-1].tls.session_reused is False


def test_certificate_of_ours_is_shown_to_who_asks(world):
    asks = world.leaf("asks").context()
    asks.verify_mode = ssl.CERT_REQUIRED
    asks.load_verify_locations(world.root.path)
    receiver = world.receive("asks.example", tls=asks)
    chain, key = world.leaf("ours", hosts=["mta1.ringpost.example"]).files()
    world.start(more=f", tls_certificate: {chain}, tls_key: {key}")
    world.send("asks.example")
    world.event("delivered", "asks.example")
    assert receiver.sessions[-1].tls.getpeercert()["subjectAltName"] == (
        ("DNS", "mta1.ringpost.example"),)


def test_check_names_what_cannot_be_used(stage):
    def says(delivery):
        relay = stage.unstarted_ringpost(delivery=delivery)
        done = relay.cli("check", check=False)
        return done.stdout + done.stderr

    assert re.search(r"ringpost.yaml:\d+: delivery.tls_ca: /nowhere/ca.pem: No such file",
                     says("{tls_ca: /nowhere/ca.pem}"))
    assert "no tls_key" in says("{tls_certificate: /nowhere/a.crt}")
    assert "expected tls verify" in says(
        "{destinations: [{match: a.example, tls: require, names: [b.example]}]}")
    assert "delivery.tls is for" in says('{destinations: [{match: "*", tls: require}]}')
    assert "expected none, opportunistic, require or verify" in says("{tls: strict}")
    assert "names[0]" in says(
        "{destinations: [{match: a.example, tls: verify, names: ['not a name']}]}")


def test_postfix_receives_under_tls_and_its_finger_agrees(world):
    """The same certificates at Postfix; what posttls-finger says beside what we do."""
    good, wrong = world.leaf("pf-good"), world.leaf("pf-wrong", hosts=["mx.other.example"])
    services = {}
    for name, leaf in (("good", good), ("wrong", wrong)):
        chain, key = leaf.files()
        services[name] = {"smtpd_tls_security_level": "may", "smtpd_tls_cert_file": chain,
                          "smtpd_tls_key_file": key, "smtpd_tls_loglevel": "1"}
    os.chmod(world.stage.directory, 0o755)
    postfix = world.stage.postfix(services)
    ca = world.directory / "ca.pem"
    ca.write_bytes(world.root.pem())

    def finger(name):
        done = parts.run(["posttls-finger", "-c", "-l", "secure", "-F", ca,
                          f"[127.0.0.1]:{postfix.ports[name]}", HOST], check=False)
        return done.stdout + done.stderr

    class Port:
        def __init__(self, port):
            self.port = port

    world.receivers = {f"{name}.example": Port(postfix.ports[name]) for name in services}
    world.start()
    world.send("good.example", "wrong.example")
    tls = world.event("delivered", "good.example")["tls"]
    assert tls["verified"] and tls["version"] == "TLSv1.3", tls
    assert "Verified TLS connection established" in finger("good"), finger("good")
    tls = world.event("deferred", "wrong.example")["tls"]
    assert tls["result"] == "certificate-host-mismatch", tls
    assert "Verified TLS connection established" not in finger("wrong"), finger("wrong")
    assert [to for to, _ in postfix.delivered()] == ["b@good.example"]
