"""test_tls.py - TLS on the submission ports, by clients and scanners that nobody here wrote."""

import concurrent.futures
import contextlib
import json
import os
import smtplib
import socket
import ssl
import subprocess
import xml.etree.ElementTree

import parts

HOST = "mta1.ringpost.example"


def certificate(directory, name, *hosts, days=90):
    """A self-signed certificate for `hosts`; paths of it and its key."""
    crt, key = directory / f"{name}.crt", directory / f"{name}.key"
    names = ",".join(f"DNS:{host}" for host in hosts)
    parts.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
               "-days", days, "-keyout", key, "-out", crt])
    return crt, key


class TlsRelay:
    """A relay with a port for STARTTLS and one for TLS from the first byte on."""

    def __init__(self, stage, start=True, more="", **settings):
        self.port, self.implicit = parts.free_ports(2)
        self.directory = stage.directory / "tls"
        self.directory.mkdir(exist_ok=True)
        self.crt, self.key = certificate(self.directory, "tls", HOST)
        listeners = ", ".join(
            f'{{address: "127.0.0.1:{port}", tls: {tls}, trust: ["127.0.0.0/8"]}}'
            for port, tls in ((self.port, "starttls"), (self.implicit, "implicit")))
        self.relay = (stage.ringpost if start else stage.unstarted_ringpost)(
            listeners=f"[{listeners}]",
            tls=f"{{certificate: {self.crt}, key: {self.key}{more}}}", **settings)
        self.relay.port = self.port

    def context(self, crt=None):
        return ssl.create_default_context(cafile=crt or self.crt)

    @contextlib.contextmanager
    def wrapped(self, context=None, host=HOST, session=None):
        """A connection under TLS, behind its greeting."""
        context = context or self.context()
        with socket.create_connection(("127.0.0.1", self.implicit), parts.PATIENCE) as raw:
            with context.wrap_socket(raw, server_hostname=host, session=session) as wrapped:
                assert wrapped.recv(1000).startswith(b"220 ")
                yield wrapped

    def shown(self, host=HOST):
        """The certificate that is shown to who asks for this host."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with self.wrapped(context, host) as wrapped:
            return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True))


def quit(wrapped):
    wrapped.sendall(b"QUIT\r\n")
    assert wrapped.recv(1000).startswith(b"221 ")


def test_clients_submit_under_tls(stage):
    sink = stage.sink()
    tls = TlsRelay(stage, routes=f'[{{match: "*", to: ["127.0.0.1:{sink.port}"]}}]')
    for port, how in ((tls.port, ["--tls"]), (tls.implicit, ["--tls-on-connect"])):
        stage.run(["swaks", "--server", f"127.0.0.1:{port}", *how, "--tls-verify",
                   "--tls-ca-path", tls.crt, "--tls-sni", HOST, "--helo", "client.example",
                   "--from", "app@client.example", "--to", "a@b.example"])
    with smtplib.SMTP("127.0.0.1", tls.port, timeout=parts.PATIENCE) as smtp:
        smtp._host = HOST  # whom to ask for, and whose certificate it must be
        smtp.starttls(context=tls.context())
        smtp.sendmail("app@client.example", ["c@b.example"], "Subject: x\r\n\r\ntext\r\n")
    done = stage.run(["openssl", "s_client", "-connect", f"127.0.0.1:{tls.port}", "-starttls",
                      "smtp", "-CAfile", tls.crt, "-verify_return_error", "-verify_hostname", HOST,
                      "-servername", HOST, "-crlf", "-brief"], input="QUIT\n")
    assert "Verification: OK" in done.stderr and "TLSv1.3" in done.stderr
    delivered = tls.relay.wait_events(3, kind="delivered")
    assert {e["recipient"] for e in delivered} == {"a@b.example", "c@b.example"}
    metrics = tls.relay.metrics()
    assert metrics['ringpost_tls_handshakes_total{version="1.3"}'] == 4
    parts.wait_for(lambda: tls.relay.metrics()["ringpost_tls_sessions"] == 0, "all to be gone")


def test_a_ticket_resumes_on_every_engine(stage):
    tls = TlsRelay(stage, engines="4")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = tls.context()
        context.minimum_version = context.maximum_version = version
        with tls.wrapped(context) as wrapped:
            assert not wrapped.session_reused
            session = wrapped.session
            quit(wrapped)
        # They take turns: eight at once are two an engine.
        with contextlib.ExitStack() as stack:
            for _ in range(8):
                wrapped = stack.enter_context(tls.wrapped(context, session=session))
                assert wrapped.session_reused, version
    assert tls.relay.metrics()["ringpost_tls_resumed_total"] == 16


def test_a_reload_shows_a_new_certificate_and_drops_nobody(stage):
    tls = TlsRelay(stage)
    old = tls.shown()
    with tls.wrapped() as wrapped:
        new_crt, new_key = certificate(tls.directory, "new", HOST)
        os.replace(new_crt, tls.crt)
        os.replace(new_key, tls.key)
        tls.relay.cli("reload")
        new = tls.shown()
        assert new == tls.crt.read_text() and new != old
        # One that cannot be used refuses the reload; the good one stays.
        good = tls.key.read_bytes()
        other_crt, other_key = certificate(tls.directory, "other", HOST)
        tls.key.write_bytes(other_key.read_bytes())
        refused = tls.relay.cli("reload", check=False)
        assert refused.returncode == 1
        assert f"tls.key: {tls.key}: is not the key of the certificate" in refused.stderr
        tls.key.write_bytes(good)
        tls.crt.write_text("nothing")
        refused = tls.relay.cli("reload", check=False)
        assert f"tls.certificate: {tls.crt}: holds no certificate" in refused.stderr
        assert tls.shown() == new
        wrapped.sendall(b"NOOP\r\n")
        assert wrapped.recv(1000).startswith(b"250 ")
        quit(wrapped)


def test_the_name_chooses_the_certificate(stage):
    directory = stage.directory
    crt, key = certificate(directory, "more", "mail.other.example", "*.wild.example")
    tls = TlsRelay(stage, more=f", more: [{{certificate: {crt}, key: {key}}}]")
    first, more = tls.crt.read_text(), crt.read_text()
    assert tls.shown() == first and tls.shown("unknown.example") == first
    assert tls.shown("mail.other.example") == more and tls.shown("a.wild.example") == more
    expiry = {name: value for name, value in tls.relay.metrics().items() if "expiry" in name}
    assert len(expiry) == 2 and all(value > 1.7e9 for value in expiry.values())


def checked(of, **settings):
    if settings:
        of.relay.write_config(**settings)
    done = of.relay.cli("check", check=False)
    return done.returncode, done.stdout + done.stderr


def test_check_says_what_is_wrong_with_certificates(stage):
    tls = TlsRelay(stage, start=False)
    code, said = checked(tls)
    assert code == 0 and f"{tls.crt}: for {HOST}, 89 days left, self-signed" in said
    assert "warning: tls" not in said
    told = json.loads(tls.relay.cli("check", "--json").stdout)["certificates"]
    assert [c["days_left"] for c in told] == [89] and told[0]["names"] == HOST

    crt, key = certificate(tls.directory, "soon", "somebody.else.example", days=5)
    key.chmod(0o644)
    code, said = checked(tls, tls=f"{{certificate: {crt}, key: {key}}}")
    assert code == 0 and "expires in 4 days" in said
    assert f"is for somebody.else.example, not for hostname {HOST}" in said
    assert f"everybody on this machine can read {key}" in said

    code, said = checked(tls, tls=f"{{certificate: {crt}, key: {tls.key}}}")
    line = [i for i, text in enumerate(tls.relay.config_file.read_text().splitlines(), 1)
            if text.startswith("tls:")][0]
    assert code == 78 and f"ringpost.yaml:{line}: tls.key: {tls.key}: is not the key" in said
    code, said = checked(tls, tls=f"{{certificate: {tls.crt}, key: {tls.key}.none}}")
    assert code == 78 and f"tls.key: {tls.key}.none: No such file" in said
    code, said = checked(tls, tls=f"{{certificate: {tls.crt}}}")
    assert code == 78 and f":{line}: tls: no key; expected both" in said
    code, said = checked(tls, tls="")
    assert code == 78 and "listeners[0].tls: there is no certificate" in said


def test_init_makes_what_clients_can_use(stage):
    relay = stage.unstarted_ringpost()
    plain, implicit = parts.free_ports(2)
    relay.cli("init", "--force", "--hostname", HOST, "--state-dir", relay.state_dir,
              "--listen", f"127.0.0.1:{plain}", "--listen-tls", f"127.0.0.1:{implicit}")
    crt, key = relay.directory / "tls.crt", relay.directory / "tls.key"
    assert key.stat().st_mode & 0o777 == 0o600
    text = relay.config_file.read_text()
    relay.config_file.write_text(text.replace(":9925", f":{relay.metrics_port}"))
    made = crt.read_bytes()
    relay.start()
    with smtplib.SMTP_SSL("127.0.0.1", implicit, timeout=parts.PATIENCE,
                          context=ssl._create_unverified_context()) as smtp:
        assert smtp.noop()[0] == 250
    relay.cli("init", "--force", "--hostname", HOST, "--state-dir", relay.state_dir)
    assert crt.read_bytes() == made  # what is there is kept


def test_what_is_no_handshake_ends_the_connection_alone(stage):
    tls = TlsRelay(stage)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"EHLO x\r\n", bytes(range(256)) * 40,
                    b"\x16\x03\x01\x40\x00" + b"\xff" * 9000):
        with socket.create_connection(("127.0.0.1", tls.implicit), parts.PATIENCE) as raw:
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while raw.recv(4096):
                    pass
    # A client that speaks TLS, but not well, is told so by an alert (RFC 8446 section 6.2).
    with socket.create_connection(("127.0.0.1", tls.implicit), parts.PATIENCE) as raw:
        raw.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
        assert raw.recv(7)[:1] == b"\x15"
    # Text behind STARTTLS is not taken for the client's, neither before nor after the 220.
    with socket.create_connection(("127.0.0.1", tls.port), parts.PATIENCE) as raw:
        file = raw.makefile("rwb", 0)
        file.readline()
        raw.sendall(b"EHLO x\r\n")
        while file.readline()[3:4] == b"-":
            pass
        raw.sendall(b"STARTTLS\r\nRSET\r\n")
        assert file.readline().startswith(b"554 5.5.0 ") and file.read() == b""
    with tls.wrapped() as wrapped:
        quit(wrapped)
    metrics = tls.relay.metrics()
    assert metrics['ringpost_tls_handshake_failures_total{reason="not-tls"}'] >= 3
    assert metrics["ringpost_smtp_starttls_injections_total"] == 1
    with socket.create_connection(("127.0.0.1", tls.implicit), parts.PATIENCE) as raw:
        raw.sendall(b"\x16\x03\x01\x02")  # goes away in the midst of a record
    parts.wait_for(lambda: tls.relay.metrics()[
        'ringpost_tls_handshake_failures_total{reason="gone"}'] >= 1, "the failure")


def test_two_hundred_clients_at_once(stage):
    tls = TlsRelay(stage)
    context = tls.context()
    raws = [socket.create_connection(("127.0.0.1", tls.implicit), parts.PATIENCE)
            for _ in range(200)]

    def talk(raw):
        with context.wrap_socket(raw, server_hostname=HOST) as wrapped:
            assert wrapped.recv(1000).startswith(b"220 ")
            quit(wrapped)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(talk, raws))) == 200
    metrics = tls.relay.metrics()
    assert metrics['ringpost_tls_handshakes_total{version="1.3"}'] == 200


def scanned(port, *options):
    done = subprocess.run([parts.need("sslscan"), "--no-colour", "--xml=-", *options,
                           f"127.0.0.1:{port}"], capture_output=True, text=True,
                          timeout=parts.PATIENCE)
    return xml.etree.ElementTree.fromstring(done.stdout).find("ssltest")


def test_a_scanner_finds_nothing_weak(stage):
    tls = TlsRelay(stage)
    for port, options in ((tls.implicit, []), (tls.port, ["--starttls-smtp"])):
        found = scanned(port, *options)
        enabled = {f"{p.get('type')}{p.get('version')}" for p in found.findall("protocol")
                   if p.get("enabled") == "1"}
        assert enabled == {"tls1.2", "tls1.3"}, enabled
        ciphers = [(c.get("sslversion"), c.get("cipher"), int(c.get("bits")))
                   for c in found.findall("cipher")]
        assert len(ciphers) >= 5
        for version, cipher, bits in ciphers:
            assert bits >= 128 and ("GCM" in cipher or "POLY1305" in cipher), cipher
            assert version == "TLSv1.3" or cipher.startswith("ECDHE-"), cipher
        assert all(found.find(name).get("supported") == "0"
                   for name in ("renegotiation", "compression") if found.find(name) is not None)
        assert all(h.get("vulnerable") == "0" for h in found.findall("heartbleed"))
        groups = {g.get("name") for g in found.findall("group")}
        assert groups <= {"x25519", "secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)"}, groups
