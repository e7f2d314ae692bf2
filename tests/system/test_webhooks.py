"""Webhooks told by a real relay to real HTTP servers, which are slow, gone, wrong, or fine."""

import base64
import datetime
import json
import pathlib
import secrets
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

import event_schema
import hook
import parts


def relay_for(stage, hooks, **settings):
    """`hooks`: YAML of the items of `webhooks`."""
    sink = stage.sink()
    return stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
                          webhooks=f"[{', '.join(hooks)}]", **settings)


def item(target, name="main", **more):
    more.setdefault("allow", '["127.0.0.1/32"]')
    more.setdefault("batch_wait", "100ms")
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return f'{{name: {name}, url: "{getattr(target, "url", target)}"{keys}}}'


def sinks(relay):
    lines = [json.loads(line) for line in relay.cli("events", "sinks", "--json").stdout.splitlines()]
    return {line["sink"]: line for line in lines if "sink" in line}


def wait_problem(relay, name, problem):
    def has():
        found = sinks(relay)[name]["problem"]
        return found if found and found["name"] == problem else None
    try:
        return parts.wait_for(has, f"{name} to be in trouble: {problem}")
    except AssertionError as error:
        raise AssertionError(f"{error}; {sinks(relay)[name]}\n{relay.tail()}") from None


def public_key(relay, name):
    return json.loads(relay.cli("webhook", "show", name, "--json").stdout)["public_key"]


def test_a_batch_has_the_records_in_order_and_is_signed(stage):
    target = stage.add(hook.Hook())
    relay = relay_for(stage, [item(target)])
    for i in range(20):
        relay.submit(f"a{i}@b.example")
    got = target.wait_events(40)
    relay.schema.hold(got)
    told = relay.events()
    assert sorted(e["event_id"] for e in got) == sorted(e["event_id"] for e in told)
    assert hook.once_each(got) == got
    assert len(target.taken) < 40
    key = public_key(relay, "main")
    for request in target.taken:
        assert request.headers["Content-Type"] == "application/json"
        assert hook.verify(key, request)
        request.body += b" "
        assert not hook.verify(key, request)
    key_file = relay.state_dir / "keys" / "webhooks" / "main.pem"
    assert key_file.stat().st_mode & 0o777 == 0o600
    parts.wait_for(lambda: sinks(relay)["main"]["state"] == "current", "every answer")


def test_kinds_and_formats(stage):
    sendgrid, kumomta, single = (stage.add(hook.Hook()) for _ in range(3))
    relay = relay_for(stage, [item(sendgrid, "sendgrid", format="sendgrid"),
                              item(kumomta, "kumomta", format="kumomta"),
                              item(single, "single", format="kumomta", batch_events=1,
                                   kinds="[delivered]")])
    with relay.smtp() as smtp:
        smtp.ehlo("client.example")
        assert smtp.rcpt("a@b.example")[0] == 503
    id_ = relay.submit("a@b.example", headers="Message-ID: <m1@client.example>\r\n")
    processed, delivered = sendgrid.wait_events(2)
    assert processed["event"] == "processed" and delivered["event"] == "delivered"
    for event in (processed, delivered):
        assert event["email"] == "a@b.example"
        assert event["sg_message_id"] == id_ and event["smtp-id"] == "<m1@client.example>"
        assert abs(event["timestamp"] - time.time()) < 300
    assert delivered["response"].startswith("250 ") and delivered["tls"] == 0
    assert delivered["ip"] == "127.0.0.1"
    assert {e["sg_event_id"] for e in (processed, delivered)} == {
        e["event_id"] for e in relay.events()}
    reception, delivery = kumomta.wait_events(2)
    assert reception["type"] == "Reception" and delivery["type"] == "Delivery"
    assert delivery["id"] == id_ and delivery["recipient"] == "a@b.example"
    assert delivery["queue"] == "b.example" and delivery["num_attempts"] == 0
    assert delivery["response"]["code"] == 250
    assert reception["peer_address"] == {"name": "client.example", "addr": "127.0.0.1"}
    assert delivery["peer_address"]["addr"] == "127.0.0.1"
    single.wait_events(1)
    assert json.loads(single.taken[0].body)["type"] == "Delivery"
    assert len(single.events()) == 1


def test_what_fails_is_told_again_in_order(stage):
    def close_half_way(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    def close_at_once(handler):
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    answers = [500, (503, {"Retry-After": "2"}), close_half_way, close_at_once, 404]
    begun = {}

    def act(request):
        begun.setdefault(len(target.requests), time.monotonic())
        return answers[len(target.requests) - 1] if len(target.requests) <= len(answers) else None

    target = stage.add(hook.Hook(act))
    relay = relay_for(stage, [item(target, batch_events=2)])
    for i in range(3):
        relay.submit(f"a{i}@b.example")
    got = target.wait_events(6, patience=90)
    assert hook.once_each(got) == got
    tries = [hook.digest(request) for request in target.requests[:6]]
    assert len(set(tries)) == 1  # the same bytes, until they are taken
    assert begun[3] - begun[2] >= 2  # Retry-After
    signatures = {request.headers[hook.SIGNATURE] for request in target.requests[:6]}
    assert len(signatures) == 6
    assert relay.metrics()["ringpost_webhook_failures_total"] == 5
    assert sinks(relay)["main"]["problem"] is None


def test_what_is_told_again_is_the_same_batch_whatever_came_meanwhile(stage):
    bad = [True]
    target = stage.add(hook.Hook(lambda request: 500 if bad[0] else None))
    relay = relay_for(stage, [item(target)])
    relay.submit("a@b.example")
    parts.wait_for(lambda: len(target.requests) >= 2, "a second try")
    for i in range(5):
        relay.submit(f"b{i}@b.example")
    relay.wait_empty()
    before = len(target.requests)
    parts.wait_for(lambda: len(target.requests) >= before + 2, "more tries")
    bad[0] = False
    got = target.wait_events(12)
    assert hook.once_each(got) == got
    assert len({hook.digest(request) for request in target.requests
                if request not in target.taken[1:]}) == 1


def test_failures_are_farther_and_farther_apart(stage):
    asked = []

    def act(request):
        asked.append(time.monotonic())
        return None if len(asked) % 4 == 0 else 500

    target = stage.add(hook.Hook(act))
    relay = relay_for(stage, [item(target)])
    for turn in range(2):  # the second one begins anew
        del asked[:]
        relay.submit(f"a{turn}@b.example")
        relay.wait_empty()
        target.wait_events(2 * turn + 2)
        first, second, third = (after - before for before, after in zip(asked[:3], asked[1:4]))
        assert 0.8 <= first < 4 and second >= 1.6 and third >= 3.2, (turn, first, second, third)


def test_a_huge_answer_is_cut_off_and_counts_by_its_status(stage):
    sent = []

    def huge(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        handler.server.hook.taken.append(handler.server.hook.requests[-1])
        for _ in range(1 << 14):
            handler.wfile.write(b"x" * 65536)
            sent.append(65536)

    target = stage.add(hook.Hook(lambda request: huge))
    relay = relay_for(stage, [item(target)])
    relay.submit("a@b.example")
    got = target.wait_events(2)
    parts.wait_for(lambda: sinks(relay)["main"]["behind_events"] == 0, "the answers to count")
    assert hook.once_each(got) == got
    assert sum(sent) < 64 << 20


def test_410_and_401_are_told_as_what_they_are(stage):
    gone = stage.add(hook.Hook(lambda request: 410))
    closed = stage.add(hook.Hook(lambda request: 401))
    relay = relay_for(stage, [item(gone, "gone"), item(closed, "closed", user="me", password="pw1x")])
    relay.submit("a@b.example")
    assert wait_problem(relay, "gone", "answer")["text"].startswith("HTTP 410")
    assert wait_problem(relay, "closed", "authentication")
    time.sleep(2.5)
    assert len(gone.requests) == 1  # not soon again
    assert closed.requests[0].headers["Authorization"] == (
        "Basic " + base64.b64encode(b"me:pw1x").decode())


def test_413_makes_batches_smaller(stage):
    def act(request):
        return 413 if len(request.events()) > 3 else None

    target = stage.add(hook.Hook(act))
    relay = relay_for(stage, [item(target, batch_wait="2s")])
    for i in range(10):
        relay.submit(f"a{i}@b.example")
    got = target.wait_events(20)
    assert len(hook.once_each(got)) == 20
    assert max(len(request.events()) for request in target.taken) <= 3


def test_addresses_that_are_not_public_are_refused(stage):
    inside = stage.add(hook.Hook(address="127.0.0.2"))

    def redirect(request):
        return 307, {"Location": inside.url}

    outside = stage.add(hook.Hook(redirect))
    again = stage.add(hook.Hook(lambda request: (308, {"Location": outside.url + "/other"})
                                if "other" not in request.path else None))
    again.act = lambda request: None if "other" in request.path else (
        308, {"Location": f"{again.url}/other"})
    relay = relay_for(stage, [
        item(outside, "redirected"), item(again, "again"),
        item(f"https://127.0.0.1:{inside.port}/x", "loopback", allow="[]"),
        item(f"https://localhost:{inside.port}/x", "name", allow="[]"),
        item(f"https://[::ffff:127.0.0.1]:{inside.port}/x", "mapped", allow="[]"),
        item(f"http://127.0.0.2:{inside.port}/x", "plain")])
    relay.submit("a@b.example")
    again.wait_events(2)
    for name in ("redirected", "loopback", "name", "mapped", "plain"):
        text = wait_problem(relay, name, "address")["text"]
        assert "127.0.0." in text or "::1" in text, text
    assert not inside.requests
    assert again.taken[0].path == "/hook/other"


def certificates(directory):
    """A CA, and one of localhost by it: (ca, (certificate, key))."""
    directory.mkdir(exist_ok=True)
    at = str(directory)
    parts.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout", f"{at}/ca.key", "-out", f"{at}/ca.crt", "-days", "2", "-subj",
               "/CN=test CA"])
    parts.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-keyout", f"{at}/key", "-out", f"{at}/csr", "-subj", "/CN=localhost"])
    pathlib.Path(f"{at}/ext").write_text("subjectAltName=DNS:localhost\n")
    parts.run(["openssl", "x509", "-req", "-in", f"{at}/csr", "-CA", f"{at}/ca.crt", "-CAkey",
               f"{at}/ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{at}/ext", "-out",
               f"{at}/crt"])
    return f"{at}/ca.crt", (f"{at}/crt", f"{at}/key")


def test_certificates_are_verified(stage):
    ca, pair = certificates(stage.directory / "tls")
    other, _ = certificates(stage.directory / "other")
    target = stage.add(hook.Hook(tls=pair))
    named = f"https://127.0.0.1:{target.port}/hook"
    relay = relay_for(stage, [item(target, "good", ca=ca), item(target, "wrong", ca=other),
                              item(target, "none"), item(named, "named", ca=ca)],
                      )
    # localhost may be ::1 first
    relay.submit("a@b.example")
    target.wait_events(2)
    for name in ("wrong", "none", "named"):
        wait_problem(relay, name, "tls")
    assert len({hook.digest(r) for r in target.requests}) == len(target.taken)


def test_a_connection_of_another_one_is_none_to_where_it_may_not_connect(stage):
    """Their requests are made by one client, which keeps connections."""
    ca, pair = certificates(stage.directory / "tls")
    target = stage.add(hook.Hook(tls=pair))
    relay = relay_for(stage, [item(target, "good", ca=ca),
                              item(target, "stranger", ca=ca, allow="[]", batch_wait="3s")])
    relay.submit("a@b.example")
    target.wait_events(2)
    for i in range(20):  # so that there is one whenever the stranger comes
        relay.submit(f"a{i}@b.example")
        time.sleep(0.2)
    text = wait_problem(relay, "stranger", "address")["text"]
    assert "127.0.0." in text or "::1" in text, text
    got = target.wait_events(42)
    assert hook.once_each(got) == got


def test_oauth_tokens_are_asked_for_kept_and_renewed(stage):
    tokens = []

    def login(request):
        assert request.headers["Authorization"] == (
            "Basic " + base64.b64encode(b"relay%20one:s%3Acret").decode())
        assert request.body == b"grant_type=client_credentials&scope=events%20all"
        tokens.append(f"token-{len(tokens)}")
        return 200, {}, json.dumps({"access_token": tokens[-1], "token_type": "Bearer",
                                    "expires_in": 3600}).encode()

    revoked = set()

    def act(request):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        return 401 if token in revoked or token not in tokens else None

    desk, target = stage.add(hook.Hook(login)), stage.add(hook.Hook(act))
    oauth = (f'{{token_url: "{desk.url}", client_id: "relay one", client_secret: "s:cret", '
             f'scope: "events all"}}')
    relay = relay_for(stage, [item(target, oauth=oauth)])
    relay.submit("a@b.example")
    target.wait_events(2)
    relay.submit("b@b.example")
    target.wait_events(4)
    assert tokens == ["token-0"]
    revoked.add("token-0")
    relay.submit("c@b.example")
    got = target.wait_events(6)
    assert tokens == ["token-0", "token-1"] and hook.once_each(got) == got
    said = relay.log.read_text() + relay.cli("status", "--json").stdout + relay.cli(
        "events", "sinks", "--json").stdout + relay.cli("webhook", "list", "--json").stdout
    for secret in ("s:cret", "s%3Acret", "token-"):
        assert secret not in said


def test_one_that_hangs_delays_no_other_and_no_mail(stage):
    release = threading.Event()
    slow = stage.add(hook.Hook(lambda request: (release.wait(60), None)[1]))
    good = stage.add(hook.Hook())
    relay = relay_for(stage, [item(slow, "slow", timeout="3s"), item(good, "good")])
    for i in range(10):
        relay.submit(f"a{i}@b.example")
    relay.wait_empty()
    good.wait_events(20, patience=10)
    assert wait_problem(relay, "slow", "slow")
    assert sinks(relay)["good"]["state"] == "current"
    release.set()
    # What hung is told again, so some come twice.
    parts.wait_for(lambda: len(hook.once_each(slow.events())) == 20, "each event of the slow one")


def test_after_retry_for_events_are_given_up_and_told_as_a_gap(stage):
    bad = [True]
    # Asked twice, and no sooner than what is old has come to be so.
    unwell = (503, {"Retry-After": "62"})
    target = stage.add(hook.Hook(lambda request: unwell if bad[0] else None))
    relay = relay_for(stage, [item(target, retry_for="60s", kinds="[delivered]", batch_events=10)])
    relay.cli("webhook", "pause", "main")
    for i in range(5):
        relay.submit(f"a{i}@b.example")
    relay.wait_events(10)
    relay.cli("webhook", "resume", "main")
    wait_problem(relay, "main", "answer")
    time.sleep(30)
    relay.submit("late@b.example")

    def given_up():
        return relay.metrics().get('ringpost_sink_gap_events_total{sink="main"}', 0) >= 5
    parts.wait_for(given_up, "events to be given up", pause=0.5)
    relay.kill()  # the gap is owed over a crash
    bad[0] = False
    relay.start()
    got = target.wait_events(2)
    assert [event["kind"] for event in got] == ["gap", "delivered"]
    event_schema.hold_gap(got[0])
    assert got[0]["events"] == 5 and got[0]["rule"] == "webhooks.retry_for"
    assert got[1]["recipient"] == "late@b.example"


def test_retry_for_goes_on_over_a_crash(stage):
    bad = [True]
    target = stage.add(hook.Hook(lambda request: 503 if bad[0] else None))
    relay = relay_for(stage, [item(target, retry_for="60s", kinds="[delivered]")])
    relay.submit("a@b.example")
    wait_problem(relay, "main", "answer")
    first = time.monotonic()
    time.sleep(45)
    relay.kill()
    time.sleep(10)
    relay.start()

    def given_up():
        return relay.metrics().get('ringpost_sink_gap_events_total{sink="main"}', 0) >= 1
    parts.wait_for(given_up, "the event to be given up", pause=0.5)
    assert 59 < time.monotonic() - first < 110  # from the start on it would be 115 and more
    bad[0] = False
    assert [event["kind"] for event in target.wait_events(1)] == ["gap"]
    parts.wait_for(lambda: "\nfailing " not in
                   (relay.state_dir / "events" / "sinks" / "main").read_text(), "an end of it")


def test_problem_is_told_since_before_a_crash(stage):
    target = stage.add(hook.Hook(lambda request: 503))
    relay = relay_for(stage, [item(target)])
    relay.submit("a@b.example")
    first = wait_problem(relay, "main", "answer")["since"]
    relay.kill()
    time.sleep(0.1)
    killed = datetime.datetime.utcnow()
    relay.start()
    again = wait_problem(relay, "main", "answer")["since"]
    assert first <= again < killed.isoformat(timespec="milliseconds")
    after = (datetime.datetime.utcnow() - killed).total_seconds()
    assert relay.metrics()['ringpost_sink_problem_seconds{sink="main"}'] > after


def test_pause_resume_and_replay(stage):
    target = stage.add(hook.Hook())
    relay = relay_for(stage, [item(target)])
    relay.submit("a@b.example")
    target.wait_events(2)
    relay.cli("webhook", "pause", "main")
    assert sinks(relay)["main"]["state"] == "paused"
    relay.submit("b@b.example")
    relay.wait_events(4)
    relay.stop()
    relay.start()
    time.sleep(1)
    assert len(target.events()) == 2 and sinks(relay)["main"]["state"] == "paused"
    relay.stop()
    relay.cli("webhook", "resume", "main")  # without a daemon
    relay.start()
    target.wait_events(4)
    relay.cli("events", "replay", "--sink", "main", "--since", "1h")
    got = target.wait_events(8)
    assert len(hook.once_each(got)) == 4


def test_one_that_is_paused_is_not_tried(stage):
    target = stage.add(hook.Hook(lambda request: 500))
    relay = relay_for(stage, [item(target)])
    relay.submit("a@b.example")
    wait_problem(relay, "main", "answer")
    relay.cli("webhook", "pause", "main")
    time.sleep(0.3)
    before = len(target.requests)
    time.sleep(4)
    assert len(target.requests) == before
    target.act = None
    relay.cli("webhook", "resume", "main")
    assert len(hook.once_each(target.wait_events(2))) == 2


def test_kill_9_at_least_once_with_the_same_ids_in_order(stage):
    count = [0]

    def act(request):
        count[0] += 1
        return 503 if count[0] % 5 == 0 else None

    target = stage.add(hook.Hook(act))
    relay = relay_for(stage, [item(target, batch_events=7, batch_wait="20ms")])
    for turn in range(4):
        for i in range(30):
            relay.submit(f"t{turn}-{i}@b.example")
        relay.kill()
        relay.start()
    relay.wait_empty()
    told = {event["event_id"]: event for event in relay.events()}

    def all_there():
        return {event["event_id"] for event in target.events()} >= set(told)
    parts.wait_for(all_there, "every event", pause=0.3)
    got = hook.once_each(target.events())
    assert {event["event_id"] for event in got} == set(told)
    for event in got:
        assert event == told[event["event_id"]]
    relay.cli("events", "audit")


def test_tenants_have_their_own_and_see_their_own_mail_alone(stage):
    ours, theirs, everything = (stage.add(hook.Hook()) for _ in range(3))
    sink = stage.sink()
    ports = parts.free_ports(2)
    relay = stage.unstarted_ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        webhooks=f"[{item(everything)}]")
    relay.write_config(listeners="[" + ", ".join(
        f'{{address: "127.0.0.1:{port}", service: submission, trust: ["127.0.0.0/8"], '
        f'tenant: {tenant}}}' for port, tenant in zip(ports, ("shop", "club"))) + "]")
    for tenant in ("shop", "club"):
        relay.cli("tenant", "add", tenant)
    secret = stage.directory / "secret"
    secret.write_text("s3cret-word\n")
    added = relay.cli("webhook", "add", "shop", ours.url, "--allow", "127.0.0.1/32",
                      "--batch-wait", "100ms", "--user", "me", "--password-file", secret, "--json")
    key = json.loads(added.stdout)["public_key"]
    relay.start()
    relay.cli("webhook", "add", "club", theirs.url, "--allow", "127.0.0.1/32", "--kinds",
              "delivered", "--name", "x1", "--batch-wait", "100ms")
    parts.wait_for(lambda: "club.x1" in sinks(relay), "the new webhook")
    for port, who in zip(ports, ("shop", "club")):
        relay.port = port
        for i in range(5):
            relay.submit(f"{who}{i}@b.example")
    everything.wait_events(20)
    got = ours.wait_events(10)
    assert {event["tenant"] for event in got} == {"shop"}
    assert ours.taken[0].headers["Authorization"] == (
        "Basic " + base64.b64encode(b"me:s3cret-word").decode())
    assert hook.verify(key, ours.taken[0])
    got = theirs.wait_events(5)
    assert {(event["tenant"], event["kind"]) for event in got} == {("club", "delivered")}
    listed = relay.cli("webhook", "list").stdout
    assert "shop.hook" in listed and "club.x1" in listed and "main" in listed
    assert "club.x1" not in relay.cli("webhook", "list", "shop").stdout
    said = (listed + relay.log.read_text() + relay.cli("webhook", "show", "shop.hook").stdout
            + relay.cli("directory", "audit").stdout + relay.cli("status", "--json").stdout)
    assert "s3cret-word" not in said
    assert (relay.state_dir / "directory.db").stat().st_mode & 0o777 == 0o600

    relay.cli("webhook", "remove", "club.x1")
    parts.wait_for(lambda: "club.x1" not in sinks(relay), "the webhook to go")
    parts.wait_for(lambda: not (relay.state_dir / "events/sinks/club.x1").exists(), "its place to go")
    assert not (relay.state_dir / "keys/webhooks/club.x1.pem").exists()
    assert relay.cli("webhook", "remove", "club.x1", check=False).returncode == 1
    for wrong, words in ((("nobody", "https://example.net/"), "no tenant nobody"),
                         (("shop", "http://example.net/"), "plain http"),
                         (("shop", ours.url, "--allow", "127.0.0.1/32"), "choose another")):
        done = relay.cli("webhook", "add", *wrong, check=False)
        assert done.returncode != 0 and words in done.stderr, done


def test_check_refuses_what_cannot_be(stage):
    target = stage.add(hook.Hook())
    relay = relay_for(stage, [item(target)])
    wrong = [
        (item("http://example.net/x", allow="[]"), "plain http"),
        (item("ftp://example.net/x"), "expected https"),
        (item("https://me:pw@example.net/x"), "have keys of their own"),
        (item(target, kinds="[delivred]"), 'no kind "delivred"'),
        (item(target, kinds="[rejected]", format="sendgrid"), "has no"),
        (item(target, user="me"), "one of them is missing"),
        (item(target, ca="/nowhere.pem"), "/nowhere.pem"),
        (item(target, name="kafka"), "kafka"),
        (item(target, batch_size="1KiB"), "batch_size"),
    ]
    for hook_item, words in wrong:
        relay.write_config(webhooks=f"[{hook_item}]")
        done = relay.cli("check", check=False)
        assert done.returncode != 0 and words in done.stdout + done.stderr, (hook_item, done)


def test_tags_choose_and_batches_keep_their_bounds(stage):
    tagged, small = stage.add(hook.Hook()), stage.add(hook.Hook())
    relay = relay_for(stage, [item(tagged, "tagged", tags="[news, offers]"),
                              item(small, "small", batch_size="256KiB", batch_wait="3s")],
                      labels="{tags: X-Labels}")
    for i, tags in enumerate(("news", "receipt, offers", "receipt", "")):
        relay.submit(f"a{i}@b.example", headers=f"X-Labels: {tags}\r\n" if tags else "")
    got = tagged.wait_events(4)
    relay.wait_empty()
    told = small.wait_events(8)
    assert len(hook.once_each(told)) == 8
    time.sleep(1)
    assert {event["recipient"] for event in hook.once_each(tagged.events())} == {
        "a0@b.example", "a1@b.example"}, got
    assert {tuple(event["tags"]) for event in got} == {("news",), ("receipt", "offers")}
    with relay.smtp() as smtp:
        smtp.ehlo("client.example")
        smtp.mail("app@client.example")
        for i in range(400):
            assert smtp.rcpt(f"b{i}@b.example")[0] == 250
        assert smtp.data(b"Subject: x\r\n\r\nhi\r\n")[0] == 250
    assert len(hook.once_each(small.wait_events(808))) == 808
    sizes = [len(request.body) for request in small.taken]
    assert max(sizes) <= 256 << 10 and sum(size > 200 << 10 for size in sizes) >= 2, sizes


def test_redirects_stay_posts_and_never_leave_https(stage):
    ca, pair = certificates(stage.directory / "tls")
    plain = stage.add(hook.Hook())
    secure = stage.add(hook.Hook(lambda request: (301, {"Location": plain.url}), tls=pair))
    moved = stage.add(hook.Hook())
    moved.act = lambda request: None if "new" in request.path else (
        302, {"Location": f"{moved.url}/new"})
    around = stage.add(hook.Hook())
    around.act = lambda request: (307, {"Location": f"{around.url}/{len(around.requests)}"})
    other = stage.add(hook.Hook(address="127.0.0.2"))
    leads = stage.add(hook.Hook(lambda request: (308, {"Location": other.url})))
    everywhere = '["127.0.0.0/8", "::1/128"]'
    relay = relay_for(stage, [
        item(secure, "secure", ca=ca, allow=everywhere), item(moved, "moved"),
        item(around, "around"),
        item(leads, "leads", allow=everywhere, user="me", password="pw1x")])
    relay.submit("a@b.example")
    got = moved.wait_events(2)
    assert moved.taken[0].path == "/hook/new" and hook.once_each(got) == got
    assert wait_problem(relay, "secure", "unreachable")
    assert secure.requests and not plain.requests
    assert wait_problem(relay, "around", "unreachable")

    def paths():
        return [request.path for request in list(around.requests)]
    parts.wait_for(lambda: paths().count("/hook") == 2, "another try")
    assert paths()[:5] == ["/hook", "/hook/1", "/hook/2", "/hook/3", "/hook"]
    other.wait_events(2)
    assert all("Authorization" in request.headers for request in leads.requests)
    assert all("Authorization" not in request.headers for request in other.requests)


def test_oauth_tokens_are_asked_for_again_when_they_end(stage):
    tokens = []

    def login(request):
        tokens.append(f"token-{len(tokens)}")
        return 200, {}, json.dumps({"access_token": tokens[-1], "token_type": "bearer",
                                    "expires_in": 22}).encode()

    desk, target = stage.add(hook.Hook(login)), stage.add(hook.Hook())
    oauth = f'{{token_url: "{desk.url}", client_id: "relay", client_secret: "secret"}}'
    relay = relay_for(stage, [item(target, oauth=oauth)])
    relay.submit("a@b.example")
    target.wait_events(2)
    time.sleep(2.5)  # it is renewed 20 s before its end
    relay.submit("b@b.example")
    target.wait_events(4)
    used = [request.headers["Authorization"] for request in target.taken]
    assert used[0] == "Bearer token-0" and used[-1] == f"Bearer {tokens[-1]}" != used[0]


def hold_told_as_sinks(relay, reply):
    """Nobody is told that the spool is full: it is not."""
    assert reply == b"4.3.1 Receivers of events are too far behind, try again later"
    assert relay.metrics()["ringpost_spool_full"] == 0
    assert not relay.status()["spool"]["full"] and relay.status()["space"]["sinks_full"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{relay.metrics_port}/health", timeout=10)
    assert refused.value.code == 503
    assert refused.value.read().startswith(b"sinks of events too far behind:")
    log = relay.log.read_text()
    assert "events.sink_budget: new mail is answered 452" in log
    assert " rule=events.sink_budget " in log and "spool-full" not in log


@pytest.mark.parametrize("choice", ["gap", "refuse"])
def test_beyond_the_budget_events_are_left_out_or_mail_is_refused(stage, choice):
    """Local parts that do not compress, until what a webhook that is down holds back is too much."""
    bad = [True]
    down = stage.add(hook.Hook(lambda request: 503 if bad[0] else None))
    chosen = stage.add(hook.Hook(lambda request: 503 if bad[0] else None))
    relay = relay_for(stage, [item(down), item(chosen, "chosen", kinds="[delivered]")],
                      events=f"{{file_size: 256KiB, retention_size: 1MiB, sink_budget: 1MiB, "
                             f"sink_full: {choice}}}")
    accepted, refusals = 0, []

    def send():
        nonlocal accepted
        with relay.smtp() as smtp:
            smtp.ehlo("client.example")
            code, text = smtp.mail("app@client.example")
            if code != 250:
                refusals.append(text)
                return code
            for _ in range(100):
                smtp.rcpt(f"{secrets.token_hex(30)}@b.example")
            code, text = smtp.data(b"Subject: x\r\n\r\nhi\r\n")
            accepted += 100 if code == 250 else 0
            if code != 250:
                refusals.append(text)
            return code

    def is_beyond():
        code, metrics = send(), relay.metrics()
        left_out = [metrics.get(f'ringpost_sink_gap_events_total{{sink="{name}"}}', 0)
                    for name in ("main", "chosen")]  # of deliveries: a while after the others
        return code == 452 if choice == "refuse" else all(left_out)
    parts.wait_for(is_beyond, "the budget to be used up", patience=4 * parts.PATIENCE, pause=0)
    assert relay.metrics()["ringpost_sinks_full"] == (choice == "refuse")
    if choice == "refuse":
        hold_told_as_sinks(relay, refusals[0])
    bad[0] = False
    if choice == "refuse":
        parts.wait_for(lambda: send() == 250, "mail to be taken again")
    relay.wait_empty()

    def count(target):
        return sum(event["events"] if event["kind"] == "gap" else 1
                   for event in hook.once_each(target.events()))
    for target, each in ((down, 2), (chosen, 1)):
        # It failed for long, so it is tried again only after a while.
        parts.wait_for(lambda: count(target) >= each * accepted, "every event, or its gap",
                       patience=5 * parts.PATIENCE)
        assert count(target) == each * accepted
        gaps = [event for event in target.events() if event["kind"] == "gap"]
        for gap in gaps:
            event_schema.hold_gap(gap)
            assert gap["rule"] == "events.sink_budget"
        assert bool(gaps) == (choice == "gap")


# --- the helpers that SendGrid gives its customers ------------------------------------------------

CACHE = pathlib.Path.home() / ".cache" / "ringpost"


def fetched(name, command):
    """The folder that `command` (with {} for it) fills, once; a skip with the reason otherwise."""
    folder = CACHE / name
    if not folder.is_dir():
        fresh = folder.with_name(f".{name}.{time.time_ns()}")
        fresh.mkdir(parents=True)
        try:
            done = parts.run([word.format(fresh) for word in command], check=False, timeout=180)
        except AssertionError as error:
            pytest.skip(f"{name}: {error}")
        if done.returncode != 0:
            pytest.skip(f"{name} cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
        fresh.rename(folder)
    return folder


@pytest.fixture
def signed(stage):
    target = stage.add(hook.Hook())
    relay = relay_for(stage, [item(target, format="sendgrid")])
    relay.submit("a@b.example")
    target.wait_events(2)
    request = target.taken[0]
    return (public_key(relay, "main"), request.body, request.headers[hook.SIGNATURE],
            request.headers[hook.TIMESTAMP])


def test_sendgrids_helper_for_python_accepts_the_signature(stage, signed):
    folder = fetched("sendgrid-python", ["pip3", "install", "-q", "--target", "{}", "sendgrid"])
    script = stage.directory / "verify.py"
    script.write_text("""
import json, sys
from sendgrid.helpers.eventwebhook import EventWebhook
key, body, signature, timestamp = json.load(sys.stdin)
hook = EventWebhook()
key = hook.convert_public_key_to_ecdsa(key)
print(hook.verify_signature(body, signature, timestamp, key),
      hook.verify_signature(body + " ", signature, timestamp, key),
      hook.verify_signature(body, signature, timestamp + "0", key))
""")
    key, body, signature, timestamp = signed
    done = parts.run(["/usr/bin/python3", script], env={"PYTHONPATH": str(folder)},
                     input=json.dumps([key, body.decode(), signature, timestamp]))
    assert done.stdout.split() == ["True", "False", "False"]


def test_sendgrids_helper_for_node_accepts_the_signature(stage, signed):
    folder = fetched("sendgrid-node", ["npm", "install", "--silent", "--no-audit", "--no-fund",
                                       "--ignore-scripts", "--prefix", "{}",
                                       "@sendgrid/eventwebhook"])
    script = stage.directory / "verify.js"
    script.write_text(f"""
const {{EventWebhook}} = require({json.dumps(str(folder / "node_modules/@sendgrid/eventwebhook"))});
const [key, body, signature, timestamp] = JSON.parse(require("fs").readFileSync(0));
const hook = new EventWebhook();
const made = hook.convertPublicKeyToECDSA(key);
console.log(hook.verifySignature(made, body, signature, timestamp),
            hook.verifySignature(made, body + " ", signature, timestamp),
            hook.verifySignature(made, body, signature, timestamp + "0"));
""")
    key, body, signature, timestamp = signed
    done = parts.run(["node", script],
                     input=json.dumps([key, body.decode(), signature, timestamp]))
    assert done.stdout.split() == ["true", "false", "false"]
