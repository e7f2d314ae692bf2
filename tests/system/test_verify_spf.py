"""The suite of RFC 7208 through `ringpost verify`: the same verdicts with real DNS in between, with
answers that are too large for a datagram, aliases, names of odd bytes and servers that are silent."""

import json
import pathlib
import socket
import subprocess
import threading

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.TXT
import dns.rrset
import parts
import yaml

SUITE = pathlib.Path(parts.ROOT).parent / "shared" / "suites" / "spf" / "rfc7208-tests.yml"
CASES = 203
DATAGRAM_MAX = 1232


def records_of(entries):
    """(type, value) pairs; type 99 stands for TXT too where a name has no TXT entry."""
    has_txt = any(isinstance(entry, dict) and "TXT" in entry for entry in entries)
    for entry in entries:
        if entry == "TIMEOUT":
            yield "TIMEOUT", None
            continue
        (kind, value), = entry.items()
        if kind == "SPF" and not has_txt:
            yield "TXT", value
        if (kind, value) != ("TXT", "NONE"):
            yield kind, value


def rdata_of(kind, value, number):
    if kind in ("TXT", "SPF"):
        strings = []
        for part in value if isinstance(value, list) else [value]:
            octets = part.encode("latin-1")
            strings += [octets[i:i + 255] for i in range(0, len(octets), 255)] or [b""]
        return dns.rdtypes.ANY.TXT.TXT(1, number, strings)
    if kind == "MX":
        return dns.rdata.from_text("IN", "MX", f"{value[0]} {value[1].rstrip('.')}.")
    if kind in ("PTR", "CNAME"):
        value = value.rstrip(".") + "."
    return dns.rdata.from_text("IN", kind, value)


class Server:
    """The zone data of one scenario, over UDP and TCP."""

    def __init__(self):
        self.zone = {}
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            self.port = self.udp.getsockname()[1]
            self.tcp = socket.socket()
            try:
                self.tcp.bind(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
        self.tcp.listen(16)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def load(self, data):
        self.zone = {name.lower().rstrip("."): list(records_of(entries))
                     for name, entries in data.items()}

    def fill(self, answer, question):
        """False: this question is never answered."""
        owner = question.name
        kind = dns.rdatatype.to_text(question.rdtype)
        for _ in range(10):
            name = b".".join(owner.labels[:-1]).decode("latin-1").lower()
            records = self.zone.get(name)
            if records is None:
                if not any(other.endswith("." + name) for other in self.zone):
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                return True
            found = [value for each, value in records if each == kind]
            alias = [value for each, value in records if each == "CNAME"]
            if found or not alias:
                if not found and ("TIMEOUT", None) in records:
                    return False
                if found:
                    answer.answer.append(dns.rrset.from_rdata(
                        owner, 60, *(rdata_of(kind, value, question.rdtype) for value in found)))
                return True
            target = rdata_of("CNAME", alias[0], None)
            answer.answer.append(dns.rrset.from_rdata(owner, 60, target))
            owner = target.target
        return True

    def reply(self, wire, is_udp):
        query = dns.message.from_wire(wire)
        answer = dns.message.make_response(query)
        if not self.fill(answer, query.question[0]):
            return None
        if not answer.answer:
            answer.authority.append(dns.rrset.from_text(".", 60, "IN", "SOA", "ns. admin. 1 2 3 4 5"))
        data = answer.to_wire()
        if is_udp and len(data) > DATAGRAM_MAX:
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.TC
            data = answer.to_wire()
        return data

    def serve_udp(self):
        while True:
            wire, peer = self.udp.recvfrom(65535)
            data = self.reply(wire, True)
            if data is not None:
                self.udp.sendto(data, peer)

    def serve_tcp(self):
        while True:
            threading.Thread(target=self.converse, args=self.tcp.accept()[:1], daemon=True).start()

    def converse(self, peer):
        with peer, peer.makefile("rb") as reader:
            while len(head := reader.read(2)) == 2:
                data = self.reply(reader.read(int.from_bytes(head, "big")), False)
                if data is not None:
                    peer.sendall(len(data).to_bytes(2, "big") + data)


def judge(config, test):
    done = subprocess.run([parts.PROGRAM, "-c", config, "verify", "--json", "--ip", test["host"],
                           "--helo", test["helo"] or "", "--mail-from", test["mailfrom"] or "", "-"],
                          input=b"", capture_output=True, timeout=parts.PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["spf"]


def test_suite(tmp_path):
    server = Server()
    config = tmp_path / "ringpost.yaml"
    config.write_text(
        f"hostname: mx.receiver.example\nstate_dir: {tmp_path}/state\n"
        f'listeners: [{{address: "127.0.0.1:2525", service: submission, trust: ["127.0.0.0/8"]}}]\n'
        f'dns: {{servers: ["127.0.0.1:{server.port}"], timeout: 500ms, tries: 1}}\n')
    count, wrong = 0, []
    for scenario in yaml.safe_load_all(SUITE.read_text(encoding="utf-8")):
        server.load(scenario["zonedata"])
        for name, test in scenario["tests"].items():
            count += 1
            found = judge(config, test)
            wanted = test["result"] if isinstance(test["result"], list) else [test["result"]]
            if found["result"] not in wanted:
                wrong.append((name, found, wanted))
            explanation = test.get("explanation")
            if found["result"] == "fail" and explanation is not None:
                if found["explanation"] != (None if explanation == "DEFAULT" else explanation):
                    wrong.append((name, found, explanation))
    assert not wrong
    assert count == CASES
