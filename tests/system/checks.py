"""checks.py - the checks of received mail against zones of YAML files: see checks.c."""

import ipaddress
import os
import pathlib
import subprocess

import yaml

SUITES = pathlib.Path(__file__).resolve().parents[3] / "shared" / "suites"
PROGRAM = pathlib.Path(os.environ["RINGPOST_BUILD"]) / "tests" / "system" / "checks"


def octets(text):
    """What a YAML text stands for: characters are octets where they can be."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def word(text):
    data = text if isinstance(text, bytes) else octets(text)
    return data.hex() or "-"


def unword(text):
    return b"" if text == "-" else bytes.fromhex(text)


def documents(path):
    """The documents of a suite; the file must be there."""
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


class Zone:
    """Records as the SPF suite writes them."""

    def __init__(self, zonedata):
        self.names = {}
        for name, entries in (zonedata or {}).items():
            entries = [entry if entry == "TIMEOUT" else next(iter(entry.items()))
                       for entry in entries]
            kinds = {entry[0] for entry in entries if entry != "TIMEOUT"}
            if "SPF" in kinds and "TXT" not in kinds:
                entries += [("TXT", value) for kind, value in entries if kind == "SPF"]
            self.names[self.key(name)] = [
                entry for entry in entries if entry != ("TXT", "NONE")]

    @staticmethod
    def key(name):
        return octets(str(name)).lower().rstrip(b".")

    @staticmethod
    def record(kind, value):
        if kind in ("A", "AAAA"):
            return 0, ipaddress.ip_address(value).packed
        if kind == "MX":
            return value[0], octets(value[1]).rstrip(b".")
        if kind == "TXT":
            return 0, b"".join(octets(part) for part in
                               (value if isinstance(value, list) else [value]))
        return 0, octets(value).rstrip(b".")

    def answer(self, kind, name):
        """The line that answers."""
        for _ in range(10):  # as long as a chain of CNAMEs may be
            if name not in self.names:
                is_parent = any(other.endswith(b"." + name) for other in self.names)
                return "no-data" if is_parent else "no-name"
            entries = self.names[name]
            found = [self.record(kind, entry[1]) for entry in entries if entry[0] == kind]
            alias = [entry[1] for entry in entries if entry[0] == "CNAME"]
            if found:
                return "found " + " ".join(f"{preference}:{word(text)}"
                                           for preference, text in found)
            if not alias:
                return "failed" if "TIMEOUT" in entries else "no-data"
            name = self.key(alias[0])
        return "failed"


class Checks:
    """The program, which is asked one check at a time."""

    def __enter__(self):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(60) == 0

    def run(self, command, zone):
        """The words of the result, and what was asked."""
        asked = []
        line = command
        while True:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            words = self.process.stdout.readline().split()
            assert words, "the program ended"
            if words[0] == "done":
                return words[1:], asked
            name = unword(words[2])
            asked.append((words[1], name.decode("latin-1")))
            assert len(asked) <= 250
            line = zone.answer(words[1], name)

    def spf(self, zone, host, helo, mail_from, identity="mail", receiver="mx.receiver.example"):
        address = ipaddress.ip_address(host).packed if host else b""
        command = " ".join(["spf", identity, word(address), word(helo), word(mail_from),
                            word(receiver), "1700000000"])
        words, asked = self.run(command, zone)
        names = ["domain", "explanation", "mechanism", "record_domain", "reason", "trace"]
        result = {name: unword(text).decode("latin-1") for name, text in zip(names, words[1:])}
        numbers = dict(zip(["terms", "voids", "questions"], map(int, words[7:])))
        return {"result": words[0], "asked": asked} | result | numbers

    def dkim(self, zone, message, piece, time):
        """A verdict for each signature, of a message that comes in pieces of that length."""
        words, _ = self.run(f"dkim {word(message)} {piece} {time}", zone)
        names = ["domain", "selector", "algorithm", "reason"]
        return [{"result": words[i]} | dict(zip(names, (unword(text).decode() for text in
                                                         words[i + 1:i + 5])))
                for i in range(0, len(words), 5)]

    def arc(self, zone, message, time):
        words, asked = self.run(f"arc {word(message)} {time}", zone)
        texts = [unword(text) for text in words[1:4]]
        return {"result": words[0], "asked": asked, "chain": texts[0].decode(),
                "reason": texts[1].decode(), "results": texts[2], "count": int(words[4]),
                "oldest_pass": int(words[5]), "is_temporary": words[6] == "1"}

    def seal(self, message, domain, selector, key, results, status, names, time, is_flat=False):
        """The word for what was done, the fields, and the reason where nothing was."""
        fields = [message, domain, selector, key, results, status, names]
        words, _ = self.run(" ".join(["seal", *map(word, fields), "flat" if is_flat else "folded",
                                      str(time)]), None)
        return words[0], unword(words[1]), unword(words[2]).decode()

    def iprev(self, zone, host):
        address = ipaddress.ip_address(host).packed if host else b""
        words, asked = self.run(f"iprev {word(address)}", zone)
        return {"result": words[0], "name": unword(words[1]).decode(), "asked": asked}
