"""Ports that come and go: sockets handed over at the start, listeners that a reload adds or takes
away."""

import contextlib
import os
import smtplib
import socket
import subprocess
import threading

import parts

TRUST = 'trust: ["127.0.0.0/8"]'


def listeners(*ports, trust=TRUST):
    return "[" + ", ".join(f'{{address: "{port if ":" in str(port) else f"127.0.0.1:{port}"}", '
                           f"service: submission, {trust}}}" for port in ports) + "]"


class Activator:
    """Holds listening sockets and hands them to each relay it starts, as systemd does."""

    def __init__(self, *sockets):
        self.sockets = sockets

    def fds(self):
        return [s.fileno() for s in self.sockets]

    def argv(self, relay, command):
        moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(self.fds()))
        script = f'export LISTEN_PID=$$ LISTEN_FDS={len(self.sockets)}; exec "$@" {moves}'
        return ["bash", "-c", script, "bash", parts.PROGRAM, "-c", relay.config_file, command]

    def check(self, relay):
        return subprocess.run(self.argv(relay, "check"), pass_fds=self.fds(), capture_output=True,
                              text=True, timeout=parts.PATIENCE, check=False)

    def start(self, relay, wait=True):
        relay.spawn(self.argv(relay, "serve"), pass_fds=self.fds())
        if wait:
            relay.wait_ready()
        return relay

    def close(self):
        for s in self.sockets:
            s.close()


def out_of_the_way(s):
    """Of the numbers that a socket gets in the relay: from 3 on."""
    kept = []
    while s.fileno() < 3 + 2:
        kept.append(s)
        s = socket.socket(fileno=os.dup(s.fileno()))
    for early in kept:
        early.close()
    return s


def bound(host="127.0.0.1", family=socket.AF_INET, only6=True):
    s = socket.socket(family)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only6))
    s.bind((host, 0))
    s.listen(1024)
    return out_of_the_way(s)


def test_a_restart_behind_inherited_sockets_refuses_nobody(stage):
    sink = stage.sink()
    listening = bound()
    port = listening.getsockname()[1]
    relay = stage.unstarted_ringpost(
        listeners=listeners(port), routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    relay.port = port
    activator = Activator(listening)
    outcomes = {"greeted": 0, "busy": 0, "refused": [], "submitted": 0}
    is_over = threading.Event()

    def knock():
        while not is_over.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", port, timeout=parts.PATIENCE) as smtp:
                    smtp.ehlo("client.example")
                    smtp.sendmail("a@client.example", ["b@receiver.example"],
                                  b"Subject: x\r\n\r\nx\r\n")
                    outcomes["submitted"] += 1
            except (ConnectionRefusedError, socket.timeout) as error:
                outcomes["refused"].append(repr(error))
            except (smtplib.SMTPException, OSError):
                outcomes["busy"] += 1  # 421 of a stop, in the middle of a session

    knocker = threading.Thread(target=knock)
    activator.start(relay)
    assert "inherited" in relay.log.read_text()
    knocker.start()
    try:
        for _ in range(3):
            before = outcomes["submitted"]
            parts.wait_for(lambda: outcomes["submitted"] > before + 5, "mail to be taken")
            relay.stop()
            activator.start(relay)
        before = outcomes["submitted"]
        parts.wait_for(lambda: outcomes["submitted"] > before + 5, "mail to be taken")
    finally:
        is_over.set()
        knocker.join()
        activator.close()
    assert outcomes["refused"] == []
    relay.wait_empty()
    assert len(relay.events(kind="delivered")) >= outcomes["submitted"]


def test_inherited_sockets_that_cannot_be_used_are_told(stage):
    good, other = bound(), bound()
    relay = stage.unstarted_ringpost(listeners=listeners(good.getsockname()[1]))
    both = Activator(good, other)
    both.start(relay)
    relay.wait_log(f"socket=127.0.0.1:{other.getsockname()[1]}")
    relay.stop()
    both.close()

    for socket_, why in ((out_of_the_way(socket.socketpair()[0]), "no stream socket that listens"),
                         (bound("::", socket.AF_INET6, only6=False), "ipv6-only")):
        relay = stage.unstarted_ringpost()
        one = Activator(socket_)
        one.start(relay, wait=False)
        assert relay.child.wait(parts.PATIENCE) == 78, relay.tail()
        relay.child = None
        assert why in relay.log.read_text(), relay.tail()
        one.close()


def test_check_takes_what_is_handed_over(stage):
    here, elsewhere = bound(), bound()
    relay = stage.unstarted_ringpost(listeners=listeners(here.getsockname()[1]))
    activator = Activator(here)
    done = activator.check(relay)
    assert done.returncode == 0, done.stderr
    with socket.create_connection(here.getsockname(), parts.PATIENCE):
        here.settimeout(parts.PATIENCE)
        here.accept()[0].close()  # it listens as before, and blocks as before
    done = Activator(elsewhere).check(relay)
    assert done.returncode == 78 and "another program has this port" in done.stderr, done.stderr
    odd = Activator(here, out_of_the_way(socket.socketpair()[0]))
    done = odd.check(relay)
    assert done.returncode == 78, done.stderr
    assert "no stream socket that listens" in done.stderr, done.stderr
    assert "another program" not in done.stderr, done.stderr
    odd.close()
    elsewhere.close()


def greeting(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as s:
        return s.recv(512)[:3]
    return None


def test_a_reload_adds_and_removes_listeners(stage):
    sink = stage.sink()
    old, new = parts.free_ports(2)
    relay = stage.unstarted_ringpost(
        listeners=listeners(old), routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    relay.start()
    assert greeting(old) == b"220" and greeting(new) is None
    with smtplib.SMTP("127.0.0.1", old, timeout=parts.PATIENCE) as smtp:
        smtp.ehlo("client.example")
        relay.write_config(listeners=listeners(old, new))
        relay.cli("reload")
        assert greeting(old) == b"220" and greeting(new) == b"220"
        relay.port = new
        relay.submit("one@receiver.example")
        relay.write_config(listeners=listeners(new))
        relay.cli("reload")
        assert greeting(old) is None and greeting(new) == b"220"
        # The session that came in by the port that went goes on.
        smtp.sendmail("a@client.example", ["two@receiver.example"], b"Subject: x\r\n\r\nx\r\n")
    # And back: another listener in the same place, which trusts nobody.
    relay.write_config(listeners=listeners(new, old, trust="trust: []"))
    relay.cli("reload")
    with smtplib.SMTP("127.0.0.1", old, timeout=parts.PATIENCE) as smtp:
        smtp.ehlo("client.example")
        assert smtp.mail("a@client.example")[0] == 530
    relay.wait_events(2, kind="delivered")
    for _ in range(80):  # slots are used again
        relay.write_config(listeners=listeners(new))
        relay.cli("reload")
        relay.write_config(listeners=listeners(new, old))
        relay.cli("reload")
    assert greeting(old) == b"220"


def test_the_log_names_who_each_listener_is_for(stage):
    services = dict(zip(("submission", "inbound", "imap", "pop3"), parts.free_ports(4)))
    rows = ", ".join(f'{{address: "127.0.0.1:{port}", service: {service}}}'
                     for service, port in services.items())
    relay = stage.ringpost(listeners=f"[{rows}]")
    for service, port in services.items():
        relay.wait_log(f"listener=127.0.0.1:{port} service={service} ")


def test_a_port_that_cannot_be_had_refuses_the_reload_whole(stage):
    taken = bound()
    old, new = parts.free_ports(2)
    relay = stage.unstarted_ringpost(listeners=listeners(old))
    relay.start()
    relay.write_config(listeners=listeners(new, taken.getsockname()[1]))
    done = relay.cli("reload", check=False)
    assert done.returncode == 1 and "another program has this port" in done.stderr, done.stderr
    assert f"127.0.0.1:{taken.getsockname()[1]}" in done.stderr
    assert greeting(old) == b"220" and greeting(new) is None
    relay.write_config(listeners=listeners(f"0.0.0.0:{old}"))
    done = relay.cli("reload", check=False)
    assert done.returncode == 1 and "take that one away with a reload first" in done.stderr
    assert greeting(old) == b"220"
    before = relay.descriptors()
    for _ in range(10):
        assert relay.cli("reload", check=False).returncode == 1
    parts.wait_for(lambda: relay.descriptors() <= before + 3, "what was opened to be closed")
    taken.close()


def test_clients_keep_coming_while_listeners_change(stage):
    """No connection that was let in is dropped by a reload."""
    sink = stage.sink()
    fixed, moving = parts.free_ports(2)
    relay = stage.unstarted_ringpost(
        listeners=listeners(fixed, moving), routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    relay.start()
    is_over = threading.Event()
    dropped = []

    def knock():
        while not is_over.is_set():
            with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):
                with socket.create_connection(("127.0.0.1", moving), 5) as s:
                    s.settimeout(parts.PATIENCE)
                    try:
                        first = s.recv(512)
                    except ConnectionResetError:
                        first = b"reset"  # it waited in the backlog of a port that went
                    if first[:3] != b"220" and first != b"reset":
                        dropped.append(first)

    knockers = [threading.Thread(target=knock) for _ in range(4)]
    for thread in knockers:
        thread.start()
    try:
        for _ in range(20):
            relay.write_config(listeners=listeners(fixed))
            relay.cli("reload")
            relay.write_config(listeners=listeners(fixed, moving))
            relay.cli("reload")
    finally:
        is_over.set()
        for thread in knockers:
            thread.join()
    assert dropped == []
