"""Mail that is scanned before it is accepted: by rspamd itself, and by servers that misbehave."""

import contextlib
import json
import smtplib
import socket
import threading
import time

import inbound
import parts
import pytest
import rspamd

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"


class Scanner:
    """A server of HTTP whose answers are `answer(head, body)`: bytes, or None to close."""

    def __init__(self, answer):
        self.answer, self.connections, self.asked = answer, 0, []
        self.thread, self.is_over = None, False

    def running(self):
        return self.thread is not None and self.thread.is_alive()

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def serve(self):
        while True:
            link, _ = self.listener.accept()
            if self.is_over:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(link,), daemon=True).start()

    def talk(self, link):
        with link, contextlib.suppress(OSError):
            file = link.makefile("rb")
            while True:
                head = []
                while (line := file.readline()) not in (b"\r\n", b""):
                    head.append(line.decode().rstrip())
                if not head:
                    return
                length = next(int(f.split(":")[1]) for f in head if f.startswith("Content-Length"))
                body = file.read(length)
                self.asked.append((head, body))
                reply = self.answer(head, body)
                if reply is None:
                    return
                link.sendall(reply)

    def stop(self):
        self.is_over = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join(10)
        self.listener.close()


def says(action, score=7.5, more=""):
    text = json.dumps({"action": action, "score": score, "required_score": 15.0,
                       "symbols": {"X": {"score": 1}}})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n{more}\r\n{text}".encode()


def place_with(stage, scanner, more=""):
    return inbound.Inbound(stage, inbound=f'rspamd: "http://127.0.0.1:{scanner.port}"{more}')


def check_of(place, message_id):
    [event] = place.relay.wait_events(1, kind="received", id=message_id)
    return {check["check"]: check for check in event["checks"]}["rspamd"]


def test_rspamd_itself(stage):
    place = place_with(stage, stage.add(rspamd.TestPatterns(stage.directory / "rspamd")))
    code, text = place.send(inbound.message())
    assert code == 250, text
    assert check_of(place, text.split()[-1])["result"] in ("no action", "greylist", "add header")
    code, text = place.send(inbound.message(body=GTUBE))
    assert (code, text) == (550, "5.7.1 This message is refused as spam")


def test_actions_and_what_it_is_told(stage):
    answers = {"no action": 250, "greylist": 451, "add header": 250, "rewrite subject": 250,
               "soft reject": 451, "reject": 550}
    scanner = stage.add(Scanner(lambda head, body: says(body.split(b"|")[1].decode())))
    place = place_with(stage, scanner)
    for action, expected in answers.items():
        code, text = place.send(inbound.message(body=f"|{action}|\r\n".encode()))
        assert code == expected, (action, text)
        if code != 250:
            continue
        content = place.content(text.split()[-1])
        is_spam = action != "no action"
        assert inbound.field(content, "X-Spam") == (["Yes"] if is_spam else [])
        assert inbound.field(content, "X-Spam-Score") == ["7.50 / 15.00"]
        check = check_of(place, text.split()[-1])
        assert (check["result"], check["weight"]) == (action, "7.50")
    head, body = scanner.asked[0]
    assert head[0] == "POST /checkv2 HTTP/1.1"
    assert {"IP: 127.0.0.1", "Helo: client.good.example", "From: <alice@good.example>",
            "Rcpt: <bob@acme.example>", f"MTA-Name: {inbound.HOST}"} <= set(head)
    assert body == inbound.message(body=b"|no action|\r\n")
    assert scanner.connections <= 2  # kept, one an engine
    assert place.relay.metrics()["ringpost_rspamd_answers_total"] == len(answers)


def test_a_kept_connection_that_is_gone_is_no_failure(stage):
    """It closes behind each answer without saying so."""
    answered = []

    def answer(head, body):
        answered.append(1)
        return says("no action")

    scanner = Scanner(answer)
    talk = scanner.talk

    def talk_once(link):
        count = len(scanner.asked)
        threading.Thread(target=talk, args=(link.dup(),), daemon=True).start()
        while len(scanner.asked) == count:
            time.sleep(0.01)
        time.sleep(0.05)
        link.shutdown(socket.SHUT_RDWR)
        link.close()

    scanner.talk = talk_once
    place = place_with(stage, stage.add(scanner))
    for _ in range(4):
        code, text = place.send(inbound.message())
        assert check_of(place, text.split()[-1])["result"] == "no action"
        time.sleep(0.2)


def test_away(stage):
    scanners = {
        "it takes no connection": None,
        "its answer cannot be read": lambda head, body: b"220 this is SMTP\r\n\r\n",
        "it closed the connection": lambda head, body: None,
        "it did not answer in time": lambda head, body: time.sleep(5) or b"",
    }
    for why, answer in scanners.items():
        scanner = stage.add(Scanner(answer)) if answer else type("Nobody", (), {"port": parts.free_port()})
        place = place_with(stage, scanner, ", rspamd_timeout: 500ms")
        code, text = place.send(inbound.message())
        assert code == 250, text
        check = check_of(place, text.split()[-1])
        assert (check["result"], check["detail"], check["weight"]) == ("none", why, None)
        place.relay.write_config(inbound=f'{{rspamd: "http://127.0.0.1:{scanner.port}", '
                                         'rspamd_timeout: 500ms, rspamd_away: defer}')
        place.relay.cli("reload")
        code, text = place.send(inbound.message())
        assert (code, text.split()[0]) == (451, "4.7.1"), (why, text)
        place.relay.stop()


def test_more_at_once_than_connections(stage):
    def answer(head, body):
        time.sleep(0.1)
        return says("no action")

    scanner = stage.add(Scanner(answer))
    place = place_with(stage, scanner, ", rspamd_connections: 1")
    replies = []
    senders = [threading.Thread(target=lambda: replies.append(place.send(inbound.message())[0]))
               for _ in range(12)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert replies == [250] * 12 and scanner.connections <= 2  # one an engine


def test_what_is_large_is_not_scanned(stage):
    scanner = stage.add(Scanner(lambda head, body: says("reject")))
    place = place_with(stage, scanner)
    code, text = place.send(inbound.message(body=b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 9000))
    assert code == 250, text
    assert check_of(place, text.split()[-1])["detail"] == "larger than is scanned"
    assert scanner.asked == []


def test_clients_that_go_while_it_is_asked(stage):
    scanner = stage.add(Scanner(lambda head, body: time.sleep(1) or says("no action")))
    place = place_with(stage, scanner)
    for _ in range(3):
        smtp = place.smtp()
        smtp.mail("alice@good.example")
        smtp.rcpt("bob@acme.example")
        smtp.putcmd("DATA")
        smtp.getreply()
        smtp.sock.sendall(inbound.message() + b".\r\n")
        time.sleep(0.2)
        smtp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        smtp.sock.close()
        smtp.close()
    assert place.send(inbound.message())[0] == 250


def user_of(stage, more="", **settings):
    """A relay whose user bob submits: how, and what came of it."""
    submission, port = parts.free_ports(2)
    place = inbound.Inbound(stage, inbound=more, settings={"listeners": (
        f'[{{address: "127.0.0.1:{submission}", service: submission}}, '
        f'{{address: "127.0.0.1:{port}", service: inbound}}]'),
        "auth": '{plaintext: ["127.0.0.0/8"]}', **settings})

    place.submission, place.port = submission, port

    def secret(*options):
        made = json.loads(place.relay.cli("credential", "add", "acme", "--scope", "submit", *options,
                                          "--json").stdout)
        return made["user"], made["secret"]

    def submit(login, to=("x@far.example",), body=b"Hello.\r\n", sender="bob@acme.example"):
        with smtplib.SMTP("127.0.0.1", submission, timeout=parts.PATIENCE) as smtp:
            smtp.ehlo("client.acme.example")
            smtp.login(*login)
            smtp.mail(sender)
            for address in to:
                smtp.rcpt(address)
            code, text = smtp.data(inbound.message(sender, body=body))
            return code, text.decode()

    return place, secret, submit


def test_what_users_submit_is_scanned(stage):
    actions = {"no action": 250, "add header": 250, "greylist": 250, "soft reject": 451,
               "reject": 550}
    answer = []
    scanner = stage.add(Scanner(lambda head, body: says(answer[0])))
    url = f'rspamd: "http://127.0.0.1:{scanner.port}"'
    place, secret, submit = user_of(stage, url)
    bob = secret("--account", "bob@acme.example")
    parts.wait_for(lambda: (answer.insert(0, "no action") or submit(bob)[0] == 250), "a login")
    for action, code in actions.items():
        answer[:] = [action]
        assert submit(bob)[0] == code, action
    head, body = scanner.asked[-1]
    assert "User: bob@acme.example" in head and "Rcpt: <x@far.example>" in head
    assert body == inbound.message("bob@acme.example")
    [event] = parts.wait_for(lambda: [e for e in place.relay.events(kind="rejected")
                                      if e["rule"] == "inbound.rspamd"], "the event")
    assert event["tenant"] == "acme"
    # What an application submits is its tenant's, and is not.
    count = len(scanner.asked)
    assert submit(secret())[0] == 250 and len(scanner.asked) == count
    # Larger than is scanned, and a scanner that is away.
    assert submit(bob, body=(b"y" * 70 + b"\r\n") * 9000)[0] == 250
    place.relay.write_config(inbound=f"{{{url}, rspamd_away: defer}}")
    place.relay.cli("reload")
    assert submit(bob, body=(b"y" * 70 + b"\r\n") * 9000)[0] == 451
    place.relay.write_config(inbound=f"{{{url}, rspamd_submissions: false}}")
    place.relay.cli("reload")
    assert submit(bob)[0] == 250 and len(scanner.asked) == count
    assert place.relay.metrics()["ringpost_submission_scanned_total"] == 6


def test_only_whom_a_user_named_is_told_and_counted(stage):
    """A copy for the user's own Sent is a recipient that nobody wrote; nor is mail that comes one
    that the tenant sends, whatever is counted again at a start."""
    scanner = stage.add(Scanner(lambda head, body: says("no action")))
    place, secret, submit = user_of(stage, f'rspamd: "http://127.0.0.1:{scanner.port}"',
                                    limits="{account_recipients_per_hour: 4}")
    bob = secret("--account", "bob@acme.example")
    place.relay.cli("account", "set", "bob@acme.example", "--sent", "yes")
    place.relay.cli("tenant", "set", "acme", "quota_per_day=3")
    time.sleep(1.5)  # until the engines know
    assert submit(bob)[0] == 250
    place.relay.wait_events(2, kind="accepted")
    head, body = scanner.asked[-1]
    assert [line for line in head if line.startswith("Rcpt:")] == ["Rcpt: <x@far.example>"]
    assert place.relay.metrics()["ringpost_submission_recipients_total"] == 1
    place.relay.wait_log(" to_count=1 ")
    for _ in range(3):
        assert place.send(inbound.message())[0] == 250
    place.relay.wait_events(5, kind="accepted")
    place.relay.stop()
    place.relay.start()
    assert submit(bob, to=("x@far.example", "y@far.example"))[0] == 250
    with pytest.raises(smtplib.SMTPResponseException):  # MAIL is refused: three in a day
        submit(bob)


def test_rspamd_itself_looks_at_what_users_submit(stage):
    scanner = stage.add(rspamd.TestPatterns(stage.directory / "rspamd"))
    place, secret, submit = user_of(stage, f'rspamd: "http://127.0.0.1:{scanner.port}"')
    bob = secret("--account", "bob@acme.example")
    assert submit(bob)[0] == 250
    assert submit(bob, body=GTUBE) == (550, "5.7.1 This message is refused as spam")


def test_a_client_that_leaves_while_it_is_scanned(stage):
    scanner = stage.add(Scanner(lambda head, body: time.sleep(1) or says("no action")))
    place, secret, submit = user_of(stage, f'rspamd: "http://127.0.0.1:{scanner.port}"')
    bob = secret("--account", "bob@acme.example")
    with contextlib.suppress(smtplib.SMTPException), smtplib.SMTP(
            "127.0.0.1", place.submission, timeout=parts.PATIENCE) as smtp:
        smtp.ehlo("client.acme.example")
        smtp.login(*bob)
        smtp.mail("bob@acme.example")
        smtp.rcpt("x@far.example")
        smtp.docmd("DATA")
        smtp.send(inbound.message("bob@acme.example") + b".\r\n")
        parts.wait_for(lambda: scanner.asked, "the question")
        smtp.sock.close()
    assert submit(bob)[0] == 250


def test_users_have_rates(stage):
    place, secret, submit = user_of(stage, limits="{account_messages_per_hour: 3, "
                                                  "account_recipients_per_hour: 5}")
    bob = secret("--account", "bob@acme.example")
    login = secret("--account", "carol@acme.example")

    def of_carol(*to):
        return submit(login, *to, sender="carol@acme.example")
    two = ("x@far.example", "y@far.example")
    assert [submit(bob)[0] for _ in range(4)] == [250, 250, 250, 451]
    assert "too many messages" in submit(bob)[1]
    # By account, whatever the credential; another user's is another.
    assert submit(secret("--account", "bob@acme.example"))[0] == 451
    assert of_carol(two)[0] == of_carol(two)[0] == 250
    assert of_carol(two) == (
        451, "4.7.1 You sent to too many recipients in an hour, try again later")
    assert of_carol()[0] == 250
    assert submit(secret())[0] == 250
    assert place.relay.metrics()["ringpost_submission_over_account_rate_total"] == 4


def test_rates_of_users_stay_over_restarts_and_crashes(stage):
    place, secret, submit = user_of(stage, limits="{account_messages_per_hour: 3}")
    bob = secret("--account", "bob@acme.example")
    assert submit(bob)[0] == 250
    place.relay.stop()
    place.relay.start()
    assert submit(bob)[0] == submit(bob)[0] == 250
    place.relay.kill()
    place.relay.start()
    time.sleep(1)  # what is in no book yet is told from the spool
    assert submit(bob)[0] == 451
