"""The configuration: reloaded again and again, refused with reasons, checked before it is used."""

import contextlib
import ctypes
import email
import email.policy
import json
import os
import re
import resource
import shutil
import socket
import sqlite3
import struct
import threading

import needs
import parts
import pytest
from receiver import SILENT


def reload(relay):
    """As `ringpost reload`, without a program for each."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(parts.PATIENCE)
        control.connect(str(relay.state_dir / "control.sock"))
        control.sendall(b'{"command":"reload"}\n')
        answer = json.loads(control.makefile().readline())
    assert answer.get("done"), answer


class Traffic:
    """A thread that submits one message after the other, to a few domains."""

    def __init__(self, relay):
        self.relay = relay
        self.is_over = threading.Event()
        self.ids = []
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def run(self):
        try:
            while not self.is_over.is_set():
                self.ids.append(self.relay.submit(f"u@d{len(self.ids) % 5}.example"))
        except Exception as error:  # told by the test, which would not hear of it otherwise
            self.error = error


def test_reloads_without_end_and_keeps_only_what_is_used(stage):
    sink = stage.sink()
    holder = stage.receiver(lambda session, where, line: SILENT if where == "rcpt" else None)

    def settings(i):
        """Every list is another one each time, as long as another."""
        name = f"source-{i}"
        return {
            "routes": f'[{{match: held.example, to: ["127.0.0.1:{holder.port}"]}}, '
                      f'{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]',
            "sources": "[" + ", ".join(f"{{name: {name}-{k}}}" for k in range(1 + i % 3)) + "]",
            "delivery": f'{{allow_private: ["127.0.0.0/8"], sites: [{{match: "*", recipients: '
                        f'{1 + i}, connections: {2 + i % 4}}}]}}',
            "limits": f"{{recipients: {200 + i}}}",
        }

    relay = stage.ringpost(**settings(0))
    relay.write_config(**settings(1))
    reload(relay)
    relay.submit("a@held.example")
    parts.wait_for(lambda: any(s.said("RCPT") for s in holder.sessions), "an attempt that hangs")
    with Traffic(relay) as traffic:
        for i in range(2, 202):
            relay.write_config(**settings(i))
            reload(relay)
    assert traffic.error is None and traffic.ids

    def configurations():
        return relay.metrics()["ringpost_configurations"]
    # The first, the one of the attempt that hangs, the newest.
    parts.wait_for(lambda: configurations() == 3, "old configurations to go")
    with relay.smtp() as smtp:
        smtp.ehlo()
        assert "RCPTMAX=401" in smtp.esmtp_features["limits"]
    assert relay.status()["queue"]["recipients"] >= 1
    holder.stop()
    parts.wait_for(lambda: configurations() == 2, "the last attempt's configuration to go")
    parts.wait_for(lambda: {e["id"] for e in relay.events(kind="delivered")} >= set(traffic.ids),
                   "every message to be delivered")
    assert relay.stop() == 0


BLOCK = 4096  #: of the spool (docs/spool.md)


def newer(block):
    """A segment's first block, as if a newer version had written it."""
    xxhash = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    xxhash.restype = ctypes.c_uint64
    xxhash.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    head = block[:8] + struct.pack("<I", struct.unpack("<I", block[8:12])[0] + 1) + block[12:56]
    head += struct.pack("<Q", xxhash(head, 56))
    return (head.ljust(BLOCK // 2, b"\0") + head).ljust(BLOCK, b"\0")


def serve_refused(relay):
    """(exit code, what was said) of a `serve` that must not start."""
    done = relay.cli("serve", check=False)
    return done.returncode, done.stderr


def test_a_spool_that_is_not_ours_is_no_failure_of_the_system(stage):
    """78, which systemd does not answer with a restart (RestartPreventExitStatus)."""
    relay = stage.ringpost(routes='[{match: "*", to: ["127.0.0.1:9"]}]')
    relay.submit("a@example.com")
    relay.stop()

    node = relay.state_dir / "node"
    ours = node.read_text()
    node.write_text("0001\n" if ours != "0001\n" else "0002\n")
    code, said = serve_refused(relay)
    assert code == 78 and "belongs to another node" in said
    node.write_text(ours)

    cursor = relay.state_dir / "events" / "cursor"
    kept = cursor.read_bytes()
    assert kept.startswith(b"ringpost-events 1\n")
    cursor.write_bytes(b"ringpost-events 2\n" + kept.split(b"\n", 1)[1])
    code, said = serve_refused(relay)
    assert code == 78 and "newer version" in said
    cursor.write_bytes(kept)

    segment = sorted((relay.state_dir / "spool" / "00").iterdir())[0]
    kept = segment.read_bytes()
    segment.write_bytes(newer(kept[:BLOCK]) + kept[BLOCK:])
    code, said = serve_refused(relay)
    assert code == 78 and "newer version" in said
    segment.write_bytes(kept)
    relay.start()  # nothing was changed by any of it
    assert relay.status()["queue"]["recipients"] == 1


RECORD_HEAD, ACCEPT, FOOTER = 32, 3, 7


def raise_version(segment, at):
    """A record, as if a newer version had written it."""
    xxhash = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
    xxhash.restype = ctypes.c_uint64
    xxhash.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    sequence, = struct.unpack_from("<I", segment, 16)
    salt, = struct.unpack_from("<Q", segment, 24)
    payload_len, = struct.unpack_from("<I", segment, at + 12)
    segment[at + 25] += 1
    head = bytes(segment[at + 12:at + RECORD_HEAD])
    struct.pack_into("<I", segment, at + 8, xxhash(head, len(head), salt ^ sequence) & 0xffffffff)
    rest = bytes(segment[at + 8:at + RECORD_HEAD + payload_len])
    struct.pack_into("<Q", segment, at, xxhash(rest, len(rest), salt ^ sequence))


def records(segment, kind):
    """Where records of a kind stand."""
    return [at for at in range(BLOCK, len(segment), 8)
            if segment[at + 28:at + 32] == b"RPC1" and segment[at + 24] == kind]


def test_what_is_newer_behind_a_damaged_footer_ends_the_program_in_order(stage):
    """It is found when mail is taken already; the exit code says that a restart would not help."""
    relay = stage.ringpost(routes='[{match: "*", to: ["127.0.0.1:9"]}]', engines="1")
    relay.submit("a@example.com")
    relay.stop()
    path = sorted((relay.state_dir / "spool" / "00").glob("*.seg"))[0]
    segment = bytearray(path.read_bytes())
    accept, footer = records(segment, ACCEPT)[0], records(segment, FOOTER)[-1]
    kept = bytes(segment)
    raise_version(segment, accept)
    segment[footer + RECORD_HEAD] ^= 1
    path.write_bytes(segment)
    relay.start(wait=False)
    assert relay.child.wait(parts.PATIENCE) == 78, relay.tail()
    assert "does not know" in relay.tail() and "what=\"stopping: " in relay.tail()
    assert path.read_bytes() == segment
    path.write_bytes(kept)
    relay.start()
    assert relay.status()["queue"]["recipients"] == 1


def test_adopted_shard_that_is_not_ours_refuses_the_start(stage):
    """The engine's own shard is open by then, and has work under way."""
    relay = stage.ringpost(engines="2")
    relay.stop()
    ours, other = (relay.state_dir / "spool" / number for number in ("00", "01"))
    for path in other.glob("*.seg"):
        path.unlink()
    segment = sorted(ours.glob("*.seg"))[0]
    shutil.copy(segment, other / segment.name)
    relay.write_config(engines="1")
    code, said = serve_refused(relay)
    assert code == 78 and "belongs to another shard" in said, said


def test_refused_start_begins_no_delivery(stage):
    """What the shards that opened found due is left alone, however long the others take."""
    sink = stage.sink()
    relay = stage.ringpost(engines="3", routes='[{match: "*", to: ["127.0.0.1:9"]}]')
    for number in range(12):
        relay.cli("send", "--from", f"s{number}@example.net", "--to", f"r{number}@example.com")
    relay.stop()
    segments = {number: sorted((relay.state_dir / "spool" / number).glob("*.seg"))
                for number in ("00", "01", "02")}
    for path in segments["02"]:
        path.unlink()
    alien = relay.state_dir / "spool" / "02" / segments["00"][0].name
    shutil.copy(segments["00"][0], alien)
    relay.write_config(engines="1", routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    for _ in range(8):
        code, said = serve_refused(relay)
        assert code == 78 and "belongs to another shard" in said, said
    assert not relay.events(kind="delivered")


def complaints(done):
    """What was said on stderr, each line an object."""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines and all(set(line) == {"error", "exit"} for line in lines), done.stderr
    assert lines[-1]["exit"] == done.returncode
    return "\n".join(line["error"] for line in lines)


def test_json_is_said_everywhere(stage):
    relay = stage.ringpost(routes='[{match: "*", to: ["127.0.0.1:9"]}]')
    checked = json.loads(relay.cli("check", "--json").stdout)
    assert checked["hostname"] == "mta1.ringpost.example" and checked["listeners"] == 1
    assert json.loads(relay.cli("reload", "--json").stdout) == {"reloaded": True}
    sent = json.loads(relay.cli("send", "--to", "a@example.com", "--json").stdout)
    assert sent["code"] == 250 and sent["enhanced"] == "2.0.0" and sent["reply"]
    refused = relay.cli("send", "--json", "--to", "nobody", check=False)
    assert refused.returncode == 1 and "RCPT TO:<nobody>: 5" in complaints(refused)
    assert "no recipient" in complaints(relay.cli("send", "--json", check=False))
    good = relay.config_file.read_text()
    relay.config_file.write_text(good + "colour: red\nsize: big\n")
    for command, code in (("check", 78), ("reload", 1)):
        done = relay.cli(command, "--json", check=False)
        assert done.returncode == code
        assert "colour: unknown key" in complaints(done)
    relay.config_file.write_text(good)
    assert complaints(relay.cli("frobnicate", "--json", check=False))


def test_send_prints_whatever_a_server_replies(stage):
    taken = b'250-2.0.0 taken\r\n250 2.0.0 "as" \\ \xfc\r\n'
    refusal = b"550-5.7.1 first line\r\n550 5.7.1 second\r\n"
    server = stage.receiver(lambda session, where, line: taken if where == "content" else
                            refusal if where == "rcpt" and "b@" in line else None)
    relay = stage.unstarted_ringpost()
    named = f"localhost:{server.port}"
    sent = relay.cli("send", "--server", named, "--to", "a@example.com", "--json")
    assert json.loads(sent.stdout) == {"code": 250, "enhanced": "2.0.0", "reply": 'taken\n"as" \\ \ufffd'}
    refused = relay.cli("send", "--server", named, "--to", "b@example.com", check=False)
    assert refused.returncode == 1
    assert "RCPT TO:<b@example.com>: 550 5.7.1 first line / second" in refused.stderr
    for wrong in ("[::1", "localhost:", "localhost:smtp", ":25"):
        done = relay.cli("send", "--server", wrong, "--to", "a@example.com", check=False)
        assert done.returncode == 64 and "HOST:PORT" in done.stderr, wrong


def test_send_encodes_a_subject_and_says_what_addresses_need(stage):
    server = stage.receiver(extensions=("8BITMIME", "SMTPUTF8"))
    relay = stage.unstarted_ringpost()
    named = f"127.0.0.1:{server.port}"
    relay.cli("send", "--server", named, "--to", "a@example.com", "--subject", "Grüße, " + "é" * 60,
              "--body", "one\ntwo\nthrée")
    relay.cli("send", "--server", named, "--to", "bjørn@example.com", "--subject", "plain")
    first, second = server.messages
    header, _, body = first.content.partition(b"\r\n\r\n")
    assert header.isascii() and max(map(len, header.split(b"\r\n"))) < 80
    parsed = email.message_from_bytes(first.content, policy=email.policy.SMTP)
    assert parsed["Subject"] == "Grüße, " + "é" * 60
    assert body == "one\r\ntwo\r\nthrée\r\n".encode()
    assert "BODY=8BITMIME" in first.sender_parameters
    assert "SMTPUTF8" not in first.sender_parameters
    assert "SMTPUTF8" in second.sender_parameters and b"Subject: plain\r\n" in second.content


def test_send_takes_no_line_breaks_into_commands_and_fields(stage):
    server = stage.receiver(extensions=("8BITMIME",))
    relay = stage.unstarted_ringpost()
    to = ("--server", f"127.0.0.1:{server.port}", "--to", "a@example.com")
    for name, value in (("--from", "a@b.example>\r\nRCPT TO:<x@example.com"),
                        ("--from", "a@b.example\n"), ("--to", "a\r@example.com"),
                        ("--subject", "x\r\nBcc: y@example.com"), ("--subject", "caf\udce9")):
        done = relay.cli("send", *to, name, value, check=False)
        assert done.returncode == 64 and name in done.stderr, (name, value)
    plain = relay.cli("send", *to, "--from", "é@b.example", check=False)
    assert plain.returncode == 1 and "SMTPUTF8" in plain.stderr  # not offered
    assert not server.messages


def checked(relay, *expected):
    """What `check` says where `serve` would end."""
    check = relay.cli("check", check=False)
    serve = relay.cli("serve", check=False)
    assert check.returncode == 78 and serve.returncode in (71, 78), (check, serve)
    for text in expected:
        assert text in check.stderr, check.stderr


def test_check_tries_what_serve_will(stage):
    relay = stage.unstarted_ringpost()
    good = relay.config_file.read_text()
    relay.cli("check")
    assert not relay.state_dir.exists()  # it leaves nothing behind
    relay.state_dir.mkdir(mode=0o755)
    checked(relay, "chmod 700")
    relay.state_dir.chmod(0o700)
    (relay.state_dir / "spool").mkdir(mode=0o750)
    checked(relay, "spool can be read by others")
    shutil.rmtree(relay.state_dir)
    for name, text, why in (("node", "zz", "four hex digits"),
                            ("suspensions.json", "{broken", "suspensions.json is damaged"),
                            ("login.key", "short", "it is no key"),
                            ("return.key", "short", "it is no key"),
                            ("lock", None, "lock is no file"),
                            ("control.sock", None, "control.sock is a directory")):
        relay.state_dir.mkdir(mode=0o700)
        if text:
            (relay.state_dir / name).write_text(text)
        else:
            (relay.state_dir / name).mkdir()
        checked(relay, why)
        shutil.rmtree(relay.state_dir)
    relay.state_dir.mkdir(mode=0o700)
    (relay.state_dir / "events").symlink_to(relay.directory / "not-mounted")
    checked(relay, "events: No such file")
    shutil.rmtree(relay.state_dir)
    relay.state_dir.write_text("a file")
    checked(relay, "is no directory")
    relay.state_dir.unlink()
    for state_dir, why in ((relay.directory / "none" / "state", "cannot be made"),
                           (relay.directory / ("s" * 120), "control.sock would have a path")):
        relay.config_file.write_text(good.replace(str(relay.state_dir), str(state_dir)))
        checked(relay, why)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        relay.config_file.write_text(
            re.sub("metrics: .*", f'metrics: {{listen: "127.0.0.1:{port}"}}', good))
        checked(relay, f"127.0.0.1:{port}", "another program has this port")


def test_check_looks_whose_spool_it_is(stage):
    relay = stage.ringpost(engines="1")
    relay.stop()
    node = (relay.state_dir / "node").read_text()
    relay.cli("check")
    (relay.state_dir / "node").write_text(f"{int(node, 16) ^ 1:04x}\n")
    checked(relay, "belongs to another node")
    (relay.state_dir / "node").unlink()  # serve makes one, which is another
    assert "belongs to another node" in relay.cli("check", check=False).stderr
    assert not (relay.state_dir / "node").exists()
    (relay.state_dir / "node").write_text(node)
    relay.cli("check")
    (relay.state_dir / "spool" / "07").write_text("no shard")
    checked(relay, "spool/07: Not a directory")
    (relay.state_dir / "spool" / "07").unlink()
    cursor = relay.state_dir / "events" / "cursor"
    text = cursor.read_text()
    cursor.write_text(text.replace("ringpost-events 1", "ringpost-events 9"))
    checked(relay, "a newer version")
    cursor.write_text(text)
    current = relay.state_dir / "events" / "current.jsonl"
    current.unlink()
    current.mkdir()
    checked(relay, "current.jsonl is no file")


def test_check_beside_the_daemon_finds_its_ports_taken_by_it(stage):
    relay = stage.ringpost()
    assert "is good" in relay.cli("check").stdout


@needs.root_mark("a start by root")
def test_check_looks_as_the_user_who_will_serve(stage):
    relay = stage.unstarted_ringpost()
    relay.config_file.write_text(relay.config_file.read_text() + "user: nobody\n")
    relay.state_dir.mkdir(mode=0o700)  # root's
    checked(relay, "state_dir: ")


def test_check_warns_of_what_is_legal_and_dangerous(stage):
    relay = stage.unstarted_ringpost()
    good = relay.config_file.read_text()
    quiet = json.loads(relay.cli("check", "--json").stdout)["warnings"]
    assert not [w for w in quiet if not w.startswith("user:")]
    port = socket.create_server(("0.0.0.0", 0))
    number = port.getsockname()[1]
    port.close()
    relay.config_file.write_text(
        re.sub("metrics: .*", f'metrics: {{listen: "0.0.0.0:{number}"}}',
               re.sub("hostname: .*", "hostname: localhost", good)))
    warned = relay.cli("check").stderr
    assert "warning: hostname: localhost" in warned and "warning: metrics: 0.0.0.0:" in warned
    for wide, is_warned in (("0.0.0.0/0", True), ("0.0.0.0/1", True), ("::/0", True),
                            ("10.0.0.0/8", False), ("2001:db8::/32", False)):
        relay.config_file.write_text(
            f'hostname: relay\nstate_dir: {relay.state_dir}\nlisteners:\n  - {{address: '
            f'"0.0.0.0:{number}", service: submission, trust: ["{wide}"]}}\n')
        warned = relay.cli("check").stderr
        assert ("trusts the whole internet" in warned) == is_warned, wide
        assert "hostname: relay has no domain" in warned


def test_check_warns_of_a_receiver_without_a_postmaster(stage):
    [port] = parts.free_ports(1)
    relay = stage.unstarted_ringpost(
        hostname="mx.acme.example",
        listeners=f'[{{address: "127.0.0.1:{port}", service: inbound}}]')
    good = relay.config_file.read_text()
    assert "warning: inbound.postmaster: it is not set" in relay.cli("check").stderr
    relay.config_file.write_text(good + "inbound: {postmaster: a@acme.example}\n")
    assert "postmaster" not in relay.cli("check").stderr
    relay.config_file.write_text(good)
    relay.cli("tenant", "add", "acme")
    relay.cli("domain", "add", "acme", "mx.acme.example")
    assert "postmaster" in relay.cli("check").stderr
    relay.cli("domain", "add", "acme", "shop.example", "--hosted")
    assert "postmaster" not in relay.cli("check").stderr


@pytest.mark.parametrize("wrong, told", [
    (lambda file: file.write_bytes(b"no database"), "directory.db"),
    (lambda file: raise_schema(file), "written by a newer ringpost (schema 99"),
])
def test_check_warns_of_a_directory_that_a_start_cannot_read(stage, wrong, told):
    relay = stage.unstarted_ringpost()
    relay.cli("tenant", "add", "shop")
    before = sorted(file.name for file in relay.state_dir.iterdir())
    assert "without tenants" not in relay.cli("check").stderr
    assert sorted(file.name for file in relay.state_dir.iterdir()) == before
    wrong(relay.state_dir / "directory.db")
    done = relay.cli("check")
    assert told in done.stderr and "a start serves without tenants" in done.stderr, done.stderr


def raise_schema(file):
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 99")


def test_init_says_what_is_left_to_be_set(stage):
    relay = stage.unstarted_ringpost()
    state_dir = relay.directory / "missing" / "state"
    done = relay.cli("init", "--force", "--hostname", "relay", "--state-dir", state_dir)
    assert "note: hostname: relay has no domain" in done.stderr
    assert f"note: state_dir: {state_dir} cannot be made" in done.stderr


def test_init_overwrites_a_good_file_with_none_but_a_good_one(stage):
    relay = stage.unstarted_ringpost()
    before = relay.config_file.read_text()
    refused = relay.cli("init", "--force", "--listen", "nowhere", "--json", check=False)
    assert refused.returncode == 78 and "nowhere" in complaints(refused)
    assert relay.config_file.read_text() == before
    assert [p.name for p in relay.directory.iterdir()] == [relay.config_file.name]
    wrote = json.loads(relay.cli("init", "--force", "--hostname", "a.example", "--json").stdout)
    assert wrote == {"wrote": str(relay.config_file), "listener": "127.0.0.1:2525",
                     "tls_listener": "127.0.0.1:2465",
                     "certificate": str(relay.directory / "tls.crt")}
    assert "a.example" in relay.config_file.read_text()
    assert relay.cli("init", check=False).returncode == 1


def test_default_limits_follow_the_limit_of_open_files(stage):
    relay = stage.unstarted_ringpost()
    relay.prefix = ["prlimit", "--nofile=3000:3000"]
    relay.start()
    log = relay.tail()
    assert "may be open" not in log
    assert "open_files=3000 sessions=1800 connections=450" in log
    relay.stop()
    short = "up to 6200 files may be open, and the hard limit is 3000"
    few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000))}
    assert short not in relay.cli("check", **few).stderr
    relay.write_config(limits="{sessions: 5000}")
    assert short in relay.cli("check", **few).stderr and short not in relay.cli("check").stderr
    relay.start()
    relay.wait_log(short)


@pytest.fixture
def dev_log(stage):
    """A socket that is /dev/log for this process and its children alone."""
    needs.own_mounts("a /dev with a socket of the test's")
    place = stage.directory / "dev"
    place.mkdir()
    parts.run(["mount", "-t", "tmpfs", "tmpfs", place])
    for name in ("null", "random", "urandom"):
        (place / name).touch()
        parts.run(["mount", "--bind", f"/dev/{name}", place / name])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(place / "log"))
        log.settimeout(parts.PATIENCE)
        parts.run(["mount", "--rbind", place, "/dev"])
        stage.stack.callback(lambda: parts.run(["umount", "-l", place]))
        stage.stack.callback(lambda: parts.run(["umount", "-l", "/dev"]))
        yield log


def test_log_goes_to_syslog_and_back(stage, dev_log):
    relay = stage.ringpost(log="{to: syslog}")
    line = b""
    while b"what=ready" not in line:
        line = dev_log.recv(65536)
    mail_info = 2 << 3 | 6
    assert re.match(rb'<%d>.* ringpost\[%d\]: hostname="mta1' % (mail_info, relay.child.pid), line)
    assert "what=ready" not in relay.tail()
    relay.write_config(log="{to: stderr}")
    reload(relay)
    relay.wait_log("what=reloaded")
