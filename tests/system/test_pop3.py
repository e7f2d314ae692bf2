"""INBOX by POP3, by clients of others and by bytes that no client sends."""

import base64
import hashlib
import hmac
import json
import poplib
import socket
import ssl
import time

import certificates
import parts
import pytest

MESSAGE = (b"From: Bob <bob@a.example>\r\nSubject: one\r\n\r\n"
           b".starts with a dot\r\n..two\r\n.\r\nlast line\r\n")


class Pop3:
    """A relay that serves INBOX, without TLS and, where asked for, with it."""

    def __init__(self, stage, tls=None, **settings):
        self.port, self.tls_port = parts.free_ports(2)
        listeners = [f'{{address: "127.0.0.1:{self.port}", service: pop3'
                     + (", tls: starttls}" if tls else "}")]
        if tls:
            listeners.append(f'{{address: "127.0.0.1:{self.tls_port}", service: pop3, '
                             'tls: implicit}')
        settings.setdefault("auth", '{plaintext: ["127.0.0.0/8"], failures_per_session: 2}')
        if tls:
            settings["tls"] = tls
        self.relay = stage.ringpost(listeners="[" + ", ".join(listeners) + "]", **settings)
        self.cli = self.relay.cli
        self.cli("tenant", "add", "shop")
        self.cli("domain", "add", "shop", "b.example", "--active", "--hosted")
        self.user = "anna@b.example"
        self.cli("account", "add", self.user)
        made = self.cli("credential", "add", "shop", "--account", self.user, "--scope", "mail",
                        "--json")
        self.secret = json.loads(made.stdout)["secret"]
        self.maildir = self.relay.state_dir / "mail" / "b.example" / "anna"
        self.filed = 0
        if "0.0/8" in settings["auth"]:
            parts.wait_for(self.can_log_in, "the account")
        else:
            time.sleep(1.5)

    def can_log_in(self):
        raw = Raw(self.port)
        return raw.log_in(self.user, self.secret)

    def count(self):
        return int(self.raw().ask("STAT").split()[1])

    def file(self, message=MESSAGE, times=1):
        """As another program would; until it is noticed."""
        before = self.count()
        for _ in range(times):
            self.drop(message)
        parts.wait_for(lambda: self.count() == before + times, "what was filed")

    def drop(self, message):
        self.filed += 1
        name = f"{1700000000 + self.filed}.M{self.filed}P1.other"
        for folder in ("new", "cur", "tmp"):
            (self.maildir / folder).mkdir(parents=True, exist_ok=True)
        (self.maildir / "tmp" / name).write_bytes(message)
        (self.maildir / "tmp" / name).rename(self.maildir / "new" / name)

    def files(self):
        return [path for folder in ("new", "cur") for path in (self.maildir / folder).iterdir()]

    def client(self):
        client = poplib.POP3("127.0.0.1", self.port, timeout=30)
        client.user(self.user)
        client.pass_(self.secret)
        return client

    def raw(self):
        raw = Raw(self.port)
        assert raw.log_in(self.user, self.secret)
        return raw


class Raw:
    """Bytes as they are."""

    def __init__(self, port, context=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        self.greeting = self.file.readline()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        return self.file.readline().rstrip(b"\r\n")

    def lines(self):
        """Up to the dot, which is not among them."""
        found = []
        while (line := self.file.readline()) != b".\r\n":
            assert line, found
            found.append(line)
        return found

    def ask(self, command):
        self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.line()

    def log_in(self, user, secret):
        return (self.ask(f"USER {user}").startswith(b"+OK")
                and self.ask(f"PASS {secret}").startswith(b"+OK"))

    def is_closed(self):
        return self.file.read() == b""


@pytest.fixture
def pop3(stage):
    return Pop3(stage)


def test_a_revoked_login_is_over_and_deletes_nothing(pop3):
    pop3.file()
    raw = pop3.raw()
    assert raw.ask("DELE 1").startswith(b"+OK")
    pop3.cli("credential", "revoke", pop3.secret)
    while (line := raw.ask("NOOP")).startswith(b"+OK"):
        pass  # it is live within a second
    assert line.startswith(b"-ERR [AUTH]") and raw.is_closed()
    assert len(pop3.files()) == 1
    raw = Raw(pop3.port)
    assert not raw.log_in(pop3.user, pop3.secret)


def test_messages_are_listed_and_read(pop3):
    for number in range(3):
        pop3.file(MESSAGE.replace(b"one", b"number %d" % number))
    client = pop3.client()
    sizes = [len(MESSAGE) + 5] * 3
    assert client.stat() == (3, sum(sizes))
    assert client.list()[1] == [b"%d %d" % (n + 1, size) for n, size in enumerate(sizes)]
    assert client.list(2) == b"+OK 2 %d" % sizes[1]
    response, lines, _ = client.retr(2)
    assert response == b"+OK %d octets" % sizes[1]
    assert b"\r\n".join(lines) + b"\r\n" == MESSAGE.replace(b"one", b"number 1")
    assert client.top(1, 0)[1] == MESSAGE.replace(b"one", b"number 0").split(b"\r\n\r\n")[0].split(
        b"\r\n") + [b""]
    assert client.top(1, 2)[1][-2:] == [b".starts with a dot", b"..two"]
    assert client.top(1, 100)[1] == client.retr(1)[1]
    uids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(uids)) == 3 and client.uidl(3).split()[2] == uids[2]
    client.quit()
    again = pop3.client()
    assert [line.split()[1] for line in again.uidl()[1]] == uids
    again.quit()


def test_deletes_happen_at_quit_and_not_before(pop3):
    for _ in range(3):
        pop3.file()
    client = pop3.client()
    uids = [line.split()[1] for line in client.uidl()[1]]
    client.dele(2)
    assert client.stat()[0] == 2
    assert [line.split()[0] for line in client.list()[1]] == [b"1", b"3"]
    with pytest.raises(poplib.error_proto):
        client.retr(2)
    with pytest.raises(poplib.error_proto):
        client.dele(2)
    client.rset()
    assert client.stat()[0] == 3
    client.dele(1)
    client.close()  # no QUIT
    client = pop3.client()
    assert client.stat()[0] == 3
    client.dele(1)
    client.dele(3)
    client.quit()
    client = pop3.client()
    assert [line.split() for line in client.uidl()[1]] == [[b"1", uids[1]]]
    client.quit()
    assert len(pop3.files()) == 1
    # Metrics tell it.
    assert pop3.relay.metrics()["ringpost_pop3_deleted_total"] == 2


def test_what_was_read_is_seen(pop3):
    pop3.file()
    pop3.file()
    client = pop3.client()
    client.retr(1)
    client.top(2, 0)
    client.quit()

    pop3.relay.stop()  # files have their names by then
    assert sorted(path.name.partition(":2,")[2] for path in pop3.files()) == ["", "S"]


def test_view_stays_while_others_change_the_mailbox(pop3):
    for _ in range(3):
        pop3.file()
    one, other = pop3.client(), pop3.client()
    one.dele(2)
    one.quit()
    pop3.file()
    assert other.stat()[0] == 3
    with pytest.raises(poplib.error_proto, match="removed meanwhile"):
        other.retr(2)
    assert len(other.retr(3)[1]) == 7
    other.dele(2)
    other.dele(3)
    other.quit()
    client = pop3.client()
    assert client.stat()[0] == 2
    client.quit()


def test_line_ends_and_the_last_line(pop3):
    pop3.file(b"Subject: x\n\nbare\n.\nno end")
    pop3.file(b"Subject: only a header\n")
    pop3.file(b"")
    raw = pop3.raw()
    assert raw.ask("LIST 1") == b"+OK 1 29"
    assert raw.ask("RETR 1") == b"+OK 29 octets"
    assert raw.lines() == [b"Subject: x\r\n", b"\r\n", b"bare\r\n", b"..\r\n", b"no end\r\n"]
    assert raw.ask("TOP 1 1") == b"+OK"
    assert raw.lines() == [b"Subject: x\r\n", b"\r\n", b"bare\r\n"]
    assert raw.ask("RETR 2").startswith(b"+OK")
    assert raw.lines() == [b"Subject: only a header\r\n"]
    assert raw.ask("RETR 3") == b"+OK 0 octets"
    assert raw.lines() == []


def test_large_message_and_many_commands_at_once(pop3):
    body = b"".join(b".%06d some words of a line\r\n" % number for number in range(200000))
    pop3.file(b"Subject: large\r\n\r\n" + body)
    raw = pop3.raw()
    raw.send(b"STAT\r\nRETR 1\r\nNOOP\r\nTOP 1 1\r\nUIDL\r\nQUIT\r\n")
    assert raw.line() == b"+OK 1 %d" % (len(body) + 18)
    assert raw.line().endswith(b"octets")
    assert b"".join(raw.lines()[2:]).replace(b"..", b".") == body
    assert raw.line() == b"+OK" and raw.line() == b"+OK"
    assert raw.lines()[2:] == [b"..000000 some words of a line\r\n"]
    assert raw.line().startswith(b"+OK") and len(raw.lines()) == 1
    assert raw.line() == b"+OK Bye" and raw.is_closed()


def test_capabilities_and_refusals(pop3):
    raw = Raw(pop3.port)
    assert raw.greeting.startswith(b"+OK ")
    assert raw.ask("CAPA").startswith(b"+OK")
    told = [line.rstrip() for line in raw.lines()]
    for one in (b"TOP", b"UIDL", b"USER", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING",
                b"EXPIRE NEVER", b"IMPLEMENTATION ringpost", b"SASL PLAIN SCRAM-SHA-256"):
        assert one in told, told
    assert b"STLS" not in told
    for command in ("STAT", "RETR 1", "PASS x", "LIST", "APOP a b", "STLS", "", "USER", "AUTH",
                    "AUTH LOGIN", "CAPA x"):
        assert raw.ask(command).startswith(b"-ERR"), command
    raw = pop3.raw()
    for command in ("USER a", "RETR", "RETR 0", "RETR 1", "RETR x", "RETR 99999999999999999999",
                    "TOP 1", "TOP 1 x", "DELE -1", "LIST 1 2", "UIDL 7", "NOOP 1", "STAT 1"):
        assert raw.ask(command).startswith(b"-ERR"), command
    assert raw.ask("noop") == b"+OK"


def test_wrong_passwords_end_the_session(pop3):
    raw = Raw(pop3.port)
    assert raw.ask(f"USER {pop3.user}").startswith(b"+OK")
    assert raw.ask("PASS wrong").startswith(b"-ERR [AUTH]")
    assert raw.ask("USER nobody@b.example").startswith(b"+OK")
    assert raw.ask(f"PASS {pop3.secret}").startswith(b"-ERR [AUTH]")
    assert raw.is_closed()
    assert pop3.secret not in pop3.relay.log.read_text(errors="replace")


def test_auth_plain_and_cancel(pop3):
    plain = base64.b64encode(f"\0{pop3.user}\0{pop3.secret}".encode()).decode()
    raw = Raw(pop3.port)
    assert raw.ask("AUTH PLAIN") == b"+ "
    assert raw.ask("*").startswith(b"-ERR")
    assert raw.ask("AUTH PLAIN =").startswith(b"-ERR")
    assert raw.ask("AUTH PLAIN !!").startswith(b"-ERR")
    assert raw.ask("AUTH PLAIN") == b"+ "
    assert raw.ask(plain) == b"+OK Logged in, 0 messages"
    assert raw.ask("STAT") == b"+OK 0 0"
    raw = Raw(pop3.port)
    assert raw.ask(f"auth plain {plain}").startswith(b"+OK")
    assert raw.ask("QUIT") == b"+OK Bye" and raw.is_closed()


def scram(raw, user, secret):
    """RFC 5802 by the book; the last reply."""
    first = f"n={user},r=nonce"
    challenge = raw.ask("AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,," + first.encode()).decode())
    assert challenge.startswith(b"+ "), challenge
    server = base64.b64decode(challenge[2:]).decode()
    fields = dict(field.split("=", 1) for field in server.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), base64.b64decode(fields["s"]),
                                 int(fields["i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c=biws,r={fields['r']}"
    text = ",".join([first, server, final]).encode()
    signature = hmac.digest(hashlib.sha256(client_key).digest(), text, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    reply = raw.ask(base64.b64encode(f"{final},p={base64.b64encode(proof).decode()}".encode()))
    if not reply.startswith(b"+ "):
        return reply
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    assert base64.b64decode(reply[2:]) == b"v=" + base64.b64encode(
        hmac.digest(server_key, text, "sha256"))
    return raw.ask("")


def test_scram(pop3):
    assert scram(Raw(pop3.port), pop3.user, pop3.secret) == b"+OK Logged in, 0 messages"
    assert scram(Raw(pop3.port), pop3.user, "rp_wrong").startswith(b"-ERR [AUTH]")
    assert scram(Raw(pop3.port), "nobody@b.example", pop3.secret).startswith(b"-ERR [AUTH]")


def test_lines_that_are_none(pop3):
    raw = Raw(pop3.port)
    raw.send(b"x" * 100000)
    assert raw.line().startswith(b"-ERR The line is too long") and raw.is_closed()
    raw = Raw(pop3.port)
    for number in range(1000):
        try:
            raw.send(b"\0\xff\r\n")
        except OSError:
            break
    lines = raw.file.read().split(b"\r\n")
    assert all(line.startswith(b"-ERR") for line in lines[:-1]) and b"Too many" in lines[-2]


def test_client_that_never_reads_holds_nobody_up(pop3):
    pop3.file(b"Subject: large\r\n\r\n" + b"x" * 20 * 1000 * 1000)
    silent = pop3.raw()
    silent.send(b"RETR 1\r\n" * 100)
    time.sleep(1)
    client = pop3.client()
    assert client.stat()[0] == 1
    client.quit()
    assert pop3.relay.memory() < 300e6
    silent.file.close()
    silent.socket.close()
    parts.wait_for(lambda: pop3.relay.metrics()["ringpost_pop3_sessions"] == 0, "the end of it")


def test_quit_is_done_to_its_end_when_the_client_is_gone(pop3):
    pop3.file(times=1200)
    raw = pop3.raw()
    raw.send(b"".join(b"DELE %d\r\n" % number for number in range(1, 1201)) + b"QUIT\r\n")
    raw.socket.shutdown(socket.SHUT_WR)
    parts.wait_for(lambda: not pop3.files(), "all messages to go")


def test_tls(stage):
    root = certificates.Issued(stage.directory, "root")
    chain, key = certificates.Issued(stage.directory, "server", root, ["localhost"]).files(root)
    pop3 = Pop3(stage, tls=f"{{certificate: {chain}, key: {key}}}",
                auth='{plaintext: ["127.0.0.2/32"]}')
    context = ssl.create_default_context(cafile=root.path)
    raw = Raw(pop3.port)
    assert raw.ask("CAPA").startswith(b"+OK")
    told = b"".join(raw.lines())
    assert b"STLS" in told and b"SASL" not in told and b"USER" not in told
    for command in ("USER a", "AUTH PLAIN"):
        assert raw.ask(command).startswith(b"-ERR [SYS/PERM]")
    raw.send(b"STLS\r\nNOOP\r\n")  # what stands behind it is somebody else's
    assert raw.line().startswith(b"-ERR") and raw.is_closed()
    client = poplib.POP3("localhost", pop3.port, timeout=30)
    client.stls(context)
    assert client.capa()["SASL"] == ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
    client.user(pop3.user)
    client.pass_(pop3.secret)
    client.quit()
    client = poplib.POP3_SSL("localhost", pop3.tls_port, context=context, timeout=30)
    assert "STLS" not in client.capa()
    client.user(pop3.user)
    client.pass_(pop3.secret)
    assert client.stat() == (0, 0)
    client.quit()


def test_curl_reads(pop3):
    pop3.file()
    for options in ([], ["--login-options", "AUTH=PLAIN"], ["--sasl-ir"]):
        done = parts.run(["curl", "-sS", *options, "-u", f"{pop3.user}:{pop3.secret}",
                          f"pop3://127.0.0.1:{pop3.port}/1"])
        assert "last line" in done.stdout
