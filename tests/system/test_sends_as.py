"""As whom a hosted user may send: the account, its aliases, and what an operator granted."""

import json
import smtplib

import parts
import pytest

ANNA, BOSS = "anna@b.example", "boss@b.example"


class Place:
    def __init__(self, stage):
        self.port = parts.free_port()
        self.relay = stage.ringpost(
            listeners=f'[{{address: "127.0.0.1:{self.port}", service: submission}}]',
            auth='{plaintext: ["127.0.0.0/8"]}')
        self.cli = self.relay.cli
        self.cli("tenant", "add", "shop")
        self.cli("domain", "add", "shop", "b.example", "--active", "--hosted")
        self.cli("domain", "add", "shop", "news.example", "--active")
        for user in (ANNA, BOSS):
            self.cli("account", "add", user)
        self.cli("alias", "add", "info@b.example", ANNA, BOSS)
        self.anna = self.secret("--account", ANNA)
        parts.wait_for(lambda: self.send(ANNA)[0] == 250, "the login")

    def secret(self, *options):
        made = json.loads(self.cli("credential", "add", "shop", "--scope", "submit", *options,
                                   "--json").stdout)
        return made["user"], made["secret"]

    def send(self, path, author=None, login=None):
        """The reply to the content, or the first that refused."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=parts.PATIENCE) as smtp:
            try:
                smtp.login(*(login or self.anna))
            except smtplib.SMTPAuthenticationError as error:
                return error.smtp_code, ""
            code, text = smtp.mail(path)
            if code == 250:
                smtp.rcpt("x@far.example")
                code, text = smtp.data(f"From: {author or path}\r\nSubject: x\r\n\r\nx\r\n")
            return code, text.decode()


@pytest.fixture
def place(stage):
    return Place(stage)


def test_a_user_sends_as_its_own_addresses(place):
    for address in ("Anna@B.example", "anna+shop@b.example", "info@b.example"):
        assert place.send(address)[0] == 250, address
    refused = (550, "5.7.1 This account may not send as that address")
    assert place.send(BOSS) == refused
    assert place.send(ANNA, author=f"Anna <{BOSS}>") == refused
    assert place.send("anna@news.example") == refused
    assert place.send("anna@elsewhere.example")[1] == "5.7.1 You may not send from this domain"
    told = parts.wait_for(lambda: len(found := [e for e in place.relay.events(kind="rejected")
                                                if e["rule"] != "login"]) == 4 and found, "events")
    assert sorted(e["rule"] for e in told) == ["from"] + 3 * ["reverse-path"]
    assert BOSS in [e["sender"] for e in told] and {e["tenant"] for e in told} == {"shop"}
    # What an application sends is its tenant's.
    application = place.secret()
    parts.wait_for(lambda: place.send(BOSS, login=application)[0] == 250, "the application's mail")


def test_what_an_operator_grants_is_live_within_a_second(place):
    def shown():
        return json.loads(place.cli("account", "show", ANNA, "--json").stdout)["sends_as"]

    assert shown() == []
    place.cli("account", "set", ANNA, "--sends-as", "Boss@b.example,@news.example")
    assert shown() == [BOSS, "@news.example"]
    parts.wait_for(lambda: place.send(BOSS)[0] == 250, "the grant")
    assert place.send(ANNA, author="boss+x@b.example")[0] == 250
    assert place.send("anybody@news.example")[0] == 250
    assert place.send("other@b.example")[0] == 550
    assert place.cli("account", "set", ANNA, "--sends-as", "*").returncode == 0
    parts.wait_for(lambda: place.send("other@b.example")[0] == 250, "all of it")
    assert place.send("anna@elsewhere.example")[0] == 550, "no more than its tenant"
    place.cli("account", "set", ANNA, "--sends-as", "none")
    parts.wait_for(lambda: place.send(BOSS)[0] == 550, "that it is taken back")
    assert shown() == []
    lines = [json.loads(line) for line in place.cli("directory", "audit", "--json").stdout.splitlines()]
    assert [line["detail"] for line in lines if line["what"] == "account set sends-as"] == [
        "none", "*", "boss@b.example,@news.example"]
    for bad in ("boss", "", "boss@b.example,", "@"):
        assert place.cli("account", "set", ANNA, "--sends-as", bad, check=False).returncode != 0
