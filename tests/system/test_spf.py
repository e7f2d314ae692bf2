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
