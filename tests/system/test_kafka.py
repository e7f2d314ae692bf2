"""Events in a real Apache Kafka: nothing lost, nothing reordered within a message, mail unaffected,
whatever happens to either side. One broker serves the tests of this file."""

import collections
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import kafka
import parts

CONSUMER = parts.ROOT / "docs" / "examples" / "kafka_consumer.py"


def make_certificate(directory):
    """A key and a certificate for 127.0.0.1, in one file as brokers want it, and the latter alone."""
    key, certificate = directory / "broker.key", directory / "broker.crt"
    parts.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
               certificate, "-days", "2", "-subj", "/CN=127.0.0.1",
               "-addext", "subjectAltName=IP:127.0.0.1"])
    both = directory / "broker.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return both, certificate


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kafka")
    pem, certificate = make_certificate(directory)
    port, controller, tls_port, mutual_port = parts.free_ports(4)
    made = kafka.Broker(directory, ports=(port, controller), auto_create_topics_enable="false")
    made.properties.update({
        "listeners": f"{made.properties['listeners']},SECURE://127.0.0.1:{tls_port},"
                     f"MUTUAL://127.0.0.1:{mutual_port}",
        "listener.security.protocol.map":
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config":
            "org.apache.kafka.common.security.plain.PlainLoginModule required "
            'user_relay="right-password";',
        "listener.name.secure.ssl.keystore.type": "PEM",
        "listener.name.secure.ssl.keystore.location": pem,
        "listener.name.mutual.ssl.keystore.type": "PEM",
        "listener.name.mutual.ssl.keystore.location": pem,
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": certificate,
        "listener.name.mutual.ssl.client.auth": "required",
        # Who comes without a login may do everything, others what nothing forbids.
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "true",
    })
    made.tls_port, made.certificate = tls_port, certificate
    made.mutual_port, made.pem = mutual_port, pem
    made.start()
    yield made
    if made.running():
        made.stop()


def kafka_settings(port, topic, options=""):
    return f'{{brokers: ["127.0.0.1:{port}"], topic: {topic}, options: {{{options}}}}}'


def relay_with(stage, broker, topic, sink, **settings):
    return stage.ringpost(routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
                          kafka=kafka_settings(broker.port, topic), **settings)


def sink_state(relay):
    return relay.status()["sinks"][0]


def wait_current(relay):
    parts.wait_for(lambda: sink_state(relay)["state"] == "current"
                   and relay.status()["metrics"]["ringpost_events_lag_bytes"] == 0,
                   "the sink to be current", patience=kafka.PATIENCE, pause=0.2)


def wait_problem(relay, *names):
    def has():
        problem = sink_state(relay)["problem"]
        return problem and problem["name"] in names and problem
    try:
        return parts.wait_for(has, f"the problem {names}", patience=kafka.PATIENCE, pause=0.2)
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {sink_state(relay)}\n{relay.tail()}") from None


def librdkafka_cpu(relay):
    """Seconds that its threads have had."""
    tasks = pathlib.Path(f"/proc/{relay.child.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks
               if (task / "comm").read_text().startswith("rdk:"))


def load(relay, messages):
    done = subprocess.run([parts.LOAD, "--to", f"127.0.0.1:{relay.port}", "--messages",
                           str(messages), "--connections", "4"],
                          capture_output=True, text=True, timeout=parts.PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


def check_topic(relay, messages, topic, port):
    """Every event of the files stands in the topic, under its message's key, and what comes first
    of each message comes in order."""
    relay.wait_empty()
    wait_current(relay)
    events = {e["event_id"]: e for e in relay.events()}
    assert len(events) == 2 * messages
    found = kafka.read(port, topic, len(events))
    seen, last, places = set(), collections.defaultdict(lambda: -1), {}
    for key, partition, _, value in found:
        event = json.loads(value)
        assert event == events[event["event_id"]]
        assert key == event["id"] and places.setdefault(key, partition) == partition
        if event["event_id"] not in seen:
            assert event["seq"] == last[key] + 1, f"{event['event_id']} came too early"
            last[key] = event["seq"]
        seen.add(event["event_id"])
    assert seen == set(events)
    return found


def consume(broker, topic, state):
    done = parts.run(["python3", CONSUMER, f"127.0.0.1:{broker.port}", topic, state],
                     timeout=kafka.PATIENCE)
    return dict(line.split() for line in done.stdout.splitlines())


def test_events_reach_kafka_through_kills_of_both_sides(stage, broker, tmp_path):
    sink = stage.sink()
    topic = "kills"
    relay = relay_with(stage, broker, topic, sink)
    load(relay, 100)
    # Nobody made the topic yet, and the broker may not.
    assert topic in wait_problem(relay, "no-topic")["text"]
    broker.create_topic(topic)
    found = check_topic(relay, 100, topic, broker.port)
    assert len(found) == 200
    assert {h for _, _, h, _ in found} == {"schema=1,kind=accepted", "schema=1,kind=delivered"}
    assert consume(broker, topic, tmp_path / "state") == {"accepted": "100", "delivered": "100"}

    # The broker dies: mail goes on, the relay says so, and stops in time.
    broker.kill()
    load(relay, 300)
    problem = wait_problem(relay, "unreachable")
    assert problem["since"] and "down" in problem["text"]
    relay.wait_empty()
    state = sink_state(relay)
    assert state["state"] == "failing" and state["behind_events"] == 600
    assert state["behind_seconds"] > 0
    assert relay.metrics()['ringpost_sink_behind_events{sink="kafka"}'] == 600
    assert relay.metrics()['ringpost_sink_failing{sink="kafka"}'] == 1
    relay.wait_log("problem=\"unreachable\"")
    begun = time.monotonic()
    relay.stop()
    assert time.monotonic() - begun < 5 + parts.PATIENCE / 4  # stop_timeout, on a busy machine
    relay.start()
    load(relay, 100)

    # It comes back; the relay is killed while it tells what waits.
    broker.start()
    parts.wait_for(lambda: sink_state(relay)["answered"] > 0, "an answer", patience=kafka.PATIENCE)
    relay.kill()
    relay.start()
    load(relay, 100)
    check_topic(relay, 600, topic, broker.port)
    assert consume(broker, topic, tmp_path / "state") == {"accepted": "600", "delivered": "600"}

    # Told again on purpose: the same ids, so whoever keeps them sees nothing twice.
    relay.cli("events", "replay", "--sink", "kafka", "--since", "1h")
    wait_current(relay)
    assert len(kafka.read(broker.port, topic, 2400)) >= 2400
    assert consume(broker, topic, tmp_path / "state") == {"accepted": "600", "delivered": "600"}


def test_tls_and_a_password_that_a_reload_corrects(stage, broker):
    sink = stage.sink()
    broker.create_topic("secure")
    options = (f'security.protocol: sasl_ssl, ssl.ca.location: "{broker.certificate}", '
               'sasl.mechanisms: PLAIN, sasl.username: relay, sasl.password: ')
    relay = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        kafka=kafka_settings(broker.tls_port, "secure", options + "wrong"))
    relay.submit("a@b.example")
    problem = wait_problem(relay, "authentication")
    assert "Invalid username or password" in problem["text"]
    relay.cli("events", "sinks", "pause", "kafka")
    parts.wait_for(lambda: sink_state(relay)["state"] == "paused", "the pause")
    relay.write_config(kafka=kafka_settings(broker.tls_port, "secure", options + "right-password"))
    relay.cli("reload")
    relay.wait_empty()
    assert sink_state(relay)["behind_events"] == 2
    relay.cli("events", "sinks", "resume", "kafka")
    check_topic(relay, 1, "secure", broker.port)
    assert "right-password" not in relay.log.read_text()


def test_a_user_who_may_not_write_to_the_topic(stage, broker):
    """First it may not even know of it, then look at it alone."""
    sink = stage.sink()
    broker.create_topic("guarded")
    broker.allow("guarded", "somebody", "write")
    relay = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        kafka=kafka_settings(
            broker.tls_port, "guarded", "security.protocol: sasl_ssl, sasl.mechanisms: PLAIN, "
            f'ssl.ca.location: "{broker.certificate}", sasl.username: relay, '
            "sasl.password: right-password"))
    load(relay, 20)
    problem = wait_problem(relay, "not-authorized")
    assert "guarded" in problem["text"]
    broker.allow("guarded", "relay", "describe")
    load(relay, 20)
    time.sleep(10)  # it tried a few times more
    later = wait_problem(relay, "not-authorized")
    assert later["since"] == problem["since"]
    assert "authoriz" in later["text"].lower(), later
    relay.wait_log('problem="not-authorized"')
    assert relay.metrics()['ringpost_sink_failing{sink="kafka"}'] == 1
    broker.allow("guarded", "relay", "write")
    check_topic(relay, 40, "guarded", broker.port)
    assert sink_state(relay)["gaps"] == 0


def test_a_certificate_of_ours_that_the_broker_asks_for(stage, broker):
    sink = stage.sink()
    broker.create_topic("mutual")
    options = f'security.protocol: ssl, ssl.ca.location: "{broker.certificate}"'
    relay = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        kafka=kafka_settings(broker.mutual_port, "mutual", options))
    relay.submit("a@b.example")
    relay.wait_empty()
    wait_problem(relay, "tls", "unreachable")
    relay.write_config(kafka=kafka_settings(
        broker.mutual_port, "mutual", f'{options}, ssl.certificate.location: "{broker.pem}", '
        f'ssl.key.location: "{broker.pem}"'))
    relay.cli("reload")
    check_topic(relay, 1, "mutual", broker.port)


def test_a_broker_that_stands_still_holds_nobody_up(stage, broker):
    sink = stage.sink()
    broker.create_topic("still")
    relay = relay_with(stage, broker, "still", sink)
    load(relay, 50)
    relay.wait_empty()
    wait_current(relay)
    broker.child.send_signal(signal.SIGSTOP)
    before = librdkafka_cpu(relay)
    try:
        load(relay, 300)
        relay.wait_empty()
        assert len(relay.events(kind="delivered")) == 350
        problem = wait_problem(relay, "slow", "unreachable")
        assert problem["since"]
        assert sink_state(relay)["behind_events"] == 600
        spent = librdkafka_cpu(relay) - before
        assert spent < 1, f"{spent:.1f} s of CPU while there was nothing to do but wait"
        relay.stop()
        relay.start()
        assert wait_problem(relay, "slow", "unreachable")["since"] <= problem["since"]
    finally:
        broker.child.send_signal(signal.SIGCONT)
    check_topic(relay, 350, "still", broker.port)


def test_an_event_larger_than_the_broker_takes_is_told_in_a_smaller_form(stage, broker):
    """Without compression, so that it is known which event alone is too large for the topic."""
    noise = os.urandom(1200).hex()
    sink = stage.sink("--reject", "rcpt:550:2%")
    broker.create_topic("small", max_message_bytes=1600)
    relay = stage.ringpost(
        routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
        kafka=f'{{brokers: ["127.0.0.1:{broker.port}"], topic: small, compression: none}}')
    load(relay, 300)
    relay.submit("a@b.example", sender="x@y.example",
                 mail_options=[f"ENVID={noise[:100]}"],
                 headers=f"Message-ID: <{noise[:900]}@b.example>\r\n")
    relay.wait_empty()
    wait_current(relay)
    events = {e["event_id"]: e for e in relay.events()}
    told = [json.loads(v) for _, _, _, v in kafka.read(broker.port, "small", len(events))]
    assert {e["event_id"] for e in told} == set(events)
    cut = [e for e in told if e.get("cut")]
    assert cut and all(events[e["event_id"]]["envid"] == noise[:100] for e in cut)
    assert sink_state(relay)["gaps"] == 0
    for event in told:
        whole = events[event["event_id"]]
        assert all(event[key] == whole[key] for key in ("id", "kind", "seq", "time", "recipient"))


def test_check_names_file_line_and_key_of_what_is_wrong(stage):
    relay = stage.unstarted_ringpost()

    def said(text):
        relay.write_config(kafka=text)
        done = relay.cli("check", check=False)
        assert done.returncode == 78, done.stdout
        return done.stderr

    brokers = 'brokers: ["127.0.0.1:9092"]'
    line = 1 + list(relay.settings).index("stop_timeout") + 1
    where = f"{relay.config_file}:{line}: kafka"
    assert f"{where}: no brokers" in said("{topic: x}")
    assert f"{where}.brokers[0]: " in said('{brokers: ["127.0.0.1"]}')
    assert f"{where}.options.linger: " in said(f"{{{brokers}, options: {{linger: 5}}}}")
    assert f"{where}.options.linger.ms: " in said(f"{{{brokers}, options: {{linger.ms: much}}}}")
    assert "always all" in said(f"{{{brokers}, options: {{acks: 1}}}}")
    assert f"{where}: ssl.ca.location failed" in said(
        f'{{{brokers}, options: {{security.protocol: ssl, ssl.ca.location: /nonexistent}}}}')


def test_three_brokers_lose_one(stage, tmp_path):
    """The topic is made by the brokers; the one that dies leads some of its partitions. Topics with
    fewer replicas have to wait until it comes back: it alone has some partitions of one, and one of
    two replicas, both of which are asked for, of the other."""
    ports = parts.free_ports(6)
    voters = ",".join(f"{n}@127.0.0.1:{ports[2 * n - 1]}" for n in (1, 2, 3))
    brokers = [kafka.Broker(tmp_path / str(n), node=n, ports=ports[2 * n - 2:2 * n], voters=voters,
                            default_replication_factor=3, min_insync_replicas=2,
                            num_partitions=6) for n in (1, 2, 3)]
    try:
        for broker in brokers:
            broker.prepare()
        for broker in brokers:
            broker.start(wait=False)
        for broker in brokers:
            broker.wait_ready()
        sink = stage.sink()
        relay = relay_with(stage, brokers[0], "cluster", sink)
        fewer = {"alone": 1, "pair": 2}
        for topic, replicas in fewer.items():
            brokers[0].create_topic(topic, 6, replicas, min_insync_replicas=replicas)
        relays = {topic: relay_with(stage, brokers[0], topic, sink) for topic in fewer}
        load(relay, 200)
        wait_current(relay)
        for other in relays.values():
            load(other, 50)
            wait_current(other)
        brokers[2].kill()
        for one in (relay, *relays.values()):
            load(one, 200)
        check_topic(relay, 400, "cluster", brokers[0].port)
        for topic, other in relays.items():
            problem = wait_problem(other, "no-leader")
            assert problem["since"] and f"topic {topic}: " in problem["text"]
            other.wait_log('problem="no-leader"')
            other.wait_empty()
            # All, where its cursor was not kept yet.
            assert 0 < sink_state(other)["behind_events"] <= 500
        brokers[2].start()
        for topic, other in relays.items():
            check_topic(other, 250, topic, brokers[0].port)
            assert sink_state(other)["gaps"] == 0
    finally:
        for broker in brokers:
            if broker.running():
                broker.kill()


def test_memory_stays_bounded_while_kafka_is_down(stage, broker, monkeypatch):
    """Nobody answers; what is in flight is 2 MiB at the most, the rest stays in the files."""
    if parts.is_sanitized():  # which keep freed memory back, unless they are told not to
        monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=0:thread_local_quarantine_size_kb=0")
    sink = stage.sink()
    broker.create_topic("down")
    relay = relay_with(stage, broker, "down", sink)
    load(relay, 100)
    wait_current(relay)
    broker.kill()
    try:
        sizes, written = [], 100
        for messages in (4000, 8000, 8000):
            load(relay, messages)
            written += messages
            relay.wait_empty()
            wait_problem(relay, "unreachable")
            parts.wait_for(lambda: sink_state(relay)["behind_events"] == 2 * written - 200,
                           "the files", patience=kafka.PATIENCE, pause=0.5)
            time.sleep(6)  # it probed, and began again a few times
            sizes.append(relay.memory())
        assert (relay.state_dir / "events" / "current.jsonl").stat().st_size > 36 << 20
        assert sizes[-1] - sizes[0] < 12 << 20, [size >> 20 for size in sizes]
    finally:
        broker.start()
    wait_current(relay)
    assert sink_state(relay)["answered"] >= 2 * written and sink_state(relay)["gaps"] == 0
