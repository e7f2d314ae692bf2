"""inbound.py - a ringpost that receives for hosted domains, and what arrived at it."""

import json
import re
import smtplib
import subprocess

import parts

HOST = "mx1.receiver.example"


def txt(text):
    return "TXT " + " ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200))


#: Domains that mail comes from: what is sent from 127.0.0.1 passes SPF of `good`, not of the others.
ZONES = {
    "good.example": f"@ {txt('v=spf1 ip4:127.0.0.1 -all')}\n_dmarc {txt('v=DMARC1; p=reject')}\n",
    "strict.example": f"@ {txt('v=spf1 -all')}\n_dmarc {txt('v=DMARC1; p=reject')}\n",
    "doubt.example": f"@ {txt('v=spf1 -all')}\n_dmarc {txt('v=DMARC1; p=quarantine')}\n",
    "plain.example": f"@ {txt('v=spf1 -all')}\n",
    "example": "",  # where the walk of DMARC ends
    "127.in-addr.arpa": "1.0.0 PTR client.good.example.\n",
}


class Inbound:
    """The relay, its directory, and mail that is sent to it by Python's client.

    Mail for hosted domains is held back (suspended), so that it can be looked at in the queue."""

    def __init__(self, stage, zones=None, inbound="", dns=None, settings=None, directory=(),
                 tls="none"):
        if dns is None:
            self.nsd = stage.nsd(ZONES if zones is None else zones)
            dns = f'{{servers: ["127.0.0.1:{self.nsd.port}"]}}'
        self.port = parts.free_port()
        self.relay = stage.unstarted_ringpost(
            hostname=HOST, dns=dns, inbound=f"{{{inbound}}}" if inbound else "",
            **{"listeners": f'[{{address: "127.0.0.1:{self.port}", service: inbound, '
                             f'tls: {tls}}}]',
               **(settings or {})})
        for command in (("tenant", "add", "acme"),
                        ("domain", "add", "acme", "acme.example", "--hosted", "--active"),
                        ("account", "add", "bob@acme.example"),
                        ("account", "add", "carol@acme.example"),
                        ("alias", "add", "team@acme.example", "bob@acme.example",
                         "carol@acme.example"), *directory):
            self.relay.cli(*command)
        self.relay.start()
        self.relay.cli("queue", "suspend", "--domain", "*")

    def smtp(self, ehlo="client.good.example"):
        smtp = smtplib.SMTP("127.0.0.1", self.port, timeout=parts.PATIENCE)
        smtp.ehlo(ehlo)
        return smtp

    def send(self, content, to="bob@acme.example", sender="alice@good.example"):
        """The reply to the content, or the first that refused."""
        with self.smtp() as smtp:
            code, text = smtp.mail(sender)
            if code == 250:
                code, text = smtp.rcpt(to)
            if code == 250:
                code, text = smtp.data(content)
            return code, text.decode()

    def take(self, content, **kwargs):
        """Sends it, which must end well; the message as it would be filed."""
        code, text = self.send(content, **kwargs)
        assert code == 250, (code, text)
        return self.content(text.split()[-1])

    def content(self, message_id):
        done = subprocess.run([parts.PROGRAM, "-c", self.relay.config_file, "queue", "show",
                               message_id, "--content"], capture_output=True,
                              timeout=parts.PATIENCE, check=True)
        return done.stdout


def message(sender="alice@good.example", more=b"", body=b"Hello.\r\n"):
    return (f"From: Alice <{sender}>\r\nTo: bob@acme.example\r\nSubject: hello\r\n"
            f"Message-ID: <1@good.example>\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\n").encode() \
        + more + b"\r\n" + body


def field(content, name):
    """A header field of a message, unfolded; None where there is none."""
    header = re.sub(rb"\r?\n[ \t]+", b" ", content.split(b"\r\n\r\n")[0])
    found = re.findall(rb"(?im)^%s:[ \t]*(.*?)\r?$" % name.encode(), header)
    return [value.decode() for value in found]


def records(relay, message_id):
    return [json.loads(line) for line in relay.cli("events", "--id", message_id,
                                                   "--json").stdout.splitlines()]
