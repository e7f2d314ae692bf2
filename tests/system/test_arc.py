"""ARC against the ValiMail suite, and chains that we seal, break and verify."""

import re

import dkim
import pytest

import checks

SUITE = checks.SUITES / "arc"
NOW = 1700000000
KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIPGvWlZC5PP1+fJO+B6Qp2rvDvb7t4iilX2V3hSioC1b
-----END PRIVATE KEY-----
"""
RECORD = "v=DKIM1; k=ed25519; p=nqtc8lYvDGz9E0OaNB5/crWQiUBFPEXm1MYHnwa4yI0="
ZONE = checks.Zone({f"{selector}._domainkey.{domain}": [{"TXT": RECORD}]
                    for selector in ("s1", "s2") for domain in ("a.example", "b.example")}
                   | {"silent._domainkey.a.example": ["TIMEOUT"],
                      "short._domainkey.a.example": [{"TXT": "v=DKIM1; p="}]})
MESSAGE = b"".join(line + b"\r\n" for line in (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=x.example; s=x; h=from; bh=; b=",
    b"From: Author <author@x.example>",
    b"To: list@a.example",
    b"Subject: A subject",
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000",
    b"Message-ID: <1@x.example>",
    b"",
    b"A body.",
    b""))


@pytest.fixture(scope="module")
def program():
    with checks.Checks() as running:
        yield running


def suite(name, count):
    found = 0
    for scenario in checks.documents(SUITE / name):
        zone = checks.Zone({name: [{"TXT": text}] for name, text in
                            (scenario["txt-records"] or {}).items()})
        for case, test in scenario["tests"].items():
            found += 1
            yield case, scenario, zone, test
    assert found == count


def wire(text):
    return checks.octets(text).replace(b"\n", b"\r\n")


def test_validation(program):
    wrong = []
    for name, _, zone, test in suite("validation.yml", 76):
        wanted = test["cv"].strip().lower() or "fail"
        found = program.arc(zone, wire(test["message"]), NOW)
        if found["result"] != wanted:
            wrong.append(f"{name}: {found}, not {wanted}")
    assert not wrong, "\n".join(wrong)


def fields(message):
    """(name, value) of each field of a header."""
    head = message.split(b"\r\n\r\n")[0] + b"\r\n"
    return re.findall(rb"^([!-9;-~]+)[ \t]*:((?:.*\r\n)(?:[ \t].*\r\n)*)", head, re.MULTILINE)


def results_of(message, authserv_id):
    """What Authentication-Results of that id say, joined; and what they say of ARC."""
    found = [value.strip() for name, value in fields(message)
             if name.lower() == b"authentication-results"]
    payloads = [value.partition(b";")[2].strip() for value in found
                if value.partition(b";")[0].strip() == authserv_id]
    status = re.search(rb"arc=(\w+)", payloads[0]) if payloads else None
    joined = b";\r\n  ".join([authserv_id, *(payload.rstrip(b"; ") for payload in payloads)])
    return joined, status[1].decode() if status else "none"


def bare(text):
    return re.sub(rb"\s", b"", text)


def tags(value):
    return {bare(tag) for tag in value.split(b";") if bare(tag)}


def test_signing(program):
    wrong = []
    for name, scenario, _, test in suite("signing.yml", 17):
        message = wire(test["message"])
        results, status = results_of(message, test["srv-id"].encode())
        word, out, reason = program.seal(
            message, scenario["domain"], scenario["sel"], scenario["privatekey"], results, status,
            test["sig-headers"], test["t"], is_flat=True)
        made = dict(fields(out))
        if not test["AS"].strip():
            if (word, out) != ("ended", b""):
                wrong.append(f"{name}: {word} {out}")
            continue
        if word != "sealed":
            wrong.append(f"{name}: {word}: {reason}")
            continue
        if bare(made[b"ARC-Authentication-Results"]) != bare(wire(test["AAR"])):
            wrong.append(f"{name}: {made}")
        for field, wanted in (("ARC-Message-Signature", "AMS"), ("ARC-Seal", "AS")):
            if tags(made[field.encode()]) != tags(wire(test[wanted])):
                wrong.append(f"{name}: {wanted}: {made[field.encode()]}")
    assert not wrong, "\n".join(wrong)


def sealed(program, message, status="none", domain="a.example", selector="s1", names="",
           results=b"mx.a.example; spf=pass", is_flat=False):
    """With one set more."""
    word, out, reason = program.seal(message, domain, selector, KEY, results, status, names, NOW,
                                     is_flat)
    assert word == "sealed", reason
    return out + message


def chain(program, count):
    message = MESSAGE
    for number in range(count):
        message = sealed(program, message, "pass" if number else "none")
    return message


def expect(program, message, result, **details):
    found = program.arc(ZONE, message, NOW)
    assert found["result"] == result, found
    for key, value in details.items():
        assert found[key] == value, found
    return found


def test_none(program):
    expect(program, MESSAGE, "none", count=0, chain="", asked=[])
    expect(program, b"", "none")
    expect(program, b"\r\nARC-Seal: i=1\r\n", "none")


def test_one_set(program):
    message = sealed(program, MESSAGE)
    expect(program, message, "pass", count=1, oldest_pass=0, is_temporary=False,
           chain="as[1].d=a.example as[1].s=s1", results=b"mx.a.example; spf=pass",
           asked=[("TXT", "s1._domainkey.a.example")] * 2)
    assert max(map(len, message.split(b"\r\n"))) <= 78
    for kind in (b"Seal", b"Message-Signature", b"Authentication-Results"):
        assert message.count(b"ARC-" + kind + b":") == 1
    # DKIM signatures and what readers go by are covered, and nothing may be added to that.
    for change in ((b"d=x.example", b"d=y.example"), (b"Subject: A", b"Subject: B"),
                   (b"From:", b"From: z@z.example\r\nFrom:"), (b"A body.", b"A lie."),
                   (b"spf=pass", b"spf=fail"), (b"cv=none", b"cv=none; x=1"),
                   (b"bh=", b"y=1; bh=")):
        assert change[0] in message
        expect(program, message.replace(*change, 1), "fail", chain="as[1].d=a.example as[1].s=s1")
    expect(program, b"X-New: field\r\n" + message, "pass")
    expect(program, message.replace(b"A body.\r\n", b"A body. \r\n\r\n"), "pass")
    expect(program, message.replace(b"ARC-Seal:", b"arc-sEAL :"), "pass")


def test_several_sets(program):
    message = sealed(program, MESSAGE)
    message = sealed(program, message, "pass", "b.example", "s2")
    two = "as[2].d=b.example as[2].s=s2 as[1].d=a.example as[1].s=s1"
    expect(program, message, "pass", count=2, oldest_pass=0, chain=two, asked=[
        ("TXT", "s2._domainkey.b.example")] * 2 + [("TXT", "s1._domainkey.a.example")] * 2)
    changed = sealed(program, MESSAGE).replace(b"A subject", b"[list] A subject")
    changed = sealed(program, changed, "pass", "b.example")
    expect(program, changed, "pass", oldest_pass=2)
    changed = sealed(program, changed, "pass")
    expect(program, changed, "pass", oldest_pass=2, count=3)
    expect(program, changed.replace(b"[list]", b"[else]"), "fail")
    # The first set's results are sealed by the second as well.
    expect(program, message.replace(b"i=1; mx", b"i=1; my"), "fail",
           reason="seal of set 2: the signature does not match the header")


def sets(message):
    """(instance, field) of the ARC fields; the rest."""
    split = re.findall(rb"(?:ARC-[A-Za-z-]+:.*\r\n(?:[ \t].*\r\n)*)", message)
    rest = message[len(b"".join(split)):]
    return [(int(re.search(rb"\bi=(\d+)", field)[1]), field) for field in split], rest


def test_structure(program):
    found, rest = sets(chain(program, 3))
    everything = [field for _, field in found]
    assert len(found) == 9
    expect(program, b"".join(reversed(everything)) + rest, "pass", count=3)
    for number in range(9):
        without = everything[:number] + everything[number + 1:]
        expect(program, b"".join(without) + rest, "fail", asked=[])
        expect(program, b"".join([everything[number], *everything]) + rest, "fail", asked=[])
    for gone in (1, 2):
        expect(program, b"".join(field for instance, field in found if instance != gone) + rest,
               "fail", asked=[], reason=f"set {gone}: authentication results are missing")
    expect(program, b"".join(field for instance, field in found if instance < 3) + rest, "pass")
    for instance in (b"0", b"51", b"100", b"003", b"03x", b"", b"-3",
                     b"3; i=3"):
        expect(program, b"".join(re.sub(rb"\bi=3", b"i=" + instance, field)
                                 for field in everything) + rest, "fail", asked=[])
    expect(program, b"ARC-Seal: x\r\n" + MESSAGE, "fail", chain="", count=0)
    for wrong in (b"(i=1) x; a", b"i=1 a", b"I=1; a", b"i 1; a", b"(i=1", b"i", b""):
        expect(program, b"ARC-Authentication-Results: " + wrong + b"\r\n" + MESSAGE, "fail",
               reason="authentication results of ARC have no instance")


def test_comments_before_instance(program):
    message = sealed(program, MESSAGE)
    # Not what was signed, so the seal fails, but it is read: no complaint about the structure.
    for instance in (b" (c\\)) i (x(y)) = 1 ()\r\n\t; ", b"i=01; "):
        changed = message.replace(b"Results: i=1; ", b"Results:" + instance)
        expect(program, changed, "fail", reason="seal of set 1: the signature does not match the header")


def test_fifty_sets(program):
    message = chain(program, 50)
    expect(program, message, "pass", count=50, oldest_pass=0)
    assert program.seal(message, "a.example", "s1", KEY, b"x; none", "pass", "", NOW)[0] == "ended"


def test_failed_chain_is_marked_and_ends(program):
    broken = sealed(program, MESSAGE).replace(b"A body", b"Some body")
    expect(program, broken, "fail", reason="signature of set 1: the body was changed")
    marked = sealed(program, broken, "fail", "b.example")
    expect(program, marked, "fail", asked=[], count=2,
           reason="set 2: the seal says that the chain had failed")
    assert program.seal(marked, "a.example", "s1", KEY, b"x; none", "fail", "", NOW)[:2] == (
        "ended", b"")
    # A first set cannot say so either, nor can a later one say that there was none.
    for before, after in ((b"cv=none", b"cv=fail"), (b"cv=none", b"cv=pass"),
                          (b"cv=none", b"cv=None"), (b"cv=none", b"cw=none")):
        expect(program, sealed(program, MESSAGE).replace(before, after), "fail", asked=[])
    expect(program, chain(program, 2).replace(b"cv=pass", b"cv=none"), "fail", asked=[])


def test_fields_that_must_not_be(program):
    message = sealed(program, MESSAGE)
    expect(program, message.replace(b"cv=none;", b"cv=none; h=from;"), "fail", asked=[],
           reason="seal of set 1: a seal must not have h=")
    for name in (b"arc-seal", b"From:ARC-Seal", b"to : Arc-sEAL "):
        expect(program, message.replace(b"h=From:", b"h=" + name + b":"), "fail", asked=[],
               reason="signature of set 1: h= names ARC-Seal")
    for name in ("ARC-Seal", "arc-message-signature", "ARC-Authentication-Results",
                 "to: authentication-results"):
        assert program.seal(MESSAGE, "a.example", "s1", KEY, b"x; none", "none", f"from:{name}",
                            NOW) == ("refused", b"", "a field is named that must not be signed")


def test_keys(program):
    expect(program, sealed(program, MESSAGE, selector="silent"), "fail", is_temporary=True,
           reason="signature of set 1: its key cannot be had for now")
    expect(program, sealed(program, MESSAGE, selector="gone"), "fail", is_temporary=False)
    expect(program, sealed(program, MESSAGE, selector="short"), "fail", is_temporary=False)
    # The second seal's key fails behind a newest signature that holds.
    message = sealed(program, MESSAGE, selector="silent")
    expect(program, sealed(program, message, "pass"), "fail", is_temporary=True,
           reason="seal of set 1: its key cannot be had for now")


class OnceZone(checks.Zone):
    """The key of the first set is there once."""

    def answer(self, kind, name):
        line = super().answer(kind, name)
        if name.startswith(b"s1."):
            self.names.pop(name, None)
        return line


def test_an_older_signature_without_a_key(program):
    # The seal's key was there, and only the signature's own is not: no harm but to oldest-pass.
    message = sealed(program, sealed(program, MESSAGE), "pass", "b.example", "s2")
    zone = OnceZone({})
    zone.names = dict(ZONE.names)
    found = program.arc(zone, message, NOW)
    assert (found["result"], found["oldest_pass"], len(found["asked"])) == ("pass", 2, 4)


def test_a_header_beyond_bounds(program):
    added = sealed(program, MESSAGE)[:-len(MESSAGE)]
    large = added + b"X-Many: field\r\n" * 2000 + MESSAGE
    expect(program, large, "fail", asked=[], reason="the header is larger than is looked at")
    large = MESSAGE.replace(b"\r\n\r\n", b"\r\nX-Many: " + b"x" * 300000 + b"\r\n\r\n")
    expect(program, large, "none")
    assert program.seal(large, "a.example", "s1", KEY, b"x; none", "none", "", NOW) == (
        "refused", b"", "the header is too large")


def test_refusals(program):
    for change, reason in (
            ({"domain": "a b"}, "the domain is not one"),
            ({"selector": ""}, "the selector is not one"),
            ({"results": b"x; none\nX: y"}, "the results are not the value of a field"),
            ({"results": b"x; none\r\nX: y"}, "the results are not the value of a field"),
            ({"results": b""}, "the results are not the value of a field"),
            ({"status": "pass"}, "the chain is not as it was judged"),
            ({"message": b"To: x\r\n\r\n"}, "there is no From field")):
        ask = {"message": MESSAGE, "domain": "a.example", "selector": "s1", "key": KEY,
               "results": b"x; none", "status": "none", "names": "", "time": NOW} | change
        assert program.seal(*ask.values()) == ("refused", b"", reason)
    message = sealed(program, MESSAGE)
    assert program.seal(message, "a.example", "s1", KEY, b"x; none", "none", "", NOW)[0] == "refused"
    torn = message.replace(b"ARC-Seal", b"X-Seal")
    assert program.seal(torn, "a.example", "s1", KEY, b"x; none", "pass", "", NOW)[2] == (
        "the chain cannot have passed")
    expect(program, sealed(program, torn, "fail"), "fail")


RSA = """-----BEGIN PRIVATE KEY-----
MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBAN+q1jY7AKpKyDHq
WqCkmUa+2e5ow4rMaNSR40u1wuncY18R6/VJ+c5tg7uqc20cig/1EHTlQ6Y9Q+eD
M1BsFBZhA08QrGXhhqB9Rq0udtdL/ln/zq780U+gQGl4RyRMrP1aPL1Nis3+/509
4MdMQCb9v2YHkoExTN4Jg4Btd2aDAgMBAAECgYEApFlHpfmc94STrfniNgA8kHtU
b5aTeL3Smb/JIKyiWG0Up5rnowmEgWZ/Ubphrl82I5uTSBHer5x89PS3E/UWnCts
InG7lL7Q9IFpP/USXPkWfKLnLdvP2T8aKflGxtyRlH8xTiCpm5BzK7NycYqxtjBm
fpeefwR/9V/DKGnZrKECQQDvfs0OzIAYEvZF0KOXFND5RhQ6DSTlAJEg2tT341Ty
9lMgUWKPNQtXKYCIa7rJM0L8Wi2FLIBYt7Czc2/CHzsFAkEA7xTMBKZCJV42gWMw
qaL0a+u5CdhUo9+v7+4iGlwyVsFl0KxR/lIJta+k9L/Z5aKg7UabCVtQjLeoX1o2
aG+h5wJASN8XO8qDq0+Rubp7HExMLZziKKu5LyjV/9418NsuDONgdbPtvk9QjQvm
vRuycOf1GN3DfgMFZnk1/dRBDBr+lQJBAM/1uRj6PWMfti2JyBRmiFEvc37ay5TX
x8Pd0ZA4ThkklJmUqqWbWpLNO6EhGDok4fJCjizvXvtn7W8zm0vwflUCQQDX1KgH
taRd6khvaMxLs3God63OGFssqVBsd77Kq9x7vRz6tCL33nA8IhBWZx0ZQlkPGn3/
DpYQonJQKrbWRO6c
-----END PRIVATE KEY-----
"""
RSA_RECORD = "v=DKIM1; k=rsa; p=" + "".join((
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDfqtY2OwCqSsgx6lqgpJlGvtnuaMOKzGjUkeNLtcLp",
    "3GNfEev1SfnObYO7qnNtHIoP9RB05UOmPUPngzNQbBQWYQNPEKxl4YagfUatLnbXS/5Z/86u/NFPoEBp",
    "eEckTKz9Wjy9TYrN/v+dPeDHTEAm/b9mB5KBMUzeCYOAbXdmgwIDAQAB"))


def test_dkimpy(program):
    """Each verifies what the other sealed, in turn."""
    zone = checks.Zone({"s._domainkey.a.example": [{"TXT": RSA_RECORD}]})
    # Its own signature is none, which the other would stumble over.
    message = MESSAGE.partition(b"\r\n")[2]
    for number in range(1, 6):
        status = "pass" if number > 1 else "none"
        if number % 2:
            word, out, reason = program.seal(message, "a.example", "s", RSA,
                                             b"mx.a.example;\r\n\tarc=" + status.encode(), status,
                                             "", NOW)
            assert word == "sealed", reason
        else:
            results = b"Authentication-Results: mx.a.example; arc=pass\r\n"
            out = b"".join(dkim.arc_sign(results + message, b"s", b"a.example", RSA.encode(),
                                         b"mx.a.example", timestamp=NOW))
        message = out + message
        theirs, _, reason = dkim.arc_verify(message, dnsfunc=lambda *_, **__: RSA_RECORD.encode())
        assert theirs == b"pass", reason
        found = program.arc(zone, message, NOW)
        assert (found["result"], found["count"], found["oldest_pass"]) == ("pass", number, 0)
    message = message.replace(b"A body", b"B body")
    assert dkim.arc_verify(message, dnsfunc=lambda *_, **__: RSA_RECORD.encode())[0] == b"fail"
    assert program.arc(zone, message, NOW)["result"] == "fail"
