"""Mail routed by a real DNS: thousands of domains, MX sets of every kind, and resolvers that fail."""

import collections
import email
import email.policy
import time

import names
import parts
import pytest

OURS = "mta1.ringpost.example"  # as parts.Ringpost calls it
SENDER = "app@sender.alpha.example"
ZONES = ("alpha", "beta", "gamma", "delta", "epsilon")


class World:
    """Zones, and what is to become of mail for each name: expected[domain] is the set of addresses
    of which one must get it, or the enhanced code of its bounce or deferral."""

    def __init__(self):
        self.block = names.loopback_block()
        self.zones = collections.defaultdict(list)
        self.expected = {}
        self.first_choice = {}  # of domains whose mail may go to one address only
        self.listening = set()

    def ip(self, number, listens=True):
        address = f"{self.block}.{number // 250}.{number % 250 + 1}"
        if listens:
            self.listening.add(address)
        return address

    def add(self, name, zone, records, expected):
        for record in records:
            left, right = record if isinstance(record, tuple) else (name, record)
            self.zones[zone].append(f"{left} {right}")
        self.expected[f"{name}.{zone}.example"] = expected

    def host(self, name, zone, *addresses):
        for address in addresses:
            self.zones[zone].append(f"{name} {'AAAA' if ':' in address else 'A'} {address}")
        return f"{name}.{zone}.example."

    def texts(self):
        return {f"{zone}.example": "\n".join(lines) for zone, lines in self.zones.items()}


def fill_the_ordinary(world):
    """600 domains in each of five zones; a third of them share one provider's MX set."""
    provider = [world.host(f"mx{i}", "alpha", world.ip(i)) for i in range(3)]
    for z, zone in enumerate(ZONES):
        for i in range(200):
            world.add(f"hosted{i}", zone,
                      [f"MX {10 * (k + 1)} {host}" for k, host in enumerate(provider)],
                      {world.ip(0)})
        for i in range(200):
            address = world.ip(10 + (z * 200 + i) % 100)
            world.add(f"single{i}", zone, [f"MX 10 mail.single{i}", (f"mail.single{i}",
                                                                     f"A {address}")], {address})
        for i in range(100):
            address = world.ip(120 + i % 20)
            world.add(f"implicit{i}", zone, [f"A {address}"], {address})
        equal = [world.ip(150 + k) for k in range(3)]
        for i in range(100):
            world.add(f"equal{i}", zone,
                      [f"MX 5 {c}.equal{i}" for c in "abc"]
                      + [(f"{c}.equal{i}", f"A {a}") for c, a in zip("abc", equal)], set(equal))


def fill_the_strange(world):
    up, other, dead = world.ip(200), world.ip(201), world.ip(202, listens=False)
    good = world.host("good", "alpha", up)
    second = world.host("second", "alpha", other)
    down = world.host("down", "alpha", dead)
    add = world.add
    add("fallback", "alpha", [f"MX 10 {down}", f"MX 20 {second}"], {other})
    add("twoaddresses", "alpha", ["MX 10 both.twoaddresses", ("both.twoaddresses", f"A {dead}"),
                                  ("both.twoaddresses", f"A {up}")], {up})
    add("prefers", "alpha", [f"MX 20 {second}", f"MX 10 {good}"], {up})
    for i in range(10):  # the same hosts in another order are another site
        add(f"prefers{i}", "alpha", [f"MX 20 {second}", f"MX 10 {good}"], {up})
        add(f"reversed{i}", "alpha", [f"MX 10 {second}", f"MX 20 {good}"], {other})
    add("late", "alpha", [f"MX {i + 1} none{i}.late" for i in range(24)] + [f"MX 30 {good}"], {up})
    add("nullmx", "alpha", ["MX 0 ."], "5.1.10")
    add("nullandmore", "alpha", ["MX 0 .", f"MX 10 {good}"], {up})
    add("cname", "alpha", ["MX 10 alias.cname", ("alias.cname", f"CNAME {good}")], {up})
    add("chain", "alpha", ["MX 10 c0.chain"] + [(f"c{i}.chain", f"CNAME c{i + 1}.chain")
                                                for i in range(6)]
        + [("c6.chain", f"CNAME {good}")], {up})
    add("cnameloop", "alpha", ["MX 10 l0.cnameloop", ("l0.cnameloop", "CNAME l1.cnameloop"),
                               ("l1.cnameloop", "CNAME l0.cnameloop")], "4.4.3")
    add("domainalias", "alpha", ["CNAME prefers"], {up})
    add("ipmx", "alpha", [f"MX 10 {up}."], "5.4.4")
    add("ipandhost", "alpha", [f"MX 5 {dead}.", f"MX 10 {good}"], {up})
    add("nohost", "alpha", ["MX 10 nowhere.alpha.example."], "5.4.4")
    add("noaddress", "alpha", ["MX 10 texts.noaddress", ("texts.noaddress", 'TXT "no address"')],
        "5.4.4")
    add("nothing", "alpha", ['TXT "neither MX nor address"'], "5.4.4")
    add("private", "alpha", ["MX 10 in.private", ("in.private", "A 10.1.2.3"),
                             ("in.private", "A 192.168.7.7")], "5.4.4")
    add("zero", "alpha", ["MX 10 in.zero", ("in.zero", "A 0.0.0.0")], "5.4.4")
    add("privateandmore", "alpha", ["MX 10 in.private", f"MX 20 {second}"], {other})
    add("huge", "alpha", [f"MX {100 + i} h{i}.huge" for i in range(120)] + [f"MX 1 {good}"]
        + [(f"h{i}.huge", f"A {dead}") for i in range(120)], {up})
    add("manyaddresses", "alpha", ["MX 10 m.manyaddresses"] +
        [("m.manyaddresses", f"A {world.ip(150 + i % 3)}") for i in range(3)],
        {world.ip(150 + i) for i in range(3)})
    add("six", "alpha", ["MX 10 v6.six", ("v6.six", "AAAA ::1")], {"::1"})
    add("us", "alpha", [f"MX 10 {OURS}."], "5.4.6")
    add("usfirst", "alpha", [f"MX 10 {OURS}.", f"MX 20 {second}"], "5.4.6")
    add("uslast", "alpha", [f"MX 10 {good}", f"MX 20 {OURS}.", f"MX 30 {second}"], {up})
    add("xn--bcher-kva", "alpha", [f"MX 10 {good}"], {up})
    add("sender", "alpha", [f"MX 10 {world.host('bounces', 'alpha', world.ip(210))}"], {world.ip(210)})
    world.expected["missing.alpha.example"] = "5.1.2"
    world.expected["deep.under.missing.alpha.example"] = "5.1.2"
    world.expected["any.dead.example"] = "4.4.3"    # a stub to a port where nobody answers
    world.expected["any.lame.example"] = "4.4.3"    # a server that knows nothing of the zone
    world.expected["any.silent.example"] = "4.4.3"  # one that takes the query and says nothing
    add("halfdead", "alpha", ["MX 10 mx.dead.example.", f"MX 20 {second}"], {other})


@pytest.fixture
def world():
    return World()


def start(stage, world, **settings):
    world.nsd = stage.nsd(world.texts())
    silent = stage.add(names.Liar())
    stubs = {origin: world.nsd.port for origin in world.texts()}
    stubs |= {"dead.example": 9, "lame.example": world.nsd.port, "silent.example": silent.port}
    world.unbound = stage.unbound(stubs)
    addresses = [(a, 25) for a in sorted(world.listening)]
    if {"::1"} in world.expected.values():
        addresses.append(("::1", 25))
    receiver = stage.receiver(addresses=addresses)
    dns = settings.pop("dns", "timeout: 1s, tries: 2")
    settings["dns"] = f'{{servers: ["127.0.0.1:{world.unbound.port}"], {dns}, failure_ttl: 1s}}'
    settings.setdefault("delivery", f'{{allow_private: ["{world.block}.0.0/16", "::1/128"]}}')
    return receiver, stage.ringpost(**settings)


def submit(relay, recipients, sender=SENDER):
    with relay.smtp() as smtp:
        smtp.ehlo()
        for i in range(0, len(recipients), 500):
            refused = smtp.sendmail(sender, recipients[i:i + 500],
                                    f"From: <{sender}>\r\nSubject: part {i}\r\n\r\nhello\r\n")
            assert not refused


def outcomes(relay, expected):
    """{domain: its first outcome's event} once every domain has one."""
    found = {}

    def complete():
        for event in relay.events():
            if event["kind"] in ("delivered", "bounced", "deferred", "expired"):
                found.setdefault(event["recipient"].split("@")[1], event)
        return set(expected) <= set(found)
    try:
        parts.wait_for(complete, "an outcome of every domain", pause=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}; none of {sorted(set(expected) - set(found))[:20]}\n"
                             f"{relay.tail()}") from None
    return found


def check_outcome(domain, event, expected, taken):
    reply = event["reply"]
    if isinstance(expected, set):
        assert event["kind"] == "delivered", (domain, event)
        assert event["egress"]["mx_ip"] in expected, (domain, event["egress"])
        assert taken[domain] == [event["egress"]["mx_ip"]], (domain, taken[domain])
        assert event["egress"]["mx_host"] and event["egress"]["site"], (domain, event)
        return
    kind = "bounced" if expected.startswith("5") else "deferred"
    assert (event["kind"], reply["enhanced"]) == (kind, expected), (domain, event)
    assert reply["from"] == "relay" and reply["text"] and event["rule"], (domain, event)
    assert domain not in taken, f"{domain} was delivered to {taken[domain]}"


def taken_by_domain(receiver):
    taken = collections.defaultdict(list)
    for message in receiver.messages:
        for address in message.to():
            if message.sender:
                taken[address.split("@")[1]].append(message.address)
    return taken


def test_thousands_of_domains(stage, world):
    fill_the_ordinary(world)
    # A machine at work elsewhere may keep unbound from answering for a while.
    receiver, relay = start(stage, world, dns="timeout: 10s, tries: 3")
    domains = sorted(world.expected)
    assert len(domains) == 3000
    submit(relay, [f"user@{domain}" for domain in domains])
    relay.wait_empty()
    found = outcomes(relay, domains)
    taken = taken_by_domain(receiver)
    for domain in domains:
        check_outcome(domain, found[domain], world.expected[domain], taken)
    assert not receiver.errors
    # Thousands of domains with one MX set are one site, and its limit holds for all of them.
    sites = {found[d]["egress"]["site"] for d in domains if d.startswith("hosted")}
    assert sites == {"(mx0>mx1>mx2).alpha.example"}
    assert 1 <= receiver.open_max_at[world.ip(0)] <= 20
    # Equals share: which is first is drawn for each domain.
    equal = collections.Counter(taken[d][0] for d in domains if d.startswith("equal"))
    assert len(equal) == 3 and min(equal.values()) > 100, equal
    # Some were asked of both families, and one answer was enough.
    parts.wait_for(lambda: relay.metrics()["ringpost_dns_in_flight"] == 0, "the last answers")
    metrics = relay.metrics()
    hits, queries = metrics["ringpost_dns_cache_hits_total"], metrics["ringpost_dns_queries_total"]
    # MX of each, A and AAAA of each host; each of two engines may have to ask by itself.
    assert 3000 <= queries <= 2 * (3000 + 2 * (3 + 1000 + 500 + 1500))
    assert metrics["ringpost_dns_cache_entries"] <= queries
    # Once more within the TTL: nothing is asked that an engine has asked before.
    submit(relay, [f"again@{domain}" for domain in domains if domain.startswith("hosted")])
    relay.wait_empty()
    after = relay.metrics()
    assert after["ringpost_dns_cache_hits_total"] > hits or \
        after["ringpost_dns_queries_total"] == queries
    assert after["ringpost_dns_queries_total"] <= queries + 2 * (1000 + 6)
    assert len(taken_by_domain(receiver)) == 3000


def test_every_kind_of_mx_set(stage, world):
    fill_the_strange(world)
    receiver, relay = start(stage, world, engines="1")
    domains = sorted(world.expected)
    for domain in domains:  # one message each: what one waits for must not hold up another
        submit(relay, [f"user@{domain}"])
    found = outcomes(relay, domains)
    taken = taken_by_domain(receiver)
    failures = []
    for domain in domains:
        try:
            check_outcome(domain, found[domain], world.expected[domain], taken)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)
    # An address literal, and a name in Unicode.
    literal = world.ip(200)
    relay.submit(f"user@[{literal}]")
    relay.submit("user@BÜCHER.alpha.example", mail_options=["SMTPUTF8"])
    relay.wait_events(1, recipient="user@BÜCHER.alpha.example", kind="delivered")
    relay.wait_events(1, recipient=f"user@[{literal}]", kind="delivered")
    explained = relay.cli("queue", "explain", "--domain", "any.dead.example").stdout
    assert "any.dead.example" in explained
    check_notifications(relay, receiver, world)


def check_notifications(relay, receiver, world):
    """Each bounce was told to the sender: RFC 3464, and the RFC's codes in it."""
    bounced = {d: code for d, code in world.expected.items()
               if isinstance(code, str) and code.startswith("5")}

    def told():
        return [m for m in receiver.messages if m.sender == ""] \
            if len([m for m in receiver.messages if m.sender == ""]) >= len(bounced) else None
    notifications = parts.wait_for(told, f"{len(bounced)} notifications")
    seen = {}
    for message in notifications:
        assert message.to() == [SENDER] and message.address == world.ip(210)
        report = email.message_from_bytes(message.content, policy=email.policy.default)
        assert report.get_content_type() == "multipart/report"
        assert report.get_param("report-type") == "delivery-status"
        assert SENDER in report["To"] and report["Auto-Submitted"] == "auto-replied"
        text, status, original = report.iter_parts()
        assert status.get_content_type() == "message/delivery-status"
        per_message, per_recipient = status.get_payload()
        assert per_message["Reporting-MTA"] == f"dns; {OURS}" and per_message["Arrival-Date"]
        assert per_recipient["Action"] == "failed"
        address = per_recipient["Final-Recipient"].split(";")[1].strip()
        domain = address.split("@")[1]
        seen[domain] = per_recipient["Status"]
        assert address in text.get_content()
        assert original.get_content_type() == "message/rfc822"
        assert original.get_content()["Subject"] == "part 0"
    assert seen == bounced


def test_stale_answers_while_the_resolver_is_away(stage, world):
    world.add("kept", "alpha", ["MX 10 mail.kept", ("mail.kept", f"A {world.ip(1)}")], {world.ip(1)})
    world.add("new", "alpha", ["MX 10 mail.kept"], {world.ip(1)})
    world.nsd = stage.nsd(world.texts(), ttl=1)
    unbound = stage.unbound({"alpha.example": world.nsd.port})
    receiver = stage.receiver(addresses=[(world.ip(1), 25)])
    relay = stage.ringpost(
        engines="1", dns=f'{{servers: ["127.0.0.1:{unbound.port}"], timeout: 500ms, tries: 1, '
                         'ttl_min: 1s, failure_ttl: 1s, stale: 1h}',
        delivery=f'{{allow_private: ["{world.block}.0.0/16"]}}')
    relay.submit("first@kept.alpha.example", sender="")
    relay.wait_events(1, recipient="first@kept.alpha.example", kind="delivered")
    unbound.stop()
    time.sleep(2.2)  # past the TTL
    relay.submit("stale@kept.alpha.example", sender="")
    relay.wait_events(1, recipient="stale@kept.alpha.example", kind="delivered")
    relay.submit("late@new.alpha.example", sender="")
    event = relay.wait_events(1, recipient="late@new.alpha.example", kind="deferred")[0]
    assert event["reply"]["enhanced"] == "4.4.3" and event["class"] == "dns"
    explained = relay.cli("queue", "explain", event["id"]).stdout
    assert "new.alpha.example" in explained and event["next_attempt_time"][:10] in explained
    metrics = relay.metrics()
    assert metrics["ringpost_dns_stale_answers_total"] >= 1
    assert metrics["ringpost_dns_failures_total"] >= 1
    stage.unbound({"alpha.example": world.nsd.port}, port=unbound.port)
    time.sleep(1.2)  # failure_ttl
    relay.cli("queue", "retry", "--domain", "new.alpha.example")
    relay.wait_events(1, recipient="late@new.alpha.example", kind="delivered")
    assert sorted(receiver.taken()) == ["first@kept.alpha.example", "late@new.alpha.example",
                                        "stale@kept.alpha.example"]


def test_lies_and_silence_cost_one_outcome_each(stage):
    """Answers that are no answers: loops of compression, other names, noise, cut off, none."""
    def answer(query):
        name_end = query.index(b"\0", 12) + 5
        question = query[12:name_end]
        label = question[1:1 + question[0]].decode()
        head = query[:2] + b"\x81\x80" + b"\0\1\0\1\0\0\0\0"
        return {
            "loop": head + question + b"\xc0" + bytes([len(head) + len(question)])
            + b"\0\x0f\0\1\0\0\0\x3c\0\4\0\x0a\xc0\x0c",
            "self": head + question + b"\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\4\0\x0a\xc0"
            + bytes([len(head) + len(question) + 14]),
            "other": head + question + b"\5other\0\0\x0f\0\1\0\0\0\x3c\0\4\0\x0a\xc0\x0c",
            "cut": head + question + b"\xc0\x0c\0\x0f\0\1\0\0",
            "long": head + question + b"\xc0\x0c\0\x0f\0\1\0\0\0\x3c\xff\xff\0\x0a\xc0\x0c",
            "noise": query[:2] + b"\x81\x80" + bytes(range(200)),
            "servfail": query[:2] + b"\x81\x82\0\1\0\0\0\0\0\0" + question,
            "refused": query[:2] + b"\x81\x85\0\1\0\0\0\0\0\0" + question,
            "wrongid": bytes([query[0] ^ 1]) + query[1:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + question,
            "silence": None,
        }[label]

    liar = stage.add(names.Liar(answer))
    relay = stage.ringpost(dns=f'{{servers: ["127.0.0.1:{liar.port}"], timeout: 400ms, tries: 2, '
                               'failure_ttl: 30s}', retry="{first: 1h}")
    labels = ["loop", "self", "other", "cut", "long", "noise", "servfail", "refused", "wrongid",
              "silence"]
    submit(relay, [f"user@{label}.example" for label in labels], sender="")
    found = outcomes(relay, [f"{label}.example" for label in labels])
    for domain, event in found.items():
        assert (event["kind"], event["reply"]["enhanced"]) == ("deferred", "4.4.3"), event
    assert liar.queries <= 100
    assert relay.status()["unheld"] == 0
