"""iprev (RFC 8601 section 2.7.3): reverse and forward names of a client."""

import pytest

import checks

ZONE = checks.Zone({
    "1.2.0.192.in-addr.arpa": [{"PTR": "A.example"}],
    "a.example": [{"A": "192.0.2.1"}, {"A": "192.0.2.9"}, {"AAAA": "2001:db8::1"}],
    "2.2.0.192.in-addr.arpa": [{"PTR": "a.example"}, {"PTR": "b.example"}],
    "b.example": [{"A": "192.0.2.3"}, {"A": "192.0.2.2"}],
    "3.2.0.192.in-addr.arpa": [{"PTR": "a.example"}, {"PTR": "gone.example"}],
    "4.2.0.192.in-addr.arpa": ["TIMEOUT"],
    "5.2.0.192.in-addr.arpa": [{"PTR": "silent.example"}, {"PTR": "b.example"}],
    "silent.example": ["TIMEOUT"],
    "6.2.0.192.in-addr.arpa": [{"TXT": "x"}],
    "7.2.0.192.in-addr.arpa": [{"PTR": "silent.example"}, {"PTR": "g.example"}],
    "g.example": [{"A": "192.0.2.7"}],
    "8.2.0.192.in-addr.arpa": [{"PTR": ""}, {"PTR": "a b.example"}, {"PTR": "x(y).example"}],
    "9.2.0.192.in-addr.arpa": [{"PTR": f"n{number}.example"} for number in range(10)] + [
        {"PTR": "a.example"}],
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": [
        {"PTR": "a.example"}],
    "0.1.0.0.3.2.0.0.5.4.0.0.7.6.0.0.9.8.0.0.b.a.0.0.d.c.0.0.f.e.0.0.ip6.arpa": [
        {"PTR": "v4.example"}],
    "v4.example": [{"A": "192.0.2.1"}],
})


@pytest.fixture(scope="module")
def program():
    with checks.Checks() as running:
        yield running


@pytest.mark.parametrize("host, verdict, name, questions", [
    ("", "none", "", 0),
    ("192.0.2.1", "pass", "a.example", 2),
    ("::ffff:192.0.2.1", "pass", "a.example", 2),
    ("192.0.2.2", "pass", "b.example", 3),
    ("192.0.2.3", "fail", "a.example", 3),
    ("192.0.2.4", "temperror", "", 1),
    ("192.0.2.5", "temperror", "silent.example", 3),
    ("192.0.2.6", "permerror", "", 1),
    ("192.0.2.7", "pass", "g.example", 3),
    ("192.0.2.8", "permerror", "", 1),
    ("192.0.2.9", "fail", "n0.example", 11),  # the eleventh name would confirm it
    ("192.0.2.99", "permerror", "", 1),
    ("2001:db8::1", "pass", "a.example", 2),
    ("ef:cd:ab:89:67:45:2300:10".replace("2300", "23"), "fail", "v4.example", 2),
])
def test_iprev(program, host, verdict, name, questions):
    found = program.iprev(ZONE, host)
    assert (found["result"], found["name"]) == (verdict, name)
    assert len(found["asked"]) == questions
