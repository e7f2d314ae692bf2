"""SPF against the suite of RFC 7208 and cases of our own, which say what it does not."""

import pathlib

import pytest

import checks

OURS = pathlib.Path(__file__).parent / "spf_cases.yml"


@pytest.fixture(scope="module")
def program():
    with checks.Checks() as running:
        yield running


def cases(path):
    for scenario in checks.documents(path):
        zone = checks.Zone(scenario["zonedata"])
        for name, case in scenario["tests"].items():
            yield name, zone, case


def wrong_of(program, zone, case):
    """What is not as the case says."""
    found = program.spf(zone, case["host"], case["helo"], case["mailfrom"],
                        case.get("identity", "mail"))
    wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
    if found["result"] not in wanted:
        yield f"{found['result']} ({found['reason']}), not {wanted}"
    explanation = case.get("explanation")
    if explanation is not None and found["result"] == "fail":
        explanation = "" if explanation == "DEFAULT" else explanation
        if found["explanation"] != explanation:
            yield f"explanation {found['explanation']!r}, not {explanation!r}"
    for key in ("domain", "mechanism", "record_domain", "terms", "voids", "questions", "reason"):
        if key in case and found[key] != case[key]:
            yield f"{key} {found[key]!r}, not {case[key]!r}"
    if "trace" in case and found["trace"].split("\n") != case["trace"]:
        yield f"told {found['trace']}"
    if "asked" in case and [" ".join(question) for question in found["asked"]] != case["asked"]:
        yield f"asked {found['asked']}"
    if found["result"] != "fail" and found["explanation"]:
        yield "an explanation without fail"


def failures(program, path):
    count = 0
    found = []
    for name, zone, case in cases(path):
        count += 1
        found += [f"{name}: {wrong}" for wrong in wrong_of(program, zone, case)]
    return count, found


def test_suite(program):
    count, found = failures(program, checks.SUITES / "spf" / "rfc7208-tests.yml")
    assert count == 203
    assert not found, "\n".join(found)


def test_ours(program):
    count, found = failures(program, OURS)
    assert count > 100
    assert not found, "\n".join(found)


def test_long_texts(program):
    zone = checks.Zone({"a.example": [{"TXT": "v=spf1 exists:%{l}.x.example -all exp=e.a.example"}],
                        "e.a.example": [{"TXT": "%{l}"}]})
    long = "a" * 70000
    found = program.spf(zone, "192.0.2.1", long + ".example", long + "@a.example")
    assert (found["result"], found["explanation"]) == ("fail", "a" * 1024)
    assert found["asked"][1] == ("A", "x.example")
    found = program.spf(zone, "192.0.2.1", long, "a@" + long)
    assert (found["result"], found["questions"]) == ("none", 0)


@pytest.mark.parametrize("macros, explanation", [(681, "q" * 10), (682, "")])
def test_explanation_of_many_macros(program, macros, explanation):
    zone = checks.Zone({"a.example": [{"TXT": "v=spf1 -all exp=e.a.example"}],
                        "e.a.example": [{"TXT": "%{l1-}" * macros + "q" * 10}]})
    found = program.spf(zone, "192.0.2.1", "h.example", "a-@a.example")
    assert (found["result"], found["explanation"]) == ("fail", explanation)


def test_records_as_large_as_dns_allows(program):
    """All macros, each of which reads a kilobyte: no name is made of that many."""
    zone = checks.Zone({f"r{number}.example": [{"TXT": (
        f"v=spf1 exists:{'%{l1-}' * macros}q.example include:r{number + 1}.example")}]
        for number, macros in enumerate((169, 170, *[9000] * 9))})
    found = program.spf(zone, "192.0.2.1", "h.example", "a-" * 500 + "@r0.example")
    assert (found["result"], found["terms"]) == ("permerror", 11)
    assert [name for kind, name in found["asked"] if kind == "A"] == ["q.example"]
