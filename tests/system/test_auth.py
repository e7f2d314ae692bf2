"""Logins: who may, by which clients, and what becomes of those who may not."""

import base64
import json
import smtplib
import subprocess
import time

import pytest

import parts
import test_imap as imap_bytes
from rawsmtp import Raw

TO = "to@example.com"


@pytest.fixture
def relay(stage):
    """A relay that trusts nobody, and lets log in without TLS from here."""
    receiver = stage.receiver()
    port, = parts.free_ports(1)
    found = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{receiver.port}"]}}]',
        listeners=f'[{{address: "127.0.0.1:{port}", service: submission}}]',
        auth='{plaintext: ["127.0.0.0/8"], failures_per_session: 2, failures_per_network: 8}')
    found.port = port
    found.receiver = receiver
    found.cli("tenant", "add", "shop")
    found.cli("domain", "add", "shop", "shop.example", "--active")
    return found


def credential(relay, *options, tenant="shop"):
    """The id and the secret, once the relay knows them."""
    made = json.loads(relay.cli("credential", "add", tenant, *options, "--json").stdout)
    parts.wait_for(lambda: login(relay, made["id"], made["secret"], count=False)[0] == 235
                   if not options else True, "the credential")
    return made["id"], made["secret"]


def plain(user, secret):
    return base64.b64encode(f"\0{user}\0{secret}".encode()).decode()


def login(relay, user, secret, count=True):
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=parts.PATIENCE) as smtp:
        smtp.ehlo("client.example")
        return smtp.docmd("AUTH", f"PLAIN {plain(user, secret)}")


def one_message(relay):
    relay.wait_empty()
    parts.wait_for(lambda: relay.receiver.messages, "a message")
    return relay.receiver.messages.pop()


def test_clients_log_in(stage, relay):
    """swaks, msmtp, curl, smtplib, each with the mechanisms it knows."""
    name, secret = credential(relay)
    server = f"127.0.0.1:{relay.port}"
    for mechanism in "PLAIN", "LOGIN":
        stage.run(["swaks", "--server", server, "--from", "a@shop.example", "--to", TO,
                   "--auth", mechanism, "--auth-user", "apikey", "--auth-password", secret])
        received = one_message(relay).content.split(b"\r\n\r\n")[0]
        assert b" with ESMTPA " in received.replace(b"\r\n", b" "), received
    for mechanism in "plain", "login", "scram-sha-256":
        stage.run(["msmtp", "--host=127.0.0.1", f"--port={relay.port}", f"--auth={mechanism}",
                   f"--user={name}", "--passwordeval", f"echo {secret}", "--from=a@shop.example",
                   "--tls=off", TO], input="From: a@shop.example\n\nhello\n")
        one_message(relay)
    mail = stage.directory / "mail.txt"
    mail.write_text("From: a@shop.example\r\n\r\nhello\r\n")
    for mechanism in "PLAIN", "LOGIN":
        stage.run(["curl", "--silent", "--show-error", "--url", f"smtp://{server}",
                   "--mail-from", "a@shop.example", "--mail-rcpt", TO, "--user", f"{name}:{secret}",
                   "--login-options", f"AUTH={mechanism}", "--upload-file", mail])
        one_message(relay)
    with relay.smtp() as smtp:
        smtp.login("apikey", secret)
        smtp.sendmail("a@shop.example", TO, "From: a@shop.example\r\n\r\nhello\r\n")
    one_message(relay)
    accepted = relay.events(kind="accepted")
    assert len(accepted) == 8 and {event["tenant"] for event in accepted} == {"shop"}
    assert secret not in relay.log.read_text(errors="replace")
    assert relay.metrics()['ringpost_logins_total{result="right"}'] >= 8


def test_scram_by_gsasl(stage, relay):
    """An implementation of SCRAM that nobody here wrote checks ours, and we it."""
    name, secret = credential(relay)
    for mechanism in "SCRAM-SHA-256", "PLAIN", "LOGIN":
        done = subprocess.run(
            ["gsasl", "--client", "--smtp", "--no-starttls", "--connect",
             f"127.0.0.1:{relay.port}", "--mechanism", mechanism, "--authentication-id", name,
             "--password", secret, "--no-cb"],
            input="QUIT\n", capture_output=True, text=True, timeout=parts.PATIENCE)
        assert "235 2.7.0" in done.stdout, done
    done = subprocess.run(
        ["gsasl", "--client", "--smtp", "--no-starttls", "--connect", f"127.0.0.1:{relay.port}",
         "--mechanism", "SCRAM-SHA-256", "--authentication-id", name, "--password", "wrong",
         "--no-cb"], input="QUIT\n", capture_output=True, text=True, timeout=parts.PATIENCE)
    assert "235 2.7.0" not in done.stdout and "535 5.7.8" in done.stdout, done


def test_nobody_sends_without_a_login(relay):
    with relay.smtp() as smtp:
        smtp.ehlo("client.example")
        assert smtp.esmtp_features["auth"].split() == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
        code, text = smtp.mail("a@shop.example")
        assert (code, text.split()[0]) == (530, b"5.7.0")


def test_unusable_credentials_are_told_nothing(relay):
    """Expired, from elsewhere, of another scope, revoked, of a disabled tenant: as a wrong one."""
    name, secret = credential(relay)
    cases = [credential(relay, "--networks", "192.0.2.0/24"), credential(relay, "--scope", "api"),
             (name, secret[:-1] + ("a" if secret[-1] != "a" else "b")), ("nobody", secret)]
    answers = set()
    for user, password in cases:
        answers.add(login(relay, user, password))
    assert len(answers) == 1 and answers.pop()[0] == 535
    with relay.smtp() as smtp:
        smtp.login(name, secret)
        assert smtp.mail("a@shop.example")[0] == 250
        smtp.rset()
        relay.cli("credential", "revoke", name)
        parts.wait_for(lambda: login(relay, name, secret)[0] in (535, 421), "the revocation")
        code, text = smtp.mail("a@shop.example")
        assert (code, text.split()[0]) == (421, b"4.7.0")


def test_failures_are_slow_then_over_then_blocked(relay):
    name, secret = credential(relay)
    wrong = f"AUTH PLAIN {plain(name, 'wrong')}"
    started = time.monotonic()
    with Raw(relay.port) as raw:
        raw.ehlo()
        assert raw.say(wrong).startswith("535 5.7.8")
        assert raw.say(wrong).startswith("421 4.7.0")
    assert time.monotonic() - started > 0.6, "a quarter and half a second"
    opened = [Raw(relay.port) for _ in range(6)]  # side by side is no way to be faster
    for raw in opened:
        raw.ehlo()
        raw.tell(f"{wrong}\r\n".encode())
    for raw in opened:
        assert raw.reply()[:3] in ("535", "421")
        raw.close()
    assert login(relay, name, secret)[0] == 421, "the network is blocked, whoever it is"
    assert relay.metrics()["ringpost_login_blocks_total"] == 1
    rejected = relay.events(kind="rejected")
    assert any(event["rule"] == "login" for event in rejected), rejected


def test_who_guesses_by_a_webmail_locks_out_one_user(stage):
    """By IMAP, as a webmail does; the name is blocked for submission from there as well."""
    port, imap_port = parts.free_ports(2)
    relay = stage.ringpost(
        listeners=f'[{{address: "127.0.0.1:{port}", service: submission}}, '
                  f'{{address: "127.0.0.1:{imap_port}", service: imap}}]',
        auth='{plaintext: ["127.0.0.0/8"], failures_per_network: 4, shared: ["127.0.0.1"]}')
    relay.port = port
    relay.cli("tenant", "add", "shop")
    relay.cli("domain", "add", "shop", "b.example", "--active", "--hosted")
    secrets = {}
    for user in "anna@b.example", "bob@b.example":
        relay.cli("account", "add", user)
        secrets[user] = json.loads(relay.cli(
            "credential", "add", "shop", "--account", user, "--scope", "mail,submit",
            "--json").stdout)["secret"]

    def imap(user, secret, wait=True):
        raw = imap_bytes.Raw(imap_port)
        raw.send(f"a LOGIN {user} {secret}\r\n")
        return raw.until(b"a ")[-1].decode() if wait else raw

    for user, secret in secrets.items():
        parts.wait_for(lambda: imap(user, secret).startswith("OK"), user)
    guesses = [imap(user, "guess", wait=False)
               for user in ("bob@b.example", "BOB@b.example") * 2]
    for raw in guesses:
        assert raw.until(b"a ")[-1].startswith(b"NO [AUTHENTICATIONFAILED]")
    bob, anna = secrets["bob@b.example"], secrets["anna@b.example"]
    assert relay.metrics()["ringpost_login_blocks_total"] == 1
    assert not imap("bob@b.example", bob).startswith("OK")
    assert login(relay, "bob@b.example", bob)[0] == 421
    assert imap("anna@b.example", anna).startswith("OK")
    assert login(relay, "anna@b.example", anna)[0] == 235


def test_nobody_sends_as_another(relay):
    """The domains of a tenant are its own, live, and those of the header count too."""
    name, secret = credential(relay)
    relay.cli("tenant", "add", "other")
    relay.cli("domain", "add", "other", "other.example", "--active")
    with relay.smtp() as smtp:
        smtp.login(name, secret)

        def data(sender, header):
            assert smtp.mail(sender)[0] == 250
            assert smtp.rcpt(TO)[0] == 250
            return smtp.data(f"From: {header}\r\n\r\nhello\r\n".encode())
        assert data("a@shop.example", "Shop <a@shop.example>")[0] == 250
        code, text = data("a@shop.example", "Shop <a@other.example>")
        assert (code, text.split()[0]) == (550, b"5.7.1")
        code, text = smtp.mail("a@other.example")
        assert (code, text.split()[0]) == (550, b"5.7.1")
        relay.cli("domain", "add", "shop", "new.example", "--active")

        def is_there():
            code = smtp.mail("a@new.example")[0]
            smtp.rset()
            return code == 250
        parts.wait_for(is_there, "the new domain")
    assert [e["rule"] for e in relay.events(kind="rejected")].count("from") == 1


def test_over_tls_with_channel_binding(stage, relay):
    """STARTTLS first, then every mechanism; SCRAM bound to the channel by somebody else's code."""
    stage.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout", stage.directory / "tls.key", "-out",
               stage.directory / "tls.crt", "-days", "9", "-subj", "/CN=mta1.ringpost.example"])
    name, secret = credential(relay)
    relay.stop()
    relay.write_config(
        auth="",
        listeners=f'[{{address: "127.0.0.1:{relay.port}", service: submission, tls: starttls}}]',
        tls=f'{{certificate: {stage.directory}/tls.crt, key: {stage.directory}/tls.key}}')
    relay.start()
    with relay.smtp() as smtp:
        smtp.ehlo("client.example")
        assert "auth" not in smtp.esmtp_features
        assert smtp.docmd("AUTH", f"PLAIN {plain(name, secret)}")[0] == 538
    for mechanism in "PLAIN", "LOGIN":
        stage.run(["swaks", "--server", f"127.0.0.1:{relay.port}", "--tls", "--from",
                   "a@shop.example", "--to", TO, "--auth", mechanism, "--auth-user", "apikey",
                   "--auth-password", secret, "--header", "From: a@shop.example"])
        received = one_message(relay).content.split(b"\r\n\r\n")[0]
        assert b" with ESMTPSA " in received.replace(b"\r\n", b" "), received
    for mechanism in "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256":
        done = subprocess.run(
            ["gsasl", "--client", "--smtp", "--connect", f"127.0.0.1:{relay.port}", "--x509-ca-file=",
             "--mechanism", mechanism, "--authentication-id", name, "--password", secret,
             *(["--no-cb"] if mechanism == "SCRAM-SHA-256" else [])],
            input="QUIT\n", capture_output=True, text=True, timeout=parts.PATIENCE)
        assert "235 2.7.0" in done.stdout, done
